//! Pages under a map that cannot be read: the key that needs one gets an error that names the place, every
//! other key its value, and the process lives.

use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use atoll::io::sim::SimDisk;
use atoll::io::{Disk, Env};
use atoll::store::{CompactionLimits, Durability, Store, StoreError, WritePath};

const KEYS: u32 = 600;
const VALUE_BYTES: usize = 3000;

fn put_all(store: &Store) {
    for n in 0..KEYS {
        store
            .put(
                &n.to_be_bytes(),
                &vec![n as u8; VALUE_BYTES],
                Durability::Buffered,
            )
            .expect("put");
    }
}

fn open(env: &Env, dir: &Path) -> Store {
    Store::open_standalone(env, dir, &super::options(1, WritePath::Map)).expect("opened")
}

/// The first file of a store with this ending.
fn file_of(env: &Env, dir: &Path, below: &str) -> PathBuf {
    let dir = dir.join(below);
    let entries = env.disk.list(&dir).expect("listed");
    dir.join(&entries.first().expect("a file").name)
}

/// Reads every key; returns how many were there and the errors of the others.
fn read_all(store: &Store) -> (u32, Vec<StoreError>) {
    let (mut good, mut errors) = (0, Vec::new());
    for n in 0..KEYS {
        match store.get(&n.to_be_bytes()) {
            Ok(value) => {
                let value = value.unwrap_or_else(|| panic!("{n} must not be missing"));
                assert!(value.len() == VALUE_BYTES && value.iter().all(|byte| *byte == n as u8));
                good += 1;
            }
            Err(error) => errors.push(error),
        }
    }
    (good, errors)
}

fn assert_named(errors: &[StoreError], path: &Path, from: u64, what: &str) {
    assert!(!errors.is_empty());
    for error in errors {
        let damage = error.damage().unwrap_or_else(|| panic!("{error}"));
        assert_eq!(damage.path, path, "{error}");
        assert!(damage.offset >= from && damage.offset % 4096 == 0, "{error}");
        assert!(damage.what.contains(what), "{error}");
    }
}

#[test]
fn a_file_that_somebody_cut_short_under_the_map_gives_errors_and_kills_nobody() {
    for compacted in [false, true] {
        let temp = tempfile::tempdir().unwrap();
        let (env, dir) = (Env::os(), temp.path().join("s"));
        let store = open(&env, &dir);
        put_all(&store);
        if compacted {
            store.compact(&CompactionLimits::default(), &mut |_| {}).unwrap();
        }
        store.close().unwrap();

        let store = open(&env, &dir);
        let path = file_of(&env, &dir, if compacted { "tables" } else { "log" });
        let len = fs::metadata(&path).unwrap().len();
        let cut = len / 2 / 4096 * 4096;
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(cut)
            .unwrap();
        if compacted {
            // The index section stands at the end, and without it nothing vouches for the rest.
            let (good, errors) = read_all(&store);
            assert_eq!(good + errors.len() as u32, KEYS);
            assert_named(&errors, &path, cut, "cut short");
        } else {
            let (good, errors) = read_all(&store);
            assert!(
                good > KEYS / 3,
                "{good} of {KEYS} are in front of the cut or in other segments"
            );
            assert_named(&errors, &path, cut, "cut short");
            // Twice the same, and writers go on.
            assert_eq!(read_all(&store).0, good);
            store.put(b"more", b"x", Durability::Synced).unwrap();
            println!("log: {good} of {KEYS} keys read after the cut");
        }
        let report = store.verify(&mut |_, _| {}).unwrap();
        assert!(
            report
                .damage
                .iter()
                .any(|damage| damage.path == path && damage.offset >= cut)
        );
        let scanned = store.snapshot();
        let scan = scanned.scan(Bound::Unbounded, Bound::Unbounded);
        let failed = scan.map_or(true, |mut scan| scan.any(|entry| entry.is_err()));
        assert!(failed, "a scan meets the damage as well");
        drop(scanned);
        let error = store
            .backup(&temp.path().join("b"), &Default::default(), &mut |_, _| {})
            .unwrap_err();
        assert_eq!(error.damage().expect("damage").path, path);
    }
}

#[test]
fn a_page_the_disk_cannot_read_is_named_and_other_keys_are_read() {
    for below in ["log", "tables"] {
        let disk = SimDisk::new(3);
        let env = super::env(&disk, 1);
        let store = open(&env, super::dir());
        put_all(&store);
        if below == "tables" {
            store.compact(&CompactionLimits::default(), &mut |_| {}).unwrap();
        }
        store.close().unwrap();
        let store = open(&env, super::dir());
        let path = file_of(&env, super::dir(), below);
        let page = 4096 * 40;
        disk.spoil(&path, page);
        let (good, errors) = read_all(&store);
        // A page of 4,096 bytes holds parts of at most three such values.
        assert!(
            errors.len() <= 3 && good + errors.len() as u32 == KEYS,
            "{below}: {good}"
        );
        assert_named(&errors, &path, page, "cannot be read");
        assert!(errors.iter().all(|error| error.damage().unwrap().offset == page));
        let report = store.verify(&mut |_, _| {}).unwrap();
        assert_eq!((&report.damage[0].path, report.damage[0].offset), (&path, page));
    }
}

/// Bytes that cannot be read are no torn tail: whether they were written nobody can say.
#[test]
fn an_unreadable_page_stops_recovery_and_cuts_nothing() {
    let disk = SimDisk::new(4);
    let env = super::env(&disk, 1);
    let store = open(&env, super::dir());
    put_all(&store);
    drop(store);
    let disk = disk.process_crash();
    let env = super::env(&disk, 2);
    let last = {
        let entries = disk.list(&super::dir().join("log")).unwrap();
        let mut segments = entries.iter().filter(|entry| entry.name.ends_with(".seg"));
        super::dir().join("log").join(&segments.next_back().unwrap().name)
    };
    disk.spoil(&last, 4096 * 9);
    let error = Store::open_standalone(&env, super::dir(), &super::options(1, WritePath::Map)).unwrap_err();
    let damage = error.damage().unwrap_or_else(|| panic!("{error}"));
    assert_eq!((damage.path, damage.offset), (last, 4096 * 9));
}
