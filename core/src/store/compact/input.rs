//! What a compaction reads: sealed segments, or runs of tables, as one stream of versions.
//!
//! In: files. Out: the versions of one key after the other, newest first, users' keys before the
//! reserved keyspace. Everything handed out has been compared with its checksums.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::files::Run;
use super::super::index::Location;
use super::super::table::format::{DATA_START, EntryParts};
use super::super::table::{Table, TableError};
use super::super::version::table_location;
use super::super::{Store, StoreError, for_each_version};
use crate::ids::{Hlc, Lsn};
use crate::log::LogError;
use crate::log::expiry::Expiry;
use crate::log::format::RecordKind;
use crate::log::segment::{Segment, WalkEnd};
use crate::store::table::tree::prefix_of;

/// A version and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) lsn: Lsn,
    pub(super) kind: RecordKind,
    pub(super) expiry: Expiry,
    /// Which segment, or which cursor and table.
    file: u32,
    table: u32,
    offset: u32,
}

/// A stream of versions, grouped by key.
pub(super) trait Input {
    /// Fills `group` with the versions of the next key, newest first; `false` at the end.
    fn next_key(&mut self, group: &mut Vec<Candidate>) -> Result<bool, StoreError>;
    /// The version, checked, and what the key index may keep of its place.
    fn read(&self, candidate: &Candidate) -> Result<(EntryParts<'_>, Location), StoreError>;
    /// Smallest and largest position and stamp of all versions.
    fn bounds(&self) -> ((Lsn, Lsn), (Hlc, Hlc));
    /// Bytes that are still to be read, about.
    fn bytes_left(&self) -> u64;
}

/// Where a record stands, with its first key bytes at hand: most comparisons touch nothing else.
#[derive(Clone, Copy)]
struct Sortable {
    prefix: u64,
    /// The highest bit says reserved keyspace.
    segment: u32,
    word: u32,
}

const SYSTEM: u32 = 1 << 31;

/// Versions of consecutive segments, sorted.
pub(super) struct LogInput {
    segments: Vec<Arc<Segment>>,
    sorted: Vec<Sortable>,
    next: usize,
    lsns: (Lsn, Lsn),
    hlcs: (Hlc, Hlc),
}

impl LogInput {
    /// Reads and sorts the versions of `segments`, each as far as it goes.
    pub(super) fn new(segments: Vec<Arc<Segment>>) -> Result<LogInput, StoreError> {
        let mut sorted = Vec::new();
        let mut hlcs = (Hlc(u64::MAX), Hlc::ZERO);
        for (i, segment) in segments.iter().enumerate() {
            let mut outcome: Result<(), LogError> = Ok(());
            let (reached, why) = segment.walk(segment.first(), segment.end(), true, |record| {
                let collected = for_each_version(&record, segment, |version| {
                    let offset = segment
                        .offset_of(version.lsn())
                        .expect("the record lies in this segment");
                    hlcs = (hlcs.0.min(version.hlc()), hlcs.1.max(version.hlc()));
                    sorted.push(Sortable {
                        prefix: prefix_of(version.key(), 0),
                        segment: i as u32 | if version.is_system() { SYSTEM } else { 0 },
                        word: (offset / 8) as u32,
                    });
                    Ok::<(), LogError>(())
                });
                if outcome.is_ok() {
                    outcome = collected;
                }
            });
            outcome?;
            if why != WalkEnd::Limit {
                return Err(unreadable(segment, reached, why).into());
            }
        }
        let first = segments.first().map_or(Lsn::ZERO, |segment| segment.first());
        let end = segments.last().map_or(Lsn::ZERO, |segment| segment.end());
        let mut input = LogInput {
            segments,
            sorted: Vec::new(),
            next: 0,
            lsns: (first, end),
            hlcs: if sorted.is_empty() {
                (Hlc::ZERO, Hlc::ZERO)
            } else {
                hlcs
            },
        };
        sorted.sort_unstable_by(|a, b| input.compare(*a, *b));
        input.sorted = sorted;
        Ok(input)
    }

    fn lsn(&self, item: Sortable) -> Lsn {
        let segment = &self.segments[(item.segment & !SYSTEM) as usize];
        segment
            .lsn_at(item.word as usize * 8)
            .expect("the record was walked over")
    }

    fn key(&self, item: Sortable) -> &[u8] {
        let segment = &self.segments[(item.segment & !SYSTEM) as usize];
        let record = segment.record_unchecked(self.lsn(item));
        record.map_or(&[], |record| record.key())
    }

    fn same_key(&self, a: Sortable, b: Sortable) -> bool {
        (a.segment & SYSTEM, a.prefix) == (b.segment & SYSTEM, b.prefix) && self.key(a) == self.key(b)
    }

    fn compare(&self, a: Sortable, b: Sortable) -> Ordering {
        (a.segment & SYSTEM)
            .cmp(&(b.segment & SYSTEM))
            .then_with(|| a.prefix.cmp(&b.prefix))
            .then_with(|| self.key(a).cmp(self.key(b)))
            .then_with(|| (b.segment, b.word).cmp(&(a.segment, a.word)))
    }
}

fn unreadable(segment: &Segment, at: Lsn, why: WalkEnd) -> LogError {
    use crate::log::format::RecordError;
    match why {
        WalkEnd::Invalid(error) => segment.damaged(at, &error),
        WalkEnd::Uncommitted { .. } => segment.damaged(at, &RecordError::Uncommitted),
        WalkEnd::Empty | WalkEnd::Limit => segment.damaged(at, &RecordError::Empty),
    }
}

impl Input for LogInput {
    fn next_key(&mut self, group: &mut Vec<Candidate>) -> Result<bool, StoreError> {
        group.clear();
        let Some(first) = self.sorted.get(self.next).copied() else {
            return Ok(false);
        };
        while let Some(item) = self.sorted.get(self.next).copied() {
            if !group.is_empty() && !self.same_key(first, item) {
                break;
            }
            let lsn = self.lsn(item);
            let segment = &self.segments[(item.segment & !SYSTEM) as usize];
            let record = segment
                .record(lsn)
                .map_err(|error| segment.damaged(lsn, &error))?;
            group.push(Candidate {
                lsn,
                kind: record.kind(),
                expiry: record.expiry().map_err(|error| segment.damaged(lsn, &error))?,
                file: item.segment & !SYSTEM,
                table: 0,
                offset: item.word,
            });
            self.next += 1;
        }
        Ok(true)
    }

    fn read(&self, candidate: &Candidate) -> Result<(EntryParts<'_>, Location), StoreError> {
        let segment = &self.segments[candidate.file as usize];
        let record = segment
            .record(candidate.lsn)
            .map_err(|error| segment.damaged(candidate.lsn, &error))?;
        let bytes = record.bytes();
        let parts = EntryParts {
            kind: record.kind(),
            flags: record.flags(),
            codec: [bytes[38], bytes[39]],
            lsn: candidate.lsn,
            hlc: record.hlc(),
            key: record.key(),
            ext: record.ext(),
            value: record.value(),
        };
        Ok((parts, Store::location(segment, candidate.lsn)))
    }

    fn bounds(&self) -> ((Lsn, Lsn), (Hlc, Hlc)) {
        (self.lsns, self.hlcs)
    }

    fn bytes_left(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| segment.end().0 - segment.first().0)
            .sum()
    }
}

/// Position in one run.
struct RunCursor {
    run: Arc<Run>,
    table: usize,
    offset: usize,
    /// Prefix of the key under the cursor, and its keyspace.
    system: bool,
    prefix: u64,
    lsn: Lsn,
    is_done: bool,
}

impl RunCursor {
    /// At the first entry that counts.
    fn new(run: Arc<Run>) -> Result<RunCursor, TableError> {
        let mut cursor = RunCursor {
            table: 0,
            offset: DATA_START,
            system: false,
            prefix: 0,
            lsn: Lsn::ZERO,
            is_done: false,
            run,
        };
        if let Some(after) = cursor.run.after.clone() {
            // Behind all users' keys there may still be the reserved keyspace: at the end of the table
            // before, and in the last one in any case.
            let tables = &cursor.run.tables;
            let has_system = |table: &Table| table.footer().user_end < table.footer().data_end;
            let mut first = cursor.run.table_of(&after)?.min(tables.len().saturating_sub(1));
            while first > 0 && has_system(&tables[first - 1]) {
                first -= 1;
            }
            if let Some(table) = tables.get(first) {
                cursor.offset = table.seek(&after, true)?;
            }
            cursor.table = first;
        }
        cursor.settle()?;
        // The versions of one key may go on in the next table.
        while let Some(after) = cursor.run.after.clone()
            && !cursor.is_done
            && !cursor.system
            && cursor.key()? <= after.as_slice()
        {
            cursor.step()?;
        }
        Ok(cursor)
    }

    fn table(&self) -> &Arc<Table> {
        &self.run.tables[self.table]
    }

    fn key(&self) -> Result<&[u8], TableError> {
        Ok(self.table().key_at(self.offset)?.key)
    }

    /// Goes on to the next table at the end of one, and remembers what is there.
    fn settle(&mut self) -> Result<(), TableError> {
        loop {
            let Some(table) = self.run.tables.get(self.table) else {
                self.is_done = true;
                return Ok(());
            };
            if self.offset < table.footer().data_end as usize {
                break;
            }
            self.table += 1;
            self.offset = DATA_START;
        }
        let table = Arc::clone(self.table());
        let entry = table.entry_at(self.offset)?;
        self.system = entry.is_system();
        self.prefix = prefix_of(entry.key, 0);
        self.lsn = entry.lsn;
        Ok(())
    }

    fn step(&mut self) -> Result<(), TableError> {
        self.offset = self.table().key_at(self.offset)?.end;
        self.settle()
    }

    fn compare(&self, other: &RunCursor) -> Result<Ordering, TableError> {
        let order = (self.system, self.prefix).cmp(&(other.system, other.prefix));
        if order != Ordering::Equal {
            return Ok(order);
        }
        Ok(self.key()?.cmp(other.key()?))
    }
}

/// Runs of tables, merged.
pub(super) struct RunsInput {
    cursors: Vec<RunCursor>,
}

impl RunsInput {
    pub(super) fn new(runs: &[Arc<Run>]) -> Result<RunsInput, StoreError> {
        let cursors = runs
            .iter()
            .cloned()
            .map(RunCursor::new)
            .collect::<Result<_, _>>()?;
        Ok(RunsInput { cursors })
    }

    /// For each run, the first table that still has something to give.
    pub(super) fn tables_done(&self) -> Vec<usize> {
        self.cursors.iter().map(|cursor| cursor.table).collect()
    }

    /// The cursor at the smallest key; of one key, at the newest version.
    fn smallest(&self) -> Result<Option<usize>, TableError> {
        let mut best: Option<usize> = None;
        for (i, cursor) in self
            .cursors
            .iter()
            .enumerate()
            .filter(|(_, cursor)| !cursor.is_done)
        {
            let is_better = match best {
                None => true,
                Some(best) => match cursor.compare(&self.cursors[best])? {
                    Ordering::Less => true,
                    Ordering::Equal => cursor.lsn > self.cursors[best].lsn,
                    Ordering::Greater => false,
                },
            };
            if is_better {
                best = Some(i);
            }
        }
        Ok(best)
    }
}

impl Input for RunsInput {
    fn next_key(&mut self, group: &mut Vec<Candidate>) -> Result<bool, StoreError> {
        group.clear();
        let Some(first) = self.smallest()? else {
            return Ok(false);
        };
        let origin = &self.cursors[first];
        let (table, offset, system) = (Arc::clone(origin.table()), origin.offset, origin.system);
        let key = table.key_at(offset)?.key;
        let prefix = prefix_of(key, 0);
        // The cursors that stand at this key, each with its versions in order.
        for (i, cursor) in self.cursors.iter_mut().enumerate() {
            while !cursor.is_done
                && (cursor.system, cursor.prefix) == (system, prefix)
                && cursor.key()? == key
            {
                let entry = cursor.table().key_at(cursor.offset)?;
                let (kind, expiry) = (entry.kind, entry.expiry);
                group.push(Candidate {
                    lsn: cursor.lsn,
                    kind,
                    expiry,
                    file: i as u32,
                    table: cursor.table as u32,
                    offset: cursor.offset as u32,
                });
                cursor.step()?;
            }
        }
        // Newer runs come first, so this is sorted already but for rare cases.
        group.sort_by_key(|candidate| std::cmp::Reverse(candidate.lsn));
        Ok(true)
    }

    fn read(&self, candidate: &Candidate) -> Result<(EntryParts<'_>, Location), StoreError> {
        let table = &self.cursors[candidate.file as usize].run.tables[candidate.table as usize];
        let offset = candidate.offset as usize;
        let entry = table.entry_at(offset)?;
        Ok((entry.parts(), table_location(table, offset)))
    }

    fn bounds(&self) -> ((Lsn, Lsn), (Hlc, Hlc)) {
        let mut lsns = (Lsn(u64::MAX), Lsn::ZERO);
        let mut hlcs = (Hlc(u64::MAX), Hlc::ZERO);
        for table in self.cursors.iter().flat_map(|cursor| &cursor.run.tables) {
            let footer = table.footer();
            lsns = (lsns.0.min(footer.lsns.0), lsns.1.max(footer.lsns.1));
            hlcs = (hlcs.0.min(footer.hlcs.0), hlcs.1.max(footer.hlcs.1));
        }
        if lsns.0 > lsns.1 {
            return ((Lsn::ZERO, Lsn::ZERO), (Hlc::ZERO, Hlc::ZERO));
        }
        (lsns, hlcs)
    }

    fn bytes_left(&self) -> u64 {
        let left = |cursor: &RunCursor| -> u64 {
            let tables = cursor.run.tables.get(cursor.table..).unwrap_or(&[]);
            let bytes: u64 = tables.iter().map(|table| table.file_bytes()).sum();
            bytes.saturating_sub(cursor.offset as u64)
        };
        self.cursors.iter().map(left).sum()
    }
}
