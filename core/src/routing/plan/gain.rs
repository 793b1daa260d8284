//! One node takes from many: a node joins, or its weight goes up.

use super::flow::{Edge, solve};
use super::{Piece, Scene};
use crate::routing::share::lower;
use crate::routing::topology::zone_conflicts;

/// A place where the node could stand.
struct Place {
    /// Index in the shards of the scene.
    shard: usize,
    /// List of the target.
    replicas: Vec<u16>,
    /// Whether the node becomes preferred primary.
    primary: bool,
    /// Member that gives up a copy or, where the node is inserted first, its primary place.
    giver: u16,
    cost: u8,
}

/// What the node of the change takes.
pub(super) fn pieces(scene: &Scene<'_>) -> Vec<Piece> {
    let mut taking = Taking::new(scene);
    while taking.round() {}
    taking.pieces()
}

struct Taking<'s, 't> {
    scene: &'s Scene<'t>,
    places: Vec<Place>,
    /// Slots every shard still has, by index in the scene.
    left: Vec<u64>,
    taken: Vec<u64>,
    primaries: Vec<u64>,
    copies: Vec<u64>,
    /// Primaries and other copies still to take.
    due: (u64, u64),
}

impl<'s, 't> Taking<'s, 't> {
    fn new(scene: &'s Scene<'t>) -> Self {
        let places = places(scene);
        let has = scene.before.primaries[usize::from(scene.node)];
        let copies = scene.copies_due();
        let primaries = match scene.copies {
            // Nothing but primaries: both shares are the same, and the one rounded up counts.
            1 => copies,
            _ => scene.primaries_share().saturating_sub(has).min(copies),
        };
        Taking {
            scene,
            left: scene.shards.iter().map(|&(_, slots)| slots).collect(),
            taken: vec![0; places.len()],
            places,
            primaries: scene.before.primaries.clone(),
            copies: scene.before.copies.clone(),
            // Where copies are missing the node is added to every slot, primary or not.
            due: (
                primaries,
                (copies - primaries).min(copies.saturating_sub(scene.missing())),
            ),
        }
    }

    /// Takes what is due as far as shares and shards allow; returns whether it took anything and
    /// more is due. Several rounds are rare: one shard may be wanted for two of its members.
    fn round(&mut self) -> bool {
        let scene = self.scene;
        let node = usize::from(scene.node);
        let mut demands = Vec::new();
        let mut current = self.copies.clone();
        for (primary, due) in [(true, self.due.0), (false, self.due.1)] {
            let mut limits = vec![0; scene.members.len()];
            for place in self.places.iter().filter(|place| place.primary == primary) {
                limits[usize::from(place.giver)] += self.left[place.shard];
            }
            let (held, has) = match primary {
                true => (&self.primaries, self.primaries[node]),
                false => (&current, current[node]),
            };
            let given = lower(held, &scene.weights, &limits, due, (has, scene.weights[node]));
            if primary {
                for (held, given) in current.iter_mut().zip(&given) {
                    *held -= (*given).min(*held);
                }
                current[node] += given.iter().sum::<u64>();
            }
            demands.extend(given);
        }
        let edge = |place: &Place| Edge {
            source: place.shard,
            sink: usize::from(place.giver) + if place.primary { 0 } else { scene.members.len() },
            cost: place.cost,
        };
        let edges: Vec<Edge> = self.places.iter().map(edge).collect();
        let flow = solve(&self.left, &demands, &edges);
        let moved = flow.iter().sum::<u64>() > 0;
        for (at, amount) in flow.into_iter().enumerate().filter(|&(_, amount)| amount > 0) {
            self.take(at, amount);
        }
        if !moved && self.due.0 > 0 {
            // Nobody left to ask holds more primaries than the node by now: followers then.
            self.due = (0, self.due.0 + self.due.1);
            return true;
        }
        moved && self.due != (0, 0)
    }

    fn take(&mut self, at: usize, amount: u64) {
        let place = &self.places[at];
        let (shard, _) = self.scene.shards[place.shard];
        let (node, giver) = (usize::from(self.scene.node), usize::from(place.giver));
        self.taken[at] += amount;
        self.left[place.shard] -= amount;
        self.copies[node] += amount;
        if place.replicas.len() == shard.replicas.len() {
            self.copies[giver] -= amount;
        }
        if place.primary {
            self.primaries[giver] -= amount;
            self.primaries[node] += amount;
            self.due.0 -= amount.min(self.due.0);
        } else {
            self.due.1 -= amount.min(self.due.1);
        }
    }

    fn pieces(self) -> Vec<Piece> {
        let scene = self.scene;
        let mut pieces = Vec::new();
        for (place, slots) in self
            .places
            .into_iter()
            .zip(self.taken)
            .filter(|(_, slots)| *slots > 0)
        {
            let shard = scene.shards[place.shard].0.id;
            pieces.push(Piece {
                shard,
                replicas: place.replicas,
                slots,
            });
        }
        for (&(shard, _), left) in scene.shards.iter().zip(self.left) {
            if left > 0 && scene.lacks(shard) {
                let replicas = [&shard.replicas[..], &[scene.node]].concat();
                pieces.push(Piece {
                    shard: shard.id,
                    replicas,
                    slots: left,
                });
            }
        }
        pieces.sort_by_key(|piece| piece.shard);
        pieces
    }
}

/// Everywhere the node could stand without sharing a zone more than before.
fn places(scene: &Scene<'_>) -> Vec<Place> {
    let mut places = Vec::new();
    for (index, &(shard, _)) in scene.shards.iter().enumerate() {
        if shard.replicas.contains(&scene.node) {
            continue;
        }
        let conflicts = zone_conflicts(scene.members, &shard.replicas);
        let mut add = |replicas: Vec<u16>, primary: bool, giver: u16| {
            let cost = u8::from(scene.shard_with(&replicas).is_none());
            places.push(Place {
                shard: index,
                replicas,
                primary,
                giver,
                cost,
            });
        };
        if scene.lacks(shard) {
            add(
                [&[scene.node], &shard.replicas[..]].concat(),
                true,
                shard.replicas[0],
            );
            continue;
        }
        for (at, &giver) in shard.replicas.iter().enumerate() {
            let mut replicas = shard.replicas.clone();
            replicas[at] = scene.node;
            // A draining member's copy must go in any case, so it may be taken whatever its zone.
            if zone_conflicts(scene.members, &replicas) <= conflicts || scene.is_leaving(giver) {
                add(replicas, at == 0, giver);
            }
        }
    }
    places
}
