//! Whether a cluster can do its work, and its figures for monitoring.
//!
//! In: one look at a cluster, the health and the counters of its stores. Out: a state, reasons in words, samples for Prometheus. Waits
//! for no disk. Must never: call something healthy that refuses writes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Cluster, ClusterError, ClusterStatus};
use crate::ids::ShardId;
use crate::metrics::Exposition;
use crate::routing::Shortfall;
use crate::store::{HealthState, StoreHealth};

/// How well a cluster is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClusterHealth {
    /// The worst of what follows.
    pub state: HealthState,
    /// Why it is not well, one sentence for each cause; empty if it is.
    pub reasons: Vec<String>,
    /// Shards in use.
    pub shards: u64,
    /// Shards that take writes.
    pub shards_writable: u64,
    /// Copies that should be in service.
    pub replicas: u64,
    /// Copies that are in service and count.
    pub replicas_up: u64,
    /// Most bytes of log that a copy in service lacks.
    pub replication_lag_bytes: u64,
    /// Longest time since a copy in service was known to have everything, in milliseconds.
    pub replication_lag_ms: u64,
    /// Age of the oldest snapshot that this process holds, in milliseconds.
    pub oldest_snapshot_ms: Option<u64>,
}

impl ClusterHealth {
    fn worsen(&mut self, state: HealthState, reason: String) {
        self.state = self.state.max(state);
        self.reasons.push(reason);
    }
}

/// Of one open replica.
struct Seen {
    shard: ShardId,
    node: String,
    health: StoreHealth,
    operations: [(&'static str, u64); 4],
    poisoned: bool,
}

impl Cluster {
    /// How well the cluster is, as of now.
    ///
    /// # Errors
    /// The configuration cannot be read.
    pub fn health(&self) -> Result<ClusterHealth, ClusterError> {
        let status = self.status()?;
        let mut health = ClusterHealth {
            shards: status.shards.len() as u64,
            ..ClusterHealth::default()
        };
        for shard in &status.shards {
            match &shard.unavailable {
                None => health.shards_writable += 1,
                Some(reason) => {
                    let reason = format!("shard {} takes no writes: {reason}", shard.id.0);
                    health.worsen(HealthState::Failed, reason);
                }
            }
            for replica in &shard.replicas {
                health.replicas += 1;
                let lag_ms = (replica.lag_seconds * 1000.0) as u64;
                match replica.state {
                    "primary" | "follower" => {
                        health.replicas_up += 1;
                        health.replication_lag_bytes = health.replication_lag_bytes.max(replica.lag_bytes);
                        health.replication_lag_ms = health.replication_lag_ms.max(lag_ms);
                    }
                    state => {
                        let why = replica.reason.as_deref().unwrap_or("it has not caught up yet");
                        let reason =
                            format!("shard {} on node {} is {state}: {why}", shard.id.0, replica.node);
                        health.worsen(HealthState::Degraded, reason);
                    }
                }
            }
        }
        for shortfall in self.topology().shortfalls() {
            // A node that leads nothing is no harm.
            if !matches!(shortfall, Shortfall::NoPrimary { .. }) {
                health.worsen(HealthState::Degraded, shortfall.to_string());
            }
        }
        for seen in self.replicas_seen() {
            for reason in seen.health.reasons {
                let reason = format!("shard {} on node {}: {reason}", seen.shard.0, seen.node);
                health.worsen(seen.health.state, reason);
            }
            health.oldest_snapshot_ms = health.oldest_snapshot_ms.max(seen.health.oldest_snapshot_ms);
        }
        Ok(health)
    }

    /// The figures of the cluster in the text format of Prometheus.
    ///
    /// Operations are counted by the replicas that are open: after a replica has been opened again it counts from 0.
    ///
    /// # Errors
    /// The configuration cannot be read.
    pub fn metrics(&self) -> Result<String, ClusterError> {
        let status = self.status()?;
        let seen = self.replicas_seen();
        let mut text = Exposition::default();
        operations(&mut text, &status, &seen);
        state(&mut text, &status);
        text.family(
            "atoll_log_poisoned",
            "gauge",
            "1 if the log of a replica takes no more writes.",
        );
        for seen in &seen {
            text.sample(
                &[("shard", &seen.shard.0), ("replica", &seen.node)],
                u8::from(seen.poisoned),
            );
        }
        Ok(text.into_text())
    }

    fn replicas_seen(&self) -> Vec<Seen> {
        let mut all = Vec::new();
        for group in self.inner.groups.load().iter().flatten() {
            let state = group.state.read();
            for copy in &state.copies {
                let Some(replica) = copy.live() else { continue };
                all.push(Seen {
                    shard: group.shard,
                    node: copy.node.clone(),
                    health: replica.store().health(),
                    operations: replica.store().operations(),
                    poisoned: replica.store().poisoned().is_some(),
                });
            }
        }
        all
    }
}

fn operations(text: &mut Exposition, status: &ClusterStatus, seen: &[Seen]) {
    let mut sums: BTreeMap<(u32, &str), u64> = BTreeMap::new();
    let mut of_shard: BTreeMap<u32, u64> = status.shards.iter().map(|shard| (shard.id.0, 0)).collect();
    for seen in seen {
        for (op, count) in seen.operations {
            *sums.entry((seen.shard.0, op)).or_default() += count;
            *of_shard.entry(seen.shard.0).or_default() += count;
        }
    }
    text.family(
        "atoll_ops_total",
        "counter",
        "Operations of the open replicas of a shard.",
    );
    for ((shard, op), count) in sums {
        text.sample(&[("shard", &shard), ("op", &op)], count);
    }
    let mean = of_shard.values().sum::<u64>() as f64 / of_shard.len().max(1) as f64;
    if mean > 0.0 {
        let help = "Operations of a shard relative to the mean of all shards.";
        text.family("atoll_shard_load_ratio", "gauge", help);
        for (shard, count) in of_shard {
            text.sample(&[("shard", &shard)], format_args!("{:.4}", count as f64 / mean));
        }
    }
}

fn state(text: &mut Exposition, status: &ClusterStatus) {
    text.family("atoll_node_up", "gauge", "1 if the node is up.");
    for node in &status.nodes {
        text.sample(&[("node", &node.name)], u8::from(node.up));
    }
    text.family("atoll_shard_writable", "gauge", "1 if the shard takes writes.");
    for shard in &status.shards {
        text.sample(&[("shard", &shard.id.0)], u8::from(shard.unavailable.is_none()));
    }
    text.family(
        "atoll_keys",
        "gauge",
        "Keys with a version in a shard, deleted ones included.",
    );
    for shard in &status.shards {
        text.sample(&[("shard", &shard.id.0)], shard.records);
    }
    let replicas = || {
        let of_shard = |shard: &'_ super::ShardStatus| shard.replicas.len();
        status
            .shards
            .iter()
            .flat_map(move |shard| (0..of_shard(shard)).map(move |i| (shard, &shard.replicas[i])))
    };
    text.family(
        "atoll_replica_up",
        "gauge",
        "1 if the replica is in service and counts.",
    );
    for (shard, replica) in replicas() {
        let is_up = matches!(replica.state, "primary" | "follower");
        text.sample(
            &[("shard", &shard.id.0), ("replica", &replica.node)],
            u8::from(is_up),
        );
    }
    text.family(
        "atoll_replication_lag_bytes",
        "gauge",
        "Bytes of log that a replica lacks.",
    );
    for (shard, replica) in replicas() {
        text.sample(
            &[("shard", &shard.id.0), ("replica", &replica.node)],
            replica.lag_bytes,
        );
    }
    let help = "Seconds since an open replica was known to have everything.";
    text.family("atoll_replication_lag_seconds", "gauge", help);
    for (shard, replica) in replicas().filter(|(_, replica)| replica.state != "down") {
        text.sample(
            &[("shard", &shard.id.0), ("replica", &replica.node)],
            replica.lag_seconds,
        );
    }
    text.family("atoll_disk_bytes", "gauge", "Bytes of the files of a replica.");
    for (shard, replica) in replicas().filter(|(_, replica)| replica.state != "down") {
        text.sample(
            &[("shard", &shard.id.0), ("replica", &replica.node)],
            replica.bytes,
        );
    }
    if let Some(open) = &status.open_move {
        let done = open.moves_done as f64 / open.moves_total.max(1) as f64;
        text.family(
            "atoll_move_progress_ratio",
            "gauge",
            "Moves of the open change of members that are done.",
        );
        text.sample(
            &[("move", &open.change.nodes().join("+"))],
            format_args!("{done:.4}"),
        );
    }
}
