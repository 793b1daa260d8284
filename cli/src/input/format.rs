//! The formats that can be read, and how a file name tells which.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Format of an input.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values; the first line names the columns
    Csv,
    /// The same, separated by tabs
    Tsv,
    /// One JSON object per line
    #[value(name = "jsonl")]
    #[serde(rename = "jsonl")]
    JsonLines,
    /// Debian control stanzas: `Field: value`, separated by blank lines
    Deb822,
}

impl Format {
    /// The format a file name stands for: by extension, and by the names Debian's indexes have.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?;
        if name == "Packages" || name == "status" || name.ends_with("_Packages") {
            return Some(Format::Deb822);
        }
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "tsv" | "tab" => Some(Format::Tsv),
            "jsonl" | "ndjson" => Some(Format::JsonLines),
            "deb822" => Some(Format::Deb822),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::JsonLines => "jsonl",
            Format::Deb822 => "deb822",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_tell_their_format() {
        let check = |name: &str, expected: Option<Format>| {
            assert_eq!(Format::of_path(Path::new(name)), expected, "{name}");
        };
        check("/tmp/users.csv", Some(Format::Csv));
        check("USERS.TSV", Some(Format::Tsv));
        check("a.b.jsonl", Some(Format::JsonLines));
        check("a.ndjson", Some(Format::JsonLines));
        check("x.deb822", Some(Format::Deb822));
        check("/var/lib/dpkg/status", Some(Format::Deb822));
        check(
            "mirror.example_dists_bookworm_main_binary-amd64_Packages",
            Some(Format::Deb822),
        );
        check("notes.txt", None);
        check("csv", None);
    }
}
