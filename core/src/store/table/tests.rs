//! Tables against a sorted list, and under flipped bytes.

use std::path::Path;

use proptest::prelude::*;

use super::format::{EntryParts, TableHeader, Widths};
use super::reader::Table;
use super::writer::TableWriter;
use crate::ids::{Hlc, Lsn, ShardId, Uuid};
use crate::io::Disk;
use crate::io::sim::SimDisk;
use crate::log::format::{RecordFlags, RecordKind};

/// Keyspace, key, position from new to old, value.
type Row = (bool, Vec<u8>, u64, Vec<u8>);

fn dir() -> &'static Path {
    Path::new("/t")
}

fn write(disk: &SimDisk, rows: &[Row]) -> Table {
    disk.create_dir_all(dir()).expect("a directory");
    let header = TableHeader {
        cluster: Uuid([1; 16]),
        shard: ShardId(2),
        number: 7,
        widths: Widths::covering((Lsn(0), Lsn(1 << 40)), (Hlc(5), Hlc(1 << 50))),
    };
    let mut writer = TableWriter::create(disk, dir(), header).expect("created");
    for (system, key, lsn, value) in rows {
        let parts = EntryParts {
            kind: if value.is_empty() {
                RecordKind::Delete
            } else {
                RecordKind::Put
            },
            flags: RecordFlags(if *system { RecordFlags::SYSTEM } else { 0 }),
            codec: [0; 2],
            lsn: Lsn(*lsn * 8),
            hlc: Hlc(5 + lsn),
            key,
            ext: &[],
            value,
        };
        writer.add(&parts, &mut |_| Ok(())).expect("in order");
    }
    let finished = writer.finish(disk, &mut |_| Ok(())).expect("written");
    Table::open(disk, &finished.path, 0x8007).expect("opens")
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(prop::sample::select(vec![0u8, b'a', b'b', 0xFF]), 0..5),
        4 => (0u32..5000).prop_map(|n| format!("user:{n:08}:한국어").into_bytes()),
        2 => any::<[u8; 16]>().prop_map(|key| key.to_vec()),
        1 => (0u8..9).prop_map(|n| [vec![b'k'; 9000], vec![n]].concat()),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        prop::bool::weighted(0.05),
        key(),
        1u64..1000,
        prop::collection::vec(any::<u8>(), 0..300),
    );
    prop::collection::vec(row, 0..400).prop_map(|mut rows| {
        rows.sort_by(|a, b| (a.0, &a.1, std::cmp::Reverse(a.2)).cmp(&(b.0, &b.1, std::cmp::Reverse(b.2))));
        rows.dedup_by(|a, b| (a.0, &a.1, a.2) == (b.0, &b.1, b.2));
        rows
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn table_answers_like_the_sorted_list_it_was_made_of(rows in rows(), probes in prop::collection::vec(key(), 20)) {
        let disk = SimDisk::new(1);
        let table = write(&disk, &rows);
        prop_assert!(table.defects(10).is_empty(), "{:?}", table.defects(10));
        let mut read = Vec::new();
        table.for_each(|_, entry| {
            read.push((entry.is_system(), entry.key.to_vec(), entry.lsn.0 / 8, entry.value.to_vec()));
            Ok::<(), super::TableError>(())
        }).expect("sound");
        prop_assert_eq!(&read, &rows);
        let users: Vec<&Row> = rows.iter().filter(|row| !row.0).collect();
        prop_assert_eq!(table.first_key().expect("sound"), users.first().map(|row| &row.1[..]));
        prop_assert_eq!(table.last_key().expect("sound"), users.last().map(|row| &row.1[..]));
        for probe in probes.iter().chain(rows.iter().map(|row| &row.1)) {
            for after in [false, true] {
                let at = table.seek(probe, after).expect("sound");
                let expected = users.iter().find(|row| if after { &row.1 > probe } else { &row.1 >= probe });
                let found = (at < table.user_end()).then(|| table.entry_at(at).expect("sound"));
                prop_assert_eq!(found.map(|e| (e.key, e.lsn.0 / 8)), expected.map(|row| (&row.1[..], row.2)));
            }
            for (system, below) in [(false, 1000), (false, 500), (true, 1000), (true, 400)] {
                let found = table.find(probe, system, Lsn(below * 8)).expect("sound");
                let found = found.map(|at| table.entry_at(at).expect("sound").lsn.0 / 8);
                let expected = rows.iter().find(|row| row.0 == system && &row.1 == probe && row.2 < below);
                prop_assert_eq!(found, expected.map(|row| row.2));
            }
        }
    }
}

#[test]
fn many_keys_with_one_prefix_are_found() {
    let disk = SimDisk::new(2);
    // All anchors share more than the 8 bytes that the tree compares, but not the first key.
    let mut rows: Vec<Row> = (0..3000u64)
        .map(|n| {
            (
                false,
                format!("a-long-common-part:{n:06}").into_bytes(),
                n + 1,
                vec![7; 100],
            )
        })
        .collect();
    rows.insert(0, (false, b"A".to_vec(), 9999, vec![1]));
    let table = write(&disk, &rows);
    assert!(table.footer().anchors > 100 && table.footer().shared_bytes == 0);
    for (_, key, lsn, _) in &rows {
        let at = table
            .find(key, false, Lsn(u64::MAX))
            .expect("sound")
            .expect("there");
        assert_eq!(table.entry_at(at).expect("sound").lsn.0 / 8, *lsn);
    }
    assert!(table.defects(1).is_empty());
}

#[test]
fn versions_out_of_turn_are_refused() {
    let disk = SimDisk::new(3);
    disk.create_dir_all(dir()).expect("a directory");
    let widths = Widths::covering((Lsn(0), Lsn(800)), (Hlc(0), Hlc(9)));
    let header = TableHeader {
        cluster: Uuid::NIL,
        shard: ShardId(0),
        number: 1,
        widths,
    };
    let parts = |key, lsn| EntryParts {
        kind: RecordKind::Put,
        flags: RecordFlags::default(),
        codec: [0; 2],
        lsn: Lsn(lsn),
        hlc: Hlc(1),
        key,
        ext: &[],
        value: b"v",
    };
    let mut writer = TableWriter::create(&disk, dir(), header).expect("created");
    let mut add = |key, lsn| writer.add(&parts(key, lsn), &mut |_| Ok(())).map(drop);
    add(b"b", 80).expect("first");
    add(b"b", 72).expect("older");
    assert!(add(b"b", 72).is_err(), "the same version again");
    assert!(add(b"a", 8).is_err(), "a smaller key");
    assert!(add(b"c", 9).is_err(), "no position");
}

/// Every byte of the file is under some checksum: no flip goes unnoticed, and none changes an answer.
#[test]
fn flipped_byte_is_named_and_never_changes_an_answer() {
    let rows: Vec<Row> = (0..200u64)
        .map(|n| {
            (
                n > 195,
                format!("key{n:04}").into_bytes(),
                n + 1,
                vec![n as u8 | 1; 90],
            )
        })
        .collect();
    let disk = SimDisk::new(4);
    let path = write(&disk, &rows).path().to_owned();
    let len = disk.read_whole(&path).expect("there").len() as u64;
    let mut named = 0;
    for offset in (0..len).step_by(13) {
        disk.flip(&path, offset, 0x20);
        match Table::open(&disk, &path, 0x8000) {
            Err(error) => {
                assert!(error.to_string().contains("0000000000000007.tbl"), "{error}");
                named += 1;
            }
            Ok(table) => {
                let whole = table.defects(10);
                named += usize::from(!whole.is_empty());
                for (system, key, lsn, value) in &rows {
                    match table
                        .find(key, *system, Lsn(u64::MAX))
                        .and_then(|at| at.map(|at| table.entry_at(at)).transpose())
                    {
                        Ok(Some(entry)) => {
                            assert_eq!(
                                (entry.lsn.0 / 8, entry.value),
                                (*lsn, &value[..]),
                                "byte {offset}"
                            );
                        }
                        Ok(None) => panic!(
                            "byte {offset}: {} is gone without an error",
                            String::from_utf8_lossy(key)
                        ),
                        Err(_) => assert!(
                            !whole.is_empty(),
                            "byte {offset}: an error that the check did not find"
                        ),
                    }
                }
            }
        }
        disk.flip(&path, offset, 0x20);
    }
    assert_eq!(named as u64, len.div_ceil(13), "every flip is noticed");
}

#[test]
fn shortened_file_is_refused() {
    let disk = SimDisk::new(5);
    let rows: Vec<Row> = (0..100u64)
        .map(|n| (false, n.to_be_bytes().to_vec(), n + 1, vec![1; 200]))
        .collect();
    let path = write(&disk, &rows).path().to_owned();
    let len = disk.read_whole(&path).expect("there").len() as u64;
    for shorter in [len - 4096, len - 1, 8192, 4096, 0] {
        disk.shorten(&path, shorter);
        let error = Table::open(&disk, &path, 1).expect_err("cut off");
        assert!(error.to_string().contains(".tbl"), "{error}");
    }
}
