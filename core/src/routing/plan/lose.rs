//! Many take from one: a node leaves, or its weight goes down.

use super::flow::{Edge, solve};
use super::{Piece, Scene};
use crate::routing::share::raise;
use crate::routing::topology::zone_conflicts;

/// A node that could stand where the losing one stands.
struct Place {
    /// Index in the shards of the scene.
    shard: usize,
    replicas: Vec<u16>,
    primary: bool,
    gainer: u16,
    cost: u8,
}

/// What the node of the change gives up, and to whom.
pub(super) fn pieces(scene: &Scene<'_>) -> Vec<Piece> {
    let mut giving = Giving::new(scene);
    while giving.round() {}
    let taken = giving
        .places
        .into_iter()
        .zip(giving.taken)
        .filter(|(_, slots)| *slots > 0);
    let piece = |(place, slots): (Place, u64)| Piece {
        shard: scene.shards[place.shard].0.id,
        replicas: place.replicas,
        slots,
    };
    taken.map(piece).collect()
}

struct Giving<'s, 't> {
    scene: &'s Scene<'t>,
    places: Vec<Place>,
    /// Slots every shard still has, by index in the scene.
    left: Vec<u64>,
    taken: Vec<u64>,
    primaries: Vec<u64>,
    copies: Vec<u64>,
    /// Primaries and other copies still to give.
    due: (u64, u64),
}

impl<'s, 't> Giving<'s, 't> {
    fn new(scene: &'s Scene<'t>) -> Self {
        let places = places(scene);
        let node = usize::from(scene.node);
        let has = scene.before.primaries[node];
        let copies = scene.copies_due();
        // What stays bounds how many primaries can: a node with few copies left has few of both.
        let others = scene.before.copies[node] - has;
        let primaries = has.saturating_sub(scene.primaries_share()).min(copies);
        let primaries = primaries.max(copies.saturating_sub(others));
        Giving {
            scene,
            left: scene.shards.iter().map(|&(_, slots)| slots).collect(),
            taken: vec![0; places.len()],
            places,
            primaries: scene.before.primaries.clone(),
            copies: scene.before.copies.clone(),
            due: (primaries, copies - primaries),
        }
    }

    /// Gives what is due to whoever is furthest below its share; returns whether any went and more
    /// is due. Every round places at least one slot, because whoever is raised has a free edge.
    fn round(&mut self) -> bool {
        let scene = self.scene;
        let mut demands = Vec::new();
        let mut current = self.copies.clone();
        for (primary, due) in [(true, self.due.0), (false, self.due.1)] {
            let mut limits = vec![0; scene.members.len()];
            for place in self.places.iter().filter(|place| place.primary == primary) {
                limits[usize::from(place.gainer)] += self.left[place.shard];
            }
            let held = if primary { &self.primaries } else { &current };
            let got = raise(held, &scene.weights, &limits, due);
            if primary {
                current.iter_mut().zip(&got).for_each(|(held, got)| *held += got);
            }
            demands.extend(got);
        }
        let edge = |place: &Place| Edge {
            source: place.shard,
            sink: usize::from(place.gainer) + if place.primary { 0 } else { scene.members.len() },
            cost: place.cost,
        };
        let edges: Vec<Edge> = self.places.iter().map(edge).collect();
        let flow = solve(&self.left, &demands, &edges);
        let moved = flow.iter().sum::<u64>() > 0;
        for (at, amount) in flow.into_iter().enumerate().filter(|&(_, amount)| amount > 0) {
            let place = &self.places[at];
            self.taken[at] += amount;
            self.left[place.shard] -= amount;
            self.copies[usize::from(place.gainer)] += amount;
            if place.primary {
                self.primaries[usize::from(place.gainer)] += amount;
                self.due.0 -= amount;
            } else {
                self.due.1 -= amount;
            }
        }
        moved && self.due != (0, 0)
    }
}

/// For every shard of the losing node, whoever could replace it with the fewest zones shared.
fn places(scene: &Scene<'_>) -> Vec<Place> {
    let mut places = Vec::new();
    for (index, &(shard, _)) in scene.shards.iter().enumerate() {
        let Some(at) = shard.replicas.iter().position(|&replica| replica == scene.node) else {
            continue;
        };
        let mut able = Vec::new();
        for gainer in 0..scene.members.len() as u16 {
            let free = scene.weights[usize::from(gainer)] > 0 && !shard.replicas.contains(&gainer);
            if free && gainer != scene.node {
                let mut replicas = shard.replicas.clone();
                replicas[at] = gainer;
                able.push((zone_conflicts(scene.members, &replicas), replicas, gainer));
            }
        }
        let fewest = able.iter().map(|(conflicts, ..)| *conflicts).min();
        let best = able
            .into_iter()
            .filter(|(conflicts, ..)| Some(*conflicts) == fewest);
        places.extend(best.map(|(_, replicas, gainer)| {
            let cost = u8::from(scene.shard_with(&replicas).is_none());
            Place {
                shard: index,
                replicas,
                primary: at == 0,
                gainer,
                cost,
            }
        }));
    }
    places
}
