//! Maglev: a table that every node fills in its own order, looked up with one load.
//!
//! Nodes and a prime table size M come in, the node of a key goes out (D. Eisenbud et al., "Maglev",
//! NSDI 2016, §3.4). Offset xxh64(name, 0) mod M, skip xxh64(name, 1) mod (M - 1) + 1, nodes take turns
//! in the byte order of their names; the entry of a key is xxh64(key, 0) mod M. Very even and very
//! fast; a change of nodes also moves a few keys between old ones, so it suits connections and
//! caches, not stored data.
//!
//! The paper gives heavier nodes more turns without saying when. Here the k-th turn of a node of weight
//! w, counted from 1, comes in round ceil(k · heaviest / w), in the order of names within a round: the
//! heaviest fills an entry every round, and equal weights are the paper's own scheme. A weight that is
//! tiny beside the others may get no entry at all. Replicas are the next distinct nodes in the table,
//! which the paper does not know.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use xxhash_rust::xxh64::xxh64;

use super::error::RoutingError;
use super::node::{NodeSpec, check_nodes};

/// Entries of the table unless asked otherwise: the paper's smaller size.
pub const DEFAULT_TABLE_SIZE: u32 = 65_537;
/// Largest table: 32 MiB of entries.
const MAX_TABLE_SIZE: u32 = 1 << 24;

/// An immutable table. Thread-safe.
#[derive(Clone, Debug)]
pub struct Maglev {
    nodes: Vec<NodeSpec>,
    table: Vec<u16>,
    /// Nodes that have entries.
    distinct: usize,
}

impl Maglev {
    /// Fills a table of `table_size` entries, which must be a prime number.
    ///
    /// # Errors
    /// Those of a bad list of nodes, [`RoutingError::NoWeight`], [`RoutingError::BadTableSize`].
    pub fn new(nodes: &[NodeSpec], table_size: u32) -> Result<Maglev, RoutingError> {
        check_nodes(nodes)?;
        let usable = table_size <= MAX_TABLE_SIZE && table_size as usize >= nodes.len();
        if !usable || !is_prime(table_size) {
            return Err(RoutingError::BadTableSize {
                size: table_size,
                nodes: nodes.len(),
                max: MAX_TABLE_SIZE,
            });
        }
        let table = fill(nodes, table_size)?;
        let mut met = vec![false; nodes.len()];
        table.iter().for_each(|&owner| met[usize::from(owner)] = true);
        Ok(Maglev {
            nodes: nodes.to_vec(),
            distinct: met.into_iter().filter(|&met| met).count(),
            table,
        })
    }

    /// Index, in the list given, of the node of a key.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> u16 {
        self.table[self.entry(key)]
    }

    /// Puts the indexes of the first `replicas` distinct nodes from the entry of a key on into `out`,
    /// and returns how many could not be found because too few nodes have entries.
    pub fn owners(&self, key: &[u8], replicas: usize, out: &mut Vec<u16>) -> usize {
        out.clear();
        let wanted = replicas.min(self.distinct);
        let (before, after) = self.table.split_at(self.entry(key));
        for &owner in after.iter().chain(before) {
            if out.len() == wanted {
                break;
            }
            if !out.contains(&owner) {
                out.push(owner);
            }
        }
        replicas - wanted
    }

    fn entry(&self, key: &[u8]) -> usize {
        (xxh64(key, 0) % self.table.len() as u64) as usize
    }

    /// Owners of all entries.
    pub(super) fn table(&self) -> &[u16] {
        &self.table
    }

    /// Nodes that have entries: the most a key can have.
    #[must_use]
    pub fn distinct_nodes(&self) -> usize {
        self.distinct
    }

    /// The nodes as given.
    #[must_use]
    pub fn nodes(&self) -> &[NodeSpec] {
        &self.nodes
    }
}

/// One node's way through the table.
struct Filler {
    /// The next entry it would take.
    at: u64,
    skip: u64,
    weight: u32,
    turns: u64,
    index: u16,
}

impl Filler {
    /// Round of its next turn.
    fn round(&self, heaviest: u32) -> u64 {
        ((self.turns + 1) * u64::from(heaviest)).div_ceil(self.weight.into())
    }
}

fn fill(nodes: &[NodeSpec], table_size: u32) -> Result<Vec<u16>, RoutingError> {
    let size = u64::from(table_size);
    let mut fillers: Vec<Filler> = (0u16..)
        .zip(nodes)
        .filter(|(_, node)| node.weight > 0)
        .map(|(index, node)| Filler {
            at: xxh64(node.name.as_bytes(), 0) % size,
            skip: xxh64(node.name.as_bytes(), 1) % (size - 1) + 1,
            weight: node.weight,
            turns: 0,
            index,
        })
        .collect();
    fillers.sort_unstable_by_key(|filler| nodes[usize::from(filler.index)].name.as_bytes());
    let heaviest = fillers.iter().map(|filler| filler.weight).max();
    let heaviest = heaviest.ok_or(RoutingError::NoWeight)?;
    let next = |(order, filler): (usize, &Filler)| Reverse((filler.round(heaviest), order));
    let mut turns: BinaryHeap<_> = fillers.iter().enumerate().map(next).collect();
    let mut table: Vec<Option<u16>> = vec![None; table_size as usize];
    for _ in 0..table_size {
        let Reverse((_, order)) = turns.pop().expect("every turn is followed by another one");
        let filler = &mut fillers[order];
        // M is prime and the skip is not 0, so every entry comes up once.
        while table[filler.at as usize].is_some() {
            filler.at = (filler.at + filler.skip) % size;
        }
        table[filler.at as usize] = Some(filler.index);
        filler.turns += 1;
        turns.push(Reverse((filler.round(heaviest), order)));
    }
    Ok(table.into_iter().flatten().collect())
}

fn is_prime(n: u32) -> bool {
    n >= 2
        && (2u64..)
            .take_while(|d| d * d <= u64::from(n))
            .all(|d| !u64::from(n).is_multiple_of(d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_shared_evenly_and_odd_sizes_are_refused() {
        let nodes = NodeSpec::parse_list("a,b,c").unwrap();
        let maglev = Maglev::new(&nodes, 1009).unwrap();
        for node in 0..3 {
            let entries = maglev.table.iter().filter(|&&owner| owner == node).count();
            assert!((336..=337).contains(&entries), "{entries}");
        }
        for size in [0, 1, 2, 1000, MAX_TABLE_SIZE + 43] {
            assert!(matches!(
                Maglev::new(&nodes, size),
                Err(RoutingError::BadTableSize { .. })
            ));
        }
        assert_eq!(Maglev::new(&nodes[..1], 2).unwrap().owner(b"k"), 0);
    }

    #[test]
    fn entries_follow_weights() {
        let nodes = NodeSpec::parse_list("a=1,b=4,c=0,d=2").unwrap();
        let maglev = Maglev::new(&nodes, 7001).unwrap();
        let count = |node| maglev.table.iter().filter(|&&owner| owner == node).count();
        let counts: Vec<usize> = (0..4).map(count).collect();
        for (node, share) in [(0, 1000), (1, 4000), (2, 0), (3, 2000)] {
            assert!(counts[node].abs_diff(share) <= 2, "{counts:?}");
        }
        let (mut owners, key) = (Vec::new(), b"user:1");
        assert_eq!(maglev.owners(key, 4, &mut owners), 1);
        assert_eq!(owners[0], maglev.owner(key));
        owners.sort_unstable();
        assert_eq!(owners, [0, 1, 3]);
        // Equal weights are one scheme, whatever their size; extreme ones neither overflow nor hang.
        let table = |list| {
            Maglev::new(&NodeSpec::parse_list(list).unwrap(), 1009)
                .unwrap()
                .table
        };
        assert_eq!(table("a=9,b=9,c=9"), table("a,b,c"));
        assert!(table("a=4294967295,b=1").iter().all(|&owner| owner == 0));
    }
}
