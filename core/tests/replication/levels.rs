//! Four nodes, three copies: writes, reads of each level, batches, tokens, directories.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::Path;

use atoll::cluster::{Cluster, ClusterError, ReadOptions, Token, WriteDurability};
use atoll::io::Disk;
use atoll::routing::Locality;
use atoll::store::{Expires, StoreError, WriteBatch};

use super::harness::*;

#[test]
fn what_is_written_is_read_scanned_counted_and_found_again_after_a_close() {
    let machine = Machine::new(1);
    let cluster = machine.create(&spec(4, 8, 3));
    let mut model = Model::default();
    model.fill(&cluster, 300, 0);
    model.fill(&cluster, 100, 1);
    for i in (0..300).step_by(7) {
        assert!(model.delete(&cluster, &key(i)));
    }
    model.check(&cluster);
    let some = cluster
        .scan(Bound::Included(&key(10)), Bound::Excluded(&key(20)), &strong())
        .unwrap();
    assert_eq!(some.count(), 9);
    assert_whole(&cluster);
    let id = cluster.id();
    cluster.close().unwrap();
    let cluster = machine.open();
    assert_eq!(cluster.id(), id);
    assert_eq!(news(&cluster), [], "a closed cluster opens without a word");
    model.check(&cluster);
    model.fill(&cluster, 50, 2);
    model.check(&cluster);
    assert_whole(&cluster);
}

#[test]
fn a_strong_read_never_asks_a_follower_and_an_eventual_one_asks_all() {
    let cluster = Machine::new(2).create(&spec(4, 4, 3));
    cluster.put(b"k", b"v", WriteDurability::Replicated).unwrap();
    cluster.pump();
    let place = cluster.locate(b"k").unwrap();
    assert_eq!((place.replicas.len(), &place.primary), (3, &place.replicas[0]));
    let asked = |options: &ReadOptions| -> BTreeSet<String> {
        (0..12)
            .map(|_| cluster.get(b"k", options).unwrap().unwrap().node)
            .collect()
    };
    assert_eq!(asked(&strong()), BTreeSet::from([place.primary.clone()]));
    assert_eq!(asked(&eventual()), place.replicas.iter().cloned().collect());
}

#[test]
fn a_follower_that_lags_is_left_out_and_comes_back_later() {
    let machine = Machine::new(3);
    let cluster = machine.create(&spec(3, 1, 3));
    cluster.put(b"a", b"1", WriteDurability::Replicated).unwrap();
    cluster.pump();
    let asked = || -> usize {
        (0..9)
            .map(|_| cluster.get(b"a", &eventual()).unwrap().unwrap().node)
            .collect::<BTreeSet<_>>()
            .len()
    };
    assert_eq!(asked(), 3);
    // A quorum of two takes the write; the third learns of it only from the next pump.
    cluster.put(b"b", b"2", WriteDurability::Replicated).unwrap();
    machine.clock.advance(std::time::Duration::from_secs(6));
    assert!(asked() < 3, "six seconds behind is too far");
    let status = cluster.status().unwrap();
    assert!(
        status.shards[0]
            .replicas
            .iter()
            .any(|replica| replica.lag_seconds > 5.0 && replica.lag_bytes > 0)
    );
    cluster.pump();
    assert!(asked() < 3, "caught up a moment ago is not yet trusted");
    machine.clock.advance(std::time::Duration::from_secs(11));
    asked();
    assert_eq!(asked(), 3);
}

#[test]
fn a_token_is_answered_by_replicas_that_have_its_write_only() {
    let cluster = Machine::new(4).create(&spec(3, 1, 3));
    cluster.put(b"k", b"old", WriteDurability::Replicated).unwrap();
    cluster.pump();
    let token = cluster.put(b"k", b"new", WriteDurability::Replicated).unwrap();
    let token: Token = token.to_string().parse().unwrap();
    let read = || {
        cluster
            .get(b"k", &ReadOptions::after(token.clone()))
            .unwrap()
            .unwrap()
    };
    let before: BTreeSet<String> = (0..12)
        .map(|_| read())
        .map(|answer| {
            assert_eq!(&*answer.value, b"new");
            answer.node
        })
        .collect();
    assert_eq!(before.len(), 2, "one of three has not been sent the write");
    let stale: BTreeSet<Vec<u8>> = (0..12)
        .map(|_| cluster.get(b"k", &eventual()).unwrap().unwrap().value.to_vec())
        .collect();
    assert_eq!(stale.len(), 2, "eventual reads may still see the old value");
    cluster.pump();
    let after: BTreeSet<String> = (0..12).map(|_| read().node).collect();
    assert_eq!(after.len(), 3);
    // Tokens of several shards are one token; one of another cluster is refused.
    let other = Machine::new(5).create(&spec(3, 1, 3));
    let foreign = other.put(b"k", b"v", WriteDurability::Replicated).unwrap();
    let refused = cluster.get(b"k", &ReadOptions::after(foreign)).unwrap_err();
    assert!(matches!(refused, ClusterError::ForeignToken));
}

#[test]
fn a_write_is_not_seen_before_its_quorum_has_it() {
    let cluster = Machine::new(6).create(&spec(3, 1, 3));
    cluster.put(b"k", b"old", WriteDurability::Buffered).unwrap();
    cluster.pump();
    cluster.kill_node("n1").unwrap();
    cluster.kill_node("n2").unwrap();
    let refused = cluster.put(b"k", b"new", WriteDurability::Buffered).unwrap_err();
    assert!(matches!(refused, ClusterError::Unavailable { .. }), "{refused}");
    assert_eq!(refused.exit_code(), 4);
    assert!(cluster.get(b"k", &strong()).is_err());
    assert_eq!(&*cluster.get(b"k", &eventual()).unwrap().unwrap().value, b"old");
}

#[test]
fn a_batch_is_whole_within_a_slot_and_refused_across_slots() {
    let spec = atoll::cluster::ClusterSpec {
        locality: Locality::Tag,
        ..spec(3, 4, 3)
    };
    let cluster = Machine::new(7).create(&spec);
    let mut batch = WriteBatch::new();
    batch.put(*b"{u1}name", *b"Ada");
    batch.put(*b"{u1}mail", *b"ada@example.org");
    batch.delete(*b"{u1}old");
    cluster.write(&batch, WriteDurability::Replicated).unwrap();
    assert_eq!(
        &*cluster.get(b"{u1}mail", &strong()).unwrap().unwrap().value,
        b"ada@example.org"
    );
    let mut across = WriteBatch::new();
    (0..40).for_each(|i| across.put(key(i), *b"x"));
    let refused = cluster.write(&across, WriteDurability::Replicated).unwrap_err();
    assert!(matches!(refused, ClusterError::CrossSlot { .. }));
    assert_eq!((refused.exit_code(), cluster.count(&strong()).unwrap()), (2, 2));
}

#[test]
fn many_pairs_are_put_at_once_and_the_last_value_of_a_key_wins() {
    let cluster = Machine::new(8).create(&spec(4, 8, 3));
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = (0..3000).map(|i| (key(i), b"first".to_vec())).collect();
    pairs.extend((0..100).map(|i| (key(i), b"last".to_vec())));
    let token = cluster.put_many(&pairs, WriteDurability::Replicated).unwrap();
    assert_eq!(token.shards().count(), 8);
    assert_eq!(cluster.count(&strong()).unwrap(), 3000);
    let read = ReadOptions::after(token);
    assert_eq!(&*cluster.get(&key(7), &read).unwrap().unwrap().value, b"last");
    assert_eq!(&*cluster.get(&key(700), &read).unwrap().unwrap().value, b"first");
    assert!(
        cluster
            .put_many(&[], WriteDurability::Replicated)
            .unwrap()
            .is_empty()
    );
    assert_whole(&cluster);
}

#[test]
fn a_lone_replica_takes_writes_of_each_durability() {
    let mut machine = Machine::new(9);
    let cluster = machine.create(&spec(1, 2, 1));
    cluster.put(b"a", b"1", WriteDurability::Synced).unwrap();
    cluster.put(b"b", b"2", WriteDurability::Buffered).unwrap();
    assert_eq!(cluster.count(&strong()).unwrap(), 2);
    drop(cluster);
    // A killed process loses neither; the page cache has outlived it.
    machine.crash();
    let cluster = machine.open();
    assert_eq!(cluster.count(&strong()).unwrap(), 2);
    cluster.put(b"c", b"3", WriteDurability::Replicated).unwrap();
    drop(cluster);
    machine.cut(atoll::io::sim::CutPolicy::DropAll);
    let cluster = machine.open();
    assert_eq!(&*cluster.get(b"c", &strong()).unwrap().unwrap().value, b"3");
}

#[test]
fn directories_are_told_apart_and_locked() {
    let machine = Machine::new(10);
    let env = machine.env();
    let open = |dir: &str| Cluster::open(&env, Path::new(dir), &options()).map(drop);
    assert!(matches!(open("/nowhere"), Err(ClusterError::NotACluster { .. })));
    machine.disk.create_dir_all(Path::new("/other")).unwrap();
    machine.disk.create(Path::new("/other/report.txt")).unwrap();
    match open("/other") {
        Err(ClusterError::NotACluster { found, .. }) => assert!(found.contains("report.txt"), "{found}"),
        other => panic!("{other:?}"),
    }
    let refused = Cluster::create_with(&env, Path::new("/other"), &spec(1, 1, 1), &options());
    assert!(matches!(refused, Err(ClusterError::AlreadyExists { .. })));
    let cluster = machine.create(&spec(1, 1, 1));
    assert!(matches!(open(DIR), Err(ClusterError::Locked { .. })));
    let again = Cluster::create_with(&env, Path::new(DIR), &spec(1, 1, 1), &options());
    assert!(matches!(again, Err(ClusterError::AlreadyExists { .. })));
    drop(cluster);
    let bad = atoll::cluster::ClusterSpec {
        quorum: Some(4),
        ..spec(4, 1, 3)
    };
    let refused = Cluster::create_with(&env, Path::new("/bad"), &bad, &options());
    assert!(matches!(
        refused,
        Err(ClusterError::BadQuorum {
            quorum: 4,
            replicas: 3
        })
    ));
    machine.disk.flip(&Path::new(DIR).join("config/state"), 40, 1);
    match open(DIR) {
        Err(error @ ClusterError::Corrupt { .. }) => assert_eq!(error.exit_code(), 3),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_range_is_deleted_on_every_replica() {
    let cluster = Machine::new(12).create(&spec(4, 8, 3));
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = (0..3000).map(|i| (key(i), b"v".to_vec())).collect();
    cluster.put_many(&pairs, WriteDurability::Replicated).unwrap();
    let (low, high) = (key(1000), key(2000));
    let inside = pairs.iter().filter(|(key, _)| *key >= low && *key < high).count() as u64;
    let mut told = 0;
    let (deleted, token) = cluster
        .delete_range(
            Bound::Included(&low),
            Bound::Excluded(&high),
            WriteDurability::Replicated,
            &mut |deleted| told = deleted,
        )
        .unwrap();
    assert_eq!((deleted, told), (inside, inside));
    let read = ReadOptions::after(token);
    for (key, _) in &pairs {
        let gone = *key >= low && *key < high;
        assert_eq!(cluster.get(key, &read).unwrap().is_none(), gone);
    }
    assert_eq!(cluster.count(&strong()).unwrap(), 3000 - inside);
    assert_whole(&cluster);
}

#[test]
fn sorted_pairs_are_loaded_where_each_shard_has_one_replica() {
    let mut machine = Machine::new(13);
    let cluster = machine.create(&spec(1, 4, 1));
    cluster
        .put(&key(5), b"older", WriteDurability::Replicated)
        .unwrap();
    let keys: BTreeSet<Vec<u8>> = (0..2000).map(key).collect();
    let mut load = cluster.bulk_load().unwrap();
    for key in &keys {
        load.put(key, b"loaded", Expires::Never).unwrap();
    }
    assert_eq!(cluster.count(&strong()).unwrap(), 1, "nobody sees it yet");
    let token = load.finish().unwrap();
    assert_eq!(token.shards().count(), 4);
    let read = ReadOptions::after(token);
    assert_eq!(&*cluster.get(&key(5), &read).unwrap().unwrap().value, b"loaded");
    cluster.put(&key(6), b"newer", WriteDurability::Buffered).unwrap();
    let mut unsorted = cluster.bulk_load().unwrap();
    unsorted.put(b"b", b"1", Expires::Never).unwrap();
    let refused = unsorted.put(b"a", b"2", Expires::Never).unwrap_err();
    let is_unsorted = |error: &ClusterError| {
        let ClusterError::Store { source, .. } = error else {
            return false;
        };
        matches!(source, StoreError::Unsorted { .. })
    };
    assert!(is_unsorted(&refused), "{refused}");
    unsorted.finish().unwrap_err();
    drop(cluster);
    machine.crash();
    let cluster = machine.open();
    assert_eq!(cluster.count(&strong()).unwrap(), 2000);
    assert_eq!(
        &*cluster.get(&key(6), &strong()).unwrap().unwrap().value,
        b"newer"
    );
    assert_eq!(
        &*cluster.get(&key(7), &strong()).unwrap().unwrap().value,
        b"loaded"
    );
    assert_whole(&cluster);
    let several = Machine::new(14).create(&spec(3, 2, 3));
    let refused = several.bulk_load().unwrap_err();
    assert!(matches!(
        refused,
        ClusterError::SeveralReplicas { replicas: 3, .. }
    ));
    assert_eq!(refused.exit_code(), 2);
}
