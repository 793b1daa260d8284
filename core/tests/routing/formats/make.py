"""Writes the vectors of foreign routing formats, as the programs that define them answer.

Runs on Debian 12 with libmemcached-dev (1.1.4), nginx-light (1.22.1), redis-server (7.0.15), gcc, and
from PyPI cassandra-driver, jump-consistent-hash and xxhash. Servers listen on loopback while the script
runs. hrw and maglev have no program: they are computed here from their definitions.

keys.txt holds the keys in hexadecimal, one a line. In FORMAT.tsv a line is a configuration (a list of
nodes for `atoll route --nodes`, a number of buckets, or `-`), a tab, and the answers for all keys in
order, separated by commas: indexes of nodes, buckets, slots or tokens. `x` stands where the program
cannot be asked (nginx: bytes that no HTTP header can carry; ketama: the empty key).
"""
import hashlib, http.client, os, socket, subprocess, tempfile, time
import jump, xxhash
from cassandra.metadata import Murmur3Token

KEYS = [b"", b" ", b"a", "서울".encode(), "제주 섬:1".encode(), b"\0", b"\xff\xfe", b"\x80" * 17, b"a" * 300]
KEYS += [b"k" * 10_000, "키".encode() * 3_000, b"{}", b"{a}b", b"a{b", b"a{}{b}", b"x{{y}}z", b"123456789"]
KEYS += [f"user:{i}".encode() for i in range(300)] + [f"키 {i}".encode() for i in range(60)]
KEYS += [hashlib.sha1(b"%d" % i).digest()[: i % 20] + b"%d" % i for i in range(240)]
KEYS += [f"{{tag{i % 7}}}:{i}".encode() for i in range(40)]

def write(name, rows):
    with open(f"{name}.tsv", "w") as out:
        for config, answers in rows:
            assert len(answers) == len(KEYS)
            print(config, ",".join(map(str, answers)), sep="\t", file=out)

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

def wait_for(port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing answers on port {port}")

def ketama(dir):
    subprocess.run(["cc", "-O1", "ketama.c", "-lmemcached", "-o", f"{dir}/ketama"], check=True)
    configs = [[(f"10.0.0.{i}", 11211, 1) for i in range(n)] for n in (1, 2, 4, 16, 25, 47, 50)]
    configs += [[("a", 11211, 1), ("b", 11211, 2), ("c", 11212, 7), ("cache.example.org", 22122, 3)],
                [(f"10.1.0.{i}", 11211 + i % 3, 1 + i * i % 5) for i in range(30)]]
    for servers in configs:
        text = "".join(f"{h} {p} {w}\n" for h, p, w in servers) + "\n"
        text += "".join(key.hex() + "\n" for key in KEYS)
        out = subprocess.run([f"{dir}/ketama"], input=text, capture_output=True, text=True, check=True).stdout.split()
        answers = ["x" if key == b"" else a for key, a in zip(KEYS, out)]
        yield ",".join(f"{h}:{p}={w}" for h, p, w in servers), answers

def nginx(dir):
    # Names decide placement, so they must not change from run to run.
    configs = [[("127.0.0.1:%d", 1)] * 3, [("127.0.0.1:%d", w) for w in (1, 5, 2, 1)], [("127.0.0.1:%d", 1)] * 10]
    fixed = [20101 + i for i in range(10)]
    fronts = [20201 + i for i in range(3)]
    conf = f"daemon off; pid {dir}/pid; error_log {dir}/error.log; events {{}}\nhttp {{ access_log off; "
    for path in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        conf += f"{path}_temp_path {dir}/{path}; "
    conf += "large_client_header_buffers 4 64k; underscores_in_headers on;\n"
    for port in fixed:
        conf += f"server {{ listen 127.0.0.1:{port}; large_client_header_buffers 4 64k; return 200 {port}; }}\n"
    for at, (front, servers) in enumerate(zip(fronts, configs)):
        lines = "".join(f"server 127.0.0.1:{p} weight={w}; " for p, (_, w) in zip(fixed, servers))
        conf += f"upstream u{at} {{ hash $http_x_key consistent; {lines} }}\n"
        conf += f"server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u{at}; proxy_set_header X-Key ''; }} }}\n"
    open(f"{dir}/nginx.conf", "w").write(conf + "}\n")
    server = subprocess.Popen(["nginx", "-c", f"{dir}/nginx.conf", "-p", dir])
    try:
        for front, servers in zip(fronts, configs):
            wait_for(front).close()
            link = http.client.HTTPConnection("127.0.0.1", front)
            answers = []
            for key in KEYS:
                if not key or key != key.strip() or any(b < 32 or b == 127 for b in key):
                    answers.append("x")
                    continue
                link.putrequest("GET", "/")
                link._buffer.append(b"X-Key: " + key)
                link.endheaders()
                answers.append(fixed.index(int(link.getresponse().read())))
            yield ",".join(f"127.0.0.1:{p}={w}" for p, (_, w) in zip(fixed, servers)), answers
    finally:
        server.terminate()
        server.wait()

def redis(dir):
    port = free_port()
    server = subprocess.Popen(["redis-server", "--port", str(port), "--cluster-enabled", "yes", "--save", "",
                               "--dir", dir, "--bind", "127.0.0.1", "--cluster-port", str(free_port())],
                              stdout=subprocess.DEVNULL)
    try:
        link = wait_for(port)
        lines = link.makefile("rb")
        answers = []
        for key in KEYS:
            link.sendall(b"*3\r\n$7\r\nCLUSTER\r\n$7\r\nKEYSLOT\r\n$%d\r\n%s\r\n" % (len(key), key))
            answers.append(int(lines.readline()[1:]))
        yield "-", answers
    finally:
        server.terminate()
        server.wait()

def hrw():
    for n in (1, 3, 20):
        names = [b"node-%d" % i for i in range(n)]
        best = lambda key: max(range(n), key=lambda i: xxhash.xxh3_64_intdigest(key, xxhash.xxh3_64_intdigest(names[i])))
        yield b",".join(names).decode(), [best(key) for key in KEYS]

def maglev():
    for n, m in ((1, 65537), (3, 65537), (17, 65537)):
        names = [b"node-%d" % i for i in range(n)]
        turns = [[xxhash.xxh64_intdigest(name) % m, xxhash.xxh64_intdigest(name, 1) % (m - 1) + 1, names.index(name)]
                 for name in sorted(names)]
        table, filled = [None] * m, 0
        while filled < m:
            for turn in turns:
                if filled == m:
                    break
                while table[turn[0]] is not None:
                    turn[0] = (turn[0] + turn[1]) % m
                table[turn[0]] = turn[2]
                filled += 1
        yield b",".join(names).decode(), [table[xxhash.xxh64_intdigest(key) % m] for key in KEYS]

with tempfile.TemporaryDirectory() as dir:
    os.chmod(dir, 0o755)
    open("keys.txt", "w").write("".join(key.hex() + "\n" for key in KEYS))
    write("ketama", ketama(dir))
    write("nginx", nginx(dir))
    write("redis", redis(dir))
    write("cassandra", [("-", [Murmur3Token.hash_fn(key) for key in KEYS])])
    write("jump", [(n, [jump.hash(xxhash.xxh3_64_intdigest(key), n) for key in KEYS]) for n in (1, 2, 10, 1000, 1_000_000)])
    write("hrw", hrw())
    write("maglev", maglev())
