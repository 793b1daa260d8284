//! `atoll route` over the vectors of foreign formats, which the programs that define them made.

use std::fs;
use std::path::Path;

use crate::run::Place;

#[test]
fn every_vector_of_every_foreign_format_is_routed_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/routing/formats");
    let keys = fs::read_to_string(folder.join("keys.txt")).unwrap();
    let place = Place::new();
    for format in ["ketama", "nginx", "redis", "cassandra", "jump", "hrw", "maglev"] {
        let mut compared = 0;
        for line in fs::read_to_string(folder.join(format!("{format}.tsv")))
            .unwrap()
            .lines()
        {
            let (config, answers) = line.split_once('\t').unwrap();
            let mut args = vec!["route", "--algorithm", format, "--input", "hex"];
            match format {
                "redis" | "cassandra" => {}
                "jump" => args.extend(["--buckets", config]),
                _ => args.extend(["--nodes", config]),
            }
            let done = place.run_with_input(&args, keys.as_bytes()).code(0);
            let names: Vec<&str> = config
                .split(',')
                .map(|node| node.split_once('=').map_or(node, |(name, _)| name))
                .collect();
            let routed: Vec<&str> = done.out.lines().collect();
            let expected: Vec<&str> = answers.split(',').collect();
            assert_eq!(routed.len(), expected.len());
            for ((key, routed), expected) in keys.lines().zip(routed).zip(expected) {
                if expected == "x" {
                    continue;
                }
                let expected = match format {
                    "redis" | "cassandra" | "jump" => expected,
                    _ => names[expected.parse::<usize>().unwrap()],
                };
                assert_eq!(routed, format!("{key}\t{expected}"), "{format} {config}");
                compared += 1;
            }
        }
        assert!(compared > 600, "{format}: {compared}");
        println!("{format}: {compared} routed, 0 mismatches");
    }
}
