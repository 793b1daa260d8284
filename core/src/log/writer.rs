//! The right to write own records into the active segment.
//!
//! In: spans handed out by the append lock. Out: the four stores a writer needs (mark, fill,
//! commit, pad). The writable map lives here and not in the segment: it goes when the segment is
//! full, before that is synced. Syncing pages that are still mapped writable costs an interrupt on
//! every core for each page, which showed as half the time of a fill.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::error::LogError;
use super::format::{self, RECORD_HEADER_BYTES, RecordKind, RecordParts};
use super::segment::Segment;
use crate::ids::{Hlc, Lsn};
use crate::io::Map;

/// Writes own records into one segment. Thread-safe: every span belongs to one thread.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    segment: Arc<Segment>,
    /// `None` where records are written by system calls.
    map: Option<Map>,
}

impl SegmentWriter {
    pub(super) fn new(segment: Arc<Segment>, map_writes: bool) -> Result<SegmentWriter, LogError> {
        let map = map_writes.then(|| segment.writable_map()).transpose()?;
        Ok(SegmentWriter { segment, map })
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Marks `size` bytes at `lsn` as taken. Under the append lock.
    pub(super) fn mark_reserved(&self, lsn: Lsn, size: usize) -> Result<(), LogError> {
        let offset = self
            .segment
            .offset_of(lsn)
            .expect("the append lock hands out positions within the segment");
        let word = format::commit_word(size as u32, RecordKind::Reserved as u8, 0, 0);
        match &self.map {
            Some(map) => map.store_u64(offset, word, Ordering::Release),
            None => self.segment.write(&word.to_le_bytes(), offset)?,
        }
        Ok(())
    }

    /// Fills a reserved span with one record and commits it.
    #[expect(unsafe_code, reason = "the hot path copies straight into the mapped file")]
    pub(super) fn fill_record(
        &self,
        parts: &RecordParts<'_>,
        size: usize,
        lsn: Lsn,
        hlc: Hlc,
    ) -> Result<(), LogError> {
        let Some(map) = &self.map else {
            let mut bytes = Vec::with_capacity(size);
            parts.encode_into(self.segment.seed(), size, lsn, hlc, &mut bytes);
            return self.fill_bytes(&bytes, lsn);
        };
        let header = parts.header(self.segment.seed(), size, lsn, hlc);
        let offset = self
            .segment
            .offset_of(lsn)
            .expect("the reservation lies within the segment");
        let ext_at = RECORD_HEADER_BYTES + format::align(parts.key.len());
        // SAFETY: `[offset, offset + size)` was handed to this writer alone by the append lock and
        // lies within the writable map (`copy_in_parts` checks bounds); no reader looks past the commit
        // word before the Release store below. Padding stays zero: the file was prewritten with
        // zeros and spans are never reused.
        unsafe {
            let (key, ext) = ((RECORD_HEADER_BYTES, parts.key), (ext_at, parts.ext));
            let value = (ext_at + parts.ext.len(), parts.value);
            map.copy_in_parts(offset, size, [(8, &header[8..]), key, ext, value]);
        }
        let word = u64::from_le_bytes(header[..8].try_into().expect("eight bytes"));
        map.store_u64(offset, word, Ordering::Release);
        Ok(())
    }

    /// Fills a reserved span with encoded bytes (a batch) and commits it with their first word.
    #[expect(unsafe_code, reason = "the hot path copies straight into the mapped file")]
    pub(super) fn fill_bytes(&self, bytes: &[u8], lsn: Lsn) -> Result<(), LogError> {
        let offset = self
            .segment
            .offset_of(lsn)
            .expect("the reservation lies within the segment");
        match &self.map {
            Some(map) => {
                let (word, body) = bytes
                    .split_first_chunk::<8>()
                    .expect("a record is longer than its commit word");
                // SAFETY: as in `fill_record`: the span belongs to this writer alone.
                unsafe { map.copy_in(offset + 8, body) };
                map.store_u64(offset, u64::from_le_bytes(*word), Ordering::Release);
            }
            None => self.segment.write_committed(bytes, offset)?,
        }
        Ok(())
    }

    /// Turns a reserved span into padding.
    pub(super) fn fill_pad(&self, lsn: Lsn, size: usize) -> Result<(), LogError> {
        self.fill_bytes(&format::pad_header(self.segment.seed(), size, lsn), lsn)
    }
}
