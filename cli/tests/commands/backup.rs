//! backup and restore, of clusters and of single stores, sound and damaged.

use std::fs;

use atoll::ids::{ShardId, Uuid};
use atoll::io::Env;
use atoll::store::{Durability, Store, StoreIdentity, StoreOptions};

use crate::run::{Place, files_below};

fn filled() -> Place {
    let place = Place::with_cluster();
    let lines: String = (0..2000)
        .map(|id| format!("{{\"id\":{id},\"v\":\"{id:0100}\"}}\n"))
        .collect();
    place.write("a.jsonl", lines);
    place.run(&["import", "c", "a.jsonl", "--key", "id"]).code(0);
    place.run(&["compact", "c"]).code(0);
    place.run(&["put", "c", "한국어", "값"]).code(0);
    place
}

#[test]
fn a_cluster_comes_back_whole() {
    let place = filled();
    let all = place.run(&["export", "c"]).code(0).out;
    place
        .run(&["backup", "c", "safe"])
        .code(0)
        .mentions("backup 1 in safe");
    place
        .run(&["verify", "safe"])
        .code(0)
        .mentions("backup 1: 3 shards");
    place.run(&["put", "c", "later", "x"]).code(0);
    place
        .run(&["restore", "safe", "again"])
        .code(0)
        .mentions("2,001 keys in 9 replicas of 3 shards");
    assert_eq!(place.run(&["export", "again"]).code(0).out, all);
    place.run(&["verify", "again"]).code(0).mentions("9 replicas");
    place.run(&["get", "again", "한국어"]).code(0).prints("값\n");

    let report = place.run(&["backup", "c", "safe", "--json"]).code(0).json();
    assert_eq!(report["sequence"], 2);
    assert!(
        report["bytes_kept"].as_u64() > report["bytes_copied"].as_u64(),
        "{report}"
    );
    let report = place.run(&["verify", "safe", "--json"]).code(0).json();
    assert_eq!(report["damage"].as_array().unwrap().len(), 0);
    let report = place.run(&["restore", "safe", "third", "--json"]).code(0).json();
    assert_eq!((&report["keys"], &report["replicas"]), (&2002.into(), &9.into()));
}

#[test]
fn a_single_store_comes_back_whole() {
    let place = Place::new();
    let env = Env::os();
    let options = StoreOptions::new(StoreIdentity {
        cluster: Uuid::NIL,
        shard: ShardId(0),
        node: 4,
    });
    let store = Store::open_standalone(&env, &place.path("s"), &options).unwrap();
    for n in 0..500u32 {
        store
            .put(&n.to_be_bytes(), &[7; 500], Durability::Buffered)
            .unwrap();
    }
    place
        .run(&["backup", "s", "safe"])
        .code(4)
        .says("in use by process");
    store.close().unwrap();
    place
        .run(&["backup", "s", "safe", "--link"])
        .code(0)
        .mentions("backup 1");
    place
        .run(&["restore", "safe", "again"])
        .code(0)
        .mentions("500 keys up to position");
    let store = Store::open_standalone(&env, &place.path("again"), &options).unwrap();
    assert_eq!(
        store.get(&9u32.to_be_bytes()).unwrap().as_deref(),
        Some(&[7; 500][..])
    );
}

#[test]
fn damage_and_wrong_directories_are_told_apart_by_exit_codes() {
    let place = filled();
    place.run(&["backup", "c", "c/safe"]).code(2).says("outside");
    place
        .run(&["backup", "nothing", "safe"])
        .code(2)
        .says("does not exist");
    place
        .run(&["restore", "c", "again"])
        .code(2)
        .says("is not a backup");
    place.run(&["backup", "c", "safe"]).code(0);
    place.run(&["restore", "safe", "c"]).code(2).says("is not empty");
    let file = files_below(&place.path("safe"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "tbl"))
        .unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    place.run(&["verify", "safe"]).code(3).says(name);
    place.run(&["restore", "safe", "again"]).code(3).says(name);
    assert!(!place.path("again").exists());
    // As the message says.
    fs::remove_file(&file).unwrap();
    place.run(&["backup", "c", "safe"]).code(0);
    place.run(&["verify", "safe"]).code(0);
    place.run(&["restore", "safe", "again"]).code(0);
}

/// The way that docs/OPERATIONS.md names for a replica that nobody's log can bring back.
#[test]
fn a_lost_replica_of_a_released_log_comes_back_through_a_backup() {
    let place = Place::new();
    place
        .run(&["init", "c", "--shards", "1", "--replicas", "3"])
        .code(0);
    let text = "x".repeat(200);
    let lines: String = (0..20_000)
        .map(|n| format!("{{\"id\":\"user:{n:05}\",\"text\":\"{text}\"}}\n"))
        .collect();
    place.write("all.jsonl", lines);
    place.run(&["import", "c", "all.jsonl", "--key", "id"]).code(0);
    place.run(&["compact", "c", "--release-log"]).code(0);
    fs::remove_dir_all(place.path("c/nodes/n2/shard-00000")).unwrap();
    // It says what is the matter, and the others go on.
    place
        .run(&["put", "c", "user:00007", "newer"])
        .code(0)
        .says("have been released")
        .says("copy the store anew");
    place.run(&["backup", "c", "saved"]).code(0);
    place.run(&["restore", "saved", "again"]).code(0);
    place.run(&["count", "again"]).prints("20000\n");
    place.run(&["get", "again", "user:00007"]).prints("newer\n");
    let status = place.run(&["status", "again", "--json"]).code(0).json();
    let replicas = status["shards"][0]["replicas"].as_array().unwrap().clone();
    assert_eq!(replicas.len(), 3);
    for replica in replicas {
        let state = replica["state"].as_str().unwrap();
        assert!(matches!(state, "primary" | "follower"), "{replica}");
    }
    place.run(&["verify", "again"]).code(0);
}
