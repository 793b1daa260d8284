//! The index as a reader in another process sees it.
//!
//! In: the chunk files, mapped read-only, and the number of pages in use. Out: locations. The reader
//! keeps a directory of its own, made from what the page headers say. A page gives the upper half of
//! its area to a page of a higher number, so whoever looks at new pages in ascending order ends with
//! the right owner of each position.
//!
//! A writer may have been killed or stopped while it held a page, so waiting for an even sequence has
//! an end: what a held page may look like is known as well, see [`Follower::get`].

#![expect(
    unsafe_code,
    reason = "pages of a read-only map are handed to code that only loads from them"
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::catalogue::Catalogue;
use super::chunks::{MAX_CHUNKS, MAX_PAGES, chunk_bytes, chunk_path, place};
use super::directory::Directory;
use super::page::{MIN_DEPTH, PAGE_BYTES, PAGE_WORDS, Page, Target};
use super::{Distrust, IndexError, Location, Stamp, catalogue_path};
use crate::io::{Disk, Map, MapAccess, OpenMode};

/// Looks at a held page before it is taken for one whose writer does not go on. A writer holds a page
/// for some tens of instructions, or while it is divided.
const PATIENCE: u32 = 200;
/// Rounds after which a page that never fits its directory counts as damaged.
const ROUNDS: u32 = 100_000;

/// A read-only view of an index that somebody else may be changing.
pub(in crate::store) struct Follower {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    maps: Box<[OnceLock<Map>]>,
    directory: Directory,
    /// First page that has not been learned, and the lock under which pages are learned.
    next: Mutex<u32>,
}

impl Follower {
    fn empty(disk: Arc<dyn Disk>, dir: &Path) -> Follower {
        Follower {
            disk,
            dir: dir.to_owned(),
            maps: (0..MAX_CHUNKS).map(|_| OnceLock::new()).collect(),
            directory: Directory::minimal(),
            next: Mutex::new(1 << MIN_DEPTH),
        }
    }

    /// Follows an index that a writer has open, or had when it was killed on this machine start.
    pub(in crate::store) fn of_open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        pages: u32,
    ) -> Result<Follower, IndexError> {
        let follower = Follower::empty(disk, dir);
        follower.learn(pages)?;
        Ok(follower)
    }

    /// Reads an index that was closed for exactly this stamp; every page is checked.
    pub(in crate::store) fn of_closed(
        disk: Arc<dyn Disk>,
        dir: &Path,
        stamp: &Stamp,
    ) -> Result<Follower, Distrust> {
        let path = catalogue_path(dir);
        let catalogue = Catalogue::read(disk.as_ref(), &path)?;
        if catalogue.stamp != *stamp {
            return Err(Distrust::OtherStamp);
        }
        let follower = Follower::empty(disk, dir);
        let unfit = |_| Distrust::Catalogue {
            path: path.clone(),
            what: "its pages cannot be mapped",
        };
        for (number, record) in (0u32..).zip(&catalogue.pages) {
            let page = follower.page(number).map_err(unfit)?;
            if let Some(what) = page.defect(record.checksum, record.area) {
                let (path, offset) = follower.locate(number);
                return Err(Distrust::Page { path, offset, what });
            }
        }
        follower.learn(catalogue.pages.len() as u32).map_err(unfit)?;
        Ok(follower)
    }

    fn locate(&self, page: u32) -> (PathBuf, u64) {
        let (chunk, index) = place(page);
        (chunk_path(&self.dir, chunk), (index * PAGE_BYTES) as u64)
    }

    fn damaged(&self, page: u32, what: &'static str) -> IndexError {
        let (path, offset) = self.locate(page);
        IndexError::Damaged { path, offset, what }
    }

    fn page(&self, page: u32) -> Result<Page<'_>, IndexError> {
        let (chunk, index) = place(page);
        let map = match self.maps[chunk].get() {
            Some(map) => map,
            None => {
                let map = self.map_chunk(chunk)?;
                self.maps[chunk].get_or_init(|| map)
            }
        };
        // SAFETY: the words are handed to `Page`, of which this file calls what loads, and never
        // `lock`, `initialise` or what a guard offers: those alone store.
        Ok(Page::new(unsafe {
            map.words_to_load(index * PAGE_BYTES, PAGE_WORDS)
        }))
    }

    #[cold]
    fn map_chunk(&self, chunk: usize) -> Result<Map, IndexError> {
        let path = chunk_path(&self.dir, chunk);
        let file = self
            .disk
            .open(&path, OpenMode::Read)
            .map_err(IndexError::io("open", &path))?;
        let len = file.len().map_err(IndexError::io("measure", &path))?;
        if len < chunk_bytes(chunk) as u64 {
            // A map over the missing part would kill the process at the first touch.
            return Err(IndexError::Damaged {
                path,
                offset: len,
                what: "the file is too short",
            });
        }
        file.map(chunk_bytes(chunk), MapAccess::Read)
            .map_err(IndexError::io("map", &path))
    }

    /// Takes the pages below `pages` into the directory that are not there yet.
    fn learn(&self, pages: u32) -> Result<(), IndexError> {
        let mut next = self.next.lock();
        let mut unready = None;
        for number in *next..pages.min(MAX_PAGES) {
            // A page without an area is being filled: nobody is led to it yet. Those after it may be
            // in use, so they are learned all the same, and once more when this one is ready.
            match self.page(number)?.ready_area() {
                Some(area) => self.directory.learn(area, number),
                None => unready = unready.or(Some(number)),
            }
        }
        *next = unready.unwrap_or(pages.max(*next));
        Ok(())
    }

    /// Starts fetching what [`Follower::get`] of this hash will read, without waiting.
    pub(in crate::store) fn prefetch(&self, hash: u64) {
        let target = Target::of(hash);
        let (chunk, index) = place(self.directory.entry(target.position).page());
        if let Some(map) = self.maps[chunk].get() {
            map.prefetch(index * PAGE_BYTES);
            map.prefetch(index * PAGE_BYTES + Page::home_offset(target));
        }
    }

    /// A location that the key with this hash may well have; for fetching ahead only.
    pub(in crate::store) fn guess(&self, hash: u64) -> Option<Location> {
        let target = Target::of(hash);
        let page = self.page(self.directory.entry(target.position).page()).ok()?;
        let found = page.find(target, &mut |_| Ok::<bool, std::convert::Infallible>(true));
        found.ok().flatten()
    }

    /// The location of the key with this hash for which `is_match` says yes. `pages` tells the number
    /// of pages in use at the moment.
    ///
    /// A page whose writer does not go on (killed, or stopped) is read as it is. That is sound: slots
    /// change by single stores and never move within a page, so what is found is what was last
    /// acknowledged, unless the page is being divided and the other half has its owner already. Then
    /// the new page is in the directory once it has been learned, and the look-up goes there.
    pub(in crate::store) fn get<E: From<IndexError>>(
        &self,
        hash: u64,
        pages: impl Fn() -> u32,
        mut is_match: impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        let target = Target::of(hash);
        let mut held = 0u32;
        for round in 0..ROUNDS {
            let number = self.directory.entry(target.position).page();
            let page = self.page(number)?;
            let sequence = page.sequence();
            let is_held = !sequence.is_multiple_of(2);
            if is_held {
                held += 1;
                if held < PATIENCE {
                    std::thread::yield_now();
                    continue;
                }
                self.learn(pages())?;
                if self.directory.entry(target.position).page() != number {
                    held = 0;
                    continue;
                }
            }
            if let Some(location) = page.find(target, &mut is_match)? {
                return Ok(Some(location));
            }
            if is_held {
                // Still the same hold, and nobody else owns the position after the look either.
                self.learn(pages())?;
                let same_owner = self.directory.entry(target.position).page() == number;
                let covers = page.area().is_some_and(|area| area.covers(target));
                if same_owner && covers && page.sequence() == sequence {
                    return Ok(None);
                }
                continue;
            }
            if page.unchanged_since(sequence, target) {
                return Ok(None);
            }
            self.learn(pages())?;
            if round > 64 {
                std::thread::yield_now();
            }
        }
        let number = self.directory.entry(target.position).page();
        Err(self
            .damaged(number, "no page takes the keys that this one does not cover")
            .into())
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}
