-- Rows of every type of key in native partitions against slot_of: psql -v rows=N prints a line for each type.
-- A table of 64 partitions is split to 128 for every fourth of them, so that moduli differ in one table.
\set QUIET on
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS atoll;
CREATE FUNCTION pg_temp.misrouted(type_ text, class text, key text, keys bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE wrong bigint; stored bigint; parts int;
BEGIN
    EXECUTE format('CREATE TABLE many (id %s NOT NULL) PARTITION BY HASH (id atoll.%s)', type_, class);
    FOR slot IN 0 .. 63 LOOP
        IF slot % 4 = 0 THEN
            EXECUTE format('CREATE TABLE many_128_%s PARTITION OF many FOR VALUES WITH (MODULUS 128, REMAINDER %s)', slot, slot);
            EXECUTE format('CREATE TABLE many_128_%s PARTITION OF many FOR VALUES WITH (MODULUS 128, REMAINDER %s)', slot + 64, slot + 64);
        ELSE
            EXECUTE format('CREATE TABLE many_64_%s PARTITION OF many FOR VALUES WITH (MODULUS 64, REMAINDER %s)', slot, slot);
        END IF;
    END LOOP;
    EXECUTE format('INSERT INTO many SELECT %s FROM generate_series(1, %s) i', key, keys);
    SELECT count(*), count(DISTINCT many.tableoid), count(*) FILTER (WHERE atoll.slot_of(id, substring(relname FROM 'many_(\d+)_')::int) <> substring(relname FROM '\d+$')::int)
        INTO stored, parts, wrong FROM many JOIN pg_class ON many.tableoid = pg_class.oid;
    DROP TABLE many;
    RETURN format('%s %s: %s rows in %s partitions, %s misrouted', CASE WHEN wrong = 0 AND stored = keys AND parts <= 80 THEN 'ok rows of' ELSE 'not ok rows of' END, type_, stored, parts, wrong);
END $$;
-- Mixed so that keys are spread over the whole range of their type, and small numbers are there too.
SELECT pg_temp.misrouted('int8', 'int8_ops_v1', 'CASE WHEN i % 10 = 0 THEN i ELSE (''x'' || substr(md5(i::text), 1, 16))::bit(64)::int8 END', :rows);
SELECT pg_temp.misrouted('int4', 'int4_ops_v1', 'CASE WHEN i % 10 = 0 THEN i::int4 ELSE (''x'' || substr(md5(i::text), 1, 8))::bit(32)::int4 END', :rows);
SELECT pg_temp.misrouted('int2', 'int2_ops_v1', '(i % 65536 - 32768)::int2', :rows);
SELECT pg_temp.misrouted('text', 'text_ops_v1', 'CASE i % 3 WHEN 0 THEN ''user:'' || i WHEN 1 THEN ''섬/'' || i ELSE repeat(md5(i::text), 1 + (i % 5)::int) END', :rows);
SELECT pg_temp.misrouted('varchar(200)', 'text_ops_v1', '''user:'' || i', :rows);
SELECT pg_temp.misrouted('bytea', 'bytea_ops_v1', 'decode(left(repeat(md5(i::text), 3), 2 * (i % 48)::int), ''hex'')', :rows);
SELECT pg_temp.misrouted('uuid', 'uuid_ops_v1', 'md5(i::text)::uuid', :rows);
