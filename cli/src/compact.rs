//! `atoll compact`: turns what the logs have into tables, and many tables into fewer.

use atoll::cluster::{CompactOptions, ReplicaCompaction};
use clap::Args;

use crate::failure::Outcome;
use crate::output::{self, Table, bytes, count};
use crate::session::{self, DirArg};

/// Options of `atoll compact`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll compact data
  atoll compact data --release-log --json | jq '.[] | {node, bytes_before, bytes_after}'

Scans become several times as fast. Without --release-log the logs stay as they are, so that a replica
that is moved away can still be copied from the others; space is given back only with it.")]
pub struct CompactArgs {
    #[command(flatten)]
    dir: DirArg,

    /// Remove log records that every replica has; a replica that is emptied later cannot be copied
    /// from the others any more
    #[arg(long)]
    release_log: bool,

    /// Print what was done on each replica as JSON
    #[arg(long)]
    json: bool,
}

/// Compacts a cluster.
pub fn run(args: &CompactArgs) -> Outcome {
    let options = CompactOptions {
        release_log: args.release_log,
    };
    let began = std::time::Instant::now();
    let mut said = began;
    let mut written = 0;
    let done = session::with(&args.dir.dir, |cluster| {
        Ok(cluster.compact(&options, &mut |node, shard, step| {
            written += step.bytes_written;
            if said.elapsed().as_secs() >= 2 {
                said = std::time::Instant::now();
                output::say(&format!(
                    "compact: shard {shard} on {node}: {} written, {} left of this merge",
                    bytes(written),
                    bytes(step.bytes_left)
                ));
            }
        })?)
    })?;
    if args.json {
        output::print_json(&done)
    } else {
        output::print(page(&done).trim_end())
    }
}

fn page(done: &[ReplicaCompaction]) -> String {
    let mut table = Table::new(&[
        "shard",
        "node<",
        "versions read",
        "left out",
        "written",
        "files before",
        "after",
    ]);
    for one in done {
        table.row([
            one.shard.to_string(),
            one.node.clone(),
            count(one.report.versions_read),
            count(one.report.versions_dropped),
            bytes(one.report.bytes_written),
            bytes(one.bytes_before),
            bytes(one.bytes_after),
        ]);
    }
    table.render("")
}
