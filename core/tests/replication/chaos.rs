//! Random histories: nodes die and return, machines lose power, members change, all at once.
//!
//! `ATOLL_SEEDS=FROM..TO` runs other histories; a failing one prints its seed.

use atoll::cluster::{Change, Cluster};
use atoll::io::Entropy;
use atoll::io::clock::SeededEntropy;
use atoll::io::sim::{CutPolicy, Fault, FaultKind};
use atoll::routing::{MemberState, NodeSpec};

use super::harness::*;

const KEYS: usize = 48;

struct Dice(SeededEntropy);

impl Dice {
    fn roll(&self, sides: usize) -> usize {
        (self.0.next_u64() >> 20) as usize % sides
    }
}

fn node_names(cluster: &Cluster, up: bool) -> Vec<String> {
    let nodes = cluster.status().unwrap().nodes;
    let mine = nodes
        .iter()
        .filter(|node| node.member != MemberState::Removed && node.up == up);
    mine.map(|node| node.name.clone()).collect()
}

fn kill_one(cluster: &Cluster, dice: &Dice) {
    let up = node_names(cluster, true);
    if let Some(name) = up.get(dice.roll(up.len().max(1))) {
        cluster.kill_node(name).unwrap();
    }
}

fn restart_one(cluster: &Cluster, dice: &Dice) {
    let down = node_names(cluster, false);
    if let Some(name) = down.get(dice.roll(down.len().max(1))) {
        cluster.restart_node(name).unwrap();
    }
}

fn write_some(cluster: &Cluster, dice: &Dice, model: &mut Model, count: usize, serial: &mut usize) {
    for _ in 0..count {
        *serial += 1;
        let key = key(dice.roll(KEYS));
        if dice.roll(4) == 0 {
            model.delete(cluster, &key);
        } else {
            model.put(cluster, &key, format!("write {serial}").as_bytes());
        }
    }
}

/// Adds a node, removes one or goes on with an interrupted change, with trouble on the way.
fn change_members(cluster: &Cluster, dice: &Dice, model: &mut Model, serial: &mut usize) {
    let names: Vec<String> = [node_names(cluster, true), node_names(cluster, false)].concat();
    let change = match dice.roll(3) {
        0 if names.len() > 3 => Change::Remove(names[dice.roll(names.len())].clone()),
        1 => Change::Reweight {
            node: names[dice.roll(names.len())].clone(),
            weight: 1 + dice.roll(3) as u32,
        },
        _ if names.len() < 6 => Change::Add(NodeSpec::new(format!("x{}", dice.roll(9)))),
        _ => Change::Remove(names[dice.roll(names.len())].clone()),
    };
    let mut trouble = 3;
    let mut step = |progress: &atoll::cluster::RebalanceProgress| {
        if progress.frozen_slots == 0 {
            write_some(cluster, dice, model, 3, serial);
        }
        if trouble > 0 && dice.roll(4) == 0 {
            trouble -= 1;
            if dice.roll(2) == 0 {
                kill_one(cluster, dice)
            } else {
                restart_one(cluster, dice)
            }
        }
    };
    // Refusals are part of the game: nodes are down, a change is under way, a name is taken.
    if let Ok(None) = cluster.resume_rebalance(&mut step) {
        let _ = cluster.rebalance(&change, &mut step);
    }
}

fn history(seed: u64) {
    let dice = Dice(SeededEntropy::new(seed));
    let mut machine = Machine::new(seed);
    let replicas = 2 + dice.roll(2) as u8;
    let mut cluster = machine.create(&spec(3 + dice.roll(2), 1 + dice.roll(4) as u32, replicas));
    let mut model = Model::default();
    let mut serial = 0;
    for _ in 0..24 {
        match dice.roll(12) {
            0..=3 => write_some(&cluster, &dice, &mut model, 8, &mut serial),
            4 => kill_one(&cluster, &dice),
            5 | 6 => restart_one(&cluster, &dice),
            7 => cluster.pump(),
            8 | 9 => change_members(&cluster, &dice, &mut model, &mut serial),
            10 => {
                // The power goes at some call to come, or now.
                let at = machine.disk.calls() + 1 + dice.roll(60) as u64;
                machine.disk.fail_at(
                    at,
                    Fault {
                        kind: FaultKind::PowerCut,
                        persistent: false,
                    },
                );
                write_some(&cluster, &dice, &mut model, 10, &mut serial);
                drop(cluster);
                let policies = [
                    CutPolicy::DropAll,
                    CutPolicy::KeepAll,
                    CutPolicy::TearAll,
                    CutPolicy::Random,
                ];
                machine.cut(policies[dice.roll(4)]);
                cluster = machine.open();
                model.check(&cluster);
            }
            _ => {
                if dice.roll(2) == 0 {
                    drop(cluster);
                    machine.crash();
                } else {
                    cluster.close().unwrap();
                }
                cluster = machine.open();
                model.check(&cluster);
            }
        }
    }
    while !node_names(&cluster, false).is_empty() {
        restart_one(&cluster, &dice);
    }
    cluster.pump();
    model.check(&cluster);
    while cluster.resume_rebalance(&mut |_| {}).unwrap().is_some() {}
    model.check(&cluster);
    assert_whole(&cluster);
}

#[test]
fn no_acknowledged_write_is_lost_in_any_random_history() {
    let range = std::env::var("ATOLL_SEEDS").unwrap_or_else(|_| "0..15".into());
    let (from, to) = range.split_once("..").expect("FROM..TO");
    for seed in from.parse().unwrap()..to.parse().unwrap() {
        if let Err(panic) = std::panic::catch_unwind(|| history(seed)) {
            eprintln!("seed {seed} failed; ATOLL_SEEDS={seed}..{} replays it", seed + 1);
            std::panic::resume_unwind(panic);
        }
    }
}
