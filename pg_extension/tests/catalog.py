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
    for call in ("run_on_nodes('SELECT 1')", "run_on_slots('r', 'SELECT 1 FROM %s')", "topology('r')", "verify('r')", "shard_of('r', 1)", "ask_nodes('{1}', '{SELECT 1}', 'read')", "act_on_nodes('{1}', '{SELECT 1}', 10)"):
        holds(ask(f"SET ROLE plain; SELECT atoll.{call}"), "42501", "permission denied")
    holds(ask("GRANT EXECUTE ON FUNCTION atoll.run_on_nodes, atoll.ask_nodes TO plain; SET ROLE plain; SELECT * FROM atoll.run_on_nodes('SELECT 1')"), "08001", "needs a password")
    holds(ask("GRANT EXECUTE ON FUNCTION atoll.topology, atoll.topology_bytes, atoll.distributed TO plain; SET ROLE plain; SELECT length(atoll.topology('r')) > 50; SELECT conninfo FROM atoll.node"), "t\n", "42501")


if __name__ == "__main__":
    main(set_up)
