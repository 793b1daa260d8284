//! Changing the members of a cluster, and moving what has to move for it.
//!
//! In: a node to add, to remove or to re-weight. Out: progress, and a report of what was really
//! copied onto which node. The list of moves is in the config store before the first byte moves,
//! and each move is taken off it by the very change that commits it, so an interrupted rebalance
//! goes on where it stood, in whatever process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config_store::{Change as ConfigChange, Condition};
use super::membership::members_key;
use super::node::create_members;
use super::{Cluster, ClusterError, Inner, TOPOLOGY_KEY};
use crate::cluster::consistency::ReadOptions;
use crate::ids::{ShardId, SlotId};
use crate::replication::majority;
use crate::routing::{Change, Move, Plan, ShardState, SlotLoad, SlotWeight, Topology};

/// Name of the mover's state in the config store: there while a rebalance is under way.
pub(super) const MOVER_KEY: &str = "mover";
/// Attempts for one move before the rebalance is given up for now. Each failure means that a
/// leader changed under it.
const ATTEMPTS: usize = 8;

/// What a rebalance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RebalancePhase {
    /// New shards are being created.
    Preparing,
    /// Keys are being copied.
    Copying,
    /// Emptied shards and nodes are being put away.
    Finishing,
}

/// How far a rebalance is; an estimate of the rest follows from elapsed time and bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RebalanceProgress {
    /// What it is doing.
    pub phase: RebalancePhase,
    /// Moves committed.
    pub moves_done: usize,
    /// Moves in all.
    pub moves_total: usize,
    /// Keys copied so far.
    pub keys_done: u64,
    /// Keys the plan counted.
    pub keys_total: u64,
    /// Bytes of keys and values copied so far.
    pub bytes_done: u64,
    /// Bytes the plan counted.
    pub bytes_total: u64,
    /// Slots that are frozen at the moment: writes to them wait until the callback has returned
    /// and the move is committed, so a callback that writes must not while this is not 0.
    pub frozen_slots: usize,
    /// Time since the rebalance began or was resumed.
    pub elapsed: Duration,
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) keys: u64,
    pub(super) bytes: u64,
    pub(super) caught_up: u64,
    pub(super) keys_local: u64,
    pub(super) keys_by_node: BTreeMap<String, u64>,
    pub(super) bytes_by_node: BTreeMap<String, u64>,
    pub(super) keys_between_old_nodes: u64,
    #[serde(default, skip)]
    pub(super) losers: Vec<String>,
}

/// What a rebalance did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RebalanceReport {
    /// The change it was for.
    pub change: Change,
    /// Version of the topology before.
    pub from_version: u64,
    /// Version of the topology after.
    pub to_version: u64,
    /// Hand-overs committed.
    pub moves: usize,
    /// Slots that changed their shard.
    pub slots: u64,
    /// Keys copied from one shard to another, counted once each.
    pub keys_moved: u64,
    /// Their bytes, keys and values.
    pub bytes_moved: u64,
    /// Versions written while the copy ran, and copied after it.
    pub versions_caught_up: u64,
    /// Keys that each node received and had not held before.
    pub keys_by_node: BTreeMap<String, u64>,
    /// Bytes that each node received and had not held before.
    pub bytes_by_node: BTreeMap<String, u64>,
    /// Keys a node rewrote into another shard's log although it held them already; they did not
    /// travel.
    pub keys_rewritten_in_place: u64,
    /// Keys that travelled between two nodes neither of which is the node of the change, measured
    /// on what was copied.
    pub keys_between_old_nodes: u64,
    /// Time since the rebalance began or was resumed.
    pub took: Duration,
    /// Whether it had been interrupted before.
    pub resumed: bool,
}

/// The mover's state: what is left to do, and what was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Mover {
    /// Grows with every process that takes the rebalance over.
    pub(super) epoch: u64,
    pub(super) change: Change,
    pub(super) from_version: u64,
    pub(super) moves: Vec<Move>,
    pub(super) moves_total: usize,
    pub(super) keys_total: u64,
    pub(super) bytes_total: u64,
    slots: u64,
    tally: Tally,
}

impl Mover {
    fn new(plan: Plan) -> Mover {
        Mover {
            epoch: 1,
            change: plan.change,
            from_version: plan.from_version,
            moves_total: plan.moves.len(),
            slots: plan.moves.iter().map(|change| change.slots.len() as u64).sum(),
            moves: plan.moves,
            keys_total: plan.keys,
            bytes_total: plan.bytes,
            tally: Tally::default(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers, names and lists have a JSON form")
    }

    /// The state once its first move is committed with this tally.
    fn after(&self, done: Tally) -> Mover {
        let mut next = self.clone();
        next.moves.remove(0);
        // Levelling is about everybody, so there are no old nodes.
        let all = next.change == Change::Level;
        let ours: Vec<String> = next.change.nodes().into_iter().map(Into::into).collect();
        let Tally {
            keys,
            bytes,
            caught_up,
            keys_local,
            keys_by_node,
            bytes_by_node,
            losers,
            ..
        } = done;
        let total = &mut next.tally;
        total.keys += keys;
        total.bytes += bytes;
        total.caught_up += caught_up;
        total.keys_local += keys_local;
        for (node, keys) in keys_by_node {
            // A copy that went past the node of the change, on either side, is one too many.
            let lost = losers.iter().any(|loser| ours.contains(loser));
            if !all && !ours.contains(&node) && !lost {
                total.keys_between_old_nodes += keys;
            }
            *total.keys_by_node.entry(node).or_default() += keys;
        }
        for (node, bytes) in bytes_by_node {
            *total.bytes_by_node.entry(node).or_default() += bytes;
        }
        next
    }
}

/// What every slot holds, counted.
struct Counted(Vec<SlotWeight>);

impl SlotLoad for Counted {
    fn slot(&self, slot: SlotId) -> SlotWeight {
        self.0.get(slot.0 as usize).copied().unwrap_or_default()
    }
}

type Progress<'p> = &'p mut dyn FnMut(&RebalanceProgress);

impl Cluster {
    /// What a change of members would move, with the keys and bytes that are there now. Moves
    /// nothing. Reads every key.
    ///
    /// # Errors
    /// [`ClusterError::Routing`] for a change that does not fit; as for [`Cluster::scan`].
    pub fn plan(&self, change: &Change) -> Result<Plan, ClusterError> {
        let topology = self.topology();
        // Refused before everything is read for it.
        topology.plan(change, &crate::routing::UniformLoad::default())?;
        let mut weights = vec![SlotWeight::default(); topology.slots() as usize];
        let scan = self.scan(
            std::ops::Bound::Unbounded,
            std::ops::Bound::Unbounded,
            &ReadOptions::default(),
        )?;
        for entry in scan {
            let entry = entry?;
            let weight = &mut weights[topology.slot_of(&entry.key).0 as usize];
            weight.keys += 1;
            weight.bytes += (entry.key.len() + entry.value.len()) as u64;
        }
        Ok(topology.plan(change, &Counted(weights))?)
    }

    /// Carries out a change of members: moves what the plan says, slot by slot, while reads and
    /// writes go on.
    ///
    /// # Errors
    /// [`ClusterError::RebalanceUnderWay`]; [`ClusterError::Routing`] for a change that does not
    /// fit; [`ClusterError::HandOver`] and [`ClusterError::Unavailable`] when shards lose their
    /// quorum on the way: resume it then, every key is where the topology says.
    pub fn rebalance(
        &self,
        change: &Change,
        progress: Progress<'_>,
    ) -> Result<RebalanceReport, ClusterError> {
        let _mover = self.inner.mover.lock();
        if self.inner.config.get(MOVER_KEY)?.is_some() {
            return Err(ClusterError::RebalanceUnderWay {
                version: self.topology().version(),
            });
        }
        let plan = self.plan(change)?;
        self.inner.begin_change(plan)?;
        self.inner.drive(false, progress)
    }

    /// Goes on with a rebalance that was interrupted; `None` when there is none.
    ///
    /// # Errors
    /// As for [`Cluster::rebalance`].
    pub fn resume_rebalance(&self, progress: Progress<'_>) -> Result<Option<RebalanceReport>, ClusterError> {
        let _mover = self.inner.mover.lock();
        let Some((mut mover, version)) = self.inner.read_mover()? else {
            return Ok(None);
        };
        // A process that was slow and is not dead finds its epoch taken and commits nothing more.
        mover.epoch += 1;
        self.inner
            .config
            .compare_and_set(MOVER_KEY, version, &mover.encode())?;
        self.inner.drive(true, progress).map(Some)
    }
}

impl Inner {
    pub(super) fn read_mover(&self) -> Result<Option<(Mover, u64)>, ClusterError> {
        let Some(entry) = self.config.get(MOVER_KEY)? else {
            return Ok(None);
        };
        let mover = serde_json::from_slice(&entry.bytes).map_err(|error| ClusterError::Corrupt {
            path: self.layout.config_file(),
            offset: 0,
            what: format!("the list of moves: {error}"),
        })?;
        Ok(Some((mover, entry.version)))
    }

    /// First decision: the members, the new and still empty shards and the list of moves, at once.
    fn begin_change(&self, plan: Plan) -> Result<(), ClusterError> {
        let (recorded, version) = self.read_topology()?;
        let next = recorded.with_plan(&plan)?;
        let mut changes = vec![
            ConfigChange::write(TOPOLOGY_KEY, next.to_bytes()),
            ConfigChange::write(MOVER_KEY, Mover::new(plan).encode()),
        ];
        let quorum = self.explicit_quorum();
        for shard in &next.shards()[recorded.shards().len()..] {
            let entry = create_members(
                &self.env,
                &self.layout,
                self.id,
                &self.options,
                &next,
                shard,
                quorum,
            )?;
            changes.push(ConfigChange::write(members_key(shard.id), entry.encode()));
        }
        let conditions = [
            Condition::new(TOPOLOGY_KEY, version),
            Condition::new(MOVER_KEY, 0),
        ];
        self.config.transact(&conditions, &changes)?;
        self.adopt(next)
    }

    /// The quorum asked for at creation, where it was not simply a majority.
    fn explicit_quorum(&self) -> Option<u8> {
        let groups = self.groups();
        let state = groups.first()?.state.read();
        let wanted = state.members.wanted_quorum;
        (wanted != majority(state.copies.len())).then_some(wanted as u8)
    }

    /// Follows a topology that is recorded already: new nodes are up, new shards have leaders.
    fn adopt(&self, next: Topology) -> Result<(), ClusterError> {
        {
            let mut nodes = self.nodes.lock();
            for (name, up) in super::node::all_up(&next) {
                nodes.entry(name).or_insert(up);
            }
        }
        self.topology.store(Arc::new(next));
        self.open_groups()
    }

    /// Carries out the recorded moves one by one, then puts away what is empty.
    fn drive(&self, resumed: bool, progress: Progress<'_>) -> Result<RebalanceReport, ClusterError> {
        let began = self.env.clock.elapsed();
        let elapsed = || self.env.clock.elapsed().saturating_sub(began);
        let (mut mover, mut version) = self.read_mover()?.ok_or(ClusterError::RebalanceUnderWay {
            version: self.topology.load().version(),
        })?;
        let tell = |mover: &Mover,
                    phase,
                    copied: &Tally,
                    frozen_slots: usize,
                    progress: &mut dyn FnMut(&RebalanceProgress)| {
            progress(&RebalanceProgress {
                phase,
                moves_done: mover.moves_total - mover.moves.len(),
                moves_total: mover.moves_total,
                keys_done: mover.tally.keys + copied.keys,
                keys_total: mover.keys_total,
                bytes_done: mover.tally.bytes + copied.bytes,
                bytes_total: mover.bytes_total,
                frozen_slots,
                elapsed: elapsed(),
            });
        };
        tell(&mover, RebalancePhase::Preparing, &Tally::default(), 0, progress);
        let mut attempts = 0;
        while let Some(change) = mover.moves.first().cloned() {
            let mut next = None;
            let outcome = self.hand_over(
                &change,
                version,
                |done| next.insert(mover.after(done)).clone(),
                mover.epoch,
                &mut |copied, frozen| tell(&mover, RebalancePhase::Copying, copied, frozen, progress),
            );
            match (outcome, next) {
                (Ok(committed), Some(next)) => {
                    (mover, version, attempts) = (next, committed, 0);
                }
                (Ok(_), None) => unreachable!("a move commits the state that follows it"),
                (Err(error), _) => {
                    attempts += 1;
                    let passing = matches!(error, ClusterError::HandOver { .. });
                    if !passing || attempts >= ATTEMPTS {
                        return Err(error);
                    }
                    (mover, version) = self.read_mover()?.ok_or(error)?;
                }
            }
        }
        tell(&mover, RebalancePhase::Finishing, &Tally::default(), 0, progress);
        self.finish(version)?;
        Ok(RebalanceReport {
            change: mover.change,
            from_version: mover.from_version,
            to_version: self.topology.load().version(),
            moves: mover.moves_total,
            slots: mover.slots,
            keys_moved: mover.tally.keys,
            bytes_moved: mover.tally.bytes,
            versions_caught_up: mover.tally.caught_up,
            keys_by_node: mover.tally.keys_by_node,
            bytes_by_node: mover.tally.bytes_by_node,
            keys_rewritten_in_place: mover.tally.keys_local,
            keys_between_old_nodes: mover.tally.keys_between_old_nodes,
            took: elapsed(),
            resumed,
        })
    }

    /// Last decision: emptied shards are retired, drained nodes removed, the list is gone. Only
    /// then are their directories removed.
    fn finish(&self, mover_version: u64) -> Result<(), ClusterError> {
        let (recorded, version) = self.read_topology()?;
        let conditions = [
            Condition::new(TOPOLOGY_KEY, version),
            Condition::new(MOVER_KEY, mover_version),
        ];
        let mut changes = vec![ConfigChange::remove(MOVER_KEY)];
        let finished = recorded.finished()?;
        let last = finished.as_ref().unwrap_or(&recorded);
        changes.extend(
            finished
                .iter()
                .map(|next| ConfigChange::write(TOPOLOGY_KEY, next.to_bytes())),
        );
        let retired: Vec<ShardId> = last
            .shards()
            .iter()
            .filter(|shard| shard.state == ShardState::Retired)
            .map(|shard| shard.id)
            .collect();
        for shard in &retired {
            changes.push(ConfigChange::remove(members_key(*shard)));
        }
        self.config.transact(&conditions, &changes)?;
        let present = super::node::all_up(last);
        self.topology.store(Arc::new(last.clone()));
        self.nodes.lock().retain(|name, _| present.contains_key(name));
        self.close_retired(&retired);
        self.remove_leftovers()
    }

    fn close_retired(&self, retired: &[ShardId]) {
        let mut groups = Vec::clone(&self.groups.load());
        for shard in retired {
            let Some(group) = groups.get_mut(shard.0 as usize).and_then(Option::take) else {
                continue;
            };
            let mut state = group.state.write();
            state.primary = None;
            for copy in &mut state.copies {
                copy.take_down("the shard has been retired".into());
            }
        }
        self.groups.store(Arc::new(groups));
    }
}
