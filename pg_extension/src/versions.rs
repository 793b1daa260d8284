//! What PostgreSQL 15 to 18 call differently.
//!
//! In: calls as the rest of the extension makes them. Out: the same, as the version that it is built for wants it.
//! Must never: give one version more, or less, than another.

#![expect(unsafe_code, reason = "calls PostgreSQL")]

use std::ffi::{c_int, c_void};

use pgrx::pg_sys;

use crate::fdw::list;

/// Makes a node of a node.
pub(crate) type Mutator = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> *mut pg_sys::Node;
/// Looks at a node; true ends the walk.
pub(crate) type Walker = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool;

// Since version 16 the functions' names belong to macros, and the bindings lack what is declared without arguments.
unsafe extern "C-unwind" {
    #[cfg_attr(not(feature = "pg15"), link_name = "query_tree_walker_impl")]
    pub(crate) fn query_tree_walker(
        query: *mut pg_sys::Query,
        walker: Walker,
        context: *mut c_void,
        flags: c_int,
    ) -> bool;
    #[cfg_attr(not(feature = "pg15"), link_name = "expression_tree_walker_impl")]
    pub(crate) fn expression_tree_walker(
        node: *mut pg_sys::Node,
        walker: Walker,
        context: *mut c_void,
    ) -> bool;
}

/// A tree made of a query by a mutator.
///
/// # Safety
/// As PostgreSQL says of the function of this name; the mutator must stand the context.
pub(crate) unsafe fn query_tree_mutator(
    query: *mut pg_sys::Query,
    mutator: Mutator,
    context: *mut c_void,
    flags: c_int,
) -> *mut pg_sys::Query {
    // SAFETY: version 15 declares mutators without their arguments and calls them with these two.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::query_tree_mutator(query, Some(untyped(mutator)), context, flags);
        #[cfg(not(feature = "pg15"))]
        return pg_sys::query_tree_mutator_impl(query, Some(mutator), context, flags);
    }
}

/// The same for what stands below a node of an expression.
///
/// # Safety
/// As for `query_tree_mutator`.
pub(crate) unsafe fn expression_tree_mutator(
    node: *mut pg_sys::Node,
    mutator: Mutator,
    context: *mut c_void,
) -> *mut pg_sys::Node {
    // SAFETY: as there.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::expression_tree_mutator(node, Some(untyped(mutator)), context);
        #[cfg(not(feature = "pg15"))]
        return pg_sys::expression_tree_mutator_impl(node, Some(mutator), context);
    }
}

#[cfg(feature = "pg15")]
unsafe fn untyped(mutator: Mutator) -> unsafe extern "C-unwind" fn() -> *mut pg_sys::Node {
    // SAFETY: only PostgreSQL calls it, with the arguments of a mutator.
    unsafe { std::mem::transmute(mutator) }
}

/// A column of a row type, counted from 0.
///
/// # Safety
/// The row type has that many columns.
pub(crate) unsafe fn column(types: pg_sys::TupleDesc, number: usize) -> *mut pg_sys::FormData_pg_attribute {
    // SAFETY: as the caller says; since version 18 the columns lie behind as many short descriptions of them.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        return (*types).attrs.as_mut_ptr().add(number);
        #[cfg(feature = "pg18")]
        return (*types)
            .compact_attrs
            .as_mut_ptr()
            .add((*types).natts as usize)
            .cast::<pg_sys::FormData_pg_attribute>()
            .add(number);
    }
}

/// Whether an order is descending; `None` if it is neither that nor ascending.
///
/// # Safety
/// An order of the planner's, by a B-tree's operators.
pub(crate) unsafe fn is_descending(order: *const pg_sys::PathKey) -> Option<bool> {
    // SAFETY: as the caller says. The numbers of "less" and "greater" are those of the B-tree's strategies.
    let number = unsafe {
        #[cfg(not(feature = "pg18"))]
        {
            (*order).pk_strategy
        }
        #[cfg(feature = "pg18")]
        {
            (*order).pk_cmptype
        }
    };
    match number {
        1 => Some(false),
        5 => Some(true),
        _ => None,
    }
}

/// Whether a collation orders text by its bytes.
///
/// # Safety
/// In a transaction, since the collation may have to be read; may raise.
pub(crate) unsafe fn compares_bytes(collation: pg_sys::Oid) -> bool {
    #[cfg(not(feature = "pg18"))]
    {
        unsafe extern "C-unwind" {
            fn lc_collate_is_c(collation: pg_sys::Oid) -> bool;
        }
        // SAFETY: as the caller says.
        unsafe { pgrx::pg_sys::ffi::pg_guard_ffi_boundary(|| lc_collate_is_c(collation)) }
    }
    #[cfg(feature = "pg18")]
    {
        /// The beginning of what the server knows of a collation.
        #[repr(C)]
        struct Locale {
            provider: std::ffi::c_char,
            is_deterministic: bool,
            compares_bytes: bool,
        }
        unsafe extern "C-unwind" {
            fn pg_newlocale_from_collation(collation: pg_sys::Oid) -> *const Locale;
        }
        if collation == pg_sys::InvalidOid {
            return false;
        }
        // SAFETY: as the caller says; the answer lives as long as the backend.
        unsafe {
            pgrx::pg_sys::ffi::pg_guard_ffi_boundary(|| {
                (*pg_newlocale_from_collation(collation)).compares_bytes
            })
        }
    }
}

/// The condition by which a MERGE joins, if it does not stand in the join tree: version 17 has moved it.
pub(crate) fn merge_condition(query: &pg_sys::Query) -> *mut pg_sys::Node {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    {
        let _ = query;
        std::ptr::null_mut()
    }
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    return query.mergeJoinCondition;
}

/// True if a MERGE also changes rows that the source has nothing for, which version 17 has brought.
///
/// # Safety
/// A MERGE.
pub(crate) unsafe fn merges_unmatched_rows(query: &pg_sys::Query) -> bool {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    {
        let _ = query;
        false
    }
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    // SAFETY: as the caller says.
    unsafe {
        list::pointers::<pg_sys::MergeAction>(query.mergeActionList)
            .into_iter()
            .any(|action| (*action).matchKind == pg_sys::MergeMatchKind::MERGE_WHEN_NOT_MATCHED_BY_SOURCE)
    }
}

/// Has a signal handled.
///
/// # Safety
/// Before the process lets signals in.
pub(crate) unsafe fn on_signal(number: c_int, handler: unsafe extern "C-unwind" fn(c_int)) {
    // SAFETY: as the caller says.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(number, Some(handler));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(number, Some(handler));
    }
}

/// True if this backend holds this lock in this mode.
///
/// # Safety
/// On the backend's thread.
pub(crate) unsafe fn is_lock_held(tag: &pg_sys::LOCKTAG, mode: pg_sys::LOCKMODE) -> bool {
    // SAFETY: reads the backend's own table of locks.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        return pg_sys::LockHeldByMe(tag, mode);
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        return pg_sys::LockHeldByMe(tag, mode, false);
    }
}

/// What a path of a foreign table is made of, beside the planner's own state.
pub(crate) struct ForeignPath {
    pub(crate) rows: f64,
    pub(crate) start: pg_sys::Cost,
    pub(crate) total: pg_sys::Cost,
    pub(crate) order: *mut pg_sys::List,
    pub(crate) outer: pg_sys::Relids,
    pub(crate) private: *mut pg_sys::List,
}

impl ForeignPath {
    /// The path for a whole relation with its own columns.
    ///
    /// # Safety
    /// The planner's state, and a relation of it.
    pub(crate) unsafe fn of(
        self,
        root: *mut pg_sys::PlannerInfo,
        relation: *mut pg_sys::RelOptInfo,
    ) -> *mut pg_sys::ForeignPath {
        // SAFETY: as the caller says.
        unsafe {
            pg_sys::create_foreignscan_path(
                root,
                relation,
                std::ptr::null_mut(),
                self.rows,
                // How many of its nodes a setting like enable_seqscan forbids.
                #[cfg(feature = "pg18")]
                0,
                self.start,
                self.total,
                self.order,
                self.outer,
                std::ptr::null_mut(),
                // The conditions of a pushed join.
                #[cfg(not(any(feature = "pg15", feature = "pg16")))]
                std::ptr::null_mut(),
                self.private,
            )
        }
    }
}

fn or_current(role: pg_sys::Oid) -> pg_sys::Oid {
    if role == pg_sys::InvalidOid {
        // SAFETY: reads a variable of the backend's thread.
        unsafe { pg_sys::GetUserId() }
    } else {
        role
    }
}

/// The role with whose rights a statement uses a table that it names.
///
/// # Safety
/// The state of a running query, and a relation of its range table, counted from 1.
pub(crate) unsafe fn role_of_named(estate: *const pg_sys::EState, relation: u32) -> pg_sys::Oid {
    // SAFETY: as the caller says; an entry's rights are counted from 1, too, and 0 is none.
    unsafe {
        let entry = list::pointer::<pg_sys::RangeTblEntry>((*estate).es_range_table, relation as usize - 1);
        #[cfg(feature = "pg15")]
        return or_current((*entry).checkAsUser);
        #[cfg(not(feature = "pg15"))]
        return match (*entry).perminfoindex {
            0 => pg_sys::GetUserId(),
            number => {
                let infos = (*estate).es_rteperminfos;
                or_current(
                    (*list::pointer::<pg_sys::RTEPermissionInfo>(infos, number as usize - 1)).checkAsUser,
                )
            }
        };
    }
}

/// The role with whose rights a foreign scan reads.
///
/// # Safety
/// The state of a foreign scan in a running query; `relation` is one of those that it reads.
pub(crate) unsafe fn role_of_scan(node: *const pg_sys::ForeignScanState, relation: u32) -> pg_sys::Oid {
    // SAFETY: as the caller says.
    unsafe {
        #[cfg(feature = "pg15")]
        return role_of_named((*node).ss.ps.state, relation);
        #[cfg(not(feature = "pg15"))]
        {
            // Parts of a partitioned table have no rights of their own: the planner has looked at their parent's.
            let _ = relation;
            or_current((*(*node).ss.ps.plan.cast::<pg_sys::ForeignScan>()).checkAsUser)
        }
    }
}

/// The role with whose rights rows of a relation are written: for a part that was reached by routing, those of the
/// table that the statement names.
///
/// # Safety
/// A relation that a running query writes to, and the query's state.
pub(crate) unsafe fn role_of_target(
    relation: *mut pg_sys::ResultRelInfo,
    estate: *mut pg_sys::EState,
) -> pg_sys::Oid {
    // SAFETY: as the caller says.
    unsafe {
        #[cfg(feature = "pg15")]
        {
            let named = if (*relation).ri_RangeTableIndex > 0 {
                relation
            } else {
                (*relation).ri_RootResultRelInfo
            };
            role_of_named(estate, (*named).ri_RangeTableIndex)
        }
        #[cfg(not(feature = "pg15"))]
        or_current(pg_sys::ExecGetResultRelCheckAsUser(relation, estate))
    }
}

/// Gives a plan that was made by hand the rights that its range table needs, and names its relations to those
/// versions that want to know which of them no pruning takes away.
///
/// # Safety
/// A plan whose range table is a copy of the query's.
pub(crate) unsafe fn complete_plan(planned: *mut pg_sys::PlannedStmt, query: *const pg_sys::Query) {
    #[cfg(not(feature = "pg15"))]
    // SAFETY: as the caller says.
    unsafe {
        (*planned).permInfos = pg_sys::copyObjectImpl((*query).rteperminfos.cast()).cast();
        #[cfg(feature = "pg18")]
        for (number, entry) in (1..).zip(list::pointers::<pg_sys::RangeTblEntry>((*planned).rtable)) {
            if (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION {
                (*planned).unprunableRelids = pg_sys::bms_add_member((*planned).unprunableRelids, number);
            }
        }
    }
    #[cfg(feature = "pg15")]
    let _ = (planned, query);
}
