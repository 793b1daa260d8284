//! Why an input cannot be read at all, as opposed to single records that are rejected.

use std::io;

/// An input that yields no (further) records.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// No line, so no names of columns.
    #[error("is empty: the first line must name the columns")]
    NoHeader,
    /// The first line cannot be a header.
    #[error("has no usable header line: {0}")]
    BadHeader(String),
    /// The chosen column is not in the header.
    #[error("has no column {column:?}; its columns are {}", quoted(found))]
    MissingColumn {
        /// Column asked for.
        column: String,
        /// Columns there are.
        found: Vec<String>,
    },
    /// Two columns share a name, so a record could not be an object.
    #[error("names the column {column:?} twice in its header line: rename one of them")]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// The bytes are compressed.
    #[error(
        "is compressed ({kind}): decompress it on the way in, `{command} FILE | atoll import DIR - --format FORMAT --key COLUMN`"
    )]
    Compressed {
        /// Name of the compression.
        kind: &'static str,
        /// Command that writes the plain bytes to stdout.
        command: &'static str,
    },
    /// The text is UTF-16.
    #[error("is UTF-16 text: `iconv -f UTF-16 -t UTF-8 FILE` makes UTF-8 of it")]
    Utf16,
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("{name:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}
