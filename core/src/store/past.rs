//! Log and tables as versions are read from them: those of this process's store, or of a reader.
//!
//! In: a key's newest version. Out: the versions before it. Predecessor positions of records lead down
//! through the log; below what the log is read for, a search in the tables goes on. Everything here is
//! the same for both kinds of owner, so that a reader answers exactly as the store does.

use std::sync::Arc;

use arc_swap::Guard;
use parking_lot::Mutex;

use super::files::FileSet;
use super::read::VersionAt;
use super::scan::SortedSegments;
use super::version::{Version, VersionView};
use super::{Shared, StoreError};
use crate::ids::Lsn;
use crate::log::LogError;
use crate::log::expiry::Expiry;
use crate::log::format::RecordError;
use crate::log::segment::Segment;

/// See the head of this file.
pub(super) trait Past {
    /// The tables of the moment.
    fn files(&self) -> Guard<Arc<FileSet>>;
    /// The segment that holds the record at `lsn`.
    fn segment_at(&self, lsn: Lsn) -> Result<Option<Arc<Segment>>, StoreError>;
    /// Segments and tables that leave no gap between them.
    fn layers(&self) -> Result<(Vec<Arc<Segment>>, Arc<FileSet>), StoreError>;
    /// What is known of the order of segments.
    fn sorted(&self) -> &Mutex<SortedSegments>;
    /// Position after the last record.
    fn tail(&self) -> Lsn;
    /// Milliseconds since 1970 by which it is judged what has expired.
    fn now_ms(&self) -> u64;

    /// Whether a value that expires so is gone. Looks at the clock only where it matters.
    #[inline]
    fn is_over(&self, expiry: Expiry) -> bool {
        expiry != Expiry::NEVER && expiry.is_over(self.now_ms())
    }

    /// The newest version of `key` below position `below` that the tables have.
    fn version_in_tables(&self, key: &[u8], system: bool, below: Lsn) -> Result<Option<Version>, StoreError> {
        let found = self.files().find(key, system, below)?;
        Ok(found.map(|(table, offset)| Version::Table { table, offset }))
    }

    /// The version that a record names as its predecessor: at `prev`, or what the tables have of the
    /// key below `below`.
    fn older_version(
        &self,
        view: &VersionView<'_>,
        prev: Lsn,
        below: Lsn,
    ) -> Result<Option<Version>, StoreError> {
        loop {
            let generation = {
                let files = self.files();
                if prev < files.reach {
                    let found = files.find(view.key, view.is_system(), below)?;
                    return Ok(found.map(|(table, offset)| Version::Table { table, offset }));
                }
                files.generation
            };
            if let Some(segment) = self.segment_at(prev)? {
                return Ok(Some(Version::Log { segment, lsn: prev }));
            }
            // Released between the two looks: then the tables have it.
            if self.files().generation == generation {
                return Err(LogError::Gap {
                    expected: self.tail(),
                    found: prev,
                }
                .into());
            }
        }
    }

    /// The newest version older than `version`, and below `below` where that is known to be so.
    fn version_before(
        &self,
        version: &Version,
        view: &VersionView<'_>,
        below: Lsn,
    ) -> Result<Option<Version>, StoreError> {
        let below = below.min(view.lsn);
        match (view.prev, version) {
            (Some(Lsn::ZERO), _) => Ok(None),
            (Some(prev), Version::Log { segment, lsn }) if prev >= *lsn => {
                // Followed blindly, a chain that does not go down might never end.
                let error = RecordError::Malformed("predecessor");
                Err(segment.damaged(*lsn, &error).into())
            }
            (Some(prev), _) => self.older_version(view, prev, below),
            (None, _) => self.version_in_tables(view.key, view.is_system(), below),
        }
    }

    /// The newest version below `at`, from the `newest` one on, at the time `now_ms`; and whether a newer
    /// one had to be left behind on the way.
    fn version_below(
        &self,
        newest: Option<Version>,
        at: Lsn,
        now_ms: u64,
    ) -> Result<(Option<VersionAt>, bool), StoreError> {
        let mut next = newest;
        let mut walked = false;
        while let Some(version) = next {
            let view = version.view()?;
            if view.lsn < at {
                let found = VersionAt {
                    lsn: view.lsn,
                    hlc: view.hlc,
                    value: version.value(&view, now_ms)?,
                };
                return Ok((Some(found), walked));
            }
            walked = true;
            next = self.version_before(&version, &view, at)?;
        }
        Ok((None, walked))
    }
}

impl Past for Shared {
    #[inline]
    fn files(&self) -> Guard<Arc<FileSet>> {
        self.files.load()
    }

    fn segment_at(&self, lsn: Lsn) -> Result<Option<Arc<Segment>>, StoreError> {
        Ok(self.log.segment_at(lsn))
    }

    fn layers(&self) -> Result<(Vec<Arc<Segment>>, Arc<FileSet>), StoreError> {
        // Segments first: what a flush takes from the log afterwards is in the files then.
        let segments = self.log.segments().all.clone();
        Ok((segments, self.files.load_full()))
    }

    fn sorted(&self) -> &Mutex<SortedSegments> {
        &self.sorted
    }

    fn tail(&self) -> Lsn {
        self.log.tail()
    }

    #[cold]
    fn now_ms(&self) -> u64 {
        Shared::now_ms(self)
    }
}
