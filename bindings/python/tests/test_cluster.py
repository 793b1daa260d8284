"""Clusters: every verb, tokens, sessions."""

import pytest

import atoll


@pytest.fixture
def cluster(path):
    with atoll.open_cluster(path, shards=3, replicas=2) as made:
        yield made


def test_values_come_back_as_fresh_as_asked(cluster):
    token = cluster.put(b"k", b"v", durability="replicated")
    assert cluster.get(b"k") == b"v" and cluster["k"] == b"v" and b"k" in cluster
    assert cluster.get(b"k", consistency="read_your_writes", token=token) == b"v"
    cluster["ttl"] = "x"
    cluster.put("ttl", "x", ttl=100)
    assert cluster.count() == 2
    del cluster["ttl"]
    with pytest.raises(KeyError):
        cluster["ttl"]
    assert cluster.get("ttl", 7) == 7
    with pytest.raises(atoll.InvalidArgument, match="token"):
        cluster.get(b"k", consistency="read_your_writes")
    with pytest.raises(atoll.InvalidArgument, match="consistency 'fresh'"):
        cluster.get(b"k", consistency="fresh")
    with pytest.raises(atoll.InvalidArgument, match="durability 'sure'"):
        cluster.put(b"k", b"v", durability="sure")
    with pytest.raises(atoll.InvalidArgument):
        cluster.get(b"k", consistency="read_your_writes", token=b"nonsense")


def test_scans_go_over_all_shards(cluster):
    keys = [b"key-%03d" % i for i in range(600)]
    for key in keys:
        cluster.put(key, key * 100, durability="buffered")
    assert list(cluster.scan()) == [(key, key * 100) for key in keys]
    assert [key for key, _ in cluster.scan(prefix=b"key-10", limit=3)] == keys[100:103]
    assert [key for key, _ in cluster.scan(b"key-598")] == keys[598:]
    shards = cluster.router().route_many(keys)
    assert len(set(shards)) > 1
    assert cluster.status()["shards"]


def test_batches_stay_within_a_slot(cluster):
    batch = atoll.Batch()
    batch[b"a"] = b"1"
    assert cluster.write(batch)
    batch[b"b"] = b"2"
    with pytest.raises(atoll.CrossSlot):
        cluster.write(batch)
    assert b"b" not in cluster


def test_sessions_read_their_writes(cluster):
    first, second = cluster.session(), cluster.session()
    for i in range(50):
        first.put(b"%d" % i, b"v%d" % i, durability="buffered")
        assert first.get(b"%d" % i) == b"v%d" % i
        second.see(first.token)
        assert second.get(b"%d" % i) == b"v%d" % i
    first.delete(b"0")
    assert first.get(b"0") is None
    assert atoll.merge_tokens(b"", first.token) == first.token


def test_sessions_see_what_they_have_seen(cluster):
    session = cluster.session()
    assert session.token == atoll.merge_tokens(session.token, b"")
    batch = atoll.Batch()
    batch[b"a"] = b"1"
    session.write(batch)
    assert session.get_many([b"a", b"none"]) == [b"1", None]
    assert list(session.scan()) == [(b"a", b"1")] and session.count() == 1
    # Told by the reads alone: the session has asked every shard.
    reader = cluster.session()
    assert reader.count() == 1
    assert len(reader.token) > len(session.token) or reader.token == session.token
    other = cluster.session(session.token)
    assert other.get(b"a") == b"1"
    with pytest.raises(atoll.InvalidArgument):
        other.see(b"nonsense")
    with pytest.raises(TypeError):
        cluster._put(b"k", b"v", 0, 0, "no session")


def test_a_session_of_another_cluster_is_refused(cluster, tmp_path):
    session = cluster.session()
    session.put(b"k", b"v")
    with atoll.open_cluster(tmp_path / "other", shards=1) as other:
        with pytest.raises(atoll.InvalidArgument):
            other.session(session.token).put(b"k", b"v")
        assert other.count() == 0


def test_many_keys_come_at_once(cluster):
    keys = [b"key-%03d" % i for i in range(300)]
    for key in keys[::2]:
        cluster.put(key, key * 50, durability="buffered")
    assert cluster.get_many(keys) == [key * 50 if i % 2 == 0 else None for i, key in enumerate(keys)]
    assert cluster.get_many([]) == []
    assert cluster.get_many(keys[:1] * 3, consistency="eventual") == [keys[0] * 50] * 3
    with pytest.raises(TypeError):
        cluster.get_many(b"one")


def test_a_node_joins_and_takes_what_it_must(cluster):
    keys = [b"key-%03d" % i for i in range(300)]
    for key in keys:
        cluster.put(key, key, durability="buffered")
    plan = cluster.plan({"add": {"name": "n4"}})
    assert plan["moved_between_old_nodes"] == 0 and plan["keys"] > 0
    steps = []
    moved = cluster.rebalance({"add": {"name": "n4"}}, progress=lambda done, total: steps.append((done, total)))
    assert moved["keys_moved"] == plan["keys"] and list(moved["keys_by_node"]) == ["n4"]
    assert steps and all(done <= total for done, total in steps)
    assert cluster.resume_rebalance() is None
    assert cluster.get_many(keys) == keys
    assert {report["node"] for report in cluster.compact()} == {"n1", "n2", "n3", "n4"}
    assert isinstance(cluster.events(), list)
    for change in ({"melt": 1}, {"remove": "n9"}, "flat", {}):
        with pytest.raises(atoll.InvalidArgument):
            cluster.rebalance(change)
    cluster.rebalance({"remove": "n1"})
    assert cluster.count() == 300


def test_clusters_are_made_once_and_opened_again(path):
    with pytest.raises(atoll.InvalidArgument, match="how many shards"):
        atoll.open_cluster(path)
    with pytest.raises(atoll.InvalidArgument, match="did you mean"):
        atoll.open_cluster(path, shards=1, segment_max_byte="1MiB")
    with atoll.open_cluster(path, shards=2, replicas=2, nodes=["x=2", "y"], segment_max_bytes="1MiB") as made:
        made[b"k"] = b"v"
        with pytest.raises(atoll.Locked):
            atoll.open_cluster(path)
        names = [name for name, _ in made.router().node_list()]
        assert names == ["x", "y"]
    made.close()
    with pytest.raises(atoll.Closed):
        made.get(b"k")
    with atoll.open_cluster(path) as again:
        assert again[b"k"] == b"v"
