//! What goes on between calls: followers catch up, buffered writes become durable, failed
//! replicas are dealt with.
//!
//! In: wake-ups. Out: the same work [`super::Cluster::pump`] does. The thread ends before the
//! cluster does and never holds more than one group's lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::Inner;
use super::group::Group;
use crate::replication::Replica;

/// Pause between rounds, so that a busy writer's records travel in larger pieces.
const PAUSE: Duration = Duration::from_millis(2);

/// The background thread; dropping it joins it.
#[derive(Debug)]
pub(super) struct Shipper {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Shipper {
    pub(super) fn start(inner: Arc<Inner>, woken: Receiver<()>) -> Shipper {
        let (stop, stopped) = bounded::<()>(1);
        let body = move || {
            let every = inner.options.sync_every;
            let mut synced_at = inner.env.clock.elapsed();
            loop {
                // Without writes the thread wakes only for what is due.
                let due = crossbeam::channel::after(every);
                crossbeam::select! {
                    recv(stopped) -> _ => break,
                    recv(woken) -> _ => {}
                    recv(due) -> _ => {}
                }
                let now = inner.env.clock.elapsed();
                let sync = now.saturating_sub(synced_at) >= every;
                if sync {
                    synced_at = now;
                }
                inner.pump(sync, false);
                if !matches!(stopped.recv_timeout(PAUSE), Err(RecvTimeoutError::Timeout)) {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("atoll-shipper".into())
            .spawn(body);
        let thread = thread.expect("a process that can open files can start a thread");
        Shipper {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        let _ = self.stop.try_send(());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the background thread panicked");
        }
    }
}

impl Inner {
    /// Tells the background thread that followers of the group lack something.
    pub(super) fn wake(&self, group: &Group) {
        // Looked at before it is written: on a busy shard it is set already, and a plain load
        // does not take the cache line from the other writers.
        if !group.dirty.load(Ordering::Relaxed) && !group.dirty.swap(true, Ordering::AcqRel) {
            let _ = self.wake.try_send(());
        }
    }

    /// One pass over all shards; `all` also over those that nobody has written to.
    pub(super) fn pump(&self, sync: bool, all: bool) {
        for group in self.groups() {
            let dirty = group.dirty.load(Ordering::Acquire);
            if all || dirty || sync {
                self.pump_group(&group, sync);
            }
        }
    }

    fn pump_group(&self, group: &Group, sync: bool) {
        let now = self.env.clock.elapsed();
        let (mut failed, mut learners) = (false, false);
        let leaderless;
        {
            let state = group.state.read();
            leaderless = state.primary.is_none() && state.live_counting() >= state.members.quorum;
            if let Ok((primary, leader)) = state.leader(group.shard) {
                group.dirty.store(false, Ordering::Release);
                if sync
                    && leader.store().durable() < leader.store().tail()
                    && let Err(error) = leader.sync()
                {
                    state.copies[primary].fail(error.to_string());
                }
                let upto = leader.store().stable();
                for index in (0..state.copies.len()).filter(|index| *index != primary) {
                    let copy = &state.copies[index];
                    let Some(follower) = copy.live() else { continue };
                    let lacks = follower.store().tail() < upto || (sync && follower.store().durable() < upto);
                    if lacks {
                        group.ship(&state, leader, index, upto, sync, now);
                    } else {
                        copy.seen_fresh(now);
                    }
                    learners |= !copy.counts;
                }
                group.refresh_commit(&state);
            }
            failed |= state.copies.iter().any(|copy| copy.has_failed());
        }
        if failed || leaderless {
            self.heal(group);
        }
        if learners {
            self.readmit(group, &mut group.state.write());
        }
    }
}
