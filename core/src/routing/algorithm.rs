//! The names of the routing algorithms, and which options each of them has.
//!
//! Text comes in, a name goes out. The table here is the one place that says which option means
//! something to which algorithm, so that every language refuses the same combinations.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::RoutingError;

/// How a key finds its node, bucket, slot or token. `docs/ROUTING.md` defines each bit by bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Hash modulo the number of nodes or buckets.
    Modulo,
    /// The first virtual node after the hash, and the next distinct ones.
    Ring,
    /// Sorted split keys, lower bound inclusive.
    Range,
    /// Hashed slots placed on the nodes by weight.
    #[default]
    Slots,
    /// Jump consistent hash over numbered buckets.
    Jump,
    /// Rendezvous: the node with the highest score.
    Hrw,
    /// A table of prime size, filled by the nodes in turn.
    Maglev,
    /// Weighted ketama of libmemcached 1.1 with MD5.
    Ketama,
    /// `hash ... consistent` of nginx 1.22.
    Nginx,
    /// Key slots of Redis Cluster; without nodes.
    Redis,
    /// Murmur3 tokens of Cassandra; without nodes.
    Cassandra,
}

/// An option of a router that not every algorithm has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouterOption {
    Nodes,
    Buckets,
    Weights,
    Zones,
    Hash,
    Locality,
    Vnodes,
    TableSize,
    Slots,
    Replicas,
    Splits,
}

impl RouterOption {
    /// The name of the field of [`RouterSpec`](super::RouterSpec), and of the options of the
    /// bindings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RouterOption::Nodes => "nodes",
            RouterOption::Buckets => "buckets",
            RouterOption::Weights => "weights",
            RouterOption::Zones => "zones",
            RouterOption::Hash => "hash",
            RouterOption::Locality => "locality",
            RouterOption::Vnodes => "vnodes",
            RouterOption::TableSize => "table_size",
            RouterOption::Slots => "slots",
            RouterOption::Replicas => "replicas",
            RouterOption::Splits => "splits",
        }
    }
}

impl Algorithm {
    /// Every algorithm, in the order of their codes in byte forms.
    pub const ALL: [Algorithm; 11] = [
        Algorithm::Modulo,
        Algorithm::Ring,
        Algorithm::Range,
        Algorithm::Slots,
        Algorithm::Jump,
        Algorithm::Hrw,
        Algorithm::Maglev,
        Algorithm::Ketama,
        Algorithm::Nginx,
        Algorithm::Redis,
        Algorithm::Cassandra,
    ];

    /// The name users type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Modulo => "modulo",
            Algorithm::Ring => "ring",
            Algorithm::Range => "range",
            Algorithm::Slots => "slots",
            Algorithm::Jump => "jump",
            Algorithm::Hrw => "hrw",
            Algorithm::Maglev => "maglev",
            Algorithm::Ketama => "ketama",
            Algorithm::Nginx => "nginx",
            Algorithm::Redis => "redis",
            Algorithm::Cassandra => "cassandra",
        }
    }

    /// Whether a key can have several distinct nodes.
    #[must_use]
    pub fn has_replicas(self) -> bool {
        use Algorithm::{Hrw, Ketama, Maglev, Nginx, Ring, Slots};
        matches!(self, Ring | Slots | Hrw | Maglev | Ketama | Nginx)
    }

    /// Whether the option means something.
    pub(crate) fn has(self, option: RouterOption) -> bool {
        use Algorithm::{Cassandra, Hrw, Jump, Ketama, Maglev, Modulo, Nginx, Range, Redis, Ring, Slots};
        let foreign_space = matches!(self, Redis | Cassandra);
        match option {
            RouterOption::Nodes => !foreign_space,
            RouterOption::Buckets => !foreign_space && self != Range,
            RouterOption::Weights => self.has_replicas(),
            RouterOption::Zones | RouterOption::Slots | RouterOption::Replicas => self == Slots,
            RouterOption::Hash => matches!(self, Modulo | Ring | Slots),
            // Redis has the rule of tags built in; ranges keep neighbours together by themselves.
            RouterOption::Locality => {
                matches!(self, Modulo | Ring | Slots | Jump | Hrw | Maglev | Ketama | Nginx)
            }
            RouterOption::Vnodes => matches!(self, Ring | Slots),
            RouterOption::TableSize => self == Maglev,
            RouterOption::Splits => self == Range,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = RoutingError;

    fn from_str(name: &str) -> Result<Self, RoutingError> {
        let known = Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name);
        known.ok_or_else(|| RoutingError::UnknownAlgorithm { name: name.into() })
    }
}
