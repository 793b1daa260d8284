//! One replica's directory read by itself, also while another process has the cluster open.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use crate::run::Place;

/// Directories of the replicas of the cluster `c`, of shard 0.
fn replicas(place: &Place) -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(place.path("c/nodes"))
        .unwrap()
        .map(|node| format!("c/nodes/{}", node.unwrap().file_name().into_string().unwrap()))
        .flat_map(|node| {
            let shards = std::fs::read_dir(place.path(&node)).unwrap();
            let names = shards.map(|shard| shard.unwrap().file_name().into_string().unwrap());
            names
                .map(move |name| format!("{node}/{name}"))
                .collect::<Vec<_>>()
        })
        .filter(|dir| place.path(dir).join("CONTROL").is_file())
        .collect();
    found.sort();
    found
}

/// An import whose input stays open, and with it the cluster.
fn held_open(place: &Place) -> (Child, ChildStdin) {
    let mut holder = place
        .command(&["import", "c", "-", "--format", "jsonl", "--key", "id"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It opens the cluster with the first record.
    let mut input = holder.stdin.take().unwrap();
    writeln!(input, "{{\"id\":\"first\"}}").unwrap();
    (holder, input)
}

#[test]
fn replicas_of_a_closed_cluster_show_its_records() {
    let place = Place::with_cluster();
    for i in 0..40 {
        let (key, value) = (format!("key-{i:02}"), format!("value {i}"));
        place
            .run(&["put", "c", &key, &value, "--durability", "replicated"])
            .code(0);
    }
    place
        .run(&["delete", "c", "key-07", "--durability", "replicated"])
        .code(0);
    let mut seen = std::collections::BTreeMap::new();
    for dir in replicas(&place) {
        let scanned = place.run(&["scan", &dir]).code(0);
        let lines: Vec<&str> = scanned.out.lines().collect();
        place
            .run(&["count", &dir])
            .code(0)
            .prints(&format!("{}\n", lines.len()));
        for line in lines {
            let (key, value) = line.split_once('\t').unwrap();
            place
                .run(&["get", &dir, key])
                .code(0)
                .prints(&format!("{value}\n"));
            seen.insert(key.to_owned(), value.to_owned());
        }
        place
            .run(&["get", &dir, "key-07"])
            .code(1)
            .says("no key \"key-07\"");
        place.run(&["verify", &dir]).code(0).mentions("segment");
        let status = place.run(&["status", &dir, "--json"]).code(0).json();
        assert_eq!(status["writer"], serde_json::Value::Null, "{status}");
        assert!(status["tail"].as_u64().unwrap() > 0, "{status}");
        place.run(&["status", &dir]).code(0).mentions("open nowhere");
    }
    assert_eq!(seen.len(), 39);
    assert_eq!(seen["key-31"], "value 31");
    place.run(&["count", "c"]).code(0).prints("39\n");
}

#[test]
fn replicas_are_read_while_another_process_writes_them() {
    let place = Place::with_cluster();
    place
        .run(&["put", "c", "before", "1", "--durability", "replicated"])
        .code(0);
    let (mut holder, mut input) = held_open(&place);
    // Until the import has the cluster open, one of the replicas says that nobody does.
    let began = Instant::now();
    let pid = holder.id();
    let dirs = replicas(&place);
    let writer = |dir: &str| place.run(&["status", dir, "--json"]).code(0).json()["writer"][0].clone();
    while dirs.iter().any(|dir| writer(dir) != pid) {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "the import never opened the cluster"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    place
        .run(&["get", "c", "before"])
        .code(4)
        .says("nodes/NODE/shard-NUMBER");
    let found = dirs
        .iter()
        .filter(|dir| place.run(&["get", dir, "before"]).code == Some(0))
        .count();
    assert!(found >= 2, "{found} of {} replicas have it", dirs.len());
    for i in 0..50 {
        writeln!(input, "{{\"id\":\"new-{i}\"}}").unwrap();
    }
    drop(input);
    assert!(holder.wait().unwrap().success());
    let total: u64 = dirs
        .iter()
        .map(|dir| {
            place
                .run(&["count", dir, "--prefix", "new-"])
                .code(0)
                .out
                .trim()
                .parse::<u64>()
                .unwrap()
        })
        .sum();
    assert!(total >= 50, "{total}");
    for dir in &dirs {
        assert_eq!(writer(dir), serde_json::Value::Null, "{dir}");
    }
}

#[test]
fn what_only_a_cluster_can_answer_is_refused() {
    let place = Place::with_cluster();
    place.run(&["put", "c", "k", "v"]).code(0);
    let dir = &replicas(&place)[0];
    place
        .run(&["count", dir, "--approximate"])
        .code(2)
        .says("for clusters");
    let token = place.run(&["put", "c", "k", "v", "--print-token"]).code(0).out;
    let asked = [
        "get",
        dir,
        "k",
        "--consistency",
        "read_your_writes",
        "--token",
        token.trim(),
    ];
    place.run(&asked).code(2).says("tokens are for clusters");
}
