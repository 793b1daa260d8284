//! put, get, delete, scan, count, export.

use crate::run::Place;

#[test]
fn values_come_back_as_they_went() {
    let place = Place::with_cluster();
    place.run(&["put", "c", "a", "1"]).code(0).prints("");
    place.run(&["get", "c", "a"]).code(0).prints("1\n");
    place
        .run(&["put", "c", "a", "2", "--durability", "buffered"])
        .code(0);
    place
        .run(&["get", "c", "a", "--consistency", "strong"])
        .code(0)
        .prints("2\n");
    place
        .run_with_input(&["put", "c", "b", "-"], b"two\nlines")
        .code(0);
    place.run(&["get", "c", "b"]).code(0).prints("two\nlines\n");
    place.run_with_input(&["put", "c", "empty"], b"").code(0);
    place.run(&["get", "c", "empty"]).code(0).prints("\n");
    place
        .run(&["get", "c", "none"])
        .code(1)
        .prints("")
        .says("no key \"none\" in c");
    place.run(&["delete", "c", "a"]).code(0).prints("");
    place.run(&["delete", "c", "a"]).code(0);
    place.run(&["get", "c", "a"]).code(1);
    place.run(&["count", "c"]).code(0).prints("2\n");
    assert_eq!(place.run(&["count", "c", "--json"]).json()["count"], 2);
}

#[test]
fn value_with_a_time_to_live_goes_by_itself() {
    let place = Place::with_cluster();
    place.run(&["put", "c", "brief", "x", "--ttl", "1ms"]).code(0);
    place.run(&["put", "c", "long", "x", "--ttl", "2.5h"]).code(0);
    place.run(&["put", "c", "stays", "x"]).code(0);
    std::thread::sleep(std::time::Duration::from_millis(50));
    place.run(&["get", "c", "brief"]).code(1).says("no key");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let left = |key| {
        let answer = place.run(&["get", "c", key, "--json"]).code(0).json();
        let at = answer["expires_at_ms"].as_u64();
        at.map(|at| at - now.as_ref().unwrap().as_millis() as u64)
    };
    let hours = left("long").expect("it goes");
    assert!((8_900_000..=9_000_000).contains(&hours), "{hours} ms");
    assert_eq!(left("stays"), None);
    place.run(&["count", "c"]).code(0).prints("2\n");
    for (ttl, why) in [
        ("10", "a time needs a unit"),
        ("1.2.3s", "not a number"),
        ("0s", "at least one"),
        ("-1s", ""),
    ] {
        place.run(&["put", "c", "k", "v", "--ttl", ttl]).code(2).says(why);
    }
}

#[test]
fn approximate_count_of_little_is_exact_and_slots_add_up() {
    let place = Place::with_cluster();
    let lines: String = (0..300)
        .map(|n| format!("{{\"id\":\"user:{n:03}\"}}\n"))
        .collect();
    place
        .run_with_input(
            &["import", "c", "-", "--format", "jsonl", "--key", "id"],
            lines.as_bytes(),
        )
        .code(0);
    place.run(&["delete", "c", "user:007"]).code(0);
    place
        .run(&["count", "c", "--approximate"])
        .code(0)
        .prints("299\n");
    place
        .run(&["count", "c", "--approximate", "--prefix", "user:00"])
        .code(0)
        .prints("9\n");
    let all = place
        .run(&["count", "c", "--approximate", "--json"])
        .code(0)
        .json();
    assert_eq!((&all["count"], &all["count_error"]), (&299.into(), &0.into()));
    assert!(all["bytes"].as_u64().unwrap() > 299 * 8);
    let one = place
        .run(&["count", "c", "--approximate", "--slot", "5", "--json"])
        .code(0)
        .json();
    assert!(one["count"].as_u64().unwrap() < 299);
    place
        .run(&["count", "c", "--approximate", "--slot", "99999999"])
        .code(2)
        .says("there is no slot");
    place.run(&["count", "c", "--slot", "5"]).code(2);
}

#[test]
fn a_token_makes_a_write_visible_to_a_read() {
    let place = Place::with_cluster();
    let token = place.run(&["put", "c", "k", "v", "--print-token"]).code(0).out;
    let token = token.trim();
    place
        .run(&[
            "get",
            "c",
            "k",
            "--consistency",
            "read_your_writes",
            "--token",
            token,
        ])
        .code(0)
        .prints("v\n");
    let again = place.run(&["put", "c", "k", "w", "--json"]).code(0).json();
    let token = again["token"].as_str().unwrap();
    let answer = place
        .run(&["get", "c", "k", "--token", token, "--json"])
        .code(0)
        .json();
    assert_eq!(answer["value"], "w");
    assert!(answer["node"].as_str().unwrap().starts_with('n'));
    let other = Place::with_cluster();
    other
        .run(&[
            "get",
            "c",
            "k",
            "--consistency",
            "read_your_writes",
            "--token",
            token,
        ])
        .code(2)
        .says("another cluster");
}

#[test]
fn scans_are_ordered_and_bounded() {
    let place = Place::with_cluster();
    for (key, value) in [
        ("b:2", "two"),
        ("a:1", "{\"n\": 1}"),
        ("b:1", "one"),
        ("c", "three"),
    ] {
        place.run(&["put", "c", key, value]).code(0);
    }
    place
        .run(&["scan", "c"])
        .prints("a:1\t{\"n\": 1}\nb:1\tone\nb:2\ttwo\nc\tthree\n");
    place
        .run(&["scan", "c", "--prefix", "b:", "--keys-only"])
        .prints("b:1\nb:2\n");
    place
        .run(&["scan", "c", "--start", "b:1", "--end", "b:2"])
        .prints("b:1\tone\n");
    place
        .run(&["scan", "c", "--limit", "1", "--json"])
        .prints("{\"key\":\"a:1\",\"value\":{\"n\": 1}}\n");
    place.run(&["scan", "c", "--limit", "0"]).prints("");
    place.run(&["count", "c", "--prefix", "b:"]).prints("2\n");
    place.run(&["put", "c", "--hex", "ff00", "0a"]).code(0);
    place
        .run(&["scan", "c", "--hex", "--start", "ff"])
        .prints("ff00\t0a\n");
    place
        .run(&["scan", "c", "--start", "d", "--json"])
        .prints("{\"key_hex\":\"ff00\",\"value\":\"\\n\"}\n");
}

#[test]
fn an_export_fills_a_copy_that_is_equal() {
    let place = Place::with_cluster();
    for (key, value) in [("a", "{\"n\": 1.50}"), ("b", "plain \"text\"\n"), ("ü", "12")] {
        place.run(&["put", "c", key, value]).code(0);
    }
    let exported = place.run(&["export", "c"]).code(0).says("3 records exported");
    place
        .run(&["init", "copy", "--shards", "2", "--replicas", "1"])
        .code(0);
    let into = [
        "import", "copy", "-", "--format", "jsonl", "--key", "key", "--value", "value",
    ];
    place.run_with_input(&into, exported.out.as_bytes()).code(0);
    assert_eq!(place.run(&["scan", "copy"]).out, place.run(&["scan", "c"]).out);
    place
        .run(&["export", "c", "--format", "tsv", "-o", "all.tsv"])
        .code(0);
    let table = "key\tvalue\na\t\"{\"\"n\"\": 1.50}\"\nb\t\"plain \"\"text\"\"\n\"\nü\t12\n";
    assert_eq!(place.read("all.tsv"), table);
    place
        .run(&["export", "c", "-o", "all.tsv"])
        .code(1)
        .says("cannot create all.tsv");
}

#[test]
fn an_export_carries_expiries_into_the_copy() {
    let place = Place::with_cluster();
    place.run(&["put", "c", "brief", "x", "--ttl", "1ms"]).code(0);
    place
        .run(&["put", "c", "long", "{\"n\":1}", "--ttl", "9d"])
        .code(0);
    place.run(&["put", "c", "stays", "y"]).code(0);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let expiry = |dir: &str, key: &str| {
        let answer = place.run(&["get", dir, key, "--json"]).code(0).json();
        answer["expires_at_ms"].as_u64()
    };
    let at = expiry("c", "long").expect("it goes");
    let exported = place.run(&["export", "c"]).code(0).out;
    let lines = format!(
        "{{\"key\":\"long\",\"value\":{{\"n\":1}},\"expires_at_ms\":{at}}}\n{{\"key\":\"stays\",\"value\":\"y\"}}\n"
    );
    assert_eq!(exported, lines);
    place
        .run(&["export", "c", "--format", "tsv", "-o", "all.tsv", "--expires"])
        .code(0);
    let table = format!("key\tvalue\texpires_at_ms\nlong\t\"{{\"\"n\"\":1}}\"\t{at}\nstays\ty\t\n");
    assert_eq!(place.read("all.tsv"), table);
    place
        .run(&["export", "c", "--format", "tsv"])
        .code(0)
        .says("1 value will expire");
    place.run(&["export", "c", "--expires"]).code(2).says("TSV");
    place.write("all.jsonl", &exported);
    for (dir, file) in [("from-json", "all.jsonl"), ("from-tsv", "all.tsv")] {
        place
            .run(&["init", dir, "--shards", "2", "--replicas", "1"])
            .code(0);
        let columns = ["--key", "key", "--value", "value", "--expires", "expires_at_ms"];
        let import = [&["import", dir, file][..], &columns].concat();
        place.run(&import).code(0).mentions("2 records imported");
        assert_eq!((expiry(dir, "long"), expiry(dir, "stays")), (Some(at), None));
        assert_eq!(place.run(&["export", dir]).code(0).out, exported);
    }
}

#[test]
fn an_expiry_that_is_none_is_rejected_with_its_line() {
    let place = Place::with_cluster();
    let lines = [
        r#"{"k":"null","at":null}"#,
        r#"{"k":"none"}"#,
        r#"{"k":"text","at":"99999999999999"}"#,
        r#"{"k":"past","at":5}"#,
        r#"{"k":"half","at":1.5}"#,
        r#"{"k":"minus","at":-1}"#,
        r#"{"k":"plus","at":"+7"}"#,
        r#"{"k":"list","at":[1]}"#,
        r#"{"k":"huge","at":99999999999999999999999}"#,
    ];
    let import = [
        "import",
        "c",
        "-",
        "--format",
        "jsonl",
        "--key",
        "k",
        "--expires",
        "at",
    ];
    place.run(&["put", "c", "past", "older"]).code(0);
    place
        .run_with_input(&import, lines.join("\n").as_bytes())
        .code(1)
        .mentions("4 records imported, 5 rejected");
    let rejects = place.read("stdin.rejects");
    for (line, value) in [(5, "1.5"), (6, "-1"), (7, "+7"), (8, "[1]"), (9, "9999")] {
        let told =
            format!("{line}\tthe expiry \"at\" is no whole number of milliseconds since 1970: {value}");
        assert!(rejects.contains(&told), "{told} is not in {rejects}");
    }
    place
        .run(&["scan", "c", "--keys-only"])
        .prints("none\nnull\ntext\n");
}

#[test]
fn a_range_is_deleted_and_its_neighbours_stay() {
    let place = Place::with_cluster();
    let lines: String = (0..9000)
        .map(|n| format!("{{\"id\":\"user:{n:04}\"}}\n"))
        .collect();
    place
        .run_with_input(
            &["import", "c", "-", "--format", "jsonl", "--key", "id"],
            lines.as_bytes(),
        )
        .code(0);
    place.run(&["put", "c", "zebra", "x"]).code(0);
    place.run(&["delete", "c"]).code(2).says("name a key");
    place
        .run(&["delete", "c", "k", "--prefix", "user:"])
        .code(2)
        .says("not both");
    place
        .run(&["delete", "c", "--start", "user:0100", "--end", "user:0110"])
        .code(0)
        .prints("")
        .says("10 keys deleted");
    place.run(&["get", "c", "user:0110"]).code(0);
    place.run(&["get", "c", "user:0109"]).code(1);
    let rest = place
        .run(&["delete", "c", "--prefix", "user:", "--json"])
        .code(0)
        .json();
    assert_eq!(rest["deleted"], 8990);
    place.run(&["scan", "c"]).prints("zebra\tx\n");
    let token = rest["token"].as_str().unwrap();
    place.run(&["get", "c", "zebra", "--token", token]).code(0);
    place
        .run(&["delete", "c", "--start", "a", "--end", "b"])
        .code(0)
        .says("0 keys deleted");
    place
        .run(&["delete", "c", "--prefix", ""])
        .code(0)
        .says("1 key deleted");
    place.run(&["count", "c"]).prints("0\n");
}
