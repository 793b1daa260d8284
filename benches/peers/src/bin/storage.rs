//! `storage`: Atoll beside RocksDB, LMDB, redb, fjall, SQLite and raft-engine, in one run.
//!
//! In: flags. Out: a table on stdout, `target/bench-peers/storage.json`, and, of a whole run, a section
//! of `docs/benchmarks.md` with plots. `make bench-peers ONLY=storage` runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use atoll_bench_peers::page;
use atoll_bench_peers::storage::conductor::conduct;
use atoll_bench_peers::storage::engines::Named;
use atoll_bench_peers::storage::plan::{Plan, default_dir, needed_bytes};
use atoll_bench_peers::storage::plot::PLOTS;
use atoll_bench_peers::storage::report::{Report, Run};
use atoll_bench_peers::storage::rows::judge;
use atoll_bench_peers::storage::work::Ground;
use atoll_bench_peers::storage::{Result, machine, worker};
use clap::{Parser, Subcommand};

/// Measures Atoll beside other storage engines: the same keys, the same work, one run.
///
/// Example: storage --only atoll,lmdb --rows get,miss --quick
#[derive(Parser)]
struct Flags {
    /// Keys of a loaded engine.
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(8..=16384))]
    value_bytes: u64,
    /// Rounds of every row; medians are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long a round takes at one engine, in seconds.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// How long a fill of an empty engine takes at most, in seconds.
    #[arg(long, default_value_t = 5.0)]
    fill_seconds: f64,
    /// 200,000 keys and one short round: to see whether everything works.
    #[arg(long)]
    quick: bool,
    /// Engines that take part; all if not given.
    #[arg(long, value_delimiter = ',', value_name = "ENGINE")]
    only: Vec<Named>,
    /// Rows to measure, by the beginnings of their names (fill, get, scan-100, ycsb, ...); all if not given.
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    rows: Vec<String>,
    /// Where engines keep their files while measured, and where `storage.json` goes.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Write the page although not everything is measured, or leave it although everything is.
    #[arg(long)]
    page: Option<bool>,
    /// Measure nothing: make tables, plots and page again from the `storage.json` of a run that is over.
    #[arg(long, value_name = "FILE")]
    again: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Serves one engine to the program that measures; not for use by hand.
    #[command(hide = true)]
    Worker {
        engine: Named,
        records: u64,
        value_bytes: usize,
    },
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = match &flags.role {
        Some(Role::Worker {
            engine,
            records,
            value_bytes,
        }) => worker::serve(*engine, &Ground::new(*records, *value_bytes)),
        None => measure(&flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("storage: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn measure(flags: &Flags) -> Result<()> {
    let dir = flags.dir.clone().unwrap_or_else(default_dir);
    if let Some(path) = &flags.again {
        let run: Run = serde_json::from_slice(&fs::read(path)?)?;
        return tell(&run, &dir, flags.page.unwrap_or(true));
    }
    let engines = if flags.only.is_empty() {
        Named::ALL.to_vec()
    } else {
        flags.only.clone()
    };
    let plan = Plan {
        records: if flags.quick { 200_000 } else { flags.records },
        value_bytes: flags.value_bytes as usize,
        rounds: if flags.quick { 1 } else { flags.rounds },
        seconds: if flags.quick { 0.3 } else { flags.seconds },
        fill_seconds: if flags.quick { 2.0 } else { flags.fill_seconds },
        engines,
        rows: flags.rows.clone(),
        dir: dir.join("data"),
    };
    if !cfg!(target_feature = "sse4.2") && cfg!(target_arch = "x86_64") {
        eprintln!("Note: not compiled for this processor (benches/peers/.cargo/config.toml was not read).");
    }
    eprintln!(
        "Up to {} MiB of disk are needed in {}.",
        needed_bytes(&plan) >> 20,
        dir.display()
    );
    let run = Run {
        results: conduct(&plan)?,
        machine: machine::describe(),
        command: command(),
        records: plan.records,
        value_bytes: plan.value_bytes,
        rounds: plan.rounds,
        seconds: plan.seconds,
    };
    let is_whole = !flags.quick && flags.only.is_empty() && flags.rows.is_empty();
    tell(&run, &dir, flags.page.unwrap_or(is_whole))
}

/// Prints the table, keeps the figures, and writes the page if wanted.
fn tell(run: &Run, dir: &Path, page: bool) -> Result<()> {
    let judged = judge(&run.results, run.records, run.value_bytes);
    let report = Report { run, judged: &judged };
    println!("{}", report.terminal());
    let name = name_of(run);
    let json = dir.join(format!("{name}.json"));
    fs::create_dir_all(dir)?;
    fs::write(&json, report.json()?)?;
    eprintln!("Wrote {}.", json.display());
    if page {
        write_page(&report, &name)?;
    }
    Ok(())
}

/// The usual setting is `storage`; others have their own sections beside it.
fn name_of(run: &Run) -> String {
    let mut name = String::from("storage");
    if run.records != 2_000_000 {
        name.push_str(&match run.records {
            n if n.is_multiple_of(1_000_000) => format!("-{}m", n / 1_000_000),
            n => format!("-{}k", n / 1000),
        });
    }
    if run.value_bytes != 100 {
        name.push_str(&format!("-{}b", run.value_bytes));
    }
    name
}

fn command() -> String {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    format!("make bench-peers ONLY=storage FLAGS=\"{}\"", flags.join(" ")).replace(" FLAGS=\"\"", "")
}

fn write_page(report: &Report<'_>, name: &str) -> Result<()> {
    let page = page::path();
    let docs = page.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(docs.join("plots"))?;
    let run = report.run;
    let what = format!(
        "{} million keys of 16 bytes, values of {} bytes",
        run.records as f64 / 1e6,
        run.value_bytes
    );
    let mut plots = Vec::new();
    for plot in &PLOTS {
        if let Some(svg) = plot.draw(report.judged, &what) {
            let path = format!("plots/{name}-{}.svg", plot.name);
            fs::write(docs.join(&path), svg)?;
            plots.push(path);
        }
    }
    let heading = format!("Storage, {what}");
    page::replace(&page, name, &report.markdown(&heading, &plots))?;
    eprintln!("Wrote section `{name}` of {}.", page.display());
    Ok(())
}
