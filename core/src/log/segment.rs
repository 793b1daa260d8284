//! One segment file: header page, records, footer page.
//!
//! In: a file. Out: checked record views and raw spans of whole records. Own records are written
//! through a `SegmentWriter`, which a full segment no longer has. A segment is never overwritten, reused or truncated;
//! only its logical end can move back, when a later segment says the log goes on before it. The
//! reader side is a read-only map, so a stray store faults instead of corrupting.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::error::LogError;
use super::format::{self, CrcSeed, RECORD_HEADER_BYTES, RecordError, RecordKind};
use super::header::{PAGE_BYTES, PageError, SegmentFooter, SegmentHeader};
use super::view::{Parsed, RecordView};
use crate::ids::Lsn;
use crate::io::{Disk, File, Map, MapAccess, OpenMode, Touched};

/// Smallest segment: an empty store stays small.
pub(crate) const MIN_SEGMENT_BYTES: u64 = 1 << 20;
/// Largest file an index slot can point into.
pub(crate) const MAX_SEGMENT_BYTES: u64 = 512 << 20;
/// Zeros written ahead in pieces of this size: `fdatasync` of a prewritten file is twice as fast
/// as of a file that was only allocated, since no block changes from unwritten to written.
const PREWRITE_BYTES: usize = 1 << 20;
/// Bytes written again at once.
const REWRITE_BYTES: usize = 256 << 10;
/// No record is so short that two could begin within this many bytes.
const SOUND_BYTES: usize = 32;
const _: () = assert!(RECORD_HEADER_BYTES > SOUND_BYTES);
/// End of a segment that is still being written.
const OPEN_END: u64 = u64::MAX;

/// An open segment. Thread-safe; any number of readers beside the one append lock.
#[derive(Debug)]
pub struct Segment {
    header: SegmentHeader,
    path: PathBuf,
    file: Arc<dyn File>,
    map: Map,
    touched: Touched,
    /// One bit for every 32 bytes, in which at most one record begins: its payload has been found sound.
    /// Unset where every read compares.
    sound: OnceLock<Box<[AtomicU64]>>,
    end: AtomicU64,
    seed: CrcSeed,
}

/// File name of a segment.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// Number in a segment's file name.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 16)
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}

/// Why a walk over records stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WalkEnd {
    /// The position asked for was reached.
    Limit,
    /// No record stands here.
    Empty,
    /// Reserved by a writer that never finished; the size it wanted.
    Uncommitted { size: u32 },
    /// Bytes that are no valid record.
    Invalid(RecordError),
}

/// Name of the file that is prepared for the next segment.
pub(crate) const SPARE_FILE: &str = "next.seg.new";

/// Creates a file of zeros with a block behind every byte; not synced.
fn prepare(disk: &dyn Disk, path: &Path, capacity: u64) -> Result<Arc<dyn File>, LogError> {
    let file = disk.create(path).map_err(|e| LogError::io("create", path, e))?;
    file.allocate(capacity)
        .map_err(|e| LogError::io("allocate", path, e))?;
    let zeros = vec![0u8; PREWRITE_BYTES.min(capacity as usize)];
    let mut at = PAGE_BYTES as u64;
    while at < capacity {
        let piece = zeros.len().min((capacity - at) as usize);
        file.write_all_at(&zeros[..piece], at)
            .map_err(|e| LogError::io("write", path, e))?;
        at += piece as u64;
    }
    Ok(file)
}

/// A file prepared for the next segment: allocated, prewritten and synced, without a header.
#[derive(Debug)]
pub(crate) struct Spare {
    path: PathBuf,
    file: Arc<dyn File>,
    capacity: u64,
}

impl Spare {
    /// Prepares the file, replacing what an earlier attempt left.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, capacity: u64) -> Result<Spare, LogError> {
        let path = dir.join(SPARE_FILE);
        remove_spare(disk, &path)?;
        let prepared = prepare(disk, &path, capacity).and_then(|file| {
            file.sync_data()
                .map_err(|e| LogError::io("sync", &path, e))
                .map(|()| file)
        });
        match prepared {
            Ok(file) => Ok(Spare { path, file, capacity }),
            Err(error) => {
                // Gives back the space; if this fails, too, the next attempt or opening does it.
                let _ = remove_spare(disk, &path);
                Err(error)
            }
        }
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Turns the file into a segment, as [`Segment::create`] would have made it.
    pub(crate) fn become_segment(
        self,
        disk: &dyn Disk,
        dir: &Path,
        header: SegmentHeader,
    ) -> Result<Segment, (LogError, bool)> {
        debug_assert_eq!(header.capacity, self.capacity);
        let path = dir.join(file_name(header.number));
        let renamed = disk
            .rename(&self.path, &path)
            .map_err(|e| LogError::io("rename", &self.path, e))
            .map(|()| self.file);
        Segment::finish(disk, dir, path, header, renamed)
    }

    pub(crate) fn discard(self, disk: &dyn Disk) -> Result<(), LogError> {
        remove_spare(disk, &self.path)
    }
}

/// Removes a prepared file, if there is one.
pub(crate) fn remove_spare(disk: &dyn Disk, path: &Path) -> Result<(), LogError> {
    if disk.exists(path).map_err(|e| LogError::io("look up", path, e))? {
        disk.remove_file(path)
            .map_err(|e| LogError::io("remove", path, e))?;
    }
    Ok(())
}

impl Segment {
    /// Creates, allocates and prewrites the file, and makes it durable under its name. On failure
    /// the flag says whether the file may be found there again.
    pub(crate) fn create(
        disk: &dyn Disk,
        dir: &Path,
        header: SegmentHeader,
    ) -> Result<Segment, (LogError, bool)> {
        let path = dir.join(file_name(header.number));
        let prepared = prepare(disk, &path, header.capacity);
        Segment::finish(disk, dir, path, header, prepared)
    }

    /// Gives a prepared file its header page and makes it durable; takes the file away on failure.
    fn finish(
        disk: &dyn Disk,
        dir: &Path,
        path: PathBuf,
        header: SegmentHeader,
        prepared: Result<Arc<dyn File>, LogError>,
    ) -> Result<Segment, (LogError, bool)> {
        let capacity = header.capacity;
        let attempt = || -> Result<Segment, LogError> {
            let file = prepared?;
            file.write_all_at(&header.encode(), 0)
                .map_err(|e| LogError::io("write", &path, e))?;
            file.sync_data().map_err(|e| LogError::io("sync", &path, e))?;
            disk.sync_dir(dir).map_err(|e| LogError::io("sync", dir, e))?;
            Segment::over(header, path.clone(), file)
        };
        attempt().map_err(|error| {
            // Should the file be found again, recovery would take its first position for the end
            // of the segment before, which may have grown beyond it meanwhile. So it goes durably.
            let remove = || {
                if disk.exists(&path)? {
                    disk.remove_file(&path)?;
                }
                disk.sync_dir(dir)
            };
            let left = remove()
                .inspect_err(|e| {
                    tracing::debug!(path = %path.display(), error = %e, "could not remove an unfinished segment");
                })
                .is_err();
            let error = match error {
                LogError::DiskFull { path, .. } => LogError::DiskFull {
                    path,
                    needed: capacity,
                },
                other => other,
            };
            (error, left)
        })
    }

    fn over(header: SegmentHeader, path: PathBuf, file: Arc<dyn File>) -> Result<Segment, LogError> {
        let len = header.capacity as usize;
        let map = file
            .map(len, MapAccess::Read)
            .map_err(|e| LogError::io("map", &path, e))?;
        let seed = CrcSeed::new(header.cluster, header.shard, header.epoch);
        Ok(Segment {
            header,
            path,
            file,
            touched: Touched::new(len),
            sound: OnceLock::new(),
            map,
            end: AtomicU64::new(OPEN_END),
            seed,
        })
    }

    /// Opens an existing file. `Ok(Err(page_error))` when the header page is not valid, so that
    /// recovery can tell an unfinished creation from damage.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        mode: OpenMode,
    ) -> Result<Result<Segment, PageError>, LogError> {
        let file = disk.open(path, mode).map_err(|e| LogError::io("open", path, e))?;
        let mut page = [0u8; PAGE_BYTES];
        let read = file
            .read_at(&mut page, 0)
            .map_err(|e| LogError::io("read", path, e))?;
        if read < PAGE_BYTES {
            return Err(LogError::corrupt(
                path,
                read as u64,
                "the file ends within its header",
            ));
        }
        let header = match SegmentHeader::decode(&page) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error)),
        };
        let len = file.len().map_err(|e| LogError::io("measure", path, e))?;
        if len < header.capacity {
            // A map over the missing part would kill the process at the first touch.
            return Err(LogError::corrupt(
                path,
                len,
                format_args!(
                    "the file ends at {len} bytes, its header promises {}",
                    header.capacity
                ),
            ));
        }
        if header.capacity < 3 * PAGE_BYTES as u64 || header.capacity > MAX_SEGMENT_BYTES {
            return Err(LogError::corrupt(
                path,
                104,
                format_args!("impossible capacity {}", header.capacity),
            ));
        }
        if header.first_lsn.0.checked_add(header.capacity).is_none() {
            return Err(LogError::corrupt(
                path,
                96,
                format_args!("impossible first position {}", header.first_lsn),
            ));
        }
        Segment::over(header, path.to_owned(), file).map(Ok)
    }

    /// Whether no byte after the header has ever been written.
    pub(crate) fn file_is_blank(disk: &dyn Disk, path: &Path) -> Result<bool, LogError> {
        let file = disk
            .open(path, OpenMode::Read)
            .map_err(|e| LogError::io("open", path, e))?;
        let len = file.len().map_err(|e| LogError::io("measure", path, e))?;
        let mut piece = vec![0u8; PREWRITE_BYTES];
        let mut at = PAGE_BYTES as u64;
        while at < len {
            let read = file
                .read_at(&mut piece, at)
                .map_err(|e| LogError::io("read", path, e))?;
            if read == 0 {
                break;
            }
            if piece[..read].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += read as u64;
        }
        Ok(true)
    }

    /// Facts of the header page.
    #[must_use]
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Path of the file at the time it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checksum seed of the segment's epoch.
    #[must_use]
    #[inline]
    pub fn seed(&self) -> CrcSeed {
        self.seed
    }

    /// Position of the first record.
    #[must_use]
    #[inline]
    pub fn first(&self) -> Lsn {
        self.header.first_lsn
    }

    /// Position at which the log leaves this segment; beyond every position while it is active.
    #[must_use]
    #[inline]
    pub fn end(&self) -> Lsn {
        Lsn(self.end.load(Ordering::Acquire))
    }

    pub(crate) fn set_end(&self, end: Lsn) {
        self.end.store(end.0, Ordering::Release);
    }

    /// Position after the last byte that could hold a record.
    #[inline]
    pub(crate) fn limit(&self) -> Lsn {
        self.first().advance(self.header.capacity - 2 * PAGE_BYTES as u64)
    }

    /// Offset in the file of a position, when it lies within this segment.
    #[inline]
    pub(crate) fn offset_of(&self, lsn: Lsn) -> Option<usize> {
        let within = lsn.0.checked_sub(self.first().0)?;
        (lsn <= self.limit()).then_some(PAGE_BYTES + within as usize)
    }

    #[inline]
    pub(crate) fn lsn_at(&self, offset: usize) -> Option<Lsn> {
        let within = offset.checked_sub(PAGE_BYTES)?;
        let lsn = self.first().advance(within as u64);
        (lsn < self.limit()).then_some(lsn)
    }

    /// Makes sure that `[offset, offset + len)` can be read: a page that cannot would kill the process at
    /// the touch.
    #[inline]
    pub(crate) fn ensure(&self, offset: usize, len: usize) -> Result<(), RecordError> {
        match self.touched.ensure(&self.map, offset, len) {
            Ok(()) => Ok(()),
            Err(page) => self.ask_again(page.offset),
        }
    }

    /// What a read of the page says. One that succeeds has brought the page back.
    #[cold]
    fn ask_again(&self, offset: usize) -> Result<(), RecordError> {
        let mut page = [0u8; PAGE_BYTES];
        let errno = match self.file.read_at(&mut page, offset as u64) {
            Ok(0) => 0,
            Ok(_) if self.map.populate(offset, PAGE_BYTES).is_ok() => return Ok(()),
            Ok(_) => libc::EIO,
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        };
        Err(RecordError::Unreadable { offset, errno })
    }

    /// Bytes `[offset, offset + len)` of the file, which [`Segment::ensure`] has found to be readable.
    ///
    /// Callers name spans of committed records only: those bytes are never stored to again.
    #[expect(unsafe_code, reason = "committed bytes are read in place")]
    #[inline]
    pub(crate) fn slice(&self, offset: usize, len: usize) -> Option<&[u8]> {
        let end = offset.checked_add(len)?;
        if end > self.map.len() {
            return None;
        }
        // SAFETY: the span lies within the map (checked above). Callers pass spans of records
        // whose commit word they have loaded with Acquire (or that a lock ordered before them);
        // committed records are never stored to again, and the file never shrinks, by the
        // contract of `Disk` and because only the logical end of a segment can move.
        Some(unsafe { self.map.bytes(offset, len) })
    }

    /// Starts fetching the record at `offset`.
    #[inline]
    pub(crate) fn prefetch(&self, offset: usize) {
        self.map.prefetch(offset);
    }

    /// The span at `lsn` that its commit word claims, or why there is none.
    fn span(&self, lsn: Lsn) -> Result<&[u8], RecordError> {
        let offset = self
            .offset_of(lsn)
            .filter(|offset| offset.is_multiple_of(format::RECORD_ALIGN))
            .ok_or(RecordError::BadSize { size: 0, space: 0 })?;
        let space = self.header.capacity as usize - PAGE_BYTES - offset;
        if space < RECORD_HEADER_BYTES {
            return Err(RecordError::Empty);
        }
        self.ensure(offset, RECORD_HEADER_BYTES)?;
        // Pairs with the Release store in `commit`: a committed word implies the rest is there.
        let word = self.map.load_u64(offset, Ordering::Acquire);
        if word == 0 {
            return Err(RecordError::Empty);
        }
        let size = word as u32;
        if (word >> 32) as u8 == RecordKind::Reserved as u8 {
            return Err(RecordError::Uncommitted);
        }
        if (size as usize) < RECORD_HEADER_BYTES || size as usize > space {
            return Err(RecordError::BadSize { size, space });
        }
        self.ensure(offset, size as usize)?;
        self.slice(offset, size as usize)
            .ok_or(RecordError::BadSize { size, space })
    }

    /// The record at `lsn`, header and key checked.
    ///
    /// # Errors
    /// What stands there instead.
    pub fn record(&self, lsn: Lsn) -> Result<RecordView<'_>, RecordError> {
        RecordView::parse(self.span(lsn)?, self.seed, lsn)
    }

    /// The record at `lsn`, which lies at `offset`, header and key checked: [`Segment::record`], quicker for
    /// versions of keys.
    #[inline]
    pub(crate) fn version(&self, lsn: Lsn, offset: usize) -> Result<RecordView<'_>, RecordError> {
        match self
            .span_of_version(offset)
            .and_then(|bytes| RecordView::of_version(bytes, self.seed, lsn))
        {
            Some(view) => Ok(view),
            None => self.record(lsn),
        }
    }

    /// The bytes of a committed version, if one lies at `offset` in pages that have been read before.
    #[inline]
    fn span_of_version(&self, offset: usize) -> Option<&[u8]> {
        let end = self.header.capacity as usize - PAGE_BYTES;
        let is_place = offset.is_multiple_of(format::RECORD_ALIGN) && offset + RECORD_HEADER_BYTES <= end;
        // The last byte of the header may lie in another block; if that was not touched, the slow way asks.
        if !is_place || !self.touched.has(offset) || !self.touched.has(offset + RECORD_HEADER_BYTES - 1) {
            return None;
        }
        // Pairs with the Release store in `commit`: a committed word implies the rest is there.
        let word = self.map.load_u64(offset, Ordering::Acquire);
        let (size, kind) = (word as u32 as usize, (word >> 32) as u8);
        if kind == RecordKind::Reserved as u8 || size < RECORD_HEADER_BYTES || size > end - offset {
            return None;
        }
        let is_near = (offset + size - 1) / Touched::BLOCK_BYTES <= offset / Touched::BLOCK_BYTES + 1;
        if !is_near || !self.touched.has(offset + size - 1) {
            return None;
        }
        self.slice(offset, size)
    }

    /// The record at `lsn` without checksums, for a caller that compares the key first.
    pub(crate) fn record_unchecked(&self, lsn: Lsn) -> Result<RecordView<'_>, RecordError> {
        RecordView::parse_unchecked(self.span(lsn)?, lsn)
    }

    /// The record at `lsn`, which has been parsed before and is parsed now only if nobody remembers that.
    #[inline]
    pub(crate) fn record_again(
        &self,
        lsn: Lsn,
        offset: usize,
        parsed: Option<Parsed>,
    ) -> Result<RecordView<'_>, RecordError> {
        if let Some(parsed) = parsed
            && let Some(bytes) = self.slice(offset, parsed.size as usize)
        {
            return Ok(RecordView::again(bytes, parsed));
        }
        self.record_unchecked(lsn)
    }

    /// From now on a payload is compared with its checksum once, by the first who reads it here.
    pub(crate) fn compare_payloads_once(&self) {
        self.sound.get_or_init(|| {
            let words = (self.header.capacity as usize).div_ceil(SOUND_BYTES * 64);
            (0..words).map(|_| AtomicU64::new(0)).collect()
        });
    }

    /// Compares the payload of a record of this segment with its checksum, unless that has been done and is
    /// enough.
    #[inline]
    pub(crate) fn check_payload(&self, record: &RecordView<'_>) -> Result<(), RecordError> {
        let Some(sound) = self.sound.get() else {
            return record.verify_payload(self.seed);
        };
        let place = self.offset_of(record.lsn()).unwrap_or(0) / SOUND_BYTES;
        let (word, bit) = (&sound[place / 64], 1 << (place % 64));
        // Relaxed: the bytes were there before any reader could find them, and never change.
        if word.load(Ordering::Relaxed) & bit == 0 {
            record.verify_payload(self.seed)?;
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(crate) fn damaged(&self, lsn: Lsn, error: &RecordError) -> LogError {
        let offset = match error {
            RecordError::Unreadable { offset, .. } => *offset as u64,
            _ => self.offset_of(lsn).unwrap_or(0) as u64,
        };
        LogError::corrupt(&self.path, offset, format_args!("{error} (log position {lsn})"))
    }

    /// Calls `each` on the records from `from` to `to` in order; says where and why it stopped.
    pub(crate) fn walk(
        &self,
        from: Lsn,
        to: Lsn,
        payloads: bool,
        mut each: impl FnMut(RecordView<'_>),
    ) -> (Lsn, WalkEnd) {
        let mut at = from;
        while at < to {
            if at >= self.limit() {
                return (at, WalkEnd::Empty);
            }
            let checked = self.record(at).and_then(|record| {
                if payloads {
                    record.verify_payload(self.seed).map(|()| record)
                } else {
                    Ok(record)
                }
            });
            match checked {
                Ok(record) if record.end() > to => {
                    return (
                        at,
                        WalkEnd::Invalid(RecordError::BadSize {
                            size: record.size() as u32,
                            space: 0,
                        }),
                    );
                }
                Ok(record) => {
                    each(record);
                    at = record.end();
                }
                Err(RecordError::Empty) => return (at, WalkEnd::Empty),
                Err(RecordError::Uncommitted) => {
                    let offset = self.offset_of(at).expect("`at` lies below the limit");
                    let size = self.map.load_u64(offset, Ordering::Acquire) as u32;
                    return (at, WalkEnd::Uncommitted { size });
                }
                Err(error) => return (at, WalkEnd::Invalid(error)),
            }
        }
        (at, WalkEnd::Limit)
    }

    /// Looks for valid GROUP records at or after `from`, at any multiple of eight: what stands
    /// before them may be torn, so sizes cannot be followed.
    pub(crate) fn groups_after(&self, from: Lsn) -> Vec<super::payload::Group> {
        let mut found = Vec::new();
        let mut at = from;
        while at < self.limit() {
            let candidate = self.offset_of(at).filter(|offset| {
                if self.ensure(*offset, format::RECORD_ALIGN).is_err() {
                    return false;
                }
                let word = self.map.load_u64(*offset, Ordering::Acquire);
                (word >> 32) as u8 == RecordKind::Group as u8
            });
            let group = candidate
                .and_then(|_| self.record(at).ok())
                .filter(|record| record.verify_payload(self.seed).is_ok())
                .and_then(|record| super::payload::Group::decode(record.value()).ok());
            found.extend(group);
            at = at.advance(format::RECORD_ALIGN as u64);
        }
        found
    }

    /// Writes whole records received from a primary. Under the append lock; readers are kept
    /// away by the tail, which moves afterwards.
    pub(crate) fn write_records(&self, bytes: &[u8], lsn: Lsn) -> Result<(), LogError> {
        let offset = self.offset_of(lsn).expect("the caller has checked the space");
        self.write(bytes, offset)
    }

    /// Turns the space of a writer that is gone into padding.
    pub(crate) fn fill_pad(&self, lsn: Lsn, size: usize) -> Result<(), LogError> {
        let offset = self.offset_of(lsn).expect("the caller has checked the space");
        self.write_committed(&format::pad_header(self.seed, size, lsn), offset)
    }

    /// Writes a record by system calls and commits it with its first word.
    pub(super) fn write_committed(&self, bytes: &[u8], offset: usize) -> Result<(), LogError> {
        let (word, body) = bytes
            .split_first_chunk::<8>()
            .expect("a record is longer than its commit word");
        // Two writes: a process killed within the first leaves an uncommitted record, not a
        // committed one with half a body.
        self.write(body, offset + 8)?;
        self.write(word, offset)
    }

    /// A map to write through; one for each [`super::writer::SegmentWriter`].
    pub(super) fn writable_map(&self) -> Result<Map, LogError> {
        self.file
            .map(self.header.capacity as usize, MapAccess::Write)
            .map_err(|e| LogError::io("map", &self.path, e))
    }

    pub(super) fn write(&self, bytes: &[u8], offset: usize) -> Result<(), LogError> {
        self.file
            .write_all_at(bytes, offset as u64)
            .map_err(|e| LogError::io("write", &self.path, e))
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self) -> Result<(), LogError> {
        self.file
            .sync_data()
            .map_err(|e| LogError::io("sync", &self.path, e))
    }

    /// Writes the same bytes again and syncs: after a process died the page cache may hold what
    /// a failed write-back never brought to the disk while calling the pages clean.
    pub(crate) fn rewrite_and_sync(&self, from: Lsn, to: Lsn) -> Result<(), LogError> {
        if from < to {
            let start = self.offset_of(from).expect("the span was just walked");
            let end = start + (to.0 - from.0) as usize;
            self.ensure(start, end - start)
                .map_err(|error| self.damaged(from, &error))?;
            // Through a buffer that stays in the cache of the core.
            let mut piece = Vec::with_capacity(REWRITE_BYTES.min(end - start));
            for offset in (start..end).step_by(REWRITE_BYTES) {
                let bytes = self
                    .slice(offset, REWRITE_BYTES.min(end - offset))
                    .expect("the span was just walked");
                piece.clear();
                piece.extend_from_slice(bytes);
                self.write(&piece, offset)?;
            }
        }
        self.sync()
    }

    /// Writes and syncs the footer. The records must be durable already.
    pub(crate) fn write_footer(&self, footer: &SegmentFooter) -> Result<(), LogError> {
        self.write(&footer.encode(), self.header.capacity as usize - PAGE_BYTES)?;
        self.sync()
    }

    /// The footer, when one has been written. An unreadable one counts as damage only for
    /// callers that know the segment was sealed, so the page error is handed out.
    pub(crate) fn footer(&self) -> Result<Option<SegmentFooter>, PageError> {
        let at = self.header.capacity as usize - PAGE_BYTES;
        self.ensure(at, PAGE_BYTES).map_err(|error| match error {
            RecordError::Unreadable { errno, .. } => PageError::Unreadable { errno },
            _ => PageError::Empty,
        })?;
        let page = self.slice(at, PAGE_BYTES).expect("the map covers the capacity");
        match SegmentFooter::decode(page.try_into().expect("a page")) {
            Ok(footer) => Ok(Some(footer)),
            Err(PageError::Empty) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Offset of the footer page.
    pub(crate) fn footer_offset(&self) -> u64 {
        self.header.capacity - PAGE_BYTES as u64
    }
}
