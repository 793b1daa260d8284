//! Every algorithm behind the one type: answers, refusals, bytes, plans.

use proptest::prelude::*;

use super::*;
use crate::routing::modulo::moved_fraction;
use crate::routing::{Shard, hash64};

fn nodes(list: &str) -> Vec<NodeSpec> {
    NodeSpec::parse_list(list).unwrap()
}

/// One router of every algorithm, over five nodes where it has nodes.
fn every() -> Vec<Router> {
    let equal = "alpha,beta,10.0.0.1:11211,섬,e";
    let weighted = "alpha,beta=3,10.0.0.1:11211=2,섬,e=2";
    let mut routers = Vec::new();
    for algorithm in Algorithm::ALL {
        let list = match algorithm {
            Algorithm::Redis | Algorithm::Cassandra => Vec::new(),
            Algorithm::Modulo | Algorithm::Jump | Algorithm::Range => nodes(equal),
            _ => nodes(weighted),
        };
        let mut spec = RouterSpec::new(algorithm, list);
        spec.encoding = KeyEncoding::Decimal;
        if algorithm == Algorithm::Range {
            spec.splits = Some([&b"g"[..], b"n", b"t", b"\xff\x00"].map(<[u8]>::to_vec).to_vec());
        }
        routers.push(Router::new(&spec).unwrap());
    }
    for algorithm in [Algorithm::Modulo, Algorithm::Jump] {
        routers.push(Router::new(&RouterSpec::numbered(algorithm, u32::MAX)).unwrap());
    }
    let mut ring = RouterSpec::new(Algorithm::Ring, nodes(weighted));
    (ring.hash, ring.vnodes, ring.locality) = (Some(HashKind::Sha1), Some(7), Locality::Tag);
    routers.push(Router::new(&ring).unwrap());
    let mut numbered = RouterSpec::new(Algorithm::Range, Vec::new());
    numbered.splits = Some(vec![b"m".to_vec()]);
    routers.push(Router::new(&numbered).unwrap());
    routers
}

fn keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = (0..200).map(|i| format!("user:{i}").into_bytes()).collect();
    keys.extend([&b""[..], b"\0", b"\xff\xfe", "제주 섬".as_bytes(), b"{tag}x"].map(<[u8]>::to_vec));
    keys.push(vec![b'k'; 10_000]);
    keys
}

fn refused(spec: &RouterSpec) -> String {
    Router::new(spec).unwrap_err().to_string()
}

#[test]
fn answers_of_one_router_agree_with_each_other() {
    for router in every() {
        let algorithm = router.algorithm();
        let (mut owners, mut packed, mut offsets) = (Vec::new(), Vec::new(), vec![0]);
        for key in keys() {
            packed.extend_from_slice(&key);
            offsets.push(packed.len() as u32);
            let number = router.number(&key).unwrap();
            if let Some(places) = router.places() {
                assert!((0..i64::from(places)).contains(&number), "{algorithm}");
            }
            if router.nodes().is_empty() {
                assert!(matches!(router.node(&key), Err(RoutingError::NoNames { .. })));
                continue;
            }
            let owner = router.owner(&key).unwrap();
            assert_eq!(
                router.node(&key).unwrap(),
                router.nodes()[usize::from(owner)].name
            );
            if !algorithm.has_replicas() {
                assert!(matches!(
                    router.owners(&key, 2, &mut owners),
                    Err(RoutingError::OnePlace { .. })
                ));
                assert_eq!(router.owners(&key, 1, &mut owners).unwrap(), 0);
                assert_eq!((owners.as_slice(), number), (&[owner][..], owner.into()));
                continue;
            }
            for replicas in [0, 1, 2, 5, 9] {
                let missing = router.owners(&key, replicas, &mut owners).unwrap();
                assert_eq!(owners.len(), replicas.min(router.distinct_nodes()), "{algorithm}");
                assert_eq!(missing, replicas - owners.len());
                assert!(owners.first().is_none_or(|&first| first == owner), "{algorithm}");
                assert_eq!(router.nodes_of(&key, replicas).unwrap().len(), owners.len());
                owners.sort_unstable();
                owners.dedup();
                assert_eq!(owners.len(), replicas.min(router.distinct_nodes()), "{algorithm}");
            }
        }
        let mut many = vec![0; keys().len()];
        router.route_many(&packed, &offsets, &mut many).unwrap();
        for (key, answer) in keys().iter().zip(many) {
            let single = match router.nodes() {
                [] => router.number(key).unwrap(),
                _ => router.owner(key).unwrap().into(),
            };
            assert_eq!(answer, single, "{algorithm}");
        }
    }
}

#[test]
fn bad_packed_keys_are_refused() {
    let router = Router::new(&RouterSpec::numbered(Algorithm::Jump, 7)).unwrap();
    let bad: [(&[u32], usize, usize); 5] = [
        (&[], 0, 0),
        (&[1, 3], 1, 0),
        (&[0, 2, 1, 3], 3, 2),
        (&[0, 2], 1, 1),
        (&[0, 3], 2, 1),
    ];
    for (offsets, answers, at) in bad {
        let error = router
            .route_many(b"abc", offsets, &mut vec![0; answers])
            .unwrap_err();
        assert!(
            matches!(error, RoutingError::BadPackedKeys { index, .. } if index == at),
            "{error}"
        );
    }
    router.route_many(b"", &[0], &mut []).unwrap();
    router.route_many(b"", &[0, 0, 0], &mut [0, 0]).unwrap();
}

#[test]
fn options_an_algorithm_would_pass_over_are_refused_by_name() {
    let base = |algorithm| RouterSpec::new(algorithm, nodes("a,b"));
    let mut spec = base(Algorithm::Hrw);
    spec.vnodes = Some(3);
    assert_eq!(
        refused(&spec),
        "option vnodes has no meaning for the algorithm hrw"
    );
    let mut spec = base(Algorithm::Ketama);
    spec.hash = Some(HashKind::Md5);
    assert_eq!(
        refused(&spec),
        "option hash has no meaning for the algorithm ketama"
    );
    let mut spec = base(Algorithm::Ring);
    spec.table_size = Some(7);
    assert_eq!(
        refused(&spec),
        "option table_size has no meaning for the algorithm ring"
    );
    let mut spec = base(Algorithm::Ring);
    spec.nodes[0].zone = Some("z".into());
    assert_eq!(
        refused(&spec),
        "option zones has no meaning for the algorithm ring"
    );
    assert_eq!(
        refused(&base(Algorithm::Redis)),
        "option nodes has no meaning for the algorithm redis"
    );
    let mut spec = RouterSpec::new(Algorithm::Redis, Vec::new());
    spec.locality = Locality::Tag;
    assert_eq!(
        refused(&spec),
        "option locality has no meaning for the algorithm redis"
    );
    let mut spec = base(Algorithm::Ring);
    spec.buckets = Some(2);
    assert_eq!(refused(&spec), "the options nodes and buckets exclude each other");
    for algorithm in [
        Algorithm::Ring,
        Algorithm::Jump,
        Algorithm::Maglev,
        Algorithm::Slots,
    ] {
        let spec = RouterSpec::new(algorithm, Vec::new());
        assert_eq!(
            refused(&spec),
            format!("the algorithm {algorithm} needs the option nodes")
        );
        assert!(matches!(
            Router::new(&RouterSpec::numbered(algorithm, 0)),
            Err(RoutingError::NoNodes)
        ));
    }
    let spec = RouterSpec::new(Algorithm::Range, Vec::new());
    assert_eq!(refused(&spec), "the algorithm range needs the option splits");
    assert_eq!(
        refused(&RouterSpec::new(Algorithm::Jump, nodes("a=2,b"))),
        "node \"a\" has weight 2: jump knows no weights, use ring or slots"
    );
    assert_eq!(
        refused(&RouterSpec::new(Algorithm::Ketama, nodes("a,b=0"))),
        "node \"b\" has weight 0, which ketama cannot express: leave the node out"
    );
}

#[test]
fn every_algorithm_refuses_a_name_given_twice() {
    for algorithm in Algorithm::ALL {
        let mut spec = RouterSpec::new(algorithm, vec![NodeSpec::new("a"), NodeSpec::new("a")]);
        spec.splits = (algorithm == Algorithm::Range).then(|| vec![b"m".to_vec()]);
        let error = Router::new(&spec).unwrap_err();
        let named = matches!(error, RoutingError::DuplicateNode { .. });
        let nodeless = matches!(algorithm, Algorithm::Redis | Algorithm::Cassandra);
        assert!(named || nodeless, "{algorithm}: {error}");
    }
}

#[test]
fn ten_thousand_nodes_are_served() {
    for algorithm in Algorithm::ALL {
        if matches!(
            algorithm,
            Algorithm::Redis | Algorithm::Cassandra | Algorithm::Range
        ) {
            continue;
        }
        let mut spec = RouterSpec::numbered(algorithm, 10_000);
        match algorithm {
            Algorithm::Ring => spec.vnodes = Some(10),
            Algorithm::Slots => (spec.slots, spec.vnodes) = (Some(20_000), Some(1)),
            _ => {}
        }
        let router = Router::new(&spec).unwrap();
        let mut met = std::collections::BTreeSet::new();
        for key in 0..300u32 {
            met.insert(router.number(&key.to_be_bytes()).unwrap());
        }
        assert!(met.len() > 280, "{algorithm}: {} of 300 keys apart", met.len());
    }
}

#[test]
fn locality_decides_by_a_part_of_the_key() {
    for router in every() {
        let fresh = |_| RouterSpec::new(router.algorithm(), router.nodes().to_vec());
        let mut spec = router.spec().unwrap_or_else(fresh);
        if matches!(
            spec.algorithm,
            Algorithm::Range | Algorithm::Redis | Algorithm::Cassandra
        ) {
            continue;
        }
        spec.locality = Locality::Prefix(4);
        let router = Router::new(&spec).unwrap();
        let number = |key: &str| router.number(key.as_bytes()).unwrap();
        assert_eq!(number("userA"), number("userB"), "{}", spec.algorithm);
        assert_eq!(number("user"), number("userB"), "{}", spec.algorithm);
    }
}

#[test]
fn jump_takes_plain_numbers_and_nobody_else_does() {
    let jump = Router::new(&RouterSpec::numbered(Algorithm::Jump, 1000)).unwrap();
    assert_eq!(jump.bucket_of_number(1).unwrap(), 549);
    let key = b"user:1";
    assert_eq!(
        i64::from(jump.bucket_of_number(hash64(key)).unwrap()),
        jump.number(key).unwrap()
    );
    let ring = Router::new(&RouterSpec::new(Algorithm::Ring, nodes("a"))).unwrap();
    assert!(matches!(
        ring.bucket_of_number(1),
        Err(RoutingError::NoNumbers { .. })
    ));
}

#[test]
fn a_topology_is_a_router() {
    let mut spec = TopologySpec::new(nodes("a,b,c=2"), 6, 2);
    spec.locality = Locality::Tag;
    let (topology, _) = Topology::create(&spec).unwrap();
    let router = Router::from_bytes(&topology.to_bytes()).unwrap();
    assert_eq!(router.to_bytes(), topology.to_bytes());
    for key in keys() {
        let shard = topology.shard_of(&key);
        assert_eq!(router.nodes_of(&key, 2).unwrap(), topology.node_names(shard));
        assert_eq!(router.number(&key).unwrap(), i64::from(topology.slot_of(&key).0));
    }
    assert_eq!(router.number(b"{t}1").unwrap(), router.number(b"{t}2").unwrap());
    let mut spec = TopologySpec::new(nodes("a,b"), 2, 1);
    let (lower, upper) = (Some(b"b".to_vec()), Some(b"y".to_vec()));
    let domain = crate::routing::Domain { lower, upper };
    spec.partitioning = PartitioningSpec::Range {
        splits: vec![b"m".to_vec()],
        domain,
    };
    let router = Router::from_topology(Topology::create(&spec).unwrap().0);
    assert_eq!(router.algorithm(), Algorithm::Range);
    assert!(matches!(
        router.node(b"a"),
        Err(RoutingError::OutsideDomain { .. })
    ));
    assert!(matches!(
        router.number(b"y"),
        Err(RoutingError::OutsideDomain { .. })
    ));
    let shards: &[Shard] = router.topology().unwrap().shards();
    assert_eq!(shards.len(), 2);
}

#[test]
fn bytes_and_json_give_the_same_router_again() {
    for router in every() {
        let bytes = router.to_bytes();
        let (again, json) = (Router::from_bytes(&bytes).unwrap(), router.to_json());
        let from_json = Router::from_json(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        assert_eq!(from_json.to_bytes(), bytes, "{json}");
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!(
            (again.nodes(), again.encoding()),
            (router.nodes(), router.encoding())
        );
        for key in keys() {
            assert_eq!(
                again.number(&key).unwrap(),
                router.number(&key).unwrap(),
                "{json}"
            );
        }
    }
    let error = Router::from_json(r#"{"algorithm":"ring","nodes":[{"name":"a"}],"vnode":3}"#).unwrap_err();
    assert!(matches!(error, RoutingError::Json(_)));
}

#[test]
fn json_beside_a_topology_must_not_contradict_it() {
    let router = Router::new(&RouterSpec::new(Algorithm::Slots, nodes("a,b"))).unwrap();
    let json = router.to_json();
    let ring = json.replacen("\"slots\"", "\"ring\"", 1);
    let error = Router::from_json(&ring).unwrap_err();
    assert!(matches!(error, RoutingError::Inconsistent { .. }), "{error}");
    let more = json.replacen('{', "{\"vnodes\":3,", 1);
    let error = Router::from_json(&more).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the options topology and vnodes exclude each other"
    );
}

#[test]
fn damaged_bytes_are_refused_wherever_the_damage_is() {
    for router in every().into_iter().filter(|router| router.topology().is_none()) {
        let bytes = router.to_bytes();
        for len in 0..bytes.len() {
            assert!(Router::from_bytes(&bytes[..len]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Router::from_bytes(&damaged).is_err(), "bit {bit}");
        }
    }
}

/// Puts a right checksum under whatever the payload says.
fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"ATOLLRTR\x01\0\0\0".to_vec();
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(payload);
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn lies_under_a_right_checksum_are_refused() {
    let jump = |payload: &[u8]| Router::from_bytes(&sealed(payload));
    // jump over 3 numbered buckets: no nodes, no splits.
    assert_eq!(jump(&[5, 0, 0, 0, 0, 0, 3, 0, 0]).unwrap().places(), Some(3));
    let lies: [&[u8]; 10] = [
        &[0, 0, 0, 0, 0, 0, 3, 0, 0],
        &[12, 0, 0, 0, 0, 0, 3, 0, 0],
        &[5, 2, 0, 0, 0, 0, 3, 0, 0],
        &[5, 0, 3, 0, 0, 0, 3, 0, 0],
        &[5, 0, 1, 1, 0, 0, 3, 0, 0],
        &[5, 0, 0, 0, 0, 1, 3, 0, 0],
        // Not the shortest form of 3.
        &[5, 0, 0, 0, 0, 0, 0x83, 0, 0, 0],
        &[
            5, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0,
        ],
        &[5, 0, 0, 0, 0, 0, 3, 0, 0, 0],
        // Splits for jump.
        &[5, 0, 0, 0, 0, 0, 3, 0, 1, 1, b'x'],
    ];
    for lie in lies {
        assert!(jump(lie).is_err(), "{lie:?}");
    }
}

fn share_of_moved_keys(before: &Router, after: &Router) -> f64 {
    const KEYS: u32 = 60_000;
    let moves = |key: u32| {
        let key = hash64(&key.to_le_bytes()).to_le_bytes();
        before.node(&key).unwrap() != after.node(&key).unwrap()
    };
    f64::from((0..KEYS).filter(|&key| moves(key)).count() as u32) / f64::from(KEYS)
}

#[test]
fn plans_say_what_keys_then_do() {
    let added = NodeSpec::new("new");
    for router in every() {
        let algorithm = router.algorithm();
        let plannable = !router.nodes().is_empty() && algorithm != Algorithm::Range;
        if !plannable {
            assert!(router.plan_add(&added).is_err());
            assert!(router.plan_remove("alpha").is_err());
            continue;
        }
        let plans = if router.topology().is_some() {
            let last = router.nodes().last().unwrap().name.clone();
            vec![
                (router.plan_add(&added).unwrap(), None),
                (router.plan_remove(&last).unwrap(), None),
                (router.plan_reweight("beta", 5).unwrap(), None),
                (router.plan_reweight("beta", 1).unwrap(), None),
            ]
        } else {
            let mut plans = vec![(
                router.plan_add(&added).unwrap(),
                Some(router.with_node(&added).unwrap()),
            )];
            for node in router.nodes() {
                let next = router.without_node(&node.name).unwrap();
                plans.push((router.plan_remove(&node.name).unwrap(), Some(next)));
            }
            // beta weighs 3 where there are weights.
            for weight in [1, 2, 9].into_iter().filter(|_| algorithm.has_replicas()) {
                let next = router.with_weight("beta", weight).unwrap();
                plans.push((router.plan_reweight("beta", weight).unwrap(), Some(next)));
            }
            plans
        };
        for (plan, next) in plans {
            let sum = |share: fn(&RouterShare) -> f64| plan.nodes.iter().map(share).sum::<f64>();
            assert!((sum(|share| share.before) - 1.0).abs() < 1e-9, "{plan:?}");
            assert!((sum(|share| share.after) - 1.0).abs() < 1e-9, "{plan:?}");
            assert!(plan.moved > 0.0 && plan.minimum > 0.0, "{plan:?}");
            let faithful = matches!(
                algorithm,
                Algorithm::Ring | Algorithm::Hrw | Algorithm::Nginx | Algorithm::Slots
            );
            assert!(!faithful || plan.moved_between_old_nodes < 1e-9, "{plan:?}");
            if let Some(next) = next {
                let seen = share_of_moved_keys(&router, &next);
                // Five standard deviations of 60,000 draws are below 1.1 %.
                assert!(
                    (seen - plan.moved).abs() < 0.011,
                    "{algorithm}: {seen} moved, planned {}",
                    plan.moved
                );
                assert!(plan.moved > plan.moved_between_old_nodes);
            }
        }
    }
}

#[test]
fn shares_before_are_what_keys_do() {
    for router in every().into_iter().filter(|router| !router.nodes().is_empty()) {
        let Ok(plan) = router.plan_add(&NodeSpec::new("new")) else {
            continue;
        };
        let mut counts = vec![0u32; router.nodes().len()];
        for key in 0..60_000u32 {
            let key = hash64(&key.to_le_bytes()).to_le_bytes();
            counts[usize::from(router.owner(&key).unwrap())] += 1;
        }
        for (share, count) in plan.nodes.iter().zip(counts) {
            let seen = f64::from(count) / 60_000.0;
            assert!(
                (share.before - seen).abs() < 0.011,
                "{} {share:?} {seen}",
                router.algorithm()
            );
        }
    }
}

#[test]
fn the_last_but_one_node_hands_everything_to_the_last() {
    for algorithm in Algorithm::ALL {
        let Ok(router) = Router::new(&RouterSpec::new(algorithm, nodes("a,b"))) else {
            assert!(!algorithm.has_replicas(), "{algorithm}");
            continue;
        };
        let plan = router.plan_remove("a").unwrap();
        let shares: Vec<f64> = plan.nodes.iter().map(|share| share.after).collect();
        assert!(
            shares[0] == 0.0 && (shares[1] - 1.0).abs() < 1e-12,
            "{algorithm}: {plan:?}"
        );
        assert!((plan.moved - plan.minimum).abs() < 1e-12, "{algorithm}: {plan:?}");
        assert!(
            plan.moved_between_old_nodes.abs() < 1e-12,
            "{algorithm}: {plan:?}"
        );
    }
}

#[test]
fn plans_refuse_what_cannot_be() {
    let router = Router::new(&RouterSpec::new(Algorithm::Ring, nodes("a,b"))).unwrap();
    assert!(matches!(
        router.plan_add(&NodeSpec::new("a")),
        Err(RoutingError::NodeExists { .. })
    ));
    assert!(matches!(
        router.plan_remove("x"),
        Err(RoutingError::UnknownNode { .. })
    ));
    assert!(matches!(
        router.plan_reweight("x", 2),
        Err(RoutingError::UnknownNode { .. })
    ));
    let jump = Router::new(&RouterSpec::new(Algorithm::Jump, nodes("a,b"))).unwrap();
    assert!(matches!(
        jump.plan_reweight("a", 1),
        Err(RoutingError::NoWeights { .. })
    ));
    let single = router.without_node("b").unwrap();
    assert!(single.plan_reweight("a", 0).is_err());
    assert!(matches!(single.plan_remove("a"), Err(RoutingError::NoNodes)));
    let numbered = Router::new(&RouterSpec::numbered(Algorithm::Modulo, 5)).unwrap();
    assert!(matches!(
        numbered.plan_add(&NodeSpec::new("a")),
        Err(RoutingError::NoNames { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn modulo_plans_are_the_counted_fraction(count in 1usize..40) {
        let list: Vec<NodeSpec> = (0..count).map(|i| NodeSpec::new(i.to_string())).collect();
        let router = Router::new(&RouterSpec::new(Algorithm::Modulo, list)).unwrap();
        let plan = router.plan_add(&NodeSpec::new("new")).unwrap();
        let counted = moved_fraction(&vec![1; count], &vec![1; count + 1]);
        prop_assert!((plan.moved - counted).abs() < 1e-12);
    }

    #[test]
    fn arcs_of_the_circle_belong_to_whom_the_ring_says(
        weights in proptest::collection::vec(0u32..4, 1..6),
        vnodes in 1u32..9,
        hash in proptest::sample::select(HashKind::ALL.to_vec()),
        keys in proptest::collection::vec(any::<Vec<u8>>(), 1..40),
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let node = |(i, &weight): (usize, &u32)| NodeSpec::new(format!("n{i}")).with_weight(weight);
        let nodes: Vec<NodeSpec> = weights.iter().enumerate().map(node).collect();
        let ring = Ring::new(&nodes, vnodes, hash).unwrap();
        let points: Vec<circle::Point> = ring.arcs().collect();
        for key in keys {
            let at = points.partition_point(|&(point, _)| point <= hash.digest(&key).high());
            prop_assert_eq!(points.get(at).unwrap_or(&points[0]).1, ring.owner(&key));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(payload: Vec<u8>, raw: Vec<u8>) {
        let _ = Router::from_bytes(&raw);
        // Small numbers only: a ring of 16 Mi points is served, and takes its time.
        let small: Vec<u8> = payload.iter().map(|byte| byte & 0x1f).collect();
        let _ = Router::from_bytes(&sealed(&small));
    }
}
