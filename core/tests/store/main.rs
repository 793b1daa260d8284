//! The store as a whole: against a model, with several threads, and as a follower.

mod approximate;
mod backup;
mod bulk;
mod compaction;
mod concurrent;
mod conditional;
mod edges;
mod expiry;
mod follower;
mod full_disk;
mod index_damage;
mod model;
mod payloads;
mod subscription;
mod transactions;
mod unreadable;

use std::path::Path;
use std::sync::Arc;

use atoll::ids::{ShardId, Uuid};
use atoll::io::Env;
use atoll::io::clock::{ManualClock, SeededEntropy};
use atoll::io::sim::SimDisk;
use atoll::store::{StoreIdentity, StoreOptions, WritePath};

fn env(disk: &SimDisk, seed: u64) -> Env {
    Env {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(ManualClock::new(1_700_000_000_000)),
        entropy: Arc::new(SeededEntropy::new(seed)),
    }
}

fn options(node: u64, write_path: WritePath) -> StoreOptions {
    let identity = StoreIdentity {
        cluster: Uuid([3; 16]),
        shard: ShardId(5),
        node,
    };
    StoreOptions {
        write_path,
        segment_max_bytes: 1 << 20,
        ..StoreOptions::new(identity)
    }
}

fn dir() -> &'static Path {
    Path::new("/data/store")
}
