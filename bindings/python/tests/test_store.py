"""Stores: every verb, and what happens to those who use them wrongly."""

import contextlib
import gc
import os
import subprocess
import sys
import threading

import pytest

import atoll


def test_a_store_is_a_mapping(db):
    db[b"k"] = b"v"
    assert db[b"k"] == b"v" and db["k"] == b"v"
    assert b"k" in db and b"x" not in db
    assert list(db) == [b"k"]
    del db["k"]
    for missing in (lambda: db[b"k"], lambda: db.__delitem__(b"k")):
        with pytest.raises(KeyError):
            missing()
    db.delete(b"k")


@pytest.mark.parametrize(
    "key", [b"", b"\0", "섬".encode(), bytes(range(256)), b"k" * 65535], ids=["empty", "nul", "korean", "all", "longest"]
)
@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 10 << 20])
def test_values_of_any_length_come_back(db, key, length):
    value = os.urandom(min(length, 1000)) * (length // 1000 + 1)
    value = value[:length]
    db.put(key, value)
    assert db.get(key) == value
    assert db.get_many([key, b"missing"]) == [value, None]
    view = db.get_view(key)
    assert view == value and view.readonly
    assert list(db.scan()) == [(key, value)]


def test_strings_mean_their_utf8_bytes(db):
    db["한국"] = "서울"
    assert db.get("한국".encode()) == "서울".encode()
    assert db.get(bytearray("한국".encode())) == db.get(memoryview("한국".encode()))
    for wrong in (1, None, object(), ["k"]):
        with pytest.raises(TypeError, match="bytes, str or a buffer"):
            db.get(wrong)
        with pytest.raises(TypeError):
            db[b"k"] = wrong
    with pytest.raises(UnicodeEncodeError):
        db.get("\ud800")
    with pytest.raises(atoll.InvalidArgument, match="longer than"):
        db[b"k" * 65536] = b""


def test_get_has_a_default(db):
    marker = object()
    assert db.get(b"none") is None
    assert db.get(b"none", marker) is marker
    assert db.get_view(b"none") is None


def test_a_batch_is_applied_whole_or_not_at_all(db):
    db[b"old"] = b"1"
    with db.batch(durability="synced") as batch:
        batch.put(b"a", b"1")
        batch[b"b"] = b"2"
        del batch[b"old"]
        assert len(batch) == 3 and b"a" not in db
    assert list(db.scan()) == [(b"a", b"1"), (b"b", b"2")]
    with pytest.raises(RuntimeError, match="on purpose"), db.batch() as batch:
        batch[b"c"] = b"3"
        raise RuntimeError("on purpose")
    assert b"c" not in db
    batch = db.batch()
    batch[b"again"] = b"1"
    assert batch.write() > 0
    with db.batch():
        pass


def test_many_puts_are_one_call(db):
    batch = db.batch()
    batch.put_many({"섬": "1", b"b": bytearray(b"2")})
    batch.put_many((b"%03d" % i, b"v" * i) for i in range(300))
    batch.put_many([])
    assert len(batch) == 302
    for wrong in ([(b"k",)], [(b"k", 7)], [b"kv", 7], {b"k": None}, 7):
        with pytest.raises((TypeError, ValueError)):
            batch.put_many(wrong)
    with pytest.raises(atoll.InvalidArgument):
        batch.put_many([(b"fine", b""), (b"k" * 65536, b"")])
    assert len(batch) == 302
    batch.write()
    assert db["섬"] == b"1" and db[b"b"] == b"2" and db.get_many([b"000", b"299"]) == [b"", b"v" * 299]


def test_a_scan_goes_on_where_it_is_sent(db):
    with db.batch() as batch:
        batch.put_many((b"%04d" % i, b"%d" % i) for i in range(1000))
    scan = db.scan(b"0100")
    assert next(scan) == (b"0100", b"100")
    scan.seek("0900")
    assert len(list(scan)) == 100
    scan.seek(b"0500x")
    assert next(scan)[0] == b"0501"
    scan.seek(b"")
    assert next(scan)[0] == b"0100", "not before its beginning"
    back = db.keys(reverse=True, limit=2)
    back.seek(b"0010")
    assert list(back) == [b"0010", b"0009"]
    with db.transaction() as transaction, pytest.raises(atoll.Error):
        transaction.scan(limit=1).seek(b"a")
    with pytest.raises(TypeError):
        scan.seek(7)


def test_scans_have_bounds_and_go_both_ways(db):
    with db.batch() as batch:
        for i in range(1000):
            batch[b"key-%04d" % i] = b"%d" % i
    assert len(list(db.scan())) == 1000
    assert [key for key, _ in db.scan(b"key-0010", b"key-0013")] == [b"key-0010", b"key-0011", b"key-0012"]
    assert list(db.keys(b"key-0998")) == [b"key-0998", b"key-0999"]
    assert list(db.keys(end=b"key-0002", reverse=True)) == [b"key-0001", b"key-0000"]
    assert list(db.keys(prefix=b"key-099", limit=2)) == [b"key-0990", b"key-0991"]
    assert list(db.keys(limit=0)) == [] and list(db.keys(prefix=b"none")) == []
    assert list(db.keys(b"b", b"a")) == [] and list(db.keys(end=b"")) == []
    with pytest.raises(atoll.InvalidArgument, match="prefix, or start"):
        db.scan(b"a", prefix=b"b")
    with pytest.raises(atoll.InvalidArgument, match="negative"):
        db.scan(limit=-1)
    about = db.approximate(prefix=b"key-00")
    assert about.records == 100 and about.records_error == 0


def test_a_scan_shows_the_store_as_it_was(db):
    for i in range(600):
        db[b"%03d" % i] = b"old"
    scan = db.scan()
    first = next(scan)
    for i in range(600):
        db[b"%03d" % i] = b"new"
    assert [first, *scan] == [(b"%03d" % i, b"old") for i in range(600)]
    assert next(scan, None) is None


def test_a_snapshot_stands_still(db):
    db[b"k"] = b"1"
    with db.snapshot() as snapshot:
        db[b"k"], db[b"l"] = b"2", b"3"
        assert snapshot.get(b"k") == b"1" and snapshot[b"k"] == b"1"
        assert b"l" not in snapshot and snapshot.get(b"l", 7) == 7
        assert snapshot.get_many([b"k", b"l"]) == [b"1", None]
        assert list(snapshot.scan()) == [(b"k", b"1")]
        assert snapshot.lsn() > 0
    with pytest.raises(atoll.Closed):
        snapshot.get(b"k")


def test_compare_and_set_is_one_step(db):
    assert db.compare_and_set(b"k", None, b"1")
    assert not db.compare_and_set(b"k", None, b"2")
    assert db.compare_and_set(b"k", b"1", b"2", durability="synced")
    assert db.compare_and_set(b"k", b"2", None) and b"k" not in db


def test_transactions_conflict_and_run_again(db):
    db[b"n"] = b"0"
    with db.transaction() as mine:
        assert mine[b"n"] == b"0"
        mine[b"n"] = b"1"
        mine.put(b"m", b"x", ttl=100)
        assert mine[b"n"] == b"1" and list(mine.scan()) == [(b"m", b"x"), (b"n", b"1")]
        assert db[b"n"] == b"0"
    assert db[b"n"] == b"1"
    first, second = db.transaction(), db.transaction()
    for one in (first, second):
        one[b"n"] = str(int(one[b"n"]) + 1)
    first.commit()
    with pytest.raises(atoll.Conflict, match="run it again|run the transaction again"):
        second.commit()
    with pytest.raises(atoll.Closed):
        first.get(b"n")

    def add(transaction):
        transaction[b"n"] = str(int(transaction[b"n"]) + 1)

    threads = [threading.Thread(target=lambda: [db.transact(add) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db[b"n"] == b"202"
    with pytest.raises(ZeroDivisionError), db.transaction() as failing:
        failing[b"n"] = b"lost"
        raise ZeroDivisionError
    assert db[b"n"] == b"202"


def test_values_expire(db):
    db.put(b"brief", b"x", ttl=0.001)
    db.put(b"long", b"x", ttl=1000)
    threading.Event().wait(0.05)
    assert b"brief" not in db and b"long" in db
    for wrong in (0, -1, float("nan")):
        with pytest.raises(atoll.InvalidArgument, match="cannot live"):
            db.put(b"k", b"v", ttl=wrong)


def test_what_was_written_is_there_after_reopening(path):
    with atoll.open(path, segment_max_bytes="1MiB", compaction="manual") as db:
        for i in range(5000):
            db[b"%d" % i] = b"v" * 500
        assert db.sync() > 0
        db.compact()
        stats = db.stats()
        assert stats["keys"] == 5000 and stats["tables"] > 0
    with atoll.open(path, create=False) as db:
        assert len(list(db.keys())) == 5000


def test_options_are_those_of_the_table(path):
    names = {option.name for option in atoll.options() if option.scope == "store"}
    assert {"create", "segment_max_bytes", "compaction", "verify_payload"} <= names
    with pytest.raises(atoll.InvalidArgument, match="did you mean segment_max_bytes"):
        atoll.open(path, segment_max_byte="1MiB")
    with pytest.raises(atoll.InvalidArgument, match="compaction cannot be"):
        atoll.open(path, compaction="sometimes")
    with pytest.raises(atoll.InvalidArgument, match="no options"):
        atoll.open(path, read_only=True, compaction="manual")
    with pytest.raises(atoll.Error, match="store"):
        atoll.open(path, create=False)
    assert not path.exists() or not any(path.iterdir())


def test_everything_is_closed_with_the_store(path):
    db = atoll.open(path)
    db[b"k"] = b"v" * 10000
    view, snapshot, scan, transaction, batch = (
        db.get_view(b"k"), db.snapshot(), db.scan(), db.transaction(), db.batch(),
    )  # fmt: skip
    db.close()
    db.close()
    for use in (
        lambda: db.get(b"k"), lambda: db[b"k"], lambda: b"k" in db, lambda: db.put(b"k", b"v"), lambda: db.scan(),
        lambda: snapshot.get(b"k"), lambda: next(scan), lambda: transaction.get(b"k"), batch.write, db.stats,
        lambda: db.get_many([b"k"]), db.snapshot, db.transaction, db.sync, lambda: db.delete(b"k"),
    ):  # fmt: skip
        with pytest.raises(atoll.Closed):
            use()
    assert bytes(view) == b"v" * 10000, "what is pinned stays"
    with atoll.open(path) as again:
        assert again[b"k"] == b"v" * 10000


def test_handles_go_in_any_order(path):
    for order in range(6):
        db = atoll.open(path)
        db[b"k"] = b"v"
        made = [db, db.snapshot(), db.scan(), db.transaction(), db.get_view(b"k"), db.batch()]
        del db
        made = made[order:] + made[:order]
        while made:
            made.pop(0)
            gc.collect()


def test_a_second_writer_is_told_who_is_first(path, db):
    program = f"import atoll\ntry: atoll.open({str(path)!r})\nexcept atoll.Locked as e: print(e)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert f"process {os.getpid()}" in said
    with pytest.raises(atoll.Locked):
        atoll.open(path)


def test_readers_in_other_processes_follow(path, db):
    program = (
        "import atoll, sys\n"
        f"db = atoll.open({str(path)!r}, read_only=True)\n"
        "for line in sys.stdin:\n"
        "    print(db.get(line.strip()), flush=True)\n"
        "try: db[b'x'] = b'y'\n"
        "except atoll.NotPrimary: print('read only')\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        for i in range(20):
            db["k%d" % i] = str(i)
            reader.stdin.write(f"k{i}\n")
            reader.stdin.flush()
            assert reader.stdout.readline().strip() == repr(str(i).encode())
        said, _ = reader.communicate()
    assert said.strip() == "read only" and reader.returncode == 0


def test_a_forked_child_is_told_so(db):
    db[b"k"] = b"v"
    snapshot = db.snapshot()
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            for use in (lambda: db.get(b"k"), lambda: db.put(b"k", b"x"), lambda: snapshot.get(b"k"), db.close):
                try:
                    use()
                    os._exit(2)
                except atoll.Forked:
                    pass
            code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert db[b"k"] == b"v"


def test_threads_share_a_store(db):
    failures = []

    def work(number):
        try:
            for i in range(300):
                key = b"%d-%d" % (number, i)
                db[key] = key
                assert db.get(key) == key
                assert db.get_many([key, b"none"]) == [key, None]
                if i % 50 == 0:
                    assert sum(1 for _ in db.keys(prefix=b"%d-" % number)) == i + 1
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(list(db.keys())) == 1800


def test_a_snapshot_in_use_is_not_released(db):
    for i in range(3000):
        db[b"%05d" % i] = b"v" * 50
    keys = [b"%05d" % i for i in range(3000)]
    for _ in range(30):
        snapshot, done = db.snapshot(), []
        reader = threading.Thread(target=lambda s=snapshot, d=done: d.append(len(s.get_many(keys))))
        reader.start()
        while True:
            try:
                snapshot.release()
                break
            except atoll.Busy:
                pass
        reader.join()
        assert done in ([], [3000])


def test_one_scan_for_several_threads_loses_nothing(db):
    for i in range(5000):
        db[b"%05d" % i] = b"v"
    scan, taken, refused = db.scan(), [], []

    def work():
        while True:
            try:
                taken.append(next(scan))
            except atoll.Busy:
                refused.append(1)
            except StopIteration:
                return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [(b"%05d" % i, b"v") for i in range(5000)]


def test_sorted_pairs_are_loaded_all_or_none(db):
    db[b"key-0007"] = b"old"
    assert db.load((b"key-%04d" % i, b"v%d" % i) for i in range(2000)) == 2000
    assert db[b"key-0007"] == b"v7" and len(list(db)) == 2000
    assert db.load({"z1": "1", "z2": "2"}) == 2 and db.load([]) == 0
    with pytest.raises(atoll.InvalidArgument):
        db.load([(b"z4", b""), (b"z3", b"")])
    with pytest.raises(ZeroDivisionError):
        db.load((b"z%d" % i, b"%d" % (1 // (7 - i))) for i in range(5, 9))
    with pytest.raises(TypeError):
        db.load([(b"z5", 7)])
    assert b"z4" not in db and b"z5" not in db
    with pytest.raises(TypeError):
        db._finish_load(7)
