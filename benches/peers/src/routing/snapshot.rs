//! Look-ups through a topology that somebody replaces every 10 ms.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, RwLock};
use std::time::{Duration, Instant};

use atoll::routing::{Change, NodeSpec, SharedTopology, Topology, TopologySpec};

use super::keys::Keys;

/// How a reader gets at the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A reference: nobody may ever replace it. The limit.
    Plain,
    /// [`SharedTopology`] and a reader for each thread.
    Shared,
    /// What most programs write.
    RwLock,
}

impl Mode {
    /// For tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::Plain => "plain reference",
            Mode::Shared => "atoll TopologyReader",
            Mode::RwLock => "RwLock<Arc>",
        }
    }
}

/// A topology and what follows it, one version each.
#[must_use]
pub fn versions(count: usize) -> Vec<Topology> {
    let nodes = (0..64).map(|i| NodeSpec::new(format!("n{i:02}"))).collect();
    let (first, _) = Topology::create(&TopologySpec::new(nodes, 64, 3)).expect("64 nodes hold 64 shards");
    let mut versions = vec![first];
    while versions.len() < count {
        let again = Change::Reweight {
            node: "n00".into(),
            weight: 1,
        };
        let next = versions[versions.len() - 1].with_members_changed(&again);
        versions.push(next.expect("the same weight again is a change"));
    }
    versions
}

/// Million look-ups a second of `threads` readers for `time`, with a writer who puts the next version
/// into force every 10 ms unless `mode` is [`Mode::Plain`]; and how often the writer did.
#[must_use]
pub fn run(mode: Mode, threads: usize, time: Duration, versions: &[Topology], keys: &Keys) -> (f64, usize) {
    let plain = versions[0].clone();
    let shared = Arc::new(SharedTopology::new(versions[0].clone()));
    let locked = RwLock::new(Arc::new(versions[0].clone()));
    let stop = AtomicBool::new(false);
    let start = Barrier::new(threads + 1);
    let mut total = 0.0;
    let mut published = 0;
    std::thread::scope(|scope| {
        let reader = |_| {
            scope.spawn(|| {
                let mut reader = shared.reader();
                start.wait();
                let (began, mut looked) = (Instant::now(), 0u64);
                while !stop.load(Ordering::Relaxed) {
                    let mut sum = 0u32;
                    for key in keys.iter() {
                        let shard = match mode {
                            Mode::Plain => black_box(&plain).shard_of(key),
                            Mode::Shared => reader.current().shard_of(key),
                            Mode::RwLock => {
                                let topology = locked.read().expect("no reader panics");
                                topology.shard_of(key)
                            }
                        };
                        sum = sum.wrapping_add(shard.0);
                    }
                    black_box(sum);
                    looked += keys.len() as u64;
                }
                looked as f64 / began.elapsed().as_secs_f64() / 1e6
            })
        };
        let readers: Vec<_> = (0..threads).map(reader).collect();
        start.wait();
        let began = Instant::now();
        while began.elapsed() < time {
            std::thread::sleep(Duration::from_millis(10));
            if mode != Mode::Plain && published + 1 < versions.len() {
                published += 1;
                let next = versions[published].clone();
                if mode == Mode::Shared {
                    shared.publish(next).expect("versions follow each other");
                } else {
                    *locked.write().expect("no reader panics") = Arc::new(next);
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        total = readers
            .into_iter()
            .map(|reader| reader.join().expect("readers end"))
            .sum();
    });
    (total, published)
}
