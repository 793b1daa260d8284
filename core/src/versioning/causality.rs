//! How two versions relate: the four answers, and nothing else.

use std::cmp::Ordering;
use std::fmt;

/// How one version relates to another. `Concurrent` is an answer, not an error, and `Equal` is never it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Causality {
    /// Both have seen exactly the same.
    Equal,
    /// The left one is part of the right one's past.
    Before,
    /// The right one is part of the left one's past.
    After,
    /// Each has seen something the other has not.
    Concurrent,
}

impl Causality {
    /// The answer from what each side has that the other lacks.
    #[must_use]
    pub(crate) fn of(left_has_more: bool, right_has_more: bool) -> Causality {
        match (left_has_more, right_has_more) {
            (false, false) => Causality::Equal,
            (false, true) => Causality::Before,
            (true, false) => Causality::After,
            (true, true) => Causality::Concurrent,
        }
    }

    /// The same relation seen from the other side.
    #[must_use]
    pub fn reverse(self) -> Causality {
        match self {
            Causality::Before => Causality::After,
            Causality::After => Causality::Before,
            same => same,
        }
    }

    /// The partial order: `None` when concurrent.
    #[must_use]
    pub fn ordering(self) -> Option<Ordering> {
        match self {
            Causality::Equal => Some(Ordering::Equal),
            Causality::Before => Some(Ordering::Less),
            Causality::After => Some(Ordering::Greater),
            Causality::Concurrent => None,
        }
    }

    /// `equal`, `before`, `after` or `concurrent`: the words every language uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Causality::Equal => "equal",
            Causality::Before => "before",
            Causality::After => "after",
            Causality::Concurrent => "concurrent",
        }
    }
}

impl fmt::Display for Causality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
