//! When a value is gone: the expiry extension of a record.
//!
//! In: a time, or flags and extensions as they stand on disk. Out: the extension's bytes, and back.
//! Arbitrary bytes give an error, never a panic. Layout: `docs/FORMAT.md`, section 3.

use super::format::{RecordFlags, ext};

/// Bytes of the extension: head and one word.
pub const EXPIRY_EXT_BYTES: usize = 16;

/// When a version stops being there, in milliseconds since 1970 UTC. Orders by time, with
/// [`Expiry::NEVER`] last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry(u64);

impl Expiry {
    /// Stays until it is replaced.
    pub const NEVER: Expiry = Expiry(u64::MAX);
    /// Latest time that can be recorded, in the year 10889: a stamp has 48 bits for milliseconds.
    pub const MAX_MS: u64 = (1 << 48) - 1;

    /// From `ms` milliseconds since 1970 on, at most [`Expiry::MAX_MS`], the value is gone.
    #[must_use]
    pub fn at_ms(ms: u64) -> Expiry {
        Expiry(ms.min(Expiry::MAX_MS))
    }

    /// Milliseconds since 1970; `None` for never.
    #[must_use]
    pub fn ms(self) -> Option<u64> {
        (self != Expiry::NEVER).then_some(self.0)
    }

    /// Whether the value is gone at `now_ms`, in milliseconds since 1970.
    #[inline]
    #[must_use]
    pub fn is_over(self, now_ms: u64) -> bool {
        self.0 <= now_ms
    }

    /// The extension. Goes with [`RecordFlags::TTL`]; never is said by leaving both out.
    #[must_use]
    pub fn encode(self) -> [u8; EXPIRY_EXT_BYTES] {
        debug_assert!(self != Expiry::NEVER, "no extension says never");
        let mut bytes = [0u8; EXPIRY_EXT_BYTES];
        bytes[0] = ext::EXPIRY;
        bytes[1] = 1;
        bytes[8..].copy_from_slice(&(self.0.min(Expiry::MAX_MS) << 16).to_le_bytes());
        bytes
    }

    /// The expiry of a version with these flags and extensions.
    ///
    /// # Errors
    /// The flag stands without an extension that fits it.
    #[inline]
    pub fn of(flags: RecordFlags, extensions: &[u8]) -> Result<Expiry, MalformedExpiry> {
        if !flags.has(RecordFlags::TTL) {
            return Ok(Expiry::NEVER);
        }
        Expiry::find(extensions)
    }

    #[cold]
    fn find(mut extensions: &[u8]) -> Result<Expiry, MalformedExpiry> {
        while let Some((head, rest)) = extensions.split_first_chunk::<8>() {
            let words = usize::from(head[1]) * 8;
            let body = rest.get(..words).ok_or(MalformedExpiry)?;
            if head[0] == ext::EXPIRY {
                let word: [u8; 8] = body.try_into().map_err(|_| MalformedExpiry)?;
                // A stamp within a millisecond: gone once that has passed.
                let stamp = u64::from_le_bytes(word);
                return Ok(Expiry((stamp >> 16) + u64::from(stamp & 0xFFFF > 0)));
            }
            extensions = &rest[words..];
        }
        Err(MalformedExpiry)
    }
}

impl std::fmt::Debug for Expiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ms() {
            Some(ms) => write!(f, "Expiry({ms} ms)"),
            None => f.write_str("Expiry(never)"),
        }
    }
}

/// The record says that it expires and not when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expiry without a time")]
pub struct MalformedExpiry;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TTL: RecordFlags = RecordFlags(RecordFlags::TTL);

    #[test]
    fn extension_has_the_bytes_of_the_format() {
        let bytes = Expiry::at_ms(0x0000_1234_5678_9ABC).encode();
        assert_eq!(
            bytes,
            [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xBC, 0x9A, 0x78, 0x56, 0x34, 0x12]
        );
        assert_eq!(Expiry::of(RecordFlags::default(), &bytes), Ok(Expiry::NEVER));
        assert_eq!(Expiry::of(TTL, &[]), Err(MalformedExpiry));
        // Another extension before it, and one cut off.
        let slot = [ext::SLOT, 0, 7, 0, 0, 0, 0, 0];
        let both = [&slot[..], &bytes].concat();
        assert_eq!(Expiry::of(TTL, &both), Ok(Expiry::at_ms(0x1234_5678_9ABC)));
        assert_eq!(Expiry::of(TTL, &both[..16]), Err(MalformedExpiry));
    }

    #[test]
    fn value_is_gone_from_its_millisecond_on() {
        let check =
            |expiry: Expiry, now, expected| assert_eq!(expiry.is_over(now), expected, "{expiry:?} at {now}");
        check(Expiry::at_ms(1000), 999, false);
        check(Expiry::at_ms(1000), 1000, true);
        check(Expiry::at_ms(0), 0, true);
        check(Expiry::at_ms(u64::MAX), Expiry::MAX_MS - 1, false);
        check(Expiry::NEVER, u64::MAX - 1, false);
    }

    proptest! {
        #[test]
        fn expiries_come_back_and_arbitrary_bytes_do_no_harm(
            ms in 0..=Expiry::MAX_MS, bytes in prop::collection::vec(any::<u8>(), 0..64)
        ) {
            prop_assert_eq!(Expiry::of(TTL, &Expiry::at_ms(ms).encode()), Ok(Expiry::at_ms(ms)));
            let _ = Expiry::of(TTL, &bytes);
        }
    }
}
