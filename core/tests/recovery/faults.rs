//! Every call fails in turn, once and for good.

use atoll::io::sim::{CutPolicy, Fault, FaultKind, SimDisk};
use atoll::store::{Durability, WritePath};

use crate::workload::{self, goes_on, open, prefix_of, script, states};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[test]
fn failing_call_never_turns_into_a_lost_acknowledgement() {
    let script = script();
    let states = states(&script);
    let write_path = WritePath::Map;
    let undisturbed = SimDisk::new(1);
    workload::run(&undisturbed, write_path, &script, true);
    let calls = undisturbed.calls();
    let mut cases = 0;
    for call in 1..=calls {
        for errno in [EIO, ENOSPC] {
            for persistent in [false, true] {
                let disk = SimDisk::new(2);
                disk.fail_at(
                    call,
                    Fault {
                        kind: FaultKind::Errno(errno),
                        persistent,
                    },
                );
                let progress = workload::run(&disk, write_path, &script, true);
                // The worst case for whoever trusted a failed sync: nothing unsynced survives.
                let disk = disk.power_cut(CutPolicy::DropAll);
                let context = format!("errno {errno} at call {call} of {calls}, persistent {persistent}");
                let store = open(&disk, write_path).unwrap_or_else(|e| panic!("{context}: {e}"));
                prefix_of(&store, &states, progress.synced, progress.attempted, &context);
                goes_on(&disk, store, write_path, &context);
                cases += 1;
            }
        }
    }
    println!("{cases} failing calls, nothing acknowledged was lost");
}

#[test]
fn failed_sync_poisons_until_reopened() {
    let disk = SimDisk::new(4);
    let store = open(&disk, WritePath::Map).expect("opens");
    store.put(b"a", b"1", Durability::Synced).expect("synced");
    // The next mutating calls are the sync of this put.
    disk.fail_at(
        disk.calls() + 1,
        Fault {
            kind: FaultKind::Errno(EIO),
            persistent: false,
        },
    );
    store
        .put(b"b", b"2", Durability::Synced)
        .expect_err("the sync failed");
    assert!(
        store.poisoned().is_some(),
        "the first failed sync stops all writes"
    );
    store.put(b"c", b"3", Durability::Buffered).expect_err("poisoned");
    store.sync().expect_err("a second sync must not pretend");
    assert_eq!(&*store.get(b"a").expect("reads go on").expect("there"), b"1");
    drop(store);
    let disk = disk.power_cut(CutPolicy::DropAll);
    let store = open(&disk, WritePath::Map).expect("opens");
    assert_eq!(
        &*store
            .get(b"a")
            .expect("readable")
            .expect("synced before the failure"),
        b"1"
    );
    assert!(store.get(b"c").expect("readable").is_none());
}

#[test]
fn full_disk_is_an_error_of_its_own_and_reads_go_on() {
    let disk = SimDisk::new(5);
    disk.set_capacity(8 << 20);
    let store = open(&disk, WritePath::Map).expect("opens");
    let value = vec![7u8; 100_000];
    let mut written = 0u32;
    let error = loop {
        match store.put(format!("key-{written}").as_bytes(), &value, Durability::Synced) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 200, "8 MiB cannot hold 20 MB");
    };
    assert!(error.is_disk_full(), "{error}");
    assert!(store.poisoned().is_none(), "nothing was half done");
    for n in 0..written {
        let key = format!("key-{n}");
        assert_eq!(
            &*store.get(key.as_bytes()).expect("readable").expect("there"),
            &value[..],
            "{key}"
        );
    }
    disk.set_capacity(64 << 20);
    store
        .put(b"more", b"room", Durability::Synced)
        .expect("writes go on once there is space");
    store.close().expect("closes");
}
