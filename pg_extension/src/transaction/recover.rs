//! The record of decisions, and what finishes prepared transactions.
//!
//! In: the table `atoll.transaction`, and what every node has prepared. Out: each of them committed if its
//! row is there, rolled back if not. Must never: touch a transaction that still runs, or forget a decision
//! while a node may hold its transaction.

#![expect(unsafe_code, reason = "writes the record as the server writes its catalogs")]

use std::collections::HashSet;
use std::ffi::CString;
use std::rc::Rc;

use pgrx::prelude::*;
use pgrx::{IntoDatum, Spi};

use super::gid::Gid;
use crate::error::raise;
use crate::remote::connection::Patience;
use crate::remote::{Connection, nodes, pool};

extension_sql!(
    r#"
-- A row says that a transaction over several servers was committed; it is written in that transaction.
CREATE TABLE transaction (
    transaction int8 PRIMARY KEY,
    nodes int4[] NOT NULL
);
COMMENT ON TABLE transaction IS 'Decided transactions over several servers; a missing row means rolled back.';
REVOKE ALL ON transaction FROM PUBLIC;
"#,
    name = "transaction_record",
);

extension_sql!(
    "REVOKE ALL ON FUNCTION recover_transactions() FROM PUBLIC;",
    name = "recovery_rights",
    requires = [recover_transactions],
);

/// Writes the decision as part of the running transaction, whatever its role may do.
pub(super) fn note(gid: &Gid, sessions: &[Rc<Connection>]) {
    let relation = nodes::table(c"transaction");
    let nodes: Vec<i32> = sessions.iter().map(|session| session.node.id).collect();
    let mut values = [
        (gid.transaction as i64)
            .into_datum()
            .unwrap_or(pg_sys::Datum::from(0)),
        nodes.into_datum().unwrap_or(pg_sys::Datum::from(0)),
    ];
    let mut nulls = [false; 2];
    // SAFETY: the table has these two columns; the lock is kept to the end of the transaction.
    unsafe {
        let relation = pg_sys::table_open(relation, pg_sys::RowExclusiveLock as i32);
        let tuple = pg_sys::heap_form_tuple((*relation).rd_att, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::CatalogTupleInsert(relation, tuple);
        pg_sys::heap_freetuple(tuple);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        // A server that crashes before this is on disk would give the identifier away again, and with it
        // the names of the prepared transactions.
        pg_sys::XLogFlush(pg_sys::XactLastRecEnd);
    }
}

fn records(sql: &str, arguments: &[pgrx::datum::DatumWithOid<'_>]) -> HashSet<u64> {
    let read = Spi::connect_mut(|client| -> Result<HashSet<u64>, pgrx::spi::Error> {
        let mut found = HashSet::new();
        for row in client.update(sql, None, arguments)? {
            found.extend(row.get::<i64>(1)?.map(|transaction| transaction as u64));
        }
        Ok(found)
    });
    match read {
        Ok(found) => found,
        Err(error) => raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("atoll.transaction cannot be read: {error}"),
        ),
    }
}

/// A transaction's name on its node, and when it was prepared.
type Prepared = (String, Option<String>);

/// A node, a prepared transaction there or `None` if the node did not answer, and what became of it.
pub(super) type Outcome = (String, Option<String>, String);

/// Whose user mappings are used.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// Those of the role of the running statement.
    Caller,
    /// Those of whoever added the node.
    OfServer,
}

impl Role {
    fn on(self, node: &nodes::Node) -> pg_sys::Oid {
        match self {
            // SAFETY: reads the role of the running statement.
            Self::Caller => unsafe { pg_sys::GetUserId() },
            Self::OfServer => nodes::owner(node),
        }
    }
}

/// `atoll.recover_transactions()`: finishes prepared transactions that nobody else will. One row for each
/// that was found, and one for each node that did not answer.
#[pg_extern(volatile, parallel_unsafe)]
fn recover_transactions() -> TableIterator<
    'static,
    (
        name!(node, String),
        name!(gid, Option<String>),
        name!(outcome, String),
    ),
> {
    if pool::needs_snapshot() {
        raise(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            "recover_transactions() must see the newest decisions: use READ COMMITTED",
        );
    }
    TableIterator::new(recover(Role::Caller))
}

/// Finishes them; must run at READ COMMITTED.
pub(super) fn recover(role: Role) -> Vec<Outcome> {
    // Before any node is asked: a decision made later may belong to a transaction prepared after the node's list.
    let old = records("SELECT transaction FROM atoll.transaction", &[]);
    let mut kept = HashSet::new();
    let mut unreachable = HashSet::new();
    let mut report = Vec::new();
    for node in nodes::nodes() {
        let asked = if node.enabled {
            ask(&node, role.on(&node))
        } else {
            Err("the node is disabled".to_owned())
        };
        let (session, gids) = match asked {
            Ok(answer) => answer,
            Err(reason) => {
                unreachable.insert(node.id);
                report.push((node.name.clone(), None, reason));
                continue;
            }
        };
        for (name, _) in gids {
            let Some(gid) = Gid::parse(&name) else { continue };
            // It was prepared before this look: once it no longer runs, its outcome stands.
            if gid.is_running() {
                kept.insert(gid.transaction);
                report.push((node.name.clone(), Some(name), "still running".to_owned()));
                continue;
            }
            let committed = is_decided(&gid, true);
            let how = if committed { "COMMIT" } else { "ROLLBACK" };
            let sql = CString::new(format!("{how} PREPARED '{name}'")).unwrap_or_default();
            let outcome = match session.run(&sql, Patience::Interruptible) {
                Ok(_) if committed => "committed".to_owned(),
                Ok(_) => "rolled back".to_owned(),
                Err(trouble) => {
                    kept.insert(gid.transaction);
                    trouble.summary()
                }
            };
            report.push((node.name.clone(), Some(name), outcome));
        }
    }
    let done: Vec<i64> = old
        .iter()
        .filter(|transaction| !kept.contains(transaction))
        .map(|&t| t as i64)
        .collect();
    let silent: Vec<i32> = unreachable.into_iter().collect();
    records(
        "DELETE FROM atoll.transaction WHERE transaction OPERATOR(pg_catalog.=) ANY ($1) \
         AND NOT nodes OPERATOR(pg_catalog.&&) $2 RETURNING transaction",
        &[done.into(), silent.into()],
    );
    report
}

/// Whether the decision to commit is there, which is final once the transaction no longer runs.
fn is_decided(gid: &Gid, lock: bool) -> bool {
    let read = "SELECT transaction FROM atoll.transaction WHERE transaction OPERATOR(pg_catalog.=) $1";
    let number = gid.transaction as i64;
    let sql = if lock {
        format!("{read} FOR SHARE")
    } else {
        read.to_owned()
    };
    !records(&sql, &[number.into()]).is_empty()
}

/// `prepared_transactions()`: what stands behind the view `atoll.pending_transactions`; changes nothing.
#[pg_extern(volatile, parallel_unsafe)]
fn prepared_transactions() -> TableIterator<
    'static,
    (
        name!(node, String),
        name!(gid, Option<String>),
        name!(prepared, Option<String>),
        name!(state, String),
    ),
> {
    let mut found = Vec::new();
    for node in nodes::nodes().into_iter().filter(|node| node.enabled) {
        let gids = match ask(&node, Role::Caller.on(&node)) {
            Ok((_, gids)) => gids,
            Err(reason) => {
                found.push((node.name.clone(), None, None, reason));
                continue;
            }
        };
        for (name, prepared) in gids {
            let Some(gid) = Gid::parse(&name) else { continue };
            let state = if gid.is_running() {
                "still running"
            } else if is_decided(&gid, false) {
                "to be committed"
            } else {
                "to be rolled back"
            };
            found.push((node.name.clone(), Some(name), prepared, state.to_owned()));
        }
    }
    TableIterator::new(found)
}

extension_sql!(
    r#"
-- Transactions of this database that nodes hold prepared, and what recovery would do with them; asks every enabled
-- node, and has a row without a transaction for one that does not answer.
CREATE VIEW pending_transactions AS
    SELECT node, gid, prepared::pg_catalog.timestamptz AS prepared, state FROM prepared_transactions();
REVOKE ALL ON FUNCTION prepared_transactions() FROM PUBLIC;
"#,
    name = "pending_transactions_view",
    requires = ["connections_view", prepared_transactions],
);

/// A session outside of any transaction, and the prepared transactions of this database on a node, each with the time
/// when it was prepared.
fn ask(node: &Rc<nodes::Node>, user: pg_sys::Oid) -> Result<(Rc<Connection>, Vec<Prepared>), String> {
    let session = pool::apart(node, user).map_err(|trouble| trouble.summary())?;
    let sql = CString::new(format!(
        "SELECT gid, prepared FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database() \
         AND pg_catalog.starts_with(gid, '{}')",
        Gid::prefix()
    ))
    .unwrap_or_default();
    let answer = session
        .run(&sql, Patience::Interruptible)
        .map_err(|trouble| trouble.summary())?;
    let gids = answer.map_or_else(Vec::new, |answer| {
        let read = |row| Some((answer.text(row, 0)?, answer.text(row, 1)));
        (0..answer.rows()).filter_map(read).collect()
    });
    Ok((session, gids))
}
