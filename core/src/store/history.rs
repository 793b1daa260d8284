//! Who still reads the past: positions whose versions compaction must keep.
//!
//! In: snapshots and transactions that come and go. Out: for compaction, the positions at which a
//! superseded version may still be seen, the time by which a value must have expired for everybody, and
//! how much of the log must stay. Positions below the *floor*
//! that nobody holds have been thinned out: a read there is refused, never answered wrongly.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::ids::Lsn;

/// The positions held. Thread-safe.
#[derive(Debug)]
pub(super) struct History {
    held: Mutex<Held>,
    floor: AtomicU64,
    log: Mutex<LogNeeds>,
}

/// What snapshots read.
#[derive(Debug, Default)]
struct Held {
    positions: BTreeMap<Lsn, usize>,
    /// Milliseconds since 1970 at which they were taken: their time stands still.
    times: BTreeMap<u64, usize>,
}

/// What compaction must respect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// Every position at which versions must stay visible, ascending, the floor last.
    pub(super) visible_at: Vec<Lsn>,
    /// The earliest time of a snapshot.
    pub(super) earliest_ms: Option<u64>,
}

impl Needs {
    /// Counts a snapshot of another process in.
    pub(super) fn add(&mut self, at: Lsn, taken_at_ms: u64) {
        let floor = self.visible_at.last().copied();
        if floor.is_some_and(|floor| at < floor)
            && let Err(place) = self.visible_at.binary_search(&at)
        {
            self.visible_at.insert(place, at);
        }
        let earliest = self.earliest_ms.unwrap_or(u64::MAX);
        self.earliest_ms = Some(earliest.min(taken_at_ms));
    }
}

/// Who will walk over the log from where.
#[derive(Debug)]
struct LogNeeds {
    from: BTreeMap<Lsn, usize>,
    /// The log below may be gone.
    released: Lsn,
}

fn forget<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl History {
    pub(super) fn new(floor: Lsn) -> History {
        History {
            held: Mutex::default(),
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

    /// When the oldest snapshot that is held was taken, in milliseconds since 1970.
    pub(super) fn earliest_ms(&self) -> Option<u64> {
        self.held.lock().times.keys().next().copied()
    }

    /// Keeps what is visible at `at` from now on, as of the time that `now_ms` tells; returns that, or
    /// `None` if something may be gone already.
    pub(super) fn hold(&self, at: Lsn, now_ms: impl FnOnce() -> u64) -> Option<u64> {
        let mut held = self.held.lock();
        // Under the lock, so that a compaction either sees the hold or has raised the floor, and looked
        // at the clock before.
        if at < self.floor() && !held.positions.contains_key(&at) {
            return None;
        }
        let now_ms = now_ms();
        *held.positions.entry(at).or_default() += 1;
        *held.times.entry(now_ms).or_default() += 1;
        Some(now_ms)
    }

    /// After a truncation: nothing at `to` or above has been thinned out.
    pub(super) fn lower(&self, to: Lsn) {
        let _held = self.held.lock();
        self.floor.fetch_min(to.0, Ordering::AcqRel);
    }

    /// Ends a hold that was given this time.
    pub(super) fn release(&self, at: Lsn, now_ms: u64) {
        let mut held = self.held.lock();
        forget(&mut held.positions, at);
        forget(&mut held.times, now_ms);
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

    /// Raises the floor to `to`; returns what must stay.
    pub(super) fn raise(&self, to: Lsn) -> Needs {
        let held = self.held.lock();
        let floor = self.floor().max(to);
        self.floor.store(floor.0, Ordering::Release);
        let below = held.positions.range(..floor).map(|(at, _)| *at);
        Needs {
            visible_at: below.chain([floor]).collect(),
            earliest_ms: held.times.keys().next().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_rises_over_positions_that_nobody_holds() {
        let history = History::new(Lsn(10));
        let hold = |at, ms| history.hold(Lsn(at), || ms).is_some();
        let raise = |to| {
            let needs = history.raise(Lsn(to));
            let positions: Vec<u64> = needs.visible_at.iter().map(|at| at.0).collect();
            (positions, needs.earliest_ms)
        };
        assert!(!hold(9, 1), "thinned out before");
        assert!(hold(40, 5) && hold(40, 6) && hold(80, 3));
        assert_eq!(raise(60), (vec![40, 60], Some(3)));
        assert!(!hold(50, 7));
        assert!(hold(40, 7), "held by another one all the time");
        history.release(Lsn(80), 3);
        for ms in [5, 6, 7] {
            assert_eq!(raise(60), (vec![40, 60], Some(ms)));
            history.release(Lsn(40), ms);
        }
        assert!(!hold(40, 8));
        assert_eq!(raise(20), (vec![60], None), "it never falls");
    }

    #[test]
    fn snapshots_of_other_processes_count_as_own_ones() {
        let history = History::new(Lsn(10));
        assert!(history.hold(Lsn(40), || 5).is_some());
        let mut needs = history.raise(Lsn(60));
        for (at, ms) in [(50, 9), (40, 7), (30, 4), (60, 8), (70, 6)] {
            needs.add(Lsn(at), ms);
        }
        let positions: Vec<u64> = needs.visible_at.iter().map(|at| at.0).collect();
        assert_eq!((positions, needs.earliest_ms), (vec![30, 40, 50, 60], Some(4)));
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
