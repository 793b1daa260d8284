//! What does a sorted bulk load save beside batches and single puts of the same pairs?
//!
//! A million new 16-byte keys in ascending order with 100-byte values go into an empty store in a
//! temporary directory, one thread, durable at the end: put by put, in batches of 1,000, and as one load.
//! Compaction is off; what the log of the first two holds would still have to be written into tables once
//! more, which `and compacted` adds.

#![expect(
    missing_docs,
    reason = "criterion's macro makes a public function without any"
)]

use std::time::{Duration, Instant};

use atoll::store::{CompactionLimits, Durability, Store, WriteBatch};
use atoll_benches::store::{VALUE, open, options};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const KEYS: u64 = 1_000_000;
const BATCH: u64 = 1000;

/// Fills an empty store.
type Way = fn(&Store);

fn key(n: u64) -> [u8; 16] {
    let mut key = *b"user:00000000000";
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

fn puts(store: &Store) {
    for n in 0..KEYS {
        store.put(&key(n), &VALUE, Durability::Buffered).expect("put");
    }
    store.sync().expect("synced");
}

fn batches(store: &Store) {
    for first in (0..KEYS).step_by(BATCH as usize) {
        let mut batch = WriteBatch::new();
        for n in first..first + BATCH {
            batch.put(key(n), VALUE);
        }
        store.write(&batch, Durability::Buffered).expect("written");
    }
    store.sync().expect("synced");
}

fn compacted(store: &Store) {
    puts(store);
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
}

fn load(store: &Store) {
    store
        .load_sorted((0..KEYS).map(|n| (key(n), VALUE)))
        .expect("loaded");
}

fn bulk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a million sorted pairs");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(KEYS));
    let ways: [(&str, Way); 4] = [
        ("puts", puts),
        ("batches of 1000", batches),
        ("puts and compacted", compacted),
        ("load", load),
    ];
    for (name, way) in ways {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let dir = tempfile::tempdir().expect("a directory");
                    let store = open(dir.path(), &options());
                    let began = Instant::now();
                    way(&store);
                    took += began.elapsed();
                }
                took
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bulk);
criterion_main!(benches);
