//! Files that a newer version has written, held against the rules of docs/FORMAT.md: what is optional is
//! passed over, what is not refuses the store with file and version, and nothing is taken for damage.

use std::path::{Path, PathBuf};

use atoll::io::sim::SimDisk;
use atoll::io::{Disk, Env, OpenMode};
use atoll::log::LogError;
use atoll::store::table::TableError;
use atoll::store::{Durability, IndexState, Store, StoreError};

use super::{DIR, env, golden, options, unpack};

/// Where a page's checksum stands, and over what.
const PAGE_CRC: usize = 4092;

fn golden_disk() -> SimDisk {
    unpack(&std::fs::read(golden("store-compacted-1.0.bin")).expect("golden file"))
}

fn open(disk: &SimDisk) -> Result<Store, StoreError> {
    Store::open(&env(disk), Path::new(DIR), &options())
}

fn reads(store: &Store) {
    assert_eq!(&*store.get(b"alpha").expect("readable").expect("there"), b"again");
    assert_eq!(
        &*store.get(b"key002").expect("readable").expect("there"),
        b"after"
    );
    assert!(store.verify(&mut |_, _| {}).expect("verifies").damage.is_empty());
}

/// A header of a file of the golden store: its offset, and where its checksum stands in it.
struct Header {
    path: PathBuf,
    offset: u64,
    crc_at: usize,
}

impl Header {
    /// The footer of a segment repeats what its header says; opening a store does not always look at it.
    fn is_repeated(&self) -> bool {
        self.offset > 0 && self.path.extension().is_some_and(|extension| extension == "seg")
    }
}

/// Every header that carries a version.
fn headers(disk: &SimDisk) -> Vec<Header> {
    let mut all = Vec::new();
    for path in disk.paths() {
        let name = path
            .strip_prefix(DIR)
            .expect("inside")
            .to_string_lossy()
            .into_owned();
        let bytes = disk.read_whole(&path).expect("readable");
        let page = |offset: usize| Header {
            path: path.clone(),
            offset: offset as u64,
            crc_at: PAGE_CRC,
        };
        if name == "MANIFEST" {
            all.push(Header {
                crc_at: 100,
                ..page(0)
            });
        } else if name == "CONTROL" {
            all.push(page(0));
        } else if name.ends_with(".seg") || name.ends_with(".tbl") {
            all.push(page(0));
            let last = bytes.len() - 4096;
            if bytes[last..].starts_with(b"ATOLL") {
                all.push(page(last));
            }
        }
    }
    all
}

/// Changes bytes of a header, and its checksum with them.
fn patch(disk: &SimDisk, header: &Header, at: usize, bytes: &[u8]) {
    let whole = disk.read_whole(&header.path).expect("readable");
    let start = header.offset as usize;
    let mut page = whole[start..start + header.crc_at + 4].to_vec();
    page[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&page[..header.crc_at]);
    page[header.crc_at..].copy_from_slice(&crc.to_le_bytes());
    disk.open(&header.path, OpenMode::ReadWrite)
        .expect("opens")
        .write_all_at(&page, header.offset)
        .expect("written");
}

#[test]
fn golden_store_has_every_kind_of_header() {
    let headers = headers(&golden_disk());
    let count = |end: &str| {
        let of = headers
            .iter()
            .filter(|header| header.path.to_string_lossy().ends_with(end));
        of.count()
    };
    assert_eq!((count("CONTROL"), count("MANIFEST"), count(".tbl")), (1, 1, 2));
    assert!(
        count(".seg") >= 3,
        "a header and a footer, and the active segment"
    );
}

#[test]
fn newer_minor_version_and_optional_features_are_read() {
    for n in 0..headers(&golden_disk()).len() {
        for (at, bytes) in [(10, &[9u8, 0][..]), (32, &[0xFF; 8])] {
            let disk = golden_disk();
            let header = &headers(&disk)[n];
            patch(&disk, header, at, bytes);
            let store = open(&disk).unwrap_or_else(|e| panic!("{} at {at}: {e}", header.path.display()));
            reads(&store);
            store.resume_epoch(store.epoch()).expect("goes on");
            store.put(b"more", b"writes", Durability::Synced).expect("put");
            store.close().expect("closes");
            reads(&open(&disk).expect("opens again"));
        }
    }
}

#[test]
fn newer_major_version_and_required_features_are_refused_with_file_and_version() {
    for n in 0..headers(&golden_disk()).len() {
        if headers(&golden_disk())[n].is_repeated() {
            continue;
        }
        for (at, bytes, says) in [
            (8, &[2u8, 0][..], "format 2.0 with features 0x0 and 0x0"),
            (16, &[4], "format 1.0 with features 0x4 and 0x0"),
            (24, &[1], "format 1.0 with features 0x0 and 0x1"),
        ] {
            let disk = golden_disk();
            let header = &headers(&disk)[n];
            let context = format!("{} offset {}: byte {at}", header.path.display(), header.offset);
            let whole = disk.read_whole(&header.path).expect("readable");
            patch(&disk, header, at, bytes);
            let before = files(&disk);
            let error = open(&disk).map(drop).expect_err(&context);
            let path = match &error {
                StoreError::Log(LogError::NewerFormat { path, .. })
                | StoreError::Table(TableError::NewerFormat { path, .. }) => path,
                other => panic!("{context}: {other}"),
            };
            assert_eq!(*path, header.path, "{context}");
            let text = error.to_string();
            assert!(
                text.contains(says) && text.contains("this version reads 1.x"),
                "{context}: {text}"
            );
            assert!(text.contains("use a newer atoll"), "{context}: {text}");
            assert!(error.damage().is_none(), "{context}: nothing is damaged");
            assert_eq!(
                files(&disk),
                before,
                "{context}: the older program has left everything as it was"
            );
            // And indeed: the version that knows the file opens it.
            disk.open(&header.path, OpenMode::ReadWrite)
                .expect("opens")
                .write_all_at(&whole, 0)
                .expect("written");
            reads(&open(&disk).expect(&context));
        }
    }
}

/// Everything but the lock and the cache.
fn files(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = disk.paths().into_iter();
    let kept =
        paths.filter(|path| !path.ends_with("LOCK") && !path.starts_with(Path::new(DIR).join("index")));
    kept.map(|path| {
        let bytes = disk.read_whole(&path).expect("readable");
        (path, bytes)
    })
    .collect()
}

#[test]
fn newer_index_is_built_anew_because_it_is_a_cache() {
    for (at, bytes) in [(8, &[2u8, 0][..]), (16, &[1])] {
        let disk = golden_disk();
        let store = open(&disk).expect("opens");
        store.resume_epoch(store.epoch()).expect("goes on");
        store.put(b"more", b"writes", Durability::Buffered).expect("put");
        store.close().expect("closes");
        assert_eq!(*open(&disk).expect("opens").index_state(), IndexState::Trusted);
        let header = Header {
            path: Path::new(DIR).join("index/index.clean"),
            offset: 0,
            crc_at: 124,
        };
        patch(&disk, &header, at, bytes);
        let store = open(&disk).expect("opens all the same");
        match store.index_state() {
            IndexState::Rebuilt(why) => assert!(why.contains("index.clean: format"), "{why}"),
            other => panic!("{other:?}"),
        }
        reads(&store);
    }
}

#[test]
fn newer_live_page_is_made_anew_by_a_writer_and_not_believed_by_a_reader() {
    use atoll::store::ReaderOptions;
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().join("store");
    let disk = golden_disk();
    for path in disk.paths() {
        let to = dir.join(path.strip_prefix(DIR).expect("inside"));
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("created");
        std::fs::write(to, disk.read_whole(&path).expect("readable")).expect("written");
    }
    let read = || Store::open_reader(&Env::os(), &dir, &ReaderOptions::default());
    let write = || Store::open(&Env::os(), &dir, &options()).expect("opens");
    write().close().expect("closes");
    assert!(
        read()
            .expect("closed cleanly")
            .get(b"alpha")
            .expect("readable")
            .is_some()
    );
    let live = dir.join("LIVE");
    let mut bytes = std::fs::read(&live).expect("made by the writer");
    assert_eq!(bytes[8..16], 1u64.to_ne_bytes());
    bytes[8..16].copy_from_slice(&2u64.to_ne_bytes());
    std::fs::write(&live, &bytes).expect("written");
    let closed = read().expect("a closed store needs no such page");
    assert!(closed.get(b"alpha").expect("readable").is_some());
    drop(closed);
    let store = write();
    reads(&store);
    let reader = read().expect("the writer has made it anew");
    assert_eq!(
        &*reader.get(b"alpha").expect("readable").expect("there"),
        b"again"
    );
    store.close().expect("closes");
    assert_eq!(std::fs::read(&live).expect("there")[8..16], 1u64.to_ne_bytes());
}
