//! Values between the store's bytes and the columns of a row.
//!
//! In: a value's bytes, or the values of columns. Out: datums, or bytes. Must never: lose a field that has no
//! column, or a digit; give PostgreSQL text that is not valid in its encoding.

#![expect(unsafe_code, reason = "calls the input and output functions of types")]

use std::ffi::CString;

use pgrx::prelude::*;
use pgrx::{IntoDatum, pg_sys};
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::shape::{Column, Format, Shape};
use crate::convert::{to_server, to_utf8, varlena_bytes};
use crate::error::{raise, raise_with_hint};
use crate::fdw::convert::Outputs;

/// A JSON object in the order of its fields, each value as its text.
pub(super) struct Fields<'v>(pub(super) Vec<(String, &'v RawValue)>);

impl<'de: 'v, 'v> serde::Deserialize<'de> for Fields<'v> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'v> Visitor<'v> for InOrder {
            type Value = Fields<'v>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'v>>(self, mut map: A) -> Result<Fields<'v>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// How the text of a type is read.
struct Input {
    function: pg_sys::FmgrInfo,
    parameter: pg_sys::Oid,
}

/// Reads and writes values of one table. Lives in the memory context it was made in.
pub(super) struct Codec {
    inputs: Vec<Input>,
    outputs: Outputs,
}

fn not_valid(key: &[u8], what: &str) -> ! {
    raise_with_hint(
        PgSqlErrorCode::ERRCODE_FDW_INVALID_DATA_TYPE,
        format!("the value of key \"{}\" is {what}", key.escape_ascii()),
        "A column of type bytea takes any value.",
    )
}

impl Codec {
    /// In the current memory context.
    pub(super) fn new(shape: &Shape) -> Codec {
        let input = |column: &Column| {
            // SAFETY: types of columns exist; the function is looked up into memory that lives as long as this.
            unsafe {
                let (mut function, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::getTypeInputInfo(column.type_, &mut function, &mut parameter);
                let mut info = pg_sys::FmgrInfo::default();
                pg_sys::fmgr_info(function, &mut info);
                Input {
                    function: info,
                    parameter,
                }
            }
        };
        let types: Vec<_> = shape.rest.iter().map(|column| column.type_).collect();
        Codec {
            inputs: shape.rest.iter().map(input).collect(),
            outputs: Outputs::new(&types),
        }
    }

    /// The columns of a value, those that are `wanted`; the others are null. In the current memory context.
    pub(super) fn read(
        &mut self,
        shape: &Shape,
        wanted: &dyn Fn(i16) -> bool,
        key: &[u8],
        value: &[u8],
    ) -> Vec<Option<pg_sys::Datum>> {
        let mut columns = vec![None; shape.rest.len()];
        if !shape.rest.iter().any(|column| wanted(column.number)) {
            return columns;
        }
        match shape.format {
            Format::Keys => {}
            Format::Raw if shape.rest[0].type_ == pg_sys::BYTEAOID => columns[0] = value.into_datum(),
            Format::Raw => {
                let Ok(text) = std::str::from_utf8(value) else {
                    not_valid(key, "not UTF-8")
                };
                columns[0] = Some(self.input(0, &shape.rest[0], key, text));
            }
            Format::Json => {
                let fields: Fields<'_> = match serde_json::from_slice(value) {
                    Ok(fields) => fields,
                    Err(error) => not_valid(key, &format!("no JSON object: {error}")),
                };
                for (n, column) in shape.rest.iter().enumerate() {
                    if !wanted(column.number) {
                        continue;
                    }
                    // Of a field that is there twice the last counts, as in jsonb.
                    let found = fields.0.iter().rev().find(|(name, _)| *name == column.field);
                    let Some(raw) = found.map(|(_, raw)| raw.get()).filter(|raw| *raw != "null") else {
                        continue;
                    };
                    let is_json = matches!(column.type_, pg_sys::JSONOID | pg_sys::JSONBOID);
                    let text = match serde_json::from_str::<String>(raw) {
                        Ok(text) if !is_json => text,
                        _ => raw.to_owned(),
                    };
                    columns[n] = Some(self.input(n, column, key, &text));
                }
            }
        }
        columns
    }

    fn input(&mut self, n: usize, column: &Column, key: &[u8], text: &str) -> pg_sys::Datum {
        let Ok(text) = CString::new(to_server(text.as_bytes())) else {
            not_valid(key, "text with a zero byte, which PostgreSQL does not have")
        };
        let input = &mut self.inputs[n];
        // SAFETY: the function belongs to the column's type; the text ends with a zero and is copied.
        unsafe {
            pg_sys::InputFunctionCall(
                &mut input.function,
                text.as_ptr().cast_mut(),
                input.parameter,
                column.modifier,
            )
        }
    }

    /// The bytes of a value with these columns. Fields of `old` that have no column, or one that is not
    /// `changed`, stay as they are.
    pub(super) fn write(
        &mut self,
        shape: &Shape,
        columns: &[Option<pg_sys::Datum>],
        key: &[u8],
        old: Option<&[u8]>,
        changed: &dyn Fn(i16) -> bool,
    ) -> Vec<u8> {
        match (shape.format, columns) {
            (Format::Keys, _) => old.unwrap_or_default().to_vec(),
            (Format::Raw, [None]) => raise(
                PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
                format!(
                    "column \"{}\" is the value, which cannot be null",
                    shape.rest[0].name
                ),
            ),
            (Format::Raw, [Some(datum), ..]) if shape.rest[0].type_ == pg_sys::BYTEAOID => {
                varlena_bytes(datum).to_vec()
            }
            (Format::Raw, columns) => {
                let texts = self.texts(columns);
                texts
                    .into_iter()
                    .next()
                    .flatten()
                    .unwrap_or_default()
                    .into_bytes()
            }
            (Format::Json, columns) => self.write_fields(shape, columns, key, old, changed),
        }
    }

    /// The columns as text in UTF-8.
    fn texts(&mut self, columns: &[Option<pg_sys::Datum>]) -> Vec<Option<String>> {
        let mut texts = Vec::new();
        self.outputs.texts(columns.iter().copied(), &mut texts);
        let utf8 = |text: CString| match std::str::from_utf8(to_utf8(text.to_bytes())) {
            Ok(text) => text.to_owned(),
            Err(_) => raise(
                PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
                "text in a store must be UTF-8",
            ),
        };
        texts.into_iter().map(|text| text.map(utf8)).collect()
    }

    fn write_fields(
        &mut self,
        shape: &Shape,
        columns: &[Option<pg_sys::Datum>],
        key: &[u8],
        old: Option<&[u8]>,
        changed: &dyn Fn(i16) -> bool,
    ) -> Vec<u8> {
        let kept: Fields<'_> = match old.map(serde_json::from_slice) {
            None => Fields(Vec::new()),
            Some(Ok(fields)) => fields,
            Some(Err(error)) => not_valid(key, &format!("no JSON object: {error}")),
        };
        let texts = self.texts(columns);
        let mut new: Vec<Option<String>> = shape
            .rest
            .iter()
            .zip(texts)
            .map(|(column, text)| {
                let text = text.filter(|_| old.is_none() || changed(column.number));
                text.map(|text| json_text(column.type_, text))
            })
            .collect();
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, raw) in kept.0 {
            let column = shape.rest.iter().position(|column| column.field == name);
            match column.filter(|&n| changed(shape.rest[n].number)) {
                // A column that is null takes its field away.
                Some(n) => fields.extend(new[n].take().map(|text| (name, text))),
                None => fields.push((name, raw.get().to_owned())),
            }
        }
        for (column, text) in shape.rest.iter().zip(new) {
            fields.extend(text.map(|text| (column.field.clone(), text)));
        }
        let parts: Vec<String> = fields
            .into_iter()
            .map(|(name, text)| format!("{}:{text}", serde_json::Value::String(name)))
            .collect();
        format!("{{{}}}", parts.join(",")).into_bytes()
    }
}

/// The text of a value of this type as JSON.
fn json_text(type_: pg_sys::Oid, text: String) -> String {
    match type_ {
        pg_sys::JSONOID | pg_sys::JSONBOID => text,
        pg_sys::BOOLOID => if text == "t" { "true" } else { "false" }.to_owned(),
        pg_sys::INT2OID
        | pg_sys::INT4OID
        | pg_sys::INT8OID
        | pg_sys::NUMERICOID
        | pg_sys::FLOAT4OID
        | pg_sys::FLOAT8OID
            if serde_json::from_str::<&RawValue>(&text).is_ok() =>
        {
            text
        }
        // Others, and numbers that JSON does not have, such as NaN.
        _ => serde_json::Value::String(text).to_string(),
    }
}
