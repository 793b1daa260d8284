//! Errors of the engine as SQL errors: the one place that picks an SQLSTATE.
//!
//! In: errors of the engine's rooms. Out: an SQL error that never returns to its caller. Must never: map
//! by the text of a message, or name more than the error itself does.

use atoll::log::LogError;
use atoll::routing::RoutingError;
use atoll::store::StoreError;
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

/// A store does not answer, or does not take a change.
pub(crate) fn raise_store(error: &StoreError) -> ! {
    let text = error.to_string();
    if error.damage().is_some() {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            text,
            "`atoll verify` lists everything that is damaged in a store; `atoll repair` and a backup bring back what can be.",
        );
    }
    if error.locked_by().is_some() {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            text,
            "While another process has the store open for writing, it can only be read here.",
        );
    }
    match error {
        StoreError::NeedsRecovery { .. } => raise_with_hint(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            text,
            "Start the program that writes it once.",
        ),
        StoreError::WriterStuck { .. } => raise(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE, text),
        StoreError::NoReaderSlot { .. } => raise_with_hint(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            text,
            "The account that runs PostgreSQL needs write permission for the file \"readers\" of the store, so that compaction keeps what a statement reads. A look-up of one key goes without.",
        ),
        StoreError::SnapshotTooOld { .. } => raise(PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE, text),
        StoreError::Log(LogError::TooLarge { .. }) => {
            raise(PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED, text)
        }
        StoreError::Log(LogError::NotAStore { .. }) => raise_with_hint(
            PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
            text,
            "The option \"path\" of the foreign server names the directory of one store, which the account that runs PostgreSQL can read.",
        ),
        StoreError::Log(LogError::WrongIdentity { .. }) => raise_with_hint(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            text,
            "The replicas of a cluster are written through the cluster; here they can only be read.",
        ),
        error if error.is_disk_full() => raise(PgSqlErrorCode::ERRCODE_DISK_FULL, text),
        StoreError::Log(LogError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            raise(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, text)
        }
        _ => raise(PgSqlErrorCode::ERRCODE_IO_ERROR, text),
    }
}
