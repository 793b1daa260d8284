//! What lies where in a cluster's directory, and whether a directory is one.
//!
//! ```text
//! DIR/ATOLL                          identity: written last, so without it nothing exists yet
//! DIR/LOCK                           held while the cluster is open
//! DIR/config/state                   topology, leases, members (config_store)
//! DIR/nodes/<node>/shard-00007/      store of one replica
//! DIR/nodes/<node>/shard-00007.fence what that replica has promised
//! ```
//!
//! In: a path. Out: paths below it, and a refusal for directories of other programs.

use std::path::{Path, PathBuf};

use super::ClusterError;
use crate::ids::{ShardId, Uuid};
use crate::io::{Disk, LockGuard, LockOutcome};
use crate::replication::file;

const IDENTITY_FILE: &str = "ATOLL";
/// Stands in for the identity until everything else exists.
const UNFINISHED_FILE: &str = "ATOLL.unfinished";
const LOCK_FILE: &str = "LOCK";
const CONFIG_DIR: &str = "config";
const NODES_DIR: &str = "nodes";
const MAGIC: [u8; 8] = *b"ATOLLCLU";
const FORMAT: u32 = 1;
const IDENTITY_BYTES: usize = 32;

/// Paths of one cluster.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    dir: PathBuf,
}

fn failed<'p>(op: &'static str, path: &'p Path) -> impl FnOnce(std::io::Error) -> ClusterError + 'p {
    move |source| ClusterError::Io {
        op,
        path: path.to_owned(),
        source,
    }
}

impl Layout {
    pub(super) fn new(dir: &Path) -> Layout {
        Layout { dir: dir.to_owned() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn config_dir(&self) -> PathBuf {
        self.dir.join(CONFIG_DIR)
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.config_dir().join("state")
    }

    pub(super) fn nodes_dir(&self) -> PathBuf {
        self.dir.join(NODES_DIR)
    }

    pub(super) fn node_dir(&self, node: &str) -> PathBuf {
        self.nodes_dir().join(dir_name(node))
    }

    pub(super) fn store_dir(&self, node: &str, shard: ShardId) -> PathBuf {
        self.node_dir(node).join(format!("shard-{:05}", shard.0))
    }

    pub(super) fn fence_file(&self, node: &str, shard: ShardId) -> PathBuf {
        self.node_dir(node).join(format!("shard-{:05}.fence", shard.0))
    }

    /// Takes the directory's lock.
    pub(super) fn lock(&self, disk: &dyn Disk) -> Result<Box<dyn LockGuard>, ClusterError> {
        let path = self.dir.join(LOCK_FILE);
        match disk.lock(&path).map_err(failed("lock", &path))? {
            LockOutcome::Acquired(guard) => Ok(guard),
            LockOutcome::Held(holder) => Err(ClusterError::Locked {
                path: self.dir.clone(),
                pid: holder.pid,
                host: holder.host,
            }),
        }
    }

    /// Refuses a directory that a new cluster must not be created in. What an interrupted
    /// creation left is no obstacle.
    pub(super) fn check_free(&self, disk: &dyn Disk) -> Result<(), ClusterError> {
        if !disk.exists(&self.dir).map_err(failed("look up", &self.dir))? {
            return Ok(());
        }
        let entries = disk.list(&self.dir).map_err(failed("list", &self.dir))?;
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        let ours = [
            LOCK_FILE,
            CONFIG_DIR,
            NODES_DIR,
            UNFINISHED_FILE,
            "ATOLL.unfinished.new",
        ];
        let only_ours = entries.iter().all(|entry| ours.contains(&entry.name.as_str()));
        let only_lock = entries
            .iter()
            .all(|entry| entry.name == LOCK_FILE || entry.name.ends_with(".new"));
        if only_ours && (has(UNFINISHED_FILE) || only_lock) {
            return Ok(());
        }
        Err(ClusterError::AlreadyExists {
            path: self.dir.clone(),
        })
    }

    /// First step of a creation: marks the directory, and takes away what an interrupted creation
    /// left. The lock is held.
    pub(super) fn begin_creation(&self, disk: &dyn Disk, id: Uuid) -> Result<(), ClusterError> {
        file::replace(disk, &self.dir.join(UNFINISHED_FILE), &encode_identity(id))?;
        for path in [self.config_dir(), self.nodes_dir()] {
            if disk.exists(&path).map_err(failed("look up", &path))? {
                disk.remove_dir_all(&path).map_err(failed("remove", &path))?;
            }
            disk.create_dir_all(&path).map_err(failed("create", &path))?;
        }
        Ok(())
    }

    /// Last step of a creation: from here on the directory is a cluster's.
    pub(super) fn finish_creation(&self, disk: &dyn Disk) -> Result<(), ClusterError> {
        let path = self.dir.join(IDENTITY_FILE);
        disk.rename(&self.dir.join(UNFINISHED_FILE), &path)
            .map_err(failed("rename", &path))?;
        disk.sync_dir(&self.dir).map_err(failed("sync", &self.dir))
    }

    /// The cluster's name, or a refusal that says what is there instead. Writes nothing.
    pub(super) fn read_identity(&self, disk: &dyn Disk) -> Result<Uuid, ClusterError> {
        let not_a_cluster = |found: String| {
            Err(ClusterError::NotACluster {
                path: self.dir.clone(),
                found,
            })
        };
        if !disk.exists(&self.dir).map_err(failed("look up", &self.dir))? {
            return not_a_cluster("it does not exist".into());
        }
        let path = self.dir.join(IDENTITY_FILE);
        let Some(bytes) = file::read(disk, &path)? else {
            let entries = disk.list(&self.dir).map_err(failed("list", &self.dir))?;
            return not_a_cluster(match entries.first() {
                None => "it is empty".into(),
                Some(_) if entries.iter().any(|entry| entry.name == UNFINISHED_FILE) => {
                    "its creation was interrupted; create it again".into()
                }
                Some(entry) => format!("it holds `{}` and no {IDENTITY_FILE} file", entry.name),
            });
        };
        decode_identity(&bytes).map_err(|(offset, what)| ClusterError::Corrupt { path, offset, what })
    }
}

fn encode_identity(id: Uuid) -> [u8; IDENTITY_BYTES] {
    let mut bytes = [0u8; IDENTITY_BYTES];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..28].copy_from_slice(&id.0);
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode_identity(bytes: &[u8]) -> Result<Uuid, (u64, String)> {
    if bytes.len() != IDENTITY_BYTES {
        return Err((
            bytes.len() as u64,
            format!("the file has {} bytes, not {IDENTITY_BYTES}", bytes.len()),
        ));
    }
    if bytes[..8] != MAGIC {
        return Err((0, "it does not begin as a cluster's identity does".into()));
    }
    if bytes[28..] != crc32c::crc32c(&bytes[..28]).to_le_bytes() {
        return Err((28, "the checksum does not fit".into()));
    }
    if bytes[8..12] != FORMAT.to_le_bytes() {
        return Err((8, "the format version is not known".into()));
    }
    let mut id = [0u8; 16];
    id.copy_from_slice(&bytes[12..28]);
    Ok(Uuid(id))
}

/// Directory name of a node: its name where that is harmless on every file system, else with the
/// other bytes as `%xx`; long names keep their beginning and get their hash.
fn dir_name(node: &str) -> String {
    const LONGEST: usize = 100;
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let mut name = String::with_capacity(node.len());
    for (i, byte) in node.bytes().enumerate() {
        // A leading dot would hide the directory, or name another one.
        if harmless(byte) && !(i == 0 && byte == b'.') {
            name.push(byte as char);
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() > LONGEST {
        name.truncate(LONGEST);
        name.push_str(&format!("%{:016x}", xxhash_rust::xxh3::xxh3_64(node.as_bytes())));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_become_harmless_and_distinct_directory_names() {
        let check = |node: &str, expected: &str| assert_eq!(dir_name(node), expected);
        check("n1", "n1");
        check("10.0.0.1:7400", "10.0.0.1%3a7400");
        check("../../etc", "%2e.%2f..%2fetc");
        check("..", "%2e.");
        check("ü", "%c3%bc");
        check("%2e.", "%252e.");
        let long = |end: &str| format!("{}{end}", "a/".repeat(120));
        assert_ne!(dir_name(&long("x")), dir_name(&long("y")));
        assert!(dir_name(&long("x")).len() <= 117);
    }

    #[test]
    fn no_damaged_identity_is_believed() {
        let good = encode_identity(Uuid([5; 16]));
        assert_eq!(decode_identity(&good), Ok(Uuid([5; 16])));
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_identity(&bad).is_err(), "bit {bit}");
        }
    }
}
