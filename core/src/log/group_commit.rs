//! One `fdatasync` for everybody who waits.
//!
//! In: a position. Out: the promise that every record below it has survived a sync. The first
//! caller leads; those who come while it syncs wait, and one of them leads the next round for all.
//! On the primary each round leaves a GROUP record: what was durable before the round, and the
//! next step of the hash chain. Recovery uses it to tell a torn tail from damage.

use std::sync::atomic::Ordering;

use super::format::{RecordKind, RecordParts};
use super::header::Chain;
use super::payload::Group;
use super::{Log, LogError};
use crate::ids::Lsn;

/// Who syncs at the moment.
#[derive(Debug, Default)]
pub(crate) struct SyncState {
    leader: bool,
}

impl SyncState {
    /// Whether somebody is syncing at the moment.
    pub(super) fn is_led(&self) -> bool {
        self.leader
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
        loop {
            let durable = self.durable();
            if durable >= target {
                return Ok(durable);
            }
            let tail = self.tail();
            if target > tail {
                // Never written, or taken back meanwhile: no sync would ever reach it.
                return Err(LogError::Gap {
                    expected: tail,
                    found: target,
                });
            }
            self.check_poison()?;
            let mut state = self.sync.lock();
            if state.leader {
                self.synced.wait(&mut state);
                continue;
            }
            if self.durable() >= target {
                continue;
            }
            state.leader = true;
            drop(state);
            let outcome = self.sync_round();
            // Hand over the lead before reporting, also when this round failed.
            self.sync.lock().leader = false;
            self.synced.notify_all();
            outcome?;
        }
    }

    fn sync_round(&self) -> Result<(), LogError> {
        self.append_group()?;
        // One look under the append lock: sealing happens under it and syncs what it seals, so the
        // active segment is the only one that can hold unsynced records.
        let (upto, active) = {
            let state = self.append_state();
            (state.tail, state.active.clone())
        };
        self.wait_stable(upto);
        if let Some(active) = active {
            active.sync().map_err(|error| self.poison(error))?;
        }
        self.durable.fetch_max(upto.0, Ordering::AcqRel);
        Ok(())
    }

    /// Leaves the checkpoint of this round; followers receive their primary's instead.
    fn append_group(&self) -> Result<(), LogError> {
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
