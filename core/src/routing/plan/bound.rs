//! The least that a change must move, and the most that a plan may.
//!
//! Computed from the topology before, the members after and the shares alone: nothing the solver
//! found is looked at, so that a plan can be held against it. With `up` what the nodes of the change
//! lack of their shares and `down` what they have above them, no method moves less than the larger
//! of the two, and no plan moves more than both together. In plans by bytes or load, where slots
//! differ, every node of the change may overshoot by one slot, the heaviest.

use super::Scene;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) minimum: u64,
    pub(super) most: u64,
}

/// Bounds in units of the scene's measure.
pub(super) fn bound(scene: &Scene<'_>) -> Bound {
    let (mut up, mut down, mut nodes) = (0, 0, 0);
    for at in (0..scene.members.len()).filter(|&at| scene.concerned[at]) {
        let (gains, loses) = dues(scene, at);
        up += gains;
        down += loses;
        nodes += u64::from(gains + loses > 0);
    }
    // Copies that are missing must be made, by whomever.
    up = up.max(scene.missing());
    let slack = if scene.uniform { 0 } else { nodes * scene.heaviest };
    Bound {
        minimum: up.max(down),
        most: up + down + slack,
    }
}

/// What a node of the change must gain, and what it must give up. One of them is 0.
pub(super) fn dues(scene: &Scene<'_>, at: usize) -> (u64, u64) {
    let (has, share) = (scene.before.copies[at], scene.shares[at]);
    let due = ceiling(share);
    if scene.weights[at] == 0 {
        return (0, has);
    }
    if scene.settled(at) {
        return (0, 0);
    }
    (due.saturating_sub(has), has.saturating_sub(due))
}

/// The next whole number, unless a share misses one only by the rounding of doubles.
pub(super) fn ceiling(share: f64) -> u64 {
    (share - 1e-6).ceil().max(0.0) as u64
}
