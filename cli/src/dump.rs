//! `atoll dump`: one segment or table file in words, without opening the store it belongs to.

use std::io::{self, Write};
use std::path::PathBuf;

use atoll::io::Env;
use atoll::log::dump::{RecordFacts, SegmentFacts, dump};
use clap::Args;
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::output::{self, bytes, hex};

/// Options of `atoll dump`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll dump data/nodes/n1/shard-00000/log/*.seg | less
  atoll dump SEGMENT --json | jq 'select(.kind == \"Put\")'
  atoll dump data/nodes/n1/shard-00000/tables/0000000000000001.tbl

Prints the records (of a table, the entries), then the header and how the file ends. Exit code 3: something in it is damaged.")]
pub struct DumpArgs {
    /// A segment file, or a table (NAME.tbl)
    #[arg(value_name = "SEGMENT")]
    segment: PathBuf,

    /// One JSON object for each record, then one for the segment
    #[arg(long)]
    json: bool,
}

/// Prints a segment.
pub fn run(args: &DumpArgs) -> Outcome {
    let metadata = std::fs::metadata(&args.segment);
    let metadata = metadata.map_err(|error| Failure::file("read", &args.segment, &error))?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!(
            "{} is a directory: name one segment file, such as DIR/nodes/n1/shard-00000/log/*",
            args.segment.display()
        )));
    }
    if args
        .segment
        .extension()
        .is_some_and(|extension| extension == "tbl")
    {
        return crate::dump_table::run(&args.segment, args.json);
    }
    let mut out = output::stdout();
    let mut written = Ok(());
    if !args.json {
        written = writeln!(
            out,
            "{:>12} {:>10} {:>9}  {:<11} {:>12}  {:>9}  key",
            "lsn", "offset", "bytes", "kind", "previous", "value"
        );
    }
    let facts = dump(&*Env::os().disk, &args.segment, |record| {
        if written.is_ok() {
            written = if args.json {
                record_json(&mut out, record)
            } else {
                record_line(&mut out, record)
            };
        }
    })?;
    written?;
    if args.json {
        segment_json(&mut out, &facts)?;
    } else {
        segment_text(&mut out, &facts)?;
    }
    out.flush()?;
    match facts.damage {
        None => Ok(()),
        Some(what) => Err(Failure::damaged(format!(
            "{} is damaged at offset {}: {what}",
            args.segment.display(),
            facts.stopped_at
        ))),
    }
}

fn record_line(out: &mut dyn Write, record: &RecordFacts) -> io::Result<()> {
    let key = if record.members > 0 {
        format!("({} members)", record.members)
    } else {
        shown(&record.key)
    };
    let prev = if record.prev.0 == 0 {
        "-".to_string()
    } else {
        record.prev.to_string()
    };
    writeln!(
        out,
        "{:>12} {:>10} {:>9}  {:<11} {:>12}  {:>9}  {key}",
        record.lsn.0,
        record.offset,
        record.size,
        format!("{:?}", record.kind),
        prev,
        record.value_bytes
    )
}

fn record_json(out: &mut dyn Write, record: &RecordFacts) -> io::Result<()> {
    let mut line = json!({
        "lsn": record.lsn.0, "offset": record.offset, "bytes": record.size, "kind": format!("{:?}", record.kind),
        "flags": record.flags.0, "hlc": record.hlc.0, "previous": record.prev.0,
        "value_bytes": record.value_bytes, "expires_at_ms": record.expires_at_ms, "members": record.members,
    });
    match std::str::from_utf8(&record.key) {
        Ok(text) => line["key"] = text.into(),
        Err(_) => line["key_hex"] = hex(&record.key).into(),
    }
    writeln!(out, "{line}")
}

fn segment_text(out: &mut dyn Write, facts: &SegmentFacts) -> io::Result<()> {
    let header = &facts.header;
    writeln!(out, "\nsegment {} of store {}", header.number, header.store)?;
    writeln!(
        out,
        "  cluster {}, shard {}, node id {:016x}",
        header.cluster, header.shard, header.node
    )?;
    writeln!(
        out,
        "  epoch {}, incarnation {}, opening {}, {}",
        header.epoch,
        header.incarnation,
        header.open_generation,
        if header.follower {
            "received from a primary"
        } else {
            "written as primary"
        }
    )?;
    writeln!(
        out,
        "  first position {}, capacity {}, durable position when created {}",
        header.first_lsn,
        bytes(header.capacity),
        header.durable
    )?;
    match &facts.footer {
        Some(footer) => writeln!(
            out,
            "  sealed at position {} after {} records",
            footer.end, footer.records
        ),
        None => writeln!(out, "  not sealed; records end at offset {}", facts.stopped_at),
    }
}

fn segment_json(out: &mut dyn Write, facts: &SegmentFacts) -> io::Result<()> {
    let header = &facts.header;
    let footer = facts
        .footer
        .as_ref()
        .map(|footer| json!({ "end": footer.end.0, "records": footer.records }));
    let line = json!({ "segment": {
        "number": header.number, "store": header.store.to_string(), "cluster": header.cluster.to_string(),
        "shard": header.shard.0, "node": format!("{:016x}", header.node), "epoch": header.epoch.0,
        "incarnation": header.incarnation, "open_generation": header.open_generation,
        "follower": header.follower, "first_lsn": header.first_lsn.0, "capacity": header.capacity,
        "footer": footer, "stopped_at": facts.stopped_at, "damage": facts.damage,
    }});
    writeln!(out, "{line}")
}

/// A key on one line: printable text as it is, the rest escaped, cut after 80 bytes.
pub fn shown(key: &[u8]) -> String {
    const SHOWN_BYTES: usize = 80;
    let cut = &key[..key.len().min(SHOWN_BYTES)];
    let text = match std::str::from_utf8(cut) {
        Ok(text) if !text.contains(char::is_control) => text.to_string(),
        _ => cut.escape_ascii().to_string(),
    };
    if cut.len() < key.len() {
        format!("{text}… ({} bytes)", key.len())
    } else {
        text
    }
}
