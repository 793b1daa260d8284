//! What a reader can tell of a store, and a check of its files beside the writer.
//!
//! In: a view of the moment. Out: figures; damaged places.

use std::ops::Bound;
use std::time::Instant;

use super::super::StoreError;
use super::super::approximate::{Approximate, estimate};
use super::super::past::Past;
use super::super::slots::{ReaderInfo, Slots};
use super::super::verify::{VerifyReport, verify_segment, verify_table};
use super::StoreReader;
use super::view::{View, writer};
use crate::ids::{Lsn, ShardId, Uuid};

/// Figures of a store as a reader sees it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ReaderStats {
    /// Random name of the store, in hexadecimal.
    pub store: String,
    /// Likewise of its cluster; `None` for a store on its own.
    pub cluster: Option<String>,
    /// Shard.
    pub shard: ShardId,
    /// Node that keeps this copy.
    pub node: u64,
    /// Process id and host of the writer, while there is one.
    pub writer: Option<(u32, String)>,
    /// Life of the store when it was opened last.
    pub incarnation: u32,
    /// Position after the last record.
    pub tail: Lsn,
    /// Position of the first record that the log still has.
    pub log_start: Lsn,
    /// Segment files.
    pub segments: u64,
    /// Bytes of segment files, headers and space for growth included.
    pub file_bytes: u64,
    /// Position up to which versions are in tables.
    pub compacted_through: Lsn,
    /// Runs of tables.
    pub runs: u64,
    /// Table files.
    pub tables: u64,
    /// Bytes of table files.
    pub table_bytes: u64,
    /// Versions in tables, deletions and superseded ones included.
    pub table_entries: u64,
    /// Snapshots that readers hold.
    pub readers: Vec<ReaderInfo>,
}

/// Where the newest version of a key stands.
fn newest_lsn(view: &View, key: &[u8]) -> Result<Option<Lsn>, StoreError> {
    let version = match view.newest(view.hash(key), key)? {
        (Some(place), _) => Some(place.version()),
        (None, true) => view.version_in_tables(key, false, Lsn(u64::MAX))?,
        (None, false) => None,
    };
    version.map(|version| Ok(version.view()?.lsn)).transpose()
}

impl StoreReader {
    /// About how many records lie between the bounds, and how many bytes, as
    /// [`Store::approximate_where`](super::super::Store::approximate_where) tells of all keys, by looking at about
    /// `effort_bytes` of tables and as much of the log.
    ///
    /// # Errors
    /// As for [`StoreReader::get`].
    pub fn approximate(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        effort_bytes: u64,
    ) -> Result<Approximate, StoreError> {
        self.0.with(|view| {
            view.refresh()?;
            let deadline = Instant::now() + self.0.options.patience;
            let stable = self.0.complete_until(view, deadline)?;
            let newest = |key: &[u8]| newest_lsn(view, key);
            estimate((view, &newest), stable, (start, end), &|_, _| true, effort_bytes)
        })
    }

    /// Figures as of now.
    ///
    /// # Errors
    /// As for [`StoreReader::get`].
    pub fn stats(&self) -> Result<ReaderStats, StoreError> {
        let disk = &*self.0.env.disk;
        let readers = Slots::open(disk, &self.0.dir).and_then(|slots| slots.held());
        self.0.with(|view| {
            view.refresh()?;
            let (segments, files) = view.layers()?;
            let control = &view.control;
            Ok(ReaderStats {
                store: control.store.to_string(),
                cluster: (control.cluster != Uuid::NIL).then(|| control.cluster.to_string()),
                shard: control.shard,
                node: control.node,
                writer: writer(disk, &self.0.dir).map(|holder| (holder.pid, holder.host)),
                incarnation: control.incarnation,
                tail: view.tail(),
                log_start: segments.first().map_or(view.tail(), |first| first.first()),
                segments: segments.len() as u64,
                file_bytes: segments.iter().map(|segment| segment.header().capacity).sum(),
                compacted_through: files.through,
                runs: files.runs.len() as u64,
                tables: files.tables().count() as u64,
                table_bytes: files.tables().map(|table| table.file_bytes()).sum(),
                table_entries: files.tables().map(|table| table.footer().entries).sum(),
                // Without permission to map the file nothing is known of them.
                readers: readers.as_ref().map_or_else(|_| Vec::new(), Clone::clone),
            })
        })
    }

    /// Reads every record and every table as of now and compares every checksum, while the writer goes on.
    /// `progress` is told the bytes of log done and in all. The key index and the hash chain are not looked
    /// at: that takes [`super::super::Store::verify`].
    ///
    /// # Errors
    /// Only what keeps the check itself from going on; damage is in the report.
    pub fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport, StoreError> {
        let snapshot = self.snapshot()?;
        let (segments, files) = self.0.with(|view| {
            view.refresh()?;
            view.layers()
        })?;
        let mut report = VerifyReport::default();
        for segment in segments {
            if segment.first() < snapshot.lsn() {
                verify_segment(&segment, snapshot.lsn(), &mut report, progress, &mut |_| Ok(()));
            }
        }
        for table in files.tables() {
            verify_table(table, &mut report);
        }
        snapshot.check()?;
        Ok(report)
    }
}
