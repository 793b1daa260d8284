//! Figures for monitoring: counters that cost next to nothing, and the text that Prometheus reads.
//!
//! In: what happened, said by whoever did it. Out: sums, and samples in the text format of Prometheus 0.0.4. Must never: make two
//! threads that read or write at the same time share a cache line, or tell a figure that nobody counts.

use std::cell::Cell;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam::utils::CachePadded;

use crate::log::format::RecordKind;

/// What a store is asked to do, as the label `op` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// A key looked up, alone or among many.
    Get,
    /// A key given a value, alone or in a batch.
    Put,
    /// A key's value taken away, alone or in a batch.
    Delete,
    /// A scan begun.
    Scan,
}

impl Op {
    /// What writing a record of this kind was.
    #[inline]
    pub(crate) fn of_record(kind: RecordKind) -> Op {
        if kind == RecordKind::Delete {
            Op::Delete
        } else {
            Op::Put
        }
    }
}

/// All of them, in the order of their counters.
const OPS: [(Op, &str); 4] = [
    (Op::Get, "get"),
    (Op::Put, "put"),
    (Op::Delete, "delete"),
    (Op::Scan, "scan"),
];

/// Counters that threads take turns on: more than any machine here has cores would only cost memory.
const STRIPES: usize = 32;

/// How often each operation was asked for. Thread-safe; a thread counts in a line of its own, unless there are more than
/// [`STRIPES`] of them.
#[derive(Debug, Default)]
pub(crate) struct OpCounters([CachePadded<[AtomicU64; OPS.len()]>; STRIPES]);

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

#[cold]
fn choose_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let stripe = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    STRIPE.set(stripe);
    stripe
}

impl OpCounters {
    /// Counts `n` operations.
    #[inline]
    pub(crate) fn add(&self, op: Op, n: u64) {
        let chosen = STRIPE.get();
        let stripe = if chosen < STRIPES { chosen } else { choose_stripe() };
        self.0[stripe][op as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// The name of each operation and how often it was asked for.
    pub(crate) fn totals(&self) -> [(&'static str, u64); OPS.len()] {
        OPS.map(|(op, name)| {
            let of_stripe =
                |stripe: &CachePadded<[AtomicU64; OPS.len()]>| stripe[op as usize].load(Ordering::Relaxed);
            (name, self.0.iter().map(of_stripe).sum())
        })
    }
}

/// The text that Prometheus reads, family by family.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
    family: &'static str,
}

impl Exposition {
    /// Begins a family of samples. `kind` is `counter` or `gauge`.
    pub(crate) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes all");
    }

    /// One sample of the family, with its labels.
    pub(crate) fn sample(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.text.push_str(self.family);
        for (i, (name, label)) in labels.iter().enumerate() {
            let escaped = label
                .to_string()
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let before = if i == 0 { '{' } else { ',' };
            write!(self.text, "{before}{name}=\"{escaped}\"").expect("a string takes all");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        writeln!(self.text, " {value}").expect("a string takes all");
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_count_adds_up() {
        let counters = OpCounters::default();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| (0..1000).for_each(|_| counters.add(Op::Put, 2)));
            }
        });
        counters.add(Op::Scan, 1);
        let expected = [("get", 0), ("put", 80_000), ("delete", 0), ("scan", 1)];
        assert_eq!(counters.totals(), expected);
    }

    #[test]
    fn labels_are_escaped() {
        let mut text = Exposition::default();
        text.family("atoll_node_up", "gauge", "Whether.");
        text.sample(&[("node", &"a\"b\\c\nd")], 1);
        text.sample(&[], 0.5);
        let expected = "# HELP atoll_node_up Whether.\n# TYPE atoll_node_up gauge\n\
                        atoll_node_up{node=\"a\\\"b\\\\c\\nd\"} 1\natoll_node_up 0.5\n";
        assert_eq!(text.into_text(), expected);
    }
}
