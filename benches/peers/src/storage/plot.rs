//! Plots: a panel a line, a bar an engine.
//!
//! In: judged lines. Out: SVG. Every panel has a linear scale of its own that begins at zero, so that
//! lengths within a panel are true to the figures; the figure stands behind each bar.

use std::fmt::Write;

use super::engines::Named;
use super::rows::Judged;

/// A plot: the end of its file's name, its title, and its lines by row and figure.
pub struct Plot {
    /// For the file.
    pub name: &'static str,
    title: &'static str,
    panels: &'static [(&'static str, &'static str)],
}

/// What is plotted.
pub const PLOTS: [Plot; 3] = [
    Plot {
        name: "writes",
        title: "Writing: puts a second (more is better)",
        panels: &[
            ("fill-1", "rate"),
            ("fill-2", "sustained"),
            ("overwrite-1", "write_rate"),
            ("fill-1k", "rate"),
            ("durable-1", "rate"),
            ("durable-8", "rate"),
        ],
    },
    Plot {
        name: "reads",
        title: "Reading: operations or keys a second (more is better)",
        panels: &[
            ("get-1", "rate"),
            ("get-2", "rate"),
            ("miss-1", "rate"),
            ("multi-get-1", "rate"),
            ("scan-settled", "rate"),
            ("scan-100", "rate"),
            ("ycsb-a-2", "all_rate"),
            ("ycsb-b-2", "all_rate"),
        ],
    },
    Plot {
        name: "costs",
        title: "Times, space, memory (less is better)",
        panels: &[
            ("beside", "p999"),
            ("beside", "write_p999"),
            ("open-clean", "seconds"),
            ("open-killed", "seconds"),
            ("settle", "disk_bytes"),
            ("settle", "written_bytes"),
            ("load", "peak_disk_bytes"),
            ("memory", "anonymous_bytes"),
        ],
    },
];

const COLUMNS: usize = 2;
const PANEL_WIDTH: usize = 480;
const BAR_HEIGHT: usize = 18;
const LABEL_WIDTH: usize = 110;
const FIGURE_WIDTH: usize = 90;
const HEAD: usize = 44;
const PANEL_HEAD: usize = 30;

impl Plot {
    /// The plot as SVG, if any of its lines was measured.
    #[must_use]
    pub fn draw(&self, judged: &[Judged], subtitle: &str) -> Option<String> {
        let find = |(row, figure): &(&str, &str)| {
            judged
                .iter()
                .find(|judged| judged.line.row == *row && judged.line.figure == *figure)
        };
        let panels: Vec<&Judged> = self.panels.iter().filter_map(find).collect();
        let bars = panels.iter().map(|panel| panel.figures.len()).max()?;
        let height = PANEL_HEAD + bars * BAR_HEIGHT + 16;
        let (width, total) = (
            COLUMNS * PANEL_WIDTH + 20,
            HEAD + panels.len().div_ceil(COLUMNS) * height,
        );
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {total}\" width=\"{width}\" height=\"{total}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<title>{0}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"14\" y=\"20\" font-size=\"15\" font-weight=\"600\" fill=\"#1b1f24\">{0}</text>\n\
             <text x=\"14\" y=\"36\" fill=\"#57606a\">{1}</text>\n",
            escaped(self.title),
            escaped(subtitle)
        );
        for (i, panel) in panels.iter().enumerate() {
            let (x, y) = (14 + i % COLUMNS * PANEL_WIDTH, HEAD + i / COLUMNS * height);
            draw_panel(&mut svg, panel, x, y);
        }
        svg.push_str("</svg>\n");
        Some(svg)
    }
}

fn draw_panel(svg: &mut String, panel: &Judged, x: usize, y: usize) {
    let title = panel.line.title.trim_start_matches("… ");
    let title = match (panel.line.row, panel.line.figure) {
        ("beside", "p999") => "read beside overwrites, slowest of 1,000",
        ("beside", "write_p999") => "overwrite beside reads, slowest of 1,000",
        ("open-clean", _) => "opening after a clean close, with a first get",
        ("open-killed", _) => "opening after kill -9 while writing, with a first get",
        ("fill-2", "sustained") => "fill, 2 threads, work in the background counted",
        _ => title,
    };
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\" font-weight=\"600\" fill=\"#1b1f24\">{}</text>",
        y + 20,
        escaped(title)
    );
    let most = panel
        .figures
        .iter()
        .map(|(_, figure)| *figure)
        .fold(f64::MIN_POSITIVE, f64::max);
    let room = (PANEL_WIDTH - LABEL_WIDTH - FIGURE_WIDTH - 20) as f64;
    for (i, (named, figure)) in panel.figures.iter().enumerate() {
        let top = y + PANEL_HEAD + i * BAR_HEIGHT;
        let length = (figure / most * room).max(1.0);
        let colour = match named {
            Named::Atoll => "#0969da",
            Named::Device => "#d0d7de",
            _ => "#8c959f",
        };
        let weight = if *named == Named::Atoll {
            " font-weight=\"600\""
        } else {
            ""
        };
        let bar_from = x + LABEL_WIDTH;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#1b1f24\"{weight}>{}</text>\
             <rect x=\"{bar_from}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" rx=\"2\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{}\" fill=\"#57606a\">{}</text>",
            bar_from - 6,
            top + 13,
            escaped(named.title()),
            top + 3,
            BAR_HEIGHT - 5,
            bar_from as f64 + length + 5.0,
            top + 13,
            escaped(&panel.line.unit.show(*figure)),
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
