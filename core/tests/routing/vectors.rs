//! Every router against the answers of other programs, and of a second implementation.
//!
//! `vectors/README.md` says where the answers come from and what a line holds.

use atoll::routing::{KeyEncoding, KeyRef, NodeSpec, Router, RouterSpec, encode_key};

const HEX: &str = include_str!("vectors/keys.hex");
const U64: &str = include_str!("vectors/u64.txt");
const I64: &str = include_str!("vectors/i64.txt");

/// The options of `atoll route` that vectors use.
struct Config {
    spec: RouterSpec,
    replicas: usize,
    input: &'static str,
    /// The number of a key is asked for, not its nodes.
    json: bool,
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn config(options: &'static str) -> Config {
    let words: Vec<&str> = options.split(' ').collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| *word == name);
        at.map(|at| words[at + 1])
    };
    let encoding = value("--encoding").unwrap_or("binary").parse().unwrap();
    let input = value("--input").unwrap_or("hex");
    let split = |text: &&str| match input {
        "i64" => encode_key(&KeyRef::Int(text.parse().unwrap()), encoding).into_owned(),
        _ => unhex(text),
    };
    let number = |name: &str| value(name).map(|value| value.parse().unwrap());
    let spec = RouterSpec {
        algorithm: value("--algorithm").unwrap().parse().unwrap(),
        nodes: value("--nodes").map_or(Vec::new(), |list| NodeSpec::parse_list(list).unwrap()),
        buckets: number("--buckets"),
        hash: value("--hash").map(|hash| hash.parse().unwrap()),
        encoding,
        locality: value("--locality").unwrap_or("none").parse().unwrap(),
        vnodes: number("--vnodes"),
        table_size: number("--table-size"),
        slots: number("--slots"),
        replicas: None,
        splits: value("--split-at")
            .map(|text| text.split(',').collect::<Vec<_>>().iter().map(split).collect()),
    };
    Config {
        spec,
        replicas: number("--replicas").unwrap_or(1) as usize,
        input,
        json: words.contains(&"--json"),
    }
}

fn answer(router: &Router, config: &Config, key: &str, encoding: KeyEncoding) -> String {
    let key = match config.input {
        "u64" => return router.bucket_of_number(key.parse().unwrap()).unwrap().to_string(),
        "i64" => encode_key(&KeyRef::Int(key.parse().unwrap()), encoding).into_owned(),
        _ => unhex(key),
    };
    if config.json || router.nodes().is_empty() {
        return router.number(&key).unwrap().to_string();
    }
    let mut owners = Vec::new();
    router.owners(&key, config.replicas, &mut owners).unwrap();
    let owners: Vec<String> = owners.iter().map(u16::to_string).collect();
    owners.join(",")
}

/// Compares all configurations of a format, and the same routers read back from their bytes.
fn check(format: &str, vectors: &'static str, least: usize) {
    let (mut compared, mut wrong) = (0, Vec::new());
    for line in vectors.lines() {
        let (options, answers) = line.split_once('\t').unwrap();
        let config = config(options);
        let router = Router::new(&config.spec).unwrap();
        let again = Router::from_bytes(&router.to_bytes()).unwrap();
        let keys = match config.input {
            "u64" => U64,
            "i64" => I64,
            _ => HEX,
        };
        assert_eq!(keys.lines().count(), answers.split(' ').count(), "{options}");
        for (at, (key, expected)) in keys.lines().zip(answers.split(' ')).enumerate() {
            if expected == "x" {
                continue;
            }
            compared += 1;
            let router = if at % 2 == 0 { &router } else { &again };
            let found = answer(router, &config, key, config.spec.encoding);
            if found != expected {
                wrong.push((options, key, found, expected));
            }
        }
    }
    let first = wrong.first();
    assert!(
        wrong.is_empty(),
        "{format}: {} of {compared} differ, first {first:?}",
        wrong.len()
    );
    assert!(compared >= least, "{format}: only {compared} compared");
    println!("{format}: {compared} compared, 0 mismatches");
}

macro_rules! agrees {
    ($($name:ident: $format:literal, $least:literal;)*) => {
        $(#[test]
        fn $name() {
            check($format, include_str!(concat!("vectors/", $format, ".tsv")), $least);
        })*
    };
}

agrees! {
    ketama_agrees_with_libmemcached: "ketama", 36_000;
    ketama_replicas_are_where_libmemcached_stores_copies: "ketama-copies", 1_200;
    ketama_agrees_with_uhashring: "ketama-uhashring", 4_500;
    nginx_agrees_with_nginx: "nginx", 24_000;
    redis_agrees_with_redis: "redis", 2_000;
    cassandra_agrees_with_its_driver: "cassandra", 2_000;
    jump_agrees_with_the_package_of_its_name: "jump", 20_000;
    modulo_agrees_for_every_hash: "modulo", 50_000;
    rings_agree_with_their_definition: "ring", 25_000;
    hrw_agrees_with_its_definition: "hrw", 16_000;
    maglev_agrees_with_its_definition: "maglev", 18_000;
    ranges_agree_with_bisection: "range", 2_900;
    slots_agree_with_their_definition: "slots", 10_000;
}

#[test]
fn the_order_of_nodes_matters_to_nobody_who_sorts_them() {
    for algorithm in ["ring", "hrw", "maglev"] {
        let options = format!("--algorithm {algorithm} --nodes alpha=1,beta=3,섬=2,d=0");
        let config = config(options.leak());
        let mut turned = config.spec.clone();
        turned.nodes.reverse();
        let (one, other) = (Router::new(&config.spec).unwrap(), Router::new(&turned).unwrap());
        for key in HEX.lines().map(unhex) {
            assert_eq!(
                one.nodes_of(&key, 3).unwrap(),
                other.nodes_of(&key, 3).unwrap(),
                "{algorithm}"
            );
        }
    }
}
