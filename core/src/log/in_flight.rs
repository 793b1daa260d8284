//! Which reservations are not finished yet, and how far the log is complete: one cache line a writer.
//!
//! A writer claims a slot before it reserves, publishes its position there under the append lock
//! before the tail moves, and frees the slot once its record is committed and indexed. Whoever
//! reads the tail first and the slots afterwards therefore knows: every record below
//! `min(slots)`, or below the tail when no slot is smaller, is complete. Nothing here blocks a
//! writer for longer than it takes some other writer to finish.
//!
//! A slot also keeps what its writers write into (the active segment), so that reserving needs no
//! reference count that all writers share: at two threads that count cost more than the copy.

use std::sync::Arc;

use crossbeam::utils::CachePadded;

use crate::ids::Lsn;
#[cfg(not(loom))]
use crate::log::live::{LIVE_SLOTS, Live};
use crate::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, pause};

/// More writers than this at one moment wait for each other; far above any core count here.
const SLOTS: usize = if cfg!(loom) { 2 } else { 64 };
const FREE: u64 = u64::MAX;

#[cfg(not(loom))]
const _: () = assert!(SLOTS == LIVE_SLOTS);

/// End of the log, and who is still writing below it.
#[derive(Debug)]
pub(crate) struct Frontier<T> {
    tail: CachePadded<AtomicU64>,
    slots: Box<[CachePadded<Slot<T>>]>,
    hint: AtomicUsize,
    /// The same positions where readers in other processes find them.
    #[cfg(not(loom))]
    live: Option<Arc<Live>>,
}

#[derive(Debug)]
struct Slot<T> {
    /// Position reserved, [`FREE`] while there is none.
    position: AtomicU64,
    /// Held as long as the slot is claimed.
    target: Mutex<Option<Arc<T>>>,
}

/// A claimed slot; dropping it says the record is complete.
#[derive(Debug)]
pub(crate) struct InFlightSlot<'a, T> {
    position: &'a AtomicU64,
    #[cfg(not(loom))]
    live: Option<&'a AtomicU64>,
    target: MutexGuard<'a, Option<Arc<T>>>,
}

impl<T> Frontier<T> {
    pub(crate) fn new(tail: Lsn) -> Frontier<T> {
        Frontier {
            tail: CachePadded::new(AtomicU64::new(tail.0)),
            slots: (0..SLOTS)
                .map(|_| {
                    CachePadded::new(Slot {
                        position: AtomicU64::new(FREE),
                        target: Mutex::new(None),
                    })
                })
                .collect(),
            hint: AtomicUsize::new(0),
            #[cfg(not(loom))]
            live: None,
        }
    }

    /// As [`Frontier::new`], with a page that other processes read.
    #[cfg(not(loom))]
    pub(crate) fn shown_in(tail: Lsn, live: Option<Arc<Live>>) -> Frontier<T> {
        if let Some(live) = &live {
            live.move_tail(tail);
        }
        Frontier {
            live,
            ..Frontier::new(tail)
        }
    }

    /// Position after the last reserved record.
    pub(crate) fn tail(&self) -> Lsn {
        // Pairs with the Release in `move_tail`.
        Lsn(self.tail.load(Ordering::Acquire))
    }

    /// Moves the end of the log; called under the append lock.
    pub(crate) fn move_tail(&self, tail: Lsn) {
        // Whoever sees the new tail sees the slot published before it.
        self.tail.store(tail.0, Ordering::Release);
        #[cfg(not(loom))]
        if let Some(live) = &self.live {
            live.move_tail(tail);
        }
    }

    /// Position below which every record is committed and indexed. Never waits.
    pub(crate) fn stable(&self) -> Lsn {
        let tail = self.tail();
        self.min().map_or(tail, |lsn| lsn.min(tail))
    }

    /// Waits until every record below `upto` is committed and indexed.
    ///
    /// Writers in flight wait for nobody, so this ends as soon as they have copied their bytes.
    pub(crate) fn wait_stable(&self, upto: Lsn) {
        let mut spins = 0u32;
        while self.min().is_some_and(|lsn| lsn < upto) {
            pause(&mut spins);
        }
    }

    /// Smallest position that is still being written, if any. Read the tail *before* this.
    fn min(&self) -> Option<Lsn> {
        self.slots
            .iter()
            // Pairs with the Release in `InFlightSlot::drop`: a free slot means its record is visible.
            .map(|slot| slot.position.load(Ordering::Acquire))
            .filter(|position| *position != FREE)
            .min()
            .map(Lsn)
    }

    /// Claims a slot for one reservation.
    pub(crate) fn claim(&self) -> InFlightSlot<'_, T> {
        let start = self.first_choice();
        let mut spins = 0u32;
        loop {
            for i in 0..SLOTS {
                let number = (start + i) % SLOTS;
                let slot = &self.slots[number];
                if let Some(target) = slot.target.try_lock() {
                    return InFlightSlot {
                        position: &slot.position,
                        #[cfg(not(loom))]
                        live: self.live.as_ref().map(|live| live.slot(number)),
                        target,
                    };
                }
            }
            pause(&mut spins);
        }
    }

    /// A thread keeps coming back to its own slot, so its cache line stays with its core.
    #[cfg(not(loom))]
    fn first_choice(&self) -> usize {
        thread_local! {
            static START: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
        }
        START.with(|start| {
            start.get().unwrap_or_else(|| {
                let fresh = self.hint.fetch_add(1, Ordering::Relaxed);
                start.set(Some(fresh));
                fresh
            })
        })
    }

    #[cfg(loom)]
    fn first_choice(&self) -> usize {
        self.hint.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets go of the targets of slots that no writer is using.
    pub(crate) fn release_idle(&self) {
        for slot in self.slots.iter() {
            if let Some(mut held) = slot.target.try_lock() {
                *held = None;
            }
        }
    }
}

impl<T> InFlightSlot<'_, T> {
    /// Publishes the position, and what is written into; called under the append lock, before the
    /// tail moves.
    pub(crate) fn publish(&mut self, lsn: Lsn, target: &Arc<T>) {
        if self.target.as_ref().is_none_or(|held| !Arc::ptr_eq(held, target)) {
            *self.target = Some(Arc::clone(target));
        }
        // Ordered before the Release store of the tail, which readers acquire first. A Release by
        // itself for readers who find this position where an earlier one was freed: they conclude
        // that the earlier record is complete, so they must see it.
        self.position.store(lsn.0, Ordering::Release);
        #[cfg(not(loom))]
        if let Some(live) = self.live {
            live.store(lsn.0, Ordering::Release);
        }
    }

    /// What the reservation is written into.
    ///
    /// # Panics
    /// Before [`InFlightSlot::publish`].
    pub(crate) fn target(&self) -> &Arc<T> {
        self.target
            .as_ref()
            .expect("a reservation is published with its segment")
    }
}

impl<T> Drop for InFlightSlot<'_, T> {
    fn drop(&mut self) {
        self.position.store(FREE, Ordering::Release);
        #[cfg(not(loom))]
        if let Some(live) = self.live {
            live.store(FREE, Ordering::Release);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn smallest_published_position_bounds_the_stable_prefix() {
        let frontier = Frontier::new(Lsn(240));
        let target = Arc::new(());
        assert_eq!(frontier.stable(), Lsn(240));
        let mut first = frontier.claim();
        assert_eq!(
            frontier.stable(),
            Lsn(240),
            "a claimed slot without a position bounds nothing"
        );
        first.publish(Lsn(80), &target);
        let mut second = frontier.claim();
        second.publish(Lsn(160), &target);
        assert_eq!(frontier.stable(), Lsn(80));
        drop(first);
        assert_eq!(frontier.stable(), Lsn(160));
        drop(second);
        assert_eq!(frontier.stable(), Lsn(240));
    }

    #[test]
    fn idle_slots_let_go_of_what_they_kept() {
        let frontier = Frontier::new(Lsn(0));
        let (idle, busy) = (Arc::new(1), Arc::new(2));
        let mut used = frontier.claim();
        frontier.claim().publish(Lsn(0), &idle);
        used.publish(Lsn(80), &busy);
        assert_eq!(Arc::strong_count(&idle), 2, "kept for the next reservation");
        frontier.release_idle();
        assert_eq!((Arc::strong_count(&idle), Arc::strong_count(&busy)), (1, 2));
    }
}
