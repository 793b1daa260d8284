//! One ordered source of a scan: a run of tables, or a sorted part of a segment.
//!
//! In: bounds and a position. Out: for each key the newest version below the position, in either
//! direction. A source keeps its files mapped, so nothing that happens to the store disturbs it.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use super::super::StoreError;
use super::super::files::Run;
use super::super::table::format::{DATA_START, EntryView};
use super::super::table::tree::prefix_of;
use super::super::table::{Table, TableError};
use super::super::version::Pin;
use super::sorted::Chunk;
use crate::ids::{Hlc, Lsn};
use crate::log::expiry::Expiry;
use crate::log::format::{RECORD_HEADER_BYTES, RecordFlags, RecordKind};
use crate::log::segment::Segment;

/// Records of the log are fetched so many keys ahead: they lie anywhere.
const AHEAD: usize = 16;
/// Entries of a table are taken so many at a time: what leads to the table is then looked up once.
const BATCH: usize = 32;

/// The version a source stands at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) prefix: u64,
    pub(super) lsn: Lsn,
    pub(super) hlc: Hlc,
    pub(super) expiry: Expiry,
    pub(super) is_deleted: bool,
    /// Offset and length in the file.
    pub(super) key: (usize, usize),
    pub(super) value: (usize, usize),
}

const NOWHERE: Head = Head {
    prefix: 0,
    lsn: Lsn::ZERO,
    hlc: Hlc::ZERO,
    expiry: Expiry::NEVER,
    is_deleted: false,
    key: (0, 0),
    value: (0, 0),
};

/// A source; see the head of this file.
#[derive(Debug)]
pub(super) enum Source {
    Tables(TableSource),
    Log(LogSource),
}

impl Source {
    #[inline]
    pub(super) fn head(&self) -> &Head {
        match self {
            Source::Tables(source) => source.head(),
            Source::Log(source) => &source.head,
        }
    }

    /// Goes on to the next key; `false` at the end.
    #[inline]
    pub(super) fn step(&mut self, reverse: bool) -> Result<bool, StoreError> {
        match self {
            Source::Tables(source) if reverse => Ok(source.backward()?),
            Source::Tables(source) => Ok(source.forward()?),
            Source::Log(source) => source.step(reverse),
        }
    }

    #[inline]
    pub(super) fn slice(&self, span: (usize, usize)) -> &[u8] {
        match self {
            Source::Tables(source) => source.tables()[source.head_table].slice(span.0, span.1),
            Source::Log(source) => source
                .segment
                .slice(span.0, span.1)
                .expect("the span was checked when the source got there"),
        }
    }

    pub(super) fn key(&self) -> &[u8] {
        self.slice(self.head().key)
    }

    pub(super) fn pin(&self) -> Pin {
        match self {
            Source::Tables(source) => Pin::Table(Arc::clone(&source.tables()[source.head_table])),
            Source::Log(source) => Pin::Log(Arc::clone(&source.segment)),
        }
    }

    /// Checks the value at the head, where that has not been done on the way there.
    #[inline]
    pub(super) fn check_value(&self) -> Result<(), StoreError> {
        match self {
            Source::Tables(_) => Ok(()),
            Source::Log(source) => source.check_value(),
        }
    }

    /// In order of keys; of one key, the newest first.
    #[inline]
    pub(super) fn compare(&self, other: &Source, reverse: bool) -> Ordering {
        let (a, b) = (self.head(), other.head());
        let order = a.prefix.cmp(&b.prefix).then_with(|| self.key().cmp(other.key()));
        let order = if reverse { order.reverse() } else { order };
        order.then_with(|| b.lsn.cmp(&a.lsn))
    }

    #[inline]
    pub(super) fn same_key(&self, other: &Source) -> bool {
        self.head().prefix == other.head().prefix && self.key() == other.key()
    }
}

#[inline]
fn head_of(entry: &EntryView<'_>) -> Head {
    Head {
        prefix: prefix_of(entry.key, 0),
        lsn: entry.lsn,
        hlc: entry.hlc,
        expiry: entry.expiry,
        is_deleted: entry.kind == RecordKind::Delete,
        key: (entry.key_start, entry.key.len()),
        value: (entry.value_start, entry.value.len()),
    }
}

/// Where a key's entries begin in a run: table and offset.
type Spot = (usize, usize);

/// A run between two places.
#[derive(Debug)]
pub(super) struct TableSource {
    run: Arc<Run>,
    at: Lsn,
    /// Next entry going forward.
    from: Spot,
    /// End of the entries; going backward, it comes down.
    to: Spot,
    /// Going forward: end of the entries in the table that `from` is in.
    stop: usize,
    /// Whether the key of the entry before has shown its version.
    shown: bool,
    /// Going backward: where keys begin, from the anchor before `to` on.
    starts: Vec<usize>,
    /// Versions found ahead, all in one table, and which of them is the head.
    batch: Vec<Head>,
    current: usize,
    head_table: usize,
    /// Keys that will be asked for, as far as that is known.
    wanted: u64,
}

/// Where entries of keys at or beyond the bound begin.
fn spot(run: &Run, bound: Bound<&[u8]>) -> Result<Spot, TableError> {
    let (key, past_equal) = match bound {
        Bound::Unbounded => return Ok((0, DATA_START)),
        Bound::Included(key) => (key, false),
        Bound::Excluded(key) => (key, true),
    };
    let mut table = run.table_of(key)?;
    loop {
        let Some(found) = run.tables.get(table) else {
            return Ok((table, DATA_START));
        };
        let offset = found.seek(key, past_equal)?;
        // At the end of a table its key may go on in the next one.
        if offset < found.user_end() || table + 1 == run.tables.len() {
            return Ok((table, offset));
        }
        table += 1;
    }
}

impl TableSource {
    pub(super) fn new(
        run: Arc<Run>,
        at: Lsn,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        wanted: u64,
    ) -> Result<TableSource, TableError> {
        let mut from = spot(&run, start)?;
        if let Some(after) = &run.after {
            from = from.max(spot(&run, Bound::Excluded(after))?);
        }
        let to = match end {
            Bound::Unbounded => (run.tables.len(), DATA_START),
            Bound::Included(end) => spot(&run, Bound::Excluded(end))?,
            Bound::Excluded(end) => spot(&run, Bound::Included(end))?,
        };
        let mut source = TableSource {
            at,
            from,
            to,
            stop: 0,
            shown: false,
            starts: Vec::new(),
            batch: Vec::with_capacity(BATCH),
            current: 0,
            head_table: 0,
            wanted,
            run,
        };
        source.set_stop();
        Ok(source)
    }

    fn tables(&self) -> &[Arc<Table>] {
        &self.run.tables
    }

    fn set_stop(&mut self) {
        self.stop = match self.run.tables.get(self.from.0) {
            _ if self.from.0 == self.to.0 => self.to.1,
            Some(table) if self.from.0 < self.to.0 => table.user_end(),
            _ => 0,
        };
    }

    #[inline]
    fn head(&self) -> &Head {
        &self.batch[self.current]
    }

    /// Makes the entry the head.
    fn set_head(batch: &mut Vec<Head>, current: &mut usize, entry: &EntryView<'_>) {
        batch.clear();
        batch.push(head_of(entry));
        *current = 0;
    }

    #[inline]
    fn forward(&mut self) -> Result<bool, TableError> {
        if self.current + 1 < self.batch.len() {
            self.current += 1;
            return Ok(true);
        }
        self.next_batch()
    }

    fn next_batch(&mut self) -> Result<bool, TableError> {
        self.batch.clear();
        self.current = 0;
        // A few more than wanted, since some may be deleted or stand in another source too.
        let size = self.wanted.clamp(4, BATCH as u64) as usize;
        loop {
            if self.from.1 >= self.stop {
                if self.from.0 >= self.to.0 {
                    return Ok(false);
                }
                self.next_table()?;
                continue;
            }
            let (batch, shown, at) = (&mut self.batch, &mut self.shown, self.at);
            self.from.1 = self.run.tables[self.from.0].walk(self.from.1, self.stop, |entry| {
                if !(entry.same_key && *shown) {
                    *shown = entry.lsn < at;
                    if *shown {
                        batch.push(head_of(&entry));
                    }
                }
                batch.len() < size
            })?;
            if !self.batch.is_empty() {
                self.wanted -= (self.batch.len() as u64).min(self.wanted);
                self.head_table = self.from.0;
                return Ok(true);
            }
        }
    }

    /// Goes on in the next table, behind what it has of the last key of this one, if that has been
    /// shown.
    #[cold]
    fn next_table(&mut self) -> Result<(), TableError> {
        self.from = (self.from.0 + 1, DATA_START);
        self.set_stop();
        if self.shown
            && self.from.1 < self.stop
            && let Some(table) = self.run.tables.get(self.from.0)
            && let Some(last) = self.run.tables[self.from.0 - 1].last_key()?
        {
            if table.first_key()? == Some(last) {
                self.from.1 = table.seek(last, true)?;
            } else {
                self.shown = false;
            }
        }
        Ok(())
    }

    fn backward(&mut self) -> Result<bool, TableError> {
        loop {
            if self.to <= self.from {
                return Ok(false);
            }
            let Some(start) = self.starts.pop() else {
                if !self.find_starts()? {
                    return Ok(false);
                }
                continue;
            };
            self.to.1 = start;
            let table = &self.run.tables[self.to.0];
            if start == DATA_START
                && self.to.0 > 0
                && self.run.tables[self.to.0 - 1].last_key()? == Some(table.key_at(start)?.key)
            {
                // The key has its newer versions in the table before.
                let table = Arc::clone(table);
                if self.show_divided(table.key_at(start)?.key)? {
                    return Ok(true);
                }
                continue;
            }
            let mut offset = start;
            while offset < table.user_end() {
                let entry = table.entry_at(offset)?;
                if offset > start && !entry.same_key {
                    break;
                }
                if entry.lsn < self.at {
                    self.head_table = self.to.0;
                    Self::set_head(&mut self.batch, &mut self.current, &entry);
                    return Ok(true);
                }
                offset = entry.end;
            }
        }
    }

    /// Shows the version of a key that several tables share, and goes before its first entry.
    #[cold]
    fn show_divided(&mut self, key: &[u8]) -> Result<bool, TableError> {
        let first = self.run.table_of(key)?;
        self.to = (first, self.run.tables[first].seek(key, false)?);
        self.starts.clear();
        let Some((table, offset)) = self.run.find(key, false, self.at)? else {
            return Ok(false);
        };
        let place = self
            .run
            .tables
            .iter()
            .position(|other| Arc::ptr_eq(other, &table));
        self.head_table = place.expect("the run found it in one of its tables");
        Self::set_head(&mut self.batch, &mut self.current, &table.entry_at(offset)?);
        Ok(true)
    }

    /// Notes where keys begin between the anchor before `to` and `to`; `false` at the end.
    fn find_starts(&mut self) -> Result<bool, TableError> {
        while self.to.0 >= self.run.tables.len() || self.to.1 <= DATA_START {
            let Some(table) = self.to.0.checked_sub(1) else {
                return Ok(false);
            };
            self.to = (table, self.run.tables[table].user_end());
            if self.to <= self.from {
                return Ok(false);
            }
        }
        let table = &self.run.tables[self.to.0];
        let low = if self.from.0 == self.to.0 {
            self.from.1
        } else {
            DATA_START
        };
        let mut offset = table.anchor_at(self.to.1 - 1)?.max(low);
        while offset < self.to.1 {
            let entry = table.key_at(offset)?;
            if !entry.same_key {
                self.starts.push(offset);
            }
            offset = entry.end;
        }
        Ok(true)
    }
}

/// A sorted part of a segment between two places.
#[derive(Debug)]
pub(super) struct LogSource {
    segment: Arc<Segment>,
    chunk: Arc<Chunk>,
    at: Lsn,
    from: usize,
    to: usize,
    shown: bool,
    head: Head,
}

impl LogSource {
    pub(super) fn new(
        segment: Arc<Segment>,
        chunk: Arc<Chunk>,
        at: Lsn,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<LogSource, StoreError> {
        let from = chunk.position(&segment, start)?;
        let to = match end {
            Bound::Unbounded => chunk.len(),
            Bound::Included(end) => chunk.position(&segment, Bound::Excluded(end))?,
            Bound::Excluded(end) => chunk.position(&segment, Bound::Included(end))?,
        };
        Ok(LogSource {
            segment,
            chunk,
            at,
            from,
            to,
            shown: false,
            head: NOWHERE,
        })
    }

    fn lsn(&self, i: usize) -> Lsn {
        self.segment
            .lsn_at(self.chunk.offset(i).0)
            .expect("chunks point at records of their segment")
    }

    /// Header, key and the beginning of the value: three lines, on average.
    fn prefetch(&self, i: usize) {
        let offset = self.chunk.offset(i).0;
        for line in 0..3 {
            self.segment.prefetch(offset + line * 64);
        }
    }

    fn is_visible(&self, lsn: Lsn) -> bool {
        // The order may be older than a truncation that has moved the segment's end back.
        lsn < self.at && lsn < self.segment.end()
    }

    #[inline]
    fn step(&mut self, reverse: bool) -> Result<bool, StoreError> {
        let found = if reverse { self.backward() } else { self.forward() };
        let Some(i) = found else { return Ok(false) };
        let lsn = self.lsn(i);
        // Checksums of header and key: an entry is believed only once they fit.
        let record = self
            .segment
            .record(lsn)
            .map_err(|error| self.segment.damaged(lsn, &error))?;
        let expiry = if record.flags().has(RecordFlags::TTL) {
            // What decides whether the key shows must have been compared with its checksum.
            let checked = record.verify_payload(self.segment.seed());
            let expiry = checked.and_then(|()| record.expiry());
            expiry.map_err(|error| self.segment.damaged(lsn, &error))?
        } else {
            Expiry::NEVER
        };
        let offset = self.chunk.offset(i).0;
        self.head = Head {
            prefix: self.chunk.prefix(i),
            lsn,
            hlc: record.hlc(),
            expiry,
            is_deleted: record.kind() == RecordKind::Delete,
            key: (offset + RECORD_HEADER_BYTES, record.key().len()),
            value: (offset + record.value_offset(), record.value().len()),
        };
        Ok(true)
    }

    fn forward(&mut self) -> Option<usize> {
        while self.from < self.to {
            let i = self.from;
            self.from += 1;
            if i + AHEAD < self.to {
                self.prefetch(i + AHEAD);
            }
            let (_, same_key) = self.chunk.offset(i);
            if same_key && self.shown {
                continue;
            }
            self.shown = self.is_visible(self.lsn(i));
            if self.shown {
                return Some(i);
            }
        }
        None
    }

    fn backward(&mut self) -> Option<usize> {
        while self.from < self.to {
            // The versions of one key, from old to new; the last visible one counts.
            let mut found = None;
            while self.from < self.to {
                self.to -= 1;
                if self.to >= self.from + AHEAD {
                    self.prefetch(self.to - AHEAD);
                }
                if self.is_visible(self.lsn(self.to)) {
                    found = Some(self.to);
                }
                if !self.chunk.offset(self.to).1 {
                    break;
                }
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn check_value(&self) -> Result<(), StoreError> {
        let lsn = self.head.lsn;
        self.segment
            .record_unchecked(lsn)
            .and_then(|record| self.segment.check_payload(&record))
            .map_err(|error| self.segment.damaged(lsn, &error).into())
    }
}
