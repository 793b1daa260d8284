//! Values of the log's own records: GROUP, EPOCH_START, INGEST, SLOT_FROZEN, SLOT_OWNED.
//!
//! In: facts. Out: little-endian bytes of fixed layout, and back. Decoding arbitrary bytes gives
//! `RecordError::Malformed`, never a panic and never an allocation larger than the input.

use super::format::RecordError;
use crate::ids::{Epoch, Lsn, ShardId, SlotId};

/// Cursor over untrusted bytes.
struct Take<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Take<'a> {
    fn new(rest: &'a [u8], what: &'static str) -> Take<'a> {
        Take { rest, what }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(RecordError::Malformed(self.what))?;
        self.rest = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, RecordError> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, RecordError> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn slots(&mut self, count: u32) -> Result<Vec<SlotId>, RecordError> {
        if self.rest.len() != count as usize * 4 {
            return Err(RecordError::Malformed(self.what));
        }
        (0..count).map(|_| self.u32().map(SlotId)).collect()
    }

    fn end(self) -> Result<(), RecordError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(RecordError::Malformed(self.what))
        }
    }
}

/// Checkpoint that the primary leaves in the log before each sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Everything below was durable on the primary when this was written.
    pub durable: Lsn,
    /// Wall clock in milliseconds since 1970.
    pub wall_ms: u64,
    /// The chain covers the records below this position.
    pub chain_through: Lsn,
    /// `xxh3_128(previous chain, record bytes since)`; replicas of one log agree on it.
    pub chain: [u8; 16],
}

impl Group {
    /// 40 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; 40] {
        let mut out = [0u8; 40];
        out[0..8].copy_from_slice(&self.durable.0.to_le_bytes());
        out[8..16].copy_from_slice(&self.wall_ms.to_le_bytes());
        out[16..24].copy_from_slice(&self.chain_through.0.to_le_bytes());
        out[24..40].copy_from_slice(&self.chain);
        out
    }

    /// Inverse of [`Group::encode`].
    ///
    /// # Errors
    /// [`RecordError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Group, RecordError> {
        let mut take = Take::new(bytes, "GROUP record");
        let group = Group {
            durable: Lsn(take.u64()?),
            wall_ms: take.u64()?,
            chain_through: Lsn(take.u64()?),
            chain: take.bytes()?,
        };
        take.end()?;
        Ok(group)
    }
}

/// Tables have joined the store without passing through the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// Random name of the load; zeros where the record was made up for after a crash.
    pub load: [u8; 16],
    /// xxh3_128 of its pairs; zeros likewise.
    pub content: [u8; 16],
    /// Entries of its tables.
    pub entries: u64,
}

impl Ingest {
    /// 40 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; 40] {
        let mut out = [0u8; 40];
        out[0..16].copy_from_slice(&self.load);
        out[16..32].copy_from_slice(&self.content);
        out[32..40].copy_from_slice(&self.entries.to_le_bytes());
        out
    }

    /// Inverse of [`Ingest::encode`].
    ///
    /// # Errors
    /// [`RecordError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Ingest, RecordError> {
        let mut take = Take::new(bytes, "INGEST record");
        let ingest = Ingest {
            load: take.bytes()?,
            content: take.bytes()?,
            entries: take.u64()?,
        };
        take.end()?;
        Ok(ingest)
    }
}

/// First record of a leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The leadership that starts.
    pub epoch: Epoch,
    /// Epoch of the record before.
    pub previous: Epoch,
    /// Node that leads.
    pub holder: u64,
    /// Life of that node's replica.
    pub incarnation: u32,
}

impl EpochStart {
    /// 32 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; 32] {
        let mut out = [0u8; 32];
        out[0..8].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[8..16].copy_from_slice(&self.previous.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.holder.to_le_bytes());
        out[24..28].copy_from_slice(&self.incarnation.to_le_bytes());
        out
    }

    /// Inverse of [`EpochStart::encode`].
    ///
    /// # Errors
    /// [`RecordError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<EpochStart, RecordError> {
        let mut take = Take::new(bytes, "EPOCH_START record");
        let start = EpochStart {
            epoch: Epoch(take.u64()?),
            previous: Epoch(take.u64()?),
            holder: take.u64()?,
            incarnation: take.u32()?,
        };
        let _reserved = take.u32()?;
        take.end()?;
        Ok(start)
    }
}

/// The source of a hand-over takes no more writes for these slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotsFrozen {
    /// Slots that leave.
    pub slots: Vec<SlotId>,
    /// Topology version the freeze was decided under; void once that version has passed without
    /// the move.
    pub topology_version: u64,
    /// Epoch of the mover's lease.
    pub mover_epoch: u64,
    /// Shard that takes over.
    pub target: ShardId,
}

impl SlotsFrozen {
    /// 24 bytes and 4 for each slot.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + self.slots.len() * 4);
        out.extend_from_slice(&self.topology_version.to_le_bytes());
        out.extend_from_slice(&self.mover_epoch.to_le_bytes());
        out.extend_from_slice(&self.target.0.to_le_bytes());
        out.extend_from_slice(&(self.slots.len() as u32).to_le_bytes());
        self.slots
            .iter()
            .for_each(|slot| out.extend_from_slice(&slot.0.to_le_bytes()));
        out
    }

    /// Inverse of [`SlotsFrozen::encode`].
    ///
    /// # Errors
    /// [`RecordError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<SlotsFrozen, RecordError> {
        let mut take = Take::new(bytes, "SLOT_FROZEN record");
        let topology_version = take.u64()?;
        let mover_epoch = take.u64()?;
        let target = ShardId(take.u32()?);
        let count = take.u32()?;
        Ok(SlotsFrozen {
            slots: take.slots(count)?,
            topology_version,
            mover_epoch,
            target,
        })
    }
}

/// The target of a hand-over holds everything the source had at its freeze.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotsOwned {
    /// Slots that arrived.
    pub slots: Vec<SlotId>,
    /// Shard they came from.
    pub source: ShardId,
    /// Epoch of the source when it froze.
    pub source_epoch: Epoch,
    /// Position of the `SLOT_FROZEN` record's end in the source's log: a token of the source up
    /// to there is satisfied by this record's position here.
    pub freeze: Lsn,
    /// Versions of these slots below this position of the target's log are leftovers of an
    /// earlier stay and must not be seen.
    pub floor: Lsn,
    /// Topology version the hand-over was decided under.
    pub topology_version: u64,
}

impl SlotsOwned {
    /// 40 bytes and 4 for each slot.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40 + self.slots.len() * 4);
        out.extend_from_slice(&self.source.0.to_le_bytes());
        out.extend_from_slice(&(self.slots.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.source_epoch.0.to_le_bytes());
        out.extend_from_slice(&self.freeze.0.to_le_bytes());
        out.extend_from_slice(&self.floor.0.to_le_bytes());
        out.extend_from_slice(&self.topology_version.to_le_bytes());
        self.slots
            .iter()
            .for_each(|slot| out.extend_from_slice(&slot.0.to_le_bytes()));
        out
    }

    /// Inverse of [`SlotsOwned::encode`].
    ///
    /// # Errors
    /// [`RecordError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<SlotsOwned, RecordError> {
        let mut take = Take::new(bytes, "SLOT_OWNED record");
        let source = ShardId(take.u32()?);
        let count = take.u32()?;
        let source_epoch = Epoch(take.u64()?);
        let freeze = Lsn(take.u64()?);
        let floor = Lsn(take.u64()?);
        let topology_version = take.u64()?;
        Ok(SlotsOwned {
            slots: take.slots(count)?,
            source,
            source_epoch,
            freeze,
            floor,
            topology_version,
        })
    }
}
