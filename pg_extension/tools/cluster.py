"""Private PostgreSQL servers for the demonstration and the benchmark.

In: the directory of the server's programs. Out: running servers, each with its files in one directory
under /tmp and a port on the loopback address, and sessions with psql. Must never: listen beyond the
loopback address, let in whoever does not know the password, or leave a server or a file behind, also when
interrupted.
"""

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Trouble(Exception):
    """Something that the user should read; nothing of ours is wrong."""


class _Interrupts:
    """Ctrl-C and termination, put off while a server is being started or stopped."""

    def __init__(self):
        self.held, self.waiting = 0, None

    def __call__(self, number, _frame):
        self.waiting = number
        self.raise_waiting()

    def raise_waiting(self):
        if self.waiting and not self.held:
            number, self.waiting = self.waiting, None
            raise KeyboardInterrupt(number)

    @contextlib.contextmanager
    def put_off(self):
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1
        self.raise_waiting()


INTERRUPTS = _Interrupts()


def catch_interrupts():
    """Makes Ctrl-C, termination and a closed terminal end the program in order."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, INTERRUPTS)


def run_guarded(body):
    """Runs the body of a program; exit status 1 for trouble, 128 + signal when interrupted."""
    catch_interrupts()
    try:
        body()
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as interrupt:
        print("\nInterrupted; every server has been stopped and its files removed.", file=sys.stderr)
        sys.exit(128 + (interrupt.args[0] if interrupt.args else signal.SIGINT))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One server: `name`, its `port` and its files."""

    def __init__(self, group, name, settings):
        self.group, self.name, self.port = group, name, free_port()
        self.data, self.log = f"{group.home}/{name}", f"{group.home}/{name}.log"
        self._run("initdb", "--pgdata", self.data, "--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256",
                  f"--pwfile={group.home}/password", "--no-sync", "--no-locale", "--encoding=UTF8")
        with open(f"{self.data}/postgresql.conf", "a", encoding="ascii") as conf:
            conf.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = '{group.home}'\n")
            conf.writelines(f"{setting}\n" for setting in settings)
        self.start()

    def _run(self, program, *arguments):
        command = ["env", "LC_ALL=C", "RUST_BACKTRACE=0", f"{self.group.bindir}/{program}", *arguments]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # A session of its own: Ctrl-C of the terminal is for us, who then stop the server in order.
        with INTERRUPTS.put_off():
            done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True, check=False)
        if done.returncode != 0:
            said = done.stderr.strip()
            if os.path.exists(self.log):
                with open(self.log, encoding="utf-8", errors="replace") as log:
                    said += "\n" + "".join(log.readlines()[-10:])
            raise Trouble(f"{program} failed for server {self.name}:\n{said}")

    def start(self):
        self._run("pg_ctl", "--pgdata", self.data, "--log", self.log, "--wait", "start")

    def stop(self, mode="fast"):
        self._run("pg_ctl", "--pgdata", self.data, f"--mode={mode}", "--wait", "stop")

    def is_running(self):
        return os.path.exists(f"{self.data}/postmaster.pid")

    @property
    def conninfo(self):
        return f"host=127.0.0.1 port={self.port} dbname=postgres"

    def ask(self, sql, database="postgres"):
        """What psql prints for this SQL; an error is trouble."""
        command = [f"{self.group.bindir}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.group.home, "-p", str(self.port), "-U", "postgres", "-d", database]
        done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Trouble(f"server {self.name}: {done.stderr.strip()}")
        return done.stdout.strip()

    def cpu_seconds(self):
        """Processor time of the server and all its processes, ended ones included."""
        with open(f"{self.data}/postmaster.pid", encoding="ascii") as file:
            postmaster = int(file.readline())
        ticks = sum(_times(postmaster))
        for entry in os.listdir("/proc"):
            if entry.isdigit() and _parent(entry) == postmaster:
                ticks += sum(_times(entry)[:2])
        return ticks / TICKS


def _stat(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def _parent(pid):
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _times(pid):
    """utime, stime, and both of its ended children, in clock ticks."""
    fields = _stat(pid)
    return [int(field) for field in fields[11:15]] if fields else [0, 0, 0, 0]


class Session:
    """psql that stays open, for statements one after another in one session."""

    def __init__(self, server):
        command = [f"{server.group.bindir}/psql", "-Xq", "-h", server.group.home, "-p", str(server.port), "-U", "postgres", "-d", "postgres"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.mark = secrets.token_hex(8)
        self.run("\\pset footer off\nSET client_min_messages = warning;")

    def run(self, text):
        """What psql prints for this text, errors among it."""
        self.process.stdin.write(f"{text}\n\\echo {self.mark}\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.strip() == self.mark:
                return "".join(lines).rstrip("\n")
            lines.append(line)
        raise Trouble(f"psql has ended: {''.join(lines)}")

    def timed(self, sql):
        """The answer, and the milliseconds that psql saw."""
        answer = self.run(f"\\timing on\n{sql}\n\\timing off")
        times = re.findall(r"^Time: ([0-9.]+) ms.*$", answer, re.MULTILINE)
        answer = re.sub(r"^(Time: [0-9.]+ ms.*|Timing is (on|off)\.)\n?", "", answer, flags=re.MULTILINE)
        return answer.rstrip("\n"), sum(float(time) for time in times)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Servers:
    """A group of servers in one directory; see `private_servers`."""

    def __init__(self, bindir, prefix, settings=()):
        self.bindir, self.prefix, self.settings, self.members, self.home = bindir, prefix, list(settings), [], None
        self.password = secrets.token_urlsafe(16)

    def open(self):
        with INTERRUPTS.put_off():
            self.home = tempfile.mkdtemp(prefix=self.prefix, dir="/tmp")
            try:
                with open(f"{self.home}/password", "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                    file.write(self.password + "\n")
                if os.getuid() == 0:
                    owner = pwd.getpwnam("postgres")
                    for path in (self.home, f"{self.home}/password"):
                        os.chown(path, owner.pw_uid, owner.pw_gid)
            except KeyError:
                raise Trouble("As root, the account `postgres` is needed to run a server; there is none.") from None

    def add(self, name, settings=()):
        # Known before it runs, so that an interrupted start is cleaned up as well.
        server = Server.__new__(Server)
        server.data = f"{self.home}/{name}"
        self.members.append(server)
        Server.__init__(server, self, name, self.settings + list(settings))
        return server

    def close(self):
        if self.home is None:
            return
        with INTERRUPTS.put_off():
            for server in self.members:
                if server.is_running():
                    try:
                        server.stop("immediate")
                    except Trouble as trouble:
                        print(trouble, file=sys.stderr)
            for _attempt in range(50):
                shutil.rmtree(self.home, ignore_errors=True)
                if not os.path.exists(self.home):
                    break
                time.sleep(0.1)


@contextlib.contextmanager
def private_servers(bindir, prefix, settings=()):
    """A group of servers; leaving it, in whatever way, stops them and removes their directory."""
    group = Servers(bindir, prefix, settings)
    try:
        group.open()
        yield group
    finally:
        group.close()


def four_servers(group, preload=False):
    """A coordinator and three nodes that it knows."""
    settings = ["shared_preload_libraries = 'atoll'"] if preload else []
    coordinator = group.add("coordinator", settings)
    shards = [group.add(name, settings) for name in ("n1", "n2", "n3")]
    for server in [coordinator, *shards]:
        server.ask("CREATE EXTENSION atoll")
    for shard in shards:
        coordinator.ask(f"SELECT atoll.add_node('{shard.name}', '{shard.conninfo}', 'postgres', '{group.password}')")
    return coordinator, shards
