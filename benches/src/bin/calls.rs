//! Reads a store as a Rust program does, for `benches/calls/calls.py`, which compares languages.
//!
//! `calls fill STORE ENTRIES` makes the store of a file of entries (a key of 16 bytes, a value of 100) and compacts it.
//! `calls read STORE KEYS` takes lines `WORK FIRST COUNT TURNS` on stdin: opens the store, reads the COUNT keys from number FIRST of the
//! file KEYS, TURNS times, after a time that does not count, and answers with nanoseconds a key: the median over
//! slices of 1,000 keys, each timed on its own, so that a slice in which another program ran does not count for more than one. WORK is `get`, or `many`
//! of 1,000 keys at a time. Must never: time the opening, or pass over a key that is missing.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use atoll::store::{CompactionLimits, Durability, Store, WriteBatch};
use atoll_benches::store::{open, options};

const KEY: usize = 16;
const VALUE: usize = 100;
const MANY: usize = 1000;

type Outcome = Result<(), Box<dyn Error>>;

fn fill(store: &Path, entries: &Path) -> Outcome {
    let store = open(store, &options());
    let entries = std::fs::read(entries)?;
    for part in entries.chunks((KEY + VALUE) * MANY) {
        let mut batch = WriteBatch::new();
        for entry in part.chunks_exact(KEY + VALUE) {
            let (key, value) = entry.split_at(KEY);
            batch.put(key, value);
        }
        store.write(&batch, Durability::Buffered)?;
    }
    store.compact(&CompactionLimits::default(), &mut |_| {})?;
    store.close()?;
    Ok(())
}

/// Bytes of all values of the keys, each copied to where the caller wants it, as the other languages do.
fn pass(store: &Store, work: &str, keys: &[[u8; KEY]], room: &mut [u8]) -> Result<usize, Box<dyn Error>> {
    let mut bytes = 0;
    if work == "many" {
        for part in keys.chunks(MANY) {
            let mut at = 0;
            store.multi_get_with(part, |_, value| {
                let value = value.unwrap_or_default();
                room[at..at + value.len()].copy_from_slice(value);
                at += value.len();
            })?;
            bytes += at;
        }
        return Ok(bytes);
    }
    for key in keys {
        let read = |value: &[u8]| {
            room[..value.len()].copy_from_slice(value);
            value.len()
        };
        bytes += store.get_with(key, read)?.ok_or("a key is missing")?;
        std::hint::black_box(&room);
    }
    Ok(bytes)
}

fn read(path: &Path, keys: &Path) -> Outcome {
    let keys = std::fs::read(keys)?;
    let (keys, _) = keys.as_chunks::<KEY>();
    let mut room = vec![0; VALUE * MANY];
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let [work, first, count, turns] = words[..] else {
            return Err(format!("what is {line:?}?").into());
        };
        let (first, count, turns): (usize, usize, usize) = (first.parse()?, count.parse()?, turns.parse()?);
        let keys = &keys[first..first + count];
        let store = open(path, &options());
        pass(&store, work, keys, &mut room)?;
        let (mut bytes, mut slices) = (0, Vec::with_capacity(turns * count.div_ceil(MANY)));
        for _ in 0..turns {
            for slice in keys.chunks(MANY) {
                let begin = Instant::now();
                bytes += pass(&store, work, slice, &mut room)?;
                slices.push(begin.elapsed().as_nanos() as f64 / slice.len() as f64);
            }
        }
        if bytes != count * turns * VALUE {
            return Err("a value is missing".into());
        }
        store.close()?;
        slices.sort_by(f64::total_cmp);
        println!(
            "{}",
            slices.get(slices.len() / 2).ok_or("no keys were asked for")?
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fill", store, entries] => fill(store.as_ref(), entries.as_ref()),
        ["read", store, keys] => read(store.as_ref(), keys.as_ref()),
        _ => Err("usage: calls fill STORE ENTRIES | calls read STORE KEYS".into()),
    }
}
