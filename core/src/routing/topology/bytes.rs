//! A topology as bytes: the form that is stored, sent and read by every language.
//!
//! Integers are little-endian; *varint* is unsigned LEB128 in its shortest form; *bytes* is a
//! varint length and the bytes. A topology has exactly one byte form.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic `ATOLLTOP` |
//! | 8 | 2 | format number, 1 |
//! | 10 | 2 | feature bits: 1 racks, 2 column groups, 4 slots on their way; a reader refuses others |
//! | 12 | 8 | length n of the payload |
//! | 20 | n | payload |
//! | 20+n | 4 | CRC-32C of all bytes before it |
//!
//! Reading: magic, format and feature bits are checked first, then length and checksum, then the
//! payload is parsed, its invariants are checked, and encoding it again must give the same bytes.
//! Arbitrary bytes give an error, never a panic, and never an allocation larger than they are
//! (times a small constant; slot tables are limited to [`MAX_PLACES`] entries first). A feature bit
//! is set exactly when its section says something, so a topology without racks, groups and moves
//! has the bytes it always had.
//!
//! | payload field | form |
//! |---|---|
//! | version | varint |
//! | hash | u8: 1 xxh3, 2 xxh64, 3 sha1, 4 md5, 5 crc32, 6 murmur3 |
//! | seed | u64 |
//! | key encoding | u8: 0 binary, 1 decimal |
//! | locality | u8: 0 none, 1 tag, 2 prefix; then u16 prefix bytes, 0 unless prefix |
//! | replicas wanted | u8 |
//! | virtual nodes | varint |
//! | slots S | varint |
//! | partitioning | u8: 0 hash, 1 range |
//! | if range: domain | u8: bit 0 lower bound present, bit 1 upper; the bounds present, as bytes |
//! | if range: splits | varint count k; k × bytes, ascending; k+1 × varint slot of each range |
//! | members | varint count; each: name bytes, varint weight, u8 state (0 active, 1 draining, 2 removed), zone bytes (empty: none) |
//! | shards | varint count; each, by id: u8 state (0 active, 1 retired), u8 replica count, varint member index each |
//! | slots | runs until S slots are covered: varint slots, varint shard, varint floor; neighbouring runs differ |
//! | if racks | for each member: rack bytes (empty: none) |
//! | if groups | varint count g; each: name bytes, varint count of columns, columns as bytes, ascending; then for each shard: varint number of its group, 0 is the main one; then g slot tables as above, by group |
//! | if moves | varint count of runs; each: varint slots between it and the end of the one before, varint slots, varint shard they go to, u8 phase (0 copying, 1 frozen); the slot tables count as one row |

use std::collections::BTreeMap;

use super::groups::{MAX_COLUMNS, MAX_GROUPS, MAX_PLACES};
use super::{
    ColumnGroup, GroupId, MAX_SLOTS, Member, MemberState, MovePhase, Moving, Partitioning, Shard, ShardState,
    Topology,
};
use crate::ids::{ShardId, SlotId};
use crate::routing::error::RoutingError;
use crate::routing::hash::HashKind;
use crate::routing::key::KeyEncoding;
use crate::routing::locality::Locality;
use crate::routing::node::NodeSpec;
use crate::routing::range::Domain;

const MAGIC: [u8; 8] = *b"ATOLLTOP";
const FORMAT: u16 = 1;
const RACKS: u16 = 1;
const GROUPS: u16 = 2;
const MOVES: u16 = 4;
const HEADER_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 4;

impl Topology {
    /// The one byte form of this topology, checksum included.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        self.write_payload(&mut payload);
        let mut out = Vec::with_capacity(HEADER_BYTES + payload.len() + CHECKSUM_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.features().to_le_bytes());
        out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        out.extend_from_slice(&payload);
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`RoutingError::Damaged`] with the offset, [`RoutingError::Checksum`],
    /// [`RoutingError::Format`] for a newer format, and the errors of the invariants:
    /// [`RoutingError::Inconsistent`] and those of [`Topology::create`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Topology, RoutingError> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.array()? != MAGIC {
            return Err(RoutingError::Damaged {
                offset: 0,
                what: "not a topology",
            });
        }
        let found = u16::from_le_bytes(reader.array()?);
        if found != FORMAT {
            return Err(RoutingError::Format {
                found,
                supported: FORMAT,
            });
        }
        let features = u16::from_le_bytes(reader.array()?);
        if features & !(RACKS | GROUPS | MOVES) != 0 {
            return Err(RoutingError::Damaged {
                offset: 10,
                what: "unknown feature bits",
            });
        }
        let len = u64::from_le_bytes(reader.array()?);
        let rest = bytes.len().saturating_sub(HEADER_BYTES + CHECKSUM_BYTES);
        if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || len != rest as u64 {
            return Err(RoutingError::Damaged {
                offset: 12,
                what: "the length does not match",
            });
        }
        let (body, checksum) = bytes.split_at(HEADER_BYTES + rest);
        let found = u32::from_le_bytes(checksum.try_into().expect("four bytes were left over"));
        let computed = crc32c::crc32c(body);
        if found != computed {
            return Err(RoutingError::Checksum { found, computed });
        }
        let mut reader = Reader {
            bytes: body,
            at: HEADER_BYTES,
        };
        let topology = reader.topology(features)?;
        if reader.at != body.len() {
            return Err(reader.damaged("bytes after the last slot"));
        }
        topology.check()?;
        if topology.to_bytes() != bytes {
            let what = "not the canonical form of this topology";
            return Err(RoutingError::Damaged {
                offset: HEADER_BYTES,
                what,
            });
        }
        Ok(topology)
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        varint(out, self.version);
        out.push(hash_code(self.hash));
        out.extend_from_slice(&self.seed.to_le_bytes());
        out.push(match self.encoding {
            KeyEncoding::Binary => 0,
            KeyEncoding::Decimal => 1,
        });
        let (locality, prefix) = match self.locality {
            Locality::None => (0, 0),
            Locality::Tag => (1, 0),
            Locality::Prefix(bytes) => (2, bytes),
        };
        out.push(locality);
        out.extend_from_slice(&prefix.to_le_bytes());
        out.push(self.replicas);
        varint(out, self.vnodes.into());
        varint(out, self.slots().into());
        self.write_partitioning(out);
        varint(out, self.members.len() as u64);
        for member in &self.members {
            byte_string(out, member.name.as_bytes());
            varint(out, member.weight.into());
            out.push(match member.state {
                MemberState::Active => 0,
                MemberState::Draining => 1,
                MemberState::Removed => 2,
            });
            byte_string(out, member.zone.as_deref().unwrap_or("").as_bytes());
        }
        varint(out, self.shards.len() as u64);
        for shard in &self.shards {
            out.push(match shard.state {
                ShardState::Active => 0,
                ShardState::Retired => 1,
            });
            out.push(shard.replicas.len() as u8);
            shard
                .replicas
                .iter()
                .for_each(|&replica| varint(out, replica.into()));
        }
        self.write_table(0, out);
        if self.features() & RACKS != 0 {
            for member in &self.members {
                byte_string(out, member.rack.as_deref().unwrap_or("").as_bytes());
            }
        }
        if self.features() & GROUPS != 0 {
            self.write_groups(out);
        }
        if self.features() & MOVES != 0 {
            let runs = self.moving_runs();
            varint(out, runs.len() as u64);
            let mut end = 0;
            for run in runs {
                varint(out, (run.first - end).into());
                varint(out, run.slots.into());
                varint(out, run.moving.to.0.into());
                out.push(match run.moving.phase {
                    MovePhase::Copying => 0,
                    MovePhase::Frozen => 1,
                });
                end = run.first + run.slots;
            }
        }
    }

    fn features(&self) -> u16 {
        let racks = self.members.iter().any(|member| member.rack.is_some());
        let bit = |set: bool, bit: u16| if set { bit } else { 0 };
        bit(racks, RACKS) | bit(!self.groups.is_empty(), GROUPS) | bit(!self.moving.is_empty(), MOVES)
    }

    fn write_table(&self, group: GroupId, out: &mut Vec<u8>) {
        for run in self.runs(group) {
            varint(out, run.slots.into());
            varint(out, run.shard.0.into());
            varint(out, run.floor);
        }
    }

    fn write_groups(&self, out: &mut Vec<u8>) {
        varint(out, self.groups.len() as u64);
        for group in &self.groups {
            byte_string(out, group.name.as_bytes());
            varint(out, group.columns.len() as u64);
            group
                .columns
                .iter()
                .for_each(|column| byte_string(out, column.as_bytes()));
        }
        self.shards
            .iter()
            .for_each(|shard| varint(out, shard.group.into()));
        (1..self.column_groups()).for_each(|group| self.write_table(group as GroupId, out));
    }

    fn write_partitioning(&self, out: &mut Vec<u8>) {
        let Partitioning::Range {
            splits,
            slot_of_range,
            domain,
        } = &self.partitioning
        else {
            out.push(0);
            return;
        };
        out.push(1);
        let (lower, upper) = (&domain.lower, &domain.upper);
        out.push(u8::from(lower.is_some()) | u8::from(upper.is_some()) << 1);
        [lower, upper]
            .into_iter()
            .flatten()
            .for_each(|bound| byte_string(out, bound));
        varint(out, splits.len() as u64);
        splits.iter().for_each(|split| byte_string(out, split));
        slot_of_range.iter().for_each(|&slot| varint(out, slot.into()));
    }

    /// Neighbouring slots of one shard and floor, in the table of one group.
    pub(super) fn runs(&self, group: GroupId) -> Vec<Run> {
        let table = self.place(group, SlotId(0))..self.place(group + 1, SlotId(0));
        let rows = self.owners[table.clone()].iter().zip(&self.floors[table]);
        let mut runs: Vec<Run> = Vec::new();
        for (slot, (&shard, &floor)) in rows.enumerate() {
            match runs.last_mut() {
                Some(run) if run.shard == shard && run.floor == floor => run.slots += 1,
                _ => runs.push(Run {
                    first: slot as u32,
                    slots: 1,
                    shard,
                    floor,
                }),
            }
        }
        runs
    }

    /// Neighbouring places in the slot tables that go to one shard and are in one phase.
    pub(super) fn moving_runs(&self) -> Vec<MovingRun> {
        let mut runs: Vec<MovingRun> = Vec::new();
        for (&place, &moving) in &self.moving {
            match runs.last_mut() {
                Some(run) if run.first + run.slots == place && run.moving == moving => run.slots += 1,
                _ => runs.push(MovingRun {
                    first: place,
                    slots: 1,
                    moving,
                }),
            }
        }
        runs
    }
}

/// Neighbouring slots with one owner and floor.
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) slots: u32,
    pub(super) shard: ShardId,
    pub(super) floor: u64,
}

/// Neighbouring places that go the same way.
pub(super) struct MovingRun {
    pub(super) first: u32,
    pub(super) slots: u32,
    pub(super) moving: Moving,
}

fn hash_code(hash: HashKind) -> u8 {
    let at = HashKind::ALL.iter().position(|&kind| kind == hash);
    at.expect("ALL names every kind") as u8 + 1
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
    fn damaged(&self, what: &'static str) -> RoutingError {
        RoutingError::Damaged {
            offset: self.at,
            what,
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], RoutingError> {
        let rest = &self.bytes[self.at..];
        let taken = rest
            .get(..len)
            .ok_or_else(|| self.damaged("the topology is cut short"))?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RoutingError> {
        Ok(self.take(N)?.try_into().expect("as many bytes were taken"))
    }

    fn byte(&mut self) -> Result<u8, RoutingError> {
        Ok(self.array::<1>()?[0])
    }

    fn varint(&mut self) -> Result<u64, RoutingError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number of more than 64 bits"))
    }

    fn number<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, RoutingError> {
        let value = self.varint()?;
        value.try_into().map_err(|_| self.damaged(what))
    }

    /// A count of things of at least one byte each, so that it cannot exceed what is left.
    fn count(&mut self) -> Result<usize, RoutingError> {
        let count = self.number("a count that is too large")?;
        if count > self.bytes.len() - self.at {
            return Err(self.damaged("a count that exceeds the bytes left"));
        }
        Ok(count)
    }

    fn byte_string(&mut self) -> Result<Vec<u8>, RoutingError> {
        let len = self.count()?;
        Ok(self.take(len)?.to_vec())
    }

    fn text(&mut self) -> Result<String, RoutingError> {
        let bytes = self.byte_string()?;
        String::from_utf8(bytes).map_err(|_| self.damaged("a name that is not UTF-8"))
    }

    fn topology(&mut self, features: u16) -> Result<Topology, RoutingError> {
        let version = self.varint()?;
        let code = usize::from(self.byte()?);
        let hash = code
            .checked_sub(1)
            .and_then(|code| HashKind::ALL.get(code).copied());
        let hash = hash.ok_or_else(|| self.damaged("an unknown hash"))?;
        let seed = u64::from_le_bytes(self.array()?);
        let encoding = match self.byte()? {
            0 => KeyEncoding::Binary,
            1 => KeyEncoding::Decimal,
            _ => return Err(self.damaged("an unknown key encoding")),
        };
        let locality = (self.byte()?, u16::from_le_bytes(self.array()?));
        let locality = match locality {
            (0, 0) => Locality::None,
            (1, 0) => Locality::Tag,
            (2, bytes) => Locality::Prefix(bytes),
            _ => return Err(self.damaged("an unknown locality rule")),
        };
        let replicas = self.byte()?;
        let vnodes = self.number("too many virtual nodes")?;
        let slots: u32 = self.number("too many slots")?;
        if slots > MAX_SLOTS {
            return Err(RoutingError::SlotCount {
                slots,
                max: MAX_SLOTS,
            });
        }
        let partitioning = self.partitioning(slots)?;
        let mut members = self.members()?;
        let mut shards = self.shards()?;
        let (mut owners, mut floors) = (Vec::new(), Vec::new());
        self.table(slots, &mut owners, &mut floors)?;
        if features & RACKS != 0 {
            for member in &mut members {
                member.rack = Some(self.text()?).filter(|rack| !rack.is_empty());
            }
        }
        let mut groups = Vec::new();
        if features & GROUPS != 0 {
            groups = self.groups(slots)?;
            for shard in &mut shards {
                shard.group = self.number("a column group that does not exist")?;
            }
            for _ in &groups {
                self.table(slots, &mut owners, &mut floors)?;
            }
        }
        let mut moving = BTreeMap::new();
        if features & MOVES != 0 {
            self.moving(owners.len(), &mut moving)?;
        }
        Ok(Topology {
            version,
            members,
            shards,
            slots,
            owners,
            floors,
            groups,
            moving,
            partitioning,
            hash,
            seed,
            encoding,
            locality,
            replicas,
            vnodes,
        })
    }

    /// One slot table, appended to those read before.
    fn table(
        &mut self,
        slots: u32,
        owners: &mut Vec<ShardId>,
        floors: &mut Vec<u64>,
    ) -> Result<(), RoutingError> {
        let end = owners.len() + slots as usize;
        while owners.len() < end {
            let run: usize = self.number("a run that is too long")?;
            if run == 0 || run > end - owners.len() {
                return Err(self.damaged("a run that is empty or too long"));
            }
            let shard = ShardId(self.number("a shard that does not exist")?);
            let floor = self.varint()?;
            owners.extend(std::iter::repeat_n(shard, run));
            floors.extend(std::iter::repeat_n(floor, run));
        }
        Ok(())
    }

    fn groups(&mut self, slots: u32) -> Result<Vec<ColumnGroup>, RoutingError> {
        let count = self.count()?;
        if count >= MAX_GROUPS || (count + 1) * slots as usize > MAX_PLACES {
            return Err(self.damaged("too many column groups"));
        }
        let mut groups = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.text()?;
            let columns = self.count()?;
            if columns > MAX_COLUMNS {
                return Err(self.damaged("too many columns"));
            }
            let columns = (0..columns).map(|_| self.text()).collect::<Result<_, _>>()?;
            groups.push(ColumnGroup { name, columns });
        }
        Ok(groups)
    }

    fn moving(&mut self, places: usize, moving: &mut BTreeMap<u32, Moving>) -> Result<(), RoutingError> {
        let mut at: usize = 0;
        for _ in 0..self.count()? {
            let gap: usize = self.number("a gap that is too long")?;
            let run: usize = self.number("a run that is too long")?;
            if gap > places - at || run == 0 || run > places - at - gap {
                return Err(self.damaged("a run of moves that is empty or too long"));
            }
            let to = ShardId(self.number("a shard that does not exist")?);
            let phase = match self.byte()? {
                0 => MovePhase::Copying,
                1 => MovePhase::Frozen,
                _ => return Err(self.damaged("an unknown phase of a move")),
            };
            let first = (at + gap) as u32;
            moving.extend((first..first + run as u32).map(|place| (place, Moving { to, phase })));
            at += gap + run;
        }
        Ok(())
    }

    fn partitioning(&mut self, slots: u32) -> Result<Partitioning, RoutingError> {
        match self.byte()? {
            0 => return Ok(Partitioning::Hash { slots }),
            1 => {}
            _ => return Err(self.damaged("an unknown partitioning")),
        }
        let bounds = self.byte()?;
        if bounds > 3 {
            return Err(self.damaged("unknown bounds of the domain"));
        }
        let lower = if bounds & 1 != 0 {
            Some(self.byte_string()?)
        } else {
            None
        };
        let upper = if bounds & 2 != 0 {
            Some(self.byte_string()?)
        } else {
            None
        };
        let count = self.count()?;
        let splits = (0..count).map(|_| self.byte_string()).collect::<Result<_, _>>()?;
        let slot = |_| self.number("a slot that does not exist");
        let slot_of_range = (0..=count).map(slot).collect::<Result<_, _>>()?;
        Ok(Partitioning::Range {
            splits,
            slot_of_range,
            domain: Domain { lower, upper },
        })
    }

    fn members(&mut self) -> Result<Vec<Member>, RoutingError> {
        let count = self.count()?;
        let mut members = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            let name = self.text()?;
            let weight = self.number("a weight of more than 32 bits")?;
            let state = match self.byte()? {
                0 => MemberState::Active,
                1 => MemberState::Draining,
                2 => MemberState::Removed,
                _ => return Err(self.damaged("an unknown state of a member")),
            };
            let zone = Some(self.text()?).filter(|zone| !zone.is_empty());
            let member = Member::new(&NodeSpec {
                name,
                weight,
                zone,
                rack: None,
            });
            members.push(Member { state, ..member });
        }
        Ok(members)
    }

    fn shards(&mut self) -> Result<Vec<Shard>, RoutingError> {
        let count = self.count()?;
        let mut shards = Vec::with_capacity(count.min(64));
        for id in 0..count {
            let state = match self.byte()? {
                0 => ShardState::Active,
                1 => ShardState::Retired,
                _ => return Err(self.damaged("an unknown state of a shard")),
            };
            let replicas = self.byte()?;
            let replica = |_| self.number("a member that does not exist");
            let replicas = (0..replicas).map(replica).collect::<Result<_, _>>()?;
            shards.push(Shard {
                id: ShardId(id as u32),
                replicas,
                state,
                group: 0,
            });
        }
        Ok(shards)
    }
}
