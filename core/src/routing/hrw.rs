//! Rendezvous hashing (highest random weight): every node scores every key, the best wins.
//!
//! Nodes and a key come in, the nodes with the best scores go out (D. Thaler, C. Ravishankar, 1998).
//! The score is `xxh3_64(key, seed = xxh3_64(node))`, the highest wins; equal scores go to the name
//! that comes first in byte order. Nothing but the nodes is needed to agree, and taking one away moves
//! its keys alone, at the price of one hash a node: for up to some thirty nodes.
//!
//! With unequal weights (the logarithmic method of C. Schindelhauer and G. Schomaker, 2005) the node
//! with the lowest `-log2((score + 1) / 2^64) / weight` wins, then the higher score, then the name.
//! Logarithms of mathematical libraries differ in their last bits from machine to machine, so
//! `cost` computes its own, in integers, and fractions are compared by cross-multiplication. Equal
//! weights, whatever they are, give exactly the unweighted answer. A node of weight 0 gets nothing.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::error::RoutingError;
use super::node::{NodeSpec, check_nodes};

/// Best scores kept at once: more replicas than this take another turn over the nodes.
const KEPT: usize = 16;

/// An immutable set of scoring nodes. Thread-safe; look-ups allocate nothing.
#[derive(Clone, Debug)]
pub struct Hrw {
    nodes: Vec<NodeSpec>,
    /// Nodes with a weight, in the byte order of their names.
    seats: Vec<Seat>,
    /// Whether all of them weigh the same.
    equal: bool,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    seed: u64,
    weight: u32,
    index: u16,
}

/// What a node bids for a key; lower `cost / weight` is better.
#[derive(Clone, Copy, Debug)]
struct Bid {
    score: u64,
    cost: u64,
    weight: u32,
    /// Position in the order of names.
    seat: u32,
}

impl Bid {
    fn beats(&self, other: &Bid) -> bool {
        let wide = |cost: u64, weight: u32| u128::from(cost) * u128::from(weight);
        let (mine, theirs) = (wide(self.cost, other.weight), wide(other.cost, self.weight));
        (mine, other.score, self.seat) < (theirs, self.score, other.seat)
    }
}

impl Hrw {
    /// Rendezvous over the nodes that have a weight.
    ///
    /// # Errors
    /// Those of a bad list of nodes, and [`RoutingError::NoWeight`].
    pub fn new(nodes: &[NodeSpec]) -> Result<Hrw, RoutingError> {
        check_nodes(nodes)?;
        let mut seats: Vec<Seat> = (0u16..)
            .zip(nodes)
            .filter(|(_, node)| node.weight > 0)
            .map(|(index, node)| Seat {
                seed: xxh3_64(node.name.as_bytes()),
                weight: node.weight,
                index,
            })
            .collect();
        let first = seats.first().ok_or(RoutingError::NoWeight)?.weight;
        seats.sort_unstable_by_key(|seat| nodes[usize::from(seat.index)].name.as_bytes());
        Ok(Hrw {
            nodes: nodes.to_vec(),
            equal: seats.iter().all(|seat| seat.weight == first),
            seats,
        })
    }

    /// Index, in the list given, of the node with the best score.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> u16 {
        if !self.equal {
            let mut best = [Bid::default(); 1];
            self.best(key, None, &mut best);
            return self.seats[best[0].seat as usize].index;
        }
        let mut best = (0, self.seats[0].index);
        for seat in &self.seats {
            let score = xxh3_64_with_seed(key, seat.seed);
            // Not `>=`: of equal scores the first name keeps the key.
            if score > best.0 {
                best = (score, seat.index);
            }
        }
        best.1
    }

    /// Puts the indexes of the `replicas` best nodes into `out`, best first, and returns how many
    /// could not be found because too few nodes have a weight.
    pub fn owners(&self, key: &[u8], replicas: usize, out: &mut Vec<u16>) -> usize {
        out.clear();
        let wanted = replicas.min(self.seats.len());
        let mut best = [Bid::default(); KEPT];
        let mut last = None;
        while out.len() < wanted {
            let room = KEPT.min(wanted - out.len());
            self.best(key, last, &mut best[..room]);
            out.extend(best[..room].iter().map(|bid| self.seats[bid.seat as usize].index));
            last = Some(best[room - 1]);
        }
        replicas - wanted
    }

    /// Fills `best` with the best bids that do not beat `after`; there must be as many.
    fn best(&self, key: &[u8], after: Option<Bid>, best: &mut [Bid]) {
        let mut found = 0;
        for (at, seat) in (0u32..).zip(&self.seats) {
            let score = xxh3_64_with_seed(key, seat.seed);
            let mut bid = Bid {
                score,
                cost: 0,
                weight: 1,
                seat: at,
            };
            if !self.equal {
                bid.weight = seat.weight;
                bid.cost = least_cost(score);
                // Most bids lose by the cheap bound already.
                if found == best.len() && best[found - 1].beats(&bid) {
                    continue;
                }
                bid.cost = cost(score);
            }
            let passed = after.is_some_and(|after| !after.beats(&bid));
            if passed || (found == best.len() && best[found - 1].beats(&bid)) {
                continue;
            }
            found += usize::from(found < best.len());
            let mut place = found - 1;
            while place > 0 && bid.beats(&best[place - 1]) {
                best[place] = best[place - 1];
                place -= 1;
            }
            best[place] = bid;
        }
        debug_assert_eq!(found, best.len());
    }

    /// The nodes as given.
    #[must_use]
    pub fn nodes(&self) -> &[NodeSpec] {
        &self.nodes
    }

    /// Nodes that have a weight: the most a key can have.
    #[must_use]
    pub fn distinct_nodes(&self) -> usize {
        self.seats.len()
    }
}

impl Default for Bid {
    fn default() -> Self {
        Bid {
            score: 0,
            cost: u64::MAX,
            weight: 1,
            seat: u32::MAX,
        }
    }
}

/// `-log2((score + 1) / 2^64)` in units of 2^-32, rounded up by less than one unit for each of 32
/// squarings.
///
/// With x = score + 1 = m · 2^(n - 63), 2^63 <= m < 2^64: n whole bits, then 32 bits of fraction, each
/// by squaring m as a fraction of 2^63, truncated to 64 bits: the bit is whether it reached 2.
fn cost(score: u64) -> u64 {
    let Some(x) = score.checked_add(1) else {
        return 0;
    };
    let n = 63 - x.leading_zeros();
    let mut m = x << x.leading_zeros();
    let mut fraction = 0u64;
    for _ in 0..32 {
        let square = (u128::from(m) * u128::from(m)) >> 63;
        let bit = (square >> 64) as u64;
        fraction = fraction << 1 | bit;
        m = (square >> bit) as u64;
    }
    (64 << 32) - (u64::from(n) << 32 | fraction)
}

/// Never above [`cost`], and close to it for the scores that win: -log2(x) >= (1 - x) · log2(e).
fn least_cost(score: u64) -> u64 {
    /// log2(e) in units of 2^-32, rounded down.
    const LOG2_E: u64 = 6_196_328_018;
    let gap = !score >> 32;
    ((u128::from(gap) * u128::from(LOG2_E)) >> 32) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hrw(list: &str) -> Hrw {
        Hrw::new(&NodeSpec::parse_list(list).unwrap()).unwrap()
    }

    #[test]
    fn keys_are_shared_by_weight_and_weight_0_gets_none() {
        let hrw = hrw("a=1,b=3,c=0,d=2");
        let mut counts = [0u32; 4];
        for key in 0..60_000u32 {
            counts[usize::from(hrw.owner(&key.to_le_bytes()))] += 1;
        }
        assert_eq!(counts[2], 0);
        for (node, share) in [(0, 10_000.0), (1, 30_000.0), (3, 20_000.0)] {
            let off = f64::from(counts[node]) / share - 1.0;
            // Four standard deviations of the smallest share are 3.7 %.
            assert!(off.abs() < 0.037, "{counts:?}");
        }
        assert!(matches!(
            Hrw::new(&NodeSpec::parse_list("a=0").unwrap()),
            Err(RoutingError::NoWeight)
        ));
    }

    #[test]
    fn equal_weights_change_nothing() {
        let (one, seven) = (hrw("a,b,c,d"), hrw("a=7,b=7,c=7,d=7"));
        // Forces the weighted path over equal weights.
        let mut slow = seven.clone();
        slow.equal = false;
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for key in 0..3_000u32 {
            let key = key.to_le_bytes();
            assert_eq!(one.owner(&key), seven.owner(&key));
            assert_eq!(one.owner(&key), slow.owner(&key));
            one.owners(&key, 3, &mut left);
            slow.owners(&key, 3, &mut right);
            assert_eq!(left, right);
        }
    }

    #[test]
    fn a_heavier_node_only_gains() {
        let (before, after) = (hrw("a=2,b=3,c=4"), hrw("a=2,b=5,c=4"));
        for key in 0..5_000u32 {
            let key = key.to_le_bytes();
            let (old, new) = (before.owner(&key), after.owner(&key));
            assert!(old == new || new == 1);
        }
    }

    #[test]
    fn logarithms_are_those_of_the_mathematicians() {
        for score in [
            0,
            1,
            2,
            1 << 20,
            1 << 40,
            u64::MAX / 3,
            u64::MAX / 2,
            u64::MAX - 1,
            u64::MAX,
        ] {
            let exact = (64.0 - (score as f64 + 1.0).log2()) * 4_294_967_296.0;
            let off = cost(score) as f64 - exact;
            assert!((-1.0..40.0).contains(&off), "{score}: {off}");
            assert!(least_cost(score) <= cost(score), "{score}");
        }
        assert_eq!(
            (cost(0), cost(u64::MAX), cost(u64::MAX >> 1)),
            (64 << 32, 0, 1 << 32)
        );
    }

    proptest! {
        #[test]
        fn the_cheap_bound_never_exceeds_the_cost(score: u64) {
            prop_assert!(least_cost(score) <= cost(score));
        }

        #[test]
        fn replicas_are_all_bids_sorted(
            weights in proptest::collection::vec(0u32..5, 1..40), key: Vec<u8>, replicas in 0usize..45,
        ) {
            prop_assume!(weights.iter().any(|&weight| weight > 0));
            let node = |(i, &weight): (usize, &u32)| NodeSpec::new(format!("n{i}")).with_weight(weight);
            let nodes: Vec<NodeSpec> = weights.iter().enumerate().map(node).collect();
            let hrw = Hrw::new(&nodes).unwrap();
            let mut bids: Vec<(u128, u64, &str, u16)> = (0u16..)
                .zip(&nodes)
                .filter(|(_, node)| node.weight > 0)
                .map(|(index, node)| {
                    let score = xxh3_64_with_seed(&key, xxh3_64(node.name.as_bytes()));
                    // 60 divides by every weight that is drawn, so the fractions are whole numbers.
                    (u128::from(cost(score)) * u128::from(60 / node.weight), !score, &*node.name, index)
                })
                .collect();
            bids.sort_unstable();
            let expected: Vec<u16> = bids.iter().take(replicas).map(|bid| bid.3).collect();
            let mut found = Vec::new();
            let short = hrw.owners(&key, replicas, &mut found);
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(short, replicas - expected.len());
            if let Some(&first) = expected.first() {
                prop_assert_eq!(hrw.owner(&key), first);
            }
        }
    }
}
