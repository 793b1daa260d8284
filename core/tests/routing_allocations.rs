//! Look-ups allocate nothing, whatever the router: a binary of its own, because it counts every
//! allocation of the process.
#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use atoll::routing::{Algorithm, HashKind, NodeSpec, Router, RouterSpec};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same there.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this layout, as `alloc` above gave it.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn look_ups_allocate_nothing() {
    let weighted: Vec<NodeSpec> = (0..40)
        .map(|i| NodeSpec::new(format!("node-{i}")).with_weight(1 + i % 3))
        .collect();
    let plain: Vec<NodeSpec> = weighted.iter().map(|node| node.clone().with_weight(1)).collect();
    let mut specs = vec![RouterSpec::new(Algorithm::Hrw, plain.clone())];
    for algorithm in Algorithm::ALL {
        specs.push(match algorithm {
            Algorithm::Modulo | Algorithm::Jump => RouterSpec::new(algorithm, plain.clone()),
            Algorithm::Redis | Algorithm::Cassandra => RouterSpec::new(algorithm, Vec::new()),
            Algorithm::Range => RouterSpec {
                splits: Some(vec![b"k".to_vec()]),
                ..RouterSpec::new(algorithm, plain[..2].to_vec())
            },
            _ => RouterSpec::new(algorithm, weighted.clone()),
        });
    }
    for hash in HashKind::ALL {
        specs.push(RouterSpec {
            hash: Some(hash),
            ..RouterSpec::new(Algorithm::Ring, weighted.clone())
        });
    }
    let keys: Vec<Vec<u8>> = [0, 5, 100, 300, 10_240].map(|len| vec![b'k'; len]).to_vec();
    for spec in specs {
        let router = Router::new(&spec).unwrap();
        let replicas = if spec.algorithm.has_replicas() { 20 } else { 1 };
        let (mut owners, mut answers) = (Vec::with_capacity(replicas), [0; 2]);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for key in &keys {
            std::hint::black_box(router.number(key).unwrap());
            if !router.nodes().is_empty() {
                std::hint::black_box(router.node(key).unwrap());
                router.owners(key, replicas, &mut owners).unwrap();
            }
            let cut = key.len() as u32 / 2;
            router
                .route_many(key, &[0, cut, key.len() as u32], &mut answers)
                .unwrap();
        }
        let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert_eq!(allocated, 0, "{} {:?}", spec.algorithm, spec.hash);
    }
}
