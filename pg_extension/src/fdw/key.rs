//! The distribution key stays as it is: an UPDATE that sets it is refused while it is planned, or moves the
//! row (`moved.rs`) if the session says so.
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
use crate::settings;

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

/// The names of the columns by which a table's parents are partitioned, and the uppermost of them.
fn keys(mut relation: pg_sys::Oid) -> (Vec<String>, pg_sys::Oid) {
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
    (names, relation)
}

/// The key among attributes of a part, and the table that it distributes.
pub(super) fn key_among(part: pg_sys::Oid, attributes: &[i32]) -> Option<(i32, pg_sys::Oid)> {
    let (keys, root) = keys(part);
    let is_key = |&&attribute: &&i32| {
        // SAFETY: an attribute of a relation that is locked; the name is read at once.
        let name = unsafe { pg_sys::get_attname(part, attribute as i16, true) };
        // SAFETY: as above.
        !name.is_null()
            && keys
                .iter()
                .any(|key| *key == unsafe { CStr::from_ptr(name) }.to_string_lossy())
    };
    attributes.iter().find(is_key).map(|&key| (key, root))
}

/// Refuses an UPDATE of the key unless the session lets it move the row.
pub(super) fn refuse(part: pg_sys::Oid, key: i32) {
    if settings::allow_key_update() {
        return;
    }
    // SAFETY: as above.
    let name = unsafe { CStr::from_ptr(pg_sys::get_attname(part, key as i16, false)) }.to_string_lossy();
    raise_with_hint(
        PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        format!("column \"{name}\" distributes the table and cannot be updated"),
        "Leave it out of SET, or move the row: SET atoll.allow_key_update = on.",
    );
}

/// # Safety
/// As PostgreSQL calls the two callbacks below.
unsafe fn sets_key(
    root: *mut pg_sys::PlannerInfo,
    plan: *mut pg_sys::ModifyTable,
    number: u32,
    subplan: i32,
) -> bool {
    // SAFETY: an UPDATE has a list of changed columns for each of its relations.
    unsafe {
        if (*plan).operation != pg_sys::CmdType::CMD_UPDATE {
            return false;
        }
        let part = relation(root, number);
        let set = list::integers(list::pointer((*plan).updateColnosLists, subplan as usize));
        let key = key_among(part, &set);
        if let Some((key, _)) = key {
            refuse(part, key);
        }
        key.is_some()
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
        sets_key(root, plan, number, subplan);
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
        // A row that may move is changed by itself.
        if sets_key(root, plan, number, subplan) {
            return false;
        }
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
