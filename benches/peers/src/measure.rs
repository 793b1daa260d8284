//! Timing of contenders that take turns.
//!
//! Closures that do one pass come in, nanoseconds an operation go out. Every round runs each contender
//! twice and times the second pass, so that a neighbour who takes the processor away hits all of them alike; the fastest pass of
//! each is what its work costs, the median says how quiet the machine was.

use std::hint::black_box;
use std::time::Instant;

use serde::Serialize;

/// One of several that do the same work.
pub struct Contender<'a> {
    /// Shown in tables.
    pub name: String,
    /// Does one pass and returns something that depends on all of it.
    pub pass: Box<dyn FnMut() -> u64 + 'a>,
    /// Operations of one pass.
    pub operations: usize,
}

impl<'a> Contender<'a> {
    /// A contender whose pass does `operations`.
    pub fn new(name: impl Into<String>, operations: usize, pass: impl FnMut() -> u64 + 'a) -> Self {
        Contender {
            name: name.into(),
            pass: Box::new(pass),
            operations,
        }
    }
}

/// What one contender needed.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The contender.
    pub name: String,
    /// Nanoseconds an operation in the fastest pass.
    pub ns: f64,
    /// The same in the median pass.
    pub median_ns: f64,
}

/// Runs everybody `rounds` times in turns, after one round that is not counted.
pub fn take_turns(contenders: &mut [Contender<'_>], rounds: usize) -> Vec<Figure> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            // Once for nothing: the others have just driven its tables out of the caches.
            black_box((contender.pass)());
            let start = Instant::now();
            black_box((contender.pass)());
            let ns = start.elapsed().as_nanos() as f64 / contender.operations as f64;
            if round > 0 {
                times.push(ns);
            }
        }
    }
    let figure = |(contender, mut times): (&mut Contender<'_>, Vec<f64>)| {
        times.sort_by(f64::total_cmp);
        Figure {
            name: contender.name.clone(),
            ns: times[0],
            median_ns: times[times.len() / 2],
        }
    };
    contenders.iter_mut().zip(times).map(figure).collect()
}
