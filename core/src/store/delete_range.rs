//! Deleting a range of keys of one store.
//!
//! In: bounds. Out: how many keys went. There is no record that stands for a range: one would have to be looked
//! for by every read of every key in it. The keys are found by scans and deleted in batches instead, so memory
//! stays constant, readers and writers go on, and an interrupted call is simply made again.

use std::ops::Bound;

use super::batch::WriteBatch;
use super::scan::ScanOptions;
use super::write::{Durability, Written};
use super::{Store, StoreError};

/// Keys of a batch.
const BATCH_KEYS: u64 = 1024;

impl Store {
    /// Deletes every key between the bounds; returns how many there were, and where the last batch of
    /// deletions stands.
    ///
    /// Not one atomic step: a scan finds the keys, and they go in batches of about a thousand, each whole, and
    /// all as durable as asked on return. `progress` is told after each batch how many have gone. Memory does
    /// not grow with the range. What is written into the range after the call began may stay or go. Each key
    /// leaves a deletion that compaction takes away later. Ends where an error ends it: called again, it goes
    /// on.
    ///
    /// # Errors
    /// As for [`super::Snapshot::scan`] and [`Store::write`].
    pub fn delete_range(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        durability: Durability,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(u64, Option<Written>), StoreError> {
        let options = ScanOptions {
            limit: Some(BATCH_KEYS),
            ..ScanOptions::default()
        };
        let (mut deleted, mut last) = (0, None);
        let mut from = start.map(<[u8]>::to_vec);
        loop {
            let mut batch = WriteBatch::new();
            let next = {
                // Of its own, so that what is being deleted holds nothing back.
                let snapshot = self.snapshot();
                let mut scan = snapshot.scan_with(from.as_ref().map(Vec::as_slice), end, options)?;
                let mut next = None;
                while let Some(entry) = scan.next_entry()? {
                    batch.delete(entry.key);
                    next = Some(entry.key.to_vec());
                }
                next
            };
            if let Some(next) = next {
                last = Some(self.write(&batch, Durability::Buffered)?);
                deleted += batch.len() as u64;
                progress(deleted);
                from = Bound::Excluded(next);
            }
            if (batch.len() as u64) < BATCH_KEYS {
                if let (Some(written), Durability::Synced) = (last, durability) {
                    self.settle(written, durability)?;
                }
                return Ok((deleted, last));
            }
        }
    }
}
