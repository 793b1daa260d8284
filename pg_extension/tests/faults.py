"""Faults on the way: cancelled fan-outs, killed sessions and servers, full disks. Clear errors, and nothing left.

In: the directory of the server's programs, then names of tests, or none for all. Out: as servers.py says. The full
disk is a file system of a few megabytes in memory; where none can be mounted that test is left out, and a line says so.
"""

import os
import signal
import subprocess
import tempfile
import threading
import time

from servers import holds, main, same, test

coordinator, shards = None, []
ask = None
SLOTS = 9
# Within which a cancelled statement answers: the median of several, psql that cancels included.
CANCEL_MS = 100


def set_up(first, others):
    global coordinator, shards, ask
    coordinator, shards, ask = first, others, first.ask
    same(ask("CREATE EXTENSION atoll"), "")
    for n, shard in enumerate(shards, 1):
        same(shard.ask("CREATE EXTENSION atoll; CREATE FUNCTION nap(int8) RETURNS int8 LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(20); RETURN $1; END$$"), "")
        same(ask(f"SELECT atoll.add_node('n{n}', 'host=127.0.0.1 port={shard.port} user=postgres dbname=postgres')"), str(n))
    same(ask(f"CREATE TABLE t (id int8 PRIMARY KEY, v text); SELECT atoll.distribute_table('t', 'id', {SLOTS}); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 900) i"), "")


class Session:
    """psql that stays open."""

    def __init__(self):
        self.process = subprocess.Popen([*coordinator.arguments("psql"), "-XAtq", "-v", "VERBOSITY=verbose"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.pid = int(self.run("SELECT pg_backend_pid()"))

    def start(self, sql):
        self.process.stdin.write(f"{sql};\n\\echo =end=\n")
        self.process.stdin.flush()

    def read(self):
        lines = []
        for line in self.process.stdout:
            if line == "=end=\n":
                return "".join(lines).strip()
            lines.append(line)
        return "".join(lines).strip()

    def run(self, sql):
        self.start(sql)
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait()


def nothing_left():
    """No statement runs on a node for the coordinator, no transaction is open or prepared there."""
    for shard in shards:
        same(shard.wait_for("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'atoll' AND state <> 'idle'", "0", 5), "0")
        same(shard.ask("SELECT count(*) FROM pg_prepared_xacts; SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'atoll'"), "0\n0")


def sockets(pid):
    """Connections of a process over the network."""
    found = 0
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            found += os.readlink(f"/proc/{pid}/fd/{descriptor}").startswith("socket:")
        except OSError:
            pass
    return found


def sleeping(count):
    """Waits until so many statements sleep on every node."""
    for shard in shards:
        same(shard.wait_for(f"SELECT count(*) >= {count} FROM pg_stat_activity WHERE application_name = 'atoll' AND wait_event = 'PgSleep'"), "t")


def make_slow():
    """Every row that a node reads of these tables sleeps there."""
    for slot in ask("SELECT split_part(node, 'n', 2), shard, slot FROM atoll.slots WHERE \"table\" = 't'::regclass").split("\n"):
        node, table, number = slot.split("|")
        shards[int(node) - 1].ask(f"CREATE VIEW slow_{number} AS SELECT nap(id) AS id FROM {table}")
    group = ask("SELECT \"group\" FROM atoll.tables WHERE \"table\" = 't'::regclass")
    same(ask("".join(f"CREATE FOREIGN TABLE slow_{n} (id int8) SERVER atoll_g{group}_s{n};" for n in range(SLOTS)) + "CREATE VIEW slow AS " + " UNION ALL ".join(f"SELECT id FROM slow_{n}" for n in range(SLOTS))), "")


@test
def a_fan_out_that_sleeps_on_all_nodes_is_cancelled_at_once():
    make_slow()
    session, took = Session(), []
    same(session.run("SELECT count(*) FROM t"), "900")
    for _ in range(7):
        session.start("SELECT count(*) FROM slow")
        sleeping(1)
        canceller = Session()
        began = time.monotonic()
        canceller.start(f"SELECT pg_cancel_backend({session.pid})")
        holds(session.read(), "57014")
        took.append((time.monotonic() - began) * 1000)
        canceller.close()
        nothing_left()
        same(session.run("SELECT count(*) FROM t"), "900")
    print(f"  cancelled within {', '.join(f'{ms:.0f}' for ms in sorted(took))} ms")
    if sorted(took)[len(took) // 2] > CANCEL_MS:
        raise AssertionError(f"took {took} ms")
    # One that is closed instead of cancelled ends as well.
    session.start("SELECT count(*) FROM slow")
    sleeping(1)
    same(ask(f"SELECT pg_terminate_backend({session.pid})"), "t")
    session.close()
    nothing_left()


@test
def a_cancelled_write_leaves_nothing():
    session = Session()
    session.start("BEGIN; UPDATE t SET v = 'cancelled'; SELECT count(*) FROM slow")
    sleeping(1)
    ask(f"SELECT pg_cancel_backend({session.pid})")
    holds(session.read(), "57014")
    session.run("ROLLBACK")
    nothing_left()
    same(session.run("SELECT count(*) FROM t WHERE v = 'cancelled'"), "0")
    session.close()


@test
def sessions_of_a_node_killed_while_they_run_give_an_error_and_no_connection_leaks():
    session = Session()
    same(session.run("SELECT count(*) FROM t"), "900")
    before = sockets(session.pid)
    for how in ("SELECT count(*) FROM slow", "BEGIN; UPDATE t SET v = 'killed'; SELECT count(*) FROM slow"):
        for _ in range(5):
            session.start(how)
            sleeping(1)
            shards[0].ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'atoll' AND state = 'active'")
            holds(session.read(), "ERROR", "n1")
            session.run("ROLLBACK")
            nothing_left()
            same(session.run("SELECT count(*), count(*) FILTER (WHERE v = 'killed') FROM t"), "900|0")
    after = sockets(session.pid)
    # Up to four readers a node.
    if after > before + 9:
        raise AssertionError(f"{before} sockets before, {after} after")
    session.close()


@test
def a_node_killed_hard_while_it_runs_is_named_and_the_others_answer():
    session = Session()
    session.start("BEGIN; UPDATE t SET v = 'dead' WHERE id < 500; SELECT count(*) FROM slow")
    sleeping(1)
    os.kill(int(open(f"{shards[0].data}/postmaster.pid", encoding="ascii").readline()), signal.SIGQUIT)
    holds(session.read(), "ERROR", "n1")
    session.run("ROLLBACK")
    holds(session.run("SELECT count(*) FROM t"), "08", 'node "n1"')
    live = ask("SELECT i FROM generate_series(1, 900) i WHERE (atoll.locate('t', i::int8)).node = 'n2' LIMIT 1")
    same(session.run(f"SELECT v FROM t WHERE id = {live}"), f"v{live}")
    shards[0].start()
    same(session.run("SELECT count(*), count(*) FILTER (WHERE v = 'dead') FROM t"), "900|0")
    session.close()
    nothing_left()


def can_mount():
    """Whether a file system of its own can be had here."""
    with tempfile.TemporaryDirectory() as place:
        mounted = os.getuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, check=False).returncode == 0
        if mounted:
            subprocess.run(["umount", place], check=True)
    return mounted


def a_full_disk_on_a_node_undoes_the_transaction_everywhere():
    disk = f"{coordinator.home}/disk"
    os.mkdir(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    try:
        subprocess.run(["chown", "postgres:", disk], check=True)
        same(shards[0].ask(f"CREATE TABLESPACE tiny LOCATION '{disk}'"), "")
        same(ask("CREATE TABLE big (id int8 PRIMARY KEY, v text); SELECT atoll.distribute_table('big', 'id', 6)"), "")
        for table in ask("SELECT shard FROM atoll.slots WHERE \"table\" = 'big'::regclass AND node = 'n1'").split("\n"):
            same(shards[0].ask(f"ALTER TABLE {table} SET TABLESPACE tiny"), "")
        same(ask("INSERT INTO big SELECT i, 'small' FROM generate_series(1, 100) i"), "")
        session = Session()
        rows = "SELECT i, repeat(md5(i::text), 30) FROM generate_series(1000, 31000) i"
        for sql in (f"INSERT INTO big {rows}", f"BEGIN; UPDATE t SET v = 'full'; INSERT INTO big {rows}; COMMIT",
                    f"COPY big FROM PROGRAM 'for i in $(seq 1000 31000); do printf \"%s\\t%0960d\\n\" $i 7; done'"):
            holds(session.run(sql), "53100", "n1")
            session.run("ROLLBACK")
            nothing_left()
            same(session.run("SELECT count(*), max(length(v)) FROM big; SELECT count(*) FROM t WHERE v = 'full'"), "100|5\n0")
        # What fits goes on, and the node was never lost.
        same(session.run("UPDATE big SET v = 'fits' WHERE id < 50; SELECT count(*) FROM big WHERE v = 'fits'"), "49")
        session.close()
        same(ask("DROP TABLE big"), "")
        same(shards[0].ask("DROP TABLESPACE tiny"), "")
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


if can_mount():
    test(a_full_disk_on_a_node_undoes_the_transaction_everywhere)
else:
    print("left out, since nothing can be mounted here: a_full_disk_on_a_node_undoes_the_transaction_everywhere")


@test
def a_node_that_stops_answering_does_not_hold_a_cancelled_session():
    session = Session()
    same(session.run("SELECT count(*) FROM t"), "900")
    pids = [int(pid) for pid in shards[0].ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'atoll'").split()]
    postmaster = int(open(f"{shards[0].data}/postmaster.pid", encoding="ascii").readline())
    try:
        for pid in [*pids, postmaster]:
            os.kill(pid, signal.SIGSTOP)
        session.start("SELECT count(*) FROM t")
        time.sleep(0.3)
        threading.Timer(0.1, lambda: ask(f"SELECT pg_cancel_backend({session.pid})")).start()
        began = time.monotonic()
        holds(session.read(), "57014")
        # The end of a transaction waits two seconds for each session that it has cancelled.
        if time.monotonic() - began > 10:
            raise AssertionError(f"took {time.monotonic() - began:.1f} s")
    finally:
        for pid in [postmaster, *pids]:
            os.kill(pid, signal.SIGCONT)
    same(session.run("SELECT count(*) FROM t"), "900")
    session.close()
    nothing_left()


if __name__ == "__main__":
    main(set_up)
