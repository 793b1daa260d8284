//! One `fdatasync` for everybody who waits.
//!
//! In: a position. Out: the promise that every record below it has survived a sync. The first
//! caller leads; those who come while it syncs wait, and one of them leads the next round for all.
//! On the primary each round leaves a GROUP record: what was durable before the round, and the
//! next step of the hash chain. Recovery uses it to tell a torn tail from damage.

use super::format::{RecordKind, RecordParts};
use super::header::Chain;
use super::payload::Group;
use super::{Log, LogError};
use crate::ids::Lsn;
use crate::sync::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering, wait};

/// Whose turn it is to sync, and how far everything is durable.
#[derive(Debug)]
pub(crate) struct Turns {
    led: Mutex<bool>,
    over: Condvar,
    durable: AtomicU64,
}

impl Turns {
    pub(crate) fn new(durable: Lsn) -> Turns {
        Turns {
            led: Mutex::new(false),
            over: Condvar::new(),
            durable: AtomicU64::new(durable.0),
        }
    }

    /// Position below which every record has survived a sync.
    pub(crate) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn raise(&self, to: Lsn) {
        self.durable.fetch_max(to.0, Ordering::AcqRel);
    }

    pub(crate) fn lower(&self, to: Lsn) {
        self.durable.fetch_min(to.0, Ordering::AcqRel);
    }

    /// Returns once everything below `target` is durable. Whoever finds nobody leading runs
    /// `round`, which answers how far it got; the others wait for the end of that round. `check`
    /// is asked before each turn.
    pub(crate) fn reach<E>(
        &self,
        target: Lsn,
        check: impl Fn() -> Result<(), E>,
        round: impl Fn() -> Result<Lsn, E>,
    ) -> Result<Lsn, E> {
        loop {
            let durable = self.durable();
            if durable >= target {
                return Ok(durable);
            }
            check()?;
            let mut led = self.led.lock();
            if *led {
                drop(wait(&self.over, led));
                continue;
            }
            if self.durable() >= target {
                continue;
            }
            *led = true;
            drop(led);
            let outcome = round().map(|upto| self.raise(upto));
            // Hand over the lead before reporting, also when this round failed.
            *self.led.lock() = false;
            self.over.notify_all();
            outcome?;
        }
    }

    /// Keeps rounds from starting as long as the guard lives; waits for the one under way.
    pub(crate) fn hold(&self) -> MutexGuard<'_, bool> {
        let mut led = self.led.lock();
        while *led {
            led = wait(&self.over, led);
        }
        led
    }
}

impl Log {
    /// Makes every record reserved before the call durable; returns the durable position.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] once any write or sync has failed.
    pub fn sync(&self) -> Result<Lsn, LogError> {
        self.sync_to(self.tail())
    }

    /// Waits until everything below `target` is durable, syncing if nobody else does.
    ///
    /// # Errors
    /// As for [`Log::sync`]; [`LogError::Gap`] when the log ends before `target`.
    pub fn sync_to(&self, target: Lsn) -> Result<Lsn, LogError> {
        let check = || {
            let tail = self.tail();
            if target > tail {
                // Never written, or taken back meanwhile: no sync would ever reach it.
                return Err(LogError::Gap {
                    expected: tail,
                    found: target,
                });
            }
            self.check_poison()
        };
        self.turns.reach(target, check, || self.sync_round())
    }

    fn sync_round(&self) -> Result<Lsn, LogError> {
        self.append_group()?;
        // One look under the append lock: what is not in the active segment by now is in one that
        // waits to be sealed.
        let (upto, active) = {
            let state = self.append_state();
            (state.tail, state.active.clone())
        };
        self.wait_stable(upto);
        self.seal_waiting()?;
        if let Some(active) = active {
            active.segment().sync().map_err(|error| self.poison(error))?;
        }
        Ok(upto)
    }

    /// Keeps checkpoints out of the log as long as the guard lives.
    pub(crate) fn hold_groups(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.chores.chaining.lock()
    }

    /// Leaves the checkpoint of this round; followers receive their primary's instead.
    pub(super) fn append_group(&self) -> Result<(), LogError> {
        let _one_step_at_a_time = self.chores.chaining.lock();
        let (leader, through, chain) = {
            let state = self.append_state();
            (state.leader, state.tail, state.chain)
        };
        if !leader {
            return Ok(());
        }
        self.wait_stable(through);
        let chain = self.chain_step(chain, through)?;
        let group = Group {
            durable: self.durable(),
            wall_ms: self.env().clock.wall_ms(),
            chain_through: through,
            chain: chain.hash,
        };
        let value = group.encode();
        let parts = RecordParts::new(RecordKind::Group, &[], &value, Lsn::ZERO);
        match self.append_with(&parts, Some(chain)) {
            // The checkpoint only helps a later recovery. Without room for it, or after another
            // replica has taken the lead, what has been written can be made durable all the same.
            Err(LogError::DiskFull { .. } | LogError::NotPrimary { .. }) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// `xxh3_128(previous, record bytes in between)`.
    pub(super) fn chain_step(&self, chain: Chain, through: Lsn) -> Result<Chain, LogError> {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(&chain.hash);
        self.for_each_span(Lsn(chain.through), through, |bytes| hasher.update(bytes))?;
        Ok(Chain {
            through: through.0,
            hash: hasher.digest128().to_le_bytes(),
        })
    }
}
