//! Subscriptions to a store's own log, frames, and applying them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use atoll::ids::Lsn;
use atoll::io::Env;
use atoll::io::sim::SimDisk;
use atoll::log::LogError;
use atoll::store::{
    Durability, Frame, FrameCursor, FrameError, Store, StoreError, Subscription, WriteBatch, WritePath,
};
use proptest::prelude::*;

use crate::{dir, env, options};

/// Key, value (none for a deletion), and whether the next is of the same batch.
type Seen = (Vec<u8>, Option<Vec<u8>>, bool);

fn open(disk: &SimDisk, node: u64) -> Store {
    Store::open_standalone(&env(disk, node), dir(), &options(node, WritePath::Map)).expect("opens")
}

fn subscribe(store: &Store, from: Lsn) -> Subscription {
    store.subscribe(from, Box::new(|| ())).expect("subscribed")
}

fn entries(frame: &[u8]) -> Vec<Seen> {
    let frame = Frame::parse(frame).expect("a frame");
    let mut cursor = FrameCursor::default();
    let mut seen = Vec::new();
    while let Some(entry) = frame.next(&mut cursor).expect("sound") {
        seen.push((
            entry.key.to_vec(),
            entry.value.map(<[u8]>::to_vec),
            entry.more_in_batch,
        ));
    }
    seen
}

/// Everything there is, in frames of about `max_bytes`.
fn frames(subscription: &mut Subscription, max_bytes: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        let chunk = subscription.read(max_bytes).expect("readable");
        if chunk.bytes.is_empty() {
            return frames;
        }
        frames.push(subscription.frame(&chunk).expect("open"));
    }
}

#[test]
fn subscriber_sees_every_write_once_in_order_with_batches_whole() {
    let disk = SimDisk::new(1);
    let store = open(&disk, 1);
    let mut subscription = subscribe(&store, Lsn::ZERO);
    store.put(b"a", b"1", Durability::Buffered).expect("put");
    let mut batch = WriteBatch::new();
    batch.put("b", "2");
    batch.delete("a");
    store.write(&batch, Durability::Buffered).expect("written");
    store.delete(b"b", Durability::Synced).expect("deleted");
    let expected: Vec<Seen> = vec![
        (b"a".to_vec(), Some(b"1".to_vec()), false),
        (b"b".to_vec(), Some(b"2".to_vec()), true),
        (b"a".to_vec(), None, false),
        (b"b".to_vec(), None, false),
    ];
    for max_bytes in [1, 200, 1 << 20] {
        let mut subscription = subscribe(&store, Lsn::ZERO);
        let seen: Vec<Seen> = frames(&mut subscription, max_bytes)
            .iter()
            .flat_map(|frame| entries(frame))
            .collect();
        assert_eq!(seen, expected, "in pieces of {max_bytes}");
        assert_eq!(subscription.position(), store.stable());
    }
    assert_eq!(
        frames(&mut subscription, 1 << 20)
            .iter()
            .flat_map(|f| entries(f))
            .count(),
        4
    );
    store.put(b"c", b"3", Durability::Buffered).expect("put");
    let later = frames(&mut subscription, 1 << 20);
    assert_eq!(entries(&later[0]), [(b"c".to_vec(), Some(b"3".to_vec()), false)]);
}

#[test]
fn applying_frames_again_in_pieces_and_overlapping_changes_nothing() {
    let (disk, copy_disk) = (SimDisk::new(1), SimDisk::new(2));
    let store = open(&disk, 1);
    let copy = Store::open(&env(&copy_disk, 2), dir(), &options(2, WritePath::Map)).expect("opens");
    for n in 0..300u32 {
        store
            .put(&(n % 70).to_le_bytes(), &n.to_le_bytes(), Durability::Buffered)
            .expect("put");
    }
    let small = frames(&mut subscribe(&store, Lsn::ZERO), 700);
    let large = frames(&mut subscribe(&store, Lsn::ZERO), 5000);
    assert!(small.len() > large.len() && large.len() > 2);
    // What is missing before a frame is not made up.
    let refused = copy.apply_frame(&small[1]).expect_err("a gap");
    assert!(
        matches!(refused, StoreError::Log(LogError::Gap { .. })),
        "{refused}"
    );
    for (i, frame) in small.iter().enumerate() {
        copy.apply_frame(frame).expect("applied");
        copy.apply_frame(frame).expect("applied again");
        copy.apply_frame(&small[i / 2]).expect("an old one");
        // One that begins before the end and reaches past it, as after a reconnection.
        if let Some(frame) = large.get(i / 8) {
            let frame_of = Frame::parse(frame).expect("a frame");
            if frame_of.from() <= copy.tail() {
                copy.apply_frame(frame).expect("overlapping");
            }
        }
    }
    assert_eq!(copy.tail(), store.tail());
    for key in 0..70u32 {
        let (ours, theirs) = (copy.get(&key.to_le_bytes()), store.get(&key.to_le_bytes()));
        assert_eq!(
            ours.expect("readable").as_deref(),
            theirs.expect("readable").as_deref()
        );
    }
    // A store that leads its own log takes none.
    let refused = store.apply_frame(&small[0]);
    assert_eq!(refused.expect("nothing new in it"), store.tail());
    let other = open(&SimDisk::new(3), 3);
    let refused = other.apply_frame(&frames(&mut subscribe(&store, Lsn::ZERO), 1 << 20)[0]);
    assert!(matches!(refused, Err(StoreError::Log(_))), "{refused:?}");
    // Not even where it fits and is of a later epoch.
    let leading = open(&SimDisk::new(4), 4);
    let later = SimDisk::new(5);
    drop(open(&later, 5));
    let later = open(&later, 5);
    later
        .put(b"key", b"of another", Durability::Buffered)
        .expect("put");
    let frames = frames(&mut subscribe(&later, Lsn::ZERO), 1 << 20);
    for frame in &frames {
        let refused = leading.apply_frame(frame);
        assert!(
            match &refused {
                Err(error) => matches!(error, StoreError::Log(_)),
                Ok(end) => *end == leading.tail(),
            },
            "{refused:?}"
        );
    }
    assert!(leading.get(b"key").expect("readable").is_none());
    leading
        .put(b"key", b"its own", Durability::Buffered)
        .expect("it still leads");
}

#[test]
fn log_stays_for_a_subscriber_and_its_end_is_told() {
    let disk = SimDisk::new(1);
    let store = open(&disk, 1);
    let mut subscription = subscribe(&store, Lsn::ZERO);
    for n in 0..3000u32 {
        store
            .put(&n.to_le_bytes(), &[7; 1000], Durability::Buffered)
            .expect("put");
    }
    store.do_chores().expect("sealed");
    store
        .compact(&atoll::store::CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    let seen: usize = frames(&mut subscription, 1 << 16)
        .iter()
        .map(|frame| entries(frame).len())
        .sum();
    assert_eq!(seen, 3000);
    let past = store.subscribe(Lsn(store.tail().0 + 8), Box::new(|| ()));
    assert!(matches!(past, Err(StoreError::Log(LogError::Gap { .. }))));
    store.close().expect("closed");
    assert!(matches!(subscription.read(1), Err(StoreError::Closed { .. })));
    assert!(matches!(
        subscription.wait_for_more(),
        Err(StoreError::Closed { .. })
    ));
}

#[test]
fn sleeping_subscriber_is_called_for_every_burst() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = Store::open_standalone(&Env::os(), dir.path(), &options(1, WritePath::Map)).expect("opens");
    let (called, done) = (Arc::new(AtomicU64::new(0)), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let calls = Arc::clone(&called);
        let reader = std::thread::current();
        let notify = Box::new(move || {
            calls.fetch_add(1, Ordering::SeqCst);
            reader.unpark();
        });
        let mut subscription = store.subscribe(Lsn::ZERO, notify).expect("subscribed");
        let writers: Vec<_> = (0..2u32)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..20_000u32 {
                        store
                            .put(
                                &[writer.to_le_bytes(), n.to_le_bytes()].concat(),
                                b"v",
                                Durability::Buffered,
                            )
                            .expect("put");
                        if n % 64 == 0 {
                            std::thread::sleep(Duration::from_micros(30));
                        }
                    }
                })
            })
            .collect();
        let (mut seen, mut slept) = (0, 0);
        let started = Instant::now();
        while seen < 40_000 {
            let chunk = subscription.read(1 << 14).expect("readable");
            seen += entries(&subscription.frame(&chunk).expect("open")).len();
            if chunk.bytes.is_empty() {
                let before = called.load(Ordering::SeqCst);
                if subscription.wait_for_more().expect("open") {
                    slept += 1;
                    // No time limit of its own: a call that does not come would be seen as a hang.
                    while called.load(Ordering::SeqCst) == before {
                        std::thread::park_timeout(Duration::from_secs(10));
                        assert!(
                            started.elapsed() < Duration::from_secs(60),
                            "nobody called at {seen}"
                        );
                    }
                }
            }
        }
        writers
            .into_iter()
            .for_each(|writer| writer.join().expect("written"));
        done.store(true, Ordering::SeqCst);
        assert_eq!(seen, 40_000);
        assert!(slept > 0, "it was never ahead of the writers");
    });
}

#[test]
fn a_damaged_frame_is_an_error_at_every_byte() {
    let disk = SimDisk::new(1);
    let store = open(&disk, 1);
    let mut batch = WriteBatch::new();
    batch.put("key", "value");
    batch.put("other", "another");
    store.write(&batch, Durability::Buffered).expect("written");
    let frame = frames(&mut subscribe(&store, Lsn::ZERO), 1 << 20).remove(0);
    let whole = entries(&frame);
    assert_eq!(whole.len(), 2);
    for at in 0..frame.len() {
        let mut damaged = frame.clone();
        damaged[at] ^= 0x40;
        let read = |bytes: &[u8]| -> Result<Vec<Seen>, FrameError> {
            let frame = Frame::parse(bytes)?;
            let (mut cursor, mut seen) = (FrameCursor::default(), Vec::new());
            while let Some(entry) = frame.next(&mut cursor)? {
                seen.push((
                    entry.key.to_vec(),
                    entry.value.map(<[u8]>::to_vec),
                    entry.more_in_batch,
                ));
            }
            Ok(seen)
        };
        // Padding and what no checksum covers may differ; what is told may not.
        assert!(
            read(&damaged).is_err() || read(&damaged) == Ok(whole.clone()),
            "byte {at}"
        );
        assert!(read(&frame[..at]).is_err(), "cut off at {at}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_frame_and_no_cursor_leads_astray(bytes: Vec<u8>, at: u64, batch_end: u64) {
        prop_assert!(Frame::parse(&bytes).is_err());
        let disk = SimDisk::new(1);
        let store = open(&disk, 1);
        store.put(b"key", b"value", Durability::Buffered).expect("put");
        let frame = frames(&mut subscribe(&store, Lsn::ZERO), 1 << 20).remove(0);
        let frame = Frame::parse(&frame).expect("a frame");
        for at in [at, at % 400] {
            let _ = frame.next(&mut FrameCursor { at, batch_end });
            let _ = frame.next(&mut FrameCursor { at, batch_end: batch_end % 500 });
        }
    }
}
