//! A piece of a log as bytes that can be kept, sent and applied elsewhere.
//!
//! In: a [`LogChunk`] and whose log it is of. Out: one frame, and from a frame the chunk and its entries.
//! A frame carries all that its records' checksums depend on (cluster, shard, epoch), so it can be checked
//! anywhere. Arbitrary bytes give a [`FrameError`], never a panic. Layout: docs/FORMAT.md, "Frames of the log".

use super::expiry::Expiry;
use super::format::{CrcSeed, RECORD_HEADER_BYTES, RecordError, RecordKind};
use super::read::LogChunk;
use super::view::RecordView;
use crate::ids::{Epoch, Hlc, Lsn, ShardId, Uuid};

/// Bytes before the records.
pub const FRAME_HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"atollchk";
const VERSION: u16 = 1;
const CRC_AT: usize = 56;

/// Why bytes are no frame, or no frame that this build can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Too short, or another file.
    #[error("these {len} bytes are no frame of a log")]
    NotAFrame {
        /// Bytes given.
        len: usize,
    },
    /// Made by a newer version.
    #[error("the frame has format {found}; this version reads format {VERSION}")]
    Version {
        /// Its format.
        found: u16,
    },
    /// Its header is not what was written.
    #[error("the header of the frame is damaged")]
    Damaged,
    /// Cut off, or with bytes behind its end.
    #[error("the frame says it has {expected} bytes of records, and has {found}")]
    Length {
        /// As its header says.
        expected: u64,
        /// As there are.
        found: usize,
    },
    /// Pairs were loaded in bulk here, straight into tables: they are not in the log. The cursor stands behind it.
    #[error(
        "pairs were loaded in bulk at log position {lsn}, and are not in the log: scan the store for them"
    )]
    Ingested {
        /// Where.
        lsn: Lsn,
    },
    /// A record in it is not what was written.
    #[error("the record at log position {lsn} is damaged: {error}")]
    Record {
        /// Where it stands in the log.
        lsn: Lsn,
        /// What is wrong.
        error: RecordError,
    },
}

/// One version in a frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameEntry<'f> {
    /// Its key.
    pub key: &'f [u8],
    /// `None` for a deletion.
    pub value: Option<&'f [u8]>,
    /// Its position.
    pub lsn: Lsn,
    /// Stamp of the write.
    pub hlc: Hlc,
    /// Milliseconds since 1970 from which on it is gone.
    pub expires_at_ms: Option<u64>,
    /// The next entry is of the same atomic batch.
    pub more_in_batch: bool,
}

/// How far [`Frame::next`] has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCursor {
    /// Offset of the next record among the records.
    pub at: u64,
    /// End of the batch it is a member of; 0 outside of batches.
    pub batch_end: u64,
}

/// A frame whose header has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'f> {
    cluster: Uuid,
    shard: ShardId,
    epoch: Epoch,
    from: Lsn,
    records: &'f [u8],
}

impl LogChunk {
    /// The chunk as a frame of the log of this shard.
    #[must_use]
    pub fn to_frame(&self, cluster: Uuid, shard: ShardId) -> Vec<u8> {
        let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + self.bytes.len());
        frame.extend_from_slice(MAGIC);
        frame.extend_from_slice(&VERSION.to_le_bytes());
        frame.extend_from_slice(&0u16.to_le_bytes());
        frame.extend_from_slice(&shard.0.to_le_bytes());
        frame.extend_from_slice(&cluster.0);
        frame.extend_from_slice(&self.epoch.0.to_le_bytes());
        frame.extend_from_slice(&self.from.0.to_le_bytes());
        frame.extend_from_slice(&(self.bytes.len() as u64).to_le_bytes());
        let crc = crc32c::crc32c(&frame);
        frame.extend_from_slice(&crc.to_le_bytes());
        frame.extend_from_slice(&[0; FRAME_HEADER_BYTES - CRC_AT - 4]);
        frame.extend_from_slice(&self.bytes);
        frame
    }
}

impl<'f> Frame<'f> {
    /// Checks the header of a frame. Records are checked when they are looked at.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &'f [u8]) -> Result<Frame<'f>, FrameError> {
        let not_a_frame = FrameError::NotAFrame { len: bytes.len() };
        let Some((header, records)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else {
            return Err(not_a_frame);
        };
        if !header.starts_with(MAGIC) {
            return Err(not_a_frame);
        }
        let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let half = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        if half(CRC_AT) != crc32c::crc32c(&header[..CRC_AT]) {
            return Err(FrameError::Damaged);
        }
        let found = u16::from_le_bytes([header[8], header[9]]);
        // The two bytes behind are for features that a reader must know.
        if found != VERSION || header[10..12] != [0, 0] {
            return Err(FrameError::Version { found });
        }
        let expected = word(48);
        if expected != records.len() as u64 {
            return Err(FrameError::Length {
                expected,
                found: records.len(),
            });
        }
        let (epoch, from) = (Epoch(word(32)), Lsn(word(40)));
        if from.0.checked_add(expected).is_none() {
            return Err(FrameError::Damaged);
        }
        Ok(Frame {
            cluster: Uuid(header[16..32].try_into().expect("sixteen bytes")),
            shard: ShardId(half(12)),
            epoch,
            from,
            records,
        })
    }

    /// Position of its first record.
    #[must_use]
    pub fn from(&self) -> Lsn {
        self.from
    }

    /// Position after its last record.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.from.advance(self.records.len() as u64)
    }

    /// Epoch of its records.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Cluster and shard of the log.
    #[must_use]
    pub fn shard(&self) -> (Uuid, ShardId) {
        (self.cluster, self.shard)
    }

    /// The records from `from` on, to be applied; `None` if no record begins there.
    ///
    /// # Errors
    /// [`FrameError::Record`] for one before that.
    pub fn chunk_from(&self, from: Lsn) -> Result<Option<LogChunk>, FrameError> {
        let mut at = 0;
        while self.from.advance(at as u64) < from && at < self.records.len() {
            at += self.record(at)?.size();
        }
        Ok((self.from.advance(at as u64) == from).then(|| LogChunk {
            epoch: self.epoch,
            from,
            bytes: self.records[at..].to_vec(),
        }))
    }

    fn seed(&self) -> CrcSeed {
        CrcSeed::new(self.cluster, self.shard, self.epoch)
    }

    fn record(&self, at: usize) -> Result<RecordView<'f>, FrameError> {
        let lsn = self.from.advance(at as u64);
        let record = RecordView::parse(&self.records[at..], self.seed(), lsn);
        record.map_err(|error| FrameError::Record { lsn, error })
    }

    /// The next version; `None` at the end. Records of the engine itself are passed over.
    ///
    /// # Errors
    /// [`FrameError::Record`].
    pub fn next(&self, cursor: &mut FrameCursor) -> Result<Option<FrameEntry<'f>>, FrameError> {
        loop {
            let at = usize::try_from(cursor.at).unwrap_or(usize::MAX);
            if at >= self.records.len() {
                return Ok(None);
            }
            let record = self.record(at)?;
            let damaged = |error| FrameError::Record {
                lsn: self.from.advance(at as u64),
                error,
            };
            let end = cursor.at + record.size() as u64;
            let within = cursor.batch_end > cursor.at;
            if !within {
                // Of a batch, this covers its members too.
                record.verify_payload(self.seed()).map_err(damaged)?;
            }
            if record.kind() == RecordKind::Batch && !within {
                (cursor.at, cursor.batch_end) = (cursor.at + RECORD_HEADER_BYTES as u64, end);
                continue;
            }
            cursor.at = end;
            let more_in_batch = within && end < cursor.batch_end;
            if within && !more_in_batch {
                cursor.batch_end = 0;
            }
            if record.kind() == RecordKind::Ingest {
                return Err(FrameError::Ingested { lsn: record.lsn() });
            }
            let is_version = matches!(record.kind(), RecordKind::Put | RecordKind::Delete);
            if !is_version || record.is_system() {
                continue;
            }
            let expiry: Expiry = record.expiry().map_err(damaged)?;
            return Ok(Some(FrameEntry {
                key: record.key(),
                value: (record.kind() == RecordKind::Put).then(|| record.value()),
                lsn: record.lsn(),
                hlc: record.hlc(),
                expires_at_ms: expiry.ms(),
                more_in_batch,
            }));
        }
    }
}
