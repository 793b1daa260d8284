//! The versioning room: which write came first, and what becomes of two that did not know each other.
//!
//! What comes in: node names, dots, contexts, stamps, values as bytes, and the wall clock as a number.
//! What goes out: an order that is exact ([`Causality`]), the siblings that nothing replaced, and what a
//! [`Resolver`] makes of them.
//!
//! This room is pure. It knows no files, threads or sockets and reads no clock; no answer depends on the
//! order of a hash map, so the same input gives the same bytes in every process and language. It must
//! never lose a write that no causal successor replaced, and never panic over bytes it is given.
//!
//! Read [`vector_clock`] first for causality among named nodes, then [`siblings`] for the versions of one
//! key, then [`resolve`]. [`hlc`] orders what no cause orders; [`conformance`] checks a resolver of yours.
//! Byte layouts: `docs/FORMAT-versions.md`.

mod bytes;
pub mod causality;
pub mod conflict;
pub mod conformance;
pub mod context;
pub mod dot;
pub mod error;
pub mod hlc;
pub mod membership;
pub mod resolve;
pub mod siblings;
pub mod vector_clock;

pub use causality::Causality;
pub use conflict::Conflict;
pub use context::Context;
pub use dot::{Actor, Dot, DotSource, Incarnation, NodeId, Opening};
pub use error::VersionError;
pub use hlc::{HlcStamp, HybridClock, Received, Tick};
pub use membership::Membership;
pub use resolve::{Outcome, Resolver, resolver};
pub use siblings::{SiblingSet, Version};
pub use vector_clock::VectorClock;

pub use crate::ids::Hlc;
