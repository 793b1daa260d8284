//! Sessions: own writes are read, time never goes back, whoever answers; many keys at once.

use std::collections::BTreeSet;
use std::ops::Bound;

use atoll::cluster::{Change, Cluster, ClusterError, Session, WriteDurability};
use atoll::routing::NodeSpec;
use atoll::store::WriteBatch;

use super::harness::*;

const REPLICATED: WriteDurability = WriteDurability::Replicated;

fn value(session: &Session, cluster: &Cluster, key: &[u8]) -> Option<Vec<u8>> {
    session
        .get(cluster, key)
        .unwrap()
        .map(|answer| answer.value.to_vec())
}

#[test]
fn a_session_reads_its_own_writes_and_never_an_older_state_than_before() {
    let cluster = Machine::new(41).create(&spec(3, 1, 3));
    cluster.put(b"k", b"old", REPLICATED).unwrap();
    cluster.pump();
    let (writer, reader) = (Session::new(), Session::new());
    // A quorum of two has it; the third copy learns of it only from the next pump.
    writer.put(&cluster, b"k", b"new", REPLICATED).unwrap();
    for _ in 0..12 {
        assert_eq!(value(&writer, &cluster, b"k").unwrap(), b"new");
    }
    // Somebody else may meet the old value, but not after the new one.
    let seen: Vec<Vec<u8>> = (0..12).map(|_| value(&reader, &cluster, b"k").unwrap()).collect();
    let turn = seen.iter().position(|value| value == b"new").unwrap();
    assert!(seen[turn..].iter().all(|value| value == b"new"), "{seen:?}");
    let without: BTreeSet<Vec<u8>> = (0..12)
        .map(|_| cluster.get(b"k", &eventual()).unwrap().unwrap().value.to_vec())
        .collect();
    assert_eq!(without.len(), 2, "without a session both are met");
}

#[test]
fn a_value_that_a_session_saw_deleted_does_not_come_back() {
    let cluster = Machine::new(42).create(&spec(3, 1, 3));
    cluster.put(b"k", b"v", REPLICATED).unwrap();
    cluster.pump();
    cluster.delete(b"k", REPLICATED).unwrap();
    let session = Session::new();
    let seen: Vec<bool> = (0..12)
        .map(|_| value(&session, &cluster, b"k").is_some())
        .collect();
    let turn = seen.iter().position(|there| !there).unwrap();
    assert!(seen[turn..].iter().all(|there| !there), "{seen:?}");
}

#[test]
fn a_key_that_never_was_is_remembered_as_far_as_its_replica_had_been_told() {
    let cluster = Machine::new(43).create(&spec(3, 1, 3));
    cluster.put(b"other", b"1", REPLICATED).unwrap();
    let session = Session::new();
    // Asked often enough to meet a copy that has the write.
    (0..6).for_each(|_| assert_eq!(value(&session, &cluster, b"absent"), None));
    for _ in 0..6 {
        assert_eq!(value(&session, &cluster, b"other").unwrap(), b"1");
    }
}

#[test]
fn scans_counts_and_many_keys_at_once_are_remembered_too() {
    let cluster = Machine::new(44).create(&spec(3, 4, 3));
    for i in 0..40 {
        cluster.put(&key(i), b"old", REPLICATED).unwrap();
    }
    cluster.pump();
    for i in 0..40 {
        cluster.put(&key(i), b"new", REPLICATED).unwrap();
    }
    let keys: Vec<Vec<u8>> = (0..41).map(key).collect();
    let all_new = |session: &Session| {
        (0..6).for_each(|_| {
            for key in &keys[..40] {
                assert_eq!(value(session, &cluster, key).unwrap(), b"new");
            }
        });
    };
    let by_scan = Session::new();
    let scan = by_scan
        .scan(&cluster, Bound::Unbounded, Bound::Unbounded, &strong())
        .unwrap();
    assert_eq!(scan.count(), 40);
    all_new(&by_scan);
    let by_count = Session::new();
    assert_eq!(by_count.count(&cluster, &strong()).unwrap(), 40);
    all_new(&by_count);
    let by_keys = Session::new();
    let answers = by_keys.multi_get(&cluster, &keys, &strong()).unwrap();
    assert!(
        answers[..40]
            .iter()
            .all(|answer| &*answer.as_ref().unwrap().value == b"new")
    );
    assert!(answers[40].is_none());
    all_new(&by_keys);
}

#[test]
fn a_session_moves_by_its_token_and_refuses_another_cluster() {
    let cluster = Machine::new(45).create(&spec(3, 2, 3));
    let (here, there) = (Session::new(), Session::new());
    assert!(here.token().is_empty());
    let mut batch = WriteBatch::new();
    batch.put(b"a", b"1");
    here.write(&cluster, &batch, REPLICATED).unwrap();
    here.delete(&cluster, b"b", REPLICATED).unwrap();
    there.see(&here.token()).unwrap();
    for _ in 0..9 {
        assert_eq!(value(&there, &cluster, b"a").unwrap(), b"1");
    }
    let other = Machine::new(46).create(&spec(3, 2, 3));
    assert!(matches!(there.get(&other, b"a"), Err(ClusterError::ForeignToken)));
    let refused = there.put(&other, b"a", b"2", REPLICATED);
    assert!(matches!(refused, Err(ClusterError::ForeignToken)));
    assert!(
        other.get(b"a", &strong()).unwrap().is_none(),
        "refused before it was written"
    );
    assert!(matches!(
        there.count(&other, &strong()),
        Err(ClusterError::ForeignToken)
    ));
    let foreign = other.put(b"a", b"2", REPLICATED).unwrap();
    assert!(matches!(there.see(&foreign), Err(ClusterError::ForeignToken)));
    assert_eq!(
        there.token(),
        here.token(),
        "what was refused leaves nothing behind"
    );
}

#[test]
fn a_session_follows_its_keys_to_another_shard_and_through_a_failover() {
    let cluster = Machine::new(47).create(&spec(3, 4, 3));
    let session = Session::new();
    for i in 0..60 {
        session.put(&cluster, &key(i), b"1", REPLICATED).unwrap();
    }
    let check = |wanted: &[u8]| {
        for i in 0..60 {
            assert_eq!(value(&session, &cluster, &key(i)).unwrap(), wanted, "{i}");
        }
    };
    check(b"1");
    cluster
        .rebalance(&Change::Add(NodeSpec::new("n9")), &mut |_| {})
        .unwrap();
    check(b"1");
    for i in 0..60 {
        session.put(&cluster, &key(i), b"2", REPLICATED).unwrap();
    }
    check(b"2");
    cluster.kill_node("n1").unwrap();
    cluster.pump();
    check(b"2");
    session.put(&cluster, b"after", b"3", REPLICATED).unwrap();
    assert_eq!(value(&session, &cluster, b"after").unwrap(), b"3");
}

#[test]
fn many_keys_at_once_are_answered_as_one_by_one() {
    let cluster = Machine::new(48).create(&spec(4, 8, 3));
    let mut model = Model::default();
    model.fill(&cluster, 300, 0);
    for i in (0..300).step_by(3) {
        model.delete(&cluster, &key(i));
    }
    // Twice, out of order, absent ones among them.
    let keys: Vec<Vec<u8>> = (0..700).map(|i| key(i * 7919 % 350)).collect();
    let check = |options: &_| {
        let many = cluster.multi_get(&keys, options).unwrap();
        assert_eq!(many.len(), keys.len());
        for (key, found) in keys.iter().zip(many) {
            let one = cluster.get(key, options).unwrap();
            assert_eq!(found.map(|a| a.value.to_vec()), one.map(|a| a.value.to_vec()));
        }
    };
    cluster.pump();
    check(&strong());
    check(&eventual());
    cluster
        .rebalance(&Change::Add(NodeSpec::new("n9")), &mut |_| {})
        .unwrap();
    check(&strong());
    cluster.kill_node("n2").unwrap();
    cluster.pump();
    check(&strong());
    assert!(cluster.multi_get::<Vec<u8>>(&[], &strong()).unwrap().is_empty());
    for node in ["n0", "n1", "n3"] {
        cluster.kill_node(node).unwrap();
    }
    let refused = cluster.multi_get(&keys, &strong()).unwrap_err();
    assert!(matches!(refused, ClusterError::Unavailable { .. }), "{refused}");
}
