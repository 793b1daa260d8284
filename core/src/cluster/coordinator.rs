//! The path of a write: slot, shard, leader, quorum.
//!
//! In: keys, values, how safe. Out: a token, or an error that says whether the write can have
//! happened. The append runs under the shard's shared lock, together with the look at who owns
//! the slot; waiting for disks runs after it, shared by all who wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::group::Group;
use super::{Cluster, ClusterError, Inner, WriteDurability};
use crate::ids::{Epoch, ShardId, SlotId};
use crate::replication::Token;
use crate::store::{Durability, Expires, Store, StoreError, WriteBatch, Written};

/// How often a write looks whether its slot has arrived.
const FREEZE_POLL: Duration = Duration::from_millis(1);
/// Most operations and bytes of one log group of [`Cluster::put_many`].
const GROUP_KEYS: usize = 512;
const GROUP_BYTES: usize = 1 << 20;

impl Inner {
    /// Appends to the shard that owns `slots`, once it takes writes. `None` when the slots have
    /// been parted by a hand-over: nothing was written then. Not synced.
    pub(super) fn append(
        &self,
        slots: &[SlotId],
        write: impl Fn(&Store) -> Result<Written, StoreError>,
    ) -> Result<Option<(Arc<Group>, Written)>, ClusterError> {
        let mut waiting_since = None;
        loop {
            let group = self.owner(slots[0])?;
            let shard = group.shard;
            let state = group.state.read();
            // Looked at again under the lock: a hand-over publishes the new owner before it lets
            // go of the slot, so whoever sees the slot free here and still owned may append.
            let topology = self.topology.load();
            if topology.shard_of_slot(slots[0]) != shard {
                continue;
            }
            if slots[1..]
                .iter()
                .any(|slot| topology.shard_of_slot(*slot) != shard)
            {
                return Ok(None);
            }
            if !state.frozen.is_empty() && slots.iter().any(|slot| state.frozen.contains(slot)) {
                drop(state);
                self.wait_for_hand_over(shard, &mut waiting_since)?;
                continue;
            }
            let (primary, leader) = state.writable(shard)?;
            match write(leader.store()) {
                Ok(written) => {
                    drop(state);
                    return Ok(Some((group, written)));
                }
                Err(source) => {
                    let node = state.copies[primary].node.clone();
                    let broken = leader.store().poisoned().is_some();
                    if !broken {
                        return Err(ClusterError::store(&node, shard, source));
                    }
                    state.copies[primary].fail(source.to_string());
                    drop(state);
                    self.heal(&group);
                    let reason = format!("node {node} failed while it was written: {source}");
                    return Err(ClusterError::Indeterminate { shard, reason });
                }
            }
        }
    }

    /// As [`Inner::append`] for one slot, which nothing can part.
    fn append_one(
        &self,
        slot: SlotId,
        write: impl Fn(&Store) -> Result<Written, StoreError>,
    ) -> Result<(Arc<Group>, Written), ClusterError> {
        let appended = self.append(&[slot], write)?;
        Ok(appended.expect("one slot has one owner"))
    }

    fn wait_for_hand_over(&self, shard: ShardId, since: &mut Option<Duration>) -> Result<(), ClusterError> {
        let now = self.env.clock.elapsed();
        let waited = now.saturating_sub(*since.get_or_insert(now));
        if waited > self.options.freeze_wait {
            let reason = format!("its slot is being handed over for more than {waited:?}");
            return Err(ClusterError::Unavailable {
                shard,
                reason,
                all_failed: false,
            });
        }
        std::thread::sleep(FREEZE_POLL);
        Ok(())
    }

    /// Waits until the write is as safe as asked, the group's quorum being the least.
    pub(super) fn settle(
        &self,
        group: &Group,
        written: Written,
        durability: WriteDurability,
    ) -> Result<Token, ClusterError> {
        let token = Token::of_write(self.id, group.shard, written.epoch, written.end);
        self.wake(group);
        let parallel = self.options.background;
        let done = if !group.lone_quorum {
            group.await_quorum(written, parallel, self.env.clock.elapsed())
        } else if durability == WriteDurability::Buffered {
            true
        } else {
            sync_leader(group, written)
        };
        if done {
            return Ok(token);
        }
        // Somebody failed. A new leader may have the write all the same.
        self.heal(group);
        if !group.lone_quorum {
            group.round(None, parallel, self.env.clock.elapsed());
            if group.verdict(written) {
                return Ok(token);
            }
        }
        let reason = format!(
            "it was logged and not acknowledged: {}",
            group.state.read().shortage()
        );
        Err(ClusterError::Indeterminate {
            shard: group.shard,
            reason,
        })
    }

    fn slot_of(&self, key: &[u8]) -> Result<SlotId, ClusterError> {
        let topology = self.topology.load();
        topology.check_key(key)?;
        Ok(topology.slot_of(key))
    }
}

/// Fsyncs the write where no other copy is needed; returns whether it is durable.
fn sync_leader(group: &Group, written: Written) -> bool {
    let state = group.state.read();
    let leader = state.leader(group.shard).ok();
    let Some((primary, leader)) = leader.filter(|_| state.claim.epoch == written.epoch) else {
        return false;
    };
    if let Err(error) = leader.store().sync_to(written.end) {
        state.copies[primary].fail(error.to_string());
        return false;
    }
    group.refresh_commit(&state);
    true
}

impl Cluster {
    /// Gives `key` the value. The token proves the write to later reads.
    ///
    /// # Errors
    /// [`ClusterError::Unavailable`]: nothing was written. [`ClusterError::Indeterminate`]: it may
    /// have been. [`ClusterError::Store`]: too long or disk full, nothing was written.
    /// [`ClusterError::Routing`]: the key lies outside the topology's domain.
    pub fn put(&self, key: &[u8], value: &[u8], durability: WriteDurability) -> Result<Token, ClusterError> {
        let slot = self.inner.slot_of(key)?;
        let (group, written) = self
            .inner
            .append_one(slot, |store| store.put(key, value, Durability::Buffered))?;
        self.inner.settle(&group, written, durability)
    }

    /// As [`Cluster::put`], of a value that goes by itself: see [`Expires`]. Each replica judges by its
    /// own clock.
    ///
    /// # Errors
    /// As for [`Cluster::put`].
    pub fn put_expiring(
        &self,
        key: &[u8],
        value: &[u8],
        expires: Expires,
        durability: WriteDurability,
    ) -> Result<Token, ClusterError> {
        let slot = self.inner.slot_of(key)?;
        let (group, written) = self.inner.append_one(slot, |store| {
            store.put_expiring(key, value, expires, Durability::Buffered)
        })?;
        self.inner.settle(&group, written, durability)
    }

    /// Takes the value of `key` away.
    ///
    /// # Errors
    /// As for [`Cluster::put`].
    pub fn delete(&self, key: &[u8], durability: WriteDurability) -> Result<Token, ClusterError> {
        let slot = self.inner.slot_of(key)?;
        let (group, written) = self
            .inner
            .append_one(slot, |store| store.delete(key, Durability::Buffered))?;
        self.inner.settle(&group, written, durability)
    }

    /// Applies the batch whole or not at all. All keys have to be of one slot: see the topology's
    /// locality.
    ///
    /// # Errors
    /// [`ClusterError::CrossSlot`], and as for [`Cluster::put`].
    pub fn write(&self, batch: &WriteBatch, durability: WriteDurability) -> Result<Token, ClusterError> {
        let mut slot = None;
        for key in batch.keys() {
            let b = self.inner.slot_of(key)?;
            let a = *slot.get_or_insert(b);
            if a != b {
                return Err(ClusterError::CrossSlot { a, b });
            }
        }
        let Some(slot) = slot else {
            return Ok(Token::default());
        };
        let (group, written) = self
            .inner
            .append_one(slot, |store| store.write(batch, Durability::Buffered))?;
        self.inner.settle(&group, written, durability)
    }

    /// Puts many pairs, independent of each other, with one wait for durability per shard: the
    /// path of imports. A key that comes twice gets its last value.
    ///
    /// # Errors
    /// As for [`Cluster::put`]; pairs of other shards, and earlier ones of the same, may have been
    /// written.
    pub fn put_many(
        &self,
        pairs: &[(Vec<u8>, Vec<u8>)],
        durability: WriteDurability,
    ) -> Result<Token, ClusterError> {
        self.put_pairs(pairs, durability)
    }

    /// As [`Cluster::put_many`], of values that may go by themselves: see [`Expires`].
    ///
    /// # Errors
    /// As for [`Cluster::put_many`].
    pub fn put_many_expiring(
        &self,
        pairs: &[(Vec<u8>, Vec<u8>, Expires)],
        durability: WriteDurability,
    ) -> Result<Token, ClusterError> {
        self.put_pairs(pairs, durability)
    }

    /// Takes the values of many keys away, as [`Cluster::put_many`] gives them.
    ///
    /// # Errors
    /// As for [`Cluster::put_many`].
    pub fn delete_many(&self, keys: &[Vec<u8>], durability: WriteDurability) -> Result<Token, ClusterError> {
        self.put_pairs(keys, durability)
    }

    fn put_pairs<P: Pair>(&self, pairs: &[P], durability: WriteDurability) -> Result<Token, ClusterError> {
        if pairs.is_empty() {
            return Ok(Token::default());
        }
        let topology = self.inner.topology.load_full();
        let mut by_slot: BTreeMap<(ShardId, SlotId), Vec<usize>> = BTreeMap::new();
        for (index, pair) in pairs.iter().enumerate() {
            topology.check_key(pair.key())?;
            let slot = topology.slot_of(pair.key());
            by_slot
                .entry((topology.shard_of_slot(slot), slot))
                .or_default()
                .push(index);
        }
        let mut ends: BTreeMap<(ShardId, Epoch), (Arc<Group>, Written)> = BTreeMap::new();
        let mut pending = Pending::default();
        for ((shard, slot), indexes) in by_slot {
            for index in indexes {
                let bytes = pairs[index].key().len() + pairs[index].value().map_or(0, <[u8]>::len);
                if !pending.takes(shard, bytes) {
                    self.inner.flush(pairs, &mut pending, &mut ends)?;
                }
                pending.add(shard, slot, index, bytes);
            }
        }
        self.inner.flush(pairs, &mut pending, &mut ends)?;
        let mut token = Token::default();
        for (group, written) in ends.into_values() {
            token.merge(&self.inner.settle(&group, written, durability)?)?;
        }
        Ok(token)
    }
}

/// What is put, or deleted, together with others.
trait Pair {
    fn key(&self) -> &[u8];
    /// `None` deletes.
    fn value(&self) -> Option<&[u8]>;
    fn expires(&self) -> Expires {
        Expires::Never
    }
}

impl Pair for (Vec<u8>, Vec<u8>) {
    fn key(&self) -> &[u8] {
        &self.0
    }

    fn value(&self) -> Option<&[u8]> {
        Some(&self.1)
    }
}

impl Pair for Vec<u8> {
    fn key(&self) -> &[u8] {
        self
    }

    fn value(&self) -> Option<&[u8]> {
        None
    }
}

impl Pair for (Vec<u8>, Vec<u8>, Expires) {
    fn key(&self) -> &[u8] {
        &self.0
    }

    fn value(&self) -> Option<&[u8]> {
        Some(&self.1)
    }

    fn expires(&self) -> Expires {
        self.2
    }
}

/// Pairs of one shard that will be logged together.
#[derive(Default)]
struct Pending {
    shard: Option<ShardId>,
    slots: Vec<SlotId>,
    indexes: Vec<usize>,
    bytes: usize,
}

impl Pending {
    fn takes(&self, shard: ShardId, bytes: usize) -> bool {
        self.indexes.is_empty()
            || (self.shard == Some(shard)
                && self.indexes.len() < GROUP_KEYS
                && self.bytes + bytes <= GROUP_BYTES)
    }

    fn add(&mut self, shard: ShardId, slot: SlotId, index: usize, bytes: usize) {
        self.shard = Some(shard);
        if self.slots.last() != Some(&slot) {
            self.slots.push(slot);
        }
        self.indexes.push(index);
        self.bytes += bytes;
    }
}

impl Inner {
    /// Logs what is pending and remembers where each shard's log ends: waiting for the last write
    /// of an epoch covers the earlier ones.
    fn flush<P: Pair>(
        &self,
        pairs: &[P],
        pending: &mut Pending,
        ends: &mut BTreeMap<(ShardId, Epoch), (Arc<Group>, Written)>,
    ) -> Result<(), ClusterError> {
        let Pending { slots, indexes, .. } = std::mem::take(pending);
        if indexes.is_empty() {
            return Ok(());
        }
        let mut batch = WriteBatch::new();
        for index in &indexes {
            let pair = &pairs[*index];
            match pair.value() {
                Some(value) => batch.put_expiring(pair.key(), value, pair.expires()),
                None => batch.delete(pair.key()),
            }
        }
        let mut remember = |group: Arc<Group>, written: Written| {
            let end = ends
                .entry((group.shard, written.epoch))
                .or_insert((group, written));
            if end.1.end < written.end {
                end.1 = written;
            }
        };
        if let Some((group, written)) =
            self.append(&slots, |store| store.write(&batch, Durability::Buffered))?
        {
            remember(group, written);
            return Ok(());
        }
        for index in indexes {
            let pair = &pairs[index];
            let slot = self.slot_of(pair.key())?;
            let (group, written) = self.append_one(slot, |store| match pair.value() {
                Some(value) => store.put_expiring(pair.key(), value, pair.expires(), Durability::Buffered),
                None => store.delete(pair.key(), Durability::Buffered),
            })?;
            remember(group, written);
        }
        Ok(())
    }
}
