//! Mending: pieces whose copies still share a zone or a rack, although another member could have given
//! its place.
//!
//! The solver's steps are greedy: it may take a place from the one member whose leaving would not help,
//! because the one whose leaving would has nothing more to give. Then some other piece took from that
//! member without need. A chain of pieces with one gainer is looked for, in which each takes from
//! another loser than before, and in sum every node gives what it gave. So nothing but the lists
//! changes: not what moves, not what anybody holds (but for the difference between slots of unequal
//! weight). Where only a primary can give its place, the loser leads in its stead, and other pieces
//! change their primary until everybody leads as much as before.

use std::collections::VecDeque;

use super::even::replaced;
use super::solve::Solver;
use super::take::take;
use crate::routing::topology::conflicts;

/// Chains carried out at most: each removes at least one conflict.
const MOST: usize = 10_000;

/// In `piece`, `instead` gives its place and `loser` keeps its own.
#[derive(Clone, Copy)]
struct Turn {
    piece: usize,
    loser: u16,
    instead: u16,
}

impl Solver<'_, '_> {
    pub(super) fn mend(&mut self) {
        for leads in [false, true] {
            let before = self.primaries.clone();
            for _ in 0..MOST {
                let Some(chain) = self.mending_chain(leads) else {
                    break;
                };
                let amount = chain.iter().map(|turn| self.classes[turn.piece].weight).min();
                for turn in chain {
                    self.turn(turn, amount.unwrap_or(0));
                }
            }
            self.restore_leads(&before);
        }
    }

    /// Pieces in which one member gave its place to one other: `(piece, loser, gainer)`.
    fn exchanges(&self) -> Vec<(usize, u16, u16)> {
        let single = |these: &[u16], not: &[u16]| {
            let mut only = these.iter().copied().filter(|replica| !not.contains(replica));
            let first = only.next();
            if only.next().is_some() { None } else { first }
        };
        let pieces = (self.scene.shards.len()..self.classes.len()).filter_map(|piece| {
            let class = &self.classes[piece];
            let origin = &self.classes[class.origin].replicas;
            let loser = single(origin, &class.replicas)?;
            let gainer = single(&class.replicas, origin)?;
            let stays = !class.slots.is_empty() && self.scene.weights[usize::from(loser)] > 0;
            stays.then_some((piece, loser, gainer))
        });
        pieces.collect()
    }

    /// The turns that `piece` could take, with whether they remove a conflict; none adds one.
    fn turns(&self, piece: usize, loser: u16, gainer: u16, leads: bool) -> Vec<(Turn, bool)> {
        let replicas = &self.classes[piece].replicas;
        let now = conflicts(self.scene.members, replicas);
        let mut turns = Vec::new();
        let able = if leads { &replicas[..] } else { &replicas[1..] };
        for &instead in able.iter().filter(|&&replica| replica != gainer) {
            let then = conflicts(self.scene.members, &replaced(replicas, instead, loser));
            if then <= now {
                let turn = Turn {
                    piece,
                    loser,
                    instead,
                };
                turns.push((turn, then < now));
            }
        }
        turns
    }

    /// Turns that remove a conflict and leave everybody with what it has.
    fn mending_chain(&self, leads: bool) -> Option<Vec<Turn>> {
        let exchanges = self.exchanges();
        for &(piece, loser, gainer) in &exchanges {
            let better = self
                .turns(piece, loser, gainer, leads)
                .into_iter()
                .filter(|(_, better)| *better);
            for (first, _) in better {
                // `first.instead` gave more now, and `loser` less: the chain must lead back to it.
                let mut reached: Vec<Option<Turn>> = vec![None; self.scene.members.len()];
                let mut queue = VecDeque::from([first.instead]);
                while let Some(node) = queue.pop_front() {
                    if node == loser {
                        break;
                    }
                    let others = exchanges
                        .iter()
                        .filter(|exchange| (exchange.1, exchange.2) == (node, gainer));
                    for &(piece, from, gainer) in others {
                        for (turn, _) in self.turns(piece, from, gainer, leads) {
                            let to = usize::from(turn.instead);
                            if reached[to].is_none() && turn.instead != first.instead {
                                reached[to] = Some(turn);
                                queue.push_back(turn.instead);
                            }
                        }
                    }
                }
                let mut chain = vec![first];
                let mut node = loser;
                while node != first.instead {
                    let Some(turn) = reached[usize::from(node)] else {
                        break;
                    };
                    chain.push(turn);
                    node = turn.loser;
                }
                if node == first.instead {
                    return Some(chain);
                }
            }
        }
        None
    }

    fn turn(&mut self, turn: Turn, amount: u64) {
        let replicas = replaced(&self.classes[turn.piece].replicas, turn.instead, turn.loser);
        self.relist(turn.piece, replicas, amount);
    }

    /// Gives some slots of a piece another list.
    fn relist(&mut self, piece: usize, replicas: Vec<u16>, amount: u64) {
        let class = &mut self.classes[piece];
        let slots = take(&mut class.slots, amount, self.scene.uniform, true);
        let weight: u64 = slots.iter().map(|slot| slot.weight).sum();
        class.weight -= weight;
        let (origin, old) = (class.origin, class.replicas.clone());
        for &replica in &old {
            self.copies[usize::from(replica)] -= weight;
        }
        for &replica in &replicas {
            self.copies[usize::from(replica)] += weight;
        }
        self.primaries[usize::from(old[0])] -= weight;
        self.primaries[usize::from(replicas[0])] += weight;
        self.put(origin, replicas, slots, weight);
    }

    /// Lets followers lead pieces until nobody leads more than `before`, as far as pieces allow.
    fn restore_leads(&mut self, before: &[u64]) {
        for _ in 0..MOST {
            let Some(over) = (0..before.len()).find(|&node| self.primaries[node] > before[node]) else {
                return;
            };
            let Some(chain) = self.lead_chain(over as u16, before) else {
                return;
            };
            let under = chain.last().expect("a chain has links").1;
            let excess = self.primaries[over] - before[over];
            let lack = before[usize::from(under)] - self.primaries[usize::from(under)];
            let least = chain.iter().map(|&(piece, _)| self.classes[piece].weight).min();
            let amount = excess.min(lack).min(least.unwrap_or(0));
            if !self.scene.uniform && amount < self.scene.heaviest {
                // One heavy slot to and fro would go on for ever.
                return;
            }
            for (piece, follower) in chain {
                let mut replicas = self.classes[piece].replicas.clone();
                super::even::lead(&mut replicas, follower);
                self.relist(piece, replicas, amount);
            }
        }
    }

    /// Pieces, each with the follower who is to lead it, from a node that leads too much to one that
    /// leads too little.
    fn lead_chain(&self, over: u16, before: &[u64]) -> Option<Vec<(usize, u16)>> {
        let mut reached: Vec<Option<(usize, u16)>> = vec![None; before.len()];
        let mut queue = VecDeque::from([over]);
        while let Some(node) = queue.pop_front() {
            if self.primaries[usize::from(node)] < before[usize::from(node)] {
                let mut chain = Vec::new();
                let mut at = node;
                while at != over {
                    let (piece, leader) = reached[usize::from(at)]?;
                    chain.push((piece, at));
                    at = leader;
                }
                chain.reverse();
                return Some(chain);
            }
            for piece in self.scene.shards.len()..self.classes.len() {
                let class = &self.classes[piece];
                if class.replicas[0] != node || class.slots.is_empty() {
                    continue;
                }
                for &follower in &class.replicas[1..] {
                    let able = self.scene.weights[usize::from(follower)] > 0 && follower != over;
                    let at = &mut reached[usize::from(follower)];
                    if able && at.is_none() {
                        *at = Some((piece, node));
                        queue.push_back(follower);
                    }
                }
            }
        }
        None
    }
}
