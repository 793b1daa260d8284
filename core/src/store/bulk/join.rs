//! How finished tables of a bulk load become part of the store.
//!
//! In: staged tables. Out: a store that has all their versions at one position. In this order:
//!
//! 1. Everything in the log goes into tables, while writers go on.
//! 2. Writers are stopped: every stripe is held. What has come in since goes into tables as well. The log
//!    now ends at a position *L*, and so does what tables have. All versions of the load get position L.
//! 3. One manifest names the new tables. From here on the load counts, also after a crash.
//! 4. The key index is led to every key of the load.
//! 5. An INGEST record is appended, at L. With it the end of the log moves past L, so every snapshot taken
//!    from now on sees the load, all of it, and none taken before does, wherever the index led meanwhile.
//! 6. Writers go on. Their versions name L as predecessor, which the tables answer for
//!    ([`super::super::files::FileSet::reach`]).
//!
//! A crash between 3 and 5 leaves tables with versions at the end of the log. The next epoch's first
//! record then stands there, and an INGEST record follows it.

use std::sync::Arc;

use super::super::compact::CompactionLimits;
use super::super::compact::install::{NotInstalled, Writers};
use super::super::files::{FileSet, Run};
use super::super::table::{Table, TableError};
use super::super::version::table_location;
use super::super::write::{GROUP, Written};
use super::super::{Store, StoreError};
use super::{BulkLoad, BulkLoaded};
use crate::ids::{Hlc, Lsn};
#[cfg(doc)]
use crate::log::LogError;
use crate::log::format::{RecordKind, RecordParts};
use crate::log::payload::Ingest;

/// Everything may be flushed; nothing that others may want of the log or of deletions goes for it.
const LIMITS: CompactionLimits = CompactionLimits {
    below: Lsn(u64::MAX),
    keep_tombstones_from: Lsn::ZERO,
    keep_log_from: Lsn::ZERO,
};

/// The key index takes about 13 bytes a key on average, and up to this much just after pages have divided.
const INDEX_BYTES_A_KEY: u64 = 20;

impl Store {
    /// Makes everything `load` was given visible at once, and durable: on return it survives a power cut,
    /// and a snapshot sees all of it or nothing. A key that is there already gets the new value, as from a
    /// put at that moment.
    ///
    /// Readers go on. Writers, and whoever waits for a sync, wait while the last records of the log are
    /// written into a table and the key index learns the keys (about a quarter of a second for each
    /// million). **The log does not have the pairs**: a follower that comes to this place of the log refuses
    /// it with [`LogError::Ingested`], and has to start from a copy of the tables. So a shard with several
    /// replicas is loaded through batches instead, as `Cluster::load_sorted` does.
    ///
    /// # Errors
    /// [`StoreError::LoadRefused`] for a load that lost a pair or belongs to another store; not the
    /// primary; damage; disk full, the disk's: nothing has changed. Where the store takes no more writes
    /// afterwards ([`Store::poisoned`]), the next opening tells whether the load counts: whole or not at all.
    pub fn finish_bulk_load(&self, mut load: BulkLoad) -> Result<BulkLoaded, StoreError> {
        if let Some(cause) = load.refused.take() {
            return Err(StoreError::LoadRefused { cause });
        }
        if load.store != self.store_id() {
            let cause = "it was begun on another store".into();
            return Err(StoreError::LoadRefused { cause });
        }
        load.stage()?;
        let mut loaded = BulkLoaded {
            keys: load.keys,
            payload_bytes: load.payload_bytes,
            table_bytes: load.staged.iter().map(|table| table.file_bytes()).sum(),
            written: None,
        };
        if load.is_empty() {
            return Ok(loaded);
        }
        let written = self.join(&load)?;
        // The tables have it in any case; whoever asks for this position waits for the log.
        self.log.sync_to(written.end)?;
        loaded.written = Some(written);
        Ok(loaded)
    }

    fn join(&self, load: &BulkLoad) -> Result<Written, StoreError> {
        self.log.check_poison()?;
        // No compaction changes the files meanwhile.
        let _compaction = self.compaction.lock();
        if let Some(cause) = self.compaction_health.lock().halted.clone() {
            return Err(StoreError::CompactionHalted {
                path: self.dir.clone(),
                cause,
            });
        }
        // Twice, so that little is left to do once writers wait: what comes in during the first flush
        // takes the second one a fraction of its time.
        for _ in 0..2 {
            self.flush_all(Writers::GoOn)?;
        }
        // What the index will need at most, known to be there before anything counts.
        self.check_space(load.keys.saturating_mul(INDEX_BYTES_A_KEY))?;
        self.index
            .reserve(usize::try_from(load.keys).unwrap_or(usize::MAX))?;
        let stripes = self.stripes.lock_all();
        // Nor does a sync leave its mark at the position that the load will have.
        let groups = self.log.hold_groups();
        self.flush_all(Writers::Wait)?;
        let at = self.log.tail();
        let files = self.files.load_full();
        if files.through != at || !self.log.is_leader() {
            let cause = "another leadership began meanwhile".into();
            return Err(StoreError::LoadRefused { cause });
        }
        let hlc = self.log.stamp();
        let tables = self.publish(load, &files, at, hlc)?;
        let mut next = FileSet::clone(&files);
        next.next_table += tables.len() as u64;
        next.runs
            .insert(0, Arc::new(Run::new(tables.clone(), None, false)));
        let point = || tables.iter().try_for_each(|table| self.point_to(table));
        if let Err(NotInstalled { error, named }) = self.take_effect(next, &point) {
            if !named {
                self.withdraw(&tables);
                return Err(error);
            }
            // Whether the load counts is for the next opening to find out; nothing may be written over
            // versions that may or may not be there.
            return Err(self.unindexed(error));
        }
        let written = self
            .append_ingest(load.id.0, load.content_hash(), load.keys, Some(hlc))
            .map_err(|error| self.unindexed(error))?;
        debug_assert_eq!(written.lsn, at, "nobody else could append");
        drop(groups);
        drop(stripes);
        Ok(written)
    }

    /// Brings everything that is in the log now into tables.
    fn flush_all(&self, writers: Writers) -> Result<(), StoreError> {
        self.log.wait_stable(self.log.tail());
        self.log.roll()?;
        self.log.seal_waiting()?;
        let target = self.log.durable();
        loop {
            let files = self.files.load_full();
            if files.through >= target {
                return Ok(());
            }
            let sealed = self.sealed_segments(&files, target);
            if sealed.is_empty() {
                return Ok(());
            }
            self.flush(&files, sealed, &LIMITS, &mut |_| Ok(()), writers)?;
        }
    }

    /// Gives the tables numbers, names, and the position and stamp of their versions.
    fn publish(
        &self,
        load: &BulkLoad,
        files: &FileSet,
        at: Lsn,
        hlc: Hlc,
    ) -> Result<Vec<Arc<Table>>, StoreError> {
        let disk = self.log.disk();
        let mut tables: Vec<Arc<Table>> = Vec::with_capacity(load.staged.len());
        let add = |staged: &super::StagedTable, tables: &mut Vec<Arc<Table>>| -> Result<(), TableError> {
            let number = files.next_table + tables.len() as u64;
            let taken: Vec<u16> = tables.iter().map(|table| table.slot()).collect();
            let slot = files.free_slot(number, &taken, &self.dir)?;
            let finished = staged.publish(disk, &load.dir, number, (at, hlc))?;
            let table = Table::open(disk, &finished.path, slot);
            if table.is_err()
                && let Err(error) = disk.remove_file(&finished.path)
            {
                tracing::debug!(path = %finished.path.display(), %error, "could not remove an unused table");
            }
            tables.push(Arc::new(table?));
            Ok(())
        };
        for staged in &load.staged {
            if let Err(error) = add(staged, &mut tables) {
                self.withdraw(&tables);
                return Err(error.into());
            }
        }
        Ok(tables)
    }

    /// Removes tables that no manifest names; what cannot be removed is left to the next opening.
    fn withdraw(&self, tables: &[Arc<Table>]) {
        for table in tables {
            if let Err(error) = self.log.disk().remove_file(table.path()) {
                tracing::debug!(path = %table.path().display(), %error, "could not remove an unused table");
            }
        }
    }

    /// Leads the index to every key of a table of the load. Nobody writes meanwhile.
    fn point_to(&self, table: &Arc<Table>) -> Result<(), StoreError> {
        let mut hashes = Vec::with_capacity(GROUP);
        let mut offsets = Vec::with_capacity(GROUP);
        table.for_each(|offset, entry| {
            hashes.push(self.hash(entry.key, false));
            offsets.push(offset);
            if hashes.len() == GROUP {
                self.point_group(table, &mut hashes, &mut offsets)?;
            }
            Ok::<(), StoreError>(())
        })?;
        self.point_group(table, &mut hashes, &mut offsets)
    }

    /// Of a group of keys the cache misses overlap.
    fn point_group(
        &self,
        table: &Arc<Table>,
        hashes: &mut Vec<u64>,
        offsets: &mut Vec<usize>,
    ) -> Result<(), StoreError> {
        self.prefetch_group(hashes);
        for (hash, offset) in hashes.drain(..).zip(offsets.drain(..)) {
            let key = table.key_at(offset)?.key;
            let location = table_location(table, offset);
            match self.lookup_hashed(hash, key, false)? {
                Some((old, _)) => {
                    self.index.replace(hash, old, location)?;
                }
                None => self.index.insert(hash, location)?,
            }
        }
        Ok(())
    }

    /// Says in the log that tables have joined without passing through it.
    fn append_ingest(
        &self,
        load: [u8; 16],
        content: [u8; 16],
        entries: u64,
        hlc: Option<Hlc>,
    ) -> Result<Written, StoreError> {
        let value = Ingest {
            load,
            content,
            entries,
        }
        .encode();
        let parts = RecordParts {
            hlc,
            ..RecordParts::new(RecordKind::Ingest, &[], &value, Lsn::ZERO)
        };
        let appended = self.log.append(&parts)?;
        let written = Written {
            lsn: appended.lsn,
            end: appended.end,
            epoch: appended.epoch,
        };
        drop(appended);
        self.waiters.wake(|| self.log.stable());
        Ok(written)
    }

    /// After a crash between manifest and record: the record is made up for, behind the first one of an
    /// epoch, which stands at `at`.
    pub(in crate::store) fn make_up_for_ingest(&self, at: Lsn) -> Result<(), StoreError> {
        let files = self.files.load_full();
        if files.reach <= at {
            return Ok(());
        }
        let loaded = files.tables().filter(|table| table.footer().lsns.1 >= at);
        let entries = loaded.map(|table| table.footer().entries).sum();
        self.append_ingest([0; 16], [0; 16], entries, None).map(drop)
    }
}
