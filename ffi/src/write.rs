//! Writes of one key.
//!
//! In: a key, a value, how durable it must be and how long it stays. Out: a status. Must never: answer ATOLL_OK for a
//! write that is not as durable as was asked.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use std::ffi::c_void;
use std::time::Duration;

use atoll::ids::{Hlc, Lsn};
use atoll::store::{CompareAndSet, Durability, Expected, Expires};

use crate::bytes::{self, atoll_bytes};
use crate::call::out;
use crate::db::{ATOLL_DURABILITY_BUFFERED, ATOLL_DURABILITY_SYNCED, atoll_db, atoll_write_opts, write};
use crate::error::{Failure, atoll_error};
use crate::scan::{Range, atoll_range};
use crate::status::*;

impl atoll_write_opts {
    pub(crate) fn durability(&self) -> Result<Durability, Failure> {
        if self.flags != 0 {
            return Err(Failure::new(
                ATOLL_E_UNSUPPORTED,
                format!(
                    "atoll_write_opts.flags {:#x} are not known to this library",
                    self.flags
                ),
            ));
        }
        match self.durability {
            ATOLL_DURABILITY_BUFFERED => Ok(Durability::Buffered),
            ATOLL_DURABILITY_SYNCED => Ok(Durability::Synced),
            other => Err(Failure::invalid(format!(
                "durability {other} is none that a store has: it is ATOLL_DURABILITY_BUFFERED or ATOLL_DURABILITY_SYNCED"
            ))),
        }
    }

    pub(crate) fn expires(&self) -> Result<Expires, Failure> {
        expires(self.ttl_ms, self.expires_at_ms)
    }

    /// Refuses a time of expiry where there is no one value that could have it.
    pub(crate) fn stays(&self, what: &str) -> Result<(), Failure> {
        if self.ttl_ms == 0 && self.expires_at_ms == 0 {
            return Ok(());
        }
        Err(Failure::invalid(format!(
            "{what} takes neither ttl_ms nor expires_at_ms"
        )))
    }
}

/// When a value is gone: 0 for "not by this".
pub(crate) fn expires(ttl_ms: u64, expires_at_ms: u64) -> Result<Expires, Failure> {
    match (ttl_ms, expires_at_ms) {
        (0, 0) => Ok(Expires::Never),
        (ttl, 0) => Ok(Expires::After(Duration::from_millis(ttl))),
        (0, at) => Ok(Expires::AtMs(at)),
        _ => Err(Failure::invalid("give ttl_ms or expires_at_ms, not both")),
    }
}

/// Gives a key a value, empty ones included. Other threads see it when the call returns.
///
/// `options` may be NULL. ATOLL_E_DISK_FULL, ATOLL_E_INVALID (a key over 64 KiB, a value that no record can hold): nothing was
/// written. Any thread; waits for the device if it is to be synced, and for others who write the same key.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_put(
    db: *mut atoll_db,
    options: *const atoll_write_opts,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(db, options, err, |store, options| {
            let (key, value) = (bytes::key(key, key_len)?, bytes::value(value, value_len)?);
            match options.expires()? {
                Expires::Never => store.put(key, value, options.durability()?)?,
                expires => store.put_expiring(key, value, expires, options.durability()?)?,
            };
            Ok(ATOLL_OK)
        })
    }
}

/// Takes the value of a key away; a key without one is no error.
///
/// Otherwise as atoll_put().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_delete(
    db: *mut atoll_db,
    options: *const atoll_write_opts,
    key: *const c_void,
    key_len: usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(db, options, err, |store, options| {
            options.stays("a deletion")?;
            store.delete(bytes::key(key, key_len)?, options.durability()?)?;
            Ok(ATOLL_OK)
        })
    }
}

/// Takes away the values of all keys in a range, and tells how many there were.
///
/// Not one step: the keys go in batches of about a thousand, all as durable as asked when the call returns. What is written into the
/// range meanwhile may stay or go. After an error some may have gone: call it again. The limit and flags of `range` but
/// ATOLL_RANGE_PREFIX must be 0; it may be NULL for all keys. Otherwise as atoll_delete(). Any thread; takes as long as a scan of the
/// range and its deletions.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_delete_range(
    db: *mut atoll_db,
    options: *const atoll_write_opts,
    range: *const atoll_range,
    deleted: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(db, options, err, |store, options| {
            options.stays("a deletion")?;
            let deleted = out("deleted", deleted)?;
            let range = Range::read(range)?.whole("a deletion")?;
            let (lo, hi) = range.bounds();
            *deleted = store.delete_range(lo, hi, options.durability()?, &mut |_| {})?.0;
            Ok(ATOLL_OK)
        })
    }
}

/// The key must have no value.
pub const ATOLL_EXPECT_ABSENT: u32 = 0;
/// The key must have exactly the value `value`.
pub const ATOLL_EXPECT_VALUE: u32 = 1;
/// The key must have the version that `lsn` and `hlc` name, as atoll_pin_version() gave them.
pub const ATOLL_EXPECT_VERSION: u32 = 2;

/// What a conditional write expects to find.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_expected {
    /// ATOLL_EXPECT_ABSENT, ATOLL_EXPECT_VALUE or ATOLL_EXPECT_VERSION.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// For ATOLL_EXPECT_VALUE.
    pub value: atoll_bytes,
    /// For ATOLL_EXPECT_VERSION.
    pub lsn: u64,
    /// For ATOLL_EXPECT_VERSION.
    pub hlc: u64,
}

/// Gives a key a value, or takes it away, if the key is as expected; in one step that no other write comes between.
///
/// `value` points to the new value; NULL deletes the key. ATOLL_CONFLICT if the key was not as expected: nothing was written.
/// Otherwise as atoll_put().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_compare_and_set(
    db: *mut atoll_db,
    options: *const atoll_write_opts,
    key: *const c_void,
    key_len: usize,
    expected: *const atoll_expected,
    value: *const atoll_bytes,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(db, options, err, |store, options| {
            let key = bytes::key(key, key_len)?;
            let wanted = crate::call::handle("expected", expected)?;
            let expected = match wanted.kind {
                ATOLL_EXPECT_ABSENT => Expected::Absent,
                ATOLL_EXPECT_VALUE => {
                    Expected::Value(bytes::value(wanted.value.data.cast(), wanted.value.len)?)
                }
                ATOLL_EXPECT_VERSION => Expected::Version {
                    lsn: Lsn(wanted.lsn),
                    hlc: Hlc(wanted.hlc),
                },
                other => return Err(Failure::invalid(format!("expected.kind {other} does not exist"))),
            };
            let value = match value.as_ref() {
                Some(value) => Some(bytes::value(value.data.cast(), value.len)?),
                None => None,
            };
            if value.is_none() {
                options.stays("a deletion")?;
            }
            let (expires, durability) = (options.expires()?, options.durability()?);
            let outcome = store.compare_and_set_expiring(key, expected, value, expires, durability)?;
            Ok(match outcome {
                CompareAndSet::Written(_) => ATOLL_OK,
                CompareAndSet::Conflict(_) => ATOLL_CONFLICT,
            })
        })
    }
}
