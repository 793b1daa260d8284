//! The one place where a cluster's decisions are made final.
//!
//! In: small named values (topology, members, leases, the mover's state) and conditions on what
//! stands. Out: all of a change, or none of it. Everything that decides who may write or where a
//! slot lives goes through [`ConfigStore::transact`]; memory is only a copy. [`FileConfigStore`]
//! serves one process; a store shared by several machines implements the same trait.
//!
//! What must never happen: a change is answered before it is durable; a version is used twice.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ids::{Epoch, ShardId};
use crate::io::Disk;
use crate::replication::{Claim, ReplicationError, file};

const MAGIC: [u8; 8] = *b"ATLCONFG";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 24;
/// Longest name and value: the store is read and written whole.
const MAX_KEY_BYTES: usize = 1 << 10;
const MAX_VALUE_BYTES: usize = 16 << 20;

/// Error of a config store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A condition did not hold; nothing was changed.
    #[error("{key} has changed meanwhile: version {expected} was expected, {current} stands")]
    Changed {
        /// Name of the value.
        key: String,
        /// Version the caller had seen; 0 for "absent".
        expected: u64,
        /// Version that stands; 0 for "absent".
        current: u64,
    },
    /// The file is damaged, or the disk failed.
    #[error(transparent)]
    File(#[from] ReplicationError),
    /// A name or value is longer than such a store takes.
    #[error("{key} is too long for the configuration: {len} bytes")]
    TooLarge {
        /// Name of the value.
        key: String,
        /// Its length.
        len: usize,
    },
}

/// A value and the version it was written with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// Changes with every write; never used again, also not after a removal.
    pub version: u64,
    /// The value.
    pub bytes: Vec<u8>,
}

/// What must stand for a change to happen.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Name of the value.
    pub key: String,
    /// Its version; 0 for "absent".
    pub version: u64,
}

/// One part of a change.
#[derive(Clone, Debug)]
pub struct Change {
    /// Name of the value.
    pub key: String,
    /// New value; `None` removes it.
    pub value: Option<Vec<u8>>,
}

impl Condition {
    /// A condition on one value.
    pub fn new(key: impl Into<String>, version: u64) -> Condition {
        Condition {
            key: key.into(),
            version,
        }
    }
}

impl Change {
    /// Writes a value.
    pub fn write(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Change {
        Change {
            key: key.into(),
            value: Some(value.into()),
        }
    }

    /// Removes a value.
    pub fn remove(key: impl Into<String>) -> Change {
        Change {
            key: key.into(),
            value: None,
        }
    }
}

/// A granted lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What its holder fences the replicas with.
    pub claim: Claim,
    /// Version of the lease in the config store: a change that depends on this leadership is
    /// conditional on it.
    pub version: u64,
}

/// Named values changed together or not at all. Thread-safe.
pub trait ConfigStore: Send + Sync + fmt::Debug {
    /// The value of a name.
    ///
    /// # Errors
    /// The store cannot be reached.
    fn get(&self, key: &str) -> Result<Option<Versioned>, ConfigError>;

    /// Makes all changes if all conditions hold; returns the version the written values have.
    /// Durable on return.
    ///
    /// # Errors
    /// [`ConfigError::Changed`] for the first condition that does not hold. Any other error
    /// leaves open whether the change happened: read before trying again.
    fn transact(&self, conditions: &[Condition], changes: &[Change]) -> Result<u64, ConfigError>;

    /// Writes one value if its version is still `expected` (0: absent); returns the new version.
    ///
    /// # Errors
    /// As for [`ConfigStore::transact`].
    fn compare_and_set(&self, key: &str, expected: u64, bytes: &[u8]) -> Result<u64, ConfigError> {
        self.transact(&[Condition::new(key, expected)], &[Change::write(key, bytes)])
    }

    /// Grants the lease of a shard to `holder`, taking it from whoever has it: whether it may be
    /// taken is the caller's question. The epoch grows with every grant.
    ///
    /// # Errors
    /// [`ConfigError::Changed`] when somebody else was granted it at the same moment.
    fn acquire(&self, shard: ShardId, holder: u64, nonce: u64) -> Result<Grant, ConfigError> {
        let key = lease_key(shard);
        let standing = self.get(&key)?;
        let (version, epoch) = match &standing {
            None => (0, Epoch(0)),
            Some(value) => (value.version, decode_lease(&key, &value.bytes)?.epoch),
        };
        let claim = Claim {
            epoch: Epoch(epoch.0 + 1),
            holder,
            nonce,
        };
        let version = self.compare_and_set(&key, version, &encode_lease(claim))?;
        Ok(Grant { claim, version })
    }

    /// The lease of a shard as it stands, and its version.
    ///
    /// # Errors
    /// As for [`ConfigStore::get`].
    fn lease(&self, shard: ShardId) -> Result<Option<Grant>, ConfigError> {
        let key = lease_key(shard);
        let Some(value) = self.get(&key)? else {
            return Ok(None);
        };
        Ok(Some(Grant {
            claim: decode_lease(&key, &value.bytes)?,
            version: value.version,
        }))
    }
}

/// Name of a shard's lease.
#[must_use]
pub fn lease_key(shard: ShardId) -> String {
    format!("lease/{shard}")
}

/// Bytes of a lease.
#[must_use]
pub fn encode_lease(claim: Claim) -> [u8; 24] {
    let mut bytes = [0u8; 24];
    bytes[0..8].copy_from_slice(&claim.epoch.0.to_le_bytes());
    bytes[8..16].copy_from_slice(&claim.holder.to_le_bytes());
    bytes[16..24].copy_from_slice(&claim.nonce.to_le_bytes());
    bytes
}

fn decode_lease(key: &str, bytes: &[u8]) -> Result<Claim, ConfigError> {
    let malformed = || ReplicationError::Corrupt {
        path: PathBuf::from(key),
        offset: 0,
        what: format!("a lease has 24 bytes, not {}", bytes.len()),
    };
    let mut reader = Reader { bytes, at: 0 };
    let mut next = || reader.u64().map_err(|_| malformed());
    Ok(Claim {
        epoch: Epoch(next()?),
        holder: next()?,
        nonce: next()?,
    })
}

/// The configuration of a cluster in one process: a file replaced whole with every change.
#[derive(Debug)]
pub struct FileConfigStore {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// Grows with every change, so that no version is ever used twice.
    revision: u64,
    values: BTreeMap<String, Versioned>,
    /// A replacement failed half-way: what the disk holds is only known by reading it again.
    uncertain: bool,
}

impl FileConfigStore {
    /// Opens the file `path`, or starts empty when there is none. The caller holds the lock of
    /// the cluster's directory.
    ///
    /// # Errors
    /// [`ReplicationError::Corrupt`] with file and offset, or the disk's.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<FileConfigStore, ConfigError> {
        let state = read_state(&*disk, path)?;
        Ok(FileConfigStore {
            disk,
            path: path.to_owned(),
            state: Mutex::new(state),
        })
    }

    /// Whether nothing was ever written.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.state.lock().revision == 0
    }

    fn settle(&self, state: &mut State) -> Result<(), ConfigError> {
        if state.uncertain {
            *state = read_state(&*self.disk, &self.path)?;
        }
        Ok(())
    }
}

impl ConfigStore for FileConfigStore {
    fn get(&self, key: &str) -> Result<Option<Versioned>, ConfigError> {
        let mut state = self.state.lock();
        self.settle(&mut state)?;
        Ok(state.values.get(key).cloned())
    }

    fn transact(&self, conditions: &[Condition], changes: &[Change]) -> Result<u64, ConfigError> {
        let mut state = self.state.lock();
        self.settle(&mut state)?;
        for condition in conditions {
            let current = state.values.get(&condition.key).map_or(0, |value| value.version);
            if current != condition.version {
                let (key, expected) = (condition.key.clone(), condition.version);
                return Err(ConfigError::Changed {
                    key,
                    expected,
                    current,
                });
            }
        }
        let mut next = state.clone();
        next.revision += 1;
        for Change { key, value } in changes {
            let len = value.as_ref().map_or(0, Vec::len);
            if key.len() > MAX_KEY_BYTES || len > MAX_VALUE_BYTES {
                return Err(ConfigError::TooLarge {
                    key: key.clone(),
                    len,
                });
            }
            match value {
                Some(bytes) => {
                    let value = Versioned {
                        version: next.revision,
                        bytes: bytes.clone(),
                    };
                    next.values.insert(key.clone(), value);
                }
                None => {
                    next.values.remove(key);
                }
            }
        }
        if let Err(error) = file::replace(&*self.disk, &self.path, &encode(&next)) {
            // The rename may or may not have happened.
            state.uncertain = true;
            return Err(error.into());
        }
        let revision = next.revision;
        *state = next;
        Ok(revision)
    }
}

fn read_state(disk: &dyn Disk, path: &Path) -> Result<State, ReplicationError> {
    let Some(bytes) = file::read(disk, path)? else {
        return Ok(State::default());
    };
    decode(&bytes).map_err(|(offset, what)| ReplicationError::Corrupt {
        path: path.to_owned(),
        offset: offset as u64,
        what: what.into(),
    })
}

fn encode(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&state.revision.to_le_bytes());
    bytes.extend_from_slice(&(state.values.len() as u32).to_le_bytes());
    for (key, value) in &state.values {
        bytes.extend_from_slice(&value.version.to_le_bytes());
        bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(value.bytes.len() as u32).to_le_bytes());
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(&value.bytes);
    }
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<State, (usize, &'static str)> {
    if bytes.len() < HEADER_BYTES + 4 {
        return Err((bytes.len(), "the file is cut short"));
    }
    if bytes[..8] != MAGIC {
        return Err((0, "this is not a configuration of a cluster"));
    }
    let (body, crc) = bytes.split_at(bytes.len() - 4);
    if crc != crc32c::crc32c(body).to_le_bytes() {
        return Err((body.len(), "the checksum does not fit"));
    }
    let mut reader = Reader { bytes: body, at: 8 };
    if reader.u32()? != FORMAT {
        return Err((8, "the format version is not known"));
    }
    let revision = reader.u64()?;
    let count = reader.u32()?;
    let mut values = BTreeMap::new();
    for _ in 0..count {
        let version = reader.u64()?;
        let (key_len, value_len) = (reader.u32()? as usize, reader.u32()? as usize);
        let at = reader.at;
        let key =
            String::from_utf8(reader.take(key_len)?.to_vec()).map_err(|_| (at, "a name is not text"))?;
        let bytes = reader.take(value_len)?.to_vec();
        if version > revision || values.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err((at, "the values are not in order"));
        }
        values.insert(key, Versioned { version, bytes });
    }
    if reader.at != body.len() {
        return Err((reader.at, "something follows the last value"));
    }
    Ok(State {
        revision,
        values,
        uncertain: false,
    })
}

/// Takes little-endian numbers off a slice; never panics.
pub(super) struct Reader<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) at: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'b [u8], (usize, &'static str)> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or((self.at, "a value is cut short"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, (usize, &'static str)> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(super) fn u64(&mut self) -> Result<u64, (usize, &'static str)> {
        Ok(u64::from(self.u32()?) | u64::from(self.u32()?) << 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::{CutPolicy, Fault, FaultKind, SimDisk};

    fn open(disk: &SimDisk) -> FileConfigStore {
        disk.create_dir_all(Path::new("/c")).unwrap();
        FileConfigStore::open(Arc::new(disk.clone()), Path::new("/c/state")).unwrap()
    }

    #[test]
    fn a_change_happens_only_if_all_its_conditions_hold() {
        let store = open(&SimDisk::new(1));
        assert!(store.is_new());
        let a = store.compare_and_set("a", 0, b"1").unwrap();
        let b = store.compare_and_set("b", 0, b"2").unwrap();
        assert!(b > a);
        let refused = store.transact(
            &[Condition::new("a", a), Condition::new("b", a)],
            &[Change::write("a", *b"9"), Change::write("b", *b"9")],
        );
        assert!(matches!(refused, Err(ConfigError::Changed { current, .. }) if current == b));
        assert_eq!(store.get("a").unwrap().unwrap().bytes, b"1");
        let both = store.transact(
            &[
                Condition::new("a", a),
                Condition::new("b", b),
                Condition::new("c", 0),
            ],
            &[Change::remove("a"), Change::write("c", *b"3")],
        );
        assert!(both.unwrap() > b);
        assert_eq!(store.get("a").unwrap(), None);
        // A removed name does not get its old version back.
        assert!(store.compare_and_set("a", a, b"1").is_err());
        assert!(store.compare_and_set("a", 0, b"1").unwrap() > b);
    }

    #[test]
    fn the_epoch_of_a_lease_only_grows() {
        let disk = SimDisk::new(1);
        let store = open(&disk);
        let first = store.acquire(ShardId(7), 1, 100).unwrap();
        let second = store.acquire(ShardId(7), 2, 200).unwrap();
        assert_eq!((first.claim.epoch, second.claim.epoch), (Epoch(1), Epoch(2)));
        assert!(second.version > first.version);
        assert_eq!(store.acquire(ShardId(8), 1, 1).unwrap().claim.epoch, Epoch(1));
        drop(store);
        let store = open(&disk.power_cut(CutPolicy::DropAll));
        assert_eq!(store.lease(ShardId(7)).unwrap(), Some(second));
    }

    #[test]
    fn a_cut_at_any_call_leaves_the_old_or_the_new_configuration() {
        for policy in [
            CutPolicy::DropAll,
            CutPolicy::KeepAll,
            CutPolicy::TearAll,
            CutPolicy::Random,
        ] {
            for call in 1.. {
                let disk = SimDisk::new(call);
                let store = open(&disk);
                store.compare_and_set("a", 0, b"old").unwrap();
                let before = disk.calls();
                disk.fail_at(
                    before + call,
                    Fault {
                        kind: FaultKind::PowerCut,
                        persistent: false,
                    },
                );
                let done = store.compare_and_set("a", 1, b"new").is_ok();
                drop(store);
                let store = open(&disk.power_cut(policy));
                let found = store.get("a").unwrap().unwrap().bytes;
                assert!(
                    found == b"new" || (found == b"old" && !done),
                    "{policy:?} call {call}: {found:?}"
                );
                if done {
                    break;
                }
            }
        }
    }

    #[test]
    fn after_a_failed_replacement_the_disk_is_asked_again() {
        for call in 1..6 {
            let disk = SimDisk::new(call);
            let store = open(&disk);
            store.compare_and_set("a", 0, b"old").unwrap();
            disk.fail_at(
                disk.calls() + call,
                Fault {
                    kind: FaultKind::Errno(5),
                    persistent: false,
                },
            );
            let outcome = store.compare_and_set("a", 1, b"new");
            let seen = store.get("a").unwrap().unwrap().bytes;
            drop(store);
            assert_eq!(
                open(&disk.process_crash()).get("a").unwrap().unwrap().bytes,
                seen,
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn no_damaged_configuration_is_believed() {
        let disk = SimDisk::new(1);
        let store = open(&disk);
        store.compare_and_set("topology", 0, b"0123456789").unwrap();
        store.acquire(ShardId(0), 1, 1).unwrap();
        let good = disk.read_whole(Path::new("/c/state")).unwrap();
        assert!(decode(&good).is_ok());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(decode(&good[..len]).is_err(), "length {len}");
        }
    }
}
