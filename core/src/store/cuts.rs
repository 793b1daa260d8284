//! Whether a view taken earlier is still one view.
//!
//! In: the position of each truncation. Out: an error for views that it has cut. Positions are used
//! again after a truncation, under a newer epoch: a snapshot above the cut would otherwise mix records
//! of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::reader::Hold;
use super::{StoreError, TooOld};
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

    /// Whether the view at `at`, taken at `generation`, is whole. Asked after its records were read.
    #[inline]
    pub(super) fn check(&self, generation: u64, at: Lsn) -> Result<(), StoreError> {
        if generation.is_multiple_of(2) && self.generation.load(Ordering::Acquire) == generation {
            return Ok(());
        }
        self.look_for(generation, at)
    }

    #[cold]
    fn look_for(&self, generation: u64, at: Lsn) -> Result<(), StoreError> {
        // Of a truncation under way the first step counts as well.
        let since = generation + u64::from(generation.is_multiple_of(2));
        let all = self.all.lock();
        match all.iter().find(|(when, to)| *when >= since && *to < at) {
            None => Ok(()),
            Some((_, to)) => Err(StoreError::SnapshotTooOld {
                at,
                cause: TooOld::TakenBack { since: *to },
            }),
        }
    }
}

/// What a scan asks before it hands out a key.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// Of a store of this process: its truncations, and how many there had been.
    Own(Arc<Cuts>, u64),
    /// Of a reader.
    Reader(Arc<Hold>),
}

impl Standing {
    /// Whether the view at `at` is whole. Asked after its records were read.
    #[inline]
    pub(super) fn check(&self, at: Lsn) -> Result<(), StoreError> {
        match self {
            Standing::Own(cuts, generation) => cuts.check(*generation, at),
            Standing::Reader(hold) => hold.check(at),
        }
    }
}
