//! `lww`: the last writer wins, by stamp, then by the **lower** node id.
//!
//! Applied among concurrent siblings only: a causal successor wins whatever the clocks say.

use std::cmp::Reverse;

use crate::ids::Hlc;
use crate::versioning::dot::{Dot, Incarnation, NodeId};
use crate::versioning::error::VersionError;
use crate::versioning::resolve::{Outcome, Resolver, winner};
use crate::versioning::siblings::Version;

/// Higher wins; different writes never tie.
pub type Rank = (Hlc, Reverse<NodeId>, Incarnation, u64);

/// Place of a version in the total order of `lww`.
#[must_use]
pub fn rank(version: &Version) -> Rank {
    rank_of(version.stamp, version.dot)
}

pub(super) fn rank_of(stamp: Hlc, dot: Dot) -> Rank {
    (
        stamp,
        Reverse(dot.actor.node),
        dot.actor.incarnation,
        dot.sequence,
    )
}

/// The rule `lww`.
#[derive(Clone, Copy, Debug)]
pub struct Lww;

impl Resolver for Lww {
    fn name(&self) -> &str {
        "lww"
    }

    fn resolve(&self, _key: &[u8], versions: &[Version]) -> Result<Outcome, VersionError> {
        Ok(winner(versions, rank))
    }
}
