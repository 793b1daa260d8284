//! The ring of slots: primaries outside, copies in paler rings inside, the balance in the middle.

use std::f64::consts::{FRAC_PI_2, TAU};

use super::colour::{UNOWNED, owner_fill};
use super::document::Svg;
use super::figures::{label_room, load_ratio, thousands};
use super::legend::Legend;
use super::{MAX_GAPPED_RUNS, Picture, Run};

pub(super) const CENTRE: (f64, f64) = (304.0, 428.0);
pub(super) const RING_OUTER: f64 = 240.0;
pub(super) const RING_HOLE: f64 = 108.0;

pub(super) fn draw_ring(svg: &mut Svg, picture: &Picture, slots: u32, runs: &[Run]) -> f64 {
    let copies = runs.iter().map(|r| r.owners.len()).max().unwrap_or(0).max(1);
    let angle = |slot: u64| slot as f64 / f64::from(slots.max(1)) * TAU;
    for (copy, (outer, inner)) in ring_radii(copies).into_iter().enumerate() {
        let held = runs
            .iter()
            .filter(|r| copy < r.owners.len())
            .map(|r| u64::from(r.slots))
            .sum::<u64>();
        if held < u64::from(slots) || slots == 0 {
            svg.arc(outer, inner, (0.0, TAU), &UNOWNED.fill(), 0.0, "");
        }
        for run in runs.iter().filter(|r| copy < r.owners.len()) {
            let first = u64::from(run.first_slot);
            let end = first + u64::from(run.slots);
            let span = (angle(first), angle(end));
            let (fill, up) = owner_fill(picture, run.owners[copy], copy);
            let gap = if runs.len() > 1 && runs.len() <= MAX_GAPPED_RUNS {
                1.0
            } else {
                0.0
            };
            let about = about_run(picture, run, copy, first, end);
            svg.arc(outer, inner, span, &fill.fill(), gap, &about);
            if !up {
                svg.arc(outer, inner, span, "url(#down)", gap, "");
            }
            let middle = (outer + inner) / 2.0;
            if copy == 0 && (span.1 - span.0) * middle > label_room(run.shard) {
                let (x, y) = on_circle(middle, (span.0 + span.1) / 2.0);
                svg.text(x, y + 4.5, 13.0, fill.ink(up), &run.shard.to_string());
            }
        }
    }
    draw_ticks(svg, slots);
    draw_centre(svg, picture, slots);

    let legend = Legend {
        left: 612.0,
        top: 150.0,
        room: 520.0,
        unit: "slots",
        centred: true,
    };
    let end = legend.draw(svg, picture);
    let mut note = String::from("Numbers on the ring are shards.");
    if copies > 1 {
        note += " Outer ring: primaries; paler rings inside: copies.";
    }
    svg.text(612.0, end + 26.0, 12.0, "g", &note);
    end + 60.0
}

/// The figures in the hole of the ring.
pub(super) fn draw_centre(svg: &mut Svg, picture: &Picture, slots: u32) {
    let load = load_ratio(&picture.nodes, "slots");
    let (x, y) = CENTRE;
    let total = thousands(u64::from(slots));
    let size = if total.len() > 6 { 34.0 } else { 48.0 };
    svg.text(x, y - 6.0, size, "k b m", &total);
    svg.text(
        x,
        y + 16.0,
        14.0,
        "g m",
        if slots == 1 { "slot" } else { "slots" },
    );
    svg.text(x, y + 52.0, 22.0, "k b m", &load.0);
    svg.text(x, y + 70.0, 12.0, "g m", &load.1);
}

/// Outer and inner radius of each ring, primary first. The primary stays the thickest; copies share
/// what is left above the hole that holds the figures.
pub(super) fn ring_radii(copies: usize) -> Vec<(f64, f64)> {
    let primary = 54.0;
    let gap = if copies > 8 { 1.0 } else { 4.0 };
    let left = RING_OUTER - primary - RING_HOLE;
    let thin = (left / (copies.max(2) - 1) as f64 - gap).clamp(0.5, 20.0);
    let mut radii = vec![(RING_OUTER, RING_OUTER - primary)];
    for copy in 1..copies {
        let outer = RING_OUTER - primary - gap - (copy - 1) as f64 * (thin + gap);
        radii.push((outer, outer - thin));
    }
    radii
}

pub(super) fn draw_ticks(svg: &mut Svg, slots: u32) {
    let slots = u64::from(slots.max(1));
    let step = slots.div_ceil(8).next_power_of_two();
    let minor = (step / 4).max(1);
    for slot in (0..slots).step_by(minor as usize) {
        let turn = slot as f64 / slots as f64 * TAU;
        // The last label would run into the zero when the slots are no multiple of the step.
        let labelled = slot % step == 0 && (slot == 0 || (slots - slot) * 2 > step);
        let (x1, y1) = on_circle(RING_OUTER + 4.0, turn);
        let (x2, y2) = on_circle(RING_OUTER + if labelled { 12.0 } else { 8.0 }, turn);
        svg.line((x1, y1), (x2, y2), "#9a9a94", 1.0);
        if labelled {
            let (x, y) = on_circle(RING_OUTER + 18.0, turn);
            let side = match turn.sin() {
                s if s > 0.2 => "g",
                s if s < -0.2 => "g e",
                _ => "g m",
            };
            // Text hangs on its baseline, so labels at the top sit as they are and those below drop.
            svg.text(x, y + 4.5 - 4.5 * turn.cos(), 12.0, side, &slot.to_string());
        }
    }
}

pub(super) fn about_run(picture: &Picture, run: &Run, copy: usize, first: u64, end: u64) -> String {
    let what = if copy == 0 {
        "primary".to_owned()
    } else {
        format!("copy {copy}")
    };
    let name = picture
        .nodes
        .get(run.owners[copy])
        .map_or("unknown node", |n| n.name.as_str());
    format!(
        "shard {}, slots {first} to {}: {what} on {name}",
        run.shard,
        end.saturating_sub(1).max(first)
    )
}

/// Point at `turn` radians clockwise from the top, the way a clock is read.
pub(super) fn on_circle(radius: f64, turn: f64) -> (f64, f64) {
    let a = turn - FRAC_PI_2;
    (CENTRE.0 + radius * a.cos(), CENTRE.1 + radius * a.sin())
}
