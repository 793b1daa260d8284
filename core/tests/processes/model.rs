//! A writer in a process of its own, and a reader here that compares what it sees with a model.
//!
//! What the writer does is a function of the number of the step, and each step writes its number in the
//! same batch. So whoever sees number `n` must see exactly what the first `n` steps leave: nothing of a
//! later one, nothing of an earlier one missing. The writer seals, flushes, merges and releases beside
//! its writes, closes and opens again, and is stopped and killed; the reader stays.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use atoll::io::Env;
use atoll::store::{
    Compaction, CompactionLimits, Durability, ReaderOptions, ReaderSnapshot, ScanOptions, Store, StoreError,
    StoreOptions, StoreReader, WriteBatch,
};

use crate::fork::wait_for_word;
use crate::{options, signal, start};

/// Key of the number of the last step, behind all others.
const STEP: &[u8] = b"\xFFstep";
const KEYS: u64 = 600;

/// Of each key the step that wrote it last.
type Model = BTreeMap<Vec<u8>, u64>;

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn key(n: u64) -> Vec<u8> {
    match n % 3 {
        0 => format!("a/{n}").into_bytes(),
        1 => format!("한국어/{n}").into_bytes(),
        _ => [
            b"b/".as_slice(),
            &n.to_le_bytes()[..(n % 8) as usize],
            &n.to_be_bytes(),
        ]
        .concat(),
    }
}

fn value(key: &[u8], step: u64) -> Vec<u8> {
    let len = mix(step ^ key.len() as u64) % if step.is_multiple_of(31) { 9000 } else { 500 };
    let mut value = step.to_le_bytes().to_vec();
    value.extend((0..len).map(|i| (i ^ step) as u8));
    value
}

/// What step `n` writes: keys, and whether they are put.
fn changes(n: u64) -> Vec<(Vec<u8>, bool)> {
    let random = mix(n);
    let count = if random.is_multiple_of(5) {
        1 + random % 4
    } else {
        1
    };
    let mut all: Vec<(Vec<u8>, bool)> = (0..count)
        .map(|i| {
            let random = mix(random + i);
            (key(random % KEYS), !(random >> 32).is_multiple_of(4))
        })
        .collect();
    // Of one key in a batch the last change counts; here each key comes once.
    all.sort();
    all.dedup_by(|a, b| a.0 == b.0);
    all
}

fn step_of(value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| {
        u64::from_le_bytes(value[..8].try_into().expect("a number"))
    })
}

/// The writing helper.
pub fn write(dir: &Path, seed: u64) {
    let by_hand = StoreOptions {
        compaction: Compaction::Manual,
        table_bytes: 64 << 10,
        ..options()
    };
    let mut session = seed;
    loop {
        let store = Store::open_standalone(&Env::os(), dir, &by_hand).expect("opens");
        let first = step_of(store.get(STEP).expect("readable").as_deref()) + 1;
        crate::helper::say(0, first);
        let over = AtomicBool::new(false);
        session += 1;
        std::thread::scope(|scope| {
            scope.spawn(|| compact(&store, &over));
            for n in first..first + 500 + mix(session) % 3000 {
                let mut batch = WriteBatch::new();
                for (key, is_put) in changes(n) {
                    if is_put {
                        let value = value(&key, n);
                        batch.put(key, value);
                    } else {
                        batch.delete(key);
                    }
                }
                batch.put(STEP, n.to_le_bytes());
                store.write(&batch, Durability::Buffered).expect("written");
            }
            over.store(true, Ordering::Relaxed);
        });
        if session.is_multiple_of(3) {
            store.close().expect("closed");
        }
    }
}

/// Every kind of step, as fast as it goes.
fn compact(store: &Store, over: &AtomicBool) {
    let limits = CompactionLimits::default();
    let mut round = 0u64;
    while !over.load(Ordering::Relaxed) {
        round += 1;
        if round.is_multiple_of(7) {
            store.compact(&limits, &mut |_| {}).expect("compacted");
        } else {
            store.seal_segment().expect("sealed");
            while store.compact_step(&limits).expect("compacted").is_some() {}
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Follows the steps; hands out the model of any step at or after the last one asked for.
#[derive(Default)]
struct Follower {
    model: Model,
    step: u64,
}

impl Follower {
    fn at(&mut self, step: u64) -> &Model {
        assert!(step >= self.step, "step {step} was seen after {}", self.step);
        for n in self.step + 1..=step {
            for (key, is_put) in changes(n) {
                if is_put {
                    self.model.insert(key, n);
                } else {
                    self.model.remove(&key);
                }
            }
        }
        self.step = step;
        &self.model
    }
}

fn check_scan(snapshot: &ReaderSnapshot, model: &Model, step: u64, options: ScanOptions) {
    let mut scan = snapshot
        .scan_with(Bound::Unbounded, Bound::Excluded(STEP), options)
        .expect("opens");
    let mut expected: Vec<_> = model.iter().collect();
    if options.reverse {
        expected.reverse();
    }
    if let Some(limit) = options.limit {
        expected.truncate(limit as usize);
    }
    let mut count = 0;
    while let Some(entry) = scan.next_entry().expect("readable") {
        let (key, by) = expected.get(count).expect("no key more than the model has");
        assert_eq!(entry.key, &key[..], "at step {step}, place {count}");
        assert_eq!(
            entry.value.expect("put"),
            value(key, **by),
            "{key:?} at step {step}"
        );
        count += 1;
    }
    assert_eq!(count, expected.len(), "keys at step {step}");
}

fn check_snapshot(snapshot: &ReaderSnapshot, model: &Model, step: u64) {
    let whole = ScanOptions::default();
    check_scan(snapshot, model, step, whole);
    check_scan(
        snapshot,
        model,
        step,
        ScanOptions {
            reverse: true,
            ..whole
        },
    );
    let limit = Some(mix(step) % KEYS);
    check_scan(snapshot, model, step, ScanOptions { limit, ..whole });
    let mut prefixed = snapshot.scan_prefix(b"b/", whole).expect("opens");
    let mut count = 0;
    while prefixed.next_entry().expect("readable").is_some() {
        count += 1;
    }
    assert_eq!(count, model.keys().filter(|key| key.starts_with(b"b/")).count());
    for n in (step % 7..KEYS).step_by(7) {
        let key = key(n);
        let found = snapshot.get(&key).expect("readable");
        let expected = model.get(&key).map(|by| value(&key, *by));
        assert_eq!(found.as_deref(), expected.as_deref(), "{key:?} at step {step}");
    }
}

/// Single reads, which belong to no common position: each value must be the one of some step between the
/// numbers read before and after.
fn check_gets(reader: &StoreReader, follower: &mut Follower, turn: u64) -> Result<u64, StoreError> {
    let before = step_of(reader.get(STEP)?.as_deref());
    let keys: Vec<Vec<u8>> = (0..40).map(|i| key(mix(turn + i) % KEYS)).collect();
    let found = if turn.is_multiple_of(2) {
        reader.multi_get(&keys)?
    } else {
        let single: Result<Vec<_>, _> = keys.iter().map(|key| reader.get(key)).collect();
        single?
    };
    let after = step_of(reader.get(STEP)?.as_deref());
    let at_first = follower.at(before);
    for (key, found) in keys.iter().zip(found) {
        let mut allowed = vec![at_first.get(key).copied()];
        // Single reads meet a batch in the middle of taking effect; its number comes last.
        for n in before + 1..=after + 1 {
            allowed.extend(
                changes(n)
                    .into_iter()
                    .filter(|(changed, _)| changed == key)
                    .map(|(_, is_put)| is_put.then_some(n)),
            );
        }
        let by = found.as_deref().map(|found| step_of(Some(found)));
        assert!(
            allowed.contains(&by),
            "{key:?}: of step {by:?}, may be of {allowed:?}"
        );
        if let (Some(found), Some(by)) = (found, by) {
            assert_eq!(&found[..], value(key, by));
        }
    }
    Ok(after)
}

/// A writer that was killed while it was opening the store leaves it to the next one.
fn is_between_writers(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::NeedsRecovery { .. } | StoreError::WriterStuck { .. }
    )
}

/// Reads while the writer is stopped or dead in the middle of whatever it was doing, by the old reader and
/// by one that has seen nothing yet; `false` where the writer had not opened the store.
fn check_still(dir: &Path, reader: &StoreReader, follower: &mut Follower, turn: u64) -> bool {
    let patience = Duration::from_millis(200);
    let fresh = Store::open_reader(&Env::os(), dir, &ReaderOptions { patience });
    let look = |reader: &StoreReader, follower: &mut Follower| -> Result<(), StoreError> {
        for i in 0..KEYS / 40 {
            check_gets(reader, follower, turn + i * 40)?;
        }
        Ok(())
    };
    let outcome = fresh
        .and_then(|fresh| look(&fresh, follower))
        .and_then(|()| look(reader, follower));
    match outcome {
        Ok(()) => true,
        Err(error) if is_between_writers(&error) => false,
        Err(error) => panic!("{error}"),
    }
}

/// The writer, which somebody listens to so that it does not wait.
struct Writer(Child);

impl Writer {
    fn start(dir: &Path, seed: u64) -> Writer {
        let mut child = start("model", dir, seed);
        wait_for_word(&mut child);
        let mut out = child.stdout.take().expect("piped");
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        Writer(child)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("waited");
    }
}

#[test]
fn reader_sees_a_prefix_of_the_writers_steps_through_compaction_kills_and_reopening() {
    let seconds: u64 =
        std::env::var("ATOLL_MODEL_SECONDS").map_or(8, |seconds| seconds.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut writer = Writer::start(dir.path(), 1);
    let reader = Store::open_reader(&Env::os(), dir.path(), &ReaderOptions::default()).expect("opens");
    let (mut by_get, mut by_snapshot) = (Follower::default(), Follower::default());
    let mut held: VecDeque<(ReaderSnapshot, Model, u64)> = VecDeque::new();
    let mut found_still = 0;
    let (mut kills, mut stops, mut snapshots, mut rechecks, mut refused) = (0, 0, 0, 0, 0);
    let mut through = std::collections::BTreeSet::new();
    let ends = Instant::now() + Duration::from_secs(seconds);
    let mut turn = 0u64;
    let mut next_event = Instant::now() + Duration::from_millis(300);
    while Instant::now() < ends {
        turn += 1;
        if Instant::now() >= next_event {
            next_event = Instant::now() + Duration::from_millis(100 + mix(turn) % 700);
            if mix(turn).is_multiple_of(3) {
                signal(&writer.0, libc::SIGSTOP);
                found_still += u32::from(check_still(dir.path(), &reader, &mut by_get, turn));
                signal(&writer.0, libc::SIGCONT);
                stops += 1;
            } else {
                drop(writer);
                found_still += u32::from(check_still(dir.path(), &reader, &mut by_get, turn));
                writer = Writer::start(dir.path(), turn);
                kills += 1;
            }
        }
        match check_gets(&reader, &mut by_get, turn) {
            Ok(_) => {}
            Err(error) if is_between_writers(&error) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        through.insert(reader.compacted_through());
        let snapshot = match reader.snapshot() {
            Ok(snapshot) => snapshot,
            Err(error) if is_between_writers(&error) => {
                refused += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        snapshots += 1;
        let step = step_of(snapshot.get(STEP).expect("readable").as_deref());
        let model = by_snapshot.at(step);
        check_snapshot(&snapshot, model, step);
        if turn.is_multiple_of(4) {
            held.push_back((snapshot, model.clone(), step));
        }
        if held.len() > 6 {
            // Taken many flushes and merges ago, often under another writer.
            let (snapshot, model, step) = held.pop_front().expect("several");
            check_snapshot(&snapshot, &model, step);
            rechecks += 1;
        }
    }
    for (snapshot, model, step) in &held {
        check_snapshot(snapshot, model, *step);
    }
    drop(writer);
    println!(
        "{} steps; {snapshots} snapshots compared, {rechecks} of them again later; {kills} kills, {stops} stops, {found_still} \
         of them read in the middle by a fresh reader; \
         the reader saw {} states of the tables; {refused} reads came between two writers",
        by_snapshot.step,
        through.len()
    );
    assert!(snapshots > 10 && rechecks > 0 && kills > 0 && through.len() > 3);
    let store = crate::open(dir.path());
    assert_eq!(store.verify(&mut |_, _| {}).expect("verified").damage, []);
    let step = step_of(store.get(STEP).expect("readable").as_deref());
    assert!(
        step >= by_snapshot.step.max(by_get.step),
        "what a reader saw is there"
    );
}
