//! What one node knew of another's writes.
//!
//! In: node names, clocks as bytes or text. Out: `atoll_vclock`, its order, its bytes and text. Must never:
//! forget an entry.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_void;

use atoll::versioning::{Causality, VectorClock};
use parking_lot::Mutex;

use crate::bytes::{Packed, array, atoll_buf, atoll_bytes, copy_out, form, utf8};
use crate::call::{call, exclusive, free, fresh, handle, out};
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

pub(crate) fn order(causality: Causality) -> i32 {
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
    unsafe { utf8("node", node, len) }
}

/// Makes an empty clock. Free it with atoll_vclock_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_vclock_new() -> *mut atoll_vclock {
    guard(std::ptr::null_mut(), || hand_over(VectorClock::new()))
}

/// Makes a clock from its bytes: of atoll_vclock_encode(), of another language, or of SQL. `*clock` is NULL
/// after an error. Any thread.
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
        let clock = unsafe { fresh("clock", clock)? };
        // SAFETY: the contract of the header.
        let data = unsafe { form("data", data, len)? };
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
        let clock = unsafe { fresh("clock", clock)? };
        // SAFETY: the contract of the header.
        let text = unsafe { utf8("text", text, len)? };
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

/// Raises every count of `into` to that of `from`. One thread at a time on both; merging a clock into itself
/// changes nothing.
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

/// Tells how the first clock stands to the second: ATOLL_VC_EQUAL, ATOLL_VC_BEFORE, ATOLL_VC_AFTER or
/// ATOLL_VC_CONCURRENT.
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
        let (a, b, answer) = unsafe { (form("a", a, a_len)?, form("b", b, b_len)?, out("answer", answer)?) };
        *answer = order(VectorClock::compare_encoded(a, b)?);
        Ok(ATOLL_OK)
    })
}

/// Gives the bytes of a clock, which every language and SQL can read. Free `*data` with atoll_buf_free(). One
/// thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_encode(
    clock: *const atoll_vclock,
    data: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let data = unsafe { fresh("data", data)? };
        // SAFETY: the contract of the header.
        let clock = unsafe { handle("clock", clock)? };
        *data = atoll_buf::hand_over(exclusive("clock", &clock.clock)?.to_bytes());
        Ok(ATOLL_OK)
    })
}

/// Gives a clock as text: a JSON object with sorted names and no spaces, {"A":1,"B":3}. Free `*text` with
/// atoll_buf_free(). One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_to_text(
    clock: *const atoll_vclock,
    text: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let text = unsafe { fresh("text", text)? };
        // SAFETY: the contract of the header.
        let clock = unsafe { handle("clock", clock)? };
        *text = atoll_buf::hand_over(exclusive("clock", &clock.clock)?.to_string().into_bytes());
        Ok(ATOLL_OK)
    })
}

/// Makes a clock of `n` packed names and their counters, in any order: name i is
/// names[name_offsets[i]..name_offsets[i + 1]]. A counter of 0 is the same as absence.
///
/// `*clock` is NULL after an error; free it with atoll_vclock_free(). Any thread. ATOLL_E_INVALID for a name
/// that is empty, longer than 255 bytes, no UTF-8, has control characters, or is given twice.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_from_entries(
    names: *const u8,
    name_offsets: *const u32,
    counters: *const u64,
    n: usize,
    clock: *mut *mut atoll_vclock,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("clock", clock)? };
        // SAFETY: the contract of the header.
        let (names, counters) = unsafe {
            (
                Packed::new(names, name_offsets, n)?,
                array("counters", counters, n)?,
            )
        };
        let name = |name| std::str::from_utf8(name).map_err(|_| Failure::invalid("a name is not UTF-8"));
        let names: Vec<&str> = names.iter().map(name).collect::<Result<_, _>>()?;
        let entries = names.into_iter().zip(counters.iter().copied());
        *out = hand_over(VectorClock::from_entries(entries)?);
        Ok(ATOLL_OK)
    })
}

/// Tells entry number `i` of a clock: entries ascend by the bytes of the names, and no counter is 0. `*node`
/// is a view that is valid until the clock is changed or freed.
///
/// `node` and `counter` may be NULL. One thread at a time. ATOLL_END past the last one.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_entry(
    clock: *const atoll_vclock,
    i: usize,
    node: *mut atoll_bytes,
    counter: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let clock = exclusive("clock", &unsafe { handle("clock", clock)? }.clock)?;
        let Some((name, count)) = clock.iter().nth(i) else {
            return Ok(ATOLL_END);
        };
        // SAFETY: the contract of the header.
        if let Ok(node) = unsafe { out("node", node) } {
            *node = atoll_bytes::of(name.as_bytes());
        }
        // SAFETY: the contract of the header.
        if let Ok(counter) = unsafe { out("counter", counter) } {
            *counter = count;
        }
        Ok(ATOLL_OK)
    })
}

/// Writes the byte form of a clock into `buf` of `cap` bytes; `*len` says how long it is. Equal clocks have
/// equal bytes.
///
/// One thread at a time. ATOLL_BUFFER_TOO_SMALL if `cap` is less than `*len`.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_encode_into(
    clock: *const atoll_vclock,
    buf: *mut c_void,
    cap: usize,
    len: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let clock = unsafe { handle("clock", clock)? };
        let bytes = exclusive("clock", &clock.clock)?.to_bytes();
        // SAFETY: the contract of the header.
        unsafe { copy_out(&bytes, buf, cap, len) }
    })
}
