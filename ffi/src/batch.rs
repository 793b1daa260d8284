//! Many writes as one.
//!
//! In: puts and deletions. Out: `atoll_batch`, applied whole or not at all. Must never: be applied in part, in a crash
//! or for any reader.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_void;

use atoll::store::WriteBatch;
use parking_lot::{Mutex, MutexGuard};

use crate::bytes::{self, Packed};
use crate::call::{call, exclusive, free, handle};
use crate::db::{atoll_db, atoll_write_opts, write};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::status::*;
use crate::write::expires;

/// Writes that take effect together. One thread at a time. Of several operations on a key the last one counts.
pub struct atoll_batch {
    operations: Mutex<WriteBatch>,
}

impl atoll_batch {
    /// The operations, for a call of another module.
    pub(crate) fn operations(&self) -> Result<MutexGuard<'_, WriteBatch>, Failure> {
        exclusive("batch", &self.operations)
    }
}

/// Makes an empty batch. Free it with atoll_batch_free().
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_batch_new() -> *mut atoll_batch {
    guard(std::ptr::null_mut(), || {
        Box::into_raw(Box::new(atoll_batch {
            operations: Mutex::new(WriteBatch::new()),
        }))
    })
}

/// Takes everything out of a batch, so that it can be filled again. NULL is allowed.
///
/// One thread at a time; does nothing while another uses it.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_batch_clear(batch: *mut atoll_batch) {
    guard((), || {
        // SAFETY: the contract of the header.
        let batch = unsafe { batch.as_ref() };
        if let Some(mut operations) = batch.and_then(|batch| batch.operations.try_lock()) {
            operations.clear();
        }
    });
}

/// Frees a batch. NULL is allowed.
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_batch_free(batch: *mut atoll_batch) {
    // SAFETY: the contract of the header.
    unsafe { free(batch) }
}

/// Returns how many keys the batch writes; 0 for NULL. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_batch_len(batch: *const atoll_batch) -> usize {
    guard(0, || {
        // SAFETY: the contract of the header.
        let batch = unsafe { batch.as_ref() };
        batch
            .and_then(|batch| batch.operations.try_lock())
            .map_or(0, |operations| operations.len())
    })
}

/// Adds a put. Key and value are copied.
///
/// `ttl_ms`: the value is gone so many milliseconds after the batch is written, 0: it stays. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_batch_put(
    batch: *mut atoll_batch,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    ttl_ms: u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (batch, key, value) = unsafe {
            (
                handle("batch", batch)?,
                bytes::key(key, key_len)?,
                bytes::value(value, value_len)?,
            )
        };
        exclusive("batch", &batch.operations)?.put_expiring(key, value, expires(ttl_ms, 0)?);
        Ok(ATOLL_OK)
    })
}

/// Adds a deletion. The key is copied. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_batch_delete(
    batch: *mut atoll_batch,
    key: *const c_void,
    key_len: usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (batch, key) = unsafe { (handle("batch", batch)?, bytes::key(key, key_len)?) };
        exclusive("batch", &batch.operations)?.delete(key);
        Ok(ATOLL_OK)
    })
}

/// Adds `n` puts at once: key i with value i, each laid end to end as for atoll_multi_get(). Everything is copied.
///
/// One thread at a time. Adds all of them or none.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_batch_put_packed(
    batch: *mut atoll_batch,
    keys: *const u8,
    key_offsets: *const u32,
    values: *const u8,
    value_offsets: *const u32,
    n: usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (batch, keys, values) = unsafe {
            (
                handle("batch", batch)?,
                Packed::new(keys, key_offsets, n)?,
                Packed::new(values, value_offsets, n)?,
            )
        };
        debug_assert_eq!(keys.len(), values.len());
        for (key, value) in keys.iter().zip(values.iter()) {
            bytes::check_lengths(key, value)?;
        }
        let mut operations = exclusive("batch", &batch.operations)?;
        for (key, value) in keys.iter().zip(values.iter()) {
            operations.put(key, value);
        }
        Ok(ATOLL_OK)
    })
}

/// Applies a batch: all of it or nothing, also after a crash and for every reader. The batch stays as it is.
///
/// `lsn` may be NULL; it is set to the position after the batch, 0 for an empty one, which does nothing. The options' times of
/// expiry must be 0: each put has its own. Otherwise as atoll_put().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_write(
    db: *mut atoll_db,
    options: *const atoll_write_opts,
    batch: *const atoll_batch,
    lsn: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(db, options, err, |store, options| {
            options.stays("a batch")?;
            let durability = options.durability()?;
            let batch = handle("batch", batch)?;
            let operations = exclusive("batch", &batch.operations)?;
            let end = if operations.is_empty() {
                0
            } else {
                store.write(&operations, durability)?.end.0
            };
            if let Some(lsn) = lsn.as_mut() {
                *lsn = end;
            }
            Ok(ATOLL_OK)
        })
    }
}
