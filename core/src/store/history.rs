//! Who still reads the past: positions whose versions compaction must keep.
//!
//! In: snapshots and transactions that come and go. Out: for compaction, the positions at which a
//! superseded version may still be seen, and how much of the log must stay. Positions below the *floor*
//! that nobody holds have been thinned out: a read there is refused, never answered wrongly.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::ids::Lsn;

/// The positions held. Thread-safe.
#[derive(Debug)]
pub(super) struct History {
    held: Mutex<BTreeMap<Lsn, usize>>,
    floor: AtomicU64,
    log: Mutex<LogNeeds>,
}

/// Who will walk over the log from where.
#[derive(Debug)]
struct LogNeeds {
    from: BTreeMap<Lsn, usize>,
    /// The log below may be gone.
    released: Lsn,
}

fn forget(counts: &mut BTreeMap<Lsn, usize>, at: Lsn) {
    if let Some(count) = counts.get_mut(&at) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&at);
        }
    }
}

impl History {
    pub(super) fn new(floor: Lsn) -> History {
        History {
            held: Mutex::new(BTreeMap::new()),
            floor: AtomicU64::new(floor.0),
            log: Mutex::new(LogNeeds {
                from: BTreeMap::new(),
                released: Lsn::ZERO,
            }),
        }
    }

    /// Positions below this one can be read only by those who have held them since before.
    pub(super) fn floor(&self) -> Lsn {
        Lsn(self.floor.load(Ordering::Acquire))
    }

    /// Keeps what is visible at `at` from now on; `false` if it may be gone already.
    pub(super) fn hold(&self, at: Lsn) -> bool {
        let mut held = self.held.lock();
        // Under the lock, so that a compaction either sees the hold or has raised the floor.
        if at < self.floor() && !held.contains_key(&at) {
            return false;
        }
        *held.entry(at).or_default() += 1;
        true
    }

    /// After a truncation: nothing at `to` or above has been thinned out.
    pub(super) fn lower(&self, to: Lsn) {
        let _held = self.held.lock();
        self.floor.fetch_min(to.0, Ordering::AcqRel);
    }

    pub(super) fn release(&self, at: Lsn) {
        forget(&mut self.held.lock(), at);
    }

    /// Keeps the log from `at` on; `false` if it may be gone already.
    pub(super) fn need_log(&self, at: Lsn) -> bool {
        let mut log = self.log.lock();
        if at < log.released {
            return false;
        }
        *log.from.entry(at).or_default() += 1;
        true
    }

    pub(super) fn need_log_no_more(&self, at: Lsn) {
        forget(&mut self.log.lock().from, at);
    }

    /// How much of the log below `upto` may go. Nobody can need it again once this has returned.
    pub(super) fn release_log(&self, upto: Lsn) -> Lsn {
        let mut log = self.log.lock();
        let needed = log.from.keys().next().copied();
        let upto = needed.map_or(upto, |from| from.min(upto));
        log.released = log.released.max(upto);
        upto
    }

    /// Raises the floor to `to`; returns every position at which versions must stay visible,
    /// ascending, the floor last.
    pub(super) fn raise(&self, to: Lsn) -> Vec<Lsn> {
        let held = self.held.lock();
        let floor = self.floor().max(to);
        self.floor.store(floor.0, Ordering::Release);
        held.range(..floor).map(|(at, _)| *at).chain([floor]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_rises_over_positions_that_nobody_holds() {
        let history = History::new(Lsn(10));
        assert!(!history.hold(Lsn(9)), "thinned out before");
        assert!(history.hold(Lsn(40)) && history.hold(Lsn(40)) && history.hold(Lsn(80)));
        assert_eq!(history.raise(Lsn(60)), [Lsn(40), Lsn(60)]);
        assert!(!history.hold(Lsn(50)));
        assert!(history.hold(Lsn(40)), "held by another one all the time");
        for _ in 0..3 {
            history.release(Lsn(40));
        }
        assert!(!history.hold(Lsn(40)));
        assert_eq!(history.raise(Lsn(20)), [Lsn(60)], "it never falls");
    }

    #[test]
    fn log_stays_from_where_somebody_needs_it() {
        let history = History::new(Lsn(0));
        assert!(history.need_log(Lsn(40)) && history.need_log(Lsn(40)) && history.need_log(Lsn(30)));
        assert_eq!(history.release_log(Lsn(100)), Lsn(30));
        history.need_log_no_more(Lsn(30));
        assert_eq!(history.release_log(Lsn(100)), Lsn(40));
        assert!(!history.need_log(Lsn(39)), "it may be gone");
        history.need_log_no_more(Lsn(40));
        assert_eq!(history.release_log(Lsn(35)), Lsn(35), "somebody still needs it");
        history.need_log_no_more(Lsn(40));
        assert_eq!(history.release_log(Lsn(100)), Lsn(100));
    }
}
