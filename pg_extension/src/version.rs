//! Vector clocks and stamps as SQL types, and what becomes of versions that stand side by side.
//!
//! In: text, bytes or stored values of the types `vclock` and `hlc`, and jsonb. Out: their causal relation,
//! merged clocks, the winner of two writes. Must never: judge otherwise than the engine's versioning room,
//! whose byte forms are what is stored here.
//!
//! `version/value.rs` is what both types share, `version/vclock.rs` and `version/hlc.rs` are their functions,
//! `version/resolve.rs` the rules. The SQL files declare what hangs on the functions.

mod hlc;
mod resolve;
mod value;
mod vclock;

use pgrx::extension_sql_file;

extension_sql_file!(
    "version/types.sql",
    name = "types",
    requires = [
        vclock::vclock_in,
        vclock::vclock_out,
        vclock::vclock_recv,
        vclock::vclock_send,
        hlc::hlc_in,
        hlc::hlc_out,
        hlc::hlc_recv,
        hlc::hlc_send,
    ],
);
extension_sql_file!("version/operators.sql", name = "operators", finalize);
