//! `counter`: adds and subtracts that all count, once each (a PN-counter; Shapiro et al., 2011).
//!
//! A value is a list of shares, each written by one actor only and named by the dot of its first write;
//! siblings merge to the larger of each. An actor goes on with a share only while its own latest write on
//! the key stands, otherwise it starts a new one: after a deletion it could otherwise continue below a copy
//! of its old share, and the copy would swallow what it adds.

use std::collections::BTreeMap;

use crate::versioning::bytes::{Reader, put_varint};
use crate::versioning::dot::Dot;
use crate::versioning::error::VersionError;
use crate::versioning::resolve::{Outcome, Resolver, merged, unresolvable};
use crate::versioning::siblings::{SiblingSet, Version};

const FORMAT: u8 = 1;
const NAME: &str = "counter";

/// The state of a counter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// What was added and subtracted under each share.
    shares: BTreeMap<Dot, (u64, u64)>,
}

impl Counter {
    /// The value to write with `dot` so that the counter of `set` grows by `delta`. To be put with the
    /// whole context of `set`.
    ///
    /// # Errors
    /// [`VersionError::Unresolvable`] if a sibling is no counter, [`VersionError::CounterOverflow`] if the
    /// share has used its 64 bits.
    pub fn add(set: &SiblingSet, dot: Dot, delta: i64) -> Result<Counter, VersionError> {
        let mut counter = Counter::of(set.versions())?;
        let own = match set
            .latest_of(dot.actor)
            .and_then(|version| version.value.as_deref())
        {
            Some(value) => {
                let standing = Counter::from_bytes(value)?;
                standing
                    .shares
                    .into_keys()
                    .rfind(|share| share.actor == dot.actor)
            }
            None => None,
        };
        let (plus, minus) = counter.shares.entry(own.unwrap_or(dot)).or_default();
        let side = if delta < 0 { minus } else { plus };
        *side = side
            .checked_add(delta.unsigned_abs())
            .ok_or_else(|| VersionError::CounterOverflow {
                owner: format!("share {dot}"),
            })?;
        Ok(counter)
    }

    /// What the counter says.
    #[must_use]
    pub fn value(&self) -> i128 {
        self.shares
            .values()
            .map(|(plus, minus)| i128::from(*plus) - i128::from(*minus))
            .sum()
    }

    /// The one byte form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        put_varint(&mut out, self.shares.len() as u64);
        for (dot, (plus, minus)) in &self.shares {
            out.extend_from_slice(&dot.to_bytes());
            put_varint(&mut out, *plus);
            put_varint(&mut out, *minus);
        }
        out
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// [`VersionError::BadBytes`] for anything but the one form of a counter.
    pub fn from_bytes(bytes: &[u8]) -> Result<Counter, VersionError> {
        let mut reader = Reader::new(bytes, NAME);
        reader.format(FORMAT)?;
        let mut counter = Counter::default();
        for _ in 0..reader.count(26)? {
            let dot = Dot::read(&mut reader)?;
            if counter
                .shares
                .last_key_value()
                .is_some_and(|(last, _)| *last >= dot)
            {
                return Err(reader.bad("shares are not ascending"));
            }
            counter.shares.insert(dot, (reader.varint()?, reader.varint()?));
        }
        reader.end()?;
        Ok(counter)
    }

    fn of(versions: &[Version]) -> Result<Counter, VersionError> {
        let mut counter = Counter::default();
        for version in versions {
            let Some(value) = &version.value else { continue };
            let other = Counter::from_bytes(value).map_err(|error| unresolvable(NAME, version, error))?;
            for (dot, (plus, minus)) in other.shares {
                let share = counter.shares.entry(dot).or_default();
                *share = (share.0.max(plus), share.1.max(minus));
            }
        }
        Ok(counter)
    }
}

/// The rule `counter`.
#[derive(Clone, Copy, Debug)]
pub struct CounterRule;

impl Resolver for CounterRule {
    fn name(&self) -> &str {
        NAME
    }

    fn resolve(&self, _key: &[u8], versions: &[Version]) -> Result<Outcome, VersionError> {
        let counter = Counter::of(versions)?;
        let any = versions.iter().any(|version| version.value.is_some());
        Ok(merged(versions, any.then(|| counter.to_bytes())))
    }

    fn present(&self, value: &[u8]) -> Result<Vec<u8>, VersionError> {
        Counter::from_bytes(value).map(|counter| counter.value().to_string().into_bytes())
    }
}
