"""Statements whose keys lie in one slot, sent to that slot's node whole: the same answers as a plain table's.

In: the directory of the server's programs, then names of tests, or none for all. Out: as servers.py says.
The coordinator's sessions preload the library, so that the first statement of each goes this way too.
"""

import socket
import struct

from servers import holds, main, same, test

coordinator, shards = None, []


def set_up(first, others):
    global coordinator, shards
    coordinator, shards = first, others
    same(ask("CREATE EXTENSION atoll; CREATE EXTENSION postgres_fdw"), "")
    for n, shard in enumerate(shards, 1):
        same(shard.ask("CREATE EXTENSION atoll"), "")
        same(ask(f"SELECT atoll.add_node('n{n}', 'host=127.0.0.1 port={shard.port} user=postgres dbname=postgres')"), str(n))
    columns = "id int8 PRIMARY KEY, a int4, v text, d timestamptz DEFAULT now(), g int4 GENERATED ALWAYS AS (a * 2) STORED, m mood"
    for server in (coordinator, *shards):
        same(server.ask("CREATE TYPE mood AS ENUM ('bad', 'good')"), "")
    rows = "INSERT INTO {} (id, a, v, d, m) SELECT i, i % 7, 'v' || i, '2020-01-01'::timestamptz + i * interval '1 s', CASE i % 2 WHEN 0 THEN 'good' ELSE 'bad' END::mood FROM generate_series(1, 1000) i;"
    same(ask(f"CREATE TABLE plain ({columns}); {rows.format('plain')} CREATE TABLE t ({columns}); {rows.format('t')}"), "")
    same(ask("CREATE TABLE u (tid int4, n int4, w text, PRIMARY KEY (tid, n)); INSERT INTO u SELECT i, n, 'w' FROM generate_series(1, 1000) i, generate_series(1, 2) n; CREATE TABLE plain_u AS SELECT * FROM u"), "")
    same(ask("CREATE TABLE k (id text COLLATE \"C\" PRIMARY KEY, v int); CREATE TABLE r (id int8 PRIMARY KEY, v text); INSERT INTO r SELECT i, 'r' FROM generate_series(1, 100) i"), "")
    for call in ("'t', 'id', 12", "'u', 'tid', colocate_with => 't'", "'k', 'id', 8"):
        same(ask(f"SELECT atoll.distribute_table({call})"), "")
    same(ask("SELECT atoll.distribute_table('r', 'id', method => 'range', splits => ARRAY['30', '60'])"), "")
    ask("ALTER SYSTEM SET session_preload_libraries = 'atoll'; SELECT pg_reload_conf(), pg_sleep(0.3)")


def ask(sql):
    return coordinator.ask(sql)


def goes(sql):
    """Whether a statement goes to one node whole."""
    return "Atoll Router" in ask(f"EXPLAIN {sql}")


def seen(shard, sql, pattern):
    """What a shard logs of a statement of the coordinator."""
    with open(shard.log, encoding="utf8") as file:
        file.seek(0, 2)
        answer = ask(sql)
        lines = [line for line in file.read().splitlines() if pattern in line]
    return answer, lines


@test
def reads_of_one_key_answer_as_a_plain_table():
    for sql in (
        "SELECT * FROM {t} WHERE id = 42",
        "SELECT id, a + 1, v || 'x', g, m FROM {t} WHERE 42 = id AND a >= 0",
        "SELECT t.v, count(*), max(d) FROM {t} t WHERE id = 42::int2 GROUP BY v HAVING count(*) > 0",
        "SELECT count(*) FROM {t} WHERE id = NULL",
        "SELECT count(*), sum(a) FROM {t} WHERE id = 42 AND id = 43",
        "SELECT v FROM {t} WHERE id = 42 AND d < now()",
        "SELECT CASE WHEN a > 0 THEN v ELSE 'none' END, coalesce(a, 0) FROM {t} WHERE id = 40 + 2",
        "SELECT t.id, u.n FROM {t} t JOIN {u} u ON u.tid = t.id WHERE t.id = 42 ORDER BY u.n DESC",
        "SELECT t.id, u.n FROM {t} t, {u} u WHERE u.tid = t.id AND u.tid = 42 ORDER BY u.n LIMIT 1",
        "SELECT id, row_number() OVER (ORDER BY a DESC), m FROM {t} WHERE id = 42 ORDER BY m, id OFFSET 0",
        "SELECT DISTINCT a, generate_series(1, 3) FROM {t} WHERE id = 42 ORDER BY 2",
        "SELECT id FROM {t} x WHERE x.id = 42 FOR UPDATE OF x SKIP LOCKED",
        "SELECT current_setting('server_version_num')::int > 0, d AT TIME ZONE 'UTC' FROM {t} WHERE id = 5",
        "SELECT b.* FROM {t} a JOIN {t} b USING (id) WHERE a.id = 42",
    ):
        if not goes(sql.format(t="t", u="u")):
            raise AssertionError(f"{sql}: {ask('EXPLAIN ' + sql.format(t='t', u='u'))}")
        same(ask(sql.format(t="t", u="u")), ask(sql.format(t="plain", u="plain_u")))


@test
def what_is_not_understood_whole_goes_the_other_way_and_answers_the_same():
    for sql in (
        "SELECT count(*) FROM {t}",
        "SELECT id FROM {t} WHERE id = 42 OR id = 43 ORDER BY id",
        "SELECT id FROM {t} WHERE id IN (1, 2) ORDER BY id",
        "SELECT (SELECT v FROM {t} WHERE id = 3)",
        "WITH x AS (SELECT * FROM {t} WHERE id = 42) SELECT id FROM x",
        "SELECT t.id FROM {t} t LEFT JOIN {u} u ON u.tid = t.id AND u.n = 9 WHERE t.id = 42",
        "SELECT id FROM {t} WHERE id = 42 AND random() >= 0",
        "SELECT x FROM (SELECT id AS x FROM {t}) y WHERE x = 42",
        "SELECT id FROM {t} WHERE id = 42 UNION SELECT 1 ORDER BY 1",
        "SELECT count(*) FROM {t} t, {u} u WHERE t.id = 42 AND u.tid = 43",
        "SELECT id FROM {t} WHERE id = 42 AND v::regclass::text IS NULL AND false",
        "SELECT id FROM {t} WHERE id = 42::numeric",
    ):
        if goes(sql.format(t="t", u="u")):
            raise AssertionError(sql)
        same(ask(sql.format(t="t", u="u")), ask(sql.format(t="plain", u="plain_u")))
    same(ask("SELECT tableoid::regclass IS NOT NULL, x IS NOT NULL FROM t x WHERE id = 42"), "t|t")
    same(ask("SET atoll.router = off; SELECT v FROM t WHERE id = 42"), "v42")


@test
def explain_shows_node_slot_and_sql():
    plan = ask("EXPLAIN (VERBOSE, COSTS OFF) SELECT v FROM t WHERE id = 42")
    place = ask("SELECT node || '|' || slot || '|' || shard FROM atoll.locate('t', 42::int8)").split("|")
    holds(plan, "Custom Scan (Atoll Router)", "Output: v", f"Remote SQL: SELECT v FROM {place[2]} WHERE (id = 42)", f"Node: {place[0]}", f"Slot: {place[1]}")
    holds(ask("EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT v FROM t WHERE id = 42"), "actual rows=1")
    before = ask("CREATE SEQUENCE s; SELECT last_value, is_called FROM s")
    holds(ask("EXPLAIN (VERBOSE) INSERT INTO t (id) VALUES (nextval('s'))"), "Atoll Router")
    same(ask("SELECT last_value, is_called FROM s"), before)


@test
def one_generic_plan_serves_every_key():
    same(ask("SET plan_cache_mode = force_generic_plan; PREPARE q(int8) AS SELECT id, v FROM t WHERE id = $1; EXECUTE q(1); EXECUTE q(2); EXECUTE q(3); EXECUTE q(NULL); EXECUTE q(4)"), "1|v1\n2|v2\n3|v3\n4|v4")
    same(ask("PREPARE q(int4, timestamptz) AS SELECT id FROM t WHERE id = $1 AND d < $2; SET datestyle = 'German'; SET timezone = 'Asia/Seoul'; EXECUTE q(1, '1.1.2020 09:00:02'); EXECUTE q(1, '2020-01-01 09:00:01')"), "1")
    same(ask("PREPARE q(text) AS SELECT v FROM k WHERE id = $1; INSERT INTO k VALUES ('key', 1), ('한글', 2); EXECUTE q('key'); EXECUTE q('한글'); EXECUTE q(''); DELETE FROM k"), "1\n2")
    same(ask("DO $$DECLARE n int; BEGIN FOR i IN 1..20 LOOP SELECT a INTO STRICT n FROM t WHERE id = i; IF n <> i % 7 THEN RAISE 'wrong'; END IF; END LOOP; END$$"), "")
    same(ask("CREATE FUNCTION f(k int8) RETURNS text LANGUAGE sql AS 'SELECT v FROM t WHERE id = k'; SELECT f(7), f(8)"), "v7|v8")
    # A text that comes often is prepared on the shard, one that comes once is not.
    answer = ask("PREPARE q(int8) AS SELECT v FROM t WHERE id = $1; EXECUTE q(1); EXECUTE q(1); EXECUTE q(1); SELECT 1")
    same(answer, "v1\nv1\nv1\n1")


@test
def ranges_are_found_and_gaps_are_empty():
    same(ask("SELECT id FROM r WHERE id = 29; SELECT id FROM r WHERE id = 30; SELECT id FROM r WHERE id = 100; PREPARE q(int4) AS SELECT id FROM r WHERE id = $1; EXECUTE q(60)"), "29\n30\n100\n60")
    if not goes("SELECT id FROM r WHERE id = 29"):
        raise AssertionError("ranges go the other way")
    same(ask("CREATE TABLE e (id int8 PRIMARY KEY); SELECT 1 FROM (SELECT atoll.distribute_table('e', 'id', method => 'range')) x; SELECT count(*) FROM e WHERE id = 3; SELECT atoll.add_range('e', 10, 20); SELECT count(*) FROM e WHERE id = 3"), "1\n0\n0\n0")
    holds(ask("INSERT INTO e VALUES (3)"), "23514", 'no partition of relation "e" found for row')
    same(ask("INSERT INTO e VALUES (10); SELECT id FROM e WHERE id = 10; DROP TABLE e"), "10")


@test
def writes_of_one_key_answer_as_a_plain_table():
    for sql in (
        "INSERT INTO {t} (id, a, v) VALUES (2001, 5, 'new') RETURNING id, a, v, g, d = now()",
        "INSERT INTO {t} (id, a) VALUES (2001, 5); SELECT id, a, g, d = now() FROM {t} WHERE id = 2001",
        "UPDATE {t} SET a = a + 1, v = upper(v), d = now() WHERE id = 42 RETURNING a, g, v, d = now()",
        "UPDATE {t} SET a = NULL WHERE id = 42 AND m IS NOT NULL RETURNING m, g",
        "DELETE FROM {t} WHERE id = 42 AND v = 'v42' RETURNING id; SELECT count(*) FROM {t} WHERE id = 42",
        "DELETE FROM {t} WHERE id = NULL",
        "UPDATE {t} t SET v = u.w FROM {u} u WHERE t.id = u.tid AND u.n = 1 AND t.id = 9 RETURNING t.id, u.n, v",
        "DELETE FROM {u} WHERE tid = 7; SELECT count(*) FROM {u} WHERE tid = 7",
        "INSERT INTO {t} VALUES (2002, 1, 'x', DEFAULT, DEFAULT, 'good') RETURNING m",
        "INSERT INTO {t} (id) VALUES (40 * 100) RETURNING *, 1",
    ):
        first = sql.split(";")[0].format(t="t", u="u")
        if not goes(first):
            raise AssertionError(f"{sql}: {ask('EXPLAIN ' + first)}")
        both = [ask(f"SET timezone = 'UTC'; BEGIN; {sql.format(t=t, u=u)}; ROLLBACK").replace(t, "t") for t, u in (("t", "u"), ("plain", "plain_u"))]
        if "RETURNING *" not in sql:
            same(*both)
    holds(ask("INSERT INTO t (id) VALUES (42)"), "23505", "Node: n")
    holds(ask("INSERT INTO t (id) VALUES (NULL)"), "23502")
    holds(ask("UPDATE t SET id = 43 WHERE id = 42"), "0A000", 'column "id" distributes the table')
    same(ask("CREATE SEQUENCE next START 3001; INSERT INTO t (id, v) VALUES (nextval('next'), 'seq'); SELECT id, v FROM t WHERE id = 3001; DELETE FROM t WHERE id = 3001"), "3001|seq")
    same(ask("SELECT count(*) FROM (TABLE t EXCEPT TABLE plain) x; SELECT count(*) FROM t"), "0\n1000")


@test
def commands_say_how_many_rows():
    answer = coordinator.run_psql("INSERT INTO t (id) VALUES (4001); UPDATE t SET a = 1 WHERE id = 4001; UPDATE t SET a = 1 WHERE id = 4002; DELETE FROM t WHERE id = 4001; INSERT INTO t (id) VALUES (1) ON CONFLICT DO NOTHING; MERGE INTO t USING (VALUES (1)) s (id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = t.a; SELECT 1 FROM t WHERE id = 1")
    same(answer, "INSERT 0 1\nUPDATE 1\nUPDATE 0\nDELETE 1\nINSERT 0 0\nMERGE 1\n1")


@test
def on_conflict_answers_as_a_plain_table():
    for sql in (
        "INSERT INTO {t} (id, v) VALUES (42, 'again') ON CONFLICT DO NOTHING RETURNING id",
        "INSERT INTO {t} (id, v) VALUES (42, 'again') ON CONFLICT (id) DO NOTHING; SELECT v FROM {t} WHERE id = 42",
        "INSERT INTO {t} AS x (id, v, a) VALUES (42, 'again', 1) ON CONFLICT (id) DO UPDATE SET v = x.v || EXCLUDED.v, a = EXCLUDED.a + x.a RETURNING id, v, a, g",
        "INSERT INTO {t} (id, v) VALUES (5001, 'first') ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v, d = now() RETURNING id, v",
        "INSERT INTO {t} (id, v) VALUES (42, 'no') ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v WHERE {t}.a > 100 RETURNING id",
    ):
        first = sql.split(";")[0].format(t="t", u="u")
        if not goes(first):
            raise AssertionError(f"{sql}: {ask('EXPLAIN ' + first)}")
        same(ask(f"BEGIN; {sql.format(t='t')}; ROLLBACK"), ask(f"BEGIN; {sql.format(t='plain')}; ROLLBACK"))
    same(ask("PREPARE q(int8, text) AS INSERT INTO t (id, v) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET v = t.v || EXCLUDED.v RETURNING v; BEGIN; EXECUTE q(1, 'a'); EXECUTE q(1, 'b'); EXECUTE q(2, 'c'); ROLLBACK; SELECT v FROM t WHERE id = 1"), "v1a\nv1ab\nv2c\nv1")
    if goes("INSERT INTO t (id) VALUES (42) ON CONFLICT (id) DO UPDATE SET id = 43"):
        raise AssertionError("a key is set")


@test
def merge_answers_as_a_plain_table():
    for sql in (
        "MERGE INTO {t} t USING (SELECT 42 AS id, 'm' AS v) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = t.v || s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v); SELECT v FROM {t} WHERE id = 42",
        "MERGE INTO {t} t USING (VALUES (6001, 'm')) s (id, v) ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v); SELECT v FROM {t} WHERE id = 6001",
        "MERGE INTO {t} t USING (VALUES (42)) s (id) ON t.id = s.id WHEN MATCHED AND t.a = 0 THEN DELETE WHEN MATCHED THEN DO NOTHING; SELECT count(*) FROM {t} WHERE id = 42",
    ):
        first = sql.split(";")[0].format(t="t")
        if not goes(first):
            raise AssertionError(f"{sql}: {ask('EXPLAIN ' + first)}")
        same(ask(f"BEGIN; {sql.format(t='t')}; ROLLBACK"), ask(f"BEGIN; {sql.format(t='plain')}; ROLLBACK"))
    same(ask("PREPARE q(int8, text) AS MERGE INTO t USING (VALUES ($1, $2)) s (id, v) ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v); BEGIN; EXECUTE q(3, 'x'); EXECUTE q(7001, 'y'); SELECT v FROM t WHERE id IN (3, 7001) ORDER BY id; ROLLBACK"), "x\ny")
    holds(ask("MERGE INTO t USING (VALUES (1, 2)) s (id, other) ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.other)"), "ERROR")
    same(ask("SELECT count(*) FROM (TABLE t EXCEPT TABLE plain) x"), "0")


def major():
    return int(ask("SHOW server_version_num")) // 10000


@test
def what_newer_versions_write_answers_as_a_plain_table():
    routed, refused = [], []
    if major() >= 17:
        routed.append("MERGE INTO {t} t USING (SELECT 42 AS id, 'm' AS v) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = t.v || s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v) RETURNING merge_action(), t.id, t.v")
        refused.append("MERGE INTO t USING (SELECT 42 AS id) s ON t.id = s.id WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED BY SOURCE THEN DELETE")
    if major() >= 18:
        routed.append("UPDATE {t} SET v = 'new' WHERE id = 42 RETURNING old.v, new.v, id")
        routed.append("DELETE FROM {t} WHERE id = 42 RETURNING old.v, new.v IS NULL")
        routed.append("INSERT INTO {t} (id, v) VALUES (42, 'again') ON CONFLICT (id) DO UPDATE SET v = excluded.v RETURNING WITH (OLD AS o, NEW AS n) o.v, n.v")
    for sql in routed:
        if not goes(sql.format(t="t")):
            raise AssertionError(f"{sql}: {ask('EXPLAIN ' + sql.format(t='t'))}")
        same((sql, ask(f"BEGIN; {sql.format(t='t')}; ROLLBACK")), (sql, ask(f"BEGIN; {sql.format(t='plain')}; ROLLBACK")))
    for sql in refused:
        holds(ask(sql), "0A000")
    same(ask("SELECT count(*) FROM (TABLE t EXCEPT TABLE plain) x"), "0")


@test
def transactions_and_savepoints_hold():
    same(ask("BEGIN; INSERT INTO t (id) VALUES (8001); SAVEPOINT x; UPDATE t SET a = 9 WHERE id = 8001; SELECT a FROM t WHERE id = 8001; ROLLBACK TO x; SELECT a IS NULL FROM t WHERE id = 8001; ROLLBACK; SELECT count(*) FROM t WHERE id = 8001"), "9\nt\n0")
    same(ask("DO $$BEGIN FOR n IN 1..3 LOOP BEGIN UPDATE t SET a = n WHERE id = 1; IF n = 2 THEN RAISE 'no'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END$$; SELECT a FROM t WHERE id = 1; UPDATE t SET a = 1 WHERE id = 1"), "3")
    same(ask("BEGIN; INSERT INTO t (id, a) SELECT i, 1 FROM generate_series(8001, 8030) i; UPDATE t SET a = 2 WHERE id = 8005; SELECT sum(a) FROM t WHERE id > 8000; DELETE FROM t WHERE id = 8006; COMMIT; SELECT count(*), sum(a) FROM t WHERE id > 8000; DELETE FROM t WHERE id > 8000"), "31\n29|30")
    holds(ask("INSERT INTO t (id) VALUES (8001) \\; INSERT INTO t (id) VALUES (8002) \\; SELECT 1 / 0"), "22012")
    holds(ask("BEGIN; INSERT INTO t (id) VALUES (8003); SELECT 1 / 0; COMMIT"), "22012")
    holds(ask("CREATE FUNCTION w() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO t (id) VALUES (8004); RETURN 1 / 0; END'; SELECT w()"), "22012")
    holds(ask("BEGIN READ ONLY; INSERT INTO t (id) VALUES (8005)"), "25006")
    holds(ask("EXPLAIN (ANALYZE, COSTS OFF) INSERT INTO t (id) VALUES (8006)"), "Atoll Router")
    same(ask("SELECT count(*) FROM t WHERE id > 8000; DELETE FROM t WHERE id = 8006"), "1")
    same(ask("BEGIN; DECLARE c CURSOR FOR SELECT v FROM t WHERE id = 42; UPDATE t SET v = 'c' WHERE id = 42; FETCH ALL FROM c; ROLLBACK"), "v42")
    same(ask("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT a FROM t WHERE id = 8; ROLLBACK"), "1")
    same(ask("CREATE TABLE made AS SELECT id, v FROM t WHERE id = 42; TABLE made"), "42|v42")


@test
def rights_are_those_of_the_tables_here():
    ask("CREATE ROLE reader; GRANT SELECT (id, v) ON t TO reader")
    holds(ask("SET ROLE reader; SELECT a FROM t WHERE id = 42"), "42501")
    holds(ask("SET ROLE reader; INSERT INTO t (id) VALUES (1)"), "42501")
    holds(ask("SET ROLE reader; DELETE FROM t WHERE id = 1"), "42501")
    holds(ask("SET ROLE reader; SELECT v FROM t WHERE id = 42"), "08001", "needs a password")
    ask("CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM t WHERE a = 0")
    same(ask("SELECT id FROM barrier WHERE id = 42; SELECT id FROM barrier WHERE id = 43"), "42")
    ask("DROP OWNED BY reader; DROP ROLE reader; DROP VIEW barrier")


@test
def changed_tables_are_seen_by_prepared_statements():
    same(ask("CREATE TABLE c (id int8 PRIMARY KEY, a int); SELECT 1 FROM (SELECT atoll.distribute_table('c', 'id', 4)) x; INSERT INTO c VALUES (1, 2); PREPARE q(int8) AS SELECT a FROM c WHERE id = $1; EXECUTE q(1); EXECUTE q(1); EXECUTE q(1); ALTER TABLE c RENAME id TO b; ALTER TABLE c RENAME b TO id; EXECUTE q(1); ALTER TABLE c ADD z int DEFAULT 7; ALTER TABLE c DROP a; SELECT * FROM c WHERE id = 1; INSERT INTO c VALUES (2, 8) RETURNING *; SELECT * FROM c WHERE id = 2"), "1\n2\n2\n2\n2\n1|7\n2|8\n2|8")
    same(ask("ALTER TABLE c RENAME TO cc; SELECT z FROM cc WHERE id = 2; CREATE SCHEMA other; ALTER TABLE cc SET SCHEMA other; SELECT z FROM other.cc WHERE id = 2"), "8\n8")
    same(ask("CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'noted'; RETURN NEW; END$$; CREATE TRIGGER noted BEFORE INSERT ON other.cc FOR EACH ROW EXECUTE FUNCTION noted()"), "")
    holds(ask("INSERT INTO other.cc VALUES (3, 3)"), "noted")
    holds(ask("CREATE TRIGGER mine BEFORE INSERT ON public.c_0001 FOR EACH ROW EXECUTE FUNCTION noted()"), "0A000", "refused on")
    ask("DROP SCHEMA other CASCADE; DROP FUNCTION noted")


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def pipeline(statements, sync_each):
    """Sends statements in the extended protocol; the letters of the answers, and the SQLSTATEs of errors."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{coordinator.home}/.s.PGSQL.{coordinator.port}")
        client.settimeout(20)
        start = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
        client.sendall(struct.pack("!i", len(start) + 4) + start)

        def answers(until_ready):
            got = []
            buffer = b""
            while until_ready:
                buffer += client.recv(65536)
                while len(buffer) >= 5 and len(buffer) >= 1 + struct.unpack("!i", buffer[1:5])[0]:
                    size = 1 + struct.unpack("!i", buffer[1:5])[0]
                    kind, body, buffer = buffer[:1], buffer[5:size], buffer[size:]
                    if kind == b"E":
                        got.append(next(field[1:].decode() for field in body.split(b"\0") if field[:1] == b"C"))
                    elif kind == b"C":
                        got.append(body[:-1].decode())
                    until_ready -= kind == b"Z"
            return got

        answers(1)
        packets = b""
        for n, sql in enumerate(statements):
            packets += message(b"P", b"\0" + sql.encode() + b"\0\0\0") + message(b"B", b"\0\0\0\0\0\0\0\0") + message(b"E", b"\0\0\0\0\0")
            if sync_each or n == len(statements) - 1:
                packets += message(b"S")
        client.sendall(packets)
        return answers(len(statements) if sync_each else 1)


@test
def a_pipeline_whose_second_insert_fails_keeps_nothing():
    for second in ("INSERT INTO {} (id) VALUES (1)", "SELECT 1 / 0", "INSERT INTO {} (id) VALUES (9001)"):
        for table in ("t", "plain"):
            found = pipeline([f"INSERT INTO {table} (id) VALUES (9001)", second.format(table), f"INSERT INTO {table} (id) VALUES (9002)"], False)
            same((found[0], len(found)), ("INSERT 0 1", 2))
            same(ask(f"SELECT count(*) FROM {table} WHERE id > 9000"), "0")
    found = pipeline(["INSERT INTO t (id) VALUES (9001)", "INSERT INTO t (id) VALUES (9001)", "INSERT INTO t (id) VALUES (9002)"], True)
    same(found, ["INSERT 0 1", "23505", "INSERT 0 1"])
    same(ask("SELECT count(*) FROM t WHERE id > 9000; DELETE FROM t WHERE id > 9000; SELECT count(*) FROM t WHERE id > 9000"), "2\n0")


def statements_on_shards(work):
    """What the shards log while `work` runs, without the settings of new sessions."""
    for shard in shards:
        shard.ask("ALTER SYSTEM SET log_statement = 'all'; SELECT pg_reload_conf(), pg_sleep(0.2)")
    sizes = []
    for shard in shards:
        with open(shard.log, "rb") as file:
            sizes.append(file.seek(0, 2))
    work()
    found = []
    for shard, size in zip(shards, sizes):
        with open(shard.log, "rb") as file:
            file.seek(size)
            for line in file.read().decode().splitlines():
                for mark in ("statement: ", "execute "):
                    if f"LOG:  {mark}" in line and "SET search_path" not in line:
                        found.append(line.split(": ", 2)[-1])
        shard.ask("ALTER SYSTEM RESET log_statement; SELECT pg_reload_conf(), pg_sleep(0.2)")
    return found


@test
def a_write_that_is_a_transaction_of_its_own_is_one_statement():
    shown = lambda statements: [statement.split(" ")[0] for statement in statements]
    same(shown(statements_on_shards(lambda: ask("INSERT INTO t (id) VALUES (9101)"))), ["INSERT"])
    same(shown(statements_on_shards(lambda: pipeline(["UPDATE t SET a = 1 WHERE id = 9101"], True))), ["UPDATE"])
    same(shown(statements_on_shards(lambda: ask("SELECT a FROM t WHERE id = 9101"))), ["SELECT"])
    same(shown(statements_on_shards(lambda: ask("BEGIN; DELETE FROM t WHERE id = 9101; COMMIT"))), ["BEGIN", "DELETE", "COMMIT"])
    same(shown(statements_on_shards(lambda: ask("INSERT INTO t (id) VALUES (9102) RETURNING id"))), ["BEGIN", "INSERT", "COMMIT"])
    same(shown(statements_on_shards(lambda: pipeline(["UPDATE t SET a = 1 WHERE id = 9102", "SELECT 1"], False))), ["BEGIN", "UPDATE", "COMMIT"])
    same(ask("DELETE FROM t WHERE id = 9102; SELECT count(*) FROM t"), "1000")


@test
def a_cancelled_write_is_done_or_not_done_as_it_says():
    shard = shards[int(ask("SELECT substr(node, 2) FROM atoll.locate('t', 9201::int8)")) - 1]
    name = ask("SELECT shard FROM atoll.locate('t', 9201::int8)")
    shard.ask(f"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END$$; CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {name} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()")
    try:
        holds(ask("SET statement_timeout = '200ms'; INSERT INTO t (id) VALUES (9201)"), "57014", "statement timeout")
        same(ask("SELECT count(*) FROM t WHERE id = 9201"), "0")
        session = coordinator.open("INSERT INTO t (id) VALUES (9201); SELECT 'after'")
        pid = shard.wait_for("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO %' AND state = 'active'", "1")
        same(pid, "1")
        shard.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO %' AND state = 'active'")
        holds(session.stdout.read(), "ERROR", "n", "after")
        session.wait()
        same(ask("SELECT count(*) FROM t WHERE id = 9201"), "0")
    finally:
        shard.ask(f"DROP TRIGGER slow ON {name}; CREATE TRIGGER slow AFTER INSERT ON {name} FOR EACH ROW EXECUTE FUNCTION slow()")
        answer = ask("SET statement_timeout = '200ms'; BEGIN; SAVEPOINT x; INSERT INTO t (id) VALUES (9201); ROLLBACK TO x; SELECT count(*) FROM t WHERE id = 9201; COMMIT; INSERT INTO t (id) VALUES (9202) RETURNING id; SELECT count(*) FROM t WHERE id > 9200")
        holds(answer, "57014", "\n0")
        shard.ask(f"DROP TRIGGER slow ON {name}; DROP FUNCTION slow; DELETE FROM {name} WHERE id > 9200")
        ask("DELETE FROM t WHERE id > 9200")
    same(ask("INSERT INTO t (id) VALUES (9201); DELETE FROM t WHERE id = 9201; SELECT count(*) FROM t"), "1000")


@test
def many_statements_of_a_session_answer_all_the_same():
    each = "EXECUTE q(%d); EXECUTE w(%d, 1);"
    sql = "SET plan_cache_mode = force_generic_plan; PREPARE q(int8) AS SELECT id FROM t WHERE id = $1; PREPARE w(int8, int4) AS UPDATE t SET a = a WHERE id = $1 AND a IS NOT NULL AND $2 = 1;"
    same(ask(sql + "".join(each % (n, n) for n in range(1, 301)) * 2).split("\n"), [str(n) for n in range(1, 301)] * 2)
    # More texts than a session keeps prepared, each of them twice.
    texts = "".join(f"SELECT id, {n} FROM t WHERE id = 5;" * 2 for n in range(2300))
    same(ask(texts).split("\n"), [f"5|{n}" for n in range(2300) for _twice in range(2)])


@test
def hot_rows_do_not_fail():
    sessions = [coordinator.open("UPDATE t SET a = a + 1 WHERE id = 10;\n" * 40) for _ in range(8)]
    for session in sessions:
        same(session.stdout.read(), "")
        session.wait()
    same(ask("SELECT a - 3 FROM t WHERE id = 10; UPDATE t SET a = 3 WHERE id = 10"), "320")


@test
def a_dead_shard_is_named_and_the_others_answer():
    keys = [ask(f"SELECT i FROM generate_series(1, 100) i WHERE (atoll.locate('t', i::int8)).node = 'n{n}' LIMIT 1") for n in (1, 2, 3)]
    shards[2].stop()
    try:
        holds(ask(f"SELECT v FROM t WHERE id = {keys[2]}"), "08001", 'node "n3"')
        holds(ask(f"UPDATE t SET a = 1 WHERE id = {keys[2]}"), "08001", 'node "n3"')
        same(ask(f"SELECT v FROM t WHERE id = {keys[0]}"), f"v{keys[0]}")
    finally:
        shards[2].start()
    same(ask(f"SELECT v FROM t WHERE id = {keys[2]}"), f"v{keys[2]}")


@test
def nothing_is_left_over():
    same(ask("SELECT count(*) FROM postgres_fdw_get_connections(); SELECT count(*) FROM (TABLE t EXCEPT TABLE plain) x"), "0\n0")
    for shard in shards:
        same(shard.ask("SELECT count(*) FROM pg_prepared_xacts; SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'"), "0\n0")


if __name__ == "__main__":
    main(set_up)
