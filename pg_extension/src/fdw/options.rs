//! Options of servers, tables and mappings.
//!
//! In: what CREATE and ALTER are given. Out: nothing, or an error that names the options there are. Must
//! never: accept one that would make planning ask another server, or keep a password elsewhere than in a
//! user mapping.

use pgrx::prelude::*;

use crate::error::{raise, raise_with_hint};

/// `atoll.atoll_fdw_validator(options, catalog)`.
#[pg_extern(volatile, strict)]
fn atoll_fdw_validator(options: Vec<String>, catalog: pg_sys::Oid) {
    let known: &[&str] = match catalog {
        pg_sys::ForeignServerRelationId => &[
            "group",
            "slot",
            "extensions",
            "fdw_startup_cost",
            "fdw_tuple_cost",
        ],
        pg_sys::ForeignTableRelationId => &["schema_name", "table_name", "batch_size", "updatable"],
        pg_sys::AttributeRelationId => &["column_name"],
        pg_sys::UserMappingRelationId => &["user", "password"],
        _ => &[],
    };
    for option in &options {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if name == "use_remote_estimate" {
            raise(
                PgSqlErrorCode::ERRCODE_FDW_INVALID_OPTION_NAME,
                "use_remote_estimate is refused: planning asks no other server",
            );
        }
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
        let good = match name {
            "group" | "slot" => value.parse::<i32>().is_ok_and(|number| number >= 0),
            "batch_size" => value.parse::<i32>().is_ok_and(|number| number >= 1),
            "fdw_startup_cost" | "fdw_tuple_cost" => value
                .parse::<f64>()
                .is_ok_and(|cost| cost >= 0.0 && cost.is_finite()),
            "updatable" => matches!(value, "true" | "false" | "on" | "off" | "1" | "0"),
            _ => true,
        };
        if !good {
            // Values of mappings are never repeated.
            raise(
                PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
                format!("invalid value for option \"{name}\""),
            );
        }
    }
}
