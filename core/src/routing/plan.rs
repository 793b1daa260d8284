//! What a change of members moves, before anything moves.
//!
//! A topology, a [`Change`] and the load of every slot come in; a [`Plan`] goes out. Plans are
//! deterministic. Planned by [`Balance::Slots`] they depend on the topology alone, and loads only
//! fill in the totals; otherwise slots weigh what they hold or cost.
//!
//! Three rules keep plans small. A slot is copied onto a node only because that node is of the
//! change, or because the node whose copy it replaces is: nothing moves between two old nodes. What
//! the nodes of the change gain and give is their share and no more. And both are counted again from
//! the replica lists of the finished plan and held against a bound that the solver had no part in:
//! a plan that breaks it is an error, never an answer.
//!
//! `plan/ideal.rs` says what everybody should hold, `plan/bound.rs` what must and may move,
//! `plan/solve.rs` finds the moves and `plan/even.rs` betters them, `plan/take.rs` picks the slots, `plan/build.rs` the figures.

mod bound;
mod build;
mod even;
mod ideal;
mod mend;
mod solve;
mod take;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Deserializer, Serialize};

use super::error::RoutingError;
use super::modulo::moved_fraction;
use super::node::NodeSpec;
use super::topology::{GroupId, Member, Shard, Shortfall, Topology};
use crate::ids::{ShardId, SlotId};

pub(crate) use ideal::copy_shares;

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
    /// Several of these at once, in one plan: a node that replaces another takes its copies, and
    /// nobody else moves.
    Together(Vec<Change>),
    /// The members stay as they are; whoever is more than 1/100 above its share gives to whoever is
    /// below.
    Level,
}

impl Change {
    /// The changes of single nodes this one consists of, in order.
    #[must_use]
    pub fn parts(&self) -> Vec<&Change> {
        match self {
            Change::Together(changes) => changes.iter().flat_map(Change::parts).collect(),
            Change::Level => Vec::new(),
            single => vec![single],
        }
    }

    /// Names of the nodes this is about; none for [`Change::Level`], which is about all of them.
    #[must_use]
    pub fn nodes(&self) -> Vec<&str> {
        self.parts().into_iter().filter_map(Change::node).collect()
    }

    fn node(&self) -> Option<&str> {
        match self {
            Change::Add(spec) => Some(&spec.name),
            Change::Remove(name) | Change::Reweight { node: name, .. } => Some(name),
            Change::Together(_) | Change::Level => None,
        }
    }
}

/// What nodes shall hold equal shares of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// Slots, whatever they hold: the plan depends on the topology alone.
    #[default]
    Slots,
    /// Bytes.
    Bytes,
    /// Measured load: operations, bytes and processor time, as parts of their totals, in equal
    /// parts as far as they were measured.
    Load,
}

impl std::str::FromStr for Balance {
    type Err = RoutingError;

    fn from_str(text: &str) -> Result<Balance, RoutingError> {
        match text {
            "slots" => Ok(Balance::Slots),
            "bytes" => Ok(Balance::Bytes),
            "load" => Ok(Balance::Load),
            _ => Err(RoutingError::UnknownBalance { name: text.into() }),
        }
    }
}

impl std::fmt::Display for Balance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Balance::Slots => "slots",
            Balance::Bytes => "bytes",
            Balance::Load => "load",
        })
    }
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotWeight {
    /// Live keys.
    pub keys: u64,
    /// Bytes a copy of them takes.
    pub bytes: u64,
    /// Operations in some span of time, the same for all slots.
    #[serde(default)]
    pub ops: u64,
    /// Processor time they took in that span, in microseconds.
    #[serde(default)]
    pub cpu_us: u64,
}

/// Tells what every slot holds, as exactly as the caller knows.
pub trait SlotLoad {
    /// What one slot holds.
    fn slot(&self, slot: SlotId) -> SlotWeight;

    /// What a slot holds in one column group; unless told otherwise, nothing outside the main one.
    fn part(&self, group: GroupId, slot: SlotId) -> SlotWeight {
        match group {
            0 => self.slot(slot),
            _ => SlotWeight::default(),
        }
    }
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
    /// The nodes onto which data is copied; one, unless several nodes of one list change.
    #[serde(deserialize_with = "names")]
    pub gains: Vec<String>,
    /// The nodes that give up their copies; none where copies were missing.
    #[serde(deserialize_with = "names")]
    pub loses: Vec<String>,
    /// Whether the preferred primary changes.
    pub primary: bool,
    /// Live keys to copy, once for every node that gains.
    pub keys: u64,
    /// Bytes to copy, in the same way.
    pub bytes: u64,
}

/// Slots of one node before and after a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Bytes of the copies it holds, before.
    #[serde(default)]
    pub bytes_before: u64,
    /// The same, after.
    #[serde(default)]
    pub bytes_after: u64,
    /// What it holds of what the plan balances, over its share, before; 1 is level.
    #[serde(default)]
    pub fill_before: f64,
    /// The same, after.
    #[serde(default)]
    pub fill_after: f64,
}

/// Everything a change will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the topology it was made for; it fits no other.
    pub from_version: u64,
    /// The change.
    pub change: Change,
    /// What the plan balances.
    #[serde(default)]
    pub balance: Balance,
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
    /// The fewest that any method could move and still give everyone a share by weight, slots
    /// counted; a plan by bytes or load may move more slots, or fewer.
    pub copies_minimum: u64,
    /// What moves over the least that could, in what the plan balances; 1 when both are 0. Below 1
    /// where lists that hold the node already stand in the way of full shares.
    pub ratio: f64,
    /// What moves, in units of what the plan balances: slot copies, or 1/64 of the mean slot.
    #[serde(default)]
    pub moved: u64,
    /// The least that any method could move, in the same units.
    #[serde(default)]
    pub minimum: u64,
    /// What the plan was allowed to move: held against `moved` before the plan was returned.
    #[serde(default)]
    pub bound: u64,
    /// Slots whose preferred primary changes.
    pub primaries_moved: u64,
    /// `primaries_moved / slots`: the fraction of keys whose owner changes.
    pub primaries_fraction: f64,
    /// Fraction of keys whose owner `hash mod N` would have changed, nodes listed by weight.
    pub modulo_fraction: f64,
    /// Copies that reach a node although neither it nor the loser is a node of the change;
    /// counted from the replica sets before and after. Always 0.
    pub moved_between_old_nodes: u64,
    /// Every node that holds or may hold something.
    pub nodes: Vec<NodeShare>,
    /// How full the fullest node is, before: what it holds of what the plan balances, over its
    /// share (for equal weights that is maximum over mean). A share is by weight, as far as zones
    /// allow, and at most every slot once.
    pub max_over_mean_before: f64,
    /// The same, after.
    pub max_over_mean_after: f64,
    /// The same of primaries, after.
    pub primary_max_over_mean_after: f64,
    /// Shards that own slots, before.
    #[serde(default)]
    pub shards_before: usize,
    /// The same, after: a shard is a log, so these should not grow without need.
    #[serde(default)]
    pub shards_after: usize,
    /// What the nodes will not be able to give afterwards.
    pub shortfalls: Vec<Shortfall>,
}

impl Plan {
    /// Reads a plan as it is written by its `Serialize`: JSON, from anywhere.
    ///
    /// Only the form is checked. [`Topology::with_plan`] refuses a plan that does not fit.
    ///
    /// # Errors
    /// [`RoutingError::Json`].
    pub fn from_json_bytes(bytes: &[u8]) -> Result<Plan, RoutingError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// A list of names; also one name or none, as plans were written before several nodes could change.
fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        Many(Vec<String>),
        One(Option<String>),
    }
    Ok(match Names::deserialize(from)? {
        Names::Many(names) => names,
        Names::One(name) => name.into_iter().collect(),
    })
}

impl Topology {
    /// Plans a change by [`Balance::Slots`]; nothing is changed by it.
    ///
    /// # Errors
    /// [`RoutingError::UnknownNode`], [`RoutingError::NodeExists`], [`RoutingError::NodeLeaving`],
    /// [`RoutingError::BadNodeName`], [`RoutingError::NodeIdCollision`],
    /// [`RoutingError::TooManyNodes`], [`RoutingError::NodeTwice`], and
    /// [`RoutingError::TooFewNodes`] when fewer nodes than replicas would remain.
    /// [`RoutingError::PlanBound`] if the plan found broke its bound, which would be a defect.
    pub fn plan(&self, change: &Change, load: &dyn SlotLoad) -> Result<Plan, RoutingError> {
        self.plan_by(change, Balance::Slots, load)
    }

    /// Plans a change so that nodes hold equal shares of slots, bytes or load.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn plan_by(
        &self,
        change: &Change,
        balance: Balance,
        load: &dyn SlotLoad,
    ) -> Result<Plan, RoutingError> {
        let (members, nodes) = self.changed_members(change)?;
        let scene = Scene::new(self, &members, &nodes, change, balance, load);
        scene.check_enough_nodes()?;
        let bound = bound::bound(&scene);
        let pieces = match bound.most {
            0 => Vec::new(),
            _ => solve::Solver::new(&scene).pieces(),
        };
        let (new_shards, moves) = build::moves(&scene, pieces, load);
        let plan = build::plan(&scene, change, balance, bound, new_shards, moves, load);
        build::check(&plan)?;
        Ok(plan)
    }
}

/// A slot as the solver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    id: SlotId,
    weight: u64,
}

/// A shard that owns slots.
struct Held<'t> {
    shard: &'t Shard,
    slots: Vec<Slot>,
    weight: u64,
}

/// What members hold, in units of the measure.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts {
    primaries: Vec<u64>,
    copies: Vec<u64>,
}

impl Counts {
    /// Counts by replica lists with what they hold.
    fn of<'l>(members: usize, lists: impl Iterator<Item = (&'l [u16], u64)>) -> Counts {
        let mut counts = Counts {
            primaries: vec![0; members],
            copies: vec![0; members],
        };
        for (replicas, weight) in lists {
            counts.primaries[usize::from(replicas[0])] += weight;
            replicas
                .iter()
                .for_each(|&replica| counts.copies[usize::from(replica)] += weight);
        }
        counts
    }
}

/// The mean slot weighs so much where slots differ, and an empty one 1: it is moved like others,
/// because it may not stay empty.
const MEAN_WEIGHT: u64 = 64;

/// A node within 1/100 of its share is left alone unless its weight changes: rounding and earlier
/// moves leave everybody a slot or two off, and a balanced cluster must never move.
const SETTLED: f64 = 0.01;

/// The facts a plan is made from.
struct Scene<'t> {
    topology: &'t Topology,
    /// Members as the change leaves them.
    members: &'t [Member],
    /// Weights for placing data, as the change leaves them.
    weights: Vec<u32>,
    /// Which members may gain from and give to everybody: those of the change, and whoever leaves.
    concerned: Vec<bool>,
    /// Which members have another weight than before, or are new.
    changed: Vec<bool>,
    /// Weight of every slot, by its place in the topology's tables.
    slot_weights: Vec<u64>,
    shards: Vec<Held<'t>>,
    before: Counts,
    /// Share of every member of all copies.
    shares: Vec<f64>,
    /// Weight of all slots once.
    whole: u64,
    heaviest: u64,
    /// Whether all slots weigh the same.
    uniform: bool,
    /// Copies a shard can have: as wanted, or as many as there are nodes.
    copies: usize,
    /// Whether the change is [`Change::Level`].
    levels: bool,
}

impl<'t> Scene<'t> {
    fn new(
        topology: &'t Topology,
        members: &'t [Member],
        nodes: &[u16],
        change: &Change,
        balance: Balance,
        load: &dyn SlotLoad,
    ) -> Scene<'t> {
        let slot_weights = weigh(topology, balance, load);
        let mut shards: Vec<Held<'t>> = topology
            .shards()
            .iter()
            .map(|shard| Held {
                shard,
                slots: Vec::new(),
                weight: 0,
            })
            .collect();
        for ((group, slot, owner), &weight) in topology.places().zip(&slot_weights) {
            let held = &mut shards[owner.0 as usize];
            debug_assert_eq!(held.shard.group, group);
            held.slots.push(Slot { id: slot, weight });
            held.weight += weight;
        }
        shards.retain(|held| !held.slots.is_empty());
        let weights: Vec<u32> = members.iter().map(Member::placing_weight).collect();
        let usable = weights.iter().filter(|&&weight| weight > 0).count();
        let lists = shards.iter().map(|held| (&held.shard.replicas[..], held.weight));
        let before = Counts::of(members.len(), lists);
        let levels = *change == Change::Level;
        let concerned = (0..members.len()).map(|at| {
            let leaves = weights[at] == 0 && before.copies[at] > 0;
            levels || leaves || nodes.contains(&(at as u16))
        });
        let changed = (0..members.len()).map(|at| topology.members().get(at) != members.get(at));
        let whole = slot_weights.iter().sum();
        let copies = usize::from(topology.replicas()).min(usable);
        Scene {
            concerned: concerned.collect(),
            changed: changed.collect(),
            shares: copy_shares(members, &weights, whole, copies),
            heaviest: slot_weights.iter().copied().max().unwrap_or(0),
            uniform: slot_weights.iter().all(|&weight| weight == slot_weights[0]),
            slot_weights,
            topology,
            members,
            weights,
            shards,
            before,
            whole,
            copies,
            levels,
        }
    }

    /// Refuses a change after which a node that must give up its copies has nobody to take them.
    fn check_enough_nodes(&self) -> Result<(), RoutingError> {
        let remaining = self.weights.iter().filter(|&&weight| weight > 0).count();
        for held in &self.shards {
            let leaving = |&&replica: &&u16| self.weights[usize::from(replica)] == 0;
            let Some(&leaver) = held.shard.replicas.iter().find(leaving) else {
                continue;
            };
            let replicas = held.shard.replicas.len();
            if remaining < replicas {
                return Err(RoutingError::TooFewNodes {
                    name: self.members[usize::from(leaver)].name.clone(),
                    remaining,
                    replicas,
                });
            }
        }
        if remaining == 0 {
            return Err(RoutingError::NoWeight);
        }
        Ok(())
    }

    /// Whether a node need not gain or give: see [`SETTLED`].
    fn settled(&self, at: usize) -> bool {
        let (has, share) = (self.before.copies[at] as f64, self.shares[at]);
        if self.levels {
            // Whoever is below takes what others give, however little it lacks itself.
            return !self.unlevel();
        }
        !self.changed[at] && (has - share).abs() <= share * SETTLED && self.missing() == 0
    }

    /// Whether anybody is so far above its share that levelling is worth it: 1/100, and more than
    /// the heaviest slot, which may be all there is to move.
    fn unlevel(&self) -> bool {
        let above = |at: usize| self.before.copies[at] as f64 - self.shares[at];
        let far = |at: usize| above(at) > (self.shares[at] * SETTLED).max(self.heaviest as f64);
        self.missing() > 0 || (0..self.members.len()).any(far)
    }

    /// Weight of the copies that are missing and that nodes of the change can make.
    fn missing(&self) -> u64 {
        let lacking = self
            .shards
            .iter()
            .filter(|held| held.shard.replicas.len() < self.copies);
        let missing = |held: &Held<'_>| {
            let able = (0..self.members.len()).filter(|&at| {
                self.concerned[at] && self.weights[at] > 0 && !held.shard.replicas.contains(&(at as u16))
            });
            let lacks = self.copies - held.shard.replicas.len();
            able.count().min(lacks) as u64 * held.weight
        };
        lacking.map(missing).sum()
    }
}

/// Weight of every slot, by its place in the topology's tables.
fn weigh(topology: &Topology, balance: Balance, load: &dyn SlotLoad) -> Vec<u64> {
    let held: Vec<SlotWeight> = topology
        .places()
        .map(|(group, slot, _)| load.part(group, slot))
        .collect();
    type Metric = fn(&SlotWeight) -> u64;
    let metrics: &[Metric] = match balance {
        Balance::Slots => &[],
        Balance::Bytes => &[|slot| slot.bytes],
        Balance::Load => &[|slot| slot.ops, |slot| slot.bytes, |slot| slot.cpu_us],
    };
    let total = |metric: &Metric| held.iter().map(|slot| u128::from(metric(slot))).sum();
    let measured: Vec<(&Metric, u128)> = metrics
        .iter()
        .map(|metric| (metric, total(metric)))
        .filter(|&(_, total)| total > 0)
        .collect();
    if measured.is_empty() {
        return vec![1; held.len()];
    }
    let scale = u128::from(MEAN_WEIGHT) * held.len() as u128 / measured.len() as u128;
    let weight = |slot: &SlotWeight| {
        let parts = measured
            .iter()
            .map(|(metric, total)| u128::from(metric(slot)) * scale / total);
        1 + parts.sum::<u128>() as u64
    };
    held.iter().map(weight).collect()
}

/// How far the fullest member is above its share: held over share. 0 when nothing is held.
fn fullest(shares: &[f64], held: &[u64]) -> f64 {
    let fill = |(&share, &held): (&f64, &u64)| if share > 0.0 { held as f64 / share } else { 0.0 };
    shares.iter().zip(held).map(fill).fold(0.0, f64::max)
}

/// What `hash mod N` would move, nodes being listed by weight in order of membership.
fn modulo_fraction(before: &[Member], after: &[Member]) -> f64 {
    let weights = |members: &[Member]| -> Vec<u32> { members.iter().map(Member::placing_weight).collect() };
    moved_fraction(&weights(before), &weights(after))
}
