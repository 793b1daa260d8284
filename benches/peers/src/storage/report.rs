//! The report: tables for the terminal and for the page, and everything as JSON.
//!
//! In: judged lines. Out: text. A line that was lost looks like one that was won.

use std::fmt::Write;

use serde::Serialize;

use super::conductor::{Plan, machine};
use super::engines::{Kind, Named};
use super::results::Results;
use super::rows::{Judged, Unit};

/// Everything about a run.
pub struct Report<'r> {
    /// What was asked for.
    pub plan: &'r Plan,
    /// What was measured.
    pub results: &'r Results,
    /// What is made of it.
    pub judged: &'r [Judged],
    /// The flags it was run with.
    pub command: String,
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

impl Report<'_> {
    fn engines(&self, kinds: &[Kind]) -> Vec<Named> {
        let all = Named::ALL.into_iter();
        all.filter(|named| self.plan.engines.contains(named) && kinds.contains(&named.kind()))
            .collect()
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
                .map_or(String::new(), |ratio| format!("{ratio:.2} ×"));
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
        for failure in &self.results.failures {
            let _ = writeln!(text, "failed: {failure}");
        }
        text
    }

    /// For the page.
    #[must_use]
    pub fn markdown(&self, heading: &str, plots: &[String]) -> String {
        let plan = self.plan;
        let mut text = format!("## {heading}\n\n");
        let _ = writeln!(
            text,
            "{} keys of 16 bytes put in random order, values of {} bytes that do not compress, warm, median of {} \
             round(s) of {} s; an engine after the other within each round, each in a process of its own. Rates are \
             operations a second unless a line says keys; a ratio says how many times as good Atoll is as the best \
             peer, so below 1 Atoll has lost. \"Of the figure\" and \"of the ratio\" say how much of a target is \
             reached. Targets were set on a quiet machine of this kind.\n",
            thousands(plan.records),
            plan.value_bytes,
            plan.rounds,
            plan.seconds,
        );
        let _ = writeln!(text, "Machine: {}. Command: `{}`.\n", machine(), self.command);
        for plot in plots {
            let _ = writeln!(text, "![]({plot})\n");
        }
        let mut parts: Vec<&str> = self.judged.iter().map(|judged| judged.line.part).collect();
        parts.dedup();
        for part in parts {
            self.table(part, &mut text);
        }
        self.times(&mut text);
        let _ = writeln!(text, "### Settings\n");
        for named in self.engines(&[Kind::Store, Kind::Log, Kind::Floor]) {
            let _ = writeln!(text, "- **{}**: {}.", named.title(), named.settings());
        }
        text.push_str(NOTES);
        for failure in &self.results.failures {
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
        let mut engines = self.engines(&[Kind::Store, Kind::Log, Kind::Floor]);
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
            let ratio = judged.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let _ = writeln!(text, " {ratio} | {} | {} |", judged.target(), judged.verdict());
        }
        text.push('\n');
    }

    /// Median, slowest of a hundred, slowest of a thousand.
    fn times(&self, text: &mut String) {
        let engines = self.engines(&[Kind::Store, Kind::Log, Kind::Floor]);
        let _ = write!(text, "### Times: median / 99 % / 99.9 %\n\n| |");
        for named in &engines {
            let _ = write!(text, " {} |", named.title());
        }
        let _ = writeln!(text, "\n|---|{}", "---:|".repeat(engines.len()));
        for (title, row, prefix) in TIMES {
            let cell = |named: &Named| -> Option<String> {
                let time = |name| self.results.median(row, named.id(), &format!("{prefix}{name}"));
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
            machine: String,
            command: &'d str,
            records: u64,
            value_bytes: usize,
            rounds: usize,
            seconds: f64,
            lines: Vec<JsonLine<'d>>,
            results: &'d Results,
        }
        #[derive(Serialize)]
        struct JsonLine<'d> {
            part: &'d str,
            title: &'d str,
            row: &'d str,
            figure: &'d str,
            engines: std::collections::BTreeMap<&'d str, f64>,
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
            machine: machine(),
            command: &self.command,
            records: self.plan.records,
            value_bytes: self.plan.value_bytes,
            rounds: self.plan.rounds,
            seconds: self.plan.seconds,
            lines: lines.collect(),
            results: self.results,
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
