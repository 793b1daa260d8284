//! PostgreSQL extension `atoll`: the engine's functions as SQL.
//!
//! In: calls from PostgreSQL, on the backend's own thread. Out: datums, or an SQL error.
//! Must never: call into PostgreSQL from another thread, or hold logic that belongs to the engine.
//!
//! The SQL that declares these functions is committed in `sql/` and compared with this library by
//! `scripts/test-pg.sh`.

mod catalog;
mod convert;
mod error;
mod fdw;
mod functions;
mod opclass;
mod remote;
mod router;
mod routing;
mod settings;
mod store;
mod transaction;
mod version;
mod versions;

pgrx::pg_module_magic!(name, version);

pgrx::extension_sql_file!("bootstrap.sql", name = "bootstrap", bootstrap);

/// Called when a server or a session loads the library.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
    fdw::partitionwise::install();
    // SAFETY: a variable of the server's process, which loads libraries on one thread.
    #[expect(unsafe_code, reason = "asks whether the server is preloading libraries")]
    if unsafe { pgrx::pg_sys::process_shared_preload_libraries_in_progress } {
        settings::preload();
        remote::quota::reserve();
        transaction::start_worker();
    }
    router::define();
}
