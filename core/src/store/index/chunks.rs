//! The pages as files: `index.0`, `index.1`, … each mapped as a whole.
//!
//! In: page numbers. Out: pages, and new pages of zeros. A chunk is allocated in full before it is
//! mapped (never sparse: a store into a hole of a full disk would kill the process), and is never
//! moved, shrunk or unmapped while the index lives. Handles are not kept: a chunk is opened again to
//! be synced, so a large index holds maps, but no descriptors.
//!
//! Chunk 0 has 16 pages (64 KiB), each of the next seven as many as all before it, and from 8 MiB on
//! every chunk has 1,024 pages (4 MiB): little is allocated ahead at any size.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::page::{MAX_DEPTH, MIN_DEPTH, PAGE_BYTES, Page, Target};
use super::{Distrust, IndexError};
use crate::io::{Disk, Map, MapAccess, OpenMode};
use crate::log::live::Live;

const FIRST_PAGES: u32 = 1 << MIN_DEPTH;
const MAX_CHUNK_PAGES: u32 = 1024;
/// Page from which on all chunks have the maximal size.
const EVEN_FROM: u32 = 2 * MAX_CHUNK_PAGES;
const EVEN_CHUNK: usize = (EVEN_FROM / FIRST_PAGES).ilog2() as usize + 1;

pub(super) const MAX_PAGES: u32 = 1 << MAX_DEPTH;
pub(super) const MAX_CHUNKS: usize = EVEN_CHUNK + ((MAX_PAGES - EVEN_FROM) / MAX_CHUNK_PAGES) as usize;

/// Chunk of a page, and the page's number within it.
#[inline]
pub(super) fn place(page: u32) -> (usize, usize) {
    if page >= EVEN_FROM {
        let rest = page - EVEN_FROM;
        return (
            EVEN_CHUNK + (rest / MAX_CHUNK_PAGES) as usize,
            (rest % MAX_CHUNK_PAGES) as usize,
        );
    }
    match (page / FIRST_PAGES).checked_ilog2() {
        None => (0, page as usize),
        Some(power) => (power as usize + 1, (page - (FIRST_PAGES << power)) as usize),
    }
}

fn chunk_pages(chunk: usize) -> u32 {
    match chunk {
        0 => FIRST_PAGES,
        _ if chunk < EVEN_CHUNK => FIRST_PAGES << (chunk - 1),
        _ => MAX_CHUNK_PAGES,
    }
}

pub(super) fn chunk_bytes(chunk: usize) -> usize {
    chunk_pages(chunk) as usize * PAGE_BYTES
}

pub(super) fn chunk_path(dir: &Path, chunk: usize) -> PathBuf {
    dir.join(format!("index.{chunk}"))
}

/// Removes what an earlier index left in `dir`, the catalogue durably before anything else.
pub(super) fn wipe(disk: &dyn Disk, dir: &Path, catalogue: &Path) -> Result<(), IndexError> {
    if disk
        .exists(catalogue)
        .map_err(IndexError::io("look for", catalogue))?
    {
        disk.remove_file(catalogue)
            .map_err(IndexError::io("remove", catalogue))?;
        disk.sync_dir(dir).map_err(IndexError::io("sync", dir))?;
    }
    for entry in disk.list(dir).map_err(IndexError::io("list", dir))? {
        if !entry.is_dir && entry.name.starts_with("index.") {
            let path = dir.join(entry.name);
            disk.remove_file(&path).map_err(IndexError::io("remove", &path))?;
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Growth {
    chunks: usize,
    /// Pages in the chunks that exist.
    capacity: u32,
}

#[derive(Debug)]
pub(super) struct Chunks {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    maps: Box<[OnceLock<Map>]>,
    /// Pages handed out. Changed only while `growth` is held.
    used: AtomicU32,
    /// Mirror of `Growth::capacity`, so that most reservations take no lock.
    capacity: AtomicU32,
    growth: Mutex<Growth>,
    live: OnceLock<Arc<Live>>,
}

impl Chunks {
    fn empty(disk: Arc<dyn Disk>, dir: &Path) -> Chunks {
        Chunks {
            disk,
            dir: dir.to_owned(),
            maps: (0..MAX_CHUNKS).map(|_| OnceLock::new()).collect(),
            used: AtomicU32::new(0),
            capacity: AtomicU32::new(0),
            growth: Mutex::new(Growth {
                chunks: 0,
                capacity: 0,
            }),
            live: OnceLock::new(),
        }
    }

    /// Tells readers in other processes from now on how many pages there are.
    pub(super) fn show_in(&self, live: Arc<Live>) {
        let _growth = self.growth.lock();
        live.set_index_pages(self.used());
        let fresh = self.live.set(live);
        debug_assert!(fresh.is_ok(), "an index is shown once");
    }

    /// Whether this index may be used if this process dies; see [`Live::vouch_for_index`].
    pub(super) fn vouch(&self, fit: bool) {
        match self.live.get() {
            Some(live) if fit => live.vouch_for_index(),
            Some(live) => live.give_up_index(),
            None => {}
        }
    }

    /// Takes back the pages from `used` on; they are zeros again.
    pub(super) fn shrink(&self, used: u32) {
        let _growth = self.growth.lock();
        for page in used..self.used() {
            self.page(page).clear();
        }
        self.used.store(used, Ordering::Release);
    }

    /// Asks for all pages at once, rather than by a fault for each.
    pub(super) fn populate(&self) -> Result<(), Distrust> {
        for chunk in 0..self.growth.lock().chunks {
            let path = chunk_path(&self.dir, chunk);
            self.map(chunk)
                .populate(0, chunk_bytes(chunk))
                .map_err(Distrust::io("read", &path))?;
        }
        Ok(())
    }

    /// One chunk of zeros, all of its pages handed out: those of the minimal directory.
    pub(super) fn create(disk: Arc<dyn Disk>, dir: &Path) -> Result<Chunks, IndexError> {
        let chunks = Chunks::empty(disk, dir);
        chunks.grow(&mut chunks.growth.lock())?;
        chunks.used.store(FIRST_PAGES, Ordering::Release);
        Ok(chunks)
    }

    /// Maps the chunks that hold `used` pages.
    pub(super) fn open(disk: Arc<dyn Disk>, dir: &Path, used: u32) -> Result<Chunks, Distrust> {
        let chunks = Chunks::empty(disk, dir);
        {
            let mut growth = chunks.growth.lock();
            while growth.capacity < used {
                let chunk = growth.chunks;
                let path = chunk_path(dir, chunk);
                let file = chunks
                    .disk
                    .open(&path, OpenMode::ReadWrite)
                    .map_err(Distrust::io("open", &path))?;
                let found = file.len().map_err(Distrust::io("measure", &path))?;
                let expected = chunk_bytes(chunk) as u64;
                if found != expected {
                    return Err(Distrust::ChunkLength {
                        path,
                        expected,
                        found,
                    });
                }
                let map = file
                    .map(chunk_bytes(chunk), MapAccess::Write)
                    .map_err(Distrust::io("map", &path))?;
                chunks.adopt(&mut growth, map);
            }
            chunks.used.store(used, Ordering::Release);
        }
        Ok(chunks)
    }

    fn adopt(&self, growth: &mut Growth, map: Map) {
        let fresh = self.maps[growth.chunks].set(map);
        debug_assert!(fresh.is_ok(), "each chunk is mapped once");
        growth.capacity += chunk_pages(growth.chunks);
        self.capacity.store(growth.capacity, Ordering::Release);
        growth.chunks += 1;
    }

    fn grow(&self, growth: &mut Growth) -> Result<(), IndexError> {
        if growth.chunks == MAX_CHUNKS {
            return Err(IndexError::Full { depth: MAX_DEPTH });
        }
        let path = chunk_path(&self.dir, growth.chunks);
        // A chunk of this number may be left from a growth that failed, or from before a crash.
        if self
            .disk
            .exists(&path)
            .map_err(IndexError::io("look for", &path))?
        {
            self.disk
                .remove_file(&path)
                .map_err(IndexError::io("remove", &path))?;
        }
        let bytes = chunk_bytes(growth.chunks);
        let file = self.disk.create(&path).map_err(IndexError::io("create", &path))?;
        let mapped = file
            .allocate(bytes as u64)
            .map_err(IndexError::io("allocate", &path))
            .and_then(|()| {
                file.map(bytes, MapAccess::Write)
                    .map_err(IndexError::io("map", &path))
            });
        match mapped {
            Ok(map) => {
                self.adopt(growth, map);
                Ok(())
            }
            Err(error) => {
                // Gives back what was allocated. If this fails, too, the next growth tries again.
                let _ = self.disk.remove_file(&path);
                Err(error)
            }
        }
    }

    /// A page of zeros that nobody else knows of.
    pub(super) fn allocate(&self) -> Result<u32, IndexError> {
        let mut growth = self.growth.lock();
        let page = self.used.load(Ordering::Relaxed);
        if page == growth.capacity {
            self.grow(&mut growth)?;
        }
        self.used.store(page + 1, Ordering::Release);
        if let Some(live) = self.live.get() {
            // Before the page is filled: readers see by its header when it is.
            live.set_index_pages(page + 1);
        }
        Ok(page)
    }

    /// Makes sure that about `pages` more can be allocated without asking for disk space.
    pub(super) fn reserve(&self, pages: u32) -> Result<(), IndexError> {
        let wanted = self.used().saturating_add(pages).min(MAX_PAGES);
        // Capacity only grows; a page taken meanwhile by another writer is what the spare ones that
        // callers ask for are there for.
        if self.capacity.load(Ordering::Acquire) >= wanted {
            return Ok(());
        }
        let mut growth = self.growth.lock();
        let wanted = self.used().saturating_add(pages).min(MAX_PAGES);
        while growth.capacity < wanted {
            self.grow(&mut growth)?;
        }
        Ok(())
    }

    pub(super) fn used(&self) -> u32 {
        self.used.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.growth.lock().capacity) * PAGE_BYTES as u64
    }

    #[inline]
    fn map(&self, chunk: usize) -> &Map {
        self.maps[chunk]
            .get()
            .expect("pages are handed out once their chunk is mapped")
    }

    #[inline]
    pub(super) fn page(&self, page: u32) -> Page<'_> {
        let (chunk, index) = place(page);
        Page::of(self.map(chunk).atomic_page(index))
    }

    /// Starts fetching what a look-up of `target` in `page` will read first.
    #[inline]
    pub(super) fn prefetch(&self, page: u32, target: Target) {
        let (chunk, index) = place(page);
        let map = self.map(chunk);
        map.prefetch(index * PAGE_BYTES);
        map.prefetch(index * PAGE_BYTES + Page::home_offset(target));
    }

    /// File and offset of a page, for messages.
    pub(super) fn locate(&self, page: u32) -> (PathBuf, u64) {
        let (chunk, index) = place(page);
        (chunk_path(&self.dir, chunk), (index * PAGE_BYTES) as u64)
    }

    /// Makes the contents of all chunks durable; their names are the caller's business.
    pub(super) fn sync(&self) -> Result<(), IndexError> {
        let count = self.growth.lock().chunks;
        for chunk in 0..count {
            let path = chunk_path(&self.dir, chunk);
            let file = self
                .disk
                .open(&path, OpenMode::ReadWrite)
                .map_err(IndexError::io("open", &path))?;
            file.sync_data().map_err(IndexError::io("sync", &path))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let mut expected = (0, 0);
        for page in 0..EVEN_FROM + 3 * MAX_CHUNK_PAGES {
            assert_eq!(place(page), expected, "page {page}");
            expected.1 += 1;
            if expected.1 == chunk_pages(expected.0) as usize {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(
            place(MAX_PAGES - 1),
            (MAX_CHUNKS - 1, MAX_CHUNK_PAGES as usize - 1)
        );
        assert_eq!((EVEN_CHUNK, chunk_bytes(EVEN_CHUNK - 1)), (8, 4 << 20));
    }
}
