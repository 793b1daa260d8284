//! CSV and TSV (RFC 4180, with the leniency of the csv crate), record by record.
//!
//! A source comes in, whose first line names the columns; records go out as JSON objects of
//! strings in the order of the columns. The csv crate is not used to read, since a reject file
//! needs what it does not tell: the text of a bad record, and whether a quotation mark was still
//! open at the end of the input. The tests hold this parser against that crate.

use std::io::{self, Read};

use super::source::Source;
use super::{
    InputError, Item, Position, Record, RecordReader, Rejected, Selection, expiry_of, not_utf8, too_long,
    without_newline,
};

const QUOTE: u8 = b'"';

/// Where in a record the parser stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a field: only here a quotation mark opens a quoted field.
    FieldStart,
    /// In a field, or its part, that is not quoted.
    Plain,
    /// Between quotation marks.
    Quoted,
    /// After a quotation mark within a quoted field: its end, or the first half of a doubled one.
    QuoteSeen,
}

/// How a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowEnd {
    Nothing,
    Complete,
    OpenQuote,
    TooLong,
}

/// One row, in buffers that are used again.
#[derive(Default)]
struct Row {
    /// The input as it stands.
    raw: Vec<u8>,
    /// The decoded fields, one after the other.
    text: Vec<u8>,
    /// Where each field ends in `text`.
    ends: Vec<usize>,
    /// Number of its first line.
    line: u64,
}

impl Row {
    fn clear(&mut self, line: u64) {
        self.raw.clear();
        self.text.clear();
        self.ends.clear();
        self.line = line;
    }

    /// The fields as text, or why they are none.
    fn fields(&self) -> Result<Vec<&str>, String> {
        let text = std::str::from_utf8(&self.text).map_err(not_utf8)?;
        let starts = std::iter::once(&0).chain(&self.ends);
        let cuts = starts.zip(&self.ends);
        // A field may hold half a character whose other half is in the next field.
        cuts.map(|(&start, &end)| text.get(start..end).ok_or_else(|| "not valid UTF-8".to_string()))
            .collect()
    }
}

/// Reader of records that are separated by one byte.
pub struct Delimited {
    source: Source,
    delimiter: u8,
    quotes: bool,
    max_bytes: usize,
    /// `"name":` of every column, escaped once.
    labels: Vec<String>,
    key: usize,
    key_name: String,
    value: Option<usize>,
    expires: Option<usize>,
    expires_name: String,
    row: Row,
}

impl Delimited {
    /// Reads the header.
    pub fn new(
        source: Source,
        delimiter: u8,
        select: &Selection,
        max_bytes: usize,
    ) -> Result<Delimited, InputError> {
        let mut reader = Delimited {
            source,
            delimiter,
            quotes: select.quotes,
            max_bytes,
            labels: Vec::new(),
            key: 0,
            key_name: select.key.clone(),
            value: None,
            expires: None,
            expires_name: select.expires.clone().unwrap_or_default(),
            row: Row::default(),
        };
        match reader.read_row()? {
            RowEnd::Nothing => return Err(InputError::NoHeader),
            RowEnd::Complete => {}
            RowEnd::OpenQuote => {
                return Err(InputError::BadHeader(
                    "a quotation mark in it is never closed".into(),
                ));
            }
            RowEnd::TooLong => return Err(InputError::BadHeader("it is too long".into())),
        }
        let names = reader.row.fields().map_err(InputError::BadHeader)?;
        let names: Vec<String> = names.into_iter().map(str::to_string).collect();
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                return Err(InputError::DuplicateColumn { column: name.clone() });
            }
        }
        let find = |column: &str| {
            let missing = || InputError::MissingColumn {
                column: column.into(),
                found: names.clone(),
            };
            names.iter().position(|name| name == column).ok_or_else(missing)
        };
        reader.key = find(&select.key)?;
        reader.value = select.value.as_deref().map(find).transpose()?;
        reader.expires = select.expires.as_deref().map(find).transpose()?;
        reader.labels = names
            .iter()
            .map(|name| format!("{}:", serde_json::Value::from(name.as_str())))
            .collect();
        Ok(reader)
    }

    /// Reads the next row that is not a blank line into `self.row`.
    fn read_row(&mut self) -> io::Result<RowEnd> {
        loop {
            self.row.clear(self.source.line());
            let end = self.parse_row()?;
            let blank = end == RowEnd::Complete && without_newline(&self.row.raw).is_empty();
            if !blank {
                return Ok(end);
            }
        }
    }

    fn parse_row(&mut self) -> io::Result<RowEnd> {
        let mut state = State::FieldStart;
        let mut too_long = false;
        loop {
            let room = self.max_bytes.saturating_sub(self.row.raw.len());
            let (delimiter, quotes) = (self.delimiter, self.quotes);
            let chunk = self.source.chunk()?;
            if chunk.is_empty() {
                return Ok(self.end_of_input(state, too_long));
            }
            let mut lines = 0;
            let mut taken = 0;
            let mut ended = false;
            let Row { raw, text, ends, .. } = &mut self.row;
            while taken < chunk.len() && !ended {
                // What follows until the next byte that means something is taken in one piece.
                let rest = &chunk[taken..];
                let plain = match state {
                    State::Plain => rest
                        .iter()
                        .position(|&byte| byte == delimiter || byte == b'\n' || byte == b'\r'),
                    State::Quoted => rest.iter().position(|&byte| byte == QUOTE),
                    State::FieldStart | State::QuoteSeen => Some(0),
                };
                let plain = plain.unwrap_or(rest.len());
                if plain > 0 {
                    if !too_long {
                        text.extend_from_slice(&rest[..plain]);
                    }
                    if state == State::Quoted {
                        lines += rest[..plain].iter().filter(|&&byte| byte == b'\n').count() as u64;
                    }
                    taken += plain;
                    // The copy of the raw text below is bounded; the decoded one must be, too.
                    too_long |= taken > room;
                    continue;
                }
                let byte = rest[0];
                taken += 1;
                state = match (state, byte) {
                    (State::FieldStart, QUOTE) if quotes => State::Quoted,
                    (State::Quoted, _) => State::QuoteSeen,
                    (State::QuoteSeen, QUOTE) => {
                        text.push(QUOTE);
                        State::Quoted
                    }
                    (_, b'\n' | b'\r') => {
                        ends.push(text.len());
                        lines += 1;
                        ended = true;
                        State::FieldStart
                    }
                    (_, byte) if byte == delimiter => {
                        ends.push(text.len());
                        State::FieldStart
                    }
                    (_, byte) => {
                        text.push(byte);
                        State::Plain
                    }
                };
            }
            too_long |= taken > room;
            raw.extend_from_slice(&chunk[..taken.min(room)]);
            let carriage_return = ended && chunk[taken - 1] == b'\r';
            self.source.consume(taken, lines);
            if ended {
                if carriage_return && self.source.chunk()?.first() == Some(&b'\n') {
                    self.source.consume(1, 0);
                }
                return Ok(if too_long {
                    RowEnd::TooLong
                } else {
                    RowEnd::Complete
                });
            }
            if too_long {
                text.clear();
                ends.clear();
            }
        }
    }

    fn end_of_input(&mut self, state: State, too_long: bool) -> RowEnd {
        if self.row.raw.is_empty() {
            return RowEnd::Nothing;
        }
        self.source.note_missing_newline();
        self.source.consume(0, 1);
        self.row.ends.push(self.row.text.len());
        match (too_long, state) {
            (true, _) => RowEnd::TooLong,
            (false, State::Quoted) => RowEnd::OpenQuote,
            (false, _) => RowEnd::Complete,
        }
    }

    /// Makes a record of the row, or says why it is none.
    fn record(&self) -> Result<Record, String> {
        let fields = self.row.fields()?;
        if fields.len() != self.labels.len() {
            let cut = if self.source.ends_without_newline() {
                "; the file may be cut off"
            } else {
                ""
            };
            return Err(format!(
                "{} fields where the header has {}{cut}",
                fields.len(),
                self.labels.len()
            ));
        }
        let key = fields[self.key];
        if key.is_empty() {
            return Err(format!("the key column {:?} is empty", self.key_name));
        }
        let value = match self.value {
            Some(column) => fields[column].as_bytes().to_vec(),
            None => self.object(&fields)?,
        };
        let expires_at_ms = match self.expires {
            Some(column) => expiry_of(&self.expires_name, fields[column])?,
            None => None,
        };
        Ok(Record {
            key: key.as_bytes().to_vec(),
            value,
            expires_at_ms,
        })
    }

    fn object(&self, fields: &[&str]) -> Result<Vec<u8>, String> {
        let mut object = Vec::with_capacity(self.row.text.len() + 16 * fields.len());
        for (at, (label, field)) in self.labels.iter().zip(fields).enumerate() {
            object.push(if at == 0 { b'{' } else { b',' });
            object.extend_from_slice(label.as_bytes());
            serde_json::to_writer(&mut object, field).map_err(|error| error.to_string())?;
        }
        object.push(b'}');
        Ok(object)
    }
}

impl RecordReader for Delimited {
    fn next(&mut self) -> Result<Item, InputError> {
        let end = self.read_row()?;
        let line = self.row.line;
        let reject = |reason: String| {
            Item::Rejected(Rejected {
                line,
                reason,
                text: without_newline(&self.row.raw).to_vec(),
            })
        };
        Ok(match end {
            RowEnd::Nothing => Item::End,
            RowEnd::Complete => self.record().map_or_else(reject, Item::Record),
            RowEnd::OpenQuote => reject(
                "a quotation mark is still open at the end of the file: it is cut off, or holds a stray \
                 quotation mark (--no-quotes reads them as text)"
                    .into(),
            ),
            RowEnd::TooLong => {
                let hint = ", perhaps because of a quotation mark that is never closed";
                Item::Rejected(too_long(line, self.max_bytes, &self.row.raw, hint))
            }
        })
    }

    fn position(&self) -> Position {
        self.source.position()
    }

    fn continue_at(&mut self, input: Box<dyn Read>, at: Position) {
        self.source = Source::at(input, at);
    }

    fn ends_without_newline(&self) -> bool {
        self.source.ends_without_newline()
    }
}
