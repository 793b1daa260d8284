//! The lines of the report: which figure of which row, and what it should reach.
//!
//! In: results. Out: for each line a figure per engine, the best peer, a ratio, a verdict. A target has
//! an absolute figure, measured once on a quiet machine, and the ratio to the best peer that went with
//! it; on another machine, or a busy one, the ratio is what counts.

use super::engines::{Kind, Named};
use super::results::Results;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Operations a second; more is better.
    PerSecond,
    /// Nanoseconds; fewer are better, as of everything below.
    Nanoseconds,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes for each byte of keys and values.
    PerUserByte,
    /// Things.
    Count,
}

impl Unit {
    /// Whether more is better.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        self == Unit::PerSecond
    }

    /// A figure for people.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::PerSecond => format!("{}/s", short(value)),
            Unit::Nanoseconds => show_time(value),
            Unit::Seconds => show_time(value * 1e9),
            Unit::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Unit::PerUserByte => format!("{value:.2}"),
            Unit::Count => format!("{value:.0}"),
        }
    }
}

/// With three digits and a letter for thousands or millions.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e7 => format!("{:.1} M", v / 1e6),
        v if v >= 1e6 => format!("{:.2} M", v / 1e6),
        v if v >= 1e5 => format!("{:.0} k", v / 1e3),
        v if v >= 1e4 => format!("{:.1} k", v / 1e3),
        v if v >= 1e3 => format!("{:.2} k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

fn show_time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n >= 1e9 => format!("{:.2} s", n / 1e9),
        n if n >= 1e7 => format!("{:.0} ms", n / 1e6),
        n if n >= 1e6 => format!("{:.2} ms", n / 1e6),
        n if n >= 1e4 => format!("{:.0} µs", n / 1e3),
        n if n >= 1e3 => format!("{:.2} µs", n / 1e3),
        n => format!("{n:.0} ns"),
    }
}

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

fn lines(records: u64, value_bytes: usize) -> Vec<Line> {
    use Unit::{Bytes, Count, Nanoseconds, PerSecond, PerUserByte, Seconds};
    let is_small = value_bytes == 100;
    let is_large = records >= 10_000_000;
    let per_user_byte = 1.0 / (records as f64 * (16 + value_bytes) as f64);
    let mut lines: Vec<Line> = Vec::new();
    let mut add = |part, title: &str, row, figure, unit, target: Target| {
        lines.push(Line {
            part,
            title: title.to_owned(),
            row,
            figure,
            unit,
            scale: if unit == PerUserByte { per_user_byte } else { 1.0 },
            // The figures were set for values of 100 bytes.
            target: if is_small || row == "fill-1k" {
                target
            } else {
                Target::default()
            },
            compares: !matches!(
                (row, figure),
                ("open-killed", "acknowledged") | ("settle", "seconds")
            ),
        });
    };
    let none = Target::default();
    let least = |figure| Target {
        figure: Some(figure),
        ratio: None,
    };
    let both = |figure, times| Target {
        figure: Some(figure),
        ratio: Some((Versus::BestPeer, times)),
    };
    let over = |named, times| Target {
        figure: None,
        ratio: Some((Versus::One(named), times)),
    };

    let part = "Writing, buffered";
    add(
        part,
        "fill, single puts, 1 thread",
        "fill-1",
        "rate",
        PerSecond,
        both(2.5e6, 15.0),
    );
    add(
        part,
        "fill, single puts, 2 threads",
        "fill-2",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "… with the work in the background that is left after it",
        "fill-2",
        "sustained",
        PerSecond,
        least(1.5e6),
    );
    add(
        part,
        "burst (no compaction), 1 thread",
        "burst-1",
        "rate",
        PerSecond,
        least(2.5e6),
    );
    add(
        part,
        "burst (no compaction), 2 threads",
        "burst-2",
        "rate",
        PerSecond,
        least(4e6),
    );
    add(
        part,
        "fill, batches of 1,000",
        "fill-batch",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "fill, 1-KiB values",
        "fill-1k",
        "rate",
        PerSecond,
        both(1e6, 7.0),
    );
    add(
        part,
        "overwrite, 1 thread",
        "overwrite-1",
        "write_rate",
        PerSecond,
        least(1.8e6),
    );
    add(
        part,
        "overwrite, 2 threads",
        "overwrite-2",
        "write_rate",
        PerSecond,
        none,
    );
    add(
        part,
        "overwrite, zipfian, 1 thread",
        "overwrite-zipfian-1",
        "write_rate",
        PerSecond,
        none,
    );

    let part = "Writing, durable";
    add(
        part,
        "durable put, 1 thread",
        "durable-1",
        "rate",
        PerSecond,
        over(Named::Device, 0.95),
    );
    add(
        part,
        "durable put, 8 threads",
        "durable-8",
        "rate",
        PerSecond,
        over(Named::RaftEngine, 1.5),
    );

    let part = "Point reads";
    add(
        part,
        "get, hit, 1 thread",
        "get-1",
        "rate",
        PerSecond,
        both(3.5e6, 6.0),
    );
    add(part, "… its median", "get-1", "p50", Nanoseconds, least(250.0));
    add(
        part,
        "get, hit, 2 threads",
        "get-2",
        "rate",
        PerSecond,
        both(7e6, 6.0),
    );
    add(
        part,
        "get, hit, from one snapshot, 1 thread",
        "get-held-1",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "get, hit, from one snapshot, 2 threads",
        "get-held-2",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "get, hit, zipfian, 1 thread",
        "get-zipfian-1",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "get, hit, zipfian, 2 threads",
        "get-zipfian-2",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "get, miss, 1 thread",
        "miss-1",
        "rate",
        PerSecond,
        both(7e6, 5.0),
    );
    add(part, "get, miss, 2 threads", "miss-2", "rate", PerSecond, none);
    add(
        part,
        "16 keys at once, 1 thread, keys",
        "multi-get-1",
        "rate",
        PerSecond,
        both(12e6, 20.0),
    );
    add(
        part,
        "16 keys at once, 2 threads, keys",
        "multi-get-2",
        "rate",
        PerSecond,
        none,
    );

    let part = "Reading in order";
    add(
        part,
        "everything, first time after the fill, keys",
        "scan-filled-first",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "everything, again, keys",
        "scan-filled",
        "rate",
        PerSecond,
        over(Named::Lmdb, 1.0),
    );
    add(
        part,
        "everything, settled, keys",
        "scan-settled",
        "rate",
        PerSecond,
        both(40e6, 4.0),
    );
    add(
        part,
        "100 keys from somewhere, settled, scans",
        "scan-100",
        "rate",
        PerSecond,
        both(250e3, 3.0),
    );

    let part = "Mixed";
    add(
        part,
        "YCSB-A (50 % reads, zipfian), 1 thread",
        "ycsb-a-1",
        "all_rate",
        PerSecond,
        none,
    );
    add(
        part,
        "YCSB-A, 2 threads",
        "ycsb-a-2",
        "all_rate",
        PerSecond,
        both(3.5e6, 13.0),
    );
    add(
        part,
        "YCSB-B (95 % reads, zipfian), 1 thread",
        "ycsb-b-1",
        "all_rate",
        PerSecond,
        none,
    );
    add(
        part,
        "YCSB-B, 2 threads",
        "ycsb-b-2",
        "all_rate",
        PerSecond,
        both(5e6, 7.0),
    );

    let part = "While one thread overwrites and another reads";
    add(part, "overwrites", "beside", "write_rate", PerSecond, none);
    add(
        part,
        "… slowest of 1,000",
        "beside",
        "write_p999",
        Nanoseconds,
        none,
    );
    add(part, "reads", "beside", "rate", PerSecond, none);
    add(part, "… slowest of 1,000", "beside", "p999", Nanoseconds, none);

    let part = "Opening";
    let (clean, killed) = if is_large { (5e-3, 50e-3) } else { (1e-3, 20e-3) };
    add(
        part,
        "after a clean close, with a first get",
        "open-clean",
        "seconds",
        Seconds,
        least(clean),
    );
    add(
        part,
        "after kill -9 while writing, with a first get",
        "open-killed",
        "seconds",
        Seconds,
        least(killed),
    );
    add(
        part,
        "acknowledged puts before the kill",
        "open-killed",
        "acknowledged",
        Count,
        none,
    );
    add(
        part,
        "… of which lost",
        "open-killed",
        "missing",
        Count,
        least(0.0),
    );

    let part = "Space and memory";
    let peak = if is_large { 1.8 } else { 2.2 };
    add(
        part,
        "most disk while filling, of user bytes",
        "load",
        "peak_disk_bytes",
        PerUserByte,
        least(peak),
    );
    add(
        part,
        "disk once settled, of user bytes",
        "settle",
        "disk_bytes",
        PerUserByte,
        least(1.25),
    );
    add(
        part,
        "written to disk until then, of user bytes",
        "settle",
        "written_bytes",
        PerUserByte,
        none,
    );
    add(
        part,
        "to settle after the load",
        "settle",
        "seconds",
        Seconds,
        none,
    );
    add(
        part,
        "anonymous memory after reads",
        "memory",
        "anonymous_bytes",
        Bytes,
        least(16.0 * 1_048_576.0),
    );
    lines
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
