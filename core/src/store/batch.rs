//! Writes that take effect together or not at all, collected in one piece of memory.
//!
//! In: puts and deletes. Out: operations in the order in which their keys came first, each key once, with
//! what was said of it last. Keys and values lie one behind the other in a single buffer, found again
//! through a small hash table over numbers: a batch of a thousand operations makes a dozen allocations,
//! where a map of keys made three thousand. What must never happen: two operations on one key, which would
//! give both the same predecessor.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::expiry::Expires;
use crate::ids::Hlc;

/// Up to this many operations a walk over all is quicker than a table.
const WALKED: usize = 8;
/// Room for the first operations.
const FIRST_BYTES: usize = 512;
/// Bytes of values replaced from which on it is worth moving the others together.
const WORTH_MOVING: usize = 64 << 10;

/// Writes that take effect together or not at all.
///
/// A later operation on a key replaces an earlier one of the same batch. Not for several threads at once.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    operations: Vec<Stored>,
    /// Open addressing with linear probing: number of an operation plus one, 0 where nothing is. Its length
    /// is a power of two, at least twice the operations; empty up to [`WALKED`] of them.
    table: Vec<u32>,
    /// Bytes of values that later operations have replaced.
    wasted: usize,
}

/// An operation, its key and value in the buffer of the batch.
#[derive(Clone, Copy, Debug)]
struct Stored {
    hash: u64,
    key_at: usize,
    key_len: usize,
    value_at: usize,
    value_len: usize,
    is_delete: bool,
    hlc: Option<Hlc>,
    expires: Expires,
}

/// One operation of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation<'b> {
    pub(super) key: &'b [u8],
    /// `None` deletes.
    pub(super) value: Option<&'b [u8]>,
    /// A stamp it got elsewhere.
    pub(super) hlc: Option<Hlc>,
    pub(super) expires: Expires,
}

/// Differs from process to process: nobody can prepare keys that all meet in one place of the table.
fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| RandomState::new().hash_one(0))
}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> WriteBatch {
        WriteBatch::default()
    }

    /// Adds a put.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.add(key.as_ref(), Some(value.as_ref()), None, Expires::Never);
    }

    /// Adds a put of a value that goes by itself. A time to live counts from the moment the batch is
    /// written.
    pub fn put_expiring(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, expires: Expires) {
        self.add(key.as_ref(), Some(value.as_ref()), None, expires);
    }

    /// Adds a delete.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) {
        self.add(key.as_ref(), None, None, Expires::Never);
    }

    /// Adds a version that exists elsewhere already, with the stamp it got there and its expiry in
    /// milliseconds since 1970.
    pub fn copy_version(
        &mut self,
        key: impl AsRef<[u8]>,
        value: Option<impl AsRef<[u8]>>,
        hlc: Hlc,
        expires_at_ms: Option<u64>,
    ) {
        let expires = expires_at_ms.map_or(Expires::Never, Expires::AtMs);
        self.add(
            key.as_ref(),
            value.as_ref().map(AsRef::as_ref),
            Some(hlc),
            expires,
        );
    }

    /// Operations after replacement.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Bytes of keys and values, without those replaced.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len() - self.wasted
    }

    /// Takes all operations out and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.operations.clear();
        self.table.clear();
        self.wasted = 0;
    }

    /// Keys, in the order in which they came first.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.operations.iter().map(|stored| self.key(stored))
    }

    /// The operations, in the order of [`WriteBatch::keys`].
    pub(super) fn operations(&self) -> impl ExactSizeIterator<Item = Operation<'_>> {
        self.operations.iter().map(|stored| Operation {
            key: self.key(stored),
            value: (!stored.is_delete)
                .then(|| &self.bytes[stored.value_at..stored.value_at + stored.value_len]),
            hlc: stored.hlc,
            expires: stored.expires,
        })
    }

    fn key(&self, stored: &Stored) -> &[u8] {
        &self.bytes[stored.key_at..stored.key_at + stored.key_len]
    }

    fn add(&mut self, key: &[u8], value: Option<&[u8]>, hlc: Option<Hlc>, expires: Expires) {
        let hash = xxh3_64_with_seed(key, seed());
        let (value_len, is_delete) = (value.map_or(0, <[u8]>::len), value.is_none());
        if let Some(number) = self.find(hash, key) {
            self.wasted += self.operations[number].value_len;
            let value_at = self.push(value.unwrap_or(&[]));
            let stored = &mut self.operations[number];
            *stored = Stored {
                value_at,
                value_len,
                is_delete,
                hlc,
                expires,
                ..*stored
            };
            if self.wasted >= WORTH_MOVING && self.wasted > self.bytes() {
                self.move_together();
            }
            return;
        }
        if self.operations.capacity() == 0 {
            self.operations.reserve(WALKED);
            self.bytes.reserve(FIRST_BYTES);
        }
        let key_at = self.push(key);
        let value_at = self.push(value.unwrap_or(&[]));
        self.operations.push(Stored {
            hash,
            key_at,
            key_len: key.len(),
            value_at,
            value_len,
            is_delete,
            hlc,
            expires,
        });
        self.note_last();
    }

    fn push(&mut self, bytes: &[u8]) -> usize {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        at
    }

    /// Number of the operation on this key.
    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let is_it = |stored: &Stored| stored.hash == hash && self.key(stored) == key;
        if self.table.is_empty() {
            return self.operations.iter().position(is_it);
        }
        let mask = self.table.len() - 1;
        let mut place = hash as usize & mask;
        // At least half of the places are free.
        loop {
            let number = self.table[place].checked_sub(1)? as usize;
            if is_it(&self.operations[number]) {
                return Some(number);
            }
            place = (place + 1) & mask;
        }
    }

    /// Enters the last operation into the table, which grows as needed.
    fn note_last(&mut self) {
        let count = self.operations.len();
        if count <= WALKED {
            return;
        }
        if self.table.len() >= 2 * count {
            self.enter(count - 1);
            return;
        }
        self.table.clear();
        self.table.resize((4 * count).next_power_of_two(), 0);
        (0..count).for_each(|number| self.enter(number));
    }

    fn enter(&mut self, number: usize) {
        let mask = self.table.len() - 1;
        let mut place = self.operations[number].hash as usize & mask;
        while self.table[place] != 0 {
            place = (place + 1) & mask;
        }
        self.table[place] = u32::try_from(number + 1).expect("a batch of 4 billion operations has no memory");
    }

    /// Gives back the space of values that were replaced.
    fn move_together(&mut self) {
        let mut bytes = Vec::with_capacity(self.bytes());
        for stored in &mut self.operations {
            for (at, len) in [
                (&mut stored.key_at, stored.key_len),
                (&mut stored.value_at, stored.value_len),
            ] {
                let from = std::mem::replace(at, bytes.len());
                bytes.extend_from_slice(&self.bytes[from..from + len]);
            }
        }
        self.bytes = bytes;
        self.wasted = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_batch_holds_what_was_said_last_of_each_key(
            said in prop::collection::vec((0u16..60, prop::option::of(prop::collection::vec(any::<u8>(), 0..9))), 0..400),
        ) {
            let mut batch = WriteBatch::new();
            let mut model: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
            let mut order = Vec::new();
            for (key, value) in said {
                let key = key.to_string().into_bytes();
                match &value {
                    Some(value) => batch.put(&key, value),
                    None => batch.delete(&key),
                }
                if model.insert(key.clone(), value).is_none() {
                    order.push(key);
                }
            }
            prop_assert_eq!(batch.len(), model.len());
            let live = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| key.len() + value.as_ref().map_or(0, Vec::len);
            prop_assert_eq!(batch.bytes(), model.iter().map(live).sum::<usize>());
            prop_assert!(batch.keys().eq(order.iter().map(Vec::as_slice)));
            for operation in batch.operations() {
                prop_assert_eq!(operation.value, model[operation.key].as_deref());
            }
        }
    }

    #[test]
    fn a_key_written_again_and_again_takes_no_more_and_more_memory() {
        let mut batch = WriteBatch::new();
        batch.put("other", [7; 100]);
        for round in 0..10_000u32 {
            batch.put("key", vec![round as u8; 1000]);
        }
        assert_eq!((batch.len(), batch.bytes()), (2, 1108));
        assert!(
            batch.bytes.capacity() < 4 * WORTH_MOVING,
            "{}",
            batch.bytes.capacity()
        );
        let last = batch.operations().last().expect("two operations");
        assert_eq!((last.key, last.value), (&b"key"[..], Some(&[15; 1000][..])));
        assert_eq!(batch.operations().next().expect("two").value, Some(&[7; 100][..]));
    }

    #[test]
    fn a_cleared_batch_knows_nothing_of_before() {
        let mut batch = WriteBatch::new();
        (0..100).for_each(|n: u32| batch.put(n.to_string(), "old"));
        batch.clear();
        assert!(batch.is_empty() && batch.bytes() == 0);
        batch.delete("7");
        let only: Vec<_> = batch
            .operations()
            .map(|operation| (operation.key.to_vec(), operation.value))
            .collect();
        assert_eq!(only, [(b"7".to_vec(), None)]);
    }
}
