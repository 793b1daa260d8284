//! Putting new keys: single puts, batches, until killed.
//!
//! In: numbers of keys. Out: rates; for a fill that was stopped before its end, that of what it managed.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapMut;

use super::Ground;
use crate::storage::Result;
use crate::storage::engine::{Engine, Reader, Store, Writer};
use crate::storage::keys::key;
use crate::storage::measure::{FAST, SLOW, Until, run};
use crate::storage::results::Figures;

/// Puts of a batch.
pub const BATCH: usize = 1000;

/// Puts the keys `numbers`; threads take turns.
pub fn fill<E: Engine>(
    engine: &E,
    ground: &Ground,
    numbers: Range<u64>,
    threads: usize,
    batch: Option<usize>,
    seconds: f64,
) -> Result<Figures> {
    let mut until = Until::seconds(seconds);
    let each = (numbers.end - numbers.start) / threads as u64;
    let Some(batch) = batch else {
        until.operations = each;
        return run(threads, until, FAST, 1, |thread| {
            let mut writer = engine.writer(thread)?;
            let mut value = Vec::new();
            Ok(move |i| {
                let n = numbers.start + i * threads as u64 + thread as u64;
                ground.values.write(n, 0, &mut value);
                writer.put(&key(n), &value)?;
                Ok(0)
            })
        });
    };
    until.operations = each / batch as u64;
    run(threads, until, SLOW, batch as u64, |thread| {
        let mut writer = engine.writer(thread)?;
        let mut pairs = vec![([0; 16], Vec::new()); batch];
        Ok(move |i| {
            let from = numbers.start + (i * threads as u64 + thread as u64) * batch as u64;
            for (n, (slot, value)) in (from..).zip(&mut pairs) {
                *slot = key(n);
                ground.values.write(n, 0, value);
            }
            writer.put_many(&pairs)?;
            Ok(0)
        })
    })
}

/// Puts new keys one by one, each timed: for puts that wait for a disk.
pub fn durable<E: Engine>(
    engine: &E,
    ground: &Ground,
    from: u64,
    threads: usize,
    seconds: f64,
) -> Result<Figures> {
    run(threads, Until::seconds(seconds), SLOW, 1, |thread| {
        let mut writer = engine.writer(thread)?;
        let mut value = Vec::new();
        Ok(move |i| {
            let n = from + i * threads as u64 + thread as u64;
            ground.values.write(n, 0, &mut value);
            writer.put(&key(n), &value)?;
            Ok(0)
        })
    })
}

/// Puts keys from `from` on until this process is killed, and counts those acknowledged in the first
/// 8 bytes of the file `count`, where they outlive it.
pub fn until_killed<E: Engine>(engine: &E, ground: &Ground, from: u64, count: &Path) -> Result<()> {
    let file = File::options().read(true).write(true).open(count)?;
    // SAFETY: the file is ours and has 8 bytes; the other process only reads it, after this one has ended.
    let map = unsafe { MmapMut::map_mut(&file)? };
    // SAFETY: a map begins at a page, so it is aligned, and is at least 8 bytes long; it lives as long as this
    // function, which does not end.
    let acknowledged = unsafe { &*map.as_ptr().cast::<AtomicU64>() };
    let mut writer = engine.writer(0)?;
    let mut pairs = vec![([0; 16], Vec::new()); E::BATCH.unwrap_or(1)];
    let mut n = from;
    loop {
        for (n, (slot, value)) in (n..).zip(&mut pairs) {
            *slot = key(n);
            ground.values.write(n, 0, value);
        }
        match pairs.as_slice() {
            [(key, value)] => writer.put(key, value)?,
            pairs => writer.put_many(pairs)?,
        }
        n += pairs.len() as u64;
        acknowledged.store(n - from, Ordering::Release);
    }
}

/// How many of the `count` keys from `from` on are missing, or have another key's value.
pub fn missing<S: Store>(store: &S, ground: &Ground, from: u64, count: u64) -> Result<u64> {
    let mut reader = store.reader(true)?;
    let mut missing = 0;
    for n in from..from + count {
        let mut fits = false;
        reader.get(&key(n), |value| fits = ground.values.fits(n, value))?;
        missing += u64::from(!fits);
    }
    Ok(missing)
}
