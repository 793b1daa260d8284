//! The page `LIVE`: what readers in other processes must know of an open store at each moment.
//!
//! In: steps of the one writer. Out: loads by any number of readers, who map the page read-only. The
//! file is made once and never replaced or shrunk, so that a reader's map always shows the present
//! writer. Its contents mean something only on the machine start they were written under; nothing in
//! it is ever synced. Layout (native 8-byte words): `docs/FORMAT.md`.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::LogError;
use crate::ids::{Lsn, Uuid};
use crate::io::{Disk, Map, MapAccess, OpenMode};

/// Name of the page within a store.
pub const LIVE_FILE: &str = "LIVE";
/// Reservations that can be under way at once.
pub(crate) const LIVE_SLOTS: usize = 64;
/// Length of the file.
pub(crate) const LIVE_BYTES: usize = 8192;

const MAGIC: u64 = u64::from_le_bytes(*b"ATOLLIVE");
const VERSION: u64 = 1;
const FREE: u64 = u64::MAX;

const STORE: usize = 2;
const BOOT: usize = 4;
const FILE: usize = 6;
const OPENING: usize = 8;
const GENERATION: usize = 9;
const INDEX_PAGES: usize = 10;
const FLOOR: usize = 11;
const FILES: usize = 12;
const CLOCK: usize = 13;
const CUT: usize = 14;
const INDEX: usize = 15;
const TAIL: usize = 16;
const MANIFEST: usize = 17;
const FIRST_SLOT: usize = 24;
const SLOT_WORDS: usize = 8;
const WORDS: usize = FIRST_SLOT + LIVE_SLOTS * SLOT_WORDS;

const _: () = assert!(WORDS * 8 <= LIVE_BYTES);

fn halves(id: [u8; 16]) -> [u64; 2] {
    let half = |at: usize| u64::from_ne_bytes(id[at..at + 8].try_into().expect("eight bytes"));
    [half(0), half(8)]
}

/// Bits of the word that says whether the index on disk may be used after the writer's death: exactly
/// `FOLLOWS` says that it may.
const FOLLOWS: u64 = 1;
const INSTALLING: u64 = 2;
const BROKEN: u64 = 4;

/// What a writer that died without closing has left, on the same start of the machine: its index holds
/// every version below `stable`, and nothing from `tail` on but what the log has as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Legacy {
    /// Every record below this position was committed and indexed.
    pub(crate) stable: Lsn,
    /// Position after the last reserved record that the page knows of.
    pub(crate) tail: Lsn,
    /// Pages of the index that were handed out.
    pub(crate) index_pages: u32,
    /// Generation of the manifest whose tables the index leads to.
    pub(crate) manifest: u64,
}

/// The writer's side. One a store, held by whoever holds the lock.
#[derive(Debug)]
pub(crate) struct Live {
    map: Map,
    legacy: Option<Legacy>,
}

impl Live {
    /// Makes or takes over the page and says that a writer is opening the store: readers wait until
    /// [`Live::serve`]. `None` when there is no space for the page; the store then has no readers.
    pub(crate) fn take(disk: &dyn Disk, dir: &Path, store: Uuid) -> Result<Option<Live>, LogError> {
        let path = dir.join(LIVE_FILE);
        let attempt = || -> Result<Live, LogError> {
            let exists = disk
                .exists(&path)
                .map_err(|e| LogError::io("look up", &path, e))?;
            let file = if exists {
                disk.open(&path, OpenMode::ReadWrite)
            } else {
                disk.create(&path)
            }
            .map_err(|e| LogError::io("open", &path, e))?;
            // Blocks behind every byte, or a store into the map could kill the process.
            file.allocate(LIVE_BYTES as u64)
                .map_err(|e| LogError::io("allocate", &path, e))?;
            let map = file
                .map(LIVE_BYTES, MapAccess::Write)
                .map_err(|e| LogError::io("map", &path, e))?;
            let id = disk
                .file_id(&path)
                .map_err(|e| LogError::io("inspect", &path, e))?
                .unwrap_or_default();
            let boot = disk.boot_id();
            let mut live = Live { map, legacy: None };
            live.legacy = live.legacy_of(store, boot, id);
            live.initialise(store, boot, id);
            Ok(live)
        };
        let live = match attempt() {
            Ok(live) => live,
            Err(error @ LogError::DiskFull { .. }) => {
                tracing::warn!(%error, "other processes cannot read the store while it is open");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        Ok(Some(live))
    }

    /// What the writer before has left, if its index may be used: it died in this start of the machine,
    /// while nothing but the reservations in the slots was under way, and this is the file it stored to. A
    /// copy of a store was taken file by file, perhaps from a store in use, and proves nothing.
    fn legacy_of(&self, store: Uuid, boot: [u8; 16], id: [u64; 2]) -> Option<Legacy> {
        let load = |word: usize| self.word(word).load(Ordering::Acquire);
        let equal = |at: usize, expected: [u64; 2]| [load(at), load(at + 1)] == expected;
        let is_ours = load(0) == MAGIC
            && load(1) == VERSION
            && boot != [0; 16]
            && id != [0; 2]
            && equal(STORE, halves(store.0))
            && equal(BOOT, halves(boot))
            && equal(FILE, id);
        let is_whole = load(INDEX) == FOLLOWS
            && load(OPENING).is_multiple_of(2)
            && load(GENERATION).is_multiple_of(2)
            && load(FILES).is_multiple_of(2);
        if !(is_ours && is_whole) {
            return None;
        }
        let tail = load(TAIL);
        let reserved = (0..LIVE_SLOTS).map(|slot| self.slot(slot).load(Ordering::Acquire));
        Some(Legacy {
            stable: Lsn(reserved.fold(tail, u64::min)),
            tail: Lsn(tail),
            index_pages: u32::try_from(load(INDEX_PAGES)).ok()?,
            manifest: load(MANIFEST),
        })
    }

    /// See [`Legacy`].
    pub(crate) fn legacy(&self) -> Option<Legacy> {
        self.legacy
    }

    fn initialise(&self, store: Uuid, boot: [u8; 16], id: [u64; 2]) {
        // Odd before anything else changes.
        let opening = self.word(OPENING).load(Ordering::Relaxed);
        self.word(OPENING).store((opening | 1) + 2, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.word(INDEX).store(0, Ordering::SeqCst);
        self.word(1).store(VERSION, Ordering::Release);
        for (i, half) in halves(store.0).into_iter().enumerate() {
            self.word(STORE + i).store(half, Ordering::Release);
        }
        for (i, half) in halves(boot).into_iter().enumerate() {
            self.word(BOOT + i).store(half, Ordering::Release);
        }
        for (i, half) in id.into_iter().enumerate() {
            self.word(FILE + i).store(half, Ordering::Release);
        }
        let generation = self.word(GENERATION).load(Ordering::Relaxed);
        // Another number where a truncation was cut short.
        let even = generation.wrapping_add(generation % 2);
        self.word(GENERATION).store(even, Ordering::Release);
        self.word(INDEX_PAGES).store(0, Ordering::Release);
        for word in [FLOOR, CLOCK, CUT] {
            self.word(word).store(0, Ordering::Release);
        }
        // Another number, and even: an installation may have been cut short.
        let files = self.word(FILES).load(Ordering::Relaxed);
        self.word(FILES)
            .store((files | 1).wrapping_add(1), Ordering::Release);
        for slot in 0..LIVE_SLOTS {
            self.slot(slot).store(FREE, Ordering::Release);
        }
        self.word(0).store(MAGIC, Ordering::Release);
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        self.map.atomic_u64(index * 8)
    }

    /// From now on the index holds every version below the reservations under way.
    pub(crate) fn vouch_for_index(&self) {
        self.word(INDEX).fetch_or(FOLLOWS, Ordering::SeqCst);
    }

    /// The index lacks something, or leads to what is gone: it is not used again after this opening.
    pub(crate) fn give_up_index(&self) {
        self.word(INDEX).fetch_or(BROKEN, Ordering::SeqCst);
    }

    /// Before a manifest gets its name whose tables the index does not lead to yet.
    pub(crate) fn begin_install(&self) {
        self.word(INDEX).fetch_or(INSTALLING, Ordering::SeqCst);
    }

    /// The index leads to the tables of this manifest, and to no others.
    pub(crate) fn end_install(&self, manifest: u64) {
        self.word(MANIFEST).store(manifest, Ordering::SeqCst);
        self.word(INDEX).fetch_and(!INSTALLING, Ordering::SeqCst);
    }

    /// The word of one reservation.
    pub(crate) fn slot(&self, slot: usize) -> &AtomicU64 {
        self.word(FIRST_SLOT + slot * SLOT_WORDS)
    }

    pub(crate) fn move_tail(&self, tail: Lsn) {
        self.word(TAIL).store(tail.0, Ordering::Release);
    }

    pub(crate) fn set_index_pages(&self, pages: u32) {
        self.word(INDEX_PAGES).store(u64::from(pages), Ordering::Release);
    }

    /// The store is open: readers may follow the pages of the index.
    pub(crate) fn serve(&self) {
        let opening = self.word(OPENING).load(Ordering::Relaxed);
        self.word(OPENING).store((opening | 1) + 1, Ordering::SeqCst);
    }

    /// The store has been closed: its files say everything.
    pub(crate) fn close(&self) {
        let opening = self.word(OPENING).load(Ordering::Relaxed);
        self.word(OPENING).store(opening | 1, Ordering::SeqCst);
    }

    /// Before and after a truncation to `to`.
    pub(crate) fn step_generation(&self, to: Lsn) {
        self.word(CUT).store(to.0, Ordering::Release);
        self.word(GENERATION).fetch_add(1, Ordering::SeqCst);
    }

    /// The manifest names other tables now; entries of the index may lead to those it named before.
    pub(crate) fn begin_files(&self) {
        self.word(FILES).fetch_or(1, Ordering::SeqCst);
    }

    /// Tables and segments have changed; what is not named any more is no longer led to.
    pub(crate) fn settle_files(&self) {
        let files = self.word(FILES).load(Ordering::Relaxed);
        self.word(FILES)
            .store((files | 1).wrapping_add(1), Ordering::SeqCst);
    }

    /// Raises the floor, visibly to whoever registers afterwards.
    pub(crate) fn raise_floor(&self, to: Lsn) {
        self.word(FLOOR).fetch_max(to.0, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// After a truncation: nothing at `to` or above has been thinned out.
    pub(crate) fn lower_floor(&self, to: Lsn) {
        self.word(FLOOR).fetch_min(to.0, Ordering::SeqCst);
    }

    /// Values that have expired by this time may be gone for whoever registers afterwards.
    pub(crate) fn raise_clock(&self, ms: u64) {
        self.word(CLOCK).fetch_max(ms, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

/// A reader's side.
#[derive(Debug)]
pub(crate) struct LiveView(Map);

impl LiveView {
    /// Maps the page, if the store has one.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> Result<Option<LiveView>, LogError> {
        let path = dir.join(LIVE_FILE);
        if !disk
            .exists(&path)
            .map_err(|e| LogError::io("look up", &path, e))?
        {
            return Ok(None);
        }
        let file = disk
            .open(&path, OpenMode::Read)
            .map_err(|e| LogError::io("open", &path, e))?;
        let len = file.len().map_err(|e| LogError::io("measure", &path, e))?;
        if len < LIVE_BYTES as u64 {
            // Being made, or of a store whose disk was full.
            return Ok(None);
        }
        let map = file
            .map(LIVE_BYTES, MapAccess::Read)
            .map_err(|e| LogError::io("map", &path, e))?;
        Ok(Some(LiveView(map)))
    }

    #[inline]
    fn load(&self, index: usize) -> u64 {
        self.0.load_u64(index * 8, Ordering::Acquire).to_le()
    }

    /// Whether the page speaks of this store since this start of the machine.
    pub(crate) fn is_of(&self, store: Uuid, boot: [u8; 16]) -> bool {
        let equal = |at: usize, id: [u8; 16]| halves(id) == [self.load(at), self.load(at + 1)];
        boot != [0; 16]
            && self.load(0) == MAGIC
            && self.load(1) == VERSION
            && equal(STORE, store.0)
            && equal(BOOT, boot)
    }

    /// Even while the index follows the log; another number for each opening and closing.
    #[inline]
    pub(crate) fn opening(&self) -> u64 {
        self.load(OPENING)
    }

    /// Odd while records are taken back.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.load(GENERATION)
    }

    pub(crate) fn index_pages(&self) -> u32 {
        u32::try_from(self.load(INDEX_PAGES)).unwrap_or(u32::MAX)
    }

    pub(crate) fn floor(&self) -> Lsn {
        fence(Ordering::SeqCst);
        Lsn(self.load(FLOOR))
    }

    /// Another number whenever tables or segments have changed; odd while entries of the index may
    /// lead to tables that the manifest does not name.
    #[inline]
    pub(crate) fn files(&self) -> u64 {
        self.load(FILES)
    }

    /// Milliseconds since 1970 that a reader's time must not fall behind.
    pub(crate) fn clock(&self) -> u64 {
        self.load(CLOCK)
    }

    /// Where the last truncation cut the log.
    pub(crate) fn cut(&self) -> Lsn {
        Lsn(self.load(CUT))
    }

    pub(crate) fn tail(&self) -> Lsn {
        Lsn(self.load(TAIL))
    }

    /// Smallest position still being written. Read the tail before.
    pub(crate) fn in_flight(&self) -> Option<Lsn> {
        (0..LIVE_SLOTS)
            .map(|slot| self.load(FIRST_SLOT + slot * SLOT_WORDS))
            .filter(|position| *position != FREE)
            .min()
            .map(Lsn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::os::OsDisk;

    #[test]
    fn words_stand_where_the_format_says() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let disk = OsDisk::new();
        let store = Uuid([7; 16]);
        let live = Live::take(&disk, dir.path(), store)
            .expect("taken")
            .expect("space");
        live.move_tail(Lsn(0x1122));
        live.set_index_pages(33);
        live.slot(2).store(0x44, Ordering::Release);
        live.raise_floor(Lsn(0x55));
        live.raise_clock(0x66);
        live.begin_files();
        live.step_generation(Lsn(0x77));
        live.end_install(0x88);
        live.vouch_for_index();
        live.begin_install();
        live.give_up_index();
        let bytes = std::fs::read(dir.path().join(LIVE_FILE)).expect("read");
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        assert_eq!(bytes.len(), 8192);
        assert_eq!((&bytes[..8], word(8)), (&b"ATOLLIVE"[..], 1));
        assert_eq!(
            (&bytes[16..32], &bytes[32..48]),
            (&[7; 16][..], &disk.boot_id()[..])
        );
        let id = disk.file_id(&dir.path().join(LIVE_FILE)).expect("inspected");
        assert_eq!(Some([word(48), word(56)]), id);
        assert_eq!((word(120), word(136)), (7, 0x88));
        assert_eq!(word(64) % 2, 1, "opening");
        assert_eq!((word(72), word(80), word(88), word(128)), (1, 33, 0x55, 0x1122));
        assert_eq!((word(96), word(104), word(112)), (3, 0x66, 0x77));
        assert_eq!((word(192), word(192 + 2 * 64)), (u64::MAX, 0x44));
    }

    #[test]
    fn only_a_writer_that_died_with_nothing_but_reservations_under_way_leaves_its_index() {
        let store = Uuid([7; 16]);
        type Unfit = (&'static str, fn(&Live));
        let unfit: [Unfit; 7] = [
            ("not vouched for", |live| {
                live.word(INDEX).store(0, Ordering::Release)
            }),
            ("given up", Live::give_up_index),
            ("installing", Live::begin_install),
            ("closed", Live::close),
            ("truncating", |live| live.step_generation(Lsn(8))),
            ("leading to old tables", Live::begin_files),
            ("copied", |live| live.word(FILE + 1).store(1, Ordering::Release)),
        ];
        let dir = tempfile::tempdir().expect("temporary directory");
        let disk = OsDisk::new();
        let take = |store| {
            let live = Live::take(&disk, dir.path(), store).expect("taken");
            live.expect("space")
        };
        let prepare = || {
            let live = take(store);
            live.set_index_pages(33);
            live.move_tail(Lsn(0x300));
            live.slot(5).store(0x200, Ordering::Release);
            live.end_install(4);
            live.vouch_for_index();
            live.serve();
            live
        };
        assert_eq!(take(store).legacy(), None, "a new page");
        drop(prepare());
        let expected = Legacy {
            stable: Lsn(0x200),
            tail: Lsn(0x300),
            index_pages: 33,
            manifest: 4,
        };
        assert_eq!(take(store).legacy(), Some(expected));
        assert_eq!(take(store).legacy(), None, "an opening that was cut short");
        for (what, spoil) in unfit {
            spoil(&prepare());
            assert_eq!(take(store).legacy(), None, "{what}");
        }
        drop(prepare());
        assert_eq!(take(Uuid([8; 16])).legacy(), None, "another store");
    }

    #[test]
    fn each_opening_and_closing_has_a_number_of_its_own() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let disk = OsDisk::new();
        let store = Uuid([7; 16]);
        let mut seen = Vec::new();
        for _ in 0..3 {
            let live = Live::take(&disk, dir.path(), store)
                .expect("taken")
                .expect("space");
            let view = LiveView::open(&disk, dir.path()).expect("opened").expect("there");
            assert!(view.is_of(store, disk.boot_id()));
            assert!(!view.is_of(Uuid([8; 16]), disk.boot_id()));
            assert!(
                !view.is_of(store, [0; 16]),
                "an unknown boot is never the same one"
            );
            seen.push(view.opening());
            live.serve();
            assert!(view.opening().is_multiple_of(2));
            seen.push(view.opening());
            live.close();
            seen.push(view.opening());
        }
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted, seen);
    }
}
