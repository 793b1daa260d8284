//! What a reader has found under one opening of a store.
//!
//! In: the page `LIVE`, the control page, the index, segments and manifest of a directory that somebody
//! else may be changing. Out: log and tables to read versions from. Segments and tables are opened when
//! they are first met, and let go when the page says that they have changed. A file that its writer has
//! removed stays readable as long as it is mapped; one that goes between two steps of ours is looked up
//! anew, since the manifest or the listing of the directory then says something else.
//!
//! What must never happen: an entry of the index is followed into a file of another time; a key counts
//! as missing because the file with its version could not be found.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;

use super::super::expiry::ExpiryClock;
use super::super::files::{FIRST_SLOT, FileSet};
use super::super::index::{Follower, IndexError, Location};
use super::super::manifest::Manifest;
use super::super::past::Past;
use super::super::place::Place;
use super::super::scan::SortedSegments;
use super::super::table::TableError;
use super::super::{INDEX_DIR, StoreError, hash_key, stamp_of};
use super::ReaderOptions;
use crate::ids::Lsn;
use crate::io::{Disk, Env, LockHolder, OpenMode};
use crate::log::header::{Control, StoreState};
use crate::log::live::LiveView;
use crate::log::recovery::read_control;
use crate::log::segment::{Segment, file_name, parse_file_name};
use crate::log::{CONTROL_FILE, LOCK_FILE, LOG_DIR, LogError, SegmentList};

/// Listings of a directory in which a file is gone before it is opened, one after the other, that are
/// taken for coincidence.
const LISTINGS: u32 = 1000;

/// What was found under one opening of the store, as long as nothing is taken back.
#[derive(Debug)]
pub(in crate::store) struct View {
    env: Env,
    dir: PathBuf,
    /// `None` when the store has never been open on a machine with readers.
    pub(super) live: Option<LiveView>,
    opening: u64,
    generation: u64,
    pub(super) control: Control,
    pub(super) index: Follower,
    segments: ArcSwap<SegmentList>,
    files: ArcSwap<FileSet>,
    /// [`LiveView::files`] when segments and tables were looked up.
    seen: AtomicU64,
    refreshing: Mutex<()>,
    sorted: Mutex<SortedSegments>,
    clock: ExpiryClock,
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

/// The view of the moment; waits for a writer that is about to change it.
pub(super) fn attach(env: &Env, dir: &Path, options: &ReaderOptions) -> Result<View, StoreError> {
    let deadline = Instant::now() + options.patience;
    loop {
        match View::attach(env, dir) {
            Ok(view) => return Ok(view),
            // Files come and go while a writer opens or truncates; what counts is what stays.
            Err(Obstacle::Error(error)) if Instant::now() >= deadline || !is_passing(&error) => {
                return Err(error);
            }
            Err(Obstacle::Busy(doing)) if Instant::now() >= deadline => {
                return Err(stuck(env, dir, doing));
            }
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    }
}

/// Who has the store open for writing.
pub(super) fn writer(disk: &dyn Disk, dir: &Path) -> Option<LockHolder> {
    disk.lock_holder(&dir.join(LOCK_FILE)).ok().flatten()
}

/// The writer does not go on.
pub(super) fn stuck(env: &Env, dir: &Path, doing: &'static str) -> StoreError {
    let (pid, host) = writer(&*env.disk, dir).map_or((0, String::new()), |holder| (holder.pid, holder.host));
    StoreError::WriterStuck {
        path: dir.to_owned(),
        pid,
        host,
        doing,
    }
}

fn is_passing(error: &StoreError) -> bool {
    let kind = match error {
        StoreError::Log(LogError::Io { source, .. })
        | StoreError::Index(IndexError::Io { source, .. })
        | StoreError::Table(TableError::Io { source, .. }) => source.kind(),
        _ => return false,
    };
    kind == std::io::ErrorKind::NotFound
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
            View::index_of_closed(env, dir, &control)?
        };
        let view = View {
            env: env.clone(),
            dir: dir.to_owned(),
            clock: ExpiryClock::not_before(control.hlc.wall_ms()),
            live,
            opening,
            generation,
            index,
            segments: ArcSwap::default(),
            files: ArcSwap::from_pointee(FileSet::empty(control.store)),
            seen: AtomicU64::new(u64::MAX),
            refreshing: Mutex::new(()),
            sorted: Mutex::default(),
            control,
        };
        view.refresh()?;
        if !view.is_current() {
            return Err(Obstacle::Busy("opening or closing the store"));
        }
        Ok(view)
    }

    fn index_of_closed(env: &Env, dir: &Path, control: &Control) -> Result<Follower, Obstacle> {
        let disk = &*env.disk;
        let why = match control.state {
            StoreState::Clean => {
                let generation = Manifest::read(disk, dir)?.map_or(0, |manifest| manifest.generation);
                let stamp = stamp_of(control, control.tail, generation);
                match Follower::of_closed(env.disk.clone(), &dir.join(INDEX_DIR), &stamp) {
                    Ok(index) => return Ok(index),
                    Err(why) => why.to_string(),
                }
            }
            StoreState::Open => "it was not closed".to_owned(),
        };
        if writer(disk, dir).is_some() {
            return Err(Obstacle::Busy("opening the store"));
        }
        Err(StoreError::NeedsRecovery {
            path: dir.to_owned(),
            why,
        }
        .into())
    }

    /// Whether what was found still is how the store is found.
    #[inline]
    pub(super) fn is_current(&self) -> bool {
        match &self.live {
            Some(live) => live.opening() == self.opening && live.generation() == self.generation,
            None => self.is_still_closed(),
        }
    }

    /// Of a store without a page: the first writer to come makes one, or finds no space for it.
    #[cold]
    fn is_still_closed(&self) -> bool {
        let disk = &*self.env.disk;
        matches!(LiveView::open(disk, &self.dir), Ok(None)) && writer(disk, &self.dir).is_none()
    }

    pub(super) fn is_open(&self) -> bool {
        self.opening.is_multiple_of(2)
    }

    /// Where records have been taken back since the view was made, if they have.
    pub(super) fn cut(&self) -> Option<Lsn> {
        let live = self.live.as_ref()?;
        (live.generation() != self.generation).then(|| live.cut())
    }

    /// Looks at segments and tables again if they have changed.
    #[inline]
    pub(super) fn keep_up(&self) -> Result<(), StoreError> {
        match &self.live {
            Some(live) if live.files() != self.seen.load(Ordering::Acquire) => self.refresh(),
            _ => Ok(()),
        }
    }

    /// Opens segments and tables that have come since; keeps those that are open.
    #[cold]
    pub(super) fn refresh(&self) -> Result<(), StoreError> {
        let _one = self.refreshing.lock();
        let files = || self.live.as_ref().map_or(0, LiveView::files);
        let word = files();
        // The log first: what has been released from it is in the tables that the manifest names then.
        let segments = self.list_segments()?;
        if self.seen.load(Ordering::Relaxed) != word {
            let mut fresh = self.load_tables()?;
            let is_settled = word.is_multiple_of(2) && files() == word;
            if !is_settled {
                // Entries of the index may still lead to tables of the manifest before.
                fresh.keep_resolving(&self.files.load());
            }
            // In this order nobody finds the log released and the tables of before.
            self.files.store(Arc::new(fresh));
            let through = self.files.load().through;
            self.sorted.lock().retain(|_, order| order.first() >= through);
        }
        self.segments.store(Arc::new(segments));
        self.seen.store(word, Ordering::Release);
        Ok(())
    }

    fn load_tables(&self) -> Result<FileSet, StoreError> {
        let disk = &*self.env.disk;
        let whose = (self.control.store, self.control.cluster, self.control.shard);
        let read = || -> Result<Manifest, TableError> {
            let found = Manifest::read(disk, &self.dir)?;
            Ok(found.unwrap_or_else(|| Manifest::empty(self.control.store)))
        };
        let mut manifest = read()?;
        loop {
            let error = match FileSet::of(disk, &self.dir, &manifest, whose, Some(&self.files.load())) {
                Ok(files) => return Ok(files),
                Err(error) => error,
            };
            // A table may have been merged away before we had opened it: then another manifest is there.
            let newer = read()?;
            if newer.generation == manifest.generation {
                return Err(error.into());
            }
            manifest = newer;
        }
    }

    fn list_segments(&self) -> Result<SegmentList, StoreError> {
        let mut listings = 0;
        loop {
            listings += 1;
            match self.try_list_segments() {
                // Released, or taken back, before we had opened it.
                Err(error) if is_passing(&error) && listings < LISTINGS => {}
                outcome => return outcome,
            }
        }
    }

    fn try_list_segments(&self) -> Result<SegmentList, StoreError> {
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
            let path = log_dir.join(file_name(*number));
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
        Ok(SegmentList { all })
    }

    fn resolve_known(&self, location: Location) -> Option<Place> {
        if location.file_slot() >= FIRST_SLOT {
            return Place::of_entry(self.files.load(), location);
        }
        Place::of_record(self.segments.load(), location)
    }

    fn resolve(&self, location: Location) -> Result<Option<Place>, StoreError> {
        if let Some(place) = self.resolve_known(location) {
            return Ok(Some(place));
        }
        self.refresh()?;
        Ok(self.resolve_known(location))
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        hash_key(self.control.index_seed, key, false)
    }

    /// Where the newest version of `key` stands. Beside it, when there is none: whether an entry led to a
    /// file that is not there.
    #[inline]
    pub(super) fn newest(&self, hash: u64, key: &[u8]) -> Result<(Option<Place>, bool), StoreError> {
        let (mut place, mut lost) = (None, false);
        let pages = || self.live.as_ref().map_or(0, LiveView::index_pages);
        let found = self.index.get(hash, pages, |location| {
            place = self.resolve(location)?;
            match &mut place {
                Some(place) => place.is_version_of(key, false),
                None => {
                    // Of a table that was merged away, in an index whose writer has not got round to it or
                    // has died. Its versions are in the tables that took its place.
                    lost = true;
                    Ok::<bool, StoreError>(false)
                }
            }
        })?;
        Ok((found.and(place), lost))
    }

    /// Starts fetching what [`View::newest`] of a key will read.
    pub(super) fn fetch(&self, hash: u64) {
        if let Some(place) = self
            .index
            .guess(hash)
            .and_then(|location| self.resolve_known(location))
        {
            place.prefetch();
        }
    }
}

impl Past for View {
    #[inline]
    fn files(&self) -> Guard<Arc<FileSet>> {
        self.files.load()
    }

    fn segment_at(&self, lsn: Lsn) -> Result<Option<Arc<Segment>>, StoreError> {
        let look = || {
            self.segments
                .load()
                .containing(lsn)
                .filter(|segment| lsn < segment.end())
                .cloned()
        };
        if let Some(segment) = look() {
            return Ok(Some(segment));
        }
        self.refresh()?;
        Ok(look())
    }

    fn layers(&self) -> Result<(Vec<Arc<Segment>>, Arc<FileSet>), StoreError> {
        // Both are replaced in the other order, so what the log no longer has is in the tables.
        let segments = self.segments.load().all.clone();
        Ok((segments, self.files.load_full()))
    }

    fn sorted(&self) -> &Mutex<SortedSegments> {
        &self.sorted
    }

    fn tail(&self) -> Lsn {
        match &self.live {
            Some(live) if self.is_open() => live.tail(),
            _ => self.control.tail,
        }
    }

    #[cold]
    fn now_ms(&self) -> u64 {
        let now = self.clock.now_ms(&*self.env.clock);
        self.live.as_ref().map_or(now, |live| live.clock().max(now))
    }
}
