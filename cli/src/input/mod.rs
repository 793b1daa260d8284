//! Records out of files: CSV, TSV, JSON lines and deb822 stanzas.
//!
//! What comes in: any reader of bytes, a format and the name of the key column. What goes out: one
//! [`Item`] after the other, either a record (key and JSON text) or a rejected piece of input with
//! its line number, its text and the reason. Memory stays constant: one record is held at a time,
//! and one that exceeds [`MAX_RECORD_BYTES`] is rejected, not read. Nothing is ever skipped
//! silently except blank lines and deb822 comments. Knows nothing of clusters.

mod deb822;
mod delimited;
mod error;
mod format;
mod json_lines;
mod source;

use std::io::Read;

use serde::{Deserialize, Serialize};

pub use error::InputError;
pub use format::Format;

use deb822::Deb822;
use delimited::Delimited;
use json_lines::JsonLines;
use source::Source;

/// Longest record, in bytes of input. Longer ones are rejected: mostly an unclosed quotation mark.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// So much of an over-long record is shown in the reject file.
const SHOWN_BYTES: usize = 4096;

/// One record, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Text of the key column.
    pub key: Vec<u8>,
    /// The record as a JSON object, or the text of the value column when one was chosen.
    pub value: Vec<u8>,
    /// When the value is gone, in milliseconds since 1970; `None` if it stays.
    pub expires_at_ms: Option<u64>,
}

/// A piece of input that is not a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Number of its first line, from 1.
    pub line: u64,
    /// What is wrong, as half a sentence.
    pub reason: String,
    /// The input as it stands in the file, without its last line end.
    pub text: Vec<u8>,
}

/// What a reader finds next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A record.
    Record(Record),
    /// Something that should have been one.
    Rejected(Rejected),
    /// The end of the input.
    End,
}

/// Where the next record begins: enough to go on from there in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Bytes before the next record.
    pub offset: u64,
    /// Lines before the next record.
    pub lines: u64,
}

/// Reads records one by one.
pub trait RecordReader {
    /// The next record, rejected piece, or the end.
    ///
    /// # Errors
    /// [`InputError`] when the input itself cannot be read on.
    fn next(&mut self) -> Result<Item, InputError>;

    /// Where the next record begins.
    fn position(&self) -> Position;

    /// Goes on at `at`, with a reader that stands there.
    fn continue_at(&mut self, input: Box<dyn Read>, at: Position);

    /// Whether the input has ended without a line end: its last record may have been cut off.
    fn ends_without_newline(&self) -> bool;
}

/// What to make of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Format of the input.
    pub format: Format,
    /// Column, or field, that holds the key.
    pub key: String,
    /// Column whose text is the value; the whole record as JSON when there is none.
    pub value: Option<String>,
    /// Column that says when the value is gone. Absent from checkpoints of imports without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether quotation marks mean something in CSV and TSV.
    pub quotes: bool,
}

impl Selection {
    /// Whole records of a format, by a key column.
    #[must_use]
    pub fn new(format: Format, key: impl Into<String>) -> Self {
        Selection {
            format,
            key: key.into(),
            value: None,
            expires: None,
            quotes: true,
        }
    }
}

/// Opens an input that stands at its first byte.
///
/// # Errors
/// [`InputError::Compressed`] and [`InputError::Utf16`] for bytes that are no text to be read
/// here; of CSV and TSV also [`InputError::NoHeader`], [`InputError::MissingColumn`] and
/// [`InputError::DuplicateColumn`].
pub fn open(input: Box<dyn Read>, select: &Selection) -> Result<Box<dyn RecordReader>, InputError> {
    open_limited(input, select, MAX_RECORD_BYTES)
}

fn open_limited(
    input: Box<dyn Read>,
    select: &Selection,
    max_bytes: usize,
) -> Result<Box<dyn RecordReader>, InputError> {
    let source = Source::start(input)?;
    Ok(match select.format {
        Format::Csv => Box::new(Delimited::new(source, b',', select, max_bytes)?),
        Format::Tsv => Box::new(Delimited::new(source, b'\t', select, max_bytes)?),
        Format::JsonLines => Box::new(JsonLines::new(source, select, max_bytes)),
        Format::Deb822 => Box::new(Deb822::new(source, select, max_bytes)),
    })
}

/// The rejection of a record longer than `max_bytes`, of which `text` holds the beginning.
fn too_long(line: u64, max_bytes: usize, text: &[u8], hint: &str) -> Rejected {
    let shown = text.len().min(SHOWN_BYTES);
    let reason =
        format!("the record is longer than {max_bytes} bytes{hint}; only its first {shown} are kept here");
    Rejected {
        line,
        reason,
        text: text[..shown].to_vec(),
    }
}

/// The piece of input without its line end.
fn without_newline(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// What the expiry column says: a whole number of milliseconds since 1970, or nothing.
fn expiry_of(column: &str, text: &str) -> Result<Option<u64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(Some).ok_or_else(|| {
        format!(
            "the expiry {column:?} is no whole number of milliseconds since 1970: {}",
            shortened(text)
        )
    })
}

/// The beginning of a text, for a message.
fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 40;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into(),
    }
}

/// Why a text is not UTF-8, as half a sentence.
fn not_utf8(error: std::str::Utf8Error) -> String {
    format!("not valid UTF-8 after {} bytes", error.valid_up_to())
}

#[cfg(test)]
mod tests;
