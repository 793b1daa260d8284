//! Several writers and readers at once, on the real file system.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use atoll::ids::Lsn;
use atoll::io::Env;
use atoll::store::{CompactionLimits, Durability, Store, WriteBatch, WritePath};

use crate::options;

fn open(dir: &std::path::Path) -> Store {
    Store::open_standalone(&Env::os(), dir, &options(1, WritePath::Auto)).expect("opens")
}

#[test]
fn versions_of_one_key_form_one_chain_under_many_writers() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (threads, writes) = (4u64, 3000u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let store = &store;
            scope.spawn(move || {
                for n in 0..writes {
                    let key = format!("hot-{}", n % 3);
                    store
                        .put(
                            key.as_bytes(),
                            format!("{thread}/{n}").as_bytes(),
                            Durability::Buffered,
                        )
                        .expect("put");
                }
            });
        }
    });
    // Walk each chain back: every version must be on it.
    let mut versions = 0;
    for hot in 0..3 {
        let key = format!("hot-{hot}");
        let mut at = store.tail();
        while let Some(version) = store.get_version(key.as_bytes(), at).expect("readable") {
            versions += 1;
            at = version.lsn;
        }
    }
    assert_eq!(versions, threads * writes);
    assert!(store.verify(&mut |_, _| {}).expect("verifies").damage.is_empty());
}

#[test]
fn snapshot_sees_batches_whole_and_does_not_change() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let stop = AtomicBool::new(false);
    let checks = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for writer in 0..2u32 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                // Every batch gives all its keys the same value.
                for n in 0..2500u32 {
                    let mut batch = WriteBatch::new();
                    for part in 0..5 {
                        batch.put(format!("w{writer}-{part}"), n.to_le_bytes());
                    }
                    store.write(&batch, Durability::Buffered).expect("written");
                }
                stop.store(true, Ordering::SeqCst);
            });
        }
        let (store, stop, checks) = (&store, &stop, &checks);
        scope.spawn(move || {
            loop {
                let last = stop.load(Ordering::SeqCst);
                let snapshot = store.snapshot();
                let read = || -> BTreeMap<Vec<u8>, Vec<u8>> {
                    let scan = snapshot.scan(Bound::Unbounded, Bound::Unbounded).expect("opens");
                    scan.map(|e| e.expect("readable"))
                        .map(|e| (e.key.to_vec(), e.value.expect("live").to_vec()))
                        .collect()
                };
                let first = read();
                for writer in 0..2 {
                    let prefix = format!("w{writer}-").into_bytes();
                    let values: Vec<&Vec<u8>> = first
                        .iter()
                        .filter(|(k, _)| k.starts_with(&prefix))
                        .map(|(_, v)| v)
                        .collect();
                    assert!(values.is_empty() || values.len() == 5, "a batch is whole");
                    assert!(
                        values.windows(2).all(|pair| pair[0] == pair[1]),
                        "a batch is whole"
                    );
                }
                for (key, value) in &first {
                    let point = snapshot.get(key).expect("readable").expect("in the snapshot");
                    assert_eq!(&*point, value.as_slice());
                }
                assert_eq!(first, read(), "a snapshot repeats itself");
                checks.fetch_add(1, Ordering::Relaxed);
                if last {
                    break;
                }
            }
        });
    });
    assert!(checks.load(Ordering::Relaxed) > 1);
}

#[test]
fn synced_writers_share_rounds_and_all_become_durable() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..8u32 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..40u32 {
                    let written = store
                        .put(format!("{thread}-{n}").as_bytes(), b"v", Durability::Synced)
                        .expect("synced");
                    assert!(store.durable() >= written.end);
                }
            });
        }
    });
    store.close().expect("closes");
    let store = open(dir.path());
    assert_eq!(
        store
            .snapshot()
            .scan(Bound::Unbounded, Bound::Unbounded)
            .expect("opens")
            .count(),
        320
    );
}

#[test]
fn second_opening_is_refused_with_the_holder() {
    let dir = tempfile::tempdir().expect("a directory");
    let _store = open(dir.path());
    let error =
        Store::open_standalone(&Env::os(), dir.path(), &options(1, WritePath::Auto)).expect_err("locked");
    let (_, pid, host) = error.locked_by().expect("a lock");
    assert_eq!(pid, std::process::id());
    assert!(!host.is_empty());
}

#[test]
fn pinned_value_outlives_the_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    store.put(b"k", b"pinned", Durability::Buffered).expect("put");
    let value = store.get(b"k").expect("readable").expect("there");
    store.put(b"k", b"newer", Durability::Buffered).expect("put");
    store.close().expect("closes");
    assert_eq!(&*value, b"pinned");
}

#[test]
fn sizes_at_the_edges_are_taken_and_beyond_them_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let ten_megabytes = vec![42u8; 10 << 20];
    let long_key = vec![b'k'; 65_535];
    store
        .put(b"", b"", Durability::Synced)
        .expect("empty key and value");
    store
        .put(b"large", &ten_megabytes, Durability::Synced)
        .expect("larger than a segment");
    store
        .put(&long_key, b"x", Durability::Synced)
        .expect("longest key");
    store
        .put(&vec![b'k'; 65_536], b"x", Durability::Buffered)
        .expect_err("key too long");
    store
        .put(b"k", &vec![0u8; (64 << 20) + 1], Durability::Buffered)
        .expect_err("value too long");
    store.close().expect("closes");
    let store = open(dir.path());
    assert_eq!(&*store.get(b"").expect("readable").expect("there"), b"");
    assert_eq!(
        &*store.get(b"large").expect("readable").expect("there"),
        &ten_megabytes[..]
    );
    assert_eq!(&*store.get(&long_key).expect("readable").expect("there"), b"x");
}

/// Found by restoring backups that were taken beside writers: a sync and a compaction took their steps of
/// the hash chain at the same time, from the same step before, and `verify` called the second one damage.
#[test]
fn steps_of_the_hash_chain_follow_each_other_when_syncs_and_compactions_meet() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let stop = AtomicBool::new(false);
    let limits = CompactionLimits {
        keep_log_from: Lsn::ZERO,
        ..CompactionLimits::default()
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    store.put(b"k", &[7; 30_000], Durability::Synced).expect("synced");
                }
            });
        }
        for _ in 0..20 {
            if store.compact(&limits, &mut |_| {}).is_err() {
                break;
            }
        }
        stop.store(true, Ordering::Release);
    });
    let report = store.verify(&mut |_, _| {}).expect("verified");
    assert_eq!(report.damage, []);
    assert!(report.chain_steps > 20, "{} steps", report.chain_steps);
}
