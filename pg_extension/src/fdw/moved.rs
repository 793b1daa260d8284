//! UPDATE of the distribution key, where `atoll.allow_key_update` lets it: the row moves to its new slot.
//!
//! In: the place of a row and the values that are set. Out: the row deleted where it was, and inserted where
//! its new key belongs. Must never: leave a row where looking for its key does not go, or do half of it: both
//! statements belong to the local transaction.

#![expect(unsafe_code, reason = "reads the descriptor of the changed table")]

use std::ffi::CString;
use std::rc::Rc;

use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode, Spi};

use super::modify::{remote_columns, remote_table};
use crate::error::raise;
use crate::remote::connection::Patience;
use crate::remote::nodes::{self, Node, Place, with_owner_rights};
use crate::remote::{Answer, Connection};
use crate::transaction;

/// What is needed to move rows out of one slot.
pub(super) struct Moving {
    /// The distributed table.
    root: pg_sys::Oid,
    place: Place,
    user: pg_sys::Oid,
    delete: String,
    columns: String,
    numbers: Vec<i32>,
    returning: String,
    /// Which of the values that are set is the key.
    key: usize,
}

/// Where a key belongs.
struct Target {
    slot: i32,
    table: String,
}

impl Moving {
    /// For an UPDATE that sets the attributes `set`, the key's among them, and returns those of `returned`.
    ///
    /// # Safety
    /// An open foreign table that is a part of `root`.
    pub(super) unsafe fn new(
        table: pg_sys::Relation,
        root: pg_sys::Oid,
        user: pg_sys::Oid,
        (set, key): (&[i32], i32),
        returned: Option<&[i32]>,
    ) -> Self {
        // SAFETY: as the caller says.
        let (remote, columns, all) = unsafe {
            (
                remote_table(table),
                remote_columns(table, false),
                remote_columns(table, true),
            )
        };
        let names: Vec<_> = columns.iter().map(|(_, name)| name.as_str()).collect();
        let columns_list = names.join(", ");
        let name_of = |number: &i32| {
            let column = all.iter().find(|(of, _)| of == number);
            column.map_or("ctid", |(_, name)| name.as_str())
        };
        // Without columns a row still says that there was one.
        let list = |numbers: &[i32]| match numbers {
            [] => "NULL".to_owned(),
            _ => numbers.iter().map(name_of).collect::<Vec<_>>().join(", "),
        };
        let returning = returned.map(|numbers| format!(" RETURNING {}", list(numbers)));
        Self {
            root,
            place: nodes::place_of(remote.server),
            user,
            delete: format!(
                "DELETE FROM {} WHERE ctid = $1 RETURNING {columns_list}",
                remote.name
            ),
            columns: columns_list,
            numbers: columns.iter().map(|(number, _)| *number).collect(),
            returning: returning.unwrap_or_default(),
            key: set.iter().position(|&number| number == key).unwrap_or_default(),
        }
    }

    /// Moves the row if its new key belongs to another slot: `None` if it does not. `parameters` are the row's
    /// place and the values of the columns `set`.
    pub(super) fn apply(
        &self,
        node: &Rc<Node>,
        set: &[i32],
        parameters: &[Option<CString>],
    ) -> Option<Option<Answer>> {
        let (place, values) = parameters.split_first()?;
        let target = self.target(values.get(self.key)?.as_ref());
        if target.slot == self.place.slot {
            return None;
        }
        let session = transaction::session(node, self.user, true);
        let old = run(&session, &self.delete, std::slice::from_ref(place));
        let Some(old) = old.filter(|old| old.rows() == 1) else {
            return Some(None);
        };
        let value = |(at, number): (usize, &i32)| match set.iter().position(|set| set == number) {
            Some(set) => values[set].clone(),
            None => old.value(0, at).map(std::ffi::CStr::to_owned),
        };
        let row: Vec<_> = self.numbers.iter().enumerate().map(value).collect();
        let marks: Vec<_> = (1..=row.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "INSERT INTO {}({}) VALUES ({}){}",
            target.table,
            self.columns,
            marks.join(", "),
            self.returning
        );
        let place = Place {
            slot: target.slot,
            ..self.place
        };
        let session = transaction::session(&nodes::node_of(place), self.user, true);
        Some(run(&session, &sql, &row))
    }

    fn target(&self, key: Option<&CString>) -> Target {
        let Some(key) = key else {
            raise(
                PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
                "the column that distributes a table cannot be NULL",
            );
        };
        let key = key.to_string_lossy().into_owned();
        let found = with_owner_rights(|| {
            Spi::get_two_with_args::<i32, String>(
                "SELECT slot, shard FROM atoll.locate($1::pg_catalog.regclass, $2::pg_catalog.text)",
                &[self.root.into(), key.into()],
            )
        });
        match found {
            Ok((Some(slot), Some(table))) => Target { slot, table },
            _ => raise(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                "no slot was found for the new key of a row",
            ),
        }
    }
}

fn run(session: &Connection, sql: &str, parameters: &[Option<CString>]) -> Option<Answer> {
    // Statements hold no zero: PostgreSQL's text cannot.
    let text = CString::new(sql).unwrap_or_default();
    let sent = session
        .prepared(&text)
        .and_then(|name| session.send_prepared(&name, parameters));
    match sent.and_then(|()| session.finish(Patience::Interruptible)) {
        Ok(answer) => answer,
        Err(trouble) => trouble.raise(sql),
    }
}
