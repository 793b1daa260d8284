//! Point reads: keys that are there, keys that are not, sixteen at a time.
//!
//! In: which keys. Out: rates. Every value is looked at: its length, its first bytes, its last one.

use super::Ground;
use crate::storage::Result;
use crate::storage::engine::{Reader, Store};
use crate::storage::keys::{Choice, expect_fit, key};
use crate::storage::measure::{FAST, Until, run};
use crate::storage::results::Figures;

/// Keys of a `multi_get`.
pub const KEYS_AT_ONCE: usize = 16;
/// Of numbers with this bit no key was ever put.
const NEVER_PUT: u64 = 1 << 60;

/// Which keys are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// How they are chosen.
    pub choice: Choice,
    /// Whether they are there.
    pub hit: bool,
}

/// Gets single keys.
pub fn get<S: Store>(
    store: &S,
    ground: &Ground,
    threads: usize,
    keys: &Keys,
    held: bool,
    seconds: f64,
) -> Result<Figures> {
    let draws = ground.draws(keys.choice);
    run(threads, Until::seconds(seconds), FAST, 1, |thread| {
        let mut reader = store.reader(held)?;
        let mut picker = draws.picker(thread as u64);
        Ok(move |_| {
            let n = picker.pick();
            if !keys.hit {
                let n = n | NEVER_PUT;
                let found = reader.get(&key(n), |_| {})?;
                expect_fit(!found, n)?;
                return Ok(0);
            }
            let mut fits = false;
            reader.get(&key(n), |value| fits = ground.values.fits(n, value))?;
            expect_fit(fits, n)?;
            Ok(0)
        })
    })
}

/// Gets sixteen keys with one call. A rate counts keys, a time is that of a call.
pub fn multi_get<S: Store>(store: &S, ground: &Ground, threads: usize, seconds: f64) -> Result<Figures> {
    let draws = ground.draws(Choice::Uniform);
    run(
        threads,
        Until::seconds(seconds),
        FAST,
        KEYS_AT_ONCE as u64,
        |thread| {
            let mut reader = store.reader(false)?;
            let mut picker = draws.picker(thread as u64);
            Ok(move |_| {
                let numbers: [u64; KEYS_AT_ONCE] = std::array::from_fn(|_| picker.pick());
                let keys = numbers.map(key);
                let mut fitting = 0;
                reader.multi_get(&keys, |place, value| {
                    fitting += usize::from(ground.values.fits(numbers[place], value));
                })?;
                expect_fit(fitting == KEYS_AT_ONCE, numbers[0])?;
                Ok(0)
            })
        },
    )
}
