//! Compaction of all replicas: what may go is decided here, the stores do the work.
//!
//! In: commit positions, followers' positions, moves that are under way. Out: limits for each store.
//! Only committed records become tables, since nothing committed is ever taken back. Log records stay as
//! long as a member may ask for them. While slots move nothing is compacted: the copy needs deletions and
//! the position of the freeze. What must never happen: a replica compacts what its leader has not got.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use serde::Serialize;

use super::group::{Group, GroupState};
use super::{Cluster, ClusterError, Inner};
use crate::ids::{Lsn, ShardId};
use crate::replication::Replica;
use crate::store::{CompactionLimits, CompactionReport, CompactionStep};

/// How often the thread looks for work.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// When replicas are compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClusterCompaction {
    /// By [`Cluster::compact`] and [`Cluster::compact_step`] only.
    #[default]
    Manual,
    /// A thread of the cluster takes steps as there is work.
    Background {
        /// See [`CompactOptions::release_log`].
        release_log: bool,
    },
}

/// How replicas are compacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactOptions {
    /// Removes log records that every member of the shard has, so that space is bounded by the live
    /// data. A replica that is emptied or replaced later can then no longer be copied from the first
    /// record, and stays out of service. While a member is missing nothing is removed.
    pub release_log: bool,
}

/// What was done on one replica.
#[derive(Clone, Debug, Serialize)]
pub struct ReplicaCompaction {
    /// Its node.
    pub node: String,
    /// Its shard.
    pub shard: ShardId,
    /// What was done.
    pub report: CompactionReport,
    /// Bytes of its files before.
    pub bytes_before: u64,
    /// Bytes of its files afterwards.
    pub bytes_after: u64,
}

/// The compaction thread; dropping it joins it.
#[derive(Debug)]
pub(super) struct Compactor {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Compactor {
    pub(super) fn start(inner: Arc<Inner>, options: CompactOptions) -> Compactor {
        let (stop, stopped) = bounded::<()>(1);
        let body = move || {
            let mut pause = LOOK_EVERY;
            while matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
                let busy = inner.compact_once(options).unwrap_or_else(|error| {
                    tracing::warn!(%error, "compaction rests");
                    false
                });
                // Between two steps others get the group's lock.
                pause = if busy {
                    Duration::from_millis(1)
                } else {
                    LOOK_EVERY
                };
            }
        };
        let thread = std::thread::Builder::new()
            .name("atoll-compact".into())
            .spawn(body);
        let thread = thread.expect("a process that can open files can start a thread");
        Compactor {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        let _ = self.stop.try_send(());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the compaction thread panicked");
        }
    }
}

impl Inner {
    /// What replica `index` may compact at the moment; `None` for nothing.
    fn limits(
        &self,
        group: &Group,
        state: &GroupState,
        index: usize,
        options: CompactOptions,
    ) -> Option<CompactionLimits> {
        let (primary, leader) = state.leader(group.shard).ok()?;
        let replica = state.copies[index].live()?;
        let shape = leader.shape();
        let mut below = group.commit();
        if index != primary {
            below = below.min(replica.shape().common_point(&shape));
        }
        let needed = state.copies.iter().map(|copy| match copy.live() {
            Some(replica) if copy.counts => replica.store().durable(),
            // Out of service or not caught up: it may want any of it.
            _ => Lsn::ZERO,
        });
        let keep_log_from = match options.release_log {
            true => needed.min().unwrap_or(Lsn::ZERO),
            false => Lsn::ZERO,
        };
        Some(CompactionLimits {
            below,
            keep_log_from,
            ..CompactionLimits::default()
        })
    }

    /// One step on one replica, if it has work.
    fn compact_replica(
        &self,
        group: &Group,
        index: usize,
        options: CompactOptions,
    ) -> Result<Option<CompactionStep>, ClusterError> {
        // A move that begins now finds what was deleted after its snapshot: the limits lie below it.
        if self.read_mover()?.is_some() {
            return Ok(None);
        }
        let state = group.state.read();
        let Some(limits) = self.limits(group, &state, index, options) else {
            return Ok(None);
        };
        let copy = &state.copies[index];
        let Some(replica) = copy.live() else {
            return Ok(None);
        };
        let step = replica.store().compact_step(&limits);
        step.map_err(|source| ClusterError::store(&copy.node, group.shard, source))
    }

    /// One step on every replica that has work; whether any had.
    fn compact_once(&self, options: CompactOptions) -> Result<bool, ClusterError> {
        let mut busy = false;
        let mut first = None;
        for group in self.groups() {
            let copies = group.state.read().copies.len();
            for index in 0..copies {
                match self.compact_replica(&group, index, options) {
                    Ok(step) => busy |= step.is_some(),
                    // The others go on: a damaged or full disk is its node's own.
                    Err(error) => first = first.or(Some(error)),
                }
            }
        }
        match first {
            Some(error) => Err(error),
            None => Ok(busy),
        }
    }
}

impl Cluster {
    /// Takes one step of compaction on every replica that has work, as the background thread would;
    /// `false` when there is none.
    ///
    /// # Errors
    /// The first failure; it does not keep other replicas from their step, and no answer changes.
    pub fn compact_step(&self, options: &CompactOptions) -> Result<bool, ClusterError> {
        self.inner.compact_once(*options)
    }

    /// Compacts what is committed on every replica in service, one after the other, while reads and
    /// writes go on. Active segments are ended first, so that their records are part of it. `progress` is
    /// told every step.
    ///
    /// # Errors
    /// The first failure; what was done before stays done.
    pub fn compact(
        &self,
        options: &CompactOptions,
        progress: &mut dyn FnMut(&str, ShardId, &CompactionStep),
    ) -> Result<Vec<ReplicaCompaction>, ClusterError> {
        let inner = &self.inner;
        self.pump();
        let mut done = Vec::new();
        for group in inner.groups() {
            let copies = group.state.read().copies.len();
            for index in 0..copies {
                let (node, bytes_before) = {
                    let state = group.state.read();
                    let copy = &state.copies[index];
                    let Some(replica) = copy.live() else { continue };
                    let sealed = replica.store().seal_segment();
                    sealed.map_err(|source| ClusterError::store(&copy.node, group.shard, source))?;
                    (copy.node.clone(), replica.store().stats().disk_bytes())
                };
                let mut report = CompactionReport::default();
                while let Some(step) = inner.compact_replica(&group, index, *options)? {
                    report.add(&step);
                    progress(&node, group.shard, &step);
                }
                let state = group.state.read();
                let after = state.copies[index].live().map(|replica| replica.store().stats());
                done.push(ReplicaCompaction {
                    node,
                    shard: group.shard,
                    report,
                    bytes_before,
                    bytes_after: after.map_or(0, |stats| stats.disk_bytes()),
                });
            }
        }
        Ok(done)
    }
}
