//! Compaction under power cuts, process deaths and failing calls, at every call in turn.
//!
//! The script writes enough overwrites and deletions for several flushes, merges of several steps and
//! releases of the log. After every accident the store must hold a prefix of the script, have no file
//! that its manifest does not name, and go on compacting.

use std::path::Path;

use atoll::io::sim::{CutPolicy, Fault, FaultKind, SimDisk};
use atoll::store::manifest::Manifest;
use atoll::store::{CompactionLimits, Durability, Store, StoreError, StoreOptions, WritePath};

use crate::workload::{DIR, Op, Progress, contents, env, goes_on, options, prefix_of, states};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const KEYS: [&str; 29] = [
    "",
    "a",
    "ab",
    "abc",
    "b",
    "bb",
    "한국어",
    "key-1",
    "key-2",
    "key-3",
    "key-4",
    "key-5",
    "key-6",
    "key-7",
    "key-8",
    "key-9",
    "l",
    "m",
    "n",
    "o",
    "p",
    "q",
    "r",
    "s",
    "t",
    "u",
    "v",
    "x",
    "zzz",
];

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Nothing,
    /// Seals and takes every step there is.
    Steps,
    /// Everything into one run.
    All,
}

fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + seed * 7) as u8).collect()
}

/// Operations, and what is compacted after each of them.
fn script() -> Vec<(Op, Then)> {
    use Durability::{Buffered, Synced};
    (0..72usize)
        .map(|n| {
            let key = KEYS[n * 7 % KEYS.len()];
            let durability = if n % 5 == 4 { Synced } else { Buffered };
            let op = match n % 9 {
                3 => Op::Delete(key, durability),
                6 => {
                    let other = KEYS[(n + 5) % KEYS.len()];
                    Op::Batch(vec![(key, Some(bytes(900, n))), (other, None)], durability)
                }
                _ => Op::Put(key, bytes(n * 7919 % 24_000, n), durability),
            };
            let then = match n {
                14 | 24 | 34 | 44 | 64 => Then::Steps,
                54 => Then::All,
                _ => Then::Nothing,
            };
            (op, then)
        })
        .collect()
}

fn open(disk: &SimDisk, write_path: WritePath) -> Result<Store, StoreError> {
    let options = StoreOptions {
        table_bytes: 64 << 10,
        ..options(write_path)
    };
    Store::open_standalone(&env(disk), Path::new(DIR), &options)
}

fn steps(store: &Store) -> Result<u64, StoreError> {
    let mut count = 0;
    while store.compact_step(&CompactionLimits::default())?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn compact(store: &Store, then: Then) -> Result<(), StoreError> {
    match then {
        Then::Nothing => Ok(()),
        Then::Steps => {
            store.seal_segment()?;
            steps(store).map(drop)
        }
        Then::All => store.compact(&CompactionLimits::default(), &mut |_| {}).map(drop),
    }
}

/// Runs the script until the first write that fails. A compaction that fails is none of a writer's
/// business, unless the whole machine is gone.
fn run(disk: &SimDisk, write_path: WritePath, script: &[(Op, Then)]) -> (Option<Store>, Progress) {
    let mut progress = Progress::default();
    let Ok(store) = open(disk, write_path) else {
        return (None, progress);
    };
    for (op, then) in script {
        progress.attempted += 1;
        if op.run(&store).is_err() {
            return (Some(store), progress);
        }
        progress.acknowledged += 1;
        if op.is_synced() {
            progress.synced = progress.acknowledged;
        }
        let _ = compact(&store, *then);
    }
    (Some(store), progress)
}

/// Every table file is named by the manifest and the other way round.
fn no_orphans(disk: &SimDisk, context: &str) {
    let manifest =
        Manifest::read(&*env(disk).disk, Path::new(DIR)).unwrap_or_else(|e| panic!("{context}: {e}"));
    let mut named: Vec<String> = manifest
        .iter()
        .flat_map(|manifest| &manifest.runs)
        .flat_map(|run| &run.tables)
        .map(|table| format!("{:016x}.tbl", table.number))
        .collect();
    named.sort();
    let found: Vec<String> = disk
        .paths()
        .iter()
        .filter(|path| path.starts_with(Path::new(DIR).join("tables")))
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, named, "{context}");
}

/// What a store must be able to do after an accident.
fn recovers(disk: &SimDisk, write_path: WritePath, progress: Progress, least: usize, context: &str) {
    let ops: Vec<Op> = script().into_iter().map(|(op, _)| op).collect();
    let store = open(disk, write_path).unwrap_or_else(|e| panic!("{context}: {e}"));
    no_orphans(disk, context);
    prefix_of(&store, &states(&ops), least, progress.attempted, context);
    let before = contents(&store);
    compact(&store, Then::Steps).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(
        contents(&store),
        before,
        "{context}, after going on with compaction"
    );
    compact(&store, Then::All).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(contents(&store), before, "{context}, after compacting everything");
    no_orphans(disk, context);
    goes_on(disk, store, write_path, context);
}

fn calls(write_path: WritePath) -> u64 {
    let disk = SimDisk::new(1);
    let script = script();
    let (store, progress) = run(&disk, write_path, &script);
    assert_eq!(progress.synced / 5, script.len() / 5);
    let store = store.expect("opened");
    let done = store.compaction_health().done;
    assert!(
        done.flushes >= 5 && done.merges >= 8,
        "the script does not compact enough: {done:?}"
    );
    assert!(store.log_start().0 > 0, "the script releases nothing");
    disk.calls()
}

#[test]
fn power_cut_at_every_call_of_compaction_loses_nothing_and_leaves_no_orphan() {
    let script = script();
    let mut cases = 0;
    for (write_path, policies) in [
        (
            WritePath::Map,
            vec![
                (CutPolicy::DropAll, 1),
                (CutPolicy::KeepAll, 1),
                (CutPolicy::TearAll, 1),
                (CutPolicy::Random, 2),
                (CutPolicy::Random, 3),
            ],
        ),
        (
            WritePath::Pwrite,
            vec![(CutPolicy::DropAll, 1), (CutPolicy::Random, 4)],
        ),
    ] {
        let calls = calls(write_path);
        for call in 1..=calls + 1 {
            for (policy, seed) in &policies {
                let disk = SimDisk::new(*seed);
                let fault = Fault {
                    kind: FaultKind::PowerCut,
                    persistent: true,
                };
                disk.fail_at(call, fault);
                let (store, progress) = run(&disk, write_path, &script);
                drop(store);
                let disk = disk.power_cut(*policy);
                let context =
                    format!("{write_path:?}, power cut at call {call} of {calls}, {policy:?}, seed {seed}");
                recovers(&disk, write_path, progress, progress.synced, &context);
                cases += 1;
            }
        }
    }
    println!("{cases} power cuts, nothing acknowledged was lost");
}

/// Cleaning up after one power cut meets a second one.
#[test]
fn power_cut_while_opening_after_a_power_cut_changes_nothing() {
    let script = script();
    let write_path = WritePath::Map;
    let cut = Fault {
        kind: FaultKind::PowerCut,
        persistent: true,
    };
    let mut cases = 0;
    for first in (30..calls(write_path)).step_by(7) {
        for second in 1..14 {
            let disk = SimDisk::new(first * 100 + second);
            disk.fail_at(first, cut);
            let (store, progress) = run(&disk, write_path, &script);
            drop(store);
            let disk = disk.power_cut(CutPolicy::Random);
            disk.fail_at(disk.calls() + second, cut);
            drop(open(&disk, write_path));
            let disk = disk.power_cut(CutPolicy::Random);
            let context = format!("cuts at call {first} and at call {second} of the next opening");
            recovers(&disk, write_path, progress, progress.synced, &context);
            cases += 1;
        }
    }
    println!("{cases} double power cuts, nothing acknowledged was lost");
}

#[test]
fn process_that_dies_in_compaction_loses_no_acknowledged_write() {
    let script = script();
    let write_path = WritePath::Map;
    let calls = calls(write_path);
    for call in 1..=calls + 1 {
        let disk = SimDisk::new(3);
        // From this call on the process gets nothing done any more; the machine stays up.
        let fault = Fault {
            kind: FaultKind::Errno(EIO),
            persistent: true,
        };
        disk.fail_at(call, fault);
        let (store, progress) = run(&disk, write_path, &script);
        drop(store);
        let disk = disk.process_crash();
        let context = format!("process died at call {call} of {calls}");
        recovers(&disk, write_path, progress, progress.acknowledged, &context);
    }
}

/// A failure is compaction's own: what the store answers does not change, and once the cause has gone
/// compaction goes on, or says that it needs an opening.
#[test]
fn failing_call_of_compaction_changes_no_answer() {
    let script = script();
    let ops: Vec<Op> = script.iter().map(|(op, _)| op.clone()).collect();
    let states = states(&ops);
    let write_path = WritePath::Map;
    let calls = calls(write_path);
    let (mut cases, mut failed, mut halted) = (0, 0, 0);
    for call in 1..=calls {
        for errno in [EIO, ENOSPC] {
            let disk = SimDisk::new(5);
            let fault = Fault {
                kind: FaultKind::Errno(errno),
                persistent: false,
            };
            disk.fail_at(call, fault);
            let (store, progress) = run(&disk, write_path, &script);
            let context = format!("errno {errno} at call {call} of {calls}");
            let Some(store) = store else { continue };
            cases += 1;
            // A write that failed may or may not have taken effect.
            prefix_of(
                &store,
                &states,
                progress.acknowledged,
                progress.attempted,
                &context,
            );
            let health = store.compaction_health();
            failed += u64::from(health.failures > 0);
            if health.failures > 0
                && progress.acknowledged == ops.len()
                && health.halted.is_none()
                && store.poisoned().is_none()
            {
                compact(&store, Then::All).unwrap_or_else(|e| panic!("{context}: {e}"));
                assert_eq!(contents(&store), states[ops.len()], "{context}");
            }
            halted += u64::from(health.halted.is_some());
            drop(store);
            let disk = disk.power_cut(CutPolicy::DropAll);
            recovers(&disk, write_path, progress, progress.synced, &context);
        }
    }
    assert!(
        failed > calls / 4,
        "only {failed} of {cases} failures met compaction"
    );
    println!(
        "{cases} failing calls, {failed} in compaction, {halted} of them stopped it until the next opening"
    );
}

#[test]
fn full_disk_stops_compaction_and_not_the_store() {
    let disk = SimDisk::new(6);
    let store = open(&disk, WritePath::Map).expect("opens");
    for n in 0..40u32 {
        let key = format!("k{n:02}");
        store
            .put(key.as_bytes(), &[n as u8; 20_000], Durability::Synced)
            .expect("put");
    }
    store.seal_segment().expect("sealed");
    let used: u64 = disk
        .paths()
        .iter()
        .map(|path| disk.read_whole(path).expect("there").len() as u64)
        .sum();
    disk.set_capacity(used + (600 << 10));
    let error = store
        .compact_step(&CompactionLimits::default())
        .expect_err("no room");
    assert!(error.is_disk_full(), "{error}");
    assert!(store.compaction_health().last_error.is_some() && store.compaction_health().halted.is_none());
    store
        .put(b"more", b"fits", Durability::Synced)
        .expect("writers have their room");
    assert_eq!(contents(&store).len(), 41);
    disk.set_capacity(u64::MAX);
    assert!(steps(&store).expect("room again") > 0);
    assert_eq!(store.compaction_health().last_error, None);
    assert_eq!(contents(&store).len(), 41);
}

/// Each file of a compacted store in turn, everywhere: the damage is named or changes nothing.
#[test]
fn flipped_byte_of_a_compacted_store_is_named_with_file_and_offset() {
    let build = || {
        let disk = SimDisk::new(7);
        let (store, _) = run(&disk, WritePath::Map, &script());
        let store = store.expect("opened");
        let expected = contents(&store);
        store.close().expect("closes");
        (disk, expected)
    };
    let (pristine, expected) = build();
    let files: Vec<_> = pristine
        .paths()
        .into_iter()
        .filter(|path| path.ends_with("MANIFEST") || path.extension().is_some_and(|e| e == "tbl"))
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    let mut flips = 0;
    for file in &files {
        let len = pristine.read_whole(file).expect("there").len() as u64;
        for offset in (0..len).step_by(if len > 5000 { 1511 } else { 7 }) {
            let (disk, _) = build();
            disk.flip(file, offset, 0x04);
            let context = format!("{} byte {offset}", file.display());
            let damage = match open(&disk, WritePath::Map) {
                Err(error) => {
                    error
                        .damage()
                        .unwrap_or_else(|| panic!("{context}: {error}"))
                        .path
                }
                Ok(store) => {
                    let report = store
                        .verify(&mut |_, _| {})
                        .unwrap_or_else(|e| panic!("{context}: {e}"));
                    // A read either gives what was there or names the damage.
                    for (key, value) in &expected {
                        match store.get(key) {
                            Ok(found) => assert_eq!(found.as_deref(), Some(&value[..]), "{context}: {key:?}"),
                            Err(error) => {
                                assert_eq!(error.damage().expect("damage").path, *file, "{context}")
                            }
                        }
                    }
                    report
                        .damage
                        .first()
                        .unwrap_or_else(|| panic!("{context}: unnoticed"))
                        .path
                        .clone()
                }
            };
            assert_eq!(damage, *file, "{context}");
            flips += 1;
        }
    }
    println!("{flips} flips, all named");
}

#[test]
fn missing_table_or_manifest_is_noticed() {
    let disk = SimDisk::new(8);
    let (store, _) = run(&disk, WritePath::Map, &script());
    store.expect("opened").close().expect("closes");
    let gone: Vec<_> = disk
        .paths()
        .into_iter()
        .filter(|path| path.ends_with("MANIFEST") || path.extension().is_some_and(|e| e == "tbl"))
        .collect();
    for path in gone {
        let disk = SimDisk::new(8);
        let (store, _) = run(&disk, WritePath::Map, &script());
        store.expect("opened").close().expect("closes");
        env(&disk).disk.remove_file(&path).expect("removed");
        let error = open(&disk, WritePath::Map).expect_err("a file is missing");
        assert!(error.damage().is_some(), "{}: {error}", path.display());
    }
}
