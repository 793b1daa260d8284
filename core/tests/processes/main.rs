//! Real processes on a real file system: killed, stopped, forked, beside each other, on a full disk.
//!
//! The helpers are this very program, started again with `ATOLL_HELPER` set to what it shall do.

mod fork;
mod full;
mod helper;
mod kills;
mod model;
mod readers;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use atoll::ids::{ShardId, Uuid};
use atoll::io::Env;
use atoll::store::{Compaction, Store, StoreIdentity, StoreOptions};

fn options() -> StoreOptions {
    StoreOptions {
        segment_max_bytes: 1 << 20,
        // Segments become tables while processes are killed, stopped and read from.
        compaction: Compaction::Background { rate_bytes_per_s: 0 },
        ..StoreOptions::new(StoreIdentity {
            cluster: Uuid::NIL,
            shard: ShardId(0),
            node: 1,
        })
    }
}

fn open(dir: &Path) -> Store {
    Store::open_standalone(&Env::os(), dir, &options()).expect("opens")
}

/// Starts this program as a helper; it says on standard output what it has done.
fn start(what: &str, dir: &Path, seed: u64) -> Child {
    Command::new(std::env::current_exe().expect("a path"))
        .args(["helper::entry", "--exact", "--nocapture", "--test-threads=1"])
        .env("ATOLL_HELPER", what)
        .env("ATOLL_HELPER_DIR", dir)
        .env("ATOLL_HELPER_SEED", seed.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("starts")
}

#[expect(unsafe_code, reason = "std sends no signals but SIGKILL")]
fn signal(child: &Child, signal: i32) {
    let pid = libc::pid_t::try_from(child.id()).expect("a process id");
    // SAFETY: takes numbers only; the child has not been waited for, so the id is its own.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signalled");
}
