//! `set_union`: JSON or MessagePack arrays as sets; every element of any sibling is in the result.
//!
//! Elements are equal if their bytes are, spaces between the tokens of JSON aside: `1` and `1.0` are two
//! elements. The result is in the order of the elements' bytes, each once. A tombstone counts as the empty
//! set.

use std::collections::BTreeSet;

use crate::versioning::error::VersionError;
use crate::versioning::resolve::scan::{Form, elements, form, put_array};
use crate::versioning::resolve::{Outcome, Resolver, merged, unresolvable};
use crate::versioning::siblings::Version;

const NAME: &str = "set_union";

/// The rule `set_union`.
#[derive(Clone, Copy, Debug)]
pub struct SetUnion;

impl Resolver for SetUnion {
    fn name(&self) -> &str {
        NAME
    }

    fn resolve(&self, _key: &[u8], versions: &[Version]) -> Result<Outcome, VersionError> {
        let mut union = BTreeSet::new();
        let mut common: Option<Form> = None;
        for version in versions {
            let Some(value) = &version.value else { continue };
            let this = form(value);
            if common.is_some_and(|common| common != this) {
                return Err(unresolvable(NAME, version, "JSON beside MessagePack"));
            }
            common = Some(this);
            for element in elements(this, value).map_err(|reason| unresolvable(NAME, version, reason))? {
                union.insert(match this {
                    Form::Json => without_spaces(element),
                    Form::MessagePack => element.to_vec(),
                });
            }
        }
        Ok(merged(
            versions,
            common.map(|form| put_array(form, union.iter().map(Vec::as_slice))),
        ))
    }
}

/// Valid JSON without the spaces between its tokens.
fn without_spaces(json: &[u8]) -> Vec<u8> {
    let (mut in_text, mut escaped) = (false, false);
    let mut out = json.to_vec();
    out.retain(|&byte| {
        let keep = in_text || !byte.is_ascii_whitespace();
        in_text ^= byte == b'"' && !escaped;
        escaped = in_text && byte == b'\\' && !escaped;
        keep
    });
    out
}
