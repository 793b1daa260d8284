//! What goes wrong on the way to another server, as an SQL error or as a warning.
//!
//! In: an answer of the server, or the way a connection was lost. Out: an error with the server's own
//! SQLSTATE, whose detail names the node. Must never: pass on libpq's text about an address or a string.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use super::libpq::{Answer, Field};

/// What a server said against a statement.
#[derive(Debug)]
pub(crate) struct Refusal {
    node: String,
    pub(super) sqlstate: String,
    message: String,
    detail: String,
    hint: String,
    context: String,
}

/// Why a statement on another server has no good answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The server refused the statement.
    Refused(Box<Refusal>),
    /// The connection broke while it was used.
    Lost { node: String },
    /// No connection could be opened, and libpq's reason without addresses.
    Unreachable { node: String, reason: String },
    /// No answer within the time given.
    Silent { node: String },
    /// The connection broke while a statement was about to commit there by itself.
    InDoubt { node: String },
    /// The catalog says that it must not be asked.
    Disabled { node: String },
    /// All sessions that it may have are taken.
    Full { node: String, most: usize },
}

impl Trouble {
    pub(super) fn refused(node: &str, answer: &Answer) -> Self {
        Trouble::Refused(Box::new(Refusal {
            node: node.to_owned(),
            sqlstate: answer.error_field(Field::SqlState),
            message: answer.error_field(Field::Message),
            detail: answer.error_field(Field::Detail),
            hint: answer.error_field(Field::Hint),
            context: answer.error_field(Field::Context),
        }))
    }

    /// Libpq puts the address before `failed: ` and the reason behind it, one line for each address.
    pub(super) fn unreachable(node: &str, libpq: &str) -> Self {
        let line = libpq.lines().rev().find_map(|line| line.split_once("failed: "));
        Trouble::Unreachable {
            node: node.to_owned(),
            reason: line.map_or_else(|| "no answer".to_owned(), |(_, reason)| reason.trim().to_owned()),
        }
    }

    /// A role whose mapping cannot be used.
    pub(super) fn without_password(node: &str) -> Self {
        Trouble::Unreachable {
            node: node.to_owned(),
            reason: "a role that is no superuser needs a password in its user mapping".to_owned(),
        }
    }

    /// A node that must not be asked.
    pub(crate) fn disabled(node: &str) -> Self {
        Trouble::Disabled {
            node: node.to_owned(),
        }
    }

    /// The same for another statement that meets it.
    pub(crate) fn again(&self) -> Self {
        match self {
            Trouble::Refused(refusal) => Trouble::Lost {
                node: refusal.node.clone(),
            },
            Trouble::Lost { node } => Trouble::Lost { node: node.clone() },
            Trouble::Unreachable { node, reason } => Trouble::Unreachable {
                node: node.clone(),
                reason: reason.clone(),
            },
            Trouble::Silent { node } => Trouble::Silent { node: node.clone() },
            Trouble::InDoubt { node } => Trouble::InDoubt { node: node.clone() },
            Trouble::Disabled { node } => Trouble::Disabled { node: node.clone() },
            Trouble::Full { node, most } => Trouble::Full {
                node: node.clone(),
                most: *most,
            },
        }
    }

    /// True when what was named is not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Trouble::Refused(refusal) if refusal.sqlstate == "42704")
    }

    /// One line for a log or a warning.
    pub(crate) fn summary(&self) -> String {
        match self {
            Trouble::Refused(refusal) => format!("node \"{}\": {}", refusal.node, refusal.message),
            Trouble::Lost { node } => format!("connection to node \"{node}\" was lost"),
            Trouble::Unreachable { node, reason } => {
                format!("could not connect to node \"{node}\": {reason}")
            }
            Trouble::Silent { node } => format!("node \"{node}\" did not answer in time"),
            Trouble::InDoubt { node } => {
                format!("node \"{node}\" was lost: whether the statement took effect is not known")
            }
            Trouble::Disabled { node } => format!("node \"{node}\" is disabled"),
            Trouble::Full { node, most } => format!("all {most} connections to node \"{node}\" are taken"),
        }
    }

    /// Raises it. `sql` is what was sent, for the context of the error.
    pub(crate) fn raise(self, sql: &str) -> ! {
        let report = match self {
            Trouble::Refused(refusal) => {
                let Refusal {
                    node,
                    sqlstate,
                    message,
                    detail,
                    hint,
                    context,
                } = *refusal;
                let detail = if detail.is_empty() {
                    String::new()
                } else {
                    format!("{detail}\n")
                };
                let context = if context.is_empty() {
                    String::new()
                } else {
                    format!("\nContext there: {context}")
                };
                let sent = if sql.is_empty() {
                    String::new()
                } else {
                    format!("\nRemote SQL: {sql}")
                };
                let report = ErrorReport::new(code(&sqlstate), message, "atoll")
                    .set_detail(format!("{detail}Node: {node}{context}{sent}"));
                if hint.is_empty() {
                    report
                } else {
                    report.set_hint(hint)
                }
            }
            lost @ Trouble::Lost { .. } => ErrorReport::new(
                PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
                lost.summary(),
                "atoll",
            ),
            Trouble::Unreachable { node, reason } => ErrorReport::new(
                PgSqlErrorCode::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
                format!("could not connect to node \"{node}\""),
                "atoll",
            )
            .set_detail(reason),
            disabled @ Trouble::Disabled { .. } => ErrorReport::new(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                disabled.summary(),
                "atoll",
            ),
            full @ Trouble::Full { .. } => ErrorReport::new(
                PgSqlErrorCode::ERRCODE_TOO_MANY_CONNECTIONS,
                full.summary(),
                "atoll",
            )
            .set_hint(
                "The view atoll.connections shows who has them; atoll.pool_size says how many there may be, atoll.pool_timeout how long to wait.",
            ),
            doubt @ Trouble::InDoubt { .. } => ErrorReport::new(
                PgSqlErrorCode::ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN,
                doubt.summary(),
                "atoll",
            )
            .set_hint("Look for its rows before you run it again."),
            silent @ Trouble::Silent { .. } => ErrorReport::new(
                PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
                silent.summary(),
                "atoll",
            ),
        };
        report.report(PgLogLevel::ERROR);
        unreachable!("an error report does not return")
    }
}

/// A warning, where an error is not allowed.
pub(crate) fn warn(message: String) {
    ErrorReport::new(PgSqlErrorCode::ERRCODE_CONNECTION_EXCEPTION, message, "atoll")
        .report(PgLogLevel::WARNING);
}

/// PostgreSQL packs the five characters of an SQLSTATE into six bits each.
fn code(sqlstate: &str) -> PgSqlErrorCode {
    if sqlstate.len() != 5 {
        return PgSqlErrorCode::ERRCODE_INTERNAL_ERROR;
    }
    let packed = sqlstate.bytes().rev().fold(0_i32, |packed, byte| {
        (packed << 6) | i32::from(byte.wrapping_sub(b'0') & 0x3f)
    });
    PgSqlErrorCode::from(packed)
}
