//! `atoll dump` of a table file.

use std::io::{self, Write};
use std::path::Path;

use atoll::io::Env;
use atoll::store::table::dump::{TableFacts, dump};
use atoll::store::table::format::EntryView;
use serde_json::json;

use crate::dump::shown;
use crate::failure::{Failure, Outcome};
use crate::output::{self, bytes, hex};

/// Prints the table at `path`.
pub fn run(path: &Path, as_json: bool) -> Outcome {
    let mut out = output::stdout();
    let mut written = Ok(());
    if !as_json {
        written = writeln!(
            out,
            "{:>12} {:>10} {:<11} {:>9}  key",
            "lsn", "offset", "kind", "value"
        );
    }
    let facts = dump(&*Env::os().disk, path, |offset, entry| {
        if written.is_ok() {
            written = if as_json {
                entry_json(&mut out, offset, entry)
            } else {
                entry_line(&mut out, offset, entry)
            };
        }
    })?;
    written?;
    if as_json {
        table_json(&mut out, &facts)?
    } else {
        table_text(&mut out, &facts)?
    }
    out.flush()?;
    match facts.damage.first() {
        None => Ok(()),
        Some((offset, what)) => Err(Failure::damaged(format!(
            "{} is damaged at offset {offset}: {what}",
            path.display()
        ))),
    }
}

fn entry_line(out: &mut dyn Write, offset: usize, entry: &EntryView<'_>) -> io::Result<()> {
    let kind = format!("{:?}", entry.kind);
    let key = shown(entry.key);
    writeln!(
        out,
        "{:>12} {:>10} {:<11} {:>9}  {key}",
        entry.lsn.0,
        offset,
        kind,
        entry.value.len()
    )
}

fn entry_json(out: &mut dyn Write, offset: usize, entry: &EntryView<'_>) -> io::Result<()> {
    let line = json!({
        "lsn": entry.lsn.0, "offset": offset, "kind": format!("{:?}", entry.kind), "hlc": entry.hlc.0,
        "flags": entry.flags.0, "older_version": entry.same_key, "key": String::from_utf8_lossy(entry.key),
        "key_hex": hex(entry.key), "value_bytes": entry.value.len(), "expires_at_ms": entry.expiry.ms(),
    });
    writeln!(out, "{line}")
}

fn table_text(out: &mut dyn Write, facts: &TableFacts) -> io::Result<()> {
    let (header, footer) = (&facts.header, &facts.footer);
    writeln!(
        out,
        "\ntable {} of shard {} (cluster {})",
        header.number, header.shard, header.cluster
    )?;
    writeln!(
        out,
        "  {} entries of {} keys, {} deletions; {} of keys and values in {}",
        footer.entries,
        footer.keys,
        footer.tombstones,
        bytes(footer.payload_bytes),
        bytes(facts.file_bytes)
    )?;
    writeln!(
        out,
        "  positions {} to {}; {} anchors, {} shared key bytes",
        footer.lsns.0, footer.lsns.1, footer.anchors, footer.shared_bytes
    )
}

fn table_json(out: &mut dyn Write, facts: &TableFacts) -> io::Result<()> {
    let (header, footer) = (&facts.header, &facts.footer);
    let line = json!({ "table": {
        "number": header.number, "cluster": header.cluster.to_string(), "shard": header.shard.0,
        "entries": footer.entries, "keys": footer.keys, "tombstones": footer.tombstones,
        "payload_bytes": footer.payload_bytes, "file_bytes": facts.file_bytes,
        "lsns": [footer.lsns.0.0, footer.lsns.1.0], "anchors": footer.anchors,
        "shared_bytes": footer.shared_bytes,
        "damage": facts.damage.iter().map(|(offset, what)| json!({"offset": offset, "what": what})).collect::<Vec<_>>(),
    }});
    writeln!(out, "{line}")
}
