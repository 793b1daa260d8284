//! The promise of one replica not to listen to older leaders.
//!
//! In: claims of leadership (epoch, holder, nonce). Out: accepted or refused, and the file that
//! remembers. A fence is written and fsynced *before* it is answered: a fence that a crash can
//! take back lets two leaders collect acknowledgements at once (BookKeeper issue 544). The file
//! lies beside the replica's store, so that a wiped store does not take its promise along.

use std::path::{Path, PathBuf};

use super::ReplicationError;
use crate::ids::{Epoch, ShardId, Uuid};
use crate::io::Disk;

const MAGIC: [u8; 8] = *b"ATLFENCE";
const FORMAT: u32 = 1;
const BYTES: usize = 64;

/// Who leads, as far as a replica has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Epoch of the grant.
    pub epoch: Epoch,
    /// Node that holds the lease.
    pub holder: u64,
    /// Random number of the grant: a holder that has restarted is somebody else.
    pub nonce: u64,
}

impl Claim {
    /// Before every grant.
    pub const NONE: Claim = Claim {
        epoch: Epoch(0),
        holder: 0,
        nonce: 0,
    };
}

/// A replica's fence. Changed only by `&mut self`; the owner serialises.
#[derive(Debug)]
pub struct Fence {
    path: PathBuf,
    cluster: Uuid,
    shard: ShardId,
    claim: Claim,
}

impl Fence {
    /// Reads the fence at `path`; a missing file is a fence that nobody has raised yet.
    ///
    /// # Errors
    /// [`ReplicationError::Corrupt`] when the file is not a whole fence of this shard: what it
    /// promised is then unknown and the replica must not take part. Or the disk's.
    pub fn open(
        disk: &dyn Disk,
        path: &Path,
        cluster: Uuid,
        shard: ShardId,
    ) -> Result<Fence, ReplicationError> {
        let claim = match crate::replication::file::read(disk, path)? {
            None => Claim::NONE,
            Some(bytes) => {
                decode(&bytes, cluster, shard).map_err(|(offset, what)| ReplicationError::Corrupt {
                    path: path.to_owned(),
                    offset,
                    what,
                })?
            }
        };
        Ok(Fence {
            path: path.to_owned(),
            cluster,
            shard,
            claim,
        })
    }

    /// The claim this replica listens to.
    #[must_use]
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// Promises to refuse every older claim. Durable on return; repeating the claim that stands
    /// costs nothing.
    ///
    /// # Errors
    /// [`ReplicationError::Fenced`] with the claim that stands when it is newer, or of the same
    /// epoch by somebody else. The disk's; the promise then has not been given.
    pub fn raise(&mut self, disk: &dyn Disk, claim: Claim) -> Result<(), ReplicationError> {
        self.check(claim)?;
        if claim == self.claim {
            return Ok(());
        }
        let bytes = encode(self.cluster, self.shard, claim);
        crate::replication::file::replace(disk, &self.path, &bytes)?;
        self.claim = claim;
        Ok(())
    }

    /// Whether a leader with this claim may append here.
    ///
    /// # Errors
    /// As for [`Fence::raise`].
    pub fn check(&self, claim: Claim) -> Result<(), ReplicationError> {
        let stands = self.claim;
        let usurped = claim.epoch == stands.epoch && claim != stands;
        if claim.epoch < stands.epoch || usurped {
            return Err(ReplicationError::Fenced {
                offered: claim.epoch,
                stands,
            });
        }
        Ok(())
    }
}

fn encode(cluster: Uuid, shard: ShardId, claim: Claim) -> [u8; BYTES] {
    let mut bytes = [0u8; BYTES];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..16].copy_from_slice(&shard.0.to_le_bytes());
    bytes[16..32].copy_from_slice(&cluster.0);
    bytes[32..40].copy_from_slice(&claim.epoch.0.to_le_bytes());
    bytes[40..48].copy_from_slice(&claim.holder.to_le_bytes());
    bytes[48..56].copy_from_slice(&claim.nonce.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..BYTES - 4]);
    bytes[BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8], cluster: Uuid, shard: ShardId) -> Result<Claim, (u64, String)> {
    let Ok(bytes) = <&[u8; BYTES]>::try_from(bytes) else {
        return Err((
            bytes.len() as u64,
            format!("the fence has {} bytes instead of {BYTES}", bytes.len()),
        ));
    };
    if bytes[0..8] != MAGIC {
        return Err((0, "this is not a fence".into()));
    }
    let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    if u32_at(BYTES - 4) != crc32c::crc32c(&bytes[..BYTES - 4]) {
        return Err((BYTES as u64 - 4, "the checksum does not fit".into()));
    }
    if u32_at(8) != FORMAT {
        return Err((8, format!("format version {} is not known", u32_at(8))));
    }
    if u32_at(12) != shard.0 || bytes[16..32] != cluster.0 {
        return Err((12, "it belongs to another shard or cluster".into()));
    }
    Ok(Claim {
        epoch: Epoch(u64_at(32)),
        holder: u64_at(40),
        nonce: u64_at(48),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::os::OsDisk;

    const CLUSTER: Uuid = Uuid([7; 16]);

    fn claim(epoch: u64, holder: u64, nonce: u64) -> Claim {
        Claim {
            epoch: Epoch(epoch),
            holder,
            nonce,
        }
    }

    #[test]
    fn a_fence_refuses_older_epochs_and_answers_with_the_newer_one() {
        let dir = tempfile::tempdir().unwrap();
        let disk = OsDisk::new();
        let path = dir.path().join("fence");
        let mut fence = Fence::open(&disk, &path, CLUSTER, ShardId(3)).unwrap();
        assert_eq!(fence.claim(), Claim::NONE);
        fence.raise(&disk, claim(5, 1, 11)).unwrap();
        let refused = fence.raise(&disk, claim(4, 2, 12)).unwrap_err();
        assert!(
            matches!(refused, ReplicationError::Fenced { offered: Epoch(4), stands } if stands == claim(5, 1, 11))
        );
        // A holder that restarted within its epoch is not the holder that was fenced.
        assert!(fence.raise(&disk, claim(5, 1, 13)).is_err());
        assert!(fence.raise(&disk, claim(5, 2, 11)).is_err());
        fence.raise(&disk, claim(5, 1, 11)).unwrap();
        fence.raise(&disk, claim(6, 2, 14)).unwrap();
        drop(fence);
        let fence = Fence::open(&disk, &path, CLUSTER, ShardId(3)).unwrap();
        assert_eq!(fence.claim(), claim(6, 2, 14));
    }

    #[test]
    fn the_bytes_are_those_of_the_format_page() {
        let bytes = encode(CLUSTER, ShardId(3), claim(5, 1, 11));
        let mut expected = Vec::new();
        expected.extend_from_slice(b"ATLFENCE\x01\0\0\0\x03\0\0\0");
        expected.extend_from_slice(&[7; 16]);
        for number in [5u64, 1, 11] {
            expected.extend_from_slice(&number.to_le_bytes());
        }
        expected.extend_from_slice(&[0, 0, 0, 0]);
        assert_eq!(bytes[..60], expected);
    }

    #[test]
    fn no_damaged_fence_is_believed() {
        let good = encode(CLUSTER, ShardId(3), claim(5, 1, 11));
        assert_eq!(decode(&good, CLUSTER, ShardId(3)), Ok(claim(5, 1, 11)));
        assert!(decode(&good, CLUSTER, ShardId(4)).is_err());
        assert!(decode(&good, Uuid([8; 16]), ShardId(3)).is_err());
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad, CLUSTER, ShardId(3)).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(decode(&good[..len], CLUSTER, ShardId(3)).is_err(), "length {len}");
        }
    }
}
