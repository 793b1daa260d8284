//! What a router is asked to look like, and the checks that need no algorithm.

use crate::routing::algorithm::{Algorithm, RouterOption};
use crate::routing::error::RoutingError;
use crate::routing::hash::HashKind;
use crate::routing::key::KeyEncoding;
use crate::routing::locality::Locality;
use crate::routing::node::{MAX_NODES, NodeSpec, check_unweighted};

/// Options of a router. What is `None` or empty takes the default of the algorithm; what is given
/// and means nothing to the algorithm is refused by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterSpec {
    /// How keys find their place.
    pub algorithm: Algorithm,
    /// The nodes, in the order that `modulo`, `jump`, `range`, `ketama` and `nginx` go by.
    pub nodes: Vec<NodeSpec>,
    /// Numbered buckets in place of named nodes. `modulo` and `jump` then answer with numbers; the
    /// others take them for nodes named `0`, `1`, and so on.
    pub buckets: Option<u32>,
    /// Hash of keys (and points): `modulo`, `ring`, `slots`. Default xxh3.
    pub hash: Option<HashKind>,
    /// How integers become key bytes; kept with the router for its callers.
    pub encoding: KeyEncoding,
    /// Part of a key that decides its place.
    pub locality: Locality,
    /// Points per unit of weight: `ring`, and `slots` for placing shards. Default 160.
    pub vnodes: Option<u32>,
    /// Entries of the table of `maglev`, a prime. Default 65,537.
    pub table_size: Option<u32>,
    /// Number of slots of `slots`. Default 4,096.
    pub slots: Option<u32>,
    /// Copies that `slots` places of every slot. Default 1.
    pub replicas: Option<u8>,
    /// Ascending split keys of `range`, encoded.
    pub splits: Option<Vec<Vec<u8>>>,
}

impl RouterSpec {
    /// The algorithm over these nodes, everything else by default.
    #[must_use]
    pub fn new(algorithm: Algorithm, nodes: Vec<NodeSpec>) -> RouterSpec {
        RouterSpec {
            algorithm,
            nodes,
            ..RouterSpec::default()
        }
    }

    /// The algorithm over numbered buckets, everything else by default.
    #[must_use]
    pub fn numbered(algorithm: Algorithm, buckets: u32) -> RouterSpec {
        RouterSpec {
            algorithm,
            buckets: Some(buckets),
            ..RouterSpec::default()
        }
    }

    /// Refuses options the algorithm does not have, and asks for those it cannot do without.
    pub(super) fn check(&self) -> Result<(), RoutingError> {
        let given = [
            (RouterOption::Nodes, !self.nodes.is_empty()),
            (RouterOption::Buckets, self.buckets.is_some()),
            (
                RouterOption::Zones,
                self.nodes.iter().any(|node| node.zone.is_some()),
            ),
            (RouterOption::Hash, self.hash.is_some()),
            (RouterOption::Locality, self.locality != Locality::None),
            (RouterOption::Vnodes, self.vnodes.is_some()),
            (RouterOption::TableSize, self.table_size.is_some()),
            (RouterOption::Slots, self.slots.is_some()),
            (RouterOption::Replicas, self.replicas.is_some()),
            (RouterOption::Splits, self.splits.is_some()),
        ];
        let algorithm = self.algorithm.name();
        for (option, given) in given {
            if given && !self.algorithm.has(option) {
                let option = option.name();
                return Err(RoutingError::OptionUnused { option, algorithm });
            }
        }
        if !self.algorithm.has(RouterOption::Weights) {
            check_unweighted(algorithm, &self.nodes)?;
        }
        if self.buckets.is_some() && !self.nodes.is_empty() {
            let (first, second) = (RouterOption::Nodes.name(), RouterOption::Buckets.name());
            return Err(RoutingError::OptionConflict { first, second });
        }
        if let Locality::Prefix(0) = self.locality {
            let name = self.locality.to_string();
            return Err(RoutingError::UnknownLocality { name });
        }
        Ok(())
    }

    /// The nodes; numbered buckets are nodes named by their number, but for `modulo` and `jump`.
    pub(super) fn named_nodes(&self) -> Result<Vec<NodeSpec>, RoutingError> {
        let numbered = matches!(self.algorithm, Algorithm::Modulo | Algorithm::Jump);
        let Some(buckets) = self.buckets.filter(|_| !numbered) else {
            return Ok(self.nodes.clone());
        };
        if buckets as usize > MAX_NODES {
            return Err(RoutingError::TooManyNodes {
                nodes: buckets as usize,
                max: MAX_NODES,
            });
        }
        Ok((0..buckets)
            .map(|bucket| NodeSpec::new(bucket.to_string()))
            .collect())
    }
}
