//! Identifiers known to every room and knowing none.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Position of a record: bytes of records from the start of the shard's log.
///
/// Segment headers do not count, so replicas may cut their segments differently. A position
/// names a record only together with its [`Epoch`]: after a failover the same positions can be
/// written again by the new primary. Every log begins with an `EPOCH_START` record at 0, so 0 is
/// never the position of a user's record and stands for "no predecessor".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Start of every log.
    pub const ZERO: Lsn = Lsn(0);

    /// The position `bytes` further on.
    ///
    /// # Panics
    /// If the sum exceeds `u64`: no log reaches 16 EiB, so the input was not a real position.
    #[must_use]
    pub fn advance(self, bytes: u64) -> Lsn {
        Lsn(self
            .0
            .checked_add(bytes)
            .expect("a log position stays below 2^64"))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Leadership counter of one shard. Grows by every grant of its lease; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Number of a shard within its cluster. Never reused, also after the shard has been emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(pub u32);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Number of a slot, the unit of moving: `0..slots` of the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotId(pub u32);

/// 128 random bits that name a cluster, a store or a log for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The all-zero identifier: "none".
    pub const NIL: Uuid = Uuid([0; 16]);
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hybrid logical clock stamp: 48 bits of wall-clock milliseconds, 16 bits of counter.
///
/// Orders writes that no cause orders (Kulkarni et al., "Logical Physical Clocks", 2014). Its
/// numeric order is its time order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hlc(pub u64);

impl Hlc {
    /// Before every stamp.
    pub const ZERO: Hlc = Hlc(0);

    /// The stamp of a local event at `wall_ms` after `self`: never smaller than the wall clock,
    /// always larger than `self`, so a clock set back cannot reorder writes of one node.
    #[must_use]
    pub fn tick(self, wall_ms: u64) -> Hlc {
        Hlc((wall_ms << 16).max(self.0.saturating_add(1)))
    }

    /// Wall-clock part in milliseconds since 1970.
    #[must_use]
    pub fn wall_ms(self) -> u64 {
        self.0 >> 16
    }

    /// Counter that orders events within one millisecond.
    #[must_use]
    pub fn counter(self) -> u16 {
        (self.0 & 0xFFFF) as u16
    }
}
