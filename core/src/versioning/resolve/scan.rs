//! Finds the parts of JSON and MessagePack values without turning them into anything else.
//!
//! In: bytes of a value. Out: its fields or elements as slices of the same bytes, so that no digit of a
//! number and no extension type changes on the way. Must never recurse with the input or allocate by a
//! length that the bytes do not back.

use std::collections::BTreeMap;

use rmp::Marker;
use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    MessagePack,
}

pub(super) fn form(value: &[u8]) -> Form {
    match value.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => Form::Json,
        _ => Form::MessagePack,
    }
}

/// Fields of a map, or `None` if the value is no map with text for keys.
pub(super) fn fields(form: Form, value: &[u8]) -> Result<Option<BTreeMap<String, &[u8]>>, String> {
    match form {
        Form::Json if value.trim_ascii_start().first() != Some(&b'{') => Ok(None),
        Form::Json => {
            let mut json = serde_json::Deserializer::from_slice(value);
            let map = json.deserialize_map(Fields).map_err(|error| error.to_string())?;
            json.end().map_err(|error| error.to_string())?;
            Ok(Some(map))
        }
        Form::MessagePack => packed_fields(value),
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = BTreeMap<String, &'de [u8]>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut fields = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let value: &'de RawValue = map.next_value()?;
            if fields.insert(name.clone(), value.get().as_bytes()).is_some() {
                return Err(M::Error::custom(format_args!("field {name:?} is given twice")));
            }
        }
        Ok(fields)
    }
}

/// Elements of an array.
pub(super) fn elements(form: Form, value: &[u8]) -> Result<Vec<&[u8]>, String> {
    match form {
        Form::Json => {
            let all: Vec<&RawValue> = serde_json::from_slice(value).map_err(|error| error.to_string())?;
            Ok(all.into_iter().map(|element| element.get().as_bytes()).collect())
        }
        Form::MessagePack => {
            let mut at = 0;
            let Items::Array(count) = head(value, &mut at)? else {
                return Err("neither a JSON nor a MessagePack array".to_owned());
            };
            let mut all = Vec::new();
            for _ in 0..count {
                all.push(item(value, &mut at)?);
            }
            ended(value, at).map(|()| all)
        }
    }
}

fn packed_fields(value: &[u8]) -> Result<Option<BTreeMap<String, &[u8]>>, String> {
    let mut at = 0;
    let Items::Map(count) = head(value, &mut at)? else {
        return Ok(None);
    };
    let mut fields = BTreeMap::new();
    let mut all_text = true;
    for _ in 0..count {
        let start = at;
        let name = match head(value, &mut at)? {
            Items::Text(start, end) => std::str::from_utf8(&value[start..end]).ok(),
            _ => {
                at = start;
                item(value, &mut at)?;
                None
            }
        };
        let field = item(value, &mut at)?;
        match name {
            None => all_text = false,
            Some(name) => {
                if fields.insert(name.to_owned(), field).is_some() {
                    return Err(format!("field {name:?} is given twice"));
                }
            }
        }
    }
    ended(value, at)?;
    Ok(all_text.then_some(fields))
}

fn ended(value: &[u8], at: usize) -> Result<(), String> {
    if at < value.len() {
        return Err(format!("bytes left over at {at}"));
    }
    Ok(())
}

enum Items {
    Scalar,
    Text(usize, usize),
    Array(u64),
    Map(u64),
}

/// One whole item, however deep: counts what is still to come instead of recursing.
fn item<'a>(value: &'a [u8], at: &mut usize) -> Result<&'a [u8], String> {
    let start = *at;
    let mut due = 1u64;
    while due > 0 {
        due -= 1;
        due = due.saturating_add(match head(value, at)? {
            Items::Scalar | Items::Text(..) => 0,
            Items::Array(count) => count,
            Items::Map(count) => count * 2,
        });
    }
    Ok(&value[start..*at])
}

/// Reads a marker with its length and, unless it holds other items, its content.
fn head(value: &[u8], at: &mut usize) -> Result<Items, String> {
    let marker = Marker::from_u8(take(value, at, 1)?[0]);
    let (width, extra) = match marker {
        Marker::Str8 | Marker::Bin8 => (1, 0),
        Marker::Str16 | Marker::Bin16 | Marker::Array16 | Marker::Map16 => (2, 0),
        Marker::Str32 | Marker::Bin32 | Marker::Array32 | Marker::Map32 => (4, 0),
        Marker::Ext8 => (1, 1),
        Marker::Ext16 => (2, 1),
        Marker::Ext32 => (4, 1),
        _ => (0, 0),
    };
    let length = take(value, at, width)?
        .iter()
        .fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let bytes = match marker {
        Marker::Array16 | Marker::Array32 => return Ok(Items::Array(length)),
        Marker::Map16 | Marker::Map32 => return Ok(Items::Map(length)),
        Marker::FixArray(count) => return Ok(Items::Array(u64::from(count))),
        Marker::FixMap(count) => return Ok(Items::Map(u64::from(count))),
        Marker::Reserved => return Err(format!("the marker before {at} is reserved in MessagePack")),
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => 0,
        Marker::U8 | Marker::I8 => 1,
        Marker::U16 | Marker::I16 | Marker::FixExt1 => 2,
        Marker::FixExt2 => 3,
        Marker::U32 | Marker::I32 | Marker::F32 => 4,
        Marker::FixExt4 => 5,
        Marker::U64 | Marker::I64 | Marker::F64 => 8,
        Marker::FixExt8 => 9,
        Marker::FixExt16 => 17,
        Marker::FixStr(length) => usize::from(length),
        _ => length as usize + extra,
    };
    let start = *at;
    take(value, at, bytes)?;
    Ok(match marker {
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => Items::Text(start, *at),
        _ => Items::Scalar,
    })
}

fn take<'a>(value: &'a [u8], at: &mut usize, count: usize) -> Result<&'a [u8], String> {
    let rest = &value[*at..];
    if count > rest.len() {
        return Err(format!("the value ends too early, at {}", value.len()));
    }
    *at += count;
    Ok(&rest[..count])
}

pub(super) fn put_map(form: Form, fields: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let infallible = "writing to memory cannot fail";
    match form {
        Form::Json => {
            out.push(b'{');
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut out, name).expect(infallible);
                out.push(b':');
                out.extend_from_slice(value);
            }
            out.push(b'}');
        }
        Form::MessagePack => {
            rmp::encode::write_map_len(&mut out, fields.len() as u32).expect(infallible);
            for (name, value) in fields {
                rmp::encode::write_str(&mut out, name).expect(infallible);
                out.extend_from_slice(value);
            }
        }
    }
    out
}

pub(super) fn put_array<'a>(form: Form, elements: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    match form {
        Form::Json => out.push(b'['),
        Form::MessagePack => {
            rmp::encode::write_array_len(&mut out, elements.len() as u32)
                .expect("writing to memory cannot fail");
        }
    }
    for (at, element) in elements.enumerate() {
        if form == Form::Json && at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(element);
    }
    if form == Form::Json {
        out.push(b']');
    }
    out
}

/// Whether the bytes are exactly one value of this form.
pub(super) fn is_one(form: Form, value: &[u8]) -> bool {
    match form {
        Form::Json => {
            serde_json::from_slice::<&RawValue>(value).is_ok_and(|raw| raw.get().len() == value.len())
        }
        Form::MessagePack => {
            let mut at = 0;
            item(value, &mut at).is_ok() && at == value.len()
        }
    }
}
