//! A mapped region of a file, or the memory that stands in for one.
//!
//! In: a map made by the operating system, or a region of the simulator. Out: bounds-checked
//! loads, stores and spans. This file must never hand out a reference past the end, and never let
//! a read-only map be stored to: that would kill the process.

#![expect(
    unsafe_code,
    reason = "raw memory of a map is turned into checked accesses here, and nowhere else"
)]

use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::MapAccess;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a log is mapped as a whole, so offsets in files must fit into usize");

/// Unit in which a page cache knows what has changed.
pub(super) const PAGE_BYTES: usize = 4096;

/// Address space of a [`Region`]: the longest file the simulator can hold.
pub(super) const REGION_BYTES: usize = if cfg!(miri) { 4 << 20 } else { 160 << 20 };

/// A mapped region. Unmapped when the last owner goes; thread-safe.
///
/// Offsets are bytes from the start of the file. Every accessor checks its bounds and panics when
/// they are crossed, so an offset that was read from a file is compared with [`Map::len`] first.
pub struct Map {
    base: NonNull<u8>,
    len: usize,
    access: MapAccess,
    owner: Owner,
    /// [`super::fork::generation`] of the process that mapped it.
    born: u64,
}

/// What keeps the memory mapped.
enum Owner {
    File(#[expect(dead_code, reason = "held for its Drop")] memmap2::MmapRaw),
    Region(Arc<Region>),
}

// SAFETY: the memory stays mapped as long as `owner` lives and belongs to no thread; what may race
// goes through atomics, and the `unsafe` accessors put exclusion on their callers.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("len", &self.len)
            .field("access", &self.access)
            .finish()
    }
}

impl Map {
    /// Wraps a map of the operating system; `access` says how `raw` was mapped.
    pub(super) fn of_file(raw: memmap2::MmapRaw, access: MapAccess) -> Map {
        let base = NonNull::new(raw.as_mut_ptr()).expect("the kernel maps nothing at address 0");
        Map {
            base,
            len: raw.len(),
            access,
            owner: Owner::File(raw),
            born: super::fork::generation(),
        }
    }

    /// Maps the first `len` bytes of a simulated page cache.
    ///
    /// # Panics
    /// If `len` exceeds the region.
    pub(super) fn of_region(region: Arc<Region>, len: usize, access: MapAccess) -> Map {
        assert!(len <= REGION_BYTES, "a map stays within its region");
        Map {
            base: region.base(),
            len,
            access,
            owner: Owner::Region(region),
            born: super::fork::generation(),
        }
    }

    /// The generation of processes that mapped it: children of fork have no writable maps.
    pub(crate) fn born(&self) -> u64 {
        self.born
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the map has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Address of the first byte; page-aligned, and the same as long as the map lives.
    ///
    /// For comparing and for handing spans across a C boundary. Reading through it carries the
    /// duties of [`Map::bytes`]; it is not for storing, whatever the map's access.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.base.as_ptr()
    }

    /// The word at `offset`, in native byte order, for compare-and-set and the like.
    ///
    /// # Panics
    /// If the word is not aligned to 8 or reaches past the end, or the map is read-only: a store
    /// through the reference would fault. Use [`Map::load_u64`] there.
    #[must_use]
    pub fn atomic_u64(&self, offset: usize) -> &AtomicU64 {
        self.must_be_writable();
        let word = self.word(offset);
        if let Owner::Region(region) = &self.owner {
            // Stores through the reference cannot be observed, so the page is compared at each sync.
            region.watch(offset, 8);
        }
        word
    }

    /// `count` words from `offset` on, in native byte order: one check of the bounds for all of them.
    ///
    /// # Panics
    /// As for [`Map::atomic_u64`], for the first and the last of the words.
    #[must_use]
    pub fn atomic_u64s(&self, offset: usize, count: usize) -> &[AtomicU64] {
        self.must_be_writable();
        assert!(offset.is_multiple_of(8), "word at {offset} is not aligned to 8");
        self.must_contain(offset, count.saturating_mul(8));
        if let Owner::Region(region) = &self.owner {
            region.watch(offset, count * 8);
        }
        // SAFETY: in bounds and aligned (checked above; `base` is page-aligned), writable, and mapped
        // as long as `self` lives; atomics may be shared. Racing plain accesses are excluded by the
        // contracts of `bytes` and `copy_in`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset).cast::<AtomicU64>(), count) }
    }

    /// Page `number` as words, in native byte order: [`Map::atomic_u64s`] with one check.
    ///
    /// # Panics
    /// If the map is read-only or ends before the page does.
    #[inline]
    pub(crate) fn atomic_page(&self, number: usize) -> &[AtomicU64; PAGE_BYTES / 8] {
        self.must_be_writable();
        assert!(
            number < self.len / PAGE_BYTES,
            "page {number} lies outside a map of {} bytes",
            self.len
        );
        if let Owner::Region(region) = &self.owner {
            region.watch(number * PAGE_BYTES, PAGE_BYTES);
        }
        // SAFETY: as in `atomic_u64s`: in bounds (checked above), aligned (pages of a page-aligned base),
        // writable, mapped as long as `self` lives.
        unsafe {
            &*self
                .base
                .as_ptr()
                .add(number * PAGE_BYTES)
                .cast::<[AtomicU64; PAGE_BYTES / 8]>()
        }
    }

    /// As [`Map::atomic_u64s`], of any map.
    ///
    /// # Safety
    /// The words are only loaded: a store into a read-only map would kill the process.
    ///
    /// # Panics
    /// If the words are not aligned to 8 or reach past the end.
    #[must_use]
    pub unsafe fn words_to_load(&self, offset: usize, count: usize) -> &[AtomicU64] {
        assert!(offset.is_multiple_of(8), "word at {offset} is not aligned to 8");
        self.must_contain(offset, count.saturating_mul(8));
        // SAFETY: in bounds and aligned (checked above; `base` is page-aligned), and mapped as long as
        // `self` lives; only loaded, by the contract of this function.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset).cast::<AtomicU64>(), count) }
    }

    /// Loads the little-endian word at `offset`.
    ///
    /// # Panics
    /// If the word is not aligned to 8 or reaches past the end.
    #[must_use]
    #[inline]
    pub fn load_u64(&self, offset: usize, ordering: Ordering) -> u64 {
        u64::from_le(self.word(offset).load(ordering))
    }

    /// Stores `value` as the little-endian word at `offset`.
    ///
    /// # Panics
    /// If the word is not aligned to 8 or reaches past the end, or the map is read-only.
    #[inline]
    pub fn store_u64(&self, offset: usize, value: u64, ordering: Ordering) {
        self.must_be_writable();
        self.word(offset).store(value.to_le(), ordering);
        self.changed(offset, 8);
    }

    /// The bytes `[offset, offset + len)`.
    ///
    /// # Safety
    /// Nobody, in this process or another, may store to these bytes while the slice lives.
    ///
    /// # Panics
    /// If the span reaches past the end.
    #[must_use]
    #[inline]
    pub unsafe fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        self.must_contain(offset, len);
        // SAFETY: in bounds (checked above), readable as long as `self` lives; no stores, by the
        // contract of this function.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset), len) }
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Safety
    /// The span must belong to the caller alone until it publishes it by an atomic store: nobody
    /// else reads it through [`Map::bytes`] or stores to it.
    ///
    /// # Panics
    /// If the span reaches past the end or the map is read-only.
    #[inline]
    pub unsafe fn copy_in(&self, offset: usize, bytes: &[u8]) {
        self.must_be_writable();
        self.must_contain(offset, bytes.len());
        match &self.owner {
            // SAFETY: in bounds and writable (checked above); `bytes` cannot overlap the span, which
            // belongs to the caller alone: a live slice of it would break that promise.
            Owner::File(_) => unsafe {
                let target = self.base.as_ptr().add(offset);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
            },
            Owner::Region(region) => region.store(offset, bytes),
        }
        self.changed(offset, bytes.len());
    }

    /// Copies several parts into `[offset, offset + len)`, each to its distance from `offset`: one check of the
    /// span for all of them.
    ///
    /// # Safety
    /// As for [`Map::copy_in`], for the whole span.
    ///
    /// # Panics
    /// If the span reaches past the end, a part past the span, or the map is read-only.
    #[inline]
    pub(crate) unsafe fn copy_in_parts<const N: usize>(
        &self,
        offset: usize,
        len: usize,
        parts: [(usize, &[u8]); N],
    ) {
        self.must_be_writable();
        self.must_contain(offset, len);
        for (at, bytes) in parts {
            assert!(
                at <= len && bytes.len() <= len - at,
                "a part of {} bytes at {at} of {len}",
                bytes.len()
            );
            match &self.owner {
                // SAFETY: in bounds and writable (checked above); `bytes` cannot overlap the span, which
                // belongs to the caller alone.
                Owner::File(_) => unsafe {
                    let target = self.base.as_ptr().add(offset + at);
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
                },
                Owner::Region(region) => region.store(offset + at, bytes),
            }
        }
        self.changed(offset, len);
    }

    /// Brings the pages of `[offset, offset + len)` into memory, so that reading them does not fault.
    ///
    /// # Errors
    /// `EFAULT` or `EHWPOISON` where touching a page would have raised SIGBUS: the disk cannot read it, or
    /// the file ends before it. On kernels before 5.14 nothing is asked and nothing fails.
    ///
    /// # Panics
    /// If the span reaches past the end.
    pub fn populate(&self, offset: usize, len: usize) -> io::Result<()> {
        self.must_contain(offset, len);
        match &self.owner {
            Owner::Region(region) if region.is_bad(offset, len) => {
                Err(io::Error::from_raw_os_error(libc::EFAULT))
            }
            Owner::Region(_) => Ok(()),
            #[cfg(miri)]
            Owner::File(_) => Ok(()),
            #[cfg(not(miri))]
            Owner::File(_) => {
                let start = offset / PAGE_BYTES * PAGE_BYTES;
                // SAFETY: the range lies within the map (checked above; it begins on a page of it), and
                // populating changes no byte.
                let done = unsafe {
                    libc::madvise(
                        self.base.as_ptr().add(start).cast(),
                        offset + len - start,
                        libc::MADV_POPULATE_READ,
                    )
                };
                if done == 0 {
                    return Ok(());
                }
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    Some(libc::EFAULT | libc::EHWPOISON) => Err(error),
                    // An older kernel, or one short of memory: the touch itself will tell.
                    _ => Ok(()),
                }
            }
        }
    }

    /// Starts fetching the cache line at `offset`; a hint, and nothing at all past the end.
    #[inline]
    pub fn prefetch(&self, offset: usize) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if offset < self.len {
            // SAFETY: the address lies within the map; a prefetch has no architectural effect.
            unsafe {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                _mm_prefetch::<_MM_HINT_T0>(self.base.as_ptr().add(offset).cast::<i8>());
            }
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _ = offset;
    }

    #[inline]
    fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8), "word at {offset} is not aligned to 8");
        self.must_contain(offset, 8);
        // SAFETY: in bounds and aligned (checked above; `base` is page-aligned), and mapped as long
        // as `self` lives. In a read-only map the reference stays in this file, which only loads
        // through it; an 8-byte load is a plain load on every 64-bit target and needs no write
        // access. Racing plain accesses are excluded by the contracts of `bytes` and `copy_in`.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset).cast::<u64>()) }
    }

    #[inline]
    fn must_contain(&self, offset: usize, len: usize) {
        assert!(
            offset.checked_add(len).is_some_and(|end| end <= self.len),
            "span {offset}+{len} lies outside a map of {} bytes",
            self.len
        );
    }

    #[inline]
    fn must_be_writable(&self) {
        assert_eq!(self.access, MapAccess::Write, "a read-only map takes no stores");
    }

    #[inline]
    fn changed(&self, offset: usize, len: usize) {
        if let Owner::Region(region) = &self.owner {
            region.touch(offset, len);
        }
    }
}

/// The page cache of one simulated file: [`REGION_BYTES`] of zeroed memory at a fixed address.
///
/// Growing a file never moves it, so maps stay valid. It remembers which pages were stored to,
/// which is what makes a simulated sync cost as much as was written, not as much as there is.
pub(super) struct Region {
    memory: Memory,
    /// One bit a page: stored to since last asked.
    touched: Box<[AtomicU64]>,
    /// One bit a page: handed out as an atomic, hence possibly stored to at any time.
    watched: Box<[AtomicU64]>,
    /// One bit a page: it cannot be read any more.
    bad: Box<[AtomicU64]>,
}

/// Address space without backing: pages take memory once they are touched.
#[cfg(not(miri))]
type Memory = memmap2::MmapRaw;

/// Miri knows no such maps; aligned heap memory serves as well.
#[cfg(miri)]
type Memory = Box<[HeapPage]>;

#[cfg(miri)]
#[repr(align(4096))]
struct HeapPage(#[expect(dead_code, reason = "reached by address")] [AtomicU64; PAGE_BYTES / 8]);

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").finish_non_exhaustive()
    }
}

impl Region {
    /// A region of zeros.
    ///
    /// # Errors
    /// When the process has run out of address space or of maps.
    pub(super) fn new() -> io::Result<Region> {
        #[cfg(not(miri))]
        let memory = memmap2::MmapOptions::new()
            .len(REGION_BYTES)
            .no_reserve_swap()
            .map_anon()?
            .into();
        #[cfg(miri)]
        let memory = (0..REGION_BYTES / PAGE_BYTES)
            .map(|_| HeapPage([const { AtomicU64::new(0) }; PAGE_BYTES / 8]))
            .collect();
        let bits = || {
            (0..REGION_BYTES / PAGE_BYTES / 64)
                .map(|_| AtomicU64::new(0))
                .collect()
        };
        Ok(Region {
            memory,
            touched: bits(),
            watched: bits(),
            bad: bits(),
        })
    }

    /// Makes the page at `offset` one that cannot be read.
    pub(super) fn spoil(&self, offset: usize) {
        let page = offset / PAGE_BYTES;
        self.bad[page / 64].fetch_or(1 << (page % 64), Ordering::SeqCst);
    }

    /// Whether any page of the span cannot be read.
    pub(super) fn is_bad(&self, offset: usize, len: usize) -> bool {
        let pages = offset / PAGE_BYTES..(offset + len).div_ceil(PAGE_BYTES);
        pages
            .into_iter()
            .any(|page| self.bad[page / 64].load(Ordering::SeqCst) & (1 << (page % 64)) != 0)
    }

    fn base(&self) -> NonNull<u8> {
        #[cfg(not(miri))]
        let base = self.memory.as_mut_ptr();
        #[cfg(miri)]
        let base = self.memory.as_ptr().cast_mut().cast::<u8>();
        NonNull::new(base).expect("memory has an address")
    }

    /// Copies out `out.len()` bytes from `offset`.
    ///
    /// A store that runs at the same moment may be seen in part, as a disk would see it.
    ///
    /// # Panics
    /// If the span reaches past the region.
    pub(super) fn load(&self, offset: usize, out: &mut [u8]) {
        Region::must_contain(offset, out.len());
        if cfg!(miri) {
            for (at, byte) in (offset..).zip(out) {
                *byte = self.word(at).load(Ordering::Acquire).to_ne_bytes()[at % 8];
            }
            return;
        }
        // SAFETY: in bounds (checked above); `out` is a unique borrow and cannot be this memory, of
        // which no `&mut` is ever made. Other threads may be storing: the bytes are then old or new,
        // and no decision rests on which (they count as unsynced). Miri takes the atomic way above.
        unsafe {
            let source = self.base().as_ptr().add(offset);
            std::ptr::copy_nonoverlapping(source, out.as_mut_ptr(), out.len());
        }
    }

    /// Copies `bytes` to `offset`, without counting the page as touched.
    ///
    /// # Panics
    /// If the span reaches past the region.
    pub(super) fn store(&self, offset: usize, bytes: &[u8]) {
        Region::must_contain(offset, bytes.len());
        if cfg!(miri) {
            for (at, byte) in (offset..).zip(bytes) {
                let set = |word: u64| {
                    let mut word = word.to_ne_bytes();
                    word[at % 8] = *byte;
                    Some(u64::from_ne_bytes(word))
                };
                let _ = self
                    .word(at)
                    .fetch_update(Ordering::AcqRel, Ordering::Acquire, set);
            }
            return;
        }
        // SAFETY: in bounds (checked above). `bytes` may be a span of this very memory (one file's
        // map written to itself), which `copy` allows. Threads that load meanwhile do so by `load`,
        // see there, or by the atomics of `Map`.
        unsafe {
            let target = self.base().as_ptr().add(offset);
            std::ptr::copy(bytes.as_ptr(), target, bytes.len());
        }
    }

    /// Counts the pages of a span as stored to. Called after the store: a sync that runs in between
    /// leaves the bit for the next one, while the other order could lose it.
    pub(super) fn touch(&self, offset: usize, len: usize) {
        if len == 0 {
            return;
        }
        for page in offset / PAGE_BYTES..=(offset + len - 1) / PAGE_BYTES {
            // Always a read-modify-write: it orders the store before it against a sync's `swap`.
            self.touched[page / 64].fetch_or(1 << (page % 64), Ordering::SeqCst);
        }
    }

    fn watch(&self, offset: usize, len: usize) {
        if len == 0 {
            return;
        }
        for page in offset / PAGE_BYTES..=(offset + len - 1) / PAGE_BYTES {
            let (bits, bit) = (&self.watched[page / 64], 1 << (page % 64));
            // These bits are never cleared, so one that is set needs no more work.
            if bits.load(Ordering::SeqCst) & bit == 0 {
                bits.fetch_or(bit, Ordering::SeqCst);
            }
        }
    }

    /// Pages that may differ from what they were when last taken, ascending, each with whether it
    /// was certainly stored to. With `take`, pages count as untouched from now on.
    pub(super) fn changed_pages(&self, take: bool) -> Vec<(usize, bool)> {
        let mut pages = Vec::new();
        for (index, (touched, watched)) in self.touched.iter().zip(&self.watched).enumerate() {
            let touched = match (touched.load(Ordering::SeqCst), take) {
                (0, _) => 0,
                (_, true) => touched.swap(0, Ordering::SeqCst),
                (bits, false) => bits,
            };
            let mut any = touched | watched.load(Ordering::SeqCst);
            while any != 0 {
                let bit = any.trailing_zeros();
                pages.push((index * 64 + bit as usize, touched & (1 << bit) != 0));
                any &= any - 1;
            }
        }
        pages
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        // SAFETY: callers have checked that `at` lies in the region, whose length is a multiple of
        // 8; rounding down aligns the address; the memory lives as long as `self`.
        unsafe { AtomicU64::from_ptr(self.base().as_ptr().add(at / 8 * 8).cast::<u64>()) }
    }

    fn must_contain(offset: usize, len: usize) {
        assert!(
            offset.checked_add(len).is_some_and(|end| end <= REGION_BYTES),
            "span {offset}+{len} lies outside a region of {REGION_BYTES} bytes"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(access: MapAccess) -> Map {
        Map::of_region(
            Arc::new(Region::new().expect("address space")),
            PAGE_BYTES,
            access,
        )
    }

    #[test]
    fn words_are_little_endian_and_spans_hold_what_was_copied() {
        let map = map(MapAccess::Write);
        map.store_u64(8, 0x0102_0304_0506_0708, Ordering::Release);
        // SAFETY: this thread is the only user of the map.
        unsafe {
            map.copy_in(17, b"atoll");
            assert_eq!(map.bytes(8, 8), [8, 7, 6, 5, 4, 3, 2, 1]);
            assert_eq!(map.bytes(16, 7), b"\0atoll\0");
        }
        assert_eq!(map.load_u64(8, Ordering::Acquire), 0x0102_0304_0506_0708);
        assert_eq!(map.as_ptr() as usize % PAGE_BYTES, 0);
        map.prefetch(0);
        map.prefetch(usize::MAX);
    }

    #[test]
    #[should_panic(expected = "lies outside")]
    fn word_past_the_end_panics() {
        let _ = map(MapAccess::Read).load_u64(PAGE_BYTES, Ordering::Relaxed);
    }

    #[test]
    #[should_panic(expected = "lies outside")]
    fn span_whose_end_overflows_panics() {
        let map = map(MapAccess::Read);
        // SAFETY: refused before anything is read.
        let _ = unsafe { map.bytes(8, usize::MAX) };
    }

    #[test]
    #[should_panic(expected = "not aligned")]
    fn misaligned_word_panics() {
        map(MapAccess::Write).store_u64(4, 1, Ordering::Relaxed);
    }

    #[test]
    #[should_panic(expected = "read-only")]
    fn store_to_a_read_only_map_panics() {
        map(MapAccess::Read).store_u64(0, 1, Ordering::Relaxed);
    }

    #[test]
    #[should_panic(expected = "read-only")]
    fn read_only_map_lends_no_atomics() {
        let _ = map(MapAccess::Read).atomic_u64(0);
    }

    #[test]
    #[should_panic(expected = "lies outside")]
    fn words_whose_length_overflows_panic() {
        let _ = map(MapAccess::Write).atomic_u64s(0, usize::MAX);
    }

    #[test]
    fn region_knows_which_pages_were_stored_to() {
        let region = Arc::new(Region::new().expect("address space"));
        let map = Map::of_region(Arc::clone(&region), 4 * PAGE_BYTES, MapAccess::Write);
        map.store_u64(PAGE_BYTES, 1, Ordering::Release);
        let _ = map.atomic_u64s(2 * PAGE_BYTES, 0);
        let _ = map.atomic_u64s(3 * PAGE_BYTES - 8, 2);
        let expected = [(1, true), (2, false), (3, false)];
        assert_eq!(region.changed_pages(true), expected);
        assert_eq!(
            region.changed_pages(false),
            expected[1..],
            "lent for good, hence always suspect"
        );
    }
}
