//! The replication room.
