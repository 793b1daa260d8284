//! Making a store of a backup.
//!
//! In: a backup. Out: a store under a name of its own. It is written beside its final place, under
//! `<DIR>.restoring`, opened there and checked as a whole; the last step is a rename, so a restore that is
//! killed leaves nothing that could be taken for a store, and one that is run again begins anew.
//!
//! A restored store is a new life. It gets another store id, so that a group of replicas that knew the
//! old one does not count it. Its *incarnation* and its next *epoch* must be ones that nobody has had:
//! the life that was backed up may have gone on since, and taken the next numbers. So both become the
//! number of seconds since 1970, if that is more than the number in the backup plus one: lives and
//! leaderships end less than once a second, so nobody has counted that far.

use std::path::{Path, PathBuf};

use super::catalogue::{Catalogue, CopyKind, CopyRecord, StoreRecord};
use super::error::BackupError;
use super::files::{self, catalogue};
use super::{Progress, StoreState};
use crate::ids::{Epoch, Lsn, Uuid};
use crate::io::{Disk, Env, OpenMode};
use crate::log::format::RecordError;
use crate::log::header::{Control, PAGE_BYTES, SegmentFooter, SegmentHeader};
use crate::log::read::chain_of;
use crate::log::segment::{Segment, WalkEnd, file_name};
use crate::log::{CONTROL_FILE, LOG_DIR, StoreIdentity};
use crate::store::manifest::{Manifest, TABLE_DIR};
use crate::store::table::writer::file_name as table_name;
use crate::store::{Store, StoreOptions};

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RestoreReport {
    /// Number of the backup in its directory.
    pub sequence: u64,
    /// Milliseconds since 1970 when its position was fixed.
    pub wall_ms: u64,
    /// Epoch and position at which the backup ends.
    pub position: (Epoch, Lsn),
    /// Life of the restored store.
    pub incarnation: u32,
    /// Keys with a version, deleted ones included.
    pub keys: u64,
    /// Records checked in the log.
    pub records: u64,
    /// Bytes of files read from the backup.
    pub bytes: u64,
}

/// The first epoch of a restored store, and the first of its lives.
pub(crate) fn next_epoch(env: &Env, backed_up: Epoch) -> Epoch {
    Epoch((backed_up.0 + 1).max(env.clock.wall_ms() / 1000))
}

fn next_incarnation(env: &Env, backed_up: u32) -> u32 {
    let seconds = u32::try_from(env.clock.wall_ms() / 1000).unwrap_or(u32::MAX);
    backed_up.saturating_add(1).max(seconds)
}

/// Where a restore into `dir` is prepared.
pub(crate) fn staging(dir: &Path) -> PathBuf {
    // Without a slash at the end, behind which the name would go on inside the directory.
    let mut path = dir.components().collect::<PathBuf>().into_os_string();
    path.push(".restoring");
    PathBuf::from(path)
}

/// Refuses a directory that holds anything; takes away what an interrupted restore left beside it.
pub(crate) fn prepare(disk: &dyn Disk, dir: &Path) -> Result<PathBuf, BackupError> {
    if disk.exists(dir).map_err(BackupError::io("look up", dir))? {
        let entries = disk.list(dir).map_err(BackupError::io("list", dir))?;
        if let Some(entry) = entries.first() {
            return Err(BackupError::NotEmpty {
                path: dir.to_owned(),
                entry: entry.name.clone(),
            });
        }
    }
    let staging = staging(dir);
    if disk
        .exists(&staging)
        .map_err(BackupError::io("look up", &staging))?
    {
        disk.remove_dir_all(&staging)
            .map_err(BackupError::io("remove", &staging))?;
    }
    disk.create_dir_all(&staging)
        .map_err(BackupError::io("create", &staging))?;
    Ok(staging)
}

/// The last step: gives what was prepared its name, durably.
pub(crate) fn publish(disk: &dyn Disk, staging: &Path, dir: &Path) -> Result<(), BackupError> {
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    disk.sync_dir(staging).map_err(BackupError::io("sync", staging))?;
    disk.rename(staging, dir)
        .map_err(BackupError::io("rename", staging))?;
    disk.sync_dir(parent).map_err(BackupError::io("sync", parent))
}

/// Makes a store in `dir`, which is missing or empty, of the backup in `backup`. It leads its own log:
/// open it with [`Store::open_standalone`].
///
/// Every checksum is compared before the store is there, and the whole of it is checked once more as
/// [`Store::verify`] does. `progress` is told the bytes read and the bytes in all.
///
/// # Errors
/// [`BackupError::NotEmpty`], [`BackupError::NotABackup`], [`BackupError::NotOneStore`]; damage, naming
/// the file; a full disk. There is no store in `dir` then.
pub fn restore(
    env: &Env,
    backup: &Path,
    dir: &Path,
    progress: Progress<'_>,
) -> Result<RestoreReport, BackupError> {
    let disk = &*env.disk;
    let catalogue = catalogue(disk, backup)?;
    let store = match &catalogue.stores[..] {
        [store] if catalogue.extra.is_empty() => store,
        stores => {
            return Err(BackupError::NotOneStore {
                path: backup.to_owned(),
                stores: stores.len(),
            });
        }
    };
    let staging = prepare(disk, dir)?;
    let total = store.bytes();
    let incarnation = write_store(env, backup, store, &staging, store.control.node, &mut |done| {
        progress(done, total);
    })?;
    let (opened, checked) = open_and_check(env, &staging, store, store.control.node)?;
    let epoch = next_epoch(env, opened.epoch());
    opened.begin_epoch(epoch, store.control.node, incarnation)?;
    opened.close()?;
    publish(disk, &staging, dir)?;
    Ok(RestoreReport {
        sequence: catalogue.sequence,
        wall_ms: catalogue.wall_ms,
        position: (store.control.epoch, store.control.tail),
        incarnation,
        keys: checked.keys,
        records: checked.records,
        bytes: total,
    })
}

/// Opens what [`write_store`] has written as anybody would, and checks all of it.
pub(crate) fn open_and_check(
    env: &Env,
    dir: &Path,
    store: &StoreRecord,
    node: u64,
) -> Result<(Store, crate::store::VerifyReport), BackupError> {
    let control = &store.control;
    let options = StoreOptions {
        create: false,
        sync_interval: None,
        ..StoreOptions::new(StoreIdentity {
            cluster: control.cluster,
            shard: control.shard,
            node,
        })
    };
    let opened = Store::open(env, dir, &options)?;
    let checked = opened.verify(&mut |_, _| {})?;
    if let Some(damage) = checked.damage.first() {
        return Err(BackupError::damaged(&damage.path, damage.offset, &damage.what));
    }
    if opened.tail() != control.tail {
        let path = dir.join(CONTROL_FILE);
        let what = format!("the log ends at {} instead of {}", opened.tail(), control.tail);
        return Err(BackupError::damaged(&path, 120, what));
    }
    Ok((opened, checked))
}

/// Writes the files of a store that was backed up into `dir`, for `node` and under a new name; returns
/// its incarnation. `step` is told the bytes of the backup read so far.
pub(crate) fn write_store(
    env: &Env,
    backup: &Path,
    store: &StoreRecord,
    dir: &Path,
    node: u64,
    step: &mut dyn FnMut(u64),
) -> Result<u32, BackupError> {
    let disk = &*env.disk;
    let mut id = [0u8; 16];
    id[..8].copy_from_slice(&env.entropy.next_u64().to_le_bytes());
    id[8..].copy_from_slice(&env.entropy.next_u64().to_le_bytes());
    let mut control = Control {
        node,
        store: Uuid(id),
        incarnation: next_incarnation(env, store.control.incarnation),
        state: StoreState::Clean,
        index_seed: env.entropy.next_u64(),
        records: store.control.released_records,
        ..store.control.clone()
    };
    let (log_dir, table_dir) = (dir.join(LOG_DIR), dir.join(TABLE_DIR));
    for dir in [&log_dir, &table_dir] {
        disk.create_dir_all(dir).map_err(BackupError::io("create", dir))?;
    }
    let mut done = 0;
    for file in &store.files {
        let from = Catalogue::path_of(backup, store, file);
        match file.kind {
            CopyKind::Table => {
                let path = table_dir.join(table_name(file.number));
                copy(disk, (&from, file), &path, None, &mut |bytes| step(done + bytes))?;
            }
            CopyKind::Segment | CopyKind::Tail => {
                let path = log_dir.join(file_name(file.number));
                copy(disk, (&from, file), &path, Some(&control), &mut |bytes| {
                    step(done + bytes);
                })?;
                seal(disk, (&from, file), &path, &mut control)?;
            }
        }
        done += file.bytes;
    }
    for dir in [&log_dir, &table_dir] {
        disk.sync_dir(dir).map_err(BackupError::io("sync", dir))?;
    }
    let manifest = Manifest {
        store: control.store,
        ..store.manifest.clone()
    };
    manifest.write(disk, dir).map_err(|(error, _)| error)?;
    crate::log::replace_file(disk, dir, CONTROL_FILE, &control.encode())?;
    Ok(control.incarnation)
}

/// Copies one file and compares its checksum. A segment gets a header page for the store of `control`,
/// and room for its footer.
fn copy(
    disk: &dyn Disk,
    (from, record): (&Path, &CopyRecord),
    path: &Path,
    control: Option<&Control>,
    step: &mut dyn FnMut(u64),
) -> Result<(), BackupError> {
    let file = disk.create(path).map_err(BackupError::io("create", path))?;
    let write = |bytes: &[u8], at: u64| {
        file.write_all_at(bytes, at)
            .map_err(BackupError::io("write", path))
    };
    files::read(disk, from, record, &mut |at, piece| {
        step(at + piece.len() as u64);
        let (Some(control), 0) = (control, at) else {
            return write(piece, at);
        };
        let (page, records) = piece
            .split_first_chunk::<PAGE_BYTES>()
            .ok_or_else(|| BackupError::damaged(from, 0, "shorter than its header"))?;
        let header = SegmentHeader::decode(page).map_err(|error| BackupError::damaged(from, 0, error))?;
        if (header.number, header.first_lsn) != (record.number, record.first) {
            return Err(BackupError::damaged(
                from,
                88,
                "the header belongs to another segment",
            ));
        }
        let header = SegmentHeader {
            node: control.node,
            store: control.store,
            capacity: (record.bytes + PAGE_BYTES as u64).next_multiple_of(PAGE_BYTES as u64),
            ..header
        };
        file.allocate(header.capacity)
            .map_err(BackupError::io("allocate", path))?;
        write(&header.encode(), 0)?;
        write(records, PAGE_BYTES as u64)
    })?;
    file.sync_data().map_err(BackupError::io("sync", path))
}

/// Checks the records of a segment that was copied, counts them, and ends it with a footer.
fn seal(
    disk: &dyn Disk,
    (from, record): (&Path, &CopyRecord),
    path: &Path,
    control: &mut Control,
) -> Result<(), BackupError> {
    let segment = Segment::open(disk, path, OpenMode::ReadWrite)?
        .map_err(|error| BackupError::damaged(from, 0, error))?;
    let (mut hlc, mut chain, mut records) = (
        control.hlc.max(segment.header().hlc),
        segment.header().chain,
        0u64,
    );
    let (reached, why) = segment.walk(record.first, record.end, true, |record| {
        hlc = hlc.max(record.hlc());
        chain = chain_of(&record).unwrap_or(chain);
        records += 1;
    });
    let what = match why {
        WalkEnd::Limit => None,
        WalkEnd::Empty => Some(RecordError::Empty),
        WalkEnd::Uncommitted { .. } => Some(RecordError::Uncommitted),
        WalkEnd::Invalid(error) => Some(error),
    };
    if let Some(error) = what {
        let offset = segment.offset_of(reached).unwrap_or(0) as u64;
        let what = format!("{error} (log position {reached})");
        return Err(BackupError::damaged(from, offset, what));
    }
    (control.hlc, control.chain) = (hlc, chain);
    control.records += records;
    segment.write_footer(&SegmentFooter {
        number: record.number,
        end: record.end,
        records: control.records,
        hlc,
        chain,
    })?;
    Ok(())
}
