//! The thread that prepares, seals and syncs so that writers need not.
//!
//! In: an open log. Out: nothing a caller could see but time saved: without this thread the same
//! steps are taken by whoever needs them. It is asked to stop, and joined, when its handle drops;
//! after a failed sync it ends by itself, since the log takes no more writes.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Log, LogError};

/// A running thread; dropping the handle ends it.
#[derive(Debug)]
pub(crate) struct Background {
    log: Arc<Log>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts the thread, which makes everything durable at least every `sync_interval`.
    ///
    /// # Errors
    /// [`LogError::Io`] when the system gives no thread.
    pub(crate) fn start(log: &Arc<Log>, sync_interval: Option<Duration>) -> Result<Background, LogError> {
        let worker = Arc::clone(log);
        let thread = std::thread::Builder::new()
            .name("atoll-log".into())
            .spawn(move || run(&worker, sync_interval))
            .map_err(|e| LogError::io("start a thread for", log.dir(), e))?;
        Ok(Background {
            log: Arc::clone(log),
            thread: Some(thread),
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.log.check_forked().is_err() {
            // The thread is the parent's, and its locks may be held for ever here.
            std::mem::forget(self.thread.take());
            return;
        }
        self.log.chores.list().stopping = true;
        self.log.chores.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(path = %self.log.dir().display(), "the background thread of a log panicked");
        }
    }
}

fn run(log: &Log, sync_interval: Option<Duration>) {
    let mut due = sync_interval.map(|interval| Instant::now() + interval);
    loop {
        {
            let mut list = log.chores.list();
            while list.is_idle() && !list.stopping {
                match due {
                    None => log.chores.changed.wait(&mut list),
                    Some(due) if log.chores.changed.wait_until(&mut list, due).timed_out() => break,
                    Some(_) => {}
                }
            }
            if list.stopping {
                return;
            }
        }
        let mut outcome = log.do_chores();
        if let (Some(at), Some(interval)) = (due, sync_interval)
            && Instant::now() >= at
        {
            outcome = outcome.and_then(|()| log.sync().map(drop));
            due = Some(Instant::now() + interval);
        }
        if outcome.is_err() {
            // Said once, by whoever poisoned the log.
            return;
        }
    }
}
