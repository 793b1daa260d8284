//! What one user of a cluster has seen, kept from call to call.
//!
//! In: tokens of writes, and positions that reads were answered at. Out: reads that include all of it, whoever
//! answers: a session reads its own writes, and never an older state than it has read before (the guarantees
//! "read your writes" and "monotonic reads" of Terry et al., Session Guarantees for Weakly Consistent Replicated
//! Data, 1994). Must never: let a read or write be forgotten, or wait for anything but a lock of its own.

use std::ops::Bound;

use parking_lot::Mutex;

use super::scan::ClusterScan;
use super::{Answer, Cluster, ClusterError, ReadOptions, Token, WriteDurability};
use crate::store::{Expires, WriteBatch};

/// A session with one cluster. Any number of threads may share it: it then is one user, to whom things happen at
/// the same time.
///
/// It holds a [`Token`] and nothing else, so it may outlive the handle of the cluster, move to another process
/// through [`Session::token`] and [`Session::see`], and costs a few dozen bytes for each shard it has touched.
///
/// ```
/// # use atoll::cluster::{Cluster, ClusterSpec, Session, WriteDurability};
/// # use atoll::{io::Env, routing::NodeSpec};
/// # let dir = tempfile::tempdir()?;
/// let nodes = ["n1", "n2", "n3"].map(NodeSpec::new).to_vec();
/// let cluster = Cluster::create(&Env::os(), dir.path(), &ClusterSpec::new(nodes, 4, 3))?;
/// let session = Session::new();
/// session.put(&cluster, b"k", b"v", WriteDurability::Replicated)?;
/// // Any of the three nodes may answer, if it has the write.
/// assert_eq!(&*session.get(&cluster, b"k")?.unwrap().value, b"v");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Session {
    token: Mutex<Token>,
}

impl Session {
    /// A session that has seen nothing.
    #[must_use]
    pub fn new() -> Session {
        Session::default()
    }

    /// What it has seen. Another session that is told of it reads at least that.
    #[must_use]
    pub fn token(&self) -> Token {
        self.token.lock().clone()
    }

    /// Asks from now on for what `token` speaks of, too.
    ///
    /// # Errors
    /// [`ClusterError::ForeignToken`] for the token of another cluster.
    pub fn see(&self, token: &Token) -> Result<(), ClusterError> {
        let merged = self.token.lock().merge(token);
        merged.map_err(|_| ClusterError::ForeignToken)
    }

    /// Refuses a cluster that is not the one the session has seen: before anything is written to it.
    ///
    /// # Errors
    /// [`ClusterError::ForeignToken`].
    pub fn check_of(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        match self.token.lock().cluster() {
            Some(seen) if seen != cluster.id() => Err(ClusterError::ForeignToken),
            _ => Ok(()),
        }
    }

    /// [`Cluster::put`].
    ///
    /// # Errors
    /// As there.
    pub fn put(
        &self,
        cluster: &Cluster,
        key: &[u8],
        value: &[u8],
        durability: WriteDurability,
    ) -> Result<(), ClusterError> {
        self.check_of(cluster)?;
        self.see(&cluster.put(key, value, durability)?)
    }

    /// [`Cluster::put_expiring`].
    ///
    /// # Errors
    /// As there.
    pub fn put_expiring(
        &self,
        cluster: &Cluster,
        key: &[u8],
        value: &[u8],
        expires: Expires,
        durability: WriteDurability,
    ) -> Result<(), ClusterError> {
        self.check_of(cluster)?;
        self.see(&cluster.put_expiring(key, value, expires, durability)?)
    }

    /// [`Cluster::delete`].
    ///
    /// # Errors
    /// As there.
    pub fn delete(
        &self,
        cluster: &Cluster,
        key: &[u8],
        durability: WriteDurability,
    ) -> Result<(), ClusterError> {
        self.check_of(cluster)?;
        self.see(&cluster.delete(key, durability)?)
    }

    /// [`Cluster::write`].
    ///
    /// # Errors
    /// As there.
    pub fn write(
        &self,
        cluster: &Cluster,
        batch: &WriteBatch,
        durability: WriteDurability,
    ) -> Result<(), ClusterError> {
        self.check_of(cluster)?;
        self.see(&cluster.write(batch, durability)?)
    }

    /// The value of `key`, from any replica that has everything the session has seen.
    ///
    /// # Errors
    /// As for [`Cluster::get`].
    pub fn get(&self, cluster: &Cluster, key: &[u8]) -> Result<Option<Answer>, ClusterError> {
        self.read(cluster, &self.options(), |options, seen| {
            cluster.get_seen(key, options, Some(seen))
        })
    }

    /// As [`Session::get`], at a level of its own, and remembered all the same. The token of `options` is asked
    /// for as it is: [`Session::options`] has the session's.
    ///
    /// # Errors
    /// As for [`Cluster::get`].
    pub fn get_at(
        &self,
        cluster: &Cluster,
        key: &[u8],
        options: &ReadOptions,
    ) -> Result<Option<Answer>, ClusterError> {
        self.read(cluster, options, |options, seen| {
            cluster.get_seen(key, options, Some(seen))
        })
    }

    /// [`Cluster::multi_get`], remembered.
    ///
    /// # Errors
    /// As there.
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        cluster: &Cluster,
        keys: &[K],
        options: &ReadOptions,
    ) -> Result<Vec<Option<Answer>>, ClusterError> {
        self.read(cluster, options, |options, seen| {
            cluster.multi_get_seen(keys, options, Some(seen))
        })
    }

    /// [`Cluster::scan`], remembered as of its begin.
    ///
    /// # Errors
    /// As there.
    pub fn scan(
        &self,
        cluster: &Cluster,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        options: &ReadOptions,
    ) -> Result<ClusterScan, ClusterError> {
        self.read(cluster, options, |options, seen| {
            cluster.scan_seen(start, end, options, Some(seen))
        })
    }

    /// [`Cluster::count`], remembered as of its begin.
    ///
    /// # Errors
    /// As there.
    pub fn count(&self, cluster: &Cluster, options: &ReadOptions) -> Result<u64, ClusterError> {
        self.read(cluster, options, |options, seen| {
            cluster.count_seen(options, Some(seen))
        })
    }

    /// Options that ask for everything the session has seen.
    #[must_use]
    pub fn options(&self) -> ReadOptions {
        ReadOptions::after(self.token())
    }

    fn read<T>(
        &self,
        cluster: &Cluster,
        options: &ReadOptions,
        read: impl FnOnce(&ReadOptions, &mut Token) -> Result<T, ClusterError>,
    ) -> Result<T, ClusterError> {
        self.check_of(cluster)?;
        let mut seen = Token::default();
        let answer = read(options, &mut seen)?;
        self.see(&seen)?;
        Ok(answer)
    }
}
