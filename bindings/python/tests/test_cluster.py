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
