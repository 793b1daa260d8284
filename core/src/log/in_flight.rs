//! Which reservations are not finished yet: one cache line a writer.
//!
//! A writer claims a slot before it reserves, publishes its position there under the append lock
//! before the tail moves, and frees the slot once its record is committed and indexed. Whoever
//! reads the tail first and the slots afterwards therefore knows: every record below
//! `min(slots)`, or below the tail when no slot is smaller, is complete. Nothing here blocks a
//! writer for longer than it takes some other writer to finish.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam::utils::CachePadded;

use crate::ids::Lsn;

/// More writers than this at one moment wait for each other; far above any core count here.
const SLOTS: usize = 64;
const FREE: u64 = u64::MAX;
/// Claimed, but no position handed out yet: does not bound anything.
const CLAIMED: u64 = u64::MAX - 1;

/// The array.
#[derive(Debug)]
pub(crate) struct InFlight {
    slots: Box<[CachePadded<AtomicU64>]>,
    hint: AtomicUsize,
}

/// A claimed slot; dropping it says the record is complete.
#[derive(Debug)]
pub(crate) struct InFlightSlot<'a> {
    slot: &'a AtomicU64,
}

impl InFlight {
    pub(crate) fn new() -> InFlight {
        InFlight {
            slots: (0..SLOTS)
                .map(|_| CachePadded::new(AtomicU64::new(FREE)))
                .collect(),
            hint: AtomicUsize::new(0),
        }
    }

    pub(crate) fn claim(&self) -> InFlightSlot<'_> {
        thread_local! {
            static START: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
        }
        // A thread keeps coming back to its own slot, so its cache line stays with its core.
        let start = START.with(|start| {
            start.get().unwrap_or_else(|| {
                let fresh = self.hint.fetch_add(1, Ordering::Relaxed);
                start.set(Some(fresh));
                fresh
            })
        });
        loop {
            for i in 0..SLOTS {
                let slot = &self.slots[(start + i) % SLOTS];
                if slot.load(Ordering::Relaxed) == FREE
                    && slot
                        .compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
                {
                    return InFlightSlot { slot };
                }
            }
            std::thread::yield_now();
        }
    }

    /// Smallest position that is still being written, if any. Read the tail *before* this.
    pub(crate) fn min(&self) -> Option<Lsn> {
        self.slots
            .iter()
            // Pairs with the Release in `InFlightSlot::drop`: a free slot means its record is visible.
            .map(|slot| slot.load(Ordering::Acquire))
            .filter(|lsn| *lsn < CLAIMED)
            .min()
            .map(Lsn)
    }
}

impl InFlightSlot<'_> {
    /// Publishes the position; called under the append lock, before the tail moves.
    pub(crate) fn publish(&self, lsn: Lsn) {
        // Ordered before the Release store of the tail, which readers acquire first. A Release by
        // itself for readers who find this position where an earlier one was freed: they conclude
        // that the earlier record is complete, so they must see it.
        self.slot.store(lsn.0, Ordering::Release);
    }
}

impl Drop for InFlightSlot<'_> {
    fn drop(&mut self) {
        self.slot.store(FREE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_published_position_bounds_the_stable_prefix() {
        let array = InFlight::new();
        assert_eq!(array.min(), None);
        let first = array.claim();
        assert_eq!(
            array.min(),
            None,
            "a claimed slot without a position bounds nothing"
        );
        first.publish(Lsn(80));
        let second = array.claim();
        second.publish(Lsn(160));
        assert_eq!(array.min(), Some(Lsn(80)));
        drop(first);
        assert_eq!(array.min(), Some(Lsn(160)));
        drop(second);
        assert_eq!(array.min(), None);
    }
}
