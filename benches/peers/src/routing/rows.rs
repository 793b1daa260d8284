//! One function a row: sets the work up, lets everybody take turns, holds ours against the target.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use atoll::routing::{HashKind, NodeSpec, Ring, Topology, TopologySpec};
use sha1::Digest;
use xxhash_rust::xxh3::xxh3_64;

use super::keys::Keys;
use super::rings::{self, Peer};
use super::snapshot::{self, Mode};
use super::table::{Row, number};
use crate::measure::{Contender, Figure, take_turns};

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Passes of each contender.
    pub rounds: usize,
    /// Seconds of each cell of the snapshot row.
    pub seconds: f64,
}

fn sum(keys: &Keys, look: impl Fn(&[u8]) -> u64) -> u64 {
    keys.iter().fold(0, |sum, key| sum.wrapping_add(look(key)))
}

fn best_peer(figures: &[Figure]) -> &Figure {
    let peers = figures[1..].iter();
    peers
        .min_by(|a, b| a.ns.total_cmp(&b.ns))
        .expect("there are peers")
}

fn ratio_to_best(figures: &[Figure], least: f64) -> (String, bool) {
    let best = best_peer(figures);
    let ratio = best.ns / figures[0].ns;
    (format!("{ratio:.2} × {}", best.name), ratio >= least)
}

/// Owner of a key on a ring of `nodes` × 160 points.
#[must_use]
pub fn look_up(nodes: usize, bound_ns: f64, least: f64, keys: &Keys, effort: Effort) -> Row {
    let names = rings::names(nodes);
    let (ring, peers) = (rings::atoll(names, HashKind::Xxh3), rings::all(names));
    let mut contenders = vec![Contender::new("**atoll**", keys.len(), || {
        sum(keys, |key| ring.owner(key).into())
    })];
    for peer in &peers {
        contenders.push(Contender::new(peer.name(), keys.len(), || {
            sum(keys, |key| peer.owner(key))
        }));
    }
    let figures = take_turns(&mut contenders, effort.rounds);
    let (text, holds) = ratio_to_best(&figures, least);
    let ns = figures[0].ns;
    Row::ns(
        format!("ring look-up, {nodes} nodes × 160"),
        figures,
        format!("≤ {bound_ns} ns, ≥ {least} × the best peer"),
        (format!("{} ns, {text}", number(ns)), holds && ns <= bound_ns),
    )
}

/// Three distinct owners of a key.
#[must_use]
pub fn replicas(nodes: usize, keys: &Keys, effort: Effort) -> Row {
    let names = rings::names(nodes);
    let (ring, peers) = (rings::atoll(names, HashKind::Xxh3), rings::all(names));
    let mut out = Vec::with_capacity(3);
    let mut contenders = vec![
        Contender::new("**atoll**", keys.len(), || {
            sum(keys, |key| {
                let [a, b, c] = ring.first::<3>(key).expect("there are more nodes");
                u64::from(a) + u64::from(b) + u64::from(c)
            })
        }),
        Contender::new("atoll, into a vector", keys.len(), || {
            let mut sum = 0u64;
            for key in keys.iter() {
                ring.owners(key, 3, &mut out);
                sum = out.iter().fold(sum, |sum, &owner| sum.wrapping_add(owner.into()));
            }
            sum
        }),
        Contender::new("atoll, one owner", keys.len(), || {
            sum(keys, |key| ring.owner(key).into())
        }),
    ];
    for peer in peers.iter().filter(|peer| peer.has_replicas()) {
        contenders.push(Contender::new(peer.name(), keys.len(), || {
            sum(keys, |key| peer.owners(key))
        }));
    }
    let figures = take_turns(&mut contenders, effort.rounds);
    let ratio = figures[0].ns / figures[2].ns;
    let best = figures[3..]
        .iter()
        .min_by(|a, b| a.ns.total_cmp(&b.ns))
        .expect("there are peers");
    let text = format!(
        "{ratio:.2} × one owner, {:.1} × faster than {}",
        best.ns / figures[0].ns,
        best.name
    );
    Row::ns(
        format!("3 distinct owners, {nodes} nodes × 160"),
        figures,
        "≤ 1.5 × one owner",
        (text, ratio <= 1.5),
    )
}

/// Shard of a key through the slots of a topology.
#[must_use]
pub fn slots(keys: &Keys, effort: Effort) -> Row {
    let nodes = (0..16).map(|i| NodeSpec::new(format!("n{i}"))).collect();
    let (topology, _) = Topology::create(&TopologySpec::new(nodes, 64, 3)).expect("16 nodes hold 64 shards");
    let mut contenders = [
        Contender::new("**atoll**, key to shard", keys.len(), || {
            sum(keys, |key| topology.shard_of(key).0.into())
        }),
        Contender::new("xxh3 alone", keys.len(), || sum(keys, xxh3_64)),
    ];
    let figures = take_turns(&mut contenders, effort.rounds);
    let extra = figures[0].ns - figures[1].ns;
    Row::ns(
        "slots, 4,096 on 16 nodes",
        figures,
        "≤ hash + 3 ns",
        (format!("hash + {} ns", number(extra)), extra <= 3.0),
    )
}

/// The ring of programs that use SHA-1.
#[must_use]
pub fn sha1_ring(nodes: usize, keys: &Keys, effort: Effort) -> Row {
    let ring = rings::atoll(rings::names(nodes), HashKind::Sha1);
    let digest = |key: &[u8]| {
        let digest = sha1::Sha1::digest(key);
        u64::from_be_bytes(digest[..8].try_into().expect("8 bytes"))
    };
    let mut contenders = [
        Contender::new("**atoll**", keys.len(), || {
            sum(keys, |key| ring.owner(key).into())
        }),
        Contender::new("sha1 alone", keys.len(), || sum(keys, digest)),
    ];
    let figures = take_turns(&mut contenders, effort.rounds);
    let ratio = figures[0].ns / figures[1].ns;
    Row::ns(
        format!("sha1 ring, {nodes} nodes × 160"),
        figures,
        "≤ 1.3 × sha1 alone",
        (format!("{ratio:.2} ×"), ratio <= 1.3),
    )
}

/// Adding the thousand-and-first node; what undoes it is not timed.
#[must_use]
pub fn add_node(effort: Effort) -> Row {
    let names = rings::names(1001);
    let (before, last) = (&names[..1000], &names[1000]);
    let ring = rings::atoll(before, HashKind::Xxh3);
    let mut peers: Vec<Box<dyn Peer>> = rings::all(before);
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); peers.len() + 1];
    for _ in 0..effort.rounds.div_ceil(4) {
        let start = Instant::now();
        let grown = ring.with_node(NodeSpec::new(last)).expect("the name is new");
        times[0].push(start.elapsed().as_nanos() as f64);
        assert_eq!(grown.points(), 1001 * 160);
        for (peer, times) in peers.iter_mut().zip(&mut times[1..]) {
            let start = Instant::now();
            peer.add(last);
            times.push(start.elapsed().as_nanos() as f64);
            peer.undo();
        }
    }
    let names =
        std::iter::once("**atoll**, readers keep the old ring").chain(peers.iter().map(|peer| peer.name()));
    let figure = |(name, mut times): (&str, Vec<f64>)| {
        times.sort_by(f64::total_cmp);
        Figure {
            name: name.into(),
            ns: times[0] / 1e6,
            median_ns: times[times.len() / 2] / 1e6,
        }
    };
    let figures: Vec<Figure> = names.zip(times).map(figure).collect();
    let (best, median) = (figures[0].ns, figures[0].median_ns);
    Row {
        work: "add a node at 1000 × 160".into(),
        unit: "ms",
        figures,
        target: "≤ 2 ms, readers never wait".into(),
        reached: format!("{} ms, median {} ms", number(best), number(median)),
        holds: median <= 2.0,
    }
}

/// Look-ups while the topology is replaced every 10 ms: one row for the price, one for the scaling.
#[must_use]
pub fn snapshots(keys: &Keys, effort: Effort) -> [Row; 2] {
    let time = Duration::from_secs_f64(effort.seconds);
    let versions = snapshot::versions((effort.seconds * 100.0) as usize + 1);
    let mut best: HashMap<(Mode, usize), f64> = HashMap::new();
    for _ in 0..5 {
        for mode in [Mode::Plain, Mode::Shared, Mode::RwLock] {
            for threads in [1, 2] {
                let (rate, published) = snapshot::run(mode, threads, time, &versions, keys);
                assert!(mode == Mode::Plain || published > 2, "nothing was published");
                let cell = best.entry((mode, threads)).or_default();
                *cell = cell.max(rate);
            }
        }
    }
    let cell = |mode, threads| Figure {
        name: format!(
            "{} {threads} thread{}",
            mode_name(mode),
            if threads == 1 { "" } else { "s" }
        ),
        ns: best[&(mode, threads)],
        median_ns: best[&(mode, threads)],
    };
    let slower = 1.0 - best[&(Mode::Shared, 1)] / best[&(Mode::Plain, 1)];
    let scale = best[&(Mode::Shared, 2)] / best[&(Mode::Shared, 1)];
    let limit = best[&(Mode::Plain, 2)] / best[&(Mode::Plain, 1)];
    [
        Row {
            work: "readers while the topology changes every 10 ms".into(),
            unit: "M/s",
            figures: vec![cell(Mode::Shared, 1), cell(Mode::Plain, 1), cell(Mode::RwLock, 1)],
            target: "< 10 % slower than a plain reference".into(),
            reached: format!("{:.1} % slower", slower * 100.0),
            holds: slower < 0.1,
        },
        Row {
            work: "the same, two threads".into(),
            unit: "M/s",
            figures: vec![cell(Mode::Shared, 2), cell(Mode::Plain, 2), cell(Mode::RwLock, 2)],
            target: "2 threads ≥ 1.9 × one".into(),
            reached: format!("{scale:.2} ×, a plain reference {limit:.2} ×"),
            holds: scale >= 1.9,
        },
    ]
}

fn mode_name(mode: Mode) -> String {
    if mode == Mode::Shared {
        format!("**{}**", mode.name())
    } else {
        mode.name().into()
    }
}

/// Keys that change their owner when a node joins, against the share of the node.
#[must_use]
pub fn moved(nodes: usize) -> [Row; 2] {
    let keys = Keys::users(1 << 20);
    let names = rings::names(nodes + 1);
    let ring = rings::atoll(&names[..nodes], HashKind::Xxh3);
    let grown = ring
        .with_node(NodeSpec::new(&names[nodes]))
        .expect("the name is new");
    let ideal = 1.0 / (nodes as f64 + 1.0);
    let (mut moved, mut wrong) = (0u64, 0u64);
    for key in keys.iter() {
        let (old, new) = (ring.owner(key), grown.owner(key));
        moved += u64::from(old != new);
        wrong += u64::from(old != new && usize::from(new) != nodes);
    }
    let ours = moved as f64 / keys.len() as f64 / ideal;

    let mut figures = vec![Figure {
        name: "**atoll ring**".into(),
        ns: ours,
        median_ns: ours,
    }];
    for (peer, grown) in rings::all(&names[..nodes]).iter().zip(rings::all(names)) {
        let moved = keys
            .iter()
            .filter(|key| peer.owner(key) != grown.owner(key))
            .count();
        let share = moved as f64 / keys.len() as f64 / ideal;
        figures.push(Figure {
            name: peer.name().into(),
            ns: share,
            median_ns: share,
        });
    }
    let spec = |count: usize| TopologySpec::new(names[..count].iter().map(NodeSpec::new).collect(), 64, 1);
    let (before, _) = Topology::create(&spec(nodes)).expect("nodes hold 64 shards");
    let router = atoll::routing::Router::from_topology(before);
    let plan = router
        .plan_add(&NodeSpec::new(&names[nodes]))
        .expect("the name is new");
    let slots = plan.moved / ideal;
    [
        Row {
            work: format!("keys moved by adding a node to {nodes}, ring"),
            unit: "× ideal",
            figures,
            target: "≤ 1.2 ×, 0 between old nodes".into(),
            reached: format!("{ours:.3} ×, {wrong} between old nodes"),
            holds: ours <= 1.2 && wrong == 0,
        },
        Row {
            work: format!("keys moved by adding a node to {nodes}, slots"),
            unit: "× ideal",
            figures: vec![Figure {
                name: "**atoll slots**".into(),
                ns: slots,
                median_ns: slots,
            }],
            target: "≤ 1.02 ×, 0 between old nodes".into(),
            reached: format!(
                "{slots:.3} ×, {:.4} between old nodes",
                plan.moved_between_old_nodes
            ),
            holds: slots <= 1.02 && plan.moved_between_old_nodes == 0.0,
        },
    ]
}

/// The fullest of 16 equal nodes.
#[must_use]
pub fn balance(keys: &Keys) -> Row {
    let names = rings::names(16);
    let fullest = |owner: &dyn Fn(&[u8]) -> u64| {
        let mut counts: HashMap<u64, u64> = HashMap::new();
        keys.iter()
            .for_each(|key| *counts.entry(owner(key)).or_default() += 1);
        *counts.values().max().expect("keys have owners") as f64 * 16.0 / keys.len() as f64
    };
    let figure = |name: &str, load: f64| Figure {
        name: name.into(),
        ns: load,
        median_ns: load,
    };
    let spec = TopologySpec::new(names.iter().map(NodeSpec::new).collect(), 64, 1);
    let (topology, _) = Topology::create(&spec).expect("16 nodes hold 64 shards");
    let counts = topology.slot_counts();
    let mut share = [0u64; 16];
    for (shard, count) in topology.shards().iter().zip(counts) {
        share[usize::from(shard.replicas[0])] += u64::from(count);
    }
    let slots = *share.iter().max().expect("16 nodes") as f64 * 16.0 / f64::from(topology.slots());
    let by_keys = fullest(&|key| {
        let shard = topology.shard(topology.shard_of(key)).expect("slots have shards");
        shard.replicas[0].into()
    });
    let ring: Ring = rings::atoll(names, HashKind::Xxh3);
    let mut figures = vec![
        figure("**atoll slots**, share of slots", slots),
        figure("**atoll slots**, 1 M keys", by_keys),
        figure("atoll ring", fullest(&|key| ring.owner(key).into())),
    ];
    for peer in rings::all(names) {
        figures.push(figure(peer.name(), fullest(&|key| peer.owner(key))));
    }
    Row {
        work: "fullest of 16 equal nodes".into(),
        unit: "× mean",
        figures,
        target: "slots ≤ 1.02".into(),
        reached: format!("{slots:.4} of slots, {by_keys:.4} of keys"),
        holds: slots <= 1.02,
    }
}
