//! Reading: one statement for one slot.
//!
//! In: a plan of postgres_fdw with its SQL. Out: rows, streamed. Must never: start a statement for EXPLAIN.

#![expect(unsafe_code, reason = "reads PostgreSQL's executor nodes and fills slots")]

use std::ffi::CString;

use pgrx::prelude::*;
use pgrx::{PgMemoryContexts, pg_guard};

use super::convert::{Outputs, RowReader, clear};
use super::task::Handle;
use super::{list, task};
use crate::remote::nodes;
use crate::versions;

/// The state of a scan or of a direct modification.
pub(super) struct Scan {
    pub(super) handle: Handle,
    pub(super) reader: RowReader,
    parameters: *mut pg_sys::List,
    outputs: Outputs,
}

impl Scan {
    /// The values of the parameters now.
    ///
    /// # Safety
    /// The node that this is the state of.
    pub(super) unsafe fn values(&mut self, node: *mut pg_sys::ForeignScanState) -> Vec<Option<CString>> {
        let mut texts = Vec::new();
        // SAFETY: expressions of this node, evaluated in its context; those functions may raise.
        unsafe {
            let context = (*node).ss.ps.ps_ExprContext;
            let expressions = list::pointers::<pg_sys::ExprState>(self.parameters);
            let values = expressions.into_iter().map(|expression| {
                let mut null = false;
                let evaluate = (*expression).evalfunc?;
                let value = pg_sys::ffi::pg_guard_ffi_boundary(|| evaluate(expression, context, &mut null));
                (!null).then_some(value)
            });
            self.outputs.texts(values, &mut texts);
        }
        texts
    }
}

/// Prepares a scan whose plan has the SQL and its columns as first two private fields.
///
/// # Safety
/// A node in its Begin callback, not for EXPLAIN.
pub(super) unsafe fn prepare(
    node: *mut pg_sys::ForeignScanState,
    columns: &[i32],
    joins: bool,
    writes: bool,
) {
    // SAFETY: as the caller says; the executor has filled the node.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        let estate = (*node).ss.ps.state;
        let relation = match (*plan).scan.scanrelid {
            0 => pg_sys::bms_next_member((*plan).fs_relids, -1) as u32,
            relation => relation,
        };
        let user = versions::role_of_scan(node, relation);
        let place = nodes::place_of((*plan).fs_server);
        let target = nodes::node_of(place);
        let types = (*(*node).ss.ss_ScanTupleSlot).tts_tupleDescriptor;
        if (*plan).scan.scanrelid == 0 {
            name_row_types(types, plan, estate);
        }
        let parameters = pg_sys::ExecInitExprList((*plan).fdw_exprs, &mut (*node).ss.ps);
        let kinds: Vec<_> = list::pointers::<pg_sys::Node>((*plan).fdw_exprs)
            .into_iter()
            .map(|expression| pg_sys::exprType(expression))
            .collect();
        // Only plans of `partial.rs` have a fifth field.
        let shapes = if list::len((*plan).fdw_private) > 4 && !writes {
            list::integers(list::pointer((*plan).fdw_private, 4))
        } else {
            Vec::new()
        };
        let state = Scan {
            handle: Handle::new(
                estate,
                plan.cast(),
                (target, user),
                list::string((*plan).fdw_private, 0),
                (joins, writes, !kinds.is_empty()),
            ),
            reader: RowReader::new(types, columns).with_shapes(&shapes),
            parameters,
            outputs: Outputs::new(&kinds),
        };
        (*node).fdw_state = PgMemoryContexts::For((*estate).es_query_cxt)
            .leak_and_drop_on_delete(state)
            .cast();
    }
}

/// A whole row in a pushed-down join is an anonymous record to PostgreSQL, which cannot be read from text:
/// gives it the row type of its table.
///
/// # Safety
/// The descriptor of the scan of this plan.
unsafe fn name_row_types(
    types: pg_sys::TupleDesc,
    plan: *const pg_sys::ForeignScan,
    estate: *const pg_sys::EState,
) {
    // SAFETY: the list has an entry for each attribute of the descriptor, which belongs to this query.
    unsafe {
        for (n, entry) in list::pointers::<pg_sys::TargetEntry>((*plan).fdw_scan_tlist)
            .into_iter()
            .enumerate()
        {
            let column = versions::column(types, n);
            let variable = (*entry).expr.cast::<pg_sys::Var>();
            if (*column).atttypid != pg_sys::RECORDOID
                || (*variable).xpr.type_ != pg_sys::NodeTag::T_Var
                || (*variable).varattno != 0
            {
                continue;
            }
            let relation = list::pointer::<pg_sys::RangeTblEntry>(
                (*estate).es_range_table,
                (*variable).varno as usize - 1,
            );
            let type_ = pg_sys::get_rel_type_id((*relation).relid);
            if type_ != pg_sys::InvalidOid {
                (*column).atttypid = type_;
            }
        }
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn begin(node: *mut pg_sys::ForeignScanState, flags: i32) {
    if flags as u32 & pg_sys::EXEC_FLAG_EXPLAIN_ONLY != 0 {
        return;
    }
    // SAFETY: PostgreSQL calls with a node of this wrapper.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        let columns = list::integers(list::pointer((*plan).fdw_private, 1));
        let statement = (*(*node).ss.ps.state).es_plannedstmt;
        let changes = matches!(
            (*statement).commandType,
            pg_sys::CmdType::CMD_UPDATE | pg_sys::CmdType::CMD_DELETE
        );
        let joins = changes || (*statement).hasModifyingCTE || list::len((*statement).rowMarks) > 0;
        prepare(node, &columns, joins, false);
    }
}

/// The state of a node, or none for EXPLAIN.
///
/// # Safety
/// A node of this wrapper.
pub(super) unsafe fn state<'a>(node: *mut pg_sys::ForeignScanState) -> Option<&'a mut Scan> {
    // SAFETY: as the caller says; set by `prepare`, freed with the query's memory.
    unsafe { (*node).fdw_state.cast::<Scan>().as_mut() }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn iterate(
    node: *mut pg_sys::ForeignScanState,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: PostgreSQL calls with a node of this wrapper that has begun.
    unsafe {
        let slot = (*node).ss.ss_ScanTupleSlot;
        let Some(scan) = state(node) else { return slot };
        if !scan.handle.is_started() {
            let values = scan.values(node);
            scan.handle.start(&values);
        }
        match scan.handle.next() {
            Some(row) => scan.reader.fill(slot, &row),
            None => clear(slot),
        }
        slot
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn rescan(node: *mut pg_sys::ForeignScanState) {
    // SAFETY: as above.
    if let Some(scan) = unsafe { state(node) } {
        scan.handle.reset();
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn end(node: *mut pg_sys::ForeignScanState) {
    // SAFETY: as above.
    if let Some(scan) = unsafe { state(node) } {
        scan.handle.reset();
    }
}

/// See `task::settle`.
pub(super) fn settle(estate: *const pg_sys::EState) {
    task::settle(estate);
}
