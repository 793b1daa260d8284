//! Lets PostgreSQL's planner group and join distributed tables slot by slot.
//!
//! In: queries, before they are planned. Out: the same, planned with `enable_partitionwise_aggregate` and
//! `enable_partitionwise_join` where a distributed table is grouped or joined. Must never: change what a query
//! gives, or leave a setting changed.
//!
//! A hook of the planner: a backend that loads this library with its first statement plans that one without it.

#![expect(unsafe_code, reason = "hooks the planner and walks queries")]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};

use pgrx::pg_guard;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;

use super::limit;
use crate::settings;
use crate::versions::{expression_tree_walker, query_tree_walker};

thread_local! {
    static BEFORE: Cell<pg_sys::planner_hook_type> = const { Cell::new(None) };
}

/// Called when the library is loaded.
pub(crate) fn install() {
    // SAFETY: the hook stays loaded as long as the backend; whoever was there before is called by ours.
    unsafe {
        BEFORE.set(pg_sys::planner_hook);
        pg_sys::planner_hook = Some(plan);
    }
}

/// What a query has.
#[derive(Default)]
struct Found {
    partitioned: Vec<pg_sys::Oid>,
    groups: bool,
}

impl Found {
    /// How many of its tables are distributed, counted where that matters: most statements neither group nor join.
    fn distributed(&self) -> usize {
        if !self.groups && self.partitioned.len() < 2 {
            return 0;
        }
        // SAFETY: tables of the query that is about to be planned.
        let is_ours = |&&table: &&pg_sys::Oid| unsafe { is_distributed(table) };
        self.partitioned.iter().filter(is_ours).count()
    }
}

/// The planner's settings, put back when this is dropped: also while an error unwinds.
struct Switched(bool, bool);

impl Switched {
    fn on(found: &Found) -> Self {
        let distributed = found.distributed();
        // SAFETY: variables of the backend's thread.
        unsafe {
            let before = Self(
                pg_sys::enable_partitionwise_aggregate,
                pg_sys::enable_partitionwise_join,
            );
            pg_sys::enable_partitionwise_aggregate |= found.groups && distributed > 0;
            pg_sys::enable_partitionwise_join |= distributed > 1;
            before
        }
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe {
            pg_sys::enable_partitionwise_aggregate = self.0;
            pg_sys::enable_partitionwise_join = self.1;
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn plan(
    query: *mut pg_sys::Query,
    text: *const c_char,
    options: c_int,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    let mut found = Found::default();
    // SAFETY: arguments as PostgreSQL gave them.
    unsafe {
        if settings::push_down() {
            visit(query.cast(), (&raw mut found).cast());
        }
        let _switched = Switched::on(&found);
        match BEFORE.get() {
            Some(before) => pg_guard_ffi_boundary(|| before(query, text, options, parameters)),
            None => pg_sys::standard_planner(query, text, options, parameters),
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn visit(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: a tree of a query; the tag says which node it is, and the context is that of `plan`.
    unsafe {
        let found = &mut *context.cast::<Found>();
        match (*node).type_ {
            pg_sys::NodeTag::T_Query => {
                let query = node.cast::<pg_sys::Query>();
                found.groups |= (*query).hasAggs || !(*query).groupClause.is_null();
                let flags = pg_sys::QTW_EXAMINE_RTES_BEFORE as c_int;
                pg_guard_ffi_boundary(|| query_tree_walker(query, visit, context, flags))
            }
            pg_sys::NodeTag::T_RangeTblEntry => {
                let entry = node.cast::<pg_sys::RangeTblEntry>();
                let is_partitioned = (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION
                    && (*entry).relkind == pg_sys::RELKIND_PARTITIONED_TABLE as c_char;
                if is_partitioned {
                    found.partitioned.push((*entry).relid);
                }
                false
            }
            _ => pg_guard_ffi_boundary(|| expression_tree_walker(node, visit, context)),
        }
    }
}

/// Whether the first part of a partitioned table is a foreign table of this wrapper.
unsafe fn is_distributed(table: pg_sys::Oid) -> bool {
    // SAFETY: tables of a query that is planned are locked; the list of parts is the relation cache's.
    unsafe {
        let relation = pg_sys::relation_open(table, pg_sys::NoLock as i32);
        let parts = pg_sys::RelationGetPartitionDesc(relation, true);
        let first = ((*parts).nparts > 0).then(|| *(*parts).oids);
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        let Some(first) = first else { return false };
        if pg_sys::get_rel_relkind(first) != pg_sys::RELKIND_FOREIGN_TABLE as c_char {
            return false;
        }
        let routine = pg_sys::GetFdwRoutineByRelId(first);
        (*routine)
            .GetForeignPlan
            .is_some_and(|plan| plan as usize == limit::plan as *const () as usize)
    }
}
