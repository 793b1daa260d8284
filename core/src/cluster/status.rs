//! One look at a cluster.
//!
//! In: an open cluster. Out: nodes, shards, replicas and how far they are, as plain data. Reads
//! no keys and waits for no disk.

use std::collections::BTreeMap;

use serde::Serialize;

use super::group::{Copy, Group, GroupState};
use super::{Cluster, ClusterError};
use crate::ids::{Epoch, Lsn, ShardId};
use crate::replication::Replica;
use crate::routing::{Change, MemberState, ShardState, Topology};

/// A cluster at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterStatus {
    /// Name of the cluster.
    pub id: String,
    /// Version of the topology.
    pub version: u64,
    /// Number of slots.
    pub slots: u32,
    /// Copies wanted of every shard.
    pub replicas: u8,
    /// Nodes by name.
    pub nodes: Vec<NodeStatus>,
    /// Shards that own slots or are about to.
    pub shards: Vec<ShardStatus>,
    /// A change of members that is under way.
    pub open_move: Option<OpenMove>,
    /// Shards that take no writes at the moment.
    pub unavailable: usize,
    /// What the nodes cannot give, in words.
    pub shortfalls: Vec<String>,
}

/// One node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its failure domain.
    pub zone: Option<String>,
    /// Its share relative to the others.
    pub weight: u32,
    /// Whether it holds its share, is on its way out, or is gone.
    pub member: MemberState,
    /// Whether it is up.
    pub up: bool,
    /// Shards it leads.
    pub primaries: usize,
    /// Shards it holds a copy of.
    pub replicas: usize,
    /// Slots of the shards it leads.
    pub primary_slots: u64,
    /// Slots it holds a copy of, led ones included.
    pub slots: u64,
    /// Bytes of its replicas' files.
    pub bytes: u64,
    /// Fraction of all slots it leads.
    pub load_share: f64,
}

/// One shard.
#[derive(Clone, Debug, Serialize)]
pub struct ShardStatus {
    /// Its number.
    pub id: ShardId,
    /// Slots it owns.
    pub slots: u64,
    /// Node that leads it.
    pub primary: Option<String>,
    /// Epoch of the leader.
    pub epoch: Epoch,
    /// Position below which everything is committed.
    pub commit: Lsn,
    /// End of the leader's log.
    pub tail: Lsn,
    /// Fsynced copies a write needs.
    pub quorum: usize,
    /// Members that count.
    pub members: usize,
    /// Versions in the leader's store, one for each key, deleted ones and leftovers of moved
    /// slots included.
    pub records: u64,
    /// Slots that take no writes because they are being handed over.
    pub frozen: usize,
    /// Why it takes no writes, if so.
    pub unavailable: Option<String>,
    /// Its replicas, preferred primary first.
    pub replicas: Vec<ReplicaStatus>,
}

/// One replica.
#[derive(Clone, Debug, Serialize)]
pub struct ReplicaStatus {
    /// Its node.
    pub node: String,
    /// `primary`, `follower`, `learner` (does not count) or `down`.
    pub state: &'static str,
    /// Why it is down.
    pub reason: Option<String>,
    /// End of its log.
    pub lsn: Lsn,
    /// Position below which it has fsynced.
    pub durable: Lsn,
    /// Epoch it listens to.
    pub fenced_epoch: Epoch,
    /// Bytes of log it lacks.
    pub lag_bytes: u64,
    /// Seconds since it was known to have everything; 0 while it has.
    pub lag_seconds: f64,
    /// Bytes of its files.
    pub bytes: u64,
}

/// A change of members that is under way.
#[derive(Clone, Debug, Serialize)]
pub struct OpenMove {
    /// The change.
    pub change: Change,
    /// Moves committed.
    pub moves_done: usize,
    /// Moves in all.
    pub moves_total: usize,
    /// Keys the plan counted.
    pub keys_total: u64,
    /// Bytes the plan counted.
    pub bytes_total: u64,
}

impl Cluster {
    /// The cluster as of now.
    ///
    /// # Errors
    /// The configuration cannot be read.
    pub fn status(&self) -> Result<ClusterStatus, ClusterError> {
        let inner = &self.inner;
        let topology = self.topology();
        let now = inner.env.clock.elapsed();
        let counts = topology.slot_counts();
        let mut shards = Vec::new();
        for shard in topology
            .shards()
            .iter()
            .filter(|shard| shard.state == ShardState::Active)
        {
            let Ok(group) = inner.group(shard.id) else {
                continue;
            };
            let slots = u64::from(counts[shard.id.0 as usize]);
            shards.push(shard_status(&group, &group.state.read(), slots, now));
        }
        let open_move = inner.read_mover()?.map(|(mover, _)| OpenMove {
            moves_done: mover.moves_total - mover.moves.len(),
            moves_total: mover.moves_total,
            keys_total: mover.keys_total,
            bytes_total: mover.bytes_total,
            change: mover.change,
        });
        Ok(ClusterStatus {
            id: inner.id.to_string(),
            version: topology.version(),
            slots: topology.slots(),
            replicas: topology.replicas(),
            nodes: node_statuses(&topology, &shards, &inner.nodes.lock()),
            unavailable: shards.iter().filter(|shard| shard.unavailable.is_some()).count(),
            shards,
            open_move,
            shortfalls: topology.shortfalls().iter().map(ToString::to_string).collect(),
        })
    }
}

fn shard_status(group: &Group, state: &GroupState, slots: u64, now: std::time::Duration) -> ShardStatus {
    let leader = state.leader(group.shard).ok();
    let tail = leader.map_or(Lsn::ZERO, |(_, leader)| leader.store().tail());
    let replicas = state
        .copies
        .iter()
        .enumerate()
        .map(|(index, copy)| replica_status(copy, state.primary == Some(index), tail, now))
        .collect();
    ShardStatus {
        id: group.shard,
        slots,
        primary: leader.map(|(index, _)| state.copies[index].node.clone()),
        epoch: state.claim.epoch,
        commit: group.commit(),
        tail,
        quorum: state.members.quorum,
        members: state.members.stores.len(),
        records: leader.map_or(0, |(_, leader)| leader.store().stats().keys),
        frozen: state.frozen.len(),
        unavailable: state.writable(group.shard).is_err().then(|| state.shortage()),
        replicas,
    }
}

fn replica_status(copy: &Copy, primary: bool, tail: Lsn, now: std::time::Duration) -> ReplicaStatus {
    let Some(replica) = copy.live() else {
        return ReplicaStatus {
            node: copy.node.clone(),
            state: "down",
            reason: copy.down.clone(),
            lsn: Lsn::ZERO,
            durable: Lsn::ZERO,
            fenced_epoch: Epoch(0),
            lag_bytes: tail.0,
            lag_seconds: 0.0,
            bytes: 0,
        };
    };
    let stats = replica.store().stats();
    ReplicaStatus {
        node: copy.node.clone(),
        state: if primary {
            "primary"
        } else if copy.counts {
            "follower"
        } else {
            "learner"
        },
        reason: None,
        lsn: replica.store().tail(),
        durable: replica.durable(),
        fenced_epoch: replica.fenced_epoch(),
        lag_bytes: tail.0.saturating_sub(replica.store().tail().0),
        lag_seconds: if primary {
            0.0
        } else {
            copy.lag(tail, now).as_secs_f64()
        },
        bytes: stats.disk_bytes(),
    }
}

fn node_statuses(
    topology: &Topology,
    shards: &[ShardStatus],
    up: &BTreeMap<String, bool>,
) -> Vec<NodeStatus> {
    let all_slots = f64::from(topology.slots());
    let status = |member: &crate::routing::Member| {
        let mut node = NodeStatus {
            name: member.name.clone(),
            zone: member.zone.clone(),
            weight: member.weight,
            member: member.state,
            up: up.get(&member.name).copied().unwrap_or(false),
            primaries: 0,
            replicas: 0,
            primary_slots: 0,
            slots: 0,
            bytes: 0,
            load_share: 0.0,
        };
        for shard in shards {
            let Some(replica) = shard.replicas.iter().find(|replica| replica.node == member.name) else {
                continue;
            };
            node.replicas += 1;
            node.slots += shard.slots;
            node.bytes += replica.bytes;
            if shard.primary.as_deref() == Some(&member.name) {
                node.primaries += 1;
                node.primary_slots += shard.slots;
            }
        }
        node.load_share = node.primary_slots as f64 / all_slots;
        node
    };
    topology.members().iter().map(status).collect()
}
