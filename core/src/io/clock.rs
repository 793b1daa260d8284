//! Time and randomness as arguments, so that one seed replays everything.
//!
//! In: nothing, or a seed. Out: milliseconds, durations, random words. Rooms to the left must never
//! ask the machine for any of these behind the traits' back: a run could no longer be replayed.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::os;

/// Source of time. Thread-safe.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since 1970-01-01 UTC; may jump in either direction, and may lag by the length of
    /// a timer tick (10 ms at most).
    fn wall_ms(&self) -> u64;
    /// Time since an arbitrary point, never going back, counting suspend (`CLOCK_BOOTTIME`).
    fn elapsed(&self) -> Duration;
}

/// Source of randomness. Thread-safe.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// 64 random bits.
    fn next_u64(&self) -> u64;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        os::wall_ms()
    }

    fn elapsed(&self) -> Duration {
        os::time_since_boot()
    }
}

/// A clock that stands still until told otherwise.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicU64,
    elapsed_ns: AtomicU64,
}

impl ManualClock {
    /// A clock showing `wall_ms`, with nothing elapsed.
    #[must_use]
    pub fn new(wall_ms: u64) -> ManualClock {
        ManualClock {
            wall_ms: AtomicU64::new(wall_ms),
            elapsed_ns: AtomicU64::new(0),
        }
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        self.wall_ms.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
        self.elapsed_ns.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }

    /// Sets the wall clock, in either direction; elapsed time is not touched.
    pub fn set_wall_ms(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(Ordering::SeqCst))
    }
}

/// The kernel's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn next_u64(&self) -> u64 {
        os::random_u64()
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// A source that starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> SeededEntropy {
        SeededEntropy(AtomicU64::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn next_u64(&self) -> u64 {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(GOLDEN, Ordering::SeqCst).wrapping_add(GOLDEN);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(1_000);
        clock.advance(Duration::from_millis(250));
        clock.set_wall_ms(7);
        assert_eq!(
            (clock.wall_ms(), clock.elapsed()),
            (7, Duration::from_millis(250))
        );
    }

    #[test]
    fn system_clock_shows_this_century_and_never_goes_back() {
        let clock = SystemClock;
        assert!(clock.wall_ms() > 1_577_836_800_000, "after 2020");
        let earlier = clock.elapsed();
        assert!(clock.elapsed() >= earlier);
    }

    #[test]
    fn seeded_entropy_repeats_the_published_sequence() {
        // First outputs of SplitMix64 for the seed 1234567, as in the reference implementation.
        let source = SeededEntropy::new(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(
            [source.next_u64(), source.next_u64(), source.next_u64()],
            expected
        );
    }

    #[test]
    fn kernel_entropy_does_not_repeat() {
        assert_ne!(OsEntropy.next_u64(), OsEntropy.next_u64());
    }
}
