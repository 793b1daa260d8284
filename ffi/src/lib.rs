//! C ABI over the engine: the library `libatoll` and its header `include/atoll.h`.
//!
//! In: calls from C and from every language that can call C. Out: plain values, and pointers whose
//! owner the header names. Must never: let a panic reach its caller, or hold logic of its own.
//!
//! Read `panic.rs` first: every exported function goes through it. The header is printed from these
//! sources by `examples/header.rs`; functions made by a macro would be missing from it, so there are
//! none, and `scripts/test-c.sh` compares the header with the symbols of the library.

mod panic;
mod version;

pub use version::{atoll_abi_version, atoll_version, atoll_version_number};
