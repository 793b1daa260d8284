//! Compaction against a `BTreeMap`: steps at any moment, snapshots held across them, sessions that end
//! by closing or by a crash.

use std::collections::BTreeMap;
use std::ops::Bound;

use atoll::ids::{Epoch, Lsn, ShardId, SlotId};
use atoll::io::sim::SimDisk;
use atoll::store::{
    CompactionLimits, Durability, HandOverKind, ScanOptions, SlotsFrozen, Snapshot, StepKind, Store,
    StoreError, StoreOptions, WriteBatch, WritePath,
};
use proptest::prelude::*;

use crate::{dir, env, options};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, usize),
    Delete(Vec<u8>),
    Batch(Vec<(Vec<u8>, Option<usize>)>),
    Load(BTreeMap<Vec<u8>, usize>),
    Hold,
    Release,
    Seal,
    Compact,
    CompactAll,
    Range(Vec<u8>, Vec<u8>),
    HandOver,
    Check,
}

/// Few keys, so that versions pile up; among them the empty key, long ones, and keys that are prefixes.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(vec![0u8, b'a', b'b', 0xFF]), 0..4),
        3 => (0u32..200).prop_map(|n| format!("사용자:{n}").into_bytes()),
        1 => (1usize..3).prop_map(|n| vec![b'k'; n * 3000]),
    ]
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0usize..200, 2 => 3000usize..20_000, 1 => Just(150_000usize)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        14 => (key(), len()).prop_map(|(k, n)| Step::Put(k, n)),
        5 => key().prop_map(Step::Delete),
        3 => prop::collection::vec((key(), prop::option::of(len())), 1..6).prop_map(Step::Batch),
        2 => prop::collection::btree_map(key(), len(), 0..12).prop_map(Step::Load),
        2 => Just(Step::Hold),
        1 => Just(Step::Release),
        3 => Just(Step::Seal),
        6 => Just(Step::Compact),
        1 => Just(Step::CompactAll),
        2 => (key(), key()).prop_map(|(a, b)| Step::Range(a, b)),
        1 => Just(Step::HandOver),
        1 => Just(Step::Check),
    ]
}

fn value(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 7 + salt * 13) % 251) as u8).collect()
}

fn small_tables(write_path: WritePath) -> StoreOptions {
    StoreOptions {
        table_bytes: 64 << 10,
        ..options(1, write_path)
    }
}

fn open(disk: &SimDisk, write_path: WritePath) -> Store {
    Store::open_standalone(&env(disk, 5), dir(), &small_tables(write_path)).expect("opens")
}

fn read(
    snapshot: &Snapshot<'_>,
    start: Bound<&[u8]>,
    end: Bound<&[u8]>,
    options: ScanOptions,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut scan = snapshot.scan_with(start, end, options).expect("opens");
    let mut lent = Vec::new();
    while let Some(entry) = scan.next_entry().expect("readable") {
        lent.push((entry.key.to_vec(), entry.value.expect("alive").to_vec()));
    }
    let kept: Vec<_> = snapshot
        .scan_with(start, end, options)
        .expect("opens")
        .map(|entry| entry.expect("readable"))
        .collect();
    let kept: Vec<_> = kept
        .iter()
        .map(|entry| (entry.key.to_vec(), entry.value.as_ref().expect("alive").to_vec()))
        .collect();
    assert_eq!(lent, kept, "lent and kept entries differ");
    lent
}

fn check(snapshot: &Snapshot<'_>, model: &Model, context: &str) {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let expected: Vec<_> = model.clone().into_iter().collect();
    assert_eq!(
        read(snapshot, all.0, all.1, ScanOptions::default()),
        expected,
        "{context}"
    );
    let reverse = ScanOptions {
        reverse: true,
        ..ScanOptions::default()
    };
    let backward: Vec<_> = expected.iter().rev().cloned().collect();
    assert_eq!(
        read(snapshot, all.0, all.1, reverse),
        backward,
        "{context}, backward"
    );
    for (key, value) in &expected {
        let found = snapshot.get(key).expect("readable").map(|value| value.to_vec());
        assert_eq!(found.as_ref(), Some(value), "{context}: {key:?}");
    }
    for missing in [&b"zz"[..], b"a\x01", "사용자:1000".as_bytes()] {
        assert!(snapshot.get(missing).expect("readable").is_none(), "{context}");
    }
}

fn check_range(snapshot: &Snapshot<'_>, model: &Model, a: &[u8], b: &[u8]) {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    for start in [Bound::Included(low), Bound::Excluded(low), Bound::Unbounded] {
        for end in [Bound::Included(high), Bound::Excluded(high), Bound::Unbounded] {
            for (reverse, limit) in [(false, None), (true, None), (false, Some(3)), (true, Some(2))] {
                let is_void = low == high && matches!((start, end), (Bound::Excluded(_), Bound::Excluded(_)));
                let mut expected: Vec<_> = if is_void {
                    Vec::new()
                } else {
                    model
                        .range::<[u8], _>((start, end))
                        .map(|(k, v)| (k.clone(), v.clone()))
                        .collect()
                };
                if reverse {
                    expected.reverse();
                }
                expected.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
                let options = ScanOptions {
                    reverse,
                    limit,
                    ..ScanOptions::default()
                };
                assert_eq!(
                    read(snapshot, start, end, options),
                    expected,
                    "{start:?} {end:?} {options:?}"
                );
            }
        }
    }
    let prefixed: Vec<_> = model
        .iter()
        .filter(|(key, _)| key.starts_with(a))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let scan = snapshot.scan_prefix(a, ScanOptions::default()).expect("opens");
    let found: Vec<_> = scan
        .map(|entry| entry.expect("readable"))
        .map(|entry| (entry.key.to_vec(), entry.value.expect("alive").to_vec()))
        .collect();
    assert_eq!(found, prefixed, "prefix {a:?}");
}

fn verify(store: &Store) {
    let report = store.verify(&mut |_, _| {}).expect("verifies");
    assert!(report.damage.is_empty(), "{:?}", report.damage);
}

fn frozen(n: u32) -> SlotsFrozen {
    SlotsFrozen {
        slots: (0..n % 7).map(SlotId).collect(),
        topology_version: u64::from(n),
        mover_epoch: 1,
        target: ShardId(2),
    }
}

/// The reserved keyspace keeps its whole history, whatever is compacted.
fn check_hand_overs(store: &Store, count: u32) {
    let found = store.hand_overs().expect("readable");
    let found: Vec<_> = found.into_iter().map(|hand_over| hand_over.kind).collect();
    let expected: Vec<_> = (0..count).map(|n| HandOverKind::Frozen(frozen(n))).collect();
    assert_eq!(found, expected);
}

fn session(store: &Store, steps: &[Step], model: &mut Model, hand_overs: &mut u32, salt: usize) {
    let mut held: Vec<(Snapshot<'_>, Model)> = Vec::new();
    let limits = CompactionLimits::default();
    for (i, step) in steps.iter().enumerate() {
        let salt = salt * 1000 + i;
        match step {
            Step::Put(key, len) => {
                store
                    .put(key, &value(*len, salt), Durability::Buffered)
                    .expect("written");
                model.insert(key.clone(), value(*len, salt));
            }
            Step::Delete(key) => {
                store.delete(key, Durability::Buffered).expect("written");
                model.remove(key);
            }
            Step::Batch(members) => {
                let mut batch = WriteBatch::new();
                for (key, len) in members {
                    match len {
                        Some(len) => {
                            batch.put(key.clone(), value(*len, salt));
                            model.insert(key.clone(), value(*len, salt));
                        }
                        None => {
                            batch.delete(key.clone());
                            model.remove(key);
                        }
                    }
                }
                store.write(&batch, Durability::Buffered).expect("written");
            }
            Step::Load(pairs) => {
                let pairs = pairs.iter().map(|(key, len)| (key.clone(), value(*len, salt)));
                let loaded = store.load_sorted(pairs.clone()).expect("loaded");
                assert_eq!(loaded.keys, pairs.len() as u64);
                model.extend(pairs);
            }
            Step::Hold => held.push((store.snapshot(), model.clone())),
            Step::Release if held.is_empty() => {}
            Step::Release => drop(held.remove(0)),
            Step::Seal => drop(store.seal_segment().expect("sealed")),
            Step::Compact => drop(store.compact_step(&limits).expect("a step")),
            Step::CompactAll => {
                store.compact(&limits, &mut |_| {}).expect("compacted");
                assert!(store.stats().runs <= 1);
            }
            Step::Range(a, b) => check_range(&store.snapshot(), model, a, b),
            Step::HandOver => {
                store.append_slots_frozen(&frozen(*hand_overs)).expect("recorded");
                *hand_overs += 1;
            }
            Step::Check => check(&store.snapshot(), model, "on the way"),
        }
    }
    for (snapshot, then) in &held {
        check(snapshot, then, "held snapshot");
    }
    check(&store.snapshot(), model, "at the end");
    check_hand_overs(store, *hand_overs);
    verify(store);
}

fn run(sessions: &[(Vec<Step>, bool)], write_path: WritePath) {
    let mut disk = SimDisk::new(1);
    let (mut model, mut hand_overs) = (Model::new(), 0);
    for (n, (steps, close)) in sessions.iter().enumerate() {
        let store = open(&disk, write_path);
        check(&store.snapshot(), &model, "after opening");
        session(&store, steps, &mut model, &mut hand_overs, n);
        if *close {
            store.close().expect("closes");
        } else {
            drop(store);
            disk = disk.process_crash();
        }
    }
    let store = open(&disk, write_path);
    check(&store.snapshot(), &model, "after the last opening");
    check_hand_overs(&store, hand_overs);
    verify(&store);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, max_shrink_iters: 600, ..ProptestConfig::default() })]

    #[test]
    fn compacted_store_behaves_like_a_map_across_snapshots_closing_and_crashes(
        sessions in prop::collection::vec((prop::collection::vec(step(), 1..60), any::<bool>()), 1..4)
    ) {
        run(&sessions, WritePath::Map);
    }

    #[test]
    fn system_call_write_path_behaves_the_same(
        sessions in prop::collection::vec((prop::collection::vec(step(), 1..40), any::<bool>()), 1..3)
    ) {
        run(&sessions, WritePath::Pwrite);
    }
}

fn fill(store: &Store, keys: std::ops::Range<u32>, round: u8) {
    for n in keys {
        let key = format!("key{:08}", n.wrapping_mul(2_654_435_761));
        store
            .put(key.as_bytes(), &[round; 100], Durability::Buffered)
            .expect("put");
    }
}

/// Log, old versions and deletions go; what is left is what is alive.
#[test]
fn space_of_what_was_overwritten_and_deleted_comes_back() {
    let disk = SimDisk::new(2);
    let options = options(1, WritePath::Map);
    let store = Store::open_standalone(&env(&disk, 5), dir(), &options).expect("opens");
    for round in 0..5 {
        fill(&store, 0..5000, round);
    }
    let report = store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    let stats = store.stats();
    assert_eq!(
        (stats.keys, stats.table_entries, stats.runs),
        (5000, 5000, 1),
        "{stats:?}"
    );
    assert_eq!(report.versions_dropped, 20_000);
    let user_bytes = 5000 * (11 + 100);
    assert!(
        stats.table_bytes < user_bytes * 125 / 100,
        "{} for {user_bytes}",
        stats.table_bytes
    );
    assert!(
        stats.file_bytes <= 4 << 20,
        "the log went: {} bytes",
        stats.file_bytes
    );
    for n in 0..5000u32 {
        let key = format!("key{:08}", n.wrapping_mul(2_654_435_761));
        store
            .delete(key.as_bytes(), Durability::Buffered)
            .expect("deleted");
    }
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    let stats = store.stats();
    assert_eq!(
        (stats.keys, stats.table_entries, stats.tables),
        (0, 0, 0),
        "{stats:?}"
    );
    verify(&store);
}

#[test]
fn reads_of_a_position_that_was_thinned_out_are_refused_and_held_ones_are_exact() {
    let disk = SimDisk::new(3);
    let store = open(&disk, WritePath::Map);
    store.put(b"k", b"one", Durability::Buffered).expect("put");
    let lost = store.tail();
    store.put(b"k", b"two", Durability::Buffered).expect("put");
    let held = store.snapshot();
    store.put(b"k", b"three", Durability::Buffered).expect("put");
    store.put(b"other", b"new", Durability::Buffered).expect("put");
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    assert_eq!(&*held.get(b"k").expect("readable").expect("there"), b"two");
    assert!(held.get(b"other").expect("readable").is_none());
    assert_eq!(
        &*held.clone().get(b"k").expect("readable").expect("there"),
        b"two"
    );
    let too_old = |result: Result<_, StoreError>| matches!(result, Err(StoreError::SnapshotTooOld { at, .. }) if at == lost);
    assert!(too_old(store.get_at(b"k", lost).map(drop)));
    assert!(too_old(store.snapshot_at(lost).get(b"k").map(drop)));
    assert!(too_old(
        store
            .snapshot_at(lost)
            .scan(Bound::Unbounded, Bound::Unbounded)
            .map(drop)
    ));
    // Once nobody holds it, it goes as well.
    let at = held.lsn();
    drop(held);
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    assert_eq!(store.stats().table_entries, 2);
    assert!(matches!(
        store.get_at(b"k", at),
        Err(StoreError::SnapshotTooOld { .. })
    ));
    assert_eq!(&*store.get(b"k").expect("readable").expect("there"), b"three");
}

#[test]
fn log_stays_as_far_as_followers_need_it_and_tombstones_as_far_as_copies_do() {
    let disk = SimDisk::new(4);
    let store = open(&disk, WritePath::Map);
    fill(&store, 0..12_000, 1);
    store.delete(b"key00000000", Durability::Synced).expect("deleted");
    let limits = CompactionLimits {
        keep_log_from: Lsn(1_500_000),
        keep_tombstones_from: Lsn::ZERO,
        ..CompactionLimits::default()
    };
    store.compact(&limits, &mut |_| {}).expect("compacted");
    assert!(
        store.log_start() > Lsn::ZERO && store.log_start() <= Lsn(1_500_000),
        "{}",
        store.log_start()
    );
    assert!(
        !store
            .read_log(store.log_start(), 1000)
            .expect("kept")
            .bytes
            .is_empty()
    );
    let error = store.read_log(Lsn::ZERO, 1000).expect_err("released");
    assert!(
        matches!(error, StoreError::Log(atoll::log::LogError::Released { .. })),
        "{error}"
    );
    let deletions = |store: &Store| {
        let scan = store
            .snapshot()
            .scan_versions(Bound::Unbounded, Bound::Unbounded)
            .expect("opens");
        scan.filter(|entry| entry.as_ref().expect("readable").value.is_none())
            .count()
    };
    assert_eq!(deletions(&store), 1);
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    assert_eq!(deletions(&store), 0);
    assert!(store.stats().segments <= 2);
    verify(&store);
    // The epochs of what went are still known.
    assert_eq!(store.epoch_vector(), [(Epoch(1), Lsn::ZERO)]);
    store.close().expect("closes");
    let store = open(&disk, WritePath::Map);
    assert_eq!(store.epoch_vector(), [(Epoch(1), Lsn::ZERO)]);
    assert_eq!(store.stats().keys, 11_999);
}

#[test]
fn scan_goes_on_undisturbed_beside_writes_and_compaction() {
    let disk = SimDisk::new(5);
    let store = open(&disk, WritePath::Map);
    fill(&store, 0..4000, 1);
    let mut scans = vec![];
    for round in 2..6 {
        scans.push((
            round - 1,
            store
                .snapshot()
                .scan(Bound::Unbounded, Bound::Unbounded)
                .expect("opens"),
        ));
        scans.iter_mut().for_each(|(_, scan)| drop(scan.nth(50)));
        fill(&store, 0..4000, round);
        store
            .compact(&CompactionLimits::default(), &mut |_| {})
            .expect("compacted");
    }
    store.close().expect("closes");
    for (i, (round, scan)) in scans.into_iter().enumerate() {
        let values: Vec<_> = scan
            .map(|entry| entry.expect("readable").value.expect("alive"))
            .collect();
        assert_eq!(values.len(), 4000 - 51 * (4 - i), "scan of round {round}");
        assert!(values.iter().all(|value| value[..] == [round; 100]));
    }
}

/// Versions of one key larger than what one table holds: they go on in the next one.
#[test]
fn large_versions_of_one_key_may_need_several_tables() {
    let disk = SimDisk::new(6);
    let options = StoreOptions {
        segment_max_bytes: 64 << 20,
        ..small_tables(WritePath::Pwrite)
    };
    let store = Store::open_standalone(&env(&disk, 5), dir(), &options).expect("opens");
    let mut held = Vec::new();
    store.put(b"a", b"first", Durability::Buffered).expect("put");
    store.put(b"z", b"last", Durability::Buffered).expect("put");
    for round in 0..4u8 {
        store
            .put(b"large", &vec![round; 30 << 20], Durability::Buffered)
            .expect("put");
        held.push(store.snapshot());
    }
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    assert!(store.stats().tables >= 2, "{:?}", store.stats());
    for (round, snapshot) in held.iter().enumerate() {
        let value = snapshot.get(b"large").expect("readable").expect("there");
        assert_eq!((value.len(), value[7]), (30 << 20, round as u8));
        for reverse in [false, true] {
            let options = ScanOptions {
                reverse,
                ..ScanOptions::default()
            };
            let mut scan = snapshot
                .scan_with(Bound::Unbounded, Bound::Unbounded, options)
                .expect("opens");
            let mut seen = Vec::new();
            while let Some(entry) = scan.next_entry().expect("readable") {
                seen.push((entry.key.to_vec(), entry.value.expect("alive")[0]));
            }
            if reverse {
                seen.reverse();
            }
            let expected = [
                (b"a".to_vec(), b'f'),
                (b"large".to_vec(), round as u8),
                (b"z".to_vec(), b'l'),
            ];
            assert_eq!(seen, expected, "reverse: {reverse}");
        }
    }
    verify(&store);
    drop(held);
    drop(store);
    let store = Store::open_standalone(&env(&disk.process_crash(), 5), dir(), &options).expect("opens");
    assert_eq!(
        store.get(b"large").expect("readable").expect("there")[0],
        3,
        "after a rebuild of the index"
    );
}

#[test]
fn step_tells_what_it_did_and_an_idle_store_has_none() {
    let disk = SimDisk::new(7);
    let store = open(&disk, WritePath::Map);
    let limits = CompactionLimits::default();
    assert_eq!(store.compact_step(&limits).expect("idle"), None);
    fill(&store, 0..3000, 1);
    store.seal_segment().expect("sealed");
    let step = store.compact_step(&limits).expect("a step").expect("work");
    assert_eq!(
        (step.kind, step.versions_read, step.versions_dropped),
        (StepKind::Flush, 3000, 0)
    );
    assert_eq!(store.compact_step(&limits).expect("idle"), None);
    assert_eq!(store.compaction_health().done.flushes, 1);
}

/// Readers, scanners and writers beside the compaction thread, on a real disk.
#[test]
fn background_compaction_goes_on_beside_readers_scanners_and_writers() {
    use atoll::io::Env;
    use atoll::store::Compaction;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    let dir = tempfile::tempdir().expect("a directory");
    let options = StoreOptions {
        table_bytes: 256 << 10,
        compaction: Compaction::Background { rate_bytes_per_s: 0 },
        ..options(1, WritePath::Auto)
    };
    let store = Store::open_standalone(&Env::os(), dir.path(), &options).expect("opens");
    const KEYS: u64 = 4000;
    let key = |n: u64| format!("key{:05}", n * 7919 % KEYS);
    // Each key's value counts up; a reader never sees it fall.
    let put = |n: u64, round: u64| {
        let mut value = round.to_le_bytes().to_vec();
        value.resize(100, round as u8);
        store
            .put(key(n).as_bytes(), &value, Durability::Buffered)
            .expect("put");
    };
    (0..KEYS).for_each(|n| put(n, 0));
    let (stop, reads, scans) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let round_of = |value: &[u8]| {
        let round = u64::from_le_bytes(value[..8].try_into().expect("eight bytes"));
        assert!(value[8..].iter().all(|byte| *byte == round as u8), "a torn value");
        round
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = vec![0; KEYS as usize];
            for n in (0u64..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                let n = n * 31 % KEYS;
                let value = store
                    .get(key(n).as_bytes())
                    .expect("readable")
                    .expect("always there");
                let round = round_of(&value);
                assert!(round >= seen[n as usize], "{} went back", key(n));
                seen[n as usize] = round;
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            let mut reverse = false;
            while !stop.load(Ordering::Relaxed) {
                let snapshot = store.snapshot();
                let scan_options = ScanOptions {
                    reverse,
                    ..ScanOptions::default()
                };
                let mut scan = snapshot
                    .scan_with(Bound::Unbounded, Bound::Unbounded, scan_options)
                    .expect("opens");
                let (mut rounds, mut count) = (Vec::new(), 0u64);
                while let Some(entry) = scan.next_entry().expect("readable") {
                    count += 1;
                    if count % 97 == 0 {
                        let point = snapshot.get(entry.key).expect("held").expect("there");
                        assert_eq!(&*point, entry.value.expect("alive"), "snapshot and scan disagree");
                    }
                    rounds.push(round_of(entry.value.expect("alive")));
                }
                assert_eq!(count, KEYS, "keys are only overwritten");
                // One writer goes through the keys in order, so a snapshot lies between two rounds.
                let (low, high) = (
                    rounds.iter().min().expect("some"),
                    rounds.iter().max().expect("some"),
                );
                assert!(high - low <= 1, "a snapshot of rounds {low} to {high}");
                scans.fetch_add(1, Ordering::Relaxed);
                reverse = !reverse;
            }
        });
        let began = std::time::Instant::now();
        let mut round = 0;
        while round < 20 || (began.elapsed().as_secs() < 20 && store.compaction_health().done.merges < 3) {
            round += 1;
            (0..KEYS).for_each(|n| put(n, round));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let health = store.compaction_health();
    assert!(health.done.flushes >= 2 && health.done.merges >= 2, "{health:?}");
    assert!(
        store.stats().runs <= 16,
        "merges keep up with flushes: {} runs",
        store.stats().runs
    );
    assert_eq!((health.failures, &health.halted), (0, &None), "{health:?}");
    println!(
        "{} reads, {} scans, {:?}",
        reads.into_inner(),
        scans.into_inner(),
        health.done
    );
    let report = store.verify(&mut |_, _| {}).expect("verifies");
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    let before = std::time::Instant::now();
    store.close().expect("closes");
    assert!(before.elapsed().as_secs() < 5, "closing waits for no merge");
    let store = Store::open_standalone(&Env::os(), dir.path(), &options).expect("opens");
    assert_eq!(store.stats().keys, KEYS);
}

/// A run whose users' keys have all been merged still has its records of the reserved keyspace to give.
#[test]
fn reserved_keyspace_survives_a_merge_of_several_steps() {
    let disk = SimDisk::new(8);
    let store = open(&disk, WritePath::Map);
    let limits = CompactionLimits::default();
    // The newer run has one small key only, and a record of the reserved keyspace.
    for n in 0..40u32 {
        let key = format!("key{n:02}");
        store
            .put(key.as_bytes(), &[n as u8; 20_000], Durability::Buffered)
            .expect("put");
    }
    store.append_slots_frozen(&frozen(0)).expect("recorded");
    store.seal_segment().expect("sealed");
    while store.compact_step(&limits).expect("a step").is_some() {}
    store.put(b"a", b"small", Durability::Buffered).expect("put");
    store.append_slots_frozen(&frozen(1)).expect("recorded");
    let report = store
        .compact(&limits, &mut |_| check_hand_overs(&store, 2))
        .expect("compacted");
    assert!(report.merges > 3, "{report:?}");
    check_hand_overs(&store, 2);
    verify(&store);
    drop(store);
    let store = open(&disk.process_crash(), WritePath::Map);
    check_hand_overs(&store, 2);
}
