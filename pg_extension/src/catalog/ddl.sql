-- What tables on the nodes must have alike, as it is now, a line each. `number` tells things apart whose names
-- change: a column's, or the oid of a constraint or index. What stands in `detail` must not change at all.
CREATE FUNCTION current_shape() RETURNS TABLE (relid regclass, kind text, number int8, name name, definition text, filled bool, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT d.relid, 'column', a.attnum, a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attcollation <> y.typcollation THEN format('COLLATE %I.%I', cn.nspname, c.collname) END,
            CASE WHEN a.attgenerated <> '' THEN format('GENERATED ALWAYS AS (%s) STORED', pg_get_expr(e.adbin, e.adrelid)) END),
        a.attnotnull, format('%s %s %s', a.attidentity, a.attstorage, a.attcompression)
    FROM atoll.distributed_table d JOIN pg_attribute a ON a.attrelid = d.relid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type y ON y.oid = a.atttypid
        LEFT JOIN pg_collation c ON c.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = c.collnamespace
        LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
    UNION ALL SELECT d.relid, 'check', c.oid::int8, c.conname, pg_get_constraintdef(c.oid), false, ''
    FROM atoll.distributed_table d JOIN pg_constraint c ON c.conrelid = d.relid AND c.contype = 'c'
    UNION ALL SELECT d.relid, 'index', i.indexrelid::int8, c.relname, atoll.index_tail(i.indexrelid), false, ''
    FROM atoll.distributed_table d JOIN pg_index i ON i.indrelid = d.relid JOIN pg_class c ON c.oid = i.indexrelid
    UNION ALL SELECT d.relid, 'table', 0, '', '', false, format('%s %s %s %s %s %s %s', c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.reloptions, c.reltablespace, c.reloftype)
    FROM atoll.distributed_table d JOIN pg_class c ON c.oid = d.relid;
$$;

CREATE FUNCTION differences() RETURNS TABLE (relid regclass, kind text, old shape, new shape)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(s.relid, c.relid), coalesce(s.kind, c.kind), CASE WHEN s.relid IS NOT NULL THEN ROW (s.relid, s.kind, s.number, s.name, s.definition, s.filled, s.detail, s.there)::atoll.shape END, CASE WHEN c.relid IS NOT NULL THEN ROW (c.relid, c.kind, c.number, c.name, c.definition, c.filled, c.detail, NULL)::atoll.shape END
    FROM (SELECT s.*, CASE WHEN s.number = 0 AND s.kind = 'index' THEN coalesce((SELECT i.indexrelid::int8 FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                WHERE i.indrelid = s.relid AND x.relname = s.name), 0) ELSE s.number END AS found FROM atoll.shape s WHERE EXISTS (SELECT FROM pg_class p WHERE p.oid = s.relid)) s
        FULL JOIN atoll.current_shape() c ON c.relid = s.relid AND c.kind = s.kind AND c.number = s.found
    -- An index that a restore has yet to make is not one that was dropped.
    WHERE NOT (c.relid IS NULL AND s.kind = 'index' AND s.number = 0)
        AND (c.relid IS NULL OR s.relid IS NULL OR (s.name, s.definition, s.filled, s.detail) <> (c.name, c.definition, c.filled, c.detail))
        -- Definitions are spelt with names of this moment, rows are those of the snapshot: where another session
        -- may be at work, they need not agree.
        AND (atoll.is_locked(coalesce(s.relid, c.relid)::oid) OR c.kind = 'index' AND atoll.is_locked(c.number::oid));
$$;

-- How an index is called on a node.
CREATE FUNCTION index_name(shard text, name name) RETURNS text LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN octet_length(shard || '_' || name) <= 63 THEN shard || '_' || name
        ELSE 'atoll_' || md5(shard || '/' || name) END;
$$;

-- Tables that are no longer there, dropped on their nodes.
CREATE FUNCTION drops() RETURNS TABLE (node_id int4, sql text) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.node_id, 'DROP TABLE ' || string_agg(format('%I.%I', t.shard_schema, atoll.shard_name(t.shard_prefix, s.slot)), ', ' ORDER BY t.relid::oid, s.slot)
    FROM atoll.distributed_table t JOIN atoll.slot s USING (group_id) WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = t.relid) GROUP BY s.node_id ORDER BY s.node_id;
$$;
CREATE FUNCTION forget_drops() RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n record;
    empty int4[];
BEGIN
    DELETE FROM atoll.shape s WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = s.relid);
    WITH gone AS (DELETE FROM atoll.distributed_table t WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = t.relid) RETURNING t.group_id)
        SELECT array_agg(DISTINCT group_id) INTO empty FROM gone;
    SELECT array_agg(e) INTO empty FROM unnest(empty) e WHERE NOT EXISTS (SELECT FROM atoll.distributed_table t WHERE t.group_id = e);
    FOR n IN SELECT s.group_id, s.slot FROM atoll.slot s WHERE s.group_id = ANY (empty) LOOP
        EXECUTE format('DROP SERVER %I', format('atoll_g%s_s%s', n.group_id, n.slot));
    END LOOP;
    DELETE FROM atoll.slot WHERE group_id = ANY (empty);
    DELETE FROM atoll.colocation_group WHERE group_id = ANY (empty);
END $$;

-- New columns whose default the rows that are there must get.
CREATE FUNCTION new_defaults() RETURNS TABLE (id text, expression text, volatile bool) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('%s.%s', d.relid::oid, (d.new).number), format('(%s)::%s', pg_get_expr(e.adbin, e.adrelid), format_type(a.atttypid, a.atttypmod)), atoll.is_volatile(e.adbin::text)
    FROM atoll.differences() d JOIN pg_attrdef e ON e.adrelid = d.relid AND e.adnum = (d.new).number JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
    WHERE d.kind = 'column' AND (d.old).relid IS NULL AND a.attgenerated = '';
$$;

-- What was done to a distributed table, as statements for its tables on the nodes. `defaults` are the values of
-- new columns for rows that are there.
CREATE FUNCTION alterations(defaults jsonb) RETURNS TABLE (node_id int4, sql text) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    t atoll.distributed_table;
    d record;
    problem text;
    hint text;
    renames bool;
    statements text[];
    value text;
BEGIN
    FOR t IN SELECT * FROM atoll.distributed_table x WHERE (SELECT count(*) FROM pg_inherits WHERE inhparent = x.relid) <> x.slots LOOP
        RAISE EXCEPTION 'the parts of distributed table % cannot be dropped, attached or detached', t.relid USING ERRCODE = '0A000';
    END LOOP;
    FOR t IN SELECT * FROM atoll.distributed_table x WHERE x.relid IN (SELECT relid FROM atoll.differences()) ORDER BY x.relid LOOP
        statements := '{}';
        renames := EXISTS (SELECT FROM atoll.differences() x WHERE x.relid = t.relid AND x.kind = 'column' AND (x.old).name <> (x.new).name);
        FOR d IN SELECT x.kind, x.old, x.new FROM atoll.differences() x WHERE x.relid = t.relid
            -- Away with what hangs on columns, then columns, then what hangs on new ones.
            ORDER BY CASE WHEN x.kind <> 'column' AND (x.new).relid IS NULL THEN 0 WHEN x.kind = 'column' THEN 1 ELSE 2 END, (x.new).relid IS NOT NULL, (x.old).relid IS NULL, coalesce((x.new).number, (x.old).number) LOOP
            problem := CASE
                WHEN d.kind = 'table' THEN 'row security, replica identity, storage and persistence stay as they are'
                WHEN d.kind = 'column' AND (d.old).relid IS NOT NULL AND (d.new).relid IS NOT NULL AND ((d.old).definition <> (d.new).definition AND NOT (renames AND (d.new).definition LIKE '% GENERATED %'))
                    THEN format('the type of column "%s" stays as it is', (d.new).name)
                WHEN d.kind = 'column' AND (d.old).relid IS NOT NULL AND (d.new).relid IS NOT NULL AND (d.old).detail <> (d.new).detail THEN format('storage and identity of column "%s" stay as they are', (d.new).name)
                WHEN d.kind = 'column' AND (d.old).relid IS NULL AND (d.new).detail !~ '^ ' THEN format('column "%s" cannot be an identity; use a sequence and a default', (d.new).name)
                WHEN d.kind = 'column' AND (d.old).name = t.key AND NOT (d.new).filled THEN format('column "%s" distributes the table and cannot be NULL', (d.new).name)
                WHEN d.kind = 'index' AND (d.old).definition <> (d.new).definition AND NOT renames THEN format('index "%s" stays as it is; drop it and create another', (d.new).name)
                WHEN t.slots = 0 AND d.kind = 'column' AND (d.new).relid IS DISTINCT FROM (d.old).relid AND (d.old).relid IS NOT NULL OR t.slots = 0 AND renames THEN 'the table has no ranges yet; add one first'
                WHEN (d.new).name = 'atoll_slot' AND d.kind = 'check' THEN 'the name atoll_slot belongs to the tables on the nodes'
            END;
            IF problem IS NOT NULL THEN
                RAISE EXCEPTION 'this change of distributed table % is refused: %', t.relid, problem USING ERRCODE = '0A000',
                    HINT = 'Call atoll.undistribute_table first and atoll.distribute_table afterwards.';
            END IF;
            IF d.kind = 'column' THEN
                value := defaults ->> format('%s.%s', t.relid::oid, (d.new).number);
                statements := statements || CASE
                    WHEN (d.new).relid IS NULL THEN ARRAY[format('ALTER TABLE %%SHARD%% DROP COLUMN %I', (d.old).name)]
                    WHEN (d.old).relid IS NULL THEN ARRAY[format('ALTER TABLE %%SHARD%% ADD COLUMN %I %s%s%s', (d.new).name, (d.new).definition,
                            CASE WHEN value IS NOT NULL THEN format(' DEFAULT %L', value) ELSE '' END, CASE WHEN (d.new).filled THEN ' NOT NULL' ELSE '' END)]
                        || CASE WHEN value IS NOT NULL THEN ARRAY[format('ALTER TABLE %%SHARD%% ALTER COLUMN %I DROP DEFAULT', (d.new).name)] ELSE '{}' END
                    ELSE CASE WHEN (d.old).name <> (d.new).name THEN ARRAY[format('ALTER TABLE %%SHARD%% RENAME COLUMN %I TO %I', (d.old).name, (d.new).name)] ELSE '{}' END
                        || CASE WHEN (d.old).filled <> (d.new).filled THEN ARRAY[format('ALTER TABLE %%SHARD%% ALTER COLUMN %I %s NOT NULL', (d.new).name, CASE WHEN (d.new).filled THEN 'SET' ELSE 'DROP' END)] ELSE '{}' END
                    END;
            ELSIF d.kind = 'check' THEN
                statements := statements || CASE
                    WHEN (d.new).relid IS NULL THEN ARRAY[format('ALTER TABLE %%SHARD%% DROP CONSTRAINT IF EXISTS %I', (d.old).name)]
                    WHEN (d.old).relid IS NULL THEN ARRAY[format('ALTER TABLE %%SHARD%% ADD CONSTRAINT %I %s', (d.new).name, (d.new).definition)]
                    ELSE CASE WHEN (d.old).name <> (d.new).name THEN ARRAY[format('ALTER TABLE %%SHARD%% RENAME CONSTRAINT %I TO %I', (d.old).name, (d.new).name)] ELSE '{}' END
                        || CASE WHEN (d.old).definition LIKE '% NOT VALID' AND (d.new).definition NOT LIKE '% NOT VALID' THEN ARRAY[format('ALTER TABLE %%SHARD%% VALIDATE CONSTRAINT %I', (d.new).name)] ELSE '{}' END
                    END;
            ELSIF d.kind = 'index' THEN
                statements := statements || CASE
                    WHEN (d.new).relid IS NULL THEN ARRAY[format('DROP INDEX IF EXISTS %I.%%INDEX %s%%', t.shard_schema, (d.old).there)]
                    WHEN (d.old).relid IS NULL THEN ARRAY[format('CREATE INDEX %%INDEX %s%% ON %%SHARD%%%s', replace((d.new).name, '%', '_'), (d.new).definition)]
                    ELSE '{}' END;
            END IF;
        END LOOP;
        RETURN QUERY SELECT s.node_id, string_agg(x.sql, '; ' ORDER BY s.slot) FROM atoll.slot s CROSS JOIN LATERAL (
                SELECT string_agg(atoll.for_shard(u.sql, t, s.slot), '; ' ORDER BY u.n) FROM unnest(statements) WITH ORDINALITY u (sql, n)) x (sql)
            WHERE s.group_id = t.group_id AND x.sql IS NOT NULL GROUP BY s.node_id ORDER BY s.node_id;
    END LOOP;
END $$;

-- A statement with the names of one slot: `%SHARD%` is its table, `%INDEX name%` its index of a name.
CREATE FUNCTION for_shard(sql text, t distributed_table, slot int4) RETURNS text LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    shard text := atoll.shard_name(t.shard_prefix, slot);
    name text := substring(sql FROM '^[^%]*%INDEX ([^%]*)%');
BEGIN
    IF name IS NOT NULL THEN
        sql := replace(sql, '%INDEX ' || name || '%', quote_ident(atoll.index_name(shard, name::name)));
    END IF;
    RETURN replace(sql, '%SHARD%', format('%I.%I', t.shard_schema, shard));
END $$;

-- What is unique is known to the nodes only: a question for one table of each that has changed.
CREATE FUNCTION unique_questions() RETURNS TABLE (relid oid, node_id int4, sql text) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (t.relid) t.relid::oid, s.node_id, format(
        'SELECT ARRAY (SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %1$L::regclass AND contype IN (''p'', ''u'') ORDER BY contype, conname),
            ARRAY (SELECT ''CREATE UNIQUE INDEX ON %%SHARD%%'' || atoll.index_tail(i.indexrelid) FROM pg_index i
                WHERE i.indrelid = %1$L::regclass AND i.indisunique AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN (''p'', ''u'')) ORDER BY i.indexrelid)',
        format('%I.%I', t.shard_schema, atoll.shard_name(t.shard_prefix, s.slot)))
    FROM atoll.distributed_table t JOIN atoll.slot s USING (group_id) WHERE t.relid IN (SELECT d.relid FROM atoll.differences() d) ORDER BY t.relid, s.slot;
$$;

-- The shape is now as the nodes have it.
CREATE FUNCTION note_shape(rel regclass, uniques text, unique_indexes text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE pending atoll.shape[];
BEGIN
    UPDATE atoll.distributed_table t SET key = s.name FROM atoll.differences() d, LATERAL (SELECT (d.new).name, (d.old).name AS before) s
        WHERE t.relid = rel AND d.relid = rel AND d.kind = 'column' AND s.before = t.key AND s.name <> t.key;
    SELECT array_agg(s) INTO pending FROM atoll.shape s WHERE s.relid = rel AND s.kind = 'index';
    DELETE FROM atoll.shape s WHERE s.relid = rel;
    INSERT INTO atoll.shape SELECT c.*, CASE c.kind WHEN 'index' THEN coalesce((SELECT p.there FROM unnest(pending) p WHERE p.number = c.number OR p.number = 0 AND p.name = c.name LIMIT 1), replace(c.name, '%', '_')) END
        FROM atoll.current_shape() c WHERE c.relid = rel;
    INSERT INTO atoll.shape SELECT (p).* FROM unnest(pending) p WHERE p.number = 0 AND NOT EXISTS (SELECT FROM atoll.shape s WHERE s.relid = rel AND s.kind = 'index' AND s.name = p.name);
    IF uniques IS NOT NULL THEN
        UPDATE atoll.distributed_table t SET constraints = uniques::text[] || ARRAY (SELECT format('CONSTRAINT %I %s', s.name, s.definition) FROM atoll.shape s WHERE s.relid = rel AND s.kind = 'check' ORDER BY s.name),
            indexes = unique_indexes::text[] WHERE t.relid = rel;
    END IF;
END $$;

-- Dropping and changing a distributed table does the same on the nodes, in the same transaction; what cannot be
-- done there is refused. In a database that is being restored the rows of the catalog come after the tables.
CREATE FUNCTION on_drop() RETURNS event_trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF to_regclass('atoll.shape') IS NOT NULL AND EXISTS (SELECT FROM atoll.distributed_table) THEN
        PERFORM atoll.carry_over();
    END IF;
END $$;
CREATE FUNCTION on_change() RETURNS event_trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE o record;
BEGIN
    IF to_regclass('atoll.shape') IS NULL OR NOT EXISTS (SELECT FROM atoll.distributed_table) OR atoll.is_changing() THEN
        RETURN;
    END IF;
    FOR o IN SELECT d.relid, e.command_tag, e.object_identity FROM pg_event_trigger_ddl_commands() e
        JOIN pg_inherits h ON h.inhrelid = CASE e.classid WHEN 'pg_class'::regclass THEN e.objid WHEN 'pg_trigger'::regclass THEN (SELECT tgrelid FROM pg_trigger WHERE oid = e.objid) END
        JOIN atoll.distributed_table d ON d.relid = h.inhparent
        WHERE e.command_tag <> 'COMMENT' LOOP
        RAISE EXCEPTION '% is refused on %, a part of distributed table %', o.command_tag, o.object_identity, o.relid USING ERRCODE = '0A000',
            HINT = format('Change table %s: its parts and the tables on the nodes follow.', o.relid);
    END LOOP;
    PERFORM atoll.carry_over();
END $$;
CREATE EVENT TRIGGER atoll_drop ON sql_drop EXECUTE FUNCTION on_drop();
CREATE EVENT TRIGGER atoll_change ON ddl_command_end EXECUTE FUNCTION on_change();
ALTER EVENT TRIGGER atoll_drop ENABLE ALWAYS;
ALTER EVENT TRIGGER atoll_change ENABLE ALWAYS;

REVOKE ALL ON FUNCTION current_shape(), differences(), index_name(text, name), drops(), forget_drops(), new_defaults(), alterations(jsonb), for_shard(text, distributed_table, int4),
    unique_questions(), note_shape(regclass, text, text), on_drop(), on_change(), is_volatile(text), is_locked(oid) FROM PUBLIC;
