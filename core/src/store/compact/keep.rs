//! Which versions of a key a compaction keeps.
//!
//! In: the versions of one key, newest first, and the positions at which somebody may read. Out: which
//! of them stay. Pure. What must never happen: a version goes that a snapshot, a position at or above
//! the horizon, or another run needs in order to be read right.

use crate::ids::Lsn;
use crate::log::expiry::Expiry;
use crate::log::format::RecordKind;

/// What compaction may leave out.
#[derive(Clone, Debug)]
pub(super) struct KeepRule {
    /// Positions at which reads must stay exact, ascending; reads above the last one as well.
    pub(super) visible_at: Vec<Lsn>,
    /// Deletions at or above this position stay, for those who copy deletions from here.
    pub(super) tombstones_from: Lsn,
    /// Whether no run that takes no part has older versions: only then may a deletion go.
    pub(super) is_oldest: bool,
    /// A time that is no later than that of any reader, now and to come: values that expire by then are
    /// gone for everybody.
    pub(super) now_ms: u64,
}

impl KeepRule {
    /// Sets `keep[i]` for version `i` of a users' key.
    pub(super) fn decide(&self, versions: &[(Lsn, RecordKind, Expiry)], keep: &mut Vec<bool>) {
        keep.clear();
        let mut newer = Lsn(u64::MAX);
        let mut needed_above = false;
        for (lsn, kind, _) in versions {
            // Seen by a reader at `at` if it is the newest below: lsn < at <= newer.
            let first = self.visible_at.partition_point(|at| at <= lsn);
            let seen = match self.visible_at.get(first) {
                Some(at) => *at <= newer,
                // Beyond all of them: nobody may thin out here.
                None => true,
            };
            let kept = seen || needed_above;
            // An operand means nothing without what it is applied to.
            needed_above = kept && *kind == RecordKind::Merge;
            keep.push(kept);
            newer = *lsn;
        }
        // The oldest version that stays: if it says "deleted", so does its absence.
        if self.is_oldest
            && let Some(last) = keep.iter().rposition(|kept| *kept)
            && self.says_nothing(versions[last])
            && versions[last].0 < self.tombstones_from
        {
            keep[last] = false;
        }
    }

    /// Whether everybody who sees the version sees no value.
    fn says_nothing(&self, (lsn, kind, expiry): (Lsn, RecordKind, Expiry)) -> bool {
        let is_none = match kind {
            RecordKind::Delete => true,
            RecordKind::Put => expiry.is_over(self.now_ms),
            _ => false,
        };
        is_none && self.visible_at.last().is_some_and(|horizon| lsn < *horizon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decide(rule: &KeepRule, versions: &[(Lsn, RecordKind)]) -> Vec<bool> {
        let versions: Vec<_> = versions
            .iter()
            .map(|(lsn, kind)| (*lsn, *kind, Expiry::NEVER))
            .collect();
        let mut keep = Vec::new();
        rule.decide(&versions, &mut keep);
        keep
    }

    #[test]
    fn superseded_versions_stay_only_where_somebody_reads() {
        let check =
            |at: &[u64], tombstones_from, is_oldest, versions: &[(u64, RecordKind)], expected: &[bool]| {
                let rule = KeepRule {
                    visible_at: at.iter().map(|at| Lsn(*at)).collect(),
                    tombstones_from: Lsn(tombstones_from),
                    is_oldest,
                    now_ms: 0,
                };
                let versions: Vec<_> = versions.iter().map(|(lsn, kind)| (Lsn(*lsn), *kind)).collect();
                assert_eq!(decide(&rule, &versions), expected, "{at:?} {versions:?}");
            };
        use RecordKind::{Delete, Merge, Put};
        check(
            &[100],
            100,
            true,
            &[(90, Put), (80, Put), (70, Put)],
            &[true, false, false],
        );
        check(
            &[75, 100],
            100,
            true,
            &[(90, Put), (80, Put), (70, Put)],
            &[true, false, true],
        );
        check(
            &[80, 100],
            100,
            true,
            &[(90, Put), (80, Put), (70, Put)],
            &[true, false, true],
        );
        check(&[100], 100, true, &[(90, Delete), (80, Put)], &[false, false]);
        check(&[100], 100, false, &[(90, Delete), (80, Put)], &[true, false]);
        check(&[100], 90, true, &[(90, Delete), (80, Put)], &[true, false]);
        check(&[85, 100], 100, true, &[(90, Delete), (80, Put)], &[true, true]);
        check(&[85, 100], 100, true, &[(90, Put), (80, Delete)], &[true, false]);
        check(
            &[100],
            100,
            true,
            &[(90, Merge), (80, Merge), (70, Put), (60, Put)],
            &[true, true, true, false],
        );
        check(
            &[50],
            50,
            true,
            &[(90, Put), (80, Put), (40, Put)],
            &[true, true, true],
        );
        check(&[50], 50, true, &[(90, Delete)], &[true]);
    }

    proptest! {
        /// What a reader sees at any allowed position is the same before and after.
        #[test]
        fn no_allowed_read_changes(
            lsns in prop::collection::btree_set(1u64..60, 1..12),
            deleted in prop::collection::vec(any::<bool>(), 12),
            held in prop::collection::btree_set(1u64..50, 0..4),
            tombstones_from in 0u64..60,
        ) {
            let horizon = 50;
            let versions: Vec<(Lsn, RecordKind)> = lsns.iter().rev().zip(&deleted)
                .map(|(lsn, deleted)| (Lsn(*lsn), if *deleted { RecordKind::Delete } else { RecordKind::Put }))
                .collect();
            let mut visible_at: Vec<Lsn> = held.iter().map(|at| Lsn(*at)).collect();
            visible_at.push(Lsn(horizon));
            let rule = KeepRule { visible_at, tombstones_from: Lsn(tombstones_from), is_oldest: true, now_ms: 0 };
            let keep = decide(&rule, &versions);
            let kept: Vec<_> = versions.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(v, _)| *v).collect();
            let read = |versions: &[(Lsn, RecordKind)], at: u64| {
                let found = versions.iter().find(|(lsn, _)| lsn.0 < at).copied();
                found.filter(|(_, kind)| *kind != RecordKind::Delete)
            };
            for at in held.into_iter().chain(horizon..70) {
                prop_assert_eq!(read(&kept, at), read(&versions, at), "at {}", at);
            }
            for (lsn, kind) in &versions {
                let seen_deletion = *kind == RecordKind::Delete && versions[0].0 == *lsn && lsn.0 >= tombstones_from;
                prop_assert!(!seen_deletion || kept.contains(&(*lsn, *kind)), "a deletion that copies need is gone");
            }
        }

        /// The same with values that expire: each reader has the time at which it began.
        #[test]
        fn no_allowed_read_of_expiring_values_changes(
            lsns in prop::collection::btree_set(1u64..60, 1..10),
            kinds in prop::collection::vec((any::<bool>(), prop::option::of(90u64..110)), 10),
            held in prop::collection::btree_map(1u64..50, 80u64..=100, 0..4),
            tombstones_from in 0u64..60, is_oldest in any::<bool>(),
        ) {
            let horizon = 50;
            let now_ms = held.values().copied().min().unwrap_or(100);
            let versions: Vec<(Lsn, RecordKind, Expiry)> = lsns.iter().rev().zip(&kinds)
                .map(|(lsn, (deleted, expiry))| match deleted {
                    true => (Lsn(*lsn), RecordKind::Delete, Expiry::NEVER),
                    false => (Lsn(*lsn), RecordKind::Put, expiry.map_or(Expiry::NEVER, Expiry::at_ms)),
                })
                .collect();
            let mut visible_at: Vec<Lsn> = held.keys().map(|at| Lsn(*at)).collect();
            visible_at.push(Lsn(horizon));
            let rule = KeepRule { visible_at, tombstones_from: Lsn(tombstones_from), is_oldest, now_ms };
            let mut keep = Vec::new();
            rule.decide(&versions, &mut keep);
            let kept: Vec<_> = versions.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(v, _)| *v).collect();
            let read = |versions: &[(Lsn, RecordKind, Expiry)], at: u64, now: u64| {
                let found = versions.iter().find(|(lsn, _, _)| lsn.0 < at).copied();
                found.filter(|(_, kind, expiry)| *kind != RecordKind::Delete && !expiry.is_over(now))
            };
            let later = (horizon..70).flat_map(|at| [(at, now_ms), (at, now_ms + 5), (at, now_ms + 50)]);
            for (at, now) in held.into_iter().chain(later) {
                prop_assert_eq!(read(&kept, at, now), read(&versions, at, now), "at {} and {} ms", at, now);
            }
            // Without it, an older version in a run that takes no part would come back.
            prop_assert!(is_oldest || keep[0]);
        }
    }
}
