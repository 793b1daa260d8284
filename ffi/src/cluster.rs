//! Shards times replicas behind a handle.
//!
//! In: a directory, keys, how fresh a read and how safe a write must be. Out: `atoll_cluster`, used by any number of
//! threads, and tokens that prove a write to later reads. Must never: acknowledge a write before it is as safe as asked, or
//! keep a cluster from being closed.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use atoll::cluster::{
    Cluster, ClusterError, ClusterOptions, ClusterSpec, Consistency, ReadOptions, Token, WriteDurability,
};
use atoll::io::{Env, fork};
use atoll::routing::{NodeSpec, Router};
use atoll::store::Expires;

use crate::batch::atoll_batch;
use crate::bytes::{self, atoll_buf, atoll_bytes, slice, text};
use crate::call::{Outcome, Versioned, call, call_poisoning, handle, out, versioned};
use crate::db::ATOLL_DURABILITY_SYNCED;
use crate::error::{Failure, atoll_error};
use crate::options::atoll_options;
use crate::panic::guard;
use crate::read::atoll_pin;
use crate::router::atoll_router;
use crate::scan::{Range, atoll_iter, atoll_range};
use crate::status::*;
use crate::write::expires;

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
struct Borrowed(Guard<Option<Arc<Cluster>>>);

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

    fn get(&self) -> Result<Borrowed, Failure> {
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

/// As many copies as the quorum of the shard has are on their devices.
pub const ATOLL_DURABILITY_REPLICATED: u32 = 2;

/// The newest acknowledged value: a quorum proves that nobody else leads.
pub const ATOLL_CONSISTENCY_STRONG: u32 = 0;
/// A value that was current a moment ago, from any copy in turn.
pub const ATOLL_CONSISTENCY_EVENTUAL: u32 = 1;
/// Everything the token speaks of, from any copy that has it.
pub const ATOLL_CONSISTENCY_READ_YOUR_WRITES: u32 = 2;

/// How a cluster is written. Initialise it with ATOLL_CLUSTER_WRITE_OPTS_INIT; NULL stands for the defaults.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_cluster_write_opts {
    /// sizeof(atoll_cluster_write_opts).
    pub struct_size: usize,
    /// ATOLL_DURABILITY_SYNCED (default), ATOLL_DURABILITY_BUFFERED or ATOLL_DURABILITY_REPLICATED. The quorum of the cluster is a
    /// floor for all of them.
    pub durability: u32,
    /// 0.
    pub flags: u32,
    /// The value is gone this many milliseconds after the write; 0: it stays.
    pub ttl_ms: u64,
}

// SAFETY: numbers only, `ZERO` holds each one's default, and the first one is the size.
unsafe impl Versioned for atoll_cluster_write_opts {
    const ZERO: Self = atoll_cluster_write_opts {
        struct_size: 0,
        durability: ATOLL_DURABILITY_SYNCED,
        flags: 0,
        ttl_ms: 0,
    };
    const NAME: &'static str = "atoll_cluster_write_opts";
}

impl atoll_cluster_write_opts {
    fn durability(&self) -> Result<WriteDurability, Failure> {
        if self.flags != 0 {
            return Err(Failure::new(
                ATOLL_E_UNSUPPORTED,
                format!(
                    "atoll_cluster_write_opts.flags {:#x} are not known to this library",
                    self.flags
                ),
            ));
        }
        Ok(match self.durability {
            crate::db::ATOLL_DURABILITY_BUFFERED => WriteDurability::Buffered,
            ATOLL_DURABILITY_SYNCED => WriteDurability::Synced,
            ATOLL_DURABILITY_REPLICATED => WriteDurability::Replicated,
            other => return Err(Failure::invalid(format!("there is no durability {other}"))),
        })
    }
}

/// How a cluster is read. Initialise it with ATOLL_CLUSTER_READ_OPTS_INIT; NULL stands for the defaults.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_cluster_read_opts {
    /// sizeof(atoll_cluster_read_opts).
    pub struct_size: usize,
    /// ATOLL_CONSISTENCY_STRONG (default), ATOLL_CONSISTENCY_EVENTUAL or ATOLL_CONSISTENCY_READ_YOUR_WRITES, which needs a token.
    pub consistency: u32,
    /// 0.
    pub flags: u32,
    /// Bytes of a token of this cluster, of any language; NULL for none.
    pub token: *const u8,
    /// Bytes of `token`.
    pub token_len: usize,
}

// SAFETY: numbers and a pointer, zero is each one's default, and the first one is the size.
unsafe impl Versioned for atoll_cluster_read_opts {
    const ZERO: Self = atoll_cluster_read_opts {
        struct_size: 0,
        consistency: 0,
        flags: 0,
        token: std::ptr::null(),
        token_len: 0,
    };
    const NAME: &'static str = "atoll_cluster_read_opts";
}

impl atoll_cluster_read_opts {
    /// # Safety
    /// The contract of the header.
    unsafe fn options(&self) -> Result<ReadOptions, Failure> {
        if self.flags != 0 {
            return Err(Failure::new(
                ATOLL_E_UNSUPPORTED,
                format!(
                    "atoll_cluster_read_opts.flags {:#x} are not known to this library",
                    self.flags
                ),
            ));
        }
        // SAFETY: the caller's promise.
        let bytes = unsafe { slice("token", self.token.cast(), self.token_len)? };
        let token = if bytes.is_empty() {
            None
        } else {
            Some(token_of(bytes)?)
        };
        match (self.consistency, token) {
            (ATOLL_CONSISTENCY_READ_YOUR_WRITES, Some(token)) => Ok(ReadOptions::after(token)),
            (ATOLL_CONSISTENCY_READ_YOUR_WRITES, None) => Err(Failure::invalid(
                "read-your-writes needs the token of the writes to be seen",
            )),
            (ATOLL_CONSISTENCY_STRONG | ATOLL_CONSISTENCY_EVENTUAL, Some(_)) => Err(Failure::invalid(
                "a token means nothing for this consistency: it belongs to ATOLL_CONSISTENCY_READ_YOUR_WRITES",
            )),
            (ATOLL_CONSISTENCY_STRONG, None) => Ok(ReadOptions::new(Consistency::Strong)),
            (ATOLL_CONSISTENCY_EVENTUAL, None) => Ok(ReadOptions::new(Consistency::Eventual)),
            (other, _) => Err(Failure::invalid(format!("there is no consistency {other}"))),
        }
    }
}

fn token_of(bytes: &[u8]) -> Result<Token, Failure> {
    Token::from_bytes(bytes).map_err(|error| Failure::invalid(error.to_string()))
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
        let out = unsafe { out("cluster", cluster)? };
        *out = std::ptr::null_mut();
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
        let out = unsafe { out("cluster", cluster)? };
        *out = std::ptr::null_mut();
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

/// Refuses a time of expiry where there is no one value that could have it.
fn stays(what: &str, expires: Expires) -> Result<(), Failure> {
    if matches!(expires, Expires::Never) {
        return Ok(());
    }
    Err(Failure::invalid(format!("{what} takes no ttl_ms")))
}

/// Runs a write, and hands over its token where one is wanted.
///
/// # Safety
/// The contract of the header.
unsafe fn write(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_write_opts,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
    body: impl FnOnce(&Cluster, WriteDurability, Expires) -> Result<Token, Failure>,
) -> atoll_status {
    // SAFETY: the caller's promise.
    if let Some(token) = unsafe { token.as_mut() } {
        *token = std::ptr::null_mut();
    }
    // SAFETY: the caller's promise.
    let Some(cluster) = (unsafe { cluster.as_ref() }) else {
        return Failure::invalid("cluster is NULL").hand_over(err);
    };
    call_poisoning(&cluster.poisoned, err, || -> Outcome {
        // SAFETY: the caller's promise.
        let options = unsafe { versioned(options)? };
        let written = body(
            &*cluster.get()?,
            options.durability()?,
            expires(options.ttl_ms, 0)?,
        )?;
        // SAFETY: the caller's promise.
        if let Some(token) = unsafe { token.as_mut() } {
            *token = atoll_buf::hand_over(written.to_bytes());
        }
        Ok(ATOLL_OK)
    })
}

/// Gives a key a value on its shard, as safely as asked.
///
/// `token` may be NULL; otherwise it gets bytes that prove the write to later reads, in this or any other program and language, to be
/// freed with atoll_buf_free(). ATOLL_E_UNAVAILABLE: nothing was written. ATOLL_E_INDETERMINATE: it may have been. Any thread; waits
/// for devices and replicas.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_put(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_write_opts,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(cluster, options, token, err, |cluster, durability, expires| {
            let (key, value) = (bytes::key(key, key_len)?, bytes::value(value, value_len)?);
            Ok(match expires {
                Expires::Never => cluster.put(key, value, durability)?,
                expires => cluster.put_expiring(key, value, expires, durability)?,
            })
        })
    }
}

/// Takes the value of a key away; a key without one is no error. The options' ttl_ms must be 0. Otherwise as atoll_cluster_put().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_delete(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_write_opts,
    key: *const c_void,
    key_len: usize,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(cluster, options, token, err, |cluster, durability, expires| {
            stays("a deletion", expires)?;
            Ok(cluster.delete(bytes::key(key, key_len)?, durability)?)
        })
    }
}

/// Applies a batch whole or not at all. Its keys must be of one slot: ATOLL_E_CROSS_SLOT otherwise. An empty one is ATOLL_E_INVALID.
///
/// The options' ttl_ms must be 0: each put of the batch has its own. Otherwise as atoll_cluster_put().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_write(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_write_opts,
    batch: *const atoll_batch,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // SAFETY: the contract of the header, here and inside.
    unsafe {
        write(cluster, options, token, err, |cluster, durability, expires| {
            stays("a batch", expires)?;
            let operations = handle("batch", batch)?.operations()?;
            if operations.is_empty() {
                return Err(Failure::invalid("an empty batch has no place in a cluster"));
            }
            Ok(cluster.write(&operations, durability)?)
        })
    }
}

/// Reads the value of a key, as fresh as asked: `*value` is a view that `pin` holds, until the pin is used for another read, reset or
/// freed.
///
/// ATOLL_NOT_FOUND for a key without a value. ATOLL_E_UNAVAILABLE if no replica can answer, ATOLL_E_WRITE_LOST if what the token speaks
/// of went with its primary. Any thread, each with a pin of its own; may wait for replicas.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_get(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_read_opts,
    key: *const c_void,
    key_len: usize,
    pin: *mut atoll_pin,
    value: *mut atoll_bytes,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (cluster, options, key, pin, value) = unsafe {
            (
                handle("cluster", cluster)?,
                versioned(options)?.options()?,
                bytes::key(key, key_len)?,
                out("pin", pin)?,
                out("value", value)?,
            )
        };
        Ok(match cluster.get()?.get(key, &options)? {
            Some(answer) => {
                *value = pin.hold(answer.value);
                ATOLL_OK
            }
            None => {
                pin.let_go();
                ATOLL_NOT_FOUND
            }
        })
    })
}

/// Begins a scan of a range over all shards, in byte order. Free it with atoll_iter_free().
///
/// `range` may be NULL; ATOLL_RANGE_REVERSE is ATOLL_E_UNSUPPORTED. The scan keeps what it reads; it may outlive the cluster. Any
/// thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_scan(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_read_opts,
    range: *const atoll_range,
    iter: *mut *mut atoll_iter,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { out("iter", iter)? };
        *out = std::ptr::null_mut();
        // SAFETY: the contract of the header.
        let (cluster, options, range) = unsafe {
            (
                handle("cluster", cluster)?,
                versioned(options)?.options()?,
                Range::read(range)?,
            )
        };
        if range.options.reverse {
            return Err(Failure::new(
                ATOLL_E_UNSUPPORTED,
                "clusters are scanned forward only",
            ));
        }
        let (lo, hi) = range.bounds();
        let scan = cluster.get()?.scan(lo, hi, &options)?;
        let limit = range
            .options
            .limit
            .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let entries = scan
            .take(limit)
            .map(|entry| Ok(entry.map(|entry| (entry.key, entry.value.to_vec()))?));
        *out = atoll_iter::of(Box::new(entries));
        Ok(ATOLL_OK)
    })
}

/// Counts the keys of a cluster by looking at all of them. Any thread; takes as long as a scan.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_count(
    cluster: *mut atoll_cluster,
    options: *const atoll_cluster_read_opts,
    count: *mut u64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (cluster, options, count) = unsafe {
            (
                handle("cluster", cluster)?,
                versioned(options)?.options()?,
                out("count", count)?,
            )
        };
        *count = cluster.get()?.count(&options)?;
        Ok(ATOLL_OK)
    })
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
        let (cluster, json) = unsafe { (handle("cluster", cluster)?, out("json", json)?) };
        *json = std::ptr::null_mut();
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
        let (cluster, router) = unsafe { (handle("cluster", cluster)?, out("router", router)?) };
        *router = std::ptr::null_mut();
        let topology = cluster.get()?.topology();
        *router = atoll_router::hand_over(Router::from_topology((*topology).clone()));
        Ok(ATOLL_OK)
    })
}

/// Gives a token that asks for what either of two asks for: of two writes, or of two programs. Either may be empty.
///
/// Free `*token` with atoll_buf_free(). ATOLL_E_INVALID for tokens of different clusters, or bytes that are none. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_token_merge(
    a: *const c_void,
    a_len: usize,
    b: *const c_void,
    b_len: usize,
    token: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (a, b, token) = unsafe { (slice("a", a, a_len)?, slice("b", b, b_len)?, out("token", token)?) };
        *token = std::ptr::null_mut();
        let merged = match (a, b) {
            ([], other) | (other, []) => other.to_vec(),
            (a, b) => {
                let mut merged = token_of(a)?;
                let joined = merged.merge(&token_of(b)?);
                joined.map_err(|error| Failure::invalid(error.to_string()))?;
                merged.to_bytes()
            }
        };
        *token = atoll_buf::hand_over(merged);
        Ok(ATOLL_OK)
    })
}
