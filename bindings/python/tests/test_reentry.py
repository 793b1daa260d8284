"""Code of the program that runs in the middle of a call: in iterators, buffers and other threads. It may close, release and change
whatever the call was given, and gets an answer or an exception for it, never a crash or damaged data."""

import contextlib
import threading

import pytest

import atoll
from hooked import hooked


def releasing(snapshot, keys):
    """Keys, and the end of the snapshot between them."""
    yield keys[0]
    snapshot.release()
    yield from keys[1:]


def test_an_iterator_may_release_the_snapshot_it_is_read_through(db):
    keys = [b"%04d" % i for i in range(1000)]
    for key in keys:
        db[key] = key
    for _ in range(20):
        snapshot = db.snapshot()
        with pytest.raises(atoll.Closed):
            snapshot.get_many(releasing(snapshot, keys))


def test_an_iterator_may_close_the_store(path):
    db = atoll.open(path)
    db[b"k"] = b"v"
    snapshot = db.snapshot()

    def closing():
        yield b"k"
        db.close()

    with pytest.raises(atoll.Closed):
        snapshot.get_many(closing())
    with pytest.raises(atoll.Closed):
        db.get_many([b"k"])


@pytest.mark.parametrize("use", ["get", "get_many", "scan_start", "scan_end", "scan_prefix"])
def test_a_buffer_may_release_the_snapshot_it_is_looked_up_in(db, use):
    db[b"k"] = b"v" * 10000
    for _ in range(20):
        snapshot = db.snapshot()
        key = hooked(snapshot.release, b"k")
        with pytest.raises(atoll.Closed):
            match use:
                case "get":
                    snapshot.get(key)
                case "get_many":
                    snapshot.get_many([b"k", key])
                case "scan_start":
                    list(snapshot.scan(key))
                case "scan_end":
                    list(snapshot.scan(b"a", key))
                case "scan_prefix":
                    list(snapshot.scan(prefix=key))


def test_a_buffer_may_close_the_store_it_is_written_to(path):
    for use in (
        lambda db, key: db.put(key, b"v"), lambda db, key: db.put(b"k", key), lambda db, key: db.delete(key),
        lambda db, key: db.get(key), lambda db, key: db.get_view(key), lambda db, key: db.compare_and_set(b"k", key, key),
        lambda db, key: db.get_many([key]), lambda db, key: db.scan(key), lambda db, key: db.approximate(key),
    ):  # fmt: skip
        db = atoll.open(path)
        with pytest.raises(atoll.Closed):
            use(db, hooked(db.close, b"k"))


def test_a_buffer_may_end_what_it_is_added_to(db):
    for use in (
        lambda transaction, key: transaction.get(key), lambda transaction, key: transaction.delete(key),
        lambda transaction, key: transaction.put(key, key), lambda transaction, key: transaction.scan(key),
    ):  # fmt: skip
        transaction = db.transaction()
        with pytest.raises(atoll.Closed):
            use(transaction, hooked(transaction.rollback, b"k"))
    batch = db.batch()
    batch[b"a"] = b"1"
    batch.put(b"b", hooked(batch.clear, b"2"))
    assert len(batch) == 1
    clock = atoll.VectorClock({"A": 1})
    assert clock.tick(hooked(lambda: clock.tick("A"), b"A")) == 3


def test_lists_may_change_while_they_are_read():
    class Weight:
        def __init__(self, nodes):
            self.nodes = nodes

        def __index__(self):
            self.nodes.clear()
            return 1

    from atoll import _core

    for _ in range(50):
        nodes = []
        nodes += [("node-%d" % i, Weight(nodes), None, None) for i in range(20)]
        # The call may take the list as it was, or see that it has changed.
        try:
            made = _core.Router._make("ring", nodes, {}, [])
        except (atoll.Error, TypeError, IndexError):
            continue
        assert made.node_list()


def test_a_value_that_changes_while_it_is_written_is_whole(path):
    """Another thread fills a bytearray anew while it is written: it is the old or the new one, never damaged on the disk."""
    with atoll.open(path) as db:
        value, over = bytearray(1 << 20), threading.Event()
        patterns = [bytes([i]) * len(value) for i in range(1, 8)]

        def change():
            at = 0
            while not over.is_set():
                value[:] = patterns[at % len(patterns)]
                at += 1

        changer = threading.Thread(target=change)
        changer.start()
        try:
            for i in range(120):
                db.put(b"%d" % i, memoryview(value).toreadonly() if i % 2 else value)
        finally:
            over.set()
            changer.join()
        mixed = [i for i in range(120) if len(set(db[b"%d" % i])) != 1]
        assert not mixed
    with atoll.open(path, verify_payload="always") as db:
        assert len(list(db.scan())) == 120


def test_a_batch_in_use_is_not_cleared_in_silence(db):
    batch = db.batch()
    for i in range(20000):
        batch[b"%06d" % i] = b"v" * 20
    refused = 0
    for _ in range(20):
        writer = threading.Thread(target=batch.write)
        writer.start()
        for _ in range(200):
            try:
                assert len(batch) == 20000
            except atoll.Busy:
                refused += 1
        writer.join()
    assert refused, "the writer was never met"
    writer = threading.Thread(target=batch.write)
    writer.start()
    while True:
        try:
            batch.clear()
            break
        except atoll.Busy:
            pass
    writer.join()
    assert len(batch) == 0


def test_transactions_are_read_while_the_store_closes(path):
    for _ in range(15):
        db = atoll.open(path)
        value = b"v" * 3000
        db[b"k"] = value
        transactions = [db.transaction() for _ in range(4)]

        def read(transaction):
            with contextlib.suppress(atoll.Closed):
                while True:
                    # Busy: the store is just taking it away.
                    with contextlib.suppress(atoll.Busy):
                        assert transaction.get(b"k") == value

        failures = []
        old = threading.excepthook
        threading.excepthook = failures.append
        try:
            readers = [threading.Thread(target=read, args=(one,)) for one in transactions]
            for reader in readers:
                reader.start()
            db.close()
            for reader in readers:
                reader.join()
        finally:
            threading.excepthook = old
        assert not failures
