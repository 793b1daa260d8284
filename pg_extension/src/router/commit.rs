//! When a write may commit on its node by itself, in one round trip.
//!
//! In: the state of the session while a statement runs. Out: yes or no. Must never: say yes when anything of the same
//! transaction may still fail after the node has committed.
//!
//! Yes needs all of this: the statement came from the client, is all that was asked, and ends the transaction; nothing
//! was changed here or on another node; nothing is returned that could fail on its way. Of statements in the extended
//! protocol the end is known when the client's Sync has arrived behind them, which drivers send in one packet: a
//! pipeline has another message there.

#![expect(
    unsafe_code,
    reason = "reads the state of the transaction and of the client's messages"
)]

use std::ffi::CStr;

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;

use crate::fdw::list;
use crate::remote::pool;
use crate::store;

unsafe extern "C-unwind" {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    fn pq_buffer_has_data() -> bool;
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    fn pq_buffer_remaining_data() -> isize;
    fn pq_startmsgread();
    fn pq_peekbyte() -> i32;
    fn pq_endmsgread();
}

/// True if the statement that runs is a transaction of its own.
///
/// # Safety
/// The state of the running query, which returns nothing.
pub(super) unsafe fn at_once(estate: *const pg_sys::EState) -> bool {
    // SAFETY: reads variables of the backend's thread.
    unsafe {
        let is_simple = pg_sys::XactIsoLevel as u32 == pg_sys::XACT_READ_COMMITTED
            && !pg_sys::XactReadOnly
            && pg_sys::GetCurrentTransactionNestLevel() == 1
            && !pg_sys::IsTransactionBlock()
            // No statement before it in a pipeline, no temporary table that is emptied at the end.
            && pg_sys::MyXactFlags == 0
            && pg_sys::whereToSendOutput == pg_sys::CommandDest::DestRemote;
        let is_clean = pg_sys::GetTopTransactionIdIfAny() == pg_sys::TransactionId::from(0)
            && !store::session::is_pending()
            && pool::sessions().iter().all(|session| session.depth.get() == 0);
        is_simple && is_clean && is_all(estate) && ends()
    }
}

/// True if the client's portal holds this plan and nothing else.
unsafe fn is_all(estate: *const pg_sys::EState) -> bool {
    // SAFETY: the portal that runs lives while it runs.
    unsafe {
        let portal = pg_sys::ActivePortal;
        !portal.is_null()
            && list::len((*portal).stmts) == 1
            && list::pointer::<pg_sys::PlannedStmt>((*portal).stmts, 0) == (*estate).es_plannedstmt
    }
}

/// True if the transaction ends behind the portal that runs.
unsafe fn ends() -> bool {
    // SAFETY: as above; no message is being read while a statement runs, and the byte is there already.
    unsafe {
        let portal = pg_sys::ActivePortal;
        if !(*portal).visible {
            // The simple protocol's portal has no name; several statements would be a transaction block.
            return CStr::from_ptr((*portal).name).is_empty();
        }
        pg_guard_ffi_boundary(|| {
            #[cfg(any(feature = "pg15", feature = "pg16"))]
            let has_data = pq_buffer_has_data();
            #[cfg(not(any(feature = "pg15", feature = "pg16")))]
            let has_data = pq_buffer_remaining_data() > 0;
            if !has_data {
                return false;
            }
            pq_startmsgread();
            let next = pq_peekbyte();
            pq_endmsgread();
            next == i32::from(b'S')
        })
    }
}
