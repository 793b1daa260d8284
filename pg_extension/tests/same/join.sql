-- Joins, subqueries, set operations, common table expressions.
SELECT i.id, p.n, p.note FROM item i JOIN part p ON p.item_id = i.id WHERE i.id = 4 ORDER BY p.n
SELECT i.id, p.n FROM item i JOIN part p ON p.item_id = i.id WHERE i.grp = 3 ORDER BY 1, 2
SELECT count(*) FROM item i JOIN part p ON p.item_id = i.id
SELECT count(*) FROM item i LEFT JOIN part p ON p.item_id = i.id
SELECT count(*) FROM item i RIGHT JOIN part p ON p.item_id = i.id
SELECT count(*) FROM item i FULL JOIN part p ON p.item_id = i.id
SELECT i.id, p.item_id FROM item i FULL JOIN part p ON p.item_id = i.id AND p.n = 1 WHERE i.id IS NULL OR p.item_id IS NULL AND i.id < 6 ORDER BY 1 NULLS LAST, 2
SELECT i.id, p.note FROM item i LEFT JOIN part p ON p.item_id = i.id AND p.n = 2 WHERE i.id < 12 ORDER BY 1
SELECT i.id FROM item i LEFT JOIN part p ON p.item_id = i.id WHERE p.n IS NULL AND i.id < 20 ORDER BY 1
SELECT a.id, b.id FROM item a JOIN item b ON b.id = a.id + 1 WHERE a.id < 10 ORDER BY 1
SELECT a.id, b.id FROM item a JOIN item b USING (grp) WHERE a.id < 5 AND b.id < 40 ORDER BY 1, 2
SELECT count(*) FROM item a JOIN item b ON a.grp = b.grp AND a.id < b.id
SELECT count(*) FROM item a NATURAL JOIN (SELECT id, grp FROM item WHERE id < 50) b
SELECT count(*) FROM item a, small b WHERE a.id = b.k
SELECT a.id, b.v FROM item a JOIN small b ON b.k = a.id WHERE a.id > 95 ORDER BY 1
SELECT count(*) FROM item a JOIN ranged r ON r.k = a.id
SELECT a.id, r.v FROM ranged r JOIN item a ON a.id = r.k WHERE r.k < 60 ORDER BY 1
SELECT count(*) FROM item a JOIN kv k ON k.k = a.id JOIN part p ON p.item_id = a.id
SELECT a.id, k.v, p.n FROM item a JOIN kv k ON k.k = a.id JOIN part p ON p.item_id = a.id WHERE a.id < 20 ORDER BY 1, 3
SELECT count(*) FROM item a CROSS JOIN small b WHERE a.id < 4
SELECT l.label, i.id FROM loc l JOIN item i ON i.id = l.id ORDER BY 2
SELECT l.label, i.id FROM loc l LEFT JOIN item i ON i.id = l.id AND i.flag ORDER BY l.id
SELECT i.id, l.label FROM item i LEFT JOIN loc l ON l.id = i.id WHERE i.id < 12 ORDER BY 1
SELECT w.w, u.v FROM word w JOIN uid u ON u.u = md5(length(w.w)::text)::uuid WHERE w.w LIKE 'Wort1%' ORDER BY 1
SELECT i.id, x.n FROM item i CROSS JOIN LATERAL (SELECT n FROM part p WHERE p.item_id = i.id ORDER BY n DESC LIMIT 1) x WHERE i.id < 20 ORDER BY 1
SELECT i.id, x.c FROM item i LEFT JOIN LATERAL (SELECT count(*) AS c FROM part p WHERE p.item_id = i.id) x ON true WHERE i.id < 8 ORDER BY 1
SELECT k, (SELECT name FROM item WHERE id = k) FROM generate_series(1, 30) k ORDER BY 1
SELECT g, i.id FROM generate_series(598, 602) g LEFT JOIN item i ON i.id = g ORDER BY 1
SELECT i.id FROM item i JOIN (VALUES (3), (4), (900)) v (x) ON v.x = i.id ORDER BY 1
SELECT count(*) FROM item i WHERE id IN (SELECT item_id FROM part)
SELECT count(*) FROM item i WHERE id NOT IN (SELECT item_id FROM part)
SELECT count(*) FROM item i WHERE EXISTS (SELECT FROM part p WHERE p.item_id = i.id AND p.note IS NULL)
SELECT count(*) FROM item i WHERE NOT EXISTS (SELECT FROM part p WHERE p.item_id = i.id)
SELECT id FROM item i WHERE grp > ALL (SELECT v FROM small WHERE v < 12) ORDER BY id LIMIT 5
SELECT id FROM item i WHERE grp = ANY (SELECT v FROM small WHERE v IN (3, 5)) AND id < 30 ORDER BY id
SELECT count(*) FROM item WHERE name NOT IN (SELECT name FROM item WHERE id < 40)
SELECT id, (SELECT sum(amount) FROM part p WHERE p.item_id = i.id) FROM item i WHERE id < 12 ORDER BY 1
SELECT id FROM item i WHERE (SELECT count(*) FROM part p WHERE p.item_id = i.id) = 3 AND id < 20 ORDER BY 1
SELECT id FROM item WHERE id = (SELECT max(item_id) FROM part WHERE item_id < 600)
SELECT id FROM item WHERE id = (SELECT item_id FROM part)
SELECT id FROM item WHERE (id, grp) IN (SELECT item_id, n FROM part) ORDER BY 1
SELECT x.id FROM (SELECT id FROM item WHERE grp = 2 ORDER BY id LIMIT 5) x JOIN part p ON p.item_id = x.id ORDER BY 1
SELECT * FROM (SELECT id, count(*) OVER () FROM item WHERE id < 5) a JOIN (SELECT k FROM small) b ON a.id = b.k ORDER BY 1
SELECT a.id FROM item a WHERE a.id < 20 AND a.price > (SELECT avg(b.price) FROM item b WHERE b.grp = a.grp) ORDER BY 1
SELECT array(SELECT n FROM part p WHERE p.item_id = i.id ORDER BY n) FROM item i WHERE id < 6 ORDER BY id
SELECT id FROM item WHERE id < 3 UNION SELECT k FROM small WHERE k BETWEEN 1 AND 4 ORDER BY 1
SELECT id FROM item WHERE id < 3 UNION ALL SELECT k FROM small WHERE k BETWEEN 1 AND 4 ORDER BY 1
SELECT id FROM item INTERSECT SELECT item_id FROM part ORDER BY 1 LIMIT 10
SELECT count(*) FROM (SELECT id FROM item EXCEPT SELECT item_id FROM part) x
SELECT count(*) FROM (SELECT grp FROM item EXCEPT ALL SELECT v FROM small) x
SELECT count(*) FROM (SELECT grp FROM item INTERSECT ALL SELECT v FROM small) x
(SELECT id FROM item ORDER BY id LIMIT 2) UNION ALL (SELECT id FROM item ORDER BY id DESC LIMIT 2) ORDER BY 1
SELECT grp, NULL FROM item WHERE id = 1 UNION SELECT v, 'x' FROM small WHERE k = 1 ORDER BY 1
SELECT 'item' AS t, count(*) FROM item UNION ALL SELECT 'part', count(*) FROM part UNION ALL SELECT 'word', count(*) FROM word ORDER BY 1
WITH x AS (SELECT * FROM item WHERE grp = 1) SELECT count(*), sum(id) FROM x
WITH x AS MATERIALIZED (SELECT * FROM item) SELECT id FROM x WHERE id = 5
WITH x AS NOT MATERIALIZED (SELECT * FROM item) SELECT a.id FROM x a JOIN x b ON a.id = b.id WHERE b.id = 5
WITH RECURSIVE up (id, parent, depth) AS (SELECT id, parent, 0 FROM tree WHERE id = 100 UNION ALL SELECT t.id, t.parent, depth + 1 FROM tree t JOIN up ON t.id = up.parent) SELECT * FROM up ORDER BY depth
WITH RECURSIVE down AS (SELECT id, label FROM tree WHERE id = 3 UNION ALL SELECT t.id, t.label FROM tree t, down WHERE t.parent = down.id) SELECT count(*), min(label), max(id) FROM down
WITH a AS (SELECT id FROM item WHERE id < 5), b AS (SELECT id + 1 AS id FROM a) SELECT a.id, b.id FROM a FULL JOIN b USING (id) ORDER BY 1
SELECT t.label, p.label FROM tree t LEFT JOIN tree p ON p.id = t.parent WHERE t.id < 10 ORDER BY t.id
SELECT count(*) FROM tree a JOIN tree b ON b.parent = a.id JOIN tree c ON c.parent = b.id
SET enable_hashjoin = off; SET enable_mergejoin = off; SELECT count(*) FROM item i JOIN part p ON p.item_id = i.id WHERE i.id < 60; RESET enable_hashjoin; RESET enable_mergejoin
SET enable_nestloop = off; SET enable_hashjoin = off; SELECT count(*) FROM item i JOIN part p ON p.item_id = i.id; RESET enable_nestloop; RESET enable_hashjoin
SET enable_partitionwise_join = on; SET enable_partitionwise_aggregate = on; SELECT i.grp, count(*), sum(p.amount) FROM item i JOIN part p ON p.item_id = i.id GROUP BY i.grp ORDER BY 1; SELECT id, count(*) FROM item GROUP BY id ORDER BY id LIMIT 3; RESET enable_partitionwise_join; RESET enable_partitionwise_aggregate
SET work_mem = '64kB'; SELECT count(*) FROM item a JOIN item b ON a.grp = b.grp; SELECT grp, id FROM item ORDER BY price, id LIMIT 3; RESET work_mem
SET max_parallel_workers_per_gather = 4; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SELECT count(*), sum(id) FROM item; RESET max_parallel_workers_per_gather; RESET parallel_setup_cost; RESET parallel_tuple_cost
SET jit = on; SET jit_above_cost = 0; SELECT sum(id * 2 + grp) FROM item; RESET jit; RESET jit_above_cost
SET datestyle = 'German'; SELECT id, at, day FROM item WHERE day = '05.01.2024' ORDER BY id; RESET datestyle
SET timezone = 'Asia/Seoul'; SELECT id, at FROM item WHERE at < '2024-01-02 09:00' ORDER BY id; RESET timezone
SET intervalstyle = iso_8601; SELECT id, span FROM item WHERE span = 'P1DT2H' ORDER BY id LIMIT 3; RESET intervalstyle
SET bytea_output = escape; SELECT id, bits FROM item WHERE id < 4 ORDER BY id; RESET bytea_output
SET extra_float_digits = 0; SELECT id, score / 3 FROM item WHERE id < 4 ORDER BY id; RESET extra_float_digits
CREATE TEMP VIEW cheap AS SELECT id, name, price FROM item WHERE price < 2
SELECT * FROM cheap ORDER BY id
SELECT c.id, p.n FROM cheap c JOIN part p ON p.item_id = c.id ORDER BY 1, 2
CREATE TEMP TABLE t AS SELECT id, grp FROM item WHERE id % 50 = 0
SELECT t.id, i.name FROM t JOIN item i USING (id) ORDER BY 1
SELECT i.id FROM item i WHERE i.id IN (SELECT id FROM t) ORDER BY 1
