//! Where the shards of a fresh cluster go.
//!
//! Members and counts come in, replica sets and slot counts come out. Only used once per cluster;
//! everything later moves the least it can ([`plan`](super::plan)).
//!
//! Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016): a shard walks the
//! ring from the point of its number and stops at the first node that has room. Here a node has
//! room for exactly its share, so nothing is left to chance: primaries by seats, copies by slots.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::error::RoutingError;
use super::hash::HashKind;
use super::node::NodeSpec;
use super::plan::copy_shares;
use super::ring::Ring;
use super::share::{raise, seats};
use super::topology::{Member, conflicts};

/// A shard of a fresh cluster.
pub(crate) struct Placed {
    /// Members that hold it, preferred primary first.
    pub(crate) replicas: Vec<u16>,
    /// Slots it owns.
    pub(crate) slots: u64,
}

/// Most nodes a walk looks at: more than the copies of any shard, and enough to find room and zones.
const LONGEST_WALK: usize = 512;

/// Passes that shift slots between the shards of one primary.
const RESIZING_PASSES: usize = 64;

/// Shards of one primary beyond which pairs would be too many; so many are level as they are.
const MOST_RESIZED: usize = 64;

/// Copies further above their share than this are evened out by resizing shards.
const UNEVEN: f64 = 0.01;

/// Passes over all copies that look for a better place; each is cheap and the first does nearly all.
const IMPROVING_PASSES: usize = 8;

/// Places `shards` shards that share `slots` slots.
pub(crate) fn place(
    members: &[Member],
    ids_of_shards: Range<u32>,
    replicas: u8,
    slots: u32,
    vnodes: u32,
) -> Result<Vec<Placed>, RoutingError> {
    let weights: Vec<u32> = members.iter().map(Member::placing_weight).collect();
    let ids: Vec<u64> = members.iter().map(|member| member.id).collect();
    let usable = weights.iter().filter(|&&weight| weight > 0).count();
    let copies = usize::from(replicas).min(usable);

    let orders = walks(members, ids_of_shards.clone(), vnodes)?;
    let mut room = seats(&weights, &ids, ids_of_shards.len() as u32);
    let mut next = 0;
    let mut placed = Vec::with_capacity(orders.len());
    for order in &orders {
        let free = order.iter().copied().find(|&node| room[usize::from(node)] > 0);
        let primary = free.unwrap_or_else(|| {
            // The walk was cut short among thousands of nodes.
            while room[next] == 0 {
                next += 1;
            }
            next as u16
        });
        room[usize::from(primary)] -= 1;
        placed.push(Placed {
            replicas: vec![primary],
            slots: 0,
        });
    }
    let primaries = divide_slots(&mut placed, &weights, slots);

    let limits: Vec<u64> = primaries.iter().map(|&held| u64::from(slots) - held).collect();
    let amount = u64::from(slots) * (copies as u64 - 1);
    let mut targets = raise(&primaries, &weights, &limits, amount);
    if members.iter().any(|member| member.zone.is_some()) {
        // What zones allow differs from what weights ask for.
        let shares = copy_shares(members, &weights, slots.into(), copies);
        let follows = |(share, &held): (f64, &u64)| (share - held as f64).max(0.0) as u64;
        targets = shares.into_iter().zip(&primaries).map(follows).collect();
    }
    let mut balance = Balance {
        members,
        targets,
        loads: vec![0; members.len()],
    };
    let mut by_size: Vec<usize> = (0..placed.len()).collect();
    by_size.sort_by_key(|&shard| std::cmp::Reverse(placed[shard].slots));
    for _ in 1..copies {
        for &shard in &by_size {
            balance.add_copy(&mut placed[shard], &orders[shard]);
        }
    }
    for _ in 0..IMPROVING_PASSES {
        if !balance.improve(&mut placed, &weights) {
            break;
        }
    }
    if balance.is_uneven(&primaries) {
        for _ in 0..RESIZING_PASSES {
            if !balance.resize(&mut placed) {
                break;
            }
        }
    }
    Ok(placed)
}

/// For every shard, all usable members in the order in which its walk around the ring meets them.
fn walks(members: &[Member], shards: Range<u32>, vnodes: u32) -> Result<Vec<Vec<u16>>, RoutingError> {
    let usable: Vec<u16> = (0..members.len() as u16)
        .filter(|&i| members[usize::from(i)].placing_weight() > 0)
        .collect();
    // Weights are in the room of the nodes; weighing the ring too would only cost points.
    let name = |&index: &u16| NodeSpec::new(members[usize::from(index)].name.as_str());
    let nodes: Vec<NodeSpec> = usable.iter().map(name).collect();
    let ring = Ring::new(&nodes, vnodes, HashKind::Xxh3)?;
    let walk = |shard: u32| {
        ring.turn(&shard.to_be_bytes())
            .take(LONGEST_WALK)
            .map(|at| usable[usize::from(at)])
            .collect()
    };
    Ok(shards.map(walk).collect())
}

/// Gives every shard its number of slots, so that nodes hold primaries by weight and the shards of
/// a node are equal; returns the slots of every member's primaries.
fn divide_slots(placed: &mut [Placed], weights: &[u32], slots: u32) -> Vec<u64> {
    // Every shard has one slot from the start, also where the share of its node is less.
    let mut primaries = vec![0; weights.len()];
    for shard in placed.iter() {
        primaries[usize::from(shard.replicas[0])] += 1;
    }
    let shards_of = primaries.clone();
    let limits: Vec<u64> = primaries
        .iter()
        .map(|&count| if count > 0 { u64::from(slots) } else { 0 })
        .collect();
    let more = raise(
        &primaries,
        weights,
        &limits,
        u64::from(slots) - placed.len() as u64,
    );
    for (held, more) in primaries.iter_mut().zip(more) {
        *held += more;
    }
    let mut served = vec![0; weights.len()];
    for shard in placed.iter_mut() {
        let node = usize::from(shard.replicas[0]);
        // Cutting at multiples of the exact share spreads the remainder evenly.
        let cut = |part: u64| primaries[node] * part / shards_of[node];
        shard.slots = cut(served[node] + 1) - cut(served[node]);
        served[node] += 1;
    }
    primaries
}

/// Slots of the copies (without primaries) that members hold and should hold.
struct Balance<'m> {
    members: &'m [Member],
    targets: Vec<u64>,
    loads: Vec<u64>,
}

impl Balance<'_> {
    /// Adds the next copy: a distinct zone first, then the least above the target, then the
    /// earliest on the walk.
    fn add_copy(&mut self, shard: &mut Placed, order: &[u16]) {
        let others: Vec<u16> = order
            .iter()
            .copied()
            .filter(|node| !shard.replicas.contains(node))
            .collect();
        let cost = |&node: &u16| {
            let mut with = shard.replicas.clone();
            with.push(node);
            let load = self.loads[usize::from(node)] + shard.slots;
            let above = load.saturating_sub(self.targets[usize::from(node)]);
            (conflicts(self.members, &with), above)
        };
        // The first of equals is kept, which is the earliest on the walk.
        let best = others.iter().copied().min_by_key(cost);
        let best = best.expect("there are at least as many usable nodes as copies");
        self.loads[usize::from(best)] += shard.slots;
        shard.replicas.push(best);
    }

    /// Moves copies from nodes above to nodes below their target where that makes the sum of
    /// squared deviations smaller and no domain is shared more; returns whether any moved.
    fn improve(&mut self, placed: &mut [Placed], weights: &[u32]) -> bool {
        let mut moved = false;
        let able = (0..self.members.len() as u16).filter(|&node| weights[usize::from(node)] > 0);
        let mut emptiest: BTreeSet<(i128, u16)> = able.map(|node| (self.above(node), node)).collect();
        for shard in placed.iter_mut() {
            for at in 1..shard.replicas.len() {
                let from = shard.replicas[at];
                let now = conflicts(self.members, &shard.replicas);
                let gains =
                    |&&(above, _): &&(i128, u16)| self.above(from) - above - i128::from(shard.slots) > 0;
                let fits = |&&(_, to): &&(i128, u16)| {
                    let mut with = shard.replicas.clone();
                    with[at] = to;
                    !shard.replicas.contains(&to) && conflicts(self.members, &with) <= now
                };
                let Some(&(_, to)) = emptiest.iter().take_while(gains).find(fits) else {
                    continue;
                };
                for (node, up) in [(from, false), (to, true)] {
                    emptiest.remove(&(self.above(node), node));
                    let load = &mut self.loads[usize::from(node)];
                    *load = if up {
                        *load + shard.slots
                    } else {
                        *load - shard.slots
                    };
                    emptiest.insert((self.above(node), node));
                }
                shard.replicas[at] = to;
                moved = true;
            }
        }
        moved
    }

    /// Whether a node is further above its share than slots that differ in size could explain.
    fn is_uneven(&self, primaries: &[u64]) -> bool {
        (0..self.loads.len()).any(|node| {
            let share = (primaries[node] + self.targets[node]) as f64;
            self.above(node as u16) as f64 > (share * UNEVEN).max(1.0)
        })
    }

    /// Shifts slots from a shard whose followers are above their targets to one with the same
    /// primary whose followers are not; returns whether any were shifted. Primaries hold as many
    /// slots as before.
    fn resize(&mut self, placed: &mut [Placed]) -> bool {
        let mut by_primary: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (index, shard) in placed.iter().enumerate() {
            by_primary.entry(shard.replicas[0]).or_default().push(index);
        }
        let mut shifted = false;
        for shards in by_primary.values().filter(|shards| shards.len() <= MOST_RESIZED) {
            for &from in shards {
                for &to in shards {
                    let only = |these: usize, not: usize| -> Vec<u16> {
                        let others = &placed[not].replicas;
                        let nodes = placed[these].replicas.iter().copied();
                        nodes.filter(|node| !others.contains(node)).collect()
                    };
                    let (lose, gain) = (only(from, to), only(to, from));
                    let (mut slope, mut curve) = (0.0, 0.0);
                    for (nodes, sign) in [(&lose, 1.0), (&gain, -1.0)] {
                        for &node in nodes {
                            let target = self.targets[usize::from(node)].max(1) as f64;
                            slope += sign * self.above(node) as f64 / target;
                            curve += 1.0 / target;
                        }
                    }
                    let most = placed[from].slots - 1;
                    let amount = if curve > 0.0 { (slope / curve) as u64 } else { 0 };
                    let amount = amount.min(most);
                    if amount == 0 {
                        continue;
                    }
                    placed[from].slots -= amount;
                    placed[to].slots += amount;
                    lose.iter()
                        .for_each(|&node| self.loads[usize::from(node)] -= amount);
                    gain.iter()
                        .for_each(|&node| self.loads[usize::from(node)] += amount);
                    shifted = true;
                }
            }
        }
        shifted
    }

    fn above(&self, node: u16) -> i128 {
        let node = usize::from(node);
        i128::from(self.loads[node]) - i128::from(self.targets[node])
    }
}
