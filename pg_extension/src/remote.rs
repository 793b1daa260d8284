//! Connections to other PostgreSQL servers.
//!
//! In: a node of the catalog, statements, parameters as text. Out: answers, rows that stream in constant
//! memory, or an SQL error that carries the server's SQLSTATE and the node's name. Must never: put a
//! connection string or a password into an error, wait without answering an interrupt, or leave a socket
//! open behind an error.
//!
//! `libpq.rs` declares the client library, `connection.rs` is one session, `stream.rs` reads the rows of a
//! running statement, `spill.rs` keeps rows whose session is wanted for something else, `nodes.rs` reads
//! the catalog, `pool.rs` hands out sessions, `quota.rs` counts those of
//! all backends, `error.rs` makes SQL errors.

pub(crate) mod connection;
mod error;
mod libpq;
pub(crate) mod nodes;
pub(crate) mod pool;
pub(crate) mod quota;
mod spill;
pub(crate) mod stream;

pub(crate) use connection::Connection;
pub(crate) use error::{Trouble, warn};
pub(crate) use libpq::Answer;
