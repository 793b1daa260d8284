//! Random operations against a `BTreeMap`, with snapshots, closing and crashing in between.

use std::collections::BTreeMap;
use std::ops::Bound;

use atoll::ids::Lsn;
use atoll::io::sim::SimDisk;
use atoll::store::{Durability, Store, WriteBatch, WritePath};
use proptest::prelude::*;

use crate::{dir, env, options};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, usize),
    Delete(Vec<u8>),
    Batch(Vec<(Vec<u8>, Option<usize>)>),
    Sync,
    Snapshot,
    Scan(Vec<u8>, Vec<u8>),
    Close,
    Crash,
}

/// Few keys, so that versions pile up; among them the empty key and keys that are prefixes.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(vec![0u8, b'a', b'b', 0xFF]), 0..4),
        1 => (0u32..50).prop_map(|n| format!("사용자:{n}").into_bytes()),
        1 => (1usize..3).prop_map(|n| vec![b'k'; n * 3000]),
    ]
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0usize..200, 1 => 3000usize..20_000, 1 => Just(150_000usize)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (key(), len()).prop_map(|(k, n)| Step::Put(k, n)),
        4 => key().prop_map(Step::Delete),
        3 => prop::collection::vec((key(), prop::option::of(len())), 1..6).prop_map(Step::Batch),
        1 => Just(Step::Sync),
        2 => Just(Step::Snapshot),
        2 => (key(), key()).prop_map(|(a, b)| Step::Scan(a, b)),
        1 => Just(Step::Close),
        1 => Just(Step::Crash),
    ]
}

fn value(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 7 + salt * 13) % 251) as u8).collect()
}

fn scan(store: &Store, at: Lsn, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Model {
    let scan = store.snapshot_at(at).scan(start, end).expect("scan opens");
    let mut previous: Option<Vec<u8>> = None;
    scan.map(|entry| {
        let entry = entry.expect("readable");
        assert!(
            previous.as_deref().is_none_or(|p| p < &*entry.key),
            "keys ascend without repeats"
        );
        previous = Some(entry.key.to_vec());
        (entry.key.to_vec(), entry.value.expect("live").to_vec())
    })
    .collect()
}

fn check_all(store: &Store, model: &Model, snapshots: &[(Lsn, Model)]) {
    assert_eq!(
        &scan(store, store.tail(), Bound::Unbounded, Bound::Unbounded),
        model
    );
    for (at, then) in snapshots {
        assert_eq!(
            &scan(store, *at, Bound::Unbounded, Bound::Unbounded),
            then,
            "snapshot at {at}"
        );
        for key in model.keys().chain(then.keys()) {
            let found = store
                .get_at(key, *at)
                .expect("readable")
                .map(|value| value.to_vec());
            assert_eq!(found.as_ref(), then.get(key), "{key:?} at {at}");
        }
    }
    let report = store.verify(&mut |_, _| {}).expect("verifies");
    assert!(report.damage.is_empty(), "{:?}", report.damage);
}

fn run(steps: &[Step], write_path: WritePath) {
    let mut disk = SimDisk::new(1);
    let open = |disk: &SimDisk| Store::open_standalone(&env(disk, 5), dir(), &options(1, write_path));
    let mut store = open(&disk).expect("opens");
    let mut model = Model::new();
    let mut snapshots: Vec<(Lsn, Model)> = Vec::new();
    for (salt, step) in steps.iter().enumerate() {
        match step {
            Step::Put(key, len) => {
                let value = value(*len, salt);
                store.put(key, &value, Durability::Buffered).expect("written");
                assert_eq!(
                    &*store.get(key).expect("readable").expect("just written"),
                    &value[..]
                );
                model.insert(key.clone(), value);
            }
            Step::Delete(key) => {
                store.delete(key, Durability::Buffered).expect("written");
                assert!(store.get(key).expect("readable").is_none());
                model.remove(key);
            }
            Step::Batch(members) => {
                let mut batch = WriteBatch::new();
                for (key, len) in members {
                    match len {
                        Some(len) => {
                            batch.put(key.clone(), value(*len, salt));
                            model.insert(key.clone(), value(*len, salt));
                        }
                        None => {
                            batch.delete(key.clone());
                            model.remove(key);
                        }
                    }
                }
                store.write(&batch, Durability::Buffered).expect("written");
            }
            Step::Sync => {
                let durable = store.sync().expect("synced");
                assert!(durable <= store.tail());
            }
            Step::Snapshot => snapshots.push((store.snapshot().lsn(), model.clone())),
            Step::Scan(a, b) => {
                let (start, end) = if a <= b { (a, b) } else { (b, a) };
                let bounds = (Bound::Included(start.as_slice()), Bound::Excluded(end.as_slice()));
                let expected: Model = model
                    .range::<[u8], _>((bounds.0, bounds.1))
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                assert_eq!(scan(&store, store.tail(), bounds.0, bounds.1), expected);
            }
            Step::Close => {
                store.close().expect("closes");
                store = open(&disk).expect("opens");
                assert!(store.recovery().was_clean());
            }
            Step::Crash => {
                drop(store);
                disk = disk.process_crash();
                store = open(&disk).expect("opens");
                assert!(store.recovery().cut.is_none(), "a dead process tears nothing");
            }
        }
    }
    check_all(&store, &model, &snapshots);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn store_behaves_like_a_map_across_snapshots_closing_and_crashes(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        run(&steps, WritePath::Map);
    }

    #[test]
    fn system_call_write_path_behaves_the_same(steps in prop::collection::vec(step(), 1..40)) {
        run(&steps, WritePath::Pwrite);
    }
}
