//! What a topology is made of: members, shards, how keys map to slots, and what is missing.
//!
//! Plain values with public fields; [`Topology`] checks how they fit together.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

#[cfg(doc)]
use super::Topology;
use crate::ids::ShardId;
use crate::routing::node::NodeSpec;
use crate::routing::range::Domain;

/// Whether a member may hold data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// Holds its share.
    Active,
    /// On its way out: still serves what it has, gains nothing.
    Draining,
    /// Holds nothing; kept because members are named by position.
    Removed,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Unique name.
    pub name: String,
    /// `xxh3_64(name)`; two names with one id are refused.
    pub id: u64,
    /// Share relative to the other members.
    pub weight: u32,
    /// Failure domain.
    pub zone: Option<String>,
    /// Smaller failure domain within the zone.
    pub rack: Option<String>,
    /// Whether it may hold data.
    pub state: MemberState,
}

impl Member {
    pub(crate) fn new(spec: &NodeSpec) -> Member {
        Member {
            name: spec.name.clone(),
            id: xxh3_64(spec.name.as_bytes()),
            weight: spec.weight,
            zone: spec.zone.clone(),
            rack: spec.rack.clone(),
            state: MemberState::Active,
        }
    }

    /// Weight for placing data: 0 unless active.
    #[must_use]
    pub fn placing_weight(&self) -> u32 {
        match self.state {
            MemberState::Active => self.weight,
            MemberState::Draining | MemberState::Removed => 0,
        }
    }
}

/// Whether a shard may own slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShardState {
    /// Owns slots, or is about to.
    Active,
    /// Owns none and never will again.
    Retired,
}

/// One log with its replica set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Position in [`Topology::shards`]; never reused.
    pub id: ShardId,
    /// Indexes into [`Topology::members`], all distinct; the first is the preferred primary.
    pub replicas: Vec<u16>,
    /// Whether it may own slots.
    pub state: ShardState,
    /// Column group whose parts it holds; 0 for everything that no group names.
    #[serde(default, skip_serializing_if = "is_main")]
    pub group: GroupId,
}

/// Number of a column group; 0 is the main one.
pub type GroupId = u16;

fn is_main(group: &GroupId) -> bool {
    *group == 0
}

/// Named parts of records that live in shards of their own, under the same key and slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnGroup {
    /// Unique name.
    pub name: String,
    /// Columns it holds, in ascending order; a column is in one group at most.
    pub columns: Vec<String>,
}

/// How keys map to slots.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Partitioning {
    /// slot = hash(locality part of the key) mod slots.
    Hash {
        /// Number of slots.
        slots: u32,
    },
    /// slot = `slot_of_range[number of the range that holds the key]`.
    Range {
        /// Ascending split keys; range i begins at split i-1, inclusive.
        splits: Vec<Vec<u8>>,
        /// Slot of every range, one more than splits.
        slot_of_range: Vec<u32>,
        /// Keys outside are refused by [`Topology::check_key`].
        domain: Domain,
    },
}

/// Something asked for that the nodes cannot give. Never an error, always told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Shortfall {
    /// A shard has fewer copies than wanted, for lack of nodes.
    #[error("shard {shard} has {placed} of {wanted} replicas: too few nodes")]
    Replicas {
        /// The shard.
        shard: ShardId,
        /// Copies wanted.
        wanted: u8,
        /// Copies placed.
        placed: u8,
    },
    /// Copies of a shard share a zone although members are in zones.
    #[error("shard {shard} has {replicas} replicas in {zones} distinct zones")]
    Zones {
        /// The shard.
        shard: ShardId,
        /// Copies placed.
        replicas: u8,
        /// Distinct zones they are in.
        zones: u8,
    },
    /// Copies of a shard share a rack although their members are in racks.
    #[error("shard {shard} has {sharing} of {replicas} replicas in a rack with another")]
    Racks {
        /// The shard.
        shard: ShardId,
        /// Copies placed.
        replicas: u8,
        /// Copies that stand in a rack with an earlier one.
        sharing: u8,
    },
    /// A node with a weight is no shard's preferred primary: there are fewer shards than nodes.
    #[error("node {node:?} is primary of no shard: there are fewer shards than nodes")]
    NoPrimary {
        /// The node.
        node: String,
    },
}

/// How badly a replica set shares failure domains; less is better.
///
/// Zones count first: how many members share a zone with an earlier one, then how many share zone
/// and rack with an earlier one. A member without a zone is a zone of its own, one without a rack a
/// rack of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Conflicts {
    pub(crate) zones: u8,
    pub(crate) racks: u8,
}

/// See [`Conflicts`].
pub(crate) fn conflicts(members: &[Member], replicas: &[u16]) -> Conflicts {
    let mut found = Conflicts::default();
    for (at, &replica) in replicas.iter().enumerate() {
        let member = &members[usize::from(replica)];
        let earlier = || replicas[..at].iter().map(|&other| &members[usize::from(other)]);
        if member.zone.is_none() || earlier().all(|other| other.zone != member.zone) {
            continue;
        }
        found.zones += 1;
        if member.rack.is_some()
            && earlier().any(|other| other.zone == member.zone && other.rack == member.rack)
        {
            found.racks += 1;
        }
    }
    found
}
