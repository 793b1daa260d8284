//! `atoll route`: keys on stdin, the nodes they belong to on stdout.
//!
//! What comes in: options that describe a router, and one key per line. What goes out: every line
//! unchanged, a tab, and the node (or nodes, or number) of its key. Keys are bytes; a line need not
//! be UTF-8, and a carriage return belongs to the key. Needs no directory and touches no file.

use std::fmt;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use atoll::routing::{self, KeyEncoding, KeyRef, NodeSpec, Router, RouterSpec, RoutingError, encode_key};
use clap::{Args, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  seq 1000 | atoll route --algorithm ring --nodes db1,db2=2,db3 --replicas 2
  printf 'user:1\\nuser:2\\n' | atoll route --algorithm modulo --hash md5 --buckets 8
  cut -f1 users.tsv | atoll route --algorithm range --split-at g,n,t --nodes a,b,c,d
  seq 10 | atoll route --input i64 --nodes 10.0.0.1:7400,10.0.0.2:7400
  atoll route --algorithm ketama --nodes 10.0.0.1:11211,10.0.0.2:11211=2 < keys
  echo '{user1}.cart' | atoll route --algorithm redis --json";

/// Longest key that is read: a line without end must not fill the memory.
const MAX_LINE_BYTES: u64 = 64 << 20;
const BUFFER_BYTES: usize = 1 << 20;

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

    /// Nodes as NAME or NAME=WEIGHT, separated by commas; for slots also NAME=WEIGHT@ZONE/RACK
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

    /// Part of a key that decides: none (default), tag (what stands in {braces}) or prefix:BYTES
    #[arg(long, value_name = "RULE")]
    pub locality: Option<String>,

    /// One JSON object a key, with the number of its slot, bucket, range or token
    #[arg(long)]
    pub json: bool,
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
    fn routing(self) -> routing::Algorithm {
        match self {
            Algorithm::Modulo => routing::Algorithm::Modulo,
            Algorithm::Ring => routing::Algorithm::Ring,
            Algorithm::Range => routing::Algorithm::Range,
            Algorithm::Slots => routing::Algorithm::Slots,
            Algorithm::Jump => routing::Algorithm::Jump,
            Algorithm::Hrw => routing::Algorithm::Hrw,
            Algorithm::Maglev => routing::Algorithm::Maglev,
            Algorithm::Ketama => routing::Algorithm::Ketama,
            Algorithm::Nginx => routing::Algorithm::Nginx,
            Algorithm::Redis => routing::Algorithm::Redis,
            Algorithm::Cassandra => routing::Algorithm::Cassandra,
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
        usage(match error {
            // The library names fields; users know options.
            RoutingError::OptionUnused { option, algorithm } => match option {
                "zones" => format!("zones of nodes have no meaning with --algorithm {algorithm}"),
                "splits" => format!("--split-at has no meaning with --algorithm {algorithm}"),
                option => {
                    let option = option.replace('_', "-");
                    format!("--{option} has no meaning with --algorithm {algorithm}")
                }
            },
            RoutingError::OptionMissing { option: "splits", .. } => {
                "range needs its split keys: --split-at A,B,C".into()
            }
            RoutingError::OptionMissing { algorithm, .. } => {
                format!("{algorithm} needs --nodes N1,N2... or --buckets N")
            }
            error => error.to_string(),
        })
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
    if let Some(warning) = job.warning() {
        eprintln!("atoll: {warning}");
    }
    let input = BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock());
    let output = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    job.route(input, output)
}

/// Checked options.
struct Job {
    printer: Printer,
    input: Input,
    encoding: KeyEncoding,
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
            printer: Printer::new(args, encoding)?,
            input: args.input,
            encoding,
        })
    }

    /// Fewer nodes than replicas are served, but never silently.
    fn warning(&self) -> Option<String> {
        let (wanted, usable) = (self.printer.replicas, self.printer.router.distinct_nodes());
        (usable < wanted).then(|| {
            format!("{wanted} replicas asked for, {usable} nodes can hold keys: every key gets {usable}")
        })
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
            let plain = self.printer.plain_numbers;
            let parsed = parse_key(&line, self.input, self.encoding, plain, &mut key).map_err(bad)?;
            self.printer
                .write_line(&line, parsed, output)
                .map_err(Ending::Write)?;
        }
        Ok(())
    }
}

/// The encoded key of a line, or with `plain` the big-endian bytes of an unsigned number; `buffer` holds
/// it where it differs from the line.
fn parse_key<'k>(
    line: &'k [u8],
    input: Input,
    encoding: KeyEncoding,
    plain: bool,
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
            if plain {
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

/// Answers of a router as bytes on a line.
struct Printer {
    router: Router,
    replicas: usize,
    json: bool,
    /// Numbers reach `jump` as they are.
    plain_numbers: bool,
    owners: Vec<u16>,
}

impl Printer {
    fn new(args: &RouteArgs, encoding: KeyEncoding) -> Result<Printer, RouteFailure> {
        let algorithm = args.algorithm.routing();
        let name = algorithm.name();
        let replicas = args.replicas.unwrap_or(1);
        if replicas == 0 {
            return Err(RoutingError::NoReplicas.into());
        }
        if replicas > 1 && !algorithm.has_replicas() {
            return Err(usage(format!(
                "--replicas has no meaning with --algorithm {name}"
            )));
        }
        let plain_numbers = algorithm == routing::Algorithm::Jump && args.input == Input::U64;
        if plain_numbers && args.encoding.is_some() {
            return Err(usage(
                "--encoding has no meaning with --algorithm jump --input u64: the number itself is spread",
            ));
        }
        let spec = RouterSpec {
            algorithm,
            nodes: args
                .nodes
                .as_deref()
                .map_or(Ok(Vec::new()), NodeSpec::parse_list)?,
            buckets: args.buckets,
            hash: args.hash.as_deref().map(str::parse).transpose()?,
            encoding,
            locality: args.locality.as_deref().unwrap_or("none").parse()?,
            vnodes: args.vnodes,
            table_size: args.table_size,
            slots: args.slots,
            replicas: (algorithm == routing::Algorithm::Slots).then_some(replicas),
            splits: args
                .split_at
                .as_deref()
                .map(|text| split_keys(text, args.input, encoding))
                .transpose()?,
        };
        Ok(Printer {
            router: Router::new(&spec)?,
            replicas: replicas.into(),
            json: args.json,
            plain_numbers,
            owners: Vec::new(),
        })
    }

    /// Answers for one encoded key, or for the number of eight big-endian bytes.
    fn write_line(&mut self, line: &[u8], key: &[u8], output: &mut impl Write) -> io::Result<()> {
        let router = &self.router;
        if self.plain_numbers && !router.nodes().is_empty() {
            // As many buckets as nodes, which a 16-bit index can name.
            self.owners.clear();
            self.owners.push(self.number(key) as u16);
        } else if !router.nodes().is_empty() {
            router
                .owners(key, self.replicas, &mut self.owners)
                .expect("a router without a domain takes every key");
        }
        if self.json {
            return self.write_json(line, key, output);
        }
        output.write_all(line)?;
        output.write_all(b"\t")?;
        if router.nodes().is_empty() {
            write!(output, "{}", self.number(key))?;
        }
        for (at, name) in self.names().enumerate() {
            output.write_all(if at == 0 { b"" } else { b"," })?;
            output.write_all(name.as_bytes())?;
        }
        output.write_all(b"\n")
    }

    fn number(&self, key: &[u8]) -> i64 {
        let number = match key.try_into() {
            Ok(bytes) if self.plain_numbers => {
                let number = u64::from_be_bytes(bytes);
                self.router.bucket_of_number(number).map(i64::from)
            }
            _ => self.router.number(key),
        };
        number.expect("a router without a domain takes every key, and jump takes numbers")
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let nodes = self.router.nodes();
        self.owners
            .iter()
            .map(|&owner| nodes[usize::from(owner)].name.as_str())
    }

    /// One object a line: `key` (or `key_hex` where the line is not UTF-8), the number under the name
    /// it has for the algorithm, and the nodes.
    fn write_json(&self, line: &[u8], key: &[u8], output: &mut impl Write) -> io::Result<()> {
        use routing::Algorithm::{Cassandra, Jump, Modulo, Range, Redis, Slots};
        let mut object = serde_json::Map::new();
        match std::str::from_utf8(line) {
            Ok(text) => object.insert("key".into(), text.into()),
            Err(_) => {
                let hex: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
                object.insert("key_hex".into(), hex.into())
            }
        };
        let name = match self.router.algorithm() {
            Modulo | Jump => Some("bucket"),
            Range => Some("range"),
            Slots | Redis => Some("slot"),
            Cassandra => Some("token"),
            _ => None,
        };
        if let Some(name) = name {
            object.insert(name.into(), self.number(key).into());
        }
        if !self.router.nodes().is_empty() {
            object.insert("nodes".into(), self.names().collect());
        }
        serde_json::to_writer(&mut *output, &object)?;
        output.write_all(b"\n")
    }
}

/// Split keys in the form of the input.
fn split_keys(text: &str, input: Input, encoding: KeyEncoding) -> Result<Vec<Vec<u8>>, RouteFailure> {
    let split = |split: &str| {
        let mut buffer = Vec::new();
        let key = parse_key(split.as_bytes(), input, encoding, false, &mut buffer);
        key.map(<[u8]>::to_vec)
            .map_err(|what| usage(format!("--split-at: {what}")))
    };
    text.split(',').map(split).collect()
}

#[cfg(test)]
mod tests;
