//! A cluster on a simulated machine, with a model of what was acknowledged beside it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atoll::cluster::{
    Cluster, ClusterError, ClusterOptions, ClusterSpec, Consistency, Event, ReadOptions, WriteDurability,
};
use atoll::io::Env;
use atoll::io::clock::{ManualClock, SeededEntropy};
use atoll::io::sim::{CutPolicy, SimDisk};
use atoll::routing::{NodeSpec, PartitioningSpec};

pub const DIR: &str = "/cluster";

pub fn strong() -> ReadOptions {
    ReadOptions::new(Consistency::Strong)
}

pub fn eventual() -> ReadOptions {
    ReadOptions::new(Consistency::Eventual)
}

pub fn names(count: usize) -> Vec<NodeSpec> {
    (0..count).map(|i| NodeSpec::new(format!("n{i}"))).collect()
}

/// Few slots, so that every slot has keys and moves are small.
pub fn spec(nodes: usize, shards: u32, replicas: u8) -> ClusterSpec {
    ClusterSpec {
        partitioning: PartitioningSpec::Hash { slots: 32 },
        ..ClusterSpec::new(names(nodes), shards, replicas)
    }
}

/// Everything in one order, nothing in the background.
pub fn options() -> ClusterOptions {
    ClusterOptions {
        background: false,
        ..ClusterOptions::default()
    }
}

/// A machine with a disk whose power can be cut.
pub struct Machine {
    pub disk: SimDisk,
    pub clock: Arc<ManualClock>,
    seed: u64,
}

impl Machine {
    pub fn new(seed: u64) -> Machine {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        Machine {
            disk: SimDisk::new(seed),
            clock,
            seed,
        }
    }

    pub fn env(&self) -> Env {
        Env {
            disk: Arc::new(self.disk.clone()),
            clock: Arc::clone(&self.clock) as Arc<_>,
            // Each life draws other numbers; the same seed draws the same.
            entropy: Arc::new(SeededEntropy::new(self.seed ^ self.disk.calls().rotate_left(32))),
        }
    }

    pub fn create(&self, spec: &ClusterSpec) -> Cluster {
        Cluster::create_with(&self.env(), Path::new(DIR), spec, &options()).unwrap()
    }

    pub fn open(&self) -> Cluster {
        self.try_open().unwrap()
    }

    pub fn try_open(&self) -> Result<Cluster, ClusterError> {
        Cluster::open(&self.env(), Path::new(DIR), &options())
    }

    pub fn cut(&mut self, policy: CutPolicy) {
        self.disk = self.disk.power_cut(policy);
    }

    pub fn crash(&mut self) {
        self.disk = self.disk.process_crash();
    }
}

/// What was acknowledged, and what may or may not have been done.
#[derive(Default)]
pub struct Model {
    sure: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Values a key may have instead, since a write to it was not answered.
    maybe: BTreeMap<Vec<u8>, Vec<Option<Vec<u8>>>>,
}

pub fn key(i: usize) -> Vec<u8> {
    format!("key-{i:05}").into_bytes()
}

impl Model {
    /// Writes and takes down what was answered; returns whether it was acknowledged.
    pub fn put(&mut self, cluster: &Cluster, key: &[u8], value: &[u8]) -> bool {
        let outcome = cluster.put(key, value, WriteDurability::Replicated).map(drop);
        self.note(key, Some(value.to_vec()), outcome)
    }

    pub fn delete(&mut self, cluster: &Cluster, key: &[u8]) -> bool {
        let outcome = cluster.delete(key, WriteDurability::Replicated).map(drop);
        self.note(key, None, outcome)
    }

    fn note(&mut self, key: &[u8], value: Option<Vec<u8>>, outcome: Result<(), ClusterError>) -> bool {
        match outcome {
            Ok(()) => {
                self.sure.insert(key.to_vec(), value);
                self.maybe.remove(key);
                true
            }
            Err(ClusterError::Unavailable { .. }) => false,
            // Anything else may have been done.
            Err(_) => {
                self.maybe.entry(key.to_vec()).or_default().push(value);
                false
            }
        }
    }

    pub fn fill(&mut self, cluster: &Cluster, count: usize, round: usize) {
        for i in 0..count {
            assert!(self.put(cluster, &key(i), format!("value {i} of round {round}").as_bytes()));
        }
    }

    /// Takes in what another writer did to other keys.
    pub fn join(&mut self, other: Model) {
        self.sure.extend(other.sure);
        self.maybe.extend(other.maybe);
    }

    /// Living keys of the model.
    pub fn len(&self) -> usize {
        self.sure.values().flatten().count()
    }

    /// Compares every key by get, and the whole by scan and count.
    pub fn check(&self, cluster: &Cluster) {
        let mut open = false;
        for key in self.sure.keys().chain(self.maybe.keys()) {
            let found = cluster
                .get(key, &strong())
                .unwrap()
                .map(|answer| answer.value.to_vec());
            let expected = self.sure.get(key).cloned().flatten();
            let maybe = self.maybe.get(key).is_some_and(|values| values.contains(&found));
            open |= self.maybe.contains_key(key);
            assert!(
                found == expected || maybe,
                "{}: found {:?}, acknowledged {:?}",
                String::from_utf8_lossy(key),
                found.map(|value| String::from_utf8_lossy(&value).into_owned()),
                expected.map(|value| String::from_utf8_lossy(&value).into_owned()),
            );
        }
        let scanned = scan(cluster);
        assert!(
            scanned.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "a scan is in order, each key once"
        );
        assert_eq!(cluster.count(&strong()).unwrap(), scanned.len() as u64);
        if !open {
            let sure: Vec<_> = self
                .sure
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
                .collect();
            assert_eq!(scanned, sure);
        }
    }
}

pub fn scan(cluster: &Cluster) -> Vec<(Vec<u8>, Vec<u8>)> {
    let scan = cluster
        .scan(Bound::Unbounded, Bound::Unbounded, &strong())
        .unwrap();
    scan.map(|entry| entry.map(|entry| (entry.key, entry.value.to_vec())).unwrap())
        .collect()
}

/// Every replica sound, and the replicas of each shard equal to the byte.
pub fn assert_sound(cluster: &Cluster) {
    let report = cluster.verify(&mut |_, _| {}).unwrap();
    assert!(
        report.is_sound(),
        "{:?} {:?}",
        report.damage,
        report.disagreements
    );
}

/// Every replica up, counting, and with the whole log.
pub fn assert_whole(cluster: &Cluster) {
    cluster.pump();
    let status = cluster.status().unwrap();
    for shard in &status.shards {
        assert_eq!(shard.unavailable, None);
        for replica in &shard.replicas {
            assert!(matches!(replica.state, "primary" | "follower"), "{replica:?}");
            assert_eq!((replica.lag_bytes, replica.lsn), (0, shard.tail), "{replica:?}");
        }
    }
    assert_sound(cluster);
}

/// What happened, apart from what the nodes cannot give anyway.
pub fn news(cluster: &Cluster) -> Vec<Event> {
    let mut events = cluster.events();
    events.retain(|event| !matches!(event, Event::Shortfall { .. }));
    events
}

pub fn events(cluster: &Cluster, pick: impl Fn(&Event) -> bool) -> usize {
    cluster.events().iter().filter(|event| pick(event)).count()
}

pub fn store_dir(node: &str, shard: u32) -> PathBuf {
    Path::new(DIR).join(format!("nodes/{node}/shard-{shard:05}"))
}
