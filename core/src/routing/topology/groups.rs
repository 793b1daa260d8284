//! Column groups: named parts of a record in shards of their own, under one key.
//!
//! Columns come in, groups and shards go out. A key has one slot; every group has its own table from
//! slots to shards. So the small, hot columns of a record and its large, cold ones can live in
//! different logs and move apart, and both are found from the key alone. Group 0 is the main one: it
//! holds every column that no other group names.

use super::spec::TopologySpec;
use super::{GroupId, Topology};
use crate::ids::{ShardId, SlotId};
use crate::routing::error::RoutingError;
use crate::routing::node::check_name;

/// Most column groups, the main one included.
pub const MAX_GROUPS: usize = 16;

/// Most slots times column groups, the main one included: what a topology's tables may hold.
pub const MAX_PLACES: usize = 4 * super::MAX_SLOTS as usize;

/// Most columns that groups name, all together.
pub const MAX_COLUMNS: usize = 1_024;

/// Columns of one record that are asked from one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'c> {
    /// The group.
    pub group: GroupId,
    /// The shard that holds the key's part of that group.
    pub shard: ShardId,
    /// The columns, in the order in which they were asked for.
    pub columns: Vec<&'c str>,
}

impl Topology {
    /// Number of column groups, the main one included.
    #[must_use]
    pub fn column_groups(&self) -> usize {
        1 + self.groups.len()
    }

    /// The groups beside the main one; the first has number 1.
    #[must_use]
    pub fn named_groups(&self) -> &[super::ColumnGroup] {
        &self.groups
    }

    /// Group that holds a column: 0 if none names it.
    #[must_use]
    pub fn group_of_column(&self, column: &str) -> GroupId {
        let holds = |group: &super::ColumnGroup| {
            group
                .columns
                .binary_search_by(|held| held.as_str().cmp(column))
                .is_ok()
        };
        self.groups
            .iter()
            .position(holds)
            .map_or(0, |at| at as GroupId + 1)
    }

    /// Shard that owns a slot in a column group.
    ///
    /// # Errors
    /// [`RoutingError::UnknownGroup`], [`RoutingError::UnknownSlot`].
    pub fn shard_of_slot_in(&self, group: GroupId, slot: SlotId) -> Result<ShardId, RoutingError> {
        if usize::from(group) > self.groups.len() {
            return Err(RoutingError::UnknownGroup {
                group,
                groups: self.column_groups(),
            });
        }
        if slot.0 >= self.slots {
            return Err(RoutingError::UnknownSlot {
                slot,
                slots: self.slots,
            });
        }
        Ok(self.owners[self.place(group, slot)])
    }

    /// Where the parts of a record are: one part for each group that has any of the columns, by
    /// number of the group. No columns means all of them: one part for every group.
    #[must_use]
    pub fn parts_of<'c>(&self, encoded_key: &[u8], columns: &[&'c str]) -> Vec<Part<'c>> {
        let slot = self.slot_of(encoded_key);
        let mut parts: Vec<Part<'c>> = (0..self.column_groups() as GroupId)
            .map(|group| Part {
                group,
                shard: self.owners[self.place(group, slot)],
                columns: Vec::new(),
            })
            .collect();
        if columns.is_empty() {
            return parts;
        }
        for &column in columns {
            parts[usize::from(self.group_of_column(column))]
                .columns
                .push(column);
        }
        parts.retain(|part| !part.columns.is_empty());
        parts
    }

    /// Place of a slot in the tables of owners and floors.
    #[inline]
    pub(super) fn place(&self, group: GroupId, slot: SlotId) -> usize {
        usize::from(group) * self.slots as usize + slot.0 as usize
    }

    /// # Errors
    /// [`RoutingError::BadColumnGroup`], [`RoutingError::BadNodeName`] for an unwritable name.
    pub(super) fn check_groups(&self) -> Result<(), RoutingError> {
        let groups = self
            .groups
            .iter()
            .map(|group| (group.name.as_str(), &group.columns[..]));
        check(groups.collect())?;
        let places = self.column_groups() * self.slots as usize;
        if let Some(group) = self.groups.last().filter(|_| places > MAX_PLACES) {
            return Err(bad(
                &group.name,
                format!("{places} slots in all groups, at most {MAX_PLACES}"),
            ));
        }
        for group in &self.groups {
            if !group.columns.is_sorted() {
                return Err(bad(&group.name, "its columns do not ascend".into()));
            }
        }
        Ok(())
    }
}

fn bad(name: &str, reason: String) -> RoutingError {
    RoutingError::BadColumnGroup {
        name: name.into(),
        reason,
    }
}

/// Checks the groups of a specification.
pub(super) fn check_specs(spec: &TopologySpec, slots: u32) -> Result<(), RoutingError> {
    for group in &spec.column_groups {
        if group.shards == 0 || group.shards > slots {
            return Err(RoutingError::ShardCount {
                shards: group.shards,
                slots,
            });
        }
    }
    let places = (1 + spec.column_groups.len()) * slots as usize;
    if let Some(group) = spec.column_groups.last().filter(|_| places > MAX_PLACES) {
        let reason = format!("{slots} slots in every group make {places}, at most {MAX_PLACES}");
        return Err(bad(&group.name, reason));
    }
    let groups = spec.column_groups.iter();
    check(
        groups
            .map(|group| (group.name.as_str(), &group.columns[..]))
            .collect(),
    )
}

fn check(groups: Vec<(&str, &[String])>) -> Result<(), RoutingError> {
    let Some(&(last, _)) = groups.last() else {
        return Ok(());
    };
    if groups.len() >= MAX_GROUPS {
        return Err(bad(
            last,
            format!("there are {} groups, at most {MAX_GROUPS}", groups.len() + 1),
        ));
    }
    let mut columns: Vec<(&str, &str)> = Vec::new();
    for (at, &(name, named)) in groups.iter().enumerate() {
        check_name(name)?;
        if groups[..at].iter().any(|&(other, _)| other == name) {
            return Err(bad(name, "it is named twice".into()));
        }
        if named.is_empty() {
            return Err(bad(name, "it has no columns".into()));
        }
        for column in named {
            check_name(column)?;
            columns.push((column, name));
        }
    }
    if columns.len() > MAX_COLUMNS {
        let found = columns.len();
        return Err(bad(
            last,
            format!("{found} columns in all groups, at most {MAX_COLUMNS}"),
        ));
    }
    columns.sort_unstable();
    match columns.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(bad(pair[1].1, format!("column {:?} is named twice", pair[1].0))),
        None => Ok(()),
    }
}
