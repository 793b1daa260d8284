//! The file `BACKUP`: what a backup consists of, and the moment at which it became one.
//!
//! In: facts. Out: bytes with checksums, and back. It replaces the one of the backup before by a
//! rename, after everything it names has been synced: a directory holds the newest finished backup or
//! none. Decoding never panics and allocates no more than the file is long. Layout:
//! `docs/FORMAT-backup.md`.

use std::path::{Path, PathBuf};

use super::error::BackupError;
use crate::ids::{Lsn, ShardId, Uuid};
use crate::io::{Disk, OpenMode};
use crate::log::header::{Control, PAGE_BYTES};
use crate::store::manifest::Manifest;

/// Name of the file within a backup.
pub const BACKUP_FILE: &str = "BACKUP";

const MAGIC: &[u8; 8] = b"ATOLLBAK";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
const HEADER: usize = 96;
const FILE_BYTES: usize = 56;
const MAX_BYTES: u64 = 256 << 20;

/// What a file of a backup is a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopyKind {
    /// A sealed segment: header page and records. It never changes, so later backups use it again.
    Segment,
    /// The part of a segment that was committed while it was still being written; its name has the
    /// number of the backup, and only that one uses it.
    Tail,
    /// A table, whole.
    Table,
}

/// One file of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyRecord {
    /// What it is a copy of.
    pub kind: CopyKind,
    /// Number of the segment or table.
    pub number: u64,
    /// Of a segment: position of its first record.
    pub first: Lsn,
    /// Of a segment: position after the last record.
    pub end: Lsn,
    /// Bytes that count, from the start of the file. A linked segment goes on after them.
    pub bytes: u64,
    /// CRC-32C of those bytes.
    pub crc: u32,
    /// Number of the backup that the name of a tail has.
    pub sequence: u64,
}

impl CopyRecord {
    /// Name of the file within the directory of its store.
    #[must_use]
    pub fn name(&self) -> String {
        let number = self.number;
        match self.kind {
            CopyKind::Segment => format!("{number:016x}.seg"),
            CopyKind::Tail => format!("{number:016x}-{:08x}.tail", self.sequence),
            CopyKind::Table => format!("{number:016x}.tbl"),
        }
    }
}

/// One store of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRecord {
    /// Its control page, as of a clean end at the position of the backup.
    pub control: Control,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its files: segments and tails in log order, then tables.
    pub files: Vec<CopyRecord>,
}

impl StoreRecord {
    /// Name of its directory within the backup. It has the name of the store in it: when another
    /// replica of the shard is copied the next time, their files do not meet.
    #[must_use]
    pub fn dir_name(&self) -> String {
        dir_name(self.control.shard, self.control.store)
    }

    /// Bytes of its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Position at which the copy ends.
    #[must_use]
    pub fn position(&self) -> Lsn {
        self.control.tail
    }
}

pub(super) fn dir_name(shard: ShardId, store: Uuid) -> String {
    let word = u64::from_be_bytes(store.0[..8].try_into().expect("eight bytes"));
    format!("shard-{:05}-{word:016x}", shard.0)
}

/// The whole of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// What is backed up here: the name of the store, or of the cluster.
    pub owner: Uuid,
    /// Number of the backup, growing by one with each into the same directory.
    pub sequence: u64,
    /// Milliseconds since 1970 when its position was fixed.
    pub wall_ms: u64,
    /// What the owner keeps beside the stores; empty for a store on its own.
    pub extra: Vec<u8>,
    /// The stores.
    pub stores: Vec<StoreRecord>,
}

impl Catalogue {
    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let block = |bytes: &[u8], body: &mut Vec<u8>| {
            body.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            body.extend_from_slice(bytes);
        };
        block(&self.extra, &mut body);
        for store in &self.stores {
            body.extend_from_slice(&store.control.encode());
            block(&store.manifest.encode(), &mut body);
            body.extend_from_slice(&(store.files.len() as u32).to_le_bytes());
            for file in &store.files {
                let kind: u32 = match file.kind {
                    CopyKind::Segment => 1,
                    CopyKind::Tail => 2,
                    CopyKind::Table => 3,
                };
                body.extend_from_slice(&kind.to_le_bytes());
                body.extend_from_slice(&file.crc.to_le_bytes());
                for word in [
                    file.number,
                    file.first.0,
                    file.end.0,
                    file.bytes,
                    file.sequence,
                    0,
                ] {
                    body.extend_from_slice(&word.to_le_bytes());
                }
            }
        }
        let mut out = vec![0u8; HEADER];
        let mut put = |offset: usize, bytes: &[u8]| out[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &MAJOR.to_le_bytes());
        put(10, &MINOR.to_le_bytes());
        put(12, &(HEADER as u32).to_le_bytes());
        // 16, 24, 32: feature bits, none yet.
        put(40, &self.owner.0);
        put(56, &self.sequence.to_le_bytes());
        put(64, &self.wall_ms.to_le_bytes());
        put(72, &(self.stores.len() as u32).to_le_bytes());
        put(80, &(body.len() as u64).to_le_bytes());
        put(88, &crc32c::crc32c(&body).to_le_bytes());
        let crc = crc32c::crc32c(&out[..92]);
        out[92..HEADER].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&body);
        out
    }

    /// Inverse of [`Catalogue::encode`].
    ///
    /// # Errors
    /// Offset and what is wrong there.
    pub fn decode(bytes: &[u8]) -> Result<Catalogue, (u64, String)> {
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
        let (expected, found) = (crc32c::crc32c(&header[..92]), u32_at(92));
        if expected != found {
            return Err((
                92,
                format!("header checksum {found:#010x}, expected {expected:#010x}"),
            ));
        }
        let (major, incompat, ro_compat) = (u32_at(8) as u16, u64_at(16), u64_at(24));
        if major != MAJOR || u32_at(12) as usize != HEADER || incompat != 0 || ro_compat != 0 {
            return Err((
                8,
                format!(
                    "format {major} with features {incompat:#x} and {ro_compat:#x}; this version reads {MAJOR} without \
                     them: use a newer atoll"
                ),
            ));
        }
        let length = u64_at(80);
        if body.len() as u64 != length {
            let what = format!("{} bytes follow the header instead of {length}", body.len());
            return Err((80, what));
        }
        let (expected, found) = (crc32c::crc32c(body), u32_at(88));
        if expected != found {
            return Err((
                88,
                format!("body checksum {found:#010x}, expected {expected:#010x}"),
            ));
        }
        let mut owner = [0u8; 16];
        owner.copy_from_slice(&header[40..56]);
        let mut take = Take { body, at: 0 };
        let extra = take.block()?.to_vec();
        let mut stores = Vec::new();
        for _ in 0..u32_at(72) {
            stores.push(take.store()?);
        }
        if take.at != body.len() {
            return Err(take.wrong("bytes behind the last store"));
        }
        Ok(Catalogue {
            owner: Uuid(owner),
            sequence: u64_at(56),
            wall_ms: u64_at(64),
            extra,
            stores,
        })
    }

    /// Reads the catalogue of the backup in `dir`; `None` if it has none.
    ///
    /// # Errors
    /// [`BackupError::Damaged`], and the disk's.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Catalogue>, BackupError> {
        let path = dir.join(BACKUP_FILE);
        if !disk.exists(&path).map_err(BackupError::io("look up", &path))? {
            return Ok(None);
        }
        let file = disk
            .open(&path, OpenMode::Read)
            .map_err(BackupError::io("open", &path))?;
        let len = file.len().map_err(BackupError::io("measure", &path))?;
        if len > MAX_BYTES {
            return Err(BackupError::damaged(
                &path,
                MAX_BYTES,
                "longer than any catalogue",
            ));
        }
        let mut bytes = vec![0u8; len as usize];
        let read = file
            .read_at(&mut bytes, 0)
            .map_err(BackupError::io("read", &path))?;
        Catalogue::decode(&bytes[..read])
            .map(Some)
            .map_err(|(offset, what)| BackupError::damaged(&path, offset, what))
    }

    /// Puts the catalogue in the place of the one before, durably: from here on `dir` is this backup.
    pub(super) fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), BackupError> {
        let path = dir.join(BACKUP_FILE);
        let draft = dir.join(format!("{BACKUP_FILE}.new"));
        if disk.exists(&draft).map_err(BackupError::io("look up", &draft))? {
            disk.remove_file(&draft)
                .map_err(BackupError::io("remove", &draft))?;
        }
        let file = disk.create(&draft).map_err(BackupError::io("create", &draft))?;
        file.write_all_at(&self.encode(), 0)
            .map_err(BackupError::io("write", &draft))?;
        file.sync_data().map_err(BackupError::io("sync", &draft))?;
        disk.rename(&draft, &path)
            .map_err(BackupError::io("rename", &draft))?;
        disk.sync_dir(dir).map_err(BackupError::io("sync", dir))
    }

    /// Path of a file of a store of the backup in `dir`.
    #[must_use]
    pub fn path_of(dir: &Path, store: &StoreRecord, file: &CopyRecord) -> PathBuf {
        dir.join(store.dir_name()).join(file.name())
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.stores.iter().map(StoreRecord::bytes).sum()
    }
}

/// Cursor over the body, whose checksum fits: what it says was written by some version, which may
/// still be wrong.
struct Take<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Take<'a> {
    fn wrong(&self, what: &str) -> (u64, String) {
        ((HEADER + self.at) as u64, what.to_owned())
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], (u64, String)> {
        let found = self.body[self.at..].get(..count);
        let found = found.ok_or_else(|| self.wrong("the body contradicts its counts"))?;
        self.at += count;
        Ok(found)
    }

    fn u32(&mut self) -> Result<u32, (u64, String)> {
        Ok(u32::from_le_bytes(self.bytes(4)?.try_into().expect("four bytes")))
    }

    fn block(&mut self) -> Result<&'a [u8], (u64, String)> {
        let count = self.u32()?;
        self.bytes(count as usize)
    }

    fn store(&mut self) -> Result<StoreRecord, (u64, String)> {
        let start = (HEADER + self.at) as u64;
        let page = self.bytes(PAGE_BYTES)?.try_into().expect("a page");
        let control = Control::decode(page).map_err(|error| (start, format!("control page: {error}")))?;
        let start = (HEADER + self.at) as u64;
        let manifest = Manifest::decode(self.block()?)
            .map_err(|(offset, what)| (start + 4 + offset, format!("manifest: {what}")))?;
        let count = self.u32()? as usize;
        let start = (HEADER + self.at) as u64;
        let records = self.bytes(count.saturating_mul(FILE_BYTES))?;
        let files = records.chunks_exact(FILE_BYTES).map(file_record);
        let store = StoreRecord {
            control,
            manifest,
            files: files
                .collect::<Result<_, String>>()
                .map_err(|what| (start, what))?,
        };
        check(&store).map_err(|what| (start, what))?;
        Ok(store)
    }
}

fn file_record(bytes: &[u8]) -> Result<CopyRecord, String> {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let kind = match u32_at(0) {
        1 => CopyKind::Segment,
        2 => CopyKind::Tail,
        3 => CopyKind::Table,
        other => return Err(format!("kind {other} of a file is not known")),
    };
    Ok(CopyRecord {
        kind,
        crc: u32_at(4),
        number: u64_at(8),
        first: Lsn(u64_at(16)),
        end: Lsn(u64_at(24)),
        bytes: u64_at(32),
        sequence: u64_at(40),
    })
}

/// Whether the files make up the log and the tables that control page and manifest speak of.
fn check(store: &StoreRecord) -> Result<(), String> {
    let mut at = store.control.log_start;
    let mut number = 0;
    for file in store.files.iter().filter(|file| file.kind != CopyKind::Table) {
        let records = file.end.0.checked_sub(file.first.0).filter(|bytes| *bytes > 0);
        if file.first != at
            || file.number <= number
            || records.and_then(|bytes| bytes.checked_add(PAGE_BYTES as u64)) != Some(file.bytes)
        {
            return Err(format!(
                "segment {} does not continue the log at {at}",
                file.number
            ));
        }
        (at, number) = (file.end, file.number);
    }
    if at != store.control.tail {
        return Err(format!(
            "the segments end at {at}, the backup at {}",
            store.control.tail
        ));
    }
    if store.manifest.store != store.control.store {
        return Err("the manifest belongs to another store".into());
    }
    let named = store.manifest.runs.iter().flat_map(|run| &run.tables);
    let mut named: Vec<_> = named.map(|table| (table.number, table.file_bytes)).collect();
    let tables = store.files.iter().filter(|file| file.kind == CopyKind::Table);
    let mut listed: Vec<_> = tables.map(|file| (file.number, file.bytes)).collect();
    named.sort_unstable();
    listed.sort_unstable();
    if named != listed {
        return Err("the tables are not those that the manifest names".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Epoch, Hlc};
    use crate::log::header::{Chain, StoreState};
    use crate::store::manifest::{RunRecord, TableRecord};

    fn sample() -> Catalogue {
        let store = Uuid([9; 16]);
        let control = Control {
            cluster: Uuid([3; 16]),
            shard: ShardId(5),
            node: 7,
            store,
            incarnation: 4,
            open_generation: 6,
            boot_id: [0; 16],
            state: StoreState::Clean,
            tail: Lsn(1000),
            durable: Lsn(1000),
            epoch: Epoch(3),
            hlc: Hlc(77),
            chain: Chain::default(),
            records: 12,
            index_seed: 99,
            log_start: Lsn(80),
            released_records: 1,
        };
        let manifest = Manifest {
            through: Lsn(200),
            generation: 3,
            next_table: 9,
            runs: vec![RunRecord {
                after: None,
                growing: false,
                tables: vec![TableRecord {
                    number: 8,
                    slot: 0x8001,
                    file_bytes: 12_288,
                    entries: 3,
                }],
            }],
            ..Manifest::empty(store)
        };
        let segment = CopyRecord {
            kind: CopyKind::Segment,
            number: 2,
            first: Lsn(80),
            end: Lsn(400),
            bytes: 4096 + 320,
            crc: 1,
            sequence: 0,
        };
        let tail = CopyRecord {
            kind: CopyKind::Tail,
            number: 3,
            first: Lsn(400),
            end: Lsn(1000),
            bytes: 4096 + 600,
            crc: 2,
            sequence: 11,
        };
        let table = CopyRecord {
            kind: CopyKind::Table,
            number: 8,
            first: Lsn::ZERO,
            end: Lsn::ZERO,
            bytes: 12_288,
            crc: 3,
            sequence: 0,
        };
        Catalogue {
            owner: store,
            sequence: 11,
            wall_ms: 1_700_000_000_000,
            extra: b"what the owner keeps".to_vec(),
            stores: vec![StoreRecord {
                control,
                manifest,
                files: vec![segment, tail, table],
            }],
        }
    }

    #[test]
    fn a_catalogue_comes_back_and_every_flipped_bit_is_noticed() {
        let catalogue = sample();
        let bytes = catalogue.encode();
        assert_eq!(Catalogue::decode(&bytes), Ok(catalogue));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(Catalogue::decode(&flipped).is_err(), "byte {at}");
            assert!(Catalogue::decode(&bytes[..at]).is_err(), "length {at}");
        }
    }

    #[test]
    fn files_that_do_not_make_up_the_store_are_refused() {
        let change = |change: fn(&mut StoreRecord)| {
            let mut catalogue = sample();
            change(&mut catalogue.stores[0]);
            Catalogue::decode(&catalogue.encode()).unwrap_err().1
        };
        let check = |found: String, expected: &str| assert!(found.contains(expected), "{found}");
        check(change(|store| store.files.rotate_left(1)), "does not continue");
        check(change(|store| store.files.truncate(1)), "end at 400");
        check(change(|store| store.files.truncate(2)), "the manifest names");
        check(change(|store| store.files.swap(0, 1)), "does not continue");
        check(change(|store| store.files[0].bytes += 8), "does not continue");
        check(
            change(|store| store.files[1].end = Lsn(u64::MAX)),
            "does not continue",
        );
        check(change(|store| store.files[2].bytes = 1), "the manifest names");
        check(change(|store| store.manifest.store = Uuid::NIL), "another store");
    }

    #[test]
    fn arbitrary_bytes_behind_good_checksums_never_panic() {
        let good = sample().encode();
        for at in HEADER..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let crc = crc32c::crc32c(&bytes[HEADER..]);
                bytes[88..92].copy_from_slice(&crc.to_le_bytes());
                let crc = crc32c::crc32c(&bytes[..92]);
                bytes[92..96].copy_from_slice(&crc.to_le_bytes());
                if let Ok(catalogue) = Catalogue::decode(&bytes) {
                    assert_eq!(catalogue.encode().len(), bytes.len());
                }
            }
        }
    }
}
