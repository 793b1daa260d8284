//! Clusters: consistency levels, failover, wiped replicas, hand-overs, power cuts.

mod backup;
mod chaos;
mod compacting;
mod failover;
mod harness;
mod levels;
mod moving;
mod power;
mod real_disk;
mod sessions;
mod wiped;
