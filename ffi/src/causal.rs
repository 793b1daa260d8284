//! Causal contexts and versions: what a read hands out and a write hands back.
//!
//! In: their bytes, which any language may keep and hand to any other. Out: how two contexts relate, their
//! union, the facts of a version. Must never: guess at bytes that are damaged.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_void;

use atoll::versioning::{Context, Dot, Hlc, Version};

use crate::bytes::{atoll_buf, atoll_bytes, form, value};
use crate::call::{call, free, fresh, handle, out};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::status::*;
use crate::vclock::order;

/// A version of a key: one write, named for ever by node, incarnation and sequence.
///
/// This struct never grows, because arrays of it are handed over.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_version_view {
    /// The value; empty if the write deleted.
    pub value: atoll_bytes,
    /// The bytes of what its writer had read: a causal context.
    pub context: atoll_bytes,
    /// When its node stamped it, as atoll_hlc_pack() packs it.
    pub stamp: u64,
    /// The node that accepted it: xxh3_64 of its name.
    pub node: u64,
    /// Which of the writes of that node and incarnation it is, from 1.
    pub sequence: u64,
    /// Life of the node's data.
    pub incarnation: u32,
    /// 1 if the write deleted, otherwise 0.
    pub deleted: u32,
}

/// A view of a version, of which `context` are the bytes of its context.
pub(crate) fn view(version: &Version, context: &[u8]) -> atoll_version_view {
    atoll_version_view {
        value: version
            .value
            .as_deref()
            .map_or(atoll_bytes::EMPTY, atoll_bytes::of),
        context: atoll_bytes::of(context),
        stamp: version.stamp.0,
        node: version.dot.actor.node.0,
        sequence: version.dot.sequence,
        incarnation: version.dot.actor.incarnation.0,
        deleted: u32::from(version.value.is_none()),
    }
}

/// Some versions, in the order of who wrote them. Any thread.
pub struct atoll_versions {
    versions: Vec<(Version, Vec<u8>)>,
}

impl atoll_versions {
    pub(crate) fn hand_over(versions: Vec<Version>) -> *mut atoll_versions {
        let with_context = |version: Version| {
            let context = version.context.to_bytes();
            (version, context)
        };
        Box::into_raw(Box::new(atoll_versions {
            versions: versions.into_iter().map(with_context).collect(),
        }))
    }
}

/// The context of these bytes; no bytes at all have seen nothing.
fn context(bytes: &[u8]) -> Result<Context, Failure> {
    if bytes.is_empty() {
        return Ok(Context::new());
    }
    Ok(Context::from_bytes(bytes)?)
}

/// Tells how the left causal context relates to the right one: ATOLL_VC_EQUAL, ATOLL_VC_BEFORE,
/// ATOLL_VC_AFTER or ATOLL_VC_CONCURRENT. A length of 0 stands for having seen nothing.
///
/// Any thread. ATOLL_E_CORRUPT if either is no context.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_context_compare(
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
                form("left", left, left_len)?,
                form("right", right, right_len)?,
                out("order", order)?,
            )
        };
        *answer = self::order(context(left)?.compare(&context(right)?));
        Ok(ATOLL_OK)
    })
}

/// Gives the causal context that has seen what both have seen: that of a write which replaces two values.
///
/// Free `*merged` with atoll_buf_free(). Any thread. ATOLL_E_CORRUPT if either is no context.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_context_merge(
    left: *const c_void,
    left_len: usize,
    right: *const c_void,
    right_len: usize,
    merged: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("merged", merged)? };
        // SAFETY: the contract of the header.
        let (left, right) = unsafe { (form("left", left, left_len)?, form("right", right, right_len)?) };
        let mut both = context(left)?;
        both.join(&context(right)?);
        *out = atoll_buf::hand_over(both.to_bytes());
        Ok(ATOLL_OK)
    })
}

/// The version that a caller describes.
///
/// # Safety
/// Its views can be read.
pub(crate) unsafe fn version_of(version: &atoll_version_view) -> Result<Version, Failure> {
    // SAFETY: the caller's promise.
    let (held, seen) = unsafe {
        (
            value(version.value.data.cast(), version.value.len)?,
            form("context", version.context.data.cast(), version.context.len)?,
        )
    };
    if version.deleted > 1 || version.deleted == 1 && !held.is_empty() {
        return Err(Failure::invalid("a version is either deleted (1) or has a value"));
    }
    let seen = context(seen)?;
    let dot = Dot::new(version.node, version.incarnation, version.sequence);
    if version.sequence == 0 || seen.contains(dot) {
        return Err(Failure::invalid(
            "sequences count from 1, and no version has seen itself",
        ));
    }
    Ok(Version {
        dot,
        stamp: Hlc(version.stamp),
        context: seen,
        value: (version.deleted == 0).then(|| held.to_vec()),
    })
}

/// Gives the bytes of a version. An empty context stands for having seen nothing.
///
/// Free `*encoded` with atoll_buf_free(). Any thread. ATOLL_E_INVALID for sequence 0, for a deletion with a
/// value and for a version that has seen itself, ATOLL_E_CORRUPT for bytes that are no context.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_version_encode(
    version: *const atoll_version_view,
    encoded: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("encoded", encoded)? };
        // SAFETY: the contract of the header.
        let version = unsafe { version_of(handle("version", version)?)? };
        let mut bytes = Vec::new();
        version.encode_into(&mut bytes);
        *out = atoll_buf::hand_over(bytes);
        Ok(ATOLL_OK)
    })
}

/// Reads the bytes of a version. The views in `*version` are views of `encoded`.
///
/// Any thread. ATOLL_E_CORRUPT for anything but the one form of a version.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_version_decode(
    encoded: *const c_void,
    encoded_len: usize,
    version: *mut atoll_version_view,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (encoded, out) = unsafe { (form("encoded", encoded, encoded_len)?, out("version", version)?) };
        let read = Version::from_bytes(encoded)?;
        let mut found = view(&read, &[]);
        // The form is the only one: after dot and stamp comes the context, and the value stands at the end.
        let context = &encoded[32..][..read.context.to_bytes().len()];
        found.context = atoll_bytes::of(context);
        found.value = match &read.value {
            Some(value) => atoll_bytes::of(&encoded[encoded.len() - value.len()..]),
            None => atoll_bytes::EMPTY,
        };
        *out = found;
        Ok(ATOLL_OK)
    })
}

/// Returns how many versions there are; 0 for NULL. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_versions_count(versions: *const atoll_versions) -> usize {
    guard(0, || {
        // SAFETY: the contract of the header.
        unsafe { versions.as_ref() }.map_or(0, |versions| versions.versions.len())
    })
}

/// Tells version number `i`, from 0 on. Its views are valid until the versions are freed.
///
/// Any thread. ATOLL_END past the last one.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_versions_at(
    versions: *const atoll_versions,
    i: usize,
    version: *mut atoll_version_view,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (versions, out) = unsafe { (handle("versions", versions)?, out("version", version)?) };
        let Some((version, context)) = versions.versions.get(i) else {
            return Ok(ATOLL_END);
        };
        *out = view(version, context);
        Ok(ATOLL_OK)
    })
}

/// Frees versions. NULL is allowed.
///
/// Any thread, once no other call on them is under way.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_versions_free(versions: *mut atoll_versions) {
    // SAFETY: the contract of the header.
    unsafe { free(versions) }
}
