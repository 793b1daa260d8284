//! What a replica owes to whoever leads the shard, and the replica in this process.
//!
//! In: claims, chunks of a log. Out: shapes, chunks, durable positions. The trait is the seam
//! between the rule of failover and the way a replica is reached; besides the local one there is
//! a model in memory that loses what was not fsynced.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::ReplicationError;
use super::fence::{Claim, Fence};
use super::progress::LogShape;
use crate::ids::{Epoch, Lsn, Uuid};
use crate::io::{Disk, Env};
use crate::store::{LogChunk, Store, StoreOptions};

/// One copy of a shard's log. Thread-safe.
pub trait Replica: Send + Sync {
    /// Promises, durably, to refuse every older claim.
    ///
    /// # Errors
    /// [`ReplicationError::Fenced`] when a newer one stands, or the disk's.
    fn fence(&self, claim: Claim) -> Result<(), ReplicationError>;
    /// Epochs and end of the log as of now.
    fn shape(&self) -> LogShape;
    /// Position below which everything is fsynced.
    fn durable(&self) -> Lsn;
    /// Whole records of one epoch from `from` on; empty when there are none.
    ///
    /// # Errors
    /// The store's.
    fn read_log(&self, from: Lsn, max_bytes: usize) -> Result<LogChunk, ReplicationError>;
    /// Appends what a leader with this claim sends. Not fsynced.
    ///
    /// # Errors
    /// [`ReplicationError::Fenced`], or the store's.
    fn apply(&self, claim: Claim, chunk: &LogChunk) -> Result<(), ReplicationError>;
    /// Takes back everything from `to` on, keeping it aside; returns where it is kept.
    ///
    /// # Errors
    /// [`ReplicationError::Fenced`], or the store's.
    fn truncate(&self, claim: Claim, to: Lsn) -> Result<Vec<PathBuf>, ReplicationError>;
    /// Appends the first record of the claim's epoch and takes writes from now on; returns the
    /// end of that record. Not fsynced.
    ///
    /// # Errors
    /// [`ReplicationError::Fenced`], or the store's.
    fn begin_epoch(&self, claim: Claim) -> Result<Lsn, ReplicationError>;
    /// Fsyncs the log; returns the durable position.
    ///
    /// # Errors
    /// The store's; after the first failure the replica takes no writes until it is opened again.
    fn sync(&self) -> Result<Lsn, ReplicationError>;
}

/// A replica whose store is open in this process.
///
/// Dropping it without [`LocalReplica::close`] is what a killed process does.
#[derive(Debug)]
pub struct LocalReplica {
    store: Store,
    disk: Arc<dyn Disk>,
    fence: Mutex<Fence>,
    /// Epoch of the fence, readable without its lock.
    fenced: AtomicU64,
}

impl LocalReplica {
    /// Opens the store in `dir` and the fence at `fence`.
    ///
    /// # Errors
    /// Damage of either, or the disk's.
    pub fn open(
        env: &Env,
        dir: &Path,
        fence: &Path,
        options: &StoreOptions,
    ) -> Result<LocalReplica, ReplicationError> {
        let fence = Fence::open(
            &*env.disk,
            fence,
            options.identity.cluster,
            options.identity.shard,
        )?;
        let store = Store::open(env, dir, options)?;
        let fenced = AtomicU64::new(fence.claim().epoch.0);
        Ok(LocalReplica {
            store,
            disk: Arc::clone(&env.disk),
            fence: Mutex::new(fence),
            fenced,
        })
    }

    /// The store, for reads and for the primary's writes.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Random name of the store, other after it was wiped.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.store.store_id()
    }

    /// Epoch this replica listens to.
    #[must_use]
    pub fn fenced_epoch(&self) -> Epoch {
        // Pairs with the Release in `heed`: who sees the epoch finds the promise on disk.
        Epoch(self.fenced.load(Ordering::Acquire))
    }

    /// The claim this replica listens to.
    #[must_use]
    pub fn claim(&self) -> Claim {
        self.fence.lock().claim()
    }

    /// Listens to nobody older than `claim` from now on. Whoever appends here with a newer claim
    /// raises the fence first: otherwise a deposed leader on this replica could write behind the
    /// new one's records.
    fn heed(&self, claim: Claim) -> Result<(), ReplicationError> {
        let mut fence = self.fence.lock();
        if fence.claim() == claim {
            return Ok(());
        }
        fence.raise(&*self.disk, claim)?;
        self.fenced.store(claim.epoch.0, Ordering::Release);
        // The replica follows until the holder of the claim begins its own epoch here.
        self.store.step_down();
        Ok(())
    }

    /// Closes the store so that the next opening has nothing to repair.
    ///
    /// # Errors
    /// The store's.
    pub fn close(self) -> Result<(), ReplicationError> {
        Ok(self.store.close()?)
    }
}

impl Replica for LocalReplica {
    fn fence(&self, claim: Claim) -> Result<(), ReplicationError> {
        self.heed(claim)
    }

    fn shape(&self) -> LogShape {
        // The end is read first: an epoch that begins in between must not lie past it. Records that
        // are still being copied are waited for, so that the end is one.
        let end = self.store.snapshot().lsn();
        let mut vector = self.store.epoch_vector();
        vector.retain(|(_, first)| *first < end);
        LogShape::new(vector, end)
    }

    fn durable(&self) -> Lsn {
        self.store.durable()
    }

    fn read_log(&self, from: Lsn, max_bytes: usize) -> Result<LogChunk, ReplicationError> {
        Ok(self.store.read_log(from, max_bytes)?)
    }

    fn apply(&self, claim: Claim, chunk: &LogChunk) -> Result<(), ReplicationError> {
        self.heed(claim)?;
        self.store.apply(chunk)?;
        Ok(())
    }

    fn truncate(&self, claim: Claim, to: Lsn) -> Result<Vec<PathBuf>, ReplicationError> {
        self.heed(claim)?;
        Ok(self.store.truncate(to)?.kept)
    }

    fn begin_epoch(&self, claim: Claim) -> Result<Lsn, ReplicationError> {
        self.heed(claim)?;
        let written = self
            .store
            .begin_epoch(claim.epoch, claim.holder, self.store.incarnation())?;
        Ok(written.end)
    }

    fn sync(&self) -> Result<Lsn, ReplicationError> {
        Ok(self.store.sync()?)
    }
}
