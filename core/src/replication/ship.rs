//! Bringing one replica's log to where another's is.
//!
//! In: a source and a target. Out: the target's log equal to the source's, and what had to be
//! taken back for it. Pull-based: the target's end decides what is read, so a transfer that broke
//! off simply goes on.

use std::path::PathBuf;

use super::ReplicationError;
use super::fence::Claim;
use super::replica::Replica;
use crate::ids::Lsn;

/// Bytes of log read at once: large enough to be worth a system call, small enough to hold.
pub const CHUNK_BYTES: usize = 1 << 20;

/// What [`align`] took back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// First position taken back.
    pub from: Lsn,
    /// End of the target's log before.
    pub to: Lsn,
    /// Files that keep the records.
    pub kept: Vec<PathBuf>,
}

/// Takes back what the target has and the source, its leader, has not. `None` when there was
/// nothing. Safe however far back it goes: a leader has everything that was ever committed.
///
/// # Errors
/// [`ReplicationError::Fenced`], or the store's.
pub fn align(
    source: &dyn Replica,
    target: &dyn Replica,
    claim: Claim,
) -> Result<Option<Alignment>, ReplicationError> {
    let (ours, theirs) = (target.shape(), source.shape());
    let common = ours.common_point(&theirs);
    if common == ours.end() {
        return Ok(None);
    }
    let kept = target.truncate(claim, common)?;
    Ok(Some(Alignment {
        from: common,
        to: ours.end(),
        kept,
    }))
}

/// Appends to the target what the source has from the target's end up to `upto`, or a little
/// more; returns the number of bytes. Not fsynced. The target's log has to be a prefix of the
/// source's: see [`align`].
///
/// # Errors
/// [`ReplicationError::Fenced`], or the store's; what was appended before stays.
pub fn catch_up(
    source: &dyn Replica,
    target: &dyn Replica,
    claim: Claim,
    upto: Lsn,
) -> Result<u64, ReplicationError> {
    let mut bytes = 0u64;
    let mut at = target.shape().end();
    while at < upto {
        let chunk = source.read_log(at, CHUNK_BYTES)?;
        if chunk.bytes.is_empty() {
            break;
        }
        target.apply(claim, &chunk)?;
        bytes += chunk.bytes.len() as u64;
        at = chunk.end();
    }
    Ok(bytes)
}
