//! Keys of every type as the bytes that are stored, ordered and hashed.
//!
//! In: text, integers, UUIDs and tuples of them. Out: their bytes, the same in every language and in SQL, and
//! the parts of a tuple again. Must never: give bytes that the engine would not give.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use std::ffi::c_void;

use atoll::routing::{KeyBuf, KeyEncoding, KeyRef, decode_tuple, encode_key, encode_tuple};

use crate::bytes::{array, array_mut, atoll_buf, atoll_bytes, copy_out, form, utf8};
use crate::call::{Outcome, call, fresh, out};
use crate::error::{Failure, atoll_error};
use crate::status::*;

/// Integers as 8 bytes whose order is numeric order.
pub const ATOLL_ENCODING_BINARY: u32 = 0;
/// Integers as their decimal text, as programs have it that hash str(id). Inside tuples they stay binary.
pub const ATOLL_ENCODING_DECIMAL: u32 = 1;

/// Bytes, taken as they are.
pub const ATOLL_KEY_BYTES: u32 = 0;
/// UTF-8 text.
pub const ATOLL_KEY_TEXT: u32 = 1;
/// An integer: `integer`.
pub const ATOLL_KEY_INT: u32 = 2;
/// A UUID: 16 bytes in network order.
pub const ATOLL_KEY_UUID: u32 = 3;
/// A tuple within the tuple begins: its parts follow.
pub const ATOLL_KEY_BEGIN: u32 = 4;
/// The tuple that began last ends.
pub const ATOLL_KEY_END: u32 = 5;

/// A part of a key.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_key_part {
    /// ATOLL_KEY_BYTES, ATOLL_KEY_TEXT, ATOLL_KEY_INT, ATOLL_KEY_UUID, ATOLL_KEY_BEGIN or ATOLL_KEY_END.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// Of ATOLL_KEY_INT; 0 otherwise.
    pub integer: i64,
    /// Of ATOLL_KEY_BYTES, _TEXT and _UUID; empty otherwise.
    pub bytes: atoll_bytes,
}

/// Deepest nesting that is taken: what is encoded can be decoded.
const MAX_DEPTH: usize = 32;

fn encoding(encoding: u32) -> Result<KeyEncoding, Failure> {
    match encoding {
        ATOLL_ENCODING_BINARY => Ok(KeyEncoding::Binary),
        ATOLL_ENCODING_DECIMAL => Ok(KeyEncoding::Decimal),
        _ => Err(Failure::new(
            ATOLL_E_UNSUPPORTED,
            format!(
                "encoding {encoding} is not known to this library: there are ATOLL_ENCODING_BINARY and ATOLL_ENCODING_DECIMAL"
            ),
        )),
    }
}

/// # Safety
/// As for [`copy_out`].
unsafe fn encode_int(value: i64, how: u32, buf: *mut c_void, cap: usize, len: *mut usize) -> Outcome {
    let key = encode_key(&KeyRef::Int(value), encoding(how)?);
    // SAFETY: the caller's promise.
    unsafe { copy_out(&key, buf, cap, len) }
}

/// Encodes a signed integer of any width as a key, into `buf` of `cap` bytes; `*key_len` says how long it is:
/// 8 bytes for ATOLL_ENCODING_BINARY, at most 20 for ATOLL_ENCODING_DECIMAL.
///
/// Any thread. ATOLL_BUFFER_TOO_SMALL if `cap` is less than `*key_len`.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_encode_key_i64(
    value: i64,
    encoding: u32,
    buf: *mut c_void,
    cap: usize,
    key_len: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header.
    call(err, || unsafe { encode_int(value, encoding, buf, cap, key_len) })
}

/// As atoll_encode_key_i64(), for an unsigned integer. Equal numbers are equal keys, whatever their type; so
/// ATOLL_E_INVALID above 9223372036854775807, which no key can be.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_encode_key_u64(
    value: u64,
    encoding: u32,
    buf: *mut c_void,
    cap: usize,
    key_len: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        let Ok(value) = i64::try_from(value) else {
            return Err(Failure::invalid(format!(
                "{value} is no key: integers of keys are signed and have 64 bits"
            )));
        };
        // SAFETY: the contract of the header.
        unsafe { encode_int(value, encoding, buf, cap, key_len) }
    })
}

/// Encodes text as a key: its UTF-8 bytes, as they are. As atoll_encode_key_i64(), with ATOLL_E_INVALID for
/// bytes that are no UTF-8.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_encode_key_text(
    text: *const c_void,
    text_len: usize,
    buf: *mut c_void,
    cap: usize,
    key_len: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let text = unsafe { utf8("text", text, text_len)? };
        let key = encode_key(&KeyRef::Text(text), KeyEncoding::Binary);
        // SAFETY: the contract of the header.
        unsafe { copy_out(&key, buf, cap, key_len) }
    })
}

/// Encodes a UUID as a key: its 16 bytes in network order, which `uuid` points to. As atoll_encode_key_i64().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_encode_key_uuid(
    uuid: *const u8,
    buf: *mut c_void,
    cap: usize,
    key_len: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let uuid = to_uuid(unsafe { form("uuid", uuid.cast(), 16)? })?;
        let key = encode_key(&KeyRef::Uuid(uuid), KeyEncoding::Binary);
        // SAFETY: the contract of the header.
        unsafe { copy_out(&key, buf, cap, key_len) }
    })
}

fn to_uuid(bytes: &[u8]) -> Result<[u8; 16], Failure> {
    <[u8; 16]>::try_from(bytes)
        .map_err(|_| Failure::invalid(format!("a UUID has 16 bytes, not {}", bytes.len())))
}

/// The elements that parts stand for.
///
/// # Safety
/// The contract of the header.
unsafe fn read(parts: *const atoll_key_part, n: usize) -> Result<Vec<KeyBuf>, Failure> {
    // SAFETY: the caller's promise.
    let parts = unsafe { array("parts", parts, n)? };
    // One list for each tuple that is still open; the outermost has no marks.
    let mut open: Vec<Vec<KeyBuf>> = vec![Vec::new()];
    for (at, part) in parts.iter().enumerate() {
        let bad = |what: &str| Failure::invalid(format!("part {at} of a key: {what}"));
        // SAFETY: the caller's promise: the bytes of a part are there.
        let bytes = || unsafe { form("part of a key", part.bytes.data.cast(), part.bytes.len) };
        let element = match part.kind {
            ATOLL_KEY_BYTES => KeyBuf::Bytes(bytes()?.to_vec()),
            ATOLL_KEY_TEXT => {
                let text = std::str::from_utf8(bytes()?).map_err(|_| bad("the text is not UTF-8"))?;
                KeyBuf::Text(text.to_owned())
            }
            ATOLL_KEY_INT => KeyBuf::Int(part.integer),
            ATOLL_KEY_UUID => KeyBuf::Uuid(to_uuid(bytes()?)?),
            ATOLL_KEY_BEGIN if open.len() > MAX_DEPTH => return Err(bad("tuples nest more than 32 deep")),
            ATOLL_KEY_BEGIN => {
                open.push(Vec::new());
                continue;
            }
            ATOLL_KEY_END => match open.pop() {
                Some(tuple) if !open.is_empty() => KeyBuf::Tuple(tuple),
                _ => return Err(bad("the end of a tuple that has not begun")),
            },
            kind => return Err(bad(&format!("it cannot be of kind {kind}"))),
        };
        if let Some(tuple) = open.last_mut() {
            tuple.push(element);
        }
    }
    match open.pop() {
        Some(elements) if open.is_empty() => Ok(elements),
        _ => Err(Failure::invalid("a tuple has begun that does not end")),
    }
}

/// Gives the bytes of a typed key, as they are stored and routed: the same in every language and in SQL.
///
/// One part is a plain key; several are a tuple, ordered part by part, which may hold tuples between
/// ATOLL_KEY_BEGIN and ATOLL_KEY_END. `encoding`: ATOLL_ENCODING_BINARY, or ATOLL_ENCODING_DECIMAL for
/// integers as programs that hash str(id) have them (inside tuples they stay binary). Free `*key` with
/// atoll_buf_free(); it is NULL after an error. Any thread. ATOLL_E_INVALID for text that is no UTF-8, a UUID
/// that has not 16 bytes, tuples more than 32 deep, a begin without its end, and no parts at all.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_encode_key(
    parts: *const atoll_key_part,
    n: usize,
    encoding: u32,
    key: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("key", key)? };
        let encoding = self::encoding(encoding)?;
        // SAFETY: the contract of the header.
        let elements = unsafe { read(parts, n)? };
        let plain = |key: KeyRef<'_>| encode_key(&key, encoding).into_owned();
        *out = atoll_buf::hand_over(match (n, &elements[..]) {
            (0, _) => return Err(Failure::invalid("a key has at least one part")),
            (1, [KeyBuf::Bytes(bytes)]) => plain(KeyRef::Bytes(bytes)),
            (1, [KeyBuf::Text(text)]) => plain(KeyRef::Text(text)),
            (1, [KeyBuf::Int(value)]) => plain(KeyRef::Int(*value)),
            (1, [KeyBuf::Uuid(bytes)]) => plain(KeyRef::Uuid(*bytes)),
            (_, elements) => encode_tuple(elements),
        });
        Ok(ATOLL_OK)
    })
}

/// As atoll_encode_key(), of a tuple whatever the number of its parts: one part is a tuple of one, none the
/// empty tuple.
///
/// A tuple is a prefix of all that begin with its parts. Free `*key` with atoll_buf_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_encode_key_tuple(
    parts: *const atoll_key_part,
    n: usize,
    key: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("key", key)? };
        // SAFETY: the contract of the header.
        let elements = unsafe { read(parts, n)? };
        *out = atoll_buf::hand_over(encode_tuple(&elements));
        Ok(ATOLL_OK)
    })
}

/// Takes a composite key apart: `parts` of room for `max_n` get its parts, `*n` says how many there are.
/// Views of bytes, text and UUIDs belong to `*contents`: free it with atoll_buf_free() once they have served.
///
/// Any thread. ATOLL_BUFFER_TOO_SMALL if there are more than `max_n`; `*n` says how many, `*contents` is
/// NULL. ATOLL_E_INVALID for bytes that are no composite key.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_decode_key_tuple(
    key: *const c_void,
    key_len: usize,
    parts: *mut atoll_key_part,
    max_n: usize,
    n: *mut usize,
    contents: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (contents, n) = unsafe { (fresh("contents", contents)?, out("n", n)?) };
        // SAFETY: the contract of the header.
        let elements = decode_tuple(unsafe { form("key", key, key_len)? })?;
        let (mut found, mut all) = (Vec::new(), Vec::new());
        flatten(&elements, &mut found, &mut all);
        *n = found.len();
        if max_n < found.len() {
            return Ok(ATOLL_BUFFER_TOO_SMALL);
        }
        // SAFETY: the contract of the header: there is room for `max_n`, which is no less.
        let parts = unsafe { array_mut("parts", parts, found.len())? };
        let buf = atoll_buf::hand_over(all);
        // SAFETY: made one line above.
        let mut rest = unsafe { &*buf }.as_slice();
        for (part, (kind, integer, len)) in parts.iter_mut().zip(found) {
            let (bytes, after) = rest.split_at(len);
            rest = after;
            *part = atoll_key_part {
                kind,
                reserved: 0,
                integer,
                bytes: if len == 0 {
                    atoll_bytes::EMPTY
                } else {
                    atoll_bytes::of(bytes)
                },
            };
        }
        *contents = buf;
        Ok(ATOLL_OK)
    })
}

/// Kind, integer and number of bytes of every part, with its bytes at the end of `all`. As deep as the
/// tuples, which decoding has bounded.
fn flatten(elements: &[KeyBuf], found: &mut Vec<(u32, i64, usize)>, all: &mut Vec<u8>) {
    for element in elements {
        let mut with_bytes = |kind, bytes: &[u8]| {
            all.extend_from_slice(bytes);
            found.push((kind, 0, bytes.len()));
        };
        match element {
            KeyBuf::Bytes(bytes) => with_bytes(ATOLL_KEY_BYTES, bytes),
            KeyBuf::Text(text) => with_bytes(ATOLL_KEY_TEXT, text.as_bytes()),
            KeyBuf::Uuid(bytes) => with_bytes(ATOLL_KEY_UUID, bytes),
            KeyBuf::Int(value) => found.push((ATOLL_KEY_INT, *value, 0)),
            KeyBuf::Tuple(inner) => {
                found.push((ATOLL_KEY_BEGIN, 0, 0));
                flatten(inner, found, all);
                found.push((ATOLL_KEY_END, 0, 0));
            }
        }
    }
}
