//! verify and dump, on sound files and on damaged ones.

use std::fs;
use std::path::PathBuf;

use crate::run::{Place, files_below};

fn filled() -> Place {
    let place = Place::with_cluster();
    let lines: String = (0..3000)
        .map(|id| format!("{{\"id\":{id},\"v\":\"{id:0100}\"}}\n"))
        .collect();
    place.write("a.jsonl", lines);
    place.run(&["import", "c", "a.jsonl", "--key", "id"]).code(0);
    place
}

/// A segment that holds records.
fn a_segment(place: &Place) -> PathBuf {
    let files = files_below(&place.path("c/nodes/n1"));
    files
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "seg"))
        .unwrap()
}

fn flip(path: &PathBuf, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_sound_cluster_passes_and_its_segments_can_be_read() {
    let place = filled();
    place.run(&["verify", "c"]).code(0).mentions("9 replicas");
    let report = place.run(&["verify", "c", "--json"]).code(0).json();
    assert_eq!(
        (&report["keys"], report["damage"].as_array().unwrap().len()),
        (&3000.into(), 0)
    );
    let segment = a_segment(&place);
    let segment = segment.to_str().unwrap();
    place
        .run(&["dump", segment])
        .code(0)
        .mentions("EpochStart")
        .mentions("Put")
        .mentions("segment 1 of store");
    let lines = place.run(&["dump", segment, "--json"]).code(0).out;
    let facts: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(facts[0]["kind"], "EpochStart");
    assert!(facts.last().unwrap()["segment"]["damage"].is_null());
}

#[test]
fn a_compacted_cluster_passes_and_its_tables_can_be_read() {
    let place = filled();
    let before = place.run(&["export", "c"]).code(0).out;
    let done = place
        .run(&["compact", "c", "--release-log", "--json"])
        .code(0)
        .json();
    assert_eq!(done.as_array().unwrap().len(), 9);
    assert!(done[0]["report"]["flushes"].as_u64().unwrap() > 0, "{done}");
    place.run(&["compact", "c"]).code(0).mentions("versions read");
    assert_eq!(place.run(&["export", "c"]).code(0).out, before);
    place.run(&["verify", "c"]).code(0).mentions("9 replicas");
    let table = files_below(&place.path("c/nodes/n1"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "tbl"))
        .unwrap();
    let name = table.to_str().unwrap();
    place
        .run(&["dump", name])
        .code(0)
        .mentions("Put")
        .mentions("of shard");
    let lines = place.run(&["dump", name, "--json"]).code(0).out;
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["table"]["damage"].as_array().unwrap().len(), 0);
    flip(&table, 4096 + 30);
    place.run(&["dump", name]).code(3).says("offset 4096");
    place
        .run(&["verify", "c"])
        .code(3)
        .says("tables/0000000000000001.tbl at offset 4096");
}

#[test]
fn damage_is_named_with_file_and_offset_and_exits_with_3() {
    let place = filled();
    let segment = a_segment(&place);
    flip(&segment, 50_000);
    let name = segment
        .strip_prefix(place.path(""))
        .unwrap()
        .display()
        .to_string();
    let done = place.run(&["verify", "c"]).code(3).says(&name).says("at offset ");
    let offset = done.err.split("at offset ").nth(1).unwrap();
    let offset: usize = offset
        .chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .unwrap();
    assert!((4096..=50_000).contains(&offset), "{}", done.err);
    place
        .run(&["dump", segment.to_str().unwrap()])
        .code(3)
        .says(&format!("damaged at offset {offset}"));
    // A read that meets the damage says so; it never answers with less than there is.
    place.run(&["count", "c"]).code(3).says(&name);
}

#[test]
fn what_is_no_segment_is_refused() {
    let place = filled();
    place
        .run(&["dump", "missing.seg"])
        .code(1)
        .says("cannot read missing.seg");
    place.run(&["dump", "c"]).code(2).says("is a directory");
    place.run(&["dump", "a.jsonl"]).code(3).says("a.jsonl");
    place.write("empty.seg", "");
    let done = place.run(&["dump", "empty.seg"]);
    assert_ne!(done.code, Some(0), "{done:?}");
    assert!(
        done.err.contains("empty.seg") && !done.err.contains("panicked"),
        "{}",
        done.err
    );
}

#[test]
fn repair_saves_the_rest_into_a_new_directory_and_names_what_was_lost() {
    let place = filled();
    let segment = a_segment(&place);
    let store = segment.parent().unwrap().parent().unwrap();
    let source = store.to_str().unwrap();
    place.run(&["repair", source, "whole"]).code(0).mentions("saved");
    let sound = place.run(&["repair", source, "again", "--json"]).code(0).json();
    flip(&segment, 6000);
    let report = place.run(&["repair", source, "rest", "--json"]).code(3).json();
    let lost = report["lost"].as_array().unwrap();
    assert_eq!(lost.len(), 1, "{report}");
    assert_eq!(lost[0]["path"], segment.to_str().unwrap());
    assert!(lost[0]["from"].as_u64().unwrap() <= 6000 - 4096);
    assert!(report["versions"].as_u64().unwrap() < sound["versions"].as_u64().unwrap());
    place
        .run(&["repair", source, "rest"])
        .code(2)
        .says("is not empty");
    place.run(&["repair", "missing", "other"]).code(2).says("missing");
}
