//! Progress of long work: a bar on a terminal, a plain line every two seconds otherwise.
//!
//! Counts come in; standard error is written. Results never pass through here.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// Work that is measured in bytes.
pub struct Progress {
    label: String,
    total: Option<u64>,
    /// Where this run began: a resumed one does not claim the rate of what was done before.
    first: u64,
    bar: Option<ProgressBar>,
    began: Instant,
    said: Instant,
}

impl Progress {
    /// Work of `total` bytes, `None` when nobody knows, of which `done` are behind us.
    pub fn new(label: &str, total: Option<u64>, done: u64) -> Progress {
        let now = Instant::now();
        let bar = io::stderr().is_terminal().then(|| bar(label, total, done));
        Progress {
            label: label.into(),
            total,
            first: done,
            bar,
            began: now,
            said: now,
        }
    }

    /// `done` bytes are done; `note` says what else there is to say.
    pub fn at(&mut self, done: u64, note: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(note());
        } else if self.said.elapsed() >= PLAIN_EVERY {
            self.said = Instant::now();
            output::say(&self.plain(done, &note()));
        }
    }

    /// A total that became known, or changed, on the way.
    pub fn set_total(&mut self, total: u64) {
        if self.total != Some(total) {
            self.total = Some(total);
            if let Some(bar) = &self.bar {
                bar.set_length(total);
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn plain(&self, done: u64, note: &str) -> String {
        let elapsed = self.began.elapsed();
        let rate = output::rate(done.saturating_sub(self.first), elapsed);
        let mut line = format!("{}: {}", self.label, output::bytes(done));
        if let Some(total) = self.total.filter(|&total| total > 0) {
            let share = output::percent(done as f64 / total as f64);
            line.push_str(&format!(" of {} ({share})", output::bytes(total)));
        }
        line.push_str(&format!(", {}/s", output::bytes(rate)));
        let left = self.total.map(|total| total.saturating_sub(done));
        if let Some(left) = left.filter(|_| rate > 0) {
            line.push_str(&format!(
                ", {} left",
                output::duration(Duration::from_secs(left / rate))
            ));
        }
        if !note.is_empty() {
            line.push_str(", ");
            line.push_str(note);
        }
        line
    }
}

fn bar(label: &str, total: Option<u64>, done: u64) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{prefix} {bar:30.cyan/238} {percent:>3} %  {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  ETA {eta}  {msg}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{prefix} {spinner}  {binary_bytes}  {binary_bytes_per_sec}  {elapsed}  {msg}",
        ),
    };
    let style = ProgressStyle::with_template(template).expect("the templates above are well-formed");
    bar.set_style(style.progress_chars("━╸─"));
    bar.set_prefix(label.to_string());
    bar.set_position(done);
    bar.reset_eta();
    bar
}
