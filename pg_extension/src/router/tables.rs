//! Distributed tables as the router sees them: their group, their key, and the part that holds a key.
//!
//! In: relations of statements, values of keys. Out: parts. Must never: read the catalog for every statement; what
//! was read is forgotten when PostgreSQL says that the relation changed.

#![expect(unsafe_code, reason = "reads partition keys and bounds")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;

use super::statement;
use crate::remote::nodes::with_owner_rights;
use crate::versions;

/// What PostgreSQL's partition cache keeps of a key, up to the fields that are read here (utils/partcache.h).
#[repr(C)]
struct PartitionKey {
    #[cfg(feature = "pg15")]
    strategy: std::ffi::c_char,
    // An enumeration of the same letters.
    #[cfg(not(feature = "pg15"))]
    strategy: std::ffi::c_int,
    columns: i16,
    attributes: *mut i16,
    expressions: *mut pg_sys::List,
    families: *mut pg_sys::Oid,
    input_types: *mut pg_sys::Oid,
    support: *mut pg_sys::FmgrInfo,
    collations: *mut pg_sys::Oid,
    types: *mut pg_sys::Oid,
}

unsafe extern "C-unwind" {
    fn RelationGetPartitionKey(relation: pg_sys::Relation) -> *mut PartitionKey;
}

const HASH: u8 = b'h';
const RANGE: u8 = b'r';
/// `HASH_PARTITION_SEED` of PostgreSQL.
const SEED: u64 = 0x7A5B_2236_7996_DCFD;
/// What `hash_combine64` adds to the hash of the first column.
const COMBINED: u64 = 0x49a0_f4dd_15e5_a8e3;
/// Number of the extended hash function in an operator family.
const HASH_EXTENDED: i16 = 2;

/// A distributed table.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub(super) group: i32,
    /// Attribute of the key.
    pub(super) key: i16,
    pub(super) by_range: bool,
    family: pg_sys::Oid,
    collation: pg_sys::Oid,
    type_: pg_sys::Oid,
    input: pg_sys::Oid,
    /// Its rows have triggers here.
    pub(super) has_triggers: bool,
}

thread_local! {
    static TABLES: RefCell<HashMap<pg_sys::Oid, Option<Table>>> = RefCell::new(HashMap::new());
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    /// Grows with every message about a relation.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

#[pg_guard]
unsafe extern "C-unwind" fn on_relation(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    CHANGES.set(CHANGES.get() + 1);
    if relation == pg_sys::InvalidOid {
        TABLES.with_borrow_mut(HashMap::clear);
    } else {
        TABLES.with_borrow_mut(|tables| tables.remove(&relation));
    }
    statement::forget(relation);
}

/// A partitioned table, if it is a distributed one that has parts.
pub(super) fn table(relation: pg_sys::Oid) -> Option<Table> {
    if !REGISTERED.replace(true) {
        // SAFETY: the callback only forgets, and stays loaded as long as the backend.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_relation), pg_sys::Datum::from(0)) };
    }
    if let Some(known) = TABLES.with_borrow(|tables| tables.get(&relation).copied()) {
        return known;
    }
    let before = CHANGES.get();
    let found = look(relation);
    // What came while it was read may be about this relation.
    if CHANGES.get() == before {
        TABLES.with_borrow_mut(|tables| tables.insert(relation, found));
    }
    found
}

fn look(relation: pg_sys::Oid) -> Option<Table> {
    // SAFETY: a relation that the statement has locked.
    let (mut table, method) = unsafe {
        let open = pg_sys::table_open(relation, pg_sys::NoLock as i32);
        let found = describe(open);
        pg_sys::table_close(open, pg_sys::NoLock as i32);
        found?
    };
    // Whose parts are this wrapper's lies in a database that has the extension.
    let sql = format!(
        "SELECT group_id FROM atoll.distributed_table WHERE relid OPERATOR(pg_catalog.=) {}::pg_catalog.oid AND method OPERATOR(pg_catalog.=) '{method}'",
        u32::from(relation)
    );
    let group = with_owner_rights(|| {
        Spi::connect(|client| client.select(&sql, Some(1), &[])?.first().get_one::<i32>())
    });
    table.group = group.ok()??;
    Some(table)
}

unsafe fn describe(open: pg_sys::Relation) -> Option<(Table, &'static str)> {
    // SAFETY: an open partitioned relation; its parts exist while it is locked.
    unsafe {
        let key = pg_guard_ffi_boundary(|| RelationGetPartitionKey(open));
        let parts = pg_sys::RelationGetPartitionDesc(open, true);
        if key.is_null() || (*key).columns != 1 || *(*key).attributes <= 0 || (*parts).nparts == 0 {
            return None;
        }
        let by_range = (*key).strategy as u8 == RANGE;
        if !by_range && (*key).strategy as u8 != HASH {
            return None;
        }
        let first = *(*parts).oids;
        if pg_sys::get_rel_relkind(first) as u8 != pg_sys::RELKIND_FOREIGN_TABLE {
            return None;
        }
        let server = pg_sys::GetForeignServer((*pg_sys::GetForeignTable(first)).serverid);
        let wrapper = pg_sys::GetForeignDataWrapper((*server).fdwid);
        if std::ffi::CStr::from_ptr((*wrapper).fdwname) != c"atoll_fdw" {
            return None;
        }
        // A part that is younger than a dropped column does not have its place.
        let columns = (*open).rd_att;
        let dropped = (0..(*columns).natts as usize).any(|n| (*versions::column(columns, n)).attisdropped);
        if dropped && by_range {
            return None;
        }
        let table = Table {
            group: 0,
            key: *(*key).attributes,
            by_range,
            family: *(*key).families,
            collation: *(*key).collations,
            type_: *(*key).types,
            input: *(*key).input_types,
            has_triggers: !(*open).trigdesc.is_null(),
        };
        Some((table, if by_range { "range" } else { "hash" }))
    }
}

impl Table {
    /// True if an operator says that its sides are the same key.
    pub(super) fn is_equality(&self, operator: pg_sys::Oid, collation: pg_sys::Oid) -> bool {
        // SAFETY: asks system caches.
        unsafe {
            let strategy = pg_sys::get_op_opfamily_strategy(operator, self.family);
            let equal = if self.by_range {
                pg_sys::BTEqualStrategyNumber
            } else {
                pg_sys::HTEqualStrategyNumber
            };
            strategy == equal as i32 && (self.collation == pg_sys::InvalidOid || collation == self.collation)
        }
    }

    /// True if the part of a value of this type can be found.
    pub(super) fn takes(&self, type_: pg_sys::Oid) -> bool {
        if type_ == self.type_ || type_ == self.input {
            return true;
        }
        // SAFETY: asks a system cache.
        !self.by_range
            && unsafe { pg_sys::get_opfamily_proc(self.family, type_, type_, HASH_EXTENDED) }
                != pg_sys::InvalidOid
    }

    /// The type in which ranges are compared.
    pub(super) fn input(&self) -> pg_sys::Oid {
        self.input
    }
}

/// The part of a key, which is NULL or of a type that the table `takes`; `None` when no range holds it.
///
/// # Safety
/// A table whose relation is locked, and a value of the type.
pub(super) unsafe fn part_of(
    relation: pg_sys::Oid,
    key: Option<pg_sys::Datum>,
    type_: pg_sys::Oid,
) -> Option<pg_sys::Oid> {
    // SAFETY: as the caller says; indexes of bounds are indexes of parts.
    unsafe {
        let open = pg_sys::table_open(relation, pg_sys::NoLock as i32);
        let how = pg_guard_ffi_boundary(|| RelationGetPartitionKey(open));
        let parts = pg_sys::RelationGetPartitionDesc(open, true);
        let collation = *(*how).collations;
        let mut index = -1;
        if (*parts).nparts > 0 && (*how).strategy as u8 == HASH {
            let seed = pg_sys::Datum::from(SEED);
            // NULL is left out of PostgreSQL's hash of a row.
            let hash = key.map_or(0, |key| {
                let hash = if type_ == *(*how).types || type_ == *(*how).input_types {
                    pg_sys::FunctionCall2Coll((*how).support, collation, key, seed)
                } else {
                    let function = pg_sys::get_opfamily_proc(*(*how).families, type_, type_, HASH_EXTENDED);
                    pg_sys::OidFunctionCall2Coll(function, collation, key, seed)
                };
                (hash.value() as u64).wrapping_add(COMBINED)
            });
            let bounds = (*parts).boundinfo;
            index = *(*bounds).indexes.add((hash % (*bounds).nindexes as u64) as usize);
        } else if (*parts).nparts > 0
            && let Some(mut key) = key
        {
            let bounds = (*parts).boundinfo;
            let mut equal = false;
            let below = pg_sys::partition_range_datum_bsearch(
                (*how).support,
                (*how).collations,
                bounds,
                1,
                &mut key,
                &mut equal,
            );
            index = *(*bounds).indexes.offset(below as isize + 1);
        }
        let part = (index >= 0).then(|| *(*parts).oids.add(index as usize));
        pg_sys::table_close(open, pg_sys::NoLock as i32);
        part
    }
}

/// Any part, for a statement whose key no part holds: its condition holds for no row there either.
///
/// # Safety
/// A table whose relation is locked.
pub(super) unsafe fn any_part(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: as the caller says.
    unsafe {
        let open = pg_sys::table_open(relation, pg_sys::NoLock as i32);
        let parts = pg_sys::RelationGetPartitionDesc(open, true);
        let part = ((*parts).nparts > 0).then(|| *(*parts).oids);
        pg_sys::table_close(open, pg_sys::NoLock as i32);
        part
    }
}
