//! The declarations of the routing functions, once for each type of key.
//!
//! In and out: as `routing.rs` says. Macros write them because PostgreSQL wants a function of its own
//! for each type. Integers have an encoding as last argument, which means nothing to other keys.

use atoll::routing::hash64;
use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;
use pgrx::{Uuid, default};

use super::key::{Encoding, Key, encoding as parse};
use super::{bucket, collation, jump, range_of, ring_node, ring_nodes, slot};
use crate::convert::{ArrayOf, Bytes, ServerText, Text};

/// What every type of key has, with its type as an array's element and the names of the C functions.
macro_rules! for_every_key {
    ($key:ty, $split:ty, $hash64:ident, $slot_of:ident, $jump:ident, $range_of:ident, $encode_key:ident) => {
        /// `hash64(x)`: the 64 bits of xxh3 over the encoded key, as a signed integer.
        #[pg_extern(name = "hash64", immutable, strict, parallel_safe)]
        fn $hash64(x: $key, call: FunctionCallInfo) -> i64 {
            x.check(collation(call));
            x.encoded(Encoding::Binary, |key| hash64(key) as i64)
        }

        /// `slot_of(x, slots)`: from 0, the slot of a table of so many.
        #[pg_extern(name = "slot_of", immutable, strict, parallel_safe)]
        fn $slot_of(x: $key, slots: i32, call: FunctionCallInfo) -> i32 {
            x.check(collation(call));
            x.encoded(Encoding::Binary, |key| slot(key, slots))
        }

        /// `jump(x, n)`: jump consistent hash of xxh3 over the encoded key.
        #[pg_extern(name = "jump", immutable, strict, parallel_safe)]
        fn $jump(x: $key, n: i32, call: FunctionCallInfo) -> i32 {
            x.check(collation(call));
            x.encoded(Encoding::Binary, |key| jump(key, n))
        }

        /// `range_of(x, splits)`: from 0, the range among ascending splits, each the start of its range.
        #[pg_extern(name = "range_of", immutable, strict, parallel_safe)]
        fn $range_of(x: $key, splits: ArrayOf<$split>, call: FunctionCallInfo) -> i32 {
            x.check(collation(call));
            range_of(call, x, &splits, Encoding::Binary)
        }

        /// `encode_key(x)`: the bytes that are hashed.
        #[pg_extern(name = "encode_key", immutable, strict, parallel_safe)]
        fn $encode_key(x: $key, call: FunctionCallInfo) -> Vec<u8> {
            x.check(collation(call));
            x.encoded(Encoding::Binary, <[u8]>::to_vec)
        }
    };
}

/// What takes a hash by name, for keys that have one encoding.
macro_rules! for_bytes {
    ($key:ty, $ring_node:ident, $ring_nodes:ident, $modulo:ident) => {
        /// `ring_node(x, nodes, vnodes, hash)`: the node that owns the key on a consistent-hash ring.
        #[pg_extern(name = "ring_node", immutable, strict, parallel_safe)]
        fn $ring_node(
            x: $key,
            nodes: ArrayOf<Text<'static>>,
            vnodes: default!(i32, 160),
            hash: default!(Text<'_>, "'xxh3'"),
            call: FunctionCallInfo,
        ) -> ServerText {
            x.check(collation(call));
            x.encoded(Encoding::Binary, |key| {
                ring_node(call, key, &nodes, vnodes, &hash)
            })
        }

        /// `ring_nodes(x, nodes, n, vnodes, hash)`: the first n distinct nodes, the owner first.
        #[pg_extern(name = "ring_nodes", immutable, strict, parallel_safe)]
        fn $ring_nodes(
            x: $key,
            nodes: ArrayOf<Text<'static>>,
            n: i32,
            vnodes: default!(i32, 160),
            hash: default!(Text<'_>, "'xxh3'"),
            call: FunctionCallInfo,
        ) -> Vec<ServerText> {
            x.check(collation(call));
            x.encoded(Encoding::Binary, |key| {
                ring_nodes(call, key, &nodes, n, vnodes, &hash)
            })
        }

        /// `modulo(x, n, hash)`: the whole digest modulo n.
        #[pg_extern(name = "modulo", immutable, strict, parallel_safe)]
        fn $modulo(x: $key, n: i32, hash: default!(Text<'_>, "'xxh3'"), call: FunctionCallInfo) -> i32 {
            x.check(collation(call));
            x.encoded(Encoding::Binary, |key| bucket(key, n, &hash))
        }
    };
}

/// What takes the encoding of integers by name: `binary`, or `decimal` as programs that hash `str(id)`.
macro_rules! for_integers {
    (
        $key:ty, $ring_node:ident, $ring_nodes:ident, $modulo:ident,
        $hash64:ident, $slot_of:ident, $jump:ident, $range_of:ident, $encode_key:ident
    ) => {
        /// `ring_node(x, nodes, vnodes, hash, encoding)`.
        #[pg_extern(name = "ring_node", immutable, strict, parallel_safe)]
        fn $ring_node(
            x: $key,
            nodes: ArrayOf<Text<'static>>,
            vnodes: default!(i32, 160),
            hash: default!(Text<'_>, "'xxh3'"),
            encoding: default!(Text<'_>, "'binary'"),
            call: FunctionCallInfo,
        ) -> ServerText {
            x.encoded(parse(&encoding), |key| {
                ring_node(call, key, &nodes, vnodes, &hash)
            })
        }

        /// `ring_nodes(x, nodes, n, vnodes, hash, encoding)`.
        #[pg_extern(name = "ring_nodes", immutable, strict, parallel_safe)]
        fn $ring_nodes(
            x: $key,
            nodes: ArrayOf<Text<'static>>,
            n: i32,
            vnodes: default!(i32, 160),
            hash: default!(Text<'_>, "'xxh3'"),
            encoding: default!(Text<'_>, "'binary'"),
            call: FunctionCallInfo,
        ) -> Vec<ServerText> {
            x.encoded(parse(&encoding), |key| {
                ring_nodes(call, key, &nodes, n, vnodes, &hash)
            })
        }

        /// `modulo(x, n, hash, encoding)`.
        #[pg_extern(name = "modulo", immutable, strict, parallel_safe)]
        fn $modulo(
            x: $key,
            n: i32,
            hash: default!(Text<'_>, "'xxh3'"),
            encoding: default!(Text<'_>, "'binary'"),
        ) -> i32 {
            x.encoded(parse(&encoding), |key| bucket(key, n, &hash))
        }

        /// `hash64(x, encoding)`.
        #[pg_extern(name = "hash64", immutable, strict, parallel_safe)]
        fn $hash64(x: $key, encoding: Text<'_>) -> i64 {
            x.encoded(parse(&encoding), |key| hash64(key) as i64)
        }

        /// `slot_of(x, slots, encoding)`.
        #[pg_extern(name = "slot_of", immutable, strict, parallel_safe)]
        fn $slot_of(x: $key, slots: i32, encoding: Text<'_>) -> i32 {
            x.encoded(parse(&encoding), |key| slot(key, slots))
        }

        /// `jump(x, n, encoding)`.
        #[pg_extern(name = "jump", immutable, strict, parallel_safe)]
        fn $jump(x: $key, n: i32, encoding: Text<'_>) -> i32 {
            x.encoded(parse(&encoding), |key| jump(key, n))
        }

        /// `range_of(x, splits, encoding)`.
        #[pg_extern(name = "range_of", immutable, strict, parallel_safe)]
        fn $range_of(x: $key, splits: ArrayOf<$key>, encoding: Text<'_>, call: FunctionCallInfo) -> i32 {
            range_of(call, x, &splits, parse(&encoding))
        }

        /// `encode_key(x, encoding)`.
        #[pg_extern(name = "encode_key", immutable, strict, parallel_safe)]
        fn $encode_key(x: $key, encoding: Text<'_>) -> Vec<u8> {
            x.encoded(parse(&encoding), <[u8]>::to_vec)
        }
    };
}

for_every_key!(
    Bytes<'_>,
    Bytes<'static>,
    hash64_bytea,
    slot_of_bytea,
    jump_bytea,
    range_of_bytea,
    encode_key_bytea
);
for_every_key!(
    Text<'_>,
    Text<'static>,
    hash64_text,
    slot_of_text,
    jump_text,
    range_of_text,
    encode_key_text
);
for_every_key!(
    Uuid,
    Uuid,
    hash64_uuid,
    slot_of_uuid,
    jump_uuid,
    range_of_uuid,
    encode_key_uuid
);
for_every_key!(
    i16,
    i16,
    hash64_int2,
    slot_of_int2,
    jump_int2,
    range_of_int2,
    encode_key_int2
);
for_every_key!(
    i32,
    i32,
    hash64_int4,
    slot_of_int4,
    jump_int4,
    range_of_int4,
    encode_key_int4
);
for_every_key!(
    i64,
    i64,
    hash64_int8,
    slot_of_int8,
    jump_int8,
    range_of_int8,
    encode_key_int8
);

for_bytes!(Bytes<'_>, ring_node_bytea, ring_nodes_bytea, modulo_bytea);
for_bytes!(Text<'_>, ring_node_text, ring_nodes_text, modulo_text);
for_bytes!(Uuid, ring_node_uuid, ring_nodes_uuid, modulo_uuid);

for_integers!(
    i16,
    ring_node_int2,
    ring_nodes_int2,
    modulo_int2,
    hash64_int2_encoded,
    slot_of_int2_encoded,
    jump_int2_encoded,
    range_of_int2_encoded,
    encode_key_int2_encoded
);
for_integers!(
    i32,
    ring_node_int4,
    ring_nodes_int4,
    modulo_int4,
    hash64_int4_encoded,
    slot_of_int4_encoded,
    jump_int4_encoded,
    range_of_int4_encoded,
    encode_key_int4_encoded
);
for_integers!(
    i64,
    ring_node_int8,
    ring_nodes_int8,
    modulo_int8,
    hash64_int8_encoded,
    slot_of_int8_encoded,
    jump_int8_encoded,
    range_of_int8_encoded,
    encode_key_int8_encoded
);
