//! How a step takes effect: manifest, index, files, in this order.
//!
//! In: a set of files that exist, and what they replace. Out: a store that reads from them. At any
//! moment a crash leaves either set whole: new files are durable before the manifest names them, and
//! what it no longer names goes only once the new manifest is durable.

use super::super::files::FileSet;
use super::super::index::Location;
use super::super::manifest::TABLE_DIR;
use super::super::table::TableError;
use super::super::version::table_location;
use super::super::{Store, StoreError};
use super::output::{Output, Written};
use super::{CompactionStep, StepKind};
use crate::ids::{Epoch, Lsn};
use std::sync::Arc;

/// Index entries are changed in groups: the cache misses of a group overlap.
const GROUP: usize = 32;

/// What writers do while a step takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Writers {
    /// They go on: each entry of the index is changed under the stripe of its key.
    GoOn,
    /// They wait: the caller holds every stripe.
    Wait,
}

/// Why a set of files did not become the store's.
#[derive(Debug)]
pub(in crate::store) struct NotInstalled {
    pub(in crate::store) error: StoreError,
    /// Whether a manifest on disk names the new files, or may: then they have to stay.
    pub(in crate::store) named: bool,
}

impl Store {
    /// Epochs of everything below `through`.
    pub(super) fn epochs_below(&self, files: &FileSet, through: Lsn) -> Vec<(Epoch, Lsn)> {
        let mut epochs = files.epochs.clone();
        let known = epochs.last().map_or(Epoch(0), |(epoch, _)| *epoch);
        let newer = self.log.epoch_vector().into_iter();
        epochs.extend(newer.filter(|(epoch, first)| *epoch > known && *first < through));
        epochs
    }

    /// Makes `next` the set of files.
    pub(super) fn install(
        &self,
        next: FileSet,
        output: Output<'_>,
        kind: StepKind,
        writers: Writers,
    ) -> Result<CompactionStep, StoreError> {
        let point = || {
            output
                .written
                .iter()
                .try_for_each(|written| self.repoint(written, writers))
                .and_then(|()| self.forget(&output, writers))
        };
        let bytes_removed = match self.take_effect(next, &point) {
            Ok(bytes) => bytes,
            Err(NotInstalled { error, named }) => {
                if !named {
                    output.abandon();
                }
                return Err(error);
            }
        };
        Ok(CompactionStep {
            kind,
            versions_read: output.read,
            versions_dropped: output.dropped,
            bytes_written: output.bytes,
            bytes_removed,
            bytes_left: 0,
        })
    }

    /// Makes `next` the set of files, and calls `point` to lead the index to what is new in it once the
    /// manifest is durable. Returns the bytes of files that went.
    pub(in crate::store) fn take_effect(
        &self,
        mut next: FileSet,
        point: &dyn Fn() -> Result<(), StoreError>,
    ) -> Result<u64, NotInstalled> {
        let disk = self.log.disk();
        let table_dir = self.dir.join(TABLE_DIR);
        next.generation += 1;
        if let Err(error) = disk.sync_dir(&table_dir) {
            let error = TableError::io("sync", &table_dir)(error).into();
            return Err(NotInstalled { error, named: false });
        }
        if let Some(live) = self.log.live() {
            live.begin_install();
        }
        if let Err((error, in_doubt)) = next.manifest().write(disk, &self.dir) {
            if in_doubt {
                // After a crash either manifest may be there, so all their files must be.
                self.halt(&error);
            } else if let Some(live) = self.log.live() {
                live.end_install(next.generation - 1);
            }
            let (error, named) = (error.into(), in_doubt);
            return Err(NotInstalled { error, named });
        }
        next.resolve_named();
        self.files.store(Arc::new(next.clone()));
        if let Some(live) = self.log.live() {
            // Before any entry of the index leads to a new table: whoever meets one looks here.
            live.begin_files();
        }
        if let Err(error) = point() {
            // Some entries still lead to the old files, which stay; the next opening starts with an
            // index made from the new ones.
            self.index_stale.store(true, std::sync::atomic::Ordering::Release);
            if let Some(live) = self.log.live() {
                live.give_up_index();
            }
            self.halt(&error);
            return Err(NotInstalled { error, named: true });
        }
        let retired = next.forget_unnamed();
        let generation = next.generation;
        self.files.store(Arc::new(next));
        if let Some(live) = self.log.live() {
            live.settle_files();
            live.end_install(generation);
        }
        let mut bytes_removed = 0;
        for table in &retired {
            match disk.remove_file(table.path()) {
                Ok(()) => bytes_removed += table.file_bytes(),
                // It does no harm but for its space, and the next opening removes it.
                Err(error) => {
                    tracing::warn!(path = %table.path().display(), %error, "could not remove a table")
                }
            }
        }
        Ok(bytes_removed)
    }

    fn halt(&self, error: &dyn std::fmt::Display) {
        tracing::error!(path = %self.dir.display(), %error, "no compaction until the store is opened again");
        self.compaction_health.lock().halted = Some(error.to_string());
    }

    /// Points the index at a new table, where it pointed at the versions the table was made of.
    fn repoint(&self, written: &Written, writers: Writers) -> Result<(), StoreError> {
        let table = &written.table;
        let mut before = written.before.iter();
        let mut group: Vec<(u64, Location, Location)> = Vec::with_capacity(GROUP);
        table.for_each(|offset, entry| {
            let old = before.next().expect("the writer kept one for each entry");
            // Older versions of a key are not what the index points to.
            if !entry.same_key {
                let hash = self.hash(entry.key, entry.is_system());
                self.index.prefetch(hash);
                group.push((hash, *old, table_location(table, offset)));
            }
            if group.len() == GROUP {
                self.replace_all(&mut group, writers)?;
            }
            Ok::<(), StoreError>(())
        })?;
        self.replace_all(&mut group, writers)
    }

    fn replace_all(
        &self,
        group: &mut Vec<(u64, Location, Location)>,
        writers: Writers,
    ) -> Result<(), StoreError> {
        for (hash, old, new) in group.drain(..) {
            // A writer that has looked up this entry still means it when it replaces it.
            let _stripe = (writers == Writers::GoOn).then(|| self.stripes.lock(hash));
            // `false` where a newer version has been written since.
            self.index.replace(hash, old, new)?;
        }
        Ok(())
    }

    /// Takes keys out of the index whose last word, a deletion or an expired value, has been left out.
    fn forget(&self, output: &Output<'_>, writers: Writers) -> Result<(), StoreError> {
        for gone in &output.gone {
            let hash = self.hash(&gone.key, false);
            let _stripe = (writers == Writers::GoOn).then(|| self.stripes.lock(hash));
            self.index.remove_at(hash, gone.at)?;
        }
        Ok(())
    }
}
