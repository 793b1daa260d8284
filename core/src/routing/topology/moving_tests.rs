//! Slots on their way, column groups and racks, and every reader of foreign bytes on mutated input.

use proptest::prelude::*;

use super::*;
use crate::routing::node::NodeSpec;
use crate::routing::plan::{Change, Plan, UniformLoad};

fn grouped() -> Topology {
    let nodes = NodeSpec::parse_list("a=1@x/1,b=2@x/2,c=1@y,d=1@z").unwrap();
    let mut spec = TopologySpec::new(nodes, 4, 2);
    spec.partitioning = PartitioningSpec::Hash { slots: 64 };
    spec.column_groups = vec![ColumnGroupSpec {
        name: "blobs".into(),
        columns: vec!["photo".into(), "map".into()],
        shards: 2,
    }];
    Topology::create(&spec).unwrap().0
}

fn joining() -> (Topology, Plan) {
    let topology = grouped();
    let join = Change::Add(NodeSpec::new("e").with_zone("y"));
    let plan = topology.plan(&join, &UniformLoad::default()).unwrap();
    (topology.with_plan(&plan).unwrap(), plan)
}

#[test]
fn both_owners_of_a_moving_slot_are_told_and_one_answers_at_a_time() {
    let (before, plan) = joining();
    let moved = &plan.moves[0];
    let (slot, from, to) = (moved.slots[0], moved.from, moved.to);
    let group = before.shard(from).unwrap().group;
    let request = |shard, version, write| Request {
        group,
        slot,
        shard,
        version,
        write,
    };
    let copying = before.answer_in(group, slot).unwrap();
    assert_eq!((copying.reads, copying.writes), (from, Writes::At(from)));
    let expected = Some(Moving {
        to,
        phase: MovePhase::Copying,
    });
    assert_eq!(copying.moving, expected);
    assert_eq!(copying.frozen().writes, Writes::Wait { from, to });

    let frozen = before.with_slots_frozen(&moved.slots, from, to).unwrap();
    let version = frozen.version();
    let judge = |topology: &Topology, request| topology.judge(&request).unwrap();
    assert_eq!(judge(&frozen, request(from, 1, false)), Verdict::Serve);
    assert_eq!(judge(&frozen, request(from, 1, true)), Verdict::Wait { version });
    let early = Verdict::NewVersion { version, owner: from };
    assert_eq!(judge(&frozen, request(to, version, false)), early);

    let after = frozen.with_slots_moved(&moved.slots, from, to, 9).unwrap();
    let version = after.version();
    let late = Verdict::NewVersion { version, owner: to };
    assert_eq!(judge(&after, request(from, version - 1, true)), late);
    assert_eq!(judge(&after, request(to, version, true)), Verdict::Serve);
    // A receiver that is behind cannot know whether it still owns the slot.
    let refresh = Verdict::Refresh { at_least: version };
    assert_eq!(judge(&frozen, request(from, version, false)), refresh);
    assert_eq!(after.answer_in(group, slot).unwrap().moving, None);
}

#[test]
fn a_move_given_up_leaves_the_slot_where_it_is() {
    let (before, plan) = joining();
    let moved = &plan.moves[0];
    let (slots, from, to) = (&moved.slots[..], moved.from, moved.to);
    let frozen = before.with_slots_frozen(slots, from, to).unwrap();
    let given_up = frozen.with_move_given_up(slots, from, to).unwrap();
    let group = given_up.shard(from).unwrap().group;
    let answer = given_up.answer_in(group, slots[0]).unwrap();
    assert_eq!((answer.writes, answer.moving), (Writes::At(from), None));
    assert!(matches!(
        given_up.with_slots_frozen(slots, from, to),
        Err(RoutingError::SlotNotMoving { .. })
    ));
    assert!(before.with_slots_frozen(slots, to, from).is_err());
}

#[test]
fn shards_that_await_slots_are_not_retired() {
    let (before, plan) = joining();
    assert!(!plan.new_shards.is_empty());
    assert_eq!(before.finished().unwrap(), None);
    let mut next = before;
    for moved in &plan.moves {
        next = next
            .with_slots_moved(&moved.slots, moved.from, moved.to, 0)
            .unwrap();
    }
    assert_eq!(next.moving().count(), 0);
    let next = next.finished().unwrap().unwrap_or(next);
    let counts = next.slot_counts();
    let empty = next
        .shards()
        .iter()
        .filter(|shard| counts[shard.id.0 as usize] == 0);
    assert!(empty.into_iter().all(|shard| shard.state == ShardState::Retired));
}

#[test]
fn columns_of_one_key_are_found_in_their_own_shards() {
    let topology = grouped();
    assert_eq!(topology.column_groups(), 2);
    let slot = topology.slot_of("사용자:1".as_bytes());
    let parts = topology.parts_of("사용자:1".as_bytes(), &["photo", "name", "map"]);
    let found: Vec<_> = parts
        .iter()
        .map(|part| (part.group, part.columns.clone()))
        .collect();
    assert_eq!(found, [(0, vec!["name"]), (1, vec!["photo", "map"])]);
    assert_eq!(parts[0].shard, topology.shard_of_slot(slot));
    assert_eq!(parts[1].shard, topology.shard_of_slot_in(1, slot).unwrap());
    assert_ne!(parts[0].shard, parts[1].shard);
    assert_eq!(topology.parts_of(b"", &["photo"]).len(), 1);
    assert_eq!(topology.parts_of(&[7; 10_240], &[]).len(), 2);
    assert!(matches!(
        topology.shard_of_slot_in(2, slot),
        Err(RoutingError::UnknownGroup { group: 2, groups: 2 })
    ));
    let other = topology.with_slots_moved(&[slot], parts[0].shard, parts[1].shard, 1);
    assert!(matches!(other, Err(RoutingError::GroupsDiffer { .. })));
}

#[test]
fn contradicting_column_groups_are_refused_by_name() {
    let refused = |names: &[(&str, &[&str])]| {
        let nodes = NodeSpec::parse_list("a").unwrap();
        let mut spec = TopologySpec::new(nodes, 1, 1);
        let group = |(name, columns): &(&str, &[&str])| ColumnGroupSpec {
            name: (*name).into(),
            columns: columns.iter().map(|column| (*column).into()).collect(),
            shards: 1,
        };
        spec.column_groups = names.iter().map(group).collect();
        Topology::create(&spec).unwrap_err().to_string()
    };
    assert!(refused(&[("g", &[])]).contains("no columns"));
    assert!(refused(&[("g", &["a"]), ("g", &["b"])]).contains("twice"));
    assert!(refused(&[("g", &["a"]), ("h", &["a"])]).contains("\"a\" is named twice"));
    assert!(refused(&[("g", &["a"][..]); 16]).contains("at most 16"));
}

#[test]
fn what_is_new_round_trips_and_every_flipped_bit_is_noticed() {
    let (topology, _) = joining();
    assert!(topology.moving().count() > 0);
    let bytes = topology.to_bytes();
    assert_eq!(Topology::from_bytes(&bytes).unwrap(), topology);
    assert_eq!(
        Topology::from_json_bytes(topology.to_json().as_bytes()).unwrap(),
        topology
    );
    for at in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        assert!(Topology::from_bytes(&damaged).is_err(), "bit {at}");
    }
}

#[test]
fn a_full_topology_in_the_middle_of_a_rebalance_stays_below_64_kib() {
    let node = |i: usize| {
        NodeSpec::new(format!("node-{i:02}.seoul.example:7400"))
            .with_weight(1 + i as u32 % 3)
            .with_zone(format!("zone-{}", i % 4))
            .with_rack(format!("rack-{}", i % 8))
    };
    let spec = TopologySpec::new((0..64).map(node).collect(), 256, 3);
    let (topology, _) = Topology::create(&spec).unwrap();
    let change = Change::Together(vec![Change::Add(node(64)), Change::Remove(node(3).name)]);
    let plan = topology.plan(&change, &UniformLoad::default()).unwrap();
    let moving = topology.with_plan(&plan).unwrap();
    let bytes = moving.to_bytes();
    assert!(bytes.len() <= 64 << 10, "{} bytes", bytes.len());
    assert_eq!(Topology::from_bytes(&bytes).unwrap(), moving);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Behind a correct checksum only the parser and the invariants stand.
    #[test]
    fn mutated_features_never_panic_and_are_canonical_if_read(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        features in proptest::option::of(0u8..8),
    ) {
        let mut bytes = joining().0.to_bytes();
        let end = bytes.len() - 4;
        bytes.truncate(end);
        for (at, value) in edits {
            let at = 20 + at.index(end - 20);
            bytes[at] = value;
        }
        if let Some(features) = features {
            bytes[10] = features;
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        if let Ok(read) = Topology::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
            let _ = (read.parts_of(b"key", &["photo"]), read.moving().count(), read.shortfalls());
        }
    }

    #[test]
    fn mutated_json_of_topologies_and_plans_never_panics(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (topology, plan) = joining();
        let plan = serde_json::to_vec(&plan).unwrap();
        for mut text in [topology.to_json().into_bytes(), plan] {
            for (at, value) in &edits {
                let at = at.index(text.len());
                text[at] = *value;
            }
            if let Ok(read) = Topology::from_json_bytes(&text) {
                prop_assert_eq!(Topology::from_bytes(&read.to_bytes()).unwrap(), read);
            }
            if let Ok(read) = Plan::from_json_bytes(&text) {
                let _ = grouped().with_plan(&read);
            }
        }
    }
}
