//! The versions of one key: those that no later write has replaced.
//!
//! In: local writes with the context their writer had read, single writes and whole sets of other nodes, in
//! any order and any number of times. Out: the siblings, the context to hand to a reader, one byte form.
//! Must never lose a write that no causal successor replaced, nor bring back one that was replaced.
//!
//! Source: Preguiça et al. 2010 (dotted version vectors); the join is that of a dot store with a causal
//! context (Almeida et al., "Delta State Replicated Data Types", 2018). Merge results of resolvers are
//! never stored here: they carry no dot of their own, and storing them diverges.

use crate::ids::Hlc;
use crate::versioning::bytes::{Reader, put_slice};
use crate::versioning::context::Context;
use crate::versioning::dot::{Actor, Dot};
use crate::versioning::error::VersionError;
use crate::versioning::resolve::{Outcome, Resolver, lww};

const FORMAT: u8 = 1;

/// One write of a key: a value or, as a tombstone, none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Name of the write.
    pub dot: Dot,
    /// When its node stamped it.
    pub stamp: Hlc,
    /// What its writer had read.
    pub context: Context,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

impl Version {
    /// Appends the byte form of a version, which stands alone as well as in a set.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.dot.to_bytes());
        out.extend_from_slice(&self.stamp.0.to_le_bytes());
        self.context.encode_into(out);
        out.push(u8::from(self.value.is_some()));
        if let Some(value) = &self.value {
            put_slice(out, value);
        }
    }

    /// Reads the byte form of one version.
    ///
    /// # Errors
    /// [`VersionError::BadBytes`] for anything but the one form of a version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Version, VersionError> {
        let mut reader = Reader::new(bytes, "version");
        let version = Version::read(&mut reader)?;
        reader.end()?;
        Ok(version)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Version, VersionError> {
        let dot = Dot::read(reader)?;
        let stamp = Hlc(u64::from_le_bytes(reader.array()?));
        let context = Context::read(reader)?;
        if context.contains(dot) {
            return Err(reader.bad("version that has seen itself"));
        }
        let value = match reader.u8()? {
            0 => None,
            1 => Some(reader.slice()?.to_vec()),
            _ => return Err(reader.bad("unknown kind of version")),
        };
        Ok(Version {
            dot,
            stamp,
            context,
            value,
        })
    }
}

/// The siblings of one key and everything that has been seen of it.
///
/// ```
/// use atoll::versioning::{Dot, Hlc, SiblingSet};
/// let mut set = SiblingSet::new();
/// set.put(Dot::new(1, 1, 1), Hlc(10), &set.context().clone(), Some(b"a".to_vec()))?;
/// let (_, context) = set.get();
/// set.put(Dot::new(1, 1, 2), Hlc(11), &Default::default(), Some(b"blind".to_vec()))?;
/// set.put(Dot::new(1, 1, 3), Hlc(12), &context, Some(b"after a".to_vec()))?;
/// let (values, _) = set.get();
/// assert_eq!(values, [b"blind".as_slice(), b"after a"]);
/// # Ok::<(), atoll::versioning::VersionError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SiblingSet {
    seen: Context,
    /// Ascending by dot; none is in the context of another.
    versions: Vec<Version>,
}

impl SiblingSet {
    /// The set of a key that was never written.
    #[must_use]
    pub fn new() -> SiblingSet {
        SiblingSet::default()
    }

    /// The values that stand side by side, in the order of their dots, and the context that replaces them.
    #[must_use]
    pub fn get(&self) -> (Vec<&[u8]>, Context) {
        let values = self
            .versions
            .iter()
            .filter_map(|version| version.value.as_deref());
        (values.collect(), self.seen.clone())
    }

    /// All versions, tombstones too, in the order of their dots.
    #[must_use]
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// Everything that has been seen of this key.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.seen
    }

    /// Whether the key was never written here, or has been purged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.seen.is_empty()
    }

    /// A local write: replaces exactly what `context` has seen. An empty context is a blind write, which
    /// replaces nothing. Returns the version, to be logged and shipped.
    ///
    /// # Errors
    /// [`VersionError::StaleDot`] if `dot` is not new; [`VersionError::StampNotAfter`] if `stamp` is not
    /// above all that is replaced. The set is unchanged.
    pub fn put(
        &mut self,
        dot: Dot,
        stamp: Hlc,
        context: &Context,
        value: Option<Vec<u8>>,
    ) -> Result<Version, VersionError> {
        if dot.sequence == 0
            || dot.sequence <= self.seen.highest(dot.actor)
            || context.highest(dot.actor) >= dot.sequence
        {
            return Err(VersionError::StaleDot { dot });
        }
        let replaced = self
            .versions
            .iter()
            .filter(|version| context.contains(version.dot));
        if let Some(latest) = replaced
            .map(|version| version.stamp)
            .max()
            .filter(|latest| *latest >= stamp)
        {
            return Err(VersionError::StampNotAfter {
                stamp: stamp.0,
                replaced: latest.0,
            });
        }
        let version = Version {
            dot,
            stamp,
            context: context.clone(),
            value,
        };
        self.versions.retain(|old| !context.contains(old.dot));
        self.seen.join(context);
        // The node has seen all its own writes, so its own dots never need to be listed one by one.
        self.seen.insert_through(dot);
        self.place(version.clone());
        Ok(version)
    }

    /// A local deletion: a write without a value. The tombstone keeps its dot until it is stable.
    ///
    /// # Errors
    /// As [`SiblingSet::put`].
    pub fn delete(&mut self, dot: Dot, stamp: Hlc, context: &Context) -> Result<Version, VersionError> {
        self.put(dot, stamp, context, None)
    }

    /// Takes in one write of another node. Order and repetition do not matter.
    ///
    /// # Errors
    /// [`VersionError::ReusedDot`] if another write with this dot is here; the set is unchanged.
    pub fn apply(&mut self, version: &Version) -> Result<(), VersionError> {
        let mut seen = version.context.clone();
        seen.insert(version.dot);
        self.merge(&SiblingSet {
            seen,
            versions: vec![version.clone()],
        })
    }

    /// Takes in another node's whole set. Commutative, associative and idempotent.
    ///
    /// # Errors
    /// [`VersionError::ReusedDot`] if the sets hold different writes under one dot; the set is unchanged.
    pub fn merge(&mut self, other: &SiblingSet) -> Result<(), VersionError> {
        for theirs in &other.versions {
            if let Ok(at) = self.find(theirs.dot)
                && self.versions[at] != *theirs
            {
                return Err(VersionError::ReusedDot { dot: theirs.dot });
            }
        }
        self.versions
            .retain(|mine| !other.seen.contains(mine.dot) || other.find(mine.dot).is_ok());
        for theirs in &other.versions {
            // Seen here and not here any more: something has replaced it.
            if !self.seen.contains(theirs.dot) {
                self.place(theirs.clone());
            }
        }
        self.seen.join(&other.seen);
        Ok(())
    }

    /// What `rule` makes of the siblings, for a reader; nothing stored changes.
    ///
    /// # Errors
    /// [`VersionError::Unresolvable`] if the rule cannot merge these values.
    pub fn resolve(&self, key: &[u8], rule: &dyn Resolver) -> Result<Outcome, VersionError> {
        rule.resolve(key, &self.versions)
    }

    /// Drops every sibling but the one that wins under `lww`: the only rule that may, because its winner
    /// is one of the stored writes and every node picks it alone. Returns what was dropped.
    pub fn drop_losers(&mut self) -> Vec<Version> {
        let Some(winner) = self
            .versions
            .iter()
            .max_by_key(|version| lww::rank(version))
            .map(|version| version.dot)
        else {
            return Vec::new();
        };
        let (kept, dropped) = std::mem::take(&mut self.versions)
            .into_iter()
            .partition(|version| version.dot == winner);
        self.versions = kept;
        dropped
    }

    /// Shortens the context once origins' writes have been applied in full; see [`Context::settle`].
    pub fn settle(&mut self, applied: &Context) {
        self.seen.settle(applied);
    }

    /// Whether the key may be forgotten whole: only tombstones are left, and every member has applied all
    /// that was ever seen of the key, so nothing old can arrive that the tombstone would have to refuse.
    ///
    /// `stable` is [`crate::versioning::Membership::stable`]. Receivers must drop writes they have applied
    /// before (by their applied context): after the purge, the set no longer does it for them.
    #[must_use]
    pub fn purgeable(&self, stable: &Context) -> bool {
        self.versions.iter().all(|version| version.value.is_none()) && stable.covers(&self.seen)
    }

    /// The latest write of `actor` on this key, if nothing has replaced it.
    pub(super) fn latest_of(&self, actor: Actor) -> Option<&Version> {
        let sequence = self.seen.highest(actor);
        self.find(Dot { actor, sequence })
            .ok()
            .map(|at| &self.versions[at])
    }

    /// The one byte form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        self.seen.encode_into(&mut out);
        crate::versioning::bytes::put_varint(&mut out, self.versions.len() as u64);
        for version in &self.versions {
            version.encode_into(&mut out);
        }
        out
    }

    /// Reads the byte form and checks that it is a possible set. Allocates no more than a small multiple of
    /// `bytes`.
    ///
    /// # Errors
    /// [`VersionError::BadBytes`] for anything but the one form of a sibling set.
    pub fn from_bytes(bytes: &[u8]) -> Result<SiblingSet, VersionError> {
        let mut reader = Reader::new(bytes, "sibling set");
        reader.format(FORMAT)?;
        let seen = Context::read(&mut reader)?;
        // Dot, stamp, empty context and kind: no version is shorter.
        let count = reader.count(35)?;
        let mut versions: Vec<Version> = Vec::with_capacity(count);
        for _ in 0..count {
            let version = Version::read(&mut reader)?;
            if versions.last().is_some_and(|last| last.dot >= version.dot) {
                return Err(reader.bad("versions are not ascending"));
            }
            if !seen.contains(version.dot) || !seen.covers(&version.context) {
                return Err(reader.bad("version that the set has not seen"));
            }
            versions.push(version);
        }
        reader.end()?;
        let mut replaced = Context::new();
        versions
            .iter()
            .for_each(|version| replaced.join(&version.context));
        if versions.iter().any(|version| replaced.contains(version.dot)) {
            return Err(reader.bad("version that another one replaces"));
        }
        Ok(SiblingSet { seen, versions })
    }

    fn find(&self, dot: Dot) -> Result<usize, usize> {
        self.versions.binary_search_by_key(&dot, |version| version.dot)
    }

    fn place(&mut self, version: Version) {
        if let Err(at) = self.find(version.dot) {
            self.versions.insert(at, version);
        }
    }
}

#[cfg(test)]
mod tests;
