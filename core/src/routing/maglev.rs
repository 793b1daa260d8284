//! Maglev: a table that every node fills in its own order, looked up with one load.
//!
//! Nodes and a prime table size M come in, the node of a key goes out (D. Eisenbud et al., "Maglev",
//! NSDI 2016, §3.4). Offset xxh64(name, 0) mod M, skip xxh64(name, 1) mod (M - 1) + 1, nodes take turns
//! in the byte order of their names; the entry of a key is xxh64(key, 0) mod M. Very even and very
//! fast; a change of nodes also moves a few keys between old ones, so it suits connections and
//! caches, not stored data.

use xxhash_rust::xxh64::xxh64;

use super::error::RoutingError;
use super::node::{NodeSpec, check_nodes, check_unweighted};

/// Entries of the table unless asked otherwise: the paper's smaller size.
pub const DEFAULT_TABLE_SIZE: u32 = 65_537;
/// Largest table: 32 MiB of entries.
const MAX_TABLE_SIZE: u32 = 1 << 24;

/// An immutable table. Thread-safe.
#[derive(Clone, Debug)]
pub struct Maglev {
    nodes: Vec<NodeSpec>,
    table: Vec<u16>,
}

impl Maglev {
    /// Fills a table of `table_size` entries.
    ///
    /// # Errors
    /// Those of a bad list of nodes, [`RoutingError::NoWeights`], [`RoutingError::BadTableSize`].
    pub fn new(nodes: &[NodeSpec], table_size: u32) -> Result<Maglev, RoutingError> {
        check_nodes(nodes)?;
        check_unweighted("maglev", nodes)?;
        let usable = table_size <= MAX_TABLE_SIZE && table_size as usize >= nodes.len();
        if !usable || !is_prime(table_size) {
            return Err(RoutingError::BadTableSize {
                size: table_size,
                nodes: nodes.len(),
                max: MAX_TABLE_SIZE,
            });
        }
        let size = u64::from(table_size);
        let mut turns: Vec<(u64, u64, u16)> = (0u16..)
            .zip(nodes)
            .map(|(index, node)| {
                let name = node.name.as_bytes();
                (xxh64(name, 0) % size, xxh64(name, 1) % (size - 1) + 1, index)
            })
            .collect();
        turns.sort_unstable_by_key(|&(_, _, index)| nodes[usize::from(index)].name.as_bytes());
        let mut table: Vec<Option<u16>> = vec![None; table_size as usize];
        let mut left = table_size;
        while left > 0 {
            for (at, skip, index) in &mut turns {
                if left == 0 {
                    break;
                }
                // M is prime and the skip is not 0, so every entry comes up once.
                while table[*at as usize].is_some() {
                    *at = (*at + *skip) % size;
                }
                table[*at as usize] = Some(*index);
                left -= 1;
            }
        }
        Ok(Maglev {
            nodes: nodes.to_vec(),
            table: table.into_iter().flatten().collect(),
        })
    }

    /// Index, in the list given, of the node of a key.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> u16 {
        self.table[(xxh64(key, 0) % self.table.len() as u64) as usize]
    }

    /// The nodes as given.
    #[must_use]
    pub fn nodes(&self) -> &[NodeSpec] {
        &self.nodes
    }
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
}
