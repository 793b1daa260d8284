//! Changes of distributed tables, carried over to the tables on the nodes.
//!
//! In: calls of the event triggers, after a command of any kind. Out: the same change on every node, in the
//! same transaction, or an error. Must never: leave a node behind, run anything but catalog queries with more
//! rights than the caller's, or send anything with another role's mapping.
//!
//! What a command did is found by comparing catalogs (`catalog/ddl.sql`), not by reading the command: it
//! makes no difference whether it was an ALTER TABLE, or the end of a DROP … CASCADE.

#![expect(unsafe_code, reason = "asks the planner about an expression")]

use std::ffi::CString;

use pgrx::Spi;
use pgrx::prelude::*;

use super::run::{How, run};
use super::{changes_itself, statement, user};
use crate::error::{raise, raise_with_hint};
use crate::fdw::portable_formats;
use crate::remote::nodes::with_owner_rights;
use crate::versions;

type Row = Vec<Option<String>>;

fn failed(error: &pgrx::spi::Error) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("atoll's catalog cannot be read: {error}"),
    )
}

/// Rows of a query whose columns are text.
fn rows(sql: &str, columns: usize) -> Vec<Row> {
    let read = Spi::connect_mut(|client| -> Result<Vec<Row>, pgrx::spi::Error> {
        let mut found = Vec::new();
        for row in client.update(sql, None, &[])? {
            let values = (1..=columns).map(|column| row.get::<String>(column));
            found.push(values.collect::<Result<Row, _>>()?);
        }
        Ok(found)
    });
    read.unwrap_or_else(|error| failed(&error))
}

/// The same of the catalog, which the caller need not be allowed to read.
fn catalog(sql: &str, columns: usize) -> Vec<Row> {
    with_owner_rights(|| rows(sql, columns))
}

fn field(row: &Row, at: usize) -> &str {
    row.get(at).and_then(Option::as_deref).unwrap_or_default()
}

/// The first two columns of each row are a node and a statement for it.
fn jobs(rows: &[Row]) -> Vec<(i32, CString)> {
    rows.iter()
        .map(|row| {
            (
                field(row, 0).parse().unwrap_or_default(),
                statement(field(row, 1)),
            )
        })
        .collect()
}

fn literal(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), pgrx::spi::quote_literal)
}

/// `carry_over()`: does on the nodes what was done to distributed tables here. Nothing, when nothing was.
#[pg_extern(volatile, parallel_unsafe)]
fn carry_over() {
    let drops = catalog("SELECT node_id::pg_catalog.text, sql FROM atoll.drops()", 2);
    run(jobs(&drops), user(), How::Writes);
    if !drops.is_empty()
        || !catalog("SELECT relid::pg_catalog.text FROM atoll.distributed_table t WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid OPERATOR(pg_catalog.=) t.relid)", 1).is_empty()
    {
        catalog("SELECT atoll.forget_drops()::pg_catalog.text", 1);
    }
    if changes_itself() {
        return;
    }
    // CREATE INDEX lets others of its kind in: whoever is first is waited for, and looked at.
    let changed = || {
        catalog(
            "SELECT DISTINCT relid::pg_catalog.oid::pg_catalog.text FROM atoll.differences()",
            1,
        )
    };
    let mut tables = changed();
    if !tables.is_empty() {
        catalog(
            "SELECT relid::pg_catalog.text FROM atoll.distributed_table t WHERE atoll.is_locked(t.relid::pg_catalog.oid) ORDER BY relid FOR UPDATE",
            1,
        );
        tables = changed();
    }
    let changed = tables;
    let defaults = if changed.is_empty() {
        "{}".to_owned()
    } else {
        new_defaults()
    };
    let alterations = catalog(
        &format!(
            "SELECT node_id::pg_catalog.text, sql FROM atoll.alterations({})",
            literal(Some(&defaults))
        ),
        2,
    );
    if changed.is_empty() {
        return;
    }
    run(jobs(&alterations), user(), How::Writes);
    let questions = catalog(
        "SELECT node_id::pg_catalog.text, sql, relid::pg_catalog.text FROM atoll.unique_questions()",
        3,
    );
    let answers = run(jobs(&questions), user(), How::Writes);
    for table in &changed {
        let table = field(table, 0);
        let answer = questions
            .iter()
            .zip(&answers)
            .find(|(question, _)| field(question, 2) == table)
            .and_then(|(_, answer)| answer.as_ref().ok()?.first());
        let answer = |at: usize| literal(answer.and_then(|row| row.get(at)?.as_deref()));
        catalog(
            &format!(
                "SELECT atoll.note_shape({table}::pg_catalog.regclass, {}, {})::pg_catalog.text",
                answer(0),
                answer(1)
            ),
            1,
        );
    }
}

/// The values that new columns have in rows that are there, by `relid.number`, as JSON. Computed once, here,
/// with the caller's rights.
fn new_defaults() -> String {
    let wanted = catalog(
        "SELECT id, expression, volatile::pg_catalog.text FROM atoll.new_defaults()",
        3,
    );
    let mut values = serde_json::Map::new();
    let _formats = portable_formats();
    for row in &wanted {
        if field(row, 2) == "true" {
            raise_with_hint(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "a new column of a distributed table cannot have a volatile default",
                "Add the column without it, set the default with ALTER COLUMN … SET DEFAULT, then UPDATE the rows that are there.",
            );
        }
        let value = rows(&format!("SELECT {}::pg_catalog.text", field(row, 1)), 1);
        if let Some(Some(text)) = value.into_iter().next().and_then(|row| row.into_iter().next()) {
            values.insert(field(row, 0).to_owned(), serde_json::Value::String(text));
        }
    }
    serde_json::Value::Object(values).to_string()
}

/// `is_volatile(expression)`: whether a stored expression may give another value each time.
#[pg_extern(stable, strict)]
fn is_volatile(expression: &str) -> bool {
    let expression = statement(expression);
    // SAFETY: the catalog holds expressions in the form that is read here.
    unsafe { pg_sys::contain_volatile_functions(pg_sys::stringToNode(expression.as_ptr()).cast()) }
}

/// `is_locked(relation)`: whether this transaction holds a lock under which nobody else changes the relation's
/// definition.
#[pg_extern(volatile, strict, parallel_unsafe, cost = 1000)]
fn is_locked(relation: pg_sys::Oid) -> bool {
    let modes = pg_sys::ShareUpdateExclusiveLock as i32..=pg_sys::AccessExclusiveLock as i32;
    // SAFETY: reads the database's number and this backend's own table of locks.
    unsafe {
        let tag = pg_sys::LOCKTAG {
            locktag_field1: u32::from(pg_sys::MyDatabaseId),
            locktag_field2: u32::from(relation),
            locktag_field3: 0,
            locktag_field4: 0,
            locktag_type: pg_sys::LockTagType::LOCKTAG_RELATION as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        };
        modes.into_iter().any(|mode| versions::is_lock_held(&tag, mode))
    }
}
