"""Distributed tables over real servers: one coordinator and three shards, each a PostgreSQL of its own.

In: the directory of the server's programs, then names of tests, or none for all. Out: as servers.py says.

Steps of a commit are held by ordinary means: a deferred trigger that sleeps while a shard prepares, and a
shard's process that is stopped while it should answer.
"""

import os
import signal
import subprocess
import time

from servers import BINDIR, holds, main, same, test

SLOTS = 12
coordinator, shards = None, []


def set_up(first, others):
    global coordinator, shards
    coordinator, shards = first, others
    coordinator.ask("CREATE EXTENSION atoll; CREATE EXTENSION postgres_fdw;")
    coordinator.ask(open(os.path.join(os.path.dirname(__file__), "fanout_catalog.sql"), encoding="ascii").read())
    nodes = ", ".join(f"({n + 1}, 'n{n + 1}', 'host=127.0.0.1 port={shard.port} user=postgres dbname=postgres', true)" for n, shard in enumerate(shards))
    sql = f"INSERT INTO atoll.node VALUES {nodes}; INSERT INTO atoll.slot SELECT 1, s, s % 3 + 1 FROM generate_series(0, {SLOTS - 1}) s;\n"
    for slot in range(SLOTS):
        sql += f"CREATE SERVER atoll_g1_s{slot} FOREIGN DATA WRAPPER atoll_fdw OPTIONS (group '1', slot '{slot}');\n"
    tables = {
        "t": "id int8 NOT NULL, a int4, v text, d timestamptz, i interval, f float8, b bytea, j jsonb, gone int4",
        "u": "tid int8 NOT NULL, w text",
    }
    for name, columns in tables.items():
        key = columns.split()[0]
        sql += f"CREATE TABLE {name} ({columns}) PARTITION BY HASH ({key} atoll.int8_ops_v1);\n"
        for slot in range(SLOTS):
            sql += f"CREATE FOREIGN TABLE {name}_{slot} PARTITION OF {name} FOR VALUES WITH (MODULUS {SLOTS}, REMAINDER {slot}) SERVER atoll_g1_s{slot} OPTIONS (schema_name 'public', table_name '{name}_{slot}');\n"
            shards[slot % 3].ask(f"CREATE TABLE {name}_{slot} ({columns}); ALTER TABLE {name}_{slot} ADD UNIQUE ({key}) DEFERRABLE INITIALLY DEFERRED;")
    for shard in shards:
        shard.ask("""CREATE EXTENSION atoll; CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END$$;
            CREATE FUNCTION nap() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(0.5)';""")
    for slot in range(SLOTS):
        shards[slot % 3].ask(f"CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t_{slot} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.v = 'slow') EXECUTE FUNCTION slow();")
    same(coordinator.ask(sql + "ALTER TABLE t DROP COLUMN gone;"), "")
    for slot in range(SLOTS):
        shards[slot % 3].ask(f"ALTER TABLE t_{slot} DROP COLUMN gone")
    rows = "i::int8 AS id, i % 7 AS a, 'v' || i AS v, '2020-01-01'::timestamptz + i * interval '1 s' AS d, i * interval '1 h' AS i, i / 3.0::float8 AS f, decode(md5(i::text), 'hex') AS b, jsonb_build_object('k', i) AS j"
    same(coordinator.ask(f"CREATE TABLE plain AS SELECT {rows} FROM generate_series(1, 6000) i; INSERT INTO t SELECT * FROM plain; SELECT count(*) FROM t;"), "6000")


def key_on(node, skip=0):
    """A key whose slot lies on this node."""
    return coordinator.ask(f"SELECT i FROM generate_series(100000, 101000) i WHERE atoll.slot_of(i::int8, {SLOTS}) % 3 + 1 = {node} ORDER BY i OFFSET {skip} LIMIT 1")


def prepared():
    return sum(int(shard.ask("SELECT count(*) FROM pg_prepared_xacts")) for shard in shards)


def rows(text):
    """How many nodes hold a row with this text."""
    return sum(int(coordinator.ask(f"SELECT count(*) FROM t WHERE v = '{text}' AND id = {key_on(n)}")) for n in (1, 2, 3))


@test
def every_type_comes_back_as_it_went():
    same(coordinator.ask("SET datestyle = 'German, DMY'; SET intervalstyle = sql_standard; SET timezone = 'Asia/Seoul'; SELECT count(*) FROM (SELECT * FROM t EXCEPT SELECT * FROM plain) x; SELECT count(*) FROM (SELECT * FROM plain EXCEPT SELECT * FROM t) x"), "0\n0")
    same(coordinator.ask("SET datestyle = 'German, DMY'; SET timezone = 'Asia/Seoul'; PREPARE q(timestamptz) AS SELECT id FROM t WHERE d = $1; SET plan_cache_mode = force_generic_plan; EXECUTE q('2020-01-01 00:00:05+00')"), "5")


@test
def parameters_rescans_and_joins_answer_as_a_plain_table():
    for sql in (
        "SELECT k, (SELECT v FROM {} WHERE id = k) FROM generate_series(1, 40) k",
        "SELECT x.id, y.id FROM {0} x JOIN {0} y ON x.a = y.a AND x.id < 30 AND y.id < 30 ORDER BY 1, 2",
        "SELECT a, count(*), sum(f) FROM {} GROUP BY a ORDER BY a",
        "SELECT id FROM {} ORDER BY id DESC LIMIT 7",
        "SELECT x.id, y.v FROM {} x CROSS JOIN LATERAL (SELECT v FROM {} z WHERE z.id = x.id + 1 OFFSET 0) y WHERE x.id < 20 ORDER BY 1",
        "SELECT count(*) FROM {} WHERE id IN (SELECT id FROM {} WHERE a = 3)",
        "SELECT x FROM {} x WHERE id = 77",
    ):
        found = coordinator.ask(sql.format("t", "t"))
        wanted = coordinator.ask("CREATE TEMP TABLE copy AS SELECT * FROM t; " + sql.format("copy", "copy"))
        same(found, wanted)


@test
def a_limit_travels_to_the_nodes_where_nothing_above_drops_rows():
    ways = (
        ("SELECT id, v FROM {} ORDER BY id DESC LIMIT 7", True),
        ("SELECT id FROM {} ORDER BY a, id LIMIT 5 OFFSET 3", True),
        ("SELECT id FROM {} WHERE a = 3 ORDER BY id LIMIT 2", True),
        ("SELECT * FROM (SELECT id FROM {} ORDER BY id LIMIT 9) x ORDER BY id DESC", True),
        ("SELECT id FROM {} WHERE id + random() >= 3 ORDER BY id LIMIT 3", False),
        ("SELECT x.id FROM {} x JOIN {} y ON y.id = x.a ORDER BY x.id LIMIT 3", False),
        ("SELECT a, count(*) FROM {} GROUP BY a ORDER BY a LIMIT 2", False),
        ("SELECT DISTINCT a FROM {} ORDER BY a LIMIT 2", False),
        ("SELECT a FROM {} ORDER BY a FETCH FIRST 3 ROWS WITH TIES", False),
        ("SELECT id, row_number() OVER (ORDER BY a, id) FROM {} ORDER BY id LIMIT 3", False),
        ("SELECT generate_series(1, a) FROM {} ORDER BY id, 1 LIMIT 3", False),
        ("SELECT id FROM {} ORDER BY id LIMIT 3 FOR UPDATE", False),
    )
    for sql, travels in ways:
        plan = coordinator.ask("EXPLAIN (VERBOSE, COSTS OFF) " + sql.format("t", "t"))
        if any(" LIMIT " in line for line in plan.splitlines() if "Remote SQL" in line) != travels:
            raise AssertionError(f"{sql}: {plan}")
        same(coordinator.ask(sql.format("t", "t")), coordinator.ask(sql.format("plain", "plain")))
    same(coordinator.ask("PREPARE q(int) AS SELECT id FROM t ORDER BY id LIMIT $1; SET plan_cache_mode = force_generic_plan; EXECUTE q(2); EXECUTE q(4)"), "1\n2\n1\n2\n3\n4")
    same(coordinator.ask("BEGIN; DELETE FROM t WHERE id <= 10; SELECT id FROM t ORDER BY id LIMIT 2; ROLLBACK"), "11\n12")


@test
def explain_names_node_slot_and_sql():
    holds(coordinator.ask("EXPLAIN (VERBOSE, COSTS OFF) SELECT v FROM t WHERE id = 42"), "Remote SQL: SELECT v FROM public.t_8 WHERE ((id = 42))", "Node: n3", "Slot: 8")
    if "host=" in coordinator.ask("EXPLAIN (VERBOSE) SELECT v FROM t"):
        raise AssertionError("a connection string is shown")


@test
def parts_on_three_servers_run_side_by_side():
    for slot in range(6):
        shards[slot % 3].ask(f"CREATE VIEW nap_{slot} AS SELECT {slot}::int8 AS id, nap() AS a")
    parts = "".join(f"CREATE FOREIGN TABLE nap_{slot} (id int8, a int4) SERVER atoll_g1_s{slot};" for slot in range(6))
    union = " UNION ALL ".join(f"SELECT a FROM nap_{slot}" for slot in range(6))
    answer = coordinator.ask(f"{parts} SELECT count(a) FROM ({union}) x; SELECT clock_timestamp() AS started \\gset\nSELECT count(a) FROM ({union}) x; SELECT clock_timestamp() - :'started'::timestamptz < '0.9 s'")
    same(answer, "6\n6\nt")


@test
def a_write_of_its_own_transaction_is_seen_and_savepoints_undo_it():
    same(coordinator.ask("BEGIN; UPDATE t SET a = 100 WHERE id <= 50; SELECT count(*) FROM t WHERE a = 100; SAVEPOINT x; DELETE FROM t; SELECT count(*) FROM t; ROLLBACK TO x; SELECT count(*) FROM t; ROLLBACK; SELECT count(*) FROM t WHERE a = 100"), "50\n0\n6000\n0")
    same(coordinator.ask("DO $$BEGIN FOR n IN 1..3 LOOP BEGIN UPDATE t SET a = n WHERE id = 1; IF n = 2 THEN RAISE 'no'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END$$; SELECT a FROM t WHERE id = 1; UPDATE t SET a = 1 WHERE id = 1"), "3")


@test
def a_cursor_goes_on_while_its_session_is_used():
    same(coordinator.ask("SET work_mem = '64kB'; BEGIN; DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id FOR UPDATE; FETCH 1 FROM c; UPDATE t SET a = a WHERE id = 5000; INSERT INTO u SELECT id, v FROM t; MOVE 5998 FROM c; FETCH 2 FROM c; ROLLBACK"), "1\n6000")


@test
def a_command_does_not_read_what_it_writes():
    same(coordinator.ask("BEGIN; INSERT INTO t SELECT id + 1000000, a FROM t; SELECT count(*) FROM t; ROLLBACK"), "12000")


@test
def the_key_cannot_be_updated_in_the_first_statement_of_a_session():
    for sql in ("UPDATE t SET id = 43 WHERE id = 42", "UPDATE t SET id = id + random()::int", "UPDATE t_8 SET id = 43 WHERE id = 42", "WITH x AS (UPDATE t SET id = 9 WHERE id = 8 RETURNING 1) SELECT * FROM x"):
        holds(coordinator.ask(sql), "0A000", 'column "id" distributes the table')


@test
def returning_and_row_by_row_changes_give_the_rows():
    same(coordinator.ask("BEGIN; UPDATE t SET a = 50 + random()::int * 0 WHERE id IN (3, 4) RETURNING id, a; DELETE FROM t USING u WHERE t.id = u.tid; ROLLBACK").replace("4|50\n3|50", "3|50\n4|50"), "3|50\n4|50")
    same(coordinator.ask("BEGIN; INSERT INTO t (id, v) VALUES (200001, 'x') RETURNING id, v, a; INSERT INTO t (id, v) VALUES (200002, 'y'), (200003, 'z'); DELETE FROM t WHERE id > 200000 AND length(v) = 1 AND random() >= 0; SELECT count(*) FROM t; ROLLBACK"), "200001|x|\n6000")


@test
def errors_carry_sqlstate_and_node():
    holds(coordinator.ask("INSERT INTO t (id) VALUES (42), (42)"), "23505", "Node: n3")
    same(coordinator.ask("SELECT count(*) FROM t"), "6000")


@test
def a_refused_prepare_leaves_nothing_anywhere():
    keys = [key_on(node) for node in (1, 2, 3)]
    holds(coordinator.ask(f"BEGIN; INSERT INTO t (id, v) VALUES ({keys[0]}, 'half'), ({keys[1]}, 'half'); INSERT INTO t (id, v) VALUES ({keys[2]}, 'half'), ({keys[2]}, 'half'); COMMIT"), "23505")
    same((rows("half"), prepared()), (0, 0))


@test
def a_failing_statement_of_a_script_undoes_the_others():
    holds(coordinator.ask(f"INSERT INTO t (id, v) VALUES ({key_on(1)}, 'script') \\; INSERT INTO t (id, v) VALUES ({key_on(2)}, 'script') \\; SELECT 1 / 0;"), "22012")
    same(rows("script"), 0)


@test
def a_cancelled_fan_out_ends_at_once_and_the_session_goes_on():
    union = " UNION ALL ".join(f"SELECT a FROM nap_{slot}" for slot in range(6))
    answer = coordinator.ask(f"SET statement_timeout = '100ms'; SELECT clock_timestamp() AS started \\gset\nSELECT count(a) FROM ({union}) x, generate_series(1, 5); SELECT clock_timestamp() - :'started'::timestamptz < '0.4 s'; SET statement_timeout = 0; SELECT count(*) FROM t")
    holds(answer, "57014", "\nt\n6000")
    for shard in shards:
        same(shard.wait_for("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'atoll' AND state <> 'idle'", "0", 3), "0")


@test
def a_limit_ends_the_statements_it_leaves():
    same(coordinator.ask("SELECT count(*) FROM (SELECT * FROM t LIMIT 5) x; SELECT count(*) FROM t"), "5\n6000")


@test
def hot_rows_do_not_fail_at_read_committed():
    sessions = [coordinator.open("UPDATE t SET a = a + 1 WHERE id = 10;\n" * 40) for _ in range(8)]
    for session in sessions:
        same(session.stdout.read(), "")
        session.wait()
    same(coordinator.ask(f"SELECT a - {10 % 7} FROM t WHERE id = 10; UPDATE t SET a = 3 WHERE id = 10"), "320")


@test
def serializable_and_prepare_are_refused():
    holds(coordinator.ask("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM t"), "0A000")
    holds(coordinator.ask("BEGIN; UPDATE t SET a = a WHERE id = 1; PREPARE TRANSACTION 'x'"), "0A000")


@test
def truncate_analyze_and_copy_work():
    same(coordinator.ask("BEGIN; TRUNCATE t; SELECT count(*) FROM t; ROLLBACK; ANALYZE t; SELECT sum(reltuples)::int FROM pg_class WHERE relname ~ '^t_[0-9]+$' AND relkind = 'f'"), "0\n6000")
    same(coordinator.ask("BEGIN; COPY t (id, v) FROM stdin;\n300001\tx\n300002\ty\n\\.\nSELECT count(*) FROM t; ROLLBACK;"), "6002")


@test
def options_that_connect_while_planning_are_refused():
    holds(coordinator.ask("ALTER SERVER atoll_g1_s0 OPTIONS (ADD use_remote_estimate 'true')"), "HV00D")
    holds(coordinator.ask("ALTER SERVER atoll_g1_s0 OPTIONS (ADD password 'secret')"), "HV00D")


@test
def a_moved_slot_is_found_in_the_next_statement():
    shards[1].ask("CREATE TABLE t_8 (LIKE t_1)")
    answer = coordinator.ask("SELECT count(*) FROM t_8; UPDATE atoll.slot SET node_id = 2 WHERE slot = 8; SELECT count(*) FROM t_8; UPDATE atoll.slot SET node_id = 3 WHERE slot = 8; SELECT count(*) FROM t_8")
    shards[1].ask("DROP TABLE t_8")
    counts = answer.split("\n")
    same((counts[0] == counts[2], counts[1]), (True, "0"))


def begin_slow_commit():
    """A transaction on three nodes, held while node 3 prepares; nodes 1 and 2 are prepared."""
    keys = [key_on(node) for node in (1, 2, 3)]
    session = coordinator.open(f"BEGIN; INSERT INTO t (id, v) VALUES ({keys[0]}, 'crash'); INSERT INTO t (id, v) VALUES ({keys[1]}, 'crash'); INSERT INTO t (id, v) VALUES ({keys[2]}, 'slow'); COMMIT; SELECT 'after'")
    for shard in shards[:2]:
        same(shard.wait_for("SELECT count(*) = 1 FROM pg_prepared_xacts"), "t")
    return session


def backend(server, sql):
    return int(server.ask(f"SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {sql}"))


def committed():
    """Rows of the transaction above on each node."""
    return [coordinator.ask(f"SELECT count(*) FROM t WHERE id = {key_on(node)}") for node in (1, 2, 3)]


def clear():
    coordinator.ask("DELETE FROM t WHERE id >= 100000; SELECT count(*) FROM atoll.recover_transactions()")
    same(coordinator.ask("SELECT count(*) FROM atoll.transaction"), "0")
    same(prepared(), 0)


def recovery():
    return coordinator.wait_for("SELECT count(*) >= 0 FROM atoll.recover_transactions()")


@test
def a_shard_killed_while_it_prepares_rolls_back_everywhere():
    session = begin_slow_commit()
    os.kill(backend(shards[2], "query LIKE 'PREPARE%'"), signal.SIGKILL)
    holds(session.stdout.read(), "08006", 'node "n3"')
    same(shards[2].wait_for("SELECT true"), "t")
    recovery()
    same((committed(), prepared()), (["0", "0", "0"], 0))


@test
def a_coordinator_killed_while_it_prepares_rolls_back_everywhere():
    session = begin_slow_commit()
    os.kill(backend(coordinator, "query LIKE '%COMMIT%'"), signal.SIGKILL)
    session.stdout.read()
    same(coordinator.wait_for("SELECT true"), "t")
    # Node 3 may still be preparing: its transaction has no client any more and ends by itself.
    time.sleep(2)
    recovery()
    same((committed(), prepared()), (["0", "0", "0"], 0))


@test
def a_coordinator_stopped_while_it_prepares_rolls_back_everywhere():
    session = begin_slow_commit()
    coordinator.stop()
    session.stdout.read()
    coordinator.start()
    time.sleep(2)
    recovery()
    same((committed(), prepared()), (["0", "0", "0"], 0))


@test
def a_running_transaction_is_left_alone_by_recovery():
    session = begin_slow_commit()
    holds(coordinator.ask("SELECT outcome FROM atoll.recover_transactions()"), "still running")
    holds(session.stdout.read(), "after")
    same((committed(), prepared()), (["1", "1", "1"], 0))
    clear()


@test
def a_shard_killed_after_the_decision_commits_in_recovery():
    session = begin_slow_commit()
    shard = backend(shards[0], "application_name = 'atoll' AND query LIKE 'PREPARE%'")
    os.kill(shard, signal.SIGSTOP)
    # Node 2 was prepared: it is told of the decision, and node 1 cannot hear.
    same(shards[1].wait_for("SELECT count(*) = 0 FROM pg_prepared_xacts"), "t")
    os.kill(shard, signal.SIGKILL)
    holds(session.stdout.read(), "WARNING", 'node "n1"', "after")
    same(shards[0].wait_for("SELECT true"), "t")
    same(prepared(), 1)
    recovery()
    same((committed(), prepared()), (["1", "1", "1"], 0))
    clear()


@test
def a_coordinator_killed_after_the_decision_commits_in_recovery():
    session = begin_slow_commit()
    shard = backend(shards[0], "application_name = 'atoll' AND query LIKE 'PREPARE%'")
    os.kill(shard, signal.SIGSTOP)
    # Node 2 was prepared: it is told of the decision, and node 1 cannot hear.
    same(shards[1].wait_for("SELECT count(*) = 0 FROM pg_prepared_xacts"), "t")
    # The shard first: the order to commit lies in its socket already.
    os.kill(backend(coordinator, "query LIKE '%COMMIT%'"), signal.SIGKILL)
    os.kill(shard, signal.SIGKILL)
    session.stdout.read()
    same((coordinator.wait_for("SELECT true"), shards[0].wait_for("SELECT true")), ("t", "t"))
    same(prepared(), 1)
    recovery()
    same((committed(), prepared()), (["1", "1", "1"], 0))
    clear()


@test
def local_and_remote_changes_commit_together():
    coordinator.ask("CREATE TABLE local (id int8 PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
    key = key_on(1)
    holds(coordinator.ask(f"BEGIN; INSERT INTO local VALUES (1), (1); INSERT INTO t (id, v) VALUES ({key}, 'local'); COMMIT"), "23505")
    same(coordinator.ask(f"SELECT count(*) FROM t WHERE id = {key}; SELECT count(*) FROM local"), "0\n0")
    same(coordinator.ask(f"BEGIN; INSERT INTO local VALUES (1); INSERT INTO t (id, v) VALUES ({key}, 'local'); COMMIT; SELECT count(*) FROM t WHERE id = {key}; SELECT count(*) FROM atoll.transaction"), "1\n1")
    clear()


@test
def a_killed_session_of_a_shard_is_replaced_outside_of_transactions():
    session = subprocess.Popen([f"{BINDIR}/psql", "-XAtq", "-h", coordinator.home, "-p", str(coordinator.port), "-U", "postgres", "-d", "postgres"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    session.stdin.write("SELECT count(*) FROM t;\n")
    session.stdin.flush()
    same(session.stdout.readline(), "6000\n")
    shards[0].ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'atoll'")
    time.sleep(0.3)
    session.stdin.write("SELECT count(*) FROM t;\n")
    session.stdin.close()
    same(session.stdout.read(), "6000\n")
    session.wait()


@test
def a_dead_shard_is_named_and_the_others_answer():
    shards[2].stop()
    try:
        holds(coordinator.ask("SELECT count(*) FROM t"), "08001", 'could not connect to node "n3"')
        same(coordinator.ask(f"SELECT count(*) FROM t WHERE id = {key_on(1)}"), "0")
    finally:
        shards[2].start()
    same(coordinator.ask("SELECT count(*) FROM t"), "6000")


@test
def roles_need_a_password_that_no_message_shows():
    hba = f"{shards[0].data}/pg_hba.conf"
    with open(hba, encoding="ascii") as file:
        before = file.read()
    shards[0].ask("CREATE ROLE worker LOGIN PASSWORD 'verysecret'; GRANT ALL ON ALL TABLES IN SCHEMA public TO worker")
    coordinator.ask("CREATE ROLE worker; GRANT ALL ON t TO worker; CREATE SERVER atoll_node_n1 FOREIGN DATA WRAPPER atoll_fdw OPTIONS (group '0', slot '0'); CREATE USER MAPPING FOR worker SERVER atoll_node_n1 OPTIONS (user 'worker', password 'verysecret')")
    asked = f"SET ROLE worker; SELECT count(*) FROM t WHERE id = {key_on(1)};"
    trusted = coordinator.ask(asked)
    holds(trusted, "08001", "needs a password")
    try:
        with open(hba, "w", encoding="ascii") as file:
            file.write("host all worker 127.0.0.1/32 scram-sha-256\n" + before)
        shards[0].ask("SELECT pg_reload_conf(), pg_sleep(0.2)")
        same(coordinator.ask(asked), "0")
        coordinator.ask("ALTER USER MAPPING FOR worker SERVER atoll_node_n1 OPTIONS (SET password 'othersecret')")
        wrong = coordinator.ask(asked)
        holds(wrong, "08001", "password authentication failed")
        for text in (trusted, wrong, coordinator.ask("SET ROLE worker; SELECT conninfo FROM atoll.node; SELECT * FROM atoll.recover_transactions()")):
            if "secret" in text or "host=" in text or "port" in text:
                raise AssertionError(f"shown: {text}")
    finally:
        with open(hba, "w", encoding="ascii") as file:
            file.write(before)


@test
def rows_stream_in_constant_memory():
    shards[0].ask("INSERT INTO u_0 SELECT i, repeat('x', 500) FROM generate_series(1, 200000) i")
    answer = coordinator.ask("SELECT count(w) FROM u_0; SELECT sum(total_bytes) < 20000000 FROM pg_backend_memory_contexts; SELECT pg_read_file('/proc/' || pg_backend_pid() || '/status') ~ 'VmHWM:\\s+[0-9]{1,5} kB'")
    shards[0].ask("TRUNCATE u_0")
    # Of the 100 MB read, the process never held more than it takes to run (at most 99,999 kB in all).
    count, small, peak = answer.split("\n")
    same((count, small, peak), ("200000", "t", "t"))


@test
def a_filled_table_is_distributed_and_brought_back_whole():
    for shard in shards:
        shard.ask("CREATE EXTENSION IF NOT EXISTS atoll")
    ask = coordinator.ask
    ask("CREATE TABLE filled (id int8 PRIMARY KEY, v text DEFAULT 'x', CHECK (id > 0)); CREATE INDEX ON filled (v); INSERT INTO filled SELECT i, 'v' || i FROM generate_series(1, 5000) i;")
    same(ask("SELECT atoll.distribute_table('filled', 'id', 8)"), "")
    same(ask("SELECT count(*), sum(id) FROM filled"), "5000|12502500")
    same(ask("SELECT count(*) FROM atoll.slots WHERE \"table\" = 'filled'::regclass"), "8")
    holds(ask("INSERT INTO filled VALUES (42)"), "23505")
    holds(ask("INSERT INTO filled VALUES (-1)"), "23514")
    holds(ask("ALTER TABLE filled ALTER COLUMN v TYPE varchar"), "0A000")
    # No setting of a session opens the guard.
    holds(ask("SET atoll.changing = 'true'; ALTER TABLE filled ALTER COLUMN v TYPE varchar"), "0A000")
    holds(ask("DROP FOREIGN TABLE filled_0001"), "0A000")
    ask("BEGIN; DROP TABLE filled; ROLLBACK")
    same(ask("SELECT v FROM filled WHERE id = 42"), "v42")
    same(ask("SELECT atoll.undistribute_table('filled')"), "")
    same(ask("SELECT count(*), sum(id) FROM filled"), "5000|12502500")
    same(ask("DROP TABLE filled"), "")
    for shard in shards:
        same(shard.ask("SELECT count(*) FROM pg_class WHERE relname LIKE 'filled%'"), "0")


@test
def postgres_fdw_has_opened_nothing():
    same(coordinator.ask("SELECT count(*) FROM t; UPDATE t SET a = a WHERE id = 1; INSERT INTO u VALUES (1, 'x'); ANALYZE t; TRUNCATE u; SELECT count(*) FROM postgres_fdw_get_connections()"), "6000\n0")


if __name__ == "__main__":
    main(set_up)
