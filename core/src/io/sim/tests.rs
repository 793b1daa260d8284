use std::sync::atomic::Ordering;

use super::*;

fn disk_with(bytes: &[u8]) -> (SimDisk, Arc<dyn File>) {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/d")).unwrap();
    let file = disk.create(Path::new("/d/f")).unwrap();
    file.allocate(8192).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    (disk, file)
}

fn after(disk: &SimDisk, policy: CutPolicy) -> Option<Vec<u8>> {
    disk.power_cut(policy).read_whole(Path::new("/d/f"))
}

#[test]
fn unsynced_bytes_are_lost_and_synced_ones_stay() {
    let (disk, file) = disk_with(b"one");
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    file.write_all_at(b"two", 0).unwrap();
    assert_eq!(&after(&disk, CutPolicy::DropAll).unwrap()[..3], b"one");
}

#[test]
fn kept_pages_hold_the_last_write() {
    let (disk, file) = disk_with(b"one");
    file.sync_data().unwrap();
    file.write_all_at(b"two", 0).unwrap();
    assert_eq!(&after(&disk, CutPolicy::KeepAll).unwrap()[..3], b"two");
}

#[test]
fn name_without_directory_sync_is_lost() {
    let (disk, file) = disk_with(b"one");
    file.sync_data().unwrap();
    assert_eq!(after(&disk, CutPolicy::DropAll), None);
}

#[test]
fn stores_through_a_map_reach_the_cache_and_survive_the_process() {
    let (disk, file) = disk_with(b"");
    let map = file.map(8192, MapAccess::Write).unwrap();
    map.store_u64(16, 0x0102_0304_0506_0708, Ordering::Release);
    let disk = disk.process_crash();
    let found = disk.read_whole(Path::new("/d/f")).unwrap();
    assert_eq!(found[16..24], 0x0102_0304_0506_0708u64.to_le_bytes());
}

#[test]
fn rename_is_old_or_new_but_never_neither() {
    for seed in 0..64 {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/d")).unwrap();
        let old = disk.create(Path::new("/d/f")).unwrap();
        old.write_all_at(b"old", 0).unwrap();
        old.sync_data().unwrap();
        let new = disk.create(Path::new("/d/f.new")).unwrap();
        new.write_all_at(b"new", 0).unwrap();
        new.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.rename(Path::new("/d/f.new"), Path::new("/d/f")).unwrap();
        let found = after(&disk, CutPolicy::Random).expect("one of the two");
        assert!(found == b"old" || found == b"new", "seed {seed}: {found:?}");
    }
}

#[test]
fn failed_sync_does_not_become_durable_by_a_later_one() {
    let (disk, file) = disk_with(b"one");
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    file.write_all_at(b"two", 0).unwrap();
    disk.fail_at(
        disk.calls() + 1,
        Fault {
            kind: FaultKind::Errno(libc::EIO),
            persistent: false,
        },
    );
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(libc::EIO));
    file.sync_data().unwrap();
    assert_eq!(&after(&disk, CutPolicy::KeepAll).unwrap()[..3], b"one");
}

#[test]
fn writing_again_after_a_failed_sync_makes_a_later_one_count() {
    let (disk, file) = disk_with(b"one");
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    file.write_all_at(b"two", 0).unwrap();
    disk.fail_at(
        disk.calls() + 1,
        Fault {
            kind: FaultKind::Errno(libc::EIO),
            persistent: false,
        },
    );
    file.sync_data().unwrap_err();
    file.write_all_at(b"two", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(&after(&disk, CutPolicy::DropAll).unwrap()[..3], b"two");
}

#[test]
fn torn_page_mixes_old_and_new_sectors() {
    let mut mixed = 0;
    for seed in 0..32 {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/d")).unwrap();
        let file = disk.create(Path::new("/d/f")).unwrap();
        file.write_all_at(&[1; 4096], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_all_at(&[2; 4096], 0).unwrap();
        let found = after(&disk, CutPolicy::TearAll).unwrap();
        for sector in found.chunks(SECTOR_BYTES) {
            assert!(
                sector.iter().all(|byte| *byte == sector[0]),
                "tears happen between sectors"
            );
        }
        mixed += usize::from(found.contains(&1) && found.contains(&2));
    }
    assert!(mixed > 20, "{mixed} of 32");
}

#[test]
fn stores_after_the_power_went_are_lost() {
    let (disk, file) = disk_with(b"one");
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    let map = file.map(8192, MapAccess::Write).unwrap();
    disk.fail_at(
        disk.calls() + 1,
        Fault {
            kind: FaultKind::PowerCut,
            persistent: true,
        },
    );
    file.sync_data().unwrap_err();
    map.store_u64(0, u64::MAX, Ordering::Release);
    assert!(file.sync_data().unwrap_err().to_string().contains("power"));
    assert_eq!(&after(&disk, CutPolicy::KeepAll).unwrap()[..3], b"one");
}

#[test]
fn growth_beyond_the_capacity_is_enospc() {
    let (disk, file) = disk_with(b"");
    disk.set_capacity(16384);
    file.allocate(16384).unwrap();
    assert_eq!(
        file.allocate(16385).unwrap_err().raw_os_error(),
        Some(libc::ENOSPC)
    );
    assert_eq!(disk.free_bytes(Path::new("/d")).unwrap(), 0);
}

#[test]
fn lock_excludes_until_its_process_ends() {
    let (disk, _) = disk_with(b"");
    let path = Path::new("/d/LOCK");
    let guard = disk.lock(path).unwrap();
    assert!(matches!(guard, LockOutcome::Acquired(_)));
    assert!(matches!(disk.lock(path).unwrap(), LockOutcome::Held(_)));
    let next = disk.process_crash();
    assert!(matches!(next.lock(path).unwrap(), LockOutcome::Acquired(_)));
    assert!(disk.list(Path::new("/d")).is_err(), "old handles are dead");
}
