//! The routing room: key → slot → shard → nodes.
//!
//! What comes in: keys as bytes, lists of named and weighted nodes, the bytes or JSON of a
//! topology. What goes out: the node, slot or shard of a key, new topologies, and plans that say
//! what a change of members would move before anything moves.
//!
//! This room is pure. It knows no files, clocks, threads or sockets, and no answer depends on the
//! order of a hash map, so the same input gives the same bytes in every process and language.
//! Read [`topology`] first; [`ring`], [`modulo`], [`range`] and their neighbours stand on their own for
//! programs that share no table, and [`router`] puts all of them behind one type, which every language
//! calls. [`plan`] says what adding, removing or re-weighting a node moves.

pub mod algorithm;
pub mod cassandra;
pub mod error;
pub mod hash;
pub mod hrw;
pub mod jump;
pub mod ketama;
pub mod key;
pub mod locality;
pub mod maglev;
pub mod modulo;
pub mod nginx;
pub mod node;
mod placement;
pub mod plan;
pub mod range;
pub mod redis;
pub mod ring;
pub mod router;
mod share;
pub mod topology;
mod tuple;

pub use algorithm::Algorithm;
pub use cassandra::cassandra_token;
pub use error::RoutingError;
pub use hash::{Digest, HashKind, hash64};
pub use hrw::Hrw;
pub use jump::{jump, jump_key};
pub use ketama::Ketama;
pub use key::{KeyBuf, KeyEncoding, KeyRef, encode_key, int_bytes};
pub use locality::Locality;
pub use maglev::Maglev;
pub use modulo::Modulo;
pub use nginx::Nginx;
pub use node::{MAX_NAME_BYTES, MAX_NODES, NodeSpec};
pub use plan::{Balance, Change, Move, NodeShare, Plan, SlotLoad, SlotWeight, UniformLoad};
pub use range::{Domain, RangeMap};
pub use redis::redis_slot;
pub use ring::Ring;
pub use router::{Router, RouterPlan, RouterShare, RouterSpec};
pub use topology::{
    ColumnGroup, ColumnGroupSpec, GroupId, MAX_COLUMNS, MAX_GROUPS, MAX_PLACES, MAX_SLOTS, Member,
    MemberState, MovePhase, Moving, Part, Partitioning, PartitioningSpec, Request, Shard, ShardState,
    SharedTopology, Shortfall, SlotAnswer, Topology, TopologyReader, TopologySpec, Verdict, Writes,
};
pub use tuple::{decode_tuple, encode_tuple};
