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
    /// A node with a weight is no shard's preferred primary: there are fewer shards than nodes.
    #[error("node {node:?} is primary of no shard: there are fewer shards than nodes")]
    NoPrimary {
        /// The node.
        node: String,
    },
}

/// How many of these members share a zone with an earlier one. A member without a zone is a zone
/// of its own.
pub(crate) fn zone_conflicts(members: &[Member], replicas: &[u16]) -> usize {
    let zone = |index: u16| members[usize::from(index)].zone.as_deref();
    let shared = |&at: &usize| {
        zone(replicas[at]).is_some_and(|z| replicas[..at].iter().any(|&other| zone(other) == Some(z)))
    };
    (0..replicas.len()).filter(shared).count()
}
