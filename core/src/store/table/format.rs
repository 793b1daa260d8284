//! Bytes of a table file: header page, entries, index section, footer page.
//!
//! In: facts and versions. Out: little-endian bytes, and back. Decoding never panics and allocates
//! nothing: an entry is slices of the file. Layout byte by byte: `docs/FORMAT-table.md`.
//!
//! An entry keeps its key whole. Sharing key prefixes with the neighbour would save 2 bytes of 128
//! with random keys and cost every reader a copy of the key; readers would no longer get slices.

use crate::ids::{Hlc, Lsn, ShardId, Uuid};
use crate::log::expiry::Expiry;
use crate::log::format::{MAX_EXT_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, RecordFlags, RecordKind};
use crate::log::header::{PAGE_BYTES, PageError, check, preamble, seal};

/// Offset of the first entry: the header page comes before it.
pub const DATA_START: usize = PAGE_BYTES;
/// Entries start below this offset: an index slot has 26 bits for it.
pub const MAX_ENTRY_START: usize = 1 << 26;
/// Longest common key prefix that a table takes off before it compares.
pub const MAX_SHARED_BYTES: usize = 248;
/// Elements of one node of the search tree.
pub const NODE: usize = 16;

const HEADER_MAGIC: [u8; 8] = *b"ATOLLTBL";
const FOOTER_MAGIC: [u8; 8] = *b"ATOLLTBF";

const KIND_MASK: u8 = 0x0F;
/// The entry carries flags, codec and extensions.
const TAG_EXTRA: u8 = 1 << 4;
/// The entry is an older version of the key of the entry before it.
const TAG_SAME_KEY: u8 = 1 << 5;
const TAG_UNKNOWN: u8 = 0xC0;

/// What is wrong with bytes that should be a part of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// How positions and stamps of a table's entries are shortened: each is kept as a difference of
/// fixed width from a base.
///
/// In a table sorted by key, neighbours have been written at any time, so bases of smaller parts
/// would save nothing, and finding them would cost each point read another cache miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// Smallest position, a multiple of 8.
    pub lsn_base: Lsn,
    /// Smallest stamp.
    pub hlc_base: Hlc,
    /// Bytes of a position: `(lsn - base) / 8`.
    pub lsn_bytes: u8,
    /// Bytes of a stamp: `hlc - base`.
    pub hlc_bytes: u8,
}

fn bytes_for(value: u64) -> u8 {
    (u64::BITS - value.leading_zeros()).div_ceil(8) as u8
}

impl Widths {
    /// The narrowest for positions and stamps between these, inclusive.
    #[must_use]
    pub fn covering(lsns: (Lsn, Lsn), hlcs: (Hlc, Hlc)) -> Widths {
        let lsn_base = Lsn(lsns.0.0 & !7);
        Widths {
            lsn_base,
            hlc_base: hlcs.0,
            lsn_bytes: bytes_for(lsns.1.0.saturating_sub(lsn_base.0) / 8),
            hlc_bytes: bytes_for(hlcs.1.0.saturating_sub(hlcs.0.0)),
        }
    }

    fn is_valid(&self) -> bool {
        self.lsn_bytes <= 8 && self.hlc_bytes <= 8 && self.lsn_base.0.is_multiple_of(8)
    }
}

/// Facts of a table's first page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableHeader {
    /// Cluster the data belongs to.
    pub cluster: Uuid,
    /// Shard the data belongs to.
    pub shard: ShardId,
    /// Number of the table within its store; never reused.
    pub number: u64,
    /// Bases and widths of positions and stamps.
    pub widths: Widths,
}

/// Facts of a table's last page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFooter {
    /// Number of the table, as in the header.
    pub number: u64,
    /// Entries, older versions and those of the reserved keyspace included.
    pub entries: u64,
    /// Users' keys.
    pub keys: u64,
    /// Entries that say that a key has no value.
    pub tombstones: u64,
    /// Bytes of keys and values of all entries.
    pub payload_bytes: u64,
    /// Offset after the last entry of a user's key; those of the reserved keyspace follow.
    pub user_end: u64,
    /// Offset after the last entry.
    pub data_end: u64,
    /// Offset of the last entry of a user's key; 0 without any.
    pub last_user: u64,
    /// Anchors of the search tree.
    pub anchors: u32,
    /// Bytes that all users' keys start with, taken off before the tree compares.
    pub shared_bytes: u16,
    /// Offset of the index section.
    pub index_start: u64,
    /// Checksum of the index section.
    pub index_crc: u32,
    /// Smallest and largest position.
    pub lsns: (Lsn, Lsn),
    /// Smallest and largest stamp.
    pub hlcs: (Hlc, Hlc),
    /// Entries that expire.
    pub expiring: u64,
    /// When the first of them does, in milliseconds since 1970; 0 without any.
    pub first_expiry_ms: u64,
}

fn put<const N: usize>(page: &mut [u8; PAGE_BYTES], at: usize, bytes: [u8; N]) {
    page[at..at + N].copy_from_slice(&bytes);
}

fn get<const N: usize>(page: &[u8; PAGE_BYTES], at: usize) -> [u8; N] {
    page[at..at + N].try_into().expect("N bytes within the page")
}

impl TableHeader {
    /// The page.
    #[must_use]
    pub fn encode(&self) -> [u8; PAGE_BYTES] {
        let mut page = preamble(HEADER_MAGIC);
        put(&mut page, 40, self.cluster.0);
        put(&mut page, 56, u64::from(self.shard.0).to_le_bytes());
        put(&mut page, 64, self.number.to_le_bytes());
        put(&mut page, 72, self.widths.lsn_base.0.to_le_bytes());
        put(&mut page, 80, self.widths.hlc_base.0.to_le_bytes());
        put(&mut page, 88, [self.widths.lsn_bytes, self.widths.hlc_bytes]);
        seal(&mut page);
        page
    }

    /// Inverse of [`TableHeader::encode`]; `Ok(Err)` for a page that is whole and impossible.
    ///
    /// # Errors
    /// See [`PageError`].
    pub fn decode(page: &[u8; PAGE_BYTES]) -> Result<Result<TableHeader, Malformed>, PageError> {
        check(page, HEADER_MAGIC)?;
        let u64_at = |at| u64::from_le_bytes(get(page, at));
        let [lsn_bytes, hlc_bytes] = get(page, 88);
        let header = TableHeader {
            cluster: Uuid(get(page, 40)),
            shard: ShardId(u64_at(56) as u32),
            number: u64_at(64),
            widths: Widths {
                lsn_base: Lsn(u64_at(72)),
                hlc_base: Hlc(u64_at(80)),
                lsn_bytes,
                hlc_bytes,
            },
        };
        Ok(if header.widths.is_valid() {
            Ok(header)
        } else {
            Err(Malformed("impossible widths"))
        })
    }
}

impl TableFooter {
    /// The page.
    #[must_use]
    pub fn encode(&self) -> [u8; PAGE_BYTES] {
        let mut page = preamble(FOOTER_MAGIC);
        let words = [
            self.number,
            self.entries,
            self.keys,
            self.tombstones,
            self.payload_bytes,
            self.user_end,
            self.data_end,
            self.last_user,
            u64::from(self.anchors) | (u64::from(self.shared_bytes) << 32),
            self.index_start,
            u64::from(self.index_crc),
            self.lsns.0.0,
            self.lsns.1.0,
            self.hlcs.0.0,
            self.hlcs.1.0,
            self.expiring,
            self.first_expiry_ms,
        ];
        for (i, word) in words.into_iter().enumerate() {
            put(&mut page, 40 + i * 8, word.to_le_bytes());
        }
        seal(&mut page);
        page
    }

    /// Inverse of [`TableFooter::encode`], for a file of `file_bytes`: every offset a reader will
    /// use lies where it must. `Ok(Err)` for a page that is whole and impossible.
    ///
    /// # Errors
    /// See [`PageError`].
    pub fn decode(
        page: &[u8; PAGE_BYTES],
        file_bytes: u64,
    ) -> Result<Result<TableFooter, Malformed>, PageError> {
        check(page, FOOTER_MAGIC)?;
        let word = |i: usize| u64::from_le_bytes(get(page, 40 + i * 8));
        let footer = TableFooter {
            number: word(0),
            entries: word(1),
            keys: word(2),
            tombstones: word(3),
            payload_bytes: word(4),
            user_end: word(5),
            data_end: word(6),
            last_user: word(7),
            anchors: word(8) as u32,
            shared_bytes: (word(8) >> 32) as u16,
            index_start: word(9),
            index_crc: word(10) as u32,
            lsns: (Lsn(word(11)), Lsn(word(12))),
            hlcs: (Hlc(word(13)), Hlc(word(14))),
            expiring: word(15),
            first_expiry_ms: word(16),
        };
        Ok(footer.check(file_bytes).map(|()| footer))
    }

    fn check(&self, file_bytes: u64) -> Result<(), Malformed> {
        let start = DATA_START as u64;
        let page = PAGE_BYTES as u64;
        if self.user_end < start || self.data_end < self.user_end || self.data_end > file_bytes {
            return Err(Malformed("impossible end of the entries"));
        }
        if self.index_start != self.data_end.next_multiple_of(page) {
            return Err(Malformed("impossible start of the index"));
        }
        let expected = self.index_start + self.index_bytes();
        if expected.next_multiple_of(page) + page != file_bytes {
            return Err(Malformed("the index does not fit the file"));
        }
        let has_users = self.user_end > start;
        if has_users != (self.anchors > 0)
            || u64::from(self.anchors) > self.user_end - start
            || usize::from(self.shared_bytes) > MAX_SHARED_BYTES
            || (has_users && !(start..self.user_end).contains(&self.last_user))
        {
            return Err(Malformed("impossible search tree"));
        }
        Ok(())
    }

    /// Pages of entries, each with a checksum of its own.
    #[must_use]
    pub fn data_pages(&self) -> usize {
        ((self.index_start - DATA_START as u64) / PAGE_BYTES as u64) as usize
    }

    /// Bytes of the index section.
    #[must_use]
    pub fn index_bytes(&self) -> u64 {
        let anchors = self.anchors as usize;
        (level_sizes(anchors).iter().sum::<usize>() * 8 + anchors * 4 + self.data_pages() * 4) as u64
    }
}

/// Elements of each level of the search tree over `anchors` anchors, the lowest first. Level `k + 1`
/// holds every [`NODE`]-th element of level `k`; the highest has one node.
#[must_use]
pub fn level_sizes(anchors: usize) -> Vec<usize> {
    let mut sizes = vec![anchors];
    let mut last = anchors;
    while last > NODE {
        last = last.div_ceil(NODE);
        sizes.push(last);
    }
    sizes
}

/// One version as an entry tells it. The slices lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryView<'a> {
    /// Kind, one of the version kinds.
    pub kind: RecordKind,
    /// Flags.
    pub flags: RecordFlags,
    /// Codec and dictionary, as in a record.
    pub codec: [u8; 2],
    /// Position of the version in the log.
    pub lsn: Lsn,
    /// Stamp of the write.
    pub hlc: Hlc,
    /// When the value is gone.
    pub expiry: Expiry,
    /// Whether it is an older version of the key of the entry before it.
    pub same_key: bool,
    /// Key bytes.
    pub key: &'a [u8],
    /// Encoded extensions.
    pub ext: &'a [u8],
    /// Value bytes.
    pub value: &'a [u8],
    /// Offset of the key in the bytes parsed.
    pub key_start: usize,
    /// Offset of the value in the bytes parsed.
    pub value_start: usize,
    /// Offset after the entry.
    pub end: usize,
}

/// What a writer wants kept of one version.
#[derive(Clone, Copy, Debug)]
pub struct EntryParts<'a> {
    /// Kind, one of the version kinds.
    pub kind: RecordKind,
    /// Flags.
    pub flags: RecordFlags,
    /// Codec and dictionary, as in a record.
    pub codec: [u8; 2],
    /// Position of the version in the log, a multiple of 8.
    pub lsn: Lsn,
    /// Stamp of the write.
    pub hlc: Hlc,
    /// Key bytes.
    pub key: &'a [u8],
    /// Encoded extensions, a multiple of 8 bytes.
    pub ext: &'a [u8],
    /// Value bytes.
    pub value: &'a [u8],
}

fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A 32-bit number in groups of 7 bits, lowest first.
#[inline]
fn take_varint(bytes: &[u8], at: &mut usize) -> Option<u32> {
    let first = *bytes.get(*at)?;
    *at += 1;
    if first < 0x80 {
        return Some(u32::from(first));
    }
    let mut value = u32::from(first & 0x7F);
    for shift in [7u32, 14, 21, 28] {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if shift == 28 && byte > 0x0F {
            return None;
        }
        value |= u32::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// A little-endian number of `width` bytes, at most 8.
#[inline]
fn take_fixed(bytes: &[u8], at: &mut usize, width: u8) -> Option<u64> {
    let width = usize::from(width);
    // One load of a whole word where the bytes go on, which they do but for the very end.
    let value = if let Some(word) = bytes.get(*at..*at + 8) {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        if width == 8 {
            word
        } else {
            word & ((1 << (width * 8)) - 1)
        }
    } else {
        let mut word = [0u8; 8];
        word[..width].copy_from_slice(bytes.get(*at..*at + width)?);
        u64::from_le_bytes(word)
    };
    *at += width;
    (*at <= bytes.len()).then_some(value)
}

impl EntryParts<'_> {
    /// Appends the entry to `out`.
    ///
    /// The lengths are those of a record that has been read back, so they fit; position and stamp
    /// lie within what the widths cover.
    pub fn encode_into(&self, widths: &Widths, same_key: bool, out: &mut Vec<u8>) {
        let is_extra = self.flags != RecordFlags::default() || self.codec != [0; 2] || !self.ext.is_empty();
        let mut tag = self.kind as u8;
        debug_assert!(self.kind.is_version() && tag <= KIND_MASK);
        tag |= if is_extra { TAG_EXTRA } else { 0 };
        tag |= if same_key { TAG_SAME_KEY } else { 0 };
        out.push(tag);
        put_varint(out, self.key.len() as u32);
        put_varint(out, self.value.len() as u32);
        let lsn = (self.lsn.0 - widths.lsn_base.0) / 8;
        let hlc = self.hlc.0 - widths.hlc_base.0;
        debug_assert!(bytes_for(lsn) <= widths.lsn_bytes && bytes_for(hlc) <= widths.hlc_bytes);
        out.extend_from_slice(&lsn.to_le_bytes()[..usize::from(widths.lsn_bytes)]);
        out.extend_from_slice(&hlc.to_le_bytes()[..usize::from(widths.hlc_bytes)]);
        if is_extra {
            out.extend_from_slice(&self.flags.0.to_le_bytes());
            out.extend_from_slice(&self.codec);
            out.push((self.ext.len() / 8) as u8);
        }
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.ext);
        out.extend_from_slice(self.value);
    }
}

impl<'a> EntryView<'a> {
    /// The entry that starts at `start` of `bytes`. Total: arbitrary bytes give an entry or an
    /// error, and no slice leaves `bytes`.
    ///
    /// # Errors
    /// What is impossible about it.
    #[inline]
    pub fn parse(bytes: &'a [u8], start: usize, widths: &Widths) -> Result<EntryView<'a>, Malformed> {
        let cut = Malformed("entry cut off");
        let tag = *bytes.get(start).ok_or(cut)?;
        if tag & TAG_UNKNOWN != 0 {
            return Err(Malformed("unknown bits of an entry"));
        }
        let kind = RecordKind::from_u8(tag & KIND_MASK)
            .filter(|kind| kind.is_version())
            .ok_or(Malformed("unknown kind of an entry"))?;
        let mut at = start + 1;
        let key_len = take_varint(bytes, &mut at).ok_or(cut)? as usize;
        let value_len = take_varint(bytes, &mut at).ok_or(cut)? as usize;
        if key_len > MAX_KEY_BYTES || value_len > MAX_VALUE_BYTES {
            return Err(Malformed("impossible length of an entry"));
        }
        let lsn = take_fixed(bytes, &mut at, widths.lsn_bytes).ok_or(cut)?;
        let hlc = take_fixed(bytes, &mut at, widths.hlc_bytes).ok_or(cut)?;
        let (mut flags, mut codec, mut ext_len) = (RecordFlags::default(), [0; 2], 0);
        if tag & TAG_EXTRA != 0 {
            let extra: [u8; 5] = bytes.get(at..at + 5).ok_or(cut)?.try_into().expect("five bytes");
            flags = RecordFlags(u16::from_le_bytes([extra[0], extra[1]]));
            if flags.0 & RecordFlags::MUST_UNDERSTAND != 0 {
                return Err(Malformed("unknown mandatory flags of an entry"));
            }
            codec = [extra[2], extra[3]];
            ext_len = usize::from(extra[4]) * 8;
            at += 5;
        }
        // All three lengths are bounded far below where the sum could overflow.
        let value_start = at + key_len + ext_len;
        let end = value_start + value_len;
        if end > bytes.len() {
            return Err(cut);
        }
        let expiry = Expiry::of(flags, &bytes[at + key_len..value_start])
            .map_err(|_| Malformed("an entry that expires does not say when"))?;
        let lsn = lsn
            .checked_mul(8)
            .and_then(|lsn| lsn.checked_add(widths.lsn_base.0))
            .ok_or(Malformed("impossible position of an entry"))?;
        let hlc = hlc
            .checked_add(widths.hlc_base.0)
            .ok_or(Malformed("impossible stamp of an entry"))?;
        Ok(EntryView {
            kind,
            flags,
            codec,
            lsn: Lsn(lsn),
            hlc: Hlc(hlc),
            expiry,
            same_key: tag & TAG_SAME_KEY != 0,
            key: &bytes[at..at + key_len],
            ext: &bytes[at + key_len..value_start],
            value: &bytes[value_start..end],
            key_start: at,
            value_start,
            end,
        })
    }

    /// As [`EntryView::parse`], quicker for short entries that are plain puts or deletions; anything
    /// else, and anything that is not right, takes the other way.
    #[inline]
    pub fn parse_quickly(bytes: &'a [u8], start: usize, widths: &Widths) -> Result<EntryView<'a>, Malformed> {
        // Tag, lengths, position and stamp lie in here, with one word to spare.
        const HEAD: usize = 3 + 8 + 8 + 8;
        if let Some(head) = bytes.get(start..start + HEAD) {
            let (tag, key_len, value_len) = (head[0], head[1], head[2]);
            let kind = match tag & !TAG_SAME_KEY {
                2 => Some(RecordKind::Put),
                3 => Some(RecordKind::Delete),
                _ => None,
            };
            if let Some(kind) = kind
                && (key_len | value_len) < 0x80
            {
                let word = |at: usize, width: u8| {
                    let word = u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
                    word & u64::MAX.checked_shr(64 - u32::from(width) * 8).unwrap_or(0)
                };
                let lsn_width = usize::from(widths.lsn_bytes.min(8));
                let lsn_words = word(3, widths.lsn_bytes);
                let lsn = lsn_words.wrapping_mul(8).wrapping_add(widths.lsn_base.0);
                let hlc = word(3 + lsn_width, widths.hlc_bytes).wrapping_add(widths.hlc_base.0);
                let key_start = start + 3 + lsn_width + usize::from(widths.hlc_bytes);
                let value_start = key_start + usize::from(key_len);
                let end = value_start + usize::from(value_len);
                // The sums have not wrapped, which the other way would call an error.
                if lsn_words >> 60 == 0
                    && lsn >= widths.lsn_base.0
                    && hlc >= widths.hlc_base.0
                    && end <= bytes.len()
                {
                    return Ok(EntryView {
                        kind,
                        flags: RecordFlags::default(),
                        codec: [0; 2],
                        lsn: Lsn(lsn),
                        hlc: Hlc(hlc),
                        expiry: Expiry::NEVER,
                        same_key: tag & TAG_SAME_KEY != 0,
                        key: &bytes[key_start..value_start],
                        ext: &[],
                        value: &bytes[value_start..end],
                        key_start,
                        value_start,
                        end,
                    });
                }
            }
        }
        EntryView::parse(bytes, start, widths)
    }

    /// Whether the key belongs to the reserved keyspace.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.flags.has(RecordFlags::SYSTEM)
    }

    /// What a writer would keep of it.
    #[must_use]
    pub fn parts(&self) -> EntryParts<'a> {
        EntryParts {
            kind: self.kind,
            flags: self.flags,
            codec: self.codec,
            lsn: self.lsn,
            hlc: self.hlc,
            key: self.key,
            ext: self.ext,
            value: self.value,
        }
    }
}

const _: () = assert!(MAX_EXT_BYTES == 255 * 8, "words of extensions fit a byte");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn widths() -> impl Strategy<Value = Widths> {
        (0u64..1 << 40, any::<u32>(), 0u8..=8, 0u8..=8).prop_map(|(lsn, hlc, lsn_bytes, hlc_bytes)| Widths {
            lsn_base: Lsn(lsn & !7),
            hlc_base: Hlc(u64::from(hlc)),
            lsn_bytes,
            hlc_bytes,
        })
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_give_an_entry_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..200), start in 0usize..220, widths in widths()
        ) {
            if let Ok(entry) = EntryView::parse(&bytes, start, &widths) {
                prop_assert!(entry.end <= bytes.len() && entry.key_start > start);
                prop_assert_eq!(entry.value_start + entry.value.len(), entry.end);
            }
        }

        #[test]
        fn entries_come_back_as_they_went_in(
            key in prop::collection::vec(any::<u8>(), 0..300),
            value in prop::collection::vec(any::<u8>(), 0..20_000),
            words in prop::collection::vec(any::<u64>(), 0..5),
            flags in 0u16..0x1000, codec in any::<[u8; 2]>(),
            lsns in prop::collection::vec(0u64..1 << 50, 3), hlcs in prop::collection::vec(any::<u64>(), 3),
            same_key in any::<bool>(),
        ) {
            let (mut lsns, mut hlcs) = (lsns, hlcs);
            lsns.sort_unstable();
            hlcs.sort_unstable();
            let lsn = |i: usize| Lsn(lsns[i] * 8);
            let widths = Widths::covering((lsn(0), lsn(2)), (Hlc(hlcs[0]), Hlc(hlcs[2])));
            let mut ext: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let expiry = if RecordFlags(flags).has(RecordFlags::TTL) { Expiry::at_ms(lsns[0]) } else { Expiry::NEVER };
            if expiry != Expiry::NEVER {
                ext = expiry.encode().to_vec();
            }
            let parts = EntryParts {
                kind: RecordKind::Put, flags: RecordFlags(flags), codec, lsn: lsn(1), hlc: Hlc(hlcs[1]),
                key: &key, ext: &ext, value: &value,
            };
            let mut out = vec![0xEE; 5];
            parts.encode_into(&widths, same_key, &mut out);
            let entry = EntryView::parse(&out, 5, &widths).expect("just written");
            prop_assert_eq!(entry.end, out.len());
            prop_assert_eq!((entry.lsn, entry.hlc, entry.flags, entry.codec), (parts.lsn, parts.hlc, parts.flags, codec));
            prop_assert_eq!((entry.key, entry.ext, entry.value), (&key[..], &ext[..], &value[..]));
            prop_assert_eq!((entry.kind, entry.same_key, entry.expiry), (RecordKind::Put, same_key, expiry));
            // Cut short anywhere, it is an error.
            for cut in 5..out.len().min(60) {
                prop_assert!(EntryView::parse(&out[..cut], 5, &widths).is_err());
            }
        }

        #[test]
        fn quick_way_agrees_with_the_other(
            mut bytes in prop::collection::vec(any::<u8>(), 0..400), start in 0usize..300, widths in widths(), plain in any::<bool>()
        ) {
            if plain && let Some(head) = bytes.get_mut(start..start + 3) {
                head[0] = head[0] & TAG_SAME_KEY | 2 | head[0] & 1;
                head[1] &= 0x7F;
                head[2] &= 0x7F;
            }
            prop_assert_eq!(EntryView::parse_quickly(&bytes, start, &widths), EntryView::parse(&bytes, start, &widths));
        }

        #[test]
        fn arbitrary_footers_that_pass_the_check_lead_nowhere_outside_the_file(
            words in prop::collection::vec(prop_oneof![0u64..100_000, any::<u64>()], 17), pages in 0u64..50
        ) {
            let mut page = preamble(FOOTER_MAGIC);
            for (i, word) in words.iter().enumerate() {
                page[40 + i * 8..48 + i * 8].copy_from_slice(&word.to_le_bytes());
            }
            seal(&mut page);
            let file_bytes = pages * PAGE_BYTES as u64;
            if let Ok(Ok(footer)) = TableFooter::decode(&page, file_bytes) {
                prop_assert!(footer.index_start + footer.index_bytes() + PAGE_BYTES as u64 <= file_bytes);
                prop_assert!(footer.data_end <= footer.index_start);
            }
        }
    }

    #[test]
    fn widths_cover_exactly_what_they_must() {
        let check = |lsns: (u64, u64), hlcs: (u64, u64), expected: (u8, u8)| {
            let widths = Widths::covering((Lsn(lsns.0), Lsn(lsns.1)), (Hlc(hlcs.0), Hlc(hlcs.1)));
            assert_eq!(
                (widths.lsn_bytes, widths.hlc_bytes),
                expected,
                "{lsns:?} {hlcs:?}"
            );
        };
        check((80, 80), (5, 5), (0, 0));
        check((80, 80 + 255 * 8), (0, 255), (1, 1));
        check((80, 80 + 256 * 8), (0, 256), (2, 2));
        check((0, !7), (0, u64::MAX), (8, 8));
    }
}
