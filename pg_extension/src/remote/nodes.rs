//! Where a nominal server leads: (group, slot) → node, as the catalog says.
//!
//! In: the tables `atoll.node` and `atoll.slot`, options of foreign servers. Out: nodes. Must never: read
//! the catalog for every query: it is kept until PostgreSQL says that it changed. The tables' triggers
//! call `catalog_changed`, because PostgreSQL sends no message when rows of an ordinary table change.

#![expect(unsafe_code, reason = "reads foreign servers and registers cache callbacks")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::rc::Rc;

use pgrx::Spi;
use pgrx::prelude::*;

use super::libpq::parse_conninfo;
use crate::error::{raise, raise_with_hint};
use crate::fdw::list;

/// A server that holds slots.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its key in the catalog.
    pub(crate) id: i32,
    /// Its name, as users gave it.
    pub(crate) name: String,
    /// The connection string: for libpq only.
    pub(super) conninfo: String,
    /// False when nothing may be sent to it.
    pub(crate) enabled: bool,
}

/// A slot of a group of colocated tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// Tables of one group share the nodes of their slots.
    pub(crate) group: i32,
    /// From 0.
    pub(crate) slot: i32,
}

#[derive(Default)]
struct Catalog {
    nodes: HashMap<i32, Rc<Node>>,
    slots: HashMap<Place, i32>,
}

thread_local! {
    static CATALOG: RefCell<Option<Rc<Catalog>>> = const { RefCell::new(None) };
    static PLACES: RefCell<HashMap<pg_sys::Oid, Place>> = RefCell::new(HashMap::new());
    static TABLES: Cell<[pg_sys::Oid; 2]> = const { Cell::new([pg_sys::InvalidOid; 2]) };
    static CATALOG_STALE: Cell<bool> = const { Cell::new(false) };
    static SERVERS_STALE: Cell<bool> = const { Cell::new(false) };
    static GENERATION: Cell<u64> = const { Cell::new(0) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Grows whenever connections may lead elsewhere than when they were opened.
pub(super) fn generation() -> u64 {
    GENERATION.get()
}

#[pg_guard]
unsafe extern "C-unwind" fn on_relation(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    if relation == pg_sys::InvalidOid || TABLES.get().contains(&relation) {
        CATALOG_STALE.set(true);
        GENERATION.set(GENERATION.get() + 1);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_server(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    SERVERS_STALE.set(true);
    GENERATION.set(GENERATION.get() + 1);
}

fn register() {
    if REGISTERED.replace(true) {
        return;
    }
    // SAFETY: the callbacks only set flags, and stay loaded as long as the backend.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(on_relation), pg_sys::Datum::from(0));
        for cache in [
            pg_sys::SysCacheIdentifier::FOREIGNSERVEROID,
            pg_sys::SysCacheIdentifier::USERMAPPINGOID,
        ] {
            pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(on_server), pg_sys::Datum::from(0));
        }
    }
}

/// The oid of a table of the extension.
pub(crate) fn table(name: &CStr) -> pg_sys::Oid {
    // SAFETY: both names end with a zero; missing ones give an invalid oid.
    let relation = unsafe {
        let schema = pg_sys::get_namespace_oid(c"atoll".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    if relation == pg_sys::InvalidOid {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("table atoll.{} does not exist", name.to_string_lossy()),
            "Create extension atoll in this database.",
        );
    }
    relation
}

/// Runs `work` with the rights of the installation's owner: who may use a distributed table need not be
/// allowed to read connection strings. An error on the way restores the role together with the transaction.
pub(crate) fn with_owner_rights<R>(work: impl FnOnce() -> R) -> R {
    with_rights(pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID), work)
}

/// The same with the rights of a role.
pub(crate) fn with_rights<R>(role: pg_sys::Oid, work: impl FnOnce() -> R) -> R {
    let mut user = pg_sys::InvalidOid;
    let mut flags = 0;
    // SAFETY: both are places for what is read; the flags keep the role from being changed meanwhile.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut flags);
        pg_sys::SetUserIdAndSecContext(
            role,
            flags
                | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32
                | pg_sys::SECURITY_RESTRICTED_OPERATION as i32,
        );
    }
    let result = work();
    // SAFETY: the values read above.
    unsafe { pg_sys::SetUserIdAndSecContext(user, flags) };
    result
}

fn catalog() -> Rc<Catalog> {
    register();
    // Looking up the tables may bring messages that set the flag again.
    TABLES.set([table(c"node"), table(c"slot")]);
    if !CATALOG_STALE.get()
        && let Some(catalog) = CATALOG.with_borrow(Clone::clone)
    {
        return catalog;
    }
    CATALOG_STALE.set(false);
    let catalog = Rc::new(with_owner_rights(read));
    CATALOG.set(Some(Rc::clone(&catalog)));
    catalog
}

fn read() -> Catalog {
    let mut catalog = Catalog::default();
    let read = Spi::connect(|client| -> Result<(), pgrx::spi::Error> {
        for row in client.select(
            "SELECT node_id, name::pg_catalog.text, conninfo, enabled FROM atoll.node",
            None,
            &[],
        )? {
            let node = Node {
                id: row.get(1)?.unwrap_or_default(),
                name: row.get(2)?.unwrap_or_default(),
                conninfo: row.get(3)?.unwrap_or_default(),
                enabled: row.get(4)?.unwrap_or_default(),
            };
            catalog.nodes.insert(node.id, Rc::new(node));
        }
        for row in client.select("SELECT group_id, slot, node_id FROM atoll.slot", None, &[])? {
            let place = Place {
                group: row.get(1)?.unwrap_or_default(),
                slot: row.get(2)?.unwrap_or_default(),
            };
            catalog.slots.insert(place, row.get(3)?.unwrap_or_default());
        }
        Ok(())
    });
    if let Err(error) = read {
        raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("atoll's catalog cannot be read: {error}"),
        );
    }
    catalog
}

/// All nodes, by their number.
pub(crate) fn nodes() -> Vec<Rc<Node>> {
    let mut nodes: Vec<_> = catalog().nodes.values().map(Rc::clone).collect();
    nodes.sort_by_key(|node| node.id);
    nodes
}

/// The node of a slot.
pub(crate) fn node_of(place: Place) -> Rc<Node> {
    let catalog = catalog();
    let node = catalog.slots.get(&place).and_then(|id| catalog.nodes.get(id));
    match node {
        Some(node) if node.enabled => Rc::clone(node),
        Some(node) => super::Trouble::disabled(&node.name).raise(""),
        None => raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("no node holds slot {} of group {}", place.slot, place.group),
        ),
    }
}

/// What a foreign server's options say.
pub(crate) fn place_of(server: pg_sys::Oid) -> Place {
    register();
    if SERVERS_STALE.replace(false) {
        PLACES.with_borrow_mut(HashMap::clear);
    }
    if let Some(place) = PLACES.with_borrow(|places| places.get(&server).copied()) {
        return place;
    }
    // SAFETY: a server that exists, since a foreign table of this plan names it; its options are a list of
    // DefElem in memory of this call.
    let options = unsafe { options_of((*pg_sys::GetForeignServer(server)).options) };
    let number = |name: &str| {
        let option = options.iter().find(|(key, _)| key == name);
        option
            .and_then(|(_, value)| value.to_str().ok()?.parse().ok())
            .unwrap_or_else(|| {
                raise(
                    PgSqlErrorCode::ERRCODE_FDW_OPTION_NAME_NOT_FOUND,
                    format!("the foreign server has no option \"{name}\""),
                )
            })
    };
    let place = Place {
        group: number("group"),
        slot: number("slot"),
    };
    PLACES.with_borrow_mut(|places| places.insert(server, place));
    place
}

/// Names and values of a list of options.
///
/// # Safety
/// A list of `DefElem` whose values are strings, or null.
pub(crate) unsafe fn options_of(list: *const pg_sys::List) -> Vec<(String, CString)> {
    // SAFETY: the caller passes such a list.
    unsafe {
        list::pointers::<pg_sys::DefElem>(list)
            .into_iter()
            .map(|option| {
                let name = CStr::from_ptr((*option).defname).to_string_lossy().into_owned();
                (name, CStr::from_ptr(pg_sys::defGetString(option)).to_owned())
            })
            .collect()
    }
}

/// The settings of a connection string, or `None` if libpq cannot read it.
pub(crate) fn settings(conninfo: &str) -> Option<Vec<(String, String)>> {
    let settings = parse_conninfo(&CString::new(conninfo).ok()?).ok()?;
    let text = |text: CString| text.to_string_lossy().into_owned();
    Some(
        settings
            .into_iter()
            .map(|(key, value)| (text(key), text(value)))
            .collect(),
    )
}

/// The role that added a node, or without its server the installation's owner.
pub(crate) fn owner(node: &Node) -> pg_sys::Oid {
    let name = CString::new(format!("atoll_node_{}", node.name)).unwrap_or_default();
    // SAFETY: the name ends with a zero; a server is read only when there is one.
    unsafe {
        match pg_sys::get_foreign_server_oid(name.as_ptr(), true) {
            pg_sys::InvalidOid => pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID),
            server => (*pg_sys::GetForeignServer(server)).owner,
        }
    }
}

/// User and password that a role has for a node: the mapping of its server `atoll_node_<name>`.
pub(super) fn login(node: &Node, user: pg_sys::Oid) -> Vec<(CString, CString)> {
    let Ok(name) = CString::new(format!("atoll_node_{}", node.name)) else {
        return Vec::new();
    };
    // SAFETY: the name ends with a zero; a mapping is asked for only when there is one.
    unsafe {
        let server = pg_sys::get_foreign_server_oid(name.as_ptr(), true);
        if server == pg_sys::InvalidOid {
            return Vec::new();
        }
        let cache = pg_sys::SysCacheIdentifier::USERMAPPINGUSERSERVER as i32;
        let zero = pg_sys::Datum::from(0);
        let has =
            |user: pg_sys::Oid| pg_sys::SearchSysCacheExists(cache, user.into(), server.into(), zero, zero);
        if !has(user) && !has(pg_sys::InvalidOid) {
            return Vec::new();
        }
        options_of((*pg_sys::GetUserMapping(user, server)).options)
            .into_iter()
            .filter(|(key, _)| key == "user" || key == "password")
            .filter_map(|(key, value)| Some((CString::new(key).ok()?, value)))
            .collect()
    }
}

/// `atoll.catalog_changed()`: trigger of the catalog's tables, tells every backend to read them again.
#[pg_trigger]
pub(crate) fn catalog_changed<'a>(
    trigger: &'a pgrx::PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, pgrx::PgTriggerError> {
    let relation = trigger.relation()?.oid();
    // SAFETY: a relation that is locked by the statement whose trigger this is.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation) };
    Ok(None::<PgHeapTuple<'a, pgrx::AllocatedByPostgres>>)
}
