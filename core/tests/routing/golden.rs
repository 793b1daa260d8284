//! Bytes of released formats: they must be read, and written the same, for ever.
//!
//! A difference here means that placement or format changed. Existing clusters keep their topology,
//! but other languages and documents rely on both: a change needs a new format number or a note in
//! the changelog, never a quiet new file.

use atoll::ids::SlotId;
use atoll::routing::{
    Change, ColumnGroupSpec, Domain, HashKind, KeyEncoding, Locality, NodeSpec, PartitioningSpec, Topology,
    TopologySpec, UniformLoad,
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

/// Reads released bytes and writes them again.
fn reread(golden: &str) -> Topology {
    let digits: Vec<u8> = golden.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    let topology = Topology::from_bytes(&bytes).unwrap();
    assert_eq!(topology.to_bytes(), bytes);
    assert_eq!(Topology::from_json(&topology.to_json()).unwrap(), topology);
    topology
}

/// Written before topologies said which slots are on their way; its join was planned differently.
#[test]
fn a_hashed_topology_of_the_first_release_is_read_and_written_as_it_was() {
    let topology = reread(include_str!("golden/topology-1-hash.hex"));
    assert_eq!((topology.version(), topology.members().len()), (3, 4));
    assert_eq!(topology.moving().count(), 0);
    let moved = (0..topology.slots()).filter(|&slot| topology.residency(SlotId(slot)) == 1 << 40);
    assert_eq!(moved.count(), 5);
}

#[test]
fn a_topology_with_racks_groups_and_slots_on_their_way_has_its_bytes() {
    let nodes = NodeSpec::parse_list("a=1@x/1,b=2@y/1,10.0.0.3:7400=1@x/2").unwrap();
    let mut spec = TopologySpec::new(nodes, 6, 2);
    spec.hash = HashKind::Murmur3;
    spec.seed = 7;
    spec.encoding = KeyEncoding::Decimal;
    spec.locality = Locality::Prefix(300);
    spec.partitioning = PartitioningSpec::Hash { slots: 300 };
    spec.column_groups = vec![ColumnGroupSpec {
        name: "사진".into(),
        columns: vec!["photo".into(), "map".into()],
        shards: 3,
    }];
    let (topology, _) = Topology::create(&spec).unwrap();
    let joined = Change::Add(NodeSpec::new("섬").with_zone("z"));
    let plan = topology.plan(&joined, &UniformLoad::default()).unwrap();
    let grown = topology.with_plan(&plan).unwrap();
    let (first, second) = (&plan.moves[0], &plan.moves[1]);
    let grown = grown.with_slots_moved(&first.slots, first.from, first.to, 1 << 40);
    let frozen = grown
        .unwrap()
        .with_slots_frozen(&second.slots, second.from, second.to);
    check(&frozen.unwrap(), include_str!("golden/topology-1-features.hex"));
    reread(include_str!("golden/topology-1-features.hex"));
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
