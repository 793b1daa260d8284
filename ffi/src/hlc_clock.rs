//! The clock of a node that stamps writes.
//!
//! In: the wall clock, stamps of peers. Out: stamps that never go back, and the mark that keeps it so over a crash. Must never:
//! let a peer whose clock is wrong drag this one along.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::time::{SystemTime, UNIX_EPOCH};

use atoll::versioning::{Hlc, HybridClock, Received, hlc};
use parking_lot::Mutex;

use crate::call::{call, free, fresh, handle, out};
use crate::error::{Failure, atoll_error};
use crate::status::*;

/// For `wall_ms`: the wall clock of this machine.
pub const ATOLL_WALL_NOW: u64 = u64::MAX;

/// A hybrid logical clock (Kulkarni et al. 2014) of one node. Any thread: stamps are given in one order.
pub struct atoll_hlc_clock {
    clock: Mutex<HybridClock>,
}

/// Makes the clock of a node: every stamp it gives is above `mark`, the last one that atoll_hlc_clock_send() told to persist; 0 for a
/// node that has never run.
///
/// A peer's stamp more than `max_skew_ms` ahead of the wall clock is set aside; a mark is due every `reserve_ms`, which must be less. 0
/// and 0 stand for 500 and 200. Free it with atoll_hlc_clock_free(). Any thread. ATOLL_E_INVALID for other bounds.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_hlc_clock_new(
    mark: u64,
    max_skew_ms: u64,
    reserve_ms: u64,
    clock: *mut *mut atoll_hlc_clock,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("clock", clock)? };
        let mut made = HybridClock::reopen(Hlc(mark));
        if (max_skew_ms, reserve_ms) != (0, 0) {
            made = made.with_bounds(max_skew_ms, reserve_ms)?;
        }
        *out = Box::into_raw(Box::new(atoll_hlc_clock {
            clock: Mutex::new(made),
        }));
        Ok(ATOLL_OK)
    })
}

/// Frees a clock; not while a call uses it. NULL is allowed. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_hlc_clock_free(clock: *mut atoll_hlc_clock) {
    // SAFETY: the contract of the header.
    unsafe { free(clock) }
}

/// Milliseconds since 1970.
fn wall(wall_ms: u64) -> u64 {
    if wall_ms != ATOLL_WALL_NOW {
        return wall_ms;
    }
    // A wall clock before 1970 is one that has stopped.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Stamps an event of this node: later than every stamp it has given or observed.
///
/// `wall_ms`: milliseconds since 1970, or ATOLL_WALL_NOW. `*persist` is 0, or a mark that must be durable before the stamp leaves the
/// process. `ahead_ms` may be NULL: by how much the stamp is ahead of the wall clock, 0 in health. Any thread. ATOLL_E_INVALID for
/// milliseconds that need more than 48 bits.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_hlc_clock_send(
    clock: *const atoll_hlc_clock,
    wall_ms: u64,
    stamp: *mut u64,
    persist: *mut u64,
    ahead_ms: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (clock, stamp, persist) = unsafe {
            (
                handle("clock", clock)?,
                out("stamp", stamp)?,
                out("persist", persist)?,
            )
        };
        let tick = clock.clock.lock().send(wall(wall_ms))?;
        *stamp = tick.stamp.0;
        *persist = tick.persist.unwrap_or(Hlc::ZERO).0;
        // SAFETY: the contract of the header.
        if let Some(ahead_ms) = unsafe { ahead_ms.as_mut() } {
            *ahead_ms = tick.ahead_ms;
        }
        Ok(ATOLL_OK)
    })
}

/// Joins the stamp of a peer: every later stamp of this clock is above it.
///
/// ATOLL_CONFLICT if it is further ahead of the wall clock than the bound: the clock is untouched, and what carries the stamp is to be
/// set aside and looked at. `wall_ms`, `*persist` and threads as for atoll_hlc_clock_send().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_hlc_clock_observe(
    clock: *const atoll_hlc_clock,
    wall_ms: u64,
    stamp: u64,
    persist: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (clock, due) = unsafe { (handle("clock", clock)?, out("persist", persist)?) };
        let wall_ms = wall(wall_ms);
        // A wall clock that no stamp can show is a mistake here as well.
        hlc::pack(wall_ms, 0).map_err(Failure::from)?;
        match clock.clock.lock().observe(wall_ms, Hlc(stamp)) {
            Received::Accepted { persist } => {
                *due = persist.unwrap_or(Hlc::ZERO).0;
                Ok(ATOLL_OK)
            }
            Received::Quarantined { .. } => {
                *due = 0;
                Ok(ATOLL_CONFLICT)
            }
        }
    })
}

/// Tells the last stamp given or observed, and the mark that must be durable by now. Either may be NULL. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_hlc_clock_last(
    clock: *const atoll_hlc_clock,
    last: *mut u64,
    mark: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (clock, last, mark) = unsafe { (handle("clock", clock)?, last.as_mut(), mark.as_mut()) };
        let clock = clock.clock.lock();
        if let Some(last) = last {
            *last = clock.last().0;
        }
        if let Some(mark) = mark {
            *mark = clock.mark().0;
        }
        Ok(ATOLL_OK)
    })
}
