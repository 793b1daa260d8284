//! Hash functions of the operator classes by which native tables are partitioned into slots.
//!
//! In: a key, and a seed that PostgreSQL adds. Out: a number from which PostgreSQL's own arithmetic makes
//! the partition that `slot_of` names. Must never: change for a released version of an operator class,
//! because the rows of partitioned tables lie where it says; a new function gets a new name.
//!
//! PostgreSQL combines the hashes of the key columns (`hash_combine64` in its `hashfn.h`), beginning with
//! 0, and takes the remainder. For one column that adds a constant, which is taken off here beforehand. So
//! the remainder is that of the engine's 64-bit hash, for every modulus.

use atoll::routing::hash64;
use pgrx::Uuid;
use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use crate::convert::{Bytes, Text};
use crate::routing::{Encoding, Key, collation};

/// What `hash_combine64(0, h)` adds to h.
const ADDED_BY_POSTGRES: u64 = 0x49a0_f4dd_15e5_a8e3;

fn before_combining(key: &[u8]) -> i64 {
    hash64(key).wrapping_sub(ADDED_BY_POSTGRES) as i64
}

macro_rules! partition_hash {
    ($($key:ty, $name:ident;)*) => {$(
        /// Second support function of a hash operator class. The seed is the same for every partitioned
        /// table, and left out.
        #[pg_extern(name = "partition_hash_v1", immutable, strict, parallel_safe)]
        fn $name(x: $key, _seed: i64, call: FunctionCallInfo) -> i64 {
            x.check(collation(call));
            x.encoded(Encoding::Binary, before_combining)
        }
    )*};
}

partition_hash! {
    Bytes<'_>, partition_hash_v1_bytea;
    Text<'_>, partition_hash_v1_text;
    Uuid, partition_hash_v1_uuid;
    i16, partition_hash_v1_int2;
    i32, partition_hash_v1_int4;
    i64, partition_hash_v1_int8;
}

extension_sql_file!(
    "opclass.sql",
    name = "operator_classes",
    requires = [
        partition_hash_v1_bytea,
        partition_hash_v1_text,
        partition_hash_v1_uuid,
        partition_hash_v1_int2,
        partition_hash_v1_int4,
        partition_hash_v1_int8,
    ],
);
