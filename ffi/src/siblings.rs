//! The writes of one key that stand side by side.
//!
//! In: local writes with what their writer had read, writes and whole sets of other nodes. Out: the values that nothing has
//! replaced, and the context that replaces them. Must never: drop a write that none of the others has seen.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_void;

use atoll::versioning::{SiblingSet, Version};
use parking_lot::Mutex;

use crate::bytes::{atoll_buf, form, key};
use crate::call::{call, exclusive, free, fresh, handle};
use crate::causal::{atoll_version_view, atoll_versions, version_of};
use crate::error::atoll_error;
use crate::panic::guard;
use crate::resolver::atoll_resolver;
use crate::status::*;

/// The versions of one key that no other one has seen, and the context of all that was ever seen of it. One thread at a time.
///
/// Two nodes that have taken in the same writes, in any order and however often, hold sets of equal bytes.
pub struct atoll_siblings {
    set: Mutex<SiblingSet>,
}

impl atoll_siblings {
    fn hand_over(set: SiblingSet) -> *mut atoll_siblings {
        Box::into_raw(Box::new(atoll_siblings { set: Mutex::new(set) }))
    }
}

/// Makes the set of a key that was never written. Free it with atoll_siblings_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_siblings_new() -> *mut atoll_siblings {
    guard(std::ptr::null_mut(), || {
        atoll_siblings::hand_over(SiblingSet::new())
    })
}

/// Frees a set; not while a call uses it. NULL is allowed. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_siblings_free(siblings: *mut atoll_siblings) {
    // SAFETY: the contract of the header.
    unsafe { free(siblings) }
}

/// Reads the bytes of a set. `*siblings` is NULL after an error; free it with atoll_siblings_free(). Any thread.
/// ATOLL_E_CORRUPT for anything but the one form of a set.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_siblings_decode(
    encoded: *const c_void,
    encoded_len: usize,
    siblings: *mut *mut atoll_siblings,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("siblings", siblings)? };
        // SAFETY: the contract of the header.
        let encoded = unsafe { form("encoded", encoded, encoded_len)? };
        *out = atoll_siblings::hand_over(SiblingSet::from_bytes(encoded)?);
        Ok(ATOLL_OK)
    })
}

/// Gives the bytes of a set, the same in every language. Free `*encoded` with atoll_buf_free(). One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_siblings_encode(
    siblings: *const atoll_siblings,
    encoded: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("encoded", encoded)? };
        // SAFETY: the contract of the header.
        let siblings = unsafe { handle("siblings", siblings)? };
        *out = atoll_buf::hand_over(exclusive("siblings", &siblings.set)?.to_bytes());
        Ok(ATOLL_OK)
    })
}

/// Gives the bytes of the context of all that was seen of the key: what a write that replaces the present values carries. Free
/// `*context` with atoll_buf_free(). One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_siblings_context(
    siblings: *const atoll_siblings,
    context: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("context", context)? };
        // SAFETY: the contract of the header.
        let siblings = unsafe { handle("siblings", siblings)? };
        *out = atoll_buf::hand_over(exclusive("siblings", &siblings.set)?.context().to_bytes());
        Ok(ATOLL_OK)
    })
}

/// Gives the versions that stand side by side, deletions too, in the order of their writers; none for a key that was never written.
/// Free `*versions` with atoll_versions_free(). One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_siblings_versions(
    siblings: *const atoll_siblings,
    versions: *mut *mut atoll_versions,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("versions", versions)? };
        // SAFETY: the contract of the header.
        let siblings = unsafe { handle("siblings", siblings)? };
        let found = exclusive("siblings", &siblings.set)?.versions().to_vec();
        *out = atoll_versions::hand_over(found);
        Ok(ATOLL_OK)
    })
}

/// A write of this node: `version` replaces exactly what its context has seen; an empty context replaces nothing.
///
/// Its sequence must be new for its node and incarnation, its stamp above those it replaces. `encoded` may be NULL; otherwise it gets
/// the bytes to ship to other nodes, as atoll_version_encode() gives them, to be freed with atoll_buf_free(). One thread at a time.
/// ATOLL_E_INVALID, also for what atoll_version_encode() refuses, ATOLL_E_CORRUPT for bytes that are no context: the set is unchanged.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_siblings_put(
    siblings: *mut atoll_siblings,
    version: *const atoll_version_view,
    encoded: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let mut encoded = unsafe { encoded.as_mut() };
        if let Some(encoded) = &mut encoded {
            **encoded = std::ptr::null_mut();
        }
        // SAFETY: the contract of the header.
        let (siblings, version) = unsafe {
            (
                handle("siblings", siblings)?,
                version_of(handle("version", version)?)?,
            )
        };
        let Version {
            dot,
            stamp,
            context,
            value,
        } = version;
        let written = exclusive("siblings", &siblings.set)?.put(dot, stamp, &context, value)?;
        if let Some(encoded) = encoded {
            let mut bytes = Vec::new();
            written.encode_into(&mut bytes);
            *encoded = atoll_buf::hand_over(bytes);
        }
        Ok(ATOLL_OK)
    })
}

/// Takes in a write of another node, in the bytes that atoll_siblings_put() gave there. Order and repetition do not matter.
///
/// One thread at a time. ATOLL_E_CORRUPT for bytes that are no version, ATOLL_E_INVALID if another write bears its name: the set is
/// unchanged.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_siblings_apply(
    siblings: *mut atoll_siblings,
    version: *const c_void,
    version_len: usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (siblings, version) = unsafe {
            (
                handle("siblings", siblings)?,
                form("version", version, version_len)?,
            )
        };
        let version = Version::from_bytes(version)?;
        exclusive("siblings", &siblings.set)?.apply(&version)?;
        Ok(ATOLL_OK)
    })
}

/// Takes in another node's whole set of the same key. Order and repetition do not matter.
///
/// One thread at a time, for both. ATOLL_E_INVALID if the sets hold different writes of one name: `into` is unchanged.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_siblings_merge(
    into: *mut atoll_siblings,
    from: *const atoll_siblings,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (into, from) = unsafe { (handle("into", into)?, handle("from", from)?) };
        if std::ptr::eq(into, from) {
            return Ok(ATOLL_OK);
        }
        let mut into = exclusive("into", &into.set)?;
        into.merge(&*exclusive("from", &from.set)?)?;
        Ok(ATOLL_OK)
    })
}

/// Tells what a rule makes of the versions, for a reader; the set is unchanged. Otherwise as atoll_resolver_resolve().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_siblings_resolve(
    siblings: *const atoll_siblings,
    resolver: *const atoll_resolver,
    key: *const c_void,
    key_len: usize,
    resolved: *mut *mut atoll_versions,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("resolved", resolved)? };
        // SAFETY: the contract of the header.
        let (siblings, resolver, key) = unsafe {
            (
                handle("siblings", siblings)?,
                handle("resolver", resolver)?,
                self::key(key, key_len)?,
            )
        };
        // A copy: the rule may be a function of the caller's, and may look at the set.
        let set = exclusive("siblings", &siblings.set)?.clone();
        *out = atoll_versions::hand_over(resolver.resolve(key, set.versions())?);
        Ok(ATOLL_OK)
    })
}
