//! Checking a whole store: every checksum, the hash chain, the index against the log.
//!
//! In: an open store. Out: what was checked and every damaged place found. Reads only.

use std::path::Path;
use std::time::Duration;

use super::files::Run;
use super::table::Table;
use super::table::format::DATA_START;
use super::{Damage, Store, StoreError, for_each_version};
use crate::ids::Lsn;
use crate::log::LogError;
use crate::log::format::RecordError;
use crate::log::header::PageError;
use crate::log::segment::{Segment, WalkEnd};
use crate::log::view::RecordView;

/// Damaged places named of one table.
const MAX_DEFECTS: usize = 16;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    /// Segment files read.
    pub segments: u64,
    /// Records checked, members of batches not counted.
    pub records: u64,
    /// Versions checked, members of batches counted.
    pub versions: u64,
    /// Bytes of records checked.
    pub bytes: u64,
    /// Table files read.
    pub tables: u64,
    /// Bytes of table files read.
    pub table_bytes: u64,
    /// Steps of the hash chain compared.
    pub chain_steps: u64,
    /// Keys the index knows.
    pub keys: u64,
    /// Damaged places; empty when all is well.
    pub damage: Vec<Damage>,
}

/// The footer. One that is being written beside us is looked at again: a map shows it in pieces.
fn settled_footer(segment: &Segment) -> Result<(), PageError> {
    let mut outcome = segment.footer().map(drop);
    for _ in 0..20 {
        if outcome.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
        outcome = segment.footer().map(drop);
    }
    outcome
}

/// Reads the records of a segment below `upto` and checks them; calls `each` on every version.
pub(super) fn verify_segment(
    segment: &Segment,
    upto: Lsn,
    report: &mut VerifyReport,
    progress: &mut dyn FnMut(u64, u64),
    each: &mut dyn FnMut(&RecordView<'_>) -> Result<(), StoreError>,
) {
    report.segments += 1;
    let end = upto.min(segment.end());
    let (mut records, mut versions) = (0u64, 0u64);
    let mut damage: Vec<Damage> = Vec::new();
    let (reached, why) = segment.walk(segment.first(), end, true, |record| {
        records += 1;
        let checked = for_each_version(&record, segment, |version| {
            versions += 1;
            each(&version)
        });
        if let Err(error) = checked {
            damage.extend(error.damage());
        }
        if records.is_multiple_of(4096) {
            progress(record.end().0, upto.0);
        }
    });
    report.records += records;
    report.versions += versions;
    report.bytes += reached.0.saturating_sub(segment.first().0);
    report.damage.append(&mut damage);
    let unreadable = match &why {
        WalkEnd::Invalid(RecordError::Unreadable { offset, .. }) => Some(*offset),
        _ => None,
    };
    let what = match why {
        WalkEnd::Limit => None,
        WalkEnd::Empty => Some("records are missing here".to_owned()),
        WalkEnd::Uncommitted { .. } => Some("reserved but never committed".to_owned()),
        WalkEnd::Invalid(error) => Some(error.to_string()),
    };
    report.damage.extend(what.map(|what| Damage {
        path: segment.path().to_owned(),
        offset: unreadable.or(segment.offset_of(reached)).unwrap_or(0) as u64,
        what: format!("{what} (log position {reached})"),
    }));
    if let Err(error) = settled_footer(segment) {
        report.damage.push(Damage {
            path: segment.path().to_owned(),
            offset: segment.footer_offset(),
            what: error.to_string(),
        });
    }
    progress(end.0.min(upto.0), upto.0);
}

/// Checks the checksums and the structure of a table; `false` if something is wrong.
pub(super) fn verify_table(table: &Table, report: &mut VerifyReport) -> bool {
    report.tables += 1;
    report.table_bytes += table.file_bytes();
    let defects = table.defects(MAX_DEFECTS);
    let is_sound = defects.is_empty();
    let places = defects.into_iter().map(StoreError::from);
    report.damage.extend(places.filter_map(|error| error.damage()));
    if is_sound {
        report.versions += table.footer().entries;
    }
    is_sound
}

impl Store {
    /// Reads every record below the stable position and checks it. `progress` is told the bytes
    /// done and the bytes in all.
    ///
    /// # Errors
    /// Only what keeps the check itself from going on; damage is in the report.
    pub fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport, StoreError> {
        let upto = self.log.stable();
        let mut report = VerifyReport {
            keys: self.index.len(),
            ..VerifyReport::default()
        };
        // Nothing is compacted meanwhile: the same versions are looked at, each in one place.
        let _compaction = self.compaction.lock();
        let files = self.files.load_full();
        let segments = self.log.segments().all.clone();
        let mut newest = 0u64;
        for segment in &segments {
            let compacted = segment.first() < files.through;
            let mut unindexed: Vec<Damage> = Vec::new();
            verify_segment(segment, upto, &mut report, progress, &mut |version| {
                if compacted {
                    // The tables answer for it, and are looked at for themselves.
                    return Ok(());
                }
                let key = (version.key(), version.is_system());
                let place = (segment.path(), segment.offset_of(version.lsn()).unwrap_or(0));
                newest += u64::from(self.check_indexed(key, version.lsn(), place, &mut unindexed)?);
                Ok(())
            });
            report.damage.append(&mut unindexed);
        }
        for run in &files.runs {
            newest += self.verify_run(run, &mut report)?;
        }
        if let Err(error) = self.index.check_all() {
            report.damage.extend(StoreError::from(error).damage());
        }
        if report.damage.is_empty() {
            match self.log.verify_chain() {
                Ok(steps) => report.chain_steps = steps,
                Err(error @ LogError::Corrupt { .. }) => {
                    report.damage.extend(StoreError::from(error).damage());
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Entries that point at no newest version would answer for keys that are not there.
        if report.damage.is_empty() && upto == self.log.tail() && newest != report.keys {
            report.damage.push(Damage {
                path: self.dir.join(super::INDEX_DIR),
                offset: 0,
                what: format!("the key index has {} entries for {newest} keys", report.keys),
            });
        }
        Ok(report)
    }

    /// Whether the index leads to the version of `key` at `lsn`, which stands at `place`; to a newer one
    /// is as well. Anything else is noted.
    fn check_indexed(
        &self,
        (key, system): (&[u8], bool),
        lsn: Lsn,
        place: (&Path, usize),
        damage: &mut Vec<Damage>,
    ) -> Result<bool, StoreError> {
        let found = self.lookup(key, system)?;
        let found = found.map(|(_, place)| place.lsn()).transpose()?;
        match found {
            Some(found) if found == lsn => return Ok(true),
            // Newer versions may have come in while we read.
            Some(found) if found > lsn => {}
            other => damage.push(Damage {
                path: place.0.to_owned(),
                offset: place.1 as u64,
                what: format!(
                    "the key index points to {:?} instead of log position {lsn}",
                    other.map(|lsn| lsn.0)
                ),
            }),
        }
        Ok(false)
    }

    /// Checks the tables of a run: every checksum, the order within and between tables, and that the
    /// index leads to the entries that count. Returns how many the index leads to.
    fn verify_run(&self, run: &Run, report: &mut VerifyReport) -> Result<u64, StoreError> {
        let mut newest = 0;
        let mut last: Option<Vec<u8>> = None;
        for table in &run.tables {
            if !verify_table(table, report) {
                continue;
            }
            if let (Some(last), Some(first)) = (&last, table.first_key()?)
                && last.as_slice() > first
            {
                report.damage.push(Damage {
                    path: table.path().to_owned(),
                    offset: DATA_START as u64,
                    what: "the table begins before the one before it in its run ends".into(),
                });
            }
            last = table.last_key()?.map(<[u8]>::to_vec).or(last);
            let mut unindexed = Vec::new();
            let looked = table.for_each(|offset, entry| {
                let system = entry.is_system();
                if entry.same_key || (!system && !run.covers(entry.key)) {
                    return Ok(());
                }
                let place = (table.path(), offset);
                newest +=
                    u64::from(self.check_indexed((entry.key, system), entry.lsn, place, &mut unindexed)?);
                Ok::<(), StoreError>(())
            });
            if let Err(error) = looked {
                // The newest version of a key may stand in another file, which is damaged.
                unindexed.push(error.damage().ok_or(error)?);
            }
            report.damage.append(&mut unindexed);
        }
        Ok(newest)
    }

    /// Compares this replica's log with another's over `[0, upto)`; returns the first position at
    /// which they differ.
    ///
    /// # Errors
    /// Damage on either side.
    pub fn first_difference(&self, other: &Store, upto: Lsn) -> Result<Option<Lsn>, StoreError> {
        // What one of the two has let go of is in its tables only.
        let mut at = self.log.start().max(other.log.start());
        while at < upto {
            let ours = self.log.read_chunk(at, 1 << 20)?;
            let theirs = other.log.read_chunk(at, 1 << 20)?;
            if ours.epoch != theirs.epoch {
                return Ok(Some(at));
            }
            // Segments may be cut differently, so only the common part of the chunks counts.
            let common = ours
                .bytes
                .len()
                .min(theirs.bytes.len())
                .min((upto.0 - at.0) as usize);
            if common == 0 {
                return Ok(Some(at));
            }
            if ours.bytes[..common] != theirs.bytes[..common] {
                let same = ours
                    .bytes
                    .iter()
                    .zip(&theirs.bytes)
                    .take_while(|(a, b)| a == b)
                    .count();
                return Ok(Some(at.advance(same as u64)));
            }
            at = at.advance(common as u64);
        }
        Ok(None)
    }
}
