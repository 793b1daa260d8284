//! Where the shards of a fresh cluster go.
//!
//! Members and counts come in, replica sets and slot counts come out. Only used once per cluster;
//! everything later moves the least it can ([`plan`](super::plan)).
//!
//! Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016): a shard walks the
//! ring from the point of its number and stops at the first node that has room. Here a node has
//! room for exactly its share, so nothing is left to chance: primaries by seats, copies by slots.

use super::error::RoutingError;
use super::hash::HashKind;
use super::node::NodeSpec;
use super::ring::Ring;
use super::share::{raise, seats};
use super::topology::{Member, zone_conflicts};

/// A shard of a fresh cluster.
pub(crate) struct Placed {
    /// Members that hold it, preferred primary first.
    pub(crate) replicas: Vec<u16>,
    /// Slots it owns.
    pub(crate) slots: u64,
}

/// Passes over all copies that look for a better place; each is cheap and the first does nearly all.
const IMPROVING_PASSES: usize = 8;

/// Places `shards` shards that share `slots` slots.
pub(crate) fn place(
    members: &[Member],
    shards: u32,
    replicas: u8,
    slots: u32,
    vnodes: u32,
) -> Result<Vec<Placed>, RoutingError> {
    let weights: Vec<u32> = members.iter().map(Member::placing_weight).collect();
    let ids: Vec<u64> = members.iter().map(|member| member.id).collect();
    let usable = weights.iter().filter(|&&weight| weight > 0).count();
    let copies = usize::from(replicas).min(usable);

    let orders = walks(members, shards, vnodes)?;
    let mut room = seats(&weights, &ids, shards);
    let mut placed = Vec::with_capacity(orders.len());
    for order in &orders {
        let free = order.iter().copied().find(|&node| room[usize::from(node)] > 0);
        let primary = free.expect("there are as many seats as shards");
        room[usize::from(primary)] -= 1;
        placed.push(Placed {
            replicas: vec![primary],
            slots: 0,
        });
    }
    let primaries = divide_slots(&mut placed, &weights, slots);

    let limits: Vec<u64> = primaries.iter().map(|&held| u64::from(slots) - held).collect();
    let amount = u64::from(slots) * (copies as u64 - 1);
    let targets = raise(&primaries, &weights, &limits, amount);
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
    Ok(placed)
}

/// For every shard, all usable members in the order in which its walk around the ring meets them.
fn walks(members: &[Member], shards: u32, vnodes: u32) -> Result<Vec<Vec<u16>>, RoutingError> {
    let usable: Vec<u16> = (0..members.len() as u16)
        .filter(|&i| members[usize::from(i)].placing_weight() > 0)
        .collect();
    // Weights are in the room of the nodes; weighing the ring too would only cost points.
    let name = |&index: &u16| NodeSpec::new(members[usize::from(index)].name.as_str());
    let nodes: Vec<NodeSpec> = usable.iter().map(name).collect();
    let ring = Ring::new(&nodes, vnodes, HashKind::Xxh3)?;
    let walk = |shard: u32| {
        ring.turn(&shard.to_be_bytes())
            .map(|at| usable[usize::from(at)])
            .collect()
    };
    Ok((0..shards).map(walk).collect())
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
            (zone_conflicts(self.members, &with), above)
        };
        // The first of equals is kept, which is the earliest on the walk.
        let best = others.iter().copied().min_by_key(cost);
        let best = best.expect("there are at least as many usable nodes as copies");
        self.loads[usize::from(best)] += shard.slots;
        shard.replicas.push(best);
    }

    /// Moves copies from nodes above to nodes below their target where that makes the sum of
    /// squared deviations smaller and no zone is shared more; returns whether any moved.
    fn improve(&mut self, placed: &mut [Placed], weights: &[u32]) -> bool {
        let mut moved = false;
        for shard in placed.iter_mut() {
            for at in 1..shard.replicas.len() {
                let from = shard.replicas[at];
                let conflicts = zone_conflicts(self.members, &shard.replicas);
                let better = |&to: &u16| {
                    let mut with = shard.replicas.clone();
                    with[at] = to;
                    let gain = self.above(from) - self.above(to) - i128::from(shard.slots);
                    gain > 0 && zone_conflicts(self.members, &with) <= conflicts
                };
                let able = (0..self.members.len() as u16)
                    .filter(|&to| weights[usize::from(to)] > 0 && !shard.replicas.contains(&to));
                let Some(to) = able.filter(better).min_by_key(|&to| self.above(to)) else {
                    continue;
                };
                self.loads[usize::from(from)] -= shard.slots;
                self.loads[usize::from(to)] += shard.slots;
                shard.replicas[at] = to;
                moved = true;
            }
        }
        moved
    }

    fn above(&self, node: u16) -> i128 {
        let node = usize::from(node);
        i128::from(self.loads[node]) - i128::from(self.targets[node])
    }
}
