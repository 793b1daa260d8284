-- Aggregates, grouping and window functions.
SELECT count(*) FROM item
SELECT count(*), count(name), count(DISTINCT name), count(flag), count(doc) FROM item
SELECT sum(id), sum(grp), sum(price), sum(score) FROM item
SELECT avg(id), avg(grp), avg(price), avg(score) FROM item
SELECT min(id), max(id), min(name), max(name), min(price), max(price), min(at), max(at), min(day), max(day), min(span), max(span), min(code), max(fixed) FROM item
SELECT min(w), max(w), count(w), sum(len) FROM word
SELECT min(u::text), max(v) FROM uid
SELECT sum(k), sum(v), avg(k), min(k), max(k) FROM small
SELECT sum(span), avg(span) FROM item
SELECT sum(k) FROM ranged WHERE k > 100
SELECT sum(id) FROM item WHERE false
SELECT count(*), sum(id), max(name), avg(price) FROM item WHERE id = 10000
SELECT bool_and(flag), bool_or(flag), every(id > 0) FROM item
SELECT bit_and(grp), bit_or(grp), bit_xor(id) FROM item
SELECT stddev(grp), variance(grp), stddev_pop(price), var_samp(id) FROM item
SELECT round(corr(id, score)::numeric, 6), regr_count(id, score) FROM item
SELECT count(*) FILTER (WHERE flag), sum(id) FILTER (WHERE grp = 3), count(*) FROM item
SELECT string_agg(name, ',' ORDER BY id) FROM item WHERE id < 20
SELECT string_agg(DISTINCT name, ',' ORDER BY name) FROM item WHERE id < 200
SELECT array_agg(id ORDER BY id DESC) FROM item WHERE grp = 5
SELECT array_agg(tags ORDER BY id) FROM item WHERE id IN (2, 3, 4)
SELECT jsonb_agg(doc ORDER BY id), json_object_agg(id, name ORDER BY id) FROM item WHERE id < 8
SELECT jsonb_object_agg(id, grp) FROM item WHERE id < 8
SELECT mode() WITHIN GROUP (ORDER BY grp), percentile_cont(0.5) WITHIN GROUP (ORDER BY score), percentile_disc(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY id) FROM item
SELECT rank(100) WITHIN GROUP (ORDER BY id), dense_rank(5) WITHIN GROUP (ORDER BY grp) FROM item
SELECT grp, count(*) FROM item GROUP BY grp ORDER BY grp
SELECT grp, count(*), sum(id), avg(price), min(name), max(at) FROM item GROUP BY grp ORDER BY grp
SELECT grp, count(DISTINCT flag), sum(DISTINCT grp) FROM item GROUP BY grp ORDER BY grp
SELECT flag, count(*) FROM item GROUP BY flag ORDER BY flag NULLS FIRST
SELECT name, count(*) FROM item GROUP BY name ORDER BY count(*) DESC, name NULLS FIRST LIMIT 10
SELECT grp, count(*) FROM item GROUP BY grp HAVING count(*) > 46 ORDER BY grp
SELECT grp FROM item GROUP BY grp HAVING min(id) > 5 ORDER BY grp
SELECT count(*) FROM item HAVING count(*) > 1000
SELECT id % 4 AS r, sum(price) FROM item GROUP BY r ORDER BY r
SELECT date_trunc('month', at) AS m, count(*) FROM item GROUP BY 1 ORDER BY 1
SELECT doc -> 'in' ->> 'g' AS g, count(*) FROM item GROUP BY 1 ORDER BY 1 NULLS LAST
SELECT id, count(*) FROM item WHERE id < 5 GROUP BY id ORDER BY id
SELECT id, name FROM item WHERE id < 5 GROUP BY id, name ORDER BY id
SELECT id, name FROM item WHERE id < 5 GROUP BY id ORDER BY id
  -- differs 42803: the primary key is on the nodes, so no column depends on it here
SELECT item_id, sum(amount) FROM part GROUP BY item_id ORDER BY sum(amount) DESC, item_id LIMIT 8
SELECT item_id, n, count(note) FROM part GROUP BY item_id, n HAVING count(note) = 0 ORDER BY 1, 2 LIMIT 8
SELECT len, count(*), min(w), max(w) FROM word GROUP BY len ORDER BY len
SELECT max(c) FROM (SELECT grp, count(*) AS c FROM item GROUP BY grp) x
SELECT grp, flag, count(*) FROM item GROUP BY ROLLUP (grp, flag) ORDER BY grp NULLS LAST, flag NULLS LAST, count(*)
SELECT grp % 2, flag, sum(id) FROM item GROUP BY CUBE (1, flag) ORDER BY 1 NULLS LAST, 2 NULLS LAST, 3
SELECT grp, flag, grouping(grp, flag), count(*) FROM item GROUP BY GROUPING SETS ((grp), (flag), ()) ORDER BY 3, 1 NULLS LAST, 2 NULLS LAST
SELECT sum(sum(id)) OVER (ORDER BY grp), grp FROM item GROUP BY grp ORDER BY grp
SELECT grp, (SELECT count(*) FROM item b WHERE b.grp = a.grp AND b.id < max(a.id)) FROM item a GROUP BY grp ORDER BY grp
SELECT (SELECT max(id) FROM item), (SELECT min(id) FROM item WHERE grp = 3)
SELECT max(id) FROM item WHERE grp = 7 AND flag
SELECT min(k), max(k) FROM ranged WHERE k BETWEEN 0 AND 777
SELECT id, row_number() OVER (ORDER BY id) FROM item WHERE id > 590 ORDER BY id
SELECT id, grp, rank() OVER (PARTITION BY grp ORDER BY id DESC) AS r FROM item WHERE id < 60 ORDER BY grp, r
SELECT id, sum(id) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM item WHERE id < 12 ORDER BY id
SELECT id, lag(id, 2, -1) OVER w, lead(name) OVER w, first_value(id) OVER w, nth_value(id, 2) OVER w FROM item WHERE id < 12 WINDOW w AS (PARTITION BY grp % 2 ORDER BY id) ORDER BY id
SELECT id, ntile(4) OVER (ORDER BY id), percent_rank() OVER (ORDER BY id), cume_dist() OVER (ORDER BY grp, id) FROM item WHERE id < 14 ORDER BY id
SELECT id, count(*) OVER (), avg(price) OVER (PARTITION BY grp) FROM item WHERE id < 30 ORDER BY id
SELECT * FROM (SELECT id, grp, row_number() OVER (PARTITION BY grp ORDER BY price DESC, id) AS r FROM item) x WHERE r <= 2 ORDER BY grp, r
SELECT id, sum(id) OVER (ORDER BY day RANGE BETWEEN '1 day' PRECEDING AND '1 day' FOLLOWING) FROM item WHERE id < 15 ORDER BY id
SELECT id, sum(id) OVER (ORDER BY grp GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM item WHERE id < 30 ORDER BY id
SELECT k, v, sum(k) OVER (PARTITION BY v ORDER BY k) FROM small WHERE k > 60 ORDER BY v, k
SELECT grp, array_agg(id ORDER BY id) FROM (SELECT * FROM item ORDER BY price LIMIT 40) x WHERE price < 5 GROUP BY grp ORDER BY grp
SELECT count(*) FROM (SELECT DISTINCT grp, flag FROM item) x
SELECT sum(a.n) FROM (SELECT count(*) AS n FROM item UNION ALL SELECT count(*) FROM part) a
SELECT grp, sum(id) FROM item GROUP BY grp ORDER BY sum(id) DESC LIMIT 1
SELECT sum(id ORDER BY id) FROM item WHERE id < 10
SELECT max(id + grp), sum(id * grp), count(id / 2), avg(length(name)) FROM item
SELECT grp, sum(CASE WHEN flag THEN 1 ELSE 0 END), sum(coalesce(price, 0)) FROM item GROUP BY grp ORDER BY grp
SELECT sum(9223372036854775807 - id) FROM item
SELECT sum((id * 9000000000000000)::int8) FROM item WHERE id < 3
SELECT sum(id::int4 * 2000000000) FROM item
SELECT any_value FROM (SELECT max(x.name) AS any_value FROM item x) y
SELECT count(*) FROM item a WHERE a.price > (SELECT avg(price) FROM item)
SELECT grp, price FROM item a WHERE price = (SELECT max(price) FROM item b WHERE b.grp = a.grp) ORDER BY grp, id
SELECT sum(count(*)) OVER () FROM item GROUP BY flag
SELECT count(*) FROM item GROUP BY ()
SELECT 'x' AS const, count(*) FROM item GROUP BY const
SELECT grp IS NULL, count(*) FROM item GROUP BY 1
SELECT atoll.merge(format('{"N%s":%s}', grp, id)::atoll.vclock)::text FROM item WHERE grp < 3
