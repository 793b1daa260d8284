//! Optimistic transactions: read at a snapshot, write at the end, if nothing that was read has changed.
//!
//! In: reads, scans and writes of one caller. Out: one atomic batch, or a conflict that names a key.
//! While it runs, a transaction takes no lock and nobody waits for it: writes are kept aside, keys and
//! ranges read are remembered, misses included. To commit, the stripes of all those keys are locked in
//! one order for everybody; then each of them must have no version newer than the snapshot. Scanned
//! ranges are checked by walking over what the log has got since the snapshot: once without a lock, and
//! again, for the little that came meanwhile, with every stripe held, since a key that was not there has
//! no stripe of its own. (Kung & Robinson, "On Optimistic Methods for Concurrency Control", TODS 1981:
//! their serial validation.)
//!
//! Committed transactions are serializable with each other and with single writes: each takes effect at
//! the moment of its batch, at which all it has read was still so. One that writes nothing needs no
//! check: it has read one snapshot.
//!
//! What must never happen: a batch is appended although a key or a range it depends on has changed.

mod ranges;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Deref};
use std::time::Duration;

use scan::OwnWrites;
pub use scan::{TransactionEntry, TransactionScan};

use super::expiry::Expires;
use super::history::History;
use super::read::Snapshot;
use super::scan::{ScanOptions, end_of_prefix};
use super::write::{Durability, Written};
use super::{ConflictCause, Store, StoreError, Value, WriteBatch, for_each_version};
use crate::ids::{Epoch, Lsn};
use crate::log::LogError;
use crate::log::format::RecordKind;
use ranges::{Bounds, KeyRanges};

/// First pause of [`Store::transact`] after a conflict, and the longest one.
const PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A value read by a transaction.
#[derive(Clone, Debug)]
pub enum TransactionValue {
    /// Written by the transaction itself.
    Own(Vec<u8>),
    /// As in the snapshot, where it lies.
    Stored(Value),
}

impl Deref for TransactionValue {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            TransactionValue::Own(bytes) => bytes,
            TransactionValue::Stored(value) => value,
        }
    }
}

impl PartialEq for TransactionValue {
    fn eq(&self, other: &TransactionValue) -> bool {
        **self == **other
    }
}

impl Eq for TransactionValue {}

/// What a transaction has read.
#[derive(Debug, Default)]
struct Seen {
    keys: BTreeSet<Vec<u8>>,
    ranges: Vec<Bounds>,
    /// Of the values shown, the one that expires first.
    first_expiry: Option<(u64, Vec<u8>)>,
}

impl Seen {
    /// A value was shown that expires at `expires_at_ms`, if ever.
    fn note_expiry(&mut self, key: &[u8], expires_at_ms: Option<u64>) {
        if let Some(ms) = expires_at_ms
            && self.first_expiry.as_ref().is_none_or(|(first, _)| ms < *first)
        {
            self.first_expiry = Some((ms, key.to_vec()));
        }
    }
}

/// A write that waits for the commit. Kept by key, since scans show them in order.
#[derive(Debug)]
struct OwnWrite {
    /// `None` deletes.
    value: Option<Vec<u8>>,
    expires: Expires,
}

/// What a transaction sees of its own write: a value whose time was over before it began is none.
fn own_value(write: &OwnWrite, now_ms: u64) -> Option<TransactionValue> {
    let expires = write.expires;
    let is_over = matches!(expires, Expires::AtMs(_)) && expires.expiry(0).is_over(now_ms);
    let value = write.value.clone().filter(|_| !is_over);
    value.map(TransactionValue::Own)
}

/// Keeps the log from a position on.
#[derive(Debug)]
struct LogNeed<'s> {
    history: &'s History,
    from: Lsn,
}

impl Drop for LogNeed<'_> {
    fn drop(&mut self) {
        self.history.need_log_no_more(self.from);
    }
}

/// A transaction under way; see the head of this module. Dropped without a commit, it leaves nothing.
///
/// For as long as it lives, compaction keeps what its snapshot sees and the log written since; memory
/// grows with the keys it reads and the bytes it writes.
#[derive(Debug)]
pub struct Transaction<'s> {
    store: &'s Store,
    snapshot: Snapshot<'s>,
    _log: LogNeed<'s>,
    epoch: Epoch,
    seen: Seen,
    writes: BTreeMap<Vec<u8>, OwnWrite>,
}

/// Outcome of [`Store::transact`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<R> {
    /// What the closure returned.
    pub result: R,
    /// Where the writes are; `None` if there were none.
    pub written: Option<Written>,
    /// Runs of the closure, the last one included.
    pub attempts: u32,
}

impl Store {
    /// Begins a transaction at a snapshot of everything committed before the call.
    #[must_use]
    pub fn transaction(&self) -> Transaction<'_> {
        loop {
            let epoch = self.epoch();
            let snapshot = self.snapshot();
            let from = snapshot.lsn();
            if self.history.need_log(from) {
                return Transaction {
                    store: self,
                    snapshot,
                    _log: LogNeed {
                        history: &self.history,
                        from,
                    },
                    epoch,
                    seen: Seen::default(),
                    writes: BTreeMap::new(),
                };
            }
            // A compaction has gone past this position in between; the tail has moved as well.
        }
    }

    /// Runs `body` in a transaction and commits it; after a conflict again, up to `max_attempts` times
    /// (at least once), with growing random pauses between. `body` must be fit to run several times: it
    /// may change nothing but through its transaction. An error from it ends the transaction, with
    /// nothing written.
    ///
    /// ```
    /// # use atoll::ids::{ShardId, Uuid};
    /// # use atoll::io::Env;
    /// # use atoll::store::{Durability, Store, StoreError, StoreIdentity, StoreOptions};
    /// # let dir = tempfile::tempdir()?;
    /// # let options = StoreOptions::new(StoreIdentity { cluster: Uuid::NIL, shard: ShardId(0), node: 1 });
    /// let store = Store::open_standalone(&Env::os(), dir.path(), &options)?;
    /// store.put(b"ann", b"7", Durability::Buffered)?;
    /// store.transact(10, Durability::Synced, |txn| {
    ///     let value = txn.get(b"ann")?.map(|value| value.to_vec()).unwrap_or_default();
    ///     txn.put(b"bob", value);
    ///     txn.delete(b"ann");
    ///     Ok::<(), StoreError>(())
    /// })?;
    /// assert_eq!(store.get(b"bob")?.as_deref(), Some(&b"7"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of `body`; [`StoreError::Conflict`] after the last attempt; as for [`Transaction::commit`].
    pub fn transact<R, E: From<StoreError>>(
        &self,
        max_attempts: u32,
        durability: Durability,
        mut body: impl FnMut(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<Committed<R>, E> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut transaction = self.transaction();
            let result = body(&mut transaction)?;
            match transaction.commit(durability) {
                Ok(written) => {
                    return Ok(Committed {
                        result,
                        written,
                        attempts,
                    });
                }
                Err(error) if error.is_conflict() && attempts < max_attempts => self.back_off(attempts),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A pause of up to 50 us, doubled with every attempt, so that those who met do not meet again.
    fn back_off(&self, attempts: u32) {
        let env = self.log.env();
        if !env.disk.allows_threads() {
            // Where nothing runs at the same time, waiting changes nothing.
            return;
        }
        let longest = PAUSE
            .saturating_mul(1 << attempts.saturating_sub(1).min(16))
            .min(LONGEST_PAUSE);
        let share = env.entropy.next_u64() as f64 / u64::MAX as f64;
        std::thread::sleep(longest.mul_f64(share));
    }
}

impl<'s> Transaction<'s> {
    /// Position of the snapshot it reads.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.snapshot.lsn()
    }

    /// The value of `key`: as written by the transaction itself, or as of its beginning. Missing is
    /// remembered too: a commit fails if somebody has put the key since.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<TransactionValue>, StoreError> {
        if let Some(write) = self.writes.get(key) {
            return Ok(own_value(write, self.snapshot.taken_at_ms()));
        }
        if !self.seen.keys.contains(key) {
            self.seen.keys.insert(key.to_vec());
        }
        let found = self.snapshot.get(key)?;
        let expires_at_ms = found.as_ref().and_then(Value::expires_at_ms);
        self.seen.note_expiry(key, expires_at_ms);
        Ok(found.map(TransactionValue::Stored))
    }

    /// As [`Transaction::get`] for several keys.
    ///
    /// # Errors
    /// As for [`Transaction::get`].
    pub fn multi_get<K: AsRef<[u8]>>(
        &mut self,
        keys: &[K],
    ) -> Result<Vec<Option<TransactionValue>>, StoreError> {
        keys.iter().map(|key| self.get(key.as_ref())).collect()
    }

    /// Keys between the bounds in byte order, the transaction's own writes included. A commit fails if
    /// somebody has written a key in the part of the range that was looked through.
    ///
    /// # Errors
    /// Damage, naming file and offset.
    pub fn scan(
        &mut self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        options: ScanOptions,
    ) -> Result<TransactionScan<'_>, StoreError> {
        let is_empty = super::scan::is_empty(start, end);
        let own = if is_empty {
            self.writes
                .range::<[u8], _>((Bound::Included(&[][..]), Bound::Excluded(&[][..])))
        } else {
            self.writes.range::<[u8], _>((start, end))
        };
        // Each own write hides at most one key of the snapshot.
        let hidden = own.clone().count() as u64;
        let stored = ScanOptions {
            limit: options.limit.map(|limit| limit.saturating_add(hidden)),
            ..options
        };
        let stored = self.snapshot.scan_with(start, end, stored)?;
        let own = OwnWrites::new(own, self.snapshot.taken_at_ms());
        Ok(TransactionScan::new(
            stored,
            own,
            &mut self.seen,
            start,
            end,
            options,
        ))
    }

    /// The keys that begin with `prefix`, as [`Transaction::scan`] shows them.
    ///
    /// # Errors
    /// As for [`Transaction::scan`].
    pub fn scan_prefix(
        &mut self,
        prefix: &[u8],
        options: ScanOptions,
    ) -> Result<TransactionScan<'_>, StoreError> {
        let end = end_of_prefix(prefix);
        self.scan(Bound::Included(prefix), end.as_ref().map(Vec::as_slice), options)
    }

    /// Gives `key` the value, once the transaction commits.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.put_expiring(key, value, Expires::Never);
    }

    /// As [`Transaction::put`], of a value that goes by itself. A time to live counts from the commit.
    pub fn put_expiring(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>, expires: Expires) {
        let value = Some(value.into());
        self.writes.insert(key.into(), OwnWrite { value, expires });
    }

    /// Takes the value of `key` away, once the transaction commits.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        let (value, expires) = (None, Expires::Never);
        self.writes.insert(key.into(), OwnWrite { value, expires });
    }

    /// Ends the transaction; nothing of it remains. The same as dropping it.
    pub fn rollback(self) {}

    /// Makes the writes visible together, if nothing the transaction has read has been written since it
    /// began. Returns where they are, or `None` when there were none: nothing is checked and nothing is
    /// made durable then.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], naming a key: nothing was written, and running the transaction again may
    /// succeed. [`LogError::StaleEpoch`] when another leadership has begun since. As for [`Store::write`].
    pub fn commit(self, durability: Durability) -> Result<Option<Written>, StoreError> {
        if self.writes.is_empty() {
            return Ok(None);
        }
        let store = self.store;
        let ranges = KeyRanges::of(self.seen.ranges.iter().cloned());
        let hash = |key: &[u8]| store.hash(key, false);
        let mut batch = WriteBatch::new();
        for (key, write) in &self.writes {
            match &write.value {
                Some(value) => batch.put_expiring(key, value, write.expires),
                None => batch.delete(key),
            }
        }
        let writes: Vec<u64> = batch.keys().map(hash).collect();
        let reads: Vec<u64> = self.seen.keys.iter().map(|key| hash(key)).collect();
        reads.iter().for_each(|hash| store.index.prefetch(*hash));
        let mut checked = self.snapshot.lsn();
        if !ranges.is_empty() {
            checked = self.check_ranges(&ranges, checked)?;
        }
        let written = {
            let _stripes = if ranges.is_empty() {
                store.stripes.lock_many(&[&writes[..], &reads[..]].concat())
            } else {
                store.stripes.lock_all()
            };
            // After a truncation positions begin again below the snapshot's.
            let epoch = store.epoch();
            if epoch != self.epoch {
                return Err(LogError::StaleEpoch {
                    ours: self.epoch,
                    theirs: epoch,
                }
                .into());
            }
            if !ranges.is_empty() {
                self.check_ranges(&ranges, checked)?;
            }
            for (key, hash) in self.seen.keys.iter().zip(reads) {
                self.check_key(key, hash)?;
            }
            self.check_expiry()?;
            store.append_operations(&batch, &writes)?
        };
        // Waiting for the disk is no reason to hold back compaction.
        drop(self);
        store.settle(written, durability).map(Some)
    }

    /// Whether the newest version of `key` is the one of the snapshot.
    fn check_key(&self, key: &[u8], hash: u64) -> Result<(), StoreError> {
        let Some((_, place)) = self.store.lookup_hashed(hash, key, false)? else {
            return Ok(());
        };
        let at = place.lsn()?;
        if at < self.snapshot.lsn() {
            return Ok(());
        }
        Err(StoreError::Conflict {
            key: key.to_vec(),
            cause: ConflictCause::Written { at },
        })
    }

    /// Whether every value shown is still there. The store's time does not go back, so what had expired
    /// before is still gone.
    fn check_expiry(&self) -> Result<(), StoreError> {
        match &self.seen.first_expiry {
            Some((ms, key)) if *ms <= self.store.now_ms() => Err(StoreError::Conflict {
                key: key.clone(),
                cause: ConflictCause::Expired,
            }),
            _ => Ok(()),
        }
    }

    /// Whether anything from `from` on lies in the ranges; returns how far it has looked.
    fn check_ranges(&self, ranges: &KeyRanges, from: Lsn) -> Result<Lsn, StoreError> {
        let log = &self.store.log;
        let upto = log.tail();
        log.wait_stable(upto);
        let mut found: Result<(), StoreError> = Ok(());
        log.walk(from, upto, false, |segment, record| {
            if found.is_ok() && record.kind() == RecordKind::Ingest {
                // Its keys are not in the log. To look them up costs more than to run again.
                found = Err(StoreError::Conflict {
                    key: ranges.start().to_vec(),
                    cause: ConflictCause::LoadedInRange { at: record.lsn() },
                });
            }
            if found.is_ok() {
                found = for_each_version(&record, segment, |version| {
                    if version.is_system() || !ranges.contains(version.key()) {
                        return Ok(());
                    }
                    Err(StoreError::Conflict {
                        key: version.key().to_vec(),
                        cause: ConflictCause::WrittenInRange { at: version.lsn() },
                    })
                });
            }
        })?;
        found.map(|()| upto)
    }
}
