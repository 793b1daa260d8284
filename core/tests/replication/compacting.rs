//! Compaction of replicas: beside failovers, wiped replicas and moves, with and without the log.

use atoll::cluster::{Change, ClusterCompaction, ClusterOptions, CompactOptions, Event};
use atoll::io::Disk;
use atoll::io::sim::CutPolicy;
use atoll::routing::NodeSpec;

use super::harness::*;

const KEEP: CompactOptions = CompactOptions { release_log: false };
const RELEASE: CompactOptions = CompactOptions { release_log: true };

fn compact(cluster: &atoll::cluster::Cluster, options: CompactOptions) -> u64 {
    let done = cluster.compact(&options, &mut |_, _, _| {}).unwrap();
    done.iter().map(|one| one.report.flushes).sum()
}

#[test]
fn compacted_replicas_answer_fail_over_and_come_back() {
    let mut machine = Machine::new(31);
    let cluster = machine.create(&spec(3, 2, 3));
    let mut model = Model::default();
    model.fill(&cluster, 120, 0);
    assert!(
        compact(&cluster, RELEASE) >= 6,
        "every replica has something to flush"
    );
    model.check(&cluster);
    assert_whole(&cluster);
    // The leader dies; a follower leads on from its own tables.
    let leader = cluster.locate(&key(1)).unwrap().primary;
    cluster.kill_node(&leader).unwrap();
    model.fill(&cluster, 120, 1);
    for i in (0..120).step_by(3) {
        assert!(model.delete(&cluster, &key(i)));
    }
    compact(&cluster, RELEASE);
    model.check(&cluster);
    cluster.restart_node(&leader).unwrap();
    assert_whole(&cluster);
    compact(&cluster, RELEASE);
    model.check(&cluster);
    drop(cluster);
    machine.cut(CutPolicy::DropAll);
    let cluster = machine.open();
    model.check(&cluster);
    assert_whole(&cluster);
    cluster.close().unwrap();
    let cluster = machine.open();
    assert_eq!(news(&cluster), [], "closed cleanly");
    model.check(&cluster);
}

/// Twenty rounds over the same keys: files do not grow with the rounds.
#[test]
fn space_of_a_long_running_cluster_is_bounded_by_its_live_data() {
    let machine = Machine::new(32);
    let cluster = machine.create(&spec(3, 1, 3));
    let mut model = Model::default();
    let mut sizes = Vec::new();
    for round in 0..20 {
        model.fill(&cluster, 200, round);
        compact(&cluster, RELEASE);
        let status = cluster.status().unwrap();
        sizes.push(status.nodes.iter().map(|node| node.bytes).sum::<u64>());
    }
    assert!(sizes[19] <= sizes[2], "{sizes:?}");
    model.check(&cluster);
    assert_whole(&cluster);
}

#[test]
fn log_is_kept_while_a_member_is_missing_and_it_catches_up_from_there() {
    let machine = Machine::new(33);
    let cluster = machine.create(&spec(3, 1, 3));
    let mut model = Model::default();
    model.fill(&cluster, 50, 0);
    let away = cluster.locate(b"k").unwrap().replicas[2].clone();
    cluster.kill_node(&away).unwrap();
    for round in 1..4 {
        model.fill(&cluster, 50, round);
        compact(&cluster, RELEASE);
    }
    cluster.restart_node(&away).unwrap();
    assert_whole(&cluster);
    compact(&cluster, RELEASE);
    model.check(&cluster);
    assert_whole(&cluster);
}

#[test]
fn emptied_replica_is_copied_while_the_log_is_kept_and_stays_out_once_it_has_gone() {
    let machine = Machine::new(34);
    let cluster = machine.create(&spec(3, 1, 3));
    let mut model = Model::default();
    model.fill(&cluster, 60, 0);
    compact(&cluster, KEEP);
    let victim = cluster.locate(b"k").unwrap().replicas[2].clone();
    cluster.close().unwrap();
    machine.disk.remove_dir_all(&store_dir(&victim, 0)).unwrap();
    let cluster = machine.open();
    assert_whole(&cluster);
    model.check(&cluster);
    model.fill(&cluster, 60, 1);
    compact(&cluster, RELEASE);
    cluster.close().unwrap();
    machine.disk.remove_dir_all(&store_dir(&victim, 0)).unwrap();
    let cluster = machine.open();
    model.check(&cluster);
    model.fill(&cluster, 60, 2);
    cluster.pump();
    let status = cluster.status().unwrap();
    let replica = status.shards[0]
        .replicas
        .iter()
        .find(|replica| replica.node == victim)
        .unwrap();
    let reason = replica.reason.clone().unwrap_or_default();
    assert!(reason.contains("have been released"), "{replica:?}");
    assert_eq!(status.shards[0].unavailable, None, "the others serve");
    model.check(&cluster);
}

#[test]
fn slots_move_away_from_compacted_shards_with_their_deletions() {
    let machine = Machine::new(35);
    let cluster = machine.create(&spec(3, 3, 2));
    let mut model = Model::default();
    model.fill(&cluster, 200, 0);
    for i in (0..200).step_by(4) {
        assert!(model.delete(&cluster, &key(i)));
    }
    compact(&cluster, RELEASE);
    let mut steps = 0;
    let mut progress = |_: &_| {
        // Compaction rests while slots move.
        if cluster.compact_step(&RELEASE).unwrap() {
            steps += 1;
        }
    };
    cluster
        .rebalance(&Change::Add(NodeSpec::new("n9")), &mut progress)
        .unwrap();
    model.check(&cluster);
    compact(&cluster, RELEASE);
    model.check(&cluster);
    assert_sound(&cluster);
    assert!(events(&cluster, |event| matches!(event, Event::ReplicaDown { .. })) == 0);
    println!("{steps} steps beside the move");
}

#[test]
fn cluster_compacts_in_the_background_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = ClusterOptions {
        compaction: ClusterCompaction::Background { release_log: true },
        segment_max_bytes: 1 << 20,
        ..ClusterOptions::default()
    };
    let env = atoll::io::Env::os();
    let cluster = atoll::cluster::Cluster::create_with(&env, dir.path(), &spec(2, 1, 2), &options).unwrap();
    let value = vec![7u8; 4000];
    let began = std::time::Instant::now();
    let mut rounds = 0;
    let compacted = |cluster: &atoll::cluster::Cluster| {
        std::fs::read_dir(dir.path().join("nodes/n0/shard-00000/tables")).is_ok_and(|files| files.count() > 0)
            && cluster.status().unwrap().shards[0].unavailable.is_none()
    };
    while rounds < 4 || (!compacted(&cluster) && began.elapsed().as_secs() < 30) {
        for i in 0..300 {
            cluster
                .put(&key(i), &value, atoll::cluster::WriteDurability::Buffered)
                .unwrap();
        }
        rounds += 1;
    }
    assert!(compacted(&cluster), "after {rounds} rounds");
    assert_eq!(cluster.count(&strong()).unwrap(), 300);
    cluster.close().unwrap();
    let cluster = atoll::cluster::Cluster::open(&env, dir.path(), &options).unwrap();
    assert_eq!(scan(&cluster).len(), 300);
}
