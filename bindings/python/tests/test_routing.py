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
    splits = given.pop("split-at", "")
    if splits:
        splits = [
            atoll.encode_key(int(split), encoding=encoding) if kind == "i64" else bytes.fromhex(split)
            for split in splits.split(",")
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
    for wrong in (2**63, True, ()):
        with pytest.raises(atoll.InvalidArgument):
            atoll.encode_key(wrong)
    with pytest.raises(atoll.InvalidArgument, match="key encoding"):
        atoll.encode_key(1, encoding="roman")


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
