//! Figures of an open store.
//!
//! In: an open store. Out: its figures as JSON. Must never: wait for writers or for the disk.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use crate::bytes::atoll_buf;
use crate::call::{call, fresh, handle};
use crate::db::{Engine, atoll_db};
use crate::error::{Failure, atoll_error};
use crate::status::*;

/// Gives the figures of a store as a JSON object: keys, records, segments, runs, tables, the bytes of each, and how compaction
/// has fared.
///
/// Of a store that was opened for reading: also who writes it, and the snapshots of its readers. Free `*json` with atoll_buf_free(). Fields are added, never renamed. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_stats_json(
    db: *mut atoll_db,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let db = unsafe { handle("db", db)? };
        let text = match &*db.engine()? {
            Engine::Store(store) => serde_json::to_vec(&store.stats()),
            Engine::Reader(reader) => serde_json::to_vec(&reader.stats()?),
        };
        let text = text.map_err(|error| Failure::invalid(error.to_string()))?;
        *json = atoll_buf::hand_over(text);
        Ok(ATOLL_OK)
    })
}
