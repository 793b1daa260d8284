//! The topology: which slot a key belongs to, which shard owns the slot, which nodes hold the shard.
//!
//! A specification, bytes or JSON come in; answers and new topologies go out. A topology is
//! immutable: every change makes a new one with the next version. It never learns which replica is
//! primary at the moment; the first node of a shard is the preferred one.
//!
//! Three levels: a **slot** is the unit of moving, a **shard** is one log with a replica set and
//! holds many slots, a **member** is a node. Numbers of slots, shards and members are never reused.
//! [`bytes`](self) and JSON forms are in `topology/bytes.rs` and `topology/json.rs`, changes in
//! `topology/change.rs`, and what every topology must satisfy in `topology/check.rs`.

mod bytes;
mod change;
mod check;
mod groups;
mod json;
mod moving;
mod parts;
mod shared;
mod spec;

pub use groups::{MAX_COLUMNS, MAX_GROUPS, MAX_PLACES, Part};
pub use moving::{MovePhase, Moving, Request, SlotAnswer, Verdict, Writes};
pub use parts::{ColumnGroup, GroupId, Member, MemberState, Partitioning, Shard, ShardState, Shortfall};
pub(crate) use parts::{Conflicts, conflicts};
pub use shared::{SharedTopology, TopologyReader};
pub use spec::{ColumnGroupSpec, PartitioningSpec, TopologySpec};

use std::collections::BTreeMap;

use super::error::{RoutingError, show_key};
use super::hash::HashKind;
use super::key::KeyEncoding;
use super::locality::Locality;
use super::node::check_nodes;
use super::placement;
use super::plan::Move;
use super::range::range_index;
use crate::ids::{ShardId, SlotId};

/// Most slots of a topology.
pub const MAX_SLOTS: u32 = 65_536;

/// Slots of a hash topology unless asked otherwise.
pub const DEFAULT_SLOTS: u32 = 4_096;

/// An immutable map from keys to nodes. `Send`, `Sync`, and free of locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    version: u64,
    members: Vec<Member>,
    /// `shards[i].id` is i.
    shards: Vec<Shard>,
    slots: u32,
    /// Owner of every slot, one table of `slots` entries for each column group, the main one first.
    owners: Vec<ShardId>,
    /// Residency floor of every slot, in the same order.
    floors: Vec<u64>,
    /// Groups beside the main one: `groups[i]` has the number i + 1.
    groups: Vec<ColumnGroup>,
    /// Slots on their way, by their place in `owners`.
    moving: BTreeMap<u32, Moving>,
    partitioning: Partitioning,
    hash: HashKind,
    seed: u64,
    encoding: KeyEncoding,
    locality: Locality,
    replicas: u8,
    vnodes: u32,
}

impl Topology {
    /// Places the shards of a fresh cluster and divides the slots among them.
    ///
    /// Shards are placed by the xxh3 ring with bounded loads (Mirrokni, Thorup, Zadimoghaddam
    /// 2016): no node gets more than its share. Slots are then cut into one contiguous run per
    /// shard so that the primaries of every node hold slots in proportion to its weight.
    /// Deterministic: the same specification gives the same topology.
    ///
    /// # Errors
    /// Those of the nodes as in [`Ring::new`](super::Ring::new), [`RoutingError::SlotCount`],
    /// [`RoutingError::ShardCount`], [`RoutingError::NoReplicas`], [`RoutingError::BadSeed`],
    /// [`RoutingError::UnsortedSplits`] and its neighbours, [`RoutingError::LocalityOnRange`],
    /// [`RoutingError::UnknownLocality`] (a prefix of 0 bytes), [`RoutingError::NodeIdCollision`].
    pub fn create(spec: &TopologySpec) -> Result<(Topology, Vec<Shortfall>), RoutingError> {
        check_nodes(&spec.nodes)?;
        if spec.replicas == 0 {
            return Err(RoutingError::NoReplicas);
        }
        if spec.vnodes == 0 {
            return Err(RoutingError::NoVirtualNodes);
        }
        spec.hash.check_seed(spec.seed)?;
        if spec.locality == Locality::Prefix(0) {
            return Err(RoutingError::UnknownLocality {
                name: spec.locality.to_string(),
            });
        }
        let (partitioning, slots) = spec::partition(spec)?;
        if spec.shards == 0 || spec.shards > slots {
            return Err(RoutingError::ShardCount {
                shards: spec.shards,
                slots,
            });
        }
        groups::check_specs(spec, slots)?;
        let members: Vec<Member> = spec.nodes.iter().map(Member::new).collect();
        if members.iter().all(|member| member.weight == 0) {
            return Err(RoutingError::NoWeight);
        }
        let mut owners = Vec::with_capacity(slots as usize * (1 + spec.column_groups.len()));
        let mut shards = Vec::new();
        let wanted = spec.column_groups.iter().map(|group| group.shards);
        for (group, count) in std::iter::once(spec.shards).chain(wanted).enumerate() {
            let first = shards.len() as u32;
            let placed = placement::place(&members, first..first + count, spec.replicas, slots, spec.vnodes)?;
            for (id, placed) in (first..).map(ShardId).zip(placed) {
                owners.extend(std::iter::repeat_n(id, placed.slots as usize));
                shards.push(Shard {
                    id,
                    replicas: placed.replicas,
                    state: ShardState::Active,
                    group: group as GroupId,
                });
            }
        }
        let topology = Topology {
            version: 1,
            members,
            shards,
            slots,
            floors: vec![0; owners.len()],
            owners,
            groups: spec.column_groups.iter().map(ColumnGroupSpec::group).collect(),
            moving: BTreeMap::new(),
            partitioning,
            hash: spec.hash,
            seed: spec.seed,
            encoding: spec.encoding,
            locality: spec.locality,
            replicas: spec.replicas,
            vnodes: spec.vnodes,
        };
        topology.check()?;
        let shortfalls = topology.shortfalls();
        Ok((topology, shortfalls))
    }

    /// Grows by one with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All members ever, also removed ones.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member of a name, with its index.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<(u16, &Member)> {
        let index = self.members.iter().position(|member| member.name == name)?;
        Some((index as u16, &self.members[index]))
    }

    /// All shards ever, also retired ones, by id.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// One shard.
    #[must_use]
    pub fn shard(&self, shard: ShardId) -> Option<&Shard> {
        self.shards.get(shard.0 as usize)
    }

    /// Number of slots: their ids are `0..slots`.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// How keys map to slots.
    #[must_use]
    pub fn partitioning(&self) -> &Partitioning {
        &self.partitioning
    }

    /// Hash of keys.
    #[must_use]
    pub fn hash(&self) -> HashKind {
        self.hash
    }

    /// Seed of the hash.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How integers become bytes.
    #[must_use]
    pub fn encoding(&self) -> KeyEncoding {
        self.encoding
    }

    /// Part of a key that decides its slot.
    #[must_use]
    pub fn locality(&self) -> Locality {
        self.locality
    }

    /// Copies wanted of every shard.
    #[must_use]
    pub fn replicas(&self) -> u8 {
        self.replicas
    }

    /// Virtual nodes of the ring that placed the shards.
    #[must_use]
    pub fn vnodes(&self) -> u32 {
        self.vnodes
    }

    /// Slot of an encoded key. Keys outside a domain belong to the first or last range; callers
    /// that must refuse them ask [`Self::check_key`].
    #[must_use]
    #[inline]
    pub fn slot_of(&self, encoded_key: &[u8]) -> SlotId {
        match &self.partitioning {
            Partitioning::Hash { slots } => {
                let slots = (*slots).try_into().expect("the constructor refuses 0 slots");
                let part = self.locality.part(encoded_key);
                SlotId(self.hash.digest_mod_seeded(part, self.seed, slots))
            }
            Partitioning::Range {
                splits,
                slot_of_range,
                ..
            } => SlotId(slot_of_range[range_index(splits, encoded_key)]),
        }
    }

    /// Refuses keys outside the domain of a range topology.
    ///
    /// # Errors
    /// [`RoutingError::OutsideDomain`].
    pub fn check_key(&self, encoded_key: &[u8]) -> Result<(), RoutingError> {
        match &self.partitioning {
            Partitioning::Range { domain, .. } if !domain.contains(encoded_key) => {
                Err(RoutingError::OutsideDomain {
                    key: show_key(encoded_key),
                })
            }
            _ => Ok(()),
        }
    }

    /// Shard that owns a slot.
    ///
    /// # Panics
    /// If the slot is not below [`Self::slots`]: it then came from another topology.
    #[must_use]
    #[inline]
    pub fn shard_of_slot(&self, slot: SlotId) -> ShardId {
        self.owners[slot.0 as usize]
    }

    /// Shard that owns an encoded key.
    #[must_use]
    #[inline]
    pub fn shard_of(&self, encoded_key: &[u8]) -> ShardId {
        self.shard_of_slot(self.slot_of(encoded_key))
    }

    /// Names of the nodes of a shard, preferred primary first; none for an unknown shard.
    #[must_use]
    pub fn node_names(&self, shard: ShardId) -> Vec<&str> {
        let replicas = self.shard(shard).map_or(&[][..], |shard| &shard.replicas);
        replicas
            .iter()
            .map(|&index| self.members[usize::from(index)].name.as_str())
            .collect()
    }

    /// Slots of a shard, ascending.
    pub fn slots_of_shard(&self, shard: ShardId) -> impl Iterator<Item = SlotId> + '_ {
        let owned = self
            .owners
            .iter()
            .enumerate()
            .filter(move |&(_, &owner)| owner == shard);
        owned.map(|(place, _)| SlotId(place as u32 % self.slots))
    }

    /// Every slot of every column group with its owner, by group and slot.
    pub(crate) fn places(&self) -> impl Iterator<Item = (GroupId, SlotId, ShardId)> + '_ {
        (0u32..).zip(&self.owners).map(|(place, &owner)| {
            let (group, slot) = (place / self.slots, place % self.slots);
            (group as GroupId, SlotId(slot), owner)
        })
    }

    /// Number of slots of every shard, by id; in every column group each slot has an owner.
    #[must_use]
    pub fn slot_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.shards.len()];
        for owner in &self.owners {
            counts[owner.0 as usize] += 1;
        }
        counts
    }

    /// Floor of a slot: the LSN in the owning shard's log below which versions of the slot's keys
    /// are leftovers of an earlier stay and dead. 0 if the slot never moved.
    ///
    /// # Panics
    /// As [`Self::shard_of_slot`].
    #[must_use]
    #[inline]
    pub fn residency(&self, slot: SlotId) -> u64 {
        self.floors[slot.0 as usize]
    }

    /// What the nodes cannot give: see [`Shortfall`].
    #[must_use]
    pub fn shortfalls(&self) -> Vec<Shortfall> {
        let mut shortfalls = Vec::new();
        let counts = self.slot_counts();
        let mut primary = vec![false; self.members.len()];
        for shard in self.shards.iter().filter(|shard| counts[shard.id.0 as usize] > 0) {
            let placed = shard.replicas.len() as u8;
            primary[usize::from(shard.replicas[0])] = true;
            if placed < self.replicas {
                let wanted = self.replicas;
                shortfalls.push(Shortfall::Replicas {
                    shard: shard.id,
                    wanted,
                    placed,
                });
            }
            let conflicts = conflicts(&self.members, &shard.replicas);
            if conflicts.zones > 0 {
                shortfalls.push(Shortfall::Zones {
                    shard: shard.id,
                    replicas: placed,
                    zones: placed - conflicts.zones,
                });
            }
            if conflicts.racks > 0 {
                shortfalls.push(Shortfall::Racks {
                    shard: shard.id,
                    replicas: placed,
                    sharing: conflicts.racks,
                });
            }
        }
        for (member, _) in self.members.iter().zip(primary).filter(|(_, primary)| !primary) {
            if member.placing_weight() > 0 {
                shortfalls.push(Shortfall::NoPrimary {
                    node: member.name.clone(),
                });
            }
        }
        shortfalls
    }

    /// [`Self::shortfalls`] once the moves of a plan are done.
    pub(crate) fn shortfalls_after(
        &self,
        members: &[Member],
        new_shards: &[Shard],
        moves: &[Move],
    ) -> Vec<Shortfall> {
        let mut next = self.clone();
        next.members = members.to_vec();
        next.shards.extend_from_slice(new_shards);
        for moved in moves {
            let group = next.shards[moved.from.0 as usize].group;
            for &slot in &moved.slots {
                let place = next.place(group, slot);
                next.owners[place] = moved.to;
            }
        }
        next.shortfalls()
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod moving_tests;
