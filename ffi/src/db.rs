//! An open store behind a handle.
//!
//! In: a directory and options. Out: `atoll_db`, which any number of threads use at once, and which answers
//! ATOLL_E_CLOSED once it has been closed. Must never: free what a running call or a child handle still
//! uses, close a store that a forked child did not open, or cost a read more than a few nanoseconds.
//!
//! The store sits behind a pointer that calls borrow without a lock (`arc_swap`). Closing takes the store
//! out, lets the snapshots and transactions made from it go, waits for the calls that have borrowed it, and
//! only then closes it for good.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_char;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use atoll::io::{Env, fork};
use atoll::store::{ReaderOptions, Store, StoreOptions, StoreReader, Value};
use parking_lot::Mutex;

use crate::bytes::text;
use crate::call::{Outcome, Versioned, call, call_poisoning, fresh, handle, versioned};
use crate::error::{Failure, atoll_error};
use crate::options::atoll_options;
use crate::panic::guard;
use crate::status::*;

/// Between two looks at whether the calls that borrow a store have ended.
const LOOK: Duration = Duration::from_micros(50);

/// An open store. Any number of threads may use it at once.
pub struct atoll_db {
    engine: ArcSwapOption<Engine>,
    closed: AtomicBool,
    /// [`fork::generation`] of the process that opened it.
    born: u64,
    poisoned: AtomicBool,
    children: Mutex<Children>,
}

/// What is open.
pub(crate) enum Engine {
    /// For reading and writing, by this process alone.
    Store(Store),
    /// For reading, beside whoever writes.
    Reader(StoreReader),
}

impl Engine {
    /// The store as its writer has it.
    #[inline]
    pub(crate) fn writer(&self) -> Result<&Store, Failure> {
        match self {
            Engine::Store(store) => Ok(store),
            Engine::Reader(_) => Err(Failure::new(
                ATOLL_E_NOT_PRIMARY,
                "the database was opened with atoll_db_open_reader(), which serves reads only",
            )),
        }
    }

    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value>, Failure> {
        Ok(match self {
            Engine::Store(store) => store.get(key)?,
            Engine::Reader(reader) => reader.get(key)?,
        })
    }
}

/// What was made from a store and must let it go when the store is closed.
pub(crate) trait Child: Send + Sync {
    /// Lets go of the store. Calls that borrow the child at this moment may end later.
    fn let_go(&self);
}

#[derive(Default)]
struct Children {
    all: Vec<Weak<dyn Child>>,
    /// Those that are gone are cleared out at this length.
    prune_at: usize,
}

impl Children {
    fn add(&mut self, child: Weak<dyn Child>) {
        if self.all.len() >= self.prune_at {
            self.all.retain(|child| child.strong_count() > 0);
            self.prune_at = (2 * self.all.len()).max(64);
        }
        self.all.push(child);
    }
}

impl atoll_db {
    pub(crate) fn new(engine: Engine) -> Arc<atoll_db> {
        Arc::new(atoll_db {
            engine: ArcSwapOption::from_pointee(engine),
            closed: AtomicBool::new(false),
            born: fork::generation(),
            poisoned: AtomicBool::new(false),
            children: Mutex::default(),
        })
    }

    /// What is open, for one call.
    #[inline]
    pub(crate) fn engine(&self) -> Result<Borrowed, Failure> {
        let engine = self.engine.load();
        if engine.is_none() {
            return Err(Failure::closed("database"));
        }
        Ok(Borrowed(engine))
    }

    /// Remembers a child that has to let go when the store is closed.
    pub(crate) fn adopt(&self, child: Weak<dyn Child>) -> Result<(), Failure> {
        self.children.lock().add(child);
        // Closing looks at the children after it has taken the store out: either it sees this one, or this
        // sees that the store is gone.
        self.check_open()
    }

    /// What is open, for a child that lets it go when asked to.
    pub(crate) fn share(&self) -> Result<Arc<Engine>, Failure> {
        self.engine.load_full().ok_or_else(|| Failure::closed("database"))
    }

    pub(crate) fn check_open(&self) -> Result<(), Failure> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Failure::closed("database"));
        }
        Ok(())
    }

    pub(crate) fn poisoned(&self) -> &AtomicBool {
        &self.poisoned
    }

    fn close(&self) -> Result<(), Failure> {
        self.closed.store(true, Ordering::Release);
        let Some(mut engine) = self.engine.swap(None) else {
            return Ok(());
        };
        if fork::generation() != self.born {
            // Threads that have borrowed it, and those that work for it, are the parent's.
            std::mem::forget(engine);
            return Err(Failure::new(
                ATOLL_E_FORKED,
                "the database was opened before this process forked: only its first process can close it",
            ));
        }
        let children = std::mem::take(&mut *self.children.lock());
        for child in children.all.iter().filter_map(Weak::upgrade) {
            child.let_go();
        }
        loop {
            match Arc::try_unwrap(engine) {
                Ok(Engine::Store(store)) => return Ok(store.close()?),
                Ok(Engine::Reader(_)) => return Ok(()),
                Err(shared) => engine = shared,
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for atoll_db {
    fn drop(&mut self) {
        // Nobody can be told of a failure; nothing acknowledged is lost by one.
        let _ = self.close();
    }
}

/// What is open, for the length of one call.
pub(crate) struct Borrowed(Guard<Option<Arc<Engine>>>);

impl std::ops::Deref for Borrowed {
    type Target = Engine;

    #[inline]
    fn deref(&self) -> &Engine {
        self.0.as_ref().expect("it was there when it was borrowed")
    }
}

/// Another reference to the handle behind `db`.
///
/// # Safety
/// `db` is NULL or came from [`atoll_db_open`] and has not been freed.
pub(crate) unsafe fn share(db: *const atoll_db) -> Result<Arc<atoll_db>, Failure> {
    // SAFETY: the caller's promise.
    unsafe {
        handle("db", db)?;
        Arc::increment_strong_count(db);
        Ok(Arc::from_raw(db))
    }
}

/// How a write is done. Initialise it with ATOLL_WRITE_OPTS_INIT; NULL stands for the defaults.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_write_opts {
    /// sizeof(atoll_write_opts).
    pub struct_size: usize,
    /// ATOLL_DURABILITY_BUFFERED (default): survives the end of the process. ATOLL_DURABILITY_SYNCED: on the
    /// device before the call returns.
    pub durability: u32,
    /// 0.
    pub flags: u32,
    /// The value is gone this many milliseconds after the write; 0: it stays.
    pub ttl_ms: u64,
    /// The value is gone at this time, in milliseconds since 1970; 0: see ttl_ms. At most one of the two.
    pub expires_at_ms: u64,
}

/// In the memory of the operating system: survives kill -9, may be lost with the power.
pub const ATOLL_DURABILITY_BUFFERED: u32 = 0;
/// On the device.
pub const ATOLL_DURABILITY_SYNCED: u32 = 1;

// SAFETY: numbers only, zero is each one's default, and the first one is the size.
unsafe impl Versioned for atoll_write_opts {
    const ZERO: Self = atoll_write_opts {
        struct_size: 0,
        durability: 0,
        flags: 0,
        ttl_ms: 0,
        expires_at_ms: 0,
    };
    const NAME: &'static str = "atoll_write_opts";
}

/// Opens the store in the directory `path`, and makes it if it is not there.
///
/// `options` may be NULL for the defaults. One process at a time has a store open for writing: the second one gets
/// ATOLL_E_LOCKED with the process id and host of the first. `*out` is NULL after an error. Close the handle with
/// atoll_db_close() and free it with atoll_db_free(). Any thread; blocks while a store that was not closed is
/// checked.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_db_open(
    path: *const c_char,
    options: *const atoll_options,
    db: *mut *mut atoll_db,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("db", db)? };
        let mut store_options = StoreOptions::standalone();
        // SAFETY: the contract of the header.
        if let Some(options) = unsafe { options.as_ref() } {
            options.apply(&mut store_options)?;
        }
        // SAFETY: the contract of the header.
        let path = unsafe { text("path", path)? };
        let store = Store::open_standalone(&Env::os(), Path::new(path), &store_options)?;
        *out = Arc::into_raw(atoll_db::new(Engine::Store(store))).cast_mut();
        Ok(ATOLL_OK)
    })
}

/// Opens the store in the directory `path` for reading, beside the process that writes it or without one.
///
/// It follows what the writer does: every read sees all that was acknowledged before. Any number of processes may do so; none
/// of them holds up the writer. Writes answer ATOLL_E_NOT_PRIMARY. ATOLL_E_UNAVAILABLE if the store was left by a power cut and
/// must be opened by a writer once, or if its writer stands still in the middle of opening it. Otherwise as atoll_db_open().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_db_open_reader(
    path: *const c_char,
    db: *mut *mut atoll_db,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("db", db)? };
        // SAFETY: the contract of the header.
        let path = unsafe { text("path", path)? };
        let reader = Store::open_reader(&Env::os(), Path::new(path), &ReaderOptions::default())?;
        *out = Arc::into_raw(atoll_db::new(Engine::Reader(reader))).cast_mut();
        Ok(ATOLL_OK)
    })
}

/// Makes everything durable and closes the store; later calls on the handle answer ATOLL_E_CLOSED.
///
/// Snapshots, scans and transactions made from it answer ATOLL_E_CLOSED as well; values that are pinned stay until
/// their pin is reset. Closing twice is allowed. Any thread; waits for calls that are under way. If it fails,
/// nothing acknowledged is lost, and the store is checked when it is opened next.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_db_close(db: *mut atoll_db, err: *mut *mut atoll_error) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        unsafe { handle("db", db)? }.close()?;
        Ok(ATOLL_OK)
    })
}

/// Frees the handle. NULL is allowed.
///
/// In any order with the handles made from it: the last of them closes the store if nobody has, and then a failure
/// cannot be told: call atoll_db_close() first. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_db_free(db: *mut atoll_db) {
    guard((), || {
        if !db.is_null() {
            // SAFETY: the contract of the header: it came from atoll_db_open(), which made it so, and is freed once.
            drop(unsafe { Arc::from_raw(db.cast_const()) });
        }
    });
}

/// Runs a write on the store behind `db`.
///
/// # Safety
/// `db` and `options` are NULL or valid.
#[inline]
pub(crate) unsafe fn write(
    db: *mut atoll_db,
    options: *const atoll_write_opts,
    err: *mut *mut atoll_error,
    body: impl FnOnce(&Store, &atoll_write_opts) -> Outcome,
) -> atoll_status {
    // SAFETY: the caller's promise.
    let Some(db) = (unsafe { db.as_ref() }) else {
        return Failure::invalid("db is NULL").hand_over(err);
    };
    call_poisoning(db.poisoned(), err, || {
        // SAFETY: the caller's promise.
        let options = unsafe { versioned(options)? };
        body(db.engine()?.writer()?, &options)
    })
}

/// Makes everything written before the call durable.
///
/// `durable_lsn` may be NULL; it is set to the position below which everything has survived. Any thread; blocks on the
/// device.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_sync(
    db: *mut atoll_db,
    durable_lsn: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let durable = unsafe { handle("db", db)? }.engine()?.writer()?.sync()?;
        // SAFETY: the contract of the header.
        if let Some(out) = unsafe { durable_lsn.as_mut() } {
            *out = durable.0;
        }
        Ok(ATOLL_OK)
    })
}

/// Brings the tables of the store into as few runs as it can, now: scans and reads of older versions get faster, and
/// space of superseded values is given back. Background compaction does the same by and by.
///
/// Any thread; blocks for as long as it takes, about a second for every few hundred MB. Reads and writes go on.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_compact(db: *mut atoll_db, err: *mut *mut atoll_error) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let engine = unsafe { handle("db", db)? }.engine()?;
        let limits = atoll::store::CompactionLimits::default();
        engine.writer()?.compact(&limits, &mut |_| {})?;
        Ok(ATOLL_OK)
    })
}
