//! What one node knew of another's writes.
//!
//! In: node names, clocks as bytes or text. Out: `atoll_vclock`, its order, its bytes and text. Must never: forget an entry.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_void;

use atoll::versioning::{Causality, VectorClock, VersionError};
use parking_lot::Mutex;

use crate::bytes::{atoll_buf, slice};
use crate::call::{call, exclusive, free, handle, out};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::status::*;

/// A vector clock: for each node the number of its writes that are known. One thread at a time.
pub struct atoll_vclock {
    clock: Mutex<VectorClock>,
}

/// The same writes are known to both.
pub const ATOLL_VC_EQUAL: i32 = 0;
/// The first came before the second.
pub const ATOLL_VC_BEFORE: i32 = 1;
/// The first came after the second.
pub const ATOLL_VC_AFTER: i32 = 2;
/// Neither knew of the other.
pub const ATOLL_VC_CONCURRENT: i32 = 3;

impl From<VersionError> for Failure {
    fn from(error: VersionError) -> Failure {
        Failure::invalid(error.to_string())
    }
}

fn order(causality: Causality) -> i32 {
    match causality {
        Causality::Equal => ATOLL_VC_EQUAL,
        Causality::Before => ATOLL_VC_BEFORE,
        Causality::After => ATOLL_VC_AFTER,
        Causality::Concurrent => ATOLL_VC_CONCURRENT,
    }
}

fn hand_over(clock: VectorClock) -> *mut atoll_vclock {
    Box::into_raw(Box::new(atoll_vclock {
        clock: Mutex::new(clock),
    }))
}

/// # Safety
/// The contract of the header for both.
unsafe fn node_name<'a>(node: *const c_void, len: usize) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise.
    let name = unsafe { slice("node", node, len)? };
    std::str::from_utf8(name).map_err(|_| Failure::invalid("the name of a node is not UTF-8"))
}

/// Makes an empty clock. Free it with atoll_vclock_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_vclock_new() -> *mut atoll_vclock {
    guard(std::ptr::null_mut(), || hand_over(VectorClock::new()))
}

/// Makes a clock from its bytes: of atoll_vclock_encode(), of another language, or of SQL. `*clock` is NULL after an error. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_decode(
    data: *const c_void,
    len: usize,
    clock: *mut *mut atoll_vclock,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (data, clock) = unsafe { (slice("data", data, len)?, out("clock", clock)?) };
        *clock = std::ptr::null_mut();
        *clock = hand_over(VectorClock::from_bytes(data)?);
        Ok(ATOLL_OK)
    })
}

/// Makes a clock from text such as {"A":1,"B":3}. `*clock` is NULL after an error. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_from_text(
    text: *const c_void,
    len: usize,
    clock: *mut *mut atoll_vclock,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (text, clock) = unsafe { (slice("text", text, len)?, out("clock", clock)?) };
        *clock = std::ptr::null_mut();
        let text = std::str::from_utf8(text).map_err(|_| Failure::invalid("a vector clock is UTF-8 text"))?;
        *clock = hand_over(text.parse()?);
        Ok(ATOLL_OK)
    })
}

/// Makes a copy of a clock. NULL gives NULL, and so does a clock that another thread uses at the moment.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_clone(clock: *const atoll_vclock) -> *mut atoll_vclock {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the contract of the header.
        let clock = unsafe { clock.as_ref() };
        let copy = clock.and_then(|clock| clock.clock.try_lock().map(|clock| clock.clone()));
        copy.map_or(std::ptr::null_mut(), hand_over)
    })
}

/// Frees a clock. NULL is allowed. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_free(clock: *mut atoll_vclock) {
    // SAFETY: the contract of the header.
    unsafe { free(clock) }
}

/// Counts one more write of a node; `count` may be NULL and gets the new count.
///
/// A name has 1 to 255 bytes of UTF-8 without control characters. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_tick(
    clock: *mut atoll_vclock,
    node: *const c_void,
    node_len: usize,
    count: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (clock, node) = unsafe { (handle("clock", clock)?, node_name(node, node_len)?) };
        let now = exclusive("clock", &clock.clock)?.tick(node)?;
        // SAFETY: the contract of the header.
        if let Some(count) = unsafe { count.as_mut() } {
            *count = now;
        }
        Ok(ATOLL_OK)
    })
}

/// Gives the count of a node, 0 for one that is not there. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_get(
    clock: *const atoll_vclock,
    node: *const c_void,
    node_len: usize,
    count: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (clock, node, count) = unsafe {
            (
                handle("clock", clock)?,
                node_name(node, node_len)?,
                out("count", count)?,
            )
        };
        *count = exclusive("clock", &clock.clock)?.get(node);
        Ok(ATOLL_OK)
    })
}

/// Raises every count of `into` to that of `from`. One thread at a time on both; merging a clock into itself changes nothing.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_merge(
    into: *mut atoll_vclock,
    from: *const atoll_vclock,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (into, from) = unsafe { (handle("into", into)?, handle("from", from)?) };
        if !std::ptr::eq(into, from) {
            let from = exclusive("clock", &from.clock)?;
            exclusive("clock", &into.clock)?.merge(&from);
        }
        Ok(ATOLL_OK)
    })
}

/// Tells how the first clock stands to the second: ATOLL_VC_EQUAL, ATOLL_VC_BEFORE, ATOLL_VC_AFTER or ATOLL_VC_CONCURRENT.
///
/// One thread at a time on both.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_compare(
    a: *const atoll_vclock,
    b: *const atoll_vclock,
    answer: *mut i32,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (a, b, answer) = unsafe { (handle("a", a)?, handle("b", b)?, out("answer", answer)?) };
        *answer = if std::ptr::eq(a, b) {
            ATOLL_VC_EQUAL
        } else {
            let a = exclusive("clock", &a.clock)?;
            order(a.compare(&*exclusive("clock", &b.clock)?))
        };
        Ok(ATOLL_OK)
    })
}

/// As atoll_vclock_compare(), of clocks as bytes, without making handles. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_compare_encoded(
    a: *const c_void,
    a_len: usize,
    b: *const c_void,
    b_len: usize,
    answer: *mut i32,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (a, b, answer) = unsafe {
            (
                slice("a", a, a_len)?,
                slice("b", b, b_len)?,
                out("answer", answer)?,
            )
        };
        *answer = order(VectorClock::compare_encoded(a, b)?);
        Ok(ATOLL_OK)
    })
}

/// Gives the bytes of a clock, which every language and SQL can read. Free `*data` with atoll_buf_free(). One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_encode(
    clock: *const atoll_vclock,
    data: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (clock, data) = unsafe { (handle("clock", clock)?, out("data", data)?) };
        *data = atoll_buf::hand_over(exclusive("clock", &clock.clock)?.to_bytes());
        Ok(ATOLL_OK)
    })
}

/// Gives a clock as text: a JSON object with sorted names and no spaces, {"A":1,"B":3}. Free `*text` with atoll_buf_free(). One thread
/// at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_to_text(
    clock: *const atoll_vclock,
    text: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (clock, text) = unsafe { (handle("clock", clock)?, out("text", text)?) };
        *text = atoll_buf::hand_over(exclusive("clock", &clock.clock)?.to_string().into_bytes());
        Ok(ATOLL_OK)
    })
}
