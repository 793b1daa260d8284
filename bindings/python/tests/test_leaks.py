"""Every operation, thousands of times: what it holds is given back, also when it fails.

Measured is anonymous memory of the process; mapped files come and go with the segments. What lost objects could hide in, memory that earlier
work has freed, is used up or given back before. A leak grows in every round, noise does not, so the smallest growth of a few rounds counts: an
object of 100 bytes lost in each call is seen, as the first and the last test show.
"""

import contextlib
import ctypes
import gc
import threading

import pytest

import atoll
from atoll import Version

CALLS, ROUNDS = 12000, 4
LOST = 60  # bytes a call


_trim = ctypes.CDLL(None).malloc_trim


@pytest.fixture(scope="module", autouse=True)
def used_up():
    """Takes the places that freed small objects have left."""
    ballast = []
    for size in reversed(range(48, 1025, 16)):
        ballast += [bytes(size - 33) for _ in range((2 << 20) // size)]
    yield
    del ballast


def anonymous():
    gc.collect()
    _trim(0)
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon:"))


def growth(operation, calls=CALLS):
    """Bytes a call that memory has grown by in the best of some rounds."""
    best = None
    for _ in range(calls // 2):
        operation()
    for _ in range(ROUNDS):
        before = anonymous()
        for _ in range(calls):
            operation()
        grown = (anonymous() - before) / calls
        best = grown if best is None else min(best, grown)
        if best < LOST:
            break
    return best


def lose():
    """Takes a reference that nobody gives back, to an object of 100 bytes."""
    forget = ctypes.pythonapi.Py_IncRef
    forget.argtypes = [ctypes.py_object]
    forget(bytes(67))


def test_the_measure_sees_a_lost_object_of_100_bytes():
    assert growth(lose) > LOST


def slug(name):
    """A name without spaces, as the lines of the test report need it."""
    return name.replace(" ", "-")


def failing(kind, call, *arguments, **keywords):
    """The operation, which fails."""

    def operation():
        try:
            call(*arguments, **keywords)
        except kind:
            return
        raise AssertionError("it did not fail")

    return operation


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Stores and handles for the operations: filled once."""

    class World:
        pass

    made, place = World(), tmp_path_factory.mktemp("leaks")
    made.path = place
    made.db = atoll.open(place / "store", compaction="manual", segment_max_bytes="1MiB")
    for i in range(200):
        made.db[b"%03d" % i] = b"v" * 100
    made.db[BUFFER] = b"v" * 100
    made.db[b"large"] = b"v" * 5000
    made.closed = atoll.open(place / "closed")
    made.closed_snapshot = made.closed.snapshot()
    made.closed.close()
    made.snapshot = made.db.snapshot()
    made.released = made.db.snapshot()
    made.released.release()
    made.cluster = atoll.open_cluster(place / "cluster", shards=2, replicas=1, segment_max_bytes="1MiB")
    made.token = made.cluster.put(b"k", b"v", durability="buffered")
    made.ring = atoll.Router.ring(["a", "b=2", "c"], vnodes=4)
    made.slots = atoll.Router.slots(["a", "b"], slots=8, replicas=2)
    made.ended = made.db.transaction()
    made.ended.commit()
    made.versions = [Version(b"a", node=1), Version(b"b", node=2)]
    made.session = made.cluster.session(made.token)
    made.siblings = atoll.SiblingSet()
    made.siblings.put(made.versions[0])
    made.clock = atoll.HybridClock()
    yield made
    made.cluster.close()
    made.db.close()


KEYS = [b"%03d" % i for i in range(5)]
LONG = b"k" * 70000
# Copied by each call that takes it: large enough that a lost copy is seen.
BUFFER = bytearray(b"k" * 100)


class Raising:
    """Neither bytes nor a number, and says so in its own way."""

    def __index__(self):
        raise ZeroDivisionError

    def __iter__(self):
        yield b"k"
        raise ZeroDivisionError


def raising_rule(key, versions):
    raise ValueError("on purpose")


def rolled_back(db):
    transaction = db.transaction()
    transaction[b"a"] = b"1"
    transaction.get(b"000"), transaction.get(b"a")
    list(transaction.scan(b"000", b"003"))
    transaction.delete(b"b")
    transaction.rollback()


def emptied_batch(db):
    batch = db.batch()
    batch[b"a"] = b"v" * 100
    batch.delete(b"b")
    assert len(batch) == 2
    batch.clear()


def counted_clock():
    clock = atoll.VectorClock({"A": 1})
    clock.tick("B"), clock.get("B"), clock.merge(clock.copy()), clock.compare(atoll.VectorClock.from_bytes(clock.to_bytes()))
    str(clock)


def siblings_of_two(versions):
    here = atoll.SiblingSet()
    for version in versions:
        here.apply(atoll.SiblingSet().put(version))
    assert len(here.values()) == 2 and here.context and here == here.from_bytes(here.to_bytes())
    here.merge(here)
    here.resolve(atoll.resolver("lww"), BUFFER)


# Name, operation of the world, and calls if they are not CALLS.
OPERATIONS = {
    "get": lambda w: lambda: w.db.get(b"000"),
    "get of none": lambda w: lambda: w.db.get(b"none"),
    "get of a large one": lambda w: lambda: w.db.get(b"large"),
    "get by a buffer": lambda w: lambda: w.db.get(BUFFER),
    "get by str": lambda w: lambda: w.db.get("섬" * 20),
    "get of a wrong type": lambda w: failing(TypeError, w.db.get, 7),
    "get of a key that is too long": lambda w: failing(atoll.InvalidArgument, w.db.get, LONG),
    "get after close": lambda w: failing(atoll.Closed, w.closed.get, b"k"),
    "subscript": lambda w: lambda: w.db[b"000"],
    "subscript of none": lambda w: failing(KeyError, w.db.__getitem__, b"none"),
    "contains": lambda w: lambda: (b"000" in w.db, b"none" in w.db),
    "get_view": lambda w: lambda: bytes(w.db.get_view(b"large")),
    "get_view of none": lambda w: lambda: w.db.get_view(b"none"),
    "get_view that fails": lambda w: failing(atoll.Closed, w.closed.get_view, b"k"),
    "get_version": lambda w: lambda: (w.db.get_version(b"000"), w.db.get_version(b"none")),
    "get_version that fails": lambda w: failing(atoll.Closed, w.closed.get_version, b"k"),
    "get_many": lambda w: lambda: w.db.get_many(KEYS),
    "get_many of large ones": lambda w: lambda: w.db.get_many([b"large", b"none"]),
    "get_many of a generator": lambda w: lambda: w.db.get_many(key for key in KEYS),
    "get_many of a wrong one": lambda w: failing(TypeError, w.db.get_many, [*KEYS, 7]),
    "get_many of one that raises": lambda w: failing(ZeroDivisionError, w.db.get_many, Raising()),
    "get_many after close": lambda w: failing(atoll.Closed, w.closed.get_many, KEYS),
    "get_many of a released snapshot": lambda w: failing(atoll.Closed, w.released.get_many, KEYS),
    "snapshot": lambda w: lambda: w.db.snapshot().release(),
    "snapshot that is dropped": lambda w: lambda: w.db.snapshot().lsn(),
    "snapshot after close": lambda w: failing(atoll.Closed, w.closed.snapshot),
    "snapshot get": lambda w: lambda: (w.snapshot.get(b"000"), w.snapshot.get(b"none", 7), w.snapshot.get_version(b"000")),
    "snapshot get_many": lambda w: lambda: w.snapshot.get_many(KEYS),
    "snapshot get that fails": lambda w: failing(atoll.Closed, w.released.get, BUFFER),
    "snapshot get after close": lambda w: failing(atoll.Closed, w.closed_snapshot.get, b"k"),
    "scan": lambda w: lambda: list(w.db.scan(BUFFER, b"005")),
    "scan that is left": lambda w: lambda: next(w.db.scan()),
    "scan that is sent": lambda w: lambda: w.db.scan().seek(BUFFER),
    "scan that cannot be sent": lambda w: failing(atoll.Error, w.db.transaction().scan(limit=1).seek, BUFFER),
    "keys backwards": lambda w: lambda: list(w.db.keys(prefix="00", reverse=True, limit=3)),
    "scan of a snapshot": lambda w: lambda: list(w.snapshot.scan(b"000", b"003")),
    "scan of a released snapshot": lambda w: failing(atoll.Closed, w.released.scan, BUFFER, BUFFER),
    "scan of a wrong type": lambda w: failing(TypeError, w.db.scan, BUFFER, 7),
    "scan of a wrong limit": lambda w: failing(TypeError, w.db.scan, BUFFER, limit=Raising),
    "scan after close": lambda w: failing(atoll.Closed, w.closed.scan, BUFFER),
    "approximate": lambda w: lambda: w.db.approximate(b"000", b"003"),
    "approximate after close": lambda w: failing(atoll.Closed, w.closed.approximate, BUFFER),
    "stats": lambda w: lambda: w.db.stats(),
    "stats after close": lambda w: failing(atoll.Closed, w.closed.stats),
    "put of a wrong type": lambda w: failing(TypeError, w.db.put, BUFFER, 7),
    "put of a wrong ttl": lambda w: failing(atoll.InvalidArgument, w.db.put, b"k", b"v", ttl=-1),
    "put of a key that is too long": lambda w: failing(atoll.InvalidArgument, w.db.put, bytearray(LONG), BUFFER),
    "put after close": lambda w: failing(atoll.Closed, w.closed.put, BUFFER, BUFFER),
    "delete after close": lambda w: failing(atoll.Closed, w.closed.delete, BUFFER),
    "del of none": lambda w: failing(KeyError, w.db.__delitem__, b"none"),
    "compare_and_set that is refused": lambda w: lambda: w.db.compare_and_set(BUFFER, BUFFER, BUFFER),
    "compare_and_set by version": lambda w: lambda: w.db.compare_and_set(b"000", w.db.get_version(b"001"), b"y"),
    "compare_and_set of a wrong type": lambda w: failing(TypeError, w.db.compare_and_set, BUFFER, BUFFER, 7),
    "batch": lambda w: lambda: emptied_batch(w.db),
    "batch of many": lambda w: lambda: w.db.batch().put_many([(BUFFER, BUFFER), (b"b", b"")]),
    "batch of many with a wrong one": lambda w: failing(TypeError, w.db.batch().put_many, [(BUFFER, BUFFER), (BUFFER, 7)]),
    "batch of a wrong type": lambda w: failing(TypeError, w.db.batch().put, BUFFER, 7),
    "batch of none": lambda w: lambda: w.db.batch().write(),
    "batch of no store": lambda w: failing(atoll.InvalidArgument, lambda: atoll.Batch().write()),
    "batch after close": lambda w: failing(atoll.Closed, lambda: w.closed.batch().write()),
    "transaction": lambda w: lambda: rolled_back(w.db),
    "transaction that writes nothing": lambda w: lambda: w.db.transact(lambda transaction: transaction.get(b"000")),
    "transaction after its end": lambda w: failing(atoll.Closed, w.ended.get, BUFFER),
    "transaction scan after its end": lambda w: failing(atoll.Closed, w.ended.scan, BUFFER),
    "transaction put after its end": lambda w: failing(atoll.Closed, w.ended.put, BUFFER, BUFFER),
    "open with a wrong option": lambda w: failing(atoll.InvalidArgument, atoll.open, w.path / "no", segment_max_byte="1"),
    "open of a store that is open": lambda w: failing(atoll.Locked, atoll.open, w.path / "store"),
    "open of a store that is not there": lambda w: failing(atoll.Error, atoll.open, w.path / "no", create=False),
    "options": lambda w: lambda: atoll.options(),
    "cluster get": lambda w: lambda: w.cluster.get(BUFFER),
    "cluster get with a token": lambda w: lambda: w.cluster.get(b"none", consistency="read_your_writes", token=bytearray(w.token)),
    "cluster get with a wrong token": lambda w: failing(
        atoll.InvalidArgument, w.cluster.get, BUFFER, consistency="read_your_writes", token=BUFFER
    ),
    "cluster get of a wrong type": lambda w: failing(TypeError, w.cluster.get, 7, consistency="eventual", token=BUFFER),
    "cluster put of a wrong type": lambda w: failing(TypeError, w.cluster.put, BUFFER, None),
    "cluster put of a key that is too long": lambda w: failing(atoll.InvalidArgument, w.cluster.put, bytearray(LONG), b"v"),
    "cluster write of nothing": lambda w: failing(atoll.InvalidArgument, w.cluster.write, atoll.Batch()),
    "cluster scan": lambda w: lambda: list(w.cluster.scan(BUFFER, limit=3)),
    "cluster scan of a wrong type": lambda w: failing(TypeError, w.cluster.scan, BUFFER, 7, token=BUFFER),
    "cluster count": lambda w: lambda: w.cluster.count(),
    "cluster router": lambda w: lambda: w.cluster.router(),
    "cluster status": lambda w: lambda: w.cluster.status(),
    "cluster session": lambda w: lambda: w.cluster.session().get(b"k"),
    "cluster get_many": lambda w: lambda: w.cluster.get_many(KEYS + [BUFFER]),
    "cluster get_many of a wrong one": lambda w: failing(TypeError, w.cluster.get_many, [*KEYS, 7], token=BUFFER),
    "cluster get_many with a wrong token": lambda w: failing(
        atoll.InvalidArgument, w.cluster.get_many, KEYS, consistency="read_your_writes", token=BUFFER
    ),
    "cluster approximate": lambda w: lambda: w.cluster.approximate(BUFFER, b"l"),
    "cluster approximate of a wrong slot": lambda w: failing(atoll.InvalidArgument, w.cluster.approximate, BUFFER, slot=10**6),
    "cluster delete_range of a wrong type": lambda w: failing(TypeError, w.cluster.delete_range, BUFFER, 7),
    "cluster plan": lambda w: lambda: w.cluster.plan({"add": {"name": "n9"}}),
    "cluster plan that is none": lambda w: failing(atoll.InvalidArgument, w.cluster.plan, {"melt": 1}),
    "cluster rebalance that is refused": lambda w: failing(atoll.InvalidArgument, w.cluster.rebalance, {"remove": "n9"}),
    "cluster resume": lambda w: lambda: (w.cluster.resume_rebalance(), w.cluster.events()),
    "cluster health": lambda w: lambda: (w.cluster.health(), w.cluster.metrics()),
    "session reads": lambda w: lambda: (w.session.get(BUFFER), w.session.get_many(KEYS), list(w.session.scan(BUFFER)), w.session.count()),
    "session token": lambda w: lambda: w.cluster.session(bytearray(w.token)).token,
    "session that sees nonsense": lambda w: failing(atoll.InvalidArgument, w.session.see, BUFFER),
    "session put of a wrong type": lambda w: failing(TypeError, w.session.put, BUFFER, None),
    "load out of order": lambda w: failing(atoll.InvalidArgument, w.db.load, [(BUFFER, BUFFER), (b"a", b"")]),
    "load of a wrong type": lambda w: failing(TypeError, w.db.load, [(BUFFER, 7)]),
    "load after close": lambda w: failing(atoll.Closed, w.closed.load, []),
    "health": lambda w: lambda: (w.db.health(), w.db.metrics()),
    "health after close": lambda w: failing(atoll.Closed, w.closed.health),
    "metrics after close": lambda w: failing(atoll.Closed, w.closed.metrics),
    "delete_range of a wrong type": lambda w: failing(TypeError, w.db.delete_range, BUFFER, 7),
    "delete_range after close": lambda w: failing(atoll.Closed, w.closed.delete_range, BUFFER),
    "backup onto itself": lambda w: failing(atoll.InvalidArgument, w.db.backup, w.path / "store"),
    "restore of what is no backup": lambda w: failing(atoll.InvalidArgument, atoll.restore, w.path / "store", w.path / "no"),
    "repair of what is open": lambda w: failing(atoll.Locked, atoll.repair, w.path / "store", w.path / "no"),
    "logger of a wrong level": lambda w: failing(atoll.InvalidArgument, atoll.set_logger, print, "loud"),
    "tokens": lambda w: lambda: atoll.merge_tokens(w.token, b""),
    "tokens that are none": lambda w: failing(atoll.InvalidArgument, atoll.merge_tokens, w.token, b"no"),
    "open_cluster of one that is open": lambda w: failing(atoll.Locked, atoll.open_cluster, w.path / "cluster"),
    "router": lambda w: lambda: atoll.Router.ring([atoll.Node("a", 2), "b=2"], vnodes=4, hash="sha1"),
    "router of ranges": lambda w: lambda: atoll.Router.range([BUFFER, b"l"]),
    "router that is refused": lambda w: failing(atoll.InvalidArgument, atoll.Router.ring, ["a", "a"]),
    "router of a wrong weight": lambda w: failing(TypeError, atoll.Router.ring, [atoll.Node("a", 1.5)]),
    "router of a wrong split": lambda w: failing(TypeError, atoll.Router.range, [BUFFER, 7]),
    "router bytes": lambda w: lambda: atoll.Router.from_bytes(w.ring.to_bytes()),
    "router bytes that are damaged": lambda w: failing(atoll.Corrupt, atoll.Router.from_bytes, w.ring.to_bytes()[:-1]),
    "router json": lambda w: lambda: atoll.Router.from_json(w.ring.to_json()),
    "router json that is none": lambda w: failing(atoll.InvalidArgument, atoll.Router.from_json, "{}"),
    "route": lambda w: lambda: (w.ring.node(BUFFER), w.ring.nodes(b"k", 3), w.ring.number("k"), w.ring.node_list()),
    "route of a wrong type": lambda w: failing(TypeError, w.ring.nodes, 7, 2),
    "route_many": lambda w: lambda: w.ring.route_many(KEYS),
    "route_many of a wrong one": lambda w: failing(TypeError, w.ring.route_many, [*KEYS, None]),
    "places": lambda w: lambda: (w.slots.locate(b"k"), w.slots.slot_at(1), w.slots.shard_nodes(0), w.slots.node_info()),
    "places past the last": lambda w: failing(IndexError, w.slots.slot_at, 8),
    "places of a ring": lambda w: failing(atoll.InvalidArgument, w.ring.locate, BUFFER),
    "plan": lambda w: lambda: (w.ring.plan_add("d", 2), w.ring.with_weight("a", 2)),
    "plan that is refused": lambda w: failing(atoll.InvalidArgument, w.ring.plan_remove, "nobody"),
    "plan of a wrong weight": lambda w: failing(atoll.InvalidArgument, w.ring.plan_add, "d", 2**32),
    "bucket_of": lambda w: lambda: atoll.Router.jump(8).bucket_of(2**63),
    "clock": lambda w: counted_clock,
    "clock that is none": lambda w: failing(atoll.InvalidArgument, atoll.VectorClock, "[]"),
    "clock bytes that are damaged": lambda w: failing(atoll.Corrupt, atoll.VectorClock.from_bytes, BUFFER),
    "clock of a wrong node": lambda w: failing(atoll.InvalidArgument, atoll.VectorClock().tick, bytearray(300)),
    "stamp": lambda w: lambda: atoll.Stamp.from_text(str(atoll.Stamp.from_bytes(atoll.Stamp.at(1, 2, "n").to_bytes()))),
    "stamp that is none": lambda w: failing(atoll.InvalidArgument, atoll.Stamp.from_text, "now"),
    "typed key": lambda w: lambda: atoll.decode_key(atoll.encode_key(("a", (1, (b"b",)) * 5))),
    "typed key that is none": lambda w: failing(atoll.InvalidArgument, atoll.decode_key, BUFFER),
    "typed key of a wrong type": lambda w: failing(TypeError, atoll.encode_key, ("a", 1.5)),
    "version": lambda w: lambda: Version.from_bytes(Version(b"v" * 50).to_bytes()),
    "version that is none": lambda w: failing(atoll.InvalidArgument, Version(b"v", sequence=0).to_bytes),
    "contexts": lambda w: lambda: atoll.compare_contexts(atoll.merge_contexts(b"", b""), b""),
    "contexts that are none": lambda w: failing(atoll.Corrupt, atoll.merge_contexts, BUFFER, BUFFER),
    "siblings": lambda w: lambda: siblings_of_two(w.versions),
    "siblings that are none": lambda w: failing(atoll.Corrupt, atoll.SiblingSet.from_bytes, BUFFER),
    "siblings of a wrong write": lambda w: failing(atoll.InvalidArgument, w.siblings.put, w.versions[0]),
    "siblings of a wrong type": lambda w: failing(TypeError, w.siblings.merge, BUFFER),
    "hybrid clock": lambda w: lambda: (atoll.HybridClock(5).send(1), w.clock.observe(1, 1), w.clock.last, w.clock.mark),
    "hybrid clock that is refused": lambda w: failing(atoll.InvalidArgument, atoll.HybridClock, max_skew_ms=1, reserve_ms=2),
    "hybrid clock of a wrong time": lambda w: failing(atoll.InvalidArgument, w.clock.send, 1 << 60),
    "rule": lambda w: lambda: atoll.resolver("lww").resolve(BUFFER, w.versions),
    "rule of nodes": lambda w: lambda: atoll.resolver("node_priority", nodes=["a", "b"]),
    "rule that there is not": lambda w: failing(atoll.InvalidArgument, atoll.resolver, "newest"),
    "rule of a function": lambda w: lambda: atoll.resolver(lambda key, found: b"merged").resolve(b"k", w.versions),
    "rule that chooses": lambda w: lambda: atoll.resolver(lambda key, found: found[1]).resolve(b"k", w.versions),
    "rule that raises": lambda w: failing(atoll.CallbackFailed, atoll.resolver(raising_rule).resolve, b"k", w.versions),
    "rule of a wrong answer": lambda w: failing(atoll.CallbackFailed, atoll.resolver(lambda key, found: 7).resolve, b"k", w.versions),
    "rule with a name that is taken": lambda w: failing(atoll.InvalidArgument, atoll.resolver, raising_rule, name="lww"),
    "rule over what it cannot read": lambda w: failing(atoll.InvalidArgument, atoll.resolver("counter").resolve, b"k", w.versions),
}


@pytest.mark.parametrize("name", OPERATIONS, ids=slug)
def test_nothing_is_lost(world, name):
    grown = growth(OPERATIONS[name](world))
    assert grown < LOST, f"{grown:.0f} bytes a call"


# Writes leave what they write with the engine, so these go on writing the same few keys, and more memory is allowed for.
WRITES = {
    "put": lambda w: lambda: w.db.put(b"k", BUFFER, ttl=5),
    "delete": lambda w: lambda: w.db.delete(BUFFER),
    "item": lambda w: lambda: (w.db.__setitem__("k", memoryview(b"v")), w.db.__delitem__("k")),
    "compare_and_set": lambda w: lambda: w.db.compare_and_set(b"k", w.db.get(b"k"), b"v"),
    "write": lambda w: lambda: written(w.db),
    "commit": lambda w: lambda: w.db.transact(lambda transaction: transaction.put(b"k", b"v")),
    "conflict": lambda w: lambda: conflicted(w.db),
    "cluster put": lambda w: lambda: w.cluster.put(b"k", BUFFER, durability="buffered"),
    "cluster delete": lambda w: lambda: w.cluster.delete(BUFFER, durability="buffered"),
    "session put": lambda w: lambda: w.cluster.session().put(b"k", b"v", durability="buffered"),
    "delete_range": lambda w: lambda: w.db.delete_range(prefix=BUFFER),
    "cluster delete_range": lambda w: lambda: w.cluster.delete_range(prefix=BUFFER, durability="buffered"),
}


def written(db):
    with db.batch() as batch:
        batch[b"a"] = b"1"


def conflicted(db):
    first, second = db.transaction(), db.transaction()
    for one in (first, second):
        one.get(b"k")
        one[b"k"] = b"v"
    first.commit()
    with contextlib.suppress(atoll.Conflict):
        second.commit()
        raise AssertionError("it did not fail")


@pytest.mark.parametrize("name", WRITES, ids=slug)
def test_nothing_is_lost_in_writes(world, name):
    grown = growth(WRITES[name](world))
    assert grown < LOST, f"{grown:.0f} bytes a call"


def test_nothing_is_lost_with_loggers():
    """Each has a thread, and AddressSanitizer keeps some 200 bytes of every thread that has ended: what bare threads cost is taken off."""

    def bare_thread():
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

    own = growth(lambda: atoll.set_logger(lambda *message: None))
    atoll.set_logger(None)
    assert own - max(growth(bare_thread), 0) < LOST


def test_nothing_is_lost_with_stores(tmp_path):
    """Opened and closed, with what they have made: slower, so an object of 1,000 bytes."""

    def reopened():
        db = atoll.open(tmp_path / "store")
        made = db.snapshot(), db.scan(), db.transaction(), db.batch()
        db[b"k"] = b"v"
        view = db.get_view(b"k")
        db.close()
        assert bytes(view) == b"v"
        del made

    assert growth(reopened, calls=300) < 1000

    def reopened_cluster():
        atoll.open_cluster(tmp_path / "cluster", shards=1)[b"k"]

    atoll.open_cluster(tmp_path / "cluster", shards=1)[b"k"] = b"v"
    assert growth(reopened_cluster, calls=100) < 3000


def test_the_measure_still_sees_it():
    assert growth(lose) > LOST
