-- Conditions, orders, limits and expressions on one table. A line is a question; indented lines belong to the one before.
SELECT * FROM item WHERE id = 42
SELECT * FROM item ORDER BY id
SELECT id, name FROM item WHERE id IN (1, 5, 600, 601) ORDER BY id
SELECT id FROM item WHERE id = ANY ('{3,4,NULL}'::int8[]) ORDER BY id
SELECT id FROM item WHERE id = ANY (ARRAY(SELECT generate_series(10, 15))) ORDER BY id
SELECT id FROM item WHERE id BETWEEN 100 AND 110 ORDER BY id DESC
SELECT id FROM item WHERE id > 590 OR id < 3 ORDER BY 1
SELECT id FROM item WHERE NOT (id > 5) ORDER BY 1
SELECT id FROM item WHERE id = 7::int2 OR id = 8::int4
SELECT id FROM item WHERE id = 9::numeric
SELECT id FROM item WHERE id = 9.5::numeric
SELECT id FROM item WHERE id::text = '17'
SELECT id FROM item WHERE id + 1 = 18
SELECT id FROM item WHERE id = NULL
SELECT count(*) FROM item WHERE id IS NULL
SELECT count(*) FROM item WHERE id IS NOT NULL
SELECT count(*) FROM item WHERE name IS NULL
SELECT count(*) FROM item WHERE flag
SELECT count(*) FROM item WHERE flag IS NOT TRUE
SELECT count(*) FROM item WHERE flag IS UNKNOWN
SELECT count(*) FROM item WHERE flag IS DISTINCT FROM false
SELECT id FROM item WHERE (id, grp) = (14, 1)
SELECT id FROM item WHERE (id, grp) IN ((14, 1), (15, 2), (16, 9)) ORDER BY id
SELECT id FROM item WHERE (grp, id) > (11, 500) ORDER BY grp, id
SELECT id FROM item WHERE ROW(id, name) IS NOT NULL AND id < 25 ORDER BY id
SELECT id, name FROM item WHERE name LIKE 'name 1%' AND id < 120 ORDER BY id
SELECT id FROM item WHERE name LIKE '%\_%' ORDER BY id
SELECT id FROM item WHERE name ILIKE 'NAME 9_' AND grp = 3 ORDER BY id
SELECT id FROM item WHERE name ~ '^name [0-9]$' ORDER BY id LIMIT 9
SELECT id FROM item WHERE name !~ '7' AND id < 40 ORDER BY id
SELECT id FROM item WHERE name SIMILAR TO '%(11|22)' ORDER BY id
SELECT id, fixed FROM item WHERE fixed = '7' ORDER BY id
SELECT id, fixed || '|' FROM item WHERE fixed = '7   ' ORDER BY id LIMIT 3
SELECT id FROM item WHERE code = left(md5('77'), 8)
SELECT id FROM item WHERE bits = decode(md5('78'), 'hex')
SELECT id, encode(bits, 'hex') FROM item WHERE id = 78
SELECT id FROM item WHERE price = 1.75 ORDER BY id
SELECT id, price FROM item WHERE price > 249 ORDER BY price, id
SELECT id, price * 2, -price, price / 3 FROM item WHERE id < 6 ORDER BY id
SELECT id FROM item WHERE score = 3.125
SELECT id FROM item WHERE score > 74 ORDER BY score DESC
SELECT id, score FROM item WHERE score::int = 12 ORDER BY id
SELECT id FROM item WHERE day = '2024-01-03' ORDER BY id
SELECT id FROM item WHERE day - date '2024-01-01' = 59 ORDER BY id
SELECT id FROM item WHERE day BETWEEN '2024-02-01' AND date '2024-02-01' + 1 ORDER BY id
SELECT id FROM item WHERE at < '2024-01-02 00:00:00+00' ORDER BY id
SELECT id, at AT TIME ZONE 'Asia/Seoul' FROM item WHERE id = 5
SELECT id, extract(dow FROM day), date_trunc('month', at) FROM item WHERE id % 100 = 0 ORDER BY id
SELECT id FROM item WHERE extract(month FROM day) = 2 AND grp = 4 ORDER BY id
SELECT id FROM item WHERE at > now() ORDER BY id
SELECT count(*) FROM item WHERE at <= current_timestamp
SELECT id FROM item WHERE span = interval '26 hours' ORDER BY id
SELECT id, span, justify_hours(span) FROM item WHERE id < 8 ORDER BY id
SELECT id FROM item WHERE span > interval '29 days' ORDER BY id
SELECT id FROM item WHERE tags @> ARRAY['t2'] AND id < 40 ORDER BY id
SELECT id, tags FROM item WHERE tags = '{}' ORDER BY id LIMIT 5
SELECT id, tags[1], array_length(tags, 1), cardinality(tags) FROM item WHERE id < 12 ORDER BY id
SELECT id FROM item WHERE 't1' = ANY (tags) AND id < 30 ORDER BY id
SELECT id FROM item WHERE 'zz' <> ALL (tags) AND id < 30 ORDER BY id
SELECT id FROM item WHERE tags && ARRAY['nothing', 't0'] AND id < 30 ORDER BY id
SELECT id, unnest(tags) FROM item WHERE id < 6
SELECT id, doc FROM item WHERE doc @> '{"in": {"g": 2}}' AND id < 40 ORDER BY id
SELECT id, doc -> 'in' ->> 'g', doc #>> '{a,1}' FROM item WHERE id < 15 ORDER BY id
SELECT id FROM item WHERE doc ->> 'n' = '33'
SELECT id FROM item WHERE (doc -> 'n')::int > 595 ORDER BY id
SELECT id FROM item WHERE doc ? 'n' AND id > 595 ORDER BY id
SELECT id FROM item WHERE doc IS NULL AND id < 50 ORDER BY id
SELECT id, jsonb_path_query(doc, '$.a[*]') FROM item WHERE id < 4
SELECT id, k, v FROM item, jsonb_each_text(doc) j (k, v) WHERE id < 4
SELECT id FROM item ORDER BY id LIMIT 5
SELECT id FROM item ORDER BY id DESC LIMIT 5 OFFSET 10
SELECT id FROM item ORDER BY id OFFSET 597
SELECT id FROM item ORDER BY id LIMIT 0
SELECT id FROM item ORDER BY id LIMIT NULL OFFSET 598
SELECT id FROM item ORDER BY id LIMIT (SELECT 3)
SELECT id FROM item ORDER BY id LIMIT -1
SELECT count(*) FROM (SELECT id FROM item LIMIT 37) x
SELECT count(*) FROM (SELECT id FROM item OFFSET 590) x
SELECT grp FROM item ORDER BY grp FETCH FIRST 2 ROWS WITH TIES
SELECT id, price FROM item ORDER BY price DESC NULLS LAST, id LIMIT 7
SELECT id, name FROM item ORDER BY name NULLS FIRST, id LIMIT 60
SELECT id, name FROM item ORDER BY name DESC, id DESC LIMIT 70
SELECT id, name FROM item ORDER BY name COLLATE "C" DESC NULLS LAST, id LIMIT 10
SELECT id FROM item ORDER BY id % 10, id DESC LIMIT 15
SELECT id FROM item ORDER BY random() * 0, id LIMIT 4
SELECT id FROM item ORDER BY -id LIMIT 4
SELECT id FROM item WHERE id < 20 ORDER BY flag NULLS FIRST, id
SELECT DISTINCT grp FROM item ORDER BY grp
SELECT DISTINCT flag, grp % 2 FROM item ORDER BY 1 NULLS FIRST, 2
SELECT DISTINCT ON (grp) grp, id FROM item ORDER BY grp, id DESC
SELECT DISTINCT ON (grp) grp, id, price FROM item WHERE id > 300 ORDER BY grp, price, id
SELECT CASE WHEN id % 2 = 0 THEN 'even' WHEN id % 3 = 0 THEN 'three' ELSE 'other' END, id FROM item WHERE id < 10 ORDER BY id
SELECT coalesce(name, 'nobody'), nullif(grp, 3), greatest(id, 300), least(id, 3) FROM item WHERE id < 15 ORDER BY id
SELECT id::text || ':' || coalesce(name, '') FROM item WHERE id < 13 ORDER BY id
SELECT upper(name), length(name), substr(name, 2, 3), position('a' IN name), replace(name, 'a', 'A'), md5(name) FROM item WHERE id < 13 ORDER BY id
SELECT id, id / 0 FROM item WHERE id = 3
SELECT id FROM item WHERE 1 / (id - 5) > 0
SELECT id FROM item WHERE name::int = 3
SELECT nothing FROM item
SELECT * FROM item WHERE id = 'x'
SELECT id, current_database() = current_database(), pg_typeof(price), pg_typeof(id) FROM item WHERE id = 3
SELECT item FROM item WHERE id = 4
SELECT (item).name, (item).* FROM item WHERE id = 4
SELECT row_to_json(item) FROM item WHERE id = 4
SELECT to_jsonb(item) - 'doc' FROM item WHERE id IN (4, 11) ORDER BY id
SELECT id FROM item i WHERE i IS NOT NULL ORDER BY id LIMIT 3
SELECT id FROM ONLY item ORDER BY id LIMIT 3
  -- differs rows: the table itself has none, its parts do
SELECT a.* FROM item AS a (x, y) WHERE x = 5
SELECT * FROM item WHERE false
SELECT count(*) FROM item WHERE true
SELECT 1 FROM item WHERE id < 4
SELECT FROM item WHERE id < 4
SELECT generate_series(1, 3), id FROM item WHERE id < 3 ORDER BY id, 1
SELECT id FROM item WHERE id IN (SELECT 5) OR random() < 0 ORDER BY id
SELECT id FROM item WHERE random() >= 0 AND id < 4 ORDER BY id
SELECT w, len, up FROM word WHERE w = 'Wort4'
SELECT w FROM word WHERE w = E'tab\tline\nquote''\\3'
SELECT w FROM word WHERE w IN ('한글 2', '한글 6', 'no') ORDER BY w
SELECT w FROM word WHERE w > 'Wort' AND w < 'Wort3' ORDER BY w
SELECT w FROM word WHERE w LIKE '한글%' ORDER BY w LIMIT 5
SELECT w, len FROM word ORDER BY w
SELECT w, len FROM word ORDER BY w DESC LIMIT 3
SELECT w FROM word WHERE up = 'WORT8'
SELECT w FROM word WHERE lower(w) = 'wort8'
SELECT w FROM word WHERE w = 'Wort8'::varchar
SELECT w FROM word WHERE w = 'Wort8'::char(10)
SELECT w FROM word WHERE w LIKE 'Wort8'
SELECT u, v FROM uid WHERE u = md5('7')::uuid
SELECT u, v FROM uid WHERE u IN (md5('7')::uuid, md5('8')::uuid, NULL) ORDER BY u
SELECT u FROM uid ORDER BY u LIMIT 10
SELECT u FROM uid WHERE u < '10000000-0000-0000-0000-000000000000' ORDER BY u
SELECT k, v FROM small WHERE k = -7
SELECT k FROM small WHERE k = 100000
SELECT k FROM small WHERE k = 7::int8
SELECT k, v FROM small WHERE k BETWEEN -3 AND 3 ORDER BY k
SELECT k / 2, k % 3, @ k, k # v FROM small WHERE k < -95 ORDER BY k
SELECT k FROM small WHERE v = (k % 17) AND k > 90 ORDER BY k
SELECT k, v FROM ranged WHERE k = 500
SELECT k FROM ranged WHERE k BETWEEN -320 AND -280 ORDER BY k
SELECT k FROM ranged WHERE k >= 1180 AND k < 1230 ORDER BY k
SELECT k FROM ranged WHERE k < -970 OR k > 1980 ORDER BY k
SELECT k FROM ranged ORDER BY k LIMIT 3
SELECT k FROM ranged ORDER BY k DESC LIMIT 3
SELECT k FROM ranged WHERE k IN (-300, 0, 499, 500, 1200) ORDER BY k
SELECT k FROM ranged WHERE k > 10000
TABLE small ORDER BY k LIMIT 2
VALUES ((SELECT name FROM item WHERE id = 3), (SELECT count(*) FROM part))
SELECT count(*) FROM item TABLESAMPLE SYSTEM (100)
SELECT count(*) FROM item TABLESAMPLE SYSTEM (0)
  -- differs rows: PostgreSQL samples no foreign table and takes all of its rows
SELECT id FROM item WHERE id = 5 FOR UPDATE
SELECT id FROM item WHERE id < 4 ORDER BY id FOR UPDATE
SELECT id FROM item WHERE id < 4 ORDER BY id FOR SHARE
SELECT i.id FROM item i JOIN part p ON p.item_id = i.id WHERE i.id < 8 ORDER BY i.id, p.n FOR UPDATE OF i
