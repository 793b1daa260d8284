//! The worker that finishes what crashes and lost connections left prepared.
//!
//! In: the server's databases, every `atoll.recovery_interval`. Out: each prepared transaction of a coordinator that
//! is one of them ended as it was decided. Must never: stay connected to a database, which nobody could drop then, or
//! end a transaction in another way than `recover.rs`.
//!
//! One process is there as long as the server, connected to no database. It starts another one for each database, one
//! after the other, which looks whether the extension is there and has nodes, recovers, and ends.

#![expect(
    unsafe_code,
    reason = "entry points of background workers; reads the list of databases"
)]

use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, SignalWakeFlags};
use pgrx::prelude::*;

use super::recover;
use crate::settings;
use crate::versions;

/// Between two looks at the setting while there is nothing to do.
const ASLEEP: Duration = Duration::from_secs(60);
/// After which the server starts a worker that has failed.
const RESTART: Duration = Duration::from_secs(5);

/// Called while the server preloads the library.
pub(crate) fn start() {
    BackgroundWorkerBuilder::new("atoll recovery")
        .set_type("atoll recovery")
        .set_library("atoll")
        .set_function("atoll_recovery_main")
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(RESTART))
        .load();
}

/// The process that is always there.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn atoll_recovery_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    BackgroundWorker::connect_worker_to_spi(None, None);
    // At once after a start: it may have been a crash that left something.
    loop {
        if settings::recovery_interval().is_some() {
            for database in databases() {
                if !visit(database) {
                    return;
                }
            }
        }
        if !BackgroundWorker::wait_latch(Some(settings::recovery_interval().unwrap_or(ASLEEP))) {
            return;
        }
        if BackgroundWorker::sighup_received() {
            // SAFETY: the worker's own process, outside of any transaction.
            unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        }
    }
}

/// Databases that can be connected to, templates excepted.
fn databases() -> Vec<pg_sys::Oid> {
    BackgroundWorker::transaction(|| {
        let mut found = Vec::new();
        // SAFETY: a shared catalog, read within a transaction as the server's own launchers do.
        unsafe {
            let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
            let scan = pg_sys::systable_beginscan(
                relation,
                pg_sys::InvalidOid,
                false,
                std::ptr::null_mut(),
                0,
                std::ptr::null_mut(),
            );
            loop {
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
                if (*row).datallowconn && !(*row).datistemplate {
                    found.push((*row).oid);
                }
            }
            pg_sys::systable_endscan(scan);
            pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        }
        found
    })
}

/// Starts the process for a database and waits for its end; false when this one should end.
fn visit(database: pg_sys::Oid) -> bool {
    let started = BackgroundWorkerBuilder::new("atoll recovery of a database")
        .set_type("atoll recovery of a database")
        .set_library("atoll")
        .set_function("atoll_recovery_of_database")
        .enable_spi_access()
        .set_restart_time(None)
        .set_argument(database.into_datum())
        // SAFETY: fixed for the process.
        .set_notify_pid(unsafe { pg_sys::MyProcPid })
        .load_dynamic();
    match started {
        // Without a free place the next round comes soon enough.
        Err(_) => true,
        Ok(worker) => worker.wait_for_shutdown().is_ok() && !BackgroundWorker::sigterm_received(),
    }
}

/// The process of one database; its argument is the database's oid.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn atoll_recovery_of_database(database: pg_sys::Datum) {
    // SAFETY: installed before signals are let in.
    unsafe {
        versions::on_signal(libc::SIGTERM, on_terminate);
        pg_sys::BackgroundWorkerUnblockSignals();
    }
    let database = pg_sys::Oid::from(database.value() as u32);
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), None);
    for (setting, value) in [
        (c"default_transaction_isolation", c"read committed"),
        (c"default_transaction_read_only", c"off"),
    ] {
        // SAFETY: names and values end with a zero.
        unsafe {
            pg_sys::SetConfigOption(
                setting.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
            );
        }
    }
    let finished = BackgroundWorker::transaction(|| {
        let told = "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'atoll')";
        if !matches!(Spi::get_one::<bool>(told), Ok(Some(true))) {
            return Vec::new();
        }
        recover::recover(recover::Role::OfServer)
    });
    for (node, gid, outcome) in finished {
        if let Some(gid) = gid {
            pgrx::log!("atoll: prepared transaction {gid} on node \"{node}\": {outcome}");
        }
    }
}

/// A signal's handler: leaves it to the next look at interrupts to end the process, whatever it waits for.
unsafe extern "C-unwind" fn on_terminate(_signal: i32) {
    // SAFETY: variables that the server's own handlers set in this way; nothing else is done.
    unsafe {
        (&raw mut pg_sys::ProcDiePending).write_volatile(1);
        (&raw mut pg_sys::InterruptPending).write_volatile(1);
        pg_sys::SetLatch(pg_sys::MyLatch);
    }
}
