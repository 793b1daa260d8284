//! Joins of tables that lie together, slot by slot on the nodes.
//!
//! In: two relations of one nominal server, which is one slot of one group. Out: postgres_fdw's paths for their
//! join, at a price that can win. Must never: join where row security has an order of conditions.
//!
//! postgres_fdw counts a comparison for every pair of rows, as if no node had a hash join or an index, and so
//! finds it cheaper to fetch both tables.

#![expect(unsafe_code, reason = "reads the planner's state and prices paths")]

use pgrx::pg_guard;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;

use super::partial::{TRANSFER, may_leave};
use super::{base, list};

/// What an order that is asked for adds, as postgres_fdw has it.
const SORTED: f64 = 1.2;

/// Replaces postgres_fdw's `GetForeignJoinPaths`.
///
/// # Safety
/// Called by the planner.
#[pg_guard]
pub(super) unsafe extern "C-unwind" fn paths(
    root: *mut pg_sys::PlannerInfo,
    joined: *mut pg_sys::RelOptInfo,
    outer: *mut pg_sys::RelOptInfo,
    inner: *mut pg_sys::RelOptInfo,
    kind: pg_sys::JoinType::Type,
    extra: *mut pg_sys::JoinPathExtraData,
) {
    let callback = base().GetForeignJoinPaths.expect("postgres_fdw plans joins");
    // SAFETY: arguments as the planner gave them.
    unsafe {
        if !may_leave(root) {
            return;
        }
        let ask = |joined| pg_guard_ffi_boundary(|| callback(root, joined, outer, inner, kind, extra));
        // Rows that are locked or changed may be joined again here, by one of the paths that are there.
        let changes = (*(*root).parse).commandType != pg_sys::CmdType::CMD_SELECT;
        if changes || !(*root).rowMarks.is_null() {
            return ask(joined);
        }
        let before = std::mem::replace(&mut (*joined).pathlist, std::ptr::null_mut());
        ask(joined);
        let added = std::mem::replace(&mut (*joined).pathlist, before);
        let (outer, inner) = ((*outer).cheapest_total_path, (*inner).cheapest_total_path);
        for path in list::pointers::<pg_sys::Path>(added) {
            if !outer.is_null() && !inner.is_null() {
                let read = (*outer).rows + (*inner).rows;
                let work = (*outer).total_cost + (*inner).total_cost
                    - (*outer).startup_cost.max((*inner).startup_cost)
                    - read * TRANSFER
                    + read * pg_sys::cpu_operator_cost
                    + (*path).rows * (pg_sys::cpu_tuple_cost + TRANSFER);
                let sorts = if (*path).pathkeys.is_null() { 1.0 } else { SORTED };
                (*path).startup_cost = (*outer).startup_cost.min((*inner).startup_cost);
                (*path).total_cost = (work * sorts).max((*path).startup_cost);
            }
            pg_sys::add_path(joined, path);
        }
    }
}
