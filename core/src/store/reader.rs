//! A store read from another process, while its writer goes on or after it has ended.
//!
//! In: a store directory, opened read-only. Out: values, snapshots, scans. A reader maps the page
//! `LIVE`, the index and the segments read-only and takes no lock that a writer would wait for. What it
//! reads it checks against what has changed meanwhile (opening, truncation, page sequences) and reads
//! again. Read `log::live` and `index::follow` beside this.
//!
//! What must never happen: a reader that is stopped, killed or forked holds up the writer; a reader
//! answers from an index that no longer follows the log.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::index::{Follower, Location};
use super::read::{Value, Version, checked_value};
use super::scan::{self, RunCache, Scan, Source, Whole};
use super::slots::{ReaderInfo, Slot, Slots};
use super::{INDEX_DIR, Place, Store, StoreError, hash_key, stamp_of};
use crate::ids::{Lsn, Uuid};
use crate::io::{Env, OpenMode};
use crate::log::format::RecordError;
use crate::log::header::{Control, StoreState};
use crate::log::live::LiveView;
use crate::log::recovery::read_control;
use crate::log::segment::{Segment, parse_file_name};
use crate::log::{CONTROL_FILE, LOCK_FILE, LOG_DIR, LogError, SegmentList};

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
#[derive(Debug)]
pub struct StoreReader {
    env: Env,
    dir: PathBuf,
    options: ReaderOptions,
    view: ArcSwap<View>,
    attaching: Mutex<()>,
}

/// What was found under one opening of the store, as long as nothing is taken back.
#[derive(Debug)]
struct View {
    env: Env,
    dir: PathBuf,
    /// `None` when the store has never been open on a machine with readers.
    live: Option<LiveView>,
    opening: u64,
    generation: u64,
    control: Control,
    index: Follower,
    segments: ArcSwap<SegmentList>,
    refreshing: Mutex<()>,
    runs: Mutex<RunCache>,
}

/// Why a view cannot be had at the moment.
enum Obstacle {
    /// Somebody is changing things that take a moment.
    Busy(&'static str),
    Error(StoreError),
}

impl<E: Into<StoreError>> From<E> for Obstacle {
    fn from(error: E) -> Obstacle {
        Obstacle::Error(error.into())
    }
}

impl View {
    fn attach(env: &Env, dir: &Path) -> Result<View, Obstacle> {
        let disk = &*env.disk;
        let control = read_control(disk, &dir.join(CONTROL_FILE))?;
        let live = LiveView::open(disk, dir)?;
        let (opening, generation) = live
            .as_ref()
            .map_or((1, 0), |live| (live.opening(), live.generation()));
        let follows = live
            .as_ref()
            .is_some_and(|live| live.is_of(control.store, disk.boot_id()) && opening.is_multiple_of(2));
        let index_dir = dir.join(INDEX_DIR);
        let index = if let (true, Some(live)) = (follows, &live) {
            if !generation.is_multiple_of(2) {
                return Err(Obstacle::Busy("taking back records"));
            }
            Follower::of_open(env.disk.clone(), &index_dir, live.index_pages())?
        } else {
            let path = dir.join(LOCK_FILE);
            let closed = match control.state {
                StoreState::Clean => {
                    Follower::of_closed(env.disk.clone(), &index_dir, &stamp_of(&control, control.tail))
                        .map_err(|why| why.to_string())
                }
                StoreState::Open => Err("it was not closed".to_owned()),
            };
            match closed {
                Ok(index) => index,
                Err(_) if disk.is_locked(&path).unwrap_or(false) => {
                    return Err(Obstacle::Busy("opening the store"));
                }
                Err(why) => {
                    return Err(StoreError::NeedsRecovery {
                        path: dir.to_owned(),
                        why,
                    }
                    .into());
                }
            }
        };
        let view = View {
            env: env.clone(),
            dir: dir.to_owned(),
            live,
            opening,
            generation,
            index,
            segments: ArcSwap::default(),
            refreshing: Mutex::new(()),
            runs: Mutex::default(),
            control,
        };
        view.refresh_segments()?;
        if !view.is_current() {
            return Err(Obstacle::Busy("opening or closing the store"));
        }
        Ok(view)
    }

    /// Whether what was found still is how the store is found.
    #[inline]
    fn is_current(&self) -> bool {
        match &self.live {
            Some(live) => live.opening() == self.opening && live.generation() == self.generation,
            // Made by the first writer to come.
            None => matches!(LiveView::open(&*self.env.disk, &self.dir), Ok(None)),
        }
    }

    fn is_open(&self) -> bool {
        self.opening.is_multiple_of(2)
    }

    /// Opens segments that have come since; keeps those that are open.
    fn refresh_segments(&self) -> Result<(), StoreError> {
        let _one = self.refreshing.lock();
        let disk = &*self.env.disk;
        let log_dir = self.dir.join(LOG_DIR);
        let mut numbers: Vec<u64> = disk
            .list(&log_dir)
            .map_err(|e| LogError::io("list", &log_dir, e))?
            .iter()
            .filter_map(|entry| parse_file_name(&entry.name))
            .collect();
        numbers.sort_unstable();
        let known = self.segments.load();
        let mut all: Vec<Arc<Segment>> = Vec::with_capacity(numbers.len());
        for number in &numbers {
            let open = known
                .all
                .binary_search_by_key(number, |segment| segment.header().number);
            if let Ok(i) = open {
                all.push(Arc::clone(&known.all[i]));
                continue;
            }
            let path = log_dir.join(crate::log::segment::file_name(*number));
            let is_last = Some(number) == numbers.last();
            let segment = match Segment::open(disk, &path, OpenMode::Read) {
                Ok(Ok(segment)) => segment,
                // Its writer has not given it a header yet, so nothing points into it.
                Ok(Err(_)) | Err(LogError::Corrupt { .. }) if is_last => break,
                Ok(Err(error)) => return Err(LogError::page(&path, 0, error).into()),
                Err(error) => return Err(error.into()),
            };
            if segment.header().number != *number || segment.header().store != self.control.store {
                return Err(LogError::corrupt(&path, 88, "the header belongs to another segment").into());
            }
            all.push(Arc::new(segment));
        }
        for pair in all.windows(2) {
            pair[0].set_end(pair[1].first());
        }
        if let Some(last) = all.last().filter(|_| !self.is_open()) {
            last.set_end(self.control.tail);
        }
        self.segments.store(Arc::new(SegmentList { all }));
        Ok(())
    }

    fn resolve(&self, location: Location) -> Result<Option<Place>, StoreError> {
        if let Some(place) = Place::find(self.segments.load(), location) {
            return Ok(Some(place));
        }
        self.refresh_segments()?;
        Ok(Place::find(self.segments.load(), location))
    }

    fn newest_place(&self, key: &[u8]) -> Result<Option<Place>, StoreError> {
        let mut place = None;
        let pages = || self.live.as_ref().map_or(0, LiveView::index_pages);
        let hash = hash_key(self.control.index_seed, key, false);
        let found = self.index.get(hash, pages, |location| {
            place = self.resolve(location)?;
            match &place {
                Some(place) => Store::is_version_of(place, key, false),
                None => Ok(false),
            }
        })?;
        Ok(found.and(place))
    }

    fn newest(&self, key: &[u8]) -> Result<Option<Version>, StoreError> {
        Ok(self.newest_place(key)?.map(|place| Version {
            segment: Arc::clone(place.segment()),
            lsn: place.lsn,
        }))
    }

    fn version_at(&self, lsn: Lsn) -> Result<Version, StoreError> {
        let segment = self
            .segments
            .load()
            .containing(lsn)
            .filter(|segment| lsn < segment.end())
            .cloned()
            .ok_or(LogError::Gap {
                expected: self.tail(),
                found: lsn,
            })?;
        Ok(Version { segment, lsn })
    }

    fn get_at(&self, key: &[u8], at: Lsn) -> Result<Option<Value>, StoreError> {
        let Some(mut version) = self.newest(key)? else {
            return Ok(None);
        };
        loop {
            if version.lsn < at {
                return version.value();
            }
            let prev = version.record()?.prev();
            if prev == Lsn::ZERO {
                return Ok(None);
            }
            if prev >= version.lsn {
                // Followed blindly, a chain that does not go down might never end.
                let error = RecordError::Malformed("predecessor");
                return Err(version.segment.damaged(version.lsn, &error).into());
            }
            version = self.version_at(prev)?;
        }
    }

    fn tail(&self) -> Lsn {
        match &self.live {
            Some(live) if self.is_open() => live.tail(),
            _ => self.control.tail,
        }
    }
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
        Ok(StoreReader {
            env: env.clone(),
            dir: dir.to_owned(),
            options: options.clone(),
            view: ArcSwap::from_pointee(view),
            attaching: Mutex::new(()),
        })
    }

    /// Snapshots that readers hold through the file `readers`. Those of processes that have ended
    /// are let go.
    ///
    /// # Errors
    /// The disk's.
    pub fn readers(&self) -> Result<Vec<ReaderInfo>, StoreError> {
        Ok(Slots::open(self.log.disk(), &self.dir)?.held()?)
    }

    /// Says that versions which no snapshot at or above `wanted` can see are about to go; returns up to
    /// which position that is safe: at most `wanted`, and at most the oldest snapshot of another
    /// process. Snapshots of this process are the caller's business.
    ///
    /// # Errors
    /// The disk's.
    pub fn raise_reclaim_floor(&self, wanted: Lsn) -> Result<Lsn, StoreError> {
        let Some(live) = self.log.live() else {
            return Ok(wanted);
        };
        let slots = Slots::open(self.log.disk(), &self.dir)?;
        let before = live.floor();
        let oldest = |limit: Lsn| -> Result<Option<Lsn>, StoreError> {
            let held = slots.held()?;
            if held.iter().any(|reader| reader.at.is_none() && !reader.expired) {
                // About to take a position that may lie below.
                return Ok(None);
            }
            Ok(Some(
                held.iter().filter_map(|reader| reader.at).fold(limit, Lsn::min),
            ))
        };
        let Some(floor) = oldest(wanted)? else {
            return Ok(before.min(wanted));
        };
        live.raise_floor(floor);
        // A reader that registered between the look and the raise either sees the floor and takes a
        // newer position, or is seen here.
        Ok(oldest(floor)?.unwrap_or(before))
    }

    /// Ends the snapshots of other processes below `position`: their reads answer
    /// [`StoreError::SnapshotTooOld`] from now on. Returns how many there were.
    ///
    /// # Errors
    /// The disk's.
    pub fn expire_readers(&self, position: Lsn) -> Result<usize, StoreError> {
        Ok(Slots::open(self.log.disk(), &self.dir)?.expire(position)?)
    }
}

fn attach(env: &Env, dir: &Path, options: &ReaderOptions) -> Result<View, StoreError> {
    let deadline = Instant::now() + options.patience;
    loop {
        match View::attach(env, dir) {
            Ok(view) => return Ok(view),
            // Files come and go while a writer opens or truncates; what counts is what stays.
            Err(Obstacle::Error(error)) if Instant::now() >= deadline || !is_passing(&error) => {
                return Err(error);
            }
            Err(Obstacle::Busy(doing)) if Instant::now() >= deadline => {
                return Err(StoreError::WriterStuck {
                    path: dir.to_owned(),
                    doing,
                });
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn is_passing(error: &StoreError) -> bool {
    let kind = match error {
        StoreError::Log(LogError::Io { source, .. })
        | StoreError::Index(super::index::IndexError::Io { source, .. }) => source.kind(),
        _ => return false,
    };
    kind == std::io::ErrorKind::NotFound
}

impl StoreReader {
    /// Directory of the store.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Random name the store was given at its creation.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.view.load().control.store
    }

    /// Whether a writer has the store open, or had until it was killed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.view.load().is_open()
    }

    /// Runs `read` on a view that was current from before it until after it.
    #[inline]
    fn with<T>(&self, read: impl Fn(&View) -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            let view = self.view.load();
            if view.is_current() {
                let outcome = read(&view);
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

    /// The value of `key`: at least as new as every write that was acknowledged before the call, in
    /// whatever process.
    ///
    /// # Errors
    /// Damage, naming file and offset; those of [`Store::open_reader`] when the writer has changed.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.with(|view| {
            let Some(place) = view.newest_place(key)? else {
                return Ok(None);
            };
            let segment = place.segment();
            Ok(checked_value(segment, place.lsn)?.map(|(offset, record)| {
                let (len, hlc) = (record.value().len(), record.hlc());
                Value::new(Arc::clone(segment), offset, len, place.lsn, hlc)
            }))
        })
    }

    /// A stable view of everything that was acknowledged before the call. It occupies one of 256 slots
    /// as long as it, or a scan made from it, lives.
    ///
    /// # Errors
    /// [`StoreError::NoReaderSlot`] where the file `readers` cannot be written (gets need no slot) or
    /// is full; [`StoreError::WriterStuck`] when a writer has been stopped in the middle of a write.
    pub fn snapshot(&self) -> Result<ReaderSnapshot, StoreError> {
        loop {
            self.with(|_| Ok(()))?;
            let view = self.view.load_full();
            let slot = self.claim()?;
            let at = self.stable(&view, slot.as_ref())?;
            view.refresh_segments()?;
            if view.is_current() {
                return Ok(ReaderSnapshot {
                    hold: Arc::new(Hold { view, slot }),
                    at,
                });
            }
        }
    }

    fn claim(&self) -> Result<Option<Slot>, StoreError> {
        match Slot::claim(&*self.env.disk, &self.dir) {
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

    /// The end of the log once everything below it is complete, registered in `slot`.
    fn stable(&self, view: &View, slot: Option<&Slot>) -> Result<Lsn, StoreError> {
        let Some(live) = view.live.as_ref().filter(|_| view.is_open()) else {
            if let Some(slot) = slot {
                slot.publish(view.control.tail);
            }
            return Ok(view.control.tail);
        };
        let deadline = Instant::now() + self.options.patience;
        loop {
            let mut at = live.tail();
            let mut spins = 0u32;
            while let Some(lsn) = live.in_flight().filter(|lsn| *lsn < at) {
                spins += 1;
                if spins < 1000 {
                    std::thread::yield_now();
                    continue;
                }
                let lock = self.dir.join(LOCK_FILE);
                if !self.env.disk.is_locked(&lock).unwrap_or(true) {
                    // Never acknowledged, and nobody will complete it.
                    at = lsn;
                    break;
                }
                if Instant::now() >= deadline {
                    return Err(StoreError::WriterStuck {
                        path: self.dir.clone(),
                        doing: "writing a record",
                    });
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            let Some(slot) = slot else {
                return Ok(at);
            };
            slot.publish(at);
            if live.floor() <= at {
                return Ok(at);
            }
            slot.pending();
        }
    }
}

/// What a snapshot and its scans keep.
#[derive(Debug)]
struct Hold {
    view: Arc<View>,
    slot: Option<Slot>,
}

impl Whole for Hold {
    fn check(&self, _generation: u64, at: Lsn) -> Result<(), StoreError> {
        // A writer that closes or opens changes nothing below the position; a truncation may.
        let taken_back = match &self.view.live {
            Some(live) => live.generation() != self.view.generation,
            None => false,
        };
        if taken_back || self.slot.as_ref().is_some_and(Slot::is_expired) {
            return Err(StoreError::SnapshotTooOld { at, since: Lsn::ZERO });
        }
        Ok(())
    }
}

/// The store as it was at one position. Its writer goes on beside it.
#[derive(Debug)]
pub struct ReaderSnapshot {
    hold: Arc<Hold>,
    at: Lsn,
}

impl ReaderSnapshot {
    /// Versions below this position are visible.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.at
    }

    /// The value of `key` in this view.
    ///
    /// # Errors
    /// Damage, naming file and offset; [`StoreError::SnapshotTooOld`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let found = self.hold.view.get_at(key, self.at);
        self.hold.check(0, self.at)?;
        found
    }

    /// Keys between the bounds in byte order, with their values.
    ///
    /// # Errors
    /// As for [`ReaderSnapshot::get`].
    pub fn scan(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<Scan, StoreError> {
        let source = Source {
            segments: self.hold.view.segments.load().all.clone(),
            runs: &self.hold.view.runs,
            whole: Arc::clone(&self.hold) as Arc<dyn Whole>,
            generation: 0,
        };
        scan::open(&source, self.at, (start, end), false)
    }
}
