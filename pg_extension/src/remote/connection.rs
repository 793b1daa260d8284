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
use super::quota::{self, Place};
use super::stream::Stream;

/// For how long a connection may take to open, unless its connection string has a `connect_timeout`.
const CONNECT_SECONDS: u64 = 5;
/// For how long the end of a transaction waits for a cancelled statement.
const CANCEL_TIME: Duration = Duration::from_millis(2000);
/// For how long the places of sessions that end stay taken while their processes on the nodes have not.
const END_TIME: Duration = Duration::from_millis(500);

/// Statements that a session keeps prepared; one more, and all are forgotten.
const MOST_STATEMENTS: usize = 256;

/// Of those with types, by the router path.
const MOST_OFTEN: usize = 1024;

/// A statement that was sent.
struct Often {
    types: Vec<u32>,
    /// Its name, once it is prepared.
    name: Option<CString>,
}

/// The statements that may come again.
#[derive(Default)]
struct OftenSent {
    texts: HashMap<CString, Often>,
    prepared: usize,
    /// How many were not prepared because too many are.
    missed: usize,
    /// Names that were ever given: one that was interrupted may exist there.
    names: u64,
}

/// How long, and how, to wait.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// As long as it takes; a cancellation of the local query raises.
    Interruptible,
    /// Until then; raises nothing.
    Until(Instant),
    /// As long as it takes, and not much longer after a cancellation, which is passed on; raises nothing.
    Committing,
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
    often: RefCell<OftenSent>,
    /// True while a pipeline's answers are read.
    pipeline: Cell<bool>,
    /// Until when a cancelled statement that commits is waited for.
    cancelled: Cell<Option<Instant>>,
    _socket: SocketSlot,
    // Behind `raw`: given back once it is closed.
    _place: Place,
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
        place: Place,
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
            often: RefCell::new(OftenSent::default()),
            pipeline: Cell::new(false),
            cancelled: Cell::new(None),
            _socket: socket,
            _place: place,
        };
        // Values travel as text, so both sides must write and read them alike.
        connection.run(
            c"SET search_path = pg_catalog; SET datestyle = ISO; SET intervalstyle = postgres; \
              SET extra_float_digits = 3; SET timezone = 'UTC'; SET standard_conforming_strings = on; \
              SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off",
            Patience::Interruptible,
        )?;
        Ok(connection)
    }

    /// Ends sessions on their nodes, so that whoever gets their places finds these free there as well. What still runs
    /// something is not waited for, and what does not end in `END_TIME` is given up. Raises nothing.
    pub(super) fn end(sessions: &[Rc<Self>]) {
        let ending: Vec<_> = sessions.iter().filter(|session| session.can_end()).collect();
        ending.iter().for_each(|session| session.raw.hang_up());
        let deadline = Instant::now() + END_TIME;
        for session in ending {
            session.raw.wait_for_end(deadline);
            session.broken.set(true);
        }
    }

    fn can_end(&self) -> bool {
        self.is_idle() && self.raw.is_good() && quota::is_bounded()
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
            self.forget_statements()?;
        }
        let name = CString::new(format!("atoll_{}", self.statements.borrow().len())).unwrap_or_default();
        let sent = self.raw.send_prepare(&name, sql, &[]);
        self.sent(sent)?;
        self.finish(Patience::Interruptible)?;
        self.statements.borrow_mut().insert(sql.to_owned(), name.clone());
        Ok(name)
    }

    fn forget_statements(&self) -> Result<(), Trouble> {
        self.run(c"DEALLOCATE ALL", Patience::Interruptible)?;
        self.statements.borrow_mut().clear();
        let mut often = self.often.borrow_mut();
        often.texts.clear();
        (often.prepared, often.missed) = (0, 0);
        Ok(())
    }

    /// The name of a statement that comes often: prepares it the second time. Raises when cancelled.
    fn prepared_if_often(&self, sql: &CStr, types: &[u32]) -> Result<Option<CString>, Trouble> {
        let prepared = {
            let mut often = self.often.borrow_mut();
            match often.texts.get(sql) {
                Some(known) if known.types != types => return Ok(None),
                Some(known) if known.name.is_some() => return Ok(known.name.clone()),
                Some(_) => {}
                None => {
                    // Nothing that came once is missed.
                    if often.texts.len() >= 2 * MOST_OFTEN {
                        often.texts.retain(|_, known| known.name.is_some());
                    }
                    let known = Often {
                        types: types.to_owned(),
                        name: None,
                    };
                    often.texts.insert(sql.to_owned(), known);
                    return Ok(None);
                }
            }
            if often.prepared >= MOST_OFTEN {
                // They go as they are until it is clear that others are wanted now.
                often.missed += 1;
                if often.missed < MOST_OFTEN {
                    return Ok(None);
                }
            }
            often.prepared
        };
        if prepared >= MOST_OFTEN {
            self.forget_statements()?;
        }
        let name = {
            let mut often = self.often.borrow_mut();
            often.names += 1;
            CString::new(format!("atoll_often_{}", often.names)).unwrap_or_default()
        };
        let sent = self.raw.send_prepare(&name, sql, types);
        self.sent(sent)?;
        self.finish(Patience::Interruptible)?;
        let mut often = self.often.borrow_mut();
        often.prepared += 1;
        let known = Often {
            types: types.to_owned(),
            name: Some(name.clone()),
        };
        often.texts.insert(sql.to_owned(), known);
        Ok(Some(name))
    }

    /// Sends a statement that may come again, with the types of its parameters. Raises when cancelled.
    pub(crate) fn send_often(
        &self,
        sql: &CStr,
        types: &[pg_sys::Oid],
        parameters: &[Option<CString>],
    ) -> Result<(), Trouble> {
        let types: Vec<u32> = types.iter().map(|&type_| u32::from(type_)).collect();
        let name = self.prepared_if_often(sql, &types)?;
        let sent = match name {
            Some(name) => self.raw.send_prepared(&name, parameters),
            None => self.raw.send_typed(sql, &types, parameters),
        };
        self.sent(sent)
    }

    /// The same behind the commands that open its transaction, in one message. Raises when cancelled.
    pub(crate) fn send_behind(
        &self,
        opening: &str,
        sql: &CStr,
        types: &[pg_sys::Oid],
        parameters: &[Option<CString>],
    ) -> Result<(), Trouble> {
        if opening.is_empty() {
            return self.send_often(sql, types, parameters);
        }
        let types: Vec<u32> = types.iter().map(|&type_| u32::from(type_)).collect();
        let name = self.prepared_if_often(sql, &types)?;
        if !self.raw.begin_pipeline() {
            return Err(self.lost());
        }
        self.pipeline.set(true);
        let opened = opening
            .split(';')
            .filter(|command| !command.is_empty())
            .all(|command| {
                // Built of numbers and words: no zero.
                self.raw
                    .send_typed(&CString::new(command).unwrap_or_default(), &[], &[])
            });
        let sent = opened
            && match name {
                Some(name) => self.raw.send_prepared(&name, parameters),
                None => self.raw.send_typed(sql, &types, parameters),
            }
            && self.raw.end_pipeline();
        self.sent(sent)
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
                if self.pipeline.get() {
                    match answer.as_ref().map(Answer::status) {
                        Some(Status::Synced) => {
                            self.pipeline.set(false);
                            if !self.raw.leave_pipeline() {
                                return Err(self.lost());
                            }
                            self.busy.set(false);
                            return Ok(None);
                        }
                        // The end of one statement of several.
                        None if self.raw.is_good() => continue,
                        Some(Status::Skipped) => continue,
                        _ => {}
                    }
                }
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
            Patience::Committing => {
                if let Some(deadline) = self.cancelled.get() {
                    return self.wait(write, Patience::Until(deadline));
                }
                wait_interruptibly(self.raw.socket(), write, None);
                // SAFETY: reads flags that handlers of signals set.
                if unsafe { pg_sys::QueryCancelPending != 0 || pg_sys::ProcDiePending != 0 } {
                    let deadline = Instant::now() + CANCEL_TIME;
                    self.cancelled.set(Some(deadline));
                    if let Some(asked) = self.ask_to_cancel() {
                        // Whether it was heard shows in the answer.
                        let _ = asked.recv_timeout(CANCEL_TIME);
                    }
                }
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
                // Of a pipeline, `answer` reads these itself.
                Status::Synced | Status::Skipped => {}
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

    /// As `finish`, for a statement that commits there: a cancellation asks the node to stop, and its answer counts,
    /// so that what was committed is not reported as an error.
    ///
    /// # Errors
    /// Also when the node was lost, or did not answer in time, and nobody knows what became of the statement.
    pub(crate) fn finish_committed(&self) -> Result<Option<Answer>, Trouble> {
        self.cancelled.set(None);
        let finished = {
            let _held = HeldInterrupts::new();
            self.finish(Patience::Committing)
        };
        match finished {
            Ok(answer) => {
                // Too late: the statement is done, as when it ends before the signal comes.
                // SAFETY: as above.
                unsafe { pg_sys::QueryCancelPending = 0 };
                Ok(answer)
            }
            Err(trouble @ Trouble::Refused(_)) => {
                // The cancellation's own words, if it was one.
                pgrx::check_for_interrupts!();
                Err(trouble)
            }
            Err(_) => {
                self.broken.set(true);
                Err(Trouble::InDoubt {
                    node: self.node.name.clone(),
                })
            }
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
        Self::stop_all([self]);
    }

    /// The same for many side by side: a fan-out ends as fast as its slowest server cancels.
    pub(crate) fn stop_all<'a>(sessions: impl IntoIterator<Item = &'a Self>) {
        let deadline = Instant::now() + CANCEL_TIME;
        let runs = |session: &&Self| session.busy.get() && !session.broken.get();
        let asked: Vec<_> = sessions
            .into_iter()
            .filter(runs)
            .filter(|session| session.is_running())
            .map(|session| (session, session.ask_to_cancel()))
            .collect();
        for (session, asked) in asked {
            let left = deadline.saturating_duration_since(Instant::now());
            let cancelled = asked.is_some_and(|done| done.recv_timeout(left).unwrap_or(false));
            if !(cancelled && session.reads_to_end(deadline)) {
                session.broken.set(true);
            }
        }
    }

    /// False when all of the answer is there already, which needs no cancellation, or when it is broken.
    fn is_running(&self) -> bool {
        loop {
            match self.answer(Patience::Until(Instant::now() + Duration::from_millis(1))) {
                Ok(None) => return false,
                Ok(Some(answer)) => match answer.status() {
                    // Rows may come for ever.
                    Status::Row => return true,
                    Status::CopyIn | Status::CopyOut => break,
                    Status::Done | Status::Rows | Status::Synced | Status::Skipped | Status::Failed => {}
                },
                Err(Trouble::Silent { .. }) => return true,
                Err(_) => break,
            }
        }
        self.broken.set(true);
        false
    }

    fn reads_to_end(&self, deadline: Instant) -> bool {
        loop {
            match self.answer(Patience::Until(deadline)) {
                Ok(None) => return true,
                Ok(Some(answer)) if matches!(answer.status(), Status::CopyIn | Status::CopyOut) => {
                    return false;
                }
                Ok(Some(_)) if Instant::now() < deadline => {}
                _ => return false,
            }
        }
    }

    /// Asks the server to cancel, from a thread that the deadline can leave behind: opening the connection
    /// that carries the request may hang.
    fn ask_to_cancel(&self) -> Option<mpsc::Receiver<bool>> {
        let key = self.raw.cancel_key()?;
        let (done, wait) = mpsc::channel();
        let blocked = BlockedSignals::new();
        let thread = std::thread::Builder::new().spawn(move || {
            // The receiver may have stopped waiting, which is no concern of this thread.
            let _ = done.send(key.send());
        });
        drop(blocked);
        thread.is_ok().then_some(wait)
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

impl Drop for Connection {
    fn drop(&mut self) {
        if self.can_end() {
            self.raw.hang_up();
            self.raw.wait_for_end(Instant::now() + END_TIME);
        }
    }
}

/// Keeps interrupts from being raised while it lives.
struct HeldInterrupts;

impl HeldInterrupts {
    fn new() -> Self {
        // SAFETY: a counter of the backend's thread.
        unsafe { pg_sys::InterruptHoldoffCount += 1 };
        Self
    }
}

impl Drop for HeldInterrupts {
    fn drop(&mut self) {
        // An error on its way has set the counter to 0.
        // SAFETY: as above.
        unsafe { pg_sys::InterruptHoldoffCount = pg_sys::InterruptHoldoffCount.saturating_sub(1) };
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
