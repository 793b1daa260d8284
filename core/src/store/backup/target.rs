//! The directory that a backup goes into.
//!
//! In: cuts. Out: files under names that no finished backup uses, then a catalogue that names them. In
//! this order: the files are synced, their directories are synced, the catalogue takes the place of the
//! one before, what only that one named is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalogue::{BACKUP_FILE, Catalogue, CopyKind, CopyRecord, StoreRecord, dir_name};
use super::error::BackupError;
use super::{BackupOptions, BackupReport, Cut, Progress};
use crate::ids::{Lsn, Uuid};
use crate::io::{Disk, Env, LockGuard, LockOutcome};
use crate::log::header::PAGE_BYTES;
use crate::log::segment::{Segment, WalkEnd};
use crate::store::table::Table;

const LOCK_FILE: &str = "LOCK";
/// Copied, checksummed and told of in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// The directory, locked, and the backup that it holds.
pub(crate) struct Target<'e> {
    env: &'e Env,
    dir: PathBuf,
    owner: Uuid,
    before: Option<Catalogue>,
    _lock: Box<dyn LockGuard>,
}

/// A file that a backup needs.
enum Source {
    Segment(Arc<Segment>, Lsn),
    Table(Arc<Table>),
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Source::Segment(segment, _) => segment.path(),
            Source::Table(table) => table.path(),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Source::Segment(segment, end) => PAGE_BYTES as u64 + (end.0 - segment.first().0),
            Source::Table(table) => table.file_bytes(),
        }
    }

    /// Compares every checksum of what will be copied.
    fn check(&self) -> Result<(), BackupError> {
        match self {
            Source::Segment(segment, _) if segment.ensure(0, PAGE_BYTES).is_err() => {
                let what = "the header page cannot be read";
                Err(crate::log::LogError::corrupt(segment.path(), 0, what).into())
            }
            Source::Segment(segment, end) => match segment.walk(segment.first(), *end, true, |_| {}) {
                (_, WalkEnd::Limit) => Ok(()),
                (at, WalkEnd::Invalid(error)) => Err(segment.damaged(at, &error).into()),
                (at, WalkEnd::Empty) => Err(segment
                    .damaged(at, &crate::log::format::RecordError::Empty)
                    .into()),
                (at, WalkEnd::Uncommitted { .. }) => Err(segment
                    .damaged(at, &crate::log::format::RecordError::Uncommitted)
                    .into()),
            },
            Source::Table(table) => Ok(table.check_all()?),
        }
    }

    fn piece(&self, at: u64, len: usize) -> &[u8] {
        match self {
            Source::Segment(segment, _) => segment
                .slice(at as usize, len)
                .expect("header and records lie within the map"),
            Source::Table(table) => table.file_slice(at as usize, len),
        }
    }
}

impl<'e> Target<'e> {
    /// Takes the directory for backups of `owner`, which lies in `source`.
    pub(crate) fn open(
        env: &'e Env,
        dir: &Path,
        source: &Path,
        owner: Uuid,
    ) -> Result<Target<'e>, BackupError> {
        let disk = &*env.disk;
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if absolute(dir).starts_with(absolute(source)) {
            return Err(BackupError::Inside {
                path: dir.to_owned(),
                source_dir: source.to_owned(),
            });
        }
        disk.create_dir_all(dir).map_err(BackupError::io("create", dir))?;
        let before = Catalogue::read(disk, dir)?;
        match &before {
            Some(before) if before.owner != owner => {
                return Err(BackupError::Foreign {
                    path: dir.to_owned(),
                    expected: owner.to_string(),
                    found: before.owner.to_string(),
                });
            }
            Some(_) => {}
            None => refuse_others(disk, dir)?,
        }
        let path = dir.join(LOCK_FILE);
        let lock = match disk.lock(&path).map_err(BackupError::io("lock", &path))? {
            LockOutcome::Acquired(guard) => guard,
            LockOutcome::Held(holder) => {
                return Err(BackupError::Locked {
                    path: dir.to_owned(),
                    pid: holder.pid,
                    host: holder.host,
                });
            }
        };
        Ok(Target {
            env,
            dir: dir.to_owned(),
            owner,
            // Again, now that nobody else changes it.
            before: Catalogue::read(disk, dir)?,
            _lock: lock,
        })
    }

    /// Makes the directory the backup of these cuts.
    pub(crate) fn copy(
        &self,
        cuts: &[Cut],
        extra: Vec<u8>,
        options: &BackupOptions,
        progress: Progress<'_>,
    ) -> Result<BackupReport, BackupError> {
        let sequence = self.before.as_ref().map_or(1, |before| before.sequence + 1);
        let wall_ms = self.env.clock.wall_ms();
        let mut report = BackupReport {
            sequence,
            positions: cuts.iter().map(Cut::position).collect(),
            ..BackupReport::default()
        };
        let total = cuts
            .iter()
            .flat_map(|cut| sources(cut, sequence))
            .map(|(_, source)| source.bytes())
            .sum();
        let mut stores = Vec::new();
        for cut in cuts {
            let dir = self.dir.join(dir_name(cut.control.shard, cut.control.store));
            let disk = cut.disk();
            disk.create_dir_all(&dir)
                .map_err(BackupError::io("create", &dir))?;
            let kept = self.kept(cut);
            let mut files = Vec::new();
            for (record, source) in sources(cut, sequence) {
                let found = kept.get(&(record.kind, record.number));
                let found = found.filter(|found| (found.end, found.bytes) == (record.end, record.bytes));
                let path = dir.join(record.name());
                let mut step = |bytes: u64| {
                    report.bytes += bytes;
                    progress(report.bytes, total);
                };
                if let Some(found) = found.filter(|found| has_length(disk, &path, found.bytes)) {
                    report.bytes_kept += record.bytes;
                    step(record.bytes);
                    files.push(**found);
                } else {
                    source.check()?;
                    let linked =
                        options.link && record.kind != CopyKind::Tail && link(disk, source.path(), &path)?;
                    let crc = transfer(disk, &source, (!linked).then_some(&path), &mut step)?;
                    *(if linked {
                        &mut report.bytes_linked
                    } else {
                        &mut report.bytes_copied
                    }) += record.bytes;
                    files.push(CopyRecord { crc, ..record });
                }
                report.files += 1;
            }
            disk.sync_dir(&dir).map_err(BackupError::io("sync", &dir))?;
            stores.push(StoreRecord {
                control: cut.control.clone(),
                manifest: cut.files.manifest(),
                files,
            });
        }
        let catalogue = Catalogue {
            owner: self.owner,
            sequence,
            wall_ms,
            extra,
            stores,
        };
        catalogue.write(&*self.env.disk, &self.dir)?;
        // The backup is made; what cannot be removed now is removed by the next one.
        report.files_removed = self.remove_unnamed(&catalogue).unwrap_or_else(|error| {
            tracing::warn!(path = %self.dir.display(), %error, "could not remove files of an earlier backup");
            0
        });
        Ok(report)
    }

    /// Files of the backup before that a cut of the same store may use again.
    fn kept(&self, cut: &Cut) -> BTreeMap<(CopyKind, u64), &CopyRecord> {
        let stores = self.before.iter().flat_map(|before| &before.stores);
        let same = stores.filter(|store| store.control.store == cut.control.store);
        same.flat_map(|store| &store.files)
            .filter(|file| file.kind != CopyKind::Tail)
            .map(|file| ((file.kind, file.number), file))
            .collect()
    }

    /// Removes what only earlier or interrupted backups have used.
    fn remove_unnamed(&self, catalogue: &Catalogue) -> Result<u64, BackupError> {
        let disk = &*self.env.disk;
        let mut removed = 0;
        let named: BTreeMap<String, BTreeSet<String>> = catalogue
            .stores
            .iter()
            .map(|store| {
                let names = store.files.iter().map(CopyRecord::name).collect();
                (store.dir_name(), names)
            })
            .collect();
        let entries = disk.list(&self.dir).map_err(BackupError::io("list", &self.dir))?;
        for entry in entries.iter().filter(|entry| is_store_dir(&entry.name)) {
            let dir = self.dir.join(&entry.name);
            let Some(names) = named.get(&entry.name) else {
                let files = disk.list(&dir).map_err(BackupError::io("list", &dir))?;
                disk.remove_dir_all(&dir)
                    .map_err(BackupError::io("remove", &dir))?;
                removed += files.len() as u64;
                continue;
            };
            for file in disk.list(&dir).map_err(BackupError::io("list", &dir))? {
                if !names.contains(&file.name) {
                    let path = dir.join(&file.name);
                    disk.remove_file(&path)
                        .map_err(BackupError::io("remove", &path))?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

fn is_store_dir(name: &str) -> bool {
    name.starts_with("shard-")
}

/// Refuses a directory with anything in it that an interrupted first backup does not leave.
fn refuse_others(disk: &dyn Disk, dir: &Path) -> Result<(), BackupError> {
    let entries = disk.list(dir).map_err(BackupError::io("list", dir))?;
    let draft = format!("{BACKUP_FILE}.new");
    let ours = |entry: &str| entry == LOCK_FILE || entry == draft || is_store_dir(entry);
    // A node's directory in a cluster has such names as well; an interrupted backup has its lock.
    let begun = entries.is_empty() || entries.iter().any(|entry| entry.name == LOCK_FILE);
    let foreign = entries.iter().find(|entry| !begun || !ours(&entry.name));
    match foreign {
        None => Ok(()),
        Some(entry) => Err(BackupError::NotEmpty {
            path: dir.to_owned(),
            entry: entry.name.clone(),
        }),
    }
}

/// The files that a cut needs, in the order of the catalogue; checksums are not known yet.
fn sources(cut: &Cut, sequence: u64) -> Vec<(CopyRecord, Source)> {
    let mut all = Vec::new();
    let segments = &cut.segments.all;
    let tail = cut.control.tail;
    for (i, segment) in segments.iter().enumerate() {
        let end = segments.get(i + 1).map_or(tail, |next| next.first().min(tail));
        if end <= segment.first() {
            continue;
        }
        let sealed = matches!(segment.footer(), Ok(Some(footer)) if footer.end == end);
        let source = Source::Segment(Arc::clone(segment), end);
        let record = CopyRecord {
            kind: if sealed { CopyKind::Segment } else { CopyKind::Tail },
            number: segment.header().number,
            first: segment.first(),
            end,
            bytes: source.bytes(),
            crc: 0,
            sequence: if sealed { 0 } else { sequence },
        };
        all.push((record, source));
    }
    for table in cut.files.tables() {
        let record = CopyRecord {
            kind: CopyKind::Table,
            number: table.header().number,
            first: Lsn::ZERO,
            end: Lsn::ZERO,
            bytes: table.file_bytes(),
            crc: 0,
            sequence: 0,
        };
        all.push((record, Source::Table(Arc::clone(table))));
    }
    all
}

fn has_length(disk: &dyn Disk, path: &Path, bytes: u64) -> bool {
    let file = disk.open(path, crate::io::OpenMode::Read);
    file.and_then(|file| file.len()).is_ok_and(|len| len >= bytes)
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<(), BackupError> {
    if disk.exists(path).map_err(BackupError::io("look up", path))? {
        disk.remove_file(path).map_err(BackupError::io("remove", path))?;
    }
    Ok(())
}

/// Gives the file its second name; `false` where it has to be copied instead.
fn link(disk: &dyn Disk, from: &Path, to: &Path) -> Result<bool, BackupError> {
    remove_if_there(disk, to)?;
    match disk.link(from, to) {
        Ok(()) => Ok(true),
        // Another file system, one without links, too many of them, or a name that compaction has just
        // taken away from a file that is still open.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EXDEV | libc::EPERM | libc::EOPNOTSUPP | libc::EMLINK | libc::ENOENT)
            ) || error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(false)
        }
        Err(error) => Err(BackupError::io("link", to)(error)),
    }
}

/// Reads the source through, and copies it if there is a `path` to copy it to; returns its checksum.
fn transfer(
    disk: &dyn Disk,
    source: &Source,
    path: Option<&PathBuf>,
    step: &mut dyn FnMut(u64),
) -> Result<u32, BackupError> {
    let file = match path {
        Some(path) => {
            remove_if_there(disk, path)?;
            Some((disk.create(path).map_err(BackupError::io("create", path))?, path))
        }
        None => None,
    };
    let (mut at, mut crc) = (0u64, 0u32);
    while at < source.bytes() {
        let len = (source.bytes() - at).min(PIECE_BYTES as u64) as usize;
        let piece = source.piece(at, len);
        crc = crc32c::crc32c_append(crc, piece);
        if let Some((file, path)) = &file {
            file.write_all_at(piece, at)
                .map_err(BackupError::io("write", path))?;
        }
        at += len as u64;
        step(len as u64);
    }
    if let Some((file, path)) = &file {
        file.sync_data().map_err(BackupError::io("sync", path))?;
    }
    Ok(crc)
}
