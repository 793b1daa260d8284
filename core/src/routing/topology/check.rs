//! What every topology satisfies, wherever it came from.
//!
//! Run after every construction, decoding and change, so that look-ups need no bounds of their own.

use super::{MAX_SLOTS, MemberState, Partitioning, ShardState, Topology};
use crate::routing::error::RoutingError;
use crate::routing::locality::Locality;
use crate::routing::node::{MAX_NODES, check_domains, check_name};
use crate::routing::range::check_splits;

impl Topology {
    /// # Errors
    /// [`RoutingError::Inconsistent`] naming the invariant, or the error of the part concerned.
    pub(super) fn check(&self) -> Result<(), RoutingError> {
        let wrong = |what: String| Err(RoutingError::Inconsistent { what });
        if self.version == 0 {
            return wrong("version 0".into());
        }
        if self.replicas == 0 {
            return Err(RoutingError::NoReplicas);
        }
        if self.vnodes == 0 {
            return Err(RoutingError::NoVirtualNodes);
        }
        self.hash.check_seed(self.seed)?;
        self.check_members()?;
        self.check_partitioning()?;
        self.check_groups()?;
        self.check_shards()?;
        for (place, owner) in self.owners.iter().enumerate() {
            let slot = place % self.slots as usize;
            match self.shard(*owner) {
                None => return wrong(format!("slot {slot} belongs to unknown shard {owner}")),
                Some(shard) if shard.state == ShardState::Retired => {
                    return wrong(format!("slot {slot} belongs to retired shard {owner}"));
                }
                Some(shard) if usize::from(shard.group) != place / self.slots as usize => {
                    return wrong(format!(
                        "slot {slot} belongs to shard {owner} of another column group"
                    ));
                }
                Some(_) => {}
            }
        }
        self.check_moving()
    }

    fn check_members(&self) -> Result<(), RoutingError> {
        if self.members.is_empty() {
            return Err(RoutingError::NoNodes);
        }
        if self.members.len() > MAX_NODES {
            return Err(RoutingError::TooManyNodes {
                nodes: self.members.len(),
                max: MAX_NODES,
            });
        }
        for member in &self.members {
            check_name(&member.name)?;
            check_domains(&member.name, member.zone.as_deref(), member.rack.as_deref())?;
        }
        let mut ids: Vec<_> = self
            .members
            .iter()
            .map(|member| (member.id, &member.name))
            .collect();
        ids.sort_unstable();
        let Some(pair) = ids.windows(2).find(|pair| pair[0].0 == pair[1].0) else {
            return Ok(());
        };
        let ((id, first), (_, second)) = (pair[0], pair[1]);
        let (first, second) = (first.clone(), second.clone());
        match first == second {
            true => Err(RoutingError::DuplicateNode { name: first }),
            false => Err(RoutingError::NodeIdCollision { first, second, id }),
        }
    }

    fn check_partitioning(&self) -> Result<(), RoutingError> {
        let wrong = |what: String| Err(RoutingError::Inconsistent { what });
        let slots = self.slots as usize;
        if slots == 0 || slots > MAX_SLOTS as usize {
            return Err(RoutingError::SlotCount {
                slots: self.slots,
                max: MAX_SLOTS,
            });
        }
        let places = slots * (1 + self.groups.len());
        if self.owners.len() != places || self.floors.len() != places {
            let (owners, floors) = (self.owners.len(), self.floors.len());
            return wrong(format!("{owners} owners and {floors} floors for {places} slots"));
        }
        if self.locality == Locality::Prefix(0) {
            return Err(RoutingError::UnknownLocality {
                name: self.locality.to_string(),
            });
        }
        match &self.partitioning {
            Partitioning::Hash { slots: hashed } if *hashed as usize != slots => {
                wrong(format!("keys hash to {hashed} slots, {slots} are listed"))
            }
            Partitioning::Hash { .. } => Ok(()),
            Partitioning::Range {
                splits,
                slot_of_range,
                domain,
            } => {
                if self.locality != Locality::None {
                    return Err(RoutingError::LocalityOnRange);
                }
                check_splits(splits, domain)?;
                if slot_of_range.len() != splits.len() + 1 {
                    let (ranges, found) = (splits.len() + 1, slot_of_range.len());
                    return wrong(format!("{found} slots for {ranges} ranges"));
                }
                let mut taken = vec![false; slots];
                for &slot in slot_of_range {
                    match taken.get_mut(slot as usize) {
                        None => return wrong(format!("a range names slot {slot} of {slots}")),
                        Some(true) => return wrong(format!("two ranges share slot {slot}")),
                        Some(free) => *free = true,
                    }
                }
                Ok(())
            }
        }
    }

    fn check_shards(&self) -> Result<(), RoutingError> {
        let wrong = |what: String| Err(RoutingError::Inconsistent { what });
        for (index, shard) in self.shards.iter().enumerate() {
            let id = shard.id;
            if id.0 as usize != index {
                return wrong(format!("shard {id} stands at position {index}"));
            }
            if usize::from(shard.group) > self.groups.len() {
                return wrong(format!("shard {id} is of unknown column group {}", shard.group));
            }
            let count = shard.replicas.len();
            if count == 0 || count > usize::from(self.replicas) {
                return wrong(format!("shard {id} has {count} replicas, 1 to {}", self.replicas));
            }
            for (at, &replica) in shard.replicas.iter().enumerate() {
                if shard.replicas[..at].contains(&replica) {
                    return wrong(format!("shard {id} names member {replica} twice"));
                }
                match self.members.get(usize::from(replica)).map(|member| member.state) {
                    None => return wrong(format!("shard {id} names unknown member {replica}")),
                    Some(MemberState::Removed) if shard.state == ShardState::Active => {
                        return wrong(format!("shard {id} names removed member {replica}"));
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }
}
