//! What every [`Disk`] owes, asked of the real machine and of the simulated one alike.
//!
//! In: a disk and an empty directory on it. Out: a panic where they differ. What the simulator does
//! beyond this (power cuts, faults) is tested beside it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::os::OsDisk;
use super::sim::SimDisk;
use super::{Disk, File, LockOutcome, MapAccess, OpenMode};

/// Runs one check on each kind of disk.
fn on_each(check: fn(&dyn Disk, &Path)) {
    let dir = tempfile::tempdir().expect("temporary directory");
    check(&OsDisk::new(), dir.path());
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/d")).expect("directory");
    check(&disk, Path::new("/d"));
}

fn file_with(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.create(path).expect("created");
    file.write_all_at(bytes, 0).expect("written");
    file
}

fn read(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).expect("opened");
    let mut bytes = vec![0; file.len().expect("length") as usize];
    assert_eq!(file.read_at(&mut bytes, 0).expect("read"), bytes.len());
    bytes
}

#[test]
fn file_is_created_once_and_read_back() {
    on_each(|disk, dir| {
        let path = dir.join("f");
        let file = file_with(disk, &path, b"atoll");
        file.write_all_at(b"xy", 7).expect("written past the end");
        file.sync_data().expect("synced");
        disk.sync_dir(dir).expect("synced");
        assert_eq!(read(disk, &path), b"atoll\0\0xy");
        let mut short = [0; 4];
        assert_eq!(file.read_at(&mut short, 7).expect("read"), 2);
        assert_eq!(file.read_at(&mut short, 9).expect("read at the end"), 0);
        assert_eq!(file.read_at(&mut short, 1000).expect("read beyond"), 0);
        assert_eq!(disk.create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(disk.exists(&path).expect("looked up"));
        assert!(!disk.exists(&dir.join("g")).expect("looked up"));
    });
}

#[test]
fn empty_write_past_the_end_does_not_grow_a_file() {
    on_each(|disk, dir| {
        let file = file_with(disk, &dir.join("f"), b"");
        file.write_all_at(b"", 100).expect("nothing written");
        assert_eq!(file.len().expect("length"), 0);
    });
}

#[test]
fn a_second_name_leads_to_the_same_bytes_and_outlives_the_first() {
    on_each(|disk, dir| {
        let (first, second) = (dir.join("f"), dir.join("g"));
        let file = file_with(disk, &first, b"one");
        disk.link(&first, &second).expect("linked");
        let taken = disk.link(&first, &second).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        file.write_all_at(b"two", 0).expect("written");
        assert_eq!(read(disk, &second), b"two");
        disk.remove_file(&first).expect("removed");
        assert_eq!(read(disk, &second), b"two");
        assert_eq!(
            disk.link(&first, &dir.join("h")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    });
}

#[test]
fn missing_things_are_not_found() {
    on_each(|disk, dir| {
        let (gone, below) = (dir.join("gone"), dir.join("gone/f"));
        let kinds = [
            disk.open(&gone, OpenMode::Read).unwrap_err().kind(),
            disk.create(&below).unwrap_err().kind(),
            disk.rename(&gone, &dir.join("f")).unwrap_err().kind(),
            disk.remove_file(&gone).unwrap_err().kind(),
            disk.remove_dir_all(&gone).unwrap_err().kind(),
            disk.sync_dir(&gone).unwrap_err().kind(),
            disk.list(&gone).unwrap_err().kind(),
            disk.lock(&below).unwrap_err().kind(),
        ];
        assert_eq!(kinds, [ErrorKind::NotFound; 8]);
        file_with(disk, &dir.join("f"), b"");
        assert_eq!(
            disk.rename(&dir.join("f"), &below).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    });
}

#[test]
fn allocation_grows_with_zeros_and_never_shrinks() {
    on_each(|disk, dir| {
        let file = file_with(disk, &dir.join("f"), b"abc");
        file.allocate(10_000).expect("allocated");
        assert_eq!(file.len().expect("length"), 10_000);
        file.allocate(5).expect("nothing to do");
        assert_eq!(file.len().expect("length"), 10_000);
        let bytes = read(disk, &dir.join("f"));
        assert!(bytes.starts_with(b"abc") && bytes[3..].iter().all(|byte| *byte == 0));
    });
}

#[test]
fn maps_and_writes_see_each_other() {
    on_each(|disk, dir| {
        let file = file_with(disk, &dir.join("f"), b"");
        file.allocate(8192).expect("allocated");
        let reader = file.map(8192, MapAccess::Read).expect("mapped");
        let writer = file.map(8192, MapAccess::Write).expect("mapped");
        writer.store_u64(4096, 7, Ordering::Release);
        assert_eq!(reader.load_u64(4096, Ordering::Acquire), 7);
        writer.atomic_u64(4096).fetch_add(1, Ordering::AcqRel);
        assert_eq!(reader.load_u64(4096, Ordering::Acquire), 8);
        file.write_all_at(b"by write", 16).expect("written");
        // SAFETY: one thread; nothing stores to these bytes while the slices live.
        #[expect(unsafe_code, reason = "spans of a map are unsafe to ask for")]
        unsafe {
            writer.copy_in(30, b"by map");
            assert_eq!(reader.bytes(16, 20), b"by write\0\0\0\0\0\0by map");
        }
        assert_eq!(&read(disk, &dir.join("f"))[30..36], b"by map");
    });
}

#[test]
fn growing_and_removing_a_file_leaves_its_maps_in_place() {
    on_each(|disk, dir| {
        let file = file_with(disk, &dir.join("f"), b"12345678");
        let map = file.map(8, MapAccess::Read).expect("mapped");
        let before = (map.as_ptr(), map.load_u64(0, Ordering::Acquire));
        file.allocate(3 << 20).expect("allocated");
        disk.remove_file(&dir.join("f")).expect("removed");
        drop(file);
        assert_eq!((map.as_ptr(), map.load_u64(0, Ordering::Acquire)), before);
    });
}

#[test]
fn map_is_refused_past_the_end_and_when_empty() {
    on_each(|disk, dir| {
        let file = file_with(disk, &dir.join("f"), b"12345678");
        for len in [0, 9, usize::MAX] {
            assert_eq!(
                file.map(len, MapAccess::Read).unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{len}"
            );
        }
    });
}

#[test]
fn file_opened_for_reading_takes_no_writes() {
    on_each(|disk, dir| {
        file_with(disk, &dir.join("f"), b"12345678");
        let file = disk.open(&dir.join("f"), OpenMode::Read).expect("opened");
        assert_eq!(
            file.write_all_at(b"x", 0).unwrap_err().raw_os_error(),
            Some(libc::EBADF)
        );
        assert_eq!(file.allocate(100).unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(
            file.map(8, MapAccess::Write).unwrap_err().raw_os_error(),
            Some(libc::EACCES)
        );
        assert_eq!(file.map(8, MapAccess::Read).expect("mapped").len(), 8);
        assert_eq!(
            disk.open(dir, OpenMode::Read).unwrap_err().kind(),
            ErrorKind::IsADirectory
        );
    });
}

#[test]
fn rename_replaces_its_target_and_moves_directories() {
    on_each(|disk, dir| {
        file_with(disk, &dir.join("new"), b"new");
        let old = file_with(disk, &dir.join("old"), b"old");
        disk.rename(&dir.join("new"), &dir.join("old")).expect("renamed");
        assert_eq!(read(disk, &dir.join("old")), b"new");
        assert!(!disk.exists(&dir.join("new")).expect("looked up"));
        let mut kept = [0; 3];
        old.read_at(&mut kept, 0).expect("handles outlive names");
        assert_eq!(&kept, b"old");

        disk.create_dir_all(&dir.join("a/b")).expect("made");
        file_with(disk, &dir.join("a/b/f"), b"deep");
        disk.rename(&dir.join("a"), &dir.join("c")).expect("renamed");
        assert_eq!(read(disk, &dir.join("c/b/f")), b"deep");
        disk.create_dir_all(&dir.join("full/x")).expect("made");
        let kind = |from: &str, to: &str| disk.rename(&dir.join(from), &dir.join(to)).unwrap_err().kind();
        assert_eq!(kind("c", "full"), ErrorKind::DirectoryNotEmpty);
        assert_eq!(kind("c", "old"), ErrorKind::NotADirectory);
        assert_eq!(kind("old", "c"), ErrorKind::IsADirectory);
        assert_eq!(kind("c", "c/b/inside"), ErrorKind::InvalidInput);
    });
}

#[test]
fn directories_are_made_listed_and_removed_with_all_they_hold() {
    on_each(|disk, dir| {
        disk.create_dir_all(&dir.join("b/c")).expect("made");
        disk.create_dir_all(&dir.join("b/c")).expect("made again");
        file_with(disk, &dir.join("a"), b"12");
        file_with(disk, &dir.join("b/c/f"), b"1");
        let listed = disk.list(dir).expect("listed");
        let listed: Vec<_> = listed
            .iter()
            .map(|e| (e.name.as_str(), e.is_dir, e.len))
            .collect();
        assert_eq!(listed, [("a", false, 2), ("b", true, 0)]);
        assert!(
            disk.create_dir_all(&dir.join("a")).is_err(),
            "a file is in the way"
        );
        assert!(
            disk.create_dir_all(&dir.join("a/d")).is_err(),
            "a file is in the way"
        );
        disk.remove_dir_all(&dir.join("b")).expect("removed");
        assert_eq!(disk.list(dir).expect("listed").len(), 1);
        assert!(!disk.exists(&dir.join("b/c/f")).expect("looked up"));
    });
}

#[test]
fn lock_excludes_names_its_holder_and_is_released_by_drop() {
    on_each(|disk, dir| {
        let path = dir.join("LOCK");
        let LockOutcome::Acquired(guard) = disk.lock(&path).expect("locked") else {
            panic!("nobody else is here");
        };
        let LockOutcome::Held(holder) = disk.lock(&path).expect("asked") else {
            panic!("two holders");
        };
        assert!(holder.pid > 0 && !holder.host.is_empty(), "{holder:?}");
        let text = String::from_utf8(read(disk, &path)).expect("text");
        assert_eq!(text, format!("{} {}\n", holder.pid, holder.host));
        drop(guard);
        assert!(
            disk.exists(&path).expect("looked up"),
            "removing it would race with the next holder"
        );
        assert!(matches!(
            disk.lock(&path).expect("locked"),
            LockOutcome::Acquired(_)
        ));
    });
}

#[test]
fn space_and_boot_are_told() {
    on_each(|disk, dir| {
        let free = disk.free_bytes(dir).expect("asked");
        assert!(0 < free && free <= disk.total_bytes(dir).expect("asked"));
        disk.supports_writable_maps(dir).expect("asked");
        assert_ne!(disk.boot_id(), [0; 16]);
        assert_eq!(disk.boot_id(), disk.boot_id());
    });
}
