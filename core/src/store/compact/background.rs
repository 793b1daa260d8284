//! Compaction on a thread of its own.
//!
//! In: a rate. Out: the same steps as by hand, one after the other, written no faster than that. The
//! thread ends before the store does, in the middle of a step if need be. It never runs under the
//! simulated machine's control: tests there take steps by hand.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::super::table::TableError;
use super::super::{Store, StoreError};
use super::{CompactionLimits, Eagerness};
use crate::io::fork;

/// How often the thread looks whether there is work.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Pause after a failure: a full disk may have room again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Flushed from so many bytes of sealed segments on: smaller runs would only be merged again.
const FLUSH_FROM_BYTES: u64 = 32 << 20;

/// The thread; dropping it stops and joins it.
#[derive(Debug)]
pub(in crate::store) struct Background {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
    /// [`fork::generation`] of the process that started it.
    born: u64,
}

impl Background {
    /// Starts compacting `store`, a handle of its own, at most `rate_bytes_per_s` (0: unlimited).
    pub(in crate::store) fn start(
        store: Store,
        limits: CompactionLimits,
        rate_bytes_per_s: u64,
    ) -> std::io::Result<Background> {
        let (stop, stopped) = bounded::<()>(1);
        let body = move || run(&store, &limits, rate_bytes_per_s, &stopped);
        let thread = std::thread::Builder::new()
            .name("atoll-compact".into())
            .spawn(body)?;
        Ok(Background {
            stop,
            thread: Some(thread),
            born: fork::generation(),
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if fork::generation() != self.born {
            // The thread is the parent's, and what it locks may be locked for ever here.
            std::mem::forget(self.thread.take());
            return;
        }
        let _ = self.stop.try_send(());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the compaction thread panicked");
        }
    }
}

/// Waits; `false` when the thread has to end.
fn wait(stopped: &Receiver<()>, pause: Duration) -> bool {
    matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout))
}

fn run(store: &Store, limits: &CompactionLimits, rate: u64, stopped: &Receiver<()>) {
    let eagerness = Eagerness {
        flush_from_bytes: FLUSH_FROM_BYTES.min(store.log.reserve_bytes()),
        merge_all: false,
        rewrite: false,
    };
    let mut pace = Pace::new(rate);
    let mut ended = false;
    let mut pause = LOOK_EVERY;
    while !ended && wait(stopped, pause) {
        pause = LOOK_EVERY;
        loop {
            let step = store.step(limits, eagerness, &mut |bytes| {
                if wait(stopped, pace.pause(bytes)) {
                    return Ok(());
                }
                ended = true;
                Err(TableError::Stopped)
            });
            match step {
                Ok(Some(_)) if wait(stopped, Duration::ZERO) => {}
                Ok(None) => break,
                Ok(Some(_)) | Err(StoreError::Table(TableError::Stopped)) => {
                    ended = true;
                    break;
                }
                Err(StoreError::CompactionHalted { .. }) => return,
                Err(error) => {
                    tracing::warn!(path = %store.dir().display(), %error, "compaction failed and will be tried again");
                    pause = RETRY_AFTER;
                    break;
                }
            }
        }
    }
}

/// Spreads writes over time.
struct Pace {
    rate: u64,
    /// When the next write may begin.
    next: Instant,
}

impl Pace {
    fn new(rate: u64) -> Pace {
        Pace {
            rate,
            next: Instant::now(),
        }
    }

    /// How long to wait before writing so many bytes.
    fn pause(&mut self, bytes: usize) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let start = self.next.max(now);
        self.next = start + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        start.saturating_duration_since(now)
    }
}
