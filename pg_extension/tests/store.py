"""Tables of a store's directory: `atoll_store`, beside processes that write it.

In: the directory of the server's programs, whose installation has the extension, and that of the debug
profile's programs. Out: a line `ok NAME` or `not ok NAME` for each test, status 1 if one is `not ok`. Must
never: leave a server, a writer or a file behind.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from cluster import Session, private_servers  # noqa: E402

BINDIR, PROGRAMS = sys.argv[1], sys.argv[2]
failed = 0
tests = []


def test(body):
    tests.append(body)


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def holds(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError(f"{part!r} is not in {text!r}")


def lacks(text, *parts):
    for part in parts:
        if part in text:
            raise AssertionError(f"{part!r} is in {text!r}")


def as_server(*command):
    return (["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []) + list(command)


class Writer:
    """Another process that has the store open for writing."""

    def __init__(self, name):
        self.path = f"{home}/{name}"
        self.process = subprocess.Popen(as_server(f"{home}/writer", self.path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        same(self.process.stdout.readline(), "done\n")

    def tell(self, *lines):
        for line in lines:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            same(self.process.stdout.readline(), "done\n")
        return self

    def close(self):
        self.process.stdin.close()
        same(self.process.wait(), 0)


def fresh(name, *lines):
    """A store with these records, which nobody has open."""
    Writer(name).tell(*lines).close()
    return name


def psql(sql, options=("-At",)):
    command = [f"{BINDIR}/psql", "-Xq", *options, "-v", "VERBOSITY=verbose", "-h", server.group.home, "-p", str(server.port), "-U", "postgres", "-d", "postgres"]
    return subprocess.run(command, input=sql, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout.strip()


def table(name, columns, options="", server_name=None):
    """A foreign table on a store of this name."""
    made = "" if server_name else f"CREATE SERVER {name} FOREIGN DATA WRAPPER atoll_store OPTIONS (path '{home}/{name}');"
    same(psql(f"{made} CREATE FOREIGN TABLE {name} ({columns}) SERVER {server_name or name} {options}"), "")


KEY = "OPTIONS (key '1')"


@test
def rows_are_read_by_key_and_range_in_order():
    fresh("basic", "put b two", "put a one", "put c three", "put 한글 text", "delete c")
    table("basic", f'k text {KEY} COLLATE "C", v text')
    same(psql("SELECT * FROM basic ORDER BY k"), "a|one\nb|two\n한글|text")
    same(psql("SELECT * FROM basic ORDER BY k DESC LIMIT 2"), "한글|text\nb|two")
    same(psql("SELECT v FROM basic WHERE k = 'a'; SELECT v FROM basic WHERE k IN ('b', 'x', 'a', 'b') ORDER BY k; SELECT k FROM basic WHERE k > 'a' AND k <= 'b'; SELECT count(*) FROM basic WHERE k = NULL; SELECT count(*) FROM basic WHERE k = ANY ('{}')"), "one\none\ntwo\nb\n0\n0")
    same(psql("SELECT k FROM basic WHERE v = 'two'; SELECT count(*) FROM basic WHERE 'b' > k; SELECT k FROM basic WHERE k IN ('a', 'b') AND k > 'a'"), "b\n1\nb")


@test
def explain_shows_what_the_key_index_answers():
    def explain(sql):
        return psql(f"EXPLAIN (COSTS OFF) {sql}")

    found = explain("SELECT v FROM basic WHERE k = 'a'")
    holds(found, "Keys: look-up", "Key Cond: (k = 'a'::text)")
    lacks(found, "Filter")
    holds(explain("SELECT v FROM basic WHERE k IN ('a', 'b') AND v = 'one'"), "Keys: look-up", "Key Cond: (k = ANY ('{a,b}'::text[]))", "Filter: (v = 'one'::text)")
    found = explain("SELECT v FROM basic WHERE k >= 'a' AND k < 'c' ORDER BY k DESC LIMIT 1")
    holds(found, "Keys: range, backward", "Key Cond:")
    lacks(found, "Sort", "Filter")
    lacks(explain("SELECT k FROM basic ORDER BY k, v"), "Sort")
    holds(explain("SELECT k FROM basic ORDER BY v"), "Sort")
    # Not by bytes: PostgreSQL compares.
    holds(explain("SELECT k FROM basic WHERE k > 'a' COLLATE \"en-x-icu\""), "Keys: all", "Filter")
    holds(explain("SELECT k FROM basic WHERE k = 'a' COLLATE \"en-x-icu\""), "Keys: look-up")
    holds(explain("SELECT k FROM basic ORDER BY k COLLATE \"en-x-icu\""), "Sort")
    holds(psql("SET plan_cache_mode = force_generic_plan; PREPARE q(text) AS SELECT v FROM basic WHERE k = $1; EXPLAIN (COSTS OFF) EXECUTE q('a'); EXECUTE q('a'); EXECUTE q(NULL)"), "Key Cond: (k = $1)", "\none")


@test
def integers_uuids_and_bytes_are_keys_in_their_own_order():
    fresh("ints", *[f"int {n} v{n}" for n in (-9223372036854775808, -5, 0, 7, 42, 9223372036854775807)])
    table("ints", f"id int8 {KEY}, v text")
    same(psql("SELECT id FROM ints WHERE id < 42::int2 ORDER BY id"), "-9223372036854775808\n-5\n0\n7")
    same(psql("SELECT v FROM ints WHERE id = 7; SELECT v FROM ints WHERE id = ANY (ARRAY[0, 42]::int4[]) ORDER BY id DESC; SELECT id FROM ints ORDER BY id DESC LIMIT 1"), "v7\nv42\nv0\n9223372036854775807")
    holds(psql("EXPLAIN (COSTS OFF) SELECT * FROM ints WHERE id = 7::int2"), "Key Cond")
    holds(psql("EXPLAIN (COSTS OFF) SELECT * FROM ints WHERE id = 7::numeric"), "Keys: all")
    same(psql(f"CREATE FOREIGN TABLE raw_ints (k bytea {KEY}, v bytea) SERVER ints; SELECT encode(k, 'hex') FROM raw_ints WHERE k > '\\x8000000000000000' ORDER BY k LIMIT 1"), "8000000000000007")
    holds(psql(f"CREATE FOREIGN TABLE small_ints (k int4 {KEY}, v text) SERVER ints; SELECT * FROM small_ints"), "HV004", "is not of type int4")
    fresh("uuids")
    table("uuids", f"id uuid {KEY}, v text")
    same(psql("INSERT INTO uuids VALUES ('00000000-0000-0000-0000-0000000000ff', 'b'), ('00000000-0000-0000-0000-00000000000f', 'a'); SELECT v FROM uuids ORDER BY id; SELECT v FROM uuids WHERE id = '00000000-0000-0000-0000-0000000000ff'"), "a\nb\nb")


@test
def values_of_json_are_columns_and_keep_what_has_no_column():
    fresh("people", 'put user:1 {"name":"Kim","age":31,"tags":["a"],"balance":12345678901234567890.12345,"extra":{"x":1e400}}', 'put user:2 {"name":"Lee","on":true}', "put other:1 x")
    table("people", f'id text {KEY} COLLATE "C", name text, age int4, tags jsonb, balance numeric, is_on bool OPTIONS (field \'on\')', "OPTIONS (prefix 'user:')")
    same(psql("SELECT * FROM people ORDER BY id"), '1|Kim|31|["a"]|12345678901234567890.12345|\n2|Lee||||t')
    same(psql("UPDATE people SET age = age + 1 WHERE id = '1' RETURNING age; UPDATE people SET is_on = NULL WHERE id = '2'; INSERT INTO people VALUES ('3', 'a\"b', 5, '{\"z\": null}', 1.50, false)"), "32")
    table("people_raw", f'k text {KEY} COLLATE "C", v text', "", "people")
    same(psql("SELECT v FROM people_raw ORDER BY k"), 'x\n{"name":"Kim","age":32,"tags":["a"],"balance":12345678901234567890.12345,"extra":{"x":1e400}}\n{"name":"Lee"}\n{"name":"a\\"b","age":5,"tags":{"z": null},"balance":1.50,"on":false}')
    psql("INSERT INTO people_raw VALUES ('user:9', 'no json')")
    holds(psql("SELECT * FROM people"), "HV004", 'value of key "user:9" is no JSON object')
    same(psql("SELECT count(*), max(id) FROM people"), "4|9")
    same(psql("SELECT count(*) FROM people WHERE name IS NOT NULL AND id < '9'"), "3")


@test
def keys_of_several_columns_are_tuples():
    fresh("tuples")
    table("tuples", "tenant int4 OPTIONS (key '1'), name text OPTIONS (key '2') COLLATE \"C\", v text")
    same(psql("INSERT INTO tuples SELECT t, 'n' || n, t || '/' || n FROM generate_series(1, 3) t, generate_series(1, 3) n; SELECT v FROM tuples WHERE tenant = 2; SELECT v FROM tuples WHERE tenant = 3 AND name = 'n1'; SELECT count(*) FROM tuples WHERE name = 'n2'"), "2/1\n2/2\n2/3\n3/1\n3")
    holds(psql("EXPLAIN (COSTS OFF) SELECT v FROM tuples WHERE tenant = 2 AND name = 'n1'"), "Keys: look-up", "tenant = 2")
    holds(psql("EXPLAIN (COSTS OFF) SELECT v FROM tuples WHERE tenant = 2"), "Keys: range")
    holds(psql("EXPLAIN (COSTS OFF) SELECT v FROM tuples WHERE name = 'n1'"), "Keys: all", "Filter")


@test
def changes_are_seen_by_their_transaction_and_by_others_after_commit():
    fresh("writes", "put a 1", "put b 2", "put c 3")
    table("writes", f'k text {KEY} COLLATE "C", v text')
    one = Session(server)
    one.run("\\t on\n\\a")
    same(one.run("BEGIN; INSERT INTO writes VALUES ('bb', 'new'); UPDATE writes SET v = 'changed' WHERE k = 'a'; DELETE FROM writes WHERE k = 'c';\nSELECT * FROM writes ORDER BY k;"), "a|changed\nb|2\nbb|new")
    same(one.run("SELECT k FROM writes WHERE k >= 'b' ORDER BY k DESC; SELECT v FROM writes WHERE k = 'bb'; SELECT count(*) FROM writes WHERE k IN ('c', 'a');"), "bb\nb\nnew\n1")
    same(psql("SELECT * FROM writes ORDER BY k"), "a|1\nb|2\nc|3")
    one.run("COMMIT;")
    same(psql("SELECT * FROM writes ORDER BY k"), "a|changed\nb|2\nbb|new")
    one.run("BEGIN; DELETE FROM writes; ROLLBACK;")
    same(psql("SELECT count(*) FROM writes"), "3")
    one.close()
    # The engine's own reader finds the same.
    same(subprocess.run(as_server(f"{home}/atoll", "get", f"{home}/writes", "bb"), capture_output=True, text=True, check=False).stdout, "new\n")


@test
def savepoints_undo_and_a_command_does_not_read_what_it_writes():
    same(psql("""BEGIN; INSERT INTO writes VALUES ('s1', 'x'); SAVEPOINT p; UPDATE writes SET v = 'y' WHERE k = 's1'; DELETE FROM writes WHERE k = 'b'; SELECT count(*), max(v) FILTER (WHERE k = 's1') FROM writes;
ROLLBACK TO p; SELECT count(*), max(v) FILTER (WHERE k = 's1') FROM writes; SAVEPOINT q; UPDATE writes SET v = 'z' WHERE k = 's1'; RELEASE q; SELECT v FROM writes WHERE k = 's1'; ROLLBACK"""), "3|y\n4|x\nz")
    same(psql("BEGIN; INSERT INTO writes SELECT k || '+', v FROM writes; SELECT count(*) FROM writes; UPDATE writes SET k = '~' || k; SELECT count(*), min(k) FROM writes; ROLLBACK; SELECT count(*) FROM writes"), "6\n6|~a\n3")
    same(psql("DO $$BEGIN FOR n IN 1..3 LOOP BEGIN UPDATE writes SET v = n::text WHERE k = 'b'; IF n = 2 THEN RAISE 'no'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END$$; SELECT v FROM writes WHERE k = 'b'"), "3")
    same(psql("BEGIN; DECLARE c CURSOR FOR SELECT k FROM writes ORDER BY k; FETCH 1 FROM c; DELETE FROM writes; FETCH ALL FROM c; SELECT count(*) FROM writes; ROLLBACK"), "a\nb\nbb\n0")


@test
def a_key_is_there_once():
    holds(psql("INSERT INTO writes VALUES ('a', 'twice')"), "23505", 'key "a" exists already')
    holds(psql("INSERT INTO writes VALUES ('n', '1'), ('n', '2')"), "23505")
    holds(psql("UPDATE writes SET k = 'b' WHERE k = 'a'"), "23505")
    same(psql("INSERT INTO writes VALUES ('a', 'no'), ('d', 'yes') ON CONFLICT DO NOTHING; SELECT k, v FROM writes WHERE k IN ('a', 'd') ORDER BY k"), "a|changed\nd|yes")
    same(psql("UPDATE writes SET k = 'e' WHERE k = 'd' RETURNING *; DELETE FROM writes WHERE k = 'e' RETURNING *; SELECT count(*) FROM writes"), "e|yes\ne|yes\n3")
    holds(psql("INSERT INTO writes VALUES (NULL, 'x')"), "23502")
    holds(psql("INSERT INTO writes VALUES ('x', NULL)"), "23502")
    holds(psql("INSERT INTO writes VALUES ('a', '1') ON CONFLICT (k) DO UPDATE SET v = '2'"), "42P10")


@test
def copy_prepared_rows_and_joins_work():
    fresh("bulk")
    table("bulk", f"id int8 {KEY}, v text, n int4")
    same(psql("COPY bulk FROM stdin;\n1\tone\t1\n2\ttwo\t2\n\\.\nINSERT INTO bulk SELECT i, 'v' || i, i % 10 FROM generate_series(3, 20000) i; ANALYZE bulk; SELECT count(*), sum(id), count(DISTINCT n) FROM bulk; SELECT reltuples FROM pg_class WHERE relname = 'bulk'"), "20000|200010000|10\n20000")
    plan = psql("CREATE TABLE wanted AS SELECT i * 100::int8 AS id FROM generate_series(1, 20) i; ANALYZE wanted; EXPLAIN (COSTS OFF) SELECT count(b.v) FROM wanted w JOIN bulk b USING (id)")
    # Versions of PostgreSQL write the sides of an equality in different orders.
    holds(plan.replace("(b.id = $0)", "($0 = b.id)"), "Nested Loop", "Keys: look-up", "Key Cond: ($0 = b.id)")
    same(psql("SELECT count(b.v), min(b.id), max(b.id) FROM wanted w JOIN bulk b USING (id)"), "20|100|2000")
    estimate = psql("EXPLAIN SELECT * FROM bulk WHERE id BETWEEN 5001 AND 10000")
    rows = int(re.search(r"rows=(\d+)", estimate).group(1))
    if not 2500 <= rows <= 10000:
        raise AssertionError(estimate)
    same(psql("UPDATE bulk SET n = -1 WHERE id <= 10000; SELECT count(*) FROM bulk WHERE n = -1; DELETE FROM bulk USING wanted WHERE bulk.id = wanted.id; SELECT count(*) FROM bulk"), "10000\n19980")
    same(psql("SELECT count(*) FROM bulk x JOIN bulk y ON x.id = y.id"), "19980")


@test
def answers_are_those_of_a_plain_table():
    random.seed(20261123)
    fresh("twin")
    table("twin", f'k text {KEY} COLLATE "C", v int4')
    same(psql("CREATE TABLE plain (k text COLLATE \"C\" PRIMARY KEY, v int4)"), "")
    keys = ["", "a", "aa", "ab", "b", "é", "한", "\U0001f600", "z" * 300] + [f"k{n:03}" for n in range(60)]

    def word():
        return "'" + random.choice(keys) + "'"

    for _turn in range(12):
        script = "BEGIN;"
        for _step in range(random.randrange(1, 8)):
            action = random.choice(["INSERT INTO {t} VALUES (%s, %d) ON CONFLICT DO NOTHING", "UPDATE {t} SET v = v + %d WHERE k >= %s AND k < %s", "DELETE FROM {t} WHERE k IN (%s, %s)", "SAVEPOINT s", "ROLLBACK TO s", "DELETE FROM {t} WHERE k > %s AND v %% 3 = 0"])
            if action.startswith("ROLLBACK") and "SAVEPOINT" not in script:
                continue
            holes = [word() if hole == "s" else random.randrange(100) for hole in re.findall(r"%([sd])", action)]
            script += (action % tuple(holes)) + ";"
            question = random.choice(["SELECT count(*), sum(v) FROM {t}", "SELECT k FROM {t} WHERE k >= %s ORDER BY k DESC LIMIT 5", "SELECT * FROM {t} WHERE k IN (%s, %s) ORDER BY k", "SELECT k, v FROM {t} WHERE k < %s ORDER BY k"])
            script += (question % tuple(word() for _hole in re.findall("%s", question))) + ";"
        script += random.choice(["COMMIT;", "COMMIT;", "ROLLBACK;"]) + "SELECT * FROM {t} ORDER BY k;"
        same(psql(script.replace("{t}", "twin")), psql(script.replace("{t}", "plain")))


@test
def a_store_is_read_while_another_process_writes_it():
    writer = Writer("shared").tell("fill k 5000")
    table("shared", f'k text {KEY} COLLATE "C", v text')
    same(psql("SELECT count(*) FROM shared"), "5000")
    writer.tell("put zz last", "delete k00000000")
    same(psql("SELECT count(*), max(k) FROM shared"), "5000|zz")
    found = psql("INSERT INTO shared VALUES ('x', 'y')")
    holds(found, "55006", "is in use by process", "can only be read here")
    holds(psql("SELECT * FROM shared WHERE k = 'zz' FOR UPDATE"), "55006")
    # One snapshot for a statement; the next sees more. Compaction takes nothing away meanwhile.
    session = Session(server)
    session.run("\\t on\n\\a")
    same(session.run("BEGIN; DECLARE c CURSOR FOR SELECT k FROM shared ORDER BY k; FETCH 1 FROM c;"), "k00000001")
    writer.tell("fill k 6000", "delete k00000002", "compact", "fill k 7000", "compact")
    same(session.run("FETCH 1 FROM c;"), "k00000002")
    same(session.run("MOVE ALL FROM c; SELECT count(*) FROM shared;"), "7001")
    same(session.run("COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM shared;"), "7001")
    writer.tell("put zzz more")
    same(session.run("SELECT count(*) FROM shared; COMMIT; SELECT count(*) FROM shared;"), "7001\n7002")
    # A writer that is killed leaves a store that can still be read, and written here.
    pid = re.search(r"in use by process (\d+)", found).group(1)
    os.kill(int(pid), signal.SIGKILL)
    writer.process.wait()
    same(session.run("SELECT count(*) FROM shared; INSERT INTO shared VALUES ('after', 'crash'); SELECT count(*) FROM shared;"), "7002\n7003")
    session.close()


@test
def a_change_of_another_process_is_not_overwritten():
    fresh("lost", "put n 1", "put m 1")
    table("lost", f'k text {KEY} COLLATE "C", v text')
    session = Session(server)
    session.run("BEGIN; UPDATE lost SET v = v || '+1' WHERE k = 'n';")
    Writer("lost").tell("put n 100").close()
    holds(session.run("\\set VERBOSITY verbose\nCOMMIT;"), "40001", 'key "n"', "Run the transaction again")
    same(psql("SELECT v FROM lost WHERE k = 'n'"), "100")
    session.run("BEGIN; INSERT INTO lost VALUES ('new', 'mine'); UPDATE lost SET v = 'x' WHERE k = 'm';")
    Writer("lost").tell("put new theirs").close()
    holds(session.run("COMMIT;"), "40001")
    same(psql("SELECT k, v FROM lost ORDER BY k"), "m|1\nn|100\nnew|theirs")
    session.run("BEGIN; UPDATE lost SET v = 'x' WHERE k = 'm';")
    writer = Writer("lost").tell("put n 101")
    holds(session.run("COMMIT;"), "55006", "is in use by process")
    writer.close()
    same(psql("SELECT v FROM lost WHERE k = 'm'"), "1")
    session.close()


@test
def writers_of_one_server_wait_for_each_other():
    fresh("counter", "put n 0")
    table("counter", f'k text {KEY} COLLATE "C", v text')
    sql = "UPDATE counter SET v = (v::int + 1)::text WHERE k = 'n';\n" * 25
    command = [f"{BINDIR}/psql", "-XAtq", "-h", server.group.home, "-p", str(server.port), "-U", "postgres", "-d", "postgres"]
    sessions = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(4)]
    for session in sessions:
        session.stdin.write(sql)
        session.stdin.close()
    for session in sessions:
        same(session.stdout.read(), "")
        session.wait()
    same(psql("SELECT v FROM counter"), "100")
    # REPEATABLE READ tells instead, as for a table.
    one = Session(server)
    one.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM counter;")
    psql("UPDATE counter SET v = '500'")
    holds(one.run("\\set VERBOSITY verbose\nUPDATE counter SET v = (v::int + 1)::text; COMMIT;"), "40001")
    same(psql("SELECT v FROM counter"), "500")
    # FOR UPDATE keeps others out until the end.
    one.run("BEGIN; SELECT * FROM counter FOR UPDATE;")
    holds(psql("SET lock_timeout = '100ms'; UPDATE counter SET v = '0'"), "55P03")
    one.run("COMMIT;")
    one.close()


@test
def errors_say_what_is_wrong_with_the_directory():
    table("missing", f'k text {KEY} COLLATE "C", v text')
    holds(psql("SELECT * FROM missing"), "58P01", f"{home}/missing is not an atoll store", "HINT")
    holds(psql("INSERT INTO missing VALUES ('a', 'b')"), "58P01")
    fresh("damaged", "fill k 3000")
    table("damaged", f'k text {KEY} COLLATE "C", v text')
    same(psql("SELECT count(*) FROM damaged"), "3000")
    log = f"{home}/damaged/log"
    segment = max((os.path.join(log, name) for name in os.listdir(log)), key=os.path.getmtime)
    with open(segment, "r+b") as file:
        data = file.read()
        at = data.index(b"value 1500")
        file.seek(at)
        file.write(b"VALUE")
    holds(psql("SELECT * FROM damaged WHERE k = 'k00001500'"), "XX001", "is damaged at offset", "atoll verify")
    holds(psql("SELECT * FROM damaged"), "XX001")
    same(psql("SELECT v FROM damaged WHERE k = 'k00000007'"), "value 7")
    # Not ours to read.
    fresh("secret", "put a b")
    table("secret", f'k text {KEY} COLLATE "C", v text')
    os.chmod(f"{home}/secret", 0o000)
    found = psql("SELECT * FROM secret")
    os.chmod(f"{home}/secret", 0o700)
    holds(found, "42501", "ermission denied")


@test
def only_roles_that_may_use_files_reach_a_store():
    psql("CREATE ROLE plain_role LOGIN; CREATE ROLE reader_role LOGIN; GRANT pg_read_server_files TO reader_role; GRANT USAGE ON FOREIGN DATA WRAPPER atoll_store TO plain_role, reader_role; GRANT USAGE ON SCHEMA public TO PUBLIC; GRANT CREATE ON SCHEMA public TO reader_role")
    make = f"CREATE SERVER of_role FOREIGN DATA WRAPPER atoll_store OPTIONS (path '{home}/writes')"
    holds(psql(f"SET ROLE plain_role; {make}"), "42501", "pg_read_server_files")
    same(psql(f"SET ROLE reader_role; {make}; CREATE FOREIGN TABLE of_role_t (k text {KEY} COLLATE \"C\", v text) SERVER of_role; GRANT ALL ON of_role_t TO plain_role; SELECT count(*) FROM of_role_t"), "3")
    holds(psql("SET ROLE reader_role; INSERT INTO of_role_t VALUES ('q', 'q')"), "42501", "pg_write_server_files")
    # As for a view: whoever may use the table, by the rights of the server's owner.
    same(psql("SET ROLE plain_role; SELECT count(*) FROM of_role_t"), "3")
    psql("GRANT pg_write_server_files TO reader_role")
    same(psql("SET ROLE plain_role; INSERT INTO of_role_t VALUES ('q', 'q'); SELECT count(*) FROM of_role_t"), "4")
    psql("REVOKE pg_read_server_files FROM reader_role")
    holds(psql("SET ROLE plain_role; SELECT count(*) FROM of_role_t"), "42501")
    holds(psql(f"SET ROLE reader_role; ALTER SERVER of_role OPTIONS (SET path '{home}/secret')"), "42501")
    holds(psql("CREATE SERVER x FOREIGN DATA WRAPPER atoll_store OPTIONS (path 'relative')"), "HV024", "absolute")
    holds(psql("CREATE SERVER x FOREIGN DATA WRAPPER atoll_store"), "HV002", "path")
    holds(psql("CREATE SERVER x FOREIGN DATA WRAPPER atoll_store OPTIONS (path '/x', user 'y')"), "HV00D", "Options here: path.")


@test
def import_makes_a_table_of_each_prefix():
    fresh("catalog", 'put user:1 {"name":"Kim","age":31,"score":1.5,"key":"k"}', 'put user:2 {"name":"Lee","age":null,"score":2,"on":true,"more":[1]}', "put page:/a <html>", "put lone x", "put Odd-Name:1 y", "put bin:1 \x01")
    same(psql(f"CREATE SERVER catalog FOREIGN DATA WRAPPER atoll_store OPTIONS (path '{home}/catalog'); CREATE SCHEMA imported; IMPORT FOREIGN SCHEMA store FROM SERVER catalog INTO imported"), "")
    same(psql("SELECT relname FROM pg_class WHERE relnamespace = 'imported'::regnamespace ORDER BY relname COLLATE \"C\""), "Odd-Name\nbin\nentries\npage\nuser")
    same(psql("SELECT attname, format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = 'imported.user'::regclass AND attnum > 0 ORDER BY attname COLLATE \"C\""), "age|bigint\nfield4|text\nkey|text\nmore|jsonb\nname|text\non|boolean\nscore|numeric")
    same(psql('SELECT key, name, age, score, "on", more, field4 FROM imported.user ORDER BY key'), "1|Kim|31|1.5|||k\n2|Lee||2|t|[1]|")
    same(psql("SELECT count(*) FROM imported.entries; SELECT * FROM imported.page"), "6\n/a|<html>")
    same(psql("CREATE SCHEMA part; IMPORT FOREIGN SCHEMA store LIMIT TO (page) FROM SERVER catalog INTO part; SELECT count(*) FROM pg_class WHERE relnamespace = 'part'::regnamespace"), "1")
    holds(psql("IMPORT FOREIGN SCHEMA public FROM SERVER catalog INTO part"), "HV00Q")


@test
def a_transaction_writes_one_store_and_is_not_prepared():
    holds(psql("BEGIN; INSERT INTO writes VALUES ('one', '1'); INSERT INTO lost VALUES ('two', '2'); COMMIT"), "0A000", "two stores")
    same(psql("SELECT count(*) FROM writes WHERE k = 'one'"), "0")
    holds(psql("BEGIN; INSERT INTO writes VALUES ('one', '1'); PREPARE TRANSACTION 'x'"), "0A000")
    holds(psql("BEGIN READ ONLY; INSERT INTO writes VALUES ('one', '1')"), "25006")
    # A local change and the store's commit together.
    psql("CREATE TABLE local (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
    holds(psql("BEGIN; INSERT INTO local VALUES (1), (1); INSERT INTO writes VALUES ('one', '1'); COMMIT"), "23505")
    same(psql("SELECT count(*) FROM writes WHERE k = 'one'; BEGIN; INSERT INTO local VALUES (1); INSERT INTO writes VALUES ('one', '1'); COMMIT; SELECT count(*) FROM writes WHERE k = 'one'"), "0\n1")


@test
def rows_on_other_servers_and_a_store_commit_together():
    node = group.add("node")
    node.ask("CREATE EXTENSION atoll")
    server.ask(f"SELECT atoll.add_node('n1', '{node.conninfo}', 'postgres', '{group.password}'); CREATE TABLE far (id int8 PRIMARY KEY, v text); SELECT atoll.distribute_table('far', 'id', slots => 2);")
    both = "BEGIN; INSERT INTO far VALUES (1, 'x'); INSERT INTO lost VALUES ('far', 'x'); COMMIT;"
    writer = Writer("lost")
    holds(psql(both), "55006")
    writer.close()
    # One that gets in before the commit only.
    session = Session(server)
    session.run("BEGIN; INSERT INTO far VALUES (1, 'x'); INSERT INTO lost VALUES ('far', 'x');")
    writer = Writer("lost")
    holds(session.run("\\set VERBOSITY verbose\nCOMMIT;"), "55006")
    writer.close()
    session.close()
    question = "SELECT count(*) FROM far; SELECT count(*) FROM lost WHERE k = 'far'"
    same((psql(question), node.ask("SELECT count(*) FROM pg_prepared_xacts")), ("0\n0", "0"))
    same((psql(both + question), node.ask("SELECT count(*) FROM pg_prepared_xacts")), ("1\n1", "0"))


@test
def compaction_is_asked_for_and_keeps_every_row():
    found = psql("SELECT count(*), sum(n) FROM bulk")
    same(psql("SELECT atoll.compact_store('bulk') > 0; SELECT count(*), sum(n) FROM bulk"), "t\n" + found)
    same(psql("BEGIN; UPDATE bulk SET n = 5 WHERE id = 7; SELECT n FROM bulk WHERE id = 7; ROLLBACK; SELECT n FROM bulk WHERE id = 7; INSERT INTO bulk VALUES (-1, 'behind', 0); SELECT id FROM bulk ORDER BY id LIMIT 2"), "5\n-1\n-1\n1")
    holds(psql("BEGIN; INSERT INTO bulk VALUES (-2, 'x', 0); SELECT atoll.compact_store('bulk')"), "25001")
    holds(psql("SELECT atoll.compact_store('no_such')"), "42704")
    writer = Writer("bulk")
    holds(psql("SELECT atoll.compact_store('bulk')"), "55006")
    writer.close()
    holds(psql("SET ROLE plain_role; SELECT atoll.compact_store('bulk')"), "42501")


@test
def nothing_is_held_after_the_transaction():
    session = Session(server)
    session.run("\\t on\n\\a")
    pid = session.run("SELECT pg_backend_pid();")

    def held():
        files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
            mapped = [line for line in maps if home in line and "/log/" in line or "/index/" in line]
        return [file for file in files if f"{home}/writes" in file], mapped, len(os.listdir(f"/proc/{pid}/task"))

    for sql in ("SELECT count(*) FROM writes;", "INSERT INTO writes VALUES ('held', 'x');", "DELETE FROM writes WHERE k = 'held';", "SELECT 1 / (SELECT 0 FROM writes LIMIT 1);", "BEGIN; INSERT INTO writes VALUES ('held', 'x'); SELECT 1 / 0; ROLLBACK;"):
        session.run(sql)
        same(held(), ([], [], 1))
    session.run("BEGIN; SELECT count(*) FROM writes; INSERT INTO writes VALUES ('held', 'x');")
    same(held()[2], 1)
    session.run("ROLLBACK;")
    session.close()
    readers = subprocess.run(as_server(f"{home}/atoll", "status", f"{home}/writes", "--json"), capture_output=True, text=True, check=False).stdout
    if readers.strip():
        same(json.loads(readers).get("readers", []), [])


@test
def a_killed_or_cancelled_session_leaves_the_store_whole():
    session = Session(server)
    session.run("\\t on\n\\a")
    pid = int(session.run("SELECT pg_backend_pid();"))
    session.run("BEGIN; INSERT INTO writes SELECT 'kill' || i, 'x' FROM generate_series(1, 5000) i;")
    os.kill(pid, signal.SIGTERM)
    try:
        session.run("SELECT 1;")
    except Exception as error:  # psql has ended, or says that it was disconnected
        holds(str(error), "psql has ended")
    same(psql("SELECT count(*) FROM writes WHERE k LIKE 'kill%'"), "0")
    same(psql("SET statement_timeout = '200ms'; SELECT count(*) FROM bulk a, bulk b WHERE a.v <> b.v").split(":")[1].strip(), "57014")
    same(psql("INSERT INTO writes VALUES ('alive', 'x'); DELETE FROM writes WHERE k = 'alive' RETURNING k"), "alive")


with private_servers(BINDIR, "atoll-store.", ["fsync = off", "max_prepared_transactions = 5", "log_min_messages = panic"]) as group:
    server = group.add("server")
    server.ask("CREATE EXTENSION atoll")
    home = f"{group.home}/stores"
    os.mkdir(home)
    for name, program in (("writer", "examples/writer"), ("atoll", "atoll")):
        subprocess.run(["cp", f"{PROGRAMS}/{program}", f"{home}/{name}"], check=True)
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "postgres:", home], check=True)
    only = sys.argv[3:]
    for body in tests:
        if only and body.__name__ not in only:
            continue
        try:
            body()
            print(f"ok {body.__name__}", flush=True)
        except Exception as error:  # one failure must not hide the other tests
            failed += 1
            print(f"not ok {body.__name__}: {type(error).__name__}: {error}", flush=True)
sys.exit(1 if failed else 0)
