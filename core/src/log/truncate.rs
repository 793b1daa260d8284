//! Taking back a tail that another leadership has replaced.
//!
//! In: the position from which this log differs from the primary's. Out: a log that ends there.
//! Nothing is overwritten and nothing is lost: what is cut off is kept under `diverged/`, and
//! pinned values stay valid because files are renamed, not deleted. The caller has undone its
//! index before; nobody may append meanwhile.

use std::path::PathBuf;
use std::sync::Arc;

use super::header::Chain;
use super::read::chain_of;
use super::segment::{Segment, file_name};
use super::{DIVERGED_DIR, Log, LogError, SegmentList};
use crate::ids::{Epoch, Lsn};
use crate::io::{Disk, OpenMode};

/// What a truncation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruncateReport {
    /// First position taken back.
    pub from: Lsn,
    /// End of the log before.
    pub to: Lsn,
    /// Files that keep the records taken back.
    pub kept: Vec<PathBuf>,
}

impl Log {
    /// Moves the end of the log back to `to`.
    ///
    /// # Errors
    /// [`LogError::Gap`] unless `to` lies between two records of this log; the disk's errors
    /// poison the log.
    pub fn truncate(&self, to: Lsn) -> Result<TruncateReport, LogError> {
        self.check_poison()?;
        // No sync may be under way: it would call the old end durable after the end has moved back.
        let _no_rounds = self.turns.hold();
        let mut state = self.append_state();
        let tail = state.tail;
        if to > tail {
            return Err(LogError::Gap {
                expected: tail,
                found: to,
            });
        }
        self.wait_stable(tail);
        let mut report = TruncateReport {
            from: to,
            to: tail,
            kept: Vec::new(),
        };
        if to == tail {
            return Ok(report);
        }
        // No segment may be sealed at its old end after the log has been cut before it.
        self.seal_waiting()?;
        let (all, chain, epoch) = self.prefix_until(to)?;
        if let Some(active) = &state.active {
            // What stays may never have been synced, and once the segment is active no more, no
            // later sync would reach it.
            active.segment().sync().map_err(|error| self.poison(error))?;
        }
        self.mark_open_locked(&mut state)?;

        // Lowered before the first file moves: a process that dies in between would otherwise leave
        // a page that calls the records taken back missing.
        state.control.durable = state.control.durable.min(to);
        super::rotate::write_control(self, &state.control).map_err(|error| self.poison(error))?;

        let set_aside = || -> Result<Vec<PathBuf>, LogError> {
            let mut kept = Vec::new();
            let disk = self.disk();
            let diverged = self.dir.join(DIVERGED_DIR);
            disk.create_dir_all(&diverged)
                .map_err(|e| LogError::io("create", &diverged, e))?;
            for segment in self.segments().all.iter().rev() {
                let name = file_name(segment.header().number);
                if segment.first() >= to {
                    let target = diverged.join(&name);
                    disk.rename(segment.path(), &target)
                        .map_err(|e| LogError::io("rename", &target, e))?;
                    // One after the other: the segments that stay must always be a prefix.
                    disk.sync_dir(&diverged)
                        .map_err(|e| LogError::io("sync", &diverged, e))?;
                    disk.sync_dir(&self.log_dir())
                        .map_err(|e| LogError::io("sync", &self.log_dir(), e))?;
                    kept.push(target);
                } else if to < segment.end().min(tail) {
                    let target = diverged.join(format!("{to}-{name}"));
                    copy_file(disk, segment, &target)?;
                    kept.push(target);
                }
            }
            disk.sync_dir(&diverged)
                .map_err(|e| LogError::io("sync", &diverged, e))?;
            disk.sync_dir(&self.log_dir())
                .map_err(|e| LogError::io("sync", &self.log_dir(), e))?;
            kept.reverse();
            Ok(kept)
        };
        report.kept = set_aside().map_err(|error| self.poison(error))?;

        if let Some(last) = all.last() {
            last.set_end(to);
        }
        self.segments.store(Arc::new(SegmentList { all }));
        state.active = None;
        state.leader = false;
        state.tail = to;
        state.epoch = epoch;
        state.control.epoch = epoch;
        state.chain = chain;
        super::rotate::write_control(self, &state.control).map_err(|error| self.poison(error))?;
        state.room_until = Lsn::ZERO;
        self.frontier.move_tail(to);
        self.turns.lower(to);
        Ok(report)
    }

    /// Segments that stay, the last chain step in them and the epoch they end with.
    fn prefix_until(&self, to: Lsn) -> Result<(Vec<Arc<Segment>>, Chain, Epoch), LogError> {
        let list = self.segments();
        let all: Vec<Arc<Segment>> = list
            .all
            .iter()
            .filter(|segment| segment.first() < to)
            .cloned()
            .collect();
        let Some(last) = all.last() else {
            return Ok((all, Chain::default(), Epoch(0)));
        };
        let mut chain = last.header().chain;
        let (reached, _) = last.walk(last.first(), to, false, |record| {
            chain = chain_of(&record).unwrap_or(chain);
        });
        if reached != to {
            return Err(LogError::Gap {
                expected: reached,
                found: to,
            });
        }
        let epoch = last.header().epoch;
        Ok((all, chain, epoch))
    }
}

/// Copies a segment's file: the original keeps serving the records before the cut.
fn copy_file(disk: &dyn Disk, segment: &Segment, target: &std::path::Path) -> Result<(), LogError> {
    let source = disk
        .open(segment.path(), OpenMode::Read)
        .map_err(|e| LogError::io("open", segment.path(), e))?;
    if disk
        .exists(target)
        .map_err(|e| LogError::io("look up", target, e))?
    {
        disk.remove_file(target)
            .map_err(|e| LogError::io("remove", target, e))?;
    }
    let copy = disk
        .create(target)
        .map_err(|e| LogError::io("create", target, e))?;
    let mut piece = vec![0u8; 1 << 20];
    let mut at = 0u64;
    loop {
        let read = source
            .read_at(&mut piece, at)
            .map_err(|e| LogError::io("read", segment.path(), e))?;
        if read == 0 {
            break;
        }
        copy.write_all_at(&piece[..read], at)
            .map_err(|e| LogError::io("write", target, e))?;
        at += read as u64;
    }
    copy.sync_data().map_err(|e| LogError::io("sync", target, e))
}
