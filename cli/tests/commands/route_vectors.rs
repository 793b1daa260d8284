//! `atoll route` over the vectors that other programs made; see `core/tests/routing/vectors/README.md`.

use std::fs;
use std::path::PathBuf;

use crate::run::Place;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../core/tests/routing/vectors")
}

/// What the command must print for a key: positions become names, numbers stay.
fn printed(options: &[&str], key: &str, answer: &str) -> String {
    if options.contains(&"--json") {
        return format!(r#"{{"key":"{key}","nodes":["only"],"slot":{answer}}}"#);
    }
    let nodes = options.iter().position(|word| *word == "--nodes");
    let Some(nodes) = nodes.map(|at| options[at + 1]) else {
        return format!("{key}\t{answer}");
    };
    let names: Vec<&str> = nodes
        .split(',')
        .map(|node| node.split_once('=').map_or(node, |(name, _)| name))
        .collect();
    let names: Vec<&str> = answer
        .split(',')
        .map(|at| names[at.parse::<usize>().unwrap()])
        .collect();
    format!("{key}\t{}", names.join(","))
}

#[test]
fn every_vector_of_every_format_is_routed_alike() {
    let place = Place::new();
    let mut formats: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tsv"))
        // Those of typed keys and of places in a topology are no questions for this command.
        .filter(|path| fs::read_to_string(path).unwrap().starts_with("--algorithm"))
        .collect();
    formats.sort();
    assert_eq!(formats.len(), 13);
    for path in formats {
        let format = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut compared = 0;
        for line in fs::read_to_string(&path).unwrap().lines() {
            let (options, answers) = line.split_once('\t').unwrap();
            let options: Vec<&str> = options.split(' ').collect();
            let mut args = vec!["route"];
            args.extend(&options);
            let input = options.iter().position(|word| *word == "--input");
            let file = match input.map(|at| options[at + 1]) {
                Some("u64") => "u64.txt",
                Some("i64") => "i64.txt",
                _ => {
                    args.extend(["--input", "hex"]);
                    "keys.hex"
                }
            };
            let keys = fs::read_to_string(folder().join(file)).unwrap();
            let done = place.run_with_input(&args, keys.as_bytes()).code(0);
            let routed: Vec<&str> = done.out.lines().collect();
            let answers: Vec<&str> = answers.split(' ').collect();
            assert_eq!(
                (routed.len(), keys.lines().count()),
                (answers.len(), answers.len())
            );
            for ((key, routed), answer) in keys.lines().zip(routed).zip(answers) {
                if answer != "x" {
                    assert_eq!(routed, printed(&options, key, answer), "{format} {options:?}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 1_200, "{format}: {compared}");
        println!("{format}: {compared} routed, 0 mismatches");
    }
}
