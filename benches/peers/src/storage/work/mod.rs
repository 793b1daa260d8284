//! What is measured: one file a kind of work.
//!
//! In: an engine, a job. Out: figures. A job says everything an engine is asked to do, so that two
//! engines with the same job have done the same.

pub mod fill;
pub mod mixed;
pub mod read;
pub mod scan;

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::Result;
use super::engine::{Engine, Store};
use super::keys::{Choice, Draws, Values};
use super::results::Figures;

/// One thing to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum Job {
    /// Puts `count` keys, from number `from` on, for at most `seconds`; in batches of 1,000 if `batched`,
    /// or if the engine needs them and `loads`.
    Fill {
        /// First number.
        from: u64,
        /// How many.
        count: u64,
        /// Threads.
        threads: usize,
        /// In batches.
        batched: bool,
        /// As the engine likes best.
        loads: bool,
        /// The most time to take.
        seconds: f64,
    },
    /// Single puts of new keys.
    Append {
        /// First number.
        from: u64,
        /// Threads.
        threads: usize,
        /// How long.
        seconds: f64,
    },
    /// Point reads.
    Get {
        /// Threads.
        threads: usize,
        /// Which keys.
        choice: Choice,
        /// Keys that are there, or not.
        hit: bool,
        /// From one snapshot.
        held: bool,
        /// How long.
        seconds: f64,
    },
    /// 16 keys at a time.
    MultiGet {
        /// Threads.
        threads: usize,
        /// How long.
        seconds: f64,
    },
    /// Everything in order, once.
    ScanAll,
    /// So many keys from random ones on.
    ScanSome {
        /// Keys of a scan.
        limit: usize,
        /// How long.
        seconds: f64,
    },
    /// Reads and overwrites.
    Mix {
        /// Of 100 operations so many read.
        reads: u64,
        /// Threads.
        threads: usize,
        /// Which keys.
        choice: Choice,
        /// How long.
        seconds: f64,
    },
    /// One thread overwrites, another reads.
    Beside {
        /// How long.
        seconds: f64,
    },
}

/// What all jobs of a run have in common.
pub struct Ground {
    /// Keys 0 to this are there once loaded.
    pub records: u64,
    /// Values of all keys.
    pub values: Values,
    uniform: Draws,
    zipfian: OnceLock<Draws>,
}

impl Ground {
    /// For so many keys with values of so many bytes.
    #[must_use]
    pub fn new(records: u64, value_bytes: usize) -> Ground {
        Ground {
            records,
            values: Values::new(value_bytes),
            uniform: Draws::new(Choice::Uniform, records),
            zipfian: OnceLock::new(),
        }
    }

    /// Choices among the keys that are there.
    pub fn draws(&self, choice: Choice) -> &Draws {
        match choice {
            Choice::Uniform => &self.uniform,
            Choice::Zipfian => self
                .zipfian
                .get_or_init(|| Draws::new(Choice::Zipfian, self.records)),
        }
    }
}

/// Does a job that only puts.
pub fn append<E: Engine>(engine: &E, ground: &Ground, job: &Job) -> Result<Figures> {
    match *job {
        Job::Fill {
            from,
            count,
            threads,
            batched,
            loads,
            seconds,
        } => {
            let batch = if batched {
                Some(fill::BATCH)
            } else {
                E::BATCH.filter(|_| loads)
            };
            fill::fill(engine, ground, from..from + count, threads, batch, seconds)
        }
        Job::Append {
            from,
            threads,
            seconds,
        } => fill::durable(engine, ground, from, threads, seconds),
        _ => Err("a log cannot be asked for this".into()),
    }
}

/// Does any job.
pub fn all<S: Store>(store: &S, ground: &Ground, job: &Job) -> Result<Figures> {
    match *job {
        Job::Fill { .. } | Job::Append { .. } => append(store, ground, job),
        Job::Get {
            threads,
            choice,
            hit,
            held,
            seconds,
        } => {
            let keys = read::Keys { choice, hit };
            read::get(store, ground, threads, &keys, held, seconds)
        }
        Job::MultiGet { threads, seconds } => read::multi_get(store, ground, threads, seconds),
        Job::ScanAll => scan::everything(store, ground),
        Job::ScanSome { limit, seconds } => scan::some(store, ground, limit, seconds),
        Job::Mix {
            reads,
            threads,
            choice,
            seconds,
        } => mixed::mix(store, ground, reads, threads, choice, seconds),
        Job::Beside { seconds } => mixed::beside(store, ground, seconds),
    }
}
