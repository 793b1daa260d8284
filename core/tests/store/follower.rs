//! Replicas fed from a primary's log: the same bytes, and a tail taken back.

use std::ops::Bound;

use atoll::ids::{Epoch, Lsn, ShardId, SlotId};
use atoll::io::sim::{CutPolicy, SimDisk};
use atoll::store::{
    Durability, HandOverKind, SlotsFrozen, SlotsOwned, Store, StoreError, WriteBatch, WritePath,
};

use crate::{dir, env, options};

fn open(disk: &SimDisk, node: u64) -> Store {
    Store::open(&env(disk, node), dir(), &options(node, WritePath::Map)).expect("opens")
}

fn primary(disk: &SimDisk) -> Store {
    let store = open(disk, 1);
    store.begin_epoch(Epoch(1), 1, 1).expect("leads");
    store
}

fn fill(store: &Store, from: u32, to: u32) {
    for n in from..to {
        let value = vec![n as u8; 100 + (n as usize * 977) % 30_000];
        store
            .put(
                format!("key-{:03}", n % 50).as_bytes(),
                &value,
                Durability::Buffered,
            )
            .expect("put");
        if n.is_multiple_of(7) {
            let mut batch = WriteBatch::new();
            batch.delete(format!("key-{:03}", (n + 3) % 50));
            batch.put(format!("batch-{n}"), vec![1; 50]);
            store.write(&batch, Durability::Buffered).expect("written");
        }
    }
    store.sync().expect("synced");
}

fn ship(from: &Store, to: &Store, max_bytes: usize) {
    loop {
        let chunk = from.read_log(to.tail(), max_bytes).expect("readable");
        if chunk.bytes.is_empty() {
            break;
        }
        to.apply(&chunk).expect("applies");
    }
    to.sync().expect("synced");
}

fn contents(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let scan = store
        .snapshot()
        .scan(Bound::Unbounded, Bound::Unbounded)
        .expect("opens");
    scan.map(|entry| entry.expect("readable"))
        .map(|entry| (entry.key.to_vec(), entry.value.expect("live").to_vec()))
        .collect()
}

fn is_sound(store: &Store) {
    let report = store.verify(&mut |_, _| {}).expect("verifies");
    assert!(report.damage.is_empty(), "{:?}", report.damage);
}

#[test]
fn replica_holds_the_same_bytes_whatever_the_size_of_the_chunks() {
    let disk = SimDisk::new(1);
    let source = primary(&disk);
    fill(&source, 0, 150);
    for max_bytes in [1, 4096, 1 << 20, 16 << 20] {
        let disk = SimDisk::new(2);
        let replica = open(&disk, 2);
        ship(&source, &replica, max_bytes);
        assert_eq!(replica.tail(), source.tail());
        assert_eq!(replica.epoch_vector(), source.epoch_vector());
        assert_eq!(
            source
                .first_difference(&replica, source.tail())
                .expect("readable"),
            None
        );
        assert_eq!(contents(&replica), contents(&source));
        is_sound(&replica);
    }
}

#[test]
fn replica_takes_no_writes_of_its_own() {
    let disk = SimDisk::new(1);
    let replica = open(&disk, 2);
    let error = replica
        .put(b"k", b"v", Durability::Buffered)
        .expect_err("not the primary");
    assert!(
        matches!(error, StoreError::Log(atoll::log::LogError::NotPrimary { .. })),
        "{error}"
    );
}

#[test]
fn chunk_that_does_not_continue_the_log_is_refused_unchanged() {
    let source = primary(&SimDisk::new(1));
    fill(&source, 0, 40);
    let replica = open(&SimDisk::new(2), 2);
    let chunk = source.read_log(Lsn::ZERO, 10_000).expect("readable");
    replica.apply(&chunk).expect("applies");
    let tail = replica.tail();
    replica.apply(&chunk).expect_err("twice");
    let mut damaged = source.read_log(tail, 10_000).expect("readable");
    let last = damaged.bytes.len() - 9;
    damaged.bytes[last] ^= 1;
    replica.apply(&damaged).expect_err("a flipped bit on the way");
    assert_eq!(replica.tail(), tail);
    ship(&source, &replica, 10_000);
    assert_eq!(contents(&replica), contents(&source));
}

#[test]
fn diverged_tail_is_taken_back_and_kept() {
    let old = primary(&SimDisk::new(1));
    fill(&old, 0, 60);
    let disk = SimDisk::new(2);
    let new = open(&disk, 2);
    ship(&old, &new, 1 << 20);
    let common = new.tail();
    let before = contents(&new);

    // The old primary goes on alone; the other one takes over and goes another way.
    fill(&old, 60, 120);
    new.begin_epoch(Epoch(2), 2, 1).expect("leads");
    fill(&new, 200, 240);

    let report = old.truncate(common).expect("takes back");
    assert_eq!(report.from, common);
    assert!(!report.kept.is_empty(), "what was taken back is kept");
    assert_eq!(contents(&old), before, "the old state is back");
    old.put(b"x", b"y", Durability::Buffered)
        .expect_err("it leads no more");
    ship(&new, &old, 1 << 20);
    assert_eq!(contents(&old), contents(&new));
    assert_eq!(old.epoch_vector(), new.epoch_vector());
    assert_eq!(new.first_difference(&old, new.tail()).expect("readable"), None);
    is_sound(&old);
    is_sound(&new);
}

#[test]
fn truncation_survives_closing_crashing_and_power_cuts() {
    for ending in 0..4 {
        let disk = SimDisk::new(ending);
        let old = primary(&disk);
        fill(&old, 0, 60);
        let new = open(&SimDisk::new(9), 2);
        ship(&old, &new, 1 << 20);
        let common = new.tail();
        fill(&old, 60, 100);
        new.begin_epoch(Epoch(2), 2, 1).expect("leads");
        fill(&new, 200, 220);
        old.truncate(common).expect("takes back");
        let disk = match ending {
            0 => {
                old.close().expect("closes");
                disk
            }
            1 => {
                drop(old);
                disk.process_crash()
            }
            2 => {
                drop(old);
                disk.power_cut(CutPolicy::DropAll)
            }
            _ => {
                ship(&new, &old, 5000);
                drop(old);
                disk.power_cut(CutPolicy::Random)
            }
        };
        let old = open(&disk, 1);
        if old.tail() > common && old.epoch() == Epoch(1) {
            // Opened before anything followed the cut: it is asked to take it back again.
            old.truncate(common).expect("takes back again");
        }
        ship(&new, &old, 1 << 20);
        assert_eq!(contents(&old), contents(&new), "ending {ending}");
        assert_eq!(old.epoch_vector(), new.epoch_vector(), "ending {ending}");
        is_sound(&old);
    }
}

#[test]
fn replica_torn_by_a_power_cut_catches_up() {
    let source = primary(&SimDisk::new(1));
    fill(&source, 0, 60);
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let replica = open(&disk, 2);
        ship(&source, &replica, 200_000);
        let durable = replica.durable();
        fill(&source, 60 + seed as u32, 70 + seed as u32);
        // Received and not synced.
        while replica.tail() < source.tail() {
            let chunk = source.read_log(replica.tail(), 7000).expect("readable");
            replica.apply(&chunk).expect("applies");
        }
        drop(replica);
        let disk = disk.power_cut(CutPolicy::Random);
        let replica = open(&disk, 2);
        assert!(replica.tail() >= durable, "what was synced is there");
        ship(&source, &replica, 1 << 20);
        assert_eq!(contents(&replica), contents(&source));
        is_sound(&replica);
    }
}

#[test]
fn hand_over_records_travel_and_stay_out_of_sight() {
    let disk = SimDisk::new(1);
    let source = primary(&disk);
    fill(&source, 0, 5);
    source
        .put(
            b"hand-over",
            b"a user's key of the same spelling",
            Durability::Buffered,
        )
        .expect("put");
    let frozen = SlotsFrozen {
        slots: vec![SlotId(3), SlotId(4095)],
        topology_version: 7,
        mover_epoch: 2,
        target: ShardId(9),
    };
    let owned = SlotsOwned {
        slots: vec![SlotId(1)],
        source: ShardId(2),
        source_epoch: Epoch(4),
        freeze: Lsn(800),
        floor: Lsn(1600),
        topology_version: 8,
    };
    source.append_slots_frozen(&frozen).expect("written");
    source.append_slots_owned(&owned).expect("written");
    let replica = open(&SimDisk::new(2), 2);
    ship(&source, &replica, 1 << 20);
    source.close().expect("closes");
    let source = open(&disk, 1);
    for store in [&source, &replica] {
        let kinds: Vec<HandOverKind> = store
            .hand_overs()
            .expect("readable")
            .into_iter()
            .map(|record| record.kind)
            .collect();
        assert_eq!(
            kinds,
            [
                HandOverKind::Frozen(frozen.clone()),
                HandOverKind::Owned(owned.clone())
            ]
        );
        let value = store.get(b"hand-over").expect("readable").expect("the user's");
        assert_eq!(&*value, b"a user's key of the same spelling");
        assert!(contents(store).iter().all(|(_, value)| value.len() != 48));
    }
}

#[test]
fn epochs_only_grow() {
    let store = primary(&SimDisk::new(1));
    store.put(b"a", b"1", Durability::Synced).expect("put");
    store.begin_epoch(Epoch(1), 1, 1).expect_err("not newer");
    store.begin_epoch(Epoch(5), 1, 1).expect("newer");
    let vector = store.epoch_vector();
    assert_eq!(
        vector.iter().map(|(epoch, _)| epoch.0).collect::<Vec<_>>(),
        [1, 5]
    );
    assert!(vector[0].1 < vector[1].1);
}

#[test]
fn snapshot_and_scan_from_before_a_truncation_say_so_instead_of_mixing_epochs() {
    let disk = SimDisk::new(1);
    let store = primary(&disk);
    fill(&store, 0, 40);
    let cut = store.tail();
    let below = store.snapshot();
    fill(&store, 40, 80);
    let above = store.snapshot();
    let mut scan = above.scan(Bound::Unbounded, Bound::Unbounded).expect("opens");
    assert!(scan.next().is_some_and(|entry| entry.is_ok()));
    store.truncate(cut).expect("cut");
    store.begin_epoch(Epoch(2), 1, 1).expect("leads");
    while store.tail() < above.lsn() {
        store
            .put(b"key-001", &[9; 5000], Durability::Buffered)
            .expect("put");
    }
    let too_old = |error: &StoreError| matches!(error, StoreError::SnapshotTooOld { cause: atoll::store::TooOld::TakenBack { since }, .. } if *since == cut);
    assert!(above.get(b"key-001").is_err_and(|error| too_old(&error)));
    assert!(
        scan.next()
            .is_some_and(|entry| entry.is_err_and(|error| too_old(&error)))
    );
    assert!(scan.next().is_none());
    // What lay below the cut is as it was.
    let kept = below.get(b"key-001").expect("readable").expect("there");
    assert!(kept.lsn() < cut);
    let scan = below.scan(Bound::Unbounded, Bound::Unbounded).expect("opens");
    assert!(
        scan.map(|entry| entry.expect("readable"))
            .all(|entry| entry.lsn < cut)
    );
}
