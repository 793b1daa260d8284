//! Ordered scans over an unordered log.
//!
//! In: bounds and a position. Out: entries in key order, one a key. Writers pay nothing for
//! order: each segment's versions are sorted into a *run* of 4-byte offsets when somebody scans,
//! kept, and for the segment still growing only extended. A scan merges the runs; of one key the
//! newest version below the position counts. The scan owns what it reads, so writers, closing and
//! truncation do not disturb it.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::ops::{Bound, Deref};
use std::sync::Arc;

use super::read::Value;
use super::{StoreError, for_each_version};
use parking_lot::Mutex;

use crate::ids::{Hlc, Lsn};
use crate::log::LogError;
use crate::log::format::RecordKind;
use crate::log::segment::{Segment, WalkEnd};

/// Versions of users' keys in one segment, by key, newest first.
#[derive(Debug)]
pub(super) struct Run {
    /// The run covers the segment's records below this position.
    upto: Lsn,
    /// Offsets in the file, in words of 8 bytes.
    offsets: Vec<u32>,
}

/// Runs by segment number.
pub(super) type RunCache = HashMap<u64, Arc<Run>>;

/// Whether a view is still one view.
pub(super) trait Whole: Send + Sync + std::fmt::Debug {
    /// Asked after records were read, of the view at `at` taken at `generation`.
    fn check(&self, generation: u64, at: Lsn) -> Result<(), StoreError>;
}

/// What a scan reads: the store of this process, or of another.
pub(super) struct Source<'a> {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) runs: &'a Mutex<RunCache>,
    pub(super) whole: Arc<dyn Whole>,
    pub(super) generation: u64,
}

/// Where a key stands, with its first bytes at hand so that most comparisons touch nothing else.
#[derive(Clone, Copy)]
struct Sortable {
    prefix: u64,
    word: u32,
}

fn prefix_of(key: &[u8]) -> u64 {
    let mut bytes = [0u8; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}

/// Key of a record that has been walked over before, so that its lengths are known to fit.
fn key_at(segment: &Segment, word: u32) -> &[u8] {
    let lsn = segment.lsn_at(word as usize * 8);
    lsn.and_then(|lsn| segment.record_unchecked(lsn).ok())
        .map_or(&[], |record| record.key())
}

fn compare(segment: &Segment, a: Sortable, b: Sortable) -> Ordering {
    a.prefix
        .cmp(&b.prefix)
        .then_with(|| key_at(segment, a.word).cmp(key_at(segment, b.word)))
        .then_with(|| b.word.cmp(&a.word))
}

/// The run of `segment` that covers at least its records below `upto`.
fn run_of(runs: &Mutex<RunCache>, segment: &Arc<Segment>, upto: Lsn) -> Result<Arc<Run>, StoreError> {
    let number = segment.header().number;
    let known = runs.lock().get(&number).cloned();
    let covered = known.as_ref().map_or(segment.first(), |run| run.upto);
    if let Some(run) = known.as_ref().filter(|run| run.upto >= upto) {
        return Ok(Arc::clone(run));
    }
    let mut fresh: Vec<Sortable> = Vec::new();
    let mut outcome: Result<(), StoreError> = Ok(());
    let (reached, why) = segment.walk(covered, upto, false, |record| {
        let collected = for_each_version(&record, segment, |version| {
            let user = matches!(
                version.kind(),
                RecordKind::Put | RecordKind::Delete | RecordKind::Merge
            );
            if user && !version.is_system() {
                let offset = segment
                    .offset_of(version.lsn())
                    .expect("the record lies in this segment");
                fresh.push(Sortable {
                    prefix: prefix_of(version.key()),
                    word: (offset / 8) as u32,
                });
            }
            Ok::<(), LogError>(())
        });
        if let Err(error) = collected {
            outcome = Err(error.into());
        }
    });
    outcome?;
    match why {
        WalkEnd::Limit => {}
        WalkEnd::Empty => {
            return Err(LogError::corrupt(
                segment.path(),
                segment.offset_of(reached).unwrap_or(0) as u64,
                format_args!("records are missing here (log position {reached})"),
            )
            .into());
        }
        WalkEnd::Uncommitted { .. } => {
            return Err(segment
                .damaged(reached, &crate::log::format::RecordError::Uncommitted)
                .into());
        }
        WalkEnd::Invalid(error) => return Err(segment.damaged(reached, &error).into()),
    }
    fresh.sort_unstable_by(|a, b| compare(segment, *a, *b));
    let offsets = match known {
        Some(run) if !run.offsets.is_empty() => merge(segment, &run.offsets, &fresh),
        _ => fresh.iter().map(|item| item.word).collect(),
    };
    let run = Arc::new(Run { upto, offsets });
    let mut cache = runs.lock();
    // Another scan may have gone further meanwhile; the longer run serves both.
    if cache.get(&number).is_none_or(|other| other.upto < run.upto) {
        cache.insert(number, Arc::clone(&run));
    }
    Ok(run)
}

fn merge(segment: &Segment, old: &[u32], fresh: &[Sortable]) -> Vec<u32> {
    let sortable = |word: u32| Sortable {
        prefix: prefix_of(key_at(segment, word)),
        word,
    };
    let mut merged = Vec::with_capacity(old.len() + fresh.len());
    let (mut i, mut j) = (0, 0);
    while i < old.len() && j < fresh.len() {
        if compare(segment, sortable(old[i]), fresh[j]) == Ordering::Less {
            merged.push(old[i]);
            i += 1;
        } else {
            merged.push(fresh[j].word);
            j += 1;
        }
    }
    merged.extend_from_slice(&old[i..]);
    merged.extend(fresh[j..].iter().map(|item| item.word));
    merged
}

/// Position in one run.
struct Cursor {
    segment: Arc<Segment>,
    run: Arc<Run>,
    next: usize,
    /// Key under the cursor: offset and length in the segment's file.
    key: (usize, usize),
    prefix: u64,
    lsn: Lsn,
}

impl Cursor {
    fn key(&self) -> &[u8] {
        self.segment.slice(self.key.0, self.key.1).unwrap_or(&[])
    }

    /// Steps to the next version of the run; `false` at its end.
    fn advance(&mut self) -> Result<bool, StoreError> {
        let (offset, lsn) = loop {
            let Some(word) = self.run.offsets.get(self.next) else {
                return Ok(false);
            };
            self.next += 1;
            let offset = *word as usize * 8;
            let lsn = self
                .segment
                .lsn_at(offset)
                .expect("runs point at records of their segment");
            // The run may be older than a truncation that has moved the segment's end back.
            if lsn < self.segment.end() {
                break (offset, lsn);
            }
        };
        // Checksums of header and key: an entry is believed only once they fit.
        let record = self
            .segment
            .record(lsn)
            .map_err(|error| self.segment.damaged(lsn, &error))?;
        self.key = (
            offset + crate::log::format::RECORD_HEADER_BYTES,
            record.key().len(),
        );
        self.prefix = prefix_of(record.key());
        self.lsn = lsn;
        Ok(true)
    }
}

impl PartialEq for Cursor {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cursor {}

impl PartialOrd for Cursor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cursor {
    /// The heap yields the smallest key first, of one key the newest version.
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .prefix
            .cmp(&self.prefix)
            .then_with(|| other.key().cmp(self.key()))
            .then_with(|| self.lsn.cmp(&other.lsn))
    }
}

/// A key of a scan where it lies in the log.
#[derive(Clone)]
pub struct KeyBytes {
    segment: Arc<Segment>,
    offset: usize,
    len: usize,
}

impl Deref for KeyBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.segment
            .slice(self.offset, self.len)
            .expect("the span was checked by the scan")
    }
}

impl std::fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self))
    }
}

/// One key of a scan.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: KeyBytes,
    /// Its value; `None` only where deletions were asked for.
    pub value: Option<Value>,
    /// Position of the version.
    pub lsn: Lsn,
    /// Stamp of the version.
    pub hlc: Hlc,
}

/// Iterator over the keys of a snapshot between two bounds. Independent of the store once made.
pub struct Scan {
    heap: BinaryHeap<Cursor>,
    at: Lsn,
    end: Bound<Vec<u8>>,
    last_key: Option<Vec<u8>>,
    deletions: bool,
    failed: Option<StoreError>,
    whole: Arc<dyn Whole>,
    generation: u64,
    /// The end, or the last error, has been told.
    over: bool,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan")
            .field("at", &self.at)
            .field("runs", &self.heap.len())
            .finish()
    }
}

/// Where the keys of `run` come within the lower bound. Keys are compared only once their checksum
/// fits: a damaged one would send the search astray and leave sound keys out without an error.
fn first_in_bounds(segment: &Segment, run: &Run, start: Bound<&[u8]>) -> Result<usize, StoreError> {
    let mut damaged = None;
    let next = run.offsets.partition_point(|word| {
        let lsn = segment
            .lsn_at(*word as usize * 8)
            .expect("runs point at records of their segment");
        match (segment.record(lsn), start) {
            (Ok(record), Bound::Included(start)) => record.key() < start,
            (Ok(record), Bound::Excluded(start)) => record.key() <= start,
            (Ok(_), Bound::Unbounded) => false,
            (Err(error), _) => {
                damaged.get_or_insert_with(|| segment.damaged(lsn, &error));
                false
            }
        }
    });
    match damaged {
        None => Ok(next),
        Some(error) => Err(error.into()),
    }
}

pub(super) fn open(
    source: &Source<'_>,
    at: Lsn,
    (start, end): (Bound<&[u8]>, Bound<&[u8]>),
    deletions: bool,
) -> Result<Scan, StoreError> {
    let segments = source.segments.clone();
    let mut heap = BinaryHeap::new();
    for segment in segments {
        let upto = at.min(segment.end());
        if upto <= segment.first() {
            continue;
        }
        let run = run_of(source.runs, &segment, upto)?;
        let next = first_in_bounds(&segment, &run, start)?;
        let mut cursor = Cursor {
            segment,
            run,
            next,
            key: (0, 0),
            prefix: 0,
            lsn: Lsn::ZERO,
        };
        if cursor.advance()? {
            heap.push(cursor);
        }
    }
    let end = match end {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(end) => Bound::Included(end.to_vec()),
        Bound::Excluded(end) => Bound::Excluded(end.to_vec()),
    };
    Ok(Scan {
        heap,
        at,
        end,
        last_key: None,
        deletions,
        failed: None,
        whole: Arc::clone(&source.whole),
        generation: source.generation,
        over: false,
    })
}

impl Scan {
    fn beyond_end(&self, key: &[u8]) -> bool {
        match &self.end {
            Bound::Unbounded => false,
            Bound::Included(end) => key > end.as_slice(),
            Bound::Excluded(end) => key >= end.as_slice(),
        }
    }

    /// The version under `cursor`, when it is the one its key shows.
    fn take(&mut self, cursor: &Cursor) -> Result<Option<Entry>, StoreError> {
        let key = cursor.key();
        if cursor.lsn >= self.at || self.last_key.as_deref() == Some(key) {
            return Ok(None);
        }
        match &mut self.last_key {
            Some(last) => {
                last.clear();
                last.extend_from_slice(key);
            }
            none => *none = Some(key.to_vec()),
        }
        let segment = &cursor.segment;
        let damaged = |error| StoreError::from(segment.damaged(cursor.lsn, &error));
        let record = segment.record(cursor.lsn).map_err(damaged)?;
        let deleted = record.kind() == RecordKind::Delete;
        if deleted && !self.deletions {
            return Ok(None);
        }
        record.verify_payload(segment.seed()).map_err(damaged)?;
        let offset = segment.offset_of(cursor.lsn).expect("the record was read there");
        let value = (!deleted).then(|| {
            Value::new(
                Arc::clone(segment),
                offset + record.value_offset(),
                record.value().len(),
                cursor.lsn,
                record.hlc(),
            )
        });
        let key = KeyBytes {
            segment: Arc::clone(segment),
            offset: cursor.key.0,
            len: cursor.key.1,
        };
        Ok(Some(Entry {
            key,
            value,
            lsn: cursor.lsn,
            hlc: record.hlc(),
        }))
    }
}

impl Iterator for Scan {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step();
        // Asked after the step: a truncation shortens segments, which looks like the end of a run.
        match self.whole.check(self.generation, self.at) {
            Err(error) if !self.over => {
                self.over = true;
                self.heap.clear();
                Some(Err(error))
            }
            Err(_) => None,
            Ok(()) => {
                self.over |= next.is_none();
                next
            }
        }
    }
}

impl Scan {
    fn step(&mut self) -> Option<Result<Entry, StoreError>> {
        if let Some(error) = self.failed.take() {
            self.heap.clear();
            return Some(Err(error));
        }
        loop {
            let mut cursor = self.heap.pop()?;
            if self.beyond_end(cursor.key()) {
                self.heap.clear();
                return None;
            }
            let entry = match self.take(&cursor) {
                Ok(entry) => entry,
                Err(error) => {
                    self.heap.clear();
                    return Some(Err(error));
                }
            };
            match cursor.advance() {
                Ok(true) => self.heap.push(cursor),
                Ok(false) => {}
                // Reported after the entry already found.
                Err(error) => self.failed = Some(error),
            }
            if let Some(entry) = entry {
                return Some(Ok(entry));
            }
            if let Some(error) = self.failed.take() {
                self.heap.clear();
                return Some(Err(error));
            }
        }
    }
}
