//! One segment file as text facts, without opening the store it belongs to.
//!
//! In: the path of a segment. Out: its header and one summary a record, up to the first thing
//! that is not a record. Never writes, never needs a lock: the file may belong to a running store.

use std::path::Path;

use super::LogError;
use super::format::{RecordFlags, RecordKind};
use super::header::{SegmentFooter, SegmentHeader};
use super::segment::{Segment, WalkEnd};
use crate::ids::{Hlc, Lsn};
use crate::io::Disk;

/// Facts of one record.
#[derive(Clone, Debug)]
pub struct RecordFacts {
    /// Position in the log.
    pub lsn: Lsn,
    /// Offset in the file.
    pub offset: u64,
    /// Size in bytes, padding included.
    pub size: usize,
    /// Kind.
    pub kind: RecordKind,
    /// Flags.
    pub flags: RecordFlags,
    /// Stamp.
    pub hlc: Hlc,
    /// Position of the key's previous version, 0 for none.
    pub prev: Lsn,
    /// Key bytes.
    pub key: Vec<u8>,
    /// Length of the value.
    pub value_bytes: usize,
    /// When the value is gone, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// Members, for a batch.
    pub members: usize,
}

/// Facts of one segment.
#[derive(Clone, Debug)]
pub struct SegmentFacts {
    /// Header page.
    pub header: SegmentHeader,
    /// Footer page, when the segment has been sealed.
    pub footer: Option<SegmentFooter>,
    /// Offset at which reading stopped.
    pub stopped_at: u64,
    /// What stands there; `None` when it is the unused rest of the file.
    pub damage: Option<String>,
}

/// Reads the segment at `path`, calling `each` on every record and every member of a batch.
///
/// # Errors
/// [`LogError::Corrupt`] when the header page is not valid, and the disk's own.
pub fn dump(
    disk: &dyn Disk,
    path: &Path,
    mut each: impl FnMut(&RecordFacts),
) -> Result<SegmentFacts, LogError> {
    let segment =
        Segment::open(disk, path, crate::io::OpenMode::Read)?.map_err(|e| LogError::page(path, 0, e))?;
    let footer = segment.footer().ok().flatten();
    let upto = footer
        .as_ref()
        .map_or(segment.limit(), |footer| footer.end.min(segment.limit()));
    let seed = segment.seed();
    let offset_of = |lsn: Lsn| segment.offset_of(lsn).unwrap_or(0) as u64;
    let (reached, why) = segment.walk(segment.first(), upto, true, |record| {
        let facts = |record: &super::view::RecordView<'_>, members: usize| RecordFacts {
            lsn: record.lsn(),
            offset: offset_of(record.lsn()),
            size: record.size(),
            kind: record.kind(),
            flags: record.flags(),
            hlc: record.hlc(),
            prev: record.prev(),
            key: record.key().to_vec(),
            value_bytes: record.value().len(),
            expires_at_ms: record.expiry().ok().and_then(|expiry| expiry.ms()),
            members,
        };
        each(&facts(&record, record.members(seed).count()));
        record
            .members(seed)
            .flatten()
            .for_each(|member| each(&facts(&member, 0)));
    });
    let damage = match why {
        WalkEnd::Limit | WalkEnd::Empty => None,
        WalkEnd::Uncommitted { size } => Some(format!("{size} bytes reserved and never committed")),
        WalkEnd::Invalid(error) => Some(error.to_string()),
    };
    Ok(SegmentFacts {
        header: segment.header().clone(),
        footer,
        stopped_at: offset_of(reached),
        damage,
    })
}
