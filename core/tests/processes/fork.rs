//! One writer at a time, and children of fork.

use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use atoll::io::Env;
use atoll::log::LogError;
use atoll::store::{Durability, Store, StoreError};

use crate::helper::LINE;
use crate::{open, options, signal, start};

/// Waits for the first thing a helper says.
pub fn wait_for_word(child: &mut Child) -> (u32, u64) {
    let out = child.stdout.as_mut().expect("piped");
    let mut line = Vec::new();
    let mut byte = [0u8; 1];
    // The test harness prints a few lines of its own first.
    while out.read(&mut byte).expect("read") == 1 {
        line.push(byte[0]);
        if line.len() >= LINE && line[line.len() - LINE..].starts_with(crate::helper::MARK) {
            let word = &line[line.len() - LINE..];
            let thread = u32::from_le_bytes(word[4..8].try_into().expect("four bytes"));
            return (
                thread,
                u64::from_le_bytes(word[8..].try_into().expect("eight bytes")),
            );
        }
    }
    panic!("the helper ended without a word");
}

pub fn end(mut child: Child) {
    drop(child.stdin.take());
    let mut rest = Vec::new();
    let _ = child.stdout.take().expect("piped").read_to_end(&mut rest);
    assert!(child.wait().expect("waited").success());
}

pub fn kill(mut child: Child) {
    child.kill().expect("killed");
    child.wait().expect("waited");
}

fn refusal(dir: &Path) -> StoreError {
    Store::open(&Env::os(), dir, &options()).expect_err("in use")
}

#[test]
fn second_writer_is_told_process_and_host_of_the_first_and_a_dead_one_blocks_nobody() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut child = start("hold", dir.path(), 0);
    wait_for_word(&mut child);
    let error = refusal(dir.path());
    let (_, pid, host) = error.locked_by().expect("locked");
    assert_eq!(pid, child.id());
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    assert_eq!(host, name.trim());
    assert!(
        error.to_string().contains(&format!("process {pid} on {host}")),
        "{error}"
    );
    // Stopped is not dead: its maps are still there.
    signal(&child, libc::SIGSTOP);
    assert!(refusal(dir.path()).locked_by().is_some());
    kill(child);
    open(dir.path()).close().expect("closed");
}

#[test]
#[expect(unsafe_code, reason = "std has no fork")]
fn child_of_a_fork_is_refused_and_keeps_nobody_from_the_store() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    store.put(b"key", b"value", Durability::Buffered).expect("put");
    let kept = store.get(b"key").expect("readable").expect("there");
    let snapshot = store.snapshot();
    // SAFETY: the child calls nothing that waits for a lock another thread may have held, and ends
    // without running the destructors and exit handlers of its parent.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let forked = |error: StoreError| matches!(error, StoreError::Log(LogError::Forked { .. }));
        let mut right = store.put(b"key", b"child", Durability::Synced).is_err_and(forked);
        right &= store.get(b"key").is_err_and(forked);
        right &= snapshot.get(b"key").is_err_and(forked);
        right &= store.sync().is_err_and(forked);
        // Values pinned before are on read-only maps, which a child keeps.
        right &= &kept[..] == b"value";
        drop(snapshot);
        // Dropping must neither wait for the parent's thread nor touch what is the parent's.
        drop(store);
        let seconds = if right { 600 } else { 0 };
        // SAFETY: plain system calls; the parent kills the child before the time is over.
        unsafe {
            libc::sleep(seconds);
            libc::_exit(1)
        }
    }
    assert!(child > 0, "forked");
    drop(snapshot);
    std::thread::sleep(Duration::from_millis(300));
    let mut status = 0;
    // SAFETY: `child` is a child of this process and `status` is writable.
    let ended = unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) };
    assert_eq!(
        ended, 0,
        "the child was refused everything and lives (status {status})"
    );
    assert!(
        refusal(dir.path()).locked_by().is_some(),
        "the parent still holds the store"
    );
    store
        .put(b"key", b"parent", Durability::Synced)
        .expect("the parent goes on");
    store.close().expect("closed");
    let started = Instant::now();
    let store = open(dir.path());
    assert!(started.elapsed() < Duration::from_secs(60));
    let value = store.get(b"key").expect("readable").expect("there");
    assert_eq!(&value[..], b"parent");
    // SAFETY: as above.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &mut status, 0);
    }
}
