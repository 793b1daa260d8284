//! What is left of the tables.
//!
//! In: the manifest, and table files as far as they can be read. Out: of each key the newest version that
//! stands on sound pages, older runs first, written to the new store; the stretches that are gone. Where
//! the manifest is lost, every table counts, and of each key the version with the newest stamp.

use std::path::{Path, PathBuf};

use super::super::files::FIRST_SLOT;
use super::super::manifest::{MANIFEST_FILE, Manifest, TABLE_DIR};
use super::super::table::salvage::Piece;
use super::super::table::writer::file_name;
use super::super::table::{Table, TableError, format::EntryView};
use super::super::{Durability, Store, StoreError, WriteBatch};
use super::segments::SegmentFile;
use super::{Lost, RepairReport, read_out};
use crate::ids::Lsn;
use crate::io::{Disk, OpenMode};
use crate::log::LogError;
use crate::log::format::{RecordFlags, RecordKind, RecordParts};
use crate::log::header::Control;

struct TableFile {
    path: PathBuf,
    bytes: u64,
    /// As the manifest says.
    entries: Option<u64>,
}

struct TableRun {
    after: Option<Vec<u8>>,
    tables: Vec<TableFile>,
}

/// The tables that count.
pub(super) struct Tables {
    /// Every version below is in tables; `None` when nothing tells.
    pub(super) through: Option<Lsn>,
    /// Oldest first.
    runs: Vec<TableRun>,
}

fn exists(disk: &dyn Disk, path: &Path) -> Result<bool, LogError> {
    disk.exists(path).map_err(|e| LogError::io("look up", path, e))
}

/// Finds out which tables make up the store in `source`.
pub(super) fn find(
    disk: &dyn Disk,
    source: &Path,
    control: Option<&Control>,
    segments: &[SegmentFile],
    report: &mut RepairReport,
) -> Result<Tables, StoreError> {
    let dir = source.join(TABLE_DIR);
    let manifest = Manifest::read(disk, source).map_err(|error| error.to_string());
    let is_own = |manifest: &Manifest| control.is_none_or(|control| control.store == manifest.store);
    let why = match manifest {
        Ok(Some(manifest)) if is_own(&manifest) => return Ok(Tables::named(&dir, &manifest)),
        Ok(Some(_)) => "it belongs to another store".to_owned(),
        Ok(None) => {
            let first = || segments.first().and_then(SegmentFile::first).unwrap_or(Lsn::ZERO);
            if control.map_or_else(first, |control| control.log_start) == Lsn::ZERO {
                // Never compacted, or the first compaction was cut short.
                return Ok(Tables {
                    through: Some(Lsn::ZERO),
                    runs: Vec::new(),
                });
            }
            "it is missing".to_owned()
        }
        Err(why) => why,
    };
    report.lost.push(Lost::positions(
        source.join(MANIFEST_FILE),
        Lsn::ZERO,
        format!("{why}; every table that is there was used, which may bring deleted keys back"),
    ));
    let mut files = Vec::new();
    if exists(disk, &dir)? {
        for entry in disk.list(&dir).map_err(|e| LogError::io("list", &dir, e))? {
            let path = dir.join(&entry.name);
            if entry.name.ends_with(".tbl")
                && let Ok(file) = disk.open(&path, OpenMode::Read)
                && let Ok(bytes) = file.len()
            {
                let entries = None;
                files.push(TableFile { path, bytes, entries });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    // Each a run of its own: their keys are not known to ascend from one to the next.
    let runs = files.into_iter().map(|table| TableRun {
        after: None,
        tables: vec![table],
    });
    Ok(Tables {
        through: None,
        runs: runs.collect(),
    })
}

impl Tables {
    fn named(dir: &Path, manifest: &Manifest) -> Tables {
        let runs = manifest.runs.iter().rev().map(|run| TableRun {
            after: run.after.clone(),
            tables: (run.tables.iter())
                .map(|table| TableFile {
                    path: dir.join(file_name(table.number)),
                    bytes: table.file_bytes,
                    entries: Some(table.entries),
                })
                .collect(),
        });
        Tables {
            through: Some(manifest.through),
            runs: runs.collect(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.runs.iter().map(|run| run.tables.len()).sum()
    }

    /// Whether no byte of any table is damaged.
    pub(super) fn are_sound(&self, disk: &dyn Disk, copy: &Path) -> Result<bool, StoreError> {
        for file in self.runs.iter().flat_map(|run| &run.tables) {
            let sound = match open(disk, file, copy)? {
                Ok(table) => table.check_all().is_ok(),
                Err(_) => false,
            };
            forget(disk, copy)?;
            if !sound {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Saves what the tables hold.
    pub(super) fn save(
        &self,
        disk: &dyn Disk,
        copy: &Path,
        store: &Store,
        report: &mut RepairReport,
        done: &mut dyn FnMut(&RepairReport),
    ) -> Result<(), StoreError> {
        for run in &self.runs {
            let mut saver = Saver {
                store,
                after: run.after.as_deref(),
                by_stamp: self.through.is_none(),
                last: None,
            };
            for file in &run.tables {
                report.tables += 1;
                match open(disk, file, copy)? {
                    Ok(table) => saver.save(file, &table, report)?,
                    Err(error) => {
                        let entries = file
                            .entries
                            .map_or_else(String::new, |count| format!("; it had {count} entries"));
                        report.lost.push(Lost {
                            to: self.through,
                            ..Lost::positions(file.path.clone(), Lsn::ZERO, format!("{error}{entries}"))
                        });
                    }
                }
                forget(disk, copy)?;
                done(report);
            }
        }
        Ok(())
    }
}

/// Copies a table to a sound disk and opens the copy; the inner error is the old disk's.
fn open(disk: &dyn Disk, file: &TableFile, copy: &Path) -> Result<Result<Table, TableError>, StoreError> {
    if !exists(disk, &file.path)? {
        return Ok(Err(TableError::damaged(&file.path, 0, "the file is missing")));
    }
    if let Err(error) = disk.open(&file.path, OpenMode::Read) {
        return Ok(Err(TableError::io("open", &file.path)(error)));
    }
    read_out(disk, &file.path, file.bytes, copy)?;
    Ok(Table::open(disk, copy, FIRST_SLOT))
}

fn forget(disk: &dyn Disk, copy: &Path) -> Result<(), LogError> {
    if exists(disk, copy)? {
        disk.remove_file(copy)
            .map_err(|e| LogError::io("remove", copy, e))?;
    }
    Ok(())
}

/// Saves the entries of one run.
struct Saver<'r> {
    store: &'r Store,
    /// Keys up to this one stand in another run.
    after: Option<&'r [u8]>,
    /// Whether a version that is there already stays if its stamp is newer.
    by_stamp: bool,
    /// Key written last, and its keyspace: what follows of it is older.
    last: Option<(bool, Vec<u8>)>,
}

impl Saver<'_> {
    fn save(&mut self, file: &TableFile, table: &Table, report: &mut RepairReport) -> Result<(), StoreError> {
        let lsns = table.footer().lsns;
        let mut before: Option<Vec<u8>> = None;
        // Losses that still wait for the key behind them.
        let mut open = report.lost.len();
        table.salvage(|piece| {
            let (entry, error) = match piece {
                Piece::Lost(range, error) => {
                    report.lost.push(Lost {
                        to: Some(lsns.1.advance(8)),
                        after_key: before.clone(),
                        ..Lost::positions(
                            file.path.clone(),
                            lsns.0,
                            format!(
                                "{} bytes from offset {} on: {}",
                                range.len(),
                                range.start,
                                place(&error)
                            ),
                        )
                    });
                    return Ok(());
                }
                Piece::ValueLost(entry, error) => (entry, Some(error)),
                Piece::Sound(entry) => (entry, None),
            };
            for lost in &mut report.lost[open..] {
                lost.before_key = Some(entry.key.to_vec());
            }
            open = report.lost.len();
            before = Some(entry.key.to_vec());
            if !self.counts(&entry) {
                return Ok(());
            }
            if let Some(error) = error {
                report.lost.push(Lost {
                    to: Some(entry.lsn.advance(8)),
                    key: Some(entry.key.to_vec()),
                    ..Lost::positions(file.path.clone(), entry.lsn, place(&error))
                });
                open = report.lost.len();
                return Ok(());
            }
            report.versions += u64::from(self.write(&entry)?);
            Ok(())
        })
    }

    fn counts(&self, entry: &EntryView<'_>) -> bool {
        let (system, key) = (entry.is_system(), entry.key);
        let is_older =
            (self.last.as_ref()).is_some_and(|(of_system, last)| (*of_system, &last[..]) == (system, key));
        !is_older && (system || self.after.is_none_or(|after| key > after))
    }

    fn write(&mut self, entry: &EntryView<'_>) -> Result<bool, StoreError> {
        let (system, key) = (entry.is_system(), entry.key);
        self.last = Some((system, key.to_vec()));
        if self.by_stamp
            && let Some(there) = self.store.newest_version(key, system)?
            && there.view()?.hlc >= entry.hlc
        {
            return Ok(false);
        }
        if system {
            let parts = RecordParts {
                flags: RecordFlags(RecordFlags::SYSTEM),
                hlc: Some(entry.hlc),
                ..RecordParts::new(entry.kind, key, entry.value, Lsn::ZERO)
            };
            self.store.append_version(&parts, true)?;
        } else {
            let value = (entry.kind != RecordKind::Delete).then(|| entry.value.to_vec());
            let mut batch = WriteBatch::new();
            batch.copy_version(key, value, entry.hlc, entry.expiry.ms());
            self.store.write(&batch, Durability::Buffered)?;
        }
        Ok(true)
    }
}

/// What is wrong, without the path of the copy.
fn place(error: &TableError) -> String {
    match error {
        TableError::Damaged { offset, what, .. } => format!("offset {offset}: {what}"),
        other => other.to_string(),
    }
}
