//! The sessions of this backend, kept over transactions.
//!
//! In: a node, a role, and whether a statement must see or make changes of the local transaction. Out: a
//! session to send it on. Must never: hand out a session whose node or mapping has changed since it was
//! opened, outside of a transaction.
//!
//! Of each node, at most one session is in the local transaction: the first that writes or locks there.
//! From then on everything for that node goes through it, so that no statement waits for a lock of its own
//! transaction, or misses its changes. Reads outside of it may use several sessions at a time.

#![expect(unsafe_code, reason = "reads the role and the state of the local transaction")]

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::rc::Rc;

use pgrx::{PgSqlErrorCode, pg_sys};

use super::connection::Connection;
use super::error::Trouble;
use super::nodes::{self, Node};
use super::quota::{self, Place};
use crate::error::raise_with_hint;

/// Sessions to one node that a backend opens for reads side by side.
const READERS: usize = 4;

thread_local! {
    static SESSIONS: RefCell<Vec<Rc<Connection>>> = const { RefCell::new(Vec::new()) };
    static GENERATION: Cell<u64> = const { Cell::new(0) };
}

/// The sessions as they are now.
pub(crate) fn sessions() -> Vec<Rc<Connection>> {
    SESSIONS.with_borrow(Clone::clone)
}

/// Closes what must not be used again. Raises nothing.
pub(crate) fn sweep() {
    let stale = GENERATION.replace(nodes::generation()) != nodes::generation();
    SESSIONS.with_borrow_mut(|sessions| {
        if stale {
            sessions.iter().for_each(|session| session.expired.set(true));
        }
        sessions.retain(|session| {
            session.depth.get() > 0 || !(session.broken.get() || session.expired.get() && session.is_idle())
        });
    });
}

/// At the end of a transaction: closes sessions that others may be waiting for. Raises nothing.
pub(crate) fn give_back() {
    let given = SESSIONS.with_borrow_mut(|sessions| {
        let (kept, given) = sessions.drain(..).partition(|session| {
            session.depth.get() > 0 || !session.is_idle() || !quota::is_scarce(&session.node)
        });
        *sessions = kept;
        given
    });
    let given: Vec<_> = given;
    Connection::end(&given);
}

/// At the end of the backend: ends its sessions on the nodes, before their places are others'. Raises nothing.
pub(super) fn end() {
    Connection::end(&sessions());
}

/// True when statements for this node must go through the session that is in the transaction.
fn in_transaction(node: &Node, user: pg_sys::Oid) -> Option<Rc<Connection>> {
    let session = sessions()
        .into_iter()
        .find(|session| session.node.id == node.id && session.depth.get() > 0)?;
    if session.user != user {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!(
                "node \"{}\" was changed in this transaction as another role",
                node.name
            ),
            "Use one role for all changes of a transaction.",
        );
    }
    Some(session)
}

/// True when reads belong into a transaction from their first statement on.
pub(crate) fn needs_snapshot() -> bool {
    // SAFETY: reads a variable of the backend's thread.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

fn connect(node: &Rc<Node>, user: pg_sys::Oid, patient: bool) -> Result<Rc<Connection>, Trouble> {
    let login = nodes::login(node, user);
    // SAFETY: asks about a role that exists.
    let superuser = unsafe { pg_sys::superuser_arg(user) };
    // Without one, libpq would look for passwords in files and variables of the server's own account.
    let given = |(key, value): &(CString, CString)| key.as_c_str() == c"password" && !value.is_empty();
    if !superuser && !login.iter().any(given) {
        return Err(Trouble::without_password(&node.name));
    }
    let place = Place::take(node, user, patient)?;
    Connection::open(Rc::clone(node), user, &login, !superuser, place).map(Rc::new)
}

/// A new session that nobody else uses, closed when dropped: for work outside of the local transaction.
pub(crate) fn apart(node: &Rc<Node>, user: pg_sys::Oid) -> Result<Rc<Connection>, Trouble> {
    connect(node, user, true)
}

fn open(node: &Rc<Node>, user: pg_sys::Oid) -> Rc<Connection> {
    crate::transaction::watch();
    match connect(node, user, true) {
        Ok(session) => keep(session),
        Err(trouble) => trouble.raise(""),
    }
}

/// One more session, unless the node has as many as it may: who has one already does not wait for another.
fn open_another(node: &Rc<Node>, user: pg_sys::Oid) -> Option<Rc<Connection>> {
    crate::transaction::watch();
    match connect(node, user, false) {
        Ok(session) => Some(keep(session)),
        Err(Trouble::Full { .. }) => None,
        Err(trouble) => trouble.raise(""),
    }
}

fn keep(session: Rc<Connection>) -> Rc<Connection> {
    SESSIONS.with_borrow_mut(|sessions| sessions.push(Rc::clone(&session)));
    session
}

fn of_node(node: &Node, user: pg_sys::Oid) -> Vec<Rc<Connection>> {
    sweep();
    let mut found = sessions();
    found.retain(|session| session.node.id == node.id && session.user == user && session.depth.get() == 0);
    found
}

/// A free session outside of any transaction: one that is there, or a new one if `grow` and there are not
/// too many.
fn free(node: &Rc<Node>, user: pg_sys::Oid, grow: bool) -> Option<Rc<Connection>> {
    let sessions = of_node(node, user);
    if let Some(idle) = sessions
        .iter()
        .find(|session| session.is_idle() && session.is_alive())
    {
        return Some(Rc::clone(idle));
    }
    let alive = of_node(node, user).len();
    match alive {
        0 => Some(open(node, user)),
        _ if grow && alive < READERS => open_another(node, user),
        _ => None,
    }
}

/// A session for a read, if one can be had without disturbing another statement.
pub(crate) fn idle_reader(node: &Rc<Node>, user: pg_sys::Oid, grow: bool) -> Option<Rc<Connection>> {
    crate::fdw::settle_rows();
    if needs_snapshot() || in_transaction(node, user).is_some() {
        let session = writer(node, user);
        return session.is_idle().then_some(session);
    }
    free(node, user, grow)
}

/// A session for a read; what runs on it is put aside.
pub(crate) fn reader(node: &Rc<Node>, user: pg_sys::Oid) -> Rc<Connection> {
    crate::fdw::settle_rows();
    if needs_snapshot() || in_transaction(node, user).is_some() {
        return idle_writer(node, user);
    }
    if let Some(session) = free(node, user, true) {
        return session;
    }
    let session = of_node(node, user)
        .into_iter()
        .next()
        .unwrap_or_else(|| open(node, user));
    make_idle(&session);
    session
}

/// The session of this node that is, or will be, in the local transaction.
fn writer(node: &Rc<Node>, user: pg_sys::Oid) -> Rc<Connection> {
    in_transaction(node, user)
        .or_else(|| free(node, user, true))
        .unwrap_or_else(|| {
            let session = of_node(node, user)
                .into_iter()
                .next()
                .unwrap_or_else(|| open(node, user));
            make_idle(&session);
            session
        })
}

/// The session of this node that is, or will be, in the local transaction, if nothing runs on it.
pub(crate) fn free_writer(node: &Rc<Node>, user: pg_sys::Oid) -> Option<Rc<Connection>> {
    crate::fdw::settle_rows();
    match in_transaction(node, user) {
        Some(session) => session.is_idle().then_some(session),
        None => free(node, user, true),
    }
}

/// As `writer`, with nothing running on it.
pub(crate) fn idle_writer(node: &Rc<Node>, user: pg_sys::Oid) -> Rc<Connection> {
    crate::fdw::settle_rows();
    copy_writer(node, user)
}

/// The same for rows that were put aside: the others of the node are there already.
pub(crate) fn copy_writer(node: &Rc<Node>, user: pg_sys::Oid) -> Rc<Connection> {
    let session = writer(node, user);
    make_idle(&session);
    session
}

/// Puts the rest of a running statement's rows aside.
pub(crate) fn make_idle(session: &Rc<Connection>) {
    if let Some(stream) = session.running() {
        stream.borrow_mut().drain();
    }
    if !session.is_idle() {
        // Left behind by an error that was caught.
        session.stop();
    }
}
