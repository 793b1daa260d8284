//! The consistent hash of nginx (`hash $key consistent`, ngx_http_upstream_hash_module of 1.22).
//!
//! Servers as they stand in the `upstream` block and a key come in, the server goes out. A server has
//! 160 points a unit of weight, chained: each is the CRC-32 of `HOST 00 PORT` and the point before it,
//! little-endian, starting from 0 (the scheme of Cache::Memcached::Fast). Of equal points the server
//! listed first keeps one. The owner is the first point **not below** the CRC-32 of the key. nginx
//! itself sends an empty key to any server in turn; here it hashes to 0 like other bytes would.

use super::error::RoutingError;
use super::ketama::first_not_below;
use super::node::{NodeSpec, check_nodes};

const POINTS: u64 = 160;
/// Most points: 16 Mi, 128 MiB.
const MAX_POINTS: u64 = 1 << 24;

/// An immutable set of points. Thread-safe.
#[derive(Clone, Debug)]
pub struct Nginx {
    nodes: Vec<NodeSpec>,
    points: Vec<(u32, u16)>,
}

impl Nginx {
    /// The points of the servers, in the order of the `upstream` block.
    ///
    /// # Errors
    /// Those of a bad list of nodes; [`RoutingError::NoWeight`] also when one server has weight 0,
    /// which nginx refuses as well; [`RoutingError::TooManyPoints`].
    pub fn new(nodes: &[NodeSpec]) -> Result<Nginx, RoutingError> {
        check_nodes(nodes)?;
        if nodes.iter().any(|node| node.weight == 0) {
            return Err(RoutingError::NoWeight);
        }
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
        Ok(Nginx {
            nodes: nodes.to_vec(),
            points,
        })
    }

    /// Index, in the list given, of the server of a key.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> u16 {
        first_not_below(&self.points, crc32fast::hash(key))
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
