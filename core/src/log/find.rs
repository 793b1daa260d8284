//! Where a log found on disk ends, and whether that can be believed.
//!
//! In: a store directory and its control page. Out: the segments that count, the tail, and what
//! was cut off. The three cases and the evidence of damage are told in `recovery.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::RecordError;
use super::header::{Chain, Control, PAGE_BYTES, PageError, SegmentFooter, StoreState};
use super::read::chain_of;
use super::recovery::{Cut, RecoveryKind, RecoveryReport};
use super::segment::{SPARE_FILE, Segment, WalkEnd, parse_file_name, remove_spare};
use super::{DIVERGED_DIR, LOG_DIR, LogError, SEGMENT_SLOTS};
use crate::ids::{Hlc, Lsn};
use crate::io::{Disk, OpenMode};

/// Everything recovery finds out before the log object exists.
pub(super) struct Found {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) tail: Lsn,
    pub(super) chain: Chain,
    pub(super) hlc: Hlc,
    pub(super) records: u64,
    pub(super) report: RecoveryReport,
    pub(super) next_number: u64,
}

/// Opens the segment files in order. Files that were never finished are removed.
fn open_segments(
    disk: &dyn Disk,
    dir: &Path,
    control: &Control,
) -> Result<(Vec<Arc<Segment>>, u64), LogError> {
    let log_dir = dir.join(LOG_DIR);
    remove_spare(disk, &log_dir.join(SPARE_FILE))?;
    let names = disk
        .list(&log_dir)
        .map_err(|e| LogError::io("list", &log_dir, e))?;
    let mut numbered: Vec<(u64, PathBuf)> = names
        .iter()
        .filter_map(|entry| parse_file_name(&entry.name).map(|number| (number, log_dir.join(&entry.name))))
        .collect();
    numbered.sort();
    // Numbers of segments set aside stay taken: a second tail under an old name would replace the
    // first one in `diverged/`.
    let highest = numbered
        .last()
        .map_or(0, |(number, _)| *number)
        .max(highest_set_aside(disk, dir)?);
    let next_number = highest.checked_add(1).ok_or_else(|| {
        LogError::corrupt(
            &log_dir,
            0,
            format_args!("segment number {highest} leaves none for the next"),
        )
    })?;
    let mut segments = Vec::with_capacity(numbered.len());
    let mut unfinished = Vec::new();
    // Only a writer creates segments, and a power cut only shortens what was never synced. Should a
    // segment that was in use have been blanked, the positions on either side of it do not meet.
    let interrupted = control.state == StoreState::Open;
    for (number, path) in numbered {
        let opened = match Segment::open(disk, &path, OpenMode::ReadWrite) {
            // The file had not got its full length: creation was interrupted.
            Err(LogError::Corrupt { offset, .. })
                if interrupted
                    && (offset < PAGE_BYTES as u64 || !survived(disk, control))
                    && Segment::file_is_blank(disk, &path)? =>
            {
                unfinished.push(path);
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
                if interrupted && Segment::file_is_blank(disk, &path)? =>
            {
                unfinished.push(path);
            }
            Err(error) => return Err(LogError::page(&path, 0, error)),
        }
    }
    let segments = super::retention::remove_released(disk, dir, control, segments)?;
    if let (Some(first), Some(last)) = (segments.first(), segments.last())
        && last.header().number - first.header().number >= SEGMENT_SLOTS
    {
        // The key index keeps 15 bits of a number; more would make two segments look like one.
        return Err(LogError::corrupt(
            last.path(),
            88,
            "the segment's number is too far from the first one's",
        ));
    }
    for path in &unfinished {
        disk.remove_file(path)
            .map_err(|e| LogError::io("remove", path, e))?;
    }
    if !unfinished.is_empty() {
        // Gone for good before the next segment comes, or a power cut could bring one back before it.
        disk.sync_dir(&log_dir)
            .map_err(|e| LogError::io("sync", &log_dir, e))?;
    }
    Ok((segments, next_number))
}

/// Highest number among the segments that were cut off the log, whole or in part.
fn highest_set_aside(disk: &dyn Disk, dir: &Path) -> Result<u64, LogError> {
    let diverged = dir.join(DIVERGED_DIR);
    if !disk
        .exists(&diverged)
        .map_err(|e| LogError::io("look up", &diverged, e))?
    {
        return Ok(0);
    }
    let names = disk
        .list(&diverged)
        .map_err(|e| LogError::io("list", &diverged, e))?;
    Ok(names
        .iter()
        // Copies of a part carry the position of the cut before the name of the segment.
        .filter_map(|entry| parse_file_name(entry.name.rsplit('-').next()?))
        .max()
        .unwrap_or(0))
}

/// Whether the machine has been up since the control page was written, so that the page cache has
/// survived. An id of zeros means the machine cannot say when it started: never the same boot.
fn survived(disk: &dyn Disk, control: &Control) -> bool {
    control.boot_id == disk.boot_id() && control.boot_id != [0; 16]
}

pub(super) fn find(disk: &dyn Disk, dir: &Path, control: &Control) -> Result<Found, LogError> {
    let (segments, next_number) = open_segments(disk, dir, control)?;
    if control.state == StoreState::Clean {
        return find_clean(segments, control, dir, next_number);
    }
    let same_boot = survived(disk, control);
    let kind = if same_boot {
        RecoveryKind::SameBoot
    } else {
        RecoveryKind::PowerLoss
    };
    let mut found = Found {
        segments: Vec::new(),
        tail: control.log_start,
        chain: Chain::default(),
        hlc: Hlc::ZERO,
        records: control.released_records,
        report: RecoveryReport {
            kind,
            tail: control.log_start,
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
    let mut at = control.log_start;
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
        // From the last step of the chain on: what comes before was read then, and is compared when read.
        let from = Lsn(control.chain.through).clamp(last.first(), control.tail);
        let (reached, why) = last.walk(from, control.tail, false, |_| {});
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
    // An earlier recovery may have sealed the last segment before what a power cut had torn: what
    // stands behind the footer's position is dead, whatever it looks like.
    let sealed = match segment.footer() {
        Ok(Some(footer)) if footer.number == header.number && next_first.is_none() => Some(footer.end),
        _ => None,
    };
    let upto = next_first
        .or(sealed)
        .unwrap_or_else(|| segment.limit())
        .min(segment.limit());
    let mut at = segment.first();
    loop {
        let (mut hlc, mut chain, mut records) = (found.hlc, found.chain, 0u64);
        let (reached, why) = segment.walk(at, upto, true, |record| {
            hlc = hlc.max(record.hlc());
            chain = chain_of(&record).unwrap_or(chain);
            records += 1;
        });
        (found.hlc, found.chain) = (hlc, chain);
        // A footer may hold any number; it is a figure, nothing is decided by it.
        found.records = found.records.wrapping_add(records);
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
    if let WalkEnd::Invalid(error @ RecordError::Unreadable { .. }) = why {
        // Whether it was torn nobody can say: the next attempt may be able to read it.
        return Err(segment.damaged(cut, error));
    }
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
