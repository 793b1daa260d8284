//! Usage: help, exit codes, refusals.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::run::Place;

const COMMANDS: [&str; 22] = [
    "compact",
    "demo",
    "init",
    "import",
    "export",
    "put",
    "get",
    "delete",
    "scan",
    "count",
    "route",
    "plan",
    "rebalance",
    "status",
    "metrics",
    "options",
    "verify",
    "backup",
    "restore",
    "dump",
    "repair",
    "ring",
];

#[test]
fn every_command_has_help_with_an_example_of_itself() {
    let place = Place::new();
    let all = place.run(&["--help"]).code(0);
    for command in COMMANDS {
        assert!(
            all.out.contains(&format!("  {command} ")),
            "{command} is not listed"
        );
        let help = place.run(&[command, "--help"]).code(0);
        assert!(help.out.contains("Example"), "{command}: {}", help.out);
        assert!(
            help.out.contains(&format!("atoll {command}")),
            "{command}: {}",
            help.out
        );
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let place = Place::with_cluster();
    place.run(&[]).code(2);
    place.run(&["nonsense"]).code(2).says("nonsense");
    place.run(&["get", "c"]).code(2);
    place
        .run(&["get", "c", "k", "--consistency", "maybe"])
        .code(2)
        .says("strong, eventual, read_your_writes");
    place
        .run(&["get", "c", "k", "--consistency", "read_your_writes"])
        .code(2)
        .says("--print-token");
    place.run(&["get", "c", "k", "--token", "zz"]).code(2);
    place
        .run(&["put", "c", "k", "v", "--durability", "never"])
        .code(2)
        .says("buffered, synced, replicated");
    place
        .run(&["put", "c", "k", "--hex", "abc"])
        .code(2)
        .says("hexadecimal");
    place.run(&["plan", "c"]).code(2).says("--add");
    place.run(&["plan", "c", "--add", "a", "--remove", "b"]).code(2);
    place
        .run(&["plan", "c", "--reweight", "n1"])
        .code(2)
        .says("NODE=WEIGHT");
}

#[test]
fn directories_that_are_no_cluster_are_refused_and_left_alone() {
    let place = Place::new();
    place
        .run(&["get", "missing", "k"])
        .code(2)
        .says("missing is not a cluster directory")
        .says("atoll init missing");
    std::fs::create_dir(place.path("other")).unwrap();
    place.write("other/postgresql.conf", "port = 5432\n");
    place
        .run(&["put", "other", "k", "v"])
        .code(2)
        .says("other is not a cluster directory");
    place
        .run(&["init", "other", "--shards", "1", "--replicas", "1"])
        .code(2)
        .says("other is not empty");
    assert_eq!(place.read("other/postgresql.conf"), "port = 5432\n");
    assert_eq!(crate::run::files_below(&place.path("other")).len(), 1);
    place.run(&["status", "other/postgresql.conf"]).code(2);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = Place::with_cluster();
    let lines: String = (0..5000)
        .map(|id| format!("{{\"id\":{id},\"text\":\"{}\"}}\n", "x".repeat(100)))
        .collect();
    place.write("a.jsonl", lines);
    place.run(&["import", "c", "a.jsonl", "--key", "id"]).code(0);
    let mut command = place.command(&["scan", "c"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    place.run(&["count", "c"]).code(0).prints("5000\n");
}

#[test]
fn a_cluster_in_use_is_unavailable_and_names_its_user() {
    let place = Place::with_cluster();
    // Longer and longer, for slow machines: a question that comes too early may take the lock away
    // from the import it is about.
    for wait in [200, 400, 800, 1600, 3200] {
        let mut holder = place.command(&["import", "c", "-", "--format", "jsonl", "--key", "id"]);
        let holder = holder
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut holder = holder.spawn().unwrap();
        // Its input stays open, so it ends only when that is closed.
        let mut input = holder.stdin.take().unwrap();
        input.write_all(b"{\"id\":1}\n").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        let asked = place.run(&["count", "c"]);
        drop(input);
        let imported = holder.wait().unwrap().success();
        if asked.code == Some(4) && imported {
            asked.says(&format!("in use by process {}", holder.id()));
            place.run(&["count", "c"]).code(0).prints("1\n");
            return;
        }
    }
    panic!("the import never held the cluster");
}
