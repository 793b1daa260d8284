//! A mapped region of a file, or the memory that stands in for one.
//!
//! In: a pointer, a length, and whatever keeps them valid. Out: bounds-checked loads, stores and
//! spans. This file must never hand out a reference past the end, and never let a read-only map
//! be written: a stray store through one would kill the process.

#![expect(
    unsafe_code,
    reason = "raw memory of a map is turned into checked accesses here, and nowhere else"
)]

use std::any::Any;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::MapAccess;

/// A mapped region. Unmapped when the last owner goes; thread-safe.
pub struct Map {
    base: NonNull<u8>,
    len: usize,
    access: MapAccess,
    /// Keeps the region mapped.
    _owner: Box<dyn Any + Send + Sync>,
}

// SAFETY: the region is plain memory that stays mapped as long as `_owner` lives; every access
// that may race goes through atomics, and the `unsafe` ones put exclusion on their caller.
unsafe impl Send for Map {}
// SAFETY: as above: shared use is limited to atomics and to spans the caller vouches for.
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
    /// Wraps memory kept alive by `owner`.
    ///
    /// # Safety
    /// `base` must be aligned to 8 and point to `len` bytes that stay readable (and writable for
    /// [`MapAccess::Write`]) as long as `owner` lives, also after `owner` has been moved.
    pub(super) unsafe fn new(
        base: NonNull<u8>,
        len: usize,
        access: MapAccess,
        owner: Box<dyn Any + Send + Sync>,
    ) -> Map {
        debug_assert_eq!(base.as_ptr() as usize % 8, 0, "maps start on word boundaries");
        Map {
            base,
            len,
            access,
            _owner: owner,
        }
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

    /// The word at `offset` for atomic access.
    ///
    /// # Panics
    /// If the word is not aligned to 8 or reaches past the end.
    #[must_use]
    pub fn atomic_u64(&self, offset: usize) -> &AtomicU64 {
        assert!(
            offset.is_multiple_of(8) && offset.checked_add(8).is_some_and(|end| end <= self.len),
            "word at {offset} lies outside a map of {} bytes",
            self.len
        );
        // SAFETY: in bounds and aligned (checked above, `base` by the contract of `new`). Callers
        // store only through writable maps: `store_u64` checks, and index pages are mapped writable.
        unsafe { &*self.base.as_ptr().add(offset).cast::<AtomicU64>() }
    }

    /// `count` words from `offset` on for atomic access: one check of the bounds for all of them.
    ///
    /// # Panics
    /// As for [`Map::atomic_u64`], for the first and the last of the words.
    #[must_use]
    pub fn atomic_u64s(&self, offset: usize, count: usize) -> &[AtomicU64] {
        let end = count.checked_mul(8).and_then(|bytes| offset.checked_add(bytes));
        assert!(
            offset.is_multiple_of(8) && end.is_some_and(|end| end <= self.len),
            "{count} words at {offset} lie outside a map of {} bytes",
            self.len
        );
        // SAFETY: in bounds and aligned (checked above, `base` by the contract of `new`), alive as
        // long as `self`; atomics may be shared and stored to. About read-only maps: as above.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset).cast::<AtomicU64>(), count) }
    }

    /// Loads the word at `offset`, little-endian.
    ///
    /// # Panics
    /// As for [`Map::atomic_u64`].
    #[must_use]
    pub fn load_u64(&self, offset: usize, ordering: Ordering) -> u64 {
        u64::from_le(self.atomic_u64(offset).load(ordering))
    }

    /// Stores the word at `offset`, little-endian.
    ///
    /// # Panics
    /// As for [`Map::atomic_u64`], and if the map is read-only.
    pub fn store_u64(&self, offset: usize, value: u64, ordering: Ordering) {
        assert_eq!(self.access, MapAccess::Write, "a read-only map takes no stores");
        self.atomic_u64(offset).store(value.to_le(), ordering);
    }

    /// The bytes `[offset, offset + len)`.
    ///
    /// # Safety
    /// Nobody may store to these bytes while the slice lives.
    ///
    /// # Panics
    /// If the span reaches past the end.
    #[must_use]
    pub unsafe fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        assert!(
            offset.checked_add(len).is_some_and(|end| end <= self.len),
            "span {offset}+{len} lies outside a map of {} bytes",
            self.len
        );
        // SAFETY: in bounds (checked above); the memory lives as long as `self`; no stores, by the
        // contract of this function.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset), len) }
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Safety
    /// The span must belong to the caller alone until it publishes it by an atomic store.
    ///
    /// # Panics
    /// If the span reaches past the end or the map is read-only.
    pub unsafe fn copy_in(&self, offset: usize, bytes: &[u8]) {
        assert_eq!(self.access, MapAccess::Write, "a read-only map takes no stores");
        assert!(
            offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len),
            "span {offset}+{} lies outside a map of {} bytes",
            bytes.len(),
            self.len
        );
        // SAFETY: in bounds and writable (checked above); `bytes` cannot overlap, since the span
        // belongs to the caller alone and a shared slice of it would break that promise.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.as_ptr().add(offset), bytes.len());
        }
    }

    /// Starts fetching the cache line at `offset`, if there is one.
    pub fn prefetch(&self, offset: usize) {
        #[cfg(target_arch = "x86_64")]
        if offset < self.len {
            // SAFETY: the address lies within the map; a prefetch has no architectural effect.
            unsafe {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                _mm_prefetch::<_MM_HINT_T0>(self.base.as_ptr().add(offset).cast::<i8>());
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }
}
