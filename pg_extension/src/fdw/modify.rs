//! Writing row by row: INSERT, also in batches and blocks (`bulk.rs`), and those UPDATE and DELETE that cannot
//! run whole there.
//!
//! In: slots with new rows, or the place of an old one. Out: what RETURNING needs. Must never: write outside
//! of the local transaction.

#![expect(unsafe_code, reason = "reads PostgreSQL's executor nodes and slots")]

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::rc::Rc;

use pgrx::pg_guard;
use pgrx::prelude::*;
use pgrx::{PgMemoryContexts, PgSqlErrorCode};

use super::bulk::{self, Block};
use super::convert::{Outputs, RowReader};
use super::moved::Moving;
use super::{key, list, scan};
use crate::catalog;
use crate::error::{raise, raise_with_hint};
use crate::remote::connection::Patience;
use crate::remote::nodes::{self, Node};
use crate::remote::stream::Fetched;
use crate::remote::{Answer, Connection, Trouble};
use crate::transaction;
use crate::versions;

/// Rows of one INSERT unless the table's option says otherwise.
const BATCH_ROWS: usize = 100;
/// From so many rows on, an INSERT's batch is sent as COPY.
const COPIED_ROWS: usize = 64;
/// The protocol counts parameters in 16 bits.
const MOST_PARAMETERS: usize = 65_535;

/// The state of one table that is written.
struct Modify {
    node: Rc<Node>,
    user: pg_sys::Oid,
    /// The statement, or for INSERT what stands before and behind the values.
    sql: String,
    ending: String,
    /// For INSERT, the table there and its columns.
    into: String,
    /// Where rows gather that go there by COPY.
    block: Option<Rc<RefCell<Block>>>,
    /// For an UPDATE of the key.
    moving: Option<Moving>,
    /// The columns that are sent, behind the row's place for UPDATE and DELETE.
    columns: Vec<i32>,
    outputs: Outputs,
    returned: Option<RowReader>,
    /// Where the row's place stands in the plan's rows; 0 for INSERT.
    place: i16,
    batch: usize,
    settled: bool,
}

/// A foreign table's name on the other server, and its options.
pub(super) struct RemoteTable {
    pub(super) name: String,
    pub(super) server: pg_sys::Oid,
    options: Vec<(String, CString)>,
}

pub(super) fn quoted(name: &CStr) -> String {
    // SAFETY: the result ends with a zero and is copied.
    unsafe { CStr::from_ptr(pg_sys::quote_identifier(name.as_ptr())) }
        .to_string_lossy()
        .into_owned()
}

/// # Safety
/// An open foreign table.
pub(super) unsafe fn remote_table(relation: pg_sys::Relation) -> RemoteTable {
    // SAFETY: as the caller says; names are copied.
    unsafe {
        let table = pg_sys::GetForeignTable((*relation).rd_id);
        let options = nodes::options_of((*table).options);
        let option = |name: &str| {
            options
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| quoted(value))
        };
        let schema = || {
            quoted(CStr::from_ptr(pg_sys::get_namespace_name(
                (*(*relation).rd_rel).relnamespace,
            )))
        };
        let own = || quoted(CStr::from_ptr((*(*relation).rd_rel).relname.data.as_ptr()));
        let name = format!(
            "{}.{}",
            option("schema_name").unwrap_or_else(schema),
            option("table_name").unwrap_or_else(own)
        );
        RemoteTable {
            name,
            server: (*table).serverid,
            options,
        }
    }
}

/// The columns that exist, with their names on the other server.
///
/// # Safety
/// An open foreign table.
pub(super) unsafe fn remote_columns(relation: pg_sys::Relation, generated: bool) -> Vec<(i32, String)> {
    // SAFETY: as the caller says; the descriptor has as many attributes as it says.
    unsafe {
        let types = (*relation).rd_att;
        (0..(*types).natts as usize)
            .map(|n| &*versions::column(types, n))
            .filter(|column| !column.attisdropped && (generated || column.attgenerated == 0))
            .map(|column| {
                let options =
                    nodes::options_of(pg_sys::GetForeignColumnOptions((*relation).rd_id, column.attnum));
                let named = options
                    .iter()
                    .find(|(key, _)| key == "column_name")
                    .map(|(_, value)| quoted(value));
                (
                    i32::from(column.attnum),
                    named.unwrap_or_else(|| quoted(CStr::from_ptr(column.attname.data.as_ptr()))),
                )
            })
            .collect()
    }
}

fn type_of(types: pg_sys::TupleDesc, attribute: i32) -> pg_sys::Oid {
    // SAFETY: callers pass attributes of the descriptor.
    unsafe { (*versions::column(types, attribute as usize - 1)).atttypid }
}

/// # Safety
/// A result relation of a running statement, in its Begin callback.
unsafe fn keep(estate: *mut pg_sys::EState, relation: *mut pg_sys::ResultRelInfo, state: Modify) {
    // SAFETY: freed with the query's memory.
    unsafe {
        (*relation).ri_FdwState = PgMemoryContexts::For((*estate).es_query_cxt)
            .leak_and_drop_on_delete(state)
            .cast();
    }
}

/// # Safety
/// As for `keep`.
unsafe fn prepare_insert(
    state: *mut pg_sys::ModifyTableState,
    relation: *mut pg_sys::ResultRelInfo,
    user: pg_sys::Oid,
) {
    // SAFETY: as the caller says.
    unsafe {
        let table = (*relation).ri_RelationDesc;
        let types = (*table).rd_att;
        let remote = remote_table(table);
        let columns = remote_columns(table, false);
        let names: Vec<_> = columns.iter().map(|(_, name)| name.as_str()).collect();
        let into = format!("{}({})", remote.name, names.join(", "));
        let sql = format!("INSERT INTO {into} VALUES ");
        let mut ending = String::new();
        let plan = (*state).ps.plan.cast::<pg_sys::ModifyTable>();
        if !plan.is_null() && (*plan).onConflictAction != pg_sys::OnConflictAction::ONCONFLICT_NONE {
            if (*plan).onConflictAction != pg_sys::OnConflictAction::ONCONFLICT_NOTHING {
                raise(
                    PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                    "ON CONFLICT DO UPDATE is not supported on distributed tables",
                );
            }
            ending.push_str(" ON CONFLICT DO NOTHING");
        }
        let triggers = (*relation).ri_TrigDesc;
        let before = !triggers.is_null() && (*triggers).trig_insert_before_row;
        let after = !triggers.is_null() && (*triggers).trig_insert_after_row;
        let checked = list::len((*relation).ri_WithCheckOptions) > 0;
        let returns = after || checked || !(*relation).ri_projectReturning.is_null();
        let mut returned = None;
        if returns {
            let all = remote_columns(table, true);
            let names: Vec<_> = all.iter().map(|(_, name)| name.as_str()).collect();
            ending.push_str(&format!(" RETURNING {}", names.join(", ")));
            let numbers: Vec<_> = all.iter().map(|(number, _)| *number).collect();
            returned = Some(RowReader::new(types, &numbers));
        }
        let wanted = remote.options.iter().find(|(key, _)| key == "batch_size");
        let wanted = wanted
            .and_then(|(_, value)| value.to_str().ok()?.parse().ok())
            .unwrap_or(BATCH_ROWS);
        let most = MOST_PARAMETERS / columns.len().max(1);
        let columns: Vec<_> = columns.into_iter().map(|(number, _)| number).collect();
        let kinds: Vec<_> = columns.iter().map(|&column| type_of(types, column)).collect();
        let node = nodes::node_of(nodes::place_of(remote.server));
        // COPY has no plan. Where a trigger may look at the rows before, they go one by one.
        let gathers = plan.is_null() || catalog::changes_itself();
        let gathers = gathers && !returns && !before && !columns.is_empty() && ending.is_empty();
        let modify = Modify {
            moving: None,
            block: gathers.then(|| Block::new(&node, user, &into)),
            into,
            node,
            user,
            sql,
            ending,
            outputs: Outputs::new(&kinds),
            batch: if returns || before || gathers || columns.is_empty() {
                1
            } else {
                wanted.min(most).max(1)
            },
            columns,
            returned,
            place: 0,
            settled: false,
        };
        keep((*state).ps.state, relation, modify);
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn begin(
    state: *mut pg_sys::ModifyTableState,
    relation: *mut pg_sys::ResultRelInfo,
    private: *mut pg_sys::List,
    _subplan: i32,
    flags: i32,
) {
    if flags as u32 & pg_sys::EXEC_FLAG_EXPLAIN_ONLY != 0 {
        return;
    }
    // SAFETY: PostgreSQL calls with a relation of this wrapper; the plan's private fields are the SQL, the
    // columns that are set, the length of an INSERT's values, whether it returns rows and their columns.
    unsafe {
        let estate = (*state).ps.state;
        let user = versions::role_of_target(relation, estate);
        if (*state).operation == pg_sys::CmdType::CMD_INSERT {
            return prepare_insert(state, relation, user);
        }
        let table = (*relation).ri_RelationDesc;
        let types = (*table).rd_att;
        let columns = list::integers(list::pointer(private, 1));
        let wanted = list::boolean(private, 3).then(|| list::integers(list::pointer(private, 4)));
        let returned = wanted.as_ref().map(|columns| RowReader::new(types, columns));
        let source = (*(*(*state).ps.lefttree).plan).targetlist;
        let place = pg_sys::ExecFindJunkAttributeInTlist(source, c"ctid".as_ptr());
        if place <= 0 {
            raise(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                "the plan has no ctid for the rows of a distributed table",
            );
        }
        // Generated columns follow from the others there.
        let columns: Vec<_> = columns
            .into_iter()
            .filter(|&c| (*versions::column(types, c as usize - 1)).attgenerated == 0)
            .collect();
        let mut moving = None;
        if (*state).operation == pg_sys::CmdType::CMD_UPDATE
            && let Some((key, root)) = key::key_among((*table).rd_id, &columns)
        {
            // The plan may be older than the setting.
            key::refuse((*table).rd_id, key);
            moving = Some(Moving::new(table, root, user, (&columns, key), wanted.as_deref()));
        }
        let mut kinds = vec![pg_sys::TIDOID];
        if (*state).operation == pg_sys::CmdType::CMD_UPDATE {
            kinds.extend(columns.iter().map(|&column| type_of(types, column)));
        }
        let server = (*pg_sys::GetForeignTable((*table).rd_id)).serverid;
        let modify = Modify {
            node: nodes::node_of(nodes::place_of(server)),
            user,
            sql: list::string(private, 0),
            ending: String::new(),
            into: String::new(),
            moving,
            block: None,
            outputs: Outputs::new(&kinds),
            columns,
            returned,
            place,
            batch: 1,
            settled: false,
        };
        keep(estate, relation, modify);
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn begin_insert(
    state: *mut pg_sys::ModifyTableState,
    relation: *mut pg_sys::ResultRelInfo,
) {
    // SAFETY: as above.
    unsafe {
        if !(*state).ps.plan.is_null() && (*state).operation == pg_sys::CmdType::CMD_UPDATE {
            raise_with_hint(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "an UPDATE cannot move a row into a distributed table's slot",
                "DELETE the row and INSERT it with its new key in one transaction.",
            );
        }
        let estate = (*state).ps.state;
        let user = versions::role_of_target(relation, estate);
        prepare_insert(state, relation, user);
    }
}

/// # Safety
/// A relation for which a Begin callback ran.
unsafe fn state<'a>(relation: *mut pg_sys::ResultRelInfo) -> &'a mut Modify {
    // SAFETY: as the caller says; not called for EXPLAIN.
    unsafe { &mut *(*relation).ri_FdwState.cast::<Modify>() }
}

impl Modify {
    fn session(&mut self, estate: *const pg_sys::EState) -> Rc<Connection> {
        if !self.settled {
            scan::settle(estate);
            self.settled = true;
        }
        transaction::session(&self.node, self.user, true)
    }

    /// Sends it and waits; statements that come again are prepared there.
    fn run(
        &self,
        session: &Connection,
        sql: &str,
        parameters: &[Option<CString>],
        again: bool,
    ) -> Option<Answer> {
        let text = CString::new(sql).unwrap_or_default();
        let sent = if again {
            session
                .prepared(&text)
                .and_then(|name| session.send_prepared(&name, parameters))
        } else {
            session.send_with(&text, parameters)
        };
        match sent.and_then(|()| session.finish(Patience::Interruptible)) {
            Ok(answer) => answer,
            Err(trouble) => Trouble::raise(trouble, sql),
        }
    }

    /// # Safety
    /// Slots of this table.
    unsafe fn insert(
        &mut self,
        estate: *const pg_sys::EState,
        slots: &[*mut pg_sys::TupleTableSlot],
    ) -> Option<Answer> {
        let session = self.session(estate);
        let mut sql = self.sql.clone();
        let mut parameters = Vec::with_capacity(slots.len() * self.columns.len());
        for (n, &slot) in slots.iter().enumerate() {
            if self.columns.is_empty() {
                sql.push_str(if n == 0 { "(DEFAULT)" } else { ", (DEFAULT)" });
                continue;
            }
            sql.push_str(if n == 0 { "(" } else { ", (" });
            for column in 0..self.columns.len() {
                let comma = if column == 0 { "" } else { ", " };
                sql.push_str(&format!("{comma}${}", n * self.columns.len() + column + 1));
            }
            sql.push(')');
            // SAFETY: as the caller says.
            let values = unsafe { values(slot, &self.columns) };
            self.outputs.texts(values.into_iter(), &mut parameters);
        }
        if self.columns.is_empty() {
            sql = sql.replace("() VALUES (DEFAULT)", " DEFAULT VALUES");
        }
        sql.push_str(&self.ending);
        let again = slots.len() == 1 || slots.len() == self.batch;
        self.run(&session, &sql, &parameters, again)
    }

    /// Puts a row aside for its slot's COPY; false if rows go one by one.
    ///
    /// # Safety
    /// A slot of this table.
    unsafe fn gather(&mut self, estate: *const pg_sys::EState, slot: *mut pg_sys::TupleTableSlot) -> bool {
        let Some(block) = self.block.clone() else {
            return false;
        };
        if !self.settled {
            scan::settle(estate);
            self.settled = true;
        }
        // SAFETY: as the caller says.
        let values = unsafe { values(slot, &self.columns) };
        bulk::add(&block, &mut self.outputs, values.into_iter());
        catalog::count_row();
        true
    }

    /// A batch as COPY; how many rows it was.
    ///
    /// # Safety
    /// Slots of this table.
    unsafe fn copy(&mut self, estate: *const pg_sys::EState, slots: &[*mut pg_sys::TupleTableSlot]) -> u64 {
        let session = self.session(estate);
        let mut rows = Vec::new();
        for &slot in slots {
            // SAFETY: as the caller says.
            let values = unsafe { values(slot, &self.columns) };
            bulk::write_row(&mut self.outputs, values.into_iter(), &mut rows);
        }
        match bulk::copy(&session, &self.into, &rows) {
            Ok(written) => written,
            Err(trouble) => trouble.raise(&format!("COPY {} FROM STDIN", self.into)),
        }
    }

    /// Puts what came back into the slot; true if there was a row.
    ///
    /// # Safety
    /// A slot of this table.
    unsafe fn returned(&mut self, slot: *mut pg_sys::TupleTableSlot, answer: Option<Answer>) -> bool {
        let Some(answer) = answer else { return false };
        match &mut self.returned {
            None => answer.affected() > 0,
            Some(_) if answer.rows() == 0 => false,
            Some(reader) => {
                // SAFETY: as the caller says.
                unsafe { reader.fill(slot, &Fetched::Live(answer)) };
                true
            }
        }
    }
}

/// The values of some attributes of a slot.
///
/// # Safety
/// A slot with these attributes.
unsafe fn values(slot: *mut pg_sys::TupleTableSlot, columns: &[i32]) -> Vec<Option<pg_sys::Datum>> {
    let Some(&last) = columns.iter().max() else {
        return Vec::new();
    };
    // SAFETY: as the caller says; attributes up to the last wanted one are taken out of the row first.
    unsafe {
        if i32::from((*slot).tts_nvalid) < last {
            pg_sys::slot_getsomeattrs_int(slot, last);
        }
        let value = |&column: &i32| {
            let n = column as usize - 1;
            (!*(*slot).tts_isnull.add(n)).then(|| *(*slot).tts_values.add(n))
        };
        columns.iter().map(value).collect()
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn insert(
    estate: *mut pg_sys::EState,
    relation: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    _plan_slot: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: PostgreSQL calls with a relation that has begun and its slot.
    unsafe {
        let modify = state(relation);
        if modify.gather(estate, slot) {
            return slot;
        }
        let answer = modify.insert(estate, &[slot]);
        if modify.returned(slot, answer) {
            slot
        } else {
            std::ptr::null_mut()
        }
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn batch_insert(
    estate: *mut pg_sys::EState,
    relation: *mut pg_sys::ResultRelInfo,
    slots: *mut *mut pg_sys::TupleTableSlot,
    _plan_slots: *mut *mut pg_sys::TupleTableSlot,
    count: *mut i32,
) -> *mut *mut pg_sys::TupleTableSlot {
    // SAFETY: as above, with as many slots as the count says.
    unsafe {
        let modify = state(relation);
        let rows = std::slice::from_raw_parts(slots, *count as usize);
        let written = if rows.len() >= COPIED_ROWS && modify.ending.is_empty() {
            modify.copy(estate, rows)
        } else {
            modify.insert(estate, rows).map_or(0, |answer| answer.affected())
        };
        *count = written as i32;
        if *count > 0 { slots } else { std::ptr::null_mut() }
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn batch_size(relation: *mut pg_sys::ResultRelInfo) -> i32 {
    // SAFETY: as above; for EXPLAIN there is no state.
    unsafe { (*relation).ri_FdwState.cast::<Modify>().as_ref() }.map_or(1, |modify| modify.batch as i32)
}

/// UPDATE and DELETE of one row.
///
/// # Safety
/// As PostgreSQL calls the two callbacks below.
unsafe fn change(
    estate: *mut pg_sys::EState,
    relation: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    plan_slot: *mut pg_sys::TupleTableSlot,
    sets: bool,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: as the caller says.
    unsafe {
        let modify = state(relation);
        let session = modify.session(estate);
        let mut all = values(plan_slot, &[modify.place.into()]);
        if all[0].is_none() {
            raise(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                "a row of a distributed table has no ctid",
            );
        }
        if sets {
            all.extend(values(slot, &modify.columns));
        }
        let mut parameters = Vec::with_capacity(all.len());
        modify.outputs.texts(all.into_iter(), &mut parameters);
        let moved = match &modify.moving {
            Some(moving) if sets => moving.apply(&modify.node, &modify.columns, &parameters),
            _ => None,
        };
        let answer = moved.unwrap_or_else(|| modify.run(&session, &modify.sql, &parameters, true));
        if modify.returned(slot, answer) {
            slot
        } else {
            std::ptr::null_mut()
        }
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn update(
    estate: *mut pg_sys::EState,
    relation: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    plan_slot: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: PostgreSQL calls with a relation that has begun and its slots.
    unsafe { change(estate, relation, slot, plan_slot, true) }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn delete(
    estate: *mut pg_sys::EState,
    relation: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    plan_slot: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: as above.
    unsafe { change(estate, relation, slot, plan_slot, false) }
}

/// What was put aside is there when the command ends. The state goes with the query's memory.
#[pg_guard]
pub(super) unsafe extern "C-unwind" fn end(
    _estate: *mut pg_sys::EState,
    relation: *mut pg_sys::ResultRelInfo,
) {
    // SAFETY: as above; for EXPLAIN there is no state.
    let modify = unsafe { (*relation).ri_FdwState.cast::<Modify>().as_ref() };
    if modify.is_some_and(|modify| modify.block.is_some()) {
        bulk::settle();
    }
}
