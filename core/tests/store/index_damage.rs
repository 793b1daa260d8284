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
