//! What does one operation on a store cost: a put, a get that hits, one that misses, a key of a scan?
//!
//! 16-byte keys in random order, 100-byte values, `Buffered`, one thread, a warm store of a million
//! keys in a temporary directory. The reference for a put is the same bytes appended by `write(2)`.

#![expect(
    missing_docs,
    reason = "criterion's macro makes a public function without any"
)]

use std::hint::black_box;
use std::io::Write;
use std::ops::Bound;

use atoll::ids::{ShardId, Uuid};
use atoll::io::Env;
use atoll::store::{Durability, Store, StoreIdentity, StoreOptions};
use atoll_benches::{Numbers, scale};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const KEYS: u64 = 1_000_000;
const QUICK_KEYS: u64 = 10_000;
const VALUE: [u8; 100] = [7; 100];

fn key(numbers: &Numbers, n: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&numbers.nth(n).to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

fn open(dir: &std::path::Path) -> Store {
    let identity = StoreIdentity {
        cluster: Uuid::NIL,
        shard: ShardId(0),
        node: 1,
    };
    Store::open_standalone(&Env::os(), dir, &StoreOptions::new(identity)).expect("the store opens")
}

fn put(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("put");
    group.throughput(Throughput::Elements(1));
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let numbers = Numbers::new(1);
    let mut next = 0;
    group.bench_function("atoll, buffered", |bencher| {
        bencher.iter(|| {
            next += 1;
            store
                .put(&key(&numbers, next), &VALUE, Durability::Buffered)
                .expect("put")
        });
    });
    let mut file = std::fs::File::create(dir.path().join("reference")).expect("a file");
    let mut record = [0u8; 116];
    group.bench_function("write(2) of the same bytes", |bencher| {
        bencher.iter(|| {
            next += 1;
            record[..16].copy_from_slice(&key(&numbers, next));
            file.write_all(&record).expect("written");
        });
    });
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let keys = scale(KEYS, QUICK_KEYS);
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let numbers = Numbers::new(2);
    for n in 0..keys {
        store
            .put(&key(&numbers, n), &VALUE, Durability::Buffered)
            .expect("put");
    }
    let order = Numbers::new(3);
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(1));
    let mut next = 0;
    group.bench_function("get, hit", |bencher| {
        bencher.iter(|| {
            next += 1;
            let value = store
                .get(&key(&numbers, order.nth(next) % keys))
                .expect("readable");
            black_box(value.expect("there")[99])
        });
    });
    group.bench_function("get, miss", |bencher| {
        bencher.iter(|| {
            next += 1;
            let found = store.get(&key(&numbers, keys + next)).expect("readable");
            assert!(found.is_none());
        });
    });
    group.throughput(Throughput::Elements(keys));
    group.sample_size(10);
    group.bench_function("ordered scan of everything, sorted before", |bencher| {
        bencher.iter(|| {
            let scan = store
                .snapshot()
                .scan(Bound::Unbounded, Bound::Unbounded)
                .expect("opens");
            let bytes: usize = scan
                .map(|entry| entry.expect("readable").value.map_or(0, |value| value.len()))
                .sum();
            assert_eq!(bytes as u64, keys * VALUE.len() as u64);
        });
    });
    group.finish();
}

criterion_group!(benches, put, read);
criterion_main!(benches);
