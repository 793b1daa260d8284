//! What truncations took back while somebody was looking.
//!
//! In: the position of each cut. Out: whether a view taken earlier is still one view. Positions are
//! used again after a truncation, under a newer epoch: a snapshot above the cut would otherwise mix
//! records of both.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::StoreError;
use super::scan::Whole;
use crate::ids::Lsn;

/// Truncations since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// Odd while a truncation is under way, and for good after one that failed half-way.
    generation: AtomicU64,
    all: Mutex<Vec<(u64, Lsn)>>,
}

impl Cuts {
    /// What a view remembers; read before its position is.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Before the first step of a truncation, and after the last one.
    pub(super) fn step(&self, to: Lsn) {
        let mut all = self.all.lock();
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        all.push((generation, to));
        // Ordered before the changes to the index: whoever has met one of them sees this, too.
        self.generation.store(generation, Ordering::SeqCst);
    }
}

impl Whole for Cuts {
    /// Whether the view at `at`, taken at `generation`, is whole. Asked after its records were read.
    fn check(&self, generation: u64, at: Lsn) -> Result<(), StoreError> {
        let under_way = !generation.is_multiple_of(2);
        if !under_way && self.generation.load(Ordering::Acquire) == generation {
            return Ok(());
        }
        let since = generation + u64::from(!under_way);
        let all = self.all.lock();
        match all.iter().find(|(when, to)| *when >= since && *to < at) {
            None => Ok(()),
            Some((_, to)) => Err(StoreError::SnapshotTooOld { at, since: *to }),
        }
    }
}
