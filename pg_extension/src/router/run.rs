//! The plan node of a statement that goes to one node whole.
//!
//! In: a statement of `shape.rs`; then parameters. Out: rows, or the count of rows that were written. Must never: run
//! a write outside of the local transaction unless `commit::at_once` says so, or choose the slot while planning: one
//! plan serves every key.

#![expect(unsafe_code, reason = "fills PostgreSQL's plan and executor nodes")]

use std::cell::RefCell;
use std::ffi::CString;
use std::rc::Rc;

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;
use pgrx::{PgMemoryContexts, pg_guard};

use super::shape::Route;
use super::statement::{self, Statement};
use super::{commit, copy, node, tables, values};
use crate::error::raise;
use crate::fdw::convert::{Outputs, RowReader, clear};
use crate::fdw::list;
use crate::remote::connection::{Connection, Patience};
use crate::remote::stream::{Fetched, Keeper, Stream};
use crate::remote::{Answer, nodes, pool};
use crate::transaction;
use crate::versions;

/// Tables of methods hold pointers to names, and never change.
struct Methods<T>(T);
// SAFETY: constants, read only.
unsafe impl<T> Sync for Methods<T> {}

static PLAN: Methods<pg_sys::CustomScanMethods> = Methods(pg_sys::CustomScanMethods {
    CustomName: c"Atoll Router".as_ptr(),
    CreateCustomScanState: Some(create),
});

static RUN: Methods<pg_sys::CustomExecMethods> = Methods(pg_sys::CustomExecMethods {
    CustomName: c"Atoll Router".as_ptr(),
    BeginCustomScan: Some(begin),
    ExecCustomScan: Some(run),
    EndCustomScan: Some(end),
    ReScanCustomScan: Some(rescan),
    MarkPosCustomScan: None,
    RestrPosCustomScan: None,
    EstimateDSMCustomScan: None,
    InitializeDSMCustomScan: None,
    ReInitializeDSMCustomScan: None,
    InitializeWorkerCustomScan: None,
    ShutdownCustomScan: None,
    ExplainCustomScan: Some(explain),
});

pub(super) fn methods() -> *const pg_sys::CustomScanMethods {
    &raw const PLAN.0
}

/// The plan of a statement.
///
/// # Safety
/// A statement and what `shape::route` made of it.
pub(super) unsafe fn plan(
    parse: *const pg_sys::Query,
    route: &Route,
    is_cursor: bool,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: nodes are filled before anybody sees them; lists hold what `Plan::of` reads.
    unsafe {
        let q = &*parse;
        let scan = node::<pg_sys::CustomScan>(pg_sys::NodeTag::T_CustomScan);
        let answer = if q.commandType == pg_sys::CmdType::CMD_SELECT {
            q.targetList
        } else {
            q.returningList
        };
        let mut targets = std::ptr::null_mut();
        for entry in list::pointers::<pg_sys::TargetEntry>(answer) {
            if (*entry).resjunk {
                continue;
            }
            let shown: *mut pg_sys::TargetEntry = copy(entry);
            (*shown).resno = list::len((*scan).custom_scan_tlist) as i16 + 1;
            (*scan).custom_scan_tlist = pg_sys::lappend((*scan).custom_scan_tlist, shown.cast());
            let target = pg_sys::flatCopyTargetEntry(shown);
            (*target).expr = pg_sys::makeVarFromTargetEntry(pg_sys::INDEX_VAR, shown).cast();
            (*target).ressortgroupref = 0;
            targets = pg_sys::lappend(targets, target.cast());
        }
        let mut private = pg_sys::lappend(std::ptr::null_mut(), route.query.cast());
        let mut numbers = std::ptr::null_mut();
        for number in [
            statement::number(),
            route.sent as i32,
            route.key as i32,
            i32::from(is_cursor),
        ] {
            numbers = pg_sys::lappend_int(numbers, number);
        }
        private = pg_sys::lappend(private, numbers.cast());
        let mut relations = std::ptr::null_mut();
        let mut oids = std::ptr::null_mut();
        for &number in &route.relations {
            relations = pg_sys::lappend_int(relations, number as i32);
            let entry = list::pointer::<pg_sys::RangeTblEntry>(q.rtable, number as usize - 1);
            oids = pg_sys::lappend_oid(oids, (*entry).relid);
            (*scan).custom_relids = pg_sys::bms_add_member((*scan).custom_relids, number as i32);
        }
        (*scan).custom_private = pg_sys::lappend(private, relations.cast());
        for &expression in &route.expressions {
            (*scan).custom_exprs = pg_sys::lappend((*scan).custom_exprs, expression.cast());
        }
        (*scan).methods = methods();
        (*scan).scan.plan.targetlist = targets;
        // One row of one index of another server: little, and the same for every key, so that a prepared statement
        // is planned once for all.
        (*scan).scan.plan.total_cost = 1.0;
        (*scan).scan.plan.plan_rows = 1.0;

        let planned = node::<pg_sys::PlannedStmt>(pg_sys::NodeTag::T_PlannedStmt);
        (*planned).commandType = q.commandType;
        (*planned).queryId = q.queryId;
        (*planned).hasReturning = !q.returningList.is_null();
        (*planned).canSetTag = q.canSetTag;
        (*planned).planTree = scan.cast();
        (*planned).relationOids = oids;
        (*planned).stmt_location = q.stmt_location;
        (*planned).stmt_len = q.stmt_len;
        // Rights are checked, and locks taken, by these.
        for entry in list::pointers::<pg_sys::RangeTblEntry>(q.rtable) {
            let flat: *mut pg_sys::RangeTblEntry = copy(entry);
            (*flat).subquery = std::ptr::null_mut();
            (*flat).values_lists = std::ptr::null_mut();
            (*planned).rtable = pg_sys::lappend((*planned).rtable, flat.cast());
        }
        versions::complete_plan(planned, parse);
        planned
    }
}

/// What the plan says.
struct Plan {
    query: *mut pg_sys::Query,
    number: i32,
    sent: usize,
    key: usize,
    is_cursor: bool,
    relations: Vec<u32>,
    expressions: *mut pg_sys::List,
}

impl Plan {
    unsafe fn of(node: *const pg_sys::CustomScanState) -> Self {
        // SAFETY: a node of this plan.
        unsafe {
            let scan = &*(*node).ss.ps.plan.cast::<pg_sys::CustomScan>();
            let numbers = list::integers(list::pointer(scan.custom_private, 1));
            Self {
                query: list::pointer(scan.custom_private, 0),
                number: numbers[0],
                sent: numbers[1] as usize,
                key: numbers[2] as usize,
                is_cursor: numbers[3] != 0,
                relations: list::integers(list::pointer(scan.custom_private, 2))
                    .into_iter()
                    .map(|n| n as u32)
                    .collect(),
                expressions: scan.custom_exprs,
            }
        }
    }
}

/// The rows of an answer.
enum Rows {
    Stream(Rc<RefCell<Stream>>),
    Answer(Rc<Answer>, usize),
}

struct State {
    plan: Plan,
    expressions: *mut pg_sys::List,
    types: Vec<pg_sys::Oid>,
    outputs: Outputs,
    reader: RowReader,
    keeper: Keeper,
    rows: Option<Rows>,
    /// True from the first row to the next rescan.
    started: bool,
    statement: Option<Rc<Statement>>,
}

#[repr(C)]
struct Node {
    scan: pg_sys::CustomScanState,
    state: *mut State,
}

#[pg_guard]
unsafe extern "C-unwind" fn create(_plan: *mut pg_sys::CustomScan) -> *mut pg_sys::Node {
    // SAFETY: a node that begins as every other of its tag.
    unsafe {
        let made = node::<Node>(pg_sys::NodeTag::T_CustomScanState);
        (*made).scan.methods = &raw const RUN.0;
        made.cast()
    }
}

unsafe fn state<'a>(node: *mut pg_sys::CustomScanState) -> &'a mut State {
    // SAFETY: set in `begin`, freed with the query's memory.
    unsafe { &mut *(*node.cast::<Node>()).state }
}

#[pg_guard]
unsafe extern "C-unwind" fn begin(
    node: *mut pg_sys::CustomScanState,
    estate: *mut pg_sys::EState,
    flags: i32,
) {
    // SAFETY: PostgreSQL calls with a node of `create`, in the query's memory.
    unsafe {
        let plan = Plan::of(node);
        let types: Vec<_> = list::pointers::<pg_sys::Node>(plan.expressions)
            .into_iter()
            .map(|expression| pg_sys::exprType(expression))
            .collect();
        let columns = (*(*node).ss.ss_ScanTupleSlot).tts_tupleDescriptor;
        let numbers: Vec<_> = (1..=(*columns).natts).collect();
        let state = State {
            expressions: pg_sys::ExecInitExprList(plan.expressions, &mut (*node).ss.ps),
            outputs: Outputs::new(&types[..plan.sent]),
            types,
            reader: RowReader::new(columns, &numbers),
            keeper: Keeper::now(),
            rows: None,
            started: false,
            statement: None,
            plan,
        };
        (*node.cast::<Node>()).state =
            PgMemoryContexts::For((*estate).es_query_cxt).leak_and_drop_on_delete(state);
        let state = self::state(node);
        let reads = (*state.plan.query).commandType == pg_sys::CmdType::CMD_SELECT;
        if state.plan.is_cursor && reads && flags as u32 & pg_sys::EXEC_FLAG_EXPLAIN_ONLY == 0 {
            start(node);
        }
    }
}

unsafe fn evaluate(
    node: *mut pg_sys::CustomScanState,
    expression: *mut pg_sys::ExprState,
) -> Option<pg_sys::Datum> {
    // SAFETY: an expression of this node, evaluated in its context; the function may raise.
    unsafe {
        let context = (*node).ss.ps.ps_ExprContext;
        let mut null = false;
        let evaluate = (*expression).evalfunc?;
        let value = pg_guard_ffi_boundary(|| evaluate(expression, context, &mut null));
        (!null).then_some(value)
    }
}

/// The parts of a key, locked, and the statement for them.
unsafe fn aim(node: *mut pg_sys::CustomScanState, key: Option<pg_sys::Datum>) -> Rc<Statement> {
    // SAFETY: a node that has begun; its relations are locked.
    unsafe {
        let state = state(node);
        let entries = (*(*node).ss.ps.state).es_range_table;
        let is_insert = (*state.plan.query).commandType == pg_sys::CmdType::CMD_INSERT;
        let type_ = state.types[state.plan.key];
        let mut parts = Vec::with_capacity(state.plan.relations.len());
        for &number in &state.plan.relations {
            let entry = list::pointer::<pg_sys::RangeTblEntry>(entries, number as usize - 1);
            let found = tables::part_of((*entry).relid, key, type_);
            let part = if is_insert {
                found
            } else {
                found.or_else(|| tables::any_part((*entry).relid))
            };
            let Some(part) = part else {
                let name = std::ffi::CStr::from_ptr(pg_sys::get_rel_name((*entry).relid)).to_string_lossy();
                raise(
                    PgSqlErrorCode::ERRCODE_CHECK_VIOLATION,
                    format!("no partition of relation \"{name}\" found for row"),
                );
            };
            // The map of slots is read behind this lock, which brings the news of moves.
            pg_sys::LockRelationOid(part, (*entry).rellockmode);
            parts.push((number, part));
        }
        statement::of(state.plan.number, state.plan.query, &parts)
    }
}

unsafe fn start(node: *mut pg_sys::CustomScanState) {
    // SAFETY: a node that has begun.
    unsafe {
        let state = state(node);
        let estate = (*node).ss.ps.state;
        let expressions = list::pointers::<pg_sys::ExprState>(state.expressions);
        let values: Vec<_> = expressions
            .into_iter()
            .map(|expression| evaluate(node, expression))
            .collect();
        let statement = aim(node, values[state.plan.key]);
        state.statement = Some(Rc::clone(&statement));
        let mut texts = Vec::with_capacity(state.plan.sent);
        state
            .outputs
            .texts(values.into_iter().take(state.plan.sent), &mut texts);
        // The types of columns of a type of this database are the node's to find out.
        let type_ = |&type_: &pg_sys::Oid| {
            if values::is_builtin(type_) {
                type_
            } else {
                pg_sys::InvalidOid
            }
        };
        let types: Vec<_> = state.types[..state.plan.sent].iter().map(type_).collect();
        let command = Command {
            statement: &statement,
            types: &types,
            values: &texts,
        };
        let target = nodes::node_of(statement.place);
        let query = &*state.plan.query;
        let subject = if query.resultRelation > 0 {
            query.resultRelation as u32
        } else {
            state.plan.relations[0]
        };
        let user = versions::role_of_named(estate, subject);
        state.rows = Some(if query.commandType == pg_sys::CmdType::CMD_SELECT {
            let locks = !query.rowMarks.is_null();
            let session = if locks {
                pool::idle_writer(&target, user)
            } else {
                pool::reader(&target, user)
            };
            Rows::Stream(command.read(&session, locks, state.keeper))
        } else {
            let session = pool::idle_writer(&target, user);
            let may_commit = query.returningList.is_null() && commit::at_once(estate);
            let answer = command.write(&session, may_commit);
            (*estate).es_processed += answer.affected();
            Rows::Answer(Rc::new(answer), 0)
        });
        state.started = true;
    }
}

/// A statement and its parameters.
struct Command<'a> {
    statement: &'a Statement,
    types: &'a [pg_sys::Oid],
    values: &'a [Option<CString>],
}

impl Command<'_> {
    fn read(&self, session: &Rc<Connection>, locks: bool, keeper: Keeper) -> Rc<RefCell<Stream>> {
        if locks || session.depth.get() > 0 || pool::needs_snapshot() {
            let opening = transaction::opening(session);
            if !opening.is_empty()
                && let Err(trouble) = session.run(
                    &CString::new(opening).unwrap_or_default(),
                    Patience::Interruptible,
                )
            {
                trouble.raise("BEGIN");
            }
        }
        if let Err(trouble) = session.send_often(&self.statement.sql, self.types, self.values) {
            trouble.raise(&self.statement.text);
        }
        Stream::new(session, Rc::clone(&self.statement.text), keeper)
    }

    /// The answer of a write, within the local transaction or committed.
    fn write(&self, session: &Rc<Connection>, may_commit: bool) -> Answer {
        let sql = &self.statement.sql;
        let answer = if may_commit {
            session
                .send_often(sql, self.types, self.values)
                .and_then(|()| session.finish_committed())
        } else {
            let opening = transaction::opening(session);
            session.wrote.set(true);
            session
                .send_behind(&opening, sql, self.types, self.values)
                .and_then(|()| session.finish(Patience::Interruptible))
        };
        match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => raise(
                PgSqlErrorCode::ERRCODE_PROTOCOL_VIOLATION,
                format!("node \"{}\" gave no answer", session.node.name),
            ),
            Err(trouble) => trouble.raise(&self.statement.text),
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn run(node: *mut pg_sys::CustomScanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: PostgreSQL calls with a node that has begun.
    unsafe {
        let slot = (*node).ss.ss_ScanTupleSlot;
        if !state(node).started {
            start(node);
        }
        let state = state(node);
        let row = match &mut state.rows {
            Some(Rows::Stream(stream)) => stream.borrow_mut().next(),
            Some(Rows::Answer(answer, at)) if *at < answer.rows() => {
                *at += 1;
                Some(Fetched::Of(Rc::clone(answer), *at - 1))
            }
            _ => None,
        };
        match row {
            Some(row) => state.reader.fill(slot, &row),
            None => clear(slot),
        }
        slot
    }
}

unsafe fn stop(node: *mut pg_sys::CustomScanState) {
    // SAFETY: as above.
    unsafe {
        let state = state(node);
        state.started = false;
        if let Some(Rows::Stream(stream)) = state.rows.take() {
            stream.borrow_mut().close();
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn rescan(node: *mut pg_sys::CustomScanState) {
    // SAFETY: as above.
    unsafe { stop(node) }
}

#[pg_guard]
unsafe extern "C-unwind" fn end(node: *mut pg_sys::CustomScanState) {
    // SAFETY: as above.
    unsafe { stop(node) }
}

/// EXPLAIN (VERBOSE): slot, node and SQL, where the key is known.
#[pg_guard]
unsafe extern "C-unwind" fn explain(
    node: *mut pg_sys::CustomScanState,
    _ancestors: *mut pg_sys::List,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: a node that has begun; labels and values end with a zero and are copied.
    unsafe {
        if !(*es).verbose {
            return;
        }
        let state = state(node);
        let key = list::pointer::<pg_sys::Node>(state.plan.expressions, state.plan.key);
        if state.statement.is_none() && values::is_steady(key) {
            let expression = list::pointer::<pg_sys::ExprState>(state.expressions, state.plan.key);
            state.statement = Some(aim(node, evaluate(node, expression)));
        }
        let Some(statement) = &state.statement else { return };
        let name = CString::new(nodes::node_of(statement.place).name.as_str()).unwrap_or_default();
        pg_sys::ExplainPropertyText(c"Remote SQL".as_ptr(), statement.sql.as_ptr(), es);
        pg_sys::ExplainPropertyText(c"Node".as_ptr(), name.as_ptr(), es);
        pg_sys::ExplainPropertyInteger(
            c"Slot".as_ptr(),
            std::ptr::null(),
            statement.place.slot.into(),
            es,
        );
    }
}
