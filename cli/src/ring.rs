//! `atoll ring`: a picture of where everything lies.

use std::fs;
use std::path::{Path, PathBuf};

use atoll::cluster::{Cluster, ClusterStatus, NodeStatus};
use atoll::ids::SlotId;
use atoll::routing::{MemberState, Partitioning, Topology};
use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::holdings::Holdings;
use crate::output::{bytes, count, counted, say};
use crate::session::{self, DirArg};
use crate::svg::{self, BandRun, Layout, NodeLoad, Picture, Run};

/// Options of `atoll ring`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  atoll ring data --svg ring.svg

Draws the slots on a ring (of a range cluster: the key ranges on a band), coloured by primary, the
copies around it, and what every node holds. Reads every key to count it.")]
pub struct RingArgs {
    #[command(flatten)]
    dir: DirArg,

    /// File to write; an existing one is replaced
    #[arg(long, value_name = "FILE")]
    svg: PathBuf,
}

/// Draws a cluster.
pub fn run(args: &RingArgs) -> Outcome {
    let picture = session::with(&args.dir.dir, |cluster| {
        let name = args
            .dir
            .dir
            .file_name()
            .map_or("cluster".into(), |name| name.to_string_lossy());
        picture(cluster, &name)
    })?;
    write(&picture, &args.svg)?;
    say(&format!("{} written", args.svg.display()));
    Ok(())
}

/// Writes a picture to a file.
pub fn write(picture: &Picture, path: &Path) -> Outcome {
    fs::write(path, svg::draw(picture)).map_err(|error| Failure::file("write", path, &error))
}

/// The picture of an open cluster.
pub fn picture(cluster: &Cluster, name: &str) -> Outcome<Picture> {
    let status = cluster.status()?;
    let topology = cluster.topology();
    let holdings = Holdings::count(cluster)?;
    let total = holdings.total();
    let present: Vec<&NodeStatus> = status
        .nodes
        .iter()
        .filter(|node| node.member != MemberState::Removed)
        .collect();
    let owners = |slot: SlotId| owners(&topology, &status, &present, slot);
    let layout = match topology.partitioning() {
        Partitioning::Range {
            splits,
            slot_of_range,
            ..
        } => {
            let band = |(range, &slot): (usize, &u32)| {
                let slot = SlotId(slot);
                let label = range
                    .checked_sub(1)
                    .map_or(String::new(), |split| readable(&splits[split]));
                BandRun {
                    label,
                    share: share(holdings.slot(slot).keys, total.keys),
                    owners: owners(slot),
                    shard: topology.shard_of_slot(slot).0,
                }
            };
            Layout::Band {
                runs: slot_of_range.iter().enumerate().map(band).collect(),
            }
        }
        // Hashed slots, and whatever else may come that has slots and no order of keys.
        _ => Layout::Ring {
            slots: topology.slots(),
            runs: runs(&topology, owners),
        },
    };
    let units = if matches!(layout, Layout::Ring { .. }) {
        "slot"
    } else {
        "range"
    };
    let subtitle = format!(
        "{}, {}, {} × {} · {}, {} · topology version {}",
        counted(status.slots.into(), units),
        counted(status.shards.len() as u64, "shard"),
        counted(present.len() as u64, "node"),
        if status.replicas == 1 {
            "1 copy".into()
        } else {
            format!("{} copies", status.replicas)
        },
        counted(total.keys, "key"),
        bytes(total.bytes),
        count(status.version),
    );
    let weights: f64 = present.iter().map(|node| f64::from(weight(node))).sum();
    let load = |node: &&NodeStatus| {
        let (led, held) = holdings.node(&topology, &status, &node.name);
        NodeLoad {
            name: node.name.clone(),
            up: node.up,
            primary_slots: u32::try_from(node.primary_slots).unwrap_or(u32::MAX),
            copy_slots: u32::try_from(node.slots - node.primary_slots).unwrap_or(u32::MAX),
            keys: led.keys,
            bytes: held.bytes,
            share: share(led.keys, total.keys),
            ideal: if weights > 0.0 {
                f64::from(weight(node)) / weights
            } else {
                0.0
            },
        }
    };
    let nodes = present.iter().map(load).collect();
    Ok(Picture {
        title: format!("Atoll: {name}"),
        subtitle,
        layout,
        nodes,
    })
}

/// A node that is on its way out is entitled to nothing.
fn weight(node: &NodeStatus) -> u32 {
    if node.member == MemberState::Active {
        node.weight
    } else {
        0
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Nodes of a slot by their number in the picture, the current primary first.
fn owners(topology: &Topology, status: &ClusterStatus, present: &[&NodeStatus], slot: SlotId) -> Vec<usize> {
    let shard = topology.shard_of_slot(slot);
    let primary = status
        .shards
        .iter()
        .find(|one| one.id == shard)
        .and_then(|one| one.primary.as_deref());
    let mut names = topology.node_names(shard);
    if let Some(at) = names.iter().position(|name| Some(*name) == primary) {
        names[..=at].rotate_right(1);
    }
    names
        .iter()
        .filter_map(|name| present.iter().position(|node| node.name == *name))
        .collect()
}

/// Neighbouring slots of one shard become one run.
fn runs(topology: &Topology, owners: impl Fn(SlotId) -> Vec<usize>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for slot in 0..topology.slots() {
        let shard = topology.shard_of_slot(SlotId(slot)).0;
        match runs.last_mut() {
            Some(run) if run.shard == shard => run.slots += 1,
            _ => runs.push(Run {
                first_slot: slot,
                slots: 1,
                owners: owners(SlotId(slot)),
                shard,
            }),
        }
    }
    runs
}

/// A split key as a label: text as it is, anything else escaped.
fn readable(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.contains(char::is_control) => text.to_string(),
        _ => key.escape_ascii().to_string(),
    }
}
