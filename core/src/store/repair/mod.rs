//! What can be saved of a damaged store, in a new directory.
//!
//! In: the directory of a store that does not open, or that `verify` found damaged. Out: a new store
//! with every version whose checksums fit, in the old order, and an exact list of what was lost; of what
//! is in tables, the newest version of each key. The old directory is only read. Files are read by system calls, never through maps of the damaged disk:
//! a block that cannot be read costs what stood in it, not the process.

mod segments;
mod tables;

use std::path::{Path, PathBuf};

use super::{Store, StoreError, StoreIdentity, StoreOptions};
use crate::ids::Lsn;
use crate::io::{Disk, Env, LockOutcome, OpenMode};
use crate::log::header::{PAGE_BYTES, SegmentHeader, StoreState};
use crate::log::recovery::read_control;
use crate::log::segment::parse_file_name;
use crate::log::{CONTROL_FILE, LOCK_FILE, LOG_DIR, LogError};
use segments::{SegmentFile, header_of};

/// Bytes read at once; a block that fails is read again page by page.
const PIECE: usize = 1 << 20;

/// A stretch of a file that could not be saved.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Lost {
    /// File it stood in.
    pub path: PathBuf,
    /// Smallest log position that may be lost.
    pub from: Lsn,
    /// Position after the last one; `None` when nothing tells how far the log went on. In tables, which
    /// are sorted by key, not everything in between is lost.
    pub to: Option<Lsn>,
    /// What is wrong there.
    pub what: String,
    /// The key, where only the value is damaged.
    pub key: Option<Vec<u8>>,
    /// In a table: the last key before the stretch; `None` at the beginning of the table.
    pub after_key: Option<Vec<u8>>,
    /// In a table: the first key behind the stretch; `None` at the end of the table.
    pub before_key: Option<Vec<u8>>,
}

impl Lost {
    /// Positions of the log from `from` on.
    fn positions(path: PathBuf, from: Lsn, what: impl Into<String>) -> Lost {
        Lost {
            path,
            from,
            to: None,
            what: what.into(),
            key: None,
            after_key: None,
            before_key: None,
        }
    }
}

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RepairReport {
    /// Segment files found.
    pub segments: u64,
    /// Table files that belong to the store.
    pub tables: u64,
    /// Versions written to the new store, deletions included.
    pub versions: u64,
    /// Reservations of writers that had died: they were never acknowledged.
    pub unfinished: u64,
    /// What was lost, by file; empty when all was saved.
    pub lost: Vec<Lost>,
}

/// Saves what can be saved of the store in `source` into `target`, which must be missing or empty.
/// `progress` is told the files done and in all.
///
/// The new store has another id and an incarnation above every one seen, and is closed cleanly.
///
/// # Errors
/// The source is open in some process, or neither its control page nor any segment header is left;
/// the target is not empty; the target's disk. What was written to the target then is to be removed.
pub fn repair(
    env: &Env,
    source: &Path,
    target: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<RepairReport, StoreError> {
    let disk = &*env.disk;
    let _lock = lock(disk, source)?;
    refuse_occupied(disk, target)?;
    let log_dir = source.join(LOG_DIR);
    let mut files: Vec<(u64, PathBuf)> = disk
        .list(&log_dir)
        .map_err(|e| LogError::io("list", &log_dir, e))?
        .into_iter()
        .filter_map(|entry| parse_file_name(&entry.name).map(|number| (number, log_dir.join(entry.name))))
        .collect();
    files.sort();
    let control = read_control(disk, &source.join(CONTROL_FILE)).ok();
    let headers: Vec<Option<SegmentHeader>> = files.iter().map(|(_, path)| header_of(disk, path)).collect();
    let known = headers.iter().flatten();
    let identity = control
        .as_ref()
        .map(|control| (control.cluster, control.shard, control.node))
        .or_else(|| {
            known
                .clone()
                .next()
                .map(|header| (header.cluster, header.shard, header.node))
        });
    let Some((cluster, shard, node)) = identity else {
        return Err(LogError::NotAStore {
            path: source.to_owned(),
            found: "neither its control page nor any segment header can be read".into(),
        }
        .into());
    };
    let identity = StoreIdentity { cluster, shard, node };
    let incarnation = known
        .map(|header| header.incarnation)
        .chain(control.as_ref().map(|control| control.incarnation))
        .max()
        .unwrap_or(0);
    let store = create(env, target, identity, incarnation)?;
    let mut report = RepairReport::default();
    let is_own = |header: &SegmentHeader| {
        control
            .as_ref()
            .is_none_or(|control| header.store == control.store)
    };
    let segments: Vec<SegmentFile> = (files.into_iter().zip(headers))
        .map(|((_, path), header)| SegmentFile {
            path,
            // Files of another store that got in between are none of this one's.
            header: header.filter(is_own),
        })
        .collect();
    let tail = control
        .as_ref()
        .filter(|control| control.state == StoreState::Clean)
        .map(|control| control.tail);
    let tables = tables::find(disk, source, control.as_ref(), &segments, &mut report)?;
    let total = (segments.len() + tables.count()) as u64;
    let mut step = |report: &RepairReport| progress((report.segments + report.tables).min(total), total);
    step(&report);
    let copy = target.join("salvaged");
    // What the log still has of what is in tables: needed only where those are damaged, and then below
    // them, since they know the newest of it.
    let (below, above) = segments::split(&segments, tables.through.unwrap_or(Lsn::ZERO));
    let log = |files, span| segments::Part {
        disk,
        log_dir: &log_dir,
        files,
        span,
    };
    match tables.through {
        Some(through) => {
            if below.is_empty() || tables.are_sound(disk, &copy)? {
                report.segments += below.len() as u64;
            } else {
                // What is missing there is not missing in the tables, or is named when they are read.
                let mut aside = RepairReport::default();
                log(below, (Lsn::ZERO, Some(through))).save(&copy, &store, &mut aside, &mut |_| {})?;
                report.segments += aside.segments;
                report.versions += aside.versions;
            }
            tables.save(disk, &copy, &store, &mut report, &mut step)?;
            log(above, (through, tail)).save(&copy, &store, &mut report, &mut step)?;
        }
        None => {
            // Where the log begins, nobody knows without the manifest; the tables have what came before.
            let from = segments.iter().find_map(|file| file.header.as_ref());
            let from = from.map_or(Lsn::ZERO, |header| header.first_lsn);
            log(&segments, (from, tail)).save(&copy, &store, &mut report, &mut step)?;
            tables.save(disk, &copy, &store, &mut report, &mut step)?;
        }
    }
    store.sync()?;
    store.close()?;
    Ok(report)
}

fn lock(disk: &dyn Disk, source: &Path) -> Result<Box<dyn crate::io::LockGuard>, LogError> {
    let path = source.join(LOCK_FILE);
    if !disk
        .exists(&source.join(LOG_DIR))
        .map_err(|e| LogError::io("look up", source, e))?
    {
        return Err(LogError::NotAStore {
            path: source.to_owned(),
            found: format!("it holds no directory `{LOG_DIR}`"),
        });
    }
    match disk.lock(&path).map_err(|e| LogError::io("lock", &path, e))? {
        LockOutcome::Acquired(guard) => Ok(guard),
        LockOutcome::Held(holder) => Err(LogError::Locked {
            path: source.to_owned(),
            pid: holder.pid,
            host: holder.host,
        }),
    }
}

fn refuse_occupied(disk: &dyn Disk, target: &Path) -> Result<(), LogError> {
    let occupied = disk
        .exists(target)
        .map_err(|e| LogError::io("look up", target, e))?
        && !disk
            .list(target)
            .map_err(|e| LogError::io("list", target, e))?
            .is_empty();
    if occupied {
        return Err(LogError::NotEmpty {
            path: target.to_owned(),
        });
    }
    Ok(())
}

/// A new, empty store whose incarnation no dot of the old one can have.
fn create(env: &Env, target: &Path, identity: StoreIdentity, seen: u32) -> Result<Store, StoreError> {
    let options = StoreOptions::new(identity);
    Store::open(env, target, &options)?.close()?;
    let path = target.join(CONTROL_FILE);
    let mut control = read_control(&*env.disk, &path)?;
    control.incarnation = seen
        .checked_add(1)
        .ok_or_else(|| LogError::corrupt(&path, 88, "incarnation without a next one"))?;
    crate::log::replace_file(&*env.disk, target, CONTROL_FILE, &control.encode())?;
    Store::open_standalone(env, target, &options)
}

/// Copies `len` bytes of a file to a sound disk; what cannot be read, or is missing, becomes zeros.
fn read_out(disk: &dyn Disk, path: &Path, len: u64, copy: &Path) -> Result<(), LogError> {
    let file = disk
        .open(path, OpenMode::Read)
        .map_err(|e| LogError::io("open", path, e))?;
    let out = disk.create(copy).map_err(|e| LogError::io("create", copy, e))?;
    out.allocate(len).map_err(|e| LogError::io("allocate", copy, e))?;
    let mut piece = vec![0u8; PIECE];
    let mut at = 0u64;
    while at < len {
        let piece = &mut piece[..PIECE.min((len - at) as usize)];
        piece.fill(0);
        if file.read_at(piece, at).is_err() {
            piece.fill(0);
            for (i, page) in piece.chunks_mut(PAGE_BYTES).enumerate() {
                if file.read_at(page, at + (i * PAGE_BYTES) as u64).is_err() {
                    page.fill(0);
                }
            }
        }
        out.write_all_at(piece, at)
            .map_err(|e| LogError::io("write", copy, e))?;
        at += piece.len() as u64;
    }
    Ok(())
}
