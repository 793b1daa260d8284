//! Stores to measure: keys in random order, values of 100 bytes.

use std::path::Path;

use atoll::ids::{ShardId, Uuid};
use atoll::io::Env;
use atoll::store::{Durability, Store, StoreIdentity, StoreOptions};

use crate::Numbers;

/// The value of every key.
pub const VALUE: [u8; 100] = [7; 100];

/// Key number `n` of a sequence.
#[must_use]
pub fn key(numbers: &Numbers, n: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&numbers.nth(n).to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

/// Default options of a store on its own.
#[must_use]
pub fn options() -> StoreOptions {
    StoreOptions::new(StoreIdentity {
        cluster: Uuid::NIL,
        shard: ShardId(0),
        node: 1,
    })
}

/// Opens a store on its own.
///
/// # Panics
/// If it cannot be opened.
#[must_use]
pub fn open(dir: &Path, options: &StoreOptions) -> Store {
    Store::open_standalone(&Env::os(), dir, options).expect("the store opens")
}

/// Puts the first `keys` keys of a sequence.
///
/// # Panics
/// If the store takes no writes.
pub fn fill(store: &Store, numbers: &Numbers, keys: u64) {
    for n in 0..keys {
        store
            .put(&key(numbers, n), &VALUE, Durability::Buffered)
            .expect("put");
    }
}
