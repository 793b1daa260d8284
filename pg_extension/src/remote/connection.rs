//! One session on another server.
//!
//! In: statements. Out: answers in the order of the statements. Must never: raise an SQL error itself
//! (interrupts excepted, and only in the functions that say so), or wait beyond its time.
//!
//! Waiting goes by `Patience`: with `Interruptible` the backend's latch is watched, so that a cancelled
//! query or a dying postmaster ends it; with `Until` nothing is raised, for the end of transactions.

#![expect(unsafe_code, reason = "waits on the backend's latch and counts its sockets")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::rc::{Rc, Weak};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pgrx::pg_sys;

use super::error::Trouble;
use super::libpq::{Answer, Opening, RawConnection, Session, Status, parse_conninfo};
use super::nodes::Node;
use super::stream::Stream;

/// For how long a connection may take to open, unless its connection string has a `connect_timeout`.
const CONNECT_SECONDS: u64 = 5;
/// For how long the end of a transaction waits for a cancelled statement.
const CANCEL_TIME: Duration = Duration::from_millis(2000);

/// Statements that a session keeps prepared; one more, and all are forgotten.
const MOST_STATEMENTS: usize = 256;

/// How long, and how, to wait.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// As long as it takes; a cancellation of the local query raises.
    Interruptible,
    /// Until then; raises nothing.
    Until(Instant),
}

/// Counts a socket among the backend's files as long as it lives.
struct SocketSlot;

impl SocketSlot {
    fn take() -> Option<Self> {
        // SAFETY: on the backend's thread; raises nothing.
        unsafe { pg_sys::AcquireExternalFD() }.then_some(Self)
    }
}

impl Drop for SocketSlot {
    fn drop(&mut self) {
        // SAFETY: taken once in `take`.
        unsafe { pg_sys::ReleaseExternalFD() }
    }
}

/// A session on a node, as a role of this server. Closed when dropped.
pub(crate) struct Connection {
    raw: RawConnection,
    /// The server it leads to.
    pub(crate) node: Rc<Node>,
    /// The local role whose user mapping it was opened with.
    pub(crate) user: pg_sys::Oid,
    /// Nesting of its transaction, 0 without one; above 1, savepoints `s2`, `s3`, ... are set.
    pub(crate) depth: Cell<i32>,
    /// True when its transaction has changed something.
    pub(crate) wrote: Cell<bool>,
    /// The identifier under which its transaction was prepared.
    pub(crate) gid: RefCell<Option<String>>,
    /// True when the catalog or the mapping changed after it was opened: it ends with the transaction.
    pub(crate) expired: Cell<bool>,
    /// True when it must not be used again.
    pub(crate) broken: Cell<bool>,
    running: RefCell<Weak<RefCell<Stream>>>,
    busy: Cell<bool>,
    statements: RefCell<HashMap<CString, CString>>,
    _socket: SocketSlot,
}

impl Connection {
    /// Connects. `login` holds user and password of the user mapping, and wins over the connection string.
    ///
    /// Raises when the local query is cancelled.
    pub(crate) fn open(
        node: Rc<Node>,
        user: pg_sys::Oid,
        login: &[(CString, CString)],
        password_needed: bool,
    ) -> Result<Self, Trouble> {
        let fail = |reason: &str| Trouble::Unreachable {
            node: node.name.clone(),
            reason: reason.to_owned(),
        };
        let given = CString::new(node.conninfo.as_str()).unwrap_or_default();
        // The message of libpq quotes the string, which may hold a password.
        let given = parse_conninfo(&given).map_err(|_| fail("its connection string cannot be read"))?;
        let seconds = given
            .iter()
            .find(|(key, _)| key.as_c_str() == c"connect_timeout")
            .and_then(|(_, value)| value.to_str().ok()?.parse().ok())
            .filter(|&seconds: &u64| seconds > 0)
            .unwrap_or(CONNECT_SECONDS);
        let mut settings: Vec<(CString, CString)> = [
            (c"keepalives_idle", c"10"),
            (c"keepalives_interval", c"5"),
            (c"keepalives_count", c"3"),
            (c"fallback_application_name", c"atoll"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        settings.extend(given);
        settings.extend_from_slice(login);
        // SAFETY: a static string of the server.
        let encoding = unsafe { CStr::from_ptr(pg_sys::GetDatabaseEncodingName()) }.to_owned();
        settings.push((c"client_encoding".to_owned(), encoding));

        let socket = SocketSlot::take().ok_or_else(|| fail("too many open files"))?;
        let raw = RawConnection::start(&settings).ok_or_else(|| fail("out of memory"))?;
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let mut step = Opening::Write;
        loop {
            if raw.start_failed() {
                return Err(Trouble::unreachable(&node.name, &raw.error_message()));
            }
            match step {
                Opening::Done => break,
                Opening::Failed => return Err(Trouble::unreachable(&node.name, &raw.error_message())),
                Opening::Read | Opening::Write => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(fail(&format!("no answer within {seconds} s")));
            }
            if wait_interruptibly(raw.socket(), step == Opening::Write, Some(left)) {
                step = raw.poll();
            }
        }
        if password_needed && !raw.used_password() {
            return Err(fail(
                "a role that is no superuser needs a password, and the node asked for none",
            ));
        }
        raw.prepare_session();
        let connection = Self {
            raw,
            node,
            user,
            depth: Cell::new(0),
            wrote: Cell::new(false),
            gid: RefCell::new(None),
            expired: Cell::new(false),
            broken: Cell::new(false),
            running: RefCell::new(Weak::new()),
            busy: Cell::new(false),
            statements: RefCell::new(HashMap::new()),
            _socket: socket,
        };
        // Values travel as text, so both sides must write and read them alike.
        connection.run(
            c"SET search_path = pg_catalog; SET datestyle = ISO; SET intervalstyle = postgres; \
              SET extra_float_digits = 3; SET timezone = 'UTC'; SET standard_conforming_strings = on",
            Patience::Interruptible,
        )?;
        Ok(connection)
    }

    fn lost(&self) -> Trouble {
        self.broken.set(true);
        Trouble::Lost {
            node: self.node.name.clone(),
        }
    }

    /// True when nothing runs on it and its transaction is as it should be.
    pub(crate) fn is_idle(&self) -> bool {
        !self.busy.get() && !self.broken.get()
    }

    /// True when it still answers, as far as this side knows.
    pub(crate) fn is_alive(&self) -> bool {
        if self.broken.get() || !self.raw.is_good() {
            return false;
        }
        // Nobody has asked it anything: what it says can only be its farewell.
        if !self.busy.get() && ready(self.raw.socket(), false, Duration::ZERO) {
            self.broken.set(true);
        }
        !self.broken.get()
    }

    /// Sends a statement without parameters; several may stand in one string.
    pub(crate) fn send(&self, sql: &CStr) -> Result<(), Trouble> {
        let sent = self.raw.send_simple(sql);
        self.sent(sent)
    }

    /// Sends a statement with parameters.
    pub(crate) fn send_with(&self, sql: &CStr, parameters: &[Option<CString>]) -> Result<(), Trouble> {
        let sent = self.raw.send(sql, parameters);
        self.sent(sent)
    }

    /// Sends a statement that was prepared under this name.
    pub(crate) fn send_prepared(&self, name: &CStr, parameters: &[Option<CString>]) -> Result<(), Trouble> {
        let sent = self.raw.send_prepared(name, parameters);
        self.sent(sent)
    }

    fn sent(&self, sent: bool) -> Result<(), Trouble> {
        if !sent {
            return Err(self.lost());
        }
        self.busy.set(true);
        // What the system does not take now is sent while waiting for the answer.
        self.raw.flush().map(drop).ok_or_else(|| self.lost())
    }

    /// The name under which a statement is prepared on this session; prepares it the first time. Raises when cancelled.
    pub(crate) fn prepared(&self, sql: &CStr) -> Result<CString, Trouble> {
        if let Some(name) = self.statements.borrow().get(sql) {
            return Ok(name.clone());
        }
        if self.statements.borrow().len() >= MOST_STATEMENTS {
            self.run(c"DEALLOCATE ALL", Patience::Interruptible)?;
            self.statements.borrow_mut().clear();
        }
        let name = CString::new(format!("atoll_{}", self.statements.borrow().len())).unwrap_or_default();
        let sent = self.raw.send_prepare(&name, sql);
        self.sent(sent)?;
        self.finish(Patience::Interruptible)?;
        self.statements.borrow_mut().insert(sql.to_owned(), name.clone());
        Ok(name)
    }

    /// The rows of the statement just sent come one by one, and belong to this stream.
    pub(crate) fn stream_to(&self, stream: &Rc<RefCell<Stream>>) {
        self.raw.stream_rows();
        *self.running.borrow_mut() = Rc::downgrade(stream);
    }

    /// The stream whose statement runs here.
    pub(crate) fn running(&self) -> Option<Rc<RefCell<Stream>>> {
        self.running.borrow().upgrade()
    }

    /// True when an answer, or a part of it, waits to be read.
    pub(crate) fn has_input(&self, within: Duration) -> bool {
        !self.raw.is_busy() || ready(self.raw.socket(), false, within)
    }

    /// The next answer; `None` after the last one, and the session is free. An error of the server is an
    /// answer too.
    pub(crate) fn answer(&self, patience: Patience) -> Result<Option<Answer>, Trouble> {
        loop {
            let flushed = self.raw.flush().ok_or_else(|| self.lost())?;
            if flushed && !self.raw.is_busy() {
                let answer = self.raw.answer();
                if answer.is_none() {
                    self.busy.set(false);
                    *self.running.borrow_mut() = Weak::new();
                    if !self.raw.is_good() {
                        return Err(self.lost());
                    }
                }
                return Ok(answer);
            }
            self.wait(!flushed, patience)?;
            if !self.raw.consume_input() {
                return Err(self.lost());
            }
        }
    }

    fn wait(&self, write: bool, patience: Patience) -> Result<(), Trouble> {
        match patience {
            Patience::Interruptible => while !wait_interruptibly(self.raw.socket(), write, None) {},
            Patience::Until(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Trouble::Silent {
                        node: self.node.name.clone(),
                    });
                }
                ready(self.raw.socket(), write, left);
            }
        }
        Ok(())
    }

    /// Reads to the end of what was sent; the last good answer.
    ///
    /// # Errors
    /// The first error of the server, read to the end as well: the session is free then.
    pub(crate) fn finish(&self, patience: Patience) -> Result<Option<Answer>, Trouble> {
        let mut last = None;
        let mut trouble = None;
        while let Some(answer) = self.answer(patience)? {
            match answer.status() {
                Status::Failed => trouble = trouble.or_else(|| Some(self.refused(&answer))),
                // Nobody is here to feed or read it, and it does not end by itself.
                Status::CopyIn | Status::CopyOut => return Err(self.lost()),
                Status::Done | Status::Rows | Status::Row => last = Some(answer),
            }
        }
        trouble.map_or(Ok(last), Err)
    }

    /// The error in an answer; a server that ends the session is a lost connection.
    pub(crate) fn refused(&self, answer: &Answer) -> Trouble {
        if !self.raw.is_good() {
            self.broken.set(true);
        }
        let trouble = Trouble::refused(&self.node.name, answer);
        match &trouble {
            // libpq's own report of a broken connection has no SQLSTATE.
            Trouble::Refused(refusal) if refusal.sqlstate.is_empty() => self.lost(),
            _ => trouble,
        }
    }

    /// Sends and waits.
    pub(crate) fn run(&self, sql: &CStr, patience: Patience) -> Result<Option<Answer>, Trouble> {
        self.send(sql)?;
        self.finish(patience)
    }

    /// Copies these rows to the server, and leaves it to `finish` to wait for the answer.
    pub(crate) fn begin_copy(&self, sql: &CStr, rows: &[u8]) -> Result<(), Trouble> {
        self.send(sql)?;
        self.expect_copy()?;
        while !self.raw.put_copy(rows).ok_or_else(|| self.lost())? {
            self.wait(true, Patience::Interruptible)?;
        }
        while !self.raw.end_copy().ok_or_else(|| self.lost())? {
            self.wait(true, Patience::Interruptible)?;
        }
        // What the system does not take now is sent while waiting for the answer.
        self.raw.flush().map(drop).ok_or_else(|| self.lost())
    }

    fn expect_copy(&self) -> Result<(), Trouble> {
        match self.answer(Patience::Interruptible)? {
            Some(answer) if answer.status() == Status::CopyIn => Ok(()),
            Some(answer) if answer.status() == Status::Failed => {
                let trouble = self.refused(&answer);
                self.finish(Patience::Interruptible)?;
                Err(trouble)
            }
            _ => Err(self.lost()),
        }
    }

    /// Stops what runs and reads what is left of it, in a bounded time; raises nothing. A session that does
    /// not come free is broken.
    pub(crate) fn stop(&self) {
        if !self.busy.get() || self.broken.get() {
            return;
        }
        let deadline = Instant::now() + CANCEL_TIME;
        // What is there already needs no cancellation.
        let mut cancelled = false;
        loop {
            let soon = if cancelled {
                deadline
            } else {
                Instant::now() + Duration::from_millis(1)
            };
            match self.answer(Patience::Until(soon)) {
                Ok(None) => return,
                Ok(Some(answer)) if matches!(answer.status(), Status::CopyIn | Status::CopyOut) => break,
                // Rows may come for ever: ask to stop after the first.
                Ok(Some(answer)) if answer.status() != Status::Row || cancelled => {}
                Ok(Some(_)) | Err(Trouble::Silent { .. }) if !cancelled => {
                    if !self.cancel(deadline) {
                        break;
                    }
                    cancelled = true;
                }
                _ => break,
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.broken.set(true);
    }

    /// Asks the server to cancel, from a thread that the deadline can leave behind: opening the connection
    /// that carries the request may hang.
    fn cancel(&self, deadline: Instant) -> bool {
        let Some(key) = self.raw.cancel_key() else {
            return false;
        };
        let (done, wait) = mpsc::channel();
        let blocked = BlockedSignals::new();
        let thread = std::thread::Builder::new().spawn(move || {
            // The receiver may have stopped waiting, which is no concern of this thread.
            let _ = done.send(key.send());
        });
        drop(blocked);
        if thread.is_err() {
            return false;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        wait.recv_timeout(left).unwrap_or(false)
    }

    /// True when the server's transaction is open and sound.
    pub(crate) fn in_sound_transaction(&self) -> bool {
        self.raw.session() == Session::InTransaction
    }

    /// True when the server has no transaction open.
    pub(crate) fn is_outside_transaction(&self) -> bool {
        self.raw.session() == Session::Idle
    }
}

/// Keeps signals away from a thread that is started meanwhile: handlers belong to the backend's thread.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn new() -> Self {
        // SAFETY: both sets are initialised by these calls before they are used.
        unsafe {
            let mut all = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut before);
            Self(before)
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set was filled in `new`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut());
        }
    }
}

/// Waits for the socket, or at most so long; false when something else woke it. Raises on interrupts.
pub(super) fn wait_interruptibly(socket: i32, write: bool, at_most: Option<Duration>) -> bool {
    let mut events = pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH;
    events |= if write {
        pg_sys::WL_SOCKET_WRITEABLE
    } else {
        pg_sys::WL_SOCKET_READABLE
    };
    let mut milliseconds = -1;
    if let Some(at_most) = at_most {
        events |= pg_sys::WL_TIMEOUT;
        milliseconds = at_most.as_millis().clamp(1, 3_600_000) as i64;
    }
    // SAFETY: the backend's own latch, on its thread; the socket is open.
    let woken = unsafe {
        let woken = pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events as i32,
            socket,
            milliseconds,
            pg_sys::PG_WAIT_EXTENSION,
        );
        if woken as u32 & pg_sys::WL_LATCH_SET != 0 {
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
        woken as u32
    };
    pgrx::check_for_interrupts!();
    woken & (pg_sys::WL_SOCKET_READABLE | pg_sys::WL_SOCKET_WRITEABLE) != 0
}

/// Waits for a socket without looking at interrupts.
fn ready(socket: i32, write: bool, at_most: Duration) -> bool {
    let mut poll = libc::pollfd {
        fd: socket,
        events: if write { libc::POLLOUT } else { libc::POLLIN },
        revents: 0,
    };
    let milliseconds = at_most.as_micros().div_ceil(1000).min(60_000) as i32;
    // SAFETY: one entry, which outlives the call.
    unsafe { libc::poll(&mut poll, 1, milliseconds) > 0 }
}
