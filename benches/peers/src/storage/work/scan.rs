//! Reading in order: everything, or a hundred keys from somewhere.
//!
//! In: how many keys. Out: rates in keys (everything) or in scans. The last byte of every value is read,
//! and keys must ascend.

use std::hint::black_box;
use std::time::Instant;

use super::Ground;
use crate::storage::Result;
use crate::storage::engine::{Reader, Store};
use crate::storage::keys::{Choice, key};
use crate::storage::measure::{SLOW, Until, run};
use crate::storage::results::Figures;

/// What a scan has shown.
#[derive(Default)]
struct Seen {
    count: u64,
    last: u64,
    ascending: bool,
    sum: u64,
}

impl Seen {
    fn new() -> Seen {
        Seen {
            ascending: true,
            ..Seen::default()
        }
    }

    #[inline]
    fn see(&mut self, key: &[u8], value: &[u8]) {
        // The first eight bytes: two keys of which these are the same are as good as unheard of.
        let prefix = key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        self.ascending &= prefix >= self.last;
        self.last = prefix;
        self.count += 1;
        self.sum += u64::from(value.last().copied().unwrap_or(0));
    }

    fn expect(&self, count: std::ops::RangeInclusive<u64>) -> Result<()> {
        black_box(self.sum);
        if self.ascending && count.contains(&self.count) {
            return Ok(());
        }
        Err(format!(
            "a scan showed {} keys, not {count:?}, in order: {}",
            self.count, self.ascending
        )
        .into())
    }
}

/// Everything once. What else was put meanwhile may appear too.
pub fn everything<S: Store>(store: &S, ground: &Ground) -> Result<Figures> {
    let mut reader = store.reader(false)?;
    let mut seen = Seen::new();
    let began = Instant::now();
    reader.scan(&[0; 16], usize::MAX, |key, value| seen.see(key, value))?;
    let seconds = began.elapsed().as_secs_f64();
    seen.expect(ground.records..=u64::MAX)?;
    let mut figures = Figures::one("rate", seen.count as f64 / seconds);
    figures.set("operations", seen.count as f64);
    figures.set("seconds", seconds);
    Ok(figures)
}

/// `limit` keys from random keys on.
pub fn some<S: Store>(store: &S, ground: &Ground, limit: usize, seconds: f64) -> Result<Figures> {
    run(1, Until::seconds(seconds), SLOW, 1, |thread| {
        let mut reader = store.reader(false)?;
        let mut picker = ground.draws(Choice::Uniform).picker(thread as u64);
        Ok(move |_| {
            let mut seen = Seen::new();
            reader.scan(&key(picker.pick()), limit, |key, value| seen.see(key, value))?;
            // Near the end of all keys there may be fewer.
            seen.expect(1..=limit as u64)?;
            Ok(0)
        })
    })
}
