#!/usr/bin/env python3
"""Writes key-encoding.tsv and locate.tsv of core/tests/routing/vectors/ from the written definitions.

Needs from PyPI: pip install xxhash mmh3
Run: python3 scripts/vectors/keys_and_tables.py. README.md beside the files says what a row holds.

Nothing of this project's code is used: keys are encoded, and topologies read, as docs/FORMAT-topology.md has it. The
topologies are those of core/tests/routing/golden.
"""
import bisect, hashlib, pathlib, random, zlib

import mmh3, xxhash

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "core/tests/routing/vectors"
dice = random.Random(20261124)

# Keys: an element is a kind and a value; tuples hold elements.


def integer(value):
    return (value + 2**63).to_bytes(8, "big")


def contents(kind, data):
    return bytes([kind]) + data.replace(b"\0", b"\0\xff") + b"\0\1"


def tuple_bytes(elements):
    out = b""
    for kind, value in elements:
        if kind == "b":
            out += contents(2, value)
        elif kind == "t":
            out += contents(3, value.encode())
        elif kind == "i":
            out += b"\4" + integer(value)
        elif kind == "u":
            out += b"\5" + value
        else:
            out += b"\6" + tuple_bytes(value) + b"\1"
    return out


def words(elements):
    out = []
    for kind, value in elements:
        if kind == "(":
            out += ["(", *words(value), ")"]
        elif kind == "i":
            out.append(f"i:{value}")
        else:
            out.append(f"{kind}:{(value.encode() if kind == 't' else value).hex()}")
    return out


TEXTS = ["", "a", "a\0b", "\0", "\0\0", "섬", "제주 섬:1", "é", "~" * 300, "x\x01"]


def element(depth=0):
    kind = dice.choice("btiu(" if depth < 4 else "btiu")
    return kind, {
        "b": lambda: dice.choice([b"", b"\0", b"\xff", b"\0\xff\0", dice.randbytes(dice.randrange(40))]),
        "t": lambda: dice.choice(TEXTS),
        "i": lambda: dice.choice(INTEGERS),
        "u": lambda: dice.randbytes(16),
        "(": lambda: [element(depth + 1) for _ in range(dice.randrange(4))],
    }[kind]()


INTEGERS = [0, 1, -1, 42, -42, 255, 256, -256, 2**31 - 1, 2**31, -2**31, 2**32, 2**53 + 1, 2**63 - 1, -2**63]
INTEGERS += [dice.randrange(-2**63, 2**63) >> dice.randrange(63) for _ in range(60)]


def keys():
    for value in INTEGERS:
        yield "int", str(value), "binary", integer(value).hex()
        yield "int", str(value), "decimal", str(value).encode().hex()
    for value in [2**63, 2**63 + 1, 2**64 - 1]:
        yield "bigint", str(value)
    for text in TEXTS:
        yield "text", text.encode().hex(), text.encode().hex()
    for data in [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80"]:
        yield "badtext", data.hex()
    for data in [bytes(16), b"\xff" * 16, dice.randbytes(16)]:
        yield "uuid", data.hex(), data.hex()
    deepest = []
    for _ in range(32):
        deepest = [("(", deepest)]
    tuples = [[], [("t", "")], [("i", 7)], [("t", "a\0b"), ("(", [("i", 1)]), ("b", b"")], deepest]
    tuples += [[element() for _ in range(dice.randrange(1, 6))] for _ in range(150)]
    for elements in tuples:
        yield "tuple", " ".join(words(elements)), tuple_bytes(elements).hex()
    bad = ["00", "02", "0261", "026100", "02610002", "0361ff0001", "04", "0480", "05" + "00" * 15, "06", "0602", "01", "0601" * 1 + "01", "07"]
    for data in bad + ["06" * 33 + "01" * 33]:
        yield "badtuple", data


# Topologies.

HASHES = {
    1: lambda data, seed: xxhash.xxh3_64_intdigest(data, seed),
    2: lambda data, seed: xxhash.xxh64_intdigest(data, seed),
    3: lambda data, _: int.from_bytes(hashlib.sha1(data).digest(), "big"),
    4: lambda data, _: int.from_bytes(hashlib.md5(data).digest(), "big"),
    5: lambda data, _: zlib.crc32(data),
    6: lambda data, seed: mmh3.hash(data, seed, signed=False),
}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        assert self.at <= len(self.data)
        return self.data[self.at - n : self.at]

    def fixed(self, n):
        return int.from_bytes(self.take(n), "little")

    def varint(self):
        value = shift = 0
        while True:
            byte = self.fixed(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def bytes(self):
        return self.take(self.varint())

    def many(self, read):
        return [read() for _ in range(self.varint())]

    def runs(self, slots):
        table = []
        while len(table) < slots:
            count, shard, floor = self.varint(), self.varint(), self.varint()
            table += [(shard, floor)] * count
        assert len(table) == slots
        return table


class Topology:
    def __init__(self, data):
        head = Reader(data)
        assert head.take(8) == b"ATOLLTOP" and head.fixed(2) == 1
        features, length = head.fixed(2), head.fixed(8)
        r = Reader(head.take(length))
        self.version = r.varint()
        self.hash, self.seed, _encoding = HASHES[r.fixed(1)], r.fixed(8), r.fixed(1)
        self.locality, self.prefix = r.fixed(1), r.fixed(2)
        _replicas, _vnodes, self.slots = r.fixed(1), r.varint(), r.varint()
        self.range = r.fixed(1) == 1
        if self.range:
            bounds = r.fixed(1)
            self.lower = r.bytes() if bounds & 1 else None
            self.upper = r.bytes() if bounds & 2 else None
            self.splits = r.many(r.bytes)
            self.slot_of_range = [r.varint() for _ in range(len(self.splits) + 1)]
        self.members = r.many(lambda: (r.bytes(), r.varint(), r.fixed(1), r.bytes()))
        self.shards = r.many(lambda: (r.fixed(1), [r.varint() for _ in range(r.fixed(1))])[1])
        self.table, self.moving = r.runs(self.slots), {}
        groups = 0
        if features & 1:
            [r.bytes() for _ in self.members]
        if features & 2:
            groups = len(r.many(lambda: (r.bytes(), r.many(r.bytes))))
            [r.varint() for _ in self.shards]
            [r.runs(self.slots) for _ in range(groups)]
        if features & 4:
            at = 0
            for gap, count, to, phase in r.many(lambda: (r.varint(), r.varint(), r.varint(), r.fixed(1))):
                self.moving.update((slot, (to, ["copying", "frozen"][phase])) for slot in range(at + gap, at + gap + count))
                at += gap + count
        assert r.at == length

    def part(self, key):
        if self.locality == 2:
            return key[: self.prefix]
        if self.locality == 1 and (start := key.find(b"{") + 1) and (end := key.find(b"}", start)) > start:
            return key[start:end]
        return key

    def row(self, key):
        if self.range:
            if (self.lower is not None and key < self.lower) or (self.upper is not None and key >= self.upper):
                return "outside", key.hex()
            slot = self.slot_of_range[bisect.bisect_right(self.splits, key)]
        else:
            slot = self.hash(self.part(key), self.seed) % self.slots
        shard, floor = self.table[slot]
        to, phase = self.moving.get(slot, (shard, "none"))
        nodes = ",".join(map(str, self.shards[shard]))
        return "key", key.hex(), slot, shard, phase, to, floor, nodes


def tables():
    some = [bytes.fromhex(line.strip()) for line in open(OUT / "keys.hex")][::6]
    some += [b"b", b"a\xff", b"g", b"f\xff", b"\xff\x00", b"\xff", b"\xff\x01"]
    for name in ["hash", "range", "features"]:
        data = bytes.fromhex("".join((ROOT / f"core/tests/routing/golden/topology-1-{name}.hex").read_text().split()))
        topology = Topology(data)
        yield "topology", name, topology.version, topology.slots, len(topology.shards), len(topology.members), data.hex()
        yield from map(topology.row, some)


for name, rows in [("key-encoding", keys), ("locate", tables)]:
    with open(OUT / f"{name}.tsv", "w", encoding="utf8") as out:
        for row in rows():
            print(*row, sep="\t", file=out)
