//! The file `MANIFEST`: which tables make up the store, and from where on the log does.
//!
//! In: facts. Out: bytes with checksums, and back. A new manifest replaces the old one by a rename,
//! so after a crash one of the two is there, whole. A table that no manifest names does not count.
//! Decoding never panics and allocates no more than the file is long. Layout: `docs/FORMAT-table.md`.

use std::path::Path;

use super::table::TableError;
use crate::ids::{Epoch, Lsn, Uuid};
use crate::io::{Disk, OpenMode};
use crate::log::header::unknown_format;

/// Name of the file within a store.
pub const MANIFEST_FILE: &str = "MANIFEST";
/// Name of the directory of tables within a store.
pub const TABLE_DIR: &str = "tables";

const MAGIC: &[u8; 8] = b"ATOLLMAN";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
const HEADER: usize = 104;
const EPOCH: usize = 16;
const TABLE: usize = 32;
const NO_CUT: u32 = u32::MAX;
/// Larger than any: 32,768 tables are 1 MiB, and few runs have a key beside them.
const MAX_BYTES: u64 = 64 << 20;

/// What the manifest says of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRecord {
    /// Number of the table.
    pub number: u64,
    /// Number by which the key index knows the file.
    pub slot: u16,
    /// Length of the file.
    pub file_bytes: u64,
    /// Entries in it.
    pub entries: u64,
}

/// What the manifest says of one run: tables whose keys ascend from one to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRecord {
    /// Keys up to this one, inclusive, have been merged into another run; their entries here do not
    /// count any more.
    pub after: Option<Vec<u8>>,
    /// Whether a merge goes on writing it; the runs before it that have `after` are its inputs.
    pub growing: bool,
    /// Its tables.
    pub tables: Vec<TableRecord>,
}

/// The whole of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Store it belongs to.
    pub store: Uuid,
    /// Grows with every change.
    pub generation: u64,
    /// Every version below this position is in the tables, or was superseded or deleted below it; none
    /// above is.
    pub through: Lsn,
    /// Number of the next table.
    pub next_table: u64,
    /// Epochs that begin below `through`, with the position of their first record.
    pub epochs: Vec<(Epoch, Lsn)>,
    /// Runs, the newest first.
    pub runs: Vec<RunRecord>,
}

impl Manifest {
    /// That of a store without tables.
    #[must_use]
    pub fn empty(store: Uuid) -> Manifest {
        Manifest {
            store,
            generation: 0,
            through: Lsn::ZERO,
            next_table: 1,
            epochs: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (epoch, first) in &self.epochs {
            body.extend_from_slice(&epoch.0.to_le_bytes());
            body.extend_from_slice(&first.0.to_le_bytes());
        }
        for run in &self.runs {
            body.extend_from_slice(&u32::from(run.growing).to_le_bytes());
            body.extend_from_slice(&(run.tables.len() as u32).to_le_bytes());
            let cut = run.after.as_ref().map_or(NO_CUT, |key| key.len() as u32);
            body.extend_from_slice(&cut.to_le_bytes());
            body.extend_from_slice(run.after.as_deref().unwrap_or(&[]));
            for table in &run.tables {
                body.extend_from_slice(&table.number.to_le_bytes());
                body.extend_from_slice(&u64::from(table.slot).to_le_bytes());
                body.extend_from_slice(&table.file_bytes.to_le_bytes());
                body.extend_from_slice(&table.entries.to_le_bytes());
            }
        }
        let mut out = vec![0u8; HEADER];
        let mut put = |offset: usize, bytes: &[u8]| out[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &MAJOR.to_le_bytes());
        put(10, &MINOR.to_le_bytes());
        put(12, &(HEADER as u32).to_le_bytes());
        // 16, 24, 32: feature bits, none yet.
        put(40, &self.store.0);
        put(56, &self.generation.to_le_bytes());
        put(64, &self.through.0.to_le_bytes());
        put(72, &self.next_table.to_le_bytes());
        put(80, &(self.epochs.len() as u32).to_le_bytes());
        put(84, &(self.runs.len() as u32).to_le_bytes());
        put(88, &(body.len() as u64).to_le_bytes());
        put(96, &crc32c::crc32c(&body).to_le_bytes());
        let crc = crc32c::crc32c(&out[..100]);
        out[100..HEADER].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&body);
        out
    }

    /// What the header says of its format, if this version does not know that. Its checksum has been
    /// compared.
    fn unknown_format(bytes: &[u8]) -> Option<String> {
        let header = bytes.first_chunk::<HEADER>()?;
        let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let (major, minor) = (word(8) as u16, (word(8) >> 16) as u16);
        let (length, incompat, ro_compat) = (word(8) >> 32, word(16), word(24));
        let is_known = major == MAJOR && length == HEADER as u64 && incompat == 0 && ro_compat == 0;
        (!is_known).then(|| unknown_format(major, minor, incompat, ro_compat))
    }

    /// Inverse of [`Manifest::encode`].
    ///
    /// # Errors
    /// Offset and what is wrong there.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, (u64, String)> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
            return Err((bytes.len() as u64, "the file ends within its header".into()));
        };
        if !header.starts_with(MAGIC) {
            return Err((
                0,
                format!("magic number {:02x?} instead of {MAGIC:02x?}", &header[..8]),
            ));
        }
        let u64_at = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let (expected, found) = (crc32c::crc32c(&header[..100]), u32_at(100));
        if expected != found {
            return Err((
                100,
                format!("header checksum {found:#010x}, expected {expected:#010x}"),
            ));
        }
        if let Some(found) = Manifest::unknown_format(bytes) {
            return Err((8, found));
        }
        let length = u64_at(88);
        if body.len() as u64 != length {
            let what = format!("{} bytes follow the header instead of {length}", body.len());
            return Err((88, what));
        }
        let (expected, found) = (crc32c::crc32c(body), u32_at(96));
        if expected != found {
            return Err((
                96,
                format!("body checksum {found:#010x}, expected {expected:#010x}"),
            ));
        }
        let mut store = [0u8; 16];
        store.copy_from_slice(&header[40..56]);
        let mut take = Take { rest: body };
        let manifest = Manifest {
            store: Uuid(store),
            generation: u64_at(56),
            through: Lsn(u64_at(64)),
            next_table: u64_at(72),
            epochs: take.epochs(u32_at(80))?,
            runs: take.runs(u32_at(84))?,
        };
        if !take.rest.is_empty() {
            return Err(take.short());
        }
        Ok(manifest)
    }

    /// Reads the manifest of the store in `dir`; `None` if it has none.
    ///
    /// # Errors
    /// [`TableError::Damaged`], and the disk's.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Manifest>, TableError> {
        let path = dir.join(MANIFEST_FILE);
        if !disk.exists(&path).map_err(TableError::io("look up", &path))? {
            return Ok(None);
        }
        let file = disk
            .open(&path, OpenMode::Read)
            .map_err(TableError::io("open", &path))?;
        let len = file.len().map_err(TableError::io("measure", &path))?;
        if len > MAX_BYTES {
            return Err(TableError::damaged(&path, MAX_BYTES, "longer than any manifest"));
        }
        let mut bytes = vec![0u8; len as usize];
        let read = file
            .read_at(&mut bytes, 0)
            .map_err(TableError::io("read", &path))?;
        let decoded = Manifest::decode(&bytes[..read]);
        decoded.map(Some).map_err(|(offset, what)| match offset {
            // Only the format stands there.
            8 => TableError::NewerFormat { path, found: what },
            _ => TableError::damaged(&path, offset, what),
        })
    }

    /// Puts the manifest in the place of the one before, durably.
    ///
    /// # Errors
    /// The disk's. `true` beside it when the new one may be there all the same.
    pub(in crate::store) fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), (TableError, bool)> {
        let path = dir.join(MANIFEST_FILE);
        let draft = dir.join(format!("{MANIFEST_FILE}.new"));
        let prepare = || -> Result<(), TableError> {
            if disk.exists(&draft).map_err(TableError::io("look up", &draft))? {
                disk.remove_file(&draft)
                    .map_err(TableError::io("remove", &draft))?;
            }
            let file = disk.create(&draft).map_err(TableError::io("create", &draft))?;
            file.write_all_at(&self.encode(), 0)
                .map_err(TableError::io("write", &draft))?;
            file.sync_data().map_err(TableError::io("sync", &draft))
        };
        prepare().map_err(|error| (error, false))?;
        let rename = disk
            .rename(&draft, &path)
            .map_err(TableError::io("rename", &draft))
            .and_then(|()| disk.sync_dir(dir).map_err(TableError::io("sync", dir)));
        rename.map_err(|error| (error, true))
    }
}

/// Cursor over the body, whose checksum fits: what it says was written by some version, which may
/// still be wrong.
struct Take<'a> {
    rest: &'a [u8],
}

impl<'a> Take<'a> {
    fn short(&self) -> (u64, String) {
        (
            HEADER as u64,
            "the body contradicts the counts in the header".into(),
        )
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], (u64, String)> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32, (u64, String)> {
        Ok(u32::from_le_bytes(self.bytes(4)?.try_into().expect("four bytes")))
    }

    fn epochs(&mut self, count: u32) -> Result<Vec<(Epoch, Lsn)>, (u64, String)> {
        let bytes = self.bytes((count as usize).saturating_mul(EPOCH))?;
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let pair = |pair: &[u8]| (Epoch(word(&pair[..8])), Lsn(word(&pair[8..])));
        let epochs: Vec<_> = bytes.chunks_exact(EPOCH).map(pair).collect();
        // Whoever compares logs by their epochs relies on it.
        if epochs
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1)
        {
            Ok(epochs)
        } else {
            Err((HEADER as u64, "the epochs do not ascend".into()))
        }
    }

    fn runs(&mut self, count: u32) -> Result<Vec<RunRecord>, (u64, String)> {
        let mut runs = Vec::new();
        for _ in 0..count {
            let growing = match self.u32()? {
                0 => false,
                1 => true,
                _ => return Err((HEADER as u64, "unknown flags of a run".into())),
            };
            let tables = self.u32()?;
            let cut = self.u32()?;
            let after = match cut {
                NO_CUT => None,
                len => Some(self.bytes(len as usize)?.to_vec()),
            };
            let bytes = self.bytes((tables as usize).saturating_mul(TABLE))?;
            let word = |bytes: &[u8], i: usize| {
                u64::from_le_bytes(bytes[i * 8..i * 8 + 8].try_into().expect("eight bytes"))
            };
            let tables = bytes.chunks_exact(TABLE).map(|record| {
                let slot = u16::try_from(word(record, 1))
                    .map_err(|_| (HEADER as u64, "an impossible file slot".to_owned()))?;
                Ok(TableRecord {
                    number: word(record, 0),
                    slot,
                    file_bytes: word(record, 2),
                    entries: word(record, 3),
                })
            });
            let tables = tables.collect::<Result<_, (u64, String)>>()?;
            runs.push(RunRecord {
                after,
                growing,
                tables,
            });
        }
        Ok(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest() -> impl Strategy<Value = Manifest> {
        let table = (any::<u64>(), any::<u16>(), any::<u64>(), any::<u64>()).prop_map(
            |(number, slot, file_bytes, entries)| TableRecord {
                number,
                slot,
                file_bytes,
                entries,
            },
        );
        let run = (
            prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            any::<bool>(),
            prop::collection::vec(table, 0..5),
        )
            .prop_map(|(after, growing, tables)| RunRecord {
                after,
                growing,
                tables,
            });
        let parts = (
            any::<[u8; 16]>(),
            any::<[u64; 3]>(),
            0u64..6,
            prop::collection::vec(run, 0..6),
        );
        parts.prop_map(|(store, words, epochs, runs)| Manifest {
            store: Uuid(store),
            generation: words[0],
            through: Lsn(words[1]),
            next_table: words[2],
            epochs: (0..epochs).map(|n| (Epoch(n + 1), Lsn(n * 80))).collect(),
            runs,
        })
    }

    proptest! {
        #[test]
        fn manifests_come_back_and_every_flipped_bit_is_noticed(
            manifest in manifest(), at in any::<prop::sample::Index>(), bit in 0u8..8
        ) {
            let bytes = manifest.encode();
            prop_assert_eq!(Manifest::decode(&bytes), Ok(manifest));
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            prop_assert!(Manifest::decode(&flipped).is_err());
            prop_assert!(Manifest::decode(&bytes[..at.index(bytes.len())]).is_err());
        }

        /// Checksums made to fit, so that what lies behind them is reached.
        #[test]
        fn arbitrary_bytes_behind_good_checksums_never_panic(
            counts in any::<[u16; 2]>(), body in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..300)
        ) {
            let mut bytes = Manifest::empty(Uuid::NIL).encode();
            bytes[80..82].copy_from_slice(&(counts[0] % 20).to_le_bytes());
            bytes[84..86].copy_from_slice(&(counts[1] % 20).to_le_bytes());
            bytes[88..96].copy_from_slice(&(body.len() as u64).to_le_bytes());
            bytes[96..100].copy_from_slice(&crc32c::crc32c(&body).to_le_bytes());
            let crc = crc32c::crc32c(&bytes[..100]);
            bytes[100..104].copy_from_slice(&crc.to_le_bytes());
            bytes.extend_from_slice(&body);
            if let Ok(manifest) = Manifest::decode(&bytes) {
                prop_assert_eq!(manifest.encode(), bytes);
            }
        }
    }
}
