//! One type over all routing algorithms: what C, Python, Go, SQL and the command line call.
//!
//! Options ([`RouterSpec`]) or bytes come in; nodes, buckets, slots and tokens go out, and plans that
//! say what a change of nodes would move. A router is immutable, `Send` and `Sync`; look-ups take no
//! lock and allocate nothing. An option that an algorithm would pass over is refused by name.
//!
//! `router/spec.rs` has the options, `router/bytes.rs` the byte form, `router/describe.rs` the JSON,
//! `router/plan.rs` and `router/circle.rs` the share of keys that moves.

mod bytes;
mod circle;
mod describe;
mod plan;
mod spec;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::num::NonZeroU32;

pub use plan::{RouterPlan, RouterShare};
pub use spec::RouterSpec;

use super::algorithm::Algorithm;
use super::cassandra::cassandra_token;
use super::error::RoutingError;
use super::hash::HashKind;
use super::hrw::Hrw;
use super::jump::{jump, jump_key};
use super::ketama::Ketama;
use super::key::{KeyEncoding, KeyRef, encode_key};
use super::locality::Locality;
use super::maglev::{DEFAULT_TABLE_SIZE, Maglev};
use super::modulo::Modulo;
use super::nginx::Nginx;
use super::node::{NodeSpec, check_nodes};
use super::range::RangeMap;
use super::redis::redis_slot;
use super::ring::{DEFAULT_VNODES, Ring};
use super::topology::{DEFAULT_SLOTS, Partitioning, PartitioningSpec, Topology, TopologySpec};
use crate::ids::{ShardId, SlotId};

/// An immutable router of any algorithm.
///
/// ```
/// use atoll::routing::{Algorithm, NodeSpec, Router, RouterSpec};
/// let nodes = NodeSpec::parse_list("a,b=2,c")?;
/// let router = Router::new(&RouterSpec::new(Algorithm::Ring, nodes))?;
/// assert_eq!(router.nodes_of(b"user:1", 3)?.len(), 3);
/// assert_eq!(Router::from_bytes(&router.to_bytes())?.node(b"user:1")?, router.node(b"user:1")?);
/// # Ok::<(), atoll::routing::RoutingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Router {
    kind: Kind,
    /// Nodes that answers are indexes into; empty when answers are numbers.
    nodes: Vec<NodeSpec>,
    encoding: KeyEncoding,
    /// Of every kind but topologies, which apply their own.
    locality: Locality,
}

#[derive(Clone, Debug)]
enum Kind {
    Modulo(Modulo),
    Ring(Box<Ring>),
    Range(RangeMap),
    Jump(NonZeroU32),
    Hrw(Hrw),
    Maglev(Maglev),
    Ketama(Ketama),
    Nginx(Nginx),
    Redis,
    Cassandra,
    /// Slots, or ranges that came with a topology.
    Topology(Box<Topology>),
}

impl Router {
    /// Builds a router.
    ///
    /// # Errors
    /// [`RoutingError::OptionUnused`], [`RoutingError::OptionMissing`],
    /// [`RoutingError::OptionConflict`], [`RoutingError::NoWeights`], and the errors of the nodes and
    /// of the algorithm.
    pub fn new(spec: &RouterSpec) -> Result<Router, RoutingError> {
        spec.check()?;
        let nodes = spec.named_nodes()?;
        let missing = |option| {
            let algorithm = spec.algorithm.name();
            Err(RoutingError::OptionMissing { option, algorithm })
        };
        let numbered = matches!(
            spec.algorithm,
            Algorithm::Redis | Algorithm::Cassandra | Algorithm::Range
        );
        if spec.buckets.is_none() && nodes.is_empty() && !numbered {
            return missing("nodes");
        }
        let hash = spec.hash.unwrap_or_default();
        let vnodes = spec.vnodes.unwrap_or(DEFAULT_VNODES);
        let kind = match spec.algorithm {
            Algorithm::Modulo => return Router::modulo(spec, hash),
            Algorithm::Jump => return Router::jump(spec),
            Algorithm::Ring => Kind::Ring(Box::new(Ring::new(&nodes, vnodes, hash)?)),
            Algorithm::Hrw => Kind::Hrw(Hrw::new(&nodes)?),
            Algorithm::Maglev => Kind::Maglev(Maglev::new(
                &nodes,
                spec.table_size.unwrap_or(DEFAULT_TABLE_SIZE),
            )?),
            Algorithm::Ketama => Kind::Ketama(Ketama::new(&nodes)?),
            Algorithm::Nginx => Kind::Nginx(Nginx::new(&nodes)?),
            Algorithm::Redis => Kind::Redis,
            Algorithm::Cassandra => Kind::Cassandra,
            Algorithm::Range => {
                let Some(splits) = &spec.splits else {
                    return missing("splits");
                };
                Kind::Range(range(splits, &nodes)?)
            }
            Algorithm::Slots => {
                let spec = slots_spec(spec, nodes, hash, vnodes);
                return Ok(Router::from_topology(Topology::create(&spec)?.0));
            }
        };
        Ok(Router {
            kind,
            nodes,
            encoding: spec.encoding,
            locality: spec.locality,
        })
    }

    fn modulo(spec: &RouterSpec, hash: HashKind) -> Result<Router, RoutingError> {
        let modulo = match spec.buckets {
            Some(buckets) => Modulo::numbered(buckets, hash)?,
            None => Modulo::named(&spec.nodes, hash)?,
        };
        Ok(Router {
            kind: Kind::Modulo(modulo),
            nodes: spec.nodes.clone(),
            encoding: spec.encoding,
            locality: spec.locality,
        })
    }

    fn jump(spec: &RouterSpec) -> Result<Router, RoutingError> {
        if spec.buckets.is_none() {
            check_nodes(&spec.nodes)?;
        }
        let buckets = spec.buckets.unwrap_or(spec.nodes.len() as u32);
        Ok(Router {
            kind: Kind::Jump(NonZeroU32::new(buckets).ok_or(RoutingError::NoNodes)?),
            nodes: spec.nodes.clone(),
            encoding: spec.encoding,
            locality: spec.locality,
        })
    }

    /// A router by the table of a cluster.
    #[must_use]
    pub fn from_topology(topology: Topology) -> Router {
        let node = |member: &super::Member| {
            let mut node = NodeSpec::new(member.name.as_str()).with_weight(member.weight);
            (node.zone, node.rack) = (member.zone.clone(), member.rack.clone());
            node
        };
        Router {
            nodes: topology.members().iter().map(node).collect(),
            encoding: topology.encoding(),
            locality: topology.locality(),
            kind: Kind::Topology(Box::new(topology)),
        }
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match &self.kind {
            Kind::Modulo(_) => Algorithm::Modulo,
            Kind::Ring(_) => Algorithm::Ring,
            Kind::Range(_) => Algorithm::Range,
            Kind::Jump(_) => Algorithm::Jump,
            Kind::Hrw(_) => Algorithm::Hrw,
            Kind::Maglev(_) => Algorithm::Maglev,
            Kind::Ketama(_) => Algorithm::Ketama,
            Kind::Nginx(_) => Algorithm::Nginx,
            Kind::Redis => Algorithm::Redis,
            Kind::Cassandra => Algorithm::Cassandra,
            Kind::Topology(topology) => match topology.partitioning() {
                Partitioning::Hash { .. } => Algorithm::Slots,
                Partitioning::Range { .. } => Algorithm::Range,
            },
        }
    }

    /// The nodes, which answers of [`Self::owner`] are indexes into; empty when the router answers
    /// with numbers. Members that left a topology stay in the list.
    #[must_use]
    pub fn nodes(&self) -> &[NodeSpec] {
        &self.nodes
    }

    /// How integers become key bytes.
    #[must_use]
    pub fn encoding(&self) -> KeyEncoding {
        self.encoding
    }

    /// Part of a key that decides its place.
    #[must_use]
    pub fn locality(&self) -> Locality {
        self.locality
    }

    /// The table behind a router of slots, or of ranges that came with a topology.
    #[must_use]
    pub fn topology(&self) -> Option<&Topology> {
        match &self.kind {
            Kind::Topology(topology) => Some(topology),
            _ => None,
        }
    }

    /// The bytes of a key in the router's encoding, as all look-ups take them.
    #[must_use]
    pub fn encode<'k>(&self, key: &KeyRef<'k>) -> Cow<'k, [u8]> {
        encode_key(key, self.encoding)
    }

    /// Places that answers of [`Self::number`] run through from 0: buckets, ranges, slots or nodes;
    /// `None` for tokens, which are any 64-bit number.
    #[must_use]
    pub fn places(&self) -> Option<u32> {
        match &self.kind {
            Kind::Modulo(modulo) => Some(modulo.buckets()),
            Kind::Jump(buckets) => Some(buckets.get()),
            Kind::Range(map) => Some(map.ranges() as u32),
            Kind::Topology(topology) => Some(topology.slots()),
            Kind::Redis => Some(super::redis::SLOTS.into()),
            Kind::Cassandra => None,
            _ => Some(self.nodes.len() as u32),
        }
    }

    /// The number of the place of an encoded key: bucket (`modulo`, `jump`), range, slot (`slots`,
    /// `redis`), token (`cassandra`), otherwise the index of the owner.
    ///
    /// # Errors
    /// [`RoutingError::OutsideDomain`].
    pub fn number(&self, key: &[u8]) -> Result<i64, RoutingError> {
        let part = self.part(key);
        Ok(match &self.kind {
            Kind::Modulo(modulo) => modulo.bucket(part).into(),
            Kind::Jump(buckets) => jump_key(part, *buckets).into(),
            Kind::Range(map) => map.range_of(key)? as i64,
            Kind::Redis => redis_slot(key).into(),
            Kind::Cassandra => cassandra_token(key),
            Kind::Topology(topology) => {
                topology.check_key(key)?;
                topology.slot_of(key).0.into()
            }
            _ => self.owner(key)?.into(),
        })
    }

    /// Bucket of a number that is spread evenly over 64 bits: `jump` alone.
    ///
    /// # Errors
    /// [`RoutingError::NoNumbers`] for every other algorithm.
    pub fn bucket_of_number(&self, number: u64) -> Result<u32, RoutingError> {
        match &self.kind {
            Kind::Jump(buckets) => Ok(jump(number, *buckets)),
            _ => Err(RoutingError::NoNumbers {
                algorithm: self.algorithm().name(),
            }),
        }
    }

    /// Index of the node that owns an encoded key.
    ///
    /// # Errors
    /// [`RoutingError::NoNames`] when answers are numbers, [`RoutingError::OutsideDomain`].
    pub fn owner(&self, key: &[u8]) -> Result<u16, RoutingError> {
        let part = self.part(key);
        match &self.kind {
            Kind::Ring(ring) => Ok(ring.owner(part)),
            Kind::Hrw(hrw) => Ok(hrw.owner(part)),
            Kind::Maglev(maglev) => Ok(maglev.owner(part)),
            Kind::Ketama(ketama) => Ok(ketama.owner(part)),
            Kind::Nginx(nginx) => Ok(nginx.owner(part)),
            Kind::Topology(topology) => Ok(replicas_of(topology, key)?[0]),
            _ if self.nodes.is_empty() => Err(RoutingError::NoNames {
                algorithm: self.algorithm().name(),
            }),
            Kind::Modulo(modulo) => Ok(modulo.bucket(part) as u16),
            Kind::Jump(buckets) => Ok(jump_key(part, *buckets) as u16),
            Kind::Range(map) => Ok(map.range_of(key)? as u16),
            Kind::Redis | Kind::Cassandra => unreachable!("these have no nodes"),
        }
    }

    /// Name of the node that owns an encoded key.
    ///
    /// # Errors
    /// As [`Self::owner`].
    pub fn node(&self, key: &[u8]) -> Result<&str, RoutingError> {
        Ok(&self.nodes[usize::from(self.owner(key)?)].name)
    }

    /// Puts the indexes of the first `replicas` distinct nodes of a key into `out`, owner first, and
    /// returns how many could not be found because there are too few nodes.
    ///
    /// `ring` and `nginx` take the next points, `maglev` the next entries of its table, `hrw` the next
    /// best scores, `ketama` the next servers of the list (as libmemcached does), and a topology the
    /// replicas it has placed.
    ///
    /// # Errors
    /// [`RoutingError::OnePlace`] for more than one node of an algorithm that gives one, and as
    /// [`Self::owner`].
    pub fn owners(&self, key: &[u8], replicas: usize, out: &mut Vec<u16>) -> Result<usize, RoutingError> {
        let part = self.part(key);
        match &self.kind {
            Kind::Ring(ring) => Ok(ring.owners(part, replicas, out)),
            Kind::Hrw(hrw) => Ok(hrw.owners(part, replicas, out)),
            Kind::Maglev(maglev) => Ok(maglev.owners(part, replicas, out)),
            Kind::Ketama(ketama) => Ok(ketama.owners(part, replicas, out)),
            Kind::Nginx(nginx) => Ok(nginx.owners(part, replicas, out)),
            Kind::Topology(topology) => {
                let placed = replicas_of(topology, key)?;
                out.clear();
                out.extend_from_slice(&placed[..placed.len().min(replicas)]);
                Ok(replicas - out.len())
            }
            _ => {
                out.clear();
                if replicas > 1 {
                    return Err(RoutingError::OnePlace {
                        algorithm: self.algorithm().name(),
                    });
                }
                let owner = self.owner(key)?;
                out.extend(std::iter::repeat_n(owner, replicas));
                Ok(0)
            }
        }
    }

    /// Names of the first `replicas` distinct nodes of a key, owner first; fewer when there are fewer.
    ///
    /// # Errors
    /// As [`Self::owners`].
    pub fn nodes_of(&self, key: &[u8], replicas: usize) -> Result<Vec<&str>, RoutingError> {
        let mut owners = Vec::new();
        self.owners(key, replicas, &mut owners)?;
        let name = |&owner: &u16| self.nodes[usize::from(owner)].name.as_str();
        Ok(owners.iter().map(name).collect())
    }

    /// Most distinct nodes a key can have; 1 where [`Algorithm::has_replicas`] is false.
    #[must_use]
    pub fn distinct_nodes(&self) -> usize {
        match &self.kind {
            Kind::Ring(ring) => ring.distinct_nodes(),
            Kind::Hrw(hrw) => hrw.distinct_nodes(),
            Kind::Maglev(maglev) => maglev.distinct_nodes(),
            Kind::Ketama(ketama) => ketama.nodes().len(),
            Kind::Nginx(nginx) => nginx.distinct_nodes(),
            Kind::Topology(topology) => {
                let placed = topology.shards().iter().map(|shard| shard.replicas.len());
                placed.max().unwrap_or(0)
            }
            _ => 1,
        }
    }

    /// Routes packed keys: key i is `keys[offsets[i]..offsets[i + 1]]`. `out` gets the index of every
    /// owner, or its [`Self::number`] where the router has no named nodes.
    ///
    /// # Errors
    /// [`RoutingError::BadPackedKeys`] unless the offsets ascend from 0 to the length of `keys` and
    /// `out` has one place a key; [`RoutingError::OutsideDomain`]. What stands in `out` then is
    /// unspecified.
    pub fn route_many(&self, keys: &[u8], offsets: &[u32], out: &mut [i64]) -> Result<(), RoutingError> {
        check_packed(keys, offsets, out.len())?;
        for (bounds, answer) in offsets.windows(2).zip(out) {
            let key = &keys[bounds[0] as usize..bounds[1] as usize];
            *answer = if self.nodes.is_empty() {
                self.number(key)?
            } else {
                self.owner(key)?.into()
            };
        }
        Ok(())
    }

    /// The bytes that decide the place of a key. A topology sees the whole key and does this itself.
    #[inline]
    fn part<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        match self.kind {
            Kind::Topology(_) => key,
            _ => self.locality.part(key),
        }
    }
}

/// Members that hold a key, preferred primary first; at least one.
fn replicas_of<'t>(topology: &'t Topology, key: &[u8]) -> Result<&'t [u16], RoutingError> {
    topology.check_key(key)?;
    let slot: SlotId = topology.slot_of(key);
    let shard: ShardId = topology.shard_of_slot(slot);
    let shard = topology.shard(shard).expect("slots belong to shards that exist");
    Ok(&shard.replicas)
}

fn range(splits: &[Vec<u8>], nodes: &[NodeSpec]) -> Result<RangeMap, RoutingError> {
    let map = RangeMap::new(splits.to_vec())?;
    if !nodes.is_empty() {
        check_nodes(nodes)?;
        if nodes.len() != map.ranges() {
            return Err(RoutingError::RangeNodes {
                splits: map.splits().len(),
                ranges: map.ranges(),
                nodes: nodes.len(),
            });
        }
    }
    Ok(map)
}

fn slots_spec(spec: &RouterSpec, nodes: Vec<NodeSpec>, hash: HashKind, vnodes: u32) -> TopologySpec {
    let slots = spec.slots.unwrap_or(DEFAULT_SLOTS);
    let usable = nodes.iter().filter(|node| node.weight > 0).count() as u32;
    // One shard a node is the coarsest placement in which everybody is primary of its share.
    let shards = usable.min(slots).max(1);
    let mut topology = TopologySpec::new(nodes, shards, spec.replicas.unwrap_or(1));
    topology.partitioning = PartitioningSpec::Hash { slots };
    topology.hash = hash;
    topology.vnodes = vnodes;
    topology.encoding = spec.encoding;
    topology.locality = spec.locality;
    topology
}

fn check_packed(keys: &[u8], offsets: &[u32], answers: usize) -> Result<(), RoutingError> {
    let bad = |index, reason| Err(RoutingError::BadPackedKeys { index, reason });
    if offsets.first() != Some(&0) {
        return bad(0, "the first offset is not 0");
    }
    if let Some(at) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
        return bad(at + 1, "it is below the one before it");
    }
    let last = offsets.len() - 1;
    if offsets[last] as usize != keys.len() {
        return bad(last, "the last one is not the length of the keys");
    }
    if answers != last {
        return bad(last, "there must be as many places for answers as keys");
    }
    Ok(())
}
