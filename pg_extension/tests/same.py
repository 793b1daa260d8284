"""The same questions to distributed tables and to ordinary ones of the same content, answers compared.

In: the directory of the server's programs, then names of files in `same/`, or none for all. Out: a line for
each file as servers.py says, with how many questions it holds and how many answers differ as declared.

A line of a file is a question of one or more statements; indented lines belong to it. What follows
`-- differs SQLSTATE:` is why a distributed table answers with that error where an ordinary one does not, and after
`-- differs rows:` why with other rows: the comparison fails too when such an answer has become the same. Rows are compared in the order they came in when the
question has an ORDER BY outside of parentheses, otherwise as a bag.
"""

import glob
import os
import re
import subprocess

import servers
from servers import main, same

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "same")
MARK = "-- end of answer --"
# Together the files ask at least so much; fewer means that some were lost.
LEAST = 300
coordinator = None
asked = 0


def questions(name):
    """Each question with the SQLSTATE in which it differs, if it is declared to."""
    with open(f"{HERE}/{name}.sql", encoding="utf-8") as file:
        lines = file.read().splitlines()
    found = []
    for line in lines:
        declared = re.match(r"  -- differs ([0-9A-Z]{5}|rows): .", line)
        if declared:
            found[-1][1] = declared.group(1)
        elif line.startswith("  "):
            found[-1][0] += "\n" + line[2:]
        elif line and not line.startswith("--"):
            found.append([line, None])
    return found


def answers(schema, texts):
    """What psql prints for each question, in one session."""
    script = f"\\set VERBOSITY sqlstate\n\\pset null '~'\nSET search_path = {schema};\n\\echo {MARK}\n"
    for text in texts:
        script += f"{text}{'' if text.rstrip().endswith((';', chr(92) + '.')) else ';'}\n\\echo {MARK}\n"
    done = subprocess.run([*coordinator.arguments("psql"), "-XAt"], input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    parts = done.stdout.split(MARK + "\n")
    same(len(parts), len(texts) + 2)
    return [part.splitlines() for part in parts[1:-1]]


def is_ordered(text):
    """Whether the question says in which order rows come."""
    while True:
        inner = re.sub(r"\([^()]*\)", "", text)
        if inner == text:
            return "ORDER BY" in text
        text = inner


def content(schema):
    """All rows of all tables, as one line each."""
    tables = re.findall(r"^CREATE TABLE (\w+)", open(f"{HERE}/tables.sql", encoding="utf-8").read(), re.MULTILINE)
    return [f"{table}: {row}" for table in tables for row in sorted(coordinator.ask(f"SET extra_float_digits = 3; SELECT x::text FROM {schema}.{table} x").splitlines())]


def compare(name):
    """Asks both and fails with every answer that differs."""
    global asked
    found = questions(name)
    texts = [text for text, _ in found]
    plain, spread = answers("plain", texts), answers("spread", texts)
    wrong = []
    for (text, declared), here, there in zip(found, plain, spread):
        if not is_ordered(text):
            here, there = sorted(here), sorted(there)
        if declared:
            refused = any(line.startswith("ERROR:  ") and declared in line for line in there)
            if here == there or refused != (declared != "rows"):
                wrong.append(f"{text}\n  should differ: {declared}; it answers {there}")
        elif here != there:
            wrong.append(f"{text}\n  ordinary:    {here}\n  distributed: {there}")
        elif "ERROR:  42601" in here:
            wrong.append(f"{text}\n  is no SQL")
    rows = content("plain")
    if rows != content("spread"):
        wrong.append(f"the tables differ: {sorted(set(rows) ^ set(content('spread')))[:10]}")
    asked += len(found)
    if wrong:
        raise AssertionError(f"{len(wrong)} of {len(found)} differ:\n" + "\n".join(wrong))


def set_up(first, shards):
    global coordinator
    coordinator = first
    same(coordinator.ask("CREATE EXTENSION atoll; CREATE EXTENSION postgres_fdw; CREATE SCHEMA plain; CREATE SCHEMA spread"), "")
    for n, shard in enumerate(shards, 1):
        same(shard.ask("CREATE EXTENSION atoll"), "")
        same(coordinator.ask(f"SELECT atoll.add_node('n{n}', 'host=127.0.0.1 port={shard.port} user=postgres dbname=postgres')"), str(n))
    with open(f"{HERE}/tables.sql", encoding="utf-8") as file:
        tables = file.read()
    with open(f"{HERE}/spread.sql", encoding="utf-8") as file:
        spread = file.read()
    same(coordinator.ask(f"SET search_path = plain; {tables}"), "")
    same(coordinator.ask(f"SET search_path = spread; {tables} {spread}").strip(), "")


def of_file(name):
    def body():
        compare(name)

    body.__name__ = f"distributed_tables_answer_as_ordinary_ones_in_{name}"
    return body


for path in sorted(glob.glob(f"{HERE}/*.sql")):
    stem = os.path.basename(path)[:-4]
    if stem not in ("tables", "spread"):
        servers.test(of_file(stem))


@servers.test
def enough_was_asked_and_nothing_is_left_behind():
    if asked < LEAST:
        raise AssertionError(f"{asked} questions of {LEAST}")
    same(coordinator.ask("SELECT count(*) FROM postgres_fdw_get_connections(); SELECT count(*) FROM atoll.recover_transactions()"), "0\n0")


if __name__ == "__main__":
    main(set_up)
