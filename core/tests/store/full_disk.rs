//! A simulated disk without room. A real one: `tests/small_file_system.rs`.

use atoll::ids::{ShardId, Uuid};
use atoll::io::sim::SimDisk;
use atoll::io::{Disk, Env};
use atoll::store::{CompactionLimits, Durability, Store, StoreError, StoreIdentity, StoreOptions, WritePath};

fn options(write_path: WritePath, min_free_bytes: u64) -> StoreOptions {
    StoreOptions {
        write_path,
        min_free_bytes,
        segment_max_bytes: 4 << 20,
        ..StoreOptions::new(StoreIdentity {
            cluster: Uuid::NIL,
            shard: ShardId(0),
            node: 1,
        })
    }
}

/// Writes until the disk is full; returns how many writes there were.
fn fill(store: &Store, from: u32, durability: Durability) -> (u32, StoreError) {
    for n in from.. {
        let value = vec![n as u8; 50_000];
        if let Err(error) = store.put(&n.to_be_bytes(), &value, durability) {
            return (n, error);
        }
    }
    unreachable!("every disk is full some day");
}

fn assert_has(store: &Store, keys: u32) {
    for n in 0..keys {
        let value = store.get(&n.to_be_bytes()).expect("readable").expect("there");
        assert!(
            value.len() == 50_000 && value.iter().all(|byte| *byte == n as u8),
            "{n}"
        );
    }
}

fn sim_env(disk: &SimDisk) -> Env {
    super::env(disk, 1)
}

#[test]
fn writes_stop_before_the_disk_is_full_and_go_on_by_themselves() {
    for write_path in [WritePath::Map, WritePath::Pwrite] {
        let disk = SimDisk::new(1);
        disk.set_capacity(64 << 20);
        let options = options(write_path, 3 << 20);
        let store = Store::open_standalone(&sim_env(&disk), super::dir(), &options).unwrap();
        let (written, error) = fill(&store, 0, Durability::Buffered);
        assert!(error.is_disk_full(), "{error}");
        let free = disk.free_bytes(super::dir()).unwrap();
        assert!((3 << 20..5 << 20).contains(&free), "{free} bytes left");
        assert!(store.poisoned().is_none());
        assert_has(&store, written);
        store.sync().expect("what was written becomes durable");
        // Asked again and again it costs nothing and changes nothing.
        let calls = disk.calls();
        for _ in 0..100 {
            assert!(
                store
                    .put(b"x", &[0; 50_000], Durability::Buffered)
                    .unwrap_err()
                    .is_disk_full()
            );
        }
        assert_eq!(disk.calls(), calls, "no call is made in vain");
        // What compaction needs is not there either, and it says so.
        match store.compact(&CompactionLimits::default(), &mut |_| {}) {
            Ok(_) => {}
            Err(error) => assert!(error.is_disk_full(), "{error}"),
        }
        assert!(store.poisoned().is_none() && store.compaction_health().halted.is_none());
        assert_has(&store, written);

        disk.set_capacity(96 << 20);
        store
            .put(b"more", b"room", Durability::Synced)
            .expect("space has returned");
        let (more, _) = fill(&store, written, Durability::Synced);
        assert!(more > written + 400, "{more} after {written}");
        assert_has(&store, more);
        store.close().expect("there is room to close");
    }
}

#[test]
fn a_store_that_crashed_on_a_full_disk_opens_leads_and_is_read() {
    let disk = SimDisk::new(2);
    disk.set_capacity(32 << 20);
    let options = options(WritePath::Map, 16 << 20);
    let store = Store::open_standalone(&sim_env(&disk), super::dir(), &options).unwrap();
    let (written, _) = fill(&store, 0, Durability::Buffered);
    drop(store);
    let disk = disk.process_crash();
    let store = Store::open_standalone(&sim_env(&disk), super::dir(), &options).expect("room to lead");
    assert!(store.is_primary());
    assert_has(&store, written);
    store
        .put(b"small", b"fits into the reserve", Durability::Synced)
        .expect("the new segment has room");
    store.close().unwrap();
}
