//! Changes of the members of a cluster, its compaction, and what has happened to it.
//!
//! In: a change as JSON, a function that wants to know how far it is. Out: what would move, what has moved, events, as JSON. Must never:
//! move anything for a question.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use std::ffi::c_void;

use atoll::cluster::{Change, CompactOptions};

use super::atoll_cluster;
use crate::bytes::{atoll_buf, form};
use crate::call::{call, fresh, handle};
use crate::error::{Failure, atoll_error};
use crate::maintenance::{atoll_progress_fn, report, teller};
use crate::status::*;

/// The change that these bytes describe, as plans show it.
pub(crate) fn change_of(json: &[u8]) -> Result<Change, Failure> {
    serde_json::from_slice(json).map_err(|error| Failure::invalid(format!("change is none in JSON: {error}")))
}

/// Tells what a change of members would move, with the keys and bytes that are there now, as JSON. Moves nothing.
///
/// The change is JSON as for atoll_router_plan(); also several in one plan, {"together":[...]}, and "level", by which who holds too much
/// gives to who holds too little. Free `*json` with atoll_buf_free(). ATOLL_E_INVALID for a change that does not fit. Any thread;
/// reads every key.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_plan(
    cluster: *mut atoll_cluster,
    change: *const c_void,
    change_len: usize,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let (cluster, change) = unsafe { (handle("cluster", cluster)?, form("change", change, change_len)?) };
        report(json, &cluster.get()?.plan(&change_of(change)?)?)?;
        Ok(ATOLL_OK)
    })
}

/// Carries out a change of members: moves what atoll_cluster_plan() says, slot by slot, while reads and writes go on.
///
/// `progress` may be NULL; it is told bytes, and must not write to this cluster: writes to a slot that is being handed over wait until it has
/// returned. `*json` gets what was moved; free it with atoll_buf_free(). After an error or the end of the process every key is where the
/// router says: go on with atoll_cluster_rebalance_resume(). ATOLL_E_INVALID for a change that does not fit, and while one is under way.
/// Any thread; takes as long as copying takes.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_rebalance(
    cluster: *mut atoll_cluster,
    change: *const c_void,
    change_len: usize,
    progress: atoll_progress_fn,
    ctx: *mut c_void,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let (cluster, change) = unsafe { (handle("cluster", cluster)?, form("change", change, change_len)?) };
        let mut tell = teller(progress, ctx);
        let done = cluster.get()?.rebalance(&change_of(change)?, &mut |at| {
            tell(at.bytes_done, at.bytes_total.max(at.bytes_done));
        })?;
        report(json, &done)?;
        Ok(ATOLL_OK)
    })
}

/// Goes on with a change of members that was interrupted. ATOLL_NOT_FOUND if there is none, `*json` is NULL then. Otherwise as
/// atoll_cluster_rebalance().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_rebalance_resume(
    cluster: *mut atoll_cluster,
    progress: atoll_progress_fn,
    ctx: *mut c_void,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let cluster = unsafe { handle("cluster", cluster)? };
        let mut tell = teller(progress, ctx);
        let done = cluster.get()?.resume_rebalance(&mut |at| {
            tell(at.bytes_done, at.bytes_total.max(at.bytes_done));
        })?;
        let Some(done) = done else {
            return Ok(ATOLL_NOT_FOUND);
        };
        report(json, &done)?;
        Ok(ATOLL_OK)
    })
}

/// Compacts what is committed on every copy in service, one after the other: atoll_compact() for a cluster. `*json` gets what was done on
/// each; free it with atoll_buf_free(). Any thread; reads and writes go on.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_compact(
    cluster: *mut atoll_cluster,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let cluster = unsafe { handle("cluster", cluster)? };
        let done = cluster
            .get()?
            .compact(&CompactOptions::default(), &mut |_, _, _| {})?;
        report(json, &done)?;
        Ok(ATOLL_OK)
    })
}

/// Gives what has happened since the cluster was opened, oldest first, as a JSON array: recoveries, copies that failed and came back,
/// failovers. The latest 5,000 at least. Free `*json` with atoll_buf_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_events_json(
    cluster: *mut atoll_cluster,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let cluster = unsafe { handle("cluster", cluster)? };
        report(json, &cluster.get()?.events())?;
        Ok(ATOLL_OK)
    })
}
