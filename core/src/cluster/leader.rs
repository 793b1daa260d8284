//! Who leads a shard: going on after a clean close, taking over after anything else, and letting
//! replicas back in.
//!
//! In: a shard with its replicas open or down. Out: a leader that a quorum has acknowledged, or
//! the reason why there is none. The rule itself is in [`crate::replication::failover`]; here it
//! meets leases, recorded members and events. Everything here holds the group's lock alone.

use std::time::Duration;

use super::config_store::{Change, Condition, Grant};
use super::event::Event;
use super::group::{Arrival, Group, GroupState};
use super::membership::{Members, members_key};
use super::{ClusterError, Inner};
use crate::ids::{Epoch, Lsn};
use crate::replication::failover::Reachable;
use crate::replication::{
    Acked, Alignment, LocalReplica, Position, Promotion, PromotionRules, Replica, ReplicationError, align,
    catch_up, commit_position, fence_count, promote,
};
use crate::store::HandOverKind;

impl Inner {
    /// Gives a freshly opened shard its leader.
    pub(super) fn start(&self, group: &Group) -> Result<(), ClusterError> {
        let mut state = group.state.write();
        let lease = self.config.lease(group.shard)?;
        if let Some(grant) = lease
            && self.go_on(group, &mut state, grant)
        {
            return Ok(());
        }
        self.elect(group, &mut state);
        Ok(())
    }

    /// Goes on in the epoch of the last close, if the holder of the lease and every member that
    /// can be reached had been closed: then nobody's life has ended within that epoch.
    fn go_on(&self, group: &Group, state: &mut GroupState, grant: Grant) -> bool {
        let claim = grant.claim;
        let Some(primary) = state
            .copies
            .iter()
            .position(|copy| copy.counts && copy.node_id == claim.holder)
        else {
            return false;
        };
        let counting = || {
            state
                .copies
                .iter()
                .filter(|copy| copy.counts)
                .filter_map(|copy| copy.live())
        };
        let Some(leader) = state.copies[primary].live() else {
            return false;
        };
        let shape = leader.shape();
        let clean = counting().all(|replica| replica.store().recovery().was_clean());
        let alike = counting().all(|replica| replica.shape().is_prefix_of(&shape));
        let known = counting().all(|replica| replica.claim().epoch <= claim.epoch);
        let start = shape.vector().iter().find(|(epoch, _)| *epoch == claim.epoch);
        let Some((_, epoch_start)) = start.copied() else {
            return false;
        };
        if !clean || !alike || !known || leader.claim() != claim || counting().count() < state.members.quorum
        {
            return false;
        }
        if leader.store().resume_epoch(claim.epoch).is_err() {
            return false;
        }
        let mut acks = Vec::new();
        for copy in state.copies.iter().filter(|copy| copy.counts) {
            let Some(replica) = copy.live() else { continue };
            match bring_up(leader, replica, claim, shape.end()) {
                Ok(_) => {
                    acks.push(Acked {
                        epoch: replica.store().epoch(),
                        durable: replica.store().durable(),
                    });
                }
                Err(error) => copy.fail(error.to_string()),
            }
        }
        let commit = commit_position(&acks, state.members.quorum, claim.epoch, epoch_start);
        let Some(commit) = commit else { return false };
        self.install(group, state, primary, grant, epoch_start, commit);
        true
    }

    /// Makes one of the live members the leader, in a new epoch, or records why nobody can be.
    pub(super) fn elect(&self, group: &Group, state: &mut GroupState) {
        let began = self.env.clock.elapsed();
        state.primary = None;
        let outcome = loop {
            self.drop_failed(group, state);
            match self.try_elect(group, state, began) {
                Ok(true) => break Ok(()),
                // A candidate fell out on the way; the next one may do.
                Ok(false) => {}
                Err(reason) => break Err(reason),
            }
        };
        if let Err(reason) = outcome {
            tracing::warn!(shard = group.shard.0, reason, "shard takes no writes");
            if state.halted.as_ref() != Some(&reason) {
                self.note(Event::Halted {
                    shard: group.shard,
                    reason: reason.clone(),
                });
            }
            state.halted = Some(reason);
        }
    }

    fn try_elect(&self, group: &Group, state: &mut GroupState, began: Duration) -> Result<bool, String> {
        let words = |error: ClusterError| error.to_string();
        let mut allow_loss = false;
        let needed =
            |members: &Members| fence_count(members.stores.len(), members.quorum).max(members.quorum);
        if state.live_counting() < needed(&state.members) {
            if !self.options.allow_data_loss || state.live_counting() == 0 {
                return Err(format!("a leader needs {} members", needed(&state.members)));
            }
            self.give_up_missing(group, state).map_err(words)?;
            allow_loss = true;
        }
        let live: Vec<usize> = (0..state.copies.len())
            .filter(|index| state.copies[*index].live().is_some())
            .collect();
        let Some(at) = live.iter().position(|index| state.copies[*index].counts) else {
            return Err("no counting member is there".into());
        };
        let candidate = live[at];
        let nonce = self.env.entropy.next_u64();
        let holder = state.copies[candidate].node_id;
        let grant = self
            .config
            .acquire(group.shard, holder, nonce)
            .map_err(|error| error.to_string())?;
        let rules = PromotionRules {
            members: state.members.stores.len(),
            quorum: state.members.quorum,
            commit: Position {
                epoch: group.epoch(),
                end: group.commit(),
            },
            allow_loss,
        };
        let reachable: Vec<Reachable<'_>> = live
            .iter()
            .filter_map(|index| {
                let copy = &state.copies[*index];
                Some(Reachable {
                    replica: copy.live()?,
                    counts: copy.counts,
                })
            })
            .collect();
        match promote(&reachable, at, grant.claim, &rules) {
            Ok(done) => {
                for (member, reason) in &done.failed {
                    state.copies[live[*member]].fail(reason.clone());
                }
                self.install(group, state, candidate, grant, done.epoch_start, done.commit);
                self.report_promotion(group, state, &live, &done, allow_loss, began);
                self.drop_failed(group, state);
                Ok(true)
            }
            Err(error) => {
                let copy = &state.copies[candidate];
                let own = copy
                    .live()
                    .is_none_or(|replica| replica.store().poisoned().is_some());
                if own || matches!(error, ReplicationError::Io { .. }) {
                    copy.fail(error.to_string());
                    return Ok(false);
                }
                Err(error.to_string())
            }
        }
    }

    /// Takes the missing members off the record, because the caller has said that what only they
    /// had may be lost. Recorded before anything is served under the smaller set.
    fn give_up_missing(&self, group: &Group, state: &mut GroupState) -> Result<(), ClusterError> {
        let live = state.copies.iter().filter(|copy| copy.counts);
        let stores = live
            .filter_map(|copy| Some((copy.node_id, copy.live()?.store_id())))
            .collect();
        let members = state.members.only(stores);
        let key = members_key(group.shard);
        let record = format!(
            "{} of {} members",
            members.stores.len(),
            state.members.stores.len()
        );
        let version = self.config.transact(
            &[Condition::new(key.clone(), state.members_version)],
            &[
                Change::write(key, members.encode()),
                Change::write(format!("lossy/{}/{}", group.shard, state.claim.epoch), record),
            ],
        )?;
        state.members = members;
        state.members_version = version;
        Ok(())
    }

    fn install(
        &self,
        group: &Group,
        state: &mut GroupState,
        primary: usize,
        grant: Grant,
        epoch_start: Lsn,
        commit: Lsn,
    ) {
        state.claim = grant.claim;
        state.lease_version = grant.version;
        state.epoch_start = epoch_start;
        state.primary = Some(primary);
        state.halted = None;
        self.thaw(group, state);
        group.lead(grant.claim.epoch, commit);
        if let Err(error) = load_arrivals(state) {
            state.copies[primary].fail(error.to_string());
        }
        let now = self.env.clock.elapsed();
        state.copies.iter().for_each(|copy| copy.seen_fresh(now));
        self.readmit(group, state);
    }

    /// Lets go of what the leadership before had frozen: its mover will find the lease changed.
    /// Unless it was faster, and the move is committed though not yet visible here; such slots
    /// must not take writes again, so the recorded topology is read after the grant.
    fn thaw(&self, group: &Group, state: &mut GroupState) {
        if state.frozen.is_empty() {
            return;
        }
        match self.read_topology() {
            Ok((recorded, _)) => {
                state
                    .frozen
                    .retain(|slot| recorded.shard_of_slot(*slot) != group.shard);
            }
            Err(error) => tracing::warn!(%error, "frozen slots stay so: the topology cannot be read"),
        }
    }

    fn report_promotion(
        &self,
        group: &Group,
        state: &GroupState,
        live: &[usize],
        done: &Promotion,
        lossy: bool,
        began: Duration,
    ) {
        for (member, cut) in &done.truncated {
            self.note_truncation(group, &state.copies[live[*member]].node, cut);
        }
        let node = state
            .primary
            .map_or_else(String::new, |primary| state.copies[primary].node.clone());
        // The first epoch of a shard is its beginning, not a failover.
        if done.claim.epoch > Epoch(1) {
            self.note(Event::Promoted {
                shard: group.shard,
                node,
                epoch: done.claim.epoch,
                fenced: done.fenced,
                copied_bytes: done.copied_bytes,
                took: self.env.clock.elapsed().saturating_sub(began),
                lossy,
            });
        }
    }

    fn note_truncation(&self, group: &Group, node: &str, cut: &Alignment) {
        self.note(Event::TailTruncated {
            node: node.to_owned(),
            shard: group.shard,
            from: cut.from,
            to: cut.to,
            kept: cut.kept.clone(),
        });
    }

    /// Drops replicas that have failed, as a crash would.
    pub(super) fn drop_failed(&self, group: &Group, state: &mut GroupState) {
        for copy in &mut state.copies {
            if let Some(reason) = copy.take_failed() {
                self.note(Event::ReplicaDown {
                    node: copy.node.clone(),
                    shard: group.shard,
                    reason,
                });
            }
        }
    }

    /// Deals with replicas that have failed since: takes them out, and replaces a failed leader.
    pub(super) fn heal(&self, group: &Group) {
        let mut state = group.state.write();
        let lost_leader = state
            .primary
            .is_none_or(|primary| state.copies[primary].has_failed());
        self.drop_failed(group, &mut state);
        if lost_leader && state.live_counting() > 0 {
            self.elect(group, &mut state);
        }
    }

    /// Lets replicas that do not count but have caught up count again. Needs a leader.
    pub(super) fn readmit(&self, group: &Group, state: &mut GroupState) {
        let Some(primary) = state.primary else { return };
        for index in 0..state.copies.len() {
            let Some(leader) = state.copies[primary].live() else {
                return;
            };
            let copy = &state.copies[index];
            let Some(learner) = copy.live().filter(|_| !copy.counts) else {
                continue;
            };
            let before = learner.store().tail();
            // To the very end, with no writer beside us: what is acknowledged next under a larger
            // quorum must not rest on records that only the leader has.
            let end = leader.store().stable();
            let caught_up = leader
                .sync()
                .map_err(|error| state.copies[primary].fail(error.to_string()))
                .is_ok_and(|_| match bring_up(leader, learner, state.claim, end) {
                    Ok(_) => true,
                    Err(error) => {
                        copy.fail(error.to_string());
                        false
                    }
                });
            if !caught_up || learner.store().durable() < end {
                continue;
            }
            let bytes = end.0.saturating_sub(before.0);
            let next = state.members.with(copy.node_id, learner.store_id());
            let key = members_key(group.shard);
            match self
                .config
                .compare_and_set(&key, state.members_version, &next.encode())
            {
                Ok(version) => {
                    state.members = next;
                    state.members_version = version;
                    state.copies[index].counts = true;
                    let node = state.copies[index].node.clone();
                    self.note(Event::Readmitted {
                        node,
                        shard: group.shard,
                        bytes,
                    });
                }
                Err(error) => tracing::warn!(%error, "a replica could not be re-admitted"),
            }
        }
        group.refresh_commit(state);
    }

    /// Puts an opened replica back into its shard: takes back what the leader has not, sends what
    /// is missing, and elects a leader if there was none.
    pub(super) fn rejoin(&self, group: &Group, index: usize, replica: LocalReplica) {
        let before = replica.store().tail();
        // The bulk of it without stopping anybody.
        {
            let state = group.state.read();
            if let Ok((_, leader)) = state.leader(group.shard) {
                let sent = self.follow(group, &state.copies[index].node, leader, &replica, &state);
                if let Err(error) = sent {
                    drop(state);
                    group.state.write().copies[index].take_down(error.to_string());
                    self.note_down(group, index, error.to_string());
                    return;
                }
            }
        }
        let mut state = group.state.write();
        let node = state.copies[index].node.clone();
        let followed = match state.leader(group.shard) {
            Ok((_, leader)) => self.follow(group, &node, leader, &replica, &state).map(|()| true),
            Err(_) => Ok(false),
        };
        match followed {
            Err(error) => {
                state.copies[index].take_down(error.to_string());
                drop(state);
                self.note_down(group, index, error.to_string());
            }
            Ok(led) => {
                let counts = state
                    .members
                    .counts(state.copies[index].node_id, replica.store_id());
                if !counts {
                    self.note(Event::ReplicaWiped {
                        node: node.clone(),
                        shard: group.shard,
                    });
                }
                let bytes = replica.store().tail().0.saturating_sub(before.0);
                state.copies[index].put_up(replica, counts);
                state.copies[index].seen_fresh(self.env.clock.elapsed());
                if led {
                    self.note(Event::Rejoined {
                        node,
                        shard: group.shard,
                        bytes,
                    });
                    self.readmit(group, &mut state);
                    group.refresh_commit(&state);
                } else {
                    self.elect(group, &mut state);
                }
            }
        }
    }

    fn follow(
        &self,
        group: &Group,
        node: &str,
        leader: &LocalReplica,
        replica: &LocalReplica,
        state: &GroupState,
    ) -> Result<(), ReplicationError> {
        let cut = bring_up(leader, replica, state.claim, leader.store().stable())?;
        if let Some(cut) = cut {
            self.note_truncation(group, node, &cut);
        }
        Ok(())
    }

    fn note_down(&self, group: &Group, index: usize, reason: String) {
        let node = group.state.read().copies[index].node.clone();
        self.note(Event::ReplicaDown {
            node,
            shard: group.shard,
            reason,
        });
    }
}

/// Makes a replica follow the leader up to `upto`, fsynced.
fn bring_up(
    leader: &LocalReplica,
    replica: &LocalReplica,
    claim: crate::replication::Claim,
    upto: Lsn,
) -> Result<Option<Alignment>, ReplicationError> {
    replica.fence(claim)?;
    if std::ptr::eq(leader, replica) {
        replica.sync()?;
        return Ok(None);
    }
    let cut = align(leader, replica, claim)?;
    catch_up(leader, replica, claim, upto)?;
    replica.sync()?;
    Ok(cut)
}

/// Reads from the leader's log where slots came from.
fn load_arrivals(state: &mut GroupState) -> Result<(), ReplicationError> {
    let Some(leader) = state.primary.and_then(|primary| state.copies[primary].live()) else {
        return Ok(());
    };
    let mut arrivals = std::collections::BTreeMap::new();
    for hand_over in leader.store().hand_overs()? {
        if let HandOverKind::Owned(owned) = hand_over.kind {
            for slot in owned.slots {
                let arrival = Arrival {
                    end: hand_over.end,
                    source: owned.source,
                    source_epoch: owned.source_epoch,
                };
                arrivals.insert(slot, arrival);
            }
        }
    }
    state.arrivals = arrivals;
    Ok(())
}
