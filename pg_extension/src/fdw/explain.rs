//! EXPLAIN (VERBOSE): the slot and the node beside the SQL that is sent there.
//!
//! In: nodes of a plan, executed or not. Out: lines of EXPLAIN. Must never: show a connection string.

#![expect(unsafe_code, reason = "calls postgres_fdw's callbacks and adds properties")]

use std::ffi::CString;

use pgrx::pg_guard;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;

use super::base;
use crate::remote::nodes;

/// # Safety
/// EXPLAIN's state, and a server of this wrapper.
unsafe fn show(server: pg_sys::Oid, es: *mut pg_sys::ExplainState) {
    // SAFETY: as the caller says; labels and values end with a zero and are copied.
    unsafe {
        if !(*es).verbose {
            return;
        }
        let place = nodes::place_of(server);
        let node = CString::new(nodes::node_of(place).name.as_str()).unwrap_or_default();
        pg_sys::ExplainPropertyText(c"Node".as_ptr(), node.as_ptr(), es);
        pg_sys::ExplainPropertyInteger(c"Slot".as_ptr(), std::ptr::null(), place.slot.into(), es);
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn scan(
    node: *mut pg_sys::ForeignScanState,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: PostgreSQL's own arguments; postgres_fdw reads the plan only.
    unsafe {
        if let Some(explain) = base().ExplainForeignScan {
            pg_guard_ffi_boundary(|| explain(node, es));
        }
        show((*(*node).ss.ps.plan.cast::<pg_sys::ForeignScan>()).fs_server, es);
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn direct(
    node: *mut pg_sys::ForeignScanState,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: as above.
    unsafe {
        if let Some(explain) = base().ExplainDirectModify {
            pg_guard_ffi_boundary(|| explain(node, es));
        }
        show((*(*node).ss.ps.plan.cast::<pg_sys::ForeignScan>()).fs_server, es);
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn modify(
    state: *mut pg_sys::ModifyTableState,
    relation: *mut pg_sys::ResultRelInfo,
    private: *mut pg_sys::List,
    subplan: i32,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: as above.
    unsafe {
        if let Some(explain) = base().ExplainForeignModify {
            pg_guard_ffi_boundary(|| explain(state, relation, private, subplan, es));
        }
        let table = (*(*relation).ri_RelationDesc).rd_id;
        show((*pg_sys::GetForeignTable(table)).serverid, es);
    }
}
