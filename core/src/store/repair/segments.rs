//! What is left of the segments.
//!
//! In: segment files, their headers as far as they can be read. Out: every version whose checksums fit,
//! in the order of the log, written to the new store; the stretches of the log that are gone.

use std::path::{Path, PathBuf};

use super::super::{Durability, Store, StoreError, WriteBatch, for_each_version};
use super::{Lost, RepairReport, read_out};
use crate::ids::{Lsn, Uuid};
use crate::io::{Disk, OpenMode};
use crate::log::LogError;
use crate::log::format::{RecordError, RecordFlags, RecordKind, RecordParts};
use crate::log::header::{PAGE_BYTES, SegmentHeader};
use crate::log::segment::{MAX_SEGMENT_BYTES, Segment};
use crate::log::view::RecordView;

/// A segment file, and its header if that can be read.
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    pub(super) header: Option<SegmentHeader>,
}

impl SegmentFile {
    pub(super) fn first(&self) -> Option<Lsn> {
        self.header.as_ref().map(|header| header.first_lsn)
    }
}

/// Segments of which tables have every version below `through`, and those they do not have.
pub(super) fn split(files: &[SegmentFile], through: Lsn) -> (&[SegmentFile], &[SegmentFile]) {
    let is_above = |file: &SegmentFile| file.first().is_some_and(|first| first >= through);
    let mut at = files.iter().position(is_above).unwrap_or(files.len());
    // One whose header is lost may belong to either; what it would have held tells the next one.
    while at > 0 && files[at - 1].header.is_none() {
        at -= 1;
    }
    files.split_at(at)
}

/// A part of the log.
pub(super) struct Part<'p> {
    pub(super) disk: &'p dyn Disk,
    pub(super) log_dir: &'p Path,
    pub(super) files: &'p [SegmentFile],
    /// From where on it is needed, and where it ended, where that is known.
    pub(super) span: (Lsn, Option<Lsn>),
}

impl Part<'_> {
    /// Saves what the segments hold.
    pub(super) fn save(
        &self,
        copy: &Path,
        store: &Store,
        report: &mut RepairReport,
        done: &mut dyn FnMut(&RepairReport),
    ) -> Result<(), StoreError> {
        let (mut reached, tail) = self.span;
        for (i, file) in self.files.iter().enumerate() {
            report.segments += 1;
            let Some(header) = &file.header else {
                // How far it went shows where the next one starts.
                continue;
            };
            if header.first_lsn > reached {
                let before = i.checked_sub(1).map(|i| &self.files[i]);
                let path = before
                    .filter(|before| before.header.is_none())
                    .map_or_else(|| self.log_dir.to_owned(), |before| before.path.clone());
                let what = "no segment with a readable header holds these positions";
                report.lost.push(Lost {
                    to: Some(header.first_lsn),
                    ..Lost::positions(path, reached, what)
                });
            }
            let end = self.files[i + 1..].iter().find_map(SegmentFile::first).or(tail);
            read_out(self.disk, &file.path, header.capacity, copy)?;
            let segment = Segment::open(self.disk, copy, OpenMode::Read)?
                .map_err(|error| LogError::page(copy, 0, error))?;
            reached = salvage(&segment, &file.path, end, store, report)?;
            drop(segment);
            self.disk
                .remove_file(copy)
                .map_err(|e| LogError::io("remove", copy, e))?;
            done(report);
        }
        let last = self.files.last().filter(|last| last.header.is_none());
        if tail.is_none_or(|tail| reached < tail) && (last.is_some() || tail.is_some()) {
            let (path, what) = match last {
                Some(last) => (last.path.clone(), "the segment's header cannot be read"),
                None => (
                    self.log_dir.to_owned(),
                    "the segments with these positions are missing",
                ),
            };
            report.lost.push(Lost {
                to: tail,
                ..Lost::positions(path, reached, what)
            });
        }
        Ok(())
    }
}

/// The header of a segment, if it can be read and means something.
pub(super) fn header_of(disk: &dyn Disk, path: &Path) -> Option<SegmentHeader> {
    let file = disk.open(path, OpenMode::Read).ok()?;
    let mut page = [0u8; PAGE_BYTES];
    if file.read_at(&mut page, 0).ok()? < PAGE_BYTES {
        return None;
    }
    let header = SegmentHeader::decode(&page).ok()?;
    let fits = (3 * PAGE_BYTES as u64..=MAX_SEGMENT_BYTES).contains(&header.capacity)
        && header.first_lsn.0.checked_add(header.capacity).is_some()
        && header.store != Uuid::NIL;
    fits.then_some(header)
}

/// Writes what is sound below `end` into `store`; returns where the segment's part of the log ends.
fn salvage(
    segment: &Segment,
    path: &Path,
    end: Option<Lsn>,
    store: &Store,
    report: &mut RepairReport,
) -> Result<Lsn, StoreError> {
    let limit = end.unwrap_or_else(|| segment.limit()).min(segment.limit());
    let mut at = segment.first();
    while at < limit {
        let error = match segment.record(at) {
            Ok(record) if record.end() <= limit => {
                match record.verify_payload(segment.seed()) {
                    Ok(()) => report.versions += copy(&record, segment, store)?,
                    Err(error) => report.lost.push(Lost {
                        to: Some(record.end()),
                        key: record.kind().is_version().then(|| record.key().to_vec()),
                        ..Lost::positions(path.to_owned(), at, error.to_string())
                    }),
                }
                at = record.end();
                continue;
            }
            Ok(_) => RecordError::Malformed("size"),
            Err(error) => error,
        };
        let mut next = at.advance(8);
        while next < limit && segment.record(next).is_err() {
            next = next.advance(8);
        }
        let found = next < limit;
        if matches!(error, RecordError::Uncommitted) {
            report.unfinished += 1;
        } else if found || end.is_some() || error != RecordError::Empty {
            report.lost.push(Lost {
                to: if found { Some(next) } else { end },
                ..Lost::positions(path.to_owned(), at, error.to_string())
            });
        }
        if !found {
            return Ok(end.unwrap_or(at));
        }
        at = next;
    }
    Ok(at)
}

/// Writes the versions of one record, those of a batch as a batch.
fn copy(record: &RecordView<'_>, segment: &Segment, store: &Store) -> Result<u64, StoreError> {
    let mut batch = WriteBatch::new();
    let mut versions = 0;
    for_each_version(record, segment, |version| {
        versions += 1;
        if version.is_system() {
            let parts = RecordParts {
                flags: RecordFlags(RecordFlags::SYSTEM),
                hlc: Some(version.hlc()),
                ..RecordParts::new(version.kind(), version.key(), version.value(), Lsn::ZERO)
            };
            store.append_version(&parts, true)?;
        } else {
            let damaged = |error| StoreError::from(segment.damaged(version.lsn(), &error));
            let expiry = version.expiry().map_err(damaged)?;
            let value = (version.kind() != RecordKind::Delete).then(|| version.value().to_vec());
            batch.copy_version(version.key(), value, version.hlc(), expiry.ms());
        }
        Ok::<(), StoreError>(())
    })?;
    if !batch.is_empty() {
        store.write(&batch, Durability::Buffered)?;
    }
    Ok(versions)
}
