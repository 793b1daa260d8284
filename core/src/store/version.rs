//! One version of a key, wherever it stands: a record of the log or an entry of a table.
//!
//! In: a place. Out: checked facts, values pinned where they lie. The rest of the room reads versions
//! through these types and does not care which of the two it has.

use std::ops::Deref;
use std::sync::Arc;

use super::index::Location;
use super::table::{Table, TableError};
use super::{Store, StoreError};
use crate::ids::{Hlc, Lsn};
use crate::log::expiry::Expiry;
use crate::log::format::{RecordError, RecordFlags, RecordKind};
use crate::log::segment::Segment;

/// A mapped file that stays mapped as long as this lives. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Pin {
    Log(Arc<Segment>),
    Table(Arc<Table>),
}

impl Pin {
    /// A span of the file that has been checked before.
    #[inline]
    pub(super) fn slice(&self, offset: usize, len: usize) -> &[u8] {
        match self {
            Pin::Log(segment) => segment
                .slice(offset, len)
                .expect("the span was checked when the version was read"),
            Pin::Table(table) => table.slice(offset, len),
        }
    }
}

/// Bytes of a value (or key) where they lie in a mapped file, which stays mapped as long as
/// this lives. Cheap to clone.
#[derive(Clone)]
pub struct Value {
    pin: Pin,
    offset: usize,
    len: usize,
    lsn: Lsn,
    hlc: Hlc,
    expiry: Expiry,
}

impl Value {
    #[inline]
    pub(super) fn new(pin: Pin, offset: usize, len: usize, lsn: Lsn, hlc: Hlc, expiry: Expiry) -> Value {
        Value {
            pin,
            offset,
            len,
            lsn,
            hlc,
            expiry,
        }
    }

    /// Position of the version.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Stamp of the write.
    #[must_use]
    pub fn hlc(&self) -> Hlc {
        self.hlc
    }

    /// When the value is gone, in milliseconds since 1970; `None` if it stays. Bytes in hand stay valid.
    #[must_use]
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.expiry.ms()
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.pin.slice(self.offset, self.len)
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

/// Where a version stands.
#[derive(Clone, Debug)]
pub(super) enum Version {
    /// The record at a position.
    Log { segment: Arc<Segment>, lsn: Lsn },
    /// The entry at an offset.
    Table { table: Arc<Table>, offset: usize },
}

/// What the key index keeps of an entry: a table's offsets count in bytes.
pub(super) fn table_location(table: &Table, offset: usize) -> Location {
    Location::new(table.slot(), offset as u32).expect("the writer keeps entries within a location's reach")
}

/// Facts of a version, header and key checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct VersionView<'a> {
    pub(super) kind: RecordKind,
    pub(super) flags: RecordFlags,
    pub(super) lsn: Lsn,
    pub(super) hlc: Hlc,
    /// Position of the version before, as far as a record names it; entries of tables do not.
    pub(super) prev: Option<Lsn>,
    pub(super) key: &'a [u8],
    /// Extensions and value: not checked before [`Version::check_payload`].
    pub(super) ext: &'a [u8],
    pub(super) value: &'a [u8],
    value_offset: usize,
}

impl VersionView<'_> {
    pub(super) fn is_system(&self) -> bool {
        self.flags.has(RecordFlags::SYSTEM)
    }
}

impl Version {
    /// What the key index keeps of the place.
    pub(super) fn location(&self) -> Location {
        match self {
            Version::Log { segment, lsn } => Store::location(segment, *lsn),
            Version::Table { table, offset } => table_location(table, *offset),
        }
    }

    /// The version, header and key checked.
    pub(super) fn view(&self) -> Result<VersionView<'_>, StoreError> {
        match self {
            Version::Log { segment, lsn } => {
                let record = segment
                    .record(*lsn)
                    .map_err(|error| segment.damaged(*lsn, &error))?;
                let offset = segment.offset_of(*lsn).expect("the record was read there");
                Ok(VersionView {
                    kind: record.kind(),
                    flags: record.flags(),
                    lsn: *lsn,
                    hlc: record.hlc(),
                    prev: Some(record.prev()),
                    key: record.key(),
                    ext: record.ext(),
                    value: record.value(),
                    value_offset: offset + record.value_offset(),
                })
            }
            Version::Table { table, offset } => {
                let entry = table.key_at(*offset)?;
                Ok(VersionView {
                    kind: entry.kind,
                    flags: entry.flags,
                    lsn: entry.lsn,
                    hlc: entry.hlc,
                    prev: None,
                    key: entry.key,
                    ext: entry.ext,
                    value: entry.value,
                    value_offset: entry.value_start,
                })
            }
        }
    }

    /// Checks extensions and value.
    pub(super) fn check_payload(&self) -> Result<(), StoreError> {
        match self {
            Version::Log { segment, lsn } => segment
                .record_unchecked(*lsn)
                .and_then(|record| segment.check_payload(&record))
                .map_err(|error| segment.damaged(*lsn, &error).into()),
            Version::Table { table, offset } => Ok(table.entry_at(*offset).map(drop)?),
        }
    }

    /// When the value is gone, compared with its checksum.
    pub(super) fn expiry(&self, view: &VersionView<'_>) -> Result<Expiry, StoreError> {
        if !view.flags.has(RecordFlags::TTL) {
            return Ok(Expiry::NEVER);
        }
        self.check_payload()?;
        Expiry::of(view.flags, view.ext).map_err(|_| match self {
            Version::Log { segment, lsn } => segment.damaged(*lsn, &RecordError::Malformed("expiry")).into(),
            Version::Table { table, offset } => {
                TableError::damaged(table.path(), *offset as u64, "malformed expiry").into()
            }
        })
    }

    /// The value, checked; `None` for a deletion and for what has expired at `now_ms`.
    pub(super) fn value(&self, view: &VersionView<'_>, now_ms: u64) -> Result<Option<Value>, StoreError> {
        if view.kind == RecordKind::Delete {
            return Ok(None);
        }
        self.check_payload()?;
        let expiry = self.expiry(view)?;
        if expiry.is_over(now_ms) {
            return Ok(None);
        }
        let pin = match self {
            Version::Log { segment, .. } => Pin::Log(Arc::clone(segment)),
            Version::Table { table, .. } => Pin::Table(Arc::clone(table)),
        };
        Ok(Some(Value::new(
            pin,
            view.value_offset,
            view.value.len(),
            view.lsn,
            view.hlc,
            expiry,
        )))
    }
}
