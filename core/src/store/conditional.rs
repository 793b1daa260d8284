//! Writing a key only if it still is what the caller has seen.
//!
//! In: a key, what it should look like, and what it should become. Out: the write, or what was found
//! instead: a conflict is an answer, not an error. The stripe lock of the key is held from the look to
//! the index update, so of two writers with the same expectation exactly one succeeds.

use super::expiry::{Expires, ExpiryExt};
use super::read::VersionAt;
use super::write::{Durability, Written};
use super::{Store, StoreError};
use crate::ids::{Hlc, Lsn};
use crate::log::format::{RecordKind, RecordParts};
use crate::metrics::Op;

/// What a conditional write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// No value: the key was never written, has been deleted, or has expired.
    Absent,
    /// The version that a read has shown. Position and stamp together name it: positions are used
    /// again after a failover.
    Version {
        /// [`VersionAt::lsn`] or `Value::lsn`.
        lsn: Lsn,
        /// [`VersionAt::hlc`] or `Value::hlc`.
        hlc: Hlc,
    },
    /// Any version with exactly this value. A value that was replaced and came back counts as the same.
    Value(&'a [u8]),
}

/// Outcome of a conditional write.
#[derive(Clone, Debug)]
pub enum CompareAndSet {
    /// It was as expected and has been written.
    Written(Written),
    /// It was not, and nothing has been written: the newest version, deletions included, or `None` for a
    /// key without any.
    Conflict(Option<VersionAt>),
}

impl Store {
    /// Makes `key` hold `value` (`None` deletes it) if it is as `expected`.
    ///
    /// A success is durable as [`Store::put`] would make it; a conflict says nothing of durability. After
    /// an error that is not one of "nothing was written" the write may have taken effect.
    ///
    /// # Errors
    /// As for [`Store::put`] and [`Store::get`].
    pub fn compare_and_set(
        &self,
        key: &[u8],
        expected: Expected<'_>,
        value: Option<&[u8]>,
        durability: Durability,
    ) -> Result<CompareAndSet, StoreError> {
        self.compare_and_set_expiring(key, expected, value, Expires::Never, durability)
    }

    /// As [`Store::compare_and_set`], of a value that goes by itself: a lock that its holder need not
    /// live to give back, for instance.
    ///
    /// # Errors
    /// As for [`Store::compare_and_set`].
    pub fn compare_and_set_expiring(
        &self,
        key: &[u8],
        expected: Expected<'_>,
        value: Option<&[u8]>,
        expires: Expires,
        durability: Durability,
    ) -> Result<CompareAndSet, StoreError> {
        let hash = self.hash(key, false);
        self.index.prefetch(hash);
        let written = {
            let _stripe = self.stripes.lock(hash);
            let found = self.lookup_hashed(hash, key, false)?;
            let mut has_expired = false;
            let current = match &found {
                Some((_, place)) => {
                    let version = place.version();
                    let view = version.view()?;
                    let value = version.value(&view, self.now_ms())?;
                    has_expired = value.is_none() && view.kind != RecordKind::Delete;
                    Some(VersionAt {
                        lsn: view.lsn,
                        hlc: view.hlc,
                        value,
                    })
                }
                None => None,
            };
            let value_now = current.as_ref().and_then(|version| version.value.as_ref());
            let as_expected = match expected {
                Expected::Absent => value_now.is_none(),
                Expected::Version { lsn, hlc } => {
                    current
                        .as_ref()
                        .is_some_and(|version| version.lsn == lsn && version.hlc == hlc)
                        && !has_expired
                }
                Expected::Value(bytes) => value_now.is_some_and(|value| **value == *bytes),
            };
            if !as_expected {
                return Ok(CompareAndSet::Conflict(current));
            }
            let kind = if value.is_some() {
                RecordKind::Put
            } else {
                RecordKind::Delete
            };
            let expires = value.map_or(Expires::Never, |_| expires);
            let ext = ExpiryExt::of(self.resolve_expiry(expires));
            let parts = RecordParts::new(kind, key, value.unwrap_or_default(), Lsn::ZERO);
            self.ops.add(Op::of_record(parts.kind), 1);
            self.append_over(hash, found, &ext.add_to(parts))?
        };
        Ok(CompareAndSet::Written(self.settle(written, durability)?))
    }
}
