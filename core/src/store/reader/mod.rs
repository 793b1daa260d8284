//! A store read from another process, while its writer goes on or after it has ended.
//!
//! In: a store directory, opened read-only. Out: values, snapshots, scans. A reader maps the page
//! `LIVE`, the index, segments and tables read-only and takes no lock that a writer would wait for. What
//! it reads it checks against what has changed meanwhile (opening, truncation, page sequences) and reads
//! again. Read `view` first, `log::live` and `index::follow` beside it.
//!
//! What must never happen: a reader that is stopped, killed or forked holds up the writer; a reader
//! answers from an index that no longer follows the log.

mod figures;
mod snapshot;
mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::past::Past;
use super::slots::{self, ReaderInfo, Slot, Slots};
use super::version::Value;
use super::{Store, StoreError};
use crate::ids::{Lsn, Uuid};
use crate::io::Env;
use crate::log::{CONTROL_FILE, LOCK_FILE, LogError};
pub use figures::ReaderStats;
pub(super) use snapshot::Hold;
pub use snapshot::ReaderSnapshot;
use view::{View, attach, stuck};

/// Keys of a `multi_get` whose cache misses overlap.
const GROUP: usize = 32;

/// Knobs of a reader.
#[derive(Clone, Debug)]
pub struct ReaderOptions {
    /// How long to wait for a writer that is opening the store or taking back records; default 5 s.
    /// Gets and scans of an open store never wait.
    pub patience: Duration,
}

impl Default for ReaderOptions {
    fn default() -> ReaderOptions {
        ReaderOptions {
            patience: Duration::from_secs(5),
        }
    }
}

/// A read-only view of a store that another process may be writing. Thread-safe.
///
/// It keeps files mapped that the writer has removed since, until its next read: a reader that is not
/// used any more should be dropped.
#[derive(Debug)]
pub struct StoreReader(Arc<Views>);

/// The view of the moment, shared by a reader and its snapshots.
#[derive(Debug)]
struct Views {
    env: Env,
    dir: PathBuf,
    options: ReaderOptions,
    view: ArcSwap<View>,
    attaching: Mutex<()>,
}

impl Store {
    /// Opens the store in `dir` for reading only, beside a writer in this or another process, or
    /// without one.
    ///
    /// # Errors
    /// Not a store; [`StoreError::NeedsRecovery`] when nobody has it open and it was left by a power
    /// cut, so that a writer must open it once; [`StoreError::WriterStuck`]; damage; the disk's.
    pub fn open_reader(env: &Env, dir: &Path, options: &ReaderOptions) -> Result<StoreReader, StoreError> {
        if !(env.disk.exists(&dir.join(CONTROL_FILE))).map_err(|e| LogError::io("look up", dir, e))? {
            return Err(LogError::NotAStore {
                path: dir.to_owned(),
                found: format!("it holds no {CONTROL_FILE} file"),
            }
            .into());
        }
        let view = attach(env, dir, options)?;
        Ok(StoreReader(Arc::new(Views {
            env: env.clone(),
            dir: dir.to_owned(),
            options: options.clone(),
            view: ArcSwap::from_pointee(view),
            attaching: Mutex::new(()),
        })))
    }

    /// Snapshots that readers hold through the file `readers`; compaction keeps what they see. Those of
    /// processes that have ended are let go.
    ///
    /// # Errors
    /// The disk's.
    pub fn readers(&self) -> Result<Vec<ReaderInfo>, StoreError> {
        Ok(Slots::open(self.log.disk(), &self.dir)?.held()?)
    }

    /// Ends the snapshots of other processes below `position`: their reads answer
    /// [`StoreError::SnapshotTooOld`] from now on, and compaction keeps nothing for them any more. Returns
    /// how many there were.
    ///
    /// # Errors
    /// The disk's.
    pub fn expire_readers(&self, position: Lsn) -> Result<usize, StoreError> {
        Ok(Slots::open(self.log.disk(), &self.dir)?.expire(position)?)
    }
}

impl Views {
    /// Runs `read` on a view that was current from before it until after it.
    #[inline]
    fn with<T>(&self, mut read: impl FnMut(&View) -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            let view = self.view.load();
            if view.is_current() {
                let outcome = view.keep_up().and_then(|()| read(&view));
                if view.is_current() {
                    return outcome;
                }
            }
            drop(view);
            self.reattach()?;
        }
    }

    #[cold]
    fn reattach(&self) -> Result<(), StoreError> {
        let _one = self.attaching.lock();
        if !self.view.load().is_current() {
            self.view
                .store(Arc::new(attach(&self.env, &self.dir, &self.options)?));
        }
        Ok(())
    }

    fn claim(&self) -> Result<Option<Slot>, StoreError> {
        let disk = &*self.env.disk;
        let mut claimed = Slot::claim(disk, &self.dir);
        if let Err(StoreError::Log(LogError::Io { source, .. })) = &claimed
            && source.kind() == std::io::ErrorKind::NotFound
        {
            // Nobody has written here since the store was copied or restored.
            claimed = slots::create(disk, &self.dir)
                .map_err(StoreError::from)
                .and_then(|()| Slot::claim(disk, &self.dir));
        }
        match claimed {
            Ok(slot) => Ok(Some(slot)),
            Err(StoreError::Log(LogError::Io { source, path, .. })) => match source.kind() {
                // Nobody writes there, so nothing has to be told to anybody.
                std::io::ErrorKind::ReadOnlyFilesystem => Ok(None),
                _ => Err(StoreError::NoReaderSlot {
                    path,
                    why: source.to_string(),
                }),
            },
            Err(error) => Err(error),
        }
    }

    /// The end of the log once everything below it is complete, and a time, registered in `slot`.
    fn stable(&self, view: &View, slot: Option<&Slot>) -> Result<(Lsn, u64), StoreError> {
        let deadline = Instant::now() + self.options.patience;
        loop {
            let now_ms = view.now_ms();
            let at = self.complete_until(view, deadline)?;
            let Some(slot) = slot else {
                return Ok((at, now_ms));
            };
            slot.publish(at, now_ms);
            // A compaction raises both before it looks at the slots: either it sees this one, or we see
            // that it has gone further.
            let is_seen = |live: &crate::log::live::LiveView| live.floor() <= at && live.clock() <= now_ms;
            if !view.is_open() || view.live.as_ref().is_none_or(is_seen) || !view.is_current() {
                return Ok((at, now_ms));
            }
            slot.pending();
        }
    }

    /// The end of the log once nobody is writing below it.
    fn complete_until(&self, view: &View, deadline: Instant) -> Result<Lsn, StoreError> {
        let Some(live) = view.live.as_ref().filter(|_| view.is_open()) else {
            return Ok(view.control.tail);
        };
        let at = live.tail();
        let mut spins = 0u32;
        while let Some(lsn) = live.in_flight().filter(|lsn| *lsn < at) {
            spins += 1;
            if spins < 1000 {
                std::thread::yield_now();
                continue;
            }
            if let Ok(None) = self.env.disk.lock_holder(&self.dir.join(LOCK_FILE)) {
                // Never acknowledged, and nobody will complete it.
                return Ok(lsn);
            }
            if Instant::now() >= deadline {
                return Err(stuck(&self.env, &self.dir, "writing a record"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(at)
    }
}

impl StoreReader {
    /// Directory of the store.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Random name the store was given at its creation.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.0.view.load().control.store
    }

    /// Whether a writer has the store open, or had until it was killed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.view.load().is_open()
    }

    /// Position up to which versions are in tables, as far as this reader has seen.
    #[must_use]
    pub fn compacted_through(&self) -> Lsn {
        self.0.view.load().files().through
    }

    /// The value of `key`: at least as new as every write that was acknowledged before the call, in
    /// whatever process.
    ///
    /// # Errors
    /// Damage, naming file and offset; those of [`Store::open_reader`] when the writer has changed.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.0.with(|view| value_of(view, view.hash(key), key))
    }

    /// The values of `keys`, each as [`StoreReader::get`] would give it; the cache misses of several keys
    /// overlap.
    ///
    /// # Errors
    /// As for [`StoreReader::get`].
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>, StoreError> {
        let mut values = Vec::with_capacity(keys.len());
        for group in keys.chunks(GROUP) {
            let begun = values.len();
            self.0.with(|view| {
                values.truncate(begun);
                let mut hashes = [0; GROUP];
                for (hash, key) in hashes.iter_mut().zip(group) {
                    *hash = view.hash(key.as_ref());
                    view.index.prefetch(*hash);
                }
                hashes[..group.len()].iter().for_each(|hash| view.fetch(*hash));
                for (key, hash) in group.iter().zip(hashes) {
                    values.push(value_of(view, hash, key.as_ref())?);
                }
                Ok(())
            })?;
        }
        Ok(values)
    }

    /// A stable view of everything that was acknowledged before the call. It occupies one of 256 slots
    /// as long as it, or a scan made from it, lives.
    ///
    /// # Errors
    /// [`StoreError::NoReaderSlot`] where the file `readers` cannot be written (gets need no slot) or
    /// is full; [`StoreError::WriterStuck`] when a writer has been stopped in the middle of a write.
    pub fn snapshot(&self) -> Result<ReaderSnapshot, StoreError> {
        loop {
            self.0.with(|_| Ok(()))?;
            let view = self.0.view.load_full();
            let slot = self.0.claim()?;
            let (at, now_ms) = self.0.stable(&view, slot.as_ref())?;
            view.refresh()?;
            if view.is_current() {
                return Ok(ReaderSnapshot {
                    reader: Arc::clone(&self.0),
                    hold: Arc::new(Hold { view, slot }),
                    at,
                    now_ms,
                });
            }
        }
    }
}

#[inline]
fn value_of(view: &View, hash: u64, key: &[u8]) -> Result<Option<Value>, StoreError> {
    match view.newest(hash, key)? {
        (Some(place), _) => place.value(view),
        (None, false) => Ok(None),
        (None, true) => {
            let newest = view.version_in_tables(key, false, Lsn(u64::MAX))?;
            let (found, _) = view.version_below(newest, Lsn(u64::MAX), view.now_ms())?;
            Ok(found.and_then(|version| version.value))
        }
    }
}
