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
mod approximate;
pub mod backup;
mod batch;
mod bulk;
pub mod compact;
pub mod conditional;
mod cuts;
mod delete_range;
mod error;
mod expiry;
mod files;
pub mod hand_over;
mod health;
mod history;
pub mod index;
pub mod manifest;
mod multi_get;
mod past;
mod place;
pub mod read;
pub mod reader;
pub mod repair;
pub mod scan;
mod slots;
mod subscription;
pub mod table;
pub mod transaction;
pub mod verify;
mod version;
pub mod write;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

pub use approximate::Approximate;
pub use batch::WriteBatch;
pub use bulk::{BulkLoad, BulkLoaded};
pub use compact::{CompactionHealth, CompactionLimits, CompactionReport, CompactionStep, StepKind};
pub use conditional::{CompareAndSet, Expected};
pub use error::{ConflictCause, Damage, StoreError, TooOld};
pub use expiry::Expires;
pub use hand_over::{HandOver, HandOverKind};
pub use health::{HealthState, StoreHealth};
pub use read::Snapshot;
pub use reader::{ReaderOptions, ReaderSnapshot, ReaderStats, StoreReader};
pub use scan::{Entry, EntryRef, Scan, ScanOptions};
pub use slots::{READER_SLOTS, READERS_FILE, ReaderInfo};
pub use subscription::{Notify, Subscription};
pub use transaction::{Committed, Transaction, TransactionEntry, TransactionScan, TransactionValue};
pub use verify::VerifyReport;
pub use version::Value;
pub use write::{Durability, Written};

pub use crate::log::expiry::Expiry;
pub use crate::log::frame::{Frame, FrameCursor, FrameEntry, FrameError};
pub use crate::log::payload::{SlotsFrozen, SlotsOwned};
pub use crate::log::read::LogChunk;
pub use crate::log::recovery::{Cut, RecoveryKind, RecoveryReport};
pub use crate::log::truncate::TruncateReport;
pub use crate::log::{StoreIdentity, VerifyPayload, WritePath};

use crate::ids::{Epoch, Lsn, ShardId, Uuid};
use crate::io::Env;
use crate::log::background::Background;
use crate::log::header::Control;
use crate::log::segment::Segment;
use crate::log::view::RecordView;
use crate::log::{Log, LogOptions};
use crate::metrics::OpCounters;
use compact::background::Background as Compactor;
use files::FileSet;
use history::History;
use index::{Distrust, Index, Location};
use place::Place;
use version::table_location;

/// Name of the directory of index files within a store.
pub const INDEX_DIR: &str = "index";

/// Who turns sealed segments into tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Compaction {
    /// Nobody by itself: [`Store::compact`] and [`Store::compact_step`] do.
    #[default]
    Manual,
    /// A thread of the store, for a store on its own: everything durable may be compacted.
    Background {
        /// Writes at most this many bytes a second; 0 for as fast as it can.
        rate_bytes_per_s: u64,
    },
}

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
    /// Writes get a full disk's error once they would leave less than this many bytes free on the file
    /// system, so that there is room to close, to open again, to lead a new epoch and to give back space;
    /// a sixteenth of the file system where that is less. They go on by themselves when space returns.
    /// Default 16 MiB; 0 for none.
    pub min_free_bytes: u64,
    /// When values in the log are compared with their checksums; default at every read. Tables have checksums
    /// of pages, compared by the first read of each page in either case.
    pub verify_payload: VerifyPayload,
    /// Who compacts; default nobody by itself.
    pub compaction: Compaction,
    /// Tables are cut at about this many bytes, from 64 KiB to 56 MiB; default 32 MiB. A merge needs
    /// about as much space beside each run it reads; a store has at most 32,768 tables.
    pub table_bytes: u64,
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
            min_free_bytes: 16 << 20,
            verify_payload: VerifyPayload::Always,
            compaction: Compaction::Manual,
            table_bytes: 32 << 20,
            sync_interval: Some(Duration::from_secs(1)),
        }
    }

    /// Defaults for a store on its own, of no cluster: the same, but that it compacts itself.
    #[must_use]
    pub fn standalone() -> StoreOptions {
        StoreOptions {
            compaction: Compaction::Background { rate_bytes_per_s: 0 },
            ..StoreOptions::new(StoreIdentity {
                cluster: Uuid::NIL,
                shard: ShardId(0),
                node: 1,
            })
        }
    }
}

/// Whether the key index on disk could be used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    /// Used as it was left.
    Trusted,
    /// Built from tables and log, and why.
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
    /// Bytes of records that the log still has.
    pub log_bytes: u64,
    /// Bytes of segment files, headers and space for growth included.
    pub file_bytes: u64,
    /// Bytes of index files.
    pub index_bytes: u64,
    /// Position up to which versions are in tables.
    pub compacted_through: Lsn,
    /// Runs of tables that a read of older versions or a scan has to look at.
    pub runs: u64,
    /// Table files.
    pub tables: u64,
    /// Bytes of table files.
    pub table_bytes: u64,
    /// Versions in tables, deletions and superseded ones included.
    pub table_entries: u64,
    /// How compaction has fared.
    pub compaction: CompactionHealth,
}

impl StoreStats {
    /// Bytes of all files.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.file_bytes + self.table_bytes + self.index_bytes
    }
}

/// An open shard replica. Thread-safe: any number of readers beside any number of writers.
#[derive(Debug)]
pub struct Store {
    /// Stopped before the store is closed or dropped.
    compactor: Option<Compactor>,
    shared: Arc<Shared>,
}

impl Deref for Store {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// What a store and its compaction thread share. Not for use from outside the room.
#[derive(Debug)]
#[doc(hidden)]
pub struct Shared {
    /// First, so that its thread has ended before anything else goes.
    _background: Option<Background>,
    log: Arc<Log>,
    index: Index,
    index_seed: u64,
    stripes: write::Stripes,
    cuts: Arc<cuts::Cuts>,
    sorted: Mutex<scan::SortedSegments>,
    files: ArcSwap<FileSet>,
    history: History,
    waiters: subscription::Waiters,
    ops: OpCounters,
    expiry_clock: expiry::ExpiryClock,
    /// Held for a step of compaction, and by whoever must not run beside one; says what the last was.
    compaction: Mutex<Option<StepKind>>,
    compaction_health: Mutex<CompactionHealth>,
    /// Some entries of the index may lead to files that are about to go: it must not be trusted again.
    index_stale: AtomicBool,
    table_bytes: usize,
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
            min_free_bytes: options.min_free_bytes,
            verify_payload: options.verify_payload,
        };
        let (log, recovery) = Log::open(env, dir, &log_options, options.create)?;
        let control = log.control();
        let files = FileSet::open(log.disk(), dir, control.store, control.cluster, control.shard)?;
        check_reach(&log, &files)?;
        let seed = control.index_seed;
        let index_dir = dir.join(INDEX_DIR);
        let stamp = index_stamp(&log, &files);
        let opened = if recovery.was_clean() && recovery.kind != RecoveryKind::Created {
            Index::open_clean(env.disk.clone(), &index_dir, &stamp)
        } else {
            Err(Distrust::NotClosed)
        };
        let mut replay_from = None;
        let opened = match opened {
            Err(Distrust::NotClosed) => {
                inherit_index(&log, &recovery, &files, &index_dir).map(|(index, from)| {
                    replay_from = Some(from);
                    index
                })
            }
            opened => opened,
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
        // Versions of a bulk load may be newer than any record, where a crash came in between.
        if files.reach > files.through {
            files
                .tables()
                .for_each(|table| log.observe(table.footer().hlcs.1));
        }
        let log = Arc::new(log);
        // A machine without threads, a simulated one, replays the same steps from the same seed.
        let background = (env.disk.allows_threads())
            .then(|| Background::start(&log, options.sync_interval))
            .transpose()?;
        let shared = Shared {
            _background: background,
            expiry_clock: expiry::ExpiryClock::not_before(log.hlc().wall_ms()),
            log,
            index,
            index_seed: seed,
            stripes: write::Stripes::new(),
            cuts: Arc::default(),
            sorted: Mutex::default(),
            history: History::new(files.through),
            waiters: subscription::Waiters::default(),
            ops: OpCounters::default(),
            files: ArcSwap::from_pointee(files),
            compaction: Mutex::new(None),
            compaction_health: Mutex::default(),
            index_stale: AtomicBool::new(false),
            table_bytes: options.table_bytes.clamp(64 << 10, 56 << 20) as usize,
            dir: dir.to_owned(),
            recovery,
            index_state,
        };
        let mut store = Store {
            compactor: None,
            shared: Arc::new(shared),
        };
        if rebuild {
            store.rebuild_index()?;
        } else if let Some(from) = replay_from {
            store.index_span(from, store.log.tail())?;
        }
        if let Some(live) = store.log.live() {
            live.end_install(store.files.load().generation);
            store.index.show_in(Arc::clone(live));
            slots::create(&*env.disk, dir)?;
            live.raise_clock(store.now_ms());
            live.raise_floor(store.history.floor());
            live.serve();
        }
        if let Compaction::Background { rate_bytes_per_s } = options.compaction {
            let handle = Store {
                compactor: None,
                shared: Arc::clone(&store.shared),
            };
            let thread = Compactor::start(handle, CompactionLimits::default(), rate_bytes_per_s);
            store.compactor = Some(thread.map_err(table::TableError::io("start compaction of", dir))?);
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
        // The log first: what it lets go of afterwards is in the files already.
        let kept = self.log.epoch_vector();
        let mut all = self.files.load().epochs.clone();
        let known = all.last().map_or(Epoch(0), |(epoch, _)| *epoch);
        all.extend(kept.into_iter().filter(|(epoch, _)| *epoch > known));
        all
    }

    /// Position of the first record that a follower can still ask for.
    #[must_use]
    pub fn log_start(&self) -> Lsn {
        self.log.start()
    }

    /// Position up to which versions are in tables: a truncation never reaches below.
    #[must_use]
    pub fn compacted_through(&self) -> Lsn {
        self.files.load().through
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
        let files = self.files.load();
        StoreStats {
            keys: self.index.len(),
            records: self.log.records(),
            segments: segments.all.len() as u64,
            log_bytes: self.log.tail().0.saturating_sub(self.log.start().0),
            file_bytes: segments.all.iter().map(|segment| segment.header().capacity).sum(),
            index_bytes: self.index.bytes(),
            compacted_through: files.through,
            runs: files.runs.len() as u64,
            tables: files.tables().count() as u64,
            table_bytes: files.tables().map(|table| table.file_bytes()).sum(),
            table_entries: files.tables().map(|table| table.footer().entries).sum(),
            compaction: self.compaction_health(),
        }
    }

    /// Makes everything durable and leaves the store so that the next opening has nothing to
    /// repair. Dropping a store without closing it is what a crash does: nothing that was
    /// acknowledged is lost, but the next opening takes longer.
    ///
    /// # Errors
    /// The disk's; the store then opens as after a crash.
    pub fn close(mut self) -> Result<(), StoreError> {
        drop(self.compactor.take());
        self.log.close()?;
        if !self.index_stale.load(Ordering::Acquire) {
            let stamp = index_stamp(&self.log, &self.files.load());
            self.index.close_clean(&stamp)?;
        }
        if let Some(live) = self.log.live() {
            live.close();
        }
        // A subscription in the middle of a call has the store for that long; whoever opens it next must not
        // find it locked.
        while Arc::strong_count(&self.shared) > 1 {
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
        Ok(())
    }

    #[inline]
    fn hash(&self, key: &[u8], system: bool) -> u64 {
        hash_key(self.index_seed, key, system)
    }

    #[inline]
    fn location(segment: &Segment, lsn: Lsn) -> Location {
        let offset = segment.offset_of(lsn).expect("the record lies in this segment");
        let slot = segment.header().number % crate::log::SEGMENT_SLOTS;
        Location::new(slot as u16, (offset / 8) as u32)
            .expect("segments are no larger than a location can reach")
    }

    /// Where the newest version of `key` stands, its header and key checked.
    #[inline]
    fn lookup(&self, key: &[u8], system: bool) -> Result<Option<(Location, Place)>, StoreError> {
        self.lookup_hashed(self.hash(key, system), key, system)
    }

    #[inline]
    fn lookup_hashed(
        &self,
        hash: u64,
        key: &[u8],
        system: bool,
    ) -> Result<Option<(Location, Place)>, StoreError> {
        self.log.check_forked()?;
        let mut place = None;
        let found = self.index.get(hash, |location| {
            // A location that leads nowhere was cut off by a truncation, or its file was compacted away;
            // both have changed the index before.
            place = self.resolve(location);
            match &mut place {
                Some(place) => place.is_version_of(key, system),
                None => Ok(false),
            }
        })?;
        // The place is that of the last location asked about: the one that was accepted.
        Ok(found.zip(place))
    }

    fn rebuild_index(&self) -> Result<(), StoreError> {
        let files = self.files.load_full();
        // The oldest run first, into an empty index: its keys differ from each other.
        for (i, run) in files.runs.iter().rev().enumerate() {
            for table in &run.tables {
                table.for_each(|offset, entry| self.index_entry(run, table, offset, &entry, i == 0))?;
            }
        }
        self.index_span(files.through, self.log.tail())
    }

    /// Enters the newest version of a key in a run.
    fn index_entry(
        &self,
        run: &files::Run,
        table: &table::Table,
        offset: usize,
        entry: &table::format::EntryView<'_>,
        is_new: bool,
    ) -> Result<(), StoreError> {
        let system = entry.is_system();
        if entry.same_key || (!system && !run.covers(entry.key)) {
            return Ok(());
        }
        let location = table_location(table, offset);
        let hash = self.hash(entry.key, system);
        let is_first = offset == table::format::DATA_START;
        if is_new && !is_first {
            self.index.insert(hash, location)?;
            return Ok(());
        }
        // The first entry of a table may belong to the last key of the table before.
        match self.lookup_hashed(hash, entry.key, system)? {
            Some((_, place)) if place.lsn()? >= entry.lsn => {}
            Some((old, _)) => {
                self.index.replace(hash, old, location)?;
            }
            None => self.index.insert(hash, location)?,
        }
        Ok(())
    }

    /// Enters every version in `[from, to)` into the index, in log order.
    fn index_span(&self, from: Lsn, to: Lsn) -> Result<(), StoreError> {
        let mut outcome: Result<(), StoreError> = Ok(());
        let (mut hashes, mut places) = (Vec::with_capacity(write::GROUP), Vec::with_capacity(write::GROUP));
        self.log.walk(from, to, false, |segment, record| {
            if outcome.is_err() {
                return;
            }
            outcome = for_each_version(&record, segment, |version| {
                hashes.push(self.hash(version.key(), version.is_system()));
                places.push((Arc::clone(segment), version.lsn()));
                if hashes.len() == write::GROUP {
                    self.index_group(&mut hashes, &mut places)?;
                }
                Ok(())
            });
        })?;
        outcome?;
        self.index_group(&mut hashes, &mut places)
    }

    /// Enters versions that have just been read and checked, in this order; their cache misses overlap.
    fn index_group(
        &self,
        hashes: &mut Vec<u64>,
        places: &mut Vec<(Arc<Segment>, Lsn)>,
    ) -> Result<(), StoreError> {
        self.prefetch_group(hashes);
        hashes.clear();
        for (segment, lsn) in places.drain(..) {
            let version = segment.record_unchecked(lsn);
            let version = version.map_err(|error| segment.damaged(lsn, &error))?;
            self.index_version(&segment, &version)?;
        }
        Ok(())
    }

    fn index_version(&self, segment: &Segment, version: &RecordView<'_>) -> Result<(), StoreError> {
        let (key, system) = (version.key(), version.is_system());
        let location = Store::location(segment, version.lsn());
        self.index.set(self.hash(key, system), location, |found| {
            match self.resolve(found) {
                Some(mut place) => place.is_version_of(key, system),
                None => Ok(false),
            }
        })?;
        Ok(())
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

/// What an index must carry to be trusted beside this log and these tables.
fn index_stamp(log: &Log, files: &FileSet) -> [u8; 32] {
    stamp_of(&log.control(), log.tail(), files.generation)
}

/// As [`index_stamp`], of what the files of a closed store say.
fn stamp_of(control: &Control, tail: Lsn, generation: u64) -> [u8; 32] {
    // Of the store's name half is enough beside the rest: it is random.
    let mut stamp = [0u8; 32];
    stamp[..8].copy_from_slice(&control.store.0[..8]);
    stamp[8..16].copy_from_slice(&generation.to_le_bytes());
    stamp[16..24].copy_from_slice(&tail.0.to_le_bytes());
    stamp[24..28].copy_from_slice(&control.open_generation.to_le_bytes());
    stamp[28..32].copy_from_slice(&control.incarnation.to_le_bytes());
    stamp
}

/// The index of a writer that died in this start of the machine, and the position from which on the log is
/// to be entered into it. It is used only where nothing but its last reservations was under way, the log
/// has been found whole as far as the writer had come, and the tables are those the index leads to.
fn inherit_index(
    log: &Log,
    recovery: &RecoveryReport,
    files: &FileSet,
    index_dir: &Path,
) -> Result<(Index, Lsn), Distrust> {
    let is_same_boot = matches!(recovery.kind, RecoveryKind::SameBoot | RecoveryKind::Clean);
    let legacy = log.live().and_then(|live| live.legacy());
    let legacy = legacy.filter(|legacy| {
        is_same_boot
            && recovery.cut.is_none()
            && recovery.set_aside.is_empty()
            && legacy.tail <= log.tail()
            && legacy.manifest == files.generation
    });
    let Some(legacy) = legacy else {
        return Err(Distrust::NotClosed);
    };
    let (disk, seed) = (Arc::clone(&log.env().disk), log.control().index_seed);
    let index = Index::inherit(disk, index_dir, seed, legacy.index_pages)?;
    Ok((index, legacy.stable.max(files.through)))
}

/// Refuses a log and tables that leave a gap between them.
fn check_reach(log: &Log, files: &FileSet) -> Result<(), StoreError> {
    let (start, tail, through) = (log.start(), log.tail(), files.through);
    if (start <= through && through <= tail) || (start == Lsn::ZERO && through == Lsn::ZERO) {
        return Ok(());
    }
    let path = log.dir().join(manifest::MANIFEST_FILE);
    let what =
        format!("the tables reach to position {through}, the log from {start} to {tail}: files are missing");
    Err(table::TableError::damaged(&path, 64, what).into())
}
