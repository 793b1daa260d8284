//! Backups of a whole cluster: one instant of all shards, from their leaders; and the way back.
//!
//! In: an open cluster and a directory. Out: a backup that has one copy of each shard, and what is needed
//! to make a cluster of it: topology and quorums. The position of every shard is fixed while no shard
//! takes a write, which lasts as long as it takes to read a few words of each; so the cut is one instant
//! across shards: every write that was acknowledged before it is in the backup, none that began after it
//! is, and of two writes, wherever they went, never the later one alone. Files are copied afterwards,
//! beside writers.
//!
//! A restored cluster keeps its name and its nodes; its stores, lives and epochs are new, so no replica,
//! token or lease of the life that was backed up is taken for one of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLockWriteGuard;
use serde::Serialize;

use super::config_store::{Change, Condition, ConfigStore, FileConfigStore, encode_lease, lease_key};
use super::group::{Group, GroupState};
use super::layout::Layout;
use super::membership::{Members, members_key, read_members};
use super::{Cluster, ClusterError, TOPOLOGY_KEY};
use crate::ids::{Epoch, Lsn, ShardId, Uuid};
use crate::io::Env;
use crate::replication::Claim;
use crate::routing::{ShardState, Topology};
use crate::store::backup::restore::{next_epoch, open_and_check, prepare, publish, write_store};
use crate::store::backup::{BackupError, BackupOptions, BackupReport, Target, read_catalogue};

/// How long a backup waits for one shard while it keeps others from writing.
const PATIENCE: Duration = Duration::from_millis(5);
/// How long it then leaves them alone, and how often it tries: two minutes in all.
const PAUSE: Duration = Duration::from_millis(20);
const ATTEMPTS: u32 = 6000;

/// What restoring a cluster did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterRestoreReport {
    /// Number of the backup in its directory.
    pub sequence: u64,
    /// Milliseconds since 1970 when its positions were fixed.
    pub wall_ms: u64,
    /// Shard, epoch and position at which each copy ends.
    pub positions: Vec<(ShardId, Epoch, Lsn)>,
    /// Replicas made.
    pub replicas: u64,
    /// Keys with a version, deleted ones included, each counted once.
    pub keys: u64,
    /// Bytes read from the backup, once for each replica.
    pub bytes: u64,
}

/// Beside the stores: entries of the configuration, by name.
fn encode_entries(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = (entries.len() as u32).to_le_bytes().to_vec();
    for (key, value) in entries {
        for part in [key.as_bytes(), value] {
            bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

fn decode_entries(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut rest = bytes;
    let word = |rest: &mut &[u8]| {
        let (head, tail) = rest.split_first_chunk::<4>()?;
        *rest = tail;
        Some(u32::from_le_bytes(*head) as usize)
    };
    let count = word(&mut rest)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let mut part = || {
            let len = word(&mut rest)?;
            let (head, tail) = rest.split_at_checked(len)?;
            rest = tail;
            Some(head.to_vec())
        };
        entries.push((String::from_utf8(part()?).ok()?, part()?));
    }
    rest.is_empty().then_some(entries)
}

/// The locks of all groups together, so that no shard takes a write. Nobody else ever holds two of them.
///
/// A writer holds its group's lock for a moment, a step of compaction for seconds: then everything is let
/// go and tried again, so that writers of the other shards are held up for a few milliseconds at most.
fn all_at_once(groups: &[Arc<Group>]) -> Result<Vec<RwLockWriteGuard<'_, GroupState>>, ClusterError> {
    let mut busy = None;
    for _ in 0..ATTEMPTS {
        let mut states = Vec::with_capacity(groups.len());
        busy = groups.iter().find(|group| {
            let state = group.state.try_write_for(PATIENCE);
            let is_busy = state.is_none();
            states.extend(state);
            is_busy
        });
        if busy.is_none() {
            return Ok(states);
        }
        drop(states);
        std::thread::sleep(PAUSE);
    }
    Err(ClusterError::Unavailable {
        shard: busy.map_or(ShardId(0), |group| group.shard),
        reason: "a check or a compaction keeps it busy; try again later".into(),
        all_failed: false,
    })
}

impl Cluster {
    /// Copies the cluster, as it is at one instant, into `target`: missing, empty, or an earlier backup of
    /// this cluster, of which unchanged files are used again. Takes one copy of each shard, the leader's.
    /// `progress` is told the bytes done and the bytes in all.
    ///
    /// # Errors
    /// [`ClusterError::Unavailable`] for a shard without a leader, [`ClusterError::RebalanceUnderWay`],
    /// and those of [`crate::store::Store::backup`].
    pub fn backup(
        &self,
        target: &Path,
        options: &BackupOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<BackupReport, ClusterError> {
        let inner = &self.inner;
        let target = Target::open(&inner.env, target, inner.layout.dir(), inner.id)?;
        let (cuts, entries) = {
            // Nothing moves between shards, and no member changes, while their positions are fixed.
            let _mover = inner.mover.lock();
            if inner.read_mover()?.is_some() {
                let version = inner.topology.load().version();
                return Err(ClusterError::RebalanceUnderWay { version });
            }
            let topology = inner.topology.load_full();
            let mut entries = vec![(TOPOLOGY_KEY.to_owned(), topology.to_bytes())];
            let groups = inner.groups();
            for group in &groups {
                let (members, _) = read_members(&*inner.config, group.shard)?;
                entries.push((members_key(group.shard), members.encode()));
            }
            let states = all_at_once(&groups)?;
            let leaders = groups.iter().zip(&states).map(|(group, state)| {
                let (_, leader) = state.leader(group.shard)?;
                Ok::<_, ClusterError>(leader.store().cut())
            });
            (leaders.collect::<Result<Vec<_>, _>>()?, entries)
        };
        Ok(target.copy(&cuts, encode_entries(&entries), options, progress)?)
    }

    /// Makes a cluster in `dir`, which is missing or empty, of the backup in `backup`: every replica of
    /// every shard, checked, and nothing before all of them are. `progress` is told the bytes read and the
    /// bytes in all; each copy is read once for each of its replicas.
    ///
    /// # Errors
    /// [`ClusterError::Backup`]: the directory is not empty, the backup is damaged (naming the file), is
    /// that of a single store, the disk is full. There is no cluster in `dir` then.
    pub fn restore(
        env: &Env,
        backup: &Path,
        dir: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<ClusterRestoreReport, ClusterError> {
        let disk = &*env.disk;
        let catalogue = read_catalogue(disk, backup)?;
        let damaged = |what: String| BackupError::Damaged {
            path: backup.join(crate::store::backup::BACKUP_FILE),
            offset: 96,
            what,
        };
        if catalogue.extra.is_empty() {
            return Err(ClusterError::NotACluster {
                path: backup.to_owned(),
                found: "it is the backup of a single store".into(),
            });
        }
        let entries = decode_entries(&catalogue.extra)
            .ok_or_else(|| damaged("the entries of the configuration cannot be read".into()))?;
        let entry = |key: &str| {
            let found = entries.iter().find(|(name, _)| name == key);
            found
                .map(|(_, value)| value.as_slice())
                .ok_or_else(|| damaged(format!("there is no entry {key:?}")))
        };
        let topology = Topology::from_bytes(entry(TOPOLOGY_KEY)?).map_err(|e| damaged(e.to_string()))?;
        let mut report = ClusterRestoreReport {
            sequence: catalogue.sequence,
            wall_ms: catalogue.wall_ms,
            positions: Vec::new(),
            replicas: 0,
            keys: 0,
            bytes: 0,
        };
        let active = || {
            topology
                .shards()
                .iter()
                .filter(|shard| shard.state == ShardState::Active)
        };
        let store_of = |shard: ShardId| {
            let found = catalogue.stores.iter().find(|store| store.control.shard == shard);
            found.ok_or_else(|| damaged(format!("there is no copy of shard {shard}")))
        };
        let mut total = 0;
        for shard in active() {
            total += store_of(shard.id)?.bytes() * shard.replicas.len() as u64;
        }
        let staging = prepare(disk, dir)?;
        let layout = Layout::new(&staging);
        layout.begin_creation(disk, catalogue.owner)?;
        let mut changes = vec![Change::write(TOPOLOGY_KEY, topology.to_bytes())];
        for shard in active() {
            let store = store_of(shard.id)?;
            let old = Members::decode(entry(&members_key(shard.id))?)
                .map_err(|(_, what)| damaged(format!("members of shard {}: {what}", shard.id)))?;
            let mut stores: Vec<(u64, Uuid)> = Vec::new();
            for (copy, &member) in shard.replicas.iter().enumerate() {
                let member = &topology.members()[usize::from(member)];
                let dir = layout.store_dir(&member.name, shard.id);
                let before = report.bytes;
                write_store(env, backup, store, &dir, member.id, &mut |bytes| {
                    progress(before + bytes, total);
                })?;
                let (opened, checked) = open_and_check(env, &dir, store, member.id)?;
                stores.push((member.id, opened.store_id()));
                opened.close().map_err(BackupError::from)?;
                report.bytes += store.bytes();
                report.replicas += 1;
                report.keys += if copy == 0 { checked.keys } else { 0 };
            }
            let members = old.only(stores);
            changes.push(Change::write(members_key(shard.id), members.encode()));
            // The next grant is of the epoch after this one.
            let claim = Claim {
                epoch: next_epoch(env, store.control.epoch),
                ..Claim::NONE
            };
            changes.push(Change::write(lease_key(shard.id), encode_lease(claim)));
            report
                .positions
                .push((shard.id, store.control.epoch, store.control.tail));
        }
        let config = FileConfigStore::open(Arc::clone(&env.disk), &layout.config_file())?;
        config.transact(&[Condition::new(TOPOLOGY_KEY, 0)], &changes)?;
        drop(config);
        layout.finish_creation(disk)?;
        publish(disk, &staging, dir)?;
        Ok(report)
    }

    /// Whether the backup in `dir` is that of a cluster, not of a store on its own.
    ///
    /// # Errors
    /// Not a backup, a damaged catalogue, the disk's.
    pub fn is_cluster_backup(env: &Env, dir: &Path) -> Result<bool, BackupError> {
        Ok(!read_catalogue(&*env.disk, dir)?.extra.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_no_damage_panics() {
        let entries = vec![
            ("topology".to_owned(), vec![1, 2, 3]),
            (String::new(), Vec::new()),
            ("members/7".to_owned(), vec![0; 300]),
        ];
        let bytes = encode_entries(&entries);
        assert_eq!(decode_entries(&bytes), Some(entries));
        for len in 0..bytes.len() {
            assert_eq!(decode_entries(&bytes[..len]), None, "length {len}");
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0xff;
            let _ = decode_entries(&bad);
        }
    }
}
