//! A file system that is really full.

use std::path::{Path, PathBuf};
use std::process::Command;

use atoll::io::Env;
use atoll::store::{Durability, Store};

use crate::{open, options};

/// A small tmpfs, unmounted when dropped. `None` where this process may not mount.
struct Small(
    PathBuf,
    #[expect(dead_code, reason = "removed after the unmount")] tempfile::TempDir,
);

impl Small {
    fn mount(bytes: u64) -> Option<Small> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Small(dir.path().to_owned(), dir)),
            Ok(output) => {
                eprintln!(
                    "SKIPPED: cannot mount: {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                );
                None
            }
            Err(error) => {
                eprintln!("SKIPPED: cannot mount: {error}");
                None
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn fill(dir: &Path, name: &str) {
    use std::io::Write;
    let mut file = std::fs::File::create(dir.join(name)).expect("created");
    while file.write_all(&[7; 4096]).is_ok() {}
    while file.write_all(&[7; 1]).is_ok() {}
}

/// Removes what [`fill`] wrote. A program that another thread is just starting has copies of all descriptors
/// for a moment, so the space may come back a little later than the name goes.
fn empty(dir: &Path, name: &str) {
    std::fs::remove_file(dir.join(name)).expect("removed");
    let probe = dir.join("probe");
    for _ in 0..1000 {
        let found = std::fs::write(&probe, vec![0; 4 << 20]).is_ok();
        let _ = std::fs::remove_file(&probe);
        if found {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the space of a removed file has not come back");
}

#[test]
fn full_file_system_is_an_error_of_its_own_reads_go_on_and_space_is_found_again() {
    let Some(small) = Small::mount(24 << 20) else {
        return;
    };
    let dir = small.0.join("store");
    let store = open(&dir);
    store.put(b"first", b"value", Durability::Synced).expect("put");
    fill(&small.0, "ballast");
    let mut acknowledged = 0u32;
    let error = loop {
        let durability = if acknowledged % 50 == 7 {
            Durability::Synced
        } else {
            Durability::Buffered
        };
        match store.put(
            &acknowledged.to_le_bytes(),
            &[acknowledged as u8; 3000],
            durability,
        ) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 100_000, "the file system never fills up");
    };
    assert!(error.is_disk_full(), "{error}");
    assert_eq!(store.poisoned(), None);
    let check = |store: &atoll::store::Store| {
        for n in 0..acknowledged {
            let value = store
                .get(&n.to_le_bytes())
                .expect("readable")
                .expect("acknowledged");
            assert_eq!(&value[..], [n as u8; 3000]);
        }
    };
    check(&store);
    store.sync().expect("what has its space becomes durable");
    // Still full: still the same error, and still not poisoned.
    let again = store
        .put(b"again", &[1; 3000], Durability::Buffered)
        .expect_err("full");
    assert!(again.is_disk_full(), "{again}");
    empty(&small.0, "ballast");
    store
        .put(b"again", &[1; 3000], Durability::Synced)
        .expect("space is back");
    check(&store);
    // A full disk does not keep a store from being closed or opened, either.
    fill(&small.0, "ballast");
    drop(store);
    empty(&small.0, "ballast");
    let store = open(&dir);
    check(&store);
    assert!(store.get(b"again").expect("readable").is_some());
    store.close().expect("closed");
}

#[test]
fn store_with_holes_on_a_full_file_system_is_an_error_and_not_a_signal() {
    let Some(small) = Small::mount(24 << 20) else {
        return;
    };
    let (dir, copy) = (small.0.join("store"), small.0.join("copy"));
    let store = open(&dir);
    store.put(b"key", b"value", Durability::Synced).expect("put");
    store.close().expect("closed");
    let copied = Command::new("cp")
        .args(["-r", "--sparse=always"])
        .arg(&dir)
        .arg(&copy)
        .status();
    assert!(copied.expect("cp runs").success());
    fill(&small.0, "ballast");
    let opened = Store::open_standalone(&Env::os(), &copy, &options());
    let error = opened.expect_err("no space for what the copy left out");
    assert!(error.is_disk_full(), "{error}");
    empty(&small.0, "ballast");
    let store = open(&copy);
    assert_eq!(
        store.get(b"key").expect("readable").as_deref(),
        Some(&b"value"[..])
    );
    for n in 0..500u32 {
        store
            .put(&n.to_le_bytes(), &[1; 1000], Durability::Buffered)
            .expect("put");
    }
    store.close().expect("closed");
}
