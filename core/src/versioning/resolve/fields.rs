//! `fields`: JSON or MessagePack maps merged field by field, each field by its own stamp.
//!
//! In: maps, or what [`write()`] has made of them. Out: a map in which no field that one writer touched is
//! lost to another writer who touched a different one. A field is a path; nested maps are merged inside,
//! arrays are fields as a whole. A path written at one stamp replaces everything below it that is older.
//! Deleted fields stay as stamped markers. A whole document's tombstone counts as the empty document.
//!
//! Stored values start with 0xC1, which no MessagePack value and no JSON text does, so plain maps are read
//! as well: all their fields have the stamp of their version.

use std::collections::BTreeMap;

use crate::ids::Hlc;
use crate::versioning::bytes::{Reader, put_slice, put_varint};
use crate::versioning::dot::Dot;
use crate::versioning::error::VersionError;
use crate::versioning::resolve::lww::rank_of;
use crate::versioning::resolve::scan::{self, Form};
use crate::versioning::resolve::{Outcome, Resolver, merged, unresolvable};
use crate::versioning::siblings::Version;

const NAME: &str = "fields";
const MAGIC: u8 = 0xC1;
const FORMAT: u8 = 1;
/// Maps nested deeper than this are fields as a whole.
const MAX_DEPTH: usize = 32;

type Path = Vec<String>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    stamp: Hlc,
    dot: Dot,
    /// `None`: deleted, or hidden by something written below it later.
    value: Option<Vec<u8>>,
}

impl Field {
    fn is_after(&self, other: &Field) -> bool {
        rank_of(self.stamp, self.dot) > rank_of(other.stamp, other.dot)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Document {
    form: Form,
    fields: BTreeMap<Path, Field>,
}

/// The value to store for `map`, written with `dot` and `stamp` by somebody who had read `read`, the rule's
/// outcome before: fields that did not change keep their stamps, fields that are gone are marked deleted.
///
/// # Errors
/// [`VersionError::Unresolvable`] if `map` is no map with text for keys, or written in another form than
/// what was read.
pub fn write(read: Option<&Version>, map: &[u8], dot: Dot, stamp: Hlc) -> Result<Vec<u8>, VersionError> {
    let bad = |reason: &str| VersionError::Unresolvable {
        rule: NAME.to_owned(),
        reason: reason.to_owned(),
    };
    let mut new = plain(map, dot, stamp).map_err(|reason| bad(&reason))?;
    if let Some(old) = read.map(decode_version).transpose()?.flatten() {
        if old.form != new.form {
            return Err(bad("JSON beside MessagePack"));
        }
        for (path, field) in old.fields {
            if let Some(now) = new.fields.get_mut(&path) {
                if now.value == field.value {
                    *now = field;
                }
            } else if !replaced_above(&new.fields, &path) {
                let gone = Field {
                    stamp,
                    dot,
                    value: None,
                };
                new.fields
                    .insert(path, if field.value.is_some() { gone } else { field });
            }
        }
        new.normalise();
    }
    Ok(new.to_bytes())
}

/// Whether a map as a whole, or a value that is none, now stands where `path` passed through.
fn replaced_above(fields: &BTreeMap<Path, Field>, path: &[String]) -> bool {
    (1..path.len()).any(|depth| {
        fields
            .get(&path[..depth])
            .is_some_and(|field| field.value.is_some())
    })
}

impl Document {
    fn merge(&mut self, other: Document) {
        for (path, theirs) in other.fields {
            match self.fields.get_mut(&path) {
                None => {
                    self.fields.insert(path, theirs);
                }
                Some(mine) if theirs.is_after(mine) => *mine = theirs,
                // The same write on both sides: once hidden, always hidden.
                Some(mine) if !mine.is_after(&theirs) && theirs.value.is_none() => mine.value = None,
                Some(_) => {}
            }
        }
    }

    fn normalise(&mut self) {
        let fields = &self.fields;
        let dead: Vec<Path> = fields
            .iter()
            .filter(|(path, field)| above(fields, path).any(|(_, higher)| higher.is_after(field)))
            .map(|(path, _)| path.clone())
            .collect();
        dead.iter().for_each(|path| {
            self.fields.remove(path);
        });
        let fields = &self.fields;
        let hidden: Vec<Path> = fields
            .keys()
            .flat_map(|path| above(fields, path).map(|(path, _)| path.clone()))
            .collect();
        for path in hidden {
            if let Some(field) = self.fields.get_mut(&path) {
                field.value = None;
            }
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![MAGIC, FORMAT, u8::from(self.form == Form::MessagePack)];
        put_varint(&mut out, self.fields.len() as u64);
        for (path, field) in &self.fields {
            put_varint(&mut out, path.len() as u64);
            path.iter().for_each(|name| put_slice(&mut out, name.as_bytes()));
            out.extend_from_slice(&field.dot.to_bytes());
            out.extend_from_slice(&field.stamp.0.to_le_bytes());
            out.push(u8::from(field.value.is_some()));
            if let Some(value) = &field.value {
                put_slice(&mut out, value);
            }
        }
        out
    }

    fn from_bytes(bytes: &[u8]) -> Result<Document, VersionError> {
        let mut reader = Reader::new(bytes, "stamped fields");
        if reader.u8()? != MAGIC {
            return Err(reader.bad("not stamped fields"));
        }
        reader.format(FORMAT)?;
        let form = match reader.u8()? {
            0 => Form::Json,
            1 => Form::MessagePack,
            _ => return Err(reader.bad("unknown form of document")),
        };
        let mut document = Document {
            form,
            fields: BTreeMap::new(),
        };
        for _ in 0..reader.count(35)? {
            let depth = reader.count(1)?;
            if depth == 0 || depth > MAX_DEPTH {
                return Err(reader.bad("path of a wrong depth"));
            }
            let mut path = Path::with_capacity(depth);
            for _ in 0..depth {
                let name = reader.slice()?.to_vec();
                path.push(String::from_utf8(name).map_err(|_| reader.bad("field name is not UTF-8"))?);
            }
            if document
                .fields
                .last_key_value()
                .is_some_and(|(last, _)| *last >= path)
            {
                return Err(reader.bad("fields are not ascending"));
            }
            let dot = Dot::read(&mut reader)?;
            let stamp = Hlc(u64::from_le_bytes(reader.array()?));
            let value = match reader.u8()? {
                0 => None,
                1 => Some(reader.slice()?.to_vec()),
                _ => return Err(reader.bad("unknown kind of field")),
            };
            if value.as_ref().is_some_and(|value| !scan::is_one(form, value)) {
                return Err(reader.bad("field that is not one value"));
            }
            document.fields.insert(path, Field { stamp, dot, value });
        }
        reader.end()?;
        let mut normal = document.clone();
        normal.normalise();
        if normal != document {
            return Err(reader.bad("fields that others replace"));
        }
        Ok(document)
    }

    fn to_map(&self) -> Vec<u8> {
        let living: Vec<(&[String], &[u8])> = self
            .fields
            .iter()
            .filter_map(|(path, field)| Some((path.as_slice(), field.value.as_deref()?)))
            .collect();
        build(self.form, &living, 0)
    }
}

/// What stands on the way to `path`, outermost first.
fn above<'a>(
    fields: &'a BTreeMap<Path, Field>,
    path: &'a [String],
) -> impl Iterator<Item = (&'a Path, &'a Field)> {
    (1..path.len()).filter_map(|depth| fields.get_key_value(&path[..depth]))
}

/// The map of fields that agree in their first `depth` names; ascending by path.
fn build(form: Form, fields: &[(&[String], &[u8])], depth: usize) -> Vec<u8> {
    let groups = fields.chunk_by(|a, b| a.0[depth] == b.0[depth]);
    let parts: Vec<(String, Vec<u8>)> = groups
        .map(|group| {
            let value = match group {
                [(path, value)] if path.len() == depth + 1 => value.to_vec(),
                deeper => build(form, deeper, depth + 1),
            };
            (group[0].0[depth].clone(), value)
        })
        .collect();
    scan::put_map(form, &parts)
}

fn plain(map: &[u8], dot: Dot, stamp: Hlc) -> Result<Document, String> {
    let form = scan::form(map);
    let mut document = Document {
        form,
        fields: BTreeMap::new(),
    };
    let fields =
        scan::fields(form, map)?.ok_or("neither a JSON object nor a MessagePack map with text for keys")?;
    let mut open: Vec<(Path, &[u8])> = fields
        .into_iter()
        .map(|(name, value)| (vec![name], value))
        .collect();
    while let Some((path, value)) = open.pop() {
        let inner = if path.len() < MAX_DEPTH {
            scan::fields(form, value)?
        } else {
            None
        };
        match inner.filter(|inner| !inner.is_empty()) {
            Some(inner) => open.extend(inner.into_iter().map(|(name, value)| {
                let mut path = path.clone();
                path.push(name);
                (path, value)
            })),
            None => {
                let value = Some(value.to_vec());
                document.fields.insert(path, Field { stamp, dot, value });
            }
        }
    }
    Ok(document)
}

fn decode_version(version: &Version) -> Result<Option<Document>, VersionError> {
    let Some(value) = &version.value else {
        return Ok(None);
    };
    let document = match value.first() {
        Some(&MAGIC) => Document::from_bytes(value).map_err(|error| error.to_string()),
        _ => plain(value, version.dot, version.stamp),
    };
    document
        .map(Some)
        .map_err(|reason| unresolvable(NAME, version, reason))
}

/// A field of a stored JSON document with the write that made it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampedField {
    /// Names from the outermost map to the field.
    pub path: Vec<String>,
    /// The write.
    pub dot: Dot,
    /// When it was stamped.
    pub stamp: Hlc,
    /// The value as JSON; `None`: deleted, or hidden by something written below it later.
    pub value: Option<Vec<u8>>,
}

/// The fields of a value that [`write()`] or the rule has made of JSON, ascending by path: for those who keep
/// stamps in another form than bytes.
///
/// # Errors
/// [`VersionError::BadBytes`] for anything but stamped fields of a JSON document.
pub fn json_fields(value: &[u8]) -> Result<Vec<StampedField>, VersionError> {
    let document = Document::from_bytes(value)?;
    if document.form != Form::Json {
        return Err(Reader::new(value, "stamped fields").bad("not a JSON document"));
    }
    let field = |(path, field): (Path, Field)| StampedField {
        path,
        dot: field.dot,
        stamp: field.stamp,
        value: field.value,
    };
    Ok(document.fields.into_iter().map(field).collect())
}

/// Inverse of [`json_fields`], with the fields in any order.
///
/// # Errors
/// [`VersionError::BadBytes`] if these are not the fields of a stored document: paths of no or too many
/// names, values that are not one JSON value, fields that others replace, sequence 0.
pub fn from_json_fields(fields: impl IntoIterator<Item = StampedField>) -> Result<Vec<u8>, VersionError> {
    let field = |field: StampedField| {
        let StampedField {
            path,
            dot,
            stamp,
            value,
        } = field;
        (path, Field { stamp, dot, value })
    };
    let document = Document {
        form: Form::Json,
        fields: fields.into_iter().map(field).collect(),
    };
    let bytes = document.to_bytes();
    // The decoder checks all that a stored document promises.
    Document::from_bytes(&bytes)?;
    Ok(bytes)
}

/// Checks that bytes are stamped fields; the decoder on its own, for fuzzing.
///
/// # Errors
/// [`VersionError::BadBytes`] for anything but the one form.
pub fn check(bytes: &[u8]) -> Result<(), VersionError> {
    Document::from_bytes(bytes).map(drop)
}

/// The rule `fields`.
#[derive(Clone, Copy, Debug)]
pub struct Fields;

impl Resolver for Fields {
    fn name(&self) -> &str {
        NAME
    }

    fn resolve(&self, _key: &[u8], versions: &[Version]) -> Result<Outcome, VersionError> {
        let mut all: Option<Document> = None;
        for version in versions {
            let Some(document) = decode_version(version)? else {
                continue;
            };
            match &mut all {
                None => all = Some(document),
                Some(all) if all.form != document.form => {
                    return Err(unresolvable(NAME, version, "JSON beside MessagePack"));
                }
                Some(all) => all.merge(document),
            }
        }
        Ok(merged(
            versions,
            all.map(|mut document| {
                document.normalise();
                document.to_bytes()
            }),
        ))
    }

    /// The map without its stamps.
    fn present(&self, value: &[u8]) -> Result<Vec<u8>, VersionError> {
        match value.first() {
            Some(&MAGIC) => Document::from_bytes(value).map(|document| document.to_map()),
            _ => Ok(value.to_vec()),
        }
    }
}
