//! Writing rows: INSERT, UPDATE and DELETE, kept aside until the transaction commits.
//!
//! In: slots with new rows, the keys of old ones. Out: pending changes of the store. Must never: change the
//! store itself; let two rows have one key.

#![expect(unsafe_code, reason = "reads PostgreSQL's executor nodes and slots")]

use std::ffi::CString;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::rc::Rc;

use atoll::ids::Lsn;
use pgrx::prelude::*;
use pgrx::{PgMemoryContexts, pg_guard};

use super::options::{self, Wanted};
use super::pending::Change;
use super::session::{self, Current};
use super::shape::Shape;
use super::value::Codec;
use crate::error::{raise, raise_store, raise_with_hint};
use crate::fdw::list;
use crate::versions;

/// The state of one table that is written.
struct Modify {
    path: PathBuf,
    shape: Shape,
    codec: Codec,
    /// Where the old row's key columns stand in the plan's rows; empty for INSERT.
    places: Vec<i16>,
    /// Columns that an UPDATE sets; none for all.
    changed: Option<Vec<i32>>,
    ignores_conflicts: bool,
    /// Values of one row.
    context: pg_sys::MemoryContext,
}

/// Name of the plan's column with a part of the old row's key.
fn place_name(place: usize, number: i16) -> CString {
    CString::new(format!("atoll_key_{place}_{number}")).unwrap_or_default()
}

/// The old row's key comes with every row that is changed.
#[pg_guard]
pub(super) unsafe extern "C-unwind" fn add_targets(
    root: *mut pg_sys::PlannerInfo,
    number: u32,
    _entry: *mut pg_sys::RangeTblEntry,
    relation: pg_sys::Relation,
) {
    // SAFETY: PostgreSQL calls with an open foreign table of this wrapper; the name is copied into memory that
    // the plan keeps.
    unsafe {
        let shape = Shape::of_relation(relation);
        for (place, (column, _)) in shape.key.iter().enumerate() {
            let attribute = &*versions::column((*relation).rd_att, column.number as usize - 1);
            let var = pg_sys::makeVar(
                number as i32,
                column.number,
                attribute.atttypid,
                attribute.atttypmod,
                attribute.attcollation,
                0,
            );
            let name = pg_sys::pstrdup(place_name(place, column.number).as_ptr());
            pg_sys::add_row_identity_var(root, var, number, name);
        }
    }
}

/// The columns that an UPDATE sets.
#[pg_guard]
pub(super) unsafe extern "C-unwind" fn plan(
    _root: *mut pg_sys::PlannerInfo,
    plan: *mut pg_sys::ModifyTable,
    _number: u32,
    subplan: i32,
) -> *mut pg_sys::List {
    // SAFETY: an UPDATE has a list of changed columns for each of its relations.
    unsafe {
        if (*plan).onConflictAction == pg_sys::OnConflictAction::ONCONFLICT_UPDATE {
            raise(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "ON CONFLICT DO UPDATE is not supported on tables of a store",
            );
        }
        if (*plan).operation != pg_sys::CmdType::CMD_UPDATE {
            return null_mut();
        }
        let mut columns = null_mut();
        for column in list::integers(list::pointer((*plan).updateColnosLists, subplan as usize)) {
            columns = pg_sys::lappend_int(columns, column);
        }
        columns
    }
}

/// # Safety
/// A result relation in its Begin callback.
unsafe fn prepare(
    estate: *mut pg_sys::EState,
    relation: *mut pg_sys::ResultRelInfo,
    finish: impl FnOnce(&mut Modify),
) {
    // SAFETY: as the caller says; what is made lives as long as the query.
    unsafe {
        let shape = Shape::of_relation((*relation).ri_RelationDesc);
        let path = options::directory(shape.server, Wanted::Write);
        session::begin_writing(&path);
        let mut query = PgMemoryContexts::For((*estate).es_query_cxt);
        let mut modify = query.switch_to(|_| Modify {
            codec: Codec::new(&shape),
            context: pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"atoll store change".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            ),
            path,
            shape,
            places: Vec::new(),
            changed: None,
            ignores_conflicts: false,
        });
        finish(&mut modify);
        (*relation).ri_FdwState = query.leak_and_drop_on_delete(modify).cast();
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn begin(
    node: *mut pg_sys::ModifyTableState,
    relation: *mut pg_sys::ResultRelInfo,
    private: *mut pg_sys::List,
    _subplan: i32,
    flags: i32,
) {
    if flags as u32 & pg_sys::EXEC_FLAG_EXPLAIN_ONLY != 0 {
        return;
    }
    // SAFETY: PostgreSQL calls with a relation of this wrapper, planned above.
    unsafe {
        let operation = (*node).operation;
        let plan = (*node).ps.plan.cast::<pg_sys::ModifyTable>();
        prepare((*node).ps.state, relation, |modify| {
            modify.ignores_conflicts =
                (*plan).onConflictAction == pg_sys::OnConflictAction::ONCONFLICT_NOTHING;
            if operation == pg_sys::CmdType::CMD_INSERT {
                return;
            }
            let source = (*(*(*node).ps.lefttree).plan).targetlist;
            for (place, (column, _)) in modify.shape.key.iter().enumerate() {
                let name = place_name(place, column.number);
                let found = pg_sys::ExecFindJunkAttributeInTlist(source, name.as_ptr());
                if found <= 0 {
                    raise(
                        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                        "the plan has no key for the rows of a store",
                    );
                }
                modify.places.push(found);
            }
            // A trigger may set other columns than the statement does.
            let triggers = (*relation).ri_TrigDesc;
            let triggered = !triggers.is_null() && (*triggers).trig_update_before_row;
            if operation == pg_sys::CmdType::CMD_UPDATE && !triggered {
                modify.changed = Some(list::integers(private));
            }
        });
    }
}

/// For COPY and for rows that a partitioned table sends here.
#[pg_guard]
pub(super) unsafe extern "C-unwind" fn begin_insert(
    node: *mut pg_sys::ModifyTableState,
    relation: *mut pg_sys::ResultRelInfo,
) {
    // SAFETY: as above; COPY has no plan.
    unsafe {
        let plan = (*node).ps.plan.cast::<pg_sys::ModifyTable>();
        let action = if plan.is_null() {
            pg_sys::OnConflictAction::ONCONFLICT_NONE
        } else {
            (*plan).onConflictAction
        };
        if action == pg_sys::OnConflictAction::ONCONFLICT_UPDATE {
            raise(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "ON CONFLICT DO UPDATE is not supported on tables of a store",
            );
        }
        prepare((*node).ps.state, relation, |modify| {
            modify.ignores_conflicts = action == pg_sys::OnConflictAction::ONCONFLICT_NOTHING;
        });
    }
}

/// # Safety
/// A relation for which a Begin callback ran.
unsafe fn state<'a>(relation: *mut pg_sys::ResultRelInfo) -> &'a mut Modify {
    // SAFETY: as the caller says; not called for EXPLAIN.
    unsafe { &mut *(*relation).ri_FdwState.cast::<Modify>() }
}

/// # Safety
/// A slot with a row, and the number of one of its attributes.
unsafe fn attribute(slot: *mut pg_sys::TupleTableSlot, number: i16) -> Option<pg_sys::Datum> {
    // SAFETY: as the caller says; attributes up to this one are taken out of the row first.
    unsafe {
        if (*slot).tts_nvalid < number {
            pg_sys::slot_getsomeattrs_int(slot, number.into());
        }
        let n = number as usize - 1;
        (!*(*slot).tts_isnull.add(n)).then(|| *(*slot).tts_values.add(n))
    }
}

impl Modify {
    /// The stored key of a row whose key columns stand at these numbers.
    unsafe fn key(&self, slot: *mut pg_sys::TupleTableSlot, numbers: impl Iterator<Item = i16>) -> Vec<u8> {
        let elements = self
            .shape
            .key
            .iter()
            .zip(numbers)
            .map(|((column, kind), number)| {
                // SAFETY: a slot of this table, or of the plan below; the datum has the column's type.
                let element = unsafe { attribute(slot, number).map(|datum| kind.element(datum)) };
                match element {
                    Some(element) => element,
                    None => raise(
                        PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
                        format!("key column \"{}\" cannot be null", column.name),
                    ),
                }
            });
        let elements: Vec<_> = elements.collect();
        self.shape.encode(&elements)
    }

    unsafe fn new_key(&self, slot: *mut pg_sys::TupleTableSlot) -> Vec<u8> {
        let numbers: Vec<_> = self.shape.key.iter().map(|(column, _)| column.number).collect();
        // SAFETY: as the caller says.
        unsafe { self.key(slot, numbers.into_iter()) }
    }

    unsafe fn old_key(&self, slot: *mut pg_sys::TupleTableSlot) -> Vec<u8> {
        // SAFETY: as the caller says.
        unsafe { self.key(slot, self.places.iter().copied()) }
    }

    /// The value of a row, of which `old` was the value before.
    unsafe fn value(
        &mut self,
        slot: *mut pg_sys::TupleTableSlot,
        key: &[u8],
        old: Option<&[u8]>,
    ) -> Rc<[u8]> {
        // SAFETY: a slot of this table; values live in the context until it is reset.
        unsafe {
            let before = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = self.context;
            let columns: Vec<_> = self
                .shape
                .rest
                .iter()
                .map(|column| attribute(slot, column.number))
                .collect();
            let all = self.changed.as_ref();
            let changed = |number: i16| all.is_none_or(|columns| columns.contains(&number.into()));
            let bytes = self.codec.write(&self.shape, &columns, key, old, &changed);
            pg_sys::CurrentMemoryContext = before;
            pg_sys::MemoryContextReset(self.context);
            bytes.into()
        }
    }

    /// For a key that must be free: the position of the store's version, which there is none of. False if it
    /// is taken and that is to be ignored.
    fn is_free(&self, key: &[u8]) -> bool {
        let taken = match session::current(&self.path, key) {
            Current::Own(change) => change.value.is_some(),
            Current::Stored(found) => found.is_some(),
        };
        if taken && !self.ignores_conflicts {
            raise_with_hint(
                PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
                format!("key \"{}\" exists already", key.escape_ascii()),
                "A store has one value for each key.",
            );
        }
        !taken
    }

    fn put(&self, estate: *const pg_sys::EState, key: Vec<u8>, seen: Option<Lsn>, change: Change) {
        // SAFETY: a running statement that changes rows has a number of its own.
        let command = unsafe { (*estate).es_output_cid };
        session::change(&self.path, key, seen, command, change);
    }

    /// The row as the statement sees it: its value, when it goes, and the position of the store's version if
    /// it is not the transaction's own. None if this command has changed it already, or it is gone.
    fn seen(&self, estate: *const pg_sys::EState, key: &[u8]) -> Option<Seen> {
        // SAFETY: the state of the running statement.
        let (statement, command) =
            unsafe { (session::statement(estate, &self.path), (*estate).es_output_cid) };
        if session::is_changed_by(&self.path, key, command) {
            return None;
        }
        if let Some(change) = statement.own(key) {
            return Some(Seen {
                value: change.value?,
                expires_at_ms: change.expires_at_ms,
                at: None,
            });
        }
        let found = statement.stored(key, false);
        let found = found.unwrap_or_else(|error| raise_store(&error))?;
        Some(Seen {
            expires_at_ms: found.expires_at_ms(),
            at: Some(found.lsn()),
            value: found[..].into(),
        })
    }
}

/// See [`Modify::seen`].
struct Seen {
    value: Rc<[u8]>,
    expires_at_ms: Option<u64>,
    at: Option<Lsn>,
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn insert(
    estate: *mut pg_sys::EState,
    relation: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    _source: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: PostgreSQL calls with a row of this relation.
    unsafe {
        let modify = state(relation);
        let key = modify.new_key(slot);
        if !modify.is_free(&key) {
            return null_mut();
        }
        let value = modify.value(slot, &key, None);
        let change = Change {
            value: Some(value),
            expires_at_ms: None,
        };
        modify.put(estate, key, None, change);
        slot
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn update(
    estate: *mut pg_sys::EState,
    relation: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    source: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: PostgreSQL calls with the new row of this relation, and the plan's row with its old key.
    unsafe {
        let modify = state(relation);
        let (old, new) = (modify.old_key(source), modify.new_key(slot));
        let Some(seen) = modify.seen(estate, &old) else {
            return null_mut();
        };
        let change = Change {
            value: Some(modify.value(slot, &old, Some(&seen.value))),
            expires_at_ms: seen.expires_at_ms,
        };
        if old == new {
            modify.put(estate, old, seen.at, change);
            return slot;
        }
        if !modify.is_free(&new) {
            return null_mut();
        }
        let gone = Change {
            value: None,
            expires_at_ms: None,
        };
        modify.put(estate, old, seen.at, gone);
        modify.put(estate, new, None, change);
        slot
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn delete(
    estate: *mut pg_sys::EState,
    relation: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    source: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: as above. RETURNING wants the old row, which is read into the slot.
    unsafe {
        let modify = state(relation);
        let key = modify.old_key(source);
        let Some(seen) = modify.seen(estate, &key) else {
            return null_mut();
        };
        if !(*relation).ri_projectReturning.is_null() {
            let all = modify
                .shape
                .key
                .iter()
                .map(|(column, _)| column)
                .chain(&modify.shape.rest);
            let all = all.map(|column| column.number).collect();
            let mut query = PgMemoryContexts::For((*estate).es_query_cxt);
            let row = (key.clone(), seen.value.to_vec());
            query.switch_to(|_| super::scan::Filler::new(modify.shape.clone(), all).fill(slot, &row));
        }
        let gone = Change {
            value: None,
            expires_at_ms: None,
        };
        modify.put(estate, key, seen.at, gone);
        slot
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn end(
    _estate: *mut pg_sys::EState,
    _relation: *mut pg_sys::ResultRelInfo,
) {
    // What there is goes with the query's memory.
}
