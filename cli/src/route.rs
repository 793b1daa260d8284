//! `atoll route`: keys on stdin, the nodes they belong to on stdout.
//!
//! What comes in: options that describe a router, and one key per line. What goes out: every line
//! unchanged, a tab, and the node (or nodes, or number) of its key. Keys are bytes; a line need not
//! be UTF-8, and a carriage return belongs to the key. Needs no directory and touches no file.

use std::fmt;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use std::num::NonZeroU32;

use atoll::routing::{
    HashKind, Hrw, Ketama, KeyEncoding, KeyRef, Maglev, Modulo, Nginx, NodeSpec, PartitioningSpec, RangeMap,
    Ring, RoutingError, Topology, TopologySpec, cassandra_token, encode_key, hash64, jump, maglev,
    redis_slot,
};
use clap::{Args, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  seq 1000 | atoll route --algorithm ring --nodes db1,db2=2,db3 --replicas 2
  printf 'user:1\\nuser:2\\n' | atoll route --algorithm modulo --hash md5 --buckets 8
  cut -f1 users.tsv | atoll route --algorithm range --split-at g,n,t --nodes a,b,c,d
  seq 10 | atoll route --input i64 --nodes 10.0.0.1:7400,10.0.0.2:7400";

/// Longest key that is read: a line without end must not fill the memory.
const MAX_LINE_BYTES: u64 = 64 << 20;
const BUFFER_BYTES: usize = 1 << 20;
const DEFAULT_VNODES: u32 = 160;
const DEFAULT_SLOTS: u32 = 4096;

/// Options of `atoll route`.
#[derive(Args, Debug, Clone)]
#[command(after_help = EXAMPLES)]
pub struct RouteArgs {
    /// How a key finds its node
    #[arg(long, value_enum, default_value_t = Algorithm::Slots)]
    pub algorithm: Algorithm,

    /// Hash of the keys: xxh3 (default), xxh64, sha1, md5, crc32 or murmur3
    #[arg(long, value_name = "HASH")]
    pub hash: Option<String>,

    /// Nodes as NAME or NAME=WEIGHT, separated by commas
    #[arg(long, value_name = "N1[=W],N2...", conflicts_with = "buckets")]
    pub nodes: Option<String>,

    /// Numbered buckets from 0 in place of named nodes
    #[arg(long, value_name = "N")]
    pub buckets: Option<u32>,

    /// Points of a node on the ring per unit of weight [default: 160]
    #[arg(long, value_name = "V")]
    pub vnodes: Option<u32>,

    /// Distinct nodes printed for every key, owner first [default: 1]
    #[arg(long, value_name = "R")]
    pub replicas: Option<u8>,

    /// Number of slots of the algorithm `slots` [default: 4096]
    #[arg(long, value_name = "S")]
    pub slots: Option<u32>,

    /// Entries of the table of `maglev`, a prime number [default: 65537]
    #[arg(long, value_name = "M")]
    pub table_size: Option<u32>,

    /// Ascending split keys of the algorithm `range`, written like the keys
    #[arg(long, value_name = "A,B,C", allow_hyphen_values = true)]
    pub split_at: Option<String>,

    /// What a line holds
    #[arg(long, value_enum, default_value_t = Input::Lines)]
    pub input: Input,

    /// How integers become bytes: binary (default) or decimal
    #[arg(long, value_name = "ENCODING")]
    pub encoding: Option<String>,
}

/// The routers this command offers.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Hash modulo the number of nodes or buckets
    Modulo,
    /// First virtual node after the hash, and the next distinct ones
    Ring,
    /// Sorted split keys, lower bound inclusive
    Range,
    /// Hashed slots placed on the nodes by weight, as a fresh cluster has them
    Slots,
    /// Jump consistent hash over numbered buckets
    Jump,
    /// Rendezvous: the node with the highest score
    Hrw,
    /// A table of prime size, filled by the nodes in turn
    Maglev,
    /// As libmemcached 1.1, weighted ketama with MD5
    Ketama,
    /// As nginx 1.22, `hash ... consistent`
    Nginx,
    /// Slot of a Redis Cluster; needs no nodes
    Redis,
    /// Murmur3 token of Cassandra; needs no nodes
    Cassandra,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Algorithm::Modulo => "modulo",
            Algorithm::Ring => "ring",
            Algorithm::Range => "range",
            Algorithm::Slots => "slots",
            Algorithm::Jump => "jump",
            Algorithm::Hrw => "hrw",
            Algorithm::Maglev => "maglev",
            Algorithm::Ketama => "ketama",
            Algorithm::Nginx => "nginx",
            Algorithm::Redis => "redis",
            Algorithm::Cassandra => "cassandra",
        }
    }
}

/// What a line of the input holds.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The bytes of the key
    Lines,
    /// The bytes of the key in hexadecimal
    Hex,
    /// An unsigned whole number
    U64,
    /// A signed whole number
    I64,
}

/// Why the command ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteFailure {
    /// One line for the user.
    pub message: String,
    /// 2 for usage and malformed lines, 1 when reading or writing failed.
    pub exit_code: u8,
}

impl fmt::Display for RouteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RouteFailure {}

impl From<RoutingError> for RouteFailure {
    fn from(error: RoutingError) -> Self {
        usage(error.to_string())
    }
}

fn usage(message: impl Into<String>) -> RouteFailure {
    RouteFailure {
        message: message.into(),
        exit_code: 2,
    }
}

/// Routes stdin to stdout; warnings go to stderr. Ends quietly when the reader of stdout has gone.
///
/// # Errors
/// [`RouteFailure`] with the message and the exit code; what was routed before it is on stdout.
pub fn run(args: &RouteArgs) -> Result<(), RouteFailure> {
    let mut job = Job::new(args)?;
    if let Some(warning) = job.warning(args) {
        eprintln!("atoll: {warning}");
    }
    let input = BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock());
    let output = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    job.route(input, output)
}

/// Checked options.
struct Job {
    router: Router,
    input: Input,
    encoding: KeyEncoding,
    /// Numbers reach the router as they are.
    raw: bool,
}

/// Why lines are no longer read.
enum Ending {
    Read(io::Error),
    Write(io::Error),
    Line(u64, String),
}

impl Job {
    /// Checks everything, so that bad usage is told before the first line is read.
    fn new(args: &RouteArgs) -> Result<Job, RouteFailure> {
        let encoding = args.encoding.as_deref().unwrap_or("binary").parse()?;
        Ok(Job {
            router: Router::new(args, encoding)?,
            input: args.input,
            encoding,
            raw: args.algorithm == Algorithm::Jump && args.input == Input::U64,
        })
    }

    /// Fewer nodes than replicas are served, but never silently.
    fn warning(&self, args: &RouteArgs) -> Option<String> {
        let wanted = usize::from(args.replicas.unwrap_or(1));
        let usable = self.router.distinct_nodes().filter(|&usable| usable < wanted)?;
        Some(format!(
            "{wanted} replicas asked for, {usable} nodes have a weight: every key gets {usable}"
        ))
    }

    fn route<R: Read, W: Write>(
        &mut self,
        mut input: BufReader<R>,
        mut output: W,
    ) -> Result<(), RouteFailure> {
        let outcome = self.route_lines(&mut input, &mut output);
        // What was routed before a bad line is a result too.
        let flushed = output.flush().map_err(Ending::Write);
        let failed = |message| {
            Err(RouteFailure {
                message,
                exit_code: 1,
            })
        };
        match outcome.and(flushed) {
            Ok(()) => Ok(()),
            Err(Ending::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(Ending::Write(error)) => failed(format!("cannot write: {error}")),
            Err(Ending::Read(error)) => failed(format!("cannot read keys: {error}")),
            Err(Ending::Line(number, what)) => Err(usage(format!("line {number}: {what}"))),
        }
    }

    fn route_lines<R: Read, W: Write>(
        &mut self,
        input: &mut BufReader<R>,
        output: &mut W,
    ) -> Result<(), Ending> {
        let (mut line, mut key) = (Vec::new(), Vec::new());
        for number in 1u64.. {
            if input.buffer().is_empty() {
                // The next read may block: whoever waits for these answers must have them now.
                output.flush().map_err(Ending::Write)?;
            }
            line.clear();
            let mut limited = input.by_ref().take(MAX_LINE_BYTES + 1);
            if limited.read_until(b'\n', &mut line).map_err(Ending::Read)? == 0 {
                break;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() as u64 > MAX_LINE_BYTES {
                return Err(Ending::Line(
                    number,
                    format!("longer than {MAX_LINE_BYTES} bytes"),
                ));
            }
            let bad = |what| Ending::Line(number, what);
            let parsed = parse_key(&line, self.input, self.encoding, self.raw, &mut key).map_err(bad)?;
            self.write_answer(&line, parsed, output).map_err(Ending::Write)?;
        }
        Ok(())
    }

    fn write_answer(&mut self, line: &[u8], key: &[u8], output: &mut impl Write) -> io::Result<()> {
        output.write_all(line)?;
        output.write_all(b"\t")?;
        self.router.write_nodes(key, output)?;
        output.write_all(b"\n")
    }
}

/// The encoded key of a line, or with `raw` the plain big-endian bytes of an unsigned number; `buffer` holds it where it differs from the line.
fn parse_key<'k>(
    line: &'k [u8],
    input: Input,
    encoding: KeyEncoding,
    raw: bool,
    buffer: &'k mut Vec<u8>,
) -> Result<&'k [u8], String> {
    buffer.clear();
    match input {
        Input::Lines => return Ok(line),
        Input::Hex => unhex(line, buffer)?,
        Input::I64 => {
            let value = number(line, "-9223372036854775808 to 9223372036854775807")?;
            buffer.extend_from_slice(&encode_key(&KeyRef::Int(value), encoding));
        }
        Input::U64 => {
            let value: u64 = number(line, "0 to 18446744073709551615")?;
            if raw {
                buffer.extend_from_slice(&value.to_be_bytes());
                return Ok(buffer);
            }
            match (i64::try_from(value), encoding) {
                (Ok(value), _) => {
                    buffer.extend_from_slice(&encode_key(&KeyRef::Int(value), encoding));
                }
                (Err(_), KeyEncoding::Decimal) => {
                    buffer.extend_from_slice(value.to_string().as_bytes());
                }
                (Err(_), KeyEncoding::Binary) => {
                    return Err(format!(
                        "{value} is above 9223372036854775807, the largest integer the binary key encoding holds"
                    ));
                }
            }
        }
    }
    Ok(buffer)
}

fn number<T: std::str::FromStr>(line: &[u8], range: &str) -> Result<T, String> {
    let text = std::str::from_utf8(line).ok();
    // A leading plus sign would parse, and "+1" and "1" would be two lines with one key.
    let text = text.filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("\"{}\" is not a whole number from {range}", line.escape_ascii()))
}

fn unhex(line: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    for pair in line.chunks(2) {
        let byte = match pair {
            [high, low] => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        let wrong = || format!("\"{}\" is not pairs of hexadecimal digits", line.escape_ascii());
        out.push(byte.ok_or_else(wrong)?);
    }
    Ok(())
}

/// A router with what it prints.
enum Router {
    /// `names` is empty when buckets are only numbered.
    Modulo {
        modulo: Modulo,
        names: Vec<String>,
    },
    Ring {
        ring: Box<Ring>,
        replicas: usize,
        owners: Vec<u16>,
    },
    Range {
        map: RangeMap,
        names: Vec<String>,
    },
    /// `names` are the joined nodes of every shard.
    Slots {
        topology: Box<Topology>,
        names: Vec<String>,
    },
    /// `names` is empty when buckets are only numbered. With `raw` a key is the bytes of a number.
    Jump {
        buckets: NonZeroU32,
        names: Vec<String>,
        raw: bool,
    },
    Hrw {
        hrw: Hrw,
        replicas: usize,
        owners: Vec<u16>,
    },
    Maglev(Maglev),
    Ketama(Ketama),
    Nginx(Nginx),
    Redis,
    Cassandra,
}

impl Router {
    fn new(args: &RouteArgs, encoding: KeyEncoding) -> Result<Router, RouteFailure> {
        refuse_strangers(args)?;
        if args.replicas == Some(0) {
            return Err(RoutingError::NoReplicas.into());
        }
        let hash: HashKind = args.hash.as_deref().unwrap_or("xxh3").parse()?;
        match args.algorithm {
            Algorithm::Modulo => Router::modulo(args, hash),
            Algorithm::Ring => {
                let nodes = nodes(args)?.ok_or_else(|| needs_nodes(args.algorithm))?;
                let ring = Ring::new(&nodes, args.vnodes.unwrap_or(DEFAULT_VNODES), hash)?;
                let replicas = args.replicas.unwrap_or(1).into();
                Ok(Router::Ring {
                    ring: Box::new(ring),
                    replicas,
                    owners: Vec::new(),
                })
            }
            Algorithm::Range => Router::range(args, encoding),
            Algorithm::Slots => Router::slots(args, hash),
            Algorithm::Jump => Router::jump(args),
            Algorithm::Redis => Ok(Router::Redis),
            Algorithm::Cassandra => Ok(Router::Cassandra),
            Algorithm::Hrw | Algorithm::Maglev | Algorithm::Ketama | Algorithm::Nginx => {
                let nodes = nodes(args)?.ok_or_else(|| needs_nodes(args.algorithm))?;
                Ok(match args.algorithm {
                    Algorithm::Hrw => Router::Hrw {
                        hrw: Hrw::new(&nodes)?,
                        replicas: args.replicas.unwrap_or(1).into(),
                        owners: Vec::new(),
                    },
                    Algorithm::Maglev => Router::Maglev(Maglev::new(
                        &nodes,
                        args.table_size.unwrap_or(maglev::DEFAULT_TABLE_SIZE),
                    )?),
                    Algorithm::Ketama => Router::Ketama(Ketama::new(&nodes)?),
                    _ => Router::Nginx(Nginx::new(&nodes)?),
                })
            }
        }
    }

    fn jump(args: &RouteArgs) -> Result<Router, RouteFailure> {
        let (count, names) = match args.buckets {
            Some(buckets) => (buckets, Vec::new()),
            None => {
                let names = nodes_by_position(args, "jump")?;
                (names.len() as u32, names)
            }
        };
        Ok(Router::Jump {
            buckets: NonZeroU32::new(count).ok_or(RoutingError::NoNodes)?,
            names,
            raw: args.input == Input::U64,
        })
    }

    fn modulo(args: &RouteArgs, hash: HashKind) -> Result<Router, RouteFailure> {
        if let Some(buckets) = args.buckets {
            return Ok(Router::Modulo {
                modulo: Modulo::numbered(buckets, hash)?,
                names: Vec::new(),
            });
        }
        let nodes = nodes(args)?.ok_or_else(|| needs_nodes(args.algorithm))?;
        let names = nodes_by_position(args, "modulo")?;
        Ok(Router::Modulo {
            modulo: Modulo::named(&nodes, hash)?,
            names,
        })
    }

    fn range(args: &RouteArgs, encoding: KeyEncoding) -> Result<Router, RouteFailure> {
        let text = args.split_at.as_deref();
        let text = text.ok_or_else(|| usage("range needs its split keys: --split-at A,B,C"))?;
        let mut splits = Vec::new();
        for split in text.split(',') {
            let mut buffer = Vec::new();
            let split = parse_key(split.as_bytes(), args.input, encoding, false, &mut buffer);
            splits.push(
                split
                    .map_err(|what| usage(format!("--split-at: {what}")))?
                    .to_vec(),
            );
        }
        let map = RangeMap::new(splits)?;
        let names: Vec<String> = match nodes(args)? {
            Some(nodes) => nodes.into_iter().map(|node| node.name).collect(),
            None => (0..map.ranges()).map(|range| range.to_string()).collect(),
        };
        if names.len() != map.ranges() {
            let (splits, ranges, given) = (map.splits().len(), map.ranges(), names.len());
            return Err(usage(format!(
                "{splits} split keys make {ranges} ranges, {given} nodes are given"
            )));
        }
        Ok(Router::Range { map, names })
    }

    fn slots(args: &RouteArgs, hash: HashKind) -> Result<Router, RouteFailure> {
        let nodes = nodes(args)?.ok_or_else(|| needs_nodes(args.algorithm))?;
        let slots = args.slots.unwrap_or(DEFAULT_SLOTS);
        let usable = nodes.iter().filter(|node| node.weight > 0).count() as u32;
        // One shard a node is the coarsest placement in which everybody is primary of its share.
        let shards = usable.min(slots).max(1);
        let mut spec = TopologySpec::new(nodes, shards, args.replicas.unwrap_or(1));
        spec.partitioning = PartitioningSpec::Hash { slots };
        spec.hash = hash;
        spec.vnodes = args.vnodes.unwrap_or(DEFAULT_VNODES);
        let (topology, _) = Topology::create(&spec)?;
        let joined = |shard: &atoll::routing::Shard| topology.node_names(shard.id).join(",");
        let names = topology.shards().iter().map(joined).collect();
        Ok(Router::Slots {
            topology: Box::new(topology),
            names,
        })
    }

    /// Most nodes a key can have; none where a key always has one.
    fn distinct_nodes(&self) -> Option<usize> {
        match self {
            Router::Ring { ring, .. } => Some(ring.distinct_nodes()),
            Router::Slots { topology, .. } => Some(
                topology
                    .members()
                    .iter()
                    .filter(|member| member.weight > 0)
                    .count(),
            ),
            Router::Hrw { hrw, .. } => Some(hrw.nodes().len()),
            _ => None,
        }
    }

    fn write_nodes(&mut self, key: &[u8], output: &mut impl Write) -> io::Result<()> {
        match self {
            Router::Modulo { modulo, names } => {
                let bucket = modulo.bucket(key);
                match names.get(bucket as usize) {
                    Some(name) => output.write_all(name.as_bytes()),
                    None => write!(output, "{bucket}"),
                }
            }
            Router::Ring {
                ring,
                replicas,
                owners,
            } => {
                ring.owners(key, *replicas, owners);
                write_names(ring.nodes(), owners, output)
            }
            Router::Range { map, names } => {
                let range = map.range_of(key).expect("a map without a domain takes every key");
                output.write_all(names[range].as_bytes())
            }
            Router::Slots { topology, names } => {
                output.write_all(names[topology.shard_of(key).0 as usize].as_bytes())
            }
            Router::Jump { buckets, names, raw } => {
                let number = match key.try_into() {
                    Ok(bytes) if *raw => u64::from_be_bytes(bytes),
                    _ => hash64(key),
                };
                let bucket = jump(number, *buckets);
                match names.get(bucket as usize) {
                    Some(name) => output.write_all(name.as_bytes()),
                    None => write!(output, "{bucket}"),
                }
            }
            Router::Hrw {
                hrw,
                replicas,
                owners,
            } => {
                hrw.owners(key, *replicas, owners);
                write_names(hrw.nodes(), owners, output)
            }
            Router::Maglev(router) => write_names(router.nodes(), &[router.owner(key)], output),
            Router::Ketama(router) => write_names(router.nodes(), &[router.owner(key)], output),
            Router::Nginx(router) => write_names(router.nodes(), &[router.owner(key)], output),
            Router::Redis => write!(output, "{}", redis_slot(key)),
            Router::Cassandra => write!(output, "{}", cassandra_token(key)),
        }
    }
}

fn write_names(nodes: &[NodeSpec], owners: &[u16], output: &mut impl Write) -> io::Result<()> {
    owners.iter().enumerate().try_for_each(|(at, &owner)| {
        output.write_all(if at == 0 { b"" } else { b"," })?;
        output.write_all(nodes[usize::from(owner)].name.as_bytes())
    })
}

/// Names of nodes that stand for their position.
fn nodes_by_position(args: &RouteArgs, algorithm: &str) -> Result<Vec<String>, RouteFailure> {
    let nodes = nodes(args)?.ok_or_else(|| needs_nodes(args.algorithm))?;
    if let Some(node) = nodes.iter().find(|node| node.weight != 1) {
        return Err(usage(format!(
            "node {node}: {algorithm} knows no weights, use ring or slots"
        )));
    }
    Ok(nodes.into_iter().map(|node| node.name).collect())
}

/// Refuses options that the algorithm would pass over: whoever gives them expects an effect.
fn refuse_strangers(args: &RouteArgs) -> Result<(), RouteFailure> {
    use Algorithm::{Cassandra, Hrw, Maglev, Modulo, Range, Redis, Ring, Slots};
    let name = args.algorithm.name();
    if matches!(args.algorithm, Redis | Cassandra) && (args.nodes.is_some() || args.buckets.is_some()) {
        return Err(usage(format!(
            "{name} needs no nodes: it prints the slot or token of a key"
        )));
    }
    let known: [(&str, bool, &[Algorithm]); 6] = [
        ("--hash", args.hash.is_some(), &[Modulo, Ring, Slots]),
        ("--vnodes", args.vnodes.is_some(), &[Ring, Slots]),
        (
            "--replicas",
            args.replicas.is_some_and(|replicas| replicas != 1),
            &[Ring, Slots, Hrw],
        ),
        ("--table-size", args.table_size.is_some(), &[Maglev]),
        ("--slots", args.slots.is_some(), &[Slots]),
        ("--split-at", args.split_at.is_some(), &[Range]),
    ];
    for (option, given, algorithms) in known {
        if given && !algorithms.contains(&args.algorithm) {
            return Err(usage(format!("{option} has no meaning with --algorithm {name}")));
        }
    }
    Ok(())
}

/// The nodes; numbered buckets are nodes named by their number.
fn nodes(args: &RouteArgs) -> Result<Option<Vec<NodeSpec>>, RouteFailure> {
    match (&args.nodes, args.buckets) {
        (Some(list), _) => Ok(Some(NodeSpec::parse_list(list)?)),
        (None, Some(buckets)) => {
            let max = atoll::routing::MAX_NODES;
            if buckets as usize > max {
                return Err(RoutingError::TooManyNodes {
                    nodes: buckets as usize,
                    max,
                }
                .into());
            }
            Ok(Some(
                (0..buckets)
                    .map(|bucket| NodeSpec::new(bucket.to_string()))
                    .collect(),
            ))
        }
        (None, None) => Ok(None),
    }
}

fn needs_nodes(algorithm: Algorithm) -> RouteFailure {
    usage(format!(
        "{} needs --nodes N1,N2... or --buckets N",
        algorithm.name()
    ))
}

#[cfg(test)]
mod tests;
