//! Keys of SQL types as the bytes that are hashed, stored and compared.
//!
//! In: an argument and a key encoding. Out: the engine's bytes of that key, without an allocation where
//! the encoding needs none. Must never: hash text that a collation holds equal to other bytes.

use std::cell::Cell;

pub(crate) use atoll::routing::KeyEncoding as Encoding;
use atoll::routing::{KeyRef, encode_key, int_bytes};
use pgrx::{PgSqlErrorCode, Uuid, pg_sys};

use crate::convert::{Bytes, Text};
use crate::error::raise_with_hint;

/// A key as an SQL function gets it.
pub(crate) trait Key: Copy {
    /// Refuses keys whose equality is not that of their bytes.
    fn check(&self, _collation: pg_sys::Oid) {}

    /// Calls `with` with the bytes of the key.
    fn encoded<R>(&self, encoding: Encoding, with: impl FnOnce(&[u8]) -> R) -> R;
}

impl Key for Bytes<'_> {
    #[inline]
    fn encoded<R>(&self, _encoding: Encoding, with: impl FnOnce(&[u8]) -> R) -> R {
        with(self.0)
    }
}

impl Key for Text<'_> {
    #[inline]
    fn check(&self, collation: pg_sys::Oid) {
        check_collation(collation);
    }

    #[inline]
    fn encoded<R>(&self, _encoding: Encoding, with: impl FnOnce(&[u8]) -> R) -> R {
        with(self.0)
    }
}

impl Key for Uuid {
    #[inline]
    fn encoded<R>(&self, _encoding: Encoding, with: impl FnOnce(&[u8]) -> R) -> R {
        with(self.as_bytes())
    }
}

impl Key for i64 {
    #[inline]
    fn encoded<R>(&self, encoding: Encoding, with: impl FnOnce(&[u8]) -> R) -> R {
        match encoding {
            Encoding::Binary => with(&int_bytes(*self)),
            Encoding::Decimal => with(&encode_key(&KeyRef::Int(*self), encoding)),
        }
    }
}

/// Integers of all widths are one kind of key: 42 is at the same place whatever its type.
macro_rules! narrow {
    ($($type:ty),*) => {$(
        impl Key for $type {
            #[inline]
            fn encoded<R>(&self, encoding: Encoding, with: impl FnOnce(&[u8]) -> R) -> R {
                i64::from(*self).encoded(encoding, with)
            }
        }
    )*};
}
narrow!(i16, i32);

/// Reads the name of an encoding.
pub(crate) fn encoding(name: &Text<'_>) -> Encoding {
    match name.as_str().parse() {
        Ok(encoding) => encoding,
        Err(error) => crate::error::raise_routing(&error),
    }
}

/// Refuses nondeterministic collations: under them different bytes can be equal, and would be sent to
/// different places.
fn check_collation(collation: pg_sys::Oid) {
    thread_local! {
        /// The collation that was looked up last and found deterministic.
        static CHECKED: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
    }
    // PostgreSQL accepts only deterministic collations as a database's default.
    if collation == pg_sys::DEFAULT_COLLATION_OID
        || collation == CHECKED.get() && collation != pg_sys::InvalidOid
    {
        return;
    }
    if collation == pg_sys::InvalidOid {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_INDETERMINATE_COLLATION,
            "could not determine which collation to use for hashing a text key",
            "Use the COLLATE clause to set the collation explicitly.",
        );
    }
    if !is_deterministic(collation) {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "a key with a nondeterministic collation cannot be hashed: strings that it holds equal have different bytes",
            "Use a deterministic collation for the key, such as COLLATE \"C\".",
        );
    }
    CHECKED.set(collation);
}

#[expect(unsafe_code, reason = "asks the system catalogue")]
fn is_deterministic(collation: pg_sys::Oid) -> bool {
    // SAFETY: runs on the backend's own thread inside a transaction, as every SQL function does.
    unsafe { pg_sys::get_collation_isdeterministic(collation) }
}
