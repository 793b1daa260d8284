//! Everything that can go wrong in the versioning room, with the facts as fields.
//!
//! Goes out to callers, who branch on variants and never on text.

use crate::versioning::dot::Dot;

/// Why a clock, a stamp, a sibling set or a resolver refused its input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// A node name that no clock may hold.
    #[error("bad node name {name:?}: {reason}")]
    BadNodeName {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A counter has used all of its 64 bits.
    #[error("the counter of {owner} has reached {max}: give the node a new name or incarnation", max = u64::MAX)]
    CounterOverflow {
        /// Whose counter.
        owner: String,
    },
    /// Entries may not be removed from a vector clock.
    #[error(
        "a vector clock cannot forget node {node:?}: without its entry, versions that came before would look \
         concurrent or new; build clocks over nodes, not clients, and retire a node in the membership"
    )]
    PruneRefused {
        /// The node that was to be forgotten.
        node: String,
    },
    /// Text that is not what it should be.
    #[error("not a {what}: {reason}")]
    BadText {
        /// What was expected, with an example.
        what: &'static str,
        /// What is wrong, and where.
        reason: String,
    },
    /// Bytes that are not what they should be.
    #[error("damaged {what}: {reason} at byte {offset}")]
    BadBytes {
        /// What was expected.
        what: &'static str,
        /// What is wrong.
        reason: &'static str,
        /// Where, from the start of the bytes given.
        offset: usize,
    },
    /// A wall clock outside the 48 bits of a stamp.
    #[error("wall clock of {wall_ms} ms since 1970 does not fit a stamp (48 bits, until the year 10889)")]
    WallClockRange {
        /// Milliseconds since 1970.
        wall_ms: u64,
    },
    /// No stamp is left above the last one.
    #[error("the hybrid clock has used its last stamp")]
    ClockExhausted,
    /// A configuration that would quarantine its own node's stamps.
    #[error(
        "{reserve_ms} ms reserved ahead is not below the skew bound of {skew_ms} ms: peers would quarantine stamps after a restart"
    )]
    BadClockBounds {
        /// Milliseconds persisted ahead.
        reserve_ms: u64,
        /// Largest accepted skew in milliseconds.
        skew_ms: u64,
    },
    /// Two different writes carry the same dot.
    #[error("dot {dot} names two different writes: a node has reused an incarnation; give it a new one")]
    ReusedDot {
        /// The dot.
        dot: Dot,
    },
    /// A dot of this very incarnation that it has not minted.
    #[error(
        "dot {dot} is this node's own but was never minted here ({last} was the last): the node was restored or wiped; give it a new incarnation"
    )]
    OwnDotFromElsewhere {
        /// The dot.
        dot: Dot,
        /// Last sequence minted here.
        last: u64,
    },
    /// A local write whose dot this set has already seen.
    #[error("dot {dot} is not new to this key")]
    StaleDot {
        /// The dot.
        dot: Dot,
    },
    /// A write stamped no later than what it replaces.
    #[error(
        "stamp {stamp:#018x} is not after {replaced:#018x}, which the write replaces: let the hybrid clock observe what it reads"
    )]
    StampNotAfter {
        /// The write's stamp.
        stamp: u64,
        /// Stamp of the replaced version.
        replaced: u64,
    },
    /// A write of an incarnation that does not belong to the membership any more.
    #[error("dot {dot} is refused: {reason}")]
    RefusedDot {
        /// The dot.
        dot: Dot,
        /// Why.
        reason: &'static str,
    },
    /// A node that the membership does not hold, or holds already.
    #[error("node {node:016x}: {reason}")]
    BadMember {
        /// The node's id.
        node: u64,
        /// Why.
        reason: &'static str,
    },
    /// No resolver has this name.
    #[error("no resolver named {name:?}; known are {known}")]
    UnknownResolver {
        /// The name as given.
        name: String,
        /// The names there are.
        known: &'static str,
    },
    /// A rule could not be applied; the siblings stay as they are.
    #[error("resolver {rule} cannot merge: {reason}; the siblings stay stored")]
    Unresolvable {
        /// Name of the rule.
        rule: String,
        /// Why, naming the version.
        reason: String,
    },
}
