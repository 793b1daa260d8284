//! What can go wrong in a store: the log's errors and the index's, told apart by callers.

use std::path::{Path, PathBuf};

use super::index::IndexError;
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
