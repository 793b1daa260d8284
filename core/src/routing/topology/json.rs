//! A topology as JSON, for people and for other tools.
//!
//! Says the same as the byte form, with names in place of indexes and runs of slots in place of
//! single ones. Keys that are printable text appear as `{"text": …}`, others as `{"hex": …}`.
//! Unknown fields are refused: a typing error in a hand-written topology must not be passed over.

use serde::{Deserialize, Serialize};

use super::{MAX_SLOTS, Member, MemberState, Partitioning, Shard, ShardState, Topology};
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
    state: MemberState,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShardJson {
    id: ShardId,
    replicas: Vec<String>,
    state: ShardState,
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
                })
                .collect(),
            owners: (self.runs().iter())
                .map(|run| RunJson {
                    slots: format!("{}-{}", run.first, run.first + run.slots - 1),
                    shard: run.shard,
                    floor: run.floor,
                })
                .collect(),
        };
        serde_json::to_string_pretty(&json).expect("strings and numbers always serialize")
    }

    /// Reads what [`Self::to_json`] wrote, or what somebody wrote like it.
    ///
    /// # Errors
    /// [`RoutingError::Json`], [`RoutingError::UnknownNode`] for a replica that is no member,
    /// [`RoutingError::UnknownLocality`], and the errors of the invariants as in
    /// [`Self::from_bytes`].
    pub fn from_json(text: &str) -> Result<Topology, RoutingError> {
        let json: TopologyJson = serde_json::from_str(text)?;
        if json.slots == 0 || json.slots > MAX_SLOTS {
            return Err(RoutingError::SlotCount {
                slots: json.slots,
                max: MAX_SLOTS,
            });
        }
        let members: Vec<Member> = json.members.into_iter().map(member_from_json).collect();
        let index = |name: String| {
            let at = members
                .iter()
                .take(usize::from(u16::MAX))
                .position(|m| m.name == name);
            at.map(|at| at as u16).ok_or(RoutingError::UnknownNode { name })
        };
        let mut shards = Vec::with_capacity(json.shards.len());
        for shard in json.shards {
            let replicas = shard.replicas.into_iter().map(index).collect::<Result<_, _>>()?;
            shards.push(Shard {
                id: shard.id,
                replicas,
                state: shard.state,
            });
        }
        let (owners, floors) = expand(&json.owners, json.slots)?;
        let topology = Topology {
            version: json.version,
            members,
            shards,
            owners,
            floors,
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

/// Owners and floors of all slots; the runs must cover them in order, without gaps.
fn expand(runs: &[RunJson], slots: u32) -> Result<(Vec<ShardId>, Vec<u64>), RoutingError> {
    let (mut owners, mut floors) = (Vec::new(), Vec::new());
    for run in runs {
        let bounds = run.slots.split_once('-');
        let parsed = bounds.and_then(|(a, b)| Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?)));
        let next = owners.len() as u32;
        let Some((_, last)) = parsed.filter(|&(a, b)| a == next && b >= a && b < slots) else {
            let what = format!("slots {:?}: a run that begins at {next} was expected", run.slots);
            return Err(RoutingError::Inconsistent { what });
        };
        owners.resize(last as usize + 1, run.shard);
        floors.resize(last as usize + 1, run.floor);
    }
    if owners.len() != slots as usize {
        let what = format!("{} of {slots} slots have an owner", owners.len());
        return Err(RoutingError::Inconsistent { what });
    }
    Ok((owners, floors))
}

fn member_to_json(member: &Member) -> MemberJson {
    MemberJson {
        name: member.name.clone(),
        weight: member.weight,
        zone: member.zone.clone(),
        state: member.state,
    }
}

fn member_from_json(json: MemberJson) -> Member {
    let member = Member::new(&NodeSpec {
        name: json.name,
        weight: json.weight,
        zone: json.zone,
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
