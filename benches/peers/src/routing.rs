//! The routing room beside the rings of other people.
//!
//! `keys` makes the keys, `rings` wraps the peers, `rows` measures one row of the comparison each,
//! `table` prints what came out.

pub mod keys;
pub mod rings;
pub mod rows;
pub mod snapshot;
pub mod table;
