//! From the hash of a key to where its newest record lies: an extendible hash of 4-KiB pages.
//!
//! In: 64-bit hashes, [`Location`]s, and a caller's test whether the record at a location is of
//! the right key. Out: locations. The index never sees a key and never reads the log by itself. It
//! is a cache: everything in it can be rebuilt by replaying the log, and an index that was not
//! closed cleanly for exactly the present state of the store must be ([`Distrust`]).
//!
//! Read next: `page` (layout, look-up, division), `directory` (position to page), `chunks` (pages to
//! files), `catalogue` (what a clean close leaves). Extendible hashing: R. Fagin, J. Nievergelt,
//! N. Pippenger, H. R. Strong, "Extendible hashing", ACM TODS 4(3), 1979.
//!
//! # Threads
//!
//! Readers take no lock. Writers of different keys work in parallel and hold a page for some tens of
//! instructions, or while it is divided. **Two writers must not act on one key at the same time**: the
//! caller serialises them (stripe locks), from its look-up to the end of its change.
//!
//! # Space
//!
//! About 13 bytes a key on average at any size, since pages divide at different times. Pages are not
//! merged: after deletions their room is used again by new keys, but not given back.

mod catalogue;
mod chunks;
mod directory;
mod error;
mod follow;
mod inherit;
mod page;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam::utils::{Backoff, CachePadded};
use parking_lot::Mutex;

use self::catalogue::{Catalogue, PageRecord};
use self::chunks::Chunks;
use self::directory::Directory;
pub use self::error::{Distrust, IndexError};
pub(in crate::store) use self::follow::Follower;
use self::page::{Area, MAX_DEPTH, MIN_DEPTH, PAGE_BYTES, Page, PageGuard, Target};
use crate::io::Disk;

/// What the store says its state is; an index is trusted only for the stamp it was closed with.
pub type Stamp = [u8; 32];

/// An index up to this size is checked as a whole when it is opened (about a quarter of a
/// millisecond a MiB); of a larger one each page is checked before its first use.
const CHECK_AT_OPEN_BYTES: usize = 4 << 20;

/// Of an index up to this size all pages are checked before its first change (as above, once).
const CHECK_AT_CHANGE_BYTES: usize = 256 << 20;

/// Where a record lies: a file of the store, and the offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    file_slot: u16,
    offset: u32,
}

impl Location {
    const OFFSET_BITS: u32 = 26;

    /// A record `offset` words of 8 bytes into the file of slot `file_slot`.
    ///
    /// `None` for offset 0, where every file has its header, and from 2^26 words (512 MiB) on.
    #[must_use]
    pub fn new(file_slot: u16, offset: u32) -> Option<Location> {
        (offset != 0 && offset < 1 << Self::OFFSET_BITS).then_some(Location { file_slot, offset })
    }

    /// Number of the file in the store's table of files.
    #[must_use]
    pub fn file_slot(self) -> u16 {
        self.file_slot
    }

    /// Offset in that file, in words of 8 bytes.
    #[must_use]
    pub fn offset(self) -> u32 {
        self.offset
    }

    /// Offset in that file, in bytes.
    #[must_use]
    pub fn offset_bytes(self) -> u64 {
        u64::from(self.offset) * 8
    }

    fn to_bits(self) -> u64 {
        (u64::from(self.file_slot) << Self::OFFSET_BITS) | u64::from(self.offset)
    }

    fn from_bits(bits: u64) -> Option<Location> {
        let offset = (bits & ((1 << Self::OFFSET_BITS) - 1)) as u32;
        Location::new((bits >> Self::OFFSET_BITS) as u16, offset)
    }
}

/// Whether the catalogue on disk describes the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closure {
    /// It does, for this stamp.
    Clean(Stamp),
    /// There is none.
    Open,
    /// Unknown: a step that would have made it durable, or durably gone, has failed.
    Unknown,
}

/// What is known of pages that were not used since the index was opened.
#[derive(Debug)]
struct Checks {
    records: Vec<PageRecord>,
    done: Vec<AtomicBool>,
    /// Held while a page is checked; nobody changes a page before its check is done.
    stripes: [Mutex<()>; 16],
}

/// The index of one store. See the head of this file for what threads may do.
pub struct Index {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    seed: u64,
    chunks: Chunks,
    directory: Directory,
    keys: CachePadded<AtomicU64>,
    checks: Option<Checks>,
    /// Whether changes may go ahead without looking at `closure`.
    is_open: AtomicBool,
    closure: Mutex<Closure>,
    /// A page was found damaged: no catalogue may vouch for this index any more.
    distrusted: AtomicBool,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("dir", &self.dir)
            .field("keys", &self.len())
            .field("pages", &self.chunks.used())
            .finish_non_exhaustive()
    }
}

fn catalogue_path(dir: &Path) -> PathBuf {
    dir.join("index.clean")
}

impl Index {
    /// Makes an empty index in `dir` (made if missing), removing what an earlier one left there.
    ///
    /// `seed` is what the caller hashes its keys with; it should be random for each store, so that
    /// nobody can choose keys that all fall into one page. Nothing is durable before
    /// [`Index::close_clean`].
    ///
    /// # Errors
    /// [`IndexError::Io`], [`IndexError::DiskFull`].
    pub fn create(disk: Arc<dyn Disk>, dir: &Path, seed: u64) -> Result<Index, IndexError> {
        disk.create_dir_all(dir).map_err(IndexError::io("create", dir))?;
        chunks::wipe(disk.as_ref(), dir, &catalogue_path(dir))?;
        let chunks = Chunks::create(disk.clone(), dir)?;
        for prefix in 0..1 << MIN_DEPTH {
            chunks.page(prefix).initialise(Area {
                depth: MIN_DEPTH,
                prefix,
            });
        }
        Ok(Index {
            disk,
            dir: dir.to_owned(),
            seed,
            chunks,
            directory: Directory::minimal(),
            keys: CachePadded::new(AtomicU64::new(0)),
            checks: None,
            is_open: AtomicBool::new(true),
            distrusted: AtomicBool::new(false),
            closure: Mutex::new(Closure::Open),
        })
    }

    /// Opens the index in `dir` if it was closed cleanly with exactly this stamp and is sound.
    ///
    /// Up to 4 MiB every page is checked now. Of a larger index the catalogue vouches for each page,
    /// and a page is checked before its first use: damage then shows as [`IndexError::Damaged`] from
    /// the call that met it, never as a missing key. [`Index::check_all`] does the rest at once.
    /// Opening changes nothing on disk.
    ///
    /// # Errors
    /// The reason not to use it; [`Index::create`] and a replay of the log make a new one.
    pub fn open_clean(disk: Arc<dyn Disk>, dir: &Path, stamp: &Stamp) -> Result<Index, Distrust> {
        let path = catalogue_path(dir);
        let catalogue = Catalogue::read(disk.as_ref(), &path)?;
        if catalogue.stamp != *stamp {
            return Err(Distrust::OtherStamp);
        }
        let used = catalogue.pages.len();
        let is_small = used * PAGE_BYTES <= CHECK_AT_OPEN_BYTES;
        let areas = catalogue.pages.iter().map(|page| page.area);
        let directory = Directory::of_areas(areas, !is_small).ok_or(Distrust::Catalogue {
            path,
            what: "pages do not cover each position once",
        })?;
        let chunks = Chunks::open(disk.clone(), dir, used as u32)?;
        if is_small {
            for (number, record) in (0u32..).zip(&catalogue.pages) {
                if let Some(what) = chunks.page(number).defect(record.checksum, record.area) {
                    let (path, offset) = chunks.locate(number);
                    return Err(Distrust::Page { path, offset, what });
                }
            }
        }
        let checks = (!is_small).then(|| Checks {
            done: (0..used).map(|_| AtomicBool::new(false)).collect(),
            records: catalogue.pages,
            stripes: Default::default(),
        });
        Ok(Index {
            disk,
            dir: dir.to_owned(),
            seed: catalogue.seed,
            chunks,
            directory,
            keys: CachePadded::new(AtomicU64::new(catalogue.keys)),
            checks,
            is_open: AtomicBool::new(false),
            distrusted: AtomicBool::new(false),
            closure: Mutex::new(Closure::Clean(*stamp)),
        })
    }

    /// Lets readers in other processes follow this index.
    pub(in crate::store) fn show_in(&self, live: Arc<crate::log::live::Live>) {
        self.chunks.show_in(live);
        if self.is_open.load(Ordering::Acquire) {
            self.chunks.vouch(true);
        }
    }

    /// The seed that keys of this index are hashed with.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of disk taken by pages, used or not.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks.bytes()
    }

    /// The location of the key with this hash for which `is_match` says yes.
    ///
    /// `is_match` is called for every location whose tag fits: usually once for a key that is there,
    /// rarely for one that is not. It may be called again for the same location, and for one that has
    /// gone out of use meanwhile, so it compares the whole key and says `Ok(false)` for anything that
    /// cannot be read. No lock is held during the call.
    ///
    /// # Errors
    /// Those of `is_match`, and [`IndexError::Damaged`].
    #[inline]
    pub fn get<E: From<IndexError>>(
        &self,
        hash: u64,
        mut is_match: impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        let target = Target::of(hash);
        let backoff = Backoff::new();
        loop {
            let page = self.page_of(target)?;
            let sequence = page.sequence();
            if let Some(location) = page.find(target, &mut is_match)? {
                return Ok(Some(location));
            }
            if page.unchanged_since(sequence, target) {
                return Ok(None);
            }
            backoff.snooze();
        }
    }

    /// Starts fetching what [`Index::get`] of this hash will read, without waiting.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let target = Target::of(hash);
        let entry = self.directory.entry(target.position);
        self.chunks.prefetch(entry.page(), target);
    }

    /// A location that the key with this hash may well have; for fetching ahead only. `None` also for a
    /// page that has not been checked since the index was opened.
    #[must_use]
    #[inline]
    pub fn guess(&self, hash: u64) -> Option<Location> {
        let target = Target::of(hash);
        let entry = self.directory.entry(target.position);
        if entry.is_unchecked() {
            return None;
        }
        let page = self.chunks.page(entry.page());
        let found = page.find(target, &mut |_| Ok::<bool, std::convert::Infallible>(true));
        found.ok().flatten()
    }

    /// Inserts the key, or makes it point to `location`; returns where it pointed before.
    ///
    /// A caller that has looked the key up already uses [`Index::insert`] or [`Index::replace`].
    ///
    /// # Errors
    /// As [`Index::get`] and [`Index::insert`]; the index is unchanged then.
    pub fn set<E: From<IndexError>>(
        &self,
        hash: u64,
        location: Location,
        is_match: impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        let previous = self.get(hash, is_match)?;
        match previous {
            Some(previous) => {
                let replaced = self.replace(hash, previous, location)?;
                debug_assert!(replaced, "two writers acted on one key at the same time");
            }
            None => self.insert(hash, location)?,
        }
        Ok(previous)
    }

    /// Removes the key; returns where it pointed.
    ///
    /// # Errors
    /// As [`Index::get`] and [`Index::replace`].
    pub fn remove<E: From<IndexError>>(
        &self,
        hash: u64,
        is_match: impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        let previous = self.get(hash, is_match)?;
        if let Some(previous) = previous {
            self.remove_at(hash, previous)?;
        }
        Ok(previous)
    }

    /// Inserts a key that the caller knows to be absent.
    ///
    /// # Errors
    /// [`IndexError::DiskFull`] or [`IndexError::Io`] if a page had to be divided and could not be
    /// (see [`Index::reserve`]); [`IndexError::Full`], [`IndexError::Damaged`],
    /// [`IndexError::Poisoned`]. The index is unchanged then.
    #[inline]
    pub fn insert(&self, hash: u64, location: Location) -> Result<(), IndexError> {
        self.begin_change()?;
        let target = Target::of(hash);
        loop {
            let page = self.page_of(target)?.lock();
            if !page.covers(target) {
                continue;
            }
            let mut inserted = !page.is_crowded() && page.insert(target, location);
            if !inserted && let Err(error) = self.divide(&page) {
                // A crowded page may have room all the same; then the trouble can wait for a key
                // that has none.
                if !page.insert(target, location) {
                    return Err(error);
                }
                inserted = true;
            }
            if inserted {
                self.keys.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
    }

    /// Makes the key with this hash that points to `old` point to `new`; `false` if there is none.
    /// Needs no space.
    ///
    /// # Errors
    /// [`IndexError::Io`] if this is the first change and the index cannot be marked as in use;
    /// [`IndexError::Damaged`], [`IndexError::Poisoned`].
    pub fn replace(&self, hash: u64, old: Location, new: Location) -> Result<bool, IndexError> {
        self.change(hash, |page, target| page.replace(target, old, new))
    }

    /// Removes the key with this hash that points to `old`; `false` if there is none.
    ///
    /// # Errors
    /// As [`Index::replace`].
    pub fn remove_at(&self, hash: u64, old: Location) -> Result<bool, IndexError> {
        let removed = self.change(hash, |page, target| page.remove(target, old))?;
        if removed {
            self.keys.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(removed)
    }

    /// Makes sure that the next `inserts` insertions will not run out of disk space, short of extreme
    /// skew. Called before a record is written, so that a full disk is known while nothing has
    /// happened yet; does no I/O most of the time.
    ///
    /// # Errors
    /// [`IndexError::DiskFull`], [`IndexError::Io`].
    #[inline]
    pub fn reserve(&self, inserts: usize) -> Result<(), IndexError> {
        // Hardly more than one division for each insertion, and for each page there is now. The
        // eight are for writers that reserve at the same time.
        let divisions = u32::try_from(inserts).unwrap_or(u32::MAX).min(self.chunks.used());
        self.chunks.reserve(divisions.saturating_add(8))
    }

    /// Calls `visit` with the location of every key, in no particular order.
    ///
    /// A key that is there during the whole walk is visited, but twice if its page is divided
    /// meanwhile.
    ///
    /// # Errors
    /// Those of `visit`, and [`IndexError::Damaged`].
    pub fn for_each<E: From<IndexError>>(
        &self,
        mut visit: impl FnMut(Location) -> Result<(), E>,
    ) -> Result<(), E> {
        // A page that is divided gives keys to a page of a higher number only, so none is missed.
        let mut number = 0;
        while number < self.chunks.used() {
            self.check(number)?;
            self.chunks
                .page(number)
                .locations()
                .into_iter()
                .try_for_each(&mut visit)?;
            number += 1;
        }
        Ok(())
    }

    /// Checks all pages that were not used since the index was opened.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] for the first that is not as the last clean close left it.
    pub fn check_all(&self) -> Result<(), IndexError> {
        let pending = self.checks.as_ref().map_or(0, |checks| checks.records.len());
        (0u32..).take(pending).try_for_each(|number| self.check(number))
    }

    /// Makes everything durable and the index fit for [`Index::open_clean`] with this stamp.
    ///
    /// The caller has ended all changes. A later change is possible: it takes the mark away again.
    /// An index with a damaged page is left as it is: the next opening builds it anew.
    ///
    /// # Errors
    /// [`IndexError::Io`], [`IndexError::DiskFull`]: the index takes no more changes, and the next
    /// open may find it clean or not. [`IndexError::Poisoned`] if that has happened before.
    pub fn close_clean(&self, stamp: &Stamp) -> Result<(), IndexError> {
        if self.distrusted.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut closure = self.closure.lock();
        // From here on a change waits for `closure`, and finds a catalogue to remove.
        self.is_open.store(false, Ordering::SeqCst);
        match *closure {
            Closure::Unknown => {
                return Err(IndexError::Poisoned {
                    path: self.dir.clone(),
                });
            }
            Closure::Clean(last) if last == *stamp => return Ok(()),
            Closure::Clean(_) => {}
            Closure::Open => {
                *closure = Closure::Unknown;
                // A page that could not be written may come back as it was before.
                self.chunks.sync().inspect_err(|_| self.chunks.vouch(false))?;
            }
        }
        *closure = Closure::Unknown;
        let pages = (0..self.chunks.used())
            .map(|number| self.record(number))
            .collect::<Result<_, _>>()?;
        let catalogue = Catalogue {
            seed: self.seed,
            keys: self.len(),
            stamp: *stamp,
            pages,
        };
        catalogue.write(self.disk.as_ref(), &catalogue_path(&self.dir))?;
        // Also makes the names of the chunks durable. A power cut that keeps the catalogue and loses
        // a chunk is noticed at the next open.
        self.disk
            .sync_dir(&self.dir)
            .map_err(IndexError::io("sync", &self.dir))?;
        *closure = Closure::Clean(*stamp);
        Ok(())
    }

    /// What the catalogue says of a page. One that was never checked keeps its old record: taking the
    /// checksum anew would declare damage to be sound.
    fn record(&self, number: u32) -> Result<PageRecord, IndexError> {
        if let Some(checks) = &self.checks
            && let Some(done) = checks.done.get(number as usize)
            && !done.load(Ordering::Acquire)
        {
            return Ok(checks.records[number as usize]);
        }
        let page = self.chunks.page(number);
        let area = page
            .area()
            .ok_or_else(|| self.damaged(number, "area out of range"))?;
        Ok(PageRecord {
            checksum: page.checksum(),
            area,
        })
    }

    /// The page responsible for `target` a moment ago, checked.
    #[inline]
    fn page_of(&self, target: Target) -> Result<Page<'_>, IndexError> {
        let entry = self.directory.entry(target.position);
        if entry.is_unchecked() {
            self.check(entry.page())?;
        }
        Ok(self.chunks.page(entry.page()))
    }

    /// Compares a page with its record in the catalogue, once.
    #[cold]
    fn check(&self, number: u32) -> Result<(), IndexError> {
        let Some(checks) = &self.checks else {
            return Ok(());
        };
        let number_index = number as usize;
        let Some(done) = checks.done.get(number_index) else {
            return Ok(());
        };
        let _stripe = checks.stripes[number_index % checks.stripes.len()].lock();
        if done.load(Ordering::Acquire) {
            return Ok(());
        }
        let record = checks.records[number_index];
        if let Some(what) = self.chunks.page(number).defect(record.checksum, record.area) {
            self.distrust();
            return Err(self.damaged(number, what));
        }
        self.directory.mark_checked(record.area);
        done.store(true, Ordering::Release);
        Ok(())
    }

    /// Takes the catalogue away for good, so that the next opening builds the index anew.
    fn distrust(&self) {
        self.chunks.vouch(false);
        if !self.distrusted.swap(true, Ordering::AcqRel)
            && let Err(error) = self.begin_change()
        {
            // The damage is still there at the next opening, and is found again.
            tracing::warn!(%error, "the catalogue of a damaged index could not be removed");
        }
    }

    fn damaged(&self, number: u32, what: &'static str) -> IndexError {
        let (path, offset) = self.chunks.locate(number);
        IndexError::Damaged { path, offset, what }
    }

    /// Runs `change` on the page that covers the hash, held.
    fn change(
        &self,
        hash: u64,
        change: impl FnOnce(&PageGuard<'_>, Target) -> bool,
    ) -> Result<bool, IndexError> {
        self.begin_change()?;
        let target = Target::of(hash);
        loop {
            let page = self.page_of(target)?.lock();
            if page.covers(target) {
                return Ok(change(&page, target));
            }
        }
    }

    /// Gives the upper half of a page's area to a new page.
    ///
    /// The order matters: readers find each key in the old page until the directory leads to the new
    /// one; only then is the old page emptied, and its odd sequence makes those who missed a key in
    /// it look again.
    fn divide(&self, page: &PageGuard<'_>) -> Result<(), IndexError> {
        let halves = page.area().and_then(Area::halves);
        let Some((lower, upper)) = halves else {
            return Err(IndexError::Full { depth: MAX_DEPTH });
        };
        let number = self.chunks.allocate()?;
        page.copy_upper_half(self.chunks.page(number), upper);
        self.directory.divert(upper, number);
        page.keep_lower_half(lower);
        Ok(())
    }

    /// Before the first change: takes the catalogue away, durably, so that no crash can leave it
    /// beside pages that it does not describe.
    #[inline]
    fn begin_change(&self) -> Result<(), IndexError> {
        if self.is_open.load(Ordering::Acquire) {
            Ok(())
        } else {
            self.mark_open()
        }
    }

    #[cold]
    fn mark_open(&self) -> Result<(), IndexError> {
        // With the catalogue goes what later openings could check pages against: whoever inherits them
        // (see `inherit`) must know that they were sound. A larger index is built anew then.
        let is_small = self.chunks.used() as usize * PAGE_BYTES <= CHECK_AT_CHANGE_BYTES;
        let is_sound = is_small && !self.distrusted.load(Ordering::Acquire) && self.check_all().is_ok();
        let mut closure = self.closure.lock();
        match *closure {
            Closure::Unknown => {
                return Err(IndexError::Poisoned {
                    path: self.dir.clone(),
                });
            }
            // Another thread was first.
            Closure::Open => return Ok(()),
            Closure::Clean(_) => {}
        }
        *closure = Closure::Unknown;
        let path = catalogue_path(&self.dir);
        self.disk
            .remove_file(&path)
            .map_err(IndexError::io("remove", &path))?;
        self.disk
            .sync_dir(&self.dir)
            .map_err(IndexError::io("sync", &self.dir))?;
        *closure = Closure::Open;
        if is_sound {
            self.chunks.vouch(true);
        }
        self.is_open.store(true, Ordering::Release);
        Ok(())
    }
}
