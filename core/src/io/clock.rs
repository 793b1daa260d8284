//! Time and randomness as arguments, so that one seed replays everything.

use std::fmt;
use std::time::Duration;

/// Source of time. Thread-safe.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since 1970-01-01 UTC; may jump in either direction.
    fn wall_ms(&self) -> u64;
    /// Time since an arbitrary point, never going back, counting suspend (`CLOCK_BOOTTIME`).
    fn elapsed(&self) -> Duration;
}

/// Source of randomness. Thread-safe.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// 64 random bits.
    fn next_u64(&self) -> u64;
}
