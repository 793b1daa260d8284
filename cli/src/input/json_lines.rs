//! JSON lines: one object per line, stored byte for byte as it stands.
//!
//! A source comes in; records go out whose value is the text of the line, so numbers keep their
//! digits and fields their order. The line is checked to be one JSON object, and the key is taken
//! from it; nothing else in it is looked at.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::source::{LineEnd, Source};
use super::{
    InputError, Item, Position, Record, RecordReader, Rejected, Selection, expiry_of, not_utf8, shortened,
    too_long, without_newline,
};

const ARRAY_HINT: &str = "; if the file is one JSON array, `jq -c '.[]' FILE` makes lines of it";

/// Reader of one JSON object per line.
pub struct JsonLines {
    source: Source,
    key: String,
    value: Option<String>,
    expires: Option<String>,
    max_bytes: usize,
    line: Vec<u8>,
}

impl JsonLines {
    /// Nothing is read yet.
    pub fn new(source: Source, select: &Selection, max_bytes: usize) -> JsonLines {
        JsonLines {
            source,
            key: select.key.clone(),
            value: select.value.clone(),
            expires: select.expires.clone(),
            max_bytes,
            line: Vec::new(),
        }
    }

    fn record(&self) -> Result<Record, String> {
        let text = std::str::from_utf8(&self.line).map_err(not_utf8)?.trim();
        let found = self.columns(text).map_err(|error| self.explain(text, &error))?;
        let key = match found.key {
            None => return Err(format!("the field {:?} is missing", self.key)),
            Some(raw) => scalar(raw.get()).ok_or_else(|| {
                format!(
                    "the key field {:?} is neither text nor a number: {}",
                    self.key,
                    shortened(raw.get())
                )
            })?,
        };
        if key.is_empty() {
            return Err(format!("the key field {:?} is empty", self.key));
        }
        let value = match (&self.value, found.value) {
            (None, _) => text.as_bytes().to_vec(),
            (Some(column), None) => return Err(format!("the value field {column:?} is missing")),
            (Some(_), Some(raw)) => scalar(raw.get()).unwrap_or_else(|| raw.get().as_bytes().to_vec()),
        };
        let expires_at_ms = match (&self.expires, found.expires.map(RawValue::get)) {
            (None, _) | (_, None | Some("null")) => None,
            (Some(column), Some(raw)) => match scalar(raw).map(String::from_utf8) {
                Some(Ok(text)) => expiry_of(column, &text)?,
                _ => expiry_of(column, raw)?,
            },
        };
        Ok(Record {
            key,
            value,
            expires_at_ms,
        })
    }

    fn columns<'t>(&self, text: &'t str) -> Result<Columns<'t>, serde_json::Error> {
        let mut parser = serde_json::Deserializer::from_str(text);
        let wanted = Wanted {
            key: &self.key,
            value: self.value.as_deref(),
            expires: self.expires.as_deref(),
        };
        let found = wanted.deserialize(&mut parser)?;
        parser.end()?;
        Ok(found)
    }

    fn explain(&self, text: &str, error: &serde_json::Error) -> String {
        if error.is_data() {
            return match text.as_bytes().first() {
                Some(b'{') => without_place(error),
                Some(b'[') if text == "[" => format!("an array, not a JSON object{ARRAY_HINT}"),
                Some(b'[') => "an array, not a JSON object".into(),
                Some(b'"') => "a string, not a JSON object".into(),
                Some(b't' | b'f') => "a truth value, not a JSON object".into(),
                Some(b'n') => "null, not a JSON object".into(),
                _ => "a number, not a JSON object".into(),
            };
        }
        let mut reason = format!(
            "not valid JSON: {} (column {})",
            without_place(error),
            error.column()
        );
        if error.is_eof() && self.source.ends_without_newline() {
            reason.push_str("; the file may be cut off");
        }
        reason
    }
}

/// Text of a JSON string, or the digits of a number as they stand.
fn scalar(raw: &str) -> Option<Vec<u8>> {
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(raw).ok().map(String::into_bytes),
        b'-' | b'0'..=b'9' => Some(raw.as_bytes().to_vec()),
        _ => None,
    }
}

/// The message without serde's line number, which is always 1 here.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_string()
}

/// The columns that matter.
#[derive(Default)]
struct Columns<'t> {
    key: Option<&'t RawValue>,
    value: Option<&'t RawValue>,
    expires: Option<&'t RawValue>,
}

/// Takes the wanted columns out of an object and checks the rest of it.
struct Wanted<'w> {
    key: &'w str,
    value: Option<&'w str>,
    expires: Option<&'w str>,
}

impl<'t> DeserializeSeed<'t> for Wanted<'_> {
    type Value = Columns<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Columns<'t>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'t> Visitor<'t> for Wanted<'_> {
    type Value = Columns<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Columns<'t>, A::Error> {
        use serde::de::Error;
        let mut found = Columns::default();
        // Owned, because a name with an escape in it cannot be borrowed from the line.
        while let Some(name) = map.next_key::<String>()? {
            let is_key = name == self.key;
            let is_value = self.value == Some(name.as_str());
            let is_expiry = self.expires == Some(name.as_str());
            if !is_key && !is_value && !is_expiry {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw: &RawValue = map.next_value()?;
            let seen = (is_key && found.key.is_some())
                || (is_value && found.value.is_some())
                || (is_expiry && found.expires.is_some());
            if seen {
                return Err(A::Error::custom(format!("the field {name:?} is given twice")));
            }
            if is_key {
                found.key = Some(raw);
            }
            if is_value {
                found.value = Some(raw);
            }
            if is_expiry {
                found.expires = Some(raw);
            }
        }
        Ok(found)
    }
}

impl RecordReader for JsonLines {
    fn next(&mut self) -> Result<Item, InputError> {
        loop {
            self.line.clear();
            let line = self.source.line();
            match self.source.read_line(&mut self.line, self.max_bytes)? {
                LineEnd::Nothing => return Ok(Item::End),
                LineEnd::TooLong => {
                    return Ok(Item::Rejected(too_long(line, self.max_bytes, &self.line, "")));
                }
                LineEnd::Newline | LineEnd::EndOfInput => {}
            }
            if self.line.trim_ascii().is_empty() {
                continue;
            }
            let reject = |reason| {
                let text = without_newline(&self.line).to_vec();
                Item::Rejected(Rejected { line, reason, text })
            };
            return Ok(self.record().map_or_else(reject, Item::Record));
        }
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
