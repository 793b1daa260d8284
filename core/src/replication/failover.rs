//! Taking over a shard.
//!
//! In: the members of a shard, a grant (epoch, holder, nonce), the quorum. Out: a leader whose log
//! holds every write that was ever acknowledged. The order of steps is the whole point:
//!
//! 1. **Fence** `members - quorum + 1` counting members, the candidate included. Every quorum that
//!    acknowledged a write has one of them, and from now on none of them acknowledges for anybody
//!    else.
//! 2. **Then read** where their logs end: (epoch of the last record, position). Read earlier, and a
//!    write could be acknowledged between reading and fencing. The epoch compared is that of the
//!    last *record*; the fenced epoch says nothing about what a log holds.
//! 3. **Copy** the best of these logs to the candidate, after taking back what the candidate has
//!    and the best has not.
//! 4. **Begin** the own epoch with a record of its own, and serve only after `quorum` members have
//!    fsynced it. Only now are older entries committed (Raft §5.4.2).
//!
//! With a quorum of 1 all members are needed, or the explicit permission to lose writes, which
//! the caller has to record. The types keep the order: a log's shape exists here only as the
//! answer of a member that has been fenced.

use super::ReplicationError;
use super::fence::Claim;
use super::progress::{Acked, LogShape, Position, commit_position, fence_count};
use super::replica::Replica;
use super::ship::{Alignment, align, catch_up};
use crate::ids::Lsn;

/// What the group says about itself, from the config store and not from memory.
#[derive(Clone, Copy, Debug)]
pub struct PromotionRules {
    /// Members that count, whether they can be reached or not.
    pub members: usize,
    /// Fsynced copies a write needs, the leader's included.
    pub quorum: usize,
    /// End of what is known to be committed, and the epoch of the leader that committed it. A
    /// log without it is never chosen.
    pub commit: Position,
    /// Take over with too few fenced members, although acknowledged writes may be lost. The
    /// caller records that it did.
    pub allow_loss: bool,
}

/// A member that can be reached.
pub struct Reachable<'r> {
    /// The replica.
    pub replica: &'r dyn Replica,
    /// Whether its fsyncs count: recorded in the config store, with this very store.
    pub counts: bool,
}

/// A finished take-over.
#[derive(Clone, Debug)]
pub struct Promotion {
    /// Claim it was done under.
    pub claim: Claim,
    /// Position of the new epoch's first record.
    pub epoch_start: Lsn,
    /// Position below which everything is committed; past the new epoch's first record.
    pub commit: Lsn,
    /// Counting members that were fenced.
    pub fenced: usize,
    /// Index of the member whose log was the best.
    pub best: usize,
    /// Where that log ended.
    pub best_position: Position,
    /// Bytes copied to the candidate.
    pub copied_bytes: u64,
    /// What was taken back, by index of the member.
    pub truncated: Vec<(usize, Alignment)>,
    /// Members that failed on the way, with the reason. They have to be opened again.
    pub failed: Vec<(usize, String)>,
    /// Whether fewer members than needed were fenced, so that acknowledged writes may be lost.
    pub lossy: bool,
}

/// Answers of fenced members. Shapes get in only through [`FenceRound::fence`].
pub struct FenceRound {
    claim: Claim,
    answers: Vec<(usize, LogShape, bool)>,
}

/// Whose log is the best, decided on answers of fenced members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Index of the member with the best log.
    pub best: usize,
    /// Where it ends.
    pub position: Position,
    /// Counting members that had been fenced.
    pub fenced: usize,
    /// Whether they were too few and loss was allowed.
    pub lossy: bool,
}

impl FenceRound {
    /// A round under one claim.
    #[must_use]
    pub fn new(claim: Claim) -> FenceRound {
        FenceRound {
            claim,
            answers: Vec::new(),
        }
    }

    /// Fences one member and then, not before, reads its log's shape.
    ///
    /// # Errors
    /// As for [`Replica::fence`]; the member then is not part of the round.
    pub fn fence(&mut self, index: usize, member: &Reachable<'_>) -> Result<(), ReplicationError> {
        member.replica.fence(self.claim)?;
        self.answers.push((index, member.replica.shape(), member.counts));
        Ok(())
    }

    /// Picks the best log: highest epoch of the last record, then the longest; the candidate's
    /// where it is as good as any.
    ///
    /// Members that do not count are fenced but not asked: a wiped replica's short log proves
    /// nothing, and a log that was never acknowledged for must not outrank one that was.
    ///
    /// # Errors
    /// [`ReplicationError::TooFewFenced`], [`ReplicationError::CommittedMissing`].
    pub fn choose(&self, candidate: usize, rules: &PromotionRules) -> Result<Choice, ReplicationError> {
        let counting = || self.answers.iter().filter(|(_, _, counts)| *counts);
        let fenced = counting().count();
        let needed = fence_count(rules.members, rules.quorum);
        let lossy = fenced < needed;
        if (lossy && !rules.allow_loss) || fenced == 0 {
            return Err(ReplicationError::TooFewFenced { fenced, needed });
        }
        let best = counting()
            .max_by_key(|(index, shape, _)| (shape.position(), *index == candidate))
            .expect("at least one counting member was fenced");
        // The one mistake nothing can repair, so it is looked for although it cannot happen: the
        // shard rather stays without a leader.
        let Position { epoch, end } = rules.commit;
        if !rules.allow_loss && end > Lsn::ZERO && !best.1.holds(epoch, end) {
            return Err(ReplicationError::CommittedMissing {
                best: best.1.position(),
                commit: rules.commit,
            });
        }
        Ok(Choice {
            best: best.0,
            position: best.1.position(),
            fenced,
            lossy,
        })
    }
}

/// Makes `members[candidate]` the leader under `claim`.
///
/// On an error nothing is served: the claim's epoch is spent, and the next attempt needs a new
/// grant. Blocks on disks; the caller keeps writers away meanwhile.
///
/// # Errors
/// [`ReplicationError::TooFewFenced`], [`ReplicationError::TooFewAcks`],
/// [`ReplicationError::CommittedMissing`], [`ReplicationError::Fenced`] when a newer leader has been here, or what the candidate's own
/// store says. Failures of other members only leave those out.
pub fn promote(
    members: &[Reachable<'_>],
    candidate: usize,
    claim: Claim,
    rules: &PromotionRules,
) -> Result<Promotion, ReplicationError> {
    let mut failed: Vec<(usize, String)> = Vec::new();
    let leader = &members[candidate];

    let mut round = FenceRound::new(claim);
    round.fence(candidate, leader)?;
    for (index, member) in members
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != candidate)
    {
        match round.fence(index, member) {
            Ok(()) => {}
            // A member that listens to a newer leader ends this attempt: it is not ours to lead.
            Err(error @ ReplicationError::Fenced { .. }) => return Err(error),
            Err(error) => failed.push((index, error.to_string())),
        }
    }
    let choice = round.choose(candidate, rules)?;

    let mut truncated = Vec::new();
    let mut copied_bytes = 0;
    if choice.best != candidate {
        let best = members[choice.best].replica;
        let taken_back = align(best, leader.replica, claim)?;
        truncated.extend(taken_back.map(|alignment| (candidate, alignment)));
        copied_bytes = catch_up(best, leader.replica, claim, choice.position.end)?;
    }

    let epoch_start = leader.replica.shape().end();
    leader.replica.begin_epoch(claim)?;
    leader.replica.sync()?;

    let mut acks = vec![Acked {
        epoch: claim.epoch,
        durable: leader.replica.durable(),
    }];
    for (index, member) in members.iter().enumerate() {
        let out = failed.iter().any(|(other, _)| *other == index);
        if index == candidate || out {
            continue;
        }
        match follow(leader.replica, member.replica, claim) {
            Ok((taken_back, durable)) => {
                truncated.extend(taken_back.map(|alignment| (index, alignment)));
                if member.counts {
                    acks.push(Acked {
                        epoch: claim.epoch,
                        durable,
                    });
                }
            }
            Err(error) => failed.push((index, error.to_string())),
        }
    }
    let commit = commit_position(&acks, rules.quorum, claim.epoch, epoch_start);
    let commit = commit.ok_or(ReplicationError::TooFewAcks {
        epoch: claim.epoch,
        acked: acks.len(),
        needed: rules.quorum,
    })?;
    Ok(Promotion {
        claim,
        epoch_start,
        commit,
        fenced: choice.fenced,
        best: choice.best,
        best_position: choice.position,
        copied_bytes,
        truncated,
        failed,
        lossy: choice.lossy,
    })
}

/// Brings a member behind the leader, fsynced; returns its durable position.
fn follow(
    leader: &dyn Replica,
    member: &dyn Replica,
    claim: Claim,
) -> Result<(Option<Alignment>, Lsn), ReplicationError> {
    let taken_back = align(leader, member, claim)?;
    catch_up(leader, member, claim, leader.shape().end())?;
    Ok((taken_back, member.sync()?))
}
