//! Flipped bytes and shortened files: an error that names the place, never a silent loss.

use std::path::{Path, PathBuf};

use atoll::io::sim::{CutPolicy, SimDisk};
use atoll::store::{Durability, Store, StoreError, WritePath};

use crate::workload::{self, DIR, contents, open, script, states};

fn closed_store() -> SimDisk {
    let disk = SimDisk::new(9);
    let progress = workload::run(&disk, WritePath::Map, &script(), true);
    assert_eq!(progress.synced, script().len());
    disk
}

fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    disk.paths()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect()
}

/// Opens and reads everything; the error, if any step gives one.
fn read_all(disk: &SimDisk) -> Result<Vec<String>, StoreError> {
    let store: Store = open(disk, WritePath::Map)?;
    let report = store.verify(&mut |_, _| {})?;
    Ok(report.damage.iter().map(ToString::to_string).collect())
}

#[test]
fn flipped_byte_in_a_record_is_named_with_file_and_offset() {
    let pristine = closed_store();
    let segments = segments(&pristine);
    assert_eq!(segments.len(), 2, "the script seals one segment: {segments:?}");
    let expected = states(&script()).pop().expect("states");
    let mut found = 0;
    for segment in &segments {
        let len = pristine.read_whole(segment).expect("readable").len() as u64;
        // Everywhere in headers and the first records, then in strides through the large values.
        let offsets = (0..4096)
            .step_by(331)
            .chain((4096..20_000).step_by(97))
            .chain((20_000..len).step_by(40_013));
        for offset in offsets {
            let disk = closed_store();
            let before = disk.read_whole(segment).expect("readable")[offset as usize];
            disk.flip(segment, offset, 0x10);
            let context = format!("{} byte {offset} (was {before:#04x})", segment.display());
            match read_all(&disk) {
                Err(StoreError::Log(atoll::log::LogError::Corrupt { path, .. })) => {
                    assert_eq!(&path, segment, "{context}");
                    found += 1;
                }
                Err(other) => panic!("{context}: {other}"),
                Ok(damage) if !damage.is_empty() => {
                    let name = segment.display().to_string();
                    assert!(
                        damage.iter().any(|place| place.contains(&name)),
                        "{context}: {damage:?}"
                    );
                    found += 1;
                }
                Ok(_) => {
                    // Unused space and dead padding may change unnoticed; data may not.
                    let store = open(&disk, WritePath::Map).expect("opens");
                    assert_eq!(
                        contents(&store),
                        expected,
                        "{context}: data changed without an error"
                    );
                }
            }
        }
    }
    assert!(found > 100, "most places hold data: {found}");
}

#[test]
fn shortened_segment_is_refused_by_name() {
    let disk = closed_store();
    let segment = segments(&disk).pop().expect("a segment");
    disk.shorten(&segment, 500_000);
    let error = open(&disk, WritePath::Map).expect_err("half a segment");
    let damage = error.damage().expect("damage");
    assert_eq!(damage.path, segment);
    assert_eq!(damage.offset, 500_000);
}

#[test]
fn missing_segment_is_noticed() {
    let disk = closed_store();
    let all = segments(&disk);
    for gone in &all {
        let disk = closed_store();
        let env = workload::env(&disk);
        env.disk.remove_file(gone).expect("removed");
        let error = open(&disk, WritePath::Map).expect_err("a segment is missing");
        assert!(error.damage().is_some(), "{error}");
    }
}

#[test]
fn flipped_byte_in_the_control_page_is_refused_by_name() {
    for offset in [0u64, 9, 60, 113, 120, 185, 3000, 4094] {
        let disk = closed_store();
        let path = Path::new(DIR).join("CONTROL");
        disk.flip(&path, offset, 0x01);
        let error = open(&disk, WritePath::Map).expect_err("a damaged control page");
        assert_eq!(error.damage().expect("damage").path, path, "{error}");
    }
}

/// Damage before what a later sync vouches for is damage, also after a power cut; a tear after it
/// is not.
#[test]
fn damage_below_the_durable_position_is_not_mistaken_for_a_torn_tail() {
    let build = || {
        let disk = SimDisk::new(11);
        let store = open(&disk, WritePath::Map).expect("opens");
        for n in 0..20u32 {
            store
                .put(format!("k{n:02}").as_bytes(), &[n as u8; 200], Durability::Synced)
                .expect("synced");
        }
        drop(store);
        disk.power_cut(CutPolicy::DropAll)
    };
    let disk = build();
    let store = open(&disk, WritePath::Map).expect("a clean cut");
    let lsn = store.get(b"k05").expect("readable").expect("there").lsn();
    drop(store);

    let disk = build();
    let segment = segments(&disk).pop().expect("a segment");
    disk.flip(&segment, 4096 + lsn.0 + 60, 0x04);
    let error = open(&disk, WritePath::Map).expect_err("k05 was acknowledged and later syncs vouch for it");
    let damage = error.damage().expect("damage");
    assert_eq!(damage.path, segment);
    assert_eq!(damage.offset, 4096 + lsn.0);
}

#[test]
fn directory_of_another_program_is_not_touched() {
    let disk = SimDisk::new(12);
    let env = workload::env(&disk);
    env.disk.create_dir_all(Path::new(DIR)).expect("created");
    env.disk
        .create(&Path::new(DIR).join("PG_VERSION"))
        .expect("created");
    let error = open(&disk, WritePath::Map).expect_err("not ours");
    assert!(error.to_string().contains("PG_VERSION"), "{error}");
    let names: Vec<String> = env
        .disk
        .list(Path::new(DIR))
        .expect("listed")
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["PG_VERSION"], "nothing was added");
}
#[test]
fn damaged_index_is_rebuilt_and_loses_no_key() {
    let pristine = closed_store();
    let expected = states(&script()).pop().expect("states");
    let files: Vec<PathBuf> = pristine
        .paths()
        .into_iter()
        .filter(|path| path.starts_with(Path::new(DIR).join("index")))
        .collect();
    assert!(!files.is_empty());
    for file in files {
        let len = pristine.read_whole(&file).expect("readable").len() as u64;
        for offset in (0..len.min(64 << 10)).step_by(509) {
            let disk = closed_store();
            disk.flip(&file, offset, 0x80);
            let store = open(&disk, WritePath::Map).expect("the index is only a cache");
            assert_eq!(contents(&store), expected, "{} byte {offset}", file.display());
        }
    }
}

/// A scan that knows the order already searches it for its first key; a damaged key on that way must
/// not make it begin elsewhere.
#[test]
fn key_damaged_after_it_was_sorted_never_shortens_a_scan_silently() {
    let disk = SimDisk::new(13);
    let store = open(&disk, WritePath::Map).expect("opens");
    for n in 0..200u32 {
        store
            .put(format!("k{n:03}").as_bytes(), b"v", Durability::Buffered)
            .expect("put");
    }
    assert_eq!(contents(&store).len(), 200);
    let segment = segments(&disk).pop().expect("a segment");
    for n in (0..200u32).step_by(7) {
        let key = format!("k{n:03}");
        let lsn = store.get(key.as_bytes()).expect("readable").expect("there").lsn();
        let place = 4096 + lsn.0 + 48;
        disk.flip(&segment, place, 0x40);
        for start in (0..200u32).step_by(11) {
            let from = format!("k{start:03}");
            let scan = store.snapshot().scan(
                std::ops::Bound::Included(from.as_bytes()),
                std::ops::Bound::Unbounded,
            );
            let found: Result<usize, StoreError> =
                scan.and_then(|scan| scan.map(|entry| entry.map(|_| 1)).sum());
            match found {
                Err(error) => assert_eq!(error.damage().expect("damage").offset, 4096 + lsn.0),
                Ok(found) => {
                    assert!(n < start, "the damaged key lies in the range");
                    assert_eq!(found as u32, 200 - start, "from {from} with {key} damaged");
                }
            }
        }
        disk.flip(&segment, place, 0x40);
    }
}

/// Changes the control page and seals it again, as somebody who knows the format could.
fn forge(disk: &SimDisk, change: impl FnOnce(&mut atoll::log::header::Control)) {
    use atoll::io::{Disk, OpenMode};
    let path = Path::new(DIR).join("CONTROL");
    let page = disk.read_whole(&path).expect("readable");
    let page: &[u8; 4096] = page[..].try_into().expect("one page");
    let mut control = atoll::log::header::Control::decode(page).expect("valid");
    change(&mut control);
    let file = disk.open(&path, OpenMode::ReadWrite).expect("opened");
    file.write_all_at(&control.encode(), 0).expect("written");
}

#[test]
fn counters_at_their_limits_are_refused_or_wrap_and_never_panic() {
    let disk = SimDisk::new(9);
    workload::run(&disk, WritePath::Map, &script(), false);
    forge(&disk, |control| control.incarnation = u32::MAX);
    let error = open(&disk, WritePath::Map).expect_err("no incarnation is left");
    assert!(
        error
            .damage()
            .is_some_and(|place| place.path.ends_with("CONTROL")),
        "{error}"
    );

    let disk = closed_store();
    forge(&disk, |control| {
        control.open_generation = u32::MAX;
        control.records = u64::MAX;
    });
    let store = open(&disk, WritePath::Map).expect("only figures are odd");
    assert_eq!(&contents(&store), states(&script()).last().expect("states"));
    store.put(b"one more", b"value", Durability::Synced).expect("put");
    drop(store);
    let store = open(&disk, WritePath::Map).expect("opens after the crash");
    assert!(store.get(b"one more").expect("readable").is_some());
}
