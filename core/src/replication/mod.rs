//! One log to other replicas, and who may lead it.
//!
//! In: the replicas of one shard and grants of leadership. Out: shipped records, commit
//! positions, promotions, tokens. The room does not know slots, topologies or how many shards
//! there are, and it never elects: somebody else (a lease) says who may lead, this room makes
//! sure that nobody else's writes count any more and that nothing acknowledged is lost. Read
//! [`progress`] for the arithmetic, [`failover`] for the rule, [`replica`] for what a replica owes.
//!
//! What must never happen: a log is read before it is fenced; an entry of an older epoch counts
//! as committed by itself; a copy that is not fsynced, or that belongs to a wiped replica,
//! counts; records below the commit position are truncated.

mod error;
pub mod failover;
pub mod fence;
pub(crate) mod file;
pub mod progress;
pub mod replica;
pub mod ship;
pub mod token;

#[cfg(test)]
mod model;

pub use error::ReplicationError;
pub use failover::{Promotion, PromotionRules, promote};
pub use fence::{Claim, Fence};
pub use progress::{Acked, LogShape, Position, commit_position, fence_count, majority};
pub use replica::{LocalReplica, Replica};
pub use ship::{Alignment, align, catch_up};
pub use token::{Standing, Token};
