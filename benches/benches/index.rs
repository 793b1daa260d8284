//! How long does the key index take to find a key, to miss one, and to take a new one in?
//!
//! Two million keys of 8 bytes. A record is 128 bytes and carries its key: as in a store, a hit
//! reads it to compare the key. The reference is `std::collections::HashMap` with its own hasher,
//! holding the place of the same records; it lives in memory, serves one thread, and loses everything
//! at the end of the process.

#![expect(
    missing_docs,
    reason = "criterion's macro makes a public function without any"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll::io::os::OsDisk;
use atoll::store::index::{Index, IndexError, Location};
use atoll_benches::{Numbers, scale};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const KEYS: u64 = 2_000_000;
const QUICK_KEYS: u64 = 20_000;

/// Records as a log would hold them; record `n` is that of key `n`.
struct Records(Vec<[u64; 16]>);

impl Records {
    fn new(keys: u64, numbers: &Numbers) -> Records {
        Records((0..keys).map(|n| [numbers.nth(n); 16]).collect())
    }

    fn location(n: u64) -> Location {
        Location::new((n >> 22) as u16, (n & 0x3F_FFFF) as u32 + 512).expect("within 26 bits")
    }

    fn key_at(&self, location: Location) -> u64 {
        let n = (u64::from(location.file_slot()) << 22) + u64::from(location.offset()) - 512;
        self.0[n as usize][0]
    }
}

/// The hash a store would use is xxh3 of the bytes; a key here is as good as its own hash.
fn lookup(index: &Index, records: &Records, key: u64) -> Option<Location> {
    index
        .get(key, |location| {
            Ok::<_, IndexError>(records.key_at(location) == key)
        })
        .expect("an undamaged index")
}

struct World {
    _dir: tempfile::TempDir,
    records: Records,
    index: Index,
    map: HashMap<u64, u64>,
    present: Numbers,
    absent: Numbers,
    keys: u64,
}

impl World {
    fn new() -> World {
        let keys = scale(KEYS, QUICK_KEYS);
        let (present, absent) = (Numbers::new(1), Numbers::new(1 << 60));
        let records = Records::new(keys, &present);
        let (dir, index) = empty_index();
        let mut map = HashMap::new();
        for n in 0..keys {
            index.insert(present.nth(n), Records::location(n)).expect("room");
            map.insert(present.nth(n), n);
        }
        World {
            _dir: dir,
            records,
            index,
            map,
            present,
            absent,
            keys,
        }
    }
}

fn empty_index() -> (tempfile::TempDir, Index) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let index = Index::create(Arc::new(OsDisk::new()), &dir.path().join("index"), 1).expect("created");
    (dir, index)
}

/// Random keys of `numbers`, one after the other.
fn picks(numbers: &Numbers, keys: u64) -> impl FnMut() -> u64 + use<> {
    let (numbers, order) = (numbers.clone(), Numbers::new(7));
    let mut n = 0;
    move || {
        n += 1;
        numbers.nth(order.nth(n) % keys)
    }
}

fn look_up(c: &mut Criterion) {
    let world = World::new();
    eprintln!(
        "{} keys, {:.1} bytes a key on disk",
        world.keys,
        world.index.bytes() as f64 / world.keys as f64
    );
    for (name, numbers) in [("get_hit", &world.present), ("get_miss", &world.absent)] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        let mut pick = picks(numbers, world.keys);
        group.bench_function("index", |b| {
            b.iter(|| black_box(lookup(&world.index, &world.records, pick())));
        });
        let mut pick = picks(numbers, world.keys);
        group.bench_function("std_hash_map", |b| {
            b.iter(|| {
                let key = pick();
                let place = world.map.get(&key);
                black_box(place.map(|n| world.records.0[*n as usize][0] == key))
            });
        });
        group.finish();
    }
    let mut group = c.benchmark_group("get_hit_16_prefetched");
    group.throughput(Throughput::Elements(16));
    let mut pick = picks(&world.present, world.keys);
    group.bench_function("index", |b| {
        b.iter_batched(
            || -> [u64; 16] { std::array::from_fn(|_| pick()) },
            |keys| {
                keys.iter().for_each(|key| world.index.prefetch(*key));
                keys.map(|key| lookup(&world.index, &world.records, key))
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn insert(c: &mut Criterion) {
    let keys = scale(KEYS, QUICK_KEYS);
    let numbers = Numbers::new(1);
    let mut group = c.benchmark_group("insert");
    group.throughput(Throughput::Elements(keys));
    group.sample_size(10);
    // From empty to full each time, growth of files and tables included.
    group.bench_function("index", |b| {
        b.iter_custom(|rounds| {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                let (_dir, index) = empty_index();
                let start = Instant::now();
                for n in 0..keys {
                    index.insert(numbers.nth(n), Records::location(n)).expect("room");
                }
                took += start.elapsed();
            }
            took
        });
    });
    group.bench_function("std_hash_map", |b| {
        b.iter_custom(|rounds| {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                let mut map = HashMap::new();
                let start = Instant::now();
                for n in 0..keys {
                    map.insert(numbers.nth(n), n);
                }
                took += start.elapsed();
                drop(black_box(map));
            }
            took
        });
    });
    group.finish();
}

criterion_group!(benches, look_up, insert);
criterion_main!(benches);
