//! Many rows for many slots: COPY into each slot's table.
//!
//! In: rows of COPY FROM, or of the filling of a table that is being distributed. Out: blocks in COPY's text
//! format on the session that each node has in the local transaction. Must never: keep a row aside once
//! anything else of the transaction uses a node, or more than `MOST_BYTES` of rows in all.
//!
//! Every slot gathers a block; a full one is sent, and the node works on it while further rows are read. A
//! node has one session in a transaction, so its slots take turns.

#![expect(unsafe_code, reason = "reads PostgreSQL's executor nodes and slots")]

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::rc::{Rc, Weak};

use pgrx::{PgSqlErrorCode, pg_sys};

use super::convert::Outputs;
use crate::error::raise;
use crate::remote::connection::Patience;
use crate::remote::nodes::Node;
use crate::remote::{Connection, Trouble};
use crate::transaction;

/// A block of one slot.
const BLOCK_BYTES: usize = 64 << 10;
/// Rows that wait for being sent, over all slots.
const MOST_BYTES: usize = 8 << 20;

/// The rows of one slot that are not sent yet.
pub(super) struct Block {
    node: Rc<Node>,
    user: pg_sys::Oid,
    sql: Rc<str>,
    rows: Vec<u8>,
    /// Nesting of the local transaction in which the rows are read.
    depth: i32,
}

/// A node's session with a COPY that is sent and not yet answered.
struct Flight {
    node: i32,
    session: Rc<Connection>,
    sql: Rc<str>,
    depth: i32,
}

fn depth() -> i32 {
    // SAFETY: reads the backend's state.
    unsafe { pg_sys::GetCurrentTransactionNestLevel() }
}

thread_local! {
    static BLOCKS: RefCell<Vec<Weak<RefCell<Block>>>> = const { RefCell::new(Vec::new()) };
    static FLIGHTS: RefCell<Vec<Flight>> = const { RefCell::new(Vec::new()) };
    static WAITING: Cell<usize> = const { Cell::new(0) };
}

impl Block {
    /// For rows of a table's columns; `into` is the table there and its list of columns.
    pub(super) fn new(node: &Rc<Node>, user: pg_sys::Oid, into: &str) -> Rc<RefCell<Self>> {
        let block = Rc::new(RefCell::new(Self {
            node: Rc::clone(node),
            user,
            sql: format!("COPY {into} FROM STDIN").into(),
            rows: Vec::new(),
            depth: depth(),
        }));
        BLOCKS.with_borrow_mut(|blocks| blocks.push(Rc::downgrade(&block)));
        block
    }
}

/// Adds a row, and sends the block when it is full.
pub(super) fn add(
    block: &Rc<RefCell<Block>>,
    outputs: &mut Outputs,
    values: impl Iterator<Item = Option<pg_sys::Datum>>,
) {
    let (full, much) = {
        let mut block = block.borrow_mut();
        let before = block.rows.len();
        write_row(outputs, values, &mut block.rows);
        WAITING.set(WAITING.get() + block.rows.len() - before);
        (block.rows.len() >= BLOCK_BYTES, WAITING.get() >= MOST_BYTES)
    };
    if much {
        send_all();
    } else if full {
        send(block);
    }
}

/// A row in COPY's text format.
pub(super) fn write_row(
    outputs: &mut Outputs,
    values: impl Iterator<Item = Option<pg_sys::Datum>>,
    into: &mut Vec<u8>,
) {
    let mut first = true;
    outputs.each(values, |text| {
        if !std::mem::take(&mut first) {
            into.push(b'\t');
        }
        match text {
            None => into.extend_from_slice(b"\\N"),
            Some(text) => escape(text.to_bytes(), into),
        }
    });
    into.push(b'\n');
}

fn escape(text: &[u8], into: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t');
    let mut rest = text;
    while let Some(at) = rest.iter().position(special) {
        into.extend_from_slice(&rest[..at]);
        into.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    into.extend_from_slice(rest);
}

fn text(sql: &str) -> CString {
    // Statements hold no zero: PostgreSQL's text cannot.
    CString::new(sql).unwrap_or_default()
}

/// Waits for what a node has not answered yet. Raises what it refused.
fn land(node: i32) {
    let flight = FLIGHTS.with_borrow_mut(|flights| {
        let at = flights.iter().position(|flight| flight.node == node)?;
        Some(flights.swap_remove(at))
    });
    if let Some(flight) = flight
        && let Err(trouble) = flight.session.finish(Patience::Interruptible)
    {
        trouble.raise(&flight.sql);
    }
}

/// Sends what a slot has gathered, and does not wait for the answer.
fn send(block: &Rc<RefCell<Block>>) {
    let (node, user, sql, mut rows, level) = {
        let mut block = block.borrow_mut();
        if block.rows.is_empty() {
            return;
        }
        let rows = std::mem::take(&mut block.rows);
        (
            Rc::clone(&block.node),
            block.user,
            Rc::clone(&block.sql),
            rows,
            block.depth,
        )
    };
    if depth() > level {
        // A subtransaction that is rolled back would take the rows with it.
        raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "a function called by COPY uses a distributed table within an exception block",
        );
    }
    WAITING.set(WAITING.get().saturating_sub(rows.len()));
    land(node.id);
    let session = transaction::session_for_copy(&node, user);
    if let Err(trouble) = session.begin_copy(&text(&sql), &rows) {
        trouble.raise(&sql);
    }
    let flight = Flight {
        node: node.id,
        session,
        sql,
        depth: level,
    };
    FLIGHTS.with_borrow_mut(|flights| flights.push(flight));
    // The block keeps its room for the next rows.
    rows.clear();
    block.borrow_mut().rows = rows;
}

fn send_all() {
    let mut blocks: Vec<_> = BLOCKS.with_borrow_mut(|blocks| {
        blocks.retain(|block| block.strong_count() > 0);
        blocks.iter().filter_map(Weak::upgrade).collect()
    });
    // One block of each node in turn, so that all nodes have work.
    let mut turn: Vec<(usize, Rc<RefCell<Block>>)> = Vec::with_capacity(blocks.len());
    for block in blocks.drain(..) {
        let node = block.borrow().node.id;
        let earlier = turn
            .iter()
            .filter(|(_, other)| other.borrow().node.id == node)
            .count();
        turn.push((earlier, block));
    }
    turn.sort_by_key(|(round, _)| *round);
    turn.iter().for_each(|(_, block)| send(block));
}

/// Sends everything and waits for every answer: the nodes have all rows. Raises what one refused.
pub(crate) fn settle() {
    if WAITING.get() > 0 {
        send_all();
    }
    while let Some(node) = FLIGHTS.with_borrow(|flights| flights.first().map(|flight| flight.node)) {
        land(node);
    }
}

/// When a transaction or subtransaction ends, nothing of its commands is sent any more.
pub(super) fn forget(from_depth: i32) {
    FLIGHTS.with_borrow_mut(|flights| flights.retain(|flight| flight.depth < from_depth));
    let waiting = BLOCKS.with_borrow_mut(|blocks| {
        blocks.retain(|block| {
            block
                .upgrade()
                .is_some_and(|block| block.borrow().depth < from_depth)
        });
        let bytes =
            |block: &Weak<RefCell<Block>>| block.upgrade().map_or(0, |block| block.borrow().rows.len());
        blocks.iter().map(bytes).sum()
    });
    WAITING.set(waiting);
}

/// Copies rows that are at hand, and waits for the answer: how many there were.
pub(super) fn copy(session: &Connection, into: &str, rows: &[u8]) -> Result<u64, Trouble> {
    session.begin_copy(&text(&format!("COPY {into} FROM STDIN")), rows)?;
    let answer = session.finish(Patience::Interruptible)?;
    Ok(answer.map_or(0, |answer| answer.affected()))
}
