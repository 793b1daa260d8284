//! Lines of the report: a figure of a row, and whether it is what it should be.
//!
//! In: results. Out: for each line a figure per engine, the best peer, a ratio, a verdict. A target has
//! an absolute figure, measured once on a quiet machine, and the ratio to the best peer that went with
//! it; on another machine, or a busy one, the ratio is what counts.

use super::engines::{Kind, Named};
use super::lines::lines;
use super::results::Results;
use super::unit::Unit;

/// Whom a ratio is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versus {
    /// Whoever is best at this line.
    BestPeer,
    /// One in particular.
    One(Named),
}

/// What a line should reach.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target {
    /// The figure.
    pub figure: Option<f64>,
    /// So many times as good as somebody.
    pub ratio: Option<(Versus, f64)>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// The part of the report it stands in.
    pub part: &'static str,
    /// In words.
    pub title: String,
    /// Where the figure is found.
    pub row: &'static str,
    /// Which of the row's figures.
    pub figure: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// By this much it is multiplied.
    pub scale: f64,
    /// What Atoll should reach.
    pub target: Target,
    /// Whether one engine's figure says anything beside another's.
    pub compares: bool,
}

/// A line with its figures.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The line.
    pub line: Line,
    /// Figures, in the order of [`Named::ALL`].
    pub figures: Vec<(Named, f64)>,
    /// Best of the peers that are stores or logs.
    pub best_peer: Option<(Named, f64)>,
    /// How many times as good as the best peer Atoll is.
    pub ratio: Option<f64>,
}

impl Judged {
    /// The figure of one engine.
    #[must_use]
    pub fn of(&self, engine: Named) -> Option<f64> {
        self.figures
            .iter()
            .find(|(named, _)| *named == engine)
            .map(|(_, figure)| *figure)
    }

    /// How many times as good `a` is as `b`; none where nothing can be said about it.
    fn times(&self, a: f64, b: f64) -> Option<f64> {
        let (over, under) = if self.line.unit.more_is_better() {
            (a, b)
        } else {
            (b, a)
        };
        (under > 0.0).then(|| over / under)
    }

    /// What the target says, in words.
    #[must_use]
    pub fn target(&self) -> String {
        let Target { figure, ratio } = self.line.target;
        let sign = if self.line.unit.more_is_better() {
            "≥"
        } else {
            "≤"
        };
        let mut words = Vec::new();
        words.extend(figure.map(|figure| format!("{sign} {}", self.line.unit.show(figure))));
        words.extend(ratio.map(|(versus, times)| match versus {
            Versus::BestPeer => format!("{times} × best peer"),
            Versus::One(named) => format!("{times} × {}", named.title()),
        }));
        words.join(", ")
    }

    /// Whether the target is reached: a part of 1 or more is.
    #[must_use]
    pub fn verdict(&self) -> String {
        let Some(ours) = self.of(Named::Atoll) else {
            return String::new();
        };
        let Target { figure, ratio } = self.line.target;
        // No ratio to nothing at all: as good as can be, where less is better.
        let of_figure = figure.map(|figure| self.times(ours, figure).unwrap_or(f64::INFINITY));
        let of_ratio = ratio.and_then(|(versus, wanted)| {
            let other = match versus {
                Versus::BestPeer => self.best_peer.map(|(_, figure)| figure),
                Versus::One(named) => self.of(named),
            };
            Some(self.times(ours, other?)? / wanted)
        });
        match (of_figure, of_ratio) {
            (None, None) => String::new(),
            (Some(part), None) | (None, Some(part)) if part >= 1.0 => "reached".into(),
            (Some(part), None) => format!("**missed**: {part:.2} of the figure"),
            (None, Some(part)) => format!("**missed**: {part:.2} of the ratio"),
            (Some(figure), Some(ratio)) => match (figure >= 1.0, ratio >= 1.0) {
                (true, true) => "reached".into(),
                (false, true) => format!("ratio reached, {figure:.2} of the figure"),
                (true, false) => format!("figure reached, {ratio:.2} of the ratio"),
                (false, false) => format!("**missed**: {figure:.2} of the figure, {ratio:.2} of the ratio"),
            },
        }
    }
}

/// Every line that was measured, with figures and judgement.
#[must_use]
pub fn judge(results: &Results, records: u64, value_bytes: usize) -> Vec<Judged> {
    let judged = lines(records, value_bytes).into_iter().map(|line| {
        let figures: Vec<(Named, f64)> = Named::ALL
            .into_iter()
            .filter_map(|named| {
                let figure = results.median(line.row, named.id(), line.figure)?;
                Some((named, figure * line.scale))
            })
            .collect();
        let more = line.unit.more_is_better();
        let peers = figures
            .iter()
            .filter(|(named, _)| *named != Named::Atoll && named.kind() != Kind::Floor);
        let best_peer = peers
            .filter(|_| line.compares)
            .copied()
            .reduce(|a, b| if (a.1 > b.1) == more { a } else { b });
        let mut judged = Judged {
            line,
            figures,
            best_peer,
            ratio: None,
        };
        judged.ratio = judged
            .of(Named::Atoll)
            .zip(best_peer)
            .and_then(|(ours, (_, peer))| judged.times(ours, peer));
        judged
    });
    judged.filter(|judged| !judged.figures.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::results::{Figures, Results};
    use super::{Named, judge};

    fn judged(row: &str, figure: &str, figures: &[(Named, f64)]) -> (Option<f64>, String) {
        let mut results = Results::default();
        for (named, value) in figures {
            results.add(row, named.id(), Figures::one(figure, *value));
        }
        let lines = judge(&results, 2_000_000, 100);
        let line = lines
            .iter()
            .find(|judged| judged.line.row == row)
            .expect("the line");
        (line.ratio, line.verdict())
    }

    #[test]
    fn more_is_better_of_rates_and_less_of_times() {
        let both = [(Named::Atoll, 3e6), (Named::Lmdb, 5e5), (Named::Rocksdb, 2e5)];
        assert_eq!(
            judged("get-1", "rate", &both),
            (Some(6.0), "ratio reached, 0.86 of the figure".into())
        );
        let both = [(Named::Atoll, 2e-3), (Named::Lmdb, 1e-3), (Named::Rocksdb, 8e-3)];
        assert_eq!(
            judged("open-clean", "seconds", &both),
            (Some(0.5), "**missed**: 0.50 of the figure".into())
        );
    }

    #[test]
    fn nothing_lost_is_a_target_reached_and_the_bare_disk_is_no_peer() {
        assert_eq!(
            judged("open-killed", "missing", &[(Named::Atoll, 0.0)]),
            (None, "reached".into())
        );
        assert_eq!(
            judged("open-killed", "missing", &[(Named::Atoll, 3.0)]).1,
            "**missed**: 0.00 of the figure"
        );
        let figures = [
            (Named::Atoll, 950.0),
            (Named::RaftEngine, 500.0),
            (Named::Device, 1000.0),
        ];
        assert_eq!(
            judged("durable-1", "rate", &figures),
            (Some(1.9), "reached".into())
        );
    }
}
