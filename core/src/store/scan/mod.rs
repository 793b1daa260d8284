//! Ordered scans over tables and over the part of the log that is not in tables yet.
//!
//! In: bounds and a position. Out: keys in order, forward or backward, of each the newest version below
//! the position. Writers pay nothing for order: tables are ordered already, and the rest is sorted when
//! somebody scans (`sorted`). A scan merges its sources; the one that gave the last key usually gives
//! the next, so only that much is looked at first. It owns what it reads, so writers, compaction,
//! closing and truncation do not disturb it.

pub(super) mod sorted;
mod source;

use std::ops::{Bound, Deref};
use std::sync::Arc;

use super::StoreError;
use super::cuts::Standing;
use super::past::Past;
use super::version::{Pin, Value};
use crate::ids::{Hlc, Lsn};
pub(super) use sorted::SortedSegments;
use source::{Head, LogSource, Source, TableSource};

/// A key of a scan where it lies.
#[derive(Clone)]
pub struct KeyBytes {
    pin: Pin,
    offset: usize,
    len: usize,
}

impl Deref for KeyBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.pin.slice(self.offset, self.len)
    }
}

impl std::fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self))
    }
}

/// One key of a scan, for as long as it is wanted.
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
    /// When the value is gone, in milliseconds since 1970; `None` if it stays.
    pub expires_at_ms: Option<u64>,
}

/// One key of a scan, until the scan goes on.
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'s> {
    /// The key.
    pub key: &'s [u8],
    /// Its value; `None` only where deletions were asked for.
    pub value: Option<&'s [u8]>,
    /// Position of the version.
    pub lsn: Lsn,
    /// Stamp of the version.
    pub hlc: Hlc,
    /// When the value is gone, in milliseconds since 1970; `None` if it stays.
    pub expires_at_ms: Option<u64>,
}

/// How a scan goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// From the end of the range to its start.
    pub reverse: bool,
    /// Deleted keys appear too, without a value, as far as compaction has kept the deletions.
    pub deletions: bool,
    /// Expired keys appear too, with the value they had, as far as compaction has kept them. With
    /// `deletions` alone they appear without one.
    pub expired: bool,
    /// Ends after so many keys; `None` for all.
    pub limit: Option<u64>,
}

/// The keys of a snapshot between two bounds. What happens to the store once it is made does not change
/// what it shows; after a truncation to below its position it says so, with
/// [`StoreError::SnapshotTooOld`].
///
/// As an [`Iterator`] it hands out entries that keep their file mapped; [`Scan::next_entry`] lends them
/// and is several times as fast.
pub struct Scan {
    sources: Vec<Source>,
    /// Sources that have something to give, in the order of their keys.
    ranks: Vec<Rank>,
    at: Lsn,
    now_ms: u64,
    options: ScanOptions,
    left: u64,
    /// Whether the first source has given its head away.
    given: bool,
    standing: Standing,
    /// The end, or an error, has been told.
    over: bool,
}

/// A source among the others, with its next key's first bytes at hand.
#[derive(Clone, Copy)]
struct Rank {
    /// Inverted in a scan that goes backward, so that the order is the same.
    prefix: u64,
    source: u32,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan")
            .field("at", &self.at)
            .field("sources", &self.ranks.len())
            .finish()
    }
}

/// The keys visible at a position and a time, in milliseconds since 1970.
pub(super) fn open(
    past: &impl Past,
    standing: Standing,
    (at, now_ms): (Lsn, u64),
    (start, end): (Bound<&[u8]>, Bound<&[u8]>),
    options: ScanOptions,
) -> Result<Scan, StoreError> {
    let mut scan = Scan {
        sources: Vec::new(),
        ranks: Vec::new(),
        at,
        now_ms,
        options,
        left: options.limit.unwrap_or(u64::MAX),
        given: false,
        standing,
        over: false,
    };
    if is_empty(start, end) {
        return Ok(scan);
    }
    let (segments, files) = past.layers()?;
    for segment in segments {
        let upto = at.min(segment.end());
        if segment.first() < files.through || upto <= segment.first() {
            continue;
        }
        let sorted = sorted::order_of(past, &segment, upto)?;
        for chunk in sorted.chunks() {
            let source = LogSource::new(Arc::clone(&segment), Arc::clone(chunk), at, start, end)?;
            scan.add(Source::Log(source))?;
        }
    }
    for run in &files.runs {
        let source = TableSource::new(Arc::clone(run), at, start, end, scan.left)?;
        scan.add(Source::Tables(source))?;
    }
    Ok(scan)
}

/// Whether no key lies between the bounds.
pub(super) fn is_empty(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            start >= end
        }
    }
}

/// The bound behind all keys that begin with `prefix`.
#[must_use]
pub fn end_of_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}

impl Scan {
    /// Takes a source in at its first key, if it has one.
    fn add(&mut self, mut source: Source) -> Result<(), StoreError> {
        if source.step(self.options.reverse)? {
            let rank = Rank {
                prefix: self.inverted(source.head().prefix),
                source: self.sources.len() as u32,
            };
            self.sources.push(source);
            let place = self.ranks.partition_point(|other| self.precedes(*other, rank));
            self.ranks.insert(place, rank);
        }
        Ok(())
    }

    #[inline]
    fn inverted(&self, prefix: u64) -> u64 {
        if self.options.reverse { !prefix } else { prefix }
    }

    /// Whether `a` gives its key before `b`; of one key, the newest version comes first.
    #[inline]
    fn precedes(&self, a: Rank, b: Rank) -> bool {
        if a.prefix != b.prefix {
            return a.prefix < b.prefix;
        }
        let (a, b) = (&self.sources[a.source as usize], &self.sources[b.source as usize]);
        a.compare(b, self.options.reverse).is_lt()
    }

    /// Steps the source of rank `i` and puts it where it belongs.
    #[inline]
    fn step(&mut self, mut i: usize) -> Result<(), StoreError> {
        let source = &mut self.sources[self.ranks[i].source as usize];
        if !source.step(self.options.reverse)? {
            self.ranks.remove(i);
            return Ok(());
        }
        let rank = Rank {
            prefix: if self.options.reverse {
                !source.head().prefix
            } else {
                source.head().prefix
            },
            source: self.ranks[i].source,
        };
        while let Some(next) = self.ranks.get(i + 1).copied()
            && self.precedes(next, rank)
        {
            self.ranks[i] = next;
            i += 1;
        }
        self.ranks[i] = rank;
        Ok(())
    }

    /// Whether the version shows a value: it is no deletion, and not expired where that matters.
    #[inline]
    fn has_value(&self, head: &Head) -> bool {
        !head.is_deleted && (self.options.expired || !head.expiry.is_over(self.now_ms))
    }

    fn first(&self) -> Option<&Source> {
        self.ranks.first().map(|rank| &self.sources[rank.source as usize])
    }

    /// Leaves the key of the first source behind, in all sources.
    #[inline]
    fn leave_key(&mut self) -> Result<(), StoreError> {
        while let [first, second, ..] = self.ranks.as_slice()
            && first.prefix == second.prefix
            && self.sources[first.source as usize].same_key(&self.sources[second.source as usize])
        {
            self.step(1)?;
        }
        self.step(0)
    }

    /// Goes to the next key that shows; `false` at the end, and after an error.
    #[inline]
    fn advance(&mut self) -> Result<bool, StoreError> {
        if self.over {
            return Ok(false);
        }
        let found = self.go_on();
        // Asked after the step: a truncation shortens segments, which looks like the end of a source.
        let outcome = self.standing.check(self.at).and(found);
        if !matches!(outcome, Ok(true)) {
            self.over = true;
            self.ranks.clear();
        }
        outcome
    }

    /// Goes to the next key that shows; `false` at the end.
    #[inline]
    fn go_on(&mut self) -> Result<bool, StoreError> {
        if self.left == 0 {
            self.ranks.clear();
        }
        if self.given && !self.ranks.is_empty() {
            self.leave_key()?;
        }
        self.given = true;
        while let Some(first) = self.first() {
            if self.options.deletions || self.has_value(first.head()) {
                first.check_value()?;
                self.left -= 1;
                return Ok(true);
            }
            self.leave_key()?;
        }
        Ok(false)
    }

    /// The next key, lent until the next call; `None` at the end. After an error the scan is over: it
    /// leaves nothing out without saying so.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    #[inline]
    pub fn next_entry(&mut self) -> Result<Option<EntryRef<'_>>, StoreError> {
        if !self.advance()? {
            return Ok(None);
        }
        let first = self.first().expect("a key was found");
        let head = first.head();
        Ok(Some(EntryRef {
            key: first.slice(head.key),
            value: self.has_value(head).then(|| first.slice(head.value)),
            lsn: head.lsn,
            hlc: head.hlc,
            expires_at_ms: head.expiry.ms(),
        }))
    }
}

impl Iterator for Scan {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(error)),
        }
        let first = self.first().expect("a key was found");
        let head = *first.head();
        let pin = first.pin();
        let value = self.has_value(&head).then(|| {
            let (at, len) = head.value;
            Value::new(pin.clone(), at, len, head.lsn, head.hlc, head.expiry)
        });
        let (offset, len) = head.key;
        Some(Ok(Entry {
            key: KeyBytes { pin, offset, len },
            value,
            lsn: head.lsn,
            hlc: head.hlc,
            expires_at_ms: head.expiry.ms(),
        }))
    }
}
