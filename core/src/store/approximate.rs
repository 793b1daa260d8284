//! About how many records, and how many bytes, lie in a range: without reading all of it.
//!
//! In: bounds, and perhaps a condition on keys (a slot). Out: records and bytes, and how far off they may
//! be. Little data is counted; of more, samples are looked at: in tables, groups of entries between two
//! anchors of the search tree; in the part of the log that is in no table yet, windows of a few KiB, whose
//! first record is found where a position and a checksum fit. A version counts if the key index leads to
//! it, so that superseded, deleted and expired ones do not, however many runs hold the key.
//!
//! Each table and segment is a *stratum*, of which samples are taken by bytes, evenly spread: a large value
//! is met as often as its share of the bytes. So a group counts with its records a byte, and a record
//! that lies in a window with a part of its bytes counts with that part. The error is twice the standard
//! error of the sum (Cochran, "Sampling Techniques", 3rd edition, sections 5.3 and 9A.3): it shrinks with
//! the square root of the bytes looked at.

use std::ops::Bound;

use super::files::{FileSet, Run};
use super::past::Past;
use super::scan::is_empty;
use super::table::format::{DATA_START, EntryView};
use super::table::{Table, TableError};
use super::{Store, StoreError};
use crate::ids::Lsn;
use crate::log::format::{RECORD_ALIGN, RECORD_HEADER_BYTES, RecordKind};
use crate::log::segment::Segment;

/// Bytes that [`Store::approximate`] looks at, about.
const EFFORT_BYTES: u64 = 4 << 20;
/// Bytes of a segment that make one sample.
const WINDOW_BYTES: u64 = 2 << 10;
/// Least samples of one stratum: fewer tell little about their own spread.
const LEAST_SAMPLES: u64 = 16;

/// About how much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Approximate {
    /// Keys with a value.
    pub records: u64,
    /// Bytes of those keys and values.
    pub bytes: u64,
    /// In about 19 of 20 cases the number of records is off by no more than this; 0: they were counted.
    pub records_error: u64,
    /// The same of the bytes.
    pub bytes_error: u64,
}

/// What one sample holds.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    records: f64,
    bytes: f64,
}

impl Sample {
    /// Adds a part of a record, 1 for all of it, with so many bytes of key and value.
    fn add(&mut self, part: f64, bytes: usize) {
        self.records += part;
        self.bytes += part * bytes as f64;
    }

    /// For each of so many bytes.
    fn per_byte(self, bytes: u64) -> Sample {
        Sample {
            records: self.records / bytes as f64,
            bytes: self.bytes / bytes as f64,
        }
    }
}

/// Sum of estimates, and of their variances.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    total: f64,
    variance: f64,
}

impl Sum {
    /// Adds a stratum of so many bytes, of which samples were taken; their values are per byte.
    fn add(&mut self, samples: &[f64], bytes: f64) {
        let taken = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / taken;
        self.total += mean * bytes;
        if samples.len() > 1 {
            let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
            self.variance += bytes * bytes * squares / (taken * (taken - 1.0));
        }
    }

    fn error(self) -> u64 {
        (2.0 * self.variance.sqrt()).ceil() as u64
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    records: Sum,
    bytes: Sum,
}

impl Sums {
    /// Adds a stratum of so many bytes; see [`Sum::add`].
    fn add(&mut self, samples: &[Sample], bytes: u64) {
        let of = |value: fn(&Sample) -> f64| samples.iter().map(value).collect::<Vec<_>>();
        self.records.add(&of(|sample| sample.records), bytes as f64);
        self.bytes.add(&of(|sample| sample.bytes), bytes as f64);
    }

    /// Adds what has been counted.
    fn add_counted(&mut self, sample: Sample) {
        self.add(&[sample], 1);
    }
}

/// Where the version of a user's key stands that readers are shown, deletions included.
type Newest<'q> = &'q dyn Fn(&[u8]) -> Result<Option<Lsn>, StoreError>;

/// What is asked for.
struct Question<'q, P> {
    store: &'q P,
    newest: Newest<'q>,
    start: Bound<&'q [u8]>,
    end: Bound<&'q [u8]>,
    wanted: &'q dyn Fn(&[u8], Lsn) -> bool,
}

/// `count` numbers of `0..all`, spread over them: one in each of `count` equal parts, anywhere in it, but
/// the same ones each time.
fn spread(count: u64, all: u64, seed: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |i| {
        let (from, to) = (all * i / count, all * (i + 1) / count);
        let random = xxhash_rust::xxh3::xxh3_64_with_seed(&i.to_le_bytes(), seed);
        from + random % (to - from).max(1)
    })
}

impl Store {
    /// About how many records lie between the bounds, and how many bytes. Looks at a few MiB at most,
    /// however large the range; exact where no more than that lies in it and behind the last compaction.
    ///
    /// The error that is told holds in about 19 of 20 cases. With entries of like size and a range that
    /// holds more than a hundredth of the store it is a few hundredths of the answer; of the records
    /// that are in no table yet, a narrow range may meet no sample at all.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn approximate(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<Approximate, StoreError> {
        self.approximate_where(start, end, &|_, _| true, EFFORT_BYTES)
    }

    /// As [`Store::approximate`], of the keys that are `wanted`, asked with the position of their newest
    /// version: those of one slot, for instance. Looks at about `effort_bytes` of tables and as much of
    /// the log. Of keys that are spread all over the range, a share `p` is found with a relative error of
    /// about `2 / sqrt(p * n)`, where `n` is the number of records looked at.
    ///
    /// # Errors
    /// As for [`Store::approximate`].
    pub fn approximate_where(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        wanted: &dyn Fn(&[u8], Lsn) -> bool,
        effort_bytes: u64,
    ) -> Result<Approximate, StoreError> {
        let newest = |key: &[u8]| {
            let found = self.lookup(key, false)?;
            found.map(|(_, place)| place.lsn()).transpose()
        };
        estimate(
            (&**self, &newest),
            self.stable(),
            (start, end),
            wanted,
            effort_bytes,
        )
    }
}

/// The estimate over what lies below `stable`, which nobody may be writing any more.
pub(super) fn estimate<P: Past>(
    (store, newest): (&P, Newest<'_>),
    stable: Lsn,
    (start, end): (Bound<&[u8]>, Bound<&[u8]>),
    wanted: &dyn Fn(&[u8], Lsn) -> bool,
    effort_bytes: u64,
) -> Result<Approximate, StoreError> {
    if is_empty(start, end) {
        return Ok(Approximate::default());
    }
    let question = Question {
        store,
        newest,
        start,
        end,
        wanted,
    };
    let (segments, files) = store.layers()?;
    let mut sums = Sums::default();
    let spans: Vec<(&Segment, Lsn, Lsn)> = segments
        .iter()
        .filter(|segment| segment.first() >= files.through)
        .map(|segment| (&**segment, segment.first(), segment.end().min(stable)))
        .filter(|(_, from, to)| from < to)
        .collect();
    let log_bytes: u64 = spans.iter().map(|(_, from, to)| to.0 - from.0).sum();
    for (segment, from, to) in spans {
        let share = share_of(effort_bytes, to.0 - from.0, log_bytes);
        question.segment(segment, from, to, share, &mut sums)?;
    }
    question.tables(&files, effort_bytes, &mut sums)?;
    Ok(Approximate {
        records: sums.records.total.round() as u64,
        bytes: sums.bytes.total.round() as u64,
        records_error: sums.records.error(),
        bytes_error: sums.bytes.error(),
    })
}

/// How much of the effort a part of the whole gets.
fn share_of(effort: u64, part: u64, whole: u64) -> u64 {
    (u128::from(effort) * u128::from(part) / u128::from(whole.max(1))) as u64
}

impl<P: Past> Question<'_, P> {
    fn asks_for(&self, key: &[u8], lsn: Lsn) -> bool {
        use std::ops::RangeBounds;
        (self.start, self.end).contains(key) && (self.wanted)(key, lsn)
    }

    /// Whether the version of `key` at `lsn` is the one that readers are shown.
    fn is_newest(&self, key: &[u8], lsn: Lsn) -> Result<bool, StoreError> {
        Ok((self.newest)(key)? == Some(lsn))
    }

    fn segment(
        &self,
        segment: &Segment,
        from: Lsn,
        to: Lsn,
        effort_bytes: u64,
        sums: &mut Sums,
    ) -> Result<(), StoreError> {
        let bytes = to.0 - from.0;
        let windows = bytes.div_ceil(WINDOW_BYTES);
        let affordable = (effort_bytes / WINDOW_BYTES).max(LEAST_SAMPLES);
        if windows <= affordable {
            sums.add_counted(self.window(segment, from, to)?);
            return Ok(());
        }
        let samples = spread(affordable, windows, segment.header().number).map(|number| {
            let start = from.advance(number * WINDOW_BYTES);
            let end = start.advance(WINDOW_BYTES).min(to);
            Ok(self.window(segment, start, end)?.per_byte(end.0 - start.0))
        });
        let samples = samples.collect::<Result<Vec<_>, StoreError>>()?;
        sums.add(&samples, bytes);
        Ok(())
    }

    /// The versions that lie in a part of a segment, each with the part of it that does. Members of batches
    /// are records like others here: each has a header of its own.
    fn window(&self, segment: &Segment, from: Lsn, to: Lsn) -> Result<Sample, StoreError> {
        let mut sample = Sample::default();
        let mut at = from;
        // The record that `from` lies in begins at the nearest place before where one can be read: its
        // header says where it stands. Damage is met on the way forward.
        while at > segment.first() && segment.record(at).is_err() {
            at = Lsn(at.0 - RECORD_ALIGN as u64);
        }
        while at < to {
            let damaged = |error| StoreError::from(segment.damaged(at, &error));
            let record = segment.record(at).map_err(damaged)?;
            let is_put = record.kind() == RecordKind::Put && !record.is_system();
            if is_put
                && self.asks_for(record.key(), at)
                && self.is_newest(record.key(), at)?
                && !self.store.is_over(record.expiry().map_err(damaged)?)
            {
                let inside = record.end().min(to).0 - at.max(from).0;
                let part = inside as f64 / record.size() as f64;
                sample.add(part, record.key().len() + record.value().len());
            }
            at = match record.kind() {
                RecordKind::Batch => at.advance(RECORD_HEADER_BYTES as u64),
                _ => record.end(),
            };
        }
        Ok(sample)
    }

    fn tables(&self, files: &FileSet, effort_bytes: u64, sums: &mut Sums) -> Result<(), StoreError> {
        let mut spans: Vec<(&Run, &Table, usize, usize)> = Vec::new();
        for run in &files.runs {
            for table in &run.tables {
                let (from, to) = self.span(table)?;
                if from < to {
                    spans.push((run, table, from, to));
                }
            }
        }
        let all: u64 = spans.iter().map(|(_, _, from, to)| (to - from) as u64).sum();
        for (run, table, from, to) in spans {
            let share = share_of(effort_bytes, (to - from) as u64, all);
            self.table(run, table, (from, to), share, sums)?;
        }
        Ok(())
    }

    /// Where the entries of the range begin and end in a table.
    fn span(&self, table: &Table) -> Result<(usize, usize), TableError> {
        let from = match self.start {
            Bound::Unbounded => DATA_START,
            Bound::Included(key) => table.seek(key, false)?,
            Bound::Excluded(key) => table.seek(key, true)?,
        };
        let to = match self.end {
            Bound::Unbounded => table.user_end(),
            Bound::Included(key) => table.seek(key, true)?,
            Bound::Excluded(key) => table.seek(key, false)?,
        };
        Ok((from, to))
    }

    fn table(
        &self,
        run: &Run,
        table: &Table,
        (from, to): (usize, usize),
        effort_bytes: u64,
        sums: &mut Sums,
    ) -> Result<(), StoreError> {
        let groups = table.anchors_within(from, to)?;
        let bytes = (to - from) as u64;
        // A group is what lies between two anchors.
        let group_bytes = (bytes / (groups.len() as u64).max(1)).max(1);
        let affordable = (effort_bytes / group_bytes).max(LEAST_SAMPLES);
        if bytes <= effort_bytes || groups.len() as u64 <= affordable + 1 {
            sums.add_counted(self.entries(run, table, from, to)?);
            return Ok(());
        }
        // Before the first anchor and behind the last one only parts of groups lie in the range.
        let (first, last) = (
            table.anchor_offset(groups.start)?,
            table.anchor_offset(groups.end - 1)?,
        );
        sums.add_counted(self.entries(run, table, from, first)?);
        sums.add_counted(self.entries(run, table, last, to)?);
        let bytes = (last - first) as u64;
        let samples = spread(affordable, bytes, table.header().number).map(|offset| {
            let group = table.anchors_within(0, first + offset as usize + 1)?.end - 1;
            let (from, to) = (table.anchor_offset(group)?, table.anchor_offset(group + 1)?);
            Ok(self.entries(run, table, from, to)?.per_byte((to - from) as u64))
        });
        let samples = samples.collect::<Result<Vec<_>, StoreError>>()?;
        sums.add(&samples, bytes);
        Ok(())
    }

    fn entries(&self, run: &Run, table: &Table, from: usize, to: usize) -> Result<Sample, StoreError> {
        let mut sample = Sample::default();
        let mut outcome = Ok(());
        let mut count = |entry: EntryView<'_>| -> Result<(), StoreError> {
            let is_candidate = entry.kind == RecordKind::Put && !entry.same_key && run.covers(entry.key);
            if is_candidate
                && self.asks_for(entry.key, entry.lsn)
                && !self.store.is_over(entry.expiry)
                && self.is_newest(entry.key, entry.lsn)?
            {
                sample.add(1.0, entry.key.len() + entry.value.len());
            }
            Ok(())
        };
        table.walk(from, to, |entry| {
            outcome = count(entry);
            outcome.is_ok()
        })?;
        outcome.map(|()| sample)
    }
}
