//! The distribution key stays as it is: an UPDATE that sets it is refused while it is planned.
//!
//! In: plans that change rows. Out: postgres_fdw's plan for them, or an error. Must never: let a row's key
//! change where the row lies, because looking for its new key would go elsewhere.
//!
//! These are callbacks of the wrapper, so they hold for the first statement of a fresh backend as well.

#![expect(unsafe_code, reason = "reads plans and the partition key's catalog row")]

use std::ffi::CStr;

use pgrx::pg_guard;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;

use super::{base, list};
use crate::error::raise_with_hint;

unsafe extern "C-unwind" {
    fn get_partition_parent(relation: pg_sys::Oid, even_if_detached: bool) -> pg_sys::Oid;
}

/// The relation that is changed.
///
/// # Safety
/// The planner's state and the number of one of its relations.
unsafe fn relation(root: *mut pg_sys::PlannerInfo, number: u32) -> pg_sys::Oid {
    // SAFETY: numbers of relations count from 1.
    unsafe { (*list::pointer::<pg_sys::RangeTblEntry>((*(*root).parse).rtable, number as usize - 1)).relid }
}

/// The names of the columns by which a table's parents are partitioned.
fn keys(mut relation: pg_sys::Oid) -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: relations that the planner has locked; catalog rows are read while they are held.
    unsafe {
        while pg_sys::get_rel_relispartition(relation) {
            let child = relation;
            relation = pg_guard_ffi_boundary(|| get_partition_parent(child, true));
            let row = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::PARTRELID as i32, relation.into());
            if row.is_null() {
                break;
            }
            // pg_partitioned_table: partrelid, partstrat, partnatts at byte 6, partdefid, and at byte 12
            // the vector partattrs, whose numbers follow a header of 24 bytes.
            let form = (*row).t_data.cast::<u8>().add((*(*row).t_data).t_hoff as usize);
            let count = form.add(6).cast::<i16>().read_unaligned();
            for n in 0..count as usize {
                let attribute = form.add(12 + 24).cast::<i16>().add(n).read_unaligned();
                let name = pg_sys::get_attname(relation, attribute, true);
                if attribute > 0 && !name.is_null() {
                    names.push(CStr::from_ptr(name).to_string_lossy().into_owned());
                }
            }
            pg_sys::ReleaseSysCache(row);
        }
    }
    names
}

/// # Safety
/// As PostgreSQL calls the two callbacks below.
unsafe fn refuse_key_update(
    root: *mut pg_sys::PlannerInfo,
    plan: *mut pg_sys::ModifyTable,
    number: u32,
    subplan: i32,
) {
    // SAFETY: an UPDATE has a list of changed columns for each of its relations.
    unsafe {
        if (*plan).operation != pg_sys::CmdType::CMD_UPDATE {
            return;
        }
        let relation = relation(root, number);
        let keys = keys(relation);
        for attribute in list::integers(list::pointer((*plan).updateColnosLists, subplan as usize)) {
            let name = pg_sys::get_attname(relation, attribute as i16, true);
            if name.is_null() {
                continue;
            }
            let name = CStr::from_ptr(name).to_string_lossy();
            if keys.iter().any(|key| *key == name) {
                raise_with_hint(
                    PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                    format!("column \"{name}\" distributes the table and cannot be updated"),
                    "Leave it out of SET, or DELETE the row and INSERT it with its new key in one transaction.",
                );
            }
        }
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn plan_modify(
    root: *mut pg_sys::PlannerInfo,
    plan: *mut pg_sys::ModifyTable,
    number: u32,
    subplan: i32,
) -> *mut pg_sys::List {
    // SAFETY: PostgreSQL's own arguments are passed on; postgres_fdw only deparses here.
    unsafe {
        refuse_key_update(root, plan, number, subplan);
        match base().PlanForeignModify {
            Some(plan_base) => pg_guard_ffi_boundary(|| plan_base(root, plan, number, subplan)),
            None => std::ptr::null_mut(),
        }
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn plan_direct(
    root: *mut pg_sys::PlannerInfo,
    plan: *mut pg_sys::ModifyTable,
    number: u32,
    subplan: i32,
) -> bool {
    // SAFETY: as above.
    unsafe {
        refuse_key_update(root, plan, number, subplan);
        // A pushed-down join is changed row by row: its RETURNING has rows of other tables in it.
        if is_join((*plan).plan.lefttree, subplan as usize) {
            return false;
        }
        match base().PlanDirectModify {
            Some(plan_base) => pg_guard_ffi_boundary(|| plan_base(root, plan, number, subplan)),
            None => false,
        }
    }
}

/// True if the scan below a modification reads more than the table that is changed.
///
/// # Safety
/// The plan below a ModifyTable.
unsafe fn is_join(plan: *const pg_sys::Plan, subplan: usize) -> bool {
    // SAFETY: the tag says which node it is.
    unsafe {
        if plan.is_null() {
            return false;
        }
        match (*plan).type_ {
            pg_sys::NodeTag::T_ForeignScan => (*plan.cast::<pg_sys::ForeignScan>()).scan.scanrelid == 0,
            pg_sys::NodeTag::T_Result => is_join((*plan).lefttree, subplan),
            pg_sys::NodeTag::T_Append => {
                let children = (*plan.cast::<pg_sys::Append>()).appendplans;
                subplan < list::len(children) && is_join(list::pointer(children, subplan), subplan)
            }
            _ => false,
        }
    }
}
