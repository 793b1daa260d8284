//! Copies of an open store, made while it is written to, and stores made of copies.
//!
//! In: an open store and a directory. Out: a backup, the next backup into the same directory, a report
//! of its soundness, or a store again. A *cut* pins the files of one instant and a position: sealed
//! segments and tables never change, and of the segment that is being written only what lies below the
//! position is copied. Writers wait for nothing; compaction goes on, its input staying readable as long
//! as somebody has it pinned. Read [`catalogue`] for what makes a backup, [`restore`] for the way back.
//!
//! What must never happen: a directory that says it is a backup and is not whole; damage that is copied
//! as if it were data; a restored store that goes on in a life or an epoch that somebody else may have
//! had.

pub mod catalogue;
mod error;
mod files;
pub mod restore;
mod target;

use std::path::Path;
use std::sync::Arc;

pub use catalogue::{BACKUP_FILE, Catalogue, CopyKind, CopyRecord, StoreRecord};
pub use error::BackupError;
pub use files::BackupVerifyReport;
pub(crate) use files::catalogue as read_catalogue;
pub use files::verify as verify_backup;
pub(crate) use target::Target;

use super::files::FileSet;
use super::{Store, StoreError};
use crate::ids::{Epoch, Lsn};
use crate::io::{Disk, Env};
use crate::log::SegmentList;
use crate::log::header::{Chain, Control, StoreState};

/// Told the bytes of files dealt with and the bytes in all.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// How a backup is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupOptions {
    /// Gives sealed segments and tables a second name in the backup instead of copying them, where both
    /// lie on one file system. It costs no space and next to no time, and protects against everything but
    /// damage of that file system: what harms a file harms the backup as well.
    pub link: bool,
}

/// What making a backup did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct BackupReport {
    /// Number of the backup in its directory, from 1.
    pub sequence: u64,
    /// Epoch and position at which the copy of each store ends.
    pub positions: Vec<(Epoch, Lsn)>,
    /// Files of the backup.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes that had to be copied.
    pub bytes_copied: u64,
    /// Bytes of files that got a second name.
    pub bytes_linked: u64,
    /// Bytes of files that an earlier backup into the same directory had left.
    pub bytes_kept: u64,
    /// Files of an earlier backup that were removed, because this one does not need them.
    pub files_removed: u64,
}

/// One instant of a store: its files pinned, and the position up to which they count. Independent of
/// the store it was taken of, which may be closed meanwhile.
#[derive(Debug)]
pub(crate) struct Cut {
    env: Env,
    files: Arc<FileSet>,
    segments: Arc<SegmentList>,
    control: Control,
}

impl Cut {
    pub(crate) fn position(&self) -> (Epoch, Lsn) {
        (self.control.epoch, self.control.tail)
    }

    fn disk(&self) -> &dyn Disk {
        &*self.env.disk
    }
}

impl Store {
    /// The present instant: everything that was acknowledged before the call lies below its position.
    /// Takes no lock that a writer or a step of compaction holds for long.
    pub(crate) fn cut(&self) -> Cut {
        loop {
            let files = self.files.load_full();
            let segments = Arc::clone(&self.log.segments());
            let control = self.log.control();
            let tail = self.log.tail();
            self.log.wait_stable(tail);
            // A writer that needed a new segment, a compaction or a truncation came in between.
            let is_one_instant = Arc::ptr_eq(&files, &self.files.load())
                && Arc::ptr_eq(&segments, &self.log.segments())
                && self.log.tail() >= tail;
            if !is_one_instant {
                continue;
            }
            let last = segments.all.iter().rfind(|segment| segment.first() < tail);
            let first = segments.all.first().filter(|first| first.first() < tail);
            let control = Control {
                state: StoreState::Clean,
                tail,
                durable: tail,
                boot_id: [0; 16],
                epoch: last.map_or(Epoch(0), |last| last.header().epoch),
                log_start: first.map_or(tail, |first| first.first()),
                // What a restored store counts, it counts itself.
                chain: Chain::default(),
                hlc: crate::ids::Hlc::ZERO,
                records: 0,
                ..control
            };
            return Cut {
                env: self.log.env().clone(),
                files,
                segments,
                control,
            };
        }
    }

    /// Copies the store, as it is at one position, into `target`, which is missing, empty, or holds an
    /// earlier backup of this store: then only what is new is copied, and afterwards the directory holds
    /// the new backup. Writers and readers go on; every checksum is compared on the way, so that damage is
    /// found and not copied.
    ///
    /// `progress` is told the bytes done and the bytes in all. Killed at any point, `target` holds the
    /// backup it held before, whole, or the new one.
    ///
    /// # Errors
    /// [`BackupError::NotEmpty`], [`BackupError::Foreign`], [`BackupError::Locked`] for a directory that
    /// is something else's; damage of the store, naming the file; a full disk. The store is not affected.
    ///
    /// ```
    /// use atoll::ids::{ShardId, Uuid};
    /// use atoll::io::Env;
    /// use atoll::store::backup::{BackupOptions, restore::restore};
    /// use atoll::store::{Durability, Store, StoreIdentity, StoreOptions};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (data, copy, again) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("c"));
    /// let env = Env::os();
    /// let options = StoreOptions::new(StoreIdentity { cluster: Uuid::NIL, shard: ShardId(0), node: 1 });
    /// let store = Store::open_standalone(&env, &data, &options)?;
    /// store.put(b"key", b"value", Durability::Buffered)?;
    /// store.backup(&copy, &BackupOptions::default(), &mut |_, _| {})?;
    /// restore(&env, &copy, &again, &mut |_, _| {})?;
    /// let restored = Store::open_standalone(&env, &again, &options)?;
    /// assert_eq!(restored.get(b"key")?.as_deref(), Some(&b"value"[..]));
    /// assert_ne!(restored.store_id(), store.store_id());
    /// # Ok::<(), atoll::store::backup::BackupError>(())
    /// ```
    pub fn backup(
        &self,
        target: &Path,
        options: &BackupOptions,
        progress: Progress<'_>,
    ) -> Result<BackupReport, BackupError> {
        let env = self.log.env();
        let target = Target::open(env, target, self.dir(), self.store_id())?;
        target.copy(&[self.cut()], Vec::new(), options, progress)
    }

    /// Reads who the store in `dir` is, without opening it.
    ///
    /// # Errors
    /// Not a store, damage of its control page, the disk's.
    pub fn identity_of(env: &Env, dir: &Path) -> Result<super::StoreIdentity, StoreError> {
        Ok(crate::log::recovery::read_identity(&*env.disk, dir)?)
    }
}
