//! Where an index entry leads to, for the moment of one operation.
//!
//! In: a location. Out: the record or table entry there, in a file that stays mapped as long as the
//! place lives. It holds the list of files rather than the file: no count that all readers share
//! changes, so point reads scale over cores.

use std::sync::Arc;

use arc_swap::Guard;

use super::files::{FIRST_SLOT, FileSet};
use super::index::Location;
use super::past::Past;
use super::table::Table;
use super::version::{Pin, Value, Version};
use super::{Store, StoreError};
use crate::ids::Lsn;
use crate::log::SegmentList;
use crate::log::expiry::Expiry;
use crate::log::format::RecordKind;
use crate::log::segment::Segment;
use crate::log::view::{Parsed, RecordView};

/// A place; see the head of this file.
pub(super) enum Place {
    /// A record of the log.
    Record {
        segments: Guard<Arc<SegmentList>>,
        index: usize,
        lsn: Lsn,
        /// Of the record, in its file.
        offset: usize,
        /// What comparing the key has found out about the record.
        parsed: Option<Parsed>,
    },
    /// An entry of a table.
    Entry {
        files: Guard<Arc<FileSet>>,
        index: usize,
        offset: usize,
    },
}

/// The record at `lsn`, whose header the caller has checked, with its payload checked too, the offset
/// of its value in the file, and when it expires; `None` for a deletion and for what has expired.
#[inline]
fn checked_value<'s>(
    past: &impl Past,
    segment: &'s Segment,
    (lsn, offset): (Lsn, usize),
    parsed: Option<Parsed>,
) -> Result<Option<(usize, RecordView<'s>, Expiry)>, StoreError> {
    let damaged = |error| StoreError::from(segment.damaged(lsn, &error));
    let record = segment.record_again(lsn, offset, parsed).map_err(damaged)?;
    if record.kind() == RecordKind::Delete {
        return Ok(None);
    }
    segment.check_payload(&record).map_err(damaged)?;
    let expiry = record.expiry().map_err(damaged)?;
    if past.is_over(expiry) {
        return Ok(None);
    }
    Ok(Some((offset + record.value_offset(), record, expiry)))
}

impl Store {
    /// The place an index entry points to, if its file still exists.
    #[inline]
    pub(super) fn resolve(&self, location: Location) -> Option<Place> {
        if location.file_slot() >= FIRST_SLOT {
            return Place::of_entry(self.files.load(), location);
        }
        Place::of_record(self.log.segments(), location)
    }
}

impl Place {
    /// Where an index entry leads to in a table.
    #[inline]
    pub(super) fn of_entry(files: Guard<Arc<FileSet>>, location: Location) -> Option<Place> {
        let index = files.index_of_slot(location.file_slot())?;
        let offset = location.offset() as usize;
        Some(Place::Entry { files, index, offset })
    }

    /// Where an index entry leads to in the log.
    #[inline]
    pub(super) fn of_record(segments: Guard<Arc<SegmentList>>, location: Location) -> Option<Place> {
        let index = segments.index_of_slot(location.file_slot())?;
        let segment = &segments.all[index];
        let offset = location.offset() as usize * 8;
        let lsn = segment.lsn_at(offset)?;
        (lsn < segment.end()).then_some(Place::Record {
            segments,
            index,
            lsn,
            offset,
            parsed: None,
        })
    }

    /// Whether it holds a version of `key`. What cannot be read is an error, never a "no": a damaged
    /// key must not turn into a missing one.
    #[inline]
    pub(super) fn is_version_of(&mut self, key: &[u8], system: bool) -> Result<bool, StoreError> {
        match self {
            Place::Record {
                segments,
                index,
                lsn,
                offset,
                parsed,
            } => {
                let segment = &segments.all[*index];
                let damaged = |error| StoreError::from(segment.damaged(*lsn, &error));
                let record = segment.version(*lsn, *offset).map_err(damaged)?;
                *parsed = Some(record.parsed());
                Ok(record.key() == key && record.is_system() == system)
            }
            Place::Entry { files, index, offset } => {
                let entry = files.table_at(*index).key_at(*offset)?;
                Ok(entry.key == key && entry.is_system() == system)
            }
        }
    }

    fn table(&self) -> &Arc<Table> {
        match self {
            Place::Entry { files, index, .. } => files.table_at(*index),
            Place::Record { .. } => unreachable!("asked of entries only"),
        }
    }

    /// Starts fetching the first lines of the version, without waiting.
    #[inline]
    pub(super) fn prefetch(&self) {
        const LINES: usize = 3;
        const LINE_BYTES: usize = 64;
        for line in 0..LINES {
            match self {
                Place::Record {
                    segments,
                    index,
                    offset,
                    ..
                } => segments.all[*index].prefetch(offset + line * LINE_BYTES),
                Place::Entry { offset, .. } => self.table().prefetch(offset + line * LINE_BYTES),
            }
        }
    }

    /// Position of the version.
    pub(super) fn lsn(&self) -> Result<Lsn, StoreError> {
        match self {
            Place::Record { lsn, .. } => Ok(*lsn),
            Place::Entry { offset, .. } => Ok(self.table().key_at(*offset)?.lsn),
        }
    }

    /// The version, for longer than an operation.
    pub(super) fn version(&self) -> Version {
        match self {
            Place::Record {
                segments, index, lsn, ..
            } => Version::Log {
                segment: Arc::clone(&segments.all[*index]),
                lsn: *lsn,
            },
            Place::Entry { offset, .. } => Version::Table {
                table: Arc::clone(self.table()),
                offset: *offset,
            },
        }
    }

    /// The value, checked and pinned; `None` for a deletion and for what has expired.
    #[inline]
    pub(super) fn value(&self, past: &impl Past) -> Result<Option<Value>, StoreError> {
        match self {
            Place::Record {
                segments,
                index,
                lsn,
                offset,
                parsed,
            } => {
                let segment = &segments.all[*index];
                let found = checked_value(past, segment, (*lsn, *offset), *parsed)?;
                Ok(found.map(|(offset, record, expiry)| {
                    let (len, hlc) = (record.value().len(), record.hlc());
                    Value::new(Pin::Log(Arc::clone(segment)), offset, len, *lsn, hlc, expiry)
                }))
            }
            Place::Entry { offset, .. } => {
                let table = self.table();
                let entry = table.entry_at(*offset)?;
                let is_there = entry.kind != RecordKind::Delete && !past.is_over(entry.expiry);
                Ok(is_there.then(|| {
                    let pin = Pin::Table(Arc::clone(table));
                    let (at, len) = (entry.value_start, entry.value.len());
                    Value::new(pin, at, len, entry.lsn, entry.hlc, entry.expiry)
                }))
            }
        }
    }

    /// Calls `read` with the value, checked; `None` for a deletion and for what has expired.
    #[inline]
    pub(super) fn with_value<R>(
        &self,
        past: &impl Past,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, StoreError> {
        match self {
            Place::Record {
                segments,
                index,
                lsn,
                offset,
                parsed,
            } => {
                let value = checked_value(past, &segments.all[*index], (*lsn, *offset), *parsed)?;
                Ok(value.map(|(_, record, _)| read(record.value())))
            }
            Place::Entry { offset, .. } => {
                let entry = self.table().entry_at(*offset)?;
                let is_there = entry.kind != RecordKind::Delete && !past.is_over(entry.expiry);
                Ok(is_there.then(|| read(entry.value)))
            }
        }
    }
}
