//! Backups and restores under power cuts, process deaths and failing calls, at every call in turn.
//!
//! A store is backed up, goes on, is compacted, and is backed up into the same directory again, by copies
//! or by links; then the backup is restored. After every accident the directory of the backup holds the
//! first backup, the second, or, before the first was finished, none; each whole. The directory of the
//! restored store holds a whole store, or can be restored into.

use std::path::Path;

use atoll::io::sim::{CutPolicy, Fault, FaultKind, SimDisk};
use atoll::store::backup::restore::restore;
use atoll::store::backup::{BackupError, BackupOptions, verify_backup};
use atoll::store::{CompactionLimits, Durability, Store, StoreError, WritePath};

use crate::workload::{State, contents, env, goes_on_in, open, open_in};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const BACKUP: &str = "/safe/backup";
const AGAIN: &str = "/again/store";
const CHECK: &str = "/check/store";

/// What had been answered with success when the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    Nothing,
    First,
    Second,
    Restored,
}

fn put(store: &Store, keys: std::ops::Range<usize>, seed: usize) -> Result<(), StoreError> {
    for n in keys {
        let value = vec![(n * 7 + seed) as u8; 900 + n * 331 % 3_000];
        store.put(format!("key-{n}").as_bytes(), &value, Durability::Buffered)?;
    }
    Ok(())
}

fn first_writes(store: &Store) -> Result<(), StoreError> {
    put(store, 0..30, 1)?;
    store.seal_segment()?;
    put(store, 30..40, 1)?;
    store.put(b"", b"empty key", Durability::Buffered)?;
    store.delete(b"key-3", Durability::Buffered).map(drop)
}

fn second_writes(store: &Store) -> Result<(), StoreError> {
    store.compact(&CompactionLimits::default(), &mut |_| {})?;
    put(store, 25..60, 2)?;
    store.delete("key-5".as_bytes(), Durability::Synced).map(drop)
}

/// The states that the two backups hold.
fn states() -> [State; 2] {
    let disk = SimDisk::new(1);
    let store = open(&disk, WritePath::Map).expect("opened");
    first_writes(&store).expect("written");
    let first = contents(&store);
    second_writes(&store).expect("written");
    [first, contents(&store)]
}

fn run(disk: &SimDisk, link: bool) -> Done {
    let options = BackupOptions { link };
    let mut done = Done::Nothing;
    let mut attempt = || -> Result<(), BackupError> {
        let store = open(disk, WritePath::Map)?;
        first_writes(&store)?;
        store.backup(Path::new(BACKUP), &options, &mut |_, _| {})?;
        done = Done::First;
        second_writes(&store)?;
        store.backup(Path::new(BACKUP), &options, &mut |_, _| {})?;
        done = Done::Second;
        restore(&env(disk), Path::new(BACKUP), Path::new(AGAIN), &mut |_, _| {})?;
        done = Done::Restored;
        Ok(())
    };
    let _ = attempt();
    done
}

fn check(disk: &SimDisk, done: Done, states: &[State; 2], context: &str) {
    let env = env(disk);
    match verify_backup(&env, Path::new(BACKUP), &mut |_, _| {}) {
        Ok(report) => {
            assert!(report.damage.is_empty(), "{context}: {:?}", report.damage);
            restore(&env, Path::new(BACKUP), Path::new(CHECK), &mut |_, _| {})
                .unwrap_or_else(|e| panic!("{context}: {e}"));
            let store = open_in(disk, CHECK, WritePath::Map).unwrap_or_else(|e| panic!("{context}: {e}"));
            let found = contents(&store);
            let which = states.iter().position(|state| *state == found);
            let which = which.unwrap_or_else(|| panic!("{context}: neither of the two states"));
            assert_eq!(report.sequence, which as u64 + 1, "{context}");
            assert!(
                done < Done::Second || which == 1,
                "{context}: the second one was told"
            );
        }
        Err(BackupError::NotABackup { .. }) if done == Done::Nothing => {}
        Err(error) => panic!("{context}: {error}"),
    }
    // All or nothing, and what an interrupted restore left is no obstacle.
    let exists = disk.read_whole(&Path::new(AGAIN).join("CONTROL")).is_some();
    assert!(
        exists || done < Done::Restored,
        "{context}: the restored store is gone"
    );
    if !exists && done >= Done::Second {
        restore(&env, Path::new(BACKUP), Path::new(AGAIN), &mut |_, _| {})
            .unwrap_or_else(|e| panic!("{context}: {e}"));
    }
    if exists || done >= Done::Second {
        let store = open_in(disk, AGAIN, WritePath::Map).unwrap_or_else(|e| panic!("{context}: {e}"));
        assert_eq!(contents(&store), states[1], "{context}");
        goes_on_in(disk, AGAIN, store, WritePath::Map, context);
    }
}

fn calls(link: bool) -> u64 {
    let disk = SimDisk::new(1);
    assert_eq!(run(&disk, link), Done::Restored);
    disk.calls()
}

fn fault(kind: FaultKind, persistent: bool) -> Fault {
    Fault { kind, persistent }
}

#[test]
fn a_power_cut_at_every_call_leaves_whole_backups_and_whole_stores() {
    let states = states();
    let mut cases = 0;
    for link in [false, true] {
        let calls = calls(link);
        for call in 1..=calls + 1 {
            let policies = [CutPolicy::DropAll, CutPolicy::KeepAll, CutPolicy::Random];
            for (seed, policy) in policies.into_iter().enumerate() {
                let disk = SimDisk::new(call * 10 + seed as u64);
                disk.fail_at(call, fault(FaultKind::PowerCut, true));
                let done = run(&disk, link);
                let disk = disk.power_cut(policy);
                let context = format!("power cut at call {call} of {calls}, {policy:?}, link {link}");
                check(&disk, done, &states, &context);
                cases += 1;
            }
        }
    }
    println!("{cases} power cuts while backups were made and restored");
}

#[test]
fn a_failing_call_or_a_killed_process_leaves_whole_backups_and_whole_stores() {
    let states = states();
    let mut cases = 0;
    for link in [false, true] {
        let calls = calls(link);
        for call in 1..=calls {
            for (errno, persistent) in [(EIO, false), (EIO, true), (ENOSPC, false), (ENOSPC, true)] {
                let disk = SimDisk::new(2);
                disk.fail_at(call, fault(FaultKind::Errno(errno), persistent));
                let done = run(&disk, link);
                let disk = disk.process_crash();
                let context =
                    format!("errno {errno} at call {call} of {calls}, persistent {persistent}, link {link}");
                check(&disk, done, &states, &context);
                cases += 1;
            }
        }
    }
    println!("{cases} failing calls while backups were made and restored");
}
