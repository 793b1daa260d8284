//! Fresh placement, look-ups, and both written forms.

use proptest::prelude::*;

use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::routing::node::NodeSpec;
use crate::routing::plan::Change;
use crate::routing::range::Domain;

fn spec(nodes: &str, shards: u32, replicas: u8) -> TopologySpec {
    TopologySpec::new(NodeSpec::parse_list(nodes).unwrap(), shards, replicas)
}

fn numbered(count: usize) -> String {
    (0..count).map(|i| format!("n{i}")).collect::<Vec<_>>().join(",")
}

/// Slots per member: of primaries, and of all copies.
fn loads(topology: &Topology) -> (Vec<u64>, Vec<u64>) {
    let mut primaries = vec![0; topology.members().len()];
    let mut copies = primaries.clone();
    for (shard, slots) in topology.shards().iter().zip(topology.slot_counts()) {
        primaries[usize::from(shard.replicas[0])] += u64::from(slots);
        shard
            .replicas
            .iter()
            .for_each(|&node| copies[usize::from(node)] += u64::from(slots));
    }
    (primaries, copies)
}

fn max_over_mean(loads: &[u64]) -> f64 {
    let mean = loads.iter().sum::<u64>() as f64 / loads.len() as f64;
    *loads.iter().max().unwrap() as f64 / mean
}

#[test]
fn sixteen_equal_nodes_are_level_at_any_multiple_of_shards() {
    for shards in [16, 32, 48, 64, 128] {
        for replicas in 1..=3 {
            let (topology, shortfalls) = Topology::create(&spec(&numbered(16), shards, replicas)).unwrap();
            assert!(shortfalls.is_empty(), "{shortfalls:?}");
            let (primaries, copies) = loads(&topology);
            assert!(
                max_over_mean(&primaries) <= 1.02,
                "{shards} shards: {primaries:?}"
            );
            assert!(
                max_over_mean(&copies) <= 1.02,
                "{shards} shards × {replicas}: {copies:?}"
            );
        }
    }
}

#[test]
fn primaries_follow_the_weights_whatever_the_number_of_shards() {
    for shards in 4..40 {
        let (topology, _) = Topology::create(&spec("a,b=2,c=4,d", shards, 2)).unwrap();
        let (primaries, _) = loads(&topology);
        assert_eq!(primaries, [512, 1024, 2048, 512], "{shards} shards");
    }
}

#[test]
fn shards_own_contiguous_runs() {
    let (topology, _) = Topology::create(&spec(&numbered(5), 12, 3)).unwrap();
    assert_eq!(topology.runs(0).len(), 12);
    assert!(topology.slot_counts().iter().all(|&slots| slots > 0));
}

#[test]
fn a_shortfall_is_told_never_silent() {
    let (topology, shortfalls) = Topology::create(&spec("a,b", 1, 3)).unwrap();
    assert_eq!(topology.shards()[0].replicas.len(), 2);
    let shard = ShardId(0);
    assert!(shortfalls.contains(&Shortfall::Replicas {
        shard,
        wanted: 3,
        placed: 2
    }));
    assert_eq!(
        shortfalls.len(),
        2,
        "one node is primary of nothing: {shortfalls:?}"
    );
    let mut same_zone = spec("a,b,c", 3, 2);
    same_zone
        .nodes
        .iter_mut()
        .for_each(|node| node.zone = Some("z".into()));
    let (_, shortfalls) = Topology::create(&same_zone).unwrap();
    assert_eq!(shortfalls.len(), 3);
    assert!(matches!(
        shortfalls[0],
        Shortfall::Zones {
            replicas: 2,
            zones: 1,
            ..
        }
    ));
}

#[test]
fn impossible_specifications_are_refused_with_a_reason() {
    let mut million = spec("a", 1, 1);
    million.partitioning = PartitioningSpec::Hash { slots: 1_000_000 };
    let error = Topology::create(&million).unwrap_err();
    assert!(
        matches!(
            error,
            RoutingError::SlotCount {
                slots: 1_000_000,
                max: 65_536
            }
        ),
        "{error}"
    );
    assert!(matches!(
        Topology::create(&spec("a", 0, 1)),
        Err(RoutingError::ShardCount { .. })
    ));
    assert!(matches!(
        Topology::create(&spec("a", 4097, 1)),
        Err(RoutingError::ShardCount { .. })
    ));
    assert!(matches!(
        Topology::create(&spec("a", 1, 0)),
        Err(RoutingError::NoReplicas)
    ));
    assert!(matches!(
        Topology::create(&spec("a=0", 1, 1)),
        Err(RoutingError::NoWeight)
    ));
    let mut seeded = spec("a", 1, 1);
    (seeded.hash, seeded.seed) = (HashKind::Sha1, 7);
    assert!(matches!(
        Topology::create(&seeded),
        Err(RoutingError::BadSeed { .. })
    ));
}

#[test]
fn the_slot_is_the_hash_of_the_locality_part() {
    let (topology, _) = Topology::create(&spec("a,b,c", 3, 2)).unwrap();
    let expected = xxh3_64(b"user:1") % 4096;
    assert_eq!(topology.slot_of(b"user:1"), SlotId(expected as u32));
    let mut tagged = spec("a,b,c", 3, 2);
    tagged.locality = Locality::Tag;
    tagged.partitioning = PartitioningSpec::Hash { slots: 1000 };
    let (topology, _) = Topology::create(&tagged).unwrap();
    assert_eq!(topology.slot_of(b"{user:1}.a"), topology.slot_of(b"{user:1}.b"));
    assert_eq!(
        topology.slot_of(b"{user:1}.a").0 as u64,
        xxh3_64(b"user:1") % 1000
    );
}

#[test]
fn ranges_map_to_slots_and_keep_their_domain() {
    let mut ranged = spec("a,b", 2, 1);
    let domain = Domain {
        lower: None,
        upper: Some(b"z".to_vec()),
    };
    let splits = vec![b"g".to_vec(), b"n".to_vec()];
    ranged.partitioning = PartitioningSpec::Range { splits, domain };
    let (topology, _) = Topology::create(&ranged).unwrap();
    assert_eq!(topology.slots(), 3);
    assert_eq!(topology.slot_of(b"g"), SlotId(1));
    assert!(topology.check_key(b"y").is_ok());
    assert!(matches!(
        topology.check_key(b"z"),
        Err(RoutingError::OutsideDomain { .. })
    ));
    assert_eq!(Topology::from_json(&topology.to_json()).unwrap(), topology);
    assert_eq!(Topology::from_bytes(&topology.to_bytes()).unwrap(), topology);
}

#[test]
fn a_large_topology_stays_below_64_kib() {
    let (topology, _) = Topology::create(&spec(&numbered(64), 256, 3)).unwrap();
    let mut moved = topology
        .with_members_changed(&Change::Add(NodeSpec::new("new")))
        .unwrap();
    // Every slot on its own, with floors of a well-filled log.
    let to = ShardId(moved.shards().len() as u32 - 1);
    for slot in (0..4096).step_by(2).map(SlotId) {
        let from = moved.shard_of_slot(slot);
        moved = moved
            .with_slots_moved(&[slot], from, to, (1 << 45) + u64::from(slot.0))
            .unwrap();
    }
    let bytes = moved.to_bytes();
    assert!(bytes.len() <= 64 << 10, "{} bytes", bytes.len());
    assert_eq!(Topology::from_bytes(&bytes).unwrap(), moved);
}

#[test]
fn hand_overs_name_the_owner_they_contradict() {
    let (topology, _) = Topology::create(&spec("a,b", 2, 1)).unwrap();
    let (slot, from, to) = (SlotId(0), ShardId(0), ShardId(1));
    let next = topology.with_slots_moved(&[slot], from, to, 99).unwrap();
    assert_eq!(
        (next.version(), next.shard_of_slot(slot), next.residency(slot)),
        (2, to, 99)
    );
    assert_eq!(topology.residency(slot), 0);
    let again = next.with_slots_moved(&[slot], from, to, 99).unwrap_err();
    assert!(
        matches!(again, RoutingError::SlotNotOwned { owner, .. } if owner == to),
        "{again}"
    );
    assert!(topology.with_slots_moved(&[slot, slot], from, to, 1).is_err());
    assert!(topology.with_slots_moved(&[SlotId(4096)], from, to, 1).is_err());
    assert!(topology.with_slots_moved(&[slot], from, ShardId(9), 1).is_err());
    assert!(topology.finished().unwrap().is_none());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (topology, _) = Topology::create(&spec("a,b=2,c", 4, 2)).unwrap();
    let bytes = topology.to_bytes();
    for at in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        assert!(Topology::from_bytes(&damaged).is_err(), "bit {at}");
    }
    for len in 0..bytes.len() {
        assert!(Topology::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
    }
}

fn any_topology() -> impl Strategy<Value = Topology> {
    let nodes = proptest::collection::vec((1u32..5, proptest::option::of(0u8..3)), 1..9);
    let hash = proptest::sample::select(HashKind::ALL.to_vec());
    let locality = prop_oneof![
        Just(Locality::None),
        Just(Locality::Tag),
        Just(Locality::Prefix(9))
    ];
    let splits = proptest::option::of(proptest::collection::btree_set(any::<[u8; 2]>(), 8..20));
    let shape = (1u32..8, 1u8..4, 8u32..300, any::<bool>());
    (nodes, hash, locality, splits, shape).prop_map(|(nodes, hash, locality, splits, shape)| {
        let (shards, replicas, slots, decimal) = shape;
        let node = |(i, (weight, zone)): (usize, (u32, Option<u8>))| NodeSpec {
            name: format!("섬{i}"),
            weight,
            rack: zone.map(|zone| format!("r{}", zone + i as u8 % 2)),
            zone: zone.map(|zone| format!("z{zone}")),
        };
        let mut spec = TopologySpec::new(
            nodes.into_iter().enumerate().map(node).collect(),
            shards,
            replicas,
        );
        spec.hash = hash;
        spec.encoding = if decimal {
            KeyEncoding::Decimal
        } else {
            KeyEncoding::Binary
        };
        spec.partitioning = PartitioningSpec::Hash { slots };
        match splits {
            Some(splits) => {
                let splits = splits.into_iter().map(|split| split.to_vec()).collect();
                spec.partitioning = PartitioningSpec::Range {
                    splits,
                    domain: Domain::default(),
                };
            }
            None => spec.locality = locality,
        }
        let (topology, _) = Topology::create(&spec).unwrap();
        topology
            .with_members_changed(&Change::Add(NodeSpec::new("new")))
            .unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn bytes_and_json_round_trip(topology in any_topology()) {
        prop_assert_eq!(&Topology::from_bytes(&topology.to_bytes()).unwrap(), &topology);
        prop_assert_eq!(&Topology::from_json(&topology.to_json()).unwrap(), &topology);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Topology::from_bytes(&bytes).is_err());
    }

    /// Behind a correct checksum only the parser and the invariants stand.
    #[test]
    fn mutated_payloads_never_panic_and_are_canonical_if_read(
        topology in any_topology(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let bytes = topology.to_bytes();
        let mut payload = bytes[20..bytes.len() - 4].to_vec();
        for (at, value) in edits {
            let at = at.index(payload.len());
            payload[at] = value;
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len()));
        }
        let mut forged = bytes[..12].to_vec();
        forged.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        forged.extend_from_slice(&payload);
        let checksum = crc32c::crc32c(&forged);
        forged.extend_from_slice(&checksum.to_le_bytes());
        if let Ok(read) = Topology::from_bytes(&forged) {
            prop_assert_eq!(read.to_bytes(), forged);
            let _ = read.shard_of(b"key");
        }
    }
}
