//! Bulk load: pairs that are sorted already go straight into tables.
//!
//! In: pairs with ascending keys. Out: all of them at one position of the log, or none. While pairs come
//! in, tables are written beside the store, under names it does not look at; readers, writers and
//! compaction go on. `join` says how they become part of it. Nothing of a pair passes through the log:
//! what it would take there, and the flush that would write it a second time, are saved.
//!
//! What must never happen: a part of a load becomes visible, to anybody, also after a crash; a version
//! that was written before a load hides one of the load, or the other way round.

mod join;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::expiry::{Expires, ExpiryExt};
use super::table::TableError;
use super::table::format::EntryParts;
use super::table::writer::{StagedTable, TableWriter};
use super::write::Written;
use super::{Store, StoreError};
use crate::ids::{Hlc, Lsn, ShardId, Uuid};
use crate::io::{Clock, Disk};
use crate::log::LogError;
use crate::log::format::{MAX_KEY_BYTES, MAX_VALUE_BYTES, RecordFlags, RecordKind};

/// Sorted pairs on their way into a store: see [`Store::bulk_load`]. Dropping it leaves nothing behind.
pub struct BulkLoad {
    store: Uuid,
    identity: (Uuid, ShardId),
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    table_bytes: usize,
    /// Bytes that writers will want: the load leaves them free.
    reserve_bytes: u64,
    /// Tells this load's files from those of others.
    id: Uuid,
    staged: Vec<StagedTable>,
    writer: Option<TableWriter>,
    last_key: Option<Vec<u8>>,
    hasher: xxhash_rust::xxh3::Xxh3,
    keys: u64,
    payload_bytes: u64,
    /// What was wrong with a pair: a load that lacks one must not join.
    refused: Option<String>,
}

/// What a bulk load has added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkLoaded {
    /// Keys.
    pub keys: u64,
    /// Bytes of keys and values.
    pub payload_bytes: u64,
    /// Bytes of table files.
    pub table_bytes: u64,
    /// Where all versions stand, and the position after them; `None` when there were no pairs.
    pub written: Option<Written>,
}

impl std::fmt::Debug for BulkLoad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkLoad")
            .field("dir", &self.dir)
            .field("keys", &self.keys)
            .field("tables", &self.staged.len())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Begins a bulk load. Give it pairs with [`BulkLoad::put`], then make it part of the store with
    /// [`Store::finish_bulk_load`]. Others may read and write meanwhile; several loads may be under way.
    ///
    /// # Errors
    /// Not the primary; the disk's.
    pub fn bulk_load(&self) -> Result<BulkLoad, StoreError> {
        self.log.check_poison()?;
        if !self.log.is_leader() {
            return Err(LogError::NotPrimary {
                path: self.dir.clone(),
            }
            .into());
        }
        let env = self.log.env();
        let mut id = [0u8; 16];
        id[..8].copy_from_slice(&env.entropy.next_u64().to_le_bytes());
        id[8..].copy_from_slice(&env.entropy.next_u64().to_le_bytes());
        let control = self.log.control();
        Ok(BulkLoad {
            store: control.store,
            identity: (control.cluster, control.shard),
            disk: Arc::clone(&env.disk),
            clock: Arc::clone(&env.clock),
            dir: self.table_dir()?,
            table_bytes: self.table_bytes,
            reserve_bytes: self.log.reserve_bytes(),
            id: Uuid(id),
            staged: Vec::new(),
            writer: None,
            last_key: None,
            hasher: xxhash_rust::xxh3::Xxh3::new(),
            keys: 0,
            payload_bytes: 0,
            refused: None,
        })
    }

    /// Loads all `pairs`, whose keys must ascend: [`Store::bulk_load`] in one call.
    ///
    /// # Errors
    /// [`StoreError::Unsorted`], and those of [`Store::finish_bulk_load`]: nothing was loaded.
    pub fn load_sorted<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<BulkLoaded, StoreError> {
        let mut load = self.bulk_load()?;
        for (key, value) in pairs {
            load.put(key.as_ref(), value.as_ref())?;
        }
        self.finish_bulk_load(load)
    }
}

impl BulkLoad {
    /// Adds a pair. Nobody sees it before the load is finished.
    ///
    /// # Errors
    /// [`StoreError::Unsorted`] unless `key` is greater than every key before it; key or value too long;
    /// disk full, the disk's. The load can then only be dropped.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.put_expiring(key, value, Expires::Never)
    }

    /// As [`BulkLoad::put`], of a value that goes by itself. A time to live counts from this call.
    ///
    /// # Errors
    /// As for [`BulkLoad::put`].
    pub fn put_expiring(&mut self, key: &[u8], value: &[u8], expires: Expires) -> Result<(), StoreError> {
        if let Some(cause) = &self.refused {
            return Err(StoreError::LoadRefused { cause: cause.clone() });
        }
        let outcome = self.add(key, value, expires);
        if let Err(error) = &outcome {
            self.refused = Some(format!("a pair could not be added: {error}"));
        }
        outcome
    }

    /// Keys so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.keys
    }

    /// Whether there are no pairs yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// [`Store::store_id`] of the store it is for.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.store
    }

    fn add(&mut self, key: &[u8], value: &[u8], expires: Expires) -> Result<(), StoreError> {
        for (what, len, max) in [
            ("key", key.len(), MAX_KEY_BYTES),
            ("value", value.len(), MAX_VALUE_BYTES),
        ] {
            if len > max {
                return Err(LogError::TooLarge { what, len, max }.into());
            }
        }
        match &mut self.last_key {
            Some(last) if key <= last.as_slice() => {
                return Err(StoreError::Unsorted {
                    key: key.to_vec(),
                    after: last.clone(),
                });
            }
            Some(last) => {
                last.clear();
                last.extend_from_slice(key);
            }
            None => self.last_key = Some(key.to_vec()),
        }
        let now_ms = match expires {
            Expires::After(_) => self.clock.wall_ms(),
            _ => 0,
        };
        let expiry = expires.expiry(now_ms);
        self.hasher.update(&(key.len() as u32).to_le_bytes());
        self.hasher.update(&(value.len() as u32).to_le_bytes());
        self.hasher.update(&expiry.ms().unwrap_or(u64::MAX).to_le_bytes());
        self.hasher.update(key);
        self.hasher.update(value);
        let ext = ExpiryExt::of(expiry);
        let (flags, ext) = match ext.bytes() {
            Some(bytes) => (RecordFlags(RecordFlags::TTL), bytes),
            None => (RecordFlags(0), &[][..]),
        };
        let parts = EntryParts {
            kind: RecordKind::Put,
            flags,
            codec: [0; 2],
            // All versions of a load stand at one position with one stamp, which it gets in the end.
            lsn: Lsn::ZERO,
            hlc: Hlc::ZERO,
            key,
            ext,
            value,
        };
        let is_full = |writer: &TableWriter| writer.next_start() >= self.table_bytes;
        if self.writer.as_ref().is_some_and(is_full) {
            self.stage()?;
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                check_space(
                    &*self.disk,
                    &self.dir,
                    self.table_bytes as u64,
                    self.reserve_bytes,
                )?;
                let name = format!("load-{}-{}", self.id, self.staged.len());
                let writer = TableWriter::create_staged(&*self.disk, &self.dir, &name, self.identity)?;
                self.writer.insert(writer)
            }
        };
        let (disk, dir, reserve) = (&*self.disk, &self.dir, self.reserve_bytes);
        writer.add(&parts, &mut |bytes| check_space(disk, dir, bytes as u64, reserve))?;
        self.keys += 1;
        self.payload_bytes += (key.len() + value.len()) as u64;
        Ok(())
    }

    /// Ends the table under way.
    fn stage(&mut self) -> Result<(), TableError> {
        if let Some(writer) = self.writer.take() {
            let (disk, dir, reserve) = (&*self.disk, &self.dir, self.reserve_bytes);
            let staged = writer.stage(&mut |bytes| check_space(disk, dir, bytes as u64, reserve))?;
            self.staged.push(staged);
        }
        Ok(())
    }

    fn content_hash(&self) -> [u8; 16] {
        self.hasher.digest128().to_le_bytes()
    }
}

impl Drop for BulkLoad {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.abandon(&*self.disk);
        }
        for table in self.staged.drain(..) {
            table.abandon(&*self.disk);
        }
    }
}

/// Refuses what could take the last space on the disk from the writers.
fn check_space(disk: &dyn Disk, dir: &Path, bytes: u64, reserve: u64) -> Result<(), TableError> {
    let free = disk.free_bytes(dir).map_err(TableError::io("inspect", dir))?;
    let needed = bytes.saturating_add(reserve);
    if free < needed {
        return Err(TableError::DiskFull {
            path: dir.to_owned(),
            needed,
        });
    }
    Ok(())
}
