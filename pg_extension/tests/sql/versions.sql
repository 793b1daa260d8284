-- The types vclock and hlc: text and bytes, causal order, merging, stamps.
CREATE EXTENSION atoll;
SET search_path = public, atoll;
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- One canonical text, read in any JSON spelling; 0 is absence.
SELECT '{ "B": 3, "A":1, "C":0 }'::vclock, '{}'::vclock, '{"섬":18446744073709551615,"q\"uote":1}'::vclock, '{"A":1,"B":3}'::vclock::text::jsonb ->> 'B' AS counter;
SELECT '2026-11-23T02:00:00.123Z/0007@node'::hlc, node('2026-11-23T02:00:00.123Z/00ff@10.0.0.1:7400'), counter('2026-11-23T02:00:00.123Z/00ff@a'), wall_time('2026-11-23T02:00:00.123Z/0007@a'),
    wall_time('10889-08-02T05:31:50.655Z/ffff@a');

-- Bad text is 22P02, and the detail says what is wrong and where.
\set VERBOSITY sqlstate
SELECT '{"A":-1}'::vclock;
SELECT '2026-11-23T02:00:00.123Z/000G@a'::hlc;
\set VERBOSITY default
SELECT '{"A":-1}'::vclock;
SELECT '{"A":1,"A":2}'::vclock;
SELECT '{"A":1'::vclock;
SELECT ''::vclock;
SELECT ('{"' || repeat('n', 300) || '":1}')::vclock;
SELECT '2026-11-23T02:00:00.123Z/000G@a'::hlc;
SELECT '2026-02-30T02:00:00.123Z/0007@a'::hlc;
SELECT '2026-11-23T02:00:00.123Z/0007'::hlc;
SELECT '2026-11-23T02:00:00.123Z/0007@'::hlc;

-- The four answers, and the operators over them.
CREATE TABLE pairs (a vclock, b vclock);
INSERT INTO pairs VALUES ('{}', '{}'), ('{"A":1}', '{"A":1}'), ('{"A":1}', '{"A":2}'), ('{"A":2,"B":1}', '{"A":1}'), ('{"A":2}', '{"B":1}'), ('{"A":2,"B":1}', '{"A":1,"B":2,"C":1}'), (NULL, '{}');
SELECT a, b, compare(a, b), a = b AS "=", a <> b AS "<>", a < b AS "<", a <= b AS "<=", a > b AS ">", a >= b AS ">=", a || b AS "||", a + b AS "+" FROM pairs;
SELECT tick('{"A":1}', 'A'), tick('{"A":1}', '섬'), tick(NULL::vclock, 'A'), tick('{"A":1}'::vclock, NULL);
SELECT tick('{"A":18446744073709551615}'::vclock, 'A');
SELECT tick('{}'::vclock, '');

-- A partial order sorts nothing, but equality groups, joins and indexes.
SELECT * FROM pairs ORDER BY a;
CREATE INDEX ON pairs (a);
SELECT count(DISTINCT a::text), (SELECT count(*) FROM (SELECT a FROM pairs GROUP BY a) g) AS groups, (SELECT count(*) FROM pairs x JOIN pairs y ON x.a = y.b) AS joined FROM pairs;
CREATE INDEX pairs_by_clock ON pairs USING hash (a);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM pairs WHERE a = '{"A":2}';
SELECT * FROM pairs WHERE a = '{"A":2}';
RESET enable_seqscan;
SELECT opcname, opcdefault, amvalidate(oid) FROM pg_opclass WHERE opcnamespace = 'atoll'::regnamespace AND opcname !~ '_ops_v1$' ORDER BY 1;
SELECT bool_and(vclock_hash_extended(a, 0)::bit(64)::bit(64) << 32 = vclock_hash(a)::bit(32)::bit(64)) AS halves_agree, count(DISTINCT vclock_hash_extended(a, 7)) FROM pairs WHERE a IS NOT NULL;

-- Merging many: NULL is passed over, nothing merges to NULL, and parallel workers agree with one.
SELECT merge(a) FROM pairs;
SELECT merge(a) FROM pairs WHERE a IS NULL;
CREATE TABLE clocks AS SELECT i % 5 AS g, tick(format('{"n%s":%s}', i % 7, i)::vclock, 'n' || i % 3) AS c FROM generate_series(1, 30000) i;
ANALYZE clocks;
SELECT g, merge(c) FROM clocks GROUP BY g ORDER BY g;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT merge(c) FROM clocks;
CREATE TABLE in_parallel AS SELECT merge(c) AS c FROM clocks;
SET max_parallel_workers_per_gather = 0;
SELECT merge(clocks.c) = in_parallel.c AS same FROM clocks, in_parallel GROUP BY in_parallel.c;
RESET ALL;
SET search_path = public, atoll;
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- Clocks too large for a page.
CREATE TABLE wide (c vclock);
ALTER TABLE wide ALTER c SET STORAGE EXTERNAL;
INSERT INTO wide SELECT ('{' || string_agg(format('"node-%s":%s', i, i), ',') || '}')::vclock FROM generate_series(1, 3000) i;
SELECT pg_column_size(c) > 8192 AS out_of_line, c = c + '{}' AS same, compare(c, tick(c, 'x')), octet_length(vclock_send(c)) FROM wide;

-- The wire form is the stored form, and bytes that are no clock are refused.
CREATE TABLE wire (c vclock, s hlc);
INSERT INTO wire VALUES ('{"A":1,"B":3}', '2026-11-23T02:00:00.123Z/0007@node');
SELECT vclock_send(c), hlc_send(s) FROM wire;
\getenv directory PGHOST
\set file :directory '/versions.bin'
COPY wire TO :'file' (FORMAT binary);
COPY wire FROM :'file' (FORMAT binary);
SELECT count(*), count(DISTINCT c::text), count(DISTINCT s) FROM wire;
COPY (SELECT '\x0101014100'::bytea, hlc_send(s) FROM wire LIMIT 1) TO :'file' (FORMAT binary);
\set VERBOSITY terse
COPY wire FROM :'file' (FORMAT binary);
COPY (SELECT vclock_send(c), hlc_send(s) || '\x00' FROM wire LIMIT 1) TO :'file' (FORMAT binary);
COPY wire FROM :'file' (FORMAT binary);
\set VERBOSITY default

-- Stamps have a total order: time, then the bytes of the name.
SELECT s FROM unnest('{2026-11-23T02:00:00.123Z/0008@a,2026-11-23T02:00:00.123Z/0007@b,2026-11-23T02:00:00.123Z/0007@a,1970-01-01T00:00:00.000Z/0000@z}'::hlc[]) s ORDER BY s;
SELECT max(s), min(s) FROM wire;
CREATE TABLE stamps AS SELECT hlc_tick(NULL::hlc, 'n' || i % 10) AS s, i FROM generate_series(1, 1000) i;
CREATE INDEX stamps_in_order ON stamps (s);
ANALYZE stamps;
EXPLAIN (COSTS OFF) SELECT s FROM stamps ORDER BY s DESC LIMIT 1;
SELECT max(s) = (SELECT s FROM stamps ORDER BY s DESC LIMIT 1) AS same FROM stamps;
SELECT abs(extract(epoch FROM now() - wall_time(hlc_tick(NULL::hlc, 'a')))) < 60 AS of_this_minute, hlc_tick('2999-01-01T00:00:00.000Z/ffff@b'::hlc, 'a'), hlc_tick(NULL::hlc, NULL) IS NULL AS nobody;
SELECT count(*) AS repeated FROM (WITH RECURSIVE clock (s, n) AS (SELECT hlc_tick(NULL::hlc, 'a'), 1 UNION ALL SELECT hlc_tick(s, 'a'), n + 1 FROM clock WHERE n < 1000)
    SELECT s, lag(s) OVER (ORDER BY n) AS before FROM clock) c WHERE s <= before;
SELECT hlc_tick(NULL::hlc, E'a\nb');
SELECT hlc_tick('10889-08-02T05:31:50.655Z/ffff@a'::hlc, 'a');

-- In another encoding: names come and go as text of the server; what it cannot show is not let in.
COPY (SELECT '{"섬":1}'::vclock) TO :'file' (FORMAT binary);
CREATE DATABASE atoll_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
\c atoll_latin1
CREATE EXTENSION atoll;
SET client_encoding = 'UTF8';
SELECT atoll.vclock_send('{"é":1}'), '{"é":1}'::atoll.vclock, atoll.node('2026-11-23T02:00:00.123Z/0007@é') = 'é' AS same;
CREATE TABLE c (c atoll.vclock);
\getenv directory PGHOST
\set file :directory '/versions.bin'
COPY c FROM :'file' (FORMAT binary);
\c postgres
DROP DATABASE atoll_latin1;
DROP TABLE pairs, clocks, in_parallel, wide, wire, stamps;
DROP EXTENSION atoll;
