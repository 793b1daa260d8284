//! Causal contexts: exactly which dots have been seen.
//!
//! In: dots in any order, other contexts, bytes. Out: whether a dot has been seen, and one byte form.
//! Must never claim a dot that was not seen: the write it names would be dropped as old.
//!
//! Each actor has a prefix (all dots up to n) and single dots above it. The prefix alone would do if
//! writes only ever arrived in order; the single dots keep reordered delivery exact.

use std::collections::BTreeMap;

use crate::versioning::bytes::{Reader, put_varint};
use crate::versioning::causality::Causality;
use crate::versioning::dot::{Actor, Dot, Incarnation, NodeId};
use crate::versioning::error::VersionError;

const FORMAT: u8 = 1;

/// A set of dots. Opaque to users: they hand back what a read gave them.
///
/// ```
/// use atoll::versioning::{Context, Dot};
/// let mut seen = Context::new();
/// seen.insert(Dot::new(7, 1, 2));
/// assert!(!seen.contains(Dot::new(7, 1, 1)));
/// assert_eq!(Context::from_bytes(&seen.to_bytes())?, seen);
/// # Ok::<(), atoll::versioning::VersionError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    seen: BTreeMap<Actor, Seen>,
}

/// One actor's dots, in the one way they can be written: `single` is ascending and starts at `prefix` + 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Seen {
    prefix: u64,
    single: Vec<u64>,
}

impl Seen {
    fn contains(&self, sequence: u64) -> bool {
        sequence <= self.prefix || self.single.binary_search(&sequence).is_ok()
    }

    fn highest(&self) -> u64 {
        self.single.last().copied().unwrap_or(self.prefix)
    }

    fn raise(&mut self, prefix: u64) {
        self.prefix = self.prefix.max(prefix);
        let mut taken = 0;
        for &sequence in &self.single {
            if sequence > self.prefix {
                if sequence - self.prefix > 1 {
                    break;
                }
                self.prefix = sequence;
            }
            taken += 1;
        }
        self.single.drain(..taken);
    }

    fn covers(&self, other: &Seen) -> bool {
        // Single dots may bridge the gap between the two prefixes only if they are all there, and then
        // they would have been part of the prefix.
        other.prefix <= self.prefix && other.single.iter().all(|&sequence| self.contains(sequence))
    }
}

impl Context {
    /// Nothing seen: the context of a blind write.
    #[must_use]
    pub fn new() -> Context {
        Context::default()
    }

    /// Whether nothing has been seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Whether `dot` has been seen.
    #[must_use]
    pub fn contains(&self, dot: Dot) -> bool {
        self.seen
            .get(&dot.actor)
            .is_some_and(|seen| seen.contains(dot.sequence))
    }

    /// Highest sequence seen of `actor`; 0 if none.
    #[must_use]
    pub fn highest(&self, actor: Actor) -> u64 {
        self.seen.get(&actor).map_or(0, Seen::highest)
    }

    /// Up to which sequence all of `actor`'s dots have been seen.
    #[must_use]
    pub fn prefix(&self, actor: Actor) -> u64 {
        self.seen.get(&actor).map_or(0, |seen| seen.prefix)
    }

    /// The actors of which something has been seen, ascending.
    pub fn actors(&self) -> impl Iterator<Item = Actor> {
        self.seen.keys().copied()
    }

    /// Takes in one dot, whether or not those before it have been seen.
    pub fn insert(&mut self, dot: Dot) {
        if dot.sequence == 0 {
            return;
        }
        let seen = self.seen.entry(dot.actor).or_default();
        if dot.sequence <= seen.prefix {
            return;
        }
        if let Err(at) = seen.single.binary_search(&dot.sequence) {
            seen.single.insert(at, dot.sequence);
            seen.raise(0);
        }
    }

    /// Takes in all dots of an actor up to `dot`: right for the actor itself, which has seen all its own,
    /// and for an origin's writes received in order.
    pub fn insert_through(&mut self, dot: Dot) {
        if dot.sequence > 0 {
            self.seen.entry(dot.actor).or_default().raise(dot.sequence);
        }
    }

    /// Takes in all that `other` has seen.
    pub fn join(&mut self, other: &Context) {
        for (actor, theirs) in &other.seen {
            let mine = self.seen.entry(*actor).or_default();
            if !theirs.single.is_empty() {
                mine.single.extend_from_slice(&theirs.single);
                mine.single.sort_unstable();
                mine.single.dedup();
            }
            mine.raise(theirs.prefix);
        }
    }

    /// Whether everything that `other` has seen has been seen here.
    #[must_use]
    pub fn covers(&self, other: &Context) -> bool {
        other
            .seen
            .iter()
            .all(|(actor, theirs)| self.seen.get(actor).is_some_and(|mine| mine.covers(theirs)))
    }

    /// How two contexts relate.
    #[must_use]
    pub fn compare(&self, other: &Context) -> Causality {
        Causality::of(!other.covers(self), !self.covers(other))
    }

    /// What both have seen: the lower of two prefixes and the dots in both.
    #[must_use]
    pub fn meet(&self, other: &Context) -> Context {
        let mut both = Context::new();
        for (&actor, mine) in &self.seen {
            let Some(theirs) = other.seen.get(&actor) else {
                continue;
            };
            let mut seen = Seen {
                prefix: 0,
                single: mine.single.iter().chain(&theirs.single).copied().collect(),
            };
            seen.single
                .retain(|&sequence| mine.contains(sequence) && theirs.contains(sequence));
            seen.single.sort_unstable();
            seen.single.dedup();
            seen.raise(mine.prefix.min(theirs.prefix));
            if seen.highest() > 0 {
                both.seen.insert(actor, seen);
            }
        }
        both
    }

    /// Shortens a **key's** context: single dots up to an origin's applied prefix fold into this prefix.
    ///
    /// Right once every write of that origin up to there has been applied, because then no dot of this key
    /// below can still arrive. `applied` is the node's own record of what it has applied.
    pub fn settle(&mut self, applied: &Context) {
        for (actor, seen) in &mut self.seen {
            let through = applied.prefix(*actor);
            let folded = seen.single.iter().rev().find(|&&sequence| sequence <= through);
            if let Some(&sequence) = folded {
                seen.raise(sequence);
            }
        }
    }

    /// The one byte form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + self.seen.len() * 16);
        self.encode_into(&mut out);
        out
    }

    /// Appends the byte form to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        put_varint(out, self.seen.len() as u64);
        for (actor, seen) in &self.seen {
            out.extend_from_slice(&actor.node.0.to_le_bytes());
            put_varint(out, u64::from(actor.incarnation.0));
            put_varint(out, seen.prefix);
            put_varint(out, seen.single.len() as u64);
            let mut last = seen.prefix.saturating_add(1);
            for &sequence in &seen.single {
                put_varint(out, sequence - last);
                last = sequence;
            }
        }
    }

    /// Reads the byte form. Allocates no more than a small multiple of `bytes`.
    ///
    /// # Errors
    /// [`VersionError::BadBytes`] for anything but the one form of a context.
    pub fn from_bytes(bytes: &[u8]) -> Result<Context, VersionError> {
        let mut reader = Reader::new(bytes, "context");
        let context = Context::read(&mut reader)?;
        reader.end()?;
        Ok(context)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Context, VersionError> {
        reader.format(FORMAT)?;
        let mut context = Context::new();
        for _ in 0..reader.count(11)? {
            let node = NodeId(u64::from_le_bytes(reader.array()?));
            let incarnation =
                u32::try_from(reader.varint()?).map_err(|_| reader.bad("incarnation above 32 bits"))?;
            let actor = Actor {
                node,
                incarnation: Incarnation(incarnation),
            };
            if context
                .seen
                .last_key_value()
                .is_some_and(|(last, _)| *last >= actor)
            {
                return Err(reader.bad("actors are not ascending"));
            }
            let prefix = reader.varint()?;
            let count = reader.count(1)?;
            if prefix == 0 && count == 0 {
                return Err(reader.bad("actor of which nothing was seen"));
            }
            let mut single = Vec::with_capacity(count);
            let mut last = prefix.checked_add(1).filter(|_| count > 0).unwrap_or(0);
            for _ in 0..count {
                let step = reader.varint()?;
                last = match last.checked_add(step) {
                    Some(sequence) if step > 0 && last > 0 => sequence,
                    _ => return Err(reader.bad("dots are not ascending")),
                };
                single.push(last);
            }
            context.seen.insert(actor, Seen { prefix, single });
        }
        Ok(context)
    }
}

impl FromIterator<Dot> for Context {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Context {
        let mut context = Context::new();
        dots.into_iter().for_each(|dot| context.insert(dot));
        context
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn dots() -> impl Strategy<Value = BTreeSet<Dot>> {
        proptest::collection::btree_set(
            (0u64..3, 0u32..2, 1u64..7).prop_map(|(n, i, s)| Dot::new(n, i, s)),
            0..14,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn a_context_is_a_set_of_dots_with_one_form(a in dots(), b in dots()) {
            let of = |set: &BTreeSet<Dot>| set.iter().copied().collect::<Context>();
            let (x, y) = (of(&a), of(&b));
            let mut joined = x.clone();
            joined.join(&y);
            prop_assert_eq!(&joined, &of(&a.union(&b).copied().collect()));
            prop_assert_eq!(x.meet(&y), of(&a.intersection(&b).copied().collect()));
            prop_assert_eq!(x.covers(&y), b.is_subset(&a));
            prop_assert_eq!(x.compare(&y) == Causality::Equal, a == b);
            prop_assert_eq!(Context::from_iter(a.iter().rev().copied()), x.clone());
            prop_assert_eq!(Context::from_bytes(&x.to_bytes()).unwrap(), x);
        }

        #[test]
        fn bytes_have_one_reading_or_none(a in dots(), flips in proptest::collection::vec(any::<(usize, u8)>(), 0..3),
                                          noise in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut bytes = a.into_iter().collect::<Context>().to_bytes();
            for (at, with) in flips { let at = at % bytes.len(); bytes[at] ^= with; }
            for bytes in [bytes, noise] {
                if let Ok(context) = Context::from_bytes(&bytes) { prop_assert_eq!(context.to_bytes(), bytes); }
            }
        }
    }

    #[test]
    fn dots_at_the_end_of_the_range_are_kept_exact() {
        let mut context: Context = [Dot::new(1, 1, u64::MAX), Dot::new(1, 1, u64::MAX - 2)]
            .into_iter()
            .collect();
        assert_eq!(Context::from_bytes(&context.to_bytes()).unwrap(), context);
        context.insert_through(Dot::new(1, 1, u64::MAX - 1));
        assert_eq!(context.prefix(Dot::new(1, 1, 1).actor), u64::MAX);
        assert_eq!(Context::from_bytes(&context.to_bytes()).unwrap(), context);
    }

    #[test]
    fn settling_folds_what_has_been_applied_and_no_more() {
        let mut context: Context = [3, 5, 9]
            .map(|sequence| Dot::new(1, 1, sequence))
            .into_iter()
            .collect();
        let mut applied = Context::new();
        applied.insert_through(Dot::new(1, 1, 7));
        context.settle(&applied);
        assert_eq!(context.prefix(Dot::new(1, 1, 1).actor), 5);
        assert!(!context.contains(Dot::new(1, 1, 7)) && context.contains(Dot::new(1, 1, 9)));
    }
}
