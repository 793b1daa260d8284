//! The byte form of a router (docs/FORMAT-router.md).
//!
//! A router becomes bytes and bytes a router; no bytes make the reader panic. A router of slots, or of
//! ranges that came with a topology, is its topology and has the topology's bytes, so that whatever
//! hands out a topology hands out a router.
//!
//! Layout, little-endian, *varint* and *bytes* as in `topology/bytes.rs`:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic `ATOLLRTR` |
//! | 8 | 2 | format number: 1 |
//! | 10 | 2 | feature bits: 0 |
//! | 12 | 8 | n, length of the payload |
//! | 20 | n | payload |
//! | 20 + n | 4 | CRC-32C of all bytes before it |
//!
//! | payload | form |
//! |---|---|
//! | algorithm | u8, from 1 in the order of [`Algorithm::ALL`] |
//! | key encoding | u8: 0 binary, 1 decimal |
//! | locality | u8: 0 whole key, 1 tag, 2 prefix; then u16 prefix bytes, 0 unless prefix |
//! | hash | u8, from 1 in the order of [`HashKind::ALL`]; 0 if the algorithm has no choice |
//! | parameter | varint: virtual nodes (ring), table size (maglev), number of unnamed buckets (modulo, jump), else 0 |
//! | nodes | varint count; each: name as bytes, varint weight |
//! | splits | varint count; each as bytes; none unless range |

use super::{Router, RouterSpec};
use crate::routing::algorithm::Algorithm;
use crate::routing::error::RoutingError;
use crate::routing::hash::HashKind;
use crate::routing::key::KeyEncoding;
use crate::routing::locality::Locality;
use crate::routing::node::NodeSpec;
use crate::routing::topology::Topology;

const MAGIC: &[u8] = b"ATOLLRTR";
const TOPOLOGY_MAGIC: &[u8] = b"ATOLLTOP";
const FORMAT: u16 = 1;
const HEADER_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 4;

impl Router {
    /// The one byte form of this router, checksum included: equal routers have equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let spec = match self.spec() {
            Ok(spec) => spec,
            Err(topology) => return topology.to_bytes(),
        };
        let mut payload = Vec::new();
        write(&spec, &mut payload);
        let mut out = Vec::with_capacity(HEADER_BYTES + payload.len() + CHECKSUM_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        out.extend_from_slice(&payload);
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads what [`Self::to_bytes`] or [`Topology::to_bytes`] wrote. Building the router anew may
    /// take what its options ask for: memory for up to 16 Mi points or entries.
    ///
    /// # Errors
    /// [`RoutingError::DamagedRouter`], [`RoutingError::RouterFormat`] for a newer format, and those
    /// of [`Router::new`] and [`Topology::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Router, RoutingError> {
        if bytes.starts_with(TOPOLOGY_MAGIC) {
            return Ok(Router::from_topology(Topology::from_bytes(bytes)?));
        }
        let mut reader = Reader { bytes, at: 0 };
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(damaged(0, "neither a router nor a topology"));
        }
        let found = u16::from_le_bytes(reader.array()?);
        if found != FORMAT {
            let supported = FORMAT;
            return Err(RoutingError::RouterFormat { found, supported });
        }
        if u16::from_le_bytes(reader.array()?) != 0 {
            return Err(damaged(10, "unknown feature bits"));
        }
        let len = u64::from_le_bytes(reader.array()?);
        let rest = bytes.len().checked_sub(HEADER_BYTES + CHECKSUM_BYTES);
        if rest.map(|rest| rest as u64) != Some(len) {
            return Err(damaged(12, "the length does not match"));
        }
        let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if crc32c::crc32c(body).to_le_bytes() != checksum {
            return Err(damaged(body.len(), "the checksum does not match"));
        }
        reader.bytes = body;
        let spec = reader.spec()?;
        if reader.at != body.len() {
            return Err(damaged(reader.at, "bytes after the last split"));
        }
        let router = Router::new(&spec)?;
        if router.to_bytes() != bytes {
            return Err(damaged(HEADER_BYTES, "not the canonical form of this router"));
        }
        Ok(router)
    }
}

fn damaged(offset: usize, what: &'static str) -> RoutingError {
    RoutingError::DamagedRouter { offset, what }
}

fn write(spec: &RouterSpec, out: &mut Vec<u8>) {
    out.push(code(&Algorithm::ALL, &spec.algorithm));
    out.push(match spec.encoding {
        KeyEncoding::Binary => 0,
        KeyEncoding::Decimal => 1,
    });
    let (locality, prefix) = match spec.locality {
        Locality::None => (0, 0),
        Locality::Tag => (1, 0),
        Locality::Prefix(bytes) => (2, bytes),
    };
    out.push(locality);
    out.extend_from_slice(&prefix.to_le_bytes());
    out.push(spec.hash.map_or(0, |hash| code(&HashKind::ALL, &hash)));
    let parameter = spec.vnodes.or(spec.table_size).or(spec.buckets);
    varint(out, parameter.unwrap_or(0).into());
    varint(out, spec.nodes.len() as u64);
    for node in &spec.nodes {
        byte_string(out, node.name.as_bytes());
        varint(out, node.weight.into());
    }
    let splits = spec.splits.as_deref().unwrap_or(&[]);
    varint(out, splits.len() as u64);
    splits.iter().for_each(|split| byte_string(out, split));
}

/// Position in the list, from 1.
fn code<T: PartialEq>(all: &[T], one: &T) -> u8 {
    let at = all.iter().position(|other| other == one);
    at.expect("the list names all of them") as u8 + 1
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn byte_string(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], RoutingError> {
        let rest = &self.bytes[self.at..];
        let taken = rest
            .get(..len)
            .ok_or(damaged(self.at, "the router is cut short"))?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RoutingError> {
        Ok(self.take(N)?.try_into().expect("as many bytes were taken"))
    }

    fn byte(&mut self) -> Result<u8, RoutingError> {
        Ok(self.array::<1>()?[0])
    }

    fn number<T: TryFrom<u64>>(&mut self) -> Result<T, RoutingError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return T::try_from(value).map_err(|_| damaged(start, "a number that is too large"));
            }
        }
        Err(damaged(start, "a number of more than 64 bits"))
    }

    /// A count of things of at least one byte each, so that it cannot exceed what is left.
    fn count(&mut self) -> Result<usize, RoutingError> {
        let start = self.at;
        let count = self.number()?;
        if count > self.bytes.len() - self.at {
            return Err(damaged(start, "a count that exceeds the bytes left"));
        }
        Ok(count)
    }

    fn byte_string(&mut self) -> Result<Vec<u8>, RoutingError> {
        let len = self.count()?;
        Ok(self.take(len)?.to_vec())
    }

    fn spec(&mut self) -> Result<RouterSpec, RoutingError> {
        let one_of = |code: u8| usize::from(code).wrapping_sub(1);
        let at = self.at;
        let algorithm = Algorithm::ALL.get(one_of(self.byte()?)).copied();
        let algorithm = algorithm.ok_or(damaged(at, "an unknown algorithm"))?;
        let encoding = match self.byte()? {
            0 => KeyEncoding::Binary,
            1 => KeyEncoding::Decimal,
            _ => return Err(damaged(at + 1, "an unknown key encoding")),
        };
        let locality = match (self.byte()?, u16::from_le_bytes(self.array()?)) {
            (0, 0) => Locality::None,
            (1, 0) => Locality::Tag,
            (2, bytes) => Locality::Prefix(bytes),
            _ => return Err(damaged(at + 2, "an unknown locality rule")),
        };
        let hash = match self.byte()? {
            0 => None,
            code => Some(
                *HashKind::ALL
                    .get(one_of(code))
                    .ok_or(damaged(at + 5, "an unknown hash"))?,
            ),
        };
        let parameter: u32 = self.number()?;
        let nodes = (0..self.count()?)
            .map(|_| self.node())
            .collect::<Result<Vec<_>, _>>()?;
        let splits = (0..self.count()?)
            .map(|_| self.byte_string())
            .collect::<Result<Vec<_>, _>>()?;
        let numbered = matches!(algorithm, Algorithm::Modulo | Algorithm::Jump) && nodes.is_empty();
        Ok(RouterSpec {
            algorithm,
            nodes,
            buckets: numbered.then_some(parameter),
            hash,
            encoding,
            locality,
            vnodes: (algorithm == Algorithm::Ring).then_some(parameter),
            table_size: (algorithm == Algorithm::Maglev).then_some(parameter),
            slots: None,
            replicas: None,
            splits: (algorithm == Algorithm::Range).then_some(splits),
        })
    }

    fn node(&mut self) -> Result<NodeSpec, RoutingError> {
        let start = self.at;
        let name = String::from_utf8(self.byte_string()?);
        let name = name.map_err(|_| damaged(start, "a name that is not UTF-8"))?;
        Ok(NodeSpec::new(name).with_weight(self.number()?))
    }
}
