//! Power is cut after every call, and a process dies after every call.

use atoll::io::sim::{CutPolicy, Fault, FaultKind, SimDisk};
use atoll::store::WritePath;

use crate::workload::{self, goes_on, open, prefix_of, script, states};

/// Number of calls of an undisturbed run.
fn calls_of(write_path: WritePath, script: &[workload::Op]) -> u64 {
    let disk = SimDisk::new(1);
    workload::run(&disk, write_path, script, true);
    disk.calls()
}

fn cut_everywhere(write_path: WritePath, policies: &[(CutPolicy, u64)], script: &[workload::Op]) {
    let states = states(script);
    let calls = calls_of(write_path, script);
    assert!(calls > 30, "the script reaches the disk: {calls} calls");
    let mut cases = 0u64;
    for call in 1..=calls + 1 {
        for (policy, seed) in policies {
            let disk = SimDisk::new(*seed);
            disk.fail_at(
                call,
                Fault {
                    kind: FaultKind::PowerCut,
                    persistent: true,
                },
            );
            let progress = workload::run(&disk, write_path, script, true);
            let disk = disk.power_cut(*policy);
            let context =
                format!("{write_path:?}, power cut at call {call} of {calls}, {policy:?}, seed {seed}");
            let store = open(&disk, write_path).unwrap_or_else(|e| panic!("{context}: {e}"));
            prefix_of(&store, &states, progress.synced, progress.attempted, &context);
            goes_on(&disk, store, write_path, &context);
            cases += 1;
        }
    }
    println!("{write_path:?}: {cases} power cuts over {calls} calls, nothing acknowledged was lost");
}

#[test]
fn power_cut_at_every_call_keeps_synced_writes_and_leaves_a_prefix() {
    let mut policies = vec![
        (CutPolicy::DropAll, 1),
        (CutPolicy::KeepAll, 1),
        (CutPolicy::TearAll, 1),
    ];
    policies.extend((2..6).map(|seed| (CutPolicy::Random, seed)));
    cut_everywhere(WritePath::Map, &policies, &script());
    cut_everywhere(WritePath::Pwrite, &policies, &script());
}

#[test]
fn power_cut_around_background_steps_keeps_synced_writes_and_leaves_a_prefix() {
    let mut policies = vec![(CutPolicy::DropAll, 1), (CutPolicy::KeepAll, 1)];
    policies.extend((2..4).map(|seed| (CutPolicy::Random, seed)));
    cut_everywhere(WritePath::Map, &policies, &workload::script_with_chores());
    cut_everywhere(WritePath::Map, &policies, &workload::script_without_syncs());
}

#[test]
fn power_cut_at_every_call_keeps_transactions_whole() {
    let mut policies = vec![
        (CutPolicy::DropAll, 1),
        (CutPolicy::KeepAll, 1),
        (CutPolicy::TearAll, 1),
    ];
    policies.extend((2..8).map(|seed| (CutPolicy::Random, seed)));
    cut_everywhere(WritePath::Map, &policies, &workload::script_with_transactions());
    cut_everywhere(
        WritePath::Pwrite,
        &policies,
        &workload::script_with_transactions(),
    );
}

#[test]
fn killed_process_loses_no_acknowledged_write() {
    kill_everywhere(&script());
    kill_everywhere(&workload::script_with_transactions());
}

fn kill_everywhere(script: &[workload::Op]) {
    let states = states(script);
    for write_path in [WritePath::Map, WritePath::Pwrite] {
        let calls = calls_of(write_path, script);
        for call in 1..=calls + 1 {
            let disk = SimDisk::new(3);
            // From this call on the process gets nothing done any more; the machine stays up.
            disk.fail_at(
                call,
                Fault {
                    kind: FaultKind::Errno(libc_eio()),
                    persistent: true,
                },
            );
            let progress = workload::run(&disk, write_path, script, true);
            let disk = disk.process_crash();
            let context = format!("{write_path:?}, process died at call {call} of {calls}");
            let store = open(&disk, write_path).unwrap_or_else(|e| panic!("{context}: {e}"));
            prefix_of(
                &store,
                &states,
                progress.acknowledged,
                progress.attempted,
                &context,
            );
            goes_on(&disk, store, write_path, &context);
        }
    }
}

fn libc_eio() -> i32 {
    5
}

/// Recovery meets a second cut, and must be repeatable. Seeds matter: what the first cut left behind and
/// the second one brings back depends on which unsynced names survive.
#[test]
fn power_cut_during_recovery_changes_nothing() {
    let script = script();
    let states = states(&script);
    let write_path = WritePath::Map;
    let cut = Fault {
        kind: FaultKind::PowerCut,
        persistent: true,
    };
    let mut cases = 0;
    for first in (8..37).step_by(2) {
        for second in 1..24 {
            for seed in 0..4 {
                let disk = SimDisk::new(first * 100 + seed);
                disk.set_growth_in_steps(seed % 2 == 1);
                disk.fail_at(first, cut);
                let progress = workload::run(&disk, write_path, &script, true);
                let disk = disk.power_cut(CutPolicy::Random);
                disk.fail_at(disk.calls() + second, cut);
                drop(open(&disk, write_path));
                let disk = disk.power_cut(CutPolicy::Random);
                let context = format!("cuts at call {first} and at call {second} of recovery, seed {seed}");
                let store = open(&disk, write_path).unwrap_or_else(|e| panic!("{context}: {e}"));
                prefix_of(&store, &states, progress.synced, progress.attempted, &context);
                cases += 1;
                if cases % 10 == 0 {
                    goes_on(&disk, store, write_path, &context);
                }
            }
        }
    }
    println!("{cases} double power cuts, nothing acknowledged was lost");
}
