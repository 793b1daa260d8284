//! import: good files, bad files, interrupted ones.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::run::Place;

#[test]
fn records_of_every_format_become_json_under_their_key() {
    let place = Place::with_cluster();
    place.write("a.csv", "\u{feff}id,name\r\nc1,\"Kim, \"\"K\"\"\"\r\n");
    place.write("a.tsv", "id\tname\nt1\tÅsa\n");
    place.write("a.jsonl", "{\"name\": \"x\", \"id\": 7}\n");
    place.write("x_Packages", "Package: p1\nDescription: short\n more\n\n");
    place
        .run(&["import", "c", "a.csv", "--key", "id"])
        .code(0)
        .mentions("1 record imported, 0 rejected");
    place.run(&["import", "c", "a.tsv", "--key", "id"]).code(0);
    place.run(&["import", "c", "a.jsonl", "--key", "id"]).code(0);
    place
        .run(&["import", "c", "x_Packages", "--key", "Package"])
        .code(0);
    place
        .run(&["get", "c", "c1"])
        .prints("{\"id\":\"c1\",\"name\":\"Kim, \\\"K\\\"\"}\n");
    place
        .run(&["get", "c", "t1"])
        .prints("{\"id\":\"t1\",\"name\":\"Åsa\"}\n");
    place
        .run(&["get", "c", "7"])
        .prints("{\"name\": \"x\", \"id\": 7}\n");
    place
        .run(&["get", "c", "p1"])
        .prints("{\"Package\":\"p1\",\"Description\":\"short\\nmore\"}\n");
    assert!(!place.path("a.csv.rejects").exists());
}

#[test]
fn of_records_with_one_key_the_last_wins() {
    let place = Place::with_cluster();
    let rows: String = (0..100).map(|n| format!("{},{n}\n", n % 7)).collect();
    place.write("a.csv", format!("id,n\n{rows}"));
    place
        .run(&[
            "import", "c", "a.csv", "--key", "id", "--value", "n", "--batch", "9",
        ])
        .code(0);
    place
        .run(&["scan", "c"])
        .prints("0\t98\n1\t99\n2\t93\n3\t94\n4\t95\n5\t96\n6\t97\n");
}

#[test]
fn bad_lines_are_rejected_with_their_number_and_the_rest_is_imported() {
    let place = Place::with_cluster();
    place.write("a.csv", b"id,n\n1,a\n2\n,b\n3,\xff\n4,d\n");
    let done = place
        .run(&["import", "c", "a.csv", "--key", "id", "--json"])
        .code(1);
    let done = done.says("3 pieces of input were not imported").json();
    assert_eq!((&done["records"], &done["rejected"]), (&2.into(), &3.into()));
    let rejects = place.read("a.csv.rejects");
    let lines: Vec<&str> = rejects.lines().collect();
    assert_eq!(lines[0], "line\treason\ttext");
    assert_eq!(lines[1], "3\t1 fields where the header has 2\t2");
    assert_eq!(lines[2], "4\tthe key column \"id\" is empty\t,b");
    assert_eq!(lines[3], "5\tnot valid UTF-8 after 1 bytes\t3,\\xff");
    // Said again, not forgotten, by a run that has nothing to do.
    place
        .run(&["import", "c", "a.csv", "--key", "id"])
        .code(1)
        .says("imported already")
        .says("rejects");
    place.run(&["count", "c"]).prints("2\n");
}

#[test]
fn files_that_are_cut_off_are_never_imported_silently() {
    let place = Place::with_cluster();
    let whole = "id,text\n1,\"a b\"\n2,\"c, d\"\n3,\"e\nf\"\n";
    for cut in whole.find('1').unwrap() + 2..whole.len() - 1 {
        place.write("a.csv", &whole[..cut]);
        let done = place.run(&["import", "c", "a.csv", "--key", "id", "--restart"]);
        // At the end of a line nothing shows that there were more.
        let between_lines = whole[..cut].ends_with('\n') && !whole[..cut].ends_with("e\n");
        let told = done.code == Some(1) || done.err.contains("cut off");
        assert!(told || between_lines, "cut at {cut}: {done:?}");
    }
    place.write("a.jsonl", "{\"id\":1}\n{\"id\":2,\"te");
    place.run(&["import", "c", "a.jsonl", "--key", "id"]).code(1);
    assert!(place.read("a.jsonl.rejects").contains("2\tnot valid JSON"));
    place.write("a.deb822", "id: 1\n\nid: 2\nDescription: so");
    place.run(&["import", "c", "a.deb822", "--key", "id"]).code(1);
    assert!(
        place
            .read("a.deb822.rejects")
            .contains("3\tthe last line has no line end: the file is cut off")
    );
}

#[test]
fn inputs_that_cannot_be_imported_say_what_to_do() {
    let place = Place::with_cluster();
    let import = |file: &str| place.run(&["import", "c", file, "--key", "id"]);
    import("missing.csv")
        .code(1)
        .says("cannot read missing.csv: no such file");
    place.write("notes.txt", "hello\n");
    import("notes.txt").code(2).says("csv, tsv, jsonl or deb822");
    import("-").code(2).says("--format");
    import("c").code(2).says("--format");
    place
        .run(&["import", "c", "c", "--key", "id", "--format", "csv"])
        .code(2)
        .says("is a directory");
    place.write("a.csv", "name,mail\nx,y\n");
    import("a.csv")
        .code(2)
        .says("has no column \"id\"; its columns are \"name\", \"mail\"");
    place.write("a.csv", "id,id\nx,y\n");
    import("a.csv").code(2).says("twice");
    place.write("a.csv", "");
    import("a.csv").code(2).says("is empty");
    import("users.csv.gz")
        .code(2)
        .says("`zcat users.csv.gz | atoll import DIR - --format csv --key id`");
    place.write("b.csv", b"\x1f\x8b\x08\x00\x00\x00");
    import("b.csv").code(2).says("gzip").says("zcat");
    place.write("e.jsonl", "");
    import("e.jsonl").code(0).mentions("0 records imported");
    place
        .run(&["import", "nowhere", "e.jsonl", "--key", "id"])
        .code(2)
        .says("not a cluster directory");
    place.write("mine.txt", "do not overwrite\n");
    place.write("bad.jsonl", "x\n");
    place
        .run(&["import", "c", "bad.jsonl", "--key", "id", "--rejects", "mine.txt"])
        .code(2)
        .says("is no reject file");
    assert_eq!(place.read("mine.txt"), "do not overwrite\n");
    place.run(&["count", "c"]).prints("0\n");
}

#[test]
fn unreadable_files_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with_cluster();
    place.write("a.csv", "id\n1\n");
    fs::set_permissions(place.path("a.csv"), fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything.
    if fs::read(place.path("a.csv")).is_err() {
        place
            .run(&["import", "c", "a.csv", "--key", "id"])
            .code(1)
            .says("cannot read a.csv: permission denied");
    }
}

#[test]
fn a_changed_file_is_imported_again_and_an_unchanged_one_is_not() {
    let place = Place::with_cluster();
    place.write("a.csv", "id,n\n1,a\n");
    place.run(&["import", "c", "a.csv", "--key", "id"]).code(0);
    place.run(&["put", "c", "1", "changed since"]).code(0);
    place
        .run(&["import", "c", "a.csv", "--key", "id"])
        .code(0)
        .says("imported already");
    place.run(&["get", "c", "1"]).prints("changed since\n");
    place
        .run(&["import", "c", "a.csv", "--key", "id", "--restart"])
        .code(0);
    place
        .run(&["get", "c", "1"])
        .prints("{\"id\":\"1\",\"n\":\"a\"}\n");
    place.write("a.csv", "id,n\n1,a\n2,b\n");
    place
        .run(&["import", "c", "a.csv", "--key", "id"])
        .code(0)
        .says("has changed");
    place.run(&["count", "c"]).prints("2\n");
}

/// Killed at several moments, an import goes on each time and ends with every record and every
/// reject, once.
#[test]
fn an_import_that_is_killed_goes_on_where_it_was() {
    let place = Place::with_cluster();
    let records = 30_000;
    let lines: String = (0..records)
        .map(|id| {
            if id % 1000 == 999 {
                format!("broken {id}\n")
            } else {
                format!("{{\"id\":{id},\"v\":\"{id:0100}\"}}\n")
            }
        })
        .collect();
    place.write("a.jsonl", lines);
    let args = ["import", "c", "a.jsonl", "--key", "id", "--batch", "500"];
    let mut resumed = 0;
    for _ in 0..3 {
        let imports = place.path("c/imports");
        let offset = || {
            let entry = fs::read_dir(&imports)
                .ok()?
                .filter_map(Result::ok)
                .find(|e| e.path().extension().is_some_and(|x| x == "json"))?;
            let sealed = fs::read_to_string(entry.path()).ok()?;
            // The checksum stands on a line of its own at the end.
            let (text, _) = sealed.trim_end().rsplit_once('\n')?;
            let state: serde_json::Value = serde_json::from_str(text).ok()?;
            state["position"]["offset"].as_u64()
        };
        let before = offset();
        let mut child = place
            .command(&args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while offset() == before && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        resumed += 1;
    }
    let done = place.run(&[&args[..], &["--json"]].concat()).code(1);
    assert!(
        done.err.contains("going on at line") || done.err.contains("imported already"),
        "{}",
        done.err
    );
    let done = done.json();
    assert_eq!(
        (&done["records"], &done["rejected"]),
        (&(records - 30).into(), &30.into()),
        "{resumed} resumed"
    );
    place.run(&["count", "c"]).prints(&format!("{}\n", records - 30));
    let rejects = place.read("a.jsonl.rejects");
    let numbers: Vec<u64> = rejects
        .lines()
        .skip(1)
        .map(|line| line.split('\t').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (1..=30).map(|n| n * 1000).collect::<Vec<u64>>());
}

#[test]
fn standard_input_is_read_to_its_end() {
    let place = Place::with_cluster();
    let args = ["import", "c", "-", "--format", "csv", "--key", "id"];
    place
        .run_with_input(&args, b"id,n\n1,a\n2\n")
        .code(1)
        .says("stdin.rejects");
    place.run(&["count", "c"]).prints("1\n");
    assert!(!place.path("c/imports").exists());
}

#[test]
fn sorted_input_is_loaded_whole_or_not_at_all() {
    let place = Place::new();
    place
        .run(&["init", "c", "--shards", "3", "--replicas", "1"])
        .code(0);
    place.run(&["put", "c", "k0007", "older"]).code(0);
    let row = |n: u32| format!("k{n:04},{n}\n");
    let rows: String = (0..3000).map(row).collect();
    let import = |file: &str| place.run(&["import", "c", file, "--key", "id", "--value", "n", "--sorted"]);
    place.write("unsorted.csv", format!("id,n\n{rows}k0500,again\n"));
    import("unsorted.csv")
        .code(2)
        .says("unsorted.csv, line 3002: key \"k0500\"")
        .says("sort the input by the bytes of its keys");
    place.run(&["scan", "c"]).prints("k0007\tolder\n");
    place.write("sorted.csv", format!("id,n\n{rows}bad\n"));
    import("sorted.csv")
        .code(1)
        .mentions("3,000 records imported, 1 rejected");
    place.run(&["count", "c"]).prints("3000\n");
    place.run(&["get", "c", "k0007"]).prints("7\n");
    place.run(&["put", "c", "k0007", "newer"]).code(0);
    place.run(&["get", "c", "k0007"]).prints("newer\n");
    import("sorted.csv").code(1).says("imported already");
    place.run(&["verify", "c"]).code(0);
    let copies = Place::with_cluster();
    copies.write("sorted.csv", format!("id,n\n{rows}"));
    copies
        .run(&["import", "c", "sorted.csv", "--key", "id", "--sorted"])
        .code(2)
        .says("has 3 replicas")
        .says("leave out --sorted");
}
