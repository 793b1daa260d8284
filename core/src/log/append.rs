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
use super::header::{Chain, StoreState};
use super::in_flight::InFlightSlot;
use super::payload::EpochStart;
use super::read::LogChunk;
use super::rotate::Room;
use super::rotate::write_control;
use super::segment::Segment;
use super::writer::SegmentWriter;
use super::{AppendState, Log, LogError};
use crate::ids::{Epoch, Hlc, Lsn};

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
    in_flight: InFlightSlot<'a, SegmentWriter>,
}

impl Appended<'_> {
    /// Segment that holds it.
    #[must_use]
    pub fn segment(&self) -> &Segment {
        self.in_flight.target().segment()
    }
}

/// Space of one writer, not yet committed. Dropping it turns the space into padding.
struct Reservation<'a> {
    log: &'a Log,
    lsn: Lsn,
    hlc: Hlc,
    epoch: Epoch,
    size: usize,
    slot: Option<InFlightSlot<'a, SegmentWriter>>,
}

impl<'a> Reservation<'a> {
    fn writer(&self) -> &SegmentWriter {
        self.slot
            .as_ref()
            .expect("a reservation holds its slot until it is committed")
            .target()
    }

    fn committed(mut self, first: Lsn) -> Appended<'a> {
        let slot = self
            .slot
            .take()
            .expect("a reservation holds its slot until it is committed");
        Appended {
            lsn: first,
            end: self.lsn.advance(self.size as u64),
            epoch: self.epoch,
            in_flight: slot,
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot
            && let Err(error) = slot.target().fill_pad(self.lsn, self.size)
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
            .writer()
            .fill_record(parts, size, reservation.lsn, hlc)
            .map_err(|error| self.poison(error))?;
        let lsn = reservation.lsn;
        Ok(reservation.committed(lsn))
    }

    /// Appends several records under one commit word: all of them count, or none. `sizes` come from
    /// [`Log::batch_sizes`]. The position returned is that of the first member; the others follow it without
    /// a gap.
    ///
    /// # Errors
    /// As for [`Log::append`].
    pub fn append_batch(
        &self,
        members: &[RecordParts<'_>],
        sizes: &[usize],
    ) -> Result<Appended<'_>, LogError> {
        let size = RECORD_HEADER_BYTES + sizes.iter().sum::<usize>();
        let reservation = self.reserve(size, None)?;
        let seed = reservation.writer().segment().seed();
        let mut bytes = Vec::with_capacity(size);
        bytes.resize(RECORD_HEADER_BYTES, 0);
        for (member, member_size) in members.iter().zip(sizes) {
            let lsn = reservation.lsn.advance(bytes.len() as u64);
            let hlc = member.hlc.unwrap_or(reservation.hlc);
            member.encode_into(seed, *member_size, lsn, hlc, &mut bytes);
        }
        let header = format::batch_header(
            seed,
            &bytes[RECORD_HEADER_BYTES..],
            reservation.lsn,
            reservation.hlc,
        );
        bytes[..RECORD_HEADER_BYTES].copy_from_slice(&header);
        reservation
            .writer()
            .fill_bytes(&bytes, reservation.lsn)
            .map_err(|error| self.poison(error))?;
        let first = reservation.lsn.advance(RECORD_HEADER_BYTES as u64);
        Ok(reservation.committed(first))
    }

    /// Bytes that each member takes.
    ///
    /// # Errors
    /// [`LogError::TooLarge`] for a member, or for all of them together.
    pub fn batch_sizes(members: &[RecordParts<'_>]) -> Result<Vec<usize>, LogError> {
        let too_large = |(what, len, max)| LogError::TooLarge { what, len, max };
        let sizes = (members.iter().map(RecordParts::size))
            .collect::<Result<Vec<_>, _>>()
            .map_err(too_large)?;
        let total = sizes.iter().sum();
        if total > format::MAX_VALUE_BYTES {
            return Err(too_large(("batch", total, format::MAX_VALUE_BYTES)));
        }
        Ok(sizes)
    }

    fn reserve(&self, size: usize, chain: Option<Chain>) -> Result<Reservation<'_>, LogError> {
        self.check_poison()?;
        // Claimed and read before the lock: neither belongs into the critical section.
        let slot = self.frontier.claim();
        let wall_ms = self.env.clock.wall_ms();
        self.reserve_in(self.append.lock(), slot, wall_ms, size, chain)
    }

    /// Reserves under a lock taken before, and lets it go.
    fn reserve_in<'a>(
        &'a self,
        mut state: MutexGuard<'a, AppendState>,
        mut slot: InFlightSlot<'a, SegmentWriter>,
        wall_ms: u64,
        size: usize,
        chain: Option<Chain>,
    ) -> Result<Reservation<'a>, LogError> {
        if !state.leader {
            return Err(LogError::NotPrimary {
                path: self.dir.clone(),
            });
        }
        self.make_room(&mut state, size)?;
        let fields = &mut *state;
        let active = fields.active.as_ref().expect("there is room in it");
        let lsn = fields.tail;
        let hlc = fields.hlc.tick(wall_ms);
        active
            .mark_reserved(lsn, size)
            .map_err(|error| self.poison(error))?;
        slot.publish(lsn, active);
        fields.hlc = hlc;
        fields.records = fields.records.wrapping_add(1);
        fields.chain = chain.unwrap_or(fields.chain);
        self.move_tail(fields, lsn.advance(size as u64));
        let epoch = state.epoch;
        drop(state);
        Ok(Reservation {
            log: self,
            lsn,
            hlc,
            epoch,
            size,
            slot: Some(slot),
        })
    }

    fn move_tail(&self, state: &mut AppendState, tail: Lsn) {
        state.tail = tail;
        self.frontier.move_tail(tail);
    }

    /// Makes this replica the writer: a new segment whose first record says so.
    ///
    /// # Errors
    /// [`LogError::StaleEpoch`] unless `epoch` is newer than every epoch of this log.
    pub fn begin_epoch(&self, epoch: Epoch, holder: u64, incarnation: u32) -> Result<Appended<'_>, LogError> {
        self.check_poison()?;
        let slot = self.frontier.claim();
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
        if let Err(error) = self.start_segment(&mut state, size, false, Room::Reserve) {
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
            Some(active) if !active.segment().header().follower => {
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
                .is_none_or(|active| !active.segment().header().follower))
            && let Err(error) = self.start_segment(&mut state, records[0].size, true, Room::Ordinary)
        {
            state.epoch = previous;
            return Err(error.into());
        }
        state.control.epoch = chunk.epoch;
        let mut rest = &chunk.bytes[..];
        let mut next = 0;
        while next < records.len() {
            self.make_room(&mut state, records[next].size)?;
            let active = state.active.as_ref().expect("there is room in it");
            let segment = Arc::clone(active.segment());
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
                state.records = state.records.wrapping_add(1);
                if let Some(chain) = record.chain {
                    state.chain = chain;
                }
            }
            self.move_tail(&mut state, end);
        }
        Ok(state.tail)
    }

    /// A stamp above every one given so far.
    pub(crate) fn stamp(&self) -> Hlc {
        let wall_ms = self.env.clock.wall_ms();
        let mut state = self.append.lock();
        state.hlc = state.hlc.tick(wall_ms);
        state.hlc
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
        self.seal_waiting()?;
        self.discard_spare();
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
        state.room_until = Lsn::ZERO;
        // A closed log must not be written to, or the page just written would lie.
        state.leader = false;
        Ok(())
    }

    pub(super) fn append_state(&self) -> MutexGuard<'_, AppendState> {
        self.append.lock()
    }
}
