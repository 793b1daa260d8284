//! Slots from one shard to another, while both go on serving.
//!
//! In: one move of a plan. Out: the slots owned by the target, or the source as if nothing had
//! happened. The steps:
//!
//! 1. *Floor*: the end of the target's log now. Whatever it holds of these slots below, from an
//!    earlier stay or an attempt that broke off, is dead for ever.
//! 2. *Copy* from a snapshot of the source, then what was written since, until little is left.
//! 3. *Freeze*: logged by the source and acknowledged by its quorum; writes to these slots wait.
//! 4. *Copy* the rest, deletions included.
//! 5. *Own*: logged by the target and acknowledged by its quorum; everything copied is below it.
//! 6. *Commit*: one change of the configuration, conditional on the source's lease being the one
//!    the freeze was logged under. Until then the source answers, from then on the target.
//!
//! A freeze without a commit is void: it lives in memory and in a record that no topology
//! confirms. A leader that takes over the source meanwhile changes the lease, so the commit fails
//! and the move begins again from its floor.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::config_store::{Change, Condition, ConfigError, lease_key};
use super::group::{Arrival, Group};
use super::rebalance::{MOVER_KEY, Mover, Tally};
use super::{ClusterError, Inner, TOPOLOGY_KEY, WriteDurability};
use crate::ids::{Epoch, Lsn, SlotId};
use crate::routing::{Move, Topology};
use crate::store::{Entry, SlotsFrozen, SlotsOwned, Store, StoreError, WriteBatch, Written};

/// Catch-up rounds end once less than this is left to copy, or after so many rounds.
const LITTLE_BYTES: u64 = 256 << 10;
const MOST_ROUNDS: usize = 6;
/// Most keys and bytes copied at once.
const BATCH_KEYS: usize = 512;
const BATCH_BYTES: usize = 1 << 20;

/// Is told what has been copied, and how many slots are frozen at the moment.
pub(super) type Tell<'t> = &'t mut dyn FnMut(&Tally, usize);

/// Both ends of a hand-over as they were when it began.
struct Scene<'m> {
    change: &'m Move,
    slots: BTreeSet<SlotId>,
    topology: Arc<Topology>,
    source: Arc<Group>,
    target: Arc<Group>,
    source_epoch: Epoch,
    target_epoch: Epoch,
    /// Version of the source's lease.
    lease_version: u64,
    floor: Lsn,
}

impl Scene<'_> {
    fn broken(&self, reason: impl Into<String>) -> ClusterError {
        ClusterError::HandOver {
            from: self.change.from,
            to: self.change.to,
            reason: reason.into(),
        }
    }

    /// Runs on the leader of one end, as long as it is still the one the hand-over began with.
    fn on<T>(
        &self,
        group: &Group,
        epoch: Epoch,
        act: impl FnOnce(&Store) -> Result<T, StoreError>,
    ) -> Result<T, ClusterError> {
        let state = group.state.read();
        let (primary, leader) = state.writable(group.shard)?;
        if state.claim.epoch != epoch {
            return Err(self.broken(format!("shard {} has another leader now", group.shard)));
        }
        act(leader.store()).map_err(|error| {
            let node = &state.copies[primary].node;
            if leader.store().poisoned().is_some() {
                state.copies[primary].fail(error.to_string());
            }
            ClusterError::store(node, group.shard, error)
        })
    }
}

impl Inner {
    /// Carries out one move and commits it together with `next`, the mover's state after it.
    /// Returns the version of the mover's entry.
    pub(super) fn hand_over(
        &self,
        change: &Move,
        mover_version: u64,
        next: impl FnOnce(Tally) -> Mover,
        mover_epoch: u64,
        progress: Tell<'_>,
    ) -> Result<u64, ClusterError> {
        let scene = self.set_scene(change)?;
        let outcome = self.run(&scene, mover_version, next, mover_epoch, progress);
        if outcome.is_err() {
            // The commit may have happened although its answer was lost: what the disk says
            // decides who answers. If it does not say, the slots stay frozen.
            let (recorded, _) = self.read_topology()?;
            let owner = recorded.shard_of_slot(change.slots[0]);
            if owner == change.to {
                self.publish(&scene, recorded, None);
            } else {
                scene
                    .source
                    .state
                    .write()
                    .frozen
                    .retain(|slot| !scene.slots.contains(slot));
            }
            self.heal(&scene.source);
            self.heal(&scene.target);
        }
        outcome
    }

    fn set_scene<'m>(&self, change: &'m Move) -> Result<Scene<'m>, ClusterError> {
        let topology = self.topology.load_full();
        let (source, target) = (self.group(change.from)?, self.group(change.to)?);
        let (source_epoch, lease_version) = {
            let state = source.state.read();
            state.writable(change.from)?;
            (state.claim.epoch, state.lease_version)
        };
        let (target_epoch, floor) = {
            let state = target.state.read();
            let (_, leader) = state.writable(change.to)?;
            (state.claim.epoch, leader.store().tail())
        };
        let slots = change.slots.iter().copied().collect();
        Ok(Scene {
            change,
            slots,
            topology,
            source,
            target,
            source_epoch,
            target_epoch,
            lease_version,
            floor,
        })
    }

    fn run(
        &self,
        scene: &Scene<'_>,
        mover_version: u64,
        next: impl FnOnce(Tally) -> Mover,
        mover_epoch: u64,
        progress: Tell<'_>,
    ) -> Result<u64, ClusterError> {
        let mut tally = Tally::default();
        let mut since = self.copy(scene, None, None, &mut tally, progress)?;
        let (keys, bytes) = (tally.keys, tally.bytes);
        for _ in 0..MOST_ROUNDS {
            let end = scene.on(&scene.source, scene.source_epoch, |store| Ok(store.stable()))?;
            if end.0.saturating_sub(since.0) <= LITTLE_BYTES {
                break;
            }
            since = self.copy(scene, Some(since), None, &mut tally, &mut |_, _| {})?;
        }
        let frozen = self.freeze(scene, mover_epoch)?;
        self.confirm(scene, &scene.source, frozen)?;
        if frozen.lsn > since {
            self.copy(scene, Some(since), Some(frozen.lsn), &mut tally, &mut |_, _| {})?;
        }
        // What came after the first snapshot is counted apart: most of it replaces keys counted.
        tally.caught_up = tally.keys - keys;
        (tally.keys, tally.bytes) = (keys, bytes);
        progress(&tally, scene.slots.len());
        let owned = SlotsOwned {
            slots: scene.change.slots.clone(),
            source: scene.change.from,
            source_epoch: scene.source_epoch,
            freeze: frozen.end,
            floor: scene.floor,
            topology_version: scene.topology.version(),
        };
        let arrived = scene.on(&scene.target, scene.target_epoch, |store| {
            store.append_slots_owned(&owned)
        })?;
        self.confirm(scene, &scene.target, arrived)?;
        self.commit_move(scene, arrived, mover_version, next(self.attribute(scene, tally)))
    }

    fn freeze(&self, scene: &Scene<'_>, mover_epoch: u64) -> Result<Written, ClusterError> {
        let mut state = scene.source.state.write();
        let record = SlotsFrozen {
            slots: scene.change.slots.clone(),
            topology_version: scene.topology.version(),
            mover_epoch,
            target: scene.change.to,
        };
        let (primary, leader) = state.writable(scene.change.from)?;
        if state.claim.epoch != scene.source_epoch {
            return Err(scene.broken("the source has another leader now"));
        }
        let frozen = leader.store().append_slots_frozen(&record);
        let frozen = frozen
            .map_err(|error| ClusterError::store(&state.copies[primary].node, scene.change.from, error))?;
        state.frozen.extend(&scene.slots);
        Ok(frozen)
    }

    /// Waits until the group's quorum has the record.
    fn confirm(&self, scene: &Scene<'_>, group: &Group, written: Written) -> Result<(), ClusterError> {
        self.settle(group, written, WriteDurability::Replicated)
            .map(drop)
            .map_err(|error| scene.broken(error.to_string()))
    }

    /// Copies the slots' keys from a snapshot of the source to the target; returns the snapshot's
    /// position. With `since`, only what changed from there on, deletions included.
    fn copy(
        &self,
        scene: &Scene<'_>,
        since: Option<Lsn>,
        at: Option<Lsn>,
        tally: &mut Tally,
        progress: Tell<'_>,
    ) -> Result<Lsn, ClusterError> {
        // The scan outlives the lock: it keeps the files it reads from, and nobody waits for us.
        let (end, scan) = scene.on(&scene.source, scene.source_epoch, |store| {
            let snapshot = at.map_or_else(|| store.snapshot(), |at| store.snapshot_at(at));
            let all = (Bound::Unbounded, Bound::Unbounded);
            let scan = if since.is_some() {
                snapshot.scan_versions(all.0, all.1)?
            } else {
                snapshot.scan(all.0, all.1)?
            };
            Ok((snapshot.lsn(), scan))
        })?;
        let mut batch = WriteBatch::new();
        let mut batch_bytes = 0;
        for entry in scan {
            let Entry {
                key,
                value,
                lsn,
                hlc,
                expires_at_ms,
            } = entry.map_err(|error| ClusterError::store("source", scene.change.from, error))?;
            let slot = scene.topology.slot_of(&key);
            let dead = lsn.0 < scene.topology.residency(slot);
            if dead || !scene.slots.contains(&slot) || since.is_some_and(|since| lsn < since) {
                continue;
            }
            let bytes = key.len() + value.as_ref().map_or(0, |value| value.len());
            if !batch.is_empty() && (batch.len() >= BATCH_KEYS || batch_bytes + bytes > BATCH_BYTES) {
                self.send(scene, &mut batch)?;
                batch_bytes = 0;
                progress(tally, 0);
            }
            batch.copy_version(
                key.to_vec(),
                value.map(|value| value.to_vec()),
                hlc,
                expires_at_ms,
            );
            batch_bytes += bytes;
            tally.keys += 1;
            tally.bytes += bytes as u64;
        }
        if !batch.is_empty() {
            self.send(scene, &mut batch)?;
        }
        progress(tally, 0);
        Ok(end)
    }

    fn send(&self, scene: &Scene<'_>, batch: &mut WriteBatch) -> Result<(), ClusterError> {
        let full = std::mem::take(batch);
        let buffered = crate::store::Durability::Buffered;
        scene.on(&scene.target, scene.target_epoch, |store| {
            store.write(&full, buffered)
        })?;
        self.wake(&scene.target);
        Ok(())
    }

    /// Says which nodes the copied keys were new to.
    fn attribute(&self, scene: &Scene<'_>, mut tally: Tally) -> Tally {
        let before = scene.topology.node_names(scene.change.from);
        let after = scene.topology.node_names(scene.change.to);
        tally.losers = before
            .iter()
            .filter(|node| !after.contains(node))
            .map(ToString::to_string)
            .collect();
        for node in after {
            if before.contains(&node) {
                tally.keys_local += tally.keys;
            } else {
                *tally.keys_by_node.entry(node.to_owned()).or_default() += tally.keys;
                *tally.bytes_by_node.entry(node.to_owned()).or_default() += tally.bytes;
            }
        }
        tally
    }

    fn commit_move(
        &self,
        scene: &Scene<'_>,
        arrived: Written,
        mover_version: u64,
        next: Mover,
    ) -> Result<u64, ClusterError> {
        let (recorded, version) = self.read_topology()?;
        if recorded.version() != scene.topology.version() {
            return Err(scene.broken("the topology has changed meanwhile"));
        }
        let moved = recorded.with_slots_moved(
            &scene.change.slots,
            scene.change.from,
            scene.change.to,
            scene.floor.0,
        )?;
        let conditions = [
            Condition::new(TOPOLOGY_KEY, version),
            Condition::new(lease_key(scene.change.from), scene.lease_version),
            Condition::new(MOVER_KEY, mover_version),
        ];
        let changes = [
            Change::write(TOPOLOGY_KEY, moved.to_bytes()),
            Change::write(MOVER_KEY, next.encode()),
        ];
        let committed = self
            .config
            .transact(&conditions, &changes)
            .map_err(|error| match error {
                ConfigError::Changed { key, .. } => scene.broken(format!("{key} has changed meanwhile")),
                other => other.into(),
            })?;
        self.publish(scene, moved, Some(arrived.end));
        Ok(committed)
    }

    /// Makes a committed move visible: first what the target must have applied to answer, then the
    /// topology, and only then are the slots let go at the source.
    fn publish(&self, scene: &Scene<'_>, moved: Topology, arrived: Option<Lsn>) {
        {
            let mut state = scene.target.state.write();
            let end = arrived.or_else(|| {
                state
                    .leader(scene.change.to)
                    .ok()
                    .map(|(_, leader)| leader.store().tail())
            });
            let arrival = Arrival {
                end: end.unwrap_or(Lsn::ZERO),
                source: scene.change.from,
                source_epoch: scene.source_epoch,
            };
            state
                .arrivals
                .extend(scene.slots.iter().map(|slot| (*slot, arrival)));
        }
        self.topology.store(Arc::new(moved));
        scene
            .source
            .state
            .write()
            .frozen
            .retain(|slot| !scene.slots.contains(slot));
    }
}
