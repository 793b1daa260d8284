//! Consistent hashing with weighted virtual nodes, for nodes that share no table.
//!
//! Nodes and a key come in, the owner and its successors go out. The walk (Karger et al. 1997):
//! the owner of a key is the node of the first point **greater than** the hash of the key, wrapping
//! around; its replicas are the next distinct nodes. Points depend on hash and node only:
//!
//! | hash | points of a node of weight W |
//! |---|---|
//! | xxh3 | `xxh3_64(node ‖ 00 ‖ u64-LE i)` for i in 0..V·W |
//! | all others | digest of the text `{node}:{i}` for i in 0..V·W, compared as a whole |
//!
//! Equal points are ordered by node name (bytes), so the order in which nodes are listed never
//! matters.
//!
//! A look-up takes the top bits of the hash as a bucket number and searches only the points of that
//! bucket, about one on average, instead of bisecting all of them.

use super::error::RoutingError;
use super::hash::{Digest, HashKind};
use super::node::{NodeSpec, check_nodes};

/// Virtual nodes per unit of weight unless asked otherwise.
pub const DEFAULT_VNODES: u32 = 160;

/// Most points of a ring: 16 Mi, about 400 MiB.
const MAX_POINTS: u64 = 1 << 24;

/// An immutable ring.
#[derive(Clone, Debug)]
pub struct Ring {
    nodes: Vec<NodeSpec>,
    hash: HashKind,
    vnodes: u32,
    /// The 64 most significant bits of every point, ascending.
    high: Vec<u64>,
    /// The bits below, for hashes of more than 64 bits; else empty.
    low: Vec<[u8; 12]>,
    /// Index of the node of every point.
    owner: Vec<u16>,
    /// `buckets[b]` is the first point whose top bits are at least b; one more than buckets.
    buckets: Vec<u32>,
    /// 64 minus the number of top bits that make a bucket number.
    shift: u32,
    /// Nodes that have points: the most distinct owners a key can have.
    distinct: usize,
}

impl Ring {
    /// A ring with `vnodes` points per unit of weight; a node of weight 0 has none.
    ///
    /// # Errors
    /// [`RoutingError::NoNodes`], [`RoutingError::TooManyNodes`], [`RoutingError::BadNodeName`],
    /// [`RoutingError::DuplicateNode`], [`RoutingError::NoVirtualNodes`],
    /// [`RoutingError::NoWeight`], [`RoutingError::TooManyPoints`].
    pub fn new(nodes: &[NodeSpec], vnodes: u32, hash: HashKind) -> Result<Ring, RoutingError> {
        check_nodes(nodes)?;
        if vnodes == 0 {
            return Err(RoutingError::NoVirtualNodes);
        }
        let weights: u64 = nodes.iter().map(|node| u64::from(node.weight)).sum();
        if weights == 0 {
            return Err(RoutingError::NoWeight);
        }
        let count = weights.saturating_mul(u64::from(vnodes));
        if count > MAX_POINTS {
            return Err(RoutingError::TooManyPoints {
                points: count,
                max: MAX_POINTS,
            });
        }
        let mut points = Vec::with_capacity(count as usize);
        for (index, node) in nodes.iter().enumerate() {
            for i in 0..u64::from(vnodes) * u64::from(node.weight) {
                points.push((point(hash, &node.name, i), index as u16));
            }
        }
        let name = |index: u16| nodes[usize::from(index)].name.as_bytes();
        points.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| name(a.1).cmp(name(b.1))));

        let high: Vec<u64> = points.iter().map(|(digest, _)| digest.high()).collect();
        let wide = matches!(hash, HashKind::Sha1 | HashKind::Md5);
        let low = points
            .iter()
            .filter(|_| wide)
            .map(|(digest, _)| digest.low())
            .collect();
        let shift = 64 - points.len().next_power_of_two().ilog2().max(1);
        Ok(Ring {
            nodes: nodes.to_vec(),
            hash,
            vnodes,
            buckets: bucket_starts(&high, shift),
            high,
            low,
            owner: points.iter().map(|&(_, owner)| owner).collect(),
            shift,
            distinct: nodes.iter().filter(|node| node.weight > 0).count(),
        })
    }

    /// Index, in the list given, of the node that owns an encoded key.
    #[must_use]
    #[inline]
    pub fn owner(&self, key: &[u8]) -> u16 {
        self.owner[self.successor(key)]
    }

    /// Name of the node that owns an encoded key.
    #[must_use]
    pub fn node(&self, key: &[u8]) -> &str {
        &self.nodes[usize::from(self.owner(key))].name
    }

    /// Puts the indexes of the first `replicas` distinct nodes of a key into `out`, owner first,
    /// and returns how many could not be found because the ring has too few nodes.
    pub fn owners(&self, key: &[u8], replicas: usize, out: &mut Vec<u16>) -> usize {
        out.clear();
        let wanted = replicas.min(self.distinct);
        let mut at = self.successor(key);
        while out.len() < wanted {
            let owner = self.owner[at];
            if !out.contains(&owner) {
                out.push(owner);
            }
            at += 1;
            if at == self.owner.len() {
                at = 0;
            }
        }
        replicas - wanted
    }

    /// Names of the first `replicas` distinct nodes of a key, owner first; fewer when the ring has
    /// fewer nodes with a weight ([`Self::distinct_nodes`]).
    #[must_use]
    pub fn nodes_of(&self, key: &[u8], replicas: usize) -> Vec<&str> {
        let mut owners = Vec::new();
        self.owners(key, replicas, &mut owners);
        owners
            .iter()
            .map(|&owner| self.nodes[usize::from(owner)].name.as_str())
            .collect()
    }

    /// Every node that has points, once, in the order of the walk that begins at a key.
    pub(crate) fn turn(&self, key: &[u8]) -> impl Iterator<Item = u16> + '_ {
        let start = self.successor(key);
        let mut met = vec![false; self.nodes.len()];
        let (before, after) = self.owner.split_at(start);
        after
            .iter()
            .chain(before)
            .copied()
            .filter(move |&owner| !std::mem::replace(&mut met[usize::from(owner)], true))
            .take(self.distinct)
    }

    /// Nodes that have points; no key can have more distinct owners.
    #[must_use]
    pub fn distinct_nodes(&self) -> usize {
        self.distinct
    }

    /// The nodes as given.
    #[must_use]
    pub fn nodes(&self) -> &[NodeSpec] {
        &self.nodes
    }

    /// Points per unit of weight.
    #[must_use]
    pub fn vnodes(&self) -> u32 {
        self.vnodes
    }

    /// Hash of points and keys.
    #[must_use]
    pub fn hash(&self) -> HashKind {
        self.hash
    }

    /// Number of points.
    #[must_use]
    pub fn points(&self) -> usize {
        self.owner.len()
    }

    /// Index of the first point strictly greater than the hash of `key`, wrapping.
    #[inline]
    fn successor(&self, key: &[u8]) -> usize {
        if self.hash == HashKind::Xxh3 {
            return self.successor_of(xxhash_rust::xxh3::xxh3_64(key), None);
        }
        let digest = self.hash.digest(key);
        self.successor_of(digest.high(), Some(&digest))
    }

    #[inline]
    fn successor_of(&self, high: u64, digest: Option<&Digest>) -> usize {
        let bucket = (high >> self.shift) as usize;
        let (start, end) = (self.buckets[bucket] as usize, self.buckets[bucket + 1] as usize);
        let mut at = start + self.high[start..end].partition_point(|&point| point < high);
        // Equal upper halves are vanishingly rare, so the lower half is met here alone.
        while at < self.high.len() && self.high[at] == high && !self.low_is_greater(at, digest) {
            at += 1;
        }
        if at == self.high.len() { 0 } else { at }
    }

    fn low_is_greater(&self, at: usize, digest: Option<&Digest>) -> bool {
        match (self.low.get(at), digest) {
            (Some(low), Some(digest)) => *low > digest.low(),
            _ => false,
        }
    }
}

/// Point `i` of a node.
fn point(hash: HashKind, node: &str, i: u64) -> Digest {
    let mut bytes = Vec::with_capacity(node.len() + 21);
    bytes.extend_from_slice(node.as_bytes());
    if hash == HashKind::Xxh3 {
        bytes.push(0);
        bytes.extend_from_slice(&i.to_le_bytes());
    } else {
        bytes.push(b':');
        bytes.extend_from_slice(i.to_string().as_bytes());
    }
    hash.digest(&bytes)
}

/// For every bucket the first point that is not below it, and the number of points at the end.
fn bucket_starts(high: &[u64], shift: u32) -> Vec<u32> {
    let mut starts = vec![0; (1 << (64 - shift)) + 1];
    for &point in high {
        starts[(point >> shift) as usize + 1] += 1;
    }
    for bucket in 1..starts.len() {
        starts[bucket] += starts[bucket - 1];
    }
    starts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(list: &str, vnodes: u32, hash: HashKind) -> Ring {
        Ring::new(&NodeSpec::parse_list(list).unwrap(), vnodes, hash).unwrap()
    }

    /// The definition, word for word.
    fn walk<'r>(ring: &'r Ring, key: &[u8], replicas: usize) -> Vec<&'r str> {
        let mut points = Vec::new();
        for node in ring.nodes() {
            for i in 0..u64::from(ring.vnodes()) * u64::from(node.weight) {
                points.push((point(ring.hash(), &node.name, i), node.name.as_str()));
            }
        }
        points.sort();
        let hash = ring.hash().digest(key);
        let (before, after): (Vec<_>, Vec<_>) = points.into_iter().partition(|point| point.0 <= hash);
        let mut owners = Vec::new();
        for (_, node) in after.into_iter().chain(before) {
            if owners.len() < replicas && !owners.contains(&node) {
                owners.push(node);
            }
        }
        owners
    }

    #[test]
    fn rings_that_cannot_own_a_key_are_refused() {
        let nodes = |list| NodeSpec::parse_list(list).unwrap();
        let new = |list, vnodes| Ring::new(&nodes(list), vnodes, HashKind::Xxh3);
        assert!(matches!(
            Ring::new(&[], 1, HashKind::Xxh3),
            Err(RoutingError::NoNodes)
        ));
        assert!(matches!(new("a", 0), Err(RoutingError::NoVirtualNodes)));
        assert!(matches!(new("a=0,b=0", 9), Err(RoutingError::NoWeight)));
        assert!(matches!(
            new("a=4294967295", 160),
            Err(RoutingError::TooManyPoints { .. })
        ));
        let many: Vec<NodeSpec> = (0..65_536).map(|i| NodeSpec::new(i.to_string())).collect();
        assert!(matches!(
            Ring::new(&many, 1, HashKind::Xxh3),
            Err(RoutingError::TooManyNodes { .. })
        ));
    }

    #[test]
    fn replicas_are_distinct_and_a_shortfall_is_told() {
        let ring = ring("a=3,b,c=0", 8, HashKind::Xxh3);
        let mut owners = Vec::new();
        assert_eq!(ring.owners(b"k", 3, &mut owners), 1);
        owners.sort_unstable();
        assert_eq!(owners, [0, 1]);
        assert_eq!(ring.owners(b"k", 0, &mut owners), 0);
        assert!(owners.is_empty());
    }

    #[test]
    fn a_key_that_hashes_to_a_point_belongs_to_the_next_one() {
        for hash in HashKind::ALL.into_iter().filter(|&hash| hash != HashKind::Xxh3) {
            let ring = ring("a,b,c", 16, hash);
            for key in ["a:0", "b:7", "c:15"] {
                let expected = walk(&ring, key.as_bytes(), 1);
                assert_eq!(ring.node(key.as_bytes()), expected[0], "{hash} {key}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn look_ups_follow_the_definition(
            weights in proptest::collection::vec(0u32..4, 1..8),
            vnodes in 1u32..12,
            hash in proptest::sample::select(HashKind::ALL.to_vec()),
            keys in proptest::collection::vec(any::<Vec<u8>>(), 1..24),
            replicas in 1usize..5,
        ) {
            prop_assume!(weights.iter().any(|&weight| weight > 0));
            let name = |(i, &weight): (usize, &u32)| NodeSpec::new(format!("n{i}")).with_weight(weight);
            let nodes: Vec<NodeSpec> = weights.iter().enumerate().map(name).collect();
            let ring = Ring::new(&nodes, vnodes, hash).unwrap();
            for key in keys {
                prop_assert_eq!(ring.nodes_of(&key, replicas), walk(&ring, &key, replicas));
            }
        }

        #[test]
        fn a_new_node_takes_keys_and_nobody_else_gains(count in 1usize..12, seed: u64) {
            let nodes: Vec<NodeSpec> =
                (0..=count).map(|i| NodeSpec::new(format!("{seed}-{i}"))).collect();
            let before = Ring::new(&nodes[..count], 20, HashKind::Xxh3).unwrap();
            let after = Ring::new(&nodes, 20, HashKind::Xxh3).unwrap();
            for key in 0..200u32 {
                let (old, new) = (before.owner(&key.to_le_bytes()), after.owner(&key.to_le_bytes()));
                prop_assert!(new == old || usize::from(new) == count);
            }
        }
    }
}
