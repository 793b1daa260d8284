//! Checking the files of a backup against its catalogue.
//!
//! In: a directory. Out: every file that is not what was written. Reads only, in pieces.

use std::path::Path;

use super::Progress;
use super::catalogue::{BACKUP_FILE, Catalogue, CopyRecord};
use super::error::BackupError;
use crate::ids::{Epoch, Lsn, ShardId};
use crate::io::{Disk, Env, OpenMode};
use crate::store::Damage;

const PIECE_BYTES: usize = 1 << 20;

/// What a check of a backup found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct BackupVerifyReport {
    /// Number of the backup in its directory.
    pub sequence: u64,
    /// Milliseconds since 1970 when its positions were fixed.
    pub wall_ms: u64,
    /// Shard, epoch and position at which the copy of each store ends.
    pub positions: Vec<(ShardId, Epoch, Lsn)>,
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Damaged places; empty when all is well.
    pub damage: Vec<Damage>,
}

/// Reads the catalogue of the backup in `dir`.
pub(crate) fn catalogue(disk: &dyn Disk, dir: &Path) -> Result<Catalogue, BackupError> {
    let not_a_backup = |found: String| BackupError::NotABackup {
        path: dir.to_owned(),
        found,
    };
    if !disk.exists(dir).map_err(BackupError::io("look up", dir))? {
        return Err(not_a_backup("it does not exist".into()));
    }
    if let Some(catalogue) = Catalogue::read(disk, dir)? {
        return Ok(catalogue);
    }
    let entries = disk.list(dir).map_err(BackupError::io("list", dir))?;
    Err(not_a_backup(match entries.first() {
        None => "it is empty".into(),
        Some(entry) => format!(
            "it holds `{}` and no {BACKUP_FILE} file; a backup that was interrupted has none",
            entry.name
        ),
    }))
}

/// Told each piece of a file, with its offset.
pub(super) type Sink<'s> = dyn FnMut(u64, &[u8]) -> Result<(), BackupError> + 's;

/// Calls `each` on the bytes of a file of a backup in order, and compares their checksum.
///
/// # Errors
/// [`BackupError::Damaged`] naming the file, those of `each`, and the disk's.
pub(super) fn read(
    disk: &dyn Disk,
    path: &Path,
    record: &CopyRecord,
    each: &mut Sink<'_>,
) -> Result<(), BackupError> {
    if !disk.exists(path).map_err(BackupError::io("look up", path))? {
        return Err(BackupError::damaged(path, 0, "the file is missing"));
    }
    let file = disk
        .open(path, OpenMode::Read)
        .map_err(BackupError::io("open", path))?;
    let mut piece = vec![0u8; PIECE_BYTES.min(record.bytes as usize)];
    let (mut at, mut crc) = (0u64, 0u32);
    while at < record.bytes {
        let len = piece.len().min((record.bytes - at) as usize);
        let read = file
            .read_at(&mut piece[..len], at)
            .map_err(BackupError::io("read", path))?;
        if read < len {
            let what = format!(
                "the file ends here, {} bytes too early",
                record.bytes - at - read as u64
            );
            return Err(BackupError::damaged(path, at + read as u64, what));
        }
        crc = crc32c::crc32c_append(crc, &piece[..len]);
        each(at, &piece[..len])?;
        at += len as u64;
    }
    if crc == record.crc {
        return Ok(());
    }
    Err(BackupError::damaged(
        path,
        0,
        format_args!(
            "checksum of the whole file {crc:#010x}, expected {:#010x}",
            record.crc
        ),
    ))
}

/// Reads every file of the backup in `dir` and compares its checksum. `progress` is told the bytes read
/// and the bytes in all.
///
/// # Errors
/// [`BackupError::NotABackup`], a damaged catalogue, the disk's; damaged files are in the report.
pub fn verify(env: &Env, dir: &Path, progress: Progress<'_>) -> Result<BackupVerifyReport, BackupError> {
    let disk = &*env.disk;
    let catalogue = catalogue(disk, dir)?;
    let total = catalogue.bytes();
    let mut report = BackupVerifyReport {
        sequence: catalogue.sequence,
        wall_ms: catalogue.wall_ms,
        ..BackupVerifyReport::default()
    };
    let mut done = 0;
    for store in &catalogue.stores {
        let control = &store.control;
        report
            .positions
            .push((control.shard, control.epoch, control.tail));
        for file in &store.files {
            let path = Catalogue::path_of(dir, store, file);
            let checked = read(disk, &path, file, &mut |at, piece| {
                progress(done + at + piece.len() as u64, total);
                Ok(())
            });
            done += file.bytes;
            report.files += 1;
            report.bytes += file.bytes;
            match checked {
                Ok(()) => {}
                Err(error) => report.damage.push(error.damage().ok_or(error)?),
            }
        }
    }
    Ok(report)
}
