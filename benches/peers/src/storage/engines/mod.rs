//! The engines, one a file, and how each is set up.
//!
//! Settings follow what each project's own documentation advises for data that fits into memory and is
//! not compressed; caches are of one size. They are said in words in [`Named::settings`], which the page
//! prints.

mod atoll;
mod device;
mod fjall;
mod lmdb;
mod raft_engine;
mod redb;
mod rocksdb;
mod sqlite;

pub use self::atoll::Atoll;
pub use self::device::Device;
pub use self::fjall::Fjall;
pub use self::lmdb::Lmdb;
pub use self::raft_engine::RaftEngine;
pub use self::redb::Redb;
pub use self::rocksdb::Rocks;
pub use self::sqlite::Sqlite;

use serde::{Deserialize, Serialize};

/// An engine by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Named {
    /// Ours.
    Atoll,
    /// RocksDB.
    Rocksdb,
    /// LMDB.
    Lmdb,
    /// redb.
    Redb,
    /// fjall.
    Fjall,
    /// SQLite.
    Sqlite,
    /// raft-engine: a log only.
    RaftEngine,
    /// No engine: a file that exists already, written and synced in a loop. The limit for durable puts.
    Device,
}

/// What an engine can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything.
    Store,
    /// Puts.
    Log,
    /// Durable puts of single records.
    Floor,
}

impl Named {
    /// All of them; ours first.
    pub const ALL: [Named; 8] = [
        Named::Atoll,
        Named::Rocksdb,
        Named::Lmdb,
        Named::Redb,
        Named::Fjall,
        Named::Sqlite,
        Named::RaftEngine,
        Named::Device,
    ];

    /// For file names and `--only`.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Named::Atoll => "atoll",
            Named::Rocksdb => "rocksdb",
            Named::Lmdb => "lmdb",
            Named::Redb => "redb",
            Named::Fjall => "fjall",
            Named::Sqlite => "sqlite",
            Named::RaftEngine => "raft-engine",
            Named::Device => "device",
        }
    }

    /// For people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Named::Atoll => "Atoll",
            Named::Rocksdb => "RocksDB",
            Named::Lmdb => "LMDB",
            Named::Redb => "redb",
            Named::Fjall => "fjall",
            Named::Sqlite => "SQLite",
            Named::RaftEngine => "raft-engine",
            Named::Device => "file + fdatasync",
        }
    }

    /// What it can be asked for.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Named::RaftEngine => Kind::Log,
            Named::Device => Kind::Floor,
            _ => Kind::Store,
        }
    }

    /// How it was set up.
    #[must_use]
    pub fn settings(self) -> &'static str {
        match self {
            Named::Atoll => {
                "`StoreOptions` as they are, with compaction on a thread of its own and no limit to its rate \
                 (the rows called *burst* are without it); `get_with`, `multi_get_with`; durable: \
                 `Durability::Synced`"
            }
            Named::Rocksdb => {
                "crate rocksdb 0.25 (RocksDB 11.8); HyperClockCache of 2 GiB, bloom filter of 10 bits, data blocks \
                 with hash index (0.75), no compression, 4 memtables of 64 MiB, 2 background jobs, all files open; \
                 `get_pinned`, `batched_multi_get_cf`; WAL on, `sync` off / on; settled by `compact_range`"
            }
            Named::Lmdb => {
                "crate heed 0.23; map of 64 GiB; buffered `NOSYNC | WRITEMAP`, filled in transactions of 1,000; durable: \
                 default flags, a transaction per put; a read transaction per call unless one is held"
            }
            Named::Redb => {
                "crate redb 4.6; cache of 2 GiB; buffered: `Durability::None` with every 64th transaction \
                 `Immediate`, filled in transactions of 1,000; durable: `Immediate`, a transaction per put; settled by `compact`"
            }
            Named::Fjall => {
                "crate fjall 3.1; cache of 2 GiB, no compression, hash index (0.75), memtable of 64 MiB, 2 workers; durable: \
                 `persist(SyncData)` after each put; settled by `major_compact`"
            }
            Named::Sqlite => {
                "crate rusqlite 0.43 (bundled SQLite); WAL, `WITHOUT ROWID`, cache of 512 MiB a connection and maps, \
                 checkpoint every 64 MiB, prepared statements; `synchronous` NORMAL / FULL, filled in transactions of \
                 1,000; settled by `VACUUM`"
            }
            Named::RaftEngine => {
                "crate raft-engine 0.4.2, its defaults; a region per thread; durable: files prefilled for recycling \
                 (256 MiB), `sync` on"
            }
            Named::Device => {
                "128 bytes by `pwrite` into a file of zeros, then `fdatasync`; each thread in its own part of it"
            }
        }
    }
}
