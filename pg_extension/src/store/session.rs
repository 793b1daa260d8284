//! Stores in the running transaction: opened for reading, seen at one moment, written at its end.
//!
//! In: directories, statements, the ends of transactions and subtransactions. Out: readers, snapshots,
//! pending changes; at commit, one batch in the store. Must never: keep anything open behind the
//! transaction, or start a thread of the engine that could take a signal meant for the backend.
//!
//! Under READ COMMITTED a statement sees the store as it is when it first looks; under REPEATABLE READ all
//! see what the first saw. Writers of this server wait for each other by an advisory lock of the directory;
//! against other processes a commit compares the position of every changed key's version with the one seen.

#![expect(unsafe_code, reason = "asks the transaction manager and the lock manager")]

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use atoll::ids::Lsn;
use atoll::io::Env;
use atoll::store::{
    Compaction, CompactionLimits, Durability, Expires, ReaderOptions, ReaderSnapshot, Store, StoreError,
    StoreOptions, StoreReader, Value, WriteBatch,
};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::pending::{Change, Pending};
use crate::error::{raise, raise_store, raise_with_hint};

/// A store that the transaction reads.
pub(super) struct Opened {
    pub(super) reader: StoreReader,
    /// What every statement sees under REPEATABLE READ.
    kept: RefCell<Option<Rc<ReaderSnapshot>>>,
}

/// One statement's view of a store.
pub(super) struct Statement {
    pub(super) opened: Rc<Opened>,
    path: PathBuf,
    /// Changes of this transaction are seen if an earlier command made them.
    command: u32,
    snapshot: OnceCell<Rc<ReaderSnapshot>>,
}

/// The store that the transaction writes.
struct Writing {
    path: PathBuf,
    pending: Pending,
}

#[derive(Default)]
struct Transaction {
    opened: HashMap<PathBuf, Rc<Opened>>,
    statements: Vec<(usize, Weak<Statement>)>,
    writing: Option<Writing>,
}

thread_local! {
    static TRANSACTION: RefCell<Transaction> = RefCell::default();
    /// Whether the transaction has anything to forget.
    static USED: Cell<bool> = const { Cell::new(false) };
}

/// The store in a directory, opened once for the transaction.
pub(super) fn open(path: &Path) -> Rc<Opened> {
    crate::transaction::watch();
    USED.set(true);
    if let Some(opened) = TRANSACTION.with_borrow(|all| all.opened.get(path).cloned()) {
        return opened;
    }
    let opened = Store::open_reader(&Env::os(), path, &ReaderOptions::default());
    let opened = Rc::new(Opened {
        reader: opened.unwrap_or_else(|error| raise_store(&error)),
        kept: RefCell::default(),
    });
    TRANSACTION.with_borrow_mut(|all| all.opened.insert(path.to_owned(), Rc::clone(&opened)));
    opened
}

/// What a running statement sees of a store; the same for all its scans. The store is first looked at when
/// the statement reads.
///
/// # Safety
/// The executor's state of a statement, alive as long as the result.
pub(super) unsafe fn statement(estate: *const pg_sys::EState, path: &Path) -> Rc<Statement> {
    let opened = open(path);
    // SAFETY: as the caller says.
    let command = unsafe {
        match (*estate).es_snapshot {
            snapshot if snapshot.is_null() => pg_sys::GetCurrentCommandId(false),
            snapshot => (*snapshot).curcid,
        }
    };
    TRANSACTION.with_borrow_mut(|all| {
        all.statements
            .retain(|(_, statement)| statement.strong_count() > 0);
        let known = all.statements.iter().find_map(|(of, statement)| {
            let statement = (*of == estate as usize).then(|| statement.upgrade())??;
            (statement.path == path).then_some(statement)
        });
        known.unwrap_or_else(|| {
            let statement = Rc::new(Statement {
                opened,
                path: path.to_owned(),
                command,
                snapshot: OnceCell::new(),
            });
            all.statements.push((estate as usize, Rc::downgrade(&statement)));
            statement
        })
    })
}

impl Statement {
    /// The store as this statement sees it.
    pub(super) fn snapshot(&self) -> Result<&ReaderSnapshot, StoreError> {
        if let Some(snapshot) = self.snapshot.get() {
            return Ok(snapshot);
        }
        // SAFETY: reads a variable of the backend's thread.
        let repeatable = unsafe { pg_sys::XactIsoLevel as u32 } >= pg_sys::XACT_REPEATABLE_READ;
        let snapshot = match (repeatable, &mut *self.opened.kept.borrow_mut()) {
            (true, Some(kept)) => Rc::clone(kept),
            (true, kept) => Rc::clone(kept.insert(Rc::new(self.opened.reader.snapshot()?))),
            (false, _) => Rc::new(self.opened.reader.snapshot()?),
        };
        Ok(self.snapshot.get_or_init(|| snapshot))
    }

    /// The store's value of a key as this statement sees it. A lone look-up needs no snapshot, and with it no
    /// right to write the file that readers register in.
    pub(super) fn stored(&self, key: &[u8], alone: bool) -> Result<Option<Value>, StoreError> {
        match self.snapshot() {
            Ok(snapshot) => snapshot.get(key),
            Err(StoreError::NoReaderSlot { .. }) if alone => self.opened.reader.get(key),
            Err(error) => Err(error),
        }
    }

    /// What the transaction has made of a key before this statement.
    pub(super) fn own(&self, key: &[u8]) -> Option<Change> {
        with_pending(&self.path, |pending| pending?.get(key, self.command).cloned())
    }

    /// The next change of the transaction between the bounds that this statement sees.
    pub(super) fn own_next(
        &self,
        bounds: (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>),
        reverse: bool,
    ) -> Option<(Vec<u8>, Change)> {
        with_pending(&self.path, |pending| {
            let (key, change) = pending?.next(bounds, reverse, self.command)?;
            Some((key.to_vec(), change.clone()))
        })
    }
}

fn with_pending<R>(path: &Path, with: impl FnOnce(Option<&Pending>) -> R) -> R {
    TRANSACTION.with_borrow(|all| {
        let writing = all.writing.as_ref().filter(|writing| writing.path == path);
        with(writing.map(|writing| &writing.pending))
    })
}

/// Makes this transaction the one of this server that changes the store, waiting for another. Raises when
/// another process has the store open for writing.
pub(super) fn begin_writing(path: &Path) {
    let opened = open(path);
    let other = TRANSACTION.with_borrow_mut(|all| {
        // Changes that a rolled-back savepoint took away do not count.
        all.writing.take_if(|writing| writing.pending.is_empty());
        let writing = all.writing.as_ref().filter(|writing| writing.path != path);
        writing.map(|writing| writing.path.clone())
    });
    if let Some(other) = other {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!(
                "a transaction cannot write two stores: this one has written {}",
                other.display()
            ),
            "Write each store in a transaction of its own.",
        );
    }
    lock(path);
    if opened.reader.is_open() {
        match opened.reader.stats() {
            Ok(stats) => {
                if let Some((pid, host)) = stats.writer {
                    raise_store(&StoreError::Log(atoll::log::LogError::Locked {
                        path: path.to_owned(),
                        pid,
                        host,
                    }));
                }
            }
            Err(error) => raise_store(&error),
        }
    }
    TRANSACTION.with_borrow_mut(|all| {
        all.writing.get_or_insert_with(|| Writing {
            path: path.to_owned(),
            pending: Pending::default(),
        });
    });
}

/// An advisory lock of the directory until the end of the transaction, over all databases of the server.
fn lock(path: &Path) {
    // Another spelling of a directory would be another lock; a commit still compares positions.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let hash = atoll::routing::hash64(real.as_os_str().as_encoded_bytes());
    // Applications' own advisory locks have 1 or 2 in the last field.
    const CLASS: u16 = 0xA701;
    let tag = pg_sys::LOCKTAG {
        locktag_field1: 0,
        locktag_field2: (hash >> 32) as u32,
        locktag_field3: hash as u32,
        locktag_field4: CLASS,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    };
    // SAFETY: the tag is copied; waiting is the lock manager's, with its time limits and deadlock detection.
    unsafe { pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, false, false) };
}

/// What a key holds now: the transaction's own change, or else the store's version with its position.
pub(super) enum Current {
    Own(Change),
    Stored(Option<Value>),
}

/// See [`Current`]. The store is asked for its newest version, not for that of a statement.
pub(super) fn current(path: &Path, key: &[u8]) -> Current {
    if let Some(change) = with_pending(path, |pending| pending?.newest(key).cloned()) {
        return Current::Own(change);
    }
    match open(path).reader.get(key) {
        Ok(found) => Current::Stored(found),
        Err(error) => raise_store(&error),
    }
}

/// Whether a command has changed the key already.
pub(super) fn is_changed_by(path: &Path, key: &[u8], command: u32) -> bool {
    with_pending(path, |pending| {
        pending.is_some_and(|pending| pending.is_changed_by(key, command))
    })
}

/// Notes a change of the running command.
pub(super) fn change(path: &Path, key: Vec<u8>, seen: Option<Lsn>, command: u32, change: Change) {
    // SAFETY: reads the backend's state.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    TRANSACTION.with_borrow_mut(|all| {
        let writing = all.writing.as_mut().filter(|writing| writing.path == path);
        let writing = writing.expect("begin_writing was called for this path");
        writing.pending.put(key, seen, command, level, change);
    });
}

/// Whether the transaction's end has a store to write.
pub(crate) fn is_pending() -> bool {
    USED.get()
        && TRANSACTION.with_borrow(|all| {
            let writing = all.writing.as_ref();
            writing.is_some_and(|writing| !writing.pending.is_empty())
        })
}

/// Writes the store, as the last thing before the local commit.
pub(crate) fn before_commit() {
    if !is_pending() {
        return;
    }
    let writing = TRANSACTION.with_borrow_mut(|all| all.writing.take());
    let Some(writing) = writing else { return };
    if let Err(trouble) = write(&writing) {
        trouble.raise(&writing.path);
    }
}

enum Trouble {
    Store(StoreError),
    Conflict(Vec<u8>),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        Trouble::Store(error)
    }
}

impl Trouble {
    fn raise(self, path: &Path) -> ! {
        match self {
            Trouble::Store(error) => raise_store(&error),
            Trouble::Conflict(key) => raise_with_hint(
                PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
                format!(
                    "key \"{}\" of {} has been written by another process since this transaction read it",
                    key.escape_ascii(),
                    path.display()
                ),
                "Nothing was written. Run the transaction again.",
            ),
        }
    }
}

/// Compacts the store of a foreign server: superseded values give back their space. Returns the bytes of its
/// files before, less those after.
pub(super) fn compact(path: &Path) -> i64 {
    if is_pending() {
        raise(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            "a store cannot be compacted by a transaction that has written it",
        );
    }
    begin_writing(path);
    let compacted = || {
        let _quiet = SignalsBlocked::new();
        let store = open_to_write(path)?;
        let before = store.stats().disk_bytes();
        store.compact(&CompactionLimits::default(), &mut |_| {})?;
        let after = store.stats().disk_bytes();
        store.close()?;
        Ok::<_, StoreError>(before as i64 - after as i64)
    };
    compacted().unwrap_or_else(|error| raise_store(&error))
}

/// Opens a store for writing, with signals blocked.
fn open_to_write(path: &Path) -> Result<Store, StoreError> {
    let options = StoreOptions {
        create: false,
        // Compaction would have to be waited for by every commit: `compact_store` does it.
        compaction: Compaction::Manual,
        sync_interval: None,
        ..StoreOptions::standalone()
    };
    Store::open_standalone(&Env::os(), path, &options)
}

/// The whole life of the open store: its threads start and end in here.
fn write(writing: &Writing) -> Result<(), Trouble> {
    let _quiet = SignalsBlocked::new();
    let store = open_to_write(&writing.path)?;
    let mut batch = WriteBatch::new();
    for (key, seen, change) in writing.pending.last() {
        let found = store.get(key)?.map(|value| value.lsn());
        if found != seen {
            let key = key.to_vec();
            store.close()?;
            return Err(Trouble::Conflict(key));
        }
        match (&change.value, change.expires_at_ms) {
            (Some(value), Some(ms)) => batch.put_expiring(key, &value[..], Expires::AtMs(ms)),
            (Some(value), None) => batch.put(key, &value[..]),
            // Created and taken away by the same transaction: nothing to tell.
            (None, _) if seen.is_none() => {}
            (None, _) => batch.delete(key),
        }
    }
    // SAFETY: reads a setting of the session.
    let patient =
        unsafe { pg_sys::synchronous_commit } > pg_sys::SyncCommitLevel::SYNCHRONOUS_COMMIT_OFF as i32;
    if !batch.is_empty() {
        let durability = if patient {
            Durability::Synced
        } else {
            Durability::Buffered
        };
        store.write(&batch, durability)?;
    }
    store.close()?;
    Ok(())
}

/// Threads inherit the mask of the thread that starts them: those of the engine take no signal, so that
/// PostgreSQL's handlers run on the backend's own thread only.
struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    fn new() -> SignalsBlocked {
        // SAFETY: both sets are local and whole; the mask of this thread alone is changed.
        unsafe {
            let mut all = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            SignalsBlocked(before)
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the mask that was there before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

/// Lets go of everything: the transaction has ended.
pub(crate) fn forget() {
    if USED.replace(false) {
        drop(TRANSACTION.take());
    }
}

/// A subtransaction has become part of the one around it, or has never been.
pub(crate) fn end_subtransaction(level: i32, kept: bool) {
    if !USED.get() {
        return;
    }
    TRANSACTION.with_borrow_mut(|all| {
        if let Some(writing) = &mut all.writing {
            if kept {
                writing.pending.keep(level);
            } else {
                writing.pending.drop_level(level);
            }
        }
    });
}

/// `PREPARE TRANSACTION` would leave the changes in the memory of this session.
pub(crate) fn before_prepare() {
    if is_pending() {
        raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "PREPARE TRANSACTION is not possible after writing a store",
        );
    }
}
