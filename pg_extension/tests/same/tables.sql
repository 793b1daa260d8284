-- Tables of the comparison, made and filled in each schema; those of one are distributed afterwards.
CREATE TABLE item (id int8 PRIMARY KEY, grp int4 NOT NULL, name text, price numeric(10,2), at timestamptz, tags text[], doc jsonb, flag bool, score float8, day date, code varchar(8), fixed char(4), bits bytea, span interval, CHECK (price >= 0));
CREATE TABLE part (item_id int8 NOT NULL, n int4 NOT NULL, note text, amount int4 DEFAULT 1, PRIMARY KEY (item_id, n));
CREATE TABLE word (w text COLLATE "C" PRIMARY KEY, len int4, up text GENERATED ALWAYS AS (upper(w)) STORED);
CREATE TABLE uid (u uuid PRIMARY KEY, v int4);
CREATE TABLE small (k int2 PRIMARY KEY, v int2);
CREATE TABLE kv (k int4 PRIMARY KEY, v text DEFAULT 'none', n int4 NOT NULL DEFAULT 0);
CREATE TABLE ranged (k int8 PRIMARY KEY, v text);
CREATE TABLE tree (id int4 PRIMARY KEY, parent int4, label text);
INSERT INTO item SELECT i, i % 13, CASE WHEN i % 11 = 0 THEN NULL ELSE 'name ' || i % 97 END, (i * 7 % 1000) / 4.0, '2024-01-01 00:00:00+00'::timestamptz + i * interval '7 hours',
    CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '{}' ELSE ARRAY['t' || i % 3, 'a b', NULL, E'quo"te\\' || i % 2] END, CASE WHEN i % 7 = 0 THEN NULL ELSE jsonb_build_object('n', i, 'in', jsonb_build_object('g', i % 4), 'a', jsonb_build_array(1, i % 3)) END,
    CASE i % 3 WHEN 0 THEN true WHEN 1 THEN false END, i / 8.0, '2024-01-01'::date + i % 60, left(md5(i::text), 8), to_char(i % 40, 'FM99'), decode(md5(i::text), 'hex'), i % 30 * interval '1 day 2 hours' FROM generate_series(1, 600) i;
INSERT INTO part SELECT i, n, CASE WHEN (i + n) % 4 = 0 THEN NULL ELSE 'note ' || n END, i % 9 + n FROM generate_series(1, 700, 3) i, generate_series(1, 3) n;
INSERT INTO word SELECT DISTINCT x, length(x) FROM (SELECT CASE i % 4 WHEN 0 THEN 'Wort' || i WHEN 1 THEN repeat('z', i % 40) || i WHEN 2 THEN '한글 ' || i ELSE E'tab\tline\nquote''\\' || i END FROM generate_series(1, 300) i) v (x);
INSERT INTO uid SELECT md5(i::text)::uuid, i FROM generate_series(1, 200) i;
INSERT INTO small SELECT i, i % 17 FROM generate_series(-100, 100) i;
INSERT INTO kv SELECT i, 'v' || i, i FROM generate_series(-50, 50) i;
INSERT INTO ranged SELECT i * 10, 'r' || i % 12 FROM generate_series(-100, 200) i;
INSERT INTO tree SELECT i, CASE WHEN i > 1 THEN i / 2 END, 'node ' || i FROM generate_series(1, 100) i;
-- Stays here in both.
CREATE TABLE loc (id int8, label text);
INSERT INTO loc SELECT i * 5, 'local ' || i FROM generate_series(-2, 20) i;
