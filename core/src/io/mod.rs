//! The only room that meets the operating system.
//!
//! What comes in: paths, bytes, lengths. What goes out: bytes, maps, time, randomness, and
//! `std::io::Error` with the errno kept (`ENOSPC` and `EIO` mean different things to callers).
//! This room does not know what a record or a key is. Read this file first: the traits state what
//! an implementation owes; [`os`] is the real machine, [`sim`] one that loses power on request.

pub mod clock;
pub mod fork;
pub mod mmap;
pub mod os;
pub mod sim;
mod touched;

#[cfg(test)]
mod contract;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use clock::{Clock, Entropy};
pub use mmap::Map;
pub(crate) use touched::Touched;

/// One entry of a directory listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// File name without its directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length in bytes; 0 for directories.
    pub len: u64,
}

/// How an existing file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Reads and read-only maps.
    Read,
    /// Reads, writes, syncs and writable maps.
    ReadWrite,
}

/// What a map may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapAccess {
    /// A stray store faults instead of corrupting.
    Read,
    /// Stores reach the page cache at once: they survive the process, not a power cut.
    Write,
}

/// Who holds a lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// Process id as written by the holder; 0 when it could not be read.
    pub pid: u32,
    /// Host name as written by the holder; empty when it could not be read.
    pub host: String,
}

impl LockHolder {
    /// What a holder writes into its lock file.
    fn to_text(&self) -> String {
        format!("{} {}\n", self.pid, self.host)
    }

    /// Reads [`LockHolder::to_text`] back; whatever is missing or garbled becomes 0 and "".
    fn parse(text: &[u8]) -> LockHolder {
        let text = String::from_utf8_lossy(text);
        let mut words = text.split_whitespace();
        let pid = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let host = words.next().unwrap_or_default().to_owned();
        LockHolder { pid, host }
    }
}

/// Result of [`Disk::lock`].
#[derive(Debug)]
pub enum LockOutcome {
    /// Held until the guard drops, or the process ends in whatever way.
    Acquired(Box<dyn LockGuard>),
    /// Another process, or another handle of this one, holds it.
    Held(LockHolder),
}

/// An advisory lock; dropping it releases it.
pub trait LockGuard: Send + Sync + fmt::Debug {}

/// A file system.
///
/// Thread-safe. A file or a name counts as durable only once [`Disk::sync_dir`] of its directory
/// has returned; contents count once [`File::sync_data`] has. Until then a power cut may keep or
/// drop each of them independently.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a directory and its missing parents, and makes their names durable.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Creates a new, empty file for reading and writing; fails with `AlreadyExists`.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Atomically renames, replacing the target. Durable after `sync_dir` of the target's parent.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must be free; both then lead to the same bytes. Durable after
    /// `sync_dir` of the parent of `to`. Fails with `EXDEV` between file systems.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Unlinks a file. Existing maps and handles stay valid.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all it holds.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Entries sorted by name.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Whether a file or directory of this name exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Takes an exclusive advisory lock on `path`, creating it where missing, and writes the
    /// process id and host into it. Never blocks.
    fn lock(&self, path: &Path) -> io::Result<LockOutcome>;
    /// Who else holds the lock of [`Disk::lock`] on `path`, if somebody does.
    fn lock_holder(&self, path: &Path) -> io::Result<Option<LockHolder>> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Takes an exclusive lock on byte `at` of an existing file; `None` when somebody holds it. Held
    /// until the guard drops or the process ends, as with [`Disk::lock`].
    fn lock_byte(&self, path: &Path, at: u64) -> io::Result<Option<Box<dyn LockGuard>>> {
        let _ = (path, at);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Whether somebody else holds byte `at`.
    fn is_byte_locked(&self, path: &Path, at: u64) -> io::Result<bool> {
        let _ = (path, at);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Device and inode of a file: a copy has others, a renamed file keeps them. `None` where files have
    /// none.
    fn file_id(&self, path: &Path) -> io::Result<Option<[u64; 2]>> {
        let _ = path;
        Ok(None)
    }
    /// Bytes an unprivileged writer may still use on the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Bytes of that file system in all.
    fn total_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Whether writable shared maps are known to be safe there (not on network, FUSE or
    /// copy-on-write file systems).
    fn supports_writable_maps(&self, path: &Path) -> io::Result<bool>;
    /// Changes with every start of the machine: equal ids mean the page cache has survived. Zeros
    /// mean "unknown" and never count as equal.
    fn boot_id(&self) -> [u8; 16];
    /// Whether an engine on this machine may work in threads of its own. A simulated machine says
    /// no, so that one seed replays every step.
    fn allows_threads(&self) -> bool {
        true
    }
}

/// One open file. Thread-safe; offsets are explicit, there is no cursor.
#[expect(clippy::len_without_is_empty, reason = "asking the file system can fail")]
pub trait File: Send + Sync + fmt::Debug {
    /// Reads at `offset`; returns fewer bytes only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf` at `offset`, or fails; after a failure any part may have been written.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Grows the file to at least `len` bytes with blocks behind every byte (never sparse).
    /// Fails with `ENOSPC` before any map could meet a hole, and never shrinks. One thread at a
    /// time grows a file.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Makes the contents durable (`fdatasync`). A failure is final: the kernel may have marked
    /// the pages clean, so a second call that succeeds proves nothing.
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Maps the first `len` bytes; the file must never shrink. Fails with `InvalidInput` where the
    /// file is shorter or `len` is 0, and with `EACCES` for a writable map of a file opened for
    /// reading.
    fn map(&self, len: usize, access: MapAccess) -> io::Result<Map>;
}

/// The outside world of an engine: where its files lie, what time it is, what is random.
#[derive(Clone, Debug)]
pub struct Env {
    /// File system.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Env {
    /// The real machine.
    #[must_use]
    pub fn os() -> Env {
        Env {
            disk: Arc::new(os::OsDisk::new()),
            clock: Arc::new(clock::SystemClock),
            entropy: Arc::new(clock::OsEntropy),
        }
    }
}
