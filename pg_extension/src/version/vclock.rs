//! Functions of the type `vclock`.
//!
//! In: clocks. Out: their causal relation, and clocks that have seen more. Must never: call equal clocks
//! concurrent, which is why all judging is the engine's.

use std::ffi::{CStr, CString};

use atoll::versioning::{Causality, VectorClock, VersionError};
use pgrx::Internal;
use pgrx::prelude::*;

use super::value::{
    VClock, check_shown, hash, input_text, output_text, raise_bad_text, raise_bad_wire, raise_damaged,
    wire_bytes,
};
use crate::convert::Text;
use crate::error::raise;

impl VClock {
    fn of(clock: &VectorClock) -> VClock {
        VClock::new(&clock.to_bytes())
    }

    fn decode(self) -> VectorClock {
        match VectorClock::from_bytes(self.bytes()) {
            Ok(clock) => clock,
            Err(error) => raise_damaged(&error),
        }
    }

    fn relation(self, other: VClock) -> Causality {
        match VectorClock::compare_encoded(self.bytes(), other.bytes()) {
            Ok(relation) => relation,
            Err(error) => raise_damaged(&error),
        }
    }
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_in(text: &CStr) -> VClock {
    let text = input_text(text);
    match text.parse::<VectorClock>() {
        Ok(clock) => VClock::of(&clock),
        Err(error) => raise_bad_text("vclock", text, &error),
    }
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_out(clock: VClock) -> CString {
    output_text(&clock.decode().to_string())
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_recv(buffer: Internal) -> VClock {
    let bytes = wire_bytes(buffer);
    match VectorClock::from_bytes(&bytes) {
        Ok(clock) => {
            check_shown(|| clock.to_string());
            VClock::new(&bytes)
        }
        Err(error) => raise_bad_wire(&error),
    }
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_send(clock: VClock) -> Vec<u8> {
    clock.bytes().to_vec()
}

/// A clock has one byte form, so equal clocks have equal bytes.
#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_eq(a: VClock, b: VClock) -> bool {
    a.bytes() == b.bytes()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_ne(a: VClock, b: VClock) -> bool {
    a.bytes() != b.bytes()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_before(a: VClock, b: VClock) -> bool {
    a.relation(b) == Causality::Before
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_after(a: VClock, b: VClock) -> bool {
    a.relation(b) == Causality::After
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_before_or_equal(a: VClock, b: VClock) -> bool {
    matches!(a.relation(b), Causality::Before | Causality::Equal)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_after_or_equal(a: VClock, b: VClock) -> bool {
    matches!(a.relation(b), Causality::After | Causality::Equal)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_concurrent(a: VClock, b: VClock) -> bool {
    a.relation(b) == Causality::Concurrent
}

/// `compare(a, b)`: `equal`, `before`, `after` or `concurrent`.
#[pg_extern(name = "compare", immutable, strict, parallel_safe)]
fn vclock_compare(a: VClock, b: VClock) -> &'static str {
    a.relation(b).as_str()
}

/// All that either has seen. Also a step of the aggregate `merge`, where one side mostly has seen it all.
#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_merge(a: VClock, b: VClock) -> VClock {
    match a.relation(b) {
        Causality::Equal | Causality::After => a,
        Causality::Before => b,
        Causality::Concurrent => {
            let mut merged = a.decode();
            merged.merge(&b.decode());
            VClock::of(&merged)
        }
    }
}

/// `tick(clock, node)`: one local write at a node.
#[pg_extern(name = "tick", immutable, strict, parallel_safe)]
fn vclock_tick(clock: VClock, node: Text<'_>) -> VClock {
    let mut ticked = clock.decode();
    match ticked.tick(node.as_str()) {
        Ok(_) => VClock::of(&ticked),
        Err(error @ VersionError::CounterOverflow { .. }) => raise(
            PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            error.to_string(),
        ),
        Err(error) => raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, error.to_string()),
    }
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_hash(clock: VClock) -> i32 {
    hash(clock.bytes(), 0) as i32
}

#[pg_extern(immutable, strict, parallel_safe)]
fn vclock_hash_extended(clock: VClock, seed: i64) -> i64 {
    hash(clock.bytes(), seed)
}
