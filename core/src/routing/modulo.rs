//! `hash mod N`: the router most programs start with.
//!
//! A key comes in, a bucket or node goes out. Nothing is remembered, and a change of N moves nearly
//! everything: [`moved_fraction`] says how much, as the figure other routers are measured against.

use std::num::NonZeroU32;

use super::error::RoutingError;
use super::hash::HashKind;
use super::node::{NodeSpec, check_nodes};

/// Buckets numbered from 0, chosen by the whole digest modulo their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modulo {
    buckets: NonZeroU32,
    hash: HashKind,
    /// Names of the buckets; empty when they are only numbered.
    nodes: Vec<String>,
}

impl Modulo {
    /// Numbered buckets `0..buckets`.
    ///
    /// # Errors
    /// [`RoutingError::NoNodes`] for 0 buckets.
    pub fn numbered(buckets: u32, hash: HashKind) -> Result<Modulo, RoutingError> {
        let buckets = NonZeroU32::new(buckets).ok_or(RoutingError::NoNodes)?;
        Ok(Modulo {
            buckets,
            hash,
            nodes: Vec::new(),
        })
    }

    /// Named buckets, in the order given. Weights have no meaning here and are not looked at.
    ///
    /// # Errors
    /// [`RoutingError::NoNodes`], [`RoutingError::TooManyNodes`], [`RoutingError::BadNodeName`],
    /// [`RoutingError::DuplicateNode`].
    pub fn named(nodes: &[NodeSpec], hash: HashKind) -> Result<Modulo, RoutingError> {
        check_nodes(nodes)?;
        let mut modulo = Modulo::numbered(nodes.len() as u32, hash)?;
        modulo.nodes = nodes.iter().map(|node| node.name.clone()).collect();
        Ok(modulo)
    }

    /// Bucket of an encoded key.
    #[must_use]
    pub fn bucket(&self, key: &[u8]) -> u32 {
        self.hash.digest_mod(key, self.buckets)
    }

    /// Node of an encoded key; none when the buckets have no names.
    #[must_use]
    pub fn node(&self, key: &[u8]) -> Option<&str> {
        self.nodes.get(self.bucket(key) as usize).map(String::as_str)
    }

    /// Number of buckets.
    #[must_use]
    pub fn buckets(&self) -> u32 {
        self.buckets.get()
    }

    /// Hash of the keys.
    #[must_use]
    pub fn hash(&self) -> HashKind {
        self.hash
    }
}

/// Fraction of uniformly hashed keys whose node changes under `hash mod N` when the weights of the
/// nodes change, a node of weight w being listed w times in a row. Nodes are the same by position;
/// one that is missing has weight 0. Exact up to rounding.
///
/// By the Chinese remainder theorem the pairs (x mod N, x mod N') over one period lcm(N, N') are
/// exactly the pairs that agree modulo g = gcd(N, N'), once each. So the keys that stay are counted
/// per node as pairs of its old and new entries that agree modulo g.
#[must_use]
pub fn moved_fraction(before: &[u32], after: &[u32]) -> f64 {
    let total = |weights: &[u32]| weights.iter().copied().map(u64::from).sum::<u64>();
    let (n, m) = (total(before), total(after));
    if n == 0 || m == 0 {
        return if n == m { 0.0 } else { 1.0 };
    }
    let common = gcd(n, m);
    let (mut stay, mut start, mut new_start) = (0, 0, 0);
    for (&weight, &new_weight) in before.iter().zip(after) {
        let (weight, new_weight) = (u64::from(weight), u64::from(new_weight));
        stay += agreeing(start, weight, new_start, new_weight, common);
        start += weight;
        new_start += new_weight;
    }
    let period = u128::from(n) * u128::from(m / common);
    1.0 - stay as f64 / period as f64
}

/// Pairs from the intervals `[a, a+len_a)` and `[b, b+len_b)` that agree modulo `g`.
fn agreeing(a: u64, len_a: u64, b: u64, len_b: u64, g: u64) -> u128 {
    let wide = u128::from;
    let (turns_a, rest_a) = (len_a / g, len_a % g);
    let (turns_b, rest_b) = (len_b / g, len_b % g);
    // What is left beyond whole turns is an arc of the circle of residues; shift it so that the
    // first arc starts at 0 and intersect with the second, which may wrap.
    let from = (b % g + g - a % g) % g;
    let until = from + rest_b;
    let overlap = until.min(g).min(rest_a).saturating_sub(from) + until.saturating_sub(g).min(rest_a);
    wide(turns_a) * wide(turns_b) * wide(g)
        + wide(turns_a) * wide(rest_b)
        + wide(turns_b) * wide(rest_a)
        + wide(overlap)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn growing_from_16_to_17_buckets_moves_sixteen_seventeenths() {
        let moved = moved_fraction(&[1; 16], &[1; 17]);
        assert!((moved - 16.0 / 17.0).abs() < 1e-12, "{moved}");
        assert_eq!(moved_fraction(&[1; 17], &[1; 17]), 0.0);
    }

    #[test]
    fn buckets_are_the_digest_modulo_their_number() {
        let modulo = Modulo::named(&NodeSpec::parse_list("a,b,c").unwrap(), HashKind::Md5).unwrap();
        assert_eq!(
            modulo.bucket(b"abc"),
            HashKind::Md5.digest_mod(b"abc", 3.try_into().unwrap())
        );
        assert_eq!(
            modulo.node(b"abc"),
            Some(["a", "b", "c"][modulo.bucket(b"abc") as usize])
        );
        assert!(matches!(
            Modulo::numbered(0, HashKind::Md5),
            Err(RoutingError::NoNodes)
        ));
    }

    proptest! {
        #[test]
        fn the_formula_equals_counting(before in vec(0u32..5, 1..6), after in vec(0u32..5, 1..6)) {
            let entries = |weights: &[u32]| -> Vec<usize> {
                let repeat = |(i, &weight): (usize, &u32)| std::iter::repeat_n(i, weight as usize);
                weights.iter().enumerate().flat_map(repeat).collect()
            };
            let (old, new) = (entries(&before), entries(&after));
            prop_assume!(!old.is_empty() && !new.is_empty());
            let period = old.len() * new.len();
            let moved = (0..period).filter(|x| old[x % old.len()] != new[x % new.len()]).count();
            let formula = moved_fraction(&before, &after);
            prop_assert!((formula - moved as f64 / period as f64).abs() < 1e-9);
        }
    }
}
