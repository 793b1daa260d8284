//! Point reads: the newest version, or the newest below a position.
//!
//! In: keys. Out: values pinned where they lie in the log. A read takes no lock: index probe,
//! record, checksums. Older versions are reached through the predecessor positions.

use std::ops::Deref;
use std::sync::Arc;

use super::scan::{self, Scan, Source, Whole};
use super::{LogChunk, Store, StoreError};
use crate::ids::{Hlc, Lsn};
use crate::log::LogError;
use crate::log::format::{RecordError, RecordKind};
use crate::log::segment::Segment;
use crate::log::view::RecordView;
use std::ops::Bound;

/// Bytes of a value (or key) where they lie in a mapped segment, which stays mapped as long as
/// this lives. Cheap to clone.
#[derive(Clone)]
pub struct Value {
    segment: Arc<Segment>,
    offset: usize,
    len: usize,
    lsn: Lsn,
    hlc: Hlc,
}

impl Value {
    pub(super) fn new(segment: Arc<Segment>, offset: usize, len: usize, lsn: Lsn, hlc: Hlc) -> Value {
        Value {
            segment,
            offset,
            len,
            lsn,
            hlc,
        }
    }

    /// Position of the record the value stands in.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Stamp of the write.
    #[must_use]
    pub fn hlc(&self) -> Hlc {
        self.hlc
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.segment
            .slice(self.offset, self.len)
            .expect("the span was checked when the value was read")
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Value")
            .field("lsn", &self.lsn)
            .field("len", &self.len)
            .finish()
    }
}

/// Owned facts of one version.
pub(super) struct Version {
    pub(super) segment: Arc<Segment>,
    pub(super) lsn: Lsn,
}

impl Version {
    /// The record, header and key checked.
    pub(super) fn record(&self) -> Result<RecordView<'_>, StoreError> {
        self.segment
            .record(self.lsn)
            .map_err(|error| self.segment.damaged(self.lsn, &error).into())
    }

    pub(super) fn value(&self) -> Result<Option<Value>, StoreError> {
        let value = checked_value(&self.segment, self.lsn)?;
        Ok(value.map(|(offset, record)| {
            let (len, hlc) = (record.value().len(), record.hlc());
            Value::new(Arc::clone(&self.segment), offset, len, self.lsn, hlc)
        }))
    }
}

/// The record at `lsn`, whose header the caller has checked, with its payload checked too, and the
/// offset of its value in the file; `None` for a deletion.
pub(super) fn checked_value(
    segment: &Segment,
    lsn: Lsn,
) -> Result<Option<(usize, RecordView<'_>)>, StoreError> {
    let damaged = |error| StoreError::from(segment.damaged(lsn, &error));
    let record = segment.record_unchecked(lsn).map_err(damaged)?;
    if record.kind() == RecordKind::Delete {
        return Ok(None);
    }
    record.verify_payload(segment.seed()).map_err(damaged)?;
    let offset = segment.offset_of(lsn).expect("the record was read there");
    Ok(Some((offset + record.value_offset(), record)))
}

/// What a key looks like at some position: a value, or a deletion worth knowing.
#[derive(Clone, Debug)]
pub struct VersionAt {
    /// Position of the record.
    pub lsn: Lsn,
    /// Stamp of the write.
    pub hlc: Hlc,
    /// The value; `None` for a deletion.
    pub value: Option<Value>,
}

impl Store {
    pub(super) fn newest_version(&self, key: &[u8], system: bool) -> Result<Option<Version>, StoreError> {
        let found = self.lookup(key, system)?;
        Ok(found.map(|(_, place)| Version {
            segment: Arc::clone(place.segment()),
            lsn: place.lsn,
        }))
    }

    pub(super) fn version_at(&self, lsn: Lsn) -> Result<Version, StoreError> {
        let segment = self.log.segment_at(lsn).ok_or(LogError::Gap {
            expected: self.log.tail(),
            found: lsn,
        })?;
        Ok(Version { segment, lsn })
    }

    /// The predecessor that `record`, standing at `version`, names.
    pub(super) fn version_before(
        &self,
        version: &Version,
        record: &RecordView<'_>,
    ) -> Result<Option<Version>, StoreError> {
        let prev = record.prev();
        if prev == Lsn::ZERO {
            return Ok(None);
        }
        if prev >= version.lsn {
            // Followed blindly, a chain that does not go down might never end.
            let error = RecordError::Malformed("predecessor");
            return Err(version.segment.damaged(version.lsn, &error).into());
        }
        self.version_at(prev).map(Some)
    }

    /// The value of `key`, or `None`.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let Some((_, place)) = self.lookup(key, false)? else {
            return Ok(None);
        };
        let segment = place.segment();
        let Some((offset, record)) = checked_value(segment, place.lsn)? else {
            return Ok(None);
        };
        let (len, hlc) = (record.value().len(), record.hlc());
        Ok(Some(Value::new(Arc::clone(segment), offset, len, place.lsn, hlc)))
    }

    /// Calls `read` with the value of `key`, without pinning it: the fastest way to copy it out.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn get_with<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, StoreError> {
        let Some((_, place)) = self.lookup(key, false)? else {
            return Ok(None);
        };
        let value = checked_value(place.segment(), place.lsn)?;
        Ok(value.map(|(_, record)| read(record.value())))
    }

    /// The value `key` had when the log ended at `at`.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn get_at(&self, key: &[u8], at: Lsn) -> Result<Option<Value>, StoreError> {
        Ok(self.get_version(key, at)?.and_then(|version| version.value))
    }

    /// The newest version of `key` below `at`, deletions included.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn get_version(&self, key: &[u8], at: Lsn) -> Result<Option<VersionAt>, StoreError> {
        let Some(mut version) = self.newest_version(key, false)? else {
            return Ok(None);
        };
        loop {
            let record = version.record()?;
            if version.lsn < at {
                let value = version.value()?;
                return Ok(Some(VersionAt {
                    lsn: version.lsn,
                    hlc: record.hlc(),
                    value,
                }));
            }
            let Some(before) = self.version_before(&version, &record)? else {
                return Ok(None);
            };
            version = before;
        }
    }

    /// A stable view of everything committed before the call, for as long as it is kept.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        let generation = self.cuts.generation();
        let at = self.log.tail();
        // A writer ahead of us may have reserved first and not finished: wait for its copy.
        self.log.wait_stable(at);
        Snapshot {
            store: self,
            at,
            generation,
        }
    }

    /// The view at a position at or below [`Store::stable`].
    #[must_use]
    pub fn snapshot_at(&self, at: Lsn) -> Snapshot<'_> {
        let generation = self.cuts.generation();
        let at = at.min(self.log.tail());
        self.log.wait_stable(at);
        Snapshot {
            store: self,
            at,
            generation,
        }
    }

    /// Records from `from` on, about `max_bytes` of them, for a follower.
    ///
    /// # Errors
    /// A gap when `from` is not a position of this log.
    pub fn read_log(&self, from: Lsn, max_bytes: usize) -> Result<LogChunk, StoreError> {
        Ok(self.log.read_chunk(from, max_bytes)?)
    }
}

/// The store as it was at one position. Writers go on beside it.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'s> {
    store: &'s Store,
    at: Lsn,
    generation: u64,
}

impl Snapshot<'_> {
    fn source(&self) -> Source<'_> {
        Source {
            segments: self.store.log.segments().all.clone(),
            runs: &self.store.runs,
            whole: Arc::clone(&self.store.cuts) as Arc<dyn Whole>,
            generation: self.generation,
        }
    }

    /// Versions below this position are visible.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.at
    }

    /// The value of `key` in this view.
    ///
    /// # Errors
    /// Damage, naming file and offset; [`StoreError::SnapshotTooOld`] once a truncation has taken
    /// back records of this view.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let found = self.store.get_at(key, self.at);
        // First, whatever was found: mixed from before and after a truncation it means nothing.
        self.store.cuts.check(self.generation, self.at)?;
        found
    }

    /// Keys between the bounds in byte order, with their values. The first scan after writes
    /// sorts what has not been sorted yet.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn scan(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<Scan, StoreError> {
        scan::open(&self.source(), self.at, (start, end), false)
    }

    /// As [`Snapshot::scan`], but deleted keys appear too, without a value.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn scan_versions(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<Scan, StoreError> {
        scan::open(&self.source(), self.at, (start, end), true)
    }
}
