//! What does a key of an ordered scan cost: from tables, and from a log that nobody has sorted yet?
//!
//! Two million 16-byte keys in random order, 100-byte values, one thread, a warm store in a temporary
//! directory. Every scan touches the last byte of each value. The reference is a plain pass over as many
//! bytes in memory, touching the same places.

#![expect(
    missing_docs,
    reason = "criterion's macro makes a public function without any"
)]

use std::hint::black_box;
use std::ops::Bound;
use std::time::{Duration, Instant};

use atoll::ids::{ShardId, Uuid};
use atoll::io::Env;
use atoll::store::{
    Compaction, CompactionLimits, Durability, ScanOptions, Store, StoreIdentity, StoreOptions,
};
use atoll_benches::{Numbers, scale};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const KEYS: u64 = 2_000_000;
const QUICK_KEYS: u64 = 10_000;
const VALUE: [u8; 100] = [7; 100];
const USER_BYTES: u64 = 116;

fn key(numbers: &Numbers, n: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&numbers.nth(n).to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

/// The store after a fill, and the most bytes of disk it took meanwhile.
fn filled(dir: &std::path::Path, keys: u64, compaction: Compaction) -> (Store, u64) {
    let identity = StoreIdentity {
        cluster: Uuid::NIL,
        shard: ShardId(0),
        node: 1,
    };
    let options = StoreOptions {
        compaction,
        ..StoreOptions::new(identity)
    };
    let store = Store::open_standalone(&Env::os(), dir, &options).expect("opens");
    let numbers = Numbers::new(2);
    let mut most = 0;
    for n in 0..keys {
        if n % 4096 == 0 {
            most = most.max(disk_bytes(&store));
        }
        store
            .put(&key(&numbers, n), &VALUE, Durability::Buffered)
            .expect("put");
    }
    let most = most.max(disk_bytes(&store));
    (store, most)
}

/// How much space a fill takes at most while compaction goes on beside it.
fn space(keys: u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let began = Instant::now();
    let background = Compaction::Background { rate_bytes_per_s: 0 };
    let (store, most) = filled(dir.path(), keys, background);
    let took = began.elapsed().as_secs_f64();
    let written = store.compaction_health().done.bytes_written;
    println!(
        "fill beside compaction: {:.1} M puts/s; at most {:.2} bytes of disk for a user byte, {:.2} written into tables",
        keys as f64 / took / 1e6,
        most as f64 / (keys * USER_BYTES) as f64,
        written as f64 / (keys * USER_BYTES) as f64
    );
}

/// Touches every key from `start` on, at most `limit`; returns how many.
fn walk(store: &Store, start: Bound<&[u8]>, options: ScanOptions) -> u64 {
    let mut scan = store
        .snapshot()
        .scan_with(start, Bound::Unbounded, options)
        .expect("opens");
    let (mut count, mut sum) = (0u64, 0u64);
    while let Some(entry) = scan.next_entry().expect("readable") {
        count += 1;
        sum += u64::from(entry.value.expect("alive")[99]);
    }
    black_box(sum);
    count
}

fn everything(store: &Store) -> u64 {
    walk(store, Bound::Unbounded, ScanOptions::default())
}

fn disk_bytes(store: &Store) -> u64 {
    let stats = store.stats();
    stats.file_bytes + stats.table_bytes + stats.index_bytes
}

fn scan(criterion: &mut Criterion) {
    let keys = scale(KEYS, QUICK_KEYS);
    let dir = tempfile::tempdir().expect("a directory");
    space(keys);
    let (store, _) = filled(dir.path(), keys, Compaction::Manual);
    println!(
        "disk / user bytes after the fill: {:.2}",
        disk_bytes(&store) as f64 / (keys * USER_BYTES) as f64
    );
    let numbers = Numbers::new(2);
    let order = Numbers::new(3);
    let mut group = criterion.benchmark_group("scan");
    group.sample_size(10);
    group.throughput(Throughput::Elements(keys));
    let began = Instant::now();
    assert_eq!(everything(&store), keys);
    println!(
        "first scan after a random fill: {:.1} M keys/s",
        keys as f64 / began.elapsed().as_secs_f64() / 1e6
    );
    group.bench_function("everything, from the log, sorted before", |bencher| {
        bencher.iter(|| assert_eq!(everything(&store), keys));
    });
    let began = Instant::now();
    let report = store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    let took = began.elapsed();
    println!(
        "compaction: {:.1} M versions/s, {:.0} MB/s written; disk / user bytes after it: {:.3}",
        report.versions_read as f64 / took.as_secs_f64() / 1e6,
        report.bytes_written as f64 / took.as_secs_f64() / 1e6,
        disk_bytes(&store) as f64 / (keys * USER_BYTES) as f64
    );
    group.bench_function("everything, compacted", |bencher| {
        bencher.iter(|| assert_eq!(everything(&store), keys));
    });
    group.bench_function("everything, compacted, backward", |bencher| {
        let options = ScanOptions {
            reverse: true,
            ..ScanOptions::default()
        };
        bencher.iter(|| assert_eq!(walk(&store, Bound::Unbounded, options), keys));
    });
    group.bench_function("everything, compacted, entries kept", |bencher| {
        bencher.iter(|| {
            let scan = store
                .snapshot()
                .scan(Bound::Unbounded, Bound::Unbounded)
                .expect("opens");
            let sum: u64 = scan
                .map(|entry| u64::from(entry.expect("readable").value.expect("alive")[99]))
                .sum();
            assert_eq!(sum, keys * 7);
        });
    });
    let bytes = vec![7u8; (keys * 128) as usize];
    group.bench_function("reference: a byte of every 128 in memory, twice", |bencher| {
        bencher.iter(|| {
            let touched = bytes
                .chunks_exact(128)
                .map(|entry| u64::from(black_box(entry)[0]) + u64::from(entry[127]));
            assert_eq!(touched.sum::<u64>(), keys * 14);
        });
    });
    group.sample_size(50);
    group.throughput(Throughput::Elements(1));
    let mut next = 0;
    group.bench_function("100 keys from a random one, compacted", |bencher| {
        let options = ScanOptions {
            limit: Some(100),
            ..ScanOptions::default()
        };
        bencher.iter(|| {
            next += 1;
            let start = key(&numbers, order.nth(next) % keys);
            walk(&store, Bound::Included(&start), options)
        });
    });
    group.bench_function("get of a random key, compacted", |bencher| {
        bencher.iter(|| {
            next += 1;
            let found = store
                .get(&key(&numbers, order.nth(next) % keys))
                .expect("readable");
            black_box(found.expect("there")[99])
        });
    });
    group.finish();
}

/// Flush and merge of a fresh fill, by itself.
fn compaction(criterion: &mut Criterion) {
    let keys = scale(KEYS / 8, QUICK_KEYS);
    let mut group = criterion.benchmark_group("compaction");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(keys));
    group.bench_function("everything into one run", |bencher| {
        bencher.iter_batched(
            || {
                let dir = tempfile::tempdir().expect("a directory");
                let (store, _) = filled(dir.path(), keys, Compaction::Manual);
                (store, dir)
            },
            |(store, dir)| {
                let report = store
                    .compact(&CompactionLimits::default(), &mut |_| {})
                    .expect("compacted");
                assert!(report.versions_read >= keys);
                (store, dir)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, scan, compaction);
criterion_main!(benches);
