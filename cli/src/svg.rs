//! A picture of how a cluster's slots or key ranges lie on its nodes, as one standalone SVG document.
//!
//! The text is written by hand: the picture needs a dozen element kinds, and a drawing library would
//! cost more than it saves. Everything that comes from outside (names, split keys) passes through
//! [`escape`], so no name can break the document or smuggle markup into a page that embeds it.

use std::f64::consts::{FRAC_PI_2, TAU};
use std::fmt::{self, Write as _};

/// What to draw: a heading, the layout, and one entry a node for the legend.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Heading, one line.
    pub title: String,
    /// Smaller line under the heading.
    pub subtitle: String,
    /// Where the slots or ranges lie.
    pub layout: Layout,
    /// The nodes, in the order of the legend; runs name them by index.
    pub nodes: Vec<NodeLoad>,
}

/// How the key space is cut.
#[derive(Debug, Clone)]
pub enum Layout {
    /// Hash topologies: slots on a ring, as contiguous runs of slots with the same owners.
    Ring {
        /// Number of slots on the whole ring.
        slots: u32,
        /// Runs in slot order. Slots in no run are drawn grey.
        runs: Vec<Run>,
    },
    /// Range topologies: ranges from low to high keys.
    Band {
        /// Ranges in key order.
        runs: Vec<BandRun>,
    },
}

/// Contiguous slots with the same owners.
#[derive(Debug, Clone)]
pub struct Run {
    /// First slot of the run.
    pub first_slot: u32,
    /// Number of slots in the run.
    pub slots: u32,
    /// Indices into [`Picture::nodes`]; the first is the primary.
    pub owners: Vec<usize>,
    /// Shard the slots belong to.
    pub shard: u32,
}

/// One key range.
#[derive(Debug, Clone)]
pub struct BandRun {
    /// Lower bound as text; empty for the range that starts below every key.
    pub label: String,
    /// Share of all keys, 0 to 1.
    pub share: f64,
    /// Indices into [`Picture::nodes`]; the first is the primary.
    pub owners: Vec<usize>,
    /// Shard that holds the range.
    pub shard: u32,
}

/// What one node holds.
#[derive(Debug, Clone)]
pub struct NodeLoad {
    /// Name or address.
    pub name: String,
    /// Whether the node answers.
    pub up: bool,
    /// Slots (for a band: ranges) it holds as primary.
    pub primary_slots: u32,
    /// Slots (for a band: ranges) it holds as a copy.
    pub copy_slots: u32,
    /// Keys it holds as primary.
    pub keys: u64,
    /// Bytes it holds.
    pub bytes: u64,
    /// Share of all keys as primary, 0 to 1.
    pub share: f64,
    /// Share its weight entitles it to, 0 to 1.
    pub ideal: f64,
}

/// Draws `picture` as a whole SVG document, 1280 wide and at least 760 high.
///
/// It grows taller only when there are more nodes than fit. Owners that name no node are drawn grey.
pub fn draw(picture: &Picture) -> String {
    let mut svg = Svg::default();
    svg.text(
        MARGIN,
        58.0,
        28.0,
        "k b",
        &shorten(&picture.title, 28.0 * 1.1, 900.0),
    );
    svg.text(MARGIN, 86.0, 15.0, "g", &shorten(&picture.subtitle, 15.0, 900.0));
    let bottom = match &picture.layout {
        Layout::Ring { slots, runs } => draw_ring(&mut svg, picture, *slots, runs),
        Layout::Band { runs } => draw_band(&mut svg, picture, runs),
    };
    svg.finish(bottom.max(HEIGHT), &picture.title)
}

const WIDTH: f64 = 1280.0;
const HEIGHT: f64 = 760.0;
const MARGIN: f64 = 48.0;
const RIGHT: f64 = WIDTH - MARGIN;

/// Above this many runs the white gaps would hide more of the picture than they explain.
const MAX_GAPPED_RUNS: usize = 96;

const UNOWNED: Rgb = Rgb(0xe4, 0xe4, 0xe0);

// The ring.

const CENTRE: (f64, f64) = (304.0, 428.0);
const RING_OUTER: f64 = 240.0;
const RING_HOLE: f64 = 108.0;

fn draw_ring(svg: &mut Svg, picture: &Picture, slots: u32, runs: &[Run]) -> f64 {
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
fn draw_centre(svg: &mut Svg, picture: &Picture, slots: u32) {
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
fn ring_radii(copies: usize) -> Vec<(f64, f64)> {
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

fn draw_ticks(svg: &mut Svg, slots: u32) {
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

fn about_run(picture: &Picture, run: &Run, copy: usize, first: u64, end: u64) -> String {
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
fn on_circle(radius: f64, turn: f64) -> (f64, f64) {
    let a = turn - FRAC_PI_2;
    (CENTRE.0 + radius * a.cos(), CENTRE.1 + radius * a.sin())
}

// The band.

const LABEL_LEVELS: usize = 6;
const LABEL_PITCH: f64 = 19.0;

fn draw_band(svg: &mut Svg, picture: &Picture, runs: &[BandRun]) -> f64 {
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

fn draw_labels(svg: &mut Svg, labels: &[Label], top: f64) {
    for label in labels {
        let y = top - 10.0 - label.level as f64 * LABEL_PITCH;
        svg.line((label.x, y - 11.0), (label.x, top - 2.0), "#b4b4ae", 1.0);
        let (shift, class) = if label.flipped { (-5.0, "k e") } else { (5.0, "k") };
        svg.text(label.x + shift, y - 2.0, 12.0, class, &label.text);
    }
}

/// One band: the primaries, or one copy of each range.
fn draw_segments(
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
fn draw_shares(svg: &mut Svg, runs: &[BandRun], labels: usize, copies: usize, y: f64) {
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
fn band_edges(runs: &[BandRun]) -> Vec<f64> {
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

struct Label {
    x: f64,
    level: usize,
    flipped: bool,
    text: String,
    span: (f64, f64),
}

/// Staggers the split keys so that neither texts nor leader lines cross; keys without room are left out.
///
/// From right to left, because a text runs right from its leader: each key takes the lowest level above
/// the leaders it would cross, and long crowds of keys come out as a descending stair.
fn place_labels(runs: &[BandRun], edges: &[f64]) -> Vec<Label> {
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

fn about_range(picture: &Picture, run: &BandRun, copy: usize) -> String {
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

// The legend.

/// A table with one row a node, between `left` and the right margin.
struct Legend {
    left: f64,
    top: f64,
    room: f64,
    unit: &'static str,
    centred: bool,
}

impl Legend {
    /// Draws the table and returns the y of its lower end.
    fn draw(&self, svg: &mut Svg, picture: &Picture) -> f64 {
        let nodes = &picture.nodes;
        let row = (self.room / (nodes.len() as f64 + 2.2)).clamp(22.0, 40.0);
        let height = row * (nodes.len() as f64 + 2.2);
        let top = if self.centred {
            self.top + (self.room - height).max(0.0) / 2.0
        } else {
            self.top
        };
        // Figures are right-aligned at these edges; the name and the bar share what is left of them.
        let columns = [RIGHT - 276.0, RIGHT - 222.0, RIGHT - 166.0, RIGHT - 70.0, RIGHT];
        let flexible = columns[0] - 62.0 - self.left;
        let name_width = (flexible * 0.645).min(280.0);
        let bar = (self.left + name_width + 10.0, flexible - name_width - 10.0);

        let mut y = top + row * 0.6;
        svg.text(self.left, y, 12.0, "g", "node");
        svg.text(bar.0, y, 12.0, "g", "share, line = ideal");
        for (x, head) in columns.iter().zip(["", self.unit, "copies", "keys", "bytes"]) {
            svg.text(*x, y, 12.0, "g e", head);
        }
        y = top + row * 0.9;
        svg.line((self.left, y), (RIGHT, y), "#d0d0ca", 1.0);

        let widest = nodes
            .iter()
            .map(|n| sane(n.share).max(sane(n.ideal)))
            .fold(0.0, f64::max);
        let scale = if widest > 0.0 {
            bar.1 / (widest * 1.08)
        } else {
            0.0
        };
        for (index, node) in nodes.iter().enumerate() {
            let middle = y + row * (index as f64 + 0.5);
            self.row(svg, (index, node), middle, name_width, (bar, scale), &columns);
        }
        y += row * nodes.len() as f64 + 2.0;
        svg.line((self.left, y), (RIGHT, y), "#d0d0ca", 1.0);
        let sum = |field: fn(&NodeLoad) -> u64| nodes.iter().map(field).fold(0, u64::saturating_add);
        let total = [
            String::new(),
            thousands(sum(|n| u64::from(n.primary_slots))),
            thousands(sum(|n| u64::from(n.copy_slots))),
            key_count(sum(|n| n.keys)),
            byte_size(sum(|n| n.bytes)),
        ];
        y += row * 0.5 + 5.0;
        let up = nodes.iter().filter(|n| n.up).count();
        let noun = if nodes.len() == 1 { "node" } else { "nodes" };
        let all = if up == nodes.len() {
            String::new()
        } else {
            format!(", {up} up")
        };
        svg.text(self.left, y, 13.0, "k b", &format!("{} {noun}{all}", nodes.len()));
        for (x, figure) in columns.iter().zip(total) {
            svg.text(*x, y, 13.0, "k b e n", &figure);
        }
        y + row * 0.5
    }

    fn row(
        &self,
        svg: &mut Svg,
        (index, node): (usize, &NodeLoad),
        y: f64,
        name_width: f64,
        ((bar_x, bar_width), scale): ((f64, f64), f64),
        columns: &[f64; 5],
    ) {
        let fill = colour(index);
        svg.rect((self.left, y - 7.0), (14.0, 14.0), &fill.fill(), 3.0, "");
        let mut room = name_width - 24.0;
        if !node.up {
            svg.rect((self.left, y - 7.0), (14.0, 14.0), "url(#down)", 3.0, "");
            room -= 46.0;
        }
        let name = shorten_middle(&node.name, 14.0, room);
        svg.titled_text(
            (self.left + 24.0, y + 5.0),
            14.0,
            if node.up { "k" } else { "g" },
            &name,
            &node.name,
        );
        if !node.up {
            let x = self.left + 24.0 + text_width(&name, 14.0).min(room) + 6.0;
            svg.rect((x, y - 8.0), (40.0, 16.0), "#b3261e", 8.0, "");
            svg.text(x + 20.0, y + 3.8, 11.0, "w b m", "down");
        }

        svg.rect((bar_x, y - 6.0), (bar_width, 12.0), "#eeeeea", 2.0, "");
        svg.rect(
            (bar_x, y - 6.0),
            (sane(node.share) * scale, 12.0),
            &fill.fill(),
            2.0,
            "",
        );
        let ideal = bar_x + sane(node.ideal) * scale;
        // A pale halo keeps the line visible on dark bars.
        svg.line((ideal, y - 9.0), (ideal, y + 9.0), "#ffffff", 3.5);
        svg.line((ideal, y - 9.0), (ideal, y + 9.0), "#1c1c1a", 1.5);

        let figures = [
            percent(node.share),
            thousands(u64::from(node.primary_slots)),
            thousands(u64::from(node.copy_slots)),
            key_count(node.keys),
            byte_size(node.bytes),
        ];
        for (x, figure) in columns.iter().zip(figures) {
            svg.text(*x, y + 5.0, 13.0, "k e n", &figure);
        }
    }
}

// Colours.

#[derive(Debug, Clone, Copy, PartialEq)]
struct Rgb(u8, u8, u8);

/// Okabe and Ito, "Color Universal Design" (2008), with their black softened to a grey that still shows
/// its hatching, and ordered so that small clusters get the pairs that differ most.
const PALETTE: [Rgb; 8] = [
    Rgb(0x00, 0x72, 0xb2),
    Rgb(0xe6, 0x9f, 0x00),
    Rgb(0x00, 0x9e, 0x73),
    Rgb(0xcc, 0x79, 0xa7),
    Rgb(0x56, 0xb4, 0xe9),
    Rgb(0xd5, 0x5e, 0x00),
    Rgb(0xf0, 0xe4, 0x42),
    Rgb(0x5a, 0x5a, 0x5a),
];

/// How far each colour is darkened for its shade: unevenly, to keep the shades apart from one another.
const SHADES: [f64; 8] = [0.5, 0.42, 0.5, 0.5, 0.42, 0.6, 0.45, 0.62];

/// Colour of a node: the palette, then its shades, then its tints, then around again.
fn colour(node: usize) -> Rgb {
    let base = PALETTE[node % PALETTE.len()];
    match (node / PALETTE.len()) % 3 {
        0 => base,
        1 => base.mix(Rgb(0, 0, 0), SHADES[node % SHADES.len()]),
        _ => base.mix(Rgb(255, 255, 255), 0.45),
    }
}

/// Fill of a node's run, paler for copies, and whether the node is up.
fn owner_fill(picture: &Picture, owner: usize, copy: usize) -> (Rgb, bool) {
    let Some(node) = picture.nodes.get(owner) else {
        return (UNOWNED, true);
    };
    let full = colour(owner);
    (
        if copy == 0 {
            full
        } else {
            full.mix(Rgb(255, 255, 255), 0.42)
        },
        node.up,
    )
}

impl Rgb {
    fn mix(self, other: Rgb, part: f64) -> Rgb {
        let one = |a: u8, b: u8| (f64::from(a) * (1.0 - part) + f64::from(b) * part).round() as u8;
        Rgb(one(self.0, other.0), one(self.1, other.1), one(self.2, other.2))
    }

    fn fill(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Text classes with the ink that reads on this colour, by the luma weights of Rec. 709; a halo sets
    /// the text off from the hatching of a node that is down.
    fn ink(self, up: bool) -> &'static str {
        let luma = 0.2126 * f64::from(self.0) + 0.7152 * f64::from(self.1) + 0.0722 * f64::from(self.2);
        match (up, luma > 125.0) {
            (false, _) => "k m b h",
            (true, true) => "k m b",
            (true, false) => "w m b",
        }
    }
}

// Figures and texts.

/// Fullest node against what it should hold, and the words that go under the figure.
///
/// With equal ideals this is maximum over mean. Before the first key the slots or ranges (`unit`)
/// themselves are compared.
fn load_ratio(nodes: &[NodeLoad], unit: &str) -> (String, String) {
    let ideal = |n: &NodeLoad| sane(n.ideal);
    let weighted = nodes
        .windows(2)
        .any(|w| (ideal(&w[0]) - ideal(&w[1])).abs() > 1e-9);
    let slots: f64 = nodes.iter().map(|n| f64::from(n.primary_slots)).sum();
    let by_keys = nodes.iter().any(|n| sane(n.share) > 0.0);
    let ratio = nodes
        .iter()
        .filter(|n| ideal(n) > 0.0)
        .map(|n| if by_keys { sane(n.share) } else { f64::from(n.primary_slots) / slots.max(1.0) } / ideal(n))
        .fold(0.0, f64::max);
    let what = if by_keys { "load" } else { unit };
    let words = if weighted {
        format!("max {what} / ideal")
    } else {
        format!("max / mean {what}")
    };
    (
        if ratio > 0.0 {
            format!("{ratio:.2}")
        } else {
            "–".to_owned()
        },
        words,
    )
}

/// A share that can be drawn: callers divide by totals, and 0 / 0 must not reach the document.
fn sane(share: f64) -> f64 {
    if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", sane(share) * 100.0)
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Keys in full as long as the column holds them, in millions and then in millions of millions beyond.
fn key_count(n: u64) -> String {
    match n {
        0..1_000_000_000 => thousands(n),
        1_000_000_000..10_000_000_000_000 => format!("{} M", thousands(n / 1_000_000)),
        _ => format!("{} T", thousands(n / 1_000_000_000_000)),
    }
}

fn byte_size(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut size = n as f64 / 1024.0;
    let mut unit = 0;
    // Rounding comes first, so that a hair under one MiB does not print as 1024.0 KiB.
    while (size * 10.0).round() / 10.0 >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

fn label_room(shard: u32) -> f64 {
    10.0 + 9.0 * shard.to_string().len() as f64
}

/// Width of a character in units of the font size. The viewer's font is unknown, so this errs wide:
/// ideographs and Hangul fill a square, most other scripts stay under two thirds of one.
fn char_width(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '|' | '\'' | ' ' => 0.36,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '&' => 0.98,
        '\u{1100}'.. => 1.02,
        _ => 0.65,
    }
}

fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(char_width).sum::<f64>() * size
}

/// `text` if it fits into `room`, else its beginning and an ellipsis.
fn shorten(text: &str, size: f64, room: f64) -> String {
    if text_width(text, size) <= room {
        return text.to_owned();
    }
    let kept = prefix(text.chars(), size, room - size);
    kept + "…"
}

/// Like [`shorten`], but keeps both ends: the names of one cluster mostly differ in their last letters.
fn shorten_middle(text: &str, size: f64, room: f64) -> String {
    if text_width(text, size) <= room {
        return text.to_owned();
    }
    let head = prefix(text.chars(), size, (room - size) * 0.55);
    let tail = prefix(text.chars().rev(), size, (room - size) * 0.45);
    head + "…" + &tail.chars().rev().collect::<String>()
}

fn prefix(text: impl Iterator<Item = char>, size: f64, room: f64) -> String {
    let mut used = 0.0;
    text.take_while(|&c| {
        used += char_width(c) * size;
        used <= room
    })
    .collect()
}

/// Makes `text` safe between tags and in attributes.
///
/// Characters XML 1.0 forbids become U+FFFD, and so do those that reorder text, since a split key is
/// whatever bytes a user chose.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push('\u{fffd}');
            }
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

// The document.

/// Body of the document as it grows. Text classes are single letters: `k` dark, `g` grey, `w` white,
/// `b` bold, `m` centred, `e` right-aligned, `n` figures of equal width, `h` haloed.
#[derive(Default)]
struct Svg {
    body: String,
}

impl Svg {
    fn put(&mut self, element: fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, size: f64, class: &str, text: &str) {
        self.titled_text((x, y), size, class, text, "");
    }

    fn titled_text(&mut self, (x, y): (f64, f64), size: f64, class: &str, text: &str, title: &str) {
        if !text.is_empty() {
            let (text, title) = (escape(text), title_element(title));
            self.put(format_args!(
                r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" class="{class}">{title}{text}</text>"#
            ));
        }
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str, width: f64) {
        self.put(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{stroke}" stroke-width="{width}"/>"#
        ));
    }

    fn rect(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), fill: &str, radius: f64, title: &str) {
        let (w, title) = (w.max(0.0), title_element(title));
        self.put(format_args!(
            r#"<rect x="{x:.2}" y="{y:.2}" width="{w:.2}" height="{h:.2}" rx="{radius}" fill="{fill}">{title}</rect>"#
        ));
    }

    /// A piece of a ring between two turns, `gap` pixels short on each side.
    ///
    /// SVG draws nothing for an arc that ends where it starts, so a whole turn is two circles of two half
    /// arcs each, and the even-odd rule cuts the hole.
    fn arc(&mut self, outer: f64, inner: f64, (from, to): (f64, f64), fill: &str, gap: f64, title: &str) {
        let to = to.min(from + TAU);
        if to <= from {
            return;
        }
        let mut d = String::new();
        if to - from > TAU - 1e-6 {
            for r in [outer, inner] {
                let ((x1, y1), (x2, y2)) = (on_circle(r, from), on_circle(r, from + TAU / 2.0));
                let _ = write!(
                    d,
                    "M{x1:.2} {y1:.2}A{r:.2} {r:.2} 0 0 1 {x2:.2} {y2:.2}A{r:.2} {r:.2} 0 0 1 {x1:.2} {y1:.2}Z"
                );
            }
        } else {
            // A run of a single slot may be thinner than the gap; it gives up a part, never all.
            let trim = |r: f64| (gap / r).min((to - from) * 0.15);
            let large = u8::from(to - from > TAU / 2.0);
            let (a, b) = (
                on_circle(outer, from + trim(outer)),
                on_circle(outer, to - trim(outer)),
            );
            let (c, e) = (
                on_circle(inner, to - trim(inner)),
                on_circle(inner, from + trim(inner)),
            );
            let _ = write!(
                d,
                "M{:.2} {:.2}A{outer:.2} {outer:.2} 0 {large} 1 {:.2} {:.2}L{:.2} {:.2}A{inner:.2} {inner:.2} 0 {large} 0 {:.2} {:.2}Z",
                a.0, a.1, b.0, b.1, c.0, c.1, e.0, e.1
            );
        }
        // Without gaps the antialiased edges of neighbours would let the ground shine through.
        let seam = if gap == 0.0 && !title.is_empty() {
            format!(r#" stroke="{fill}" stroke-width="0.4""#)
        } else {
            String::new()
        };
        let title = title_element(title);
        self.put(format_args!(
            r#"<path d="{d}" fill="{fill}" fill-rule="evenodd"{seam}>{title}</path>"#
        ));
    }

    fn finish(self, height: f64, title: &str) -> String {
        let (body, title) = (self.body, escape(title));
        format!(
            r##"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0}" viewBox="0 0 {WIDTH} {height:.0}" role="img">
<title>{title}</title>
<style>
text {{ font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, "Noto Sans", "Noto Sans CJK KR", sans-serif; }}
.k {{ fill: #1c1c1a; }} .g {{ fill: #6a6a64; }} .w {{ fill: #ffffff; }} .b {{ font-weight: 600; }}
.m {{ text-anchor: middle; }} .e {{ text-anchor: end; }} .n {{ font-variant-numeric: tabular-nums; }}
.h {{ paint-order: stroke; stroke: #ffffff; stroke-width: 3.5px; stroke-linejoin: round; }}
</style>
<defs><pattern id="down" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="3.5" height="7" fill="#ffffff" fill-opacity="0.6"/></pattern></defs>
<rect width="100%" height="100%" fill="#fcfcfa"/>
{body}</svg>
"##
        )
    }
}

fn title_element(title: &str) -> String {
    if title.is_empty() {
        String::new()
    } else {
        format!("<title>{}</title>", escape(title))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, share: f64) -> NodeLoad {
        NodeLoad {
            name: name.to_owned(),
            up: true,
            primary_slots: 1024,
            copy_slots: 2048,
            keys: (share * 1e6) as u64,
            bytes: (share * 1e9) as u64,
            share,
            ideal: 0.25,
        }
    }

    fn ring(nodes: Vec<NodeLoad>, slots: u32, runs: u32, copies: usize) -> Picture {
        let n = nodes.len();
        let each = slots / runs;
        let owners = |run: u32| (0..copies).map(|c| (run as usize + c) % n).collect();
        let runs = (0..runs)
            .map(|r| Run {
                first_slot: r * each,
                slots: each,
                owners: owners(r),
                shard: r,
            })
            .collect();
        Picture {
            title: "t".into(),
            subtitle: "s".into(),
            layout: Layout::Ring { slots, runs },
            nodes,
        }
    }

    fn band(labels: &[&str], share: f64) -> Picture {
        let runs = labels
            .iter()
            .map(|l| BandRun {
                label: (*l).to_owned(),
                share,
                owners: vec![0, 1],
                shard: 7,
            })
            .collect();
        let nodes = vec![node("a", 0.5), node("b", 0.5)];
        Picture {
            title: "t".into(),
            subtitle: "s".into(),
            layout: Layout::Band { runs },
            nodes,
        }
    }

    /// Checks that tags balance, that no character is one XML forbids, and that no number is missing.
    fn check(svg: &str) {
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.chars().all(|c| c == '\n' || !c.is_control()));
        let mut open: Vec<&str> = Vec::new();
        let mut rest = svg
            .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>")
            .unwrap();
        while let Some(at) = rest.find('<') {
            for amp in rest[..at].split('&').skip(1) {
                assert!(
                    amp.starts_with(['a', 'l', 'g', 'q', '#']) && amp.contains(';'),
                    "{amp}"
                );
            }
            let end = at + rest[at..].find('>').unwrap();
            let tag = &rest[at + 1..end];
            assert!(
                !tag.contains('<') && tag.matches('"').count().is_multiple_of(2),
                "{tag}"
            );
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().unwrap());
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty() && rest.trim().is_empty());
    }

    #[test]
    fn documents_are_well_formed_at_every_size() {
        for (nodes, slots, runs, copies) in [
            (1, 4096, 1, 1),
            (4, 4096, 16, 3),
            (16, 4096, 400, 6),
            (40, 1000, 5, 2),
            (3, 1, 1, 3),
            (9, 7, 7, 9),
        ] {
            let nodes = (0..nodes).map(|i| node(&format!("node-{i}"), 0.1)).collect();
            check(&draw(&ring(nodes, slots, runs, copies)));
        }
        check(&draw(&band(&["", "f", "k"], 0.3)));
        check(&draw(&band(&["k"; 500], 0.002)));
        check(&draw(&band(&[], 0.0)));
    }

    #[test]
    fn names_and_keys_are_escaped_and_lose_control_characters() {
        let mut picture = ring(vec![node("<&\">", 0.5), node("서울-노드", 0.5)], 4096, 2, 2);
        picture.title = "a\u{1b}[31m & b\u{202e}".into();
        let svg = draw(&picture);
        check(&svg);
        assert!(svg.contains("&lt;&amp;&quot;&gt;</text>") && svg.contains("서울-노드"));
        assert!(!svg.contains("<&") && !svg.contains('\u{202e}'));
        let svg = draw(&band(&["", "\u{0}\u{7f}\n</svg>", "키<"], 0.3));
        check(&svg);
        assert!(svg.contains("키&lt;"));
    }

    #[test]
    fn a_run_of_all_slots_is_drawn_as_two_half_turns() {
        let svg = draw(&ring(vec![node("only", 1.0)], 4096, 1, 1));
        let path = svg.lines().find(|l| l.contains("primary on only")).unwrap();
        assert_eq!(path.matches('A').count(), 4, "{path}");
        // Start and end of each half differ, otherwise a viewer draws nothing.
        assert!(
            path.contains("M304.00 188.00A240.00 240.00 0 0 1 304.00 668.00"),
            "{path}"
        );
    }

    #[test]
    fn an_empty_cluster_has_no_undefined_figures() {
        let mut picture = ring(vec![node("a", 0.0), node("b", f64::NAN)], 4096, 4, 2);
        let svg = draw(&picture);
        check(&svg);
        assert!(svg.contains("max / mean slots"));
        picture.nodes.clear();
        check(&draw(&picture));
        check(&draw(&band(&["", "m"], 0.0)));
    }

    #[test]
    fn labels_of_split_keys_do_not_overlap() {
        let edges: Vec<f64> = (0..=300)
            .map(|i| MARGIN + (RIGHT - MARGIN) * f64::from(i) / 300.0)
            .collect();
        let Layout::Band { runs } = band(&["some-split-key"; 300], 1.0 / 300.0).layout else {
            unreachable!()
        };
        let placed = place_labels(&runs, &edges);
        assert!(placed.len() > 30);
        for (i, a) in placed.iter().enumerate() {
            for b in &placed[i + 1..] {
                assert!(a.level != b.level || a.span.1 <= b.span.0 || b.span.1 <= a.span.0);
            }
        }
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(999), "999");
        assert_eq!(key_count(u64::MAX), "18,446,744 T");
        assert_eq!(byte_size(1023), "1023 B");
        assert_eq!(byte_size(1_048_575), "1.0 MiB");
        assert_eq!(byte_size(3 << 29), "1.5 GiB");
        assert_eq!(
            shorten_middle("atoll-production-eu-west-07", 14.0, 110.0),
            "atoll-…t-07"
        );
    }
}
