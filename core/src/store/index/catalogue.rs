//! The catalogue, `index.clean`: written at a clean close, removed before the first change.
//!
//! In: the state of an index that nobody changes. Out: bytes, and whether bytes are a catalogue.
//! Decoding never panics, and allocates no more than the file is long.
//!
//! Checksums of pages stand here and not in the pages: a page that an earlier close wrote and a later
//! one failed to replace would agree with itself, but not with the catalogue.
//!
//! # Layout (little-endian)
//!
//! | offset | field |
//! |---|---|
//! | 0 | magic `ATOLLIDX` |
//! | 8 | u16 major, u16 minor format version |
//! | 12 | u32 header bytes: 128 |
//! | 16 | u64 incompatible features: a reader that knows not all of them must rebuild |
//! | 24 | u64 compatible features |
//! | 32 | u64 seed of the key hash |
//! | 40 | u64 keys |
//! | 48 | stamp, 32 bytes |
//! | 80 | u32 pages |
//! | 84 | u32 CRC-32C of the page table |
//! | 88 | zero up to 124 |
//! | 124 | u32 CRC-32C of bytes 0-123 |
//! | 128 | page table, 8 bytes a page in the order of page numbers: u32 CRC-32C of the page, u32 area (depth in bits 0-7, prefix above) |

use std::path::Path;

use super::chunks::MAX_PAGES;
use super::page::Area;
use super::{Distrust, IndexError, Stamp};
use crate::io::{Disk, OpenMode};

const MAGIC: &[u8; 8] = b"ATOLLIDX";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
const HEADER: usize = 128;
const RECORD: usize = 8;

/// Checksum and area of one page as of the clean close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageRecord {
    pub(super) checksum: u32,
    pub(super) area: Area,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Catalogue {
    pub(super) seed: u64,
    pub(super) keys: u64,
    pub(super) stamp: Stamp,
    pub(super) pages: Vec<PageRecord>,
}

impl Catalogue {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0u8; HEADER];
        for page in &self.pages {
            out.extend_from_slice(&page.checksum.to_le_bytes());
            out.extend_from_slice(&page.area.to_bits().to_le_bytes());
        }
        let table_crc = crc32c::crc32c(&out[HEADER..]);
        let count = u32::try_from(self.pages.len()).expect("page numbers fit into 32 bits");
        let mut put = |offset: usize, bytes: &[u8]| out[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &MAJOR.to_le_bytes());
        put(10, &MINOR.to_le_bytes());
        put(12, &(HEADER as u32).to_le_bytes());
        put(32, &self.seed.to_le_bytes());
        put(40, &self.keys.to_le_bytes());
        put(48, &self.stamp);
        put(80, &count.to_le_bytes());
        put(84, &table_crc.to_le_bytes());
        let header_crc = crc32c::crc32c(&out[..124]);
        out[124..HEADER].copy_from_slice(&header_crc.to_le_bytes());
        out
    }

    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Catalogue, Distrust> {
        let wrong = |what| Distrust::Catalogue {
            path: path.to_owned(),
            what,
        };
        let Some((header, table)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(wrong("shorter than its header"));
        };
        if !header.starts_with(MAGIC) {
            return Err(Distrust::NotACatalogue {
                path: path.to_owned(),
                found: header[..8].to_vec(),
            });
        }
        if crc32c::crc32c(&header[..124]) != u32_at(header, 124) {
            return Err(wrong("header checksum differs"));
        }
        let major = (u32_at(header, 8) & 0xFFFF) as u16;
        let features = u64_at(header, 16);
        if major != MAJOR || features != 0 || u32_at(header, 12) as usize != HEADER {
            return Err(Distrust::Format {
                path: path.to_owned(),
                major,
                features,
            });
        }
        let count = u32_at(header, 80);
        if count > MAX_PAGES || table.len() != count as usize * RECORD {
            return Err(wrong("page table has another length"));
        }
        if crc32c::crc32c(table) != u32_at(header, 84) {
            return Err(wrong("page table checksum differs"));
        }
        let mut pages = Vec::with_capacity(count as usize);
        for record in table.chunks_exact(RECORD) {
            let area =
                Area::from_bits(u32_at(record, 4)).ok_or_else(|| wrong("a page has an impossible area"))?;
            pages.push(PageRecord {
                checksum: u32_at(record, 0),
                area,
            });
        }
        let mut stamp = Stamp::default();
        stamp.copy_from_slice(&header[48..80]);
        Ok(Catalogue {
            seed: u64_at(header, 32),
            keys: u64_at(header, 40),
            stamp,
            pages,
        })
    }

    pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Catalogue, Distrust> {
        if !disk.exists(path).map_err(Distrust::io("look for", path))? {
            return Err(Distrust::NotClosed);
        }
        let file = disk
            .open(path, OpenMode::Read)
            .map_err(Distrust::io("open", path))?;
        let len = file.len().map_err(Distrust::io("measure", path))?;
        if len > (HEADER + MAX_PAGES as usize * RECORD) as u64 {
            return Err(Distrust::Catalogue {
                path: path.to_owned(),
                what: "longer than any catalogue",
            });
        }
        let mut bytes = vec![0u8; len as usize];
        let read = file.read_at(&mut bytes, 0).map_err(Distrust::io("read", path))?;
        Catalogue::decode(path, &bytes[..read])
    }

    /// Puts the catalogue in place, replacing an earlier one; durable once its directory is synced.
    pub(super) fn write(&self, disk: &dyn Disk, path: &Path) -> Result<(), IndexError> {
        let draft = path.with_extension("clean.new");
        if disk.exists(&draft).map_err(IndexError::io("look for", &draft))? {
            disk.remove_file(&draft)
                .map_err(IndexError::io("remove", &draft))?;
        }
        let file = disk.create(&draft).map_err(IndexError::io("create", &draft))?;
        file.write_all_at(&self.encode(), 0)
            .map_err(IndexError::io("write", &draft))?;
        file.sync_data().map_err(IndexError::io("sync", &draft))?;
        disk.rename(&draft, path)
            .map_err(IndexError::io("rename", &draft))
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0u8; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from(u32_at(bytes, offset)) | (u64::from(u32_at(bytes, offset + 4)) << 32)
}
