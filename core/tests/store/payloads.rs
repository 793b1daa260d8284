//! When values are compared with their checksums: at every read, or at the first.

use std::ops::Bound;

use atoll::io::Disk;
use atoll::io::sim::SimDisk;
use atoll::store::{Durability, Store, StoreOptions, VerifyPayload, WriteBatch, WritePath};

fn open(disk: &SimDisk, verify_payload: VerifyPayload) -> Store {
    let options = StoreOptions {
        verify_payload,
        ..super::options(1, WritePath::Map)
    };
    Store::open_standalone(&super::env(disk, 1), super::dir(), &options).expect("opened")
}

/// Flips a bit in the first `needle` of the log.
fn flip_value(disk: &SimDisk, needle: &[u8]) {
    let dir = super::dir().join("log");
    for entry in disk.list(&dir).expect("listed") {
        let path = dir.join(&entry.name);
        let bytes = disk.read_whole(&path).expect("read");
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            disk.flip(&path, at as u64 + 3, 1);
            return;
        }
    }
    panic!("{needle:?} is not in the log");
}

fn is_damaged(store: &Store, key: &[u8]) -> bool {
    match store.get(key) {
        Ok(value) => {
            assert!(value.is_some(), "damage must not look like a missing key");
            false
        }
        Err(error) => error.damage().is_some(),
    }
}

fn scan_fails(store: &Store) -> bool {
    let snapshot = store.snapshot();
    let scan = snapshot.scan(Bound::Unbounded, Bound::Unbounded).expect("scan");
    scan.filter(|entry| entry.is_err()).count() > 0
}

#[test]
fn first_touch_compares_once_and_always_compares_each_time() {
    for mode in [VerifyPayload::Always, VerifyPayload::FirstTouch] {
        let disk = SimDisk::new(1);
        let store = open(&disk, mode);
        store
            .put(b"read", b"value that is read", Durability::Buffered)
            .unwrap();
        store
            .put(b"unread", b"value nobody has read", Durability::Buffered)
            .unwrap();
        let mut batch = WriteBatch::new();
        batch.put(*b"member-1", *b"first of a batch");
        batch.put(*b"member-2", *b"second of a batch");
        store.write(&batch, Durability::Buffered).unwrap();
        // The shortest records there are stand next to each other: none answers for its neighbour.
        for key in [b"", &b"a"[..], b"b", b"c"] {
            store.put(key, b"", Durability::Buffered).unwrap();
        }
        for key in [&b"read"[..], b"member-1", b"", b"a"] {
            assert!(!is_damaged(&store, key));
        }
        let noticed = mode == VerifyPayload::Always;
        for (value, key, was_read) in [
            (&b"value that is read"[..], &b"read"[..], true),
            (b"value nobody has read", b"unread", false),
            (b"first of a batch", b"member-1", true),
            (b"second of a batch", b"member-2", false),
        ] {
            flip_value(&disk, value);
            assert_eq!(is_damaged(&store, key), noticed || !was_read, "{mode:?} {key:?}");
            assert_eq!(
                is_damaged(&store, key),
                noticed || !was_read,
                "the same the second time"
            );
        }
        assert!(scan_fails(&store));
        assert!(
            !store.verify(&mut |_, _| {}).unwrap().damage.is_empty(),
            "{mode:?}"
        );
    }
}

#[test]
fn what_was_compared_in_one_life_is_compared_again_in_the_next() {
    let disk = SimDisk::new(2);
    let store = open(&disk, VerifyPayload::FirstTouch);
    store.put(b"k", b"some value", Durability::Synced).unwrap();
    assert!(!is_damaged(&store, b"k"));
    flip_value(&disk, b"some value");
    assert!(!is_damaged(&store, b"k"), "documented: not noticed");
    store.close().unwrap();
    let store = open(&disk, VerifyPayload::FirstTouch);
    assert!(is_damaged(&store, b"k"));
}
