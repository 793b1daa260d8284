//! Bulk loads of sorted pairs into a store.
//!
//! In: pairs whose keys ascend. Out: `atoll_load`, whose pairs become part of the store all at once. Must never: show a pair before the load is
//! finished, or be finished twice.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_void;

use atoll::store::BulkLoad;
use parking_lot::Mutex;

use crate::bytes;
use crate::call::{call, exclusive, free, fresh, handle};
use crate::db::atoll_db;
use crate::error::{Failure, atoll_error};
use crate::status::*;
use crate::write::expires;

/// Pairs on their way into a store, past its log: several times as fast as writes. One thread at a time.
///
/// Nobody sees them before atoll_load_finish(), and everybody does afterwards. Followers of the log do not get them: they are told
/// ATOLL_E_TOO_OLD there.
pub struct atoll_load {
    /// None once it has been finished.
    load: Mutex<Option<BulkLoad>>,
}

/// Begins a bulk load into a store. Others read and write meanwhile. Free it with atoll_load_free(), which gives up one that was not finished.
///
/// `*load` is NULL after an error. Any thread. ATOLL_E_NOT_PRIMARY for a replica, ATOLL_E_UNSUPPORTED for a store opened for reading.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_load_begin(
    db: *mut atoll_db,
    load: *mut *mut atoll_load,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("load", load)? };
        // SAFETY: the contract of the header.
        let begun = unsafe { handle("db", db)? }.engine()?.writer()?.bulk_load()?;
        *out = Box::into_raw(Box::new(atoll_load {
            load: Mutex::new(Some(begun)),
        }));
        Ok(ATOLL_OK)
    })
}

fn finished() -> Failure {
    Failure::closed("load")
}

/// Adds a pair, whose key must be greater than every one before it; `ttl_ms` 0: the value stays.
///
/// ATOLL_E_INVALID for a key that is not, or that is too long; ATOLL_E_DISK_FULL: the load can then only be freed. ATOLL_E_CLOSED once it has
/// been finished. One thread at a time; writes files.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_load_put(
    load: *mut atoll_load,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    ttl_ms: u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (load, key, value) = unsafe {
            (
                handle("load", load)?,
                bytes::key(key, key_len)?,
                bytes::value(value, value_len)?,
            )
        };
        let mut load = exclusive("load", &load.load)?;
        let pairs = load.as_mut().ok_or_else(finished)?;
        pairs.put_expiring(key, value, expires(ttl_ms, 0)?)?;
        Ok(ATOLL_OK)
    })
}

/// Makes the pairs visible and durable, all of them at once or, after an error, none. They replace what the keys have by then.
///
/// `keys` may be NULL; otherwise it gets their number. ATOLL_E_INVALID for a load into another store, or one of which a pair was refused;
/// ATOLL_E_CLOSED once it has been finished. One thread at a time for the load, any for the store; writers wait while its keys are entered.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_load_finish(
    db: *mut atoll_db,
    load: *mut atoll_load,
    keys: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (db, load) = unsafe { (handle("db", db)?, handle("load", load)?) };
        let engine = db.engine()?;
        let store = engine.writer()?;
        let mut load = exclusive("load", &load.load)?;
        let is_of_it = load.as_ref().ok_or_else(finished)?.store_id() == store.store_id();
        if !is_of_it {
            return Err(Failure::invalid("the load was begun for another store"));
        }
        let pairs = load.take().ok_or_else(finished)?;
        let loaded = store.finish_bulk_load(pairs)?;
        // SAFETY: the contract of the header.
        if let Some(keys) = unsafe { keys.as_mut() } {
            *keys = loaded.keys;
        }
        Ok(ATOLL_OK)
    })
}

/// Frees a load; what was not finished is gone. NULL is allowed. Any thread, once no other call on it is under way.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_load_free(load: *mut atoll_load) {
    // SAFETY: the contract of the header.
    unsafe { free(load) }
}
