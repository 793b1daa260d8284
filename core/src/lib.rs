//! Atoll: a sharded, replicated key-value engine that lives inside your program.
//!
//! Read [`cluster::Cluster`] first: a directory of shards and replicas. One shard replica is a
//! [`store::Store`]; where a key lives is decided by a [`routing::Topology`]. The outside world
//! (files, time, randomness) is an [`io::Env`], so everything runs on a simulated machine too.
//!
//! | room | what it turns into what |
//! |---|---|
//! | [`routing`] | key → slot → shard → nodes; plans |
//! | [`log`] | records → durable order |
//! | [`store`] | keys → versions, over one log |
//! | [`replication`] | one log → other replicas |
//! | [`cluster`] | shards × replicas → what users call |
//! | [`config`] | names and text → options of the rooms |
//! | [`versioning`] | two writes of one key → which came first, or what both come to |
//! | [`io`] | the operating system, or one that loses power on request |

pub mod cluster;
pub mod config;
pub mod ids;
pub mod io;
pub mod log;
mod metrics;
pub mod replication;
pub mod routing;
pub mod store;
mod sync;
pub mod versioning;

/// Version of this library, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The programs of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
