//! Options by name, as text.
//!
//! In: names and values of the table that `atoll options` prints. Out: options of a store or a cluster, and the
//! table itself. Must never: accept a name or a value that the table does not.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::{CString, c_char};
use std::sync::LazyLock;

use atoll::cluster::ClusterOptions;
use atoll::config::{self, OptionError, OptionInfo, OptionSet};
use atoll::store::StoreOptions;
use parking_lot::Mutex;

use crate::bytes::text;
use crate::call::{call, exclusive, free, handle, out};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::status::*;

/// Options for opening a store or a cluster.
pub struct atoll_options {
    set: Mutex<Vec<(String, String)>>,
}

impl atoll_options {
    /// What was set, on top of the defaults. An option of the other scope is an error here.
    pub(crate) fn apply<O: OptionSet>(&self, options: &mut O) -> Result<(), Failure> {
        for (name, value) in exclusive("options", &self.set)?.iter() {
            options.set_option(name, value)?;
        }
        Ok(())
    }
}

/// One option of the table.
///
/// The strings live as long as the library stays loaded.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_option_info {
    /// Whose it is: "store" or "cluster".
    pub scope: *const c_char,
    /// Its name, the same in every language.
    pub name: *const c_char,
    /// How its value is written: "bytes", "time", "true or false", or the words there are.
    pub unit: *const c_char,
    /// Value where nothing is set.
    pub default_value: *const c_char,
    /// Smallest value; NULL where there is none.
    pub min: *const c_char,
    /// Largest value; NULL where there is none.
    pub max: *const c_char,
    /// What it does, and what changing it costs.
    pub doc: *const c_char,
}

/// The table, with a NUL at the end of each text.
struct Described([Option<CString>; 7]);

static TABLE: LazyLock<Vec<Described>> =
    LazyLock::new(|| config::table().into_iter().map(describe).collect());

fn describe(info: OptionInfo) -> Described {
    let c = |text: String| CString::new(text).ok();
    Described([
        c(info.scope.to_owned()),
        c(info.name.to_owned()),
        c(info.unit.to_owned()),
        c(info.default),
        info.min.and_then(c),
        info.max.and_then(c),
        c(info.doc.to_owned()),
    ])
}

/// Makes options that set nothing. Free them with atoll_options_free().
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_options_new() -> *mut atoll_options {
    guard(std::ptr::null_mut(), || {
        Box::into_raw(Box::new(atoll_options {
            set: Mutex::new(Vec::new()),
        }))
    })
}

/// Frees options. NULL is allowed. What was opened with them keeps what it needs.
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_options_free(options: *mut atoll_options) {
    // SAFETY: the contract of the header: options came from atoll_options_new() and are freed once.
    unsafe { free(options) }
}

/// Sets an option by its name: atoll_options_set(o, "segment_max_bytes", "16MiB", &err).
///
/// Setting it again replaces the value. One thread at a time. ATOLL_E_INVALID for a name or a value that the table
/// does not have; the message names what would be right, and nothing has changed.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_options_set(
    options: *mut atoll_options,
    name: *const c_char,
    value: *const c_char,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (options, name, value) = unsafe {
            (
                handle("options", options)?,
                text("name", name)?,
                text("value", value)?,
            )
        };
        // Which of the two is meant shows when something is opened; a name may be in both, with other values.
        let in_store = StoreOptions::standalone().set_option(name, value);
        let in_cluster = ClusterOptions::default().set_option(name, value);
        match (in_store, in_cluster) {
            (Ok(()), _) | (_, Ok(())) => {}
            (Err(OptionError::Unknown { nearest: None, .. }), Err(better)) => return Err(better.into()),
            (Err(OptionError::Unknown { .. }), Err(known @ OptionError::Invalid { .. }))
            | (Err(OptionError::Unknown { .. }), Err(known @ OptionError::OutOfRange { .. })) => {
                return Err(known.into());
            }
            (Err(wrong), _) => return Err(wrong.into()),
        }
        let mut set = exclusive("options", &options.set)?;
        set.retain(|(other, _)| other != name);
        set.push((name.to_owned(), value.to_owned()));
        Ok(ATOLL_OK)
    })
}

/// Returns how many options there are, of stores and of clusters. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_options_count() -> usize {
    guard(0, || TABLE.len())
}

/// Tells option number `i`, from 0 to atoll_options_count() - 1.
///
/// Any thread. ATOLL_END past the last one.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_options_describe(i: usize, info: *mut atoll_option_info) -> atoll_status {
    call(std::ptr::null_mut(), || {
        let Some(Described(texts)) = TABLE.get(i) else {
            return Ok(ATOLL_END);
        };
        let [scope, name, unit, default_value, min, max, doc] = texts
            .each_ref()
            .map(|text| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr()));
        // SAFETY: the contract of the header.
        *unsafe { out("info", info)? } = atoll_option_info {
            scope,
            name,
            unit,
            default_value,
            min,
            max,
            doc,
        };
        Ok(ATOLL_OK)
    })
}
