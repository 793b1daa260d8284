//! How long does each algorithm take to find the owner of a key, and what does a change of nodes cost?
//!
//! Keys `user:N`, 100 nodes (16 for hrw, which tries every node), 160 points each. The reference is the
//! hash alone: what every algorithm pays before it can begin.

#![expect(
    missing_docs,
    reason = "criterion's macro makes a public function without any"
)]

use std::hint::black_box;

use atoll::routing::{
    HashKind, Hrw, Ketama, Maglev, Nginx, NodeSpec, RangeMap, Ring, cassandra_token, hash64, jump_key,
    redis_slot,
};
use atoll_benches::{nodes, user_keys};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn look_up(criterion: &mut Criterion) {
    let keys = user_keys(4096);
    let mut group = criterion.benchmark_group("owner");
    group.throughput(Throughput::Elements(1));
    let mut measure = |name: &str, look: &dyn Fn(&[u8]) -> u64| {
        let mut turn = keys.iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| look(black_box(turn.next().expect("keys go round"))));
        });
    };
    measure("xxh3 alone", &hash64);
    for hash in [HashKind::Xxh3, HashKind::Sha1] {
        let ring = Ring::new(&nodes(100), 160, hash).expect("nodes differ");
        measure(&format!("ring, {hash}"), &|key| ring.owner(key).into());
    }
    let ring = Ring::new(&nodes(100), 160, HashKind::Xxh3).expect("nodes differ");
    measure("ring, 3 distinct owners", &|key| {
        let owners = ring.first::<3>(key).expect("there are 100 nodes");
        owners.iter().map(|&owner| u64::from(owner)).sum()
    });
    let buckets = 100.try_into().expect("not 0");
    measure("jump", &|key| jump_key(key, buckets).into());
    let hrw = Hrw::new(&nodes(16)).expect("nodes differ");
    measure("hrw, 16 nodes", &|key| hrw.owner(key).into());
    let maglev = Maglev::new(&nodes(100), 65_537).expect("a prime");
    measure("maglev", &|key| maglev.owner(key).into());
    let ketama = Ketama::new(&nodes(100)).expect("nodes differ");
    measure("ketama", &|key| ketama.owner(key).into());
    let nginx = Nginx::new(&nodes(100)).expect("nodes differ");
    measure("nginx", &|key| nginx.owner(key).into());
    let splits = (1..64).map(|n| format!("user:{:06}", n * 15_000).into_bytes());
    let range = RangeMap::new(splits.collect()).expect("sorted splits");
    measure("range, 64 ranges", &|key| {
        range.range_of(key).map_or(0, |range| range as u64)
    });
    measure("redis slot", &|key| redis_slot(key).into());
    measure("cassandra token", &|key| cassandra_token(key) as u64);
    group.finish();
}

fn change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring of 1000 x 160");
    group.sample_size(20);
    let all = nodes(1001);
    let ring = Ring::new(&all[..1000], 160, HashKind::Xxh3).expect("nodes differ");
    group.bench_function("built anew", |bencher| {
        bencher.iter(|| Ring::new(black_box(&all), 160, HashKind::Xxh3).expect("nodes differ"));
    });
    group.bench_function("one node more", |bencher| {
        bencher.iter(|| {
            ring.with_node(black_box(all[1000].clone()))
                .expect("the name is new")
        });
    });
    let name = NodeSpec::clone(&all[500]).name;
    group.bench_function("one node less", |bencher| {
        bencher.iter(|| ring.without_node(black_box(&name)).expect("the node is there"));
    });
    group.finish();
}

criterion_group!(benches, look_up, change);
criterion_main!(benches);
