//! What one user of a cluster has seen: sessions and tokens.
//!
//! In: the tokens of writes, what reads were answered from. Out: `atoll_session`, which any number of calls may share, and bytes that
//! any language may hand to any other. Must never: mix clusters.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_void;

use atoll::cluster::Session;

use super::options::token_of;
use crate::bytes::{atoll_buf, slice};
use crate::call::{call, free, fresh, handle};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::status::*;

/// What one user of a cluster has written and read. Any number of threads may use it at once.
///
/// Name it in atoll_cluster_write_opts and atoll_cluster_read_opts: reads at ATOLL_CONSISTENCY_READ_YOUR_WRITES then include every write
/// of the session and never show an older state than an earlier read of it did, from whichever copy.
pub struct atoll_session {
    pub(super) session: Session,
}

/// Makes a session that has seen nothing, of no cluster yet. Free it with atoll_session_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_session_new() -> *mut atoll_session {
    guard(std::ptr::null_mut(), || {
        Box::into_raw(Box::new(atoll_session {
            session: Session::new(),
        }))
    })
}

/// Frees a session; not while a call uses it. NULL is allowed. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_session_free(session: *mut atoll_session) {
    // SAFETY: the contract of the header.
    unsafe { free(session) }
}

/// Asks from now on for what a token speaks of, too: of another session, program or language. An empty one asks for nothing.
///
/// ATOLL_E_INVALID for bytes that are no token, or one of another cluster. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_session_see(
    session: *const atoll_session,
    token: *const c_void,
    token_len: usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (session, token) = unsafe { (handle("session", session)?, slice("token", token, token_len)?) };
        if !token.is_empty() {
            session.session.see(&token_of(token)?)?;
        }
        Ok(ATOLL_OK)
    })
}

/// Gives the token of everything the session has seen. Free `*token` with atoll_buf_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_session_token(
    session: *const atoll_session,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let token = unsafe { fresh("token", token)? };
        // SAFETY: the contract of the header.
        let session = unsafe { handle("session", session)? };
        *token = atoll_buf::hand_over(session.session.token().to_bytes());
        Ok(ATOLL_OK)
    })
}

/// Gives a token that asks for what either of two asks for: of two writes, or of two programs. Either may be empty.
///
/// Free `*token` with atoll_buf_free(). ATOLL_E_INVALID for tokens of different clusters, or bytes that are none. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_token_merge(
    a: *const c_void,
    a_len: usize,
    b: *const c_void,
    b_len: usize,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let token = unsafe { fresh("token", token)? };
        // SAFETY: the contract of the header.
        let (a, b) = unsafe { (slice("a", a, a_len)?, slice("b", b, b_len)?) };
        let merged = match (a, b) {
            ([], other) | (other, []) => other.to_vec(),
            (a, b) => {
                let mut merged = token_of(a)?;
                let joined = merged.merge(&token_of(b)?);
                joined.map_err(|error| Failure::invalid(error.to_string()))?;
                merged.to_bytes()
            }
        };
        *token = atoll_buf::hand_over(merged);
        Ok(ATOLL_OK)
    })
}
