//! A small file system of the machine that fills up, with and without a reserve.
//!
//! A binary of its own: it starts processes, and a child holds its parent's locks from fork to exec, so a
//! store that another test has just closed could not be opened at that moment.

use std::path::Path;
use std::process::Command;

use atoll::ids::{ShardId, Uuid};
use atoll::io::Env;
use atoll::store::{Durability, Store, StoreError, StoreIdentity, StoreOptions, WritePath};

fn options(write_path: WritePath, min_free_bytes: u64) -> StoreOptions {
    StoreOptions {
        write_path,
        min_free_bytes,
        segment_max_bytes: 4 << 20,
        ..StoreOptions::new(StoreIdentity {
            cluster: Uuid::NIL,
            shard: ShardId(0),
            node: 1,
        })
    }
}

/// Writes until the disk is full; returns how many writes there were.
fn fill(store: &Store, from: u32, durability: Durability) -> (u32, StoreError) {
    for n in from.. {
        let value = vec![n as u8; 50_000];
        if let Err(error) = store.put(&n.to_be_bytes(), &value, durability) {
            return (n, error);
        }
    }
    unreachable!("every disk is full some day");
}

fn assert_has(store: &Store, keys: u32) {
    for n in 0..keys {
        let value = store.get(&n.to_be_bytes()).expect("readable").expect("there");
        assert!(
            value.len() == 50_000 && value.iter().all(|byte| *byte == n as u8),
            "{n}"
        );
    }
}

/// A tmpfs of its own; `None`, with the reason printed, where mounting is not allowed.
struct Mounted<'p>(&'p Path);

impl Mounted<'_> {
    fn new(dir: &Path, bytes: u64) -> Option<Mounted<'_>> {
        let size = format!("size={bytes}");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir)
            .output();
        match done {
            Ok(done) if done.status.success() => Some(Mounted(dir)),
            Ok(done) => {
                println!(
                    "skipped: mount says {}",
                    String::from_utf8_lossy(&done.stderr).trim()
                );
                None
            }
            Err(error) => {
                println!("skipped: mount cannot be run: {error}");
                None
            }
        }
    }

    fn resize(&self, bytes: u64) {
        let size = format!("remount,size={bytes}");
        let done = Command::new("mount").args(["-o", &size]).arg(self.0).status();
        assert!(done.expect("mount runs").success());
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_small_file_system_of_the_machine_fills_up_without_harm() {
    let temp = tempfile::tempdir().unwrap();
    let Some(mounted) = Mounted::new(temp.path(), 48 << 20) else {
        return;
    };
    let env = Env::os();
    let dir = temp.path().join("store");
    let (mut largest, mut size) = (0, 48u64 << 20);
    // With a reserve, and without one: then the file system itself says that it is full.
    for (min_free_bytes, write_path) in [
        (2 << 20, WritePath::Map),
        (0, WritePath::Map),
        (0, WritePath::Pwrite),
    ] {
        let options = options(write_path, min_free_bytes);
        let store = Store::open_standalone(&env, &dir, &options).unwrap();
        let (written, error) = fill(&store, largest, Durability::Buffered);
        assert!(error.is_disk_full(), "{error}");
        assert!(store.poisoned().is_none());
        let free = env.disk.free_bytes(&dir).unwrap();
        assert!(free >= min_free_bytes, "{free} bytes left of {min_free_bytes}");
        assert_has(&store, written);
        store.sync().unwrap();
        size += 48 << 20;
        mounted.resize(size);
        store
            .put(b"more", b"room", Durability::Synced)
            .expect("space has returned");
        let (more, error) = fill(&store, written, Durability::Synced);
        assert!(error.is_disk_full() && more > written, "{error}");
        assert_has(&store, more);
        println!("tmpfs: full after {written} and, with more room, after {more} writes");
        size += 48 << 20;
        mounted.resize(size);
        assert_eq!(store.verify(&mut |_, _| {}).unwrap().damage, []);
        store.close().unwrap();
        largest = more;
    }
}
