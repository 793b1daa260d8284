//! What can go wrong with the index, and why one found on disk is not used.

use std::io;
use std::path::{Path, PathBuf};

/// A failure while using an index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The operating system refused.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The refusal, with its errno.
        source: io::Error,
    },
    /// No space for another chunk of pages; nothing was changed, reads and replacements go on.
    #[error("no space left to grow the index by {}", path.display())]
    DiskFull {
        /// The chunk that could not be allocated.
        path: PathBuf,
    },
    /// The pages for this hash cannot be divided further: more than 10^9 keys, or hashes that were
    /// made to collide.
    #[error("the index cannot take another key of this hash prefix (depth {depth})")]
    Full {
        /// Depth of the page in question.
        depth: u32,
    },
    /// A page is not as it was written at the last clean close. The index must be rebuilt.
    #[error("{} is damaged at offset {offset}: {what}; the index is built anew at the next opening", path.display())]
    Damaged {
        /// The chunk file.
        path: PathBuf,
        /// Start of the page within it.
        offset: u64,
        /// What differs.
        what: &'static str,
    },
    /// A sync failed before; what is on disk is unknown, so the index takes no more changes.
    #[error("a sync of {} has failed; the index takes no changes until it is rebuilt", path.display())]
    Poisoned {
        /// Directory of the index.
        path: PathBuf,
    },
}

impl IndexError {
    pub(super) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IndexError {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => IndexError::DiskFull { path },
            _ => IndexError::Io { op, path, source },
        }
    }
}

/// Why an index on disk cannot be trusted. The store answers each of them by rebuilding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// There is no catalogue: the index was never closed, or has been changed since.
    #[error("the index was not closed cleanly")]
    NotClosed,
    /// Areas of the pages overlap, or leave something out.
    #[error("pages in {} do not cover each position once", path.display())]
    Areas {
        /// Directory of the index.
        path: PathBuf,
    },
    /// The index was closed for another state of the store.
    #[error("the index belongs to another state of the store")]
    OtherStamp,
    /// The file named as the catalogue is something else.
    #[error("{} is not the catalogue of an index (it begins with {found:02x?})", path.display())]
    NotACatalogue {
        /// The catalogue.
        path: PathBuf,
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// Written by a version whose format this one does not know.
    #[error("{}: format {major}, incompatible features {features:#x}", path.display())]
    Format {
        /// The catalogue.
        path: PathBuf,
        /// Major format version found.
        major: u16,
        /// Feature bits found.
        features: u64,
    },
    /// The catalogue is damaged.
    #[error("{}: {what}", path.display())]
    Catalogue {
        /// The catalogue.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A chunk file has not the length its pages need.
    #[error("{}: {found} bytes instead of {expected}", path.display())]
    ChunkLength {
        /// The chunk file.
        path: PathBuf,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
    /// A page is damaged.
    #[error("{}, offset {offset}: {what}", path.display())]
    Page {
        /// The chunk file.
        path: PathBuf,
        /// Start of the page within it.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file is missing or cannot be read.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On which file.
        path: PathBuf,
        /// The refusal, with its errno.
        source: io::Error,
    },
}

impl Distrust {
    pub(super) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Distrust {
        let path = path.to_owned();
        move |source| Distrust::Io { op, path, source }
    }
}
