//! The tables of an open store: runs to search, and files by the number the key index knows.
//!
//! In: a manifest. Out: an immutable set that is replaced whole; readers keep the one they loaded.
//! A set may resolve files that its runs no longer name: the key index is pointed away from them
//! first. What must never happen: an index entry points to a file that no set resolves.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::manifest::{MANIFEST_FILE, Manifest, RunRecord, TABLE_DIR, TableRecord};
use super::table::{Table, TableError};
use crate::ids::{Epoch, Lsn, ShardId, Uuid};
use crate::io::Disk;
use crate::log::SEGMENT_SLOTS;

/// First file number of tables in the key index; those below belong to segments.
pub(super) const FIRST_SLOT: u16 = SEGMENT_SLOTS as u16;

/// Tables with ascending keys. Only the versions of one large key may go on from one to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    pub(super) tables: Vec<Arc<Table>>,
    /// Keys up to this one, inclusive, do not count here any more.
    pub(super) after: Option<Vec<u8>>,
    /// A merge goes on writing it.
    pub(super) growing: bool,
    /// Last user's key of each table, read when first asked for: a search over the tables then meets no
    /// cold page.
    last_keys: OnceLock<Vec<Option<Box<[u8]>>>>,
}

impl Run {
    pub(super) fn new(tables: Vec<Arc<Table>>, after: Option<Vec<u8>>, growing: bool) -> Run {
        Run {
            tables,
            after,
            growing,
            last_keys: OnceLock::new(),
        }
    }

    fn last_keys(&self) -> Result<&[Option<Box<[u8]>>], TableError> {
        if let Some(keys) = self.last_keys.get() {
            return Ok(keys);
        }
        let keys = self
            .tables
            .iter()
            .map(|table| Ok(table.last_key()?.map(Into::into)));
        let keys = keys.collect::<Result<Vec<_>, TableError>>()?;
        Ok(self.last_keys.get_or_init(|| keys))
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.file_bytes()).sum()
    }

    /// Whether entries of a user's `key` count in this run.
    pub(super) fn covers(&self, key: &[u8]) -> bool {
        self.after.as_deref().is_none_or(|after| key > after)
    }

    /// Index of the table that could hold `key`: the first that does not end before it.
    pub(super) fn table_of(&self, key: &[u8]) -> Result<usize, TableError> {
        // A table without users' keys comes last: it only has the reserved keyspace.
        let is_before = |last: &Option<Box<[u8]>>| last.as_deref().is_some_and(|last| last < key);
        Ok(self.last_keys()?.partition_point(is_before))
    }

    /// Newest version of `key` below position `below`.
    pub(super) fn find(
        &self,
        key: &[u8],
        system: bool,
        below: Lsn,
    ) -> Result<Option<(Arc<Table>, usize)>, TableError> {
        if system {
            // The reserved keyspace comes last; it may begin in one table and go on in the next.
            for table in &self.tables {
                if let Some(offset) = table.find(key, true, below)? {
                    return Ok(Some((Arc::clone(table), offset)));
                }
            }
            return Ok(None);
        }
        if !self.covers(key) {
            return Ok(None);
        }
        for table in &self.tables[self.table_of(key)?..] {
            if let Some(offset) = table.find(key, false, below)? {
                return Ok(Some((Arc::clone(table), offset)));
            }
            // Versions of one key may go on in the next table.
            if table.last_key()? != Some(key) {
                break;
            }
        }
        Ok(None)
    }

    fn record(&self) -> RunRecord {
        let table = |table: &Arc<Table>| TableRecord {
            number: table.header().number,
            slot: table.slot(),
            file_bytes: table.file_bytes(),
            entries: table.footer().entries,
        };
        RunRecord {
            after: self.after.clone(),
            growing: self.growing,
            tables: self.tables.iter().map(table).collect(),
        }
    }
}

/// The set. See [`Manifest`] for what the facts mean.
#[derive(Clone, Debug)]
pub(super) struct FileSet {
    pub(super) store: Uuid,
    pub(super) generation: u64,
    pub(super) through: Lsn,
    pub(super) next_table: u64,
    pub(super) epochs: Vec<(Epoch, Lsn)>,
    /// Newest first.
    pub(super) runs: Vec<Arc<Run>>,
    /// Versions below this position are in tables, not in the log. It is `through`, or lies just behind it
    /// where a bulk load has put versions at that very position.
    pub(super) reach: Lsn,
    /// By slot, ascending; files on their way out included.
    by_slot: Vec<(u16, Arc<Table>)>,
}

impl FileSet {
    /// That of a store without tables.
    pub(super) fn empty(store: Uuid) -> FileSet {
        let manifest = Manifest::empty(store);
        FileSet {
            store,
            generation: manifest.generation,
            through: manifest.through,
            next_table: manifest.next_table,
            epochs: manifest.epochs,
            runs: Vec::new(),
            reach: manifest.through,
            by_slot: Vec::new(),
        }
    }

    /// Opens what the manifest in `dir` names and removes what it does not name.
    pub(super) fn open(
        disk: &dyn Disk,
        dir: &Path,
        store: Uuid,
        cluster: Uuid,
        shard: ShardId,
    ) -> Result<FileSet, TableError> {
        let manifest = Manifest::read(disk, dir)?.unwrap_or_else(|| Manifest::empty(store));
        let set = FileSet::of(disk, dir, &manifest, (store, cluster, shard), None)?;
        set.remove_orphans(disk, dir)?;
        Ok(set)
    }

    /// Opens what `manifest` names; tables that `known` has open are taken from there.
    pub(super) fn of(
        disk: &dyn Disk,
        dir: &Path,
        manifest: &Manifest,
        (store, cluster, shard): (Uuid, Uuid, ShardId),
        known: Option<&FileSet>,
    ) -> Result<FileSet, TableError> {
        let manifest_path = dir.join(MANIFEST_FILE);
        if manifest.store != store {
            return Err(TableError::damaged(
                &manifest_path,
                40,
                "the manifest belongs to another store",
            ));
        }
        let table_dir = dir.join(TABLE_DIR);
        let mut runs = Vec::new();
        for run in &manifest.runs {
            let mut tables = Vec::new();
            for record in &run.tables {
                let known = known.and_then(|known| known.table_of(record));
                tables.push(match known {
                    Some(table) => table,
                    None => Arc::new(open_table(disk, &table_dir, record, cluster, shard)?),
                });
            }
            runs.push(Arc::new(Run::new(tables, run.after.clone(), run.growing)));
        }
        let mut set = FileSet {
            store,
            generation: manifest.generation,
            through: manifest.through,
            next_table: manifest.next_table,
            epochs: manifest.epochs.clone(),
            runs,
            reach: manifest.through,
            by_slot: Vec::new(),
        };
        set.forget_unnamed();
        if set.reach.0 > set.through.0.saturating_add(8) {
            return Err(TableError::damaged(
                &manifest_path,
                64,
                format!(
                    "a table has versions up to {}, beyond what tables reach to",
                    set.reach
                ),
            ));
        }
        let distinct: BTreeSet<u16> = set.by_slot.iter().map(|(slot, _)| *slot).collect();
        if distinct.len() != set.by_slot.len() || distinct.first().is_some_and(|slot| *slot < FIRST_SLOT) {
            return Err(TableError::damaged(
                &manifest_path,
                0,
                "two tables with one file slot",
            ));
        }
        Ok(set)
    }

    /// The table that a manifest names, if this set has it.
    fn table_of(&self, record: &TableRecord) -> Option<Arc<Table>> {
        let table = self.table_at(self.index_of_slot(record.slot)?);
        let found = (table.header().number, table.file_bytes());
        (found == (record.number, record.file_bytes)).then(|| Arc::clone(table))
    }

    /// Lets slots resolve to what they resolve to in `before` as well, where this set has nothing.
    pub(super) fn keep_resolving(&mut self, before: &FileSet) {
        self.by_slot.extend(before.by_slot.iter().cloned());
        // Stable: of two tables with one slot, this set's own comes first.
        self.by_slot.sort_by_key(|(slot, _)| *slot);
        self.by_slot.dedup_by_key(|(slot, _)| *slot);
    }

    /// Removes files that an interrupted compaction left.
    fn remove_orphans(&self, disk: &dyn Disk, dir: &Path) -> Result<(), TableError> {
        let table_dir = dir.join(TABLE_DIR);
        let exists = disk
            .exists(&table_dir)
            .map_err(TableError::io("look up", &table_dir))?;
        let entries = if exists {
            disk.list(&table_dir)
                .map_err(TableError::io("list", &table_dir))?
        } else {
            Vec::new()
        };
        let named: BTreeSet<_> = self
            .tables()
            .filter_map(|table| table.path().file_name().map(ToOwned::to_owned))
            .collect();
        let orphans: Vec<_> = entries
            .iter()
            .filter(|entry| entry.name.ends_with(".tbl") || entry.name.ends_with(".tbl.new"))
            .filter(|entry| !named.contains(std::ffi::OsStr::new(&entry.name)))
            .map(|entry| table_dir.join(&entry.name))
            .collect();
        if orphans.is_empty() {
            return Ok(());
        }
        // The manifest may have got its name without a sync. Should a power cut bring the one before
        // back, it would miss these files.
        disk.sync_dir(dir).map_err(TableError::io("sync", dir))?;
        for path in &orphans {
            disk.remove_file(path).map_err(TableError::io("remove", path))?;
        }
        disk.sync_dir(&table_dir)
            .map_err(TableError::io("sync", &table_dir))
    }

    /// The manifest of this set.
    pub(super) fn manifest(&self) -> Manifest {
        Manifest {
            store: self.store,
            generation: self.generation,
            through: self.through,
            next_table: self.next_table,
            epochs: self.epochs.clone(),
            runs: self.runs.iter().map(|run| run.record()).collect(),
        }
    }

    /// Tables that runs name.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.runs.iter().flat_map(|run| &run.tables)
    }

    /// Index for [`FileSet::table_at`] of the table the key index knows by this number.
    #[inline]
    pub(super) fn index_of_slot(&self, slot: u16) -> Option<usize> {
        self.by_slot.binary_search_by_key(&slot, |(slot, _)| *slot).ok()
    }

    #[inline]
    pub(super) fn table_at(&self, index: usize) -> &Arc<Table> {
        &self.by_slot[index].1
    }

    /// A slot for table `number` that no file has. The same one comes back only after all others have
    /// been handed out, so a reader that has just loaded an index entry never meets its successor.
    pub(super) fn free_slot(&self, number: u64, taken: &[u16], dir: &Path) -> Result<u16, TableError> {
        (0..SEGMENT_SLOTS)
            .map(|step| FIRST_SLOT | ((number + step) % SEGMENT_SLOTS) as u16)
            .find(|slot| !taken.contains(slot) && self.index_of_slot(*slot).is_none())
            .ok_or_else(|| TableError::Full {
                path: dir.join(TABLE_DIR),
                max: SEGMENT_SLOTS as usize,
            })
    }

    /// Lets slots resolve to the tables of the runs as well as to what they resolved to before.
    pub(super) fn resolve_named(&mut self) {
        let newest = self
            .tables()
            .map(|table| table.footer())
            .filter(|footer| footer.entries > 0);
        let newest = newest.map(|footer| Lsn(footer.lsns.1.0.saturating_add(8))).max();
        self.reach = newest.map_or(self.through, |newest| newest.max(self.through));
        let mut all = std::mem::take(&mut self.by_slot);
        all.extend(
            self.runs
                .iter()
                .flat_map(|run| &run.tables)
                .map(|table| (table.slot(), Arc::clone(table))),
        );
        all.sort_by_key(|(slot, _)| *slot);
        all.dedup_by_key(|(slot, _)| *slot);
        self.by_slot = all;
    }

    /// Lets slots resolve to the tables of the runs only; returns the others.
    pub(super) fn forget_unnamed(&mut self) -> Vec<Arc<Table>> {
        let before = std::mem::take(&mut self.by_slot);
        self.resolve_named();
        before
            .into_iter()
            .map(|(_, table)| table)
            .filter(|table| self.index_of_slot(table.slot()).is_none())
            .collect()
    }

    /// Newest version of `key` below position `below` in any run.
    pub(super) fn find(
        &self,
        key: &[u8],
        system: bool,
        below: Lsn,
    ) -> Result<Option<(Arc<Table>, usize)>, TableError> {
        let mut best: Option<(Lsn, Arc<Table>, usize)> = None;
        for run in &self.runs {
            if let Some((table, offset)) = run.find(key, system, below)? {
                let lsn = table.key_at(offset)?.lsn;
                if best.as_ref().is_none_or(|(newest, _, _)| lsn > *newest) {
                    best = Some((lsn, table, offset));
                }
            }
        }
        Ok(best.map(|(_, table, offset)| (table, offset)))
    }
}

fn open_table(
    disk: &dyn Disk,
    table_dir: &Path,
    record: &TableRecord,
    cluster: Uuid,
    shard: ShardId,
) -> Result<Table, TableError> {
    let path = table_dir.join(super::table::writer::file_name(record.number));
    if !disk.exists(&path).map_err(TableError::io("look up", &path))? {
        return Err(TableError::damaged(
            &path,
            0,
            "the manifest names a table that is not there",
        ));
    }
    let table = Table::open(disk, &path, record.slot)?;
    let header = table.header();
    let found = (header.number, table.file_bytes(), table.footer().entries);
    if found != (record.number, record.file_bytes, record.entries) {
        return Err(TableError::damaged(
            &path,
            64,
            "the file is another table than the manifest names",
        ));
    }
    if (header.cluster, header.shard) != (cluster, shard) {
        return Err(TableError::damaged(
            &path,
            40,
            "the table belongs to another shard",
        ));
    }
    Ok(table)
}
