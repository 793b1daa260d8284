//! Key index: hash of a key to the place of its newest version.
//!
//! In: 64-bit hashes and locations. Out: the location whose record the caller recognises. This
//! form lives in memory and is rebuilt from the log at each opening.

use std::collections::HashMap;
use std::path::Path;

use parking_lot::Mutex;

use crate::io::Disk;

/// Error of the key index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {}

/// Place of a record: segment (low 16 bits of its number) and offset in words of 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    file_slot: u16,
    offset: u32,
}

impl Location {
    /// `None` when the offset is beyond what 26 bits can say.
    #[must_use]
    pub fn new(file_slot: u16, offset: u32) -> Option<Location> {
        (offset < 1 << 26).then_some(Location { file_slot, offset })
    }

    /// Low 16 bits of the segment's number.
    #[must_use]
    pub fn file_slot(self) -> u16 {
        self.file_slot
    }

    /// Offset in the file, in words of 8 bytes.
    #[must_use]
    pub fn offset(self) -> u32 {
        self.offset
    }
}

/// Result of [`Index::open_clean`].
#[derive(Debug)]
pub enum IndexOpen {
    /// As it was left.
    Trusted(Index),
    /// Must be rebuilt, and why.
    Untrusted(String),
}

/// The index. Two writers never act on one key at once; see the stripe locks of the store.
#[derive(Debug, Default)]
pub struct Index(Mutex<HashMap<u64, Vec<Location>>>);

impl Index {
    /// An empty index.
    ///
    /// # Errors
    /// None in this form.
    pub fn create(_disk: &dyn Disk, _dir: &Path, _seed: u64) -> Result<Index, IndexError> {
        Ok(Index::default())
    }

    /// Always asks to be rebuilt.
    ///
    /// # Errors
    /// None in this form.
    pub fn open_clean(_disk: &dyn Disk, _dir: &Path, _stamp: &[u8; 32]) -> Result<IndexOpen, IndexError> {
        Ok(IndexOpen::Untrusted("the index is held in memory".into()))
    }

    /// The location under `hash` that `is_match` recognises.
    ///
    /// # Errors
    /// Those of `is_match`.
    pub fn get<E: From<IndexError>>(
        &self,
        hash: u64,
        mut is_match: impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        let candidates = self.0.lock().get(&hash).cloned().unwrap_or_default();
        for location in candidates {
            if is_match(location)? {
                return Ok(Some(location));
            }
        }
        Ok(None)
    }

    /// Replaces the location that `is_match` recognises, or adds one; returns the replaced one.
    ///
    /// # Errors
    /// Those of `is_match`.
    pub fn set<E: From<IndexError>>(
        &self,
        hash: u64,
        location: Location,
        is_match: impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        let old = self.get(hash, is_match)?;
        let mut locations = self.0.lock();
        let locations = locations.entry(hash).or_default();
        match old.and_then(|old| locations.iter_mut().find(|found| **found == old)) {
            Some(place) => *place = location,
            None => locations.push(location),
        }
        Ok(old)
    }

    /// Removes the location that `is_match` recognises, and returns it.
    ///
    /// # Errors
    /// Those of `is_match`.
    pub fn remove<E: From<IndexError>>(
        &self,
        hash: u64,
        is_match: impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        let old = self.get(hash, is_match)?;
        if let (Some(old), Some(locations)) = (old, self.0.lock().get_mut(&hash)) {
            locations.retain(|location| *location != old);
        }
        Ok(old)
    }

    /// Keys.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0
            .lock()
            .values()
            .map(|locations| locations.len() as u64)
            .sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of index files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        0
    }

    /// Leaves the index for the next opening.
    ///
    /// # Errors
    /// None in this form.
    pub fn close_clean(&self, _stamp: &[u8; 32]) -> Result<(), IndexError> {
        Ok(())
    }
}
