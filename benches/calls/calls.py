"""What a call from each language costs, on one store: Rust, C, Go, Python, and Python's other stores.

In: the programs beside this file, built; the wheel of atoll, py-lmdb, RocksDict and plyvel in one environment; a page to write into. Out: a
table on stdout and the section `calls` of the page. Must never: give one contender other keys, or count an opening.

One store of Atoll is filled and compacted once. In each round the contenders take turns in another order: each opens that very store, reads
the keys once, and reads them again on the clock, so that all read the same bytes at the same places of memory. The other stores hold
the same entries and stay open. Two sets of keys: shuffled ones of the whole store, whose reads wait for memory, and 1,000 of them again and
again, which stay in the caches, where a call is most of what is timed. A pass is timed in slices
of 1,000 keys, and their median is its figure. A figure of the table is the median over the rounds, and so is every
difference and ratio, each taken within its round.
"""

import argparse
import gc
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))

import atoll
import peers

KEY, VALUE, HOT = 16, 100, 1000


class Worker:
    """A program of another language: it takes lines and answers with nanoseconds a key."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, work, first, count, turns):
        self.process.stdin.write(f"{work} {first} {count} {turns}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise SystemExit("a contender has failed")


def sliced(timed, call, keys, turns):
    """The median over slices, after a pass that does not count."""
    slices = [keys[at : at + peers.MANY] for at in range(0, len(keys), peers.MANY)]
    for part in slices:
        timed(call, part)
    return statistics.median(timed(call, part) for _ in range(turns) for part in slices)


class Python:
    """The package, in this process."""

    def __init__(self, store, keys):
        self.store, self.keys = store, keys

    def measure(self, work, first, count, turns):
        # As objects of their own that lie in the order of the calls, as in every other language.
        keys = [bytes(bytearray(key)) for key in self.keys[first : first + count]]
        with atoll.open(self.store) as db:
            if work == "many":
                return sliced(peers.manies, db.get_many, keys, turns)
            return sliced(peers.singles, db.get, keys, turns)

    def close(self):
        pass


class Peer:
    """Another store of Python's, which stays open."""

    def __init__(self, kind, path, entries, keys):
        self.contender, self.keys = kind(path), keys
        self.contender.load(entries)

    def measure(self, work, first, count, turns):
        keys = [bytes(bytearray(key)) for key in self.keys[first : first + count]]
        self.contender.before_reads()
        try:
            return sliced(peers.singles, self.contender.get, keys, turns)
        finally:
            self.contender.after_reads()

    def close(self):
        self.contender.close()


def measure(args, folder):
    source = random.Random(1)
    entries = [(source.randbytes(KEY), source.randbytes(VALUE)) for _ in range(args.keys)]
    (folder / "entries").write_bytes(b"".join(key + value for key, value in entries))
    subprocess.run([args.rust, "fill", folder / "store", folder / "entries"], check=True)
    (folder / "entries").unlink()
    keys = [key for key, _ in entries]
    source.shuffle(keys)
    (folder / "keys").write_bytes(b"".join(keys))
    contenders = {
        "Rust": Worker(args.rust, "read", folder / "store", folder / "keys"),
        "C": Worker(args.c, folder / "store", folder / "keys"),
        "Go": Worker(args.go, folder / "store", folder / "keys"),
        "Python": Python(folder / "store", keys),
    }
    for kind in (peers.Lmdb, peers.RocksDict, peers.Plyvel):
        contenders[kind.name] = Peer(kind, folder / kind.name, entries, keys)
    del entries
    works = [(name, work) for name in ("Rust", "C", "Go", "Python") for work in ("get", "many")] + [("Go", "into")]
    works += [(name, "get") for name in contenders if isinstance(contenders[name], Peer)]
    rounds = []
    gc.collect()
    gc.freeze()
    gc.disable()
    for number in range(args.rounds):
        found = {}
        source.shuffle(works)
        for name, work in works:
            # The others are several times slower: a part of the keys is enough.
            count = args.calls // 5 if isinstance(contenders[name], Peer) else args.calls
            first = number * args.calls % (args.keys - args.calls + 1)
            found[name, work, "all"] = contenders[name].measure(work, first, count, 1)
            found[name, work, "hot"] = contenders[name].measure(work, first, HOT, max(count // HOT, 2))
        rounds.append(found)
    for contender in contenders.values():
        contender.close()
    return rounds


def section(args, rounds):
    def median(of):
        return statistics.median(of(found) for found in rounds)

    def figure(name, work, of):
        return median(lambda found: found[name, work, of])

    def over(name, work, of, base, base_work=None):
        return median(lambda found: found[name, work, of] - found[base, base_work or work, of])

    fastest = {}
    for of in ("all", "hot"):
        fastest[of] = min(("py-lmdb", "RocksDict", "plyvel"), key=lambda name: figure(name, "get", of))

    def times(work, of):
        return median(lambda found: found[fastest[of], "get", of] / found["Python", work, of])

    def at_most(value, bound):
        return "yes" if value <= bound else f"**no**: {value - bound:.0f} ns more"

    def at_least(value, bound):
        return "yes" if value >= bound else f"**no**: {value / bound:.2f} of it"

    rows = []
    for of, label in (("hot", f"{HOT:,} keys, again and again"), ("all", "shuffled keys of the whole store")):
        c, get, into, many = over("C", "get", of, "Rust"), over("Go", "get", of, "Rust"), over("Go", "into", of, "Rust", "get"), over("Go", "many", of, "Rust")
        rows += [
            f"| {label}: `get` | Rust {figure('Rust', 'get', of):.0f} · C {figure('C', 'get', of):.0f} | C over Rust {c:+.0f} ns | ≤ 15 ns | {at_most(c, 15)} |",
            f"| … `Get`, `GetInto` | Go {figure('Go', 'get', of):.0f} · {figure('Go', 'into', of):.0f} | over Rust {get:+.0f} · {into:+.0f} ns | ≤ 1.3 × (100 to 160) ns | {at_most(get, 208)} |",
            f"| … `GetMany` of 1,000, a key | Rust {figure('Rust', 'many', of):.0f} · C {figure('C', 'many', of):.0f} · Go {figure('Go', 'many', of):.0f} | Go over Rust {many:+.0f}, over C {over('Go', 'many', of, 'C'):+.0f} ns | ≤ 1.3 × 15 ns over the engine | {at_most(many, 19.5)} |",
            f"| … `db.get` | Python {figure('Python', 'get', of):.0f} · "
            + " · ".join(f"{name} {figure(name, 'get', of):.0f}" for name in ("py-lmdb", "RocksDict", "plyvel"))
            + f" | {times('get', of):.2f} × {fastest[of]}; {over('Python', 'get', of, 'Rust'):+.0f} ns over Rust | ≥ 2 × | {at_least(times('get', of), 2)} |",
            f"| … `db.get_many` of 1,000, a key | Python {figure('Python', 'many', of):.0f} | {times('many', of):.2f} × single gets of {fastest[of]}; "
            f"{over('Python', 'many', of, 'Rust'):+.0f} ns over Rust | ≥ 5 × | {at_least(times('many', of), 5)} |",
        ]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("lmdb", "rocksdict", "plyvel"))
    return "\n".join([
        "## Calls from other languages",
        "",
        f"`make bench-calls`. {args.keys:,} keys of 16 bytes with values of 100 bytes, one compacted store that Rust, C (the shared library), Go "
        f"({args.go_version}) and CPython {platform.python_version()} (the wheel) open in turns; {versions} with the same entries, py-lmdb in one read transaction a pass. "
        f"{args.rounds} rounds in changing order, {args.calls:,} keys a pass ({args.calls // 5:,} for the other stores). Nanoseconds a key, each the median over the rounds; "
        "differences and ratios are taken within a round. A pass is timed in slices of 1,000 keys and stands for their median, so that neither a slice in which another program "
        "ran nor one in which a collector did counts for more than one. The loops of the languages are part of their figures, and every contender has the value in memory of its own "
        "language: Rust and C copy it into a buffer.",
        "",
        "| work | ns a key | difference or ratio | target | holds |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"Other programs had {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores' work waiting or running in the last minute, this one included.",
    ])  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for program in ("rust", "c", "go"):
        parser.add_argument(f"--{program}", required=True, help="the program of that language")
    parser.add_argument("--go-version", default="Go")
    parser.add_argument("--keys", type=int, default=2_000_000)
    parser.add_argument("--calls", type=int, default=400_000, help="keys of a pass")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--page", type=pathlib.Path, help="the page with the section; without it nothing is written")
    args = parser.parse_args()
    args.calls = min(args.calls, args.keys)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="atoll-bench-") as folder:
        rounds = measure(args, pathlib.Path(folder))
    text = section(args, rounds)
    print(text)
    print(f"\n{time.monotonic() - started:.0f} s", file=sys.stderr)
    if args.page:
        beside = args.page.with_suffix(".md.new")
        beside.write_text(peers.replaced(args.page.read_text(), text, "calls"))
        beside.rename(args.page)


if __name__ == "__main__":
    main()
