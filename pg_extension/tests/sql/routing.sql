-- Routing functions: what they answer, what they refuse, and to whom they belong.
CREATE EXTENSION atoll;
SET search_path = atoll, public;

-- One key, one place, whatever its type is called.
SELECT hash64('') = hash64(''::bytea) AS same, to_hex(hash64('')) AS xxh3_of_nothing;
SELECT slot_of('user:1', 4096), slot_of('user:1'::varchar(20), 4096), slot_of('user:1'::bytea, 4096), slot_of('user:1'::name, 4096);
SELECT slot_of(42::int2, 4096), slot_of(42, 4096), slot_of(42::int8, 4096), slot_of('\x800000000000002a'::bytea, 4096);
SELECT slot_of('10000000-0000-0000-0000-000000000001'::uuid, 64) = slot_of('\x10000000000000000000000000000001'::bytea, 64) AS same;
SELECT encode_key(-1), encode_key((-32768)::int2), encode_key(9223372036854775807), encode_key('섬'), encode_key('a0000000-0000-0000-0000-00000000000b'::uuid);

-- The second encoding hashes integers as text, as programs do that shard by str(id).
SELECT encode_key(-42, 'decimal'), modulo(42, 1000, 'md5', 'decimal'), modulo('42', 1000, 'md5'), modulo(42, 1000, 'md5');
SELECT hash64(42, 'decimal') = hash64('42') AS same, slot_of(42::int2, 64, 'decimal') = slot_of('42', 64) AS same,
    jump(42::int8, 10, 'decimal') = jump('42', 10) AS same, ring_node(42, '{a,b,c}', encoding => 'decimal') = ring_node('42', '{a,b,c}') AS same;

-- Rings: weights, distinct replicas, hashes of other programs.
SELECT ring_node('user:1', '{a,b=2,c}'), ring_nodes('user:1', '{a,b=2,c}', 2), ring_nodes('user:1', '{a,b=2,c,d=0}', 9), ring_nodes('user:1', '{a}', 0);
SELECT ring_node('user:1', '{a,b,c}', 40, 'sha1'), ring_node('user:1', '{10.0.0.1:11211=2,섬}', hash => 'md5');
SELECT hash, modulo('user:1', 1000, hash) FROM unnest('{xxh3,xxh64,sha1,md5,crc32,murmur3}'::text[]) hash;

-- Ranges begin with their split. Text splits ascend by bytes, whatever the collation says.
SELECT x, range_of(x, '{-5,0,1000}'::int[]) FROM unnest('{-6,-5,-1,0,999,1000}'::int[]) x;
SELECT range_of('g', '{g,n}'::text[]), range_of('fz', '{g,n}'::text[]), range_of('Z', '{a,b}'::text[]), range_of('x', '{}'::text[]);
SELECT range_of(70000::int8, '{10,20}'::int4[]), range_of(15::int2, '{10,20}'::int2[]), range_of('\x10'::bytea, '{\\x0f,\\x11}'::bytea[]);

-- NULL in, NULL out.
SELECT hash64(NULL::text), slot_of(NULL::int8, 4), slot_of(1, NULL), ring_node(NULL::text, '{a}'), ring_node('a', NULL), modulo(1, 4, NULL), range_of(1, NULL);

-- What cannot be meant is refused, with SQLSTATE 22023 unless it says otherwise.
\set VERBOSITY sqlstate
SELECT slot_of('a', 0);
SELECT ring_node('a', '{a,NULL}');
SELECT ring_node('a', '{{a},{b}}');
SELECT hash64('a' COLLATE "default" || 'a' COLLATE "C");
\set VERBOSITY terse
SELECT slot_of('a', 0);
SELECT slot_of('a', -1);
SELECT modulo('a', 0);
SELECT jump('a', 0);
SELECT modulo('a', 4, 'siphash');
SELECT hash64(1, 'octal');
SELECT ring_node('a', '{}');
SELECT ring_node('a', '{a,NULL}');
SELECT ring_node('a', '{{a},{b}}');
SELECT ring_node('a', '{a,a}');
SELECT ring_node('a', '{a=x}');
SELECT ring_node('a', '{a=0}');
SELECT ring_node('a', '{a=1@zone}');
SELECT ring_node('a', '{a}', 0);
SELECT ring_node('a', '{a=4294967295}');
SELECT ring_nodes('a', '{a}', -1);
SELECT range_of(1, '{3,2}'::int[]);
SELECT range_of('a', '{b,b}'::text[]);
-- An encoding means nothing to text: there is no such function.
SELECT slot_of('a'::text, 4, 'decimal');
\set VERBOSITY default

-- Under a nondeterministic collation equal strings have different bytes.
CREATE COLLATION public.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE public.loose_keys (t text COLLATE public.loose, u text);
INSERT INTO public.loose_keys VALUES ('A', 'a');
SELECT encode_key(t) FROM public.loose_keys;
SELECT slot_of(t, 4) FROM public.loose_keys;
SELECT ring_node(t, '{a,b}') FROM public.loose_keys;
SELECT slot_of(t COLLATE "C", 4), slot_of(u, 4) FROM public.loose_keys;
SELECT slot_of(t || u, 4) FROM public.loose_keys;
-- Two collations that contradict each other are none.
CREATE TABLE public.two_collations AS SELECT 'a' COLLATE "C" AS c, 'b' COLLATE "POSIX" AS p;
SELECT slot_of(c || p, 4) FROM public.two_collations;
DROP TABLE public.two_collations;

-- Long keys, compressed and out of line, are the same keys.
CREATE TABLE public.long_keys (t text, e text, b bytea);
ALTER TABLE public.long_keys ALTER e SET STORAGE EXTERNAL;
INSERT INTO public.long_keys SELECT t, t, convert_to(t, 'UTF8') FROM repeat('섬 ', 100000) t;
SELECT pg_column_size(t) < 10000 AS compressed, pg_column_size(e) AS out_of_line,
    hash64(t) = hash64(repeat('섬 ', 100000)) AND hash64(t) = hash64(e) AND hash64(e) = hash64(b) AS same FROM public.long_keys;

-- A call site follows its arguments when they change, also in PL/pgSQL, where the expression stays the same.
CREATE TABLE public.rings (nodes text[], vnodes int, hash text);
INSERT INTO public.rings SELECT CASE i % 3 WHEN 0 THEN '{a,b,c}' WHEN 1 THEN '{d,e}' ELSE ARRAY[i::text] END, 40 + i % 2, CASE i % 4 WHEN 3 THEN 'sha1' ELSE 'xxh3' END
FROM generate_series(1, 60) i;
CREATE FUNCTION public.ring_by_constants(x text, nodes text[], vnodes int, hash text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE node text;
BEGIN
    EXECUTE format('SELECT atoll.ring_node(%L, %L, %L, %L)', x, nodes, vnodes, hash) INTO node;
    RETURN node;
END $$;
CREATE FUNCTION public.ring_in_a_loop() RETURNS int LANGUAGE plpgsql AS $$
DECLARE r record; node text; wrong int := 0;
BEGIN
    FOR r IN SELECT * FROM public.rings LOOP
        node := atoll.ring_node('user:7', r.nodes, r.vnodes, r.hash);
        wrong := wrong + (node <> public.ring_by_constants('user:7', r.nodes, r.vnodes, r.hash))::int;
    END LOOP;
    RETURN wrong;
END $$;
SELECT count(*) AS calls, count(*) FILTER (WHERE ring_node('user:7', nodes, vnodes, hash) <> public.ring_by_constants('user:7', nodes, vnodes, hash)) AS wrong FROM public.rings;
SELECT public.ring_in_a_loop() AS wrong;
-- Nodes that differ from those before only behind the first one, and splits likewise.
SELECT count(DISTINCT ring_node('user:7', ARRAY['a', 'b' || i], 1)) > 1 AS follows, count(DISTINCT range_of(50, ARRAY[1, i])) AS ranges FROM generate_series(2, 99) i;

-- Every function is immutable, strict and parallel safe, and everybody may call it.
SELECT count(*) AS functions, count(*) FILTER (WHERE provolatile = 'i' AND proisstrict AND proparallel = 's') AS as_promised
FROM pg_proc WHERE pronamespace = 'atoll'::regnamespace
AND proname IN ('hash64', 'slot_of', 'ring_node', 'ring_nodes', 'modulo', 'jump', 'range_of', 'encode_key', 'partition_hash_v1');
SELECT proname, count(*), bool_and(has_function_privilege('public', oid, 'EXECUTE')) AS everybody
FROM pg_proc WHERE pronamespace = 'atoll'::regnamespace AND proname IN ('hash64', 'slot_of', 'ring_node', 'ring_nodes', 'modulo', 'jump', 'range_of', 'encode_key', 'partition_hash_v1')
GROUP BY 1 ORDER BY 1;
CREATE ROLE atoll_reader;
SET ROLE atoll_reader;
SELECT atoll.slot_of('a', 64);
CREATE TABLE atoll.mine (x int);
RESET ROLE;
DROP ROLE atoll_reader;

-- Immutable: an index on the slot is used for it.
CREATE TABLE public.indexed AS SELECT i AS id FROM generate_series(1, 1000) i;
CREATE INDEX ON public.indexed (slot_of(id, 16));
ANALYZE public.indexed;
SET enable_seqscan = off;
SELECT count(*) = (SELECT count(*) FROM generate_series(1, 1000) i WHERE slot_of(i, 16) = 3) AS all_found FROM public.indexed WHERE slot_of(id, 16) = 3;
EXPLAIN (COSTS OFF) SELECT * FROM public.indexed WHERE slot_of(id, 16) = slot_of(42, 16);

-- Text is hashed as UTF-8 whatever the server's encoding, and names of nodes come back in it.
CREATE DATABASE atoll_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
\c atoll_latin1
CREATE EXTENSION atoll;
SET client_encoding = 'UTF8';
SELECT octet_length('é') AS bytes, atoll.encode_key('é'), atoll.hash64('é') = atoll.hash64('\xc3a9'::bytea) AS same,
    atoll.ring_node('x', '{é}') = 'é' AS came_back, atoll.ring_nodes('x', '{é=2}', 1) = '{é}' AS came_back, atoll.range_of('é', '{é}'::text[]);
\c postgres
DROP DATABASE atoll_latin1;
-- SQL_ASCII does not know its encoding: what is no UTF-8 is refused.
CREATE DATABASE atoll_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
\c atoll_ascii
CREATE EXTENSION atoll;
SELECT atoll.encode_key(E'\xc3\xa9');
SELECT atoll.encode_key(E'\xe9');
\c postgres
DROP DATABASE atoll_ascii;
DROP TABLE public.rings, public.indexed, public.long_keys, public.loose_keys;
DROP FUNCTION public.ring_by_constants, public.ring_in_a_loop;
DROP COLLATION public.loose;
DROP EXTENSION atoll;
