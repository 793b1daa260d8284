//! What can go wrong in a store: the log's errors and the index's, told apart by callers.

use std::path::{Path, PathBuf};

use super::index::IndexError;
use super::table::TableError;
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
    /// What was visible at this position is gone. Reads of the present go on: take a new snapshot.
    #[error("log position {at} can no longer be read: {cause}; take a new snapshot")]
    SnapshotTooOld {
        /// Position of the snapshot, or of the read.
        at: Lsn,
        /// Where it has gone.
        cause: TooOld,
    },
    /// The store this was made from has been closed.
    #[error("the store {path} has been closed", path = path.display())]
    Closed {
        /// Directory of the store.
        path: PathBuf,
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
    #[error(
        "the writer of {path}, process {pid} on {host}, has not finished {doing}: is it stopped?",
        path = path.display()
    )]
    WriterStuck {
        /// Directory of the store.
        path: PathBuf,
        /// Its process id; 0 where it cannot be told.
        pid: u32,
        /// Its host.
        host: String,
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
    /// Tables' or the manifest's.
    #[error(transparent)]
    Table(#[from] TableError),
    /// What a truncation should take back has been compacted already. The replica has to start from a
    /// copy of another one.
    #[error(
        "the log cannot be taken back to {to}: everything below {horizon} has been compacted; copy the store anew"
    )]
    BelowHorizon {
        /// Where the log should have ended.
        to: Lsn,
        /// Position up to which versions have gone into tables.
        horizon: Lsn,
    },
    /// A step of compaction failed where only opening the store again tells what holds. Reads and
    /// writes go on.
    #[error("{path} is no longer compacted: {cause}; close and open it again", path = path.display())]
    CompactionHalted {
        /// Directory of the store.
        path: PathBuf,
        /// The failure.
        cause: String,
    },
    /// What a transaction has read is no longer so; nothing was written. Run it again:
    /// [`super::Store::transact`] does.
    #[error(
        "conflict on key {}: {}; nothing was written, run the transaction again",
        show_key(key),
        cause
    )]
    Conflict {
        /// The key.
        key: Vec<u8>,
        /// What has happened to it.
        cause: ConflictCause,
    },
    /// A bulk load takes keys in ascending order, each once.
    #[error(
        "key {} does not come after {}, which was given before it; nothing of the load counts: sort the input by \
         the bytes of its keys, each key once",
        show_key(key),
        show_key(after)
    )]
    Unsorted {
        /// The key.
        key: Vec<u8>,
        /// The key before it.
        after: Vec<u8>,
    },
    /// A bulk load cannot be finished; nothing of it counts.
    #[error("the bulk load was refused: {cause}; begin another one")]
    LoadRefused {
        /// Why.
        cause: String,
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

/// Why a position can no longer be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TooOld {
    /// Compaction has thinned out the past, and nobody held this part of it.
    #[error("versions superseded before {floor} have been compacted away")]
    Compacted {
        /// Oldest position that can be read.
        floor: Lsn,
    },
    /// A truncation has taken back records that were visible; their positions may be in use again.
    #[error("the records from {since} on have been taken back")]
    TakenBack {
        /// Where the log was cut.
        since: Lsn,
    },
    /// The writer has ended the snapshots of other processes below some position.
    #[error("the writer has ended the snapshot")]
    Ended,
}

/// Why a transaction cannot commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConflictCause {
    /// The key was read, and has been written since.
    #[error("read by the transaction and written at {at} since it began")]
    Written {
        /// Position of the newer version.
        at: Lsn,
    },
    /// The key lies in a range that was scanned, and has been written since.
    #[error("in a range scanned by the transaction and written at {at} since it began")]
    WrittenInRange {
        /// Position of the newer version.
        at: Lsn,
    },
    /// A bulk load has joined, and part of it may lie in a range that was scanned from the key on.
    #[error(
        "where a range scanned by the transaction begins, and a bulk load has joined at {at} since it began"
    )]
    LoadedInRange {
        /// Position of the load.
        at: Lsn,
    },
    /// The value of the key was read, and its time has passed since.
    #[error("its value was read by the transaction and has expired since")]
    Expired,
}

/// A key for people: text where it is text, escaped otherwise, and not all of a long one.
fn show_key(key: &[u8]) -> String {
    const SHOWN_CHARS: usize = 80;
    let text = match std::str::from_utf8(key) {
        Ok(text) => text.escape_debug().take(SHOWN_CHARS).collect::<String>(),
        Err(_) => key.escape_ascii().take(SHOWN_CHARS).map(char::from).collect(),
    };
    let rest = if text.chars().count() == SHOWN_CHARS {
        "…"
    } else {
        ""
    };
    format!("\"{text}{rest}\" ({} bytes)", key.len())
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
            StoreError::Table(TableError::Damaged { path, offset, what }) => Some(Damage {
                path: path.clone(),
                offset: *offset,
                what: what.clone(),
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

    /// Whether a transaction met a newer write: nothing was written, and running it again may succeed.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, StoreError::Conflict { .. })
    }

    /// Whether space ran out; nothing was written and reads go on.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(
            self,
            StoreError::Log(LogError::DiskFull { .. })
                | StoreError::Index(IndexError::DiskFull { .. })
                | StoreError::Table(TableError::DiskFull { .. })
        )
    }
}
