//! Settings of a session, `atoll.*`.
//!
//! In: what SET says, also before the library is loaded. Out: values. Must never: let a setting open what
//! only rights should.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static ALLOW_KEY_UPDATE: GucSetting<bool> = GucSetting::<bool>::new(false);
static ROUTER: GucSetting<bool> = GucSetting::<bool>::new(true);

static POOL_SIZE: GucSetting<i32> = GucSetting::<i32>::new(0);
static POOL_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(5000);
static RECOVERY_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(30);
static PRELOADED: AtomicBool = AtomicBool::new(false);

static PUSH_DOWN: GucSetting<bool> = GucSetting::<bool>::new(true);

const KEY: (&CStr, &CStr, &CStr) = (
    c"atoll.allow_key_update",
    c"Lets UPDATE set the column that distributes a table.",
    c"The row is deleted where it lies and inserted where its new key belongs, in the same transaction.",
);

const WHOLE: (&CStr, &CStr, &CStr) = (
    c"atoll.router",
    c"Sends a statement whose keys lie in one slot to that slot's node as it is.",
    c"Without it such statements are planned as all others, and ON CONFLICT DO UPDATE and MERGE are refused.",
);

/// Called when the library is loaded.
pub(crate) fn define() {
    let (name, short, long) = KEY;
    GucRegistry::define_bool_guc(
        name,
        short,
        long,
        &ALLOW_KEY_UPDATE,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"atoll.push_down",
        c"Lets the nodes group and join the rows of distributed tables.",
        c"Where it is off, rows travel and are grouped and joined here; the answers are the same.",
        &PUSH_DOWN,
        GucContext::Userset,
        GucFlags::default(),
    );
    let (name, short, long) = WHOLE;
    GucRegistry::define_bool_guc(
        name,
        short,
        long,
        &ROUTER,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"atoll.pool_size",
        c"Connections that all sessions together may have to one node; 0 is no bound.",
        c"Needs the library in shared_preload_libraries.",
        &POOL_SIZE,
        0,
        4096,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"atoll.pool_timeout",
        c"How long a statement waits for a connection to a node that has atoll.pool_size of them.",
        c"Then it fails with SQLSTATE 53300.",
        &POOL_TIMEOUT,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"atoll.recovery_interval",
        c"Time between two looks for prepared transactions that nobody will finish; 0 is never.",
        c"Needs the library in shared_preload_libraries.",
        &RECOVERY_INTERVAL,
        0,
        86_400,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
}

/// Called while the server preloads the library.
pub(crate) fn preload() {
    PRELOADED.store(true, Ordering::Relaxed);
}

/// True when the library has shared memory and a worker.
pub(crate) fn is_preloaded() -> bool {
    PRELOADED.load(Ordering::Relaxed)
}

/// `atoll.pool_size`; 0 is no bound.
pub(crate) fn pool_size() -> usize {
    usize::try_from(POOL_SIZE.get()).unwrap_or(0)
}

/// `atoll.pool_timeout`.
pub(crate) fn pool_timeout() -> Duration {
    Duration::from_millis(u64::try_from(POOL_TIMEOUT.get()).unwrap_or(0))
}

/// `atoll.recovery_interval`; `None` is never.
pub(crate) fn recovery_interval() -> Option<Duration> {
    let seconds = u64::try_from(RECOVERY_INTERVAL.get())
        .ok()
        .filter(|&seconds| seconds > 0)?;
    Some(Duration::from_secs(seconds))
}

/// `atoll.push_down`.
pub(crate) fn push_down() -> bool {
    PUSH_DOWN.get()
}

/// `atoll.router`.
pub(crate) fn router() -> bool {
    ROUTER.get()
}

/// `atoll.allow_key_update`.
pub(crate) fn allow_key_update() -> bool {
    ALLOW_KEY_UPDATE.get()
}
