//! Workloads shared by the criterion files under `benches/` and by `src/bin`.

use atoll::routing::NodeSpec;

pub mod store;

/// `full` when measuring, `quick` when criterion is only asked to see whether everything runs
/// (`cargo bench -- --test`).
#[must_use]
pub fn scale(full: u64, quick: u64) -> u64 {
    if std::env::args().any(|argument| argument == "--test") {
        quick
    } else {
        full
    }
}

/// Nodes as addresses.
#[must_use]
pub fn nodes(count: usize) -> Vec<NodeSpec> {
    (0..count)
        .map(|i| NodeSpec::new(format!("10.0.{}.{}:7400", i / 250, i % 250)))
        .collect()
}

/// Keys `user:N` in no order.
#[must_use]
pub fn user_keys(count: u64) -> Vec<Vec<u8>> {
    let numbers = Numbers::new(7);
    (0..count)
        .map(|n| format!("user:{:06}", numbers.nth(n) % 1_000_000).into_bytes())
        .collect()
}

/// Evenly spread 64-bit numbers, the same in every run (the generator SplitMix64).
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed)
    }

    /// The number of the sequence that belongs to `n`, without walking there.
    #[must_use]
    pub fn nth(&self, n: u64) -> u64 {
        let mut x = self
            .0
            .wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }
}
