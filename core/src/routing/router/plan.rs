//! What adding or removing a node would move, as a share of all keys.
//!
//! A router and a change come in, shares go out: computed from the points, tables and formulas
//! themselves, not from samples. A share is the fraction of uniformly spread hashes, which is what the
//! keys of a large set come to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::circle::{self, Point};
use super::{Kind, Router};
use crate::routing::algorithm::RouterOption;
use crate::routing::error::RoutingError;
use crate::routing::node::NodeSpec;
use crate::routing::plan::{Change, Plan, UniformLoad};
use crate::routing::topology::Topology;

/// The share of keys of one node, before and after a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouterShare {
    /// The node.
    pub node: String,
    /// Its weight after the change; 0 once removed.
    pub weight: u32,
    /// Fraction of all keys it owns, before.
    pub before: f64,
    /// The same, after.
    pub after: f64,
}

/// What a change of nodes would do to the owners of keys.
#[derive(Clone, Debug, Serialize)]
pub struct RouterPlan {
    /// Name of the algorithm.
    pub algorithm: &'static str,
    /// The change.
    pub change: Change,
    /// Fraction of all keys whose owner changes.
    pub moved: f64,
    /// The fewest that any method could move: the share by weight of a node that joins, or what a node
    /// that leaves owns.
    pub minimum: f64,
    /// `moved / minimum`; 1 when both are 0.
    pub ratio: f64,
    /// Fraction that moves between two nodes which stay. 0 is what consistent hashing promises;
    /// `modulo`, `maglev`, `ketama` (whose point counts depend on all weights) and `jump` (in the
    /// middle) do not.
    pub moved_between_old_nodes: f64,
    /// Every node, the changed one included.
    pub nodes: Vec<RouterShare>,
    /// The slots that would move, one by one, where the router is a topology.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<Plan>,
}

/// Shares while they are added up, by node: those of before first, then the one that joins.
struct Tally {
    shares: Vec<RouterShare>,
    /// Position of every node of the later list.
    later: Vec<usize>,
    /// The node of the change.
    changed: usize,
    moved: f64,
    between: f64,
}

impl Tally {
    fn new(before: &[NodeSpec], after: &[NodeSpec], changed: &str) -> Tally {
        let mut shares: Vec<RouterShare> = Vec::with_capacity(before.len() + 1);
        let share = |node: &NodeSpec, weight| RouterShare {
            node: node.name.clone(),
            weight,
            before: 0.0,
            after: 0.0,
        };
        shares.extend(before.iter().map(|node| share(node, 0)));
        let mut later = Vec::with_capacity(after.len());
        let mut at = 0;
        for node in after {
            // Both lists have the same order; only the node of the change is in one of them alone.
            if shares
                .get(at)
                .is_some_and(|share| share.node == changed && node.name != changed)
            {
                at += 1;
            }
            if at == shares.len() {
                shares.push(share(node, 0));
            }
            shares[at].weight = node.weight;
            later.push(at);
            at += 1;
        }
        let position = shares.iter().position(|share| share.node == changed);
        Tally {
            changed: position.expect("a change is about a node of either list"),
            shares,
            later,
            moved: 0.0,
            between: 0.0,
        }
    }

    /// A fraction of the keys goes from a node of the earlier list to one of the later list.
    fn add(&mut self, fraction: f64, old: usize, new: usize) {
        let new = self.later[new];
        self.shares[old].before += fraction;
        self.shares[new].after += fraction;
        if old != new {
            self.moved += fraction;
            if old != self.changed && new != self.changed {
                self.between += fraction;
            }
        }
    }

    fn arcs(&mut self, before: &[Point], after: &[Point]) {
        let mut sums = Sums::new();
        circle::arcs(before, after, |length, old, new| {
            *sums.entry((old, new)).or_default() += length;
        });
        self.add_sums(sums, 18_446_744_073_709_551_616.0);
    }

    fn entries(&mut self, before: &[u16], after: &[u16]) {
        let mut sums = Sums::new();
        for (&old, &new) in before.iter().zip(after) {
            *sums.entry((old, new)).or_default() += 1;
        }
        self.add_sums(sums, before.len() as f64);
    }

    fn add_sums(&mut self, sums: Sums, whole: f64) {
        for ((old, new), length) in sums {
            self.add(length as f64 / whole, old.into(), new.into());
        }
    }
}

/// Lengths by owner before and after, summed as whole numbers: a million tiny fractions would gather
/// rounding errors.
type Sums = BTreeMap<(u16, u16), u128>;

impl Router {
    /// What adding a node at the end of the list would move.
    ///
    /// # Errors
    /// [`RoutingError::NodeExists`], [`RoutingError::NoPlan`] for algorithms without nodes and for
    /// ranges, [`RoutingError::NoNames`] for numbered buckets, and those of [`Router::new`] over the
    /// new list.
    pub fn plan_add(&self, node: &NodeSpec) -> Result<RouterPlan, RoutingError> {
        let change = Change::Add(node.clone());
        if let Kind::Topology(topology) = &self.kind {
            return self.plan_topology(topology, change);
        }
        self.plan_to(&self.with_node(node)?, &node.name, change)
    }

    /// What removing a node would move.
    ///
    /// # Errors
    /// As [`Self::plan_add`], with [`RoutingError::UnknownNode`]; [`RoutingError::NoNodes`] for the
    /// last one.
    pub fn plan_remove(&self, node: &str) -> Result<RouterPlan, RoutingError> {
        let change = Change::Remove(node.into());
        if let Kind::Topology(topology) = &self.kind {
            return self.plan_topology(topology, change);
        }
        self.plan_to(&self.without_node(node)?, node, change)
    }

    /// What another weight of a node would move.
    ///
    /// # Errors
    /// As [`Self::plan_add`], with [`RoutingError::UnknownNode`]; [`RoutingError::NoWeights`] for an algorithm without
    /// weights.
    pub fn plan_reweight(&self, node: &str, weight: u32) -> Result<RouterPlan, RoutingError> {
        let change = Change::Reweight {
            node: node.into(),
            weight,
        };
        if let Kind::Topology(topology) = &self.kind {
            return self.plan_topology(topology, change);
        }
        self.plan_to(&self.with_weight(node, weight)?, node, change)
    }

    /// The same router with one more node at the end of its list. A topology does not change all at
    /// once: carry out its plan instead.
    ///
    /// # Errors
    /// As [`Self::plan_add`]; [`RoutingError::NoPlan`] for a topology.
    pub fn with_node(&self, node: &NodeSpec) -> Result<Router, RoutingError> {
        if self.nodes.iter().any(|known| known.name == node.name) {
            let name = node.name.clone();
            return Err(RoutingError::NodeExists { name });
        }
        self.with_nodes(|nodes| nodes.push(node.clone()))
    }

    /// The same router without a node.
    ///
    /// # Errors
    /// As [`Self::plan_remove`]; [`RoutingError::NoPlan`] for a topology.
    pub fn without_node(&self, node: &str) -> Result<Router, RoutingError> {
        let router = |nodes: &mut Vec<NodeSpec>| nodes.retain(|known| known.name != node);
        if !self.nodes.is_empty() && self.nodes.iter().all(|known| known.name != node) {
            return Err(RoutingError::UnknownNode { name: node.into() });
        }
        if self.nodes.len() == 1 {
            return Err(RoutingError::NoNodes);
        }
        self.with_nodes(router)
    }

    /// The same router with another weight of a node.
    ///
    /// # Errors
    /// As [`Self::plan_reweight`]; [`RoutingError::NoPlan`] for a topology.
    pub fn with_weight(&self, node: &str, weight: u32) -> Result<Router, RoutingError> {
        if !self.algorithm().has(RouterOption::Weights) {
            return Err(RoutingError::NoWeights {
                algorithm: self.algorithm().name(),
                name: node.into(),
                weight,
            });
        }
        if !self.nodes.is_empty() && self.nodes.iter().all(|known| known.name != node) {
            return Err(RoutingError::UnknownNode { name: node.into() });
        }
        self.with_nodes(|nodes| {
            nodes
                .iter_mut()
                .filter(|known| known.name == node)
                .for_each(|known| known.weight = weight);
        })
    }

    fn with_nodes(&self, change: impl FnOnce(&mut Vec<NodeSpec>)) -> Result<Router, RoutingError> {
        let algorithm = self.algorithm().name();
        let refuse = |reason| Err(RoutingError::NoPlan { algorithm, reason });
        match &self.kind {
            Kind::Redis | Kind::Cassandra => return refuse("it has no nodes"),
            Kind::Range(_) => return refuse("a node needs a range of its own: give other splits"),
            Kind::Topology(_) => return refuse("a topology changes slot by slot: carry out its plan"),
            _ if self.nodes.is_empty() => return Err(RoutingError::NoNames { algorithm }),
            _ => {}
        }
        if let Kind::Ring(ring) = &self.kind {
            let mut nodes = self.nodes.clone();
            change(&mut nodes);
            return Ok(Router {
                kind: Kind::Ring(Box::new(ring.with_nodes(&nodes)?)),
                nodes,
                encoding: self.encoding,
                locality: self.locality,
            });
        }
        let mut spec = self.spec().expect("topologies were refused above");
        change(&mut spec.nodes);
        Router::new(&spec)
    }

    fn plan_to(&self, next: &Router, changed: &str, change: Change) -> Result<RouterPlan, RoutingError> {
        let mut tally = Tally::new(&self.nodes, &next.nodes, changed);
        match (&self.kind, &next.kind) {
            (Kind::Ring(old), Kind::Ring(new)) => {
                let points = |ring: &super::Ring| ring.arcs().collect::<Vec<Point>>();
                tally.arcs(&points(old), &points(new));
            }
            (Kind::Ketama(old), Kind::Ketama(new)) => {
                tally.arcs(
                    &whole(circle::widened(old.points()), old.nodes()),
                    &whole(circle::widened(new.points()), new.nodes()),
                );
            }
            (Kind::Nginx(old), Kind::Nginx(new)) => {
                tally.arcs(&circle::widened(old.points()), &circle::widened(new.points()));
            }
            (Kind::Maglev(old), Kind::Maglev(new)) => {
                tally.entries(old.table(), new.table());
            }
            (Kind::Hrw(_), Kind::Hrw(_)) => hrw(&mut tally, &self.nodes, &next.nodes),
            (Kind::Jump(_), Kind::Jump(_)) => jump(&mut tally, &self.nodes, &next.nodes),
            (Kind::Modulo(_), Kind::Modulo(_)) => modulo(&mut tally, &self.nodes, &next.nodes),
            _ => unreachable!("a change of nodes keeps the algorithm, and others were refused"),
        }
        let minimum = self.minimum(next, &tally, &change);
        Ok(RouterPlan {
            algorithm: self.algorithm().name(),
            change,
            moved: tally.moved,
            minimum,
            ratio: ratio(tally.moved, minimum),
            moved_between_old_nodes: tally.between,
            nodes: tally.shares,
            slots: None,
        })
    }

    fn minimum(&self, next: &Router, tally: &Tally, change: &Change) -> f64 {
        match change {
            Change::Add(node) => {
                let weights = next.nodes.iter().map(|node| f64::from(node.weight));
                f64::from(node.weight) / weights.sum::<f64>()
            }
            Change::Reweight { weight, .. } => {
                let node = &self.nodes[tally.changed];
                (by_weight(*weight, &next.nodes) - by_weight(node.weight, &self.nodes)).abs()
            }
            _ => tally.shares[tally.changed].before,
        }
    }

    fn plan_topology(&self, topology: &Topology, change: Change) -> Result<RouterPlan, RoutingError> {
        let plan = topology.plan(&change, &UniformLoad::default())?;
        let all = f64::from(plan.slots);
        let share = |node: &crate::routing::plan::NodeShare| RouterShare {
            node: node.node.clone(),
            weight: node.weight,
            before: node.primaries_before as f64 / all,
            after: node.primaries_after as f64 / all,
        };
        let nodes: Vec<RouterShare> = plan.nodes.iter().map(share).collect();
        let minimum = match &change {
            Change::Add(node) => {
                let weights = nodes.iter().map(|node| f64::from(node.weight));
                f64::from(node.weight) / weights.sum::<f64>()
            }
            Change::Reweight { node, weight } => {
                let weights = nodes.iter().map(|node| f64::from(node.weight));
                let before = nodes.iter().find(|share| share.node == *node);
                let before = before.map_or(0.0, |share| share.before);
                (f64::from(*weight) / weights.sum::<f64>() - before).abs()
            }
            _ => {
                let leaving = nodes.iter().filter(|node| node.weight == 0);
                leaving.map(|node| node.before - node.after).sum()
            }
        };
        Ok(RouterPlan {
            algorithm: self.algorithm().name(),
            change,
            moved: plan.primaries_fraction,
            minimum,
            ratio: ratio(plan.primaries_fraction, minimum),
            moved_between_old_nodes: plan.moved_between_old_nodes as f64 / all,
            nodes,
            slots: Some(plan),
        })
    }
}

/// Share of a node of this weight among these.
fn by_weight(weight: u32, nodes: &[NodeSpec]) -> f64 {
    f64::from(weight) / nodes.iter().map(|node| f64::from(node.weight)).sum::<f64>()
}

fn ratio(moved: f64, minimum: f64) -> f64 {
    match (moved, minimum) {
        (0.0, 0.0) => 1.0,
        _ => moved / minimum,
    }
}

/// A single ketama server owns everything, even where it has no points.
fn whole(points: Vec<Point>, nodes: &[NodeSpec]) -> Vec<Point> {
    if nodes.len() == 1 { vec![(0, 0)] } else { points }
}

/// Rendezvous: every node owns its share by weight; a change moves nothing between the others.
fn hrw(tally: &mut Tally, before: &[NodeSpec], after: &[NodeSpec]) {
    let total = |nodes: &[NodeSpec]| nodes.iter().map(|node| f64::from(node.weight)).sum::<f64>();
    let (old_total, new_total) = (total(before), total(after));
    let changed = tally.changed;
    if after.len() == before.len() {
        for (at, (old, new)) in before.iter().zip(after).enumerate() {
            let (old, new) = (
                f64::from(old.weight) / old_total,
                f64::from(new.weight) / new_total,
            );
            tally.add(old.min(new), at, at);
            // What the others lose the changed node gains, and the other way round.
            match at == changed {
                true => {}
                false if old > new => tally.add(old - new, at, changed),
                false => tally.add(new - old, changed, at),
            }
        }
    } else if after.len() > before.len() {
        let joins = f64::from(after[changed].weight) / new_total;
        for (at, node) in before.iter().enumerate() {
            let share = f64::from(node.weight) / old_total;
            tally.add(share * joins, at, changed);
            tally.add(share * (1.0 - joins), at, at);
        }
    } else {
        let leaves = f64::from(before[changed].weight) / old_total;
        for (new, node) in after.iter().enumerate() {
            let old = tally.later[new];
            tally.add(f64::from(node.weight) / old_total, old, new);
            tally.add(leaves * f64::from(node.weight) / new_total, changed, new);
        }
    }
}

/// Jump: from n to n + 1 buckets every bucket gives the new one its (n + 1)-th part, and the other way
/// round. A node taken out of the middle shifts the names of all buckets after it.
fn jump(tally: &mut Tally, before: &[NodeSpec], after: &[NodeSpec]) {
    let (few, many) = (before.len().min(after.len()), before.len().max(after.len()));
    let part = 1.0 / many as f64;
    for bucket in 0..few {
        tally.add(part, bucket, bucket);
        // The highest bucket of the longer list is spread evenly over the shorter one.
        let (old, new) = if before.len() < after.len() {
            (bucket, few)
        } else {
            (few, bucket)
        };
        tally.add(part / few as f64, old, new);
    }
}

/// Modulo: the remainders by n and by n + 1 are independent (neighbours have no common divisor), so
/// every pair of places has the same share, and a key stays with a node for one pair alone.
fn modulo(tally: &mut Tally, before: &[NodeSpec], after: &[NodeSpec]) {
    let (n, m) = (before.len() as f64, after.len() as f64);
    for share in &mut tally.shares[..before.len()] {
        share.before = 1.0 / n;
    }
    for &at in &tally.later {
        tally.shares[at].after = 1.0 / m;
    }
    tally.moved = 1.0 - n.min(m) / (n * m);
    let changed = &tally.shares[tally.changed];
    tally.between = tally.moved - changed.before.max(changed.after);
}
