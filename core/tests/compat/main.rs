//! Bytes on disk, held against files that are part of the repository.
//!
//! A difference is a format change: it needs a new version number, a line in `docs/FORMAT.md` and
//! in the changelog, and these files written again (`ATOLL_BLESS=1 cargo test --test compat`).
//! Files of released versions stay, and must keep opening.

mod newer;
mod versions;

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use atoll::ids::{Epoch, Hlc, Lsn, ShardId, SlotId, Uuid};
use atoll::io::clock::{ManualClock, SeededEntropy};
use atoll::io::sim::SimDisk;
use atoll::io::{Disk, Env};
use atoll::log::format::{CrcSeed, RecordFlags, RecordKind, RecordParts, batch_header, ext, pad_header};
use atoll::log::header::{Chain, Control, SegmentFooter, SegmentHeader, StoreState};
use atoll::log::payload::{EpochStart, Group, Ingest, SlotsFrozen, SlotsOwned};
use atoll::log::view::RecordView;
use atoll::store::manifest::{Manifest, RunRecord, TableRecord};
use atoll::store::{
    CompactionLimits, Durability, Expires, Store, StoreIdentity, StoreOptions, WriteBatch, WritePath,
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/compat/golden")
        .join(name)
}

/// Compares `bytes` with the golden file, or writes it when asked to.
fn check(name: &str, bytes: &[u8]) {
    let path = golden(name);
    if std::env::var_os("ATOLL_BLESS").is_some() {
        std::fs::write(&path, bytes).expect("golden file written");
    }
    let expected = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let first = expected.iter().zip(bytes).position(|(a, b)| a != b);
    assert!(
        expected == bytes,
        "{name} differs from its golden file at byte {first:?} (lengths {} and {})",
        expected.len(),
        bytes.len()
    );
}

fn seed() -> CrcSeed {
    CrcSeed::new(Uuid([0x11; 16]), ShardId(7), Epoch(3))
}

/// One record of every kind, back to back from position 0.
fn all_kinds() -> Vec<u8> {
    let mut out = Vec::new();
    let push = |out: &mut Vec<u8>, parts: RecordParts<'_>| {
        let lsn = Lsn(out.len() as u64);
        let size = parts.size().expect("small");
        parts.encode_into(seed(), size, lsn, Hlc(0x0001_8BCF_E568_0000 + lsn.0), out);
    };
    let group = Group {
        durable: Lsn(4096),
        wall_ms: 1_700_000_000_000,
        chain_through: Lsn(4000),
        chain: [0xAB; 16],
    };
    let start = EpochStart {
        epoch: Epoch(3),
        previous: Epoch(2),
        holder: 0x0102_0304,
        incarnation: 9,
    };
    let frozen = SlotsFrozen {
        slots: vec![SlotId(1), SlotId(4095)],
        topology_version: 12,
        mover_epoch: 4,
        target: ShardId(8),
    };
    let owned = SlotsOwned {
        slots: vec![SlotId(1), SlotId(4095)],
        source: ShardId(7),
        source_epoch: Epoch(3),
        freeze: Lsn(800),
        floor: Lsn(64),
        topology_version: 12,
    };
    // Expiry: type, words, aux, inline data, stamp.
    let mut expiry = vec![ext::EXPIRY, 1, 0, 0, 0, 0, 0, 0];
    expiry.extend_from_slice(&0x0001_8BCF_E568_FFFFu64.to_le_bytes());
    let with_ttl = RecordFlags(RecordFlags::TTL);
    let system = RecordFlags(RecordFlags::SYSTEM);

    push(
        &mut out,
        RecordParts::new(RecordKind::EpochStart, b"", &start.encode(), Lsn::ZERO),
    );
    push(
        &mut out,
        RecordParts::new(RecordKind::Put, b"key", b"value", Lsn::ZERO),
    );
    push(
        &mut out,
        RecordParts::new(RecordKind::Put, "키".as_bytes(), &[0xEE; 17], Lsn(80)),
    );
    let ttl = RecordParts::new(RecordKind::Put, b"", b"", Lsn::ZERO);
    push(
        &mut out,
        RecordParts {
            flags: with_ttl,
            ext: &expiry,
            ..ttl
        },
    );
    push(
        &mut out,
        RecordParts::new(RecordKind::Delete, b"key", b"", Lsn(80)),
    );
    let lsn = out.len() as u64;
    let mut members = Vec::new();
    for (key, value) in [(b"a", &b"1"[..]), (b"b", b"22")] {
        let parts = RecordParts::new(RecordKind::Put, key, value, Lsn::ZERO);
        let at = Lsn(lsn + 48 + members.len() as u64);
        parts.encode_into(seed(), parts.size().expect("small"), at, Hlc(77), &mut members);
    }
    out.extend_from_slice(&batch_header(seed(), &members, Lsn(lsn), Hlc(77)));
    out.extend_from_slice(&members);
    let lsn = Lsn(out.len() as u64);
    out.extend_from_slice(&pad_header(seed(), 64, lsn));
    out.extend_from_slice(&[0; 16]);
    push(
        &mut out,
        RecordParts::new(RecordKind::Group, b"", &group.encode(), Lsn::ZERO),
    );
    push(
        &mut out,
        RecordParts::new(RecordKind::Merge, b"counter", &1u64.to_le_bytes(), Lsn::ZERO),
    );
    push(&mut out, RecordParts::new(RecordKind::Seal, b"", b"", Lsn::ZERO));
    push(
        &mut out,
        RecordParts::new(RecordKind::Ingest, b"", &[0x5A; 40], Lsn::ZERO),
    );
    let frozen_value = frozen.encode();
    let frozen = RecordParts::new(RecordKind::SlotFrozen, b"hand-over", &frozen_value, Lsn::ZERO);
    push(
        &mut out,
        RecordParts {
            flags: system,
            ..frozen
        },
    );
    let owned_value = owned.encode();
    let owned = RecordParts::new(RecordKind::SlotOwned, b"hand-over", &owned_value, Lsn(800));
    push(
        &mut out,
        RecordParts {
            flags: system,
            ..owned
        },
    );
    out
}

#[test]
fn every_kind_of_record_keeps_its_bytes() {
    check("records.bin", &all_kinds());
}

#[test]
fn golden_records_are_valid_and_say_what_was_written() {
    let bytes = std::fs::read(golden("records.bin")).expect("golden file");
    let mut kinds = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let record = RecordView::parse(&bytes[at..], seed(), Lsn(at as u64)).expect("valid");
        record.verify_payload(seed()).expect("valid payload");
        match record.kind() {
            RecordKind::EpochStart => {
                assert_eq!(
                    EpochStart::decode(record.value()).expect("decodes").epoch,
                    Epoch(3)
                );
            }
            RecordKind::Group => {
                assert_eq!(Group::decode(record.value()).expect("decodes").chain, [0xAB; 16]);
            }
            RecordKind::Batch => {
                let keys: Vec<Vec<u8>> = record
                    .members(seed())
                    .map(|m| m.expect("valid").key().to_vec())
                    .collect();
                assert_eq!(keys, [b"a", b"b"]);
            }
            RecordKind::Ingest => {
                let ingest = Ingest::decode(record.value()).expect("decodes");
                assert_eq!((ingest.load, ingest.content), ([0x5A; 16], [0x5A; 16]));
                assert_eq!(ingest.encode(), *record.value());
            }
            RecordKind::SlotFrozen => {
                assert_eq!(
                    SlotsFrozen::decode(record.value()).expect("decodes").target,
                    ShardId(8)
                );
                assert!(record.is_system());
            }
            RecordKind::SlotOwned => {
                assert_eq!(
                    SlotsOwned::decode(record.value()).expect("decodes").freeze,
                    Lsn(800)
                );
            }
            _ => {}
        }
        kinds.push(record.kind() as u8);
        at += record.size();
    }
    assert_eq!(kinds, [7, 2, 2, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12]);
}

#[test]
fn pages_keep_their_bytes() {
    let header = SegmentHeader {
        cluster: Uuid([0x11; 16]),
        shard: ShardId(7),
        epoch: Epoch(3),
        node: 0xAABB_CCDD,
        incarnation: 2,
        open_generation: 5,
        number: 42,
        first_lsn: Lsn(123_456),
        capacity: 1 << 20,
        durable: Lsn(120_000),
        chain: Chain {
            through: 119_000,
            hash: [0x22; 16],
        },
        hlc: Hlc(0x0001_8BCF_E568_0001),
        boot_id: [0x33; 16],
        store: Uuid([0x44; 16]),
        follower: true,
    };
    let footer = SegmentFooter {
        number: 42,
        end: Lsn(130_000),
        records: 17,
        hlc: Hlc(0x0001_8BCF_E568_0002),
        chain: Chain {
            through: 129_000,
            hash: [0x55; 16],
        },
    };
    let control = Control {
        cluster: Uuid([0x11; 16]),
        shard: ShardId(7),
        node: 0xAABB_CCDD,
        store: Uuid([0x44; 16]),
        incarnation: 2,
        open_generation: 5,
        boot_id: [0x33; 16],
        state: StoreState::Open,
        tail: Lsn(130_000),
        durable: Lsn(129_000),
        epoch: Epoch(3),
        hlc: Hlc(9),
        chain: Chain {
            through: 129_000,
            hash: [0x55; 16],
        },
        records: 17,
        index_seed: 0x6677_8899,
        log_start: Lsn::ZERO,
        released_records: 0,
    };
    check("segment-header.bin", &header.encode());
    check("segment-footer.bin", &footer.encode());
    check("control.bin", &control.encode());
    assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    assert_eq!(SegmentFooter::decode(&footer.encode()), Ok(footer));
    assert_eq!(Control::decode(&control.encode()), Ok(control));
}

#[test]
fn control_page_of_a_log_that_begins_later_keeps_its_bytes() {
    let bytes = std::fs::read(golden("control.bin")).expect("golden file");
    let page = bytes.as_slice().try_into().expect("a page");
    let control = Control {
        log_start: Lsn(70_000),
        released_records: 11,
        ..Control::decode(&page).expect("decodes")
    };
    check("control-released.bin", &control.encode());
    assert_eq!(Control::decode(&control.encode()), Ok(control));
}

#[test]
fn manifest_keeps_its_bytes() {
    let table = |number, slot| TableRecord {
        number,
        slot,
        file_bytes: 40_960,
        entries: 200,
    };
    let run = |tables, after: Option<&[u8]>, growing| RunRecord {
        after: after.map(<[u8]>::to_vec),
        growing,
        tables,
    };
    let manifest = Manifest {
        store: Uuid([0x44; 16]),
        generation: 9,
        through: Lsn(130_000),
        next_table: 6,
        epochs: vec![(Epoch(1), Lsn(0)), (Epoch(3), Lsn(8_000))],
        runs: vec![
            run(vec![table(5, 0x8005)], None, false),
            run(
                vec![table(1, 0x8001), table(2, 0x8002)],
                Some("이름".as_bytes()),
                false,
            ),
            run(vec![table(4, 0xFFFF)], None, true),
        ],
    };
    check("manifest.bin", &manifest.encode());
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
}

const DIR: &str = "/golden/store";

fn env(disk: &SimDisk) -> Env {
    Env {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(ManualClock::new(1_700_000_000_000)),
        entropy: Arc::new(SeededEntropy::new(2026)),
    }
}

fn options() -> StoreOptions {
    let identity = StoreIdentity {
        cluster: Uuid([0x11; 16]),
        shard: ShardId(7),
        node: 0xAABB_CCDD,
    };
    StoreOptions {
        write_path: WritePath::Map,
        segment_max_bytes: 1 << 20,
        ..StoreOptions::new(identity)
    }
}

/// A small store with two epochs, written in this order by every version.
fn write_store(disk: &SimDisk) {
    let store = Store::open(&env(disk), Path::new(DIR), &options()).expect("opens");
    store.begin_epoch(Epoch(1), 0xAABB_CCDD, 1).expect("leads");
    store.put(b"alpha", b"one", Durability::Synced).expect("put");
    store
        .put("이름".as_bytes(), &[9; 300], Durability::Buffered)
        .expect("put");
    let mut batch = WriteBatch::new();
    // In the order of the keys, as they stand in the golden file: batches keep the order they are given.
    batch.delete("alpha");
    batch.put("beta", "two");
    store.write(&batch, Durability::Synced).expect("written");
    store.begin_epoch(Epoch(2), 0xAABB_CCDD, 1).expect("leads");
    store.put(b"alpha", b"again", Durability::Buffered).expect("put");
    store.close().expect("closes");
}

/// Files as `path, length, bytes without the zeros at their end`, so that the zeros a segment is
/// filled with need not be kept.
fn pack(disk: &SimDisk) -> Vec<u8> {
    let mut out = Vec::new();
    for path in disk.paths() {
        let name = path
            .strip_prefix(DIR)
            .expect("inside the store")
            .to_string_lossy()
            .into_owned();
        if name == "LOCK" || name.starts_with("index") {
            continue;
        }
        let bytes = disk.read_whole(&path).expect("readable");
        // Sealed segments end in a footer; keep only the places that are not zero, by page.
        let pages: Vec<(usize, &[u8])> = bytes
            .chunks(4096)
            .enumerate()
            .filter(|(_, page)| page.iter().any(|byte| *byte != 0))
            .collect();
        out.extend_from_slice(&(name.len() as u32).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(&(pages.len() as u32).to_le_bytes());
        for (number, page) in pages {
            out.extend_from_slice(&(number as u32).to_le_bytes());
            let mut whole = page.to_vec();
            whole.resize(4096, 0);
            out.extend_from_slice(&whole);
        }
    }
    out
}

fn unpack(mut bytes: &[u8]) -> SimDisk {
    fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
        let (head, rest) = bytes.split_at(len);
        *bytes = rest;
        head
    }
    let u32_of = |b: &[u8]| u32::from_le_bytes(b.try_into().expect("four bytes"));
    let disk = SimDisk::new(1);
    while !bytes.is_empty() {
        let name_len = u32_of(take(&mut bytes, 4)) as usize;
        let name = String::from_utf8(take(&mut bytes, name_len).to_vec()).expect("a name");
        let len = u64::from_le_bytes(take(&mut bytes, 8).try_into().expect("eight bytes"));
        let path = Path::new(DIR).join(name);
        disk.create_dir_all(path.parent().expect("a parent"))
            .expect("created");
        let file = disk.create(&path).expect("created");
        file.allocate(len).expect("allocated");
        for _ in 0..u32_of(take(&mut bytes, 4)) {
            let number = u32_of(take(&mut bytes, 4)) as usize;
            let page = take(&mut bytes, 4096);
            let end = (number * 4096 + 4096).min(len as usize);
            file.write_all_at(&page[..end - number * 4096], number as u64 * 4096)
                .expect("written");
        }
    }
    disk
}

#[test]
fn store_keeps_its_bytes() {
    let disk = SimDisk::new(1);
    write_store(&disk);
    check("store-1.0.bin", &pack(&disk));
}

/// The same store, a little larger and compacted, with a log that goes on after the tables.
fn write_compacted(disk: &SimDisk) {
    write_store(disk);
    let store = Store::open(&env(disk), Path::new(DIR), &options()).expect("opens");
    store.resume_epoch(Epoch(2)).expect("closed by its primary");
    for n in 0..100u32 {
        store
            .put(
                format!("key{:03}", n * 7 % 100).as_bytes(),
                &[n as u8; 40],
                Durability::Buffered,
            )
            .expect("put");
    }
    let slots = SlotsFrozen {
        slots: vec![SlotId(3), SlotId(9)],
        topology_version: 4,
        mover_epoch: 2,
        target: ShardId(1),
    };
    store.append_slots_frozen(&slots).expect("recorded");
    store.delete(b"key000", Durability::Buffered).expect("deleted");
    let held = store.snapshot();
    store.put(b"key001", b"newer", Durability::Buffered).expect("put");
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    drop(held);
    store.put(b"key002", b"after", Durability::Buffered).expect("put");
    store.close().expect("closes");
}

#[test]
fn compacted_store_keeps_its_bytes() {
    let disk = SimDisk::new(1);
    write_compacted(&disk);
    check("store-compacted-1.0.bin", &pack(&disk));
    let tables: Vec<PathBuf> = disk
        .paths()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "tbl"))
        .collect();
    assert_eq!(tables.len(), 1);
    check("table.bin", &disk.read_whole(&tables[0]).expect("readable"));
}

/// Values that expire, in a table and in the log after it.
fn write_expiring(disk: &SimDisk) {
    let store = Store::open(&env(disk), Path::new(DIR), &options()).expect("opens");
    store.begin_epoch(Epoch(1), 0xAABB_CCDD, 1).expect("leads");
    let minute = Expires::After(Duration::from_secs(60));
    store
        .put_expiring(b"minute", b"x", minute, Durability::Buffered)
        .expect("put");
    let mut batch = WriteBatch::new();
    batch.put("stays", "y");
    batch.put_expiring("이름", [9; 300], Expires::AtMs(1_700_000_001_000));
    store.write(&batch, Durability::Buffered).expect("written");
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    store
        .put_expiring(b"stays", b"no longer", minute, Durability::Buffered)
        .expect("put");
    store.close().expect("closes");
}

#[test]
fn values_that_expire_keep_their_bytes() {
    let disk = SimDisk::new(1);
    write_expiring(&disk);
    check("store-expiry-1.0.bin", &pack(&disk));
    let is_table = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tbl");
    let table = disk.paths().into_iter().find(is_table).expect("one table");
    let bytes = disk.read_whole(&table).expect("readable");
    check("table-expiry.bin", &bytes);
    let footer = &bytes[bytes.len() - 4096..];
    let word = |at: usize| u64::from_le_bytes(footer[at..at + 8].try_into().expect("eight bytes"));
    assert_eq!((word(160), word(168)), (2, 1_700_000_001_000));
}

/// A load over records, and records over the load.
fn write_loaded(disk: &SimDisk) {
    let store = Store::open(&env(disk), Path::new(DIR), &options()).expect("opens");
    store.begin_epoch(Epoch(1), 0xAABB_CCDD, 1).expect("leads");
    store.put(b"alpha", b"before", Durability::Buffered).expect("put");
    store.put(b"omega", b"before", Durability::Buffered).expect("put");
    let mut load = store.bulk_load().expect("begins");
    load.put(b"alpha", b"loaded").expect("in order");
    load.put_expiring(b"beta", b"loaded", Expires::AtMs(1_700_000_001_000))
        .expect("in order");
    load.put("이름".as_bytes(), &[9; 300]).expect("in order");
    store.finish_bulk_load(load).expect("loaded");
    store.put(b"beta", b"after", Durability::Buffered).expect("put");
    store.close().expect("closes");
}

#[test]
fn loaded_store_keeps_its_bytes() {
    let disk = SimDisk::new(1);
    write_loaded(&disk);
    check("store-loaded-1.0.bin", &pack(&disk));
}

#[test]
fn loaded_store_written_by_format_1_0_opens_reads_and_goes_on() {
    let disk = unpack(&std::fs::read(golden("store-loaded-1.0.bin")).expect("golden file"));
    let store = Store::open(&env(&disk), Path::new(DIR), &options()).expect("opens");
    assert!(store.recovery().was_clean());
    let get = |key: &[u8]| store.get(key).expect("readable").map(|value| value.to_vec());
    assert_eq!(get(b"alpha").as_deref(), Some(&b"loaded"[..]));
    assert_eq!(get(b"beta").as_deref(), Some(&b"after"[..]));
    assert_eq!(get(b"omega").as_deref(), Some(&b"before"[..]));
    assert_eq!(get("이름".as_bytes()), Some(vec![9; 300]));
    // The version that the load had, below the record that names it as its predecessor.
    let newest = store.get(b"beta").expect("readable").expect("there").lsn();
    let loaded = store.get_at(b"beta", newest).expect("readable").expect("there");
    assert_eq!(
        (&*loaded, loaded.expires_at_ms()),
        (&b"loaded"[..], Some(1_700_000_001_000))
    );
    assert!(store.verify(&mut |_, _| {}).expect("verifies").damage.is_empty());
    store
        .resume_epoch(Epoch(1))
        .expect("it was closed by its primary");
    store.load_sorted([("alpha", "again")]).expect("loaded");
    assert_eq!(get(b"alpha").as_deref(), Some(&b"again"[..]));
    store.close().expect("closes");
}

#[test]
fn values_that_expire_written_by_format_1_0_do_so_where_they_should() {
    let disk = unpack(&std::fs::read(golden("store-expiry-1.0.bin")).expect("golden file"));
    let clock = Arc::new(ManualClock::new(1_700_000_000_999));
    let env = Env {
        clock: clock.clone(),
        ..env(&disk)
    };
    let store = Store::open(&env, Path::new(DIR), &options()).expect("opens");
    let get = |key: &str| {
        store
            .get(key.as_bytes())
            .expect("readable")
            .map(|value| value.to_vec())
    };
    let there = || ["minute", "stays", "이름"].map(|key| get(key).is_some());
    assert_eq!(there(), [true, true, true]);
    assert_eq!(get("이름"), Some(vec![9; 300]));
    clock.set_wall_ms(1_700_000_001_000);
    assert_eq!(there(), [true, true, false]);
    clock.set_wall_ms(1_700_000_060_000);
    assert_eq!(there(), [false, false, false]);
    assert!(store.verify(&mut |_, _| {}).expect("verifies").damage.is_empty());
}

#[test]
fn compacted_store_written_by_format_1_0_opens_reads_and_goes_on() {
    let disk = unpack(&std::fs::read(golden("store-compacted-1.0.bin")).expect("golden file"));
    let store = Store::open(&env(&disk), Path::new(DIR), &options()).expect("opens");
    assert!(store.recovery().was_clean());
    let get = |key: &[u8]| store.get(key).expect("readable").map(|value| value.to_vec());
    assert_eq!(get(b"alpha").as_deref(), Some(&b"again"[..]));
    assert_eq!(get("이름".as_bytes()), Some(vec![9; 300]));
    assert_eq!(get(b"key000"), None);
    assert_eq!(get(b"key001").as_deref(), Some(&b"newer"[..]));
    assert_eq!(get(b"key002").as_deref(), Some(&b"after"[..]));
    assert_eq!(store.stats().tables, 1);
    let scan = store.snapshot().scan(Bound::Unbounded, Bound::Unbounded);
    assert_eq!(scan.expect("opens").count(), 102);
    assert_eq!(store.epoch_vector().len(), 2);
    assert_eq!(store.hand_overs().expect("readable").len(), 1);
    assert!(store.verify(&mut |_, _| {}).expect("verifies").damage.is_empty());
    store
        .resume_epoch(Epoch(2))
        .expect("it was closed by its primary");
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    store.close().expect("closes");
}

#[test]
fn store_written_by_format_1_0_opens_reads_and_goes_on() {
    let disk = unpack(&std::fs::read(golden("store-1.0.bin")).expect("golden file"));
    let store = Store::open(&env(&disk), Path::new(DIR), &options()).expect("opens");
    assert!(store.recovery().was_clean());
    assert_eq!(&*store.get(b"alpha").expect("readable").expect("there"), b"again");
    assert_eq!(&*store.get(b"beta").expect("readable").expect("there"), b"two");
    assert_eq!(
        &*store.get("이름".as_bytes()).expect("readable").expect("there"),
        &[9; 300]
    );
    assert_eq!(
        store
            .snapshot()
            .scan(Bound::Unbounded, Bound::Unbounded)
            .expect("opens")
            .count(),
        3
    );
    assert_eq!(store.epoch_vector().len(), 2);
    assert!(store.verify(&mut |_, _| {}).expect("verifies").damage.is_empty());
    store
        .resume_epoch(Epoch(2))
        .expect("it was closed by its primary");
    store.put(b"more", b"writes", Durability::Synced).expect("put");
    store.close().expect("closes");
}

#[test]
fn file_of_a_newer_format_is_refused_with_its_version() {
    let disk = SimDisk::new(1);
    write_store(&disk);
    let segment = disk
        .paths()
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .expect("a segment");
    let mut page = disk.read_whole(&segment).expect("readable")[..4096].to_vec();
    page[8] = 2;
    let crc = crc32c::crc32c(&page[..4092]);
    page[4092..].copy_from_slice(&crc.to_le_bytes());
    disk.open(&segment, atoll::io::OpenMode::ReadWrite)
        .expect("opens")
        .write_all_at(&page, 0)
        .expect("written");
    let error = Store::open(&env(&disk), Path::new(DIR), &options()).expect_err("too new");
    assert!(error.to_string().contains("format 2.0"), "{error}");
}

#[test]
fn backup_bytes_are_those_of_the_format_page() {
    use atoll::store::backup::{Catalogue, CopyKind, CopyRecord, StoreRecord};
    let store = Uuid([0x44; 16]);
    let control = Control {
        cluster: Uuid([0x11; 16]),
        shard: ShardId(7),
        node: 0x0102_0304,
        store,
        incarnation: 9,
        open_generation: 4,
        boot_id: [0; 16],
        state: StoreState::Clean,
        tail: Lsn(9_000),
        durable: Lsn(9_000),
        epoch: Epoch(3),
        hlc: Hlc::ZERO,
        chain: Chain::default(),
        records: 0,
        index_seed: 5,
        log_start: Lsn(800),
        released_records: 6,
    };
    let table = TableRecord {
        number: 1,
        slot: 0x8001,
        file_bytes: 40_960,
        entries: 200,
    };
    let manifest = Manifest {
        through: Lsn(1_600),
        next_table: 2,
        runs: vec![RunRecord {
            after: None,
            growing: false,
            tables: vec![table],
        }],
        ..Manifest::empty(store)
    };
    let copy = |kind, number, (first, end), bytes, sequence| CopyRecord {
        kind,
        number,
        first: Lsn(first),
        end: Lsn(end),
        bytes,
        crc: 0x1234_5678,
        sequence,
    };
    let files = vec![
        copy(CopyKind::Segment, 3, (800, 8_000), 4_096 + 7_200, 0),
        copy(CopyKind::Tail, 4, (8_000, 9_000), 4_096 + 1_000, 2),
        copy(CopyKind::Table, 1, (0, 0), 40_960, 0),
    ];
    let catalogue = Catalogue {
        owner: Uuid([0x11; 16]),
        sequence: 2,
        wall_ms: 1_700_000_000_000,
        extra: b"entries".to_vec(),
        stores: vec![StoreRecord {
            control,
            manifest,
            files,
        }],
    };
    let bytes = catalogue.encode();
    check("backup.bin", &bytes);
    let names: Vec<_> = catalogue.stores[0].files.iter().map(CopyRecord::name).collect();
    assert_eq!(catalogue.stores[0].dir_name(), "shard-00007-4444444444444444");
    assert_eq!(
        names,
        [
            "0000000000000003.seg",
            "0000000000000004-00000002.tail",
            "0000000000000001.tbl"
        ]
    );
    assert_eq!(Catalogue::decode(&bytes), Ok(catalogue));
}
