//! What the helper processes do.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use atoll::io::Env;
use atoll::store::{Durability, ReaderOptions, Store, StoreError, WriteBatch};

/// Threads of a writing helper.
pub const THREADS: u32 = 3;
/// Keys each of them goes round.
pub const KEYS: u64 = 3000;

/// One line of a helper: a mark to tell it from what the test harness prints, thread, number.
pub const MARK: &[u8; 4] = b"\x01ack";
pub const LINE: usize = 16;

pub fn key(thread: u32, number: u64) -> Vec<u8> {
    format!("{thread}-{}", number % KEYS).into_bytes()
}

pub fn value(thread: u32, number: u64) -> Vec<u8> {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(8 + (number as usize * 131 + thread as usize) % 900, number as u8);
    value
}

pub fn say(thread: u32, number: u64) {
    let mut line = [0u8; LINE];
    line[..4].copy_from_slice(MARK);
    line[4..8].copy_from_slice(&thread.to_le_bytes());
    line[8..].copy_from_slice(&number.to_le_bytes());
    // One system call, whole or not at all: shorter than what a pipe takes at once.
    let mut out = std::io::stdout().lock();
    out.write_all(&line)
        .and_then(|()| out.flush())
        .expect("the parent listens");
}

#[test]
fn entry() {
    let Ok(what) = std::env::var("ATOLL_HELPER") else {
        return;
    };
    let dir = PathBuf::from(std::env::var("ATOLL_HELPER_DIR").expect("set by the parent"));
    let seed: u64 = std::env::var("ATOLL_HELPER_SEED")
        .expect("set by the parent")
        .parse()
        .expect("a number");
    match what.as_str() {
        "write" => write(&dir, seed),
        "hold" => hold(&dir),
        "read" => read(&dir),
        "model" => crate::model::write(&dir, seed),
        "snapshot" => snapshot(&dir),
        other => panic!("unknown helper {other}"),
    }
}

/// Opens the store and waits for the parent to close the pipe.
fn hold(dir: &std::path::Path) {
    let store = crate::open(dir);
    say(0, 0);
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    store.close().expect("closed");
}

/// Writes from several threads until killed; reports each write once it was acknowledged.
fn write(dir: &std::path::Path, first: u64) {
    let store = crate::open(dir);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for number in first.. {
                    let durability = if number % 64 == 0 {
                        Durability::Synced
                    } else {
                        Durability::Buffered
                    };
                    if number % 10 == 3 {
                        let mut batch = WriteBatch::new();
                        batch.put(key(thread, number), value(thread, number));
                        batch.put(format!("{thread}-twin"), number.to_le_bytes());
                        store.write(&batch, durability).expect("written");
                    } else {
                        store
                            .put(&key(thread, number), &value(thread, number), durability)
                            .expect("put");
                    }
                    say(thread, number);
                }
            });
        }
    });
}

/// Reads everything over and over, by gets and by snapshots, until killed or told to end.
fn read(dir: &std::path::Path) {
    let reader = Store::open_reader(&Env::os(), dir, &ReaderOptions::default()).expect("opens");
    let over = Arc::new(AtomicBool::new(false));
    let seen = Mutex::new(0u64);
    std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            over.store(true, Ordering::Relaxed);
        }
    });
    let mut rounds = 0;
    while !over.load(Ordering::Relaxed) {
        for thread in 0..THREADS {
            for number in 0..200 {
                if let Some(value) = reader.get(&key(thread, number)).expect("readable") {
                    let found = u64::from_le_bytes(value[..8].try_into().expect("a number"));
                    assert_eq!(found % KEYS, number, "the value of another key");
                    *seen.lock().expect("unpoisoned") += 1;
                }
            }
        }
        if rounds % 8 == 0 {
            let snapshot = reader.snapshot().expect("taken");
            let scan = |snapshot: &atoll::store::ReaderSnapshot| -> Vec<(Vec<u8>, u64)> {
                snapshot
                    .scan(std::ops::Bound::Unbounded, std::ops::Bound::Unbounded)
                    .expect("opens")
                    .map(|entry| entry.expect("readable"))
                    .map(|entry| (entry.key.to_vec(), entry.lsn.0))
                    .collect()
            };
            let once = scan(&snapshot);
            assert_eq!(once, scan(&snapshot), "a snapshot reads the same twice");
            for (key, lsn) in once.iter().step_by(37) {
                let value = snapshot
                    .get(key)
                    .expect("readable")
                    .expect("scanned a moment ago");
                assert_eq!(value.lsn().0, *lsn);
            }
        }
        rounds += 1;
        say(0, rounds);
    }
}

/// Takes a snapshot and keeps it until killed.
fn snapshot(dir: &std::path::Path) {
    let reader = Store::open_reader(&Env::os(), dir, &ReaderOptions::default()).expect("opens");
    let snapshot = reader.snapshot().expect("taken");
    say(0, snapshot.lsn().0);
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    say(
        match snapshot.get(&key(0, 0)) {
            Ok(Some(value)) if &value[..] == b"held" => 0,
            Err(StoreError::SnapshotTooOld { .. }) => 1,
            _ => 2,
        },
        0,
    );
}
