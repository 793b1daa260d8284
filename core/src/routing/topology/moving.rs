//! Slots on their way: old and new owner in one topology, and who answers meanwhile.
//!
//! A slot, or a request with the version its sender routed by, comes in; who reads, who writes, and
//! what to tell the sender go out. While a slot moves, its old owner answers reads and writes; once
//! frozen it answers reads, and writes wait for the commit. The commit is one new version of the
//! topology: from then on the new owner answers, and the old one says so. There is never a version
//! in which two shards answer for one slot.

use super::{GroupId, Topology};
use crate::ids::{ShardId, SlotId};
use crate::routing::error::RoutingError;
use serde::{Deserialize, Serialize};

/// How far a slot has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MovePhase {
    /// It is going to be copied, or being copied; writes go on.
    Copying,
    /// The last writes are being copied; new ones wait.
    Frozen,
}

/// A slot on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Moving {
    /// Shard that owns the slot once the move is committed.
    pub to: ShardId,
    /// How far it has got.
    pub phase: MovePhase,
}

/// Where writes to a slot go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// To this shard.
    At(ShardId),
    /// To nobody until the next version of the topology, which names one of the two: the new owner
    /// if the move is committed, the old one if it is given up.
    Wait {
        /// Owner until then.
        from: ShardId,
        /// Owner afterwards, unless the move is given up.
        to: ShardId,
    },
}

/// Everything a topology knows about who answers for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotAnswer {
    /// Version of the topology that says so.
    pub version: u64,
    /// Who answers reads: the owner, whatever the phase.
    pub reads: ShardId,
    /// Who takes writes.
    pub writes: Writes,
    /// Where the slot is going.
    pub moving: Option<Moving>,
}

impl SlotAnswer {
    /// The same once the owner has frozen the slot, which it knows before any topology says so.
    #[must_use]
    pub fn frozen(mut self) -> SlotAnswer {
        if let Some(moving) = &mut self.moving {
            moving.phase = MovePhase::Frozen;
            self.writes = Writes::Wait {
                from: self.reads,
                to: moving.to,
            };
        }
        self
    }
}

/// A request as the node that receives it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Column group; 0 is the main one.
    pub group: GroupId,
    /// Slot of the key.
    pub slot: SlotId,
    /// Shard that was asked.
    pub shard: ShardId,
    /// Version of the topology by which the sender chose the shard.
    pub version: u64,
    /// Whether it writes.
    pub write: bool,
}

/// What the receiver of a [`Request`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answers it.
    Serve,
    /// Holds it until a newer version is published, then judges again.
    Wait {
        /// The version that is too old to decide.
        version: u64,
    },
    /// Answers "new topology version": the sender fetches it, or at least asks `owner`.
    NewVersion {
        /// Version by which `owner` owns the slot. If the sender had that very version it asked
        /// the wrong shard.
        version: u64,
        /// Owner of the slot.
        owner: ShardId,
    },
    /// Refreshes its own topology first: the sender knows a newer one.
    Refresh {
        /// Version the sender has.
        at_least: u64,
    },
}

impl Topology {
    /// Who answers for a slot of the main group.
    ///
    /// # Errors
    /// [`RoutingError::UnknownSlot`].
    pub fn answer(&self, slot: SlotId) -> Result<SlotAnswer, RoutingError> {
        self.answer_in(0, slot)
    }

    /// Who answers for a slot of a column group.
    ///
    /// # Errors
    /// [`RoutingError::UnknownSlot`], [`RoutingError::UnknownGroup`].
    pub fn answer_in(&self, group: GroupId, slot: SlotId) -> Result<SlotAnswer, RoutingError> {
        let owner = self.shard_of_slot_in(group, slot)?;
        let moving = self.moving.get(&(self.place(group, slot) as u32)).copied();
        let answer = SlotAnswer {
            version: self.version,
            reads: owner,
            writes: Writes::At(owner),
            moving,
        };
        match moving {
            Some(moving) if moving.phase == MovePhase::Frozen => Ok(answer.frozen()),
            _ => Ok(answer),
        }
    }

    /// What to do with a request whose sender routed by this or by another version.
    ///
    /// A sender with an older version is served as long as it asked the owner: most changes of the
    /// topology do not concern it. One with a newer version makes the receiver refresh, because
    /// only the newer version can tell whether the receiver still answers.
    ///
    /// # Errors
    /// As [`Self::answer_in`].
    pub fn judge(&self, request: &Request) -> Result<Verdict, RoutingError> {
        if request.version > self.version {
            return Ok(Verdict::Refresh {
                at_least: request.version,
            });
        }
        let answer = self.answer_in(request.group, request.slot)?;
        if answer.reads != request.shard {
            return Ok(Verdict::NewVersion {
                version: self.version,
                owner: answer.reads,
            });
        }
        match answer.writes {
            Writes::Wait { .. } if request.write => Ok(Verdict::Wait {
                version: self.version,
            }),
            _ => Ok(Verdict::Serve),
        }
    }

    /// Slots on their way, ascending: group, slot, owner, and where it goes.
    pub fn moving(&self) -> impl Iterator<Item = (GroupId, SlotId, ShardId, Moving)> + '_ {
        self.moving.iter().map(|(&place, &moving)| {
            let (group, slot) = (place / self.slots, place % self.slots);
            let owner = self.owners[place as usize];
            (group as GroupId, SlotId(slot), owner, moving)
        })
    }

    /// Freezes slots that are on their way, so that every holder of this version knows that writes
    /// wait. Optional: an owner may freeze without telling, see [`SlotAnswer::frozen`].
    ///
    /// # Errors
    /// [`RoutingError::SlotNotMoving`], [`RoutingError::UnknownShard`] and those of
    /// [`Self::with_slots_moved`].
    pub fn with_slots_frozen(
        &self,
        slots: &[SlotId],
        from: ShardId,
        to: ShardId,
    ) -> Result<Topology, RoutingError> {
        self.with_phase(slots, from, to, Some(MovePhase::Frozen))
    }

    /// Gives a move up: its slots stay where they are and take writes again.
    ///
    /// # Errors
    /// As [`Self::with_slots_frozen`].
    pub fn with_move_given_up(
        &self,
        slots: &[SlotId],
        from: ShardId,
        to: ShardId,
    ) -> Result<Topology, RoutingError> {
        self.with_phase(slots, from, to, None)
    }

    fn with_phase(
        &self,
        slots: &[SlotId],
        from: ShardId,
        to: ShardId,
        phase: Option<MovePhase>,
    ) -> Result<Topology, RoutingError> {
        let group = self.group_of_hand_over(from, to)?;
        let mut next = self.clone();
        next.version = self.next_version()?;
        for &slot in slots {
            let place = self.owned_place(group, slot, from, to)? as u32;
            match (next.moving.get_mut(&place), phase) {
                (Some(moving), Some(phase)) if moving.to == to => moving.phase = phase,
                (Some(moving), None) if moving.to == to => drop(next.moving.remove(&place)),
                _ => return Err(RoutingError::SlotNotMoving { slot, to }),
            }
        }
        next.check()?;
        Ok(next)
    }

    /// Records that slots are on their way.
    pub(super) fn announce(
        &mut self,
        slots: &[SlotId],
        from: ShardId,
        to: ShardId,
    ) -> Result<(), RoutingError> {
        let group = self.group_of_hand_over(from, to)?;
        for &slot in slots {
            let place = self.owned_place(group, slot, from, to)?;
            let phase = MovePhase::Copying;
            self.moving.insert(place as u32, Moving { to, phase });
        }
        Ok(())
    }

    /// # Errors
    /// [`RoutingError::Inconsistent`] for a slot that goes nowhere it could.
    pub(super) fn check_moving(&self) -> Result<(), RoutingError> {
        for (&place, moving) in &self.moving {
            let known = self.owners.get(place as usize).copied();
            let fits = known.is_some_and(|owner| {
                let group = self.group_of_hand_over(owner, moving.to);
                owner != moving.to && group.is_ok()
            });
            if !fits {
                let (slot, to) = (place % self.slots, moving.to);
                return Err(RoutingError::Inconsistent {
                    what: format!("slot {slot} is on its way to shard {to}, which cannot take it"),
                });
            }
        }
        Ok(())
    }
}
