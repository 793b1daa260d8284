//! Reading rows in the order of their keys: those of the store, with the transaction's own changes among them.
//!
//! In: a plan with its conditions. Out: rows, one at a time. Must never: read more of the store than the next
//! row, or show a change of the running command.

#![expect(unsafe_code, reason = "reads PostgreSQL's executor nodes and fills slots")]

use std::ops::Bound;
use std::rc::Rc;

use atoll::routing::KeyBuf;
use atoll::store::scan::end_of_prefix;
use atoll::store::{Scan, ScanOptions, StoreError};
use pgrx::prelude::*;
use pgrx::{PgMemoryContexts, pg_guard};

use super::options::{self, Wanted};
use super::pending::Change;
use super::plan::Operator;
use super::session::{self, Statement};
use super::shape::{Kind, Shape};
use super::value::Codec;
use crate::error::raise_store;
use crate::fdw::convert::clear;
use crate::fdw::list;

/// How a condition's right side is read.
pub(super) struct Operand {
    kind: Option<Kind>,
    element: pg_sys::Oid,
    is_array: bool,
}

impl Operand {
    /// Of an expression of this type.
    pub(super) fn new(operator: Operator, type_: pg_sys::Oid) -> Operand {
        let is_array = operator == Operator::Any;
        let element = if is_array {
            // SAFETY: asks the catalog.
            unsafe { pg_sys::get_element_type(type_) }
        } else {
            type_
        };
        Operand {
            kind: Kind::of(element),
            element,
            is_array,
        }
    }

    /// The elements of keys that the column is compared with; NULL gives none, and so no row.
    ///
    /// # Safety
    /// A value of the type given to `new`.
    pub(super) unsafe fn elements(&self, value: Option<pg_sys::Datum>) -> Vec<KeyBuf> {
        let (Some(kind), Some(value)) = (self.kind, value) else {
            return Vec::new();
        };
        // SAFETY: as the caller says; the array's parts live in the current memory context.
        unsafe {
            if !self.is_array {
                return vec![kind.element(value)];
            }
            let (mut len, mut by_value, mut align) = (0, false, 0);
            pg_sys::get_typlenbyvalalign(self.element, &mut len, &mut by_value, &mut align);
            let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
            pg_sys::deconstruct_array(
                pg_sys::pg_detoast_datum(value.cast_mut_ptr()).cast(),
                self.element,
                len.into(),
                by_value,
                align,
                &mut values,
                &mut nulls,
                &mut count,
            );
            (0..count as usize)
                .filter(|&n| !*nulls.add(n))
                .map(|n| kind.element(*values.add(n)))
                .collect()
        }
    }
}

/// A pushed condition with its value.
pub(super) struct Condition {
    pub(super) operator: Operator,
    /// One, or those of an array; none for NULL.
    pub(super) elements: Vec<KeyBuf>,
}

/// What is read.
pub(super) enum Bounds {
    /// These keys, ascending.
    Keys(Vec<Vec<u8>>),
    /// Those between.
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
}

impl Bounds {
    /// What the conditions leave of a table.
    pub(super) fn of(shape: &Shape, conditions: &[Condition]) -> Bounds {
        if conditions.iter().any(|condition| condition.elements.is_empty()) {
            return Bounds::Keys(Vec::new());
        }
        if shape.key.len() > 1 {
            let elements: Vec<_> = conditions.iter().flat_map(|one| one.elements.clone()).collect();
            let bytes = shape.encode(&elements);
            return match elements.len() {
                len if len == shape.key.len() => Bounds::Keys(vec![bytes]),
                0 => {
                    let (start, end) = shape.range();
                    Bounds::Range(start, end)
                }
                _ => Bounds::Range(Bound::Included(bytes.clone()), end_of_prefix(&bytes)),
            };
        }
        let encoded = |element: &KeyBuf| shape.encode(std::slice::from_ref(element));
        let (mut start, mut end) = shape.range();
        let mut keys: Option<Vec<Vec<u8>>> = None;
        for condition in conditions {
            match condition.operator {
                Operator::Equal | Operator::Any => {
                    let mut wanted: Vec<_> = condition.elements.iter().map(encoded).collect();
                    wanted.sort();
                    wanted.dedup();
                    if let Some(keys) = &keys {
                        wanted.retain(|key| keys.contains(key));
                    }
                    keys = Some(wanted);
                }
                Operator::Less => end = least(end, Bound::Excluded(encoded(&condition.elements[0]))),
                Operator::LessEqual => end = least(end, Bound::Included(encoded(&condition.elements[0]))),
                Operator::Greater => start = most(start, Bound::Excluded(encoded(&condition.elements[0]))),
                Operator::GreaterEqual => {
                    start = most(start, Bound::Included(encoded(&condition.elements[0])))
                }
            }
        }
        match keys {
            Some(mut keys) => {
                keys.retain(|key| lies_between(key, &start, &end));
                Bounds::Keys(keys)
            }
            None => Bounds::Range(start, end),
        }
    }
}

fn lies_between(key: &Vec<u8>, start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>) -> bool {
    let above = match start {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
    };
    above
        && match end {
            Bound::Unbounded => true,
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
        }
}

/// The upper bound that leaves less.
fn least(one: Bound<Vec<u8>>, other: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match (&one, &other) {
        (Bound::Unbounded, _) => other,
        (_, Bound::Unbounded) => one,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => {
            if a < b || (a == b && matches!(one, Bound::Excluded(_))) {
                one
            } else {
                other
            }
        }
    }
}

/// The lower bound that leaves less.
fn most(one: Bound<Vec<u8>>, other: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match (&one, &other) {
        (Bound::Unbounded, _) => other,
        (_, Bound::Unbounded) => one,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => {
            if a > b || (a == b && matches!(one, Bound::Excluded(_))) {
                one
            } else {
                other
            }
        }
    }
}

/// A key and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// Rows that are being read.
pub(super) enum Rows {
    Keys {
        keys: std::vec::IntoIter<Vec<u8>>,
        alone: bool,
    },
    Range(Box<Range>),
}

/// A range of the store, and of the transaction's own changes.
pub(super) struct Range {
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    reverse: bool,
    scan: Scan,
    /// The store's next entry, read ahead; none before the first and behind the last.
    stored: Option<Entry>,
    /// The transaction's next change, likewise.
    own: Option<(Vec<u8>, Change)>,
}

impl Rows {
    pub(super) fn new(statement: &Statement, bounds: Bounds, reverse: bool) -> Result<Rows, StoreError> {
        Ok(match bounds {
            Bounds::Keys(mut keys) => {
                if reverse {
                    keys.reverse();
                }
                Rows::Keys {
                    alone: keys.len() <= 1,
                    keys: keys.into_iter(),
                }
            }
            Bounds::Range(start, end) => {
                let options = ScanOptions {
                    reverse,
                    ..ScanOptions::default()
                };
                let scan = statement.snapshot()?.scan_with(
                    start.as_ref().map(Vec::as_slice),
                    end.as_ref().map(Vec::as_slice),
                    options,
                )?;
                let mut range = Range {
                    start,
                    end,
                    reverse,
                    scan,
                    stored: None,
                    own: None,
                };
                range.read_stored()?;
                range.read_own(statement);
                Rows::Range(Box::new(range))
            }
        })
    }

    pub(super) fn next(&mut self, statement: &Statement) -> Result<Option<Entry>, StoreError> {
        match self {
            Rows::Range(range) => range.next(statement),
            Rows::Keys { keys, alone } => {
                for key in keys {
                    let value = match statement.own(&key) {
                        Some(change) => change.value.map(|value| value.to_vec()),
                        None => statement.stored(&key, *alone)?.map(|value| value.to_vec()),
                    };
                    if let Some(value) = value {
                        return Ok(Some((key, value)));
                    }
                }
                Ok(None)
            }
        }
    }
}

impl Range {
    fn read_stored(&mut self) -> Result<(), StoreError> {
        let entry = self.scan.next_entry()?;
        self.stored = entry.map(|entry| (entry.key.to_vec(), entry.value.unwrap_or_default().to_vec()));
        Ok(())
    }

    /// The change behind the last one given.
    fn read_own(&mut self, statement: &Statement) {
        let (mut start, mut end) = (self.start.as_ref(), self.end.as_ref());
        if let Some((key, _)) = &self.own {
            *(if self.reverse { &mut end } else { &mut start }) = Bound::Excluded(key);
        }
        let bounds = (start.map(Vec::as_slice), end.map(Vec::as_slice));
        self.own = statement.own_next(bounds, self.reverse);
    }

    fn next(&mut self, statement: &Statement) -> Result<Option<Entry>, StoreError> {
        loop {
            let order = match (&self.stored, &self.own) {
                (None, None) => return Ok(None),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((stored, _)), Some((own, _))) if self.reverse => own.cmp(stored),
                (Some((stored, _)), Some((own, _))) => stored.cmp(own),
            };
            if order.is_lt() {
                let entry = self.stored.take();
                self.read_stored()?;
                return Ok(entry);
            }
            if order.is_eq() {
                self.read_stored()?;
            }
            let found = self.own.clone();
            self.read_own(statement);
            if let Some((
                key,
                Change {
                    value: Some(value), ..
                },
            )) = found
            {
                return Ok(Some((key, value.to_vec())));
            }
        }
    }
}

/// Fills slots with rows of one table.
pub(super) struct Filler {
    pub(super) shape: Shape,
    codec: Codec,
    wanted: Vec<i16>,
    context: pg_sys::MemoryContext,
}

impl Filler {
    /// In the current memory context; only the columns that are `wanted` are read.
    pub(super) fn new(shape: Shape, wanted: Vec<i16>) -> Filler {
        // SAFETY: a child of the current context, which frees it.
        let context = unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"atoll store row".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        };
        Filler {
            codec: Codec::new(&shape),
            shape,
            wanted,
            context,
        }
    }

    /// Replaces what is in the slot by the row.
    ///
    /// # Safety
    /// A virtual slot of the table.
    pub(super) unsafe fn fill(&mut self, slot: *mut pg_sys::TupleTableSlot, (key, value): &Entry) {
        // SAFETY: the slot has room for every attribute of the table; the context is this filler's.
        unsafe {
            clear(slot);
            pg_sys::MemoryContextReset(self.context);
            let before = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = self.context;
            for n in 0..(*(*slot).tts_tupleDescriptor).natts as usize {
                *(*slot).tts_isnull.add(n) = true;
                *(*slot).tts_values.add(n) = pg_sys::Datum::from(0);
            }
            let put = |number: i16, datum: pg_sys::Datum| {
                *(*slot).tts_isnull.add(number as usize - 1) = false;
                *(*slot).tts_values.add(number as usize - 1) = datum;
            };
            let wanted = |number: i16| self.wanted.contains(&number);
            if self.shape.key.iter().any(|(column, _)| wanted(column.number)) {
                let values = self.shape.decode(key);
                for ((column, _), datum) in self.shape.key.iter().zip(values) {
                    put(column.number, datum);
                }
            }
            let values = self.codec.read(&self.shape, &wanted, key, value);
            for (column, datum) in self.shape.rest.iter().zip(values) {
                if let Some(datum) = datum {
                    put(column.number, datum);
                }
            }
            pg_sys::CurrentMemoryContext = before;
            pg_sys::ExecStoreVirtualTuple(slot);
        }
    }
}

/// The state of a scan.
pub(super) struct State {
    statement: Rc<Statement>,
    filler: Filler,
    reverse: bool,
    conditions: Vec<(Operator, Operand)>,
    expressions: *mut pg_sys::List,
    rows: Option<Rows>,
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn begin(node: *mut pg_sys::ForeignScanState, flags: i32) {
    if flags as u32 & pg_sys::EXEC_FLAG_EXPLAIN_ONLY != 0 {
        return;
    }
    // SAFETY: PostgreSQL calls with a node of this wrapper; `plan` made its private integers.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        let estate = (*node).ss.ps.state;
        let shape = Shape::of_relation((*node).ss.ss_currentRelation);
        let private = list::integers((*plan).fdw_private);
        let count = private[1] as usize;
        let expressions = list::pointers::<pg_sys::Node>((*plan).fdw_exprs);
        let conditions = private[2..2 + count].iter().zip(expressions);
        let conditions = conditions.map(|(&operator, expression)| {
            let operator = Operator::of(operator).expect("`plan` wrote an operator");
            (operator, Operand::new(operator, pg_sys::exprType(expression)))
        });
        let conditions = conditions.collect();
        let path = options::directory(shape.server, Wanted::Read);
        if locks_rows(estate, (*plan).scan.scanrelid) {
            // FOR UPDATE and FOR SHARE keep writers of this server out, as a write does.
            options::directory(shape.server, Wanted::Write);
            session::begin_writing(&path);
        }
        let state = State {
            statement: session::statement(estate, &path),
            filler: Filler::new(
                shape,
                private[2 + count..].iter().map(|&column| column as i16).collect(),
            ),
            reverse: private[0] != 0,
            conditions,
            expressions: pg_sys::ExecInitExprList((*plan).fdw_exprs, &mut (*node).ss.ps),
            rows: None,
        };
        (*node).fdw_state = PgMemoryContexts::For((*estate).es_query_cxt)
            .leak_and_drop_on_delete(state)
            .cast();
    }
}

/// Whether the statement locks the rows it reads of this relation.
unsafe fn locks_rows(estate: *const pg_sys::EState, relation: u32) -> bool {
    // SAFETY: the plan of a running statement.
    unsafe {
        list::pointers::<pg_sys::PlanRowMark>((*(*estate).es_plannedstmt).rowMarks)
            .into_iter()
            .any(|mark| (*mark).rti == relation && (*mark).strength != pg_sys::LockClauseStrength::LCS_NONE)
    }
}

unsafe fn state<'a>(node: *mut pg_sys::ForeignScanState) -> Option<&'a mut State> {
    // SAFETY: callers pass a node of this wrapper; set by `begin`, freed with the query's memory.
    unsafe { (*node).fdw_state.cast::<State>().as_mut() }
}

impl State {
    /// The conditions with their values now.
    unsafe fn bounds(&self, node: *mut pg_sys::ForeignScanState) -> Bounds {
        // SAFETY: expressions of this node, evaluated in its context; those functions may raise.
        unsafe {
            let context = (*node).ss.ps.ps_ExprContext;
            let expressions = list::pointers::<pg_sys::ExprState>(self.expressions);
            let conditions = self.conditions.iter().zip(expressions);
            let conditions: Vec<_> = conditions
                .map(|((operator, operand), expression)| {
                    let mut null = false;
                    let value = (*expression).evalfunc.map(|evaluate| {
                        pg_sys::ffi::pg_guard_ffi_boundary(|| evaluate(expression, context, &mut null))
                    });
                    Condition {
                        operator: *operator,
                        elements: operand.elements(value.filter(|_| !null)),
                    }
                })
                .collect();
            Bounds::of(&self.filler.shape, &conditions)
        }
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn iterate(
    node: *mut pg_sys::ForeignScanState,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: PostgreSQL calls with a node of this wrapper that has begun.
    unsafe {
        let slot = (*node).ss.ss_ScanTupleSlot;
        let Some(scan) = state(node) else { return slot };
        if scan.rows.is_none() {
            let bounds = scan.bounds(node);
            let rows = Rows::new(&scan.statement, bounds, scan.reverse);
            scan.rows = Some(rows.unwrap_or_else(|error| raise_store(&error)));
        }
        let rows = scan.rows.as_mut().expect("it was made above");
        match rows.next(&scan.statement) {
            Ok(Some(entry)) => scan.filler.fill(slot, &entry),
            Ok(None) => clear(slot),
            Err(error) => raise_store(&error),
        }
        slot
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn rescan(node: *mut pg_sys::ForeignScanState) {
    // SAFETY: as above.
    if let Some(scan) = unsafe { state(node) } {
        scan.rows = None;
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn end(node: *mut pg_sys::ForeignScanState) {
    // SAFETY: as above.
    if let Some(scan) = unsafe { state(node) } {
        scan.rows = None;
    }
}
