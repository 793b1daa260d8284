//! A resolver that is a function of the program.
//!
//! In: a C function and what it wants handed in. Out: a rule of the engine that calls it. Must never: let go
//! of what the program handed in before the last call has ended, let go of it twice, or hand out memory for
//! the function to free.

#![expect(unsafe_code, reason = "raw pointers come from C, and C functions are called")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::{CStr, c_char, c_void};

use atoll::versioning::Version;
use parking_lot::Mutex;

use crate::bytes::{ATOLL_MAX_VALUE_BYTES, atoll_bytes, text, value};
use crate::call::{call, exclusive, handle};
use crate::causal::{atoll_version_view, view};
use crate::error::Failure;
use crate::panic::guard;
use crate::status::*;

/// Decides between versions of a key that did not know each other: at least two, each once, in the order of
/// who wrote them.
///
/// Its result goes through atoll_out_write(), atoll_out_choose() or atoll_out_delete(); it returns ATOLL_OK,
/// or anything else if it cannot decide (atoll_out_fail() says why), which the call that needed it answers
/// with ATOLL_E_CALLBACK. The views are valid until it returns.
///
/// It may be called from any thread, and from several at the same time. Every replica runs it: it must be
/// deterministic, give the same whatever versions were merged first, and read no clock. It must not throw an
/// exception, longjmp() or end its thread: an exception that reaches the library ends the process. It may use
/// other handles.
pub type atoll_resolve_fn = Option<
    unsafe extern "C-unwind" fn(
        ctx: *mut c_void,
        key: atoll_bytes,
        versions: *const atoll_version_view,
        n: usize,
        out: *mut atoll_out,
    ) -> atoll_status,
>;

/// Lets go of what was handed in with a function. Called exactly once, on any thread; it must not throw.
pub type atoll_ctx_free_fn = Option<unsafe extern "C-unwind" fn(ctx: *mut c_void)>;

/// Where a resolver's function puts its result. Valid until that function returns; one thread at a time.
pub struct atoll_out {
    said: Mutex<Said>,
    versions: usize,
}

#[derive(Default)]
struct Said {
    result: Option<Decision>,
    reason: String,
}

enum Decision {
    Value(Vec<u8>),
    Version(usize),
    Delete,
}

/// What the program handed in, let go of exactly once.
pub(crate) struct Ctx {
    ctx: *mut c_void,
    free: atoll_ctx_free_fn,
}

// SAFETY: the program promises that its function may be called, and its context be let go of, on any thread.
unsafe impl Send for Ctx {}
// SAFETY: as above, at the same time.
unsafe impl Sync for Ctx {}

impl Ctx {
    pub(crate) fn new(ctx: *mut c_void, free: atoll_ctx_free_fn) -> Ctx {
        Ctx { ctx, free }
    }

    /// What the program wants to be handed.
    pub(crate) fn pointer(&self) -> *mut c_void {
        self.ctx
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            // SAFETY: the function is the program's for exactly this, and this is the only place that calls it.
            guard((), || unsafe { free(self.ctx) });
        }
    }
}

/// Asks the program's function; the rule of the engine that does so keeps `ctx`.
pub(crate) fn ask(
    ctx: &Ctx,
    function: unsafe extern "C-unwind" fn(
        *mut c_void,
        atoll_bytes,
        *const atoll_version_view,
        usize,
        *mut atoll_out,
    ) -> atoll_status,
    key: &[u8],
    versions: &[Version],
) -> Result<Option<Vec<u8>>, String> {
    let contexts: Vec<Vec<u8>> = versions
        .iter()
        .map(|version| version.context.to_bytes())
        .collect();
    let views: Vec<atoll_version_view> = versions
        .iter()
        .zip(&contexts)
        .map(|(version, context)| view(version, context))
        .collect();
    let out = atoll_out {
        said: Mutex::new(Said::default()),
        versions: versions.len(),
    };
    // SAFETY: the function has this type by the promise of whoever registered it; all it is shown outlives the call, and
    // `out` is only ever looked at through shared references.
    let status = unsafe {
        function(
            ctx.ctx,
            atoll_bytes::of(key),
            views.as_ptr(),
            views.len(),
            (&raw const out).cast_mut(),
        )
    };
    let said = out.said.into_inner();
    if status != ATOLL_OK {
        return Err(match said.reason.is_empty() {
            true => format!("its function answered {}", name(status)),
            false => said.reason,
        });
    }
    match said.result {
        Some(Decision::Value(value)) => Ok(Some(value)),
        Some(Decision::Version(i)) => Ok(versions[i].value.clone()),
        Some(Decision::Delete) => Ok(None),
        None => Err("its function neither wrote a value, nor chose a version, nor deleted".to_owned()),
    }
}

fn name(status: atoll_status) -> String {
    let name: &CStr = crate::status::name(status);
    format!("{} ({status})", name.to_string_lossy())
}

/// Changes what a function has said so far; an error there has no object, since there is nowhere to put it.
///
/// # Safety
/// `out` is NULL or what the function was handed, which has not returned yet.
unsafe fn say(
    out: *mut atoll_out,
    change: impl FnOnce(&mut Said, usize) -> Result<(), Failure>,
) -> atoll_status {
    call(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        let out = unsafe { handle("out", out)? };
        change(&mut *exclusive("result of a resolver", &out.said)?, out.versions)?;
        Ok(ATOLL_OK)
    })
}

/// Writes the value that the versions come to; called again, adds to it. The bytes are copied.
///
/// Only inside a resolver's function. ATOLL_E_INVALID if the value grows longer than ATOLL_MAX_VALUE_BYTES.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_out_write(
    out: *mut atoll_out,
    data: *const c_void,
    len: usize,
) -> atoll_status {
    // SAFETY: the contract of the header.
    unsafe {
        say(out, |said, _| {
            // SAFETY: the contract of the header.
            let more = value(data, len)?;
            match &mut said.result {
                Some(Decision::Value(value)) if value.len() + more.len() > ATOLL_MAX_VALUE_BYTES => {
                    return Err(Failure::invalid("the value is too long"));
                }
                Some(Decision::Value(value)) => value.extend_from_slice(more),
                result => *result = Some(Decision::Value(more.to_vec())),
            }
            Ok(())
        })
    }
}

/// Chooses the value of version number `i` of those that the function was shown, or its deletion.
///
/// Only inside a resolver's function. ATOLL_E_INVALID for a number that there is not.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_out_choose(out: *mut atoll_out, i: usize) -> atoll_status {
    // SAFETY: the contract of the header.
    unsafe {
        say(out, |said, versions| {
            if i >= versions {
                return Err(Failure::invalid(format!(
                    "there is no version {i}: there are {versions}"
                )));
            }
            said.result = Some(Decision::Version(i));
            Ok(())
        })
    }
}

/// Decides that the key is deleted. Only inside a resolver's function.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_out_delete(out: *mut atoll_out) -> atoll_status {
    // SAFETY: the contract of the header.
    unsafe {
        say(out, |said, _| {
            said.result = Some(Decision::Delete);
            Ok(())
        })
    }
}

/// Says why the function cannot decide, for the message of the error; it must then return a status that is
/// not ATOLL_OK. Only inside a resolver's function.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_out_fail(out: *mut atoll_out, reason: *const c_char) -> atoll_status {
    // SAFETY: the contract of the header.
    unsafe {
        say(out, |said, _| {
            // SAFETY: the contract of the header.
            said.reason = text("reason", reason)?.to_owned();
            Ok(())
        })
    }
}
