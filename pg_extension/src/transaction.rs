//! The local transaction on other servers: begin, savepoints, commit in one or two phases, recovery.
//!
//! In: PostgreSQL's calls at the ends of transactions and subtransactions. Out: the same end on every
//! server that took part. Must never: raise after the local commit or while aborting; commit on one server
//! what another may still refuse.
//!
//! A transaction that changed one server and nothing here commits there directly. Any other prepares on
//! every server first, and its identifier stands in `atoll.transaction` in the same local transaction: the
//! local commit decides. `recover.rs` finishes what a crash or a lost connection left prepared, `worker.rs`
//! by itself.

#![expect(unsafe_code, reason = "registers callbacks of the transaction manager")]

mod gid;
mod recover;
mod worker;

use std::cell::Cell;
use std::ffi::CString;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pgrx::{PgSqlErrorCode, pg_guard, pg_sys};

use crate::error::raise;
use crate::remote::connection::Patience;
use crate::remote::nodes::Node;
use crate::remote::{Connection, Trouble, pool, warn};
use gid::Gid;
pub(crate) use worker::start as start_worker;

/// How long the end of a transaction waits for all servers together once it can no longer fail.
const END_TIME: Duration = Duration::from_secs(10);

thread_local! {
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

fn register() {
    if !REGISTERED.replace(true) {
        // SAFETY: the callbacks stay loaded as long as the backend.
        unsafe {
            pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(at_subtransaction), std::ptr::null_mut());
        }
    }
}

/// Takes note of a session that is used, so that the transaction's end cleans up behind it.
pub(crate) fn watch() {
    register();
}

/// What must be sent to bring a session into the local transaction at its nesting, and takes note of it as
/// sent. Raises if that cannot be.
pub(crate) fn opening(session: &Connection) -> String {
    register();
    if session.broken.get() || (session.depth.get() > 0 && !session.in_sound_transaction()) {
        raise(
            PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
            format!("the transaction on node \"{}\" was lost", session.node.name),
        );
    }
    let mut sql = String::new();
    if session.depth.get() == 0 {
        // SAFETY: reads variables of the backend's thread.
        let (level, read_only) = unsafe { (pg_sys::XactIsoLevel as u32, pg_sys::XactReadOnly) };
        sql.push_str(match level {
            pg_sys::XACT_SERIALIZABLE => raise(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "SERIALIZABLE is not kept over several servers: use REPEATABLE READ or READ COMMITTED",
            ),
            pg_sys::XACT_REPEATABLE_READ => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            _ => "BEGIN ISOLATION LEVEL READ COMMITTED",
        });
        sql.push_str(if read_only { " READ ONLY;" } else { " READ WRITE;" });
        session.depth.set(1);
    }
    // SAFETY: reads the backend's state.
    let depth = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    while session.depth.get() < depth {
        session.depth.set(session.depth.get() + 1);
        sql.push_str(&format!("SAVEPOINT s{};", session.depth.get()));
    }
    sql
}

/// The session of a node in the local transaction, with nothing running on it: statements sent on it end
/// with the transaction. `writes` makes it count at commit.
pub(crate) fn session(node: &Rc<Node>, user: pg_sys::Oid, writes: bool) -> Rc<Connection> {
    join(pool::idle_writer(node, user), writes)
}

/// The same for rows that were put aside.
pub(crate) fn session_for_copy(node: &Rc<Node>, user: pg_sys::Oid) -> Rc<Connection> {
    join(pool::copy_writer(node, user), true)
}

fn join(session: Rc<Connection>, writes: bool) -> Rc<Connection> {
    let sql = opening(&session);
    if !sql.is_empty()
        && let Err(trouble) = session.run(&command(&sql), Patience::Interruptible)
    {
        trouble.raise(&sql);
    }
    if writes {
        session.wrote.set(true);
    }
    session
}

fn command(sql: &str) -> CString {
    // Built here of numbers and names that hold no zero.
    CString::new(sql).unwrap_or_default()
}

/// Sends to all, then waits for all; gives each outcome.
fn together(
    sessions: &[Rc<Connection>],
    patience: Patience,
    sql: impl Fn(&Connection) -> String,
) -> Vec<(Rc<Connection>, Result<(), Trouble>)> {
    let sent: Vec<_> = sessions
        .iter()
        .map(|session| session.send(&command(&sql(session))))
        .collect();
    let finish = |(session, sent): (&Rc<Connection>, Result<(), Trouble>)| {
        let outcome = sent.and_then(|()| session.finish(patience).map(drop));
        (Rc::clone(session), outcome)
    };
    sessions.iter().zip(sent).map(finish).collect()
}

fn participants() -> Vec<Rc<Connection>> {
    pool::sessions()
        .into_iter()
        .filter(|session| session.depth.get() > 0)
        .collect()
}

#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _argument: *mut std::ffi::c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT | pg_sys::XactEvent::XACT_EVENT_PARALLEL_PRE_COMMIT => {
            before_commit();
            crate::store::session::before_commit();
        }
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE if !participants().is_empty() => raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "PREPARE TRANSACTION is not possible after using distributed tables",
        ),
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => crate::store::session::before_prepare(),
        pg_sys::XactEvent::XACT_EVENT_COMMIT | pg_sys::XactEvent::XACT_EVENT_PARALLEL_COMMIT => {
            end_prepared("COMMIT PREPARED");
            clean_up();
        }
        pg_sys::XactEvent::XACT_EVENT_ABORT | pg_sys::XactEvent::XACT_EVENT_PARALLEL_ABORT => {
            abort();
            clean_up();
        }
        _ => {}
    }
}

fn before_commit() {
    let sessions = participants();
    for session in &sessions {
        pool::make_idle(session);
        if session.broken.get() || !session.in_sound_transaction() {
            raise(
                PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
                format!("the transaction on node \"{}\" was lost", session.node.name),
            );
        }
    }
    let (writers, readers): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|session| session.wrote.get());
    // SAFETY: reads the backend's state; an identifier is assigned by the first local change.
    let local = unsafe { pg_sys::GetTopTransactionIdIfAny() } != pg_sys::TransactionId::from(0)
        || crate::store::session::is_pending();
    if writers.len() + usize::from(local) >= 2 {
        prepare(&writers);
        commit(&readers);
    } else {
        commit(&readers);
        commit(&writers);
    }
}

/// One phase.
fn commit(sessions: &[Rc<Connection>]) {
    for (session, outcome) in together(sessions, Patience::Interruptible, |_| "COMMIT".to_owned()) {
        if let Err(trouble) = outcome {
            trouble.raise("COMMIT");
        }
        session.depth.set(0);
        session.wrote.set(false);
    }
}

fn prepare(sessions: &[Rc<Connection>]) {
    if sessions.is_empty() {
        return;
    }
    let gid = Gid::of_this_transaction();
    recover::note(&gid, sessions);
    for session in sessions {
        // Noted before it is sent: an abort from here on must think of it.
        *session.gid.borrow_mut() = Some(gid.on(session.node.id));
    }
    let sql = |session: &Connection| format!("PREPARE TRANSACTION '{}'", gid.on(session.node.id));
    for (_, outcome) in together(sessions, Patience::Interruptible, sql) {
        if let Err(trouble) = outcome {
            trouble.raise("PREPARE TRANSACTION");
        }
    }
    // The decision must not be lost in a crash after the first server was told of it.
    // SAFETY: sets a flag of the running transaction.
    unsafe { pg_sys::ForceSyncCommit() };
}

/// Ends what was prepared. What does not answer is left to recovery.
fn end_prepared(how: &str) {
    let sessions: Vec<_> = pool::sessions()
        .into_iter()
        .filter(|session| session.gid.borrow().is_some())
        .collect();
    let until = Patience::Until(Instant::now() + END_TIME);
    let sql =
        |session: &Connection| format!("{how} '{}'", session.gid.borrow().as_deref().unwrap_or_default());
    for (session, outcome) in together(&sessions, until, sql) {
        // Recovery may have been faster.
        if let Err(trouble) = outcome
            && !trouble.is_missing()
        {
            session.broken.set(true);
            warn(format!(
                "{}; atoll.recover_transactions() will finish its prepared transaction",
                trouble.summary()
            ));
        }
        session.gid.replace(None);
        session.depth.set(0);
        session.wrote.set(false);
    }
}

fn abort() {
    stop_all(&pool::sessions());
    // A session that is still in its transaction was not prepared, or its PREPARE failed.
    for session in participants() {
        if session.gid.borrow().is_some()
            && (session.broken.get() || !session.is_outside_transaction() || session.depth.get() == 0)
        {
            session.gid.replace(None);
        }
    }
    let (prepared, open): (Vec<_>, Vec<_>) = participants()
        .into_iter()
        .partition(|session| session.gid.borrow().is_some());
    if !prepared.is_empty() {
        // A PREPARE that failed has ended its transaction too: nothing is there then.
        let until = Patience::Until(Instant::now() + END_TIME);
        let sql = |session: &Connection| {
            format!(
                "ROLLBACK PREPARED '{}'",
                session.gid.borrow().as_deref().unwrap_or_default()
            )
        };
        for (session, outcome) in together(&prepared, until, sql) {
            if matches!(
                outcome,
                Err(Trouble::Lost { .. } | Trouble::Silent { .. } | Trouble::Unreachable { .. })
            ) {
                session.broken.set(true);
            }
            session.gid.replace(None);
        }
    }
    let open: Vec<_> = open.into_iter().filter(|session| !session.broken.get()).collect();
    let until = Patience::Until(Instant::now() + END_TIME);
    for (session, outcome) in together(&open, until, |_| "ROLLBACK".to_owned()) {
        if outcome.is_err() {
            session.broken.set(true);
        }
    }
    for session in participants() {
        session.depth.set(0);
        session.wrote.set(false);
    }
}

fn stop_all(sessions: &[Rc<Connection>]) {
    Connection::stop_all(sessions.iter().map(Rc::as_ref));
}

fn clean_up() {
    stop_all(&pool::sessions());
    for session in pool::sessions() {
        if !session.broken.get() && !session.is_outside_transaction() {
            session.broken.set(true);
        }
    }
    pool::sweep();
    pool::give_back();
    crate::fdw::forget();
    crate::catalog::stop_changing(0);
    crate::store::session::forget();
}

#[pg_guard]
unsafe extern "C-unwind" fn at_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    _id: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut std::ffi::c_void,
) {
    // SAFETY: reads the backend's state.
    let depth = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => {
            crate::store::session::end_subtransaction(depth, true);
        }
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => {
            crate::store::session::end_subtransaction(depth, false);
        }
        _ => {}
    }
    let sessions: Vec<_> = participants()
        .into_iter()
        .filter(|session| session.depth.get() >= depth)
        .collect();
    match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_PRE_COMMIT_SUB => {
            sessions.iter().for_each(pool::make_idle);
            for (session, outcome) in together(&sessions, Patience::Interruptible, |_| {
                format!("RELEASE SAVEPOINT s{depth}")
            }) {
                if let Err(trouble) = outcome {
                    trouble.raise("RELEASE SAVEPOINT");
                }
                session.depth.set(depth - 1);
            }
        }
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => {
            crate::fdw::forget_rows(depth);
            crate::catalog::stop_changing(depth);
            stop_all(&sessions);
            let sound: Vec<_> = sessions
                .iter()
                .filter(|session| !session.broken.get())
                .map(Rc::clone)
                .collect();
            let until = Patience::Until(Instant::now() + END_TIME);
            let sql = |_: &Connection| format!("ROLLBACK TO SAVEPOINT s{depth}; RELEASE SAVEPOINT s{depth}");
            for (session, outcome) in together(&sound, until, sql) {
                // A broken session fails at the next statement, and the transaction with it.
                if outcome.is_err() {
                    session.broken.set(true);
                }
            }
            sessions.iter().for_each(|session| session.depth.set(depth - 1));
        }
        _ => {}
    }
}
