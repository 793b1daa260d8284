//! Where a key lives.
//!
//! In: an algorithm with its options, or the bytes or JSON of a router or topology made elsewhere. Out:
//! `atoll_router`, which answers with nodes and numbers, the same in every language and in SQL. Must never:
//! change an answer from one version to the next, or allocate for one.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::{CStr, c_char, c_void};

use atoll::routing::{Algorithm, KeyEncoding, MemberState, NodeSpec, Router, RouterSpec};
use parking_lot::Mutex;

use crate::bytes::{self, atoll_buf, atoll_bytes, form, text, utf8};
use crate::call::{Versioned, call, exclusive, fill_in, free, fresh, handle};
use crate::error::{Failure, atoll_error};
use crate::keys::{ATOLL_ENCODING_BINARY, ATOLL_ENCODING_DECIMAL};
use crate::panic::guard;
use crate::status::*;

/// What a router is to look like. One thread at a time.
pub struct atoll_router_spec {
    spec: Mutex<RouterSpec>,
}

/// Where keys live. Immutable: any number of threads may use it at once.
pub struct atoll_router {
    pub(crate) router: Router,
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

impl atoll_router {
    pub(crate) fn hand_over(router: Router) -> *mut atoll_router {
        Box::into_raw(Box::new(atoll_router { router }))
    }
}

/// Begins the description of a router: "slots", "ring", "range", "modulo", "jump", "hrw", "maglev", "ketama",
/// "nginx", "redis" or "cassandra". Free it with atoll_router_spec_free().
///
/// Any thread. ATOLL_E_INVALID for another algorithm; the message lists them.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_spec_new(
    algorithm: *const c_char,
    spec: *mut *mut atoll_router_spec,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("spec", spec)? };
        // SAFETY: the contract of the header.
        let algorithm = unsafe { text("algorithm", algorithm)? }.parse()?;
        *out = Box::into_raw(Box::new(atoll_router_spec {
            spec: Mutex::new(RouterSpec::new(algorithm, Vec::new())),
        }));
        Ok(ATOLL_OK)
    })
}

/// Frees a description. NULL is allowed. Routers made from it stay. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_spec_free(spec: *mut atoll_router_spec) {
    // SAFETY: the contract of the header.
    unsafe { free(spec) }
}

/// The names that [`atoll_router_spec_set`] knows.
const SPEC_OPTIONS: &str = "hash, encoding, locality, vnodes, table_size, slots, replicas, buckets";

fn parse<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Failure> {
    value
        .trim()
        .parse()
        .map_err(|_| Failure::invalid(format!("{name} cannot be {value:?}: a whole number is needed")))
}

/// Sets an option of a router by its name.
///
/// "hash": "xxh3", "xxh64", "md5", "sha1", "crc32", "murmur3". "encoding": "binary" or "decimal", how
/// integers become bytes. "locality": the part of a key that decides: "none" (all of it), "tag" (what stands
/// in {braces}) or "prefix:BYTES". "vnodes": points a node and weight. "table_size": of maglev, a prime.
/// "slots", "replicas": of slots. "buckets": numbers in place of nodes. An option that the algorithm does not
/// have is refused when the router is made. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_spec_set(
    spec: *mut atoll_router_spec,
    name: *const c_char,
    value: *const c_char,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (spec, name, value) =
            unsafe { (handle("spec", spec)?, text("name", name)?, text("value", value)?) };
        let mut spec = exclusive("description", &spec.spec)?;
        match name {
            "hash" => spec.hash = Some(value.parse()?),
            "encoding" => spec.encoding = value.parse()?,
            "locality" => spec.locality = value.parse()?,
            "vnodes" => spec.vnodes = Some(parse(name, value)?),
            "table_size" => spec.table_size = Some(parse(name, value)?),
            "slots" => spec.slots = Some(parse(name, value)?),
            "replicas" => spec.replicas = Some(parse(name, value)?),
            "buckets" => spec.buckets = Some(parse(name, value)?),
            _ => {
                return Err(Failure::invalid(format!(
                    "a router has no option {name:?}: there are {SPEC_OPTIONS}"
                )));
            }
        }
        Ok(ATOLL_OK)
    })
}

/// # Safety
/// The contract of the header.
pub(crate) unsafe fn node_spec(
    name: *const c_void,
    name_len: usize,
    weight: u32,
) -> Result<NodeSpec, Failure> {
    // SAFETY: the caller's promise.
    let name = unsafe { utf8("node", name, name_len)? };
    let node = NodeSpec::new(name).with_weight(weight);
    node.check()?;
    Ok(node)
}

/// Adds a node, in the order that counts for modulo, jump, range, ketama and nginx.
///
/// `weight` 1 is usual; 0 takes the node out of use. `zone` and `rack` say where copies should be apart, for
/// slots; each may be NULL. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_spec_add_node(
    spec: *mut atoll_router_spec,
    node: *const c_void,
    node_len: usize,
    weight: u32,
    zone: *const c_char,
    rack: *const c_char,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (spec, mut node) = unsafe { (handle("spec", spec)?, node_spec(node, node_len, weight)?) };
        if !zone.is_null() {
            // SAFETY: the contract of the header.
            node = node.with_zone(unsafe { text("zone", zone)? });
        }
        if !rack.is_null() {
            // SAFETY: the contract of the header.
            node = node.with_rack(unsafe { text("rack", rack)? });
        }
        exclusive("description", &spec.spec)?.nodes.push(node);
        Ok(ATOLL_OK)
    })
}

/// Adds a split key, encoded, in ascending order: `range` alone. The key is the first of the range after it.
/// One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_spec_add_split(
    spec: *mut atoll_router_spec,
    key: *const c_void,
    key_len: usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (spec, key) = unsafe { (handle("spec", spec)?, bytes::key(key, key_len)?) };
        let mut spec = exclusive("description", &spec.spec)?;
        spec.splits.get_or_insert_default().push(key.to_vec());
        Ok(ATOLL_OK)
    })
}

/// Makes a router. Free it with atoll_router_free(). `*router` is NULL after an error.
///
/// The description stays as it is. One thread at a time on the description.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_new(
    spec: *const atoll_router_spec,
    router: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("router", router)? };
        // SAFETY: the contract of the header.
        let spec = unsafe { handle("spec", spec)? };
        *out = atoll_router::hand_over(Router::new(&*exclusive("description", &spec.spec)?)?);
        Ok(ATOLL_OK)
    })
}

/// Makes a router from its bytes, or from those of a topology: of atoll_router_encode(), of another language,
/// or of SQL.
///
/// ATOLL_E_CORRUPT if they are damaged, ATOLL_E_UNSUPPORTED for a format that this library does not know. Any
/// thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_decode(
    data: *const c_void,
    len: usize,
    router: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("router", router)? };
        // SAFETY: the contract of the header.
        let data = unsafe { form("data", data, len)? };
        *out = atoll_router::hand_over(Router::from_bytes(data)?);
        Ok(ATOLL_OK)
    })
}

/// Makes a router from its JSON, as atoll_router_to_json() writes it. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_from_json(
    json: *const c_char,
    router: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("router", router)? };
        // SAFETY: the contract of the header.
        *out = atoll_router::hand_over(Router::from_json(unsafe { text("json", json)? })?);
        Ok(ATOLL_OK)
    })
}

/// Frees a router. NULL is allowed. Any thread; the names it has answered with go with it.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_free(router: *mut atoll_router) {
    // SAFETY: the contract of the header.
    unsafe { free(router) }
}

/// Gives the bytes of a router, which every language and SQL can read. Free `*data` with atoll_buf_free().
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_encode(
    router: *const atoll_router,
    data: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let data = unsafe { fresh("data", data)? };
        // SAFETY: the contract of the header.
        let router = unsafe { handle("router", router)? };
        *data = atoll_buf::hand_over(router.router.to_bytes());
        Ok(ATOLL_OK)
    })
}

/// Gives a router as JSON, for people and for atoll_router_from_json(). Free `*json` with atoll_buf_free().
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_to_json(
    router: *const atoll_router,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let router = unsafe { handle("router", router)? };
        *json = atoll_buf::hand_over(router.router.to_json().into_bytes());
        Ok(ATOLL_OK)
    })
}

/// Returns how many nodes a router has; 0 if it answers with numbers, and for NULL. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_node_count(router: *const atoll_router) -> usize {
    guard(0, || {
        // SAFETY: the contract of the header.
        unsafe { router.as_ref() }.map_or(0, |router| router.router.nodes().len())
    })
}

/// Tells node number `i`, from 0 to atoll_router_node_count() - 1: its name, a view that lasts as long as the
/// router, and its weight. Each may be NULL.
///
/// Any thread. ATOLL_END past the last one.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_node_at(
    router: *const atoll_router,
    i: usize,
    name: *mut atoll_bytes,
    weight: *mut u32,
) -> atoll_status {
    call(std::ptr::null_mut(), || {
        // SAFETY: the contract of the header.
        let router = unsafe { handle("router", router)? };
        let Some(node) = router.router.nodes().get(i) else {
            return Ok(ATOLL_END);
        };
        // SAFETY: the contract of the header.
        if let Some(name) = unsafe { name.as_mut() } {
            *name = atoll_bytes::of(node.name.as_bytes());
        }
        // SAFETY: the contract of the header.
        if let Some(weight) = unsafe { weight.as_mut() } {
            *weight = node.weight;
        }
        Ok(ATOLL_OK)
    })
}

/// Returns the number of places that numbers run through from 0: buckets, ranges, slots or nodes; 0 for
/// tokens, which are any 64-bit number, and for NULL. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_places(router: *const atoll_router) -> u32 {
    guard(0, || {
        // SAFETY: the contract of the header.
        unsafe { router.as_ref() }
            .and_then(|router| router.router.places())
            .unwrap_or(0)
    })
}

/// Returns the version of the topology behind a router of slots, which grows with every change; 0 for other
/// routers. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_epoch(router: *const atoll_router) -> u64 {
    guard(0, || {
        // SAFETY: the contract of the header.
        let router = unsafe { router.as_ref() };
        router
            .and_then(|router| router.router.topology())
            .map_or(0, |topology| topology.version())
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

/// Returns how a router wants integers encoded: ATOLL_ENCODING_BINARY or ATOLL_ENCODING_DECIMAL. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_encoding(router: *const atoll_router) -> u32 {
    guard(ATOLL_ENCODING_BINARY, || {
        // SAFETY: the contract of the header.
        match unsafe { router.as_ref() }.map(|router| router.router.encoding()) {
            Some(KeyEncoding::Decimal) => ATOLL_ENCODING_DECIMAL,
            _ => ATOLL_ENCODING_BINARY,
        }
    })
}

/// As atoll_router_node_at(), with all that is known of the node.
///
/// The views in `node` are valid until the router is freed. Any thread. ATOLL_END past the last one.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_node_info(
    router: *const atoll_router,
    i: usize,
    node: *mut atoll_node,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let router = &unsafe { handle("router", router)? }.router;
        let Some(found) = router.nodes().get(i) else {
            return Ok(ATOLL_END);
        };
        let member = router.topology().map(|topology| topology.members()[i].state);
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
