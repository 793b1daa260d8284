//! `atoll`, the command line of the engine.
//!
//! Arguments come in; results go to standard output, everything else to standard error. This file
//! knows the names of the commands and nothing of what they do: one file a group of commands.

mod backup;
mod change;
mod compact;
mod demo;
mod dump;
mod dump_table;
mod failure;
mod holdings;
mod import;
mod init;
mod input;
mod keyvalue;
mod metrics;
mod one_store;
mod options;
mod output;
mod progress;
mod records;
mod repair;
mod ring;
mod route;
mod session;
mod status;
mod svg;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::{Failure, Outcome};

#[derive(Parser, Debug)]
#[command(
    name = "atoll",
    version,
    about = "A sharded, replicated key-value engine that lives inside your program",
    after_help = "\
Start here:
  atoll demo
  atoll init data --shards 4 --replicas 3 && atoll import data users.csv --key id && atoll status data

Exit codes: 0 done, 1 not found or a check failed, 2 usage, 3 damaged data, 4 unavailable."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show everything on real data, in a temporary directory
    Demo(demo::DemoArgs),
    /// Create a cluster in a new directory
    Init(init::InitArgs),
    /// Load records from CSV, TSV, JSON lines or Debian stanzas
    Import(import::ImportArgs),
    /// Write all records as JSON lines or TSV
    Export(records::ExportArgs),
    /// Store a value
    Put(keyvalue::PutArgs),
    /// Print a value
    Get(keyvalue::GetArgs),
    /// Delete a key
    Delete(keyvalue::DeleteArgs),
    /// Print records in key order
    Scan(records::ScanArgs),
    /// Print the number of keys
    Count(records::CountArgs),
    /// Tell which node each key on standard input belongs to
    Route(route::RouteArgs),
    /// Show what adding, removing or re-weighting a node would move
    Plan(change::PlanArgs),
    /// Add, remove or re-weight a node and move what has to move
    Rebalance(change::RebalanceArgs),
    /// Show nodes, shards and replicas
    Status(status::StatusArgs),
    /// The figures of a cluster as Prometheus reads them
    Metrics(metrics::MetricsArgs),
    /// Draw where everything lies, as SVG
    Ring(ring::RingArgs),
    /// Check every checksum and compare the replicas
    Verify(verify::VerifyArgs),
    /// Copy a cluster or a store, as it is at one instant
    Backup(backup::BackupArgs),
    /// Make a cluster or a store of a backup
    Restore(backup::RestoreArgs),
    /// Turn logs into tables sorted by key, and many tables into fewer
    Compact(compact::CompactArgs),
    /// Print every option with its default and what it costs
    Options(options::OptionsArgs),
    /// Show the records of one segment or table file
    /// Save what can be saved of a damaged store into a new directory
    Repair(repair::RepairArgs),
    /// Show the records of one segment file
    Dump(dump::DumpArgs),
}

fn run(command: &Command) -> Outcome {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Init(args) => init::run(args),
        Command::Import(args) => import::run(args),
        Command::Export(args) => records::export(args),
        Command::Put(args) => keyvalue::put(args),
        Command::Get(args) => keyvalue::get(args),
        Command::Delete(args) => keyvalue::delete(args),
        Command::Scan(args) => records::scan(args),
        Command::Count(args) => records::count(args),
        Command::Route(args) => route::run(args).map_err(Failure::from),
        Command::Plan(args) => change::plan(args),
        Command::Rebalance(args) => change::rebalance(args),
        Command::Status(args) => status::run(args),
        Command::Metrics(args) => metrics::run(args),
        Command::Ring(args) => ring::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Repair(args) => repair::run(args),
        Command::Backup(args) => backup::backup(args),
        Command::Restore(args) => backup::restore_into(args),
        Command::Compact(args) => compact::run(args),
        Command::Options(args) => options::run(args),
        Command::Dump(args) => dump::run(args),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let message = failure.to_string();
            if !message.is_empty() {
                output::warn(&message);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}
