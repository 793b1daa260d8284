//! Tails taken back under bad circumstances, positions that are none, leaderships begun in a crowd.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use atoll::ids::{Epoch, Lsn};
use atoll::io::sim::{CutPolicy, Fault, FaultKind, SimDisk};
use atoll::log::format::RecordKind;
use atoll::store::{Durability, Snapshot, Store, StoreError, WritePath};

use crate::{dir, env, options};

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

fn try_open(disk: &SimDisk, node: u64) -> Result<Store, StoreError> {
    Store::open(&env(disk, node), dir(), &options(node, WritePath::Map))
}

fn open(disk: &SimDisk, node: u64) -> Store {
    try_open(disk, node).expect("opens")
}

fn primary(disk: &SimDisk) -> Store {
    let store = open(disk, 1);
    store.begin_epoch(Epoch(1), 1, 1).expect("leads");
    store
}

fn ship(from: &Store, to: &Store) {
    loop {
        let chunk = from.read_log(to.tail(), 1 << 20).expect("readable");
        if chunk.bytes.is_empty() {
            break;
        }
        to.apply(&chunk).expect("applies");
    }
}

fn put(store: &Store, key: &str, len: usize) {
    store
        .put(key.as_bytes(), &vec![7; len], Durability::Buffered)
        .expect("put");
}

#[test]
fn records_kept_by_a_truncation_are_durable_once_a_sync_says_so() {
    let old_disk = SimDisk::new(1);
    let old = primary(&old_disk);
    let new = open(&SimDisk::new(2), 2);
    for n in 0..50 {
        put(&old, &format!("kept-{n}"), 2000);
    }
    ship(&old, &new);
    let common = new.tail();
    for n in 0..5 {
        put(&old, &format!("gone-{n}"), 2000);
    }
    new.begin_epoch(Epoch(2), 2, 1).expect("leads");
    put(&new, "after", 10);
    // Nothing of the old primary has been synced so far.
    old.truncate(common).expect("takes back");
    ship(&new, &old);
    let durable = old.sync().expect("synced");
    assert_eq!(durable, new.tail());
    drop(old);
    let disk = old_disk.power_cut(CutPolicy::DropAll);
    let old = open(&disk, 1);
    assert!(
        old.tail() >= durable,
        "synced to {durable}, found again up to {}",
        old.tail()
    );
}

#[test]
fn truncation_that_dies_at_any_call_leaves_a_store_that_opens() {
    let prepare = |seed| {
        let disk = SimDisk::new(seed);
        let old = primary(&disk);
        put(&old, "first", 1000);
        old.sync().expect("synced");
        let common = old.tail();
        for n in 0..40 {
            put(&old, &format!("more-{n}"), 60_000);
        }
        old.sync().expect("synced");
        old.close().expect("closes");
        (disk, common)
    };
    for call in 1..40 {
        for ending in 0..4u64 {
            let (disk, common) = prepare(ending);
            let old = open(&disk, 1);
            let calls = disk.calls();
            disk.fail_at(
                calls + call,
                Fault {
                    kind: FaultKind::Errno(EIO),
                    persistent: true,
                },
            );
            let outcome = old.truncate(common);
            drop(old);
            let disk = match ending {
                0 => disk.process_crash(),
                1 => disk.power_cut(CutPolicy::DropAll),
                2 => disk.power_cut(CutPolicy::KeepAll),
                _ => disk.power_cut(CutPolicy::Random),
            };
            let old = try_open(&disk, 1)
                .unwrap_or_else(|e| panic!("call {call}, ending {ending}, {outcome:?}: {e}"));
            assert!(old.tail() >= common);
            if old.tail() > common {
                old.truncate(common).expect("takes back again");
            }
            assert!(old.get(b"first").expect("readable").is_some());
            assert!(old.get(b"more-1").expect("readable").is_none());
        }
    }
}

#[test]
fn truncation_that_fails_changes_no_answer_of_the_next_life() {
    for call in 1..12 {
        let disk = SimDisk::new(3);
        let store = primary(&disk);
        put(&store, "a", 10);
        let common = store.tail();
        put(&store, "b", 10);
        store.close().expect("closes");
        let store = open(&disk, 1);
        disk.fail_at(
            disk.calls() + call,
            Fault {
                kind: FaultKind::Errno(ENOSPC),
                persistent: false,
            },
        );
        let failed = store.truncate(common).is_err();
        let _ = store.close();
        let store = open(&disk, 1);
        let there = store.get(b"b").expect("readable").is_some();
        assert_eq!(
            there,
            store.tail() > common,
            "call {call} (truncation failed: {failed}): the log and its index disagree"
        );
    }
}

#[test]
fn tails_taken_back_in_two_lives_are_both_kept() {
    let disk = SimDisk::new(4);
    let store = primary(&disk);
    put(&store, "first", 1000);
    let common = store.tail();
    let mut kept = Vec::new();
    let mut store = store;
    for life in 0..3u64 {
        for n in 0..40 {
            put(&store, &format!("life-{life}-{n}"), 60_000);
        }
        store.sync().expect("synced");
        kept.extend(store.truncate(common).expect("takes back").kept);
        store.close().expect("closes");
        store = open(&disk, 1);
        store.begin_epoch(Epoch(life + 2), 1, 1).expect("leads");
    }
    let mut names = kept.clone();
    names.sort();
    names.dedup();
    assert_eq!(
        names.len(),
        kept.len(),
        "one tail was written over another: {kept:?}"
    );
}

#[test]
fn waiting_for_a_position_beyond_the_end_is_an_error() {
    let store = open(&SimDisk::new(5), 2);
    let source = primary(&SimDisk::new(6));
    put(&source, "k", 10);
    ship(&source, &store);
    let beyond = Lsn(store.tail().0 + 8);
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(store.sync_to(beyond).map(drop)));
    told.recv_timeout(std::time::Duration::from_secs(5))
        .expect("it answers")
        .expect_err("no such position");
}

#[test]
fn position_between_two_records_is_refused_as_a_gap() {
    let store = primary(&SimDisk::new(7));
    store.put(b"key", &[0xA7; 300], Durability::Synced).expect("put");
    let boundaries = [0u64, 80];
    for at in (1..store.tail().0).filter(|at| !boundaries.contains(at)) {
        let before = store.tail();
        match store.read_log(Lsn(at), 100) {
            Err(StoreError::Log(atoll::log::LogError::Gap { .. })) => {}
            Ok(chunk) => assert!(!chunk.bytes.is_empty()),
            Err(other) => panic!("position {at}: {other}"),
        }
        assert_eq!(store.tail(), before);
    }
    store.truncate(Lsn(85)).expect_err("not between records");
    assert!(store.get(b"key").expect("readable").is_some());
}

/// Position 0 means "no predecessor", so no user's record may ever stand there.
#[test]
fn leadership_begins_with_its_own_record_whoever_writes_meanwhile() {
    for round in 0..200 {
        let store = open(&SimDisk::new(round), 1);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for n in 0..4u8 {
                let (store, stop) = (&store, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        if store.put(&[n], b"v", Durability::Buffered).is_ok() {
                            break;
                        }
                    }
                });
            }
            let start = store.begin_epoch(Epoch(1), 1, 1).expect("leads");
            stop.store(true, Ordering::Relaxed);
            assert_eq!(
                start.lsn,
                Lsn::ZERO,
                "round {round}: {:?}",
                RecordKind::EpochStart
            );
        });
    }
}

/// What the caller is told must be true: "disk full" says that nothing was written.
#[test]
fn full_disk_is_reported_only_for_writes_that_did_not_happen() {
    for size in (900..1100).step_by(8) {
        let disk = SimDisk::new(8);
        let store = primary(&disk);
        // One segment of 1 MiB; the second one never gets its space.
        put(&store, "filler", 1_000_000);
        disk.set_capacity(0);
        let mut n = 0u32;
        loop {
            let key = format!("k{n}");
            match store.put(key.as_bytes(), &vec![1; size], Durability::Synced) {
                Ok(_) => n += 1,
                Err(error) => {
                    assert!(error.is_disk_full(), "{error}");
                    assert!(
                        store.get(key.as_bytes()).expect("readable").is_none(),
                        "values of {size}: {key} was said not to have been written"
                    );
                    break;
                }
            }
        }
    }
}

#[test]
fn range_is_deleted_in_batches_and_nothing_beside_it() {
    let disk = SimDisk::new(11);
    let store = Store::open_standalone(&env(&disk, 5), dir(), &options(1, WritePath::Map)).expect("opens");
    let key = |n: u32| format!("key{n:05}").into_bytes();
    for n in 0..5000 {
        store.put(&key(n), b"x", Durability::Buffered).expect("put");
    }
    store.put(b"", b"empty key", Durability::Buffered).expect("put");
    let before = store.snapshot();
    let (low, high) = (key(700), key(4700));
    let mut told = Vec::new();
    let (deleted, written) = store
        .delete_range(
            Bound::Excluded(low.as_slice()),
            Bound::Included(high.as_slice()),
            Durability::Synced,
            &mut |deleted| told.push(deleted),
        )
        .expect("deleted");
    assert_eq!(deleted, 4000);
    assert!(
        told.len() >= 4 && told.is_sorted() && told.last() == Some(&4000),
        "{told:?}"
    );
    assert!(written.expect("deletions").end <= store.durable());
    let count = |snapshot: &Snapshot<'_>| {
        let scan = snapshot.scan(Bound::Unbounded, Bound::Unbounded).expect("opens");
        scan.inspect(|entry| assert!(entry.is_ok())).count()
    };
    assert_eq!((count(&before), count(&store.snapshot())), (5001, 1001));
    for (n, there) in [(700, true), (701, false), (4700, false), (4701, true)] {
        assert_eq!(store.get(&key(n)).expect("readable").is_some(), there, "{n}");
    }
    let nothing = store.delete_range(
        Bound::Included(b"x"),
        Bound::Excluded(b"a"),
        Durability::Synced,
        &mut |_| {},
    );
    assert_eq!(nothing.expect("an empty range"), (0, None));
    let all = store.delete_range(
        Bound::Unbounded,
        Bound::Unbounded,
        Durability::Buffered,
        &mut |_| {},
    );
    assert_eq!(all.expect("deleted").0, 1001);
    assert_eq!(count(&store.snapshot()), 0);
}
