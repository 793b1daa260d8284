//! The part of libpq that is used, and owners for what it allocates.
//!
//! In and out: as libpq's manual says. `RawConnection`, `Answer` and `CancelKey` free what they hold when
//! dropped, also when an SQL error unwinds. Must never: call PostgreSQL, or wait, `wait_for_end` excepted.

#![expect(unsafe_code, reason = "declares and calls libpq")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::ptr::{self, NonNull};
use std::time::Instant;

#[repr(C)]
pub(super) struct PGconn {
    _private: [u8; 0],
}
#[repr(C)]
pub(super) struct PGresult {
    _private: [u8; 0],
}
#[repr(C)]
pub(super) struct PGcancel {
    _private: [u8; 0],
}
#[repr(C)]
struct ConninfoOption {
    keyword: *mut c_char,
    envvar: *mut c_char,
    compiled: *mut c_char,
    val: *mut c_char,
    label: *mut c_char,
    dispchar: *mut c_char,
    dispsize: c_int,
}

unsafe extern "C" {
    fn PQconnectStartParams(
        keywords: *const *const c_char,
        values: *const *const c_char,
        expand: c_int,
    ) -> *mut PGconn;
    fn PQconnectPoll(conn: *mut PGconn) -> c_int;
    fn PQfinish(conn: *mut PGconn);
    fn PQstatus(conn: *const PGconn) -> c_int;
    fn PQsocket(conn: *const PGconn) -> c_int;
    fn PQtransactionStatus(conn: *const PGconn) -> c_int;
    fn PQerrorMessage(conn: *const PGconn) -> *const c_char;
    fn PQconnectionUsedPassword(conn: *const PGconn) -> c_int;
    fn PQsetnonblocking(conn: *mut PGconn, on: c_int) -> c_int;
    fn PQsendQuery(conn: *mut PGconn, sql: *const c_char) -> c_int;
    fn PQsendQueryParams(
        conn: *mut PGconn,
        sql: *const c_char,
        n: c_int,
        types: *const u32,
        values: *const *const c_char,
        lengths: *const c_int,
        formats: *const c_int,
        result_format: c_int,
    ) -> c_int;
    fn PQsendPrepare(
        conn: *mut PGconn,
        name: *const c_char,
        sql: *const c_char,
        n: c_int,
        types: *const u32,
    ) -> c_int;
    fn PQsendQueryPrepared(
        conn: *mut PGconn,
        name: *const c_char,
        n: c_int,
        values: *const *const c_char,
        lengths: *const c_int,
        formats: *const c_int,
        result_format: c_int,
    ) -> c_int;
    fn PQsetSingleRowMode(conn: *mut PGconn) -> c_int;
    fn PQenterPipelineMode(conn: *mut PGconn) -> c_int;
    fn PQexitPipelineMode(conn: *mut PGconn) -> c_int;
    fn PQpipelineSync(conn: *mut PGconn) -> c_int;
    fn PQflush(conn: *mut PGconn) -> c_int;
    fn PQconsumeInput(conn: *mut PGconn) -> c_int;
    fn PQisBusy(conn: *mut PGconn) -> c_int;
    fn PQgetResult(conn: *mut PGconn) -> *mut PGresult;
    fn PQputCopyData(conn: *mut PGconn, buffer: *const c_char, bytes: c_int) -> c_int;
    fn PQputCopyEnd(conn: *mut PGconn, error: *const c_char) -> c_int;
    fn PQfreemem(memory: *mut std::ffi::c_void);
    fn PQresultStatus(result: *const PGresult) -> c_int;
    fn PQresultErrorField(result: *const PGresult, field: c_int) -> *const c_char;
    fn PQntuples(result: *const PGresult) -> c_int;
    fn PQnfields(result: *const PGresult) -> c_int;
    fn PQgetvalue(result: *const PGresult, row: c_int, column: c_int) -> *const c_char;
    fn PQgetlength(result: *const PGresult, row: c_int, column: c_int) -> c_int;
    fn PQgetisnull(result: *const PGresult, row: c_int, column: c_int) -> c_int;
    fn PQcmdTuples(result: *mut PGresult) -> *const c_char;
    fn PQclear(result: *mut PGresult);
    fn PQgetCancel(conn: *mut PGconn) -> *mut PGcancel;
    fn PQcancel(cancel: *mut PGcancel, error: *mut c_char, bytes: c_int) -> c_int;
    fn PQfreeCancel(cancel: *mut PGcancel);
    fn PQconninfoParse(conninfo: *const c_char, error: *mut *mut c_char) -> *mut ConninfoOption;
    fn PQconninfoFree(options: *mut ConninfoOption);
    fn PQsetNoticeReceiver(
        conn: *mut PGconn,
        receiver: extern "C" fn(*mut std::ffi::c_void, *const PGresult),
        argument: *mut std::ffi::c_void,
    ) -> *const std::ffi::c_void;
}

/// What an opening connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Read,
    Write,
    Done,
    Failed,
}

/// What the server answered to one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Done,
    Rows,
    /// One row of many, while they stream.
    Row,
    CopyIn,
    CopyOut,
    /// The end of a pipeline.
    Synced,
    /// A statement of a pipeline behind one that failed.
    Skipped,
    Failed,
}

/// Where a session of the server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    Idle,
    Active,
    InTransaction,
    Failed,
    Unknown,
}

/// The fields of an error report, by their letters in the protocol.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    SqlState = b'C' as isize,
    Message = b'M' as isize,
    Detail = b'D' as isize,
    Hint = b'H' as isize,
    Context = b'W' as isize,
}

fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: libpq's strings end with a zero and live as long as their connection or result, which the
    // caller borrows.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// A connection string taken apart: the settings that it gives.
///
/// # Errors
/// libpq's message about the string, which may quote a part of it.
pub(super) fn parse_conninfo(conninfo: &CStr) -> Result<Vec<(CString, CString)>, String> {
    let mut error = ptr::null_mut();
    // SAFETY: the string ends with a zero; `error` is a place for a pointer.
    let options = unsafe { PQconninfoParse(conninfo.as_ptr(), &mut error) };
    if options.is_null() {
        let message = text(error);
        // SAFETY: libpq allocated the message, or left it null, which it accepts.
        unsafe { PQfreemem(error.cast()) };
        return Err(message);
    }
    let mut settings = Vec::new();
    let mut option = options;
    // SAFETY: the array ends with an entry without a keyword, and every string in it with a zero.
    unsafe {
        while !(*option).keyword.is_null() {
            if !(*option).val.is_null() {
                settings.push((
                    CStr::from_ptr((*option).keyword).to_owned(),
                    CStr::from_ptr((*option).val).to_owned(),
                ));
            }
            option = option.add(1);
        }
        PQconninfoFree(options);
    }
    Ok(settings)
}

/// Drops a notice: those of other servers mean nothing to the client of this one.
extern "C" fn no_notice(_: *mut std::ffi::c_void, _: *const PGresult) {}

/// A connection of libpq, closed when dropped. All calls return at once.
pub(super) struct RawConnection(NonNull<PGconn>);

impl RawConnection {
    /// Begins to connect; `None` when there is no memory. The address of a host name is looked up here.
    pub(super) fn start(settings: &[(CString, CString)]) -> Option<Self> {
        let mut keywords: Vec<_> = settings.iter().map(|(k, _)| k.as_ptr()).collect();
        let mut values: Vec<_> = settings.iter().map(|(_, v)| v.as_ptr()).collect();
        keywords.push(ptr::null());
        values.push(ptr::null());
        // SAFETY: both arrays end with a null pointer and outlive the call, which copies them.
        let connection = unsafe { PQconnectStartParams(keywords.as_ptr(), values.as_ptr(), 0) };
        NonNull::new(connection).map(Self)
    }

    fn raw(&self) -> *mut PGconn {
        self.0.as_ptr()
    }

    pub(super) fn poll(&self) -> Opening {
        // SAFETY: an open connection, as in every method below.
        match unsafe { PQconnectPoll(self.raw()) } {
            1 => Opening::Read,
            2 => Opening::Write,
            3 => Opening::Done,
            _ => Opening::Failed,
        }
    }

    /// Ready to use: sends never wait, notices are dropped.
    pub(super) fn prepare_session(&self) {
        // SAFETY: as above; the receiver uses none of its arguments.
        unsafe {
            PQsetnonblocking(self.raw(), 1);
            PQsetNoticeReceiver(self.raw(), no_notice, ptr::null_mut());
        }
    }

    pub(super) fn is_good(&self) -> bool {
        // SAFETY: as above.
        unsafe { PQstatus(self.raw()) == 0 }
    }

    pub(super) fn start_failed(&self) -> bool {
        // SAFETY: as above.
        unsafe { PQstatus(self.raw()) == 1 }
    }

    pub(super) fn socket(&self) -> c_int {
        // SAFETY: as above.
        unsafe { PQsocket(self.raw()) }
    }

    /// Tells the server that nothing more comes; nothing can be sent afterwards.
    pub(super) fn hang_up(&self) {
        // SAFETY: a socket that is open as long as `self`, or -1, which is refused.
        unsafe { libc::shutdown(self.socket(), libc::SHUT_WR) };
    }

    /// After `hang_up`: waits until the server has closed its side, which it does as the last thing before its process
    /// is gone. False if it has not until then.
    pub(super) fn wait_for_end(&self, deadline: Instant) -> bool {
        let mut rest = [0_u8; 512];
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).as_millis();
            let mut wanted = libc::pollfd {
                fd: self.socket(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one entry; a socket that is not there is an entry that is left out.
            match unsafe { libc::poll(&raw mut wanted, 1, c_int::try_from(left).unwrap_or(c_int::MAX)) } {
                0 => return false,
                found if found < 0 => {
                    if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                        return false;
                    }
                    continue;
                }
                _ => {}
            }
            // SAFETY: the buffer is as long as said.
            let bytes = unsafe {
                libc::recv(
                    wanted.fd,
                    rest.as_mut_ptr().cast(),
                    rest.len(),
                    libc::MSG_DONTWAIT,
                )
            };
            match bytes {
                0 => return true,
                // What was on its way, such as a notice or the end of TLS.
                1.. => {}
                _ => match io::Error::last_os_error().kind() {
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                    // A connection that was reset has no process behind it.
                    _ => return true,
                },
            }
        }
    }

    pub(super) fn session(&self) -> Session {
        // SAFETY: as above.
        match unsafe { PQtransactionStatus(self.raw()) } {
            0 => Session::Idle,
            1 => Session::Active,
            2 => Session::InTransaction,
            3 => Session::Failed,
            _ => Session::Unknown,
        }
    }

    pub(super) fn error_message(&self) -> String {
        // SAFETY: as above.
        text(unsafe { PQerrorMessage(self.raw()) })
    }

    pub(super) fn used_password(&self) -> bool {
        // SAFETY: as above.
        unsafe { PQconnectionUsedPassword(self.raw()) != 0 }
    }

    pub(super) fn send_simple(&self, sql: &CStr) -> bool {
        // SAFETY: as above; the string ends with a zero.
        unsafe { PQsendQuery(self.raw(), sql.as_ptr()) == 1 }
    }

    /// Sends a statement with parameters as text; the server finds out their types.
    pub(super) fn send(&self, sql: &CStr, parameters: &[Option<CString>]) -> bool {
        self.send_typed(sql, &[], parameters)
    }

    /// The same with types that are known, or 0; none means that no type is known.
    pub(super) fn send_typed(&self, sql: &CStr, types: &[u32], parameters: &[Option<CString>]) -> bool {
        let values = pointers(parameters);
        assert!(
            types.is_empty() || types.len() == values.len(),
            "a type for each parameter"
        );
        // SAFETY: as above; there are as many values as the count says, and null means the default
        // (types unknown, format text) in the other arrays.
        unsafe {
            PQsendQueryParams(
                self.raw(),
                sql.as_ptr(),
                values.len() as c_int,
                if types.is_empty() {
                    ptr::null()
                } else {
                    types.as_ptr()
                },
                values.as_ptr(),
                ptr::null(),
                ptr::null(),
                0,
            ) == 1
        }
    }

    /// Without types the server finds them out.
    pub(super) fn send_prepare(&self, name: &CStr, sql: &CStr, types: &[u32]) -> bool {
        // SAFETY: as above; there are as many types as said.
        unsafe {
            PQsendPrepare(
                self.raw(),
                name.as_ptr(),
                sql.as_ptr(),
                types.len() as c_int,
                types.as_ptr(),
            ) == 1
        }
    }

    /// What is sent from now on until `end_pipeline` travels together.
    pub(super) fn begin_pipeline(&self) -> bool {
        // SAFETY: as above.
        unsafe { PQenterPipelineMode(self.raw()) == 1 }
    }

    pub(super) fn end_pipeline(&self) -> bool {
        // SAFETY: as above.
        unsafe { PQpipelineSync(self.raw()) == 1 }
    }

    /// After the answer `Synced`.
    pub(super) fn leave_pipeline(&self) -> bool {
        // SAFETY: as above.
        unsafe { PQexitPipelineMode(self.raw()) == 1 }
    }

    pub(super) fn send_prepared(&self, name: &CStr, parameters: &[Option<CString>]) -> bool {
        let values = pointers(parameters);
        // SAFETY: as for `send`.
        unsafe {
            PQsendQueryPrepared(
                self.raw(),
                name.as_ptr(),
                values.len() as c_int,
                values.as_ptr(),
                ptr::null(),
                ptr::null(),
                0,
            ) == 1
        }
    }

    /// The rows of the statement sent last come one by one.
    pub(super) fn stream_rows(&self) -> bool {
        // SAFETY: as above.
        unsafe { PQsetSingleRowMode(self.raw()) == 1 }
    }

    /// Hands waiting bytes to the system: `Some(true)` when none is left, `None` when the connection broke.
    pub(super) fn flush(&self) -> Option<bool> {
        // SAFETY: as above.
        match unsafe { PQflush(self.raw()) } {
            0 => Some(true),
            1 => Some(false),
            _ => None,
        }
    }

    pub(super) fn consume_input(&self) -> bool {
        // SAFETY: as above.
        unsafe { PQconsumeInput(self.raw()) == 1 }
    }

    /// True while `answer` would have to wait.
    pub(super) fn is_busy(&self) -> bool {
        // SAFETY: as above.
        unsafe { PQisBusy(self.raw()) != 0 }
    }

    /// The next answer; `None` at the end of a statement's answers. Call it only when not busy.
    pub(super) fn answer(&self) -> Option<Answer> {
        // SAFETY: as above; the result is owned by the caller.
        NonNull::new(unsafe { PQgetResult(self.raw()) }).map(Answer)
    }

    /// Sends data of a COPY: `Some(false)` when the buffer is full for now, `None` when the connection broke.
    pub(super) fn put_copy(&self, data: &[u8]) -> Option<bool> {
        let bytes = c_int::try_from(data.len()).ok()?;
        // SAFETY: as above; the data is as long as said.
        match unsafe { PQputCopyData(self.raw(), data.as_ptr().cast(), bytes) } {
            1 => Some(true),
            0 => Some(false),
            _ => None,
        }
    }

    /// Ends a COPY to the server.
    pub(super) fn end_copy(&self) -> Option<bool> {
        // SAFETY: as above; null means success.
        match unsafe { PQputCopyEnd(self.raw(), ptr::null()) } {
            1 => Some(true),
            0 => Some(false),
            _ => None,
        }
    }

    pub(super) fn cancel_key(&self) -> Option<CancelKey> {
        // SAFETY: as above; the key is a copy of what a cancellation needs.
        NonNull::new(unsafe { PQgetCancel(self.raw()) }).map(CancelKey)
    }
}

impl Drop for RawConnection {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { PQfinish(self.raw()) }
    }
}

fn pointers(parameters: &[Option<CString>]) -> Vec<*const c_char> {
    let pointer = |value: &Option<CString>| value.as_ref().map_or(ptr::null(), |v| v.as_ptr());
    parameters.iter().map(pointer).collect()
}

/// An answer of the server, freed when dropped.
pub(crate) struct Answer(NonNull<PGresult>);

impl Answer {
    fn raw(&self) -> *mut PGresult {
        self.0.as_ptr()
    }

    /// What kind of answer this is.
    pub(crate) fn status(&self) -> Status {
        // SAFETY: a result that lives, as in every method below.
        match unsafe { PQresultStatus(self.raw()) } {
            0 | 1 => Status::Done,
            2 => Status::Rows,
            3 => Status::CopyOut,
            4 => Status::CopyIn,
            9 => Status::Row,
            10 => Status::Synced,
            11 => Status::Skipped,
            _ => Status::Failed,
        }
    }

    /// A field of an error; empty when the server gave none.
    pub(super) fn error_field(&self, field: Field) -> String {
        // SAFETY: as above.
        text(unsafe { PQresultErrorField(self.raw(), field as c_int) })
    }

    /// How many rows it has.
    pub(crate) fn rows(&self) -> usize {
        // SAFETY: as above; the count is never negative.
        unsafe { PQntuples(self.raw()) as usize }
    }

    /// How many columns each row has.
    pub(crate) fn columns(&self) -> usize {
        // SAFETY: as above; the count is never negative.
        unsafe { PQnfields(self.raw()) as usize }
    }

    /// A value as text with a zero behind it, or `None` for NULL. Panics outside of the rows and columns.
    pub(crate) fn value(&self, row: usize, column: usize) -> Option<&CStr> {
        assert!(
            row < self.rows() && column < self.columns(),
            "outside of the answer"
        );
        let (row, column) = (row as c_int, column as c_int);
        // SAFETY: as above; the place exists, and libpq puts a zero behind each value. Text of PostgreSQL
        // holds no other.
        unsafe {
            if PQgetisnull(self.raw(), row, column) != 0 {
                return None;
            }
            let bytes = PQgetlength(self.raw(), row, column) as usize;
            let value = PQgetvalue(self.raw(), row, column).cast::<u8>();
            CStr::from_bytes_with_nul(std::slice::from_raw_parts(value, bytes + 1)).ok()
        }
    }

    /// A value as a string.
    pub(crate) fn text(&self, row: usize, column: usize) -> Option<String> {
        self.value(row, column)
            .map(|value| value.to_string_lossy().into_owned())
    }

    /// How many rows the statement wrote or returned.
    pub(crate) fn affected(&self) -> u64 {
        // SAFETY: as above.
        text(unsafe { PQcmdTuples(self.raw()) }).parse().unwrap_or(0)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { PQclear(self.raw()) }
    }
}

/// What a cancellation needs; may be used from another thread.
pub(super) struct CancelKey(NonNull<PGcancel>);

// SAFETY: libpq's manual allows PQcancel from another thread than the connection's; the key is a copy.
unsafe impl Send for CancelKey {}

impl CancelKey {
    /// Asks the server to cancel what runs. Opens a connection and waits.
    pub(super) fn send(&self) -> bool {
        let mut error = [0; 256];
        // SAFETY: the key lives, and the buffer is as long as said.
        unsafe { PQcancel(self.0.as_ptr(), error.as_mut_ptr(), error.len() as c_int) == 1 }
    }
}

impl Drop for CancelKey {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { PQfreeCancel(self.0.as_ptr()) }
    }
}
