//! Reads of one store's directory, also while another process has it open for writing.
//!
//! In: a directory that holds a `CONTROL` file: a store on its own, or one replica of a shard. Out: what is
//! stored there, as the last acknowledged write left it. Nothing is written but a line in the file
//! `readers` for the time of a scan. Of a replica, every version is shown: also what a quorum has not
//! confirmed yet, and what is left of slots that have moved away.

use std::ops::Bound;
use std::path::Path;

use atoll::io::Env;
use atoll::store::{ReaderOptions, ReaderStats, ScanOptions, Store, StoreError, StoreReader, Value};

use crate::failure::{Failure, Outcome};
use crate::output::{self, bytes, count, counted};

/// Whether `dir` is the directory of one store.
pub fn is_store(dir: &Path) -> bool {
    dir.join("CONTROL").is_file()
}

/// Opens the store for reading.
pub fn open(dir: &Path) -> Outcome<StoreReader> {
    Store::open_reader(&Env::os(), dir, &ReaderOptions::default()).map_err(failure)
}

/// What a failed read of a store means for the command.
pub fn failure(error: StoreError) -> Failure {
    let text = error.to_string();
    match &error {
        StoreError::NeedsRecovery { .. } => {
            Failure::unavailable(format!("{text}; start the program that writes it"))
        }
        StoreError::WriterStuck { .. } => {
            Failure::unavailable(format!("{text} Continue that process, or end it"))
        }
        StoreError::NoReaderSlot { .. } => Failure::unavailable(text),
        error if error.damage().is_some() => Failure::damaged(text),
        _ => Failure::failed(text),
    }
}

/// The value of one key.
pub fn get(dir: &Path, key: &[u8]) -> Outcome<Option<Value>> {
    open(dir)?.get(key).map_err(failure)
}

/// Told key and value; says whether to go on.
type Visitor<'v> = dyn FnMut(&[u8], &[u8]) -> Outcome<bool> + 'v;

/// Calls `each` on every record of a range; it returns whether to go on.
pub fn visit(
    dir: &Path,
    bounds: (Bound<&[u8]>, Bound<&[u8]>),
    limit: Option<u64>,
    each: &mut Visitor<'_>,
) -> Outcome {
    let options = ScanOptions {
        limit,
        ..ScanOptions::default()
    };
    let snapshot = open(dir)?.snapshot().map_err(failure)?;
    let mut scan = snapshot.scan_with(bounds.0, bounds.1, options).map_err(failure)?;
    while let Some(entry) = scan.next_entry().map_err(failure)? {
        if let Some(value) = entry.value
            && !each(entry.key, value)?
        {
            break;
        }
    }
    Ok(())
}

/// Prints the figures of the store.
pub fn status(dir: &Path, json: bool) -> Outcome {
    let found = open(dir)?.stats().map_err(failure)?;
    if json {
        return output::print_json(&found);
    }
    output::print(page(&found).trim_end())
}

fn page(found: &ReaderStats) -> String {
    let writer = match &found.writer {
        Some((pid, host)) => format!("open in process {pid} on {host}"),
        None => "open nowhere".to_owned(),
    };
    let whose = match &found.cluster {
        Some(cluster) => format!("shard {} of cluster {cluster}", found.shard),
        None => "on its own".to_owned(),
    };
    format!(
        "store {}, {whose}, {writer}\n  log: positions {} to {} in {}, {} of files\n  tables: {} in {}, {}, {}; everything \
         below position {}\n  readers with snapshots: {}\n",
        found.store,
        count(found.log_start.0),
        count(found.tail.0),
        counted(found.segments, "segment"),
        bytes(found.file_bytes),
        counted(found.tables, "table"),
        counted(found.runs, "run"),
        counted(found.table_entries, "version"),
        bytes(found.table_bytes),
        count(found.compacted_through.0),
        found.readers.len(),
    )
}

/// Checks every checksum of records and tables.
pub fn verify(dir: &Path, json: bool) -> Outcome {
    let began = std::time::Instant::now();
    let mut said = began;
    let report = open(dir)?
        .verify(&mut |done, total| {
            if said.elapsed().as_secs() >= 2 {
                said = std::time::Instant::now();
                output::say(&format!("verify: {} of {} of log", bytes(done), bytes(total)));
            }
        })
        .map_err(failure)?;
    if json {
        output::print_json(&report)?;
    } else {
        output::print(&format!(
            "{} in {}, {}; {}, {}; the key index was not compared: that takes the writer",
            counted(report.records, "record"),
            counted(report.segments, "segment"),
            bytes(report.bytes),
            counted(report.tables, "table"),
            bytes(report.table_bytes),
        ))?;
    }
    for damage in &report.damage {
        output::warn(&format!("damaged: {damage}"));
    }
    if report.damage.is_empty() {
        return Ok(());
    }
    Err(Failure::damaged(format!(
        "{} found; `atoll repair {} DEST` saves the rest once the store is closed",
        counted(report.damage.len() as u64, "damaged place"),
        dir.display()
    )))
}
