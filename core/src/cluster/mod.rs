//! Shards times replicas: a directory that is a cluster.
//!
//! In: keys, values, levels of consistency and durability, changes of members. Out: values,
//! tokens, plans, facts. One process holds the whole directory; its nodes are directories that
//! can be killed and restarted one by one. The room does not know how records look or how a
//! position is fsynced; it decides who is asked, who has to agree, and what moves.
//!
//! Read [`Cluster`] first, then `coordinator` (a write), `reads` (a read), `group` (one shard),
//! `leader` (who leads it), `rebalance` and `hand_over` (what moves).
//!
//! What must never happen: a write is acknowledged with fewer fsynced copies than the quorum; a
//! slot is served by two shards; a replica answers a strong read alone; a wiped replica counts.

mod approximate;
mod background;
mod backup;
mod bulk;
mod compact;
pub mod config_store;
pub mod consistency;
mod coordinator;
mod delete_range;
mod error;
mod event;
mod group;
mod hand_over;
mod health;
mod layout;
mod leader;
mod membership;
mod multi_get;
mod node;
mod reads;
mod rebalance;
mod scan;
mod session;
mod status;
mod verify;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::ids::{ShardId, SlotId, Uuid};
use crate::io::{Env, LockGuard};
use crate::routing::{HashKind, KeyEncoding, Locality, NodeSpec, PartitioningSpec, Topology, TopologySpec};
use crate::store::WritePath;

use background::Shipper;
use compact::Compactor;
use config_store::{Change as ConfigChange, Condition, ConfigStore, FileConfigStore};
use group::Group;
use layout::Layout;
use membership::members_key;

pub use crate::replication::Token;
pub use crate::routing::{Change, Plan};
pub use backup::ClusterRestoreReport;
pub use bulk::ClusterLoad;
pub use compact::{ClusterCompaction, CompactOptions, ReplicaCompaction};
pub use consistency::{Consistency, ReadOptions, UnknownName, WriteDurability};
pub use error::ClusterError;
pub use event::Event;
pub use health::ClusterHealth;
pub use reads::{Answer, Location};
pub use rebalance::{RebalancePhase, RebalanceProgress, RebalanceReport};
pub use scan::{ClusterEntry, ClusterScan};
pub use session::Session;
pub use status::{ClusterStatus, NodeStatus, OpenMove, ReplicaStatus, ShardStatus};
pub use verify::{ClusterVerifyReport, Disagreement, ReplicaVerify};

/// Most events kept for [`Cluster::events`]; then the older half goes.
const MAX_EVENTS: usize = 10_000;
/// Name of the topology in the config store.
const TOPOLOGY_KEY: &str = "topology";

/// What a new cluster shall look like.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// Its nodes.
    pub nodes: Vec<NodeSpec>,
    /// Number of shards.
    pub shards: u32,
    /// Copies of every shard, the primary's included.
    pub replicas: u8,
    /// Fsynced copies a write needs; `None` for a majority of the replicas. 1 makes followers
    /// asynchronous: writes are faster, and a failover may need permission to lose some.
    pub quorum: Option<u8>,
    /// Slots or ranges.
    pub partitioning: PartitioningSpec,
    /// Hash of keys.
    pub hash: HashKind,
    /// Seed of that hash.
    pub seed: u64,
    /// How integers become bytes.
    pub encoding: KeyEncoding,
    /// Part of a key that decides its slot.
    pub locality: Locality,
}

impl ClusterSpec {
    /// 4,096 slots by xxh3 over whole keys; a majority quorum.
    #[must_use]
    pub fn new(nodes: Vec<NodeSpec>, shards: u32, replicas: u8) -> ClusterSpec {
        let defaults = TopologySpec::new(Vec::new(), shards, replicas);
        ClusterSpec {
            nodes,
            shards,
            replicas,
            quorum: None,
            partitioning: defaults.partitioning,
            hash: defaults.hash,
            seed: defaults.seed,
            encoding: defaults.encoding,
            locality: defaults.locality,
        }
    }

    fn topology_spec(&self) -> TopologySpec {
        TopologySpec {
            partitioning: self.partitioning.clone(),
            hash: self.hash,
            seed: self.seed,
            encoding: self.encoding,
            locality: self.locality,
            ..TopologySpec::new(self.nodes.clone(), self.shards, self.replicas)
        }
    }
}

/// How a cluster is opened.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// How records reach the files.
    pub write_path: WritePath,
    /// Segments grow from 1 MiB up to this many bytes.
    pub segment_max_bytes: u64,
    /// Keep followers up to date from a thread of its own, and fsync replicas of one shard at the
    /// same time. Without it nothing happens that [`Cluster::pump`] or a write does not do, and
    /// everything happens in one order: for tests.
    pub background: bool,
    /// Let a shard elect a leader although acknowledged writes may exist only on members that are
    /// missing. The missing members are taken off the record; an event tells.
    pub allow_data_loss: bool,
    /// How long a write waits for a slot that is being handed over.
    pub freeze_wait: Duration,
    /// How often buffered writes are fsynced in the background.
    pub sync_every: Duration,
    /// When replicas are compacted; without `background`, never by themselves.
    pub compaction: ClusterCompaction,
}

impl Default for ClusterOptions {
    fn default() -> ClusterOptions {
        ClusterOptions {
            write_path: WritePath::Auto,
            segment_max_bytes: 64 << 20,
            background: true,
            allow_data_loss: false,
            freeze_wait: Duration::from_secs(30),
            sync_every: Duration::from_secs(1),
            compaction: ClusterCompaction::Manual,
        }
    }
}

/// An open cluster. Thread-safe; share it by reference or behind an `Arc`.
///
/// Dropping it without [`Cluster::close`] is what a crash does: nothing acknowledged is lost, but
/// the next opening has to recover and elect.
#[derive(Debug)]
pub struct Cluster {
    /// Both are stopped before `inner` goes, since their threads use it.
    compactor: Option<Compactor>,
    shipper: Option<Shipper>,
    inner: Arc<Inner>,
}

/// What the façade, the background thread and the mover share.
#[derive(Debug)]
struct Inner {
    env: Env,
    layout: Layout,
    id: Uuid,
    options: ClusterOptions,
    config: Arc<dyn ConfigStore>,
    topology: ArcSwap<Topology>,
    /// By shard id; `None` for retired shards.
    groups: ArcSwap<Vec<Option<Arc<Group>>>>,
    /// Whether each node is up.
    nodes: Mutex<BTreeMap<String, bool>>,
    events: Mutex<Vec<Event>>,
    /// Held by whoever changes members or moves slots.
    mover: Mutex<()>,
    wake: crossbeam::channel::Sender<()>,
    _lock: Box<dyn LockGuard>,
}

impl Inner {
    fn note(&self, event: Event) {
        tracing::info!(%event, "cluster event");
        let mut events = self.events.lock();
        if events.len() >= MAX_EVENTS {
            // A replica that comes and goes must not fill the memory; the log has them all.
            events.drain(..MAX_EVENTS / 2);
        }
        events.push(event);
    }

    fn group(&self, shard: ShardId) -> Result<Arc<Group>, ClusterError> {
        let groups = self.groups.load();
        let group = groups.get(shard.0 as usize).and_then(Option::as_ref);
        let unknown = || ClusterError::Unavailable {
            shard,
            reason: "it has been retired".into(),
            all_failed: false,
        };
        group.cloned().ok_or_else(unknown)
    }

    /// The shard that owns `slot` now.
    fn owner(&self, slot: SlotId) -> Result<Arc<Group>, ClusterError> {
        loop {
            let topology = self.topology.load();
            match self.group(topology.shard_of_slot(slot)) {
                Ok(group) => return Ok(group),
                // A shard may be retired between the two looks; the newer topology names its heir.
                Err(_) if self.topology.load().version() != topology.version() => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn groups(&self) -> Vec<Arc<Group>> {
        self.groups.load().iter().flatten().cloned().collect()
    }

    /// The topology as recorded, with the version of its entry.
    fn read_topology(&self) -> Result<(Topology, u64), ClusterError> {
        read_topology(&*self.config, &self.layout)
    }
}

fn read_topology(config: &dyn ConfigStore, layout: &Layout) -> Result<(Topology, u64), ClusterError> {
    let corrupt = |what: String| ClusterError::Corrupt {
        path: layout.config_file(),
        offset: 0,
        what,
    };
    let entry = config.get(TOPOLOGY_KEY)?;
    let entry = entry.ok_or_else(|| corrupt("the configuration holds no topology".into()))?;
    let topology = Topology::from_bytes(&entry.bytes).map_err(|error| corrupt(error.to_string()))?;
    Ok((topology, entry.version))
}

impl Cluster {
    /// Creates a cluster in `dir`, which must be missing or empty, and opens it.
    ///
    /// # Errors
    /// [`ClusterError::AlreadyExists`]; [`ClusterError::Routing`] and [`ClusterError::BadQuorum`]
    /// for a specification that does not fit; the disk's.
    pub fn create(env: &Env, dir: &Path, spec: &ClusterSpec) -> Result<Cluster, ClusterError> {
        Cluster::create_with(env, dir, spec, &ClusterOptions::default())
    }

    /// As [`Cluster::create`], opened with these options.
    ///
    /// # Errors
    /// As for [`Cluster::create`].
    pub fn create_with(
        env: &Env,
        dir: &Path,
        spec: &ClusterSpec,
        options: &ClusterOptions,
    ) -> Result<Cluster, ClusterError> {
        let (topology, _) = Topology::create(&spec.topology_spec())?;
        let layout = Layout::new(dir);
        layout.check_free(&*env.disk)?;
        let io = |source| ClusterError::Io {
            op: "create",
            path: dir.to_owned(),
            source,
        };
        env.disk.create_dir_all(dir).map_err(io)?;
        let lock = layout.lock(&*env.disk)?;
        let mut id = [0u8; 16];
        id[..8].copy_from_slice(&env.entropy.next_u64().to_le_bytes());
        id[8..].copy_from_slice(&env.entropy.next_u64().to_le_bytes());
        let id = Uuid(id);
        layout.begin_creation(&*env.disk, id)?;
        let config = FileConfigStore::open(Arc::clone(&env.disk), &layout.config_file())?;
        let mut changes = vec![ConfigChange::write(TOPOLOGY_KEY, topology.to_bytes())];
        for shard in topology.shards() {
            let entry = node::create_members(env, &layout, id, options, &topology, shard, spec.quorum)?;
            changes.push(ConfigChange::write(members_key(shard.id), entry.encode()));
        }
        config.transact(&[Condition::new(TOPOLOGY_KEY, 0)], &changes)?;
        layout.finish_creation(&*env.disk)?;
        Cluster::start(env, layout, id, options, config, lock)
    }

    /// Opens the cluster in `dir`.
    ///
    /// A replica that cannot be opened is out of service and does not stop the others; see
    /// [`Cluster::events`]. A shard without a quorum is there but not available.
    ///
    /// # Errors
    /// [`ClusterError::NotACluster`], [`ClusterError::Locked`], [`ClusterError::Corrupt`] when
    /// identity or configuration are damaged, or the disk's.
    pub fn open(env: &Env, dir: &Path, options: &ClusterOptions) -> Result<Cluster, ClusterError> {
        let layout = Layout::new(dir);
        let id = layout.read_identity(&*env.disk)?;
        let lock = layout.lock(&*env.disk)?;
        let config = FileConfigStore::open(Arc::clone(&env.disk), &layout.config_file())?;
        Cluster::start(env, layout, id, options, config, lock)
    }

    fn start(
        env: &Env,
        layout: Layout,
        id: Uuid,
        options: &ClusterOptions,
        config: FileConfigStore,
        lock: Box<dyn LockGuard>,
    ) -> Result<Cluster, ClusterError> {
        let (topology, _) = read_topology(&config, &layout)?;
        let (wake, woken) = crossbeam::channel::bounded(1);
        let inner = Arc::new(Inner {
            env: env.clone(),
            layout,
            id,
            options: options.clone(),
            config: Arc::new(config),
            groups: ArcSwap::from_pointee(Vec::new()),
            nodes: Mutex::new(node::all_up(&topology)),
            topology: ArcSwap::from_pointee(topology),
            events: Mutex::new(Vec::new()),
            mover: Mutex::new(()),
            wake,
            _lock: lock,
        });
        inner.remove_leftovers()?;
        inner.open_groups()?;
        inner.note_shortfalls();
        let shipper = options
            .background
            .then(|| Shipper::start(Arc::clone(&inner), woken));
        let compactor = match options.compaction {
            ClusterCompaction::Background { release_log } if options.background => {
                let options = CompactOptions { release_log };
                Some(Compactor::start(Arc::clone(&inner), options))
            }
            _ => None,
        };
        Ok(Cluster {
            compactor,
            shipper,
            inner,
        })
    }

    /// Name of the cluster, for ever.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.inner.id
    }

    /// Who owns what, as of now.
    #[must_use]
    pub fn topology(&self) -> Arc<Topology> {
        self.inner.topology.load_full()
    }

    /// What has happened since the cluster was opened, oldest first; the last 5,000 at least.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.inner.events.lock().clone()
    }

    /// Does now what the background thread would do: sends followers what they lack, fsyncs,
    /// re-admits replicas that have caught up, replaces leaders that have failed.
    pub fn pump(&self) {
        self.inner.pump(true, true);
    }

    /// Makes everything durable on every replica that can be reached and closes the cluster, so
    /// that the next opening has nothing to recover.
    ///
    /// # Errors
    /// The first failure; the other replicas are closed all the same.
    pub fn close(mut self) -> Result<(), ClusterError> {
        drop(self.compactor.take());
        drop(self.shipper.take());
        self.inner.close_all()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The threads hold the replicas open; they end before those go.
        drop(self.compactor.take());
        drop(self.shipper.take());
    }
}
