//! Atoll: a sharded, replicated key-value engine that lives inside your program.
//!
//! Read [`Cluster`] first: a directory of shards and replicas. One shard replica is a
//! [`Store`]; where a key lives is decided by a [`routing::Topology`].

pub mod cluster;
pub mod ids;
pub mod io;
pub mod log;
pub mod replication;
pub mod routing;
pub mod store;
pub mod versioning;

/// Version of this library, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
