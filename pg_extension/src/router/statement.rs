//! The text of a statement for one slot.
//!
//! In: a statement and the parts that stand for its tables in the slot. Out: SQL with the names of the tables on the
//! node. Must never: keep a text of a part that has changed.
//!
//! PostgreSQL writes the SQL itself, of a copy in which the parts stand for the tables: parts have the names of the
//! tables on the nodes, because no command that changes a part is allowed.

#![expect(unsafe_code, reason = "lets PostgreSQL write a statement")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::rc::Rc;

use pgrx::prelude::*;

use super::copy;
use crate::error::raise;
use crate::fdw::{list, portable_formats};
use crate::remote::nodes::{self, Place};
use crate::versions;

/// Texts that a backend keeps; one more, and all are forgotten.
const MOST: usize = 8192;

/// A statement for one slot.
pub(super) struct Statement {
    pub(super) sql: CString,
    pub(super) text: Rc<str>,
    pub(super) place: Place,
}

#[derive(Default)]
struct Kept {
    /// By part, then by plan.
    statements: HashMap<pg_sys::Oid, HashMap<i32, Rc<Statement>>>,
    count: usize,
    plans: i32,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::new(Kept::default());
}

/// A number for a new plan.
pub(super) fn number() -> i32 {
    KEPT.with_borrow_mut(|kept| {
        if kept.plans == i32::MAX {
            *kept = Kept::default();
        }
        kept.plans += 1;
        kept.plans
    })
}

/// A relation has changed, or any may have.
pub(super) fn forget(relation: pg_sys::Oid) {
    KEPT.with_borrow_mut(|kept| {
        if relation == pg_sys::InvalidOid {
            kept.statements.clear();
            kept.count = 0;
        } else if let Some(gone) = kept.statements.remove(&relation) {
            kept.count -= gone.len();
        }
    });
}

/// The statement of a plan, with a part for each of its relations.
///
/// # Safety
/// A statement of `shape::route`; the parts are locked.
pub(super) unsafe fn of(
    plan: i32,
    query: *const pg_sys::Query,
    parts: &[(u32, pg_sys::Oid)],
) -> Rc<Statement> {
    let first = parts.first().map_or(pg_sys::InvalidOid, |(_, part)| *part);
    let known = KEPT.with_borrow(|kept| kept.statements.get(&first)?.get(&plan).map(Rc::clone));
    if let Some(known) = known {
        return known;
    }
    // SAFETY: as the caller says.
    let made = Rc::new(unsafe { make(query, parts) });
    KEPT.with_borrow_mut(|kept| {
        if kept.count >= MOST {
            kept.statements.clear();
            kept.count = 0;
        }
        kept.count += 1;
        kept.statements
            .entry(first)
            .or_default()
            .insert(plan, Rc::clone(&made));
    });
    made
}

unsafe fn make(query: *const pg_sys::Query, parts: &[(u32, pg_sys::Oid)]) -> Statement {
    // SAFETY: as for `of`; the copy is this function's own.
    unsafe {
        let mut place = None;
        let query: *mut pg_sys::Query = copy(query);
        let excluded = if (*query).onConflict.is_null() {
            0
        } else {
            (*(*query).onConflict).exclRelIndex
        };
        for &(number, part) in parts {
            let table = pg_sys::GetForeignTable(part);
            let here = nodes::place_of((*table).serverid);
            let entry = list::pointer::<pg_sys::RangeTblEntry>((*query).rtable, number as usize - 1);
            if place.is_some_and(|place| place != here)
                || !has_columns_of((*entry).relid, part)
                || !is_named_as_there(part, table)
            {
                raise(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "the parts of a distributed table are not as atoll.distribute_table made them",
                );
            }
            place = Some(here);
            (*entry).relid = part;
            (*entry).relkind = pg_sys::RELKIND_FOREIGN_TABLE as i8;
        }
        if excluded > 0
            && let Some(&(_, part)) = parts.first()
        {
            (*list::pointer::<pg_sys::RangeTblEntry>((*query).rtable, excluded as usize - 1)).relid = part;
        }
        let formats = portable_formats();
        let sql = in_one_line(CStr::from_ptr(pg_sys::pg_get_querydef(query, false)));
        drop(formats);
        let Some(place) = place else {
            raise(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                "a statement without a distributed table",
            );
        };
        Statement {
            text: sql.to_string_lossy().as_ref().into(),
            sql,
            place,
        }
    }
}

/// PostgreSQL breaks a statement into lines; breaks in strings and names stay.
fn in_one_line(sql: &CStr) -> CString {
    let mut line = Vec::with_capacity(sql.to_bytes().len());
    let mut quote = None;
    for &byte in sql.to_bytes().trim_ascii() {
        match (quote, byte) {
            // A quote that is doubled closes and opens again.
            (Some(open), _) if open == byte => quote = None,
            (None, b'\'' | b'"') => quote = Some(byte),
            _ => {}
        }
        if quote.is_none() && byte.is_ascii_whitespace() {
            if line.last() != Some(&b' ') {
                line.push(b' ');
            }
        } else {
            line.push(byte);
        }
    }
    // Nothing was added that is a zero.
    CString::new(line).unwrap_or_default()
}

/// True if columns have the same numbers and names in both, and the same names on the node.
unsafe fn has_columns_of(parent: pg_sys::Oid, part: pg_sys::Oid) -> bool {
    // SAFETY: both are locked.
    unsafe {
        let mut same = true;
        let [one, other] = [parent, part].map(|relation| pg_sys::table_open(relation, pg_sys::NoLock as i32));
        let (a, b) = ((*one).rd_att, (*other).rd_att);
        same &= (*a).natts == (*b).natts;
        for n in 0..(*a).natts.min((*b).natts) as usize {
            let (a, b) = (&*versions::column(a, n), &*versions::column(b, n));
            same &= a.attisdropped == b.attisdropped && (a.attisdropped || a.attname.data == b.attname.data);
            same &= b.attisdropped || pg_sys::GetForeignColumnOptions(part, n as i16 + 1).is_null();
        }
        pg_sys::table_close(one, pg_sys::NoLock as i32);
        pg_sys::table_close(other, pg_sys::NoLock as i32);
        same
    }
}

unsafe fn is_named_as_there(part: pg_sys::Oid, table: *const pg_sys::ForeignTable) -> bool {
    // SAFETY: a foreign table of this wrapper.
    unsafe {
        let options = nodes::options_of((*table).options);
        let is = |option: &str, name: *const std::ffi::c_char| {
            let given = options.iter().find(|(key, _)| key == option);
            !name.is_null() && given.is_none_or(|(_, value)| value.as_c_str() == CStr::from_ptr(name))
        };
        is("table_name", pg_sys::get_rel_name(part))
            && is(
                "schema_name",
                pg_sys::get_namespace_name(pg_sys::get_rel_namespace(part)),
            )
    }
}
