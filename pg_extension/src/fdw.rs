//! Foreign data wrapper `atoll_fdw`: tables whose rows lie on other servers, one slot a table.
//!
//! In: foreign tables of nominal servers with the options `group` and `slot`. Out: rows and changes of the
//! node that holds the slot now. Must never: let postgres_fdw open a connection.
//!
//! Planning and deparsing are postgres_fdw's, reached through its handler only; every callback that would
//! connect is replaced. `options.rs` checks options, `scan.rs` reads, `modify.rs` writes row by row,
//! `bulk.rs` copies many rows, `direct.rs` runs whole UPDATE and DELETE statements there, `task.rs` starts statements together,
//! `key.rs` keeps the distribution key from being updated, `moved.rs` moves rows where that is allowed, `maintain.rs` truncates and samples,
//! `limit.rs` keeps nodes from sending more than is shown, `partitionwise.rs`, `partial.rs` (with `state.rs`) and `joins.rs` have them group
//! and join, `explain.rs` shows where a plan goes.

#![expect(
    unsafe_code,
    reason = "calls postgres_fdw's handler and builds PostgreSQL's table of callbacks"
)]

mod bulk;
pub(crate) mod convert;
mod direct;
mod explain;
mod joins;
mod key;
mod limit;
pub(crate) mod list;
mod maintain;
mod modify;
mod moved;
mod options;
mod partial;
pub(crate) mod partitionwise;
mod scan;
mod state;
mod task;

use std::cell::Cell;

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;

/// Values become text that every server reads alike while this is kept.
pub(crate) fn portable_formats() -> impl Drop {
    convert::Formats::new()
}

/// At the end of a transaction.
pub(crate) fn forget() {
    task::forget();
    bulk::forget(0);
}

/// When a subtransaction is rolled back.
pub(crate) fn forget_rows(depth: i32) {
    bulk::forget(depth);
}

/// Brings rows that were put aside to their nodes, before anything else is asked of one.
pub(crate) fn settle_rows() {
    bulk::settle();
}

thread_local! {
    static BASE: Cell<Option<&'static pg_sys::FdwRoutine>> = const { Cell::new(None) };
}

/// postgres_fdw's callbacks.
fn base() -> &'static pg_sys::FdwRoutine {
    if let Some(base) = BASE.get() {
        return base;
    }
    // SAFETY: the library's handler takes no arguments and returns a routine; a copy of it is kept.
    let base = unsafe {
        let handler = pg_sys::load_external_function(
            c"$libdir/postgres_fdw".as_ptr(),
            c"postgres_fdw_handler".as_ptr(),
            true,
            std::ptr::null_mut(),
        );
        let handler: unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum =
            std::mem::transmute(handler);
        let mut call = pg_sys::FunctionCallInfoBaseData::default();
        let routine = pg_guard_ffi_boundary(|| handler(&mut call));
        &*Box::leak(Box::new(*routine.cast_mut_ptr::<pg_sys::FdwRoutine>()))
    };
    BASE.set(Some(base));
    base
}

extension_sql!(
    r#"
CREATE FUNCTION atoll_fdw_handler() RETURNS fdw_handler AS 'MODULE_PATHNAME', 'atoll_fdw_handler' LANGUAGE c STRICT;
CREATE FOREIGN DATA WRAPPER atoll_fdw HANDLER atoll_fdw_handler VALIDATOR atoll_fdw_validator;
REVOKE ALL ON FUNCTION atoll_fdw_handler() FROM PUBLIC;
"#,
    name = "atoll_fdw",
    requires = [options::atoll_fdw_validator],
);

#[unsafe(no_mangle)]
#[doc(hidden)]
pub extern "C" fn pg_finfo_atoll_fdw_handler() -> &'static pg_sys::Pg_finfo_record {
    const VERSION: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &VERSION
}

/// `atoll.atoll_fdw_handler()`: the callbacks of the wrapper.
///
/// # Safety
/// Called by PostgreSQL only.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn atoll_fdw_handler(_call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let base = base();
    // SAFETY: a node of this size in the caller's memory, filled before it is seen.
    unsafe {
        let routine = pg_sys::palloc0(size_of::<pg_sys::FdwRoutine>()).cast::<pg_sys::FdwRoutine>();
        (*routine).type_ = pg_sys::NodeTag::T_FdwRoutine;
        // Planning: these read options and statistics of this server only, without `use_remote_estimate`,
        // which the validator refuses.
        (*routine).GetForeignRelSize = base.GetForeignRelSize;
        (*routine).GetForeignPaths = base.GetForeignPaths;
        (*routine).GetForeignPlan = Some(limit::plan);
        (*routine).GetForeignJoinPaths = Some(joins::paths);
        (*routine).GetForeignUpperPaths = Some(partial::upper_paths);
        (*routine).AddForeignUpdateTargets = base.AddForeignUpdateTargets;
        (*routine).IsForeignRelUpdatable = base.IsForeignRelUpdatable;
        (*routine).RecheckForeignScan = base.RecheckForeignScan;
        // Execution: ours alone.
        (*routine).BeginForeignScan = Some(scan::begin);
        (*routine).IterateForeignScan = Some(scan::iterate);
        (*routine).ReScanForeignScan = Some(scan::rescan);
        (*routine).EndForeignScan = Some(scan::end);
        (*routine).PlanForeignModify = Some(key::plan_modify);
        (*routine).PlanDirectModify = Some(key::plan_direct);
        (*routine).BeginForeignModify = Some(modify::begin);
        (*routine).BeginForeignInsert = Some(modify::begin_insert);
        (*routine).ExecForeignInsert = Some(modify::insert);
        (*routine).ExecForeignBatchInsert = Some(modify::batch_insert);
        (*routine).GetForeignModifyBatchSize = Some(modify::batch_size);
        (*routine).ExecForeignUpdate = Some(modify::update);
        (*routine).ExecForeignDelete = Some(modify::delete);
        (*routine).EndForeignModify = Some(modify::end);
        (*routine).EndForeignInsert = Some(modify::end);
        (*routine).BeginDirectModify = Some(direct::begin);
        (*routine).IterateDirectModify = Some(direct::iterate);
        (*routine).EndDirectModify = Some(scan::end);
        (*routine).ExecForeignTruncate = Some(maintain::truncate);
        (*routine).AnalyzeForeignTable = Some(maintain::analyze);
        (*routine).ExplainForeignScan = Some(explain::scan);
        (*routine).ExplainForeignModify = Some(explain::modify);
        (*routine).ExplainDirectModify = Some(explain::direct);
        pg_sys::Datum::from(routine)
    }
}
