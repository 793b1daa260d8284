//! init, plan, rebalance, status, ring, route.

use crate::run::Place;

#[test]
fn a_new_cluster_is_what_was_asked_for() {
    let place = Place::new();
    place
        .run(&["init", "a", "--shards", "2", "--replicas", "3"])
        .code(0)
        .mentions("2 shards, 3 copies on 3 nodes");
    let status = place.run(&["status", "a", "--json"]).code(0).json();
    assert_eq!(status["slots"], 4096);
    assert_eq!(status["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(status["shards"][0]["quorum"], 2);
    let args = [
        "init",
        "b",
        "--shards",
        "4",
        "--replicas",
        "2",
        "--nodes",
        "x,y=2,z",
        "--slots",
        "64",
        "--quorum",
        "1",
        "--json",
    ];
    let status = place.run(&args).code(0).json();
    assert_eq!(
        (&status["slots"], &status["nodes"][1]["weight"]),
        (&64.into(), &2.into())
    );
    assert_eq!(status["shards"][0]["quorum"], 1);
    place
        .run(&["init", "d", "--shards", "1", "--replicas", "3", "--nodes", "2"])
        .code(0)
        .says("2 of 3 replicas");
    place
        .run(&["init", "a", "--shards", "1", "--replicas", "1"])
        .code(2)
        .says("not empty");
    place
        .run(&["init", "e", "--shards", "0", "--replicas", "1"])
        .code(2);
    place
        .run(&["init", "e", "--shards", "9", "--replicas", "1", "--slots", "8"])
        .code(2)
        .says("9 shards");
    place
        .run(&["init", "e", "--shards", "1", "--replicas", "1", "--nodes", "a,a"])
        .code(2)
        .says("twice");
    place
        .run(&["init", "e", "--shards", "1", "--replicas", "2", "--quorum", "3"])
        .code(2)
        .says("quorum");
}

#[test]
fn ranges_keep_neighbours_together() {
    let place = Place::new();
    place
        .run(&[
            "init",
            "r",
            "--shards",
            "3",
            "--replicas",
            "1",
            "--router",
            "range",
        ])
        .code(2)
        .says("--split-at");
    place
        .run(&["init", "r", "--shards", "1", "--replicas", "1", "--split-at", "g"])
        .code(2)
        .says("--router range");
    place
        .run(&[
            "init",
            "r",
            "--shards",
            "3",
            "--replicas",
            "1",
            "--router",
            "range",
            "--split-at",
            "g",
            "n",
        ])
        .code(0);
    for key in ["apple", "grape", "melon", "nut", "zest"] {
        place.run(&["put", "r", key, "1"]).code(0);
    }
    place
        .run(&["scan", "r", "--keys-only"])
        .prints("apple\ngrape\nmelon\nnut\nzest\n");
    let status = place.run(&["status", "r", "--json"]).json();
    let records: Vec<u64> = status["shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["records"].as_u64().unwrap())
        .collect();
    assert_eq!(records, [1, 2, 2]);
    place.run(&["ring", "r", "--svg", "r.svg"]).code(0);
    assert!(place.read("r.svg").contains(">g<"));
}

#[test]
fn a_plan_moves_nothing_and_a_rebalance_does_what_it_says() {
    let place = Place::with_cluster();
    let rows: String = (0..2000).map(|id| format!("{id},{id}\n")).collect();
    place.write("a.csv", format!("id,n\n{rows}"));
    place.run(&["import", "c", "a.csv", "--key", "id"]).code(0);
    place
        .run(&["plan", "c", "--add", "n4"])
        .code(0)
        .mentions("Adding n4")
        .mentions("hash mod N");
    let plan = place.run(&["plan", "c", "--add", "n4", "--json"]).code(0).json();
    let dry = place
        .run(&["rebalance", "c", "--add", "n4", "--dry-run", "--json"])
        .code(0)
        .json();
    assert_eq!(plan, dry);
    assert_eq!(plan["moved_between_old_nodes"], 0);
    let before = place.run(&["status", "c", "--json"]).json();
    assert_eq!(
        (&before["version"], before["nodes"].as_array().unwrap().len()),
        (&1.into(), 3)
    );
    let done = place
        .run(&["rebalance", "c", "--add", "n4", "--json"])
        .code(0)
        .json();
    assert_eq!(done["keys_moved"], plan["keys"]);
    assert_eq!(done["keys_between_old_nodes"], 0);
    place.run(&["count", "c"]).prints("2000\n");
    place
        .run(&["get", "c", "1999", "--consistency", "eventual"])
        .prints("{\"id\":\"1999\",\"n\":\"1999\"}\n");
    place.run(&["rebalance", "c", "--reweight", "n4=2"]).code(0);
    place
        .run(&["rebalance", "c", "--remove", "n1"])
        .code(0)
        .mentions("Done removing n1");
    place
        .run(&["rebalance", "c"])
        .code(0)
        .prints("nothing to do: no rebalance was interrupted\n");
    place
        .run(&["rebalance", "c", "--remove", "n2"])
        .code(2)
        .says("add a node first");
    place
        .run(&["rebalance", "c", "--remove", "nobody"])
        .code(2)
        .says("nobody");
    place.run(&["count", "c"]).prints("2000\n");
    place.run(&["verify", "c"]).code(0);
    let status = place.run(&["status", "c"]).code(0);
    assert!(!status.out.contains("n1"), "{}", status.out);
}

/// Two shards leave one of three nodes empty until the cluster is levelled.
#[test]
fn balancing_levels_a_cluster_without_changing_its_nodes() {
    let place = Place::new();
    let init = ["init", "c", "--shards", "2", "--replicas", "1"];
    place
        .run(&[&init[..], &["--nodes", "x,y,z", "--slots", "64"]].concat())
        .code(0);
    let rows: String = (0..500).map(|id| format!("{id},{id}\n")).collect();
    place.write("a.csv", format!("id,n\n{rows}"));
    place.run(&["import", "c", "a.csv", "--key", "id"]).code(0);
    let plan = place.run(&["plan", "c", "--balance", "--json"]).code(0).json();
    assert!(plan["copies_moved"].as_u64().unwrap() > 0, "{plan}");
    let (before, after) = (
        plan["max_over_mean_before"].as_f64().unwrap(),
        plan["max_over_mean_after"].as_f64().unwrap(),
    );
    assert!(after < before, "{plan}");
    let done = place
        .run(&["rebalance", "c", "--balance", "--json"])
        .code(0)
        .json();
    assert_eq!(done["keys_moved"], plan["keys"]);
    let again = place.run(&["plan", "c", "--balance", "--json"]).code(0).json();
    assert_eq!(again["copies_moved"], 0, "{again}");
    place.run(&["count", "c"]).prints("500\n");
    place.run(&["verify", "c"]).code(0);
    place
        .run(&["plan", "c", "--balance", "--add", "q"])
        .code(2)
        .says("--balance");
}

/// Killed in the middle of a rebalance, a cluster keeps every key and the next command finishes.
#[test]
fn an_interrupted_rebalance_goes_on() {
    let place = Place::with_cluster();
    let lines: String = (0..20_000)
        .map(|id| format!("{{\"id\":{id},\"v\":\"{id:0200}\"}}\n"))
        .collect();
    place.write("a.jsonl", lines);
    place.run(&["import", "c", "a.jsonl", "--key", "id"]).code(0);
    let mut child = place.command(&["rebalance", "c", "--add", "n4"]).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(400));
    child.kill().unwrap();
    child.wait().unwrap();
    let status = place.run(&["status", "c", "--json"]).code(0).json();
    let open = !status["open_move"].is_null();
    place.run(&["count", "c"]).prints("20000\n");
    let resumed = place.run(&["rebalance", "c"]).code(0);
    assert_eq!(resumed.out.contains("resumed"), open, "{}", resumed.out);
    place.run(&["verify", "c"]).code(0);
    place.run(&["count", "c"]).prints("20000\n");
}

#[test]
fn the_picture_is_well_formed_whatever_the_nodes_are_called() {
    let place = Place::new();
    let nodes = "<b>&\"',a]]>,섬";
    place
        .run(&[
            "init",
            "c<&>\"",
            "--shards",
            "3",
            "--replicas",
            "2",
            "--nodes",
            nodes,
        ])
        .code(0);
    place
        .run(&["ring", "c<&>\"", "--svg", "ring.svg"])
        .code(0)
        .says("ring.svg written");
    let svg = place.read("ring.svg");
    assert!(svg.starts_with("<?xml") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("&lt;b&gt;&amp;") && !svg.contains("<b>"), "{svg}");
    place
        .run(&["ring", "c<&>\"", "--svg", "no/such/ring.svg"])
        .code(1)
        .says("cannot write no/such/ring.svg");
}

#[test]
fn routes_need_no_cluster() {
    let place = Place::new();
    let args = [
        "route",
        "--algorithm",
        "modulo",
        "--hash",
        "md5",
        "--nodes",
        "a,b,c",
    ];
    place
        .run_with_input(&args, b"user:1\nuser:2\n")
        .code(0)
        .mentions("user:1\t");
    place.run(&["route", "--algorithm", "slots"]).code(2);
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let place = Place::new();
    place
        .run(&["init", "a", "--shards", "2", "--replicas", "3"])
        .code(0);
    place.run(&["put", "a", "k", "v"]).code(0);
    place
        .run(&["metrics", "a"])
        .code(0)
        .mentions("# TYPE atoll_node_up gauge\natoll_node_up{node=\"n1\"} 1\n")
        .mentions("atoll_replica_up{shard=\"1\",replica=\"n3\"} 1\n")
        .mentions("atoll_log_poisoned{shard=\"0\",replica=\"n2\"} 0\n");
    place.run(&["metrics", "nowhere"]).code(2);
    place
        .run(&["metrics", "a/nodes/n1/shard-00000"])
        .code(2)
        .says("atoll status");
}
