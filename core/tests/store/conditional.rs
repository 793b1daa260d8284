//! Conditional writes and reads of many keys.

use atoll::io::Env;
use atoll::io::sim::SimDisk;
use atoll::store::{CompareAndSet, Durability, Expected, Store, WritePath};

use crate::{dir, env, options};

const BUFFERED: Durability = Durability::Buffered;

fn is_written(outcome: &CompareAndSet) -> bool {
    matches!(outcome, CompareAndSet::Written(_))
}

#[test]
fn a_conflict_shows_what_is_there_and_writes_nothing() {
    let disk = SimDisk::new(1);
    let store = Store::open_standalone(&env(&disk, 1), dir(), &options(1, WritePath::Auto)).unwrap();
    let cas = |key: &[u8], expected, value| store.compare_and_set(key, expected, value, BUFFERED).unwrap();
    assert!(is_written(&cas(b"", Expected::Absent, Some(b"1"))));
    let CompareAndSet::Conflict(Some(found)) = cas(b"", Expected::Absent, Some(b"2")) else {
        panic!("the key is there");
    };
    assert_eq!(found.value.as_deref(), Some(&b"1"[..]));
    let seen = Expected::Version {
        lsn: found.lsn,
        hlc: found.hlc,
    };
    let tail = store.tail();
    assert!(!is_written(&cas(b"", Expected::Value(b"2"), None)));
    assert_eq!(store.tail(), tail, "a conflict leaves no record");
    assert!(is_written(&cas(b"", seen, Some(b"3"))));
    assert!(
        !is_written(&cas(b"", seen, Some(b"4"))),
        "that version has been replaced"
    );
    assert!(is_written(&cas(b"", Expected::Value(b"3"), None)));
    assert!(store.get(b"").unwrap().is_none());
    let CompareAndSet::Conflict(Some(deleted)) = cas(b"", Expected::Value(b"3"), None) else {
        panic!("the key is deleted");
    };
    assert!(deleted.value.is_none());
    assert!(is_written(&cas(b"", Expected::Absent, Some(b"again"))));
    let CompareAndSet::Conflict(None) = cas(b"never", Expected::Value(b""), None) else {
        panic!("there is no version at all");
    };
}

#[test]
fn counters_raised_by_many_threads_are_exact() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open_standalone(&Env::os(), place.path(), &options(1, WritePath::Auto)).unwrap();
    let (threads, raises) = (4u64, 2000u64);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let store = &store;
            scope.spawn(move || {
                for n in 0..raises {
                    let key = [n as u8 % 3];
                    loop {
                        let seen = store.get(&key).unwrap();
                        let count = seen
                            .as_ref()
                            .map_or(0, |value| u64::from_le_bytes((**value).try_into().unwrap()));
                        let expected = seen.as_ref().map_or(Expected::Absent, |value| Expected::Version {
                            lsn: value.lsn(),
                            hlc: value.hlc(),
                        });
                        let next = (count + 1).to_le_bytes();
                        if is_written(
                            &store
                                .compare_and_set(&key, expected, Some(&next), BUFFERED)
                                .unwrap(),
                        ) {
                            break;
                        }
                    }
                }
            });
        }
    });
    let total: u64 = (0..3u8)
        .map(|key| u64::from_le_bytes((*store.get(&[key]).unwrap().unwrap()).try_into().unwrap()))
        .sum();
    assert_eq!(total, threads * raises);
}

#[test]
fn many_keys_at_once_are_read_as_one_by_one_from_log_and_tables() {
    let disk = SimDisk::new(2);
    let store = Store::open_standalone(&env(&disk, 2), dir(), &options(1, WritePath::Auto)).unwrap();
    let key = |n: u32| n.to_be_bytes();
    for n in 0..3000 {
        store
            .put(&key(n), &n.to_le_bytes().repeat(n as usize % 90), BUFFERED)
            .unwrap();
    }
    for n in (0..3000).step_by(7) {
        store.delete(&key(n), BUFFERED).unwrap();
    }
    // Keys that are there, deleted, missing, and asked for twice; a group and a bit.
    let keys: Vec<[u8; 4]> = (0..4000).map(|i| key(i * 13 % 3500)).collect();
    for round in 0..2 {
        let together = store.multi_get(&keys).unwrap();
        let mut lent = vec![None; keys.len()];
        store
            .multi_get_with(&keys, |i, value| lent[i] = Some(value.map(<[u8]>::to_vec)))
            .unwrap();
        for ((key, value), lent) in keys.iter().zip(&together).zip(lent) {
            let single = store.get(key).unwrap();
            assert_eq!(value.as_deref(), single.as_deref(), "round {round}");
            assert_eq!(lent.expect("called for each").as_deref(), single.as_deref());
        }
        store.seal_segment().unwrap();
        store
            .compact(&atoll::store::CompactionLimits::default(), &mut |_| {})
            .unwrap();
    }
    assert!(store.stats().tables > 0, "the second round read tables");
    assert!(store.multi_get::<&[u8]>(&[]).unwrap().is_empty());
}
