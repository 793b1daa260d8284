//! Foreign formats against the answers of the programs that define them; see `formats/make.py`.

use std::num::NonZeroU32;

use atoll::routing::{
    Hrw, Ketama, Maglev, Nginx, NodeSpec, cassandra_token, jump_key, maglev::DEFAULT_TABLE_SIZE, redis_slot,
};

const KEYS: &str = include_str!("formats/keys.txt");

fn keys() -> Vec<Vec<u8>> {
    let byte = |hex: &str, at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    KEYS.lines()
        .map(|hex| (0..hex.len()).step_by(2).map(|at| byte(hex, at)).collect())
        .collect()
}

/// Compares every configuration of a format; `router` gets the configuration and answers for keys.
fn check<R: Fn(&[u8]) -> String>(format: &str, vectors: &str, least: usize, router: impl Fn(&str) -> R) {
    let keys = keys();
    let (mut compared, mut wrong) = (0, Vec::new());
    for line in vectors.lines() {
        let (config, answers) = line.split_once('\t').unwrap();
        let answer = router(config);
        assert_eq!(answers.split(',').count(), keys.len());
        for (key, expected) in keys.iter().zip(answers.split(',')) {
            if expected != "x" {
                compared += 1;
                let found = answer(key);
                if found != expected {
                    wrong.push((config, key.escape_ascii().to_string(), found, expected));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{format}: {} differ, first {:?}",
        wrong.len(),
        wrong[0]
    );
    assert!(compared >= least, "{format}: only {compared} compared");
    println!("{format}: {compared} compared, 0 mismatches");
}

fn nodes(config: &str) -> Vec<NodeSpec> {
    NodeSpec::parse_list(config).unwrap()
}

#[test]
fn every_foreign_format_agrees_with_its_program() {
    check("ketama", include_str!("formats/ketama.tsv"), 5000, |config| {
        let router = Ketama::new(&nodes(config)).unwrap();
        move |key: &[u8]| router.owner(key).to_string()
    });
    check("nginx", include_str!("formats/nginx.tsv"), 1000, |config| {
        let router = Nginx::new(&nodes(config)).unwrap();
        move |key: &[u8]| router.owner(key).to_string()
    });
    check("redis", include_str!("formats/redis.tsv"), 600, |_| {
        |key: &[u8]| redis_slot(key).to_string()
    });
    check("cassandra", include_str!("formats/cassandra.tsv"), 600, |_| {
        |key: &[u8]| cassandra_token(key).to_string()
    });
    check("jump", include_str!("formats/jump.tsv"), 3000, |config| {
        let buckets: NonZeroU32 = config.parse().unwrap();
        move |key: &[u8]| jump_key(key, buckets).to_string()
    });
    check("hrw", include_str!("formats/hrw.tsv"), 1900, |config| {
        let mut nodes = nodes(config);
        let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
        // The order of the list must not matter.
        nodes.reverse();
        let router = Hrw::new(&nodes).unwrap();
        move |key: &[u8]| {
            let owner = &nodes[usize::from(router.owner(key))].name;
            names.iter().position(|name| name == owner).unwrap().to_string()
        }
    });
    check("maglev", include_str!("formats/maglev.tsv"), 1900, |config| {
        let router = Maglev::new(&nodes(config), DEFAULT_TABLE_SIZE).unwrap();
        move |key: &[u8]| router.owner(key).to_string()
    });
}
