//! The file `readers`: which snapshots other processes hold.
//!
//! In: claims of readers. Out: the oldest position somebody still looks at. It is the only file of a
//! store that readers write. A slot belongs to whoever holds a lock on its first byte, so that a
//! reader that was killed leaves nothing behind: the writer asks the kernel, not a process id.
//!
//! A slot is 64 bytes and begins with one word: 0 free, 1 somebody is about to take a position,
//! all ones expired by the writer, else the position plus 2. The second word is the time by which the
//! snapshot judges what has expired; it is stored before the position.

use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering, fence};

use super::StoreError;
use crate::ids::Lsn;
use crate::io::{Disk, LockGuard, Map, MapAccess, OpenMode};
use crate::log::LogError;

/// Name of the file within a store.
pub const READERS_FILE: &str = "readers";
/// Snapshots that other processes can hold at once.
pub const READER_SLOTS: usize = 256;
const SLOT_BYTES: usize = 64;
const FILE_BYTES: usize = READER_SLOTS * SLOT_BYTES;

const TIME: usize = 8;

const FREE: u64 = 0;
const PENDING: u64 = 1;
const FIRST: u64 = 2;
const EXPIRED: u64 = u64::MAX;

/// A snapshot held by another process, or by a reader of this one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ReaderInfo {
    /// Number of its slot.
    pub slot: usize,
    /// Its position; `None` while it is being taken.
    pub at: Option<Lsn>,
    /// Milliseconds since 1970 at which it was taken.
    pub taken_at_ms: u64,
    /// Whether the writer has ended it.
    pub expired: bool,
}

/// Makes the file if it is missing. Without space for it the store has no readers with snapshots.
pub(super) fn create(disk: &dyn Disk, dir: &Path) -> Result<(), LogError> {
    let path = dir.join(READERS_FILE);
    let attempt = || -> Result<(), LogError> {
        let file = if disk
            .exists(&path)
            .map_err(|e| LogError::io("look up", &path, e))?
        {
            disk.open(&path, OpenMode::ReadWrite)
        } else {
            disk.create(&path)
        }
        .map_err(|e| LogError::io("open", &path, e))?;
        file.allocate(FILE_BYTES as u64)
            .map_err(|e| LogError::io("allocate", &path, e))
    };
    match attempt() {
        Err(error @ LogError::DiskFull { .. }) => {
            tracing::warn!(%error, "other processes can take no snapshots");
            Ok(())
        }
        outcome => outcome,
    }
}

fn map(disk: &dyn Disk, path: &Path) -> Result<Option<Map>, LogError> {
    let file = disk
        .open(path, OpenMode::ReadWrite)
        .map_err(|e| LogError::io("open", path, e))?;
    let len = file.len().map_err(|e| LogError::io("measure", path, e))?;
    if len < FILE_BYTES as u64 {
        return Ok(None);
    }
    file.map(FILE_BYTES, MapAccess::Write)
        .map(Some)
        .map_err(|e| LogError::io("map", path, e))
}

/// A slot held by a reader; dropping it frees it.
pub(super) struct Slot {
    map: Map,
    at: usize,
    _lock: Box<dyn LockGuard>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("offset", &self.at)
            .finish_non_exhaustive()
    }
}

impl Slot {
    /// Claims a free slot and says that a position is about to be taken.
    pub(super) fn claim(disk: &dyn Disk, dir: &Path) -> Result<Slot, StoreError> {
        let path = dir.join(READERS_FILE);
        let none = |why: &str| StoreError::NoReaderSlot {
            path: path.clone(),
            why: why.to_owned(),
        };
        let map = map(disk, &path)?.ok_or_else(|| none("the file was not made in full"))?;
        // Different processes begin at different slots, so that they seldom meet.
        let start = std::process::id() as usize;
        for i in 0..READER_SLOTS {
            let at = (start + i) % READER_SLOTS * SLOT_BYTES;
            let lock = disk
                .lock_byte(&path, at as u64)
                .map_err(|e| LogError::io("lock", &path, e))?;
            if let Some(lock) = lock {
                let slot = Slot { map, at, _lock: lock };
                slot.set(PENDING);
                return Ok(slot);
            }
        }
        Err(none("every slot is in use"))
    }

    fn set(&self, state: u64) {
        self.map.atomic_u64(self.at).store(state, Ordering::SeqCst);
    }

    pub(super) fn pending(&self) {
        self.set(PENDING);
    }

    /// Registers the position and its time; the caller compares them with the floor and the clock
    /// afterwards.
    pub(super) fn publish(&self, at: Lsn, now_ms: u64) {
        self.map
            .atomic_u64(self.at + TIME)
            .store(now_ms, Ordering::SeqCst);
        self.set(at.0.saturating_add(FIRST).min(EXPIRED - 1));
        fence(Ordering::SeqCst);
    }

    /// Whether nothing is kept for this slot any more: the writer has ended it, or this is a child of
    /// fork, where neither the lock nor the map is.
    pub(super) fn is_expired(&self) -> bool {
        if crate::io::fork::generation() != self.map.born() {
            return true;
        }
        self.map.atomic_u64(self.at).load(Ordering::Acquire) == EXPIRED
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Before the lock goes. In a child of fork the map is not there.
        if crate::io::fork::generation() == self.map.born() {
            self.set(FREE);
        }
    }
}

/// The writer's view of all slots.
pub(super) struct Slots<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    map: Option<Map>,
}

impl<'a> Slots<'a> {
    pub(super) fn open(disk: &'a dyn Disk, dir: &Path) -> Result<Slots<'a>, LogError> {
        let path = dir.join(READERS_FILE);
        let exists = disk
            .exists(&path)
            .map_err(|e| LogError::io("look up", &path, e))?;
        let map = if exists { map(disk, &path)? } else { None };
        Ok(Slots { disk, path, map })
    }

    /// Slots whose owners are alive; those of the dead are freed.
    pub(super) fn held(&self) -> Result<Vec<ReaderInfo>, LogError> {
        let mut held = Vec::new();
        let Some(map) = &self.map else {
            return Ok(held);
        };
        for slot in 0..READER_SLOTS {
            let at = slot * SLOT_BYTES;
            let word = map.atomic_u64(at);
            let state = word.load(Ordering::SeqCst);
            if state == FREE {
                continue;
            }
            let alive = self
                .disk
                .is_byte_locked(&self.path, at as u64)
                .map_err(|e| LogError::io("look at a lock of", &self.path, e))?;
            if !alive {
                // Fails when a new owner has come in between, whose slot it is then.
                let _ = word.compare_exchange(state, FREE, Ordering::SeqCst, Ordering::Relaxed);
                continue;
            }
            held.push(ReaderInfo {
                slot,
                taken_at_ms: map.atomic_u64(at + TIME).load(Ordering::SeqCst),
                at: (state != PENDING && state != EXPIRED).then(|| Lsn(state - FIRST)),
                expired: state == EXPIRED,
            });
        }
        Ok(held)
    }

    /// Ends the snapshots below `position`; returns how many.
    pub(super) fn expire(&self, position: Lsn) -> Result<usize, LogError> {
        let mut ended = 0;
        for reader in self.held()? {
            let Some((at, map)) = reader.at.zip(self.map.as_ref()) else {
                continue;
            };
            let word = map.atomic_u64(reader.slot * SLOT_BYTES);
            if at < position
                && word
                    .compare_exchange(at.0 + FIRST, EXPIRED, Ordering::SeqCst, Ordering::Relaxed)
                    .is_ok()
            {
                ended += 1;
            }
        }
        Ok(ended)
    }
}
