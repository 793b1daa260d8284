-- How a table looks to those who fill and read it; asked on both sides, so that answers compare as text.
-- The constraint `atoll_slot` is told apart: every table on a node has its own.
CREATE FUNCTION table_facts(rel regclass, OUT columns jsonb, OUT constraints text[], OUT indexes text[], OUT guarded bool)
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT (SELECT coalesce(jsonb_object_agg(a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
                CASE WHEN a.attcollation <> y.typcollation THEN format('COLLATE %I.%I', cn.nspname, c.collname) END,
                CASE WHEN a.attgenerated <> '' THEN format('GENERATED ALWAYS AS (%s) STORED', pg_get_expr(d.adbin, d.adrelid)) END,
                CASE WHEN a.attnotnull THEN 'NOT NULL' END)), '{}')
            FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
                LEFT JOIN pg_collation c ON c.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = c.collnamespace
                LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped),
        ARRAY (SELECT d FROM (SELECT pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conrelid = rel AND contype IN ('p', 'u', 'c') AND conname <> 'atoll_slot') x (d) ORDER BY d COLLATE "C"),
        ARRAY (SELECT d FROM (SELECT CASE WHEN i.indisunique THEN 'UNIQUE' ELSE '' END || atoll.index_tail(i.indexrelid) FROM pg_index i
            WHERE i.indrelid = rel AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u'))) x (d) ORDER BY d COLLATE "C"),
        EXISTS (SELECT FROM pg_constraint WHERE conrelid = rel AND contype = 'c' AND conname = 'atoll_slot' AND convalidated);
$$;

-- The table on its node that holds a key.
CREATE FUNCTION shard_of(rel regclass, key text) RETURNS text LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp AS $$
    SELECT l.shard FROM atoll.locate(rel, key) l;
$$;
CREATE FUNCTION shard_of(rel regclass, key anyelement) RETURNS text LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp AS $$
    SELECT l.shard FROM atoll.locate(rel, key::text) l;
$$;

-- The ranges as a topology's JSON has them, in the order of their keys.
CREATE FUNCTION ranges(t distributed_table) RETURNS jsonb LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE found jsonb;
BEGIN
    EXECUTE format('SELECT jsonb_build_object(''range'', jsonb_strip_nulls(jsonb_build_object(
            ''lower'', (array_agg(jsonb_build_object(''hex'', l) ORDER BY lower::%1$s%2$s NULLS FIRST) FILTER (WHERE first AND l IS NOT NULL))[1],
            ''upper'', (array_agg(jsonb_build_object(''hex'', u)) FILTER (WHERE last AND u IS NOT NULL))[1],
            ''splits'', coalesce(jsonb_agg(jsonb_build_object(''hex'', l) ORDER BY lower::%1$s%2$s NULLS FIRST) FILTER (WHERE NOT first), ''[]''),
            ''slot_of_range'', jsonb_agg(slot ORDER BY lower::%1$s%2$s NULLS FIRST))))
        FROM (SELECT slot, lower, encode(atoll.encode_key(lower::%1$s), ''hex'') AS l, encode(atoll.encode_key(upper::%1$s), ''hex'') AS u,
            row_number() OVER (ORDER BY lower::%1$s%2$s NULLS FIRST) = 1 AS first, row_number() OVER (ORDER BY lower::%1$s%2$s NULLS FIRST) = count(*) OVER () AS last
            FROM atoll.slot WHERE group_id = $1) x', atoll.key_type(t), CASE atoll.key_type(t) WHEN 'text' THEN ' COLLATE "C"' ELSE '' END) INTO found USING t.group_id;
    RETURN found;
END $$;

-- The map of a table's keys in the byte form of docs/FORMAT-topology.md: a member for each node that holds
-- slots, in the order in which nodes were added, and a shard for each of them.
CREATE FUNCTION topology(rel regclass) RETURNS bytea LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t atoll.distributed_table := atoll.distributed(rel);
    map jsonb;
BEGIN
    IF t.slots = 0 THEN
        RAISE EXCEPTION 'table % has no ranges yet', rel USING ERRCODE = '55000', HINT = 'Call atoll.add_range(rel, from, to).';
    END IF;
    WITH held AS (SELECT s.slot, n.name, dense_rank() OVER (ORDER BY n.node_id) - 1 AS shard
            FROM atoll.slot s JOIN atoll.node n USING (node_id) WHERE s.group_id = t.group_id),
        holder AS (SELECT DISTINCT name, shard FROM held)
    SELECT jsonb_build_object('version', g.version, 'hash', 'xxh3', 'seed', 0, 'encoding', 'binary', 'locality', 'none', 'replicas', 1,
            'vnodes', 160, 'slots', g.slots, 'partitioning', CASE g.method WHEN 'hash' THEN '"hash"'::jsonb ELSE atoll.ranges(t) END,
            'members', (SELECT jsonb_agg(jsonb_build_object('name', name, 'weight', 1, 'state', 'active') ORDER BY shard) FROM holder),
            'shards', (SELECT jsonb_agg(jsonb_build_object('id', shard, 'replicas', jsonb_build_array(name), 'state', 'active') ORDER BY shard) FROM holder),
            'owners', (SELECT jsonb_agg(jsonb_build_object('slots', slot || '-' || slot, 'shard', shard) ORDER BY slot) FROM held))
        INTO STRICT map FROM atoll.colocation_group g WHERE g.group_id = t.group_id;
    RETURN atoll.topology_bytes(map::text);
END $$;

CREATE FUNCTION run_on_nodes(sql text, transactional bool DEFAULT true)
RETURNS TABLE (node text, answer text[], problem text) LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids int4[];
    names text[];
BEGIN
    SELECT array_agg(n.node_id ORDER BY n.node_id), array_agg(n.name ORDER BY n.node_id) INTO ids, names FROM atoll.node n WHERE n.enabled;
    RETURN QUERY SELECT names[a.statement], a.answer, a.problem
        FROM atoll.ask_nodes(coalesce(ids, '{}'), array_fill(sql, ARRAY[coalesce(cardinality(ids), 0)]), CASE WHEN transactional THEN 'write' ELSE 'apart' END) a;
END $$;

-- In the statement, as in format(), %s is the table of the slot and %% a percent sign.
CREATE FUNCTION run_on_slots(rel regclass, sql text, transactional bool DEFAULT true)
RETURNS TABLE (slot int4, node text, answer text[], problem text) LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    t atoll.distributed_table := atoll.distributed(rel);
    pattern text := replace(replace(replace(sql, '%%', E'\x01'), '%s', '%1$s'), E'\x01', '%%');
    slots int4[];
    ids int4[];
    names text[];
    statements text[];
BEGIN
    IF pattern NOT LIKE '%\%1$s%' THEN
        RAISE EXCEPTION 'the statement does not name the table of the slot' USING ERRCODE = '22023',
            HINT = 'Write %s where its name belongs, and %% for a percent sign; atoll.run_on_nodes(sql) runs a statement once on each node.';
    END IF;
    SELECT array_agg(s.slot ORDER BY s.slot), array_agg(s.node_id ORDER BY s.slot), array_agg(n.name ORDER BY s.slot),
            array_agg(format(pattern, format('%I.%I', t.shard_schema, atoll.shard_name(t.shard_prefix, s.slot))) ORDER BY s.slot)
        INTO slots, ids, names, statements FROM atoll.slot s JOIN atoll.node n USING (node_id) WHERE s.group_id = t.group_id;
    RETURN QUERY SELECT slots[a.statement], names[a.statement], a.answer, a.problem
        FROM atoll.ask_nodes(coalesce(ids, '{}'), coalesce(statements, '{}'), CASE WHEN transactional THEN 'write' ELSE 'apart' END) a;
END $$;

-- A line for each slot, and one for each table on a node that looks like a part and belongs to no slot there.
-- No problem: the table is there, its columns, constraints and indexes are those of the distributed table, and
-- every row has a key of this slot.
CREATE FUNCTION verify(rel regclass) RETURNS TABLE (slot int4, node text, shard text, "rows" int8, problem text) LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    t atoll.distributed_table := atoll.distributed(rel);
    here record;
    slots int4[];
    ids int4[];
    names text[];
    shards text[];
    there jsonb[];
    counts jsonb[];
BEGIN
    SELECT f.columns, ARRAY (SELECT c FROM (SELECT regexp_replace(d, '^CONSTRAINT ("([^"]|"")+"|[^ ]+) ', '') FROM unnest(t.constraints) d) x (c) ORDER BY c COLLATE "C") AS constraints,
            ARRAY (SELECT c FROM (SELECT replace(d, 'CREATE UNIQUE INDEX ON %SHARD%', 'UNIQUE') FROM unnest(t.indexes) d
                UNION ALL SELECT s.definition FROM atoll.shape s WHERE s.relid = rel AND s.kind = 'index') x (c) ORDER BY c COLLATE "C") AS indexes
        INTO here FROM atoll.table_facts(rel) f;
    SELECT coalesce(array_agg(s.slot ORDER BY s.slot), '{}'), coalesce(array_agg(s.node_id ORDER BY s.slot), '{}'), array_agg(n.name ORDER BY s.slot),
            coalesce(array_agg(format('%I.%I', t.shard_schema, atoll.shard_name(t.shard_prefix, s.slot)) ORDER BY s.slot), '{}')
        INTO slots, ids, names, shards FROM atoll.slot s JOIN atoll.node n USING (node_id) WHERE s.group_id = t.group_id;
    -- Every statement answers with one row, so that answers and slots stand in the same order.
    SELECT array_agg(to_jsonb(x.answer) ORDER BY x.statement) INTO there FROM atoll.ask_nodes(ids, ARRAY (SELECT
        format('SELECT to_regclass(%1$L), f.* FROM (VALUES (0)) v LEFT JOIN atoll.table_facts(to_regclass(%1$L)) f ON true', name) FROM unnest(shards) WITH ORDINALITY u (name, n) ORDER BY n), 'read') x;
    SELECT array_agg(to_jsonb(x.answer) ORDER BY x.statement) INTO counts FROM atoll.ask_nodes(ids, ARRAY (SELECT
        CASE WHEN (there[n] ->> 1)::jsonb ? t.key THEN format('SELECT count(*), count(*) FILTER (WHERE (%s) IS NOT TRUE) FROM %s', atoll.slot_condition(t, slots[n]), shards[n]) ELSE 'SELECT NULL, 0' END
        FROM generate_subscripts(shards, 1) n ORDER BY n), 'read') x;
    FOR i IN 1 .. cardinality(slots) LOOP
        slot := slots[i];
        node := names[i];
        shard := shards[i];
        "rows" := counts[i] ->> 0;
        problem := CASE WHEN there[i] ->> 0 IS NULL THEN 'the table is missing' ELSE nullif(concat_ws('; ',
            (SELECT string_agg(format('column %I is %s there and %s here', key, coalesce(t.value, 'missing'), coalesce(h.value, 'missing')), '; ' ORDER BY key)
                FROM jsonb_each_text((there[i] ->> 1)::jsonb) t FULL JOIN jsonb_each_text(here.columns) h USING (key) WHERE t.value IS DISTINCT FROM h.value),
            CASE WHEN (there[i] ->> 2)::text[] <> here.constraints THEN format('constraints are %s there and %s here', there[i] ->> 2, here.constraints) END,
            CASE WHEN (there[i] ->> 3)::text[] <> here.indexes THEN format('indexes are %s there and %s here', there[i] ->> 3, here.indexes) END,
            CASE WHEN NOT (there[i] ->> 4)::bool THEN 'the constraint atoll_slot is missing' END,
            CASE WHEN counts[i] ->> 1 <> '0' THEN counts[i] ->> 1 || ' rows belong to other slots' END), '') END;
        RETURN NEXT;
    END LOOP;
    SELECT array_agg(n.node_id ORDER BY n.node_id), array_agg(n.name ORDER BY n.node_id) INTO ids, names FROM atoll.node n WHERE n.enabled;
    RETURN QUERY SELECT NULL::int4, names[x.statement], format('%I.%I', t.shard_schema, x.answer[1]), NULL::int8, 'the table belongs to no slot of this node'
        FROM atoll.ask_nodes(ids, array_fill(format('SELECT relname FROM pg_class WHERE relkind = ''r'' AND relnamespace = to_regnamespace(%L) AND left(relname, %s) = %L AND substr(relname, %s) ~ ''^[0-9]{4}$'' ORDER BY 1',
            quote_ident(t.shard_schema), length(t.shard_prefix) + 1, t.shard_prefix || '_', length(t.shard_prefix) + 2), ARRAY[cardinality(ids)]), 'read') x
        WHERE x.answer IS NOT NULL AND NOT EXISTS (SELECT FROM atoll.slot s WHERE s.group_id = t.group_id AND s.node_id = ids[x.statement] AND atoll.shard_name(t.shard_prefix, s.slot) = x.answer[1]);
END $$;

-- They read what is no secret, as whoever is allowed to call them.
GRANT SELECT ON colocation_group, slot TO PUBLIC;
GRANT SELECT (node_id, name, enabled) ON node TO PUBLIC;
GRANT SELECT ON nodes, tables, slots TO PUBLIC;
REVOKE ALL ON FUNCTION ask_nodes(int4[], text[], text), ranges(distributed_table), distributed(regclass), shard_of(regclass, text), shard_of(regclass, anyelement),
    topology(regclass), run_on_nodes(text, bool), run_on_slots(regclass, text, bool), verify(regclass) FROM PUBLIC;
