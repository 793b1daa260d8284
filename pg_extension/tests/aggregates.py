"""Grouping and joining where the rows lie: the answers of distributed tables beside those of plain ones.

In: the directory of the server's programs, then names of tests, or none for all. Out: as servers.py says.

The tables `sale` and `item` are distributed by the same key into the same slots; `plain_sale` and `plain_item`
hold the same rows here. Floats are multiples of 1/4, whose sums are exact in any order. Row order is compared only
where the query asks for one.
"""

import random
import re

from servers import holds, main, same, test

SLOTS = 9
coordinator, shards = None, []

SALE = """id int8 PRIMARY KEY, small int2, middle int4, big int8, price numeric, ratio float8, narrow float4, name text, at timestamptz,
    good bool, span interval, code varchar(8), label text COLLATE "C", odd numeric"""
ROWS = """SELECT i, (nullif(i % 11, 3) - 5)::int2, nullif(i * 7919 % 2003, 5) - 1000, CASE WHEN i % 17 <> 0 THEN i * 922337203685477 * (1 - i % 2 * 2) END,
    CASE WHEN i % 13 <> 0 THEN (i * 31 % 977)::numeric / power(10, i % 6)::numeric END, nullif(i % 40, 7) / 4.0, (i % 23) / 4.0,
    CASE WHEN i % 19 <> 0 THEN chr(64 + i % 50) || i % 37 END, '2024-02-29 12:00+00'::timestamptz + i * interval '1 h 7 s', CASE WHEN i % 5 > 0 THEN i % 3 = 0 END,
    i % 90 * interval '1 h', chr(97 + i % 20), repeat(chr(65 + i % 30), i % 3),
    CASE i % 600 WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' WHEN 3 THEN '-Infinity' WHEN 4 THEN '-0.000000000000000000001' ELSE power(10::numeric, i % 40) END
    FROM generate_series(1, 2400) i"""
ITEM = "sale int8 PRIMARY KEY, pieces int4, worth numeric, kind text"
ITEMS = "SELECT i * 3, i % 10, i / 8.0, CASE WHEN i % 4 > 0 THEN 'kind ' || i % 6 END FROM generate_series(1, 1000) i"


def set_up(first, others):
    global coordinator, shards
    coordinator, shards = first, others
    coordinator.ask("CREATE EXTENSION atoll; CREATE EXTENSION postgres_fdw")
    for n, shard in enumerate(shards, 1):
        shard.ask("CREATE EXTENSION atoll")
        same(coordinator.ask(f"SELECT atoll.add_node('n{n}', 'host=127.0.0.1 port={shard.port} user=postgres dbname=postgres')"), str(n))
    for name, columns, rows, key in (("sale", SALE, ROWS, "id"), ("item", ITEM, ITEMS, "sale"), ("empty", SALE, ROWS + " WHERE false", "id")):
        sql = f"CREATE TABLE plain_{name} ({columns}); INSERT INTO plain_{name} {rows}; CREATE TABLE {name} (LIKE plain_{name} INCLUDING ALL); INSERT INTO {name} TABLE plain_{name};"
        beside = ", colocate_with => 'sale'" if name == "item" else ""
        same(coordinator.ask(f"{sql} SELECT atoll.distribute_table('{name}', '{key}', {SLOTS}{beside}); ANALYZE {name}; ANALYZE plain_{name}"), "")


def answers(queries, before=""):
    """The rows of each query, from one session that has loaded the extension."""
    script = "".join(f"\n\\echo <query>\n{query};" for query in queries)
    parts = coordinator.ask(f"LOAD 'atoll'; {before};{script}\n").split("<query>")[1:]
    same(len(parts), len(queries))
    return [[line for line in part.split("\n") if line] for part in parts]


def as_plain(queries, before=""):
    """Compares the rows of queries, whose tables are written `{sale}`, `{item}` and `{empty}`."""
    far = answers([query.format(sale="sale", item="item", empty="empty") for query in queries], before)
    near = answers([query.format(sale="plain_sale", item="plain_item", empty="plain_empty") for query in queries], before)
    for query, found, wanted in zip(queries, far, near):
        if not re.search("ORDER BY (s.id|name)", query):
            found, wanted = sorted(found), sorted(wanted)
        if found != wanted or any("ERROR" in line for line in found):
            raise AssertionError(f"{query}: found {found[:5]}, wanted {wanted[:5]}")


def plan(query, before=""):
    return coordinator.ask(f"LOAD 'atoll'; {before}; EXPLAIN (VERBOSE, COSTS OFF) {query}")


COLUMNS = ("id", "small", "middle", "big", "price", "ratio", "narrow", "name", "at", "good", "span", "code", "label", "odd")
NUMBERS = ("id", "small", "middle", "big", "price", "ratio", "narrow", "odd", "middle + small", "price * 2", "big % 1000", "odd - price")
GROUPS = ("small", "middle % 7", "name", "good", "code", "upper(name)", "label", "date_trunc('day', at AT TIME ZONE 'UTC')", "id % 5", "id", "good, code", "small, label", "ratio", "trim_scale(price)", "length(name), good", "trim_scale(odd)", "middle IS NULL")
FILTERS = ("", "", "", " FILTER (WHERE middle > 0)", " FILTER (WHERE name IS NULL)", " FILTER (WHERE price > 1 AND good)", " FILTER (WHERE false)")
WHERES = ("", "", "", " WHERE middle > 100", " WHERE good", " WHERE id IN (5, 77, 901)", " WHERE id = 77", " WHERE false", " WHERE name LIKE 'A%'", " WHERE id < 50 AND price IS NOT NULL", " WHERE id < 0", " WHERE at > '2024-04-01 00:00+00'")


def aggregate(dice):
    which = dice.randrange(8)
    if which == 0:
        return "count(*)" + dice.choice(FILTERS)
    if which == 1:
        return f"count({dice.choice(COLUMNS)}){dice.choice(FILTERS)}"
    if which < 6:
        function, column = dice.choice(("sum", "avg", "avg", "min", "max")), dice.choice(NUMBERS)
        # Of equal numbers with other scales, which one is shown depends on the order of rows in any table.
        column = f"trim_scale({column})" if function in ("min", "max") and ("price" in column or "odd" in column) else column
        return f"{function}({column}){dice.choice(FILTERS)}"
    return dice.choice(("min(name)", "max(name)", "min(at)", "max(at)", "max(code)", "min(label)", 'max(name COLLATE "C")', "bool_and(good)", "bool_or(good)", "bit_or(small)", "sum(span)", "max(span)",
                        "count(DISTINCT small)", "sum(DISTINCT middle)", "string_agg(code, '' ORDER BY id)", "round(stddev(middle), 6)", "array_agg(id ORDER BY id)", "sum(sum(middle)) OVER ()", "avg(avg(middle)) OVER ()"))


def queries(count, seed):
    dice = random.Random(seed)
    for _number in range(count):
        items = [aggregate(dice) for _n in range(dice.randint(1, 4))]
        group = dice.choice(GROUPS) if dice.random() < 0.75 else ""
        sql = f"SELECT {group + ', ' if group else ''}{', '.join(items)} FROM {{{'empty' if dice.random() < 0.06 else 'sale'}}}{dice.choice(WHERES)}"
        if group:
            sql += f" GROUP BY {group}"
        if dice.random() < 0.3:
            sql += dice.choice((" HAVING count(*) > 20", " HAVING sum(middle) > 0", " HAVING max(id) % 2 = 0 AND avg(price) < 400", " HAVING random() >= 0", " HAVING avg(big) IS NULL"))
        yield sql


@test
def four_hundred_generated_queries_answer_as_a_plain_table():
    as_plain(list(queries(400, 6)), "SET timezone = 'Asia/Seoul'; SET datestyle = 'German, DMY'; SET extra_float_digits = 1")


@test
def a_fresh_backend_answers_the_same_without_preload():
    for query in queries(12, 7):
        found, wanted = (coordinator.ask(query.format(sale=f"{kind}sale", empty=f"{kind}empty")) for kind in ("", "plain_"))
        same(sorted(found.split("\n")), sorted(wanted.split("\n")))


@test
def states_travel_and_rows_do_not():
    for query, parts in (
        ("SELECT count(*) FROM sale", ("Finalize Aggregate", "PARTIAL count(*)", "SELECT count(*) FROM public.sale_")),
        ("SELECT small, count(*), avg(big) FROM sale GROUP BY small HAVING count(*) > 3", ("Finalize", "count(*) > 3", "GROUP BY 1", "PARTIAL avg(")),
        ("SELECT upper(code), sum(price) FILTER (WHERE good) FROM sale WHERE middle > 0 GROUP BY upper(code)", ("Finalize", "sum(price) FILTER (WHERE good)", "SELECT upper(code), count(price)", "WHERE ((middle > 0))")),
        ("SELECT id, max(price) FROM sale GROUP BY id", ("SELECT id, max(price) FROM public.sale_",)),
        ("SELECT kind, count(*), avg(worth) FROM sale JOIN item ON id = sale GROUP BY kind", ("Finalize", "INNER JOIN", "GROUP BY 1", "PARTIAL avg(")),
        ("SELECT good, worth FROM sale LEFT JOIN item ON id = sale WHERE middle = 7", ("LEFT JOIN",)),
    ):
        found = plan(query)
        holds(found, *parts)
        for slot in range(SLOTS):
            holds(found, f"Slot: {slot}\n" if slot < SLOTS - 1 else f"Slot: {slot}")
        same(found.count("Remote SQL"), SLOTS)
        same("Finalize" in plan(query, "SET atoll.push_down = off"), False)


@test
def what_has_no_state_is_computed_here():
    for query in ("SELECT count(DISTINCT small) FROM sale", "SELECT good, string_agg(code, '') FROM sale GROUP BY good", "SELECT count(*), stddev(middle) FROM sale", "SELECT small, count(*) FROM sale GROUP BY ROLLUP (small)", "SELECT sum(middle) FROM sale WHERE at < now()"):
        same("PARTIAL count" in plan(query) and "Aggregate on" in plan(query), False)
    as_plain(["SELECT small, good, count(*), sum(price) FROM {sale} GROUP BY ROLLUP (small, good)", "SELECT sum(middle) FROM {sale} WHERE at < now()", "SELECT count(*) FROM {sale} WHERE id % 2 = 0 AND random() >= 0"])


@test
def colocated_joins_answer_as_plain_tables():
    dice = random.Random(8)
    found = []
    for kind in ("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"):
        for _number in range(12):
            extra = dice.choice(("", " AND pieces > 3", " AND s.price > i.worth")) if kind != "FULL JOIN" else ""
            where = dice.choice(("", " WHERE good", " WHERE pieces IS NULL", " WHERE id < 300", " WHERE i.sale = 6", " WHERE kind = 'kind 1' OR small = 2"))
            source = f"FROM {{sale}} s {kind} {{item}} i ON s.id = i.sale{extra}{where}"
            found.append(dice.choice((f"SELECT s.id, i.kind, price, worth {source}", f"SELECT count(*), sum(worth), avg(price), max(kind) {source}", f"SELECT kind, count(*), sum(pieces), avg(big) {source} GROUP BY kind", f"SELECT s.id, i.worth {source} ORDER BY s.id, i.worth LIMIT 9", f"SELECT i.sale, count(s.*) {source} GROUP BY i.sale")))
    found += [
        "SELECT count(*) FROM {sale} WHERE id IN (SELECT sale FROM {item} WHERE pieces > 2)",
        "SELECT count(*) FROM {sale} s WHERE EXISTS (SELECT FROM {item} i WHERE i.sale = s.id AND worth > 20)",
        "SELECT count(*), sum(s.price) FROM {sale} s WHERE NOT EXISTS (SELECT FROM {item} i WHERE i.sale = s.id)",
        "SELECT s.small, count(*), sum(t.price) FROM {sale} s JOIN {sale} t ON s.id = t.id JOIN {item} i ON i.sale = t.id GROUP BY s.small",
        "SELECT count(*), sum(i.worth) FROM {sale} s JOIN {item} i ON s.middle = i.pieces",
        "SELECT g, count(*), max(s.price) FROM generate_series(1, 9) g JOIN {sale} s ON s.small = g GROUP BY g",
        "SELECT x.n, y.n FROM (SELECT good, count(*) n FROM {sale} GROUP BY good) x JOIN (SELECT good, sum(pieces) n FROM {sale} JOIN {item} ON id = sale GROUP BY good) y ON x.good = y.good",
        "SELECT small, (SELECT count(*) FROM {item} i WHERE i.pieces = s.small) FROM {sale} s WHERE id < 30",
        "WITH x AS (SELECT kind, avg(worth) a FROM {item} GROUP BY kind) SELECT count(*), round(max(a), 9) FROM x",
        "SELECT count(*) FROM (SELECT small FROM {sale} UNION SELECT pieces FROM {item}) x",
        "SELECT small, pieces, count(*) FROM {sale}, {item} WHERE id = sale AND id = 33 GROUP BY 1, 2",
    ]
    as_plain(found)


@test
def prepared_statements_with_parameters_answer_as_plain_tables():
    for mode in ("force_generic_plan", "force_custom_plan"):
        as_plain(["PREPARE q (int, text, numeric) AS SELECT small, $3 + 1, count(*) FILTER (WHERE name > $2), avg(price + $3), sum(big) FROM {sale} WHERE middle > $1 GROUP BY small HAVING count(*) > $1",
                  "EXECUTE q(10, 'M', 0.5)", "EXECUTE q(-2000, 'A', -3)", "EXECUTE q(NULL, NULL, NULL)",
                  "PREPARE j (int8) AS SELECT kind, count(*), sum(worth * $1) FROM {sale} JOIN {item} ON id = sale WHERE id > $1 GROUP BY kind", "EXECUTE j(9)", "EXECUTE j(2990)",
                  "PREPARE o (bool) AS SELECT count(*), sum(big) FROM {sale} WHERE $1", "EXECUTE o(true)", "EXECUTE o(false)", "EXECUTE o(NULL)"], f"SET plan_cache_mode = {mode}")


@test
def own_changes_are_counted_and_cursors_go_on():
    as_plain(["BEGIN", "INSERT INTO {sale} (id, price) VALUES (900001, 0.125), (900002, NULL), (900003, 7)", "SELECT count(*), sum(price), avg(price) FROM {sale}", "SAVEPOINT s", "DELETE FROM {sale} WHERE id % 2 = 0", "SELECT good, count(*), avg(odd) FROM {sale} GROUP BY good", "ROLLBACK TO s",
              "DECLARE c CURSOR FOR SELECT name, count(*) FROM {sale} GROUP BY name ORDER BY name", "FETCH 3 FROM c", "UPDATE {sale} SET name = 'x' WHERE id < 100", "FETCH ALL FROM c", "SELECT count(*) FROM {sale} WHERE name = 'x'", "ROLLBACK"])


@test
def exact_numbers_stay_exact():
    as_plain(["SELECT sum(odd), avg(odd) FROM {sale} WHERE id % 600 NOT IN (1, 2, 3)", "SELECT id % 600, sum(odd), avg(odd) FROM {sale} WHERE id % 600 < 5 GROUP BY 1", "SELECT sum(odd) FROM {sale} WHERE id % 600 IN (2, 3)", "SELECT avg(odd) FROM {sale} WHERE id % 600 = 3",
              "SELECT sum(9223372036854775802 - small), avg(-9223372036854775802 + small) FROM {sale}", "SELECT avg('Infinity'::float8 * (id % 2 * 2 - 1)), sum('NaN'::float8), avg(ratio * 1e300) FROM {sale} WHERE ratio < 0", "SELECT avg(CASE WHEN id < 9 THEN 'Infinity'::float8 ELSE ratio END) FROM {sale}",
              "SELECT sum(price), avg(price), sum(big), min(odd), max(odd), count(name), bool_and(good), sum(span) FROM {empty}", "SELECT good, count(*) FROM {empty} GROUP BY good", "SELECT avg(1.50), sum(0.000), avg(id * 1.10) FROM {sale}"])


@test
def row_security_and_rights_stay_with_the_original_tables():
    ask = coordinator.ask
    for shard in shards:
        shard.ask("CREATE ROLE clerk LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk")
    ask("CREATE ROLE clerk; CREATE VIEW all_sales AS SELECT good, count(*) AS n FROM sale GROUP BY good; GRANT SELECT ON all_sales TO clerk; CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM sale WHERE middle > 0")
    holds(ask("SET ROLE clerk; SELECT count(*) FROM sale"), "42501", "permission denied for table sale")
    same(ask("SET ROLE clerk; SELECT sum(n) FROM all_sales"), "2400")
    same(ask("LOAD 'atoll'; SET ROLE clerk; SELECT sum(n) FROM all_sales"), "2400")
    holds(ask("LOAD 'atoll'; SET ROLE clerk; SELECT count(*) FROM sale JOIN item ON id = sale"), "42501", "permission denied")
    # distribute_table refuses row security; parts made by hand over the same rows can have it.
    sql = "CREATE TABLE guarded (id int8, middle int4, name text) PARTITION BY HASH (id atoll.int8_ops_v1);"
    for slot in range(SLOTS):
        sql += f"CREATE FOREIGN TABLE guarded_{slot} PARTITION OF guarded FOR VALUES WITH (MODULUS {SLOTS}, REMAINDER {slot}) SERVER atoll_g{ask('SELECT min(group_id) FROM atoll.distributed_table')}_s{slot} OPTIONS (schema_name 'public', table_name 'sale_{slot:04}');"
    same(ask(f"{sql} GRANT SELECT ON guarded, item TO clerk; ANALYZE guarded"), "")
    asked = ("SELECT count(*) FROM guarded", "SELECT middle % 3, count(name) FROM guarded GROUP BY 1", "SELECT id, count(*) FROM guarded GROUP BY id", "SELECT g.id, pieces FROM guarded g JOIN item ON id = sale")
    for query in asked:
        found = plan(query, "SET ROLE clerk")
        same((query, "Aggregate on" in found or "INNER JOIN" in found), (query, True))
    same(ask("ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON guarded FOR SELECT TO clerk USING (middle > 500)"), "")
    for query in asked:
        found = plan(query, "SET ROLE clerk")
        same("Aggregate on" in found or "INNER JOIN" in found, False)
        holds(found, "middle > 500")
    as_plain(["SELECT count(*), sum(price) FROM (SELECT * FROM {sale} WHERE middle > 0 OFFSET 0) x"])
    same(ask("LOAD 'atoll'; SELECT count(*) FROM barrier WHERE good"), ask("SELECT count(*) FROM plain_sale WHERE middle > 0 AND good"))


@test
def the_planner_settings_are_left_as_they_were():
    same(coordinator.ask("LOAD 'atoll'; SELECT count(*) FROM sale; SELECT count(*) FROM sale JOIN item ON id = sale; SHOW enable_partitionwise_aggregate; SHOW enable_partitionwise_join"), "2400\n800\noff\noff")
    holds(coordinator.ask("LOAD 'atoll'; SELECT count(*), 1 / (SELECT 0) FROM sale WHERE 1 / 0 = id; SHOW enable_partitionwise_aggregate"), "22012", "off")


@test
def groups_on_a_dead_node_are_an_error_that_names_it():
    shards[1].stop()
    try:
        holds(coordinator.ask("LOAD 'atoll'; SELECT good, count(*) FROM sale GROUP BY good"), 'node "n2"')
    finally:
        shards[1].start()
    same(coordinator.ask("LOAD 'atoll'; SELECT count(*) FROM sale; SELECT count(*) FROM postgres_fdw_get_connections()"), "2400\n0")


if __name__ == "__main__":
    main(set_up)
