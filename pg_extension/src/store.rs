//! The foreign data wrapper `atoll_store`: a store directory of the engine as SQL tables.
//!
//! In: PostgreSQL's calls for foreign tables whose server names a directory. Out: rows in the order of their
//! keys, and changes that the store takes whole at the end of the transaction. Must never: leave a thread of
//! the engine, a mapped file or a registered snapshot behind a transaction; show a change that was not
//! committed; write what somebody else has written meanwhile.
//!
//! A directory is read through the engine's reader, beside whatever process writes it. Changes wait in memory
//! (`pending.rs`) and are written while the transaction commits: only then is the store opened for writing,
//! and closed again. Read `shape.rs` first (what rows are made of), then `session.rs`.

#![expect(unsafe_code, reason = "builds PostgreSQL's table of callbacks")]

mod explain;
mod import;
mod modify;
mod options;
mod pending;
mod plan;
mod sample;
mod scan;
pub(crate) mod session;
mod shape;
mod value;

use pgrx::prelude::*;

extension_sql!(
    r#"
CREATE FUNCTION atoll_store_handler() RETURNS fdw_handler AS 'MODULE_PATHNAME', 'atoll_store_handler' LANGUAGE c STRICT;
CREATE FOREIGN DATA WRAPPER atoll_store HANDLER atoll_store_handler VALIDATOR atoll_store_validator;
REVOKE ALL ON FUNCTION atoll_store_handler() FROM PUBLIC;
"#,
    name = "atoll_store",
    requires = [options::atoll_store_validator],
);

#[unsafe(no_mangle)]
#[doc(hidden)]
pub extern "C" fn pg_finfo_atoll_store_handler() -> &'static pg_sys::Pg_finfo_record {
    const VERSION: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &VERSION
}

/// `atoll.atoll_store_handler()`: the callbacks of the wrapper.
///
/// # Safety
/// Called by PostgreSQL only.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn atoll_store_handler(_call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: a node of this size in the caller's memory, filled before it is seen.
    unsafe {
        let routine = pg_sys::palloc0(size_of::<pg_sys::FdwRoutine>()).cast::<pg_sys::FdwRoutine>();
        (*routine).type_ = pg_sys::NodeTag::T_FdwRoutine;
        (*routine).GetForeignRelSize = Some(plan::size);
        (*routine).GetForeignPaths = Some(plan::paths);
        (*routine).GetForeignPlan = Some(plan::plan);
        (*routine).BeginForeignScan = Some(scan::begin);
        (*routine).IterateForeignScan = Some(scan::iterate);
        (*routine).ReScanForeignScan = Some(scan::rescan);
        (*routine).EndForeignScan = Some(scan::end);
        (*routine).ExplainForeignScan = Some(explain::scan);
        (*routine).AddForeignUpdateTargets = Some(modify::add_targets);
        (*routine).PlanForeignModify = Some(modify::plan);
        (*routine).BeginForeignModify = Some(modify::begin);
        (*routine).BeginForeignInsert = Some(modify::begin_insert);
        (*routine).ExecForeignInsert = Some(modify::insert);
        (*routine).ExecForeignUpdate = Some(modify::update);
        (*routine).ExecForeignDelete = Some(modify::delete);
        (*routine).EndForeignModify = Some(modify::end);
        (*routine).EndForeignInsert = Some(modify::end);
        (*routine).AnalyzeForeignTable = Some(sample::analyze);
        (*routine).ImportForeignSchema = Some(import::import);
        pg_sys::Datum::from(routine)
    }
}
