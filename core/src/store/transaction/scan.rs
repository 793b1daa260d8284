//! A scan within a transaction: the snapshot's keys with the transaction's own writes laid over them.
//!
//! In: bounds. Out: keys in order, and to the transaction the part of the range that was really looked
//! through: a scan that ends after the first key of a queue does not conflict with a put at its end.

use std::collections::btree_map;
use std::ops::Bound;

use super::super::scan::{Entry, Scan};
use super::super::{ScanOptions, StoreError};
use super::{OwnWrite, Seen, TransactionValue, own_value};

/// One key of a transaction's scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionEntry {
    /// The key.
    pub key: Vec<u8>,
    /// Its value; `None` only where deletions were asked for.
    pub value: Option<TransactionValue>,
}

/// A transaction's own writes in a range, as they look at the time it began.
#[derive(Debug)]
pub(super) struct OwnWrites<'t> {
    writes: btree_map::Range<'t, Vec<u8>, OwnWrite>,
    now_ms: u64,
}

impl<'t> OwnWrites<'t> {
    pub(super) fn new(writes: btree_map::Range<'t, Vec<u8>, OwnWrite>, now_ms: u64) -> OwnWrites<'t> {
        OwnWrites { writes, now_ms }
    }
}

/// The keys between two bounds as a transaction sees them. Dropped early, it counts as having looked
/// only as far as it came.
#[derive(Debug)]
pub struct TransactionScan<'t> {
    stored: Scan,
    /// Taken from `stored` and not handed out yet.
    stored_next: Option<Entry>,
    own: OwnWrites<'t>,
    own_next: Option<(&'t Vec<u8>, &'t OwnWrite)>,
    options: ScanOptions,
    left: u64,
    progress: Progress<'t>,
}

/// How far the scan came; tells the transaction when it ends.
#[derive(Debug)]
struct Progress<'t> {
    seen: &'t mut Seen,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    reverse: bool,
    /// Whether somebody has asked for a key at all.
    is_begun: bool,
    /// Whether everything up to the end of the range has been looked at.
    is_whole: bool,
    last: Vec<u8>,
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if !self.is_begun {
            return;
        }
        let unbounded = Bound::Unbounded;
        let mut start = std::mem::replace(&mut self.start, unbounded.clone());
        let mut end = std::mem::replace(&mut self.end, unbounded);
        let last = Bound::Included(std::mem::take(&mut self.last));
        match (self.is_whole, self.reverse) {
            (true, _) => {}
            (false, false) => end = last,
            (false, true) => start = last,
        }
        self.seen.ranges.push((start, end));
    }
}

impl<'t> TransactionScan<'t> {
    pub(super) fn new(
        stored: Scan,
        own: OwnWrites<'t>,
        seen: &'t mut Seen,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        options: ScanOptions,
    ) -> TransactionScan<'t> {
        TransactionScan {
            stored,
            stored_next: None,
            own,
            own_next: None,
            options,
            left: options.limit.unwrap_or(u64::MAX),
            progress: Progress {
                seen,
                start: start.map(<[u8]>::to_vec),
                end: end.map(<[u8]>::to_vec),
                reverse: options.reverse,
                is_begun: false,
                is_whole: false,
                last: Vec::new(),
            },
        }
    }

    fn go_on(&mut self) -> Result<Option<TransactionEntry>, StoreError> {
        if self.left == 0 {
            return Ok(None);
        }
        // Until a key is handed out, an error or an end has looked through everything.
        self.progress.is_begun = true;
        self.progress.is_whole = true;
        loop {
            if self.stored_next.is_none() {
                self.stored_next = self.stored.next().transpose()?;
            }
            if self.own_next.is_none() {
                self.own_next = if self.options.reverse {
                    self.own.writes.next_back()
                } else {
                    self.own.writes.next()
                };
            }
            let own_first = match (&self.stored_next, self.own_next) {
                (None, None) => return Ok(None),
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some(stored), Some((own, _))) => {
                    let order = own.as_slice().cmp(&stored.key);
                    if order.is_eq() {
                        // The transaction's own write replaces it.
                        self.stored_next = None;
                    }
                    let order = if self.options.reverse {
                        order.reverse()
                    } else {
                        order
                    };
                    order.is_le()
                }
            };
            let entry = if own_first {
                let (key, write) = self.own_next.take().expect("looked at above");
                TransactionEntry {
                    key: key.clone(),
                    value: own_value(write, self.own.now_ms),
                }
            } else {
                let stored = self.stored_next.take().expect("looked at above");
                if stored.value.is_some() {
                    self.progress.seen.note_expiry(&stored.key, stored.expires_at_ms);
                }
                TransactionEntry {
                    key: stored.key.to_vec(),
                    value: stored.value.map(TransactionValue::Stored),
                }
            };
            if entry.value.is_some() || self.options.deletions {
                self.left -= 1;
                self.progress.is_whole = false;
                self.progress.last.clone_from(&entry.key);
                return Ok(Some(entry));
            }
        }
    }
}

impl Iterator for TransactionScan<'_> {
    type Item = Result<TransactionEntry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.go_on();
        if next.is_err() {
            self.left = 0;
        }
        next.transpose()
    }
}
