//! `atoll backup` and `atoll restore`: copies of a cluster, or of a single store, and the way back.
//!
//! Two directories come in; what was copied goes out. Which of the two kinds a directory is, it says
//! itself.

use std::path::{Path, PathBuf};

use atoll::cluster::Cluster;
use atoll::io::Env;
use atoll::store::backup::restore::restore;
use atoll::store::backup::{BACKUP_FILE, BackupError, BackupOptions, BackupVerifyReport, verify_backup};
use atoll::store::{Store, StoreError, StoreOptions};
use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::output::{self, bytes, count, counted};
use crate::progress::Progress;
use crate::session;

/// Options of `atoll backup`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll backup data /mnt/safe/data
  atoll backup data /mnt/safe/data --json | jq .bytes_copied
  atoll verify /mnt/safe/data && atoll restore /mnt/safe/data data-2

Run it again with the same TARGET and only what is new is copied; TARGET then holds the new backup in the
place of the old one. Of a cluster each shard is copied once, all of them as they were at one instant.
A program that has DIR open makes its backups itself (Cluster::backup, Store::backup).")]
pub struct BackupArgs {
    /// Directory of the cluster or store
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Directory of the backup: missing, empty, or an earlier backup of the same
    #[arg(value_name = "TARGET")]
    target: PathBuf,

    /// Give files that never change a second name instead of copying them, where TARGET is on the same
    /// file system: costs no space, and does not help when that file system is lost
    #[arg(long)]
    link: bool,

    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Options of `atoll restore`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll restore /mnt/safe/data data-2
  atoll restore /mnt/safe/data data-2 --json | jq .keys

DIR appears at the end, after everything has been checked; until then the work lies in DIR.restoring. What is
restored is a new life: replicas, tokens and leases of the old one do not mix with it.")]
pub struct RestoreArgs {
    /// Directory of the backup
    #[arg(value_name = "TARGET")]
    target: PathBuf,

    /// Directory to make: missing or empty
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Failure {
        Failure::from(atoll::cluster::ClusterError::from(error))
    }
}

/// Whether the directory is that of a store on its own.
fn is_store(dir: &Path) -> bool {
    dir.join("CONTROL").is_file()
}

/// Makes a backup.
pub fn backup(args: &BackupArgs) -> Outcome {
    let options = BackupOptions { link: args.link };
    let mut progress = Progress::new("backup", None, 0);
    let mut step = |done, total| {
        progress.set_total(total);
        progress.at(done, String::new);
    };
    let report = if is_store(&args.dir) {
        let env = Env::os();
        let in_store = |error: StoreError| Failure::from(BackupError::from(error));
        let identity = Store::identity_of(&env, &args.dir).map_err(in_store)?;
        let store_options = StoreOptions {
            create: false,
            sync_interval: None,
            ..StoreOptions::new(identity)
        };
        let store = Store::open(&env, &args.dir, &store_options).map_err(in_store)?;
        let report = store.backup(&args.target, &options, &mut step)?;
        store.close().map_err(in_store)?;
        report
    } else {
        session::with(&args.dir, |cluster| {
            Ok(cluster.backup(&args.target, &options, &mut step)?)
        })?
    };
    progress.finish();
    if args.json {
        return output::print_json(&report);
    }
    output::print(&format!(
        "backup {} in {}: {} in {}; {} copied, {} linked, {} there already",
        count(report.sequence),
        args.target.display(),
        bytes(report.bytes),
        counted(report.files, "file"),
        bytes(report.bytes_copied),
        bytes(report.bytes_linked),
        bytes(report.bytes_kept),
    ))
}

/// Makes a cluster or a store of a backup.
pub fn restore_into(args: &RestoreArgs) -> Outcome {
    let env = Env::os();
    let mut progress = Progress::new("restore", None, 0);
    let mut step = |done, total| {
        progress.set_total(total);
        progress.at(done, String::new);
    };
    let line = if Cluster::is_cluster_backup(&env, &args.target)? {
        let report = Cluster::restore(&env, &args.target, &args.dir, &mut step)?;
        if args.json {
            output::print_json(&report)?;
        }
        format!(
            "{}: {} in {} of {}, {} read",
            args.dir.display(),
            counted(report.keys, "key"),
            counted(report.replicas, "replica"),
            counted(report.positions.len() as u64, "shard"),
            bytes(report.bytes),
        )
    } else {
        let report = restore(&env, &args.target, &args.dir, &mut step)?;
        if args.json {
            output::print_json(&report)?;
        }
        format!(
            "{}: {} up to position {}, {} read",
            args.dir.display(),
            counted(report.keys, "key"),
            report.position.1,
            bytes(report.bytes),
        )
    };
    progress.finish();
    if args.json {
        return Ok(());
    }
    output::print(&line)
}

/// Whether the directory holds a finished backup.
pub fn is_backup(dir: &Path) -> bool {
    dir.join(BACKUP_FILE).is_file()
}

/// Checks every file of a backup.
pub fn verify(dir: &Path, json: bool) -> Outcome {
    let mut progress = Progress::new("verify", None, 0);
    let report = verify_backup(&Env::os(), dir, &mut |done, total| {
        progress.set_total(total);
        progress.at(done, String::new);
    })?;
    progress.finish();
    if json {
        output::print_json(&report)?;
    } else {
        output::print(&summary(&report))?;
    }
    for damage in &report.damage {
        output::warn(&format!("damaged: {damage}"));
    }
    if report.damage.is_empty() {
        return Ok(());
    }
    let places = counted(report.damage.len() as u64, "damaged file");
    Err(Failure::damaged(format!(
        "{places} found; this backup cannot be restored: remove the files named and run `atoll backup` with this \
         directory again"
    )))
}

fn summary(report: &BackupVerifyReport) -> String {
    format!(
        "backup {}: {} in {}, {}",
        count(report.sequence),
        counted(report.positions.len() as u64, "shard"),
        counted(report.files, "file"),
        bytes(report.bytes),
    )
}
