//! How long does a store take to open, with a first get: after a clean close, after a crash, from the log,
//! from tables?
//!
//! A million 16-byte keys with 100-byte values, in the page cache. A crash is a store dropped without
//! closing it, which is what the end of a process does to it: the key index on disk is not trusted then,
//! and is built from tables and log. Throughput is in keys that were found again.

#![expect(
    missing_docs,
    reason = "criterion's macro makes a public function without any"
)]

use std::cell::RefCell;
use std::path::Path;

use atoll::store::{CompactionLimits, Store};
use atoll_benches::store::{fill, key, open, options};
use atoll_benches::{Numbers, scale};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const KEYS: u64 = 1_000_000;
const QUICK_KEYS: u64 = 10_000;

fn opened(dir: &Path, numbers: &Numbers) -> Store {
    let store = open(dir, &options());
    assert!(store.get(&key(numbers, 0)).expect("readable").is_some());
    store
}

fn recovery(criterion: &mut Criterion) {
    let keys = scale(KEYS, QUICK_KEYS);
    let numbers = Numbers::new(1);
    let mut group = criterion.benchmark_group("opening");
    group.sample_size(10);
    group.throughput(Throughput::Elements(keys));
    for (name, compacted, closed) in [
        ("closed, all in the log", false, true),
        ("closed, all in tables", true, true),
        ("crashed, all in the log", false, false),
        ("crashed, all in tables", true, false),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path(), &options());
        fill(&store, &numbers, keys);
        if compacted {
            store.sync().expect("synced");
            store
                .compact(&CompactionLimits::default(), &mut |_| {})
                .expect("compacted");
        }
        let last = RefCell::new(Some(store));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || match last.borrow_mut().take() {
                    Some(store) if closed => store.close().expect("closed"),
                    other => drop(other),
                },
                |()| *last.borrow_mut() = Some(opened(dir.path(), &numbers)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, recovery);
criterion_main!(benches);
