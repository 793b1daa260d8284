//! Reads and writes that hold together.
//!
//! In: keys, values, ranges. Out: `atoll_transaction`, which commits if nothing it has read has been written since it
//! began. Must never: write a part, or keep a store from being closed.

#![expect(
    unsafe_code,
    reason = "raw pointers come from C, and a transaction is kept beside its store"
)]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_void;
use std::sync::{Arc, Weak};

use atoll::store::Transaction;
use parking_lot::{Mutex, MutexGuard};

use crate::bytes::{self, atoll_bytes};
use crate::call::{call, exclusive, fresh, handle, out, versioned};
use crate::db::{Child, Engine, atoll_db, atoll_write_opts, share};
use crate::error::{Failure, atoll_error};
use crate::scan::{Range, atoll_iter, atoll_range};
use crate::status::*;
use crate::write::expires;

/// A transaction under way. One thread at a time.
///
/// It reads the store as it was when it began, and its own writes. It keeps the space of newer versions from being given
/// back: end it soon.
pub struct atoll_transaction {
    state: Arc<State>,
}

struct State {
    held: Mutex<Option<Held>>,
    /// The value that was read last. Not of what goes when the store is closed: its view lasts until the next call.
    lent: Mutex<Vec<u8>>,
    db: Arc<atoll_db>,
}

struct Held {
    /// Of the engine below; first, so that it goes first.
    transaction: Transaction<'static>,
    _engine: Arc<Engine>,
}

impl Child for State {
    fn let_go(&self) {
        *self.held.lock() = None;
    }
}

impl State {
    fn held(&self) -> Result<MutexGuard<'_, Option<Held>>, Failure> {
        let held = exclusive("transaction", &self.held)?;
        if held.is_none() {
            self.db.check_open()?;
            return Err(Failure::new(
                ATOLL_E_CLOSED,
                "the transaction has been committed or rolled back: begin another one",
            ));
        }
        Ok(held)
    }
}

/// Begins a transaction. Commit it or roll it back, and free it with atoll_transaction_free().
///
/// `*transaction` is NULL after an error. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_transaction_begin(
    db: *mut atoll_db,
    transaction: *mut *mut atoll_transaction,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("transaction", transaction)? };
        // SAFETY: the contract of the header.
        let db = unsafe { share(db)? };
        let engine = db.share()?;
        // SAFETY: the engine lies on the heap, behind an `Arc` that lives in the same struct and is dropped after the
        // transaction; nothing gives the transaction away with this lifetime.
        let lasting: &'static Engine = unsafe { &*Arc::as_ptr(&engine) };
        let state = Arc::new(State {
            held: Mutex::new(Some(Held {
                transaction: lasting.writer()?.transaction(),
                _engine: engine,
            })),
            lent: Mutex::new(Vec::new()),
            db,
        });
        let child: Weak<State> = Arc::downgrade(&state);
        state.db.adopt(child)?;
        *out = Box::into_raw(Box::new(atoll_transaction { state }));
        Ok(ATOLL_OK)
    })
}

/// Reads the value of a key as of the beginning of the transaction, or as it has written it. `*value` is a view that is valid
/// until the next call on the transaction.
///
/// The commit fails if somebody else has written the key since; a key without a value counts too, for which this answers
/// ATOLL_NOT_FOUND. One thread at a time; may wait for the disk.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_transaction_get(
    transaction: *mut atoll_transaction,
    key: *const c_void,
    key_len: usize,
    value: *mut atoll_bytes,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (transaction, key, value) = unsafe {
            (
                handle("transaction", transaction)?,
                bytes::key(key, key_len)?,
                out("value", value)?,
            )
        };
        let state = &transaction.state;
        let mut held = state.held()?;
        let Some(Held { transaction, .. }) = &mut *held else {
            return Err(Failure::closed("transaction"));
        };
        let mut lent = exclusive("transaction", &state.lent)?;
        let Some(found) = transaction.get(key)? else {
            return Ok(ATOLL_NOT_FOUND);
        };
        lent.clear();
        lent.extend_from_slice(&found);
        *value = atoll_bytes::of(&lent);
        Ok(ATOLL_OK)
    })
}

/// Reads a range as of the beginning of the transaction, with its own writes. Free `*iter` with atoll_iter_free().
///
/// The range is read whole before the call returns: give it a limit. The commit fails if somebody else has written a key in the
/// part that was read. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_transaction_scan(
    transaction: *mut atoll_transaction,
    range: *const atoll_range,
    iter: *mut *mut atoll_iter,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("iter", iter)? };
        // SAFETY: the contract of the header.
        let (transaction, range) = unsafe { (handle("transaction", transaction)?, Range::read(range)?) };
        let mut held = transaction.state.held()?;
        let Some(Held { transaction, .. }) = &mut *held else {
            return Err(Failure::closed("transaction"));
        };
        let (lo, hi) = range.bounds();
        let mut gathered = Vec::new();
        for entry in transaction.scan(lo, hi, range.options)? {
            let entry = entry?;
            gathered.push((
                entry.key,
                entry.value.map_or_else(Vec::new, |value| value.to_vec()),
            ));
        }
        *out = atoll_iter::of(Box::new(gathered.into_iter().map(Ok)));
        Ok(ATOLL_OK)
    })
}

/// Adds a put to what the commit will write; the transaction sees it at once. `ttl_ms` as for atoll_batch_put().
///
/// Key and value are copied. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_transaction_put(
    transaction: *mut atoll_transaction,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    ttl_ms: u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (transaction, key, value) = unsafe {
            (
                handle("transaction", transaction)?,
                bytes::key(key, key_len)?,
                bytes::value(value, value_len)?,
            )
        };
        if let Some(held) = &mut *transaction.state.held()? {
            held.transaction.put_expiring(key, value, expires(ttl_ms, 0)?);
        }
        Ok(ATOLL_OK)
    })
}

/// Adds a deletion to what the commit will write. The key is copied. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_transaction_delete(
    transaction: *mut atoll_transaction,
    key: *const c_void,
    key_len: usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (transaction, key) = unsafe { (handle("transaction", transaction)?, bytes::key(key, key_len)?) };
        if let Some(held) = &mut *transaction.state.held()? {
            held.transaction.delete(key);
        }
        Ok(ATOLL_OK)
    })
}

/// Makes the writes visible together, if nothing the transaction has read has been written since it began.
///
/// ATOLL_CONFLICT if something has: nothing was written, and running the transaction again from its beginning may succeed. `lsn`
/// may be NULL; it is set to the position after the writes, 0 if there were none. The transaction has ended whatever the answer. One
/// thread at a time; may wait for the device, as atoll_put().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_transaction_commit(
    transaction: *mut atoll_transaction,
    options: *const atoll_write_opts,
    lsn: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (transaction, options) = unsafe { (handle("transaction", transaction)?, versioned(options)?) };
        options.stays("a transaction")?;
        let durability = options.durability()?;
        let mut guard = transaction.state.held()?;
        let Some(Held {
            transaction, _engine, ..
        }) = guard.take()
        else {
            return Err(Failure::closed("transaction"));
        };
        let written = transaction.commit(durability)?;
        // SAFETY: the contract of the header.
        if let Some(lsn) = unsafe { lsn.as_mut() } {
            *lsn = written.map_or(0, |written| written.end.0);
        }
        Ok(ATOLL_OK)
    })
}

/// Ends a transaction without writing anything. Ending one that has ended is no error. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_transaction_rollback(
    transaction: *mut atoll_transaction,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let transaction = unsafe { handle("transaction", transaction)? };
        *exclusive("transaction", &transaction.state.held)? = None;
        Ok(ATOLL_OK)
    })
}

/// Frees a transaction, rolling it back if it has not ended. NULL is allowed.
///
/// Any thread, also after the store has been closed and freed.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_transaction_free(transaction: *mut atoll_transaction) {
    // SAFETY: the contract of the header.
    unsafe { crate::call::free(transaction) }
}
