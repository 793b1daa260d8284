"""Writes versions.tsv: clocks and stamps as docs/FORMAT-versions.md defines them, made without this project's code.

A row is a word and tab-separated fields; other languages may check the same file:
clock    TEXT HEX              canonical text and binary form
compare  TEXT TEXT WORD TEXT   equal, before, after or concurrent; the merge of both
hlc      TEXT NUMBER NODE      text, packed number, node
badclock TEXT                  no vector clock
badhlc   TEXT                  no stamp

And stamps.tsv, the binary form of the same stamps: TEXT HEX.
"""
import datetime, random

random.seed(20261123)
NAMES = ["A", "B", "C", "a", "node-1", "10.0.0.1:7400", "섬", "é", 'q"uote', "back\\slash", "z" * 255]

def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])

def entries(clock):
    return sorted(((k.encode(), v) for k, v in clock.items() if v), key=lambda e: e[0])

def text(clock):
    quote = lambda name: '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "{" + ",".join(f"{quote(k.decode())}:{v}" for k, v in entries(clock)) + "}"

def binary(clock):
    found = entries(clock)
    return b"\1" + varint(len(found)) + b"".join(varint(len(k)) + k + varint(v) for k, v in found)

def compare(a, b):
    ab = all(v <= b.get(k, 0) for k, v in a.items())
    ba = all(v <= a.get(k, 0) for k, v in b.items())
    return {(True, True): "equal", (True, False): "before", (False, True): "after"}.get((ab, ba), "concurrent")

def some():
    return {k: random.choice([1, 2, 3, 127, 128, 2**32, 2**64 - 1]) for k in random.sample(NAMES, random.randrange(5))}

clocks = [{}, {"A": 1}, {"A": 1, "B": 3}, {"섬": 2**64 - 1}] + [some() for _ in range(120)]
stamps = open("stamps.tsv", "w")
with open("versions.tsv", "w") as out:
    row = lambda *fields: print(*fields, sep="\t", file=out)
    for clock in clocks:
        row("clock", text(clock), binary(clock).hex())
    for i in range(240):
        a = random.choice(clocks)
        b = random.choice([some(), dict(a), {**a, random.choice(NAMES): 5}, {k: v for k, v in a.items() if random.random() < 0.7}])
        merged = {k: max(a.get(k, 0), b.get(k, 0)) for k in {**a, **b}}
        row("compare", text(a), text(b), compare(a, b), text(merged))
    epoch = datetime.datetime(1970, 1, 1)
    times = [0, 1, 951_782_399_999, 951_782_400_000, 1_795_399_200_123, 4_107_542_400_000, 253_402_300_799_999]
    for ms in times + [random.randrange(253_402_300_800_000) for _ in range(100)]:
        counter, node = random.choice([0, 7, 255, 65535]), random.choice(NAMES)
        when = epoch + datetime.timedelta(milliseconds=ms)
        stamp = f"{when:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z" if when.year > 999 else None
        row("hlc", f"{when.year:04d}{stamp[4:]}/{counter:04x}@{node}", ms << 16 | counter, node)
        form = b"\1" + (ms << 16 | counter).to_bytes(8, "little") + varint(len(node.encode())) + node.encode()
        print(f"{when.year:04d}{stamp[4:]}/{counter:04x}@{node}", form.hex(), sep="\t", file=stamps)
    for bad in ["", "{", "[]", '{"A":-1}', '{"A":1.5}', '{"A":"1"}', '{"A":1,"A":2}', '{"":1}', '{"A":18446744073709551616}', '{"A":1} x', "null"]:
        row("badclock", bad)
    for bad in ["", "2026-11-23T02:00:00.123Z", "2026-11-23T02:00:00.123Z/0007@", "2026-02-30T00:00:00.000Z/0000@a", "2026-11-23T24:00:00.000Z/0000@a",
                "2026-11-23T02:00:00.123/0007@a", "2026-11-23T02:00:00.123Z/000G@a", "2026-11-23T02:00:00.123Z/00A7@a", "2026-11-23 02:00:00.123Z/0007@a"]:
        row("badhlc", bad)
