//! How much waiting for memory is saved by asking for several keys at once?
//!
//! Two million 16-byte keys with 100-byte values in a temporary directory, warm, one thread; random keys, of
//! each value the last byte is read. The reference is as many single gets.

#![expect(
    missing_docs,
    reason = "criterion's macro makes a public function without any"
)]

use std::hint::black_box;

use atoll_benches::store::{fill, key, open, options};
use atoll_benches::{Numbers, scale};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const KEYS: u64 = 2_000_000;
const QUICK_KEYS: u64 = 10_000;

fn multi_get(criterion: &mut Criterion) {
    let keys = scale(KEYS, QUICK_KEYS);
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path(), &options());
    let numbers = Numbers::new(1);
    fill(&store, &numbers, keys);
    let order = Numbers::new(2);
    let mut next = 0;
    let mut draw = |count: usize| -> Vec<[u8; 16]> {
        let mut one = || {
            next += 1;
            key(&numbers, order.nth(next) % keys)
        };
        (0..count).map(|_| one()).collect()
    };
    let mut group = criterion.benchmark_group("multi_get");
    for count in [1, 4, 16, 64] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} keys, shown"), |bencher| {
            bencher.iter(|| {
                let mut sum = 0;
                let each = |_, value: Option<&[u8]>| sum += u64::from(value.expect("there")[99]);
                store.multi_get_with(&draw(count), each).expect("readable");
                black_box(sum)
            });
        });
        group.bench_function(format!("{count} keys, kept"), |bencher| {
            bencher.iter(|| store.multi_get(&draw(count)).expect("readable"));
        });
        group.bench_function(format!("reference: {count} single gets"), |bencher| {
            bencher.iter(|| {
                let read = |key: &[u8; 16]| store.get_with(key, |value| u64::from(value[99]));
                let found = draw(count)
                    .iter()
                    .map(|key| read(key).expect("readable").expect("there"))
                    .sum::<u64>();
                black_box(found)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, multi_get);
criterion_main!(benches);
