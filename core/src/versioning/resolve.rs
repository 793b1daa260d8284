//! Resolvers: what a reader gets when writes stand side by side.
//!
//! In: the siblings of one key. Out: one version made of them, or all of them. A resolver must give the
//! same bytes on every node whatever the order and repetition of its input, and reads no clock. Siblings
//! stay stored until a causal write replaces them; an error of a resolver loses nothing.

pub mod counter;
pub mod fields;
pub mod lww;
mod number;
mod scan;
pub mod set_union;

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use crate::versioning::context::Context;
use crate::versioning::dot::NodeId;
use crate::versioning::error::VersionError;
use crate::versioning::siblings::Version;

/// The names that [`resolver`] knows.
pub const RESOLVERS: &str = "lww, node_priority, fields, set_union, counter, max, min, siblings";

/// What a rule has made of siblings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// One version. A merged one carries the highest stamp and dot of its parts, to be compared by, never
    /// to be stored.
    One(Version),
    /// The rule leaves the choice to the reader: all of them, in the order of their dots.
    Siblings(Vec<Version>),
}

impl Outcome {
    /// The versions in it: one, or the siblings.
    #[must_use]
    pub fn into_versions(self) -> Vec<Version> {
        match self {
            Outcome::One(version) => vec![version],
            Outcome::Siblings(versions) => versions,
        }
    }
}

/// A rule for concurrent versions. Deterministic, commutative, associative and idempotent; check yours with
/// [`crate::versioning::conformance`].
pub trait Resolver: Send + Sync {
    /// Name of the rule, as users write it.
    fn name(&self) -> &str;

    /// What `versions` come to; in any order, perhaps repeated, perhaps none.
    ///
    /// # Errors
    /// [`VersionError::Unresolvable`] naming the version that the rule cannot read.
    fn resolve(&self, key: &[u8], versions: &[Version]) -> Result<Outcome, VersionError>;

    /// The value as a user reads it, if the rule keeps more in it than that.
    ///
    /// # Errors
    /// [`VersionError::Unresolvable`] if the value is not one of this rule's.
    fn present(&self, value: &[u8]) -> Result<Vec<u8>, VersionError> {
        Ok(value.to_vec())
    }
}

/// The resolver of this name.
///
/// ```
/// use atoll::versioning::resolver;
/// assert_eq!(resolver("fields")?.name(), "fields");
/// let error = resolver("latest").err().unwrap().to_string();
/// assert!(error.contains("latest") && error.contains("lww, node_priority"));
/// # Ok::<(), atoll::versioning::VersionError>(())
/// ```
///
/// # Errors
/// [`VersionError::UnknownResolver`], which lists the names there are.
pub fn resolver(name: &str) -> Result<Arc<dyn Resolver>, VersionError> {
    Ok(match name {
        "lww" => Arc::new(lww::Lww),
        "node_priority" => Arc::new(NodePriority::default()),
        "fields" => Arc::new(fields::Fields),
        "set_union" => Arc::new(set_union::SetUnion),
        "counter" => Arc::new(counter::CounterRule),
        "max" => Arc::new(Extreme::Max),
        "min" => Arc::new(Extreme::Min),
        "siblings" => Arc::new(Siblings),
        _ => {
            return Err(VersionError::UnknownResolver {
                name: name.to_owned(),
                known: RESOLVERS,
            });
        }
    })
}

/// `node_priority`: the write of the node that stands first in the list wins; unlisted nodes come after, by
/// ascending id. Of one node's writes the latest wins, as under `lww`.
#[derive(Clone, Debug, Default)]
pub struct NodePriority {
    order: Vec<NodeId>,
}

impl NodePriority {
    /// The rule with this order, most important first.
    #[must_use]
    pub fn new(order: Vec<NodeId>) -> NodePriority {
        NodePriority { order }
    }

    fn place(&self, node: NodeId) -> (usize, NodeId) {
        (
            self.order
                .iter()
                .position(|listed| *listed == node)
                .unwrap_or(usize::MAX),
            node,
        )
    }
}

impl Resolver for NodePriority {
    fn name(&self) -> &str {
        "node_priority"
    }

    fn resolve(&self, _key: &[u8], versions: &[Version]) -> Result<Outcome, VersionError> {
        Ok(winner(versions, |version| {
            (Reverse(self.place(version.dot.actor.node)), lww::rank(version))
        }))
    }
}

/// `max` and `min`: JSON numbers by their exact value and below all else, other values by their bytes. A
/// value wins over a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    /// The largest value.
    Max,
    /// The smallest value.
    Min,
}

impl Resolver for Extreme {
    fn name(&self) -> &str {
        match self {
            Extreme::Max => "max",
            Extreme::Min => "min",
        }
    }

    fn resolve(&self, _key: &[u8], versions: &[Version]) -> Result<Outcome, VersionError> {
        let values = versions.iter().filter_map(|version| version.value.as_deref());
        let value = match self {
            Extreme::Max => values.max_by(|a, b| number::compare(a, b)),
            Extreme::Min => values.min_by(|a, b| number::compare(a, b)),
        };
        Ok(merged(versions, value.map(<[u8]>::to_vec)))
    }
}

/// `siblings`: leaves the choice to the reader.
#[derive(Clone, Copy, Debug)]
pub struct Siblings;

impl Resolver for Siblings {
    fn name(&self) -> &str {
        "siblings"
    }

    fn resolve(&self, _key: &[u8], versions: &[Version]) -> Result<Outcome, VersionError> {
        Ok(Outcome::Siblings(in_order(versions)))
    }
}

/// A rule of the user's: a function from the key and the siblings to a value.
///
/// The function gets each version once, in the order of their dots, whatever order they came in. It must
/// not read clocks, randomness or anything else that differs between nodes.
pub struct Callback<F> {
    name: String,
    function: F,
}

impl<F> Callback<F>
where
    F: Fn(&[u8], &[Version]) -> Result<Option<Vec<u8>>, String> + Send + Sync,
{
    /// The rule `name` that calls `function`; its `Err` names what it cannot merge.
    pub fn new(name: &str, function: F) -> Callback<F> {
        Callback {
            name: name.to_owned(),
            function,
        }
    }
}

impl<F> fmt::Debug for Callback<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callback({})", self.name)
    }
}

impl<F> Resolver for Callback<F>
where
    F: Fn(&[u8], &[Version]) -> Result<Option<Vec<u8>>, String> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn resolve(&self, key: &[u8], versions: &[Version]) -> Result<Outcome, VersionError> {
        let ordered = in_order(versions);
        if ordered.len() < 2 {
            return Ok(Outcome::Siblings(ordered));
        }
        match (self.function)(key, &ordered) {
            Ok(value) => Ok(merged(&ordered, value)),
            Err(reason) => Err(VersionError::Unresolvable {
                rule: self.name.clone(),
                reason,
            }),
        }
    }
}

fn in_order(versions: &[Version]) -> Vec<Version> {
    let mut ordered = versions.to_vec();
    ordered.sort_by_key(|version| version.dot);
    ordered.dedup();
    ordered
}

/// The version that ranks highest, whole.
pub(super) fn winner<K: Ord>(versions: &[Version], rank: impl Fn(&Version) -> K) -> Outcome {
    match versions.iter().max_by_key(|version| rank(version)) {
        Some(version) => Outcome::One(version.clone()),
        None => Outcome::Siblings(Vec::new()),
    }
}

/// A version with this value that stands for all of `versions`.
pub(super) fn merged(versions: &[Version], value: Option<Vec<u8>>) -> Outcome {
    let Some(highest) = versions.iter().max_by_key(|version| lww::rank(version)) else {
        return Outcome::Siblings(Vec::new());
    };
    let mut context = Context::new();
    versions.iter().for_each(|version| context.join(&version.context));
    Outcome::One(Version {
        dot: highest.dot,
        stamp: highest.stamp,
        context,
        value,
    })
}

fn unresolvable(rule: &str, version: &Version, reason: impl fmt::Display) -> VersionError {
    VersionError::Unresolvable {
        rule: rule.to_owned(),
        reason: format!("version {}: {reason}", version.dot),
    }
}

#[cfg(test)]
mod tests;
