//! A topology as JSON, for people and for other tools.
//!
//! Says the same as the byte form, with names in place of indexes and runs of slots in place of
//! single ones. Keys that are printable text appear as `{"text": …}`, others as `{"hex": …}`.
//! Unknown fields are refused: a typing error in a hand-written topology must not be passed over.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::bytes::Run;
use super::groups::{MAX_GROUPS, MAX_PLACES};
use super::{
    ColumnGroup, GroupId, MAX_SLOTS, Member, MemberState, MovePhase, Moving, Partitioning, Shard, ShardState,
    Topology,
};
use crate::ids::ShardId;
use crate::routing::error::RoutingError;
use crate::routing::hash::HashKind;
use crate::routing::key::KeyEncoding;
use crate::routing::node::NodeSpec;
use crate::routing::range::Domain;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TopologyJson {
    version: u64,
    hash: HashKind,
    seed: u64,
    encoding: KeyEncoding,
    locality: String,
    replicas: u8,
    vnodes: u32,
    slots: u32,
    partitioning: PartitioningJson,
    members: Vec<MemberJson>,
    shards: Vec<ShardJson>,
    owners: Vec<RunJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    column_groups: Vec<GroupJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    moving: Vec<MovingJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupJson {
    name: String,
    columns: Vec<String>,
    owners: Vec<RunJson>,
}

/// `slots` as in [`RunJson`]; runs ascend by group and slot.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MovingJson {
    slots: String,
    #[serde(default, skip_serializing_if = "is_main")]
    group: GroupId,
    to: ShardId,
    phase: MovePhase,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum PartitioningJson {
    Hash,
    Range {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lower: Option<KeyJson>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upper: Option<KeyJson>,
        splits: Vec<KeyJson>,
        slot_of_range: Vec<u32>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeyJson {
    Text(String),
    Hex(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberJson {
    name: String,
    weight: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rack: Option<String>,
    state: MemberState,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShardJson {
    id: ShardId,
    replicas: Vec<String>,
    state: ShardState,
    #[serde(default, skip_serializing_if = "is_main")]
    group: GroupId,
}

/// `slots` is the inclusive range of a run, such as `"0-255"`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunJson {
    slots: String,
    shard: ShardId,
    #[serde(default, skip_serializing_if = "is_zero")]
    floor: u64,
}

fn is_main(group: &GroupId) -> bool {
    *group == 0
}

fn is_zero(floor: &u64) -> bool {
    *floor == 0
}

impl Topology {
    /// This topology as indented JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let name = |&index: &u16| self.members[usize::from(index)].name.clone();
        let json = TopologyJson {
            version: self.version,
            hash: self.hash,
            seed: self.seed,
            encoding: self.encoding,
            locality: self.locality.to_string(),
            replicas: self.replicas,
            vnodes: self.vnodes,
            slots: self.slots(),
            partitioning: partitioning_to_json(&self.partitioning),
            members: self.members.iter().map(member_to_json).collect(),
            shards: (self.shards.iter())
                .map(|shard| ShardJson {
                    id: shard.id,
                    replicas: shard.replicas.iter().map(name).collect(),
                    state: shard.state,
                    group: shard.group,
                })
                .collect(),
            owners: self.table_to_json(0),
            column_groups: (1..)
                .zip(&self.groups)
                .map(|(number, group)| self.group_to_json(number, group))
                .collect(),
            moving: self.moving_to_json(),
        };
        serde_json::to_string_pretty(&json).expect("strings and numbers always serialize")
    }

    fn table_to_json(&self, group: GroupId) -> Vec<RunJson> {
        let run = |run: Run| RunJson {
            slots: format!("{}-{}", run.first, run.first + run.slots - 1),
            shard: run.shard,
            floor: run.floor,
        };
        self.runs(group).into_iter().map(run).collect()
    }

    fn group_to_json(&self, number: GroupId, group: &ColumnGroup) -> GroupJson {
        GroupJson {
            name: group.name.clone(),
            columns: group.columns.clone(),
            owners: self.table_to_json(number),
        }
    }

    /// Runs of moves; one that reaches into the next group's table is cut where the tables meet.
    fn moving_to_json(&self) -> Vec<MovingJson> {
        let mut runs = Vec::new();
        for run in self.moving_runs() {
            let (mut first, end) = (run.first, run.first + run.slots);
            while first < end {
                let group = first / self.slots;
                let last = end.min((group + 1) * self.slots) - 1;
                runs.push(MovingJson {
                    slots: format!("{}-{}", first % self.slots, last % self.slots),
                    group: group as GroupId,
                    to: run.moving.to,
                    phase: run.moving.phase,
                });
                first = last + 1;
            }
        }
        runs
    }

    /// [`Self::from_json`] of bytes as they come from a file or a socket.
    ///
    /// # Errors
    /// As [`Self::from_json`]; [`RoutingError::Json`] also for bytes that are not UTF-8.
    pub fn from_json_bytes(bytes: &[u8]) -> Result<Topology, RoutingError> {
        Topology::read_json(serde_json::from_slice(bytes)?)
    }

    /// Reads what [`Self::to_json`] wrote, or what somebody wrote like it.
    ///
    /// # Errors
    /// [`RoutingError::Json`], [`RoutingError::UnknownNode`] for a replica that is no member,
    /// [`RoutingError::UnknownLocality`], and the errors of the invariants as in
    /// [`Self::from_bytes`].
    pub fn from_json(text: &str) -> Result<Topology, RoutingError> {
        Topology::read_json(serde_json::from_str(text)?)
    }

    fn read_json(json: TopologyJson) -> Result<Topology, RoutingError> {
        if json.slots == 0 || json.slots > MAX_SLOTS {
            return Err(RoutingError::SlotCount {
                slots: json.slots,
                max: MAX_SLOTS,
            });
        }
        let members: Vec<Member> = json.members.into_iter().map(member_from_json).collect();
        // Of two members with one name the check below complains, whichever stands here.
        let indexes: HashMap<&str, u16> = (0..u16::MAX)
            .zip(&members)
            .map(|(at, member)| (member.name.as_str(), at))
            .collect();
        let index = |name: String| {
            let at = indexes.get(name.as_str()).copied();
            at.ok_or(RoutingError::UnknownNode { name })
        };
        let mut shards = Vec::with_capacity(json.shards.len());
        for shard in json.shards {
            let replicas = shard.replicas.into_iter().map(index).collect::<Result<_, _>>()?;
            shards.push(Shard {
                id: shard.id,
                replicas,
                state: shard.state,
                group: shard.group,
            });
        }
        let (mut owners, mut floors) = (Vec::new(), Vec::new());
        expand(&json.owners, json.slots, &mut owners, &mut floors)?;
        if json.column_groups.len() >= MAX_GROUPS
            || (json.column_groups.len() + 1) * json.slots as usize > MAX_PLACES
        {
            let what = format!(
                "{} column groups of {} slots",
                json.column_groups.len(),
                json.slots
            );
            return Err(RoutingError::Inconsistent { what });
        }
        let mut groups = Vec::with_capacity(json.column_groups.len());
        for group in json.column_groups {
            expand(&group.owners, json.slots, &mut owners, &mut floors)?;
            groups.push(ColumnGroup {
                name: group.name,
                columns: group.columns,
            });
        }
        let moving = read_moving(&json.moving, json.slots, groups.len())?;
        let topology = Topology {
            version: json.version,
            members,
            shards,
            slots: json.slots,
            owners,
            floors,
            groups,
            moving,
            partitioning: partitioning_from_json(json.partitioning, json.slots)?,
            hash: json.hash,
            seed: json.seed,
            encoding: json.encoding,
            locality: json.locality.parse()?,
            replicas: json.replicas,
            vnodes: json.vnodes,
        };
        topology.check()?;
        Ok(topology)
    }
}

/// First and last slot of a run such as `"0-255"`.
fn parse_run(run: &str) -> Option<(u32, u32)> {
    let (first, last) = run.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Appends owners and floors of all slots; the runs must cover them in order, without gaps.
fn expand(
    runs: &[RunJson],
    slots: u32,
    owners: &mut Vec<ShardId>,
    floors: &mut Vec<u64>,
) -> Result<(), RoutingError> {
    let begin = owners.len();
    for run in runs {
        let next = (owners.len() - begin) as u32;
        let Some((_, last)) = parse_run(&run.slots).filter(|&(a, b)| a == next && b >= a && b < slots) else {
            let what = format!("slots {:?}: a run that begins at {next} was expected", run.slots);
            return Err(RoutingError::Inconsistent { what });
        };
        owners.resize(begin + last as usize + 1, run.shard);
        floors.resize(begin + last as usize + 1, run.floor);
    }
    let covered = owners.len() - begin;
    if covered != slots as usize {
        let what = format!("{covered} of {slots} slots have an owner");
        return Err(RoutingError::Inconsistent { what });
    }
    Ok(())
}

/// Slots on their way, by their place in the tables of `groups` groups beside the main one.
fn read_moving(
    runs: &[MovingJson],
    slots: u32,
    groups: usize,
) -> Result<BTreeMap<u32, Moving>, RoutingError> {
    let mut moving = BTreeMap::new();
    for run in runs {
        let bounds = parse_run(&run.slots).filter(|&(a, b)| a <= b && b < slots);
        let Some((first, last)) = bounds.filter(|_| usize::from(run.group) <= groups) else {
            let what = format!("no slots {:?} in column group {} can move", run.slots, run.group);
            return Err(RoutingError::Inconsistent { what });
        };
        let table = u32::from(run.group) * slots;
        for place in table + first..=table + last {
            let (to, phase) = (run.to, run.phase);
            if moving.insert(place, Moving { to, phase }).is_some() {
                let what = format!("slot {} is on its way twice", place - table);
                return Err(RoutingError::Inconsistent { what });
            }
        }
    }
    Ok(moving)
}

fn member_to_json(member: &Member) -> MemberJson {
    MemberJson {
        name: member.name.clone(),
        weight: member.weight,
        zone: member.zone.clone(),
        rack: member.rack.clone(),
        state: member.state,
    }
}

fn member_from_json(json: MemberJson) -> Member {
    let member = Member::new(&NodeSpec {
        name: json.name,
        weight: json.weight,
        zone: json.zone,
        rack: json.rack,
    });
    Member {
        state: json.state,
        ..member
    }
}

fn partitioning_to_json(partitioning: &Partitioning) -> PartitioningJson {
    match partitioning {
        Partitioning::Hash { .. } => PartitioningJson::Hash,
        Partitioning::Range {
            splits,
            slot_of_range,
            domain,
        } => PartitioningJson::Range {
            lower: domain.lower.as_deref().map(key_to_json),
            upper: domain.upper.as_deref().map(key_to_json),
            splits: splits.iter().map(|split| key_to_json(split)).collect(),
            slot_of_range: slot_of_range.clone(),
        },
    }
}

fn partitioning_from_json(json: PartitioningJson, slots: u32) -> Result<Partitioning, RoutingError> {
    Ok(match json {
        PartitioningJson::Hash => Partitioning::Hash { slots },
        PartitioningJson::Range {
            lower,
            upper,
            splits,
            slot_of_range,
        } => Partitioning::Range {
            splits: splits.into_iter().map(key_from_json).collect::<Result<_, _>>()?,
            slot_of_range,
            domain: Domain {
                lower: lower.map(key_from_json).transpose()?,
                upper: upper.map(key_from_json).transpose()?,
            },
        },
    })
}

fn key_to_json(key: &[u8]) -> KeyJson {
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => KeyJson::Text(text.into()),
        _ => KeyJson::Hex(key.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

fn key_from_json(json: KeyJson) -> Result<Vec<u8>, RoutingError> {
    let hex = match json {
        KeyJson::Text(text) => return Ok(text.into_bytes()),
        KeyJson::Hex(hex) => hex,
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes = hex.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>();
    bytes.ok_or_else(|| RoutingError::Inconsistent {
        what: format!("{hex:?} is not hexadecimal"),
    })
}
