//! Bytes into durable order: one log a shard replica.
//!
//! In: records (kind, key, value, predecessor) and, on followers, spans of a primary's log. Out:
//! positions, durability, checked record views. The room never learns what a key means: it keeps
//! key bytes because the header checksum covers them. Read [`mod@format`] first (one record), then
//! [`segment`] (one file), [`append`] (reserve, fill, commit), [`group_commit`], [`recovery`].
//!
//! Positions and their order, checked in code:
//! `durable <= stable <= tail`, where every record below *stable* is committed and indexed, and
//! every record below *durable* has survived an `fdatasync`.
//!
//! What must never happen: a file is overwritten, reused or truncated; a position is handed out
//! twice within an epoch; a failed write or sync is retried.

pub mod append;
pub(crate) mod background;
mod checksum;
pub mod dump;
pub mod error;
pub mod expiry;
mod find;
pub mod format;
pub mod frame;
pub mod group_commit;
pub mod header;
mod in_flight;
#[cfg(all(test, loom))]
mod interleavings;
pub mod live;
pub mod payload;
pub mod read;
pub mod recovery;
pub mod retention;
mod rotate;
pub mod segment;
pub mod truncate;
pub mod view;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

pub use error::LogError;
use header::{Chain, Control};
use in_flight::Frontier;
pub(crate) use rotate::replace_file;
use segment::Segment;
use writer::SegmentWriter;

use crate::ids::{Epoch, Hlc, Lsn, ShardId, Uuid};
use crate::io::{Disk, Env, fork};

/// Name of the directory of segments within a store.
pub const LOG_DIR: &str = "log";
/// Name of the control page within a store.
pub const CONTROL_FILE: &str = "CONTROL";
/// Name of the lock file within a store.
pub const LOCK_FILE: &str = "LOCK";
/// Segments that the key index can tell apart; the other half of its file numbers are tables.
pub(crate) const SEGMENT_SLOTS: u64 = 1 << 15;
/// Name of the directory that keeps what was cut off.
pub const DIVERGED_DIR: &str = "diverged";

/// Whose log this is. Replicas of one shard share cluster and shard, so their bytes agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreIdentity {
    /// Cluster; [`Uuid::NIL`] for a store on its own.
    pub cluster: Uuid,
    /// Shard within the cluster.
    pub shard: ShardId,
    /// Node that keeps this copy.
    pub node: u64,
}

/// How records reach the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WritePath {
    /// [`WritePath::Map`] where the file system is known to be safe for it, else
    /// [`WritePath::Pwrite`].
    #[default]
    Auto,
    /// A copy into the mapped file: memory speed, survives the process.
    Map,
    /// System calls only.
    Pwrite,
}

/// When a value is compared with its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum VerifyPayload {
    /// By every read: a byte that flips in memory or on the way from the disk is noticed at the next read.
    #[default]
    Always,
    /// By the first read of it since the store was opened; what changes afterwards is not noticed before
    /// [`crate::store::Store::verify`]. Costs a bit for every 32 bytes of log. Keys and headers are compared
    /// by every read all the same.
    FirstTouch,
}

/// Knobs of a log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Whose log it is; checked against what the directory says.
    pub identity: StoreIdentity,
    /// How records reach the file.
    pub write_path: WritePath,
    /// Segments grow from 1 MiB up to this many bytes. Larger ones make fewer files and longer
    /// pauses when one is sealed.
    pub segment_max_bytes: u64,
    /// Space on the file system that records leave free; at most a sixteenth of it counts.
    pub min_free_bytes: u64,
    /// When readers compare payloads.
    pub verify_payload: VerifyPayload,
}

/// Set of segments in position order; replaced whole when it changes.
#[derive(Debug, Default)]
pub(crate) struct SegmentList {
    pub(crate) all: Vec<Arc<Segment>>,
}

impl SegmentList {
    /// The segment that holds `lsn`, or the last one that starts at or before it.
    pub(crate) fn containing(&self, lsn: Lsn) -> Option<&Arc<Segment>> {
        let after = self.all.partition_point(|segment| segment.first() <= lsn);
        // Segments cut at their very start hold nothing; the latest one that starts there counts.
        after.checked_sub(1).map(|i| &self.all[i])
    }

    /// Index by the low 15 bits of segment numbers, as the key index stores them.
    pub(crate) fn index_of_slot(&self, slot: u16) -> Option<usize> {
        let first = self.all.first()?.header().number;
        let distance = u64::from(slot).wrapping_sub(first) % SEGMENT_SLOTS;
        let wanted = first + distance;
        // Numbers grow by one, with gaps only where a truncation took files away.
        match self.all.get(distance as usize) {
            Some(segment) if segment.header().number == wanted => Some(distance as usize),
            _ => self
                .all
                .binary_search_by_key(&wanted, |segment| segment.header().number)
                .ok(),
        }
    }
}

/// What only the holder of the append lock may touch.
#[derive(Debug)]
pub(crate) struct AppendState {
    /// Segment that takes records; `None` after an unclean opening or a truncation, until the
    /// next record starts a new one.
    active: Option<Arc<SegmentWriter>>,
    tail: Lsn,
    hlc: Hlc,
    epoch: Epoch,
    /// Records in the active segment so far and in all others.
    records: u64,
    chain: Chain,
    next_number: u64,
    next_capacity: u64,
    /// Whether own records may be appended (this replica leads the epoch).
    leader: bool,
    control: Control,
    /// Whether the control page on disk already says that somebody writes.
    marked_open: bool,
    /// Records that end here or before need nothing but space in the active segment. Zero when
    /// something has to be done before the next record.
    room_until: Lsn,
}

/// An open log. Thread-safe.
#[derive(Debug)]
pub struct Log {
    disk: Arc<dyn Disk>,
    env: Env,
    dir: PathBuf,
    options: LogOptions,
    map_writes: bool,
    append: Mutex<AppendState>,
    segments: ArcSwap<SegmentList>,
    frontier: Frontier<SegmentWriter>,
    /// Where readers in other processes look; `None` on machines that have none.
    live: Option<Arc<live::Live>>,
    turns: group_commit::Turns,
    chores: rotate::Chores,
    poison: OnceLock<String>,
    /// [`fork::generation`] of the process that opened the log.
    born: u64,
    _lock: Box<dyn crate::io::LockGuard>,
}

impl Log {
    /// Directory of the store.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Position after the last reserved record.
    #[must_use]
    pub fn tail(&self) -> Lsn {
        self.frontier.tail()
    }

    /// Position below which every record is committed and indexed. Never waits.
    #[must_use]
    pub fn stable(&self) -> Lsn {
        self.frontier.stable()
    }

    /// Waits until every record below `upto` is committed and indexed.
    ///
    /// Writers in flight wait for nobody, so this ends as soon as they have copied their bytes.
    pub(crate) fn wait_stable(&self, upto: Lsn) {
        if self.check_forked().is_ok() {
            self.frontier.wait_stable(upto);
        }
    }

    /// Position below which every record has survived a sync.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.turns.durable()
    }

    /// Epoch of the last record.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.append.lock().epoch
    }

    /// Every epoch of this log with the position of its first record, ascending.
    #[must_use]
    pub fn epoch_vector(&self) -> Vec<(Epoch, Lsn)> {
        let mut vector: Vec<(Epoch, Lsn)> = Vec::new();
        for segment in &self.segments.load().all {
            let (epoch, first) = (segment.header().epoch, segment.first());
            if segment.end() == first {
                continue;
            }
            if vector.last().is_none_or(|(last, _)| *last != epoch) {
                vector.push((epoch, first));
            }
        }
        vector
    }

    /// The highest stamp of the log.
    pub(crate) fn hlc(&self) -> Hlc {
        self.append.lock().hlc
    }

    /// Facts of the control page, as of now.
    pub(crate) fn control(&self) -> Control {
        self.append.lock().control.clone()
    }

    /// Records in the log, members of batches not counted.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.append.lock().records
    }

    pub(crate) fn segments(&self) -> arc_swap::Guard<Arc<SegmentList>> {
        self.segments.load()
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// The page that readers in other processes look at.
    pub(crate) fn live(&self) -> Option<&Arc<live::Live>> {
        self.live.as_ref()
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(crate) fn log_dir(&self) -> PathBuf {
        self.dir.join(LOG_DIR)
    }

    /// The first failed write or sync stops all writes: the kernel may have marked the pages
    /// clean, so a retry that succeeds would prove nothing.
    pub(crate) fn poison(&self, error: LogError) -> LogError {
        let cause = error.to_string();
        tracing::error!(path = %self.dir.display(), %cause, "log takes no more writes");
        // Only the first cause is kept: later ones follow from it.
        let _ = self.poison.set(cause);
        error
    }

    /// A child of fork has neither the threads nor the writable maps of its parent.
    #[inline]
    pub(crate) fn check_forked(&self) -> Result<(), LogError> {
        if fork::generation() == self.born {
            Ok(())
        } else {
            Err(LogError::Forked {
                path: self.dir.clone(),
            })
        }
    }

    pub(crate) fn check_poison(&self) -> Result<(), LogError> {
        self.check_forked()?;
        match self.poison.get() {
            None => Ok(()),
            Some(cause) => Err(LogError::Poisoned {
                path: self.dir.clone(),
                cause: cause.clone(),
            }),
        }
    }

    /// Why the log takes no writes, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.poison.get().map(String::as_str)
    }
}
