//! How fresh a read has to be, how safe a write, and when a replica is too far behind to be asked.
//!
//! Pure: durations and flags in, answers out.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::replication::Token;

/// A replica further behind than this is not asked any more.
pub const OUT_ABOVE: Duration = Duration::from_secs(5);
/// It is asked again once it stays below this ...
pub const BACK_BELOW: Duration = Duration::from_secs(2);
/// ... for so long.
pub const BACK_AFTER: Duration = Duration::from_secs(10);

/// What a read may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Consistency {
    /// The newest acknowledged value: a round to a quorum proves that nobody else leads.
    #[default]
    Strong,
    /// Some value that was current a moment ago, from any replica in turn.
    Eventual,
    /// Everything the token of [`ReadOptions`] speaks of, from any replica that has it.
    ReadYourWrites,
}

/// When a write is acknowledged. The quorum of the group is a floor for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WriteDurability {
    /// Once it survives the end of the process.
    Buffered,
    /// Once it survives a power cut of its primary.
    #[default]
    Synced,
    /// Once as many replicas as the quorum have fsynced it; as [`WriteDurability::Synced`] where
    /// the quorum is 1.
    Replicated,
}

/// Names that text may use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not one of {expected}")]
pub struct UnknownName {
    /// What was found.
    pub found: String,
    /// What would have been known.
    pub expected: &'static str,
}

impl FromStr for Consistency {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Consistency, UnknownName> {
        match text {
            "strong" => Ok(Consistency::Strong),
            "eventual" => Ok(Consistency::Eventual),
            "read_your_writes" => Ok(Consistency::ReadYourWrites),
            _ => Err(UnknownName {
                found: text.into(),
                expected: "strong, eventual, read_your_writes",
            }),
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Consistency::Strong => "strong",
            Consistency::Eventual => "eventual",
            Consistency::ReadYourWrites => "read_your_writes",
        })
    }
}

impl FromStr for WriteDurability {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<WriteDurability, UnknownName> {
        match text {
            "buffered" => Ok(WriteDurability::Buffered),
            "synced" => Ok(WriteDurability::Synced),
            "replicated" => Ok(WriteDurability::Replicated),
            _ => Err(UnknownName {
                found: text.into(),
                expected: "buffered, synced, replicated",
            }),
        }
    }
}

impl fmt::Display for WriteDurability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WriteDurability::Buffered => "buffered",
            WriteDurability::Synced => "synced",
            WriteDurability::Replicated => "replicated",
        })
    }
}

/// How to read. The default is a strong read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// How fresh.
    pub consistency: Consistency,
    /// What has to be seen; used by [`Consistency::ReadYourWrites`].
    pub token: Option<Token>,
}

impl ReadOptions {
    /// Options of one level without a token.
    #[must_use]
    pub fn new(consistency: Consistency) -> ReadOptions {
        ReadOptions {
            consistency,
            token: None,
        }
    }

    /// Read everything `token` speaks of.
    #[must_use]
    pub fn after(token: Token) -> ReadOptions {
        ReadOptions {
            consistency: Consistency::ReadYourWrites,
            token: Some(token),
        }
    }
}

/// Decides with hysteresis whether a replica is fresh enough, so that one at the edge does not
/// go in and out with every write.
#[derive(Clone, Copy, Debug, Default)]
pub struct LagGate {
    out: bool,
    /// Since when it has been close behind.
    close_since: Option<Duration>,
}

impl LagGate {
    /// Takes in how far the replica is behind at `now` (any clock that never goes back); returns
    /// whether it may be asked.
    pub fn update(&mut self, now: Duration, lag: Duration) -> bool {
        if lag > OUT_ABOVE {
            *self = LagGate {
                out: true,
                close_since: None,
            };
        } else if self.out && lag < BACK_BELOW {
            let since = *self.close_since.get_or_insert(now);
            self.out = now.saturating_sub(since) < BACK_AFTER;
        } else {
            self.close_since = None;
        }
        !self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_comes_back_only_after_staying_close_behind_for_a_while() {
        let mut gate = LagGate::default();
        let mut at =
            |now: u64, lag: u64| gate.update(Duration::from_millis(now * 1000), Duration::from_millis(lag));
        assert!(at(0, 0));
        assert!(at(1, 5_000));
        assert!(!at(2, 5_001));
        assert!(!at(3, 4_000));
        assert!(!at(4, 1_000));
        assert!(!at(13, 1_000));
        // Out of the close range for a moment: the ten seconds begin anew.
        assert!(!at(14, 3_000));
        assert!(!at(15, 0));
        assert!(!at(24, 0));
        assert!(at(25, 0));
        assert!(at(26, 4_000));
    }

    #[test]
    fn names_come_back_as_they_went() {
        for level in [
            Consistency::Strong,
            Consistency::Eventual,
            Consistency::ReadYourWrites,
        ] {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        for level in [
            WriteDurability::Buffered,
            WriteDurability::Synced,
            WriteDurability::Replicated,
        ] {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!("Strong".parse::<Consistency>().is_err());
    }
}
