//! `atoll demo`: the whole story on real data, in a few seconds and a temporary directory.
//!
//! Options come in; each step is told in plain words with its figures on standard output. Whatever
//! does not hold - a value that differs, a read that fails while a node is down - ends the
//! demonstration with exit code 1 and says what it was.

mod check;
mod measure;
mod source;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use atoll::cluster::{
    Change, Cluster, ClusterError, ClusterSpec, ClusterStatus, Consistency, Event, ReadOptions, Token,
    WriteDurability,
};
use atoll::io::Env;
use atoll::routing::{MemberState, NodeSpec};
use clap::Args;

use crate::change;
use crate::failure::{Failure, Outcome};
use crate::holdings::Holdings;
use crate::import::{self, Job};
use crate::input::Format;
use crate::output::{self, Table, bytes, count, counted, duration, percent};
use crate::{init, ring, verify};
use measure::Latencies;
use source::Source;

const NODES: u32 = 4;
const SHARDS: u32 = 4;
const REPLICAS: u8 = 3;
/// Calls that are timed for each level.
const TIMED_READS: usize = 2_000;
const TIMED_WRITES: usize = 50;
/// How long a restarted node may take to catch up.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(30);
/// How long a shard may be without a writer.
const FAILOVER_LIMIT: Duration = Duration::from_secs(10);

/// Options of `atoll demo`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll demo
  atoll demo --data users.csv --key email --keep data

Needs no server and no preparation. Without --data it takes the package index of Debian, or the list
of installed packages. Exit code 1: something did not hold; it is named.")]
pub struct DemoArgs {
    /// File with records of your own
    #[arg(long, value_name = "FILE", requires = "key")]
    data: Option<PathBuf>,

    /// Its column or field that holds the key
    #[arg(long, value_name = "COLUMN", requires = "data")]
    key: Option<String>,

    /// Its format [default: by its name]
    #[arg(long, value_enum, requires = "data")]
    format: Option<Format>,

    /// Keep the cluster in this directory, which must be missing or empty
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,

    /// Where the picture goes
    #[arg(long, value_name = "FILE", default_value = "ring.svg")]
    svg: PathBuf,
}

/// Tells the story.
pub fn run(args: &DemoArgs) -> Outcome {
    let began = Instant::now();
    let scratch = tempfile::Builder::new().prefix("atoll-demo-").tempdir();
    let scratch =
        scratch.map_err(|error| Failure::failed(format!("cannot create a temporary directory: {error}")))?;
    let source = match (&args.data, &args.key) {
        (Some(file), Some(key)) => Source::given(file, key, args.format)?,
        _ => Source::found(scratch.path())?,
    };
    let dir = args
        .keep
        .clone()
        .unwrap_or_else(|| scratch.path().join("cluster"));
    let spec = ClusterSpec::new(init::numbered(NODES), SHARDS, REPLICAS);
    let cluster = Cluster::create(&Env::os(), &dir, &spec)?;
    let story = Story {
        cluster,
        dir: &dir,
        scratch: scratch.path(),
        source,
    };
    story.load()?;
    story.levels()?;
    story.failover()?;
    story.grow()?;
    story.proof(&args.svg)?;
    story.cluster.close()?;
    tell(&format!("\nAll of it held, in {}.", duration(began.elapsed())))?;
    next_steps(args)
}

fn next_steps(args: &DemoArgs) -> Outcome {
    tell("\nWhat to try next:")?;
    if let Some(dir) = &args.keep {
        let dir = dir.display();
        tell(&format!("  atoll status {dir}"))?;
        tell(&format!("  atoll scan {dir} --limit 5"))?;
        tell(&format!("  atoll plan {dir} --remove n1"))?;
    } else {
        tell("  atoll demo --keep data && atoll status data")?;
        tell("  atoll demo --data your.csv --key id")?;
        tell("  atoll init data --shards 4 --replicas 3 && atoll import data your.csv --key id")?;
    }
    tell(&format!("  a browser on {}", args.svg.display()))
}

fn tell(line: &str) -> Outcome {
    output::print(line)
}

fn heading(number: u32, title: &str) -> Outcome {
    tell(&format!("\n{number}. {title}"))
}

/// The cluster and what it is told about.
struct Story<'s> {
    cluster: Cluster,
    dir: &'s Path,
    scratch: &'s Path,
    source: Source,
}

impl Story<'_> {
    fn load(&self) -> Outcome {
        let Story {
            cluster,
            dir,
            scratch,
            source,
        } = self;
        heading(1, "Real data into a cluster")?;
        tell(&format!(
            "   {}: {} ({}, key {})",
            source.what,
            source.origin.display(),
            source.select.format,
            source.select.key
        ))?;
        tell(&format!(
            "   {NODES} nodes, {SHARDS} shards × {REPLICAS} copies; a write waits until {} copies are fsynced",
            REPLICAS / 2 + 1
        ))?;
        let job = Job::new(dir, &source.file, source.select.clone(), scratch.join("rejects"));
        let report = import::load(cluster, &job, import::Input::open(&job)?)?;
        if report.records == 0 {
            return Err(Failure::failed(format!(
                "{} holds no record",
                source.file.display()
            )));
        }
        tell(&format!(
            "   {} ({}) in {}: {} records/s, every batch durable on {} copies",
            counted(report.records, "record"),
            bytes(report.bytes),
            duration(Duration::from_secs_f64(report.seconds)),
            count(report.records_per_s),
            REPLICAS / 2 + 1
        ))?;
        if report.rejected > 0 {
            tell(&format!(
                "   {} of the file were no records",
                counted(report.rejected, "piece")
            ))?;
        }
        self.balance()
    }

    /// Who holds how much.
    fn balance(&self) -> Outcome {
        let holdings = Holdings::count(&self.cluster)?;
        let (status, topology) = (self.cluster.status()?, self.cluster.topology());
        let total = holdings.total();
        let mut table = Table::new(&["node", "keys led", "share", "keys held", "bytes held"]);
        let (mut most, mut nodes) = (0, 0);
        for node in status
            .nodes
            .iter()
            .filter(|node| node.member == MemberState::Active)
        {
            let (led, held) = holdings.node(&topology, &status, &node.name);
            most = most.max(held.keys);
            nodes += 1;
            let share = percent(led.keys as f64 / total.keys.max(1) as f64);
            table.row([
                node.name.clone(),
                count(led.keys),
                share,
                count(held.keys),
                bytes(held.bytes),
            ]);
        }
        let copies = u64::from(REPLICAS) * total.keys;
        tell(&format!("\n{}", table.render("   ").trim_end()))?;
        tell(&format!(
            "   fullest node: {:.3} times the mean",
            most as f64 * f64::from(nodes) / copies.max(1) as f64
        ))
    }

    fn levels(&self) -> Outcome {
        heading(2, "How safe a write, how fresh a read")?;
        let cluster = &self.cluster;
        let mut writes = Table::new(&["write", "p50", "p99", "asks to survive<"]);
        let mut newest = Vec::new();
        for (durability, survives) in [
            (WriteDurability::Buffered, "a killed process"),
            (WriteDurability::Synced, "a power cut"),
            (WriteDurability::Replicated, "a power cut and the loss of a node"),
        ] {
            let mut latencies = Latencies::default();
            for number in 0..TIMED_WRITES {
                let key = format!("demo:{durability}:{number}").into_bytes();
                let token = latencies.time(|| cluster.put(&key, b"hello", durability))?;
                newest.push((key, token));
            }
            let (p50, p99) = latencies.in_words();
            writes.row([durability.to_string(), p50, p99, survives.into()]);
        }
        tell(writes.render("   ").trim_end())?;
        tell("   the quorum is a floor: here all three wait for 2 fsynced copies")?;
        let mut reads = Table::new(&["read", "p50", "p99", "answered by<"]);
        for level in [
            Consistency::Strong,
            Consistency::ReadYourWrites,
            Consistency::Eventual,
        ] {
            let mut latencies = Latencies::default();
            for (key, token) in newest.iter().cycle().take(TIMED_READS) {
                let options = options(level, token);
                let answer = latencies.time(|| cluster.get(key, &options))?;
                match answer {
                    Some(answer) if *answer.value == *b"hello" => latencies.answered(&answer.node),
                    // An eventual read may be a moment behind; the others may not.
                    None if level == Consistency::Eventual => {}
                    _ => {
                        return Err(Failure::failed(format!(
                            "a {level} read did not see an acknowledged write"
                        )));
                    }
                }
            }
            let (p50, p99) = latencies.in_words();
            reads.row([level.to_string(), p50, p99, latencies.answers()]);
        }
        tell(&format!("\n{}", reads.render("   ").trim_end()))?;
        newest.iter().try_for_each(|(key, _)| self.forget(key))
    }

    fn forget(&self, key: &[u8]) -> Outcome {
        self.cluster.delete(key, WriteDurability::Replicated)?;
        Ok(())
    }

    fn failover(&self) -> Outcome {
        heading(3, "A node dies")?;
        let cluster = &self.cluster;
        let key: &[u8] = b"demo:heartbeat";
        let place = cluster.locate(key)?;
        let victim = place.primary.clone();
        cluster.put(key, b"0", WriteDurability::Replicated)?;
        let before = cluster.events().len();
        let stop = AtomicBool::new(false);
        let outage = thread::scope(|scope| -> Outcome<Outage> {
            let writer = scope.spawn(|| write_until(cluster, key, &stop));
            // Some writes before, some after.
            thread::sleep(Duration::from_millis(300));
            let killed = cluster.kill_node(&victim);
            thread::sleep(Duration::from_millis(700));
            stop.store(true, Ordering::Relaxed);
            killed?;
            writer
                .join()
                .map_err(|_| Failure::failed("the writer of the demonstration failed"))?
        })?;
        tell(&format!(
            "   {victim} killed while it led shard {} and a program wrote to it",
            place.shard
        ))?;
        for event in &cluster.events()[before..] {
            if let Event::Promoted {
                shard,
                node,
                epoch,
                took,
                ..
            } = event
            {
                tell(&format!(
                    "   shard {shard}: {node} took over in epoch {epoch}, elected in {}",
                    duration(*took)
                ))?;
            }
        }
        tell(&format!(
            "   longest time without an acknowledged write: {} ({} acknowledged, {} refused, {} unknown)",
            duration(outage.longest),
            counted(outage.acknowledged, "write"),
            count(outage.refused),
            count(outage.unknown)
        ))?;
        if outage.longest > FAILOVER_LIMIT {
            return Err(Failure::failed(format!(
                "the shard had no writer for {}",
                duration(outage.longest)
            )));
        }
        self.heartbeat(key, &outage)?;
        let sample = self.sample()?;
        for (key, value) in &sample {
            self.expect(key, value)?;
        }
        tell(&format!(
            "   without {victim}: {} read back, all there",
            counted(sample.len() as u64, "record")
        ))?;
        // The same values again: something for the node to miss that changes nothing.
        cluster.put_many(&sample, WriteDurability::Replicated)?;
        self.restart(&victim, sample.len())?;
        self.forget(key)
    }

    /// The last acknowledged heartbeat, or one that may have been written after it, stands.
    fn heartbeat(&self, key: &[u8], outage: &Outage) -> Outcome {
        let answer = self.cluster.get(key, &ReadOptions::default())?;
        let text = answer.map(|answer| String::from_utf8_lossy(&answer.value).into_owned());
        let stands = text.as_deref().and_then(|text| text.parse::<u64>().ok());
        match stands {
            Some(stands) if (outage.last_acknowledged..=outage.last_sent).contains(&stands) => Ok(()),
            _ => Err(Failure::failed(format!(
                "write {} was acknowledged, and {} stands after the failover",
                outage.last_acknowledged,
                text.unwrap_or_else(|| "nothing".into())
            ))),
        }
    }

    /// Some records of the file, spread over it.
    fn sample(&self) -> Outcome<Vec<(Vec<u8>, Vec<u8>)>> {
        const WANTED: u64 = 1000;
        let last = check::last_of_each_key(&self.source)?;
        let step = (last.len() as u64 / WANTED).max(1);
        let mut sample = Vec::new();
        check::each_record(&self.source, |number, record| {
            if number % step == 0 && last.get(&record.key) == Some(&number) {
                sample.push((record.key, record.value));
            }
            Ok(())
        })?;
        Ok(sample)
    }

    fn expect(&self, key: &[u8], value: &[u8]) -> Outcome {
        match self.cluster.get(key, &ReadOptions::default())? {
            Some(answer) if *answer.value == *value => Ok(()),
            _ => Err(Failure::failed(format!(
                "the record {:?} is not what the file says",
                String::from_utf8_lossy(key)
            ))),
        }
    }

    fn restart(&self, victim: &str, missed: usize) -> Outcome {
        let began = Instant::now();
        self.cluster.restart_node(victim)?;
        while !caught_up(&self.cluster.status()?, victim) {
            if began.elapsed() > CATCH_UP_LIMIT {
                return Err(Failure::failed(format!(
                    "{victim} has not caught up within {}",
                    duration(CATCH_UP_LIMIT)
                )));
            }
            thread::sleep(Duration::from_millis(5));
        }
        let sent: u64 = self
            .cluster
            .events()
            .iter()
            .rev()
            .map_while(|event| rejoined(event, victim))
            .sum();
        let sent = if sent > 0 {
            format!(", {} of log sent to it", bytes(sent))
        } else {
            String::new()
        };
        tell(&format!(
            "   {victim} started again: recovered and level with the others after {} ({} written meanwhile{sent})",
            duration(began.elapsed()),
            counted(missed as u64, "record"),
        ))?;
        Ok(())
    }

    fn grow(&self) -> Outcome {
        heading(4, "A fifth node")?;
        let cluster = &self.cluster;
        let change = Change::Add(NodeSpec::new(format!("n{}", NODES + 1)));
        let plan = cluster.plan(&change)?;
        tell(&format!(
            "   plan: {} ({}) to copy onto n{} in {}",
            counted(plan.keys, "key"),
            bytes(plan.bytes),
            NODES + 1,
            counted(plan.moves.len() as u64, "hand-over")
        ))?;
        tell(&format!(
            "   {} of the keys get a new owner; with hash mod N it would be {}",
            percent(plan.primaries_fraction),
            percent(plan.modulo_fraction)
        ))?;
        tell(&format!(
            "   {} slot copies move, {} is the least possible: {:.3} times the minimum",
            count(plan.copies_moved),
            count(plan.copies_minimum),
            plan.ratio
        ))?;
        let sample = self.sample()?;
        let stop = AtomicBool::new(false);
        let (report, reads) = thread::scope(|scope| -> Outcome<_> {
            let reader = scope.spawn(|| self.read_until(&sample, &stop));
            let report = change::run(cluster, &change);
            stop.store(true, Ordering::Relaxed);
            let reads = reader
                .join()
                .map_err(|_| Failure::failed("the reader of the demonstration failed"))?;
            Ok((report?, reads?))
        })?;
        tell(&format!(
            "   moved: {}, {} in {}; meanwhile {} of the file's records, none failed or differed",
            counted(report.keys_moved, "key"),
            bytes(report.bytes_moved),
            duration(report.took),
            counted(reads, "read")
        ))?;
        tell(&format!(
            "   moved between two old nodes: {}",
            counted(report.keys_between_old_nodes, "key")
        ))?;
        if report.keys_between_old_nodes != 0 {
            return Err(Failure::failed(
                "keys moved between two nodes that had nothing to do with the change",
            ));
        }
        self.balance()
    }

    /// Reads the sample over and over; every answer has to be right.
    fn read_until(&self, sample: &[(Vec<u8>, Vec<u8>)], stop: &AtomicBool) -> Outcome<u64> {
        let mut reads = 0;
        for (key, value) in sample.iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            self.expect(key, value)?;
            reads += 1;
        }
        Ok(reads)
    }

    fn proof(&self, svg: &Path) -> Outcome {
        heading(5, "Is everything still there?")?;
        let began = Instant::now();
        let compared = check::compare(&self.cluster, &self.source)?;
        tell(&format!(
            "   {} ({}) compared byte for byte with the file, read again: all equal, none missing, none too many ({})",
            counted(compared.keys, "record"),
            bytes(compared.bytes),
            duration(began.elapsed())
        ))?;
        let began = Instant::now();
        let report = verify::check(&self.cluster)?;
        verify::verdict(&report)?;
        tell(&format!(
            "   {} checked, every checksum good, copies identical over {} of log ({})",
            counted(report.replicas.len() as u64, "replica"),
            bytes(report.compared_bytes),
            duration(began.elapsed())
        ))?;
        ring::write(&ring::picture(&self.cluster, "demonstration")?, svg)?;
        tell(&format!("   drawn in {}", svg.display()))
    }
}

fn options(level: Consistency, token: &Token) -> ReadOptions {
    match level {
        Consistency::ReadYourWrites => ReadOptions::after(token.clone()),
        other => ReadOptions::new(other),
    }
}

/// What a writer saw while a node died.
#[derive(Default)]
struct Outage {
    longest: Duration,
    acknowledged: u64,
    refused: u64,
    unknown: u64,
    last_acknowledged: u64,
    last_sent: u64,
}

/// Writes ascending numbers to one key without a pause until told to stop.
fn write_until(cluster: &Cluster, key: &[u8], stop: &AtomicBool) -> Outcome<Outage> {
    let mut outage = Outage::default();
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        outage.last_sent += 1;
        let number = outage.last_sent.to_string();
        match cluster.put(key, number.as_bytes(), WriteDurability::Replicated) {
            Ok(_) => {
                outage.acknowledged += 1;
                outage.last_acknowledged = outage.last_sent;
                outage.longest = outage.longest.max(last.elapsed());
                last = Instant::now();
            }
            Err(ClusterError::Indeterminate { .. }) => outage.unknown += 1,
            Err(
                ClusterError::Unavailable { .. }
                | ClusterError::NotPrimary { .. }
                | ClusterError::StaleEpoch { .. }
                | ClusterError::Store { .. },
            ) => outage.refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    outage.longest = outage.longest.max(last.elapsed());
    Ok(outage)
}

fn caught_up(status: &ClusterStatus, node: &str) -> bool {
    let mut replicas = status.shards.iter().flat_map(|shard| &shard.replicas);
    replicas.all(|replica| {
        replica.node != node || (matches!(replica.state, "primary" | "follower") && replica.lag_bytes == 0)
    })
}

fn rejoined(event: &Event, name: &str) -> Option<u64> {
    match event {
        Event::Rejoined { node, bytes, .. } | Event::Readmitted { node, bytes, .. } if node == name => {
            Some(*bytes)
        }
        Event::NodeKilled { .. } => None,
        _ => Some(0),
    }
}
