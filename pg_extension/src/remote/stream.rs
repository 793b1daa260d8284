//! The rows of a statement that runs on another server, read one by one.
//!
//! In: a session on which the statement was just sent. Out: rows in the server's order, then the count of
//! rows it wrote. Must never: hold more rows than `work_mem` allows in memory.
//!
//! When the session is wanted for something else, `drain` puts the rest of the rows aside and frees it.

use std::cell::RefCell;
use std::rc::Rc;

use super::connection::{Connection, Patience};
use super::error::Trouble;
use super::libpq::{Answer, Status};
pub(crate) use super::spill::Keeper;
use super::spill::{Row, Spill, row_of};

/// One row: as libpq holds it, or as it was put aside.
pub(crate) enum Fetched {
    Live(Answer),
    Kept(Row),
    /// A row of an answer that has several.
    Of(Rc<Answer>, usize),
}

impl Fetched {
    /// A value as text.
    pub(crate) fn value(&self, column: usize) -> Option<&std::ffi::CStr> {
        match self {
            Fetched::Live(answer) => answer.value(0, column),
            Fetched::Kept(row) => row.get(column)?.as_deref(),
            Fetched::Of(answer, row) => answer.value(*row, column),
        }
    }
}

/// See the module.
pub(crate) struct Stream {
    connection: Option<Rc<Connection>>,
    kept: Option<Spill>,
    keeper: Keeper,
    affected: u64,
    sql: Rc<str>,
}

impl Stream {
    /// The statement that was just sent on the connection.
    pub(crate) fn new(connection: &Rc<Connection>, sql: Rc<str>, keeper: Keeper) -> Rc<RefCell<Self>> {
        let stream = Rc::new(RefCell::new(Self {
            connection: Some(Rc::clone(connection)),
            kept: None,
            keeper,
            affected: 0,
            sql,
        }));
        connection.stream_to(&stream);
        stream
    }

    /// The session, while the statement runs.
    pub(crate) fn connection(&self) -> Option<&Rc<Connection>> {
        self.connection.as_ref()
    }

    /// How many rows the statement has written; known after the last row.
    pub(crate) fn affected(&self) -> u64 {
        self.affected
    }

    /// The next row. Raises the server's errors and interrupts.
    pub(crate) fn next(&mut self) -> Option<Fetched> {
        if let Some(row) = self.kept.as_mut().and_then(Spill::pop) {
            return Some(Fetched::Kept(row));
        }
        self.receive().map(Fetched::Live)
    }

    /// Ends it in good order, while its query still runs.
    pub(crate) fn close(&mut self) {
        if let Some(kept) = self.kept.take() {
            kept.close();
        }
        if let Some(connection) = self.connection.take() {
            connection.stop();
        }
    }

    fn receive(&mut self) -> Option<Answer> {
        let connection = Rc::clone(self.connection.as_ref()?);
        loop {
            match connection.answer(Patience::Interruptible) {
                Ok(Some(answer)) => match answer.status() {
                    Status::Row => return Some(answer),
                    Status::Failed => self.fail(&connection, connection.refused(&answer)),
                    _ => self.affected = answer.affected(),
                },
                Ok(None) => {
                    self.connection = None;
                    return None;
                }
                Err(trouble) => self.fail(&connection, trouble),
            }
        }
    }

    fn fail(&mut self, connection: &Connection, trouble: Trouble) -> ! {
        self.connection = None;
        // Frees the session; its own outcome adds nothing to the error.
        drop(connection.finish(Patience::Interruptible));
        trouble.raise(&self.sql)
    }

    /// Puts the remaining rows aside, so that the session can be used.
    pub(crate) fn drain(&mut self) {
        while let Some(answer) = self.receive() {
            let keeper = self.keeper;
            self.kept
                .get_or_insert_with(|| Spill::new(keeper))
                .push(row_of(&answer));
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.stop();
        }
    }
}
