//! The consistent hash of nginx (`hash $key consistent`, ngx_http_upstream_hash_module of 1.22).
//!
//! Servers as they stand in the `upstream` block and a key come in, the server goes out. A server has
//! 160 points a unit of weight, chained: each is the CRC-32 of `HOST 00 PORT` and the point before it,
//! little-endian, starting from 0 (the scheme of Cache::Memcached::Fast). Of equal points the server
//! listed first keeps one. The owner is the first point **not below** the CRC-32 of the key. nginx
//! itself sends an empty key to any server in turn; here it hashes to 0, its CRC-32. Replicas are the
//! servers of the next points, the order in which nginx tries them after failures (up to 20 points).

use super::error::RoutingError;
use super::ketama::first_not_below;
use super::node::{NodeSpec, check_no_zero_weight, check_nodes};

const POINTS: u64 = 160;
/// Most points: 16 Mi, 128 MiB.
const MAX_POINTS: u64 = 1 << 24;

/// An immutable set of points. Thread-safe.
#[derive(Clone, Debug)]
pub struct Nginx {
    nodes: Vec<NodeSpec>,
    points: Vec<(u32, u16)>,
    /// Nodes that kept points.
    distinct: usize,
}

impl Nginx {
    /// The points of the servers, in the order of the `upstream` block.
    ///
    /// # Errors
    /// Those of a bad list of nodes; [`RoutingError::ZeroWeight`], which nginx refuses as well;
    /// [`RoutingError::TooManyPoints`].
    pub fn new(nodes: &[NodeSpec]) -> Result<Nginx, RoutingError> {
        check_nodes(nodes)?;
        check_no_zero_weight("nginx", nodes)?;
        let weights: u64 = nodes.iter().map(|node| u64::from(node.weight)).sum();
        if weights * POINTS > MAX_POINTS {
            return Err(RoutingError::TooManyPoints {
                points: weights * POINTS,
                max: MAX_POINTS,
            });
        }
        let mut points = Vec::with_capacity((weights * POINTS) as usize);
        for (index, node) in (0u16..).zip(nodes) {
            let (host, port) = host_and_port(&node.name);
            let mut base = crc32fast::Hasher::new();
            base.update(host.as_bytes());
            base.update(&[0]);
            base.update(port.as_bytes());
            let mut point = 0u32;
            for _ in 0..u64::from(node.weight) * POINTS {
                let mut hasher = base.clone();
                hasher.update(&point.to_le_bytes());
                point = hasher.finalize();
                points.push((point, index));
            }
        }
        points.sort_by_key(|&(point, _)| point);
        points.dedup_by_key(|&mut (point, _)| point);
        let mut met = vec![false; nodes.len()];
        points
            .iter()
            .for_each(|&(_, owner)| met[usize::from(owner)] = true);
        Ok(Nginx {
            nodes: nodes.to_vec(),
            points,
            distinct: met.into_iter().filter(|&met| met).count(),
        })
    }

    /// Index, in the list given, of the server of a key.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> u16 {
        self.points[first_not_below(&self.points, crc32fast::hash(key))].1
    }

    /// Puts the indexes of the first `replicas` distinct servers from the point of a key on into
    /// `out`, and returns how many could not be found because there are too few.
    pub fn owners(&self, key: &[u8], replicas: usize, out: &mut Vec<u16>) -> usize {
        out.clear();
        let wanted = replicas.min(self.distinct);
        let first = first_not_below(&self.points, crc32fast::hash(key));
        let (before, after) = self.points.split_at(first);
        for &(_, owner) in after.iter().chain(before) {
            if out.len() == wanted {
                break;
            }
            if !out.contains(&owner) {
                out.push(owner);
            }
        }
        replicas - wanted
    }

    /// Servers that have points: the most a key can have.
    #[must_use]
    pub fn distinct_nodes(&self) -> usize {
        self.distinct
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

/// Splits at the last colon when only digits follow it; `unix:` paths have no port.
fn host_and_port(server: &str) -> (&str, &str) {
    if let Some((scheme, path)) = server.split_at_checked(5)
        && scheme.eq_ignore_ascii_case("unix:")
    {
        return (path, "");
    }
    match server.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (server, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_digits_after_the_last_colon() {
        let cases = [
            ("10.0.0.1:8080", ("10.0.0.1", "8080")),
            ("10.0.0.1", ("10.0.0.1", "")),
            ("[::1]:80", ("[::1]", "80")),
            ("host:", ("host", "")),
            ("host:http", ("host:http", "")),
            ("UNIX:/tmp/a:80", ("/tmp/a:80", "")),
        ];
        for (server, expected) in cases {
            assert_eq!(host_and_port(server), expected, "{server}");
        }
    }
}
