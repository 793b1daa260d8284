//! Keys to versions, over one log.
//!
//! In: keys, values, and on followers a primary's records. Out: values pinned where they lie,
//! snapshots, ordered scans. The log *is* the data: each value is written once; the key index
//! only says where the newest version of a key stands and is a cache that can be rebuilt. The
//! room does not know shards, leases or other replicas. Read [`mod@write`] and [`read`] first.
//!
//! What must never happen: a version drops out of its key's chain of predecessors; a reader is
//! told "not found" because a record is damaged; an index entry outlives the record it points to.

pub mod apply;
mod cuts;
mod error;
pub mod hand_over;
pub mod index;
pub mod read;
pub mod reader;
pub mod repair;
pub mod scan;
mod slots;
pub mod verify;
pub mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use error::{Damage, StoreError};
pub use hand_over::{HandOver, HandOverKind};
pub use read::{Snapshot, Value};
pub use reader::{ReaderOptions, ReaderSnapshot, StoreReader};
pub use scan::{Entry, Scan};
pub use slots::{READER_SLOTS, READERS_FILE, ReaderInfo};
pub use verify::VerifyReport;
pub use write::{Durability, WriteBatch, Written};

pub use crate::log::payload::{SlotsFrozen, SlotsOwned};
pub use crate::log::read::LogChunk;
pub use crate::log::recovery::{Cut, RecoveryKind, RecoveryReport};
pub use crate::log::truncate::TruncateReport;
pub use crate::log::{StoreIdentity, WritePath};

use crate::ids::{Epoch, Lsn, ShardId, Uuid};
use crate::io::Env;
use crate::log::background::Background;
use crate::log::header::Control;
use crate::log::segment::Segment;
use crate::log::view::RecordView;
use crate::log::{Log, LogOptions, SegmentList};
use index::{Distrust, Index, Location};

/// Name of the directory of index files within a store.
pub const INDEX_DIR: &str = "index";

/// Knobs of a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Create the store when the directory is missing or empty.
    pub create: bool,
    /// Whose data it is; must match what the directory says.
    pub identity: StoreIdentity,
    /// How records reach the file.
    pub write_path: WritePath,
    /// Segments grow from 1 MiB up to this many bytes; default 64 MiB.
    pub segment_max_bytes: u64,
    /// Buffered writes become durable after this long at the latest; default one second. `None`
    /// leaves it to [`Store::sync`], to synced writes and to the host.
    pub sync_interval: Option<Duration>,
}

impl StoreOptions {
    /// Defaults for a store of `identity`, created when missing.
    #[must_use]
    pub fn new(identity: StoreIdentity) -> StoreOptions {
        StoreOptions {
            create: true,
            identity,
            write_path: WritePath::Auto,
            segment_max_bytes: 64 << 20,
            sync_interval: Some(Duration::from_secs(1)),
        }
    }
}

/// Whether the key index on disk could be used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    /// Used as it was left.
    Trusted,
    /// Built from the log, and why.
    Rebuilt(String),
}

/// Figures of an open store.
#[derive(Clone, Debug, serde::Serialize)]
pub struct StoreStats {
    /// Keys with a version, deleted ones included.
    pub keys: u64,
    /// Records in the log, members of batches not counted.
    pub records: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of records.
    pub log_bytes: u64,
    /// Bytes of segment files, headers and space for growth included.
    pub file_bytes: u64,
    /// Bytes of index files.
    pub index_bytes: u64,
}

/// An open shard replica. Thread-safe: any number of readers beside any number of writers.
#[derive(Debug)]
pub struct Store {
    /// First, so that its thread has ended before anything else goes.
    _background: Option<Background>,
    log: Arc<Log>,
    index: Index,
    index_seed: u64,
    stripes: write::Stripes,
    runs: Mutex<scan::RunCache>,
    cuts: Arc<cuts::Cuts>,
    dir: PathBuf,
    recovery: RecoveryReport,
    index_state: IndexState,
}

impl Store {
    /// Opens the store in `dir`.
    ///
    /// The store takes writes only once [`Store::begin_epoch`] (or [`Store::resume_epoch`]) has
    /// made it the primary; before, it takes a primary's records through [`Store::apply`].
    ///
    /// # Errors
    /// Locked by another process, not a store, another identity, damage (naming file and
    /// offset), or the disk's own.
    pub fn open(env: &Env, dir: &Path, options: &StoreOptions) -> Result<Store, StoreError> {
        let log_options = LogOptions {
            identity: options.identity,
            write_path: options.write_path,
            segment_max_bytes: options.segment_max_bytes,
        };
        let (log, recovery) = Log::open(env, dir, &log_options, options.create)?;
        let seed = log.control().index_seed;
        let index_dir = dir.join(INDEX_DIR);
        let stamp = index_stamp(&log);
        let opened = if recovery.was_clean() && recovery.kind != RecoveryKind::Created {
            Index::open_clean(env.disk.clone(), &index_dir, &stamp)
        } else {
            Err(Distrust::NotClosed)
        };
        let (index, index_state, rebuild) = match opened {
            Ok(index) => (index, IndexState::Trusted, false),
            Err(why) => {
                let index = Index::create(env.disk.clone(), &index_dir, seed)?;
                let fresh = recovery.kind == RecoveryKind::Created;
                (
                    index,
                    if fresh {
                        IndexState::Trusted
                    } else {
                        IndexState::Rebuilt(why.to_string())
                    },
                    !fresh,
                )
            }
        };
        let log = Arc::new(log);
        // A machine without threads, a simulated one, replays the same steps from the same seed.
        let background = (env.disk.allows_threads())
            .then(|| Background::start(&log, options.sync_interval))
            .transpose()?;
        let store = Store {
            _background: background,
            log,
            index,
            index_seed: seed,
            stripes: write::Stripes::new(),
            runs: Mutex::default(),
            cuts: Arc::default(),
            dir: dir.to_owned(),
            recovery,
            index_state,
        };
        if rebuild {
            store.rebuild_index()?;
        }
        if let Some(live) = store.log.live() {
            store.index.show_in(Arc::clone(live));
            slots::create(&*env.disk, dir)?;
            live.serve();
        }
        Ok(store)
    }

    /// Opens a store that leads its own log: a database without replicas. Each opening after a
    /// crash starts a new epoch.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn open_standalone(env: &Env, dir: &Path, options: &StoreOptions) -> Result<Store, StoreError> {
        let store = Store::open(env, dir, options)?;
        if store.epoch() == Epoch(0) || store.resume_epoch(store.epoch()).is_err() {
            let next = Epoch(store.epoch().0 + 1);
            store.begin_epoch(next, options.identity.node, store.incarnation())?;
        }
        Ok(store)
    }

    /// Takes the steps that a background thread takes on a real machine: prepares the next segment,
    /// seals full ones. Returns when nothing is left to do.
    ///
    /// # Errors
    /// Those of a failed sync; the store takes no more writes then.
    pub fn do_chores(&self) -> Result<(), StoreError> {
        Ok(self.log.do_chores()?)
    }

    /// Directory of the store.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How the store was found when it was opened.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// Whether the key index could be used as it was left.
    #[must_use]
    pub fn index_state(&self) -> &IndexState {
        &self.index_state
    }

    /// Life of the store: grows with every opening after a crash.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        self.log.control().incarnation
    }

    /// Random name given at creation; a store that was wiped and created again has another one.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.log.control().store
    }

    /// Shard this store holds.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.log.control().shard
    }

    /// Position after the last record.
    #[must_use]
    pub fn tail(&self) -> Lsn {
        self.log.tail()
    }

    /// Position below which everything is committed and indexed.
    #[must_use]
    pub fn stable(&self) -> Lsn {
        self.log.stable()
    }

    /// Position below which everything has survived a sync.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.log.durable()
    }

    /// Epoch of the last record; 0 for an empty log.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    /// Every epoch of the log with the position of its first record, ascending.
    #[must_use]
    pub fn epoch_vector(&self) -> Vec<(Epoch, Lsn)> {
        self.log.epoch_vector()
    }

    /// Whether this replica takes writes of its own.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.log.is_leader()
    }

    /// Why the store takes no writes any more, after a failed write or sync.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.log.poisoned()
    }

    /// Makes everything committed before the call durable; returns the durable position.
    ///
    /// # Errors
    /// The first failure poisons the store until it is opened again.
    pub fn sync(&self) -> Result<Lsn, StoreError> {
        Ok(self.log.sync()?)
    }

    /// Waits until everything below `target` is durable.
    ///
    /// # Errors
    /// As for [`Store::sync`].
    pub fn sync_to(&self, target: Lsn) -> Result<Lsn, StoreError> {
        Ok(self.log.sync_to(target)?)
    }

    /// Figures as of now.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let segments = self.log.segments();
        StoreStats {
            keys: self.index.len(),
            records: self.log.records(),
            segments: segments.all.len() as u64,
            log_bytes: self.log.tail().0,
            file_bytes: segments.all.iter().map(|segment| segment.header().capacity).sum(),
            index_bytes: self.index.bytes(),
        }
    }

    /// Makes everything durable and leaves the store so that the next opening has nothing to
    /// repair. Dropping a store without closing it is what a crash does: nothing that was
    /// acknowledged is lost, but the next opening takes longer.
    ///
    /// # Errors
    /// The disk's; the store then opens as after a crash.
    pub fn close(self) -> Result<(), StoreError> {
        self.log.close()?;
        self.index.close_clean(&index_stamp(&self.log))?;
        if let Some(live) = self.log.live() {
            live.close();
        }
        Ok(())
    }

    fn hash(&self, key: &[u8], system: bool) -> u64 {
        hash_key(self.index_seed, key, system)
    }

    fn location(segment: &Segment, lsn: Lsn) -> Location {
        let offset = segment.offset_of(lsn).expect("the record lies in this segment");
        Location::new(segment.header().number as u16, (offset / 8) as u32)
            .expect("segments are no larger than a location can reach")
    }

    /// Segment and position an index entry points to, if that part of the log still exists.
    fn resolve(&self, location: Location) -> Option<Place> {
        Place::find(self.log.segments(), location)
    }

    /// Whether the record at `place` is a version of `key`. A record that cannot be read is an
    /// error, never a "no": a damaged key must not turn into a missing one.
    fn is_version_of(place: &Place, key: &[u8], system: bool) -> Result<bool, StoreError> {
        let segment = place.segment();
        let damaged = |error| StoreError::from(segment.damaged(place.lsn, &error));
        let record = segment.record_unchecked(place.lsn).map_err(damaged)?;
        record.verify_header(segment.seed()).map_err(damaged)?;
        Ok(record.key() == key && record.is_system() == system)
    }

    /// Where the newest version of `key` stands, its header and key checked.
    fn lookup(&self, key: &[u8], system: bool) -> Result<Option<(Location, Place)>, StoreError> {
        self.lookup_hashed(self.hash(key, system), key, system)
    }

    fn lookup_hashed(
        &self,
        hash: u64,
        key: &[u8],
        system: bool,
    ) -> Result<Option<(Location, Place)>, StoreError> {
        self.log.check_forked()?;
        let mut place = None;
        let found = self.index.get(hash, |location| {
            // A location that leads nowhere was cut off by a truncation, which has undone the index
            // already.
            place = self.resolve(location);
            match &place {
                Some(place) => Store::is_version_of(place, key, system),
                None => Ok(false),
            }
        })?;
        // The place is that of the last location asked about: the one that was accepted.
        Ok(found.zip(place))
    }

    fn rebuild_index(&self) -> Result<(), StoreError> {
        self.index_span(Lsn::ZERO, self.log.tail())
    }

    /// Enters every version in `[from, to)` into the index, in log order.
    fn index_span(&self, from: Lsn, to: Lsn) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        self.log.walk(from, to, false, |segment, record| {
            if outcome.is_ok() {
                outcome = for_each_version(&record, segment, |version| self.index_version(segment, &version));
            }
        })?;
        outcome
    }

    fn index_version(&self, segment: &Segment, version: &RecordView<'_>) -> Result<(), StoreError> {
        let (key, system) = (version.key(), version.is_system());
        let location = Store::location(segment, version.lsn());
        self.index.set(self.hash(key, system), location, |found| {
            match self.resolve(found) {
                Some(place) => Store::is_version_of(&place, key, system),
                None => Ok(false),
            }
        })?;
        Ok(())
    }
}

/// A record's place: a segment that stays mapped as long as this lives, and the position in it.
///
/// Holds the list of segments rather than the segment: no count that all readers share changes.
struct Place {
    segments: arc_swap::Guard<Arc<SegmentList>>,
    index: usize,
    lsn: Lsn,
}

impl Place {
    fn find(segments: arc_swap::Guard<Arc<SegmentList>>, location: Location) -> Option<Place> {
        let index = segments.index_of_slot(location.file_slot())?;
        let segment = &segments.all[index];
        let lsn = segment.lsn_at(location.offset() as usize * 8)?;
        (lsn < segment.end()).then_some(Place { segments, index, lsn })
    }

    fn segment(&self) -> &Arc<Segment> {
        &self.segments.all[self.index]
    }
}

/// Calls `each` on the record itself, or on the members of a batch, as far as they are versions.
fn for_each_version<E: From<crate::log::LogError>>(
    record: &RecordView<'_>,
    segment: &Segment,
    mut each: impl FnMut(RecordView<'_>) -> Result<(), E>,
) -> Result<(), E> {
    if record.kind().is_version() {
        return each(*record);
    }
    for member in record.members(segment.seed()) {
        let member = member.map_err(|error| segment.damaged(record.lsn(), &error))?;
        if member.kind().is_version() {
            each(member)?;
        }
    }
    Ok(())
}

/// Where the index keeps a key. The seed is random for each store, so nobody can choose keys that meet
/// in one page. The reserved keyspace gets another one: its keys may spell like a user's.
fn hash_key(seed: u64, key: &[u8], system: bool) -> u64 {
    let seed = if system {
        seed ^ 0x5379_7374_656D_0001
    } else {
        seed
    };
    xxhash_rust::xxh3::xxh3_64_with_seed(key, seed)
}

/// What an index must carry to be trusted beside this log.
fn index_stamp(log: &Log) -> [u8; 32] {
    stamp_of(&log.control(), log.tail())
}

fn stamp_of(control: &Control, tail: Lsn) -> [u8; 32] {
    let mut stamp = [0u8; 32];
    stamp[..16].copy_from_slice(&control.store.0);
    stamp[16..24].copy_from_slice(&tail.0.to_le_bytes());
    stamp[24..28].copy_from_slice(&control.open_generation.to_le_bytes());
    stamp[28..32].copy_from_slice(&control.incarnation.to_le_bytes());
    stamp
}
