//! What the rows of a foreign table are made of: which columns are the key, which are in the value.
//!
//! In: a table's columns and options. Out: keys as the engine's bytes and back. Must never: take bytes for a
//! key that would not come back as the same bytes.
//!
//! A key of one column is its bytes in the key encoding of all languages: bytea as it is, text as UTF-8,
//! integers as 8 bytes in numeric order, uuid as 16 bytes. A key of several columns is the engine's tuple of
//! them. The option `prefix` stands before all keys of a table and in none of its columns.

#![expect(unsafe_code, reason = "reads descriptors and datums")]

use std::ffi::CStr;
use std::ops::Bound;

use atoll::routing::{KeyBuf, KeyEncoding, KeyRef, decode_tuple, encode_key, encode_tuple};
use atoll::store::scan::end_of_prefix;
use pgrx::prelude::*;
use pgrx::{FromDatum, IntoDatum, Uuid};

use super::options::{Options, find, options_of};
use crate::convert::{to_server, to_utf8, varlena_bytes};
use crate::error::{raise, raise_with_hint};
use crate::versions;

/// A type that a key column can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bytes,
    Text,
    Int2,
    Int4,
    Int8,
    Uuid,
}

impl Kind {
    pub(super) fn of(type_: pg_sys::Oid) -> Option<Kind> {
        Some(match type_ {
            pg_sys::BYTEAOID => Kind::Bytes,
            pg_sys::TEXTOID | pg_sys::VARCHAROID => Kind::Text,
            pg_sys::INT2OID => Kind::Int2,
            pg_sys::INT4OID => Kind::Int4,
            pg_sys::INT8OID => Kind::Int8,
            pg_sys::UUIDOID => Kind::Uuid,
            _ => return None,
        })
    }

    pub(super) fn is_int(self) -> bool {
        matches!(self, Kind::Int2 | Kind::Int4 | Kind::Int8)
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Bytes => "bytea",
            Kind::Text => "text",
            Kind::Int2 => "int2",
            Kind::Int4 => "int4",
            Kind::Int8 => "int8",
            Kind::Uuid => "uuid",
        }
    }

    /// A datum of this type, not null, as an element of a key.
    ///
    /// # Safety
    /// A datum of a type that `of` gives this kind for.
    pub(super) unsafe fn element(self, datum: pg_sys::Datum) -> KeyBuf {
        // SAFETY: as the caller says.
        unsafe {
            let int = match self {
                Kind::Bytes => return KeyBuf::Bytes(varlena_bytes(&datum).to_vec()),
                Kind::Text => {
                    let text = to_utf8(varlena_bytes(&datum)).to_vec();
                    return match String::from_utf8(text) {
                        Ok(text) => KeyBuf::Text(text),
                        Err(_) => raise(
                            PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
                            "a key of text must be UTF-8",
                        ),
                    };
                }
                Kind::Uuid => {
                    let uuid = Uuid::from_datum(datum, false).expect("it is not null");
                    return KeyBuf::Uuid(*uuid.as_bytes());
                }
                Kind::Int2 => i16::from_datum(datum, false).map(i64::from),
                Kind::Int4 => i32::from_datum(datum, false).map(i64::from),
                Kind::Int8 => i64::from_datum(datum, false),
            };
            KeyBuf::Int(int.expect("it is not null"))
        }
    }

    /// An element of a stored key as a datum of this type; none if it is not of this type.
    fn datum(self, element: &KeyBuf) -> Option<pg_sys::Datum> {
        match (self, element) {
            (Kind::Bytes, KeyBuf::Bytes(bytes)) => bytes.as_slice().into_datum(),
            (Kind::Text, KeyBuf::Text(text)) if !text.contains('\0') => {
                to_server(text.as_bytes()).into_datum()
            }
            (Kind::Int2, KeyBuf::Int(value)) => i16::try_from(*value).ok()?.into_datum(),
            (Kind::Int4, KeyBuf::Int(value)) => i32::try_from(*value).ok()?.into_datum(),
            (Kind::Int8, KeyBuf::Int(value)) => value.into_datum(),
            (Kind::Uuid, KeyBuf::Uuid(bytes)) => Uuid::from_bytes(*bytes).into_datum(),
            _ => None,
        }
    }

    /// The element that a key of this one column is.
    fn lone(self, bytes: &[u8]) -> Option<KeyBuf> {
        Some(match self {
            Kind::Bytes => KeyBuf::Bytes(bytes.to_vec()),
            Kind::Text => KeyBuf::Text(String::from_utf8(bytes.to_vec()).ok()?),
            Kind::Uuid => KeyBuf::Uuid(bytes.try_into().ok()?),
            Kind::Int2 | Kind::Int4 | Kind::Int8 => {
                KeyBuf::Int((u64::from_be_bytes(bytes.try_into().ok()?) ^ (1 << 63)) as i64)
            }
        })
    }
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Counts from 1, as PostgreSQL does.
    pub(super) number: i16,
    pub(super) name: String,
    pub(super) type_: pg_sys::Oid,
    pub(super) modifier: i32,
    /// Name of the field in a value of JSON.
    pub(super) field: String,
}

/// How values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One column is the value.
    Raw,
    /// The value is a JSON object, and columns are its fields.
    Json,
    /// There is no column of the value.
    Keys,
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) server: pg_sys::Oid,
    pub(super) prefix: Vec<u8>,
    pub(super) key: Vec<(Column, Kind)>,
    pub(super) rest: Vec<Column>,
    pub(super) format: Format,
}

impl Shape {
    /// # Safety
    /// A foreign table of this wrapper, locked.
    pub(super) unsafe fn of(table: pg_sys::Oid) -> Shape {
        // SAFETY: as the caller says; the relation is closed again, its lock stays.
        unsafe {
            let relation = pg_sys::relation_open(table, pg_sys::NoLock as i32);
            let shape = Shape::of_relation(relation);
            pg_sys::relation_close(relation, pg_sys::NoLock as i32);
            shape
        }
    }

    /// # Safety
    /// An open foreign table of this wrapper.
    pub(super) unsafe fn of_relation(relation: pg_sys::Relation) -> Shape {
        let (mut keys, mut rest) = (Vec::new(), Vec::new());
        // SAFETY: as the caller says; the descriptor has as many attributes as it says, names end with a zero.
        let (foreign, options) = unsafe {
            let types = (*relation).rd_att;
            for n in 0..(*types).natts as usize {
                let attribute = &*versions::column(types, n);
                if attribute.attisdropped {
                    continue;
                }
                let options = options_of(pg_sys::GetForeignColumnOptions(
                    (*relation).rd_id,
                    attribute.attnum,
                ));
                let name = CStr::from_ptr(attribute.attname.data.as_ptr())
                    .to_string_lossy()
                    .into_owned();
                let column = Column {
                    number: attribute.attnum,
                    field: find(&options, "field").unwrap_or(&name).to_owned(),
                    name,
                    type_: attribute.atttypid,
                    modifier: attribute.atttypmod,
                };
                match find(&options, "key") {
                    Some(place) => keys.push((place.parse::<u16>().unwrap_or(0), column)),
                    None => rest.push(column),
                }
            }
            let foreign = pg_sys::GetForeignTable((*relation).rd_id);
            ((*foreign).serverid, options_of((*foreign).options))
        };
        Shape {
            server: foreign,
            prefix: find(&options, "prefix").unwrap_or("").as_bytes().to_vec(),
            format: format_of(&rest, &options),
            key: key_of(keys),
            rest,
        }
    }

    /// Whether keys ascend as the values of the columns do.
    pub(super) fn column(&self, number: i16) -> Option<(usize, Kind)> {
        let place = self.key.iter().position(|(column, _)| column.number == number)?;
        Some((place, self.key[place].1))
    }

    /// The stored key of these elements; fewer than there are columns give what all keys that begin with them
    /// begin with.
    pub(super) fn encode(&self, elements: &[KeyBuf]) -> Vec<u8> {
        let mut bytes = self.prefix.clone();
        if self.key.len() > 1 {
            bytes.extend(encode_tuple(elements));
        } else if let [element] = elements {
            bytes.extend_from_slice(&match element {
                KeyBuf::Bytes(bytes) => encode_key(&KeyRef::Bytes(bytes), KeyEncoding::Binary),
                KeyBuf::Text(text) => encode_key(&KeyRef::Text(text), KeyEncoding::Binary),
                KeyBuf::Int(value) => encode_key(&KeyRef::Int(*value), KeyEncoding::Binary),
                KeyBuf::Uuid(bytes) => encode_key(&KeyRef::Uuid(*bytes), KeyEncoding::Binary),
                KeyBuf::Tuple(_) => unreachable!("no column is a tuple"),
            });
        }
        bytes
    }

    /// The columns' values of a stored key. Raises if it is no key of this table.
    pub(super) fn decode(&self, key: &[u8]) -> Vec<pg_sys::Datum> {
        let bytes = key.strip_prefix(self.prefix.as_slice()).unwrap_or(key);
        let elements = match self.key.as_slice() {
            [(_, kind)] => kind.lone(bytes).map(|element| vec![element]),
            _ => decode_tuple(bytes)
                .ok()
                .filter(|elements| elements.len() == self.key.len()),
        };
        let values: Option<Vec<_>> = elements.and_then(|elements| {
            let columns = self.key.iter().zip(&elements);
            columns.map(|((_, kind), element)| kind.datum(element)).collect()
        });
        values.unwrap_or_else(|| {
            let kinds: Vec<_> = self.key.iter().map(|(_, kind)| kind.name()).collect();
            raise_with_hint(
                PgSqlErrorCode::ERRCODE_FDW_INVALID_DATA_TYPE,
                format!(
                    "the key \"{}\" ({} bytes) is not of type {}",
                    key.escape_ascii(),
                    key.len(),
                    kinds.join(", ")
                ),
                "Key columns have the types that the keys were made of; bytea takes any. The table's option \"prefix\" leaves out other keys.",
            )
        })
    }

    /// The range of all keys of the table.
    pub(super) fn range(&self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (Bound::Included(self.prefix.clone()), end_of_prefix(&self.prefix))
    }
}

fn key_of(mut keys: Vec<(u16, Column)>) -> Vec<(Column, Kind)> {
    keys.sort_by_key(|(place, _)| *place);
    if keys.is_empty() {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED,
            "no column is the key",
            "Give the column that holds the key OPTIONS (key '1').",
        );
    }
    let of_places = keys.iter().zip(1..);
    if !of_places.clone().all(|((place, _), wanted)| *place == wanted) {
        raise(
            PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
            "the options \"key\" of the columns must count 1, 2, 3",
        );
    }
    let kinds = keys.into_iter().map(|(_, column)| match Kind::of(column.type_) {
        Some(kind) => (column, kind),
        None => raise_with_hint(
            PgSqlErrorCode::ERRCODE_FDW_INVALID_DATA_TYPE,
            format!("column \"{}\" has a type that no key has", column.name),
            "Key columns are bytea, text, varchar, int2, int4, int8 or uuid.",
        ),
    });
    kinds.collect()
}

fn format_of(rest: &[Column], options: &Options) -> Format {
    let whole = [
        pg_sys::BYTEAOID,
        pg_sys::TEXTOID,
        pg_sys::VARCHAROID,
        pg_sys::JSONOID,
        pg_sys::JSONBOID,
    ];
    let is_lone = matches!(rest, [column] if whole.contains(&column.type_) && column.field == column.name);
    match (find(options, "format"), rest) {
        (_, []) => Format::Keys,
        (Some("json"), _) => Format::Json,
        (Some(_), [_]) if is_lone => Format::Raw,
        (Some(_), _) => raise_with_hint(
            PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
            "format raw needs one column beside the key, of type bytea, text, json or jsonb",
            "With the option format 'json' each column is a field of the value.",
        ),
        (None, _) if is_lone => Format::Raw,
        (None, _) => Format::Json,
    }
}
