//! Stamps of the hybrid logical clock, as text and as bytes.
//!
//! In: packed stamps and names of nodes, text, bytes. Out: the same in another form. Must never: read a
//! clock.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use std::cmp::Ordering;
use std::ffi::c_void;

use atoll::versioning::{Hlc, HlcStamp, hlc};

use crate::bytes::{atoll_bytes, copy_out, form, utf8};
use crate::call::{Outcome, call, out};
use crate::error::{Failure, atoll_error};
use crate::status::*;

/// Packs milliseconds since 1970 (48 bits) and a counter within that millisecond into a stamp; numeric order
/// is order of time.
///
/// Any thread. ATOLL_E_INVALID for milliseconds that need more than 48 bits.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_hlc_pack(
    wall_ms: u64,
    counter: u16,
    stamp: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        *unsafe { out("stamp", stamp)? } = hlc::pack(wall_ms, counter)?.0;
        Ok(ATOLL_OK)
    })
}

/// # Safety
/// As the functions of the header say.
unsafe fn stamp_of(stamp: u64, node: *const c_void, node_len: usize) -> Result<HlcStamp, Failure> {
    // SAFETY: the caller's promise.
    let node = unsafe { utf8("node", node, node_len)? };
    Ok(HlcStamp::new(Hlc(stamp), node)?)
}

/// Tells a stamp and its node, whose name is the end of what was read: a view of that.
///
/// # Safety
/// As the functions of the header say.
unsafe fn tell(read: &HlcStamp, from: &[u8], stamp: *mut u64, node: *mut atoll_bytes) -> Outcome {
    // SAFETY: the caller's promise.
    let (stamp, node) = unsafe { (out("stamp", stamp)?, out("node", node)?) };
    *stamp = read.hlc().0;
    *node = atoll_bytes::of(&from[from.len() - read.node().len()..]);
    Ok(ATOLL_OK)
}

/// Writes a stamp of a node as text into `buf` of `cap` bytes, without a NUL at the end:
/// 2026-11-23T02:00:00.123Z/0007@node. `*len` says how long it is.
///
/// Any thread. ATOLL_BUFFER_TOO_SMALL if `cap` is less than `*len`; ATOLL_E_INVALID for a name that no vector
/// clock could have.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_hlc_to_text(
    stamp: u64,
    node: *const c_void,
    node_len: usize,
    buf: *mut c_void,
    cap: usize,
    len: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let text = unsafe { stamp_of(stamp, node, node_len)? }.to_string();
        // SAFETY: the contract of the header.
        unsafe { copy_out(text.as_bytes(), buf, cap, len) }
    })
}

/// Reads the text of a stamp, and nothing else: no other zone, precision or case. `*node` is a view of
/// `text`.
///
/// Any thread. ATOLL_E_INVALID naming the byte at which it goes wrong.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_hlc_from_text(
    text: *const c_void,
    text_len: usize,
    stamp: *mut u64,
    node: *mut atoll_bytes,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let text = unsafe { utf8("text", text, text_len)? };
        let read: HlcStamp = text.parse()?;
        // SAFETY: the contract of the header.
        unsafe { tell(&read, text.as_bytes(), stamp, node) }
    })
}

/// Writes the byte form of a stamp of a node. As atoll_hlc_to_text().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_hlc_encode_into(
    stamp: u64,
    node: *const c_void,
    node_len: usize,
    buf: *mut c_void,
    cap: usize,
    len: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let bytes = unsafe { stamp_of(stamp, node, node_len)? }.to_bytes();
        // SAFETY: the contract of the header.
        unsafe { copy_out(&bytes, buf, cap, len) }
    })
}

/// Reads the byte form of a stamp. `*node` is a view of `encoded`.
///
/// Any thread. ATOLL_E_CORRUPT for anything but the one form of a stamp.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_hlc_decode(
    encoded: *const c_void,
    encoded_len: usize,
    stamp: *mut u64,
    node: *mut atoll_bytes,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let encoded = unsafe { form("encoded", encoded, encoded_len)? };
        let read = HlcStamp::from_bytes(encoded)?;
        // SAFETY: the contract of the header.
        unsafe { tell(&read, encoded, stamp, node) }
    })
}

/// Compares two stamps in their byte form, by time and then by the bytes of the names: `*order` is -1, 0 or
/// 1. Allocates nothing.
///
/// Any thread. ATOLL_E_CORRUPT if either is not the byte form of a stamp.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_hlc_compare_encoded(
    left: *const c_void,
    left_len: usize,
    right: *const c_void,
    right_len: usize,
    order: *mut i32,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (left, right, order) = unsafe {
            (
                form("left", left, left_len)?,
                form("right", right, right_len)?,
                out("order", order)?,
            )
        };
        *order = match HlcStamp::compare_encoded(left, right)? {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        };
        Ok(ATOLL_OK)
    })
}
