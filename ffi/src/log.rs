//! A store's log: following it, reading what it says, and applying it to a copy.
//!
//! In: an open store and a position. Out: `atoll_log_reader`, which hands out frames of whole records and owns a
//! descriptor to poll. Must never: block a writer, keep a store from being closed, or say that nothing has come while
//! something has.

#![expect(unsafe_code, reason = "raw pointers come from C, and descriptors are polled")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::{c_char, c_void};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use atoll::ids::Lsn;
use atoll::io::Env;
use atoll::store::{Frame, FrameCursor, FrameError, Store, StoreOptions, Subscription};
use parking_lot::Mutex;

use crate::bytes::{atoll_bytes, slice, text};
use crate::call::{call, exclusive, free, fresh, handle, out};
use crate::db::{Child, Engine, atoll_db, share};
use crate::error::{Failure, atoll_error};
use crate::options::atoll_options;
use crate::panic::guard;
use crate::status::*;

/// For atoll_log_open(): what is written from now on.
pub const ATOLL_LOG_FROM_NOW: u64 = u64::MAX;
/// The key got the value.
pub const ATOLL_LOG_PUT: u32 = 1;
/// The key's value was taken away.
pub const ATOLL_LOG_DELETE: u32 = 2;
/// The next entry belongs to the same atomic batch.
pub const ATOLL_LOG_MORE_IN_BATCH: u32 = 1;

/// A place in the log of a store that moves on as it is read. One thread at a time; atoll_log_interrupt() from any.
///
/// The log is kept from this place on: a reader that stands still lets it grow. Free it when it has served.
pub struct atoll_log_reader {
    bell: Arc<Bell>,
    db: Arc<atoll_db>,
    state: Mutex<State>,
}

struct State {
    subscription: Subscription,
    /// What the last call has lent.
    frame: Vec<u8>,
}

/// A descriptor that is readable when there is a reason to call.
struct Bell {
    event: OwnedFd,
    interrupted: AtomicBool,
}

impl Bell {
    fn new() -> Result<Bell, Failure> {
        // SAFETY: a plain system call.
        let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if event < 0 {
            let error = std::io::Error::last_os_error();
            return Err(Failure {
                os_errno: error.raw_os_error().unwrap_or(0),
                ..Failure::new(ATOLL_E_IO, format!("no descriptor for a log reader: {error}"))
            });
        }
        Ok(Bell {
            // SAFETY: opened above, and nobody else's.
            event: unsafe { OwnedFd::from_raw_fd(event) },
            interrupted: AtomicBool::new(false),
        })
    }

    fn ring(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes. It fails only where the counter is full, and then it rings already.
        let _ = unsafe { libc::write(self.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    fn silence(&self) {
        let mut count = [0u8; 8];
        // SAFETY: eight writable bytes. It fails where the bell does not ring.
        let _ = unsafe { libc::read(self.event.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    /// Until it rings, or for that long; `None`: for ever.
    fn wait(&self, at_most: Option<Duration>) {
        // Rounded up: otherwise the last millisecond is spent asking again and again.
        let ms = at_most.map_or(-1, |left| {
            i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        let mut poll = libc::pollfd {
            fd: self.event.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid pollfd. A signal ends it early, and then the caller looks again.
        let _ = unsafe { libc::poll(&mut poll, 1, ms) };
    }
}

impl Child for Bell {
    /// Whoever waits looks again, and finds the store closed.
    fn let_go(&self) {
        self.ring();
    }
}

/// Opens the store in the directory `path` as a copy of another one: it takes what atoll_log_apply() gives it, and no writes.
///
/// Made if it is not there. Reads, scans and snapshots work as on any store; writes answer ATOLL_E_NOT_PRIMARY. Opened with
/// atoll_db_open() later it becomes a store of its own, and takes no more frames. Otherwise as atoll_db_open().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_db_open_replica(
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
        let store = Store::open(&Env::os(), Path::new(path), &store_options)?;
        *out = Arc::into_raw(atoll_db::new(Engine::Store(store))).cast_mut();
        Ok(ATOLL_OK)
    })
}

/// Follows the log of `db` from the position `from_lsn` on: 0 for all there is, the `next_lsn` of an earlier
/// atoll_log_next() to go on behind it, ATOLL_LOG_FROM_NOW for what is written from now on.
///
/// ATOLL_E_TOO_OLD if that part of the log is gone: scan the store instead, and go on from its snapshot's position.
/// ATOLL_E_INVALID past the end, ATOLL_E_NOT_PRIMARY for a database opened with atoll_db_open_reader(). Any thread.
/// Free it with atoll_log_free(), in any order with the database.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_log_open(
    db: *mut atoll_db,
    from_lsn: u64,
    reader: *mut *mut atoll_log_reader,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("reader", reader)? };
        // SAFETY: the contract of the header.
        let db = unsafe { share(db)? };
        let bell = Arc::new(Bell::new()?);
        let ringer = Arc::clone(&bell);
        let subscription = {
            let engine = db.engine()?;
            let store = engine.writer()?;
            let from = if from_lsn == ATOLL_LOG_FROM_NOW {
                store.stable()
            } else {
                Lsn(from_lsn)
            };
            let subscription = store.subscribe(from, Box::new(move || ringer.ring()))?;
            if !subscription.wait_for_more()? {
                bell.ring();
            }
            subscription
        };
        let child: Weak<Bell> = Arc::downgrade(&bell);
        db.adopt(child)?;
        *out = Box::into_raw(Box::new(atoll_log_reader {
            bell,
            db,
            state: Mutex::new(State {
                subscription,
                frame: Vec::new(),
            }),
        }));
        Ok(ATOLL_OK)
    })
}

/// Gives the next records as one frame, about `max_bytes` of them and at least one.
///
/// `*records` belongs to the reader and is valid until the next call on it; look into it with atoll_log_entry_next(), keep or
/// send it as it is, apply it with atoll_log_apply(). `*first_lsn` and `*next_lsn` may be NULL: the positions it begins at and
/// goes on at. Waits up to `timeout_ms` milliseconds for something to come, below 0 without end, 0 not at all: ATOLL_TIMEOUT
/// then, also after atoll_log_interrupt(). What is given may not be durable yet: a power cut can take it back. ATOLL_E_CLOSED
/// once the store has been closed, also for a call that is waiting. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_log_next(
    reader: *mut atoll_log_reader,
    max_bytes: usize,
    timeout_ms: i64,
    records: *mut atoll_bytes,
    first_lsn: *mut u64,
    next_lsn: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (reader, records) = unsafe { (handle("reader", reader)?, out("records", records)?) };
        *records = atoll_bytes::EMPTY;
        let mut state = exclusive("log reader", &reader.state)?;
        let until = u64::try_from(timeout_ms)
            .ok()
            .and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
        loop {
            // Silenced first: what comes from here on rings again.
            reader.bell.silence();
            match reader.take(&mut state, max_bytes, (first_lsn, next_lsn)) {
                Ok(true) => {
                    *records = atoll_bytes::of(&state.frame);
                    return Ok(ATOLL_OK);
                }
                Ok(false) => {}
                Err(failure) => {
                    // There is still something to say.
                    reader.bell.ring();
                    return Err(failure);
                }
            }
            if reader.bell.interrupted.swap(false, Ordering::AcqRel) {
                return Ok(ATOLL_TIMEOUT);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(ATOLL_TIMEOUT);
            }
            reader.bell.wait(left);
        }
    })
}

impl atoll_log_reader {
    /// Whether there was something. The bell rings afterwards if there is still more, or will when it comes.
    fn take(
        &self,
        state: &mut State,
        max_bytes: usize,
        (first, next): (*mut u64, *mut u64),
    ) -> Result<bool, Failure> {
        // Borrowed for this step only: closing waits for whoever borrows.
        let _engine = self.db.engine()?;
        let chunk = state.subscription.read(max_bytes)?;
        let found = !chunk.bytes.is_empty();
        if found {
            state.frame = state.subscription.frame(&chunk)?;
            // SAFETY: the contract of the header: NULL, or writable.
            unsafe {
                if let Some(first) = first.as_mut() {
                    *first = chunk.from.0;
                }
                if let Some(next) = next.as_mut() {
                    *next = chunk.end().0;
                }
            }
        }
        if !state.subscription.wait_for_more()? {
            self.bell.ring();
        }
        Ok(found)
    }
}

/// Returns a descriptor that poll, epoll or an event loop shows as readable when atoll_log_next() has something to give, or
/// to say; -1 for NULL.
///
/// It belongs to the reader: do not read, write or close it. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_log_fd(reader: *const atoll_log_reader) -> i32 {
    guard(-1, || {
        // SAFETY: the contract of the header.
        unsafe { reader.as_ref() }.map_or(-1, |reader| reader.bell.event.as_raw_fd())
    })
}

/// Ends an atoll_log_next() that is waiting with ATOLL_TIMEOUT, or the next one that would wait. NULL is allowed.
///
/// Any thread, as long as the reader has not been freed.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_log_interrupt(reader: *const atoll_log_reader) {
    guard((), || {
        // SAFETY: the contract of the header.
        if let Some(reader) = unsafe { reader.as_ref() } {
            reader.bell.interrupted.store(true, Ordering::Release);
            reader.bell.ring();
        }
    });
}

/// Ends a reader and lets the log go. NULL is allowed; its descriptor and what it has lent must not be used any more.
///
/// Any thread, also after the store has been closed and freed.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_log_free(reader: *mut atoll_log_reader) {
    // SAFETY: the contract of the header.
    unsafe { free(reader) }
}

/// Applies a frame of another store's log to `replica`, which atoll_db_open_replica() has opened.
///
/// A frame may come twice, or overlap with others: what is there already is passed over. `*applied_lsn` may be NULL; it is
/// set to the position the copy has got to, which is where its source goes on. Not durable before atoll_sync().
/// ATOLL_E_INVALID if something before the frame is missing, or it is of another kind of store; ATOLL_E_CORRUPT for bytes
/// that are no sound frame; ATOLL_E_STALE_EPOCH if the copy has gone on by itself. Nothing of a refused frame is applied.
/// ATOLL_E_DISK_FULL may leave its first records applied: give it again once there is space.
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_log_apply(
    replica: *mut atoll_db,
    records: *const c_void,
    len: usize,
    applied_lsn: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (replica, frame) = unsafe { (handle("replica", replica)?, slice("records", records, len)?) };
        let applied = replica.engine()?.writer()?.apply_frame(frame)?;
        // SAFETY: the contract of the header.
        if let Some(out) = unsafe { applied_lsn.as_mut() } {
            *out = applied.0;
        }
        Ok(ATOLL_OK)
    })
}

/// Where atoll_log_entry_next() is in a frame. All zeros at its beginning.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_log_cursor {
    /// Offset of the next record.
    pub at: u64,
    /// End of the batch it belongs to.
    pub batch_end: u64,
}

/// One write, as a log has it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_log_entry {
    /// The key.
    pub key: atoll_bytes,
    /// The value; empty for a deletion.
    pub value: atoll_bytes,
    /// Its position.
    pub lsn: u64,
    /// Stamp of the write: a hybrid logical clock.
    pub hlc: u64,
    /// The value is gone at this time, in milliseconds since 1970; 0: it stays.
    pub expires_at_ms: u64,
    /// ATOLL_LOG_PUT or ATOLL_LOG_DELETE. Later versions may add kinds: pass over those that you do not know.
    pub kind: u32,
    /// ATOLL_LOG_MORE_IN_BATCH.
    pub flags: u32,
}

/// Gives the next write in a frame; ATOLL_END behind the last one.
///
/// `records` is a frame from atoll_log_next(), wherever it has been since. Its views point into the frame. `cursor` starts as
/// all zeros. ATOLL_E_CORRUPT for bytes that are no sound frame. ATOLL_E_UNSUPPORTED where pairs were loaded in bulk, which
/// are not in the log: the cursor stands behind that place. Any thread; nothing but the arguments is used.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_log_entry_next(
    records: *const c_void,
    len: usize,
    cursor: *mut atoll_log_cursor,
    entry: *mut atoll_log_entry,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (frame, cursor, entry) = unsafe {
            (
                slice("records", records, len)?,
                out("cursor", cursor)?,
                out("entry", entry)?,
            )
        };
        let mut place = FrameCursor {
            at: cursor.at,
            batch_end: cursor.batch_end,
        };
        let found = Frame::parse(frame).and_then(|frame| frame.next(&mut place));
        (cursor.at, cursor.batch_end) = (place.at, place.batch_end);
        let Some(found) = found? else {
            return Ok(ATOLL_END);
        };
        *entry = atoll_log_entry {
            key: atoll_bytes::of(found.key),
            value: found.value.map_or(atoll_bytes::EMPTY, atoll_bytes::of),
            lsn: found.lsn.0,
            hlc: found.hlc.0,
            expires_at_ms: found.expires_at_ms.unwrap_or(0),
            kind: if found.value.is_some() {
                ATOLL_LOG_PUT
            } else {
                ATOLL_LOG_DELETE
            },
            flags: if found.more_in_batch {
                ATOLL_LOG_MORE_IN_BATCH
            } else {
                0
            },
        };
        Ok(ATOLL_OK)
    })
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Failure {
        let status = match &error {
            FrameError::Version { .. } | FrameError::Ingested { .. } => ATOLL_E_UNSUPPORTED,
            _ => ATOLL_E_CORRUPT,
        };
        Failure::new(status, error.to_string())
    }
}
