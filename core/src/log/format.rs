//! One record: 48 bytes of header, key, extensions, value.
//!
//! In: header fields and slices. Out: bytes. Reading them back is `view.rs`. The byte layout
//! stands in `docs/FORMAT.md`.
//!
//! A record is valid when its commit word holds a known kind, its position field equals the
//! position it was read from, and `header_crc` fits bytes 0 to 43 and the key. Its payload is
//! valid when `payload_crc` fits extensions and value. Both CRCs start from a seed made of the
//! replicated identity (cluster, shard, epoch), so a record that strayed from another log or
//! another leadership fails, and the bytes can be shipped to replicas unchanged.

use super::checksum;
use crate::ids::{Epoch, Hlc, Lsn, ShardId, Uuid};

/// Bytes before the key.
pub const RECORD_HEADER_BYTES: usize = 48;
/// Every record, key and value area starts at a multiple of this.
pub const RECORD_ALIGN: usize = 8;
/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = u16::MAX as usize;
/// Longest stored value of one record, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 << 20;
/// Longest extension area, in bytes.
pub const MAX_EXT_BYTES: usize = 255 * 8;

/// What a record says. The numbers are on disk and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum RecordKind {
    /// Space handed to a writer that has not finished.
    Reserved = 1,
    /// A key has a value.
    Put = 2,
    /// A key has no value any more.
    Delete = 3,
    /// Members that count together or not at all.
    Batch = 4,
    /// Abandoned space.
    Pad = 5,
    /// Durability and chain checkpoint of the primary.
    Group = 6,
    /// A primary took over.
    EpochStart = 7,
    /// Operand of a merge (counters and the like).
    Merge = 8,
    /// The log ends here on purpose.
    Seal = 9,
    /// A table joined the store without passing through the log.
    Ingest = 10,
    /// Slots take no more writes: they are being handed over.
    SlotFrozen = 11,
    /// Slots have arrived by a hand-over.
    SlotOwned = 12,
}

impl RecordKind {
    /// Kinds from here on may be skipped by readers that do not know them.
    pub const SKIPPABLE_FROM: u8 = 128;

    pub(crate) fn from_u8(byte: u8) -> Option<RecordKind> {
        Some(match byte {
            1 => RecordKind::Reserved,
            2 => RecordKind::Put,
            3 => RecordKind::Delete,
            4 => RecordKind::Batch,
            5 => RecordKind::Pad,
            6 => RecordKind::Group,
            7 => RecordKind::EpochStart,
            8 => RecordKind::Merge,
            9 => RecordKind::Seal,
            10 => RecordKind::Ingest,
            11 => RecordKind::SlotFrozen,
            12 => RecordKind::SlotOwned,
            _ => return None,
        })
    }

    /// Whether the record is a version of a key and therefore belongs into the index.
    #[must_use]
    pub fn is_version(self) -> bool {
        matches!(
            self,
            RecordKind::Put
                | RecordKind::Delete
                | RecordKind::Merge
                | RecordKind::SlotFrozen
                | RecordKind::SlotOwned
        )
    }
}

/// Flag bits of a record. Bits 12 to 15 must be understood by whoever reads the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordFlags(pub u16);

impl RecordFlags {
    /// An expiry extension is present.
    pub const TTL: u16 = 1 << 0;
    /// An origin-dot extension is present.
    pub const ORIGIN_DOT: u16 = 1 << 1;
    /// A causal-context extension is present.
    pub const CONTEXT: u16 = 1 << 2;
    /// The value is a sibling set.
    pub const SIBLINGS: u16 = 1 << 3;
    /// The value was computed by a resolver.
    pub const DERIVED: u16 = 1 << 4;
    /// The value is one chunk of a larger one.
    pub const CHUNKED: u16 = 1 << 5;
    /// A request-id extension is present.
    pub const REQUEST_ID: u16 = 1 << 6;
    /// The key lives in the reserved keyspace, out of users' sight.
    pub const SYSTEM: u16 = 1 << 7;
    pub(crate) const MUST_UNDERSTAND: u16 = 0xF000;

    /// Whether all bits of `mask` are set.
    #[must_use]
    pub fn has(self, mask: u16) -> bool {
        self.0 & mask == mask
    }
}

/// Type byte of an extension; a set high bit means a reader that does not know it must refuse.
pub mod ext {
    /// Expiry: HLC stamp after which the value is gone (8 bytes).
    pub const EXPIRY: u8 = 1;
    /// Origin dot: node, incarnation, sequence (24 bytes).
    pub const ORIGIN_DOT: u8 = 2;
    /// Causal context (variable).
    pub const CONTEXT: u8 = 3;
    /// AEAD tag of an encrypted value (16 bytes).
    pub const AEAD_TAG: u8 = 0x80 | 4;
    /// Length before compression (8 bytes).
    pub const RAW_LENGTH: u8 = 5;
    /// Position of a chunk within its value.
    pub const CHUNK: u8 = 0x80 | 6;
    /// Transaction id.
    pub const TRANSACTION: u8 = 7;
    /// Request id that makes a retry safe (16 bytes).
    pub const REQUEST_ID: u8 = 8;
    /// Stamps of single fields.
    pub const FIELD_STAMPS: u8 = 9;
    /// Slot of the key (aux and 4 bytes).
    pub const SLOT: u8 = 10;
}

/// Why bytes are not a valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The commit word is zero: nothing has been written here.
    #[error("no record")]
    Empty,
    /// Space was reserved and never filled.
    #[error("reserved but never committed")]
    Uncommitted,
    /// The kind is not known to this version.
    #[error("unknown record kind {0}")]
    UnknownKind(u8),
    /// A flag that must be understood is not.
    #[error("unknown mandatory flags {0:#06x}")]
    UnknownFlags(u16),
    /// The size field contradicts the other lengths or the space there is.
    #[error("record size {size} does not fit (space {space})")]
    BadSize {
        /// Size field.
        size: u32,
        /// Bytes that could hold the record.
        space: usize,
    },
    /// The record says it stands elsewhere.
    #[error("record of position {found} stands at {expected}")]
    WrongLsn {
        /// Where it was read.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// Header or key do not fit their checksum.
    #[error("header checksum {found:#010x}, expected {expected:#010x}")]
    HeaderCrc {
        /// Computed from the bytes.
        expected: u32,
        /// Stored.
        found: u32,
    },
    /// Extensions or value do not fit their checksum.
    #[error("payload checksum {found:#010x}, expected {expected:#010x}")]
    PayloadCrc {
        /// Computed from the bytes.
        expected: u32,
        /// Stored.
        found: u32,
    },
    /// The disk cannot read the bytes, or the file has been cut short before them.
    #[error("{}", unreadable(*errno))]
    Unreadable {
        /// Offset in the file of the first page that is missing.
        offset: usize,
        /// What a read of it answered; 0 where the file ends before it.
        errno: i32,
    },
    /// The inside of a special record is malformed.
    #[error("malformed {0}")]
    Malformed(&'static str),
}

/// Why bytes cannot be read, in words.
pub(crate) fn unreadable(errno: i32) -> String {
    match errno {
        0 => "the file has been cut short: it ends before this page".into(),
        errno => format!(
            "this page cannot be read: {}",
            std::io::Error::from_raw_os_error(errno)
        ),
    }
}

/// Checksum seed of one leadership of one shard's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrcSeed(u32);

impl CrcSeed {
    /// Low half of xxh3_64 over cluster, shard and epoch.
    #[must_use]
    pub fn new(cluster: Uuid, shard: ShardId, epoch: Epoch) -> CrcSeed {
        let mut bytes = [0u8; 32];
        bytes[..16].copy_from_slice(&cluster.0);
        bytes[16..24].copy_from_slice(&u64::from(shard.0).to_le_bytes());
        bytes[24..].copy_from_slice(&epoch.0.to_le_bytes());
        CrcSeed(xxhash_rust::xxh3::xxh3_64(&bytes) as u32)
    }

    #[inline]
    pub(super) fn crc(self, bytes: &[u8]) -> u32 {
        checksum::append(self.0, bytes)
    }

    /// Of the fixed part of a header and the key behind it.
    #[inline]
    pub(super) fn header_crc(self, fixed: &[u8; RECORD_HEADER_BYTES - 4], key: &[u8]) -> u32 {
        checksum::append_header(self.0, fixed, key)
    }

    /// Of extensions and value.
    #[inline]
    pub(super) fn payload_crc(self, ext: &[u8], value: &[u8]) -> u32 {
        let before = if ext.is_empty() { self.0 } else { self.crc(ext) };
        checksum::append(before, value)
    }
}

/// Rounds up to the next multiple of [`RECORD_ALIGN`].
#[must_use]
pub const fn align(bytes: usize) -> usize {
    (bytes + RECORD_ALIGN - 1) & !(RECORD_ALIGN - 1)
}

/// Commit word: low half the size, then kind, extension words, flags.
#[must_use]
pub const fn commit_word(size: u32, kind: u8, ext_words: u8, flags: u16) -> u64 {
    size as u64 | (kind as u64) << 32 | (ext_words as u64) << 40 | (flags as u64) << 48
}

/// What a writer wants recorded. Lengths are checked by [`RecordParts::size`].
#[derive(Clone, Copy, Debug)]
pub struct RecordParts<'a> {
    /// Kind of the record.
    pub kind: RecordKind,
    /// Flags without those implied by extensions.
    pub flags: RecordFlags,
    /// Key bytes, possibly empty.
    pub key: &'a [u8],
    /// Encoded extensions, a multiple of 8 bytes.
    pub ext: &'a [u8],
    /// Value bytes, possibly empty.
    pub value: &'a [u8],
    /// Position of the same key's previous version; [`Lsn::ZERO`] for none.
    pub prev: Lsn,
    /// Stamp to keep; `None` takes the log's next one.
    pub hlc: Option<Hlc>,
}

impl<'a> RecordParts<'a> {
    /// A record of `kind` without extensions.
    #[must_use]
    pub fn new(kind: RecordKind, key: &'a [u8], value: &'a [u8], prev: Lsn) -> RecordParts<'a> {
        RecordParts {
            kind,
            flags: RecordFlags::default(),
            key,
            ext: &[],
            value,
            prev,
            hlc: None,
        }
    }

    /// Bytes the record occupies, or which part is too long and by how much.
    ///
    /// # Errors
    /// The name of the part, its length and the longest one allowed.
    pub fn size(&self) -> Result<usize, (&'static str, usize, usize)> {
        if self.key.len() > MAX_KEY_BYTES {
            return Err(("key", self.key.len(), MAX_KEY_BYTES));
        }
        if self.value.len() > MAX_VALUE_BYTES {
            return Err(("value", self.value.len(), MAX_VALUE_BYTES));
        }
        if self.ext.len() > MAX_EXT_BYTES {
            return Err(("extensions", self.ext.len(), MAX_EXT_BYTES));
        }
        debug_assert_eq!(self.ext.len() % RECORD_ALIGN, 0, "extensions come in whole words");
        Ok(RECORD_HEADER_BYTES + align(self.key.len()) + self.ext.len() + align(self.value.len()))
    }

    /// Header bytes of this record standing at `lsn`; `size` comes from [`RecordParts::size`].
    #[must_use]
    #[inline]
    pub fn header(&self, seed: CrcSeed, size: usize, lsn: Lsn, hlc: Hlc) -> [u8; RECORD_HEADER_BYTES] {
        let payload_crc = seed.payload_crc(self.ext, self.value);
        self.header_with(seed, size, lsn, hlc, payload_crc)
    }

    fn header_with(
        &self,
        seed: CrcSeed,
        size: usize,
        lsn: Lsn,
        hlc: Hlc,
        payload_crc: u32,
    ) -> [u8; RECORD_HEADER_BYTES] {
        let mut header = [0u8; RECORD_HEADER_BYTES];
        let word = commit_word(
            size as u32,
            self.kind as u8,
            (self.ext.len() / 8) as u8,
            self.flags.0,
        );
        header[0..8].copy_from_slice(&word.to_le_bytes());
        header[8..16].copy_from_slice(&lsn.0.to_le_bytes());
        header[16..24].copy_from_slice(&hlc.0.to_le_bytes());
        header[24..32].copy_from_slice(&self.prev.0.to_le_bytes());
        header[32..36].copy_from_slice(&(self.value.len() as u32).to_le_bytes());
        header[36..38].copy_from_slice(&(self.key.len() as u16).to_le_bytes());
        // Bytes 38 and 39, codec and dictionary: 0 is "stored as it is".
        header[40..44].copy_from_slice(&payload_crc.to_le_bytes());
        let fixed = header.first_chunk().expect("shorter than the header");
        let header_crc = seed.header_crc(fixed, self.key);
        header[44..48].copy_from_slice(&header_crc.to_le_bytes());
        header
    }

    /// Appends the whole record to `out`.
    pub fn encode_into(&self, seed: CrcSeed, size: usize, lsn: Lsn, hlc: Hlc, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.header(seed, size, lsn, hlc));
        let pad =
            |out: &mut Vec<u8>, len: usize| out.extend_from_slice(&[0; RECORD_ALIGN][..align(len) - len]);
        out.extend_from_slice(self.key);
        pad(out, self.key.len());
        out.extend_from_slice(self.ext);
        out.extend_from_slice(self.value);
        pad(out, self.value.len());
        debug_assert_eq!(out.len(), start + size);
    }
}

/// Wraps `members` (whole records, back to back, each with its own position) under one commit
/// word. Returns the header; the members follow it directly.
#[must_use]
pub fn batch_header(seed: CrcSeed, members: &[u8], lsn: Lsn, hlc: Hlc) -> [u8; RECORD_HEADER_BYTES] {
    let size = RECORD_HEADER_BYTES + members.len();
    let mut crcs = Vec::new();
    let mut rest = members;
    while rest.len() >= RECORD_HEADER_BYTES {
        crcs.extend_from_slice(&rest[40..48]);
        let member = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        rest = rest.get(member..).unwrap_or(&[]);
    }
    RecordParts {
        value: members,
        ..RecordParts::new(RecordKind::Batch, &[], &[], Lsn::ZERO)
    }
    .header_with(seed, size, lsn, hlc, seed.crc(&crcs))
}

/// Bytes of a padding record of `size` bytes at `lsn`: only its header is written.
#[must_use]
pub fn pad_header(seed: CrcSeed, size: usize, lsn: Lsn) -> [u8; RECORD_HEADER_BYTES] {
    RecordParts::new(RecordKind::Pad, &[], &[], Lsn::ZERO).header_with(seed, size, lsn, Hlc::ZERO, 0)
}
