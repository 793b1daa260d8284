//! An open table: a read-only map of an immutable file.
//!
//! In: a file, keys. Out: checked entries where they lie. Each page of entries has a checksum that
//! is compared before the first use of anything on it, once for each opening; the index section
//! likewise. Opening reads two pages. What must never happen: an entry is believed before its pages
//! have been checked; a damaged page looks like a missing key.

use std::cmp::Ordering;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering as Memory};

use super::error::TableError;
use super::format::{DATA_START, EntryView, TableFooter, TableHeader, level_sizes};
use super::tree;
use crate::ids::Lsn;
use crate::io::{Disk, Map, MapAccess, OpenMode, Touched};
use crate::log::expiry::Expiry;
use crate::log::header::PAGE_BYTES;

/// An entry tells its lengths within so many bytes.
const MAX_HEAD_BYTES: usize = 40;
/// Walks fetch so far ahead.
const AHEAD_BYTES: usize = 1024;

/// An open table. Thread-safe; pages stay mapped as long as it lives, also after the file is gone.
#[derive(Debug)]
pub struct Table {
    header: TableHeader,
    footer: TableFooter,
    path: PathBuf,
    /// Number by which the key index knows the file.
    slot: u16,
    map: Map,
    touched: Touched,
    levels: Vec<usize>,
    /// One bit a page of entries: found sound since the table was opened.
    sound: Box<[AtomicU64]>,
    index_sound: OnceLock<()>,
}

impl Table {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`TableError::Damaged`] unless header and footer are whole and fit the file, and the disk's.
    pub fn open(disk: &dyn Disk, path: &Path, slot: u16) -> Result<Table, TableError> {
        let file = disk
            .open(path, OpenMode::Read)
            .map_err(TableError::io("open", path))?;
        let len = file.len().map_err(TableError::io("measure", path))?;
        if len < 2 * PAGE_BYTES as u64 || !len.is_multiple_of(PAGE_BYTES as u64) {
            return Err(TableError::damaged(
                path,
                len,
                "the file ends here, within a table",
            ));
        }
        let page_at = |offset: u64| {
            let mut page = [0u8; PAGE_BYTES];
            match file.read_at(&mut page, offset) {
                Ok(PAGE_BYTES) => Ok(page),
                Ok(read) => Err(TableError::damaged(
                    path,
                    offset + read as u64,
                    "the file ends here",
                )),
                Err(error) => Err(TableError::io("read", path)(error)),
            }
        };
        let header = TableHeader::decode(&page_at(0)?)
            .map_err(TableError::page(path, 0))?
            .map_err(TableError::malformed(path, 0))?;
        let footer_at = len - PAGE_BYTES as u64;
        let footer = TableFooter::decode(&page_at(footer_at)?, len)
            .map_err(TableError::page(path, footer_at))?
            .map_err(TableError::malformed(path, footer_at))?;
        if footer.number != header.number {
            return Err(TableError::damaged(
                path,
                footer_at,
                "header and footer belong to different tables",
            ));
        }
        let map = file
            .map(len as usize, MapAccess::Read)
            .map_err(TableError::io("map", path))?;
        Ok(Table {
            levels: level_sizes(footer.anchors as usize),
            sound: (0..footer.data_pages().div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
            header,
            footer,
            path: path.to_owned(),
            slot,
            touched: Touched::new(map.len()),
            map,
            index_sound: OnceLock::new(),
        })
    }

    /// Facts of the first page.
    #[must_use]
    pub fn header(&self) -> &TableHeader {
        &self.header
    }

    /// Facts of the last page.
    #[must_use]
    pub fn footer(&self) -> &TableFooter {
        &self.footer
    }

    /// Path of the file when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// Number by which the key index knows the file.
    #[must_use]
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// Offset after the last entry of a user's key.
    #[must_use]
    pub fn user_end(&self) -> usize {
        self.footer.user_end as usize
    }

    #[expect(unsafe_code, reason = "entries are read in place")]
    fn bytes(&self) -> &[u8] {
        // SAFETY: the span is the whole map. A table gets its name once it has been written and synced,
        // and nobody writes to, or shortens, a file of that name afterwards; it is only unlinked.
        unsafe { self.map.bytes(0, self.map.len()) }
    }

    /// Bytes of entries, as far as offsets go.
    pub(super) fn data(&self) -> &[u8] {
        &self.bytes()[..self.footer.data_end as usize]
    }

    /// Bytes `[offset, offset + len)` of an entry that has been read before.
    pub(in crate::store) fn slice(&self, offset: usize, len: usize) -> &[u8] {
        &self.data()[offset..offset + len]
    }

    /// Compares the checksums of the pages under `[from, to)` that have not been compared yet.
    #[inline]
    fn check_pages(&self, from: usize, to: usize) -> Result<(), TableError> {
        let first = (from - DATA_START) / PAGE_BYTES;
        let last = (to.max(from + 1) - 1 - DATA_START) / PAGE_BYTES;
        for page in first..=last {
            let bits = self.sound[page / 64].load(Memory::Relaxed);
            if bits & (1 << (page % 64)) == 0 {
                self.check_page(page)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn check_page(&self, page: usize) -> Result<(), TableError> {
        self.index()?;
        self.compare_page(page)?;
        self.sound[page / 64].fetch_or(1 << (page % 64), Memory::Relaxed);
        Ok(())
    }

    /// Makes sure that a span of the file can be read: a page that cannot would kill the process at the
    /// touch.
    fn ensure(&self, offset: usize, len: usize) -> Result<(), TableError> {
        let asked = self.touched.ensure(&self.map, offset, len);
        asked.map_err(|page| {
            let what = "this page cannot be read: the disk has failed there, or the file has been cut short";
            TableError::damaged(&self.path, page.offset as u64, what)
        })
    }

    pub(super) fn compare_page(&self, page: usize) -> Result<(), TableError> {
        let start = DATA_START + page * PAGE_BYTES;
        self.ensure(start, PAGE_BYTES)?;
        let (_, _, crcs) = self.sections();
        let at = page * 4;
        let expected = u32::from_le_bytes(crcs[at..at + 4].try_into().expect("four bytes"));
        let found = crc32c::crc32c(&self.bytes()[start..start + PAGE_BYTES]);
        if expected == found {
            return Ok(());
        }
        Err(TableError::damaged(
            &self.path,
            start as u64,
            format_args!("page checksum {found:#010x}, expected {expected:#010x}"),
        ))
    }

    /// Compares every checksum of the file, also those compared before.
    ///
    /// # Errors
    /// [`TableError::Damaged`] for the first that does not fit.
    pub(in crate::store) fn check_all(&self) -> Result<(), TableError> {
        self.ensure(0, PAGE_BYTES)?;
        self.ensure(self.map.len() - PAGE_BYTES, PAGE_BYTES)?;
        self.compare_index()?;
        (0..self.footer.data_pages()).try_for_each(|page| self.compare_page(page))
    }

    /// Bytes `[offset, offset + len)` of the file, whatever they are.
    pub(in crate::store) fn file_slice(&self, offset: usize, len: usize) -> &[u8] {
        &self.bytes()[offset..offset + len]
    }

    /// Tree, offsets of anchors, checksums of pages; not yet compared with their own checksum.
    fn sections(&self) -> (&[u8], &[u8], &[u8]) {
        let start = self.footer.index_start as usize;
        let section = &self.bytes()[start..start + self.footer.index_bytes() as usize];
        let tree_bytes = self.levels.iter().sum::<usize>() * 8;
        let (tree, rest) = section.split_at(tree_bytes);
        let (offsets, crcs) = rest.split_at(self.footer.anchors as usize * 4);
        (tree, offsets, crcs)
    }

    /// Offset and prefix of each anchor as they stand in the index section, whatever its checksum says.
    pub(super) fn anchors_as_written(&self) -> impl Iterator<Item = (usize, u64)> {
        let (tree, offsets, _) = self.sections();
        let (prefixes, offsets) = (tree.chunks_exact(8), offsets.chunks_exact(4));
        offsets.zip(prefixes).map(|(offset, prefix)| {
            let offset = u32::from_le_bytes(offset.try_into().expect("four bytes"));
            let prefix = u64::from_le_bytes(prefix.try_into().expect("eight bytes"));
            (offset as usize, prefix)
        })
    }

    fn compare_index(&self) -> Result<(), TableError> {
        let start = self.footer.index_start as usize;
        self.ensure(start, self.map.len() - PAGE_BYTES - start)?;
        // With the padding, so that no byte of the file is without a checksum.
        let found = crc32c::crc32c(&self.bytes()[start..self.map.len() - PAGE_BYTES]);
        if found == self.footer.index_crc {
            return Ok(());
        }
        Err(TableError::damaged(
            &self.path,
            start as u64,
            format_args!(
                "index checksum {found:#010x}, expected {:#010x}",
                self.footer.index_crc
            ),
        ))
    }

    /// The index section, compared with its checksum at first use.
    fn index(&self) -> Result<(&[u8], &[u8]), TableError> {
        if self.index_sound.get().is_none() {
            self.compare_index()?;
            let _ = self.index_sound.set(());
        }
        let (tree, offsets, _) = self.sections();
        Ok((tree, offsets))
    }

    /// The entry at `offset`, its header and key checked.
    ///
    /// # Errors
    /// [`TableError::Damaged`], also when no entry can start there.
    #[inline]
    pub fn key_at(&self, offset: usize) -> Result<EntryView<'_>, TableError> {
        let entry = self.parse(offset)?;
        self.check_pages(offset, entry.value_start)?;
        Ok(entry)
    }

    /// The entry at `offset`, all of it checked.
    ///
    /// # Errors
    /// [`TableError::Damaged`], also when no entry can start there.
    #[inline]
    pub fn entry_at(&self, offset: usize) -> Result<EntryView<'_>, TableError> {
        let entry = self.parse(offset)?;
        self.check_pages(offset, entry.end)?;
        Ok(entry)
    }

    /// Calls `each` on the entries from `from` on that begin before `to`, checked, until it says no;
    /// returns where it stopped.
    ///
    /// # Errors
    /// [`TableError::Damaged`].
    #[inline]
    pub(in crate::store) fn walk<'t>(
        &'t self,
        from: usize,
        to: usize,
        mut each: impl FnMut(EntryView<'t>) -> bool,
    ) -> Result<usize, TableError> {
        let data = self.data();
        let mut at = from;
        // Up to here the pages have been compared.
        let mut sound = from;
        while at < to {
            let reach = if at + MAX_HEAD_BYTES > sound {
                self.reach(at)?
            } else {
                data.len()
            };
            let entry = EntryView::parse_quickly(&data[..reach], at, &self.header.widths)
                .map_err(|error| self.unreadable(at, error))?;
            if entry.end > sound {
                self.check_pages(at, entry.end)?;
                sound = entry.end.next_multiple_of(PAGE_BYTES);
            }
            at = entry.end;
            // The machine's own prefetching ends at every page.
            self.map.prefetch(at + AHEAD_BYTES);
            if !each(entry) {
                break;
            }
        }
        Ok(at)
    }

    /// Checks the page on which an entry starts, before anything is read of it; returns how far an entry
    /// may be parsed. Only that: what stands on the next page may be damaged and none of its business.
    #[inline]
    fn reach(&self, offset: usize) -> Result<usize, TableError> {
        let data_end = self.footer.data_end as usize;
        if offset >= data_end {
            return Ok(data_end);
        }
        self.check_pages(offset, offset + 1)?;
        let page_end = (offset + 1).next_multiple_of(PAGE_BYTES);
        if offset + MAX_HEAD_BYTES <= page_end || page_end >= data_end {
            return Ok(data_end);
        }
        // Its lengths may go on there. Where that page cannot be read, the entry has to do without.
        let readable = self.ensure(page_end, 1).is_ok();
        Ok(if readable { data_end } else { page_end })
    }

    #[inline]
    fn parse(&self, offset: usize) -> Result<EntryView<'_>, TableError> {
        if offset < DATA_START {
            return Err(TableError::damaged(
                &self.path,
                offset as u64,
                "no entry can start here",
            ));
        }
        let reach = self.reach(offset)?;
        EntryView::parse(&self.data()[..reach], offset, &self.header.widths)
            .map_err(|error| self.unreadable(offset, error))
    }

    /// An entry that cannot be parsed: most likely because its page is damaged.
    #[cold]
    fn unreadable(&self, offset: usize, error: super::format::Malformed) -> TableError {
        let within = (DATA_START..self.footer.data_end as usize).contains(&offset);
        let end = (offset + MAX_HEAD_BYTES).min(self.footer.data_end as usize);
        match within.then(|| self.check_pages(offset, end)) {
            Some(Err(damage)) => damage,
            _ => TableError::damaged(&self.path, offset as u64, error),
        }
    }

    /// Starts fetching the entry at `offset`.
    pub fn prefetch(&self, offset: usize) {
        self.map.prefetch(offset);
    }

    /// Offset of anchor `number`, within the users' entries.
    fn anchor(&self, offsets: &[u8], number: usize) -> Result<usize, TableError> {
        let at = number * 4;
        let offset = u32::from_le_bytes(offsets[at..at + 4].try_into().expect("four bytes")) as usize;
        if (DATA_START..self.user_end()).contains(&offset) {
            return Ok(offset);
        }
        let place = self.footer.index_start + at as u64;
        Err(TableError::damaged(
            &self.path,
            place,
            "an anchor lies outside the entries",
        ))
    }

    /// Offset of the anchor to walk from for entries of users' keys `>= key`, and whether there is
    /// one at all.
    fn anchor_before(&self, key: &[u8]) -> Result<Option<usize>, TableError> {
        let (tree, offsets) = self.index()?;
        let anchors = self.footer.anchors as usize;
        if anchors == 0 {
            return Ok(None);
        }
        let shared = usize::from(self.footer.shared_bytes);
        let first = self.anchor(offsets, 0)?;
        if shared > 0 {
            let head = self.key_at(first)?.key;
            let head = &head[..shared.min(head.len())];
            match key[..shared.min(key.len())].cmp(head) {
                Ordering::Less => return Ok(Some(first)),
                Ordering::Greater => return Ok(None),
                // A key shorter than what all have in common comes before them all.
                Ordering::Equal if key.len() < head.len() => return Ok(Some(first)),
                Ordering::Equal => {}
            }
        }
        let prefix = tree::prefix_of(key, shared);
        let mut low = tree::count_below(tree, &self.levels, prefix);
        let mut high = match prefix.checked_add(1) {
            Some(next) => tree::count_below(tree, &self.levels, next),
            None => anchors,
        };
        // Anchors whose keys cannot be told apart by their prefixes are compared whole.
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key_at(self.anchor(offsets, middle)?)?.key <= key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.anchor(offsets, low.saturating_sub(1)).map(Some)
    }

    /// Offset of the first entry of a user's key `>= key` (`> key` if `after`), or
    /// [`Table::user_end`].
    ///
    /// # Errors
    /// [`TableError::Damaged`].
    pub fn seek(&self, key: &[u8], after: bool) -> Result<usize, TableError> {
        let Some(mut at) = self.anchor_before(key)? else {
            return Ok(self.user_end());
        };
        while at < self.user_end() {
            let entry = self.key_at(at)?;
            let found = match entry.key.cmp(key) {
                Ordering::Less => false,
                Ordering::Equal => !after,
                Ordering::Greater => true,
            };
            if found {
                break;
            }
            at = entry.end;
        }
        Ok(at)
    }

    /// Offset of the anchor at or before the entry at `offset`, for readers that walk backwards, and
    /// whether there is one.
    pub(in crate::store) fn anchor_at(&self, offset: usize) -> Result<usize, TableError> {
        let (_, offsets) = self.index()?;
        let low = self.anchors_below(offset + 1)?;
        if low == 0 {
            return Err(TableError::damaged(
                &self.path,
                offset as u64,
                "no anchor before an entry",
            ));
        }
        self.anchor(offsets, low - 1)
    }

    /// Numbers of the anchors within `[from, to)`.
    pub(in crate::store) fn anchors_within(
        &self,
        from: usize,
        to: usize,
    ) -> Result<Range<usize>, TableError> {
        let first = self.anchors_below(from)?;
        Ok(first..self.anchors_below(to)?.max(first))
    }

    /// Offset of an anchor by its number.
    pub(in crate::store) fn anchor_offset(&self, number: usize) -> Result<usize, TableError> {
        self.anchor(self.index()?.1, number)
    }

    /// Anchors that stand before `offset`.
    fn anchors_below(&self, offset: usize) -> Result<usize, TableError> {
        let (_, offsets) = self.index()?;
        let (mut low, mut high) = (0, self.footer.anchors as usize);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.anchor(offsets, middle)? < offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Offset of the newest version of `key` below position `below`.
    ///
    /// # Errors
    /// [`TableError::Damaged`].
    pub fn find(&self, key: &[u8], system: bool, below: Lsn) -> Result<Option<usize>, TableError> {
        let (mut at, end) = if system {
            // A handful of entries behind all others.
            (self.user_end(), self.footer.data_end as usize)
        } else {
            (self.seek(key, false)?, self.user_end())
        };
        while at < end {
            let entry = self.key_at(at)?;
            match entry.key.cmp(key) {
                Ordering::Equal if entry.lsn < below => return Ok(Some(at)),
                Ordering::Greater => break,
                _ => at = entry.end,
            }
        }
        Ok(None)
    }

    /// First key of a user; `None` in a table without any.
    ///
    /// # Errors
    /// [`TableError::Damaged`].
    pub fn first_key(&self) -> Result<Option<&[u8]>, TableError> {
        if self.user_end() == DATA_START {
            return Ok(None);
        }
        Ok(Some(self.key_at(DATA_START)?.key))
    }

    /// Last key of a user; `None` in a table without any.
    ///
    /// # Errors
    /// [`TableError::Damaged`].
    pub fn last_key(&self) -> Result<Option<&[u8]>, TableError> {
        if self.user_end() == DATA_START {
            return Ok(None);
        }
        Ok(Some(self.key_at(self.footer.last_user as usize)?.key))
    }

    /// Calls `each` with the offset of every entry and the entry itself, in order, checked.
    ///
    /// # Errors
    /// [`TableError::Damaged`], and those of `each`.
    pub fn for_each<E: From<TableError>>(
        &self,
        mut each: impl FnMut(usize, EntryView<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut at = DATA_START;
        while at < self.footer.data_end as usize {
            let entry = self.entry_at(at)?;
            each(at, entry)?;
            at = entry.end;
        }
        Ok(())
    }

    /// Reads the whole file again and compares every checksum, also those compared before; then the
    /// order of the entries, the tree and the counts. Returns every damaged place, at most `limit`.
    #[must_use]
    pub fn defects(&self, limit: usize) -> Vec<TableError> {
        let mut defects = Vec::new();
        defects.extend(self.compare_index().err());
        if !defects.is_empty() {
            // Nothing vouches for the pages without it.
            return defects;
        }
        defects.extend(
            (0..self.footer.data_pages())
                .filter_map(|page| self.compare_page(page).err())
                .take(limit),
        );
        if defects.is_empty() {
            defects.extend(self.check_structure().err());
        }
        defects
    }

    fn check_structure(&self) -> Result<(), TableError> {
        let wrong = |offset: usize, what: &str| Err(TableError::damaged(&self.path, offset as u64, what));
        let (_, offsets) = self.index()?;
        let (mut entries, mut keys, mut anchors, mut at) = (0u64, 0u64, 0usize, DATA_START);
        let (mut expiring, mut first_expiry) = (0u64, Expiry::NEVER);
        let mut before: Option<EntryView<'_>> = None;
        while at < self.footer.data_end as usize {
            let entry = self.entry_at(at)?;
            let system = at >= self.user_end();
            if entry.is_system() != system {
                return wrong(at, "an entry stands in the wrong keyspace");
            }
            let mut same = false;
            if let Some(before) = before {
                same = (before.is_system(), before.key) == (system, entry.key);
                let ascends = (before.is_system(), before.key) < (system, entry.key);
                if !(ascends || same && entry.lsn < before.lsn) {
                    return wrong(at, "entries are out of order");
                }
            }
            if same != entry.same_key {
                return wrong(at, "an entry is wrong about the key before it");
            }
            if anchors < self.footer.anchors as usize && self.anchor(offsets, anchors)? == at {
                if same || self.anchor_before(entry.key)? != Some(at) {
                    return wrong(at, "the search tree does not lead to its anchor");
                }
                anchors += 1;
            }
            entries += 1;
            expiring += u64::from(entry.expiry != Expiry::NEVER);
            first_expiry = first_expiry.min(entry.expiry);
            keys += u64::from(!same && !system);
            before = Some(entry);
            at = entry.end;
        }
        let counted = (entries, keys, anchors as u64);
        let footer = &self.footer;
        let expected = (footer.entries, footer.keys, u64::from(footer.anchors));
        let expiries = (expiring, first_expiry.ms().unwrap_or(0));
        if counted != expected || expiries != (footer.expiring, footer.first_expiry_ms) {
            return wrong(
                self.map.len() - PAGE_BYTES,
                "the footer's counts differ from the entries",
            );
        }
        Ok(())
    }
}
