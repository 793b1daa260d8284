//! Who takes which slots from whom: one greedy solver for every change.
//!
//! The scene comes in, pieces go out: so many slots of a shard go to a list of replicas. What every
//! node of the change gains and gives is fixed before (`bound.rs`); what the others add or take is
//! levelled (`ideal.rs`). The solver then finds slots for it in three stages: copies that are
//! missing, copies that must go because their node leaves, and copies that even out. It never moves
//! what it has moved, except where two members of one list leave.
//!
//! Shards are logs, so pieces are few: shards that exist already are preferred as targets, small
//! shards are moved whole, which retires them, and nobody opens a shard for a splinter as long as a
//! larger piece can grow a little instead.

use std::collections::{BTreeMap, BTreeSet};

use super::bound::{ceiling, dues};
use super::ideal::{level, primary_shares};
use super::take::take;
use super::{Scene, Slot};
use crate::ids::ShardId;
use crate::routing::topology::{Conflicts, GroupId, conflicts};

/// Slots of one shard that go to one list of replicas.
pub(super) struct Piece {
    pub(super) shard: ShardId,
    pub(super) replicas: Vec<u16>,
    pub(super) slots: Vec<Slot>,
}

/// Slots of one shard that share a list: as they are, or as they are going to be.
pub(super) struct Class {
    pub(super) shard: ShardId,
    pub(super) group: GroupId,
    pub(super) replicas: Vec<u16>,
    pub(super) slots: Vec<Slot>,
    pub(super) weight: u64,
    pub(super) moved: bool,
    /// Class the slots were taken from; its own number unless moved.
    pub(super) origin: usize,
}

/// A list without the order of its followers: shards are the same if these are.
pub(super) type Key = (GroupId, u16, Vec<u16>);

pub(super) fn key(group: GroupId, replicas: &[u16]) -> Key {
    let mut followers = replicas[1..].to_vec();
    followers.sort_unstable();
    (group, replicas[0], followers)
}

/// A step that could be taken: in the class, `gainer` stands where `loser` stood.
#[derive(Clone, Debug)]
struct Step {
    class: usize,
    loser: u16,
    gainer: u16,
    replicas: Vec<u16>,
    /// Whether the gainer becomes primary where somebody else was.
    lead: bool,
    amount: u64,
}

/// How carefully new shards are avoided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    /// No piece smaller than a splinter unless its target is there already.
    NoSplinters,
    /// Only targets that are there, even if the loser gives a little more than it should.
    OnlyKnown,
    /// Whatever satisfies the gainer.
    Anything,
}

/// A piece below this part of a share is a splinter, and shares may be missed by it.
const SPLINTER: f64 = 0.01;

pub(super) struct Solver<'s, 't> {
    pub(super) scene: &'s Scene<'t>,
    pub(super) classes: Vec<Class>,
    /// Lists of shards that exist or that pieces make.
    pub(super) known: BTreeSet<Key>,
    pub(super) copies: Vec<u64>,
    pub(super) primaries: Vec<u64>,
    pub(super) primary_shares: Vec<f64>,
    /// What everybody has still to gain and to give, in copies and in primaries.
    need: Vec<u64>,
    give: Vec<u64>,
    need_primaries: Vec<u64>,
    give_primaries: Vec<u64>,
    splinter: Vec<u64>,
}

impl<'s, 't> Solver<'s, 't> {
    pub(super) fn new(scene: &'s Scene<'t>) -> Self {
        let classes = scene.shards.iter().enumerate().map(|(origin, held)| Class {
            shard: held.shard.id,
            group: held.shard.group,
            replicas: held.shard.replicas.clone(),
            slots: held.slots.clone(),
            weight: held.weight,
            moved: false,
            origin,
        });
        let active = scene.topology.shards().iter();
        let active = active.filter(|shard| shard.state == crate::routing::ShardState::Active);
        let splinter = scene.shares.iter().map(|share| (share * SPLINTER) as u64);
        let count = scene.members.len();
        let mut solver = Solver {
            classes: classes.collect(),
            known: active.map(|shard| key(shard.group, &shard.replicas)).collect(),
            copies: scene.before.copies.clone(),
            primaries: scene.before.primaries.clone(),
            primary_shares: primary_shares(&scene.weights, scene.whole),
            need: vec![0; count],
            give: vec![0; count],
            need_primaries: vec![0; count],
            give_primaries: vec![0; count],
            splinter: splinter.collect(),
            scene,
        };
        solver.set_goals();
        solver
    }

    /// What everybody shall gain and give.
    fn set_goals(&mut self) {
        let scene = self.scene;
        let count = scene.members.len();
        for at in (0..count).filter(|&at| scene.concerned[at]) {
            (self.need[at], self.give[at]) = dues(scene, at);
        }
        let others: Vec<bool> = (0..count)
            .map(|at| !scene.concerned[at] && scene.weights[at] > 0)
            .collect();
        // Copies that are missing need no loser.
        let up = self.need.iter().sum::<u64>().max(scene.missing());
        let supply = self.give.iter().sum::<u64>() + scene.missing();
        let (held, shares) = (&self.copies, &scene.shares);
        if up > supply {
            self.give
                .iter_mut()
                .zip(level(held, shares, &others, up - supply, true))
                .for_each(|(give, more)| *give += more);
        } else {
            self.need
                .iter_mut()
                .zip(level(held, shares, &others, supply - up, false))
                .for_each(|(need, more)| *need += more);
        }
        let shares = self.primary_shares.clone();
        let mut balance = 0i128;
        for at in (0..count).filter(|&at| scene.concerned[at]) {
            let (has, share) = (self.primaries[at], (shares[at] + 0.5) as u64);
            if self.need[at] > 0 {
                // Nothing but primaries: both shares are the same, and the one rounded up counts.
                let share = if scene.copies == 1 {
                    ceiling(shares[at])
                } else {
                    share
                };
                self.need_primaries[at] = share.saturating_sub(has).min(self.need[at]);
            } else if self.give[at] > 0 {
                // What stays bounds how many primaries can: few copies left are few of both.
                let followers = self.copies[at] - has;
                let give = has
                    .saturating_sub(share)
                    .max(self.give[at].saturating_sub(followers));
                self.give_primaries[at] = give.min(self.give[at]);
            }
            balance += i128::from(self.need_primaries[at]) - i128::from(self.give_primaries[at]);
        }
        let amount = balance.unsigned_abs() as u64;
        let levelled = level(&self.primaries, &shares, &others, amount, balance > 0);
        let side = if balance > 0 {
            &mut self.give_primaries
        } else {
            &mut self.need_primaries
        };
        side.iter_mut()
            .zip(levelled)
            .for_each(|(side, more)| *side += more);
    }

    /// Solves; pieces by shard, each with at least one slot.
    pub(super) fn pieces(mut self) -> Vec<Piece> {
        self.fill_missing();
        self.empty_leaving();
        for care in [Care::NoSplinters, Care::OnlyKnown, Care::Anything] {
            for primaries in [true, false] {
                while let Some(step) = self.best_step(primaries, care) {
                    self.carry_out(&step);
                }
            }
        }
        self.even_out();
        self.mend();
        let mut merged: BTreeMap<(ShardId, Key), Piece> = BTreeMap::new();
        for class in self.classes {
            if !class.moved || class.slots.is_empty() {
                continue;
            }
            let key = (class.shard, key(class.group, &class.replicas));
            let piece = merged.entry(key).or_insert_with(|| Piece {
                shard: class.shard,
                replicas: class.replicas,
                slots: Vec::new(),
            });
            piece.slots.extend(class.slots);
        }
        merged.into_values().collect()
    }

    /// Adds members to lists that are too short.
    fn fill_missing(&mut self) {
        let mut at = 0;
        // Moved slots form new classes at the end, which may lack another copy.
        while at < self.classes.len() {
            while !self.classes[at].slots.is_empty() && self.classes[at].replicas.len() < self.scene.copies {
                let class = &self.classes[at];
                let able = (0..self.scene.members.len() as u16).filter(|&gainer| {
                    let fresh =
                        !class.replicas.contains(&gainer) && self.scene.weights[usize::from(gainer)] > 0;
                    fresh && self.scene.concerned[usize::from(gainer)]
                });
                let rank = |&gainer: &u16| {
                    let conflicts = self.conflicts(&class.replicas, None, gainer);
                    (conflicts, std::cmp::Reverse(self.need[usize::from(gainer)]))
                };
                let Some(gainer) = able.min_by_key(rank) else {
                    break;
                };
                let g = usize::from(gainer);
                let first = usize::from(class.replicas[0]);
                let primaries = self.need_primaries[g].min(self.give_primaries[first]);
                let lead = primaries > 0;
                let wanted = if lead { primaries } else { self.need[g] };
                let amount = if wanted == 0 {
                    class.weight
                } else {
                    wanted.min(class.weight)
                };
                let replicas = match lead {
                    true => [&[gainer], &class.replicas[..]].concat(),
                    false => [&class.replicas[..], &[gainer]].concat(),
                };
                self.shift(at, replicas, amount);
            }
            at += 1;
        }
    }

    /// Replaces members that leave.
    fn empty_leaving(&mut self) {
        let mut at = 0;
        while at < self.classes.len() {
            while !self.classes[at].slots.is_empty() {
                let class = &self.classes[at];
                let leaves = |&replica: &u16| self.scene.weights[usize::from(replica)] == 0;
                let Some(loser) = class.replicas.iter().copied().find(leaves) else {
                    break;
                };
                let Some((replicas, gainer)) = self.heir(at, loser) else {
                    break;
                };
                let g = usize::from(gainer);
                let mut amount = if self.need[g] == 0 {
                    class.weight
                } else {
                    self.need[g]
                };
                let first = usize::from(replicas[0]);
                if class.replicas[0] == loser && self.need_primaries[first] > 0 {
                    amount = amount.min(self.need_primaries[first].max(self.splinter[first]));
                }
                // What would be left over is not worth another shard.
                if amount + self.splinter[g] >= class.weight {
                    amount = class.weight;
                }
                self.shift(at, replicas, amount);
            }
            at += 1;
        }
    }

    /// Who takes the place of a member that leaves, and the list then.
    fn heir(&self, at: usize, loser: u16) -> Option<(Vec<u16>, u16)> {
        let class = &self.classes[at];
        let scene = self.scene;
        let able = (0..scene.members.len() as u16)
            .filter(|&gainer| scene.weights[usize::from(gainer)] > 0 && !class.replicas.contains(&gainer));
        let able: Vec<(Conflicts, u16)> = able
            .map(|gainer| (self.conflicts(&class.replicas, Some(loser), gainer), gainer))
            .collect();
        let fewest = able.iter().map(|(conflicts, _)| *conflicts).min()?;
        let mut best: Option<(_, Vec<u16>, u16)> = None;
        for &(_, gainer) in able.iter().filter(|(conflicts, _)| *conflicts == fewest) {
            let g = usize::from(gainer);
            let list: Vec<u16> = class
                .replicas
                .iter()
                .map(|&replica| if replica == loser { gainer } else { replica })
                .collect();
            let mut lists = vec![list.clone()];
            if class.replicas[0] == loser {
                // Followers hold the data already, so one of them may lead as well.
                for follower in 1..list.len() {
                    let mut led = list.clone();
                    led.swap(0, follower);
                    if scene.weights[usize::from(led[0])] > 0 {
                        lists.push(led);
                    }
                }
            }
            for list in lists {
                let first = usize::from(list[0]);
                let leads = class.replicas[0] != loser || self.need_primaries[first] > 0;
                let room = self.need[g] > 0;
                let enough = self.need[g] + self.splinter[g] >= class.weight.min(2 * self.splinter[g] + 1);
                let known = self.known.contains(&key(class.group, &list));
                let lack = (self.need[g] as f64 + 1.0) / scene.shares[g].max(1.0);
                let lead_lack = self.need_primaries[first] as f64 / scene.shares[first].max(1.0);
                let rank = (room, leads, enough, known, lack + lead_lack);
                let better = best
                    .as_ref()
                    .is_none_or(|(held, ..)| rank.partial_cmp(held) == Some(std::cmp::Ordering::Greater));
                if better {
                    best = Some((rank, list, gainer));
                }
            }
        }
        best.map(|(_, list, gainer)| (list, gainer))
    }

    /// The step that takes most, or retires a shard, towards a target that exists if there is one.
    fn best_step(&self, primaries: bool, care: Care) -> Option<Step> {
        let scene = self.scene;
        let gainers: Vec<u16> = (0..scene.members.len() as u16)
            .filter(|&gainer| {
                let need = if primaries {
                    &self.need_primaries
                } else {
                    &self.need
                };
                need[usize::from(gainer)].min(self.need[usize::from(gainer)]) > 0
            })
            .collect();
        let mut best: Option<((Conflicts, bool, bool, u64), Step)> = None;
        for (at, class) in self.classes.iter().enumerate() {
            if class.moved || class.slots.is_empty() {
                continue;
            }
            let now = conflicts(scene.members, &class.replicas);
            for &gainer in gainers.iter().filter(|gainer| !class.replicas.contains(gainer)) {
                for &loser in &class.replicas {
                    let Some(step) = self.step(at, class, loser, gainer, primaries, care) else {
                        continue;
                    };
                    let then = conflicts(scene.members, &step.replicas);
                    if then > now {
                        continue;
                    }
                    let gained = Conflicts {
                        zones: now.zones - then.zones,
                        racks: now.racks.saturating_sub(then.racks),
                    };
                    let known = self.known.contains(&key(class.group, &step.replicas));
                    let small = step.amount < self.splinter[usize::from(gainer)].max(1);
                    match care {
                        Care::NoSplinters if small && !known => continue,
                        Care::OnlyKnown if !known => continue,
                        _ => {}
                    }
                    let rank = (gained, known, step.amount == class.weight, step.amount);
                    if best.as_ref().is_none_or(|(held, _)| rank > *held) {
                        best = Some((rank, step));
                    }
                }
            }
        }
        best.map(|(_, step)| step)
    }

    /// What `gainer` could take from `loser` in a class.
    fn step(
        &self,
        at: usize,
        class: &Class,
        loser: u16,
        gainer: u16,
        primaries: bool,
        care: Care,
    ) -> Option<Step> {
        let (l, g) = (usize::from(loser), usize::from(gainer));
        let concerned = self.scene.concerned[l] || self.scene.concerned[g];
        let leads = class.replicas[0] == loser;
        if !concerned || (leads && !primaries) {
            return None;
        }
        let spare = |give: u64| match care {
            // Only somebody who is no longer in the change's debt may give more than it should.
            Care::OnlyKnown if !self.scene.concerned[l] => give + self.splinter[l],
            _ => give,
        };
        let mut amount = class.weight.min(self.need[g]);
        let first = usize::from(class.replicas[0]);
        if primaries {
            amount = amount
                .min(self.need_primaries[g])
                .min(spare(self.give_primaries[first]));
        }
        let give = spare(self.give[l]);
        amount = amount.min(give);
        // Giving a little more retires the shard.
        let whole = class.weight;
        if care == Care::NoSplinters
            && amount > 0
            && whole > amount
            && whole - amount <= self.splinter[l]
            && whole <= self.need[g]
            && !self.scene.concerned[l]
            && (!primaries || whole <= self.need_primaries[g])
        {
            amount = whole;
        }
        if amount == 0 {
            return None;
        }
        let mut replicas: Vec<u16> = class
            .replicas
            .iter()
            .map(|&replica| if replica == loser { gainer } else { replica })
            .collect();
        if primaries && !leads {
            let at = replicas.iter().position(|&replica| replica == gainer)?;
            replicas.swap(0, at);
        }
        Some(Step {
            class: at,
            loser,
            gainer,
            replicas,
            lead: primaries,
            amount,
        })
    }

    fn carry_out(&mut self, step: &Step) {
        let before = self.classes[step.class].weight;
        self.shift(step.class, step.replicas.clone(), step.amount);
        if self.classes[step.class].weight == before {
            // No slot is small enough: this gainer has what it can get here.
            let (l, g) = (usize::from(step.loser), usize::from(step.gainer));
            if step.lead {
                self.need_primaries[g] = 0;
            } else {
                self.need[g] = self.need[g].saturating_sub(step.amount);
                self.give[l] = self.give[l].saturating_sub(step.amount);
            }
        }
    }

    /// Moves about `amount` of a class to a list and keeps the accounts.
    fn shift(&mut self, at: usize, replicas: Vec<u16>, amount: u64) {
        let class = &mut self.classes[at];
        let forced = class.replicas.len() < replicas.len()
            || (class.replicas.iter()).any(|&replica| self.scene.weights[usize::from(replica)] == 0);
        let taken = take(&mut class.slots, amount, self.scene.uniform, forced);
        let weight: u64 = taken.iter().map(|slot| slot.weight).sum();
        if taken.is_empty() {
            return;
        }
        class.weight -= weight;
        let old = class.replicas.clone();
        for &replica in replicas.iter().filter(|replica| !old.contains(replica)) {
            let r = usize::from(replica);
            self.copies[r] += weight;
            self.need[r] = self.need[r].saturating_sub(weight);
        }
        for &replica in old.iter().filter(|replica| !replicas.contains(replica)) {
            let r = usize::from(replica);
            self.copies[r] -= weight;
            self.give[r] = self.give[r].saturating_sub(weight);
        }
        let (was, is) = (usize::from(old[0]), usize::from(replicas[0]));
        if was != is {
            self.primaries[was] -= weight;
            self.give_primaries[was] = self.give_primaries[was].saturating_sub(weight);
            self.primaries[is] += weight;
            self.need_primaries[is] = self.need_primaries[is].saturating_sub(weight);
        }
        self.put(at, replicas, taken, weight);
    }

    /// Conflicts of a list in which `gainer` replaces `loser`, or joins.
    fn conflicts(&self, replicas: &[u16], loser: Option<u16>, gainer: u16) -> Conflicts {
        let kept = replicas.iter().copied().filter(|&replica| Some(replica) != loser);
        let list: Vec<u16> = kept.chain([gainer]).collect();
        conflicts(self.scene.members, &list)
    }
}
