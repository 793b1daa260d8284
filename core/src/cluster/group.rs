//! One shard: its replicas, who leads them, and how far they agree.
//!
//! In: a leader's log and its followers. Out: shipped and fsynced records, the commit position.
//! The state is behind one lock: whoever appends, ships or reads holds it shared; whoever changes
//! who leads, freezes slots or takes a replica away holds it alone. Nobody takes it twice, and
//! nobody waits for another shard while holding it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};

use super::ClusterError;
use super::consistency::LagGate;
use super::membership::Members;
use crate::ids::{Epoch, Lsn, ShardId, SlotId};
use crate::replication::{Acked, Claim, LocalReplica, Replica, catch_up, commit_position};
use crate::store::Written;

/// One replica of the shard, open or not.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) node: String,
    pub(super) node_id: u64,
    /// `None` while the replica is out of service.
    pub(super) local: Option<LocalReplica>,
    /// Whether its fsyncs count.
    pub(super) counts: bool,
    /// Why it is out of service.
    pub(super) down: Option<String>,
    failed: AtomicBool,
    failure: Mutex<Option<String>>,
    /// Held while records are appended here, by whichever thread ships.
    shipping: Mutex<()>,
    gate: Mutex<LagGate>,
    /// Milliseconds of the clock's elapsed time at which it was known to have everything.
    fresh_ms: AtomicU64,
}

impl Copy {
    pub(super) fn new(node: &str, node_id: u64) -> Copy {
        Copy {
            node: node.to_owned(),
            node_id,
            local: None,
            counts: false,
            down: None,
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            shipping: Mutex::new(()),
            gate: Mutex::new(LagGate::default()),
            fresh_ms: AtomicU64::new(0),
        }
    }

    /// The replica, unless it is out of service or about to be.
    pub(super) fn live(&self) -> Option<&LocalReplica> {
        self.local
            .as_ref()
            .filter(|_| !self.failed.load(Ordering::Acquire))
    }

    /// Takes the replica out of every later round; the next [`Copy::take_failed`] closes it.
    pub(super) fn fail(&self, reason: impl Into<String>) {
        self.failure.lock().get_or_insert(reason.into());
        self.failed.store(true, Ordering::Release);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Drops a replica that has failed, as a crash would; returns why.
    pub(super) fn take_failed(&mut self) -> Option<String> {
        if !self.has_failed() {
            return None;
        }
        let reason = self.failure.get_mut().take().unwrap_or_default();
        self.take_down(reason.clone());
        Some(reason)
    }

    /// Takes the replica out of service without closing its store.
    pub(super) fn take_down(&mut self, reason: String) {
        self.local = None;
        self.counts = false;
        self.down = Some(reason);
        self.failed.store(false, Ordering::Release);
        *self.failure.get_mut() = None;
    }

    /// Puts an open replica into service.
    pub(super) fn put_up(&mut self, replica: LocalReplica, counts: bool) {
        self.local = Some(replica);
        self.counts = counts;
        self.down = None;
        *self.gate.get_mut() = LagGate::default();
    }

    pub(super) fn seen_fresh(&self, at: Duration) {
        self.fresh_ms.fetch_max(at.as_millis() as u64, Ordering::AcqRel);
    }

    /// How far behind a leader whose log ends at `end` this replica is.
    pub(super) fn lag(&self, end: Lsn, now: Duration) -> Duration {
        match &self.local {
            Some(replica) if replica.store().tail() >= end => Duration::ZERO,
            _ => now.saturating_sub(Duration::from_millis(self.fresh_ms.load(Ordering::Acquire))),
        }
    }

    /// Whether it is fresh enough to be read from.
    pub(super) fn fit(&self, end: Lsn, now: Duration) -> bool {
        self.gate.lock().update(now, self.lag(end, now))
    }
}

/// Where a slot came from, from this shard's own log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// Position after the record that says that all is here.
    pub(super) end: Lsn,
    pub(super) source: ShardId,
    pub(super) source_epoch: Epoch,
}

/// What the lock of a group protects.
#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) copies: Vec<Copy>,
    pub(super) members: Members,
    pub(super) members_version: u64,
    pub(super) claim: Claim,
    /// Version of the lease the claim was granted with.
    pub(super) lease_version: u64,
    pub(super) epoch_start: Lsn,
    pub(super) primary: Option<usize>,
    /// Why there is no primary.
    pub(super) halted: Option<String>,
    /// Slots that take no writes at the moment.
    pub(super) frozen: Vec<SlotId>,
    pub(super) arrivals: BTreeMap<SlotId, Arrival>,
}

impl GroupState {
    /// The leader, if it can write: a quorum of counting members is there.
    pub(super) fn writable(&self, shard: ShardId) -> Result<(usize, &LocalReplica), ClusterError> {
        let leader = self.leader(shard)?;
        if self.live_counting() < self.members.quorum {
            return Err(ClusterError::Unavailable {
                shard,
                reason: self.shortage(),
                all_failed: false,
            });
        }
        Ok(leader)
    }

    /// The leader, with or without a quorum behind it.
    pub(super) fn leader(&self, shard: ShardId) -> Result<(usize, &LocalReplica), ClusterError> {
        let found = self
            .primary
            .and_then(|index| Some((index, self.copies[index].live()?)));
        found.ok_or_else(|| ClusterError::Unavailable {
            shard,
            reason: self.shortage(),
            all_failed: self.copies.iter().all(|copy| copy.live().is_none()),
        })
    }

    pub(super) fn live_counting(&self) -> usize {
        self.copies
            .iter()
            .filter(|copy| copy.counts && copy.live().is_some())
            .count()
    }

    /// Which members are missing, in words.
    pub(super) fn shortage(&self) -> String {
        let mut text = format!(
            "{} of {} members are there, {} are needed",
            self.live_counting(),
            self.members.stores.len(),
            self.members.quorum
        );
        for copy in &self.copies {
            if let Some(reason) = &copy.down {
                text.push_str(&format!("; node {}: {reason}", copy.node));
            }
        }
        if let Some(reason) = &self.halted
            && self.primary.is_none()
        {
            text.push_str(&format!("; {reason}"));
        }
        text
    }

    /// Position below which a quorum has fsynced everything under this leadership.
    fn committed(&self) -> Option<Lsn> {
        let counting = self
            .copies
            .iter()
            .filter(|copy| copy.counts)
            .filter_map(Copy::live);
        let acks: Vec<Acked> = counting
            .map(|replica| Acked {
                epoch: replica.store().epoch(),
                durable: replica.store().durable(),
            })
            .collect();
        commit_position(&acks, self.members.quorum, self.claim.epoch, self.epoch_start)
    }
}

/// One shard in this process.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) shard: ShardId,
    pub(super) state: RwLock<GroupState>,
    /// Position below which everything is committed; grows within a leadership.
    commit: AtomicU64,
    /// Epoch of the leader; stored before the commit position of its promotion.
    epoch: AtomicU64,
    /// Whether a thread leads a round at the moment.
    round: Mutex<bool>,
    round_done: Condvar,
    /// Whether followers may lack something.
    pub(super) dirty: AtomicBool,
    /// Whose turn it is to answer an eventual read.
    pub(super) turn: AtomicUsize,
    /// Whether writes need one fsynced copy only, the leader's. Never changes.
    pub(super) lone_quorum: bool,
}

impl Group {
    pub(super) fn new(shard: ShardId, copies: Vec<Copy>, members: Members, members_version: u64) -> Group {
        Group {
            shard,
            lone_quorum: members.wanted_quorum == 1,
            state: RwLock::new(GroupState {
                copies,
                members,
                members_version,
                claim: Claim::NONE,
                lease_version: 0,
                epoch_start: Lsn::ZERO,
                primary: None,
                halted: None,
                frozen: Vec::new(),
                arrivals: BTreeMap::new(),
            }),
            commit: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            round: Mutex::new(false),
            round_done: Condvar::new(),
            dirty: AtomicBool::new(true),
            turn: AtomicUsize::new(0),
        }
    }

    pub(super) fn commit(&self) -> Lsn {
        Lsn(self.commit.load(Ordering::Acquire))
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Records a finished promotion. The state is locked alone.
    pub(super) fn lead(&self, epoch: Epoch, commit: Lsn) {
        // In this order: who sees the new commit position sees that another epoch made it. Stored,
        // not raised: where loss was allowed, the new log may be shorter than the old one was.
        self.epoch.store(epoch.0, Ordering::Release);
        self.commit.store(commit.0, Ordering::Release);
    }

    /// Whether the write is committed, as far as that can be said without the lock.
    fn known_committed(&self, written: Written) -> bool {
        // The commit position first: see `lead`.
        self.commit() >= written.end && self.epoch() == written.epoch
    }

    /// Waits until a quorum has fsynced the write. One caller leads a round for all who wait.
    /// Returns whether it is committed; `false` means that replicas or the leader failed.
    pub(super) fn await_quorum(&self, written: Written, parallel: bool, now: Duration) -> bool {
        loop {
            if self.known_committed(written) {
                return true;
            }
            let mut leading = self.round.lock();
            if *leading {
                self.round_done.wait(&mut leading);
                continue;
            }
            if self.known_committed(written) {
                return true;
            }
            *leading = true;
            drop(leading);
            let lead = RoundLead(self);
            self.round(Some(written.end), parallel, now);
            drop(lead);
            return self.verdict(written);
        }
    }

    /// Whether the write is committed, looked at closely: it may have been committed by a later
    /// leadership.
    pub(super) fn verdict(&self, written: Written) -> bool {
        let state = self.state.read();
        let Ok((_, leader)) = state.leader(self.shard) else {
            // A retired shard has no leader. Its last slots left only after the quorum had their
            // freeze, and with it every write before: those are committed, whoever asks late.
            return self.known_committed(written);
        };
        self.commit() >= written.end && leader.shape().holds(written.epoch, written.end)
    }

    /// Ships to as many followers as the quorum needs, fsyncs them and the leader, and raises the
    /// commit position. `target` is waited for, so that it is part of the round.
    pub(super) fn round(&self, target: Option<Lsn>, parallel: bool, now: Duration) {
        let state = self.state.read();
        let Ok((primary, leader)) = state.leader(self.shard) else {
            return;
        };
        if let Some(target) = target {
            // A neighbour below us that is still copying would end the shipped span before ours.
            let _ = leader.store().snapshot_at(target);
        }
        let mut followers: Vec<usize> = (0..state.copies.len())
            .filter(|index| *index != primary && state.copies[*index].counts)
            .filter(|index| state.copies[*index].live().is_some())
            .collect();
        // Those who are ahead have the least to do; the others follow in the background.
        let tail = |index: &usize| state.copies[*index].live().map(|replica| replica.store().tail());
        followers.sort_by_key(|index| (std::cmp::Reverse(tail(index)), *index));
        let needed = state.members.quorum - 1;
        let (first, rest) = followers.split_at(needed.min(followers.len()));
        let upto = leader.store().stable();
        let sync_leader = || {
            if let Err(error) = leader.sync() {
                state.copies[primary].fail(error.to_string());
            }
        };
        let mut done = 0;
        if parallel && !first.is_empty() {
            std::thread::scope(|scope| {
                let ship = |index: usize| self.ship(&state, leader, index, upto, true, now);
                let rounds: Vec<_> = first
                    .iter()
                    .map(|index| scope.spawn(move || ship(*index)))
                    .collect();
                sync_leader();
                done = rounds
                    .into_iter()
                    .map(|round| round.join().unwrap_or(false))
                    .filter(|ok| *ok)
                    .count();
            });
        } else {
            sync_leader();
            done = first
                .iter()
                .filter(|index| self.ship(&state, leader, **index, upto, true, now))
                .count();
        }
        for index in rest {
            if done >= needed {
                break;
            }
            done += usize::from(self.ship(&state, leader, *index, upto, true, now));
        }
        if let Some(commit) = state.committed() {
            self.commit.fetch_max(commit.0, Ordering::AcqRel);
        }
        self.dirty.store(true, Ordering::Release);
    }

    /// Sends one follower what it lacks up to `upto`; returns whether it has it (and has fsynced
    /// it, if asked).
    pub(super) fn ship(
        &self,
        state: &GroupState,
        leader: &LocalReplica,
        index: usize,
        upto: Lsn,
        sync: bool,
        now: Duration,
    ) -> bool {
        let copy = &state.copies[index];
        let Some(follower) = copy.live() else { return false };
        let _shipping = copy.shipping.lock();
        let shipped = catch_up(leader, follower, state.claim, upto).and_then(|_| {
            copy.seen_fresh(now);
            if sync && follower.store().durable() < upto {
                follower.sync().map(drop)
            } else {
                Ok(())
            }
        });
        if let Err(error) = shipped {
            tracing::warn!(node = copy.node, shard = self.shard.0, %error, "replica fell out");
            copy.fail(error.to_string());
            return false;
        }
        true
    }

    /// Raises the commit position to what the members have fsynced by now.
    pub(super) fn refresh_commit(&self, state: &GroupState) {
        if state.primary.is_some()
            && let Some(commit) = state.committed()
        {
            self.commit.fetch_max(commit.0, Ordering::AcqRel);
        }
    }
}

/// The lead of a round; handed on when dropped, also by a panic, or everybody else would wait for
/// ever.
struct RoundLead<'g>(&'g Group);

impl Drop for RoundLead<'_> {
    fn drop(&mut self) {
        *self.0.round.lock() = false;
        self.0.round_done.notify_all();
    }
}
