//! What can go wrong in a store: the log's errors and the index's, told apart by callers.

use std::path::{Path, PathBuf};

use super::index::IndexError;
use crate::ids::Lsn;
use crate::log::LogError;

/// Error of the store room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The log's; see there.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The key index's.
    #[error("key index: {0}")]
    Index(#[from] IndexError),
    /// The view is gone: the records it shows from some position on have been taken back, or the space
    /// they took was needed. Take a new snapshot.
    #[error(
        "the snapshot at log position {at} is too old: what it showed from {since} on is gone; take a new one"
    )]
    SnapshotTooOld {
        /// Position of the snapshot.
        at: Lsn,
        /// Position from which on it can no longer be told.
        since: Lsn,
    },
    /// Nobody has the store open, and it was not left so that it can be read as it is.
    #[error("{path} must be opened by a writer once before it can be read: {why}", path = path.display())]
    NeedsRecovery {
        /// Directory of the store.
        path: PathBuf,
        /// What keeps it from being read.
        why: String,
    },
    /// The writer of the store began something that takes a moment, and does not go on.
    #[error("the writer of {path} has not finished {doing}: is its process stopped?", path = path.display())]
    WriterStuck {
        /// Directory of the store.
        path: PathBuf,
        /// What it was doing.
        doing: &'static str,
    },
    /// A reader cannot register a snapshot; gets need none.
    #[error("cannot register a snapshot in {path}: {why}", path = path.display())]
    NoReaderSlot {
        /// The file `readers`.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A record of the reserved keyspace that this version cannot read.
    #[error("malformed system record at log position {lsn}: {what}")]
    System {
        /// Position of the record.
        lsn: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// A damaged place, for people and for exit codes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// Damaged file.
    pub path: PathBuf,
    /// Byte offset within it.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} at offset {}: {}",
            self.path.display(),
            self.offset,
            self.what
        )
    }
}

impl StoreError {
    /// The damaged place, when the error is about damage.
    #[must_use]
    pub fn damage(&self) -> Option<Damage> {
        match self {
            StoreError::Log(LogError::Corrupt { path, offset, what }) => Some(Damage {
                path: path.clone(),
                offset: *offset,
                what: what.clone(),
            }),
            StoreError::Index(IndexError::Damaged { path, offset, what }) => Some(Damage {
                path: path.clone(),
                offset: *offset,
                what: (*what).to_owned(),
            }),
            _ => None,
        }
    }

    /// Who holds the store, when the error is that somebody does.
    #[must_use]
    pub fn locked_by(&self) -> Option<(&Path, u32, &str)> {
        match self {
            StoreError::Log(LogError::Locked { path, pid, host }) => Some((path, *pid, host)),
            _ => None,
        }
    }

    /// Whether space ran out; nothing was written and reads go on.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(
            self,
            StoreError::Log(LogError::DiskFull { .. }) | StoreError::Index(IndexError::DiskFull { .. })
        )
    }
}
