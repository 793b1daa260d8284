//! Writes to a cluster: puts, deletions, batches, ranges.
//!
//! In: keys, values, how safe they must be. Out: tokens that prove a write to later reads. Must never: acknowledge a write
//! before it is as safe as asked, or forget to tell the session of one that was acknowledged.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use std::ffi::c_void;

use atoll::cluster::{Cluster, Token, WriteDurability};
use atoll::store::Expires;

use super::atoll_cluster;
use super::options::atoll_cluster_write_opts;
use crate::batch::atoll_batch;
use crate::bytes::{self, atoll_buf};
use crate::call::{Outcome, call_poisoning, handle, out, versioned};
use crate::error::{Failure, atoll_error};
use crate::scan::{Range, atoll_range};
use crate::status::*;
use crate::write::expires;

/// Refuses a time of expiry where there is no one value that could have it.
fn stays(what: &str, expires: Expires) -> Result<(), Failure> {
    if matches!(expires, Expires::Never) {
        return Ok(());
    }
    Err(Failure::invalid(format!("{what} takes no ttl_ms")))
}

/// Runs a write, and hands over its token where one is wanted.
///
/// # Safety
/// The contract of the header.
unsafe fn write(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_write_opts,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
    body: impl FnOnce(&Cluster, WriteDurability, Expires) -> Result<Token, Failure>,
) -> atoll_status {
    // SAFETY: the caller's promise.
    if let Some(token) = unsafe { token.as_mut() } {
        *token = std::ptr::null_mut();
    }
    // SAFETY: the caller's promise.
    let Some(cluster) = (unsafe { cluster.as_ref() }) else {
        return Failure::invalid("cluster is NULL").hand_over(err);
    };
    call_poisoning(&cluster.poisoned, err, || -> Outcome {
        // SAFETY: the caller's promise.
        let options = unsafe { versioned(options)? };
        let cluster = cluster.get()?;
        // SAFETY: the caller's promise.
        let session = unsafe { options.session.as_ref() };
        if let Some(session) = session {
            session.session.check_of(&cluster)?;
        }
        let written = body(&cluster, options.durability()?, expires(options.ttl_ms, 0)?)?;
        if let Some(session) = session {
            session.session.see(&written)?;
        }
        // SAFETY: the caller's promise.
        if let Some(token) = unsafe { token.as_mut() } {
            *token = atoll_buf::hand_over(written.to_bytes());
        }
        Ok(ATOLL_OK)
    })
}

/// Gives a key a value on its shard, as safely as asked.
///
/// `token` may be NULL; otherwise it gets bytes that prove the write to later reads, in this or any other program and language, to be
/// freed with atoll_buf_free(). ATOLL_E_UNAVAILABLE: nothing was written. ATOLL_E_INDETERMINATE: it may have been. Any thread; waits
/// for devices and replicas.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_put(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_write_opts,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(cluster, options, token, err, |cluster, durability, expires| {
            let (key, value) = (bytes::key(key, key_len)?, bytes::value(value, value_len)?);
            Ok(match expires {
                Expires::Never => cluster.put(key, value, durability)?,
                expires => cluster.put_expiring(key, value, expires, durability)?,
            })
        })
    }
}

/// Takes the value of a key away; a key without one is no error. The options' ttl_ms must be 0. Otherwise as atoll_cluster_put().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_delete(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_write_opts,
    key: *const c_void,
    key_len: usize,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(cluster, options, token, err, |cluster, durability, expires| {
            stays("a deletion", expires)?;
            Ok(cluster.delete(bytes::key(key, key_len)?, durability)?)
        })
    }
}

/// Applies a batch whole or not at all. Its keys must be of one slot: ATOLL_E_CROSS_SLOT otherwise. An empty one is ATOLL_E_INVALID.
///
/// The options' ttl_ms must be 0: each put of the batch has its own. Otherwise as atoll_cluster_put().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_write(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_write_opts,
    batch: *const atoll_batch,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(cluster, options, token, err, |cluster, durability, expires| {
            stays("a batch", expires)?;
            let operations = handle("batch", batch)?.operations()?;
            if operations.is_empty() {
                return Err(Failure::invalid("an empty batch has no place in a cluster"));
            }
            Ok(cluster.write(&operations, durability)?)
        })
    }
}

/// Takes away the values of all keys in a range, and tells how many there were.
///
/// Not one step: the keys go in groups, each as safe as asked before the next. What is written into the range meanwhile may
/// stay or go. After an error some may have gone: call it again. The options' ttl_ms, and the limit and flags of `range` but
/// ATOLL_RANGE_PREFIX, must be 0; `range` may be NULL for all keys. `token` as for atoll_cluster_put(). Any thread; takes as long
/// as a scan of the range and its deletions.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_delete_range(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_write_opts,
    range: *const atoll_range,
    deleted: *mut u64,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(cluster, options, token, err, |cluster, durability, expires| {
            stays("a deletion", expires)?;
            let deleted = out("deleted", deleted)?;
            let range = Range::read(range)?.whole("a deletion")?;
            let (lo, hi) = range.bounds();
            let (count, token) = cluster.delete_range(lo, hi, durability, &mut |_| {})?;
            *deleted = count;
            Ok(token)
        })
    }
}
