//! From a position to the number of its page.
//!
//! In: positions, areas of pages. Out: page numbers. Kept in memory only, since the areas in the
//! page headers and in the catalogue say the same. A table is never freed while the index lives:
//! readers use it without any registration, and all tables together are no longer than twice the
//! last one (4 bytes an entry; 32 MiB in total at the maximal depth).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::page::{Area, MAX_DEPTH, MIN_DEPTH};

/// A page, and whether it must be checked against the catalogue before its first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(u32);

impl Entry {
    const UNCHECKED: u32 = 1 << 31;
    const NONE: u32 = u32::MAX;

    pub(super) fn page(self) -> u32 {
        self.0 & !Self::UNCHECKED
    }

    pub(super) fn is_unchecked(self) -> bool {
        self.0 & Self::UNCHECKED != 0
    }
}

/// Entry `i` of the table of depth `d` names the page of the positions whose highest `d` bits are
/// `i`. Only the table of the present depth is kept up to date; a reader that still holds a
/// shallower one may come to a page that no longer covers its position, and notices by the header.
#[derive(Debug)]
pub(super) struct Directory {
    depth: AtomicU32,
    tables: [OnceLock<Box<[AtomicU32]>>; MAX_DEPTH as usize + 1],
    /// Held by whoever changes entries.
    change: Mutex<()>,
}

impl Directory {
    fn with_table(depth: u32, table: Vec<AtomicU32>) -> Directory {
        let tables = [const { OnceLock::new() }; MAX_DEPTH as usize + 1];
        let fresh = tables[depth as usize].set(table.into_boxed_slice());
        debug_assert!(fresh.is_ok(), "the tables were empty");
        Directory {
            depth: AtomicU32::new(depth),
            tables,
            change: Mutex::new(()),
        }
    }

    /// The directory of an empty index: page `i` has depth [`MIN_DEPTH`] and prefix `i`.
    pub(super) fn minimal() -> Directory {
        Directory::with_table(MIN_DEPTH, (0..1 << MIN_DEPTH).map(AtomicU32::new).collect())
    }

    /// Rebuilds the directory of pages `0, 1, …` with these areas.
    ///
    /// `None` unless each position is covered by exactly one of them.
    pub(super) fn of_areas(areas: impl Iterator<Item = Area> + Clone, unchecked: bool) -> Option<Directory> {
        let depth = areas.clone().map(|area| area.depth).max()?;
        let table: Vec<AtomicU32> = (0..1usize << depth)
            .map(|_| AtomicU32::new(Entry::NONE))
            .collect();
        let flag = if unchecked { Entry::UNCHECKED } else { 0 };
        for (page, area) in (0u32..).zip(areas) {
            for entry in &table[span(area, depth)] {
                if entry.swap(page | flag, Ordering::Relaxed) != Entry::NONE {
                    return None;
                }
            }
        }
        let complete = table
            .iter()
            .all(|entry| entry.load(Ordering::Relaxed) != Entry::NONE);
        complete.then(|| Directory::with_table(depth, table))
    }

    #[inline]
    fn table(&self) -> (u32, &[AtomicU32]) {
        let depth = self.depth.load(Ordering::Acquire);
        let table = self.tables[depth as usize]
            .get()
            .expect("a table is set before its depth is shown");
        (depth, table)
    }

    #[inline]
    pub(super) fn entry(&self, position: u32) -> Entry {
        let (depth, table) = self.table();
        // Pairs with the Release store of `divert`: the page named here has been filled.
        Entry(table[(position >> (MAX_DEPTH - depth)) as usize].load(Ordering::Acquire))
    }

    /// Leads the positions of `upper`, until now part of another page, to `page`.
    pub(super) fn divert(&self, upper: Area, page: u32) {
        let _change = self.change.lock();
        let (depth, table) = self.table();
        if upper.depth <= depth {
            for entry in &table[span(upper, depth)] {
                entry.store(page, Ordering::Release);
            }
            return;
        }
        let doubled: Vec<AtomicU32> = table
            .iter()
            .flat_map(|entry| {
                let entry = entry.load(Ordering::Relaxed);
                [AtomicU32::new(entry), AtomicU32::new(entry)]
            })
            .collect();
        doubled[upper.prefix as usize].store(page, Ordering::Relaxed);
        let fresh = self.tables[upper.depth as usize].set(doubled.into_boxed_slice());
        debug_assert!(fresh.is_ok(), "only deeper tables are added, each once");
        self.depth.store(upper.depth, Ordering::Release);
    }

    /// Leads the positions of `area` to `page`, however deep it is: for readers, who may learn of a
    /// page long after it was divided.
    pub(super) fn learn(&self, area: Area, page: u32) {
        let _change = self.change.lock();
        let (mut depth, mut table) = self.table();
        while depth < area.depth {
            let doubled: Vec<AtomicU32> = table
                .iter()
                .flat_map(|entry| {
                    let entry = entry.load(Ordering::Relaxed);
                    [AtomicU32::new(entry), AtomicU32::new(entry)]
                })
                .collect();
            let fresh = self.tables[depth as usize + 1].set(doubled.into_boxed_slice());
            debug_assert!(fresh.is_ok(), "only deeper tables are added, each once");
            self.depth.store(depth + 1, Ordering::Release);
            (depth, table) = self.table();
        }
        for entry in &table[span(area, depth)] {
            entry.store(page, Ordering::Release);
        }
    }

    /// Notes that the page of `area` has been checked.
    pub(super) fn mark_checked(&self, area: Area) {
        let _change = self.change.lock();
        let (depth, table) = self.table();
        for entry in &table[span(area, depth)] {
            entry.fetch_and(!Entry::UNCHECKED, Ordering::Release);
        }
    }
}

/// The entries of `area` in a table of `depth`, which is at least that of the area.
fn span(area: Area, depth: u32) -> std::ops::Range<usize> {
    let shift = depth - area.depth;
    let first = (area.prefix as usize) << shift;
    first..first + (1 << shift)
}
