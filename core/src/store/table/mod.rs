//! Immutable tables: what compaction makes of sealed segments.
//!
//! In: versions sorted by key. Out: files that answer by key, by place and in order. A table knows
//! keys and versions and nothing of logs, runs or the key index. Read [`mod@format`] first (bytes),
//! then `writer`, [`reader`] (checks at first touch) and [`tree`] (how a key is found).
//!
//! What must never happen: a table's file changes after it has got its name; an entry is believed
//! before its page has been compared with its checksum.

pub mod dump;
mod error;
pub mod format;
pub mod reader;
pub(super) mod salvage;
pub mod tree;
pub(super) mod writer;

pub use error::TableError;
pub use reader::Table;

#[cfg(test)]
mod tests;
