//! All keys in order, over all shards.
//!
//! In: bounds, a level. Out: one ordered stream merged from a snapshot of each shard, without
//! what a shard has left of slots it no longer owns. Snapshots of different shards are taken one
//! after the other: the scan is consistent within a shard, not across them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Bound;
use std::sync::Arc;

use super::consistency::ReadOptions;
use super::reads::{MAX_OVERTAKEN, Needs};
use super::{Cluster, ClusterError};
use crate::ids::{Lsn, ShardId};
use crate::replication::Token;
use crate::routing::Topology;
use crate::store::{Entry, Scan, StoreError, Value};

/// One key of a scan.
#[derive(Clone, Debug)]
pub struct ClusterEntry {
    /// The key.
    pub key: Vec<u8>,
    /// Its value, pinned where it lies.
    pub value: Value,
    /// Shard it lives in.
    pub shard: ShardId,
    /// Position of the version in the shard's log.
    pub lsn: Lsn,
}

/// One shard's part of a scan.
struct Part {
    shard: ShardId,
    node: String,
    scan: Scan,
}

impl Part {
    /// The next entry that lives here.
    fn next(&mut self, topology: &Topology) -> Result<Option<Entry>, ClusterError> {
        for entry in self.scan.by_ref() {
            let entry = entry.map_err(|source| ClusterError::store(&self.node, self.shard, source))?;
            let slot = topology.slot_of(&entry.key);
            let lives = topology.shard_of_slot(slot) == self.shard && entry.lsn.0 >= topology.residency(slot);
            if lives && entry.value.is_some() {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// The smallest key comes out of the heap first.
struct Head {
    entry: Entry,
    part: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        (&*other.entry.key, other.part).cmp(&(&*self.entry.key, self.part))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// Iterator over the keys of a cluster in byte order. Goes on beside writers, and keeps the files
/// it reads from in place.
pub struct ClusterScan {
    topology: Arc<Topology>,
    parts: Vec<Part>,
    heads: BinaryHeap<Head>,
    failed: Option<ClusterError>,
}

impl std::fmt::Debug for ClusterScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterScan")
            .field("parts", &self.parts.len())
            .finish()
    }
}

impl ClusterScan {
    fn pull(&mut self, part: usize) {
        match self.parts[part].next(&self.topology) {
            Ok(Some(entry)) => self.heads.push(Head { entry, part }),
            Ok(None) => {}
            Err(error) => self.failed = Some(error),
        }
    }
}

impl Iterator for ClusterScan {
    type Item = Result<ClusterEntry, ClusterError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            // A scan that leaves something out is worse than one that ends.
            self.heads.clear();
            return Some(Err(error));
        }
        let Head { entry, part } = self.heads.pop()?;
        self.pull(part);
        let value = entry.value.expect("parts hand out living versions only");
        Some(Ok(ClusterEntry {
            key: entry.key.to_vec(),
            value,
            shard: self.parts[part].shard,
            lsn: entry.lsn,
        }))
    }
}

impl Cluster {
    /// Keys between the bounds in byte order.
    ///
    /// # Errors
    /// As for [`Cluster::get`], for every shard.
    pub fn scan(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        options: &ReadOptions,
    ) -> Result<ClusterScan, ClusterError> {
        self.scan_seen(start, end, options, None)
    }

    /// As [`Cluster::scan`]; `seen` is told what a later read has to have so that it does not go back in time.
    pub(super) fn scan_seen(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        options: &ReadOptions,
        seen: Option<&mut Token>,
    ) -> Result<ClusterScan, ClusterError> {
        let (topology, parts) = self.parts(start, end, options, seen)?;
        let count = parts.len();
        let mut scan = ClusterScan {
            topology,
            parts,
            heads: BinaryHeap::with_capacity(count),
            failed: None,
        };
        for part in 0..count {
            scan.pull(part);
        }
        Ok(scan)
    }

    /// Number of keys.
    ///
    /// # Errors
    /// As for [`Cluster::scan`].
    pub fn count(&self, options: &ReadOptions) -> Result<u64, ClusterError> {
        self.count_seen(options, None)
    }

    /// As [`Cluster::count`]; `seen` is told what a later read has to have so that it does not go back in time.
    pub(super) fn count_seen(
        &self,
        options: &ReadOptions,
        seen: Option<&mut Token>,
    ) -> Result<u64, ClusterError> {
        let (topology, parts) = self.parts(Bound::Unbounded, Bound::Unbounded, options, seen)?;
        let mut count = 0;
        // No order is needed across shards, so there is no merge.
        for mut part in parts {
            while part.next(&topology)?.is_some() {
                count += 1;
            }
        }
        Ok(count)
    }

    fn parts(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        options: &ReadOptions,
        seen: Option<&mut Token>,
    ) -> Result<(Arc<Topology>, Vec<Part>), ClusterError> {
        let inner = &self.inner;
        let mut overtaken = 0;
        'again: loop {
            let mut noted = Token::default();
            let topology = inner.topology.load_full();
            let counts = topology.slot_counts();
            let mut parts = Vec::new();
            for shard in topology
                .shards()
                .iter()
                .filter(|shard| counts[shard.id.0 as usize] > 0)
            {
                let group = match inner.group(shard.id) {
                    Ok(group) => group,
                    Err(_) if inner.topology.load().version() != topology.version() => continue 'again,
                    Err(error) => return Err(error),
                };
                let state = group.state.read();
                let (index, bound) = inner.choose(&group, &state, Needs::All, options)?;
                let copy = &state.copies[index];
                let Some(replica) = copy.live() else {
                    continue 'again;
                };
                let snapshot = replica.store().snapshot_at(bound);
                if seen.is_some() {
                    inner.note_seen(shard.id, replica, snapshot.lsn(), &mut noted)?;
                }
                let scan = snapshot.scan(start, end);
                if matches!(scan, Err(StoreError::SnapshotTooOld { .. })) && overtaken < MAX_OVERTAKEN {
                    overtaken += 1;
                    // Compaction went past the commit position of a moment ago; there is a newer one.
                    continue 'again;
                }
                let scan = scan.map_err(|source| ClusterError::store(&copy.node, shard.id, source))?;
                parts.push(Part {
                    shard: shard.id,
                    node: copy.node.clone(),
                    scan,
                });
            }
            // Slots that moved while the snapshots were taken could be seen twice, or not at all.
            if inner.topology.load().version() == topology.version() {
                if let Some(seen) = seen {
                    seen.merge(&noted)?;
                }
                return Ok((topology, parts));
            }
        }
    }
}
