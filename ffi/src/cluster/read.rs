//! Reads of a cluster: one key, many keys, ranges, counts.
//!
//! In: keys or ranges, how fresh the answer must be, perhaps a session. Out: views, copies and scans. Must never: answer
//! with less than was asked for, or forget to tell the session what it has seen.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use std::ffi::c_void;

use atoll::cluster::Answer;

use super::atoll_cluster;
use super::options::{Reading, atoll_cluster_read_opts};
use crate::bytes::{self, Packed, array_mut, atoll_bytes};
use crate::call::{call, fresh, handle, out, versioned};
use crate::error::{Failure, atoll_error};
use crate::read::{Filling, atoll_pin};
use crate::scan::{Range, atoll_iter, atoll_range};
use crate::status::*;

/// Reads the value of a key, as fresh as asked: `*value` is a view that `pin` holds, until the pin is used for another read, reset or
/// freed.
///
/// ATOLL_NOT_FOUND for a key without a value. ATOLL_E_UNAVAILABLE if no replica can answer, ATOLL_E_WRITE_LOST if what the token or the
/// session speaks of went with its primary. Any thread, each with a pin of its own; may wait for replicas.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_get(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_read_opts,
    key: *const c_void,
    key_len: usize,
    pin: *mut atoll_pin,
    value: *mut atoll_bytes,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (cluster, options, key, pin, value) = unsafe {
            (
                handle("cluster", cluster)?,
                versioned(options)?.reading()?,
                bytes::key(key, key_len)?,
                out("pin", pin)?,
                out("value", value)?,
            )
        };
        Ok(match get(cluster, key, &options)? {
            Some(answer) => {
                *value = pin.hold(answer.value);
                ATOLL_OK
            }
            None => {
                pin.let_go();
                ATOLL_NOT_FOUND
            }
        })
    })
}

/// Reads the value of a key into a buffer of `capacity` bytes, as fresh as asked.
///
/// `*len` is set to the length of the value, also with ATOLL_BUFFER_TOO_SMALL, when nothing is copied. `buffer` may be NULL
/// if `capacity` is 0. Otherwise as atoll_cluster_get(). Any thread; may wait for replicas.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_get_into(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_read_opts,
    key: *const c_void,
    key_len: usize,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (cluster, options, key, buffer, len) = unsafe {
            (
                handle("cluster", cluster)?,
                versioned(options)?.reading()?,
                bytes::key(key, key_len)?,
                array_mut("buffer", buffer.cast::<u8>(), capacity)?,
                out("len", len)?,
            )
        };
        let Some(answer) = get(cluster, key, &options)? else {
            return Ok(ATOLL_NOT_FOUND);
        };
        *len = answer.value.len();
        Ok(match buffer.get_mut(..answer.value.len()) {
            Some(room) => {
                room.copy_from_slice(&answer.value);
                ATOLL_OK
            }
            None => ATOLL_BUFFER_TOO_SMALL,
        })
    })
}

/// Reads many keys at once into one buffer, as fresh as asked: atoll_multi_get() for a cluster.
///
/// The keys of a shard are read together from one copy; there is no common moment for several shards. Layout, ATOLL_BUFFER_TOO_SMALL
/// and `*needed` as for atoll_multi_get(), errors as for atoll_cluster_get(): one of them fails the call. Any thread; may wait for
/// replicas.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_multi_get(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_read_opts,
    keys: *const u8,
    key_offsets: *const u32,
    n: usize,
    values: *mut u8,
    capacity: usize,
    value_offsets: *mut u64,
    found: *mut u8,
    needed: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (cluster, options, keys, mut filling, needed) = unsafe {
            (
                handle("cluster", cluster)?,
                versioned(options)?.reading()?,
                Packed::new(keys, key_offsets, n)?,
                Filling::new(n, values, capacity, value_offsets, found)?,
                out("needed", needed)?,
            )
        };
        let cluster = cluster.get()?;
        let keys: Vec<&[u8]> = keys.iter().collect();
        let answers = match options.session {
            None => cluster.multi_get(&keys, &options.options)?,
            Some(session) => session.multi_get(&cluster, &keys, &options.options)?,
        };
        for (i, answer) in answers.iter().enumerate() {
            filling.add(i, answer.as_ref().map(|answer| &*answer.value));
        }
        Ok(filling.finish(needed))
    })
}

fn get(cluster: &atoll_cluster, key: &[u8], reading: &Reading<'_>) -> Result<Option<Answer>, Failure> {
    let cluster = cluster.get()?;
    Ok(match reading.session {
        None => cluster.get(key, &reading.options)?,
        Some(session) => session.get_at(&cluster, key, &reading.options)?,
    })
}

/// Begins a scan of a range over all shards, in byte order. Free it with atoll_iter_free().
///
/// `range` may be NULL; ATOLL_RANGE_REVERSE is ATOLL_E_UNSUPPORTED. The scan keeps what it reads; it may outlive the cluster. Any
/// thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_scan(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_read_opts,
    range: *const atoll_range,
    iter: *mut *mut atoll_iter,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("iter", iter)? };
        // SAFETY: the contract of the header.
        let (cluster, options, range) = unsafe {
            (
                handle("cluster", cluster)?,
                versioned(options)?.reading()?,
                Range::read(range)?,
            )
        };
        if range.options.reverse {
            return Err(Failure::new(
                ATOLL_E_UNSUPPORTED,
                "clusters are scanned forward only",
            ));
        }
        let (lo, hi) = range.bounds();
        let cluster = cluster.get()?;
        let scan = match options.session {
            None => cluster.scan(lo, hi, &options.options)?,
            Some(session) => session.scan(&cluster, lo, hi, &options.options)?,
        };
        let limit = range
            .options
            .limit
            .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let entries = scan
            .take(limit)
            .map(|entry| Ok(entry.map(|entry| (entry.key, entry.value.to_vec()))?));
        *out = atoll_iter::of(Box::new(entries));
        Ok(ATOLL_OK)
    })
}

/// Counts the keys of a cluster by looking at all of them. Any thread; takes as long as a scan.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_count(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_read_opts,
    count: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (cluster, options, count) = unsafe {
            (
                handle("cluster", cluster)?,
                versioned(options)?.reading()?,
                out("count", count)?,
            )
        };
        let cluster = cluster.get()?;
        *count = match options.session {
            None => cluster.count(&options.options)?,
            Some(session) => session.count(&cluster, &options.options)?,
        };
        Ok(ATOLL_OK)
    })
}
