//! Which slots make up an amount.

use super::Slot;

/// Takes slots that weigh about `amount` together, out of the list.
///
/// Slots that weigh the same are taken in as few runs of neighbours as greed finds, which keeps the
/// topology's bytes few. Others are taken heaviest first, as far as they fit; one that overshoots by
/// no more than would be left short is taken too, so the error is at most half a slot. With `some`
/// at least one slot is taken.
pub(super) fn take(slots: &mut Vec<Slot>, amount: u64, uniform: bool, some: bool) -> Vec<Slot> {
    if uniform {
        return carve(slots, amount as usize);
    }
    let total: u64 = slots.iter().map(|slot| slot.weight).sum();
    if amount >= total {
        return std::mem::take(slots);
    }
    let mut order: Vec<usize> = (0..slots.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(slots[at].weight), slots[at].id));
    let mut chosen = vec![false; slots.len()];
    let mut left = amount;
    for &at in &order {
        if slots[at].weight <= left {
            chosen[at] = true;
            left -= slots[at].weight;
        }
    }
    let lightest = order.iter().rev().copied().find(|&at| !chosen[at]);
    if let Some(at) = lightest {
        let none = !chosen.contains(&true);
        if slots[at].weight < 2 * left || (some && none) {
            chosen[at] = true;
        }
    }
    let mut taken = Vec::new();
    let mut at = 0;
    slots.retain(|slot| {
        let keep = !chosen[at];
        at += 1;
        if !keep {
            taken.push(*slot);
        }
        keep
    });
    taken
}

/// The shortest run of neighbours that is long enough, else the longest, until there are `count`.
fn carve(slots: &mut Vec<Slot>, count: usize) -> Vec<Slot> {
    let mut carved = Vec::with_capacity(count.min(slots.len()));
    while carved.len() < count && !slots.is_empty() {
        let needed = count - carved.len();
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (at, slot) in slots.iter().enumerate() {
            match runs.last_mut() {
                Some((start, len)) if slots[*start].id.0 + *len as u32 == slot.id.0 => *len += 1,
                _ => runs.push((at, 1)),
            }
        }
        let enough = runs
            .iter()
            .filter(|(_, len)| *len >= needed)
            .min_by_key(|(_, len)| *len);
        let &(start, len) = enough
            .or_else(|| runs.iter().max_by_key(|(_, len)| *len))
            .expect("there are slots, so there is a run");
        let taken = needed.min(len);
        // From the end, so that what stays keeps its beginning.
        carved.extend(slots.drain(start + len - taken..start + len));
    }
    carved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SlotId;

    fn slots(weights: &[u64]) -> Vec<Slot> {
        let slot = |(id, &weight): (u32, &u64)| Slot {
            id: SlotId(id),
            weight,
        };
        (0..).zip(weights).map(slot).collect()
    }

    fn taken(weights: &[u64], amount: u64, some: bool) -> Vec<u32> {
        let mut left = slots(weights);
        let taken = take(&mut left, amount, false, some);
        assert_eq!(left.len() + taken.len(), weights.len());
        taken.iter().map(|slot| slot.id.0).collect()
    }

    #[test]
    fn the_heaviest_that_fit_are_taken_and_none_that_overshoots_by_more_than_is_missing() {
        assert_eq!(taken(&[5, 100, 30, 7], 38, false), [2, 3]);
        assert_eq!(taken(&[5, 100, 30, 7], 40, false), [0, 2, 3]);
        assert_eq!(taken(&[50, 60], 10, false), [] as [u32; 0]);
        assert_eq!(taken(&[50, 60], 26, false), [0]);
        assert_eq!(taken(&[50, 60], 10, true), [0]);
        assert_eq!(taken(&[50, 60], 110, false), [0, 1]);
    }

    #[test]
    fn equal_slots_come_in_few_runs() {
        let mut left = slots(&[1; 10]);
        left.remove(3);
        let taken: Vec<u32> = take(&mut left, 3, true, false).iter().map(|s| s.id.0).collect();
        assert_eq!(taken, [0, 1, 2]);
        assert_eq!(take(&mut left, 4, true, false)[0].id.0, 6);
    }
}
