//! C ABI over the engine: the library `libatoll` and its header `include/atoll.h`.
//!
//! In: calls from C and from every language that can call C. Out: statuses, plain values, and handles whose
//! owner the header names. Must never: let a panic reach its caller, keep an argument past the call, or
//! hold logic of its own.
//!
//! Read `call.rs` first: every exported function goes through it. Then `db.rs`, for what a handle is. The
//! header is printed from these sources by `examples/header.rs`; functions made by a macro would be
//! missing from it, so there are none, and `scripts/test-c.sh` compares the header with the symbols of the
//! library. What holds for all pointers stands once, at the head of the header (`cbindgen.toml`).

#![allow(
    clippy::missing_safety_doc,
    reason = "what callers promise is the contract of the header, and stands at its head"
)]

mod batch;
mod bytes;
mod call;
mod callback;
mod causal;
mod cluster;
mod db;
mod error;
mod health;
mod hlc;
mod hlc_clock;
mod keys;
mod load;
mod locate;
mod log;
mod logger;
mod maintenance;
mod options;
mod panic;
mod plan;
mod read;
mod resolver;
mod route;
mod router;
mod scan;
mod siblings;
mod snapshot;
mod stats;
mod status;
mod transaction;
mod vclock;
mod version;
mod write;

pub use version::{atoll_abi_version, atoll_version, atoll_version_number};
