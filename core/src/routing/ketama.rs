//! Weighted ketama as libmemcached 1.1 computes it (`MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED`, MD5).
//!
//! Servers as `host` or `host:port` and a key come in, the server goes out. Bit-exact agreement asks
//! for three oddities. The number of points is computed in single precision: at some sizes even equal
//! servers get 156 points instead of 160. The port 11211 is left out of the name that is hashed, while a
//! Unix socket counts as port 0. The owner is the first point **not below** the hash of the key.
//!
//! Replicas are what libmemcached makes of `MEMCACHED_BEHAVIOR_NUMBER_OF_REPLICAS`: the servers that
//! follow the owner in the list, whatever their points. libmemcached takes weight 0 for 1, which nobody
//! means: it is refused here.

use std::borrow::Cow;

use md5::{Digest as _, Md5};

use super::error::RoutingError;
use super::node::{NodeSpec, check_no_zero_weight, check_nodes};

const POINTS: u32 = 160;
const POINTS_PER_DIGEST: u32 = 4;
const DEFAULT_PORT: &str = ":11211";
const NO_PORT: &str = ":0";

/// An immutable continuum. Thread-safe.
#[derive(Clone, Debug)]
pub struct Ketama {
    nodes: Vec<NodeSpec>,
    points: Vec<(u32, u16)>,
}

impl Ketama {
    /// The continuum of the servers, in the order given (it decides between equal points).
    ///
    /// # Errors
    /// Those of a bad list of nodes; [`RoutingError::ZeroWeight`], which the format cannot express;
    /// [`RoutingError::NoWeight`] when rounding leaves no points at all.
    pub fn new(nodes: &[NodeSpec]) -> Result<Ketama, RoutingError> {
        check_nodes(nodes)?;
        check_no_zero_weight("ketama", nodes)?;
        let total: u64 = nodes.iter().map(|node| u64::from(node.weight)).sum();
        let mut points = Vec::new();
        for (index, node) in (0u16..).zip(nodes) {
            let name = hashed_name(&node.name);
            for i in 0..point_count(node.weight, total, nodes.len()) / POINTS_PER_DIGEST {
                let digest = Md5::digest(format!("{name}-{i}"));
                let (words, _) = digest.as_chunks::<4>();
                points.extend(words.iter().map(|word| (u32::from_le_bytes(*word), index)));
            }
        }
        if points.is_empty() {
            return Err(RoutingError::NoWeight);
        }
        // Stable, as the sort of the C library there is for such lengths.
        points.sort_by_key(|&(point, _)| point);
        Ok(Ketama {
            nodes: nodes.to_vec(),
            points,
        })
    }

    /// Index, in the list given, of the server of a key.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> u16 {
        if self.nodes.len() == 1 {
            return 0;
        }
        let digest = Md5::digest(key);
        let hash = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
        self.points[first_not_below(&self.points, hash)].1
    }

    /// Puts the indexes of the owner and the servers after it in the list into `out`, `replicas` in
    /// all, and returns how many could not be found because there are too few servers.
    pub fn owners(&self, key: &[u8], replicas: usize, out: &mut Vec<u16>) -> usize {
        out.clear();
        let wanted = replicas.min(self.nodes.len());
        if wanted > 0 {
            let (owner, servers) = (usize::from(self.owner(key)), self.nodes.len());
            out.extend((owner..owner + wanted).map(|at| (at % servers) as u16));
        }
        replicas - wanted
    }

    /// Points and their owners, ascending.
    pub(super) fn points(&self) -> &[(u32, u16)] {
        &self.points
    }

    /// The servers as given.
    #[must_use]
    pub fn nodes(&self) -> &[NodeSpec] {
        &self.nodes
    }
}

/// The name as libmemcached hashes it: without the default port, also where that is written as 0, and
/// a Unix socket (a path from the root) with port 0.
fn hashed_name(name: &str) -> Cow<'_, str> {
    let portless = name.strip_suffix(NO_PORT);
    if name.starts_with('/') {
        return Cow::Owned(format!("{}{NO_PORT}", portless.unwrap_or(name)));
    }
    Cow::Borrowed(portless.or(name.strip_suffix(DEFAULT_PORT)).unwrap_or(name))
}

/// Points of one server: every step rounds to single precision, as in C.
fn point_count(weight: u32, total: u64, servers: usize) -> u32 {
    let share = weight as f32 / total as f32;
    let points = share * POINTS as f32 / POINTS_PER_DIGEST as f32 * servers as f32;
    ((points + 0.000_000_000_1).floor() * POINTS_PER_DIGEST as f32) as u32
}

/// Position of the first point at or above `hash`, wrapping.
pub(super) fn first_not_below(points: &[(u32, u16)], hash: u32) -> usize {
    let at = points.partition_point(|&(point, _)| point < hash);
    if at == points.len() { 0 } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_precision_takes_points_away_at_some_sizes() {
        assert_eq!(point_count(1, 24, 24), 160);
        assert_eq!(point_count(1, 25, 25), 156);
        assert_eq!(point_count(1, 47, 47), 156);
        assert_eq!(point_count(1, 50, 50), 156);
    }
}
