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

fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

fn once(kind: FaultKind) -> Fault {
    Fault {
        kind,
        persistent: false,
    }
}

fn synced_file(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.create(&path(name)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    file
}

/// Seeds `0..64`, each with a fresh directory `/d`, cut at random after `act`.
fn each_random_cut(act: impl Fn(&SimDisk), check: impl Fn(u64, &SimDisk)) {
    for seed in 0..64 {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/d")).unwrap();
        act(&disk);
        check(seed, &disk.power_cut(CutPolicy::Random));
    }
}

#[test]
fn each_unsynced_page_meets_its_own_fate() {
    let mut mixed = 0;
    for seed in 0..32 {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/d")).unwrap();
        let file = synced_file(&disk, "f", &[1; 8 * 4096]);
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_all_at(&[2; 8 * 4096], 0).unwrap();
        let found = after(&disk, CutPolicy::Random).unwrap();
        let whole = |value| {
            let pages = found.chunks(4096);
            pages
                .filter(|page| page.iter().all(|byte| *byte == value))
                .count()
        };
        mixed += usize::from(whole(1) > 0 && whole(2) > 0);
    }
    assert!(mixed > 24, "{mixed} of 32");
}

#[test]
fn store_through_a_lent_atomic_is_synced_and_is_lost_without() {
    let (disk, file) = disk_with(b"");
    disk.sync_dir(Path::new("/d")).unwrap();
    let map = file.map(8192, MapAccess::Write).unwrap();
    let word = map.atomic_u64(4096);
    file.sync_data().unwrap();
    word.store(1, Ordering::Release);
    file.sync_data().unwrap();
    word.store(2, Ordering::Release);
    let found = after(&disk, CutPolicy::DropAll).unwrap();
    assert_eq!(found[4096], 1);
}

#[test]
fn atomic_store_lost_by_a_failed_sync_stays_lost() {
    let (disk, file) = disk_with(b"");
    disk.sync_dir(Path::new("/d")).unwrap();
    file.sync_data().unwrap();
    let map = file.map(8192, MapAccess::Write).unwrap();
    map.atomic_u64(0).store(1, Ordering::Release);
    disk.fail_at(disk.calls() + 1, once(FaultKind::Errno(libc::EIO)));
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    assert_eq!(
        file.map(8, MapAccess::Read)
            .unwrap()
            .load_u64(0, Ordering::Acquire),
        1,
        "still read"
    );
    assert_eq!(after(&disk, CutPolicy::KeepAll).unwrap()[0], 0);
}

#[test]
fn length_is_durable_with_the_contents_only() {
    let (disk, file) = disk_with(b"");
    disk.sync_dir(Path::new("/d")).unwrap();
    file.sync_data().unwrap();
    file.allocate(20_000).unwrap();
    assert_eq!(after(&disk, CutPolicy::DropAll).unwrap().len(), 8192);
    let (disk, file) = disk_with(b"");
    disk.sync_dir(Path::new("/d")).unwrap();
    file.sync_data().unwrap();
    file.allocate(20_000).unwrap();
    assert_eq!(after(&disk, CutPolicy::KeepAll).unwrap().len(), 20_000);
}

#[test]
fn growth_in_steps_leaves_lengths_in_between() {
    let mut between = 0;
    for (seed, in_steps) in (0..32).flat_map(|seed| [(seed, false), (seed, true)]) {
        let disk = SimDisk::new(seed);
        disk.set_growth_in_steps(in_steps);
        disk.create_dir_all(Path::new("/d")).unwrap();
        let file = synced_file(&disk, "f", &[1; 4096]);
        disk.sync_dir(Path::new("/d")).unwrap();
        file.allocate(1 << 20).unwrap();
        let len = after(&disk, CutPolicy::Random).unwrap().len();
        assert!((4096..=1 << 20).contains(&len));
        let is_between = ![4096, 1 << 20].contains(&len);
        assert!(in_steps || !is_between, "seed {seed}: {len}");
        between += usize::from(is_between);
    }
    assert!(between > 8, "{between} of 32");
}

#[test]
fn removal_without_directory_sync_may_come_back() {
    let run = |sync, policy| {
        let (disk, file) = disk_with(b"one");
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.remove_file(&path("f")).unwrap();
        if sync {
            disk.sync_dir(Path::new("/d")).unwrap();
        }
        after(&disk, policy)
    };
    assert!(run(false, CutPolicy::DropAll).unwrap().starts_with(b"one"));
    assert_eq!(run(false, CutPolicy::KeepAll), None);
    assert_eq!(run(true, CutPolicy::DropAll), None);
}

#[test]
fn file_renamed_away_is_never_buried_by_a_new_one_of_its_old_name() {
    each_random_cut(
        |disk| {
            synced_file(disk, "a", b"precious");
            disk.sync_dir(Path::new("/d")).unwrap();
            disk.rename(&path("a"), &path("b")).unwrap();
            synced_file(disk, "a", b"second");
        },
        |seed, disk| {
            let is = |name, bytes: &[u8]| disk.read_whole(&path(name)).is_some_and(|found| found == bytes);
            assert!(
                is("a", b"precious") ^ is("b", b"precious"),
                "seed {seed}: {:?}",
                disk.paths()
            );
        },
    );
}

#[test]
fn syncing_one_directory_settles_what_its_names_rest_on_elsewhere() {
    let disk = SimDisk::new(1);
    for dir in ["/d", "/e"] {
        disk.create_dir_all(Path::new(dir)).unwrap();
    }
    synced_file(&disk, "draft", b"new");
    disk.rename(&path("draft"), Path::new("/e/f")).unwrap();
    disk.sync_dir(Path::new("/e")).unwrap();
    // The old name must not come back beside the new one, under whatever policy.
    let disk = disk.power_cut(CutPolicy::KeepAll);
    assert_eq!(disk.paths(), [PathBuf::from("/e/f")]);
}

#[test]
fn names_of_different_files_are_kept_independently() {
    let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
    each_random_cut(
        |disk| {
            ["a", "b"]
                .iter()
                .for_each(|name| drop(synced_file(disk, name, b"x")))
        },
        |_, disk| {
            seen.borrow_mut().insert(disk.paths());
        },
    );
    assert_eq!(seen.borrow().len(), 4, "{seen:?}");
}

#[test]
fn removing_a_tree_is_durable_after_a_sync_and_may_stop_half_way_before() {
    let make = |disk: &SimDisk| {
        disk.create_dir_all(Path::new("/d/t/u")).unwrap();
        for name in ["t/1", "t/2", "t/u/3"] {
            synced_file(disk, name, b"x");
        }
        for dir in ["/d/t", "/d/t/u"] {
            disk.sync_dir(Path::new(dir)).unwrap();
        }
        disk.remove_dir_all(Path::new("/d/t")).unwrap();
        assert_eq!(disk.list(Path::new("/d")).unwrap(), []);
    };
    let counts = std::cell::RefCell::new(std::collections::BTreeSet::new());
    each_random_cut(make, |seed, disk| {
        let files = disk.paths().len();
        if !disk.exists(Path::new("/d/t")).unwrap() {
            assert_eq!(files, 0, "seed {seed}: a directory goes after what it held");
        }
        counts.borrow_mut().insert(files);
    });
    assert!(counts.borrow().len() > 2, "{counts:?}");

    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/d")).unwrap();
    make(&disk);
    disk.sync_dir(Path::new("/d")).unwrap();
    let disk = disk.power_cut(CutPolicy::DropAll);
    assert_eq!(
        (disk.paths().len(), disk.list(Path::new("/d")).unwrap().len()),
        (0, 0)
    );
}

#[test]
fn file_moved_out_of_a_removed_tree_is_never_lost_with_it() {
    each_random_cut(
        |disk| {
            disk.create_dir_all(Path::new("/d/t")).unwrap();
            synced_file(disk, "t/f", b"precious");
            disk.sync_dir(Path::new("/d/t")).unwrap();
            disk.rename(&path("t/f"), &path("f")).unwrap();
            disk.remove_dir_all(Path::new("/d/t")).unwrap();
        },
        |seed, disk| assert_eq!(disk.paths().len(), 1, "seed {seed}"),
    );
}

#[test]
fn directory_made_again_after_its_removal_is_there_and_empty_after_any_cut() {
    for policy in [
        CutPolicy::DropAll,
        CutPolicy::KeepAll,
        CutPolicy::TearAll,
        CutPolicy::Random,
    ] {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/d/t")).unwrap();
        synced_file(&disk, "t/old", b"x");
        disk.sync_dir(Path::new("/d/t")).unwrap();
        disk.remove_dir_all(Path::new("/d/t")).unwrap();
        disk.create_dir_all(Path::new("/d/t")).unwrap();
        let disk = disk.power_cut(policy);
        assert_eq!(disk.list(Path::new("/d/t")).unwrap(), [], "{policy:?}");
    }
}

#[test]
fn short_write_leaves_its_first_half() {
    let (disk, file) = disk_with(b"........");
    disk.fail_at(disk.calls() + 1, once(FaultKind::ShortWrite));
    assert_eq!(
        file.write_all_at(b"12345678", 0).unwrap_err().raw_os_error(),
        Some(libc::EIO)
    );
    assert_eq!(&disk.read_whole(&path("f")).unwrap()[..8], b"1234....");
    file.write_all_at(b"12345678", 0).unwrap();
}

#[test]
fn persistent_fault_stays_until_healed() {
    let (disk, file) = disk_with(b"");
    let kind = FaultKind::Errno(libc::ENOSPC);
    disk.fail_at(
        disk.calls() + 2,
        Fault {
            kind,
            persistent: true,
        },
    );
    file.write_all_at(b"1", 0).unwrap();
    for _ in 0..2 {
        assert_eq!(
            file.write_all_at(b"2", 0).unwrap_err().raw_os_error(),
            Some(libc::ENOSPC)
        );
    }
    disk.sync_dir(Path::new("/d")).unwrap_err();
    disk.heal();
    file.write_all_at(b"3", 0).unwrap();
}

#[test]
fn storing_to_allocated_bytes_needs_no_space() {
    let (disk, file) = disk_with(b"");
    disk.set_capacity(0);
    file.write_all_at(&[1; 8192], 0).unwrap();
    assert_eq!(
        file.write_all_at(&[1], 8192).unwrap_err().raw_os_error(),
        Some(libc::ENOSPC)
    );
    assert!(
        matches!(disk.lock(&path("LOCK")).unwrap(), LockOutcome::Acquired(_)),
        "and neither does a lock"
    );
}

#[test]
fn removed_file_gives_its_space_back() {
    let (disk, _file) = disk_with(b"");
    disk.set_capacity(8192);
    assert_eq!(disk.free_bytes(Path::new("/d")).unwrap(), 0);
    disk.remove_file(&path("f")).unwrap();
    assert_eq!(disk.free_bytes(Path::new("/d")).unwrap(), 8192);
}

#[test]
fn handles_from_before_a_cut_say_that_the_power_is_off() {
    let (disk, file) = disk_with(b"one");
    disk.sync_dir(Path::new("/d")).unwrap();
    let next = disk.power_cut(CutPolicy::KeepAll);
    let errors = [
        file.read_at(&mut [0], 0).unwrap_err(),
        file.write_all_at(b"x", 0).unwrap_err(),
        file.allocate(1 << 20).unwrap_err(),
        file.sync_data().unwrap_err(),
        file.len().unwrap_err(),
        file.map(8, MapAccess::Read).unwrap_err(),
        disk.create(&path("g")).unwrap_err(),
        disk.open(&path("f"), OpenMode::Read).unwrap_err(),
        disk.rename(&path("f"), &path("g")).unwrap_err(),
        disk.remove_file(&path("f")).unwrap_err(),
        disk.remove_dir_all(Path::new("/d")).unwrap_err(),
        disk.create_dir_all(Path::new("/d")).unwrap_err(),
        disk.sync_dir(Path::new("/d")).unwrap_err(),
        disk.list(Path::new("/d")).unwrap_err(),
        disk.exists(Path::new("/d")).unwrap_err(),
        disk.lock(&path("LOCK")).unwrap_err(),
        disk.free_bytes(Path::new("/d")).unwrap_err(),
        disk.supports_writable_maps(Path::new("/d")).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), "the power is off");
    }
    assert_ne!(next.boot_id(), disk.boot_id());
    assert!(next.read_whole(&path("f")).unwrap().starts_with(b"one"));
}

#[test]
fn process_crash_keeps_boot_and_unsynced_bytes_and_ends_its_handles() {
    let (disk, file) = disk_with(b"one");
    let next = disk.process_crash();
    assert_eq!(next.boot_id(), disk.boot_id());
    assert!(next.read_whole(&path("f")).unwrap().starts_with(b"one"));
    assert!(file.sync_data().unwrap_err().to_string().contains("has ended"));
}

#[test]
fn guard_of_a_dead_process_does_not_release_its_successors_lock() {
    let (disk, _) = disk_with(b"");
    let old = disk.lock(&path("LOCK")).unwrap();
    let next = disk.process_crash();
    let LockOutcome::Acquired(_guard) = next.lock(&path("LOCK")).unwrap() else {
        panic!("locks end with their process");
    };
    drop(old);
    assert!(matches!(next.lock(&path("LOCK")).unwrap(), LockOutcome::Held(_)));
}

#[test]
fn flipped_bit_is_there_before_and_after_a_cut() {
    let (disk, file) = disk_with(b"one");
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.flip(&path("f"), 0, 0x20);
    assert!(disk.read_whole(&path("f")).unwrap().starts_with(b"One"));
    assert!(after(&disk, CutPolicy::DropAll).unwrap().starts_with(b"One"));
}

#[test]
fn same_seed_gives_the_same_wreck() {
    let wreck = || {
        let (disk, file) = disk_with(&[7; 30_000]);
        disk.sync_dir(Path::new("/d")).unwrap();
        file.sync_data().unwrap();
        file.write_all_at(&[8; 30_000], 100).unwrap();
        synced_file(&disk, "g", b"x");
        let disk = disk.power_cut(CutPolicy::Random);
        (disk.paths(), disk.read_whole(&path("f")))
    };
    assert_eq!(wreck(), wreck());
}

#[test]
fn call_log_has_a_line_for_each_counted_call() {
    let disk = SimDisk::new(1);
    disk.keep_call_log();
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.create_dir_all(Path::new("/d")).unwrap();
    let file = synced_file(&disk, "f", b"abc");
    file.len().unwrap();
    disk.list(Path::new("/d")).unwrap();
    disk.lock(&path("LOCK")).unwrap();
    assert_eq!(
        disk.call_log(),
        [
            "1 create_dir_all /d",
            "2 create /d/f",
            "3 write /d/f 0+3",
            "4 sync_data /d/f",
            "5 lock /d/LOCK"
        ]
    );
    assert_eq!(disk.calls(), 5);
}
