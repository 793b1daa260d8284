//! A scripted workload over the simulated disk, and the model it is compared with.
//!
//! The script has buffered and synced puts, overwrites, deletes, batches, values larger than a
//! page and enough bytes to seal a segment. The model keeps the state after every operation, so a
//! recovered store can be asked: which prefix of the script are you?

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use atoll::ids::{ShardId, Uuid};
use atoll::io::Env;
use atoll::io::clock::{ManualClock, SeededEntropy};
use atoll::io::sim::SimDisk;
use atoll::store::{Durability, Store, StoreError, StoreIdentity, StoreOptions, WriteBatch, WritePath};

pub type State = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
pub enum Op {
    Put(&'static str, Vec<u8>, Durability),
    Delete(&'static str, Durability),
    Batch(Vec<(&'static str, Option<Vec<u8>>)>, Durability),
    /// A transaction that reads both values and exchanges them.
    Exchange(&'static str, &'static str, Durability),
    /// What the background thread does where there is one.
    Chores,
}

impl Op {
    pub fn is_synced(&self) -> bool {
        let durability = match self {
            Op::Put(_, _, durability) | Op::Exchange(_, _, durability) => *durability,
            Op::Delete(_, durability) | Op::Batch(_, durability) => *durability,
            Op::Chores => Durability::Buffered,
        };
        durability == Durability::Synced
    }

    pub fn apply_to(&self, state: &mut State) {
        match self {
            Op::Chores => {}
            Op::Exchange(a, b, _) => {
                let (a, b) = (a.as_bytes().to_vec(), b.as_bytes().to_vec());
                let values = (state.remove(&a), state.remove(&b));
                state.extend(values.1.map(|value| (a, value)));
                state.extend(values.0.map(|value| (b, value)));
            }
            Op::Put(key, value, _) => {
                state.insert(key.as_bytes().to_vec(), value.clone());
            }
            Op::Delete(key, _) => {
                state.remove(key.as_bytes());
            }
            Op::Batch(members, _) => {
                for (key, value) in members {
                    match value {
                        Some(value) => state.insert(key.as_bytes().to_vec(), value.clone()),
                        None => state.remove(key.as_bytes()),
                    };
                }
            }
        }
    }

    pub fn run(&self, store: &Store) -> Result<(), StoreError> {
        match self {
            Op::Chores => store.do_chores(),
            Op::Exchange(a, b, durability) => {
                let exchanged = store.transact(1, *durability, |txn| {
                    let pair = [(*a, txn.get(b.as_bytes())?), (*b, txn.get(a.as_bytes())?)];
                    for (key, value) in pair {
                        match value {
                            Some(value) => txn.put(key, value.to_vec()),
                            None => txn.delete(key),
                        }
                    }
                    Ok(())
                });
                exchanged.map(drop)
            }
            Op::Put(key, value, durability) => store.put(key.as_bytes(), value, *durability).map(drop),
            Op::Delete(key, durability) => store.delete(key.as_bytes(), *durability).map(drop),
            Op::Batch(members, durability) => {
                let mut batch = WriteBatch::new();
                for (key, value) in members {
                    match value {
                        Some(value) => batch.put(*key, value.clone()),
                        None => batch.delete(*key),
                    }
                }
                store.write(&batch, *durability).map(drop)
            }
        }
    }
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}

/// Touches every path of the log: small and page-crossing records, batches, a sealed segment.
pub fn script() -> Vec<Op> {
    use Durability::{Buffered, Synced};
    vec![
        Op::Put("alpha", b"1".to_vec(), Buffered),
        Op::Put("beta", bytes(3000, 1), Synced),
        Op::Put("", b"empty key".to_vec(), Buffered),
        Op::Put("alpha", bytes(5000, 2), Buffered),
        Op::Batch(
            vec![
                ("b1", Some(bytes(900, 3))),
                ("b2", Some(bytes(9000, 4))),
                ("beta", None),
            ],
            Buffered,
        ),
        Op::Delete("alpha", Synced),
        Op::Put("한국어", bytes(70_000, 5), Buffered),
        Op::Put("big", bytes(600_000, 6), Buffered),
        Op::Batch(vec![("b1", None), ("b3", Some(b"three".to_vec()))], Synced),
        // The next one does not fit the first segment any more: seal and start another.
        Op::Put("bigger", bytes(700_000, 7), Buffered),
        Op::Put("after", b"the seal".to_vec(), Synced),
        Op::Put("gamma", Vec::new(), Buffered),
        Op::Put("delta", bytes(12_345, 8), Buffered),
    ]
}

/// Transactions of small and large values, the last of them over the end of a segment.
pub fn script_with_transactions() -> Vec<Op> {
    use Durability::{Buffered, Synced};
    vec![
        Op::Put("small", b"1".to_vec(), Buffered),
        Op::Put("large", bytes(200_000, 9), Synced),
        Op::Exchange("small", "large", Buffered),
        Op::Exchange("large", "missing", Synced),
        Op::Exchange("missing", "small", Buffered),
        Op::Delete("small", Buffered),
        Op::Exchange("small", "missing", Buffered),
        Op::Exchange("missing", "small", Synced),
        Op::Put("end", b"of it".to_vec(), Buffered),
    ]
}

/// The same with the background steps taken: the second segment is prepared ahead, and the full one
/// sealed before anybody asks for it.
pub fn script_with_chores() -> Vec<Op> {
    let mut script = script();
    let full = script
        .iter()
        .position(|op| matches!(op, Op::Put("bigger", ..)))
        .expect("the script fills a segment");
    script.insert(full + 1, Op::Chores);
    script.insert(full, Op::Chores);
    script
}

/// Three segments full of buffered records, of which only the end is synced: nothing between may be
/// missing then, and nothing but the end may be missing before.
pub fn script_without_syncs() -> Vec<Op> {
    let mut script: Vec<Op> = ["a", "b", "c", "d", "e", "f"]
        .into_iter()
        .enumerate()
        .map(|(i, key)| Op::Put(key, bytes(700_000, i as u8), Durability::Buffered))
        .collect();
    script.push(Op::Put("end", b"synced".to_vec(), Durability::Synced));
    script
}

/// States after 0, 1, … operations.
pub fn states(script: &[Op]) -> Vec<State> {
    let mut state = State::new();
    let mut all = vec![state.clone()];
    for op in script {
        op.apply_to(&mut state);
        all.push(state.clone());
    }
    all
}

pub fn env(disk: &SimDisk) -> Env {
    Env {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(ManualClock::new(1_700_000_000_000)),
        entropy: Arc::new(SeededEntropy::new(7)),
    }
}

pub const DIR: &str = "/data/store";

pub fn options(write_path: WritePath) -> StoreOptions {
    let identity = StoreIdentity {
        cluster: Uuid::NIL,
        shard: ShardId(0),
        node: 1,
    };
    StoreOptions {
        write_path,
        segment_max_bytes: 1 << 20,
        ..StoreOptions::new(identity)
    }
}

pub fn open(disk: &SimDisk, write_path: WritePath) -> Result<Store, StoreError> {
    open_in(disk, DIR, write_path)
}

pub fn open_in(disk: &SimDisk, dir: &str, write_path: WritePath) -> Result<Store, StoreError> {
    Store::open_standalone(&env(disk), Path::new(dir), &options(write_path))
}

/// How far the script came: operations acknowledged at all, and how many of them (from the
/// start) a synced acknowledgement covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub acknowledged: usize,
    pub synced: usize,
    /// One operation may have been under way when the end came.
    pub attempted: usize,
}

/// Runs the script until the first error, or to its end and closes.
pub fn run(disk: &SimDisk, write_path: WritePath, script: &[Op], close: bool) -> Progress {
    let mut progress = Progress::default();
    let Ok(store) = open(disk, write_path) else {
        return progress;
    };
    for op in script {
        progress.attempted += 1;
        if op.run(&store).is_err() {
            return progress;
        }
        progress.acknowledged += 1;
        if op.is_synced() {
            progress.synced = progress.acknowledged;
        }
    }
    if close && store.close().is_ok() {
        progress.synced = progress.acknowledged;
    }
    progress
}

pub fn contents(store: &Store) -> State {
    let snapshot = store.snapshot();
    let scan = snapshot
        .scan(Bound::Unbounded, Bound::Unbounded)
        .expect("scan opens");
    let mut state = State::new();
    for entry in scan {
        let entry = entry.expect("entry is readable");
        let value = entry.value.expect("no deletions were asked for");
        let point = store
            .get(&entry.key)
            .expect("readable")
            .expect("a scanned key can be read");
        assert_eq!(&*point, &*value, "scan and point read disagree");
        state.insert(entry.key.to_vec(), value.to_vec());
    }
    state
}

/// Which prefix of the script the store holds; panics when it is none.
pub fn prefix_of(store: &Store, states: &[State], at_least: usize, at_most: usize, context: &str) -> usize {
    let found = contents(store);
    (at_least..=at_most)
        .find(|n| states[*n] == found)
        .unwrap_or_else(|| {
            let lens: Vec<(String, usize)> = found
                .iter()
                .map(|(k, v)| (String::from_utf8_lossy(k).into_owned(), v.len()))
                .collect();
            panic!("{context}: contents are no prefix between {at_least} and {at_most} operations: {lens:?}")
        })
}

/// The recovered store must go on: take a write, close, open cleanly, verify.
pub fn goes_on(disk: &SimDisk, store: Store, write_path: WritePath, context: &str) {
    goes_on_in(disk, DIR, store, write_path, context);
}

/// As [`goes_on`], for a store in another directory.
pub fn goes_on_in(disk: &SimDisk, dir: &str, store: Store, write_path: WritePath, context: &str) {
    let before = contents(&store);
    store
        .put(b"zz-after", b"recovery", Durability::Synced)
        .unwrap_or_else(|e| panic!("{context}: {e}"));
    store.close().unwrap_or_else(|e| panic!("{context}: {e}"));
    let store = open_in(disk, dir, write_path).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert!(
        store.recovery().was_clean(),
        "{context}: a closed store opens cleanly"
    );
    let mut expected = before;
    expected.insert(b"zz-after".to_vec(), b"recovery".to_vec());
    assert_eq!(contents(&store), expected, "{context}");
    let report = store
        .verify(&mut |_, _| {})
        .unwrap_or_else(|e| panic!("{context}: {e}"));
    assert!(report.damage.is_empty(), "{context}: {:?}", report.damage);
}
