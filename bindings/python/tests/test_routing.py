"""Routers, typed keys and vector clocks, against the answers that every language must give."""

import pickle
import uuid

import pytest

import atoll
from conftest import ROOT

VECTORS = ROOT / "core/tests/routing/vectors"
FORMATS = (
    "modulo ring jump hrw maglev ketama ketama-copies ketama-uhashring nginx redis cassandra range slots".split()
)  # fmt: skip


def keys_of(kind, encoding):
    if kind == "hex":
        return [bytes.fromhex(line) for line in (VECTORS / "keys.hex").read_text().split("\n")[:-1]]
    numbers = [int(line) for line in (VECTORS / f"{kind}.txt").read_text().split()]
    return numbers if kind == "u64" else [atoll.encode_key(number, encoding=encoding) for number in numbers]


def configured(options):
    """A router from the options of `atoll route`, and how to ask it."""
    words, given = options.split(" "), {}
    while words:
        name = words.pop(0).removeprefix("--")
        given[name] = words.pop(0) if name != "json" else True
    algorithm, kind = given.pop("algorithm"), given.pop("input", "hex")
    encoding, by_number = given.pop("encoding", "binary"), given.pop("json", False)
    replicas = int(given.pop("replicas", 1))
    nodes = given.pop("nodes", None)
    names = [node.rpartition("=")[0] or node for node in nodes.split(",")] if nodes else []
    splits = [
        atoll.encode_key(int(split), encoding=encoding) if kind == "i64" else bytes.fromhex(split)
        for split in given.pop("split-at", "").split(",") if split
    ]  # fmt: skip
    settings = {name.replace("-", "_"): value for name, value in given.items()}
    if "buckets" in settings:
        nodes = int(settings.pop("buckets"))
    elif nodes:
        nodes = nodes.split(",")
    router = atoll.Router._build(algorithm, nodes, splits, encoding=encoding, **settings)

    def ask(key):
        if kind == "u64":
            return str(router.bucket_of(key))
        if by_number or not names:
            return str(router.number(key))
        return ",".join(str(names.index(name)) for name in router.nodes(key, replicas))

    return router, keys_of(kind, encoding), ask


@pytest.mark.parametrize("name", FORMATS)
def test_routers_answer_as_the_vectors_say(name):
    compared = 0
    for line in (VECTORS / f"{name}.tsv").read_text().split("\n")[:-1]:
        options, answers = line.split("\t")
        router, keys, ask = configured(options)
        answers = answers.split(" ")
        assert len(keys) == len(answers)
        for key, answer in zip(keys, answers, strict=True):
            if answer != "x":
                assert ask(key) == answer, (options, key)
                compared += 1
        assert atoll.Router.from_bytes(router.to_bytes()) == router
        assert atoll.Router.from_json(router.to_json()).to_bytes() == router.to_bytes()
    assert compared > 1000


@pytest.mark.parametrize("name", ["topology-1-hash", "topology-1-range", "topology-1-features"])
def test_topologies_are_routers(name):
    data = bytes.fromhex((ROOT / f"core/tests/routing/golden/{name}.hex").read_text())
    router = atoll.Router.from_bytes(data)
    assert router.version() > 0 and router.node_list()
    with pytest.raises(atoll.Corrupt, match="damaged"):
        atoll.Router.from_bytes(data[:-1])


def test_many_keys_are_routed_at_once():
    keys = [b"key-%d" % i for i in range(3000)]
    ring = atoll.Router.ring(["a", "b=2", "c"], vnodes=100, hash="sha1")
    assert ring.route_many(keys) == [ring.node(key) for key in keys]
    numbered = atoll.Router.modulo(8)
    assert numbered.route_many(keys) == [numbered.node(key) for key in keys]
    assert set(numbered.route_many(keys)) == set(range(8))
    assert set(atoll.Router.jump(["x", "y"]).route_many(keys)) == {"x", "y"}
    assert ring.route_many([]) == []


def test_plans_say_what_moves():
    ring = atoll.Router.ring(["a", "b", "c"])
    plan = ring.plan_add("d")
    assert plan["moved_between_old_nodes"] == 0 and 0.1 < plan["moved"] < 0.4
    after = ring.with_node("d")
    moved = [key for key in (b"%d" % i for i in range(2000)) if ring.node(key) != after.node(key)]
    assert moved and all(after.node(key) == "d" for key in moved)
    assert after.without_node("d") == ring
    assert ring.plan_remove("a")["moved"] > 0
    slots = atoll.Router.slots(["a", "b"], slots=64, replicas=2)
    assert slots.plan_add("c", 2)["slots"]["moves"]
    assert slots.nodes(b"k", 9) == slots.nodes(b"k", 2)
    with pytest.raises(atoll.InvalidArgument):
        ring.plan_remove("nobody")


def test_routers_refuse_what_they_cannot_be():
    for make in (
        lambda: atoll.Router.ring([]),
        lambda: atoll.Router.ring(["a", "a"]),
        lambda: atoll.Router.ring(["a=x"]),
        lambda: atoll.Router.ring(["a"], hash="md4"),
        lambda: atoll.Router.jump(0),
        lambda: atoll.Router.maglev(["a"], table_size=10),
        lambda: atoll.Router.range([b"b", b"a"]),
        lambda: atoll.Router.from_json("{}"),
        lambda: atoll.Router.jump(4).nodes(b"k", 2),
        lambda: atoll.Router.ring(["a"]).bucket_of(1),
    ):
        with pytest.raises(atoll.InvalidArgument):
            make()
    with pytest.raises(TypeError):
        atoll.Router.ring(["a"]).node(7)


def test_routers_travel():
    ring = atoll.Router.ring(["a", "b=2", "섬"])
    assert pickle.loads(pickle.dumps(ring)) == ring and hash(ring) == hash(pickle.loads(pickle.dumps(ring)))
    assert ring.node_list() == [("a", 1), ("b", 2), ("섬", 1)]


def test_typed_keys_keep_their_order():
    numbers = [-(2**63), -1, 0, 1, 42, 2**63 - 1]
    encoded = [atoll.encode_key(number) for number in numbers]
    assert encoded == sorted(encoded) and all(len(key) == 8 for key in encoded)
    assert atoll.encode_key(-1, encoding="decimal") == b"-1"
    assert atoll.encode_key("섬") == "섬".encode()
    assert atoll.encode_key(uuid.UUID(int=5)) == bytes(15) + b"\5"
    tuples = [("a", 1), ("a", 2), ("a\0", 0), ("b", -1)]
    encoded = [atoll.encode_key(one) for one in tuples]
    assert encoded == sorted(encoded)
    for wrong in (2**63, True, (1, (2, -(2**63) - 1))):
        with pytest.raises(atoll.InvalidArgument):
            atoll.encode_key(wrong)
    with pytest.raises(atoll.InvalidArgument, match="key encoding"):
        atoll.encode_key(1, encoding="roman")


def typed(words):
    """The tuple that a line such as `t:61 ( i:1 ) b:` speaks of."""
    found = [[]]
    for word in words.split():
        if word == "(":
            found.append([])
        elif word == ")":
            inner = tuple(found.pop())
            found[-1].append(inner)
        else:
            kind, text = word.split(":")
            data = bytes.fromhex(text) if kind != "i" else b""
            found[-1].append({"t": data.decode, "b": lambda: data, "u": lambda: uuid.UUID(bytes=data), "i": lambda: int(text)}[kind]())
    return tuple(found[0])


def test_typed_keys_are_those_of_every_language():
    compared = 0
    for line in (VECTORS / "key-encoding.tsv").read_text().split("\n")[:-1]:
        kind, given, *rest = line.split("\t")
        match kind:
            case "int":
                assert atoll.encode_key(int(given), encoding=rest[0]).hex() == rest[1]
            case "text":
                assert atoll.encode_key(bytes.fromhex(given).decode()).hex() == rest[0]
            case "uuid":
                assert atoll.encode_key(uuid.UUID(hex=given)).hex() == rest[0]
            case "tuple":
                assert atoll.encode_key(typed(given)).hex() == rest[0], given
                assert atoll.decode_key(bytes.fromhex(rest[0])) == typed(given)
            case "bigint":
                with pytest.raises(atoll.InvalidArgument):
                    atoll.encode_key(int(given))
            case "badtuple":
                with pytest.raises(atoll.InvalidArgument):
                    atoll.decode_key(bytes.fromhex(given))
            case "badtext":
                # No str is such a text: what comes nearest to it is refused as well.
                with pytest.raises(ValueError):
                    atoll.encode_key(bytes.fromhex(given).decode(errors="surrogateescape"))
            case _:
                raise AssertionError(line)
        compared += 1
    assert compared == 340


def test_different_keys_have_different_bytes():
    some = [
        1, (1,), ((1,),), (1, ()), ("a", (b"b",)), ("a", b"b"), ("a", "b"), (("a",), "b"), "a", ("a",), (b"a",), ("a", ("b",)),
        (uuid.UUID(int=1),), (uuid.UUID(int=1).bytes,), (1, 2), ((1, 2),), ("a", (1,)), ("a", b"\1"),
    ]  # fmt: skip
    assert len({atoll.encode_key(one) for one in some}) == len(some)
    deep = ()
    for _ in range(32):
        deep = (deep,)
    assert atoll.decode_key(atoll.encode_key(deep)) == deep
    for _ in range(100000):
        deep = (deep,)
    with pytest.raises(atoll.InvalidArgument, match="within each other"):
        atoll.encode_key(deep)


def test_places_are_those_of_every_language():
    compared = {"topology": 0, "key": 0, "outside": 0}
    topology = names = None
    for line in (VECTORS / "locate.tsv").read_text().split("\n")[:-1]:
        kind, *rest = line.split("\t")
        compared[kind] += 1
        if kind == "topology":
            _, version, places, shards, nodes, data = rest
            topology = atoll.Router.from_bytes(bytes.fromhex(data))
            names = [node.name for node in topology.node_info()]
            assert [topology.version(), topology.places(), topology.shard_count(), len(names)] == [
                int(version), int(places), int(shards), int(nodes),
            ]  # fmt: skip
            continue
        key = bytes.fromhex(rest[0])
        if kind == "outside":
            with pytest.raises(atoll.InvalidArgument):
                topology.locate(key)
            continue
        slot, shard, phase, moving_to, residency, owners = rest[1:]
        place = topology.locate(key)
        assert place == (topology.version(), int(slot), int(shard), phase, int(moving_to), int(residency))
        assert topology.slot_at(place.slot) == place
        owners = [names[int(number)] for number in owners.split(",")]
        assert topology.shard_nodes(place.shard) == owners == topology.nodes(key, 8)
    assert compared == {"topology": 3, "key": 1016, "outside": 70}
    with pytest.raises(IndexError):
        topology.slot_at(topology.places())
    with pytest.raises(IndexError):
        topology.shard_nodes(topology.shard_count())
    with pytest.raises(atoll.InvalidArgument):
        atoll.Router.ring(["a"]).locate(b"k")


def test_nodes_have_places_that_keep_copies_apart():
    nodes = [atoll.Node(f"n{i}", 1 + i % 2, f"zone{i % 3}", f"rack{i}") for i in range(6)]
    slots = atoll.Router.slots(nodes, slots=64, replicas=3)
    assert slots.node_info() == nodes and slots.algorithm() == "slots" and slots.encoding() == "binary"
    zones = {node.name: node.zone for node in nodes}
    assert all(len({zones[name] for name in slots.nodes(b"%d" % i, 3)}) == 3 for i in range(200))
    after = atoll.Router.ring(["a", "b"]).with_weight("a", 3)
    assert after == atoll.Router.ring(["a=3", "b"])
    assert after.plan_reweight("a", 1)["moved"] > 0
    change = {"add": {"name": "c", "weight": 2}}
    assert after.with_change(change) == atoll.Router.ring(["a=3", "b", "c=2"])
    assert after.plan(change)["moved_between_old_nodes"] == 0
    with pytest.raises(atoll.InvalidArgument):
        after.plan({"melt": "a"})


def test_clocks_are_those_of_every_language():
    compared = 0
    for line in (ROOT / "core/tests/compat/golden/versions.tsv").read_text().split("\n"):
        kind, *rest = line.split("\t")
        if kind != "clock":
            continue
        text, data = rest[0], bytes.fromhex(rest[1])
        clock = atoll.VectorClock.from_bytes(data)
        assert str(clock) == text and atoll.VectorClock(text).to_bytes() == data
        assert atoll.VectorClock(clock.to_dict()) == clock
        compared += 1
    assert compared > 10


def test_stamps_are_those_of_every_language():
    compared, last = 0, None
    for line in (ROOT / "core/tests/compat/golden/versions.tsv").read_text().split("\n"):
        kind, *rest = line.split("\t")
        if kind == "hlc":
            text, packed, node = rest
            stamp = atoll.Stamp.from_text(text)
            assert stamp == (int(packed), node) == atoll.Stamp.at(stamp.wall_ms, stamp.counter, node)
            assert str(stamp) == text and atoll.Stamp.from_bytes(stamp.to_bytes()) == stamp
            compared += 1
        elif kind == "badhlc":
            with pytest.raises(atoll.InvalidArgument):
                atoll.Stamp.from_text(rest[0])
            compared += 1
        elif kind == "compare":
            a, b, answer, merged = rest
            clock = atoll.VectorClock(a)
            assert clock.compare(atoll.VectorClock(b)) == answer
            clock.merge(atoll.VectorClock(b))
            assert str(clock) == merged
            compared += 1
        elif kind == "badclock":
            with pytest.raises(atoll.InvalidArgument):
                atoll.VectorClock(rest[0])
            compared += 1
    assert compared > 30
    for line in (ROOT / "core/tests/compat/golden/stamps.tsv").read_text().split("\n")[:-1]:
        text, data = line.split("\t")
        stamp = atoll.Stamp.from_text(text)
        assert stamp.to_bytes().hex() == data and atoll.Stamp.from_bytes(bytes.fromhex(data)) == stamp
        if last is not None:
            assert atoll.compare_stamps(last.to_bytes(), stamp.to_bytes()) == (last > stamp) - (last < stamp)
        last, compared = stamp, compared + 1
    assert compared > 100
    with pytest.raises(atoll.Corrupt):
        atoll.Stamp.from_bytes(b"\xff")
    for wrong in (lambda: atoll.Stamp.at(1 << 48, 0, "a"), lambda: atoll.Stamp.at(0, 65536, "a"), lambda: atoll.Stamp.at(0, 0, "")):
        with pytest.raises(atoll.InvalidArgument):
            wrong()


def test_clocks_know_what_came_first():
    a = atoll.VectorClock({"A": 1})
    b = a.copy()
    assert a.compare(b) == "equal" and a == b
    assert b.tick("B") == 1
    assert a.compare(b) == "before" and b.compare(a) == "after"
    a.tick("A")
    assert a.compare(b) == "concurrent"
    a.merge(b)
    assert a.to_dict() == {"A": 2, "B": 1} and a["B"] == 1 and a["C"] == 0
    assert pickle.loads(pickle.dumps(a)) == a and repr(a) == """VectorClock('{"A":2,"B":1}')"""
    for wrong in ({"": 1}, {"A": -1}, "[]", {"A": 2**64}):
        with pytest.raises(atoll.InvalidArgument):
            atoll.VectorClock(wrong)
    with pytest.raises(TypeError):
        a.merge({"A": 1})
    with pytest.raises(atoll.Corrupt, match="damaged"):
        atoll.VectorClock.from_bytes(b"\x09")
