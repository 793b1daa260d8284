//! The report: tables for the terminal and for the page, and everything as JSON.
//!
//! In: judged lines. Out: text. A line that was lost looks like one that was won.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::engines::{Kind, Named};
use super::results::Results;
use super::rows::Judged;
use super::unit::Unit;

/// A run that is over, as it is kept in `storage.json`.
#[derive(Serialize, Deserialize)]
pub struct Run {
    /// The machine in words.
    pub machine: String,
    /// How to do it again.
    pub command: String,
    /// Keys of a loaded engine.
    pub records: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Rounds of every row.
    pub rounds: usize,
    /// Seconds of a round at one engine.
    pub seconds: f64,
    /// What was measured.
    pub results: Results,
}

/// A run and what is made of it.
pub struct Report<'r> {
    /// The run.
    pub run: &'r Run,
    /// Its lines.
    pub judged: &'r [Judged],
}

/// A row whose times are shown: title, row, and what its figures' names begin with.
const TIMES: [(&str, &str, &str); 21] = [
    ("fill, single puts, 1 thread", "fill-1", ""),
    ("fill, single puts, 2 threads", "fill-2", ""),
    ("fill, a batch of 1,000", "fill-batch", ""),
    ("overwrite, 1 thread", "overwrite-1", "write_"),
    ("overwrite, 2 threads", "overwrite-2", "write_"),
    ("durable put, 1 thread", "durable-1", ""),
    ("durable put, 8 threads", "durable-8", ""),
    ("get, hit, 1 thread", "get-1", ""),
    ("get, hit, 2 threads", "get-2", ""),
    ("get, hit, from one snapshot, 1 thread", "get-held-1", ""),
    ("get, hit, zipfian, 1 thread", "get-zipfian-1", ""),
    ("get, miss, 1 thread", "miss-1", ""),
    ("16 keys at once, 1 thread", "multi-get-1", ""),
    ("16 keys at once, 2 threads", "multi-get-2", ""),
    ("100 keys in order", "scan-100", ""),
    ("YCSB-A, 2 threads, reads", "ycsb-a-2", ""),
    ("YCSB-A, 2 threads, updates", "ycsb-a-2", "write_"),
    ("YCSB-B, 2 threads, reads", "ycsb-b-2", ""),
    ("YCSB-B, 2 threads, updates", "ycsb-b-2", "write_"),
    ("reads beside overwrites", "beside", ""),
    ("overwrites beside reads", "beside", "write_"),
];

/// Rows whose processor time is shown.
const PROCESSOR_TIMES: [(&str, &str); 19] = [
    ("fill, single puts, 1 thread", "fill-1"),
    ("fill, single puts, 2 threads", "fill-2"),
    ("fill, batches of 1,000", "fill-batch"),
    ("fill, 1-KiB values", "fill-1k"),
    ("burst (no compaction), 1 thread", "burst-1"),
    ("overwrite, 1 thread", "overwrite-1"),
    ("overwrite, 2 threads", "overwrite-2"),
    ("get, hit, 1 thread", "get-1"),
    ("get, hit, 2 threads", "get-2"),
    ("get, hit, from one snapshot, 1 thread", "get-held-1"),
    ("get, hit, zipfian, 1 thread", "get-zipfian-1"),
    ("get, miss, 1 thread", "miss-1"),
    ("16 keys at once, 1 thread", "multi-get-1"),
    ("everything after the fill, again", "scan-filled"),
    ("everything, settled", "scan-settled"),
    ("100 keys from somewhere, settled", "scan-100"),
    ("YCSB-A, 1 thread", "ycsb-a-1"),
    ("YCSB-A, 2 threads", "ycsb-a-2"),
    ("YCSB-B, 2 threads", "ycsb-b-2"),
];

impl Report<'_> {
    /// Those that were measured.
    fn engines(&self) -> Vec<Named> {
        let was_measured = |named: &Named| self.judged.iter().any(|judged| judged.of(*named).is_some());
        Named::ALL.into_iter().filter(was_measured).collect()
    }

    /// For the terminal: a line each, ours and the best peer.
    #[must_use]
    pub fn terminal(&self) -> String {
        let mut text = String::new();
        let mut part = "";
        for judged in self.judged {
            let line = &judged.line;
            if line.part != part {
                part = line.part;
                let _ = writeln!(text, "\n{part}");
            }
            let show = |value: Option<f64>| value.map_or("-".into(), |value| line.unit.show(value));
            let peer = judged.best_peer.map_or(String::new(), |(named, value)| {
                format!("{} {}", named.title(), line.unit.show(value))
            });
            let ratio = judged
                .ratio
                .map_or(String::new(), |ratio| format!("{} ×", digits(ratio)));
            let verdict = judged.verdict().replace("**", "");
            let _ = writeln!(
                text,
                "  {:<58} {:>12}  {:<28} {ratio:>10}  {} {verdict}",
                line.title,
                show(judged.of(Named::Atoll)),
                peer,
                judged.target(),
            );
        }
        for failure in &self.run.results.failures {
            let _ = writeln!(text, "failed: {failure}");
        }
        text
    }

    /// For the page.
    #[must_use]
    pub fn markdown(&self, heading: &str, plots: &[String]) -> String {
        let run = self.run;
        let mut text = format!("## {heading}\n\n");
        let _ = writeln!(
            text,
            "{} keys of 16 bytes put in random order, values of {} bytes that do not compress, warm, median of {} \
             round(s) of {} s; an engine after the other within each round, each in a process of its own. Rates are \
             operations a second unless a line says keys; a ratio says how many times as good Atoll is as the best \
             peer, so below 1 Atoll has lost. \"Of the figure\" and \"of the ratio\" say how much of a target is \
             reached. Targets were set on a quiet machine of this kind.\n",
            thousands(run.records),
            run.value_bytes,
            run.rounds,
            run.seconds,
        );
        let _ = writeln!(text, "Machine: {}. Command: `{}`.\n", run.machine, run.command);
        if let Some(cores) = run.results.overall("other_cores") {
            let _ = writeln!(
                text,
                "Other programs took {cores:.1} cores of the machine meanwhile (median over all measurements). Where \
                 that is not near 0, rates are lower than they could be, and the table of processor times says more.\n"
            );
        }
        for plot in plots {
            let _ = writeln!(text, "![]({plot})\n");
        }
        let mut parts: Vec<&str> = self.judged.iter().map(|judged| judged.line.part).collect();
        parts.dedup();
        for part in parts {
            self.table(part, &mut text);
        }
        self.processor_times(&mut text);
        self.times(&mut text);
        let _ = writeln!(text, "### Settings\n");
        for named in self.engines() {
            let _ = writeln!(text, "- **{}**: {}.", named.title(), named.settings());
        }
        text.push_str(NOTES);
        for failure in &self.run.results.failures {
            let _ = writeln!(text, "- Not measured further: {failure}.");
        }
        text
    }

    fn table(&self, part: &str, text: &mut String) {
        let lines: Vec<&Judged> = self
            .judged
            .iter()
            .filter(|judged| judged.line.part == part)
            .collect();
        let mut engines = self.engines();
        engines.retain(|named| lines.iter().any(|judged| judged.of(*named).is_some()));
        let _ = write!(text, "### {part}\n\n| |");
        for named in &engines {
            let _ = write!(text, " {} |", named.title());
        }
        let _ = writeln!(text, " ratio to the best peer | target | |");
        let _ = writeln!(text, "|---|{}---:|---|---|", "---:|".repeat(engines.len()));
        for judged in lines {
            let _ = write!(text, "| {} |", judged.line.title);
            for named in &engines {
                let figure = judged
                    .of(*named)
                    .map_or("–".into(), |value| judged.line.unit.show(value));
                let is_best = judged.best_peer.is_some_and(|(best, _)| best == *named);
                let mark = if *named == Named::Atoll || is_best {
                    "**"
                } else {
                    ""
                };
                let _ = write!(text, " {mark}{figure}{mark} |");
            }
            let ratio = judged.ratio.map_or(String::new(), digits);
            let _ = writeln!(text, " {ratio} | {} | {} |", judged.target(), judged.verdict());
        }
        text.push('\n');
    }

    /// What an operation costs in processor time: hardly disturbed by what else runs.
    fn processor_times(&self, text: &mut String) {
        let engines: Vec<Named> = self
            .engines()
            .into_iter()
            .filter(|named| named.kind() != Kind::Floor)
            .collect();
        let _ = write!(
            text,
            "### Processor time for each operation (of `multi_get` and whole scans: each key), threads in the \
             background included\n\n| |"
        );
        for named in &engines {
            let _ = write!(text, " {} |", named.title());
        }
        let _ = writeln!(
            text,
            " ratio to the best peer |\n|---|{}---:|",
            "---:|".repeat(engines.len())
        );
        for (title, row) in PROCESSOR_TIMES {
            let figures = engines
                .iter()
                .map(|named| (*named, self.run.results.median(row, named.id(), "cpu_ns")));
            let figures: Vec<(Named, Option<f64>)> = figures.collect();
            let ours = figures
                .iter()
                .find(|(named, _)| *named == Named::Atoll)
                .and_then(|(_, figure)| *figure);
            let peers = figures.iter().filter(|(named, _)| *named != Named::Atoll);
            let Some(best) = peers.filter_map(|(_, figure)| *figure).reduce(f64::min) else {
                continue;
            };
            let _ = write!(text, "| {title} |");
            for (_, figure) in figures {
                let _ = write!(
                    text,
                    " {} |",
                    figure.map_or("–".into(), |ns| Unit::Nanoseconds.show(ns))
                );
            }
            let ratio = ours.filter(|ours| *ours > 0.0).map(|ours| digits(best / ours));
            let _ = writeln!(text, " {} |", ratio.unwrap_or_default());
        }
        text.push('\n');
    }

    /// Median, slowest of a hundred, slowest of a thousand.
    fn times(&self, text: &mut String) {
        let engines = self.engines();
        let _ = write!(text, "### Times: median / 99 % / 99.9 %\n\n| |");
        for named in &engines {
            let _ = write!(text, " {} |", named.title());
        }
        let _ = writeln!(text, "\n|---|{}", "---:|".repeat(engines.len()));
        for (title, row, prefix) in TIMES {
            let cell = |named: &Named| -> Option<String> {
                let time = |name| {
                    self.run
                        .results
                        .median(row, named.id(), &format!("{prefix}{name}"))
                };
                let times = [time("p50")?, time("p99")?, time("p999")?];
                Some(times.map(|time| Unit::Nanoseconds.show(time)).join(" / "))
            };
            let cells: Vec<Option<String>> = engines.iter().map(cell).collect();
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let _ = write!(text, "| {title} |");
            for cell in cells {
                let _ = write!(text, " {} |", cell.unwrap_or("–".into()));
            }
            text.push('\n');
        }
        text.push('\n');
    }

    /// Everything, rounds included.
    ///
    /// # Errors
    /// None that is known: every figure is a number.
    pub fn json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Document<'d> {
            #[serde(flatten)]
            run: &'d Run,
            lines: Vec<JsonLine<'d>>,
        }
        #[derive(Serialize)]
        struct JsonLine<'d> {
            part: &'d str,
            title: &'d str,
            row: &'d str,
            figure: &'d str,
            engines: BTreeMap<&'d str, f64>,
            best_peer: Option<&'d str>,
            ratio: Option<f64>,
            target: String,
            verdict: String,
        }
        let lines = self.judged.iter().map(|judged| JsonLine {
            part: judged.line.part,
            title: &judged.line.title,
            row: judged.line.row,
            figure: judged.line.figure,
            engines: judged
                .figures
                .iter()
                .map(|(named, figure)| (named.id(), *figure))
                .collect(),
            best_peer: judged.best_peer.map(|(named, _)| named.id()),
            ratio: judged.ratio,
            target: judged.target(),
            verdict: judged.verdict().replace("**", ""),
        });
        serde_json::to_string_pretty(&Document {
            run: self.run,
            lines: lines.collect(),
        })
    }
}

/// What one should know to read the tables.
const NOTES: &str = "
### Notes

- A time includes about 30 ns for reading the clock; of fast operations one in eight is timed.
- A fill begins with an empty engine and ends after all keys or after the time given by `--fill-seconds`,
  whichever is first; who is slow is measured on a smaller, faster engine.
- \"Settled\" is after the engine's own full compaction (`VACUUM` for SQLite; LMDB has none in place).
- A value read is compared with what was written: length, first eight bytes; its last byte is read.
- \"Written to disk\" is what the kernel charges the process for, up to the end of settling.
- Durable puts happen on the loaded engine; raft-engine and the bare file have no data but these.
- raft-engine keeps no index by key, so its rows are less work than the others' puts.
";

/// Two digits behind the point, or three that say something.
fn digits(ratio: f64) -> String {
    match ratio {
        r if r >= 100.0 => format!("{r:.0}"),
        r if r >= 0.1 => format!("{r:.2}"),
        r if r >= 0.001 => format!("{r:.4}"),
        r => format!("{r:.1e}"),
    }
}

/// With commas.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_have_commas() {
        assert_eq!(super::thousands(2_000_000), "2,000,000");
        assert_eq!(super::thousands(999), "999");
    }
}
