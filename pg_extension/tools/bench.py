"""`make bench-pg`: a table over three servers through a coordinator, beside its peers, in one run.

    bench.py [--rows N] [--seconds S] [--rounds R] [--page FILE] [--many-slots N] BINDIR

In: the directory of the server's programs, whose installation has the extension and PL/Proxy. Out: a table
of figures, peers and targets on stdout and, with --page, between the markers of that file. Must never:
leave a server or a file behind, or measure the contenders under other conditions than each other: each
takes its turn in every round, on the same four servers, over loopback TCP.
"""

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
import time

from cluster import INTERRUPTS, Session, Trouble, four_servers, private_servers, run_guarded

SLOTS = 32
COPY_ROWS = 50_000
NAMES = {"atoll": "Atoll", "fdw": "postgres_fdw", "proxy": "PL/Proxy", "direct": "one server"}


# --- the contenders ---------------------------------------------------------------------------------------


class Bench:
    """Servers, the same rows for every contender, and what was measured."""

    def __init__(self, group, options):
        self.group, self.options, self.rows = group, options, options.rows
        self.coordinator, self.shards = four_servers(group, preload=True)
        self.servers = [self.coordinator, *self.shards]
        self.lines = []
        self.foreign = []

    def fill(self):
        rows = f"SELECT i::int8 AS id, (i % 100)::int4 AS n, (hashint8(i) & 1048575)::int4 AS a, 'value ' || i AS v FROM generate_series(1, {self.rows}) i"
        columns = "id int8 PRIMARY KEY, n int4, a int4, v text"
        main, shards = self.coordinator, self.shards
        say("filling a table distributed by Atoll")
        main.ask(f"CREATE TABLE atoll_t ({columns}); INSERT INTO atoll_t {rows}; SELECT atoll.distribute_table('atoll_t', 'id', slots => {SLOTS});")
        say("filling partitions of postgres_fdw")
        main.ask("CREATE EXTENSION postgres_fdw; CREATE EXTENSION plproxy; CREATE TABLE fdw_t (id int8, n int4, a int4, v text) PARTITION BY HASH (id);")
        for shard in shards:
            main.ask(f"CREATE SERVER {shard.name} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{shard.port}', dbname 'postgres', async_capable 'true', batch_size '1000');"
                     f"CREATE USER MAPPING FOR postgres SERVER {shard.name} OPTIONS (user 'postgres', password '{self.group.password}');")
        sql = ""
        for slot in range(SLOTS):
            shard = shards[slot % 3]
            shard.ask(f"CREATE TABLE fdw_t_{slot} ({columns});")
            sql += f"CREATE FOREIGN TABLE fdw_t_{slot} PARTITION OF fdw_t FOR VALUES WITH (MODULUS {SLOTS}, REMAINDER {slot}) SERVER {shard.name};"
        main.ask(f"{sql} INSERT INTO fdw_t {rows};")
        say("filling the tables of PL/Proxy and of one server")
        places = ", ".join(f"p{slot} '{shards[slot % 3].conninfo}'" for slot in range(SLOTS))
        main.ask(f"""CREATE SERVER proxy FOREIGN DATA WRAPPER plproxy OPTIONS ({places});
CREATE USER MAPPING FOR postgres SERVER proxy OPTIONS (user 'postgres', password '{self.group.password}');
CREATE FUNCTION proxy_get(k int8, OUT n int4, OUT v text) LANGUAGE plproxy AS $$ CLUSTER 'proxy'; RUN ON hashint8(k); SELECT n, v FROM proxy_t WHERE id = k; $$;
CREATE FUNCTION proxy_put(k int8, n int4, a int4, v text) RETURNS int4 LANGUAGE plproxy AS $$ CLUSTER 'proxy'; RUN ON hashint8(k); $$;
CREATE FUNCTION proxy_add(k int8) RETURNS int4 LANGUAGE plproxy AS $$ CLUSTER 'proxy'; RUN ON hashint8(k); $$;""")
        for number, shard in enumerate(shards):
            shard.ask(f"""CREATE TABLE proxy_t ({columns});
INSERT INTO proxy_t SELECT * FROM ({rows}) x WHERE (hashint8(id) & {SLOTS - 1}) % 3 = {number};
CREATE FUNCTION proxy_put(k int8, n int4, a int4, v text) RETURNS int4 LANGUAGE sql AS 'INSERT INTO proxy_t VALUES (k, n, a, v) RETURNING 1';
CREATE FUNCTION proxy_add(k int8) RETURNS int4 LANGUAGE sql AS 'UPDATE proxy_t SET n = n + 1 WHERE id = k RETURNING 1';""")
        shards[0].ask(f"CREATE TABLE direct_t ({columns}); INSERT INTO direct_t {rows};")
        self.settle()

    def settle(self):
        for server in self.servers:
            server.ask("VACUUM ANALYZE")
        self.coordinator.ask("ANALYZE atoll_t; ANALYZE fdw_t;")
        for server in self.servers:
            server.ask("CHECKPOINT")

    def home_of(self, who):
        return self.shards[0] if who == "direct" else self.coordinator

    # --- pgbench -------------------------------------------------------------------------------------------

    def pgbench(self, who, script, clients, seconds):
        """Transactions a second, microseconds of all servers' processors a transaction, failed ones in percent."""
        server = self.home_of(who)
        path = f"{self.group.home}/script.sql"
        with open(path, "w", encoding="ascii") as file:
            file.write(script)
        command = [f"{self.group.bindir}/pgbench", "-n", "-M", "prepared", "-f", path, "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(seconds),
                   "-D", f"rows={self.rows}", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "postgres"]
        before = self.cpu()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PGPASSWORD": self.group.password})
        if done.returncode != 0:
            raise Trouble(f"{NAMES[who]}: {script}\n{done.stderr.strip()}")
        self.wait_until_alone()
        used = self.cpu() - before
        tps = float(re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE).group(1))
        count = int(re.search(r"^number of transactions actually processed: ([0-9]+)", done.stdout, re.MULTILINE).group(1))
        failed = re.search(r"^number of failed transactions: ([0-9]+) \(([0-9.]+)%\)", done.stdout, re.MULTILINE)
        return tps, used / max(count, 1) * 1e6, float(failed.group(2)) if failed else 0.0

    def cpu(self):
        return sum(server.cpu_seconds() for server in self.servers)

    def wait_until_alone(self):
        """Sessions of the last run have ended and their processor time is the postmaster's."""
        for server in self.servers:
            for _attempt in range(200):
                if server.ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()") == "0":
                    break
                time.sleep(0.02)

    def rates(self, what, scripts, targets, cpu_target=None, peer_ratio=None):
        """A line for 1 and for 4 clients, and one of processor time."""
        measured = {(who, clients): [] for who in scripts for clients in (1, 4)}
        for turn in range(self.options.rounds):
            for clients in (1, 4):
                for who, script in scripts.items():
                    say(f"{what}, {clients} client(s), {NAMES[who]}, round {turn + 1}")
                    measured[who, clients].append(self.pgbench(who, script, clients, self.options.seconds))
        for clients, target in zip((1, 4), targets):
            tps = {who: statistics.median(one[0] for one in measured[who, clients]) for who in scripts}
            wanted, goals = f"≥ {target:,}/s", [(target, tps["atoll"] / target)]
            best = max(value for who, value in tps.items() if who not in ("atoll", "direct"))
            if peer_ratio:
                wanted += f", {peer_ratio} × the best peer"
                goals.append((f"{peer_ratio} × {best:,.0f}", tps["atoll"] / (peer_ratio * best)))
            self.line(f"{what}, {clients} client{'s' if clients > 1 else ''}", {who: f"{value:,.0f}/s" for who, value in tps.items()}, wanted, verdict_least(goals))
        cost = {who: statistics.median(one[1] for one in measured[who, 4]) for who in scripts}
        wanted, verdict = ("", "") if cpu_target is None else (f"≤ {cpu_target} µs", verdict_most(cost["atoll"], cpu_target))
        self.line("… processor time of all servers, 4 clients", {who: f"{value:,.0f} µs" for who, value in cost.items()}, wanted, verdict)

    def point_work(self):
        key, new = "\\set k random(1, :rows)\n", "\\set k random(1000000000, 9000000000000000000)\n"
        tables = {"atoll": "atoll_t", "fdw": "fdw_t", "direct": "direct_t"}
        scripts = {who: f"{key}SELECT n, v FROM {table} WHERE id = :k;\n" for who, table in tables.items()}
        self.rates("point select", {**scripts, "proxy": f"{key}SELECT * FROM proxy_get(:k);\n"}, (2700, 6400), 230, 1.2)
        scripts = {who: f"{new}INSERT INTO {table} VALUES (:k, 1, 2, 'new');\n" for who, table in tables.items()}
        self.rates("insert", {**scripts, "proxy": f"{new}SELECT proxy_put(:k, 1, 2, 'new');\n"}, (2600, 6800))
        for who, table in {**tables, "proxy": None}.items():
            servers = self.shards if who == "proxy" else [self.home_of(who)]
            for server in servers:
                server.ask(f"DELETE FROM {table or 'proxy_t'} WHERE id > {self.rows}")
        self.settle()
        scripts = {who: f"{key}UPDATE {table} SET n = n + 1 WHERE id = :k;\n" for who, table in tables.items()}
        self.rates("update by key", {**scripts, "proxy": f"{key}SELECT proxy_add(:k);\n"}, (2200, 5000))
        self.settle()
        hot = {}
        for who, table in tables.items():
            say(f"hot row, 8 clients, {NAMES[who]}")
            hot[who] = self.pgbench(who, f"UPDATE {table} SET n = n + 1 WHERE id = 1;\n", 8, self.options.seconds)
        self.line("hot-row update, 8 clients, transactions that fail", {who: f"{one[2]:.1f} %" for who, one in hot.items()}, "0", verdict_most(hot["atoll"][2], 0))

    # --- statements ------------------------------------------------------------------------------------------

    def statement(self, what, sql, target, tables=None, settings=""):
        """Milliseconds of a statement, each contender by turns."""
        tables = tables or {"atoll": "atoll_t", "fdw": "fdw_t", "direct": "direct_t"}
        times = {who: [] for who in tables}
        answers = {}
        with contextlib.ExitStack() as stack:
            sessions = {}
            for who in tables:
                sessions[who] = Session(self.home_of(who))
                stack.callback(sessions[who].close)
                sessions[who].run(settings)
            for turn in range(self.options.rounds + 2):
                for who, table in tables.items():
                    say(f"{what}, {NAMES[who]}, round {turn + 1}")
                    answer, milliseconds = sessions[who].timed(sql.format(table))
                    if "ERROR" in answer:
                        raise Trouble(f"{NAMES[who]}: {answer}")
                    answers[who] = answer
                    # The first finds cold caches and unplanned statements.
                    if turn > 0:
                        times[who].append(milliseconds)
        if len(set(answers.values())) != 1:
            raise Trouble(f"{what}: the contenders answer differently: {answers}")
        best = {who: statistics.median(found) for who, found in times.items()}
        self.line(what, {who: f"{value:,.1f} ms" for who, value in best.items()}, *(("", "") if target is None else (f"≤ {target} ms", verdict_most(best["atoll"], target))))

    def statements(self):
        # The updates of the contenders have met other rows.
        self.coordinator.ask("UPDATE atoll_t SET n = id % 100; UPDATE fdw_t SET n = id % 100;")
        self.shards[0].ask("UPDATE direct_t SET n = id % 100;")
        self.settle()
        self.statement("`count(*)`", "SELECT count(*) FROM {};", 110)
        self.statement("`group by n` with count and avg", "SELECT n, count(*), avg(a) FROM {} GROUP BY n ORDER BY n;", 130)
        self.joined()
        self.statement("`order by` a column without index, `limit 10`", "SELECT id, a FROM {} ORDER BY a DESC, id LIMIT 10;", 60)
        self.statement("`order by id desc limit 10`, indexed on the servers", "SELECT id, v FROM {} ORDER BY id DESC LIMIT 10;", 10)

    def joined(self):
        """Two tables that lie together, joined by their key and grouped."""
        columns, rows = "tid int8 PRIMARY KEY, w int4", f"SELECT i * 2, i % 50 FROM generate_series(1, {self.rows // 2}) i"
        main = self.coordinator
        main.ask(f"CREATE TABLE atoll_j ({columns}); INSERT INTO atoll_j {rows}; SELECT atoll.distribute_table('atoll_j', 'tid', slots => {SLOTS}, colocate_with => 'atoll_t');")
        sql = "CREATE TABLE fdw_j (tid int8, w int4) PARTITION BY HASH (tid);"
        for slot in range(SLOTS):
            shard = self.shards[slot % 3]
            shard.ask(f"CREATE TABLE fdw_j_{slot} ({columns});")
            sql += f"CREATE FOREIGN TABLE fdw_j_{slot} PARTITION OF fdw_j FOR VALUES WITH (MODULUS {SLOTS}, REMAINDER {slot}) SERVER {shard.name};"
        main.ask(f"{sql} INSERT INTO fdw_j {rows};")
        self.shards[0].ask(f"CREATE TABLE direct_j ({columns}); INSERT INTO direct_j {rows};")
        for server in (main, *self.shards):
            server.ask("VACUUM ANALYZE")
        main.ask("ANALYZE atoll_j; ANALYZE fdw_j;")
        sources = {who: f"{who}_t JOIN {who}_j ON id = tid" for who in ("atoll", "fdw", "direct")}
        self.statement("join by the key with half as many rows, `group by w` with count and avg", "SELECT w, count(*), avg(a) FROM {} GROUP BY w ORDER BY w;", None, sources)

    def copy(self):
        path = f"{self.group.home}/copy.csv"
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"{self.rows + 1 + n},{n % 100},{n},copied {n}\n" for n in range(COPY_ROWS))
        best = {}
        for who, table in {"atoll": "atoll_t", "fdw": "fdw_t", "direct": "direct_t"}.items():
            times = []
            while len(times) < self.options.rounds and sum(times) < 3000:
                say(f"COPY, {NAMES[who]}, round {len(times) + 1}")
                session = Session(self.home_of(who))
                answer, milliseconds = session.timed(f"\\copy {table} from '{path}' with (format csv)")
                if "ERROR" in answer:
                    raise Trouble(f"{NAMES[who]}: {answer}")
                found = session.run(f"\\t on\n\\a\nSELECT count(*) FROM {table} WHERE id > {self.rows};")
                if str(COPY_ROWS) not in found:
                    raise Trouble(f"{NAMES[who]}: copied {found}")
                session.run(f"DELETE FROM {table} WHERE id > {self.rows};")
                session.close()
                times.append(milliseconds)
            best[who] = statistics.median(times)
        os.remove(path)
        self.line(f"COPY of {COPY_ROWS:,} rows", {who: f"{value:,.0f} ms" for who, value in best.items()}, "≤ 250 ms", verdict_most(best["atoll"], 250))

    def fan_out(self):
        main = self.coordinator
        for shard in self.shards:
            shard.ask("CREATE FUNCTION nap() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(0.5)'; CREATE VIEW nap AS SELECT 1::int8 AS id, nap() AS a;")
        slots = [line.split("|") for line in main.ask("SELECT slot, node FROM (SELECT slot, node, row_number() OVER (PARTITION BY node ORDER BY slot) AS nth FROM atoll.slots WHERE \"table\" = 'atoll_t'::regclass) x WHERE nth <= 2;").split("\n")]
        group = main.ask("SELECT group_id FROM atoll.distributed_table WHERE relid = 'atoll_t'::regclass")
        for slot, node in slots:
            main.ask(f"CREATE FOREIGN TABLE nap_atoll_{slot} (id int8, a int4) SERVER atoll_g{group}_s{slot} OPTIONS (schema_name 'public', table_name 'nap');"
                     f"CREATE FOREIGN TABLE nap_fdw_{slot} (id int8, a int4) SERVER {node} OPTIONS (schema_name 'public', table_name 'nap');")
        parts = {who: " UNION ALL ".join(f"SELECT a FROM nap_{who}_{slot}" for slot, _node in slots) for who in ("atoll", "fdw")}
        self.statement("fan-out, each of 6 parts on 3 servers sleeps 0.5 s", "SELECT count(a) FROM ({}) x;", 550, parts)

    def planning(self):
        for slots in (SLOTS, self.options.many_slots):
            if slots != SLOTS:
                say(f"creating tables of {slots} slots")
                self.coordinator.ask(f"CREATE TABLE atoll_many (id int8 PRIMARY KEY, v text); SELECT atoll.distribute_table('atoll_many', 'id', slots => {slots});")
                parts = "".join(f"CREATE FOREIGN TABLE fdw_many_{slot} PARTITION OF fdw_many FOR VALUES WITH (MODULUS {slots}, REMAINDER {slot}) SERVER {self.shards[slot % 3].name};" for slot in range(slots))
                self.coordinator.ask(f"CREATE TABLE fdw_many (id int8, v text) PARTITION BY HASH (id); {parts}")
            tables = {"atoll": "atoll_t", "fdw": "fdw_t"} if slots == SLOTS else {"atoll": "atoll_many", "fdw": "fdw_many"}
            warm, first = {}, {}
            for who, table in tables.items():
                session = Session(self.coordinator)
                asked = "".join(f"EXPLAIN (SUMMARY) SELECT v FROM {table} WHERE id = {key};\n" for key in range(40, 60))
                warm[who] = statistics.median(self.planning_times(session.run(asked))[5:])
                session.close()
                session = Session(self.coordinator)
                session.run(f"SELECT v FROM {table} WHERE id = 1;\nSET plan_cache_mode = force_generic_plan;\nPREPARE q(int8) AS SELECT v FROM {table} WHERE id = $1;")
                first[who] = self.planning_times(session.run("EXPLAIN (SUMMARY) EXECUTE q(42);"))[0]
                session.close()
            self.line(f"planning a point query, {slots} slots", {who: f"{value:.3f} ms" for who, value in warm.items()}, "≤ 0.1 ms", verdict_most(warm["atoll"], 0.1))
            self.line("… its first generic plan", {who: f"{value:.1f} ms" for who, value in first.items()}, "not slow: ≤ 1 ms", verdict_most(first["atoll"], 1))

    @staticmethod
    def planning_times(answer):
        found = [float(one) for one in re.findall(r"Planning Time: ([0-9.]+) ms", answer)]
        if not found:
            raise Trouble(answer)
        return found

    def functions(self):
        """Nanoseconds of a call: 16 more of them in a row, without what joins them."""
        main = self.coordinator
        main.ask("CREATE TABLE calls AS SELECT i::int8 AS i, 'user:' || i AS t FROM generate_series(1, 50000) i; VACUUM ANALYZE calls;")
        session = Session(main)
        session.run("SET jit = off;\nSET max_parallel_workers_per_gather = 0;")

        def once(expression, times):
            joined = " # ".join([expression] * times)
            answer, milliseconds = session.timed(f"SELECT bit_xor({joined}) FROM calls;")
            if "ERROR" in answer:
                raise Trouble(answer)
            return milliseconds

        def per_call(expression):
            return (once(expression, 17) - once(expression, 1)) * 1e6 / 50000 / 16

        for what, ours, builtin in (("int8", "atoll.hash64(i)", "hashint8extended(i, 0)"), ("text", "atoll.hash64(t)", "hashtextextended(t, 0)")):
            say(f"a call of {ours} beside {builtin}")
            rounds = [(per_call(ours), per_call(builtin), per_call("i")) for _turn in range(5)]
            mine, theirs, glue = (min(one[n] for one in rounds) for n in range(3))
            mine, theirs = max(mine - glue, 0.1), max(theirs - glue, 0.1)
            self.line(f"routing function of {what}, one call", {"atoll": f"{mine:.1f} ns", "direct": f"{theirs:.1f} ns (PostgreSQL's own hash)"}, "≤ PostgreSQL's own", verdict_most(mine, theirs))
        session.close()

    # --- the page ---------------------------------------------------------------------------------------------

    def line(self, what, figures, target, verdict):
        self.lines.append("| " + " | ".join([what, *(figures.get(who, "–") for who in ("atoll", "fdw", "proxy", "direct")), target, verdict]) + " |")
        print(self.lines[-1], flush=True)

    def section(self, machine):
        head = ["| work | **Atoll** | postgres_fdw | PL/Proxy | one server, direct | target | |", "|---|---:|---:|---:|---:|---|---|"]
        return "\n".join(machine + [""] + head + self.lines)


def verdict_least(goals):
    short = [f"{share:.2f} of {goal if isinstance(goal, str) else f'{goal:,}/s'}" for goal, share in goals if share < 1]
    return "**missed**: " + ", ".join(short) if short else "reached"


def verdict_most(value, target):
    if value <= target:
        return "reached"
    return f"**missed**: {value / target:.2f} × the figure" if target else f"**missed**: {value:.1f}"


def say(text):
    print(f"  … {text}", file=sys.stderr, flush=True)


def busy_ticks():
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    return sum(fields) - fields[3] - fields[4]


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    return found.group(1) if found else "unknown processor"


def write_section(page, text):
    with open(page, encoding="utf-8") as file:
        before = file.read()
    begin, end = "<!-- postgres: begin -->", "<!-- postgres: end -->"
    if begin not in before:
        before = before.rstrip("\n") + f"\n{begin}\n{end}\n"
    head, rest = before.split(begin, 1)
    tail = rest.split(end, 1)[1]
    with INTERRUPTS.put_off(), open(page, "w", encoding="utf-8") as file:
        file.write(f"{head}{begin}\n{text}\n{end}{tail}")


def main():
    parser = argparse.ArgumentParser(description="A distributed table beside its peers, in one run.")
    parser.add_argument("--rows", type=int, default=300_000, help="rows of each table (default: 300000)")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement with pgbench (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement; the median counts (default: 3)")
    parser.add_argument("--many-slots", type=int, default=1024, help="slots of the table whose planning is measured (default: 1024)")
    parser.add_argument("--page", help="the page whose section is written")
    parser.add_argument("bindir")
    options = parser.parse_args()
    settings = ["fsync = off", "max_prepared_transactions = 50", "max_locks_per_transaction = 2048", "max_connections = 200", "shared_buffers = 256MB",
                "max_wal_size = 4GB", "autovacuum = off", "log_min_messages = error"]
    with private_servers(options.bindir, "atoll-bench-pg.", settings) as group:
        began, busy, bench = time.monotonic(), busy_ticks(), Bench(group, options)
        bench.fill()
        bench.point_work()
        bench.statements()
        bench.copy()
        bench.fan_out()
        bench.functions()
        bench.planning()
        seconds = time.monotonic() - began
        own = os.times()
        ours = bench.cpu() + own.user + own.system + own.children_user + own.children_system
        others = max(0.0, (busy_ticks() - busy) / os.sysconf("SC_CLK_TCK") - ours) / seconds
        version = bench.coordinator.ask("SHOW server_version")
    machine = [
        "## PostgreSQL: a table over three servers",
        "",
        f"`make bench-pg ROWS={options.rows} SECONDS={options.seconds} ROUNDS={options.rounds}`: a coordinator and three servers of PostgreSQL {version}, all on this machine ({os.cpu_count()} × {processor()}),"
        f" {SLOTS} slots, {options.rows:,} rows, prepared statements (`pgbench -M prepared`), loopback TCP, `fsync = off`, median of {options.rounds} round(s), contenders by turns.",
        f"Other programs took {others:.1f} of its processors meanwhile: rates are lower and times longer by that, for all contenders alike.",
        "postgres_fdw: native hash partitions with `async_capable` and `batch_size 1000`. PL/Proxy: functions, which read or write one row each; it has no SQL over all rows."
        " Processor time is that of the four servers, for each transaction.",
    ]
    text = bench.section(machine)
    print("\n" + text)
    if options.page:
        write_section(options.page, text)


run_guarded(main)
