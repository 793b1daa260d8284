//! Nodes of this process: directories whose replicas are opened, killed and started again.
//!
//! In: names of nodes. Out: their replicas in or out of service. Killing drops stores as a killed
//! process would: what was in the page cache stays, nothing is closed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::Event;
use super::group::{Copy, Group};
use super::layout::Layout;
use super::membership::{Members, read_members};
use super::{Cluster, ClusterError, ClusterOptions, Inner};
use crate::ids::{ShardId, Uuid};
use crate::io::Env;
use crate::replication::{LocalReplica, Replica, ReplicationError, majority};
use crate::routing::{MemberState, Shard, ShardState, Topology};
use crate::store::{IndexState, StoreIdentity, StoreOptions};

/// All nodes that may hold data, up.
pub(super) fn all_up(topology: &Topology) -> BTreeMap<String, bool> {
    let present = topology
        .members()
        .iter()
        .filter(|member| member.state != MemberState::Removed);
    present.map(|member| (member.name.clone(), true)).collect()
}

fn open_replica(
    env: &Env,
    layout: &Layout,
    cluster: Uuid,
    options: &ClusterOptions,
    shard: ShardId,
    (node, node_id): (&str, u64),
) -> Result<LocalReplica, ReplicationError> {
    let dir = layout.node_dir(node);
    let io = |source| ReplicationError::Io {
        op: "create",
        path: dir.clone(),
        source,
    };
    env.disk.create_dir_all(&dir).map_err(io)?;
    let options = StoreOptions {
        write_path: options.write_path,
        segment_max_bytes: options.segment_max_bytes,
        // The cluster syncs leaders and followers together.
        sync_interval: None,
        ..StoreOptions::new(StoreIdentity {
            cluster,
            shard,
            node: node_id,
        })
    };
    LocalReplica::open(
        env,
        &layout.store_dir(node, shard),
        &layout.fence_file(node, shard),
        &options,
    )
}

/// Creates the empty stores of a new shard and returns its first record of members.
pub(super) fn create_members(
    env: &Env,
    layout: &Layout,
    cluster: Uuid,
    options: &ClusterOptions,
    topology: &Topology,
    shard: &Shard,
    quorum: Option<u8>,
) -> Result<Members, ClusterError> {
    let replicas = shard.replicas.len();
    let quorum = quorum.map_or(majority(replicas), usize::from);
    if quorum == 0 || quorum > usize::from(topology.replicas()) {
        return Err(ClusterError::BadQuorum {
            quorum: quorum as u8,
            replicas: topology.replicas(),
        });
    }
    let mut stores = Vec::with_capacity(replicas);
    for &member in &shard.replicas {
        let member = &topology.members()[usize::from(member)];
        let replica = open_replica(env, layout, cluster, options, shard.id, (&member.name, member.id))
            .map_err(|error| ClusterError::replica(&member.name, shard.id, error))?;
        stores.push((member.id, replica.store_id()));
        replica
            .close()
            .map_err(|error| ClusterError::replica(&member.name, shard.id, error))?;
    }
    Ok(Members {
        quorum: quorum.min(replicas),
        wanted_quorum: quorum,
        stores,
    })
}

impl Inner {
    /// Opens all shards of the topology that are not open yet and gives them leaders.
    pub(super) fn open_groups(&self) -> Result<(), ClusterError> {
        let topology = self.topology.load_full();
        let mut groups = Vec::clone(&self.groups.load());
        groups.resize(topology.shards().len(), None);
        let mut fresh = Vec::new();
        for shard in topology.shards() {
            let place = &mut groups[shard.id.0 as usize];
            if shard.state == ShardState::Active && place.is_none() {
                let group = Arc::new(self.open_group(&topology, shard)?);
                fresh.push(Arc::clone(&group));
                *place = Some(group);
            }
        }
        for group in fresh {
            self.start(&group)?;
        }
        self.groups.store(Arc::new(groups));
        Ok(())
    }

    fn open_group(&self, topology: &Topology, shard: &Shard) -> Result<Group, ClusterError> {
        let (members, version) = read_members(&*self.config, shard.id)?;
        let mut copies = Vec::with_capacity(shard.replicas.len());
        for &member in &shard.replicas {
            let member = &topology.members()[usize::from(member)];
            let mut copy = Copy::new(&member.name, member.id);
            if self.nodes.lock().get(&member.name) == Some(&true) {
                match self.open_replica(shard.id, &member.name, member.id) {
                    Ok(replica) => {
                        let counts = members.counts(member.id, replica.store_id());
                        if !counts {
                            let node = member.name.clone();
                            self.note(Event::ReplicaWiped {
                                node,
                                shard: shard.id,
                            });
                        }
                        copy.put_up(replica, counts);
                    }
                    Err(error) => {
                        let (node, reason) = (member.name.clone(), error.to_string());
                        copy.take_down(reason.clone());
                        self.note(Event::ReplicaDown {
                            node,
                            shard: shard.id,
                            reason,
                        });
                    }
                }
            } else {
                copy.take_down("the node is down".into());
            }
            copies.push(copy);
        }
        Ok(Group::new(shard.id, copies, members, version))
    }

    fn open_replica(&self, shard: ShardId, node: &str, id: u64) -> Result<LocalReplica, ReplicationError> {
        let replica = open_replica(&self.env, &self.layout, self.id, &self.options, shard, (node, id))?;
        let report = replica.store().recovery();
        if !report.was_clean() {
            self.note(Event::Recovered {
                node: node.to_owned(),
                shard,
                report: report.clone(),
            });
        } else if let IndexState::Rebuilt(reason) = replica.store().index_state() {
            self.note(Event::IndexRebuilt {
                node: node.to_owned(),
                shard,
                reason: reason.clone(),
            });
        }
        Ok(replica)
    }

    pub(super) fn note_shortfalls(&self) {
        for what in self.topology.load().shortfalls() {
            self.note(Event::Shortfall { what });
        }
    }

    /// Removes directories of replicas that the topology does not know: a change of members was
    /// interrupted before its first decision, or after its last one.
    pub(super) fn remove_leftovers(&self) -> Result<(), ClusterError> {
        let topology = self.topology.load();
        let nodes_dir = self.layout.nodes_dir();
        let failed = |op, path: &std::path::Path| {
            let path = path.to_owned();
            move |source| ClusterError::Io { op, path, source }
        };
        let mut expected = std::collections::BTreeSet::new();
        for shard in topology
            .shards()
            .iter()
            .filter(|shard| shard.state == ShardState::Active)
        {
            for node in topology.node_names(shard.id) {
                expected.insert(self.layout.store_dir(node, shard.id));
            }
        }
        let mut removed = Vec::new();
        if !self
            .env
            .disk
            .exists(&nodes_dir)
            .map_err(failed("look up", &nodes_dir))?
        {
            return Ok(());
        }
        for node in self
            .env
            .disk
            .list(&nodes_dir)
            .map_err(failed("list", &nodes_dir))?
        {
            let node_dir = nodes_dir.join(&node.name);
            if !node.is_dir {
                continue;
            }
            for entry in self.env.disk.list(&node_dir).map_err(failed("list", &node_dir))? {
                let path = node_dir.join(&entry.name);
                let store = match entry.name.strip_suffix(".fence") {
                    Some(name) => node_dir.join(name),
                    None => path.clone(),
                };
                if !entry.name.starts_with("shard-") || expected.contains(&store) {
                    continue;
                }
                if entry.is_dir {
                    self.env
                        .disk
                        .remove_dir_all(&path)
                        .map_err(failed("remove", &path))?;
                    removed.push(path);
                } else if entry.name.ends_with(".fence") {
                    self.env
                        .disk
                        .remove_file(&path)
                        .map_err(failed("remove", &path))?;
                }
            }
        }
        if !removed.is_empty() {
            self.note(Event::LeftoversRemoved { paths: removed });
        }
        Ok(())
    }

    /// Closes every replica after making all of them equal and durable.
    pub(super) fn close_all(&self) -> Result<(), ClusterError> {
        let mut first = Ok(());
        let groups = self.groups.swap(Arc::new(Vec::new()));
        for group in groups.iter().flatten() {
            let mut state = group.state.write();
            // The leader's last fsync leaves a record of its own, so it comes before the last
            // shipment; nothing is appended after it.
            let now = self.env.clock.elapsed();
            if let Ok((primary, leader)) = state.leader(group.shard) {
                if let Err(error) = leader.sync() {
                    state.copies[primary].fail(error.to_string());
                    let node = &state.copies[primary].node;
                    first = first.and(Err(ClusterError::replica(node, group.shard, error)));
                }
                let upto = leader.store().stable();
                for index in (0..state.copies.len()).filter(|index| *index != primary) {
                    group.ship(&state, leader, index, upto, true, now);
                }
            }
            for copy in &mut state.copies {
                let failed = copy.has_failed();
                let Some(replica) = copy.local.take().filter(|_| !failed) else {
                    continue;
                };
                if let Err(error) = replica.close() {
                    first = first.and(Err(ClusterError::replica(&copy.node, group.shard, error)));
                }
            }
            state.primary = None;
            state.halted = Some("the cluster is closed".into());
        }
        first
    }

    fn check_node(&self, name: &str, up: bool) -> Result<(), ClusterError> {
        match self.nodes.lock().get(name) {
            None => Err(ClusterError::UnknownNode { name: name.into() }),
            Some(found) if *found == up => Ok(()),
            Some(true) => Err(ClusterError::NodeState {
                name: name.into(),
                state: "up already",
            }),
            Some(false) => Err(ClusterError::NodeState {
                name: name.into(),
                state: "down already",
            }),
        }
    }
}

impl Cluster {
    /// Drops the node's replicas as a killed process would, and lets others take over the shards
    /// it led, as far as quorums are left. What became of it is among the events.
    ///
    /// # Errors
    /// [`ClusterError::UnknownNode`], [`ClusterError::NodeState`].
    pub fn kill_node(&self, name: &str) -> Result<(), ClusterError> {
        let inner = &self.inner;
        inner.check_node(name, true)?;
        inner.nodes.lock().insert(name.to_owned(), false);
        inner.note(Event::NodeKilled {
            node: name.to_owned(),
        });
        for group in inner.groups() {
            let mut state = group.state.write();
            let Some(index) = state.copies.iter().position(|copy| copy.node == name) else {
                continue;
            };
            state.copies[index].take_down("the node was killed".into());
            if state.primary == Some(index) {
                inner.elect(&group, &mut state);
            }
        }
        Ok(())
    }

    /// Opens the node's replicas again, or those of a running node that have fallen out. Each takes back what no leader acknowledged, catches up,
    /// and serves and counts from then on; what cannot be opened stays out, among the events.
    ///
    /// # Errors
    /// [`ClusterError::UnknownNode`], [`ClusterError::NodeState`].
    pub fn restart_node(&self, name: &str) -> Result<(), ClusterError> {
        let inner = &self.inner;
        let down = |group: &Arc<Group>| {
            let state = group.state.read();
            state
                .copies
                .iter()
                .any(|copy| copy.node == name && copy.live().is_none())
        };
        // A node that is up may still have replicas that have fallen out.
        if !inner.groups().iter().any(down) {
            inner.check_node(name, false)?;
        }
        let known = inner.nodes.lock().get_mut(name).map(|up| *up = true);
        known.ok_or_else(|| ClusterError::UnknownNode { name: name.into() })?;
        inner.note(Event::NodeRestarted {
            node: name.to_owned(),
        });
        for group in inner.groups() {
            let found = {
                let state = group.state.read();
                let found = state
                    .copies
                    .iter()
                    .position(|copy| copy.node == name && copy.local.is_none());
                found.map(|index| (index, state.copies[index].node_id))
            };
            let Some((index, id)) = found else { continue };
            match inner.open_replica(group.shard, name, id) {
                Ok(replica) => inner.rejoin(&group, index, replica),
                Err(error) => {
                    let reason = error.to_string();
                    group.state.write().copies[index].take_down(reason.clone());
                    let node = name.to_owned();
                    inner.note(Event::ReplicaDown {
                        node,
                        shard: group.shard,
                        reason,
                    });
                }
            }
        }
        Ok(())
    }
}
