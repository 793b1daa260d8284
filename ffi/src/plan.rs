//! Changes of the nodes of a router: what would move, and the router afterwards.
//!
//! In: a router and one change. Out: the plan as JSON, and a new router. Must never: change a router, or carry data: a
//! topology only announces which slots are on their way.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use std::ffi::c_char;

use atoll::routing::{NodeSpec, Router, RouterPlan, RoutingError};

use crate::bytes::{atoll_buf, text};
use crate::call::{Outcome, call, handle, out};
use crate::error::{Failure, atoll_error};
use crate::router::atoll_router;
use crate::status::*;

/// Where the two results of a plan go; each may be unwanted.
struct Results<'a> {
    plan: Option<&'a mut *mut atoll_buf>,
    next: Option<&'a mut *mut atoll_router>,
}

impl<'a> Results<'a> {
    /// # Safety
    /// Each is NULL or may be written.
    unsafe fn new(plan: *mut *mut atoll_buf, next: *mut *mut atoll_router) -> Results<'a> {
        // SAFETY: the caller's promise.
        let (mut plan, mut next) = unsafe { (out("plan", plan).ok(), out("next", next).ok()) };
        if let Some(plan) = &mut plan {
            **plan = std::ptr::null_mut();
        }
        if let Some(next) = &mut next {
            **next = std::ptr::null_mut();
        }
        Results { plan, next }
    }

    fn fill(
        self,
        router: &Router,
        plan: &RouterPlan,
        change: impl FnOnce() -> Result<Router, RoutingError>,
    ) -> Outcome {
        let text = serde_json::to_vec(plan).map_err(|error| Failure::invalid(error.to_string()))?;
        // Whatever can fail comes first, so that neither result is made alone.
        if let Some(out) = self.next {
            let next = match (router.topology(), &plan.slots) {
                (Some(topology), Some(slots)) => Router::from_topology(topology.with_plan(slots)?),
                _ => change()?,
            };
            *out = atoll_router::hand_over(next);
        }
        if let Some(out) = self.plan {
            *out = atoll_buf::hand_over(text);
        }
        Ok(ATOLL_OK)
    }
}

/// Plans a node that joins at the end of the list ("NAME", "NAME=WEIGHT", "NAME=WEIGHT@ZONE/RACK"): what moves, as JSON with the
/// fields algorithm, change, moved (fraction of all keys whose owner changes), minimum (the fewest that any method could move),
/// ratio, moved_between_old_nodes, nodes, and slots for a topology.
///
/// `plan` and `next` may be NULL. Free `*plan` with atoll_buf_free(), and `*next`, the router afterwards, with
/// atoll_router_free(): of a topology it is the next version, in which the node is a member and the slots of the plan are on their way. Any
/// thread; time grows with points and slots. ATOLL_E_INVALID for a name that is there already, for ranges, and for routers
/// without named nodes; both are NULL after an error.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_plan_add(
    router: *const atoll_router,
    node: *const c_char,
    plan: *mut *mut atoll_buf,
    next: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let results = unsafe { Results::new(plan, next) };
        // SAFETY: the contract of the header.
        let (router, node) = unsafe { (&handle("router", router)?.router, text("node", node)?) };
        let node: NodeSpec = node.parse()?;
        let plan = router.plan_add(&node)?;
        results.fill(router, &plan, || router.with_node(&node))
    })
}

/// Plans that a node leaves, named by its name alone. Results as for atoll_router_plan_add().
///
/// Any thread. ATOLL_E_INVALID for a name that is not there, for the last node, and as for atoll_router_plan_add().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_plan_remove(
    router: *const atoll_router,
    name: *const c_char,
    plan: *mut *mut atoll_buf,
    next: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let results = unsafe { Results::new(plan, next) };
        // SAFETY: the contract of the header.
        let (router, name) = unsafe { (&handle("router", router)?.router, text("name", name)?) };
        let plan = router.plan_remove(name)?;
        results.fill(router, &plan, || router.without_node(name))
    })
}

/// Plans another weight of a node, 0 for one that is to be empty. Results as for atoll_router_plan_add().
///
/// Any thread. ATOLL_E_INVALID for a name that is not there, for algorithms without weights, and as for
/// atoll_router_plan_add().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_plan_reweight(
    router: *const atoll_router,
    name: *const c_char,
    weight: u32,
    plan: *mut *mut atoll_buf,
    next: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let results = unsafe { Results::new(plan, next) };
        // SAFETY: the contract of the header.
        let (router, name) = unsafe { (&handle("router", router)?.router, text("name", name)?) };
        let plan = router.plan_reweight(name, weight)?;
        results.fill(router, &plan, || router.with_weight(name, weight))
    })
}
