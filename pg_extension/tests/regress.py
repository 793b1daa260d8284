"""PostgreSQL's own regression queries on distributed tables and on ordinary ones, answers compared.

In: the directory of the server's programs, the directory `src/test/regress` of PostgreSQL's sources, then names of its
scripts, or none for those below; with `--list` every statement that differs is shown. Out: a line for each script as
servers.py says, with how many answers are the same and how many differ for which reason; a difference without a known
reason fails. Must never: change the sources.

Both databases are set up by the suite's own test_setup.sql. In one of them the tables of that script are distributed,
and so is each table that a script makes with a key that can be one; temporary tables are made as ordinary ones, so
that they can. Rows are compared as bags, since the suite expects the order that a heap happens to give; plans are not
compared. Two more databases have ordinary tables whose rows lie in other orders: where their answers differ too, the
question itself leaves open what the answer is.
"""

import collections
import os
import re
import subprocess
import sys

import servers
from servers import main, same

SOURCE = sys.argv[2]
LIST = "--list" in sys.argv
NAMED = [name for name in sys.argv[3:] if not name.startswith("-")]
# The runner's own filter of names is not for these.
sys.argv = sys.argv[:2]

SCRIPTS = """select select_distinct select_distinct_on select_implicit select_having select_into subselect join union case aggregates
groupingsets window limit prepare portals_p2 random insert update delete returning transactions with
int4 int8 text varchar""".split()
SPREAD = {"onek": "unique1", "onek2": "unique1", "tenk1": "unique1", "tenk2": "unique2", "int4_tbl": "f1", "int2_tbl": "f1", "int8_tbl": "q1", "text_tbl": "f1", "varchar_tbl": "f1"}

# Distributes a new table by the first column of its primary key, or else by its first column that holds no NULL.
AUTOMATIC = """
CREATE FUNCTION public.spread_new() RETURNS event_trigger LANGUAGE plpgsql AS $f$
DECLARE made record; key name;
BEGIN
    IF current_setting('regress.busy', true) = 'yes' OR current_query() NOT ILIKE '%create%table%' THEN RETURN; END IF;
    PERFORM set_config('regress.busy', 'yes', true);
    FOR made IN SELECT c.oid FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.oid = d.objid WHERE d.command_tag = 'CREATE TABLE' AND c.relkind = 'r' LOOP
        SELECT a.attname INTO key FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = made.oid AND i.indisprimary AND a.attnum = i.indkey[0]
            WHERE a.attrelid = made.oid AND a.attnum > 0 AND a.attnotnull AND a.atttypid IN ('int8'::regtype, 'int4'::regtype, 'int2'::regtype, 'text'::regtype, 'varchar'::regtype, 'uuid'::regtype) ORDER BY i.indrelid NULLS LAST, a.attnum LIMIT 1;
        CONTINUE WHEN key IS NULL;
        BEGIN
            PERFORM atoll.distribute_table(made.oid, key, 3);
        EXCEPTION WHEN OTHERS THEN RAISE LOG 'stays ordinary: %', SQLERRM;
        END;
    END LOOP;
    PERFORM set_config('regress.busy', 'no', true);
END $f$;
CREATE EVENT TRIGGER zz_spread_new ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.spread_new();
"""

# What a distributed table cannot do or does otherwise; docs/POSTGRES.md explains each.
REASONS = (
    ("ON CONFLICT needs the unique index, which is on the nodes", r"no unique or exclusion constraint matching the ON CONFLICT"),
    ("no foreign keys to or from a distributed table", r"no unique constraint matching given keys|foreign key constraints are not supported|cannot reference relation|cannot use foreign"),
    ("no unique index made later", r"cannot create unique index|primary key constraints are not supported|unique constraints are not supported|cannot add .* constraint"),
    ("no inheritance", r"cannot inherit|cannot change inheritance"),
    ("no storage parameters", r"unrecognized parameter|cannot set storage"),
    ("a cursor goes backward when declared SCROLL", r"cursor can only scan forward"),
    ("no system columns", r"cannot retrieve a system column|column \"(ctid|xmin|xmax|cmin|cmax)\" "),
    ("the key is not updated unless allowed", r"distributes the table"),
    ("no NULL in the key", r"null value in column"),
    ("no triggers, rules or row security on distributed tables", r"has triggers or row security|row security|cannot have .* triggers|is a foreign table|is a partitioned table|is not a table|not supported for foreign tables|on foreign table"),
    ("no WHERE CURRENT OF", r"WHERE CURRENT OF"),
    ("no level SERIALIZABLE", r"SERIALIZABLE is not kept"),
    ("changes that are refused", r"cannot be carried over|of distributed table|stays"),
)
OPEN = "the question leaves the order of rows open"
FOLLOWS = "follows from a difference before"
TABLEOID = "tableoid names the part"
PLAN = "a plan within the answer"
# Databases of ordinary tables, and in which order the rows lie there.
SHUFFLED = {"shuffled": "md5(x::text)", "reversed": "x DESC"}
coordinator = None
MARK = "-- end of answer --"


TOKEN = re.compile(r"""(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<text>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"[^"]*"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)|(?P<copy>\bcopy\b[^;]*\bfrom\s+std(?:in|out)[^;]*;[^\n]*\n(?:[^\n]*\n)*?\\\.[ ]*$)
    |(?P<meta>^\\[^\n]*)|(?P<send>\\(?:gset|gexec|gx|g|gdesc|crosstabview)\b[^\n]*)|(?P<both>\\;)|(?P<open>\()|(?P<close>\))|(?P<end>;)""", re.DOTALL | re.MULTILINE | re.VERBOSE | re.IGNORECASE)


def statements(script):
    """The statements of a script for psql, each with the number of its first line; commands of psql are among them."""
    found, begin, depth = [], 0, 0
    for token in TOKEN.finditer(script):
        kind = token.lastgroup if token.lastgroup != "tag" else "text"
        depth += (kind == "open") - (kind == "close")
        starts = kind == "meta" and not re.sub(r"--[^\n]*", "", script[begin:token.start()]).strip()
        if starts or kind in ("copy", "send") or kind == "end" and depth <= 0:
            text = script[begin:token.end()]
            lead = re.match(r"(?:\s|--[^\n]*\n)*", text).end()
            found.append((script.count("\n", 0, begin + lead) + 1, text[lead:]))
            begin, depth = token.end(), 0
    return found


def answers(database, found):
    """What psql prints for each statement, in one session."""
    environment = {**os.environ, "PG_ABS_SRCDIR": SOURCE, "PG_LIBDIR": "/nonexistent", "PG_DLSUFFIX": ".so", "PGDATESTYLE": "Postgres, MDY", "PGTZ": "PST8PDT"}
    script = "".join(f"{text}\n\\echo {MARK}\n" for _, text in found)
    done = subprocess.run([*coordinator.arguments("psql", database), "-Xq"], input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment, timeout=300, check=False)
    parts = done.stdout.split(MARK + "\n")
    same(len(parts), len(found) + 1)
    return [part.splitlines() for part in parts[:-1]]


def reason_of(text, here, there, shuffled, tainted):
    """Why answers differ, or None."""
    answer = "\n".join(there)
    for reason, pattern in REASONS:
        if re.search(pattern, answer):
            return reason
    if any(re.search(r"^ *(->|.*\(actual rows=)", line) for line in here):
        return PLAN
    if "current transaction is aborted" in answer or tainted & names(text):
        return FOLLOWS
    if "tableoid" in text:
        return TABLEOID
    if any(sorted(other) != sorted(here) for other in shuffled):
        return OPEN
    return None


def names(text):
    """What a statement may be about: names behind the words that tables, indexes and savepoints stand behind."""
    found = re.findall(r"\b(?:table|into|update|from|join|on|index|only|exists|view|references|function|savepoint|to|truncate|copy|analyze|release|,)\s+([a-z_]\w*)", text, re.IGNORECASE)
    return {name.lower() for name in found} - {"select", "if", "only", "table", "on", "true", "commit", "conflict", "set"} - set(SPREAD)


def compare(name):
    with open(f"{SOURCE}/sql/{name}.sql", encoding="utf-8", errors="replace") as file:
        script = re.sub(r"\bcreate\s+(local\s+)?temp(orary)?\s+table", "CREATE TABLE", file.read(), flags=re.IGNORECASE)
    found = statements(script)
    every = [answers(database, found) for database in ("plain", "spread", *SHUFFLED)]
    counts, unknown, tainted = collections.Counter(), [], set()
    for (line, text), here, there, *shuffled in zip(found, *every):
        if any("QUERY PLAN" in said for said in here):
            counts["plans"] += 1
        elif sorted(here) == sorted(there) or any("ERROR:" in said for said in here) and any("ERROR:" in said for said in there):
            counts["same"] += 1
        else:
            reason = reason_of(text, here, there, shuffled, tainted)
            counts[reason or "unknown"] += 1
            if reason not in (PLAN, OPEN, TABLEOID, None):
                tainted |= names(text)
            if reason is None:
                unknown.append(f"{name}.sql:{line}: {text[:200]}\n  ordinary:    {here[:6]}\n  distributed: {there[:6]}")
            if LIST:
                print(f"  {name}.sql:{line}: {reason}")
    totals.update(counts)
    print(f"  {name}: " + ", ".join(f"{number} {what}" for what, number in counts.most_common()))
    if unknown:
        raise AssertionError(f"{len(unknown)} differ for no known reason:\n" + "\n".join(unknown))


totals = collections.Counter()


def set_up(first, shards):
    global coordinator
    coordinator = first
    for database in ("plain", "spread", *SHUFFLED):
        same(coordinator.ask(f"CREATE DATABASE {database} TEMPLATE template0"), "")
    same(coordinator.ask("CREATE EXTENSION atoll; CREATE EXTENSION postgres_fdw", "spread"), "")
    for n, shard in enumerate(shards, 1):
        same(shard.ask("CREATE EXTENSION atoll"), "")
        same(coordinator.ask(f"SELECT atoll.add_node('n{n}', 'host=127.0.0.1 port={shard.port} user=postgres dbname=postgres')", "spread"), str(n))
    with open(f"{SOURCE}/sql/test_setup.sql", encoding="utf-8") as file:
        setup = statements(file.read())
    for database in ("plain", "spread", *SHUFFLED):
        answers(database, setup)
    for table, key in SPREAD.items():
        same(coordinator.ask(f"SELECT atoll.distribute_table('{table}', '{key}', 6)", "spread"), "")
        for database, order in SHUFFLED.items():
            same(coordinator.ask(f"CREATE TABLE sorted AS SELECT * FROM {table} x ORDER BY {order}; TRUNCATE {table}; INSERT INTO {table} SELECT * FROM sorted; DROP TABLE sorted", database), "")
    same(coordinator.ask(AUTOMATIC, "spread"), "")


def of_script(name):
    def body():
        compare(name)

    body.__name__ = f"distributed_tables_answer_as_ordinary_ones_in_{name}"
    return body


servers.tests[:] = [of_script(name) for name in NAMED or SCRIPTS]


@servers.test
def nothing_is_left_behind():
    print("  together: " + ", ".join(f"{number} {what}" for what, number in totals.most_common()))
    same(coordinator.ask("SELECT count(*) FROM postgres_fdw_get_connections()", "spread"), "0")


if __name__ == "__main__":
    main(set_up)
