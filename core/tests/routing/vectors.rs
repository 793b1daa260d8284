//! Every router against values that `vectors.py` computed without this project's code.

use std::num::NonZeroU32;

use atoll::routing::{HashKind, NodeSpec, Ring, Topology, TopologySpec};

const VECTORS: &str = include_str!("vectors.tsv");
const NODES: &str = "alpha=1,beta=3,10.0.0.1:11211=2,섬=1,empty=0";

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn rows() -> Vec<(Vec<u8>, Vec<&'static str>)> {
    let row = |line: &'static str| {
        let (key, rest) = line.split_once('\t').unwrap();
        (unhex(key), rest.split('\t').collect())
    };
    VECTORS.lines().map(row).collect()
}

/// Compares one column for all keys.
fn check(column: usize, value: impl Fn(&[u8]) -> String) {
    let rows = rows();
    assert!(rows.len() >= 2000, "{} keys", rows.len());
    let wrong: Vec<_> = rows
        .iter()
        .filter(|(key, row)| value(key) != row[column])
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} differ, first {:?}",
        wrong.len(),
        rows.len(),
        wrong[0]
    );
}

#[test]
fn modulo_agrees_for_every_hash() {
    let cases = [
        (0, HashKind::Md5, 16),
        (1, HashKind::Sha1, 16),
        (2, HashKind::Crc32, 1000),
        (3, HashKind::Xxh3, 1000),
        (4, HashKind::Xxh64, 1000),
        (5, HashKind::Murmur3, 1000),
    ];
    for (column, hash, buckets) in cases {
        let buckets = NonZeroU32::new(buckets).unwrap();
        check(column, |key| hash.digest_mod(key, buckets).to_string());
    }
}

#[test]
fn weighted_rings_agree_with_replicas() {
    let nodes = NodeSpec::parse_list(NODES).unwrap();
    let mut shuffled = nodes.clone();
    shuffled.reverse();
    for nodes in [nodes, shuffled] {
        for (column, hash, replicas) in [
            (6, HashKind::Sha1, 3),
            (7, HashKind::Md5, 2),
            (8, HashKind::Xxh3, 3),
        ] {
            let ring = Ring::new(&nodes, 40, hash).unwrap();
            check(column, |key| {
                let names = ring.nodes_of(key, replicas);
                names.iter().map(|name| name.chars().next().unwrap()).collect()
            });
        }
    }
}

#[test]
fn slots_agree() {
    let spec = TopologySpec::new(NodeSpec::parse_list(NODES).unwrap(), 8, 2);
    let (topology, _) = Topology::create(&spec).unwrap();
    check(9, |key| topology.slot_of(key).0.to_string());
}
