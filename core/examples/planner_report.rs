//! What plans move, over many random clusters: `cargo run --release --example planner_report [N]`.
//!
//! Every cluster has random weights, zones, racks in them, and copies, and goes through adds, removals, new weights
//! and several of these at once. Moves are counted from replica lists, not taken from the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use atoll::ids::SlotId;
use atoll::routing::{Change, Member, NodeSpec, Plan, Topology, TopologySpec, UniformLoad};

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[derive(Default)]
struct Tally {
    plans: u64,
    ratio_sum: f64,
    ratio_max: f64,
    fullest_sum: f64,
    fullest_max: f64,
    took: Duration,
    longest: Duration,
    moved_more: u64,
}

fn carry_out(topology: &Topology, plan: &Plan) -> Topology {
    let mut next = topology.with_plan(plan).expect("the plan is of this topology");
    for moved in &plan.moves {
        let moved = next.with_slots_moved(&moved.slots, moved.from, moved.to, 1);
        next = moved.expect("moves of a plan fit");
    }
    next.finished().expect("versions last").unwrap_or(next)
}

/// Slot copies on nodes that did not hold them before.
fn copies_moved(before: &Topology, after: &Topology) -> u64 {
    let slots = (0..before.slots()).map(SlotId);
    let gained = slots.map(|slot| {
        let old = before.node_names(before.shard_of_slot(slot));
        let new = after.node_names(after.shard_of_slot(slot));
        new.iter().filter(|node| !old.contains(node)).count() as u64
    });
    gained.sum()
}

/// Slots whose copies share a domain (a zone, or a rack in one) although as many domains as copies
/// have nodes.
fn avoidable(topology: &Topology, domain: impl Fn(&Member) -> Option<String>) -> u64 {
    let able = topology.members().iter().filter(|m| m.placing_weight() > 0);
    let domains: BTreeSet<String> = able.filter_map(&domain).collect();
    let possible = domains.len().min(usize::from(topology.replicas()));
    let slots = (0..topology.slots()).map(SlotId);
    let shared = slots.filter(|&slot| {
        let shard = topology.shard(topology.shard_of_slot(slot)).expect("an owner");
        let members = shard
            .replicas
            .iter()
            .map(|&at| &topology.members()[usize::from(at)]);
        let held: BTreeSet<_> = members.map(&domain).collect();
        !domains.is_empty() && held.len() < possible.min(shard.replicas.len())
    });
    shared.count() as u64
}

fn in_zones(topology: &Topology) -> u64 {
    avoidable(topology, |member| member.zone.clone())
}

fn in_racks(topology: &Topology) -> u64 {
    avoidable(topology, |member| {
        Some(format!("{}/{}", member.zone.as_ref()?, member.rack.as_ref()?))
    })
}

fn main() {
    let clusters: u64 = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000);
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let (mut zone_violations, mut rack_violations, mut between_old) = (0, 0, 0);
    let (mut zoned, mut racked) = (0, 0);
    for seed in 0..clusters {
        let mut dice = Dice(seed);
        let count = 4 + dice.below(21) as usize;
        let zones = [0, 0, 3, 4][dice.below(4) as usize];
        let racks = if zones > 0 {
            [0, 2, 3][dice.below(3) as usize]
        } else {
            0
        };
        zoned += u64::from(zones > 0);
        racked += u64::from(racks > 0);
        let weighted = dice.below(2) == 1;
        let node = |i: u64, dice: &mut Dice| {
            let weight = if weighted { 1 + dice.below(4) as u32 } else { 1 };
            let node = NodeSpec::new(format!("n{i}")).with_weight(weight);
            match (zones, racks) {
                (0, _) => node,
                (_, 0) => node.with_zone(format!("z{}", i % zones)),
                _ => node
                    .with_zone(format!("z{}", i % zones))
                    .with_rack(format!("r{}", i / zones % racks)),
            }
        };
        let nodes: Vec<_> = (0..count as u64).map(|i| node(i, &mut dice)).collect();
        let replicas = 1 + dice.below(3) as u8;
        let shards = count as u32 * (1 + dice.below(4) as u32);
        let spec = TopologySpec::new(nodes, shards, replicas);
        let (mut topology, _) = Topology::create(&spec).expect("a cluster");
        zone_violations += in_zones(&topology);
        rack_violations += in_racks(&topology);
        for step in 0..4u64 {
            let able: Vec<String> = topology
                .members()
                .iter()
                .filter(|member| member.placing_weight() > 0)
                .map(|member| member.name.clone())
                .collect();
            let any = able[dice.below(able.len() as u64) as usize].clone();
            let add = Change::Add(node(100 + 10 * step + dice.below(4), &mut dice));
            let (kind, change) = match dice.below(4) {
                0 if able.len() > usize::from(replicas) + 1 => ("remove", Change::Remove(any)),
                1 => {
                    let weight = 1 + dice.below(4) as u32;
                    ("re-weight", Change::Reweight { node: any, weight })
                }
                2 => ("several", Change::Together(vec![add, Change::Remove(any)])),
                _ => ("add", add),
            };
            let began = Instant::now();
            let plan = topology.plan(&change, &UniformLoad::default()).expect("a plan");
            let took = began.elapsed();
            let next = carry_out(&topology, &plan);
            let moved = copies_moved(&topology, &next);
            let tally = tallies.entry(kind).or_default();
            let ratio = if plan.minimum == 0 {
                1.0
            } else {
                moved as f64 / plan.minimum as f64
            };
            tally.plans += 1;
            tally.ratio_sum += ratio;
            tally.ratio_max = tally.ratio_max.max(ratio);
            tally.moved_more += u64::from(moved > plan.bound);
            tally.fullest_sum += plan.max_over_mean_after;
            tally.fullest_max = tally.fullest_max.max(plan.max_over_mean_after);
            tally.took += took;
            tally.longest = tally.longest.max(took);
            between_old += plan.moved_between_old_nodes;
            zone_violations += in_zones(&next);
            rack_violations += in_racks(&next);
            topology = next;
        }
    }
    println!("{clusters} clusters, {zoned} with zones and {racked} of them with racks, 4 changes each");
    println!(
        "change      plans  moved/minimum mean  max    fullest/share mean  max    over bound  time mean  max"
    );
    for (kind, tally) in &tallies {
        let n = tally.plans as f64;
        println!(
            "{kind:<10} {:>6}  {:>18.4}  {:.3}  {:>18.4}  {:.3}  {:>10}  {:>7.2?}  {:.2?}",
            tally.plans,
            tally.ratio_sum / n,
            tally.ratio_max,
            tally.fullest_sum / n,
            tally.fullest_max,
            tally.moved_more,
            tally.took / tally.plans as u32,
            tally.longest
        );
    }
    println!("copies between two old nodes: {between_old}");
    println!("slots whose copies share a zone although they need not: {zone_violations}");
    println!("slots whose copies share a rack although they need not: {rack_violations}");
    sixteen();
}

/// Sixteen equal nodes, then ten more one by one, then ten fewer.
fn sixteen() {
    for replicas in [1, 3] {
        let nodes = (0..16).map(|i| NodeSpec::new(format!("n{i}"))).collect();
        let spec = TopologySpec::new(nodes, 16, replicas);
        let (mut topology, _) = Topology::create(&spec).expect("a cluster");
        let join = |i: usize| Change::Add(NodeSpec::new(format!("x{i}")));
        let changes = (0..10)
            .map(join)
            .chain((0..10).map(|i| Change::Remove(format!("x{i}"))));
        for (step, change) in changes.enumerate() {
            let plan = topology.plan(&change, &UniformLoad::default()).expect("a plan");
            if [0, 9, 19].contains(&step) {
                println!(
                    "16 nodes × {replicas} copies, change {:>2}: moved {:.4} × the least, fullest {:.4} before and {:.4} after, {} shards",
                    step + 1,
                    plan.ratio,
                    plan.max_over_mean_before,
                    plan.max_over_mean_after,
                    plan.shards_after
                );
            }
            topology = carry_out(&topology, &plan);
        }
    }
}
