//! Approximate counts against exact ones.

use std::ops::Bound;
use std::time::Duration;

use atoll::io::sim::SimDisk;
use atoll::store::{
    Approximate, CompactionLimits, Durability, Expires, ScanOptions, Store, WriteBatch, WritePath,
};

use crate::{dir, env, options};

const BUFFERED: Durability = Durability::Buffered;

fn opened(disk: &SimDisk) -> Store {
    Store::open_standalone(&env(disk, 1), dir(), &options(1, WritePath::Auto)).unwrap()
}

fn exact(store: &Store, start: &[u8], end: &[u8]) -> (u64, u64) {
    let snapshot = store.snapshot();
    let mut scan = snapshot
        .scan_with(
            Bound::Included(start),
            Bound::Excluded(end),
            ScanOptions::default(),
        )
        .unwrap();
    let (mut records, mut bytes) = (0, 0);
    while let Some(entry) = scan.next_entry().unwrap() {
        records += 1;
        bytes += (entry.key.len() + entry.value.unwrap().len()) as u64;
    }
    (records, bytes)
}

fn approximate(store: &Store, start: &[u8], end: &[u8], effort_bytes: u64) -> Approximate {
    let (start, end) = (Bound::Included(start), Bound::Excluded(end));
    store
        .approximate_where(start, end, &|_, _| true, effort_bytes)
        .unwrap()
}

/// 20,000 keys of different sizes, some overwritten, deleted, expired; `compact` of them in tables.
fn filled(disk: &SimDisk, in_tables: bool, in_log: bool) -> Store {
    let store = opened(disk);
    let mut random = 0x1234_5678_9ABC_DEF1u64;
    let mut fill = |from: u32, to: u32| {
        for _ in from..to {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let key = (random as u32 % 20_000).to_be_bytes();
            let value = vec![7u8; (random >> 40) as usize % 300];
            match random >> 60 {
                0 => store.delete(&key, BUFFERED).map(drop).unwrap(),
                1 => store
                    .put_expiring(&key, &value, Expires::AtMs(1), BUFFERED)
                    .map(drop)
                    .unwrap(),
                2 => {
                    let mut batch = WriteBatch::new();
                    batch.put(key, value.clone());
                    batch.put_expiring(
                        [&key[..], b"+"].concat(),
                        value,
                        Expires::After(Duration::from_secs(60)),
                    );
                    store.write(&batch, BUFFERED).map(drop).unwrap();
                }
                _ => store.put(&key, &value, BUFFERED).map(drop).unwrap(),
            }
        }
    };
    if in_tables {
        fill(0, 25_000);
        store.compact(&CompactionLimits::default(), &mut |_| {}).unwrap();
        fill(0, 8_000);
        store.seal_segment().unwrap();
        store.compact_step(&CompactionLimits::default()).unwrap();
    }
    if in_log {
        fill(0, 20_000);
    }
    store
}

#[test]
fn what_fits_the_effort_is_counted_exactly() {
    for (in_tables, in_log) in [(true, false), (false, true), (true, true)] {
        let disk = SimDisk::new(1);
        let store = filled(&disk, in_tables, in_log);
        for (from, to) in [
            (0u32, u32::MAX),
            (500, 501),
            (0, 20),
            (7000, 12_000),
            (30_000, 40_000),
            (5, 5),
            (9, 2),
        ] {
            let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
            let found = approximate(&store, &from, &to, u64::MAX / 2);
            assert_eq!(
                (found.records, found.bytes),
                exact(&store, &from, &to),
                "{from:?} to {to:?}"
            );
            assert_eq!((found.records_error, found.bytes_error), (0, 0));
        }
        let whole = store.approximate(Bound::Unbounded, Bound::Unbounded).unwrap();
        let (records, _) = exact(&store, &[], &[0xFF; 8]);
        assert!(
            whole.records.abs_diff(records) <= 2 * whole.records_error,
            "{whole:?}, {records}"
        );
        assert!(whole.records_error * 50 < records, "within 2 %: {whole:?}");
    }
    let disk = SimDisk::new(2);
    let store = opened(&disk);
    assert_eq!(
        store.approximate(Bound::Unbounded, Bound::Unbounded).unwrap(),
        Approximate::default()
    );
}

#[test]
fn error_that_is_told_holds_nearly_always_and_shrinks_with_effort() {
    for (in_tables, in_log) in [(true, false), (false, true), (true, true)] {
        let disk = SimDisk::new(1);
        let store = filled(&disk, in_tables, in_log);
        let mut errors = Vec::new();
        for effort_kib in [64u64, 512] {
            let (mut cases, mut held, mut relative) = (0, 0, 0.0);
            for i in 0..60u32 {
                let width = 2000 + i * 97 % 9000;
                let start = i * 331 % (20_000 - width);
                let (from, to) = (start.to_be_bytes(), (start + width).to_be_bytes());
                let found = approximate(&store, &from, &to, effort_kib << 10);
                let (records, bytes) = exact(&store, &from, &to);
                for (found, error, exact) in [
                    (found.records, found.records_error, records),
                    (found.bytes, found.bytes_error, bytes),
                ] {
                    cases += 1;
                    held += u32::from(found.abs_diff(exact) <= error);
                    relative += found.abs_diff(exact) as f64 / exact as f64;
                }
            }
            let mean = relative / f64::from(cases);
            println!(
                "tables {in_tables}, log {in_log}, {effort_kib} KiB looked at: off by {:.2} % on average, within the error told in {held} of {cases}",
                mean * 100.0
            );
            assert!(held * 100 >= cases * 90, "{held} of {cases}");
            errors.push(mean);
        }
        assert!(errors[0] < 0.15 && errors[1] < 0.05, "{errors:?}");
    }
}

#[test]
fn keys_of_one_kind_are_found_among_the_others() {
    let disk = SimDisk::new(1);
    let store = filled(&disk, true, true);
    let wanted = |key: &[u8]| key[3] % 16 == 3;
    let all = (Bound::Unbounded, Bound::Unbounded);
    let snapshot = store.snapshot();
    let scan = snapshot.scan(all.0, all.1).unwrap();
    let expected = scan
        .map(Result::unwrap)
        .filter(|entry| wanted(&entry.key))
        .count() as u64;
    let counted = store
        .approximate_where(all.0, all.1, &|key, _| wanted(key), u64::MAX / 2)
        .unwrap();
    assert_eq!((counted.records, counted.records_error), (expected, 0));
    let sampled = store
        .approximate_where(all.0, all.1, &|key, _| wanted(key), 256 << 10)
        .unwrap();
    assert!(sampled.records_error > 0);
    assert!(
        sampled.records.abs_diff(expected) <= 2 * sampled.records_error,
        "{sampled:?}, {expected}"
    );
}

#[test]
fn large_values_and_large_batches_do_not_mislead_the_windows() {
    let disk = SimDisk::new(1);
    let store = opened(&disk);
    let mut batch = WriteBatch::new();
    for n in 0..3000u32 {
        batch.put(n.to_be_bytes(), vec![1; 100]);
    }
    store.write(&batch, BUFFERED).unwrap();
    for n in 3000..3020u32 {
        store.put(&n.to_be_bytes(), &vec![2; 200_000], BUFFERED).unwrap();
    }
    let found = approximate(&store, &[], &[0xFF], 512 << 10);
    let (records, bytes) = exact(&store, &[], &[0xFF]);
    assert!(
        found.records.abs_diff(records) <= 2 * found.records_error,
        "{found:?}, {records}"
    );
    assert!(
        found.bytes.abs_diff(bytes) <= 2 * found.bytes_error,
        "{found:?}, {bytes}"
    );
}
