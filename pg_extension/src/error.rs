//! Errors of the engine as SQL errors: the one place that picks an SQLSTATE.
//!
//! In: errors of the engine's rooms. Out: an SQL error that never returns to its caller. Must never: map
//! by the text of a message, or name more than the error itself does.

use atoll::routing::RoutingError;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

/// Raises an SQL error.
pub(crate) fn raise(code: PgSqlErrorCode, message: impl Into<String>) -> ! {
    report(ErrorReport::new(code, message.into(), "atoll"))
}

/// Raises an SQL error that says what to do.
pub(crate) fn raise_with_hint(code: PgSqlErrorCode, message: impl Into<String>, hint: &str) -> ! {
    report(ErrorReport::new(code, message.into(), "atoll").set_hint(hint))
}

fn report(report: ErrorReport) -> ! {
    report.report(PgLogLevel::ERROR);
    unreachable!("an error report does not return")
}

/// A router cannot be made of these arguments.
pub(crate) fn raise_routing(error: &RoutingError) -> ! {
    raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, error.to_string())
}
