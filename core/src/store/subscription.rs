//! Following what is written to a store: its log, from a position on, and a call when there is more.
//!
//! In: a position. Out: whole records in order ([`LogChunk`]), each once, batches never torn. The log is
//! kept from the subscriber's position on, so a subscriber that stands still lets it grow. A writer asks one
//! number after each write, whether anybody waits; only then does it do more. What must never happen: a
//! subscriber sleeps although there is something for it, or keeps a closed store open.
//!
//! A subscriber says that it waits and then looks at the end of the log once more; a writer completes its
//! record and then asks whether anybody waits. Between the two steps of each there is a full barrier, so at
//! least one of them sees the other.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{LogChunk, Shared, Store, StoreError};
use crate::ids::{Lsn, ShardId, Uuid};
use crate::log::LogError;
use crate::log::frame::{Frame, FrameError};

/// A position that nobody waits at.
const AWAKE: u64 = u64::MAX;

/// Called from the thread of a writer, once for each time it was asked for. It must not block, nor call the
/// store.
pub type Notify = Box<dyn Fn() + Send + Sync>;

/// Those who wait for more.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// How many wait at the moment.
    waiting: AtomicUsize,
    all: Mutex<Vec<Weak<Waiter>>>,
}

struct Waiter {
    /// There is something for it beyond this; [`AWAKE`] while it does not wait.
    at: AtomicU64,
    notify: Notify,
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Waiters {
    /// After a record has been completed: wakes those for whom it was the first.
    #[inline]
    pub(super) fn wake(&self, stable: impl FnOnce() -> Lsn) {
        // On x86-64 letting go of the slot in flight was a full barrier.
        #[cfg(not(target_arch = "x86_64"))]
        std::sync::atomic::fence(Ordering::SeqCst);
        #[cfg(target_arch = "x86_64")]
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.wake_below(stable());
        }
    }

    fn add(&self, waiter: &Arc<Waiter>) {
        let mut all = self.all.lock();
        // Those that have gone since: their memory stays as long as anything points to it.
        all.retain(|waiter| waiter.strong_count() > 0);
        all.push(Arc::downgrade(waiter));
    }

    #[cold]
    fn wake_below(&self, stable: Lsn) {
        let mut all = self.all.lock();
        all.retain(|waiter| {
            let Some(waiter) = waiter.upgrade() else {
                return false;
            };
            if waiter.at.load(Ordering::Acquire) < stable.0 && self.end_wait(&waiter) {
                (waiter.notify)();
            }
            true
        });
    }

    /// Whether it was waiting.
    fn end_wait(&self, waiter: &Waiter) -> bool {
        let waited = waiter.at.swap(AWAKE, Ordering::AcqRel) != AWAKE;
        if waited {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        waited
    }

    fn begin_wait(&self, waiter: &Waiter, at: Lsn) {
        if waiter.at.swap(at.0, Ordering::AcqRel) == AWAKE {
            self.waiting.fetch_add(1, Ordering::SeqCst);
        }
        std::sync::atomic::fence(Ordering::SeqCst);
    }
}

/// A place in the log of a store that moves on as it is read. It does not keep the store open: once that is
/// closed, every call says so. One thread at a time reads; dropped, it lets the log go.
#[derive(Debug)]
pub struct Subscription {
    shared: Weak<Shared>,
    waiter: Arc<Waiter>,
    next: Lsn,
    dir: std::path::PathBuf,
}

impl Store {
    /// Follows the log from `from` on: [`Store::tail`] for what comes from now on, the `end` of a chunk to go
    /// on behind it. `notify` is called when there is more, each time [`Subscription::wait_for_more`] has asked
    /// for that. What is read may not be durable yet: a power cut can take it back.
    ///
    /// # Errors
    /// [`LogError::Released`] when that part of the log is gone, [`LogError::Gap`] past the end.
    pub fn subscribe(&self, from: Lsn, notify: Notify) -> Result<Subscription, StoreError> {
        let stable = self.stable();
        if from > stable {
            return Err(LogError::Gap {
                expected: stable,
                found: from,
            }
            .into());
        }
        let released = || LogError::Released {
            start: self.log.start(),
            found: from,
        };
        if !self.history.need_log(from) {
            return Err(released().into());
        }
        // From here on it stays, if it was still there.
        let subscription = Subscription {
            shared: Arc::downgrade(&self.shared),
            waiter: Arc::new(Waiter {
                at: AtomicU64::new(AWAKE),
                notify,
            }),
            next: from,
            dir: self.dir.clone(),
        };
        if from < self.log.start() {
            return Err(released().into());
        }
        self.waiters.add(&subscription.waiter);
        Ok(subscription)
    }

    /// Appends the records of a frame that a subscription of another store of the same shard gave, as far as
    /// they are not there yet; returns the end of the log. A frame may come again, whole or in part: nothing
    /// changes then. The store must not be the primary of its shard, see [`Store::open`].
    ///
    /// # Errors
    /// [`LogError::Gap`] when something before the frame is missing, or the frame is of another log;
    /// [`LogError::StaleEpoch`] when this store leads, or its log has gone on under another leadership; damage.
    pub fn apply_frame(&self, frame: &[u8]) -> Result<Lsn, StoreError> {
        let damaged = |error: FrameError| {
            LogError::corrupt(std::path::Path::new("frame of a log"), 0, format_args!("{error}"))
        };
        let frame = Frame::parse(frame).map_err(damaged)?;
        let ours: (Uuid, ShardId) = (self.log.control().cluster, self.log.control().shard);
        let tail = self.tail();
        let gap = |found| LogError::Gap {
            expected: tail,
            found,
        };
        if frame.shard() != ours || frame.from() > tail {
            return Err(gap(frame.from()).into());
        }
        if frame.end() <= tail {
            return Ok(tail);
        }
        if self.log.is_leader() {
            // Whatever epoch the frame is of: a store that writes by itself is nobody's copy.
            return Err(LogError::StaleEpoch {
                ours: self.epoch(),
                theirs: frame.epoch(),
            }
            .into());
        }
        let chunk = frame.chunk_from(tail).map_err(damaged)?;
        self.apply(&chunk.ok_or_else(|| gap(frame.from()))?)
    }
}

impl Subscription {
    fn store(&self) -> Result<Arc<Shared>, StoreError> {
        self.shared.upgrade().ok_or_else(|| StoreError::Closed {
            path: self.dir.clone(),
        })
    }

    /// Position of the next record.
    #[must_use]
    pub fn position(&self) -> Lsn {
        self.next
    }

    /// The next records, about `max_bytes` of them and at least one, of one epoch; none if there is nothing
    /// new. Whoever has to go on after a crash keeps the `end` of the last chunk it has dealt with.
    ///
    /// # Errors
    /// Closed; damage, naming file and offset; [`LogError::Gap`] when a truncation took back what had been read.
    pub fn read(&mut self, max_bytes: usize) -> Result<LogChunk, StoreError> {
        let store = self.store()?;
        store.log.check_forked()?;
        let chunk = store.log.read_chunk(self.next, max_bytes)?;
        let end = chunk.end();
        if end > self.next && store.history.need_log(end) {
            store.history.need_log_no_more(self.next);
            self.next = end;
        }
        Ok(chunk)
    }

    /// The chunk as a frame that can be kept, sent and applied to a copy; see [`Store::apply_frame`].
    ///
    /// # Errors
    /// Closed.
    pub fn frame(&self, chunk: &LogChunk) -> Result<Vec<u8>, StoreError> {
        let store = self.store()?;
        let control = store.log.control();
        Ok(chunk.to_frame(control.cluster, control.shard))
    }

    /// Asks for one call of the notification as soon as there is something to read; `false` if there is
    /// already, and then no call comes.
    ///
    /// # Errors
    /// Closed.
    pub fn wait_for_more(&self) -> Result<bool, StoreError> {
        let store = self.store()?;
        store.waiters.begin_wait(&self.waiter, self.next);
        let is_quiet = store.log.stable() <= self.next;
        if !is_quiet {
            store.waiters.end_wait(&self.waiter);
        }
        Ok(is_quiet)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(store) = self.shared.upgrade() else {
            return;
        };
        if store.log.check_forked().is_ok() {
            store.waiters.end_wait(&self.waiter);
            store.history.need_log_no_more(self.next);
        }
    }
}
