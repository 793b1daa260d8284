//! Sorted pairs straight into the tables of shards that have one replica.
//!
//! In: pairs with ascending keys. Out: all of them, within each shard at once. The pairs of a shard ascend
//! when all of them do, so each shard gets a bulk load of its own ([`crate::store::BulkLoad`]); memory does
//! not grow with them. Tables are not shipped between replicas, so a shard with several is refused: batches
//! ([`Cluster::put_many`]) reach all of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::{Cluster, ClusterError, WriteDurability};
use crate::ids::{ShardId, SlotId};
use crate::replication::Token;
use crate::store::{BulkLoad, Expires, StoreError};

/// A shard's part of a load.
#[derive(Debug)]
struct Part {
    load: BulkLoad,
    slots: BTreeSet<SlotId>,
}

/// Sorted pairs on their way into a cluster: see [`Cluster::bulk_load`]. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct ClusterLoad<'c> {
    cluster: &'c Cluster,
    parts: BTreeMap<ShardId, Part>,
    last_key: Option<Vec<u8>>,
    refused: bool,
}

impl Cluster {
    /// Begins a bulk load into shards that have one replica each.
    ///
    /// # Errors
    /// [`ClusterError::SeveralReplicas`] names a shard that has more.
    pub fn bulk_load(&self) -> Result<ClusterLoad<'_>, ClusterError> {
        for shard in self.topology().shards() {
            let replicas = self.inner.group(shard.id)?.state.read().copies.len();
            if replicas > 1 {
                return Err(ClusterError::SeveralReplicas {
                    shard: shard.id,
                    replicas,
                });
            }
        }
        Ok(ClusterLoad {
            cluster: self,
            parts: BTreeMap::new(),
            last_key: None,
            refused: false,
        })
    }
}

impl ClusterLoad<'_> {
    /// Adds a pair. Nobody sees it before the load is finished.
    ///
    /// # Errors
    /// [`StoreError::Unsorted`], within [`ClusterError::Store`], unless `key` is greater than every key
    /// before it; too long; outside the topology's domain; disk full. The load can then only be dropped.
    pub fn put(&mut self, key: &[u8], value: &[u8], expires: Expires) -> Result<(), ClusterError> {
        let outcome = self.add(key, value, expires);
        self.refused |= outcome.is_err();
        outcome
    }

    fn add(&mut self, key: &[u8], value: &[u8], expires: Expires) -> Result<(), ClusterError> {
        let inner = &self.cluster.inner;
        let topology = inner.topology.load();
        topology.check_key(key)?;
        let slot = topology.slot_of(key);
        let shard = topology.shard_of_slot(slot);
        let named = |node: &str, source| ClusterError::store(node, shard, source);
        // Across shards: what is out of order in the input is so wherever the keys live.
        match &mut self.last_key {
            Some(after) if key <= after.as_slice() => {
                let (key, after) = (key.to_vec(), after.clone());
                return Err(named("(all)", StoreError::Unsorted { key, after }));
            }
            Some(last) => {
                last.clear();
                last.extend_from_slice(key);
            }
            None => self.last_key = Some(key.to_vec()),
        }
        let part = match self.parts.entry(shard) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let group = inner.group(shard)?;
                let state = group.state.read();
                let (primary, leader) = state.writable(shard)?;
                let load = leader.store().bulk_load();
                let load = load.map_err(|source| named(&state.copies[primary].node, source))?;
                let slots = BTreeSet::new();
                entry.insert(Part { load, slots })
            }
        };
        part.slots.insert(slot);
        let put = part.load.put_expiring(key, value, expires);
        put.map_err(|source| named("(its primary)", source))
    }

    /// Makes the pairs visible and durable: those of a shard all at once, one shard after the other.
    ///
    /// # Errors
    /// As for [`Cluster::put`]; [`StoreError::LoadRefused`], within [`ClusterError::Store`], after a pair
    /// that was refused, or when slots or the leadership have moved since. Nothing of that shard and of those
    /// after it was loaded; shards before it have their pairs.
    pub fn finish(self) -> Result<Token, ClusterError> {
        let inner = &self.cluster.inner;
        let mut token = Token::default();
        let refuse = |shard, cause: &str| {
            let cause = cause.to_owned();
            Err(ClusterError::store(
                "(its primary)",
                shard,
                StoreError::LoadRefused { cause },
            ))
        };
        for (shard, part) in self.parts {
            if self.refused {
                return refuse(shard, "a pair was refused");
            }
            let slots: Vec<SlotId> = part.slots.into_iter().collect();
            // Taken by the one attempt that gets as far as writing.
            let load = RefCell::new(Some(part.load));
            let appended = inner.append(&slots, |store| {
                let cause = "its shard has another primary by now".to_owned();
                let load = load
                    .borrow_mut()
                    .take()
                    .filter(|load| load.store_id() == store.store_id());
                let loaded = store.finish_bulk_load(load.ok_or(StoreError::LoadRefused { cause })?)?;
                Ok(loaded.written.expect("a part has at least one pair"))
            })?;
            let Some((group, written)) = appended else {
                return refuse(shard, "slots have moved to another shard since it began");
            };
            token.merge(&inner.settle(&group, written, WriteDurability::Synced)?)?;
        }
        Ok(token)
    }
}
