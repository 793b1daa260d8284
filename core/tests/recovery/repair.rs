//! Saving what is left of a damaged store.

use std::path::Path;

use atoll::io::sim::SimDisk;
use atoll::io::{Disk, OpenMode};
use atoll::log::LogError;
use atoll::store::repair::{RepairReport, repair};
use atoll::store::{CompactionLimits, Durability, Store, StoreError, StoreOptions, WritePath};

use crate::workload::{self, DIR, State, contents, open, script, states};

const SAVED: &str = "/data/saved";

fn damaged(close: bool) -> SimDisk {
    let disk = SimDisk::new(9);
    workload::run(&disk, WritePath::Map, &script(), close);
    disk
}

fn save(disk: &SimDisk) -> Result<RepairReport, StoreError> {
    repair(
        &workload::env(disk),
        Path::new(DIR),
        Path::new(SAVED),
        &mut |_, _| {},
    )
}

fn saved(disk: &SimDisk) -> Store {
    let store = Store::open(
        &workload::env(disk),
        Path::new(SAVED),
        &workload::options(WritePath::Map),
    )
    .expect("opens");
    assert_eq!(store.verify(&mut |_, _| {}).expect("verified").damage, []);
    store
}

fn first_segment(disk: &SimDisk) -> std::path::PathBuf {
    let mut segments: Vec<_> = disk
        .paths()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    segments.sort();
    segments.remove(0)
}

#[test]
fn sound_store_is_saved_whole_under_a_new_incarnation_and_never_over_something() {
    for close in [true, false] {
        let disk = damaged(close);
        let report = save(&disk).expect("saved");
        assert_eq!(report.lost, []);
        let store = saved(&disk);
        assert_eq!(&contents(&store), states(&script()).last().expect("states"));
        drop(store);
        let again = save(&disk).expect_err("occupied");
        assert!(
            matches!(again, StoreError::Log(LogError::NotEmpty { .. })),
            "{again}"
        );
        let old = open(&disk, WritePath::Map).expect("the source is as it was");
        assert!(saved(&disk).incarnation() > old.incarnation() - u32::from(!close));
        let busy = repair(
            &workload::env(&disk),
            Path::new(DIR),
            Path::new("/data/other"),
            &mut |_, _| {},
        );
        assert!(busy.is_err_and(|error| error.locked_by().is_some()));
    }
}

#[test]
fn each_damaged_byte_costs_the_record_it_stands_in_and_is_named() {
    let whole = contents(&{
        let disk = damaged(true);
        save(&disk).expect("saved");
        saved(&disk)
    });
    for offset in (4096..30_000).step_by(611) {
        let disk = damaged(true);
        let segment = first_segment(&disk);
        disk.flip(&segment, offset, 0x20);
        let report = save(&disk).expect("saved");
        assert!(report.lost.len() <= 1, "one byte, one record: {:?}", report.lost);
        let left = contents(&saved(&disk));
        let differs = whole
            .iter()
            .filter(|(key, value)| left.get(*key) != Some(*value))
            .count();
        if differs > 0 {
            assert_eq!(
                report.lost.len(),
                1,
                "byte {offset}: {differs} keys differ and nothing was reported"
            );
        }
        if let [lost] = &report.lost[..] {
            let at = 4096 + lost.from.0;
            let to = 4096 + lost.to.expect("the next record is found").0;
            assert!((at..to).contains(&offset), "byte {offset}: {lost:?}");
        }
    }
}

#[test]
fn lost_control_page_and_lost_headers_are_survived_as_far_as_possible() {
    let disk = damaged(true);
    let file = disk
        .open(&Path::new(DIR).join("CONTROL"), OpenMode::ReadWrite)
        .expect("opened");
    file.write_all_at(&[0; 4096], 0).expect("written");
    assert_eq!(save(&disk).expect("saved").lost, []);
    assert_eq!(
        &contents(&saved(&disk)),
        states(&script()).last().expect("states")
    );

    let disk = damaged(true);
    let segment = first_segment(&disk);
    let file = disk.open(&segment, OpenMode::ReadWrite).expect("opened");
    file.write_all_at(&[0; 4096], 0).expect("written");
    let report = save(&disk).expect("saved");
    assert_eq!(report.lost.len(), 1);
    assert_eq!((&report.lost[0].path, report.lost[0].from.0), (&segment, 0));
    assert!(report.versions > 0);
    drop(saved(&disk));
}

/// Keys of 4 to 6 bytes, sorted as their numbers.
fn name(n: usize) -> Vec<u8> {
    format!("k{n:04}").into_bytes()
}

/// A closed store with several tables, with versions and deletions in the log above them.
fn compacted() -> (SimDisk, State) {
    let disk = SimDisk::new(11);
    let small_tables = StoreOptions {
        table_bytes: 64 << 10,
        ..workload::options(WritePath::Map)
    };
    let store = Store::open_standalone(&workload::env(&disk), Path::new(DIR), &small_tables).expect("opens");
    let mut state = State::new();
    let put = |state: &mut State, n: usize, size: usize| {
        let value: Vec<u8> = (0..size).map(|i| (i * 7 + n + size) as u8).collect();
        store.put(&name(n), &value, Durability::Buffered).expect("put");
        state.insert(name(n), value);
    };
    for n in 0..1200 {
        put(&mut state, n, 150 + n % 97);
    }
    for n in (0..1200).step_by(11) {
        store.delete(&name(n), Durability::Buffered).expect("deleted");
        state.remove(&name(n));
    }
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    // A second, newer run over some of the keys.
    for n in (0..1200).step_by(5) {
        put(&mut state, n, 60);
    }
    store.seal_segment().expect("sealed");
    store.compact_step(&CompactionLimits::default()).expect("flushed");
    assert_eq!(store.stats().runs, 2);
    assert!(store.stats().tables > 3);
    for n in (0..1200).step_by(17) {
        put(&mut state, n, 33);
    }
    store.delete(&name(3), Durability::Buffered).expect("deleted");
    state.remove(&name(3));
    assert!(
        store.log_start() > atoll::ids::Lsn::ZERO,
        "the beginning is in tables only"
    );
    store.close().expect("closed");
    (disk, state)
}

fn tables(disk: &SimDisk) -> Vec<std::path::PathBuf> {
    let mut tables: Vec<_> = disk
        .paths()
        .into_iter()
        .filter(|path| path.starts_with(DIR) && path.extension().is_some_and(|e| e == "tbl"))
        .collect();
    tables.sort();
    tables
}

/// Whether the report says that `key` may be lost.
fn is_named(report: &RepairReport, key: &[u8]) -> bool {
    report.lost.iter().any(|lost| {
        let after = lost.after_key.as_deref().is_none_or(|after| key > after);
        let before = lost.before_key.as_deref().is_none_or(|before| key < before);
        lost.key.as_deref() == Some(key) || (lost.key.is_none() && after && before)
    })
}

/// What was saved; every key that differs from `state` is named in the report.
fn saved_and_named(disk: &SimDisk, state: &State, what: &str) -> (RepairReport, usize) {
    let report = save(disk).expect("saved");
    let left = contents(&saved(disk));
    let keys: std::collections::BTreeSet<&Vec<u8>> = state.keys().chain(left.keys()).collect();
    let mut differing = 0;
    for key in keys {
        if left.get(key) != state.get(key) {
            differing += 1;
            let key = String::from_utf8_lossy(key);
            assert!(
                is_named(&report, key.as_bytes()),
                "{what}: {key} differs: {:?}",
                report.lost
            );
        }
    }
    (report, differing)
}

#[test]
fn compacted_store_is_saved_whole_with_its_tables() {
    let (disk, state) = compacted();
    let (report, differing) = saved_and_named(&disk, &state, "sound");
    assert_eq!((report.lost.len(), differing), (0, 0));
    assert!(report.tables > 3 && report.segments > 0);
}

#[test]
fn damaged_byte_of_a_table_costs_one_page_of_keys_and_they_are_named() {
    let (sound, state) = compacted();
    let (mut cases, mut largest) = (0, 0);
    for (i, table) in tables(&sound).iter().enumerate() {
        let bytes = sound.read_whole(table).expect("read");
        let len = bytes.len() as u64;
        let index = u64::from_le_bytes(bytes[bytes.len() - 4096 + 112..][..8].try_into().expect("a word"));
        for offset in (0..len).step_by(3001 + i).chain([len - 4000]) {
            let (disk, _) = compacted();
            let is_block = offset % 2 == 1;
            if is_block {
                // The disk cannot read the block.
                disk.spoil(table, offset);
            } else {
                disk.flip(table, offset, 0x08);
            }
            let (report, differing) = saved_and_named(&disk, &state, &format!("byte {offset} of {table:?}"));
            cases += 1;
            // Without header or footer nothing of a table can be read; without the checksums of its pages,
            // which fit one block in tables as small as these, nothing can be believed.
            let is_vital = offset < 4096 || offset >= len - 4096 || (is_block && offset >= index);
            if !is_vital {
                assert!(report.lost.len() <= 3, "byte {offset}: {:?}", report.lost);
                largest = largest.max(differing);
            }
        }
    }
    assert!(cases > 100, "{cases}");
    // A page has room for some 25 of these keys, and the search goes on at the next anchor.
    assert!((1..=60).contains(&largest), "{largest}");
}

#[test]
fn lost_index_section_of_a_table_costs_nothing_while_its_pages_fit_their_checksums() {
    let (sound, state) = compacted();
    for table in tables(&sound) {
        let (disk, _) = compacted();
        let bytes = disk.read_whole(&table).expect("read");
        let footer = &bytes[bytes.len() - 4096..];
        let index = u64::from_le_bytes(footer[112..120].try_into().expect("eight bytes"));
        // The lowest level of the search tree.
        disk.flip(&table, index + 3, 0x40);
        let store = Store::open(
            &workload::env(&disk),
            Path::new(DIR),
            &workload::options(WritePath::Map),
        );
        if let Ok(store) = store {
            assert_ne!(store.verify(&mut |_, _| {}).expect("verified").damage, []);
        }
        let (report, differing) = saved_and_named(&disk, &state, "index section");
        assert_eq!((report.lost.len(), differing), (0, 0), "{:?}", report.lost);
    }
}

#[test]
fn lost_manifest_is_named_and_every_table_is_used() {
    let (disk, state) = compacted();
    disk.flip(&Path::new(DIR).join("MANIFEST"), 60, 0x01);
    let report = save(&disk).expect("saved");
    assert_eq!(report.lost.len(), 1);
    assert!(report.lost[0].path.ends_with("MANIFEST"));
    assert_eq!(contents(&saved(&disk)), state);

    let (disk, state) = compacted();
    disk.remove_file(&Path::new(DIR).join("MANIFEST"))
        .expect("removed");
    let (report, differing) = saved_and_named(&disk, &state, "no manifest");
    assert_eq!((report.lost.len(), differing), (1, 0));
}

#[test]
fn missing_table_and_missing_last_segment_are_named() {
    let (disk, state) = compacted();
    let table = tables(&disk).remove(0);
    disk.remove_file(&table).expect("removed");
    let (report, differing) = saved_and_named(&disk, &state, "missing table");
    assert_eq!(report.lost.len(), 1);
    assert_eq!(report.lost[0].path, table);
    assert!(differing > 0 && report.versions as usize > state.len() / 2);

    let (disk, state) = compacted();
    let last = disk
        .paths()
        .into_iter()
        .filter(|path| path.starts_with(DIR) && path.extension().is_some_and(|e| e == "seg"))
        .max()
        .expect("a segment");
    disk.remove_file(&last).expect("removed");
    let (report, differing) = saved_and_named(&disk, &state, "missing segment");
    assert!(differing > 0);
    assert_eq!(report.lost.len(), 1);
}
