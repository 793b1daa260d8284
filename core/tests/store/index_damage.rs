//! A large key index is checked page by page; a damaged page is named, and heals by reopening.

use std::io::{Seek, SeekFrom, Write};

use atoll::io::Env;
use atoll::store::{Durability, IndexState, Store, WriteBatch, WritePath};

use crate::options;

#[test]
fn damaged_page_of_a_large_index_is_named_and_heals_at_the_next_opening() {
    let dir = tempfile::tempdir().expect("a directory");
    let open =
        || Store::open_standalone(&Env::os(), dir.path(), &options(1, WritePath::Auto)).expect("opens");
    let store = open();
    let keys = 400_000u32;
    for first in (0..keys).step_by(500) {
        let mut batch = WriteBatch::new();
        (first..first + 500).for_each(|n| batch.put(n.to_be_bytes(), "v"));
        store.write(&batch, Durability::Buffered).expect("written");
    }
    assert!(
        store.stats().index_bytes > 5 << 20,
        "too small to be checked page by page"
    );
    store.close().expect("closes");
    let chunk = dir.path().join("index/index.0");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(&chunk)
        .expect("opens");
    file.seek(SeekFrom::Start(4096 + 1024)).expect("seeks");
    file.write_all(&[0xA5; 64]).expect("written");
    drop(file);

    let store = open();
    assert_eq!(
        *store.index_state(),
        IndexState::Trusted,
        "only the catalogue has been read"
    );
    let errors: Vec<_> = (0..keys)
        .filter_map(|n| store.get(&n.to_be_bytes()).err())
        .collect();
    assert!(
        !errors.is_empty(),
        "keys of the damaged page are not silently missing"
    );
    let damage = errors[0].damage().expect("damage");
    assert_eq!((damage.path, damage.offset), (chunk, 4096));
    store.close().expect("closes");

    let store = open();
    assert!(matches!(store.index_state(), IndexState::Rebuilt(_)));
    for n in 0..keys {
        assert!(
            store.get(&n.to_be_bytes()).expect("readable").is_some(),
            "key {n}"
        );
    }
}

fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("listed") {
        let entry = entry.expect("listed");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_files(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn index_of_a_writer_that_never_closed_is_taken_over_but_not_from_a_copy() {
    let dir = tempfile::tempdir().expect("a directory");
    let copy = tempfile::tempdir().expect("a directory");
    let open = |dir: &std::path::Path| {
        Store::open_standalone(&Env::os(), dir, &options(1, WritePath::Auto)).expect("opens")
    };
    let check = |store: &Store, keys: u32| {
        for n in 0..keys {
            let found = store.get(&n.to_be_bytes()).expect("readable");
            assert_eq!(found.is_some(), n % 7 != 0, "key {n}");
        }
        let report = store.verify(&mut |_, _| {}).expect("verified");
        assert_eq!(report.damage, []);
    };
    let mut keys = 0u32;
    for round in 0..6 {
        let store = open(dir.path());
        assert_eq!(*store.index_state(), IndexState::Trusted, "round {round}");
        check(&store, keys);
        for n in keys..keys + 20_000 {
            let key = n.to_be_bytes();
            store.put(&key, b"value", Durability::Buffered).expect("written");
            if n % 7 == 0 {
                store.delete(&key, Durability::Buffered).expect("deleted");
            }
        }
        keys += 20_000;
        match round {
            1 => drop(
                store
                    .compact(&atoll::store::CompactionLimits::default(), &mut |_| {})
                    .expect("compacted"),
            ),
            3 => {
                store.close().expect("closed");
                continue;
            }
            4 => copy_files(dir.path(), copy.path()),
            _ => {}
        }
        drop(store);
    }
    let copied = open(copy.path());
    assert!(matches!(copied.index_state(), IndexState::Rebuilt(_)));
    check(&copied, keys - 20_000);
    // Pages that are not those of the writer are noticed, and built anew.
    std::fs::remove_file(dir.path().join("index/index.1")).expect("removed");
    let store = open(dir.path());
    assert!(matches!(store.index_state(), IndexState::Rebuilt(_)));
    check(&store, keys);
}
