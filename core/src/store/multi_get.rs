//! Many point reads at once, with their cache misses overlapping.
//!
//! In: keys. Out: the values of each, in the order of the keys. A single get waits twice for memory:
//! for its bucket of the index, then for the record. Of a group of keys all buckets are asked for
//! first, then all records, and only then is anything looked at. The answers are those that single
//! gets would give; nothing is read at one common position (take a snapshot for that).

use super::version::Value;
use super::{Store, StoreError};

/// Keys whose misses overlap: more than a core keeps outstanding would only wait in line.
const GROUP: usize = 32;

impl Store {
    /// The values of `keys`, each as [`Store::get`] would give it.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>, StoreError> {
        let mut values = Vec::with_capacity(keys.len());
        for group in keys.chunks(GROUP) {
            let hashes = self.fetch_ahead(group);
            for (key, hash) in group.iter().zip(hashes) {
                let found = self.lookup_hashed(hash, key.as_ref(), false)?;
                values.push(match found {
                    Some((_, place)) => place.value(&**self)?,
                    None => None,
                });
            }
        }
        Ok(values)
    }

    /// Calls `each` with the position of every key in `keys` and its value, in order, without pinning
    /// anything: the fastest way to copy many values out. Allocates nothing.
    ///
    /// # Errors
    /// Damage, naming file and offset; `each` has been called for the keys before.
    pub fn multi_get_with<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        mut each: impl FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StoreError> {
        for (group_number, group) in keys.chunks(GROUP).enumerate() {
            let hashes = self.fetch_ahead(group);
            for (i, (key, hash)) in group.iter().zip(hashes).enumerate() {
                let position = group_number * GROUP + i;
                let found = self.lookup_hashed(hash, key.as_ref(), false)?;
                let was_there = match found {
                    Some((_, place)) => place
                        .with_value(&**self, |value| each(position, Some(value)))?
                        .is_some(),
                    None => false,
                };
                if !was_there {
                    each(position, None);
                }
            }
        }
        Ok(())
    }

    /// Starts fetching what the keys of a group will need; returns their hashes.
    fn fetch_ahead<K: AsRef<[u8]>>(&self, group: &[K]) -> [u64; GROUP] {
        let mut hashes = [0; GROUP];
        for (hash, key) in hashes.iter_mut().zip(group) {
            *hash = self.hash(key.as_ref(), false);
        }
        self.prefetch_group(&hashes[..group.len()]);
        hashes
    }
}
