//! Transactions: what they see, what they refuse, and that together they are as good as one after the other.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use atoll::io::Env;
use atoll::io::sim::SimDisk;
use atoll::store::{
    CompactionLimits, ConflictCause, Durability, ScanOptions, Store, StoreError, Transaction,
    TransactionEntry, WritePath,
};
use proptest::prelude::*;

use crate::{dir, env, options};

const BUFFERED: Durability = Durability::Buffered;

fn simulated() -> Store {
    let disk = SimDisk::new(1);
    Store::open_standalone(&env(&disk, 1), dir(), &options(1, WritePath::Auto)).unwrap()
}

/// The key and cause of the conflict that must have happened.
fn conflict<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> (Vec<u8>, ConflictCause) {
    match outcome {
        Err(StoreError::Conflict { key, cause }) => (key, cause),
        other => panic!("a conflict was due, not {other:?}"),
    }
}

fn number(value: Option<&[u8]>) -> i64 {
    value.map_or(0, |bytes| {
        i64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    })
}

type Pair = (Vec<u8>, Option<Vec<u8>>);

fn all(txn: &mut Transaction<'_>, options: ScanOptions) -> Vec<Pair> {
    txn.scan(Bound::Unbounded, Bound::Unbounded, options)
        .unwrap()
        .map(|entry| {
            let TransactionEntry { key, value } = entry.unwrap();
            (key, value.map(|value| value.to_vec()))
        })
        .collect()
}

#[test]
fn own_writes_are_seen_by_gets_and_scans_and_by_nobody_else_before_the_commit() {
    let store = simulated();
    for key in ["a", "b", "c", "d"] {
        store.put(key.as_bytes(), b"old", BUFFERED).unwrap();
    }
    let mut txn = store.transaction();
    txn.put("b", "new");
    txn.delete("c");
    txn.put("bb", "added");
    txn.delete("never there");
    assert_eq!(txn.get(b"b").unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(txn.get(b"c").unwrap(), None);
    assert_eq!(txn.get(b"d").unwrap().as_deref(), Some(&b"old"[..]));
    let pair = |key: &str, value: &str| (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
    let expected = vec![
        pair("a", "old"),
        pair("b", "new"),
        pair("bb", "added"),
        pair("d", "old"),
    ];
    assert_eq!(all(&mut txn, ScanOptions::default()), expected);
    let backward = ScanOptions {
        reverse: true,
        ..ScanOptions::default()
    };
    assert_eq!(
        all(&mut txn, backward),
        expected.iter().rev().cloned().collect::<Vec<_>>()
    );
    let with_deletions = ScanOptions {
        deletions: true,
        ..ScanOptions::default()
    };
    assert_eq!(all(&mut txn, with_deletions).len(), 6);
    for limit in 0..6 {
        for reverse in [false, true] {
            let found = all(
                &mut txn,
                ScanOptions {
                    limit: Some(limit),
                    reverse,
                    ..ScanOptions::default()
                },
            );
            let mut wanted = expected.clone();
            if reverse {
                wanted.reverse();
            }
            wanted.truncate(limit as usize);
            assert_eq!(found, wanted);
        }
    }
    assert_eq!(store.get(b"b").unwrap().as_deref(), Some(&b"old"[..]));
    assert!(store.get(b"bb").unwrap().is_none());
    let written = txn.commit(Durability::Synced).unwrap().expect("it has writes");
    assert!(store.durable() >= written.end);
    assert_eq!(store.get(b"b").unwrap().as_deref(), Some(&b"new"[..]));
    assert!(store.get(b"c").unwrap().is_none());
}

#[test]
fn a_transaction_given_up_leaves_nothing() {
    let store = simulated();
    store.put(b"a", b"1", BUFFERED).unwrap();
    let tail = store.tail();
    let mut txn = store.transaction();
    txn.put("a", "2");
    txn.rollback();
    let mut txn = store.transaction();
    txn.put("a", "3");
    assert_eq!(txn.get(b"a").unwrap().as_deref(), Some(&b"3"[..]));
    drop(txn);
    assert!(store.transaction().commit(Durability::Synced).unwrap().is_none());
    let outcome = store.transact(3, BUFFERED, |txn| {
        txn.put("a", "4");
        Err::<(), StoreError>(StoreError::System {
            lsn: 0,
            what: "given up".into(),
        })
    });
    assert!(matches!(outcome, Err(StoreError::System { .. })));
    assert_eq!(store.tail(), tail, "not one record");
    assert_eq!(store.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_key_written_since_it_was_read_is_named_and_nothing_is_written() {
    let store = simulated();
    store.put("이름".as_bytes(), b"1", BUFFERED).unwrap();
    type Write = (&'static str, fn(&Store));
    let writes: [Write; 3] = [
        ("이름", |store| {
            store.put("이름".as_bytes(), b"1", BUFFERED).map(drop).unwrap()
        }),
        ("이름", |store| {
            store.delete("이름".as_bytes(), BUFFERED).map(drop).unwrap()
        }),
        ("missing", |store| {
            store.put(b"missing", b"here", BUFFERED).map(drop).unwrap()
        }),
    ];
    for (key, write) in writes {
        let mut txn = store.transaction();
        txn.get(key.as_bytes()).unwrap();
        txn.put("other", "x");
        write(&store);
        let tail = store.tail();
        let error = txn.commit(BUFFERED).unwrap_err();
        assert!(error.is_conflict());
        assert!(error.to_string().contains(key), "{error}");
        let (named, cause) = conflict::<()>(Err(error));
        assert_eq!(named, key.as_bytes());
        assert!(matches!(cause, ConflictCause::Written { at } if at < tail));
        assert_eq!(store.tail(), tail);
    }
    // A blind write depends on nothing.
    let mut txn = store.transaction();
    txn.put("missing", "mine");
    store.put(b"missing", b"theirs", BUFFERED).unwrap();
    txn.commit(BUFFERED).unwrap();
    assert_eq!(store.get(b"missing").unwrap().as_deref(), Some(&b"mine"[..]));
    // Neither does reading what one has written oneself.
    let mut txn = store.transaction();
    txn.put("missing", "mine again");
    assert!(txn.get(b"missing").unwrap().is_some());
    store.put(b"missing", b"theirs", BUFFERED).unwrap();
    txn.commit(BUFFERED).unwrap();
}

#[test]
fn write_skew_is_caught() {
    let store = simulated();
    store.put(b"ann on call", b"yes", BUFFERED).unwrap();
    store.put(b"bob on call", b"yes", BUFFERED).unwrap();
    let leave = |txn: &mut Transaction<'_>, who: &str, other: &str| {
        assert!(txn.get(who.as_bytes()).unwrap().is_some());
        if txn.get(other.as_bytes()).unwrap().as_deref() == Some(&b"yes"[..]) {
            txn.put(who, "no");
        }
    };
    let (mut ann, mut bob) = (store.transaction(), store.transaction());
    leave(&mut ann, "ann on call", "bob on call");
    leave(&mut bob, "bob on call", "ann on call");
    ann.commit(BUFFERED).unwrap();
    assert_eq!(conflict(bob.commit(BUFFERED)).0, b"ann on call");
}

#[test]
fn phantoms_are_caught_and_writes_beside_the_range_are_not() {
    let store = simulated();
    for key in ["r1", "r3", "r5"] {
        store.put(key.as_bytes(), b"", BUFFERED).unwrap();
    }
    let scanned = |options: ScanOptions, take: usize| {
        let mut txn = store.transaction();
        let scan = txn.scan_prefix(b"r", options).unwrap();
        assert_eq!(scan.take(take).map(Result::unwrap).count(), take);
        txn.put("sum", "x");
        txn
    };
    let backward = ScanOptions {
        reverse: true,
        ..ScanOptions::default()
    };
    let two = ScanOptions {
        limit: Some(2),
        ..ScanOptions::default()
    };
    // Scan, keys taken from it (0: none), key written meanwhile, whether that is a conflict.
    let cases: [(ScanOptions, usize, &str, bool); 15] = [
        (ScanOptions::default(), 3, "r2", true),
        (ScanOptions::default(), 3, "r5", true),
        (ScanOptions::default(), 3, "r", true),
        (ScanOptions::default(), 3, "q", false),
        (ScanOptions::default(), 3, "s", false),
        (ScanOptions::default(), 0, "r2", false),
        (two, 2, "r3", true),
        (two, 2, "r2", true),
        (two, 2, "r30", false),
        (two, 2, "r4", false),
        (ScanOptions::default(), 1, "r3", false),
        (backward, 1, "r5", true),
        (backward, 1, "r6", true),
        (backward, 1, "r4", false),
        (backward, 2, "r4", true),
    ];
    for (options, take, key, is_conflict) in cases {
        for in_tables in [false, true] {
            let txn = scanned(options, take);
            store.put(key.as_bytes(), b"", BUFFERED).unwrap();
            if in_tables {
                // The log stays as far as the transaction needs it.
                store.compact(&CompactionLimits::default(), &mut |_| {}).unwrap();
            }
            let context = format!("{options:?} after {take} keys, {key}, in tables: {in_tables}");
            let outcome = txn.commit(BUFFERED);
            if is_conflict {
                let (named, cause) = conflict(outcome);
                assert_eq!(named, key.as_bytes(), "{context}");
                assert!(matches!(cause, ConflictCause::WrittenInRange { .. }), "{context}");
            } else {
                outcome.unwrap_or_else(|error| panic!("{context}: {error}"));
            }
            for extra in ["r", "r2", "r30", "r4", "r6"] {
                store.delete(extra.as_bytes(), BUFFERED).unwrap();
            }
        }
    }
    // A scan that runs to its end has seen that nothing follows.
    let txn = {
        let mut txn = store.transaction();
        assert_eq!(txn.scan_prefix(b"r", ScanOptions::default()).unwrap().count(), 3);
        txn.put("sum", "x");
        txn
    };
    store.put(b"r9", b"", BUFFERED).unwrap();
    assert_eq!(conflict(txn.commit(BUFFERED)).0, b"r9");
}

#[test]
fn log_goes_once_no_transaction_needs_it() {
    let store = simulated();
    for n in 0..2000u32 {
        store.put(&n.to_be_bytes(), &[7; 2000], BUFFERED).unwrap();
    }
    let txn = store.transaction();
    for n in 0..2000u32 {
        store.put(&n.to_be_bytes(), &[8; 2000], BUFFERED).unwrap();
    }
    store.compact(&CompactionLimits::default(), &mut |_| {}).unwrap();
    assert!(store.log_start() <= txn.lsn());
    let from = txn.lsn();
    drop(txn);
    store.compact(&CompactionLimits::default(), &mut |_| {}).unwrap();
    assert!(store.log_start() > from);
}

#[test]
fn another_leadership_ends_a_transaction() {
    let store = simulated();
    let mut txn = store.transaction();
    txn.get(b"a").unwrap();
    txn.put("a", "1");
    let epoch = store.epoch();
    store
        .begin_epoch(atoll::ids::Epoch(epoch.0 + 1), 1, store.incarnation())
        .unwrap();
    let error = txn.commit(BUFFERED).unwrap_err();
    assert!(
        !error.is_conflict() && error.to_string().contains("epoch"),
        "{error}"
    );
    assert!(store.get(b"a").unwrap().is_none());
}

#[test]
fn many_more_keys_than_stripes_commit_at_once() {
    let store = simulated();
    let mut txn = store.transaction();
    for n in 0..5000u32 {
        assert!(txn.get(&n.to_be_bytes()).unwrap().is_none());
        txn.put(n.to_be_bytes(), n.to_le_bytes());
    }
    txn.commit(BUFFERED).unwrap();
    assert_eq!(
        store
            .snapshot()
            .scan(Bound::Unbounded, Bound::Unbounded)
            .unwrap()
            .count(),
        5000
    );
}

#[test]
fn bank_transfers_of_many_threads_keep_the_sum_and_auditors_never_see_another() {
    const ACCOUNTS: u8 = 12;
    const START: i64 = 1000;
    let place = tempfile::tempdir().unwrap();
    let store = Store::open_standalone(&Env::os(), place.path(), &options(1, WritePath::Auto)).unwrap();
    for account in 0..ACCOUNTS {
        store
            .put(&[b'a', account], &START.to_le_bytes(), BUFFERED)
            .unwrap();
    }
    let (done, attempts, audits) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (threads, transfers) = (4u64, 800u64);
    let audit = |txn: &mut Transaction<'_>| -> Result<i64, StoreError> {
        let scan = txn.scan_prefix(b"a", ScanOptions::default())?;
        let mut sum = 0;
        for entry in scan {
            sum += number(entry?.value.as_deref());
        }
        Ok(sum)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (store, attempts) = (&store, &attempts);
                scope.spawn(move || {
                    let mut random = 0x9E37_79B9_7F4A_7C15u64 ^ (thread << 32 | 1);
                    for _ in 0..transfers {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let from = [b'a', (random % u64::from(ACCOUNTS)) as u8];
                        let to = [b'a', (random / 64 % u64::from(ACCOUNTS)) as u8];
                        let amount = (random / 4096 % 50) as i64;
                        let committed = store
                            .transact(10_000, BUFFERED, |txn| {
                                let balance = number(txn.get(&from)?.as_deref());
                                std::thread::yield_now();
                                txn.put(from, (balance - amount).to_le_bytes());
                                let balance = number(txn.get(&to)?.as_deref());
                                txn.put(to, (balance + amount).to_le_bytes());
                                Ok::<(), StoreError>(())
                            })
                            .unwrap();
                        attempts.fetch_add(u64::from(committed.attempts), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        // One auditor only reads; another writes down the sum, so that its range is checked at the end.
        for writes in [false, true] {
            let (store, done, audits) = (&store, &done, &audits);
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    let outcome = store.transact(3, BUFFERED, |txn| {
                        let sum = audit(txn)?;
                        assert_eq!(sum, i64::from(ACCOUNTS) * START, "money came or went");
                        if writes {
                            txn.put("sum", sum.to_le_bytes());
                        }
                        Ok::<(), StoreError>(())
                    });
                    match outcome {
                        Ok(_) => drop(audits.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => assert!(error.is_conflict(), "{error}"),
                    }
                }
            });
        }
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Release);
    });
    let sum: i64 = (0..ACCOUNTS)
        .map(|account| number(store.get(&[b'a', account]).unwrap().as_deref()))
        .sum();
    assert_eq!(sum, i64::from(ACCOUNTS) * START);
    println!(
        "{} transfers took {} attempts, beside {} audits",
        threads * transfers,
        attempts.into_inner(),
        audits.into_inner()
    );
}

#[test]
fn names_taken_by_scanning_are_unique_under_many_threads() {
    // Each takes the smallest free number: a phantom would be taken twice.
    let place = tempfile::tempdir().unwrap();
    let store = Store::open_standalone(&Env::os(), place.path(), &options(1, WritePath::Auto)).unwrap();
    let (threads, each) = (4u32, 60u32);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let store = &store;
            scope.spawn(move || {
                for n in 0..each {
                    store
                        .transact(100_000, BUFFERED, |txn| {
                            let newest = ScanOptions {
                                reverse: true,
                                limit: Some(1),
                                ..ScanOptions::default()
                            };
                            let last = txn.scan_prefix(b"n", newest)?.next().transpose()?;
                            std::thread::yield_now();
                            let next = last.map_or(0, |entry| {
                                u32::from_be_bytes(entry.key[1..].try_into().unwrap()) + 1
                            });
                            let key = [&b"n"[..], &next.to_be_bytes()].concat();
                            txn.put(key, (thread * each + n).to_le_bytes());
                            Ok::<(), StoreError>(())
                        })
                        .unwrap();
                }
            });
        }
    });
    let snapshot = store.snapshot();
    let taken = snapshot.scan_prefix(b"n", ScanOptions::default()).unwrap();
    let mut owners: Vec<Vec<u8>> = taken
        .map(|entry| entry.unwrap().value.unwrap().to_vec())
        .collect();
    owners.sort();
    owners.dedup();
    assert_eq!(owners.len() as u32, threads * each);
}

/// What the transactions of the model do; they are open at the same time.
#[derive(Clone, Debug)]
enum Step {
    Begin(usize),
    Get(usize, u8),
    Scan(usize, u8, u8, bool, Option<u64>),
    Put(usize, u8, u8),
    Delete(usize, u8),
    Commit(usize),
    Rollback(usize),
    /// A write outside of any transaction.
    Plain(u8, Option<u8>),
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0usize..3;
    let key = || 0u8..8;
    prop_oneof![
        2 => who().prop_map(Step::Begin),
        6 => (who(), key()).prop_map(|(w, k)| Step::Get(w, k)),
        3 => (who(), key(), key(), any::<bool>(), prop::option::of(0u64..4))
            .prop_map(|(w, a, b, r, l)| Step::Scan(w, a.min(b), a.max(b), r, l)),
        6 => (who(), key(), any::<u8>()).prop_map(|(w, k, v)| Step::Put(w, k, v)),
        3 => (who(), key()).prop_map(|(w, k)| Step::Delete(w, k)),
        4 => who().prop_map(Step::Commit),
        1 => who().prop_map(Step::Rollback),
        2 => (key(), prop::option::of(any::<u8>())).prop_map(|(k, v)| Step::Plain(k, v)),
        1 => Just(Step::Compact),
    ]
}

type Map = BTreeMap<u8, u8>;

/// A transaction under way and what the model says of it.
struct Open<'s> {
    txn: Transaction<'s>,
    /// The map as it began, with its own writes.
    view: Map,
    writes: BTreeMap<u8, Option<u8>>,
    /// Everything it did, with the answers, to be repeated at the commit.
    done: Vec<(Step, Vec<(u8, u8)>)>,
    /// Keys that somebody else has written since.
    changed: Vec<u8>,
}

/// What a reading step answers on a map.
fn answer(step: &Step, map: &Map) -> Vec<(u8, u8)> {
    match step {
        Step::Get(_, key) => map.get(key).map(|value| (*key, *value)).into_iter().collect(),
        Step::Scan(_, from, to, reverse, limit) => {
            let mut found: Vec<(u8, u8)> = map.range(from..=to).map(|(k, v)| (*k, *v)).collect();
            if *reverse {
                found.reverse();
            }
            found.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
            found
        }
        _ => Vec::new(),
    }
}

fn run_model(steps: &[Step]) -> (u32, u32) {
    let store = simulated();
    let mut committed = Map::new();
    let mut open: [Option<Open<'_>>; 3] = [None, None, None];
    let (mut commits, mut conflicts) = (0, 0);
    let change = |open: &mut [Option<Open<'_>>; 3], keys: &[u8]| {
        open.iter_mut()
            .flatten()
            .for_each(|other| other.changed.extend(keys));
    };
    for step in steps {
        let who = match step {
            Step::Begin(w) | Step::Get(w, _) | Step::Put(w, ..) | Step::Delete(w, _) => *w,
            Step::Scan(w, ..) | Step::Commit(w) | Step::Rollback(w) => *w,
            Step::Plain(key, value) => {
                match value {
                    Some(value) => drop(store.put(&[*key], &[*value], BUFFERED).unwrap()),
                    None => drop(store.delete(&[*key], BUFFERED).unwrap()),
                }
                match value {
                    Some(value) => committed.insert(*key, *value),
                    None => committed.remove(key),
                };
                change(&mut open, &[*key]);
                continue;
            }
            Step::Compact => {
                store.compact(&CompactionLimits::default(), &mut |_| {}).unwrap();
                continue;
            }
        };
        if let Step::Begin(_) = step {
            open[who] = Some(Open {
                txn: store.transaction(),
                view: committed.clone(),
                writes: BTreeMap::new(),
                done: Vec::new(),
                changed: Vec::new(),
            });
            continue;
        }
        let Some(mut this) = open[who].take() else {
            continue;
        };
        match step {
            Step::Get(_, key) => {
                let found = this.txn.get(&[*key]).unwrap();
                let found: Vec<_> = found.iter().map(|value| (*key, value[0])).collect();
                assert_eq!(found, answer(step, &this.view));
                this.done.push((step.clone(), found));
            }
            Step::Scan(_, from, to, reverse, limit) => {
                let options = ScanOptions {
                    reverse: *reverse,
                    limit: *limit,
                    ..ScanOptions::default()
                };
                let (from, to) = ([*from], [*to]);
                let scan = this
                    .txn
                    .scan(Bound::Included(&from), Bound::Included(&to), options)
                    .unwrap();
                let found: Vec<_> = scan
                    .map(|entry| entry.unwrap())
                    .map(|entry| (entry.key[0], entry.value.unwrap()[0]))
                    .collect();
                assert_eq!(found, answer(step, &this.view));
                this.done.push((step.clone(), found));
            }
            Step::Put(_, key, value) => {
                this.txn.put([*key], [*value]);
                this.view.insert(*key, *value);
                this.writes.insert(*key, Some(*value));
                this.done.push((step.clone(), Vec::new()));
            }
            Step::Delete(_, key) => {
                this.txn.delete([*key]);
                this.view.remove(key);
                this.writes.insert(*key, None);
                this.done.push((step.clone(), Vec::new()));
            }
            Step::Rollback(_) => {
                this.txn.rollback();
                continue;
            }
            Step::Commit(_) => {
                let is_read_only = this.writes.is_empty();
                match this.txn.commit(BUFFERED) {
                    Ok(_) if is_read_only => {}
                    Ok(_) => {
                        commits += 1;
                        // Run alone, here and now, it would have been given the same answers.
                        for (step, given) in &this.done {
                            match step {
                                Step::Put(_, key, value) => drop(committed.insert(*key, *value)),
                                Step::Delete(_, key) => drop(committed.remove(key)),
                                reading => assert_eq!(given, &answer(reading, &committed), "{reading:?}"),
                            }
                        }
                        let keys: Vec<u8> = this.writes.keys().copied().collect();
                        change(&mut open, &keys);
                    }
                    Err(error) => {
                        conflicts += 1;
                        let (key, _) = conflict::<()>(Err(error));
                        assert!(this.changed.contains(&key[0]), "nobody has written {key:?}");
                    }
                }
                continue;
            }
            Step::Begin(_) | Step::Plain(..) | Step::Compact => unreachable!("handled above"),
        }
        open[who] = Some(this);
    }
    drop(open);
    let snapshot = store.snapshot();
    let scan = snapshot.scan(Bound::Unbounded, Bound::Unbounded).unwrap();
    let stored: Map = scan
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.key[0], entry.value.unwrap()[0]))
        .collect();
    assert_eq!(stored, committed);
    (commits, conflicts)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_commits_is_as_if_it_had_run_alone_at_that_moment(steps in prop::collection::vec(step(), 1..80)) {
        run_model(&steps);
    }
}
