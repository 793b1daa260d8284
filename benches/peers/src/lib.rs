//! What the comparisons share: timing in turns, and the page they write.
//!
//! Every comparison is a program of its own (`src/bin`) that measures Atoll and its peers in one
//! run, prints ratios, and puts its section into `docs/benchmarks.md`.

pub mod measure;
pub mod page;
pub mod routing;
#[cfg(feature = "storage")]
pub mod storage;
