//! Putting and deleting: look up the predecessor, append, index, wait for what was asked.
//!
//! In: keys and values. Out: positions. Stripe locks over key hashes are held from the look-up of
//! the predecessor to the index update, so two writers of one key never miss each other's
//! version; they are never held while waiting for a disk.

use crossbeam::utils::CachePadded;
use parking_lot::{Mutex, MutexGuard};

use super::batch::{Operation, WriteBatch};
use super::expiry::{Expires, ExpiryExt};
use super::index::Location;
use super::{Place, Store, StoreError};
use crate::ids::{Epoch, Lsn};
use crate::log::expiry::Expiry;
use crate::log::format::{RecordKind, RecordParts};
use crate::log::{Log, LogError};
use crate::metrics::Op;

const STRIPES: usize = 1024;
/// Keys of a batch whose cache misses overlap; see [`super::multi_get`].
pub(super) const GROUP: usize = 32;
/// A batch of fewer keys is looked up sooner than it is worked out what to fetch (700 instructions a key).
const WORTH_FETCHING: usize = 16;

/// When a write may be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// Once it survives the end of the process. A power cut may take it back.
    #[default]
    Buffered,
    /// Once it survives a power cut. Makes every earlier write durable too.
    Synced,
}

/// Where a write ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Position of its record (of the first member of a batch).
    pub lsn: Lsn,
    /// Position after it: a replica that has applied this far has the write.
    pub end: Lsn,
    /// Epoch it was written under.
    pub epoch: Epoch,
}

/// Locks over key hashes.
#[derive(Debug)]
pub(super) struct Stripes(Box<[CachePadded<Mutex<()>>]>);

impl Stripes {
    pub(super) fn new() -> Stripes {
        Stripes((0..STRIPES).map(|_| CachePadded::new(Mutex::new(()))).collect())
    }

    pub(super) fn lock(&self, hash: u64) -> MutexGuard<'_, ()> {
        self.0[hash as usize % STRIPES].lock()
    }

    /// Locks every stripe: nobody writes any key meanwhile.
    pub(super) fn lock_all(&self) -> Vec<MutexGuard<'_, ()>> {
        self.0.iter().map(|stripe| stripe.lock()).collect()
    }

    /// Locks the stripes of all `hashes`, in one order for everybody.
    pub(super) fn lock_many(&self, hashes: &[u64]) -> Vec<MutexGuard<'_, ()>> {
        let mut wanted = [0u64; STRIPES / 64];
        for hash in hashes {
            let stripe = *hash as usize % STRIPES;
            wanted[stripe / 64] |= 1 << (stripe % 64);
        }
        let count: u32 = wanted.iter().map(|bits| bits.count_ones()).sum();
        let mut guards = Vec::with_capacity(count as usize);
        for (word, mut bits) in wanted.into_iter().enumerate() {
            while bits != 0 {
                guards.push(self.0[word * 64 + bits.trailing_zeros() as usize].lock());
                bits &= bits - 1;
            }
        }
        guards
    }
}

impl Store {
    /// Gives `key` the value. Visible to every reader on return, also to one in a failure case
    /// that says the write may not be durable.
    ///
    /// # Errors
    /// Not the primary, key or value too long, disk full: nothing was written. Poisoned: see
    /// [`LogError::Poisoned`].
    pub fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<Written, StoreError> {
        self.write_one(RecordKind::Put, key, value, durability)
    }

    /// Takes the value of `key` away; deleting what is not there is recorded as well.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub fn delete(&self, key: &[u8], durability: Durability) -> Result<Written, StoreError> {
        self.write_one(RecordKind::Delete, key, &[], durability)
    }

    fn write_one(
        &self,
        kind: RecordKind,
        key: &[u8],
        value: &[u8],
        durability: Durability,
    ) -> Result<Written, StoreError> {
        let written = self.append_version(&RecordParts::new(kind, key, value, Lsn::ZERO), false)?;
        self.settle(written, durability)
    }

    /// Appends one version with its predecessor looked up, and indexes it. Not synced.
    pub(super) fn append_version(
        &self,
        parts: &RecordParts<'_>,
        system: bool,
    ) -> Result<Written, StoreError> {
        if !system {
            self.ops.add(Op::of_record(parts.kind), 1);
        }
        let hash = self.hash(parts.key, system);
        self.index.prefetch(hash);
        let _stripe = self.stripes.lock(hash);
        let found = self.lookup_hashed(hash, parts.key, system)?;
        self.append_over(hash, found, parts)
    }

    /// Appends a version over the one that was found, and indexes it. The stripe of the key has been
    /// held since then. Not synced.
    #[inline]
    pub(super) fn append_over(
        &self,
        hash: u64,
        found: Option<(Location, Place)>,
        parts: &RecordParts<'_>,
    ) -> Result<Written, StoreError> {
        let (old, prev) = Store::predecessor(found)?;
        // Space for the entry first: a record that cannot be indexed must not be logged.
        self.index.reserve(1)?;
        let appended = self.log.append(&RecordParts { prev, ..*parts })?;
        let location = Store::location(appended.segment(), appended.lsn);
        self.point(hash, old, location)?;
        Ok(Written {
            lsn: appended.lsn,
            end: appended.end,
            epoch: appended.epoch,
        })
    }

    /// Applies the batch whole or not at all, also across crashes and in snapshots.
    ///
    /// # Errors
    /// As for [`Store::put`]; too large when the batch exceeds 64 MiB.
    ///
    /// # Panics
    /// If the batch is empty.
    pub fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<Written, StoreError> {
        assert!(!batch.is_empty(), "an empty batch has no position");
        let hashes: Vec<u64> = batch.keys().map(|key| self.hash(key, false)).collect();
        let written = {
            let _stripes = self.stripes.lock_many(&hashes);
            self.append_operations(batch, &hashes)?
        };
        self.settle(written, durability)
    }

    /// Appends the batch, whose keys have these hashes, and indexes it. Its stripes are held. Not synced.
    pub(super) fn append_operations(
        &self,
        batch: &WriteBatch,
        hashes: &[u64],
    ) -> Result<Written, StoreError> {
        let mut members = Vec::with_capacity(batch.len());
        let no_expiry = ExpiryExt::of(Expiry::NEVER);
        let mut expiries = Vec::new();
        if (batch.operations()).any(|operation| operation.expires != Expires::Never) {
            let expiry_of = |operation: Operation<'_>| ExpiryExt::of(self.resolve_expiry(operation.expires));
            expiries.extend(batch.operations().map(expiry_of));
        }
        let mut olds = Vec::with_capacity(batch.len());
        for (i, (operation, hash)) in batch.operations().zip(hashes).enumerate() {
            if i % GROUP == 0 && batch.len() >= WORTH_FETCHING {
                self.prefetch_group(&hashes[i..hashes.len().min(i + GROUP)]);
            }
            let kind = if operation.value.is_some() {
                RecordKind::Put
            } else {
                RecordKind::Delete
            };
            let (key, value) = (operation.key, operation.value.unwrap_or(&[]));
            let (old, prev) = Store::predecessor(self.lookup_hashed(*hash, key, false)?)?;
            olds.push(old);
            members.push(expiries.get(i).unwrap_or(&no_expiry).add_to(RecordParts {
                hlc: operation.hlc,
                ..RecordParts::new(kind, key, value, prev)
            }));
        }
        let puts = batch
            .operations()
            .filter(|operation| operation.value.is_some())
            .count();
        self.ops.add(Op::Put, puts as u64);
        self.ops.add(Op::Delete, (batch.len() - puts) as u64);
        let sizes = Log::batch_sizes(&members)?;
        self.index.reserve(members.len())?;
        let appended = self.log.append_batch(&members, &sizes)?;
        let mut lsn = appended.lsn;
        for ((old, size), hash) in olds.into_iter().zip(sizes).zip(hashes) {
            self.point(*hash, old, Store::location(appended.segment(), lsn))?;
            lsn = lsn.advance(size as u64);
        }
        Ok(Written {
            lsn: appended.lsn,
            end: appended.end,
            epoch: appended.epoch,
        })
    }

    /// Starts fetching what look-ups of these hashes will read: buckets first, then records.
    pub(super) fn prefetch_group(&self, hashes: &[u64]) {
        self.fetch_group(hashes, |_, _| {});
    }

    /// As [`Store::prefetch_group`]; tells for each hash by its number where its record may well lie.
    #[inline]
    pub(super) fn fetch_group(&self, hashes: &[u64], mut each: impl FnMut(usize, Option<Location>)) {
        for hash in hashes {
            self.index.prefetch(*hash);
        }
        for (i, hash) in hashes.iter().enumerate() {
            // By the tag alone: nearly always the right record, and a wrong one costs a fetch.
            let guess = self.index.guess(*hash);
            if let Some(place) = guess.and_then(|location| self.resolve(location)) {
                place.prefetch();
            }
            each(i, guess);
        }
    }

    /// Index entry and position of the version that comes before a new one; 0 if there is none.
    #[inline]
    fn predecessor(found: Option<(Location, Place)>) -> Result<(Option<Location>, Lsn), StoreError> {
        Ok(match found {
            None => (None, Lsn::ZERO),
            Some((location, place)) => (Some(location), place.lsn()?),
        })
    }

    /// Makes the key whose entry is `old` point to `new`. The stripe lock has been held since `old` was
    /// looked up, so nobody has changed the entry meanwhile.
    #[inline]
    fn point(&self, hash: u64, old: Option<Location>, new: Location) -> Result<(), StoreError> {
        let pointed = match old {
            Some(old) => self.index.replace(hash, old, new).map(|replaced| {
                debug_assert!(replaced, "two writers acted on one key at the same time");
            }),
            None => self.index.insert(hash, new),
        };
        pointed.map_err(|error| self.unindexed(error.into()))
    }

    /// A record that is in the log and not in the index cannot be read until the index has been
    /// rebuilt, so nothing may be written on top of it.
    pub(super) fn unindexed(&self, error: StoreError) -> StoreError {
        if let Some(live) = self.log.live() {
            live.give_up_index();
        }
        self.log.poison(LogError::Poisoned {
            path: self.dir.clone(),
            cause: error.to_string(),
        });
        error
    }

    pub(super) fn settle(&self, written: Written, durability: Durability) -> Result<Written, StoreError> {
        self.waiters.wake(|| self.log.stable());
        if durability == Durability::Synced {
            self.log.sync_to(written.end)?;
            // Positions are used again after a truncation: what is durable there now may be
            // another leadership's record.
            let kept = self.log.segment_at(written.lsn);
            if kept.is_none_or(|segment| segment.header().epoch != written.epoch) {
                return Err(LogError::StaleEpoch {
                    ours: self.log.epoch(),
                    theirs: written.epoch,
                }
                .into());
            }
        }
        Ok(written)
    }

    /// Makes this replica the primary of its shard under `epoch`. Not synced.
    ///
    /// # Errors
    /// Stale epoch unless it is newer than every epoch of the log.
    pub fn begin_epoch(&self, epoch: Epoch, holder: u64, incarnation: u32) -> Result<Written, StoreError> {
        let appended = self.log.begin_epoch(epoch, holder, incarnation)?;
        let written = Written {
            lsn: appended.lsn,
            end: appended.end,
            epoch: appended.epoch,
        };
        drop(appended);
        self.make_up_for_ingest(written.lsn)?;
        Ok(written)
    }

    /// Goes on as primary of the epoch the log ends with, after a clean close.
    ///
    /// # Errors
    /// Another epoch, a tail received from another primary, or an unclean opening.
    pub fn resume_epoch(&self, epoch: Epoch) -> Result<(), StoreError> {
        Ok(self.log.resume_epoch(epoch)?)
    }

    /// Stops taking own writes: another replica leads.
    pub fn step_down(&self) {
        self.log.step_down();
    }
}
