//! The versioning room.
