//! Every option a user may set, in one table: name, unit, default, bounds, what it costs.
//!
//! In: names and values as text, from a command line, a file or another language. Out: options of a
//! [`StoreOptions`] or [`ClusterOptions`] set or read, errors that name what would be right, and the
//! table itself for whoever prints it: `atoll options`, the bindings, `docs/OPTIONS.md`. Defaults are
//! read from the options themselves, so the table cannot disagree with them.
//!
//! ```
//! # use atoll::ids::{ShardId, Uuid};
//! use atoll::config::OptionSet;
//! use atoll::store::{StoreIdentity, StoreOptions};
//!
//! let mut options = StoreOptions::new(StoreIdentity { cluster: Uuid::NIL, shard: ShardId(0), node: 1 });
//! options.set_option("segment_max_bytes", "16MiB")?;
//! assert_eq!(options.segment_max_bytes, 16 << 20);
//! let error = options.set_option("segment_bytes", "16MiB").unwrap_err();
//! assert!(error.to_string().contains("did you mean segment_max_bytes?"));
//! # Ok::<(), atoll::config::OptionError>(())
//! ```

mod cluster;
mod store;
pub mod text;

#[cfg(test)]
mod tests;

use crate::cluster::ClusterOptions;
use crate::store::StoreOptions;

/// What can be wrong with an option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// No option has this name.
    #[error("there is no option {name:?} of a {scope}{}", suggestion(*.nearest))]
    Unknown {
        /// What was asked for.
        name: String,
        /// `store` or `cluster`.
        scope: &'static str,
        /// The option whose name is most like it, if one is.
        nearest: Option<&'static str>,
    },
    /// The value does not say what the option wants to know.
    #[error("{name} cannot be {value:?}: {what}")]
    Invalid {
        /// Name of the option.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        what: String,
    },
    /// The value lies outside what the engine can do.
    #[error("{name} cannot be {value:?}: it has to lie between {min} and {max}")]
    OutOfRange {
        /// Name of the option.
        name: &'static str,
        /// What was given.
        value: String,
        /// Smallest value, as text.
        min: String,
        /// Largest value, as text.
        max: String,
    },
}

fn suggestion(nearest: Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name}?"),
        None => "; `atoll options` lists them".to_owned(),
    }
}

/// How the text of a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// Bytes, with or without KiB, MiB or GiB.
    Bytes,
    /// A time with its unit: ms, s, m, h or d.
    Time,
    /// One of some words.
    Choice(&'static str),
    /// 32 hexadecimal digits, dashes allowed.
    Uuid,
}

impl Unit {
    /// In a word or two.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Unit::Flag => "true or false",
            Unit::Number => "number",
            Unit::Bytes => "bytes",
            Unit::Time => "time",
            Unit::Choice(words) => words,
            Unit::Uuid => "UUID",
        }
    }
}

/// One row of the table, for options of type `O`.
pub(crate) struct Row<O> {
    name: &'static str,
    /// Field of the options that it sets.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for the test that no field is without a row")
    )]
    field: &'static str,
    unit: Unit,
    /// Smallest and largest value, in bytes, milliseconds or as the number itself.
    bounds: Option<(u64, u64)>,
    doc: &'static str,
    get: fn(&O) -> String,
    set: fn(&mut O, &str) -> Result<(), String>,
}

/// An option as the table tells it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OptionInfo {
    /// Whose it is: `store` or `cluster`.
    pub scope: &'static str,
    /// Its name, the same in every language.
    pub name: &'static str,
    /// How its value is written.
    pub unit: &'static str,
    /// Value where nothing is set.
    pub default: String,
    /// Smallest value, where there is one.
    pub min: Option<String>,
    /// Largest value, where there is one.
    pub max: Option<String>,
    /// What it does, and what changing it costs.
    pub doc: &'static str,
}

/// Options that can be set by name.
pub trait OptionSet: Sized + 'static {
    /// `store` or `cluster`.
    const SCOPE: &'static str;

    #[doc(hidden)]
    fn rows() -> Rows<Self>;

    #[doc(hidden)]
    fn defaults() -> Self;

    /// Sets the option called `name` to the value that `value` spells.
    ///
    /// # Errors
    /// [`OptionError`]; nothing has changed then.
    fn set_option(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        let row = find::<Self>(name)?;
        let invalid = |what| OptionError::Invalid {
            name: row.name,
            value: value.to_owned(),
            what,
        };
        let is_off = row.unit == Unit::Time && value == text::OFF;
        if let Some((min, max)) = row.bounds.filter(|_| !is_off) {
            let number = match row.unit {
                Unit::Bytes => text::parse_bytes(value).map_err(invalid)?,
                Unit::Time => text::whole_ms(text::parse_time(value).map_err(invalid)?),
                _ => text::parse_number(value).map_err(invalid)?,
            };
            if !(min..=max).contains(&number) {
                return Err(OptionError::OutOfRange {
                    name: row.name,
                    value: value.to_owned(),
                    min: shown(row.unit, min),
                    max: shown(row.unit, max),
                });
            }
        }
        (row.set)(self, value).map_err(invalid)
    }

    /// The value of the option called `name`, as [`OptionSet::set_option`] would read it.
    ///
    /// # Errors
    /// [`OptionError::Unknown`].
    fn option(&self, name: &str) -> Result<String, OptionError> {
        Ok((find::<Self>(name)?.get)(self))
    }
}

/// A part of the table. Opaque.
#[doc(hidden)]
pub struct Rows<O: 'static>(pub(crate) &'static [Row<O>]);

impl OptionSet for StoreOptions {
    const SCOPE: &'static str = "store";

    fn rows() -> Rows<StoreOptions> {
        Rows(store::ROWS)
    }

    fn defaults() -> StoreOptions {
        store::defaults()
    }
}

impl OptionSet for ClusterOptions {
    const SCOPE: &'static str = "cluster";

    fn rows() -> Rows<ClusterOptions> {
        Rows(cluster::ROWS)
    }

    fn defaults() -> ClusterOptions {
        ClusterOptions::default()
    }
}

/// Names less alike than this are not suggested: half of the letters.
const LIKENESS: f64 = 0.5;

fn find<O: OptionSet>(name: &str) -> Result<&'static Row<O>, OptionError> {
    let rows = O::rows().0;
    if let Some(row) = rows.iter().find(|row| row.name == name) {
        return Ok(row);
    }
    let likeness = |row: &Row<O>| strsim::normalized_damerau_levenshtein(row.name, &name.to_lowercase());
    let nearest = rows.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    Err(OptionError::Unknown {
        name: name.to_owned(),
        scope: O::SCOPE,
        nearest: nearest
            .filter(|row| likeness(row) >= LIKENESS)
            .map(|row| row.name),
    })
}

fn shown(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Bytes => text::show_bytes(value),
        Unit::Time => text::show_time(std::time::Duration::from_millis(value)),
        _ => value.to_string(),
    }
}

fn infos<O: OptionSet>() -> impl Iterator<Item = OptionInfo> {
    let defaults = O::defaults();
    O::rows().0.iter().map(move |row| OptionInfo {
        scope: O::SCOPE,
        name: row.name,
        unit: row.unit.text(),
        default: (row.get)(&defaults),
        min: row.bounds.map(|(min, _)| shown(row.unit, min)),
        max: row
            .bounds
            .filter(|(_, max)| *max < u64::MAX)
            .map(|(_, max)| shown(row.unit, max)),
        doc: row.doc,
    })
}

/// The whole table: options of a store, then those of a cluster.
#[must_use]
pub fn table() -> Vec<OptionInfo> {
    infos::<StoreOptions>().chain(infos::<ClusterOptions>()).collect()
}

/// The table as a page of Markdown: `docs/OPTIONS.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = "# Options\n\nWritten by `atoll options --markdown` from the table in `core/src/config`. Bytes are written with or without KiB, \
                    MiB or GiB, times with ms, s, m, h or d.\n"
        .to_owned();
    for (scope, title) in [("store", "A store"), ("cluster", "A cluster")] {
        page += &format!(
            "\n## {title}\n\n| option | value | default | bounds | what it does |\n|---|---|---|---|---|\n"
        );
        for info in table().iter().filter(|info| info.scope == scope) {
            let bounds = match (&info.min, &info.max) {
                (Some(min), Some(max)) => format!("{min} to {max}"),
                (Some(min), None) => format!("from {min}"),
                _ => String::new(),
            };
            let unit = info.unit.replace('|', "\\|");
            page += &format!(
                "| `{}` | {unit} | `{}` | {bounds} | {} |\n",
                info.name, info.default, info.doc
            );
        }
    }
    page
}
