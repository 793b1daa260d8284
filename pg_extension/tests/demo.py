"""The demonstration, with few rows: told whole, and interrupted.

In: the directory of the server's programs, whose installation has the extension. Out: a line `ok NAME` or
`not ok NAME` for each test, status 1 if one is `not ok`. Must never: leave a server or a file behind.
"""

import glob
import os
import signal
import subprocess
import sys

BINDIR = sys.argv[1]
DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools", "demo.py")
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
failed = 0


def start(*arguments):
    return subprocess.Popen([sys.executable, DEMO, *arguments, BINDIR], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT, start_new_session=True)


def left_behind():
    """Directories of the demonstration, and processes that use them."""
    found = glob.glob("/tmp/atoll-demo-pg.*")
    for entry in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(entry, "rb") as file:
                if b"/tmp/atoll-demo-pg." in file.read():
                    found.append(entry)
        except OSError:
            pass
    return sorted(set(found) - BEFORE)


BEFORE = set()
BEFORE = set(left_behind())


def run(body):
    global failed
    try:
        body()
        print(f"ok {body.__name__}", flush=True)
    except Exception as error:  # one failure must not hide the other test
        failed += 1
        print(f"not ok {body.__name__}: {type(error).__name__}: {error}", flush=True)


def the_demonstration_holds_with_few_rows():
    process = start("--rows", "1500")
    said = process.stdout.read()
    status = process.wait()
    for part in ("A table of 1,500 rows", "Remote SQL:", "Rows that are not in the slot of their key: 0 of 1500", "Rows that differ from the plain table after both: 0", 'could not connect to node "n2"', "n2 runs again", "All of it held: 8 comparisons"):
        if part not in said:
            raise AssertionError(f"{part!r} is missing in:\n{said}")
    if status != 0 or left_behind():
        raise AssertionError(f"status {status}, left behind: {left_behind()}")


def an_interrupted_demonstration_leaves_nothing_behind():
    for number, after in ((signal.SIGINT, "Starting four"), (signal.SIGTERM, "== Routing")):
        process = start("--rows", "1500")
        for line in process.stdout:
            if after in line:
                break
        # To the whole group, as a terminal does.
        os.killpg(process.pid, number)
        said = process.stdout.read()
        status = process.wait()
        if status != 128 + number or "Interrupted" not in said or left_behind():
            raise AssertionError(f"status {status}, left behind: {left_behind()}, said: {said}")


run(the_demonstration_holds_with_few_rows)
run(an_interrupted_demonstration_leaves_nothing_behind)
sys.exit(1 if failed else 0)
