"""Stores as Python programs have them, beside each other: get, get_many and put, as ratios.

In: the wheel of atoll, py-lmdb, RocksDict and plyvel in one environment; a page to write into. Out: a table on stdout and the section
`python` of the page. Must never: give one contender another key, another value or another order than the rest, or time the making of keys.

Every contender holds the same 200,000 keys of 16 bytes with values of 100 bytes that do not compress. In each round one after the other
takes its turn at the same shuffled keys; the loop that calls is part of the time. The fastest pass counts: what else runs on the machine
only ever adds.
"""

import argparse
import gc
import os
import pathlib
import platform
import random
import statistics
import tempfile
import time
from importlib import metadata

import atoll
import lmdb
import plyvel
import rocksdict

MANY = 1000


class Atoll:
    name = "atoll"

    def __init__(self, path):
        self.db = atoll.open(path)
        self.get, self.put, self.many = self.db.get, self.db.__setitem__, self.db.get_many

    def load(self, entries):
        for at in range(0, len(entries), MANY):
            with self.db.batch() as batch:
                for key, value in entries[at : at + MANY]:
                    batch[key] = value

    def before_reads(self):
        """Nothing: reads see every write."""

    def after_reads(self):
        pass

    def close(self):
        self.db.close()


class Lmdb:
    """One read transaction for all reads of a pass: faster than one each, though it does not see later writes."""

    name = "py-lmdb"

    def __init__(self, path):
        # As safe as what the others do: after a power cut the last writes may be gone.
        self.env = lmdb.open(str(path), map_size=1 << 30, sync=False, metasync=False)

    def load(self, entries):
        with self.env.begin(write=True) as transaction:
            for key, value in entries:
                transaction.put(key, value)

    def put(self, key, value):
        with self.env.begin(write=True) as transaction:
            transaction.put(key, value)

    def before_reads(self):
        self.read = self.env.begin(buffers=False)
        self.get, cursor = self.read.get, self.read.cursor()
        self.many = lambda keys: [value for _, value in cursor.getmulti(keys)]

    def after_reads(self):
        # Held on, it would keep pages from being used again by the puts.
        self.read.abort()

    def close(self):
        self.env.close()


class LmdbEach(Lmdb):
    """A transaction for each read: what sees every write."""

    name = "py-lmdb, a transaction each"
    many = None

    def before_reads(self):
        begin = self.env.begin

        def get(key):
            with begin() as transaction:
                return transaction.get(key)

        self.get = get

    def after_reads(self):
        pass


class RocksDict:
    name = "RocksDict"

    def __init__(self, path):
        self.db = rocksdict.Rdict(str(path), options=rocksdict.Options(raw_mode=True))
        self.get, self.put = self.db.get, self.db.__setitem__
        self.many = self.db.get  # takes a list

    def load(self, entries):
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in entries:
            batch.put(key, value)
        self.db.write(batch)

    def before_reads(self):
        pass

    def after_reads(self):
        pass

    def close(self):
        self.db.close()


class Plyvel:
    name = "plyvel"
    many = None

    def __init__(self, path):
        self.db = plyvel.DB(str(path), create_if_missing=True)
        self.get, self.put = self.db.get, self.db.put

    def load(self, entries):
        with self.db.write_batch() as batch:
            for key, value in entries:
                batch.put(key, value)

    def before_reads(self):
        pass

    def after_reads(self):
        pass

    def close(self):
        self.db.close()


def nanoseconds(work, calls):
    started = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - started) / calls


def singles(call, keys):
    def work():
        for key in keys:
            call(key)

    return nanoseconds(work, len(keys))


def manies(call, keys):
    parts = [keys[at : at + MANY] for at in range(0, len(keys), MANY)]

    def work():
        for part in parts:
            call(part)

    return nanoseconds(work, len(keys))


def puts(call, entries):
    def work():
        for key, value in entries:
            call(key, value)

    return nanoseconds(work, len(entries))


def check(contender, entries):
    """Every value is what was written, however it is asked for."""
    contender.before_reads()
    assert all(contender.get(key) == value for key, value in entries), contender.name
    assert contender.get(b"none-of-the-keys") is None, contender.name
    if contender.many:
        for at in range(0, len(entries), MANY):
            part = entries[at : at + MANY]
            assert list(contender.many([key for key, _ in part])) == [value for _, value in part], contender.name
    contender.after_reads()


def measure(args, folder):
    source = random.Random(1)
    entries = [(source.randbytes(16), source.randbytes(100)) for _ in range(args.keys)]
    contenders = [kind(folder / str(i)) for i, kind in enumerate((Atoll, Lmdb, LmdbEach, RocksDict, Plyvel))]
    for contender in contenders:
        contender.load(entries)
        check(contender, entries)
    taken = {work: {contender.name: [] for contender in contenders} for work in ("get", "get_many", "put")}
    gc.disable()
    for _ in range(args.rounds):
        source.shuffle(entries)
        part = entries[: args.calls]
        keys = [key for key, _ in part]
        source.shuffle(contenders)
        for contender in contenders:
            contender.before_reads()
            taken["get"][contender.name].append(singles(contender.get, keys))
            if contender.many:
                taken["get_many"][contender.name].append(manies(contender.many, keys))
            contender.after_reads()
        # Values stay: what is put is what is there.
        for contender in contenders:
            if type(contender) is not LmdbEach:
                taken["put"][contender.name].append(puts(contender.put, part))
    gc.enable()
    for contender in contenders:
        check(contender, entries)
        contender.close()
    return {work: {name: min(all) for name, all in found.items() if all} for work, found in taken.items()}, {
        work: {name: statistics.median(all) for name, all in found.items() if all} for work, found in taken.items()
    }


def rate(figure):
    return f"{figure:.0f} ns" if figure < 10_000 else f"{figure / 1000:.1f} µs"


def table(best):
    """Rows of Markdown, with targets and whether they hold."""
    order = ["atoll", "py-lmdb", "py-lmdb, a transaction each", "RocksDict", "plyvel"]
    rows = ["| work | fastest pass, a key | target | reached | holds |", "|---|---|---|---|---|"]
    peers = {work: {name: figure for name, figure in found.items() if name != "atoll"} for work, found in best.items()}
    single = min(peers["get"], key=peers["get"].get)
    for work, label, target, against, wanted in (
        ("get", "get", 2, peers["get"], "≥ 2 × the fastest peer"),
        ("get_many", f"get_many, {MANY} keys", 5, {single: peers["get"][single]}, "≥ 5 × single gets of the fastest peer"),
        ("get_many", "the same beside what peers have for many keys", None, peers["get_many"], "–"),
        ("put", "put, buffered", None, peers["put"], "–"),
    ):
        found = best[work]
        figures = " · ".join(f"**{name}** {rate(found[name])}" if name == "atoll" else f"{name} {rate(found[name])}" for name in order if name in found)
        fastest = min(against, key=against.get)
        ratio = against[fastest] / found["atoll"]
        holds = "–" if target is None else "yes" if ratio >= target else f"**no**: {ratio / target:.2f} of it"
        of = f"{ratio:.2f} × {fastest}" + (", single gets" if work == "get_many" and target else "")
        rows.append(f"| {label} | {figures} | {wanted} | {of} | {holds} |")
    return rows


def section(args, best, median):
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("lmdb", "rocksdict", "plyvel"))
    ours = " · ".join(f"{work} {rate(found['atoll'])}" for work, found in median.items())
    return "\n".join([
        "## Python",
        "",
        f"`make bench-python`. {args.keys:,} keys of 16 bytes with values of 100 bytes that do not compress, the wheel of the release build, "
        f"CPython {platform.python_version()}, {versions}, all in one process; {args.calls:,} shuffled keys a pass, {args.rounds} rounds, in each of which the "
        "contenders take turns in another order, and the fastest pass counts. The loop in Python is part of every figure. Puts are "
        "buffered everywhere: py-lmdb with `sync=False`, a transaction each.",
        "",
        *table(best),
        "",
        f"Medians of Atoll over the rounds: {ours}. Other programs had {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores' work waiting or running in the last minute.",
    ])  # fmt: skip


def replaced(old, text, name="python"):
    """The page with a section new and every other byte as it was."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    if begin in old:
        return old[: old.index(begin)] + begin + text.rstrip() + "\n" + old[old.index(end) :]
    return old.rstrip() + "\n\n" + begin + text.rstrip() + "\n" + end


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--calls", type=int, default=50_000, help="keys of a pass")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--page", type=pathlib.Path, help="the page with the section; without it nothing is written")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="atoll-bench-") as folder:
        best, median = measure(args, pathlib.Path(folder))
    text = section(args, best, median)
    print(text)
    if args.page:
        beside = args.page.with_suffix(".md.new")
        beside.write_text(replaced(args.page.read_text(), text))
        beside.rename(args.page)


if __name__ == "__main__":
    main()
