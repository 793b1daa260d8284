"""`make demo-pg`: real rows over four private PostgreSQL servers, told step by step.

    demo.py [--rows N] BINDIR

In: the directory of the server's programs, whose installation has the extension; the package lists of
Debian on this machine, or the files under /usr where those are too few. Out: each step with its plan, its
time and its answer; status 1 when an answer is not that of the same rows in a plain table. Must never:
leave a server or a file behind, or download anything.
"""

import argparse
import csv
import glob
import os
import re
import subprocess
import time

from cluster import Session, Trouble, four_servers, private_servers, run_guarded

SLOTS = 32
WANTED_ROWS = 50_000
APT_HELPER = "/usr/lib/apt/apt-helper"
COLUMNS = ["name", "version", "section", "maintainer", "bytes", "about"]


# --- the rows -------------------------------------------------------------------------------------------


def apt_packages(limit):
    """Packages that apt knows of, and what they depend on."""
    items, links = {}, set()
    for index in sorted(glob.glob("/var/lib/apt/lists/*_Packages*"), key=os.path.getsize, reverse=True):
        if len(items) >= limit:
            break
        if not os.path.exists(APT_HELPER):
            break
        shown = subprocess.run([APT_HELPER, "cat-file", index], capture_output=True, text=True, errors="replace", check=False)
        for paragraph in shown.stdout.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in paragraph.split("\n") if ": " in line and line[0] not in " \t")
            name = fields.get("Package")
            if not name or name in items or len(items) >= limit:
                continue
            items[name] = [name, fields.get("Version", ""), fields.get("Section", ""), fields.get("Maintainer", ""), int(fields.get("Size", 0)), fields.get("Description", "")]
            for part in fields.get("Depends", "").replace("|", ",").split(","):
                if part.strip():
                    links.add((name, part.split()[0].split(":")[0]))
    return items, links


def machine_files(limit):
    """Files under /usr, and where symbolic links lead."""
    items, links = {}, set()
    for directory, _below, names in os.walk("/usr"):
        for name in names:
            path = os.path.join(directory, name)
            try:
                path.encode()
                found = os.lstat(path)
                if os.path.islink(path):
                    links.add((path, os.readlink(path)))
            except (OSError, UnicodeError):
                continue
            end = os.path.splitext(name)[1].lstrip(".")
            items[path] = [path, str(found.st_ino), directory.split("/")[2], str(found.st_uid), found.st_size, end]
            if len(items) >= limit:
                return items, links
    return items, links


def real_rows(limit):
    items, links = apt_packages(limit)
    if len(items) >= min(limit, WANTED_ROWS):
        return "packages of Debian's lists in /var/lib/apt/lists", items, links
    items, links = machine_files(limit)
    if len(items) < min(limit, WANTED_ROWS):
        raise Trouble(f"There are no {WANTED_ROWS:,} rows on this machine: neither in /var/lib/apt/lists (`apt-get update` fills it) nor of files under /usr.")
    return "files under /usr on this machine", items, links


# --- telling ----------------------------------------------------------------------------------------------


def heading(text):
    print(f"\n== {text}", flush=True)


def tell(text):
    print(f"   {text}", flush=True)


def shown(text, most=12):
    lines = text.split("\n")
    for line in lines[:most]:
        tell("  " + (line if len(line) <= 118 else line[:117] + "…"))
    if len(lines) > most:
        tell(f"  … {len(lines) - most} lines more")


def collapsed(plan):
    """A plan without columns, and of the parts of a table the first one."""
    kept, first, more = [], None, 0
    for line in plan.split("\n"):
        depth = len(line) - len(line.lstrip())
        is_part = re.match(r" *(->  )?(Async )?Foreign (Scan|Update|Delete) on ", line)
        if first is not None and (depth > first or (depth == first and is_part)):
            if depth == first:
                more += 1
            if more:
                continue
        elif first is not None:
            if more:
                kept.append(" " * first + f"… and {more} more parts like it")
            first, more = None, 0
        if first is None and is_part:
            first = depth
        if not line.lstrip().startswith("Output: "):
            kept.append(line)
    if more:
        kept.append(" " * first + f"… and {more} more parts like it")
    return "\n".join(kept)


class Story:
    """The steps, on one session with the coordinator."""

    def __init__(self, group, limit):
        self.limit = limit
        self.began = time.monotonic()
        self.coordinator, self.shards = four_servers(group, preload=True)
        self.session = Session(self.coordinator)
        self.checked = 0

    def ask(self, sql):
        answer = self.session.run(f"\\t on\n\\a\n{sql}\n\\t off\n\\a").replace("\nOutput format is unaligned.", "")
        if "ERROR:" in answer:
            raise Trouble(f"{sql}\n{answer}")
        return answer

    def load(self):
        self.what, items, links = real_rows(self.limit)
        home = self.coordinator.group.home
        for name, rows in (("package", items.values()), ("depends", sorted(links))):
            with open(f"{home}/{name}.csv", "w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(row for row in rows if not any("\0" in str(value) for value in row))
        heading(f"A table of {len(items):,} rows: {self.what}")
        sql = """CREATE TABLE package (name text COLLATE "C" PRIMARY KEY, version text, section text, maintainer text, bytes int8 CHECK (bytes >= 0), about text);
CREATE TABLE depends (package text COLLATE "C", target text COLLATE "C", PRIMARY KEY (package, target));"""
        shown(sql)
        self.ask(f"""{sql}
\\copy package from '{home}/package.csv' with (format csv)
\\copy depends from '{home}/depends.csv' with (format csv)
CREATE SCHEMA plain;
CREATE TABLE plain.package (LIKE public.package INCLUDING ALL);
CREATE TABLE plain.depends (LIKE public.depends INCLUDING ALL);
INSERT INTO plain.package SELECT * FROM public.package;
INSERT INTO plain.depends SELECT * FROM public.depends;
ANALYZE plain.package; ANALYZE plain.depends;""")
        for name in ("package", "depends"):
            os.remove(f"{home}/{name}.csv")
        for sql in (f"SELECT atoll.distribute_table('package', 'name', slots => {SLOTS});", f"SELECT atoll.distribute_table('depends', 'package', slots => {SLOTS}, colocate_with => 'package');"):
            answer, milliseconds = self.session.timed(sql)
            if "ERROR" in answer:
                raise Trouble(answer)
            shown(sql)
            tell(f"  {milliseconds:,.0f} ms, copied to the nodes in one transaction over all servers")
        self.ask("ANALYZE package; ANALYZE depends;")

    def routing(self):
        heading("Routing: slot_of(key, slots) is the same in SQL, Rust, C, Python and Go; the slot map gives the node")
        keys = self.ask("SELECT name FROM plain.package ORDER BY md5(name) LIMIT 6;").split("\n")
        self.keys = keys
        values = ", ".join(f"({literal(key)})" for key in keys)
        sql = f"SELECT key, atoll.slot_of(key, {SLOTS}), l.node, l.shard FROM (VALUES {values}) v (key), atoll.locate('package', key) l;"
        shown(self.session.run(sql))
        wrong = self.ask(f"SELECT count(*) FROM package WHERE tableoid <> format('public.package_%s', lpad(atoll.slot_of(name, {SLOTS})::text, 4, '0'))::regclass;")
        tell(f"Rows that are not in the slot of their key: {wrong} of {self.ask('SELECT count(*) FROM package;')}.")
        if wrong != "0":
            raise Trouble("rows are misplaced")

    def where_rows_live(self):
        heading("Where the rows live")
        shown(self.session.run("""SELECT s.node, count(DISTINCT s.slot) AS slots, sum(r.rows) AS rows, pg_size_pretty(sum(r.bytes)) AS "bytes of packages"
FROM atoll.slots s JOIN (SELECT tableoid::regclass::text AS shard, count(*) AS rows, sum(bytes) AS bytes FROM package GROUP BY 1) r
ON r.shard = split_part(s.shard, '.', 2) WHERE s."table" = 'package'::regclass GROUP BY 1 ORDER BY 1;"""))

    def query(self, title, why, sql, compare=True, most=16):
        """Plan, time, answer; the same on the plain table."""
        heading(title)
        tell(why)
        shown(sql)
        tell("Plan:")
        plan = self.session.run(f"\\t on\nEXPLAIN (VERBOSE, COSTS OFF) {sql}\n\\t off")
        shown(collapsed(plan), most)
        self.session.run(sql) if compare else None
        answer, milliseconds = self.session.timed(sql)
        if "ERROR:" in answer:
            raise Trouble(answer)
        tell(f"Answer, in {milliseconds:,.1f} ms:" if answer else f"Done, in {milliseconds:,.1f} ms.")
        if answer:
            shown(answer)
        if compare:
            plain, milliseconds = self.session.timed(f"SET search_path = plain, public;\n{sql}\nRESET search_path;")
            if plain != answer:
                raise Trouble(f"the same rows in a plain table answer otherwise:\n{plain}")
            self.checked += 1
            tell(f"A plain table on one server gives the same answer, in {milliseconds:,.1f} ms.")

    def reads(self):
        key = literal(self.keys[0])
        low, high = self.ask("SELECT quote_literal(min(name)), quote_literal(max(name)) FROM (SELECT name FROM plain.package ORDER BY name OFFSET (SELECT count(*) / 2 FROM plain.package) LIMIT 200) x;").split("|")
        section = literal(self.ask("SELECT section FROM plain.package GROUP BY 1 ORDER BY count(*) DESC LIMIT 1;"))
        self.section = section
        self.query("Point query: one slot, one node, one round trip", "The planner leaves out every other slot.",
                   f"SELECT name, version, section FROM package WHERE name = {key};")
        self.query("Range query: every slot is asked at once, and the answers are merged in order", "Keys are spread by their hash, so a range of them lies in all slots.",
                   f"SELECT name, bytes FROM package WHERE name BETWEEN {low} AND {high} ORDER BY name LIMIT 5;")
        self.query("Aggregate over all rows", "The nodes are asked in parallel.",
                   "SELECT section, count(*), sum(bytes) FROM package GROUP BY section ORDER BY count(*) DESC, section LIMIT 5;")
        self.query("Join within one slot", "`depends` is colocated with `package`: rows with one key are on one node.",
                   f"SELECT p.name, d.target FROM package p JOIN depends d ON d.package = p.name WHERE p.name = {self.richest()} ORDER BY 2 LIMIT 5;")
        self.query("Join over all slots", "Which sections depend most on the most wanted target?",
                   "SELECT p.section, count(*) FROM package p JOIN depends d ON d.package = p.name WHERE d.target = (SELECT target FROM depends GROUP BY target ORDER BY count(*) DESC, target LIMIT 1) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5;")

    def richest(self):
        return literal(self.ask("SELECT package FROM plain.depends GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1;"))

    def writes(self):
        self.query("Update by key", "Sent to the node as it stands.",
                   f"UPDATE package SET version = version || '+local' WHERE name = {literal(self.keys[0])} RETURNING version;", compare=False)
        self.query("Update of many rows", "Each node changes its own rows, in one transaction over all of them.",
                   f"UPDATE package SET bytes = bytes + 1 WHERE section = {self.section};", compare=False)
        self.ask(f"UPDATE plain.package SET version = version || '+local' WHERE name = {literal(self.keys[0])}; UPDATE plain.package SET bytes = bytes + 1 WHERE section = {self.section};")
        self.compare("after the updates")

    def compare(self, when):
        rows = "name, version, section, maintainer, bytes, about"
        differ = self.ask(f"SELECT count(*) FROM ((SELECT {rows} FROM package EXCEPT SELECT {rows} FROM plain.package) UNION ALL (SELECT {rows} FROM plain.package EXCEPT SELECT {rows} FROM package)) x;")
        if differ != "0":
            raise Trouble(f"{differ} rows differ from the plain table {when}")
        self.checked += 1
        tell(f"Rows that differ from the plain table {when}: 0.")

    def on_two_nodes(self):
        """Two keys on different nodes."""
        pair = self.ask("SELECT DISTINCT ON (l.node) name FROM (SELECT name FROM plain.package ORDER BY md5(name) LIMIT 40) p, atoll.locate('package', name) l ORDER BY l.node, name LIMIT 2;")
        return [literal(name) for name in pair.split("\n")]

    def two_phase(self):
        heading("A write on two nodes: prepared on both, decided here, committed on both")
        one, two = self.on_two_nodes()
        sql = f"""BEGIN;
UPDATE package SET bytes = bytes + 1000 WHERE name = {one};
UPDATE package SET bytes = bytes - bytes WHERE name = {two};
COMMIT;"""
        shown(sql)
        answer, milliseconds = self.session.timed(sql)
        if "ERROR" in answer:
            raise Trouble(answer)
        tell(f"Done, in {milliseconds:,.1f} ms. The decision, kept until every node is known to have followed it:")
        shown(self.session.run("SELECT * FROM atoll.transaction ORDER BY 1 DESC LIMIT 1;"))
        self.ask(f"UPDATE plain.package SET bytes = bytes + 1000 WHERE name = {one}; UPDATE plain.package SET bytes = 0 WHERE name = {two}; SELECT count(*) FROM atoll.recover_transactions();")
        tell("The same where the second node refuses:")
        sql = f"""BEGIN;
UPDATE package SET bytes = bytes + 1000 WHERE name = {one};
UPDATE package SET bytes = -1 WHERE name = {two};
COMMIT;"""
        shown(sql)
        answer = self.session.run(sql)
        shown(answer)
        if "ERROR" not in answer:
            raise Trouble("the CHECK constraint was not enforced")
        self.compare("after both")

    def lose_a_node(self):
        heading("A node dies")
        lost = self.shards[1]
        lost.stop("immediate")
        tell(f"{lost.name} has been stopped as a crash would stop it.")
        answer, milliseconds = self.session.timed("SELECT count(*) FROM package;")
        shown("SELECT count(*) FROM package;\n" + answer)
        if lost.name not in answer or "ERROR" not in answer:
            raise Trouble("the error does not name the node")
        tell(f"The error names the node, after {milliseconds:,.0f} ms. Keys on other nodes are still there:")
        alive = self.ask(f"SELECT name FROM (SELECT name FROM plain.package ORDER BY md5(name) LIMIT 40) p, atoll.locate('package', name) l WHERE l.node <> '{lost.name}' LIMIT 1;")
        sql = f"SELECT name, version FROM package WHERE name = {literal(alive)};"
        answer, milliseconds = self.session.timed(sql)
        if "ERROR" in answer:
            raise Trouble(answer)
        shown(f"{sql}\n{answer}")
        lost.start()
        answer, milliseconds = self.session.timed("SELECT count(*) FROM package;")
        if "ERROR" in answer:
            raise Trouble(answer)
        tell(f"{lost.name} runs again, and the same session goes on ({milliseconds:,.0f} ms):")
        shown("SELECT count(*) FROM package;\n" + answer)
        self.compare("after the crash")

    def end(self):
        self.session.close()
        heading(f"All of it held: {self.checked} comparisons with plain tables, in {time.monotonic() - self.began:,.0f} s")
        tell("Servers and files are being removed. What next: `make install-pg` as root, `CREATE EXTENSION atoll`, docs/POSTGRES.md.")


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def main():
    parser = argparse.ArgumentParser(description="Real rows over four private PostgreSQL servers.")
    parser.add_argument("--rows", type=int, default=100_000, help="at most so many rows (default: 100000)")
    parser.add_argument("bindir")
    options = parser.parse_args()
    settings = ["max_prepared_transactions = 20", "max_locks_per_transaction = 256", "fsync = off", "log_min_messages = warning"]
    print("Atoll in PostgreSQL: one table over several servers.\nStarting four private servers: a coordinator and the nodes n1, n2, n3 …", flush=True)
    with private_servers(options.bindir, "atoll-demo-pg.", settings) as group:
        story = Story(group, options.rows)
        story.load()
        story.routing()
        story.where_rows_live()
        story.reads()
        story.writes()
        story.two_phase()
        story.lose_a_node()
        story.end()


run_guarded(main)
