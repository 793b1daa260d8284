"""The catalog of distributed tables over real servers: asking nodes, ranges, COPY, DDL, dumps and roles.

In: the directory of the server's programs, then names of tests, or none for all. Out: as servers.py says.
Every `ask` is a session of its own that has not loaded the extension: what is refused or carried over there
does not depend on hooks.
"""

import os
import subprocess

from servers import BINDIR, holds, main, same, test

coordinator, shards = None, []
ROUTER = os.environ["ATOLL_ROUTER"]


def set_up(first, others):
    global coordinator, shards
    coordinator, shards = first, others
    same(coordinator.ask("CREATE EXTENSION atoll; CREATE EXTENSION postgres_fdw"), "")
    for n, shard in enumerate(shards, 1):
        same(shard.ask("CREATE EXTENSION atoll"), "")
        same(coordinator.ask(f"SELECT atoll.add_node('n{n}', '{conninfo(shard)}')"), str(n))


def conninfo(shard):
    return f"host=127.0.0.1 port={shard.port} user=postgres dbname=postgres"


def ask(sql):
    return coordinator.ask(sql)


def problems(table):
    """What verify finds wrong, a line each."""
    return ask(f"SELECT slot, shard, problem FROM atoll.verify('{table}') WHERE problem IS NOT NULL")


def left_over(prefix):
    """Tables on the nodes whose names begin so, and prepared transactions."""
    return sum(int(shard.ask(f"SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE '{prefix}%'")) + int(shard.ask("SELECT count(*) FROM pg_prepared_xacts")) for shard in shards)


def routes_as_located(table, kind):
    """The topology's bytes, loaded as other languages load them, name the node that locate names."""
    found = ask(f"SELECT id, (atoll.locate('{table}', id)).node FROM {table} ORDER BY id")
    keys = "".join(line.split("|")[0] + "\n" for line in found.splitlines())
    routed = subprocess.run([ROUTER, kind, ask(f"SELECT encode(atoll.topology('{table}'), 'hex')")], input=keys, capture_output=True, text=True, check=False)
    same((routed.stderr, routed.stdout), ("", found + "\n"))


@test
def keys_are_found_where_every_router_looks():
    same(ask("CREATE TABLE k (id text PRIMARY KEY, v int); SELECT atoll.distribute_table('k', 'id', 16)"), "")
    same(ask("INSERT INTO k SELECT 'key' || i, i FROM generate_series(1, 300) i; SELECT atoll.shard_of('k', 'key7'::text) = (SELECT replace(x.tableoid::regclass::text, 'k_', 'public.k_') FROM k x WHERE id = 'key7')"), "t")
    routes_as_located("k", "text")
    holds(ask("SELECT atoll.topology('pg_class')"), "55000", "is not distributed")


@test
def verify_finds_what_is_wrong_on_a_node():
    same(problems("k"), "")
    same(ask("SELECT count(*), sum(rows) FROM atoll.verify('k')"), "16|300")
    there, other = (ask(f"SELECT shard FROM atoll.slots WHERE \"table\" = 'k'::regclass AND node = 'n{n}' ORDER BY slot LIMIT 1") for n in (1, 2))
    row = shards[1].ask(f"SELECT id FROM {other} LIMIT 1")
    shards[0].ask(f"ALTER TABLE {there} DROP CONSTRAINT atoll_slot; INSERT INTO {there} VALUES ('{row}'); ALTER TABLE {there} ADD COLUMN more int, ALTER v TYPE int8; CREATE INDEX ON {there} (v); CREATE TABLE k_0999 (id int); CREATE TABLE k_0998x (id int)")
    shards[1].ask(f"DROP TABLE {other}")
    found = problems("k")
    holds(found, f"{there}|column more is integer there and missing here; column v is bigint there and integer here; indexes are", "the constraint atoll_slot is missing; 1 rows belong to other slots", f"{other}|the table is missing", "|public.k_0999|the table belongs to no slot of this node")
    same(found.count("\n"), 2)
    # What is missing is no longer in the way of dropping the rest.
    shards[1].ask(f"CREATE TABLE {other} ()")
    same(ask("DROP TABLE k"), "")
    same(left_over("k_0"), 2)
    shards[0].ask("DROP TABLE k_0999, k_0998x")


@test
def statements_run_on_every_node_or_slot():
    same(ask("CREATE TABLE r (id int8 PRIMARY KEY, v text); SELECT atoll.distribute_table('r', 'id', 6); INSERT INTO r SELECT i, 'v' || i FROM generate_series(1, 60) i"), "")
    same(ask("SELECT node, answer FROM atoll.run_on_nodes('SELECT 1, NULL, current_database() UNION ALL SELECT 2, NULL, NULL ORDER BY 1')"), "n1|{1,NULL,postgres}\nn1|{2,NULL,NULL}\nn2|{1,NULL,postgres}\nn2|{2,NULL,NULL}\nn3|{1,NULL,postgres}\nn3|{2,NULL,NULL}")
    same(ask("SELECT sum(answer[1]::int), count(DISTINCT node) FROM atoll.run_on_slots('r', $$SELECT count(*) FROM %s WHERE v LIKE 'v%%'$$)"), "60|3")
    # Within the transaction, and with its changes.
    same(ask("BEGIN; DELETE FROM r WHERE id <= 10; SELECT sum(answer[1]::int) FROM atoll.run_on_slots('r', 'SELECT count(*) FROM %s'); SELECT count(*) FROM atoll.run_on_slots('r', 'DELETE FROM %s'); SELECT count(*) FROM r; ROLLBACK; SELECT count(*) FROM r"), "50\n6\n0\n60")
    holds(ask("SELECT * FROM atoll.run_on_nodes('CREATE TABLE public.r_made (id int PRIMARY KEY); SELECT 1 / (inet_server_port() - " + str(shards[2].port) + ")')"), "22012", "Node: n3")
    same(left_over("r_made"), 0)
    holds(ask("SELECT * FROM atoll.run_on_nodes('COMMIT')"), "2D000", "ended the transaction")
    # Outside of it a node that refuses does not keep the others.
    same(ask("SELECT node, problem FROM atoll.run_on_nodes('SELECT 1 / (inet_server_port() - " + str(shards[2].port) + ")', false)"), 'n1|\nn2|\nn3|node "n3": division by zero')
    same(ask("SELECT count(*), count(problem) FROM atoll.run_on_slots('r', 'VACUUM %s', false)"), "6|0")
    holds(ask("SELECT * FROM atoll.run_on_slots('r', 'VACUUM r')"), "22023", "%s")
    shards[2].stop()
    try:
        same(ask("SELECT node, answer, problem LIKE 'could not connect to node \"n3\"%' FROM atoll.run_on_nodes('SELECT 1', false)"), "n1|{1}|\nn2|{1}|\nn3||t")
        holds(ask("SELECT * FROM atoll.run_on_nodes('SELECT 1')"), "08001", 'could not connect to node "n3"')
    finally:
        shards[2].start()


@test
def asking_is_for_those_who_are_allowed():
    same(ask("CREATE ROLE plain"), "")
    for call in ("run_on_nodes('SELECT 1')", "run_on_slots('r', 'SELECT 1 FROM %s')", "topology('r')", "verify('r')", "shard_of('r', 1)", "ask_nodes('{1}', '{SELECT 1}', 'read')", "act_on_nodes('{1}', '{SELECT 1}', 10)", "run_as(10, 'SELECT 1')", "changing(true)"):
        holds(ask(f"SET ROLE plain; SELECT atoll.{call}"), "42501", "permission denied")
    holds(ask("GRANT EXECUTE ON FUNCTION atoll.run_on_nodes, atoll.ask_nodes TO plain; SET ROLE plain; SELECT * FROM atoll.run_on_nodes('SELECT 1')"), "08001", "needs a password")
    holds(ask("GRANT EXECUTE ON FUNCTION atoll.topology, atoll.topology_bytes, atoll.distributed TO plain; SET ROLE plain; SELECT length(atoll.topology('r')) > 50; SELECT conninfo FROM atoll.node"), "t\n", "42501")


@test
def copy_brings_rows_of_every_kind():
    same(ask("CREATE TABLE c (id int8 PRIMARY KEY, a text, d timestamptz, i interval, f float8, b bytea, j jsonb, n numeric, e text[], g int8 GENERATED ALWAYS AS (id * 2) STORED, o regclass, dropped int, z int DEFAULT 7); ALTER TABLE c DROP COLUMN dropped; SELECT atoll.distribute_table('c', 'id', 9)"), "")
    ask("CREATE TABLE c_plain (LIKE c INCLUDING GENERATED INCLUDING DEFAULTS); INSERT INTO c_plain (id, a, d, i, f, b, j, n, e, o) SELECT i, CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'tab\\tline\\nreturn\\rback\\\\slash' WHEN 3 THEN '\\\\.' WHEN 4 THEN '\\\\N' ELSE '섬' || i END, '2020-01-01'::timestamptz + i * interval '1 min', i * interval '1 h -1 day', i / 7.0::float8, decode(md5(i::text), 'hex'), jsonb_build_object('k', E'a\\nb'), i / 3.0, ARRAY['x y', NULL, '\"'], 'pg_class'::regclass FROM generate_series(1, 4000) i")
    for settings in ("", "SET datestyle = 'German, DMY'; SET intervalstyle = sql_standard; SET timezone = 'Asia/Seoul'; SET extra_float_digits = 0; SET bytea_output = 'escape';"):
        path = f"{coordinator.home}/c.copy"
        # Written with usual settings: numbers keep every digit.
        same(ask(f"COPY c_plain (id, a, d, i, f, b, j, n, e, o) TO '{path}'"), "")
        same(ask(f"{settings} SET datestyle = 'ISO, DMY'; {settings and 'SET intervalstyle = postgres; '} COPY c (id, a, d, i, f, b, j, n, e, o) FROM '{path}'"), "")
        same(ask("SELECT count(*) FROM (SELECT * FROM c EXCEPT SELECT * FROM c_plain) x; SELECT count(*) FROM (SELECT * FROM c_plain EXCEPT SELECT * FROM c) x; SELECT count(*) FROM c WHERE z = 7"), "0\n0\n4000")
        same(problems("c"), "")
        same(ask("TRUNCATE c"), "")


@test
def an_error_in_a_copy_keeps_nothing():
    path = f"{coordinator.home}/c.bad"
    ask(f"COPY (SELECT id, a FROM c_plain UNION ALL SELECT 3999, 'twice') TO '{path}'")
    holds(ask(f"COPY c (id, a) FROM '{path}'"), "23505", "Node: n")
    same(ask("SELECT count(*) FROM c"), "0")
    # A bad line, long after rows have been sent; a savepoint keeps what was there before it.
    holds(ask("COPY c (id, a) FROM PROGRAM 'seq -f \"%.0f\tx\" 1 200000; echo bad'"), "22P02")
    same(ask("SELECT count(*) FROM c"), "0")
    same(ask(f"BEGIN; INSERT INTO c (id) VALUES (1); DO $$BEGIN COPY c (id, a) FROM '{path}'; EXCEPTION WHEN unique_violation THEN RAISE NOTICE 'none'; END$$; SELECT count(*) FROM c; COMMIT; SELECT count(*) FROM c").split("\n")[-2:], ["1", "1"])
    same((ask("DELETE FROM c"), left_over("none")), ("", 0))
    holds(ask("SET statement_timeout = '300ms'; COPY c (id, a) FROM PROGRAM 'seq -f \"%.0f\tx\" 1 100000; sleep 5'"), "57014")
    same((ask("SELECT count(*) FROM c"), left_over("none")), ("0", 0))


@test
def a_copy_is_seen_by_its_own_transaction_and_by_its_triggers():
    path = f"{coordinator.home}/c.copy"
    same(ask(f"BEGIN; COPY c (id, a, d, i, f, b, j, n, e, o) FROM '{path}'; SELECT count(*) FROM c; UPDATE c SET z = 8 WHERE id <= 10; SELECT sum(z) FROM c; ROLLBACK; SELECT count(*) FROM c"), "4000\n28010\n0")
    ask("CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'there are %', (SELECT count(*) FROM c); RETURN NULL; END$$; CREATE TRIGGER seen AFTER INSERT ON c FOR EACH STATEMENT EXECUTE FUNCTION seen()")
    holds(ask(f"BEGIN; COPY c (id, a, d, i, f, b, j, n, e, o) FROM '{path}'; ROLLBACK"), "there are 4000")
    # A default that looks finds the rows before it, and one that rolls back must not take them along.
    ask("CREATE FUNCTION before_me() RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM c'; CREATE TABLE c_seen (id int8 PRIMARY KEY, n int DEFAULT before_me()); SELECT atoll.distribute_table('c_seen', 'id', 3)")
    ask("CREATE OR REPLACE FUNCTION before_me() RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM c_seen'")
    same(ask("COPY c_seen (id) FROM PROGRAM 'seq 1 20'; SELECT count(*), min(n), max(n) FROM c_seen; TRUNCATE c_seen"), "20|0|19")
    ask("CREATE OR REPLACE FUNCTION before_me() RETURNS int LANGUAGE plpgsql AS $$BEGIN BEGIN PERFORM count(*) FROM c_seen; RAISE 'back'; EXCEPTION WHEN raise_exception THEN END; RETURN 1; END$$")
    holds(ask("COPY c_seen (id) FROM PROGRAM 'seq 1 20'"), "0A000", "exception block")
    same(ask("SELECT count(*) FROM c_seen; DROP TABLE c_seen; DROP TRIGGER seen ON c"), "0")


@test
def many_rows_are_copied_into_many_slots():
    path = f"{coordinator.home}/c.many"
    ask(f"COPY (SELECT i, 'value ' || i, i % 100 FROM generate_series(1, 50000) i) TO '{path}'; CREATE TABLE m (id int8 PRIMARY KEY, v text, a int)")
    same(ask("SELECT atoll.distribute_table('m', 'id'); SELECT count(*) FROM atoll.slots WHERE \"table\" = 'm'::regclass"), "64")
    times = []
    for _ in range(3):
        answer = ask(f"SELECT count(*) FROM m; SELECT clock_timestamp() AS started \\gset\nCOPY m FROM '{path}'; SELECT (extract(epoch FROM clock_timestamp() - :'started'::timestamptz) * 1000)::int; SELECT count(*), sum(a) FROM m; TRUNCATE m")
        count, took, sums = answer.split("\n")
        same((count, sums), ("0", "50000|2475000"))
        times.append(int(took))
    print(f"# 50,000 rows into 64 slots by COPY: {min(times)} ms (of {times})")


@test
def a_filled_table_is_distributed_with_progress_for_others():
    ask("CREATE TABLE p AS SELECT i::int8 AS id, repeat('x', 100) AS v FROM generate_series(1, 60000) i")
    session = coordinator.open("BEGIN; SELECT atoll.distribute_table('p', 'id', 12); SELECT count(*) FROM p; COMMIT; SELECT count(*) FROM p; SELECT count(*) FROM atoll.moves")
    seen = set()
    while session.poll() is None:
        line = ask('SELECT "table", rows_done > 0, rows_done <= rows_total, rows_total FROM atoll.moves')
        if line:
            seen.add(line)
    same(session.stdout.read().strip(), "60000\n60000\n0")
    holds(str(seen), "p|t|t|60000")
    same(problems("p"), "")
    # All or nothing, with a row that one node refuses.
    ask("CREATE TABLE q (id int8, v int); INSERT INTO q SELECT i, i FROM generate_series(1, 5000) i")
    shards[1].ask("CREATE TABLE q_0002 (id int)")
    holds(ask("SELECT atoll.distribute_table('q', 'id', 4)"), "42P07", "Node: n2")
    shards[1].ask("DROP TABLE q_0002")
    same((ask("SELECT count(*) FROM q; SELECT count(*) FROM atoll.tables WHERE \"table\" = 'q'::regclass"), left_over("q_0")), ("5000\n0", 0))
    # The guard stands again after a function that failed in a block of its own.
    holds(ask("DO $$BEGIN BEGIN PERFORM atoll.distribute_table('p', 'v', 4); EXCEPTION WHEN OTHERS THEN END; DROP FOREIGN TABLE p_0001; END$$"), "0A000")


@test
def ranges_divide_a_filled_table_and_prune():
    ask("CREATE TABLE g (id int8 PRIMARY KEY, v text); INSERT INTO g SELECT i * i, 'v' || i FROM generate_series(-500, 1499) i ON CONFLICT DO NOTHING")
    before = ask("SELECT count(*), sum(id) FROM g")
    same(ask("SELECT atoll.distribute_table('g', 'id', 8, 'range')"), "")
    same(ask("SELECT count(*), sum(id) FROM g"), before)
    same(ask("SELECT count(*), min(rows) > 100, count(problem) FROM atoll.verify('g')"), "8|t|0")
    routes_as_located("g", "int")
    for sql, parts in (("id BETWEEN 5 AND 10", 1), ("id = 1000000", 1), ("id IN (1, 2000000)", 2), ("id < 0", 1), ("id > 0::smallint", 8)):
        same(ask(f"EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM g WHERE {sql}").count("Remote SQL"), parts)
    same(ask("SET plan_cache_mode = force_generic_plan; PREPARE q(int8) AS SELECT v FROM g WHERE id = $1; EXECUTE q(49); EXPLAIN (COSTS OFF) EXECUTE q(49)").split("\n")[:3], ["v-7", "Append", "  Subplans Removed: 7"])
    # The nodes refuse what does not belong there.
    shard = ask("SELECT (atoll.locate('g', 0)).shard")
    holds(ask(f"SELECT * FROM atoll.run_on_slots('g', 'INSERT INTO %s VALUES (77)')"), "23514", "atoll_slot")
    # Tables of one group share their ranges.
    ask("CREATE TABLE h (gid int4, w text); SELECT atoll.distribute_table('h', 'gid', method => 'range', colocate_with => 'g'); INSERT INTO h SELECT id, v FROM g")
    same(ask("SELECT count(*) FROM g JOIN h ON gid = id; SELECT count(DISTINCT \"group\") FROM atoll.tables WHERE \"table\" IN ('g'::regclass, 'h'::regclass)"), "1500\n1")
    holds(ask("CREATE TABLE hh (id int8); SELECT atoll.distribute_table('hh', 'id', colocate_with => 'g')"), "42804")
    same(ask("DROP TABLE h; SELECT atoll.undistribute_table('g'); SELECT count(*), sum(id) FROM g; SELECT count(*) FROM pg_foreign_server WHERE srvname LIKE 'atoll_g%' AND srvname NOT IN (SELECT format('atoll_g%s_s%s', group_id, slot) FROM atoll.slot)"), before + "\n0")
    same(left_over("g_0") + left_over("h_0"), 0)


@test
def ranges_are_added_at_either_end():
    same(ask("CREATE TABLE e (id int8 PRIMARY KEY); CREATE TABLE e2 (id int8); SELECT atoll.distribute_table('e', 'id', method => 'range'); SELECT atoll.distribute_table('e2', 'id', method => 'range', colocate_with => 'e')"), "")
    holds(ask("INSERT INTO e VALUES (1)"), "23514", "no partition")
    holds(ask("SELECT atoll.topology('e')"), "55000", "add_range")
    same(ask("SELECT atoll.add_range('e', 100, 200), atoll.add_range('e', '200', '0300', 'n3'), atoll.add_range('e', 50, 100)"), "0|1|2")
    holds(ask("SELECT atoll.add_range('e', 400, 500)"), "22023", "Ranges: from 100 to 200, from 200 to 300, from 50 to 100.")
    holds(ask("SELECT atoll.add_range('e', 300, 250)"), "42P17")
    holds(ask("SELECT atoll.add_range('e', 300, 120)"), "42P17")
    same(ask("SELECT atoll.add_range('e', NULL, 50); SELECT atoll.add_range('e', 300, NULL); SELECT slot, node FROM atoll.slots WHERE \"table\" = 'e2'::regclass ORDER BY 1"), "3\n4\n0|n1\n1|n3\n2|n2\n3|n1\n4|n2")
    holds(ask("SELECT atoll.add_range('e', 900, NULL)"), "22023")
    same(ask("INSERT INTO e SELECT generate_series(-10, 400); INSERT INTO e2 SELECT id FROM e; SELECT count(*) FROM e JOIN e2 USING (id)"), "411")
    same((problems("e"), problems("e2")), ("", ""))
    routes_as_located("e", "int")
    ask("DROP TABLE e, e2")
    same(left_over("e_0") + left_over("e2_0"), 0)


@test
def ranges_of_text_follow_their_bytes():
    holds(ask("""CREATE TABLE w (id text COLLATE "en-x-icu" PRIMARY KEY); SELECT atoll.distribute_table('w', 'id', method => 'range')"""), "0A000", "order of bytes", 'COLLATE "C"')
    same(ask("""ALTER TABLE w ALTER COLUMN id TYPE text COLLATE "C"; SELECT atoll.distribute_table('w', 'id', method => 'range', splits => ARRAY['B', 'a''b', 'z', '섬'])"""), "")
    same(ask("""INSERT INTO w SELECT x || y FROM unnest(ARRAY['', 'A', 'B', 'a', 'a''b', 'b', 'Z', 'z', 'é', '섬', '😀']) x, generate_series(1, 5) y; SELECT count(*) FROM w; SELECT count(*) FROM w WHERE id >= 'a' AND id < 'b'"""), "55\n10")
    same(problems("w"), "")
    routes_as_located("w", "text")
    same(ask("EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM w WHERE id = 'Z1'").count("Remote SQL"), 1)
    same(ask("EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM w WHERE id >= 'z'").count("Remote SQL"), 2)
    for kind, keys in (("uuid", "md5(i::text)::uuid"), ("bytea", "decode(md5(i::text), 'hex')")):
        same(ask(f"CREATE TABLE w_{kind} AS SELECT {keys} AS id FROM generate_series(1, 300) i; SET bytea_output = 'escape'; SELECT atoll.distribute_table('w_{kind}', 'id', 5, 'range'); SELECT count(*) FROM atoll.topology('w_{kind}'); SELECT count(*), min(rows) > 40, count(problem), count(DISTINCT (SELECT node FROM atoll.locate('w_{kind}', id))) FROM atoll.verify('w_{kind}'), w_{kind} LIMIT 1"), "1\n1500|t|0|3")
    holds(ask("CREATE TABLE x (id int8); SELECT atoll.distribute_table('x', 'id', method => 'range', splits => '{5,3}')"), "42P17")
    same((ask("SELECT count(*) FROM atoll.tables WHERE \"table\" = 'x'::regclass"), left_over("x_0")), ("0", 0))


def refused(sql, *parts):
    """Refused with these words, and nothing of it stays here or there."""
    before = ask(DDL_STATE)
    holds(ask(sql), *parts)
    same((ask(DDL_STATE), problems("d")), (before, ""))


DDL_STATE = "SELECT atoll.table_facts('d'), t FROM atoll.tables t WHERE \"table\" = 'd'::regclass; SELECT count(*), sum(id) FROM d"


@test
def columns_are_added_renamed_and_dropped_everywhere():
    ask("""CREATE TABLE d (id int8 PRIMARY KEY, gone int, v text DEFAULT 'x', "A b" int, UNIQUE (v, id), CONSTRAINT positive CHECK (id > 0)); ALTER TABLE d DROP COLUMN gone; CREATE INDEX d_v ON d (v); CREATE UNIQUE INDEX ON d (("A b" + 1), id); INSERT INTO d SELECT i, 'v' || i, i % 5 FROM generate_series(1, 400) i; SELECT atoll.distribute_table('d', 'id', 7)""")
    same(problems("d"), "")
    for sql in (
        "ADD COLUMN n int",
        "ADD COLUMN c text NOT NULL DEFAULT 'a''b%'",
        "ADD COLUMN at timestamptz DEFAULT now(), ADD COLUMN g int8 GENERATED ALWAYS AS (id * 2) STORED, ADD COLUMN l text[] DEFAULT ARRAY['x', NULL]",
        'RENAME COLUMN "A b" TO ab',
        "RENAME v TO w",
        "RENAME id TO key",
        "DROP COLUMN n, ADD COLUMN n text COLLATE \"C\"",
        "ALTER COLUMN c DROP NOT NULL, ALTER COLUMN ab SET NOT NULL, ALTER COLUMN c SET DEFAULT 'later', ALTER w DROP DEFAULT",
        "RENAME key TO id",
    ):
        same(ask(f"SET datestyle = 'German'; ALTER TABLE d {sql}"), "")
        same(problems("d"), "")
    same(ask("SELECT count(*), count(DISTINCT at), min(c), sum(g) - 2 * sum(id), min(l::text) FROM d"), "400|1|a'b%|0|{x,NULL}")
    same(ask("INSERT INTO d (id, ab) VALUES (1000, 7) RETURNING c, g, w; SELECT key FROM atoll.tables WHERE \"table\" = 'd'::regclass; SELECT atoll.shard_of('d', 1000) IS NOT NULL; DELETE FROM d WHERE id = 1000"), "later|2000|\nid\nt")
    holds(ask("INSERT INTO d (id, w, ab) VALUES (1001, 'v1', 1), (1, 'v1', 1)"), "23505")
    holds(ask("INSERT INTO d (id) VALUES (1001)"), "23502")
    same(ask("ALTER TABLE d DROP COLUMN w; SELECT constraints, cardinality(indexes) FROM atoll.tables WHERE \"table\" = 'd'::regclass"), '{"PRIMARY KEY (id)","CONSTRAINT positive CHECK ((id > 0))"}|1')
    same(problems("d"), "")


@test
def indexes_and_checks_are_made_and_dropped_everywhere():
    long = "i" + "x" * 62
    same(ask(f"CREATE INDEX d_ab ON d (ab); CREATE INDEX {long} ON d USING hash (c); CREATE INDEX ON d (id, (ab + 1)) WHERE ab > 2; ALTER INDEX d_ab RENAME TO d_other; ALTER TABLE d ADD CONSTRAINT small CHECK (ab < 100) NOT VALID, ADD CHECK (length(c) < 50)"), "")
    same(problems("d"), "")
    same(ask("SELECT count(*) FROM atoll.run_on_nodes($$SELECT indexrelid::regclass FROM pg_index WHERE indrelid::regclass::text LIKE 'public.d\\_0%' AND NOT indisprimary$$)"), "28")
    holds(ask("INSERT INTO d (id, ab) VALUES (2000, 100)"), "23514", "small")
    same(ask(f"ALTER TABLE d VALIDATE CONSTRAINT small; ALTER TABLE d RENAME CONSTRAINT small TO smaller; DROP INDEX d_other, {long}; ALTER TABLE d DROP CONSTRAINT d_c_check"), "")
    same(problems("d"), "")
    same(ask("SELECT count(*) FROM atoll.run_on_nodes($$SELECT 1 FROM pg_constraint WHERE conname IN ('smaller', 'small', 'd_c_check') AND contype = 'c'$$) WHERE answer IS NOT NULL"), "7")
    # What hangs on something that is dropped goes with it.
    ask("CREATE FUNCTION odd(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 % 2 = 1'")
    for shard in shards:
        shard.ask("CREATE FUNCTION odd(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 % 2 = 1'; CREATE DOMAIN word AS text")
    same(ask("CREATE DOMAIN word AS text; ALTER TABLE d ADD COLUMN o word; ALTER TABLE d ADD CONSTRAINT odds CHECK (odd(ab) OR true); SELECT count(*) FROM atoll.verify('d') WHERE problem IS NULL; SET client_min_messages = warning; DROP DOMAIN word CASCADE; DROP FUNCTION odd CASCADE"), "7")
    same(problems("d"), "")


@test
def a_table_is_renamed_moved_and_truncated():
    same(ask("CREATE SCHEMA elsewhere; ALTER TABLE d RENAME TO d_new; ALTER TABLE d_new SET SCHEMA elsewhere; INSERT INTO elsewhere.d_new (id, ab) VALUES (3000, 1); SELECT count(*) FROM elsewhere.d_new; ALTER TABLE elsewhere.d_new ADD COLUMN late int DEFAULT 3; CREATE INDEX late ON elsewhere.d_new (late)"), "401")
    same(problems("elsewhere.d_new"), "")
    same(ask("ALTER TABLE elsewhere.d_new SET SCHEMA public; ALTER TABLE d_new RENAME TO d; SELECT sum(late) FROM d; BEGIN; TRUNCATE d; SELECT count(*) FROM d; ROLLBACK; SELECT count(*) FROM d; DELETE FROM d WHERE id = 3000"), "1203\n0\n401")
    same(problems("d"), "")


@test
def what_cannot_be_carried_over_is_refused():
    for sql, word in (
        ("ALTER TABLE d ALTER COLUMN ab TYPE int8", 'the type of column "ab" stays'),
        ("ALTER TABLE d ENABLE ROW LEVEL SECURITY", "row security"),
        ("ALTER TABLE d ADD COLUMN fine int, ENABLE ROW LEVEL SECURITY", "row security"),
        ("ALTER TABLE d REPLICA IDENTITY FULL", "replica identity"),
        ("ALTER TABLE d ALTER COLUMN id DROP NOT NULL", "distributes the table"),
        ("ALTER TABLE d ALTER COLUMN c SET STORAGE EXTERNAL", "storage"),
        ("ALTER TABLE d ADD COLUMN r float8 DEFAULT random()", "volatile"),
        ("ALTER TABLE d ADD COLUMN s serial", "volatile"),
        ("ALTER TABLE d ADD COLUMN n2 int GENERATED ALWAYS AS IDENTITY", ""),
        ("ALTER TABLE d DETACH PARTITION d_0001", ""),
        ("CREATE TABLE more PARTITION OF d DEFAULT", ""),
        ("ALTER FOREIGN TABLE d_0001 ADD CHECK (id > 5)", "a part of distributed table"),
        ("ALTER TABLE d_0001 ALTER ab DROP NOT NULL", ""),
        ("DROP FOREIGN TABLE d_0001", "parts"),
        ("ALTER TABLE d ADD CONSTRAINT atoll_slot CHECK (id > 0)", "atoll_slot"),
        ("DO $$BEGIN EXECUTE 'ALTER TABLE d ADD COLUMN x int'; EXECUTE 'ALTER TABLE d ALTER ab TYPE int2'; END$$", "type"),
        # The nodes look at their rows.
        ("ALTER TABLE d ADD COLUMN must int NOT NULL", "contains null values"),
        ("ALTER TABLE d ADD CHECK (id > 10)", "is violated by some row"),
        ("ALTER TABLE d ALTER COLUMN n SET NOT NULL", "contains null values"),
    ):
        refused(sql, "ERROR", word)
    same(ask("BEGIN; ALTER TABLE d ADD COLUMN x int; CREATE INDEX ON d (x); INSERT INTO d (id, ab, x) VALUES (5000, 1, 1); SELECT sum(x) FROM d; SAVEPOINT s; ALTER TABLE d DROP COLUMN x; ROLLBACK TO s; SELECT sum(x) FROM d; ROLLBACK"), "1\n1")
    same(problems("d"), "")


@test
def sessions_that_change_other_tables_do_not_meet():
    # A snapshot from before a change, and names from after it.
    session = coordinator.open("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class LIMIT 1; SELECT pg_sleep(1.5); CREATE TEMP TABLE mine (id int); COMMIT; SELECT 'done'")
    coordinator.wait_for("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    same(ask("ALTER TABLE d RENAME ab TO renamed"), "")
    holds(session.stdout.read(), "done")
    same(ask("ALTER TABLE d RENAME renamed TO ab; SET session_replication_role = replica; ALTER TABLE d ADD COLUMN always int; ALTER TABLE d DROP COLUMN always"), "")
    sessions = [coordinator.open(f"ALTER TABLE d ADD COLUMN side{n} int DEFAULT {n}; CREATE INDEX ON d (side{n}); ALTER TABLE d DROP COLUMN side{n};") for n in range(4)]
    same([session.stdout.read() for session in sessions], [""] * 4)
    same(problems("d"), "")


@test
def a_change_with_a_dead_node_changes_nothing():
    state = ask(DDL_STATE.split(";")[0])
    shards[1].stop()
    try:
        for sql in ("ALTER TABLE d ADD COLUMN dead int", "CREATE INDEX ON d (ab)", "DROP TABLE d", "TRUNCATE d", "ALTER TABLE d RENAME ab TO ba"):
            holds(ask(sql), "08001", 'could not connect to node "n2"')
    finally:
        shards[1].start()
    same(ask(DDL_STATE.split(";")[0]), state)
    same(problems("d"), "")
    # A node that dies while it is told.
    session = coordinator.open("BEGIN; ALTER TABLE d ADD COLUMN dead int; SELECT pg_sleep(1); COMMIT")
    shards[1].wait_for("SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'atoll' AND state = 'idle in transaction'")
    shards[1].ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'atoll'")
    holds(session.stdout.read(), "08006", "n2")
    same((ask(DDL_STATE.split(";")[0]), problems("d"), left_over("none")), (state, "", 0))


@test
def an_update_of_the_key_is_refused_or_moves_the_row():
    ask("CREATE TABLE mv (id int8 PRIMARY KEY, v text, g int8 GENERATED ALWAYS AS (id + 1) STORED); CREATE TABLE rg (id text COLLATE \"C\" PRIMARY KEY, v text); INSERT INTO mv SELECT i, E'tab\\t' || i FROM generate_series(1, 100) i; INSERT INTO rg SELECT 'k' || i, NULL FROM generate_series(1, 100) i; SELECT atoll.distribute_table('mv', 'id', 8); SELECT atoll.distribute_table('rg', 'id', 4, 'range', splits => '{k3,k6}')")
    holds(ask("UPDATE mv SET id = 1000 WHERE id = 7"), "0A000", "atoll.allow_key_update")
    holds(ask("PREPARE u AS UPDATE mv SET id = id + 1000 WHERE id = 7; SET atoll.allow_key_update = on; SET plan_cache_mode = force_generic_plan; PREPARE w AS UPDATE mv SET id = id + 1000 WHERE id = 7; SET atoll.allow_key_update = off; EXECUTE w"), "0A000")
    move = "SET atoll.allow_key_update = on;"
    returned = ask(f"{move} UPDATE mv SET id = id + 1000, v = v || '!' WHERE id <= 50 RETURNING id, g").split("\n")
    same(sorted(returned), [f"{i}|{i + 1}" for i in range(1001, 1051)])
    same(ask("SELECT count(*), sum(id), count(*) FILTER (WHERE v = E'tab\\t' || id - 1000 || '!'), sum(g) - sum(id) FROM mv; SELECT v FROM mv WHERE id = 1007"), "100|55050|50|100\ntab\t7!")
    same(problems("mv"), "")
    # Every row once, though it comes to slots that are read later.
    same(ask(f"{move} UPDATE mv SET id = id + 10000; SELECT count(*), sum(id) FROM mv; BEGIN; UPDATE mv SET id = id + 50000; ROLLBACK; SELECT count(*), sum(id) FROM mv"), "100|1055050\n100|1055050")
    same((problems("mv"), left_over("none")), ("", 0))
    holds(ask(f"{move} UPDATE mv SET id = 11002 WHERE id = 10060"), "23505")
    holds(ask(f"{move} UPDATE mv SET id = NULL WHERE id = 10060"), "23502")
    same(ask(f"{move} UPDATE mv SET id = 7000 WHERE id = 10061 RETURNING 1; UPDATE mv SET id = 61 WHERE id = 7000"), "1")
    same(ask(f"{move} UPDATE rg SET id = 'z' || id, v = 'moved' WHERE id < 'k2'; SELECT count(*) FROM rg WHERE id >= 'z'; SELECT count(*) FROM rg"), "12\n100")
    same(problems("rg"), "")


@test
def a_connection_string_holds_no_password():
    good = conninfo(shards[0])
    for bad in (good + " password=secret1", good + " password='se cret1'", f"postgres://postgres:secret1@127.0.0.1:{shards[0].port}/postgres", "postgresql://127.0.0.1/postgres?password=secret1", good + " passfile=/tmp/secret1", good + " sslpassword=secret1", good + " PASSWORD=secret1", "dbname='host=x password=secret1'", "password=secret1 '"):
        answer = ask("SELECT atoll.add_node('bad', $c$" + bad + "$c$)")
        holds(answer, "22023", "the connection string of node")
        if "secret1" in answer:
            raise AssertionError(f"shown: {answer}")
    # The word alone is no password.
    same(ask(f"BEGIN; SELECT atoll.add_node('word', '{good} application_name=password_check'); SELECT atoll.remove_node('word'); ROLLBACK").split("\n")[0].isdigit(), True)


def restored(name, *restore):
    """A database made of a dump of the coordinator's."""
    same(ask(f"CREATE DATABASE {name}"), "")
    answer = subprocess.run(coordinator.arguments(restore[0], name) + list(restore[1:]), capture_output=True, text=True, check=False)
    same((answer.returncode, answer.stderr), (0, ""))
    return lambda sql: coordinator.ask(sql, name)


def on_nodes():
    """Every table on the nodes, as it looks."""
    return [shard.ask("SELECT c.oid, c.relname, atoll.table_facts(c.oid), pg_relation_filenode(c.oid) FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1") for shard in shards]


@test
def a_dump_of_the_coordinator_is_restored_and_goes_on():
    ask("CREATE TABLE dg (id int8 PRIMARY KEY, v text); SELECT atoll.distribute_table('dg', 'id', method => 'range', splits => '{10,20}'); INSERT INTO dg SELECT i, 'r' || i FROM generate_series(1, 30) i; CREATE INDEX dg_v ON dg (v)")
    tables = ask("SELECT \"table\" FROM atoll.tables ORDER BY 1::text").split("\n")
    questions = "; ".join(f"SELECT '{t}', count(*), md5(string_agg(x::text, ',' ORDER BY x::text)), md5(atoll.topology('{t}')) FROM {t} x" for t in tables) + "; SELECT * FROM atoll.slots ORDER BY \"table\"::text, slot; SELECT * FROM atoll.tables ORDER BY 1::text"
    wanted, before = ask(questions), on_nodes()
    plain, custom = f"{coordinator.home}/dump.sql", f"{coordinator.home}/dump.custom"
    for command in (["-f", plain], ["-Fc", "-f", custom]):
        dumped = subprocess.run(coordinator.arguments("pg_dump") + command, capture_output=True, text=True, check=False)
        same((dumped.returncode, dumped.stderr), (0, ""))
    for there in (
        restored("by_psql", "psql", "-Xq", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-f", plain),
        restored("by_restore", "pg_restore", "--exit-on-error", "-j", "2", custom),
    ):
        # The nodes have not noticed.
        same(on_nodes() == before, True)
        same(there(questions), wanted)
        for table in tables:
            same((table, there(f"SELECT count(problem) FROM atoll.verify('{table}')")), (table, "0"))
        same(there("SELECT count(*) FROM atoll.differences()"), "0")
        same(there("EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM dg WHERE id = 15").count("Remote SQL"), 1)
    # It is the coordinator now: a change in the first statement of a session, and what was made after.
    same(there("ALTER TABLE d ADD COLUMN restored int DEFAULT 9"), "")
    same(there("SELECT sum(restored) / 9 = count(*) FROM d; SELECT count(problem) FROM atoll.verify('d')"), "t\n0")
    same(there("DROP INDEX dg_v; ALTER TABLE d DROP COLUMN restored; SELECT count(problem) FROM atoll.verify('dg'); SELECT count(problem) FROM atoll.verify('d')"), "0\n0")
    same(there("CREATE INDEX dg_v ON dg (v); CREATE TABLE fresh (id int8 PRIMARY KEY); SELECT atoll.distribute_table('fresh', 'id', 4); INSERT INTO fresh SELECT generate_series(1, 9); SELECT atoll.add_node('again', '" + conninfo(shards[0]) + "') > 3; DROP TABLE fresh; SELECT atoll.remove_node('again')"), "t")


@test
def an_owner_who_is_no_superuser_needs_only_its_mappings():
    before = []
    try:
        for shard in shards:
            hba = f"{shard.data}/pg_hba.conf"
            with open(hba, encoding="ascii") as file:
                before.append((hba, file.read()))
            with open(hba, "w", encoding="ascii") as file:
                file.write("host all app,other 127.0.0.1/32 scram-sha-256\n" + before[-1][1])
            same(shard.ask("CREATE ROLE app LOGIN PASSWORD 'appsecret'; CREATE ROLE other LOGIN PASSWORD 'othersecret'; GRANT CREATE ON SCHEMA public TO app; SELECT pg_reload_conf() AND pg_sleep(0.2)::text = ''"), "t")
        same(ask("CREATE ROLE app; CREATE ROLE other; GRANT CREATE ON SCHEMA public TO app"), "")
        ask("SET ROLE app; CREATE TABLE own (id int8 PRIMARY KEY, v text); INSERT INTO own SELECT i, 'o' || i FROM generate_series(1, 500) i")
        holds(ask("SET ROLE app; SELECT atoll.distribute_table('own', 'id')"), "42501")
        holds(ask("SELECT atoll.distribute_table('own', 'id', 6)"), "08001", "needs a password in its user mapping")
        for role in ("app", "other"):
            for n in (1, 2, 3):
                ask(f"CREATE USER MAPPING FOR {role} SERVER atoll_node_n{n} OPTIONS (user '{role}', password '{role}secret')")
        same(ask("SELECT atoll.distribute_table('own', 'id', 6)"), "")
        same(shards[0].ask("SELECT DISTINCT tableowner FROM pg_tables WHERE tablename LIKE 'own\\_%'"), "app")
        same(ask("SET ROLE app; SELECT count(*) FROM own"), "500")
        for sql in (
            "UPDATE own SET v = 'x' WHERE id = 5", "INSERT INTO own SELECT i FROM generate_series(501, 700) i",
            "ALTER TABLE own ADD COLUMN n int DEFAULT 4", "CREATE INDEX own_n ON own (n)", "ALTER TABLE own RENAME v TO w",
            "ALTER TABLE own ADD CHECK (id > 0)", "DROP INDEX own_n", "BEGIN; TRUNCATE own; ROLLBACK",
        ):
            same(ask(f"SET ROLE app; {sql}"), "")
        same((problems("own"), ask("SET ROLE app; SELECT count(*), sum(n) FROM own")), ("", "700|2800"))
        # Others have the rights that they were given, here and there.
        holds(ask("SET ROLE other; SELECT count(*) FROM own"), "42501")
        holds(ask("GRANT SELECT ON own TO other; SET ROLE other; SELECT count(*) FROM own"), "42501", "Node: n")
        holds(ask("SET ROLE other; ALTER TABLE own ADD COLUMN no int"), "42501")
        # A default of somebody's runs with nobody's rights but the caller's.
        same(ask("CREATE FUNCTION who() RETURNS text STABLE LANGUAGE sql AS 'SELECT current_user::text'; SET ROLE app; ALTER TABLE own ADD COLUMN who text DEFAULT who(); SELECT DISTINCT who FROM own"), "app")
        same(ask("SET ROLE app; SELECT atoll.carry_over(); SELECT count(*) FROM atoll.tables WHERE \"table\" = 'own'::regclass"), "1")
        same(ask("SET ROLE app; DROP TABLE own"), "")
        same((left_over("own"), ask("SELECT count(*) FROM atoll.shape WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = relid)")), (0, "0"))
    finally:
        for hba, text in before:
            with open(hba, "w", encoding="ascii") as file:
                file.write(text)
        for shard in shards:
            shard.ask("SELECT pg_reload_conf()")


if __name__ == "__main__":
    main(set_up)
