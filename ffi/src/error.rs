//! Why a call failed.
//!
//! In: the errors of the engine's rooms, and arguments that a call cannot accept. Out: `atoll_error`, an
//! object the caller frees. Must never: be made for an outcome that is no error, or hold a secret.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::{CString, c_char};
use std::io;

use atoll::config::OptionError;
use atoll::log::LogError;
use atoll::routing::RoutingError;
use atoll::store::StoreError;
use atoll::versioning::VersionError;

use crate::panic::guard;
use crate::status::*;

/// Why a call failed: a status, a message for people, and the operating system's number if it has one.
pub struct atoll_error {
    status: atoll_status,
    message: CString,
    os_errno: i32,
}

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: atoll_status,
    pub(crate) message: String,
    pub(crate) os_errno: i32,
}

impl Failure {
    pub(crate) fn new(status: atoll_status, message: impl Into<String>) -> Failure {
        Failure {
            status,
            message: message.into(),
            os_errno: 0,
        }
    }

    /// An argument that cannot be right.
    pub(crate) fn invalid(message: impl Into<String>) -> Failure {
        Failure::new(ATOLL_E_INVALID, message)
    }

    /// The handle called `what` has been closed.
    pub(crate) fn closed(what: &str) -> Failure {
        Failure::new(ATOLL_E_CLOSED, format!("the {what} has been closed"))
    }

    /// The handle called `what` serves one call at a time, and is serving one.
    pub(crate) fn busy(what: &str) -> Failure {
        Failure::new(
            ATOLL_E_BUSY,
            format!("the {what} is in use by another thread: it serves one call at a time"),
        )
    }

    /// Puts the error where the caller wants it, if anywhere; gives the status.
    pub(crate) fn hand_over(self, err: *mut *mut atoll_error) -> atoll_status {
        let status = self.status;
        if !err.is_null() {
            // Messages are made of paths and keys, which may hold a NUL.
            let message = CString::new(self.message.replace('\0', "\\0")).unwrap_or_default();
            let error = Box::new(atoll_error {
                status,
                message,
                os_errno: self.os_errno,
            });
            // SAFETY: by the contract of every function, `err` is NULL or points to a pointer that may be
            // written.
            unsafe { *err = Box::into_raw(error) };
        }
        status
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

fn log_status(error: &LogError) -> (atoll_status, i32) {
    match error {
        LogError::Io { source, .. } => (ATOLL_E_IO, errno(source)),
        LogError::Corrupt { .. } => (ATOLL_E_CORRUPT, 0),
        LogError::Locked { .. } => (ATOLL_E_LOCKED, 0),
        LogError::DiskFull { .. } => (ATOLL_E_DISK_FULL, libc::ENOSPC),
        LogError::Poisoned { .. } => (ATOLL_E_IO, 0),
        LogError::Forked { .. } => (ATOLL_E_FORKED, 0),
        LogError::StaleEpoch { .. } => (ATOLL_E_STALE_EPOCH, 0),
        LogError::NotPrimary { .. } => (ATOLL_E_NOT_PRIMARY, 0),
        LogError::Released { .. } => (ATOLL_E_TOO_OLD, 0),
        _ => (ATOLL_E_INVALID, 0),
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        use atoll::store::index::IndexError;
        use atoll::store::table::TableError;
        let (status, os_errno) = match &error {
            StoreError::Log(error) => log_status(error),
            StoreError::Index(IndexError::Io { source, .. }) => (ATOLL_E_IO, errno(source)),
            StoreError::Table(TableError::Io { source, .. }) => (ATOLL_E_IO, errno(source)),
            StoreError::NeedsRecovery { .. }
            | StoreError::WriterStuck { .. }
            | StoreError::NoReaderSlot { .. } => (ATOLL_E_UNAVAILABLE, 0),
            StoreError::SnapshotTooOld { .. } => (ATOLL_E_TOO_OLD, 0),
            StoreError::Conflict { .. } => (ATOLL_CONFLICT, 0),
            StoreError::Closed { .. } => (ATOLL_E_CLOSED, 0),
            StoreError::Unsorted { .. } | StoreError::LoadRefused { .. } => (ATOLL_E_INVALID, 0),
            error if error.is_disk_full() => (ATOLL_E_DISK_FULL, libc::ENOSPC),
            error if error.damage().is_some() => (ATOLL_E_CORRUPT, 0),
            StoreError::System { .. } => (ATOLL_E_CORRUPT, 0),
            _ => (ATOLL_E_IO, 0),
        };
        Failure {
            status,
            message: error.to_string(),
            os_errno,
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Failure {
        StoreError::from(error).into()
    }
}

impl From<RoutingError> for Failure {
    fn from(error: RoutingError) -> Failure {
        let status = match &error {
            RoutingError::Damaged { .. }
            | RoutingError::Checksum { .. }
            | RoutingError::DamagedRouter { .. } => ATOLL_E_CORRUPT,
            RoutingError::Format { .. } | RoutingError::RouterFormat { .. } => ATOLL_E_UNSUPPORTED,
            _ => ATOLL_E_INVALID,
        };
        Failure::new(status, with_causes(&error))
    }
}

impl From<VersionError> for Failure {
    fn from(error: VersionError) -> Failure {
        let status = match &error {
            VersionError::BadBytes { .. } => ATOLL_E_CORRUPT,
            _ => ATOLL_E_INVALID,
        };
        Failure::new(status, error.to_string())
    }
}

/// What an error says, and what those behind it say.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}

impl From<OptionError> for Failure {
    fn from(error: OptionError) -> Failure {
        Failure::invalid(error.to_string())
    }
}

/// Returns the status that the failed call returned; ATOLL_OK for NULL.
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_error_code(error: *const atoll_error) -> atoll_status {
    guard(ATOLL_E_PANIC, || {
        // SAFETY: the contract of the header.
        unsafe { error.as_ref() }.map_or(ATOLL_OK, |error| error.status)
    })
}

/// Returns what went wrong, in UTF-8, with the next step where there is one; "" for NULL.
///
/// The string belongs to the error and goes with it. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_error_message(error: *const atoll_error) -> *const c_char {
    guard(c"".as_ptr(), || {
        // SAFETY: the contract of the header.
        unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.message.as_ptr())
    })
}

/// Returns the operating system's errno behind the error; 0 if there is none, and for NULL.
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_error_os_errno(error: *const atoll_error) -> i32 {
    // SAFETY: the contract of the header.
    guard(0, || unsafe { error.as_ref() }.map_or(0, |error| error.os_errno))
}

/// Frees an error. NULL is allowed.
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_error_free(error: *mut atoll_error) {
    guard((), || {
        if !error.is_null() {
            // SAFETY: errors leave as `Box::into_raw`, and the caller gives each back once.
            drop(unsafe { Box::from_raw(error) });
        }
    });
}
