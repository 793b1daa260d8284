//! Many point reads at once, with their cache misses overlapping.
//!
//! In: keys. Out: the values of each, in the order of the keys. A single get waits twice for memory:
//! for its bucket of the index, then for the record. Of a group of keys all buckets are asked for
//! first, then all records, and only then is anything looked at. The answers are those that single
//! gets would give; nothing is read at one common position (take a snapshot for that).

use super::index::Location;
use super::place::Place;
use super::read::VersionAt;
use super::version::Value;
use super::{Store, StoreError};
use crate::ids::Lsn;
use crate::metrics::Op;

/// Keys whose misses overlap: more than a core keeps outstanding would only wait in line.
const GROUP: usize = 32;

impl Store {
    /// The values of `keys`, each as [`Store::get`] would give it.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>, StoreError> {
        self.ops.add(Op::Get, keys.len() as u64);
        let mut values = Vec::with_capacity(keys.len());
        for group in keys.chunks(GROUP) {
            let ahead = self.fetch_ahead(group);
            for (key, ahead) in group.iter().zip(ahead) {
                values.push(match self.lookup_ahead(ahead, key.as_ref())? {
                    Some(place) => place.value(&**self)?,
                    None => None,
                });
            }
        }
        Ok(values)
    }

    /// The newest versions of `keys` below `at`, each as [`Store::get_version`] would give it.
    ///
    /// # Errors
    /// As there.
    pub fn multi_get_version<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        at: Lsn,
    ) -> Result<Vec<Option<VersionAt>>, StoreError> {
        let mut versions = Vec::with_capacity(keys.len());
        for group in keys.chunks(GROUP) {
            // Only what it brings near is wanted here.
            self.fetch_ahead(group);
            for key in group {
                versions.push(self.get_version(key.as_ref(), at)?);
            }
        }
        Ok(versions)
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
        self.ops.add(Op::Get, keys.len() as u64);
        for (group_number, group) in keys.chunks(GROUP).enumerate() {
            let ahead = self.fetch_ahead(group);
            for (i, (key, ahead)) in group.iter().zip(ahead).enumerate() {
                let position = group_number * GROUP + i;
                let was_there = match self.lookup_ahead(ahead, key.as_ref())? {
                    Some(place) => place
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

    /// Starts fetching what the keys of a group will need; returns the hash of each, and where it may lie.
    #[inline]
    fn fetch_ahead<K: AsRef<[u8]>>(&self, group: &[K]) -> [(u64, Option<Location>); GROUP] {
        let mut hashes = [0; GROUP];
        for (hash, key) in hashes.iter_mut().zip(group) {
            *hash = self.hash(key.as_ref(), false);
        }
        let mut ahead = hashes.map(|hash| (hash, None));
        self.fetch_group(&hashes[..group.len()], |i, guess| ahead[i].1 = guess);
        ahead
    }

    /// The place of the newest version of `key`. An index entry that was seen while fetching is as good as
    /// one looked up now, if the record it leads to is still there and of this key.
    #[inline]
    fn lookup_ahead(
        &self,
        (hash, guess): (u64, Option<Location>),
        key: &[u8],
    ) -> Result<Option<Place>, StoreError> {
        self.log.check_forked()?;
        // What went wrong is found again below, if it was not that the file has gone in between.
        if let Some(mut place) = guess.and_then(|location| self.resolve(location))
            && let Ok(true) = place.is_version_of(key, false)
        {
            return Ok(Some(place));
        }
        Ok(self.lookup_hashed(hash, key, false)?.map(|(_, place)| place))
    }
}
