//! Threads that do one thing over and over, and how long each time took.
//!
//! In: what to do, on how many threads, until when. Out: a rate, and percentiles. Not every operation is
//! timed: reading the clock costs as much as a tenth of a fast get, so one in a few is.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Result;
use super::results::Figures;

/// When the threads stop.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// After so long.
    pub time: Duration,
    /// Or after so many operations of each thread.
    pub operations: u64,
}

impl Until {
    /// After a time.
    #[must_use]
    pub fn seconds(seconds: f64) -> Until {
        Until {
            time: Duration::from_secs_f64(seconds),
            operations: u64::MAX,
        }
    }
}

/// Kinds of operations in one measurement: 0 reads or whatever there is, 1 the writes beside reads.
pub const LANES: usize = 2;

/// One in so many operations is timed, when each takes far less than a microsecond.
pub const FAST: u64 = 8;
/// Every operation is.
pub const SLOW: u64 = 1;

struct Thread {
    counts: [u64; LANES],
    times: [Histogram<u64>; LANES],
    took: Duration,
}

/// Runs on `threads` threads what `make` makes for each of them: an operation that is told its number
/// and tells its lane. Times one operation in `one_in`. A rate counts every operation as `weight`.
pub fn run<Op>(
    threads: usize,
    until: Until,
    one_in: u64,
    weight: u64,
    make: impl Fn(usize) -> Result<Op> + Sync,
) -> Result<Figures>
where
    Op: FnMut(u64) -> Result<usize>,
{
    let barrier = Barrier::new(threads);
    let body = |thread: usize| {
        let made = make(thread);
        barrier.wait();
        repeat(made?, until, one_in)
    };
    let done: Vec<Thread> = std::thread::scope(|scope| {
        let body = &body;
        let started: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || body(thread)))
            .collect();
        let ended = started
            .into_iter()
            .map(|thread| thread.join().expect("a measuring thread panicked"));
        ended.collect::<Result<_>>()
    })?;
    Ok(figures(&done, weight))
}

fn repeat<Op: FnMut(u64) -> Result<usize>>(mut op: Op, until: Until, one_in: u64) -> Result<Thread> {
    let empty = || Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("bounds in order");
    let mut thread = Thread {
        counts: [0; LANES],
        times: [empty(), empty()],
        took: Duration::ZERO,
    };
    let began = Instant::now();
    let mut number = 0;
    while number < until.operations {
        let before = Instant::now();
        let lane = op(number)?;
        let after = Instant::now();
        number += 1;
        thread.counts[lane] += 1;
        thread.times[lane].saturating_record((after - before).as_nanos() as u64);
        if after - began >= until.time {
            break;
        }
        let rest = (one_in - 1).min(until.operations - number);
        for _ in 0..rest {
            thread.counts[op(number)?] += 1;
            number += 1;
        }
    }
    thread.took = began.elapsed();
    Ok(thread)
}

fn figures(threads: &[Thread], weight: u64) -> Figures {
    let took = threads.iter().map(|thread| thread.took).max().unwrap_or_default();
    let seconds = took.as_secs_f64().max(1e-9);
    let mut figures = Figures::default();
    let mut all = 0;
    for lane in 0..LANES {
        let count: u64 = threads.iter().map(|thread| thread.counts[lane]).sum();
        if count == 0 {
            continue;
        }
        all += count;
        let mut times = threads[0].times[lane].clone();
        for thread in &threads[1..] {
            times.add(&thread.times[lane]).expect("the same bounds");
        }
        let prefix = if lane == 0 { "" } else { "write_" };
        figures.set(&format!("{prefix}rate"), (count * weight) as f64 / seconds);
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            figures.set(
                &format!("{prefix}{name}"),
                times.value_at_quantile(quantile) as f64,
            );
        }
    }
    figures.set("all_rate", (all * weight) as f64 / seconds);
    figures.set("operations", (all * weight) as f64);
    figures.set("seconds", seconds);
    figures
}
