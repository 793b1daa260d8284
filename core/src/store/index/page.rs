//! One page: 4 KiB of slots, how a key is found in it, and how it is divided.
//!
//! In: targets and locations. Out: locations, and whether a page had room. A page never does I/O
//! and never learns what a key is; it knows its own [`Area`] and nothing of other pages.
//!
//! # Layout (64 lines of 64 bytes, little-endian words)
//!
//! Line 0 is the header: sequence, area, count, overflow bits, magic, three reserved words. Lines 1
//! to 63 are buckets of 8 slots. A slot is 0 when empty, else
//! `step (4 bits) | tag (18) | file slot (16) | offset in 8-byte words (26)`, highest bits first.
//!
//! A key starts at its home bucket. When that is full it steps on to the next one, at most
//! [`MAX_STEPS`] times, and each bucket it passed sets its bit in `overflow`, so that a look-up
//! knows where to stop. The slot remembers its steps: thereby the overflow bits can be made exact
//! again after a removal, and a division can bring the keys that are left nearer to their homes.
//! Without that every division would hand steps and bits down: a miss read 5 buckets instead of 1.3.
//!
//! The steps take the place of the four highest bits of the position, which are the same for all
//! keys of a page, because no page is shallower than [`MIN_DEPTH`].
//!
//! # Readers and writers
//!
//! A slot never moves while its key lives, except when its page is divided. A
//! reader that *finds* its key is done: the slot was loaded whole and the record behind it has been
//! compared. A reader that does *not* find it believes so only if the sequence was even and the
//! same before and after, and the page still covered the key's position in between (a seqlock as in
//! H.-J. Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012: data
//! loads are Acquire and data stores Release, which replaces the fences). Writers hold the page by
//! making the sequence odd.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::Backoff;

use super::Location;

pub(super) const PAGE_BYTES: usize = 4096;
pub(super) const PAGE_WORDS: usize = PAGE_BYTES / 8;

/// Bits of a position, and the depth beyond which pages cannot be divided.
pub(super) const MAX_DEPTH: u32 = 22;
/// Depth of the pages of an empty index; their common bits make room for the steps.
pub(super) const MIN_DEPTH: u32 = 4;

const BUCKETS: usize = 63;
const BUCKET_SLOTS: usize = 8;
const MAX_STEPS: usize = 15;
/// Slots in use at which a page is divided before it takes another one. Simulated over many pages:
/// at 448 of 504 a miss reads 1.34 buckets and a hit 1.06, at 13.3 bytes a key; a lower limit costs
/// space, a higher one makes misses slow for little.
const SPLIT_AT: u64 = 448;

const SEQUENCE: usize = 0;
const AREA: usize = 1;
const COUNT: usize = 2;
const OVERFLOW: usize = 3;
const MAGIC: usize = 4;
const FIRST_SLOT: usize = 8;

/// "atollidx" in file order.
const PAGE_MAGIC: u64 = u64::from_le_bytes(*b"atollidx");

const _: () = assert!(FIRST_SLOT + BUCKETS * BUCKET_SLOTS == PAGE_WORDS);
const _: () = assert!(
    MAX_STEPS < 1 << MIN_DEPTH,
    "steps fit into the bits that all keys of a page share"
);

const TAG_BITS: u32 = MAX_DEPTH - MIN_DEPTH;
const LOCATION_BITS: u32 = 42;
const LOCATION_MASK: u64 = (1 << LOCATION_BITS) - 1;

/// Where a hash belongs: its position among all pages, and its home bucket within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// 22 bits; a page of depth `d` is chosen by the highest `d`.
    pub(super) position: u32,
    home: u32,
}

impl Target {
    /// The position comes from the upper half of the hash, the home bucket from the lower.
    ///
    /// Positions are bent on purpose, y = x - x(1-x)/3 over the unit interval: pages at the low end
    /// get twice as many keys as those at the high end. With even positions all pages would reach
    /// their limit at about the same time, and the space per key would swing by a factor of two as
    /// the store grows. Bent, there are pages of every fill at any time, and divisions are spread
    /// evenly (the idea of G. N. N. Martin, "Spiral storage", 1979).
    #[inline]
    pub(super) fn of(hash: u64) -> Target {
        const ONE: u64 = 1 << 32;
        let x = hash >> 32;
        let bent = x - ((x * (ONE - x)) >> 32) / 3;
        let position = (bent >> (32 - MAX_DEPTH)) as u32;
        let home = (((hash & 0xFFFF_FFFF) * BUCKETS as u64) >> 32) as u32;
        Target { position, home }
    }

    /// Upper 22 bits of the slot of this key, `step` buckets after its home.
    #[inline]
    fn mark(self, step: usize) -> u64 {
        let tag = u64::from(self.position) & ((1 << TAG_BITS) - 1);
        ((step as u64) << TAG_BITS) | tag
    }

    fn slot(self, step: usize, location: Location) -> u64 {
        (self.mark(step) << LOCATION_BITS) | location.to_bits()
    }

    /// The buckets where the key may be, in the order of looking.
    #[inline]
    fn buckets(self) -> impl Iterator<Item = (usize, usize)> {
        let mut bucket = self.home as usize;
        (0..=MAX_STEPS).map(move |step| {
            let here = bucket;
            bucket = if bucket + 1 == BUCKETS { 0 } else { bucket + 1 };
            (step, here)
        })
    }
}

/// The positions a page is responsible for: those whose highest `depth` bits equal `prefix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) depth: u32,
    pub(super) prefix: u32,
}

impl Area {
    /// `depth | prefix << 8`, as in page headers and in the catalogue.
    pub(super) fn to_bits(self) -> u32 {
        self.depth | (self.prefix << 8)
    }

    /// Reverses [`Area::to_bits`]; `None` for what no page can have.
    #[inline]
    pub(super) fn from_bits(bits: u32) -> Option<Area> {
        let area = Area {
            depth: bits & 0xFF,
            prefix: bits >> 8,
        };
        let valid = (MIN_DEPTH..=MAX_DEPTH).contains(&area.depth) && area.prefix < 1 << area.depth;
        valid.then_some(area)
    }

    #[inline]
    pub(super) fn covers(self, target: Target) -> bool {
        target.position >> (MAX_DEPTH - self.depth) == self.prefix
    }

    /// The halves: positions whose next bit is 0, and 1. `None` at the maximal depth.
    pub(super) fn halves(self) -> Option<(Area, Area)> {
        let depth = self.depth + 1;
        let prefix = self.prefix << 1;
        let half = |bit| Area {
            depth,
            prefix: prefix | bit,
        };
        (depth <= MAX_DEPTH).then_some((half(0), half(1)))
    }
}

/// A view of one page. Copying it copies a pointer.
#[derive(Clone, Copy)]
pub(super) struct Page<'a>(&'a [AtomicU64; PAGE_WORDS]);

impl<'a> Page<'a> {
    pub(super) fn new(words: &'a [AtomicU64]) -> Page<'a> {
        Page(words.try_into().expect("the caller cuts out exactly one page"))
    }

    #[inline]
    pub(super) fn of(words: &'a [AtomicU64; PAGE_WORDS]) -> Page<'a> {
        Page(words)
    }

    #[inline]
    fn word(self, index: usize) -> u64 {
        u64::from_le(self.0[index].load(Ordering::Acquire))
    }

    fn set_word(self, index: usize, value: u64) {
        self.0[index].store(value.to_le(), Ordering::Release);
    }

    #[inline]
    fn bucket(self, bucket: usize) -> &'a [AtomicU64; BUCKET_SLOTS] {
        // The header takes the place of one bucket.
        &self.0.as_chunks().0[bucket + FIRST_SLOT / BUCKET_SLOTS]
    }

    /// Prepares a page of zeros. Nobody may know of the page yet.
    pub(super) fn initialise(self, area: Area) {
        self.set_word(MAGIC, PAGE_MAGIC);
        self.set_word(AREA, u64::from(area.to_bits()));
    }

    /// The sequence now; pass it to [`Page::unchanged_since`] after looking.
    #[inline]
    pub(super) fn sequence(self) -> u64 {
        self.word(SEQUENCE)
    }

    /// Whether nobody wrote since `sequence` was read, and the page was responsible for `target`.
    #[inline]
    pub(super) fn unchanged_since(self, sequence: u64, target: Target) -> bool {
        // The area is read before the sequence is read again, so that it belongs to the same state.
        let covers = self.area().is_some_and(|area| area.covers(target));
        sequence.is_multiple_of(2) && covers && self.sequence() == sequence
    }

    #[inline]
    pub(super) fn area(self) -> Option<Area> {
        u32::try_from(self.word(AREA)).ok().and_then(Area::from_bits)
    }

    /// The area of a page that has been filled; `None` before.
    pub(super) fn ready_area(self) -> Option<Area> {
        // Areas are stored last: whoever sees one sees the slots.
        let area = self.area()?;
        (self.word(MAGIC) == PAGE_MAGIC).then_some(area)
    }

    /// The first location of the target's tag that `is_match` accepts.
    #[inline]
    pub(super) fn find<E>(
        self,
        target: Target,
        is_match: &mut impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        for (step, bucket) in target.buckets() {
            let mark = target.mark(step);
            for slot in self.bucket(bucket) {
                // Pairs with the Release store of the slot: the record behind it is visible.
                let slot = u64::from_le(slot.load(Ordering::Acquire));
                if slot >> LOCATION_BITS == mark
                    && let Some(location) = Location::from_bits(slot & LOCATION_MASK)
                    && is_match(location)?
                {
                    return Ok(Some(location));
                }
            }
            if self.word(OVERFLOW) & (1 << bucket) == 0 {
                break;
            }
        }
        Ok(None)
    }

    /// How many buckets a look-up reads that finds nothing.
    #[cfg(test)]
    pub(super) fn buckets_of_a_miss(self, target: Target) -> usize {
        let passed = self.word(OVERFLOW);
        1 + (target.buckets())
            .take_while(|(step, bucket)| *step < MAX_STEPS && passed & (1 << bucket) != 0)
            .count()
    }

    /// Offset of the target's home bucket within the page.
    pub(super) fn home_offset(target: Target) -> usize {
        (FIRST_SLOT + target.home as usize * BUCKET_SLOTS) * 8
    }

    /// All locations of one state of the page.
    pub(super) fn locations(self) -> Vec<Location> {
        let backoff = Backoff::new();
        loop {
            let before = self.sequence();
            let found = (FIRST_SLOT..PAGE_WORDS)
                .filter_map(|index| Location::from_bits(self.word(index) & LOCATION_MASK))
                .collect();
            if before.is_multiple_of(2) && self.sequence() == before {
                return found;
            }
            backoff.snooze();
        }
    }

    /// CRC-32C of the page as it is in the file. Only meaningful while nobody writes.
    pub(super) fn checksum(self) -> u32 {
        let mut bytes = [0u8; PAGE_BYTES];
        for (to, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            to.copy_from_slice(&word.load(Ordering::Acquire).to_ne_bytes());
        }
        crc32c::crc32c(&bytes)
    }

    /// What makes this page unfit to be used as the page of `area` with that checksum.
    /// A page that passes cannot keep a reader or writer waiting for ever.
    pub(super) fn defect(self, checksum: u32, area: Area) -> Option<&'static str> {
        if self.checksum() != checksum {
            return Some("checksum differs");
        }
        if self.word(MAGIC) != PAGE_MAGIC {
            return Some("magic differs");
        }
        if self.area() != Some(area) {
            return Some("area differs from the catalogue");
        }
        (!self.sequence().is_multiple_of(2)).then_some("closed while being written")
    }

    /// Makes it a page of zeros. Nobody may know of the page.
    pub(super) fn clear(self) {
        (0..PAGE_WORDS).for_each(|index| self.set_word(index, 0));
    }

    /// Slots in use, as the page says.
    pub(super) fn count(self) -> u64 {
        self.word(COUNT)
    }

    /// Whether a writer holds the page, or died holding it.
    pub(super) fn is_held(self) -> bool {
        !self.sequence().is_multiple_of(2)
    }

    /// What makes this page unfit to be used, as far as it can be seen without a checksum. Only meaningful
    /// while nobody writes.
    pub(super) fn contradiction(self) -> Option<&'static str> {
        if self.is_held() {
            return Some("left while being written");
        }
        if self.ready_area().is_none() {
            return Some("no page of an index");
        }
        if self.word(COUNT) != self.slots_in_use() {
            return Some("count differs from the slots in use");
        }
        (self.word(OVERFLOW) != overflow_of(self)).then_some("overflow bits differ from the slots")
    }

    fn slots_in_use(self) -> u64 {
        (FIRST_SLOT..PAGE_WORDS)
            .filter(|index| self.word(*index) != 0)
            .count() as u64
    }

    /// Makes count and overflow bits agree with the slots. Only while nobody else writes.
    pub(super) fn recount(self) {
        self.set_word(COUNT, self.slots_in_use());
        self.set_word(OVERFLOW, overflow_of(self));
    }

    /// The page of a writer that died holding it, to be left sound. Only while nobody else writes.
    pub(super) fn inherit(self) -> PageGuard<'a> {
        PageGuard {
            page: self,
            sequence: self.sequence().wrapping_sub(1),
        }
    }

    /// Waits until no other writer holds the page, then holds it.
    #[inline]
    pub(super) fn lock(self) -> PageGuard<'a> {
        let backoff = Backoff::new();
        loop {
            let sequence = self.sequence();
            if sequence.is_multiple_of(2)
                && self.0[SEQUENCE]
                    .compare_exchange(
                        sequence.to_le(),
                        sequence.wrapping_add(1).to_le(),
                        Ordering::AcqRel,
                        Ordering::Relaxed,
                    )
                    .is_ok()
            {
                return PageGuard { page: self, sequence };
            }
            backoff.snooze();
        }
    }
}

/// The right to change one page; ends with its drop.
pub(super) struct PageGuard<'a> {
    page: Page<'a>,
    /// Even; the page shows the next odd number while the guard lives.
    sequence: u64,
}

impl Drop for PageGuard<'_> {
    fn drop(&mut self) {
        // Release: whoever sees the new even number sees every change made under the guard.
        self.page.set_word(SEQUENCE, self.sequence.wrapping_add(2));
    }
}

impl PageGuard<'_> {
    pub(super) fn covers(&self, target: Target) -> bool {
        self.page.area().is_some_and(|area| area.covers(target))
    }

    pub(super) fn area(&self) -> Option<Area> {
        self.page.area()
    }

    /// Whether the page is to be divided before it takes another key.
    pub(super) fn is_crowded(&self) -> bool {
        self.page.word(COUNT) >= SPLIT_AT
    }

    /// Puts a key that is known to be absent; `false` if all its buckets are full.
    #[inline]
    pub(super) fn insert(&self, target: Target, location: Location) -> bool {
        let mut passed = 0u64;
        for (step, bucket) in target.buckets() {
            let free = self
                .page
                .bucket(bucket)
                .iter()
                .position(|slot| slot.load(Ordering::Relaxed) == 0);
            if let Some(free) = free {
                self.page.set_word(
                    FIRST_SLOT + bucket * BUCKET_SLOTS + free,
                    target.slot(step, location),
                );
                if passed != 0 {
                    self.page.set_word(OVERFLOW, self.page.word(OVERFLOW) | passed);
                }
                self.page.set_word(COUNT, self.page.word(COUNT).saturating_add(1));
                return true;
            }
            passed |= 1 << bucket;
        }
        false
    }

    /// Makes the slot of `target` that shows `old` show `new`; `false` if there is none.
    #[inline]
    pub(super) fn replace(&self, target: Target, old: Location, new: Location) -> bool {
        match self.slot_of(target, old) {
            Some((index, step)) => {
                self.page.set_word(index, target.slot(step, new));
                true
            }
            None => false,
        }
    }

    /// Empties the slot of `target` that shows `old`; `false` if there is none.
    pub(super) fn remove(&self, target: Target, old: Location) -> bool {
        let Some((index, step)) = self.slot_of(target, old) else {
            return false;
        };
        self.page.set_word(index, 0);
        self.page.set_word(COUNT, self.page.word(COUNT).saturating_sub(1));
        if step > 0 {
            self.recount_overflow();
        }
        true
    }

    #[inline]
    fn slot_of(&self, target: Target, location: Location) -> Option<(usize, usize)> {
        for (step, bucket) in target.buckets() {
            let wanted = target.slot(step, location);
            let slots = self.page.bucket(bucket);
            if let Some(place) = slots
                .iter()
                .position(|slot| u64::from_le(slot.load(Ordering::Relaxed)) == wanted)
            {
                return Some((FIRST_SLOT + bucket * BUCKET_SLOTS + place, step));
            }
        }
        None
    }

    /// Copies the keys of the upper half into `other`, a fresh page. They stay here as well until [`PageGuard::keep_lower_half`].
    pub(super) fn copy_upper_half(&self, other: Page<'_>, upper: Area) {
        let mut moved = 0;
        for index in FIRST_SLOT..PAGE_WORDS {
            let slot = self.page.word(index);
            if slot != 0 && is_upper(slot, upper) {
                other.set_word(index, slot);
                moved += 1;
            }
        }
        bring_home(other);
        other.set_word(COUNT, moved);
        other.set_word(OVERFLOW, overflow_of(other));
        // Last: readers in other processes take a page with an area for a filled one.
        other.initialise(upper);
    }

    /// Drops the keys of the upper half, which the directory must lead elsewhere by now.
    pub(super) fn keep_lower_half(&self, lower: Area) {
        let mut kept = 0;
        for index in FIRST_SLOT..PAGE_WORDS {
            let slot = self.page.word(index);
            if slot == 0 {
                continue;
            }
            if is_upper(slot, lower) {
                self.page.set_word(index, 0);
            } else {
                kept += 1;
            }
        }
        bring_home(self.page);
        self.page.set_word(AREA, u64::from(lower.to_bits()));
        self.page.set_word(COUNT, kept);
        self.recount_overflow();
    }

    /// Empties all but one of the slots that show the same location: a writer died while it brought keys
    /// nearer to their homes.
    pub(super) fn drop_doubles(&self) {
        let mut seen = std::collections::HashSet::new();
        for index in FIRST_SLOT..PAGE_WORDS {
            let location = self.page.word(index) & LOCATION_MASK;
            if location != 0 && !seen.insert(location) {
                self.page.set_word(index, 0);
            }
        }
    }

    fn recount_overflow(&self) {
        self.page.set_word(OVERFLOW, overflow_of(self.page));
    }
}

/// Whether the bit that tells the halves at the depth of `half` apart is set in this slot.
fn is_upper(slot: u64, half: Area) -> bool {
    (slot >> (LOCATION_BITS + MAX_DEPTH - half.depth)) & 1 == 1
}

/// Moves keys that stepped on to buckets nearer to their homes, where there is room by now. Each is there
/// twice for a moment, never missing: what is stored stays whole if the process is killed in between.
/// Overflow bits are the caller's.
fn bring_home(page: Page<'_>) {
    const STEP: u64 = 1 << (LOCATION_BITS + TAG_BITS);
    for index in FIRST_SLOT..PAGE_WORDS {
        let slot = page.word(index);
        let steps = (slot / STEP) as usize;
        if steps == 0 {
            continue;
        }
        let home = ((index - FIRST_SLOT) / BUCKET_SLOTS + BUCKETS - steps) % BUCKETS;
        let nearer = (0..steps).find_map(|step| {
            let bucket = (home + step) % BUCKETS;
            let is_free = |slot: &AtomicU64| slot.load(Ordering::Relaxed) == 0;
            let free = page.bucket(bucket).iter().position(is_free)?;
            Some((FIRST_SLOT + bucket * BUCKET_SLOTS + free, step))
        });
        if let Some((free, step)) = nearer {
            page.set_word(free, slot % STEP + step as u64 * STEP);
            page.set_word(index, 0);
        }
    }
}

/// The buckets that some slot has stepped over.
fn overflow_of(page: Page<'_>) -> u64 {
    let mut passed = 0u64;
    for bucket in 0..BUCKETS {
        for slot in page.bucket(bucket) {
            let steps = (u64::from_le(slot.load(Ordering::Relaxed)) >> (LOCATION_BITS + TAG_BITS)) as usize;
            for back in 1..=steps {
                passed |= 1 << ((bucket + BUCKETS - back) % BUCKETS);
            }
        }
    }
    passed
}
