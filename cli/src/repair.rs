//! `atoll repair`: saves what can be saved of a damaged store into a new directory.

use std::path::PathBuf;

use atoll::io::Env;
use atoll::log::LogError;
use atoll::store::StoreError;
use atoll::store::repair::{Lost, RepairReport, repair};
use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::output::{self, counted};
use crate::progress::Progress;

/// Options of `atoll repair`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  atoll repair data/nodes/n1/shard-00000 saved
  atoll repair DIR DEST --json | jq .lost

DIR is one store (it holds CONTROL and log/), is only read, and must not be open anywhere. DEST must be
missing or empty. Tables are read too; of what they hold, the newest version of each key is saved. Where a sound replica is left, copying that one is better: see `atoll verify`.
Exit code 3: something was lost; the report names it.")]
pub struct RepairArgs {
    /// The damaged store
    #[arg(value_name = "DIR")]
    source: PathBuf,

    /// Directory for the new store
    #[arg(value_name = "DEST")]
    target: PathBuf,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Repairs a store.
pub fn run(args: &RepairArgs) -> Outcome {
    let mut progress = Progress::new("repair", None, 0);
    let report = repair(&Env::os(), &args.source, &args.target, &mut |done, total| {
        progress.set_total(total);
        progress.at(done, || counted(total, "file"));
    });
    progress.finish();
    let report = report.map_err(refusal)?;
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&summary(&report))?;
        for lost in &report.lost {
            output::print(&in_words(lost))?;
        }
    }
    if report.lost.is_empty() {
        return Ok(());
    }
    Err(Failure::damaged(format!(
        "{} lost; everything else is in {}",
        counted(report.lost.len() as u64, "range"),
        args.target.display()
    )))
}

fn refusal(error: StoreError) -> Failure {
    let text = error.to_string();
    match error {
        StoreError::Log(LogError::NotEmpty { .. } | LogError::NotAStore { .. }) => Failure::usage(text),
        StoreError::Log(LogError::Locked { .. }) => {
            Failure::unavailable(format!("{text}: wait for it, or end it"))
        }
        error if error.damage().is_some() => Failure::damaged(text),
        _ => Failure::failed(text),
    }
}

fn summary(report: &RepairReport) -> String {
    format!(
        "{} saved from {} and {}; {} never finished",
        counted(report.versions, "version"),
        counted(report.segments, "segment"),
        counted(report.tables, "table"),
        counted(report.unfinished, "write"),
    )
}

fn in_words(lost: &Lost) -> String {
    let to = lost.to.map_or_else(|| "the end".to_owned(), |to| to.to_string());
    let named = |word: &str, key: &Option<Vec<u8>>| {
        key.as_ref()
            .map_or_else(String::new, |key| format!(", {word} \"{}\"", key.escape_ascii()))
    };
    format!(
        "lost: positions {} to {to} of {}{}{}{}: {}",
        lost.from,
        lost.path.display(),
        named("key", &lost.key),
        named("keys after", &lost.after_key),
        named("keys before", &lost.before_key),
        lost.what
    )
}
