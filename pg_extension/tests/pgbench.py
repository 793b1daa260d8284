"""pgbench over distributed tables, beside the same run on ordinary ones.

In: the directory of the server's programs, then names of tests, or none for all; ATOLL_PG_TRANSACTIONS sets
how many transactions each client runs. Out: as servers.py says.

pgbench's clients draw their keys and amounts from generators seeded with `--random-seed`, so two runs of as
many transactions change the same rows by the same amounts, in whatever order the clients come.
"""

import os
import re
import signal
import subprocess
import time

from servers import holds, main, same, test

CLIENTS = 8
TRANSACTIONS = int(os.environ.get("ATOLL_PG_TRANSACTIONS", "40"))
SUMS = "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)"
CONTENT = (
    "SELECT md5(string_agg(x::text, ',' ORDER BY aid)) FROM (SELECT aid, bid, abalance FROM pgbench_accounts) x",
    "SELECT string_agg(x::text, ',' ORDER BY tid) FROM (SELECT tid, bid, tbalance FROM pgbench_tellers) x",
    "SELECT string_agg(x::text, ',' ORDER BY bid) FROM (SELECT bid, bbalance FROM pgbench_branches) x",
    "SELECT count(*), md5(string_agg(x::text, ',' ORDER BY x::text)) FROM (SELECT tid, bid, aid, delta FROM pgbench_history) x",
)
coordinator, shards = None, []


def pgbench(database, *arguments):
    command = coordinator.arguments("pgbench", database)
    # pgbench takes the database last, and -d means debugging there.
    command.remove("-d")
    command.remove(database)
    return subprocess.Popen([*command, *arguments, database], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(database, *arguments):
    """A run that must end well; what pgbench says."""
    process = pgbench(database, "--no-vacuum", f"--client={CLIENTS}", "--jobs=2", f"--transactions={TRANSACTIONS}", *arguments)
    said = process.communicate()[0]
    if process.returncode != 0:
        raise AssertionError(f"pgbench ended with {process.returncode}: {said}")
    holds(said, f"actually processed: {CLIENTS * TRANSACTIONS}/{CLIENTS * TRANSACTIONS}", "failed transactions: 0 ")
    return said


def set_up(first, others):
    global coordinator, shards
    coordinator, shards = first, others
    for server in [coordinator, *shards]:
        same(server.ask("CREATE EXTENSION atoll"), "")
    for n, shard in enumerate(shards, 1):
        same(coordinator.ask(f"SELECT atoll.add_node('n{n}', 'host=127.0.0.1 port={shard.port} user=postgres dbname=postgres')"), str(n))
    same(coordinator.ask("CREATE DATABASE one"), "")
    for database in ("one", "postgres"):
        filled = pgbench(database, "--initialize", "--quiet", "--scale=1")
        holds(filled.communicate()[0], "done in")
        same(filled.returncode, 0)
    same(coordinator.ask("SELECT atoll.distribute_table('pgbench_accounts', 'aid', 12); SELECT atoll.distribute_table('pgbench_tellers', 'tid', 6); "
                         "SELECT atoll.distribute_table('pgbench_branches', 'bid', 3); ALTER TABLE pgbench_history ALTER aid SET NOT NULL; SELECT atoll.distribute_table('pgbench_history', 'aid', colocate_with => 'pgbench_accounts')"), "")


def prepared():
    return sum(int(shard.ask("SELECT count(*) FROM pg_prepared_xacts")) for shard in shards)


def agree():
    """The four sums, which must be one."""
    sums = coordinator.ask(SUMS).split("|")
    same(len(set(sums)), 1)
    return sums[0]


@test
def accounts_tellers_branches_and_history_hold_what_one_server_holds():
    for n, protocol in enumerate(("simple", "extended", "prepared")):
        for database in ("one", "postgres"):
            run(database, f"--random-seed={n + 1}", f"--protocol={protocol}")
        same(agree(), coordinator.ask(SUMS, "one").split("|")[0])
        for question in CONTENT:
            same(coordinator.ask(question), coordinator.ask(question, "one"))
    same(coordinator.ask("SELECT count(*) FROM pgbench_history"), str(3 * CLIENTS * TRANSACTIONS))
    same(prepared(), 0)
    for table in ("accounts", "tellers", "branches", "history"):
        same(coordinator.ask(f"SELECT count(problem) FROM atoll.verify('pgbench_{table}')"), "0")


@test
def simple_updates_commit_on_one_server_each():
    """pgbench's own script of one account and its history, which are colocated: no transaction is prepared."""
    noted = coordinator.ask("SELECT atoll.recover_transactions(); SELECT count(*) FROM atoll.transaction")
    for database in ("one", "postgres"):
        run(database, "--random-seed=11", "--builtin=simple-update", "--protocol=prepared")
    for question in CONTENT:
        same(coordinator.ask(question), coordinator.ask(question, "one"))
    same((noted, coordinator.ask("SELECT count(*) FROM atoll.transaction")), ("0", "0"))


@test
def every_selected_balance_is_that_of_one_server():
    """The select-only script, and the same look-up with the balances added up by each client."""
    for protocol in ("simple", "extended", "prepared"):
        run("postgres", "--random-seed=5", "--select-only", f"--protocol={protocol}")
    for database in ("one", "postgres"):
        coordinator.ask("DROP TABLE IF EXISTS seen; CREATE TABLE seen (aid int, balance int)", database)
        script = f"{coordinator.home}/select.sql"
        with open(script, "w", encoding="ascii") as file:
            file.write("\\set aid random(1, 100000)\nSELECT abalance AS b FROM pgbench_accounts WHERE aid = :aid \\gset\nINSERT INTO seen VALUES (:aid, :b);\n")
        os.chmod(script, 0o644)
        run(database, "--random-seed=6", f"--file={script}", "--protocol=prepared")
    question = "SELECT count(*), md5(string_agg(x::text, ',' ORDER BY x::text)) FROM seen x"
    same(coordinator.ask(question), coordinator.ask(question, "one"))


if __name__ == "__main__":
    main(set_up)
