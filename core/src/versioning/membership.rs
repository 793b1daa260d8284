//! Who belongs to the group, in which incarnation, and what all of them have applied.
//!
//! In: members that join, renew, leave or are expelled, and what each has applied. Out: whether a write may
//! be taken, fresh incarnations, and what is causally stable. Must never hand out an incarnation twice, and
//! never count as stable what a member has not applied.

use std::collections::BTreeMap;

use crate::versioning::context::Context;
use crate::versioning::dot::{Actor, Dot, Incarnation, NodeId};
use crate::versioning::error::VersionError;

/// What becomes of a write that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Not applied yet: apply it, then note its dot.
    New,
    /// Applied before: drop it.
    Duplicate,
}

/// The recorded membership. One value under compare-and-set in the configuration store; all members decide
/// by the same one.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    nodes: BTreeMap<NodeId, Node>,
}

#[derive(Clone, Debug)]
struct Node {
    /// Every incarnation up to this one has been given out.
    incarnation: Incarnation,
    /// What the member has applied; `None` once it is expelled.
    applied: Option<Context>,
    /// Closed lives: writes above the sequence were never taken over by the group and are refused.
    closed: BTreeMap<Incarnation, u64>,
}

impl Membership {
    /// A group without members.
    #[must_use]
    pub fn new() -> Membership {
        Membership::default()
    }

    /// Takes in a node, or takes an expelled one back, in an incarnation it never had. `snapshot` is what
    /// the data it starts from has applied: empty for the first members.
    ///
    /// # Errors
    /// [`VersionError::BadMember`] if it is a member already or its incarnations are used up.
    pub fn admit(&mut self, node: NodeId, snapshot: Context) -> Result<Actor, VersionError> {
        if self.nodes.get(&node).is_some_and(|known| known.applied.is_some()) {
            return Err(bad(node, "it is a member already; renew its incarnation instead"));
        }
        if !snapshot.covers(&self.stable()) {
            return Err(bad(
                node,
                "its snapshot lacks writes that all members have, so tombstones may be gone",
            ));
        }
        let entry = self.nodes.entry(node).or_insert(Node {
            incarnation: Incarnation(0),
            applied: None,
            closed: BTreeMap::new(),
        });
        let incarnation = next(node, entry.incarnation)?;
        entry.incarnation = incarnation;
        entry.applied = Some(snapshot);
        Ok(Actor { node, incarnation })
    }

    /// Gives a member that was restored, wiped or not closed in order its next life. Its old life stays
    /// readable: what it wrote before and others took still travels. `applied` is what its data holds now.
    ///
    /// # Errors
    /// [`VersionError::BadMember`] if it is no member, if its data lacks what is stable (it then needs a
    /// snapshot first), or if its incarnations are used up.
    pub fn renew(&mut self, node: NodeId, applied: Context) -> Result<Actor, VersionError> {
        if !applied.covers(&self.stable()) {
            return Err(bad(
                node,
                "its data lacks writes that all members had; it needs a snapshot first",
            ));
        }
        let member = self.member(node)?;
        let incarnation = next(node, member.incarnation)?;
        member.incarnation = incarnation;
        member.applied = Some(applied);
        Ok(Actor { node, incarnation })
    }

    /// Removes a node that has been away too long. What it wrote above `taken`, the group's joined applied
    /// context, is refused from now on; it comes back by [`Membership::admit`] with a snapshot.
    ///
    /// # Errors
    /// [`VersionError::BadMember`] if it is no member.
    pub fn expel(&mut self, node: NodeId, taken: &Context) -> Result<(), VersionError> {
        let member = self.member(node)?;
        member.applied = None;
        for number in 1..=member.incarnation.0 {
            let incarnation = Incarnation(number);
            let last = taken.highest(Actor { node, incarnation });
            member.closed.entry(incarnation).or_insert(last);
        }
        Ok(())
    }

    /// Notes what a member has applied. What was noted before stays noted.
    ///
    /// # Errors
    /// [`VersionError::BadMember`] if it is no member.
    pub fn note_applied(&mut self, node: NodeId, applied: &Context) -> Result<(), VersionError> {
        if let Some(context) = &mut self.member(node)?.applied {
            context.join(applied);
        }
        Ok(())
    }

    /// Whether a write may be taken by a node that has applied `applied`.
    ///
    /// # Errors
    /// [`VersionError::RefusedDot`] if its incarnation was never given out, or is closed and the write came
    /// too late.
    pub fn check(&self, dot: Dot, applied: &Context) -> Result<Arrival, VersionError> {
        let refused = |reason| Err(VersionError::RefusedDot { dot, reason });
        let Some(node) = self.nodes.get(&dot.actor.node) else {
            return refused("its node was never a member");
        };
        if dot.actor.incarnation.0 == 0 || dot.actor.incarnation > node.incarnation {
            return refused("its incarnation was never given out");
        }
        if applied.contains(dot) {
            return Ok(Arrival::Duplicate);
        }
        match node.closed.get(&dot.actor.incarnation) {
            Some(last) if dot.sequence > *last => refused("its node was expelled before the group had it"),
            _ => Ok(Arrival::New),
        }
    }

    /// What every member has applied: causally stable. Empty without members.
    #[must_use]
    pub fn stable(&self) -> Context {
        let mut applied = self.nodes.values().filter_map(|node| node.applied.as_ref());
        let first = applied.next().cloned().unwrap_or_default();
        applied.fold(first, |stable, context| stable.meet(context))
    }

    /// The members' current actors, ascending.
    pub fn members(&self) -> impl Iterator<Item = Actor> {
        self.nodes
            .iter()
            .filter(|(_, node)| node.applied.is_some())
            .map(|(&node, known)| Actor {
                node,
                incarnation: known.incarnation,
            })
    }

    fn member(&mut self, node: NodeId) -> Result<&mut Node, VersionError> {
        match self.nodes.get_mut(&node) {
            Some(member) if member.applied.is_some() => Ok(member),
            Some(_) => Err(bad(node, "it has been expelled; admit it again with a snapshot")),
            None => Err(bad(node, "it is not a member")),
        }
    }
}

fn next(node: NodeId, incarnation: Incarnation) -> Result<Incarnation, VersionError> {
    match incarnation.0.checked_add(1) {
        Some(number) => Ok(Incarnation(number)),
        None => Err(bad(node, "its incarnations are used up; give it a new name")),
    }
}

fn bad(node: NodeId, reason: &'static str) -> VersionError {
    VersionError::BadMember { node: node.0, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(dot: Dot) -> Context {
        let mut context = Context::new();
        context.insert_through(dot);
        context
    }

    #[test]
    fn an_absent_member_holds_tombstones_until_it_is_expelled_and_then_returns_anew() {
        let mut group = Membership::new();
        let (a, b) = (NodeId(1), NodeId(2));
        let first = group.admit(a, Context::new()).unwrap();
        let absent = group.admit(b, Context::new()).unwrap();
        let applied = through(Dot {
            actor: first,
            sequence: 4,
        });
        group.note_applied(a, &applied).unwrap();
        assert!(group.stable().is_empty());
        group.expel(b, &applied).unwrap();
        assert_eq!(group.stable(), applied);
        let unsent = Dot {
            actor: absent,
            sequence: 1,
        };
        assert!(matches!(
            group.check(unsent, &applied),
            Err(VersionError::RefusedDot { .. })
        ));
        assert!(
            group.admit(b, Context::new()).is_err(),
            "a stale snapshot would bring back the deleted"
        );
        let again = group.admit(b, applied.clone()).unwrap();
        assert_eq!(again.incarnation, Incarnation(2));
        assert_eq!(
            group.check(
                Dot {
                    actor: again,
                    sequence: 1
                },
                &applied
            ),
            Ok(Arrival::New)
        );
        assert!(group.check(unsent, &applied).is_err());
    }

    #[test]
    fn strangers_and_incarnations_never_given_out_are_refused() {
        let mut group = Membership::new();
        let actor = group.admit(NodeId(1), Context::new()).unwrap();
        assert!(group.check(Dot::new(9, 1, 1), &Context::new()).is_err());
        assert!(group.check(Dot::new(1, 2, 1), &Context::new()).is_err());
        let dot = Dot { actor, sequence: 1 };
        assert_eq!(group.check(dot, &Context::new()), Ok(Arrival::New));
        assert_eq!(group.check(dot, &through(dot)), Ok(Arrival::Duplicate));
        assert_eq!(
            group.renew(NodeId(1), through(dot)).unwrap().incarnation,
            Incarnation(2)
        );
        assert_eq!(
            group.check(Dot::new(1, 1, 2), &through(dot)),
            Ok(Arrival::New),
            "an old life's write may be late"
        );
        assert!(group.admit(NodeId(1), Context::new()).is_err());
        assert!(group.renew(NodeId(7), Context::new()).is_err());
    }
}
