//! TRUNCATE and ANALYZE of a slot.
//!
//! In: foreign tables of this wrapper. Out: an empty table there, or a sample of its rows. Must never: ship
//! a whole table to sample it.

#![expect(unsafe_code, reason = "reads relations and hands tuples to ANALYZE")]

use std::ffi::CString;
use std::rc::Rc;

use pgrx::pg_guard;
use pgrx::prelude::*;

use super::convert::RowReader;
use super::list;
use super::modify::{remote_columns, remote_table};
use crate::remote::connection::Patience;
use crate::remote::nodes::{self, Node};
use crate::remote::stream::{Keeper, Stream};
use crate::remote::{Answer, pool};
use crate::transaction;

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn truncate(
    relations: *mut pg_sys::List,
    behavior: pg_sys::DropBehavior::Type,
    restart: bool,
) {
    // SAFETY: PostgreSQL passes open foreign tables of one server.
    let tables: Vec<_> = unsafe {
        let relations = list::pointers::<pg_sys::RelationData>(relations);
        relations
            .into_iter()
            .map(|relation| remote_table(relation))
            .collect()
    };
    let Some(first) = tables.first() else { return };
    let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
    let sql = format!(
        "TRUNCATE {} {} IDENTITY {}",
        names.join(", "),
        if restart { "RESTART" } else { "CONTINUE" },
        if behavior == pg_sys::DropBehavior::DROP_CASCADE {
            "CASCADE"
        } else {
            "RESTRICT"
        },
    );
    let node = nodes::node_of(nodes::place_of(first.server));
    // SAFETY: reads the role of the running statement.
    let session = transaction::session(&node, unsafe { pg_sys::GetUserId() }, true);
    if let Err(trouble) = session.run(
        &CString::new(sql.as_str()).unwrap_or_default(),
        Patience::Interruptible,
    ) {
        trouble.raise(&sql);
    }
}

/// Asks as the owner of the table, as ANALYZE does.
fn ask(node: &Rc<Node>, sql: &str) -> Option<Answer> {
    // SAFETY: reads the role that ANALYZE has switched to.
    let session = pool::reader(node, unsafe { pg_sys::GetUserId() });
    match session.run(&CString::new(sql).unwrap_or_default(), Patience::Interruptible) {
        Ok(answer) => answer,
        Err(trouble) => trouble.raise(sql),
    }
}

fn number(answer: Option<&Answer>, column: usize) -> f64 {
    answer
        .filter(|answer| answer.rows() == 1)
        .and_then(|answer| answer.text(0, column)?.parse().ok())
        .unwrap_or(0.0)
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn analyze(
    relation: pg_sys::Relation,
    function: *mut pg_sys::AcquireSampleRowsFunc,
    pages: *mut pg_sys::BlockNumber,
) -> bool {
    // SAFETY: PostgreSQL passes an open foreign table and places for the answers.
    unsafe {
        *function = Some(sample);
        let table = remote_table(relation);
        let node = nodes::node_of(nodes::place_of(table.server));
        let sql = format!(
            "SELECT pg_catalog.pg_relation_size({}::pg_catalog.regclass) / pg_catalog.current_setting('block_size')::pg_catalog.int8",
            literal(&table.name)
        );
        let answer = ask(&node, &sql);
        *pages = number(answer.as_ref(), 0).max(1.0) as u32;
    }
    true
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[pg_guard]
unsafe extern "C-unwind" fn sample(
    relation: pg_sys::Relation,
    _level: i32,
    rows: *mut pg_sys::HeapTuple,
    wanted: i32,
    total: *mut f64,
    dead: *mut f64,
) -> i32 {
    // SAFETY: PostgreSQL passes an open foreign table and room for as many rows as it wants.
    unsafe {
        let table = remote_table(relation);
        let node = nodes::node_of(nodes::place_of(table.server));
        let counted = ask(&node, &format!("SELECT pg_catalog.count(*) FROM {}", table.name));
        let count = number(counted.as_ref(), 0);
        *total = count;
        *dead = 0.0;
        let columns = remote_columns(relation, true);
        let names: Vec<_> = columns.iter().map(|(_, name)| name.as_str()).collect();
        let names = if names.is_empty() {
            "NULL".to_owned()
        } else {
            names.join(", ")
        };
        let mut sql = format!("SELECT {names} FROM {}", table.name);
        if count > f64::from(wanted) {
            // A little more than wanted, since the sample's size varies.
            let percent = (100.0 * 1.2 * f64::from(wanted) / count).min(100.0);
            sql.push_str(&format!(" TABLESAMPLE BERNOULLI ({percent:.6})"));
        }
        sql.push_str(&format!(" LIMIT {wanted}"));
        let session = pool::reader(&node, pg_sys::GetUserId());
        if let Err(trouble) = session.send(&CString::new(sql.as_str()).unwrap_or_default()) {
            trouble.raise(&sql);
        }
        let stream = Stream::new(&session, sql.into(), Keeper::now());
        let numbers: Vec<_> = columns.iter().map(|(number, _)| *number).collect();
        let mut reader = RowReader::new((*relation).rd_att, &numbers);
        let slot = pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, &raw const pg_sys::TTSOpsVirtual);
        let mut taken = 0;
        while taken < wanted
            && let Some(row) = stream.borrow_mut().next()
        {
            *rows.add(taken as usize) = reader.tuple(slot, &row);
            taken += 1;
        }
        stream.borrow_mut().close();
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        taken
    }
}
