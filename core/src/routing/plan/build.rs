//! From pieces to moves, the figures of a plan, and the check of its bounds.

use std::collections::BTreeMap;

use super::bound::{Bound, ceiling};
use super::ideal::primary_shares;
use super::solve::Piece;
use super::{
    Balance, Change, Counts, Move, NodeShare, Plan, Scene, SlotLoad, copy_shares, fullest, modulo_fraction,
};
use crate::ids::{ShardId, SlotId};
use crate::routing::error::RoutingError;
use crate::routing::topology::{GroupId, Shard, ShardState};

/// Finds the shard every piece goes to, making shards where none has the list.
pub(super) fn moves(scene: &Scene<'_>, pieces: Vec<Piece>, load: &dyn SlotLoad) -> (Vec<Shard>, Vec<Move>) {
    let topology = scene.topology;
    let known = topology.shards().iter();
    let known = known.filter(|shard| shard.state == ShardState::Active);
    let mut targets: BTreeMap<(GroupId, u16, Vec<u16>), ShardId> = BTreeMap::new();
    for shard in known {
        // Of shards with one list the first is the target.
        targets
            .entry(list_of(shard.group, &shard.replicas))
            .or_insert(shard.id);
    }
    let mut new_shards: Vec<Shard> = Vec::new();
    let mut moves = Vec::new();
    for piece in pieces {
        let source = &topology.shards()[piece.shard.0 as usize];
        let to = *targets
            .entry(list_of(source.group, &piece.replicas))
            .or_insert_with(|| {
                let id = ShardId((topology.shards().len() + new_shards.len()) as u32);
                new_shards.push(Shard {
                    id,
                    replicas: piece.replicas.clone(),
                    state: ShardState::Active,
                    group: source.group,
                });
                id
            });
        let mut slots: Vec<SlotId> = piece.slots.iter().map(|slot| slot.id).collect();
        slots.sort_unstable();
        let names = |these: &[u16], not: &[u16]| -> Vec<String> {
            let names = these.iter().filter(|replica| !not.contains(replica));
            names
                .map(|&replica| scene.members[usize::from(replica)].name.clone())
                .collect()
        };
        let gains = names(&piece.replicas, &source.replicas);
        let copies = gains.len() as u64;
        let held = slots.iter().map(|&slot| load.part(source.group, slot));
        let (keys, bytes) = held.fold((0u64, 0u64), |(keys, bytes), slot| {
            (keys.saturating_add(slot.keys), bytes.saturating_add(slot.bytes))
        });
        moves.push(Move {
            from: piece.shard,
            to,
            loses: names(&source.replicas, &piece.replicas),
            gains,
            primary: source.replicas[0] != piece.replicas[0],
            keys: keys.saturating_mul(copies),
            bytes: bytes.saturating_mul(copies),
            slots,
        });
    }
    (new_shards, moves)
}

fn list_of(group: GroupId, replicas: &[u16]) -> (GroupId, u16, Vec<u16>) {
    let mut followers = replicas[1..].to_vec();
    followers.sort_unstable();
    (group, replicas[0], followers)
}

/// Fills in the figures, counted from the replica sets before and after.
pub(super) fn plan(
    scene: &Scene<'_>,
    change: &Change,
    balance: Balance,
    bound: Bound,
    new_shards: Vec<Shard>,
    moves: Vec<Move>,
    load: &dyn SlotLoad,
) -> Plan {
    let topology = scene.topology;
    let count = scene.members.len();
    let shard = |id: ShardId| -> &Shard {
        let known = topology.shards().get(id.0 as usize);
        known.unwrap_or_else(|| &new_shards[id.0 as usize - topology.shards().len()])
    };
    let mut target: BTreeMap<(GroupId, SlotId), ShardId> = BTreeMap::new();
    for moved in &moves {
        let group = shard(moved.from).group;
        target.extend(moved.slots.iter().map(|&slot| ((group, slot), moved.to)));
    }
    let mut figures = Figures::default();
    let mut bytes = (vec![0u64; count], vec![0u64; count]);
    let mut lists = Vec::with_capacity(scene.slot_weights.len());
    let mut shards_after: Vec<ShardId> = Vec::new();
    for ((group, slot, owner), &weight) in topology.places().zip(&scene.slot_weights) {
        let next = target.get(&(group, slot)).copied().unwrap_or(owner);
        let (before, after) = (&shard(owner).replicas[..], &shard(next).replicas[..]);
        figures.count(before, after, weight, &scene.concerned);
        let held = load.part(group, slot).bytes;
        let add = |to: &mut [u64], list: &[u16]| {
            for &replica in list {
                let sum = &mut to[usize::from(replica)];
                *sum = sum.saturating_add(held);
            }
        };
        add(&mut bytes.0, before);
        add(&mut bytes.1, after);
        lists.push((before, after, weight));
        shards_after.push(next);
    }
    shards_after.sort_unstable();
    shards_after.dedup();
    let slots_before = Counts::of(count, lists.iter().map(|&(before, ..)| (before, 1)));
    let slots_after = Counts::of(count, lists.iter().map(|&(_, after, _)| (after, 1)));
    let after = Counts::of(count, lists.iter().map(|&(_, after, weight)| (after, weight)));
    let weights_before: Vec<u32> = topology.members().iter().map(|m| m.placing_weight()).collect();
    let usable = weights_before.iter().filter(|&&weight| weight > 0).count();
    let copies_before = usize::from(topology.replicas()).min(usable);
    let shares_before = copy_shares(topology.members(), &weights_before, scene.whole, copies_before);
    let fill = |held: u64, share: Option<&f64>| match share {
        Some(&share) if share > 0.0 => held as f64 / share,
        _ => 0.0,
    };
    let shown = |at: &usize| scene.weights[*at] > 0 || scene.before.copies[*at] > 0;
    let nodes = (0..count).filter(shown).map(|at| NodeShare {
        node: scene.members[at].name.clone(),
        weight: scene.weights[at],
        primaries_before: slots_before.primaries[at],
        primaries_after: slots_after.primaries[at],
        copies_before: slots_before.copies[at],
        copies_after: slots_after.copies[at],
        bytes_before: bytes.0[at],
        bytes_after: bytes.1[at],
        fill_before: fill(scene.before.copies[at], shares_before.get(at)),
        fill_after: fill(after.copies[at], scene.shares.get(at)),
    });
    let slots = scene.slot_weights.len() as u64;
    let copies_minimum = match scene.uniform {
        true => bound.minimum,
        false => slots_minimum(scene, &slots_before, slots),
    };
    Plan {
        from_version: topology.version(),
        change: change.clone(),
        balance,
        slots: topology.slots(),
        keys: moves.iter().fold(0, |sum, moved| sum.saturating_add(moved.keys)),
        bytes: moves.iter().fold(0, |sum, moved| sum.saturating_add(moved.bytes)),
        copies_moved: figures.copies,
        copies_minimum,
        ratio: match bound.minimum {
            0 if figures.moved == 0 => 1.0,
            minimum => figures.moved as f64 / minimum.max(1) as f64,
        },
        moved: figures.moved,
        minimum: bound.minimum,
        bound: bound.most,
        primaries_moved: figures.primaries,
        primaries_fraction: figures.primaries as f64 / slots as f64,
        modulo_fraction: modulo_fraction(topology.members(), scene.members),
        moved_between_old_nodes: figures.between_old_nodes,
        nodes: nodes.collect(),
        max_over_mean_before: fullest(&shares_before, &scene.before.copies),
        max_over_mean_after: fullest(&scene.shares, &after.copies),
        primary_max_over_mean_after: fullest(&primary_shares(&scene.weights, scene.whole), &after.primaries),
        shards_before: scene.shards.len(),
        shards_after: shards_after.len(),
        shortfalls: topology.shortfalls_after(scene.members, &new_shards, &moves),
        new_shards,
        moves,
    }
}

/// The least number of slot copies that gives everyone of the change a share of slots.
fn slots_minimum(scene: &Scene<'_>, before: &Counts, slots: u64) -> u64 {
    let shares = copy_shares(scene.members, &scene.weights, slots, scene.copies);
    let (mut up, mut down) = (0, 0);
    for at in (0..shares.len()).filter(|&at| scene.concerned[at]) {
        let due = if scene.weights[at] == 0 {
            0
        } else {
            ceiling(shares[at])
        };
        up += due.saturating_sub(before.copies[at]);
        down += before.copies[at].saturating_sub(due);
    }
    up.max(down)
}

/// Holds the figures, which were counted from the replica lists, against what is promised.
pub(super) fn check(plan: &Plan) -> Result<(), RoutingError> {
    let broken = |moved, bound, what| Err(RoutingError::PlanBound { moved, bound, what });
    if plan.moved > plan.bound {
        return broken(
            plan.moved,
            plan.bound,
            "what nodes of the change lack and have too much",
        );
    }
    if plan.moved_between_old_nodes > 0 {
        return broken(
            plan.moved_between_old_nodes,
            0,
            "nothing moves between two old nodes",
        );
    }
    Ok(())
}

#[derive(Default)]
struct Figures {
    moved: u64,
    copies: u64,
    primaries: u64,
    between_old_nodes: u64,
}

impl Figures {
    /// Compares the replica lists of one slot before and after.
    fn count(&mut self, before: &[u16], after: &[u16], weight: u64, concerned: &[bool]) {
        if before == after {
            return;
        }
        let old = |these: &[u16], not: &[u16]| {
            let changed = these.iter().filter(|replica| !not.contains(replica));
            let (of_change, old): (Vec<u16>, Vec<u16>) =
                changed.partition(|&&replica| concerned[usize::from(replica)]);
            (of_change.len() as u64, old.len() as u64)
        };
        let (gained, gained_by_old) = old(after, before);
        let (lost_by_change, _) = old(before, after);
        self.moved += (gained + gained_by_old) * weight;
        self.copies += gained + gained_by_old;
        self.primaries += u64::from(before[0] != after[0]);
        // An old node may stand in for a node of the change, and for nobody else.
        self.between_old_nodes += gained_by_old.saturating_sub(lost_by_change);
    }
}
