//! Resolvers: what a reader gets when writes stand side by side.
//!
//! In: the name of a rule, or a function of the program; versions as bytes. Out: `atoll_resolver`, what the
//! versions come to, and whether a rule keeps its laws. Must never: store anything.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::{CString, c_char, c_void};
use std::sync::{Arc, LazyLock};

use atoll::routing::hash64;
use atoll::versioning::conformance::Search;
use atoll::versioning::resolve::{Callback, NodePriority, RESOLVERS};
use atoll::versioning::{NodeId, Resolver, Version, VersionError, resolver};

use crate::bytes::{self, Packed, atoll_buf, text, value};
use crate::call::{call, free, fresh, handle};
use crate::callback::{Ctx, ask, atoll_ctx_free_fn, atoll_resolve_fn};
use crate::causal::atoll_versions;
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::status::*;

/// A rule for versions that did not know each other. Any thread.
pub struct atoll_resolver {
    rule: Arc<dyn Resolver>,
    name: CString,
    /// Whether the rule is a function of the program.
    asks: bool,
}

static NAMES: LazyLock<Vec<CString>> = LazyLock::new(|| {
    let names = RESOLVERS.split(", ");
    names.filter_map(|name| CString::new(name).ok()).collect()
});

impl atoll_resolver {
    fn hand_over(rule: Arc<dyn Resolver>, asks: bool) -> Result<*mut atoll_resolver, Failure> {
        let name = CString::new(rule.name()).map_err(|_| Failure::invalid("a name holds no NUL"))?;
        Ok(Box::into_raw(Box::new(atoll_resolver { rule, name, asks })))
    }

    /// What `versions` come to.
    pub(crate) fn resolve(&self, key: &[u8], versions: &[Version]) -> Result<Vec<Version>, Failure> {
        let outcome = self.rule.resolve(key, versions);
        Ok(outcome.map_err(|error| self.failed(error))?.into_versions())
    }

    fn failed(&self, error: VersionError) -> Failure {
        match error {
            VersionError::Unresolvable { .. } if self.asks => {
                Failure::new(ATOLL_E_CALLBACK, error.to_string())
            }
            error => error.into(),
        }
    }
}

/// Returns the name of built-in rule number `i`, from 0 on; NULL past the last one.
///
/// The string lives as long as the library stays loaded. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_resolver_builtin_name(i: usize) -> *const c_char {
    guard(std::ptr::null(), || {
        NAMES.get(i).map_or(std::ptr::null(), |name| name.as_ptr())
    })
}

/// Gives a built-in rule by its name: lww (the latest write), node_priority, fields, set_union, counter, max,
/// min, siblings (leaves the choice to the reader).
///
/// `*resolver` is NULL after an error; free it with atoll_resolver_free(). Any thread. ATOLL_E_INVALID for an
/// unknown name; the message lists those there are.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_resolver_builtin(
    name: *const c_char,
    resolver: *mut *mut atoll_resolver,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("resolver", resolver)? };
        // SAFETY: the contract of the header.
        let name = unsafe { text("name", name)? };
        *out = atoll_resolver::hand_over(self::resolver(name)?, false)?;
        Ok(ATOLL_OK)
    })
}

/// Gives the rule node_priority with an order of nodes, `n` packed names, the most important first: the write
/// of the first node in the list wins.
///
/// `*resolver` is NULL after an error; free it with atoll_resolver_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_resolver_node_priority(
    names: *const u8,
    name_offsets: *const u32,
    n: usize,
    resolver: *mut *mut atoll_resolver,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("resolver", resolver)? };
        // SAFETY: the contract of the header.
        let names = unsafe { Packed::new(names, name_offsets, n)? };
        // A node's id is the hash of its name, as in every topology.
        let order = names.iter().map(|name| NodeId(hash64(name))).collect();
        *out = atoll_resolver::hand_over(Arc::new(NodePriority::new(order)), false)?;
        Ok(ATOLL_OK)
    })
}

/// Makes a rule of a function of the program. `name` is the rule's, in messages; `ctx` is handed to every
/// call.
///
/// `ctx_free` may be NULL; otherwise it is called exactly once with `ctx`: when the rule is no longer in use
/// after atoll_resolver_free(), and before this returns if it fails. `*resolver` is NULL after an error. Any
/// thread. ATOLL_E_INVALID without a function, for an empty name, and for that of a built-in rule.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_resolver_new(
    name: *const c_char,
    function: atoll_resolve_fn,
    ctx: *mut c_void,
    ctx_free: atoll_ctx_free_fn,
    resolver: *mut *mut atoll_resolver,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // Taken over before anything can fail.
    let ctx = Ctx::new(ctx, ctx_free);
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("resolver", resolver)? };
        // SAFETY: the contract of the header.
        let name = unsafe { text("name", name)? };
        let function = function.ok_or_else(|| Failure::invalid("function is NULL"))?;
        if name.is_empty() || self::resolver(name).is_ok() {
            return Err(Failure::invalid(format!(
                "{name:?} cannot be the name of a rule: it is empty, or that of a built-in one"
            )));
        }
        let rule = Callback::new(name, move |key: &[u8], versions: &[Version]| {
            ask(&ctx, function, key, versions)
        });
        *out = atoll_resolver::hand_over(Arc::new(rule), true)?;
        Ok(ATOLL_OK)
    })
}

/// Returns the name of a rule; "" for NULL. The string belongs to the resolver. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_resolver_name(resolver: *const atoll_resolver) -> *const c_char {
    guard(c"".as_ptr(), || {
        // SAFETY: the contract of the header.
        unsafe { resolver.as_ref() }.map_or(c"".as_ptr(), |resolver| resolver.name.as_ptr())
    })
}

/// Frees a resolver. NULL is allowed. What was opened with it keeps the rule.
///
/// Any thread, once no other call on it is under way.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_resolver_free(resolver: *mut atoll_resolver) {
    // SAFETY: the contract of the header.
    unsafe { free(resolver) }
}

/// Tells what `n` packed versions of a key come to: version i is
/// versions[version_offsets[i]..version_offsets[i + 1]], in the bytes that atoll_version_encode() gives.
/// `*resolved` holds one version, or several where the rule leaves the choice to the reader; none if `n` is
/// 0. One that was merged carries the stamp and the name of the latest of its parts.
///
/// A rule that is a function is not asked about fewer than two different versions. Free `*resolved` with
/// atoll_versions_free(); it is NULL after an error. Nothing stored changes. Any thread, also inside a
/// resolver's function. ATOLL_E_CALLBACK if a function could not decide, ATOLL_E_INVALID if a built-in rule
/// cannot read a value, ATOLL_E_CORRUPT for bytes that are no version.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_resolver_resolve(
    resolver: *const atoll_resolver,
    key: *const c_void,
    key_len: usize,
    versions: *const u8,
    version_offsets: *const u32,
    n: usize,
    resolved: *mut *mut atoll_versions,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("resolved", resolved)? };
        // SAFETY: the contract of the header.
        let (resolver, key, versions) = unsafe {
            (
                handle("resolver", resolver)?,
                bytes::key(key, key_len)?,
                Packed::new(versions, version_offsets, n)?,
            )
        };
        let versions = versions.iter().map(Version::from_bytes);
        let versions: Vec<Version> = versions.collect::<Result<_, _>>()?;
        *out = atoll_versions::hand_over(resolver.resolve(key, &versions)?);
        Ok(ATOLL_OK)
    })
}

/// Gives the value as a user reads it, where the rule keeps more in it than that: of `fields` the plain JSON
/// object, of `counter` the number. For other rules the value itself.
///
/// Free `*presented` with atoll_buf_free(). Any thread. ATOLL_E_INVALID if the value is not one of this
/// rule's.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_resolver_present(
    resolver: *const atoll_resolver,
    value: *const c_void,
    value_len: usize,
    presented: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("presented", presented)? };
        // SAFETY: the contract of the header.
        let (resolver, value) = unsafe { (handle("resolver", resolver)?, self::value(value, value_len)?) };
        let presented = resolver.rule.present(value);
        *out = atoll_buf::hand_over(presented.map_err(|error| Failure::invalid(error.to_string()))?);
        Ok(ATOLL_OK)
    })
}

/// Searches for versions on which a rule breaks what every rule owes: the same result each time, in any
/// order, in any grouping, and with repetitions. `*counter_example` is NULL if none was found, otherwise a
/// text that shows the smallest.
///
/// Values are drawn from `n` packed ones that the rule can read (value i is
/// values[value_offsets[i]..value_offsets[i + 1]]); few and different ones find more. The same `seed`
/// searches the same `cases` inputs; 0 cases stand for 2,000. It cannot prove a rule right. Free
/// `*counter_example` with atoll_buf_free(). Any thread; takes as long as the rule takes for some thirty
/// calls a case.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_resolver_check(
    resolver: *const atoll_resolver,
    seed: u64,
    cases: u32,
    values: *const u8,
    value_offsets: *const u32,
    n: usize,
    counter_example: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("counter_example", counter_example)? };
        // SAFETY: the contract of the header.
        let (resolver, values) = unsafe {
            (
                handle("resolver", resolver)?,
                Packed::new(values, value_offsets, n)?,
            )
        };
        let values: Vec<&[u8]> = values.iter().collect();
        if values.is_empty() {
            return Err(Failure::invalid("a search needs at least one value"));
        }
        let search = match cases {
            0 => Search::new(seed),
            cases => Search::new(seed).cases(cases),
        };
        let draw = |random: u64| values[(random % values.len() as u64) as usize].to_vec();
        if let Some(found) = search.run(&*resolver.rule, draw) {
            *out = atoll_buf::hand_over(found.to_string().into_bytes());
        }
        Ok(ATOLL_OK)
    })
}
