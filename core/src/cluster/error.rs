//! What a cluster answers when it cannot do what was asked, told apart by what the caller does
//! next: correct the call, wait, ask again with care, or repair.

use std::io;
use std::path::PathBuf;

use super::config_store::ConfigError;
use crate::ids::{Epoch, Lsn, ShardId, SlotId};
use crate::replication::ReplicationError;
use crate::routing::RoutingError;
use crate::store::StoreError;

/// Error of the cluster room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A replica's store refused or failed.
    #[error("node {node}, shard {shard}: {source}")]
    Store {
        /// Node of the replica.
        node: String,
        /// Its shard.
        shard: ShardId,
        /// What the store says.
        source: StoreError,
    },
    /// The topology refused.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// Replication failed in a way no replica could make good.
    #[error(transparent)]
    Replication(ReplicationError),
    /// The configuration could not be read or changed.
    #[error("configuration: {0}")]
    Config(ConfigError),
    /// The replica that was asked does not lead its shard.
    #[error("node {node} does not lead shard {shard}")]
    NotPrimary {
        /// Node that was asked.
        node: String,
        /// The shard.
        shard: ShardId,
    },
    /// What was asked works in shards with one replica only.
    #[error(
        "shard {shard} has {replicas} replicas: a bulk load goes into tables, which are not shipped; write the \
         pairs in batches, which reach every replica"
    )]
    SeveralReplicas {
        /// The shard.
        shard: ShardId,
        /// Its replicas.
        replicas: usize,
    },
    /// Too few replicas are there. Nothing was written; ask again later.
    #[error("shard {shard} is not available: {reason}")]
    Unavailable {
        /// The shard.
        shard: ShardId,
        /// Which replicas are missing, and why.
        reason: String,
        /// Whether not one replica is in service.
        all_failed: bool,
    },
    /// A newer leadership stands.
    #[error("epoch {ours} of shard {shard} is over: epoch {theirs} holds")]
    StaleEpoch {
        /// The shard.
        shard: ShardId,
        /// The epoch that was offered.
        ours: Epoch,
        /// The epoch that stands.
        theirs: Epoch,
    },
    /// A write the token speaks of no longer exists: it was lost when another replica took over.
    #[error("a write to shard {shard} that ended at position {end} in epoch {epoch} was lost in a failover")]
    WriteLost {
        /// The shard.
        shard: ShardId,
        /// Epoch of the write.
        epoch: Epoch,
        /// Its end.
        end: Lsn,
    },
    /// A batch touches two slots; it could not be atomic.
    #[error("a batch has keys of slots {} and {}: it is atomic within one slot only", a.0, b.0)]
    CrossSlot {
        /// Slot of one key.
        a: SlotId,
        /// Slot of another.
        b: SlotId,
    },
    /// The write may or may not have happened. Never retry it blindly.
    #[error("it is not known whether the write to shard {shard} was done: {reason}")]
    Indeterminate {
        /// The shard.
        shard: ShardId,
        /// What happened.
        reason: String,
    },
    /// A token of another cluster.
    #[error("the token belongs to another cluster")]
    ForeignToken,
    /// No node has this name.
    #[error("there is no node {name:?}")]
    UnknownNode {
        /// The name.
        name: String,
    },
    /// A node is in the wrong state for what was asked.
    #[error("node {name} is {state}")]
    NodeState {
        /// The name.
        name: String,
        /// Its state.
        state: &'static str,
    },
    /// The quorum asked for does not fit the number of replicas.
    #[error("a quorum of {quorum} does not fit {replicas} replicas")]
    BadQuorum {
        /// Quorum asked for.
        quorum: u8,
        /// Replicas of each shard.
        replicas: u8,
    },
    /// A change of members is under way; it has to be finished first.
    #[error("a rebalance is under way, at topology version {version}: resume it first")]
    RebalanceUnderWay {
        /// Version of the topology.
        version: u64,
    },
    /// A hand-over was given up; the old owner still answers. Resume the rebalance.
    #[error("slots of shard {from} could not be handed to shard {to}: {reason}")]
    HandOver {
        /// Source.
        from: ShardId,
        /// Target.
        to: ShardId,
        /// Why.
        reason: String,
    },
    /// The directory is not a cluster's.
    #[error("{path} is not a cluster directory: {found}", path = path.display())]
    NotACluster {
        /// The directory.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// A cluster, or something else, is already there.
    #[error("{path} is not empty", path = path.display())]
    AlreadyExists {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has the cluster open.
    #[error("{path} is in use by process {pid} on {host}", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Process id of the holder; 0 if unknown.
        pid: u32,
        /// Its host; empty if unknown.
        host: String,
    },
    /// A file of the cluster is damaged.
    #[error("{path} is damaged at offset {offset}: {what}", path = path.display())]
    Corrupt {
        /// Damaged file.
        path: PathBuf,
        /// Byte offset.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A backup could not be made, or nothing be made of it.
    #[error(transparent)]
    Backup(#[from] crate::store::backup::BackupError),
    /// The disk refused.
    #[error("could not {op} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The disk's answer.
        source: io::Error,
    },
}

impl ClusterError {
    pub(super) fn store(node: &str, shard: ShardId, source: StoreError) -> ClusterError {
        ClusterError::Store {
            node: node.to_owned(),
            shard,
            source,
        }
    }

    pub(super) fn replica(node: &str, shard: ShardId, error: ReplicationError) -> ClusterError {
        match error {
            ReplicationError::Store(source) => ClusterError::store(node, shard, source),
            ReplicationError::Fenced { offered, stands } => ClusterError::StaleEpoch {
                shard,
                ours: offered,
                theirs: stands.epoch,
            },
            other => other.into(),
        }
    }

    /// What a command-line tool exits with: 2 wrong usage, 3 damaged data, 4 unavailable, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            ClusterError::Corrupt { .. } => 3,
            ClusterError::Backup(error) => error.exit_code(),
            ClusterError::Replication(ReplicationError::Corrupt { .. }) => 3,
            ClusterError::Store { source, .. } if source.damage().is_some() => 3,
            ClusterError::Store { source, .. } if source.locked_by().is_some() => 4,
            ClusterError::Unavailable { .. }
            | ClusterError::Indeterminate { .. }
            | ClusterError::StaleEpoch { .. }
            | ClusterError::HandOver { .. }
            | ClusterError::Locked { .. } => 4,
            ClusterError::Routing(_)
            | ClusterError::CrossSlot { .. }
            | ClusterError::SeveralReplicas { .. }
            | ClusterError::UnknownNode { .. }
            | ClusterError::NodeState { .. }
            | ClusterError::BadQuorum { .. }
            | ClusterError::NotACluster { .. }
            | ClusterError::AlreadyExists { .. }
            | ClusterError::ForeignToken => 2,
            _ => 1,
        }
    }
}

impl From<ConfigError> for ClusterError {
    fn from(error: ConfigError) -> ClusterError {
        match error {
            ConfigError::File(error) => error.into(),
            other => ClusterError::Config(other),
        }
    }
}

impl From<ReplicationError> for ClusterError {
    fn from(error: ReplicationError) -> ClusterError {
        match error {
            ReplicationError::Corrupt { path, offset, what } => ClusterError::Corrupt { path, offset, what },
            ReplicationError::Io { op, path, source } => ClusterError::Io { op, path, source },
            ReplicationError::ForeignToken => ClusterError::ForeignToken,
            other => ClusterError::Replication(other),
        }
    }
}
