//! Whether a store can do its work, and what it has been asked to do.
//!
//! In: an open store. Out: a state, reasons in words, counts, samples for Prometheus. Reads no keys and waits for no disk; asks the
//! file system how much room there is. Must never: call something healthy that refuses writes.

use std::fmt;

use serde::Serialize;

use super::Store;
use crate::metrics::Exposition;

/// How well something is, the worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It does all it should.
    #[default]
    Ok,
    /// It reads and writes, and something needs to be looked at.
    Degraded,
    /// It reads, and (some) writes are refused.
    ReadOnly,
    /// It takes no writes until somebody acts, and some reads may fail.
    Failed,
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HealthState::Ok => "ok",
            HealthState::Degraded => "degraded",
            HealthState::ReadOnly => "read_only",
            HealthState::Failed => "failed",
        })
    }
}

/// How well a store is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreHealth {
    /// The worst of what follows.
    pub state: HealthState,
    /// Why it is not well, one sentence for each cause, with the next step; empty if it is.
    pub reasons: Vec<String>,
    /// Age of the oldest snapshot that this process holds, in milliseconds: it keeps old versions and files from going.
    pub oldest_snapshot_ms: Option<u64>,
}

impl StoreHealth {
    pub(crate) fn worsen(&mut self, state: HealthState, reason: String) {
        self.state = self.state.max(state);
        self.reasons.push(reason);
    }
}

impl Store {
    /// How well the store is, as of now. Any thread; waits for nothing.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        let mut health = StoreHealth {
            oldest_snapshot_ms: self
                .history
                .earliest_ms()
                .map(|taken_at| self.now_ms().saturating_sub(taken_at)),
            ..StoreHealth::default()
        };
        if let Some(cause) = self.poisoned() {
            let reason = format!("the log takes no more writes: {cause}; close the store and open it again");
            health.worsen(HealthState::Failed, reason);
        }
        if let Some((free, reserve)) = self.log.short_of_room() {
            let reason = format!(
                "{free} bytes are free where the log lies and {reserve} are kept in reserve: new segments are refused until there is more"
            );
            health.worsen(HealthState::ReadOnly, reason);
        }
        let compaction = self.compaction_health();
        if let Some(cause) = compaction.halted {
            let reason = format!("no compaction until the store is opened again: {cause}");
            health.worsen(HealthState::Degraded, reason);
        } else if let Some(cause) = compaction.last_error {
            let reason = format!("the last step of compaction failed and will be tried again: {cause}");
            health.worsen(HealthState::Degraded, reason);
        }
        health
    }

    /// The name of each operation and how many were asked for since the store was opened: `get` and `put` and `delete` count keys,
    /// `scan` counts scans. What a leader sends is not counted.
    #[must_use]
    pub fn operations(&self) -> [(&'static str, u64); 4] {
        self.ops.totals()
    }

    /// The figures of the store in the text format of Prometheus.
    #[must_use]
    pub fn metrics(&self) -> String {
        let stats = self.stats();
        let shard = self.shard();
        let mut text = Exposition::default();
        text.family(
            "atoll_ops_total",
            "counter",
            "Operations since the store was opened.",
        );
        for (op, count) in self.operations() {
            text.sample(&[("shard", &shard.0), ("op", &op)], count);
        }
        text.family(
            "atoll_keys",
            "gauge",
            "Keys with a version, deleted ones included.",
        );
        text.sample(&[("shard", &shard.0)], stats.keys);
        text.family("atoll_disk_bytes", "gauge", "Bytes of the files of a replica.");
        text.sample(&[("shard", &shard.0)], stats.disk_bytes());
        text.family(
            "atoll_log_bytes",
            "gauge",
            "Bytes from the start of the log to its end.",
        );
        text.sample(&[("shard", &shard.0)], stats.log_bytes);
        text.family("atoll_runs", "gauge", "Sorted runs of tables.");
        text.sample(&[("shard", &shard.0)], stats.runs);
        text.family(
            "atoll_compaction_failures_total",
            "counter",
            "Steps of compaction that failed since the store was opened.",
        );
        text.sample(&[("shard", &shard.0)], stats.compaction.failures);
        text.family(
            "atoll_log_poisoned",
            "gauge",
            "1 if the log takes no more writes.",
        );
        text.sample(&[("shard", &shard.0)], u8::from(self.poisoned().is_some()));
        text.into_text()
    }
}
