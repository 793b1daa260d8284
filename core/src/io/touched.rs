//! Which parts of a map have been brought into memory, so that touching them cannot kill the process.
//!
//! In: spans of a map that somebody is about to read. Out: a promise that the kernel could read the pages,
//! or the first page that it could not. Reading a mapped page whose bytes cannot be had (the disk fails,
//! or somebody has cut the file short) raises SIGBUS, and what to do about that is the host's, not ours;
//! so the kernel is asked to fault the pages in (`MADV_POPULATE_READ`, Linux 5.14), which fails with an
//! errno instead. Asked once for each block of a file: what is lost *after* that is not found this way.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Map;

const PAGE_BYTES: usize = super::mmap::PAGE_BYTES;

/// One bit a block of a map. Thread-safe.
#[derive(Debug)]
pub(crate) struct Touched(Box<[AtomicU64]>);

/// A page of a map that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Where it begins in the file.
    pub(crate) offset: usize,
}

impl Touched {
    /// Asked about at once: as far as the kernel reads ahead around a page fault anyway.
    pub(crate) const BLOCK_BYTES: usize = 64 << 10;

    /// Nothing of a map of `len` bytes.
    pub(crate) fn new(len: usize) -> Touched {
        let words = len.div_ceil(Self::BLOCK_BYTES).div_ceil(64);
        Touched((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    /// Makes sure that `[offset, offset + len)` of `map` can be read; does so once for each block.
    #[inline]
    pub(crate) fn ensure(&self, map: &Map, offset: usize, len: usize) -> Result<(), Unreadable> {
        let first = offset / Self::BLOCK_BYTES;
        let last = (offset + len.max(1) - 1) / Self::BLOCK_BYTES;
        for block in first..=last {
            // Relaxed: the bit stands for nothing but itself; the bytes are ordered by whoever published them.
            let bits = self
                .0
                .get(block / 64)
                .map_or(0, |bits| bits.load(Ordering::Relaxed));
            if bits & (1 << (block % 64)) == 0 {
                self.ask(map, block, offset, len)?;
            }
        }
        Ok(())
    }

    /// Whether the block of `offset` is known to be readable.
    #[inline]
    pub(crate) fn has(&self, offset: usize) -> bool {
        let block = offset / Self::BLOCK_BYTES;
        let bits = self.0.get(block / 64);
        bits.is_some_and(|bits| bits.load(Ordering::Relaxed) & (1 << (block % 64)) != 0)
    }

    #[cold]
    fn ask(&self, map: &Map, block: usize, offset: usize, len: usize) -> Result<(), Unreadable> {
        let start = block * Self::BLOCK_BYTES;
        let end = (start + Self::BLOCK_BYTES).min(map.len());
        if start >= end {
            // Beyond the map; whoever reads there is refused for that.
            return Ok(());
        }
        if map.populate(start, end - start).is_ok() {
            self.0[block / 64].fetch_or(1 << (block % 64), Ordering::Relaxed);
            return Ok(());
        }
        // Other pages of the block are still good for something.
        let from = offset.max(start) / PAGE_BYTES * PAGE_BYTES;
        let mut page = from;
        while page < (offset + len.max(1)).min(end) {
            map.populate(page, PAGE_BYTES.min(map.len() - page))
                .map_err(|_| Unreadable { offset: page })?;
            page += PAGE_BYTES;
        }
        Ok(())
    }
}
