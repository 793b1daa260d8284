//! What can go wrong while a backup is made, checked or restored.

use std::io;
use std::path::{Path, PathBuf};

use crate::log::LogError;
use crate::store::table::TableError;
use crate::store::{Damage, StoreError};

/// Error of backups.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The operating system refused.
    #[error("cannot {op} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        op: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// No room in the target. What was there before is still whole.
    #[error("no space left for {path}: free some space and try again", path = path.display())]
    DiskFull {
        /// File that should have grown.
        path: PathBuf,
    },
    /// A file of the backup is not what was written.
    #[error("{path} is damaged at offset {offset}: {what}", path = path.display())]
    Damaged {
        /// Damaged file.
        path: PathBuf,
        /// Byte offset within the file.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The directory holds no finished backup.
    #[error("{path} is not a backup: {found}", path = path.display())]
    NotABackup {
        /// The directory.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// The directory holds the backup of something else.
    #[error("{path} holds a backup of {found}, not of {expected}: choose another directory", path = path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Random name of what should be backed up.
        expected: String,
        /// Random name of what is there.
        found: String,
    },
    /// The directory that should be restored into, or backed up into, holds something else.
    #[error("{path} is not empty: it holds `{entry}`; choose a directory that is missing or empty", path = path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// One of its entries.
        entry: String,
    },
    /// The target lies within what it should be a copy of.
    #[error("{path} lies within {source_dir}: a backup has to stand outside", path = path.display(), source_dir = source_dir.display())]
    Inside {
        /// The target.
        path: PathBuf,
        /// What would be backed up.
        source_dir: PathBuf,
    },
    /// Another process makes a backup there.
    #[error("{path} is in use by process {pid} on {host}", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Process id of the holder; 0 if unknown.
        pid: u32,
        /// Its host; empty if unknown.
        host: String,
    },
    /// The backup holds several stores, or a whole cluster: it is restored as such.
    #[error("{path} holds the backup of a cluster of {stores} shards: restore it as a cluster", path = path.display())]
    NotOneStore {
        /// The directory.
        path: PathBuf,
        /// Stores in it.
        stores: usize,
    },
    /// The store that is backed up, or the one that was restored, refused or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LogError> for BackupError {
    fn from(error: LogError) -> BackupError {
        StoreError::from(error).into()
    }
}

impl From<TableError> for BackupError {
    fn from(error: TableError) -> BackupError {
        StoreError::from(error).into()
    }
}

impl BackupError {
    pub(crate) fn io<'p>(op: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> BackupError + 'p {
        move |source| {
            if matches!(source.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) {
                return BackupError::DiskFull {
                    path: path.to_owned(),
                };
            }
            BackupError::Io {
                op,
                path: path.to_owned(),
                source,
            }
        }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, what: impl std::fmt::Display) -> BackupError {
        BackupError::Damaged {
            path: path.to_owned(),
            offset,
            what: what.to_string(),
        }
    }

    /// The damaged place, when the error is about damage.
    #[must_use]
    pub fn damage(&self) -> Option<Damage> {
        match self {
            BackupError::Damaged { path, offset, what } => Some(Damage {
                path: path.clone(),
                offset: *offset,
                what: what.clone(),
            }),
            BackupError::Store(error) => error.damage(),
            _ => None,
        }
    }

    /// What a command-line tool exits with: 2 wrong usage, 3 damaged data, 4 unavailable, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            BackupError::NotABackup { .. }
            | BackupError::Foreign { .. }
            | BackupError::NotEmpty { .. }
            | BackupError::Inside { .. }
            | BackupError::NotOneStore { .. } => 2,
            BackupError::Locked { .. } => 4,
            error if error.damage().is_some() => 3,
            BackupError::Store(error) if error.locked_by().is_some() => 4,
            _ => 1,
        }
    }
}
