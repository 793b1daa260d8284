-- Native partitions by the operator classes: rows lie where slot_of says, and plans show it.
CREATE EXTENSION atoll;
SET search_path = public, atoll;

CREATE FUNCTION make_slots(parent text, slots int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR slot IN 0 .. slots - 1 LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS %s, REMAINDER %s)', parent || '_' || slot, parent, slots, slot);
    END LOOP;
END $$;
CREATE TABLE k8 (id int8, v text) PARTITION BY HASH (id atoll.int8_ops_v1);
CREATE TABLE k4 (id int4, v text) PARTITION BY HASH (id atoll.int4_ops_v1);
CREATE TABLE k2 (id int2, v text) PARTITION BY HASH (id atoll.int2_ops_v1);
CREATE TABLE kt (id text, v text) PARTITION BY HASH (id atoll.text_ops_v1);
CREATE TABLE kv (id varchar(40), v text) PARTITION BY HASH (id atoll.text_ops_v1);
CREATE TABLE kb (id bytea, v text) PARTITION BY HASH (id atoll.bytea_ops_v1);
CREATE TABLE ku (id uuid, v text) PARTITION BY HASH (id atoll.uuid_ops_v1);
SELECT make_slots(t, 32) FROM unnest('{k8,k4,k2,kt,kv,kb,ku}'::text[]) t;
INSERT INTO k8 SELECT i * 6148914691236516 + i, 'v' FROM generate_series(-1500, 1500) i;
INSERT INTO k8 VALUES (9223372036854775807, 'largest'), (-9223372036854775808, 'smallest'), (42, '42');
INSERT INTO k4 SELECT i * 1431655 + i, 'v' FROM generate_series(-1499, 1499) i;
INSERT INTO k2 SELECT i, 'v' FROM generate_series(-32768, 32767, 23) i;
INSERT INTO kt SELECT 'user:' || i || '/섬', 'v' FROM generate_series(1, 3000) i;
INSERT INTO kt VALUES ('', 'empty'), (repeat('long', 20000), 'long');
INSERT INTO kv SELECT 'user:' || i, 'v' FROM generate_series(1, 3000) i;
INSERT INTO kb SELECT decode(md5(i::text), 'hex') || substr('\x00ff'::bytea, 1, i % 3), 'v' FROM generate_series(1, 3000) i;
INSERT INTO ku SELECT md5(i::text)::uuid, 'v' FROM generate_series(1, 3000) i;
CREATE FUNCTION misrouted(parent text) RETURNS TABLE (table_ text, rows bigint, partitions bigint, misrouted bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT %L, count(*), count(DISTINCT tableoid), count(*) FILTER (WHERE tableoid::regclass::text <> %L || slot_of(id, 32)) FROM %I', parent, parent || '_', parent);
END $$;
SELECT m.* FROM unnest('{k8,k4,k2,kt,kv,kb,ku}'::text[]) t, misrouted(t) m;

-- Constants of every integer type, on either side; IN and ANY; OR.
CREATE FUNCTION scans(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; found text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        found := found || coalesce(' ' || (regexp_match(line, 'Scan(?: using \w+)? on (\w+)'))[1], '') || coalesce(' ' || (regexp_match(line, 'Subplans Removed: \d+'))[1], '');
    END LOOP;
    RETURN CASE WHEN length(found) > 100 THEN 'ALL' ELSE trim(found) END;
END $$;
SELECT slot_of(42, 32), slot_of(1, 32), slot_of(2, 32), slot_of('user:1/섬', 32), slot_of('user:7', 32);
EXPLAIN (COSTS OFF) SELECT * FROM k8 WHERE id = 42;
SELECT cond, scans('SELECT * FROM k8 WHERE ' || cond) AS k8, scans('SELECT * FROM k4 WHERE ' || cond) AS k4, scans('SELECT * FROM k2 WHERE ' || cond) AS k2
FROM unnest(ARRAY['id = 42', 'id = 42::int2', 'id = 42::int4', 'id = 42::int8', 'id = ''42''', '42 = id', '42::int8 = id', '42::int2 = id',
    'id IN (1, 2)', 'id = ANY (''{1,2}''::int2[])', 'id = ANY (''{1,2}''::int4[])', 'id = ANY (''{1,2}''::int8[])', 'id = ANY (ARRAY[1, 2]::int8[])', 'id = 1 OR id = 42::int8', 'id = 40 + 2',
    'id = 42 AND v > ''a''', 'id IS NULL', 'id = NULL', 'id > 42', 'id <> 42', 'id = 42::numeric']) cond;
SELECT cond, scans('SELECT * FROM kt WHERE ' || cond) AS kt FROM unnest(ARRAY['id = ''user:1/섬''', 'id = ''user:1/섬''::varchar', 'id IN (''user:7'', ''user:1/섬'')', 'id LIKE ''user:1/섬''', 'id = ''user:1/섬'' COLLATE "C"']) cond;
SELECT scans($$SELECT * FROM kv WHERE id = 'user:7'$$) AS kv, scans($$SELECT * FROM kb WHERE id = '\x00'$$) AS kb,
    scans($$SELECT * FROM ku WHERE id = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'$$) AS ku, slot_of('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 32), slot_of('\x00'::bytea, 32);

-- Parameters, in plans made once for all values and in plans made for each.
SET plan_cache_mode = force_generic_plan;
PREPARE by_int8(int8) AS SELECT * FROM k8 WHERE id = $1;
PREPARE by_int4(int4) AS SELECT * FROM k8 WHERE id = $1;
PREPARE by_int2(int2) AS SELECT * FROM k8 WHERE id = $1;
PREPARE by_text(text) AS SELECT * FROM kt WHERE id = $1;
PREPARE by_any(int8[]) AS SELECT count(*) FROM k8 WHERE id = ANY ($1);
EXPLAIN (COSTS OFF) EXECUTE by_int8(42);
SELECT scans('EXECUTE by_int4(42)') AS by_int4, scans('EXECUTE by_int2(42::int2)') AS by_int2, scans($$EXECUTE by_text('user:1/섬')$$) AS by_text;
EXECUTE by_int8(42);
EXECUTE by_int4(42);
EXECUTE by_int2(42);
EXECUTE by_text('user:1/섬');
SET plan_cache_mode = force_custom_plan;
SELECT scans('EXECUTE by_any(''{1,2}'')') AS by_any, scans('EXECUTE by_int4(42)') AS by_int4;
RESET plan_cache_mode;

-- Updates and deletes prune; a changed key moves its row; joins prune while they run.
SELECT scans('UPDATE k8 SET v = ''x'' WHERE id = 42') AS update, scans('DELETE FROM k8 WHERE id = 42::int2') AS delete;
UPDATE k8 SET id = 43 WHERE id = 42 RETURNING tableoid::regclass, slot_of(id, 32);
SET enable_hashjoin = off;
SET enable_mergejoin = off;
CREATE TABLE wanted (k int4);
INSERT INTO wanted VALUES (43), (1), (2);
INSERT INTO k8 VALUES (1), (2);
CREATE INDEX ON k8 (id);
ANALYZE k8;
SELECT count(*) FROM wanted JOIN k8 ON k8.id = wanted.k;
CREATE FUNCTION never_executed(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE line text; found int := 0;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
        found := found + (line LIKE '%never executed%')::int;
    END LOOP;
    RETURN found;
END $$;
SELECT never_executed('SELECT * FROM wanted JOIN k8 ON k8.id = wanted.k');
RESET enable_hashjoin;
RESET enable_mergejoin;

-- Twice as many slots: each old one is split in two, and only its own rows move.
CREATE TABLE half (id int8) PARTITION BY HASH (id atoll.int8_ops_v1);
CREATE TABLE half_1 PARTITION OF half FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE half_0_of_4 PARTITION OF half FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE half_2_of_4 PARTITION OF half FOR VALUES WITH (MODULUS 4, REMAINDER 2);
INSERT INTO half SELECT generate_series(1, 1000);
SELECT tableoid::regclass, min(slot_of(id, 4)), max(slot_of(id, 4)), min(slot_of(id, 2)) FROM half GROUP BY 1 ORDER BY 1;

-- NULL has no slot, but PostgreSQL puts it into the partition of remainder 0: make keys NOT NULL.
INSERT INTO k8 VALUES (NULL) RETURNING tableoid::regclass;
DELETE FROM k8 WHERE id IS NULL;

-- Nondeterministic collations: text keys that are equal would lie apart.
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE kl (id text COLLATE loose) PARTITION BY HASH (id atoll.text_ops_v1);
SELECT make_slots('kl', 2);
INSERT INTO kl VALUES ('a');
DROP TABLE kl;
DROP COLLATION loose;

-- The classes are for partitioning only: no index is built on them, and other joins do not meet them.
CREATE INDEX ON k8_0 USING hash (id atoll.int8_ops_v1);
SELECT opcname, opcdefault, amvalidate(c.oid) FROM pg_opclass c WHERE opcnamespace = 'atoll'::regnamespace AND opcname ~ '_ops_v1$' ORDER BY 1;
SELECT f.opfname, count(*) AS operators FROM pg_amop o JOIN pg_opfamily f ON o.amopfamily = f.oid WHERE f.opfnamespace = 'atoll'::regnamespace AND f.opfname ~ '_ops_v1$' GROUP BY 1 ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT count(*) FROM wanted a JOIN wanted b ON a.k = b.k::int8;
SET enable_mergejoin = off;
SET enable_nestloop = off;
SELECT count(*) FROM wanted a JOIN wanted b ON a.k = b.k::int8;
DROP TABLE k8, k4, k2, kt, kv, kb, ku, half, wanted;
DROP FUNCTION make_slots, misrouted, scans, never_executed;
DROP EXTENSION atoll;
