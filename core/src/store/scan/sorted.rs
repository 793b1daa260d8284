//! Order over the part of the log that is not in tables yet.
//!
//! In: a segment. Out: its versions' places by key, newest first. Nobody sorts before somebody scans;
//! what was sorted is kept for the next scan, and of a segment that still grows only the new part is
//! sorted then, into chunks that are merged with neighbours of their size.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use super::super::past::Past;
use super::super::table::tree::prefix_of;
use super::super::{StoreError, for_each_version};
use crate::ids::Lsn;
use crate::log::LogError;
use crate::log::format::{RecordError, RecordKind};
use crate::log::segment::{Segment, WalkEnd};

/// Set in a word whose version is an older one of the key before it.
const SAME_KEY: u32 = 1 << 31;

/// Users' versions of a part of a segment, by key, newest first.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Offsets in the file, in words of 8 bytes, and [`SAME_KEY`].
    words: Vec<u32>,
    /// First bytes of the keys: most comparisons touch nothing else.
    prefixes: Vec<u64>,
}

/// What is known of the order of one segment.
#[derive(Clone, Debug)]
pub(in crate::store) struct Sorted {
    first: Lsn,
    /// The chunks cover the segment's records below this position.
    upto: Lsn,
    chunks: Vec<Arc<Chunk>>,
}

impl Sorted {
    /// Position of the segment's first record.
    pub(in crate::store) fn first(&self) -> Lsn {
        self.first
    }

    pub(super) fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }
}

/// By segment number.
pub(in crate::store) type SortedSegments = HashMap<u64, Sorted>;

/// Key of a record that has been walked over before, so that its lengths are known to fit.
fn key_at(segment: &Segment, word: u32) -> &[u8] {
    let lsn = segment.lsn_at((word & !SAME_KEY) as usize * 8);
    lsn.and_then(|lsn| segment.record_unchecked(lsn).ok())
        .map_or(&[], |record| record.key())
}

fn compare_keys(segment: &Segment, a: (u64, u32), b: (u64, u32)) -> Ordering {
    let order = a.0.cmp(&b.0);
    order.then_with(|| key_at(segment, a.1).cmp(key_at(segment, b.1)))
}

/// By key, then from new to old.
fn compare(segment: &Segment, a: (u64, u32), b: (u64, u32)) -> Ordering {
    let order = compare_keys(segment, a, b);
    order.then_with(|| (b.1 & !SAME_KEY).cmp(&(a.1 & !SAME_KEY)))
}

impl Chunk {
    /// Number of versions.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// Offset in the file, and whether the version is an older one of the key before.
    #[inline]
    pub(super) fn offset(&self, i: usize) -> (usize, bool) {
        let word = self.words[i];
        ((word & !SAME_KEY) as usize * 8, word & SAME_KEY != 0)
    }

    #[inline]
    pub(super) fn prefix(&self, i: usize) -> u64 {
        self.prefixes[i]
    }

    /// From versions in order.
    fn of(segment: &Segment, sorted: impl Iterator<Item = (u64, u32)>) -> Chunk {
        let mut chunk = Chunk::default();
        let mut before: Option<(u64, u32)> = None;
        for (prefix, word) in sorted {
            let item = (prefix, word & !SAME_KEY);
            let same = before.is_some_and(|before| compare_keys(segment, before, item) == Ordering::Equal);
            chunk.words.push(item.1 | if same { SAME_KEY } else { 0 });
            chunk.prefixes.push(prefix);
            before = Some(item);
        }
        chunk
    }

    fn items(&self) -> impl Iterator<Item = (u64, u32)> {
        self.prefixes.iter().copied().zip(self.words.iter().copied())
    }

    fn merged(&self, segment: &Segment, other: &Chunk) -> Chunk {
        let (mut ours, mut theirs) = (self.items().peekable(), other.items().peekable());
        let next = || match (ours.peek(), theirs.peek()) {
            (Some(a), Some(b)) if compare(segment, *a, *b) == Ordering::Greater => theirs.next(),
            (Some(_), _) => ours.next(),
            (None, _) => theirs.next(),
        };
        Chunk::of(segment, std::iter::from_fn(next))
    }

    /// Index of the first version of a key that is not below the bound.
    ///
    /// A key is compared whole only once its checksum fits: a damaged one would send the search astray
    /// and leave sound keys out without an error.
    pub(super) fn position(&self, segment: &Segment, bound: Bound<&[u8]>) -> Result<usize, StoreError> {
        let (key, past_equal) = match bound {
            Bound::Unbounded => return Ok(0),
            Bound::Included(key) => (key, false),
            Bound::Excluded(key) => (key, true),
        };
        let prefix = prefix_of(key, 0);
        let mut low = self.prefixes.partition_point(|other| *other < prefix);
        let mut high = low + self.prefixes[low..].partition_point(|other| *other == prefix);
        while low < high {
            let middle = low + (high - low) / 2;
            let lsn = segment
                .lsn_at(self.offset(middle).0)
                .expect("chunks point at records of their segment");
            let record = segment
                .record(lsn)
                .map_err(|error| segment.damaged(lsn, &error))?;
            let is_below = match record.key().cmp(key) {
                Ordering::Less => true,
                Ordering::Equal => past_equal,
                Ordering::Greater => false,
            };
            if is_below {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// The order of `segment`, covering at least its records below `upto`.
pub(super) fn order_of(past: &impl Past, segment: &Arc<Segment>, upto: Lsn) -> Result<Sorted, StoreError> {
    let number = segment.header().number;
    let known = past.sorted().lock().get(&number).cloned();
    let mut sorted = known.unwrap_or_else(|| Sorted {
        first: segment.first(),
        upto: segment.first(),
        chunks: Vec::new(),
    });
    if sorted.upto >= upto {
        return Ok(sorted);
    }
    let mut fresh = collect(segment, sorted.upto, upto)?;
    fresh.sort_unstable_by(|a, b| compare(segment, *a, *b));
    let mut chunk = Chunk::of(segment, fresh.into_iter());
    // Sizes fall from one chunk to the next by half at least, so there are few, and a version is
    // merged as often only.
    while let Some(last) = sorted.chunks.pop_if(|last| last.len() <= 2 * chunk.len()) {
        chunk = last.merged(segment, &chunk);
    }
    if chunk.len() > 0 {
        sorted.chunks.push(Arc::new(chunk));
    }
    sorted.upto = upto;
    let mut cache = past.sorted().lock();
    // Another scan may have gone further meanwhile; the longer order serves both. One that has been
    // compacted meanwhile is not needed again.
    let is_compacted = segment.first() < past.files().through;
    if !is_compacted && cache.get(&number).is_none_or(|other| other.upto < upto) {
        cache.insert(number, sorted.clone());
    }
    Ok(sorted)
}

/// Prefixes and places of users' versions between two positions.
fn collect(segment: &Segment, from: Lsn, to: Lsn) -> Result<Vec<(u64, u32)>, StoreError> {
    let mut found = Vec::new();
    let mut outcome: Result<(), LogError> = Ok(());
    let (reached, why) = segment.walk(from, to, false, |record| {
        let collected = for_each_version(&record, segment, |version| {
            let user = matches!(
                version.kind(),
                RecordKind::Put | RecordKind::Delete | RecordKind::Merge
            );
            if user && !version.is_system() {
                let offset = segment
                    .offset_of(version.lsn())
                    .expect("the record lies in this segment");
                found.push((prefix_of(version.key(), 0), (offset / 8) as u32));
            }
            Ok::<(), LogError>(())
        });
        if let Err(error) = collected {
            outcome = Err(error);
        }
    });
    outcome?;
    match why {
        WalkEnd::Limit => Ok(found),
        WalkEnd::Empty => Err(LogError::corrupt(
            segment.path(),
            segment.offset_of(reached).unwrap_or(0) as u64,
            format_args!("records are missing here (log position {reached})"),
        )
        .into()),
        WalkEnd::Uncommitted { .. } => Err(segment.damaged(reached, &RecordError::Uncommitted).into()),
        WalkEnd::Invalid(error) => Err(segment.damaged(reached, &error).into()),
    }
}
