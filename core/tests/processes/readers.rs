//! Readers beside a writer, in processes of their own.

use std::ops::Bound;
use std::path::Path;
use std::time::{Duration, Instant};

use atoll::ids::Lsn;
use atoll::io::Env;
use atoll::store::{
    Compaction, CompactionLimits, Durability, ReaderOptions, Store, StoreError, StoreOptions, StoreReader,
};

use crate::fork::{end, kill, wait_for_word};
use crate::helper::key;
use crate::{open, options, signal, start};

fn reader(dir: &Path) -> StoreReader {
    let patience = Duration::from_millis(500);
    Store::open_reader(&Env::os(), dir, &ReaderOptions { patience }).expect("opens")
}

fn put(store: &Store, n: u32, size: usize) {
    store
        .put(
            format!("key-{n}").as_bytes(),
            &vec![n as u8; size],
            Durability::Buffered,
        )
        .expect("put");
}

#[test]
fn reader_sees_each_write_as_soon_as_it_is_acknowledged_while_the_index_and_the_log_grow() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    let reader = reader(dir.path());
    assert!(reader.get(b"key-0").expect("readable").is_none());
    // Enough for hundreds of divided pages and several segments.
    for n in 0..60_000u32 {
        put(&store, n, 100);
        let value = reader.get(format!("key-{n}").as_bytes()).expect("readable");
        assert_eq!(value.as_deref(), Some(&[n as u8; 100][..]), "key-{n}");
    }
    for n in (0..60_000).step_by(7) {
        let value = reader.get(format!("key-{n}").as_bytes()).expect("readable");
        assert_eq!(value.as_deref(), Some(&[n as u8; 100][..]), "key-{n}");
        assert!(
            reader
                .get(format!("none-{n}").as_bytes())
                .expect("readable")
                .is_none()
        );
    }
    let late = self::reader(dir.path());
    for n in (0..60_000).step_by(11) {
        assert!(
            late.get(format!("key-{n}").as_bytes())
                .expect("readable")
                .is_some()
        );
    }
    store.delete(b"key-5", Durability::Buffered).expect("deleted");
    assert!(reader.get(b"key-5").expect("readable").is_none());
    assert!(store.stats().segments > 2);
}

#[test]
fn snapshot_of_a_reader_stays_as_it_was_through_writes_closing_and_opening() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    for n in 0..3000 {
        put(&store, n, 300);
    }
    let reader = reader(dir.path());
    let snapshot = reader.snapshot().expect("taken");
    let all = |snapshot: &atoll::store::ReaderSnapshot| -> Vec<(Vec<u8>, Vec<u8>)> {
        let scan = snapshot.scan(Bound::Unbounded, Bound::Unbounded).expect("opens");
        scan.map(|entry| entry.expect("readable"))
            .map(|entry| (entry.key.to_vec(), entry.value.expect("live").to_vec()))
            .collect()
    };
    let before = all(&snapshot);
    assert_eq!(before.len(), 3000);
    for n in 0..6000 {
        put(&store, n, 500);
    }
    assert_eq!(all(&snapshot), before);
    assert_eq!(
        snapshot.get(b"key-9").expect("readable").as_deref(),
        Some(&[9; 300][..])
    );
    assert!(snapshot.get(b"key-4000").expect("readable").is_none());
    store.close().expect("closed");
    assert_eq!(all(&snapshot), before);
    // Without a writer, and with the next one.
    assert_eq!(
        reader.get(b"key-9").expect("readable").as_deref(),
        Some(&[9; 500][..])
    );
    assert!(!reader.is_open());
    assert_eq!(all(&reader.snapshot().expect("taken")).len(), 6000);
    let store = open(dir.path());
    put(&store, 9, 700);
    assert_eq!(
        reader.get(b"key-9").expect("readable").as_deref(),
        Some(&[9; 700][..])
    );
    assert!(reader.is_open());
    assert_eq!(all(&snapshot), before);
}

#[test]
fn truncation_ends_the_snapshots_of_readers_and_gets_follow_it() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    put(&store, 1, 100);
    let cut = store.tail();
    put(&store, 1, 200);
    put(&store, 2, 200);
    let reader = reader(dir.path());
    let snapshot = reader.snapshot().expect("taken");
    assert_eq!(
        reader.get(b"key-1").expect("readable").map(|value| value.len()),
        Some(200)
    );
    store.truncate(cut).expect("cut");
    assert!(matches!(
        snapshot.get(b"key-2"),
        Err(StoreError::SnapshotTooOld { .. })
    ));
    assert_eq!(
        reader.get(b"key-1").expect("readable").map(|value| value.len()),
        Some(100)
    );
    assert!(reader.get(b"key-2").expect("readable").is_none());
    store.begin_epoch(atoll::ids::Epoch(9), 1, 1).expect("leads");
    put(&store, 2, 50);
    assert_eq!(
        reader.get(b"key-2").expect("readable").map(|value| value.len()),
        Some(50)
    );
    drop(reader.snapshot().expect("taken"));
}

#[test]
fn compaction_keeps_what_a_reader_holds_until_it_drops_it_is_killed_or_ended() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let by_hand = StoreOptions {
        compaction: Compaction::Manual,
        ..options()
    };
    let store = Store::open_standalone(&Env::os(), dir.path(), &by_hand).expect("opens");
    let overwrite = |size: usize| {
        for n in 0..100 {
            put(&store, n, size);
        }
    };
    let compact = || {
        let report = store.compact(&CompactionLimits::default(), &mut |_| {});
        report.expect("compacted").versions_dropped
    };
    store.put(&key(0, 0), b"held", Durability::Buffered).expect("put");
    overwrite(10);
    let mut child = start("snapshot", dir.path(), 0);
    let held = Lsn(wait_for_word(&mut child).1);
    let registered = store.readers().expect("listed");
    assert_eq!(registered.len(), 1);
    assert_eq!(registered[0].at, Some(held));
    overwrite(20);
    overwrite(30);
    store.delete(&key(0, 0), Durability::Buffered).expect("deleted");
    // Of three versions a key only the one in the middle can go, with or without the reader's attention.
    assert_eq!(compact(), 100);
    signal(&child, libc::SIGSTOP);
    overwrite(40);
    let started = Instant::now();
    assert_eq!(compact(), 100, "those of size 30");
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "a stopped reader keeps nobody waiting"
    );
    signal(&child, libc::SIGCONT);
    drop(child.stdin.take());
    assert_eq!(wait_for_word(&mut child).0, 0, "its value was kept");
    end(child);
    assert_eq!(store.readers().expect("listed"), []);
    overwrite(50);
    // Those of 10 and 40, and the deletion with what it hid.
    assert_eq!(compact(), 202);

    let mut child = start("snapshot", dir.path(), 0);
    wait_for_word(&mut child);
    overwrite(60);
    signal(&child, libc::SIGSTOP);
    assert_eq!(compact(), 0);
    assert_eq!(store.expire_readers(store.tail()).expect("ended"), 1);
    overwrite(70);
    assert_eq!(compact(), 200);
    signal(&child, libc::SIGCONT);
    drop(child.stdin.take());
    assert_eq!(wait_for_word(&mut child).0, 1, "the read was refused");
    end(child);

    let mut child = start("snapshot", dir.path(), 0);
    wait_for_word(&mut child);
    overwrite(80);
    assert_eq!(compact(), 0);
    kill(child);
    overwrite(90);
    assert_eq!(compact(), 200);
    assert_eq!(store.readers().expect("listed"), []);
    store.close().expect("closed");
}

#[test]
fn readers_that_are_killed_and_stopped_at_any_moment_leave_the_writer_alone() {
    let dir = tempfile::tempdir().expect("temporary directory");
    drop(open(dir.path()));
    let mut writer = start("write", dir.path(), 1);
    wait_for_word(&mut writer);
    // Nobody reads its reports: they go to a thread that throws them away.
    let mut out = writer.stdout.take().expect("piped");
    let drain = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()).expect("copied"));
    let mut stopped = Vec::new();
    for round in 0..6u64 {
        let mut child = start("read", dir.path(), 0);
        wait_for_word(&mut child);
        std::thread::sleep(Duration::from_millis(20 + 13 * round));
        if round % 2 == 0 {
            kill(child);
        } else {
            signal(&child, libc::SIGSTOP);
            stopped.push(child);
        }
    }
    let mut last = start("read", dir.path(), 0);
    wait_for_word(&mut last);
    // The writer stopped in the middle of whatever it does keeps no get waiting.
    signal(&writer, libc::SIGSTOP);
    let reader = reader(dir.path());
    for thread in 0..3 {
        for number in 0..200 {
            let started = Instant::now();
            reader.get(&crate::helper::key(thread, number)).expect("readable");
            assert!(started.elapsed() < Duration::from_secs(2));
        }
    }
    signal(&writer, libc::SIGCONT);
    std::thread::sleep(Duration::from_millis(100));
    end(last);
    for child in stopped {
        signal(&child, libc::SIGCONT);
        end(child);
    }
    assert!(writer.try_wait().expect("asked").is_none(), "the writer goes on");
    kill(writer);
    assert!(drain.join().expect("joined") > 1000);
}

#[test]
fn store_left_by_a_power_cut_asks_for_a_writer_first() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    put(&store, 1, 10);
    drop(store);
    // What another start of the machine looks like: the page speaks of a boot that is over.
    std::fs::write(dir.path().join("LIVE"), [0u8; 8192]).expect("overwritten");
    let error = Store::open_reader(&Env::os(), dir.path(), &ReaderOptions::default()).expect_err("unsafe");
    assert!(matches!(error, StoreError::NeedsRecovery { .. }), "{error}");
    open(dir.path()).close().expect("closed");
    let reader = reader(dir.path());
    assert!(reader.get(b"key-1").expect("readable").is_some());
}

/// Best of several runs each, taken in turn, so that other work on the machine touches both alike.
#[test]
#[ignore = "a figure: cargo test --release -p atoll --test processes -- --ignored --nocapture cost"]
fn cost_of_a_get_through_a_reader_beside_one_in_the_process() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    for n in 0..100_000 {
        put(&store, n, 100);
    }
    let reader = reader(dir.path());
    let keys: Vec<String> = (0..100_000u32)
        .map(|n| format!("key-{}", n.wrapping_mul(2_654_435_761) % 100_000))
        .collect();
    let (mut own, mut other) = (Duration::MAX, Duration::MAX);
    for _ in 0..9 {
        let started = Instant::now();
        for key in &keys {
            std::hint::black_box(store.get(key.as_bytes()).expect("readable"));
        }
        own = own.min(started.elapsed());
        let started = Instant::now();
        for key in &keys {
            std::hint::black_box(reader.get(key.as_bytes()).expect("readable"));
        }
        other = other.min(started.elapsed());
    }
    let ratio = other.as_secs_f64() / own.as_secs_f64();
    eprintln!("in the process {own:?}, through a reader {other:?} for 100,000 gets: {ratio:.2} x");
    assert!(ratio <= 1.3, "{ratio:.2}");
}
