//! How far the filling of a table has come, for other sessions to see.
//!
//! In: the number of rows there will be, and each row. Out: the numbers behind the view `atoll.moves`, in
//! PostgreSQL's own table of commands in progress. Must never: cost more than a counter for most rows.

#![expect(unsafe_code, reason = "reports to PostgreSQL's table of commands in progress")]

use std::cell::Cell;

use pgrx::pg_sys::ProgressCommandType::PROGRESS_COMMAND_COPY;
use pgrx::prelude::*;

/// Places in the report. It is one of COPY, under a number of command that PostgreSQL does not have.
const DONE: i32 = pg_sys::PROGRESS_COPY_TUPLES_PROCESSED as i32;
const COMMAND: i32 = pg_sys::PROGRESS_COPY_COMMAND as i32;
const TOTAL: i32 = 6;
const FILLING: i64 = 3;
/// Rows between two reports.
const STEP: i64 = 256;

thread_local! {
    static ROWS: Cell<Option<i64>> = const { Cell::new(None) };
}

/// `progress_begin(rel, rows)`: rows of this table are counted from now on.
#[pg_extern(volatile, strict, parallel_unsafe)]
fn progress_begin(rel: pg_sys::Oid, rows: i64) {
    ROWS.set(Some(0));
    // SAFETY: writes to this backend's own entry; the places are below the 20 that there are.
    unsafe {
        pg_sys::pgstat_progress_start_command(PROGRESS_COMMAND_COPY, rel);
        pg_sys::pgstat_progress_update_param(COMMAND, FILLING);
        pg_sys::pgstat_progress_update_param(TOTAL, rows);
    }
}

/// `progress_end()`. An error ends the report as well.
#[pg_extern(volatile, parallel_unsafe)]
fn progress_end() {
    ROWS.set(None);
    // SAFETY: as above.
    unsafe { pg_sys::pgstat_progress_end_command() };
}

/// A row was put on its way.
pub(crate) fn count_row() {
    if !super::changes_itself() {
        return;
    }
    if let Some(rows) = ROWS.get() {
        ROWS.set(Some(rows + 1));
        if (rows + 1) % STEP == 0 {
            // SAFETY: as above.
            unsafe { pg_sys::pgstat_progress_update_param(DONE, rows + 1) };
        }
    }
}
