//! The band of key ranges: as wide as their share of the keys, copies beneath, split keys above.

use std::fmt::Write as _;

use super::colour::{UNOWNED, owner_fill};
use super::document::Svg;
use super::figures::{label_room, load_ratio, percent, sane, shorten, text_width, thousands};
use super::legend::Legend;
use super::{BandRun, HEIGHT, MARGIN, MAX_GAPPED_RUNS, Picture, RIGHT, WIDTH};

pub(super) const LABEL_LEVELS: usize = 6;
pub(super) const LABEL_PITCH: f64 = 19.0;

pub(super) fn draw_band(svg: &mut Svg, picture: &Picture, runs: &[BandRun]) -> f64 {
    let copies = runs.iter().map(|r| r.owners.len()).max().unwrap_or(0).max(1);
    let edges = band_edges(runs);
    let labels = place_labels(runs, &edges);
    let levels = labels.iter().map(|l| l.level + 1).max().unwrap_or(0);
    let top = 132.0 + levels as f64 * LABEL_PITCH;
    draw_labels(svg, &labels, top);

    // A short legend leaves room, and the band takes it.
    let others = top + 100.0 + copies as f64 * 24.0 + (picture.nodes.len() as f64 + 3.0) * 40.0;
    let thick = 72.0 + (HEIGHT - others).clamp(0.0, 70.0);
    let thin = (80.0 / (copies.max(2) - 1) as f64).min(20.0);
    let mut y = top;
    for copy in 0..copies {
        let height = if copy == 0 { thick } else { thin };
        draw_segments(svg, picture, runs, &edges, copy, (y, height));
        y += height + 4.0;
    }
    draw_shares(svg, runs, labels.len(), copies, y);

    let load = load_ratio(&picture.nodes, "ranges");
    let noun = if runs.len() == 1 { "range" } else { "ranges" };
    for (x, figure, words) in [
        (RIGHT - 140.0, thousands(runs.len() as u64).as_str(), noun),
        (RIGHT, load.0.as_str(), load.1.as_str()),
    ] {
        svg.text(x, 58.0, 30.0, "k b e", figure);
        svg.text(x, 80.0, 12.0, "g e", words);
    }
    let top = y + 72.0;
    let room = (HEIGHT - 24.0 - top).max(0.0);
    let legend = Legend {
        left: MARGIN,
        top,
        room,
        unit: "ranges",
        centred: false,
    };
    legend.draw(svg, picture) + 32.0
}

pub(super) fn draw_labels(svg: &mut Svg, labels: &[Label], top: f64) {
    for label in labels {
        let y = top - 10.0 - label.level as f64 * LABEL_PITCH;
        svg.line((label.x, y - 11.0), (label.x, top - 2.0), "#b4b4ae", 1.0);
        let (shift, class) = if label.flipped { (-5.0, "k e") } else { (5.0, "k") };
        svg.text(label.x + shift, y - 2.0, 12.0, class, &label.text);
    }
}

/// One band: the primaries, or one copy of each range.
pub(super) fn draw_segments(
    svg: &mut Svg,
    picture: &Picture,
    runs: &[BandRun],
    edges: &[f64],
    copy: usize,
    (y, height): (f64, f64),
) {
    let gapped = runs.len() > 1 && runs.len() <= MAX_GAPPED_RUNS;
    for (run, edge) in runs.iter().zip(edges.windows(2)) {
        let width = edge[1] - edge[0];
        let gap = if gapped { (width * 0.15).min(1.0) } else { 0.0 };
        let (at, size) = ((edge[0] + gap, y), (width - 2.0 * gap, height));
        let Some(&owner) = run.owners.get(copy) else {
            svg.rect(at, size, &UNOWNED.fill(), 0.0, "");
            continue;
        };
        let (fill, up) = owner_fill(picture, owner, copy);
        svg.rect(at, size, &fill.fill(), 0.0, &about_range(picture, run, copy));
        if !up {
            svg.rect(at, size, "url(#down)", 0.0, "");
        }
        if copy == 0 && width > label_room(run.shard) {
            let (x, middle) = ((edge[0] + edge[1]) / 2.0, y + height / 2.0);
            svg.text(x, middle - 2.0, 15.0, fill.ink(up), &run.shard.to_string());
            if width > 52.0 {
                svg.text(x, middle + 17.0, 12.0, fill.ink(up), &percent(run.share));
            }
        }
    }
}

/// The scale under the bands, and a line that says how to read them.
pub(super) fn draw_shares(svg: &mut Svg, runs: &[BandRun], labels: usize, copies: usize, y: f64) {
    let mut note = String::from("Numbers on the band are shards.");
    if runs.iter().any(|r| sane(r.share) > 0.0) {
        note += " Width is the share of all keys.";
        for tenth in 0..=10 {
            let x = MARGIN + (RIGHT - MARGIN) * f64::from(tenth) / 10.0;
            svg.line((x, y + 2.0), (x, y + 7.0), "#9a9a94", 1.0);
            svg.text(x, y + 21.0, 12.0, "g m", &format!("{}%", tenth * 10));
        }
    } else {
        note += " There are no keys yet, so all ranges are drawn equally wide.";
    }
    if copies > 1 {
        note += " Paler bands beneath: copies.";
    }
    if labels < runs.len() {
        let _ = write!(
            note,
            " {labels} of {} split keys have room for their text.",
            runs.len()
        );
    }
    svg.text(MARGIN, y + 46.0, 12.0, "g", &note);
}

/// Left edges of all ranges and the right edge of the last. Shares are scaled to fill the band, and
/// equal widths stand in when there are no keys yet, so that an empty cluster still shows its splits.
pub(super) fn band_edges(runs: &[BandRun]) -> Vec<f64> {
    let total: f64 = runs.iter().map(|r| sane(r.share)).sum();
    let mut edges = vec![MARGIN];
    let mut sum = 0.0;
    for run in runs {
        sum += if total > 0.0 {
            sane(run.share) / total
        } else {
            1.0 / runs.len() as f64
        };
        edges.push(MARGIN + (RIGHT - MARGIN) * sum.min(1.0));
    }
    edges
}

pub(super) struct Label {
    x: f64,
    pub(super) level: usize,
    flipped: bool,
    text: String,
    pub(super) span: (f64, f64),
}

/// Staggers the split keys so that neither texts nor leader lines cross; keys without room are left out.
///
/// From right to left, because a text runs right from its leader: each key takes the lowest level above
/// the leaders it would cross, and long crowds of keys come out as a descending stair.
pub(super) fn place_labels(runs: &[BandRun], edges: &[f64]) -> Vec<Label> {
    let mut placed: Vec<Label> = Vec::new();
    for (run, &x) in runs.iter().zip(edges).rev() {
        let text = if run.label.is_empty() {
            "lowest key".to_owned()
        } else {
            shorten(&run.label, 12.0, 130.0)
        };
        let width = text_width(&text, 12.0) + 14.0;
        let flipped = x + width > WIDTH - 16.0;
        let span = if flipped { (x - width, x) } else { (x, x + width) };
        let crosses = |level: usize, other: &Label| {
            let texts = level == other.level && span.0 < other.span.1 && other.span.0 < span.1;
            let my_text = level <= other.level && span.0 <= other.x && other.x <= span.1;
            let my_leader = level > other.level && other.span.0 - 4.0 < x && x < other.span.1;
            texts || my_text || my_leader || (other.x - x).abs() < 9.0
        };
        let level = (0..LABEL_LEVELS).find(|&level| !placed.iter().any(|other| crosses(level, other)));
        if let Some(level) = level {
            placed.push(Label {
                x,
                level,
                flipped,
                text,
                span,
            });
        }
    }
    placed
}

pub(super) fn about_range(picture: &Picture, run: &BandRun, copy: usize) -> String {
    let what = if copy == 0 {
        "primary".to_owned()
    } else {
        format!("copy {copy}")
    };
    let name = picture
        .nodes
        .get(run.owners[copy])
        .map_or("unknown node", |n| n.name.as_str());
    let from = if run.label.is_empty() {
        "the lowest key"
    } else {
        &run.label
    };
    format!(
        "shard {}, from {from}, {} of keys: {what} on {name}",
        run.shard,
        percent(run.share)
    )
}
