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
mod json;
mod parts;
mod spec;

pub(crate) use parts::zone_conflicts;
pub use parts::{Member, MemberState, Partitioning, Shard, ShardState, Shortfall};
pub use spec::{PartitioningSpec, TopologySpec};

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
    /// Owner of every slot.
    owners: Vec<ShardId>,
    /// Residency floor of every slot.
    floors: Vec<u64>,
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
        let members: Vec<Member> = spec.nodes.iter().map(Member::new).collect();
        if members.iter().all(|member| member.weight == 0) {
            return Err(RoutingError::NoWeight);
        }
        let placed = placement::place(&members, spec.shards, spec.replicas, slots, spec.vnodes)?;
        let mut owners = Vec::with_capacity(slots as usize);
        let mut shards = Vec::with_capacity(placed.len());
        for (index, placed) in placed.into_iter().enumerate() {
            let id = ShardId(index as u32);
            owners.extend(std::iter::repeat_n(id, placed.slots as usize));
            shards.push(Shard {
                id,
                replicas: placed.replicas,
                state: ShardState::Active,
            });
        }
        let topology = Topology {
            version: 1,
            members,
            shards,
            floors: vec![0; owners.len()],
            owners,
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
        self.owners.len() as u32
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
        owned.map(|(slot, _)| SlotId(slot as u32))
    }

    /// Number of slots of every shard, by id.
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
        let zoned = self.members.iter().any(|member| member.zone.is_some());
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
            let conflicts = zone_conflicts(&self.members, &shard.replicas) as u8;
            if zoned && conflicts > 0 {
                let zones = placed - conflicts;
                shortfalls.push(Shortfall::Zones {
                    shard: shard.id,
                    replicas: placed,
                    zones,
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
            moved
                .slots
                .iter()
                .for_each(|slot| next.owners[slot.0 as usize] = moved.to);
        }
        next.shortfalls()
    }
}

#[cfg(test)]
mod tests;
