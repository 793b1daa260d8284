//! Routing as SQL functions: where a key lives, without any cluster.
//!
//! In: a key of type bytea, text, int2, int4, int8 or uuid, and what a router is made of. Out: hashes,
//! slots, buckets and names of nodes, bit for bit those of the engine. Must never: depend on anything but
//! the arguments, since indexes and partitions are built on the answers.
//!
//! All functions are declared immutable, strict and parallel safe. `routing/cache.rs` keeps the routers
//! that are costly to build; `routing/key.rs` turns keys into bytes.

mod cache;
mod functions;
mod key;

use std::num::NonZeroU32;

use atoll::routing::{Algorithm, HashKind, NodeSpec, RangeMap, Router, RouterSpec, jump_key};
use pgrx::datum::UnboxDatum;
use pgrx::pg_sys::FunctionCallInfo;
use pgrx::{PgSqlErrorCode, pg_sys};

use crate::convert::{ArrayOf, ServerText, Text};
use crate::error::{raise, raise_routing};
use cache::{Arguments, Latest, with_router};
pub(crate) use key::{Encoding, Key};

thread_local! {
    static RINGS: Latest<Router> = const { Latest::new(Vec::new()) };
    static RANGES: Latest<RangeMap> = const { Latest::new(Vec::new()) };
}

/// A count that must be at least 1.
fn positive(count: i32, what: &str) -> NonZeroU32 {
    match u32::try_from(count).ok().and_then(NonZeroU32::new) {
        Some(count) => count,
        None => invalid(format!("{what} must be at least 1, not {count}")),
    }
}

fn invalid(message: String) -> ! {
    raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
}

fn hash_kind(name: &Text<'_>) -> HashKind {
    match name.as_str().parse() {
        Ok(kind) => kind,
        Err(error) => raise_routing(&error),
    }
}

fn slot(key: &[u8], slots: i32) -> i32 {
    HashKind::Xxh3.digest_mod(key, positive(slots, "the number of slots")) as i32
}

fn bucket(key: &[u8], n: i32, hash: &Text<'_>) -> i32 {
    hash_kind(hash).digest_mod(key, positive(n, "the number of buckets")) as i32
}

fn jump(key: &[u8], n: i32) -> i32 {
    jump_key(key, positive(n, "the number of buckets")) as i32
}

/// Calls `ask` with the ring of these arguments.
fn with_ring<R>(
    fcinfo: FunctionCallInfo,
    nodes: &ArrayOf<Text<'static>>,
    vnodes: i32,
    hash: &Text<'_>,
    ask: impl FnOnce(&Router) -> R,
) -> R {
    let arguments = || Arguments {
        array: nodes.bytes(),
        number: vnodes,
        name: hash.0,
    };
    let make = || {
        let mut specs = Vec::new();
        nodes.for_each("nodes", |node| match node.as_str().parse::<NodeSpec>() {
            Ok(spec) => specs.push(spec),
            Err(error) => raise_routing(&error),
        });
        if specs.is_empty() {
            invalid("nodes must not be empty".to_owned());
        }
        let spec = RouterSpec {
            hash: Some(hash_kind(hash)),
            vnodes: Some(positive(vnodes, "the number of virtual nodes").get()),
            ..RouterSpec::new(Algorithm::Ring, specs)
        };
        match Router::new(&spec) {
            Ok(router) => router,
            Err(error) => raise_routing(&error),
        }
    };
    call(fcinfo, &RINGS, arguments, make, ask)
}

#[expect(unsafe_code, reason = "passes the running call on to the cache")]
fn call<'a, T: 'static, R>(
    fcinfo: FunctionCallInfo,
    latest: &'static std::thread::LocalKey<Latest<T>>,
    arguments: impl FnOnce() -> Arguments<'a>,
    make: impl FnOnce() -> T,
    ask: impl FnOnce(&T) -> R,
) -> R {
    // SAFETY: SQL functions pass the call they run in, and each of them asks for one kind of router only.
    unsafe { with_router(fcinfo, latest, arguments, make, ask) }
}

fn ring_node(
    fcinfo: FunctionCallInfo,
    key: &[u8],
    nodes: &ArrayOf<Text<'static>>,
    vnodes: i32,
    hash: &Text<'_>,
) -> ServerText {
    with_ring(fcinfo, nodes, vnodes, hash, |ring| match ring.node(key) {
        Ok(node) => ServerText::new(node),
        Err(error) => raise_routing(&error),
    })
}

fn ring_nodes(
    fcinfo: FunctionCallInfo,
    key: &[u8],
    nodes: &ArrayOf<Text<'static>>,
    n: i32,
    vnodes: i32,
    hash: &Text<'_>,
) -> Vec<ServerText> {
    let Ok(n) = usize::try_from(n) else {
        invalid(format!("the number of nodes must not be negative, it is {n}"));
    };
    with_ring(fcinfo, nodes, vnodes, hash, |ring| {
        // More than there are would only reserve memory.
        match ring.nodes_of(key, n.min(ring.distinct_nodes())) {
            Ok(nodes) => nodes.into_iter().map(ServerText::new).collect(),
            Err(error) => raise_routing(&error),
        }
    })
}

/// The collation of a call.
#[expect(unsafe_code, reason = "reads the running call")]
pub(crate) fn collation(fcinfo: FunctionCallInfo) -> pg_sys::Oid {
    // SAFETY: PostgreSQL passes the running call, which outlives this function.
    unsafe { (*fcinfo).fncollation }
}

/// Number of the range of a key among sorted splits of its own type.
fn range_of<S: UnboxDatum + 'static>(
    fcinfo: FunctionCallInfo,
    key: impl Key,
    splits: &ArrayOf<S>,
    encoding: Encoding,
) -> i32
where
    for<'a> S::As<'a>: Key,
{
    let arguments = || Arguments {
        array: splits.bytes(),
        number: encoding as i32,
        name: b"",
    };
    let make = || {
        let mut keys = Vec::new();
        splits.for_each("splits", |split| {
            keys.push(split.encoded(encoding, <[u8]>::to_vec))
        });
        match RangeMap::new(keys) {
            Ok(map) => map,
            Err(error) => raise_routing(&error),
        }
    };
    let range = |map: &RangeMap| key.encoded(encoding, |key| map.range_of(key));
    match call(fcinfo, &RANGES, arguments, make, range) {
        Ok(range) => range as i32,
        Err(error) => raise_routing(&error),
    }
}
