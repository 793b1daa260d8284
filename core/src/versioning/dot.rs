//! Dots: the name of one write, for ever.
//!
//! In: a node's id, its incarnation, how its store was opened. Out: dots that no other write carries.
//! Must never give one dot to two writes: whoever sees the second would take it for the first and lose it.
//!
//! Source: Preguiça et al., "Dotted Version Vectors", 2010. Sequences run over the whole origin, not per
//! key: a key's own counter would restart after its tombstone is gone, and then swallow new writes.

use std::fmt;

use crate::versioning::bytes::Reader;
use crate::versioning::error::VersionError;

/// Bytes of a dot, as in a record's origin-dot extension.
pub const DOT_BYTES: usize = 24;

/// A server node: `xxh3_64` of its name, as in the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// Life of a node's data. Grows whenever the node cannot prove that it remembers every dot it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u32);

/// One life of one node: what mints dots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor {
    /// The node.
    pub node: NodeId,
    /// Its life.
    pub incarnation: Incarnation,
}

/// The name of one write: who accepted it, in which life, and as which of its writes (from 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Who accepted the write.
    pub actor: Actor,
    /// The actor's writes over all keys, counted from 1.
    pub sequence: u64,
}

impl Dot {
    /// The dot of a node, an incarnation and a sequence.
    #[must_use]
    pub fn new(node: u64, incarnation: u32, sequence: u64) -> Dot {
        Dot {
            actor: Actor {
                node: NodeId(node),
                incarnation: Incarnation(incarnation),
            },
            sequence,
        }
    }

    /// Node (8), incarnation (4), zero (4), sequence (8), little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; DOT_BYTES] {
        let mut bytes = [0; DOT_BYTES];
        bytes[..8].copy_from_slice(&self.actor.node.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.actor.incarnation.0.to_le_bytes());
        bytes[16..].copy_from_slice(&self.sequence.to_le_bytes());
        bytes
    }

    /// Reads the 24 bytes of a dot.
    ///
    /// # Errors
    /// [`VersionError::BadBytes`] for another length, a non-zero reserved field or sequence 0.
    pub fn from_bytes(bytes: &[u8]) -> Result<Dot, VersionError> {
        let mut reader = Reader::new(bytes, "dot");
        let dot = Dot::read(&mut reader)?;
        reader.end()?;
        Ok(dot)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Dot, VersionError> {
        let node = u64::from_le_bytes(reader.array()?);
        let incarnation = u32::from_le_bytes(reader.array()?);
        if reader.array::<4>()? != [0; 4] {
            return Err(reader.bad("reserved bytes of a dot are not zero"));
        }
        match u64::from_le_bytes(reader.array()?) {
            0 => Err(reader.bad("sequence 0 names no write")),
            sequence => Ok(Dot::new(node, incarnation, sequence)),
        }
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Actor { node, incarnation } = self.actor;
        write!(f, "{:016x}.{}:{}", node.0, incarnation.0, self.sequence)
    }
}

/// How a node's data came to be open again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Closed in order: it knows every dot it gave.
    Clean,
    /// Left by a crash: its last dots may have travelled without having been made durable.
    Unclean,
    /// From a backup: it has forgotten the dots it gave since.
    Restored,
    /// Empty again.
    Wiped,
}

/// Where a node takes its dots from. One a node, under the lock that orders its writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DotSource {
    actor: Actor,
    last: u64,
}

impl DotSource {
    /// The source of a new incarnation. The number must come from the recorded membership
    /// ([`crate::versioning::Membership::renew`]), never from the node's own, perhaps restored, files.
    #[must_use]
    pub fn new(actor: Actor) -> DotSource {
        DotSource { actor, last: 0 }
    }

    /// The source after an opening. `last` is the last sequence given; `next_incarnation` is asked for a
    /// number never used by this node, unless the opening was clean.
    #[must_use]
    pub fn reopen(
        actor: Actor,
        last: u64,
        opening: Opening,
        next_incarnation: impl FnOnce() -> Incarnation,
    ) -> DotSource {
        match opening {
            Opening::Clean => DotSource { actor, last },
            Opening::Unclean | Opening::Restored | Opening::Wiped => DotSource::new(Actor {
                incarnation: next_incarnation(),
                ..actor
            }),
        }
    }

    /// Who mints.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// The last sequence given; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// A dot that no write has carried.
    ///
    /// # Errors
    /// [`VersionError::CounterOverflow`] when 64 bits are used up.
    pub fn mint(&mut self) -> Result<Dot, VersionError> {
        self.last = self
            .last
            .checked_add(1)
            .ok_or_else(|| VersionError::CounterOverflow {
                owner: format!("node {:016x}", self.actor.node.0),
            })?;
        Ok(Dot {
            actor: self.actor,
            sequence: self.last,
        })
    }

    /// Checks a dot that arrives from outside.
    ///
    /// # Errors
    /// [`VersionError::OwnDotFromElsewhere`] if it claims to be this actor's and was never minted here.
    pub fn check_foreign(&self, dot: Dot) -> Result<(), VersionError> {
        if dot.actor == self.actor && dot.sequence > self.last {
            return Err(VersionError::OwnDotFromElsewhere { dot, last: self.last });
        }
        Ok(())
    }
}
