//! Values that go by themselves: for every kind of reader, whatever the clock does, in log and tables.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use atoll::ids::Hlc;
use atoll::io::Env;
use atoll::io::clock::{ManualClock, SeededEntropy};
use atoll::io::sim::SimDisk;
use atoll::store::{
    CompactionLimits, CompareAndSet, ConflictCause, Durability, Expected, Expires, ScanOptions, Snapshot,
    Store, StoreError, WriteBatch, WritePath,
};
use proptest::prelude::*;

use crate::{dir, options};

const BUFFERED: Durability = Durability::Buffered;
const START_MS: u64 = 1_700_000_000_000;

/// A machine whose clock the test turns.
struct Machine {
    disk: SimDisk,
    clock: Arc<ManualClock>,
}

impl Machine {
    fn new() -> Machine {
        Machine {
            disk: SimDisk::new(1),
            clock: Arc::new(ManualClock::new(START_MS)),
        }
    }

    fn open(&self) -> Store {
        Store::open_standalone(&self.env(), dir(), &options(1, WritePath::Auto)).expect("opens")
    }

    fn env(&self) -> Env {
        Env {
            disk: Arc::new(self.disk.clone()),
            clock: self.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(3)),
        }
    }

    fn pass_ms(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }
}

fn after_ms(ms: u64) -> Expires {
    Expires::After(Duration::from_millis(ms))
}

fn compact(store: &Store) {
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacts");
}

fn keys(snapshot: &Snapshot<'_>, options: ScanOptions) -> Vec<String> {
    snapshot
        .scan_with(Bound::Unbounded, Bound::Unbounded, options)
        .expect("opens")
        .map(|entry| String::from_utf8(entry.expect("readable").key.to_vec()).expect("text"))
        .collect()
}

/// Whether every kind of read agrees that `key` is there, or is not.
fn is_there(store: &Store, key: &[u8]) -> bool {
    let single = store.get(key).unwrap().is_some();
    assert_eq!(store.get_with(key, |_| ()).unwrap().is_some(), single);
    assert_eq!(store.multi_get(&[key]).unwrap()[0].is_some(), single);
    let mut lent = None;
    store
        .multi_get_with(&[key], |_, value| lent = Some(value.is_some()))
        .unwrap();
    assert_eq!(lent, Some(single));
    assert_eq!(store.get_at(key, store.tail()).unwrap().is_some(), single);
    let snapshot = store.snapshot();
    assert_eq!(snapshot.get(key).unwrap().is_some(), single);
    for reverse in [false, true] {
        let options = ScanOptions {
            reverse,
            ..ScanOptions::default()
        };
        let mut scan = snapshot
            .scan_with(Bound::Included(key), Bound::Included(key), options)
            .unwrap();
        assert_eq!(scan.next_entry().unwrap().is_some(), single);
    }
    assert_eq!(store.transaction().get(key).unwrap().is_some(), single);
    single
}

#[test]
fn value_is_there_until_its_time_and_absent_for_every_reader_from_then_on() {
    for in_tables in [false, true] {
        let machine = Machine::new();
        let store = machine.open();
        store.put(b"brief", b"older and without end", BUFFERED).unwrap();
        store
            .put_expiring(b"brief", b"x", after_ms(1000), BUFFERED)
            .unwrap();
        store
            .put_expiring(b"long", &[7; 9000], after_ms(60_000), BUFFERED)
            .unwrap();
        store
            .put_expiring(b"until", b"", Expires::AtMs(START_MS + 2000), BUFFERED)
            .unwrap();
        store
            .put_expiring("이미".as_bytes(), b"gone", Expires::AtMs(1), BUFFERED)
            .unwrap();
        let mut batch = WriteBatch::new();
        batch.put_expiring("batch", "member", after_ms(1000));
        batch.put("batch, stays", "member");
        store.write(&batch, BUFFERED).unwrap();
        if in_tables {
            compact(&store);
            assert!(store.stats().table_entries > 0);
        }
        assert_eq!(
            store.get(b"brief").unwrap().unwrap().expires_at_ms(),
            Some(START_MS + 1000)
        );
        assert_eq!(store.get(b"batch, stays").unwrap().unwrap().expires_at_ms(), None);
        assert!(!is_there(&store, "이미".as_bytes()));
        machine.pass_ms(999);
        assert!(is_there(&store, b"brief") && is_there(&store, b"batch") && is_there(&store, b"until"));
        let before = store.snapshot();
        machine.pass_ms(1);
        assert!(
            !is_there(&store, b"brief") && !is_there(&store, b"batch"),
            "in tables: {in_tables}"
        );
        assert!(is_there(&store, b"batch, stays") && is_there(&store, b"until"));
        machine.pass_ms(1000);
        assert!(!is_there(&store, b"until") && is_there(&store, b"long"));
        // Versions tell: there is one, without a value.
        let version = store
            .get_version(b"brief", store.tail())
            .unwrap()
            .expect("a version");
        assert!(version.value.is_none());
        // Time stands still for a snapshot, also for its copies.
        let all = ["batch", "batch, stays", "brief", "long", "until"];
        assert_eq!(keys(&before.clone(), ScanOptions::default()), all);
        assert_eq!(before.get(b"brief").unwrap().as_deref(), Some(&b"x"[..]));
        let now = store.snapshot();
        assert_eq!(keys(&now, ScanOptions::default()), ["batch, stays", "long"]);
        let one = ScanOptions {
            limit: Some(1),
            reverse: true,
            ..ScanOptions::default()
        };
        assert_eq!(keys(&now, one), ["long"], "what has expired does not count");
        let scan = now
            .scan_versions(Bound::Included(b"brief"), Bound::Included(b"brief"))
            .unwrap();
        let entry = scan.map(Result::unwrap).next().expect("it is still stored");
        assert_eq!(entry.value.as_deref(), Some(&b"x"[..]));
        assert_eq!(entry.expires_at_ms, Some(START_MS + 1000));
        let deletions = ScanOptions {
            deletions: true,
            ..ScanOptions::default()
        };
        let scan = now
            .scan_with(Bound::Included(b"brief"), Bound::Included(b"brief"), deletions)
            .unwrap();
        assert!(
            scan.map(Result::unwrap)
                .next()
                .expect("it is still stored")
                .value
                .is_none()
        );
        // Written again, it is there again, without end.
        store.put(b"brief", b"new", BUFFERED).unwrap();
        machine.pass_ms(1_000_000_000);
        assert!(is_there(&store, b"brief") && !is_there(&store, b"long"));
        assert!(store.verify(&mut |_, _| {}).unwrap().damage.is_empty());
    }
}

#[test]
fn conditional_writes_take_an_expired_value_for_none() {
    let machine = Machine::new();
    let store = machine.open();
    let lock = |owner: &[u8]| {
        let outcome =
            store.compare_and_set_expiring(b"lock", Expected::Absent, Some(owner), after_ms(500), BUFFERED);
        matches!(outcome.unwrap(), CompareAndSet::Written(_))
    };
    assert!(lock(b"ann") && !lock(b"bob"));
    let seen = store.get(b"lock").unwrap().expect("held");
    let version = Expected::Version {
        lsn: seen.lsn(),
        hlc: seen.hlc(),
    };
    machine.pass_ms(500);
    let CompareAndSet::Conflict(Some(found)) = store
        .compare_and_set(b"lock", version, Some(b"ann"), BUFFERED)
        .unwrap()
    else {
        panic!("that value is gone");
    };
    assert!(found.value.is_none());
    let by_value = store
        .compare_and_set(b"lock", Expected::Value(b"ann"), None, BUFFERED)
        .unwrap();
    assert!(matches!(by_value, CompareAndSet::Conflict(_)));
    assert!(lock(b"bob"));
}

#[test]
fn transaction_that_has_seen_a_value_expire_since_does_not_commit() {
    let machine = Machine::new();
    let store = machine.open();
    store.put_expiring(b"r1", b"x", after_ms(100), BUFFERED).unwrap();
    store
        .put_expiring(b"gone", b"x", Expires::AtMs(1), BUFFERED)
        .unwrap();
    for by_scan in [false, true] {
        let mut txn = store.transaction();
        if by_scan {
            assert_eq!(txn.scan_prefix(b"r", ScanOptions::default()).unwrap().count(), 1);
        } else {
            assert!(txn.get(b"r1").unwrap().is_some());
        }
        assert!(txn.get(b"gone").unwrap().is_none());
        txn.put_expiring("own", "y", after_ms(50));
        txn.put_expiring("own, over", "y", Expires::AtMs(5));
        assert!(txn.get(b"own").unwrap().is_some() && txn.get(b"own, over").unwrap().is_none());
        assert_eq!(
            txn.scan_prefix(b"own", ScanOptions::default()).unwrap().count(),
            1
        );
        machine.pass_ms(if by_scan { 50 } else { 49 });
        match txn.commit(BUFFERED) {
            Ok(_) if !by_scan => {}
            Err(StoreError::Conflict {
                key,
                cause: ConflictCause::Expired,
            }) if by_scan => assert_eq!(key, b"r1"),
            other => panic!("{other:?}, by scan: {by_scan}"),
        }
        machine.pass_ms(1);
    }
}

#[test]
fn clock_set_back_brings_nothing_back_not_even_after_a_crash() {
    let machine = Machine::new();
    let store = machine.open();
    store.put_expiring(b"a", b"x", after_ms(1000), BUFFERED).unwrap();
    store.put_expiring(b"b", b"x", after_ms(2000), BUFFERED).unwrap();
    machine.pass_ms(1000);
    assert!(!is_there(&store, b"a"));
    machine.clock.set_wall_ms(START_MS - 3_600_000);
    assert!(!is_there(&store, b"a") && is_there(&store, b"b"));
    // A time to live counts from the store's time, which has not gone back.
    store.put_expiring(b"c", b"x", after_ms(1), BUFFERED).unwrap();
    assert_eq!(
        store.get(b"c").unwrap().unwrap().expires_at_ms(),
        Some(START_MS + 1001)
    );
    machine.clock.set_wall_ms(START_MS + 1000);
    store.put(b"stamp", b"of the time", Durability::Synced).unwrap();
    drop(store);
    machine.clock.set_wall_ms(0);
    let machine = Machine {
        disk: machine.disk.process_crash(),
        clock: machine.clock,
    };
    let store = machine.open();
    assert!(!is_there(&store, b"a") && is_there(&store, b"b"));
    assert_eq!(store.now_ms(), START_MS + 1000);
}

#[test]
fn compaction_takes_expired_values_away_once_nobody_may_see_them() {
    let machine = Machine::new();
    let store = machine.open();
    for n in 0..500u32 {
        store
            .put_expiring(&n.to_be_bytes(), &[9; 1000], after_ms(1000), BUFFERED)
            .unwrap();
    }
    store.put(b"stays", b"x", BUFFERED).unwrap();
    compact(&store);
    let full = store.stats();
    assert_eq!(full.table_entries, 501, "nothing has expired yet");
    let snapshot = store.snapshot();
    machine.pass_ms(1000);
    compact(&store);
    assert_eq!(store.stats().table_entries, 501, "a snapshot still sees them");
    assert_eq!(
        keys(
            &snapshot,
            ScanOptions {
                limit: Some(1),
                reverse: true,
                ..ScanOptions::default()
            }
        ),
        ["stays"]
    );
    assert!(snapshot.get(&7u32.to_be_bytes()).unwrap().is_some());
    drop(snapshot);
    let keep = CompactionLimits {
        keep_tombstones_from: atoll::ids::Lsn(0),
        ..CompactionLimits::default()
    };
    store.compact(&keep, &mut |_| {}).unwrap();
    assert_eq!(
        store.stats().table_entries,
        501,
        "somebody copies from here and must learn of them"
    );
    compact(&store);
    let after = store.stats();
    assert_eq!((after.table_entries, after.keys), (1, 1));
    assert!(
        after.table_bytes * 10 < full.table_bytes,
        "{} of {}",
        after.table_bytes,
        full.table_bytes
    );
    assert!(!is_there(&store, &7u32.to_be_bytes()));
    store.put(&7u32.to_be_bytes(), b"again", BUFFERED).unwrap();
    assert!(is_there(&store, &7u32.to_be_bytes()));
    assert!(store.verify(&mut |_, _| {}).unwrap().damage.is_empty());
}

#[test]
fn expired_value_in_a_younger_run_hides_the_older_one_below_it() {
    let machine = Machine::new();
    let store = machine.open();
    let limits = CompactionLimits::default();
    for n in 0..2000u32 {
        store.put(&n.to_be_bytes(), &[1; 2000], BUFFERED).unwrap();
    }
    compact(&store);
    store
        .put_expiring(&5u32.to_be_bytes(), b"brief", after_ms(10), BUFFERED)
        .unwrap();
    machine.pass_ms(10);
    // Flushed into a run of its own, above the one that has the older version.
    store.seal_segment().unwrap();
    while store.compact_step(&limits).unwrap().is_some() {}
    assert_eq!(store.stats().runs, 2);
    assert!(!is_there(&store, &5u32.to_be_bytes()));
    compact(&store);
    assert!(!is_there(&store, &5u32.to_be_bytes()));
    assert_eq!(store.stats().keys, 1999);
}

#[test]
fn replicas_hold_the_same_bytes_and_judge_by_their_own_clocks() {
    let machine = Machine::new();
    let primary = machine.open();
    primary
        .put_expiring(b"a", b"x", after_ms(1000), BUFFERED)
        .unwrap();
    let other = Machine::new();
    let replica = Store::open(&other.env(), dir(), &options(2, WritePath::Auto)).unwrap();
    while replica.tail() < primary.tail() {
        replica
            .apply(&primary.read_log(replica.tail(), 1 << 20).unwrap())
            .unwrap();
    }
    assert_eq!(primary.first_difference(&replica, primary.tail()).unwrap(), None);
    assert_eq!(
        replica.get(b"a").unwrap().unwrap().expires_at_ms(),
        Some(START_MS + 1000)
    );
    machine.pass_ms(1000);
    assert!(!is_there(&primary, b"a"));
    assert!(
        replica.get(b"a").unwrap().is_some(),
        "its own clock has not moved"
    );
    other.pass_ms(1000);
    assert!(replica.get(b"a").unwrap().is_none());
}

#[test]
fn copied_versions_keep_their_expiry() {
    let machine = Machine::new();
    let store = machine.open();
    let mut batch = WriteBatch::new();
    batch.copy_version("a", Some(b"x".to_vec()), Hlc(77 << 16), Some(START_MS + 5));
    store.write(&batch, BUFFERED).unwrap();
    assert_eq!(
        store.get(b"a").unwrap().unwrap().expires_at_ms(),
        Some(START_MS + 5)
    );
    machine.pass_ms(5);
    assert!(!is_there(&store, b"a"));
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u16, Option<u8>),
    Delete(u8),
    Batch(Vec<(u8, Option<u8>)>),
    Pass(u8),
    /// Sets the clock back by so much.
    Back(u8),
    Hold,
    Release,
    Compact,
    Flush,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0u8..10;
    prop_oneof![
        8 => (key(), any::<u16>(), prop::option::of(0u8..20)).prop_map(|(k, v, t)| Step::Put(k, v, t)),
        2 => key().prop_map(Step::Delete),
        2 => prop::collection::vec((key(), prop::option::of(1u8..20)), 1..4).prop_map(Step::Batch),
        4 => (0u8..12).prop_map(Step::Pass),
        1 => (1u8..30).prop_map(Step::Back),
        2 => Just(Step::Hold),
        1 => Just(Step::Release),
        2 => Just(Step::Compact),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

/// Value and when it goes.
type Model = BTreeMap<u8, (u16, u64)>;

fn visible(model: &Model, now: u64) -> BTreeMap<u8, u16> {
    let living = model.iter().filter(|(_, (_, until))| *until > now);
    living.map(|(key, (value, _))| (*key, *value)).collect()
}

fn shown(snapshot: &Snapshot<'_>) -> BTreeMap<u8, u16> {
    let read = |bytes: &[u8]| u16::from_le_bytes(bytes[..2].try_into().unwrap());
    let scan = snapshot.scan(Bound::Unbounded, Bound::Unbounded).unwrap();
    let scanned: BTreeMap<u8, u16> = scan
        .map(Result::unwrap)
        .map(|entry| (entry.key[0], read(&entry.value.unwrap())))
        .collect();
    let single: BTreeMap<u8, u16> = (0..10)
        .filter_map(|key| snapshot.get(&[key]).unwrap().map(|value| (key, read(&value))))
        .collect();
    assert_eq!(scanned, single);
    scanned
}

fn run_model(steps: &[Step]) {
    let machine = Machine::new();
    let mut store = machine.open();
    let mut model = Model::new();
    // The store's time: the latest that the clock has shown. It is asked after every step.
    let mut latest = START_MS;
    let mut rest = steps;
    while !rest.is_empty() {
        let mut held: Vec<(Snapshot<'_>, BTreeMap<u8, u16>)> = Vec::new();
        let mut reopen = false;
        assert_eq!(store.now_ms(), latest);
        while let Some((step, after)) = rest.split_first() {
            rest = after;
            match step {
                Step::Put(key, value, ttl) => {
                    let expires = ttl.map_or(Expires::Never, |ms| after_ms(u64::from(ms)));
                    // Large enough for several segments.
                    let bytes = [&value.to_le_bytes()[..], &[0; 40_000]].concat();
                    store.put_expiring(&[*key], &bytes, expires, BUFFERED).unwrap();
                    let until = ttl.map_or(u64::MAX, |ms| latest + u64::from(ms));
                    model.insert(*key, (*value, until));
                }
                Step::Delete(key) => {
                    store.delete(&[*key], BUFFERED).unwrap();
                    model.remove(key);
                }
                Step::Batch(members) => {
                    let mut batch = WriteBatch::new();
                    for (key, ttl) in members {
                        match ttl {
                            Some(ms) => {
                                batch.put_expiring([*key], [1, 0], after_ms(u64::from(*ms)));
                                model.insert(*key, (1, latest + u64::from(*ms)));
                            }
                            None => {
                                batch.delete([*key]);
                                model.remove(key);
                            }
                        }
                    }
                    store.write(&batch, BUFFERED).unwrap();
                }
                Step::Pass(ms) => machine.pass_ms(u64::from(*ms)),
                Step::Back(ms) => {
                    use atoll::io::Clock;
                    machine
                        .clock
                        .set_wall_ms(machine.clock.wall_ms() - u64::from(*ms));
                }
                Step::Hold => held.push((store.snapshot(), visible(&model, latest))),
                Step::Release => drop(held.pop()),
                Step::Compact => compact(&store),
                Step::Flush => {
                    store.seal_segment().unwrap();
                    store.compact_step(&CompactionLimits::default()).unwrap();
                }
                Step::Reopen => reopen = true,
            }
            {
                use atoll::io::Clock;
                latest = latest.max(machine.clock.wall_ms());
            }
            assert_eq!(store.now_ms(), latest);
            assert_eq!(shown(&store.snapshot()), visible(&model, latest));
            for (snapshot, then) in &held {
                assert_eq!(&shown(snapshot), then, "held at {} ms", snapshot.taken_at_ms());
            }
            if reopen {
                break;
            }
        }
        drop(held);
        let report = store.verify(&mut |_, _| {}).unwrap();
        assert!(report.damage.is_empty(), "{:?}", report.damage);
        if reopen {
            // What the clock has shown since the last stamp is forgotten; put one there.
            machine.clock.set_wall_ms(latest);
            store.put(&[99], b"--", BUFFERED).unwrap();
            store.delete(&[99], BUFFERED).unwrap();
            store.close().unwrap();
            store = machine.open();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 1000, ..ProptestConfig::default() })]

    #[test]
    fn store_behaves_like_a_map_whose_values_expire(steps in prop::collection::vec(step(), 1..50)) {
        run_model(&steps);
    }
}
