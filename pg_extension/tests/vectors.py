"""Prints an SQL script that holds the routing functions against answers made elsewhere.

    vectors.py ATOLL COUNT > script.sql

Two kinds of answers: those of core/tests/routing/vectors, which other programs and a second implementation
gave (its README says who), and those of ATOLL, the command-line tool, for COUNT keys of every type.

The script, run by psql in a database with the extension, prints a line `ok ...` or `not ok ...` for each
comparison, with the number of answers compared. It reads no files, so the server needs no access to any.
"""
import pathlib, random, subprocess, sys

VECTORS = pathlib.Path(__file__).parents[2] / "core/tests/routing/vectors"
NODES = "alpha,beta=3,10.0.0.1:11211=2,섬,empty=0"
# Two primes near 2^31: two remainders together tell 62 of the 64 bits of a hash.
PRIMES = (2147483647, 2147483629)


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def copy(table, rows):
    """COPY in text format: backslashes, tabs and line ends of the values are escaped."""
    escape = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
    print(f"COPY {table} FROM stdin;")
    for row in rows:
        print("\t".join(str(value).translate(escape) for value in row))
    print("\\.")


def compare(name, table, pairs):
    """pairs: an SQL expression over the columns of `table`, and the column it must equal as text."""
    wrong = " + ".join(f"count(*) FILTER (WHERE ({sql})::text IS DISTINCT FROM {column})" for sql, column in pairs)
    print(f"SELECT CASE WHEN wrong = 0 AND rows > 0 THEN 'ok ' ELSE 'not ok ' END || {quoted(name)} || ': ' ||"
          f" rows * {len(pairs)} || ' answers, ' || wrong || ' mismatches' FROM (SELECT count(*) AS rows, {wrong} AS wrong FROM {table}) counted;")


def utf8(data):
    try:
        return data.decode() if b"\0" not in data else None
    except UnicodeDecodeError:
        return None


def golden():
    keys = [bytes.fromhex(line.strip()) for line in open(VECTORS / "keys.hex")]
    integers = open(VECTORS / "i64.txt").read().split()
    print("CREATE TEMP TABLE key_bytes (n int, b bytea, t text);")
    copy("key_bytes (n, b)", ((n, "\\x" + key.hex()) for n, key in enumerate(keys)))
    texts = [(n, text) for n, key in enumerate(keys) if (text := utf8(key)) is not None]
    print("UPDATE key_bytes SET t = convert_from(b, 'UTF8') WHERE n IN (" + ",".join(str(n) for n, _ in texts) + ");")
    print("CREATE TEMP TABLE key_integers (n int, i int8);")
    copy("key_integers", enumerate(integers))
    print("CREATE TEMP TABLE answers (line int, n int, answer text);")

    configurations, rows = [], []
    for file in ("modulo", "ring", "jump", "range", "slots"):
        for number, line in enumerate(open(VECTORS / f"{file}.tsv", encoding="utf8"), 1):
            options, answers = line.rstrip("\n").split("\t")
            words = options.split(" ")
            words = [word for word in words if word != "--json"]
            option = dict(zip(words[0::2], words[1::2]))
            # SQL has no routers of key parts, no `jump` of a number that is no key, and counts in int4.
            if "--locality" in option or option.get("--input") == "u64" or int(option.get("--buckets", 0)) >= 2**31:
                continue
            place = len(configurations)
            rows += [(place, n, answer) for n, answer in enumerate(answers.split(" "))]
            configurations.append((f"{file}.tsv line {number}", file, option))
    copy("answers", rows)
    print("CREATE INDEX ON answers (line, n); ANALYZE answers;")

    for place, (name, file, option) in enumerate(configurations):
        if option.get("--input") == "i64":
            sources = [("int8", "i", "key_integers")]
        else:
            sources = [("bytea", "b", "key_bytes")]
            # The splits of the vectors are bytes, some of them no text.
            if file != "range":
                sources.append(("text", "t", "(SELECT * FROM key_bytes WHERE t IS NOT NULL) texts"))
        for type_, column, table in sources:
            sql = expression(file, option, column, type_)
            compare(f"vectors {name} {type_}", f"{table} JOIN answers USING (n) WHERE line = {place}", [(sql, "answer")])


def expression(file, option, key, type_):
    encoding = f", encoding => {quoted(option['--encoding'])}" if "--encoding" in option else ""
    nodes = option.get("--nodes", "")
    named = "ARRAY[" + ",".join(quoted(node.split("=")[0]) for node in nodes.split(",")) + "]"
    hash_ = quoted(option.get("--hash", "xxh3"))
    if file == "slots":
        return f"atoll.slot_of({key}, {option['--slots']})"
    if file == "jump":
        return f"atoll.jump({key}, {option['--buckets']})"
    if file == "range":
        splits = option["--split-at"].split(",")
        if type_ == "bytea":
            splits = [f"'\\x{split}'" for split in splits]
        return f"atoll.range_of({key}, ARRAY[{','.join(splits)}]::{type_}[])"
    if file == "modulo":
        buckets = option.get("--buckets", nodes.count(",") + 1)
        return f"atoll.modulo({key}, {buckets}, {hash_}{encoding})"
    listed = f"'{{{','.join(quoted_element(node) for node in nodes.split(','))}}}'"
    if int(option["--replicas"]) > 1:
        return (f"(SELECT string_agg((array_position({named}, node) - 1)::text, ',' ORDER BY at) FROM"
                f" unnest(atoll.ring_nodes({key}, {listed}, {option['--replicas']}, {option['--vnodes']}, {hash_}{encoding})) WITH ORDINALITY r (node, at))")
    return f"array_position({named}, atoll.ring_node({key}, {listed}, {option['--vnodes']}, {hash_}{encoding})) - 1"


def quoted_element(node):
    return '"' + node.replace("\\", "\\\\").replace('"', '\\"') + '"'


def versions():
    """The rows of core/tests/compat/golden: clocks, relations, stamps, and text that is neither."""
    golden = VECTORS.parents[1] / "compat/golden"
    rows = [line.rstrip("\n").split("\t") for line in open(golden / "versions.tsv", encoding="utf8")]
    of = lambda kind: [row[1:] for row in rows if row[0] == kind]
    print("CREATE TEMP TABLE clock_rows (t text, hex text); CREATE TEMP TABLE compare_rows (a text, b text, word text, merged text);"
          " CREATE TEMP TABLE hlc_rows (t text, packed numeric, node text); CREATE TEMP TABLE stamp_rows (t text, hex text);"
          " CREATE TEMP TABLE bad_rows (type text, t text);")
    copy("clock_rows", of("clock"))
    copy("compare_rows", of("compare"))
    copy("hlc_rows", of("hlc"))
    copy("stamp_rows", (line.rstrip("\n").split("\t") for line in open(golden / "stamps.tsv", encoding="utf8")))
    copy("bad_rows", [("vclock", *row) for row in of("badclock")] + [("hlc", *row) for row in of("badhlc")])
    compare("golden clocks", "clock_rows", [("t::atoll.vclock", "t"), ("encode(atoll.vclock_send(t::atoll.vclock), 'hex')", "hex")])
    words = {"=": "equal", "<": "before", ">": "after", "||": "concurrent"}
    compare("golden relations", "compare_rows", [("atoll.compare(a::atoll.vclock, b::atoll.vclock)", "word"), ("a::atoll.vclock OPERATOR(atoll.+) b::atoll.vclock", "merged"),
            ("b::atoll.vclock OPERATOR(atoll.+) a::atoll.vclock", "merged")]
            + [(f"a::atoll.vclock OPERATOR(atoll.{sign}) b::atoll.vclock", f"(word = '{word}')::text") for sign, word in words.items()]
            + [(f"a::atoll.vclock OPERATOR(atoll.{sign}=) b::atoll.vclock", f"(word IN ('equal', '{words[sign]}'))::text") for sign in "<>"])
    compare("golden stamps", "hlc_rows", [("t::atoll.hlc", "t"), ("atoll.node(t::atoll.hlc)", "node"),
            ("extract(epoch FROM atoll.wall_time(t::atoll.hlc)) * 65536000 + atoll.counter(t::atoll.hlc) = packed", "'true'")])
    compare("golden stamps' bytes", "stamp_rows", [("encode(atoll.hlc_send(t::atoll.hlc), 'hex')", "hex")])
    print("""CREATE FUNCTION pg_temp.refused(type text, t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
    EXECUTE format('SELECT %L::atoll.%I', t, type);
    RETURN 'taken';
EXCEPTION WHEN invalid_text_representation THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN CASE WHEN detail ~ 'at (line 1 column|byte) [0-9]+$' THEN 'refused with its place' ELSE detail END;
END $$;""")
    compare("golden bad text", "bad_rows", [("pg_temp.refused(type, t)", "'refused with its place'")])


def engine(atoll, count):
    """The engine's own answers, by way of its command-line tool."""
    random.seed(20261123)
    alphabet = [chr(c) for c in range(32, 127)] + list("섬키é\t\u2603")

    def unique(make):
        found = {}
        while len(found) < count:
            found[make()] = None
        return list(found)

    text = lambda: "".join(random.choices(alphabet, k=random.choice((1, 5, 8, 13, 20, 33, 70, 300) if random.random() < 0.1 else (8, 13, 20))))
    integer = lambda bits: random.getrandbits(bits) - 2 ** (bits - 1) if random.random() < 0.7 else random.randrange(-5000, 5000)
    types = {
        "bytea": ("hex", unique(lambda: random.randbytes(random.randrange(1, 90)).hex())),
        "text": ("lines", unique(text)),
        "int2": ("i64", list(range(-(2**15), 2**15))),
        "int4": ("i64", unique(lambda: integer(32))),
        "int8": ("i64", unique(lambda: integer(64))),
        "uuid": ("hex", unique(lambda: random.randbytes(16).hex())),
    }
    for type_, (input_, keys) in types.items():
        lines = "".join(f"{key}\n" for key in keys).encode()
        # As words of a command line: no comma, no space, no option.
        splits = [key for key in keys[:40] if input_ != "lines" or not {",", " "} & set(key) and key[0] != "-"][:7]
        splits.sort(key=int if input_ == "i64" else str.encode)
        cast = {"hex": lambda key: f"'\\x{key}'" if type_ == "bytea" else f"'{key}'", "lines": quoted, "i64": str}[input_]
        routers = {
            "m1": (f"--algorithm modulo --buckets {PRIMES[0]}", f"atoll.modulo(x, {PRIMES[0]})"),
            "m2": (f"--algorithm modulo --buckets {PRIMES[1]}", f"atoll.modulo(x, {PRIMES[1]})"),
            "md5": ("--algorithm modulo --buckets 1000 --hash md5", "atoll.modulo(x, 1000, 'md5')"),
            "jump": ("--algorithm jump --buckets 1000", "atoll.jump(x, 1000)"),
            "ring": (f"--algorithm ring --nodes {NODES}", f"atoll.ring_node(x, '{{{NODES}}}')"),
            "sha1": (f"--algorithm ring --nodes {NODES} --hash sha1 --vnodes 40 --replicas 3",
                     f"array_to_string(atoll.ring_nodes(x, '{{{NODES}}}', 3, 40, 'sha1'), ',')"),
            "ranges": (f"--algorithm range --split-at {','.join(map(str, splits))}",
                       f"atoll.range_of(x, ARRAY[{','.join(map(cast, splits))}]::{type_}[])"),
        }
        if input_ == "i64":
            routers["decimal"] = (f"--algorithm ring --nodes {NODES} --hash md5 --encoding decimal",
                                  f"atoll.ring_node(x, '{{{NODES}}}', hash => 'md5', encoding => 'decimal')")
        answers = []
        for options, _ in routers.values():
            command = [atoll, "route", *options.split(" "), "--input", input_]
            out = subprocess.run(command, input=lines, capture_output=True, check=True).stdout.decode()
            answers.append([line.rsplit("\t", 1)[1] for line in out.removesuffix("\n").split("\n")])
        table = f"keys_{type_}"
        print(f"CREATE TEMP TABLE {table} (x {type_}, {', '.join(f'{name} text' for name in routers)});")
        bytea = "\\x" if type_ == "bytea" else ""
        copy(table, ((f"{bytea}{key}", *found) for key, *found in zip(keys, *answers, strict=True)))
        pairs = [(sql, name) for name, (_, sql) in routers.items()]
        # The two primes of hash64 itself, read as an unsigned number, and of the slot.
        unsigned = "((atoll.hash64(x)::numeric + 18446744073709551616) % 18446744073709551616)"
        pairs += [(f"{unsigned} % {PRIMES[0]}", "m1"), (f"{unsigned} % {PRIMES[1]}", "m2")]
        pairs += [(f"atoll.slot_of(x, {PRIMES[0]})", "m1"), (f"atoll.modulo(atoll.encode_key(x), {PRIMES[1]})", "m2")]
        compare(f"engine {len(keys)} keys of {type_}", table, pairs)


if __name__ == "__main__":
    print("\\set QUIET on\n\\set ON_ERROR_STOP on\n\\pset format unaligned\n\\pset tuples_only on\nSET client_encoding = 'UTF8';")
    golden()
    versions()
    engine(sys.argv[1], int(sys.argv[2]))
