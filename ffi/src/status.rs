//! What a call answers.
//!
//! In: nothing. Out: the numbers of `atoll_status` and their names. Must never: give a number that a
//! released header named another meaning.
//!
//! A status is a plain integer rather than an enum: a number that this build does not know must not be
//! undefined behaviour on either side.

#![expect(
    unsafe_code,
    reason = "exported symbol names are promised to the linker with `unsafe(no_mangle)`"
)]

use std::ffi::{CStr, c_char};

use crate::panic::guard;

/// What a call answers: 0 done, above 0 another normal outcome (no error object is made), below 0 an error.
#[expect(non_camel_case_types, reason = "the name that C programs use")]
pub type atoll_status = i32;

/// Done.
pub const ATOLL_OK: atoll_status = 0;
/// The key has no value.
pub const ATOLL_NOT_FOUND: atoll_status = 1;
/// A scan has given all it has.
pub const ATOLL_END: atoll_status = 2;
/// Nothing happened within the time that was given.
pub const ATOLL_TIMEOUT: atoll_status = 3;
/// The buffer is too small; the call says how large it must be, and nothing was consumed.
pub const ATOLL_BUFFER_TOO_SMALL: atoll_status = 4;
/// What the write was conditional on is no longer so; nothing was written.
pub const ATOLL_CONFLICT: atoll_status = 5;
/// An argument is wrong: the message says which and what would be right.
pub const ATOLL_E_INVALID: atoll_status = -1;
/// The operating system refused; atoll_error_os_errno() has its number.
pub const ATOLL_E_IO: atoll_status = -2;
/// Bytes on disk are not what was written; the message names file and offset. Other keys stay readable.
pub const ATOLL_E_CORRUPT: atoll_status = -3;
/// The handle, or the store behind it, has been closed.
pub const ATOLL_E_CLOSED: atoll_status = -4;
/// The handle is in use by another call, and can serve one at a time.
pub const ATOLL_E_BUSY: atoll_status = -5;
/// Another process has the store open; the message names it.
pub const ATOLL_E_LOCKED: atoll_status = -6;
/// The store was opened before this process forked.
pub const ATOLL_E_FORKED: atoll_status = -7;
/// The call asks for something that this build does not know.
pub const ATOLL_E_UNSUPPORTED: atoll_status = -8;
/// A callback of the program failed.
pub const ATOLL_E_CALLBACK: atoll_status = -9;
/// Not one copy of the shard is in service: nothing was read or written. Where some are, and too few, it is ATOLL_E_UNAVAILABLE.
pub const ATOLL_E_NO_QUORUM: atoll_status = -10;
/// Another primary has taken over.
pub const ATOLL_E_STALE_EPOCH: atoll_status = -11;
/// No space is left; nothing was written and reads go on.
pub const ATOLL_E_DISK_FULL: atoll_status = -12;
/// This copy does not take writes.
pub const ATOLL_E_NOT_PRIMARY: atoll_status = -13;
/// Nobody who could answer can be reached; nothing was written.
pub const ATOLL_E_UNAVAILABLE: atoll_status = -14;
/// It cannot be known whether the write was done.
pub const ATOLL_E_INDETERMINATE: atoll_status = -15;
/// A write that was seen has been lost with its primary.
pub const ATOLL_E_WRITE_LOST: atoll_status = -16;
/// The keys of one atomic operation live in different places.
pub const ATOLL_E_CROSS_SLOT: atoll_status = -17;
/// What the snapshot shows is gone; take a new one.
pub const ATOLL_E_TOO_OLD: atoll_status = -18;
/// The library has a defect: the message tells it. The handle takes no more writes.
pub const ATOLL_E_PANIC: atoll_status = -99;

/// The name of a status as text.
pub(crate) fn name(status: atoll_status) -> &'static CStr {
    match status {
        ATOLL_OK => c"ATOLL_OK",
        ATOLL_NOT_FOUND => c"ATOLL_NOT_FOUND",
        ATOLL_END => c"ATOLL_END",
        ATOLL_TIMEOUT => c"ATOLL_TIMEOUT",
        ATOLL_BUFFER_TOO_SMALL => c"ATOLL_BUFFER_TOO_SMALL",
        ATOLL_CONFLICT => c"ATOLL_CONFLICT",
        ATOLL_E_INVALID => c"ATOLL_E_INVALID",
        ATOLL_E_IO => c"ATOLL_E_IO",
        ATOLL_E_CORRUPT => c"ATOLL_E_CORRUPT",
        ATOLL_E_CLOSED => c"ATOLL_E_CLOSED",
        ATOLL_E_BUSY => c"ATOLL_E_BUSY",
        ATOLL_E_LOCKED => c"ATOLL_E_LOCKED",
        ATOLL_E_FORKED => c"ATOLL_E_FORKED",
        ATOLL_E_UNSUPPORTED => c"ATOLL_E_UNSUPPORTED",
        ATOLL_E_CALLBACK => c"ATOLL_E_CALLBACK",
        ATOLL_E_NO_QUORUM => c"ATOLL_E_NO_QUORUM",
        ATOLL_E_STALE_EPOCH => c"ATOLL_E_STALE_EPOCH",
        ATOLL_E_DISK_FULL => c"ATOLL_E_DISK_FULL",
        ATOLL_E_NOT_PRIMARY => c"ATOLL_E_NOT_PRIMARY",
        ATOLL_E_UNAVAILABLE => c"ATOLL_E_UNAVAILABLE",
        ATOLL_E_INDETERMINATE => c"ATOLL_E_INDETERMINATE",
        ATOLL_E_WRITE_LOST => c"ATOLL_E_WRITE_LOST",
        ATOLL_E_CROSS_SLOT => c"ATOLL_E_CROSS_SLOT",
        ATOLL_E_TOO_OLD => c"ATOLL_E_TOO_OLD",
        ATOLL_E_PANIC => c"ATOLL_E_PANIC",
        _ => c"ATOLL_(unknown)",
    }
}

/// Returns the name of a status, such as "ATOLL_E_CORRUPT"; "ATOLL_(unknown)" for other numbers.
///
/// The string is never NULL, lives as long as the library stays loaded and must not be freed. Any thread.
// SAFETY: no other symbol of this program is called `atoll_status_name`; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_status_name(status: atoll_status) -> *const c_char {
    guard(c"".as_ptr(), || name(status).as_ptr())
}
