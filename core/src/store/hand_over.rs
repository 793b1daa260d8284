//! Records of slots that leave or arrive, kept in the reserved keyspace.
//!
//! In: the facts of one side of a hand-over. Out: a record in the log, and the history of all of
//! them. They form one chain of predecessors under one reserved key, so opening a store reads a
//! handful of records instead of the log.

use super::past::Past;
use super::{SlotsFrozen, SlotsOwned, Store, StoreError, Written};
use crate::ids::Lsn;
use crate::log::format::{RecordFlags, RecordKind, RecordParts};

const KEY: &[u8] = b"hand-over";

/// One side of a hand-over, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandOverKind {
    /// Slots left, or began to.
    Frozen(SlotsFrozen),
    /// Slots arrived.
    Owned(SlotsOwned),
}

/// A hand-over record and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// Position of the record.
    pub lsn: Lsn,
    /// Position after it.
    pub end: Lsn,
    /// What it says.
    pub kind: HandOverKind,
}

impl Store {
    /// Records that slots take no more writes here. Not synced.
    ///
    /// # Errors
    /// As for a put.
    pub fn append_slots_frozen(&self, frozen: &SlotsFrozen) -> Result<Written, StoreError> {
        self.append_system(RecordKind::SlotFrozen, &frozen.encode())
    }

    /// Records that slots have arrived here. Not synced.
    ///
    /// # Errors
    /// As for a put.
    pub fn append_slots_owned(&self, owned: &SlotsOwned) -> Result<Written, StoreError> {
        self.append_system(RecordKind::SlotOwned, &owned.encode())
    }

    fn append_system(&self, kind: RecordKind, value: &[u8]) -> Result<Written, StoreError> {
        let flags = RecordFlags(RecordFlags::SYSTEM);
        self.append_version(
            &RecordParts {
                flags,
                ..RecordParts::new(kind, KEY, value, Lsn::ZERO)
            },
            true,
        )
    }

    /// Every hand-over this log has seen, oldest first.
    ///
    /// # Errors
    /// Damage, or a record this version cannot read.
    pub fn hand_overs(&self) -> Result<Vec<HandOver>, StoreError> {
        let mut all = Vec::new();
        let mut next = self.newest_version(KEY, true)?;
        while let Some(version) = next {
            let view = version.view()?;
            version.check_payload()?;
            let kind = match view.kind {
                RecordKind::SlotFrozen => SlotsFrozen::decode(view.value).map(HandOverKind::Frozen),
                _ => SlotsOwned::decode(view.value).map(HandOverKind::Owned),
            }
            .map_err(|error| StoreError::System {
                lsn: view.lsn.0,
                what: error.to_string(),
            })?;
            let parts = RecordParts {
                ext: view.ext,
                ..RecordParts::new(view.kind, view.key, view.value, Lsn::ZERO)
            };
            let size = parts.size().expect("it was a record once");
            all.push(HandOver {
                lsn: view.lsn,
                end: view.lsn.advance(size as u64),
                kind,
            });
            next = self.version_before(&version, &view, view.lsn)?;
        }
        all.reverse();
        Ok(all)
    }
}
