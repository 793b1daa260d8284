//! A static search tree over the anchors of a table.
//!
//! In: ascending 8-byte key prefixes, one an anchor. Out: little-endian levels, and how many
//! prefixes are smaller than one asked for. Level 0 has every prefix, each level above every
//! sixteenth of the one below, so a search reads two cache lines a level and nothing is stored
//! twice but one number in fifteen. Built once, when a table is written; read where it lies.
//! (The layout of an implicit B+-tree, as in Khuong & Morin, "Array Layouts for Comparison-Based
//! Searching", JEA 2017, with the levels apart.)

use super::format::{NODE, level_sizes};

const WORD: usize = 8;

/// First 8 bytes of what follows the shared bytes of a key, as a number that orders like them.
#[inline]
#[must_use]
pub fn prefix_of(key: &[u8], shared: usize) -> u64 {
    let rest = key.get(shared..).unwrap_or(&[]);
    if let Some(head) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*head);
    }
    let mut bytes = [0u8; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(bytes)
}

/// Levels of the tree, the lowest first.
#[must_use]
pub fn encode(prefixes: &[u64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(level_sizes(prefixes.len()).iter().sum::<usize>() * WORD);
    let mut step = 1;
    for size in level_sizes(prefixes.len()) {
        let level = prefixes.iter().step_by(step);
        debug_assert_eq!(level.len(), size);
        level.for_each(|prefix| out.extend_from_slice(&prefix.to_le_bytes()));
        step *= NODE;
    }
    out
}

/// Number of prefixes smaller than `wanted` in a tree with levels of these `sizes` (see
/// [`level_sizes`]). Total: bytes that [`encode`] has not made give some number up to that of the
/// lowest level.
#[must_use]
pub fn count_below(tree: &[u8], sizes: &[usize], wanted: u64) -> usize {
    let mut start: usize = sizes.iter().sum();
    // Elements of the level above that are smaller: the border lies in the node of the last one.
    let mut below = 1;
    for size in sizes.iter().rev().copied() {
        start -= size;
        if below == 0 {
            // Not even the first prefix is smaller, and every level begins with that one.
            return 0;
        }
        let first = (below - 1) * NODE;
        let last = (first + NODE).min(size);
        let node = tree
            .get((start + first) * WORD..(start + last) * WORD)
            .unwrap_or(&[]);
        let count = node
            .chunks_exact(WORD)
            .filter(|word| u64::from_le_bytes((*word).try_into().expect("eight bytes")) < wanted)
            .count();
        below = first + count;
    }
    below.min(sizes.first().copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_agree_with_a_plain_search(
            mut prefixes in prop::collection::vec(prop_oneof![0u64..40, any::<u64>()], 0..3000),
            wanted in prop_oneof![0u64..42, any::<u64>(), Just(u64::MAX)],
        ) {
            prefixes.sort_unstable();
            let tree = encode(&prefixes);
            prop_assert_eq!(
                count_below(&tree, &level_sizes(prefixes.len()), wanted),
                prefixes.partition_point(|prefix| *prefix < wanted)
            );
        }

        #[test]
        fn arbitrary_trees_give_some_number(
            tree in prop::collection::vec(any::<u8>(), 0..4000), anchors in 0usize..5000, wanted in any::<u64>()
        ) {
            prop_assert!(count_below(&tree, &level_sizes(anchors), wanted) <= anchors);
        }
    }

    #[test]
    fn prefixes_order_as_the_keys_do() {
        let check = |key: &[u8], shared, expected: u64| assert_eq!(prefix_of(key, shared), expected);
        check(b"", 0, 0);
        check(b"a", 0, 0x61 << 56);
        check(b"abc", 5, 0);
        check(b"user:12345678", 5, u64::from_be_bytes(*b"12345678"));
    }
}
