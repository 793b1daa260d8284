//! Vector clocks over node names.
//!
//! In: names of nodes, other clocks, text or bytes. Out: the exact causal relation of two versions, and
//! one canonical text and byte form. Must never call equal clocks concurrent, and never forget an entry.
//!
//! Source: Fidge 1988 and Mattern 1989 for the partial order; Parker et al. 1983 for versions of data,
//! where only a write ticks and receiving joins.

mod text;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::versioning::bytes::{Reader, put_slice, put_varint};
use crate::versioning::causality::Causality;
use crate::versioning::error::VersionError;

/// Longest node name in bytes.
pub const MAX_NODE_NAME_BYTES: usize = 255;

const FORMAT: u8 = 1;
const WHAT: &str = "vector clock";

/// How many writes of each node a version has seen. A node that is absent counts 0.
///
/// ```
/// use atoll::versioning::{Causality, VectorClock};
/// let mut a = VectorClock::new();
/// a.tick("A")?;
/// let mut b = a.clone();
/// b.tick("B")?;
/// assert_eq!(a.compare(&b), Causality::Before);
/// a.tick("A")?;
/// assert_eq!(a.compare(&b), Causality::Concurrent);
/// a.merge(&b);
/// assert_eq!(a.to_string(), r#"{"A":2,"B":1}"#);
/// assert_eq!(a, VectorClock::from_bytes(&a.to_bytes())?);
/// # Ok::<(), atoll::versioning::VersionError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct VectorClock {
    /// Ascending by the bytes of the name; no counter is 0. So equal clocks are equal field by field.
    entries: Vec<(Box<str>, u64)>,
}

impl VectorClock {
    /// The clock that has seen nothing.
    #[must_use]
    pub fn new() -> VectorClock {
        VectorClock::default()
    }

    /// A clock of names and counters in any order; a counter of 0 is the same as absence.
    ///
    /// # Errors
    /// [`VersionError::BadNodeName`] for a name that no clock may hold or that is given twice.
    pub fn from_entries<'a>(
        entries: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Result<VectorClock, VersionError> {
        let mut all = Vec::new();
        for (name, counter) in entries {
            check_name(name)?;
            all.push((Box::from(name), counter));
        }
        all.sort_unstable();
        if let Some(twice) = all.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(bad_name(&twice[0].0, "it is given twice"));
        }
        all.retain(|(_, counter)| *counter > 0);
        Ok(VectorClock { entries: all })
    }

    /// Counter of `node`; 0 if it is absent.
    #[must_use]
    pub fn get(&self, node: &str) -> u64 {
        match self.place(node) {
            Ok(at) => self.entries[at].1,
            Err(_) => 0,
        }
    }

    /// Names and counters, ascending by the bytes of the names. No counter is 0.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.entries.iter().map(|(name, counter)| (&**name, *counter))
    }

    /// Number of nodes that have written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing has been seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Counts one local write at `node` and returns the new counter. Receiving does not tick: it merges.
    ///
    /// # Errors
    /// [`VersionError::CounterOverflow`] at 2^64 − 1, [`VersionError::BadNodeName`]; the clock is unchanged.
    pub fn tick(&mut self, node: &str) -> Result<u64, VersionError> {
        match self.place(node) {
            Ok(at) => {
                let counter = &mut self.entries[at].1;
                *counter = counter
                    .checked_add(1)
                    .ok_or_else(|| VersionError::CounterOverflow {
                        owner: format!("node {node:?}"),
                    })?;
                Ok(*counter)
            }
            Err(at) => {
                check_name(node)?;
                self.entries.insert(at, (Box::from(node), 1));
                Ok(1)
            }
        }
    }

    /// Takes in all that `other` has seen: the larger counter of each node.
    pub fn merge(&mut self, other: &VectorClock) {
        // Replicas of one key mostly know the same nodes, so the common case allocates nothing.
        let mut at = 0;
        let mut missing = 0;
        for (name, counter) in &other.entries {
            while at < self.entries.len() && self.entries[at].0 < *name {
                at += 1;
            }
            if at < self.entries.len() && self.entries[at].0 == *name {
                let mine = &mut self.entries[at].1;
                *mine = (*mine).max(*counter);
                at += 1;
            } else {
                missing += 1;
            }
        }
        if missing > 0 {
            self.insert_missing(other, missing);
        }
    }

    fn insert_missing(&mut self, other: &VectorClock, missing: usize) {
        let mut merged = Vec::with_capacity(self.entries.len() + missing);
        let mut mine = std::mem::take(&mut self.entries).into_iter().peekable();
        for entry in &other.entries {
            while let Some(earlier) = mine.next_if(|(name, _)| *name < entry.0) {
                merged.push(earlier);
            }
            // Counters of shared names have been raised already.
            merged.push(
                mine.next_if(|(name, _)| *name == entry.0)
                    .unwrap_or_else(|| entry.clone()),
            );
        }
        merged.extend(mine);
        self.entries = merged;
    }

    /// How this version relates to `other`: exactly one of the four answers. One pass, no allocation.
    #[must_use]
    pub fn compare(&self, other: &VectorClock) -> Causality {
        let (mut left_more, mut right_more) = (false, false);
        let (mut i, mut j) = (0, 0);
        while i < self.entries.len() && j < other.entries.len() {
            let (left, right) = (&self.entries[i], &other.entries[j]);
            match left.0.as_bytes().cmp(right.0.as_bytes()) {
                Ordering::Less => (left_more, i) = (true, i + 1),
                Ordering::Greater => (right_more, j) = (true, j + 1),
                Ordering::Equal => {
                    left_more |= left.1 > right.1;
                    right_more |= right.1 > left.1;
                    (i, j) = (i + 1, j + 1);
                }
            }
            if left_more && right_more {
                return Causality::Concurrent;
            }
        }
        Causality::of(
            left_more || i < self.entries.len(),
            right_more || j < other.entries.len(),
        )
    }

    /// Always refused: an entry cannot be forgotten without changing answers.
    ///
    /// A clock without its oldest entry compares as concurrent with versions it succeeds, and as older
    /// than copies that kept the entry; two clusters that prune at different moments then exchange the same
    /// value for ever. Sizes stay small by naming nodes (at most 16 a group) instead of clients.
    ///
    /// # Errors
    /// [`VersionError::PruneRefused`], always.
    pub fn prune(&mut self, node: &str) -> Result<(), VersionError> {
        Err(VersionError::PruneRefused {
            node: node.to_owned(),
        })
    }

    /// The one byte form of this clock.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out =
            Vec::with_capacity(2 + self.entries.iter().map(|(name, _)| name.len() + 6).sum::<usize>());
        self.encode_into(&mut out);
        out
    }

    /// Appends the byte form to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        put_varint(out, self.entries.len() as u64);
        for (name, counter) in &self.entries {
            put_slice(out, name.as_bytes());
            put_varint(out, *counter);
        }
    }

    /// Reads the byte form. Allocates no more than a small multiple of `bytes`.
    ///
    /// # Errors
    /// [`VersionError::BadBytes`] for anything but the one form of a clock.
    pub fn from_bytes(bytes: &[u8]) -> Result<VectorClock, VersionError> {
        let mut entries = Entries::new(bytes)?;
        // An entry takes at least 3 bytes, which `Entries::new` has held the count against.
        let mut clock = VectorClock {
            entries: Vec::with_capacity(entries.left),
        };
        while let Some((name, counter)) = entries.next()? {
            clock.entries.push((Box::from(name), counter));
        }
        Ok(clock)
    }

    /// Compares two clocks in their byte form, without allocating. Both are checked to their last byte.
    ///
    /// # Errors
    /// [`VersionError::BadBytes`] if either is not the byte form of a clock.
    pub fn compare_encoded(left: &[u8], right: &[u8]) -> Result<Causality, VersionError> {
        let (mut lefts, mut rights) = (Entries::new(left)?, Entries::new(right)?);
        let (mut left_more, mut right_more) = (false, false);
        let (mut l, mut r) = (lefts.next()?, rights.next()?);
        loop {
            match (l, r) {
                (None, None) => return Ok(Causality::of(left_more, right_more)),
                (Some(a), Some(b)) if a.0 == b.0 => {
                    left_more |= a.1 > b.1;
                    right_more |= b.1 > a.1;
                    (l, r) = (lefts.next()?, rights.next()?);
                }
                (Some(a), b) if b.is_none_or(|b| a.0 < b.0) => (left_more, l) = (true, lefts.next()?),
                _ => (right_more, r) = (true, rights.next()?),
            }
        }
    }

    fn place(&self, node: &str) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|(name, _)| name.as_bytes().cmp(node.as_bytes()))
    }
}

/// Entries of the byte form, each checked as it is read.
struct Entries<'a> {
    reader: Reader<'a>,
    left: usize,
    last: &'a str,
}

impl<'a> Entries<'a> {
    fn new(bytes: &'a [u8]) -> Result<Entries<'a>, VersionError> {
        let mut reader = Reader::new(bytes, WHAT);
        reader.format(FORMAT)?;
        let left = reader.count(3)?;
        Ok(Entries {
            reader,
            left,
            last: "",
        })
    }

    fn next(&mut self) -> Result<Option<(&'a str, u64)>, VersionError> {
        if self.left == 0 {
            self.reader.end()?;
            return Ok(None);
        }
        self.left -= 1;
        let name =
            std::str::from_utf8(self.reader.slice()?).map_err(|_| self.reader.bad("name is not UTF-8"))?;
        // Also refuses the empty name: nothing sorts before it.
        if name <= self.last {
            return Err(self.reader.bad("names are empty or not ascending"));
        }
        if name_fault(name).is_some() {
            return Err(self.reader.bad("bad node name"));
        }
        self.last = name;
        match self.reader.varint()? {
            0 => Err(self.reader.bad("counter is 0")),
            counter => Ok(Some((name, counter))),
        }
    }
}

pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > MAX_NODE_NAME_BYTES {
        Some("it is longer than 255 bytes")
    } else if name.bytes().any(|byte| byte < 0x20 || byte == 0x7F) {
        Some("it holds a control character")
    } else {
        None
    }
}

pub(super) fn check_name(name: &str) -> Result<(), VersionError> {
    name_fault(name).map_or(Ok(()), |reason| Err(bad_name(name, reason)))
}

fn bad_name(name: &str, reason: &'static str) -> VersionError {
    VersionError::BadNodeName {
        name: name.chars().take(64).collect(),
        reason,
    }
}

impl PartialOrd for VectorClock {
    /// The causal order; `None` is "concurrent".
    fn partial_cmp(&self, other: &VectorClock) -> Option<Ordering> {
        self.compare(other).ordering()
    }
}

impl fmt::Debug for VectorClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for VectorClock {
    /// The canonical text: a JSON object, names ascending by bytes, no spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(self, f)
    }
}

impl FromStr for VectorClock {
    type Err = VersionError;

    /// Reads a clock from any JSON spelling of it: spaces and order are free, and a counter of 0 is absence.
    ///
    /// # Errors
    /// [`VersionError::BadText`] for anything but an object of whole numbers from 0 to 2^64 − 1, for a bad
    /// node name, and for a name given twice.
    fn from_str(text: &str) -> Result<VectorClock, VersionError> {
        text::parse(text)
    }
}

#[cfg(test)]
mod tests;
