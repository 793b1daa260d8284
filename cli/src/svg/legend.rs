//! The table of nodes: colour, name, share against its ideal, slots, keys and bytes.

use super::colour::colour;
use super::document::Svg;
use super::figures::{byte_size, key_count, percent, sane, shorten_middle, text_width, thousands};
use super::{NodeLoad, Picture, RIGHT};

/// A table with one row a node, between `left` and the right margin.
pub(super) struct Legend {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) room: f64,
    pub(super) unit: &'static str,
    pub(super) centred: bool,
}

impl Legend {
    /// Draws the table and returns the y of its lower end.
    pub(super) fn draw(&self, svg: &mut Svg, picture: &Picture) -> f64 {
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

    pub(super) fn row(
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
