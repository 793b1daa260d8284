"""Backups, checks, repairs, health, figures, and what the library has to say."""

import logging
import os
import subprocess
import sys
import threading

import pytest

import atoll


def test_a_store_is_copied_checked_and_made_again(path):
    home, copy, again, saved = (os.path.join(path, name) for name in ("home", "copy", "again", "saved"))
    steps = []
    with atoll.open(home) as db:
        for i in range(100):
            db[b"key-%d" % i] = b"v" * i
        report = db.backup(copy, progress=lambda done, total: steps.append((done, total)))
        assert report["bytes_copied"] > 0 and steps and all(done <= total for done, total in steps)
        db[b"later"] = b"x"
        assert db.backup(copy)["bytes_copied"] < report["bytes_copied"] + 4096
        assert db.verify().damaged == 0 and db.verify().report["keys"] == 101
        with pytest.raises(atoll.InvalidArgument):
            db.backup(home)
        with pytest.raises(atoll.Locked):
            atoll.repair(home, saved)
        assert db.delete_range(prefix=b"key-1") == 11
        assert db.delete_range(b"key-90", b"key-95") == 5
    assert atoll.verify_backup(copy).damaged == 0
    assert atoll.restore(copy, again)["keys"] == 101
    with pytest.raises(atoll.InvalidArgument):
        atoll.restore(copy, again)
    assert atoll.repair(home, saved).damaged == 0
    with atoll.open(again) as db:
        assert db[b"later"] == b"x" and len(list(db)) == 101
    with atoll.open(saved) as db:
        assert len(list(db)) == 85


def test_what_a_progress_raises_comes_out(path):
    with atoll.open(os.path.join(path, "home")) as db:
        db[b"k"] = b"v"

        def tell(done, total):
            raise KeyboardInterrupt("enough")

        with pytest.raises(KeyboardInterrupt, match="enough"):
            db.backup(os.path.join(path, "copy"), progress=tell)
        with pytest.raises(TypeError):
            db.verify(progress=7)
        assert db[b"k"] == b"v"


def test_a_damaged_backup_is_not_restored(path):
    home, copy, again = (os.path.join(path, name) for name in ("home", "copy", "again"))
    with atoll.open(home) as db:
        db[b"k"] = b"a value that will be hurt"
        db.backup(copy)
    for folder, _, files in os.walk(copy):
        for name in files:
            place = os.path.join(folder, name)
            with open(place, "rb") as file:
                data = file.read()
            if b"will be hurt" in data:
                with open(place, "wb") as file:
                    file.write(data.replace(b"will be hurt", b"will be hurT"))
    found = atoll.verify_backup(copy)
    assert found.damaged > 0 and found.report["damage"]
    with pytest.raises(atoll.Corrupt):
        atoll.restore(copy, again)
    assert not os.path.exists(again)


def test_health_and_figures_of_a_store(path):
    with atoll.open(path) as db:
        db[b"k"] = b"v"
        db.get_many([b"k", b"l"])
        health = db.health()
        assert health.state == "ok" and health.reasons == [] and health.replicas_up == 1
        assert health.oldest_snapshot_ms == 0
        figures = dict(line.rsplit(" ", 1) for line in db.metrics().splitlines() if not line.startswith("#"))
        assert figures['atoll_ops_total{shard="0",op="put"}'] == "1"
        assert figures['atoll_ops_total{shard="0",op="get"}'] == "2"
        with atoll.open(path, read_only=True) as reader:
            assert reader.health().state == "read_only"
            with pytest.raises(atoll.Error):
                reader.metrics()
    with pytest.raises(atoll.Closed):
        db.health()


def test_a_cluster_is_copied_checked_and_made_again(path):
    home, copy, again = (os.path.join(path, name) for name in ("home", "copy", "again"))
    with atoll.open_cluster(home, shards=3, replicas=2) as cluster:
        for i in range(50):
            cluster.put(b"key-%02d" % i, b"v", durability="buffered")
        assert cluster.health().state == "ok" and cluster.health().replicas_up == 6
        assert 'atoll_node_up{node="n1"} 1' in cluster.metrics()
        assert cluster.verify().damaged == 0
        assert cluster.backup(copy, link=True)["files"] > 0
        assert cluster.approximate(prefix=b"key-").records == 50
        slot = cluster.router().locate(b"key-07").slot
        assert 1 <= cluster.approximate(slot=slot).records < 50
        with pytest.raises(atoll.InvalidArgument):
            cluster.approximate(slot=10**6)
        assert cluster.delete_range(b"key-10", b"key-20") == 10
        assert cluster.count() == 40
    assert atoll.restore(copy, again)["keys"] >= 50
    with atoll.open_cluster(again) as cluster:
        assert cluster.count() == 50


def test_messages_go_to_a_logger(path, caplog):
    """A process that ends without closing leaves something to tell."""
    home = os.path.join(path, "home")
    leave = "import atoll, os, sys; c = atoll.open_cluster(sys.argv[1], shards=1, replicas=2); c['k'] = 'v'; os._exit(0)"
    subprocess.run([sys.executable, "-c", leave, home], check=True)
    told = []
    atoll.set_logger(lambda *message: told.append((*message, threading.current_thread())), "debug")
    atoll.open_cluster(home).close()
    atoll.set_logger(None)
    assert any(level == "info" and target.startswith("atoll") and "ecovered" in text for level, target, text, _ in told)
    assert all(thread is not threading.current_thread() for *_, thread in told)
    before = len(told)
    subprocess.run([sys.executable, "-c", leave, home], check=True)
    with caplog.at_level(logging.DEBUG):
        atoll.set_logger(logging.getLogger("storage"))
        atoll.open_cluster(home).close()
        atoll.set_logger(None)
    assert any(record.levelname == "INFO" and record.name == "storage" for record in caplog.records)
    assert len(told) == before
    with pytest.raises(atoll.InvalidArgument, match="level 'loud'"):
        atoll.set_logger(print, "loud")
    with pytest.raises(TypeError):
        atoll.set_logger("nobody")


def test_a_logger_that_raises_or_stays_until_the_end_does_no_harm(path):
    program = """
import atoll, sys, os
home = sys.argv[1]
child = os.fork()
if child == 0:
    atoll.open_cluster(home, shards=1, replicas=2)["k"] = "v"
    os._exit(0)
os.waitpid(child, 0)
def raising(level, target, message):
    raise ValueError("no")
atoll.set_logger(raising, "debug")
with atoll.open_cluster(home) as cluster:
    assert cluster["k"] == b"v"
"""
    done = subprocess.run([sys.executable, "-c", program, os.path.join(path, "home")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "ValueError: no" in done.stderr
