//! How many sessions all backends together have to each node, and how many they may have.
//!
//! In: a backend that opens or closes a session. Out: leave to open it, at once or after waiting, and the rows of
//! `atoll.connections`. Must never: let a session be opened that is not counted, or count one whose backend is gone.
//!
//! The list lies in shared memory, so the library must stand in `shared_preload_libraries`; without that nothing is
//! counted and nothing is bounded. A backend's own entries go when it exits; after a crash the server makes shared
//! memory anew.

#![expect(unsafe_code, reason = "shared memory, and a callback at the end of a backend")]

use std::cell::Cell;
use std::time::{Duration, Instant};

use pgrx::lwlock::PgLwLock;
use pgrx::prelude::*;
use pgrx::shmem::PGRXSharedMemory;

use super::error::Trouble;
use super::nodes::Node;
use super::pool;
use crate::error::raise_with_hint;
use crate::settings;

/// Sessions that can be counted, over all nodes: 96 KiB.
const MOST: usize = 4096;
/// Pauses between two looks for a free place.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A session; `pid` 0 is a free place.
#[derive(Clone, Copy, Default)]
struct Entry {
    pid: i32,
    database: u32,
    node: i32,
    user: u32,
    opened: i64,
}

/// What lies in shared memory.
#[derive(Clone, Copy)]
struct List {
    entries: [Entry; MOST],
    /// Places behind this one were never used.
    used: usize,
    /// How many backends wait, whatever the node.
    waiting: i32,
}

// SAFETY: numbers only, without a pointer.
unsafe impl PGRXSharedMemory for List {}

const NONE: Entry = Entry {
    pid: 0,
    database: 0,
    node: 0,
    user: 0,
    opened: 0,
};
const EMPTY: List = List {
    entries: [NONE; MOST],
    used: 0,
    waiting: 0,
};

// SAFETY: the name belongs to this extension.
static LIST: PgLwLock<List> = unsafe { PgLwLock::new(c"atoll_connections") };

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static WAITS: Cell<bool> = const { Cell::new(false) };
    /// True once this backend's entries are gone: its places may be others' by then.
    static EXITED: Cell<bool> = const { Cell::new(false) };
}

/// Asks for the shared memory; called while the server preloads the library.
#[expect(
    unexpected_cfgs,
    reason = "the macro asks for features of pgrx that are not ours"
)]
pub(crate) fn reserve() {
    pgrx::pg_shmem_init!(LIST = EMPTY);
}

/// A place in the list, given back when dropped. Without shared memory there are places without a number.
pub(crate) struct Place(Option<usize>);

impl Place {
    /// A place for a session to this node, waiting for `atoll.pool_timeout` if `patient`. Raises when cancelled.
    pub(super) fn take(node: &Node, user: pg_sys::Oid, patient: bool) -> Result<Self, Trouble> {
        if !settings::is_preloaded() {
            return Ok(Self(None));
        }
        watch_exit();
        if let Some(place) = try_take(node, user) {
            return Ok(place);
        }
        if !patient {
            return Err(full(node));
        }
        let deadline = Instant::now() + settings::pool_timeout();
        let mut pause = SHORTEST_PAUSE;
        let _waiter = Waiter::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(full(node));
            }
            sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
            if let Some(place) = try_take(node, user) {
                return Ok(place);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(place) = self.0
            && !EXITED.get()
        {
            LIST.exclusive().entries[place] = NONE;
        }
    }
}

/// Counts this backend among those that wait, as long as it lives.
struct Waiter;

impl Waiter {
    fn new() -> Self {
        WAITS.set(true);
        LIST.exclusive().waiting += 1;
        Self
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if WAITS.replace(false) {
            LIST.exclusive().waiting -= 1;
        }
    }
}

fn full(node: &Node) -> Trouble {
    Trouble::Full {
        node: node.name.clone(),
        most: settings::pool_size(),
    }
}

fn try_take(node: &Node, user: pg_sys::Oid) -> Option<Place> {
    // SAFETY: reads values that are fixed for the backend, and the clock.
    let (pid, database, opened) = unsafe {
        (
            pg_sys::MyProcPid,
            u32::from(pg_sys::MyDatabaseId),
            pg_sys::GetCurrentTimestamp(),
        )
    };
    let most = settings::pool_size();
    let mut list = LIST.exclusive();
    let used = list.used;
    let is_here = |entry: &&Entry| entry.pid != 0 && entry.node == node.id && entry.database == database;
    if most > 0 && list.entries[..used].iter().filter(is_here).count() >= most {
        return None;
    }
    let place = list.entries[..used]
        .iter()
        .position(|entry| entry.pid == 0)
        .or_else(|| (used < MOST).then_some(used))?;
    list.used = used.max(place + 1);
    list.entries[place] = Entry {
        pid,
        database,
        node: node.id,
        user: u32::from(user),
        opened,
    };
    Some(Place(Some(place)))
}

/// True when this backend's sessions count against a bound.
pub(super) fn is_bounded() -> bool {
    settings::is_preloaded() && settings::pool_size() > 0 && !EXITED.get()
}

/// True when a session that nobody uses should rather be closed than kept: others wait, or more than half of what
/// the node may have is taken. So backends that are idle never hold all places.
pub(super) fn is_scarce(node: &Node) -> bool {
    let most = settings::pool_size();
    if most == 0 || !settings::is_preloaded() {
        return false;
    }
    // SAFETY: fixed for the backend.
    let database = u32::from(unsafe { pg_sys::MyDatabaseId });
    let list = LIST.share();
    let taken = list.entries[..list.used]
        .iter()
        .filter(|entry| entry.pid != 0 && entry.node == node.id && entry.database == database)
        .count();
    list.waiting > 0 || taken > most / 2
}

/// Sleeps, and raises when the query is cancelled.
fn sleep(pause: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: the backend's own latch, on its thread.
    unsafe {
        let woken = pg_sys::WaitLatch(
            pg_sys::MyLatch,
            events as i32,
            pause.as_millis().max(1) as _,
            pg_sys::PG_WAIT_EXTENSION,
        );
        if woken as u32 & pg_sys::WL_LATCH_SET != 0 {
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
    }
    pgrx::check_for_interrupts!();
}

fn watch_exit() {
    if !WATCHED.replace(true) {
        // Behind the end of an open transaction, which still needs the sessions.
        // SAFETY: runs on this backend's thread while shared memory is still there.
        unsafe { pg_sys::on_shmem_exit(Some(at_exit), pg_sys::Datum::from(0)) };
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_exit(_code: i32, _argument: pg_sys::Datum) {
    pool::end();
    // SAFETY: fixed for the backend.
    let pid = unsafe { pg_sys::MyProcPid };
    let mut list = LIST.exclusive();
    let used = list.used;
    for entry in &mut list.entries[..used] {
        if entry.pid == pid {
            *entry = NONE;
        }
    }
    if WAITS.replace(false) {
        list.waiting -= 1;
    }
    EXITED.set(true);
}

/// `open_connections()`: what stands behind the view `atoll.connections`.
#[pg_extern(volatile, parallel_restricted)]
fn open_connections() -> TableIterator<
    'static,
    (
        name!(pid, i32),
        name!(node_id, i32),
        name!(user_id, pg_sys::Oid),
        name!(opened, TimestampWithTimeZone),
    ),
> {
    if !settings::is_preloaded() {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "connections to nodes are not counted",
            "Put atoll into shared_preload_libraries and restart the server.",
        );
    }
    // SAFETY: fixed for the backend.
    let database = u32::from(unsafe { pg_sys::MyDatabaseId });
    let found: Vec<Entry> = {
        let list = LIST.share();
        let here = |entry: &&Entry| entry.pid != 0 && entry.database == database;
        list.entries[..list.used].iter().filter(here).copied().collect()
    };
    TableIterator::new(found.into_iter().filter_map(|entry| {
        let opened = TimestampWithTimeZone::try_from(entry.opened).ok()?;
        Some((entry.pid, entry.node, pg_sys::Oid::from(entry.user), opened))
    }))
}

extension_sql!(
    r#"
-- Sessions of all backends to the nodes of this database; needs the library in shared_preload_libraries.
CREATE VIEW connections AS
    SELECT n.name AS node, c.pid, c.user_id::pg_catalog.regrole AS "role", c.opened FROM open_connections() c JOIN node n USING (node_id);
REVOKE ALL ON FUNCTION open_connections() FROM PUBLIC;
"#,
    name = "connections_view",
    // Behind all of the catalog, whose parts follow each other, so that the order stays the same in every build.
    requires = ["catalog_ddl", open_connections],
);
