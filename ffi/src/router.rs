//! Routers: what they are made from, the forms they travel in, and what they know of themselves.
//!
//! In: options by name as text, the byte form, JSON. Out: `atoll_router`, which never changes. Must never: accept an
//! option that means nothing to the algorithm, or answer differently from the engine (it only asks it).
//!
//! Look-ups stand in `route.rs`, what only topologies know in `locate.rs`, changes of nodes in `plan.rs`.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::{CStr, c_char, c_void};
use std::str::FromStr;

use atoll::routing::{Algorithm, KeyEncoding, NodeSpec, Router, RouterSpec, RoutingError};
use parking_lot::Mutex;

use crate::bytes::{self, atoll_buf, atoll_bytes, text};
use crate::call::{Versioned, call, exclusive, fill_in, free, handle, out};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::status::*;

/// Integers become 8 bytes, big-endian with the sign bit flipped: byte order is numeric order.
pub const ATOLL_KEYS_BINARY: u32 = 0;
/// Integers become their decimal text, as programs have it that hash md5(str(id)). Inside composite keys they stay
/// binary.
pub const ATOLL_KEYS_DECIMAL: u32 = 1;

/// What a router is to look like. One thread at a time.
pub struct atoll_router_options {
    spec: Mutex<RouterSpec>,
}

/// An immutable map from keys to nodes, buckets, slots or tokens. Any thread.
///
/// It belongs to no store and touches no file; it also works in a child process.
pub struct atoll_router {
    pub(crate) router: Router,
}

impl atoll_router {
    pub(crate) fn hand_over(router: Router) -> *mut atoll_router {
        Box::into_raw(Box::new(atoll_router { router }))
    }
}

/// A node of a router. Initialise it with ATOLL_NODE_INIT.
///
/// The views belong to the router.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_node {
    /// sizeof(atoll_node).
    pub struct_size: usize,
    /// Its name, UTF-8.
    pub name: atoll_bytes,
    /// Its failure domain; empty where it has none.
    pub zone: atoll_bytes,
    /// Smaller failure domain within the zone; empty where it has none.
    pub rack: atoll_bytes,
    /// Its share relative to the other nodes; 0 for one that is kept empty.
    pub weight: u32,
    /// ATOLL_NODE_ACTIVE, ATOLL_NODE_LEAVING or ATOLL_NODE_GONE.
    pub state: u32,
}

/// The node takes keys.
pub const ATOLL_NODE_ACTIVE: u32 = 0;
/// The node gives up what it holds (topologies only).
pub const ATOLL_NODE_LEAVING: u32 = 1;
/// The node has left; its number is not used again (topologies only).
pub const ATOLL_NODE_GONE: u32 = 2;

// SAFETY: numbers and pointers, zero is each one's default, and the first one is the size.
unsafe impl Versioned for atoll_node {
    const ZERO: Self = atoll_node {
        struct_size: 0,
        name: atoll_bytes::EMPTY,
        zone: atoll_bytes::EMPTY,
        rack: atoll_bytes::EMPTY,
        weight: 0,
        state: 0,
    };
    const NAME: &'static str = "atoll_node";
}

/// Makes options of a router: the algorithm `slots`, no nodes, everything else by default. Free them with
/// atoll_router_options_free().
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_router_options_new() -> *mut atoll_router_options {
    guard(std::ptr::null_mut(), || {
        Box::into_raw(Box::new(atoll_router_options {
            spec: Mutex::new(RouterSpec::default()),
        }))
    })
}

/// Frees options of a router. NULL is allowed. Routers that were made with them stay.
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_options_free(options: *mut atoll_router_options) {
    // SAFETY: the contract of the header: options came from atoll_router_options_new() and are freed once.
    unsafe { free(options) }
}

/// Sets an option by its name: atoll_router_options_set(o, "algorithm", "ring", &err).
///
///     algorithm   modulo, ring, range, slots, jump, hrw, maglev, ketama, nginx, redis, cassandra
///     nodes       NAME, NAME=WEIGHT, NAME=WEIGHT@ZONE or NAME=WEIGHT@ZONE/RACK, separated by commas
///     buckets     numbered buckets in place of nodes
///     hash        xxh3, xxh64, sha1, md5, crc32, murmur3 (modulo, ring, slots)
///     encoding    binary or decimal: how integers become key bytes
///     locality    none, tag (what stands in {braces} decides) or prefix:BYTES
///     vnodes      points per unit of weight, 160 (ring, slots)
///     table_size  entries of the table, a prime, 65537 (maglev)
///     slots       number of slots, 4096 (slots)
///     replicas    copies of every slot, 1 (slots)
///
/// Split keys of `range` are added with atoll_router_options_add_split(). Setting an option again replaces it; the empty
/// text takes it back. What fits together is checked by atoll_router_new(). One thread at a time. ATOLL_E_INVALID for an
/// unknown name or a value that cannot be; nothing has changed then.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_options_set(
    options: *mut atoll_router_options,
    name: *const c_char,
    value: *const c_char,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (options, name, value) = unsafe {
            (
                handle("options", options)?,
                text("name", name)?,
                text("value", value)?,
            )
        };
        let mut spec = exclusive("options", &options.spec)?;
        set(&mut spec, name, value)?;
        Ok(ATOLL_OK)
    })
}

fn set(spec: &mut RouterSpec, name: &str, value: &str) -> Result<(), Failure> {
    match name {
        "algorithm" => spec.algorithm = parsed(value)?.unwrap_or_default(),
        "nodes" if value.is_empty() => spec.nodes.clear(),
        "nodes" => spec.nodes = NodeSpec::parse_list(value)?,
        "buckets" => spec.buckets = number(name, value)?,
        "hash" => spec.hash = parsed(value)?,
        "encoding" => spec.encoding = parsed(value)?.unwrap_or_default(),
        "locality" => spec.locality = parsed(value)?.unwrap_or_default(),
        "vnodes" => spec.vnodes = number(name, value)?,
        "table_size" => spec.table_size = number(name, value)?,
        "slots" => spec.slots = number(name, value)?,
        "replicas" => spec.replicas = number(name, value)?,
        _ => {
            return Err(Failure::invalid(format!(
                "a router has no option {name:?}: there are algorithm, nodes, buckets, hash, encoding, locality, vnodes, \
                 table_size, slots and replicas"
            )));
        }
    }
    Ok(())
}

/// The value of an option; none for the empty text.
fn parsed<T: FromStr<Err = RoutingError>>(value: &str) -> Result<Option<T>, Failure> {
    if value.is_empty() {
        return Ok(None);
    }
    Ok(Some(value.parse()?))
}

fn number<T: TryFrom<u64>>(name: &str, value: &str) -> Result<Option<T>, Failure> {
    if value.is_empty() {
        return Ok(None);
    }
    // Digits only: the parser of numbers would also take a plus sign.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse::<u64>().ok().filter(|_| digits);
    match number.and_then(|number| T::try_from(number).ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(Failure::invalid(format!(
            "{name} is {value:?}: it must be a whole number of at most {} bits",
            8 * size_of::<T>()
        ))),
    }
}

/// Adds a node at the end of the list: "NAME", "NAME=WEIGHT", "NAME=WEIGHT@ZONE" or "NAME=WEIGHT@ZONE/RACK".
///
/// One thread at a time. ATOLL_E_INVALID for a name that no node can have.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_options_add_node(
    options: *mut atoll_router_options,
    node: *const c_char,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (options, node) = unsafe { (handle("options", options)?, text("node", node)?) };
        let node: NodeSpec = node.parse()?;
        exclusive("options", &options.spec)?.nodes.push(node);
        Ok(ATOLL_OK)
    })
}

/// Adds a split key of `range`, encoded. Splits ascend; range i + 1 begins with split i.
///
/// One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_options_add_split(
    options: *mut atoll_router_options,
    key: *const c_void,
    key_len: usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (options, key) = unsafe { (handle("options", options)?, bytes::key(key, key_len)?) };
        let mut spec = exclusive("options", &options.spec)?;
        spec.splits.get_or_insert_default().push(key.to_vec());
        Ok(ATOLL_OK)
    })
}

/// Makes a router. Free it with atoll_router_free().
///
/// `*router` is NULL after an error. The options stay the caller's, and may serve again. One thread at a time on the options.
/// ATOLL_E_INVALID if an option is missing, means nothing to the algorithm, or contradicts another; the message names it.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_new(
    options: *const atoll_router_options,
    router: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { out("router", router)? };
        *out = std::ptr::null_mut();
        // SAFETY: the contract of the header.
        let options = unsafe { handle("options", options)? };
        let spec = exclusive("options", &options.spec)?;
        *out = atoll_router::hand_over(Router::new(&spec)?);
        Ok(ATOLL_OK)
    })
}

/// Frees a router. NULL is allowed. Views of its names end.
///
/// Any thread, once no other call on it is under way.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_free(router: *mut atoll_router) {
    // SAFETY: the contract of the header.
    unsafe { free(router) }
}

/// Gives the byte form of a router: equal routers have equal bytes in every language. A router of slots gives the bytes
/// of its topology.
///
/// Free `*encoded` with atoll_buf_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_encode(
    router: *const atoll_router,
    encoded: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { out("encoded", encoded)? };
        *out = std::ptr::null_mut();
        // SAFETY: the contract of the header.
        let router = unsafe { handle("router", router)? };
        *out = atoll_buf::hand_over(router.router.to_bytes());
        Ok(ATOLL_OK)
    })
}

/// Reads the byte form of a router, or of the topology of a cluster. Free the router with atoll_router_free().
///
/// `*router` is NULL after an error. Any thread. ATOLL_E_CORRUPT for bytes that are none, ATOLL_E_UNSUPPORTED for a
/// format of a newer library. Building the router takes the memory that its options ask for.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_decode(
    encoded: *const c_void,
    encoded_len: usize,
    router: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { out("router", router)? };
        *out = std::ptr::null_mut();
        // SAFETY: the contract of the header.
        let encoded = unsafe { bytes::slice("encoded", encoded, encoded_len)? };
        *out = atoll_router::hand_over(Router::from_bytes(encoded)?);
        Ok(ATOLL_OK)
    })
}

/// Gives a router as one line of JSON, which says the same as its byte form.
///
/// Free `*json` with atoll_buf_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_to_json(
    router: *const atoll_router,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { out("json", json)? };
        *out = std::ptr::null_mut();
        // SAFETY: the contract of the header.
        let router = unsafe { handle("router", router)? };
        *out = atoll_buf::hand_over(router.router.to_json().into_bytes());
        Ok(ATOLL_OK)
    })
}

/// Makes a router from JSON: {"algorithm":"ring","nodes":[{"name":"a"},{"name":"b","weight":2}],"vnodes":160}, with the names of
/// atoll_router_options_set(), `splits` as {"text":…} or {"hex":…}, or the whole table of a cluster as `topology`.
///
/// `*router` is NULL after an error; free it with atoll_router_free(). Any thread. ATOLL_E_INVALID as for
/// atoll_router_new(), and for unknown fields.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_from_json(
    json: *const c_void,
    json_len: usize,
    router: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { out("router", router)? };
        *out = std::ptr::null_mut();
        // SAFETY: the contract of the header.
        let json = unsafe { bytes::utf8("json", json, json_len)? };
        *out = atoll_router::hand_over(Router::from_json(json)?);
        Ok(ATOLL_OK)
    })
}

/// Returns the name of the algorithm of a router; "" for NULL.
///
/// The string lives as long as the library stays loaded. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_algorithm(router: *const atoll_router) -> *const c_char {
    guard(c"".as_ptr(), || {
        // SAFETY: the contract of the header.
        unsafe { router.as_ref() }.map_or(c"".as_ptr(), |router| name(router.router.algorithm()).as_ptr())
    })
}

fn name(algorithm: Algorithm) -> &'static CStr {
    match algorithm {
        Algorithm::Modulo => c"modulo",
        Algorithm::Ring => c"ring",
        Algorithm::Range => c"range",
        Algorithm::Slots => c"slots",
        Algorithm::Jump => c"jump",
        Algorithm::Hrw => c"hrw",
        Algorithm::Maglev => c"maglev",
        Algorithm::Ketama => c"ketama",
        Algorithm::Nginx => c"nginx",
        Algorithm::Redis => c"redis",
        Algorithm::Cassandra => c"cassandra",
    }
}

/// Returns how a router wants integers encoded: ATOLL_KEYS_BINARY or ATOLL_KEYS_DECIMAL. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_encoding(router: *const atoll_router) -> u32 {
    guard(ATOLL_KEYS_BINARY, || {
        // SAFETY: the contract of the header.
        match unsafe { router.as_ref() }.map(|router| router.router.encoding()) {
            Some(KeyEncoding::Decimal) => ATOLL_KEYS_DECIMAL,
            _ => ATOLL_KEYS_BINARY,
        }
    })
}

/// Returns the version of the topology behind a router; 0 for routers that have none, and for NULL. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_epoch(router: *const atoll_router) -> u64 {
    guard(0, || {
        // SAFETY: the contract of the header.
        let router = unsafe { router.as_ref() };
        let topology = router.and_then(|router| router.router.topology());
        topology.map_or(0, |topology| topology.version())
    })
}

/// Returns how many places atoll_router_number() answers with, from 0 on: buckets, ranges, slots or nodes. 0 where answers
/// are tokens of 64 bits, and for NULL. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_places(router: *const atoll_router) -> u32 {
    guard(0, || {
        // SAFETY: the contract of the header.
        unsafe { router.as_ref() }.map_or(0, |router| router.router.places().unwrap_or(0))
    })
}

/// Returns how many nodes a router has, those included that left a topology; 0 where answers are numbers, and for NULL.
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_node_count(router: *const atoll_router) -> u32 {
    guard(0, || {
        // SAFETY: the contract of the header.
        unsafe { router.as_ref() }.map_or(0, |router| router.router.nodes().len() as u32)
    })
}

/// Tells node number `i`, from 0 to atoll_router_node_count() - 1: the number that look-ups answer with.
///
/// The views in `node` are valid until the router is freed. Any thread. ATOLL_END past the last one.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_node_at(
    router: *const atoll_router,
    i: u32,
    node: *mut atoll_node,
    err: *mut *mut atoll_error,
) -> atoll_status {
    use atoll::routing::MemberState;
    call(err, || {
        // SAFETY: the contract of the header.
        let router = &unsafe { handle("router", router)? }.router;
        let Some(found) = router.nodes().get(i as usize) else {
            return Ok(ATOLL_END);
        };
        let member = router
            .topology()
            .map(|topology| topology.members()[i as usize].state);
        let view = |text: &Option<String>| {
            text.as_ref()
                .map_or(atoll_bytes::EMPTY, |text| atoll_bytes::of(text.as_bytes()))
        };
        let found = atoll_node {
            struct_size: size_of::<atoll_node>(),
            name: atoll_bytes::of(found.name.as_bytes()),
            zone: view(&found.zone),
            rack: view(&found.rack),
            weight: found.weight,
            state: match member {
                None | Some(MemberState::Active) => ATOLL_NODE_ACTIVE,
                Some(MemberState::Draining) => ATOLL_NODE_LEAVING,
                Some(MemberState::Removed) => ATOLL_NODE_GONE,
            },
        };
        // SAFETY: the contract of the header.
        unsafe { fill_in(node, found)? };
        Ok(ATOLL_OK)
    })
}
