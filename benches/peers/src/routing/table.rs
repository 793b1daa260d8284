//! Rows as text, as Markdown and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::measure::Figure;

/// One row: the same work by Atoll and by others.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The work.
    pub work: String,
    /// Unit of the figures.
    pub unit: &'static str,
    /// Ours first, then the others or the limit.
    pub figures: Vec<Figure>,
    /// What was aimed at.
    pub target: String,
    /// The figure that is held against the target.
    pub reached: String,
    /// Whether it holds.
    pub holds: bool,
}

impl Row {
    /// A row in nanoseconds.
    pub fn ns(
        work: impl Into<String>,
        figures: Vec<Figure>,
        target: impl Into<String>,
        verdict: (String, bool),
    ) -> Row {
        Row {
            work: work.into(),
            unit: "ns",
            figures,
            target: target.into(),
            reached: verdict.0,
            holds: verdict.1,
        }
    }

    fn line(&self) -> String {
        let figure = |figure: &Figure| format!("{} {}", figure.name, number(figure.ns));
        let figures: Vec<String> = self.figures.iter().map(figure).collect();
        format!(
            "| {} | {} {} | {} | {} | {} |",
            self.work,
            figures.join(" · "),
            self.unit,
            self.target,
            self.reached,
            if self.holds { "yes" } else { "**no**" }
        )
    }
}

/// Three significant digits at most.
#[must_use]
pub fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{:.2} M", value / 1e6),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// All rows as a Markdown table.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    let mut text =
        String::from("| work | fastest pass | target | reached | holds |\n|---|---|---|---|---|\n");
    for row in rows {
        writeln!(text, "{}", row.line()).expect("a string takes what is written");
    }
    text
}
