//! `atoll init`: a new cluster in a new directory.

use std::path::Path;

use atoll::cluster::{Cluster, ClusterSpec};
use atoll::io::Env;
use atoll::routing::{Domain, HashKind, KeyEncoding, Locality, NodeSpec, PartitioningSpec};
use clap::{Args, ValueEnum};

use crate::failure::{Failure, Outcome};
use crate::output::{self, counted};
use crate::session::DirArg;
use crate::status;

const DEFAULT_SLOTS: u32 = 4096;

/// How keys find their shard.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Router {
    /// Hashed slots: an even spread, whatever the keys
    Slots,
    /// Sorted split keys: neighbours stay together
    Range,
}

/// Options of `atoll init`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll init data --shards 4 --replicas 3
  atoll init data --shards 8 --replicas 2 --nodes a,b,big=2
  atoll init data --shards 3 --replicas 3 --router range --split-at g,n

DIR must be missing or empty.")]
pub struct InitArgs {
    #[command(flatten)]
    dir: DirArg,

    /// Number of shards: logs that are written independently
    #[arg(long, value_name = "N")]
    shards: u32,

    /// Copies of every shard, on distinct nodes, the primary's included
    #[arg(long, value_name = "R")]
    replicas: u8,

    /// Nodes as NAME or NAME=WEIGHT separated by commas, or how many
    /// [default: as many as shards or replicas, whichever is more]
    #[arg(long, value_name = "N1[=W],N2... | COUNT")]
    nodes: Option<String>,

    /// How keys find their shard
    #[arg(long, value_enum, default_value_t = Router::Slots)]
    router: Router,

    /// Split keys of the router `range`, ascending; each begins a new range
    #[arg(long, value_name = "KEY", num_args = 1.., value_delimiter = ',')]
    split_at: Vec<String>,

    /// Number of slots, the units of moving; fixed for ever [default: 4096]
    #[arg(long, value_name = "S")]
    slots: Option<u32>,

    /// Fsynced copies that a write waits for [default: a majority of the replicas]
    #[arg(long, value_name = "K")]
    quorum: Option<u8>,

    /// Hash of keys: xxh3, xxh64, sha1, md5, crc32 or murmur3
    #[arg(long, value_name = "HASH", default_value_t = HashKind::Xxh3)]
    hash: HashKind,

    /// How integers become keys: binary, or decimal for programs that hash their text
    #[arg(long, value_name = "ENCODING", default_value_t = KeyEncoding::Binary)]
    encoding: KeyEncoding,

    /// Part of a key that decides its slot: none, tag (`{…}`) or prefix:BYTES
    #[arg(long, value_name = "RULE", default_value_t = Locality::None)]
    locality: Locality,

    /// Print the status of the new cluster as JSON
    #[arg(long)]
    json: bool,
}

impl InitArgs {
    fn spec(&self) -> Outcome<ClusterSpec> {
        let nodes = match &self.nodes {
            None => numbered(self.shards.max(self.replicas.into())),
            Some(text) => match text.parse::<u32>() {
                Ok(count) => numbered(count),
                Err(_) => NodeSpec::parse_list(text)?,
            },
        };
        let mut spec = ClusterSpec::new(nodes, self.shards, self.replicas);
        spec.quorum = self.quorum;
        spec.hash = self.hash;
        spec.encoding = self.encoding;
        spec.locality = self.locality;
        spec.partitioning = self.partitioning()?;
        Ok(spec)
    }

    fn partitioning(&self) -> Outcome<PartitioningSpec> {
        match self.router {
            Router::Slots if self.split_at.is_empty() => Ok(PartitioningSpec::Hash {
                slots: self.slots.unwrap_or(DEFAULT_SLOTS),
            }),
            Router::Slots => Err(Failure::usage("--split-at belongs to --router range")),
            Router::Range if self.slots.is_some() => Err(Failure::usage(
                "--slots belongs to --router slots: a range is cut by --split-at",
            )),
            Router::Range if self.split_at.is_empty() => Err(Failure::usage(
                "--router range needs --split-at with the keys at which ranges begin",
            )),
            Router::Range => {
                let splits = self.split_at.iter().map(|key| key.clone().into_bytes()).collect();
                Ok(PartitioningSpec::Range {
                    splits,
                    domain: Domain::default(),
                })
            }
        }
    }
}

/// n1, n2, …
pub fn numbered(count: u32) -> Vec<NodeSpec> {
    (1..=count)
        .map(|number| NodeSpec::new(format!("n{number}")))
        .collect()
}

/// Creates the cluster.
pub fn run(args: &InitArgs) -> Outcome {
    let spec = args.spec()?;
    let dir: &Path = &args.dir.dir;
    let cluster = Cluster::create(&Env::os(), dir, &spec)?;
    let found = cluster.status()?;
    cluster.close()?;
    for shortfall in &found.shortfalls {
        output::warn(shortfall);
    }
    if args.json {
        return output::print_json(&found);
    }
    let units = match spec.partitioning {
        PartitioningSpec::Hash { .. } => "slot",
        PartitioningSpec::Range { .. } => "range",
    };
    output::print(&format!(
        "cluster {} in {}: {}, {}, {} on {}; a write waits for {}",
        found.id,
        dir.display(),
        counted(found.slots.into(), units),
        counted(found.shards.len() as u64, "shard"),
        if found.replicas == 1 {
            "1 copy".into()
        } else {
            format!("{} copies", found.replicas)
        },
        counted(found.nodes.len() as u64, "node"),
        found
            .shards
            .first()
            .map_or_else(String::new, |shard| counted(shard.quorum as u64, "fsynced copy")
                .replace("copys", "copies")),
    ))?;
    output::print(status::node_table(&found).trim_end())
}
