//! Opening a log: what is there, whether it can be trusted, where it ends.
//!
//! In: a directory. Out: an open log and a report. Three cases, told apart by the control page:
//!
//! * **clean**: nobody has written since everything was synced; the tail is known.
//! * **same boot**: a process died, the page cache did not. Every committed record stays; space
//!   that a writer reserved and never filled becomes padding. A primary's record that is invalid
//!   is damage; a follower's is a write that the kill cut short.
//! * **power loss**: the machine restarted. The first invalid record is the candidate cut. If
//!   anything proves that records beyond it had been durable (a later GROUP record or segment of
//!   the primary, a sealed segment, the control page) the log is *damaged* and opening fails,
//!   naming the place; otherwise the tail was torn, is cut, and the report says so.
//!
//! After an unclean opening the old tail is neither appended to nor zeroed: the next record
//! starts a new segment at the cut.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::find::{Found, find};
use super::group_commit::Turns;
use super::header::{Chain, Control, PAGE_BYTES, StoreState};
use super::in_flight::Frontier;
use super::live::Live;
use super::rotate::Chores;
use super::segment::{MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES};
use super::writer::SegmentWriter;
use super::{
    AppendState, CONTROL_FILE, LOCK_FILE, LOG_DIR, Log, LogError, LogOptions, SegmentList, StoreIdentity,
    VerifyPayload, WritePath,
};
use crate::ids::{Epoch, Hlc, Lsn, Uuid};
use crate::io::{Disk, Env, LockOutcome, OpenMode};

/// How a log was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryKind {
    /// It did not exist.
    Created,
    /// It had been closed.
    Clean,
    /// Its process had died; the machine had not.
    SameBoot,
    /// The machine had restarted.
    PowerLoss,
}

/// A tail that was torn and cut off.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Cut {
    /// Segment file.
    pub path: PathBuf,
    /// Offset of the first byte cut off.
    pub offset: u64,
    /// Why the log ends there.
    pub why: String,
}

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RecoveryReport {
    /// How the log was found.
    pub kind: RecoveryKind,
    /// Where it ends.
    pub tail: Lsn,
    /// Set when something after the end was unreadable.
    pub cut: Option<Cut>,
    /// Reservations of dead writers that became padding.
    pub padded: u64,
    /// Files put under `diverged/`.
    pub set_aside: Vec<PathBuf>,
}

impl RecoveryReport {
    /// Whether the store had been closed (or is new), so that no writer's life ended in it.
    #[must_use]
    pub fn was_clean(&self) -> bool {
        matches!(self.kind, RecoveryKind::Created | RecoveryKind::Clean)
    }
}

impl Log {
    /// Opens the log in `dir`, creating it when `create` is set and nothing is there.
    ///
    /// # Errors
    /// [`LogError::Locked`], [`LogError::NotAStore`], [`LogError::WrongIdentity`],
    /// [`LogError::Corrupt`] and the disk's own.
    pub fn open(
        env: &Env,
        dir: &Path,
        options: &LogOptions,
        create: bool,
    ) -> Result<(Log, RecoveryReport), LogError> {
        let disk = Arc::clone(&env.disk);
        let control_path = dir.join(CONTROL_FILE);
        let exists = disk
            .exists(&control_path)
            .map_err(|e| LogError::io("look up", &control_path, e))?;
        if !exists {
            refuse_foreign_directory(&*disk, dir, create)?;
            let log_dir = dir.join(LOG_DIR);
            disk.create_dir_all(&log_dir)
                .map_err(|e| LogError::io("create", &log_dir, e))?;
        }
        let lock = take_lock(&*disk, dir)?;
        let map_writes = match options.write_path {
            WritePath::Map => true,
            WritePath::Pwrite => false,
            WritePath::Auto => disk
                .supports_writable_maps(dir)
                .map_err(|e| LogError::io("inspect", dir, e))?,
        };

        let mut live = None;
        let (mut control, found) = if exists {
            let control = read_control(&*disk, &control_path)?;
            check_identity(dir, &control, &options.identity)?;
            live = take_live(&*disk, dir, control.store)?;
            let found = find(&*disk, dir, &control)?;
            (control, found)
        } else {
            create_store(env, dir, options)?
        };
        if live.is_none() {
            live = take_live(&*disk, dir, control.store)?;
        }
        if options.verify_payload == VerifyPayload::FirstTouch {
            found
                .segments
                .iter()
                .for_each(|segment| segment.compare_payloads_once());
        }
        let kind = found.report.kind;
        if !found.report.was_clean() {
            // A dot (node, incarnation, sequence) must never be used twice; see DESIGN of versions.
            control.incarnation = control
                .incarnation
                .checked_add(1)
                .ok_or_else(|| LogError::corrupt(&control_path, 88, "incarnation without a next one"))?;
        }
        let last = found.segments.last().cloned();
        let epoch = last.as_ref().map_or(Epoch(0), |segment| segment.header().epoch);
        control.epoch = epoch;
        let active = match kind {
            RecoveryKind::Clean => last.clone().filter(|last| last.end() == Lsn(u64::MAX)),
            _ => None,
        };
        let active = active
            .map(|last| {
                let own = !last.header().follower;
                SegmentWriter::new(last, map_writes && own).map(Arc::new)
            })
            .transpose()?;
        // After an unclean opening the next record has to wait for its segment: a small one.
        let next_capacity = match (&active, &last) {
            (Some(_), Some(last)) => last.header().capacity * 2,
            _ => MIN_SEGMENT_BYTES,
        };
        let segment_max = options
            .segment_max_bytes
            .clamp(MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES);
        let log = Log {
            disk,
            env: env.clone(),
            dir: dir.to_owned(),
            options: LogOptions {
                segment_max_bytes: segment_max,
                ..options.clone()
            },
            map_writes,
            append: Mutex::new(AppendState {
                active,
                tail: found.tail,
                hlc: found.hlc,
                epoch,
                records: found.records,
                chain: found.chain,
                next_number: found.next_number,
                next_capacity: next_capacity.clamp(MIN_SEGMENT_BYTES, segment_max),
                leader: false,
                control,
                marked_open: false,
                room_until: Lsn::ZERO,
            }),
            segments: ArcSwap::from_pointee(SegmentList { all: found.segments }),
            frontier: Frontier::shown_in(found.tail, live.clone()),
            live,
            turns: Turns::new(found.tail),
            chores: Chores::default(),
            poison: OnceLock::new(),
            born: crate::io::fork::generation(),
            _lock: lock,
        };
        Ok((log, found.report))
    }
}

/// The page for readers, on a machine that has other processes.
fn take_live(disk: &dyn Disk, dir: &Path, store: Uuid) -> Result<Option<Arc<Live>>, LogError> {
    if !disk.allows_threads() {
        return Ok(None);
    }
    Ok(Live::take(disk, dir, store)?.map(Arc::new))
}

fn refuse_foreign_directory(disk: &dyn Disk, dir: &Path, create: bool) -> Result<(), LogError> {
    let not_a_store = |found: String| {
        Err(LogError::NotAStore {
            path: dir.to_owned(),
            found,
        })
    };
    if !disk.exists(dir).map_err(|e| LogError::io("look up", dir, e))? {
        return if create {
            Ok(())
        } else {
            not_a_store("the directory does not exist".into())
        };
    }
    let entries = disk.list(dir).map_err(|e| LogError::io("list", dir, e))?;
    // What a creation leaves that was interrupted before its last step.
    let draft = format!("{CONTROL_FILE}.new");
    let ours = |name: &str| name == LOG_DIR || name == LOCK_FILE || name == draft;
    if let Some(foreign) = entries.iter().find(|entry| !ours(&entry.name)) {
        return not_a_store(format!("it holds `{}` and no {CONTROL_FILE} file", foreign.name));
    }
    let log_dir = dir.join(LOG_DIR);
    if entries.iter().any(|entry| entry.name == LOG_DIR)
        && !disk
            .list(&log_dir)
            .map_err(|e| LogError::io("list", &log_dir, e))?
            .is_empty()
    {
        return not_a_store(format!("it holds log segments and no {CONTROL_FILE} file"));
    }
    if create {
        Ok(())
    } else {
        not_a_store("it is empty".into())
    }
}

fn take_lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn crate::io::LockGuard>, LogError> {
    let path = dir.join(LOCK_FILE);
    match disk.lock(&path).map_err(|e| LogError::io("lock", &path, e))? {
        LockOutcome::Acquired(guard) => Ok(guard),
        LockOutcome::Held(holder) => Err(LogError::Locked {
            path: dir.to_owned(),
            pid: holder.pid,
            host: holder.host,
        }),
    }
}

/// Whose log is in `dir`, as its control page says.
pub(crate) fn read_identity(disk: &dyn Disk, dir: &Path) -> Result<StoreIdentity, LogError> {
    let path = dir.join(CONTROL_FILE);
    if !disk
        .exists(&path)
        .map_err(|e| LogError::io("look up", &path, e))?
    {
        return Err(LogError::NotAStore {
            path: dir.to_owned(),
            found: format!("it has no {CONTROL_FILE} file"),
        });
    }
    let control = read_control(disk, &path)?;
    Ok(StoreIdentity {
        cluster: control.cluster,
        shard: control.shard,
        node: control.node,
    })
}

pub(crate) fn read_control(disk: &dyn Disk, path: &Path) -> Result<Control, LogError> {
    let file = disk
        .open(path, OpenMode::Read)
        .map_err(|e| LogError::io("open", path, e))?;
    let mut page = [0u8; PAGE_BYTES];
    let read = file
        .read_at(&mut page, 0)
        .map_err(|e| LogError::io("read", path, e))?;
    if read < PAGE_BYTES {
        return Err(LogError::corrupt(
            path,
            read as u64,
            format_args!("the file ends at {read} of {PAGE_BYTES} bytes"),
        ));
    }
    Control::decode(&page).map_err(|e| LogError::page(path, 0, e))
}

fn check_identity(dir: &Path, control: &Control, expected: &StoreIdentity) -> Result<(), LogError> {
    let found = StoreIdentity {
        cluster: control.cluster,
        shard: control.shard,
        node: control.node,
    };
    if found == *expected {
        return Ok(());
    }
    let name =
        |id: &StoreIdentity| format!("cluster {} shard {} node {:016x}", id.cluster, id.shard, id.node);
    Err(LogError::WrongIdentity {
        path: dir.to_owned(),
        expected: name(expected),
        found: name(&found),
    })
}

fn create_store(env: &Env, dir: &Path, options: &LogOptions) -> Result<(Control, Found), LogError> {
    let mut store = [0u8; 16];
    store[..8].copy_from_slice(&env.entropy.next_u64().to_le_bytes());
    store[8..].copy_from_slice(&env.entropy.next_u64().to_le_bytes());
    let control = Control {
        cluster: options.identity.cluster,
        shard: options.identity.shard,
        node: options.identity.node,
        store: Uuid(store),
        incarnation: 1,
        open_generation: 0,
        boot_id: env.disk.boot_id(),
        state: StoreState::Clean,
        tail: Lsn::ZERO,
        durable: Lsn::ZERO,
        epoch: Epoch(0),
        hlc: Hlc::ZERO,
        chain: Chain::default(),
        records: 0,
        index_seed: env.entropy.next_u64(),
        log_start: Lsn::ZERO,
        released_records: 0,
    };
    // The control page comes last: without it the directory counts as never created.
    super::rotate::replace_file(&*env.disk, dir, CONTROL_FILE, &control.encode())?;
    let report = RecoveryReport {
        kind: RecoveryKind::Created,
        tail: Lsn::ZERO,
        cut: None,
        padded: 0,
        set_aside: Vec::new(),
    };
    let found = Found {
        segments: Vec::new(),
        tail: Lsn::ZERO,
        chain: Chain::default(),
        hlc: Hlc::ZERO,
        records: 0,
        report,
        next_number: 1,
    };
    Ok((control, found))
}
