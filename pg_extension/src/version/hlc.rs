//! Functions of the type `hlc`: stamps of a hybrid logical clock, each with the node that gave it.
//!
//! In: stamps, and the wall clock for a new one. Out: their order, their parts, the next stamp. Must never:
//! give a node two equal stamps, if each is made from the one before.

use std::cmp::Ordering;
use std::ffi::{CStr, CString};
use std::time::{SystemTime, UNIX_EPOCH};

use atoll::versioning::{Hlc, HlcStamp, HybridClock, VersionError};
use pgrx::Internal;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use super::value::{
    Stamp, check_shown, hash, input_text, output_text, raise_bad_text, raise_bad_wire, raise_damaged,
    wire_bytes,
};
use crate::convert::{ServerText, Text};
use crate::error::raise;

impl Stamp {
    pub(super) fn of(stamp: &HlcStamp) -> Stamp {
        Stamp::new(&stamp.to_bytes())
    }

    pub(super) fn decode(self) -> HlcStamp {
        match HlcStamp::from_bytes(self.bytes()) {
            Ok(stamp) => stamp,
            Err(error) => raise_damaged(&error),
        }
    }

    fn order(self, other: Stamp) -> Ordering {
        match HlcStamp::compare_encoded(self.bytes(), other.bytes()) {
            Ok(order) => order,
            Err(error) => raise_damaged(&error),
        }
    }
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_in(text: &CStr) -> Stamp {
    let text = input_text(text);
    match text.parse::<HlcStamp>() {
        Ok(stamp) => Stamp::of(&stamp),
        Err(error) => raise_bad_text("hlc", text, &error),
    }
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_out(stamp: Stamp) -> CString {
    output_text(&stamp.decode().to_string())
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_recv(buffer: Internal) -> Stamp {
    let bytes = wire_bytes(buffer);
    match HlcStamp::from_bytes(&bytes) {
        Ok(stamp) => {
            check_shown(|| stamp.to_string());
            Stamp::new(&bytes)
        }
        Err(error) => raise_bad_wire(&error),
    }
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_send(stamp: Stamp) -> Vec<u8> {
    stamp.bytes().to_vec()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_eq(a: Stamp, b: Stamp) -> bool {
    a.bytes() == b.bytes()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_ne(a: Stamp, b: Stamp) -> bool {
    a.bytes() != b.bytes()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_lt(a: Stamp, b: Stamp) -> bool {
    a.order(b).is_lt()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_le(a: Stamp, b: Stamp) -> bool {
    a.order(b).is_le()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_gt(a: Stamp, b: Stamp) -> bool {
    a.order(b).is_gt()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_ge(a: Stamp, b: Stamp) -> bool {
    a.order(b).is_ge()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_cmp(a: Stamp, b: Stamp) -> i32 {
    a.order(b) as i32
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_larger(a: Stamp, b: Stamp) -> Stamp {
    if a.order(b).is_ge() { a } else { b }
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_smaller(a: Stamp, b: Stamp) -> Stamp {
    if a.order(b).is_le() { a } else { b }
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_hash(stamp: Stamp) -> i32 {
    hash(stamp.bytes(), 0) as i32
}

#[pg_extern(immutable, strict, parallel_safe)]
fn hlc_hash_extended(stamp: Stamp, seed: i64) -> i64 {
    hash(stamp.bytes(), seed)
}

/// `node(stamp)`: who gave it.
#[pg_extern(immutable, strict, parallel_safe)]
fn node(stamp: Stamp) -> ServerText {
    ServerText::new(stamp.decode().node())
}

/// `counter(stamp)`: its place among the stamps of one millisecond.
#[pg_extern(immutable, strict, parallel_safe)]
fn counter(stamp: Stamp) -> i32 {
    stamp.decode().hlc().counter().into()
}

/// `wall_time(stamp)`: its millisecond.
#[pg_extern(immutable, strict, parallel_safe)]
fn wall_time(stamp: Stamp) -> TimestampWithTimeZone {
    /// 2000-01-01, where PostgreSQL's timestamps begin, in milliseconds since 1970.
    const POSTGRES_EPOCH_MS: i64 = 946_684_800_000;
    // 48 bits of milliseconds: until the year 10889, where timestamps go on to 294276.
    let since = (stamp.decode().hlc().wall_ms() as i64 - POSTGRES_EPOCH_MS) * 1000;
    TimestampWithTimeZone::try_from(since).expect("every stamp's time is a timestamp")
}

/// `hlc_tick(last, node)`: a stamp for a write at a node, above `last` and not before the wall clock. With NULL
/// for `last`, a first stamp.
#[pg_extern(volatile, parallel_safe)]
fn hlc_tick(last: Option<Stamp>, node: Option<Text<'_>>) -> Option<Stamp> {
    let node = node?;
    let last = last.map_or(Hlc::ZERO, |last| last.decode().hlc());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let next = HybridClock::reopen(last)
        .send(now.as_millis() as u64)
        .and_then(|tick| HlcStamp::new(tick.stamp, node.as_str()));
    match next {
        Ok(stamp) => Some(Stamp::of(&stamp)),
        Err(error @ VersionError::ClockExhausted) => raise(
            PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            error.to_string(),
        ),
        Err(error) => raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, error.to_string()),
    }
}
