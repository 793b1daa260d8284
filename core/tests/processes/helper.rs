//! What the helper processes do.

use std::io::Write;
use std::path::PathBuf;

use atoll::store::{Durability, WriteBatch};

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

fn say(thread: u32, number: u64) {
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
        other => panic!("unknown helper {other}"),
    }
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
