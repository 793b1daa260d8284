//! What moves when nodes come and go, seen through the public names alone.

use atoll::ids::SlotId;
use atoll::routing::{Change, NodeSpec, Plan, Ring, Topology, TopologySpec, UniformLoad};
use atoll::routing::{HashKind, MemberState};
use proptest::prelude::*;

fn nodes(weights: &[u32]) -> Vec<NodeSpec> {
    let node = |(i, &weight): (usize, &u32)| NodeSpec::new(format!("node-{i}")).with_weight(weight);
    weights.iter().enumerate().map(node).collect()
}

fn carry_out(topology: &Topology, change: &Change) -> (Plan, Topology) {
    let plan = topology.plan(change, &UniformLoad::default()).unwrap();
    let mut next = topology.with_members_changed(change).unwrap();
    for moved in &plan.moves {
        next = next
            .with_slots_moved(&moved.slots, moved.from, moved.to, 1)
            .unwrap();
    }
    let finished = next.finished().unwrap();
    (plan, finished.unwrap_or(next))
}

fn holders(topology: &Topology, slot: u32) -> Vec<&str> {
    topology.node_names(topology.shard_of_slot(SlotId(slot)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_joining_node_alone_gains_and_a_leaving_one_alone_loses(
        weights in proptest::collection::vec(1u32..4, 3..10),
        replicas in 1u8..4,
        shards in 3u32..40,
        new_weight in 1u32..4,
    ) {
        let spec = TopologySpec::new(nodes(&weights), shards, replicas);
        let (topology, _) = Topology::create(&spec).unwrap();
        let (plan, grown) = carry_out(&topology, &Change::Add(NodeSpec::new("new").with_weight(new_weight)));
        prop_assert_eq!(plan.moved_between_old_nodes, 0);
        for slot in 0..topology.slots() {
            let (old, new) = (holders(&topology, slot), holders(&grown, slot));
            prop_assert_eq!(old.len(), new.len());
            prop_assert!(new.iter().all(|node| old.contains(node) || *node == "new"));
            let distinct: std::collections::BTreeSet<_> = new.iter().collect();
            prop_assert_eq!(distinct.len(), new.len());
        }
        let (plan, shrunk) = carry_out(&grown, &Change::Remove("new".into()));
        prop_assert_eq!(plan.moved_between_old_nodes, 0);
        prop_assert_eq!(shrunk.member("new").unwrap().1.state, MemberState::Removed);
        for slot in 0..topology.slots() {
            let (old, new) = (holders(&grown, slot), holders(&shrunk, slot));
            prop_assert!(!new.contains(&"new"));
            prop_assert!(old.iter().all(|node| new.contains(node) || *node == "new"));
        }
    }

    #[test]
    fn a_node_that_joins_a_ring_takes_keys_and_nobody_else_gains(
        weights in proptest::collection::vec(1u32..4, 1..10),
        hash in proptest::sample::select(HashKind::ALL.to_vec()),
    ) {
        let all = nodes(&weights);
        let before = Ring::new(&all, 16, hash).unwrap();
        let grown: Vec<_> = all.iter().cloned().chain([NodeSpec::new("new")]).collect();
        let after = Ring::new(&grown, 16, hash).unwrap();
        for key in 0..300u32 {
            let key = key.to_string();
            let (old, new) = (before.node(key.as_bytes()), after.node(key.as_bytes()));
            prop_assert!(old == new || new == "new");
            let three = after.nodes_of(key.as_bytes(), 3);
            let distinct: std::collections::BTreeSet<_> = three.iter().collect();
            prop_assert_eq!(distinct.len(), grown.len().min(3));
        }
    }
}
