//! Backups of a cluster: one instant across shards, and a cluster made of it that lives a life of its own.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use atoll::cluster::{
    Change, Cluster, ClusterError, ClusterOptions, CompactOptions, Consistency, ReadOptions, WriteDurability,
};
use atoll::io::Env;
use atoll::io::sim::{CutPolicy, Fault, FaultKind};
use atoll::routing::NodeSpec;
use atoll::store::backup::{BackupOptions, verify_backup};

use super::harness::*;

const BACKUP: &str = "/safe/backup";
const AGAIN: &str = "/again";

fn restore(machine: &Machine) -> Result<Cluster, ClusterError> {
    Cluster::restore(
        &machine.env(),
        Path::new(BACKUP),
        Path::new(AGAIN),
        &mut |_, _| {},
    )?;
    Cluster::open(&machine.env(), Path::new(AGAIN), &options())
}

fn back_up(cluster: &Cluster) -> Result<u64, ClusterError> {
    let report = cluster.backup(
        Path::new(BACKUP),
        &BackupOptions::default(),
        &mut |done, total| {
            assert!(done <= total);
        },
    )?;
    Ok(report.sequence)
}

fn fill(model: &mut Model, cluster: &Cluster, keys: std::ops::Range<usize>, value: &[u8]) {
    for i in keys {
        assert!(model.put(cluster, &key(i), value));
    }
}

#[test]
fn a_restored_cluster_has_every_acknowledged_write_and_all_its_replicas() {
    for release_log in [false, true] {
        let machine = Machine::new(7);
        let cluster = machine.create(&spec(4, 3, 3));
        let mut model = Model::default();
        for i in 0..120 {
            model.put(&cluster, &key(i), format!("value {i}").as_bytes());
        }
        for i in (0..120).step_by(11) {
            model.delete(&cluster, &key(i));
        }
        cluster
            .compact(&CompactOptions { release_log }, &mut |_, _, _| {})
            .unwrap();
        for i in 100..140 {
            model.put(&cluster, &key(i), b"newer");
        }
        let token = cluster
            .put(b"last", b"word", WriteDurability::Replicated)
            .unwrap();
        model.put(&cluster, b"last", b"word");
        assert_eq!(back_up(&cluster).unwrap(), 1);
        // Not in the backup.
        let later = cluster.put(b"later", b"x", WriteDurability::Replicated).unwrap();

        let copy = restore(&machine).unwrap();
        assert_eq!(copy.id(), cluster.id());
        model.check(&copy);
        assert!(copy.get(b"later", &strong()).unwrap().is_none());
        assert_whole(&copy);
        assert!(copy.verify(&mut |_, _| {}).unwrap().is_sound());
        let status = copy.status().unwrap();
        for shard in &status.shards {
            assert_eq!(shard.replicas.len(), 3);
            // An epoch that the life that was backed up will not come to.
            assert!(shard.epoch.0 > 1_000_000, "{shard:?}");
        }
        // What a session has seen in both lives is there; what it has seen in the other one is not.
        let with = |token| ReadOptions {
            consistency: Consistency::ReadYourWrites,
            token: Some(token),
        };
        let seen = copy.get(b"last", &with(token)).unwrap().unwrap();
        assert_eq!(&*seen.value, b"word");
        let lost = copy.get(b"later", &with(later)).unwrap_err();
        assert!(matches!(lost, ClusterError::WriteLost { .. }), "{lost}");
        // It survives the loss of a node and takes another one.
        copy.kill_node("n1").unwrap();
        model.put(&copy, &key(1), b"after the loss of n1");
        copy.restart_node("n1").unwrap();
        copy.rebalance(&Change::Add(NodeSpec::new("n4")), &mut |_| {})
            .unwrap();
        model.check(&copy);
        assert_whole(&copy);
        copy.close().unwrap();
        cluster.close().unwrap();
    }
}

#[test]
fn a_second_backup_after_a_failover_holds_the_new_leaders_and_removes_the_old_copies() {
    let machine = Machine::new(8);
    let cluster = machine.create(&spec(3, 3, 3));
    let mut model = Model::default();
    fill(&mut model, &cluster, 0..60, b"one");
    back_up(&cluster).unwrap();
    cluster.kill_node("n0").unwrap();
    fill(&mut model, &cluster, 30..90, b"two");
    assert_eq!(back_up(&cluster).unwrap(), 2);
    let copy = restore(&machine).unwrap();
    model.check(&copy);
    assert_whole(&copy);
    let dirs: std::collections::BTreeSet<_> = machine
        .disk
        .paths()
        .into_iter()
        .filter(|path| path.starts_with(BACKUP))
        .filter_map(|path| Some(path.parent()?.to_owned()))
        .filter(|dir| dir != Path::new(BACKUP))
        .collect();
    assert_eq!(dirs.len(), 3, "{dirs:?}");
    let refused = back_up(&restore_other(&machine)).unwrap_err();
    assert!(matches!(refused, ClusterError::Backup(_)), "{refused}");
    assert_eq!(refused.exit_code(), 2);
}

/// Another cluster on the same machine.
fn restore_other(machine: &Machine) -> Cluster {
    Cluster::create_with(&machine.env(), Path::new("/other"), &spec(3, 1, 3), &options()).unwrap()
}

/// A cut of the power at every third call of a backup and a restore.
#[test]
fn an_interrupted_backup_or_restore_of_a_cluster_leaves_whole_ones() {
    let run = |machine: &Machine, cluster: &Cluster| -> u32 {
        if back_up(cluster).is_err() {
            return 0;
        }
        match restore(machine) {
            Ok(_) => 2,
            Err(_) => 1,
        }
    };
    let prepare = |seed| {
        let machine = Machine::new(seed);
        let cluster = machine.create(&spec(3, 2, 2));
        let mut model = Model::default();
        fill(&mut model, &cluster, 0..30, b"one");
        back_up(&cluster).unwrap();
        fill(&mut model, &cluster, 20..40, b"two");
        (machine, cluster, model)
    };
    let (machine, cluster, _) = prepare(1);
    let before = machine.disk.calls();
    assert_eq!(run(&machine, &cluster), 2);
    let calls = machine.disk.calls() - before;
    drop(cluster);
    let mut cases = 0;
    for call in (1..=calls).step_by(3) {
        let (mut machine, cluster, model) = prepare(call);
        let fault = Fault {
            kind: FaultKind::PowerCut,
            persistent: true,
        };
        machine.disk.fail_at(machine.disk.calls() + call, fault);
        let done = run(&machine, &cluster);
        drop(cluster);
        machine.cut(CutPolicy::Random);
        let env = machine.env();
        let report = verify_backup(&env, Path::new(BACKUP), &mut |_, _| {}).unwrap();
        assert!(report.damage.is_empty(), "call {call}: {:?}", report.damage);
        assert!(report.sequence == 2 || done == 0, "call {call}");
        let exists = machine.disk.read_whole(&Path::new(AGAIN).join("ATOLL")).is_some();
        assert!(exists || done < 2, "call {call}");
        let copy = if exists {
            Cluster::open(&env, Path::new(AGAIN), &options()).unwrap()
        } else {
            restore(&machine).unwrap()
        };
        assert_whole(&copy);
        if report.sequence == 2 {
            model.check(&copy);
        }
        cases += 1;
    }
    println!("{cases} power cuts over {calls} calls of backing up and restoring a cluster");
}

/// One writer puts ever higher numbers to two keys of different shards, one after the other was
/// acknowledged. In a cut that is one instant the second never has a higher number than the first.
#[test]
fn a_backup_beside_writers_never_has_a_later_write_without_an_earlier_one() {
    let temp = tempfile::tempdir().unwrap();
    let env = Env::os();
    let cluster = Cluster::create(&env, &temp.path().join("c"), &spec(3, 3, 2)).unwrap();
    let topology = cluster.topology();
    let shard_of = |key: &[u8]| topology.shard_of_slot(topology.slot_of(key));
    let second = (0..)
        .map(key)
        .find(|second| shard_of(second) != shard_of(b"first"))
        .unwrap();
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut rounds = 0;
    /// Ends the writer also when a check fails: the scope would wait for it for ever.
    struct Stop<'s>(&'s AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        let (cluster, stop, written, second) = (&cluster, &stop, &written, &second);
        scope.spawn(move || {
            for n in 1u64.. {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                for key in [&b"first"[..], second] {
                    cluster
                        .put(key, &n.to_be_bytes(), WriteDurability::Replicated)
                        .unwrap();
                }
                written.store(n, Ordering::Release);
            }
        });
        for round in 0..6 {
            std::thread::sleep(Duration::from_millis(30));
            let before = written.load(Ordering::Acquire);
            let target = temp.path().join("b");
            cluster
                .backup(&target, &BackupOptions::default(), &mut |_, _| {})
                .unwrap();
            let dir = temp.path().join(format!("r{round}"));
            Cluster::restore(&env, &target, &dir, &mut |_, _| {}).unwrap();
            let copy = Cluster::open(&env, &dir, &ClusterOptions::default()).unwrap();
            let number = |key: &[u8]| {
                let answer = copy.get(key, &strong()).unwrap();
                answer.map_or(0, |answer| {
                    u64::from_be_bytes(answer.value[..8].try_into().unwrap())
                })
            };
            let (a, b) = (number(b"first"), number(second));
            assert!(
                a >= b && a <= b + 1 && b >= before,
                "round {round}: {a} {b} {before}"
            );
            copy.close().unwrap();
            rounds += 1;
        }
    });
    println!(
        "{rounds} cuts across shards, {} writes beside them",
        written.load(Ordering::Relaxed)
    );
    cluster.close().unwrap();
}
