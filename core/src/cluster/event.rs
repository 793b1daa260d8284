//! What happened to a cluster that its user did not ask for, in plain words.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::ids::{Epoch, Lsn, ShardId};
use crate::routing::Shortfall;
use crate::store::RecoveryReport;

/// Something worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum Event {
    /// A replica had not been closed, and was recovered.
    Recovered {
        /// Node of the replica.
        node: String,
        /// Its shard.
        shard: ShardId,
        /// What recovery found and did.
        report: RecoveryReport,
    },
    /// A replica's key index could not be trusted although the replica had been closed, and was built
    /// anew from its log. Nothing is lost by that.
    IndexRebuilt {
        /// Node of the replica.
        node: String,
        /// Its shard.
        shard: ShardId,
        /// What was wrong with the index, with file and offset.
        reason: String,
    },
    /// A replica is out of service.
    ReplicaDown {
        /// Node of the replica.
        node: String,
        /// Its shard.
        shard: ShardId,
        /// Why.
        reason: String,
    },
    /// A replica's directory was empty or another one than recorded: it starts from nothing and
    /// does not count.
    ReplicaWiped {
        /// Node of the replica.
        node: String,
        /// Its shard.
        shard: ShardId,
    },
    /// A replica that did not count has caught up and counts again.
    Readmitted {
        /// Node of the replica.
        node: String,
        /// Its shard.
        shard: ShardId,
        /// Bytes of log it had to be sent.
        bytes: u64,
    },
    /// A replica came back.
    Rejoined {
        /// Node of the replica.
        node: String,
        /// Its shard.
        shard: ShardId,
        /// Bytes of log it had missed.
        bytes: u64,
    },
    /// Another replica leads a shard.
    Promoted {
        /// The shard.
        shard: ShardId,
        /// Its new primary.
        node: String,
        /// The new epoch.
        epoch: Epoch,
        /// Members that were fenced for it.
        fenced: usize,
        /// Bytes of log copied to the new primary.
        copied_bytes: u64,
        /// From the decision to the first write that could be served.
        took: Duration,
        /// Whether acknowledged writes may have been lost, as had been allowed.
        lossy: bool,
    },
    /// Records that no leader acknowledged were taken back from a replica and kept aside.
    TailTruncated {
        /// Node of the replica.
        node: String,
        /// Its shard.
        shard: ShardId,
        /// First position taken back.
        from: Lsn,
        /// End of the log before.
        to: Lsn,
        /// Files that keep the records.
        kept: Vec<PathBuf>,
    },
    /// A shard takes no writes.
    Halted {
        /// The shard.
        shard: ShardId,
        /// Why.
        reason: String,
    },
    /// A node was killed on request.
    NodeKilled {
        /// The node.
        node: String,
    },
    /// A node was started again.
    NodeRestarted {
        /// The node.
        node: String,
    },
    /// Fewer copies or zones than wanted.
    Shortfall {
        /// What is short.
        what: Shortfall,
    },
    /// Directories that belong to no shard of the topology were removed: a change of members had
    /// been interrupted before it was decided, or after it was done.
    LeftoversRemoved {
        /// The directories.
        paths: Vec<PathBuf>,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::IndexRebuilt { node, shard, reason } => {
                write!(
                    f,
                    "node {node}, shard {shard}: key index built anew from the log: {reason}"
                )
            }
            Event::Recovered { node, shard, report } => {
                write!(f, "node {node}, shard {shard}: recovered after {:?}", report.kind)?;
                match &report.cut {
                    Some(cut) => write!(
                        f,
                        "; a torn tail was cut at {} offset {} ({})",
                        cut.path.display(),
                        cut.offset,
                        cut.why
                    ),
                    None => write!(f, "; nothing was lost up to position {}", report.tail),
                }
            }
            Event::ReplicaDown { node, shard, reason } => {
                write!(f, "node {node}, shard {shard}: out of service: {reason}")
            }
            Event::ReplicaWiped { node, shard } => {
                write!(
                    f,
                    "node {node}, shard {shard}: starts from nothing, does not count until caught up"
                )
            }
            Event::Readmitted { node, shard, bytes } => {
                write!(
                    f,
                    "node {node}, shard {shard}: counts again after {bytes} bytes of log"
                )
            }
            Event::Rejoined { node, shard, bytes } => {
                write!(
                    f,
                    "node {node}, shard {shard}: is back, was sent {bytes} bytes of log"
                )
            }
            Event::Promoted {
                shard,
                node,
                epoch,
                fenced,
                copied_bytes,
                took,
                lossy,
            } => {
                write!(
                    f,
                    "shard {shard}: node {node} leads in epoch {epoch} after {:.1} ms ({fenced} members fenced, {copied_bytes} bytes copied)",
                    took.as_secs_f64() * 1e3
                )?;
                if *lossy {
                    f.write_str("; acknowledged writes may have been lost, as allowed")
                } else {
                    Ok(())
                }
            }
            Event::TailTruncated {
                node,
                shard,
                from,
                to,
                kept,
            } => {
                write!(
                    f,
                    "node {node}, shard {shard}: positions {from} to {to} had never been acknowledged and were taken back"
                )?;
                for path in kept {
                    write!(f, "; kept in {}", path.display())?;
                }
                Ok(())
            }
            Event::Halted { shard, reason } => write!(f, "shard {shard}: takes no writes: {reason}"),
            Event::NodeKilled { node } => write!(f, "node {node}: killed"),
            Event::NodeRestarted { node } => write!(f, "node {node}: started"),
            Event::Shortfall { what } => write!(f, "{what}"),
            Event::LeftoversRemoved { paths } => {
                write!(
                    f,
                    "{} directories of shards that do not exist were removed",
                    paths.len()
                )
            }
        }
    }
}
