//! A follower's side: appending a primary's records, and taking back a tail that diverged.
//!
//! In: chunks of a primary's log. Out: the same log here, indexed. The bytes are appended as they
//! are, so replicas of a shard agree to the byte.

use super::past::Past;
use super::version::Version;
use super::{LogChunk, Store, StoreError, TruncateReport, for_each_version};
use crate::ids::Lsn;
use crate::log::LogError;

/// A version that a truncation takes back.
struct Undo {
    lsn: Lsn,
    prev: Lsn,
    hash: u64,
}

impl Store {
    /// Appends records received from the primary; returns the new end. Not synced: follow with
    /// [`Store::sync`] before calling them durable.
    ///
    /// # Errors
    /// A gap, a stale epoch, or damaged records: nothing was appended then. Where the disk fills up in
    /// the middle of a chunk that spans segments, its first records stay: go on from [`Store::tail`].
    pub fn apply(&self, chunk: &LogChunk) -> Result<Lsn, StoreError> {
        let applied = self.log.apply(chunk, |segment, from, end| {
            let mut outcome: Result<(), StoreError> = Ok(());
            let (reached, _) = segment.walk(from, end, false, |record| {
                if outcome.is_ok() {
                    outcome =
                        for_each_version(&record, segment, |version| self.index_version(segment, &version));
                }
            });
            if outcome.is_ok() && reached != end {
                let error = crate::log::format::RecordError::Malformed("records just written");
                outcome = Err(segment.damaged(reached, &error).into());
            }
            outcome.map_err(|error| self.unindexed(error))
        });
        self.waiters.wake(|| self.log.stable());
        applied
    }

    /// Takes back every record from `to` on, because another leadership went on from there.
    ///
    /// The records are kept under `diverged/`. The caller makes sure that nobody writes meanwhile,
    /// and that what follows at `to` comes from a newer epoch.
    ///
    /// # Errors
    /// A gap unless `to` lies between two records; [`StoreError::BelowHorizon`] when records below have
    /// gone into tables; damage; the disk's.
    pub fn truncate(&self, to: Lsn) -> Result<TruncateReport, StoreError> {
        // Held to the end, so that no compaction goes past `to` meanwhile.
        let _compaction = self.compaction.lock();
        let horizon = self.files.load().reach;
        if to < horizon {
            return Err(StoreError::BelowHorizon { to, horizon });
        }
        // A compaction that failed may have raised it further.
        self.history.lower(horizon);
        if let Some(live) = self.log.live() {
            live.lower_floor(horizon);
        }
        // In this order the end moves no more once it has been read.
        self.log.step_down();
        let tail = self.log.tail();
        if to > tail {
            return Err(LogError::Gap {
                expected: tail,
                found: to,
            }
            .into());
        }
        self.log.wait_stable(tail);
        let mut undo = Vec::new();
        let mut readable: Result<(), LogError> = Ok(());
        self.log.walk(to, tail, false, |segment, record| {
            let collected: Result<(), LogError> = for_each_version(&record, segment, |version| {
                let hash = self.hash(version.key(), version.is_system());
                undo.push(Undo {
                    lsn: version.lsn(),
                    prev: version.prev(),
                    hash,
                });
                Ok(())
            });
            if let Err(error) = collected {
                readable = Err(error);
            }
        })?;
        // Members that cannot be read could not be taken out of the index either.
        readable?;
        self.step_generation(to);
        // From the first step on the index no longer agrees with the log until both are done.
        let report = self
            .undo(&undo)
            .and_then(|()| Ok(self.log.truncate(to)?))
            .map_err(|error| self.unindexed(error))?;
        self.sorted.lock().clear();
        self.step_generation(to);
        Ok(report)
    }

    /// Before and after the records from `to` on go: views above it end, here and in other processes.
    fn step_generation(&self, to: Lsn) {
        self.cuts.step(to);
        if let Some(live) = self.log.live() {
            live.step_generation(to);
        }
    }

    fn undo(&self, undo: &[Undo]) -> Result<(), StoreError> {
        // Newest first: each step uncovers the predecessor of the version it removes.
        for step in undo.iter().rev() {
            let segment = self.log.segment_at(step.lsn).ok_or(LogError::Gap {
                expected: self.log.tail(),
                found: step.lsn,
            })?;
            let location = Store::location(&segment, step.lsn);
            let version = Version::Log {
                segment,
                lsn: step.lsn,
            };
            // A deletion may have been compacted away: then there is no predecessor any more.
            let before = match step.prev {
                Lsn::ZERO => None,
                prev => self.older_version(&version.view()?, prev, step.lsn)?,
            };
            match before {
                None => self
                    .index
                    .remove(step.hash, |found| Ok::<_, StoreError>(found == location))?,
                Some(before) => self.index.set(step.hash, before.location(), |found| {
                    Ok::<_, StoreError>(found == location)
                })?,
            };
        }
        Ok(())
    }
}
