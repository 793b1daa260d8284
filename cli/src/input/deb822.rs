//! Debian control stanzas (deb822(5)): package indexes, dpkg's status file, control files.
//!
//! A source comes in; one JSON object per stanza goes out, fields in the order of the file, values
//! as text. A continuation line belongs to the value above it: its first blank goes, its text
//! follows after a newline. Comments are passed over.

use std::io::Read;

use super::source::{LineEnd, Source};
use super::{
    InputError, Item, Position, Record, RecordReader, Rejected, Selection, expiry_of, not_utf8, too_long,
    without_newline,
};

/// Reader of stanzas that are separated by blank lines.
pub struct Deb822 {
    source: Source,
    key: String,
    value: Option<String>,
    expires: Option<String>,
    max_bytes: usize,
    /// The stanza as it stands.
    text: Vec<u8>,
}

impl Deb822 {
    /// Nothing is read yet.
    pub fn new(source: Source, select: &Selection, max_bytes: usize) -> Deb822 {
        Deb822 {
            source,
            key: select.key.clone(),
            value: select.value.clone(),
            expires: select.expires.clone(),
            max_bytes,
            text: Vec::new(),
        }
    }

    fn record(&self) -> Result<Record, String> {
        if self.source.ends_without_newline() {
            return Err("the last line has no line end: the file is cut off".into());
        }
        let text = std::str::from_utf8(&self.text).map_err(not_utf8)?;
        let fields = fields(text)?;
        let find = |name: &str| {
            // Names of fields ignore case (Debian Policy, 5.1).
            fields
                .iter()
                .find(|(field, _)| field.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        let key = find(&self.key).ok_or_else(|| format!("the field {:?} is missing", self.key))?;
        if key.is_empty() {
            return Err(format!("the key field {:?} is empty", self.key));
        }
        let value = match &self.value {
            Some(name) => {
                let value = find(name).ok_or_else(|| format!("the value field {name:?} is missing"))?;
                value.as_bytes().to_vec()
            }
            None => object(&fields).map_err(|error| error.to_string())?,
        };
        let expires_at_ms = match &self.expires {
            Some(name) => expiry_of(name, find(name).map_or("", String::as_str))?,
            None => None,
        };
        Ok(Record {
            key: key.as_bytes().to_vec(),
            value,
            expires_at_ms,
        })
    }
}

/// Splits a stanza into names and values.
fn fields(stanza: &str) -> Result<Vec<(&str, String)>, String> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    for (at, line) in stanza.lines().enumerate() {
        let number = at + 1;
        if line.starts_with('#') {
            continue;
        }
        if let Some(more) = line.strip_prefix([' ', '\t']) {
            let Some((_, value)) = fields.last_mut() else {
                return Err(format!(
                    "line {number} of the stanza continues a field, and there is none before it"
                ));
            };
            value.push('\n');
            value.push_str(more.trim_end());
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(format!("line {number} of the stanza is not `Field: value`"));
        };
        let graphic = name.bytes().all(|byte| byte.is_ascii_graphic());
        if name.is_empty() || name.starts_with('-') || !graphic {
            return Err(format!(
                "line {number} of the stanza has no proper field name before its colon"
            ));
        }
        if fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name)) {
            return Err(format!("the field {name:?} is given twice"));
        }
        fields.push((name, value.trim().to_string()));
    }
    Ok(fields)
}

fn object(fields: &[(&str, String)]) -> serde_json::Result<Vec<u8>> {
    let mut object = Vec::new();
    for (at, (name, value)) in fields.iter().enumerate() {
        object.push(if at == 0 { b'{' } else { b',' });
        serde_json::to_writer(&mut object, name)?;
        object.push(b':');
        serde_json::to_writer(&mut object, value)?;
    }
    object.push(b'}');
    Ok(object)
}

impl RecordReader for Deb822 {
    fn next(&mut self) -> Result<Item, InputError> {
        self.text.clear();
        let mut first_line = self.source.line();
        // A comment alone is no stanza, and is kept apart from the one it stands before.
        let mut any_field = false;
        loop {
            let before = self.text.len();
            let line = self.source.line();
            let end = self.source.read_line(&mut self.text, self.max_bytes)?;
            if end == LineEnd::Nothing {
                break;
            }
            if end == LineEnd::TooLong {
                return self.pass_over(if any_field { first_line } else { line });
            }
            if self.text[before..].trim_ascii().is_empty() {
                self.text.truncate(before);
                if any_field {
                    break;
                }
                continue;
            }
            if self.text[before] == b'#' && !any_field {
                self.text.truncate(before);
                continue;
            }
            if !any_field {
                first_line = line;
                any_field = true;
            }
            if end == LineEnd::EndOfInput {
                break;
            }
        }
        if !any_field {
            return Ok(Item::End);
        }
        let reject = |reason| {
            let text = without_newline(&self.text).to_vec();
            Item::Rejected(Rejected {
                line: first_line,
                reason,
                text,
            })
        };
        Ok(self.record().map_or_else(reject, Item::Record))
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

impl Deb822 {
    /// Passes over the rest of a stanza that is too long.
    fn pass_over(&mut self, first_line: u64) -> Result<Item, InputError> {
        const ENOUGH_TO_TELL_BLANK: usize = 4096;
        let mut line = Vec::new();
        loop {
            line.clear();
            let end = self.source.read_line(&mut line, ENOUGH_TO_TELL_BLANK)?;
            let blank = end == LineEnd::Newline && line.trim_ascii().is_empty();
            if blank || end == LineEnd::Nothing {
                return Ok(Item::Rejected(too_long(
                    first_line,
                    self.max_bytes,
                    &self.text,
                    "",
                )));
            }
        }
    }
}
