//! Opening and closing a cluster for one command, and the options that reads and writes share.
//!
//! A directory comes in; an open cluster goes out, after what opening it had to do was said on
//! standard error.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use atoll::cluster::{Cluster, ClusterOptions, Consistency, Event, ReadOptions, Token, WriteDurability};
use atoll::io::Env;
use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::output;

/// Opens the cluster of a directory.
pub fn open(dir: &Path) -> Outcome<Cluster> {
    if dir.is_file() {
        return Err(Failure::usage(format!(
            "{} is a file, not a cluster directory",
            dir.display()
        )));
    }
    let cluster = Cluster::open(&Env::os(), dir, &ClusterOptions::default())?;
    tell_events(&cluster);
    Ok(cluster)
}

/// Closes it, so that the next command has nothing to recover.
pub fn close(cluster: Cluster) -> Outcome {
    Ok(cluster.close()?)
}

/// Runs one command on an open cluster. It is closed whether the command succeeds or not; of two
/// errors the command's is the one that is told.
pub fn with<T>(dir: &Path, command: impl FnOnce(&Cluster) -> Outcome<T>) -> Outcome<T> {
    let cluster = open(dir)?;
    let done = command(&cluster);
    let closed = close(cluster);
    let value = done?;
    closed.map(|()| value)
}

/// Says what happened while the cluster was opened. Ordinary recoveries are many, alike and
/// harmless, so they become one line.
fn tell_events(cluster: &Cluster) {
    let mut recovered = 0;
    for event in cluster.events() {
        match &event {
            Event::Recovered { report, .. } if report.cut.is_none() => recovered += 1,
            Event::Shortfall { .. } => {}
            other => output::warn(&other.to_string()),
        }
    }
    if recovered > 0 {
        let replicas = output::counted(recovered, "replica");
        output::warn(&format!(
            "it had not been closed: {replicas} recovered, nothing lost"
        ));
    }
}

/// Directory of a cluster.
#[derive(Args, Debug)]
pub struct DirArg {
    /// Directory of the cluster
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// How fresh a read has to be.
#[derive(Args, Debug)]
pub struct ReadArgs {
    /// strong, eventual or read_your_writes (with the token of a write)
    #[arg(long, value_name = "LEVEL", default_value_t = Consistency::Strong)]
    consistency: Consistency,

    /// Token of a write that the read has to see, as `put --print-token` printed it
    #[arg(long, value_name = "HEX")]
    token: Option<Token>,
}

impl ReadArgs {
    /// Refuses what means nothing for one store, whose reader sees every acknowledged write.
    pub fn must_be_plain(&self, dir: &Path) -> Outcome {
        if self.token.is_none() {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{} is one store: tokens are for clusters, and its reader sees every acknowledged write",
            dir.display()
        )))
    }

    /// The options of the engine.
    pub fn options(&self) -> Outcome<ReadOptions> {
        match (self.consistency, &self.token) {
            (Consistency::ReadYourWrites, None) => Err(Failure::usage(
                "--consistency read_your_writes needs the token of the write: `atoll put … --print-token` prints it",
            )),
            (Consistency::Eventual, Some(_)) => Err(Failure::usage(
                "--token asks for more than --consistency eventual: use read_your_writes",
            )),
            // Whoever gives a token and no level wants to see that write.
            (consistency, token) => Ok(ReadOptions {
                consistency,
                token: token.clone(),
            }),
        }
    }
}

/// When a write counts as done.
#[derive(Args, Debug)]
pub struct WriteArgs {
    /// buffered, synced or replicated; the quorum of the cluster is the least that happens
    #[arg(long, value_name = "LEVEL", default_value_t = WriteDurability::Replicated)]
    pub durability: WriteDurability,

    /// Print the token of the write, for reads that have to see it
    #[arg(long)]
    print_token: bool,

    /// Print {"token": …}
    #[arg(long)]
    pub json: bool,
}

impl WriteArgs {
    /// Prints what was asked for, mostly nothing.
    pub fn print(&self, token: &Token) -> Outcome {
        if self.json {
            output::print_json(&serde_json::json!({ "token": token.to_string() }))
        } else if self.print_token {
            output::print(&token.to_string())
        } else {
            Ok(())
        }
    }
}

/// The bytes of an argument, decoded when it is hexadecimal.
pub fn bytes_of(argument: &OsString, hex: bool) -> Outcome<Vec<u8>> {
    let bytes = argument.clone().into_vec();
    if hex { unhex(&bytes) } else { Ok(bytes) }
}

fn unhex(text: &[u8]) -> Outcome<Vec<u8>> {
    let bad = || {
        Failure::usage(format!(
            "{:?} is not hexadecimal: an even number of digits 0-9 a-f is needed",
            text.escape_ascii().to_string()
        ))
    };
    let digit = |byte: u8| {
        (byte as char)
            .to_digit(16)
            .map(|digit| digit as u8)
            .ok_or_else(bad)
    };
    if !text.len().is_multiple_of(2) {
        return Err(bad());
    }
    text.chunks_exact(2)
        .map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}
