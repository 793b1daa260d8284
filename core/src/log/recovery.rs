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
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};

use super::format::RecordError;
use super::group_commit::SyncState;
use super::header::{Chain, Control, PAGE_BYTES, PageError, SegmentFooter, StoreState};
use super::in_flight::InFlight;
use super::read::chain_of;
use super::segment::{MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES, Segment, WalkEnd, parse_file_name};
use super::{
    AppendState, CONTROL_FILE, DIVERGED_DIR, LOCK_FILE, LOG_DIR, Log, LogError, LogOptions, SegmentList,
    StoreIdentity, WritePath,
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

/// Everything recovery finds out before the log object exists.
struct Found {
    segments: Vec<Arc<Segment>>,
    tail: Lsn,
    chain: Chain,
    hlc: Hlc,
    records: u64,
    report: RecoveryReport,
    next_number: u64,
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

        let (mut control, found) = if exists {
            let control = read_control(&*disk, &control_path)?;
            check_identity(dir, &control, &options.identity)?;
            let found = find(&*disk, dir, &control, map_writes)?;
            (control, found)
        } else {
            create_store(env, dir, options)?
        };
        let kind = found.report.kind;
        if !found.report.was_clean() {
            // A dot (node, incarnation, sequence) must never be used twice; see DESIGN of versions.
            control.incarnation += 1;
        }
        let last = found.segments.last().cloned();
        let epoch = last.as_ref().map_or(Epoch(0), |segment| segment.header().epoch);
        control.epoch = epoch;
        let active = match kind {
            RecoveryKind::Clean => last.clone().filter(|last| last.end() == Lsn(u64::MAX)),
            _ => None,
        };
        let next_capacity = last
            .as_ref()
            .map_or(MIN_SEGMENT_BYTES, |segment| segment.header().capacity * 2);
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
            }),
            segments: ArcSwap::from_pointee(SegmentList { all: found.segments }),
            in_flight: InFlight::new(),
            tail: AtomicU64::new(found.tail.0),
            durable: AtomicU64::new(found.tail.0),
            sync: Mutex::new(SyncState::default()),
            synced: Condvar::new(),
            poison: OnceLock::new(),
            _lock: lock,
        };
        Ok((log, found.report))
    }
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

fn read_control(disk: &dyn Disk, path: &Path) -> Result<Control, LogError> {
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
    };
    // The control page comes last: without it the directory counts as never created.
    super::append::replace_file(&*env.disk, dir, CONTROL_FILE, &control.encode())?;
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

/// Opens the segment files in order. A last file that was never finished is removed.
fn open_segments(
    disk: &dyn Disk,
    dir: &Path,
    control: &Control,
    map_writes: bool,
) -> Result<(Vec<Arc<Segment>>, u64), LogError> {
    let log_dir = dir.join(LOG_DIR);
    let names = disk
        .list(&log_dir)
        .map_err(|e| LogError::io("list", &log_dir, e))?;
    let mut numbered: Vec<(u64, PathBuf)> = names
        .iter()
        .filter_map(|entry| parse_file_name(&entry.name).map(|number| (number, log_dir.join(&entry.name))))
        .collect();
    numbered.sort();
    let next_number = numbered.last().map_or(1, |(number, _)| number + 1);
    let count = numbered.len();
    let mut segments = Vec::with_capacity(count);
    for (i, (number, path)) in numbered.into_iter().enumerate() {
        let unfinished_allowed = i + 1 == count && control.state == StoreState::Open;
        let opened = match Segment::open(disk, &path, map_writes) {
            // Cut short before its header was whole: creation was interrupted.
            Err(LogError::Corrupt { offset, .. })
                if unfinished_allowed
                    && offset < PAGE_BYTES as u64
                    && Segment::file_is_blank(disk, &path)? =>
            {
                disk.remove_file(&path)
                    .map_err(|e| LogError::io("remove", &path, e))?;
                continue;
            }
            other => other?,
        };
        match opened {
            Ok(segment) => {
                let header = segment.header();
                if header.number != number || header.store != control.store {
                    return Err(LogError::corrupt(
                        &path,
                        88,
                        "the header belongs to another segment",
                    ));
                }
                segments.push(Arc::new(segment));
            }
            // A header is synced before the first record, so an invalid one above blank space was
            // never in use; above records it is damage.
            Err(PageError::Empty | PageError::Crc { .. } | PageError::Magic { .. })
                if unfinished_allowed && Segment::file_is_blank(disk, &path)? =>
            {
                disk.remove_file(&path)
                    .map_err(|e| LogError::io("remove", &path, e))?;
            }
            Err(error) => return Err(LogError::page(&path, 0, error)),
        }
    }
    Ok((segments, next_number))
}

fn find(disk: &dyn Disk, dir: &Path, control: &Control, map_writes: bool) -> Result<Found, LogError> {
    let (segments, next_number) = open_segments(disk, dir, control, map_writes)?;
    if control.state == StoreState::Clean {
        return find_clean(segments, control, dir, next_number);
    }
    // An id of zeros means the machine cannot say when it started: never the same boot.
    let same_boot = control.boot_id == disk.boot_id() && control.boot_id != [0; 16];
    let kind = if same_boot {
        RecoveryKind::SameBoot
    } else {
        RecoveryKind::PowerLoss
    };
    let mut found = Found {
        segments: Vec::new(),
        tail: Lsn::ZERO,
        chain: Chain::default(),
        hlc: Hlc::ZERO,
        records: 0,
        report: RecoveryReport {
            kind,
            tail: Lsn::ZERO,
            cut: None,
            padded: 0,
            set_aside: Vec::new(),
        },
        next_number,
    };
    let mut sealed = Vec::new();
    let mut rest = segments.iter().enumerate();
    for (i, segment) in rest.by_ref() {
        let next_first = segments.get(i + 1).map(|next| next.first());
        check_continues(segment, found.tail)?;
        let stopped = recover_segment(segment, next_first, same_boot, &mut found)?;
        found.segments.push(Arc::clone(segment));
        sealed.push(SegmentFooter {
            number: segment.header().number,
            end: found.tail,
            records: found.records,
            hlc: found.hlc,
            chain: found.chain,
        });
        if let Some(why) = stopped {
            refuse_damage(&segments[i..], found.tail, control, same_boot, &why)?;
            segment.set_end(found.tail);
            let visible_tear = !matches!(why, WalkEnd::Empty | WalkEnd::Limit) || next_first.is_some();
            if visible_tear {
                found.report.cut = Some(Cut {
                    path: segment.path().to_owned(),
                    offset: segment.offset_of(found.tail).unwrap_or(0) as u64,
                    why: describe(&why),
                });
            }
            break;
        }
    }
    // Everything after the cut is kept for people, out of the log's way.
    let diverged = dir.join(DIVERGED_DIR);
    for (_, segment) in rest {
        disk.create_dir_all(&diverged)
            .map_err(|e| LogError::io("create", &diverged, e))?;
        let name = segment.path().file_name().expect("segment files have names");
        let target = diverged.join(name);
        disk.rename(segment.path(), &target)
            .map_err(|e| LogError::io("rename", segment.path(), e))?;
        found.report.set_aside.push(target);
    }
    if !found.report.set_aside.is_empty() {
        disk.sync_dir(&diverged)
            .map_err(|e| LogError::io("sync", &diverged, e))?;
        let log_dir = dir.join(LOG_DIR);
        disk.sync_dir(&log_dir)
            .map_err(|e| LogError::io("sync", &log_dir, e))?;
    }
    // Whatever is kept becomes durable before anybody builds on it, and is sealed where it ends, so
    // that the next recovery need not read it again. A footer torn by the cut is written anew.
    for (segment, footer) in found.segments.iter().zip(&sealed) {
        if !matches!(segment.footer(), Ok(Some(_))) {
            segment.rewrite_and_sync(segment.first(), footer.end)?;
            segment.write_footer(footer)?;
        }
    }
    found.report.tail = found.tail;
    Ok(found)
}

fn describe(why: &WalkEnd) -> String {
    match why {
        WalkEnd::Limit | WalkEnd::Empty => "no record".into(),
        WalkEnd::Uncommitted { .. } => RecordError::Uncommitted.to_string(),
        WalkEnd::Invalid(error) => error.to_string(),
    }
}

fn find_clean(
    segments: Vec<Arc<Segment>>,
    control: &Control,
    dir: &Path,
    next_number: u64,
) -> Result<Found, LogError> {
    let mut at = Lsn::ZERO;
    for (i, segment) in segments.iter().enumerate() {
        check_continues(segment, at)?;
        at = match segments.get(i + 1) {
            Some(next) => next.first(),
            None => control.tail,
        };
        if at < segment.first() || at > segment.limit() {
            return Err(LogError::corrupt(
                segment.path(),
                96,
                format_args!(
                    "the segment starts at log position {} and cannot reach to {at}: a segment is missing",
                    segment.first()
                ),
            ));
        }
        segment.set_end(at);
    }
    if at != control.tail {
        return Err(LogError::corrupt(
            &dir.join(LOG_DIR),
            0,
            format_args!(
                "the log was closed at position {}, but its segments are gone",
                control.tail
            ),
        ));
    }
    if let Some(last) = segments.last() {
        let (reached, why) = last.walk(last.first(), control.tail, false, |_| {});
        if why != WalkEnd::Limit {
            return Err(LogError::corrupt(
                last.path(),
                last.offset_of(reached).unwrap_or(0) as u64,
                format_args!(
                    "{} (log position {reached}; the log was closed at {})",
                    describe(&why),
                    control.tail
                ),
            ));
        }
        if may_go_on(last, control.tail) {
            last.set_end(Lsn(u64::MAX));
        }
    }
    let report = RecoveryReport {
        kind: RecoveryKind::Clean,
        tail: control.tail,
        cut: None,
        padded: 0,
        set_aside: Vec::new(),
    };
    Ok(Found {
        segments,
        tail: control.tail,
        chain: control.chain,
        hlc: control.hlc,
        records: control.records,
        report,
        next_number,
    })
}

/// Whether records may be appended to the last segment: it was neither sealed nor cut before
/// records that are still there.
fn may_go_on(last: &Segment, tail: Lsn) -> bool {
    matches!(last.footer(), Ok(None))
        && (tail == last.limit() || matches!(last.record(tail), Err(RecordError::Empty)))
}

fn check_continues(segment: &Segment, reached: Lsn) -> Result<(), LogError> {
    if segment.first() == reached {
        return Ok(());
    }
    Err(LogError::corrupt(
        segment.path(),
        96,
        format_args!(
            "the segment starts at log position {}, the one before ends at {reached}: a segment is missing",
            segment.first()
        ),
    ))
}

/// Reads one segment up to where the next one starts (or as far as it goes). Returns why the log
/// stops here, or `None` when it goes on in the next segment.
fn recover_segment(
    segment: &Segment,
    next_first: Option<Lsn>,
    same_boot: bool,
    found: &mut Found,
) -> Result<Option<WalkEnd>, LogError> {
    let header = segment.header();
    found.hlc = found.hlc.max(header.hlc);
    found.chain = header.chain;
    if let (Ok(Some(footer)), Some(next)) = (segment.footer(), next_first)
        && footer.number == header.number
        && footer.end == next
    {
        found.hlc = found.hlc.max(footer.hlc);
        found.chain = footer.chain;
        found.records = footer.records;
        found.tail = next;
        segment.set_end(next);
        return Ok(None);
    }
    let upto = next_first.unwrap_or_else(|| segment.limit()).min(segment.limit());
    let mut at = segment.first();
    loop {
        let (mut hlc, mut chain, mut records) = (found.hlc, found.chain, 0u64);
        let (reached, why) = segment.walk(at, upto, true, |record| {
            hlc = hlc.max(record.hlc());
            chain = chain_of(&record).unwrap_or(chain);
            records += 1;
        });
        (found.hlc, found.chain) = (hlc, chain);
        found.records += records;
        found.tail = reached;
        match why {
            WalkEnd::Limit if next_first == Some(reached) => {
                segment.set_end(reached);
                return Ok(None);
            }
            WalkEnd::Uncommitted { size }
                if same_boot
                    && !header.follower
                    && size.is_multiple_of(super::format::RECORD_ALIGN as u32)
                    && size as usize >= super::format::RECORD_HEADER_BYTES
                    && reached.0 + u64::from(size) <= segment.limit().0 =>
            {
                segment.fill_pad(reached, size as usize)?;
                found.report.padded += 1;
                at = reached;
            }
            why => {
                segment.set_end(reached);
                return Ok(Some(why));
            }
        }
    }
}

/// Fails when something proves that records beyond `cut` had been durable.
fn refuse_damage(
    from: &[Arc<Segment>],
    cut: Lsn,
    control: &Control,
    same_boot: bool,
    why: &WalkEnd,
) -> Result<(), LogError> {
    let segment = &from[0];
    let damaged = |evidence: String| {
        Err(LogError::corrupt(
            segment.path(),
            segment.offset_of(cut).unwrap_or(0) as u64,
            format_args!("{} at log position {cut}, but {evidence}", describe(why)),
        ))
    };
    if control.durable > cut {
        return damaged(format!(
            "the control page says the log was durable up to {}",
            control.durable
        ));
    }
    if same_boot && !segment.header().follower && matches!(why, WalkEnd::Invalid(_)) {
        return damaged("the machine has not restarted since it was written".into());
    }
    if let Ok(Some(footer)) = segment.footer()
        && footer.number == segment.header().number
        && footer.end > cut
    {
        return damaged(format!("the segment was sealed at {}", footer.end));
    }
    for later in &from[1..] {
        if later.header().durable > cut {
            return damaged(format!(
                "segment {} was created when the log was durable up to {}",
                later.header().number,
                later.header().durable
            ));
        }
    }
    for (i, place) in from.iter().enumerate() {
        if place.header().follower {
            continue;
        }
        let start = if i == 0 { cut } else { place.first() };
        if let Some(group) = place
            .groups_after(start)
            .into_iter()
            .find(|group| group.durable > cut)
        {
            return damaged(format!(
                "a later record says the log was durable up to {}",
                group.durable
            ));
        }
    }
    Ok(())
}
