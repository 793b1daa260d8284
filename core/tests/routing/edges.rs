//! The ends of what routers take: odd keys, one node, none, twice the same, no weight, ten thousand.

use atoll::routing::{
    Algorithm, Maglev, NodeSpec, PartitioningSpec, Router, RouterSpec, RoutingError, Topology, TopologySpec,
};

fn nodes(count: usize) -> Vec<NodeSpec> {
    (0..count)
        .map(|i| NodeSpec::new(format!("node-{i:05}")))
        .collect()
}

/// The algorithm over `count` nodes, or over what it has in place of them.
fn router(algorithm: Algorithm, count: usize) -> Result<Router, RoutingError> {
    let mut spec = RouterSpec::new(algorithm, nodes(count));
    match algorithm {
        Algorithm::Redis | Algorithm::Cassandra => spec.nodes.clear(),
        Algorithm::Range => {
            let split = |i: usize| format!("key-{i:05}").into_bytes();
            spec.splits = Some((1..count.max(1)).map(split).collect());
        }
        // The table must be much longer than the list of nodes.
        Algorithm::Maglev if count > 1000 => spec.table_size = Some(655_373),
        _ => {}
    }
    Router::new(&spec)
}

fn has_nodes(algorithm: Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Redis | Algorithm::Cassandra)
}

fn odd_keys() -> Vec<Vec<u8>> {
    let mut keys = vec![
        Vec::new(),
        vec![0],
        vec![0xFF; 10 << 10],
        "서울특별시 강남구".as_bytes().to_vec(),
        "{사용자}:1".as_bytes().to_vec(),
        b"{}".to_vec(),
        b"{".to_vec(),
        b"}{a}".to_vec(),
        (0..=255).collect(),
        b"key\nwith\r\nlines\0and a null".to_vec(),
    ];
    keys.extend((1..=300).map(|len| vec![b'x'; len]));
    keys
}

#[test]
fn every_algorithm_routes_every_key_and_its_bytes_route_alike() {
    for algorithm in Algorithm::ALL {
        let router = router(algorithm, 7).unwrap();
        let again = Router::from_bytes(&router.to_bytes()).unwrap();
        for key in odd_keys() {
            let number = router.number(&key).unwrap();
            assert_eq!(again.number(&key).unwrap(), number, "{algorithm} {key:?}");
            if let Some(places) = router.places() {
                assert!(
                    (0..i64::from(places)).contains(&number),
                    "{algorithm}: {number} of {places}"
                );
            }
            if has_nodes(algorithm) {
                let node = router.node(&key).unwrap();
                assert!(router.nodes().iter().any(|known| known.name == node));
                let copies = if algorithm.has_replicas() { 3 } else { 1 };
                let mut owners = router.nodes_of(&key, copies).unwrap();
                assert_eq!(owners[0], node, "{algorithm} {key:?}");
                owners.sort_unstable();
                owners.dedup();
                // A router of slots places one copy unless asked for more.
                let expected = if algorithm == Algorithm::Slots { 1 } else { copies };
                assert_eq!(owners.len(), expected, "{algorithm} {key:?}");
            }
        }
    }
}

#[test]
fn one_node_owns_everything() {
    for algorithm in Algorithm::ALL
        .into_iter()
        .filter(|&algorithm| has_nodes(algorithm))
    {
        let router = router(algorithm, 1).unwrap();
        for key in odd_keys() {
            assert_eq!(router.node(&key).unwrap(), "node-00000", "{algorithm}");
        }
    }
}

#[test]
fn no_node_at_all_is_an_error() {
    for algorithm in Algorithm::ALL
        .into_iter()
        .filter(|&algorithm| has_nodes(algorithm))
    {
        let error = match router(algorithm, 0) {
            Err(error) => error,
            // Ranges may be numbered; then it is the name of an owner that cannot be given.
            Ok(router) => router.node(b"k").unwrap_err(),
        };
        let said = error.to_string();
        assert!(said.contains("node"), "{algorithm}: {said}");
    }
}

#[test]
fn a_name_given_twice_is_an_error_everywhere() {
    for algorithm in Algorithm::ALL
        .into_iter()
        .filter(|&algorithm| has_nodes(algorithm))
    {
        let mut spec = RouterSpec::new(algorithm, nodes(3));
        spec.nodes[2] = spec.nodes[0].clone();
        if algorithm == Algorithm::Range {
            spec.splits = Some(vec![b"a".to_vec(), b"b".to_vec()]);
        }
        let error = Router::new(&spec).unwrap_err();
        assert!(
            matches!(&error, RoutingError::DuplicateNode { name } if name == "node-00000"),
            "{algorithm}: {error}"
        );
    }
}

#[test]
fn a_node_of_weight_0_owns_nothing_or_is_refused() {
    for algorithm in Algorithm::ALL
        .into_iter()
        .filter(|&algorithm| has_nodes(algorithm))
    {
        let mut spec = RouterSpec::new(algorithm, nodes(3));
        spec.nodes[1].weight = 0;
        if algorithm == Algorithm::Range {
            spec.splits = Some(vec![b"a".to_vec(), b"b".to_vec()]);
        }
        match Router::new(&spec) {
            Ok(router) => {
                for i in 0..2000u32 {
                    let owners = router.nodes_of(&i.to_le_bytes(), 2).unwrap();
                    assert!(!owners.contains(&"node-00001"), "{algorithm}");
                }
            }
            Err(error) => assert!(
                error.to_string().contains("weight"),
                "{algorithm} refuses for another reason: {error}"
            ),
        }
        spec.nodes.iter_mut().for_each(|node| node.weight = 0);
        assert!(
            Router::new(&spec).is_err(),
            "{algorithm} took nodes without any weight"
        );
    }
}

#[test]
fn ten_thousand_nodes_are_served() {
    for algorithm in Algorithm::ALL
        .into_iter()
        .filter(|&algorithm| has_nodes(algorithm))
    {
        let router = router(algorithm, 10_000).unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        let mut met = std::collections::BTreeSet::new();
        for i in 0..500 {
            let key = format!("key-{:05}", i * 37 % 10_000);
            met.insert(router.node(key.as_bytes()).unwrap().to_owned());
        }
        assert!(met.len() > 200, "{algorithm}: {} different owners", met.len());
    }
    assert!(matches!(
        Maglev::new(&nodes(10_000), 1009),
        Err(RoutingError::BadTableSize { .. })
    ));
}

#[test]
fn a_million_slots_are_refused_with_the_reason() {
    let mut spec = TopologySpec::new(nodes(4), 4, 2);
    spec.partitioning = PartitioningSpec::Hash { slots: 1_000_000 };
    let said = Topology::create(&spec).unwrap_err().to_string();
    assert!(said.contains("1000000") && said.contains("65536"), "{said}");
}
