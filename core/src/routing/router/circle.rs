//! How much of a circle of hashes changes hands between two sets of points.
//!
//! Sorted points with their owners come in, arcs with the owner before and after go out. Lengths are
//! exact: the sum over all arcs is the whole circle. Whether a point owns the arc up to it or the arc
//! before it (`>` against `>=`) shifts every arc alike and changes no length.

/// A point as a fraction of 2^64, and the index of its owner.
pub(super) type Point = (u64, u16);

/// Points of 32 bits on the circle of 64.
pub(super) fn widened(points: &[(u32, u16)]) -> Vec<Point> {
    points
        .iter()
        .map(|&(point, owner)| (u64::from(point) << 32, owner))
        .collect()
}

/// Calls `arc` with the length, the owner before and the owner after of every arc between neighbouring
/// points of either set. Neither may be empty; of equal points the first one owns.
pub(super) fn arcs(before: &[Point], after: &[Point], mut arc: impl FnMut(u128, u16, u16)) {
    let (mut old, mut new) = (0, 0);
    // The arc that ends at the first point begins at the last one, beyond zero.
    let last = before[before.len() - 1].0.max(after[after.len() - 1].0);
    let mut from = i128::from(last) - (1 << 64);
    while old < before.len() || new < after.len() {
        let next = |points: &[Point], at: usize| points.get(at).map(|point| point.0);
        let bounds = [next(before, old), next(after, new)];
        let to = bounds
            .into_iter()
            .flatten()
            .min()
            .expect("one set has points left");
        let owner = |points: &[Point], at: usize| points.get(at).unwrap_or(&points[0]).1;
        arc(
            (i128::from(to) - from) as u128,
            owner(before, old),
            owner(after, new),
        );
        from = to.into();
        while next(before, old) == Some(to) {
            old += 1;
        }
        while next(after, new) == Some(to) {
            new += 1;
        }
    }
}
