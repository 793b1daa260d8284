//! Changes of the nodes of a router: what would move, and the router afterwards.
//!
//! In: a router and one change. Out: the plan as JSON, and a new router. Must never: change a router, or
//! carry data: a topology only announces which slots are on their way.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use std::ffi::c_void;

use atoll::routing::{Change, Router};

use crate::bytes::{atoll_buf, form, utf8};
use crate::call::{Outcome, call, handle, out};
use crate::cluster::change::change_of;
use crate::error::{Failure, atoll_error};
use crate::router::{atoll_router, node_spec};
use crate::status::*;

/// Where the two results of a plan go; each may be unwanted.
struct Results<'a> {
    json: Option<&'a mut *mut atoll_buf>,
    after: Option<&'a mut *mut atoll_router>,
}

impl<'a> Results<'a> {
    /// # Safety
    /// Each is NULL or may be written.
    unsafe fn new(json: *mut *mut atoll_buf, after: *mut *mut atoll_router) -> Results<'a> {
        // SAFETY: the caller's promise.
        let (mut json, mut after) = unsafe { (out("json", json).ok(), out("after", after).ok()) };
        if let Some(json) = &mut json {
            **json = std::ptr::null_mut();
        }
        if let Some(after) = &mut after {
            **after = std::ptr::null_mut();
        }
        Results { json, after }
    }

    fn fill(self, router: &Router, change: &Change) -> Outcome {
        let plan = match change {
            Change::Add(node) => router.plan_add(node)?,
            Change::Remove(node) => router.plan_remove(node)?,
            Change::Reweight { node, weight } => router.plan_reweight(node, *weight)?,
            _ => {
                return Err(Failure::invalid(
                    "a router plans one change of one node at a time",
                ));
            }
        };
        let text = serde_json::to_vec(&plan).map_err(|error| Failure::invalid(error.to_string()))?;
        // Whatever can fail comes first, so that neither result is made alone.
        if let Some(out) = self.after {
            let after = match (router.topology(), &plan.slots, change) {
                (Some(topology), Some(slots), _) => Router::from_topology(topology.with_plan(slots)?),
                (_, _, Change::Add(node)) => router.with_node(node)?,
                (_, _, Change::Reweight { node, weight }) => router.with_weight(node, *weight)?,
                (_, _, Change::Remove(node)) => router.without_node(node)?,
                _ => return Err(Failure::invalid("there is no router after this change")),
            };
            *out = atoll_router::hand_over(after);
        }
        if let Some(out) = self.json {
            *out = atoll_buf::hand_over(text);
        }
        Ok(ATOLL_OK)
    }
}

/// Tells what adding a node at the end of the list would move, as JSON: algorithm, change, moved (fraction of
/// all keys whose owner changes), minimum (the least that any method could move), ratio,
/// moved_between_old_nodes, nodes, and slots for a topology. Nothing changes.
///
/// `json` and `after` may be NULL; otherwise they get the plan, to be freed with atoll_buf_free(), and the
/// router with the node, to be freed with atoll_router_free(): of a topology its next version, in which the
/// node is a member and the slots of the plan are on their way. Both are NULL after an error. Any thread;
/// time grows with points and slots. ATOLL_E_INVALID for a name that is there already, for ranges, and for
/// routers without named nodes.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_plan_add(
    router: *const atoll_router,
    node: *const c_void,
    node_len: usize,
    weight: u32,
    json: *mut *mut atoll_buf,
    after: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let results = unsafe { Results::new(json, after) };
        // SAFETY: the contract of the header.
        let (router, node) = unsafe { (handle("router", router)?, node_spec(node, node_len, weight)?) };
        results.fill(&router.router, &Change::Add(node))
    })
}

/// As atoll_router_plan_add(), of taking a node away. ATOLL_E_INVALID for a name that is not there, and for
/// the last node.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_plan_remove(
    router: *const atoll_router,
    node: *const c_void,
    node_len: usize,
    json: *mut *mut atoll_buf,
    after: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let results = unsafe { Results::new(json, after) };
        // SAFETY: the contract of the header.
        let (router, node) = unsafe { (handle("router", router)?, utf8("node", node, node_len)?) };
        results.fill(&router.router, &Change::Remove(node.to_owned()))
    })
}

/// As atoll_router_plan_add(), of giving a node another weight, 0 for one that is to be empty.
/// ATOLL_E_INVALID for a name that is not there, and for algorithms without weights.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_plan_reweight(
    router: *const atoll_router,
    node: *const c_void,
    node_len: usize,
    weight: u32,
    json: *mut *mut atoll_buf,
    after: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let results = unsafe { Results::new(json, after) };
        // SAFETY: the contract of the header.
        let (router, node) = unsafe { (handle("router", router)?, utf8("node", node, node_len)?) };
        let node = node.to_owned();
        results.fill(&router.router, &Change::Reweight { node, weight })
    })
}

/// As atoll_router_plan_add(), of a change in JSON, as plans show it:
/// {"add":{"name":"d","weight":2,"zone":"x","rack":"1"}}, {"remove":"a"},
/// {"reweight":{"node":"a","weight":3}}. ATOLL_E_INVALID for other changes too.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_plan(
    router: *const atoll_router,
    change: *const c_void,
    change_len: usize,
    json: *mut *mut atoll_buf,
    after: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let results = unsafe { Results::new(json, after) };
        // SAFETY: the contract of the header.
        let (router, change) = unsafe { (handle("router", router)?, form("change", change, change_len)?) };
        results.fill(&router.router, &change_of(change)?)
    })
}
