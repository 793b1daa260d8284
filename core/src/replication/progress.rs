//! Where logs stand, where two of them part, and how much of one is committed.
//!
//! In: epoch vectors, ends and fsynced positions. Out: common points and commit positions. Pure:
//! no log, disk or clock is known here. What must never happen: an entry of an older epoch is
//! called committed because enough copies of it exist (Raft, Ongaro & Ousterhout 2014, §5.4.2),
//! or a position is compared without its epoch.

use std::fmt;

use crate::ids::{Epoch, Lsn};

/// End of a log together with the epoch of its last record.
///
/// Ordered by epoch first: of two logs the one with the higher last epoch holds everything that
/// was ever committed, however long the other one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Epoch of the last record; 0 for an empty log.
    pub epoch: Epoch,
    /// Position after the last record.
    pub end: Lsn,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} position {}", self.epoch, self.end)
    }
}

/// What tells two logs apart: their epochs, where each begins, and where the log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogShape {
    vector: Vec<(Epoch, Lsn)>,
    end: Lsn,
}

impl LogShape {
    /// The shape of a log with these epochs, ascending, and this end.
    ///
    /// # Panics
    /// If the vector does not ascend in both parts, or begins past the end: it then was not read
    /// from a log.
    #[must_use]
    pub fn new(vector: Vec<(Epoch, Lsn)>, end: Lsn) -> LogShape {
        let ascending = vector
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
        assert!(ascending, "an epoch vector ascends in epoch and position");
        assert!(
            vector.last().is_none_or(|(_, first)| *first <= end),
            "an epoch begins within its log"
        );
        LogShape { vector, end }
    }

    /// Epochs and the position of the first record of each, ascending.
    #[must_use]
    pub fn vector(&self) -> &[(Epoch, Lsn)] {
        &self.vector
    }

    /// Position after the last record.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Epoch of the last record and the end.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            epoch: self.vector.last().map_or(Epoch(0), |(epoch, _)| *epoch),
            end: self.end,
        }
    }

    /// Where `epoch` ends in this log: where the next one begins, or the end of the log. `None`
    /// if the log has no record of that epoch.
    #[must_use]
    pub fn end_of(&self, epoch: Epoch) -> Option<Lsn> {
        let index = self
            .vector
            .binary_search_by_key(&epoch, |(epoch, _)| *epoch)
            .ok()?;
        Some(self.vector.get(index + 1).map_or(self.end, |(_, first)| *first))
    }

    /// Epoch of the record that ends at `end`, or has it within; `None` if no record lies before `end`.
    #[must_use]
    pub fn epoch_before(&self, end: Lsn) -> Option<Epoch> {
        let index = self.vector.partition_point(|(_, first)| *first < end);
        Some(self.vector.get(index.checked_sub(1)?)?.0)
    }

    /// Whether a record that ended at `end` when it was written under `epoch` is in this log.
    #[must_use]
    pub fn holds(&self, epoch: Epoch, end: Lsn) -> bool {
        self.end_of(epoch).is_some_and(|last| end <= last)
    }

    /// Position up to which the two logs are the same: the smaller end of the last epoch they
    /// share. An epoch has one writer, so where both have it they have the same records.
    #[must_use]
    pub fn common_point(&self, other: &LogShape) -> Lsn {
        for (epoch, first) in self.vector.iter().rev() {
            let Ok(index) = other.vector.binary_search_by_key(epoch, |(epoch, _)| *epoch) else {
                continue;
            };
            // The same epoch begun at two places means that one of the two was not that epoch's
            // writer's log. Trust only what lies before.
            if other.vector[index].1 != *first {
                continue;
            }
            let ends = (self.end_of(*epoch), other.end_of(*epoch));
            let (Some(ours), Some(theirs)) = ends else {
                continue;
            };
            return ours.min(theirs);
        }
        Lsn::ZERO
    }

    /// Whether this log is the beginning of `other`.
    #[must_use]
    pub fn is_prefix_of(&self, other: &LogShape) -> bool {
        self.common_point(other) == self.end
    }
}

/// How far one counting member has fsynced, and under which leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// Epoch of the last record of the member's log.
    pub epoch: Epoch,
    /// Position below which the member has fsynced.
    pub durable: Lsn,
}

/// Position below which everything is committed: the `quorum`-th largest fsynced position among
/// the counting members, the primary's included, if it lies past the start of the current epoch.
///
/// Members whose log ends in another epoch do not count: their positions may name other records.
/// Entries of older epochs become committed only together with an entry of this one; copies of
/// them, however many, can still be replaced by a leader that has never seen them (Raft §5.4.2).
///
/// # Panics
/// If `quorum` is 0: a write on no disk is not a write.
#[must_use]
pub fn commit_position(members: &[Acked], quorum: usize, epoch: Epoch, epoch_start: Lsn) -> Option<Lsn> {
    assert!(quorum > 0, "a quorum has at least one member");
    let mut durable: Vec<Lsn> = members
        .iter()
        .filter(|acked| acked.epoch == epoch)
        .map(|acked| acked.durable)
        .collect();
    durable.sort_unstable_by(|a, b| b.cmp(a));
    durable
        .get(quorum - 1)
        .copied()
        .filter(|position| *position > epoch_start)
}

/// Members a new leader has to fence, itself included, so that at least one of every `quorum`
/// members that may have acknowledged a write is among them.
///
/// # Panics
/// Unless `1 <= quorum <= members`.
#[must_use]
pub fn fence_count(members: usize, quorum: usize) -> usize {
    assert!(
        (1..=members).contains(&quorum),
        "a quorum has between 1 and all members"
    );
    members - quorum + 1
}

/// Half of the members and one more.
#[must_use]
pub fn majority(members: usize) -> usize {
    members / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape(vector: &[(u64, u64)], end: u64) -> LogShape {
        LogShape::new(
            vector.iter().map(|(e, l)| (Epoch(*e), Lsn(*l))).collect(),
            Lsn(end),
        )
    }

    #[test]
    fn logs_agree_up_to_the_smaller_end_of_their_last_common_epoch() {
        let check = |a: LogShape, b: LogShape, expected: u64| {
            assert_eq!(a.common_point(&b), Lsn(expected), "{a:?} {b:?}");
            assert_eq!(b.common_point(&a), Lsn(expected), "{b:?} {a:?}");
        };
        check(shape(&[], 0), shape(&[], 0), 0);
        check(shape(&[], 0), shape(&[(1, 0)], 80), 0);
        check(shape(&[(1, 0)], 80), shape(&[(1, 0)], 200), 80);
        // The old primary wrote on in epoch 1 while epoch 2 had begun elsewhere.
        check(shape(&[(1, 0)], 300), shape(&[(1, 0), (2, 120)], 500), 120);
        // Epochs 2 and 3 both grew out of epoch 1, at different places.
        check(
            shape(&[(1, 0), (2, 100)], 200),
            shape(&[(1, 0), (3, 150)], 400),
            100,
        );
        check(
            shape(&[(1, 0), (2, 100), (4, 300)], 350),
            shape(&[(1, 0), (2, 100), (3, 250)], 400),
            250,
        );
        check(shape(&[(5, 0)], 80), shape(&[(6, 0)], 80), 0);
        check(
            shape(&[(1, 0), (2, 100)], 180),
            shape(&[(1, 0), (2, 120)], 180),
            100,
        );
    }

    #[test]
    fn a_record_is_held_only_if_its_epoch_reaches_that_far() {
        let log = shape(&[(1, 0), (3, 150)], 400);
        assert!(log.holds(Epoch(1), Lsn(150)));
        assert!(!log.holds(Epoch(1), Lsn(151)));
        assert!(!log.holds(Epoch(2), Lsn(160)));
        assert!(log.holds(Epoch(3), Lsn(400)));
        assert!(!log.holds(Epoch(3), Lsn(401)));
    }

    #[test]
    fn the_higher_epoch_wins_over_the_longer_log() {
        let short = Position {
            epoch: Epoch(3),
            end: Lsn(100),
        };
        let long = Position {
            epoch: Epoch(2),
            end: Lsn(900),
        };
        assert!(short > long);
    }

    #[test]
    fn old_entries_on_a_quorum_are_not_committed_until_one_of_this_epoch_is() {
        let acked = |epoch, durable| Acked {
            epoch: Epoch(epoch),
            durable: Lsn(durable),
        };
        let commit = |members: &[Acked]| commit_position(members, 2, Epoch(4), Lsn(100));
        // Everyone holds the log up to 100, where epoch 4 begins; nobody a record of epoch 4.
        assert_eq!(commit(&[acked(4, 100), acked(4, 100), acked(3, 100)]), None);
        // Only the primary has fsynced its EPOCH_START.
        assert_eq!(commit(&[acked(4, 180), acked(3, 100), acked(3, 100)]), None);
        // A diverged tail is longer but names other records.
        assert_eq!(commit(&[acked(4, 180), acked(3, 900), acked(3, 100)]), None);
        assert_eq!(
            commit(&[acked(4, 180), acked(4, 160), acked(3, 900)]),
            Some(Lsn(160))
        );
        assert_eq!(
            commit(&[acked(4, 180), acked(4, 170), acked(4, 160)]),
            Some(Lsn(170))
        );
    }

    #[test]
    fn every_write_quorum_meets_every_fence_quorum() {
        for members in 1..=7usize {
            for quorum in 1..=members {
                let fenced = fence_count(members, quorum);
                assert!(quorum + fenced > members);
                assert!(quorum + fenced - 1 <= members, "one fence less would already do");
            }
        }
        assert_eq!((majority(1), majority(2), majority(3), majority(5)), (1, 2, 2, 3));
    }

    /// Logs of one shard: a tree of epochs, each grown from some place of an earlier one.
    fn history() -> impl Strategy<Value = Vec<(usize, u64, u64)>> {
        proptest::collection::vec((any::<usize>(), 0u64..40, 1u64..40), 1..9)
    }

    proptest! {
        #[test]
        fn the_common_point_is_where_the_records_first_differ(
            history in history(), a in any::<usize>(), b in any::<usize>(), cut in (0u64..60, 0u64..60),
        ) {
            // Model: a log is a list of (epoch, position) cells, so equality is visible.
            let mut logs: Vec<Vec<u64>> = Vec::new();
            for (i, (parent, keep, add)) in history.iter().enumerate() {
                let mut log = if logs.is_empty() { Vec::new() } else { logs[parent % logs.len()].clone() };
                log.truncate(*keep as usize);
                log.extend(std::iter::repeat_n(i as u64 + 1, *add as usize));
                logs.push(log);
            }
            let take = |pick: usize, cut: u64| {
                let mut log = logs[pick % logs.len()].clone();
                log.truncate(cut as usize);
                log
            };
            let to_shape = |log: &[u64]| {
                let mut vector: Vec<(Epoch, Lsn)> = Vec::new();
                for (at, epoch) in log.iter().enumerate() {
                    if vector.last().is_none_or(|(last, _)| last.0 != *epoch) {
                        vector.push((Epoch(*epoch), Lsn(at as u64)));
                    }
                }
                LogShape::new(vector, Lsn(log.len() as u64))
            };
            let (a, b) = (take(a, cut.0), take(b, cut.1));
            let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count() as u64;
            prop_assert_eq!(to_shape(&a).common_point(&to_shape(&b)), Lsn(same));
            prop_assert_eq!(to_shape(&a).is_prefix_of(&to_shape(&b)), same == a.len() as u64);
        }
    }
}
