//! Rendezvous hashing (highest random weight): every node scores every key, the highest wins.
//!
//! Nodes and a key come in, the nodes with the highest scores go out (D. Thaler, C. Ravishankar,
//! 1998). The score is `xxh3_64(key, seed = xxh3_64(node))`; equal scores go to the name that comes
//! first in byte order. Nothing but the nodes is needed to agree, and taking one away moves its keys
//! alone, at the price of one hash a node: for up to some thirty nodes.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::error::RoutingError;
use super::node::{NodeSpec, check_nodes, check_unweighted};

/// An immutable set of scoring nodes. Thread-safe.
#[derive(Clone, Debug)]
pub struct Hrw {
    nodes: Vec<NodeSpec>,
    /// Seed and index of every node, in the byte order of the names.
    seeds: Vec<(u64, u16)>,
}

impl Hrw {
    /// Rendezvous over nodes of weight 1.
    ///
    /// # Errors
    /// Those of a bad list of nodes, and [`RoutingError::NoWeights`].
    pub fn new(nodes: &[NodeSpec]) -> Result<Hrw, RoutingError> {
        check_nodes(nodes)?;
        check_unweighted("hrw", nodes)?;
        let mut seeds: Vec<(u64, u16)> = (0u16..)
            .zip(nodes)
            .map(|(index, node)| (xxh3_64(node.name.as_bytes()), index))
            .collect();
        seeds.sort_unstable_by_key(|&(_, index)| nodes[usize::from(index)].name.as_bytes());
        Ok(Hrw {
            nodes: nodes.to_vec(),
            seeds,
        })
    }

    /// Index, in the list given, of the node with the highest score.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> u16 {
        let mut best = (0, self.seeds[0].1);
        for &(seed, index) in &self.seeds {
            let score = xxh3_64_with_seed(key, seed);
            // Not `>=`: of equal scores the first name keeps the key.
            if score > best.0 {
                best = (score, index);
            }
        }
        best.1
    }

    /// Puts the indexes of the `replicas` best nodes into `out`, best first; fewer when there are
    /// fewer nodes.
    pub fn owners(&self, key: &[u8], replicas: usize, out: &mut Vec<u16>) {
        out.clear();
        if replicas == 1 {
            out.push(self.owner(key));
            return;
        }
        let mut scored: Vec<(u64, u16)> = self
            .seeds
            .iter()
            .map(|&(seed, index)| (xxh3_64_with_seed(key, seed), index))
            .collect();
        // Stable: equal scores stay in the order of names.
        scored.sort_by_key(|&(score, _)| std::cmp::Reverse(score));
        out.extend(scored.iter().take(replicas).map(|&(_, index)| index));
    }

    /// The nodes as given.
    #[must_use]
    pub fn nodes(&self) -> &[NodeSpec] {
        &self.nodes
    }
}
