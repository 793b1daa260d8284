//! Letting go of the beginning of a log, and ending a segment early.
//!
//! In: a position below which nobody needs records any more. Out: a log that begins later. The new
//! beginning stands in the control page, durably, before the first file goes; a crash in between
//! leaves files that the next opening removes. What must never happen: a segment goes that the hash
//! chain still has to cover, or that holds the record before the position.

use std::path::Path;
use std::sync::Arc;

use super::format::RECORD_HEADER_BYTES;
use super::header::Control;
use super::rotate::Room;
use super::segment::{MIN_SEGMENT_BYTES, Segment};
use super::{LOG_DIR, Log, LogError, SegmentList};
use crate::ids::Lsn;
use crate::io::Disk;

impl Log {
    /// Position of the first record that is kept; of an empty log, its end.
    #[must_use]
    pub fn start(&self) -> Lsn {
        self.segments()
            .all
            .first()
            .map_or_else(|| self.tail(), |first| first.first())
    }

    /// Position up to which the hash chain has got.
    pub(crate) fn chained_through(&self) -> Lsn {
        Lsn(self.append_state().chain.through)
    }

    /// Takes the next step of the hash chain, on a primary, and makes it durable.
    pub(crate) fn advance_chain(&self) -> Result<(), LogError> {
        self.append_group()?;
        self.sync().map(drop)
    }

    /// Bytes that writers will want next: room for one more segment.
    pub(crate) fn reserve_bytes(&self) -> u64 {
        self.append_state().next_capacity
    }

    /// Removes the segments that lie wholly below `upto`, as far as the log itself can do without
    /// them; returns the bytes of files removed.
    ///
    /// At least one record below `upto` stays, so that the epoch before it is known. What the next
    /// step of the hash chain covers stays as well: on a primary, a sync before lets more go.
    ///
    /// # Errors
    /// The disk's. The log then begins where it did, or later with files left that the next opening
    /// removes; in both cases it goes on.
    pub fn release(&self, upto: Lsn) -> Result<u64, LogError> {
        self.check_poison()?;
        let (chained, tail) = {
            let state = self.append_state();
            (Lsn(state.chain.through), state.tail)
        };
        // The record that says how far the chain has got lies below the tail. It has to be durable
        // first: without it, recovery would go on from a step whose bytes are gone.
        self.sync_to(tail)?;
        let released = {
            let mut state = self.append_state();
            let upto = upto.min(self.durable());
            let all = &self.segments().all;
            // Segments are sealed in order; one that still waits for it says not how many records went.
            let sealed = all.windows(2).map(|pair| (pair[1].first(), pair[0].footer()));
            let gone = sealed
                .map_while(|(next, footer)| footer.ok().flatten().filter(|_| next < upto && next <= chained));
            let footers: Vec<_> = gone.collect();
            let count = footers.len();
            let Some(footer) = footers.last() else {
                return Ok(0);
            };
            let mut control = state.control.clone();
            control.log_start = all[count].first();
            control.released_records = footer.records;
            super::rotate::write_control(self, &control)?;
            state.control = control;
            let (released, kept) = all.split_at(count);
            let released = released.to_vec();
            self.segments.store(Arc::new(SegmentList { all: kept.to_vec() }));
            released
        };
        let mut bytes = 0;
        for segment in &released {
            self.disk()
                .remove_file(segment.path())
                .map_err(|e| LogError::io("remove", segment.path(), e))?;
            bytes += segment.header().capacity;
        }
        let log_dir = self.log_dir();
        self.disk()
            .sync_dir(&log_dir)
            .map_err(|e| LogError::io("sync", &log_dir, e))?;
        Ok(bytes)
    }

    /// Ends the active segment if it holds records, so that they can be compacted once it is sealed, and
    /// goes on in a new one. That one is small: who compacts by hand wants the space back.
    ///
    /// # Errors
    /// As for an append that needs a new segment.
    pub fn roll(&self) -> Result<bool, LogError> {
        self.check_poison()?;
        let mut state = self.append_state();
        let active = state.active.as_ref().map(|active| Arc::clone(active.segment()));
        let Some(active) = active.filter(|active| active.first() < state.tail) else {
            return Ok(false);
        };
        self.mark_open_locked(&mut state)?;
        self.discard_spare();
        let capacity = std::mem::replace(&mut state.next_capacity, MIN_SEGMENT_BYTES);
        let follower = active.header().follower;
        if let Err(error) = self.start_segment(&mut state, RECORD_HEADER_BYTES, follower, Room::Reserve) {
            state.next_capacity = capacity;
            return Err(error);
        }
        Ok(true)
    }
}

/// Removes the segments that the control page says have been released, after a crash or a failure
/// left them; returns the others.
pub(super) fn remove_released(
    disk: &dyn Disk,
    dir: &Path,
    control: &Control,
    segments: Vec<Arc<Segment>>,
) -> Result<Vec<Arc<Segment>>, LogError> {
    let start = control.log_start;
    let (released, kept): (Vec<_>, Vec<_>) =
        segments.into_iter().partition(|segment| segment.first() < start);
    if kept.is_empty() && start > Lsn::ZERO {
        return Err(LogError::corrupt(
            &dir.join(LOG_DIR),
            0,
            format_args!("the log begins at position {start}, but its segments are gone"),
        ));
    }
    if released.is_empty() {
        return Ok(kept);
    }
    // The page may have got its name without a sync; should a power cut bring the one before back,
    // these files would be missed.
    disk.sync_dir(dir).map_err(|e| LogError::io("sync", dir, e))?;
    for segment in &released {
        disk.remove_file(segment.path())
            .map_err(|e| LogError::io("remove", segment.path(), e))?;
    }
    let log_dir = dir.join(LOG_DIR);
    disk.sync_dir(&log_dir)
        .map_err(|e| LogError::io("sync", &log_dir, e))?;
    Ok(kept)
}
