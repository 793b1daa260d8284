//! Writing a table: versions in key order go in, a file under its final name comes out.
//!
//! In: versions, by keyspace (users' first), key, and position from new to old. Out: a synced file.
//! It is written under a temporary name and renamed at the end; its name is durable once the caller
//! has synced the directory. What must never happen: a file under a final name that is not whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::TableError;
use super::format::{
    DATA_START, EntryParts, MAX_ENTRY_START, MAX_SHARED_BYTES, TableFooter, TableHeader, Widths,
};
use super::tree;
use crate::ids::{Hlc, Lsn, ShardId, Uuid};
use crate::io::{Disk, File};
use crate::log::expiry::Expiry;
use crate::log::format::{RecordFlags, RecordKind};
use crate::log::header::PAGE_BYTES;

/// Bytes of entries between two anchors of the search tree: with 128-byte entries the tree takes
/// 0.8 bytes an entry, and a look-up walks over 8 entries on average.
const ANCHOR_BYTES: usize = 2048;
/// Written in pieces of this size.
const PIECE_BYTES: usize = 512 << 10;

/// Told before each piece is written, how many bytes it has; may wait, or refuse.
pub(in crate::store) type Throttle<'t> = dyn FnMut(usize) -> Result<(), TableError> + 't;

/// File name of a table.
pub(in crate::store) fn file_name(number: u64) -> String {
    format!("{number:016x}.tbl")
}

/// Facts of a table that has been written.
#[derive(Clone, Debug)]
pub(in crate::store) struct Finished {
    pub(in crate::store) path: PathBuf,
    pub(in crate::store) file_bytes: u64,
}

/// A table being written. Dropping it leaves the temporary file, which the next opening removes.
pub(in crate::store) struct TableWriter {
    path: PathBuf,
    draft: PathBuf,
    file: Arc<dyn File>,
    header: TableHeader,
    /// Bytes of the file before `buffer`; a multiple of the page size.
    written: usize,
    buffer: Vec<u8>,
    page_crcs: Vec<u32>,
    /// Offsets of anchors, and as much of their keys as the tree may need.
    anchors: Vec<u32>,
    anchor_keys: Vec<Box<[u8]>>,
    first_key: Vec<u8>,
    /// Keyspace, key and position of the last entry.
    last: Option<(bool, Lsn)>,
    last_key: Vec<u8>,
    last_user_key: Vec<u8>,
    footer: TableFooter,
}

/// A table that is whole but for what it can learn only when it joins a store: number, position and
/// stamp. All its versions have one position and one stamp. It has no name that a store would look at.
#[derive(Debug)]
pub(in crate::store) struct StagedTable {
    draft: PathBuf,
    file: Arc<dyn File>,
    header: TableHeader,
    footer: TableFooter,
    file_bytes: u64,
}

impl StagedTable {
    pub(in crate::store) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Fills in what was missing, syncs, and gives the file its name in `dir`. The name is durable once the
    /// caller has synced that directory.
    pub(in crate::store) fn publish(
        &self,
        disk: &dyn Disk,
        dir: &Path,
        number: u64,
        (lsn, hlc): (Lsn, Hlc),
    ) -> Result<Finished, TableError> {
        let header = TableHeader {
            number,
            widths: Widths::covering((lsn, lsn), (hlc, hlc)),
            ..self.header.clone()
        };
        let footer = TableFooter {
            number,
            lsns: (lsn, lsn),
            hlcs: (hlc, hlc),
            ..self.footer.clone()
        };
        let footer_at = self.file_bytes - PAGE_BYTES as u64;
        for (page, at) in [(header.encode(), 0), (footer.encode(), footer_at)] {
            self.file
                .write_all_at(&page, at)
                .map_err(TableError::io("write", &self.draft))?;
        }
        self.file
            .sync_data()
            .map_err(TableError::io("sync", &self.draft))?;
        let path = dir.join(file_name(number));
        disk.rename(&self.draft, &path)
            .map_err(TableError::io("rename", &self.draft))?;
        Ok(Finished {
            path,
            file_bytes: self.file_bytes,
        })
    }

    /// Removes the file; one that cannot be removed is removed by the next opening.
    pub(in crate::store) fn abandon(&self, disk: &dyn Disk) {
        remove_draft(disk, &self.draft);
    }
}

fn remove_draft(disk: &dyn Disk, draft: &Path) {
    if let Err(error) = disk.remove_file(draft) {
        tracing::debug!(path = %draft.display(), %error, "could not remove an unfinished table");
    }
}

impl TableWriter {
    /// Starts the file of table `header.number` in `dir`.
    pub(in crate::store) fn create(
        disk: &dyn Disk,
        dir: &Path,
        header: TableHeader,
    ) -> Result<TableWriter, TableError> {
        let path = dir.join(file_name(header.number));
        TableWriter::create_named(disk, path, header)
    }

    /// Starts a table for [`TableWriter::stage`] under a temporary name that begins with `name`.
    pub(in crate::store) fn create_staged(
        disk: &dyn Disk,
        dir: &Path,
        name: &str,
        (cluster, shard): (Uuid, ShardId),
    ) -> Result<TableWriter, TableError> {
        let header = TableHeader {
            cluster,
            shard,
            number: 0,
            widths: Widths::covering((Lsn::ZERO, Lsn::ZERO), (Hlc::ZERO, Hlc::ZERO)),
        };
        TableWriter::create_named(disk, dir.join(format!("{name}.tbl")), header)
    }

    fn create_named(disk: &dyn Disk, path: PathBuf, header: TableHeader) -> Result<TableWriter, TableError> {
        let draft = path.with_extension("tbl.new");
        if disk.exists(&draft).map_err(TableError::io("look up", &draft))? {
            disk.remove_file(&draft)
                .map_err(TableError::io("remove", &draft))?;
        }
        let file = disk.create(&draft).map_err(TableError::io("create", &draft))?;
        let footer = TableFooter {
            number: header.number,
            entries: 0,
            keys: 0,
            tombstones: 0,
            payload_bytes: 0,
            user_end: DATA_START as u64,
            data_end: DATA_START as u64,
            last_user: 0,
            anchors: 0,
            shared_bytes: 0,
            index_start: 0,
            index_crc: 0,
            lsns: (Lsn(u64::MAX), Lsn::ZERO),
            hlcs: (Hlc(u64::MAX), Hlc::ZERO),
            expiring: 0,
            first_expiry_ms: 0,
        };
        Ok(TableWriter {
            path,
            draft,
            file,
            written: 0,
            buffer: header.encode().to_vec(),
            header,
            page_crcs: Vec::new(),
            anchors: Vec::new(),
            anchor_keys: Vec::new(),
            first_key: Vec::new(),
            last: None,
            last_key: Vec::new(),
            last_user_key: Vec::new(),
            footer,
        })
    }

    /// Offset at which the next entry will start.
    pub(in crate::store) fn next_start(&self) -> usize {
        self.written + self.buffer.len()
    }

    /// Appends a version; returns the offset of its entry.
    pub(in crate::store) fn add(
        &mut self,
        parts: &EntryParts<'_>,
        throttle: &mut Throttle<'_>,
    ) -> Result<usize, TableError> {
        let start = self.next_start();
        let system = parts.flags.has(RecordFlags::SYSTEM);
        let same_key = self.check_order(system, parts, start)?;
        let expiry = Expiry::of(parts.flags, parts.ext)
            .map_err(|error| TableError::damaged(&self.path, start as u64, error))?;
        if !system {
            if self.footer.keys == 0 {
                self.first_key = parts.key.to_vec();
            }
            let last_anchor = self.anchors.last().map_or(0, |offset| *offset as usize);
            // Never between two versions of a key: a search ends at the newest one.
            if !same_key && (self.anchors.is_empty() || start - last_anchor >= ANCHOR_BYTES) {
                self.anchors.push(start as u32);
                let head = parts.key.len().min(MAX_SHARED_BYTES + 8);
                self.anchor_keys.push(parts.key[..head].into());
            }
            self.footer.keys += u64::from(!same_key);
            self.footer.last_user = start as u64;
            self.last_user_key.clear();
            self.last_user_key.extend_from_slice(parts.key);
        }
        parts.encode_into(&self.header.widths, same_key, &mut self.buffer);
        let footer = &mut self.footer;
        footer.entries += 1;
        footer.tombstones += u64::from(parts.kind == RecordKind::Delete);
        footer.payload_bytes += (parts.key.len() + parts.value.len()) as u64;
        footer.lsns = (footer.lsns.0.min(parts.lsn), footer.lsns.1.max(parts.lsn));
        footer.hlcs = (footer.hlcs.0.min(parts.hlc), footer.hlcs.1.max(parts.hlc));
        if let Some(ms) = expiry.ms() {
            let first = if footer.expiring == 0 {
                ms
            } else {
                footer.first_expiry_ms
            };
            footer.first_expiry_ms = first.min(ms);
            footer.expiring += 1;
        }
        let end = self.written + self.buffer.len();
        if !system {
            self.footer.user_end = end as u64;
        }
        self.footer.data_end = end as u64;
        if self.buffer.len() >= PIECE_BYTES {
            self.write_pages(throttle)?;
        }
        Ok(start)
    }

    /// Whether the version has the key of the one before it; an error where it comes out of turn.
    fn check_order(
        &mut self,
        system: bool,
        parts: &EntryParts<'_>,
        start: usize,
    ) -> Result<bool, TableError> {
        let wrong = |what: &str| Err(TableError::damaged(&self.path, start as u64, what));
        if start >= MAX_ENTRY_START {
            return wrong("an entry would start beyond the reach of the key index");
        }
        if !parts.lsn.0.is_multiple_of(8) {
            return wrong("a version's position is not a multiple of 8");
        }
        let mut same_key = false;
        if let Some((last_system, last_lsn)) = self.last {
            match (last_system, self.last_key.as_slice()).cmp(&(system, parts.key)) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal if parts.lsn < last_lsn => same_key = true,
                _ => return wrong("versions came out of order"),
            }
        }
        self.last = Some((system, parts.lsn));
        if !same_key {
            self.last_key.clear();
            self.last_key.extend_from_slice(parts.key);
        }
        Ok(same_key)
    }

    /// Writes the whole pages of the buffer.
    fn write_pages(&mut self, throttle: &mut Throttle<'_>) -> Result<(), TableError> {
        let whole = self.buffer.len() / PAGE_BYTES * PAGE_BYTES;
        for page in self.buffer[..whole].chunks_exact(PAGE_BYTES) {
            self.page_crcs.push(crc32c::crc32c(page));
        }
        self.write(whole, throttle)
    }

    fn write(&mut self, bytes: usize, throttle: &mut Throttle<'_>) -> Result<(), TableError> {
        for piece in self.buffer[..bytes].chunks(PIECE_BYTES) {
            throttle(piece.len())?;
            self.file
                .write_all_at(piece, self.written as u64)
                .map_err(TableError::io("write", &self.draft))?;
            self.written += piece.len();
        }
        self.buffer.drain(..bytes);
        Ok(())
    }

    fn pad(&mut self) {
        self.buffer
            .resize(self.buffer.len().next_multiple_of(PAGE_BYTES), 0);
    }

    /// Writes what is left, syncs, and gives the file its name.
    pub(in crate::store) fn finish(
        mut self,
        disk: &dyn Disk,
        throttle: &mut Throttle<'_>,
    ) -> Result<Finished, TableError> {
        self.complete(throttle)?;
        disk.rename(&self.draft, &self.path)
            .map_err(TableError::io("rename", &self.draft))?;
        Ok(Finished {
            path: self.path,
            file_bytes: self.written as u64,
        })
    }

    /// Writes what is left and syncs; the file waits for [`StagedTable::publish`]. A failure leaves the
    /// temporary file.
    pub(in crate::store) fn stage(mut self, throttle: &mut Throttle<'_>) -> Result<StagedTable, TableError> {
        let footer = self.complete(throttle)?;
        Ok(StagedTable {
            draft: self.draft,
            file: self.file,
            header: self.header,
            footer,
            file_bytes: self.written as u64,
        })
    }

    /// Writes what is left and syncs.
    fn complete(&mut self, throttle: &mut Throttle<'_>) -> Result<TableFooter, TableError> {
        self.pad();
        self.write_pages(throttle)?;
        let shared = shared_bytes(&self.first_key, &self.last_user_key);
        let prefixes: Vec<u64> = self
            .anchor_keys
            .iter()
            .map(|key| tree::prefix_of(key, shared))
            .collect();
        let mut section = tree::encode(&prefixes);
        self.anchors
            .iter()
            .for_each(|offset| section.extend_from_slice(&offset.to_le_bytes()));
        // The header page has a checksum of its own.
        self.page_crcs[1..]
            .iter()
            .for_each(|crc| section.extend_from_slice(&crc.to_le_bytes()));
        let mut footer = TableFooter {
            anchors: self.anchors.len() as u32,
            shared_bytes: shared as u16,
            index_start: self.written as u64,
            ..self.footer.clone()
        };
        debug_assert_eq!(section.len() as u64, footer.index_bytes());
        self.buffer = section;
        self.pad();
        footer.index_crc = crc32c::crc32c(&self.buffer);
        self.buffer.extend_from_slice(&footer.encode());
        let rest = self.buffer.len();
        self.write(rest, throttle)?;
        self.file
            .sync_data()
            .map_err(TableError::io("sync", &self.draft))?;
        Ok(footer)
    }

    /// Removes what has been written so far; a failure leaves it to the next opening.
    pub(in crate::store) fn abandon(self, disk: &dyn Disk) {
        remove_draft(disk, &self.draft);
    }
}

fn shared_bytes(first: &[u8], last: &[u8]) -> usize {
    let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    shared.min(MAX_SHARED_BYTES)
}
