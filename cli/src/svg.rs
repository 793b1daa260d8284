//! A picture of how a cluster's slots or key ranges lie on its nodes, as one standalone SVG document.
//!
//! The text is written by hand: the picture needs a dozen element kinds, and a drawing library would
//! cost more than it saves. Everything that comes from outside (names, split keys) passes through
//! `escape`, so no name can break the document or smuggle markup into a page that embeds it.

mod around;
mod band;
mod colour;
mod document;
mod figures;
mod legend;

use around::draw_ring;
use band::draw_band;
use document::Svg;
use figures::shorten;

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

#[cfg(test)]
mod tests;
