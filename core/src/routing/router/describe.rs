//! A router as JSON, for people and for other tools, and back.
//!
//! Says the same as the byte form. Split keys that are printable text appear as `{"text": …}`, others
//! as `{"hex": …}`. Unknown fields are refused: a typing error must not be passed over.

use serde::{Deserialize, Serialize};

use super::{Kind, Router, RouterSpec};
use crate::routing::algorithm::Algorithm;
use crate::routing::error::RoutingError;
use crate::routing::hash::HashKind;
use crate::routing::key::KeyEncoding;
use crate::routing::locality::Locality;
use crate::routing::node::NodeSpec;
use crate::routing::topology::Topology;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouterJson {
    algorithm: Algorithm,
    #[serde(default)]
    encoding: KeyEncoding,
    #[serde(default = "whole_key")]
    locality: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<HashKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    buckets: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vnodes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slots: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replicas: Option<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<NodeSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    splits: Option<Vec<KeyJson>>,
    /// The whole table, in the form of [`Topology::to_json`]; it stands alone with what it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topology: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeyJson {
    Text(String),
    Hex(String),
}

fn whole_key() -> String {
    Locality::None.to_string()
}

impl Router {
    /// The options this router could be built from again, defaults written out; or its topology.
    pub(super) fn spec(&self) -> Result<RouterSpec, &Topology> {
        let mut spec = RouterSpec::new(self.algorithm(), self.nodes.clone());
        spec.encoding = self.encoding;
        spec.locality = self.locality;
        match &self.kind {
            Kind::Modulo(modulo) => {
                spec.hash = Some(modulo.hash());
                spec.buckets = self.nodes.is_empty().then_some(modulo.buckets());
            }
            Kind::Jump(buckets) => spec.buckets = self.nodes.is_empty().then_some(buckets.get()),
            Kind::Ring(ring) => {
                spec.hash = Some(ring.hash());
                spec.vnodes = Some(ring.vnodes());
            }
            Kind::Maglev(maglev) => spec.table_size = Some(maglev.table().len() as u32),
            Kind::Range(map) => spec.splits = Some(map.splits().to_vec()),
            Kind::Topology(topology) => return Err(topology),
            Kind::Hrw(_) | Kind::Ketama(_) | Kind::Nginx(_) | Kind::Redis | Kind::Cassandra => {}
        }
        Ok(spec)
    }

    /// The router as one line of JSON that [`Self::from_json`] reads.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut topology = None;
        let spec = self.spec().unwrap_or_else(|table| {
            let json = serde_json::from_str(&table.to_json());
            topology = Some(json.expect("a topology writes JSON"));
            RouterSpec::new(self.algorithm(), Vec::new())
        });
        let json = RouterJson {
            algorithm: spec.algorithm,
            encoding: self.encoding,
            locality: self.locality.to_string(),
            hash: spec.hash,
            buckets: spec.buckets,
            vnodes: spec.vnodes,
            table_size: spec.table_size,
            slots: None,
            replicas: None,
            nodes: spec.nodes,
            splits: spec
                .splits
                .map(|splits| splits.iter().map(|split| show(split)).collect()),
            topology,
        };
        serde_json::to_string(&json).expect("plain structures have a JSON form")
    }

    /// Builds a router from JSON: the fields of [`RouterSpec`], nodes as `{"name": …, "weight": …}`,
    /// or the whole table of a cluster under `topology`.
    ///
    /// # Errors
    /// [`RoutingError::Json`], [`RoutingError::OptionConflict`] for options beside a topology,
    /// [`RoutingError::Inconsistent`] where they contradict it, and those of [`Router::new`] and [`Topology::from_json`].
    pub fn from_json(text: &str) -> Result<Router, RoutingError> {
        let json: RouterJson = serde_json::from_str(text)?;
        if let Some(table) = &json.topology {
            return from_table(table, &json);
        }
        let splits = json.splits.map(|splits| splits.into_iter().map(read).collect());
        Router::new(&RouterSpec {
            algorithm: json.algorithm,
            nodes: json.nodes,
            buckets: json.buckets,
            hash: json.hash,
            encoding: json.encoding,
            locality: json.locality.parse()?,
            vnodes: json.vnodes,
            table_size: json.table_size,
            slots: json.slots,
            replicas: json.replicas,
            splits: splits.transpose()?,
        })
    }
}

/// A router by the table alone. The table says everything, so whatever else is given must be what
/// [`Router::to_json`] repeats of it.
fn from_table(table: &serde_json::Value, json: &RouterJson) -> Result<Router, RoutingError> {
    let given = [
        ("hash", json.hash.is_some()),
        ("buckets", json.buckets.is_some()),
        ("vnodes", json.vnodes.is_some()),
        ("table_size", json.table_size.is_some()),
        ("slots", json.slots.is_some()),
        ("replicas", json.replicas.is_some()),
        ("nodes", !json.nodes.is_empty()),
        ("splits", json.splits.is_some()),
    ];
    if let Some(&(second, _)) = given.iter().find(|(_, given)| *given) {
        let first = "topology";
        return Err(RoutingError::OptionConflict { first, second });
    }
    let router = Router::from_topology(Topology::from_json(&table.to_string())?);
    let said = (json.algorithm, json.encoding, json.locality.as_str());
    let is = (router.algorithm(), router.encoding, router.locality.to_string());
    if said != (is.0, is.1, is.2.as_str()) {
        let what = "algorithm, encoding or locality are not those of the topology".into();
        return Err(RoutingError::Inconsistent { what });
    }
    Ok(router)
}

fn show(key: &[u8]) -> KeyJson {
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => KeyJson::Text(text.into()),
        _ => KeyJson::Hex(key.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

fn read(key: KeyJson) -> Result<Vec<u8>, RoutingError> {
    let hex = match key {
        KeyJson::Text(text) => return Ok(text.into_bytes()),
        KeyJson::Hex(hex) => hex,
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes = hex.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>();
    bytes.ok_or_else(|| RoutingError::Inconsistent {
        what: format!("{hex:?} is not hexadecimal"),
    })
}
