//! Where a key lives.
//!
//! In: an algorithm with its options, or the bytes or JSON of a router or topology made elsewhere. Out: `atoll_router`,
//! which answers with nodes and numbers, the same in every language and in SQL. Must never: change an answer from one
//! version to the next, or allocate for one.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::cell::RefCell;
use std::ffi::{c_char, c_void};

use atoll::routing::{
    KeyEncoding, KeyRef, NodeSpec, Router, RouterPlan, RouterSpec, RoutingError, encode_key,
};
use parking_lot::Mutex;

use crate::bytes::{self, Packed, array, array_mut, atoll_buf, atoll_bytes, slice, text};
use crate::call::{call, exclusive, free, handle, out};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::status::*;

/// What a router is to look like. One thread at a time.
pub struct atoll_router_spec {
    spec: Mutex<RouterSpec>,
}

/// Where keys live. Immutable: any number of threads may use it at once.
pub struct atoll_router {
    router: Router,
}

impl From<RoutingError> for Failure {
    fn from(error: RoutingError) -> Failure {
        Failure::invalid(error.to_string())
    }
}

impl atoll_router {
    pub(crate) fn hand_over(router: Router) -> *mut atoll_router {
        Box::into_raw(Box::new(atoll_router { router }))
    }
}

/// Begins the description of a router: "slots", "ring", "range", "modulo", "jump", "hrw", "maglev", "ketama", "nginx", "redis" or
/// "cassandra". Free it with atoll_router_spec_free().
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
        let out = unsafe { out("spec", spec)? };
        *out = std::ptr::null_mut();
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
/// "hash": "xxh3", "xxh64", "md5", "sha1", "crc32", "murmur3". "encoding": "binary" or "decimal", how integers become bytes.
/// "locality": the part of a key that decides, such as "{}" for redis-like tags, or "none". "vnodes": points a node and weight.
/// "table_size": of maglev, a prime. "slots", "replicas": of slots. "buckets": numbers in place of nodes. An option that the
/// algorithm does not have is refused when the router is made. One thread at a time.
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
/// The contract of the header for all four.
unsafe fn node_spec(name: *const c_void, name_len: usize, weight: u32) -> Result<NodeSpec, Failure> {
    // SAFETY: the caller's promise.
    let name = unsafe { slice("node", name, name_len)? };
    let name = std::str::from_utf8(name).map_err(|_| Failure::invalid("the name of a node is not UTF-8"))?;
    let node = NodeSpec::new(name).with_weight(weight);
    node.check()?;
    Ok(node)
}

/// Adds a node, in the order that counts for modulo, jump, range, ketama and nginx.
///
/// `weight` 1 is usual; 0 takes the node out of use. `zone` and `rack` say where copies should be apart, for slots; each may be
/// NULL. One thread at a time.
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

/// Adds a split key, encoded, in ascending order: `range` alone. The key is the first of the range after it. One thread at a time.
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
        let out = unsafe { out("router", router)? };
        *out = std::ptr::null_mut();
        // SAFETY: the contract of the header.
        let spec = unsafe { handle("spec", spec)? };
        *out = atoll_router::hand_over(Router::new(&*exclusive("description", &spec.spec)?)?);
        Ok(ATOLL_OK)
    })
}

/// Makes a router from its bytes, or from those of a topology: of atoll_router_encode(), of another language, or of SQL.
///
/// ATOLL_E_INVALID if they are damaged, or of a version that this library does not know. Any thread.
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
        let out = unsafe { out("router", router)? };
        *out = std::ptr::null_mut();
        // SAFETY: the contract of the header.
        let data = unsafe { slice("data", data, len)? };
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
        let out = unsafe { out("router", router)? };
        *out = std::ptr::null_mut();
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

/// Gives the bytes of a router, which every language and SQL can read. Free `*data` with atoll_buf_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_encode(
    router: *const atoll_router,
    data: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, data) = unsafe { (handle("router", router)?, out("data", data)?) };
        *data = atoll_buf::hand_over(router.router.to_bytes());
        Ok(ATOLL_OK)
    })
}

/// Gives a router as JSON, for people and for atoll_router_from_json(). Free `*json` with atoll_buf_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_to_json(
    router: *const atoll_router,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, json) = unsafe { (handle("router", router)?, out("json", json)?) };
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

/// Tells node number `i`, from 0 to atoll_router_node_count() - 1: its name, a view that lasts as long as the router, and its
/// weight. Each may be NULL.
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

/// Returns the number of places that numbers run through from 0: buckets, ranges, slots or nodes; 0 for tokens, which are any
/// 64-bit number, and for NULL. Any thread.
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

/// Returns the version of the topology behind a router of slots, which grows with every change; 0 for other routers. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_version(router: *const atoll_router) -> u64 {
    guard(0, || {
        // SAFETY: the contract of the header.
        let router = unsafe { router.as_ref() };
        router
            .and_then(|router| router.router.topology())
            .map_or(0, |topology| topology.version())
    })
}

/// Gives the name of the node that owns a key: `*name` is a view that lasts as long as the router.
///
/// The key is encoded: bytes and UTF-8 text as they are, other types by atoll_encode_key(). ATOLL_E_INVALID for a router that answers
/// with numbers. Any thread; never blocks.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_node(
    router: *const atoll_router,
    key: *const c_void,
    key_len: usize,
    name: *mut atoll_bytes,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, key, name) = unsafe {
            (
                handle("router", router)?,
                bytes::key(key, key_len)?,
                out("name", name)?,
            )
        };
        *name = atoll_bytes::of(router.router.node(key)?.as_bytes());
        Ok(ATOLL_OK)
    })
}

thread_local! {
    /// So that a look-up of several nodes allocates once a thread.
    static OWNERS: RefCell<Vec<u16>> = const { RefCell::new(Vec::new()) };
}

/// Gives the names of the first `n` distinct nodes of a key, the owner first, into `names`; `*found` is how many there are.
///
/// Views last as long as the router. ATOLL_E_INVALID for more than one node of an algorithm that knows one. Otherwise as
/// atoll_router_node().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_nodes(
    router: *const atoll_router,
    key: *const c_void,
    key_len: usize,
    names: *mut atoll_bytes,
    n: usize,
    found: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, key, names, found) = unsafe {
            (
                handle("router", router)?,
                bytes::key(key, key_len)?,
                array_mut("names", names, n)?,
                out("found", found)?,
            )
        };
        let nodes = router.router.nodes();
        OWNERS.with_borrow_mut(|owners| {
            // No key has more nodes than there are.
            router.router.owners(key, n.min(nodes.len().max(1)), owners)?;
            *found = owners.len();
            for (name, owner) in names.iter_mut().zip(owners) {
                *name = atoll_bytes::of(nodes[usize::from(*owner)].name.as_bytes());
            }
            Ok(ATOLL_OK)
        })
    })
}

/// Gives the number of a key's place: bucket (modulo, jump), range, slot (slots, redis), token (cassandra), otherwise the index of its
/// node.
///
/// Otherwise as atoll_router_node().
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_number(
    router: *const atoll_router,
    key: *const c_void,
    key_len: usize,
    number: *mut i64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, key, number) = unsafe {
            (
                handle("router", router)?,
                bytes::key(key, key_len)?,
                out("number", number)?,
            )
        };
        *number = router.router.number(key)?;
        Ok(ATOLL_OK)
    })
}

/// Gives the bucket of a number that is spread evenly over 64 bits: `jump` alone. Any thread; never blocks.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_bucket_of(
    router: *const atoll_router,
    number: u64,
    bucket: *mut u32,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, bucket) = unsafe { (handle("router", router)?, out("bucket", bucket)?) };
        *bucket = router.router.bucket_of_number(number)?;
        Ok(ATOLL_OK)
    })
}

/// Routes `n` keys at once, packed as for atoll_multi_get(): answers[i] is the index of the node of key i, or its number where the
/// router has no nodes.
///
/// Any thread; never blocks. After an error what stands in `answers` means nothing.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_route_many(
    router: *const atoll_router,
    keys: *const u8,
    key_offsets: *const u32,
    n: usize,
    answers: *mut i64,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, keys, answers) = unsafe {
            (
                handle("router", router)?,
                Packed::new(keys, key_offsets, n)?,
                array_mut("answers", answers, n)?,
            )
        };
        if n > 0 {
            router.router.route_many(keys.bytes(), keys.offsets(), answers)?;
        }
        Ok(ATOLL_OK)
    })
}

/// Hands over what a change would do, and the router after it.
fn hand_over_plan(
    plan: &RouterPlan,
    after: impl FnOnce() -> Result<Router, RoutingError>,
    json: &mut *mut atoll_buf,
    router: *mut *mut atoll_router,
) -> Result<atoll_status, Failure> {
    let text = serde_json::to_vec(plan).map_err(|error| Failure::invalid(error.to_string()))?;
    // SAFETY: the contract of the header.
    if let Some(router) = unsafe { router.as_mut() } {
        *router = std::ptr::null_mut();
        *router = atoll_router::hand_over(after()?);
    }
    *json = atoll_buf::hand_over(text);
    Ok(ATOLL_OK)
}

/// Tells what adding a node would move, as JSON: shares of keys, the least possible, and slot by slot for slots. Nothing changes.
///
/// Free `*json` with atoll_buf_free(). `after` may be NULL; otherwise it gets the router with the node, to be freed with
/// atoll_router_free(). A router of slots must get NULL: a topology changes slot by slot, as its plan is carried out. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_plan_add(
    router: *const atoll_router,
    node: *const c_void,
    node_len: usize,
    weight: u32,
    json: *mut *mut atoll_buf,
    after: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, node, json) = unsafe {
            (
                handle("router", router)?,
                node_spec(node, node_len, weight)?,
                out("json", json)?,
            )
        };
        let plan = router.router.plan_add(&node)?;
        hand_over_plan(&plan, || router.router.with_node(&node), json, after)
    })
}

/// As atoll_router_plan_add(), of taking a node away.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_router_plan_remove(
    router: *const atoll_router,
    node: *const c_void,
    node_len: usize,
    json: *mut *mut atoll_buf,
    after: *mut *mut atoll_router,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (router, node, json) = unsafe {
            (
                handle("router", router)?,
                node_spec(node, node_len, 1)?,
                out("json", json)?,
            )
        };
        let plan = router.router.plan_remove(&node.name)?;
        hand_over_plan(&plan, || router.router.without_node(&node.name), json, after)
    })
}

/// Bytes, taken as they are.
pub const ATOLL_KEY_BYTES: u32 = 0;
/// UTF-8 text, not normalised.
pub const ATOLL_KEY_TEXT: u32 = 1;
/// A signed integer of any width.
pub const ATOLL_KEY_INT: u32 = 2;
/// A UUID: 16 bytes in network order.
pub const ATOLL_KEY_UUID: u32 = 3;

/// Integers as 8 bytes whose order is numeric order.
pub const ATOLL_ENCODING_BINARY: u32 = 0;
/// Integers as their decimal text.
pub const ATOLL_ENCODING_DECIMAL: u32 = 1;

/// One part of a key.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_key_part {
    /// ATOLL_KEY_BYTES, ATOLL_KEY_TEXT, ATOLL_KEY_INT or ATOLL_KEY_UUID.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// For ATOLL_KEY_INT.
    pub integer: i64,
    /// For the other kinds.
    pub bytes: atoll_bytes,
}

impl atoll_key_part {
    /// # Safety
    /// The contract of the header.
    unsafe fn read(&self) -> Result<KeyRef<'_>, Failure> {
        // SAFETY: the caller's promise.
        let bytes = || unsafe { bytes::key(self.bytes.data.cast(), self.bytes.len) };
        Ok(match self.kind {
            ATOLL_KEY_BYTES => KeyRef::Bytes(bytes()?),
            ATOLL_KEY_TEXT => KeyRef::Text(
                std::str::from_utf8(bytes()?)
                    .map_err(|_| Failure::invalid("a text in a key is not UTF-8"))?,
            ),
            ATOLL_KEY_INT => KeyRef::Int(self.integer),
            ATOLL_KEY_UUID => KeyRef::Uuid(
                bytes()?
                    .try_into()
                    .map_err(|_| Failure::invalid(format!("a UUID has 16 bytes, not {}", self.bytes.len)))?,
            ),
            other => {
                return Err(Failure::invalid(format!(
                    "a part of a key cannot be of kind {other}"
                )));
            }
        })
    }
}

/// Gives the bytes of a typed key, as they are stored and routed: the same in every language and in SQL.
///
/// One part is a plain key; several are a tuple, ordered part by part. `encoding`: ATOLL_ENCODING_BINARY, or ATOLL_ENCODING_DECIMAL for
/// integers as programs that hash str(id) have them (inside tuples they stay binary). Free `*key` with atoll_buf_free(). Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_encode_key(
    parts: *const atoll_key_part,
    n: usize,
    encoding: u32,
    key: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (parts, key) = unsafe { (array("parts", parts, n)?, out("key", key)?) };
        let encoding = match encoding {
            ATOLL_ENCODING_BINARY => KeyEncoding::Binary,
            ATOLL_ENCODING_DECIMAL => KeyEncoding::Decimal,
            other => return Err(Failure::invalid(format!("there is no key encoding {other}"))),
        };
        // SAFETY: the contract of the header.
        let parts: Result<Vec<KeyRef<'_>>, Failure> =
            parts.iter().map(|part| unsafe { part.read() }).collect();
        let parts = parts?;
        let encoded = match parts.as_slice() {
            [] => return Err(Failure::invalid("a key has at least one part")),
            [one] => encode_key(one, encoding).into_owned(),
            many => encode_key(&KeyRef::Tuple(many), encoding).into_owned(),
        };
        *key = atoll_buf::hand_over(encoded);
        Ok(ATOLL_OK)
    })
}
