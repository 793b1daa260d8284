//! From amounts to slots, and the figures of a plan.

use std::collections::BTreeMap;

use super::{Change, Counts, Move, NodeShare, Piece, Plan, Scene, SlotLoad, max_over_mean, modulo_fraction};
use crate::ids::{ShardId, SlotId};
use crate::routing::topology::{Shard, ShardState};

/// Picks the slots of every piece and the shard it goes to, making shards where none has the list.
pub(super) fn moves(scene: &Scene<'_>, pieces: Vec<Piece>, load: &dyn SlotLoad) -> (Vec<Shard>, Vec<Move>) {
    let mut new_shards: Vec<Shard> = Vec::new();
    let mut left: BTreeMap<ShardId, Vec<SlotId>> = BTreeMap::new();
    let mut moves = Vec::new();
    for piece in pieces {
        let topology = scene.topology;
        let remaining = left
            .entry(piece.shard)
            .or_insert_with(|| topology.slots_of_shard(piece.shard).collect());
        let slots = carve(remaining, piece.slots as usize);
        let same = new_shards.iter().find(|shard| shard.replicas == piece.replicas);
        let known = scene.shard_with(&piece.replicas).or(same).map(|shard| shard.id);
        let to = known.unwrap_or_else(|| {
            let id = ShardId((topology.shards().len() + new_shards.len()) as u32);
            let replicas = piece.replicas.clone();
            new_shards.push(Shard {
                id,
                replicas,
                state: ShardState::Active,
            });
            id
        });
        let old = topology
            .shard(piece.shard)
            .map_or(&[][..], |shard| &shard.replicas);
        let name = |index: u16| scene.members[usize::from(index)].name.clone();
        let gained = piece
            .replicas
            .iter()
            .copied()
            .find(|replica| !old.contains(replica));
        let lost = old
            .iter()
            .copied()
            .find(|replica| !piece.replicas.contains(replica));
        let held = slots.iter().map(|&slot| load.slot(slot));
        let (keys, bytes) = held.fold((0u64, 0u64), |(keys, bytes), slot| {
            (keys.saturating_add(slot.keys), bytes.saturating_add(slot.bytes))
        });
        moves.push(Move {
            slots,
            from: piece.shard,
            to,
            gains: name(gained.expect("a piece has one member its source has not")),
            loses: lost.map(name),
            primary: old.first() != piece.replicas.first(),
            keys,
            bytes,
        });
    }
    (new_shards, moves)
}

/// Takes `count` slots in as few runs of neighbours as greed finds: the shortest run that is long
/// enough, else the longest.
fn carve(slots: &mut Vec<SlotId>, count: usize) -> Vec<SlotId> {
    let mut carved = Vec::with_capacity(count);
    while carved.len() < count && !slots.is_empty() {
        let needed = count - carved.len();
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (at, slot) in slots.iter().enumerate() {
            match runs.last_mut() {
                Some((start, len)) if slots[*start].0 + *len as u32 == slot.0 => *len += 1,
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
    carved.sort_unstable();
    carved
}

/// Fills in the figures, counted from the replica sets before and after.
pub(super) fn plan(scene: &Scene<'_>, change: &Change, new_shards: Vec<Shard>, moves: Vec<Move>) -> Plan {
    let topology = scene.topology;
    let before = |slot: u32| &topology.shards()[topology.shard_of_slot(SlotId(slot)).0 as usize];
    let mut target: BTreeMap<u32, &Shard> = BTreeMap::new();
    for moved in &moves {
        let to = moved.to.0 as usize;
        let shard = topology
            .shards()
            .get(to)
            .or(new_shards.get(to.wrapping_sub(topology.shards().len())));
        let shard = shard.expect("moves go to existing or new shards");
        target.extend(moved.slots.iter().map(|slot| (slot.0, shard)));
    }
    let mut figures = Figures::default();
    for (&slot, shard) in &target {
        figures.count(&before(slot).replicas, &shard.replicas, scene.node);
    }
    let after_of = |slot: u32| target.get(&slot).copied().unwrap_or_else(|| before(slot));
    let lists = (0..topology.slots()).map(|slot| (&after_of(slot).replicas[..], 1));
    let after = Counts::of(scene.members.len(), lists);
    let minimum = scene.copies_due();
    let shown = |index: &usize| scene.weights[*index] > 0 || scene.before.copies[*index] > 0;
    let share = |index: usize| NodeShare {
        node: scene.members[index].name.clone(),
        weight: scene.weights[index],
        primaries_before: scene.before.primaries[index],
        primaries_after: after.primaries[index],
        copies_before: scene.before.copies[index],
        copies_after: after.copies[index],
    };
    let weights_before: Vec<u32> = topology
        .members()
        .iter()
        .map(|member| member.placing_weight())
        .collect();
    let fullest = |weights: &[u32], held: &[u64], copies| max_over_mean(weights, held, scene.slots, copies);
    let copies = u64::from(topology.replicas());
    Plan {
        from_version: topology.version(),
        change: change.clone(),
        slots: topology.slots(),
        keys: moves.iter().fold(0, |sum, moved| sum.saturating_add(moved.keys)),
        bytes: moves.iter().fold(0, |sum, moved| sum.saturating_add(moved.bytes)),
        copies_moved: figures.copies,
        copies_minimum: minimum,
        ratio: if minimum == 0 {
            1.0
        } else {
            figures.copies as f64 / minimum as f64
        },
        primaries_moved: figures.primaries,
        primaries_fraction: figures.primaries as f64 / f64::from(topology.slots()),
        modulo_fraction: modulo_fraction(topology.members(), scene.members),
        moved_between_old_nodes: figures.between_old_nodes,
        nodes: (0..scene.members.len()).filter(shown).map(share).collect(),
        max_over_mean_before: fullest(&weights_before, &scene.before.copies, copies),
        max_over_mean_after: fullest(&scene.weights, &after.copies, copies),
        primary_max_over_mean_after: fullest(&scene.weights, &after.primaries, 1),
        shortfalls: topology.shortfalls_after(scene.members, &new_shards, &moves),
        new_shards,
        moves,
    }
}

#[derive(Default)]
struct Figures {
    copies: u64,
    primaries: u64,
    between_old_nodes: u64,
}

impl Figures {
    /// Compares the replica lists of one slot before and after.
    fn count(&mut self, before: &[u16], after: &[u16], node: u16) {
        let gained = after.iter().filter(|replica| !before.contains(replica)).count() as u64;
        let concerned = before.contains(&node) != after.contains(&node);
        self.copies += gained;
        self.primaries += u64::from(before[0] != after[0]);
        self.between_old_nodes += gained.saturating_sub(u64::from(concerned));
    }
}
