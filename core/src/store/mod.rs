//! The store room.

pub mod index;
