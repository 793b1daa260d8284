//! Bytes of routers, format 1: they must be read, and written the same, for ever (FORMAT-router.md).

use atoll::routing::{Algorithm, HashKind, KeyEncoding, Locality, NodeSpec, Router, RouterSpec};

fn check(spec: &RouterSpec, golden: &str) {
    let router = Router::new(spec).unwrap();
    let bytes = router.to_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let golden: String = golden.split_whitespace().collect();
    assert_eq!(hex, golden, "{}", spec.algorithm);
    assert_eq!(Router::from_bytes(&bytes).unwrap().to_json(), router.to_json());
}

#[test]
fn a_ring_has_its_bytes() {
    let nodes = NodeSpec::parse_list("a,10.0.0.1:7400=300,섬=0").unwrap();
    let mut spec = RouterSpec::new(Algorithm::Ring, nodes);
    spec.hash = Some(HashKind::Sha1);
    spec.encoding = KeyEncoding::Decimal;
    spec.locality = Locality::Prefix(300);
    check(&spec, include_str!("golden/router-1-ring.hex"));
}

#[test]
fn the_other_algorithms_have_their_bytes() {
    let named = |algorithm| RouterSpec::new(algorithm, NodeSpec::parse_list("a,b").unwrap());
    let mut range = named(Algorithm::Range);
    range.splits = Some(vec![b"g\xff".to_vec()]);
    let goldens = include_str!("golden/router-1-others.hex");
    let specs = [
        named(Algorithm::Modulo),
        range,
        RouterSpec::numbered(Algorithm::Jump, 1000),
        named(Algorithm::Hrw),
        named(Algorithm::Maglev),
        named(Algorithm::Ketama),
        named(Algorithm::Nginx),
        RouterSpec::new(Algorithm::Redis, Vec::new()),
        RouterSpec::new(Algorithm::Cassandra, Vec::new()),
    ];
    assert_eq!(goldens.lines().count(), specs.len());
    for (spec, golden) in specs.iter().zip(goldens.lines()) {
        check(spec, golden);
    }
}
