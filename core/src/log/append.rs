//! Reserve under a tiny lock, fill outside it, commit by one store.
//!
//! In: record parts. Out: a position, and a guard that keeps the record "in flight" until its
//! caller has indexed it. Under the lock nothing is copied, hashed or called back; only a full
//! segment makes it long (seal, create). There is no in-order publish: a writer never waits for a
//! neighbour, and a writer that dies in mid-copy leaves padding, not a hole that hides what
//! others have already acknowledged.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::format::{self, RECORD_HEADER_BYTES, RecordKind, RecordParts};
use super::header::{Chain, PAGE_BYTES, SegmentFooter, SegmentHeader, StoreState};
use super::in_flight::InFlightSlot;
use super::payload::EpochStart;
use super::read::LogChunk;
use super::segment::{MAX_SEGMENT_BYTES, Segment};
use super::{AppendState, CONTROL_FILE, Log, LogError, SegmentList};
use crate::ids::{Epoch, Hlc, Lsn};
use std::sync::atomic::Ordering;

/// A committed record (or batch) that is still in flight: drop it once it is indexed.
///
/// Never append again while holding one: sealing a full segment waits for every record in flight.
#[derive(Debug)]
pub struct Appended<'a> {
    /// Position of the record, or of the first member of a batch.
    pub lsn: Lsn,
    /// Position after it.
    pub end: Lsn,
    /// Epoch it was written under.
    pub epoch: Epoch,
    /// Segment that holds it.
    pub segment: Arc<Segment>,
    _in_flight: InFlightSlot<'a>,
}

/// Space of one writer, not yet committed. Dropping it turns the space into padding.
struct Reservation<'a> {
    log: &'a Log,
    segment: Arc<Segment>,
    lsn: Lsn,
    hlc: Hlc,
    epoch: Epoch,
    size: usize,
    slot: Option<InFlightSlot<'a>>,
}

impl<'a> Reservation<'a> {
    fn committed(mut self, first: Lsn) -> Appended<'a> {
        let slot = self
            .slot
            .take()
            .expect("a reservation holds its slot until it is committed");
        Appended {
            lsn: first,
            end: self.lsn.advance(self.size as u64),
            epoch: self.epoch,
            segment: Arc::clone(&self.segment),
            _in_flight: slot,
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.slot.is_some()
            && let Err(error) = self.segment.fill_pad(self.lsn, self.size)
        {
            self.log.poison(error);
        }
    }
}

impl Log {
    /// Appends one record: visible to readers of the log on return, durable after a sync.
    ///
    /// # Errors
    /// [`LogError::TooLarge`], [`LogError::NotPrimary`], [`LogError::DiskFull`] and
    /// [`LogError::Poisoned`]; nothing is recorded then.
    pub fn append(&self, parts: &RecordParts<'_>) -> Result<Appended<'_>, LogError> {
        self.append_with(parts, None)
    }

    /// Appends a record; a GROUP record moves the chain in the same critical section, so that a
    /// footer written right afterwards knows the step.
    pub(super) fn append_with(
        &self,
        parts: &RecordParts<'_>,
        chain: Option<Chain>,
    ) -> Result<Appended<'_>, LogError> {
        let size = parts
            .size()
            .map_err(|(what, len, max)| LogError::TooLarge { what, len, max })?;
        let reservation = self.reserve(size, chain)?;
        self.fill(reservation, parts)
    }

    fn fill<'a>(
        &'a self,
        reservation: Reservation<'a>,
        parts: &RecordParts<'_>,
    ) -> Result<Appended<'a>, LogError> {
        let size = reservation.size;
        let hlc = parts.hlc.unwrap_or(reservation.hlc);
        reservation
            .segment
            .fill_record(parts, size, reservation.lsn, hlc)
            .map_err(|error| self.poison(error))?;
        let lsn = reservation.lsn;
        Ok(reservation.committed(lsn))
    }

    /// Appends several records under one commit word: all of them count, or none. The position
    /// returned is that of the first member; member `i` stands where [`Log::batch_layout`] says.
    ///
    /// # Errors
    /// As for [`Log::append`]; [`LogError::TooLarge`] also when the sum exceeds a segment.
    pub fn append_batch(&self, members: &[RecordParts<'_>]) -> Result<Appended<'_>, LogError> {
        let (_, total) = Log::batch_layout(members)?;
        let size = RECORD_HEADER_BYTES + total;
        let reservation = self.reserve(size, None)?;
        let seed = reservation.segment.seed();
        let mut bytes = vec![0u8; RECORD_HEADER_BYTES];
        bytes.reserve_exact(total);
        for member in members {
            let lsn = reservation.lsn.advance(bytes.len() as u64);
            let member_size = member.size().expect("measured by batch_layout");
            member.encode_into(
                seed,
                member_size,
                lsn,
                member.hlc.unwrap_or(reservation.hlc),
                &mut bytes,
            );
        }
        let header = format::batch_header(
            seed,
            &bytes[RECORD_HEADER_BYTES..],
            reservation.lsn,
            reservation.hlc,
        );
        bytes[..RECORD_HEADER_BYTES].copy_from_slice(&header);
        reservation
            .segment
            .fill_bytes(&bytes, reservation.lsn)
            .map_err(|error| self.poison(error))?;
        let first = reservation.lsn.advance(RECORD_HEADER_BYTES as u64);
        Ok(reservation.committed(first))
    }

    /// Offset of each member from the first one, and their sum.
    ///
    /// # Errors
    /// [`LogError::TooLarge`].
    pub fn batch_layout(members: &[RecordParts<'_>]) -> Result<(Vec<u64>, usize), LogError> {
        let mut offsets = Vec::with_capacity(members.len());
        let mut total = 0usize;
        for member in members {
            offsets.push(total as u64);
            total += member
                .size()
                .map_err(|(what, len, max)| LogError::TooLarge { what, len, max })?;
        }
        let max = format::MAX_VALUE_BYTES;
        if total > max {
            return Err(LogError::TooLarge {
                what: "batch",
                len: total,
                max,
            });
        }
        Ok((offsets, total))
    }

    fn reserve(&self, size: usize, chain: Option<Chain>) -> Result<Reservation<'_>, LogError> {
        self.check_poison()?;
        // Claimed and read before the lock: neither belongs into the critical section.
        let slot = self.in_flight.claim();
        let wall_ms = self.env.clock.wall_ms();
        self.reserve_in(self.append.lock(), slot, wall_ms, size, chain)
    }

    /// Reserves under a lock taken before, and lets it go.
    fn reserve_in<'a>(
        &'a self,
        mut state: MutexGuard<'a, AppendState>,
        slot: InFlightSlot<'a>,
        wall_ms: u64,
        size: usize,
        chain: Option<Chain>,
    ) -> Result<Reservation<'a>, LogError> {
        if !state.leader {
            return Err(LogError::NotPrimary {
                path: self.dir.clone(),
            });
        }
        let segment = self.segment_for(&mut state, size)?;
        let lsn = state.tail;
        let hlc = state.hlc.tick(wall_ms);
        segment
            .mark_reserved(lsn, size)
            .map_err(|error| self.poison(error))?;
        slot.publish(lsn);
        state.hlc = hlc;
        state.records += 1;
        state.chain = chain.unwrap_or(state.chain);
        self.move_tail(&mut state, lsn.advance(size as u64));
        let epoch = state.epoch;
        drop(state);
        Ok(Reservation {
            log: self,
            segment,
            lsn,
            hlc,
            epoch,
            size,
            slot: Some(slot),
        })
    }

    fn move_tail(&self, state: &mut AppendState, tail: Lsn) {
        state.tail = tail;
        // Pairs with the Acquire in `Log::tail`: whoever sees the new tail sees the slot published
        // before it.
        self.tail.store(tail.0, Ordering::Release);
    }

    /// The active segment if `size` bytes fit, else a new one.
    fn segment_for(&self, state: &mut AppendState, size: usize) -> Result<Arc<Segment>, LogError> {
        if let Some(active) = &state.active
            && state.marked_open
            && state.tail.0 + size as u64 <= active.limit().0
        {
            return Ok(Arc::clone(active));
        }
        self.mark_open_locked(state)?;
        match &state.active {
            Some(active) if state.tail.0 + size as u64 <= active.limit().0 => Ok(Arc::clone(active)),
            Some(active) => {
                let follower = active.header().follower;
                self.start_segment(state, size, follower)
            }
            None => {
                let follower = !state.leader;
                self.start_segment(state, size, follower)
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
        control.open_generation += 1;
        control.boot_id = self.disk.boot_id();
        control.durable = self.durable();
        write_control(self, &control)?;
        state.control = control;
        state.marked_open = true;
        Ok(())
    }

    /// Creates the next segment, then seals the one before. In this order a full disk changes
    /// nothing.
    pub(super) fn start_segment(
        &self,
        state: &mut AppendState,
        size: usize,
        follower: bool,
    ) -> Result<Arc<Segment>, LogError> {
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
        let needed = (size + 2 * PAGE_BYTES).next_multiple_of(PAGE_BYTES) as u64;
        let capacity = state.next_capacity.max(needed);
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
        let created = Segment::create(&*self.disk, &self.log_dir(), header, self.map_writes);
        let segment =
            Arc::new(created.map_err(|(error, left)| if left { self.poison(error) } else { error })?);
        state.next_number += 1;
        if let Some(active) = state.active.take() {
            self.seal(state, &active)?;
        }
        let mut all = self.segments.load().all.clone();
        all.push(Arc::clone(&segment));
        self.segments.store(Arc::new(SegmentList { all }));
        state.active = Some(Arc::clone(&segment));
        state.next_capacity = (state.next_capacity * 2).min(self.options.segment_max_bytes);
        Ok(segment)
    }

    /// Makes a segment durable and writes its footer.
    fn seal(&self, state: &AppendState, segment: &Segment) -> Result<(), LogError> {
        self.wait_stable(state.tail);
        segment.sync().map_err(|error| self.poison(error))?;
        let footer = SegmentFooter {
            number: segment.header().number,
            end: state.tail,
            records: state.records,
            hlc: state.hlc,
            chain: state.chain,
        };
        segment
            .write_footer(&footer)
            .map_err(|error| self.poison(error))?;
        segment.set_end(state.tail);
        self.durable.fetch_max(state.tail.0, Ordering::AcqRel);
        Ok(())
    }

    /// Makes this replica the writer: a new segment whose first record says so.
    ///
    /// # Errors
    /// [`LogError::StaleEpoch`] unless `epoch` is newer than every epoch of this log.
    pub fn begin_epoch(&self, epoch: Epoch, holder: u64, incarnation: u32) -> Result<Appended<'_>, LogError> {
        self.check_poison()?;
        let slot = self.in_flight.claim();
        let wall_ms = self.env.clock.wall_ms();
        let mut state = self.append.lock();
        if epoch <= state.epoch {
            return Err(LogError::StaleEpoch {
                ours: state.epoch,
                theirs: epoch,
            });
        }
        self.mark_open_locked(&mut state)?;
        let previous = std::mem::replace(&mut state.epoch, epoch);
        state.control.epoch = epoch;
        let size = RECORD_HEADER_BYTES + 32;
        if let Err(error) = self.start_segment(&mut state, size, false) {
            state.epoch = previous;
            state.control.epoch = previous;
            return Err(error);
        }
        state.leader = true;
        let value = EpochStart {
            epoch,
            previous,
            holder,
            incarnation,
        }
        .encode();
        let parts = RecordParts::new(RecordKind::EpochStart, &[], &value, Lsn::ZERO);
        // Under the same lock: no other record may come first, least of all at position 0, which
        // stands for "no predecessor".
        let reservation = self.reserve_in(state, slot, wall_ms, size, None)?;
        self.fill(reservation, &parts)
    }

    /// Goes on writing in the epoch the log ends with, after a clean close by the same holder.
    ///
    /// # Errors
    /// [`LogError::StaleEpoch`] when the log ends in another epoch, [`LogError::NotPrimary`] when
    /// its end was received from a primary or was not closed cleanly.
    pub fn resume_epoch(&self, epoch: Epoch) -> Result<(), LogError> {
        let mut state = self.append.lock();
        if epoch != state.epoch {
            return Err(LogError::StaleEpoch {
                ours: state.epoch,
                theirs: epoch,
            });
        }
        match &state.active {
            Some(active) if !active.header().follower => {
                state.leader = true;
                Ok(())
            }
            _ => Err(LogError::NotPrimary {
                path: self.dir.clone(),
            }),
        }
    }

    /// Stops taking own records: another replica leads.
    pub fn step_down(&self) {
        self.append.lock().leader = false;
    }

    /// Whether own records may be appended.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.append.lock().leader
    }

    /// Appends a primary's records as they are. `index` is called on each record before the tail
    /// moves, so readers never see an unindexed one. Not synced.
    ///
    /// # Errors
    /// [`LogError::Gap`] unless the chunk starts at the tail, [`LogError::StaleEpoch`] when it
    /// comes from an older leadership or this replica leads the same one, [`LogError::Corrupt`]
    /// (naming the source) when a checksum does not fit; nothing is appended then.
    pub fn apply<E: From<LogError>>(
        &self,
        chunk: &LogChunk,
        mut index: impl FnMut(&Arc<Segment>, Lsn, Lsn) -> Result<(), E>,
    ) -> Result<Lsn, E> {
        self.check_poison()?;
        let mut state = self.append.lock();
        if chunk.epoch < state.epoch || (chunk.epoch == state.epoch && state.leader) {
            return Err(LogError::StaleEpoch {
                ours: state.epoch,
                theirs: chunk.epoch,
            }
            .into());
        }
        if chunk.from != state.tail {
            return Err(LogError::Gap {
                expected: state.tail,
                found: chunk.from,
            }
            .into());
        }
        if chunk.bytes.is_empty() {
            return Ok(state.tail);
        }
        let records = chunk.check(&self.options.identity)?;
        state.leader = false;
        self.mark_open_locked(&mut state)?;
        let previous = std::mem::replace(&mut state.epoch, chunk.epoch);
        // A segment that once took own records, or another epoch's, ends here.
        if (previous != chunk.epoch
            || state
                .active
                .as_ref()
                .is_none_or(|active| !active.header().follower))
            && let Err(error) = self.start_segment(&mut state, records[0].size, true)
        {
            state.epoch = previous;
            return Err(error.into());
        }
        state.control.epoch = chunk.epoch;
        let mut rest = &chunk.bytes[..];
        let mut next = 0;
        while next < records.len() {
            let segment = self.segment_for(&mut state, records[next].size)?;
            let from = state.tail;
            let mut bytes = 0usize;
            let first = next;
            while next < records.len() && from.0 + (bytes + records[next].size) as u64 <= segment.limit().0 {
                bytes += records[next].size;
                next += 1;
            }
            let (span, after) = rest.split_at(bytes);
            rest = after;
            segment
                .write_records(span, from)
                .map_err(|error| self.poison(error))?;
            let end = from.advance(bytes as u64);
            index(&segment, from, end)?;
            for record in &records[first..next] {
                state.hlc = state.hlc.max(record.hlc);
                state.records += 1;
                if let Some(chain) = record.chain {
                    state.chain = chain;
                }
            }
            self.move_tail(&mut state, end);
        }
        Ok(state.tail)
    }

    /// Raises the clock so that later stamps are above `hlc`.
    pub fn observe(&self, hlc: Hlc) {
        let mut state = self.append.lock();
        state.hlc = state.hlc.max(hlc);
    }

    /// Makes everything durable and records that nothing is missing.
    ///
    /// # Errors
    /// Whatever the disk says; the next opening is then an unclean one.
    pub fn close(&self) -> Result<(), LogError> {
        self.check_poison()?;
        if !self.append.lock().marked_open {
            return Ok(());
        }
        self.sync()?;
        let mut state = self.append.lock();
        let mut control = state.control.clone();
        control.state = StoreState::Clean;
        control.tail = state.tail;
        control.durable = self.durable();
        control.epoch = state.epoch;
        control.hlc = state.hlc;
        control.chain = state.chain;
        control.records = state.records;
        write_control(self, &control)?;
        state.control = control;
        state.marked_open = false;
        // A closed log must not be written to, or the page just written would lie.
        state.leader = false;
        Ok(())
    }

    pub(super) fn append_state(&self) -> MutexGuard<'_, AppendState> {
        self.append.lock()
    }
}

/// Replaces the control page atomically and durably.
pub(super) fn write_control(log: &Log, control: &super::header::Control) -> Result<(), LogError> {
    replace_file(&*log.disk, &log.dir, CONTROL_FILE, &control.encode())
}

/// Writes `name` in `dir` so that after a crash it holds either its old or its new contents.
pub(super) fn replace_file(
    disk: &dyn crate::io::Disk,
    dir: &std::path::Path,
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
