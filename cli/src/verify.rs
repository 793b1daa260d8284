//! `atoll verify`: every checksum, every replica against its primary, every key against the
//! topology. Reads only.

use atoll::cluster::{ClusterVerifyReport, Disagreement};
use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::output::{self, bytes, counted};
use crate::session::{self, DirArg};

/// Options of `atoll verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll verify data
  atoll verify data --json | jq .damage
  atoll verify /mnt/safe/data

DIR may also be one store, while another process writes it: checksums of log and tables, not the index.
Exit code 3: something is damaged; file and offset are named. Exit code 1: a replica is out of
service or differs from its primary.")]
pub struct VerifyArgs {
    #[command(flatten)]
    dir: DirArg,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Checks a cluster or a backup.
pub fn run(args: &VerifyArgs) -> Outcome {
    if crate::backup::is_backup(&args.dir.dir) {
        return crate::backup::verify(&args.dir.dir, args.json);
    }
    if crate::one_store::is_store(&args.dir.dir) {
        return crate::one_store::verify(&args.dir.dir, args.json);
    }
    let report = session::with(&args.dir.dir, check)?;
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&summary(&report))?;
    }
    verdict(&report)
}

/// Runs the check, showing its progress.
pub fn check(cluster: &atoll::cluster::Cluster) -> Outcome<ClusterVerifyReport> {
    let began = std::time::Instant::now();
    let mut said = began;
    Ok(cluster.verify(&mut |done, total| {
        if said.elapsed().as_secs() >= 2 {
            said = std::time::Instant::now();
            output::say(&format!("verify: {done} of {}", counted(total, "replica")));
        }
    })?)
}

/// What was checked, in one line.
pub fn summary(report: &ClusterVerifyReport) -> String {
    let sum = |of: fn(&atoll::store::VerifyReport) -> u64| {
        report.replicas.iter().map(|one| of(&one.report)).sum::<u64>()
    };
    format!(
        "{}: {} in {}, {}; {} compared between replicas; {}",
        counted(report.replicas.len() as u64, "replica"),
        counted(sum(|report| report.records), "record"),
        counted(sum(|report| report.segments), "segment"),
        bytes(sum(|report| report.bytes)),
        bytes(report.compared_bytes),
        counted(report.keys, "key"),
    )
}

/// What to do about one damaged replica.
const REPLACE: &str = "as long as a quorum of the shard is sound and still has the whole log (nobody has run \
                       `atoll compact --release-log`), move the damaged replica away (nodes/NODE/shard-NUMBER \
                       and the .fence file beside it): the next command copies it from the others";

/// The failure that the findings amount to, if any.
pub fn verdict(report: &ClusterVerifyReport) -> Outcome {
    for damage in &report.damage {
        output::warn(&format!("damaged: {damage}"));
    }
    for disagreement in &report.disagreements {
        output::warn(&in_words(disagreement));
    }
    if !report.damage.is_empty() {
        let places = counted(report.damage.len() as u64, "damaged place");
        return Err(Failure::damaged(format!("{places} found; {REPLACE}")));
    }
    let damaged_and_down = |one: &&Disagreement| matches!(one, Disagreement::Down { reason, .. } if reason.contains(" at offset "));
    match report.disagreements.iter().find(damaged_and_down) {
        Some(_) => Err(Failure::damaged(format!(
            "a replica is out of service because its files are damaged; {REPLACE}"
        ))),
        None if report.disagreements.is_empty() => Ok(()),
        None => Err(Failure::failed("not everything is as it should be")),
    }
}

fn in_words(disagreement: &Disagreement) -> String {
    match disagreement {
        Disagreement::Replicas { shard, a, b, at } => {
            format!("shard {shard}: the replicas on {a} and {b} differ from position {at} on")
        }
        Disagreement::Down { node, shard, reason } => {
            format!("shard {shard}: the replica on {node} is out of service: {reason}")
        }
        Disagreement::Misplaced {
            shard,
            slot,
            owner,
            key,
        } => format!(
            "shard {shard} holds the key \"{}\" of slot {}, which shard {owner} owns",
            key.escape_ascii(),
            slot.0
        ),
        other => format!("{other:?}"),
    }
}
