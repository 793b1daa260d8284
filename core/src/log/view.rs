//! Reading one record back out of untrusted bytes.
//!
//! In: bytes and the position they were read from. Out: a view whose lengths, kind and position
//! have been checked, and checks of its checksums. Arbitrary bytes give a [`RecordError`], never
//! a panic.

use super::expiry::Expiry;
use super::format::{
    CrcSeed, RECORD_ALIGN, RECORD_HEADER_BYTES, RecordError, RecordFlags, RecordKind, align,
};
use crate::ids::{Hlc, Lsn};

/// A record whose header and key have been checked.
#[derive(Clone, Copy)]
pub struct RecordView<'a> {
    bytes: &'a [u8],
    kind: RecordKind,
    skippable: bool,
}

/// What parsing a record has found out, to view the same bytes again without parsing them again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parsed {
    pub(crate) size: u32,
    kind: RecordKind,
    skippable: bool,
}

impl std::fmt::Debug for RecordView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordView")
            .field("kind", &self.kind)
            .field("lsn", &self.lsn())
            .field("size", &self.size())
            .finish()
    }
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[inline]
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl<'a> RecordView<'a> {
    /// Checks the header and key at the start of `space`, which may go on after the record.
    ///
    /// # Errors
    /// Any [`RecordError`] but `PayloadCrc`.
    pub fn parse(space: &'a [u8], seed: CrcSeed, expected: Lsn) -> Result<RecordView<'a>, RecordError> {
        let view = RecordView::parse_unchecked(space, expected)?;
        view.verify_header(seed)?;
        Ok(view)
    }

    /// Checks lengths, kind and position, but no checksum: for readers that compare the key
    /// first and call [`RecordView::verify_header`] before they believe the outcome.
    ///
    /// # Errors
    /// Any [`RecordError`] but the checksum ones.
    pub fn parse_unchecked(space: &'a [u8], expected: Lsn) -> Result<RecordView<'a>, RecordError> {
        if space.len() < RECORD_HEADER_BYTES {
            return Err(if space.iter().all(|b| *b == 0) {
                RecordError::Empty
            } else {
                RecordError::BadSize {
                    size: 0,
                    space: space.len(),
                }
            });
        }
        let size = u32_at(space, 0);
        let kind_byte = space[4];
        if kind_byte == 0 {
            return Err(if u64_at(space, 0) == 0 {
                RecordError::Empty
            } else {
                RecordError::UnknownKind(0)
            });
        }
        if (size as usize) < RECORD_HEADER_BYTES
            || !(size as usize).is_multiple_of(RECORD_ALIGN)
            || size as usize > space.len()
        {
            return Err(RecordError::BadSize {
                size,
                space: space.len(),
            });
        }
        if expected.0.checked_add(u64::from(size)).is_none() {
            return Err(RecordError::BadSize { size, space: 0 });
        }
        let bytes = &space[..size as usize];
        let skippable = kind_byte >= RecordKind::SKIPPABLE_FROM;
        let kind = match RecordKind::from_u8(kind_byte) {
            Some(RecordKind::Reserved) => return Err(RecordError::Uncommitted),
            Some(kind) => kind,
            None if skippable => RecordKind::Pad,
            None => return Err(RecordError::UnknownKind(kind_byte)),
        };
        let lsn = u64_at(bytes, 8);
        if lsn != expected.0 {
            return Err(RecordError::WrongLsn {
                expected: expected.0,
                found: lsn,
            });
        }
        let view = RecordView {
            bytes,
            kind,
            skippable,
        };
        if kind != RecordKind::Pad {
            let unknown = view.flags().0 & RecordFlags::MUST_UNDERSTAND;
            if unknown != 0 {
                return Err(RecordError::UnknownFlags(unknown));
            }
            let needed =
                RECORD_HEADER_BYTES + align(view.key_len()) + view.ext_len() + align(view.value_len());
            if needed != bytes.len() {
                return Err(RecordError::BadSize { size, space: needed });
            }
        }
        Ok(view)
    }

    /// The view of a version (a put or a deletion) that fills `bytes` and stands at `expected`, header and
    /// key checked: what [`RecordView::parse`] says, in one pass. `None` for anything else; parse it to
    /// learn what it is.
    #[inline]
    pub(crate) fn of_version(bytes: &'a [u8], seed: CrcSeed, expected: Lsn) -> Option<RecordView<'a>> {
        let header: &[u8; RECORD_HEADER_BYTES] = bytes.first_chunk()?;
        let kind = match header[4] {
            kind if kind == RecordKind::Put as u8 => RecordKind::Put,
            kind if kind == RecordKind::Delete as u8 => RecordKind::Delete,
            _ => return None,
        };
        let view = RecordView {
            bytes,
            kind,
            skippable: false,
        };
        let needed = RECORD_HEADER_BYTES + align(view.key_len()) + view.ext_len() + align(view.value_len());
        let is_sound = u32_at(header, 0) as usize == bytes.len()
            && needed == bytes.len()
            && u64_at(header, 8) == expected.0
            && expected.0.checked_add(bytes.len() as u64).is_some()
            && view.flags().0 & RecordFlags::MUST_UNDERSTAND == 0;
        if !is_sound {
            return None;
        }
        let key = bytes.get(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + view.key_len())?;
        (seed.header_crc(header.first_chunk()?, key) == u32_at(header, 44)).then_some(view)
    }

    /// What there is to remember of this view.
    #[inline]
    pub(crate) fn parsed(&self) -> Parsed {
        Parsed {
            size: self.bytes.len() as u32,
            kind: self.kind,
            skippable: self.skippable,
        }
    }

    /// The view of bytes that have been parsed before. They must be the same bytes: those of a committed
    /// record are never stored to again.
    #[inline]
    pub(crate) fn again(bytes: &'a [u8], parsed: Parsed) -> RecordView<'a> {
        debug_assert_eq!(bytes.len(), parsed.size as usize);
        RecordView {
            bytes,
            kind: parsed.kind,
            skippable: parsed.skippable,
        }
    }

    /// Checks `header_crc`; padding carries one like any other record.
    ///
    /// # Errors
    /// [`RecordError::HeaderCrc`].
    pub fn verify_header(&self, seed: CrcSeed) -> Result<(), RecordError> {
        let key_end = RECORD_HEADER_BYTES + self.key_len();
        let size = self.bytes.len();
        let Some(key) = self.bytes.get(RECORD_HEADER_BYTES..key_end) else {
            return Err(RecordError::BadSize {
                size: size as u32,
                space: key_end,
            });
        };
        let fixed = self.bytes.first_chunk().expect("a header is longer");
        let expected = seed.header_crc(fixed, key);
        let found = u32_at(self.bytes, 44);
        if expected == found {
            Ok(())
        } else {
            Err(RecordError::HeaderCrc { expected, found })
        }
    }

    /// Checks `payload_crc`; for a batch, every member too.
    ///
    /// # Errors
    /// [`RecordError::PayloadCrc`], or what is wrong with a member.
    #[inline]
    pub fn verify_payload(&self, seed: CrcSeed) -> Result<(), RecordError> {
        let found = u32_at(self.bytes, 40);
        let expected = match self.kind {
            RecordKind::Pad => return Ok(()),
            RecordKind::Batch => {
                let mut crcs = Vec::new();
                for member in self.members(seed) {
                    let member = member?;
                    member.verify_payload(seed)?;
                    crcs.extend_from_slice(&member.bytes[40..48]);
                }
                seed.crc(&crcs)
            }
            // The value follows the extensions without a gap.
            _ => seed.crc(self.payload()),
        };
        if expected == found {
            Ok(())
        } else {
            Err(RecordError::PayloadCrc { expected, found })
        }
    }

    /// Members of a batch, each with header and key checked; of another record, none.
    pub fn members(&self, seed: CrcSeed) -> Members<'a> {
        let area = if self.kind == RecordKind::Batch {
            self.value()
        } else {
            &[][..]
        };
        Members {
            area,
            lsn: self.lsn().advance(RECORD_HEADER_BYTES as u64),
            seed,
        }
    }

    /// Kind; records of unknown skippable kinds look like padding.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> RecordKind {
        self.kind
    }

    /// Whether the kind is unknown but may be skipped.
    #[must_use]
    pub fn is_skipped_kind(&self) -> bool {
        self.skippable
    }

    /// Flags.
    #[must_use]
    #[inline]
    pub fn flags(&self) -> RecordFlags {
        RecordFlags(u16::from_le_bytes([self.bytes[6], self.bytes[7]]))
    }

    /// Whether this is a version of a key in the reserved keyspace.
    #[must_use]
    #[inline]
    pub fn is_system(&self) -> bool {
        self.flags().has(RecordFlags::SYSTEM)
    }

    /// Position of the record.
    #[must_use]
    #[inline]
    pub fn lsn(&self) -> Lsn {
        Lsn(u64_at(self.bytes, 8))
    }

    /// Position right after the record.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.lsn().advance(self.bytes.len() as u64)
    }

    /// Stamp of the write.
    #[must_use]
    #[inline]
    pub fn hlc(&self) -> Hlc {
        Hlc(u64_at(self.bytes, 16))
    }

    /// Position of the key's previous version; [`Lsn::ZERO`] for none.
    #[must_use]
    pub fn prev(&self) -> Lsn {
        Lsn(u64_at(self.bytes, 24))
    }

    /// Whole size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn key_len(&self) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[36], self.bytes[37]]))
    }

    #[inline]
    fn ext_len(&self) -> usize {
        usize::from(self.bytes[5]) * 8
    }

    #[inline]
    fn value_len(&self) -> usize {
        u32_at(self.bytes, 32) as usize
    }

    /// Key bytes.
    #[must_use]
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        if self.kind == RecordKind::Pad {
            return &[];
        }
        &self.bytes[RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + self.key_len()]
    }

    /// Encoded extensions.
    #[must_use]
    pub fn ext(&self) -> &'a [u8] {
        if self.kind == RecordKind::Pad {
            return &[];
        }
        let start = RECORD_HEADER_BYTES + align(self.key_len());
        &self.bytes[start..start + self.ext_len()]
    }

    /// Extensions and value.
    #[inline]
    fn payload(&self) -> &'a [u8] {
        let start = RECORD_HEADER_BYTES + align(self.key_len());
        &self.bytes[start..start + self.ext_len() + self.value_len()]
    }

    /// When the value is gone. Believe it once the payload has been verified.
    ///
    /// # Errors
    /// [`RecordError::Malformed`].
    #[inline]
    pub fn expiry(&self) -> Result<Expiry, RecordError> {
        Expiry::of(self.flags(), self.ext()).map_err(|_| RecordError::Malformed("expiry"))
    }

    /// Offset of the value within the record.
    #[must_use]
    pub fn value_offset(&self) -> usize {
        RECORD_HEADER_BYTES + align(self.key_len()) + self.ext_len()
    }

    /// Value bytes.
    #[must_use]
    #[inline]
    pub fn value(&self) -> &'a [u8] {
        if self.kind == RecordKind::Pad {
            return &[];
        }
        &self.bytes[self.value_offset()..self.value_offset() + self.value_len()]
    }

    /// The record's bytes, padding included.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Iterator over the members of a batch.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    area: &'a [u8],
    lsn: Lsn,
    seed: CrcSeed,
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<RecordView<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.area.is_empty() {
            return None;
        }
        let parsed = RecordView::parse(self.area, self.seed, self.lsn).and_then(|member| {
            // A batch inside a batch would let a small input recurse without bound.
            if member.kind == RecordKind::Batch {
                Err(RecordError::Malformed("nested batch"))
            } else {
                Ok(member)
            }
        });
        match &parsed {
            Ok(member) => {
                self.area = &self.area[member.size()..];
                self.lsn = member.end();
            }
            Err(_) => self.area = &[],
        }
        Some(parsed)
    }
}
