//! The conformance kit: searches for inputs on which a resolver breaks its laws, and shows the smallest.
//!
//! In: a resolver, a generator of values and a seed. Out: nothing, or a [`CounterExample`]. The same seed
//! searches the same inputs. It cannot prove a resolver right; it tries hard to show it wrong.
//!
//! ```
//! use atoll::versioning::conformance::{Law, Search};
//! use atoll::versioning::resolve::Callback;
//! let concat = Callback::new("concat", |_, versions| {
//!     Ok(Some(versions.iter().flat_map(|v| v.value.clone().unwrap_or_default()).collect()))
//! });
//! let found = Search::new(7).run(&concat, |random| vec![b'a' + (random % 3) as u8]).unwrap();
//! assert_eq!(found.law, Law::Associativity);
//! println!("{found}");
//! assert!(Search::new(7).run(&*atoll::versioning::resolver("max").unwrap(), |r| vec![r as u8]).is_none());
//! ```

use std::fmt;

use crate::ids::Hlc;
use crate::versioning::context::Context;
use crate::versioning::dot::Dot;
use crate::versioning::error::VersionError;
use crate::versioning::resolve::{Outcome, Resolver};
use crate::versioning::siblings::Version;

/// What every resolver owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// The same input gives the same bytes, each time.
    Determinism,
    /// The order of the input does not matter.
    Commutativity,
    /// Resolving in steps gives what resolving at once gives.
    Associativity,
    /// Seeing a version, or a result, twice changes nothing.
    Idempotence,
}

/// Versions on which a resolver breaks a law; none can be left out or made simpler.
#[derive(Clone, Debug)]
pub struct CounterExample {
    /// Name of the rule.
    pub rule: String,
    /// The law it breaks.
    pub law: Law,
    /// The input.
    pub versions: Vec<Version>,
    /// The two results that should be equal.
    pub left: Result<Outcome, VersionError>,
    /// The other one.
    pub right: Result<Outcome, VersionError>,
}

/// A search with its seed and its budget.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    seed: u64,
    cases: u32,
}

type Results = (Result<Outcome, VersionError>, Result<Outcome, VersionError>);

impl Search {
    /// A search of 2,000 inputs.
    #[must_use]
    pub fn new(seed: u64) -> Search {
        Search { seed, cases: 2_000 }
    }

    /// The same search over `cases` inputs.
    #[must_use]
    pub fn cases(self, cases: u32) -> Search {
        Search { cases, ..self }
    }

    /// Searches. `value` makes a value of a random number; give it few different ones, so that ties happen.
    pub fn run(self, rule: &dyn Resolver, value: impl Fn(u64) -> Vec<u8>) -> Option<CounterExample> {
        let mut random = self.seed;
        for _ in 0..self.cases {
            let count = 1 + next(&mut random) as usize % 4;
            let mut versions: Vec<Version> = Vec::with_capacity(count);
            for n in 0..count as u64 {
                // Stamps tie often and tombstones come now and then: both are where rules go wrong.
                let deleted = next(&mut random).is_multiple_of(8);
                versions.push(Version {
                    dot: Dot::new(1 + next(&mut random) % 3, 1, 1 + n),
                    stamp: Hlc(1 + next(&mut random) % 3),
                    context: Context::new(),
                    value: (!deleted).then(|| value(next(&mut random))),
                });
            }
            for law in [
                Law::Determinism,
                Law::Commutativity,
                Law::Idempotence,
                Law::Associativity,
            ] {
                if broken(rule, law, &versions).is_some() {
                    return Some(smallest(rule, law, versions));
                }
            }
        }
        None
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn differ(left: Result<Outcome, VersionError>, right: Result<Outcome, VersionError>) -> Option<Results> {
    // Which version an error names may depend on the order; that there is one may not.
    let same = match (&left, &right) {
        (Ok(left), Ok(right)) => left.clone().into_versions() == right.clone().into_versions(),
        (left, right) => left.is_err() && right.is_err(),
    };
    (!same).then_some((left, right))
}

fn broken(rule: &dyn Resolver, law: Law, versions: &[Version]) -> Option<Results> {
    let resolve = |versions: &[Version]| rule.resolve(b"key", versions);
    let whole = resolve(versions);
    match law {
        Law::Determinism => (0..8).find_map(|_| differ(whole.clone(), resolve(versions))),
        Law::Commutativity => (1..versions.len()).find_map(|by| {
            let mut other = versions.to_vec();
            other.rotate_left(by);
            let mut swapped = versions.to_vec();
            swapped.swap(0, by);
            differ(whole.clone(), resolve(&other)).or_else(|| differ(whole.clone(), resolve(&swapped)))
        }),
        Law::Idempotence => {
            let twice = [versions, versions].concat();
            differ(whole.clone(), resolve(&twice)).or_else(|| {
                let result = whole.clone().ok()?.into_versions();
                let again = [result.as_slice(), &result].concat();
                differ(whole.clone(), resolve(&again))
            })
        }
        Law::Associativity => (1..versions.len()).find_map(|at| {
            let (head, tail) = versions.split_at(at);
            let left = resolve(head).map(Outcome::into_versions);
            let right = resolve(tail).map(Outcome::into_versions);
            let with =
                |a: Result<Vec<Version>, VersionError>, b: Result<Vec<Version>, VersionError>| match (a, b) {
                    (Ok(a), Ok(b)) => resolve(&[a, b].concat()),
                    (Err(error), _) | (_, Err(error)) => Err(error),
                };
            differ(whole.clone(), with(left, Ok(tail.to_vec())))
                .or_else(|| differ(whole.clone(), with(Ok(head.to_vec()), right)))
        }),
    }
}

/// Leaves out and simplifies as long as the law stays broken.
fn smallest(rule: &dyn Resolver, law: Law, mut versions: Vec<Version>) -> CounterExample {
    'again: loop {
        for candidate in simpler(&versions) {
            if broken(rule, law, &candidate).is_some() {
                versions = candidate;
                continue 'again;
            }
        }
        break;
    }
    // A rule that is not even deterministic may break the law this time and not the next.
    let found = (0..64).find_map(|_| broken(rule, law, &versions));
    let (left, right) =
        found.unwrap_or_else(|| (rule.resolve(b"key", &versions), rule.resolve(b"key", &versions)));
    CounterExample {
        rule: rule.name().to_owned(),
        law,
        versions,
        left,
        right,
    }
}

fn simpler(versions: &[Version]) -> Vec<Vec<Version>> {
    let change = move |at: usize, how: &dyn Fn(&mut Version) -> bool| {
        let mut changed = versions.to_vec();
        how(&mut changed[at]).then_some(changed)
    };
    let mut all = Vec::new();
    for at in 0..versions.len() {
        if versions.len() > 1 {
            let mut fewer = versions.to_vec();
            fewer.remove(at);
            all.push(fewer);
        }
        all.extend(change(at, &|version| {
            std::mem::replace(&mut version.stamp, Hlc(1)) != Hlc(1)
        }));
        for (other, version) in versions.iter().enumerate() {
            if other < at && version.value != versions[at].value {
                all.extend(change(at, &|changed| {
                    changed.value.clone_from(&version.value);
                    // Only towards the shorter, or simplifying would go in circles.
                    changed.value < versions[at].value
                }));
            }
        }
    }
    all
}

impl fmt::Display for CounterExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |version: &Version| match &version.value {
            Some(value) => format!("\"{}\"", value.escape_ascii()),
            None => "deleted".to_owned(),
        };
        writeln!(f, "{} breaks {:?} on", self.rule, self.law)?;
        for version in &self.versions {
            writeln!(
                f,
                "  {} stamp {}: {}",
                version.dot,
                version.stamp.0,
                value(version)
            )?;
        }
        for (side, result) in [("one way", &self.left), ("the other", &self.right)] {
            match result {
                Ok(outcome) => {
                    let shown: Vec<String> = outcome.clone().into_versions().iter().map(value).collect();
                    writeln!(f, "  {side}: {}", shown.join(", "))?;
                }
                Err(error) => writeln!(f, "  {side}: {error}")?,
            }
        }
        Ok(())
    }
}
