//! Bulk loads under power cuts, process deaths and failing calls, at every call in turn.
//!
//! A load is one step of the script, acknowledged as durable: after every accident the store holds a
//! prefix of the script in which each load is there whole or not at all, has no file that its manifest
//! does not name, and goes on.

use std::collections::BTreeMap;
use std::path::Path;

use atoll::io::sim::{CutPolicy, Fault, FaultKind, SimDisk};
use atoll::store::manifest::Manifest;
use atoll::store::{CompactionLimits, Store, StoreError, StoreOptions, WritePath};

use crate::workload::{DIR, Op, Progress, State, contents, env, goes_on, options, prefix_of, script};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

enum Step {
    Write(Op),
    Load(BTreeMap<Vec<u8>, Vec<u8>>),
    Compact,
}

/// Keys among those of the writes and apart from them, enough for several tables.
fn pairs(salt: usize) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let value = |n: usize| vec![(n + salt) as u8; n * 977 % 9000];
    let own = (0..30usize).map(|n| (format!("load-{:02}", n * (salt + 1)).into_bytes(), value(n)));
    let others = ["", "alpha", "b1", "beta"].map(|key| (key.as_bytes().to_vec(), value(salt + 3)));
    own.chain(others).collect()
}

fn steps() -> Vec<Step> {
    let mut steps = Vec::new();
    for (n, op) in script().into_iter().enumerate() {
        match n {
            3 | 8 => steps.push(Step::Load(pairs(n))),
            6 => steps.push(Step::Compact),
            _ => {}
        }
        steps.push(Step::Write(op));
    }
    steps.push(Step::Load(pairs(1)));
    steps
}

/// The state after each step.
fn states(steps: &[Step]) -> Vec<State> {
    let mut all = vec![State::new()];
    for step in steps {
        let mut state = all.last().expect("the first one").clone();
        match step {
            Step::Write(op) => op.apply_to(&mut state),
            Step::Load(pairs) => state.extend(pairs.clone()),
            Step::Compact => {}
        }
        all.push(state);
    }
    all
}

fn open(disk: &SimDisk, write_path: WritePath) -> Result<Store, StoreError> {
    let options = StoreOptions {
        table_bytes: 64 << 10,
        ..options(write_path)
    };
    Store::open_standalone(&env(disk), Path::new(DIR), &options)
}

fn run(disk: &SimDisk, write_path: WritePath, steps: &[Step]) -> (Option<Store>, Progress) {
    let mut progress = Progress::default();
    let Ok(store) = open(disk, write_path) else {
        return (None, progress);
    };
    for step in steps {
        progress.attempted += 1;
        let (outcome, synced) = match step {
            Step::Write(op) => (op.run(&store), op.is_synced()),
            Step::Load(pairs) => (store.load_sorted(pairs).map(drop), true),
            Step::Compact => {
                // One that fails is none of a writer's business.
                let _ = store.compact(&CompactionLimits::default(), &mut |_| {});
                (Ok(()), false)
            }
        };
        if outcome.is_err() {
            return (Some(store), progress);
        }
        progress.acknowledged += 1;
        if synced {
            progress.synced = progress.acknowledged;
        }
    }
    (Some(store), progress)
}

fn no_orphans(disk: &SimDisk, context: &str) {
    let manifest =
        Manifest::read(&*env(disk).disk, Path::new(DIR)).unwrap_or_else(|e| panic!("{context}: {e}"));
    let runs = manifest.iter().flat_map(|manifest| &manifest.runs);
    let mut named: Vec<String> = runs
        .flat_map(|run| &run.tables)
        .map(|table| format!("{:016x}.tbl", table.number))
        .collect();
    named.sort();
    let paths = disk.paths();
    let found: Vec<_> = paths
        .iter()
        .filter(|path| path.starts_with(Path::new(DIR).join("tables")))
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, named, "{context}");
}

fn recovers(
    disk: &SimDisk,
    write_path: WritePath,
    steps: &[Step],
    progress: Progress,
    least: usize,
    context: &str,
) {
    let store = open(disk, write_path).unwrap_or_else(|e| panic!("{context}: {e}"));
    no_orphans(disk, context);
    prefix_of(&store, &states(steps), least, progress.attempted, context);
    let before = contents(&store);
    // What a crash left halfway must not get into the way of the next one.
    let tail = store
        .load_sorted([("zz", "after")])
        .unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(tail.keys, 1);
    assert_eq!(contents(&store).len(), before.len() + 1, "{context}");
    store
        .delete(b"zz", atoll::store::Durability::Buffered)
        .unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(contents(&store), before, "{context}, after another load");
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(contents(&store), before, "{context}, after compacting everything");
    no_orphans(disk, context);
    goes_on(disk, store, write_path, context);
}

fn calls(write_path: WritePath) -> u64 {
    let disk = SimDisk::new(1);
    let steps = steps();
    let (store, progress) = run(&disk, write_path, &steps);
    assert_eq!(progress.acknowledged, steps.len());
    assert!(store.expect("opened").stats().tables >= 3);
    disk.calls()
}

#[test]
fn power_cut_at_every_call_of_a_load_leaves_it_whole_or_not_at_all() {
    let steps = steps();
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
                let (store, progress) = run(&disk, write_path, &steps);
                drop(store);
                let disk = disk.power_cut(*policy);
                let context =
                    format!("{write_path:?}, power cut at call {call} of {calls}, {policy:?}, seed {seed}");
                recovers(&disk, write_path, &steps, progress, progress.synced, &context);
                cases += 1;
            }
        }
    }
    println!("{cases} power cuts, every load was whole or absent");
}

#[test]
fn process_that_dies_in_a_load_leaves_it_whole_or_not_at_all() {
    let steps = steps();
    let mut cases = 0;
    for write_path in [WritePath::Map, WritePath::Pwrite] {
        for call in 1..=calls(write_path) + 1 {
            let disk = SimDisk::new(3);
            let fault = Fault {
                kind: FaultKind::Errno(EIO),
                persistent: true,
            };
            disk.fail_at(call, fault);
            let (store, progress) = run(&disk, write_path, &steps);
            drop(store);
            let disk = disk.process_crash();
            let context = format!("{write_path:?}, process died at call {call}");
            recovers(
                &disk,
                write_path,
                &steps,
                progress,
                progress.acknowledged,
                &context,
            );
            cases += 1;
        }
    }
    println!("{cases} deaths, every load was whole or absent");
}

/// A call that fails: either nothing has changed and writers go on, or nothing is written any more and the
/// next opening tells.
#[test]
fn failing_call_of_a_load_changes_no_answer() {
    let steps = steps();
    let all = states(&steps);
    let write_path = WritePath::Map;
    let (mut cases, mut failed_loads, mut poisoned) = (0, 0, 0);
    for call in 1..=calls(write_path) {
        for errno in [EIO, ENOSPC] {
            for persistent in [false, true] {
                let disk = SimDisk::new(2);
                let kind = FaultKind::Errno(errno);
                disk.fail_at(call, Fault { kind, persistent });
                let (store, progress) = run(&disk, write_path, &steps);
                let context = format!("errno {errno} at call {call}, persistent {persistent}");
                if let Some(store) = store {
                    let failed =
                        (progress.attempted > progress.acknowledged).then(|| &steps[progress.acknowledged]);
                    if matches!(failed, Some(Step::Load(_))) {
                        failed_loads += 1;
                        poisoned += u64::from(store.poisoned().is_some());
                        // What it shows until then is the state before, unless it has stopped on the way.
                        if store.poisoned().is_none() {
                            assert_eq!(contents(&store), all[progress.acknowledged], "{context}");
                        }
                    }
                }
                let disk = disk.power_cut(CutPolicy::DropAll);
                recovers(&disk, write_path, &steps, progress, progress.synced, &context);
                cases += 1;
            }
        }
    }
    assert!(
        failed_loads > 100 && poisoned > 0 && poisoned < failed_loads,
        "{failed_loads}, {poisoned}"
    );
    println!("{cases} failing calls, {failed_loads} in loads, {poisoned} of them stopped all writes");
}
