//! What does the way of a record into the log cost: through a map or `pwrite`, alone or in a batch, waiting
//! for the disk or not?
//!
//! Puts of new 16-byte keys with 100-byte values into a growing store in a temporary directory, one thread
//! unless said otherwise, so each includes the entry in the key index. The reference for waiting is a
//! `pwrite` of 128 bytes into a file that exists already, with `fdatasync`.

#![expect(
    missing_docs,
    reason = "criterion's macro makes a public function without any"
)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use atoll::store::{Durability, StoreOptions, WriteBatch, WritePath};
use atoll_benches::Numbers;
use atoll_benches::store::{VALUE, key, open, options};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const BATCH: u64 = 100;
/// Puts of each of several threads that wait for the disk together.
const PUTS_OF_A_THREAD: u64 = 8;
const THREADS: u64 = 8;

fn buffered(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append, buffered");
    for (name, write_path) in [("map", WritePath::Map), ("pwrite", WritePath::Pwrite)] {
        let dir = tempfile::tempdir().expect("a directory");
        let options = StoreOptions {
            write_path,
            ..options()
        };
        let store = open(dir.path(), &options);
        let numbers = Numbers::new(1);
        let mut next = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{name}, single"), |bencher| {
            bencher.iter(|| {
                next += 1;
                store
                    .put(&key(&numbers, next), &VALUE, Durability::Buffered)
                    .expect("put")
            });
        });
        group.throughput(Throughput::Elements(BATCH));
        group.bench_function(format!("{name}, batch of {BATCH}"), |bencher| {
            bencher.iter(|| {
                let mut batch = WriteBatch::new();
                for n in next..next + BATCH {
                    batch.put(key(&numbers, n), VALUE);
                }
                next += BATCH;
                store.write(&batch, Durability::Buffered).expect("written")
            });
        });
    }
    group.finish();
}

fn synced(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append, synced");
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path(), &options());
    let numbers = Numbers::new(2);
    let mut next = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function("single", |bencher| {
        bencher.iter(|| {
            next += 1;
            store
                .put(&key(&numbers, next), &VALUE, Durability::Synced)
                .expect("put")
        });
    });
    group.throughput(Throughput::Elements(THREADS * PUTS_OF_A_THREAD));
    group.bench_function(
        format!("{THREADS} threads, {PUTS_OF_A_THREAD} puts each"),
        |bencher| {
            bencher.iter_custom(|times| {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    let from = next;
                    next += THREADS * PUTS_OF_A_THREAD;
                    let began = Instant::now();
                    std::thread::scope(|scope| {
                        for thread in 0..THREADS {
                            let (store, numbers) = (&store, &numbers);
                            scope.spawn(move || {
                                for i in 0..PUTS_OF_A_THREAD {
                                    let n = from + thread * PUTS_OF_A_THREAD + i + 1;
                                    store
                                        .put(&key(numbers, n), &VALUE, Durability::Synced)
                                        .expect("put");
                                }
                            });
                        }
                    });
                    took += began.elapsed();
                }
                took
            });
        },
    );
    let file = File::create(dir.path().join("reference")).expect("a file");
    file.write_all_at(&vec![0; 8 << 20], 0).expect("written");
    file.sync_all().expect("synced");
    let mut at = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function("reference: pwrite and fdatasync", |bencher| {
        bencher.iter(|| {
            file.write_all_at(&[7; 128], at).expect("written");
            file.sync_data().expect("synced");
            at = (at + 128) % (8 << 20);
        });
    });
    group.finish();
}

criterion_group!(benches, buffered, synced);
criterion_main!(benches);
