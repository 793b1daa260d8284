//! IMPORT FOREIGN SCHEMA: foreign tables for what a store holds.
//!
//! In: a server, and which tables are wanted. Out: CREATE FOREIGN TABLE statements. Must never: read more
//! than a few keys of each group.
//!
//! The schema is called `store`. It has a table `entries` of everything, and one for each prefix of keys up to
//! a separator, ":" unless the option `separator` says otherwise: keys `user:1`, `user:2` make a table `user`
//! with the option `prefix 'user:'`. Columns come from the first values: the fields of JSON objects, else text,
//! else bytea.

#![expect(
    unsafe_code,
    reason = "reads the statement and makes PostgreSQL's list of strings"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::ops::Bound;
use std::ptr::null_mut;

use atoll::store::scan::end_of_prefix;
use atoll::store::{ReaderSnapshot, ScanOptions, StoreError};
use pgrx::pg_guard;
use pgrx::prelude::*;

use super::options::{self, Wanted, find, options_of};
use super::session;
use super::value::Fields;
use crate::convert::to_server;
use crate::error::{raise, raise_store, raise_with_hint};

const SCHEMA: &str = "store";
const WHOLE: &str = "entries";
/// Values of a group that are looked at.
const LOOKED_AT: u64 = 200;
/// Groups of keys that become tables; with more of them the separator is not what groups keys.
const MOST_TABLES: usize = 1000;

/// A group of keys.
struct Group {
    name: String,
    prefix: String,
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn import(
    statement: *mut pg_sys::ImportForeignSchemaStmt,
    server: pg_sys::Oid,
) -> *mut pg_sys::List {
    // SAFETY: PostgreSQL passes the statement; its strings end with a zero.
    let (schema, options, server_name) = unsafe {
        (
            CStr::from_ptr((*statement).remote_schema).to_string_lossy(),
            options_of((*statement).options),
            CStr::from_ptr((*statement).server_name),
        )
    };
    if schema != SCHEMA {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_FDW_SCHEMA_NOT_FOUND,
            format!("a store has no schema \"{schema}\""),
            "IMPORT FOREIGN SCHEMA store FROM SERVER …",
        );
    }
    if let Some((name, _)) = options.iter().find(|(name, _)| name != "separator") {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_FDW_INVALID_OPTION_NAME,
            format!("invalid option \"{name}\""),
            "Options here: separator.",
        );
    }
    let separator = find(&options, "separator").unwrap_or(":");
    if separator.is_empty() {
        raise(
            PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
            "option \"separator\" must not be empty",
        );
    }
    let path = options::directory(server, Wanted::Read);
    let found = session::open(&path).reader.snapshot().and_then(|snapshot| {
        let mut groups = vec![Group {
            name: WHOLE.to_owned(),
            prefix: String::new(),
        }];
        groups.extend(groups_of(&snapshot, separator)?);
        let columns = groups.iter().map(|group| columns(&snapshot, group));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok(groups.into_iter().zip(columns).collect::<Vec<_>>())
    });
    let found = found.unwrap_or_else(|error| raise_store(&error));
    let mut commands = null_mut();
    for (group, columns) in found {
        let name = text(&group.name);
        // SAFETY: strings end with a zero; the list and its strings are the caller's.
        unsafe {
            if !pg_sys::IsImportableForeignTable(name.as_ptr(), statement) {
                continue;
            }
            let prefix = match group.prefix.as_str() {
                "" => String::new(),
                prefix => format!(" OPTIONS (prefix {})", literal(prefix)),
            };
            let command = format!(
                "CREATE FOREIGN TABLE {} ({columns}) SERVER {}{prefix}",
                quoted(&group.name),
                CStr::from_ptr(pg_sys::quote_identifier(server_name.as_ptr())).to_string_lossy(),
            );
            commands = pg_sys::lappend(commands, pg_sys::pstrdup(text(&command).as_ptr()).cast());
        }
    }
    commands
}

/// The prefixes that keys have, in order: one look-up each, however many keys have it.
fn groups_of(snapshot: &ReaderSnapshot, separator: &str) -> Result<Vec<Group>, StoreError> {
    let mut groups: Vec<Group> = Vec::new();
    let mut start = Bound::Included(Vec::new());
    let one = ScanOptions {
        limit: Some(1),
        ..ScanOptions::default()
    };
    // Keys without a separator stand between groups: each is passed on its own, but not for ever.
    let mut passed = 0;
    while passed < 10_000 {
        let mut scan = snapshot.scan_with(start.as_ref().map(Vec::as_slice), Bound::Unbounded, one)?;
        let Some(entry) = scan.next_entry()? else { break };
        let key = entry.key.to_vec();
        let at = key
            .windows(separator.len())
            .position(|part| part == separator.as_bytes());
        let name = at.and_then(|at| std::str::from_utf8(&key[..at]).ok());
        let fits = |name: &&str| {
            !name.is_empty() && name.len() < 64 && *name != WHOLE && !name.contains(char::is_control)
        };
        match name.filter(fits) {
            Some(name) => {
                let prefix = format!("{name}{separator}");
                start = match end_of_prefix(prefix.as_bytes()) {
                    Bound::Excluded(end) => Bound::Included(end),
                    _ => break,
                };
                groups.push(Group {
                    name: name.to_owned(),
                    prefix,
                });
                if groups.len() > MOST_TABLES {
                    raise_with_hint(
                        PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                        format!("keys have more than {MOST_TABLES} prefixes up to \"{separator}\""),
                        "Name another separator, or LIMIT TO (entries) with a separator that no key has.",
                    );
                }
            }
            None => {
                passed += 1;
                start = Bound::Excluded(key);
            }
        }
    }
    Ok(groups)
}

/// What the values of a group look like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Boolean,
    Int,
    Number,
    Text,
    Json,
}

impl Type {
    fn of(value: &serde_json::Value) -> Option<Type> {
        Some(match value {
            serde_json::Value::Null => return None,
            serde_json::Value::Bool(_) => Type::Boolean,
            serde_json::Value::Number(number) if number.is_i64() => Type::Int,
            serde_json::Value::Number(_) => Type::Number,
            serde_json::Value::String(_) => Type::Text,
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => Type::Json,
        })
    }

    /// A type that has both.
    fn join(self, other: Type) -> Type {
        match (self, other) {
            (one, other) if one == other => one,
            (Type::Int | Type::Number, Type::Int | Type::Number) => Type::Number,
            _ => Type::Json,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Type::Boolean => "bool",
            Type::Int => "int8",
            Type::Number => "numeric",
            Type::Text => "text",
            Type::Json => "jsonb",
        }
    }
}

/// The columns of a group, as DDL.
fn columns(snapshot: &ReaderSnapshot, group: &Group) -> Result<String, StoreError> {
    let options = ScanOptions {
        limit: Some(LOOKED_AT),
        ..ScanOptions::default()
    };
    let mut scan = snapshot.scan_prefix(group.prefix.as_bytes(), options)?;
    let (mut keys_are_text, mut values_are_text, mut objects, mut rows) = (true, true, 0, 0);
    let mut fields: Vec<(String, Option<Type>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(entry) = scan.next_entry()? {
        rows += 1;
        let is_text = |bytes: &[u8]| !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
        let value = entry.value.unwrap_or_default();
        keys_are_text &= is_text(entry.key);
        values_are_text &= is_text(value);
        if let Ok(object) = serde_json::from_slice::<Fields<'_>>(value) {
            objects += 1;
            for (name, raw) in object.0 {
                // Numbers beyond the parser's own are still numbers.
                let value = serde_json::from_str(raw.get()).unwrap_or(serde_json::Value::from(0.5));
                let place = *places.entry(name.clone()).or_insert(fields.len());
                if place == fields.len() {
                    fields.push((name, None));
                }
                let known = &mut fields[place].1;
                *known = match (*known, Type::of(&value)) {
                    (Some(one), Some(other)) => Some(one.join(other)),
                    (one, other) => one.or(other),
                };
            }
        }
    }
    let key = if keys_are_text {
        "key text OPTIONS (key '1') COLLATE \"C\""
    } else {
        "key bytea OPTIONS (key '1')"
    };
    if rows > 0 && objects == rows && !group.prefix.is_empty() && fields.len() < 1000 {
        let mut all = vec![key.to_owned()];
        for (n, (field, type_)) in fields.into_iter().enumerate() {
            let type_ = type_.unwrap_or(Type::Json).name();
            // Names that a column cannot have become others, and the option keeps the field's own.
            let usable = !field.is_empty() && field.len() < 64 && field != "key" && !field.contains('\0');
            let name = if usable {
                field.clone()
            } else {
                format!("field{}", n + 1)
            };
            let named = format!(" OPTIONS (field {})", literal(&field));
            all.push(format!("{} {type_}{named}", quoted(&name)));
        }
        return Ok(all.join(", "));
    }
    let value = match (values_are_text, rows > 0 && objects == rows) {
        (true, true) => "jsonb",
        (true, false) => "text",
        (false, _) => "bytea",
    };
    Ok(format!("{key}, value {value}"))
}

/// UTF-8 as a string of the server.
fn text(text: &str) -> CString {
    CString::new(to_server(text.as_bytes())).unwrap_or_default()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!(" E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
