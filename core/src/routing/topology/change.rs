//! The three steps by which a topology changes, each making a new one.
//!
//! 1. [`Topology::with_members_changed`]: the member is there (or leaving), its shards exist, and
//!    no slot has moved. 2. [`Topology::with_slots_moved`], once per hand-over: the commit point.
//!    3. [`Topology::finished`]: what became empty is put away.

use super::{Member, MemberState, ShardState, Topology};
use crate::ids::{ShardId, SlotId};
use crate::routing::error::RoutingError;
use crate::routing::node::MAX_NODES;
use crate::routing::plan::{Change, UniformLoad};

impl Topology {
    /// The members as they are once a change has been ordered, and the index of the one concerned.
    ///
    /// A removed name may be added again and takes its old place; a leaving one may be removed
    /// again, and a weight may be set to what it is, both of which plan what is left to do.
    pub(crate) fn changed_members(&self, change: &Change) -> Result<(Vec<Member>, u16), RoutingError> {
        let mut members = self.members.clone();
        let find = |name: &str| {
            let found = members.iter().position(|member| member.name == name);
            found.filter(|&at| members[at].state != MemberState::Removed)
        };
        let unknown = |name: &str| RoutingError::UnknownNode { name: name.into() };
        let at = match change {
            Change::Add(spec) => {
                spec.check()?;
                let name = spec.name.clone();
                let known = members.iter().position(|member| member.name == name);
                match known.map(|at| (at, members[at].state)) {
                    Some((_, MemberState::Active)) => {
                        return Err(RoutingError::NodeExists { name });
                    }
                    Some((_, MemberState::Draining)) => {
                        return Err(RoutingError::NodeLeaving { name });
                    }
                    Some((at, MemberState::Removed)) => {
                        members[at] = Member::new(spec);
                        at
                    }
                    None => {
                        let member = Member::new(spec);
                        if let Some(same) = members.iter().find(|other| other.id == member.id) {
                            let (first, id) = (same.name.clone(), member.id);
                            return Err(RoutingError::NodeIdCollision {
                                first,
                                second: name,
                                id,
                            });
                        }
                        if members.len() >= MAX_NODES {
                            let nodes = members.len() + 1;
                            return Err(RoutingError::TooManyNodes {
                                nodes,
                                max: MAX_NODES,
                            });
                        }
                        members.push(member);
                        members.len() - 1
                    }
                }
            }
            Change::Remove(name) => {
                let at = find(name).ok_or_else(|| unknown(name))?;
                members[at].state = MemberState::Draining;
                at
            }
            Change::Reweight { node: name, weight } => {
                let at = find(name).ok_or_else(|| unknown(name))?;
                if members[at].state == MemberState::Draining {
                    return Err(RoutingError::NodeLeaving { name: name.clone() });
                }
                members[at].weight = *weight;
                at
            }
        };
        Ok((members, at as u16))
    }

    /// Step 1: adds the member, marks it draining or sets its weight, and adds the new, still
    /// empty shards of the plan for this change. No key changes its shard.
    ///
    /// # Errors
    /// As [`Topology::plan`].
    pub fn with_members_changed(&self, change: &Change) -> Result<Topology, RoutingError> {
        // Plans do not depend on loads, so this is the plan its caller was shown.
        let plan = self.plan(change, &UniformLoad::default())?;
        let (members, _) = self.changed_members(change)?;
        let mut next = self.clone();
        next.version = self.next_version()?;
        next.members = members;
        next.shards.extend(plan.new_shards);
        next.check()?;
        Ok(next)
    }

    /// Step 2: hands slots from one shard to another; `floor` is the LSN in the target's log below
    /// which versions of these slots are leftovers of an earlier stay.
    ///
    /// # Errors
    /// [`RoutingError::UnknownShard`], [`RoutingError::ShardRetired`] for a target that takes no
    /// slots, [`RoutingError::UnknownSlot`], [`RoutingError::SlotNotOwned`] when `from` does not
    /// own a slot (any more, or `slots` names it twice).
    pub fn with_slots_moved(
        &self,
        slots: &[SlotId],
        from: ShardId,
        to: ShardId,
        floor: u64,
    ) -> Result<Topology, RoutingError> {
        let target = self.shard(to).ok_or(RoutingError::UnknownShard { shard: to })?;
        if target.state == ShardState::Retired {
            return Err(RoutingError::ShardRetired { shard: to });
        }
        if self.shard(from).is_none() {
            return Err(RoutingError::UnknownShard { shard: from });
        }
        let mut next = self.clone();
        next.version = self.next_version()?;
        for &slot in slots {
            let at = slot.0 as usize;
            let Some(&owner) = next.owners.get(at) else {
                return Err(RoutingError::UnknownSlot {
                    slot,
                    slots: self.slots(),
                });
            };
            if owner != from || from == to {
                return Err(RoutingError::SlotNotOwned {
                    slot,
                    shard: from,
                    owner,
                });
            }
            next.owners[at] = to;
            next.floors[at] = floor;
        }
        next.check()?;
        Ok(next)
    }

    /// Step 3, after the last hand-over: shards without slots are retired, and draining members
    /// without active shards are removed. None when there is nothing to put away.
    ///
    /// Must not be called while moves of a plan are outstanding: its new shards are empty too.
    ///
    /// # Errors
    /// [`RoutingError::TooMany`] when versions run out.
    pub fn finished(&self) -> Result<Option<Topology>, RoutingError> {
        let counts = self.slot_counts();
        let mut next = self.clone();
        let mut held = vec![false; self.members.len()];
        for shard in &mut next.shards {
            if counts[shard.id.0 as usize] == 0 {
                shard.state = ShardState::Retired;
                continue;
            }
            shard
                .replicas
                .iter()
                .for_each(|&replica| held[usize::from(replica)] = true);
        }
        for (member, held) in next.members.iter_mut().zip(held) {
            if member.state == MemberState::Draining && !held {
                member.state = MemberState::Removed;
            }
        }
        if next == *self {
            return Ok(None);
        }
        next.version = self.next_version()?;
        next.check()?;
        Ok(Some(next))
    }

    fn next_version(&self) -> Result<u64, RoutingError> {
        let too_many = RoutingError::TooMany {
            what: "topology versions",
            max: u64::MAX,
        };
        self.version.checked_add(1).ok_or(too_many)
    }
}
