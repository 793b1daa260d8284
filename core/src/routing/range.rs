//! Sorted split keys: range i holds the keys from split i-1 (inclusive) up to split i.
//!
//! An encoded key comes in, the number of its range goes out, by byte order. Neighbours stay
//! together, so ordered scans touch few ranges, and keys that only grow hit the last one.

use super::error::{RoutingError, show_key};

/// Bounds outside which a range topology holds no keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// Lowest key allowed; none is unbounded.
    pub lower: Option<Vec<u8>>,
    /// First key no longer allowed; none is unbounded.
    pub upper: Option<Vec<u8>>,
}

impl Domain {
    /// Whether the key lies inside.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.lower.as_deref().is_none_or(|lower| key >= lower)
            && self.upper.as_deref().is_none_or(|upper| key < upper)
    }
}

/// Split keys with an optional domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeMap {
    splits: Vec<Vec<u8>>,
    domain: Domain,
}

impl RangeMap {
    /// `splits.len() + 1` ranges over all keys.
    ///
    /// # Errors
    /// [`RoutingError::UnsortedSplits`] unless the keys ascend strictly.
    pub fn new(splits: Vec<Vec<u8>>) -> Result<RangeMap, RoutingError> {
        RangeMap::with_domain(splits, Domain::default())
    }

    /// The same within a domain.
    ///
    /// # Errors
    /// [`RoutingError::UnsortedSplits`], [`RoutingError::EmptyDomain`],
    /// [`RoutingError::SplitOutsideDomain`].
    pub fn with_domain(splits: Vec<Vec<u8>>, domain: Domain) -> Result<RangeMap, RoutingError> {
        check_splits(&splits, &domain)?;
        Ok(RangeMap { splits, domain })
    }

    /// Number of the range of a key, from 0.
    ///
    /// # Errors
    /// [`RoutingError::OutsideDomain`].
    pub fn range_of(&self, key: &[u8]) -> Result<usize, RoutingError> {
        if !self.domain.contains(key) {
            return Err(RoutingError::OutsideDomain { key: show_key(key) });
        }
        Ok(range_index(&self.splits, key))
    }

    /// Number of ranges.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.splits.len() + 1
    }

    /// The split keys, ascending.
    #[must_use]
    pub fn splits(&self) -> &[Vec<u8>] {
        &self.splits
    }
}

/// Range of a key among ascending splits: as many as are not above it.
#[inline]
pub(crate) fn range_index(splits: &[Vec<u8>], key: &[u8]) -> usize {
    splits.partition_point(|split| split.as_slice() <= key)
}

/// Checks that splits ascend strictly and lie inside the domain.
///
/// # Errors
/// [`RoutingError::UnsortedSplits`] (also for duplicates), [`RoutingError::EmptyDomain`],
/// [`RoutingError::SplitOutsideDomain`].
pub(crate) fn check_splits(splits: &[Vec<u8>], domain: &Domain) -> Result<(), RoutingError> {
    if let (Some(lower), Some(upper)) = (&domain.lower, &domain.upper)
        && lower >= upper
    {
        return Err(RoutingError::EmptyDomain);
    }
    for (index, split) in splits.iter().enumerate() {
        if index > 0 && splits[index - 1] >= *split {
            return Err(RoutingError::UnsortedSplits {
                index,
                key: show_key(split),
            });
        }
        // A split on the lower bound, or the empty key without one, would leave an empty range.
        let lower = domain.lower.as_deref().unwrap_or(b"");
        if split.as_slice() <= lower || !domain.contains(split) {
            return Err(RoutingError::SplitOutsideDomain {
                index,
                key: show_key(split),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<Vec<u8>> {
        text.split(',').map(|key| key.as_bytes().to_vec()).collect()
    }

    #[test]
    fn lower_bounds_are_inclusive() {
        let map = RangeMap::new(keys("g,n,t")).unwrap();
        for (key, range) in [
            ("", 0),
            ("f", 0),
            ("g", 1),
            ("gz", 1),
            ("m", 1),
            ("n", 2),
            ("z", 3),
        ] {
            assert_eq!(map.range_of(key.as_bytes()).unwrap(), range, "{key:?}");
        }
    }

    #[test]
    fn unsorted_and_duplicate_splits_are_refused_by_name() {
        for splits in ["b,a", "a,a"] {
            let error = RangeMap::new(keys(splits)).unwrap_err();
            assert!(
                matches!(error, RoutingError::UnsortedSplits { index: 1, .. }),
                "{error}"
            );
        }
        assert!(RangeMap::new(vec![Vec::new()]).is_err());
    }

    #[test]
    fn keys_outside_the_domain_are_refused_by_name() {
        let domain = Domain {
            lower: Some(b"b".to_vec()),
            upper: Some(b"y".to_vec()),
        };
        let map = RangeMap::with_domain(keys("g"), domain.clone()).unwrap();
        assert_eq!(map.range_of(b"b").unwrap(), 0);
        let error = map.range_of(b"y").unwrap_err().to_string();
        assert_eq!(error, "key \"y\" lies outside the domain of this range topology");
        assert!(RangeMap::with_domain(keys("z"), domain).is_err());
    }
}
