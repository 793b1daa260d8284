//! What a router knows that is the topology of a cluster.
//!
//! In: keys, slots, shards. Out: who holds a slot, in which version of the topology, and where it is going.
//! Must never: answer for a router that is no topology.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use std::ffi::c_void;

use atoll::ids::{ShardId, SlotId};
use atoll::routing::{MovePhase, Topology};

use crate::bytes::{self, array_mut};
use crate::call::{Versioned, call, fill_in, handle, out};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::router::atoll_router;
use crate::status::*;

/// The slot stays where it is.
pub const ATOLL_MOVE_NONE: u32 = 0;
/// The slot is being copied, or going to be; its owner answers reads and writes.
pub const ATOLL_MOVE_COPYING: u32 = 1;
/// The last writes are being copied: the owner answers reads, and writes wait for the next version of the
/// topology.
pub const ATOLL_MOVE_FROZEN: u32 = 2;

/// Where a key lives. Initialise it with ATOLL_LOCATION_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_location {
    /// sizeof(atoll_location).
    pub struct_size: usize,
    /// Version of the topology that says so.
    pub version: u64,
    /// Position in the log of the shard below which what it holds of this slot is left over from an earlier
    /// stay; 0 if the slot never moved.
    pub residency: u64,
    /// Slot of the key.
    pub slot: u32,
    /// Shard that owns the slot.
    pub shard: u32,
    /// ATOLL_MOVE_NONE, ATOLL_MOVE_COPYING or ATOLL_MOVE_FROZEN.
    pub phase: u32,
    /// Shard that owns the slot once it has moved; the same as `shard` if it does not move.
    pub moving_to: u32,
}

// SAFETY: numbers, zero is each one's default, and the first one is the size.
unsafe impl Versioned for atoll_location {
    const ZERO: Self = atoll_location {
        struct_size: 0,
        version: 0,
        residency: 0,
        slot: 0,
        shard: 0,
        phase: 0,
        moving_to: 0,
    };
    const NAME: &'static str = "atoll_location";
}

impl atoll_router {
    pub(crate) fn topology(&self) -> Result<&Topology, Failure> {
        self.router.topology().ok_or_else(|| {
            Failure::invalid(format!(
                "a router of {} is no topology: it has neither slots nor shards",
                self.router.algorithm()
            ))
        })
    }
}

/// # Safety
/// `location` is NULL or as [`fill_in`] wants it.
unsafe fn tell(topology: &Topology, slot: SlotId, location: *mut atoll_location) -> Result<(), Failure> {
    let answer = topology.answer(slot)?;
    let found = atoll_location {
        struct_size: size_of::<atoll_location>(),
        version: answer.version,
        residency: topology.residency(slot),
        slot: slot.0,
        shard: answer.reads.0,
        phase: match answer.moving.map(|moving| moving.phase) {
            None => ATOLL_MOVE_NONE,
            Some(MovePhase::Copying) => ATOLL_MOVE_COPYING,
            Some(MovePhase::Frozen) => ATOLL_MOVE_FROZEN,
        },
        moving_to: answer.moving.map_or(answer.reads, |moving| moving.to).0,
    };
    // SAFETY: the caller's promise.
    unsafe { fill_in(location, found) }
}

/// Tells where a key lives: its slot, the shard that owns it, and where it is going.
///
/// Any thread; allocates nothing. ATOLL_E_INVALID for a router that is no topology, and for a key outside its
/// domain.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_locate(
    router: *const atoll_router,
    key: *const c_void,
    key_len: usize,
    location: *mut atoll_location,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, key) = unsafe { (handle("router", router)?, bytes::key(key, key_len)?) };
        let topology = router.topology()?;
        topology.check_key(key)?;
        // SAFETY: the contract of the header.
        unsafe { tell(topology, topology.slot_of(key), location)? };
        Ok(ATOLL_OK)
    })
}

/// Tells the shard that owns a key: atoll_router_locate() for those who need no more.
///
/// Any thread; allocates nothing. Errors as for atoll_router_locate().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_shard(
    router: *const atoll_router,
    key: *const c_void,
    key_len: usize,
    shard: *mut u32,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, key, shard) = unsafe {
            (
                handle("router", router)?,
                bytes::key(key, key_len)?,
                out("shard", shard)?,
            )
        };
        let topology = router.topology()?;
        topology.check_key(key)?;
        *shard = topology.shard_of(key).0;
        Ok(ATOLL_OK)
    })
}

/// Tells where slot number `slot` lives, from 0 to atoll_router_places() - 1.
///
/// Any thread; allocates nothing. ATOLL_END past the last one, ATOLL_E_INVALID for a router that is no
/// topology.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_slot_at(
    router: *const atoll_router,
    slot: u32,
    location: *mut atoll_location,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let topology = unsafe { handle("router", router)? }.topology()?;
        if slot >= topology.slots() {
            return Ok(ATOLL_END);
        }
        // SAFETY: the contract of the header.
        unsafe { tell(topology, SlotId(slot), location)? };
        Ok(ATOLL_OK)
    })
}

/// Returns how many shards a topology has, retired ones included: their numbers are 0 to one less. 0 for
/// routers that are no topology, and for NULL. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_shard_count(router: *const atoll_router) -> u32 {
    guard(0, || {
        // SAFETY: the contract of the header.
        let router = unsafe { router.as_ref() };
        let topology = router.and_then(|router| router.router.topology());
        topology.map_or(0, |topology| topology.shards().len() as u32)
    })
}

/// Tells the nodes of a shard by their numbers, preferred primary first, and in `*n` how many there are.
///
/// `nodes` has room for `max_n`. Any thread; allocates nothing. ATOLL_BUFFER_TOO_SMALL if there are more
/// (`*n` says how many, and nothing was written), ATOLL_END for a number that no shard has, ATOLL_E_INVALID
/// for a router that is no topology.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_shard_nodes(
    router: *const atoll_router,
    shard: u32,
    nodes: *mut u32,
    max_n: usize,
    n: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, n) = unsafe { (handle("router", router)?, out("n", n)?) };
        let Some(shard) = router.topology()?.shard(ShardId(shard)) else {
            return Ok(ATOLL_END);
        };
        *n = shard.replicas.len();
        if max_n < *n {
            return Ok(ATOLL_BUFFER_TOO_SMALL);
        }
        // SAFETY: the contract of the header: there is room for `max_n`, which is no less.
        let nodes = unsafe { array_mut("nodes", nodes, *n)? };
        for (node, &replica) in nodes.iter_mut().zip(&shard.replicas) {
            *node = replica.into();
        }
        Ok(ATOLL_OK)
    })
}
