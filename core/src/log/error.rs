//! What can go wrong in the log, with the facts a caller or a person needs.

use std::io;
use std::path::{Path, PathBuf};

use super::header::PageError;
use crate::ids::{Epoch, Lsn};

/// Error of the log room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
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
    /// Bytes that were acknowledged as durable, or closed as complete, are not what was written.
    #[error("{path} is damaged at offset {offset}: {what}", path = path.display())]
    Corrupt {
        /// Damaged file.
        path: PathBuf,
        /// Byte offset within the file.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The next record of the primary says that tables have joined by a bulk load: the log does not have
    /// their contents. The replica has to start from a copy of another one's tables.
    #[error(
        "what a bulk load added at log position {at} is in tables, not in the log: copy the store anew, tables included"
    )]
    Ingested {
        /// Position of the record.
        at: Lsn,
    },
    /// A newer version wrote the file, and this one cannot read it. Nothing is damaged.
    #[error("{path} has {found}", path = path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format and features, and which this version reads.
        found: String,
    },
    /// Another process has the store open.
    #[error("{path} is in use by process {pid} on {host}", path = path.display())]
    Locked {
        /// Directory of the store.
        path: PathBuf,
        /// Holder's process id.
        pid: u32,
        /// Holder's host.
        host: String,
    },
    /// The directory belongs to something else.
    #[error("{path} is not an atoll store: {found}", path = path.display())]
    NotAStore {
        /// Directory.
        path: PathBuf,
        /// What stands there instead.
        found: String,
    },
    /// The directory is a store, but of another cluster, shard or node.
    #[error("{path} belongs to {found}, not to {expected}", path = path.display())]
    WrongIdentity {
        /// Directory.
        path: PathBuf,
        /// Whose it should be.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// No room for more records; nothing was written, reads go on.
    #[error("no space left for {path} ({needed} bytes needed): free some space and try again", path = path.display())]
    DiskFull {
        /// Directory or file that should have grown.
        path: PathBuf,
        /// Bytes asked for.
        needed: u64,
    },
    /// A write or sync failed earlier. What the disk holds is unknown until the store is opened
    /// again; reads go on.
    #[error("{path} stopped taking writes: {cause}; close and open it again", path = path.display())]
    Poisoned {
        /// Directory of the store.
        path: PathBuf,
        /// The failure.
        cause: String,
    },
    /// A part of a record is longer than the format allows; nothing was written.
    #[error("{what} of {len} bytes is longer than the {max} allowed")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The longest one allowed.
        max: usize,
    },
    /// The log has as many segments as the key index can tell apart; nothing was written.
    #[error("{path} has used up its {max} segment numbers: larger segments make fewer of them", path = path.display())]
    Full {
        /// Directory of the store.
        path: PathBuf,
        /// Numbers there are.
        max: u64,
    },
    /// A leadership that has been superseded.
    #[error("epoch {theirs} is not newer than epoch {ours}")]
    StaleEpoch {
        /// Epoch of this log.
        ours: Epoch,
        /// Epoch that was offered.
        theirs: Epoch,
    },
    /// Records that do not continue this log.
    #[error("records start at {found}, this log goes on at {expected}")]
    Gap {
        /// End of this log, or a record boundary.
        expected: Lsn,
        /// Position that was offered.
        found: Lsn,
    },
    /// The process that opened the store has forked, and this is the child.
    #[error("{path} was opened before this process forked: open it again after the fork, once its first process has closed it", path = path.display())]
    Forked {
        /// Directory of the store.
        path: PathBuf,
    },
    /// A directory that should be new holds something; it is left as it is.
    #[error("{path} is not empty: name a new directory", path = path.display())]
    NotEmpty {
        /// Directory.
        path: PathBuf,
    },
    /// Records that have been released: what they said lives in tables only. Whoever needs them
    /// starts from a copy of the store instead.
    #[error("records from {found} on have been released, this log begins at {start}: copy the store anew")]
    Released {
        /// First position that is kept.
        start: Lsn,
        /// Position that was asked for.
        found: Lsn,
    },
    /// This replica has not been made primary, so it takes no writes of its own.
    #[error("{path} is not the primary of its shard", path = path.display())]
    NotPrimary {
        /// Directory of the store.
        path: PathBuf,
    },
}

impl LogError {
    /// An [`LogError::Io`], or [`LogError::DiskFull`] where the system says so.
    pub(crate) fn io(op: &'static str, path: &Path, source: io::Error) -> LogError {
        // ENOSPC and EDQUOT ask the user for the same thing.
        if matches!(source.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) {
            return LogError::DiskFull {
                path: path.to_owned(),
                needed: 0,
            };
        }
        LogError::Io {
            op,
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, what: impl std::fmt::Display) -> LogError {
        LogError::Corrupt {
            path: path.to_owned(),
            offset,
            what: what.to_string(),
        }
    }

    pub(crate) fn page(path: &Path, offset: u64, error: PageError) -> LogError {
        match error {
            PageError::Version { .. } => LogError::NewerFormat {
                path: path.to_owned(),
                found: error.to_string(),
            },
            error => LogError::corrupt(path, offset, error),
        }
    }
}
