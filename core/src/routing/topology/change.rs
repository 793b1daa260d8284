//! The three steps by which a topology changes, each making a new one.
//!
//! 1. [`Topology::with_members_changed`]: the member is there (or leaving), its shards exist, and
//!    no slot has moved. 2. [`Topology::with_slots_moved`], once per hand-over: the commit point.
//!    3. [`Topology::finished`]: what became empty is put away.

use std::collections::BTreeSet;

use super::{GroupId, Member, MemberState, ShardState, Topology};
use crate::ids::{ShardId, SlotId};
use crate::routing::error::RoutingError;
use crate::routing::node::{MAX_NODES, NodeSpec};
use crate::routing::plan::{Change, Plan, UniformLoad};

impl Topology {
    /// The members as they are once a change has been ordered, and the indexes of those concerned.
    ///
    /// A removed name may be added again and takes its old place; a leaving one may be removed
    /// again, and a weight may be set to what it is, both of which plan what is left to do.
    pub(crate) fn changed_members(&self, change: &Change) -> Result<(Vec<Member>, Vec<u16>), RoutingError> {
        let parts = change.parts();
        let mut names = change.nodes();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(RoutingError::NodeTwice { name: pair[0].into() });
        }
        let mut members = self.members.clone();
        let mut nodes = Vec::with_capacity(parts.len());
        for part in parts {
            nodes.push(change_member(&mut members, part)?);
        }
        Ok((members, nodes))
    }

    /// Step 1, planned by slots: [`Self::with_plan`] of [`Topology::plan`] without loads.
    ///
    /// # Errors
    /// As [`Topology::plan`].
    pub fn with_members_changed(&self, change: &Change) -> Result<Topology, RoutingError> {
        self.with_plan(&self.plan(change, &UniformLoad::default())?)
    }

    /// Step 1: adds the members, marks them draining or sets their weights, adds the new and still
    /// empty shards of the plan, and records which slots are on their way where. No key changes its
    /// shard. What an earlier plan left on its way is forgotten.
    ///
    /// # Errors
    /// [`RoutingError::StalePlan`] if the plan was made for another version, and those of
    /// [`Topology::plan`].
    pub fn with_plan(&self, plan: &Plan) -> Result<Topology, RoutingError> {
        if plan.from_version != self.version {
            return Err(RoutingError::StalePlan {
                planned: plan.from_version,
                found: self.version,
            });
        }
        let (members, _) = self.changed_members(&plan.change)?;
        let mut next = self.clone();
        next.version = self.next_version()?;
        next.members = members;
        next.shards.extend_from_slice(&plan.new_shards);
        next.moving.clear();
        for moved in &plan.moves {
            next.announce(&moved.slots, moved.from, moved.to)?;
        }
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
        let group = self.group_of_hand_over(from, to)?;
        let mut next = self.clone();
        next.version = self.next_version()?;
        for &slot in slots {
            let at = next.owned_place(group, slot, from, to)?;
            next.owners[at] = to;
            next.floors[at] = floor;
            next.moving.remove(&(at as u32));
        }
        next.check()?;
        Ok(next)
    }

    /// Group of both ends of a hand-over.
    pub(super) fn group_of_hand_over(&self, from: ShardId, to: ShardId) -> Result<GroupId, RoutingError> {
        let target = self.shard(to).ok_or(RoutingError::UnknownShard { shard: to })?;
        if target.state == ShardState::Retired {
            return Err(RoutingError::ShardRetired { shard: to });
        }
        let source = self
            .shard(from)
            .ok_or(RoutingError::UnknownShard { shard: from })?;
        if source.group != target.group {
            return Err(RoutingError::GroupsDiffer { from, to });
        }
        Ok(source.group)
    }

    /// Place of a slot in the tables, if `from` owns it.
    pub(super) fn owned_place(
        &self,
        group: GroupId,
        slot: SlotId,
        from: ShardId,
        to: ShardId,
    ) -> Result<usize, RoutingError> {
        if slot.0 >= self.slots {
            return Err(RoutingError::UnknownSlot {
                slot,
                slots: self.slots,
            });
        }
        let at = self.place(group, slot);
        let owner = self.owners[at];
        if owner != from || from == to {
            return Err(RoutingError::SlotNotOwned {
                slot,
                shard: from,
                owner,
            });
        }
        Ok(at)
    }

    /// Step 3, after the last hand-over: shards without slots are retired, and draining members
    /// without active shards are removed. None when there is nothing to put away. A shard to which
    /// slots are still on their way stays.
    ///
    /// # Errors
    /// [`RoutingError::TooMany`] when versions run out.
    pub fn finished(&self) -> Result<Option<Topology>, RoutingError> {
        let counts = self.slot_counts();
        let mut next = self.clone();
        let mut held = vec![false; self.members.len()];
        let expected: BTreeSet<ShardId> = self.moving.values().map(|moving| moving.to).collect();
        for shard in &mut next.shards {
            if counts[shard.id.0 as usize] == 0 && !expected.contains(&shard.id) {
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

    pub(super) fn next_version(&self) -> Result<u64, RoutingError> {
        let too_many = RoutingError::TooMany {
            what: "topology versions",
            max: u64::MAX,
        };
        self.version.checked_add(1).ok_or(too_many)
    }
}

/// Changes one member; returns its index.
fn change_member(members: &mut Vec<Member>, change: &Change) -> Result<u16, RoutingError> {
    let find = |members: &[Member], name: &str| {
        let found = members.iter().position(|member| member.name == name);
        let found = found.filter(|&at| members[at].state != MemberState::Removed);
        found.ok_or_else(|| RoutingError::UnknownNode { name: name.into() })
    };
    let at = match change {
        Change::Add(spec) => add_member(members, spec)?,
        Change::Remove(name) => {
            let at = find(members, name)?;
            members[at].state = MemberState::Draining;
            at
        }
        Change::Reweight { node: name, weight } => {
            let at = find(members, name)?;
            if members[at].state == MemberState::Draining {
                return Err(RoutingError::NodeLeaving { name: name.clone() });
            }
            members[at].weight = *weight;
            at
        }
        Change::Together(_) | Change::Level => unreachable!("parts are changes of single nodes"),
    };
    Ok(at as u16)
}

fn add_member(members: &mut Vec<Member>, spec: &NodeSpec) -> Result<usize, RoutingError> {
    spec.check()?;
    let name = spec.name.clone();
    let known = members.iter().position(|member| member.name == name);
    match known.map(|at| (at, members[at].state)) {
        Some((_, MemberState::Active)) => return Err(RoutingError::NodeExists { name }),
        Some((_, MemberState::Draining)) => return Err(RoutingError::NodeLeaving { name }),
        Some((at, MemberState::Removed)) => {
            members[at] = Member::new(spec);
            return Ok(at);
        }
        None => {}
    }
    let member = Member::new(spec);
    if let Some(same) = members.iter().find(|other| other.id == member.id) {
        return Err(RoutingError::NodeIdCollision {
            first: same.name.clone(),
            second: name,
            id: member.id,
        });
    }
    if members.len() >= MAX_NODES {
        return Err(RoutingError::TooManyNodes {
            nodes: members.len() + 1,
            max: MAX_NODES,
        });
    }
    members.push(member);
    Ok(members.len() - 1)
}
