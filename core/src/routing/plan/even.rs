//! Evening out: the solver's own pieces, given to others or taken from others, until nobody gains.
//!
//! What the nodes of the change gain and give stays as it is, so a plan moves no more by it. A piece
//! either comes from another member of the same list, or goes to another node, or is given back and
//! taken from a shard that was not touched so far. Every step makes the sum of squared distances from
//! the shares smaller, in copies and primaries together, so the search ends.

use super::solve::{Class, Solver, key};
use super::take::take;
use crate::routing::topology::conflicts;

/// Passes over all pieces; the first two do nearly all.
const PASSES: usize = 8;

/// Pairs of pieces and shards looked at in one pass at most: beyond, only the piece's own shard is.
const MOST_PAIRS: usize = 200_000;

/// A node so far above its share is worth another shard.
const TOO_FULL: f64 = 0.006;

/// Another way for a piece: slots of class `from` go to `replicas`.
struct Way {
    from: usize,
    replicas: Vec<u16>,
}

impl Solver<'_, '_> {
    pub(super) fn even_out(&mut self) {
        for _ in 0..PASSES {
            let mut changed = false;
            for piece in self.scene.shards.len()..self.classes.len() {
                changed |= self.even_piece(piece);
            }
            if !changed {
                break;
            }
        }
    }

    fn even_piece(&mut self, piece: usize) -> bool {
        let origin = self.classes[piece].origin;
        if self.classes[piece].slots.is_empty() || self.classes[origin].moved {
            return false;
        }
        let single = |these: &[u16], not: &[u16]| {
            let mut only = these.iter().copied().filter(|replica| !not.contains(replica));
            let first = only.next();
            if only.next().is_some() { None } else { first }
        };
        let (old, new) = (&self.classes[origin].replicas, &self.classes[piece].replicas);
        let (Some(loser), Some(gainer)) = (single(old, new), single(new, old)) else {
            return false;
        };
        let mut changed = false;
        for way in self.ways(piece, origin, loser, gainer) {
            changed |= self.reroute(piece, &way);
        }
        changed
    }

    /// Other ways that leave the nodes of the change with what they gain and give.
    fn ways(&self, piece: usize, origin: usize, loser: u16, gainer: u16) -> Vec<Way> {
        let scene = self.scene;
        let concerned = |node: u16| scene.concerned[usize::from(node)];
        let class = &self.classes[origin];
        let leads = self.classes[piece].replicas[0] != class.replicas[0];
        let mut ways = Vec::new();
        if concerned(gainer) && !concerned(loser) {
            let pairs = (self.classes.len() - scene.shards.len()) * scene.shards.len();
            let near = origin..origin + 1;
            let range = if pairs > MOST_PAIRS {
                near
            } else {
                0..scene.shards.len()
            };
            for from in range {
                let class = &self.classes[from];
                let empty = class.slots.is_empty() && from != origin;
                if empty || class.replicas.contains(&gainer) || class.group != self.classes[origin].group {
                    continue;
                }
                let now = conflicts(scene.members, &class.replicas);
                for &other in &class.replicas {
                    let (instead, now_leads) = (class.replicas[0], self.classes[origin].replicas[0]);
                    let fuller = self.fill(other) > self.fill(loser)
                        || (leads && self.fill_of_primaries(instead) > self.fill_of_primaries(now_leads));
                    let first = class.replicas[0] == other;
                    if concerned(other) || !fuller || (first && !leads) {
                        continue;
                    }
                    let mut replicas = replaced(&class.replicas, other, gainer);
                    if leads {
                        lead(&mut replicas, gainer);
                    }
                    if conflicts(scene.members, &replicas) <= now {
                        ways.push(Way { from, replicas });
                    }
                }
            }
        } else if concerned(loser) && !concerned(gainer) {
            let now = conflicts(scene.members, &self.classes[piece].replicas);
            for other in 0..scene.members.len() as u16 {
                let able = scene.weights[usize::from(other)] > 0 && !class.replicas.contains(&other);
                if !able || concerned(other) {
                    continue;
                }
                let replicas = replaced(&class.replicas, loser, other);
                if conflicts(scene.members, &replicas) > now {
                    continue;
                }
                if class.replicas[0] == loser {
                    for &first in &replicas[1..] {
                        let mut led = replicas.clone();
                        lead(&mut led, first);
                        if scene.weights[usize::from(first)] > 0 {
                            ways.push(Way {
                                from: origin,
                                replicas: led,
                            });
                        }
                    }
                }
                ways.push(Way {
                    from: origin,
                    replicas,
                });
            }
        }
        ways
    }

    fn fill_of_primaries(&self, node: u16) -> f64 {
        let (held, share) = self.account(node, true);
        held / share
    }

    fn fill(&self, node: u16) -> f64 {
        let node = usize::from(node);
        self.copies[node] as f64 / self.scene.shares[node].max(1.0)
    }

    /// Sends part of a piece another way if that evens out; returns whether it did.
    fn reroute(&mut self, piece: usize, way: &Way) -> bool {
        let origin = self.classes[piece].origin;
        if self.classes[piece].slots.is_empty() {
            return false;
        }
        let changes = self.changes(piece, way);
        let (mut slope, mut curve) = (0.0, 0.0);
        for &(node, primary, sign) in &changes {
            let (held, share) = self.account(node, primary);
            slope += sign * (held - share) / share;
            curve += 1.0 / share;
        }
        if slope >= 0.0 || curve <= 0.0 {
            return false;
        }
        let here = way.from == origin;
        let most = if here {
            u64::MAX
        } else {
            self.classes[way.from].weight
        };
        let amount = ((-slope / curve) as u64)
            .min(self.classes[piece].weight)
            .min(most);
        let target = key(self.classes[origin].group, &way.replicas);
        // Another shard for it must be worth it: somebody is too full, and not by a splinter.
        let too_full = changes.iter().any(|&(node, primary, sign)| {
            let (held, share) = self.account(node, primary);
            sign < 0.0 && held > share * (1.0 + TOO_FULL) + 1.0
        });
        let least = match self.known.contains(&target) {
            true => 1,
            false if too_full => 1.max(self.scene.heaviest),
            false => return false,
        };
        if amount < least {
            return false;
        }
        self.exchange(piece, way, amount, -slope, curve, &changes)
    }

    /// Takes slots out of the piece and sends as many the other way, unless they are so heavy that
    /// it would make things worse.
    fn exchange(
        &mut self,
        piece: usize,
        way: &Way,
        amount: u64,
        gain: f64,
        curve: f64,
        changes: &[(u16, bool, f64)],
    ) -> bool {
        let origin = self.classes[piece].origin;
        let uniform = self.scene.uniform;
        let mut left = self.classes[piece].slots.clone();
        let back = take(&mut left, amount, uniform, false);
        let weight: u64 = back.iter().map(|slot| slot.weight).sum();
        // Past twice the best amount nothing is gained any more.
        if back.is_empty() || weight as f64 * curve >= 2.0 * gain {
            return false;
        }
        let sent = if way.from == origin {
            back.clone()
        } else {
            let mut stays = self.classes[way.from].slots.clone();
            let sent = take(&mut stays, weight, uniform, false);
            if sent.iter().map(|slot| slot.weight).sum::<u64>() != weight {
                // Slots that differ seldom match, and what the node gains must not change.
                return false;
            }
            self.classes[way.from].slots = stays;
            self.classes[way.from].weight -= weight;
            self.classes[origin].slots.extend(&back);
            self.classes[origin].slots.sort_unstable_by_key(|slot| slot.id);
            self.classes[origin].weight += weight;
            sent
        };
        self.classes[piece].slots = left;
        self.classes[piece].weight -= weight;
        for &(node, primary, sign) in changes {
            let held = match primary {
                true => &mut self.primaries[usize::from(node)],
                false => &mut self.copies[usize::from(node)],
            };
            *held = if sign > 0.0 {
                *held + weight
            } else {
                *held - weight
            };
        }
        self.put(way.from, way.replicas.clone(), sent, weight);
        true
    }

    /// Who holds more and who less by a way, in copies and in primaries.
    fn changes(&self, piece: usize, way: &Way) -> Vec<(u16, bool, f64)> {
        let origin = &self.classes[self.classes[piece].origin].replicas;
        let lists: [(&[u16], f64); 4] = [
            (origin, 1.0),
            (&self.classes[piece].replicas, -1.0),
            (&self.classes[way.from].replicas, -1.0),
            (&way.replicas, 1.0),
        ];
        let mut changes: Vec<(u16, bool, f64)> = Vec::new();
        let mut add = |node: u16, primary: bool, sign: f64| match changes
            .iter_mut()
            .find(|change| change.0 == node && change.1 == primary)
        {
            Some(change) => change.2 += sign,
            None => changes.push((node, primary, sign)),
        };
        for (list, sign) in lists {
            list.iter().for_each(|&node| add(node, false, sign));
            add(list[0], true, sign);
        }
        changes.retain(|change| change.2 != 0.0);
        // A node twice on one side has no closed form, and another way to be served.
        if changes.iter().any(|change| change.2.abs() > 1.0) {
            changes.clear();
        }
        changes
    }

    /// What a node holds and should hold.
    fn account(&self, node: u16, primary: bool) -> (f64, f64) {
        let at = usize::from(node);
        let (held, share) = match primary {
            true => (self.primaries[at], self.primary_shares[at]),
            false => (self.copies[at], self.scene.shares[at]),
        };
        (held as f64, share.max(1.0))
    }

    /// Adds slots to the piece with these replicas, or makes it.
    pub(super) fn put(&mut self, origin: usize, replicas: Vec<u16>, slots: Vec<super::Slot>, weight: u64) {
        let (shard, group) = (self.classes[origin].shard, self.classes[origin].group);
        self.known.insert(key(group, &replicas));
        let pieces = self.classes.iter_mut().skip(self.scene.shards.len());
        let same = pieces
            .filter(|class| class.origin == origin)
            .find(|class| class.replicas == replicas);
        match same {
            Some(class) => {
                class.slots.extend(slots);
                class.slots.sort_unstable_by_key(|slot| slot.id);
                class.weight += weight;
            }
            None => self.classes.push(Class {
                shard,
                group,
                replicas,
                slots,
                weight,
                moved: true,
                origin,
            }),
        }
    }
}

pub(super) fn replaced(replicas: &[u16], loser: u16, gainer: u16) -> Vec<u16> {
    let replace = |&replica: &u16| if replica == loser { gainer } else { replica };
    replicas.iter().map(replace).collect()
}

pub(super) fn lead(replicas: &mut [u16], first: u16) {
    if let Some(at) = replicas.iter().position(|&replica| replica == first) {
        replicas.swap(0, at);
    }
}
