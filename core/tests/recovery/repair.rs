//! Saving what is left of a damaged store.

use std::path::Path;

use atoll::io::sim::SimDisk;
use atoll::io::{Disk, OpenMode};
use atoll::log::LogError;
use atoll::store::repair::{RepairReport, repair};
use atoll::store::{Store, StoreError, WritePath};

use crate::workload::{self, DIR, contents, open, script, states};

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
