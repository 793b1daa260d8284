//! The index against a map, under threads, across clean and unclean ends, and with damaged files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::page::Target;
use super::*;
use crate::io::os::OsDisk;
use crate::io::sim::{CutPolicy, Fault, FaultKind, SimDisk};
use crate::io::{Disk, OpenMode};

const STAMP: Stamp = [7; 32];

fn sim() -> (Arc<SimDisk>, PathBuf) {
    (Arc::new(SimDisk::new(1)), PathBuf::from("/store/index"))
}

fn new_index(disk: &Arc<SimDisk>, dir: &Path) -> Index {
    Index::create(disk.clone(), dir, 99).unwrap()
}

/// Key `n` of a test lives at a location made of `n`, so that a matcher needs no log.
fn location(n: u64) -> Location {
    Location::new((n >> 25) as u16, (n & 0x1FF_FFFF) as u32 + 512).unwrap()
}

fn is(wanted: Location) -> impl FnMut(Location) -> Result<bool, IndexError> {
    move |found| Ok(found == wanted)
}

/// A good mixer (the finaliser of SplitMix64).
fn hash(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn fill(index: &Index, keys: std::ops::Range<u64>) {
    for n in keys {
        index.insert(hash(n), location(n)).unwrap();
    }
}

fn assert_holds(index: &Index, keys: std::ops::Range<u64>) {
    for n in keys {
        let found = index.get(hash(n), is(location(n))).unwrap();
        assert_eq!(found, Some(location(n)), "key {n}");
    }
}

/// Random operations on keys whose hashes `hash` makes, compared with a map after each.
fn check_against_map(hash: impl Fn(u64) -> u64, keys: u64, operations: u64, seed: u64) {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    // Key k in its version v lies at k * 64 + v % 64: a location tells its key.
    let at = |key: u64, version: u64| location(key * 64 + version % 64);
    let of = |key: u64| move |found: Location| Ok::<_, IndexError>(key_of(found) == key);
    fn key_of(found: Location) -> u64 {
        ((u64::from(found.file_slot()) << 25) + u64::from(found.offset()) - 512) / 64
    }
    let mut model: HashMap<u64, Location> = HashMap::new();
    for step in 0..operations {
        let random = super::tests::hash(seed ^ (step << 20));
        let key = random % keys;
        let was = match (random >> 32) % 10 {
            0..=5 => {
                let was = index.set(hash(key), at(key, step), of(key)).unwrap();
                assert_eq!(
                    was,
                    model.insert(key, at(key, step)),
                    "set of {key} at step {step}"
                );
                continue;
            }
            6..=7 => {
                let was = index.remove(hash(key), of(key)).unwrap();
                assert_eq!(was, model.remove(&key), "removal of {key} at step {step}");
                continue;
            }
            _ => index.get(hash(key), of(key)).unwrap(),
        };
        assert_eq!(was, model.get(&key).copied(), "look-up of {key} at step {step}");
    }
    assert_eq!(index.len(), model.len() as u64);
    for key in 0..keys {
        assert_eq!(
            index.get(hash(key), of(key)).unwrap(),
            model.get(&key).copied(),
            "key {key} at the end"
        );
    }
    let mut visited = Vec::new();
    index
        .for_each(|location| {
            visited.push(location);
            Ok::<_, IndexError>(())
        })
        .unwrap();
    let mut expected: Vec<Location> = model.into_values().collect();
    visited.sort_unstable();
    expected.sort_unstable();
    assert_eq!(visited, expected);
}

#[test]
fn index_agrees_with_a_map_while_keys_come_and_go() {
    check_against_map(hash, 3_000, 200_000, 1);
    check_against_map(hash, 40_000, 200_000, 2);
}

#[test]
fn keys_with_one_tag_are_told_apart_by_the_matcher() {
    // One position for all: they differ in their home buckets alone.
    check_against_map(
        |key| 0xABCD_EF01_0000_0000 | (hash(key) & 0xFFFF_FFFF),
        300,
        60_000,
        3,
    );
    // Sixteen to a hash.
    check_against_map(|key| hash(key / 16), 2_000, 60_000, 4);
}

#[test]
fn crowded_buckets_overflow_into_their_neighbours_and_back() {
    // All homes are the last three buckets, so that overflow wraps around the end of the page.
    let last_buckets = |key: u64| (hash(key) & !0xFFFF_FFFF) | (0xF400_0000 + (hash(!key) & 0x0BFF_FFFF));
    check_against_map(last_buckets, 1_200, 60_000, 5);
}

#[test]
fn hashes_that_cannot_be_told_apart_end_in_full_and_nothing_is_lost() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    let one_prefix = |n: u64| 0x5555_5555_0000_0000 | (hash(n) & 0xFFFF_FFFF);
    let mut taken = 0;
    let error = loop {
        match index.insert(one_prefix(taken), location(taken)) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, IndexError::Full { depth: 22 }), "{error}");
    assert!((400..=504).contains(&taken), "a page took {taken} keys");
    assert_eq!(index.len(), taken);
    for n in 0..taken {
        assert_eq!(
            index.get(one_prefix(n), is(location(n))).unwrap(),
            Some(location(n))
        );
    }
    // Others are not affected, and a removal makes room again.
    fill(&index, 1_000_000..1_002_000);
    assert_holds(&index, 1_000_000..1_002_000);
    assert!(index.remove_at(one_prefix(3), location(3)).unwrap());
    index.insert(one_prefix(3), location(3)).unwrap();
}

#[test]
fn pages_stay_well_filled_at_every_size() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    let mut worst = (0.0f64, 0);
    for n in 0..250_000u64 {
        index.insert(hash(n), location(n)).unwrap();
        if n >= 30_000 && n % 10_000 == 0 {
            let bytes_per_key = f64::from(index.chunks.used()) * 4096.0 / n as f64;
            if bytes_per_key > worst.0 {
                worst = (bytes_per_key, n);
            }
        }
    }
    assert!(worst.0 < 14.0, "{:.2} bytes a key at {} keys", worst.0, worst.1);
}

#[test]
fn a_miss_reads_hardly_more_than_one_bucket_at_every_size() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    for n in 0..120_000u64 {
        index.insert(hash(n), location(n)).unwrap();
        if n >= 20_000 && n % 20_000 == 0 {
            let misses = 20_000;
            let read: usize = (1 << 40..(1 << 40) + misses)
                .map(|absent| {
                    let target = Target::of(hash(absent));
                    index.page_of(target).unwrap().buckets_of_a_miss(target)
                })
                .sum();
            let mean = read as f64 / misses as f64;
            assert!(mean < 1.45, "{mean:.2} buckets a miss at {n} keys");
        }
    }
}

#[test]
fn positions_are_ordered_like_hashes_and_reach_both_ends() {
    let position = |high: u64| Target::of(high << 32).position;
    assert_eq!(position(0), 0);
    assert_eq!(position(0xFFFF_FFFF), (1 << 22) - 1);
    let mut last = 0;
    for high in (0..=0xFFFF_FFFFu64).step_by(65_537) {
        assert!(position(high) >= last);
        last = position(high);
    }
}

#[test]
fn locations_outside_26_bits_and_the_header_are_refused() {
    assert_eq!(Location::new(0, 0), None);
    assert_eq!(Location::new(0, 1 << 26), None);
    let far = Location::new(u16::MAX, (1 << 26) - 1).unwrap();
    assert_eq!(Location::from_bits(far.to_bits()), Some(far));
    assert_eq!(far.offset_bytes(), (512 << 20) - 8);
}

#[test]
fn readers_never_miss_a_key_that_was_inserted_before() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    let published = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let lookups = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for reader in 0..3u64 {
            let (index, published, done, lookups) = (&index, &published, &done, &lookups);
            scope.spawn(move || {
                let mut random = reader;
                let mut count = 0;
                while !done.load(Ordering::Acquire) {
                    let below = published.load(Ordering::Acquire);
                    for _ in 0..64 {
                        random = hash(random);
                        let n = if below == 0 { continue } else { random % below };
                        let found = index.get(hash(n), is(location(n))).unwrap();
                        assert_eq!(found, Some(location(n)), "key {n} of {below}");
                        // A key that never was is never found.
                        let absent = (1 << 30) + n;
                        assert_eq!(index.get(hash(absent), is(location(absent))).unwrap(), None);
                        count += 1;
                    }
                }
                lookups.fetch_add(count, Ordering::Relaxed);
            });
        }
        for n in 0..200_000 {
            index.insert(hash(n), location(n)).unwrap();
            published.store(n + 1, Ordering::Release);
        }
        done.store(true, Ordering::Release);
    });
    assert_holds(&index, 0..200_000);
    assert!(lookups.into_inner() > 0);
}

#[test]
fn writers_of_different_keys_do_not_disturb_each_other() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    const EACH: u64 = 40_000;
    std::thread::scope(|scope| {
        for writer in 0..4u64 {
            let index = &index;
            scope.spawn(move || {
                let first = writer * EACH;
                for n in first..first + EACH {
                    index.insert(hash(n), location(n)).unwrap();
                    if n % 3 == 0 {
                        // Away and back, or away for good.
                        assert!(index.remove_at(hash(n), location(n)).unwrap());
                    }
                    if n % 6 == 0 {
                        index.insert(hash(n), location(n)).unwrap();
                        assert!(
                            index
                                .replace(hash(n), location(n), location(n + (1 << 24)))
                                .unwrap()
                        );
                    }
                }
            });
        }
    });
    let mut expected = 0;
    for n in 0..4 * EACH {
        let wanted = match n % 6 {
            0 => Some(location(n + (1 << 24))),
            3 => None,
            _ => Some(location(n)),
        };
        expected += u64::from(wanted.is_some());
        let accept = wanted.unwrap_or(location(n));
        assert_eq!(index.get(hash(n), is(accept)).unwrap(), wanted, "key {n}");
    }
    assert_eq!(index.len(), expected);
}

#[test]
fn an_index_that_was_closed_cleanly_opens_as_it_was() {
    let temporary = tempfile::tempdir().unwrap();
    let on_os: Arc<dyn Disk> = Arc::new(OsDisk::new());
    let (simulated, _) = sim();
    let disks: [(Arc<dyn Disk>, PathBuf); 2] = [
        (on_os, temporary.path().join("index")),
        (simulated, "/store/index".into()),
    ];
    for (disk, dir) in disks {
        let index = Index::create(disk.clone(), &dir, 99).unwrap();
        fill(&index, 0..20_000);
        index.close_clean(&STAMP).unwrap();
        drop(index);

        let index = Index::open_clean(disk.clone(), &dir, &STAMP).unwrap();
        assert_eq!((index.len(), index.seed()), (20_000, 99));
        assert_holds(&index, 0..20_000);
        fill(&index, 20_000..30_000);
        let other: Stamp = [8; 32];
        index.close_clean(&other).unwrap();
        drop(index);

        let refused = Index::open_clean(disk.clone(), &dir, &STAMP);
        assert!(matches!(refused, Err(Distrust::OtherStamp)));
        let index = Index::open_clean(disk.clone(), &dir, &other).unwrap();
        assert_holds(&index, 0..30_000);
        // A new stamp for the same state needs no change in between.
        index.close_clean(&STAMP).unwrap();
        drop(index);
        assert_holds(&Index::open_clean(disk, &dir, &STAMP).unwrap(), 0..30_000);
    }
}

#[test]
fn one_change_after_opening_makes_the_index_untrusted_until_closed_again() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    fill(&index, 0..1_000);
    index.close_clean(&STAMP).unwrap();
    drop(index);

    // Reading is not a change.
    let index = Index::open_clean(disk.clone(), &dir, &STAMP).unwrap();
    assert_holds(&index, 0..1_000);
    let disk = Arc::new(disk.power_cut(CutPolicy::DropAll));
    let index = Index::open_clean(disk.clone(), &dir, &STAMP).unwrap();
    assert!(index.replace(hash(1), location(1), location(5_000)).unwrap());
    for policy in [CutPolicy::DropAll, CutPolicy::KeepAll, CutPolicy::TearAll] {
        let disk = Arc::new(disk.power_cut(policy));
        let refused = Index::open_clean(disk, &dir, &STAMP);
        assert!(
            matches!(refused, Err(Distrust::NotClosed)),
            "{policy:?}: {refused:?}"
        );
    }
    let disk = Arc::new(disk.process_crash());
    assert!(matches!(
        Index::open_clean(disk, &dir, &STAMP),
        Err(Distrust::NotClosed)
    ));
}

#[test]
fn a_power_cut_after_a_clean_close_changes_nothing() {
    for policy in [CutPolicy::DropAll, CutPolicy::TearAll, CutPolicy::Random] {
        let (disk, dir) = sim();
        let index = new_index(&disk, &dir);
        fill(&index, 0..20_000);
        index.close_clean(&STAMP).unwrap();
        let disk = Arc::new(disk.power_cut(policy));
        assert_holds(&Index::open_clean(disk, &dir, &STAMP).unwrap(), 0..20_000);
    }
}

#[test]
fn a_power_cut_at_any_call_leaves_the_old_state_the_new_one_or_none() {
    let (first, second): (Stamp, Stamp) = ([1; 32], [2; 32]);
    let mut trusted = [0, 0];
    for call in 1.. {
        let (disk, dir) = sim();
        let index = new_index(&disk, &dir);
        fill(&index, 0..8_000);
        index.close_clean(&first).unwrap();
        let start = disk.calls();
        disk.fail_at(
            start + call,
            Fault {
                kind: FaultKind::PowerCut,
                persistent: false,
            },
        );
        let outcome = (8_000..16_000)
            .try_for_each(|n| index.insert(hash(n), location(n)))
            .and_then(|()| index.close_clean(&second));
        let calls = disk.calls() - start;
        drop(index);
        let disk = Arc::new(disk.power_cut(CutPolicy::Random));
        if let Ok(index) = Index::open_clean(disk.clone(), &dir, &first) {
            trusted[0] += 1;
            assert_eq!(index.len(), 8_000);
            assert_holds(&index, 0..8_000);
        } else if let Ok(index) = Index::open_clean(disk, &dir, &second) {
            trusted[1] += 1;
            assert_eq!(index.len(), 16_000);
            assert_holds(&index, 0..16_000);
        }
        if outcome.is_ok() && calls < call {
            break;
        }
        assert!(call < 1_000, "the scenario ends");
    }
    assert!(
        trusted.iter().all(|count| *count > 0),
        "both states were met: {trusted:?}"
    );
}

#[test]
fn every_damaged_region_is_noticed() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    fill(&index, 0..20_000);
    let pages = index.chunks.used() as usize;
    index.close_clean(&STAMP).unwrap();
    drop(index);
    let catalogue = catalogue_path(&dir);
    let open = || Index::open_clean(disk.clone(), &dir, &STAMP);
    assert!(open().is_ok());

    let length = disk.read_whole(&catalogue).unwrap().len() as u64;
    for offset in (0..128).chain((128..length).step_by(7)) {
        disk.flip(&catalogue, offset, 0x10);
        let refused = open();
        let as_expected = match offset {
            0..8 => matches!(refused, Err(Distrust::NotACatalogue { .. })),
            _ => matches!(refused, Err(Distrust::Catalogue { .. })),
        };
        assert!(as_expected, "offset {offset}: {refused:?}");
        disk.flip(&catalogue, offset, 0x10);
    }
    for page in (0..pages).step_by(3) {
        for within in [0, 8, 16, 24, 32, 40, 64, 1_000, 4_095] {
            let (path, start) = {
                let index = open().unwrap();
                index.chunks.locate(page as u32)
            };
            disk.flip(&path, start + within, 1);
            match open() {
                Err(Distrust::Page {
                    path: found, offset, ..
                }) => {
                    assert_eq!((found, offset), (path.clone(), start));
                }
                other => panic!("page {page}, byte {within}: {other:?}"),
            }
            disk.flip(&path, start + within, 1);
        }
    }
    assert!(open().is_ok());
    disk.shorten(&dir.join("index.1"), 4_096);
    assert!(matches!(open(), Err(Distrust::ChunkLength { found: 4_096, .. })));
    disk.remove_file(&dir.join("index.1")).unwrap();
    assert!(matches!(open(), Err(Distrust::Io { .. })));
}

#[test]
fn a_catalogue_cut_short_anywhere_is_refused() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    fill(&index, 0..9_000);
    index.close_clean(&STAMP).unwrap();
    let path = catalogue_path(&dir);
    let bytes = disk.read_whole(&path).unwrap();
    for length in 0..bytes.len() {
        assert!(
            Catalogue::decode(&path, &bytes[..length]).is_err(),
            "{length} bytes"
        );
    }
    assert!(Catalogue::decode(&path, &bytes).is_ok());
}

#[test]
fn a_large_index_notices_damage_at_the_first_use_of_the_page() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    const KEYS: u64 = 400_000;
    fill(&index, 0..KEYS);
    assert!(index.chunks.used() as usize * PAGE_BYTES > CHECK_AT_OPEN_BYTES);
    index.close_clean(&STAMP).unwrap();
    drop(index);

    let index = Index::open_clean(disk.clone(), &dir, &STAMP).unwrap();
    let victim = Target::of(hash(17));
    let page = index.directory.entry(victim.position).page();
    let (path, start) = index.chunks.locate(page);
    disk.flip(&path, start + 2_000, 0x40);
    let mut damaged = 0u64;
    for n in 0..KEYS {
        match index.get(hash(n), is(location(n))) {
            Ok(found) => assert_eq!(found, Some(location(n))),
            Err(IndexError::Damaged {
                path: found, offset, ..
            }) => {
                assert_eq!((&found, offset), (&path, start));
                damaged += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(
        (100..=504).contains(&damaged),
        "{damaged} keys on the damaged page"
    );
    assert!(matches!(index.check_all(), Err(IndexError::Damaged { .. })));
    assert!(matches!(
        index.insert(hash(17), location(17)),
        Err(IndexError::Damaged { .. })
    ));

    // Closing must not declare the damage sound.
    let index = Index::open_clean(disk.clone(), &dir, &STAMP);
    let refused_or_damaged = match index {
        Err(_) => true,
        Ok(index) => {
            fill(&index, KEYS + 1..KEYS + 2);
            index.close_clean(&[3; 32]).unwrap();
            let again = Index::open_clean(disk.clone(), &dir, &[3; 32]).unwrap();
            matches!(again.check_all(), Err(IndexError::Damaged { .. }))
        }
    };
    assert!(refused_or_damaged);
}

#[test]
fn a_large_index_works_from_many_threads_right_after_opening() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    const KEYS: u64 = 400_000;
    fill(&index, 0..KEYS);
    index.close_clean(&STAMP).unwrap();
    drop(index);
    let index = Index::open_clean(disk, &dir, &STAMP).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let index = &index;
            scope.spawn(move || {
                for n in (thread * 5..KEYS).step_by(20) {
                    assert_eq!(index.get(hash(n), is(location(n))).unwrap(), Some(location(n)));
                    let new = KEYS + n;
                    index.insert(hash(new), location(new)).unwrap();
                }
            });
        }
    });
    index.check_all().unwrap();
    assert_holds(&index, 0..KEYS);
    assert_eq!(index.len(), KEYS + KEYS / 5);
}

#[test]
fn a_full_disk_is_reported_before_anything_changes_and_reads_go_on() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    disk.set_capacity(index.bytes() + 10_000);
    assert!(matches!(index.reserve(1), Err(IndexError::DiskFull { .. })));
    let mut taken = 0;
    let error = loop {
        match index.insert(hash(taken), location(taken)) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, IndexError::DiskFull { .. }), "{error}");
    // Sixteen pages take what they can before they need another one.
    assert!(taken > 4_000, "{taken}");
    assert_holds(&index, 0..taken);
    assert!(index.replace(hash(0), location(0), location(1 << 24)).unwrap());

    disk.set_capacity(u64::MAX);
    index.reserve(1).unwrap();
    fill(&index, taken..taken + 10_000);
    assert_holds(&index, 1..taken + 10_000);
}

#[test]
fn after_reserving_insertions_need_no_space() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    for n in 0..60_000 {
        index.reserve(1).unwrap();
        disk.set_capacity(1);
        index.insert(hash(n), location(n)).unwrap();
        disk.set_capacity(u64::MAX);
    }
    assert_holds(&index, 0..60_000);
}

#[test]
fn a_failed_sync_stops_changes_and_leaves_reads() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    fill(&index, 0..100);
    disk.fail_at(
        disk.calls() + 1,
        Fault {
            kind: FaultKind::Errno(5),
            persistent: true,
        },
    );
    assert!(matches!(index.close_clean(&STAMP), Err(IndexError::Io { .. })));
    disk.heal();
    assert!(matches!(
        index.insert(hash(100), location(100)),
        Err(IndexError::Poisoned { .. })
    ));
    assert!(matches!(
        index.close_clean(&STAMP),
        Err(IndexError::Poisoned { .. })
    ));
    assert_holds(&index, 0..100);
}

#[test]
fn creating_removes_an_older_index() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    fill(&index, 0..20_000);
    index.close_clean(&STAMP).unwrap();
    drop(index);
    let index = new_index(&disk, &dir);
    assert!(index.is_empty());
    assert_eq!(index.bytes(), 64 << 10);
    assert_eq!(disk.list(&dir).unwrap().len(), 1);
    assert!(matches!(
        Index::open_clean(disk.clone(), &dir, &STAMP),
        Err(Distrust::NotClosed)
    ));
    fill(&index, 0..20_000);
    assert_holds(&index, 0..20_000);
}

#[test]
fn a_foreign_catalogue_and_a_newer_format_are_told_apart() {
    let (disk, dir) = sim();
    let index = new_index(&disk, &dir);
    index.close_clean(&STAMP).unwrap();
    drop(index);
    let path = catalogue_path(&dir);
    let good = disk.read_whole(&path).unwrap();
    let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
    for (offset, value) in [(8, 2u8), (16, 1)] {
        let mut newer = good.clone();
        newer[offset] = value;
        let crc = crc32c::crc32c(&newer[..124]);
        newer[124..128].copy_from_slice(&crc.to_le_bytes());
        file.write_all_at(&newer, 0).unwrap();
        let refused = Index::open_clean(disk.clone(), &dir, &STAMP);
        assert!(matches!(refused, Err(Distrust::Format { .. })), "{refused:?}");
    }
    // Sound checksums around pages that do not cover each position once.
    let mut twisted = good.clone();
    let (table, record) = (128, 8);
    let copy = twisted[table..table + record].to_vec();
    twisted[table + record..table + 2 * record].copy_from_slice(&copy);
    let crc = crc32c::crc32c(&twisted[table..]);
    twisted[84..88].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&twisted[..124]);
    twisted[124..128].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(&twisted, 0).unwrap();
    let refused = Index::open_clean(disk.clone(), &dir, &STAMP);
    assert!(matches!(refused, Err(Distrust::Catalogue { .. })), "{refused:?}");
}
