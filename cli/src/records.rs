//! `atoll scan`, `count`, `export`: many keys in order.
//!
//! Records leave as text in three shapes: `KEY<TAB>VALUE`, one JSON object a line, or TSV with a
//! header. A JSON object that was stored is embedded as it stands, byte for byte; all else is a
//! string; bytes that are not UTF-8 appear in hexadecimal under a name that says so.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use atoll::cluster::{Cluster, ReadOptions};
use atoll::ids::SlotId;
use clap::{Args, ValueEnum};

use crate::failure::{Failure, Outcome};
use crate::one_store;
use crate::output;
use crate::session::{self, DirArg, ReadArgs, bytes_of};

/// Which keys.
#[derive(Args, Debug)]
pub struct RangeArgs {
    /// First key
    #[arg(long, value_name = "KEY")]
    start: Option<OsString>,

    /// First key that no longer counts
    #[arg(long, value_name = "KEY")]
    end: Option<OsString>,

    /// Only keys that begin with this
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["start", "end"])]
    prefix: Option<OsString>,
}

/// From the first key to the last.
pub type KeyBounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

impl RangeArgs {
    /// Whether no bound was given.
    pub fn is_all(&self) -> bool {
        self.start.is_none() && self.end.is_none() && self.prefix.is_none()
    }

    /// The bounds, decoded when they are hexadecimal.
    pub fn bounds(&self, hex: bool) -> Outcome<KeyBounds> {
        if let Some(prefix) = &self.prefix {
            return Ok(prefix_bounds(bytes_of(prefix, hex)?));
        }
        let bytes = |key: &Option<OsString>| key.as_ref().map(|key| bytes_of(key, hex)).transpose();
        let start = bytes(&self.start)?.map_or(Bound::Unbounded, Bound::Included);
        let end = bytes(&self.end)?.map_or(Bound::Unbounded, Bound::Excluded);
        Ok((start, end))
    }
}

/// The keys that begin with a prefix lie below the next string of its length.
fn prefix_bounds(prefix: Vec<u8>) -> KeyBounds {
    let mut next = prefix.clone();
    while next.last() == Some(&0xff) {
        next.pop();
    }
    let end = match next.last_mut() {
        None => Bound::Unbounded,
        Some(last) => {
            *last += 1;
            Bound::Excluded(next)
        }
    };
    (Bound::Included(prefix), end)
}

fn borrowed(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// Calls `each` on every record of a range; it returns whether to go on.
fn visit(
    cluster: &Cluster,
    (start, end): &KeyBounds,
    options: &ReadOptions,
    mut each: impl FnMut(&[u8], &[u8]) -> Outcome<bool>,
) -> Outcome {
    for entry in cluster.scan(borrowed(start), borrowed(end), options)? {
        let entry = entry?;
        if !each(&entry.key, &entry.value)? {
            break;
        }
    }
    Ok(())
}

/// Options of `atoll scan`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll scan data --prefix user: --limit 10
  atoll scan data --start a --end b --keys-only
  atoll scan data --json | jq .value.name

DIR may also be one store, such as data/nodes/n1/shard-00000, while another process writes it.
Prints KEY<TAB>VALUE in the byte order of the keys.")]
pub struct ScanArgs {
    #[command(flatten)]
    dir: DirArg,

    #[command(flatten)]
    range: RangeArgs,

    /// Stop after so many keys
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Print keys without values
    #[arg(long)]
    keys_only: bool,

    /// One JSON object a line
    #[arg(long, conflicts_with = "hex")]
    json: bool,

    /// Keys and values are in hexadecimal
    #[arg(long)]
    hex: bool,

    #[command(flatten)]
    read: ReadArgs,
}

/// Prints a range of records.
pub fn scan(args: &ScanArgs) -> Outcome {
    let options = args.read.options()?;
    let bounds = args.range.bounds(args.hex)?;
    let mut left = args.limit.unwrap_or(u64::MAX);
    if left == 0 {
        return Ok(());
    }
    let mut out = output::stdout();
    let mut write = |key: &[u8], value: &[u8]| -> Outcome<bool> {
        let value = (!args.keys_only).then_some(value);
        if args.json {
            write_json_line(&mut out, key, value)?;
        } else if args.hex {
            write_plain(
                &mut out,
                output::hex(key).as_bytes(),
                value.map(output::hex).as_deref().map(str::as_bytes),
            )?;
        } else {
            write_plain(&mut out, key, value)?;
        }
        left -= 1;
        Ok(left > 0)
    };
    let dir = &args.dir.dir;
    if one_store::is_store(dir) {
        args.read.must_be_plain(dir)?;
        one_store::visit(
            dir,
            (borrowed(&bounds.0), borrowed(&bounds.1)),
            args.limit,
            &mut write,
        )?;
    } else {
        session::with(dir, |cluster| visit(cluster, &bounds, &options, write))?;
    }
    Ok(out.flush()?)
}

/// Options of `atoll count`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll count data
  atoll count data --prefix user:
  atoll count data --approximate --slot 7 --json

DIR may also be one store, while another process writes it. Prints the bare number.")]
pub struct CountArgs {
    #[command(flatten)]
    dir: DirArg,

    #[command(flatten)]
    range: RangeArgs,

    /// Keys are given in hexadecimal
    #[arg(long)]
    hex: bool,

    /// Look at samples instead of every key: quick however much there is, and off by a few per cent
    #[arg(long, conflicts_with_all = ["consistency", "token"])]
    approximate: bool,

    /// Of one slot only
    #[arg(long, value_name = "NUMBER", requires = "approximate")]
    slot: Option<u32>,

    /// Print {"count": …}; with --approximate also bytes, and how far off both may be
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    read: ReadArgs,
}

/// Prints how many keys there are.
pub fn count(args: &CountArgs) -> Outcome {
    let options = args.read.options()?;
    let bounds = args.range.bounds(args.hex)?;
    if args.approximate {
        return approximate(args, &bounds);
    }
    let counted = if one_store::is_store(&args.dir.dir) {
        args.read.must_be_plain(&args.dir.dir)?;
        let mut counted = 0u64;
        let bounds = (borrowed(&bounds.0), borrowed(&bounds.1));
        one_store::visit(&args.dir.dir, bounds, None, &mut |_, _| {
            counted += 1;
            Ok(true)
        })?;
        counted
    } else {
        count_in_cluster(&args.dir.dir, &bounds, &options)?
    };
    if args.json {
        output::print_json(&serde_json::json!({ "count": counted }))
    } else {
        output::print(&counted.to_string())
    }
}

fn count_in_cluster(dir: &Path, bounds: &KeyBounds, options: &ReadOptions) -> Outcome<u64> {
    session::with(dir, |cluster| {
        if let (Bound::Unbounded, Bound::Unbounded) = bounds {
            return Ok(cluster.count(options)?);
        }
        let mut counted = 0;
        visit(cluster, bounds, options, |_, _| {
            counted += 1;
            Ok(true)
        })?;
        Ok(counted)
    })
}

fn approximate(args: &CountArgs, bounds: &KeyBounds) -> Outcome {
    if one_store::is_store(&args.dir.dir) {
        return Err(Failure::usage(format!(
            "{} is one store: --approximate is for clusters",
            args.dir.dir.display()
        )));
    }
    let about = session::with(&args.dir.dir, |cluster| {
        let slots = cluster.topology().slots();
        if let Some(slot) = args.slot.filter(|slot| *slot >= slots) {
            return Err(Failure::usage(format!(
                "there is no slot {slot}: the cluster has {slots}, from 0 on"
            )));
        }
        let (start, end) = (borrowed(&bounds.0), borrowed(&bounds.1));
        Ok(cluster.approximate(start, end, args.slot.map(SlotId))?)
    })?;
    if args.json {
        output::print_json(&serde_json::json!({
            "count": about.records, "count_error": about.records_error,
            "bytes": about.bytes, "bytes_error": about.bytes_error,
        }))
    } else {
        output::print(&about.records.to_string())
    }
}

/// Shape of an export.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum ExportFormat {
    /// {"key": …, "value": …} on each line
    Jsonl,
    /// A header, then KEY<TAB>VALUE; quoted as in CSV where needed
    Tsv,
}

/// Options of `atoll export`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll export data > all.jsonl
  atoll export data --format tsv -o all.tsv
  atoll export data | atoll import copy - --format jsonl --key key --value value --expires expires_at_ms

A stored JSON object is embedded as it stands, other text is a string. Bytes that are not UTF-8
appear in hexadecimal as key_hex and value_hex (TSV keeps them as they are). Values that expire
have expires_at_ms, in milliseconds since 1970; in TSV that is a third column, with --expires.")]
pub struct ExportArgs {
    #[command(flatten)]
    dir: DirArg,

    /// Shape of the records
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    format: ExportFormat,

    /// A third column of TSV: when the value is gone, empty if it stays
    #[arg(long)]
    expires: bool,

    /// Write to a new file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    read: ReadArgs,
}

/// Writes all records.
pub fn export(args: &ExportArgs) -> Outcome {
    let options = args.read.options()?;
    if args.expires && args.format != ExportFormat::Tsv {
        return Err(Failure::usage(
            "--expires adds a column to TSV; JSON lines have expires_at_ms wherever a value expires",
        ));
    }
    let exported = session::with(&args.dir.dir, |cluster| match &args.output {
        None => export_to(cluster, &options, args, &mut output::stdout()),
        Some(path) => {
            let file = File::create_new(path).map_err(|error| Failure::file("create", path, &error))?;
            let mut out = BufWriter::with_capacity(1 << 20, Named { path, file });
            let exported = export_to(cluster, &options, args, &mut out)?;
            let synced = out.get_ref().file.sync_all();
            synced.map_err(|error| Failure::file("write", path, &error))?;
            Ok(exported)
        }
    })?;
    output::say(&format!("{} exported", output::counted(exported, "record")));
    Ok(())
}

/// A file that puts its name into its errors.
struct Named<'p> {
    path: &'p Path,
    file: File,
}

impl Write for Named<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
        self.file.write(bytes).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn export_to(
    cluster: &Cluster,
    options: &ReadOptions,
    args: &ExportArgs,
    out: &mut dyn Write,
) -> Outcome<u64> {
    let (mut exported, mut expiring) = (0, 0);
    let all = cluster.scan(Bound::Unbounded, Bound::Unbounded, options)?;
    match args.format {
        ExportFormat::Jsonl => {
            for entry in all {
                let entry = entry?;
                exported += 1;
                write_json(out, &entry.key, Some(&entry.value), entry.value.expires_at_ms())?;
            }
        }
        ExportFormat::Tsv => {
            let columns = 2 + usize::from(args.expires);
            let mut rows = csv::WriterBuilder::new().delimiter(b'\t').from_writer(&mut *out);
            rows.write_record(&["key", "value", "expires_at_ms"][..columns])
                .map_err(io::Error::from)?;
            for entry in all {
                let entry = entry?;
                exported += 1;
                let expires = entry.value.expires_at_ms();
                expiring += u64::from(expires.is_some());
                let expires = expires.map_or_else(String::new, |ms| ms.to_string());
                let row: [&[u8]; 3] = [&entry.key, &entry.value, expires.as_bytes()];
                rows.write_record(&row[..columns]).map_err(io::Error::from)?;
            }
            rows.flush()?;
        }
    }
    out.flush()?;
    if expiring > 0 && !args.expires {
        output::warn(&format!(
            "{} will expire, which this file does not say: --expires adds the column",
            output::counted(expiring, "value")
        ));
    }
    Ok(exported)
}

fn write_plain(out: &mut dyn Write, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
    out.write_all(key)?;
    if let Some(value) = value {
        out.write_all(b"\t")?;
        out.write_all(value)?;
    }
    out.write_all(b"\n")
}

fn write_json_line(out: &mut dyn Write, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
    write_json(out, key, value, None)
}

fn write_json(
    out: &mut dyn Write,
    key: &[u8],
    value: Option<&[u8]>,
    expires_at_ms: Option<u64>,
) -> io::Result<()> {
    out.write_all(b"{")?;
    write_json_field(out, "key", key, false)?;
    if let Some(value) = value {
        out.write_all(b",")?;
        write_json_field(out, "value", value, true)?;
    }
    if let Some(ms) = expires_at_ms {
        write!(out, ",\"expires_at_ms\":{ms}")?;
    }
    out.write_all(b"}\n")
}

/// Writes `"name":` and the bytes: as they stand when `embed` and they are a JSON object on one
/// line, as a string when they are text, else as `"name_hex":`.
pub fn write_json_field(out: &mut dyn Write, name: &str, bytes: &[u8], embed: bool) -> io::Result<()> {
    match std::str::from_utf8(bytes) {
        Err(_) => write!(out, "\"{name}_hex\":\"{}\"", output::hex(bytes)),
        Ok(text) if embed && is_json_object(text) => write!(out, "\"{name}\":{text}"),
        Ok(text) => {
            write!(out, "\"{name}\":")?;
            Ok(serde_json::to_writer(out, text)?)
        }
    }
}

fn is_json_object(text: &str) -> bool {
    // A line feed between two tokens is good JSON and would break the line.
    text.starts_with('{')
        && !text.contains(['\n', '\r'])
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
        && text.ends_with('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_json_field(&mut out, "value", bytes, true).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn stored_objects_are_embedded_and_all_else_is_told_apart() {
        assert_eq!(field(b"{\"a\": 1.0}"), "\"value\":{\"a\": 1.0}");
        assert_eq!(field(b"{\"a\":\n1}"), "\"value\":\"{\\\"a\\\":\\n1}\"");
        assert_eq!(field(b"{\"a\":1"), "\"value\":\"{\\\"a\\\":1\"");
        assert_eq!(field(b"12"), "\"value\":\"12\"");
        assert_eq!(field(b"\xff\x00"), "\"value_hex\":\"ff00\"");
        assert_eq!(field(b""), "\"value\":\"\"");
    }

    #[test]
    fn prefixes_end_before_the_next_string_of_their_length() {
        let check = |prefix: &[u8], end: Bound<&[u8]>| {
            let (start, found) = prefix_bounds(prefix.to_vec());
            assert_eq!(
                (borrowed(&start), borrowed(&found)),
                (Bound::Included(prefix), end)
            );
        };
        check(b"user:", Bound::Excluded(b"user;"));
        check(b"a\xff\xff", Bound::Excluded(b"b"));
        check(b"\xff", Bound::Unbounded);
        check(b"", Bound::Unbounded);
    }
}
