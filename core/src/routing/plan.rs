//! What a change of members moves, before anything moves.
//!
//! A topology, a [`Change`] and the load of every slot come in; a [`Plan`] goes out. Plans are
//! deterministic and depend on the topology alone: loads only fill in the totals, so the plan a
//! user was shown is the plan that is carried out.
//!
//! One rule makes plans minimal: a moved slot goes from a shard to one whose replica list differs
//! in exactly one position, where the gaining node stands instead of the losing one. So data is
//! copied onto the gaining node only; nothing moves between two nodes that stay. Where a shard has
//! fewer replicas than wanted, a new node is inserted instead, and nobody loses.
//!
//! `plan/gain.rs` decides what one node takes from many, `plan/lose.rs` what many take from one,
//! `plan/flow.rs` finds amounts that satisfy everybody, `plan/build.rs` turns amounts into slots.

mod build;
mod flow;
mod gain;
mod lose;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::error::RoutingError;
use super::modulo::moved_fraction;
use super::node::NodeSpec;
use super::share::capped_share;
use super::topology::{Member, MemberState, Shard, ShardState, Shortfall, Topology};
use crate::ids::{ShardId, SlotId};

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// A node joins and takes its share.
    Add(NodeSpec),
    /// A node gives up everything and leaves.
    Remove(String),
    /// A node's share changes. The same weight again plans what is left of an interrupted change.
    Reweight {
        /// The node.
        node: String,
        /// Its new weight; 0 empties it without removing it.
        weight: u32,
    },
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotWeight {
    /// Live keys.
    pub keys: u64,
    /// Bytes a copy of them takes.
    pub bytes: u64,
}

/// Tells what every slot holds, as exactly as the caller knows.
pub trait SlotLoad {
    /// What one slot holds.
    fn slot(&self, slot: SlotId) -> SlotWeight;
}

/// The same for every slot; all zero by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct UniformLoad(pub SlotWeight);

impl SlotLoad for UniformLoad {
    fn slot(&self, _: SlotId) -> SlotWeight {
        self.0
    }
}

/// Slots that go from one shard to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The slots, ascending; at least one.
    pub slots: Vec<SlotId>,
    /// Shard that owns them now.
    pub from: ShardId,
    /// Shard that shall own them: existing, or one of [`Plan::new_shards`].
    pub to: ShardId,
    /// The one node onto which data is copied.
    pub gains: String,
    /// The node that gives up its copy; none where copies were missing.
    pub loses: Option<String>,
    /// Whether the preferred primary changes.
    pub primary: bool,
    /// Live keys to copy.
    pub keys: u64,
    /// Bytes to copy.
    pub bytes: u64,
}

/// Slots of one node before and after a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeShare {
    /// The node.
    pub node: String,
    /// Its weight after the change; 0 once it leaves.
    pub weight: u32,
    /// Slots it is preferred primary of, before.
    pub primaries_before: u64,
    /// The same, after.
    pub primaries_after: u64,
    /// Slots it holds a copy of (primaries included), before.
    pub copies_before: u64,
    /// The same, after.
    pub copies_after: u64,
}

/// Everything a change will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the topology it was made for; it fits no other.
    pub from_version: u64,
    /// The change.
    pub change: Change,
    /// Shards to create, empty, with ids that follow the existing ones.
    pub new_shards: Vec<Shard>,
    /// What moves, by source shard.
    pub moves: Vec<Move>,
    /// Slots of the topology.
    pub slots: u32,
    /// Live keys to copy.
    pub keys: u64,
    /// Bytes to copy.
    pub bytes: u64,
    /// Copies of slots that reach a node which had none.
    pub copies_moved: u64,
    /// The fewest that any method could move and still give everyone a share by weight.
    pub copies_minimum: u64,
    /// `copies_moved / copies_minimum`; 1 when both are 0. Below 1 where zones stand in the way of
    /// full shares.
    pub ratio: f64,
    /// Slots whose preferred primary changes.
    pub primaries_moved: u64,
    /// `primaries_moved / slots`: the fraction of keys whose owner changes.
    pub primaries_fraction: f64,
    /// Fraction of keys whose owner `hash mod N` would have changed, nodes listed by weight.
    pub modulo_fraction: f64,
    /// Copies that reach a node although neither it nor the loser is the node of the change;
    /// counted from the replica sets before and after. Always 0.
    pub moved_between_old_nodes: u64,
    /// Every node that holds or may hold something.
    pub nodes: Vec<NodeShare>,
    /// How full the fullest node is, before: copies held over its share by weight (for equal
    /// weights that is maximum over mean). A share is at most every slot once.
    pub max_over_mean_before: f64,
    /// The same, after.
    pub max_over_mean_after: f64,
    /// The same of primaries, after.
    pub primary_max_over_mean_after: f64,
    /// What the nodes will not be able to give afterwards.
    pub shortfalls: Vec<Shortfall>,
}

impl Topology {
    /// Plans a change; nothing is changed by it.
    ///
    /// # Errors
    /// [`RoutingError::UnknownNode`], [`RoutingError::NodeExists`], [`RoutingError::NodeLeaving`],
    /// [`RoutingError::BadNodeName`], [`RoutingError::NodeIdCollision`],
    /// [`RoutingError::TooManyNodes`], and [`RoutingError::TooFewNodes`] when fewer nodes than
    /// replicas would remain.
    pub fn plan(&self, change: &Change, load: &dyn SlotLoad) -> Result<Plan, RoutingError> {
        let (members, node) = self.changed_members(change)?;
        let scene = Scene::new(self, &members, node);
        scene.check_enough_nodes()?;
        let pieces = if scene.gains() {
            gain::pieces(&scene)
        } else {
            lose::pieces(&scene)
        };
        let (new_shards, moves) = build::moves(&scene, pieces, load);
        Ok(build::plan(&scene, change, new_shards, moves))
    }
}

/// So many slots of a shard go to where one node stands in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    shard: ShardId,
    /// The replica list of the target.
    replicas: Vec<u16>,
    slots: u64,
}

/// Slots per member.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts {
    primaries: Vec<u64>,
    copies: Vec<u64>,
}

impl Counts {
    /// Counts by replica lists with the slots they hold.
    fn of<'l>(members: usize, lists: impl Iterator<Item = (&'l [u16], u64)>) -> Counts {
        let mut counts = Counts {
            primaries: vec![0; members],
            copies: vec![0; members],
        };
        for (replicas, slots) in lists {
            counts.primaries[usize::from(replicas[0])] += slots;
            replicas
                .iter()
                .for_each(|&replica| counts.copies[usize::from(replica)] += slots);
        }
        counts
    }
}

/// The facts a plan is made from.
struct Scene<'t> {
    topology: &'t Topology,
    /// Members as the change leaves them.
    members: &'t [Member],
    /// Weights for placing data, as the change leaves them.
    weights: Vec<u32>,
    /// Index of the node of the change.
    node: u16,
    /// Active shards that own slots, with how many.
    shards: Vec<(&'t Shard, u64)>,
    before: Counts,
    slots: u64,
    /// Copies a shard can have: as wanted, or as many as there are nodes.
    copies: usize,
    /// The change asks for the weight the node has already.
    same_weight: bool,
}

/// A node within 1/100 of its share is left alone unless its weight changes: rounding and earlier
/// moves leave everybody a slot or two off, and a balanced cluster must never move.
const SETTLED_FRACTION: u128 = 100;

impl<'t> Scene<'t> {
    fn new(topology: &'t Topology, members: &'t [Member], node: u16) -> Scene<'t> {
        let counts = topology.slot_counts();
        let counted = |shard: &'t Shard| (shard, u64::from(counts[shard.id.0 as usize]));
        let shards: Vec<_> = topology
            .shards()
            .iter()
            .map(counted)
            .filter(|&(_, slots)| slots > 0)
            .collect();
        let weights: Vec<u32> = members.iter().map(Member::placing_weight).collect();
        let usable = weights.iter().filter(|&&weight| weight > 0).count();
        let lists = shards.iter().map(|&(shard, slots)| (&shard.replicas[..], slots));
        let known = topology.members().get(usize::from(node));
        Scene {
            same_weight: known == members.get(usize::from(node)),
            topology,
            members,
            node,
            before: Counts::of(members.len(), lists),
            slots: topology.slots().into(),
            copies: usize::from(topology.replicas()).min(usable),
            weights,
            shards,
        }
    }

    /// Refuses a change after which a node that must give up its copies has nobody to take them.
    fn check_enough_nodes(&self) -> Result<(), RoutingError> {
        let at = usize::from(self.node);
        if self.weights[at] > 0 {
            return Ok(());
        }
        let holding = self
            .shards
            .iter()
            .filter(|(shard, _)| shard.replicas.contains(&self.node));
        let replicas = holding
            .map(|(shard, _)| shard.replicas.len())
            .max()
            .unwrap_or(0)
            .max(1);
        let remaining = self.weights.iter().filter(|&&weight| weight > 0).count();
        if remaining < replicas {
            let name = self.members[at].name.clone();
            return Err(RoutingError::TooFewNodes {
                name,
                remaining,
                replicas,
            });
        }
        Ok(())
    }

    /// Whether the node of the change takes slots; else it gives some, or nothing moves.
    fn gains(&self) -> bool {
        let (share, whole) = self.copy_share();
        let below = u128::from(self.before.copies[usize::from(self.node)]) < share / whole;
        !self.settled() && (below || self.missing() > 0)
    }

    /// Whether nothing has to move: see [`SETTLED_FRACTION`].
    fn settled(&self) -> bool {
        let (share, whole) = self.copy_share();
        let has = u128::from(self.before.copies[usize::from(self.node)]) * whole;
        self.same_weight
            && !self.is_leaving(self.node)
            && self.missing() == 0
            && share.abs_diff(has) <= share / SETTLED_FRACTION
    }

    /// Exact share of copies of the node of the change, as a fraction.
    fn copy_share(&self) -> (u128, u128) {
        capped_share(&self.weights, self.node.into(), self.slots, self.copies as u64)
    }

    /// Copies the node of the change must gain or give up: its share less what it has, rounded up.
    fn copies_due(&self) -> u64 {
        let (share, whole) = self.copy_share();
        let has = self.before.copies[usize::from(self.node)];
        let due = share.div_ceil(whole) as u64;
        if self.settled() {
            0
        } else if self.gains() {
            due.saturating_sub(has).max(self.missing())
        } else {
            has.saturating_sub(due)
        }
    }

    /// Primaries the node of the change should have: its share, rounded.
    fn primaries_share(&self) -> u64 {
        let total: u128 = self.weights.iter().map(|&weight| u128::from(weight)).sum();
        let weight = u128::from(self.weights[usize::from(self.node)]);
        if total == 0 {
            return 0;
        }
        ((2 * u128::from(self.slots) * weight + total) / (2 * total)) as u64
    }

    /// Slots of shards that lack replicas, where the node of the change can be added.
    fn missing(&self) -> u64 {
        if self.weights[usize::from(self.node)] == 0 {
            return 0;
        }
        let lacking = self.shards.iter().filter(|(shard, _)| self.lacks(shard));
        lacking.map(|&(_, slots)| slots).sum()
    }

    /// Whether the shard has too few replicas and the node of the change is not among them.
    fn lacks(&self, shard: &Shard) -> bool {
        shard.replicas.len() < self.copies && !shard.replicas.contains(&self.node)
    }

    /// Active shard with exactly this list.
    fn shard_with(&self, replicas: &[u16]) -> Option<&'t Shard> {
        let fits = |shard: &&Shard| shard.state == ShardState::Active && shard.replicas == replicas;
        self.topology.shards().iter().find(fits)
    }

    fn is_leaving(&self, member: u16) -> bool {
        self.members[usize::from(member)].state == MemberState::Draining
    }
}

/// How far the fullest member is above its share of `copies` copies of all slots: held over share.
/// A share never exceeds every slot once, however heavy the member. 1 when nothing is held.
fn max_over_mean(weights: &[u32], held: &[u64], slots: u64, copies: u64) -> f64 {
    let able = (0..weights.len()).filter(|&index| weights[index] > 0);
    let above = able.map(|index| {
        let (share, whole) = capped_share(weights, index, slots, copies);
        held[index] as f64 * whole as f64 / share as f64
    });
    above.fold(0.0, f64::max)
}

/// What `hash mod N` would move, nodes being listed by weight in order of membership.
fn modulo_fraction(before: &[Member], after: &[Member]) -> f64 {
    let weights = |members: &[Member]| -> Vec<u32> { members.iter().map(Member::placing_weight).collect() };
    moved_fraction(&weights(before), &weights(after))
}
