//! Replicas in memory that lose what was not fsynced, and the histories that need every step of
//! the rule of failover. Each scenario names the shortcut that would lose a write.

use std::path::PathBuf;

use parking_lot::Mutex;

use super::failover::{FenceRound, Promotion, PromotionRules, Reachable, promote};
use super::fence::Claim;
use super::progress::{Acked, LogShape, commit_position, majority};
use super::replica::Replica;
use super::ship::{align, catch_up};
use super::{Position, ReplicationError};
use crate::ids::{Epoch, Lsn};
use crate::store::LogChunk;

/// Bytes of one record of the model: its payload.
const RECORD: u64 = 8;

#[derive(Debug, Default)]
struct State {
    /// (epoch, payload); `u64::MAX` stands for the first record of an epoch.
    records: Vec<(u64, u64)>,
    durable: usize,
    fence: Option<Claim>,
}

/// A replica in memory.
#[derive(Debug, Default)]
pub(crate) struct MemReplica(Mutex<State>);

impl MemReplica {
    fn with(records: &[(u64, u64)], durable: usize) -> MemReplica {
        MemReplica(Mutex::new(State {
            records: records.to_vec(),
            durable,
            fence: None,
        }))
    }

    fn append(&self, epoch: u64, payload: u64) {
        self.0.lock().records.push((epoch, payload));
    }

    fn payloads(&self) -> Vec<u64> {
        self.0
            .lock()
            .records
            .iter()
            .map(|(_, payload)| *payload)
            .filter(|p| *p != u64::MAX)
            .collect()
    }

    /// Loses `lost` of the records that were not fsynced.
    fn crash(&self, lost: usize) {
        let mut state = self.0.lock();
        let keep = state.records.len().saturating_sub(lost).max(state.durable);
        state.records.truncate(keep);
    }

    fn check(&self, claim: Claim) -> Result<(), ReplicationError> {
        let stands = self.0.lock().fence.unwrap_or(Claim::NONE);
        if claim.epoch < stands.epoch || (claim.epoch == stands.epoch && claim != stands) {
            return Err(ReplicationError::Fenced {
                offered: claim.epoch,
                stands,
            });
        }
        Ok(())
    }

    fn heed(&self, claim: Claim) -> Result<(), ReplicationError> {
        self.check(claim)?;
        self.0.lock().fence = Some(claim);
        Ok(())
    }
}

impl Replica for MemReplica {
    fn fence(&self, claim: Claim) -> Result<(), ReplicationError> {
        self.heed(claim)
    }

    fn shape(&self) -> LogShape {
        let state = self.0.lock();
        let mut vector: Vec<(Epoch, Lsn)> = Vec::new();
        for (at, (epoch, _)) in state.records.iter().enumerate() {
            if vector.last().is_none_or(|(last, _)| last.0 != *epoch) {
                vector.push((Epoch(*epoch), Lsn(at as u64 * RECORD)));
            }
        }
        LogShape::new(vector, Lsn(state.records.len() as u64 * RECORD))
    }

    fn durable(&self) -> Lsn {
        Lsn(self.0.lock().durable as u64 * RECORD)
    }

    fn read_log(&self, from: Lsn, max_bytes: usize) -> Result<LogChunk, ReplicationError> {
        let state = self.0.lock();
        let rest = &state.records[(from.0 / RECORD) as usize..];
        let epoch = rest.first().map_or(0, |(epoch, _)| *epoch);
        let most = (max_bytes / RECORD as usize).max(1);
        let same = rest.iter().take(most).take_while(|(other, _)| *other == epoch);
        let bytes = same.flat_map(|(_, payload)| payload.to_le_bytes()).collect();
        Ok(LogChunk {
            epoch: Epoch(epoch),
            from,
            bytes,
        })
    }

    fn apply(&self, claim: Claim, chunk: &LogChunk) -> Result<(), ReplicationError> {
        self.heed(claim)?;
        let mut state = self.0.lock();
        assert_eq!(
            chunk.from.0,
            state.records.len() as u64 * RECORD,
            "a chunk begins at the end"
        );
        let (payloads, _) = chunk.bytes.as_chunks::<8>();
        state.records.extend(
            payloads
                .iter()
                .map(|payload| (chunk.epoch.0, u64::from_le_bytes(*payload))),
        );
        Ok(())
    }

    fn truncate(&self, claim: Claim, to: Lsn) -> Result<Vec<PathBuf>, ReplicationError> {
        self.heed(claim)?;
        let mut state = self.0.lock();
        state.records.truncate((to.0 / RECORD) as usize);
        state.durable = state.durable.min(state.records.len());
        Ok(Vec::new())
    }

    fn begin_epoch(&self, claim: Claim) -> Result<Lsn, ReplicationError> {
        self.heed(claim)?;
        self.append(claim.epoch.0, u64::MAX);
        Ok(self.shape().end())
    }

    fn sync(&self) -> Result<Lsn, ReplicationError> {
        let mut state = self.0.lock();
        state.durable = state.records.len();
        drop(state);
        Ok(self.durable())
    }
}

const NOTHING: Position = Position {
    epoch: Epoch(0),
    end: Lsn::ZERO,
};

fn claim(epoch: u64, holder: u64) -> Claim {
    Claim {
        epoch: Epoch(epoch),
        holder,
        nonce: epoch * 1000 + holder,
    }
}

fn reach<'r>(members: &[&'r MemReplica]) -> Vec<Reachable<'r>> {
    members
        .iter()
        .map(|replica| Reachable {
            replica: *replica,
            counts: true,
        })
        .collect()
}

fn rules(members: usize, quorum: usize) -> PromotionRules {
    PromotionRules {
        members,
        quorum,
        commit: NOTHING,
        allow_loss: false,
    }
}

#[test]
fn a_leader_that_promotes_alone_is_refused_where_writes_may_be_elsewhere() {
    // The candidate has slept through write 7, which the other two have acknowledged.
    let (a, b) = (
        MemReplica::with(&[(1, 5)], 1),
        MemReplica::with(&[(1, 5), (1, 7)], 2),
    );
    let alone = promote(&reach(&[&a]), 0, claim(2, 1), &rules(3, 2));
    assert!(matches!(
        alone,
        Err(ReplicationError::TooFewFenced { fenced: 1, needed: 2 })
    ));
    assert_eq!(a.payloads(), [5], "nothing was begun");
    let both = promote(&reach(&[&a, &b]), 0, claim(3, 1), &rules(3, 2)).unwrap();
    assert_eq!((both.best, both.copied_bytes), (1, RECORD));
    assert_eq!(a.payloads(), [5, 7]);
}

#[test]
fn a_write_acknowledged_before_the_fence_is_seen_by_whoever_reads_after_it() {
    // The old leader still writes while the new one prepares. Had the shape of `b` been read
    // before its fence, write 8 would have been acknowledged by `a` and `b` and then lost.
    let a = MemReplica::with(&[(1, 5)], 1);
    let b = MemReplica::with(&[(1, 5)], 1);
    let old = claim(1, 1);
    b.fence(old).unwrap();
    a.append(1, 8);
    a.sync().unwrap();
    catch_up(&a, &b, old, a.shape().end()).unwrap();
    b.sync().unwrap();
    let c = MemReplica::with(&[(1, 5)], 1);
    let mut round = FenceRound::new(claim(2, 3));
    round
        .fence(
            0,
            &Reachable {
                replica: &c,
                counts: true,
            },
        )
        .unwrap();
    round
        .fence(
            1,
            &Reachable {
                replica: &b,
                counts: true,
            },
        )
        .unwrap();
    // Too late for the old leader: its next write finds no second member.
    a.append(1, 9);
    assert!(matches!(
        catch_up(&a, &b, old, a.shape().end()),
        Err(ReplicationError::Fenced { stands, .. }) if stands == claim(2, 3)
    ));
    let choice = round.choose(0, &rules(3, 2)).unwrap();
    assert_eq!(choice.best, 1);
    assert_eq!(
        choice.position,
        Position {
            epoch: Epoch(1),
            end: Lsn(2 * RECORD)
        }
    );
}

#[test]
fn the_epoch_of_the_last_record_decides_not_the_fenced_one() {
    // `a` has promised itself to epoch 4, whose leader never wrote; `b` holds records of epoch 3.
    let a = MemReplica::with(&[(1, 5), (1, 6), (1, 7)], 3);
    a.fence(claim(4, 9)).unwrap();
    let b = MemReplica::with(&[(1, 5), (3, u64::MAX), (3, 8)], 3);
    let done = promote(&reach(&[&a, &b]), 0, claim(5, 1), &rules(3, 2)).unwrap();
    assert_eq!(done.best, 1);
    assert_eq!(done.truncated.len(), 1);
    assert_eq!(a.payloads(), [5, 8]);
}

#[test]
fn the_longer_log_of_an_older_epoch_does_not_win() {
    let a = MemReplica::with(&[(1, 5), (1, 6), (1, 7), (1, 8)], 4);
    let b = MemReplica::with(&[(1, 5), (2, u64::MAX), (2, 9)], 3);
    promote(&reach(&[&a, &b]), 0, claim(3, 1), &rules(3, 2)).unwrap();
    assert_eq!(a.payloads(), [5, 9]);
    assert_eq!(b.payloads(), [5, 9]);
}

#[test]
fn nothing_is_served_before_the_quorum_has_fsynced_the_new_epoch() {
    /// A replica whose disk has failed: it takes records and cannot make them durable.
    struct NoSync(MemReplica);
    impl Replica for NoSync {
        fn fence(&self, claim: Claim) -> Result<(), ReplicationError> {
            self.0.fence(claim)
        }
        fn shape(&self) -> LogShape {
            self.0.shape()
        }
        fn durable(&self) -> Lsn {
            self.0.durable()
        }
        fn read_log(&self, from: Lsn, max: usize) -> Result<LogChunk, ReplicationError> {
            self.0.read_log(from, max)
        }
        fn apply(&self, claim: Claim, chunk: &LogChunk) -> Result<(), ReplicationError> {
            self.0.apply(claim, chunk)
        }
        fn truncate(&self, claim: Claim, to: Lsn) -> Result<Vec<PathBuf>, ReplicationError> {
            self.0.truncate(claim, to)
        }
        fn begin_epoch(&self, claim: Claim) -> Result<Lsn, ReplicationError> {
            self.0.begin_epoch(claim)
        }
        fn sync(&self) -> Result<Lsn, ReplicationError> {
            let source = std::io::Error::from_raw_os_error(5);
            Err(ReplicationError::Io {
                op: "sync",
                path: PathBuf::from("b"),
                source,
            })
        }
    }
    let a = MemReplica::with(&[(1, 5)], 1);
    let b = NoSync(MemReplica::with(&[(1, 5)], 1));
    let members = [
        Reachable {
            replica: &a,
            counts: true,
        },
        Reachable {
            replica: &b as &dyn Replica,
            counts: true,
        },
    ];
    let refused = promote(&members, 0, claim(2, 1), &rules(3, 2));
    assert!(matches!(
        refused,
        Err(ReplicationError::TooFewAcks {
            acked: 1,
            needed: 2,
            ..
        })
    ));
}

#[test]
fn a_wiped_replica_neither_counts_nor_outranks() {
    let a = MemReplica::with(&[(1, 5), (1, 6)], 2);
    let wiped = MemReplica::with(&[], 0);
    let members = [
        Reachable {
            replica: &a,
            counts: true,
        },
        Reachable {
            replica: &wiped,
            counts: false,
        },
    ];
    let refused = promote(&members, 0, claim(2, 1), &rules(3, 2));
    assert!(matches!(
        refused,
        Err(ReplicationError::TooFewFenced { fenced: 1, needed: 2 })
    ));
}

#[test]
fn an_async_group_needs_every_member_or_says_that_it_may_lose_writes() {
    let a = MemReplica::with(&[(1, 5)], 1);
    let b = MemReplica::with(&[(1, 5), (1, 6)], 2);
    let c = MemReplica::with(&[(1, 5), (1, 6), (1, 7)], 3);
    let refused = promote(&reach(&[&a, &b]), 0, claim(2, 1), &rules(3, 1));
    assert!(matches!(
        refused,
        Err(ReplicationError::TooFewFenced { fenced: 2, needed: 3 })
    ));
    let lossy = PromotionRules {
        allow_loss: true,
        ..rules(3, 1)
    };
    let done = promote(&reach(&[&a, &b]), 0, claim(3, 1), &lossy).unwrap();
    assert!(done.lossy);
    assert_eq!(a.payloads(), [5, 6]);
    let all = promote(&reach(&[&b, &a, &c]), 0, claim(4, 2), &rules(3, 1)).unwrap();
    assert!(!all.lossy);
    // The lossy leader's epoch outranks the longer log: write 7 was given up with open eyes.
    assert_eq!(b.payloads(), [5, 6]);
}

#[test]
fn a_log_without_what_is_committed_is_never_chosen() {
    // Cannot come about by the rule; if it does, the shard stays without a leader.
    let a = MemReplica::with(&[(1, 5)], 1);
    let b = MemReplica::with(&[(1, 5), (2, 7)], 2);
    let commit = Position {
        epoch: Epoch(1),
        end: Lsn(2 * RECORD),
    };
    let refused = promote(
        &reach(&[&a, &b]),
        0,
        claim(3, 1),
        &PromotionRules {
            commit,
            ..rules(3, 2)
        },
    );
    assert!(matches!(refused, Err(ReplicationError::CommittedMissing { .. })));
    assert_eq!((a.payloads(), b.payloads()), (vec![5], vec![5, 7]));
}

#[test]
fn a_newer_leader_ends_an_older_ones_attempt() {
    let a = MemReplica::with(&[(1, 5)], 1);
    let b = MemReplica::with(&[(1, 5)], 1);
    b.fence(claim(7, 2)).unwrap();
    let refused = promote(&reach(&[&a, &b]), 0, claim(6, 1), &rules(3, 2));
    assert!(matches!(
        refused,
        Err(ReplicationError::Fenced {
            offered: Epoch(6),
            ..
        })
    ));
}

/// xorshift64*: the histories must be the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }
}

/// One leader, current or deposed without knowing it.
struct Leader {
    member: usize,
    claim: Claim,
    epoch_start: Lsn,
    /// What each member has fsynced for this leader, as answered to it.
    acks: Vec<Option<Acked>>,
}

/// Random crashes, cut-off leaders and take-overs; returns promotions and acknowledged writes.
fn run_history(seed: u64) -> (usize, usize) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let n = 1 + dice.roll(5);
    let quorum = if dice.roll(2) == 0 {
        majority(n)
    } else {
        1 + dice.roll(n)
    };
    let members: Vec<MemReplica> = (0..n).map(|_| MemReplica::default()).collect();
    let mut up = vec![true; n];
    let mut leaders: Vec<Leader> = Vec::new();
    let mut acked: Vec<u64> = Vec::new();
    let (mut epoch, mut payload, mut promotions) = (0u64, 0u64, 0usize);
    for _ in 0..80 {
        match dice.roll(10) {
            0 => {
                let victim = dice.roll(n);
                up[victim] = false;
                members[victim].crash(dice.roll(6));
                // A leadership dies with its process.
                leaders.retain(|leader| leader.member != victim);
            }
            1 | 2 => up[dice.roll(n)] = true,
            3 | 4 => {
                let candidate = dice.roll(n);
                if !up[candidate] {
                    continue;
                }
                epoch += 1;
                // Some of those that are up cannot be reached at this moment.
                let mut order = vec![candidate];
                order.extend((0..n).filter(|m| *m != candidate && up[*m] && dice.roll(4) > 0));
                let reachable = reach(&order.iter().map(|m| &members[*m]).collect::<Vec<_>>());
                let claim = claim(epoch, candidate as u64);
                let Ok(done) = promote(&reachable, 0, claim, &rules(n, quorum)) else {
                    continue;
                };
                promotions += 1;
                let Promotion { epoch_start, .. } = done;
                let held = members[candidate].payloads();
                for write in &acked {
                    assert!(
                        held.contains(write),
                        "seed {seed}: write {write} is lost in epoch {epoch}"
                    );
                }
                leaders.push(Leader {
                    member: candidate,
                    claim,
                    epoch_start,
                    acks: vec![None; n],
                });
            }
            _ => {
                if leaders.is_empty() {
                    continue;
                }
                let chosen = dice.roll(leaders.len());
                let leader = &mut leaders[chosen];
                let own = &members[leader.member];
                if own.check(leader.claim).is_err() {
                    // Fenced itself: the local append is refused.
                    leaders.remove(chosen);
                    continue;
                }
                payload += 1;
                own.append(leader.claim.epoch.0, payload);
                let end = own.shape().end();
                for m in 0..n {
                    if !up[m] || dice.roll(3) == 0 {
                        continue;
                    }
                    if m != leader.member {
                        let aligned = align(own, &members[m], leader.claim);
                        if aligned.is_err() || catch_up(own, &members[m], leader.claim, end).is_err() {
                            continue;
                        }
                    }
                    // Applied, and only sometimes fsynced.
                    if dice.roll(3) > 0 && members[m].check(leader.claim).is_ok() {
                        let durable = members[m].sync().unwrap();
                        leader.acks[m] = Some(Acked {
                            epoch: leader.claim.epoch,
                            durable,
                        });
                    }
                }
                let answers: Vec<Acked> = leader.acks.iter().flatten().copied().collect();
                let commit = commit_position(&answers, quorum, leader.claim.epoch, leader.epoch_start);
                if commit.is_some_and(|commit| commit >= end) {
                    acked.push(payload);
                }
            }
        }
    }
    (promotions, acked.len())
}

#[test]
fn no_acknowledged_write_is_lost_in_random_histories() {
    let (mut promotions, mut acked) = (0, 0);
    for seed in 0..20_000 {
        let (p, a) = run_history(seed);
        promotions += p;
        acked += a;
    }
    // The histories have to be worth something: many take-overs, many acknowledged writes.
    assert!(
        promotions > 20_000 && acked > 20_000,
        "{promotions} promotions, {acked} acknowledged writes"
    );
}
