//! Views of a reader that stay as they are.
//!
//! In: a view, a slot of the file `readers`. Out: values and scans of one position. While the slot is
//! held, the writer's compaction keeps what the snapshot sees.

use std::ops::Bound;
use std::sync::Arc;

use super::super::cuts::Standing;
use super::super::past::Past;
use super::super::scan::{self, Scan, ScanOptions, end_of_prefix};
use super::super::slots::Slot;
use super::super::version::Value;
use super::super::{StoreError, TooOld};
use super::Views;
use super::view::View;
use crate::ids::Lsn;

/// What a snapshot and its scans keep.
#[derive(Debug)]
pub(in crate::store) struct Hold {
    /// The view it was taken from, which knows whether records have been taken back since. It is not
    /// what is read: the next writer may have made another index.
    pub(super) view: Arc<View>,
    pub(super) slot: Option<Slot>,
}

impl Hold {
    /// Whether everything visible at `at` is still there. Asked after reading.
    pub(in crate::store) fn check(&self, at: Lsn) -> Result<(), StoreError> {
        // A writer that closes or opens changes nothing below the position; a truncation may.
        let cause = match (self.view.cut(), &self.slot) {
            (Some(since), _) => TooOld::TakenBack { since },
            (None, Some(slot)) if slot.is_expired() => TooOld::Ended,
            (None, _) => return Ok(()),
        };
        Err(StoreError::SnapshotTooOld { at, cause })
    }
}

/// The store as it was at one position. Its writer and its compaction go on beside it. Its time stands
/// still as well: what had not expired when it was taken stays.
#[derive(Clone, Debug)]
pub struct ReaderSnapshot {
    pub(super) reader: Arc<Views>,
    pub(super) hold: Arc<Hold>,
    pub(super) at: Lsn,
    pub(super) now_ms: u64,
}

impl ReaderSnapshot {
    /// Versions below this position are visible.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.at
    }

    /// Milliseconds since 1970 at which it was taken.
    #[must_use]
    pub fn taken_at_ms(&self) -> u64 {
        self.now_ms
    }

    /// Whether everything this view shows is still there.
    ///
    /// # Errors
    /// [`StoreError::SnapshotTooOld`].
    pub fn check(&self) -> Result<(), StoreError> {
        self.hold.check(self.at)
    }

    /// The value of `key` in this view.
    ///
    /// # Errors
    /// Damage, naming file and offset; [`StoreError::SnapshotTooOld`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let found = self.reader.with(|view| self.find(view, key));
        // First, whatever was found: mixed from before and after a truncation it means nothing.
        self.hold.check(self.at)?;
        found
    }

    fn find(&self, view: &View, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let newest = match view.newest(view.hash(key), key)? {
            (Some(place), _) => Some(place.version()),
            (None, true) => view.version_in_tables(key, false, self.at)?,
            (None, false) => None,
        };
        let (found, _) = view.version_below(newest, self.at, self.now_ms)?;
        Ok(found.and_then(|version| version.value))
    }

    /// Keys between the bounds in byte order, with their values.
    ///
    /// # Errors
    /// As for [`ReaderSnapshot::get`].
    pub fn scan(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<Scan, StoreError> {
        self.scan_with(start, end, ScanOptions::default())
    }

    /// As [`ReaderSnapshot::scan`], in either direction, with deletions, with a limit.
    ///
    /// # Errors
    /// As for [`ReaderSnapshot::get`].
    pub fn scan_with(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        options: ScanOptions,
    ) -> Result<Scan, StoreError> {
        let scan = self.reader.with(|view| {
            let standing = Standing::Reader(Arc::clone(&self.hold));
            scan::open(view, standing, (self.at, self.now_ms), (start, end), options)
        });
        self.hold.check(self.at)?;
        scan
    }

    /// The keys that begin with `prefix`.
    ///
    /// # Errors
    /// As for [`ReaderSnapshot::get`].
    pub fn scan_prefix(&self, prefix: &[u8], options: ScanOptions) -> Result<Scan, StoreError> {
        let end = end_of_prefix(prefix);
        self.scan_with(Bound::Included(prefix), end.as_ref().map(Vec::as_slice), options)
    }
}
