"""Arguments that are nearly right: refused, never wrapped, cut, rounded or taken for something else."""

import ctypes

import pytest

import atoll

WHOLE = [1.0, True, None, "1", b"1", 2.5]


@pytest.mark.parametrize("weight", [2**32, 2**32 + 1, 2**64, -1, -(2**32) + 1])
def test_weights_do_not_wrap(weight):
    ring = atoll.Router.ring(["a", "b"])
    for use in (
        lambda: ring.plan_add("c", weight), lambda: ring.with_node("c", weight), lambda: ring.plan_reweight("a", weight),
        lambda: ring.with_weight("a", weight), lambda: atoll.Router.ring([atoll.Node("a", weight)]),
        lambda: atoll.Router.ring([f"a={weight}"]),
    ):  # fmt: skip
        with pytest.raises(atoll.InvalidArgument):
            use()


@pytest.mark.parametrize("wrong", WHOLE)
def test_weights_are_whole_numbers(wrong):
    ring = atoll.Router.ring(["a", "b"])
    for use in (
        lambda: ring.plan_add("c", wrong), lambda: ring.with_weight("a", wrong), lambda: atoll.Router.ring([atoll.Node("a", wrong)]),
        lambda: ring.nodes(b"k", wrong), lambda: atoll.Router.jump(8).bucket_of(wrong),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            use()


def test_weights_in_text_are_ascii_digits():
    for wrong in ("a=٣", "a=²", "a=+1", "a=1_0", "a= 1", "a=1.0", "a="):
        with pytest.raises(atoll.InvalidArgument, match="weight"):
            atoll.Router.ring([wrong])
    assert atoll.Router.ring(["b", "a=0"]).node_list() == [("b", 1), ("a", 0)]


@pytest.mark.parametrize("shards", [2**32 + 1, 2**32, -1, 0, 65536, 10**30])
def test_numbers_of_shards_do_not_wrap(path, shards):
    for name in ("shards", "replicas"):
        with pytest.raises(atoll.InvalidArgument):
            atoll.open_cluster(path, **{"shards": 2, name: shards})
        with pytest.raises(atoll.InvalidArgument):
            atoll.open_cluster(path, **{"shards": 2, name: shards}, nodes=["a", "b"])
    assert not path.exists()


@pytest.mark.parametrize("shards", [1.0, True, "2", b"2"])
def test_numbers_of_shards_are_whole_numbers(path, shards):
    for name in ("shards", "replicas"):
        with pytest.raises(TypeError):
            atoll.open_cluster(path, **{"shards": 2, name: shards})
    assert not path.exists()


def test_one_name_is_no_list_of_names(path):
    for use in (
        lambda: atoll.Router.ring("abc"), lambda: atoll.Router.jump("abc"), lambda: atoll.Router.ring(b"abc"),
        lambda: atoll.Router.range("bcd"), lambda: atoll.Router.range(b"bcd"), lambda: atoll.Router.ring([1, 2]),
        lambda: atoll.Router.ring([("a", 1)]), lambda: atoll.Router.modulo(8.0), lambda: atoll.Router.modulo(True),
        lambda: atoll.open_cluster(path, shards=2, nodes="n1,n2"), lambda: atoll.open_cluster(path, shards=2, nodes=[1, 2]),
        lambda: atoll.resolver("node_priority", nodes="ab"),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            use()
    with pytest.raises(atoll.InvalidArgument, match="comma"):
        atoll.open_cluster(path, shards=1, nodes=["a,b"])
    assert not path.exists()


def test_one_key_is_no_list_of_keys(db):
    db["a"] = "1"
    for one in ("a", b"a", "", b"", bytearray(b"a")):
        for use in (db.get_many, db.snapshot().get_many, atoll.Router.modulo(8).route_many):
            with pytest.raises(TypeError, match="many keys"):
                use(one)
    assert db.get_many({"a": 1}) == [b"1"] and db.get_many(iter(())) == []


def test_numbers_are_no_keys(db):
    for wrong in (1, 1.0, True, None, (), [], {}, ctypes.c_int(5), ctypes.c_double(5)):
        for use in (db.get, db.__contains__, db.delete, db.get_view, lambda key: db.put(key, b""), lambda value: db.put(b"k", value)):
            with pytest.raises(TypeError):
                use(wrong)
    assert list(db) == []
    db[memoryview(b"abcdef")[1:3]] = (ctypes.c_char * 3)(b"x", b"y", b"z")
    assert list(db.scan()) == [(b"bc", b"xyz")]
    with pytest.raises(BufferError):
        db[memoryview(b"abcdef")[::2]]


def test_typed_keys_are_of_the_types_there_are():
    for wrong in (1.0, None, [1, 2], {1}, object(), (1, [2]), (1.0,), ("a", None), 1j, range(3)):
        with pytest.raises(TypeError, match="UUID"):
            atoll.encode_key(wrong)
    for wrong in (True, (False,), ("a", (True,)), 2**63, -(2**63) - 1, 10**40):
        with pytest.raises(atoll.InvalidArgument):
            atoll.encode_key(wrong)

    class Number:
        def __index__(self):
            return 42

    assert atoll.encode_key(Number()) == atoll.encode_key(42)
    with pytest.raises(atoll.InvalidArgument):
        atoll.encode_key(1, encoding=["binary"])


def test_limits_are_whole_numbers(db):
    db[b"a"] = db[b"b"] = b""
    for wrong in (1.0, True, False, "1", 0.0):
        with pytest.raises(TypeError):
            db.scan(limit=wrong)
    for wrong in (-1, 2**64, 10**30):
        with pytest.raises(atoll.InvalidArgument):
            db.scan(limit=wrong)
    assert len(list(db.keys(limit=2**64 - 1))) == 2
    with pytest.raises(TypeError):
        db.transact(lambda transaction: None, attempts=1.5)


def test_times_to_live_are_numbers_of_seconds(db):
    batch, transaction = db.batch(), db.transaction()
    for put in (db.put, batch.put, transaction.put):
        for wrong in (True, "1", b"1", 1j, [1]):
            with pytest.raises(TypeError, match="seconds"):
                put(b"k", b"v", ttl=wrong)
        for wrong in (0, -1, float("nan"), float("inf"), 1e300, 10**30):
            with pytest.raises(atoll.InvalidArgument, match="cannot live"):
                put(b"k", b"v", ttl=wrong)
    assert b"k" not in db and len(batch) == 0


def test_values_are_not_deleted_by_accident(db, tmp_path):
    with atoll.open_cluster(tmp_path / "cluster", shards=1) as cluster:
        for there in (db, cluster):
            there[b"k"] = b"v"
            with pytest.raises(TypeError):
                there.put(b"k", None)
            with pytest.raises(TypeError):
                there[b"k"] = None
            assert there[b"k"] == b"v"
        session = cluster.session()
        with pytest.raises(TypeError):
            session.put(b"k", None)
        assert cluster[b"k"] == b"v"


def test_options_are_not_cut_or_guessed(path):
    for wrong in ("manual\0", "manual\0xyz"):
        with pytest.raises(atoll.InvalidArgument, match="NUL"):
            atoll.open(path, compaction=wrong)
    for wrong in (1.5, None, b"1MiB", ["1MiB"]):
        with pytest.raises(TypeError):
            atoll.open(path, segment_max_bytes=wrong)
        with pytest.raises(TypeError):
            atoll.open_cluster(path, shards=1, segment_max_bytes=wrong)
    for wrong in (-1, 10**30, 0):
        with pytest.raises(atoll.InvalidArgument):
            atoll.open(path, segment_max_bytes=wrong)
    for wrong in ("no", 0, None, "false"):
        with pytest.raises(TypeError):
            atoll.open(path, create=wrong)
        with pytest.raises(TypeError):
            atoll.open(path, read_only=wrong)
    with pytest.raises(ValueError):
        atoll.open(str(path) + "\0")
    for wrong in (1.5, [160]):
        with pytest.raises(TypeError):
            atoll.Router.ring(["a"], vnodes=wrong)
    for wrong in (-1, 0, 2**32 + 1, True, "160x"):
        with pytest.raises(atoll.InvalidArgument):
            atoll.Router.ring(["a"], vnodes=wrong)
    with pytest.raises(atoll.InvalidArgument, match="NUL"):
        atoll.Router.from_json("{}\0")
    assert not path.exists() or not any(path.iterdir())


@pytest.mark.parametrize("name", [None, 0, True, ["synced"], "Synced", ""])
def test_levels_are_words(db, tmp_path, name):
    with atoll.open_cluster(tmp_path / "cluster", shards=1) as cluster:
        for use in (
            lambda: db.put(b"k", b"v", durability=name), lambda: db.delete(b"k", durability=name),
            lambda: db.batch(durability=name), lambda: db.transaction(durability=name),
            lambda: cluster.put(b"k", b"v", durability=name), lambda: cluster.get(b"k", consistency=name),
        ):  # fmt: skip
            with pytest.raises(atoll.InvalidArgument):
                use()


def test_clocks_are_made_of_names_and_counts():
    for wrong in (0, False, b"", [], (), [("A", 1)], {1: 1}, {None: 1}, {True: 1}, {b"A": 1}, {"A": 1.0}, {"A": True}, {"A": "1"}):
        with pytest.raises(TypeError):
            atoll.VectorClock(wrong)
    for wrong in ({"A": -1}, {"A": 2**64}, '{"A":1,"A":2}', "", "null", '{"A":1.0}', "{}{}"):
        with pytest.raises(atoll.InvalidArgument):
            atoll.VectorClock(wrong)
    assert atoll.VectorClock({}) == atoll.VectorClock() == atoll.VectorClock("{}")
    assert atoll.VectorClock({"A": 2**64 - 1})["A"] == 2**64 - 1


def test_handles_are_made_by_the_calls_that_make_them():
    class Store(atoll.Store):
        def __new__(cls):
            return object.__new__(cls)

    for make in (
        atoll.Store, atoll.Snapshot, atoll.Transaction, atoll.Cluster, atoll.Router, atoll.Resolver, Store,
        lambda: object.__new__(atoll.Store), lambda: object.__new__(atoll.VectorClock),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            make()
