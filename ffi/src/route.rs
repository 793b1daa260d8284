//! Look-ups in a router.
//!
//! In: encoded keys, one or packed. Out: numbers of nodes, of buckets, ranges and slots, and views of names.
//! Must never: allocate for an answer, or give a name that outlives the router without saying so.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use std::cell::Cell;
use std::ffi::c_void;

use atoll::routing::Router;

use crate::bytes::{self, Packed, array_mut, atoll_bytes};
use crate::call::{call, handle, out};
use crate::error::{Failure, atoll_error};
use crate::router::atoll_router;
use crate::status::*;

thread_local! {
    /// Where a list of nodes is gathered: it grows once a thread, so that look-ups allocate nothing.
    static OWNERS: Cell<Vec<u16>> = const { Cell::new(Vec::new()) };
}

/// Hands the first `most` nodes of a key to `use_them`.
fn owners<T>(
    router: &Router,
    key: &[u8],
    most: usize,
    use_them: impl FnOnce(&[u16]) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // What a caller claims to have room for must not become memory here.
    let most = most.min(router.nodes().len().max(1));
    // A thread that is ending has no list any more.
    let mut owners = OWNERS.try_with(Cell::take).unwrap_or_default();
    let used = match router.owners(key, most, &mut owners) {
        Ok(_) => use_them(&owners),
        Err(error) => Err(error.into()),
    };
    let _ = OWNERS.try_with(|kept| kept.set(owners));
    used
}

/// Tells which node owns a key: its number, for atoll_router_node_at().
///
/// `key` is encoded, as for all look-ups (atoll_encode_key_i64() and its neighbours; bytes and text are as
/// they are). Any thread; allocates nothing. ATOLL_E_INVALID where answers are numbers (use
/// atoll_router_number()), and for a key outside the domain of a range topology.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_owner(
    router: *const atoll_router,
    key: *const c_void,
    key_len: usize,
    node: *mut u32,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, key, node) = unsafe {
            (
                handle("router", router)?,
                bytes::key(key, key_len)?,
                out("node", node)?,
            )
        };
        *node = router.router.owner(key)?.into();
        Ok(ATOLL_OK)
    })
}

/// Tells the name of the node that owns a key: a view, valid until the router is freed.
///
/// Any thread; allocates nothing. Errors as for atoll_router_owner().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_node(
    router: *const atoll_router,
    key: *const c_void,
    key_len: usize,
    name: *mut atoll_bytes,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, key, name) = unsafe {
            (
                handle("router", router)?,
                bytes::key(key, key_len)?,
                out("name", name)?,
            )
        };
        *name = atoll_bytes::of(router.router.node(key)?.as_bytes());
        Ok(ATOLL_OK)
    })
}

/// Tells the first `max_n` distinct nodes of a key by their numbers, owner first, and in `*n` how many there
/// are: fewer when there are fewer.
///
/// `nodes` has room for `max_n`. Any thread; allocates nothing but a list that each thread keeps.
/// ATOLL_E_INVALID for more than one node of an algorithm that gives one (modulo, jump, range), and as for
/// atoll_router_owner().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_owners(
    router: *const atoll_router,
    key: *const c_void,
    key_len: usize,
    max_n: usize,
    nodes: *mut u32,
    n: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, key, n) =
            unsafe { (handle("router", router)?, bytes::key(key, key_len)?, out("n", n)?) };
        *n = owners(&router.router, key, max_n, |owners| {
            // No more of it than is filled in: a caller may claim a length that cannot be.
            // SAFETY: the contract of the header: there is room for `max_n`, which is no less.
            let nodes = unsafe { array_mut("nodes", nodes, owners.len())? };
            for (node, &owner) in nodes.iter_mut().zip(owners) {
                *node = owner.into();
            }
            Ok(owners.len())
        })?;
        Ok(ATOLL_OK)
    })
}

/// Gives the names of the first `n` distinct nodes of a key, the owner first, into `names`; `*found` is how
/// many there are.
///
/// Views last as long as the router. Otherwise as atoll_router_owners().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_nodes(
    router: *const atoll_router,
    key: *const c_void,
    key_len: usize,
    names: *mut atoll_bytes,
    n: usize,
    found: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, key, found) = unsafe {
            (
                handle("router", router)?,
                bytes::key(key, key_len)?,
                out("found", found)?,
            )
        };
        *found = owners(&router.router, key, n, |owners| {
            // SAFETY: the contract of the header: there is room for `n`, which is no less.
            let names = unsafe { array_mut("names", names, owners.len())? };
            for (name, &owner) in names.iter_mut().zip(owners) {
                let node = &router.router.nodes()[usize::from(owner)];
                *name = atoll_bytes::of(node.name.as_bytes());
            }
            Ok(owners.len())
        })?;
        Ok(ATOLL_OK)
    })
}

/// Tells the number of the place of a key: bucket (modulo, jump), range, slot (slots, redis), token
/// (cassandra, signed), otherwise the number of the owner.
///
/// Any thread; allocates nothing. ATOLL_E_INVALID for a key outside the domain of a range topology.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_number(
    router: *const atoll_router,
    key: *const c_void,
    key_len: usize,
    number: *mut i64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, key, number) = unsafe {
            (
                handle("router", router)?,
                bytes::key(key, key_len)?,
                out("number", number)?,
            )
        };
        *number = router.router.number(key)?;
        Ok(ATOLL_OK)
    })
}

/// Tells the bucket of a number that is spread evenly over 64 bits: `jump` as its paper has it.
///
/// Any thread; allocates nothing. ATOLL_E_INVALID for every other algorithm.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_bucket_of(
    router: *const atoll_router,
    number: u64,
    bucket: *mut u32,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, bucket) = unsafe { (handle("router", router)?, out("bucket", bucket)?) };
        *bucket = router.router.bucket_of_number(number)?;
        Ok(ATOLL_OK)
    })
}

/// Routes `n` packed keys: key i is keys[key_offsets[i]..key_offsets[i + 1]], `answers[i]` gets the number of
/// its owner, or where the router has no named nodes that of its place (atoll_router_number()).
///
/// `key_offsets` has n + 1 entries, ascending from 0; `answers` has room for n. Any thread; allocates
/// nothing. ATOLL_E_INVALID for offsets that descend, and for a key outside the domain of a range topology;
/// some of `answers` may have been written then.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_route_many(
    router: *const atoll_router,
    keys: *const u8,
    key_offsets: *const u32,
    n: usize,
    answers: *mut i64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, keys, answers) = unsafe {
            (
                &handle("router", router)?.router,
                Packed::new(keys, key_offsets, n)?,
                array_mut("answers", answers, n)?,
            )
        };
        let numbered = router.nodes().is_empty();
        for (key, answer) in keys.iter().zip(answers) {
            *answer = if numbered {
                router.number(key)?
            } else {
                router.owner(key)?.into()
            };
        }
        Ok(ATOLL_OK)
    })
}
