//! What can go wrong between replicas, told apart by what the caller does next.

use std::io;
use std::path::PathBuf;

use super::fence::Claim;
use super::progress::Position;
use crate::ids::Epoch;
use crate::store::StoreError;

/// Error of the replication room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicationError {
    /// The disk refused.
    #[error("could not {op} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// File it was tried on.
        path: PathBuf,
        /// The disk's answer.
        source: io::Error,
    },
    /// A small file of this room or the cluster's is damaged.
    #[error("{path} is damaged at offset {offset}: {what}", path = path.display())]
    Corrupt {
        /// Damaged file.
        path: PathBuf,
        /// Byte offset within it.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A newer leadership stands: whoever offered the older one has been replaced.
    #[error("epoch {offered} is over: epoch {} holds", stands.epoch)]
    Fenced {
        /// Epoch that was refused.
        offered: Epoch,
        /// Claim that stands.
        stands: Claim,
    },
    /// A replica's store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too few members could be fenced to know what had been acknowledged.
    #[error("only {fenced} of the {needed} members that are needed could be fenced")]
    TooFewFenced {
        /// Members that were fenced.
        fenced: usize,
        /// Members minus quorum plus one.
        needed: usize,
    },
    /// Too few members have fsynced the start of the new epoch.
    #[error("only {acked} of the {needed} members that are needed have fsynced epoch {epoch}")]
    TooFewAcks {
        /// Epoch that could not begin.
        epoch: Epoch,
        /// Members that fsynced.
        acked: usize,
        /// The quorum.
        needed: usize,
    },
    /// The best log that could be found lacks records that are known to be committed. Going on
    /// would lose them; nothing is truncated.
    #[error("the best log, at {best}, lacks what is committed up to {commit}")]
    CommittedMissing {
        /// Where the best log ends.
        best: Position,
        /// What was known to be committed.
        commit: Position,
    },
    /// Bytes or text that are not a token.
    #[error("not a token: {what}")]
    BadToken {
        /// What is wrong with them.
        what: &'static str,
    },
    /// Tokens of two clusters cannot be merged.
    #[error("the tokens belong to two different clusters")]
    ForeignToken,
}
