//! Recovery: power is cut, processes die and calls fail at every point of a scripted workload.

mod backup;
mod bulk;
mod compaction;
mod damage;
mod faults;
mod interrupted;
mod power;
mod repair;
mod workload;
