//! Values that go by themselves: when, and by whose clock.
//!
//! In: a time to live or a time. Out: what the record says, and what a reader calls "now". A value whose
//! time is over is absent for every reader, as if it had been deleted then; compaction takes its bytes
//! away once nobody may see them.
//!
//! The clock is that of the machine, but never runs backward within a store: "now" is the latest time
//! that any reader or writer of the open store has been shown, and at opening no earlier than the newest
//! stamp in the log. So a clock that is set back brings nothing back; until it has caught up, no value
//! expires. A clock that is set forward lets values expire early, and setting it right again does not
//! undo that before the store is opened again. (Across crashes the stamps of the log remember the time.)
//! Replicas judge by their own clocks: they hold the same records and may call one expired a little
//! sooner or later than each other.
//!
//! What must never happen: a value that a reader was told has expired comes back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::write::{Durability, Written};
use super::{Shared, Store, StoreError};
use crate::io::Clock;
use crate::log::expiry::Expiry;
use crate::log::format::{RecordFlags, RecordKind, RecordParts};

/// How long a value stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Expires {
    /// Until it is replaced or deleted.
    #[default]
    Never,
    /// So long after it was written, in whole milliseconds.
    After(Duration),
    /// Until this time, in milliseconds since 1970 UTC; one that has passed makes the key absent at once.
    AtMs(u64),
}

impl Expires {
    /// What a record written at `now_ms` says.
    pub(super) fn expiry(self, now_ms: u64) -> Expiry {
        match self {
            Expires::Never => Expiry::NEVER,
            Expires::After(time) => {
                let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                Expiry::at_ms(now_ms.saturating_add(ms))
            }
            Expires::AtMs(ms) => Expiry::at_ms(ms),
        }
    }
}

/// A clock that does not go back.
#[derive(Debug)]
pub(super) struct ExpiryClock(AtomicU64);

impl ExpiryClock {
    /// A clock that shows at least `ms`.
    pub(super) fn not_before(ms: u64) -> ExpiryClock {
        ExpiryClock(AtomicU64::new(ms))
    }

    pub(super) fn now_ms(&self, clock: &dyn Clock) -> u64 {
        let wall = clock.wall_ms();
        let latest = self.0.load(Ordering::Acquire);
        if wall <= latest {
            return latest;
        }
        // Once a millisecond at most, so readers do not fight for the line.
        self.0.fetch_max(wall, Ordering::AcqRel).max(wall)
    }
}

impl Shared {
    /// Milliseconds since 1970 by which readers of this store judge what has expired; never goes back
    /// while the store is open.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.expiry_clock.now_ms(&*self.log.env().clock)
    }
}

/// The expiry extension of a record, kept as long as the record's parts need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpiryExt(Option<[u8; crate::log::expiry::EXPIRY_EXT_BYTES]>);

impl ExpiryExt {
    pub(super) fn of(expiry: Expiry) -> ExpiryExt {
        ExpiryExt(expiry.ms().map(|_| expiry.encode()))
    }

    /// The bytes, if there is one.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|bytes| &bytes[..])
    }

    /// The parts with the extension, if there is one.
    pub(super) fn add_to<'p>(&'p self, mut parts: RecordParts<'p>) -> RecordParts<'p> {
        if let Some(bytes) = &self.0 {
            parts.flags.0 |= RecordFlags::TTL;
            parts.ext = bytes;
        }
        parts
    }
}

impl Store {
    /// As [`Store::put`], of a value that goes by itself: from `expires` on the key is absent for every
    /// reader. See [`Expires`], and [`Shared::now_ms`] for whose clock counts.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub fn put_expiring(
        &self,
        key: &[u8],
        value: &[u8],
        expires: Expires,
        durability: Durability,
    ) -> Result<Written, StoreError> {
        let ext = ExpiryExt::of(self.resolve_expiry(expires));
        let parts = RecordParts::new(RecordKind::Put, key, value, crate::ids::Lsn::ZERO);
        let written = self.append_version(&ext.add_to(parts), false)?;
        self.settle(written, durability)
    }

    /// What a record written now says.
    pub(super) fn resolve_expiry(&self, expires: Expires) -> Expiry {
        match expires {
            Expires::After(_) => expires.expiry(self.now_ms()),
            other => other.expiry(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock::ManualClock;

    #[test]
    fn clock_set_back_stands_still_until_it_has_caught_up() {
        let (machine, clock) = (ManualClock::new(1000), ExpiryClock::not_before(500));
        assert_eq!(clock.now_ms(&machine), 1000);
        machine.set_wall_ms(400);
        assert_eq!(clock.now_ms(&machine), 1000);
        machine.set_wall_ms(1001);
        assert_eq!(clock.now_ms(&machine), 1001);
        assert_eq!(ExpiryClock::not_before(5000).now_ms(&machine), 5000);
    }

    #[test]
    fn times_to_live_count_from_the_write_and_do_not_overflow() {
        let check =
            |expires: Expires, expected| assert_eq!(expires.expiry(1000).ms(), expected, "{expires:?}");
        check(Expires::Never, None);
        check(Expires::After(Duration::from_micros(2999)), Some(1002));
        check(Expires::After(Duration::MAX), Some(Expiry::MAX_MS));
        check(Expires::AtMs(7), Some(7));
    }
}
