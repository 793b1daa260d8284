//! Does one hot path a given number of times, for tools that count instructions.
//!
//! `hot_paths NAME COUNT` sets up, then does the work COUNT times; `hot_paths --list` names the paths.
//! What one operation costs is the difference between two counts, so the set-up drops out
//! (`scripts/instructions.sh`). Counts do not depend on what else the machine does.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use atoll::ids::{ShardId, Uuid};
use atoll::io::Env;
use atoll::routing::{
    Algorithm, HashKind, Hrw, Maglev, RangeMap, Ring, Router, RouterSpec, SharedTopology, Topology,
    TopologySpec, hash64, jump_key,
};
use atoll::store::{Durability, Expires, Store, StoreIdentity, StoreOptions, WriteBatch};
use atoll::versioning::VectorClock;
use atoll_benches::{Numbers, nodes, user_keys};

/// A path: its name, and what sets it up and runs it.
type Path = (&'static str, fn(u64));

const PATHS: [Path; 23] = [
    ("hash64 of a key", |count| keys(count, hash64)),
    ("ring, 16 nodes x 160", |count| ring(16, HashKind::Xxh3, count)),
    ("ring, 100 nodes x 160", |count| ring(100, HashKind::Xxh3, count)),
    ("ring, 1000 nodes x 160", |count| {
        ring(1000, HashKind::Xxh3, count)
    }),
    ("ring, 3 distinct owners, 100 nodes", three_owners),
    ("ring through Router, 100 nodes", router),
    ("sha1 alone", |count| {
        keys(count, |key| u64::from(HashKind::Sha1.digest(key).as_bytes()[0]))
    }),
    ("sha1 ring, 100 nodes x 160", |count| {
        ring(100, HashKind::Sha1, count)
    }),
    ("slots: key to shard", slots),
    ("slots through a TopologyReader", reader),
    ("range, 64 splits", range),
    ("jump, 100 buckets", |count| {
        let buckets = 100.try_into().expect("not 0");
        keys(count, |key| jump_key(key, buckets).into())
    }),
    ("hrw, 16 nodes", |count| {
        let hrw = Hrw::new(&nodes(16)).expect("nodes differ");
        keys(count, |key| hrw.owner(key).into())
    }),
    ("maglev, 100 nodes", |count| {
        let maglev = Maglev::new(&nodes(100), 65_537).expect("a prime");
        keys(count, |key| maglev.owner(key).into())
    }),
    ("vector clock of 5: compare", compare),
    ("vector clock of 5: merge", merge),
    ("store: put of 16 + 100 bytes", put),
    ("store: get, hit", get),
    ("store: get, miss", miss),
    ("store: batch of 4 puts", batch),
    ("store: 4 gets", four_gets),
    ("store: transaction of 4 gets and 4 puts", transaction),
    ("store: put that expires", expiring),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => PATHS.iter().for_each(|(name, _)| println!("{name}")),
        [name, count] => {
            let path = PATHS.iter().find(|(known, _)| *known == name);
            let (Some((_, run)), Ok(count)) = (path, count.parse()) else {
                eprintln!("hot_paths: no path {name:?}, or {count:?} is no number; --list names the paths");
                return ExitCode::from(2);
            };
            run(count);
        }
        _ => {
            eprintln!("Usage: hot_paths --list | NAME COUNT\nExample: hot_paths 'hash64 of a key' 1000");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Calls `look` with `count` keys out of a thousand: `user:N`, as programs have them.
fn keys(count: u64, look: impl Fn(&[u8]) -> u64) {
    let list = user_keys(1000);
    let mut sum = 0u64;
    for key in list.iter().cycle().take(count as usize) {
        sum = sum.wrapping_add(look(black_box(key)));
    }
    black_box(sum);
}

fn ring(count: usize, hash: HashKind, operations: u64) {
    let ring = Ring::new(&nodes(count), 160, hash).expect("nodes differ");
    keys(operations, |key| ring.owner(key).into());
}

fn three_owners(operations: u64) {
    let ring = Ring::new(&nodes(100), 160, HashKind::Xxh3).expect("nodes differ");
    keys(operations, |key| {
        let owners = ring.first::<3>(key).expect("there are 100 nodes");
        owners.iter().map(|&owner| u64::from(owner)).sum()
    });
}

fn router(operations: u64) {
    let router = Router::new(&RouterSpec::new(Algorithm::Ring, nodes(100))).expect("nodes differ");
    keys(operations, |key| router.owner(key).map_or(0, u64::from));
}

fn topology() -> Topology {
    let (topology, _) =
        Topology::create(&TopologySpec::new(nodes(16), 64, 3)).expect("16 nodes hold 64 shards");
    topology
}

fn slots(operations: u64) {
    let topology = topology();
    keys(operations, |key| topology.shard_of(key).0.into());
}

fn reader(operations: u64) {
    let shared = std::sync::Arc::new(SharedTopology::new(topology()));
    let reader = std::cell::RefCell::new(shared.reader());
    keys(operations, |key| {
        reader.borrow_mut().current().shard_of(key).0.into()
    });
}

fn range(operations: u64) {
    let splits = (1..65).map(|n| format!("user:{:06}", n * 15_000).into_bytes());
    let map = RangeMap::new(splits.collect()).expect("sorted splits");
    keys(operations, |key| {
        map.range_of(key).map_or(0, |range| range as u64)
    });
}

fn clocks() -> (VectorClock, VectorClock) {
    let clock = |ticks: [u64; 5]| {
        let mut clock = VectorClock::default();
        for (node, ticks) in ["seoul", "busan", "daegu", "jeju", "ulsan"]
            .into_iter()
            .zip(ticks)
        {
            for _ in 0..ticks {
                clock.tick(node).expect("counters are small");
            }
        }
        clock
    };
    (clock([3, 1, 4, 1, 5]), clock([2, 7, 1, 8, 2]))
}

fn compare(operations: u64) {
    let (a, b) = clocks();
    for _ in 0..operations {
        black_box(black_box(&a).compare(black_box(&b)));
    }
}

fn merge(operations: u64) {
    let (a, b) = clocks();
    let mut joined = a;
    for _ in 0..operations {
        joined.merge(black_box(&b));
    }
    black_box(joined);
}

/// A store of 20,000 records in a temporary directory.
fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let identity = StoreIdentity {
        cluster: Uuid::NIL,
        shard: ShardId(0),
        node: 1,
    };
    let options = StoreOptions::new(identity);
    let store = Store::open_standalone(&Env::os(), dir.path(), &options).expect("a fresh store");
    for n in 0..20_000u64 {
        store
            .put(&key(n), &[7; 100], Durability::Buffered)
            .expect("room on the disk");
    }
    (dir, store)
}

fn key(n: u64) -> [u8; 16] {
    let mut key = [b'k'; 16];
    key[..8].copy_from_slice(&Numbers::new(1).nth(n).to_be_bytes());
    key
}

fn put(operations: u64) {
    let (_dir, store) = store();
    for n in 0..operations {
        store
            .put(&key(n + 20_000), &[7; 100], Durability::Buffered)
            .expect("room on the disk");
    }
}

fn get(operations: u64) {
    let (_dir, store) = store();
    for n in 0..operations {
        black_box(store.get(&key(n % 20_000)).expect("an undamaged store"));
    }
}

fn miss(operations: u64) {
    let (_dir, store) = store();
    for n in 0..operations {
        black_box(store.get(&key(n + 20_000)).expect("an undamaged store"));
    }
}

fn four(n: u64) -> [[u8; 16]; 4] {
    [0, 1, 2, 3].map(|i| key((n * 4 + i) % 20_000))
}

fn batch(operations: u64) {
    let (_dir, store) = store();
    for n in 0..operations {
        let mut batch = WriteBatch::new();
        for key in four(n) {
            batch.put(key, [7; 100]);
        }
        store
            .write(&batch, Durability::Buffered)
            .expect("room on the disk");
    }
}

fn four_gets(operations: u64) {
    let (_dir, store) = store();
    for n in 0..operations {
        for key in four(n) {
            black_box(store.get(&key).expect("an undamaged store"));
        }
    }
}

fn transaction(operations: u64) {
    let (_dir, store) = store();
    for n in 0..operations {
        let mut transaction = store.transaction();
        for key in four(n) {
            black_box(transaction.get(&key).expect("an undamaged store"));
            transaction.put(key, [7; 100]);
        }
        transaction
            .commit(Durability::Buffered)
            .expect("nobody else writes");
    }
}

fn expiring(operations: u64) {
    let (_dir, store) = store();
    let hour = Expires::After(Duration::from_secs(3600));
    for n in 0..operations {
        store
            .put_expiring(&key(n + 20_000), &[7; 100], hour, Durability::Buffered)
            .expect("room on the disk");
    }
}
