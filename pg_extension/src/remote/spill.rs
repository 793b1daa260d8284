//! Rows that wait for their reader: in memory up to `work_mem`, then in a temporary file.
//!
//! In: rows as text values. Out: the same rows in the same order. Must never: outlive the query that it
//! was made in, since its file belongs to that query's resource owner.

#![expect(unsafe_code, reason = "uses the backend's temporary files")]

use std::collections::VecDeque;
use std::ffi::{CStr, CString};

use pgrx::{PgMemoryContexts, pg_sys};

/// A row of another server: its values as text.
pub(crate) type Row = Vec<Option<CString>>;

/// The query that temporary files belong to.
#[derive(Clone, Copy)]
pub(crate) struct Keeper {
    owner: pg_sys::ResourceOwner,
    context: pg_sys::MemoryContext,
}

impl Keeper {
    /// The query that begins now, or the command that runs.
    pub(crate) fn now() -> Self {
        // SAFETY: reads variables of the backend's thread.
        unsafe {
            Self {
                owner: pg_sys::CurrentResourceOwner,
                context: pg_sys::CurrentMemoryContext,
            }
        }
    }
}

pub(super) struct Spill {
    memory: VecDeque<Row>,
    bytes: usize,
    file: *mut pg_sys::BufFile,
    written: u64,
    read: u64,
    read_at: (i32, i64),
    write_at: (i32, i64),
    owner: pg_sys::ResourceOwner,
    context: pg_sys::MemoryContext,
}

impl Spill {
    /// In memory and among the resources of a query.
    pub(super) fn new(Keeper { owner, context }: Keeper) -> Self {
        Self {
            memory: VecDeque::new(),
            bytes: 0,
            file: std::ptr::null_mut(),
            written: 0,
            read: 0,
            read_at: (0, 0),
            write_at: (0, 0),
            owner,
            context,
        }
    }

    pub(super) fn push(&mut self, row: Row) {
        // SAFETY: reads a setting on the backend's thread.
        let limit = unsafe { pg_sys::work_mem } as usize * 1024;
        if self.file.is_null() && self.bytes < limit {
            self.bytes += row
                .iter()
                .map(|v| 32 + v.as_ref().map_or(0, |v| v.as_bytes().len()))
                .sum::<usize>();
            self.memory.push_back(row);
            return;
        }
        let mut bytes = Vec::new();
        for value in &row {
            match value {
                None => bytes.extend(u32::MAX.to_ne_bytes()),
                Some(value) => {
                    bytes.extend((value.as_bytes().len() as u32).to_ne_bytes());
                    bytes.extend(value.as_bytes());
                }
            }
        }
        let header = [
            (row.len() as u32).to_ne_bytes(),
            (bytes.len() as u32).to_ne_bytes(),
        ]
        .concat();
        // SAFETY: the file belongs to the owner and context of the query, which both live as long as the
        // scan that this belongs to; the buffers are as long as said.
        unsafe {
            let owner = pg_sys::CurrentResourceOwner;
            pg_sys::CurrentResourceOwner = self.owner;
            PgMemoryContexts::For(self.context).switch_to(|_| {
                if self.file.is_null() {
                    self.file = pg_sys::BufFileCreateTemp(false);
                } else {
                    pg_sys::BufFileSeek(self.file, self.write_at.0, self.write_at.1, libc::SEEK_SET);
                }
                pg_sys::BufFileWrite(self.file, header.as_ptr().cast_mut().cast(), header.len());
                pg_sys::BufFileWrite(self.file, bytes.as_ptr().cast_mut().cast(), bytes.len());
                pg_sys::BufFileTell(self.file, &mut self.write_at.0, &mut self.write_at.1);
            });
            pg_sys::CurrentResourceOwner = owner;
        }
        self.written += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Row> {
        if let Some(row) = self.memory.pop_front() {
            return Some(row);
        }
        if self.read == self.written {
            return None;
        }
        self.read += 1;
        let mut header = [0_u8; 8];
        // SAFETY: as in `push`; the position is where the last row ended.
        unsafe { pg_sys::BufFileSeek(self.file, self.read_at.0, self.read_at.1, libc::SEEK_SET) };
        self.fill(&mut header);
        let number = |bytes: &[u8]| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        let mut bytes = vec![0; number(&header[4..])];
        self.fill(&mut bytes);
        let mut rest = bytes.as_slice();
        let mut row = Vec::with_capacity(number(&header));
        for _ in 0..number(&header) {
            let length = number(rest);
            rest = &rest[4..];
            if length == u32::MAX as usize {
                row.push(None);
            } else {
                row.push(CString::new(&rest[..length]).ok());
                rest = &rest[length..];
            }
        }
        // SAFETY: both are places for the position.
        unsafe { pg_sys::BufFileTell(self.file, &mut self.read_at.0, &mut self.read_at.1) };
        Some(row)
    }

    /// Removes the file, while the query still runs. Without this call it goes with the query, so dropping
    /// does nothing: after an error the file is gone already.
    pub(super) fn close(mut self) {
        let file = std::mem::replace(&mut self.file, std::ptr::null_mut());
        if !file.is_null() {
            // SAFETY: made in `push`, and the query that it belongs to has not ended.
            unsafe { pg_sys::BufFileClose(file) };
        }
    }

    fn fill(&self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        // SAFETY: the buffer is as long as said.
        let read = unsafe { pg_sys::BufFileRead(self.file, bytes.as_mut_ptr().cast(), bytes.len()) };
        assert_eq!(read, bytes.len(), "a temporary file ended early");
    }
}

/// Copies the first row of an answer.
pub(super) fn row_of(answer: &super::Answer) -> Row {
    (0..answer.columns())
        .map(|column| answer.value(0, column).map(CStr::to_owned))
        .collect()
}
