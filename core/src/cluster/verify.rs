//! Checking a whole cluster: every replica by itself, replicas against each other, and every key
//! against the topology.
//!
//! In: an open cluster. Out: what was checked and everything that is wrong, with its place. Reads
//! only.

use std::ops::Bound;

use serde::Serialize;

use super::group::Group;
use super::{Cluster, ClusterError};
use crate::ids::{Lsn, ShardId, SlotId};
use crate::store::{Damage, VerifyReport};

/// What the check of one replica found.
#[derive(Clone, Debug, Serialize)]
pub struct ReplicaVerify {
    /// Its node.
    pub node: String,
    /// Its shard.
    pub shard: ShardId,
    /// What its store says.
    pub report: VerifyReport,
}

/// Something that is wrong without a checksum telling.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Disagreement {
    /// Two replicas of a shard differ below the commit position.
    Replicas {
        /// The shard.
        shard: ShardId,
        /// One node.
        a: String,
        /// The other.
        b: String,
        /// First position at which they differ.
        at: Lsn,
    },
    /// A replica is out of service.
    Down {
        /// Its node.
        node: String,
        /// Its shard.
        shard: ShardId,
        /// Why.
        reason: String,
    },
    /// A living key of a slot that another shard owns, without a record that it was handed over.
    Misplaced {
        /// The shard it was found in.
        shard: ShardId,
        /// The slot it belongs to.
        slot: SlotId,
        /// The shard that owns the slot.
        owner: ShardId,
        /// The key.
        key: Vec<u8>,
    },
}

/// What the check of a cluster found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClusterVerifyReport {
    /// Every replica that could be checked.
    pub replicas: Vec<ReplicaVerify>,
    /// Bytes of log compared between replicas.
    pub compared_bytes: u64,
    /// Keys found in the shard that owns their slot.
    pub keys: u64,
    /// Versions left behind by slots that moved away; they are never read.
    pub leftovers: u64,
    /// Damaged places: file, offset, what.
    pub damage: Vec<Damage>,
    /// What is wrong without being damaged.
    pub disagreements: Vec<Disagreement>,
}

impl ClusterVerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.disagreements.is_empty()
    }
}

impl Cluster {
    /// Checks every checksum of every replica, compares the replicas of each shard byte by byte up
    /// to the commit position, and looks for keys that are where they should not be. `progress` is
    /// told the replicas done and the replicas in all. Writes go on; a replica that is being
    /// checked keeps its shard from changing leaders.
    ///
    /// # Errors
    /// Only what keeps the check itself from going on; what it finds is in the report.
    pub fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<ClusterVerifyReport, ClusterError> {
        let groups = self.inner.groups();
        let total: u64 = groups
            .iter()
            .map(|group| group.state.read().copies.len() as u64)
            .sum();
        let mut report = ClusterVerifyReport::default();
        let mut done = 0;
        for group in &groups {
            self.verify_group(group, &mut report, &mut || {
                done += 1;
                progress(done, total);
            })?;
        }
        Ok(report)
    }

    fn verify_group(
        &self,
        group: &Group,
        report: &mut ClusterVerifyReport,
        step: &mut dyn FnMut(),
    ) -> Result<(), ClusterError> {
        let shard = group.shard;
        let state = group.state.read();
        let commit = group.commit();
        let mut sound = Vec::new();
        for (index, copy) in state.copies.iter().enumerate() {
            step();
            let Some(replica) = copy.live() else {
                let reason = copy.down.clone().unwrap_or_default();
                report.disagreements.push(Disagreement::Down {
                    node: copy.node.clone(),
                    shard,
                    reason,
                });
                continue;
            };
            let checked = replica.store().verify(&mut |_, _| {});
            let checked = checked.map_err(|error| ClusterError::store(&copy.node, shard, error))?;
            if checked.damage.is_empty() {
                sound.push(index);
            }
            report.damage.extend(checked.damage.iter().cloned());
            report.replicas.push(ReplicaVerify {
                node: copy.node.clone(),
                shard,
                report: checked,
            });
        }
        // Against the leader where it is sound: one comparison for each other replica.
        let first = state
            .primary
            .filter(|primary| sound.contains(primary))
            .or(sound.first().copied());
        let Some(first) = first else { return Ok(()) };
        let Some(ours) = state.copies[first].live() else {
            return Ok(());
        };
        for index in sound.iter().copied().filter(|index| *index != first) {
            let Some(theirs) = state.copies[index].live() else {
                continue;
            };
            // A learner, or a follower that lags, is compared as far as it has come.
            let end = ours.store().stable().min(theirs.store().stable());
            let upto = if state.primary.is_some() {
                end.min(commit)
            } else {
                end
            };
            let differs = ours.store().first_difference(theirs.store(), upto);
            let differs =
                differs.map_err(|error| ClusterError::store(&state.copies[index].node, shard, error))?;
            report.compared_bytes += upto.0;
            if let Some(at) = differs {
                let (a, b) = (state.copies[first].node.clone(), state.copies[index].node.clone());
                report
                    .disagreements
                    .push(Disagreement::Replicas { shard, a, b, at });
            }
        }
        let snapshot = ours.store().snapshot();
        let node = &state.copies[first].node;
        let scan = snapshot.scan(Bound::Unbounded, Bound::Unbounded);
        let scan = scan.map_err(|error| ClusterError::store(node, shard, error))?;
        let topology = self.topology();
        let left = self.slots_that_left(group, ours)?;
        for entry in scan {
            let entry = entry.map_err(|error| ClusterError::store(node, shard, error))?;
            let slot = topology.slot_of(&entry.key);
            let owner = topology.shard_of_slot(slot);
            if owner == shard && entry.lsn.0 >= topology.residency(slot) {
                report.keys += 1;
            } else if owner == shard || left.contains(&slot) {
                report.leftovers += 1;
            } else {
                let key = entry.key.to_vec();
                report.disagreements.push(Disagreement::Misplaced {
                    shard,
                    slot,
                    owner,
                    key,
                });
            }
        }
        Ok(())
    }

    /// Slots whose versions here may be leftovers: they left, or a hand-over to here may have
    /// broken off.
    fn slots_that_left(
        &self,
        group: &Group,
        replica: &crate::replication::LocalReplica,
    ) -> Result<std::collections::BTreeSet<SlotId>, ClusterError> {
        use crate::store::HandOverKind;
        let mut left = std::collections::BTreeSet::new();
        let known = replica.store().hand_overs();
        for hand_over in known.map_err(|error| ClusterError::store("", group.shard, error))? {
            match hand_over.kind {
                HandOverKind::Frozen(frozen) => left.extend(frozen.slots),
                HandOverKind::Owned(owned) => left.extend(owned.slots),
            }
        }
        // A copy that broke off before its record is known from the list of moves alone.
        if let Some((mover, _)) = self.inner.read_mover()? {
            for change in mover.moves.iter().filter(|change| change.to == group.shard) {
                left.extend(change.slots.iter().copied());
            }
        }
        Ok(left)
    }
}
