CREATE FUNCTION distributed(rel regclass) RETURNS distributed_table LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE t atoll.distributed_table;
BEGIN
    SELECT * INTO t FROM atoll.distributed_table d WHERE d.relid = rel;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'table % is not distributed', coalesce(rel::text, 'NULL') USING ERRCODE = '55000',
            HINT = 'Call atoll.distribute_table(rel, key).';
    END IF;
    RETURN t;
END $$;

CREATE FUNCTION shard_name(prefix name, slot int4) RETURNS text LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT prefix::text || '_' || lpad(slot::text, 4, '0');
$$;

-- The type in which keys are compared and hashed.
CREATE FUNCTION key_type(t distributed_table) RETURNS text LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE t.key_type WHEN 'varchar'::regtype THEN 'text' ELSE t.key_type::text END;
$$;

-- What holds for the rows of a slot and for no other.
CREATE FUNCTION slot_condition(t distributed_table, slot int4) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE t.method WHEN 'hash' THEN format('atoll.slot_of(%I, %s) = %s', t.key, t.slots, slot)
        ELSE (SELECT coalesce(nullif(concat_ws(' AND ', CASE WHEN s.lower IS NOT NULL THEN format('%I >= %L::%s', t.key, s.lower, atoll.key_type(t)) END,
                CASE WHEN s.upper IS NOT NULL THEN format('%I < %L::%s', t.key, s.upper, atoll.key_type(t)) END), ''), 'true')
            FROM atoll.slot s WHERE s.group_id = t.group_id AND s.slot = slot_condition.slot) END;
$$;

-- The part of a table that stands for a slot.
CREATE FUNCTION part_ddl(rel regclass, slot int4) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('CREATE FOREIGN TABLE %I.%I PARTITION OF %s FOR VALUES %s SERVER %I OPTIONS (schema_name %L, table_name %L, batch_size ''1000'')',
            (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = t.relid), atoll.shard_name(t.shard_prefix, s.slot), t.relid::regclass,
            CASE t.method WHEN 'hash' THEN format('WITH (MODULUS %s, REMAINDER %s)', t.slots, s.slot)
                ELSE format('FROM (%s) TO (%s)', coalesce(quote_literal(s.lower), 'MINVALUE'), coalesce(quote_literal(s.upper), 'MAXVALUE')) END,
            format('atoll_g%s_s%s', t.group_id, s.slot), t.shard_schema, atoll.shard_name(t.shard_prefix, s.slot))
        FROM atoll.distributed_table t JOIN atoll.slot s USING (group_id) WHERE t.relid = rel AND s.slot = part_ddl.slot;
$$;

-- The statements that make the table of one slot on a node.
CREATE FUNCTION shard_ddl(rel regclass, slot int4) RETURNS text LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    t atoll.distributed_table;
    shard text;
    columns text;
    ddl text;
BEGIN
    SELECT * INTO STRICT t FROM atoll.distributed_table d WHERE d.relid = rel;
    shard := format('%I.%I', t.shard_schema, atoll.shard_name(t.shard_prefix, slot));
    SELECT string_agg(format('%I %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attcollation <> y.typcollation THEN format(' COLLATE %I.%I', cn.nspname, c.collname) ELSE '' END,
            CASE WHEN a.attgenerated <> '' THEN format(' GENERATED ALWAYS AS (%s) STORED', pg_get_expr(d.adbin, d.adrelid)) ELSE '' END,
            CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END), ', ' ORDER BY a.attnum)
        INTO columns
        FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
            LEFT JOIN pg_collation c ON c.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = c.collnamespace
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped;
    ddl := format('CREATE TABLE %s (%s%s, CONSTRAINT atoll_slot CHECK (%s))', shard, columns,
        (SELECT coalesce(string_agg(', ' || c, ''), '') FROM unnest(t.constraints) c), atoll.slot_condition(t, slot));
    RETURN ddl || (SELECT coalesce(string_agg('; ' || atoll.for_shard(i, t, slot), ''), '') FROM (SELECT unnest(t.indexes)
        UNION ALL SELECT format('CREATE INDEX %%INDEX %s%% ON %%SHARD%%%s', s.there, s.definition) FROM atoll.shape s WHERE s.relid = rel AND s.kind = 'index') x (i));
END $$;

-- Makes the tables of one slot, or of all, on their nodes as the owner of the table, and the parts that stand
-- for them.
CREATE FUNCTION build_slots(rel regclass, which int4) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t atoll.distributed_table := atoll.distributed(rel);
    role oid := (SELECT relowner FROM pg_class WHERE oid = rel);
    ids int4[];
    statements text[];
    s int4;
BEGIN
    SELECT array_agg(n ORDER BY n), array_agg(sql ORDER BY n) INTO ids, statements FROM (
        SELECT s.node_id, CASE t.shard_schema WHEN 'public' THEN '' ELSE format('CREATE SCHEMA IF NOT EXISTS %I; ', t.shard_schema) END || string_agg(atoll.shard_ddl(rel, s.slot), '; ' ORDER BY s.slot)
        FROM atoll.slot s WHERE s.group_id = t.group_id AND s.slot = coalesce(which, s.slot) GROUP BY s.node_id) x (n, sql);
    PERFORM atoll.act_on_nodes(coalesce(ids, '{}'), coalesce(statements, '{}'), role);
    FOR s IN SELECT o.slot FROM atoll.slot o WHERE o.group_id = t.group_id AND o.slot = coalesce(which, o.slot) ORDER BY 1 LOOP
        EXECUTE atoll.part_ddl(rel, s);
        EXECUTE format('ALTER FOREIGN TABLE %I.%I OWNER TO %I', (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = rel), atoll.shard_name(t.shard_prefix, s), pg_get_userbyid(role));
    END LOOP;
END $$;

-- `splits` are the first keys of the second and further ranges; without them the rows that are there are
-- divided evenly into as many ranges as `slots`, and an empty table gets its ranges from add_range.
CREATE FUNCTION distribute_table(rel regclass, key name, slots int4 DEFAULT 64, method text DEFAULT 'hash', colocate_with regclass DEFAULT NULL, splits text[] DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET bytea_output = hex AS $$
#variable_conflict use_variable
DECLARE
    c pg_class;
    schema name;
    col pg_attribute;
    family text;
    class text;
    filled bool := true;
    grp atoll.colocation_group;
    kept regclass;
    made regclass;
    n record;
    problem text;
    before int8;
    after int8;
    old_name CONSTANT name := 'atoll_old_' || rel::oid;
BEGIN
    IF method NOT IN ('hash', 'range') THEN
        RAISE EXCEPTION 'there is no method "%"', method USING ERRCODE = '22023', HINT = 'Methods: hash, range.';
    ELSIF splits IS NOT NULL AND (method <> 'range' OR colocate_with IS NOT NULL) THEN
        RAISE EXCEPTION 'splits belong to method range without colocate_with' USING ERRCODE = '22023';
    ELSIF slots NOT BETWEEN 1 AND 1024 OR cardinality(splits) > 1023 THEN
        RAISE EXCEPTION 'a table has 1 to 1024 slots' USING ERRCODE = '22023';
    END IF;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', rel);
    SELECT * INTO STRICT c FROM pg_class WHERE oid = rel;
    SELECT nspname INTO STRICT schema FROM pg_namespace WHERE oid = c.relnamespace;
    problem := CASE
        WHEN EXISTS (SELECT FROM atoll.distributed_table d WHERE d.relid = rel) THEN 'it is distributed already'
        WHEN c.relkind <> 'r' OR c.relpersistence <> 'p' THEN 'it is not an ordinary table'
        WHEN EXISTS (SELECT FROM pg_inherits WHERE rel IN (inhrelid, inhparent)) THEN 'it inherits, or is inherited from'
        WHEN EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND rel IN (conrelid, confrelid)) THEN 'it has a foreign key, or is the target of one'
        WHEN EXISTS (SELECT FROM pg_constraint WHERE contype IN ('x', 't') AND conrelid = rel) THEN 'it has an exclusion constraint or a constraint trigger'
        WHEN EXISTS (SELECT FROM pg_trigger WHERE tgrelid = rel AND NOT tgisinternal) THEN 'it has triggers'
        WHEN EXISTS (SELECT FROM pg_rewrite WHERE ev_class = rel) THEN 'it has rules'
        WHEN c.relrowsecurity OR EXISTS (SELECT FROM pg_policy WHERE polrelid = rel) THEN 'it has row security'
        WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = rel AND attidentity <> '' AND NOT attisdropped) THEN 'it has an identity column; use a sequence and a default'
        WHEN EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = rel) THEN 'it is part of a publication'
        WHEN octet_length(c.relname::text) > 58 THEN 'its name is longer than 58 bytes'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'table % cannot be distributed: %', rel, problem USING ERRCODE = '0A000';
    END IF;
    SELECT * INTO col FROM pg_attribute WHERE attrelid = rel AND attname = key AND attnum > 0 AND NOT attisdropped;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'table % has no column "%"', rel, key USING ERRCODE = '42703';
    END IF;
    class := CASE col.atttypid
        WHEN 'int8'::regtype THEN 'int8' WHEN 'int4'::regtype THEN 'int4' WHEN 'int2'::regtype THEN 'int2'
        WHEN 'text'::regtype THEN 'text' WHEN 'varchar'::regtype THEN 'text' WHEN 'bytea'::regtype THEN 'bytea' WHEN 'uuid'::regtype THEN 'uuid' END;
    family := CASE WHEN class LIKE 'int_' THEN 'int' ELSE class END;
    IF class IS NULL OR col.attgenerated <> '' THEN
        RAISE EXCEPTION 'column "%" of type % cannot be a key', key, format_type(col.atttypid, col.atttypmod)
            USING ERRCODE = '42804', HINT = 'Keys are stored columns of type int2, int4, int8, text, varchar, bytea or uuid.';
    END IF;
    IF EXISTS (SELECT FROM pg_collation WHERE oid = col.attcollation AND NOT collisdeterministic) THEN
        RAISE EXCEPTION 'column "%" has a nondeterministic collation', key USING ERRCODE = '0A000';
    END IF;
    -- Ranges are the same everywhere only if text is ordered by its UTF-8 bytes.
    IF method = 'range' AND class = 'text' AND NOT (current_setting('server_encoding') = 'UTF8' AND EXISTS (SELECT FROM pg_collation o, pg_database d
            WHERE d.datname = current_database() AND o.oid = col.attcollation AND CASE WHEN o.oid = 'pg_catalog."default"'::regcollation
                THEN d.datlocprovider = 'c' AND d.datcollate IN ('C', 'POSIX') ELSE o.collprovider = 'c' AND o.collcollate IN ('C', 'POSIX') END)) THEN
        RAISE EXCEPTION 'ranges of text need the order of bytes' USING ERRCODE = '0A000',
            HINT = format('ALTER TABLE %s ALTER COLUMN %I TYPE %s COLLATE "C", in a database in UTF8.', rel, key, format_type(col.atttypid, col.atttypmod));
    END IF;
    SELECT string_agg(i.indexrelid::regclass::text, ', ') INTO problem FROM pg_index i
        WHERE i.indrelid = rel AND i.indisunique AND NOT col.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'unique indexes without the key: %', problem USING ERRCODE = '0A000',
            HINT = format('Uniqueness can be kept within a slot only: add column "%s" to them, or drop them.', key);
    END IF;

    IF colocate_with IS NOT NULL THEN
        -- Held, so that nobody drops the other table meanwhile and the group with it.
        EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', colocate_with);
        SELECT g.* INTO grp FROM atoll.colocation_group g JOIN atoll.distributed_table d USING (group_id) WHERE d.relid = colocate_with;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'table % is not distributed', colocate_with USING ERRCODE = '55000';
        ELSIF grp.family <> family OR grp.method <> method THEN
            RAISE EXCEPTION 'tables % and % have keys or methods of different kinds', rel, colocate_with USING ERRCODE = '42804';
        END IF;
    ELSE
        PERFORM FROM atoll.node held WHERE held.enabled ORDER BY held.node_id FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no enabled node' USING ERRCODE = '55000', HINT = 'Call atoll.add_node(name, conninfo).';
        END IF;
        IF method = 'range' THEN
            IF splits IS NULL THEN
                EXECUTE format('SELECT ARRAY (SELECT DISTINCT v%4$s FROM unnest((SELECT percentile_disc(ARRAY (SELECT i / %3$s::float8 FROM generate_series(1, %3$s - 1) i)) WITHIN GROUP (ORDER BY %1$I) FROM %2$s)) v ORDER BY 1)::text[]',
                    key, rel, slots, CASE class WHEN 'text' THEN ' COLLATE "C"' ELSE '' END) INTO splits;
                EXECUTE format('SELECT EXISTS (SELECT FROM %s)', rel) INTO filled;
            END IF;
            slots := CASE WHEN filled THEN cardinality(splits) + 1 ELSE 0 END;
        END IF;
        INSERT INTO atoll.colocation_group AS g (family, slots, method) VALUES (family, slots, method) RETURNING * INTO grp;
        INSERT INTO atoll.slot SELECT grp.group_id, s, (nodes)[1 + s * cardinality(nodes) / slots], splits[s], splits[s + 1]
            FROM generate_series(0, slots - 1) s, (SELECT array_agg(node_id ORDER BY node_id) AS nodes FROM atoll.node WHERE enabled) n;
        FOR s IN 0 .. slots - 1 LOOP
            EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER atoll_fdw OPTIONS (group %L, slot %L)',
                format('atoll_g%s_s%s', grp.group_id, s), grp.group_id, s);
        END LOOP;
    END IF;

    PERFORM atoll.changing(true);
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', rel, key);
    EXECUTE format('ALTER TABLE %s RENAME TO %I', rel, old_name);
    kept := format('%I.%I', schema, old_name);
    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING COMMENTS) PARTITION BY %s',
        schema, c.relname, kept, CASE method WHEN 'hash' THEN format('HASH (%I atoll.%I)', key, class || '_ops_v1') ELSE format('RANGE (%I)', key) END);
    made := format('%I.%I', schema, c.relname);
    EXECUTE format('ALTER TABLE %s OWNER TO %I', made, pg_get_userbyid(c.relowner));
    FOR n IN SELECT a.grantee, a.privilege_type, a.is_grantable FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner LOOP
        EXECUTE format('GRANT %s ON %s TO %s%s', n.privilege_type, made,
            CASE n.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(n.grantee)) END,
            CASE WHEN n.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
    FOR n IN SELECT d.objid::regclass AS seq, a.attname FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.refobjid = kept AND d.classid = 'pg_class'::regclass AND d.deptype = 'a' AND (SELECT relkind FROM pg_class WHERE oid = d.objid) = 'S' LOOP
        EXECUTE format('ALTER SEQUENCE %s OWNED BY %s.%I', n.seq, made, n.attname);
    END LOOP;
    INSERT INTO atoll.distributed_table VALUES (made, key, col.atttypid, method, grp.slots, grp.group_id, schema, c.relname,
        ARRAY (SELECT CASE contype WHEN 'c' THEN format('CONSTRAINT %I ', conname) ELSE '' END || pg_get_constraintdef(oid)
            FROM pg_constraint WHERE conrelid = kept AND contype IN ('p', 'u', 'c') ORDER BY contype, conname),
        -- Names of unique indexes are the node's own choice: there is none here.
        ARRAY (SELECT 'CREATE UNIQUE INDEX ON %SHARD%' || atoll.index_tail(i.indexrelid)
            FROM pg_index i WHERE i.indrelid = kept AND i.indisunique AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u'))
            ORDER BY i.indexrelid));
    FOR n IN SELECT i.indexrelid, x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = kept AND NOT i.indisunique LOOP
        EXECUTE format('ALTER INDEX %I.%I RENAME TO %I', schema, n.relname, 'atoll_old_' || n.indexrelid);
        EXECUTE format('CREATE INDEX %I ON %s%s', n.relname, made, atoll.index_tail(n.indexrelid));
    END LOOP;
    PERFORM atoll.note_shape(made, NULL, NULL);
    PERFORM atoll.build_slots(made, NULL);
    EXECUTE format('SELECT count(*) FROM %s', kept) INTO before;
    PERFORM atoll.progress_begin(kept, before);
    after := atoll.run_as(c.relowner, format('INSERT INTO %s (%3$s) SELECT %3$s FROM %2$s', made, kept,
        (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = kept AND attnum > 0 AND NOT attisdropped AND attgenerated = '')));
    PERFORM atoll.progress_end();
    IF before <> after THEN
        RAISE EXCEPTION '% rows were copied of %', after, before USING ERRCODE = 'XX001';
    END IF;
    EXECUTE format('DROP TABLE %s', kept);
    PERFORM atoll.changing(false);
END $$;

CREATE FUNCTION add_range(rel regclass, "from" text, "to" text, node text DEFAULT NULL) RETURNS int4 LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET bytea_output = hex AS $$
#variable_conflict use_variable
DECLARE
    t atoll.distributed_table := atoll.distributed(rel);
    made int4;
    chosen int4;
    o record;
BEGIN
    IF t.method <> 'range' THEN
        RAISE EXCEPTION 'table % is distributed by %', rel, t.method USING ERRCODE = '55000';
    END IF;
    FOR o IN SELECT relid FROM atoll.distributed_table d WHERE d.group_id = t.group_id ORDER BY relid LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', o.relid);
    END LOOP;
    SELECT g.slots INTO STRICT made FROM atoll.colocation_group g WHERE g.group_id = t.group_id FOR UPDATE;
    IF made >= 1024 THEN
        RAISE EXCEPTION 'table % has 1024 ranges already', rel USING ERRCODE = '54000';
    END IF;
    -- As the type writes them, so that equal bounds are equal texts.
    EXECUTE format('SELECT $1::%1$s::text, $2::%1$s::text', atoll.key_type(t)) INTO "from", "to" USING "from", "to";
    SELECT string_agg(format('from %s to %s', coalesce(s.lower, 'the lowest'), coalesce(s.upper, 'the highest')), ', ' ORDER BY s.slot) AS listed,
            count(*) = 0 OR bool_or(s.lower = "to") OR bool_or(s.upper = "from") AS touches
        INTO o FROM atoll.slot s WHERE s.group_id = t.group_id;
    IF NOT coalesce(o.touches, false) THEN
        RAISE EXCEPTION 'a range must begin where another ends, or end where another begins' USING ERRCODE = '22023', DETAIL = 'Ranges: ' || o.listed || '.';
    END IF;
    chosen := CASE WHEN node IS NULL THEN (SELECT n.node_id FROM atoll.node n LEFT JOIN atoll.slot s ON s.node_id = n.node_id AND s.group_id = t.group_id
            WHERE n.enabled GROUP BY n.node_id ORDER BY count(s.slot), n.node_id LIMIT 1)
        ELSE atoll.node_id_of(node) END;
    IF chosen IS NULL THEN
        RAISE EXCEPTION 'there is no enabled node' USING ERRCODE = '55000', HINT = 'Call atoll.add_node(name, conninfo).';
    END IF;
    PERFORM FROM atoll.node n WHERE n.node_id = chosen FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'node % was removed', chosen USING ERRCODE = '55000';
    END IF;
    UPDATE atoll.colocation_group g SET slots = g.slots + 1, version = version + 1 WHERE g.group_id = t.group_id;
    INSERT INTO atoll.slot VALUES (t.group_id, made, chosen, "from", "to");
    EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER atoll_fdw OPTIONS (group %L, slot %L)', format('atoll_g%s_s%s', t.group_id, made), t.group_id, made);
    PERFORM atoll.changing(true);
    FOR o IN SELECT relid FROM atoll.distributed_table d WHERE d.group_id = t.group_id ORDER BY relid LOOP
        UPDATE atoll.distributed_table d SET slots = d.slots + 1 WHERE d.relid = o.relid;
        PERFORM atoll.build_slots(o.relid, made);
    END LOOP;
    PERFORM atoll.changing(false);
    RETURN made;
END $$;
CREATE FUNCTION add_range(rel regclass, "from" anycompatible, "to" anycompatible, node text DEFAULT NULL) RETURNS int4 LANGUAGE sql
SET search_path = pg_catalog, pg_temp SET bytea_output = hex AS $$
    SELECT atoll.add_range(rel, "from"::text, "to"::text, node);
$$;

CREATE FUNCTION undistribute_table(rel regclass) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t atoll.distributed_table;
    c pg_class;
    schema name;
    made regclass;
    n record;
    definition text;
    columns text;
    named text[];
    new_name CONSTANT name := 'atoll_new_' || rel::oid;
BEGIN
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', rel);
    SELECT * INTO t FROM atoll.distributed_table WHERE relid = rel;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'table % is not distributed', rel USING ERRCODE = '55000';
    END IF;
    SELECT * INTO STRICT c FROM pg_class WHERE oid = rel;
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = rel AND NOT tgisinternal) OR c.relrowsecurity THEN
        RAISE EXCEPTION 'table % has triggers or row security', rel USING ERRCODE = '0A000', HINT = 'Drop them first.';
    END IF;
    SELECT nspname INTO STRICT schema FROM pg_namespace WHERE oid = c.relnamespace;
    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING COMMENTS)', schema, new_name, rel);
    made := format('%I.%I', schema, new_name);
    EXECUTE format('ALTER TABLE %s OWNER TO %I', made, pg_get_userbyid(c.relowner));
    FOR n IN SELECT a.grantee, a.privilege_type, a.is_grantable FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner LOOP
        EXECUTE format('GRANT %s ON %s TO %s%s', n.privilege_type, made,
            CASE n.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(n.grantee)) END,
            CASE WHEN n.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
    FOR n IN SELECT d.objid::regclass AS seq, a.attname FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.refobjid = rel AND d.classid = 'pg_class'::regclass AND d.deptype = 'a' AND (SELECT relkind FROM pg_class WHERE oid = d.objid) = 'S' LOOP
        EXECUTE format('ALTER SEQUENCE %s OWNED BY %s.%I', n.seq, made, n.attname);
    END LOOP;
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns FROM pg_attribute
        WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    PERFORM atoll.run_as(c.relowner, format('INSERT INTO %s (%3$s) SELECT %3$s FROM %2$s', made, rel, columns));
    SELECT array_agg(format('CREATE INDEX %I ON %%SHARD%%%s', s.name, s.definition)) INTO named FROM atoll.shape s WHERE s.relid = rel AND s.kind = 'index';
    EXECUTE format('DROP TABLE %s', rel);
    EXECUTE format('ALTER TABLE %s RENAME TO %I', made, c.relname);
    FOREACH definition IN ARRAY t.constraints LOOP
        EXECUTE format('ALTER TABLE %s ADD %s', made, definition);
    END LOOP;
    FOREACH definition IN ARRAY t.indexes || coalesce(named, '{}') LOOP
        EXECUTE replace(definition, '%SHARD%', made::text);
    END LOOP;
END $$;

-- The slot of a key and the node that holds it.
CREATE FUNCTION locate(rel regclass, key text, OUT slot int4, OUT node text, OUT shard text) LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp SET bytea_output = hex AS $$
#variable_conflict use_column
DECLARE t atoll.distributed_table := atoll.distributed(rel);
BEGIN
    IF t.method = 'hash' THEN
        EXECUTE format('SELECT atoll.slot_of($1::%s, $2)', atoll.key_type(t)) INTO locate.slot USING locate.key, t.slots;
    ELSE
        EXECUTE format('SELECT slot FROM atoll.slot WHERE group_id = $2 AND ($1::%1$s >= lower::%1$s%2$s OR lower IS NULL) AND ($1::%1$s < upper::%1$s%2$s OR upper IS NULL)',
            atoll.key_type(t), CASE atoll.key_type(t) WHEN 'text' THEN ' COLLATE "C"' ELSE '' END) INTO locate.slot USING locate.key, t.group_id;
        IF locate.slot IS NULL THEN
            RAISE EXCEPTION 'no range of table % holds key %', rel, locate.key USING ERRCODE = '22023', HINT = 'Call atoll.add_range(rel, from, to).';
        END IF;
    END IF;
    SELECT s.node, s.shard INTO locate.node, locate.shard FROM atoll.slots s WHERE s."table" = rel AND s.slot = locate.slot;
END $$;
CREATE FUNCTION locate(rel regclass, key anyelement, OUT slot int4, OUT node text, OUT shard text) LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp AS $$
    SELECT l.slot, l.node, l.shard FROM atoll.locate(rel, key::text) l;
$$;

-- Tables that are being filled, as others see them; only whoever may read the statistics of other roles sees theirs.
CREATE VIEW moves AS
    SELECT p.pid, p.relid::regclass AS "table", p.param3 AS rows_done, p.param7 AS rows_total
    FROM pg_catalog.pg_stat_get_progress_info('COPY') p
    WHERE p.param5 OPERATOR(pg_catalog.=) 3 AND p.datid OPERATOR(pg_catalog.=) (SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database());
GRANT SELECT ON moves TO PUBLIC;

REVOKE ALL ON FUNCTION act_on_nodes(int4[], text[], oid), run_as(oid, text), changing(bool), progress_begin(oid, int8), progress_end(), shard_name(name, int4), slot_condition(distributed_table, int4), shard_ddl(regclass, int4), distribute_table(regclass, name, int4, text, regclass, text[]), build_slots(regclass, int4), key_type(distributed_table), part_ddl(regclass, int4), add_range(regclass, text, text, text), add_range(regclass, anycompatible, anycompatible, text),
    undistribute_table(regclass), locate(regclass, text), locate(regclass, anyelement) FROM PUBLIC;
