//! What a fresh topology is asked to look like.

use super::{ColumnGroup, DEFAULT_SLOTS, MAX_SLOTS, Partitioning};
use crate::routing::error::RoutingError;
use crate::routing::hash::HashKind;
use crate::routing::key::KeyEncoding;
use crate::routing::locality::Locality;
use crate::routing::node::NodeSpec;
use crate::routing::range::{Domain, check_splits};
use crate::routing::ring::DEFAULT_VNODES;

/// What a fresh topology shall map keys by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitioningSpec {
    /// Hashed slots.
    Hash {
        /// Number of slots, 1 to [`MAX_SLOTS`]; fixed for ever.
        slots: u32,
    },
    /// Sorted ranges, one slot each.
    Range {
        /// Ascending split keys (encoded); as many ranges and one more.
        splits: Vec<Vec<u8>>,
        /// Bounds of all keys.
        domain: Domain,
    },
}

/// What a fresh topology shall look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologySpec {
    /// The nodes, with weights and zones.
    pub nodes: Vec<NodeSpec>,
    /// Number of shards, at most one per slot.
    pub shards: u32,
    /// Copies of every shard, the primary included.
    pub replicas: u8,
    /// Slots or ranges.
    pub partitioning: PartitioningSpec,
    /// Hash of keys.
    pub hash: HashKind,
    /// Seed of that hash.
    pub seed: u64,
    /// How integers become bytes.
    pub encoding: KeyEncoding,
    /// Part of a key that decides its slot.
    pub locality: Locality,
    /// Virtual nodes of the ring that places shards.
    pub vnodes: u32,
    /// Parts of records that get shards of their own.
    pub column_groups: Vec<ColumnGroupSpec>,
}

/// Columns that shall live in shards of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnGroupSpec {
    /// Unique name.
    pub name: String,
    /// Names of the columns; one at least, and none in two groups.
    pub columns: Vec<String>,
    /// Number of shards of the group, at most one per slot.
    pub shards: u32,
}

impl ColumnGroupSpec {
    pub(super) fn group(&self) -> ColumnGroup {
        let mut columns = self.columns.clone();
        columns.sort_unstable();
        ColumnGroup {
            name: self.name.clone(),
            columns,
        }
    }
}

impl TopologySpec {
    /// 4,096 slots by xxh3 with seed 0 over whole keys in the binary encoding.
    #[must_use]
    pub fn new(nodes: Vec<NodeSpec>, shards: u32, replicas: u8) -> TopologySpec {
        TopologySpec {
            nodes,
            shards,
            replicas,
            partitioning: PartitioningSpec::Hash { slots: DEFAULT_SLOTS },
            hash: HashKind::Xxh3,
            seed: 0,
            encoding: KeyEncoding::Binary,
            locality: Locality::None,
            vnodes: DEFAULT_VNODES,
            column_groups: Vec::new(),
        }
    }
}

/// Checks what keys map by; returns it with the number of slots.
pub(super) fn partition(spec: &TopologySpec) -> Result<(Partitioning, u32), RoutingError> {
    match &spec.partitioning {
        PartitioningSpec::Hash { slots } => {
            if *slots == 0 || *slots > MAX_SLOTS {
                return Err(RoutingError::SlotCount {
                    slots: *slots,
                    max: MAX_SLOTS,
                });
            }
            Ok((Partitioning::Hash { slots: *slots }, *slots))
        }
        PartitioningSpec::Range { splits, domain } => {
            if spec.locality != Locality::None {
                return Err(RoutingError::LocalityOnRange);
            }
            let ranges = u32::try_from(splits.len() + 1).unwrap_or(u32::MAX);
            if ranges > MAX_SLOTS {
                return Err(RoutingError::SlotCount {
                    slots: ranges,
                    max: MAX_SLOTS,
                });
            }
            check_splits(splits, domain)?;
            let partitioning = Partitioning::Range {
                splits: splits.clone(),
                slot_of_range: (0..ranges).collect(),
                domain: domain.clone(),
            };
            Ok((partitioning, ranges))
        }
    }
}
