//! Replicas whose directory is gone, damaged or somebody else's.

use atoll::cluster::{ClusterError, Event, WriteDurability};
use atoll::io::Disk;

use super::harness::*;

#[test]
fn a_wiped_replica_counts_again_only_after_it_has_caught_up() {
    let machine = Machine::new(1);
    let cluster = machine.create(&spec(3, 2, 3));
    let mut model = Model::default();
    model.fill(&cluster, 80, 0);
    let status = cluster.status().unwrap();
    let mut replicas = status.shards[0].replicas.iter();
    let victim = replicas
        .find(|replica| replica.state == "follower")
        .unwrap()
        .node
        .clone();
    let other = replicas
        .next()
        .map_or("n0".to_owned(), |replica| replica.node.clone());
    cluster.close().unwrap();
    machine.disk.remove_dir_all(&store_dir(&victim, 0)).unwrap();
    let cluster = machine.open();
    let wiped = |event: &Event| matches!(event, Event::ReplicaWiped { node, .. } if *node == victim);
    assert_eq!(events(&cluster, wiped), 1);
    assert_eq!(
        events(
            &cluster,
            |event| matches!(event, Event::Readmitted { bytes, .. } if *bytes > 0)
        ),
        1
    );
    model.check(&cluster);
    assert_whole(&cluster);
    // Its fsyncs count now: with another node gone, it carries the quorum.
    cluster.kill_node(&other).unwrap();
    model.fill(&cluster, 80, 1);
    model.check(&cluster);
    cluster.restart_node(&other).unwrap();
    assert_whole(&cluster);
    cluster.close().unwrap();
    let cluster = machine.open();
    assert_eq!(news(&cluster), [], "the new store is on the record");
    model.check(&cluster);
}

#[test]
fn a_wiped_replica_does_not_make_a_quorum_with_one_that_was_behind() {
    let machine = Machine::new(2);
    let cluster = machine.create(&spec(3, 1, 3));
    let mut model = Model::default();
    model.fill(&cluster, 20, 0);
    cluster.pump();
    let order = cluster.locate(b"k").unwrap().replicas;
    // The last node is away while round 1 is acknowledged by the other two.
    cluster.kill_node(&order[2]).unwrap();
    model.fill(&cluster, 20, 1);
    cluster.kill_node(&order[1]).unwrap();
    drop(cluster);
    // The first is lost, the second wiped: what only they had must not be forgotten silently.
    machine.disk.remove_dir_all(&store_dir(&order[1], 0)).unwrap();
    machine.disk.remove_dir_all(&store_dir(&order[0], 0)).unwrap();
    let mut machine = machine;
    machine.crash();
    let cluster = machine.open();
    let refused = cluster.put(b"k", b"v", WriteDurability::Replicated).unwrap_err();
    assert!(matches!(refused, ClusterError::Unavailable { .. }));
    assert!(
        cluster.get(&key(1), &eventual()).is_err(),
        "nobody knows what is committed"
    );
    drop(cluster);
    // Whoever knows that the rest is gone for good may say so.
    machine.crash();
    let lossy = atoll::cluster::ClusterOptions {
        allow_data_loss: true,
        ..options()
    };
    let cluster = atoll::cluster::Cluster::open(&machine.env(), DIR.as_ref(), &lossy).unwrap();
    assert_eq!(cluster.count(&strong()).unwrap(), 20);
    assert_eq!(
        &*cluster.get(&key(1), &strong()).unwrap().unwrap().value,
        b"value 1 of round 0"
    );
    cluster.put(b"k", b"v", WriteDurability::Replicated).unwrap();
    assert_whole(&cluster);
    cluster.kill_node(&order[2]).unwrap();
    assert_eq!(
        &*cluster.get(b"k", &strong()).unwrap().unwrap().value,
        b"v",
        "the quorum has grown back"
    );
}

#[test]
fn a_damaged_replica_stays_out_and_the_others_serve() {
    let machine = Machine::new(3);
    let cluster = machine.create(&spec(3, 1, 3));
    let mut model = Model::default();
    model.fill(&cluster, 50, 0);
    cluster.close().unwrap();
    machine.disk.flip(&store_dir("n2", 0).join("CONTROL"), 20, 0xFF);
    let cluster = machine.open();
    let down = |event: &Event| matches!(event, Event::ReplicaDown { node, .. } if node == "n2");
    assert_eq!(events(&cluster, down), 1, "{:?}", cluster.events());
    model.check(&cluster);
    model.fill(&cluster, 50, 1);
    model.check(&cluster);
    let status = cluster.status().unwrap();
    let replica = status.shards[0]
        .replicas
        .iter()
        .find(|replica| replica.node == "n2")
        .unwrap();
    assert_eq!(replica.state, "down");
    assert!(
        replica.reason.as_deref().unwrap().contains("CONTROL"),
        "{replica:?}"
    );
    // The remedy is to take the directory away: it is then a wiped replica like any other.
    machine.disk.remove_dir_all(&store_dir("n2", 0)).unwrap();
    cluster.restart_node("n2").unwrap();
    assert_whole(&cluster);
    model.check(&cluster);
}

#[test]
fn a_damaged_fence_keeps_its_replica_out() {
    let machine = Machine::new(4);
    let cluster = machine.create(&spec(3, 1, 3));
    let mut model = Model::default();
    model.fill(&cluster, 10, 0);
    cluster.close().unwrap();
    let fence = store_dir("n1", 0).with_extension("fence");
    machine.disk.flip(&fence, 33, 1);
    let cluster = machine.open();
    let down = |event: &Event| matches!(event, Event::ReplicaDown { node, reason, .. } if node == "n1" && reason.contains("fence"));
    assert_eq!(events(&cluster, down), 1, "{:?}", cluster.events());
    model.check(&cluster);
}
