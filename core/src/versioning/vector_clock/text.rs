//! The text form of a vector clock: `{"A":1,"B":3}`.
//!
//! Written in exactly one way, read in any JSON spelling, so that clocks typed by people work.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};

use super::{VectorClock, name_fault};
use crate::versioning::error::VersionError;

pub(super) fn write(clock: &VectorClock, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("{")?;
    for (at, (name, counter)) in clock.iter().enumerate() {
        if at > 0 {
            f.write_str(",")?;
        }
        f.write_str("\"")?;
        // Names hold no control characters, so these two are all that JSON wants escaped.
        for part in name.split_inclusive(['"', '\\']) {
            match part.as_bytes().last() {
                Some(&escaped @ (b'"' | b'\\')) => {
                    write!(f, "{}\\{}", &part[..part.len() - 1], char::from(escaped))?;
                }
                _ => f.write_str(part)?,
            }
        }
        write!(f, "\":{counter}")?;
    }
    f.write_str("}")
}

pub(super) fn parse(text: &str) -> Result<VectorClock, VersionError> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(ClockVisitor)
        .and_then(|clock| json.end().map(|()| clock))
        .map_err(|error| VersionError::BadText {
            what: r#"vector clock such as {"A":1,"B":3}"#,
            reason: error.to_string(),
        })
}

struct ClockVisitor;

impl<'de> Visitor<'de> for ClockVisitor {
    type Value = VectorClock;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of node names and counters")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<VectorClock, M::Error> {
        let mut entries: Vec<(String, u64)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if let Some(fault) = name_fault(&name) {
                let shown: String = name.chars().take(64).collect();
                return Err(M::Error::custom(format_args!("bad node name {shown:?}: {fault}")));
            }
            entries.push((name, map.next_value()?));
        }
        VectorClock::from_entries(entries.iter().map(|(name, counter)| (&**name, *counter)))
            .map_err(M::Error::custom)
    }
}
