//! What a cluster holds, counted key by key: the figures of `ring` and `demo`.
//!
//! An open cluster comes in; keys and bytes by slot, shard and node go out. One pass over all
//! keys, constant memory beside one pair of numbers a slot.

use std::ops::Bound;

use atoll::cluster::{Cluster, ClusterStatus, ReadOptions};
use atoll::ids::{ShardId, SlotId};
use atoll::routing::Topology;

use crate::failure::Outcome;

/// A number of keys and the bytes of keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Keys.
    pub keys: u64,
    /// Their bytes, values included.
    pub bytes: u64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.keys += other.keys;
        self.bytes += other.bytes;
    }
}

/// What every slot holds.
pub struct Holdings {
    by_slot: Vec<Amount>,
}

impl Holdings {
    /// Counts a cluster.
    pub fn count(cluster: &Cluster) -> Outcome<Holdings> {
        let topology = cluster.topology();
        let mut by_slot = vec![Amount::default(); topology.slots() as usize];
        for entry in cluster.scan(Bound::Unbounded, Bound::Unbounded, &ReadOptions::default())? {
            let entry = entry?;
            let bytes = (entry.key.len() + entry.value.len()) as u64;
            by_slot[topology.slot_of(&entry.key).0 as usize] += Amount { keys: 1, bytes };
        }
        Ok(Holdings { by_slot })
    }

    /// Everything.
    pub fn total(&self) -> Amount {
        sum(self.by_slot.iter().copied())
    }

    /// What a slot holds.
    pub fn slot(&self, slot: SlotId) -> Amount {
        self.by_slot.get(slot.0 as usize).copied().unwrap_or_default()
    }

    /// What a shard holds.
    pub fn shard(&self, topology: &Topology, shard: ShardId) -> Amount {
        sum(topology.slots_of_shard(shard).map(|slot| self.slot(slot)))
    }

    /// What a node leads, and what it holds, all copies included.
    pub fn node(&self, topology: &Topology, status: &ClusterStatus, node: &str) -> (Amount, Amount) {
        let (mut led, mut held) = (Amount::default(), Amount::default());
        for shard in &status.shards {
            if shard.replicas.iter().any(|replica| replica.node == node) {
                let amount = self.shard(topology, shard.id);
                held += amount;
                if shard.primary.as_deref() == Some(node) {
                    led += amount;
                }
            }
        }
        (led, held)
    }
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::default(), |mut sum, amount| {
        sum += amount;
        sum
    })
}
