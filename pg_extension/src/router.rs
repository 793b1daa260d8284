//! The router path: a statement whose keys lie in one slot goes to that slot's node as it is.
//!
//! In: statements over distributed tables, before they are planned. Out: a plan of one node that sends the whole
//! statement, with the names of the slot's tables, to the node that holds the slot. Must never: change what a
//! statement answers: whatever is not understood whole goes the way of `fdw`.
//!
//! `shape.rs` decides which statements can go and takes them apart, `values.rs` finds what is computed here and
//! travels as a parameter, `tables.rs` knows distributed tables and the part of a key, `statement.rs` writes the
//! text for a slot, `run.rs` executes, `commit.rs` says when a write may commit on its node by itself.
//!
//! Only speed and reach depend on this hook. It is there from the moment the library is loaded: in the first
//! statement of a session only if the server or the session preloads it.

#![expect(unsafe_code, reason = "installs a planner hook and a kind of plan node")]

mod commit;
mod run;
mod shape;
mod statement;
mod tables;
mod values;

use std::cell::Cell;

use pgrx::pg_guard;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;

use crate::{catalog, settings};

thread_local! {
    static PREVIOUS: Cell<pg_sys::planner_hook_type> = const { Cell::new(None) };
}

/// Called when the library is loaded.
pub(crate) fn define() {
    // SAFETY: on the backend's thread; the hook and the methods stay as long as the process.
    unsafe {
        PREVIOUS.set(pg_sys::planner_hook);
        pg_sys::planner_hook = Some(plan);
        pg_sys::RegisterCustomScanMethods(run::methods());
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn plan(
    parse: *mut pg_sys::Query,
    text: *const std::ffi::c_char,
    options: i32,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: PostgreSQL's own arguments, read only, then passed on.
    unsafe {
        let scrolls = options as u32 & pg_sys::CURSOR_OPT_SCROLL != 0;
        if settings::router()
            && !scrolls
            && !catalog::changes_itself()
            && let Some(route) = shape::route(parse)
        {
            // A cursor shows what was there when it was declared.
            let is_cursor = options as u32 & pg_sys::CURSOR_OPT_FAST_PLAN != 0;
            return run::plan(parse, &route, is_cursor);
        }
        match PREVIOUS.get() {
            Some(previous) => pg_guard_ffi_boundary(|| previous(parse, text, options, parameters)),
            None => pg_sys::standard_planner(parse, text, options, parameters),
        }
    }
}

/// A new node of PostgreSQL's in the current memory context.
///
/// # Safety
/// The tag belongs to the type.
unsafe fn node<T>(tag: pg_sys::NodeTag) -> *mut T {
    // SAFETY: zeroed memory of the node's size; every node begins with its tag.
    unsafe {
        let made = pg_sys::palloc0(size_of::<T>()).cast::<pg_sys::Node>();
        (*made).type_ = tag;
        made.cast()
    }
}

/// A copy of a node with everything below it.
///
/// # Safety
/// A node, or null.
unsafe fn copy<T>(node: *const T) -> *mut T {
    // SAFETY: as the caller says.
    unsafe { pg_sys::copyObjectImpl(node.cast()).cast() }
}

/// The kind of a node.
///
/// # Safety
/// A node.
unsafe fn tag<T>(node: *const T) -> pg_sys::NodeTag {
    // SAFETY: every node begins with its tag.
    unsafe { (*node.cast::<pg_sys::Node>()).type_ }
}
