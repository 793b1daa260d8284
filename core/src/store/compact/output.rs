//! What a compaction writes: tables one after the other, and what the key index has to learn.
//!
//! In: a stream of versions and the rule which of them stay. Out: finished tables, and for every entry
//! where it stood before. Nothing outside the new files changes here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::StoreError;
use super::super::files::FileSet;
use super::super::index::Location;
use super::super::manifest::TABLE_DIR;
use super::super::table::Table;
use super::super::table::format::{MAX_ENTRY_START, TableHeader, Widths};
use super::super::table::writer::{TableWriter, Throttle};
use super::input::{Candidate, Input};
use super::keep::KeepRule;
use crate::ids::{ShardId, Uuid};
use crate::io::Disk;

/// A new table and where each of its entries stood before, in order.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) table: Arc<Table>,
    pub(super) before: Vec<Location>,
}

/// A version that leaves without a trace, and its key: the index may point to it.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) key: Vec<u8>,
    pub(super) at: Location,
}

/// Where tables go and how they are named.
pub(super) struct Place<'p> {
    pub(super) disk: &'p dyn Disk,
    pub(super) dir: &'p Path,
    pub(super) cluster: Uuid,
    pub(super) shard: ShardId,
    pub(super) files: &'p FileSet,
    /// Tables are cut at about this size.
    pub(super) table_bytes: usize,
}

/// Writes tables.
pub(super) struct Output<'p> {
    place: Place<'p>,
    next_table: u64,
    writer: Option<(TableWriter, u16)>,
    before: Vec<Location>,
    pub(super) written: Vec<Written>,
    pub(super) gone: Vec<Gone>,
    /// Versions read, and dropped.
    pub(super) read: u64,
    pub(super) dropped: u64,
    pub(super) bytes: u64,
}

impl<'p> Output<'p> {
    pub(super) fn new(place: Place<'p>) -> Output<'p> {
        Output {
            next_table: place.files.next_table,
            place,
            writer: None,
            before: Vec::new(),
            written: Vec::new(),
            gone: Vec::new(),
            read: 0,
            dropped: 0,
            bytes: 0,
        }
    }

    /// Number of the table after those written.
    pub(super) fn next_table(&self) -> u64 {
        self.next_table
    }

    /// Whether the table under way has its size.
    pub(super) fn is_full(&self) -> bool {
        let start = self.writer.as_ref().map_or(0, |(writer, _)| writer.next_start());
        start >= self.place.table_bytes
    }

    /// Writes those of `group`, the versions of one key, that stay.
    pub(super) fn add(
        &mut self,
        input: &dyn Input,
        group: &[Candidate],
        keep: &[bool],
        throttle: &mut Throttle<'_>,
    ) -> Result<(), StoreError> {
        let newest_goes = keep.first() == Some(&false);
        for (candidate, keep) in group.iter().zip(keep) {
            self.read += 1;
            if !*keep {
                self.dropped += 1;
                continue;
            }
            if self
                .writer
                .as_ref()
                .is_some_and(|(writer, _)| writer.next_start() >= MAX_ENTRY_START)
            {
                // Only a key with large versions gets here; they go on in the next table.
                self.finish(throttle)?;
            }
            let (parts, before) = input.read(candidate)?;
            let writer = match &mut self.writer {
                Some((writer, _)) => writer,
                None => self.start(input)?,
            };
            writer.add(&parts, throttle)?;
            self.before.push(before);
        }
        // Only a deletion or an expired value that is the last word on its key goes while it is the
        // newest; an older version that goes is not what the index points to.
        if newest_goes {
            let (parts, at) = input.read(&group[0])?;
            self.gone.push(Gone {
                key: parts.key.to_vec(),
                at,
            });
        }
        Ok(())
    }

    fn start(&mut self, input: &dyn Input) -> Result<&mut TableWriter, StoreError> {
        let place = &self.place;
        let taken: Vec<u16> = self.written.iter().map(|written| written.table.slot()).collect();
        let slot = place.files.free_slot(self.next_table, &taken, place.dir)?;
        let (lsns, hlcs) = input.bounds();
        let header = TableHeader {
            cluster: place.cluster,
            shard: place.shard,
            number: self.next_table,
            widths: Widths::covering(lsns, hlcs),
        };
        let writer = TableWriter::create(place.disk, &place.dir.join(TABLE_DIR), header)?;
        self.next_table += 1;
        Ok(&mut self.writer.insert((writer, slot)).0)
    }

    /// Finishes the table under way.
    pub(super) fn finish(&mut self, throttle: &mut Throttle<'_>) -> Result<(), StoreError> {
        let Some((writer, slot)) = self.writer.take() else {
            return Ok(());
        };
        let finished = writer.finish(self.place.disk, throttle)?;
        self.bytes += finished.file_bytes;
        let table = Table::open(self.place.disk, &finished.path, slot);
        if table.is_err() {
            self.remove(&finished.path);
        }
        self.written.push(Written {
            table: Arc::new(table?),
            before: std::mem::take(&mut self.before),
        });
        Ok(())
    }

    fn remove(&self, path: &Path) {
        if let Err(error) = self.place.disk.remove_file(path) {
            tracing::debug!(path = %path.display(), %error, "could not remove an unused table");
        }
    }

    /// Removes everything again; what cannot be removed is left to the next opening.
    pub(super) fn abandon(mut self) {
        if let Some((writer, _)) = self.writer.take() {
            writer.abandon(self.place.disk);
        }
        let paths: Vec<PathBuf> = self
            .written
            .iter()
            .map(|written| written.table.path().to_owned())
            .collect();
        paths.iter().for_each(|path| self.remove(path));
    }
}

/// Moves versions from `input` to `output` until `stop` says so, asked between two keys; `false` when
/// the input has come to its end. Calls `stop` with the last key, as far as it is a user's.
pub(super) fn pour(
    input: &mut dyn Input,
    output: &mut Output<'_>,
    rule: &KeepRule,
    throttle: &mut Throttle<'_>,
    stop: &mut dyn FnMut(&Output<'_>, Option<&[u8]>) -> bool,
) -> Result<bool, StoreError> {
    let (mut group, mut versions, mut keep) = (Vec::new(), Vec::new(), Vec::new());
    while input.next_key(&mut group)? {
        let (newest, _) = input.read(&group[0])?;
        let system = newest.flags.has(crate::log::format::RecordFlags::SYSTEM);
        if system {
            // Their history is what they are for.
            keep.clear();
            keep.resize(group.len(), true);
        } else {
            versions.clear();
            versions.extend(
                group
                    .iter()
                    .map(|version| (version.lsn, version.kind, version.expiry)),
            );
            rule.decide(&versions, &mut keep);
        }
        output.add(input, &group, &keep, throttle)?;
        let (newest, _) = input.read(&group[0])?;
        if stop(output, (!system).then_some(newest.key)) {
            return Ok(true);
        }
    }
    Ok(false)
}
