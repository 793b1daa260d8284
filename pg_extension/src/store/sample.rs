//! ANALYZE: rows picked at random, and how many there are.
//!
//! In: a foreign table. Out: sample rows for PostgreSQL's statistics. Must never: hold more rows in memory
//! than the sample has.

#![expect(unsafe_code, reason = "fills PostgreSQL's array of sample rows")]

use pgrx::pg_guard;
use pgrx::prelude::*;

use super::options::{self, Wanted};
use super::scan::Filler;
use super::session;
use super::shape::Shape;
use crate::error::raise_store;
use crate::fdw::convert::clear;

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn analyze(
    relation: pg_sys::Relation,
    function: *mut pg_sys::AcquireSampleRowsFunc,
    pages: *mut pg_sys::BlockNumber,
) -> bool {
    // SAFETY: PostgreSQL passes an open foreign table and places for the answers.
    unsafe {
        *function = Some(sample);
        let shape = Shape::of_relation(relation);
        let path = options::directory(shape.server, Wanted::Read);
        let stats = session::open(&path).reader.stats();
        let stats = stats.unwrap_or_else(|error| raise_store(&error));
        *pages =
            ((stats.file_bytes + stats.table_bytes) / u64::from(pg_sys::BLCKSZ)).clamp(1, 1 << 31) as u32;
    }
    true
}

/// A reservoir: of n rows read so far each is in the sample with the same chance.
#[pg_guard]
unsafe extern "C-unwind" fn sample(
    relation: pg_sys::Relation,
    _level: i32,
    rows: *mut pg_sys::HeapTuple,
    wanted: i32,
    total: *mut f64,
    dead: *mut f64,
) -> i32 {
    // SAFETY: PostgreSQL passes an open foreign table and room for as many rows as it wants.
    unsafe {
        let shape = Shape::of_relation(relation);
        let path = options::directory(shape.server, Wanted::Read);
        let (start, end) = shape.range();
        let snapshot = session::open(&path).reader.snapshot();
        let snapshot = snapshot.unwrap_or_else(|error| raise_store(&error));
        let scan = snapshot.scan(start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        let mut scan = scan.unwrap_or_else(|error| raise_store(&error));
        let all = shape.key.iter().map(|(column, _)| column).chain(&shape.rest);
        let all = all.map(|column| column.number).collect();
        let mut filler = Filler::new(shape.clone(), all);
        let slot = pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, &raw const pg_sys::TTSOpsVirtual);
        let (mut read, mut taken) = (0u64, 0usize);
        // Of a fixed seed: the same store gives the same statistics.
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        loop {
            pgrx::check_for_interrupts!();
            let entry = scan.next_entry().unwrap_or_else(|error| raise_store(&error));
            let Some(entry) = entry else { break };
            read += 1;
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let place = if taken < wanted as usize {
                taken += 1;
                taken - 1
            } else {
                let place = (random % read) as usize;
                if place >= taken {
                    continue;
                }
                pg_sys::heap_freetuple(*rows.add(place));
                place
            };
            let row = (entry.key.to_vec(), entry.value.unwrap_or_default().to_vec());
            filler.fill(slot, &row);
            *rows.add(place) = pg_sys::heap_form_tuple(
                (*slot).tts_tupleDescriptor,
                (*slot).tts_values,
                (*slot).tts_isnull,
            );
            clear(slot);
        }
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        *total = read as f64;
        *dead = 0.0;
        taken as i32
    }
}
