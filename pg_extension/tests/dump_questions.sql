\pset format unaligned
\pset tuples_only on
SELECT count(*), count(c), md5(string_agg(s::text || c::text || all_c::text, ',' ORDER BY s)) FROM versions;
SELECT tableoid::regclass, count(*), sum(id), min(slot), max(slot) FROM visits GROUP BY 1 ORDER BY 1;
SELECT c FROM merged;
EXPLAIN (COSTS OFF) SELECT * FROM visits WHERE id = 42;
SELECT atttypid::regtype, indisvalid FROM pg_attribute JOIN pg_index ON indrelid = attrelid AND attnum = ANY (indkey) WHERE attrelid = 'versions'::regclass ORDER BY 1;
SELECT extname, extversion, nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'atoll';
SET ROLE pg_read_all_data;
SELECT atoll.slot_of(42, 4);
