//! Compaction: sealed segments become tables, runs of tables become fewer.
//!
//! In: what may be compacted, and what must be kept. Out: a new set of files, and a key index that
//! points into it. Work comes in *steps* of one flush or one table merged, each of them whole: a
//! manifest replaces the one before, then the index is pointed at the new files, then the old ones go.
//! A store that never takes a step behaves as one without this module. Read `policy` (when), `input`
//! and `keep` (what), `output` (where to), `install` (how it takes effect), then `background`.
//!
//! What must never happen: a version goes that somebody may read; a file goes that the manifest on disk
//! or an index entry names; a failed step changes what the store answers.

pub(super) mod background;
mod input;
pub(super) mod install;
mod keep;
mod output;
mod policy;

use std::path::PathBuf;
use std::sync::Arc;

use super::files::{FileSet, Run};
use super::manifest::TABLE_DIR;
use super::slots::Slots;
use super::table::TableError;
use super::table::writer::Throttle;
use super::{Store, StoreError};
use crate::ids::Lsn;
use crate::log::segment::Segment;
use input::{Input, LogInput, RunsInput};
use install::Writers;
use keep::KeepRule;
use output::{Output, Place};

/// Sealed segments are flushed together up to about this many bytes of records.
const FLUSH_BYTES: u64 = 64 << 20;

/// With so many runs, a merge that is due comes before any flush.
const MANY_RUNS: usize = 12;

/// What may be compacted, and what must be kept although the store itself no longer needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionLimits {
    /// Only records below this position are turned into tables. In a replicated shard, the commit
    /// position: nothing below it is ever taken back.
    pub below: Lsn,
    /// Deletions at or above this position stay visible to [`super::Snapshot::scan_versions`].
    pub keep_tombstones_from: Lsn,
    /// Log records at or above this position stay, for followers that still ask for them.
    pub keep_log_from: Lsn,
}

impl Default for CompactionLimits {
    /// Of a store on its own: everything durable may be compacted, nothing needs to be kept.
    fn default() -> CompactionLimits {
        CompactionLimits {
            below: Lsn(u64::MAX),
            keep_tombstones_from: Lsn(u64::MAX),
            keep_log_from: Lsn(u64::MAX),
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Sealed segments became a run.
    Flush,
    /// A part of some runs, or all of them, went into one.
    Merge,
    /// Segments that nobody needs any more were removed.
    Release,
}

/// One step of compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CompactionStep {
    /// What it did.
    pub kind: StepKind,
    /// Versions read.
    pub versions_read: u64,
    /// Versions left out, because a newer one hides them from everybody.
    pub versions_dropped: u64,
    /// Bytes of tables written.
    pub bytes_written: u64,
    /// Bytes of files removed.
    pub bytes_removed: u64,
    /// Bytes that the merge under way still has to read, about.
    pub bytes_left: u64,
}

/// Several steps together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CompactionReport {
    /// Flushes.
    pub flushes: u64,
    /// Steps of merges.
    pub merges: u64,
    /// Versions read.
    pub versions_read: u64,
    /// Versions left out.
    pub versions_dropped: u64,
    /// Bytes of tables written.
    pub bytes_written: u64,
    /// Bytes of files removed.
    pub bytes_removed: u64,
}

impl CompactionReport {
    /// Adds a step.
    pub fn add(&mut self, step: &CompactionStep) {
        self.flushes += u64::from(step.kind == StepKind::Flush);
        self.merges += u64::from(step.kind == StepKind::Merge);
        self.versions_read += step.versions_read;
        self.versions_dropped += step.versions_dropped;
        self.bytes_written += step.bytes_written;
        self.bytes_removed += step.bytes_removed;
    }
}

/// How compaction has fared since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CompactionHealth {
    /// What was done.
    pub done: CompactionReport,
    /// Steps that failed.
    pub failures: u64,
    /// Why the last step failed, if it did. Reads and writes are not affected.
    pub last_error: Option<String>,
    /// Why there is no compaction until the store is opened again, if so.
    pub halted: Option<String>,
}

/// How eager a step is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Eagerness {
    /// Flush only once so many bytes of records are in sealed segments.
    pub(super) flush_from_bytes: u64,
    /// Merge all runs into one, whatever the policy says.
    pub(super) merge_all: bool,
    /// Write a single run anew, to leave out what has become superfluous since.
    pub(super) rewrite: bool,
}

impl Eagerness {
    /// Every sealed segment, and what the policy says.
    const STEPWISE: Eagerness = Eagerness {
        flush_from_bytes: 0,
        merge_all: false,
        rewrite: false,
    };
}

impl Store {
    /// Does the next piece of work there is: flushes sealed segments, goes on with a merge or begins
    /// one, or removes segments. `None` when there is nothing to do.
    ///
    /// Readers and writers go on beside it. Not for use beside [`super::Compaction::Background`],
    /// although nothing breaks.
    ///
    /// # Errors
    /// Damage, a full disk, the disk's: nothing has changed for readers and writers, and
    /// [`Store::compaction_health`] tells. [`StoreError::CompactionHalted`] once a step has failed in
    /// a way that only opening the store again resolves.
    pub fn compact_step(&self, limits: &CompactionLimits) -> Result<Option<CompactionStep>, StoreError> {
        self.step(limits, Eagerness::STEPWISE, &mut |_| Ok(()))
    }

    /// Compacts everything that `limits` allow, the active segment included, into one run. `progress`
    /// is told every step.
    ///
    /// # Errors
    /// As for [`Store::compact_step`]; what was done before stays done.
    pub fn compact(
        &self,
        limits: &CompactionLimits,
        progress: &mut dyn FnMut(&CompactionStep),
    ) -> Result<CompactionReport, StoreError> {
        let mut report = CompactionReport::default();
        self.seal_segment()?;
        if self.log.is_leader() {
            // One record below the compacted position stays in the log, with the segment it is in. So
            // that this is a small one, the next step of the hash chain gets a segment of its own.
            self.log.advance_chain()?;
            self.seal_segment()?;
        }
        let mut eagerness = Eagerness {
            flush_from_bytes: 0,
            merge_all: true,
            rewrite: true,
        };
        while let Some(step) = self.step(limits, eagerness, &mut |_| Ok(()))? {
            // Only what was there at the beginning: what cannot be left out now will not be later.
            eagerness.rewrite &= step.kind != StepKind::Merge;
            report.add(&step);
            progress(&step);
        }
        Ok(report)
    }

    /// Ends the active segment and makes it durable, so that the next steps can compact it; `false` if
    /// it had no records.
    ///
    /// # Errors
    /// As for a write that needs a new segment, and for [`Store::sync`].
    pub fn seal_segment(&self) -> Result<bool, StoreError> {
        let rolled = self.log.roll()?;
        self.log.seal_waiting()?;
        Ok(rolled)
    }

    /// How compaction has fared since the store was opened.
    #[must_use]
    pub fn compaction_health(&self) -> CompactionHealth {
        self.compaction_health.lock().clone()
    }

    pub(super) fn step(
        &self,
        limits: &CompactionLimits,
        eagerness: Eagerness,
        throttle: &mut Throttle<'_>,
    ) -> Result<Option<CompactionStep>, StoreError> {
        self.log.check_forked()?;
        let mut last = self.compaction.lock();
        if let Some(cause) = self.compaction_health.lock().halted.clone() {
            return Err(StoreError::CompactionHalted {
                path: self.dir.clone(),
                cause,
            });
        }
        let outcome = self.next_step(limits, eagerness, *last, throttle);
        if let Ok(Some(step)) = &outcome {
            *last = Some(step.kind);
        }
        let mut health = self.compaction_health.lock();
        match &outcome {
            Ok(step) => {
                health.last_error = None;
                step.iter().for_each(|step| health.done.add(step));
            }
            Err(StoreError::Table(TableError::Stopped)) => {}
            Err(error) => {
                health.failures += 1;
                health.last_error = Some(error.to_string());
            }
        }
        outcome
    }

    fn next_step(
        &self,
        limits: &CompactionLimits,
        eagerness: Eagerness,
        last: Option<StepKind>,
        throttle: &mut Throttle<'_>,
    ) -> Result<Option<CompactionStep>, StoreError> {
        // Full segments that nobody has got round to sealing yet.
        self.log.seal_waiting()?;
        let files = self.files.load_full();
        let sealed = self.sealed_segments(&files, limits.below);
        let bytes: u64 = sealed
            .iter()
            .map(|segment| segment.end().0 - segment.first().0)
            .sum();
        let due = choose_merge(&files, eagerness, || self.now_ms());
        // Flushes first, since the log takes the most space; but a writer that always has another full
        // segment must not keep merges from their turn, or runs would pile up.
        let turn = last == Some(StepKind::Flush) || files.runs.len() >= MANY_RUNS;
        let merge_first = due.is_some() && turn && !eagerness.merge_all;
        if !merge_first && !sealed.is_empty() && bytes >= eagerness.flush_from_bytes {
            let writers = Writers::GoOn;
            return self.flush(&files, sealed, limits, throttle, writers).map(Some);
        }
        if let Some((start, count)) = due {
            return self.merge(&files, start, count, limits, throttle).map(Some);
        }
        let removed = self.release_log(limits)?;
        Ok((removed > 0).then_some(CompactionStep {
            kind: StepKind::Release,
            versions_read: 0,
            versions_dropped: 0,
            bytes_written: 0,
            bytes_removed: removed,
            bytes_left: 0,
        }))
    }

    /// Sealed segments that are not in tables yet and may go there, the oldest of them, as many as make
    /// one flush.
    pub(super) fn sealed_segments(&self, files: &FileSet, below: Lsn) -> Vec<Arc<Segment>> {
        let below = below.min(self.log.durable());
        let mut bytes = 0;
        self.log
            .segments()
            .all
            .iter()
            .filter(|segment| segment.first() >= files.through)
            .take_while(|segment| {
                let room = bytes < FLUSH_BYTES;
                bytes += segment.end().0.saturating_sub(segment.first().0);
                room && segment.end() <= below
            })
            .cloned()
            .collect()
    }

    /// What must stay when everything below `through` is in tables. From here on nobody may read below it
    /// who has not held his position before.
    fn keep_rule(
        &self,
        through: Lsn,
        limits: &CompactionLimits,
        is_oldest: bool,
    ) -> Result<KeepRule, StoreError> {
        // Before the floor rises: whoever takes a snapshot afterwards has a later time.
        let now_ms = self.now_ms();
        let mut needs = self.history.raise(through);
        if let Some(live) = self.log.live() {
            live.raise_clock(now_ms);
            live.raise_floor(self.history.floor());
            // Whoever registers from here on finds clock and floor raised, and takes a later position.
            for reader in Slots::open(self.log.disk(), &self.dir)?.held()? {
                if let Some(at) = reader.at {
                    needs.add(at, reader.taken_at_ms);
                }
            }
        }
        Ok(KeepRule {
            visible_at: needs.visible_at,
            tombstones_from: limits.keep_tombstones_from,
            is_oldest,
            now_ms: needs.earliest_ms.map_or(now_ms, |earliest| earliest.min(now_ms)),
        })
    }

    /// The directory of tables, made if it is missing.
    pub(super) fn table_dir(&self) -> Result<PathBuf, TableError> {
        let dir = self.dir.join(TABLE_DIR);
        let disk = self.log.disk();
        if !disk.exists(&dir).map_err(TableError::io("look up", &dir))? {
            disk.create_dir_all(&dir)
                .map_err(TableError::io("create", &dir))?;
        }
        Ok(dir)
    }

    fn output<'p>(&'p self, files: &'p FileSet) -> Result<Output<'p>, StoreError> {
        self.table_dir()?;
        let disk = self.log.disk();
        let control = self.log.control();
        Ok(Output::new(Place {
            disk,
            dir: &self.dir,
            cluster: control.cluster,
            shard: control.shard,
            files,
            table_bytes: self.table_bytes,
        }))
    }

    /// Refuses a step that could take the last space on the disk from the writers.
    pub(super) fn check_space(&self, bytes: u64) -> Result<(), StoreError> {
        let free = self
            .log
            .disk()
            .free_bytes(&self.dir)
            .map_err(TableError::io("inspect", &self.dir))?;
        let needed = bytes + self.log.reserve_bytes();
        if free < needed {
            return Err(TableError::DiskFull {
                path: self.dir.clone(),
                needed,
            }
            .into());
        }
        Ok(())
    }

    pub(super) fn flush(
        &self,
        files: &FileSet,
        segments: Vec<Arc<Segment>>,
        limits: &CompactionLimits,
        throttle: &mut Throttle<'_>,
        writers: Writers,
    ) -> Result<CompactionStep, StoreError> {
        let through = segments.last().map_or(files.through, |last| last.end());
        let mut input = LogInput::new(segments)?;
        self.check_space(input.bytes_left())?;
        // Raised before anything is left out, so that no reader finds a gap without an error.
        let rule = self.keep_rule(through, limits, files.runs.is_empty())?;
        let mut output = self.output(files)?;
        let mut fill = || -> Result<(), StoreError> {
            loop {
                let more = output::pour(&mut input, &mut output, &rule, throttle, &mut |output, _| {
                    output.is_full()
                })?;
                output.finish(throttle)?;
                if !more {
                    return Ok(());
                }
            }
        };
        if let Err(error) = fill() {
            output.abandon();
            return Err(error);
        }
        let mut next = files.clone();
        next.through = through;
        next.next_table = output.next_table();
        next.epochs = self.epochs_below(files, through);
        let tables: Vec<_> = output
            .written
            .iter()
            .map(|written| Arc::clone(&written.table))
            .collect();
        if !tables.is_empty() {
            next.runs.insert(0, Arc::new(Run::new(tables, None, false)));
        }
        let mut step = self.install(next, output, StepKind::Flush, writers)?;
        self.sorted.lock().retain(|_, run| run.first() >= through);
        step.bytes_removed += self.release_log(limits)?;
        Ok(step)
    }

    fn merge(
        &self,
        files: &FileSet,
        start: usize,
        count: usize,
        limits: &CompactionLimits,
        throttle: &mut Throttle<'_>,
    ) -> Result<CompactionStep, StoreError> {
        let growing = files.runs.get(start + count).is_some_and(|run| run.growing);
        let mut input = RunsInput::new(&files.runs[start..start + count])?;
        self.check_space(
            (self.table_bytes as u64 + self.table_bytes as u64 / 8).min(input.bytes_left() + (1 << 20)),
        )?;
        let is_oldest = start + count + usize::from(growing) == files.runs.len();
        let rule = self.keep_rule(files.through, limits, is_oldest)?;
        let mut output = self.output(files)?;
        let mut cut: Option<Vec<u8>> = None;
        let mut fill = || -> Result<bool, StoreError> {
            loop {
                let mut stop = |output: &Output<'_>, key: Option<&[u8]>| {
                    let full = output.is_full();
                    cut = key.filter(|_| full).map(<[u8]>::to_vec);
                    full
                };
                let more = output::pour(&mut input, &mut output, &rule, throttle, &mut stop)?;
                output.finish(throttle)?;
                // Within the reserved keyspace there is nothing to cut at.
                if !more || cut.is_some() {
                    return Ok(more);
                }
            }
        };
        let more = match fill() {
            Ok(more) => more,
            Err(error) => {
                output.abandon();
                return Err(error);
            }
        };
        let mut next = files.clone();
        next.next_table = output.next_table();
        let tail = next.runs.split_off(start + count);
        let inputs = next.runs.split_off(start);
        if more {
            for (run, done) in inputs.into_iter().zip(input.tables_done()) {
                let tables = run.tables[done.min(run.tables.len())..].to_vec();
                if !tables.is_empty() {
                    next.runs.push(Arc::new(Run::new(tables, cut.clone(), false)));
                }
            }
        }
        let (growing_run, older) = tail.split_at(usize::from(growing));
        let mut tables = growing_run
            .first()
            .map_or_else(Vec::new, |run| run.tables.clone());
        tables.extend(output.written.iter().map(|written| Arc::clone(&written.table)));
        if !tables.is_empty() {
            next.runs.push(Arc::new(Run::new(tables, None, more)));
        }
        next.runs.extend_from_slice(older);
        let bytes_left = if more { input.bytes_left() } else { 0 };
        let step = self.install(next, output, StepKind::Merge, Writers::GoOn)?;
        Ok(CompactionStep { bytes_left, ..step })
    }

    /// Lets the log go as far as nobody needs it: neither the store, whose tables have it, nor whoever
    /// `limits` speak for.
    fn release_log(&self, limits: &CompactionLimits) -> Result<u64, StoreError> {
        let upto = self.files.load().through.min(limits.keep_log_from);
        let is_worth_it = self
            .log
            .segments()
            .all
            .get(1)
            .is_some_and(|second| second.first() < upto);
        if !is_worth_it {
            return Ok(0);
        }
        let upto = self.history.release_log(upto);
        if self.log.is_leader() && self.log.chained_through() < upto {
            // The hash chain has to pass what goes.
            self.log.advance_chain()?;
        }
        let removed = self.log.release(upto)?;
        if let Some(live) = self.log.live().filter(|_| removed > 0) {
            live.settle_files();
        }
        Ok(removed)
    }
}

/// The runs to merge next: those whose merge is under way, else what the policy says.
fn choose_merge(files: &FileSet, eagerness: Eagerness, now_ms: impl Fn() -> u64) -> Option<(usize, usize)> {
    let runs = &files.runs;
    if let Some(start) = runs.iter().position(|run| run.after.is_some()) {
        let count = runs[start..].iter().take_while(|run| run.after.is_some()).count();
        return Some((start, count));
    }
    if eagerness.merge_all && runs.len() > 1 {
        return Some((0, runs.len()));
    }
    if eagerness.rewrite
        && let [run] = &runs[..]
    {
        let superfluous = run.tables.iter().any(|table| {
            let footer = table.footer();
            let has_expired = footer.expiring > 0 && footer.first_expiry_ms <= now_ms();
            footer.tombstones > 0
                || has_expired
                || (footer.user_end == footer.data_end && footer.entries > footer.keys)
        });
        return superfluous.then_some((0, 1));
    }
    let bytes: Vec<u64> = runs.iter().map(|run| run.file_bytes()).collect();
    policy::pick(&bytes).map(|count| (0, count))
}
