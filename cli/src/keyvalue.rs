//! `atoll put`, `get`, `delete`: one key.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use atoll::store::{Expires, Value};
use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::one_store;
use crate::output;
use crate::records::RangeArgs;
use crate::session::{self, DirArg, ReadArgs, WriteArgs, bytes_of};

/// How often a long deletion says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// Options of `atoll put`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll put data user:42 '{\"name\":\"Kim\"}'
  atoll put data picture - < cat.png
  atoll put data user:42 x --print-token
  atoll put data session:7 token --ttl 30m

Prints nothing unless asked to.")]
pub struct PutArgs {
    #[command(flatten)]
    dir: DirArg,

    /// Key: the bytes of the argument
    key: OsString,

    /// Value; `-`, or none at all, reads it from standard input
    value: Option<OsString>,

    /// Key and value are given in hexadecimal
    #[arg(long)]
    hex: bool,

    /// The value is gone after this time, a number with ms, s, m, h or d
    #[arg(long, value_name = "TIME", value_parser = time_to_live)]
    ttl: Option<Duration>,

    #[command(flatten)]
    write: WriteArgs,
}

fn time_to_live(text: &str) -> Result<Duration, String> {
    let time = atoll::config::text::parse_time(text)?;
    if time.as_millis() == 0 {
        return Err("at least one millisecond is needed".into());
    }
    Ok(time)
}

/// Stores one value.
pub fn put(args: &PutArgs) -> Outcome {
    let key = bytes_of(&args.key, args.hex)?;
    let value = match &args.value {
        Some(value) if value != "-" => bytes_of(value, args.hex)?,
        _ => {
            let mut value = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut value);
            read.map_err(|error| {
                Failure::failed(format!("cannot read the value from standard input: {error}"))
            })?;
            value
        }
    };
    let token = session::with(&args.dir.dir, |cluster| {
        let expires = args.ttl.map_or(Expires::Never, Expires::After);
        Ok(cluster.put_expiring(&key, &value, expires, args.write.durability)?)
    })?;
    args.write.print(&token)
}

/// Options of `atoll delete`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll delete data user:42
  atoll delete data --prefix session:
  atoll delete data --start 2024-01 --end 2025-01 --json

Deleting what is not there is no error. A range goes in groups of keys, not as one step; interrupted, it
goes on when the command is given again. What is written into the range meanwhile may stay or go.")]
pub struct DeleteArgs {
    #[command(flatten)]
    dir: DirArg,

    /// Key: the bytes of the argument; none for a range
    key: Option<OsString>,

    #[command(flatten)]
    range: RangeArgs,

    /// Keys are given in hexadecimal
    #[arg(long)]
    hex: bool,

    #[command(flatten)]
    write: WriteArgs,
}

/// Deletes one key, or those of a range.
pub fn delete(args: &DeleteArgs) -> Outcome {
    let key = match (&args.key, args.range.is_all()) {
        (Some(key), true) => bytes_of(key, args.hex)?,
        (None, false) => return delete_range(args),
        (Some(_), false) => return Err(Failure::usage("name a key or a range, not both")),
        (None, true) => {
            return Err(Failure::usage(
                "name a key, or a range with --start, --end or --prefix (--prefix '' is everything)",
            ));
        }
    };
    let token = session::with(&args.dir.dir, |cluster| {
        Ok(cluster.delete(&key, args.write.durability)?)
    })?;
    args.write.print(&token)
}

fn delete_range(args: &DeleteArgs) -> Outcome {
    let (start, end) = args.range.bounds(args.hex)?;
    let mut said = Instant::now();
    let (deleted, token) = session::with(&args.dir.dir, |cluster| {
        let (start, end) = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        Ok(
            cluster.delete_range(start, end, args.write.durability, &mut |deleted| {
                if said.elapsed() >= SAY_EVERY {
                    said = Instant::now();
                    output::say(&format!("{} deleted so far", output::counted(deleted, "key")));
                }
            })?,
        )
    })?;
    if !args.write.json {
        output::say(&format!("{} deleted", output::counted(deleted, "key")));
        return args.write.print(&token);
    }
    output::print_json(&serde_json::json!({ "deleted": deleted, "token": token.to_string() }))
}

/// Options of `atoll get`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll get data user:42
  atoll get data user:42 --consistency eventual
  atoll get data user:42 --consistency read_your_writes --token $(atoll put data user:42 x --print-token)

DIR may also be one store, such as data/nodes/n1/shard-00000, while another process writes it.
Prints the value and a newline. Exit code 1: there is no such key.")]
pub struct GetArgs {
    #[command(flatten)]
    dir: DirArg,

    /// Key: the bytes of the argument
    key: OsString,

    /// Key and value are in hexadecimal
    #[arg(long)]
    hex: bool,

    /// Print value, answering node, log position and expiry (ms since 1970, or null) as JSON
    #[arg(long, conflicts_with = "hex")]
    json: bool,

    #[command(flatten)]
    read: ReadArgs,
}

/// Prints one value.
pub fn get(args: &GetArgs) -> Outcome {
    let key = bytes_of(&args.key, args.hex)?;
    let options = args.read.options()?;
    let dir = &args.dir.dir;
    if one_store::is_store(dir) {
        args.read.must_be_plain(dir)?;
        let value = one_store::get(dir, &key)?;
        return print_value(args, &key, value.map(|value| (value, None)));
    }
    session::with(dir, |cluster| {
        let answer = cluster.get(&key, &options)?;
        print_value(args, &key, answer.map(|answer| (answer.value, Some(answer.node))))
    })
}

/// Prints a value and the node it came from, if it came from one.
fn print_value(args: &GetArgs, key: &[u8], found: Option<(Value, Option<String>)>) -> Outcome {
    let Some((value, node)) = found else {
        let key = String::from_utf8_lossy(key);
        return Err(Failure::failed(format!(
            "no key {key:?} in {}",
            args.dir.dir.display()
        )));
    };
    let mut out = output::stdout();
    if args.json {
        out.write_all(b"{")?;
        crate::records::write_json_field(&mut out, "value", &value, true)?;
        let node = serde_json::Value::from(node);
        write!(out, ",\"node\":{node},\"lsn\":{}", value.lsn())?;
        let expires = serde_json::Value::from(value.expires_at_ms());
        write!(out, ",\"expires_at_ms\":{expires}}}")?;
    } else if args.hex {
        out.write_all(output::hex(&value).as_bytes())?;
    } else {
        out.write_all(&value)?;
    }
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}
