//! Bulk loads: what they refuse, what they leave behind, and what runs beside them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use atoll::ids::Epoch;
use atoll::io::Env;
use atoll::io::sim::SimDisk;
use atoll::log::LogError;
use atoll::store::{
    CompactionLimits, CompareAndSet, ConflictCause, Durability, Expected, Expires, IndexState, ScanOptions,
    Store, StoreError, StoreOptions, WritePath,
};

use crate::{dir, env, options};

fn small(write_path: WritePath) -> StoreOptions {
    StoreOptions {
        table_bytes: 64 << 10,
        ..options(1, write_path)
    }
}

fn open(disk: &SimDisk) -> Store {
    Store::open_standalone(&env(disk, 5), dir(), &small(WritePath::Map)).expect("opens")
}

fn key(n: u32) -> Vec<u8> {
    format!("key{n:08}").into_bytes()
}

fn pairs(keys: std::ops::Range<u32>, round: u8) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + Clone {
    keys.map(move |n| (key(n), vec![round; 100]))
}

fn count(store: &Store) -> usize {
    let snapshot = store.snapshot();
    let scan = snapshot.scan(Bound::Unbounded, Bound::Unbounded).expect("opens");
    scan.inspect(|entry| assert!(entry.is_ok(), "readable")).count()
}

fn tables(disk: &SimDisk) -> Vec<String> {
    let all = disk.paths();
    let names = all.iter().filter(|path| path.starts_with(dir().join("tables")));
    names
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect()
}

fn sound(store: &Store) {
    let report = store.verify(&mut |_, _| {}).expect("verifies");
    assert!(report.damage.is_empty(), "{:?}", report.damage);
}

#[test]
fn unsorted_input_is_refused_with_its_key_and_nothing_is_loaded() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    store.put(b"there", b"before", Durability::Buffered).expect("put");
    for (last, what) in [
        (key(7), "a repeated key"),
        (key(3), "a smaller key"),
        (Vec::new(), "the empty key"),
    ] {
        let tail = store.tail();
        let mut load = store.bulk_load().expect("begins");
        for n in 0..8 {
            load.put(&key(n), &[1; 20_000]).expect("in order");
        }
        let error = load.put(&last, b"x").expect_err(what);
        match &error {
            StoreError::Unsorted { key: found, after } => {
                assert_eq!((found, after), (&last, &key(7)), "{what}")
            }
            other => panic!("{what}: {other}"),
        }
        assert!(error.to_string().contains("key00000007"), "{error}");
        // The pair is missing: what is left must not pass for the whole.
        let refused = load.put(&key(9), b"y").expect_err("refused for good");
        assert!(matches!(refused, StoreError::LoadRefused { .. }), "{refused}");
        let refused = store.finish_bulk_load(load).expect_err("refused for good");
        assert!(matches!(refused, StoreError::LoadRefused { .. }), "{refused}");
        assert_eq!((store.tail(), count(&store)), (tail, 1), "{what}");
        assert_eq!(tables(&disk), [""; 0], "{what}");
    }
    let error = store
        .load_sorted([(b"a", b"1"), (b"c", b"2"), (b"b", b"3")])
        .expect_err("unsorted");
    assert!(matches!(error, StoreError::Unsorted { .. }), "{error}");
    assert_eq!(count(&store), 1);
}

#[test]
fn load_replaces_older_values_and_is_replaced_by_newer_ones() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    for n in 0..3000 {
        store.put(&key(n), b"old", Durability::Buffered).expect("put");
    }
    store.delete(&key(2500), Durability::Buffered).expect("deleted");
    let before = store.snapshot();
    let loaded = store.load_sorted(pairs(2000..5000, 7)).expect("loaded");
    let written = loaded.written.expect("pairs came in");
    assert_eq!((loaded.keys, loaded.payload_bytes), (3000, 3000 * 111));
    assert!(written.end <= store.durable(), "durable on return");
    assert!(before.lsn() <= written.lsn && written.end <= store.tail());
    let after = store.snapshot();
    store.put(&key(2001), b"new", Durability::Buffered).expect("put");
    store.delete(&key(4001), Durability::Buffered).expect("deleted");
    let read = |n: u32| store.get(&key(n)).expect("readable").map(|value| value.to_vec());
    assert_eq!(read(1999).as_deref(), Some(&b"old"[..]));
    assert_eq!(read(2001).as_deref(), Some(&b"new"[..]));
    assert_eq!(read(2500), Some(vec![7; 100]), "deleted before");
    assert_eq!(read(4001), None);
    assert_eq!(read(4999), Some(vec![7; 100]));
    for round in 0..3 {
        let at = |snapshot: &atoll::store::Snapshot<'_>, n: u32| {
            snapshot
                .get(&key(n))
                .expect("readable")
                .map(|value| value.to_vec())
        };
        assert_eq!(at(&before, 2001), Some(b"old".to_vec()), "round {round}");
        assert_eq!(
            (at(&before, 2500), at(&before, 4999)),
            (None, None),
            "round {round}"
        );
        for n in [2001, 2500, 4001, 4999] {
            assert_eq!(at(&after, n), Some(vec![7; 100]), "{n}, round {round}");
        }
        let keys = |snapshot: &atoll::store::Snapshot<'_>, options| {
            let scan = snapshot
                .scan_with(Bound::Unbounded, Bound::Unbounded, options)
                .expect("opens");
            scan.inspect(|entry| assert!(entry.is_ok(), "readable")).count()
        };
        for reverse in [false, true] {
            let options = ScanOptions {
                reverse,
                ..ScanOptions::default()
            };
            assert_eq!((keys(&before, options), keys(&after, options)), (2999, 5000));
        }
        sound(&store);
        if round == 0 {
            store
                .compact(&CompactionLimits::default(), &mut |_| {})
                .expect("compacted");
        } else {
            store.load_sorted(pairs(0..10, 9)).expect("loaded again");
        }
    }
}

#[test]
fn chain_of_versions_passes_through_a_load() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    let put = |value: &[u8]| store.put(b"k", value, Durability::Buffered).expect("put");
    let load = |value: &[u8]| store.load_sorted([(b"k", value)]).expect("loaded");
    let mut held = Vec::new();
    for step in 1..=8u8 {
        match step {
            3 | 4 | 6 => assert_eq!(load(&[step]).keys, 1),
            _ => assert!(put(&[step]).lsn < store.tail()),
        }
        held.push((step, store.snapshot()));
    }
    let stale = store
        .compare_and_set(b"k", Expected::Value(&[7]), Some(b"x"), Durability::Buffered)
        .expect("asked");
    assert!(matches!(stale, CompareAndSet::Conflict(_)), "{stale:?}");
    load(&[9]);
    let stale = store
        .compare_and_set(b"k", Expected::Value(&[8]), Some(b"x"), Durability::Buffered)
        .expect("asked");
    assert!(
        matches!(stale, CompareAndSet::Conflict(_)),
        "the load came in between: {stale:?}"
    );
    for _ in 0..2 {
        for (step, snapshot) in &held {
            assert_eq!(&*snapshot.get(b"k").expect("readable").expect("there"), &[*step]);
        }
        store
            .compact(&CompactionLimits::default(), &mut |_| {})
            .expect("compacted");
    }
}

#[test]
fn loads_leave_nothing_behind_unless_they_are_finished() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    let loaded = store.load_sorted([(b"", b""); 0]).expect("nothing to do");
    assert_eq!((loaded.keys, loaded.written), (0, None));
    let mut load = store.bulk_load().expect("begins");
    for (key, value) in pairs(0..2000, 1) {
        load.put(&key, &value).expect("in order");
    }
    assert!(tables(&disk).len() >= 3, "{:?}", tables(&disk));
    drop(load);
    assert_eq!(tables(&disk), [""; 0]);
    // One that its process did not live to finish.
    let mut load = store.bulk_load().expect("begins");
    for (key, value) in pairs(0..2000, 1) {
        load.put(&key, &value).expect("in order");
    }
    std::mem::forget(load);
    drop(store);
    let disk = disk.process_crash();
    assert!(!tables(&disk).is_empty());
    let store = open(&disk);
    assert_eq!((tables(&disk).len(), count(&store)), (0, 0));
}

#[test]
fn load_joins_only_the_store_it_was_begun_on_and_only_a_primary() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    let other = Store::open_standalone(
        &env(&disk, 9),
        std::path::Path::new("/data/other"),
        &options(1, WritePath::Map),
    )
    .expect("opens");
    let mut load = other.bulk_load().expect("begins");
    load.put(b"a", b"1").expect("first");
    let refused = store.finish_bulk_load(load).expect_err("another store");
    assert!(refused.to_string().contains("another store"), "{refused}");
    let mut load = store.bulk_load().expect("begins");
    load.put(b"a", b"1").expect("first");
    store.step_down();
    store.finish_bulk_load(load).expect_err("no longer the primary");
    assert!(matches!(
        store.bulk_load(),
        Err(StoreError::Log(LogError::NotPrimary { .. }))
    ));
    assert_eq!(count(&store), 0);
}

#[test]
fn keys_and_values_at_the_limits_are_loaded_and_larger_ones_are_refused() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    let mut load = store.bulk_load().expect("begins");
    load.put(b"", b"empty key").expect("the smallest key");
    load.put(&vec![b'k'; 65_535], &vec![3; 3 << 20])
        .expect("larger than a table");
    load.put("한국어".as_bytes(), b"").expect("empty value");
    store.finish_bulk_load(load).expect("loaded");
    assert_eq!(&*store.get(b"").expect("readable").expect("there"), b"empty key");
    assert_eq!(
        store
            .get(&vec![b'k'; 65_535])
            .expect("readable")
            .expect("there")
            .len(),
        3 << 20
    );
    assert_eq!(
        &*store.get("한국어".as_bytes()).expect("readable").expect("there"),
        b""
    );
    for (key, len) in [(65_536, 1), (1, (64 << 20) + 1)] {
        let mut load = store.bulk_load().expect("begins");
        let error = load.put(&vec![b'z'; key], &vec![0; len]).expect_err("too long");
        assert!(
            matches!(error, StoreError::Log(LogError::TooLarge { .. })),
            "{error}"
        );
    }
    sound(&store);
}

#[test]
fn loaded_values_expire_like_others() {
    let disk = SimDisk::new(1);
    let world = env(&disk, 5);
    let clock = std::sync::Arc::new(atoll::io::clock::ManualClock::new(1_000_000));
    let world = Env {
        clock: clock.clone(),
        ..world
    };
    let store = Store::open_standalone(&world, dir(), &small(WritePath::Map)).expect("opens");
    let mut load = store.bulk_load().expect("begins");
    load.put_expiring(b"a", b"1", Expires::AtMs(1_000_500))
        .expect("in order");
    load.put_expiring(b"b", b"2", Expires::After(Duration::from_millis(900)))
        .expect("in order");
    load.put(b"c", b"3").expect("in order");
    store.finish_bulk_load(load).expect("loaded");
    let expiry = |key: &[u8]| store.get(key).expect("readable").expect("there").expires_at_ms();
    assert_eq!(
        (expiry(b"a"), expiry(b"b"), expiry(b"c")),
        (Some(1_000_500), Some(1_000_900), None)
    );
    clock.advance(Duration::from_millis(600));
    assert!(store.get(b"a").expect("readable").is_none());
    assert_eq!(count(&store), 2);
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    assert_eq!(store.stats().table_entries, 2);
}

#[test]
fn transactions_that_read_what_was_loaded_conflict() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    store.put(b"a", b"1", Durability::Buffered).expect("put");
    let mut point = store.transaction();
    point.get(b"a").expect("readable");
    point.put("other", "x");
    let mut range = store.transaction();
    range
        .scan(Bound::Included(b"m"), Bound::Unbounded, ScanOptions::default())
        .expect("opens")
        .for_each(drop);
    range.put("other", "y");
    let mut absent = store.transaction();
    assert!(absent.get(b"n").expect("readable").is_none());
    absent.put("other", "z");
    let mut apart = store.transaction();
    apart.get(b"b").expect("readable");
    apart.put("other", "w");
    store.load_sorted([(b"a", b"2"), (b"n", b"3")]).expect("loaded");
    for (transaction, what) in [(point, "a key it read"), (absent, "a key it missed")] {
        let error = transaction.commit(Durability::Buffered).expect_err(what);
        assert!(
            matches!(
                error,
                StoreError::Conflict {
                    cause: ConflictCause::Written { .. },
                    ..
                }
            ),
            "{error}"
        );
    }
    let error = range
        .commit(Durability::Buffered)
        .expect_err("a range it scanned");
    assert!(
        matches!(
            error,
            StoreError::Conflict {
                cause: ConflictCause::LoadedInRange { .. },
                ..
            }
        ),
        "{error}"
    );
    apart.commit(Durability::Buffered).expect("none of what it read");
    assert_eq!(&*store.get(b"other").expect("readable").expect("there"), b"w");
}

#[test]
fn follower_refuses_a_log_that_does_not_have_what_was_loaded() {
    let disk = SimDisk::new(1);
    let primary = open(&disk);
    primary.put(b"a", b"1", Durability::Buffered).expect("put");
    let follower = Store::open(
        &env(&disk, 7),
        std::path::Path::new("/data/follower"),
        &options(2, WritePath::Map),
    )
    .expect("opens");
    let ship = || -> Result<(), StoreError> {
        while follower.tail() < primary.tail() {
            follower.apply(&primary.read_log(follower.tail(), 1 << 20)?)?;
        }
        Ok(())
    };
    ship().expect("in step");
    let loaded = primary
        .load_sorted(pairs(0..10, 1))
        .expect("loaded")
        .written
        .expect("pairs");
    primary.put(b"b", b"2", Durability::Buffered).expect("put");
    match ship() {
        Err(StoreError::Log(LogError::Ingested { at })) => assert_eq!(at, loaded.lsn),
        other => panic!("{other:?}"),
    }
    assert!(
        follower.get(b"b").expect("readable").is_none(),
        "it stays where it was"
    );
    assert!(
        matches!(primary.truncate(loaded.lsn), Err(StoreError::BelowHorizon { .. })),
        "what was loaded cannot be taken back"
    );
}

#[test]
fn store_that_was_loaded_opens_as_it_was_left() {
    let mut disk = SimDisk::new(1);
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for round in 0..6u8 {
        let store = open(&disk);
        if round > 0 && round % 2 == 1 {
            assert_eq!(*store.index_state(), IndexState::Trusted, "closed cleanly");
        }
        let n = u32::from(round) * 500;
        store.load_sorted(pairs(n..n + 1000, round)).expect("loaded");
        model.extend(pairs(n..n + 1000, round));
        store
            .put(&key(n + 1), b"newer", Durability::Buffered)
            .expect("put");
        model.insert(key(n + 1), b"newer".to_vec());
        if round % 2 == 0 {
            store.close().expect("closes");
        } else {
            drop(store);
            disk = disk.process_crash();
        }
        let store = open(&disk);
        let snapshot = store.snapshot();
        let scan = snapshot.scan(Bound::Unbounded, Bound::Unbounded).expect("opens");
        let found: BTreeMap<_, _> = scan
            .map(|entry| entry.expect("readable"))
            .map(|entry| (entry.key.to_vec(), entry.value.expect("alive").to_vec()))
            .collect();
        assert_eq!(found, model, "round {round}");
        for (key, value) in &model {
            assert_eq!(&*store.get(key).expect("readable").expect("there"), &value[..]);
        }
        sound(&store);
        drop(snapshot);
        store
            .begin_epoch(Epoch(store.epoch().0 + 1), 1, 1)
            .expect("leads");
        store.close().expect("closes");
    }
}

#[test]
fn full_disk_refuses_a_load_and_leaves_the_store_as_it_was() {
    let disk = SimDisk::new(3);
    disk.set_capacity(24 << 20);
    let store = open(&disk);
    store.put(b"there", b"1", Durability::Synced).expect("put");
    let mut load = store.bulk_load().expect("begins");
    let error = (0..4000)
        .find_map(|n| load.put(&key(n), &[7; 10_000]).err())
        .expect("24 MiB cannot hold 40 MB");
    assert!(error.is_disk_full(), "{error}");
    drop(load);
    assert_eq!((tables(&disk).len(), count(&store)), (0, 1));
    store
        .put(b"more", b"2", Durability::Synced)
        .expect("writes go on");
    store.load_sorted(pairs(0..1000, 1)).expect("one that fits");
    assert_eq!(count(&store), 1002);
}

/// Writers, compare-and-set counters and snapshots beside loads: a snapshot sees a load whole or not at
/// all, and no writer loses what it has read before.
#[test]
fn snapshots_see_loads_whole_while_writers_and_compaction_go_on() {
    const KEYS: u32 = 3000;
    let directory = tempfile::tempdir().expect("a directory");
    let options = StoreOptions {
        table_bytes: 128 << 10,
        ..options(1, WritePath::Auto)
    };
    let store = Store::open_standalone(&Env::os(), directory.path(), &options).expect("opens");
    store.load_sorted(pairs(0..KEYS, 0)).expect("loaded");
    store
        .put(b"counter", &0u64.to_le_bytes(), Durability::Buffered)
        .expect("put");
    let stop = AtomicBool::new(false);
    let (checks, added) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..2u32 {
            let (store, stop, added) = (&store, &stop, &added);
            scope.spawn(move || {
                let mut n = 0u32;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    store
                        .put(
                            format!("own{thread}-{}", n % 500).as_bytes(),
                            &[1; 50],
                            Durability::Buffered,
                        )
                        .expect("put");
                    let outcome = store.transact(1000, Durability::Buffered, |transaction| {
                        let value = transaction.get(b"counter")?.expect("there");
                        let value = u64::from_le_bytes(value[..].try_into().expect("8 bytes"));
                        transaction.put("counter", (value + 1).to_le_bytes());
                        Ok::<(), StoreError>(())
                    });
                    outcome.expect("counted");
                    added.fetch_add(1, Ordering::Relaxed);
                    if n.is_multiple_of(16) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
        let (reader, stopped, checked) = (&store, &stop, &checks);
        scope.spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let snapshot = reader.snapshot();
                let first = snapshot.get(&key(0)).expect("readable").expect("there")[0];
                for n in [1, KEYS / 2, KEYS - 1] {
                    let value = snapshot.get(&key(n)).expect("readable").expect("there");
                    assert_eq!(value[0], first, "key {n}");
                }
                let scan = snapshot
                    .scan(Bound::Included(b"key"), Bound::Excluded(b"kez"))
                    .expect("opens");
                let seen: Vec<u8> = scan
                    .map(|entry| entry.expect("readable").value.expect("alive")[0])
                    .collect();
                assert_eq!(seen, vec![first; KEYS as usize]);
                checked.fetch_add(1, Ordering::Relaxed);
            }
        });
        for round in 1..=12u8 {
            store.load_sorted(pairs(0..KEYS, round)).expect("loaded");
            assert_eq!(store.get(&key(7)).expect("readable").expect("there")[0], round);
            if round % 3 == 0 {
                // Writers without a pause would always have more of them ready.
                for _ in 0..3 {
                    store.compact_step(&CompactionLimits::default()).expect("a step");
                }
            }
        }
        while checks.load(Ordering::Relaxed) < 5 {
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let counted = store.get(b"counter").expect("readable").expect("there");
    assert_eq!(
        u64::from_le_bytes(counted[..].try_into().expect("8 bytes")),
        added.into_inner()
    );
    sound(&store);
    println!("{} snapshots beside 12 loads", checks.into_inner());
}
