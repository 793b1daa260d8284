//! Contents of one simulated file: what the page cache holds, and what the disk holds.
//!
//! In: writes, syncs, failed syncs, a power cut. Out: bytes, and the file that a restarted machine
//! finds. Knows nothing of names, calls or faults.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{CutPolicy, SECTOR_BYTES};
use crate::io::clock::{Entropy, SeededEntropy};
use crate::io::mmap::{PAGE_BYTES, REGION_BYTES, Region};
use crate::io::{Map, MapAccess};

type Page = Box<[u8; PAGE_BYTES]>;

/// One file. Thread-safe, but cuts are decided under the lock of the whole machine.
#[derive(Debug)]
pub(super) struct Contents {
    cache: Arc<Region>,
    len: AtomicU64,
    disk: Mutex<OnDisk>,
}

#[derive(Debug, Default)]
struct OnDisk {
    len: u64,
    /// Pages by number; an absent one holds zeros.
    pages: BTreeMap<usize, Page>,
    /// Pages that a failed sync left clean: what they held then.
    lost: BTreeMap<usize, Page>,
    /// Cached length and unsynced pages at the moment the power went.
    frozen: Option<(u64, BTreeMap<usize, Page>)>,
}

impl OnDisk {
    fn page(&self, number: usize) -> Page {
        self.pages
            .get(&number)
            .cloned()
            .unwrap_or_else(|| Box::new([0; PAGE_BYTES]))
    }
}

impl Contents {
    pub(super) fn empty() -> io::Result<Contents> {
        Ok(Contents {
            cache: Arc::new(Region::new()?),
            len: AtomicU64::new(0),
            disk: Mutex::default(),
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::SeqCst)
    }

    /// Grows to at least `len`, which is at most [`REGION_BYTES`]. The new bytes are zeros.
    pub(super) fn grow(&self, len: u64) {
        self.len.fetch_max(len, Ordering::SeqCst);
    }

    /// Makes the page at `offset` one that cannot be read, until the machine restarts.
    pub(super) fn spoil(&self, offset: u64) {
        self.cache.spoil(offset as usize);
    }

    /// Whether a read of the span fails.
    pub(super) fn is_bad(&self, offset: u64, len: usize) -> bool {
        let len = len.min(self.len().saturating_sub(offset) as usize);
        len > 0 && self.cache.is_bad(offset as usize, len)
    }

    /// Reads up to the end of the file.
    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let left = self.len().saturating_sub(offset);
        let count = buf.len().min(left as usize);
        self.cache.load(offset as usize, &mut buf[..count]);
        count
    }

    pub(super) fn read_whole(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len() as usize];
        self.cache.load(0, &mut bytes);
        bytes
    }

    /// Writes within [`REGION_BYTES`], growing the file where needed.
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        self.cache.store(offset as usize, bytes);
        self.cache.touch(offset as usize, bytes.len());
        self.grow(offset + bytes.len() as u64);
    }

    /// Maps the first `len` bytes, at most [`Contents::len`].
    pub(super) fn map(&self, len: usize, access: MapAccess) -> Map {
        Map::of_region(Arc::clone(&self.cache), len, access)
    }

    /// Pages that a sync would write now.
    fn unsynced(&self, disk: &mut OnDisk, take: bool) -> BTreeMap<usize, Page> {
        let mut pages = BTreeMap::new();
        for (number, touched) in self.cache.changed_pages(take) {
            let mut page = Box::new([0; PAGE_BYTES]);
            self.cache.load(number * PAGE_BYTES, &mut page[..]);
            if touched {
                // Dirty again, so the kernel would write it, even with the bytes that were lost.
                if take {
                    disk.lost.remove(&number);
                }
            } else if disk.lost.get(&number).is_some_and(|then| *then == page) {
                continue;
            }
            if page != disk.page(number) {
                pages.insert(number, page);
            }
        }
        pages
    }

    /// Makes contents and length durable.
    pub(super) fn sync(&self) {
        let mut disk = self.disk.lock();
        // Before the pages: what grows from now on belongs to the next sync.
        let len = self.len();
        for (number, page) in self.unsynced(&mut disk, true) {
            disk.lost.remove(&number);
            disk.pages.insert(number, page);
        }
        disk.len = len;
    }

    /// A sync that failed: pages become clean without having been written.
    pub(super) fn fail_sync(&self) {
        let mut disk = self.disk.lock();
        let mut pages = self.unsynced(&mut disk, true);
        disk.lost.append(&mut pages);
    }

    /// The power goes now: later stores through maps come too late.
    pub(super) fn freeze(&self) {
        let mut disk = self.disk.lock();
        if disk.frozen.is_none() {
            let pages = self.unsynced(&mut disk, false);
            disk.frozen = Some((self.len(), pages));
        }
    }

    /// Flips bits in the cache and on the disk.
    pub(super) fn flip(&self, offset: u64, mask: u8) {
        let (page, at) = (offset as usize / PAGE_BYTES, offset as usize % PAGE_BYTES);
        let mut byte = [0];
        self.cache.load(offset as usize, &mut byte);
        self.cache.store(offset as usize, &[byte[0] ^ mask]);
        let mut disk = self.disk.lock();
        let mut rotten = disk.page(page);
        rotten[at] ^= mask;
        disk.pages.insert(page, rotten);
        if let Some(lost) = disk.lost.get_mut(&page) {
            lost[at] ^= mask;
        }
    }

    /// Cuts the file short in the cache and on the disk.
    pub(super) fn shorten(&self, len: u64) {
        let mut disk = self.disk.lock();
        let old = self.len.fetch_min(len, Ordering::SeqCst);
        if len >= old {
            return;
        }
        self.cache.store(len as usize, &vec![0; (old - len) as usize]);
        disk.len = disk.len.min(len);
        clear_past(&mut disk.pages, len);
        clear_past(&mut disk.lost, len);
    }

    /// The file as a restarted machine finds it.
    pub(super) fn after_cut(
        &self,
        policy: CutPolicy,
        in_steps: bool,
        random: &SeededEntropy,
    ) -> io::Result<Contents> {
        self.freeze();
        let disk = self.disk.lock();
        let (cached_len, unsynced) = disk.frozen.as_ref().expect("frozen above, and never thawed");
        let len = length_after_cut(disk.len, *cached_len, policy, in_steps, random);
        let mut pages = disk.pages.clone();
        for (number, new) in unsynced {
            let mut page = disk.page(*number);
            // Drawn for each page even where the policy ignores it: seeds stay comparable.
            let fate = random.next_u64() % 3;
            for start in (0..PAGE_BYTES).step_by(SECTOR_BYTES) {
                let sector = start..start + SECTOR_BYTES;
                if page[sector.clone()] != new[sector.clone()] && sector_survives(policy, random, fate) {
                    page[sector.clone()].copy_from_slice(&new[sector]);
                }
            }
            pages.insert(*number, page);
        }
        clear_past(&mut pages, len);
        let found = Contents::empty()?;
        for (number, page) in &pages {
            found.cache.store(number * PAGE_BYTES, &page[..]);
        }
        found.len.store(len, Ordering::SeqCst);
        *found.disk.lock() = OnDisk {
            len,
            pages,
            ..OnDisk::default()
        };
        Ok(found)
    }
}

/// Lengths are metadata: old or new, or with `in_steps` one in between.
fn length_after_cut(old: u64, new: u64, policy: CutPolicy, in_steps: bool, random: &SeededEntropy) -> u64 {
    match policy {
        CutPolicy::DropAll => old,
        CutPolicy::KeepAll => new,
        CutPolicy::TearAll | CutPolicy::Random if in_steps && !random.next_u64().is_multiple_of(3) => {
            let between = old + random.next_u64() % (new.saturating_sub(old) + 1);
            between.next_multiple_of(PAGE_BYTES as u64).min(new.max(old))
        }
        CutPolicy::TearAll | CutPolicy::Random if random.next_u64().is_multiple_of(2) => old,
        CutPolicy::TearAll | CutPolicy::Random => new,
    }
}

/// Whether one changed sector reaches the disk; `fate` was drawn for its page.
fn sector_survives(policy: CutPolicy, random: &SeededEntropy, fate: u64) -> bool {
    match (policy, fate) {
        (CutPolicy::DropAll, _) | (CutPolicy::Random, 0) => false,
        (CutPolicy::KeepAll, _) | (CutPolicy::Random, 1) => true,
        (CutPolicy::TearAll | CutPolicy::Random, _) => random.next_u64().is_multiple_of(2),
    }
}

/// Bytes past the end of a file read as zeros if it grows again.
fn clear_past(pages: &mut BTreeMap<usize, Page>, len: u64) {
    let last = len as usize / PAGE_BYTES;
    pages.split_off(&(last + 1));
    if let Some(page) = pages.get_mut(&last) {
        page[len as usize % PAGE_BYTES..].fill(0);
    }
}

/// Whether a file may reach up to `end`.
pub(super) fn fits(end: Option<u64>) -> bool {
    end.is_some_and(|end| end <= REGION_BYTES as u64)
}
