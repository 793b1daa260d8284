//! The append protocol under every interleaving of its steps (loom), with a log of three words.
//!
//! The records are single atomic words, and committing is one Release store as in a segment; the
//! frontier and the turns are the real ones. `make loom` runs these.

use std::sync::Arc as Unchecked;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;

use super::group_commit::Turns;
use super::in_flight::Frontier;
use crate::ids::Lsn;
use crate::sync::{Mutex, Ordering};

const COMMITTED: u64 = 7;

struct Words {
    frontier: Frontier<()>,
    append: Mutex<u64>,
    words: [AtomicU64; 3],
    turns: Turns,
    /// How far a simulated disk has everything.
    disk: AtomicU64,
}

impl Words {
    fn new() -> Arc<Words> {
        Arc::new(Words {
            frontier: Frontier::new(Lsn::ZERO),
            append: Mutex::new(0),
            words: Default::default(),
            turns: Turns::new(Lsn::ZERO),
            disk: AtomicU64::new(0),
        })
    }

    /// Reserve under the lock, commit outside it; returns the position after the record.
    fn put(&self) -> Lsn {
        let mut slot = self.frontier.claim();
        let at = {
            let mut tail = self.append.lock();
            let at = *tail;
            slot.publish(Lsn(at), &Unchecked::new(()));
            *tail += 1;
            self.frontier.move_tail(Lsn(*tail));
            at
        };
        self.words[at as usize].store(COMMITTED, Ordering::Release);
        drop(slot);
        Lsn(at + 1)
    }

    fn is_complete_below(&self, end: Lsn) -> bool {
        // Relaxed: it is for the frontier to have ordered these loads.
        self.words[..end.0 as usize]
            .iter()
            .all(|word| word.load(Ordering::Relaxed) == COMMITTED)
    }

    /// As `Log::sync_to`: everything below the tail is complete before the disk gets it.
    fn sync_to(&self, target: Lsn) -> Lsn {
        let round = || {
            let upto = Lsn(*self.append.lock());
            self.frontier.wait_stable(upto);
            assert!(self.is_complete_below(upto), "a hole was synced");
            self.disk.fetch_max(upto.0, Ordering::AcqRel);
            Ok::<Lsn, ()>(upto)
        };
        self.turns
            .reach(target, || Ok(()), round)
            .expect("rounds do not fail")
    }
}

#[test]
fn loom_everything_below_the_stable_position_is_committed() {
    loom::model(|| {
        let log = Words::new();
        let writer = {
            let log = Arc::clone(&log);
            thread::spawn(move || log.put())
        };
        let second = {
            let log = Arc::clone(&log);
            thread::spawn(move || log.put())
        };
        let stable = log.frontier.stable();
        assert!(log.is_complete_below(stable));
        writer.join().unwrap();
        second.join().unwrap();
        assert_eq!(log.frontier.stable(), Lsn(2));
        assert!(log.is_complete_below(Lsn(2)));
    });
}

#[test]
fn loom_a_snapshot_waits_for_writers_ahead_of_it() {
    loom::model(|| {
        let log = Words::new();
        let writer = {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                log.put();
                log.put();
            })
        };
        let at = log.frontier.tail();
        log.frontier.wait_stable(at);
        assert!(log.is_complete_below(at));
        writer.join().unwrap();
    });
}

#[test]
fn loom_an_acknowledged_sync_covers_the_write() {
    let mut model = loom::model::Builder::new();
    // Two threads that append, take turns and wait: more switches than this add only time.
    model.preemption_bound = Some(3);
    model.check(|| {
        let log = Words::new();
        let other = {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                let end = log.put();
                assert!(log.sync_to(end) >= end);
                assert!(log.disk.load(Ordering::Acquire) >= end.0);
            })
        };
        let end = log.put();
        assert!(log.sync_to(end) >= end);
        assert!(log.disk.load(Ordering::Acquire) >= end.0);
        other.join().unwrap();
    });
}
