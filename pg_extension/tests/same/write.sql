-- INSERT, UPDATE, DELETE, COPY, RETURNING: what they answer, and what is there afterwards.
INSERT INTO kv VALUES (100, 'a', 1), (101, 'b', 2)
INSERT INTO kv (k) VALUES (102)
INSERT INTO kv (n, k) VALUES (5, 103) RETURNING *
INSERT INTO kv VALUES (104, DEFAULT, DEFAULT) RETURNING v, n
INSERT INTO kv DEFAULT VALUES
INSERT INTO kv VALUES (NULL, 'x')
INSERT INTO kv VALUES (105, 'x', NULL)
INSERT INTO kv VALUES (100, 'again')
INSERT INTO kv VALUES (106, 'x'), (106, 'y')
SELECT count(*) FROM kv WHERE k = 106
INSERT INTO kv SELECT k + 1000, v, n FROM kv WHERE k BETWEEN 0 AND 9
INSERT INTO kv SELECT id + 2000, name FROM item WHERE id < 40 ORDER BY id RETURNING k
INSERT INTO kv SELECT i, 'many' FROM generate_series(3000, 3400) i
INSERT INTO kv SELECT i, 'bad', CASE WHEN i < 3700 THEN 1 END FROM generate_series(3500, 3800) i
SELECT count(*) FROM kv WHERE k BETWEEN 3500 AND 3800
INSERT INTO kv VALUES (100, 'quiet') ON CONFLICT DO NOTHING
INSERT INTO kv VALUES (107, 'fresh') ON CONFLICT DO NOTHING RETURNING k
INSERT INTO item (id, grp, price) VALUES (900, 1, -1)
INSERT INTO item (id, grp, name) VALUES (901, 1, E'quo''te\\ \t \n') RETURNING name
INSERT INTO item (id, grp, tags, doc, bits, span, at) VALUES (902, 2, '{"a,b",NULL,"{}"}', '{"a": [1, null, "x"]}', '\x00ff27', '1 mon -3 days', '-infinity') RETURNING *
INSERT INTO item (id, grp, score) VALUES (903, 1, 'NaN'), (904, 1, '-0'), (905, 1, 'Infinity'), (906, 1, 1e-300) RETURNING id, score
INSERT INTO item (id, grp, code) VALUES (907, 1, '123456789')
INSERT INTO item (id, grp, price) VALUES (908, 1, 123456789.125)
INSERT INTO item (id, grp) VALUES (9223372036854775807, 1), (-9223372036854775808, 2) RETURNING id
SELECT id FROM item WHERE id = 9223372036854775807 OR id = -9223372036854775808 ORDER BY id
INSERT INTO item (id, grp) VALUES (9223372036854775808, 1)
INSERT INTO word (w, len) VALUES ('', 0), (' ', 1), (repeat('x', 2000), 2000) RETURNING up = upper(w)
SELECT length(w), len FROM word WHERE w = '' OR w = ' ' OR len = 2000 ORDER BY len
INSERT INTO word (w, up) VALUES ('gen', 'GEN')
INSERT INTO small VALUES (32767, 1), (-32768, 2) RETURNING *
INSERT INTO small VALUES (32768, 1)
INSERT INTO ranged VALUES (-301, 'x'), (-300, 'x'), (-299, 'x'), (1199, 'x'), (99999, 'x')
INSERT INTO uid VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff', 0), ('00000000-0000-0000-0000-000000000000', 1) RETURNING u
INSERT INTO loc SELECT id, 'from item' FROM item WHERE id BETWEEN 20 AND 22 RETURNING *
DELETE FROM loc WHERE label = 'from item' RETURNING id
UPDATE kv SET v = 'changed' WHERE k = 5
UPDATE kv SET v = 'changed' WHERE k = 12345
UPDATE kv SET v = v || '!', n = n + 1 WHERE k BETWEEN 1 AND 10
UPDATE kv SET v = DEFAULT, n = DEFAULT WHERE k = 11 RETURNING *
UPDATE kv SET (v, n) = ('pair', 77) WHERE k = 12 RETURNING v, n
UPDATE kv SET (v, n) = (SELECT name, grp FROM item WHERE id = 13) WHERE k = 13 RETURNING v, n
UPDATE kv SET n = NULL WHERE k = 14
UPDATE kv SET n = n / 0 WHERE k = 14
UPDATE kv SET n = 1 WHERE k < 0 RETURNING k
UPDATE kv SET n = k * 2 WHERE n % 2 = 1 AND k > 3300 RETURNING k, n
UPDATE kv SET n = i.grp FROM item i WHERE i.id = kv.k AND kv.k < 20 RETURNING kv.k, kv.n
UPDATE kv SET v = 'sub' WHERE k IN (SELECT k FROM small WHERE k BETWEEN 30 AND 33) RETURNING k
UPDATE kv SET v = 'exists' WHERE EXISTS (SELECT FROM part p WHERE p.item_id = kv.k) AND k BETWEEN 20 AND 29 RETURNING k
UPDATE kv SET v = (SELECT name FROM item WHERE id = kv.k) WHERE k BETWEEN 40 AND 44 RETURNING k, v
UPDATE kv AS x SET n = x.n + 1 WHERE x.k = 5 RETURNING x.*
UPDATE kv SET v = NULL WHERE k = 6 RETURNING v IS NULL
UPDATE kv SET v = upper(v) WHERE random() >= 0 AND k = 7 RETURNING v
UPDATE item SET price = price + 1 WHERE id = 3 RETURNING price
UPDATE item SET price = -5 WHERE id = 3
UPDATE item SET tags = tags || 'more', doc = jsonb_set(doc, '{n}', '"set"') WHERE id IN (2, 3, 4) RETURNING id, tags, doc
UPDATE item SET tags[1] = 'first' WHERE id = 2 RETURNING tags
UPDATE item SET at = at + interval '1 day', day = day + 1, span = span * 2, flag = NOT flag WHERE id < 6 RETURNING id, at, day, span, flag
UPDATE item SET score = 'NaN' WHERE id = 6 RETURNING score
UPDATE part SET amount = amount + 1 WHERE item_id = 4 RETURNING n, amount
UPDATE part SET amount = amount * 2 WHERE n = 2 AND item_id < 30 RETURNING item_id, amount
UPDATE part p SET note = i.name FROM item i WHERE i.id = p.item_id AND i.id < 12 RETURNING p.item_id, p.n, p.note
UPDATE part p SET note = p.note || l.label FROM loc l WHERE l.id = p.item_id RETURNING p.item_id, p.n, p.note
UPDATE loc l SET label = i.name FROM item i WHERE i.id = l.id RETURNING l.*
UPDATE word SET len = -1 WHERE w LIKE 'Wort1%' RETURNING w
UPDATE word SET up = 'x' WHERE w = 'Wort4'
UPDATE uid SET v = v + 1 WHERE v < 5 RETURNING v
UPDATE ranged SET v = 'moved' WHERE k BETWEEN -310 AND 10 RETURNING k
UPDATE small SET v = v + 1 WHERE k = ANY ('{1,2,3}') RETURNING k, v
UPDATE small SET v = 40000 WHERE k = 1
WITH c AS (UPDATE kv SET n = 1000 WHERE k BETWEEN 15 AND 18 RETURNING k, n) SELECT sum(n), count(*) FROM c
WITH d AS (DELETE FROM kv WHERE k BETWEEN 3390 AND 3400 RETURNING *) INSERT INTO kv SELECT k + 1000, v, n FROM d RETURNING k
WITH n AS (INSERT INTO kv VALUES (5000, 'cte', 1) RETURNING k) SELECT count(*) FROM kv WHERE k IN (SELECT k FROM n)
DELETE FROM kv WHERE k = 100
DELETE FROM kv WHERE k = 100
DELETE FROM kv WHERE k IN (101, 102, 103) RETURNING k, v
DELETE FROM kv WHERE k BETWEEN 3000 AND 3010 RETURNING k
DELETE FROM kv USING item i WHERE i.id = kv.k AND i.grp = 3 RETURNING kv.k
DELETE FROM kv WHERE k IN (SELECT k FROM small WHERE k BETWEEN -5 AND -1) RETURNING k
DELETE FROM kv WHERE NOT EXISTS (SELECT FROM item WHERE id = kv.k) AND k > 4000 RETURNING k
DELETE FROM part WHERE note IS NULL AND item_id < 50 RETURNING item_id, n
DELETE FROM part p USING item i WHERE i.id = p.item_id AND i.grp = 5 AND i.id < 200 RETURNING p.item_id, p.n
DELETE FROM ranged WHERE k > 1950 RETURNING k
DELETE FROM word WHERE w = '' OR w = ' ' RETURNING len
DELETE FROM item WHERE id > 890 AND id < 1000 RETURNING id
DELETE FROM small WHERE v = (SELECT max(v) FROM small) RETURNING k
COPY kv (k, v) FROM stdin;
  6000	copied
  6001	\N
  6002	tab\there\\
  \.
SELECT k, v, n FROM kv WHERE k BETWEEN 6000 AND 6002 ORDER BY k
COPY kv FROM stdin (FORMAT csv);
  6010,"a ""quoted"", one",1
  6011,,2
  \.
SELECT k, v, n FROM kv WHERE k BETWEEN 6010 AND 6011 ORDER BY k
COPY kv (k) FROM stdin;
  6020
  6020
  \.
COPY kv (k) FROM stdin;
  6021
  no
  \.
SELECT count(*) FROM kv WHERE k IN (6020, 6021)
COPY (SELECT * FROM kv WHERE k < -45 ORDER BY k) TO stdout
COPY kv TO stdout
  -- differs 42809: COPY TO reads a table by itself; COPY (SELECT ...) TO works
INSERT INTO kv VALUES (1, 'x') ON CONFLICT (k) DO NOTHING
INSERT INTO kv VALUES (1, 'x'), (2, 'y') ON CONFLICT (k) DO NOTHING
  -- differs 42P10: the unique index is on the nodes; one row at a time, or ON CONFLICT DO NOTHING without a target, works
BEGIN; INSERT INTO kv VALUES (1, 'x') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v; ROLLBACK
UPDATE kv SET k = 7777 WHERE k = 1
  -- differs 0A000: the key of a row is changed when atoll.allow_key_update is on
UPDATE kv SET k = 1 WHERE k = 7777
  -- differs 0A000: the key of a row is changed when atoll.allow_key_update is on
MERGE INTO kv USING (VALUES (2, 'm')) s (k, v) ON kv.k = s.k WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v)
UPDATE kv SET v = 'v2' WHERE k = 2
TRUNCATE uid
SELECT count(*) FROM uid
INSERT INTO uid SELECT md5(i::text)::uuid, i FROM generate_series(1, 50) i
SELECT count(*), sum(v) FROM uid
