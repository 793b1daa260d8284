//! Nodes as users write them: `NAME`, `NAME=WEIGHT`, `NAME=WEIGHT@ZONE` or `NAME=WEIGHT@ZONE/RACK`.
//!
//! Text comes in, checked names and weights go out. A name is the identity of a node everywhere
//! in this room; addresses and processes are not known here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::RoutingError;

/// Longest name in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// Most nodes of one router: indexes are 16-bit.
pub const MAX_NODES: usize = 65_535;

/// A node with its share of the keys.
///
/// Parses from and prints as `NAME` (weight 1), `NAME=WEIGHT`, `NAME=WEIGHT@ZONE` or
/// `NAME=WEIGHT@ZONE/RACK`. Names may hold colons and `@` (`10.0.0.1:11211=2`), but no comma, `=` or
/// control character: a zone stands behind a weight, so that it cannot be part of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// Unique name.
    pub name: String,
    /// Share relative to the other nodes; 0 keeps the node empty.
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// Failure domain; copies of a shard go to distinct zones where possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Smaller failure domain within the zone: copies that must share a zone go to distinct racks
    /// where possible. Needs a zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
}

fn default_weight() -> u32 {
    1
}

impl NodeSpec {
    /// A node of weight 1 in no particular zone. The name is checked where it is used.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        NodeSpec {
            name: name.into(),
            weight: 1,
            zone: None,
            rack: None,
        }
    }

    /// The same node with another weight.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// The same node in a zone.
    #[must_use]
    pub fn with_zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// The same node in a rack of its zone.
    #[must_use]
    pub fn with_rack(mut self, rack: impl Into<String>) -> Self {
        self.rack = Some(rack.into());
        self
    }

    /// Checks name, zone and rack.
    ///
    /// # Errors
    /// [`RoutingError::BadNodeName`], [`RoutingError::RackWithoutZone`].
    pub fn check(&self) -> Result<(), RoutingError> {
        check_name(&self.name)?;
        check_domains(&self.name, self.zone.as_deref(), self.rack.as_deref())
    }

    /// Parses a comma-separated list such as `a,b=2,10.0.0.1:11211`.
    ///
    /// # Errors
    /// As [`NodeSpec::from_str`], plus [`RoutingError::DuplicateNode`],
    /// [`RoutingError::TooManyNodes`].
    pub fn parse_list(text: &str) -> Result<Vec<NodeSpec>, RoutingError> {
        let nodes = text
            .split(',')
            .map(str::parse)
            .collect::<Result<Vec<NodeSpec>, _>>()?;
        check_nodes(&nodes)?;
        Ok(nodes)
    }
}

impl FromStr for NodeSpec {
    type Err = RoutingError;

    fn from_str(text: &str) -> Result<Self, RoutingError> {
        let mut node = NodeSpec::new(text);
        if let Some((name, rest)) = text.split_once('=') {
            let (weight, domains) = match rest.split_once('@') {
                None => (rest, None),
                Some((weight, domains)) => (weight, Some(domains)),
            };
            // Digits only: `u32::from_str` would also take a plus sign.
            let digits = !weight.is_empty() && weight.bytes().all(|b| b.is_ascii_digit());
            let bad = || RoutingError::BadWeight {
                name: name.into(),
                weight: weight.into(),
            };
            node.weight = weight.parse().ok().filter(|_| digits).ok_or_else(bad)?;
            node.name = name.into();
            if let Some(domains) = domains {
                let (zone, rack) = match domains.split_once('/') {
                    None => (domains, None),
                    Some((zone, rack)) => (zone, Some(rack)),
                };
                node.zone = Some(zone.into());
                node.rack = rack.map(Into::into);
            }
        }
        node.check()?;
        Ok(node)
    }
}

impl fmt::Display for NodeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.weight != 1 || self.zone.is_some() {
            write!(f, "={}", self.weight)?;
        }
        if let Some(zone) = &self.zone {
            write!(f, "@{zone}")?;
        }
        if let Some(rack) = &self.rack {
            write!(f, "/{rack}")?;
        }
        Ok(())
    }
}

/// Checks the failure domains of a node. A zone may hold slashes only if it is not written in a
/// list, where the first one begins the rack.
pub(crate) fn check_domains(name: &str, zone: Option<&str>, rack: Option<&str>) -> Result<(), RoutingError> {
    zone.map_or(Ok(()), check_name)?;
    match (zone, rack) {
        (None, Some(_)) => Err(RoutingError::RackWithoutZone { name: name.into() }),
        (_, Some(rack)) => check_name(rack),
        (_, None) => Ok(()),
    }
}

/// Refuses names that could not be written in a list or shown on one line.
pub(crate) fn check_name(name: &str) -> Result<(), RoutingError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "it is longer than 255 bytes"
    } else if name.contains([',', '=']) {
        "it holds a comma or an equals sign"
    } else if name.chars().any(char::is_control) {
        "it holds a control character"
    } else {
        return Ok(());
    };
    Err(RoutingError::BadNodeName {
        name: name.into(),
        reason,
    })
}

/// Checks every name, and that there are some nodes, not too many, and none twice.
pub(crate) fn check_nodes(nodes: &[NodeSpec]) -> Result<(), RoutingError> {
    if nodes.is_empty() {
        return Err(RoutingError::NoNodes);
    }
    if nodes.len() > MAX_NODES {
        return Err(RoutingError::TooManyNodes {
            nodes: nodes.len(),
            max: MAX_NODES,
        });
    }
    nodes.iter().try_for_each(NodeSpec::check)?;
    let mut names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(RoutingError::DuplicateNode { name: pair[0].into() }),
        None => Ok(()),
    }
}

/// Refuses weights on behalf of an algorithm that has none.
pub(super) fn check_unweighted(algorithm: &'static str, nodes: &[NodeSpec]) -> Result<(), RoutingError> {
    match nodes.iter().find(|node| node.weight != 1) {
        None => Ok(()),
        Some(node) => Err(RoutingError::NoWeights {
            algorithm,
            name: node.name.clone(),
            weight: node.weight,
        }),
    }
}

/// Refuses weight 0 on behalf of a foreign format that cannot express it.
pub(super) fn check_no_zero_weight(algorithm: &'static str, nodes: &[NodeSpec]) -> Result<(), RoutingError> {
    match nodes.iter().find(|node| node.weight == 0) {
        None => Ok(()),
        Some(node) => Err(RoutingError::ZeroWeight {
            algorithm,
            name: node.name.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_colons_and_weights_follow_the_equals_sign() {
        let node: NodeSpec = "10.0.0.1:11211=2".parse().unwrap();
        assert_eq!((node.name.as_str(), node.weight), ("10.0.0.1:11211", 2));
        assert_eq!(node.to_string(), "10.0.0.1:11211=2");
        assert_eq!("섬 1".parse::<NodeSpec>().unwrap(), NodeSpec::new("섬 1"));
    }

    #[test]
    fn zones_and_racks_follow_the_weight_and_print_as_they_were_written() {
        for text in ["a=1@seoul", "a=2@seoul/r1", "a@b=3@서울/선반 1", "a@b"] {
            assert_eq!(text.parse::<NodeSpec>().unwrap().to_string(), text);
        }
        let node: NodeSpec = "a=2@z/r/1".parse().unwrap();
        assert_eq!(
            node,
            NodeSpec::new("a").with_weight(2).with_zone("z").with_rack("r/1")
        );
        assert_eq!("a@z".parse::<NodeSpec>().unwrap().name, "a@z");
        assert!(matches!(
            NodeSpec::new("a").with_rack("r").check(),
            Err(RoutingError::RackWithoutZone { .. })
        ));
    }

    #[test]
    fn malformed_nodes_are_refused() {
        for text in [
            "",
            "=2",
            "a=",
            "a=b",
            "a=+1",
            "a=-1",
            "a=4294967296",
            "a=1=2",
            "a=1@",
            "a=@z",
            "a=1@z/",
            "a=1@/r",
            "a\tb",
        ] {
            assert!(text.parse::<NodeSpec>().is_err(), "{text:?} was taken");
        }
        assert!(matches!(
            NodeSpec::parse_list("a,b,a"),
            Err(RoutingError::DuplicateNode { .. })
        ));
        assert!(NodeSpec::parse_list("a,,b").is_err());
    }
}
