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

/// How many of `seats` each weight gets: Huntington-Hill, which seats everyone once before anyone
/// twice where there are seats enough, then keeps relative differences smallest. Ties go to the
/// lower rank.
pub(crate) fn seats(weights: &[u32], ranks: &[u64], seats: u32) -> Vec<u32> {
    let mut given = vec![0u32; weights.len()];
    let seat = |at: usize, given: u32| Seat {
        weight: weights[at],
        given,
        rank: ranks[at],
        at,
    };
    let able = (0..weights.len()).filter(|&at| weights[at] > 0);
    let mut waiting: BinaryHeap<Seat> = able.map(|at| seat(at, 0)).collect();
    for _ in 0..seats {
        let Some(Seat { at, .. }) = waiting.pop() else {
            break;
        };
        given[at] += 1;
        waiting.push(seat(at, given[at]));
    }
    given
}

/// A claim to the next seat; the greatest is served first.
struct Seat {
    weight: u32,
    given: u32,
    rank: u64,
    at: usize,
}

impl Ord for Seat {
    fn cmp(&self, other: &Self) -> Ordering {
        // Priority is w² / (s·(s+1)): infinite for nobody's first seat.
        let square = |seat: &Seat| u128::from(seat.weight) * u128::from(seat.weight);
        let held = |seat: &Seat| u128::from(seat.given) * (u128::from(seat.given) + 1);
        let by_weight = match (self.given, other.given) {
            (0, 0) => square(self).cmp(&square(other)),
            (0, _) => Ordering::Greater,
            (_, 0) => Ordering::Less,
            // At most 65,536 seats keep the products within 128 bits.
            _ => (square(self) * held(other)).cmp(&(square(other) * held(self))),
        };
        by_weight
            .then(other.rank.cmp(&self.rank))
            .then(other.at.cmp(&self.at))
    }
}

impl PartialOrd for Seat {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Seat {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Seat {}

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
    fn everyone_is_seated_once_before_anyone_twice() {
        assert_eq!(seats(&[1, 100], &[0, 1], 4), [1, 3]);
        assert_eq!(seats(&[1, 1, 2], &[0, 1, 2], 4), [1, 1, 2]);
        assert_eq!(seats(&[1, 0, 1], &[5, 0, 1], 1), [0, 0, 1]);
    }
}
