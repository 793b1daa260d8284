//! What a run is to measure.
//!
//! In: flags. Out: which rows, which engines, how long.

use std::path::{Path, PathBuf};

use super::engines::Named;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Keys of the loaded engines, and of fills.
    pub records: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Rounds of every row.
    pub rounds: usize,
    /// How long a round takes at one engine.
    pub seconds: f64,
    /// How long a fill takes at most.
    pub fill_seconds: f64,
    /// Who takes part.
    pub engines: Vec<Named>,
    /// Beginnings of names of rows; empty for all.
    pub rows: Vec<String>,
    /// Where the engines keep their files.
    pub dir: PathBuf,
}

impl Plan {
    /// Whether a row was asked for.
    #[must_use]
    pub fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|prefix| row.starts_with(prefix.as_str()))
    }

    /// Whether one of several was.
    #[must_use]
    pub fn wants_any(&self, rows: &[&str]) -> bool {
        rows.iter().any(|row| self.wants(row))
    }

    /// Whether any row is wanted for which an engine must have all keys first.
    #[must_use]
    pub fn needs_keys(&self) -> bool {
        let without = ["fill", "burst", "durable"];
        let is_without = |row: &String| without.iter().any(|name| row.starts_with(name));
        self.rows.is_empty() || !self.rows.iter().all(is_without)
    }
}

/// Bytes of disk that a plan may take: several times its data.
#[must_use]
pub fn needed_bytes(plan: &Plan) -> u64 {
    let user = plan.records * (16 + plan.value_bytes as u64);
    user * 3 * plan.engines.len() as u64 + (2 << 30)
}

/// Where files go unless said otherwise.
#[must_use]
pub fn default_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench-peers")
}
