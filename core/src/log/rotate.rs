//! From a full segment to the next one.
//!
//! In: the append lock, and a record that needs room. Out: an active segment with that room. Two
//! costly steps are kept away from the writer who happens to find the segment full: the next file
//! is allocated and prewritten ahead (a *spare*), and the full one is made durable and gets its
//! footer later (it *waits to be sealed*). Both are done by whoever comes first: the background
//! thread, a sync round, or a writer that is too far ahead of the disk.
//!
//! What must never happen: a footer vouches for records that are not durable; a later segment is
//! sealed, or a sync acknowledged, before every earlier segment is durable; the list of segments
//! waiting to be sealed grows without bound.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::header::{Control, PAGE_BYTES, SegmentFooter, SegmentHeader, StoreState};
use super::segment::{MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES, Segment, Spare};
use super::writer::SegmentWriter;
use super::{AppendState, CONTROL_FILE, Log, LogError, SegmentList, VerifyPayload};

/// Full segments that may wait for the disk. With more, writers wait as well: dirty memory stays
/// bounded by this many segments.
const MAX_WAITING: usize = 4;

/// Of a small file system no more than this part is kept free.
const RESERVE_PART: u64 = 16;

/// Whether a segment may take the space that is kept free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It may not: it is for records like any others.
    Ordinary,
    /// It may: without it nobody could lead the log, or give back space.
    Reserve,
}

/// Work of a log that no writer should have to wait for.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    list: Mutex<ChoreList>,
    /// Told when there is something new to do.
    pub(super) changed: Condvar,
    /// Held while segments are sealed: one after the other, in order.
    sealing: Mutex<()>,
    /// Held while a step of the hash chain is taken, from the look at the step before to the record that
    /// keeps it: sync rounds and compactions both take steps.
    pub(super) chaining: Mutex<()>,
}

#[derive(Debug, Default)]
pub(super) struct ChoreList {
    /// Full segments, oldest first, each with the footer it will get.
    waiting: VecDeque<(Arc<Segment>, SegmentFooter)>,
    spare: Option<Spare>,
    /// Capacity of the spare that a writer would like to find.
    pub(super) spare_wanted: Option<u64>,
    pub(super) stopping: bool,
}

impl ChoreList {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.spare_wanted.is_none()
    }
}

impl Chores {
    pub(super) fn list(&self) -> parking_lot::MutexGuard<'_, ChoreList> {
        self.list.lock()
    }
}

impl Log {
    /// Makes sure that the active segment has room for `size` bytes.
    #[inline]
    pub(super) fn make_room(&self, state: &mut AppendState, size: usize) -> Result<(), LogError> {
        let end = state.tail.0 + size as u64;
        if end > state.room_until.0 {
            self.make_room_slowly(state, size)?;
        }
        Ok(())
    }

    #[cold]
    fn make_room_slowly(&self, state: &mut AppendState, size: usize) -> Result<(), LogError> {
        self.mark_open_locked(state)?;
        let end = state.tail.0 + size as u64;
        match &state.active {
            Some(active) if end <= active.segment().limit().0 => {
                let active = active.segment();
                let half = active.first().advance(active.header().capacity / 2);
                if end <= half.0 {
                    state.room_until = half;
                } else {
                    state.room_until = active.limit();
                    self.chores.list().spare_wanted = Some(state.next_capacity);
                    self.chores.changed.notify_one();
                }
                Ok(())
            }
            Some(active) => {
                let follower = active.segment().header().follower;
                self.start_segment(state, size, follower, Room::Ordinary)
            }
            None => {
                let follower = !state.leader;
                self.start_segment(state, size, follower, Room::Ordinary)
            }
        }
    }

    /// Says on disk, before the first change, that the tail can no longer be trusted to be clean.
    pub(super) fn mark_open_locked(&self, state: &mut AppendState) -> Result<(), LogError> {
        if state.marked_open {
            return Ok(());
        }
        let mut control = state.control.clone();
        control.state = StoreState::Open;
        // Told apart from the last one only; a page may hold any number.
        control.open_generation = control.open_generation.wrapping_add(1);
        control.boot_id = self.disk.boot_id();
        control.durable = self.durable();
        write_control(self, &control)?;
        state.control = control;
        state.marked_open = true;
        Ok(())
    }

    /// Creates the next segment, then lets go of the one before. In this order a full disk changes
    /// nothing.
    pub(super) fn start_segment(
        &self,
        state: &mut AppendState,
        size: usize,
        follower: bool,
        room: Room,
    ) -> Result<(), LogError> {
        let max = super::SEGMENT_SLOTS;
        let first = self
            .segments
            .load()
            .all
            .first()
            .map_or(state.next_number, |first| first.header().number);
        if state.next_number - first >= max {
            // One more would answer for the first one in the key index, and could not be opened.
            return Err(LogError::Full {
                path: self.dir.clone(),
                max,
            });
        }
        if self.chores.list().waiting.len() >= MAX_WAITING {
            self.seal_waiting()?;
        }
        let needed = (size + 2 * PAGE_BYTES).next_multiple_of(PAGE_BYTES) as u64;
        let spare = self.take_spare(needed);
        let capacity = match &spare {
            Some(spare) => spare.capacity(),
            None => self.affordable(state.next_capacity, needed, room)?,
        };
        debug_assert!(
            capacity <= MAX_SEGMENT_BYTES,
            "records are far smaller than an index slot's reach"
        );
        let header = SegmentHeader {
            cluster: self.options.identity.cluster,
            shard: self.options.identity.shard,
            epoch: state.epoch,
            node: self.options.identity.node,
            incarnation: state.control.incarnation,
            open_generation: state.control.open_generation,
            number: state.next_number,
            first_lsn: state.tail,
            capacity,
            durable: self.durable(),
            chain: state.chain,
            hlc: state.hlc,
            boot_id: self.disk.boot_id(),
            store: state.control.store,
            follower,
        };
        let created = match spare {
            Some(spare) => spare.become_segment(&*self.disk, &self.log_dir(), header),
            None => Segment::create(&*self.disk, &self.log_dir(), header),
        };
        let segment =
            Arc::new(created.map_err(|(error, left)| if left { self.poison(error) } else { error })?);
        if self.options.verify_payload == VerifyPayload::FirstTouch {
            segment.compare_payloads_once();
        }
        // Received records come in by system calls.
        let writer = SegmentWriter::new(Arc::clone(&segment), self.map_writes && !follower)
            .map_err(|error| self.poison(error))?;
        state.next_number += 1;
        if let Some(full) = state.active.take() {
            self.let_go(state, &full);
        }
        let mut all = self.segments.load().all.clone();
        all.push(Arc::clone(&segment));
        self.segments.store(Arc::new(SegmentList { all }));
        // Half way through it, the writer asks for the next spare.
        state.room_until = segment.first().advance(
            (capacity / 2)
                .max(needed)
                .min(segment.limit().0 - segment.first().0),
        );
        state.active = Some(Arc::new(writer));
        state.next_capacity = (capacity * 2).clamp(state.next_capacity, self.options.segment_max_bytes);
        Ok(())
    }

    /// Bytes that records leave free, and bytes that are free.
    fn free_and_reserve(&self) -> Result<(u64, u64), LogError> {
        let dir = self.log_dir();
        let asked = |bytes: std::io::Result<u64>| bytes.map_err(|e| LogError::io("inspect", &dir, e));
        let free = asked(self.disk.free_bytes(&dir))?;
        let total = asked(self.disk.total_bytes(&dir))?;
        Ok((free, self.options.min_free_bytes.min(total / RESERVE_PART)))
    }

    /// Bytes free where the log lies and bytes of the reserve, if what is free is no more than that. What cannot be asked is no
    /// shortage.
    pub(crate) fn short_of_room(&self) -> Option<(u64, u64)> {
        if self.options.min_free_bytes == 0 {
            return None;
        }
        let (free, reserve) = self.free_and_reserve().ok()?;
        (free <= reserve).then_some((free, reserve))
    }

    /// Capacity of the next segment: the one `wanted`, or as much as is `needed` where the disk has no room
    /// for that.
    ///
    /// # Errors
    /// [`LogError::DiskFull`] where even that would have to come out of the reserve.
    fn affordable(&self, wanted: u64, needed: u64, room: Room) -> Result<u64, LogError> {
        let wanted = wanted.max(needed);
        if self.options.min_free_bytes == 0 {
            return Ok(wanted);
        }
        let (free, reserve) = self.free_and_reserve()?;
        let fits = |bytes: u64| bytes.saturating_add(reserve) <= free;
        let least = needed.max(MIN_SEGMENT_BYTES);
        if fits(wanted) {
            Ok(wanted)
        } else if fits(least) || room == Room::Reserve {
            Ok(least.min(wanted))
        } else {
            Err(LogError::DiskFull {
                path: self.log_dir(),
                needed: least.saturating_add(reserve),
            })
        }
    }

    /// The log goes on in another segment; what this one holds is made durable later.
    fn let_go(&self, state: &AppendState, full: &SegmentWriter) {
        let segment = Arc::clone(full.segment());
        segment.set_end(state.tail);
        let footer = SegmentFooter {
            number: segment.header().number,
            end: state.tail,
            records: state.records,
            hlc: state.hlc,
            chain: state.chain,
        };
        self.chores.list().waiting.push_back((segment, footer));
        self.chores.changed.notify_one();
    }

    /// Makes the full segments durable, oldest first, and writes their footers.
    ///
    /// # Errors
    /// The disk's; the log is poisoned then.
    pub(crate) fn seal_waiting(&self) -> Result<(), LogError> {
        let _one_at_a_time = self.chores.sealing.lock();
        while self.seal_oldest()? {}
        Ok(())
    }

    /// Seals the full segment that has waited longest; `false` if there is none.
    fn seal_oldest(&self) -> Result<bool, LogError> {
        // Asked with the lock held: after a failure nobody may take the segment that could not be
        // synced for one that needs no sync.
        self.check_poison()?;
        let Some((segment, footer)) = self.chores.list().waiting.front().cloned() else {
            return Ok(false);
        };
        self.frontier.wait_stable(footer.end);
        // The last one to let go unmaps what was written through.
        self.frontier.release_idle();
        segment.sync().map_err(|error| self.poison(error))?;
        segment
            .write_footer(&footer)
            .map_err(|error| self.poison(error))?;
        self.turns.raise(footer.end);
        self.chores.list().waiting.pop_front();
        Ok(true)
    }

    /// The spare, if it is large enough for a first record of this need.
    fn take_spare(&self, needed: u64) -> Option<Spare> {
        let mut list = self.chores.list();
        list.spare_wanted = None;
        list.spare.take_if(|spare| spare.capacity() >= needed)
    }

    /// Allocates and prewrites the file of the next segment, if a writer has asked for it.
    ///
    /// A disk without room is no error here: the writer that needs the segment tries again, and
    /// reports it.
    pub(super) fn prepare_spare(&self) {
        let wanted = {
            let mut list = self.chores.list();
            let wanted = list.spare_wanted.take();
            if list.spare.is_some() {
                return;
            }
            wanted
        };
        let Some(capacity) = wanted else { return };
        let has_room = |(free, reserve): (u64, u64)| capacity.saturating_add(reserve) <= free;
        if self.options.min_free_bytes > 0 && !self.free_and_reserve().is_ok_and(has_room) {
            tracing::debug!(path = %self.dir.display(), "no room to prepare the next segment ahead");
            return;
        }
        match Spare::create(&*self.disk, &self.log_dir(), capacity) {
            Ok(spare) => self.chores.list().spare = Some(spare),
            Err(error) => {
                tracing::debug!(%error, "the next segment could not be prepared ahead");
            }
        }
    }

    /// Removes the spare; a file that cannot be removed is removed by the next opening.
    pub(super) fn discard_spare(&self) {
        let mut list = self.chores.list();
        list.spare_wanted = None;
        if let Some(spare) = list.spare.take()
            && let Err(error) = spare.discard(&*self.disk)
        {
            tracing::debug!(%error, "a prepared segment could not be removed");
        }
    }

    /// Does what the background thread would do now. For hosts without threads.
    ///
    /// # Errors
    /// Those of a failed sync; the log takes no more writes then.
    pub fn do_chores(&self) -> Result<(), LogError> {
        loop {
            // First, and between any two segments: a writer that finds no spare has to make one.
            self.prepare_spare();
            let _one_at_a_time = self.chores.sealing.lock();
            if !self.seal_oldest()? {
                return Ok(());
            }
        }
    }
}

/// Replaces the control page atomically and durably.
pub(super) fn write_control(log: &Log, control: &Control) -> Result<(), LogError> {
    replace_file(&*log.disk, &log.dir, CONTROL_FILE, &control.encode())
}

/// Writes `name` in `dir` so that after a crash it holds either its old or its new contents.
pub(crate) fn replace_file(
    disk: &dyn crate::io::Disk,
    dir: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<(), LogError> {
    let path = dir.join(name);
    let draft = dir.join(format!("{name}.new"));
    if disk
        .exists(&draft)
        .map_err(|e| LogError::io("look up", &draft, e))?
    {
        disk.remove_file(&draft)
            .map_err(|e| LogError::io("remove", &draft, e))?;
    }
    let file = disk
        .create(&draft)
        .map_err(|e| LogError::io("create", &draft, e))?;
    file.write_all_at(bytes, 0)
        .map_err(|e| LogError::io("write", &draft, e))?;
    file.sync_data().map_err(|e| LogError::io("sync", &draft, e))?;
    disk.rename(&draft, &path)
        .map_err(|e| LogError::io("rename", &draft, e))?;
    disk.sync_dir(dir).map_err(|e| LogError::io("sync", dir, e))
}
