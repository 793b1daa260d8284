//! SQL functions about the library itself.
//!
//! In: nothing. Out: text. Must never: read the database.

use pgrx::prelude::*;

/// `atoll.version()`: the version of the loaded library, such as `0.1.0`.
///
/// Stable rather than immutable: an index or a stored plan must not outlive an upgrade with an old value.
#[pg_extern(stable, strict, parallel_safe)]
fn version() -> &'static str {
    atoll::VERSION
}
