//! The ranges of keys a transaction has looked through.
//!
//! In: bounds, in any order and overlapping. Out: whether a key lies within. Pure. What must never
//! happen: a key that a scan went past is called outside.

use std::ops::Bound;

/// Where a scan begins and ends.
pub(super) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Ranges that do not touch each other, ascending: first key, and the first one behind; `None` for no end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyRanges(Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// The smallest key greater than `key`.
fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

impl KeyRanges {
    /// Of ranges in any order.
    pub(super) fn of(ranges: impl IntoIterator<Item = Bounds>) -> KeyRanges {
        let mut all: Vec<(Vec<u8>, Option<Vec<u8>>)> = ranges
            .into_iter()
            .map(|(start, end)| {
                let start = match start {
                    Bound::Unbounded => Vec::new(),
                    Bound::Included(key) => key,
                    Bound::Excluded(key) => after(&key),
                };
                let end = match end {
                    Bound::Unbounded => None,
                    Bound::Included(key) => Some(after(&key)),
                    Bound::Excluded(key) => Some(key),
                };
                (start, end)
            })
            .filter(|(start, end)| end.as_ref().is_none_or(|end| start < end))
            .collect();
        all.sort_unstable();
        let mut merged: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::with_capacity(all.len());
        for (start, end) in all {
            match merged.last_mut() {
                Some((_, None)) => break,
                Some((_, Some(last))) if start <= *last => match end {
                    Some(end) if end <= *last => {}
                    end => merged.last_mut().expect("looked at above").1 = end,
                },
                _ => merged.push((start, end)),
            }
        }
        KeyRanges(merged)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the first of them begins.
    pub(super) fn start(&self) -> &[u8] {
        self.0.first().map_or(&[], |(start, _)| start)
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        let behind = self.0.partition_point(|(start, _)| start.as_slice() <= key);
        behind > 0 && self.0[behind - 1].1.as_deref().is_none_or(|end| key < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        let key = || prop::collection::vec(prop::sample::select(vec![0u8, 1, 0xFF]), 0..3);
        prop_oneof![
            1 => Just(Bound::Unbounded),
            3 => key().prop_map(Bound::Included),
            3 => key().prop_map(Bound::Excluded),
        ]
    }

    proptest! {
        #[test]
        fn merged_ranges_contain_what_one_of_them_contains(
            ranges in prop::collection::vec((bound(), bound()), 0..8),
            keys in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 0xFF]), 0..4), 1..20),
        ) {
            use std::ops::RangeBounds;
            let merged = KeyRanges::of(ranges.iter().cloned());
            for key in keys {
                let expected = ranges.iter().any(|range| range.contains(&key));
                prop_assert_eq!(merged.contains(&key), expected, "{:?} in {:?}", key, ranges);
            }
        }
    }
}
