//! Keys, values, and which key comes next.
//!
//! In: numbers. Out: a key of 16 bytes per number, spread evenly, so that filling in the order of
//! numbers is filling in random order of keys; values without patterns that tell whose they are.

use std::hint::black_box;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Result;
use super::engine::Key;

/// Exponent of the zipfian choice, that of YCSB.
const THETA: f64 = 0.99;
/// Draws prepared ahead, so that drawing costs nothing while the clock runs.
const DRAWS: usize = 1 << 22;
const POOL_BYTES: usize = 64 << 10;

/// A one-to-one mixing of 64 bits (the finalizer of SplitMix64).
#[must_use]
pub fn mixed(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Key number `n`.
#[must_use]
pub fn key(n: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed(n).to_be_bytes());
    key[8..].copy_from_slice(&mixed(!n).to_be_bytes());
    key
}

/// A number below `bound`, of 64 even bits.
#[must_use]
pub fn below(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

/// Values of one length.
#[derive(Clone)]
pub struct Values {
    pool: Arc<[u8]>,
    len: usize,
}

impl Values {
    /// Of `len` bytes, at least 8.
    #[must_use]
    pub fn new(len: usize) -> Values {
        assert!((8..POOL_BYTES / 2).contains(&len), "a value of {len} bytes");
        let pool = (0..POOL_BYTES as u64 / 8).flat_map(|n| mixed(n ^ 0xDA7A).to_le_bytes());
        Values {
            pool: pool.collect(),
            len,
        }
    }

    /// Writes a value of key `n` to `into`; `version` changes all but its first bytes.
    pub fn write(&self, n: u64, version: u64, into: &mut Vec<u8>) {
        let at = below(mixed(n ^ (version << 40)), (POOL_BYTES - self.len) as u64) as usize;
        into.clear();
        into.extend_from_slice(&self.pool[at..at + self.len]);
        into[..8].copy_from_slice(&n.to_le_bytes());
    }

    /// Whether `value` can be that of key `n`; reads its first bytes and its last one.
    #[inline]
    #[must_use]
    pub fn fits(&self, n: u64, value: &[u8]) -> bool {
        black_box(value.last());
        value.len() == self.len && value[..8] == n.to_le_bytes()
    }

    /// Bytes of a value.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len
    }
}

/// How keys are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Each as often as any other.
    Uniform,
    /// A few very often, spread over all keys.
    Zipfian,
}

/// What pickers share: the zipfian draws.
pub struct Draws {
    keys: u64,
    zipfian: Option<Arc<[u32]>>,
}

impl Draws {
    /// Prepares to choose among `keys`.
    #[must_use]
    pub fn new(choice: Choice, keys: u64) -> Draws {
        let zipfian = (choice == Choice::Zipfian).then(|| zipfian(keys));
        Draws { keys, zipfian }
    }

    /// The choices of a thread; `seed` tells it from others.
    #[must_use]
    pub fn picker(&self, seed: u64) -> Picker {
        Picker {
            state: mixed(seed),
            keys: self.keys,
            at: below(mixed(seed), DRAWS as u64) as usize,
            zipfian: self.zipfian.clone(),
        }
    }
}

/// Chooses keys.
pub struct Picker {
    state: u64,
    keys: u64,
    at: usize,
    zipfian: Option<Arc<[u32]>>,
}

impl Picker {
    /// 64 even bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.state)
    }

    /// The number of the next key.
    #[inline]
    pub fn pick(&mut self) -> u64 {
        match &self.zipfian {
            None => {
                let bits = self.bits();
                below(bits, self.keys)
            }
            Some(draws) => {
                self.at = (self.at + 1) % DRAWS;
                u64::from(draws[self.at])
            }
        }
    }
}

/// Ranks by the method of Gray et al., "Quickly generating billion-record synthetic databases"
/// (SIGMOD 1994), each mapped to some key.
fn zipfian(keys: u64) -> Arc<[u32]> {
    let zeta = |n: u64| (1..=n).map(|i| (i as f64).powf(-THETA)).sum::<f64>();
    let (all, two) = (zeta(keys), zeta(2));
    let alpha = 1.0 / (1.0 - THETA);
    let eta = (1.0 - (2.0 / keys as f64).powf(1.0 - THETA)) / (1.0 - two / all);
    let rank = |bits: u64| {
        let u = (bits >> 11) as f64 / (1u64 << 53) as f64;
        if u * all < 1.0 {
            0
        } else if u * all < two {
            1
        } else {
            ((keys as f64) * (eta * u - eta + 1.0).powf(alpha)) as u64
        }
    };
    let draws = (0..DRAWS as u64).map(|i| below(mixed(rank(mixed(i ^ 0x21BF))), keys) as u32);
    draws.collect()
}

/// An error unless everything fitted.
pub fn expect_fit(fits: bool, n: u64) -> Result<()> {
    if fits {
        return Ok(());
    }
    Err(format!("key number {n} is missing or has a value of another key").into())
}

#[cfg(test)]
mod tests {
    use super::{Choice, Draws, Values, key};

    #[test]
    fn a_value_belongs_to_one_key_in_every_version() {
        let values = Values::new(100);
        let mut bytes = Vec::new();
        for version in 0..3 {
            values.write(7, version, &mut bytes);
            assert!(values.fits(7, &bytes));
            assert!(!values.fits(8, &bytes));
            assert!(!values.fits(7, &bytes[..99]));
        }
        assert_ne!(key(7), key(8));
    }

    #[test]
    fn zipfian_choices_stay_in_range_and_prefer_a_few_keys() {
        let draws = Draws::new(Choice::Zipfian, 1000);
        let mut picker = draws.picker(1);
        let mut counts = vec![0; 1000];
        for _ in 0..100_000 {
            counts[picker.pick() as usize] += 1;
        }
        counts.sort_unstable();
        // Of 1,000 keys at 0.99 the first gets 1 / zeta(1000) = 13 %.
        assert!((11_000..16_000).contains(&counts[999]), "{}", counts[999]);
        let uniform = Draws::new(Choice::Uniform, 1000);
        let mut picker = uniform.picker(1);
        assert!((0..1000).all(|_| picker.pick() < 1000));
    }
}
