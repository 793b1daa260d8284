//! The routing room beside other people's rings, in one run: ratios, a section of the page, JSON.

use std::path::Path;
use std::{env, fs, process};

use atoll_bench_peers::page;
use atoll_bench_peers::routing::keys::Keys;
use atoll_bench_peers::routing::rows::{self, Effort};
use atoll_bench_peers::routing::table;

const HELP: &str = "Measures key routing beside other people's rings.

Usage: routing [--quick] [--no-page]

  --quick    fewer passes
  --no-page  leaves docs/benchmarks.md as it is

Example: routing --quick --no-page";

fn main() {
    let mut effort = Effort {
        rounds: 60,
        seconds: 0.5,
    };
    let mut write = true;
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--quick" => {
                effort = Effort {
                    rounds: 8,
                    seconds: 0.1,
                }
            }
            "--no-page" => write = false,
            "--help" | "-h" => {
                println!("{HELP}");
                return;
            }
            other => {
                eprintln!("routing: unknown option {other:?}\n\n{HELP}");
                process::exit(2);
            }
        }
    }
    let keys = Keys::users(1 << 16);
    let mut all = Vec::new();
    let mut done = |row: table::Row| {
        eprintln!("{}: {}", row.work, row.reached);
        all.push(row);
    };
    done(rows::look_up(16, 12.0, 3.0, &keys, effort));
    done(rows::look_up(100, 12.0, 3.0, &keys, effort));
    done(rows::look_up(1000, 18.0, 6.0, &keys, effort));
    for nodes in [16, 100, 1000] {
        done(rows::replicas(nodes, &keys, effort));
    }
    done(rows::slots(&keys, effort));
    for nodes in [16, 100, 1000] {
        done(rows::sha1_ring(nodes, &keys, effort));
    }
    done(rows::add_node(effort));
    rows::snapshots(&keys, effort).into_iter().for_each(&mut done);
    for nodes in [16, 100] {
        rows::moved(nodes).into_iter().for_each(&mut done);
    }
    done(rows::balance(&Keys::users(1 << 20)));

    let table = table::markdown(&all);
    println!("{table}");
    let missed = all.iter().filter(|row| !row.holds).count();
    println!("{} of {} rows hold their target", all.len() - missed, all.len());
    let json = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench-peers/routing.json");
    let text = serde_json::to_string_pretty(&all).expect("rows are plain data");
    let written =
        fs::create_dir_all(json.parent().expect("it has a folder")).and_then(|()| fs::write(&json, text));
    if let Err(error) = written {
        eprintln!("routing: {}: {error}", json.display());
        process::exit(1);
    }
    if write {
        let section = format!(
            "## Routing\n\n`make bench-peers ONLY=routing`. Keys `user:N`; every contender takes its turn in each of {} \
             rounds, its tables warm, and its fastest pass counts. Peers that take a hasher get xxh3, all get 160 points a node.\n\n{table}",
            effort.rounds
        );
        if let Err(error) = page::replace(&page::path(), "routing", &section) {
            eprintln!("routing: {}: {error}", page::path().display());
            process::exit(1);
        }
    }
}
