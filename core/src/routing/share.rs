//! Dividing whole things by weight.
//!
//! Counts, weights and limits come in; how many each one gets or gives comes out. Integers only, so
//! the answer is the same on every machine. Ties go to the lower index.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// `numerator / weight`, ordered by value; x/0 is above every number for x > 0.
#[derive(Clone, Copy, Debug)]
struct Ratio {
    numerator: u64,
    weight: u32,
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        let wide = |ratio: &Ratio, weight: u32| u128::from(ratio.numerator) * u128::from(weight);
        wide(self, other.weight).cmp(&wide(other, self.weight))
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ratio {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ratio {}

/// Hands out `amount` one by one, each to whoever is furthest below its share (Webster's rule, so
/// that from equal starts everyone ends within one of its exact share). Nobody gets more than its
/// limit, and nobody of weight 0 gets any; returns what each one got.
pub(crate) fn raise(current: &[u64], weights: &[u32], limits: &[u64], amount: u64) -> Vec<u64> {
    let mut got = vec![0; current.len()];
    let rank = |index: usize, got: u64| {
        let numerator = 2 * (current[index] + got) + 1;
        Reverse((
            Ratio {
                numerator,
                weight: weights[index],
            },
            index,
        ))
    };
    let able = (0..current.len()).filter(|&i| weights[i] > 0 && limits[i] > 0);
    let mut heap: BinaryHeap<_> = able.map(|index| rank(index, 0)).collect();
    for _ in 0..amount {
        let Some(Reverse((_, index))) = heap.pop() else {
            break;
        };
        got[index] += 1;
        if got[index] < limits[index] {
            heap.push(rank(index, got[index]));
        }
    }
    got
}

/// Takes `amount` one by one from whoever is furthest above its share, for a taker that has
/// `taker.0` at weight `taker.1`; stops early once nobody is above the taker. Nobody gives more
/// than its limit; returns what each one gave.
pub(crate) fn lower(
    current: &[u64],
    weights: &[u32],
    limits: &[u64],
    amount: u64,
    taker: (u64, u32),
) -> Vec<u64> {
    let mut gave = vec![0; current.len()];
    let load = |index: usize, gave: u64| Ratio {
        numerator: current[index] - gave,
        weight: weights[index],
    };
    let limit = |index: usize| limits[index].min(current[index]);
    let able = (0..current.len()).filter(|&index| limit(index) > 0);
    let mut heap: BinaryHeap<_> = able.map(|index| (load(index, 0), Reverse(index))).collect();
    for taken in 0..amount {
        let taker = Ratio {
            numerator: taker.0 + taken,
            weight: taker.1,
        };
        let Some((load_of_giver, Reverse(index))) = heap.pop() else {
            break;
        };
        if load_of_giver <= taker {
            break;
        }
        gave[index] += 1;
        if gave[index] < limit(index) {
            heap.push((load(index, gave[index]), Reverse(index)));
        }
    }
    gave
}

/// Exact share of member `index` when `copies` copies of `slots` slots are divided by weight and
/// nobody can hold a slot twice: `(numerator, denominator)`.
///
/// Whoever would get more than every slot once gets exactly that, and the rest is divided among
/// the others, until all fit.
pub(crate) fn capped_share(weights: &[u32], index: usize, slots: u64, copies: u64) -> (u128, u128) {
    let usable = weights.iter().filter(|&&weight| weight > 0).count() as u64;
    let mut order: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0).collect();
    order.sort_by_key(|&i| Reverse(weights[i]));
    let mut rest = u128::from(slots) * u128::from(copies.min(usable));
    let mut total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    for i in order {
        let weight = u128::from(weights[i]);
        // The heaviest is capped first; once the heaviest left fits, everyone does.
        if rest * weight <= u128::from(slots) * total {
            return (rest * u128::from(weights[index]), total);
        }
        if i == index {
            return (slots.into(), 1);
        }
        rest -= u128::from(slots);
        total -= weight;
    }
    (0, 1)
}

/// How many of `seats` each weight gets: Huntington-Hill, which seats everyone once before anyone
/// twice where there are seats enough, then keeps relative differences smallest. Ties go to the
/// lower rank.
pub(crate) fn seats(weights: &[u32], ranks: &[u64], seats: u32) -> Vec<u32> {
    let mut given = vec![0u32; weights.len()];
    for _ in 0..seats {
        let first = |i: usize, j: usize| -> Ordering {
            // Priority is w² / (s·(s+1)): infinite for nobody's first seat.
            let square = |i: usize| u128::from(weights[i]) * u128::from(weights[i]);
            let held = |i: usize| u128::from(given[i]) * (u128::from(given[i]) + 1);
            let by_first_seat = match (given[i], given[j]) {
                (0, 0) => square(i).cmp(&square(j)),
                (0, _) => Ordering::Greater,
                (_, 0) => Ordering::Less,
                // Fewer than 65,536 seats keep the products within 128 bits.
                _ => (square(i) * held(j)).cmp(&(square(j) * held(i))),
            };
            by_first_seat.then(ranks[j].cmp(&ranks[i]))
        };
        let able = (0..weights.len()).filter(|&i| weights[i] > 0);
        let Some(next) = able.max_by(|&i, &j| first(i, j)) else {
            break;
        };
        given[next] += 1;
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_from_nothing_gives_the_rounded_share() {
        let none = [u64::MAX; 4];
        assert_eq!(
            raise(&[0, 0, 0, 0], &[1, 1, 2, 0], &none, 4096),
            [1024, 1024, 2048, 0]
        );
        assert_eq!(raise(&[0, 0, 0], &[1, 1, 1], &none[..3], 4), [2, 1, 1]);
        assert_eq!(raise(&[5, 0, 1], &[1, 1, 1], &[9, 2, 9], 4), [0, 2, 2]);
    }

    #[test]
    fn lowering_takes_from_the_fullest_and_stops_at_the_taker() {
        assert_eq!(lower(&[10, 4], &[1, 1], &[9, 9], 3, (0, 1)), [3, 0]);
        assert_eq!(lower(&[10, 4], &[1, 1], &[9, 9], 60, (0, 1)), [5, 0]);
        assert_eq!(lower(&[3, 9], &[0, 1], &[9, 9], 4, (0, 1)), [3, 1]);
    }

    #[test]
    fn nobody_gets_a_slot_twice() {
        assert_eq!(capped_share(&[1, 1, 1, 1], 0, 4096, 3), (4096 * 3, 4));
        assert_eq!(capped_share(&[1, 1, 100], 2, 4096, 2), (4096, 1));
        assert_eq!(capped_share(&[1, 1, 100], 0, 4096, 2), (4096, 2));
        assert_eq!(capped_share(&[1, 1], 0, 4096, 3), (4096 * 2, 2));
    }

    #[test]
    fn everyone_is_seated_once_before_anyone_twice() {
        assert_eq!(seats(&[1, 100], &[0, 1], 4), [1, 3]);
        assert_eq!(seats(&[1, 1, 2], &[0, 1, 2], 4), [1, 1, 2]);
        assert_eq!(seats(&[1, 0, 1], &[5, 0, 1], 1), [0, 0, 1]);
    }
}
