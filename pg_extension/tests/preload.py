"""What a preloaded library adds: the worker that recovers by itself, and the bound on connections to a node.

In: the directory of the server's programs, then names of tests, or none for all. Out: as servers.py says. Nobody
here calls recover_transactions().
"""

import os
import random
import signal
import subprocess
import time

from servers import BINDIR, holds, main, same, test

coordinator, shards = None, []
ask = None
POOL = 3


def set_up(first, others):
    global coordinator, shards, ask
    coordinator, shards, ask = first, others, first.ask
    configure("shared_preload_libraries = 'atoll'", "atoll.recovery_interval = 1", "restart_after_crash = on")
    coordinator.stop()
    coordinator.start()
    same(ask("CREATE EXTENSION atoll"), "")
    for n, shard in enumerate(shards, 1):
        same(shard.ask("CREATE EXTENSION atoll; CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END$$"), "")
        same(ask(f"SELECT atoll.add_node('n{n}', 'host=127.0.0.1 port={shard.port} user=postgres dbname=postgres')"), str(n))
    same(ask("CREATE TABLE t (id int8 PRIMARY KEY, v text); SELECT atoll.distribute_table('t', 'id', 12)"), "")
    for slot in ask("SELECT split_part(node, 'n', 2), shard FROM atoll.slots ORDER BY 1").split("\n"):
        node, table = slot.split("|")
        same(shards[int(node) - 1].ask(f"CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.v = 'slow') EXECUTE FUNCTION slow()"), "")


def configure(*lines):
    with open(f"{coordinator.data}/postgresql.conf", "a", encoding="ascii") as conf:
        conf.writelines(f"{line}\n" for line in lines)


def reload(*lines):
    configure(*lines)
    same(ask("SELECT pg_reload_conf()"), "t")
    setting, value = lines[-1].split(" = ")
    same(coordinator.wait_for(f"SELECT setting FROM pg_settings WHERE name = '{setting}'", value.strip("'")), value.strip("'"))


def key_on(node, skip=0):
    """A key whose slot lies on this node."""
    return ask(f"SELECT i FROM generate_series(1, 1000) i WHERE (atoll.locate('t', i::int8)).node = 'n{node}' ORDER BY i OFFSET {skip} LIMIT 1")


def prepared():
    return sum(int(shard.ask("SELECT count(*) FROM pg_prepared_xacts")) for shard in shards)


def rows():
    """Rows of the transaction below on each node."""
    return [shard.ask("SELECT atoll_count FROM (SELECT sum((xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %s', oid::regclass), false, true, '')))[1]::text::int) AS atoll_count FROM pg_class WHERE relname ~ '^t_[0-9]{4}$') x") for shard in shards]


def begin():
    """A transaction on three nodes, held while node 3 prepares; nodes 1 and 2 are prepared."""
    same(ask("DELETE FROM t; SELECT count(*) FROM t"), "0")
    keys = [key_on(node) for node in (1, 2, 3)]
    session = coordinator.open(f"BEGIN; INSERT INTO t VALUES ({keys[0]}, 'half'); INSERT INTO t VALUES ({keys[1]}, 'half'); INSERT INTO t VALUES ({keys[2]}, 'slow'); COMMIT; SELECT 'after'")
    for shard in shards[:2]:
        same(shard.wait_for("SELECT count(*) = 1 FROM pg_prepared_xacts"), "t")
    return session


def backend(server, sql):
    return int(server.ask(f"SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {sql}"))


def ends_with(count):
    """The worker, and nobody else, ends what is prepared; then every node has as many rows."""
    for server in (coordinator, *shards):
        same(server.wait_for("SELECT true"), "t")
    end = time.monotonic() + 30
    while prepared() and time.monotonic() < end:
        time.sleep(0.1)
    same((rows(), prepared()), ([count] * 3, 0))
    same(coordinator.wait_for("SELECT count(*) FROM atoll.transaction", "0"), "0")


@test
def a_worker_is_there_and_holds_no_database():
    same(coordinator.wait_for("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'atoll recovery' AND datid IS NULL", "1"), "1")
    same(ask("CREATE DATABASE other"), "")
    time.sleep(1.2)
    same(ask("DROP DATABASE other"), "")


@test
def a_shard_killed_while_it_prepares_is_rolled_back_by_the_worker():
    session = begin()
    os.kill(backend(shards[2], "query LIKE 'PREPARE%'"), signal.SIGKILL)
    holds(session.stdout.read(), "08006", 'node "n3"')
    ends_with("0")


@test
def a_coordinator_killed_while_it_prepares_is_rolled_back_by_the_worker():
    session = begin()
    os.kill(backend(coordinator, "query LIKE '%COMMIT%'"), signal.SIGKILL)
    session.stdout.read()
    ends_with("0")


@test
def a_coordinator_stopped_while_it_prepares_is_rolled_back_by_the_worker():
    session = begin()
    coordinator.stop()
    session.stdout.read()
    coordinator.start()
    ends_with("0")


@test
def the_worker_leaves_running_transactions_alone_and_the_view_shows_them():
    session = begin()
    time.sleep(0.5)
    same(ask("SELECT node, state FROM atoll.pending_transactions ORDER BY node"), "n1|still running\nn2|still running")
    same(ask("SELECT bool_and(prepared BETWEEN now() - interval '10 s' AND now() + interval '1 s') FROM atoll.pending_transactions"), "t")
    holds(session.stdout.read(), "after")
    ends_with("1")


@test
def a_shard_killed_after_the_decision_is_committed_by_the_worker():
    reload("atoll.recovery_interval = 0")
    session = begin()
    shard = backend(shards[0], "application_name = 'atoll' AND query LIKE 'PREPARE%'")
    os.kill(shard, signal.SIGSTOP)
    # Node 2 was prepared: it is told of the decision, and node 1 cannot hear.
    same(shards[1].wait_for("SELECT count(*) = 0 FROM pg_prepared_xacts"), "t")
    os.kill(shard, signal.SIGKILL)
    holds(session.stdout.read(), "WARNING", 'node "n1"', "after")
    same(shards[0].wait_for("SELECT true"), "t")
    same(ask("SELECT node, state FROM atoll.pending_transactions"), "n1|to be committed")
    reload("atoll.recovery_interval = 1")
    ends_with("1")


@test
def a_coordinator_killed_after_the_decision_is_committed_by_the_worker():
    session = begin()
    shard = backend(shards[0], "application_name = 'atoll' AND query LIKE 'PREPARE%'")
    os.kill(shard, signal.SIGSTOP)
    same(shards[1].wait_for("SELECT count(*) = 0 FROM pg_prepared_xacts"), "t")
    os.kill(backend(coordinator, "query LIKE '%COMMIT%'"), signal.SIGKILL)
    os.kill(shard, signal.SIGKILL)
    session.stdout.read()
    ends_with("1")


@test
def a_shard_that_is_down_is_finished_when_it_is_back():
    session = begin()
    shard = backend(shards[0], "application_name = 'atoll' AND query LIKE 'PREPARE%'")
    os.kill(shard, signal.SIGSTOP)
    same(shards[1].wait_for("SELECT count(*) = 0 FROM pg_prepared_xacts"), "t")
    os.kill(shard, signal.SIGKILL)
    shards[0].wait_for("SELECT true")
    shards[0].stop()
    session.stdout.read()
    time.sleep(1.5)
    # The decision stays as long as a node may need it.
    same(ask("SELECT count(*) FROM atoll.transaction"), "1")
    same(ask("SELECT node, gid IS NULL, state LIKE 'could not connect%' FROM atoll.pending_transactions"), "n1|t|t")
    shards[0].start()
    ends_with("1")


def pgbench(*arguments):
    command = [f"{BINDIR}/pgbench", "-h", coordinator.home, "-p", str(coordinator.port), "-U", "postgres", *arguments, "postgres"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@test
def killed_processes_under_pgbench_leave_one_sum():
    filled = pgbench("--initialize", "--quiet", "--init-steps=dtg", "--scale=1")
    holds(filled.communicate()[0], "done in")
    same(ask("SELECT atoll.distribute_table('pgbench_accounts', 'aid', 6); SELECT atoll.distribute_table('pgbench_tellers', 'tid', 6); SELECT atoll.distribute_table('pgbench_branches', 'bid', 3); ALTER TABLE pgbench_history ALTER aid SET NOT NULL; SELECT atoll.distribute_table('pgbench_history', 'aid', 6)"), "")
    choose = random.Random(20261124)
    for round_ in range(8):
        run = pgbench("--no-vacuum", "--client=6", "--jobs=2", "--time=2", f"--random-seed={round_}")
        time.sleep(0.3 + choose.random())
        victim = (coordinator, *shards)[round_ % 4]
        which = "backend_type = 'client backend' AND pid <> pg_backend_pid() AND query <> ''"
        pid = victim.ask(f"SELECT pid FROM pg_stat_activity WHERE {which} ORDER BY random() LIMIT 1")
        if not pid:
            raise AssertionError(f"round {round_}: nothing ran on the server to be killed")
        os.kill(int(pid), signal.SIGKILL)
        run.communicate()
        for server in (coordinator, *shards):
            same(server.wait_for("SELECT true"), "t")
        end = time.monotonic() + 30
        while prepared() and time.monotonic() < end:
            time.sleep(0.1)
        same(prepared(), 0)
        sums = ask("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history)").split("|")
        same((round_, len(set(sums))), (round_, 1))
    same(ask("SELECT count(*) > 100 FROM pgbench_history"), "t")


def in_use(shard):
    return int(shard.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'atoll'"))


@test
def all_backends_together_stay_within_the_pool():
    reload(f"atoll.pool_size = {POOL}", "atoll.recovery_interval = 0")
    same(ask(f"SHOW atoll.pool_size; DELETE FROM t; INSERT INTO t SELECT i, 'row' FROM generate_series(1, 300) i"), str(POOL))
    sessions = [coordinator.open("SET atoll.pool_timeout = '60s'; " + "SELECT count(*) FROM t; UPDATE t SET v = v || 'x' WHERE id = 7; BEGIN; SELECT count(*) FROM t; SELECT sum(id) FROM t WHERE id < 50; COMMIT; " * 4) for _ in range(24)]
    most = 0
    while any(session.poll() is None for session in sessions):
        most = max([most, *(in_use(shard) for shard in shards)])
    for session in sessions:
        same(session.stdout.read().split(), ["300", "300", "1225"] * 4)
    if not 1 < most <= POOL:
        raise AssertionError(f"up to {most} connections to a node, {POOL} allowed")
    same(ask("SELECT length(v) - 3 FROM t WHERE id = 7"), str(24 * 4))


@test
def who_waits_too_long_is_told_why_and_who_has_them():
    key = key_on(1)
    held = [subprocess.Popen([*coordinator.arguments("psql"), "-XAtq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(POOL)]
    for n, session in enumerate(held):
        session.stdin.write(f"BEGIN; SELECT id FROM t WHERE id = {key_on(1, n)} FOR UPDATE; SELECT 'held';\n")
        session.stdin.flush()
        session.stdout.readline()
        same(session.stdout.readline(), "held\n")
    same(ask("SELECT node, count(DISTINCT pid), min(role::text), bool_and(opened <= now()) FROM atoll.connections GROUP BY node"), f"n1|{POOL}|postgres|t")
    began = time.monotonic()
    holds(ask(f"SET atoll.pool_timeout = '300ms'; SELECT v FROM t WHERE id = {key}"), "53300", f'all {POOL} connections to node "n1" are taken', "atoll.connections")
    if not 0.3 <= time.monotonic() - began < 2:
        raise AssertionError("it did not wait for its time")
    # Other nodes are not concerned, and who waits can be cancelled.
    same(ask(f"SELECT count(*) FROM t WHERE id = {key_on(2)}"), "1")
    holds(ask(f"SET statement_timeout = '200ms'; SELECT v FROM t WHERE id = {key}"), "57014")
    waiting = coordinator.open(f"SELECT id FROM t WHERE id = {key}")
    time.sleep(0.5)
    held[0].stdin.write("COMMIT;\n")
    held[0].stdin.close()
    # The first is idle now and has given its connection back.
    same(waiting.stdout.read(), f"{key}\n")
    for session in held[1:]:
        session.stdin.close()
    for session in held:
        session.wait()
    same(coordinator.wait_for("SELECT count(*) FROM atoll.connections", "0"), "0")


@test
def idle_sessions_do_not_keep_others_out():
    idle = [subprocess.Popen([*coordinator.arguments("psql"), "-XAtq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(12)]
    for session in idle:
        session.stdin.write("SELECT count(*) FROM t;\n")
        session.stdin.flush()
        same(session.stdout.readline(), "300\n")
    if max(in_use(shard) for shard in shards) > POOL // 2:
        raise AssertionError("idle sessions hold more than half")
    same(ask("SET atoll.pool_timeout = 0; SELECT count(*) FROM t"), "300")
    for session in idle:
        session.stdin.close()
        session.wait()


@test
def killed_backends_leave_no_place_taken():
    session = coordinator.open("BEGIN; UPDATE t SET v = 'killed' WHERE id < 100; SELECT pg_sleep(30)")
    same(coordinator.wait_for("SELECT count(*) >= 3 FROM atoll.connections"), "t")
    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)' AND pid <> pg_backend_pid()")
    session.stdout.read()
    same(coordinator.wait_for("SELECT count(*) FROM atoll.connections", "0"), "0")
    session = coordinator.open("BEGIN; UPDATE t SET v = 'killed' WHERE id < 100; SELECT pg_sleep(30)")
    same(coordinator.wait_for("SELECT count(*) >= 3 FROM atoll.connections"), "t")
    os.kill(backend(coordinator, "query LIKE '%pg_sleep(30)'"), signal.SIGKILL)
    session.stdout.read()
    same(coordinator.wait_for("SELECT count(*) FROM atoll.connections", "0"), "0")
    same(coordinator.wait_for("SELECT count(*) FROM t WHERE v = 'killed'", "0"), "0")


if __name__ == "__main__":
    main(set_up)
