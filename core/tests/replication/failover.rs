//! Nodes are killed and come back.

use std::path::Path;

use atoll::cluster::{ClusterError, ClusterSpec, Event, ReadOptions, WriteDurability};
use atoll::io::sim::{CutPolicy, Fault, FaultKind};

use super::harness::*;

fn promotions(cluster: &atoll::cluster::Cluster) -> usize {
    events(cluster, |event| matches!(event, Event::Promoted { .. }))
}

#[test]
fn a_killed_primary_is_replaced_and_comes_back_byte_identical() {
    let cluster = Machine::new(1).create(&spec(4, 8, 3));
    let mut model = Model::default();
    model.fill(&cluster, 200, 0);
    let led = cluster
        .status()
        .unwrap()
        .nodes
        .iter()
        .find(|node| node.name == "n0")
        .unwrap()
        .primaries;
    cluster.kill_node("n0").unwrap();
    assert_eq!(promotions(&cluster), led);
    model.check(&cluster);
    model.fill(&cluster, 200, 1);
    model.check(&cluster);
    cluster.restart_node("n0").unwrap();
    model.check(&cluster);
    assert_whole(&cluster);
    let told: Vec<String> = cluster.events().iter().map(ToString::to_string).collect();
    assert!(
        told.iter().any(|text| text.contains("leads in epoch 2")),
        "{told:?}"
    );
}

#[test]
fn every_node_in_turn_may_die_and_nothing_is_lost() {
    let cluster = Machine::new(2).create(&spec(4, 8, 3));
    let mut model = Model::default();
    for round in 0..8 {
        let node = format!("n{}", round % 4);
        model.fill(&cluster, 40, 2 * round);
        cluster.kill_node(&node).unwrap();
        model.fill(&cluster, 40, 2 * round + 1);
        cluster.restart_node(&node).unwrap();
    }
    model.check(&cluster);
    assert_whole(&cluster);
}

#[test]
fn beyond_the_quorum_a_shard_is_unavailable_and_loses_nothing() {
    let cluster = Machine::new(3).create(&spec(3, 2, 3));
    let mut model = Model::default();
    model.fill(&cluster, 60, 0);
    cluster.kill_node("n0").unwrap();
    model.fill(&cluster, 60, 1);
    cluster.kill_node("n1").unwrap();
    assert!(!model.put(&cluster, &key(1), b"too few"));
    let refused = cluster.get(&key(1), &strong()).unwrap_err();
    assert!(matches!(refused, ClusterError::Unavailable { .. }));
    // The one that is back first has slept through round 1: it must not lead with what it has.
    cluster.restart_node("n0").unwrap();
    model.check(&cluster);
    model.fill(&cluster, 60, 2);
    cluster.restart_node("n1").unwrap();
    model.check(&cluster);
    assert_whole(&cluster);
}

#[test]
fn two_copies_need_both_for_writes_and_one_for_eventual_reads() {
    let cluster = Machine::new(4).create(&spec(2, 1, 2));
    cluster.put(b"k", b"v", WriteDurability::Replicated).unwrap();
    cluster.pump();
    cluster.kill_node("n0").unwrap();
    assert!(matches!(
        cluster.put(b"k", b"w", WriteDurability::Buffered),
        Err(ClusterError::Unavailable { .. })
    ));
    assert_eq!(&*cluster.get(b"k", &eventual()).unwrap().unwrap().value, b"v");
    cluster.restart_node("n0").unwrap();
    cluster.put(b"k", b"w", WriteDurability::Buffered).unwrap();
    assert_whole(&cluster);
}

#[test]
fn a_deposed_primarys_unacknowledged_tail_is_taken_back_and_kept() {
    let mut machine = Machine::new(5);
    let cluster = machine.create(&spec(3, 1, 3));
    let mut model = Model::default();
    model.fill(&cluster, 20, 0);
    cluster.pump();
    let primary = cluster.locate(b"k").unwrap().primary;
    // The power goes at the primary's own fsync: the write is in its log and nowhere else.
    let cut = Fault {
        kind: FaultKind::PowerCut,
        persistent: false,
    };
    machine.disk.fail_at(machine.disk.calls() + 1, cut);
    let told = cluster.put(&key(3), b"only the primary has this", WriteDurability::Replicated);
    assert!(
        matches!(told, Err(ClusterError::Indeterminate { .. })),
        "{told:?}"
    );
    drop(cluster);
    machine.cut(CutPolicy::KeepAll);
    // It is away when the others elect (its fence is damaged) and write over it.
    let fence = store_dir(&primary, 0).with_extension("fence");
    machine.disk.flip(&fence, 50, 1);
    let cluster = machine.open();
    model.check(&cluster);
    model.fill(&cluster, 20, 1);
    cluster.close().unwrap();
    machine.disk.flip(&fence, 50, 1);
    let cluster = machine.open();
    let taken_back = |event: &Event| matches!(event, Event::TailTruncated { node, kept, .. } if *node == primary && !kept.is_empty());
    assert_eq!(events(&cluster, taken_back), 1, "{:?}", cluster.events());
    assert!(
        machine
            .disk
            .paths()
            .iter()
            .any(|path| path.starts_with(store_dir(&primary, 0).join("diverged")))
    );
    model.check(&cluster);
    assert_whole(&cluster);
    cluster.close().unwrap();
    let cluster = machine.open();
    assert_eq!(news(&cluster), []);
    model.check(&cluster);
}

#[test]
fn an_async_group_gives_up_unshipped_writes_only_with_permission_and_says_so() {
    let machine = Machine::new(6);
    let spec = ClusterSpec {
        quorum: Some(1),
        ..spec(3, 1, 3)
    };
    let cluster = machine.create(&spec);
    let kept = cluster.put(b"kept", b"1", WriteDurability::Synced).unwrap();
    cluster.pump();
    let primary = cluster.locate(b"k").unwrap().primary;
    let lost = cluster.put(b"lost", b"1", WriteDurability::Synced).unwrap();
    cluster.kill_node(&primary).unwrap();
    let refused = cluster.put(b"kept", b"2", WriteDurability::Synced).unwrap_err();
    assert!(
        matches!(refused, ClusterError::Unavailable { .. }),
        "quorum 1 needs all three: {refused}"
    );
    // With the primary back nothing is lost.
    cluster.restart_node(&primary).unwrap();
    assert_eq!(
        &*cluster
            .get(b"lost", &ReadOptions::after(lost.clone()))
            .unwrap()
            .unwrap()
            .value,
        b"1"
    );
    drop(cluster);

    let mut machine = machine;
    machine.crash();
    let lossy = atoll::cluster::ClusterOptions {
        allow_data_loss: true,
        ..options()
    };
    let cluster = atoll::cluster::Cluster::open(&machine.env(), Path::new(DIR), &lossy).unwrap();
    cluster.pump();
    let primary = cluster.locate(b"k").unwrap().primary;
    let lost = cluster.put(b"lost", b"2", WriteDurability::Synced).unwrap();
    cluster.kill_node(&primary).unwrap();
    let lossy = |event: &Event| matches!(event, Event::Promoted { lossy: true, .. });
    assert_eq!(events(&cluster, lossy), 1, "{:?}", cluster.events());
    assert_eq!(
        &*cluster
            .get(b"kept", &ReadOptions::after(kept))
            .unwrap()
            .unwrap()
            .value,
        b"1"
    );
    assert_eq!(&*cluster.get(b"lost", &strong()).unwrap().unwrap().value, b"1");
    let told = cluster
        .get(b"lost", &ReadOptions::after(lost.clone()))
        .unwrap_err();
    assert!(
        matches!(told, ClusterError::WriteLost { .. }),
        "never a stale value: {told}"
    );
    cluster.put(b"lost", b"3", WriteDurability::Synced).unwrap();
    // The deposed primary comes back with the write it had alone: taken back, and kept aside.
    cluster.restart_node(&primary).unwrap();
    let cut = events(
        &cluster,
        |event| matches!(event, Event::TailTruncated { node, kept, .. } if *node == primary && !kept.is_empty()),
    );
    assert_eq!(cut, 1, "{:?}", cluster.events());
    assert!(
        machine
            .disk
            .paths()
            .iter()
            .any(|path| path.starts_with(store_dir(&primary, 0).join("diverged")))
    );
    let told = cluster.get(b"lost", &ReadOptions::after(lost)).unwrap_err();
    assert!(matches!(told, ClusterError::WriteLost { .. }));
    assert_eq!(&*cluster.get(b"lost", &strong()).unwrap().unwrap().value, b"3");
    assert_whole(&cluster);
}

#[test]
fn after_a_crash_of_everything_the_epoch_is_new_and_every_acknowledged_write_is_there() {
    for policy in [
        CutPolicy::DropAll,
        CutPolicy::KeepAll,
        CutPolicy::TearAll,
        CutPolicy::Random,
    ] {
        let mut machine = Machine::new(7);
        let cluster = machine.create(&spec(4, 4, 3));
        let mut model = Model::default();
        model.fill(&cluster, 100, 0);
        let before = cluster.status().unwrap();
        drop(cluster);
        machine.cut(policy);
        let cluster = machine.open();
        model.check(&cluster);
        let after = cluster.status().unwrap();
        for (old, new) in before.shards.iter().zip(&after.shards) {
            assert!(new.epoch > old.epoch, "an epoch dies with its process");
        }
        model.fill(&cluster, 100, 1);
        model.check(&cluster);
        assert_whole(&cluster);
    }
}

#[test]
fn a_damaged_value_is_read_from_another_replica() {
    let machine = Machine::new(8);
    let cluster = machine.create(&spec(3, 1, 3));
    let mut model = Model::default();
    let needle = b"a value that is easy to find in a file";
    assert!(model.put(&cluster, b"needle", needle));
    assert_whole(&cluster);
    let primary = cluster.locate(b"needle").unwrap().primary;
    let log = machine.disk.paths().into_iter().find(|path| {
        path.starts_with(store_dir(&primary, 0).join("log"))
            && machine
                .disk
                .read_whole(path)
                .unwrap()
                .windows(needle.len())
                .any(|window| window == needle)
    });
    let log = log.unwrap();
    let at = machine
        .disk
        .read_whole(&log)
        .unwrap()
        .windows(needle.len())
        .position(|window| window == needle);
    machine.disk.flip(&log, at.unwrap() as u64, 0x40);
    let report = cluster.verify(&mut |_, _| {}).unwrap();
    assert!(
        report.damage.iter().any(|damage| damage.path == log),
        "{:?}",
        report.damage
    );
    let answer = cluster.get(b"needle", &strong()).unwrap().unwrap();
    assert_eq!(&*answer.value, needle);
    assert_ne!(answer.node, primary);
    assert!(
        events(
            &cluster,
            |event| matches!(event, Event::ReplicaDown { node, .. } if *node == primary)
        ) > 0
    );
}

#[test]
fn a_primary_whose_disk_fails_is_replaced_within_the_write() {
    for call in 1..40 {
        let machine = Machine::new(9);
        let cluster = machine.create(&spec(3, 1, 3));
        let mut model = Model::default();
        model.fill(&cluster, 10, 0);
        let at = machine.disk.calls() + call;
        machine.disk.fail_at(
            at,
            Fault {
                kind: FaultKind::Errno(5),
                persistent: false,
            },
        );
        for i in 0..10 {
            model.put(&cluster, &key(i), format!("after call {call}").as_bytes());
        }
        machine.disk.heal();
        model.check(&cluster);
    }
}

#[test]
fn what_no_quorum_has_is_not_read_at_any_level() {
    let machine = Machine::new(10);
    let cluster = machine.create(&spec(3, 1, 3));
    cluster.put(b"k", b"old", WriteDurability::Replicated).unwrap();
    cluster.pump();
    // The primary fsyncs; every follower's fsync fails.
    let broken = Fault {
        kind: FaultKind::Errno(5),
        persistent: true,
    };
    machine.disk.fail_at(machine.disk.calls() + 2, broken);
    let told = cluster.put(b"k", b"new", WriteDurability::Replicated);
    assert!(
        matches!(told, Err(ClusterError::Indeterminate { .. })),
        "{told:?}"
    );
    machine.disk.heal();
    assert!(cluster.get(b"k", &strong()).is_err());
    for _ in 0..6 {
        assert_eq!(&*cluster.get(b"k", &eventual()).unwrap().unwrap().value, b"old");
    }
    // With a quorum again the write is either there for good or gone for good.
    for node in ["n0", "n1", "n2"] {
        if cluster.status().unwrap().shards[0]
            .replicas
            .iter()
            .any(|one| one.node == node && one.state == "down")
        {
            cluster.restart_node(node).unwrap();
        }
    }
    let value = cluster.get(b"k", &strong()).unwrap().unwrap().value.to_vec();
    assert!(value == b"old" || value == b"new");
    assert_whole(&cluster);
    assert_eq!(
        cluster.get(b"k", &strong()).unwrap().unwrap().value.to_vec(),
        value
    );
}
