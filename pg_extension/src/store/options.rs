//! Options of servers, tables and columns, and who may use them.
//!
//! In: what CREATE and ALTER are given, and the catalog later. Out: options, or an error that names those
//! there are. Must never: let a role reach files of the server's machine that it could not reach by
//! PostgreSQL's own functions for files.

#![expect(unsafe_code, reason = "asks the catalog for servers and roles")]

use std::ffi::{CStr, CString};
use std::path::PathBuf;

use pgrx::prelude::*;

use super::session;
use crate::convert::to_server;
use crate::error::{raise, raise_with_hint};
use crate::fdw::list;

/// Every option of one object.
pub(super) type Options = Vec<(String, String)>;

/// `atoll.atoll_store_validator(options, catalog)`.
#[pg_extern(volatile, strict)]
fn atoll_store_validator(options: Vec<String>, catalog: pg_sys::Oid) {
    let known: &[&str] = match catalog {
        pg_sys::ForeignServerRelationId => &["path"],
        pg_sys::ForeignTableRelationId => &["prefix", "format"],
        pg_sys::AttributeRelationId => &["key", "field"],
        _ => &[],
    };
    let mut path = None;
    for option in &options {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if !known.contains(&name) {
            let hint = if known.is_empty() {
                "There are no options here.".to_owned()
            } else {
                format!("Options here: {}.", known.join(", "))
            };
            raise_with_hint(
                PgSqlErrorCode::ERRCODE_FDW_INVALID_OPTION_NAME,
                format!("invalid option \"{name}\""),
                &hint,
            );
        }
        let trouble = match name {
            "path" if !value.starts_with('/') => Some("must be an absolute path of a directory"),
            "format" if !matches!(value, "raw" | "json") => Some("must be raw or json"),
            "key" if !value.parse::<u16>().is_ok_and(|place| (1..=32).contains(&place)) => {
                Some("must be the column's place in the key, from 1")
            }
            _ => None,
        };
        if let Some(trouble) = trouble {
            raise(
                PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
                format!("option \"{name}\" {trouble}"),
            );
        }
        if name == "path" {
            path = Some(value);
        }
    }
    if catalog == pg_sys::ForeignServerRelationId {
        if path.is_none() {
            raise_with_hint(
                PgSqlErrorCode::ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED,
                "a server of atoll_store needs the option \"path\"",
                "OPTIONS (path '/directory/of/the/store')",
            );
        }
        // SAFETY: reads the role of the running command.
        check_role(unsafe { pg_sys::GetUserId() }, Wanted::Read);
    }
}

/// `atoll.compact_store(server)`: see `session::compact`. For the server's owner and its members.
#[pg_extern(volatile, strict, parallel_unsafe)]
fn compact_store(server: &str) -> i64 {
    let name = CString::new(to_server(server.as_bytes())).unwrap_or_default();
    // SAFETY: asks the catalog by a name that ends with a zero.
    let (id, may) = unsafe {
        let found = pg_sys::GetForeignServerByName(name.as_ptr(), false);
        let wrapper = (*pg_sys::GetForeignDataWrapper((*found).fdwid)).fdwname;
        if CStr::from_ptr(wrapper) != c"atoll_store" {
            raise(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!("server \"{server}\" is not of atoll_store"),
            );
        }
        let may = pg_sys::has_privs_of_role(pg_sys::GetUserId(), (*found).owner);
        ((*found).serverid, may)
    };
    if !may {
        raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be owner of foreign server {server}"),
        );
    }
    session::compact(&directory(id, Wanted::Write))
}

/// What files are wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Read,
    Write,
}

/// Refuses a role that may not do so with files of the server's machine.
fn check_role(role: pg_sys::Oid, wanted: Wanted) {
    let (group, name) = match wanted {
        Wanted::Read => (pg_sys::ROLE_PG_READ_SERVER_FILES, "pg_read_server_files"),
        Wanted::Write => (pg_sys::ROLE_PG_WRITE_SERVER_FILES, "pg_write_server_files"),
    };
    // SAFETY: asks the catalog about roles; superusers have the privileges of every role.
    let (may, called) = unsafe {
        (
            pg_sys::has_privs_of_role(role, pg_sys::Oid::from(group)),
            CStr::from_ptr(pg_sys::GetUserNameFromId(role, false)),
        )
    };
    if !may {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "role \"{}\" may not {} a store on this machine",
                called.to_string_lossy(),
                if wanted == Wanted::Read { "read" } else { "write" },
            ),
            &format!("The owner of the foreign server must be a superuser or have the privileges of {name}."),
        );
    }
}

/// # Safety
/// A list of options as the catalog gives them.
pub(super) unsafe fn options_of(options: *mut pg_sys::List) -> Options {
    // SAFETY: as the caller says; values are read as text by PostgreSQL and copied.
    unsafe {
        list::pointers::<pg_sys::DefElem>(options)
            .into_iter()
            .map(|option| {
                let name = CStr::from_ptr((*option).defname).to_string_lossy().into_owned();
                let value = CStr::from_ptr(pg_sys::defGetString(option));
                (name, value.to_string_lossy().into_owned())
            })
            .collect()
    }
}

/// The value of an option.
pub(super) fn find<'o>(options: &'o Options, name: &str) -> Option<&'o str> {
    let found = options.iter().find(|(option, _)| option == name);
    found.map(|(_, value)| value.as_str())
}

/// The directory of a server, if its owner may use it so.
pub(super) fn directory(server: pg_sys::Oid, wanted: Wanted) -> PathBuf {
    // SAFETY: the server exists as long as the running statement has its table locked.
    let (owner, options) = unsafe {
        let server = pg_sys::GetForeignServer(server);
        ((*server).owner, options_of((*server).options))
    };
    check_role(owner, wanted);
    match find(&options, "path") {
        Some(path) => PathBuf::from(path),
        None => raise(
            PgSqlErrorCode::ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED,
            "the foreign server has no option \"path\"",
        ),
    }
}
