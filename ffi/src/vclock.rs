//! Vector clocks.
//!
//! In: names of nodes, other clocks, text or bytes. Out: `atoll_vclock`, the exact causal relation of two, and the one text and byte
//! form of each. Must never: forget an entry, or give clocks a meaning of its own (it only asks the engine).

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_void;

use atoll::versioning::{Causality, VectorClock};
use parking_lot::Mutex;

use crate::bytes::{Packed, array, atoll_bytes, copy_out, slice, utf8};
use crate::call::{call, exclusive, free, handle, out};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::status::*;

/// Both have seen exactly the same.
pub const ATOLL_EQUAL: i32 = 0;
/// The left one is part of the right one's past.
pub const ATOLL_BEFORE: i32 = 1;
/// The right one is part of the left one's past.
pub const ATOLL_AFTER: i32 = 2;
/// Each has seen something that the other has not.
pub const ATOLL_CONCURRENT: i32 = 3;

pub(crate) fn order(causality: Causality) -> i32 {
    match causality {
        Causality::Equal => ATOLL_EQUAL,
        Causality::Before => ATOLL_BEFORE,
        Causality::After => ATOLL_AFTER,
        Causality::Concurrent => ATOLL_CONCURRENT,
    }
}

/// How many writes of each node a version has seen; a node that is absent counts 0. One thread at a time.
pub struct atoll_vclock {
    clock: Mutex<VectorClock>,
}

impl atoll_vclock {
    fn hand_over(clock: VectorClock) -> *mut atoll_vclock {
        Box::into_raw(Box::new(atoll_vclock {
            clock: Mutex::new(clock),
        }))
    }

    /// A copy: two clocks of one call may be the same one.
    fn copy(&self) -> Result<VectorClock, Failure> {
        Ok(exclusive("vector clock", &self.clock)?.clone())
    }
}

/// Makes a clock that has seen nothing. Free it with atoll_vclock_free().
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_vclock_new() -> *mut atoll_vclock {
    guard(std::ptr::null_mut(), || {
        atoll_vclock::hand_over(VectorClock::new())
    })
}

/// Makes a clock of `n` packed names and their counters, in any order: name i is names[name_offsets[i]..name_offsets[i + 1]].
/// A counter of 0 is the same as absence.
///
/// `*clock` is NULL after an error; free it with atoll_vclock_free(). Any thread. ATOLL_E_INVALID for a name that is empty, longer than
/// 255 bytes, no UTF-8, has control characters, or is given twice.
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
        let out = unsafe { out("clock", clock)? };
        *out = std::ptr::null_mut();
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
        *out = atoll_vclock::hand_over(VectorClock::from_entries(entries)?);
        Ok(ATOLL_OK)
    })
}

/// Makes a copy of a clock. `*copy` is NULL after an error; free it with atoll_vclock_free().
///
/// One thread at a time on `clock`.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_clone(
    clock: *const atoll_vclock,
    copy: *mut *mut atoll_vclock,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { out("copy", copy)? };
        *out = std::ptr::null_mut();
        // SAFETY: the contract of the header.
        *out = atoll_vclock::hand_over(unsafe { handle("clock", clock)? }.copy()?);
        Ok(ATOLL_OK)
    })
}

/// Frees a clock. NULL is allowed.
///
/// Any thread, once no other call on it is under way.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_free(clock: *mut atoll_vclock) {
    // SAFETY: the contract of the header.
    unsafe { free(clock) }
}

/// Counts one local write of a node and tells the new counter. Receiving does not tick: it merges.
///
/// `counter` may be NULL. One thread at a time. ATOLL_E_INVALID for a name that no clock can have, and for a counter that has used its 64 bits;
/// the clock is unchanged then.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_tick(
    clock: *mut atoll_vclock,
    node: *const c_void,
    node_len: usize,
    counter: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (clock, node) = unsafe { (handle("clock", clock)?, utf8("node", node, node_len)?) };
        let ticked = exclusive("vector clock", &clock.clock)?.tick(node)?;
        // SAFETY: the contract of the header.
        if let Ok(counter) = unsafe { out("counter", counter) } {
            *counter = ticked;
        }
        Ok(ATOLL_OK)
    })
}

/// Tells the counter of a node; 0 if it is absent. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_get(
    clock: *const atoll_vclock,
    node: *const c_void,
    node_len: usize,
    counter: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (clock, node, counter) = unsafe {
            (
                handle("clock", clock)?,
                utf8("node", node, node_len)?,
                out("counter", counter)?,
            )
        };
        *counter = exclusive("vector clock", &clock.clock)?.get(node);
        Ok(ATOLL_OK)
    })
}

/// Tells entry number `i` of a clock: entries ascend by the bytes of the names, and no counter is 0. `*node` is a view that is
/// valid until the clock is changed or freed.
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
        let clock = exclusive("vector clock", &unsafe { handle("clock", clock)? }.clock)?;
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

/// Takes into `clock` all that `other` has seen: the larger counter of each node. Both may be the same clock.
///
/// One thread at a time on each.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_merge(
    clock: *mut atoll_vclock,
    other: *const atoll_vclock,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (clock, other) = unsafe { (handle("clock", clock)?, handle("other", other)?) };
        let mut merged = exclusive("vector clock", &clock.clock)?;
        // A clock has seen all that it has seen.
        if !std::ptr::eq(clock, other) {
            merged.merge(&*exclusive("vector clock", &other.clock)?);
        }
        Ok(ATOLL_OK)
    })
}

/// Tells how `left` relates to `right`: ATOLL_EQUAL, ATOLL_BEFORE, ATOLL_AFTER or ATOLL_CONCURRENT.
///
/// One thread at a time on each.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_compare(
    left: *const atoll_vclock,
    right: *const atoll_vclock,
    order: *mut i32,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (left, right, answer) = unsafe {
            (
                handle("left", left)?,
                handle("right", right)?,
                out("order", order)?,
            )
        };
        let first = exclusive("vector clock", &left.clock)?;
        *answer = if std::ptr::eq(left, right) {
            ATOLL_EQUAL
        } else {
            self::order(first.compare(&*exclusive("vector clock", &right.clock)?))
        };
        Ok(ATOLL_OK)
    })
}

/// As atoll_vclock_compare(), of two clocks in their byte form; allocates nothing.
///
/// Any thread. ATOLL_E_CORRUPT if either is not the byte form of a clock.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_compare_encoded(
    left: *const c_void,
    left_len: usize,
    right: *const c_void,
    right_len: usize,
    order: *mut i32,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (left, right, answer) = unsafe {
            (
                slice("left", left, left_len)?,
                slice("right", right, right_len)?,
                out("order", order)?,
            )
        };
        *answer = self::order(VectorClock::compare_encoded(left, right)?);
        Ok(ATOLL_OK)
    })
}

/// Writes the byte form of a clock into `buf` of `cap` bytes; `*len` says how long it is. Equal clocks have equal bytes.
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
        let bytes = exclusive("vector clock", &clock.clock)?.to_bytes();
        // SAFETY: the contract of the header.
        unsafe { copy_out(&bytes, buf, cap, len) }
    })
}

/// Reads the byte form of a clock. `*clock` is NULL after an error; free it with atoll_vclock_free().
///
/// Any thread. ATOLL_E_CORRUPT for anything but the one form of a clock.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_decode(
    encoded: *const c_void,
    encoded_len: usize,
    clock: *mut *mut atoll_vclock,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { out("clock", clock)? };
        *out = std::ptr::null_mut();
        // SAFETY: the contract of the header.
        let encoded = unsafe { slice("encoded", encoded, encoded_len)? };
        *out = atoll_vclock::hand_over(VectorClock::from_bytes(encoded)?);
        Ok(ATOLL_OK)
    })
}

/// Writes the text of a clock into `buf` of `cap` bytes, without a NUL at the end: {"A":1,"B":3}, names ascending by bytes, no spaces.
/// `*len` says how long it is.
///
/// One thread at a time. ATOLL_BUFFER_TOO_SMALL if `cap` is less than `*len`.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_to_text(
    clock: *const atoll_vclock,
    buf: *mut c_void,
    cap: usize,
    len: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let clock = unsafe { handle("clock", clock)? };
        let text = exclusive("vector clock", &clock.clock)?.to_string();
        // SAFETY: the contract of the header.
        unsafe { copy_out(text.as_bytes(), buf, cap, len) }
    })
}

/// Reads a clock from any JSON spelling of it: spaces and order are free, and a counter of 0 is absence. `*clock` is NULL after an error;
/// free it with atoll_vclock_free().
///
/// Any thread. ATOLL_E_INVALID for anything but an object of names and whole numbers below 2^64.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_vclock_from_text(
    text: *const c_void,
    text_len: usize,
    clock: *mut *mut atoll_vclock,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { out("clock", clock)? };
        *out = std::ptr::null_mut();
        // SAFETY: the contract of the header.
        let text = unsafe { utf8("text", text, text_len)? };
        *out = atoll_vclock::hand_over(text.parse()?);
        Ok(ATOLL_OK)
    })
}
