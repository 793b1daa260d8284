//! The same on the machine's own disk, with the background thread and several writers.

use std::time::{Duration, Instant};

use atoll::cluster::{Change, Cluster, ClusterOptions, Event, WriteDurability};
use atoll::io::Env;
use atoll::routing::NodeSpec;

use super::harness::*;

#[test]
fn writers_on_a_real_disk_survive_a_failover_and_a_rebalance() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("cluster");
    let env = Env::os();
    let cluster = Cluster::create(&env, &dir, &spec(4, 4, 3)).unwrap();
    let models: Vec<Model> = std::thread::scope(|scope| {
        let cluster = &cluster;
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                scope.spawn(move || {
                    let mut model = Model::default();
                    for i in 0..60 {
                        // Whoever writes to a primary that is being killed is told so.
                        model.put(cluster, &key(writer * 1000 + i), b"v");
                    }
                    model
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(20));
        cluster.kill_node("n1").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        cluster.restart_node("n1").unwrap();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let mut model = Model::default();
    models.into_iter().for_each(|other| model.join(other));
    model.check(&cluster);
    cluster
        .rebalance(&Change::Add(NodeSpec::new("n4")), &mut |_| {})
        .unwrap();
    model.check(&cluster);
    assert_whole(&cluster);
    cluster.close().unwrap();
    let cluster = Cluster::open(&env, &dir, &ClusterOptions::default()).unwrap();
    assert_eq!(
        events(&cluster, |event| !matches!(event, Event::Shortfall { .. })),
        0,
        "{:?}",
        cluster.events()
    );
    model.check(&cluster);
    cluster.close().unwrap();
}

#[test]
fn followers_are_kept_up_to_date_in_the_background() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::create(&Env::os(), &dir.path().join("c"), &spec(3, 1, 3)).unwrap();
    for i in 0..50 {
        cluster.put(&key(i), b"v", WriteDurability::Replicated).unwrap();
    }
    let began = Instant::now();
    loop {
        let status = cluster.status().unwrap();
        if status.shards[0]
            .replicas
            .iter()
            .all(|replica| replica.lag_bytes == 0)
        {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{status:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Dropped, not closed: the thread ends, the next opening elects.
    drop(cluster);
    let cluster = Cluster::open(&Env::os(), &dir.path().join("c"), &ClusterOptions::default()).unwrap();
    assert_eq!(cluster.count(&strong()).unwrap(), 50);
    assert_eq!(
        events(&cluster, |event| matches!(event, Event::Promoted { .. })),
        1
    );
}
