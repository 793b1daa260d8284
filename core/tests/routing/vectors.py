"""Writes vectors.tsv: what the documented routers give, computed without this project's code.

Needs xxhash and mmh3 from PyPI beside hashlib and zlib. Columns: key in hex; md5 and sha1 mod 16;
crc32, xxh3, xxh64 and murmur3 (x86, 32 bits) mod 1000; sha1 ring, 3 replicas; md5 ring, 2 replicas;
xxh3 ring, 3 replicas; slot of 4096. Names of nodes are given by their first letter.
"""
import bisect, hashlib, zlib, mmh3, xxhash

NODES = [("alpha", 1), ("beta", 3), ("10.0.0.1:11211", 2), ("섬", 1), ("empty", 0)]
V = 40
big = lambda h: lambda b: int.from_bytes(h(b).digest(), "big")
sha1, md5, xxh3 = big(hashlib.sha1), big(hashlib.md5), xxhash.xxh3_64_intdigest

def points(h, text):
    return sorted((h(text(n, i)), n.encode(), n) for n, w in NODES for i in range(V * w))

def owners(points, x, r):
    at, found = bisect.bisect_right([p[0] for p in points], x), []
    for _, _, n in points[at:] + points[:at]:
        if n not in found and len(found) < r:
            found.append(n)
    return "".join(n[0] for n in found)

plain = lambda n, i: f"{n}:{i}".encode()
rings = [(sha1, points(sha1, plain), 3), (md5, points(md5, plain), 2),
         (xxh3, points(xxh3, lambda n, i: n.encode() + b"\0" + i.to_bytes(8, "little")), 3)]
keys = [b"", b" ", b"  two spaces ", "서울".encode(), "제주 섬:1".encode(), b"\0", b"\xff\xfe", b"a" * 300]
keys += [f"user:{i}".encode() for i in range(1400)] + [f"키 {i}".encode() for i in range(300)]
keys += [bytes(range(i % 40)) + str(i).encode() for i in range(300)] + [f"alpha:{i}".encode() for i in range(80)]
with open("vectors.tsv", "w") as out:
    for k in keys:
        mods = [md5(k) % 16, sha1(k) % 16, zlib.crc32(k) % 1000, xxh3(k) % 1000,
                xxhash.xxh64_intdigest(k) % 1000, mmh3.hash(k, 0, signed=False) % 1000]
        walks = [owners(p, h(k), r) for h, p, r in rings]
        print(k.hex(), *mods, *walks, xxh3(k) % 4096, sep="\t", file=out)
