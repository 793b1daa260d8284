//! Rules for versions that stand side by side: the last writer, and field by field.
//!
//! In: stamps, and jsonb documents whose fields have stamps. Out: the winner, or a document in which no
//! field is lost that one writer touched to another who touched a different one. Must never: give an answer
//! that depends on the order of its arguments, nor another than the engine's rules of the same name.
//!
//! A stored document is `{"doc": {...}, "stamps": {"/name": "2026-...@node", ...}}`: the document as it is
//! read, and for every field the stamp of the write that made it so, under its path as a JSON Pointer
//! (RFC 6901). Nested objects are merged inside; arrays, scalars and empty objects are fields. A stamp
//! without a field is that of a deletion. A write is named by its stamp, since a node gives none twice.

use std::collections::BTreeMap;

use atoll::routing::hash64;
use atoll::versioning::resolve::fields::{self, Fields, StampedField};
use atoll::versioning::resolve::lww;
use atoll::versioning::{Context, Dot, HlcStamp, NodeId, Outcome, Resolver, Version, VersionError};
use pgrx::prelude::*;
use serde_json::value::RawValue;

use super::value::Stamp;
use crate::convert::JsonText;
use crate::error::{raise, raise_with_hint};

/// The engine's name for a write: the node's id, as in topologies, and the packed stamp as its number.
fn dot(stamp: &HlcStamp) -> Dot {
    Dot::new(hash64(stamp.node().as_bytes()), 1, stamp.hlc().0.max(1))
}

fn version(stamp: &HlcStamp, value: Option<Vec<u8>>) -> Version {
    Version {
        dot: dot(stamp),
        stamp: stamp.hlc(),
        context: Context::new(),
        value,
    }
}

fn invalid(message: String) -> ! {
    raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
}

fn raise_version(error: &VersionError) -> ! {
    invalid(error.to_string())
}

/// `resolve_lww(stamps)`: the stamp of the write that wins: the latest, of equal times that of the lower
/// node id. NULL is no write.
// An array type is there only once its element is. Nothing else may require `types`: pgrx prints items that
// wait for the same one in a random order.
#[pg_extern(immutable, strict, parallel_safe, requires = ["types"])]
fn resolve_lww(stamps: pgrx::VariadicArray<'_, Stamp>) -> Option<Stamp> {
    let given: Vec<HlcStamp> = stamps.iter().flatten().map(Stamp::decode).collect();
    let versions: Vec<Version> = given.iter().map(|stamp| version(stamp, None)).collect();
    match lww::Lww.resolve(b"", &versions) {
        Ok(Outcome::One(winner)) => given.iter().find(|stamp| dot(stamp) == winner.dot).map(Stamp::of),
        Ok(Outcome::Siblings(_)) => None,
        Err(error) => raise_version(&error),
    }
}

/// `write_fields(stored, doc, stamp)`: the document to store when somebody who had read `stored` (NULL:
/// nothing) writes `doc` at `stamp`. Fields that did not change keep their stamps.
#[pg_extern(immutable, parallel_safe)]
fn write_fields(stored: Option<JsonText>, doc: Option<JsonText>, stamp: Option<Stamp>) -> Option<JsonText> {
    let (doc, stamp) = (doc?, stamp?.decode());
    let doc = doc.as_str();
    if !doc.starts_with('{') {
        invalid("the document to write must be a JSON object".to_owned());
    }
    let mut nodes = Nodes::new();
    nodes.learn(&stamp);
    let read = stored.map(|stored| version(&stamp, Some(nodes.read(stored.as_str()))));
    if let Some(latest) = &nodes.latest
        && !is_after(&stamp, latest)
    {
        // Other copies would take what was read for the later write, and this one would be lost.
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("stamp {stamp} is not after {latest}, the latest of the document that was read"),
            "Take stamps from atoll.hlc_tick over the latest stamp this node has given or seen.",
        );
    }
    match fields::write(read.as_ref(), doc.as_bytes(), dot(&stamp), stamp.hlc()) {
        Ok(value) => Some(nodes.show(&value)),
        Err(error) => raise_version(&error),
    }
}

/// `resolve_fields(versions)`: stored documents merged field by field, each field by its own stamp. NULL is
/// no version; of nothing comes NULL.
#[pg_extern(immutable, strict, parallel_safe)]
fn resolve_fields(versions: pgrx::VariadicArray<'_, JsonText>) -> Option<JsonText> {
    let mut nodes = Nodes::new();
    let versions: Vec<Version> = versions
        .iter()
        .flatten()
        .map(|stored| Version {
            // The rule looks at the stamps of the fields only.
            dot: Dot::new(1, 1, 1),
            stamp: atoll::versioning::Hlc::ZERO,
            context: Context::new(),
            value: Some(nodes.read(stored.as_str())),
        })
        .collect();
    match Fields.resolve(b"", &versions) {
        Ok(Outcome::One(merged)) => merged.value.map(|value| nodes.show(&value)),
        Ok(Outcome::Siblings(_)) => None,
        Err(error) => raise_version(&error),
    }
}

/// `latest_stamp(stored)`: of the fields of a stored document the one that was written last.
#[pg_extern(immutable, strict, parallel_safe)]
fn latest_stamp(stored: JsonText) -> Option<Stamp> {
    let mut nodes = Nodes::new();
    nodes.read(stored.as_str());
    nodes.latest.as_ref().map(Stamp::of)
}

/// Whether a write wins over another, as under `lww`.
fn is_after(stamp: &HlcStamp, other: &HlcStamp) -> bool {
    lww::rank(&version(stamp, None)) > lww::rank(&version(other, None))
}

/// What the stored documents of a call tell beside their fields.
#[derive(Default)]
struct Nodes {
    /// Names of the nodes met, by the ids that the engine keeps in their place.
    names: BTreeMap<NodeId, String>,
    /// The stamp of the last write to any field.
    latest: Option<HlcStamp>,
}

impl Nodes {
    fn new() -> Nodes {
        Nodes::default()
    }

    fn learn(&mut self, stamp: &HlcStamp) {
        self.names
            .entry(dot(stamp).actor.node)
            .or_insert_with(|| stamp.node().to_owned());
    }

    /// The engine's form of a stored document.
    fn read(&mut self, stored: &str) -> Vec<u8> {
        let bad =
            |reason: String| -> ! { invalid(format!("not a document of atoll.write_fields: {reason}")) };
        let parts: BTreeMap<&str, &RawValue> = match serde_json::from_str(stored) {
            Ok(parts) => parts,
            Err(error) => bad(error.to_string()),
        };
        let (Some(doc), Some(stamps), 2) = (parts.get("doc"), parts.get("stamps"), parts.len()) else {
            bad("it must have \"doc\" and \"stamps\" and nothing else".to_owned());
        };
        let mut stamps: BTreeMap<String, HlcStamp> =
            match serde_json::from_str::<BTreeMap<String, String>>(stamps.get()) {
                Ok(stamps) => stamps
                    .into_iter()
                    .map(|(pointer, text)| match text.parse::<HlcStamp>() {
                        Ok(stamp) => (pointer, stamp),
                        Err(error) => bad(format!("stamp of {pointer:?}: {error}")),
                    })
                    .collect(),
                Err(error) => bad(error.to_string()),
            };
        for stamp in stamps.values() {
            self.learn(stamp);
            if self.latest.as_ref().is_none_or(|latest| is_after(stamp, latest)) {
                self.latest = Some(stamp.clone());
            }
        }

        if !doc.get().starts_with('{') {
            bad("\"doc\" must be a JSON object".to_owned());
        }
        // The engine splits a plain document into its fields; their stamps are then put in.
        let split = fields::write(
            None,
            doc.get().as_bytes(),
            Dot::new(1, 1, 1),
            atoll::versioning::Hlc::ZERO,
        )
        .and_then(|value| fields::json_fields(&value));
        let mut all = match split {
            Ok(all) => all,
            Err(error) => bad(error.to_string()),
        };
        for field in &mut all {
            let pointer = pointer(&field.path);
            match stamps.remove(&pointer) {
                Some(stamp) => (field.stamp, field.dot) = (stamp.hlc(), dot(&stamp)),
                None => bad(format!("field {pointer:?} has no stamp")),
            }
        }
        for (pointer, stamp) in stamps {
            let Some(path) = path(&pointer) else {
                bad(format!("{pointer:?} is no JSON Pointer to a field"));
            };
            all.push(StampedField {
                path,
                dot: dot(&stamp),
                stamp: stamp.hlc(),
                value: None,
            });
        }
        match fields::from_json_fields(all) {
            Ok(value) => value,
            Err(error) => bad(error.to_string()),
        }
    }

    /// The stored document of the engine's form.
    fn show(&self, value: &[u8]) -> JsonText {
        let (all, doc) = match fields::json_fields(value).and_then(|all| Ok((all, Fields.present(value)?))) {
            Ok(both) => both,
            Err(error) => raise_version(&error),
        };
        let stamps: BTreeMap<String, String> = all
            .iter()
            .map(|field| {
                let name = &self.names[&field.dot.actor.node];
                let stamp = HlcStamp::new(field.stamp, name).expect("the name was a stamp's");
                (pointer(&field.path), stamp.to_string())
            })
            .collect();
        let stamps = serde_json::to_string(&stamps).expect("text is always JSON");
        let doc = String::from_utf8(doc).expect("the engine keeps JSON as it was given");
        JsonText::new(&format!("{{\"doc\":{doc},\"stamps\":{stamps}}}"))
    }
}

/// A path as a JSON Pointer.
fn pointer(path: &[String]) -> String {
    let escaped = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    path.iter().map(escaped).collect()
}

/// Inverse of [`pointer`]; `None` for what is no pointer, and for the one to the whole document.
fn path(pointer: &str) -> Option<Vec<String>> {
    let names = pointer.strip_prefix('/')?.split('/');
    names
        .map(|name| {
            let escapes = name.matches('~').count();
            let known = name.matches("~0").count() + name.matches("~1").count();
            (escapes == known).then(|| name.replace("~1", "/").replace("~0", "~"))
        })
        .collect()
}
