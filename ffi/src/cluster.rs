//! Shards times replicas behind a handle.
//!
//! In: a directory, nodes, options. Out: `atoll_cluster`, used by any number of threads, its state and its router. How it is
//! written and read is in `write` and `read`, how fresh and how safe in `options`, what a user of it has seen in `session`.
//! Must never: keep a cluster from being closed.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

mod approximate;
pub(crate) mod change;
mod options;
mod read;
mod session;
mod write;

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use atoll::cluster::{Cluster, ClusterError, ClusterOptions, ClusterSpec};
use atoll::io::{Env, fork};
use atoll::routing::{NodeSpec, Router};

use crate::bytes::{atoll_buf, text};
use crate::call::{call, fresh, handle};
use crate::error::{Failure, atoll_error};
use crate::options::atoll_options;
use crate::panic::guard;
use crate::router::atoll_router;
use crate::status::*;

/// Between two looks at whether the calls that borrow a cluster have ended.
const LOOK: Duration = Duration::from_micros(50);

/// An open cluster. Any number of threads may use it at once.
pub struct atoll_cluster {
    cluster: ArcSwapOption<Cluster>,
    poisoned: AtomicBool,
    /// [`fork::generation`] of the process that opened it.
    born: u64,
}

/// A cluster for the length of one call.
pub(crate) struct Borrowed(Guard<Option<Arc<Cluster>>>);

impl std::ops::Deref for Borrowed {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("it was there when it was borrowed")
    }
}

impl atoll_cluster {
    fn hand_over(cluster: Cluster) -> *mut atoll_cluster {
        let made = Arc::new(atoll_cluster {
            cluster: ArcSwapOption::from_pointee(cluster),
            poisoned: AtomicBool::new(false),
            born: fork::generation(),
        });
        Arc::into_raw(made).cast_mut()
    }

    pub(crate) fn get(&self) -> Result<Borrowed, Failure> {
        if fork::generation() != self.born {
            return Err(forked());
        }
        let cluster = self.cluster.load();
        if cluster.is_none() {
            return Err(Failure::closed("cluster"));
        }
        Ok(Borrowed(cluster))
    }

    fn close(&self) -> Result<(), Failure> {
        let Some(mut cluster) = self.cluster.swap(None) else {
            return Ok(());
        };
        if fork::generation() != self.born {
            // Threads that have borrowed it, and those that work for it, are the parent's.
            std::mem::forget(cluster);
            return Err(forked());
        }
        loop {
            match Arc::try_unwrap(cluster) {
                Ok(cluster) => return Ok(cluster.close()?),
                Err(shared) => cluster = shared,
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn forked() -> Failure {
    Failure::new(
        ATOLL_E_FORKED,
        "the cluster was opened before this process forked: open it again in the child once its first process has closed it",
    )
}

impl Drop for atoll_cluster {
    fn drop(&mut self) {
        // Nobody can be told of a failure; nothing acknowledged is lost by one.
        let _ = self.close();
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Failure {
        let message = error.to_string();
        let (status, os_errno) = match error {
            ClusterError::Store { source, .. } => {
                let inner = Failure::from(source);
                (inner.status, inner.os_errno)
            }
            ClusterError::Routing(source) => (Failure::from(source).status, 0),
            ClusterError::NotPrimary { .. } => (ATOLL_E_NOT_PRIMARY, 0),
            ClusterError::Unavailable { all_failed: true, .. } => (ATOLL_E_NO_QUORUM, 0),
            ClusterError::Unavailable { .. } | ClusterError::HandOver { .. } => (ATOLL_E_UNAVAILABLE, 0),
            ClusterError::StaleEpoch { .. } => (ATOLL_E_STALE_EPOCH, 0),
            ClusterError::WriteLost { .. } => (ATOLL_E_WRITE_LOST, 0),
            ClusterError::CrossSlot { .. } => (ATOLL_E_CROSS_SLOT, 0),
            ClusterError::Indeterminate { .. } => (ATOLL_E_INDETERMINATE, 0),
            ClusterError::Locked { .. } => (ATOLL_E_LOCKED, 0),
            ClusterError::Corrupt { .. } => (ATOLL_E_CORRUPT, 0),
            ClusterError::Io { source, .. } => (ATOLL_E_IO, source.raw_os_error().unwrap_or(0)),
            ClusterError::ForeignToken
            | ClusterError::UnknownNode { .. }
            | ClusterError::BadQuorum { .. }
            | ClusterError::NodeState { .. }
            | ClusterError::RebalanceUnderWay { .. }
            | ClusterError::NotACluster { .. }
            | ClusterError::AlreadyExists { .. } => (ATOLL_E_INVALID, 0),
            _ => (ATOLL_E_IO, 0),
        };
        Failure {
            status,
            message,
            os_errno,
        }
    }
}

/// # Safety
/// The contract of the header.
unsafe fn options_of(options: *const atoll_options) -> Result<ClusterOptions, Failure> {
    let mut cluster_options = ClusterOptions::default();
    // SAFETY: the caller's promise.
    if let Some(options) = unsafe { options.as_ref() } {
        options.apply(&mut cluster_options)?;
    }
    Ok(cluster_options)
}

/// Makes a cluster in a directory that is missing or empty, and opens it.
///
/// `nodes` is a list such as "n1,n2=2,n3", with weights where they are not 1. There are so many `shards`, each on so many nodes
/// (`replicas`, the primary included). `options` are those of the scope "cluster", or NULL. Otherwise as atoll_cluster_open().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_create(
    path: *const c_char,
    nodes: *const c_char,
    shards: u32,
    replicas: u32,
    options: *const atoll_options,
    cluster: *mut *mut atoll_cluster,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("cluster", cluster)? };
        // SAFETY: the contract of the header.
        let (path, nodes, options) =
            unsafe { (text("path", path)?, text("nodes", nodes)?, options_of(options)?) };
        let replicas = u8::try_from(replicas).map_err(|_| {
            Failure::invalid(format!("{replicas} replicas are more than the 255 there can be"))
        })?;
        let spec = ClusterSpec::new(NodeSpec::parse_list(nodes)?, shards, replicas);
        let made = Cluster::create_with(&Env::os(), Path::new(path), &spec, &options)?;
        *out = atoll_cluster::hand_over(made);
        Ok(ATOLL_OK)
    })
}

/// Opens the cluster in the directory `path`.
///
/// One process at a time has it open: the second one gets ATOLL_E_LOCKED. Replicas that cannot be opened are out of service and do
/// not stop the others: atoll_cluster_status_json() tells. `*cluster` is NULL after an error. Close it with atoll_cluster_close() and
/// free it with atoll_cluster_free(). Any thread; blocks while replicas that were not closed are checked.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_open(
    path: *const c_char,
    options: *const atoll_options,
    cluster: *mut *mut atoll_cluster,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("cluster", cluster)? };
        // SAFETY: the contract of the header.
        let (path, options) = unsafe { (text("path", path)?, options_of(options)?) };
        *out = atoll_cluster::hand_over(Cluster::open(&Env::os(), Path::new(path), &options)?);
        Ok(ATOLL_OK)
    })
}

/// Makes everything durable on every replica that can be reached and closes the cluster; later calls answer ATOLL_E_CLOSED.
///
/// Closing twice is allowed. Any thread; waits for calls that are under way.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_close(
    cluster: *mut atoll_cluster,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        unsafe { handle("cluster", cluster)? }.close()?;
        Ok(ATOLL_OK)
    })
}

/// Frees the handle. NULL is allowed. A cluster that nobody has closed is closed, and a failure of that cannot be told. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_free(cluster: *mut atoll_cluster) {
    guard((), || {
        if !cluster.is_null() {
            // SAFETY: the contract of the header: it came from this library, which made it so, and is freed once.
            drop(unsafe { Arc::from_raw(cluster.cast_const()) });
        }
    });
}

/// Gives the state of nodes, shards and replicas as a JSON object. Free `*json` with atoll_buf_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_status_json(
    cluster: *mut atoll_cluster,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let cluster = unsafe { handle("cluster", cluster)? };
        let status = cluster.get()?.status()?;
        let text = serde_json::to_vec(&status).map_err(|error| Failure::invalid(error.to_string()))?;
        *json = atoll_buf::hand_over(text);
        Ok(ATOLL_OK)
    })
}

/// Gives the router of a cluster as of now: where every key lives, the same in every language. Free it with atoll_router_free().
///
/// It does not follow later changes: compare atoll_router_epoch(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_router(
    cluster: *mut atoll_cluster,
    router: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let router = unsafe { fresh("router", router)? };
        // SAFETY: the contract of the header.
        let cluster = unsafe { handle("cluster", cluster)? };
        let topology = cluster.get()?.topology();
        *router = atoll_router::hand_over(Router::from_topology((*topology).clone()));
        Ok(ATOLL_OK)
    })
}
