//! The store as it was at one position.
//!
//! In: an open store. Out: `atoll_snapshot`, read through the options of reads and scans. Must never: keep a store from
//! being closed, or answer from a store other than its own.

#![expect(
    unsafe_code,
    reason = "raw pointers come from C, and a snapshot is kept beside its store"
)]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ops::Bound;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use atoll::store::{ReaderSnapshot, Scan, ScanOptions, Snapshot, StoreError, Value};

use crate::call::{call, fresh};
use crate::db::{Child, Engine, atoll_db, share};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::status::*;

/// A store as it was at one position. Any number of threads may use it at once.
///
/// What it shows is kept until it is freed, so space of newer versions grows: free it when it has served.
pub struct atoll_snapshot {
    view: Arc<View>,
}

/// A snapshot and what it lies in.
struct Held {
    /// Of the engine below; first, so that it goes first.
    snapshot: Either,
    _engine: Arc<Engine>,
}

enum Either {
    Store(Snapshot<'static>),
    Reader(ReaderSnapshot),
}

impl Held {
    fn take(engine: Arc<Engine>) -> Result<Held, StoreError> {
        // SAFETY: the engine lies on the heap, behind an `Arc` that lives in the same struct and is dropped after the
        // snapshot; nothing gives the snapshot away with this lifetime.
        let lasting: &'static Engine = unsafe { &*Arc::as_ptr(&engine) };
        let snapshot = match lasting {
            Engine::Store(store) => Either::Store(store.snapshot()),
            Engine::Reader(reader) => Either::Reader(reader.snapshot()?),
        };
        Ok(Held {
            snapshot,
            _engine: engine,
        })
    }

    fn lsn(&self) -> u64 {
        match &self.snapshot {
            Either::Store(snapshot) => snapshot.lsn().0,
            Either::Reader(snapshot) => snapshot.lsn().0,
        }
    }
}

/// A snapshot that goes when its store is closed.
pub(crate) struct View {
    held: ArcSwapOption<Held>,
    lsn: u64,
    db: Arc<atoll_db>,
}

impl Child for View {
    fn let_go(&self) {
        self.held.store(None);
    }
}

impl View {
    pub(crate) fn take(db: Arc<atoll_db>) -> Result<Arc<View>, Failure> {
        let held = Held::take(db.share()?)?;
        let view = Arc::new(View {
            lsn: held.lsn(),
            held: ArcSwapOption::from_pointee(held),
            db,
        });
        let child: Weak<View> = Arc::downgrade(&view);
        if let Err(failure) = view.db.adopt(child) {
            view.let_go();
            return Err(failure);
        }
        Ok(view)
    }

    pub(crate) fn db(&self) -> &atoll_db {
        &self.db
    }

    fn with<T>(&self, read: impl FnOnce(&Either) -> Result<T, StoreError>) -> Result<T, Failure> {
        let held = self.held.load();
        let held = held.as_ref().ok_or_else(|| Failure::closed("database"))?;
        Ok(read(&held.snapshot)?)
    }

    pub(crate) fn scan(
        &self,
        (start, end): (Bound<&[u8]>, Bound<&[u8]>),
        options: ScanOptions,
    ) -> Result<Scan, Failure> {
        self.with(|snapshot| match snapshot {
            Either::Store(snapshot) => snapshot.scan_with(start, end, options),
            Either::Reader(snapshot) => snapshot.scan_with(start, end, options),
        })
    }
}

impl atoll_snapshot {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value>, Failure> {
        self.view.with(|snapshot| match snapshot {
            Either::Store(snapshot) => snapshot.get(key),
            Either::Reader(snapshot) => snapshot.get(key),
        })
    }

    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Refuses to answer for another store.
    pub(crate) fn check_of(&self, db: &atoll_db) -> Result<(), Failure> {
        if std::ptr::eq(db, self.view.db()) {
            return Ok(());
        }
        Err(Failure::invalid("the snapshot was taken from another database"))
    }
}

/// Takes a snapshot of everything written before the call. Free it with atoll_snapshot_free().
///
/// `*snapshot` is NULL after an error. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_snapshot_new(
    db: *mut atoll_db,
    snapshot: *mut *mut atoll_snapshot,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("snapshot", snapshot)? };
        // SAFETY: the contract of the header.
        let view = View::take(unsafe { share(db)? })?;
        *out = Box::into_raw(Box::new(atoll_snapshot { view }));
        Ok(ATOLL_OK)
    })
}

/// Returns the position of a snapshot: everything below it is visible. 0 for NULL. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_snapshot_lsn(snapshot: *const atoll_snapshot) -> u64 {
    guard(0, || {
        // SAFETY: the contract of the header.
        unsafe { snapshot.as_ref() }.map_or(0, |snapshot| snapshot.view.lsn)
    })
}

/// Frees a snapshot. NULL is allowed. Values that were read through it stay with their pins.
///
/// Any thread, also after the store has been closed and freed.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_snapshot_free(snapshot: *mut atoll_snapshot) {
    // SAFETY: the contract of the header.
    unsafe { crate::call::free(snapshot) }
}
