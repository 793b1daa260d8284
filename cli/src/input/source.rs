//! Bytes with a count of offsets and lines: what every reader of a format stands on.
//!
//! Any reader comes in; buffered chunks and bounded lines go out. A byte-order mark is stripped,
//! compressed and UTF-16 inputs are refused by their first bytes, before a parser makes noise of
//! them.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use super::{InputError, Position};

const BUFFER_BYTES: usize = 256 << 10;

/// First bytes of what cannot be read here.
const MAGICS: [(&[u8], &str, &str); 5] = [
    (&[0x1f, 0x8b], "gzip", "zcat"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz", "xzcat"),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4", "lz4cat"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "zstdcat"),
    (b"BZh", "bzip2", "bzcat"),
];

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const LONGEST_MAGIC: usize = 6;

/// A buffered input that knows where it stands.
pub struct Source {
    input: BufReader<Box<dyn Read>>,
    at: Position,
    ends_without_newline: bool,
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// There was none: the input is at its end.
    Nothing,
    /// With a line feed, which is part of the text.
    Newline,
    /// With the input.
    EndOfInput,
    /// It did not fit; the rest of it was passed over.
    TooLong,
}

impl Source {
    /// An input that stands at its first byte.
    pub fn start(mut input: Box<dyn Read>) -> Result<Source, InputError> {
        let mut head = Vec::with_capacity(LONGEST_MAGIC);
        input.by_ref().take(LONGEST_MAGIC as u64).read_to_end(&mut head)?;
        if let Some((_, kind, command)) = MAGICS.iter().find(|(magic, ..)| head.starts_with(magic)) {
            return Err(InputError::Compressed { kind, command });
        }
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(InputError::Utf16);
        }
        let mark = if head.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };
        let rest = Cursor::new(head.split_off(mark)).chain(input);
        Ok(Source::at(
            Box::new(rest),
            Position {
                offset: mark as u64,
                lines: 0,
            },
        ))
    }

    /// An input that stands at `at`.
    pub fn at(input: Box<dyn Read>, at: Position) -> Source {
        Source {
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            at,
            ends_without_newline: false,
        }
    }

    /// Where the next byte stands.
    pub fn position(&self) -> Position {
        self.at
    }

    /// Number of the line that comes next, from 1.
    pub fn line(&self) -> u64 {
        self.at.lines + 1
    }

    /// Whether the end was met in the middle of a line.
    pub fn ends_without_newline(&self) -> bool {
        self.ends_without_newline
    }

    /// Bytes that are there without waiting more than once; none at the end.
    pub fn chunk(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.input.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Borrowed again, because a borrow from inside the loop would outlive it.
        Ok(self.input.buffer())
    }

    /// Passes over `bytes` of the chunk, in which `lines` lines end.
    pub fn consume(&mut self, bytes: usize, lines: u64) {
        self.input.consume(bytes);
        self.at.offset += bytes as u64;
        self.at.lines += lines;
    }

    /// Notes that the input ended with an unfinished line.
    pub fn note_missing_newline(&mut self) {
        self.ends_without_newline = true;
    }

    /// Appends the next line to `line`, line feed included, as long as `line` stays within
    /// `max_bytes`.
    pub fn read_line(&mut self, line: &mut Vec<u8>, max_bytes: usize) -> io::Result<LineEnd> {
        let mut any = false;
        let mut fits = true;
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                self.ends_without_newline |= any;
                self.at.lines += u64::from(any);
                return Ok(match (any, fits) {
                    (false, _) => LineEnd::Nothing,
                    (true, true) => LineEnd::EndOfInput,
                    (true, false) => LineEnd::TooLong,
                });
            }
            any = true;
            let newline = chunk.iter().position(|&byte| byte == b'\n');
            let taken = newline.map_or(chunk.len(), |at| at + 1);
            let room = max_bytes.saturating_sub(line.len());
            fits &= taken <= room;
            line.extend_from_slice(&chunk[..taken.min(room)]);
            self.consume(taken, u64::from(newline.is_some()));
            if newline.is_some() {
                return Ok(if fits { LineEnd::Newline } else { LineEnd::TooLong });
            }
        }
    }
}
