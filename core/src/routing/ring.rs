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
//! `ring/points.rs` has the layout of the points. A ring whose nodes change takes over the points of
//! the nodes that stay ([`Ring::with_nodes`]).

mod points;

use points::Points;

use std::collections::HashMap;

use super::error::RoutingError;
use super::hash::HashKind;
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
    points: Points,
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
        check(nodes, vnodes)?;
        Ok(Ring {
            nodes: nodes.to_vec(),
            hash,
            vnodes,
            points: Points::of(nodes, vnodes, hash),
            distinct: nodes.iter().filter(|node| node.weight > 0).count(),
        })
    }

    /// The ring of another list of nodes with the same hash and points per weight: equal to
    /// [`Ring::new`], at the price of copying the points of the nodes that keep their weight and
    /// hashing those of the others. 160,000 points take well below a millisecond or two; this ring
    /// stays as it is, so those who read it never wait.
    ///
    /// # Errors
    /// As [`Ring::new`].
    pub fn with_nodes(&self, nodes: &[NodeSpec]) -> Result<Ring, RoutingError> {
        check(nodes, self.vnodes)?;
        let old: HashMap<&str, u16> = self
            .nodes
            .iter()
            .map(|node| node.name.as_str())
            .zip(0..)
            .collect();
        let mut kept = vec![None; self.nodes.len()];
        let mut added = Vec::new();
        for (index, node) in (0..).zip(nodes) {
            match old.get(node.name.as_str()).map(|&at| usize::from(at)) {
                Some(at) if self.nodes[at].weight == node.weight => kept[at] = Some(index),
                _ => added.push(index),
            }
        }
        Ok(Ring {
            nodes: nodes.to_vec(),
            hash: self.hash,
            vnodes: self.vnodes,
            points: self.points.changed(&kept, nodes, &added, self.vnodes, self.hash),
            distinct: nodes.iter().filter(|node| node.weight > 0).count(),
        })
    }

    /// The ring with one more node, last in the list.
    ///
    /// # Errors
    /// As [`Ring::new`], [`RoutingError::DuplicateNode`] among them.
    pub fn with_node(&self, node: NodeSpec) -> Result<Ring, RoutingError> {
        let mut nodes = self.nodes.clone();
        nodes.push(node);
        self.with_nodes(&nodes)
    }

    /// The ring without a node; those behind it in the list move up by one index.
    ///
    /// # Errors
    /// [`RoutingError::UnknownNode`]; [`RoutingError::NoNodes`] or [`RoutingError::NoWeight`] if no
    /// node with a weight is left.
    pub fn without_node(&self, name: &str) -> Result<Ring, RoutingError> {
        let mut nodes = self.nodes.clone();
        let Some(at) = nodes.iter().position(|node| node.name == name) else {
            return Err(RoutingError::UnknownNode { name: name.into() });
        };
        nodes.remove(at);
        self.with_nodes(&nodes)
    }

    /// Index, in the list given, of the node that owns an encoded key.
    #[must_use]
    #[inline]
    pub fn owner(&self, key: &[u8]) -> u16 {
        self.points.owner(self.successor(key))
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
        // Neighbouring points mostly belong to different nodes.
        match (wanted, self.points.run(at)) {
            (1, [a, ..]) => out.push(a),
            (2, [a, b, ..]) if a != b => out.extend_from_slice(&[a, b]),
            (3, [a, b, c, _]) if (a != b) & (a != c) & (b != c) => out.extend_from_slice(&[a, b, c]),
            _ => {}
        }
        while out.len() < wanted {
            let owner = self.points.owner(at);
            if !out.contains(&owner) {
                out.push(owner);
            }
            // At the end stands the first point once more.
            at = if at >= self.points.len() { 1 } else { at + 1 };
        }
        replicas - wanted
    }

    /// The first N distinct nodes of a key, owner first: [`Self::owners`] without a vector, for
    /// programs whose number of copies is fixed. `None` if fewer nodes have points.
    #[must_use]
    #[inline]
    pub fn first<const N: usize>(&self, key: &[u8]) -> Option<[u16; N]> {
        let at = self.successor(key);
        if let Some(&owners) = self.points.run(at).first_chunk::<N>() {
            let mut clash = false;
            for i in 1..N {
                for j in 0..i {
                    clash |= owners[i] == owners[j];
                }
            }
            if !clash {
                return Some(owners);
            }
        }
        self.first_slowly(at)
    }

    #[cold]
    fn first_slowly<const N: usize>(&self, mut at: usize) -> Option<[u16; N]> {
        if N > self.distinct {
            return None;
        }
        let mut owners = [0; N];
        let mut found = 0;
        while found < N {
            let owner = self.points.owner(at);
            if !owners[..found].contains(&owner) {
                owners[found] = owner;
                found += 1;
            }
            at = if at >= self.points.len() { 1 } else { at + 1 };
        }
        Some(owners)
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
        (start..self.points.len())
            .chain(0..start)
            .map(|at| self.points.owner(at))
            .filter(move |&owner| !std::mem::replace(&mut met[usize::from(owner)], true))
            .take(self.distinct)
    }

    /// The 64 most significant bits of every point with its owner, ascending.
    pub(super) fn arcs(&self) -> impl Iterator<Item = (u64, u16)> + '_ {
        (0..self.points.len()).map(|at| (self.points.high(at), self.points.owner(at)))
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
        self.points.len()
    }

    /// Position of the first point strictly greater than the hash of `key`.
    #[inline]
    fn successor(&self, key: &[u8]) -> usize {
        match self.hash {
            HashKind::Xxh3 => self.points.above(xxhash_rust::xxh3::xxh3_64(key), || [0; 12]),
            hash => {
                let digest = hash.digest(key);
                self.points.above(digest.high(), || digest.low())
            }
        }
    }
}

fn check(nodes: &[NodeSpec], vnodes: u32) -> Result<(), RoutingError> {
    check_nodes(nodes)?;
    if vnodes == 0 {
        return Err(RoutingError::NoVirtualNodes);
    }
    let weights: u64 = nodes.iter().map(|node| u64::from(node.weight)).sum();
    if weights == 0 {
        return Err(RoutingError::NoWeight);
    }
    let points = weights.saturating_mul(u64::from(vnodes));
    if points > MAX_POINTS {
        return Err(RoutingError::TooManyPoints {
            points,
            max: MAX_POINTS,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::points::digest_of;
    use super::*;

    fn ring(list: &str, vnodes: u32, hash: HashKind) -> Ring {
        Ring::new(&NodeSpec::parse_list(list).unwrap(), vnodes, hash).unwrap()
    }

    /// The definition, word for word.
    fn walk<'r>(ring: &'r Ring, key: &[u8], replicas: usize) -> Vec<&'r str> {
        let mut points = Vec::new();
        for node in ring.nodes() {
            for i in 0..u64::from(ring.vnodes()) * u64::from(node.weight) {
                let digest = digest_of(ring.hash(), &node.name, i, &mut Vec::new());
                points.push((digest, node.name.as_str()));
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
    fn nodes_come_and_go_one_by_one() {
        let ring = ring("a,b=2", 8, HashKind::Sha1);
        let grown = ring.with_node(NodeSpec::new("c")).unwrap();
        assert_eq!((grown.points(), grown.distinct_nodes()), (32, 3));
        let shrunk = grown.without_node("a").unwrap();
        assert_eq!(shrunk.nodes()[0].name, "b");
        assert!(matches!(
            ring.with_node(NodeSpec::new("a")),
            Err(RoutingError::DuplicateNode { .. })
        ));
        assert!(matches!(
            ring.without_node("x"),
            Err(RoutingError::UnknownNode { .. })
        ));
        let alone = shrunk.without_node("b").unwrap();
        assert!(matches!(alone.without_node("c"), Err(RoutingError::NoNodes)));
    }

    #[test]
    fn equal_points_belong_to_the_lower_name_however_they_came_together() {
        // A million points of 32 bits meet about a hundred times.
        let nodes: Vec<NodeSpec> = (0..2000).map(|i| NodeSpec::new(format!("n{i}"))).collect();
        let whole = Ring::new(&nodes, 500, HashKind::Murmur3).unwrap();
        let ties = whole
            .arcs()
            .zip(whole.arcs().skip(1))
            .filter(|(a, b)| a.0 == b.0)
            .count();
        assert!(ties > 5, "{ties} ties prove nothing");
        let mut order = nodes.clone();
        order.reverse();
        let late = Ring::new(&order[..1999], 500, HashKind::Murmur3).unwrap();
        let merged = late.with_nodes(&nodes).unwrap();
        assert_eq!(format!("{merged:?}"), format!("{whole:?}"));
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
                let three = walk(&ring, &key, 3);
                let first = ring.first::<3>(&key);
                prop_assert_eq!(first.is_some(), three.len() == 3);
                for (owner, name) in first.into_iter().flatten().zip(three) {
                    prop_assert_eq!(ring.nodes()[usize::from(owner)].name.as_str(), name);
                }
                prop_assert_eq!(ring.first::<1>(&key), Some([ring.owner(&key)]));
            }
        }

        #[test]
        fn a_changed_ring_is_the_ring_of_the_changed_nodes(
            before in proptest::collection::btree_map(0u16..20, 0u32..3, 1..12),
            after in proptest::collection::btree_map(0u16..20, 0u32..3, 1..12),
            reverse: bool,
            vnodes in 1u32..40,
            hash in proptest::sample::select(HashKind::ALL.to_vec()),
        ) {
            let nodes = |map: &BTreeMap<u16, u32>| -> Vec<NodeSpec> {
                map.iter().map(|(i, &weight)| NodeSpec::new(format!("n{i}")).with_weight(weight)).collect()
            };
            prop_assume!(before.values().any(|&weight| weight > 0));
            let (before, mut after) = (nodes(&before), nodes(&after));
            if reverse {
                after.reverse();
            }
            let old = Ring::new(&before, vnodes, hash).unwrap();
            match (old.with_nodes(&after), Ring::new(&after, vnodes, hash)) {
                (Ok(changed), Ok(new)) => prop_assert_eq!(format!("{changed:?}"), format!("{new:?}")),
                (Err(changed), Err(new)) => prop_assert_eq!(changed.to_string(), new.to_string()),
                (changed, new) => prop_assert!(false, "{:?} but {:?}", changed, new),
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
