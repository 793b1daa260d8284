//! The path of a read: which replica may answer, and up to which position.
//!
//! In: a key, a level. Out: a value, who gave it, and where it stands. In groups with a quorum
//! nobody, not even the leader, answers beyond the commit position: what is not committed may
//! still be taken back. Versions below a slot's residency floor are leftovers and dead.

use std::sync::atomic::Ordering;

use super::consistency::{Consistency, ReadOptions};
use super::group::{Group, GroupState};
use super::{Cluster, ClusterError, Inner};
use crate::ids::{Lsn, ShardId, SlotId};
use crate::replication::{LocalReplica, Replica, Standing, Token};
use crate::store::{StoreError, Value};

/// A value and where it came from.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The value, pinned where it lies.
    pub value: Value,
    /// Node that answered.
    pub node: String,
    /// Position of the version in its shard's log.
    pub lsn: Lsn,
}

/// Where a key lives.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Location {
    /// Its slot.
    pub slot: SlotId,
    /// The shard that owns the slot.
    pub shard: ShardId,
    /// Node that leads the shard; the preferred one while nobody does.
    pub primary: String,
    /// All nodes of the shard, preferred primary first.
    pub replicas: Vec<String>,
}

/// Which slots a read needs, for what a replica must have taken over already.
#[derive(Clone, Copy)]
pub(super) enum Needs {
    /// One slot.
    Slot(SlotId),
    /// All that have arrived.
    All,
}

impl GroupState {
    /// Position a replica must have applied so that nothing handed over is missing.
    fn arrived(&self, needs: Needs) -> Lsn {
        match needs {
            Needs::Slot(slot) => self.arrivals.get(&slot).map_or(Lsn::ZERO, |arrival| arrival.end),
            Needs::All => self
                .arrivals
                .values()
                .map(|arrival| arrival.end)
                .max()
                .unwrap_or(Lsn::ZERO),
        }
    }
}

/// Times a read looks again because compaction has gone past its commit position. More can only be a
/// commit position that has fallen: loss of data was allowed.
pub(super) const MAX_OVERTAKEN: u32 = 100;

impl Inner {
    /// The replica that answers, and the position up to which it may.
    pub(super) fn choose(
        &self,
        group: &Group,
        state: &GroupState,
        needs: Needs,
        options: &ReadOptions,
    ) -> Result<(usize, Lsn), ClusterError> {
        let shard = group.shard;
        let bound = if !group.lone_quorum {
            group.commit()
        } else {
            Lsn(u64::MAX)
        };
        match options.consistency {
            Consistency::Strong => Ok((self.strong(group, state)?, bound)),
            Consistency::Eventual => {
                if bound == Lsn::ZERO {
                    // Nobody has led since the cluster was opened: what is committed is unknown.
                    state.leader(shard)?;
                }
                Ok((self.in_turn(group, state, needs, |_| true)?, bound))
            }
            Consistency::ReadYourWrites => {
                let token = options.token.as_ref();
                if token
                    .and_then(Token::cluster)
                    .is_some_and(|cluster| cluster != self.id)
                {
                    return Err(ClusterError::ForeignToken);
                }
                let Some(token) = token.filter(|token| !token.is_empty()) else {
                    return self.choose(group, state, needs, &ReadOptions::new(Consistency::Eventual));
                };
                // The leader's log decides what is lost; its followers only lag behind.
                let (_, leader) = state.leader(shard)?;
                match token.standing(shard, &leader.shape()) {
                    Standing::Serves => {}
                    Standing::Lost { epoch, end } => {
                        return Err(ClusterError::WriteLost { shard, epoch, end });
                    }
                    Standing::Behind => {
                        // Of the leader's own epoch or a later one, and the leader has not got it.
                        let asked = token.of_shard(shard).last();
                        let (epoch, end) = asked.unwrap_or((state.claim.epoch, Lsn::ZERO));
                        return Err(ClusterError::WriteLost { shard, epoch, end });
                    }
                }
                let has =
                    |replica: &LocalReplica| token.standing(shard, &replica.shape()) == Standing::Serves;
                Ok((self.in_turn(group, state, needs, has)?, bound))
            }
        }
    }

    /// The leader, after a quorum has confirmed that nobody else leads.
    fn strong(&self, group: &Group, state: &GroupState) -> Result<usize, ClusterError> {
        let (primary, _) = state.writable(group.shard)?;
        let mine = state.claim.epoch;
        let mut newer = None;
        let confirmed = state
            .copies
            .iter()
            .filter(|copy| copy.counts)
            .filter_map(|copy| copy.live())
            .filter(|replica| {
                let fenced = replica.fenced_epoch();
                newer = newer.max((fenced > mine).then_some(fenced));
                fenced == mine
            })
            .count();
        if let Some(theirs) = newer {
            return Err(ClusterError::StaleEpoch {
                shard: group.shard,
                ours: mine,
                theirs,
            });
        }
        if confirmed < state.members.quorum {
            return Err(ClusterError::Unavailable {
                shard: group.shard,
                reason: state.shortage(),
                all_failed: false,
            });
        }
        Ok(primary)
    }

    /// The next replica in turn that is fresh enough, has taken over what it should, and has what
    /// the caller asks for; the leader where no other does.
    fn in_turn(
        &self,
        group: &Group,
        state: &GroupState,
        needs: Needs,
        has: impl Fn(&LocalReplica) -> bool,
    ) -> Result<usize, ClusterError> {
        let arrived = state.arrived(needs);
        let count = state.copies.len();
        let turn = group.turn.fetch_add(1, Ordering::Relaxed);
        let leader = state.primary.and_then(|primary| state.copies[primary].live());
        let end = leader.map(|leader| leader.store().stable());
        for step in 0..count {
            let index = turn.wrapping_add(step) % count;
            let copy = &state.copies[index];
            let Some(replica) = copy.live() else { continue };
            if state.primary == Some(index) {
                return Ok(index);
            }
            let fresh = || end.is_none_or(|end| copy.fit(end, self.env.clock.elapsed()));
            if copy.counts && replica.store().stable() >= arrived && fresh() && has(replica) {
                return Ok(index);
            }
        }
        Ok(state.leader(group.shard)?.0)
    }

    /// Adds to `seen` that `replica` was read up to `end`, the position after a record or within it.
    pub(super) fn note_seen(
        &self,
        shard: ShardId,
        replica: &LocalReplica,
        end: Lsn,
        seen: &mut Token,
    ) -> Result<(), ClusterError> {
        let Some(epoch) = replica.shape().epoch_before(end) else {
            // Nothing has ever been written there.
            return Ok(());
        };
        Ok(seen.merge(&Token::of_write(self.id, shard, epoch, end))?)
    }

    /// Whether a write of a token was lost in a shard that has handed `slot` over since.
    pub(super) fn check_sources(
        &self,
        slot: SlotId,
        group: &Group,
        token: &Token,
    ) -> Result<(), ClusterError> {
        let arrival = group.state.read().arrivals.get(&slot).copied();
        let Some(arrival) = arrival else { return Ok(()) };
        let asked = token
            .of_shard(arrival.source)
            .any(|(epoch, _)| epoch <= arrival.source_epoch);
        // A source that no longer exists has handed over everything it ever acknowledged.
        let Some(source) = asked.then(|| self.group(arrival.source).ok()).flatten() else {
            return Ok(());
        };
        let state = source.state.read();
        let Ok((_, leader)) = state.leader(arrival.source) else {
            return Ok(());
        };
        match token.standing(arrival.source, &leader.shape()) {
            Standing::Lost { epoch, end } => Err(ClusterError::WriteLost {
                shard: arrival.source,
                epoch,
                end,
            }),
            Standing::Serves | Standing::Behind => Ok(()),
        }
    }
}

impl Cluster {
    /// The value of `key`, or `None`.
    ///
    /// # Errors
    /// [`ClusterError::Unavailable`] when no replica may answer at this level;
    /// [`ClusterError::WriteLost`] when a write of the token no longer exists;
    /// [`ClusterError::Store`] when the value is damaged on every replica that could answer.
    pub fn get(&self, key: &[u8], options: &ReadOptions) -> Result<Option<Answer>, ClusterError> {
        self.get_seen(key, options, None)
    }

    /// As [`Cluster::get`]; `seen` is told what a later read has to have so that it does not go back in time.
    pub(super) fn get_seen(
        &self,
        key: &[u8],
        options: &ReadOptions,
        mut seen: Option<&mut Token>,
    ) -> Result<Option<Answer>, ClusterError> {
        let inner = &self.inner;
        let (mut attempts, mut overtaken) = (0, 0);
        loop {
            let topology = inner.topology.load();
            topology.check_key(key)?;
            let slot = topology.slot_of(key);
            let group = inner.owner(slot)?;
            let shard = group.shard;
            if let (Consistency::ReadYourWrites, Some(token)) = (options.consistency, &options.token) {
                inner.check_sources(slot, &group, token)?;
            }
            let state = group.state.read();
            let topology = inner.topology.load();
            if topology.shard_of_slot(slot) != shard {
                continue;
            }
            let (index, bound) = inner.choose(&group, &state, Needs::Slot(slot), options)?;
            let copy = &state.copies[index];
            let Some(replica) = copy.live() else { continue };
            // Before the look-up: what is not found was not there up to here.
            let end = seen.as_ref().map(|_| bound.min(replica.store().stable()));
            match replica.store().get_version(key, bound) {
                Ok(version) => {
                    let floor = Lsn(topology.residency(slot));
                    let living = version.filter(|version| version.lsn >= floor);
                    if let (Some(seen), Some(end)) = (seen.as_mut(), end) {
                        let end = living.as_ref().map_or(end, |version| Lsn(version.lsn.0 + 1));
                        inner.note_seen(shard, replica, end, seen)?;
                    }
                    return Ok(living.and_then(|version| {
                        let (node, lsn) = (copy.node.clone(), version.lsn);
                        version.value.map(|value| Answer { value, node, lsn })
                    }));
                }
                // Compaction went past the commit position of a moment ago; there is a newer one.
                Err(StoreError::SnapshotTooOld { .. }) if overtaken < MAX_OVERTAKEN => overtaken += 1,
                Err(source) => {
                    attempts += 1;
                    if source.damage().is_none() || attempts >= state.copies.len() {
                        return Err(ClusterError::store(&copy.node, shard, source));
                    }
                    // Damaged here; the other replicas have their own copy of the bytes.
                    copy.fail(source.to_string());
                    drop(state);
                    inner.heal(&group);
                }
            }
        }
    }

    /// Where `key` lives.
    ///
    /// # Errors
    /// [`ClusterError::Routing`] when it lies outside the topology's domain.
    pub fn locate(&self, key: &[u8]) -> Result<Location, ClusterError> {
        let topology = self.inner.topology.load();
        topology.check_key(key)?;
        let slot = topology.slot_of(key);
        let shard = topology.shard_of_slot(slot);
        let replicas: Vec<String> = topology
            .node_names(shard)
            .into_iter()
            .map(str::to_owned)
            .collect();
        let leader = self.inner.group(shard).ok().and_then(|group| {
            let state = group.state.read();
            state.primary.map(|primary| state.copies[primary].node.clone())
        });
        let primary = leader.or_else(|| replicas.first().cloned()).unwrap_or_default();
        Ok(Location {
            slot,
            shard,
            primary,
            replicas,
        })
    }
}
