#!/usr/bin/env python3
"""Asks other programs where keys belong, and writes core/tests/routing/vectors/.

Needs, on Debian 12: apt-get install gcc libmemcached-dev memcached nginx-light redis-server
and from PyPI:       pip install xxhash mmh3 cassandra-driver jump-consistent-hash uhashring
Run: python3 scripts/vectors/make.py. Servers run on loopback only, and only while this runs.

Output: keys.hex and numbers.txt, one key a line; and FORMAT.tsv, a line a configuration: the options
of `atoll route`, a tab, the answers for all keys in order, separated by spaces. An answer is the
position of the node in --nodes (several, with commas, where replicas were asked for), or the bucket,
slot, range or token. `x` stands where the program cannot be asked.
"""
import bisect, hashlib, http.client, os, pathlib, random, socket, subprocess, tempfile, time, urllib.parse, zlib
from fractions import Fraction

import cassandra.murmur3, jump, mmh3, uhashring, xxhash
from cassandra.metadata import Murmur3Token

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent.parent / "core/tests/routing/vectors"
SKIP = "x"
dice = random.Random(20261123)

def chain(host, port, count):
    """The points nginx gives a server."""
    points, point = [], 0
    for _ in range(count):
        point = zlib.crc32(host + b"\0" + port + point.to_bytes(4, "little"))
        points.append(point)
    return points

def forge(crc, start):
    """A key whose CRC-32 is the one given: the beginning, then the four bytes that lead there."""
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0xEDB88320 if i & 1 else 0)
        table.append(i)
    # Backwards from the wanted register: the top byte of a register names the table entry that made it.
    register, entries = crc ^ 0xFFFFFFFF, []
    for _ in range(4):
        entry = next(i for i in range(256) if table[i] >> 24 == register >> 24)
        entries.append(entry)
        register = (register ^ table[entry]) << 8 & 0xFFFFFFFF
    register, end = zlib.crc32(start) ^ 0xFFFFFFFF, b""
    for entry in reversed(entries):
        end += bytes([entry ^ register & 0xFF])
        register = register >> 8 ^ table[entry]
    assert zlib.crc32(start + end) == crc
    return start + end

KEYS = [b"", b" ", b"  two spaces ", "서울".encode(), "제주 섬:1".encode(), b"\xff\xfe", b"\x80" * 17, b"a" * 300]
KEYS += [b"k" * 10_000, "키".encode() * 3_334, dice.randbytes(10_240)]
KEYS += [b"{}", b"{a}b", b"a{b", b"a{}{b}", b"x{{y}}z", b"}{", b"{a}{b}", b"{\xff\x00}t", b"123456789", b"/", b"a\tb\r\nc", b"%2F?#&"]
KEYS += [bytes([i]) for i in range(256)]
KEYS += [dice.randbytes(i % 65) for i in range(390)]
KEYS += [f"user:{i}".encode() for i in range(900)] + [f"키 {i}".encode() for i in range(200)]
KEYS += [f"{{tag{i % 17}}}:{i}".encode() for i in range(200)]
KEYS += [f"alpha:{i}".encode() for i in range(40)] + [b"alpha\0" + i.to_bytes(8, "little") for i in range(40)]
# Keys that hash exactly to a point, where "first point above" and "first point not below" part ways.
KEYS += [b"10.0.0.%d-%d" % (i, j) for i in range(3) for j in (0, 7, 38)] + [b"cache-0-%d.example.org:11212-%d" % (i, i) for i in range(5)]
KEYS += [forge(point, b"#%d " % at) for at, point in enumerate(chain(b"127.0.30.0", b"20000", 40) + chain(b"127.0.30.1", b"20001", 40))]
KEYS = list(dict.fromkeys(KEYS))
NUMBERS = [0, 1, 2, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1] + list(range(3, 300))
NUMBERS += [dice.getrandbits(dice.randrange(20, 65)) for _ in range(700)]
INTS = [n for n in NUMBERS if n < 2**63] + [-n for n in NUMBERS if 0 < n <= 2**63]

xxh3, xxh64 = xxhash.xxh3_64_intdigest, xxhash.xxh64_intdigest
big = lambda h: lambda b: int.from_bytes(h(b).digest(), "big")
HASHES = {"xxh3": xxh3, "xxh64": xxh64, "sha1": big(hashlib.sha1), "md5": big(hashlib.md5), "crc32": zlib.crc32,
          "murmur3": lambda b: mmh3.hash(b, 0, signed=False)}

def listed(nodes):
    return ",".join(name if weight == 1 else f"{name}={weight}" for name, weight in nodes)

# ---- other programs ---------------------------------------------------------------------------------

def equal(count, name="10.0.{}.{}:11211"):
    return [(name.format(i // 250, i % 250), 1) for i in range(count)]

def host_port(name):
    if name.startswith("/"):
        return name.removesuffix(":0"), 0
    host, _, port = name.rpartition(":")
    return (host, int(port)) if port.isdigit() and host else (name, 0)

def ask_ketama(program, nodes, keys, *args):
    text = "".join("%s %d %d\n" % (*host_port(name), weight) for name, weight in nodes)
    text += "\n" + "".join(key.hex() + "\n" for key in keys)
    return subprocess.run([program, *args], input=text, capture_output=True, text=True, check=True).stdout.split()

def ketama(program):
    configs = [equal(n) for n in (1, 2, 3, 4, 16, 25, 47, 50, 99)]
    configs += [equal(n, "cache-{}-{}.example.org:11212") for n in (5, 94)]
    configs += [
        [("a", 1), ("b", 2), ("c:11212", 7), ("cache.example.org:22122", 3), ("섬", 1)],
        [(f"10.1.0.{i}:{11211 + i % 3}", 1 + i * i % 5) for i in range(30)],
        [(f"10.2.0.{i}:11211", 10 ** (i % 5)) for i in range(20)],
        [("heavy:11211", 1_000_000), ("no-points:11211", 1), ("light:11211", 33_333)],
        [("a:1", 4_294_967_295), ("b:1", 4_294_967_295), ("c:1", 2_147_483_648)],
        [(f"n{i}:11213", w) for i, w in enumerate((3, 3, 3, 7, 11, 13, 1))],
        [("/run/one.sock", 1), ("/run/two.sock:0", 2), ("a:0", 1), ("b", 1)],
    ]
    for nodes in configs:
        yield f"--algorithm ketama --nodes {listed(nodes)}", ask_ketama(program, nodes, KEYS)

def ketama_copies(program):
    """Which servers hold a key that libmemcached was told to store three times."""
    ports = range(21101, 21106)
    nodes = [(f"127.0.0.1:{port}", 1 + port % 3) for port in ports]
    servers = [subprocess.Popen(["memcached", "-l", "127.0.0.1", "-p", str(port), "-u", "nobody"]) for port in ports]
    try:
        links = [wait_for(port) for port in ports]
        keys = [key for key in KEYS if 0 < len(key) <= 250 and all(33 <= byte < 127 for byte in key)]
        ask_ketama(program, nodes, keys, "3")
        readers = [link.makefile("rb") for link in links]
        holders = {}
        for key in keys:
            found = []
            for at, (link, reader) in enumerate(zip(links, readers)):
                link.sendall(b"get " + key + b"\r\n")
                if reader.readline() != b"END\r\n":
                    assert reader.readline() == b"v\r\n" and reader.readline() == b"END\r\n"
                    found.append(at)
            holders[key] = found
    finally:
        for server in servers:
            server.terminate()
            server.wait()
    # The servers do not say who was first; the library does.
    owners = dict(zip(keys, map(int, ask_ketama(program, nodes, keys))))
    def answer(key):
        if key not in owners:
            return SKIP
        order = sorted(holders[key], key=lambda at: (at - owners[key]) % len(nodes))
        assert len(order) == 3 and order[0] == owners[key]
        return ",".join(map(str, order))
    yield f"--algorithm ketama --replicas 3 --nodes {listed(nodes)}", map(answer, KEYS)

def uhash():
    for nodes in (equal(3, "h{}-{}:11212"), equal(16, "h{}-{}:11212"), [(f"w{i}:11212", i) for i in (1, 2, 5)]):
        ring = uhashring.HashRing(nodes=dict(nodes), hash_fn="ketama")
        names = [name for name, _ in nodes]
        def answer(key):
            try:
                return names.index(ring.get_node(key.decode()))
            except UnicodeDecodeError:
                return SKIP
        yield f"--algorithm ketama --nodes {listed(nodes)}", map(answer, KEYS)

def wait_for(port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing answers on port {port}")

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

def nginx(dir):
    """nginx tells which servers it tried; none of them listens, so it tries as many as it is allowed to."""
    tries = [1] * 11 + [3, 2]
    port80 = [(f"127.0.40.{i}", 1 + i % 2) for i in range(4)]
    for name, _ in port80:
        with socket.socket() as s:
            assert s.connect_ex((name, 80)) != 0, f"something listens on {name}:80"
    numbered = lambda count, weight=lambda i: 1: [(f"127.0.{30 + i // 200}.{i % 200}:2{i % 3:04}", weight(i)) for i in range(count)]
    configs = [numbered(n) for n in (1, 2, 3, 10, 25, 50)]
    configs += [numbered(4, lambda i: (1, 5, 2, 1)[i]), numbered(30, lambda i: 1 + i * i % 7), numbered(3, lambda i: 1 + 999 * i), port80,
                [("unix:/nonexistent/a.sock", 1), ("unix:/nonexistent/b:80", 2), ("127.0.30.1:20001", 1)],
                numbered(10, lambda i: 1 + i % 3), numbered(3)]
    fronts = [free_port() for _ in configs]
    conf = f"daemon off; pid {dir}/pid; error_log {dir}/error.log crit; events {{}}\nhttp {{ access_log off; merge_slashes off; "
    for path in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        conf += f"{path}_temp_path {dir}/{path}; "
    conf += "large_client_header_buffers 4 128k; proxy_next_upstream error;\n"
    for at, (front, nodes, most) in enumerate(zip(fronts, configs, tries)):
        lines = "".join(f"server {name} weight={weight} max_fails=0; " for name, weight in nodes)
        conf += f"upstream u{at} {{ hash $key consistent; {lines} }}\n"
        conf += f"server {{ listen 127.0.0.1:{front}; add_header Tried $upstream_addr always;"
        conf += f' location ~ "(?s)^/k/(?<key>.*)$" {{ proxy_next_upstream_tries {most}; proxy_pass http://u{at}; }} }}\n'
    open(f"{dir}/nginx.conf", "w").write(conf + "}\n")
    server = subprocess.Popen(["nginx", "-c", f"{dir}/nginx.conf", "-p", dir])
    try:
        for front, nodes, most in zip(fronts, configs, tries):
            wait_for(front).close()
            link = http.client.HTTPConnection("127.0.0.1", front)
            addresses = {name + ("" if ":" in name else ":80"): at for at, (name, _) in enumerate(nodes)}
            def answer(key):
                # nginx sends empty keys to any server in turn, takes no NUL, and resolves dots in paths.
                if not key or b"\0" in key or b"/." in b"/" + key:
                    return SKIP
                link.request("GET", "/k/" + urllib.parse.quote_from_bytes(key, safe=""))
                response = link.getresponse()
                response.read()
                tried = response.headers["Tried"].split(", ")
                assert response.status == 502 and len(tried) == min(most, len(nodes)), (response.status, tried)
                return ",".join(str(addresses[address]) for address in tried)
            options = f"--replicas {most} " if most > 1 else ""
            yield f"--algorithm nginx {options}--nodes {listed(nodes)}", [answer(key) for key in KEYS]
    finally:
        server.terminate()
        server.wait()

def redis(dir):
    port = free_port()
    server = subprocess.Popen(["redis-server", "--port", str(port), "--cluster-enabled", "yes", "--save", "", "--dir", dir,
                               "--bind", "127.0.0.1", "--cluster-port", str(free_port())], stdout=subprocess.DEVNULL)
    try:
        link = wait_for(port)
        lines = link.makefile("rb")
        def answer(key):
            link.sendall(b"*3\r\n$7\r\nCLUSTER\r\n$7\r\nKEYSLOT\r\n$%d\r\n%s\r\n" % (len(key), key))
            return int(lines.readline()[1:])
        yield "--algorithm redis", [answer(key) for key in KEYS]
    finally:
        server.terminate()
        server.wait()

def cassandra_tokens():
    tokens = [Murmur3Token.hash_fn(key) for key in KEYS]
    # The driver has a second implementation, for interpreters without its C extension.
    assert tokens == [cassandra.murmur3._murmur3(key) for key in KEYS]
    yield "--algorithm cassandra", tokens

def jumps():
    for buckets in (1, 2, 3, 10, 100, 1000, 65_536, 1_000_000, 2_147_483_647):
        yield f"--algorithm jump --buckets {buckets}", [jump.hash(xxh3(key), buckets) for key in KEYS]
    for buckets in (1, 7, 1000, 1_000_000):
        yield f"--algorithm jump --input u64 --buckets {buckets}", [jump.hash(number, buckets) for number in NUMBERS]

# ---- definitions, written down a second time -----------------------------------------------------------

MIXED = [("alpha", 1), ("beta", 3), ("10.0.0.1:11211", 2), ("섬", 1), ("empty", 0)]

def modulo():
    for name, h in HASHES.items():
        for buckets in (16, 1000) if name in ("md5", "crc32", "murmur3", "xxh64") else (1, 1000, 4_294_967_295):
            yield f"--algorithm modulo --hash {name} --buckets {buckets}", [h(key) % buckets for key in KEYS]
        yield f"--algorithm modulo --hash {name} --nodes a,b,c", [h(key) % 3 for key in KEYS]
        sortable = lambda n: ((n + 2**63) % 2**64).to_bytes(8, "big")
        yield f"--algorithm modulo --hash {name} --buckets 997 --input i64", [h(sortable(n)) % 997 for n in INTS]
        yield f"--algorithm modulo --hash {name} --buckets 997 --input i64 --encoding decimal", [h(b"%d" % n) % 997 for n in INTS]
    def tag(key):
        start = key.find(b"{")
        end = key.find(b"}", start + 1)
        return key[start + 1:end] if start >= 0 and end > start + 1 else key
    yield "--algorithm modulo --buckets 997 --locality tag", [xxh3(tag(key)) % 997 for key in KEYS]
    yield "--algorithm modulo --buckets 997 --locality prefix:5", [xxh3(key[:5]) % 997 for key in KEYS]

def ring():
    configs = [(name, MIXED, 40, 3) for name in HASHES] + [(name, MIXED, 160, 1) for name in ("xxh3", "sha1", "md5")]
    configs += [("xxh3", equal(n), 160, 2) for n in (1, 16, 50)] + [("md5", [("a", 1)], 1, 1)]
    for name, nodes, vnodes, replicas in configs:
        h = HASHES[name]
        def text(node, i):
            return node.encode() + (b"\0" + i.to_bytes(8, "little") if name == "xxh3" else b":%d" % i)
        points = sorted((h(text(n, i)), n.encode(), at) for at, (n, w) in enumerate(nodes) for i in range(vnodes * w))
        places = [point[0] for point in points]
        def answer(key):
            start, found = bisect.bisect_right(places, h(key)), []
            for _, _, at in points[start:] + points[:start]:
                if len(found) == replicas:
                    break
                if at not in found:
                    found.append(at)
            return ",".join(map(str, found))
        yield f"--algorithm ring --hash {name} --vnodes {vnodes} --replicas {replicas} --nodes {listed(nodes)}", map(answer, KEYS)

def hrw():
    def cost(score):
        """-log2((score + 1) / 2^64) in 2^-32, by 32 squarings of a 64-bit mantissa."""
        x = score + 1
        whole = x.bit_length() - 1
        if whole == 64:
            return 0
        mantissa, fraction = x << (63 - whole), 0
        for _ in range(32):
            square = mantissa * mantissa >> 63
            bit = square >> 64
            fraction, mantissa = fraction << 1 | bit, square >> bit
        return (64 << 32) - (whole << 32 | fraction)
    weighted = [[("a", 1), ("b", 5), ("zero", 0), ("섬", 2)], [(f"node-{i}", 1 + i * i % 9) for i in range(20)], [("a", 4_294_967_295), ("b", 1), ("c", 4_000_000_000)]]
    same = [[(f"node-{i}", w) for i in range(n)] for n, w in ((1, 1), (3, 1), (20, 1), (20, 7), (100, 1))]
    for nodes in weighted + same:
        replicas = min(3, sum(w > 0 for _, w in nodes))
        def answer(key):
            bids = []
            for at, (name, weight) in enumerate(nodes):
                if weight:
                    score = xxh3(key, xxh3(name.encode()))
                    bids.append((Fraction(cost(score), weight) if nodes in weighted else 0, -score, name.encode(), at))
            return ",".join(str(bid[3]) for bid in sorted(bids)[:replicas])
        yield f"--algorithm hrw --replicas {replicas} --nodes {listed(nodes)}", map(answer, KEYS)

def maglev():
    configs = [([(f"node-{i}", 1) for i in range(n)], m, r) for n, m, r in ((1, 65537, 1), (3, 65537, 2), (17, 65537, 3), (100, 65537, 1), (5, 5, 5), (7, 251, 2), (40, 655373, 1))]
    configs += [([("z", 1), ("b", 3), ("zero", 0), ("섬", 2)], 65537, 2), ([(f"n{i}", 1 + i * i % 9) for i in range(20)], 10007, 1)]
    for nodes, m, replicas in configs:
        heaviest = max(weight for _, weight in nodes)
        fillers = [[xxh64(name.encode()) % m, xxh64(name.encode(), 1) % (m - 1) + 1, 0, weight, at]
                   for name, weight, at in sorted(((n, w, at) for at, (n, w) in enumerate(nodes) if w), key=lambda node: node[0].encode())]
        table, filled, turn = [None] * m, 0, 0
        while filled < m:
            turn += 1
            for filler in fillers:
                at, skip, turns, weight, index = filler
                # Its next turn comes in round ceil((turns + 1) * heaviest / weight).
                while filled < m and -(-(filler[2] + 1) * heaviest // weight) == turn:
                    while table[filler[0]] is not None:
                        filler[0] = (filler[0] + skip) % m
                    table[filler[0]] = index
                    filler[2] += 1
                    filled += 1
        def answer(key):
            at, found = xxh64(key) % m, []
            while len(found) < replicas:
                if table[at] not in found:
                    found.append(table[at])
                at = (at + 1) % m
            return ",".join(map(str, found))
        size = "" if m == 65537 else f"--table-size {m} "
        more = "" if replicas == 1 else f"--replicas {replicas} "
        yield f"--algorithm maglev {size}{more}--nodes {listed(nodes)}", map(answer, KEYS)

def ranges():
    splits = [b"\x01", b"k", b"user:4", b"user:45", "키 1".encode(), b"\xff\x00"]
    yield "--algorithm range --split-at " + ",".join(split.hex() for split in splits), [bisect.bisect_right(splits, key) for key in KEYS]
    limits = [-2**62, 0, 100, 2**40]
    yield "--algorithm range --input i64 --split-at " + ",".join(map(str, limits)), [bisect.bisect_right(limits, n) for n in INTS]

def slots():
    for count in (1, 64, 1000, 4096, 65_536):
        yield f"--algorithm slots --slots {count} --json --nodes only", [xxh3(key) % count for key in KEYS]

def write(name, rows):
    with open(OUT / f"{name}.tsv", "w") as out:
        for options, answers in rows:
            answers = [str(answer) for answer in answers]
            expected = NUMBERS if "--input u64" in options else INTS if "--input i64" in options else KEYS
            assert len(answers) == len(expected), (options, len(answers))
            print(options, " ".join(answers), sep="\t", file=out)
    print(name)

OUT.mkdir(exist_ok=True)
(OUT / "keys.hex").write_text("".join(key.hex() + "\n" for key in KEYS))
(OUT / "u64.txt").write_text("".join(f"{n}\n" for n in NUMBERS))
(OUT / "i64.txt").write_text("".join(f"{n}\n" for n in INTS))
with tempfile.TemporaryDirectory() as dir:
    os.chmod(dir, 0o755)
    program = f"{dir}/ketama"
    subprocess.run(["cc", "-O1", HERE / "ketama.c", "-lmemcached", "-o", program], check=True)
    write("ketama", ketama(program))
    write("ketama-copies", ketama_copies(program))
    write("nginx", nginx(dir))
    write("redis", redis(dir))
write("ketama-uhashring", uhash())
write("cassandra", cassandra_tokens())
write("jump", jumps())
write("modulo", modulo())
write("ring", ring())
write("hrw", hrw())
write("maglev", maglev())
write("range", ranges())
write("slots", slots())
