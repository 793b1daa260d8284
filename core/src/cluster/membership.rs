//! Whose fsync counts: the members of a shard as the config store records them.
//!
//! In: node ids and the random names of their stores. Out: the entry `members/<shard>`. A node
//! whose store has another name than recorded was wiped; it does not count until it has caught up
//! and the entry has been changed. Members and quorum change here *before* acknowledgements use
//! the smaller set.

use super::ClusterError;
use super::config_store::{ConfigStore, Reader};
use crate::ids::{ShardId, Uuid};

const FORMAT: u32 = 1;

/// The entry of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Members {
    /// Fsynced copies a write needs now.
    pub(super) quorum: usize,
    /// The same when all wanted members count.
    pub(super) wanted_quorum: usize,
    /// Node id and store name of every counting member.
    pub(super) stores: Vec<(u64, Uuid)>,
}

impl Members {
    /// Whether this node, with this very store, counts.
    pub(super) fn counts(&self, node: u64, store: Uuid) -> bool {
        self.stores.contains(&(node, store))
    }

    /// The entry once `node` counts with `store`. The quorum grows back with the members.
    pub(super) fn with(&self, node: u64, store: Uuid) -> Members {
        let mut next = self.clone();
        match next.stores.iter_mut().find(|(id, _)| *id == node) {
            Some(entry) => entry.1 = store,
            None => next.stores.push((node, store)),
        }
        next.quorum = next.wanted_quorum.min(next.stores.len());
        next
    }

    /// The entry when only these are left, because the others are given up for lost.
    pub(super) fn only(&self, stores: Vec<(u64, Uuid)>) -> Members {
        let quorum = self.wanted_quorum.min(stores.len());
        Members {
            quorum,
            wanted_quorum: self.wanted_quorum,
            stores,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.stores.len() * 24);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(self.quorum as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.wanted_quorum as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.stores.len() as u32).to_le_bytes());
        for (node, store) in &self.stores {
            bytes.extend_from_slice(&node.to_le_bytes());
            bytes.extend_from_slice(&store.0);
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Members, (usize, &'static str)> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.u32()? != FORMAT {
            return Err((0, "the format version is not known"));
        }
        let (quorum, wanted_quorum) = (reader.u32()? as usize, reader.u32()? as usize);
        let count = reader.u32()?;
        let mut stores = Vec::new();
        for _ in 0..count {
            let node = reader.u64()?;
            let mut store = [0u8; 16];
            store.copy_from_slice(reader.take(16)?);
            stores.push((node, Uuid(store)));
        }
        if reader.at != bytes.len() || quorum == 0 || quorum > stores.len() || wanted_quorum < quorum {
            return Err((4, "quorum and members do not fit together"));
        }
        Ok(Members {
            quorum,
            wanted_quorum,
            stores,
        })
    }
}

/// Name of the entry of a shard.
pub(super) fn members_key(shard: ShardId) -> String {
    format!("members/{shard}")
}

/// The entry of a shard and its version.
pub(super) fn read_members(config: &dyn ConfigStore, shard: ShardId) -> Result<(Members, u64), ClusterError> {
    let key = members_key(shard);
    let corrupt = |offset, what: &str| ClusterError::Corrupt {
        path: key.clone().into(),
        offset,
        what: what.into(),
    };
    let value = config
        .get(&key)?
        .ok_or_else(|| corrupt(0, "the configuration has no members for this shard"))?;
    let members = Members::decode(&value.bytes).map_err(|(offset, what)| corrupt(offset as u64, what))?;
    Ok((members, value.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(quorum: usize, wanted: usize, nodes: &[(u64, u8)]) -> Members {
        let stores = nodes
            .iter()
            .map(|(node, store)| (*node, Uuid([*store; 16])))
            .collect();
        Members {
            quorum,
            wanted_quorum: wanted,
            stores,
        }
    }

    #[test]
    fn a_wiped_store_counts_only_after_the_entry_has_changed() {
        let entry = members(2, 2, &[(1, 1), (2, 2), (3, 3)]);
        assert!(entry.counts(2, Uuid([2; 16])));
        assert!(!entry.counts(2, Uuid([9; 16])));
        let entry = entry.with(2, Uuid([9; 16]));
        assert!(entry.counts(2, Uuid([9; 16])));
        assert_eq!((entry.quorum, entry.stores.len()), (2, 3));
    }

    #[test]
    fn the_quorum_shrinks_with_members_given_up_and_grows_back() {
        let entry = members(2, 2, &[(1, 1), (2, 2), (3, 3)]).only(vec![(1, Uuid([1; 16]))]);
        assert_eq!(entry.quorum, 1);
        assert_eq!(entry.with(2, Uuid([8; 16])).quorum, 2);
    }

    #[test]
    fn bytes_come_back_as_they_went_and_damage_is_refused() {
        let entry = members(2, 3, &[(1, 1), (2, 2)]);
        let bytes = entry.encode();
        assert_eq!(Members::decode(&bytes), Ok(entry));
        for len in 0..bytes.len() {
            assert!(Members::decode(&bytes[..len]).is_err());
        }
        assert!(Members::decode(&members(3, 3, &[(1, 1)]).encode()).is_err());
    }
}
