//! Deleting a range of keys.
//!
//! In: bounds. Out: how many keys went. There is no record that stands for a range: one would have to be looked
//! for by every read of every key in it. The keys are found by scans and deleted in groups instead, so memory
//! stays constant, readers and writers go on, and an interrupted call is simply made again.

use std::ops::Bound;

use super::{Cluster, ClusterError, ReadOptions, WriteDurability};
use crate::replication::Token;

/// Keys looked up at a time.
const ROUND_KEYS: usize = 8192;

impl Cluster {
    /// Deletes every key between the bounds; returns how many there were, and a token of all of it.
    ///
    /// Not one atomic step: a scan finds the keys, and they go in groups of some hundred, each whole within
    /// its shard and as durable as asked before the next. `progress` is told after each group how many have
    /// gone. Memory does not grow with the range. What is written into the range after the call began may
    /// stay or go. Each key leaves a deletion that compaction takes away later. Ends where an error ends it:
    /// called again, it goes on.
    ///
    /// # Errors
    /// As for [`Cluster::scan`] and [`Cluster::put_many`].
    pub fn delete_range(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        durability: WriteDurability,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(u64, Token), ClusterError> {
        let (mut deleted, mut token) = (0, Token::default());
        let mut from = start.map(<[u8]>::to_vec);
        loop {
            // A scan of its own for each round, so that what is being deleted holds nothing back.
            let scan = self.scan(from.as_ref().map(Vec::as_slice), end, &ReadOptions::default())?;
            let mut keys = Vec::with_capacity(ROUND_KEYS);
            for entry in scan.take(ROUND_KEYS) {
                keys.push(entry?.key);
            }
            let Some(last) = keys.last().cloned() else {
                return Ok((deleted, token));
            };
            token.merge(&self.delete_many(&keys, durability)?)?;
            deleted += keys.len() as u64;
            progress(deleted);
            if keys.len() < ROUND_KEYS {
                return Ok((deleted, token));
            }
            from = Bound::Excluded(last);
        }
    }
}
