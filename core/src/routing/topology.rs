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

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::error::{RoutingError, show_key};
use super::hash::HashKind;
use super::key::KeyEncoding;
use super::locality::Locality;
use super::node::{NodeSpec, check_nodes};
use super::placement;
use super::plan::Move;
use super::range::{Domain, check_splits, range_index};
use super::ring::DEFAULT_VNODES;
use crate::ids::{ShardId, SlotId};

/// Most slots of a topology.
pub const MAX_SLOTS: u32 = 65_536;

/// Slots of a hash topology unless asked otherwise.
pub const DEFAULT_SLOTS: u32 = 4_096;

/// Whether a member may hold data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// Holds its share.
    Active,
    /// On its way out: still serves what it has, gains nothing.
    Draining,
    /// Holds nothing; kept because members are named by position.
    Removed,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Unique name.
    pub name: String,
    /// `xxh3_64(name)`; two names with one id are refused.
    pub id: u64,
    /// Share relative to the other members.
    pub weight: u32,
    /// Failure domain.
    pub zone: Option<String>,
    /// Whether it may hold data.
    pub state: MemberState,
}

impl Member {
    pub(crate) fn new(spec: &NodeSpec) -> Member {
        Member {
            name: spec.name.clone(),
            id: xxh3_64(spec.name.as_bytes()),
            weight: spec.weight,
            zone: spec.zone.clone(),
            state: MemberState::Active,
        }
    }

    /// Weight for placing data: 0 unless active.
    #[must_use]
    pub fn placing_weight(&self) -> u32 {
        match self.state {
            MemberState::Active => self.weight,
            MemberState::Draining | MemberState::Removed => 0,
        }
    }
}

/// Whether a shard may own slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShardState {
    /// Owns slots, or is about to.
    Active,
    /// Owns none and never will again.
    Retired,
}

/// One log with its replica set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Position in [`Topology::shards`]; never reused.
    pub id: ShardId,
    /// Indexes into [`Topology::members`], all distinct; the first is the preferred primary.
    pub replicas: Vec<u16>,
    /// Whether it may own slots.
    pub state: ShardState,
}

/// How keys map to slots.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Partitioning {
    /// slot = hash(locality part of the key) mod slots.
    Hash {
        /// Number of slots.
        slots: u32,
    },
    /// slot = `slot_of_range[number of the range that holds the key]`.
    Range {
        /// Ascending split keys; range i begins at split i-1, inclusive.
        splits: Vec<Vec<u8>>,
        /// Slot of every range, one more than splits.
        slot_of_range: Vec<u32>,
        /// Keys outside are refused by [`Topology::check_key`].
        domain: Domain,
    },
}

/// What a fresh topology shall map keys by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitioningSpec {
    /// Hashed slots.
    Hash {
        /// Number of slots, 1 to [`MAX_SLOTS`]; fixed for ever.
        slots: u32,
    },
    /// Sorted ranges, one slot each.
    Range {
        /// Ascending split keys (encoded); as many ranges and one more.
        splits: Vec<Vec<u8>>,
        /// Bounds of all keys.
        domain: Domain,
    },
}

/// What a fresh topology shall look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologySpec {
    /// The nodes, with weights and zones.
    pub nodes: Vec<NodeSpec>,
    /// Number of shards, at most one per slot.
    pub shards: u32,
    /// Copies of every shard, the primary included.
    pub replicas: u8,
    /// Slots or ranges.
    pub partitioning: PartitioningSpec,
    /// Hash of keys.
    pub hash: HashKind,
    /// Seed of that hash.
    pub seed: u64,
    /// How integers become bytes.
    pub encoding: KeyEncoding,
    /// Part of a key that decides its slot.
    pub locality: Locality,
    /// Virtual nodes of the ring that places shards.
    pub vnodes: u32,
}

impl TopologySpec {
    /// 4,096 slots by xxh3 with seed 0 over whole keys in the binary encoding.
    #[must_use]
    pub fn new(nodes: Vec<NodeSpec>, shards: u32, replicas: u8) -> TopologySpec {
        TopologySpec {
            nodes,
            shards,
            replicas,
            partitioning: PartitioningSpec::Hash { slots: DEFAULT_SLOTS },
            hash: HashKind::Xxh3,
            seed: 0,
            encoding: KeyEncoding::Binary,
            locality: Locality::None,
            vnodes: DEFAULT_VNODES,
        }
    }
}

/// Something asked for that the nodes cannot give. Never an error, always told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Shortfall {
    /// A shard has fewer copies than wanted, for lack of nodes.
    #[error("shard {shard} has {placed} of {wanted} replicas: too few nodes")]
    Replicas {
        /// The shard.
        shard: ShardId,
        /// Copies wanted.
        wanted: u8,
        /// Copies placed.
        placed: u8,
    },
    /// Copies of a shard share a zone although members are in zones.
    #[error("shard {shard} has {replicas} replicas in {zones} distinct zones")]
    Zones {
        /// The shard.
        shard: ShardId,
        /// Copies placed.
        replicas: u8,
        /// Distinct zones they are in.
        zones: u8,
    },
    /// A node with a weight is no shard's preferred primary: there are fewer shards than nodes.
    #[error("node {node:?} is primary of no shard: there are fewer shards than nodes")]
    NoPrimary {
        /// The node.
        node: String,
    },
}

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
            return Err(RoutingError::UnknownLocality { name: spec.locality.to_string() });
        }
        let (partitioning, slots) = partition(spec)?;
        if spec.shards == 0 || spec.shards > slots {
            return Err(RoutingError::ShardCount { shards: spec.shards, slots });
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
            shards.push(Shard { id, replicas: placed.replicas, state: ShardState::Active });
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
            Partitioning::Range { splits, slot_of_range, .. } => {
                SlotId(slot_of_range[range_index(splits, encoded_key)])
            }
        }
    }

    /// Refuses keys outside the domain of a range topology.
    ///
    /// # Errors
    /// [`RoutingError::OutsideDomain`].
    pub fn check_key(&self, encoded_key: &[u8]) -> Result<(), RoutingError> {
        match &self.partitioning {
            Partitioning::Range { domain, .. } if !domain.contains(encoded_key) => {
                Err(RoutingError::OutsideDomain { key: show_key(encoded_key) })
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
        replicas.iter().map(|&index| self.members[usize::from(index)].name.as_str()).collect()
    }

    /// Slots of a shard, ascending.
    pub fn slots_of_shard(&self, shard: ShardId) -> impl Iterator<Item = SlotId> + '_ {
        let owned = self.owners.iter().enumerate().filter(move |&(_, &owner)| owner == shard);
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
                shortfalls.push(Shortfall::Replicas { shard: shard.id, wanted, placed });
            }
            let conflicts = zone_conflicts(&self.members, &shard.replicas) as u8;
            if zoned && conflicts > 0 {
                let zones = placed - conflicts;
                shortfalls.push(Shortfall::Zones { shard: shard.id, replicas: placed, zones });
            }
        }
        for (member, _) in self.members.iter().zip(primary).filter(|(_, primary)| !primary) {
            if member.placing_weight() > 0 {
                shortfalls.push(Shortfall::NoPrimary { node: member.name.clone() });
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
            moved.slots.iter().for_each(|slot| next.owners[slot.0 as usize] = moved.to);
        }
        next.shortfalls()
    }
}

/// Checks what keys map by; returns it with the number of slots.
fn partition(spec: &TopologySpec) -> Result<(Partitioning, u32), RoutingError> {
    match &spec.partitioning {
        PartitioningSpec::Hash { slots } => {
            if *slots == 0 || *slots > MAX_SLOTS {
                return Err(RoutingError::SlotCount { slots: *slots, max: MAX_SLOTS });
            }
            Ok((Partitioning::Hash { slots: *slots }, *slots))
        }
        PartitioningSpec::Range { splits, domain } => {
            if spec.locality != Locality::None {
                return Err(RoutingError::LocalityOnRange);
            }
            let ranges = u32::try_from(splits.len() + 1).unwrap_or(u32::MAX);
            if ranges > MAX_SLOTS {
                return Err(RoutingError::SlotCount { slots: ranges, max: MAX_SLOTS });
            }
            check_splits(splits, domain)?;
            let partitioning = Partitioning::Range {
                splits: splits.clone(),
                slot_of_range: (0..ranges).collect(),
                domain: domain.clone(),
            };
            Ok((partitioning, ranges))
        }
    }
}

/// How many of these members share a zone with an earlier one. A member without a zone is a zone
/// of its own.
pub(crate) fn zone_conflicts(members: &[Member], replicas: &[u16]) -> usize {
    let zone = |index: u16| members[usize::from(index)].zone.as_deref();
    let shared = |&at: &usize| {
        zone(replicas[at]).is_some_and(|z| replicas[..at].iter().any(|&other| zone(other) == Some(z)))
    };
    (0..replicas.len()).filter(shared).count()
}

#[cfg(test)]
mod tests;
