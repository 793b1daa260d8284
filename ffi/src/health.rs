//! Whether a store or a cluster can do its work, and its figures for monitoring.
//!
//! In: an open handle. Out: a state with reasons in words, and the text that Prometheus reads. Must never: wait for a disk.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use atoll::store::HealthState;

use crate::bytes::atoll_buf;
use crate::call::{Outcome, Versioned, call, fill_in, fresh, handle};
use crate::cluster::atoll_cluster;
use crate::db::{Engine, atoll_db};
use crate::error::{Failure, atoll_error};
use crate::status::*;

/// It does all it should.
pub const ATOLL_HEALTH_OK: u32 = 0;
/// It reads and writes, and something needs to be looked at.
pub const ATOLL_HEALTH_DEGRADED: u32 = 1;
/// It reads, and some or all writes are refused: the disk is full, or the handle was opened for reading.
pub const ATOLL_HEALTH_READ_ONLY: u32 = 2;
/// It takes no writes until somebody acts, and some reads may fail.
pub const ATOLL_HEALTH_FAILED: u32 = 3;

/// How well a store or a cluster is. Initialise it with ATOLL_HEALTH_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_health {
    /// sizeof(atoll_health).
    pub struct_size: usize,
    /// ATOLL_HEALTH_OK, ATOLL_HEALTH_DEGRADED, ATOLL_HEALTH_READ_ONLY or ATOLL_HEALTH_FAILED.
    pub state: u32,
    /// 0.
    pub reserved: u32,
    /// Shards in use; 1 for a store.
    pub shards: u64,
    /// Shards that take writes.
    pub shards_writable: u64,
    /// Copies that should be in service; 1 for a store.
    pub replicas: u64,
    /// Copies that are in service and count.
    pub replicas_up: u64,
    /// Most bytes of log that a copy in service lacks.
    pub replication_lag_bytes: u64,
    /// Longest time since a copy in service was known to have everything, in milliseconds.
    pub replication_lag_ms: u64,
    /// Age of the oldest snapshot that this process holds, in milliseconds; 0 if it holds none. A snapshot keeps old versions and files
    /// from going.
    pub oldest_snapshot_ms: u64,
}

// SAFETY: numbers, zero is each one's default, and the first one is the size.
unsafe impl Versioned for atoll_health {
    const ZERO: Self = atoll_health {
        struct_size: 0,
        state: 0,
        reserved: 0,
        shards: 0,
        shards_writable: 0,
        replicas: 0,
        replicas_up: 0,
        replication_lag_bytes: 0,
        replication_lag_ms: 0,
        oldest_snapshot_ms: 0,
    };
    const NAME: &'static str = "atoll_health";
}

fn state_of(state: HealthState) -> u32 {
    match state {
        HealthState::Ok => ATOLL_HEALTH_OK,
        HealthState::Degraded => ATOLL_HEALTH_DEGRADED,
        HealthState::ReadOnly => ATOLL_HEALTH_READ_ONLY,
        HealthState::Failed => ATOLL_HEALTH_FAILED,
    }
}

/// # Safety
/// The contract of the header.
unsafe fn tell(
    found: atoll_health,
    reasons: &[String],
    health: *mut atoll_health,
    out: *mut *mut atoll_buf,
) -> Outcome {
    // SAFETY: the caller's promise.
    unsafe { fill_in(health, found)? };
    // SAFETY: the caller's promise.
    if let Some(out) = unsafe { out.as_mut() } {
        *out = atoll_buf::hand_over(reasons.join("\n").into_bytes());
    }
    Ok(ATOLL_OK)
}

/// NULL is no error: nobody wants to know.
///
/// # Safety
/// The contract of the header.
unsafe fn clear(out: *mut *mut atoll_buf) {
    // SAFETY: the caller's promise.
    if let Some(out) = unsafe { out.as_mut() } {
        *out = std::ptr::null_mut();
    }
}

/// Tells how well a store is.
///
/// Initialise `*health` with ATOLL_HEALTH_INIT. `reasons` may be NULL; otherwise it gets lines of text that say why the store is not
/// well and what to do, none if it is; free it with atoll_buf_free(). A store that was opened for reading is ATOLL_HEALTH_READ_ONLY.
/// Any thread; asks the file system how much room there is and waits for nothing else.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_db_health(
    db: *mut atoll_db,
    health: *mut atoll_health,
    reasons: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        unsafe { clear(reasons) };
        // SAFETY: the contract of the header.
        let db = unsafe { handle("db", db)? };
        let mut found = atoll_health {
            shards: 1,
            replicas: 1,
            replicas_up: 1,
            ..atoll_health::ZERO
        };
        let why = match &*db.engine()? {
            Engine::Store(store) => {
                let seen = store.health();
                found.state = state_of(seen.state);
                found.shards_writable = u64::from(seen.state < HealthState::ReadOnly);
                found.oldest_snapshot_ms = seen.oldest_snapshot_ms.unwrap_or(0);
                seen.reasons
            }
            Engine::Reader(_) => {
                found.state = ATOLL_HEALTH_READ_ONLY;
                vec!["it was opened for reading".to_owned()]
            }
        };
        // SAFETY: the contract of the header.
        unsafe { tell(found, &why, health, reasons) }
    })
}

/// Tells how well a cluster is: atoll_db_health() for a cluster, ATOLL_HEALTH_FAILED if a shard takes no writes.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_health(
    cluster: *mut atoll_cluster,
    health: *mut atoll_health,
    reasons: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        unsafe { clear(reasons) };
        // SAFETY: the contract of the header.
        let cluster = unsafe { handle("cluster", cluster)? };
        let seen = cluster.get()?.health()?;
        let found = atoll_health {
            struct_size: 0,
            state: state_of(seen.state),
            reserved: 0,
            shards: seen.shards,
            shards_writable: seen.shards_writable,
            replicas: seen.replicas,
            replicas_up: seen.replicas_up,
            replication_lag_bytes: seen.replication_lag_bytes,
            replication_lag_ms: seen.replication_lag_ms,
            oldest_snapshot_ms: seen.oldest_snapshot_ms.unwrap_or(0),
        };
        // SAFETY: the contract of the header.
        unsafe { tell(found, &seen.reasons, health, reasons) }
    })
}

/// Gives the figures of a store in the text format of Prometheus 0.0.4. Names are added, never renamed.
///
/// Free `*text` with atoll_buf_free(). ATOLL_E_UNSUPPORTED for a store that was opened for reading: its writer has them. Any thread;
/// waits for nothing.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_metrics(
    db: *mut atoll_db,
    text: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let text = unsafe { fresh("text", text)? };
        // SAFETY: the contract of the header.
        let db = unsafe { handle("db", db)? };
        let Engine::Store(store) = &*db.engine()? else {
            return Err(Failure::new(
                ATOLL_E_UNSUPPORTED,
                "a store that was opened for reading counts nothing: ask the process that writes it",
            ));
        };
        *text = atoll_buf::hand_over(store.metrics().into_bytes());
        Ok(ATOLL_OK)
    })
}

/// Gives the figures of a cluster in the text format of Prometheus 0.0.4: atoll_metrics() for a cluster.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_metrics(
    cluster: *mut atoll_cluster,
    text: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let text = unsafe { fresh("text", text)? };
        // SAFETY: the contract of the header.
        let cluster = unsafe { handle("cluster", cluster)? };
        *text = atoll_buf::hand_over(cluster.get()?.metrics()?.into_bytes());
        Ok(ATOLL_OK)
    })
}
