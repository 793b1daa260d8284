#!/usr/bin/env bash
# What a call of a routing function costs in SQL, beside PostgreSQL's own hash of the same value.
#
# In: the extension in the release profile, already built; ROWS and ROUNDS. Out: a table of nanoseconds a
# call and ratios; each pair is measured by turns in one run, the best round counts.
# Must never: be read as absolute figures, which drift with the machine.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

# An expression is evaluated 1 and 17 times a row; the difference is 16 calls and 16 times the operator
# between them, which is measured by itself and taken off. PostgreSQL's hash of bytea cannot be called from
# SQL: that of text of the same length stands for it.
sql=$(mktemp)
trap 'rm -f "$sql"' EXIT
cat >"$sql" <<'SQL'
\set QUIET on
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION atoll;
SET search_path = public, atoll;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
CREATE TABLE bench AS SELECT i, i::int4 AS i4, 'user:' || i AS t, repeat(md5(i::text), 2) AS t64, decode(md5(i::text), 'hex') AS b, left(md5(i::text), 16) AS t16, md5(i::text)::uuid AS u FROM generate_series(1, :rows) i;
ALTER TABLE bench ALTER i SET NOT NULL;
VACUUM ANALYZE bench;
CREATE FUNCTION run(expression text, times int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE started timestamptz := clock_timestamp();
BEGIN
    EXECUTE 'SELECT bit_xor(' || array_to_string(array_fill(expression, ARRAY[times]), ' # ') || ') FROM bench';
    RETURN extract(epoch FROM clock_timestamp() - started) * 1e9;
END $$;
CREATE TABLE pairs (n serial, ours text, builtin text, glue text);
INSERT INTO pairs (ours, builtin, glue) VALUES
    ('hash64(i)', 'hashint8extended(i, 0)', 'i'),
    ('slot_of(i, 4096)', 'hashint8(i)', 'i4'),
    ('partition_hash_v1(i, 0)', 'hashint8extended(i, 0)', 'i'),
    ('hash64(i4)', 'hashint4extended(i4, 0)', 'i'),
    ('hash64(t)', 'hashtextextended(t, 0)', 'i'),
    ('slot_of(t, 4096)', 'hashtext(t)', 'i4'),
    ('partition_hash_v1(t, 0)', 'hashtextextended(t, 0)', 'i'),
    ('hash64(t64)', 'hashtextextended(t64, 0)', 'i'),
    ('hash64(b)', 'hashtextextended(t16, 0)', 'i'),
    ('hash64(u)', 'uuid_hash_extended(u, 0)', 'i'),
    ('jump(i, 100)', 'hashint8(i)', 'i4'),
    ('modulo(i, 100)', 'hashint8(i)', 'i4'),
    ('modulo(t, 100, ''md5'')', 'hashtext(t)', 'i4'),
    ('octet_length(ring_node(i, ''{a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p}''))', 'octet_length(i::text)', 'i4');
CREATE TABLE rounds (n int, what text, ns float8);
CREATE PROCEDURE measure(rounds int) LANGUAGE plpgsql AS $$
DECLARE pair pairs; per_row float8 := 16.0 * (SELECT count(*) FROM bench);
BEGIN
    FOR round IN 1 .. rounds LOOP
        FOR pair IN SELECT * FROM pairs LOOP
            INSERT INTO rounds SELECT pair.n, what, (run(expression, 17) - run(expression, 1)) / per_row
            FROM (VALUES ('ours', pair.ours), ('builtin', pair.builtin), ('glue', pair.glue)) v (what, expression);
        END LOOP;
    END LOOP;
END $$;
CALL measure(:rounds);
SELECT ours, builtin, round((o - g)::numeric, 1) AS ours_ns, round((b - g)::numeric, 1) AS builtin_ns, round(((o - g) / (b - g))::numeric, 2) AS ratio
FROM pairs, LATERAL (SELECT min(ns) FILTER (WHERE what = 'ours') AS o, min(ns) FILTER (WHERE what = 'builtin') AS b, min(ns) FILTER (WHERE what = 'glue') AS g FROM rounds r WHERE r.n = pairs.n) best
ORDER BY pairs.n;
\timing on
SELECT count(ring_node(i, '{a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p}')) AS "ring_node of 1,000,000 rows" FROM generate_series(1, 1000000) i;
SQL
rows=${ROWS:-100000} rounds=${ROUNDS:-9}
# The directory of psql comes last.
export rows rounds sql
# shellcheck disable=SC2016
scripts/pg-copy.sh release bash -c '"$1/psql" -X --variable=rows="$rows" --variable=rounds="$rounds" --file="$sql"' bench
