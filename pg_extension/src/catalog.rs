//! Nodes, and which node holds each slot of each distributed table.
//!
//! In: the functions `add_node`, `distribute_table` and their neighbours. Out: rows of the tables `node`,
//! `colocation_group`, `slot` and `distributed_table`, nominal servers `atoll_g<group>_s<slot>`, partitions
//! that are foreign tables, and tables on the nodes. Must never: change a node outside of the local
//! transaction, or hold a password in the catalog.
//!
//! The statements are made in SQL (`catalog/*.sql`), where names are quoted by PostgreSQL itself; this file
//! sends them, `catalog/run.rs` to many nodes at a time. `remote/nodes.rs` reads the tables `node` and `slot`.

#![expect(unsafe_code, reason = "reads the role of the running statement")]

mod ddl;
pub(crate) mod progress;
mod run;

use std::cell::Cell;
use std::ffi::CString;
use std::rc::Rc;

use pgrx::prelude::*;

use crate::error::{raise, raise_routing};
use crate::remote::connection::Patience;
use crate::remote::nodes::{self, Node};
use crate::remote::{Answer, pool};
use crate::transaction;
pub(crate) use progress::count_row;

fn node(id: i32) -> Rc<Node> {
    let found = nodes::nodes().into_iter().find(|node| node.id == id);
    found.unwrap_or_else(|| {
        raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("there is no node {id}"),
        )
    })
}

fn user() -> pg_sys::Oid {
    // SAFETY: reads a variable of the backend's thread.
    unsafe { pg_sys::GetUserId() }
}

fn statement(sql: &str) -> CString {
    // PostgreSQL's text holds no zero.
    CString::new(sql).unwrap_or_default()
}

/// The first row; no row is an empty list.
fn first_row(answer: Option<Answer>) -> Vec<Option<String>> {
    let Some(answer) = answer.filter(|answer| answer.rows() > 0) else {
        return Vec::new();
    };
    (0..answer.columns())
        .map(|column| answer.text(0, column))
        .collect()
}

/// `node_ask(node, sql)`: asks a node on a session of its own, outside of the local transaction. The first
/// row, or what keeps the node from answering.
#[pg_extern(volatile, strict, parallel_unsafe)]
fn node_ask(
    node_id: i32,
    sql: &str,
) -> TableIterator<'static, (name!(trouble, Option<String>), name!(answer, Vec<Option<String>>))> {
    let asked = pool::apart(&node(node_id), user())
        .and_then(|session| session.run(&statement(sql), Patience::Interruptible));
    TableIterator::once(match asked {
        Ok(answer) => (None, first_row(answer)),
        Err(trouble) => (Some(trouble.summary()), Vec::new()),
    })
}

/// `conninfo_problem(conninfo)`: what keeps a connection string out of the catalog, which everybody with a
/// dump can read; NULL if nothing does. Repeats nothing of the string.
#[pg_extern(volatile, strict, parallel_unsafe)]
fn conninfo_problem(conninfo: &str) -> Option<&'static str> {
    let Some(settings) = nodes::settings(conninfo) else {
        return Some("cannot be read");
    };
    settings.iter().find_map(|(key, value)| match key.as_str() {
        "password" | "sslpassword" if !value.is_empty() => Some("holds a password"),
        "passfile" => Some("names a file of passwords"),
        // libpq is never asked to look into it, but a password may stand there.
        "dbname" if value.contains('=') || value.contains("://") => {
            Some("has a connection string for its dbname")
        }
        _ => None,
    })
}

thread_local! {
    /// Nesting of the transaction in which a function of `catalog/distribute.sql` is changing distributed
    /// tables itself, or 0. Not a setting: whoever may set one could switch the guard off.
    static CHANGING: Cell<i32> = const { Cell::new(0) };
}

/// `changing(really)`: tells the guard of distributed tables to look away, until it is told otherwise or the
/// transaction or subtransaction ends.
#[pg_extern(volatile, strict, parallel_unsafe)]
fn changing(really: bool) {
    transaction::watch();
    // SAFETY: reads the backend's state.
    let depth = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    CHANGING.set(if really { depth } else { 0 });
}

/// At the end of a transaction (0), or when a subtransaction is rolled back.
pub(crate) fn stop_changing(depth: i32) {
    if CHANGING.get() >= depth {
        CHANGING.set(0);
    }
}

/// `is_changing()`: whether the guard looks away.
#[pg_extern(volatile, parallel_unsafe)]
fn is_changing() -> bool {
    changes_itself()
}

/// True while a function of `catalog/distribute.sql` fills a table.
pub(crate) fn changes_itself() -> bool {
    CHANGING.get() > 0
}

/// `run_as(role, sql)`: runs a statement with the rights of a role; how many rows it was.
#[pg_extern(volatile, strict, parallel_unsafe)]
fn run_as(role: pg_sys::Oid, sql: &str) -> i64 {
    let ran = nodes::with_rights(role, || {
        Spi::connect_mut(|client| client.update(sql, None, &[]).map(|rows| rows.len()))
    });
    match ran {
        Ok(rows) => rows as i64,
        Err(error) => raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("the statement failed: {error}"),
        ),
    }
}

/// `topology_bytes(json)`: a topology in the form that every language's router loads.
#[pg_extern(immutable, strict, parallel_safe)]
fn topology_bytes(json: &str) -> Vec<u8> {
    match atoll::routing::Topology::from_json(json) {
        Ok(topology) => topology.to_bytes(),
        Err(error) => raise_routing(&error),
    }
}

extension_sql_file!(
    "catalog/tables.sql",
    name = "catalog_tables",
    requires = [nodes::catalog_changed],
);
extension_sql_file!(
    "catalog/nodes.sql",
    name = "catalog_nodes",
    requires = ["catalog_tables", "atoll_fdw", node_ask, conninfo_problem],
);
extension_sql_file!(
    "catalog/distribute.sql",
    name = "catalog_distribute",
    requires = [
        "catalog_nodes",
        "operator_classes",
        changing,
        is_changing,
        progress::progress_begin,
        progress::progress_end
    ],
);
extension_sql_file!(
    "catalog/ask.sql",
    name = "catalog_ask",
    requires = [
        "catalog_distribute",
        run::ask_nodes,
        run::act_on_nodes,
        topology_bytes
    ],
);
extension_sql_file!(
    "catalog/ddl.sql",
    name = "catalog_ddl",
    requires = ["catalog_ask", ddl::carry_over, ddl::is_volatile, ddl::is_locked],
);
