//! What can be saved of a damaged store, in a new directory.
//!
//! In: the directory of a store that does not open, or that `verify` found damaged. Out: a new store
//! with every version whose checksums fit, in the old order, and an exact list of what was lost. The
//! old directory is only read. Files are read by system calls, never through maps of the damaged disk:
//! a block that cannot be read costs what stood in it, not the process.

use std::path::{Path, PathBuf};

use super::{Durability, Store, StoreError, StoreIdentity, StoreOptions, WriteBatch, for_each_version};
use crate::ids::{Lsn, Uuid};
use crate::io::{Disk, Env, LockOutcome, OpenMode};
use crate::log::format::{RecordError, RecordFlags, RecordKind, RecordParts};
use crate::log::header::{PAGE_BYTES, SegmentHeader};
use crate::log::recovery::read_control;
use crate::log::segment::{MAX_SEGMENT_BYTES, Segment, parse_file_name};
use crate::log::view::RecordView;
use crate::log::{CONTROL_FILE, LOCK_FILE, LOG_DIR, LogError};

/// Bytes read at once; a block that fails is read again page by page.
const PIECE: usize = 1 << 20;

/// A range of the log that could not be saved.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Lost {
    /// File it stood in.
    pub path: PathBuf,
    /// First position lost.
    pub from: Lsn,
    /// Position after it; `None` when nothing tells how far the log went on.
    pub to: Option<Lsn>,
    /// What is wrong there.
    pub what: String,
    /// The key, where only the value is damaged.
    pub key: Option<Vec<u8>>,
}

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RepairReport {
    /// Segment files found.
    pub segments: u64,
    /// Versions written to the new store, deletions included.
    pub versions: u64,
    /// Reservations of writers that had died: they were never acknowledged.
    pub unfinished: u64,
    /// What was lost, in the order of the log; empty when all was saved.
    pub lost: Vec<Lost>,
}

/// Saves what can be saved of the store in `source` into `target`, which must be missing or empty.
/// `progress` is told the segments done and in all.
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
    let store = control.as_ref().map(|control| control.store);
    // Files of another store that got in between are none of this one's.
    let is_own = |header: &&SegmentHeader| store.is_none_or(|store| header.store == store);
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
    let mut reached = Lsn::ZERO;
    for (i, (_, path)) in files.iter().enumerate() {
        progress(i as u64, files.len() as u64);
        report.segments += 1;
        let Some(header) = headers[i].as_ref().filter(is_own) else {
            // How far it went shows where the next one starts.
            continue;
        };
        if header.first_lsn > reached {
            let lost_file = if i > 0 && headers[i - 1].as_ref().filter(is_own).is_none() {
                files[i - 1].1.clone()
            } else {
                log_dir.clone()
            };
            report.lost.push(Lost {
                path: lost_file,
                from: reached,
                to: Some(header.first_lsn),
                what: "no segment with a readable header holds these positions".into(),
                key: None,
            });
        }
        let next = headers[i + 1..]
            .iter()
            .flatten()
            .find(is_own)
            .map(|next| next.first_lsn);
        let end = next.or_else(|| {
            control
                .as_ref()
                .filter(|control| control.state == crate::log::header::StoreState::Clean)
                .map(|control| control.tail)
        });
        let copy = target.join("segment.salvaged");
        read_out(disk, path, header, &copy)?;
        let segment =
            Segment::open(disk, &copy, OpenMode::Read)?.map_err(|error| LogError::page(&copy, 0, error))?;
        reached = salvage(&segment, path, end, &store, &mut report)?;
        drop(segment);
        disk.remove_file(&copy)
            .map_err(|e| LogError::io("remove", &copy, e))?;
    }
    if let (Some((_, path)), Some(None)) = (
        files.last(),
        headers.last().map(|header| header.as_ref().filter(is_own)),
    ) {
        report.lost.push(Lost {
            path: path.clone(),
            from: reached,
            to: None,
            what: "the segment's header cannot be read".into(),
            key: None,
        });
    }
    progress(files.len() as u64, files.len() as u64);
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

fn header_of(disk: &dyn Disk, path: &Path) -> Option<SegmentHeader> {
    let file = disk.open(path, OpenMode::Read).ok()?;
    let mut page = [0u8; PAGE_BYTES];
    if file.read_at(&mut page, 0).ok()? < PAGE_BYTES {
        return None;
    }
    let header = SegmentHeader::decode(&page).ok()?;
    let fits = (3 * PAGE_BYTES as u64..=MAX_SEGMENT_BYTES).contains(&header.capacity)
        && header.first_lsn.0.checked_add(header.capacity).is_some()
        && header.store != Uuid::NIL;
    fits.then_some(header)
}

/// Copies a segment to a sound disk; what cannot be read, or is missing, becomes zeros.
fn read_out(disk: &dyn Disk, path: &Path, header: &SegmentHeader, copy: &Path) -> Result<(), LogError> {
    let file = disk
        .open(path, OpenMode::Read)
        .map_err(|e| LogError::io("open", path, e))?;
    let out = disk.create(copy).map_err(|e| LogError::io("create", copy, e))?;
    out.allocate(header.capacity)
        .map_err(|e| LogError::io("allocate", copy, e))?;
    let mut piece = vec![0u8; PIECE];
    let mut at = 0u64;
    while at < header.capacity {
        let len = PIECE.min((header.capacity - at) as usize);
        let piece = &mut piece[..len];
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
        at += len as u64;
    }
    Ok(())
}

/// Writes what is sound below `end` into `store`; returns where the segment's part of the log ends.
fn salvage(
    segment: &Segment,
    path: &Path,
    end: Option<Lsn>,
    store: &Store,
    report: &mut RepairReport,
) -> Result<Lsn, StoreError> {
    let limit = end.unwrap_or_else(|| segment.limit()).min(segment.limit());
    let mut at = segment.first();
    while at < limit {
        let error = match segment.record(at) {
            Ok(record) if record.end() <= limit => {
                match record.verify_payload(segment.seed()) {
                    Ok(()) => report.versions += copy(&record, segment, store)?,
                    Err(error) => report.lost.push(Lost {
                        path: path.to_owned(),
                        from: at,
                        to: Some(record.end()),
                        what: error.to_string(),
                        key: record.kind().is_version().then(|| record.key().to_vec()),
                    }),
                }
                at = record.end();
                continue;
            }
            Ok(_) => RecordError::Malformed("size"),
            Err(error) => error,
        };
        let mut next = at.advance(8);
        while next < limit && segment.record(next).is_err() {
            next = next.advance(8);
        }
        let found = next < limit;
        if matches!(error, RecordError::Uncommitted) {
            report.unfinished += 1;
        } else if found || end.is_some() || error != RecordError::Empty {
            report.lost.push(Lost {
                path: path.to_owned(),
                from: at,
                to: if found { Some(next) } else { end },
                what: error.to_string(),
                key: None,
            });
        }
        if !found {
            return Ok(end.unwrap_or(at));
        }
        at = next;
    }
    Ok(at)
}

/// Writes the versions of one record, those of a batch as a batch.
fn copy(record: &RecordView<'_>, segment: &Segment, store: &Store) -> Result<u64, StoreError> {
    let mut batch = WriteBatch::new();
    let mut versions = 0;
    for_each_version(record, segment, |version| {
        versions += 1;
        if version.is_system() {
            let parts = RecordParts {
                flags: RecordFlags(RecordFlags::SYSTEM),
                hlc: Some(version.hlc()),
                ..RecordParts::new(version.kind(), version.key(), version.value(), Lsn::ZERO)
            };
            store.append_version(&parts, true)?;
        } else {
            let damaged = |error| StoreError::from(segment.damaged(version.lsn(), &error));
            let expiry = version.expiry().map_err(damaged)?;
            let value = (version.kind() != RecordKind::Delete).then(|| version.value().to_vec());
            batch.copy_version(version.key(), value, version.hlc(), expiry.ms());
        }
        Ok::<(), StoreError>(())
    })?;
    if !batch.is_empty() {
        store.write(&batch, Durability::Buffered)?;
    }
    Ok(versions)
}
