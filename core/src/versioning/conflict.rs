//! Conflict reports: what stood side by side, by which rule it was resolved, and to what.
//!
//! In: the siblings of a key. Out: a report that keeps all of it, so that another rule can be tried later.

use std::fmt;

use crate::versioning::error::VersionError;
use crate::versioning::resolve::{Outcome, Resolver};
use crate::versioning::siblings::{SiblingSet, Version};

/// One conflict: both (or all) values with their contexts, the rule, the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key.
    pub key: Vec<u8>,
    /// The siblings, with the context each writer had read.
    pub versions: Vec<Version>,
    /// Name of the rule.
    pub rule: String,
    /// What the rule made of them.
    pub result: Outcome,
}

impl Conflict {
    /// The report on a key, or `None` if nothing stands side by side.
    ///
    /// # Errors
    /// As [`SiblingSet::resolve`].
    pub fn report(
        key: &[u8],
        set: &SiblingSet,
        rule: &dyn Resolver,
    ) -> Result<Option<Conflict>, VersionError> {
        if set.versions().len() < 2 {
            return Ok(None);
        }
        Ok(Some(Conflict {
            key: key.to_vec(),
            versions: set.versions().to_vec(),
            rule: rule.name().to_owned(),
            result: set.resolve(key, rule)?,
        }))
    }

    /// What another rule would have made of the same siblings.
    ///
    /// # Errors
    /// [`VersionError::Unresolvable`] if that rule cannot merge these values.
    pub fn replay(&self, rule: &dyn Resolver) -> Result<Conflict, VersionError> {
        Ok(Conflict {
            rule: rule.name().to_owned(),
            result: rule.resolve(&self.key, &self.versions)?,
            ..self.clone()
        })
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<Vec<u8>>| match value {
            Some(value) => format!("\"{}\"", value.escape_ascii()),
            None => "deleted".to_owned(),
        };
        write!(f, "key \"{}\" under {}:", self.key.escape_ascii(), self.rule)?;
        for version in &self.versions {
            write!(f, " [{} = {}]", version.dot, show(&version.value))?;
        }
        match &self.result {
            Outcome::One(version) => write!(f, " -> {}", show(&version.value)),
            Outcome::Siblings(versions) => write!(f, " -> {} siblings", versions.len()),
        }
    }
}
