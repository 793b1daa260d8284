//! Stored values of the types `vclock` and `hlc`: the engine's byte forms in a varlena.
//!
//! In: datums, text and wire bytes. Out: bytes that the engine has checked, and datums. Must never: store
//! bytes that the engine would not read back.
#![expect(
    unsafe_code,
    reason = "passes varlenas and wire buffers between PostgreSQL and the engine"
)]

use std::ffi::{CStr, CString};

use atoll::routing::HashKind;
use atoll::versioning::VersionError;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{Internal, IntoDatum, PgLogLevel, PgSqlErrorCode, pg_sys};

use crate::convert::{argument, result, server_is_utf8, to_server, to_utf8, varlena_bytes};
use crate::error::raise;

/// Declares an SQL type whose stored form is bytes of the engine.
macro_rules! stored_value {
    ($name:ident, $sql:literal) => {
        #[doc = concat!("A value of type `", $sql, "`, wherever it lies.")]
        #[derive(Clone, Copy)]
        pub(crate) struct $name(pgrx::pg_sys::Datum);

        impl $name {
            /// Puts a new value into the current memory context.
            pub(super) fn new(bytes: &[u8]) -> $name {
                $name(bytes.into_datum().expect("bytes are never NULL"))
            }

            /// The stored bytes; fetched again on each call if they are kept out of line.
            pub(super) fn bytes(&self) -> &[u8] {
                varlena_bytes(&self.0)
            }
        }

        impl pgrx::FromDatum for $name {
            unsafe fn from_polymorphic_datum(
                datum: pgrx::pg_sys::Datum,
                is_null: bool,
                _type: pgrx::pg_sys::Oid,
            ) -> Option<Self> {
                (!is_null).then_some($name(datum))
            }
        }

        // SAFETY: the datum is used within the call whose argument the array is.
        unsafe impl pgrx::datum::UnboxDatum for $name {
            type As<'src> = $name;
            unsafe fn unbox<'src>(datum: pgrx::datum::Datum<'src>) -> $name
            where
                Self: 'src,
            {
                $name(datum.sans_lifetime())
            }
        }

        impl pgrx::IntoDatum for $name {
            fn into_datum(self) -> Option<pgrx::pg_sys::Datum> {
                Some(self.0)
            }

            fn type_oid() -> pgrx::pg_sys::Oid {
                pgrx::pg_sys::InvalidOid
            }
        }

        pgrx::impl_sql_translatable!($name, $sql);
        argument!($name);
        result!($name);
    };
}
stored_value!(VClock, "vclock");
stored_value!(Stamp, "hlc");

/// Reports text that is no value of `type_`, with what is wrong and where as its detail.
pub(super) fn raise_bad_text(type_: &str, text: &str, error: &VersionError) -> ! {
    const SHOWN_CHARACTERS: usize = 100;
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    let detail = match error {
        VersionError::BadText { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {type_}: \"{shown}\""),
        "atoll",
    )
    .set_detail(detail)
    .report(PgLogLevel::ERROR);
    unreachable!("an error report does not return")
}

/// Reports a value that is stored and cannot be read: nothing of this extension writes such.
pub(super) fn raise_damaged(error: &VersionError) -> ! {
    raise(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, error.to_string())
}

/// Takes the rest of a wire message, which a receive function gets.
pub(super) fn wire_bytes(buffer: Internal) -> Vec<u8> {
    let datum = buffer.unwrap().expect("receive functions are strict");
    // SAFETY: PostgreSQL hands a StringInfo to receive functions; the bytes asked for are those left in it.
    unsafe {
        let message = datum.cast_mut_ptr::<pg_sys::StringInfoData>();
        let left = (*message).len - (*message).cursor;
        let bytes = pg_sys::pq_getmsgbytes(message, left);
        std::slice::from_raw_parts(bytes.cast::<u8>(), left as usize).to_vec()
    }
}

/// Wire bytes that the engine refuses.
pub(super) fn raise_bad_wire(error: &VersionError) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_INVALID_BINARY_REPRESENTATION,
        error.to_string(),
    )
}

/// The text that an input function gets, as UTF-8.
pub(super) fn input_text(text: &CStr) -> &str {
    match std::str::from_utf8(to_utf8(text.to_bytes())) {
        Ok(text) => text,
        Err(error) => raise(
            PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
            format!("text is not UTF-8 at byte {}", error.valid_up_to()),
        ),
    }
}

/// The text that an output function gives, in the server's encoding.
pub(super) fn output_text(text: &str) -> CString {
    CString::new(to_server(text.as_bytes())).expect("names hold no NUL")
}

/// Refuses a value whose text could not be shown in the server's encoding: a dump could not hold it.
pub(super) fn check_shown(text: impl FnOnce() -> String) {
    if !server_is_utf8() {
        to_server(text().as_bytes());
    }
}

/// Hash of a stored value. With seed 0 its lower half is the 32-bit hash, as operator classes demand.
pub(super) fn hash(bytes: &[u8], seed: i64) -> i64 {
    let digest = HashKind::Xxh3.digest_seeded(bytes, seed as u64);
    let digest = digest.as_bytes().first_chunk().expect("xxh3 has 8 bytes");
    i64::from_be_bytes(*digest)
}
