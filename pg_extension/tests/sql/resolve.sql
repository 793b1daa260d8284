-- Rules for writes that did not know of each other.
CREATE EXTENSION atoll;
SET search_path = public, atoll;

-- The last writer: by time, then by the lower node id, which is the hash of the name and not its spelling.
SELECT resolve_lww('2026-11-23T02:00:00.001Z/0000@a', '2026-11-23T02:00:00.002Z/0000@b', '2026-11-23T02:00:00.001Z/ffff@c');
SELECT a, b, resolve_lww(a, b) = resolve_lww(b, a) AS either_way, node(resolve_lww(a, b)) AS winner, hash64(node(a))::bit(64) < hash64(node(b))::bit(64) AS first_is_lower
FROM (VALUES ('2026-11-23T02:00:00.001Z/0000@a'::hlc, '2026-11-23T02:00:00.001Z/0000@b'::hlc), ('2026-11-23T02:00:00.001Z/0000@b', '2026-11-23T02:00:00.001Z/0000@c')) p (a, b);
SELECT resolve_lww(NULL, '2026-11-23T02:00:00.002Z/0000@b', NULL), resolve_lww(NULL, NULL), resolve_lww(VARIADIC '{}'), resolve_lww(VARIADIC NULL);

-- A first write, a change of one field beside a change of another, and a deletion.
CREATE TABLE docs (n int, d jsonb);
INSERT INTO docs VALUES (1, write_fields(NULL, '{"name":"Kim","tags":["a"],"home":{"city":"Jeju","zip":"63000"}}', '2026-11-23T02:00:00.001Z/0000@a'));
INSERT INTO docs SELECT 2, write_fields(d, '{"name":"Kim","tags":["a"],"home":{"city":"Seoul","zip":"63000"}}', '2026-11-23T02:00:00.002Z/0000@a') FROM docs WHERE n = 1;
INSERT INTO docs SELECT 3, write_fields(d, '{"name":"Kim Min","tags":["a"],"home":{"city":"Jeju"}}', '2026-11-23T02:00:00.002Z/0000@b') FROM docs WHERE n = 1;
SELECT n, jsonb_pretty(d) FROM docs ORDER BY n;
SELECT jsonb_pretty(resolve_fields(VARIADIC array_agg(d ORDER BY n))) FROM docs;
SELECT count(DISTINCT resolve_fields(a.d, b.d, c.d)) AS results, bool_and(resolve_fields(resolve_fields(a.d, b.d), c.d) = resolve_fields(a.d, resolve_fields(b.d, c.d))) AS associates
FROM docs a, docs b, docs c WHERE (a.n, b.n, c.n) IN ((1, 2, 3), (3, 2, 1), (2, 3, 1), (2, 1, 3), (3, 1, 2), (1, 3, 2));
SELECT resolve_fields(d) = d AS alone, resolve_fields(d, NULL, d) = d AS repeated, resolve_fields(NULL, NULL), resolve_fields(VARIADIC '{}') FROM docs WHERE n = 2;

-- Numbers keep their digits, names may hold slashes and tildes, an object written over a field replaces it.
SELECT write_fields(NULL, '{"big":12345678901234567890.10,"a/b":{"~c":1,"":2},"empty":{},"nothing":null}', '2026-11-23T02:00:00.001Z/0000@노드');
SELECT resolve_fields(write_fields(NULL, '{"a/b":{"~c":1}}', '2026-11-23T02:00:00.001Z/0000@a'), write_fields(NULL, '{"a/b":{"~1":2}}', '2026-11-23T02:00:00.002Z/0000@a')) -> 'doc' AS doc;
SELECT resolve_fields(a, write_fields(a, '{"x":{"y":1}}', '2026-11-23T02:00:00.003Z/0000@b'), write_fields(a, '{"x":2}', '2026-11-23T02:00:00.002Z/0000@c')) AS doc
FROM write_fields(NULL, '{"x":1}', '2026-11-23T02:00:00.001Z/0000@a') a;
SELECT write_fields(NULL, NULL, '2026-11-23T02:00:00.001Z/0000@a') IS NULL AS no_document, write_fields(NULL, '{}', NULL) IS NULL AS no_stamp;

-- What is no stored document is refused, and says why.
SELECT resolve_fields('{"name":"Kim"}');
SELECT resolve_fields('[]');
SELECT resolve_fields('{"doc":{"a":1},"stamps":{}}');
SELECT resolve_fields('{"doc":{"a":1},"stamps":{"/a":"yesterday"}}');
SELECT resolve_fields('{"doc":{"a":1},"stamps":{"/a":1}}');
SELECT resolve_fields('{"doc":{"a":1},"stamps":{"/a":"2026-11-23T02:00:00.001Z/0000@a","b":"2026-11-23T02:00:00.001Z/0000@a"}}');
SELECT resolve_fields('{"doc":{"a":1},"stamps":{"/a":"2026-11-23T02:00:00.001Z/0000@a","/b~2":"2026-11-23T02:00:00.001Z/0000@a"}}');
SELECT resolve_fields('{"doc":{"a":{"b":1}},"stamps":{"/a/b":"2026-11-23T02:00:00.001Z/0000@a","/a":"2026-11-23T02:00:00.002Z/0000@a"}}');
SELECT resolve_fields('{"doc":{},"stamps":{},"more":1}');
SELECT write_fields('{"name":"Kim"}', '{}', '2026-11-23T02:00:00.001Z/0000@a');
SELECT write_fields(NULL, '[1]', '2026-11-23T02:00:00.001Z/0000@a');
SELECT write_fields(NULL, '"text"', '2026-11-23T02:00:00.001Z/0000@a');
SELECT resolve_fields('{"doc":[],"stamps":{}}');
-- A write is later than what it has read, or other copies would not take it.
SELECT latest_stamp(d), latest_stamp('{"doc":{},"stamps":{}}') IS NULL AS none FROM docs WHERE n = 3;
SELECT write_fields(d, '{}', '2026-11-23T02:00:00.002Z/0000@b') FROM docs WHERE n = 3;
SELECT write_fields(d, '{}', hlc_tick(latest_stamp(d), 'b')) -> 'doc' AS doc FROM docs WHERE n = 3;
DROP TABLE docs;
DROP EXTENSION atoll;
