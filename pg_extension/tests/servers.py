"""Throw-away PostgreSQL servers for tests over real servers: one coordinator and three shards.

In: the directory of the server's programs, whose installation has the extension. Out: servers, and a line
`ok NAME` or `not ok NAME` for each test. Must never: listen beyond the loopback address, or leave a server
or a file behind.
"""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time

BINDIR = sys.argv[1]
tests = []


def as_server(*command):
    return (["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []) + list(command)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A PostgreSQL server with its files in a directory of its own."""

    def __init__(self, home, name):
        self.data, self.log, self.port, self.home = f"{home}/{name}", f"{home}/{name}.log", free_port(), home
        self.run("initdb", "--pgdata", self.data, "--username=postgres", "--auth=trust", "--no-sync", "--no-locale", "--encoding=UTF8")
        with open(f"{self.data}/postgresql.conf", "a", encoding="ascii") as conf:
            conf.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = '{home}'\n")
            conf.write("fsync = off\nsynchronous_commit = off\nmax_prepared_transactions = 20\nmax_locks_per_transaction = 256\n")
        self.start()

    @staticmethod
    def run(program, *arguments):
        command = as_server("env", "LC_ALL=C", "RUST_BACKTRACE=0", f"{BINDIR}/{program}", *arguments)
        subprocess.run(command, check=True, cwd="/tmp", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self):
        self.run("pg_ctl", "--pgdata", self.data, "--log", self.log, "--wait", "start")

    def stop(self):
        self.run("pg_ctl", "--pgdata", self.data, "--mode=immediate", "--wait", "stop")

    def arguments(self, program, database="postgres"):
        return [f"{BINDIR}/{program}", "-h", self.home, "-p", str(self.port), "-U", "postgres", "-d", database]

    def open(self, sql, database="postgres"):
        """psql with this SQL in a fresh backend, not waited for."""
        command = self.arguments("psql", database) + ["-XAtq", "-v", "VERBOSITY=verbose"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            process.stdin.write(sql)
            process.stdin.close()
        except BrokenPipeError:
            # It could not connect, and is gone before it reads: what it printed says why.
            pass
        return process

    def ask(self, sql, database="postgres"):
        """What psql prints, errors among it."""
        process = self.open(sql, database)
        answer = process.stdout.read().strip()
        process.wait()
        return answer

    def run_psql(self, sql, database="postgres"):
        """What psql prints, the tags of commands among it."""
        command = self.arguments("psql", database) + ["-XAt"]
        return subprocess.run(command, input=sql, capture_output=True, text=True, check=False).stdout.strip()

    def wait_for(self, sql, wanted="t", seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self.ask(sql)
            if answer == wanted:
                return answer
            time.sleep(0.02)
        return answer


def test(body):
    """Marks a test; they run in the order of their file."""
    tests.append(body)


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def holds(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError(f"{part!r} is not in {text!r}")


def main(set_up):
    """Starts the servers, calls `set_up(coordinator, shards)` and runs the tests, or those named."""
    home = tempfile.mkdtemp(prefix="atoll-servers.", dir="/tmp")
    os.chmod(home, 0o755)
    if os.getuid() == 0:
        os.chown(home, pwd.getpwnam("postgres").pw_uid, -1)
    servers, failed = [], 0
    try:
        for name in ("coordinator", "n1", "n2", "n3"):
            servers.append(Server(home, name))
        set_up(servers[0], servers[1:])
        for body in tests:
            if sys.argv[2:] and body.__name__ not in sys.argv[2:]:
                continue
            try:
                body()
                print(f"ok {body.__name__}", flush=True)
            except Exception as error:  # one failure must not hide the other tests
                failed += 1
                print(f"not ok {body.__name__}: {type(error).__name__}: {error}", flush=True)
        if failed:
            print(subprocess.run(["tail", "-n", "25", servers[0].log], capture_output=True, text=True, check=False).stdout, file=sys.stderr)
    finally:
        for server in servers:
            try:
                server.stop()
            except subprocess.CalledProcessError:
                pass
        shutil.rmtree(home, ignore_errors=True)
    sys.exit(1 if failed else 0)
