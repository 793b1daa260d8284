//! First and last page of a segment file.
//!
//! In: facts about a segment. Out: a 4,096-byte page that ends in its CRC-32C, and back. Feature
//! bits follow the usual rule: an unknown `incompat` bit refuses the file, an unknown `ro_compat`
//! bit refuses writing, an unknown `compat` bit is ignored. Layout: `docs/FORMAT.md`.

use crate::ids::{Epoch, Hlc, Lsn, ShardId, Uuid};

/// Size of header and footer.
pub const PAGE_BYTES: usize = 4096;
/// Major version of the segment format: readers refuse another one.
pub const MAJOR: u16 = 1;
/// Minor version: readers accept a newer one and obey its feature bits.
pub const MINOR: u16 = 0;
const HEADER_MAGIC: [u8; 8] = *b"ATOLLSEG";
const FOOTER_MAGIC: [u8; 8] = *b"ATOLLEND";
const CRC_AT: usize = PAGE_BYTES - 4;
/// `flags` bit: the records were received from a primary, so their GROUP records speak of the
/// primary's durability and prove nothing about this file.
const FLAG_FOLLOWER: u32 = 1;

/// Why a page is not a valid header or footer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// All bytes are zero: never written.
    #[error("empty page")]
    Empty,
    /// Another kind of file.
    #[error("magic number {found:02x?} instead of {expected:02x?}")]
    Magic {
        /// Bytes that should stand there.
        expected: [u8; 8],
        /// Bytes that stand there.
        found: [u8; 8],
    },
    /// Checksum mismatch.
    #[error("page checksum {found:#010x}, expected {expected:#010x}")]
    Crc {
        /// Computed.
        expected: u32,
        /// Stored.
        found: u32,
    },
    /// The disk cannot read it, or the file has been cut short before it.
    #[error("{}", super::format::unreadable(*errno))]
    Unreadable {
        /// What a read of it answered; 0 where the file ends before it.
        errno: i32,
    },
    /// Written by a version whose format this one does not know.
    #[error("{}", unknown_format(*major, *minor, *incompat, *ro_compat))]
    Version {
        /// Major version found.
        major: u16,
        /// Minor version found.
        minor: u16,
        /// Incompatible features found.
        incompat: u64,
        /// Features found that a writer has to know.
        ro_compat: u64,
    },
}

/// What a file says that this version does not know, and who does.
pub(crate) fn unknown_format(major: u16, minor: u16, incompat: u64, ro_compat: u64) -> String {
    format!(
        "format {major}.{minor} with features {incompat:#x} and {ro_compat:#x}; this version reads {MAJOR}.x without \
         them: use a newer atoll"
    )
}

fn put<const N: usize>(page: &mut [u8; PAGE_BYTES], at: usize, bytes: [u8; N]) {
    page[at..at + N].copy_from_slice(&bytes);
}

fn get<const N: usize>(page: &[u8; PAGE_BYTES], at: usize) -> [u8; N] {
    page[at..at + N].try_into().expect("N bytes within the page")
}

/// Seals a page with its checksum. Shared by every 4,096-byte page of the log room.
pub(crate) fn seal(page: &mut [u8; PAGE_BYTES]) {
    let crc = crc32c::crc32c(&page[..CRC_AT]);
    put(page, CRC_AT, crc.to_le_bytes());
}

/// Checks magic and checksum of a page.
pub(crate) fn check(page: &[u8; PAGE_BYTES], magic: [u8; 8]) -> Result<(), PageError> {
    if page.iter().all(|byte| *byte == 0) {
        return Err(PageError::Empty);
    }
    let found: [u8; 8] = get(page, 0);
    if found != magic {
        return Err(PageError::Magic {
            expected: magic,
            found,
        });
    }
    let expected = crc32c::crc32c(&page[..CRC_AT]);
    let found = u32::from_le_bytes(get(page, CRC_AT));
    if expected != found {
        return Err(PageError::Crc { expected, found });
    }
    let (major, minor) = (
        u16::from_le_bytes(get(page, 8)),
        u16::from_le_bytes(get(page, 10)),
    );
    let (incompat, ro_compat) = (
        u64::from_le_bytes(get(page, 16)),
        u64::from_le_bytes(get(page, 24)),
    );
    if major != MAJOR || incompat != 0 || ro_compat != 0 {
        return Err(PageError::Version {
            major,
            minor,
            incompat,
            ro_compat,
        });
    }
    Ok(())
}

/// Writes what every page of this room starts with: magic, versions, length, no features.
pub(crate) fn preamble(magic: [u8; 8]) -> [u8; PAGE_BYTES] {
    let mut page = [0u8; PAGE_BYTES];
    put(&mut page, 0, magic);
    put(&mut page, 8, MAJOR.to_le_bytes());
    put(&mut page, 10, MINOR.to_le_bytes());
    put(&mut page, 12, (PAGE_BYTES as u32).to_le_bytes());
    page
}

/// Last step of the hash chain over a log: see [`super::payload::Group`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The chain covers the records below this position.
    pub through: u64,
    /// Its value there.
    pub hash: [u8; 16],
}

/// Facts of a segment's first page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Cluster the log belongs to.
    pub cluster: Uuid,
    /// Shard the log belongs to.
    pub shard: ShardId,
    /// Leadership all records of this segment were written under.
    pub epoch: Epoch,
    /// Node that stores the file.
    pub node: u64,
    /// Life of the store that created the file.
    pub incarnation: u32,
    /// Which opening of the store created the file.
    pub open_generation: u32,
    /// Number of the segment within its store; never reused.
    pub number: u64,
    /// Position of the first record.
    pub first_lsn: Lsn,
    /// Bytes of the file, header and footer page included.
    pub capacity: u64,
    /// Durable position when the segment was created.
    pub durable: Lsn,
    /// Last chain step when the segment was created.
    pub chain: Chain,
    /// Highest stamp when the segment was created.
    pub hlc: Hlc,
    /// Start of the machine it was created under.
    pub boot_id: [u8; 16],
    /// Store the file belongs to.
    pub store: Uuid,
    /// Whether the records were received from a primary.
    pub follower: bool,
}

impl SegmentHeader {
    /// The page.
    #[must_use]
    pub fn encode(&self) -> [u8; PAGE_BYTES] {
        let mut page = preamble(HEADER_MAGIC);
        put(&mut page, 40, self.cluster.0);
        put(&mut page, 56, u64::from(self.shard.0).to_le_bytes());
        put(&mut page, 64, self.epoch.0.to_le_bytes());
        put(&mut page, 72, self.node.to_le_bytes());
        put(&mut page, 80, self.incarnation.to_le_bytes());
        put(&mut page, 84, self.open_generation.to_le_bytes());
        put(&mut page, 88, self.number.to_le_bytes());
        put(&mut page, 96, self.first_lsn.0.to_le_bytes());
        put(&mut page, 104, self.capacity.to_le_bytes());
        put(&mut page, 112, self.durable.0.to_le_bytes());
        put(&mut page, 120, self.chain.hash);
        put(&mut page, 136, self.hlc.0.to_le_bytes());
        put(&mut page, 144, self.boot_id);
        // 160: salt[16] and 176: key id[16] stay zero until records are encrypted.
        put(&mut page, 192, self.store.0);
        put(
            &mut page,
            208,
            if self.follower { FLAG_FOLLOWER } else { 0 }.to_le_bytes(),
        );
        put(&mut page, 216, self.chain.through.to_le_bytes());
        // 256: u16 count of node aliases, entries of 16 bytes from 264 on; none in single-writer logs.
        seal(&mut page);
        page
    }

    /// Inverse of [`SegmentHeader::encode`].
    ///
    /// # Errors
    /// See [`PageError`].
    pub fn decode(page: &[u8; PAGE_BYTES]) -> Result<SegmentHeader, PageError> {
        check(page, HEADER_MAGIC)?;
        let u64_at = |at| u64::from_le_bytes(get(page, at));
        let u32_at = |at| u32::from_le_bytes(get(page, at));
        Ok(SegmentHeader {
            cluster: Uuid(get(page, 40)),
            shard: ShardId(u64_at(56) as u32),
            epoch: Epoch(u64_at(64)),
            node: u64_at(72),
            incarnation: u32_at(80),
            open_generation: u32_at(84),
            number: u64_at(88),
            first_lsn: Lsn(u64_at(96)),
            capacity: u64_at(104),
            durable: Lsn(u64_at(112)),
            chain: Chain {
                hash: get(page, 120),
                through: u64_at(216),
            },
            hlc: Hlc(u64_at(136)),
            boot_id: get(page, 144),
            store: Uuid(get(page, 192)),
            follower: u32_at(208) & FLAG_FOLLOWER != 0,
        })
    }
}

/// Facts of a sealed segment's last page. A valid footer says: everything below was durable
/// before the footer was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFooter {
    /// Number of the segment, as in the header.
    pub number: u64,
    /// Position after the last record.
    pub end: Lsn,
    /// Records, members of batches not counted.
    pub records: u64,
    /// Highest stamp so far.
    pub hlc: Hlc,
    /// Last chain step.
    pub chain: Chain,
}

impl SegmentFooter {
    /// The page.
    #[must_use]
    pub fn encode(&self) -> [u8; PAGE_BYTES] {
        let mut page = preamble(FOOTER_MAGIC);
        put(&mut page, 40, self.number.to_le_bytes());
        put(&mut page, 48, self.end.0.to_le_bytes());
        put(&mut page, 56, self.records.to_le_bytes());
        put(&mut page, 64, self.hlc.0.to_le_bytes());
        put(&mut page, 72, self.chain.hash);
        put(&mut page, 88, self.chain.through.to_le_bytes());
        seal(&mut page);
        page
    }

    /// Inverse of [`SegmentFooter::encode`].
    ///
    /// # Errors
    /// See [`PageError`].
    pub fn decode(page: &[u8; PAGE_BYTES]) -> Result<SegmentFooter, PageError> {
        check(page, FOOTER_MAGIC)?;
        let u64_at = |at| u64::from_le_bytes(get(page, at));
        Ok(SegmentFooter {
            number: u64_at(40),
            end: Lsn(u64_at(48)),
            records: u64_at(56),
            hlc: Hlc(u64_at(64)),
            chain: Chain {
                hash: get(page, 72),
                through: u64_at(88),
            },
        })
    }
}

const CONTROL_MAGIC: [u8; 8] = *b"ATOLLSTO";

/// How a store was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// Closed after everything had become durable; nothing has been written since.
    Clean,
    /// Some process has begun to write.
    Open,
}

/// The page `CONTROL` of a store directory: who it is, and whether its tail can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Cluster the store belongs to.
    pub cluster: Uuid,
    /// Shard it holds.
    pub shard: ShardId,
    /// Node it lives on.
    pub node: u64,
    /// Random name given at creation: a wiped and created store has another one.
    pub store: Uuid,
    /// Life of the store; grows with every unclean opening.
    pub incarnation: u32,
    /// Grows with every opening that wrote.
    pub open_generation: u32,
    /// Start of the machine under which `state` was written.
    pub boot_id: [u8; 16],
    /// How it was left.
    pub state: StoreState,
    /// Position after the last record; exact only when clean.
    pub tail: Lsn,
    /// A position below which everything was durable when this was written.
    pub durable: Lsn,
    /// Epoch of the last record.
    pub epoch: Epoch,
    /// Highest stamp; exact only when clean.
    pub hlc: Hlc,
    /// Last chain step; exact only when clean.
    pub chain: Chain,
    /// Records in the log; exact only when clean.
    pub records: u64,
    /// Seed of the key index's hash.
    pub index_seed: u64,
    /// Position of the first record that is still kept: the start of a segment. What stood before
    /// has been released, see [`super::retention`].
    pub log_start: Lsn,
    /// Records before that position.
    pub released_records: u64,
}

impl Control {
    /// The page.
    #[must_use]
    pub fn encode(&self) -> [u8; PAGE_BYTES] {
        let mut page = preamble(CONTROL_MAGIC);
        put(&mut page, 40, self.cluster.0);
        put(&mut page, 56, u64::from(self.shard.0).to_le_bytes());
        put(&mut page, 64, self.node.to_le_bytes());
        put(&mut page, 72, self.store.0);
        put(&mut page, 88, self.incarnation.to_le_bytes());
        put(&mut page, 92, self.open_generation.to_le_bytes());
        put(&mut page, 96, self.boot_id);
        put(
            &mut page,
            112,
            u32::from(self.state == StoreState::Open).to_le_bytes(),
        );
        put(&mut page, 120, self.tail.0.to_le_bytes());
        put(&mut page, 128, self.durable.0.to_le_bytes());
        put(&mut page, 136, self.epoch.0.to_le_bytes());
        put(&mut page, 144, self.hlc.0.to_le_bytes());
        put(&mut page, 152, self.chain.hash);
        put(&mut page, 168, self.chain.through.to_le_bytes());
        put(&mut page, 176, self.records.to_le_bytes());
        put(&mut page, 184, self.index_seed.to_le_bytes());
        put(&mut page, 192, self.log_start.0.to_le_bytes());
        put(&mut page, 200, self.released_records.to_le_bytes());
        seal(&mut page);
        page
    }

    /// Inverse of [`Control::encode`].
    ///
    /// # Errors
    /// See [`PageError`].
    pub fn decode(page: &[u8; PAGE_BYTES]) -> Result<Control, PageError> {
        check(page, CONTROL_MAGIC)?;
        let u64_at = |at| u64::from_le_bytes(get(page, at));
        let u32_at = |at| u32::from_le_bytes(get(page, at));
        Ok(Control {
            cluster: Uuid(get(page, 40)),
            shard: ShardId(u64_at(56) as u32),
            node: u64_at(64),
            store: Uuid(get(page, 72)),
            incarnation: u32_at(88),
            open_generation: u32_at(92),
            boot_id: get(page, 96),
            state: if u32_at(112) == 0 {
                StoreState::Clean
            } else {
                StoreState::Open
            },
            tail: Lsn(u64_at(120)),
            durable: Lsn(u64_at(128)),
            epoch: Epoch(u64_at(136)),
            hlc: Hlc(u64_at(144)),
            chain: Chain {
                hash: get(page, 152),
                through: u64_at(168),
            },
            records: u64_at(176),
            index_seed: u64_at(184),
            log_start: Lsn(u64_at(192)),
            released_records: u64_at(200),
        })
    }
}
