//! Latencies, and who answered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::output::{duration, percent};

/// Durations of one kind of call.
#[derive(Default)]
pub struct Latencies {
    all: Vec<Duration>,
    nodes: BTreeMap<String, u64>,
}

impl Latencies {
    /// Times one call.
    pub fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let value = call();
        self.all.push(began.elapsed());
        value
    }

    /// Counts who answered.
    pub fn answered(&mut self, node: &str) {
        *self.nodes.entry(node.to_string()).or_default() += 1;
    }

    /// The `part`-quantile, 0 to 1, by nearest rank; zero for no calls at all.
    pub fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.all.clone();
        sorted.sort_unstable();
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// `p50 …, p99 …`
    pub fn in_words(&self) -> (String, String) {
        (duration(self.quantile(0.5)), duration(self.quantile(0.99)))
    }

    /// Shares of the nodes that answered.
    pub fn answers(&self) -> String {
        let all: u64 = self.nodes.values().sum();
        let share =
            |(node, answers): (&String, &u64)| format!("{node} {}", percent(*answers as f64 / all as f64));
        self.nodes.iter().map(share).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_nearest_rank() {
        let all = (1..=100).map(Duration::from_millis).rev().collect();
        let latencies = Latencies {
            all,
            ..Latencies::default()
        };
        assert_eq!(latencies.quantile(0.5), Duration::from_millis(50));
        assert_eq!(latencies.quantile(0.99), Duration::from_millis(99));
        assert_eq!(Latencies::default().quantile(0.5), Duration::ZERO);
    }
}
