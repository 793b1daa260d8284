//! About how many records a range, or a slot, has in the whole cluster.
//!
//! In: bounds, perhaps a slot. Out: sums over the shards' leaders, with an error. Looks at a few MiB of
//! each shard at most. Versions that slots left behind when they moved away do not count.

use std::ops::Bound;

use super::{Cluster, ClusterError};
use crate::ids::SlotId;
use crate::store::Approximate;

/// Bytes of tables, and of the log behind them, looked at in each shard.
const EFFORT_BYTES: u64 = 4 << 20;

impl Cluster {
    /// About how many records lie between the bounds, of `slot` only if one is given. The leaders answer,
    /// as of now; what is told as error adds up as independent errors do.
    ///
    /// # Errors
    /// [`ClusterError::Unavailable`] when a shard that is asked has no leader; damage.
    pub fn approximate(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        slot: Option<SlotId>,
    ) -> Result<Approximate, ClusterError> {
        let inner = &self.inner;
        let topology = inner.topology.load_full();
        let mut sum = Approximate::default();
        let (mut records_variance, mut bytes_variance) = (0.0f64, 0.0f64);
        let counts = topology.slot_counts();
        for shard in topology.shards() {
            let is_asked = slot.is_none_or(|slot| topology.shard_of_slot(slot) == shard.id);
            if counts[shard.id.0 as usize] == 0 || !is_asked {
                continue;
            }
            let group = inner.group(shard.id)?;
            let state = group.state.read();
            let (index, leader) = state.leader(shard.id)?;
            let wanted = |key: &[u8], lsn: crate::ids::Lsn| {
                let of = topology.slot_of(key);
                slot.is_none_or(|slot| slot == of)
                    && topology.shard_of_slot(of) == shard.id
                    && lsn.0 >= topology.residency(of)
            };
            let found = leader
                .store()
                .approximate_where(start, end, &wanted, EFFORT_BYTES)
                .map_err(|error| ClusterError::store(&state.copies[index].node, shard.id, error))?;
            sum.records += found.records;
            sum.bytes += found.bytes;
            records_variance += (found.records_error as f64).powi(2);
            bytes_variance += (found.bytes_error as f64).powi(2);
        }
        sum.records_error = records_variance.sqrt().ceil() as u64;
        sum.bytes_error = bytes_variance.sqrt().ceil() as u64;
        Ok(sum)
    }
}
