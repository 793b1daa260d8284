//! Bytes of released formats: they must be read, and written the same, for ever.
//!
//! A difference here means that placement or format changed. Existing clusters keep their topology,
//! but other languages and documents rely on both: a change needs a new format number or a note in
//! the changelog, never a quiet new file.

use atoll::ids::SlotId;
use atoll::routing::{
    Change, Domain, HashKind, KeyEncoding, Locality, NodeSpec, PartitioningSpec, Topology, TopologySpec,
};

fn check(topology: &Topology, golden: &str) {
    let hex: String = topology
        .to_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let golden: String = golden.split_whitespace().collect();
    assert_eq!(hex, golden);
}

#[test]
fn a_hashed_topology_after_a_join_has_its_bytes() {
    let nodes = ["a", "b", "10.0.0.3:7400"].map(NodeSpec::new);
    let mut nodes = nodes.to_vec();
    nodes[1].weight = 2;
    nodes
        .iter_mut()
        .zip(["x", "y", "x"])
        .for_each(|(node, zone)| node.zone = Some(zone.into()));
    let mut spec = TopologySpec::new(nodes, 6, 2);
    spec.hash = HashKind::Murmur3;
    spec.seed = 7;
    spec.encoding = KeyEncoding::Decimal;
    spec.locality = Locality::Prefix(300);
    let (topology, _) = Topology::create(&spec).unwrap();
    let joined = Change::Add(NodeSpec::new("섬").with_zone("z"));
    let grown = topology.with_members_changed(&joined).unwrap();
    let slots: Vec<SlotId> = topology.slots_of_shard(atoll::ids::ShardId(0)).take(5).collect();
    let to = grown.shards().last().unwrap().id;
    let moved = grown
        .with_slots_moved(&slots, atoll::ids::ShardId(0), to, 1 << 40)
        .unwrap();
    check(&moved, include_str!("golden/topology-1-hash.hex"));
}

#[test]
fn a_range_topology_has_its_bytes() {
    let mut spec = TopologySpec::new(NodeSpec::parse_list("a,b").unwrap(), 2, 1);
    let splits = vec![b"g".to_vec(), vec![0xff, 0x00]];
    let domain = Domain {
        lower: Some(b"b".to_vec()),
        upper: None,
    };
    spec.partitioning = PartitioningSpec::Range { splits, domain };
    let (topology, _) = Topology::create(&spec).unwrap();
    check(&topology, include_str!("golden/topology-1-range.hex"));
}
