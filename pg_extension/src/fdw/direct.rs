//! UPDATE and DELETE that run whole on the other server.
//!
//! In: a plan of postgres_fdw with the statement. Out: the number of rows, or the rows of RETURNING. Must
//! never: run outside of the local transaction.

#![expect(unsafe_code, reason = "reads PostgreSQL's executor nodes and fills slots")]

use pgrx::pg_guard;
use pgrx::prelude::*;

use super::convert::clear;
use super::{list, scan};

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn begin(node: *mut pg_sys::ForeignScanState, flags: i32) {
    if flags as u32 & pg_sys::EXEC_FLAG_EXPLAIN_ONLY != 0 {
        return;
    }
    // SAFETY: PostgreSQL calls with a node of this wrapper, whose plan has SQL, whether it returns rows, their
    // columns and whether to count them.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        let columns = list::integers(list::pointer((*plan).fdw_private, 2));
        scan::prepare(node, &columns, true, true);
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn iterate(
    node: *mut pg_sys::ForeignScanState,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: as above; the query's state and the result relation belong to the node.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        let returns = list::boolean((*plan).fdw_private, 1);
        let counts = list::boolean((*plan).fdw_private, 3);
        let slot = (*node).ss.ss_ScanTupleSlot;
        let estate = (*node).ss.ps.state;
        let Some(state) = scan::state(node) else {
            return slot;
        };
        if !state.handle.is_started() {
            scan::settle(estate);
            let values = state.values(node);
            state.handle.start(&values);
        }
        match state.handle.next() {
            Some(row) => {
                state.reader.fill(slot, &row);
                if counts {
                    (*estate).es_processed += 1;
                }
                let relation = (*node).resultRelInfo;
                if !(*relation).ri_projectReturning.is_null() {
                    (*(*(*relation).ri_projectReturning).pi_exprContext).ecxt_scantuple = slot;
                }
            }
            None => {
                if !returns && counts {
                    (*estate).es_processed += state.handle.affected();
                }
                clear(slot);
            }
        }
        slot
    }
}
