//! What every node should hold: shares by weight that failure domains allow.
//!
//! Members, weights and the amount of everything come in; a share for each member goes out. Nobody
//! holds a slot twice. Where there are as many zones as copies, no zone holds one twice either;
//! where there are fewer, every zone holds each once at least; the same for the racks of a zone.
//! Within these limits shares are proportional to weights (water-filling: one level for all, found
//! by bisection). Only additions, multiplications and comparisons of doubles are used, which are the
//! same on every machine.

use std::collections::BTreeMap;

use crate::routing::topology::Member;

/// A failure domain, or a node.
enum Domain {
    Node {
        at: usize,
        weight: f64,
    },
    Group {
        children: Vec<Domain>,
        floor: f64,
        cap: f64,
    },
}

/// Halvings that leave nothing of the first interval within the precision of a double.
const HALVINGS: usize = 96;

impl Domain {
    /// What it holds if everybody is filled up to `level` per weight.
    fn held(&self, level: f64, whole: f64) -> f64 {
        match self {
            Domain::Node { weight, .. } => (level * weight).min(whole),
            Domain::Group { children, floor, cap } => {
                let sum: f64 = children.iter().map(|child| child.held(level, whole)).sum();
                sum.max(*floor).min(*cap)
            }
        }
    }

    /// Divides `amount` among the nodes below.
    fn divide(&self, amount: f64, whole: f64, shares: &mut [f64]) {
        match self {
            Domain::Node { at, .. } => shares[*at] = amount.min(whole),
            Domain::Group { children, .. } => divide(children, amount, whole, shares),
        }
    }
}

fn divide(children: &[Domain], amount: f64, whole: f64, shares: &mut [f64]) {
    // A weight is 1 at least, so everybody is full at the level `whole`.
    let (mut low, mut high) = (0.0, whole);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        let held: f64 = children.iter().map(|child| child.held(middle, whole)).sum();
        if held < amount {
            low = middle;
        } else {
            high = middle;
        }
    }
    for child in children {
        child.divide(child.held(high, whole), whole, shares);
    }
}

/// Shares of `copies` copies of everything, which weighs `whole` once.
pub(crate) fn copy_shares(members: &[Member], weights: &[u32], whole: u64, copies: usize) -> Vec<f64> {
    let whole = whole as f64;
    let mut zones: BTreeMap<(bool, &str), Vec<usize>> = BTreeMap::new();
    for (at, member) in members.iter().enumerate().filter(|(at, _)| weights[*at] > 0) {
        // Whoever names no zone is a zone of its own.
        let key = member
            .zone
            .as_deref()
            .map_or((false, member.name.as_str()), |zone| (true, zone));
        zones.entry(key).or_default().push(at);
    }
    let (most, least) = spread(copies, zones.len());
    let group = |nodes: Vec<usize>, most: usize, least: usize, children: Vec<Domain>| {
        let held = |copies: usize| copies.min(nodes.len()) as f64 * whole;
        Domain::Group {
            floor: held(least),
            cap: held(most),
            children,
        }
    };
    let node = |&at: &usize| Domain::Node {
        at,
        weight: weights[at].into(),
    };
    let zone = |nodes: Vec<usize>| {
        let mut racks: BTreeMap<(bool, &str), Vec<usize>> = BTreeMap::new();
        for &at in &nodes {
            let member = &members[at];
            let key = member
                .rack
                .as_deref()
                .map_or((false, member.name.as_str()), |rack| (true, rack));
            racks.entry(key).or_default().push(at);
        }
        // How many copies the zone gets of a slot varies, so no rack is owed one.
        let (rack_most, _) = spread(most, racks.len());
        let racks = racks.into_values();
        let racks = racks.map(|nodes| {
            let children = nodes.iter().map(node).collect();
            group(nodes, rack_most, 0, children)
        });
        let racks = racks.collect();
        group(nodes, most, least, racks)
    };
    let zones: Vec<Domain> = zones.into_values().map(zone).collect();
    let mut shares = vec![0.0; members.len()];
    divide(&zones, copies as f64 * whole, whole, &mut shares);
    shares
}

/// Most and fewest copies of one slot in one of `domains` domains.
fn spread(copies: usize, domains: usize) -> (usize, usize) {
    if domains >= copies {
        (1, usize::from(domains == copies))
    } else {
        (copies - domains + 1, 1)
    }
}

/// Shares of primaries: by weight alone.
pub(crate) fn primary_shares(weights: &[u32], whole: u64) -> Vec<f64> {
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let share = |&weight: &u32| whole as f64 * f64::from(weight) / total.max(1.0);
    weights.iter().map(share).collect()
}

/// Brings everybody's `held` towards one level per share: `amount` is given away by whoever is
/// above it (`down`) or handed to whoever is below. Returns whole amounts that add up to `amount`, or
/// to as much as there is.
pub(crate) fn level(held: &[u64], shares: &[f64], able: &[bool], amount: u64, down: bool) -> Vec<u64> {
    let part = |at: usize, level: f64| -> f64 {
        let (held, share) = (held[at] as f64, shares[at]);
        match (able[at], down) {
            (false, _) => 0.0,
            (true, true) => (held - level * share).max(0.0),
            (true, false) => (level * share - held).max(0.0),
        }
    };
    let sum = |level: f64| (0..held.len()).map(|at| part(at, level)).sum::<f64>();
    let fullest = (0..held.len())
        .filter(|&at| able[at] && shares[at] > 0.0)
        .map(|at| (held[at] as f64 + amount as f64) / shares[at])
        .fold(0.0, f64::max);
    let (mut low, mut high) = (0.0, fullest);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        // Going down, a higher level gives less; going up, it hands out more.
        if (sum(middle) < amount as f64) == down {
            high = middle;
        } else {
            low = middle;
        }
    }
    let exact: Vec<f64> = (0..held.len()).map(|at| part(at, high)).collect();
    let mut whole: Vec<u64> = exact.iter().map(|part| (part + 1e-6) as u64).collect();
    let mut order: Vec<usize> = (0..held.len()).filter(|&at| exact[at] > 1e-6).collect();
    let rest = |at: &usize| exact[*at] - (exact[*at] + 1e-6).floor();
    order.sort_by(|a, b| rest(b).total_cmp(&rest(a)).then(a.cmp(b)));
    let mut missing = amount.saturating_sub(whole.iter().sum());
    for at in order {
        if missing == 0 {
            break;
        }
        if !down || whole[at] < held[at] {
            whole[at] += 1;
            missing -= 1;
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::NodeSpec;

    fn shares(nodes: &str, whole: u64, copies: usize) -> Vec<f64> {
        let members: Vec<Member> = NodeSpec::parse_list(nodes)
            .unwrap()
            .iter()
            .map(Member::new)
            .collect();
        let weights: Vec<u32> = members.iter().map(Member::placing_weight).collect();
        let shares = copy_shares(&members, &weights, whole, copies);
        shares.iter().map(|share| (share * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn nobody_gets_a_slot_twice_and_the_rest_goes_by_weight() {
        assert_eq!(shares("a,b,c,d", 4096, 3), [3072.0; 4]);
        assert_eq!(shares("a,b,c=100", 4096, 2), [2048.0, 2048.0, 4096.0]);
        assert_eq!(shares("a,b,c=0", 4096, 1), [2048.0, 2048.0, 0.0]);
    }

    #[test]
    fn as_many_zones_as_copies_hold_each_slot_once() {
        let held = shares("a=1@x,b=1@y,c=1@y,d=1@z,e=3@z", 1200, 3);
        assert_eq!(held, [1200.0, 600.0, 600.0, 300.0, 900.0]);
    }

    #[test]
    fn fewer_zones_than_copies_hold_each_slot_at_least_once() {
        assert_eq!(shares("a=10@x,b=10@x,c=1@y", 1000, 3), [1000.0, 1000.0, 1000.0]);
        let held = shares("a=1@x,b=1@x,c=1@x,d=1@y,e=1@y,f=1@y", 600, 3);
        assert_eq!(held, [300.0; 6]);
    }

    #[test]
    fn racks_of_a_zone_share_what_the_zone_gets() {
        let held = shares("a=1@x/1,b=1@x/1,c=1@x/2", 900, 2);
        assert_eq!(held, [450.0, 450.0, 900.0]);
    }

    #[test]
    fn levels_add_up_and_take_from_the_fullest() {
        let able = [true; 3];
        assert_eq!(level(&[10, 4, 4], &[1.0; 3], &able, 3, true), [3, 0, 0]);
        assert_eq!(level(&[10, 4, 4], &[1.0; 3], &able, 9, true), [7, 1, 1]);
        assert_eq!(level(&[5, 0, 1], &[1.0; 3], &able, 4, false), [0, 3, 1]);
        assert_eq!(
            level(&[5, 0, 1], &[1.0; 3], &[true, false, true], 4, false),
            [0, 0, 4]
        );
        assert_eq!(level(&[1, 1], &[1.0; 2], &[true; 2], 9, true), [1, 1]);
    }
}
