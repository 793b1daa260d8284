//! About how much a range of a cluster holds.
//!
//! In: a range, perhaps a slot. Out: an estimate and how far it may be off. Must never: look at all of it.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use atoll::ids::SlotId;

use super::atoll_cluster;
use crate::call::{call, handle};
use crate::error::{Failure, atoll_error};
use crate::scan::{Range, atoll_approximate, atoll_range};
use crate::status::*;

/// For atoll_cluster_count_approximate(): keys of every slot.
pub const ATOLL_SLOT_ANY: u32 = u32::MAX;

/// Estimates how many keys and bytes a range, or one slot of it, holds: atoll_count_approximate() for a cluster.
///
/// `slot` is one of the cluster's slots, as atoll_router_locate() tells, or ATOLL_SLOT_ANY. ATOLL_E_UNAVAILABLE if a shard that is
/// asked has no primary. Any thread; takes some milliseconds for each shard.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_count_approximate(
    cluster: *mut atoll_cluster,
    range: *const atoll_range,
    slot: u32,
    answer: *mut atoll_approximate,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (cluster, range) = unsafe {
            (
                handle("cluster", cluster)?,
                Range::read(range)?.whole("an estimate")?,
            )
        };
        let cluster = cluster.get()?;
        let slot = (slot != ATOLL_SLOT_ANY).then_some(SlotId(slot));
        let slots = cluster.topology().slots();
        if let Some(slot) = slot.filter(|slot| slot.0 >= slots) {
            return Err(Failure::invalid(format!(
                "there is no slot {}: the cluster has {slots}",
                slot.0
            )));
        }
        let (lo, hi) = range.bounds();
        let found = cluster.approximate(lo, hi, slot)?;
        // SAFETY: the contract of the header.
        unsafe { crate::call::fill_in(answer, atoll_approximate::of(&found))? };
        Ok(ATOLL_OK)
    })
}
