//! `ORDER BY … LIMIT`: no node sends more rows than the statement can show.
//!
//! In: the plan postgres_fdw makes of a scan of one slot. Out: the same, with a LIMIT in its statement where the
//! rows above the limit of every slot cannot be asked for. Must never: limit a scan whose rows something above it
//! may still drop, join or count.
//!
//! PostgreSQL's planner works out how many rows a sort at the top has to give (`limit_tuples`): constants only,
//! and nothing where rows are grouped, made distinct, counted by windows or multiplied. A slot whose rows come in
//! that order, or in any if none is asked for, has to give no more than that either: the merge above takes each
//! row of the answer from among the first of its slot.

#![expect(unsafe_code, reason = "reads the planner's state and completes a plan")]

use std::ffi::CString;

use pgrx::pg_guard;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;

use super::{base, list, partial};

/// Replaces postgres_fdw's `GetForeignPlan`.
///
/// # Safety
/// Called by the planner.
#[pg_guard]
pub(super) unsafe extern "C-unwind" fn plan(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    table: pg_sys::Oid,
    path: *mut pg_sys::ForeignPath,
    targets: *mut pg_sys::List,
    clauses: *mut pg_sys::List,
    outer: *mut pg_sys::Plan,
) -> *mut pg_sys::ForeignScan {
    let callback = base().GetForeignPlan.expect("postgres_fdw plans scans");
    // SAFETY: arguments as the planner gave them; the plan is ours to complete before anybody sees it.
    unsafe {
        if let Some(scan) = partial::plan(root, path, targets, outer) {
            return scan;
        }
        let scan = pg_guard_ffi_boundary(|| callback(root, rel, table, path, targets, clauses, outer));
        if let Some(rows) = rows_to_give(root, rel, path, scan) {
            let private = (*scan).fdw_private;
            let sql = format!("{} LIMIT {rows}", list::string(private, 0));
            let sql = CString::new(sql).expect("a statement has no zero byte");
            (*list::pointer::<pg_sys::String>(private, 0)).sval = pg_sys::pstrdup(sql.as_ptr());
        }
        scan
    }
}

/// How many rows of a scan can be asked for at most, if that is known.
unsafe fn rows_to_give(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    path: *mut pg_sys::ForeignPath,
    scan: *mut pg_sys::ForeignScan,
) -> Option<u64> {
    // SAFETY: the planner's structures while it makes a plan of them.
    unsafe {
        let parse = (*root).parse;
        let limit = (*root).limit_tuples;
        let is_sure = limit >= 1.0
            && limit <= f64::from(i32::MAX)
            && (*parse).commandType == pg_sys::CmdType::CMD_SELECT
            && (*parse).limitOption == pg_sys::LimitOption::LIMIT_OPTION_COUNT
            // Rows that were changed meanwhile are looked at again, and may drop out.
            && (*parse).rowMarks.is_null();
        // The relation alone, or a part of the only relation there is.
        let whole = if (*rel).reloptkind == pg_sys::RelOptKind::RELOPT_OTHER_MEMBER_REL {
            (*rel).top_parent_relids
        } else {
            (*rel).relids
        };
        let is_base = matches!(
            (*rel).reloptkind,
            pg_sys::RelOptKind::RELOPT_BASEREL | pg_sys::RelOptKind::RELOPT_OTHER_MEMBER_REL
        );
        if !is_sure || !is_base || !pg_sys::bms_equal(whole, (*root).all_baserels) {
            return None;
        }
        // Conditions that are looked at here drop rows that the node has counted.
        if !(*scan).scan.plan.qual.is_null() || !(*root).rowMarks.is_null() {
            return None;
        }
        let in_order = pg_sys::pathkeys_contained_in((*root).query_pathkeys, (*path).path.pathkeys);
        in_order.then_some(limit as u64)
    }
}
