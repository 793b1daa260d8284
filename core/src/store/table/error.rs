//! What can go wrong with table files and the manifest.

use std::io;
use std::path::{Path, PathBuf};

use super::format::Malformed;
use crate::log::header::PageError;

/// Error of tables and of the manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
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
    /// No room; nothing that was there has changed, reads and writes go on.
    #[error("no space left for {path} ({needed} bytes needed): free some space and try again", path = path.display())]
    DiskFull {
        /// File or directory that should have grown.
        path: PathBuf,
        /// Bytes asked for, 0 where that is not known.
        needed: u64,
    },
    /// Bytes are not what was written.
    #[error("{path} is damaged at offset {offset}: {what}", path = path.display())]
    Damaged {
        /// Damaged file.
        path: PathBuf,
        /// Byte offset within the file.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A newer version wrote the file, and this one cannot read it. Nothing is damaged.
    #[error("{path} has {found}", path = path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format and features, and which this version reads.
        found: String,
    },
    /// The store has as many tables as the key index can tell apart; nothing was written.
    #[error("{path} has used up its {max} table slots", path = path.display())]
    Full {
        /// Directory of the tables.
        path: PathBuf,
        /// Slots there are.
        max: usize,
    },
    /// Compaction was asked to stop.
    #[error("compaction was stopped")]
    Stopped,
}

impl TableError {
    pub(in crate::store) fn io<'p>(
        op: &'static str,
        path: &'p Path,
    ) -> impl FnOnce(io::Error) -> TableError + 'p {
        move |source| {
            if matches!(source.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) {
                return TableError::DiskFull {
                    path: path.to_owned(),
                    needed: 0,
                };
            }
            TableError::Io {
                op,
                path: path.to_owned(),
                source,
            }
        }
    }

    pub(in crate::store) fn damaged(path: &Path, offset: u64, what: impl std::fmt::Display) -> TableError {
        TableError::Damaged {
            path: path.to_owned(),
            offset,
            what: what.to_string(),
        }
    }

    pub(in crate::store) fn page(path: &Path, offset: u64) -> impl FnOnce(PageError) -> TableError + '_ {
        move |error| match error {
            PageError::Version { .. } => TableError::NewerFormat {
                path: path.to_owned(),
                found: error.to_string(),
            },
            error => TableError::damaged(path, offset, error),
        }
    }

    pub(in crate::store) fn malformed(path: &Path, offset: u64) -> impl FnOnce(Malformed) -> TableError + '_ {
        move |error| TableError::damaged(path, offset, error)
    }
}
