//! States of aggregates on their way from a node to the aggregate that combines them.
//!
//! In: what ordinary aggregates of a node give, as text. Out: states as PostgreSQL's own combining functions
//! read them. Must never: lose a digit of a number that is exact.
//!
//! The sum of `int8` and `numeric` and their `avg` keep a state that has no SQL type; it travels here as a count and a sum, and
//! becomes the bytes that `int8_avg_serialize` and `numeric_avg_serialize` make of such a state.

#![expect(unsafe_code, reason = "calls input and send functions, and makes a bytea")]

use std::ffi::{CStr, CString};

use pgrx::IntoDatum;
use pgrx::prelude::*;

use crate::error::raise;

/// How a state is made of a count and a sum, or of one column as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Shape {
    Plain = 0,
    /// `avg` of `int2` and `int4`: an array of both.
    Integers = 1,
    /// `avg` of floats: an array of both and the squared deviations, which `avg` does not look at.
    Floats = 2,
    /// `sum` and `avg` of `int8`.
    BigIntegers = 3,
    /// `sum` and `avg` of `numeric`.
    Numerics = 4,
}

impl Shape {
    /// From a plan.
    pub(super) fn from_number(number: i32) -> Self {
        match number {
            1 => Shape::Integers,
            2 => Shape::Floats,
            3 => Shape::BigIntegers,
            4 => Shape::Numerics,
            _ => Shape::Plain,
        }
    }

    /// The expression that the node sends, of the columns with the count and the sum.
    pub(super) fn sql(self, columns: &[String]) -> String {
        let (first, last) = (&columns[0], &columns[columns.len() - 1]);
        match self {
            Shape::Plain => first.clone(),
            Shape::Integers => format!("ARRAY[{first}, COALESCE({last}, 0)]"),
            // A number would make sums of infinities look like an overflow.
            Shape::Floats => {
                format!("ARRAY[{first}::float8, COALESCE({last}, 0), 'NaN'::float8]")
            }
            Shape::BigIntegers | Shape::Numerics => format!("{first} || ' ' || {last}"),
        }
    }

    /// What a received column becomes where it is not read as its type.
    pub(super) fn datum(self, text: &CStr) -> Option<pg_sys::Datum> {
        let specials = match self {
            Shape::BigIntegers => false,
            Shape::Numerics => true,
            Shape::Plain | Shape::Integers | Shape::Floats => return None,
        };
        let state = serialized(text, specials).unwrap_or_else(|| {
            raise(
                PgSqlErrorCode::ERRCODE_FDW_ERROR,
                "a node sent something else than a count and a sum",
            )
        });
        state.into_datum()
    }
}

/// `count sum` as the bytes of a state.
fn serialized(text: &CStr, specials: bool) -> Option<Vec<u8>> {
    let (count, sum) = text.to_str().ok()?.split_once(' ')?;
    let count: i64 = count.parse().ok()?;
    // How many of the numbers are NaN, infinite, and infinite below 0: any is as good as all.
    let special = ["NaN", "Infinity", "-Infinity"].map(|name| i64::from(name == sum));
    let is_special = special.contains(&1);
    let number = numeric(if is_special { "0" } else { sum })?;
    let (head, digits) = number.split_at_checked(8)?;
    let mut state = Vec::with_capacity(number.len() + 52);
    state.extend(if is_special { 0 } else { count }.to_be_bytes());
    // Number of digits, weight, sign and scale: two bytes each where they are sent, four in a state.
    for pair in head.as_chunks::<2>().0 {
        state.extend(i32::from(i16::from_be_bytes(*pair)).to_be_bytes());
    }
    state.extend(digits);
    if specials {
        // The largest scale, and how many numbers have it: for windows, which take numbers away again.
        let scale = i16::from_be_bytes([head[6], head[7]]);
        state.extend(i32::from(scale).to_be_bytes());
        state.extend(count.to_be_bytes());
        special.iter().for_each(|many| state.extend(many.to_be_bytes()));
    }
    Some(state)
}

/// A number as `numeric_send` gives it.
fn numeric(text: &str) -> Option<Vec<u8>> {
    let text = CString::new(text).ok()?;
    // SAFETY: functions of a built-in type with their own arguments; they raise for text that is no number.
    unsafe {
        let number = pg_sys::OidInputFunctionCall(
            pg_sys::F_NUMERIC_IN.into(),
            text.as_ptr().cast_mut(),
            pg_sys::InvalidOid,
            -1,
        );
        let sent = pg_sys::OidSendFunctionCall(pg_sys::F_NUMERIC_SEND.into(), number);
        Some(pgrx::varlena::varlena_to_byte_slice(sent.cast()).to_vec())
    }
}
