//! Trouble on top of trouble: a crash right after a recovery, a new segment that does not come.

use atoll::io::sim::{CutPolicy, Fault, FaultKind, SimDisk};
use atoll::store::{Durability, WritePath};

use crate::workload::{self, open, script};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[test]
fn process_that_dies_while_it_takes_over_a_torn_log_leaves_a_store_that_opens() {
    let mut torn = 0;
    for seed in 0..12 {
        for call in 1..25 {
            let disk = SimDisk::new(seed);
            let store = open(&disk, WritePath::Map).expect("opens");
            store.put(b"synced", b"1", Durability::Synced).expect("synced");
            for n in 0..30u32 {
                store
                    .put(&n.to_le_bytes(), &[n as u8; 3000], Durability::Buffered)
                    .expect("put");
            }
            drop(store);
            let disk = disk.power_cut(CutPolicy::Random);
            disk.fail_at(
                disk.calls() + call,
                Fault {
                    kind: FaultKind::Errno(ENOSPC),
                    persistent: true,
                },
            );
            if let Ok(store) = open(&disk, WritePath::Map) {
                torn += u32::from(store.recovery().cut.is_some());
                drop(store);
            }
            let disk = disk.process_crash();
            let store = open(&disk, WritePath::Map)
                .unwrap_or_else(|e| panic!("seed {seed}, died at call {call}: {e}"));
            assert!(store.get(b"synced").expect("readable").is_some());
        }
    }
    assert!(torn > 0, "some tails are torn");
}

/// A segment whose creation failed must not cut off what was written in spite of it.
#[test]
fn writes_after_a_failing_call_are_kept_once_acknowledged() {
    let undisturbed = SimDisk::new(1);
    workload::run(&undisturbed, WritePath::Map, &script(), true);
    let calls = undisturbed.calls();
    for call in 1..=calls {
        for errno in [EIO, ENOSPC] {
            for seed in 1..6u64 {
                let disk = SimDisk::new(seed);
                disk.fail_at(
                    call,
                    Fault {
                        kind: FaultKind::Errno(errno),
                        persistent: false,
                    },
                );
                let Ok(store) = open(&disk, WritePath::Map) else {
                    continue;
                };
                for op in script() {
                    let _ = op.run(&store);
                }
                let mut kept = Vec::new();
                // Small enough for the segment that the larger ones did not fit into.
                for n in 0..5u32 {
                    let key = format!("small-{n}");
                    if store.put(key.as_bytes(), b"v", Durability::Synced).is_ok() {
                        kept.push(key);
                    }
                    let _ = store.put(
                        format!("large-{n}").as_bytes(),
                        &[1; 900_000],
                        Durability::Buffered,
                    );
                }
                drop(store);
                let policy = if seed == 1 {
                    CutPolicy::KeepAll
                } else {
                    CutPolicy::Random
                };
                let disk = disk.power_cut(policy);
                let context = format!("errno {errno} at call {call} of {calls}, seed {seed}");
                let store = open(&disk, WritePath::Map).unwrap_or_else(|e| panic!("{context}: {e}"));
                for key in kept {
                    assert!(
                        store.get(key.as_bytes()).expect("readable").is_some(),
                        "{context}: {key} was acknowledged as synced"
                    );
                }
            }
        }
    }
}

/// The call that fails is the creation of a segment, and a smaller record still fits.
#[test]
fn segment_that_could_not_be_made_cuts_nothing_off() {
    for errno in [EIO, ENOSPC] {
        for call in 1..12 {
            for seed in 0..10u64 {
                let disk = SimDisk::new(seed);
                let store = open(&disk, WritePath::Map).expect("opens");
                store
                    .put(b"a", &[1; 600_000], Durability::Synced)
                    .expect("synced");
                disk.fail_at(
                    disk.calls() + call,
                    Fault {
                        kind: FaultKind::Errno(errno),
                        persistent: false,
                    },
                );
                let _ = store.put(b"large", &[2; 600_000], Durability::Buffered);
                let kept = store.put(b"small", b"v", Durability::Synced).is_ok();
                drop(store);
                let policy = if seed == 0 {
                    CutPolicy::KeepAll
                } else {
                    CutPolicy::Random
                };
                let disk = disk.power_cut(policy);
                let context = format!("errno {errno} at call {call}, seed {seed}");
                let store = open(&disk, WritePath::Map).unwrap_or_else(|e| panic!("{context}: {e}"));
                if kept {
                    assert!(
                        store.get(b"small").expect("readable").is_some(),
                        "{context}: acknowledged as synced, gone after a power cut"
                    );
                }
            }
        }
    }
}

fn reseal(page: &mut [u8]) {
    let crc = crc32c::crc32c(&page[..4092]);
    page[4092..4096].copy_from_slice(&crc.to_le_bytes());
}

/// Fields of the header page that fit no log, under a checksum that fits.
#[test]
fn hostile_header_under_a_valid_checksum_is_refused_without_a_panic() {
    use std::path::Path;
    const NUMBER: usize = 88;
    const FIRST: usize = 96;
    const CAPACITY: usize = 104;
    let log = Path::new(workload::DIR).join("log");
    for close in [true, false] {
        for segment in 1..=2u64 {
            let cases = [
                (FIRST, u64::MAX - 5),
                (FIRST, u64::MAX - (1 << 20) + 1),
                (FIRST, 4),
                (CAPACITY, 0),
                (CAPACITY, 4096),
                (CAPACITY, 8192),
                (CAPACITY, 12_289),
                (CAPACITY, u64::MAX),
                (CAPACITY, u64::MAX - 4095),
                (CAPACITY, 513 << 20),
                (NUMBER, 7),
                (NUMBER, 65_537 + segment),
                (NUMBER, u64::MAX),
            ];
            for (field, value) in cases {
                for renamed in [false, true] {
                    let disk = SimDisk::new(1);
                    workload::run(&disk, WritePath::Map, &script(), close);
                    let disk = if close { disk } else { disk.process_crash() };
                    let env = workload::env(&disk);
                    let mut path = log.join(format!("{segment:016x}.seg"));
                    let file = env
                        .disk
                        .open(&path, atoll::io::OpenMode::ReadWrite)
                        .expect("there");
                    let mut page = vec![0u8; 4096];
                    file.read_at(&mut page, 0).expect("readable");
                    page[field..field + 8].copy_from_slice(&value.to_le_bytes());
                    reseal(&mut page);
                    file.write_all_at(&page, 0).expect("written");
                    if renamed && field == NUMBER {
                        let target = log.join(format!("{value:016x}.seg"));
                        env.disk.rename(&path, &target).expect("renamed");
                        path = target;
                    }
                    let context = format!("segment {segment}, field at {field} = {value}, closed {close}");
                    let mut facts = 0;
                    let _ = atoll::log::dump::dump(&*env.disk, &path, |_| facts += 1);
                    let opened = open(&disk, WritePath::Map);
                    // A number further on under its own name is only a gap, which may be.
                    let only_a_gap = renamed && field == NUMBER && value == 7 && segment == 2;
                    assert!(opened.is_err() || only_a_gap, "{context}");
                }
            }
        }
    }
}

mod arbitrary {
    use atoll::ids::{Epoch, Hlc, Lsn, ShardId, Uuid};
    use atoll::log::format::{CrcSeed, RecordKind, RecordParts, batch_header};
    use atoll::log::header::{Control, PAGE_BYTES, SegmentFooter, SegmentHeader};
    use atoll::log::payload::{EpochStart, Group, SlotsFrozen, SlotsOwned};
    use atoll::log::view::RecordView;

    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    fn touch(bytes: &[u8], seed: CrcSeed, at: Lsn) {
        for view in [
            RecordView::parse(bytes, seed, at),
            RecordView::parse_unchecked(bytes, at),
        ]
        .into_iter()
        .flatten()
        {
            let _ = view.verify_header(seed);
            let _ = view.verify_payload(seed);
            let _ = (view.key(), view.ext(), view.value(), view.end());
            let _ = view.members(seed).count();
        }
        let _ = Group::decode(bytes);
        let _ = EpochStart::decode(bytes);
        let _ = SlotsFrozen::decode(bytes);
        let _ = SlotsOwned::decode(bytes);
    }

    #[test]
    fn arbitrary_and_mutated_bytes_never_panic() {
        let seed = CrcSeed::new(Uuid::NIL, ShardId(0), Epoch(1));
        let mut random = 0x9E37_79B9_7F4A_7C15u64;
        for at in [Lsn(0), Lsn(80), Lsn(u64::MAX - 60), Lsn(u64::MAX)] {
            let start = if at.0 > 80 { Lsn(u64::MAX - 4096) } else { at };
            let parts = RecordParts::new(RecordKind::Put, b"key", &[9; 40], Lsn(8));
            let mut single = Vec::new();
            parts.encode_into(seed, parts.size().expect("fits"), at, Hlc(5), &mut single);
            let mut batch = vec![0u8; 48];
            for _ in 0..3 {
                let lsn = start.advance(batch.len() as u64);
                parts.encode_into(seed, parts.size().expect("fits"), lsn, Hlc(5), &mut batch);
            }
            let header = batch_header(seed, &batch[48..], start, Hlc(5));
            batch[..48].copy_from_slice(&header);
            for (valid, at) in [(single, at), (batch, start)] {
                touch(&valid, seed, at);
                for _ in 0..20_000 {
                    let mut bytes = valid.clone();
                    for _ in 0..1 + next(&mut random) % 3 {
                        let place = next(&mut random) as usize % bytes.len();
                        bytes[place] = next(&mut random) as u8;
                    }
                    bytes.truncate(next(&mut random) as usize % (2 * valid.len()));
                    touch(&bytes, seed, at);
                }
            }
            for _ in 0..20_000 {
                let len = next(&mut random) as usize % 200;
                let bytes: Vec<u8> = (0..len).map(|_| next(&mut random) as u8).collect();
                touch(&bytes, seed, at);
            }
        }
        for magic in [b"ATOLLSEG", b"ATOLLEND", b"ATOLLSTO"] {
            for round in 0..500 {
                let mut page = [0u8; PAGE_BYTES];
                page.iter_mut().for_each(|byte| *byte = next(&mut random) as u8);
                if round % 2 == 0 {
                    page[..8].copy_from_slice(magic);
                    page[8..12].copy_from_slice(&[1, 0, 0, 0]);
                    page[16..24].fill(0);
                    super::reseal(&mut page);
                }
                let _ = SegmentHeader::decode(&page);
                let _ = SegmentFooter::decode(&page);
                let _ = Control::decode(&page);
            }
        }
    }
}
