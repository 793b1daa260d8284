//! What do versions cost: a comparison and a merge of vector clocks, as values and as bytes?
//!
//! Clocks of 5 nodes, as a replica set has them, and of 100.

#![expect(
    missing_docs,
    reason = "criterion's macro makes a public function without any"
)]

use std::hint::black_box;

use atoll::versioning::VectorClock;
use criterion::{Criterion, criterion_group, criterion_main};

/// Two clocks of `nodes` nodes, neither before the other.
fn clocks(nodes: usize) -> (VectorClock, VectorClock) {
    let (mut a, mut b) = (VectorClock::default(), VectorClock::default());
    for i in 0..nodes {
        let name = format!("node-{i:03}");
        for (clock, ticks) in [(&mut a, 1 + i % 3), (&mut b, 1 + (i + 1) % 3)] {
            for _ in 0..ticks {
                clock.tick(&name).expect("counters are small");
            }
        }
    }
    (a, b)
}

fn vector_clocks(criterion: &mut Criterion) {
    for nodes in [5, 100] {
        let (a, b) = clocks(nodes);
        let (left, right) = (a.to_bytes(), b.to_bytes());
        let mut group = criterion.benchmark_group(format!("clocks of {nodes} nodes"));
        group.bench_function("compare", |bencher| {
            bencher.iter(|| black_box(&a).compare(black_box(&b)));
        });
        group.bench_function("compare as bytes", |bencher| {
            bencher.iter(|| {
                VectorClock::compare_encoded(black_box(&left), black_box(&right)).expect("their own bytes")
            });
        });
        group.bench_function("merge", |bencher| {
            bencher.iter(|| {
                let mut joined = a.clone();
                joined.merge(black_box(&b));
                joined
            });
        });
        group.bench_function("to text", |bencher| bencher.iter(|| black_box(&a).to_string()));
        group.finish();
    }
}

criterion_group!(benches, vector_clocks);
criterion_main!(benches);
