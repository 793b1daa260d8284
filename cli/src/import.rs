//! `atoll import`: records of another program into a cluster.
//!
//! A file comes in; records go into the cluster, what is no record into a reject file, figures to
//! standard output. Memory does not grow with the input. After each batch that has become durable
//! a checkpoint is left in the cluster's directory, so a run that was killed goes on where it was.

mod checkpoint;
mod rejects;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use atoll::cluster::{Cluster, ClusterError, ClusterLoad, WriteDurability};
use atoll::log::format::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use atoll::store::{Expires, StoreError};
use clap::Args;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::input::{self, Format, InputError, Item, Record, RecordReader, Rejected, Selection};
use crate::output::{self, bytes, count, counted, duration, rate};
use crate::progress::Progress;
use crate::session::{self, DirArg};
use checkpoint::{Checkpoint, Identity, Place};
use rejects::RejectFile;

/// A batch is written when it holds this many records (unless asked otherwise) ...
const BATCH_RECORDS: usize = 10_000;
/// ... or this many bytes.
const BATCH_BYTES: usize = 8 << 20;
/// Room in a segment for what a record needs beside its value.
const VALUE_MARGIN_BYTES: usize = 1 << 20;

/// Options of `atoll import`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll import data users.csv --key email
  atoll import data /var/lib/dpkg/status --key Package
  zcat events.jsonl.gz | atoll import data - --format jsonl --key id
  atoll import data all.jsonl --key key --value value --expires expires_at_ms
  atoll import data sorted.csv --key id --sorted

The value is the record as a JSON object; of records with the same key the last one wins. A JSON
line is stored as it stands. An import that was interrupted goes on where it was when the same
command is given again; standard input cannot be resumed.

With --sorted, keys must ascend by their bytes, each once (`LC_ALL=C sort`). Each shard gets its part
whole or not at all, straight into tables. That needs shards with one replica (init --replicas 1).

What is no record goes to the reject file with its line number, and the exit code is 1.")]
pub struct ImportArgs {
    #[command(flatten)]
    dir: DirArg,

    /// File to read; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Column or field that holds the key
    #[arg(long, value_name = "COLUMN")]
    key: String,

    /// Store only the text of this column, not the whole record
    #[arg(long, value_name = "COLUMN")]
    value: Option<String>,

    /// Column that says when a value is gone, in milliseconds since 1970; where it is empty, null or
    /// missing the value stays
    #[arg(long, value_name = "COLUMN")]
    expires: Option<String>,

    /// Format of the file [default: by its name]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Quotation marks in CSV and TSV are ordinary characters
    #[arg(long)]
    no_quotes: bool,

    /// Records that are written and made durable together
    #[arg(long, value_name = "N", default_value_t = BATCH_RECORDS, value_parser = at_least_one)]
    batch: usize,

    /// The input is sorted by key: load it in one piece, which writes every record once instead of twice
    #[arg(long)]
    sorted: bool,

    /// Where rejects go [default: FILE.rejects in the current directory]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,

    /// Import from the beginning, whatever earlier runs have done
    #[arg(long)]
    restart: bool,

    /// buffered, synced or replicated; the quorum of the cluster is the least that happens
    #[arg(long, value_name = "LEVEL", default_value_t = WriteDurability::Replicated)]
    durability: WriteDurability,

    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "a whole number above 0 is needed".into())
}

/// What an import did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Records written, those of earlier runs included.
    pub records: u64,
    /// Pieces of input that were no records.
    pub rejected: u64,
    /// Bytes of input.
    pub bytes: u64,
    /// Time this run took.
    pub seconds: f64,
    /// Records this run wrote for each second.
    pub records_per_s: u64,
    /// Where this run began, if an earlier one had been interrupted.
    pub resumed_at_byte: Option<u64>,
    /// Whether nothing was left to do.
    pub already_imported: bool,
    /// The reject file, if there is one.
    pub rejects: Option<PathBuf>,
}

/// What to import, how, and where rejects go.
pub struct Job<'j> {
    /// Directory of the cluster, for checkpoints.
    pub dir: &'j Path,
    /// File to read; `None` for standard input.
    pub file: Option<&'j Path>,
    /// What to make of it.
    pub select: Selection,
    /// Records of a batch.
    pub batch: usize,
    /// Reject file.
    pub rejects: PathBuf,
    /// Ignore checkpoints.
    pub restart: bool,
    /// When a batch counts as done.
    pub durability: WriteDurability,
    /// One bulk load instead of batches.
    pub sorted: bool,
}

impl<'j> Job<'j> {
    /// A file with defaults for everything else.
    pub fn new(dir: &'j Path, file: &'j Path, select: Selection, rejects: PathBuf) -> Job<'j> {
        Job {
            dir,
            file: Some(file),
            select,
            batch: BATCH_RECORDS,
            rejects,
            restart: false,
            durability: WriteDurability::Replicated,
            sorted: false,
        }
    }

    fn name(&self) -> String {
        self.file
            .map_or("standard input".into(), |file| file.display().to_string())
    }
}

/// The format of a file: as asked for, or by its name.
pub fn format_of(file: &Path, asked: Option<Format>, key: &str) -> Outcome<Format> {
    let known = "csv, tsv, jsonl or deb822";
    if let Some(format) = asked {
        return Ok(format);
    }
    if file == Path::new("-") {
        return Err(Failure::usage(format!(
            "standard input has no name to tell its format: add --format with {known}"
        )));
    }
    let unknown = || {
        format!(
            "{}: its name does not tell the format: add --format with {known}",
            file.display()
        )
    };
    let compressed = file
        .extension()
        .and_then(|extension| extension.to_str())
        .and_then(|extension| match extension {
            "gz" => Some("zcat"),
            "xz" => Some("xzcat"),
            "lz4" => Some("lz4cat"),
            "zst" => Some("zstdcat"),
            "bz2" => Some("bzcat"),
            _ => None,
        });
    match (compressed, Format::of_path(file)) {
        (Some(command), _) => {
            // `users.csv.gz` still tells what is inside.
            let inside = Format::of_path(Path::new(file.file_stem().unwrap_or_default()));
            let format = inside.map_or_else(|| "FORMAT".to_string(), |format| format.to_string());
            let file = file.display();
            Err(Failure::usage(format!(
                "{file} is compressed: `{command} {file} | atoll import DIR - --format {format} --key {key}` reads it"
            )))
        }
        (None, Some(format)) => Ok(format),
        (None, None) => Err(Failure::usage(unknown())),
    }
}

/// Imports a file.
pub fn run(args: &ImportArgs) -> Outcome {
    let format = format_of(&args.file, args.format, &args.key)?;
    let from_stdin = args.file == Path::new("-");
    let default_rejects = || {
        let name = args
            .file
            .file_name()
            .filter(|_| !from_stdin)
            .map(|name| name.to_string_lossy().into_owned());
        PathBuf::from(format!("{}.rejects", name.unwrap_or_else(|| "stdin".into())))
    };
    let job = Job {
        dir: &args.dir.dir,
        file: (!from_stdin).then_some(args.file.as_path()),
        select: Selection {
            format,
            key: args.key.clone(),
            value: args.value.clone(),
            expires: args.expires.clone(),
            quotes: !args.no_quotes,
        },
        batch: args.batch,
        rejects: args.rejects.clone().unwrap_or_else(default_rejects),
        restart: args.restart,
        durability: args.durability,
        sorted: args.sorted,
    };
    // A file that cannot be read is told before a cluster is opened for it.
    let input = Input::open(&job)?;
    let report = session::with(&args.dir.dir, |cluster| load(cluster, &job, input))?;
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&summary(&report))?;
    }
    match &report.rejects {
        None => Ok(()),
        Some(path) => Err(Failure::failed(format!(
            "{} not imported: see {} for line, reason and text",
            if report.rejected == 1 {
                "1 piece of input was".into()
            } else {
                format!("{} pieces of input were", count(report.rejected))
            },
            path.display()
        ))),
    }
}

fn summary(report: &Report) -> String {
    let time = Duration::from_secs_f64(report.seconds);
    if report.already_imported {
        return format!(
            "{} were imported before, {} rejected",
            counted(report.records, "record"),
            count(report.rejected)
        );
    }
    format!(
        "{} imported, {} rejected, {} of input, {}, {} records/s",
        counted(report.records, "record"),
        count(report.rejected),
        bytes(report.bytes),
        duration(time),
        count(report.records_per_s)
    )
}

/// An input whose header has been read and found good.
pub struct Input {
    reader: Box<dyn RecordReader>,
    /// Of regular files only: what comes through a pipe cannot be read again.
    identity: Option<Identity>,
}

impl Input {
    /// Opens the input of a job.
    pub fn open(job: &Job) -> Outcome<Input> {
        let Some(path) = job.file else {
            let reader = reader(job, Box::new(io::stdin().lock()))?;
            return Ok(Input {
                reader,
                identity: None,
            });
        };
        let unreadable = |error: io::Error| Failure::file("read", path, &error);
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!(
                "{} is a directory: name a file in it",
                path.display()
            )));
        }
        let mut identity = None;
        if metadata.is_file() {
            identity = Some(Identity::of(path, &mut file).map_err(unreadable)?);
            file.rewind().map_err(unreadable)?;
        }
        Ok(Input {
            reader: reader(job, Box::new(file))?,
            identity,
        })
    }
}

fn reader(job: &Job, bytes: Box<dyn Read>) -> Outcome<Box<dyn RecordReader>> {
    input::open(bytes, &job.select).map_err(|error| input_failure(job, error))
}

fn input_failure(job: &Job, error: InputError) -> Failure {
    let message = format!("{} {error}", job.name());
    match error {
        InputError::Io(_) => Failure::failed(message),
        _ => Failure::usage(message),
    }
}

/// Reads an input to its end into a cluster.
pub fn load(cluster: &Cluster, job: &Job, input: Input) -> Outcome<Report> {
    let Input { mut reader, identity } = input;
    let place = identity
        .as_ref()
        .map(|identity| Place::new(job.dir, &identity.path, &job.select));
    // Absolute, because the run that goes on may start in another directory.
    let rejects = std::path::absolute(&job.rejects).unwrap_or_else(|_| job.rejects.clone());
    let input = identity.clone().unwrap_or_else(nameless);
    let mut state = Checkpoint::new(input, job.select.clone(), rejects);
    let earlier = place.as_ref().filter(|_| !job.restart).and_then(Place::load);
    let mut resumed_at_byte = None;
    if let (Some(earlier), Some(identity)) = (earlier, &identity) {
        if earlier.input != *identity {
            output::say(&format!(
                "{} has changed since it was imported: starting over",
                job.name()
            ));
        } else if earlier.finished {
            output::say(&format!(
                "{} is imported already; --restart imports it again",
                job.name()
            ));
            return Ok(already(&earlier));
        } else {
            go_on(job, reader.as_mut(), &earlier)?;
            output::say(&format!(
                "going on at line {} ({} of {}), where an earlier run was interrupted after {}",
                count(earlier.position.lines + 1),
                bytes(earlier.position.offset),
                bytes(identity.bytes),
                counted(earlier.records, "record")
            ));
            resumed_at_byte = Some(earlier.position.offset);
            state = earlier;
        }
    }
    let rejects = match resumed_at_byte {
        Some(_) => RejectFile::resumed(&state.rejects, state.rejects_bytes)?,
        None => RejectFile::fresh(&state.rejects)?,
    };
    let total = identity.as_ref().map(|identity| identity.bytes);
    let progress = Progress::new("import", total, state.position.offset);
    let began = Instant::now();
    let records_before = state.records;
    let load = job.sorted.then(|| cluster.bulk_load()).transpose()?;
    let mut loader = Loader {
        load,
        cluster,
        job,
        place,
        state,
        rejects,
        progress,
        loaded: 0,
    };
    let ends_with_record = loader.run(reader.as_mut())?;
    let Loader {
        state,
        rejects,
        progress,
        ..
    } = loader;
    progress.finish();
    if ends_with_record && reader.ends_without_newline() {
        output::warn(&format!(
            "{}: the last line has no line end; if the file was cut off, its last record is not whole",
            job.name()
        ));
    }
    let took = began.elapsed();
    Ok(Report {
        records: state.records,
        rejected: state.rejected,
        bytes: state.position.offset,
        seconds: took.as_secs_f64(),
        records_per_s: rate(state.records - records_before, took),
        resumed_at_byte,
        already_imported: false,
        rejects: (state.rejected > 0).then(|| rejects.path().to_owned()),
    })
}

/// Stands in for the identity of standard input, of which no checkpoint is kept.
fn nameless() -> Identity {
    Identity {
        path: PathBuf::new(),
        bytes: 0,
        modified_ns: 0,
        ends: 0,
    }
}

fn already(earlier: &Checkpoint) -> Report {
    Report {
        records: earlier.records,
        rejected: earlier.rejected,
        bytes: earlier.position.offset,
        already_imported: true,
        rejects: (earlier.rejected > 0).then(|| earlier.rejects.clone()),
        ..Report::default()
    }
}

fn go_on(job: &Job, reader: &mut dyn RecordReader, earlier: &Checkpoint) -> Outcome {
    let path = job.file.unwrap_or(Path::new("-"));
    let open = || -> io::Result<File> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(earlier.position.offset))?;
        Ok(file)
    };
    let file = open().map_err(|error| Failure::file("read", path, &error))?;
    reader.continue_at(Box::new(file), earlier.position);
    Ok(())
}

/// Key, value, and how long it stays.
type Pair = (Vec<u8>, Vec<u8>, Expires);

/// The loop from records to durable batches.
struct Loader<'l> {
    cluster: &'l Cluster,
    /// Where records go that are sorted.
    load: Option<ClusterLoad<'l>>,
    job: &'l Job<'l>,
    place: Option<Place>,
    state: Checkpoint,
    rejects: RejectFile,
    progress: Progress,
    /// Records of the load so far.
    loaded: u64,
}

impl Loader<'_> {
    /// Returns whether the last thing in the input was a record.
    fn run(&mut self, reader: &mut dyn RecordReader) -> Outcome<bool> {
        let mut ends_with_record = false;
        let mut batch: Vec<Pair> = Vec::new();
        let mut batch_bytes = 0;
        // Rejects that were written and belong to no checkpoint yet.
        let mut loose_rejects = 0;
        loop {
            let item = reader.next().map_err(|error| input_failure(self.job, error))?;
            ends_with_record = match item {
                Item::Record(_) => true,
                Item::Rejected(_) => false,
                Item::End => ends_with_record,
            };
            match item {
                Item::End => break,
                Item::Rejected(rejected) => {
                    self.reject(&rejected)?;
                    loose_rejects += 1;
                }
                Item::Record(record) => {
                    if let Err(reason) = self.check(&record) {
                        let line = reader.position().lines;
                        self.reject(&Rejected {
                            line,
                            reason,
                            text: shortened(&record),
                        })?;
                        loose_rejects += 1;
                    } else {
                        let expires = record.expires_at_ms.map_or(Expires::Never, Expires::AtMs);
                        if let Some(load) = &mut self.load {
                            let put = load.put(&record.key, &record.value, expires);
                            put.map_err(|error| unsorted(self.job, reader.position().lines, error))?;
                            self.loaded += 1;
                            if self.loaded.is_multiple_of(BATCH_RECORDS as u64) {
                                self.show(reader.position().offset);
                            }
                            continue;
                        }
                        batch_bytes += record.key.len() + record.value.len();
                        batch.push((record.key, record.value, expires));
                    }
                }
            }
            let is_due = batch.len() >= self.job.batch
                || batch_bytes >= BATCH_BYTES
                || loose_rejects >= self.job.batch;
            // A load takes effect in one piece, so nothing on the way to it is worth a checkpoint.
            if is_due && self.load.is_none() {
                self.write(&mut batch, reader, false)?;
                (batch_bytes, loose_rejects) = (0, 0);
            }
        }
        self.write(&mut batch, reader, true)?;
        Ok(ends_with_record)
    }

    /// What the cluster would refuse, and with it the whole batch.
    fn check(&self, record: &Record) -> Result<(), String> {
        let max_value = MAX_VALUE_BYTES - VALUE_MARGIN_BYTES;
        if record.key.len() > MAX_KEY_BYTES {
            return Err(format!(
                "the key has {} bytes, at most {MAX_KEY_BYTES} are possible",
                record.key.len()
            ));
        }
        if record.value.len() > max_value {
            return Err(format!(
                "the value has {} bytes, at most {max_value} are possible",
                record.value.len()
            ));
        }
        self.cluster
            .topology()
            .check_key(&record.key)
            .map_err(|error| error.to_string())
    }

    fn reject(&mut self, rejected: &Rejected) -> Outcome {
        self.state.rejected += 1;
        self.rejects.add(rejected)
    }

    /// Writes a batch, and when it is durable the checkpoint that says so.
    fn write(&mut self, batch: &mut Vec<Pair>, reader: &dyn RecordReader, last: bool) -> Outcome {
        self.cluster.put_many_expiring(batch, self.job.durability)?;
        if let Some(load) = self.load.take() {
            load.finish()?;
        }
        self.rejects.sync()?;
        self.state.records += batch.len() as u64 + std::mem::take(&mut self.loaded);
        self.state.position = reader.position();
        self.state.rejects_bytes = self.rejects.bytes();
        self.state.finished = last;
        if let Some(place) = &self.place {
            place.save(&self.state)?;
        }
        batch.clear();
        self.show(self.state.position.offset);
        Ok(())
    }

    fn show(&mut self, offset: u64) {
        let (state, loaded) = (&self.state, self.loaded);
        self.progress.at(offset, || {
            let mut note = counted(state.records + loaded, "record");
            if state.rejected > 0 {
                note.push_str(&format!(", {} rejected", count(state.rejected)));
            }
            note
        });
    }
}

/// Names the line of a record that a bulk load refuses.
fn unsorted(job: &Job, line: u64, error: ClusterError) -> Failure {
    match &error {
        ClusterError::Store {
            source: source @ StoreError::Unsorted { .. },
            ..
        } => Failure::usage(format!("{}, line {line}: {source}", job.name())),
        _ => error.into(),
    }
}

/// Enough of a record that is too large to find it again.
fn shortened(record: &Record) -> Vec<u8> {
    const SHOWN_BYTES: usize = 4096;
    record.value[..record.value.len().min(SHOWN_BYTES)].to_vec()
}
