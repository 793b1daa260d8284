//! Random histories: whatever the order of delivery, nodes end byte-equal and no write is lost.
//!
//! `HISTORIES=n` sets the number for each rule, `SEED=n` the first seed; a failure names the seed to repeat.

use std::collections::BTreeMap;

use atoll::versioning::resolve::RESOLVERS;
use atoll::versioning::resolve::counter::Counter;
use atoll::versioning::{
    Actor, Causality, Context, DotSource, Hlc, HybridClock, Incarnation, NodeId, Opening, SiblingSet,
    Version, resolver,
};

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

struct Node {
    source: DotSource,
    clock: HybridClock,
    applied: Context,
    keys: BTreeMap<u8, SiblingSet>,
}

impl Node {
    fn apply(&mut self, key: u8, version: &Version) {
        self.clock.observe(u64::MAX >> 16, version.stamp);
        self.keys.entry(key).or_default().apply(version).unwrap();
        self.applied.insert(version.dot);
    }
}

/// One history under one rule: writes while messages are late, repeated, reordered and cut off, then all
/// of them everywhere in an order of each node's own.
fn history(rule_name: &str, seed: u64) {
    let rule = resolver(rule_name).unwrap();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let count = 2 + random.below(3);
    let mut nodes: Vec<Node> = (1..=count)
        .map(|id| Node {
            source: DotSource::new(Actor {
                node: NodeId(id),
                incarnation: Incarnation(1),
            }),
            clock: HybridClock::new(),
            applied: Context::new(),
            keys: BTreeMap::new(),
        })
        .collect();
    let mut sent: Vec<(u8, Version)> = Vec::new();
    for _ in 0..3 + random.below(12) {
        let at = random.below(count) as usize;
        let key = random.below(2) as u8;
        match random.below(8) {
            0..4 => {
                let node = &mut nodes[at];
                let (dot, stamp) = (
                    node.source.mint().unwrap(),
                    node.clock.send(random.below(4)).unwrap().stamp,
                );
                let set = node.keys.entry(key).or_default();
                let blind = rule_name != "counter" && random.below(4) == 0;
                let context = if blind { Context::new() } else { set.get().1 };
                let n = random.below(5);
                let value = (random.below(6) > 0).then(|| match rule_name {
                    "counter" => Counter::add(set, dot, n as i64 - 2).unwrap().to_bytes(),
                    "fields" => format!("{{\"f{}\":{n}}}", n % 2).into_bytes(),
                    "set_union" => format!("[{n}]").into_bytes(),
                    _ => n.to_string().into_bytes(),
                });
                let version = set.put(dot, stamp, &context, value).unwrap();
                node.applied.insert(dot);
                sent.push((key, version));
            }
            4..7 if !sent.is_empty() => {
                let (key, version) = sent[random.below(sent.len() as u64) as usize].clone();
                nodes[at].apply(key, &version);
            }
            7 if random.below(2) == 0 => {
                let next = Incarnation(nodes[at].source.actor().incarnation.0 + 1);
                let (actor, last) = (nodes[at].source.actor(), nodes[at].source.last());
                nodes[at].source = DotSource::reopen(actor, last, Opening::Unclean, || next);
            }
            _ => {
                let other = nodes[random.below(count) as usize]
                    .keys
                    .get(&key)
                    .cloned()
                    .unwrap_or_default();
                nodes[at].keys.entry(key).or_default().merge(&other).unwrap();
                let highest = other
                    .versions()
                    .iter()
                    .map(|version| version.stamp)
                    .max()
                    .unwrap_or(Hlc::ZERO);
                nodes[at].clock.observe(u64::MAX >> 16, highest);
            }
        }
        if rule_name == "lww" && random.below(3) == 0 {
            nodes[at]
                .keys
                .values_mut()
                .for_each(|set| drop(set.drop_losers()));
        }
    }
    let mut all_seen = Context::new();
    sent.iter().for_each(|(_, version)| all_seen.insert(version.dot));
    for node in &mut nodes {
        let mut order: Vec<usize> = (0..sent.len()).chain(0..sent.len() / 2).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i as u64 + 1) as usize);
        }
        order.iter().for_each(|&i| node.apply(sent[i].0, &sent[i].1));
        if rule_name == "lww" {
            node.keys.values_mut().for_each(|set| drop(set.drop_losers()));
        }
        node.keys.values_mut().for_each(|set| set.settle(&all_seen));
        assert_eq!(node.applied, all_seen);
    }
    for key in 0..2u8 {
        // What nothing replaced, told from the writes alone.
        let writes: Vec<&Version> = sent
            .iter()
            .filter(|(k, _)| *k == key)
            .map(|(_, version)| version)
            .collect();
        let mut living: Vec<Version> = writes
            .iter()
            .filter(|version| !writes.iter().any(|other| other.context.contains(version.dot)))
            .map(|version| (*version).clone())
            .collect();
        living.sort_by_key(|version| version.dot);
        let first = nodes[0].keys.get(&key).cloned().unwrap_or_default();
        for node in &nodes {
            let set = node.keys.get(&key).cloned().unwrap_or_default();
            assert_eq!(
                set.to_bytes(),
                first.to_bytes(),
                "{rule_name} seed {seed}: nodes differ on key {key}"
            );
            assert_eq!(set.context().compare(first.context()), Causality::Equal);
            let resolved = set.resolve(&[key], &*rule).unwrap().into_versions();
            assert_eq!(
                resolved,
                rule.resolve(&[key], &living).unwrap().into_versions(),
                "{rule_name} seed {seed}"
            );
            if rule_name != "lww" {
                assert_eq!(
                    set.versions(),
                    living,
                    "{rule_name} seed {seed}: a write is lost or back"
                );
            }
        }
    }
}

#[test]
fn every_delivery_order_ends_byte_equal_and_no_write_is_lost() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (count, seed) = (number("HISTORIES", 300), number("SEED", 1));
    for name in RESOLVERS.split(", ") {
        let begin = std::time::Instant::now();
        std::thread::scope(|scope| {
            for half in 0..2 {
                scope.spawn(move || {
                    (seed + half..seed + count)
                        .step_by(2)
                        .for_each(|seed| history(name, seed))
                });
            }
        });
        println!(
            "{name}: {count} histories, {:.1} s",
            begin.elapsed().as_secs_f64()
        );
    }
}
