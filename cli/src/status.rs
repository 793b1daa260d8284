//! `atoll status`: one look at a cluster.

use atoll::cluster::{ClusterStatus, ReplicaStatus, ShardStatus};
use atoll::routing::MemberState;
use clap::Args;

use crate::change;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Table, bytes, count, counted, percent};
use crate::session::{self, DirArg};

/// Options of `atoll status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll status data
  atoll status data --json | jq '.shards[] | select(.unavailable)'

DIR may also be one store, while another process writes it: who does, how far its log and tables go.
Exit code 4: a shard takes no writes at the moment.")]
pub struct StatusArgs {
    #[command(flatten)]
    dir: DirArg,

    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// Prints the status.
pub fn run(args: &StatusArgs) -> Outcome {
    if crate::one_store::is_store(&args.dir.dir) {
        return crate::one_store::status(&args.dir.dir, args.json);
    }
    let (found, records) = session::with(&args.dir.dir, |cluster| {
        let found = cluster.status()?;
        let records = found.shards.iter().map(|shard| shard.records).sum::<u64>();
        Ok((found, records))
    })?;
    if args.json {
        output::print_json(&found)?;
    } else {
        output::print(page(&found, records).trim_end())?;
    }
    match found
        .shards
        .iter()
        .find_map(|shard| Some((shard.id, shard.unavailable.as_ref()?)))
    {
        None => Ok(()),
        Some((shard, reason)) => Err(Failure::unavailable(format!(
            "shard {shard} takes no writes: {reason}"
        ))),
    }
}

fn page(found: &ClusterStatus, records: u64) -> String {
    let active = found
        .nodes
        .iter()
        .filter(|node| node.member != MemberState::Removed)
        .count();
    let mut text = format!(
        "cluster {}\n  topology version {}: {} in {}, {}, {} of each; {} in all, the latest of each key\n\n",
        found.id,
        found.version,
        counted(found.slots.into(), "slot"),
        counted(found.shards.len() as u64, "shard"),
        counted(active as u64, "node"),
        if found.replicas == 1 {
            "1 copy".to_string()
        } else {
            format!("{} copies", found.replicas)
        },
        counted(records, "version"),
    );
    text.push_str(&node_table(found));
    text.push('\n');
    text.push_str(&shard_table(found));
    if let Some(open) = &found.open_move {
        text.push_str(&format!(
            "\na rebalance is under way ({}): {} of {} done; `atoll rebalance DIR` goes on with it\n",
            change::in_words(&open.change),
            open.moves_done,
            counted(open.moves_total as u64, "hand-over"),
        ));
    }
    for shortfall in &found.shortfalls {
        text.push_str(&format!("\nnote: {shortfall}\n"));
    }
    text
}

/// One line a node.
pub fn node_table(found: &ClusterStatus) -> String {
    let zoned = found.nodes.iter().any(|node| node.zone.is_some());
    let mut header = vec!["node", "state<"];
    header.extend(zoned.then_some("zone<"));
    header.extend([
        "weight",
        "leads",
        "slots",
        "share",
        "copies",
        "slot copies",
        "files",
    ]);
    let mut table = Table::new(&header);
    for node in found
        .nodes
        .iter()
        .filter(|node| node.member != MemberState::Removed)
    {
        let state = match (node.up, node.member) {
            (false, _) => "down",
            (true, MemberState::Draining) => "draining",
            (true, _) => "up",
        };
        let mut row = vec![node.name.clone(), state.to_string()];
        row.extend(zoned.then(|| node.zone.clone().unwrap_or_default()));
        row.extend([
            node.weight.to_string(),
            count(node.primaries as u64),
            count(node.primary_slots),
            percent(node.load_share),
            count(node.replicas as u64),
            count(node.slots),
            bytes(node.bytes),
        ]);
        table.row(row);
    }
    table.render("  ")
}

fn shard_table(found: &ClusterStatus) -> String {
    let mut table = Table::new(&[
        "shard",
        "primary<",
        "epoch",
        "slots",
        "versions",
        "log",
        "committed",
        "quorum",
        "followers<",
    ]);
    for shard in &found.shards {
        table.row([
            shard.id.to_string(),
            shard.primary.clone().unwrap_or_else(|| "none".into()),
            shard.epoch.to_string(),
            count(shard.slots),
            count(shard.records),
            bytes(shard.tail.0),
            if shard.commit == shard.tail {
                "all".into()
            } else {
                bytes(shard.commit.0)
            },
            format!("{} of {}", shard.quorum, shard.members),
            followers(shard),
        ]);
    }
    table.render("  ")
}

fn followers(shard: &ShardStatus) -> String {
    let others = shard.replicas.iter().filter(|replica| replica.state != "primary");
    others.map(follower).collect::<Vec<_>>().join(", ")
}

fn follower(replica: &ReplicaStatus) -> String {
    let name = &replica.node;
    match (replica.state, replica.lag_bytes) {
        ("down", _) => format!("{name} down"),
        ("follower", 0) => name.clone(),
        (state, lag) => {
            let learner = if state == "learner" { " learner" } else { "" };
            format!("{name}{learner} −{} {:.1} s", bytes(lag), replica.lag_seconds)
        }
    }
}
