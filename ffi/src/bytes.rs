//! Bytes that cross the boundary.
//!
//! In: pointers and lengths of the caller. Out: slices, `atoll_bytes` views that name no owner, and
//! `atoll_buf`, which owns what it shows. Must never: keep a slice of the caller past the call, or make one
//! from a length that cannot be.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::{CStr, c_char, c_void};

use atoll::log::format::{MAX_KEY_BYTES, MAX_VALUE_BYTES};

use crate::call::{Outcome, out};
use crate::error::Failure;
use crate::panic::guard;
use crate::status::{ATOLL_BUFFER_TOO_SMALL, ATOLL_OK};

/// The longest key.
pub const ATOLL_MAX_KEY_BYTES: usize = 65535;
/// The longest value, and the largest batch.
pub const ATOLL_MAX_VALUE_BYTES: usize = 67_108_864;

const _: () = assert!(ATOLL_MAX_KEY_BYTES == MAX_KEY_BYTES && ATOLL_MAX_VALUE_BYTES == MAX_VALUE_BYTES);

/// A view of bytes. Its owner is named by the function that fills it in; `data` is never NULL then, also
/// when `len` is 0.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_bytes {
    /// First byte.
    pub data: *const u8,
    /// Number of bytes.
    pub len: usize,
}

impl atoll_bytes {
    pub(crate) const EMPTY: atoll_bytes = atoll_bytes {
        data: c"".as_ptr().cast(),
        len: 0,
    };

    pub(crate) fn of(bytes: &[u8]) -> atoll_bytes {
        atoll_bytes {
            data: bytes.as_ptr(),
            len: bytes.len(),
        }
    }
}

/// A view of a key and its value.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_kv {
    /// The key.
    pub key: atoll_bytes,
    /// The value.
    pub value: atoll_bytes,
}

/// Bytes that belong to the caller, until atoll_buf_free().
pub struct atoll_buf {
    bytes: Box<[u8]>,
}

impl atoll_buf {
    /// As a pointer that the caller frees.
    pub(crate) fn hand_over(bytes: Vec<u8>) -> *mut atoll_buf {
        Box::into_raw(Box::new(atoll_buf {
            bytes: bytes.into_boxed_slice(),
        }))
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

/// The longest slice that can be.
const MAX: usize = isize::MAX as usize;

/// The bytes the caller shows, for as long as the call lasts.
///
/// # Safety
/// `data` points to `len` readable bytes that nobody writes during `'a`, or `len` is 0 or more than any
/// object can have.
#[inline]
pub(crate) unsafe fn slice<'a>(what: &str, data: *const c_void, len: usize) -> Result<&'a [u8], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() || len > MAX {
        return Err(bad_slice(what, data, len));
    }
    // SAFETY: not NULL, a length that can be, and readable by the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// A key, no longer than any can be: a wrong length is refused before anything is read.
///
/// # Safety
/// As for [`slice`].
#[inline]
pub(crate) unsafe fn key<'a>(data: *const c_void, len: usize) -> Result<&'a [u8], Failure> {
    if len > ATOLL_MAX_KEY_BYTES {
        return Err(too_long("key", len, ATOLL_MAX_KEY_BYTES));
    }
    // SAFETY: the caller's promise.
    unsafe { slice("key", data, len) }
}

/// Refuses a key or a value that is longer than any can be.
pub(crate) fn check_lengths(key: &[u8], value: &[u8]) -> Result<(), Failure> {
    if key.len() > ATOLL_MAX_KEY_BYTES {
        return Err(too_long("key", key.len(), ATOLL_MAX_KEY_BYTES));
    }
    if value.len() > ATOLL_MAX_VALUE_BYTES {
        return Err(too_long("value", value.len(), ATOLL_MAX_VALUE_BYTES));
    }
    Ok(())
}

/// A value, no longer than any can be.
///
/// # Safety
/// As for [`slice`].
#[inline]
pub(crate) unsafe fn value<'a>(data: *const c_void, len: usize) -> Result<&'a [u8], Failure> {
    if len > ATOLL_MAX_VALUE_BYTES {
        return Err(too_long("value", len, ATOLL_MAX_VALUE_BYTES));
    }
    // SAFETY: the caller's promise.
    unsafe { slice("value", data, len) }
}

#[cold]
fn too_long(what: &str, len: usize, max: usize) -> Failure {
    Failure::invalid(format!(
        "a {what} of {len} bytes is longer than the {max} allowed"
    ))
}

#[cold]
fn bad_slice(what: &str, data: *const c_void, len: usize) -> Failure {
    Failure::invalid(if data.is_null() {
        format!("{what} is NULL, and its length is {len}")
    } else {
        format!("{what} cannot be {len} bytes long")
    })
}

/// An array that the caller shows, for as long as the call lasts.
///
/// # Safety
/// As for [`slice`], of `n` aligned elements.
pub(crate) unsafe fn array<'a, T>(what: &str, data: *const T, n: usize) -> Result<&'a [T], Failure> {
    if n == 0 {
        return Ok(&[]);
    }
    if data.is_null() || n > MAX / size_of::<T>() || !data.is_aligned() {
        return Err(Failure::invalid(format!(
            "{what} is NULL, not aligned, or too long ({n} elements)"
        )));
    }
    // SAFETY: not NULL, aligned, a length that can be, and readable by the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data, n) })
}

/// As [`array`], to be written.
///
/// # Safety
/// As for [`array`]; writable, and nobody else looks at it during `'a`.
pub(crate) unsafe fn array_mut<'a, T>(what: &str, data: *mut T, n: usize) -> Result<&'a mut [T], Failure> {
    if n == 0 {
        return Ok(&mut []);
    }
    if data.is_null() || n > MAX / size_of::<T>() || !data.is_aligned() {
        return Err(Failure::invalid(format!(
            "{what} is NULL, not aligned, or too long ({n} elements)"
        )));
    }
    // SAFETY: not NULL, aligned, a length that can be, and the caller's to write.
    Ok(unsafe { std::slice::from_raw_parts_mut(data, n) })
}

/// A text the caller shows, for as long as the call lasts.
///
/// # Safety
/// `text` is NULL or points to bytes that end with NUL.
pub(crate) unsafe fn text<'a>(what: &str, text: *const c_char) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(Failure::invalid(format!("{what} is NULL")));
    }
    // SAFETY: not NULL, and ends with NUL by the caller's promise.
    let bytes = unsafe { CStr::from_ptr(text) };
    bytes
        .to_str()
        .map_err(|_| Failure::invalid(format!("{what} is not UTF-8")))
}

/// The longest byte form or text of anything but a key or a value.
const MAX_FORM: usize = 1 << 30;

/// As [`slice`], of a byte form or a text: a length that none can have is refused before anything is read.
///
/// # Safety
/// As for [`slice`].
pub(crate) unsafe fn form<'a>(what: &str, data: *const c_void, len: usize) -> Result<&'a [u8], Failure> {
    if len > MAX_FORM {
        return Err(too_long(what, len, MAX_FORM));
    }
    // SAFETY: the caller's promise.
    unsafe { slice(what, data, len) }
}

/// As [`form`], of UTF-8.
///
/// # Safety
/// As for [`slice`].
pub(crate) unsafe fn utf8<'a>(what: &str, data: *const c_void, len: usize) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { form(what, data, len)? };
    std::str::from_utf8(bytes).map_err(|_| Failure::invalid(format!("{what} is not UTF-8")))
}

/// Copies a result into a buffer of the caller and tells its length; both stay as they are for
/// [`ATOLL_BUFFER_TOO_SMALL`], but for the length.
///
/// # Safety
/// `len` is NULL or may be written, and `buf` has room for `cap` bytes that nobody else looks at.
pub(crate) unsafe fn copy_out(bytes: &[u8], buf: *mut c_void, cap: usize, len: *mut usize) -> Outcome {
    // SAFETY: the caller's promise.
    *unsafe { out("length of the result", len)? } = bytes.len();
    if cap < bytes.len() {
        return Ok(ATOLL_BUFFER_TOO_SMALL);
    }
    // SAFETY: the caller's promise: there is room for `cap`, which is no less.
    unsafe { array_mut("buf", buf.cast::<u8>(), bytes.len())? }.copy_from_slice(bytes);
    Ok(ATOLL_OK)
}

/// Keys laid end to end, with offsets: key `i` is `bytes[offsets[i]..offsets[i + 1]]`.
pub(crate) struct Packed<'a> {
    bytes: &'a [u8],
    offsets: &'a [u32],
}

impl<'a> Packed<'a> {
    /// # Safety
    /// `offsets` points to `n + 1` offsets that do not change during `'a`, and `bytes` to as many readable bytes as the
    /// last of them says.
    pub(crate) unsafe fn new(bytes: *const u8, offsets: *const u32, n: usize) -> Result<Packed<'a>, Failure> {
        if n == 0 {
            return Ok(Packed {
                bytes: &[],
                offsets: &[],
            });
        }
        // SAFETY: the caller's promise.
        let offsets = unsafe { array("key_offsets", offsets, n.saturating_add(1))? };
        if offsets[0] != 0 || offsets.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(Failure::invalid("key_offsets must start at 0 and never descend"));
        }
        // SAFETY: the caller's promise.
        let bytes = unsafe { slice("keys", bytes.cast(), offsets[n] as usize)? };
        Ok(Packed { bytes, offsets })
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.offsets
            .windows(2)
            .map(move |pair| &bytes[pair[0] as usize..pair[1] as usize])
    }
}

/// Returns a view of the bytes, valid until the buffer is freed; an empty view for NULL.
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_buf_bytes(buf: *const atoll_buf) -> atoll_bytes {
    guard(atoll_bytes::EMPTY, || {
        // SAFETY: the caller's promise.
        unsafe { buf.as_ref() }.map_or(atoll_bytes::EMPTY, |buf| atoll_bytes::of(&buf.bytes))
    })
}

/// Frees a buffer. NULL is allowed.
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_buf_free(buf: *mut atoll_buf) {
    guard((), || {
        if !buf.is_null() {
            // SAFETY: buffers leave as `Box::into_raw`, and the caller gives each back once.
            drop(unsafe { Box::from_raw(buf) });
        }
    });
}
