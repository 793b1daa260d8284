//! Point reads: the newest version, or the newest below a position.
//!
//! In: keys. Out: values pinned where they lie. A read takes no lock: index probe, record or table
//! entry, checksums. Older versions are reached through the predecessor positions of records; below
//! the log that the store reads from, through a search in the tables.

use std::ops::Bound;

use super::cuts::Standing;
use super::past::Past;
use super::scan::{self, Scan, ScanOptions, end_of_prefix};
use super::version::{Value, Version};
use super::{LogChunk, Store, StoreError, TooOld};
use crate::ids::{Hlc, Lsn};
use crate::metrics::Op;

/// What a key looks like at some position: a value, or a deletion worth knowing.
#[derive(Clone, Debug)]
pub struct VersionAt {
    /// Position of the record.
    pub lsn: Lsn,
    /// Stamp of the write.
    pub hlc: Hlc,
    /// The value; `None` for a deletion and for what has expired.
    pub value: Option<Value>,
}

impl Store {
    pub(super) fn newest_version(&self, key: &[u8], system: bool) -> Result<Option<Version>, StoreError> {
        let found = self.lookup(key, system)?;
        Ok(found.map(|(_, place)| place.version()))
    }

    /// The value of `key`, or `None`.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.ops.add(Op::Get, 1);
        let Some((_, place)) = self.lookup(key, false)? else {
            return Ok(None);
        };
        place.value(&**self)
    }

    /// Calls `read` with the value of `key`, without pinning it: the fastest way to copy it out.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn get_with<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, StoreError> {
        self.ops.add(Op::Get, 1);
        let Some((_, place)) = self.lookup(key, false)? else {
            return Ok(None);
        };
        place.with_value(&**self, read)
    }

    /// The value `key` had when the log ended at `at`.
    ///
    /// # Errors
    /// As for [`Store::get_version`].
    pub fn get_at(&self, key: &[u8], at: Lsn) -> Result<Option<Value>, StoreError> {
        Ok(self.get_version(key, at)?.and_then(|version| version.value))
    }

    /// The newest version of `key` below `at`, deletions included. Whether it has expired is judged at
    /// the time of the call, whatever the position.
    ///
    /// # Errors
    /// Damage, naming file and offset; [`StoreError::SnapshotTooOld`] when compaction has thinned out
    /// what was visible at `at`.
    pub fn get_version(&self, key: &[u8], at: Lsn) -> Result<Option<VersionAt>, StoreError> {
        self.version_below(key, at, self.now_ms(), false)
    }

    /// As [`Store::get_version`], at the time `now_ms`; a position that is `held` is never too old.
    fn version_below(
        &self,
        key: &[u8],
        at: Lsn,
        now_ms: u64,
        held: bool,
    ) -> Result<Option<VersionAt>, StoreError> {
        self.ops.add(Op::Get, 1);
        let newest = self.newest_version(key, false)?;
        let (found, walked) = Past::version_below(&**self, newest, at, now_ms)?;
        // A key without a version may have had one.
        if (walked || found.is_none()) && !held {
            self.check_history(at)?;
        }
        Ok(found)
    }

    /// Looked at after reading: a compaction raises the floor before it drops anything.
    fn check_history(&self, at: Lsn) -> Result<(), StoreError> {
        let floor = self.history.floor();
        if at < floor {
            return Err(StoreError::SnapshotTooOld {
                at,
                cause: TooOld::Compacted { floor },
            });
        }
        Ok(())
    }

    /// A stable view of everything committed before the call, for as long as it is kept.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        loop {
            let generation = self.cuts.generation();
            let at = self.log.tail();
            // A writer ahead of us may have reserved first and not finished: wait for its copy.
            self.log.wait_stable(at);
            let snapshot = Snapshot::hold(self, at, generation, || self.now_ms());
            if snapshot.held {
                return snapshot;
            }
            // A compaction went past this position in between; the tail has moved as well.
        }
    }

    /// The view at a position at or below [`Store::stable`]. Reading from it fails with
    /// [`StoreError::SnapshotTooOld`] if compaction has gone past that position.
    #[must_use]
    pub fn snapshot_at(&self, at: Lsn) -> Snapshot<'_> {
        let generation = self.cuts.generation();
        let at = at.min(self.log.tail());
        self.log.wait_stable(at);
        Snapshot::hold(self, at, generation, || self.now_ms())
    }

    /// Records from `from` on, about `max_bytes` of them, for a follower.
    ///
    /// # Errors
    /// A gap when `from` is not a position of this log.
    pub fn read_log(&self, from: Lsn, max_bytes: usize) -> Result<LogChunk, StoreError> {
        Ok(self.log.read_chunk(from, max_bytes)?)
    }
}

/// The store as it was at one position. Writers and compaction go on beside it; what it shows is kept
/// until it is dropped. Its time stands still as well: what had not expired when it was taken stays.
#[derive(Debug)]
pub struct Snapshot<'s> {
    store: &'s Store,
    at: Lsn,
    /// [`super::cuts::Cuts::generation`] before it was taken.
    generation: u64,
    now_ms: u64,
    held: bool,
}

impl<'s> Snapshot<'s> {
    fn hold(store: &'s Store, at: Lsn, generation: u64, now_ms: impl Fn() -> u64) -> Snapshot<'s> {
        let held_at_ms = store.history.hold(at, &now_ms);
        Snapshot {
            store,
            at,
            generation,
            now_ms: held_at_ms.unwrap_or_else(now_ms),
            held: held_at_ms.is_some(),
        }
    }
}

impl Clone for Snapshot<'_> {
    fn clone(&self) -> Self {
        Snapshot::hold(self.store, self.at, self.generation, || self.now_ms)
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        // In a child of fork the lock may be held for ever, and nobody compacts.
        if self.held && self.store.log.check_forked().is_ok() {
            self.store.history.release(self.at, self.now_ms);
        }
    }
}

impl Snapshot<'_> {
    /// Versions below this position are visible.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.at
    }

    /// Milliseconds since 1970 at which it was taken, by the store's clock: see [`super::Shared::now_ms`].
    #[must_use]
    pub fn taken_at_ms(&self) -> u64 {
        self.now_ms
    }

    /// Asked after reading: what was found in between means nothing if this fails.
    fn check(&self) -> Result<(), StoreError> {
        self.store.cuts.check(self.generation, self.at)?;
        if self.held {
            Ok(())
        } else {
            self.store.check_history(self.at)
        }
    }

    /// The value of `key` in this view.
    ///
    /// # Errors
    /// Damage, naming file and offset; [`StoreError::SnapshotTooOld`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let found = self.store.version_below(key, self.at, self.now_ms, self.held);
        // First, whatever was found: mixed from before and after a truncation it means nothing.
        self.store.cuts.check(self.generation, self.at)?;
        Ok(found?.and_then(|version| version.value))
    }

    /// Keys between the bounds in byte order, with their values. The first scan after writes
    /// sorts what has not been sorted yet.
    ///
    /// # Errors
    /// Damage, naming file and offset; [`StoreError::SnapshotTooOld`].
    pub fn scan(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<Scan, StoreError> {
        self.scan_with(start, end, ScanOptions::default())
    }

    /// As [`Snapshot::scan`], in either direction, with deletions, with a limit.
    ///
    /// # Errors
    /// As for [`Snapshot::scan`].
    pub fn scan_with(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        options: ScanOptions,
    ) -> Result<Scan, StoreError> {
        self.store.ops.add(Op::Scan, 1);
        let standing = Standing::Own(self.store.cuts.clone(), self.generation);
        let scan = scan::open(
            &**self.store,
            standing,
            (self.at, self.now_ms),
            (start, end),
            options,
        );
        self.check()?;
        scan
    }

    /// The keys that begin with `prefix`.
    ///
    /// # Errors
    /// As for [`Snapshot::scan`].
    pub fn scan_prefix(&self, prefix: &[u8], options: ScanOptions) -> Result<Scan, StoreError> {
        let end = end_of_prefix(prefix);
        self.scan_with(Bound::Included(prefix), end.as_ref().map(Vec::as_slice), options)
    }

    /// As [`Snapshot::scan`], but deleted keys appear too, without a value, as far as compaction has
    /// kept the deletions, and expired ones with the value they had: versions as they are stored.
    ///
    /// # Errors
    /// As for [`Snapshot::scan`].
    pub fn scan_versions(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<Scan, StoreError> {
        let options = ScanOptions {
            deletions: true,
            expired: true,
            ..ScanOptions::default()
        };
        self.scan_with(start, end, options)
    }
}
