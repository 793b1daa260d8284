//! The power goes at every call of a scripted rebalance, and of a scripted failover.

use atoll::cluster::{Change, Cluster};
use atoll::io::sim::{CutPolicy, Fault, FaultKind};
use atoll::routing::NodeSpec;

use super::harness::*;

const KEYS: usize = 40;

/// A small cluster, closed, with a model of what it holds.
fn prepared(seed: u64) -> (Machine, Model) {
    let machine = Machine::new(seed);
    let cluster = machine.create(&spec(2, 2, 2));
    let mut model = Model::default();
    model.fill(&cluster, KEYS, 0);
    for i in (0..KEYS).step_by(6) {
        assert!(model.delete(&cluster, &key(i)));
    }
    cluster.close().unwrap();
    (machine, model)
}

/// Adds a node while writing between the moves. Ends early when the power is gone.
fn grow(cluster: &Cluster, model: &mut Model) -> bool {
    let mut writes = 0;
    let change = Change::Add(NodeSpec::new("new"));
    let done = cluster.rebalance(&change, &mut |progress| {
        if progress.frozen_slots > 0 {
            return;
        }
        for _ in 0..12 {
            let i = (writes * 7) % KEYS;
            if writes % 4 == 3 {
                model.delete(cluster, &key(i));
            } else {
                model.put(cluster, &key(i), format!("write {writes} of the move").as_bytes());
            }
            writes += 1;
        }
    });
    done.is_ok()
}

/// Cuts the power at call `call` of the script; returns whether the script ended before.
fn cut_at(call: u64, policy: CutPolicy, twice: bool) -> bool {
    let (mut machine, mut model) = prepared(call);
    let cluster = machine.open();
    let cut = Fault {
        kind: FaultKind::PowerCut,
        persistent: false,
    };
    machine.disk.fail_at(machine.disk.calls() + call, cut);
    let ended = grow(&cluster, &mut model);
    drop(cluster);
    machine.cut(policy);
    let mut cluster = machine.open();
    model.check(&cluster);
    if twice {
        // Again, in the middle of resuming.
        machine.disk.fail_at(machine.disk.calls() + call / 3 + 1, cut);
        let _ = cluster.resume_rebalance(&mut |_| {});
        drop(cluster);
        machine.cut(policy);
        cluster = machine.open();
        model.check(&cluster);
    }
    let resumed = cluster.resume_rebalance(&mut |_| {}).unwrap();
    if resumed.is_none() && cluster.topology().member("new").is_none() {
        assert!(
            grow(&cluster, &mut model),
            "what was never decided can be asked for again"
        );
    }
    model.check(&cluster);
    for i in 0..KEYS {
        assert!(model.put(&cluster, &key(i), b"afterwards"));
    }
    model.check(&cluster);
    assert_whole(&cluster);
    cluster.close().unwrap();
    let cluster = machine.open();
    assert_eq!(news(&cluster), []);
    model.check(&cluster);
    ended
}

/// Cuts at every `step`-th call; `ATOLL_SWEEP_STEP=1` asks for every single one.
fn sweep(policy: CutPolicy, step: usize, twice: bool) {
    let step = std::env::var("ATOLL_SWEEP_STEP").map_or(step, |text| text.parse().unwrap());
    let mut cuts = 0;
    for call in (1..).step_by(step) {
        if cut_at(call, policy, twice) {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 20, "only {cuts} cuts fell into the script");
}

#[test]
fn a_power_cut_at_any_call_of_a_rebalance_loses_no_acknowledged_write_dropping() {
    sweep(CutPolicy::DropAll, 5, false);
}

#[test]
fn a_power_cut_at_any_call_of_a_rebalance_loses_no_acknowledged_write_keeping() {
    sweep(CutPolicy::KeepAll, 9, false);
}

#[test]
fn a_power_cut_at_any_call_of_a_rebalance_loses_no_acknowledged_write_tearing() {
    sweep(CutPolicy::TearAll, 7, false);
}

#[test]
fn a_second_power_cut_while_resuming_loses_no_acknowledged_write() {
    sweep(CutPolicy::Random, 8, true);
}

#[test]
fn a_power_cut_at_any_call_of_a_failover_loses_no_acknowledged_write() {
    for policy in [CutPolicy::DropAll, CutPolicy::Random] {
        let mut cuts = 0;
        for call in 1.. {
            let mut machine = Machine::new(call);
            let cluster = machine.create(&spec(3, 1, 3));
            let mut model = Model::default();
            model.fill(&cluster, 8, 0);
            machine.disk.fail_at(
                machine.disk.calls() + call,
                Fault {
                    kind: FaultKind::PowerCut,
                    persistent: false,
                },
            );
            let primary = cluster.locate(b"k").unwrap().primary;
            cluster.kill_node(&primary).unwrap();
            for i in 0..4 {
                model.put(&cluster, &key(i), b"under the new leader");
            }
            cluster.restart_node(&primary).unwrap();
            for i in 4..8 {
                model.put(&cluster, &key(i), b"with everybody back");
            }
            let ended = cluster.status().is_ok_and(|status| status.unavailable == 0)
                && model.put(&cluster, &key(0), b"last");
            drop(cluster);
            machine.cut(policy);
            let cluster = machine.open();
            model.check(&cluster);
            assert_whole(&cluster);
            if ended {
                break;
            }
            cuts += 1;
        }
        assert!(cuts > 20, "only {cuts} cuts fell into the script");
    }
}

#[test]
fn a_power_cut_at_any_call_of_a_creation_leaves_a_cluster_or_a_free_directory() {
    for call in 1.. {
        let mut machine = Machine::new(call);
        let spec = spec(2, 1, 2);
        machine.disk.fail_at(
            call,
            Fault {
                kind: FaultKind::PowerCut,
                persistent: false,
            },
        );
        let made = Cluster::create_with(&machine.env(), DIR.as_ref(), &spec, &options()).map(drop);
        machine.cut(CutPolicy::Random);
        match machine.try_open() {
            Ok(cluster) => assert_whole(&cluster),
            Err(atoll::cluster::ClusterError::NotACluster { .. }) => {
                assert!(made.is_err());
                assert_whole(&machine.create(&spec));
            }
            Err(other) => panic!("call {call}: {other}"),
        }
        if made.is_ok() {
            break;
        }
    }
}
