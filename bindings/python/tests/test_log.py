"""Logs: following, looking into frames, applying them to a replica, waiting."""

import asyncio
import gc
import os
import select
import signal
import threading
import time

import pytest

import atoll


@pytest.fixture
def db(tmp_path):
    with atoll.open(tmp_path / "store") as store:
        yield store


def test_every_write_comes_once_in_order(db):
    with db.log(0) as log:
        db["a"] = "1"
        with db.batch() as batch:
            batch["b"] = "2"
            batch.delete("a")
        db.put("c", "3", ttl=1000)
        frame = log.next(0)
        seen = [(c.key, c.value, c.more_in_batch, c.expires_at is not None) for c in frame]
        assert seen == [(b"a", b"1", False, False), (b"b", b"2", True, False), (b"a", None, False, False), (b"c", b"3", False, True)]
        lsns = [c.lsn for c in frame]
        assert lsns == sorted(lsns) and frame.first == 0 and frame.next > lsns[-1] and all(c.hlc > 0 for c in frame)
        assert log.next(0) is None
    with db.log(frame.next) as log, db.log() as later:
        db["d"] = "4"
        assert [c.key for c in log.next()] == [c.key for c in later.next()] == [b"d"]


def test_a_replica_has_what_its_source_has_however_often_a_frame_comes(db, tmp_path):
    for n in range(500):
        db[f"key{n % 90}"] = str(n)
    path = tmp_path / "copy"
    with atoll.open_replica(path) as copy, db.log(0) as log:
        frames = []
        while (frame := log.next(0, max_bytes=900)) is not None:
            frames.append(bytes(frame))
        assert len(frames) > 10
        with pytest.raises(atoll.InvalidArgument):
            copy.apply(frames[1])
        for frame in frames:
            assert copy.apply(frame) == copy.apply(memoryview(frame))
        assert list(copy.scan()) == list(db.scan())
        with pytest.raises(atoll.NotPrimary):
            copy["k"] = "v"
        with pytest.raises(atoll.Corrupt):
            copy.apply(b"no frame")
        copy.sync()
    with atoll.open_replica(path) as copy:
        assert list(copy.scan()) == list(db.scan())


def test_damage_in_a_frame_is_told(db):
    db["key"] = "value"
    frame = bytes(db.log(0).next(0))
    assert [c.key for c in atoll.changes(frame)] == [b"key"]
    for damaged in (b"", frame[:-1], frame + b"x", frame[:40] + b"\xff" + frame[41:]):
        with pytest.raises(atoll.Corrupt):
            atoll.changes(damaged)


def test_positions_that_cannot_be_are_refused(db):
    for start in (-1, 1 << 64, 1 << 50):
        with pytest.raises((atoll.InvalidArgument, OverflowError)):
            db.log(start)
    for start in ("0", 1.5, True):
        with pytest.raises(TypeError):
            db.log(start)
    with pytest.raises(ValueError):
        db.log().next(max_bytes=0)


def test_waiting_ends_by_a_write_an_interrupt_a_signal_and_the_end_of_the_store(db):
    log = db.log()
    started = time.monotonic()
    assert log.next(0.05) is None and time.monotonic() - started >= 0.05
    threading.Timer(0.05, lambda: db.put("k", "v")).start()
    assert [c.key for c in log.next(10)] == [b"k"]
    busy = []

    def end():
        for call in (log.next, log.close):
            try:
                call()
            except atoll.Busy:
                busy.append(call)
        log.interrupt()

    threading.Timer(0.05, end).start()
    assert log.next() is None and len(busy) == 2
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(InterruptedError("alarm")))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(InterruptedError):
        log.next()
    threading.Timer(0.05, db.close).start()
    with pytest.raises(atoll.Closed):
        log.next()
    log.close()
    log.close()
    with pytest.raises(atoll.Closed):
        log.next(0)
    with pytest.raises(atoll.Closed):
        log.fileno()
    log.interrupt()


def test_the_descriptor_tells_and_goes_with_the_log(db):
    log = db.log()
    fd = log.fileno()
    assert select.select([log], [], [], 0)[0] == []
    db["k"] = "v"
    assert select.select([log], [], [], 5)[0] == [log]
    log.next(0)
    assert select.select([log], [], [], 0)[0] == []
    del log
    gc.collect()
    with pytest.raises(OSError):
        os.fstat(fd)


def test_an_event_loop_follows_without_a_thread(db):
    async def follow(count):
        seen = []
        with db.log() as log:
            asyncio.get_running_loop().create_task(write(count))
            async for frame in log:
                seen += [c.key for c in frame]
                if len(seen) == count:
                    return seen

    async def write(count):
        for n in range(count):
            db[f"{n:03}"] = "v"
            if n % 7 == 0:
                await asyncio.sleep(0.001)

    threads = threading.active_count()
    seen = asyncio.run(asyncio.wait_for(follow(200), 30))
    assert seen == [b"%03d" % n for n in range(200)] and threading.active_count() == threads


def test_logs_leave_nothing_behind(db):
    def used():
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))

    db["k"] = "v" * 100
    frame = bytes(db.log(0).next(0))

    def work(times):
        for _ in range(times):
            with db.log(0) as log:
                list(log.next(0))
                log.next(0)
            atoll.changes(frame)
            try:
                atoll.changes(frame[:-1])
            except atoll.Corrupt:
                pass

    work(2000)
    before = used()
    work(8000)
    # A frame kept in each round would be 1,500 KiB and more.
    assert used() - before < 1000
    assert len(os.listdir("/proc/self/fd")) < 100
