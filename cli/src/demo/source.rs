//! Real input for the demonstration: what the user names, or what Debian keeps on this machine.
//!
//! Options come in; a file, its format and its key column go out. Only reads; a compressed package
//! index is unpacked into the demonstration's own directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Outcome};
use crate::import;
use crate::input::{Format, Selection};

const LISTS_DIR: &str = "/var/lib/apt/lists";
const STATUS_FILE: &str = "/var/lib/dpkg/status";
/// Prints a package index whatever it is compressed with; part of apt.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";
/// Bigger indexes would make the demonstration long.
const MAX_INDEX_BYTES: u64 = 256 << 20;

/// Input of the demonstration.
pub struct Source {
    /// What it is, for people.
    pub what: String,
    /// The file.
    pub file: PathBuf,
    /// Where that came from: the compressed one, if it had to be unpacked.
    pub origin: PathBuf,
    /// How it is read.
    pub select: Selection,
}

impl Source {
    /// The user's own file.
    pub fn given(file: &Path, key: &str, format: Option<Format>) -> Outcome<Source> {
        let format = import::format_of(file, format, key)?;
        Ok(Source {
            what: "your file".into(),
            file: file.to_owned(),
            origin: file.to_owned(),
            select: Selection::new(format, key),
        })
    }

    /// The largest package index of apt, else the list of installed packages. What has to be
    /// unpacked goes to `scratch`.
    pub fn found(scratch: &Path) -> Outcome<Source> {
        let packages = |what: &str, origin: &Path, file: &Path| Source {
            what: what.into(),
            file: file.to_owned(),
            origin: origin.to_owned(),
            select: Selection::new(Format::Deb822, "Package"),
        };
        for index in package_indexes() {
            if index.to_string_lossy().ends_with("_Packages") {
                return Ok(packages("Debian's package index", &index, &index));
            }
            if let Some(unpacked) = unpack(&index, scratch) {
                return Ok(packages("Debian's package index, unpacked", &index, &unpacked));
            }
        }
        let status = PathBuf::from(STATUS_FILE);
        if fs::metadata(&status).is_ok_and(|found| found.len() > 0) {
            return Ok(packages(
                "the packages installed on this machine",
                &status,
                &status,
            ));
        }
        Err(Failure::failed(
            "no package index of Debian on this machine: name a file of your own with --data FILE --key COLUMN",
        ))
    }
}

/// Package indexes of apt, largest first.
fn package_indexes() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(LISTS_DIR) else {
        return Vec::new();
    };
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let stem = ["lz4", "gz", "xz", "zst", "bz2"]
            .iter()
            .find_map(|end| name.strip_suffix(&format!(".{end}")));
        let Ok(metadata) = entry.metadata() else { continue };
        let wanted = stem.unwrap_or(&name).ends_with("_Packages") && metadata.is_file();
        if wanted && (1..=MAX_INDEX_BYTES).contains(&metadata.len()) {
            found.push((metadata.len(), entry.path()));
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Unpacks an index with apt's own helper; `None` when that cannot be done here.
fn unpack(index: &Path, scratch: &Path) -> Option<PathBuf> {
    let path = scratch.join("debian-index.deb822");
    let file = File::create(&path).ok()?;
    let mut helper = Command::new(APT_HELPER);
    let helper = helper
        .arg("cat-file")
        .arg(index)
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(Stdio::null());
    let done = helper.status().is_ok_and(|status| status.success());
    let usable = done && fs::metadata(&path).is_ok_and(|found| found.len() > 0);
    usable.then_some(path)
}
