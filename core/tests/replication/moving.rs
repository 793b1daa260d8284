//! Nodes join and leave while the cluster serves.

use std::sync::atomic::{AtomicBool, Ordering};

use atoll::cluster::{Change, Cluster, ClusterError, ReadOptions, RebalanceReport, WriteDurability};
use atoll::routing::{NodeSpec, ShardState};

use super::harness::*;

fn add(name: &str) -> Change {
    Change::Add(NodeSpec::new(name))
}

fn rebalance(cluster: &Cluster, change: &Change) -> RebalanceReport {
    cluster.rebalance(change, &mut |_| {}).unwrap()
}

#[test]
fn a_new_node_gets_its_share_and_nothing_moves_between_old_nodes() {
    let cluster = Machine::new(1).create(&spec(4, 8, 3));
    let mut model = Model::default();
    model.fill(&cluster, 400, 0);
    for i in (0..400).step_by(5) {
        model.delete(&cluster, &key(i));
    }
    let plan = cluster.plan(&add("n4")).unwrap();
    assert!(plan.keys > 0 && plan.moved_between_old_nodes == 0);
    let mut seen = Vec::new();
    let report = cluster
        .rebalance(&add("n4"), &mut |progress| seen.push(progress.clone()))
        .unwrap();
    assert_eq!(report.keys_between_old_nodes, 0);
    assert_eq!(report.keys_by_node.keys().collect::<Vec<_>>(), ["n4"]);
    assert_eq!((report.keys_moved, report.bytes_moved), (plan.keys, plan.bytes));
    assert_eq!(report.keys_by_node["n4"], plan.keys);
    let last = seen.last().unwrap();
    assert_eq!(
        (last.moves_done, last.keys_done),
        (last.moves_total, last.keys_total)
    );
    assert!(seen.windows(2).all(|pair| pair[0].keys_done <= pair[1].keys_done));
    model.check(&cluster);
    assert_whole(&cluster);
    // Five nodes, 32 slots, 3 copies: 19.2 copies each.
    let node = cluster
        .status()
        .unwrap()
        .nodes
        .into_iter()
        .find(|node| node.name == "n4")
        .unwrap();
    assert!((19..=20).contains(&node.slots), "{node:?}");
    model.fill(&cluster, 400, 1);
    model.check(&cluster);
    cluster.close().unwrap();
}

#[test]
fn a_removed_node_is_emptied_and_its_directories_go() {
    let machine = Machine::new(2);
    let cluster = machine.create(&spec(4, 4, 3));
    let mut model = Model::default();
    model.fill(&cluster, 200, 0);
    let report = rebalance(&cluster, &Change::Remove("n2".into()));
    assert_eq!(report.keys_between_old_nodes, 0);
    model.check(&cluster);
    assert_whole(&cluster);
    let topology = cluster.topology();
    assert!(
        topology
            .shards()
            .iter()
            .any(|shard| shard.state == ShardState::Retired)
    );
    assert!(
        machine
            .disk
            .paths()
            .iter()
            .all(|path| !path.to_string_lossy().contains("/n2/"))
    );
    assert!(matches!(
        cluster.kill_node("n2"),
        Err(ClusterError::UnknownNode { .. })
    ));
    cluster.close().unwrap();
    let cluster = machine.open();
    model.check(&cluster);
    // It may come back, empty, under its old name.
    rebalance(&cluster, &add("n2"));
    model.check(&cluster);
    assert_whole(&cluster);
}

#[test]
fn a_slot_that_leaves_and_returns_does_not_bring_deleted_keys_back() {
    let cluster = Machine::new(3).create(&spec(3, 4, 2));
    let mut model = Model::default();
    model.fill(&cluster, 200, 0);
    for round in 1..4 {
        rebalance(&cluster, &add("guest"));
        for i in (round..200).step_by(4) {
            model.delete(&cluster, &key(i));
        }
        for i in (0..200).step_by(9) {
            model.put(&cluster, &key(i), format!("while away, round {round}").as_bytes());
        }
        model.check(&cluster);
        rebalance(&cluster, &Change::Remove("guest".into()));
        model.check(&cluster);
        assert_sound(&cluster);
    }
    assert!(model.len() < 200);
    assert_whole(&cluster);
}

#[test]
fn a_token_of_the_old_shard_is_honoured_by_the_new_one() {
    // The third replica of every shard lags, since nothing pumps.
    let cluster = Machine::new(4).create(&spec(4, 4, 3));
    let tokens: Vec<_> = (0..100)
        .map(|i| {
            cluster
                .put(&key(i), format!("{i}").as_bytes(), WriteDurability::Replicated)
                .unwrap()
        })
        .collect();
    let owners: Vec<_> = (0..100).map(|i| cluster.locate(&key(i)).unwrap().shard).collect();
    rebalance(&cluster, &add("n4"));
    let mut moved = 0;
    for (i, token) in tokens.into_iter().enumerate() {
        moved += usize::from(cluster.locate(&key(i)).unwrap().shard != owners[i]);
        let read = ReadOptions::after(token);
        for _ in 0..4 {
            let answer = cluster
                .get(&key(i), &read)
                .unwrap()
                .expect("a replica that has not got it may not answer");
            assert_eq!(&*answer.value, format!("{i}").as_bytes());
        }
    }
    assert!(moved > 10, "{moved} keys moved");
}

#[test]
fn weights_move_slots_to_and_fro() {
    let cluster = Machine::new(5).create(&spec(3, 6, 2));
    let mut model = Model::default();
    model.fill(&cluster, 150, 0);
    for weight in [3, 1, 0, 2] {
        let report = rebalance(
            &cluster,
            &Change::Reweight {
                node: "n1".into(),
                weight,
            },
        );
        assert_eq!(report.keys_between_old_nodes, 0, "weight {weight}");
        model.check(&cluster);
        model.fill(&cluster, 150, weight as usize);
        assert_whole(&cluster);
    }
}

#[test]
fn a_rebalance_waits_for_its_quorum_and_is_resumed() {
    let machine = Machine::new(6);
    let cluster = machine.create(&spec(3, 4, 3));
    let mut model = Model::default();
    model.fill(&cluster, 200, 0);
    // The new node dies after the first moves: its shards still have a quorum, so it goes on.
    // A second death leaves them without.
    let mut moves = 0;
    let outcome = cluster.rebalance(&add("n3"), &mut |progress| {
        if progress.moves_done == 1 && moves == 0 {
            moves = progress.moves_total;
            cluster.kill_node("n0").unwrap();
            cluster.kill_node("n1").unwrap();
        }
    });
    assert!(moves > 1 && outcome.is_err());
    let refused = cluster.rebalance(&add("n4"), &mut |_| {});
    assert!(
        matches!(refused, Err(ClusterError::RebalanceUnderWay { .. })),
        "{refused:?}"
    );
    let open = cluster.status().unwrap().open_move.unwrap();
    assert!(open.moves_done >= 1 && open.moves_done < open.moves_total);
    cluster.restart_node("n0").unwrap();
    cluster.restart_node("n1").unwrap();
    model.check(&cluster);
    let report = cluster.resume_rebalance(&mut |_| {}).unwrap().unwrap();
    assert!(report.resumed && report.keys_between_old_nodes == 0);
    assert_eq!(report.moves, moves);
    model.check(&cluster);
    assert_whole(&cluster);
    assert_eq!(cluster.resume_rebalance(&mut |_| {}).unwrap(), None);
}

#[test]
fn a_leader_killed_at_any_step_of_a_move_makes_it_begin_again() {
    for frozen in [false, true] {
        let cluster = Machine::new(7).create(&spec(4, 4, 3));
        let mut model = Model::default();
        model.fill(&cluster, 200, 0);
        let mut killed = Vec::new();
        let mut writes = 0;
        let report = cluster
            .rebalance(&add("n4"), &mut |progress| {
                let node = format!("n{}", (progress.moves_done + killed.len()) % 5);
                let here = progress.keys_done > 0 && frozen == (progress.frozen_slots > 0);
                if here && killed.len() < 12 && killed.last() != Some(&node) {
                    cluster.kill_node(&node).unwrap();
                    // Whatever was frozen takes writes again under the new leader, and whatever
                    // is written now must not be left behind.
                    for i in 0..200 {
                        let value = format!("write {writes}");
                        writes += 1;
                        if progress.frozen_slots == 0 {
                            model.put(&cluster, &key(i), value.as_bytes());
                        }
                    }
                    cluster.restart_node(&node).unwrap();
                    killed.push(node);
                }
            })
            .unwrap();
        assert!(killed.len() > 1 && report.keys_between_old_nodes == 0);
        model.check(&cluster);
        assert_whole(&cluster);
    }
}

#[test]
fn a_source_that_changes_leaders_while_frozen_keeps_what_it_acknowledges_then() {
    let cluster = Machine::new(9).create(&spec(4, 4, 3));
    let mut model = Model::default();
    model.fill(&cluster, 60, 0);
    let mut led_anew = 0;
    cluster
        .rebalance(&add("n4"), &mut |progress| {
            if progress.frozen_slots == 0 || led_anew >= 3 {
                return;
            }
            // Every shard gets a new leader, the frozen one among them: it thaws and takes writes.
            for node in ["n0", "n1", "n2", "n3"] {
                cluster.kill_node(node).unwrap();
                cluster.restart_node(node).unwrap();
            }
            led_anew += 1;
            for i in 0..60 {
                assert!(model.put(&cluster, &key(i), format!("thawed {led_anew}").as_bytes()));
            }
        })
        .unwrap();
    assert!(led_anew > 2);
    model.check(&cluster);
    assert_whole(&cluster);
}

#[test]
fn writers_go_on_during_a_rebalance_and_lose_nothing() {
    let machine = Machine::new(8);
    let options = atoll::cluster::ClusterOptions {
        background: true,
        ..options()
    };
    let env = atoll::io::Env {
        clock: std::sync::Arc::new(atoll::io::clock::SystemClock),
        ..machine.env()
    };
    let cluster = Cluster::create_with(&env, DIR.as_ref(), &spec(3, 4, 3), &options).unwrap();
    let done = AtomicBool::new(false);
    let models: Vec<Model> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (cluster, done) = (&cluster, &done);
                scope.spawn(move || {
                    let mut model = Model::default();
                    let mut i = 0;
                    while !done.load(Ordering::Relaxed) || i < 500 {
                        let key = key(writer * 10_000 + i % 150);
                        let kept = if i % 5 == 4 {
                            model.delete(cluster, &key)
                        } else {
                            model.put(cluster, &key, format!("{i}").as_bytes())
                        };
                        assert!(kept, "writer {writer}, write {i}");
                        i += 1;
                    }
                    model
                })
            })
            .collect();
        for name in ["x", "y"] {
            rebalance(&cluster, &add(name));
        }
        rebalance(&cluster, &Change::Remove("n0".into()));
        done.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let mut all = Model::default();
    models.into_iter().for_each(|model| all.join(model));
    all.check(&cluster);
    assert_whole(&cluster);
    cluster.close().unwrap();
}
