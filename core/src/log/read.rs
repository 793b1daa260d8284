//! Reading records back: one by position, spans for replicas, walks for scans and checks.
//!
//! In: positions. Out: checked views and owned spans. Nothing at or above the stable position is
//! ever handed out.

use std::sync::Arc;

use super::format::{CrcSeed, MAX_EXT_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, RecordKind};
use super::header::Chain;
use super::payload::Group;
use super::segment::{Segment, WalkEnd};
use super::view::RecordView;
use super::{Log, LogError, StoreIdentity};
use crate::ids::{Epoch, Hlc, Lsn};

/// No primary writes a larger record, and no segment could hold one much larger.
const MAX_CHUNK_RECORD_BYTES: usize = MAX_VALUE_BYTES + MAX_KEY_BYTES + MAX_EXT_BYTES + 4096;

/// Whole consecutive records of one epoch, as they stand in the log: what a follower asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Epoch of all of them.
    pub epoch: Epoch,
    /// Position of the first.
    pub from: Lsn,
    /// Their bytes; empty when there was nothing newer.
    pub bytes: Vec<u8>,
}

/// What a follower needs to know of a received record before it appends it.
#[derive(Debug)]
pub(crate) struct ChunkRecord {
    pub(crate) size: usize,
    pub(crate) hlc: Hlc,
    pub(crate) chain: Option<Chain>,
}

impl LogChunk {
    /// Position after the last record.
    #[must_use]
    pub fn end(&self) -> Lsn {
        // The position may have come over the network and be none.
        Lsn(self.from.0.saturating_add(self.bytes.len() as u64))
    }

    /// Checks every record, header and payload.
    pub(crate) fn check(&self, identity: &StoreIdentity) -> Result<Vec<ChunkRecord>, LogError> {
        let seed = CrcSeed::new(identity.cluster, identity.shard, self.epoch);
        let mut records = Vec::new();
        let mut at = 0usize;
        while at < self.bytes.len() {
            let lsn = self.from.advance(at as u64);
            let record = RecordView::parse(&self.bytes[at..], seed, lsn)
                .and_then(|record| record.verify_payload(seed).map(|()| record))
                .map_err(|error| {
                    LogError::corrupt(
                        std::path::Path::new("records from the primary"),
                        at as u64,
                        format_args!("{error} (log position {lsn})"),
                    )
                })?;
            if record.kind() == RecordKind::Ingest {
                return Err(LogError::Ingested { at: lsn });
            }
            if record.size() > MAX_CHUNK_RECORD_BYTES {
                return Err(LogError::TooLarge {
                    what: "record from the primary",
                    len: record.size(),
                    max: MAX_CHUNK_RECORD_BYTES,
                });
            }
            records.push(ChunkRecord {
                size: record.size(),
                hlc: record.hlc(),
                chain: chain_of(&record),
            });
            at += record.size();
        }
        Ok(records)
    }
}

/// Chain step of a GROUP record.
pub(crate) fn chain_of(record: &RecordView<'_>) -> Option<Chain> {
    if record.kind() != RecordKind::Group {
        return None;
    }
    let group = Group::decode(record.value()).ok()?;
    Some(Chain {
        through: group.chain_through.0,
        hash: group.chain,
    })
}

/// Whether a valid record begins before `lsn` and ends after it.
fn within_a_record(segment: &Segment, lsn: Lsn) -> bool {
    let (reached, _) = segment.walk(segment.first(), lsn, false, |_| {});
    reached < lsn && segment.record(reached).is_ok_and(|record| record.end() > lsn)
}

impl Log {
    /// The segment that holds `lsn`.
    pub(crate) fn segment_at(&self, lsn: Lsn) -> Option<Arc<Segment>> {
        self.segments()
            .containing(lsn)
            .filter(|segment| lsn < segment.end())
            .cloned()
    }

    /// Calls `each` on contiguous pieces of the record bytes in `[from, to)`, in order.
    pub(super) fn for_each_span(
        &self,
        from: Lsn,
        to: Lsn,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), LogError> {
        let mut at = from;
        while at < to {
            let segment = self.segment_at(at).ok_or(LogError::Gap {
                expected: self.tail(),
                found: at,
            })?;
            let end = to.min(segment.end()).min(segment.limit());
            if end <= at {
                return Err(LogError::Gap {
                    expected: end,
                    found: at,
                });
            }
            let offset = segment.offset_of(at).expect("the segment holds the position");
            segment
                .ensure(offset, (end.0 - at.0) as usize)
                .map_err(|error| segment.damaged(at, &error))?;
            let bytes = segment
                .slice(offset, (end.0 - at.0) as usize)
                .expect("the map covers every position of its segment");
            each(bytes);
            at = end;
        }
        Ok(())
    }

    /// Walks over all records in `[from, to)`, headers and keys checked, payloads too on request.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] at the first record that is not valid.
    pub fn walk(
        &self,
        from: Lsn,
        to: Lsn,
        payloads: bool,
        mut each: impl FnMut(&Arc<Segment>, RecordView<'_>),
    ) -> Result<(), LogError> {
        let mut at = from;
        while at < to {
            let segment = self.segment_at(at).ok_or(LogError::Gap {
                expected: self.tail(),
                found: at,
            })?;
            let end = to.min(segment.end());
            let (reached, why) = segment.walk(at, end, payloads, |record| each(&segment, record));
            match why {
                WalkEnd::Limit => at = reached,
                WalkEnd::Empty => {
                    return Err(LogError::corrupt(
                        segment.path(),
                        segment.offset_of(reached).unwrap_or(0) as u64,
                        format_args!(
                            "records are missing here (log position {reached}, the log goes on to {to})"
                        ),
                    ));
                }
                WalkEnd::Uncommitted { .. } => {
                    return Err(segment.damaged(reached, &super::format::RecordError::Uncommitted));
                }
                WalkEnd::Invalid(error) => return Err(segment.damaged(reached, &error)),
            }
        }
        Ok(())
    }

    /// Records from `from` on, about `max_bytes` of them and at least one, for a follower.
    ///
    /// # Errors
    /// [`LogError::Gap`] when `from` lies past the end or not between records.
    pub fn read_chunk(&self, from: Lsn, max_bytes: usize) -> Result<LogChunk, LogError> {
        let stable = self.stable();
        let start = self.start();
        if from < start {
            return Err(LogError::Released { start, found: from });
        }
        if from > stable {
            return Err(LogError::Gap {
                expected: stable,
                found: from,
            });
        }
        if from == stable {
            return Ok(LogChunk {
                epoch: self.epoch(),
                from,
                bytes: Vec::new(),
            });
        }
        let segment = self.segment_at(from).ok_or(LogError::Gap {
            expected: stable,
            found: from,
        })?;
        let end = stable.min(segment.end());
        let mut upto = from;
        while upto < end {
            let record = match segment.record(upto) {
                Ok(record) => record,
                // The position asked for may simply not lie between two records.
                Err(_) if upto == from && within_a_record(&segment, from) => {
                    return Err(LogError::Gap {
                        expected: stable,
                        found: from,
                    });
                }
                Err(error) => return Err(segment.damaged(upto, &error)),
            };
            let next = record.end();
            if upto > from && next.0 - from.0 > max_bytes as u64 {
                break;
            }
            upto = next;
        }
        let offset = segment.offset_of(from).expect("the segment holds the position");
        let bytes = segment
            .slice(offset, (upto.0 - from.0) as usize)
            .expect("the map covers every position of its segment")
            .to_vec();
        Ok(LogChunk {
            epoch: segment.header().epoch,
            from,
            bytes,
        })
    }

    /// Compares the hash chain of the log with the steps its GROUP records keep; returns how many
    /// steps were compared.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] at the GROUP record whose step does not fit.
    pub fn verify_chain(&self) -> Result<u64, LogError> {
        let mut steps = Vec::new();
        let start = self.start();
        // The step that the kept log begins with, where the bytes it covers are still there.
        let known = |chain: &Chain| chain.through >= start.0;
        let first = self.segments().all.first().map(|first| first.header().chain);
        let mut chain = Some(first.unwrap_or_default()).filter(known);
        self.walk(start, self.stable(), false, |segment, record| {
            if let Some(chain) = chain_of(&record) {
                steps.push((Arc::clone(segment), record.lsn(), chain));
            }
        })?;
        let mut compared = 0;
        for (segment, lsn, step) in &steps {
            let through = chain.map_or(0, |chain| chain.through);
            if step.through < through || step.through > lsn.0 {
                return Err(segment.damaged(*lsn, &super::format::RecordError::Malformed("chain step")));
            }
            if let Some(chain) = chain {
                let expected = self.chain_step(chain, Lsn(step.through))?;
                if expected != *step {
                    return Err(segment.damaged(*lsn, &super::format::RecordError::Malformed("hash chain")));
                }
                compared += 1;
            }
            chain = Some(*step).filter(known);
        }
        Ok(compared)
    }
}
