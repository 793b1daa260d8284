"""Aggregates over distributed tables: each node works on its own rows, and answers are those of a plain table.

In: the directory of the server's programs, then names of tests, or none for all. Out: as servers.py says.
"""

import itertools
import random

from servers import holds, main, same, test

coordinator, shards = None, []
COLUMNS = "id int8, a int4, s int2, n numeric, f float8, g float4, v text COLLATE \"C\", w text, d timestamptz, i interval, b bool, u uuid, day date, x bytea"
ROWS = """SELECT i::int8, nullif(i % 7, 3), (i % 100)::int2, nullif(i % 11, 5) * 1.10::numeric, (i % 13) / 4.0::float8, ((i % 5) * 0.5)::float4,
    CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN 'Z' || i % 3 ELSE 'a' || i % 5 END, chr(44032 + i % 9), timestamptz '2026-01-01' + i % 17 * interval '1 h',
    i % 3 * interval '1 day', nullif(i % 5, 2) > 1, md5((i % 6)::text)::uuid, date '2026-01-01' + i % 4, decode(md5((i % 8)::text), 'hex')
    FROM generate_series(1, 3000) i"""


def set_up(first, others):
    global coordinator, shards
    coordinator, shards = first, others
    same(ask("CREATE EXTENSION atoll; CREATE EXTENSION postgres_fdw"), "")
    for n, shard in enumerate(shards, 1):
        same(shard.ask("CREATE EXTENSION atoll"), "")
        same(ask(f"SELECT atoll.add_node('n{n}', 'host=127.0.0.1 port={shard.port} user=postgres dbname=postgres')"), str(n))
    for table in ("spread", "plain", "empty", "nothing"):
        ask(f"CREATE TABLE {table} ({COLUMNS})")
    same(ask("SELECT atoll.distribute_table('spread', 'id', 12); SELECT atoll.distribute_table('empty', 'id', 4)"), "")
    same(ask(f"INSERT INTO spread {ROWS}; INSERT INTO plain {ROWS}; ANALYZE spread, plain"), "")


def ask(sql):
    return coordinator.ask(sql)


# The library is there when the statement is planned.
LOADED = "SELECT count(*) FROM spread WHERE id = 1; SET extra_float_digits = 3; "


def planned(sql):
    return ask(LOADED + "EXPLAIN (VERBOSE, COSTS OFF) " + sql)


def compare(sql):
    """A statement over {t} answers alike for the distributed and the plain table, loaded and in a fresh backend."""
    wanted = ask(LOADED + sql.format(t="plain"))
    same((sql, ask(LOADED + sql.format(t="spread"))), (sql, wanted))


AGGREGATES = [
    "count(*)", "count(1)", "count(a)", "count(v)", "sum(id)", "sum(a)", "sum(s)", "sum(n)", "sum(f)", "sum(g)", "sum(i)", "avg(id)", "avg(a)", "avg(s)",
    "avg(n)", "avg(f)", "avg(g)", "min(id)", "max(a)", "min(s)", "max(n)", "min(f)", "max(g)", "min(v)", "max(v)", "max(w)", "min(d)", "max(day)", "min(i)",
    "bool_and(b)", "bool_or(b)", "bit_and(a)", "bit_or(id)", "every(b)", "avg(i)", "stddev(a)", "variance(n)", "count(DISTINCT a)", "sum(a + 1)",
    "array_agg(a ORDER BY id)", "string_agg(v, ',' ORDER BY id)", "max(f) FILTER (WHERE a > 2)", "sum(DISTINCT s)", "count(*) FILTER (WHERE b)", "bit_xor(s)",
]  # fmt: skip
KEYS = ["a", "v", "w", "b", "day", "d", "u", "n", "f", "i", "x", "s"]


@test
def nodes_count_their_own_rows():
    plan = planned("SELECT a, count(*), sum(id), avg(n), min(v) FROM spread GROUP BY a")
    holds(plan, "Finalize", "(PARTIAL count(*))", "GROUP BY 1", "Slot: 11", "Node: n3")
    same(plan.count("Remote SQL"), plan.count("GROUP BY 1"))


@test
def every_aggregate_answers_as_over_a_plain_table():
    for aggregate in AGGREGATES:
        compare(f"SELECT {aggregate} FROM {{t}}")
        compare(f"SELECT {aggregate} FROM {{t}} WHERE id < 0")
        compare(f"SELECT a, {aggregate} FROM {{t}} WHERE s > 20 GROUP BY a ORDER BY a")


@test
def a_few_hundred_statements_answer_as_over_a_plain_table():
    dice = random.Random(7)
    conditions = ["", "WHERE a > 1", "WHERE v LIKE 'a%'", "WHERE d < now()", "WHERE id % 2 = 0 AND f IS NOT NULL", "WHERE n IS NULL OR b", "WHERE random() >= 0", "WHERE id = 77", "WHERE id IN (5, 600, 1700)"]
    after = ["", "HAVING count(*) > 20", "HAVING min(id) < 100 AND sum(id) > 0"]
    for n in range(300):
        keys = dice.sample(KEYS, dice.randrange(0, 4))
        outs = dice.sample(AGGREGATES, dice.randrange(1, 5))
        sql = f"SELECT {', '.join(keys + outs)} FROM {{t}} {dice.choice(conditions)}"
        if keys:
            sql += f" GROUP BY {', '.join(keys)} {dice.choice(after)} ORDER BY {', '.join(str(k + 1) for k in range(len(keys)))}"
            if n % 5 == 0:
                sql += " LIMIT 4"
        compare(sql)


@test
def other_shapes_answer_as_over_a_plain_table():
    for sql in [
        "SELECT a, count(*) FROM {t} GROUP BY ROLLUP (a) ORDER BY a, count(*)",
        "SELECT a % 2, sum(id) FROM {t} GROUP BY 1 ORDER BY 1",
        "SELECT DISTINCT a FROM {t} ORDER BY a",
        # What has one value only need not be grouped by: planners leave it out, and it is in the answer all the same.
        "SELECT 'x' AS one, count(*) FROM {t} GROUP BY one",
        "SELECT a, count(*), sum(n) FROM {t} WHERE a = 5 GROUP BY a",
        "SELECT 1 + a AS more, v, avg(n), count(*) FROM {t} WHERE a = 5 GROUP BY a, 1 + a, v ORDER BY v LIMIT 5",
        "SELECT p.a, q.v, count(*) FROM {t} p JOIN {t} q ON p.id = q.id WHERE p.a = 5 GROUP BY p.a, q.v ORDER BY q.v LIMIT 5",
        "SELECT count(*), (SELECT max(id) FROM {t}) FROM {t}",
        "SELECT p.a, count(*) FROM {t} p JOIN {t} q ON p.id = q.id GROUP BY p.a ORDER BY 1",
        "SELECT a, sum(c) FROM (SELECT a, v, count(*) AS c FROM {t} GROUP BY a, v) t GROUP BY a ORDER BY a",
        "SELECT a, count(*), sum(sum(id)) OVER (ORDER BY a) FROM {t} GROUP BY a ORDER BY a",
        "SELECT count(*) FROM {t} WHERE v = (SELECT max(v) FROM {t})",
        "SELECT id, count(*), max(v) FROM {t} WHERE id < 30 GROUP BY id ORDER BY id",
        "WITH m AS MATERIALIZED (SELECT a, avg(n) AS m FROM {t} GROUP BY a) SELECT * FROM m ORDER BY a",
        "SELECT a, count(*) FROM {t} GROUP BY a UNION ALL SELECT NULL, count(*) FROM {t} ORDER BY 2, 1",
        "PREPARE q (int, text) AS SELECT a, count(*), sum(n) FROM {t} WHERE a > $1 AND v < $2 GROUP BY a ORDER BY a; EXECUTE q (1, 'b'); EXECUTE q (4, 'a2'); EXECUTE q (0, 'z'); EXECUTE q (1, 'b'); EXECUTE q (1, 'b'); EXECUTE q (1, 'b'); EXECUTE q (NULL, 'b')",
        "SET plan_cache_mode = force_generic_plan; PREPARE q (int) AS SELECT count(*) FROM {t} WHERE a = $1; EXECUTE q (2); EXECUTE q (NULL)",
        "SELECT o.a, (SELECT count(*) FROM {t} i WHERE i.a = o.a) FROM (VALUES (1), (2), (NULL)) o(a) ORDER BY 1",
        "SELECT (SELECT sum(i.id) FROM {t} i WHERE i.s = o.s) FROM {t} o WHERE o.id < 5 ORDER BY o.id",
    ]:
        compare(sql)


@test
def tables_without_rows_have_no_groups_and_one_count():
    for outs in itertools.batched(AGGREGATES, 6) if hasattr(itertools, "batched") else [AGGREGATES[n : n + 6] for n in range(0, len(AGGREGATES), 6)]:
        sql = f"SELECT {', '.join(outs)} FROM "
        same(ask(LOADED + sql + "empty"), ask(LOADED + sql + "nothing"))
        same(ask(LOADED + f"SELECT a, {', '.join(outs)} FROM empty GROUP BY a"), "1")


@test
def a_fresh_backend_and_a_session_that_does_not_want_it_answer_the_same():
    sql = "SELECT a, count(*), avg(n), sum(id) FROM spread GROUP BY a ORDER BY a"
    wanted = ask("SELECT a, count(*), avg(n), sum(id) FROM plain GROUP BY a ORDER BY a")
    same(ask(sql), wanted)
    same(ask("SELECT count(*) FROM spread WHERE id = 1; SET atoll.push_down = off; " + sql), "1\n" + wanted)
    off = ask("SELECT count(*) FROM spread WHERE id = 1; SET atoll.push_down = off; EXPLAIN (VERBOSE, COSTS OFF) " + sql)
    same("PARTIAL" in off, False)
    # The setting of other tables is what it was, also after a statement that could not be planned.
    same(ask(LOADED + "SHOW enable_partitionwise_aggregate"), "1\noff")
    holds(ask(LOADED + "SELECT 1 / 0, count(*) FROM spread"), "22012")
    same(ask(LOADED + "DO $$BEGIN PERFORM 1 / 0, count(*) FROM spread; EXCEPTION WHEN division_by_zero THEN END$$; SHOW enable_partitionwise_aggregate"), "1\noff")


@test
def the_condition_of_a_barrier_view_is_looked_at_before_anything_is_counted():
    same(ask("CREATE VIEW behind WITH (security_barrier) AS SELECT * FROM spread WHERE a > 2; CREATE FUNCTION peek(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS 'BEGIN RAISE NOTICE ''%'', $1; RETURN true; END'"), "")
    same(ask(LOADED + "SELECT count(*) FROM behind WHERE v IS NOT NULL"), "1\n" + ask("SELECT count(*) FROM plain WHERE a > 2 AND v IS NOT NULL"))
    peeked = ask(LOADED + "SELECT count(*), sum(id) FROM behind WHERE peek(v) AND id < 50")
    wanted = ask("SELECT count(*), sum(id) FROM plain WHERE a > 2 AND id < 50")
    same((peeked.count("NOTICE"), peeked.splitlines()[-1]), (int(wanted.split("|")[0]), wanted))


@test
def own_changes_count_within_their_transaction():
    same(
        ask(LOADED + "BEGIN; INSERT INTO spread (id, a, n) VALUES (100001, 1, 5); SELECT count(*), sum(id) FROM spread WHERE id > 100000; SAVEPOINT s; DELETE FROM spread WHERE id < 1000; SELECT count(*) FROM spread; ROLLBACK TO s; SELECT count(*) FROM spread; ROLLBACK; SELECT count(*) FROM spread"),
        "1\n1|100001\n2002\n3001\n3000",
    )


@test
def user_defined_aggregates_stay_here():
    same(ask("CREATE AGGREGATE product(int4) (SFUNC = int4mul, STYPE = int4, COMBINEFUNC = int4mul, INITCOND = '1', PARALLEL = SAFE)"), "")
    compare("SELECT s, product(s) FROM {t} WHERE s < 4 AND id < 40 GROUP BY s ORDER BY s")
    same("product(c" in planned("SELECT product(a) FROM spread"), False)


if __name__ == "__main__":
    main(set_up)
