//! What does a topology cost: a key's shard, a look through a reader, its bytes, a plan?
//!
//! 4,096 slots on 64 nodes with 3 copies. The reference for a look is the topology by plain reference.

#![expect(
    missing_docs,
    reason = "criterion's macro makes a public function without any"
)]

use std::hint::black_box;
use std::sync::Arc;

use atoll::routing::{Change, NodeSpec, SharedTopology, Topology, TopologySpec, UniformLoad};
use atoll_benches::{nodes, user_keys};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn topology() -> Topology {
    let spec = TopologySpec::new(nodes(64), 64, 3);
    Topology::create(&spec).expect("64 nodes hold 64 shards").0
}

fn look_up(criterion: &mut Criterion) {
    let keys = user_keys(4096);
    let topology = topology();
    let shared = Arc::new(SharedTopology::new(topology.clone()));
    let mut group = criterion.benchmark_group("shard of a key");
    group.throughput(Throughput::Elements(1));
    let mut turn = keys.iter().cycle();
    group.bench_function("plain reference", |bencher| {
        bencher.iter(|| topology.shard_of(black_box(turn.next().expect("keys go round"))));
    });
    let mut reader = shared.reader();
    group.bench_function("through a reader", |bencher| {
        bencher.iter(|| {
            let key = turn.next().expect("keys go round");
            reader.current().shard_of(black_box(key))
        });
    });
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    let topology = topology();
    let bytes = topology.to_bytes();
    let mut group = criterion.benchmark_group("topology of 4,096 slots");
    group.sample_size(20);
    group.bench_function("to bytes", |bencher| {
        bencher.iter(|| black_box(&topology).to_bytes())
    });
    group.bench_function("from bytes", |bencher| {
        bencher.iter(|| Topology::from_bytes(black_box(&bytes)).expect("its own bytes"));
    });
    let join = Change::Add(NodeSpec::new("new"));
    group.bench_function("plan of a node that joins", |bencher| {
        bencher.iter(|| {
            topology
                .plan(black_box(&join), &UniformLoad::default())
                .expect("the name is new")
        });
    });
    group.finish();
}

criterion_group!(benches, look_up, whole);
criterion_main!(benches);
